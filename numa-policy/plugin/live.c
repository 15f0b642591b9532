// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM that the module has: misses become heat of its pages, and the module says
 * which node a page is on for the processor that missed. So a policy can be run on
 * what only a model of a cache can see.
 *
 * Node n of the model is node n of the machine, whose processors look through
 * view 1 + n.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
 * @moves: the module's counters at the beginning
 * @entries: what is reported
 * @order: which heat to look at next, by node and page
 * @max: room in @entries and @order
 */
struct live {
	struct disco *disco;
	char *ram;
	struct disco_vm *vm;
	struct live_moves moves;
	struct disco_heat_entry *entries;
	const struct np_heat **order;
	size_t max;
};

static int count_moves(struct live *live, struct live_moves *moves)
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

	*moves = (struct live_moves){};
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
	free(live->ram);
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
 * @out: to be freed with live_close()
 * @error: filled on failure
 *
 * Return: 0; -EINVAL if @ram is not where VMs are; an error of disco_counters();
 * -ENOMEM.
 */
int live_new(const char *ram, struct live **out, struct np_error *error)
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
	ret = count_moves(live, &live->moves);
	if (ret) {
		np_fail(error, ret, "%s", disco_error(live->disco));
		goto free;
	}
	*out = live;
	return 0;
free:
	live_free(live);
	return ret;
}

static int grow(struct live *live, size_t nr)
{
	void *entries, *order;

	entries = reallocarray(live->entries, nr, sizeof(*live->entries));
	if (!entries)
		return -ENOMEM;
	live->entries = entries;
	order = reallocarray(live->order, nr, sizeof(*live->order));
	if (!order)
		return -ENOMEM;
	live->order = order;
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

/* A page that is not there is one of zeros, which each node has. */
static bool is_local(const struct disco_pmap_entry *entry, uint32_t node)
{
	return entry->node == DISCO_NO_NODE || entry->node == node;
}

/* Looks at @nr pages that lie near each other, all of the same node's heat. */
static int look(struct live *live, const struct np_heat **order, size_t nr,
		const struct np_heat *heat, bool *local)
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
			local[order[i] - heat] = is_local(
				&batch.entries[order[i]->gfn - batch.gfn],
				order[i]->node);
	disco_pmap_free(iter);
	/* Past the end of the VM: flash and other memory that is not RAM. */
	return ret == -ENXIO || ret > 0 ? 0 : ret;
}

static int look_at_all(struct live *live, const struct np_heat *heat, size_t nr,
		       bool *local)
{
	const struct np_heat **order = live->order;
	size_t first, end;
	int ret = 0;

	for (size_t i = 0; i < nr; i++) {
		order[i] = &heat[i];
		local[i] = true;
	}
	qsort(order, nr, sizeof(*order), by_node_and_page);
	for (first = 0; !ret && first < nr; first = end) {
		end = first + 1;
		while (end < nr && order[end]->node == order[first]->node &&
		       order[end]->gfn - order[end - 1]->gfn <= MOST_IN_VAIN)
			end++;
		ret = look(live, &order[first], end - first, heat, local);
	}
	return ret;
}

/**
 * live_tell - tell the module of the misses of an interval
 * @source: struct live, the VM
 * @heat: the misses, each page and node once
 * @nr: how many
 * @local: filled: is the page, or a copy of it, on the node that missed it? As it
 *	is now, at the end of the interval; true if there is no page
 * @error: filled on failure
 *
 * Return: 0; an error of the library.
 */
int live_tell(void *source, const struct np_heat *heat, size_t nr, bool *local,
	      struct np_error *error)
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
		ret = look_at_all(live, heat, nr, local);
	return ret ? np_fail(error, ret, "%s", disco_error(live->disco)) : 0;
}

/**
 * live_close - end what live_new() began
 * @live: the VM, or NULL
 * @moves: filled with what the module did to pages of all VMs since then; nothing
 *	if it is gone
 */
void live_close(struct live *live, struct live_moves *moves)
{
	*moves = (struct live_moves){};
	if (!live)
		return;
	if (!count_moves(live, moves)) {
		moves->migrated -= live->moves.migrated;
		moves->replicated -= live->moves.replicated;
		moves->collapsed -= live->moves.collapsed;
	}
	live_free(live);
}
