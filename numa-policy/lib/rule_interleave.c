// SPDX-License-Identifier: GPL-2.0-only
/*
 * interleave: pages are dealt out to the nodes, one after the other. Nobody is
 * well off, and nobody is worse off than others.
 */
#include "policy.h"

static unsigned int interleave_place(const struct np_policy *policy,
				     uint64_t gfn)
{
	return gfn % policy->nodes;
}

const struct np_rule np_rule_interleave = {
	.name = "interleave",
	.text = "page n is on node n modulo nodes, and stays there",
	.every = NP_INTERVAL_MS,
	.reset = NP_DISCO_RESET_MS,
	.place = interleave_place,
};
