// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy at work: counts heat by page, asks the rule when it is time, keeps
 * limits that hold for every rule, and remembers where pages are.
 *
 * Counters are reset by number: a page whose number is old has none. So a reset
 * costs nothing, and neither do pages without heat.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

#define NS_PER_S 1000000000ULL

/**
 * np_policy_new - put a rule to work
 * @config: rule and numbers, which are copied
 * @nodes: number of nodes of the machine
 * @out: the policy, to be freed with np_policy_free()
 * @error: filled on failure
 *
 * Return: 0; -EINVAL if numbers contradict each other, or for a bad number of
 * nodes; -ENOMEM.
 */
int np_policy_new(const struct np_config *config, unsigned int nodes,
		  struct np_policy **out, struct np_error *error)
{
	struct np_policy *policy;
	int ret;

	ret = np_config_check(config, NULL, error);
	if (ret)
		return ret;
	if (!nodes || nodes > NP_MAX_NODES)
		return np_fail(error, -EINVAL,
			       "a machine has 1 to %d nodes, not %u",
			       NP_MAX_NODES, nodes);
	policy = calloc(1, sizeof(*policy));
	if (!policy)
		return np_fail(error, -ENOMEM, "not enough memory");
	policy->pages = np_pages_new(nodes);
	if (!policy->pages) {
		free(policy);
		return np_fail(error, -ENOMEM, "not enough memory");
	}
	policy->config = *config;
	policy->nodes = nodes;
	policy->next_reset_ns = config->value[config->rule->reset] * NP_NS_PER_MS;
	*out = policy;
	return 0;
}

/**
 * np_policy_free - free a policy
 * @policy: the policy, or NULL
 */
void np_policy_free(struct np_policy *policy)
{
	if (!policy)
		return;
	np_pages_free(policy->pages);
	free(policy->queue);
	free(policy->actions);
	free(policy);
}

static struct np_page *get_page(struct np_policy *policy, uint32_t vm,
				uint64_t gfn, unsigned int node)
{
	const struct np_rule *rule = policy->config.rule;
	struct np_page *page = np_pages_find(policy->pages, vm, gfn);

	if (page)
		return page;
	page = np_pages_add(policy->pages, vm, gfn);
	if (!page)
		return NULL;
	page->place.home = rule->place ? rule->place(policy, gfn) : node;
	page->reset = policy->reset;
	policy->stat.pages++;
	return page;
}

/*
 * The copies of a page that several machines use are seen in each of them, and it
 * is not known how many machines these are: each is taken to have one of the copies.
 */
static unsigned int nr_copies(const struct np_place *place)
{
	if (place->shared)
		return place->copies != 0;
	return __builtin_popcountll(place->copies);
}

static void set_place(struct np_policy *policy, struct np_page *page,
		      const struct np_place *place)
{
	struct np_stat *stat = &policy->stat;

	stat->copies -= nr_copies(&page->place);
	page->place = *place;
	page->place.copies &= ~(1ULL << place->home);
	stat->copies += nr_copies(&page->place);
	if (stat->copies > stat->most_copies)
		stat->most_copies = stat->copies;
}

static void set_copies(struct np_policy *policy, struct np_page *page,
		       uint64_t copies)
{
	struct np_place place = page->place;

	place.copies = copies;
	set_place(policy, page, &place);
}

/**
 * np_moves - moves of a page that count against its limit
 * @policy: the policy
 * @page: the page
 *
 * Return: their number in this window.
 */
unsigned int np_moves(struct np_policy *policy, struct np_page *page)
{
	uint32_t window = policy->now_ns /
		(policy->config.value[NP_DISCO_LIMIT_MS] * NP_NS_PER_MS);

	if (page->window != window) {
		page->window = window;
		page->moves = 0;
		page->collapsed = false;
	}
	return page->moves;
}

/* A write took them. */
static void lose_copies(struct np_policy *policy, struct np_page *page)
{
	set_copies(policy, page, 0);
	np_moves(policy, page);
	page->moves++;
	page->collapsed = true;
	policy->stat.collapsed++;
}

/**
 * np_policy_place - say where a page is
 * @policy: the policy
 * @vm: number of the VM
 * @gfn: the page
 * @place: where it is
 *
 * A page that was never placed is taken to be where the rule would put it when
 * its first heat comes. That a page has lost its copies means that it was written
 * to, even if no heat tells.
 *
 * Return: 0; -EINVAL for a node that there is not; -ENOMEM.
 */
int np_policy_place(struct np_policy *policy, uint32_t vm, uint64_t gfn,
		    const struct np_place *place)
{
	struct np_page *page;

	if (place->home >= policy->nodes ||
	    (policy->nodes < 64 && place->copies >> policy->nodes))
		return -EINVAL;
	page = get_page(policy, vm, gfn, place->home);
	if (!page)
		return -ENOMEM;
	if (page->place.copies && !place->copies)
		lose_copies(policy, page);
	set_place(policy, page, place);
	return 0;
}

