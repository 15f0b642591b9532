// SPDX-License-Identifier: GPL-2.0-only
/*
 * DISCO_MOVE: pages of a VM go to other nodes (Disco, section 5.1: page
 * migration). Contents stay, so the guest sees nothing of it.
 *
 * Private pages are moved some at a time, with invalidate_lock held exclusive:
 *
 *	(shared)	look, allocate on the wanted node
 *	(exclusive)	unmap runs of pages, one flush for each run
 *			each page: nobody has it pinned, copy, set the slot
 *
 * So the VM's faults wait for a run and not for an allocation, and a fault that
 * looks up a page is not under way with a reference that would look like a pin.
 *
 * Shared pages are move_shared.c's, one by one.
 */
#include <linux/cpuset.h>
#include <linux/file.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "slot.h"

/* Pages that are moved in one go: faults of the VM wait for it. */
#define RUN_PAGES BITS_PER_LONG

/*
 * A reference that goes in a moment looks like a pin: that of a system call that
 * reads the page, of a fault that makes it writable, or of one that has just
 * ended. How often to look.
 */
#define TRIES 4

/**
 * struct move_run - entries that are moved in one go
 * @vm: the VM
 * @nr: how many there are
 * @shared: bit i: entry i is a shared page
 * @entry: they
 * @from: nodes that the pages were on, or NUMA_NO_NODE
 * @new: where entry i is to go, if it is a private page still to be moved
 */
struct move_run {
	struct disco_vm *vm;
	unsigned int nr;
	unsigned long shared;
	struct disco_move_entry entry[RUN_PAGES];
	int from[RUN_PAGES];
	struct folio *new[RUN_PAGES];
};

static int check_node(u32 node)
{
	if (node >= MAX_NUMNODES || !node_state(node, N_MEMORY))
		return -EINVAL;
	return node_isset(node, cpuset_current_mems_allowed) ? 0 : -EACCES;
}

/* Looks at entry @i and allocates. 0 if it is to be moved. */
static int prepare(struct move_run *run, unsigned int i)
{
	const struct disco_move_entry *entry = &run->entry[i];
	struct folio *folio;
	bool shared;
	int err;

	run->from[i] = NUMA_NO_NODE;
	err = check_node(entry->node);
	if (err)
		return err;
	if (entry->gfn >= disco_vm_pages(run->vm))
		return -ENXIO;
	folio = disco_slot_get_filled(run->vm, entry->gfn, &shared);
	if (!folio)
		return -ENOENT;

	run->from[i] = folio_nid(folio);
	if (run->from[i] == entry->node) {
		err = -EEXIST;
	} else if (shared) {
		run->shared |= BIT(i);
	} else {
		run->new[i] = disco_folio_alloc_on(entry->node, folio);
		if (!run->new[i]) {
			disco_refuse(DISCO_refused_node_full, run->vm,
				     entry->gfn);
			err = -ENOMEM;
		}
	}
	folio_put(folio);
	return err;
}

static void prepare_all(struct move_run *run)
{
	struct address_space *mapping = run->vm->inode->i_mapping;
	unsigned int i;

	run->shared = 0;
	memset(run->new, 0, sizeof(run->new));
	filemap_invalidate_lock_shared(mapping);
	for (i = 0; i < run->nr; i++)
		run->entry[i].out_result = prepare(run, i);
	filemap_invalidate_unlock_shared(mapping);
}

static void discard(struct move_run *run, unsigned int i)
{
	folio_put(run->new[i]);
	run->new[i] = NULL;
}

/*
 * @new takes the place of @folio, and of its part in the mount's limit. False if
 * somebody has @folio pinned.
 */
static bool replace_private(struct disco_vm *vm, pgoff_t gfn,
			    unsigned long *slot, struct folio *folio,
			    struct folio *new)
{
	bool ok;

