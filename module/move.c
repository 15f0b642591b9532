// SPDX-License-Identifier: GPL-2.0-only
/*
 * DISCO_MOVE: pages of a VM go to other nodes (Disco, section 5.1: page
 * migration). Contents stay, so the guest sees nothing of it.
 *
 * Pages are dealt with some at a time, with invalidate_lock held exclusive:
 *
 *	(shared)	look, allocate on the wanted node
 *	(exclusive)	unmap runs of pages, one flush for each run
 *			each page: nobody has it pinned, copy, set the slot
 *
 * So the VM's faults wait for a run and not for an allocation, and a fault that
 * looks up a page is not under way with a reference that would look like a pin.
 *
 * Here are the list and what becomes of private pages. Shared pages are moved
 * by move_shared.c, one by one; replicas are replicate.c's.
 */
#include <linux/cpuset.h>
#include <linux/file.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "move.h"
#include "slot.h"

/*
 * A reference that goes in a moment looks like a pin: that of a system call that
 * reads the page, of a fault that makes it writable, or of one that has just
 * ended. How often to look.
 */
#define TRIES 4

/**
 * disco_move_check_node() - can a page be put on a node
 * @node: the node
 *
 * Return: 0, or a result of struct disco_move_entry.
 */
int disco_move_check_node(u32 node)
{
	if (node >= MAX_NUMNODES || !node_state(node, N_MEMORY))
		return -EINVAL;
	return node_isset(node, cpuset_current_mems_allowed) ? 0 : -EACCES;
}

static int migrate_prepare(struct disco_move_run *run, unsigned int i,
			   struct folio *folio, bool shared)
{
	const struct disco_move_entry *entry = &run->entry[i];

	if (folio_nid(folio) == entry->node)
		return -EEXIST;
	if (shared) {
		/* Its result is migrate_finish()'s. */
		run->shared |= BIT(i);
		return -EBUSY;
	}
	run->new[i] = disco_folio_alloc_on(entry->node, folio);
	if (run->new[i])
		return 0;
	disco_refuse(DISCO_refused_node_full, run->vm, entry->gfn);
	return -ENOMEM;
}

/*
 * The new page takes the place of @folio, and of its part in the mount's limit.
 * What the slot holds may have changed since migrate_prepare(), but cannot any
 * more.
 */
static int migrate_act(struct disco_move_run *run, unsigned int i,
		       unsigned long *slot, struct folio *folio)
{
	pgoff_t gfn = run->entry[i].gfn;
	struct folio *new = run->new[i];
	struct disco_vm *vm = run->vm;

	/* Moved by somebody else, or by an earlier entry. */
	if (folio_nid(folio) == run->entry[i].node)
		return -EEXIST;
	if (disco_slot_state(READ_ONCE(*slot)) == DISCO_PAGE_SHARED) {
		run->shared |= BIT(i);
		return 0;
	}
	/* A fault that had it locked at the time of the run's zap. */
	if (folio_mapped(folio))
		disco_vm_zap(vm, gfn, 1);
	/* Unmapped and flushed: the slot's reference is all there may be. */
	if (!folio_ref_freeze(folio, 1))
		return -EBUSY;
	disco_folio_copy(new, folio);
	disco_memmap_init(new, disco_user(vm, gfn));
	disco_slot_set(slot, disco_slot_value(new, DISCO_PAGE_PRIVATE));
	disco_memmap_del(folio, disco_user(vm, gfn));
	folio_ref_unfreeze(folio, 1);
	disco_count_page(DISCO_private_to_private_move, vm, gfn, new);
	/* The slot has the new page's reference; the old page's is left. */
	run->new[i] = folio;
	return 0;
}

static void migrate_discard(struct disco_move_run *run, unsigned int i)
{
	folio_put(run->new[i]);
}

static void migrate_finish(struct disco_move_run *run)
{
	unsigned int i, tries;
	int err;

	for_each_set_bit(i, &run->shared, DISCO_RUN_PAGES) {
		for (tries = 0; tries < TRIES; tries++) {
			err = disco_move_shared(run->vm, run->entry[i].gfn,
						run->entry[i].node);
			if (err != -EBUSY)
				break;
			cond_resched();
		}
		if (err == -EBUSY)
			disco_refuse(DISCO_refused_pinned, run->vm,
				     run->entry[i].gfn);
		run->entry[i].out_result = err;
	}
}

static const struct disco_move_ops migrate_ops = {
	.check_node = disco_move_check_node,
	.prepare = migrate_prepare,
	.act = migrate_act,
	.discard = migrate_discard,
	.finish = migrate_finish,
};

static int prepare(struct disco_move_run *run, const struct disco_move_ops *ops,
		   unsigned int i)
{
	const struct disco_move_entry *entry = &run->entry[i];
	struct folio *folio;
	bool shared;
	int err;

	run->from[i] = NUMA_NO_NODE;
	err = ops->check_node(entry->node);
	if (err)
		return err;
	if (entry->gfn >= disco_vm_pages(run->vm))
		return -ENXIO;
	folio = disco_slot_get_filled(run->vm, entry->gfn, &shared);
	if (!folio)
		return -ENOENT;
	run->from[i] = folio_nid(folio);
	err = ops->prepare(run, i, folio, shared);
	folio_put(folio);
	return err;
}

