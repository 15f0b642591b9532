// SPDX-License-Identifier: GPL-2.0-only
/*
 * static: a page stays on the node that touched it first. What a machine does
 * without any policy, and what others are compared with.
 */
#include "policy.h"

const struct np_rule np_rule_static = {
	.name = "static",
	.text = "pages stay where they were touched first",
	.every = NP_INTERVAL_MS,
	.reset = NP_DISCO_RESET_MS,
};