	folio_lock(folio);
	/* A fault that had it locked at the time of the run's zap. */
	if (folio_mapped(folio))
		disco_vm_zap(vm, gfn, 1);
	/* Unmapped and flushed: the slot's reference is all there may be. */
	ok = folio_ref_freeze(folio, 1);
	if (ok) {
		disco_folio_copy(new, folio);
		disco_memmap_init(new, disco_user(vm, gfn));
		disco_slot_set(slot,
			       disco_slot_value(new, DISCO_PAGE_PRIVATE));
		disco_memmap_del(folio, disco_user(vm, gfn));
		folio_ref_unfreeze(folio, 1);
		disco_count_page(DISCO_private_to_private_move, vm, gfn, new);
	}
	folio_unlock(folio);
	/* The slot's, which now holds the new page's first reference. */
	if (ok)
		folio_put(folio);
	return ok;
}

/* What the slot holds may have changed since prepare(), but cannot any more. */
static int move_private(struct move_run *run, unsigned int i)
{
	pgoff_t gfn = run->entry[i].gfn;
	unsigned long *slot = disco_pmap_slot(run->vm->pmap, gfn);
	unsigned long value = slot ? READ_ONCE(*slot) : 0;
	struct folio *folio = disco_slot_folio(value);
	int err = 0;

	if (!disco_slot_filled(value)) {
		err = -ENOENT;
	} else if (folio_nid(folio) == run->entry[i].node) {
		/* Moved by somebody else, or by an earlier entry. */
		err = -EEXIST;
	} else if (disco_slot_state(value) == DISCO_PAGE_SHARED) {
		run->shared |= BIT(i);
	} else if (replace_private(run->vm, gfn, slot, folio, run->new[i])) {
		run->new[i] = NULL;
		return 0;
	} else {
		return -EBUSY;
	}
	discard(run, i);
	return err;
}

/* One flush for pages that adjoin. */
static void zap_runs(struct move_run *run)
{
	unsigned int first, end;

	for (first = 0; first < run->nr; first = end) {
		end = first + 1;
		if (!run->new[first])
			continue;
		while (end < run->nr && run->new[end] &&
		       run->entry[end].gfn == run->entry[end - 1].gfn + 1)
			end++;
		disco_vm_zap(run->vm, run->entry[first].gfn, end - first);
	}
}

/* Returns whether there are pages still to be moved. */
static bool move_private_pages(struct move_run *run)
{
	struct address_space *mapping = run->vm->inode->i_mapping;
	bool again = false;
	unsigned int i;

	if (!memchr_inv(run->new, 0, sizeof(run->new)))
		return false;
	filemap_invalidate_lock(mapping);
	zap_runs(run);
	for (i = 0; i < run->nr; i++) {
		if (!run->new[i])
			continue;
		run->entry[i].out_result = move_private(run, i);
		again |= !!run->new[i];
	}
	filemap_invalidate_unlock(mapping);
	return again;
}

static void give_up(struct move_run *run)
{
	unsigned int i;

	for (i = 0; i < run->nr; i++) {
		if (!run->new[i])
			continue;
		disco_refuse(DISCO_refused_pinned, run->vm, run->entry[i].gfn);
		discard(run, i);
	}
}

static void move_shared_pages(struct move_run *run)
{
	unsigned int i, tries;
	int err;

	for_each_set_bit(i, &run->shared, RUN_PAGES) {
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

static void move_run(struct move_run *run)
{
	unsigned int i, tries = TRIES;

	prepare_all(run);
	while (tries-- && move_private_pages(run))
		cond_resched();
	give_up(run);
	move_shared_pages(run);
	for (i = 0; i < run->nr; i++)
		disco_trace_move(run->vm, run->entry[i].gfn, run->from[i],
				 run->entry[i].node, run->entry[i].out_result);
}

static int move_list(struct disco_vm *vm, struct disco_move *move,
		     struct move_run *run)
{
	struct disco_move_entry __user *user = u64_to_user_ptr(move->entries);
	size_t bytes;
	unsigned int i;

	run->vm = vm;
	while (move->out_nr < move->nr) {
		run->nr = min_t(u32, move->nr - move->out_nr, RUN_PAGES);
		bytes = run->nr * sizeof(*user);
		if (copy_from_user(run->entry, user, bytes))
			return -EFAULT;
		move_run(run);
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
	struct move_run *run;
	struct disco_vm *vm;
	struct file *file;
	int err = -ENOMEM;

	if (move->__reserved || move->operation != DISCO_MOVE_MIGRATE ||
	    !move->nr || move->nr > DISCO_MOVE_MAX)
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
