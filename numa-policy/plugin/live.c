// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM that the module has: misses become heat of its pages, and the module says
 * which node a page is on for the processor that missed. So a policy can be run on
 * what only a model of a cache can see: in a daemon, or here, in simulated time.
 *
 * Node n of the model is node n of the machine, whose processors look through
 * view 1 + n.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <disco/disco.h>

#include "live.h"
#include "policy.h"

/* It costs less to look at some pages in vain than to ask once more. */
#define MOST_IN_VAIN 16

/**
 * struct live - a VM of the module
 * @disco: the library's context
 * @ram: path of its memory
 * @vm: the VM, or NULL: QEMU makes the file after it has loaded plugins
 * @begin: the module's counters at the beginning
 * @sum: what the policy did
 * @policy: what decides, or NULL
 * @known: of each page below @pages: the policy knows where it is
 * @pages: room in @known
 * @entries: what is reported
 * @order: which heat to look at next, by node and page
 * @node: of each heat, the node of the page in the view of the node that missed
 * @max: room in @entries, @order and @node
 */
struct live {
	struct disco *disco;
	char *ram;
	struct disco_vm *vm;
	struct live_sum begin;
	struct live_sum sum;
	struct np_policy *policy;
	bool *known;
	uint64_t pages;
	struct disco_heat_entry *entries;
	const struct np_heat **order;
	uint32_t *node;
	size_t max;
};

static int count_moves(struct live *live, struct live_sum *moves)
{
	const struct {
		const char *name;
		uint64_t *sum;
	} counters[] = {
		{ "private_to_private_move", &moves->migrated },
		{ "shared_to_shared_move", &moves->migrated },
		{ "replica_added", &moves->replicated },
		{ "replica_dropped", &moves->collapsed },
	};
	struct disco_counter *all;
	size_t nr;
	int ret = disco_counters(live->disco, &all, &nr);

	*moves = (struct live_sum){};
	if (ret)
		return ret;
	for (size_t i = 0; i < nr; i++)
		for (size_t k = 0; k < ARRAY_SIZE(counters); k++)
			if (!strcmp(all[i].name, counters[k].name))
				*counters[k].sum += all[i].value;
	disco_counters_free(all, nr);
	return 0;
}

static void live_free(struct live *live)
{
	disco_vm_close(live->vm);
	disco_free(live->disco);
	np_policy_free(live->policy);
	free(live->known);
	free(live->ram);
	free(live->node);
	free(live->entries);
	free(live->order);
	free(live);
}

/* The mount of disco that a file in its ram/ is on. */
static bool find_mount(struct live *live)
{
	const char *mount;

	for (char *at = live->ram; (at = strstr(at, "/ram/")); at++) {
		int ret;

		*at = '\0';
		ret = disco_set_mount(live->disco, live->ram);
		*at = '/';
		if (!ret && !disco_mount(live->disco, &mount))
			return true;
	}
	return false;
}

/**
 * live_new - begin to tell the module of misses
 * @ram: file of the guest's memory; need not be there yet
 * @policy: rule and numbers of what moves pages; NULL: nothing here does
 * @nodes: number of nodes
 * @out: to be freed with live_close()
 * @error: filled on failure
 *
 * Return: 0; -EINVAL if @ram is not where VMs are; as np_policy_new(); an error of disco_counters();
 * -ENOMEM.
 */
int live_new(const char *ram, const struct np_config *policy, unsigned int nodes,
	     struct live **out, struct np_error *error)
{
	struct live *live = calloc(1, sizeof(*live));
	int ret;

	if (!live)
		return np_fail(error, -ENOMEM, "not enough memory");
	live->ram = strdup(ram);
	if (!live->ram || disco_new(&live->disco)) {
		ret = np_fail(error, -ENOMEM, "not enough memory");
		goto free;
	}
	if (!find_mount(live)) {
		ret = np_fail(error, -EINVAL,
			      "a file in ram/ of a disco file system is needed");
		goto free;
	}
	ret = count_moves(live, &live->begin);
	if (ret) {
		np_fail(error, ret, "%s", disco_error(live->disco));
		goto free;
	}
	ret = policy ? np_policy_new(policy, nodes, &live->policy, error) : 0;
	if (ret)
		goto free;
	*out = live;
	return 0;
free:
	live_free(live);
	return ret;
}