static void fresh_counters(struct np_policy *policy, struct np_page *page)
{
	if (page->reset == policy->reset)
		return;
	page->before = page->reset + 1 == policy->reset ? page->first : -1;
	page->first = -1;
	page->writes = 0;
	memset(page->count, 0, policy->nodes * sizeof(page->count[0]));
	page->reset = policy->reset;
}

static bool queue_page(struct np_policy *policy, struct np_page *page)
{
	if (page->queued)
		return true;
	if (policy->nr_queue == policy->max_queue) {
		size_t max = policy->max_queue * 2 + 256;
		void *queue = reallocarray(policy->queue, max,
					   sizeof(*policy->queue));

		if (!queue)
			return false;
		policy->queue = queue;
		policy->max_queue = max;
	}
	policy->queue[policy->nr_queue++] = page;
	page->queued = true;
	return true;
}

/**
 * np_policy_heat - tell a policy of heat
 * @policy: the policy
 * @heat: the heat
 * @place: filled with where the page was, before a write took its copies; may
 *	be NULL
 *
 * A write to a page with copies means that the machine dropped them.
 *
 * Return: 1 if the page lost its copies, else 0; -EINVAL for a node that there
 * is not; -ENOMEM.
 */
int np_policy_heat(struct np_policy *policy, const struct np_heat *heat,
		   struct np_place *place)
{
	const struct np_rule *rule = policy->config.rule;
	uint64_t misses = (uint64_t)heat->reads + heat->writes;
	struct np_page *page;
	int collapsed = 0;

	if (heat->node >= policy->nodes)
		return -EINVAL;
	page = get_page(policy, heat->vm, heat->gfn, heat->node);
	if (!page)
		return -ENOMEM;
	if (place)
		*place = page->place;
	if (heat->writes && page->place.copies) {
		lose_copies(policy, page);
		collapsed = 1;
	}
	fresh_counters(policy, page);
	if (page->first < 0)
		page->first = heat->node;
	page->count[heat->node] += misses;
	page->writes += heat->writes;
	policy->misses += misses;
	if (np_place_local(&page->place, heat->node))
		policy->local += misses;
	if (rule->notice && rule->notice(policy, page, heat->node) &&
	    !queue_page(policy, page))
		return -ENOMEM;
	return collapsed;
}

/**
 * np_hottest - node that would gain most from having a page
 * @policy: the policy
 * @page: the page
 *
 * Return: the node with most misses of those that have no copy, or -1 if no
 * such node has any.
 */
int np_hottest(const struct np_policy *policy, const struct np_page *page)
{
	int hot = -1;

	for (unsigned int i = 0; i < policy->nodes; i++)
		if (page->count[i] && !np_place_local(&page->place, i) &&
		    (hot < 0 || page->count[i] > page->count[hot]))
			hot = i;
	return hot;
}

/**
 * np_ask - ask for a move
 * @policy: the policy
 * @page: the page
 * @verb: what to do
 * @node: where to
 * @why: reason, a constant
 */
void np_ask(struct np_policy *policy, const struct np_page *page,
	    enum np_verb verb, unsigned int node, const char *why)
{
	if (policy->nr_actions == policy->max_actions) {
		size_t max = policy->max_actions * 2 + 64;
		void *actions = reallocarray(policy->actions, max,
					     sizeof(*policy->actions));

		if (!actions) {
			policy->nomem = true;
			return;
		}
		policy->actions = actions;
		policy->max_actions = max;
	}
	policy->actions[policy->nr_actions++] = (struct np_action) {
		.verb = verb,
		.vm = page->vm,
		.gfn = page->gfn,
		.node = node,
		.heat = page->count[node],
		.shared = page->place.shared,
		.why = why,
	};
}

static int hotter(const void *one, const void *two)
{
	const struct np_action *a = one, *b = two;

	if (a->heat != b->heat)
		return a->heat < b->heat ? 1 : -1;
	/* The same answer everywhere, whatever qsort() does with equals. */
	if (a->vm != b->vm)
		return a->vm < b->vm ? -1 : 1;
	if (a->gfn != b->gfn)
		return a->gfn < b->gfn ? -1 : 1;
	return a->node < b->node ? -1 : 1;
}

/* Keeps the hottest actions that rate and room for copies allow. */
static void limit_actions(struct np_policy *policy, uint64_t elapsed_ns)
{
	const uint64_t *value = policy->config.value;
	uint64_t earned = value[NP_MAX_MOVES_PER_S] * elapsed_ns;
	uint64_t room = policy->stat.pages * value[NP_REPLICA_PERCENT] / 100;
	uint64_t copies = policy->stat.copies;
	size_t kept = 0;

	/* What is left of a move is kept, or a low rate would allow none ever. */
	if (policy->credit > NS_PER_S)
		policy->credit = NS_PER_S;
	policy->credit += earned;
	qsort(policy->actions, policy->nr_actions, sizeof(*policy->actions),
	      hotter);
	for (size_t i = 0; i < policy->nr_actions; i++) {
		const struct np_action *action = &policy->actions[i];

		if (policy->credit < NS_PER_S) {
			policy->stat.over_rate++;
		} else if (action->verb == NP_REPLICATE && copies >= room) {
			policy->stat.over_replicas++;
		} else {
			policy->credit -= NS_PER_S;
			copies += action->verb == NP_REPLICATE;
			policy->actions[kept++] = *action;
		}
	}
	policy->nr_actions = kept;
}

