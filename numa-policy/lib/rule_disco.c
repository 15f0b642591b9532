// SPDX-License-Identifier: GPL-2.0-only
/*
 * disco: after Disco, and Verghese et al. (ASPLOS'96), whose rules it used.
 *
 * A page is hot for a node when the node's misses since the reset pass the
 * trigger. If no other node's pass the sharing threshold, the page is migrated
 * there, unless other VMs use it, too. Else each node that passes it gets a copy,
 * unless the page is written: then it is left alone. Migrations of one page are
 * limited in number, and a page whose copies were dropped for a write gets none until
 * the limit's window ends, however few writes are seen.
 */
#include "policy.h"

static bool disco_notice(const struct np_policy *policy,
			 const struct np_page *page, unsigned int node)
{
	return page->count[node] >= policy->config.value[NP_DISCO_TRIGGER] &&
	       !np_place_local(&page->place, node);
}

static bool is_shared(const struct np_policy *policy,
		      const struct np_page *page, unsigned int hot)
{
	for (unsigned int i = 0; i < policy->nodes; i++)
		if (i != hot &&
		    page->count[i] >= policy->config.value[NP_DISCO_SHARING])
			return true;
	return false;
}

static void disco_decide(struct np_policy *policy, struct np_page *page)
{
	const uint64_t *value = policy->config.value;
	int hot = np_hottest(policy, page);

	if (hot < 0)
		return;
	if (np_moves(policy, page) >= value[NP_DISCO_MOVE_LIMIT]) {
		policy->stat.over_limit++;
		return;
	}
	if (!page->place.copies && !page->place.shared &&
	    !is_shared(policy, page, hot)) {
		np_ask(policy, page, NP_MIGRATE, hot,
		       "hot on this node, and on no other");
		return;
	}
	if (page->writes >= value[NP_DISCO_WRITE] || page->collapsed) {
		policy->stat.write_shared++;
		return;
	}
	for (unsigned int i = 0; i < policy->nodes; i++)
		if (page->count[i] >= value[NP_DISCO_SHARING] &&
		    !np_place_local(&page->place, i))
			np_ask(policy, page, NP_REPLICATE, i, page->place.shared ?
			       "hot, used by other machines, and not written" :
			       "hot on several nodes, and not written");
}

const struct np_rule np_rule_disco = {
	.name = "disco",
	.text = "migrate what one node uses, replicate what several read",
	.every = NP_INTERVAL_MS,
	.reset = NP_DISCO_RESET_MS,
	.notice = disco_notice,
	.decide = disco_decide,
};
