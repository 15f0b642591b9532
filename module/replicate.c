// SPDX-License-Identifier: GPL-2.0-only
/*
 * DISCO_MOVE with DISCO_MOVE_REPLICATE and DISCO_MOVE_COLLAPSE: pages of a VM get
 * copies on other nodes, and lose them.
 *
 * A private page becomes a shared one first, with this VM as its only user, and
 * by that read-only. The rest is replica.c's. What has the page mapped is unmapped
 * after the replica is there, for all VMs that have the page, so that the next
 * access finds the copy of its node; in this VM that is done for a run of pages
 * before, as none of its faults can go on until the run is over.
 */
#include <linux/capability.h>

#include "move.h"
#include "slot.h"

/*
 * Unmaps a page that is locked, and its replicas, from all that have it. One zap
 * and flush for each user: what many VMs use is expensive.
 */
static void unmap_users(struct folio *folio)
{
	unsigned int i, nr = disco_memmap_count(folio);

	for (i = 0; i < nr; i++) {
		struct disco_user user = disco_memmap_get(folio, i);
		/* Stays while it is listed: its slot has to go first. */
		struct disco_vm *vm = disco_vm_lookup(user.vm);

		if (vm)
			disco_vm_zap(vm, user.gfn, 1);
	}
}

/* Memory of others, and their time, are for who may move their pages. */
static bool may_touch(struct disco_vm *vm, struct folio *folio)
{
	return !disco_memmap_others(folio, vm->id) || capable(CAP_SYS_NICE);
}

static int replicate_prepare(struct disco_move_run *run, unsigned int i,
			     struct folio *folio, bool shared)
{
	const struct disco_move_entry *entry = &run->entry[i];
	bool there = folio_nid(folio) == entry->node;
	int err;

	/* A private page has no replicas. */
	if (shared && !there) {
		folio_lock(folio);
		there = disco_replica_on(folio, entry->node);
		folio_unlock(folio);
	}
	if (there)
		return -EEXIST;
	run->new[i] = disco_replica_alloc(run->vm, entry->gfn, folio,
					  entry->node, &err);
	return run->new[i] ? 0 : err;
}

static int replicate_act(struct disco_move_run *run, unsigned int i,
			 unsigned long *slot, struct folio *folio)
{
	pgoff_t gfn = run->entry[i].gfn;
	int node = run->entry[i].node;
	struct disco_vm *vm = run->vm;

	/* Moved there meanwhile. */
	if (folio_nid(folio) == node)
		return -EEXIST;
	if (disco_slot_state(READ_ONCE(*slot)) == DISCO_PAGE_PRIVATE) {
		if (!disco_slot_make_shared(vm, gfn, slot, folio, 1))
			return -EBUSY;
		percpu_counter_dec(&vm->nr_private);
		percpu_counter_inc(&vm->nr_shared);
	} else if (disco_replica_on(folio, node)) {
		/* By an earlier entry, or for another VM. */
		return -EEXIST;
	} else if (!may_touch(vm, folio)) {
		return -EPERM;
	}
	disco_replica_add(vm, gfn, folio, run->new[i]);
	run->new[i] = NULL;
	/* Others' mappings, and that of a fault that had the page locked. */
	if (folio_mapped(folio))
		unmap_users(folio);
	return 0;
}

static void replicate_discard(struct disco_move_run *run, unsigned int i)
{
	disco_replica_discard(run->vm, run->new[i]);
}

const struct disco_move_ops disco_replicate_ops = {
	.check_node = disco_move_check_node,
	.prepare = replicate_prepare,
	.act = replicate_act,
	.discard = replicate_discard,
};

static int collapse_check_node(u32 node)
{
	return node == DISCO_NO_NODE ? 0 : disco_move_check_node(node);
}

/* Is there anything to collapse? It saves the zap of those that are not. */
static int collapse_prepare(struct disco_move_run *run, unsigned int i,
			    struct folio *folio, bool shared)
{
	u32 node = run->entry[i].node;
	bool any;

	folio_lock(folio);
	any = node == DISCO_NO_NODE ? disco_replica_first(folio) :
				      disco_replica_on(folio, node);
	folio_unlock(folio);
	return any ? 0 : -ENOENT;
}

static int collapse_act(struct disco_move_run *run, unsigned int i,
			unsigned long *slot, struct folio *folio)
{
	const struct disco_move_entry *entry = &run->entry[i];
	struct folio *replica;

	replica = entry->node == DISCO_NO_NODE ?
		  disco_replica_first(folio) :
		  disco_replica_on(folio, entry->node);
	if (!replica)
		return -ENOENT;
	if (!may_touch(run->vm, folio))
		return -EPERM;
	/* As in replicate_act(). */
	if (disco_replica_used(folio))
		unmap_users(folio);
	if (entry->node == DISCO_NO_NODE)
		disco_replica_drop_all(run->vm, entry->gfn, folio);
	else
		disco_replica_drop(run->vm, entry->gfn, folio, replica);
	return 0;
}

const struct disco_move_ops disco_collapse_ops = {
	.check_node = collapse_check_node,
	.prepare = collapse_prepare,
	.act = collapse_act,
};
