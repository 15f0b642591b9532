// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many pages made few lines: runs of pages that look alike, and sums.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "discoctl.h"

static bool has_frame(unsigned int state)
{
	return state == DISCO_PAGE_PRIVATE || state == DISCO_PAGE_SHARED ||
	       state == DISCO_PAGE_REPLICATED;
}

/**
 * run_add - let a run grow by one page
 * @run: the run; started anew if it has no pages
 * @gfn: guest frame number
 * @entry: the page
 *
 * The machine frames of a run follow each other, so that a run says all that
 * its pages would say one by one. Only private, shared and replicated pages
 * have a frame of their VM.
 *
 * Return: false if the page does not continue the run, which then is unchanged.
 */
bool run_add(struct run *run, uint64_t gfn, const struct disco_pmap_entry *entry)
{
	uint64_t pfn = has_frame(entry->state) ? entry->pfn : 0;

	if (!run->pages) {
		*run = (struct run) {
			.gfn = gfn,
			.pages = 1,
			.pfn = pfn,
			.users = entry->users,
			.node = entry->node,
			.state = entry->state,
		};
		return true;
	}
	if (gfn != run->gfn + run->pages || entry->state != run->state ||
	    entry->node != run->node || entry->users != run->users ||
	    pfn != (run->pfn ? run->pfn + run->pages : 0))
		return false;
	run->pages++;
	return true;
}

/**
 * user_bucket - bucket of the histogram for a number of users
 * @users: at least 1
 *
 * Return: 0 for 1, 1 for 2, 2 for 3 to 4, 3 for 5 to 8 and so on.
 */
int user_bucket(uint32_t users)
{
	return users > 1 ? 32 - __builtin_clz(users - 1) : 0;
}

static int grow_nodes(struct summary *sum, uint16_t node)
{
	size_t nr = (size_t)node + 1;
	uint64_t *nodes;

	if (nr <= sum->nr_nodes)
		return 0;
	nodes = reallocarray(sum->nodes, nr, sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	memset(nodes + sum->nr_nodes, 0,
	       (nr - sum->nr_nodes) * sizeof(*nodes));
	sum->nodes = nodes;
	sum->nr_nodes = nr;
	return 0;
}

/**
 * summary_add - count a page
 * @sum: the sums; free @sum->nodes in the end
 * @entry: the page
 *
 * Return: 0; -ENOMEM; -EINVAL if the page has a state that is not known here.
 */
int summary_add(struct summary *sum, const struct disco_pmap_entry *entry)
{
	int ret;

	if (entry->state >= ARRAY_SIZE(sum->states))
		return -EINVAL;
	if (has_frame(entry->state) && entry->node != DISCO_NO_NODE) {
		ret = grow_nodes(sum, entry->node);
		if (ret)
			return ret;
		sum->nodes[entry->node]++;
	}
	if (has_frame(entry->state))
		sum->users[user_bucket(entry->users)]++;
	sum->states[entry->state]++;
	return 0;
}
