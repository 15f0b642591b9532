// SPDX-License-Identifier: GPL-2.0-only
/* Nodes, and pages that are moved between them. */
#define _GNU_SOURCE
#include "nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

int dt_nodes[DT_MAX_NODES];
int dt_nr_nodes;

/** dt_find_nodes() - fills in dt_nodes */
void dt_find_nodes(void)
{
	char path[64], line[128];
	long kib;

	dt_nr_nodes = 0;
	for (int node = 0; node < DT_MAX_NODES; node++) {
		FILE *file;

		snprintf(path, sizeof(path),
			 "/sys/devices/system/node/node%d/meminfo", node);
		file = fopen(path, "re");
		if (!file)
			continue;
		kib = 0;
		if (!fgets(line, sizeof(line), file) ||
		    sscanf(line, "Node %*d MemTotal: %ld", &kib) != 1)
			dt_die("%s", path);
		fclose(file);
		if (kib)
			dt_nodes[dt_nr_nodes++] = node;
	}
}

/** dt_try_move() - DISCO_MOVE, to migrate unless @move says otherwise; its errno stays */
int dt_try_move(const struct dt_fs *fs, struct disco_move *move)
{
	move->size = sizeof(*move);
	if (!move->operation)
		move->operation = DISCO_MOVE_MIGRATE;
	return ioctl(fs->control, DISCO_MOVE, move);
}

/** dt_do_list() - a list that must be taken whole; how many results were 0 */
uint32_t dt_do_list(const struct dt_fs *fs, int vm, uint32_t operation,
		    struct disco_move_entry *entries, uint32_t nr)
{
	struct disco_move move = {
		.operation = operation, .vm_fd = vm,
		.entries = (uintptr_t)entries, .nr = nr,
	};
	uint32_t moved = 0;

	if (dt_try_move(fs, &move))
		dt_die("DISCO_MOVE");
	if (move.out_nr != nr)
		dt_die("DISCO_MOVE: %u of %u", move.out_nr, nr);
	for (uint32_t i = 0; i < nr; i++)
		moved += !entries[i].out_result;
	if (moved != move.out_moved)
		dt_die("DISCO_MOVE: %u moved, not %u", moved, move.out_moved);
	return moved;
}

/** dt_do_page() - one page; its result as an errno */
int dt_do_page(const struct dt_fs *fs, int vm, uint32_t operation, uint64_t gfn,
	       int node)
{
	struct disco_move_entry entry = { .gfn = gfn, .node = node };

	dt_do_list(fs, vm, operation, &entry, 1);
	return -entry.out_result;
}

/** dt_do_range() - @nr pages from @gfn on; how many results were 0 */
uint32_t dt_do_range(const struct dt_fs *fs, int vm, uint32_t operation,
		     uint64_t gfn, uint32_t nr, int node)
{
	struct disco_move_entry *entries = calloc(nr, sizeof(*entries));
	uint32_t moved;

	for (uint32_t i = 0; i < nr; i++)
		entries[i] = (struct disco_move_entry){
			.gfn = gfn + i, .node = node, .out_result = 77,
		};
	moved = dt_do_list(fs, vm, operation, entries, nr);
	free(entries);
	return moved;
}

/** dt_move_list() - dt_do_list() that migrates */
uint32_t dt_move_list(const struct dt_fs *fs, int vm,
		      struct disco_move_entry *entries, uint32_t nr)
{
	return dt_do_list(fs, vm, DISCO_MOVE_MIGRATE, entries, nr);
}

/** dt_move_page() - dt_do_page() that migrates */
int dt_move_page(const struct dt_fs *fs, int vm, uint64_t gfn, int node)
{
	return dt_do_page(fs, vm, DISCO_MOVE_MIGRATE, gfn, node);
}

/** dt_move_range() - dt_do_range() that migrates */
uint32_t dt_move_range(const struct dt_fs *fs, int vm, uint64_t gfn,
		       uint32_t nr, int node)
{
	return dt_do_range(fs, vm, DISCO_MOVE_MIGRATE, gfn, nr, node);
}

/** dt_node_of() - the node of the machine page of @gfn */
int dt_node_of(const struct dt_fs *fs, int vm, uint64_t gfn)
{
	return dt_pmap(fs, vm, gfn).node;
}

/** dt_other_node() - a node that is not @node */
int dt_other_node(int node)
{
	return node == dt_nodes[0] ? dt_nodes[1] : dt_nodes[0];
}
