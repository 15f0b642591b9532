/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NUMA_POLICY_POLICY_H
#define NUMA_POLICY_POLICY_H

#include "numa.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define NP_NS_PER_MS 1000000ULL

/**
 * struct np_page - what a policy knows of a page
 * @gfn: guest frame number
 * @vm: number of the VM
 * @place: where it is
 * @reset: number of the reset that its counters are from
 * @window: number of the window that @moves is from
 * @moves: migrations of it in that window, collapses, and refusals
 * @collapsed: a write cost it its copies in that window
 * @queued: it waits for a decision
 * @writes: misses of stores since the reset
 * @first: node that missed first since the reset, or -1
 * @before: what @first was in the reset before, or -1
 * @count: misses of each node since the reset
 */
struct np_page {
	uint64_t gfn;
	uint32_t vm;
	struct np_place place;
	uint32_t reset;
	uint32_t window;
	uint32_t moves;
	bool collapsed;
	bool queued;
	uint64_t writes;
	int first;
	int before;
	uint64_t count[];
};

/**
 * struct np_rule - what makes a policy another than others
 * @name: word in the configuration
 * @text: what it does, in a line
 * @every: key of how often decisions are made, in ms
 * @reset: key of how often counters are reset, in ms
 * @place: node for a page that is first touched; NULL: the one that touches it
 * @notice: called for all heat: is the page worth a decision? NULL: never
 * @begin: called before decisions: are there any to make? NULL: yes
 * @decide: asks for moves of a page that was worth it
 */
struct np_rule {
	const char *name;
	const char *text;
	enum np_key every;
	enum np_key reset;
	unsigned int (*place)(const struct np_policy *policy, uint64_t gfn);
	bool (*notice)(const struct np_policy *policy,
		       const struct np_page *page, unsigned int node);
	bool (*begin)(const struct np_policy *policy);
	void (*decide)(struct np_policy *policy, struct np_page *page);
};

extern const struct np_rule np_rule_autonuma;
extern const struct np_rule np_rule_carrefour;
extern const struct np_rule np_rule_disco;
extern const struct np_rule np_rule_interleave;
extern const struct np_rule np_rule_static;

/**
 * struct np_policy - a rule at work
 * @config: its numbers
 * @nodes: number of nodes
 * @pages: all pages
 * @queue: pages that wait for a decision
 * @nr_queue: number of @queue
 * @max_queue: room in @queue
 * @actions: what was decided last
 * @nr_actions: number of @actions
 * @max_actions: room in @actions
 * @nomem: there was no memory for an action
 * @now_ns: time of the decision that is made or was made last
 * @next_reset_ns: when counters are reset
 * @reset: number of resets so far
 * @credit: moves that the rate allows, in billionths
 * @local: misses since the reset on pages in the node's own memory
 * @misses: all misses since the reset
 * @reset_ns: when counters were reset last
 * @stat: what was done
 */
struct np_policy {
	struct np_config config;
	unsigned int nodes;
	struct np_pages *pages;
	struct np_page **queue;
	size_t nr_queue;
	size_t max_queue;
	struct np_action *actions;
	size_t nr_actions;
	size_t max_actions;
	bool nomem;
	uint64_t now_ns;
	uint64_t next_reset_ns;
	uint32_t reset;
	uint64_t credit;
	uint64_t local;
	uint64_t misses;
	uint64_t reset_ns;
	struct np_stat stat;
};

/* error.c */
__attribute__((format(printf, 3, 4)))
int np_fail(struct np_error *error, int err, const char *fmt, ...);

/* pages.c */
struct np_pages *np_pages_new(unsigned int nodes);
void np_pages_free(struct np_pages *pages);
struct np_page *np_pages_find(const struct np_pages *pages, uint32_t vm,
			      uint64_t gfn);
struct np_page *np_pages_add(struct np_pages *pages, uint32_t vm, uint64_t gfn);
void np_pages_each(struct np_pages *pages,
		   bool (*keep)(struct np_page *page, void *data), void *data);

/* policy.c, for rules */
void np_ask(struct np_policy *policy, const struct np_page *page,
	    enum np_verb verb, unsigned int node, const char *why);
unsigned int np_moves(struct np_policy *policy, struct np_page *page);
int np_hottest(const struct np_policy *policy, const struct np_page *page);

#endif /* NUMA_POLICY_POLICY_H */