static int grow(struct live *live, size_t nr)
{
	void *entries, *order, *node;

	entries = reallocarray(live->entries, nr, sizeof(*live->entries));
	if (!entries)
		return -ENOMEM;
	live->entries = entries;
	order = reallocarray(live->order, nr, sizeof(*live->order));
	if (!order)
		return -ENOMEM;
	live->order = order;
	node = reallocarray(live->node, nr, sizeof(*live->node));
	if (!node)
		return -ENOMEM;
	live->node = node;
	live->max = nr;
	return 0;
}

/* The module says of each entry what became of it: a page may be gone by now. */
static int report(struct live *live, const struct np_heat *heat, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		live->entries[i] = (struct disco_heat_entry){
			.gfn = heat[i].gfn, .node = heat[i].node,
			.reads = heat[i].reads, .writes = heat[i].writes,
		};
	for (size_t i = 0; i < nr; i += DISCO_HEAT_MAX) {
		struct disco_heat_report request = {
			.size = sizeof(request),
			.nr = nr - i < DISCO_HEAT_MAX ? nr - i : DISCO_HEAT_MAX,
			.entries = (uintptr_t)&live->entries[i],
		};
		int ret = disco_heat_report(live->vm, &request);

		if (ret)
			return ret;
	}
	return 0;
}

static int by_node_and_page(const void *a, const void *b)
{
	const struct np_heat *one = *(const struct np_heat *const *)a;
	const struct np_heat *other = *(const struct np_heat *const *)b;

	if (one->node != other->node)
		return one->node < other->node ? -1 : 1;
	return one->gfn < other->gfn ? -1 : one->gfn > other->gfn;
}

/* Looks at @nr pages that lie near each other, all of the same node's heat. */
static int look(struct live *live, const struct np_heat **order, size_t nr,
		const struct np_heat *heat)
{
	struct disco_pmap_iter *iter;
	struct disco_pmap_batch batch;
	size_t i = 0;
	int ret;

	ret = disco_pmap_new(live->vm, order[0]->gfn, order[nr - 1]->gfn, &iter);
	if (ret)
		return ret;
	disco_pmap_set_view(iter, 1 + order[0]->node);
	while (i < nr && (ret = disco_pmap_next(iter, &batch)) > 0)
		for (; i < nr && order[i]->gfn < batch.gfn + batch.nr; i++)
			live->node[order[i] - heat] =
				batch.entries[order[i]->gfn - batch.gfn].node;
	disco_pmap_free(iter);
	/* Past the end of the VM: flash and other memory that is not RAM. */
	return ret == -ENXIO || ret > 0 ? 0 : ret;
}

static int look_at_all(struct live *live, const struct np_heat *heat, size_t nr)
{
	const struct np_heat **order = live->order;
	size_t first, end;
	int ret = 0;

	for (size_t i = 0; i < nr; i++) {
		order[i] = &heat[i];
		live->node[i] = DISCO_NO_NODE;
	}
	qsort(order, nr, sizeof(*order), by_node_and_page);
	for (first = 0; !ret && first < nr; first = end) {
		end = first + 1;
		while (end < nr && order[end]->node == order[first]->node &&
		       order[end]->gfn - order[end - 1]->gfn <= MOST_IN_VAIN)
			end++;
		ret = look(live, &order[first], end - first, heat);
	}
	return ret;
}

/* Where a page is that the policy does not know, or that has lost its copies unseen. */
static int set_home(struct live *live, const struct np_heat *heat, uint32_t node)
{
	return np_policy_place(live->policy, heat->vm, heat->gfn,
			       &(struct np_place){ .home = node });
}

static int know_page(struct live *live, const struct np_heat *heat, uint32_t node)
{
	if (heat->gfn >= live->pages) {
		uint64_t pages = heat->gfn + heat->gfn / 2 + 1;
		bool *known = reallocarray(live->known, pages, sizeof(*known));

		if (!known)
			return -ENOMEM;
		memset(known + live->pages, 0, pages - live->pages);
		live->known = known;
		live->pages = pages;
	}
	if (live->known[heat->gfn])
		return 0;
	live->known[heat->gfn] = true;
	return set_home(live, heat, node);
}