static void prepare_all(struct disco_move_run *run,
			const struct disco_move_ops *ops)
{
	struct address_space *mapping = run->vm->inode->i_mapping;
	unsigned int i;

	run->todo = 0;
	run->shared = 0;
	memset(run->new, 0, sizeof(run->new));
	filemap_invalidate_lock_shared(mapping);
	for (i = 0; i < run->nr; i++) {
		run->entry[i].out_result = prepare(run, ops, i);
		if (!run->entry[i].out_result)
			run->todo |= BIT(i);
	}
	filemap_invalidate_unlock_shared(mapping);
}

/* One flush for pages that adjoin. */
static void zap_runs(struct disco_move_run *run)
{
	unsigned int first, end;

	for (first = 0; first < run->nr; first = end) {
		end = first + 1;
		if (!(run->todo & BIT(first)))
			continue;
		while (end < run->nr && run->todo & BIT(end) &&
		       run->entry[end].gfn == run->entry[end - 1].gfn + 1)
			end++;
		disco_vm_zap(run->vm, run->entry[first].gfn, end - first);
	}
}

static int act(struct disco_move_run *run, const struct disco_move_ops *ops,
	       unsigned int i)
{
	unsigned long *slot = disco_pmap_slot(run->vm->pmap, run->entry[i].gfn);
	unsigned long value = slot ? READ_ONCE(*slot) : 0;
	struct folio *folio = disco_slot_folio(value);
	int err;

	if (!disco_slot_filled(value))
		return -ENOENT;
	/* The slot's reference keeps it: nobody else can change the slot. */
	folio_lock(folio);
	err = ops->act(run, i, slot, folio);
	folio_unlock(folio);
	return err;
}

static void discard(struct disco_move_run *run,
		    const struct disco_move_ops *ops, unsigned int i)
{
	if (run->new[i])
		ops->discard(run, i);
	run->new[i] = NULL;
	run->todo &= ~BIT(i);
}

/* Leaves in todo what is to be tried again. */
static void act_all(struct disco_move_run *run,
		    const struct disco_move_ops *ops)
{
	struct address_space *mapping = run->vm->inode->i_mapping;
	unsigned int i;

	filemap_invalidate_lock(mapping);
	zap_runs(run);
	for (i = 0; i < run->nr; i++) {
		if (!(run->todo & BIT(i)))
			continue;
		run->entry[i].out_result = act(run, ops, i);
		if (run->entry[i].out_result != -EBUSY)
			discard(run, ops, i);
	}
	filemap_invalidate_unlock(mapping);
}

static void give_up(struct disco_move_run *run,
		    const struct disco_move_ops *ops)
{
	unsigned int i;

	for (i = 0; i < run->nr; i++) {
		if (!(run->todo & BIT(i)))
			continue;
		disco_refuse(DISCO_refused_pinned, run->vm, run->entry[i].gfn);
		discard(run, ops, i);
	}
}

static void move_run(struct disco_move_run *run,
		     const struct disco_move_ops *ops, u32 operation)
{
	unsigned int i, tries;

	prepare_all(run, ops);
	for (tries = 0; run->todo && tries < TRIES; tries++) {
		act_all(run, ops);
		cond_resched();
	}
	give_up(run, ops);
	if (ops->finish)
		ops->finish(run);
	for (i = 0; i < run->nr; i++)
		disco_trace_move(run->vm, operation, run->entry[i].gfn,
				 run->from[i], run->entry[i].node,
				 run->entry[i].out_result);
}

static const struct disco_move_ops *find_ops(u32 operation)
{
	switch (operation) {
	case DISCO_MOVE_MIGRATE:
		return &migrate_ops;
	case DISCO_MOVE_REPLICATE:
		return &disco_replicate_ops;
	case DISCO_MOVE_COLLAPSE:
		return &disco_collapse_ops;
	default:
		return NULL;
	}
}

static int move_list(struct disco_vm *vm, struct disco_move *move,
		     struct disco_move_run *run)
{
	const struct disco_move_ops *ops = find_ops(move->operation);
	struct disco_move_entry __user *user = u64_to_user_ptr(move->entries);
	size_t bytes;
	unsigned int i;

	run->vm = vm;
	while (move->out_nr < move->nr) {
		run->nr = min_t(u32, move->nr - move->out_nr,
				DISCO_RUN_PAGES);
		bytes = run->nr * sizeof(*user);
		if (copy_from_user(run->entry, user, bytes))
			return -EFAULT;
		move_run(run, ops, move->operation);
		if (copy_to_user(user, run->entry, bytes))
			return -EFAULT;
		for (i = 0; i < run->nr; i++)
			move->out_moved += !run->entry[i].out_result;
		move->out_nr += run->nr;
		user += run->nr;
		if (signal_pending(current))
			break;
		cond_resched();
	}
	return 0;
}

/**
 * disco_move() - DISCO_MOVE
 * @req: struct disco_move
 *
 * Return: 0; -EINVAL; -EFAULT; -ENOMEM; or an error of disco_get_vm_file().
 */
int disco_move(void *req)
{
	struct disco_move *move = req;
	struct disco_move_run *run;
	struct disco_vm *vm;
	struct file *file;
	int err = -ENOMEM;

	if (move->__reserved || !find_ops(move->operation) || !move->nr ||
	    move->nr > DISCO_MOVE_MAX)
		return -EINVAL;
	file = disco_get_vm_file(move->vm_fd, FMODE_READ | FMODE_WRITE, &vm);
	if (IS_ERR(file))
		return PTR_ERR(file);
	move->out_nr = 0;
	move->out_moved = 0;
	run = kmalloc(sizeof(*run), GFP_KERNEL_ACCOUNT);
	if (run) {
		err = move_list(vm, move, run);
		kfree(run);
	}
	fput(file);
	return err;
}
