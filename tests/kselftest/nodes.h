/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DISCO_TEST_NODES_H
#define DISCO_TEST_NODES_H

#include "support.h"

#define DT_MAX_NODES 64

/* The nodes that have memory. */
extern int dt_nodes[DT_MAX_NODES];
extern int dt_nr_nodes;

void dt_find_nodes(void);
int dt_try_move(const struct dt_fs *fs, struct disco_move *move);

/* Any operation of DISCO_MOVE, and migration. */
uint32_t dt_do_list(const struct dt_fs *fs, int vm, uint32_t operation,
		    struct disco_move_entry *entries, uint32_t nr);
int dt_do_page(const struct dt_fs *fs, int vm, uint32_t operation, uint64_t gfn,
	       int node);
uint32_t dt_do_range(const struct dt_fs *fs, int vm, uint32_t operation,
		     uint64_t gfn, uint32_t nr, int node);
uint32_t dt_move_list(const struct dt_fs *fs, int vm,
		      struct disco_move_entry *entries, uint32_t nr);
int dt_move_page(const struct dt_fs *fs, int vm, uint64_t gfn, int node);
uint32_t dt_move_range(const struct dt_fs *fs, int vm, uint64_t gfn,
		       uint32_t nr, int node);

int dt_node_of(const struct dt_fs *fs, int vm, uint64_t gfn);
int dt_other_node(int node);

/* A test of several nodes is skipped where there is one. */
#define DT_NEED_NODES() do {						\
	dt_find_nodes();						\
	if (dt_nr_nodes < 2)						\
		SKIP(_exit(255), "this machine has one node");		\
} while (0)

#endif
