// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where pages are, by the module: node of the page, nodes of its copies, and whether
 * other machines use it, too.
 */
#include <errno.h>
#include <numa.h>

#include "discod.h"

/* What one view shows of the pages; that of node @node, or the home view if -1. */
static int read_view(struct machine *machine, uint64_t first, uint64_t last,
		     int node, struct np_place *place, bool *copies)
{
	struct disco_pmap_batch batch;
	struct disco_pmap_iter *iter;
	int ret;

	ret = disco_pmap_new(machine->file, first, last, &iter);
	if (ret)
		return ret;
	disco_pmap_set_view(iter, node + 1);
	while ((ret = disco_pmap_next(iter, &batch)) > 0) {
		for (size_t i = 0; i < batch.nr; i++) {
			const struct disco_pmap_entry *entry = &batch.entries[i];
			struct np_place *p = &place[batch.gfn + i - first];

			if (node < 0) {
				p->home = entry->node;
				p->shared = entry->users > 1;
				*copies |= entry->state == DISCO_PAGE_REPLICATED;
			} else if (entry->state == DISCO_PAGE_REPLICATED &&
				   entry->node == node && p->home != entry->node) {
				p->copies |= 1ULL << node;
			}
		}
	}
	disco_pmap_free(iter);
	/* The machine has shrunk: there are no such pages. */
	return ret == -ENXIO ? 0 : ret;
}

/**
 * places_read - find out where some pages are
 * @d: the daemon
 * @machine: whose
 * @first: first guest frame number
 * @last: last one
 * @place: filled, one for each; @home is DISCO_NO_NODE if there is no page
 *
 * Return: 0, or as disco_pmap_next().
 */
int places_read(struct discod *d, struct machine *machine, uint64_t first,
		uint64_t last, struct np_place *place)
{
	bool copies = false;
	int ret;

	for (uint64_t i = 0; i <= last - first; i++)
		place[i] = (struct np_place) { .home = DISCO_NO_NODE };
	ret = read_view(machine, first, last, -1, place, &copies);
	for (unsigned int node = 0; copies && node < d->nodes && !ret; node++)
		if (numa_bitmask_isbitset(numa_all_nodes_ptr, node))
			ret = read_view(machine, first, last, node, place,
					&copies);
	return ret;
}