/**
 * np_policy_decide - decide, if it is time to
 * @policy: the policy
 * @now_ns: time since the policy was made
 * @actions: what to do, hottest first; valid until the next call
 * @nr: number of @actions; 0 if it is not yet time
 *
 * Return: 0; -ENOMEM.
 */
int np_policy_decide(struct np_policy *policy, uint64_t now_ns,
		     const struct np_action **actions, size_t *nr)
{
	const struct np_rule *rule = policy->config.rule;
	uint64_t every = policy->config.value[rule->every] * NP_NS_PER_MS;
	uint64_t elapsed = now_ns - policy->now_ns;

	policy->nr_actions = 0;
	policy->nomem = false;
	*actions = NULL;
	*nr = 0;
	if (elapsed < every)
		return 0;
	policy->now_ns = now_ns;
	if (rule->decide && (!rule->begin || rule->begin(policy)))
		for (size_t i = 0; i < policy->nr_queue; i++)
			rule->decide(policy, policy->queue[i]);
	for (size_t i = 0; i < policy->nr_queue; i++)
		policy->queue[i]->queued = false;
	policy->nr_queue = 0;
	if (now_ns >= policy->next_reset_ns) {
		policy->next_reset_ns = now_ns +
			policy->config.value[rule->reset] * NP_NS_PER_MS;
		policy->reset++;
		policy->reset_ns = now_ns;
		policy->local = 0;
		policy->misses = 0;
	}
	if (policy->nomem)
		return -ENOMEM;
	limit_actions(policy, elapsed);
	*actions = policy->actions;
	*nr = policy->nr_actions;
	return 0;
}

/**
 * np_policy_done - say how an action ended
 * @policy: the policy
 * @action: the action
 * @result: 0 or a negative errno
 *
 * A refusal counts as a move of the page, so that a page that cannot be moved
 * is not asked for for ever. A copy does not: a page gets no more of them than
 * there are nodes before a write takes them, which counts. Verghese et al.
 * (ASPLOS'96) limit migrations only, too.
 */
void np_policy_done(struct np_policy *policy, const struct np_action *action,
		    int result)
{
	struct np_page *page = np_pages_find(policy->pages, action->vm,
					     action->gfn);

	/* It can have been forgotten while the machine worked. */
	if (!page)
		return;
	np_moves(policy, page);
	if (result) {
		page->moves++;
		policy->stat.failed++;
	} else if (action->verb == NP_MIGRATE) {
		page->moves++;
		page->place.home = action->node;
		set_copies(policy, page, 0);
		policy->stat.migrated++;
	} else {
		set_copies(policy, page,
			   page->place.copies | 1ULL << action->node);
		policy->stat.replicated++;
	}
}

struct forget {
	struct np_policy *policy;
	uint32_t vm;
};

static bool keep_other(struct np_page *page, void *data)
{
	struct forget *forget = data;

	if (page->vm != forget->vm)
		return true;
	set_copies(forget->policy, page, 0);
	forget->policy->stat.pages--;
	return false;
}

/**
 * np_policy_forget - a VM is gone
 * @policy: the policy
 * @vm: its number, which another VM can have from now on
 */
void np_policy_forget(struct np_policy *policy, uint32_t vm)
{
	struct forget forget = { .policy = policy, .vm = vm };
	size_t kept = 0;

	for (size_t i = 0; i < policy->nr_queue; i++)
		if (policy->queue[i]->vm != vm)
			policy->queue[kept++] = policy->queue[i];
	policy->nr_queue = kept;
	np_pages_each(policy->pages, keep_other, &forget);
}

static bool keep_known(struct np_page *page, void *data)
{
	struct np_policy *policy = data;

	if (page->queued || page->place.copies || np_moves(policy, page) ||
	    policy->reset - page->reset <= 1)
		return true;
	policy->stat.pages--;
	return false;
}

/**
 * np_policy_trim - forget pages of which no more is known than where they are
 * @policy: the policy
 *
 * Those without copies that had neither heat since the reset before the last one
 * nor moves that count. For who says where a page is each time that it has heat;
 * otherwise a policy knows all pages that ever had any.
 */
void np_policy_trim(struct np_policy *policy)
{
	np_pages_each(policy->pages, keep_known, policy);
}

/**
 * np_policy_stat - what a policy did
 * @policy: the policy
 *
 * Return: numbers that go on counting.
 */
const struct np_stat *np_policy_stat(const struct np_policy *policy)
{
	return &policy->stat;
}
