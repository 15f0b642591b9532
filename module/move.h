/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs of the list of DISCO_MOVE, for move.c and replicate.c.
 */
#ifndef _DISCO_MOVE_H
#define _DISCO_MOVE_H

#include "disco.h"

/* Pages that are dealt with in one go: faults of the VM wait for it. */
#define DISCO_RUN_PAGES BITS_PER_LONG

/**
 * struct disco_move_run - entries that are dealt with in one go
 * @vm: the VM
 * @nr: how many there are
 * @todo: bit i: entry i is still to be dealt with
 * @shared: bit i: entry i is a shared page that is to go to another node
 * @entry: they
 * @from: nodes that the pages were on, or NUMA_NO_NODE
 * @new: a page for entry i, or NULL
 */
struct disco_move_run {
	struct disco_vm *vm;
	unsigned int nr;
	unsigned long todo;
	unsigned long shared;
	struct disco_move_entry entry[DISCO_RUN_PAGES];
	int from[DISCO_RUN_PAGES];
	struct folio *new[DISCO_RUN_PAGES];
};

/**
 * struct disco_move_ops - one operation of DISCO_MOVE
 * @check_node: may the entry name this node; a result of the entry
 * @prepare: looks at the page of entry i, which is not locked, and allocates;
 *	0 if there is something to do. Context: invalidate_lock shared
 * @act: does it, with the page locked and @slot stable; takes @new, or leaves it
 *	to be discarded; -EBUSY to be called again soon. Context: invalidate_lock
 *	exclusive, after a zap of the run
 * @discard: gives @new of entry i back
 * @finish: what remains of the run, without locks; or NULL
 */
struct disco_move_ops {
	int (*check_node)(u32 node);
	int (*prepare)(struct disco_move_run *run, unsigned int i,
		       struct folio *folio, bool shared);
	int (*act)(struct disco_move_run *run, unsigned int i,
		   unsigned long *slot, struct folio *folio);
	void (*discard)(struct disco_move_run *run, unsigned int i);
	void (*finish)(struct disco_move_run *run);
};

int disco_move_check_node(u32 node);

extern const struct disco_move_ops disco_replicate_ops;
extern const struct disco_move_ops disco_collapse_ops;

#endif /* _DISCO_MOVE_H */
