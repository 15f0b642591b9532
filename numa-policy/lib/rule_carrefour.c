// SPDX-License-Identifier: GPL-2.0-only
/*
 * carrefour: like Carrefour (Dashti et al., ASPLOS'13). Looks at the whole
 * machine first: nothing is done while memory traffic is low. Then pages that
 * several nodes read and none wrote are replicated, and if too little of the
 * traffic is local, pages that one node uses alone are migrated there.
 *
 * Carrefour also interleaves pages when traffic is unevenly spread. That is
 * against congestion of memory controllers, and is left out.
 */
#include "policy.h"

static unsigned int users(const struct np_policy *policy,
			  const struct np_page *page)
{
	unsigned int nr = 0;

	for (unsigned int node = 0; node < policy->nodes; node++)
		nr += page->count[node] != 0;
	return nr;
}

static bool carrefour_notice(const struct np_policy *policy,
			     const struct np_page *page, unsigned int node)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < policy->nodes; i++)
		sum += page->count[i];
	return sum >= policy->config.value[NP_CARREFOUR_MIN_MISSES] &&
	       !np_place_local(&page->place, node);
}

static bool carrefour_begin(const struct np_policy *policy)
{
	uint64_t ms = (policy->now_ns - policy->reset_ns) / NP_NS_PER_MS;

	return policy->misses >=
	       ms * policy->config.value[NP_CARREFOUR_MISSES_PER_MS];
}

static void carrefour_decide(struct np_policy *policy, struct np_page *page)
{
	bool low = policy->local * 100 <
		   policy->misses * policy->config.value[NP_CARREFOUR_LOCAL_PERCENT];
	int node;

	if (users(policy, page) == 1 && !page->place.shared) {
		node = np_hottest(policy, page);
		if (low && node >= 0 && !page->place.copies)
			np_ask(policy, page, NP_MIGRATE, node,
			       "used by this node alone");
		return;
	}
	if (page->writes) {
		policy->stat.write_shared++;
		return;
	}
	for (unsigned int i = 0; i < policy->nodes; i++)
		if (page->count[i] && !np_place_local(&page->place, i))
			np_ask(policy, page, NP_REPLICATE, i,
			       "read by several nodes, written by none");
}

const struct np_rule np_rule_carrefour = {
	.name = "carrefour",
	.text = "act when traffic is high: replicate what nobody writes, migrate what one uses",
	.every = NP_CARREFOUR_INTERVAL_MS,
	.reset = NP_CARREFOUR_INTERVAL_MS,
	.notice = carrefour_notice,
	.begin = carrefour_begin,
	.decide = carrefour_decide,
};