/* A page that is not there cannot be moved, and is local to all. */
static int feed(struct live *live, const struct np_heat *heat, size_t nr)
{
	struct np_place place;
	int ret = 0;

	for (size_t i = 0; i < nr && ret >= 0; i++) {
		if (live->node[i] == DISCO_NO_NODE)
			continue;
		ret = know_page(live, &heat[i], live->node[i]);
		if (!ret)
			ret = np_policy_heat(live->policy, &heat[i], &place);
		/* Whoever has a line may write to it without a miss. */
		if (!ret && np_place_local(&place, heat[i].node) &&
		    live->node[i] != heat[i].node)
			ret = set_home(live, &heat[i], live->node[i]);
	}
	return ret < 0 ? ret : 0;
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static int by_page(const void *one, const void *two)
{
	const struct np_action *a = one, *b = two;

	if (a->verb != b->verb)
		return a->verb < b->verb ? -1 : 1;
	if (a->gfn != b->gfn)
		return a->gfn < b->gfn ? -1 : 1;
	return a->node < b->node ? -1 : a->node > b->node;
}

/* Actions of one verb. */
static int move(struct live *live, const struct np_action *actions, size_t nr)
{
	struct disco_move request = {
		.size = sizeof(request),
		.operation = actions->verb == NP_MIGRATE ? DISCO_MOVE_MIGRATE :
							   DISCO_MOVE_REPLICATE,
		.nr = nr,
	};
	struct disco_move_entry *entries = calloc(nr, sizeof(*entries));
	uint64_t begin = now();
	int ret;

	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++)
		entries[i] = (struct disco_move_entry) {
			.gfn = actions[i].gfn, .node = actions[i].node,
		};
	request.entries = (uintptr_t)entries;
	ret = disco_move(live->vm, &request);
	live->sum.moves_ns += now() - begin;
	for (size_t i = 0; !ret && i < request.out_nr; i++) {
		np_policy_done(live->policy, &actions[i], entries[i].out_result);
		live->sum.refused += entries[i].out_result != 0;
	}
	free(entries);
	return ret;
}

/* Pages that follow each other cost one flush of the TLBs: they are sorted. */
static int decide(struct live *live, uint64_t now_ns)
{
	const struct np_action *actions;
	struct np_action *sorted;
	size_t nr, first, end;
	int ret = np_policy_decide(live->policy, now_ns, &actions, &nr);

	if (ret || !nr)
		return ret;
	sorted = malloc(nr * sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, actions, nr * sizeof(*sorted));
	qsort(sorted, nr, sizeof(*sorted), by_page);
	for (first = 0; !ret && first < nr; first = end) {
		for (end = first; end < nr && end - first < DISCO_MOVE_MAX; end++)
			if (sorted[end].verb != sorted[first].verb)
				break;
		ret = move(live, &sorted[first], end - first);
	}
	free(sorted);
	return ret;
}

/**
 * live_tell - tell the module of the misses of an interval
 * @source: struct live, the VM
 * @now_ns: when the interval ended, in simulated time
 * @heat: the misses, each page and node once
 * @nr: how many
 * @local: filled: is the page, or a copy of it, on the node that missed it? As it
 *	is now, at the end of the interval; true if there is no page
 * @error: filled on failure
 *
 * Then the policy, if there is one, decides, and the module does what it wants.
 *
 * Return: 0; an error of the library.
 */
int live_tell(void *source, uint64_t now_ns, const struct np_heat *heat, size_t nr,
	      bool *local, struct np_error *error)
{
	struct live *live = source;
	int ret = 0;

	if (nr > live->max && grow(live, nr))
		return np_fail(error, -ENOMEM, "not enough memory");
	if (!live->vm)
		ret = disco_vm_open_writable(live->disco, live->ram, &live->vm);
	if (!ret)
		ret = report(live, heat, nr);
	if (!ret)
		ret = look_at_all(live, heat, nr);
	for (size_t i = 0; !ret && i < nr; i++)
		local[i] = live->node[i] == DISCO_NO_NODE ||
			   live->node[i] == heat[i].node;
	if (!ret && live->policy)
		ret = feed(live, heat, nr);
	if (!ret && live->policy)
		ret = decide(live, now_ns);
	if (ret == -ENOMEM)
		return np_fail(error, ret, "not enough memory");
	return ret ? np_fail(error, ret, "%s", disco_error(live->disco)) : 0;
}

/**
 * live_close - end what live_new() began
 * @live: the VM, or NULL
 * @sum: filled with what the module did to pages of all VMs since then, nothing if it
 *	is gone; and with what the policy did
 */
void live_close(struct live *live, struct live_sum *sum)
{
	*sum = (struct live_sum){};
	if (!live)
		return;
	if (!count_moves(live, sum)) {
		sum->migrated -= live->begin.migrated;
		sum->replicated -= live->begin.replicated;
		sum->collapsed -= live->begin.collapsed;
	}
	sum->refused = live->sum.refused;
	sum->moves_ns = live->sum.moves_ns;
	if (live->policy)
		sum->stat = *np_policy_stat(live->policy);
	live_free(live);
}
