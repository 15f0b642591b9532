// SPDX-License-Identifier: GPL-2.0-only
/*
 * autonuma: like Linux's NUMA balancing. A scanner unmaps pages, and the next
 * access is a fault that tells the node. A page goes to the node that faulted
 * if the fault before, one scan ago, was of the same node; the second fault
 * filters out pages that many use. Nothing is replicated.
 *
 * Of Linux's balancing this leaves out that tasks move to their memory and are
 * grouped: here VCPUs stay on their nodes.
 */
#include "policy.h"

/* The first miss after a reset stands for the fault. */
static bool autonuma_notice(const struct np_policy *policy,
			    const struct np_page *page, unsigned int node)
{
	(void)policy;
	return page->first == (int)node && page->before == (int)node &&
	       page->place.home != node;
}

static void autonuma_decide(struct np_policy *policy, struct np_page *page)
{
	np_ask(policy, page, NP_MIGRATE, page->first,
	       "two faults in a row from this node");
}

const struct np_rule np_rule_autonuma = {
	.name = "autonuma",
	.text = "migrate on the second fault in a row from one node",
	.every = NP_INTERVAL_MS,
	.reset = NP_AUTONUMA_SCAN_MS,
	.notice = autonuma_notice,
	.decide = autonuma_decide,
};
