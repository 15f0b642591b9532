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
 * A shared page has users in other VMs, whose locks nobody can have all at once.
 * It gets a copy, to which the users change one after the other as in a merge:
 * the copy lists the user, under its lock, then the slot is set, under the lock
 * of the old page. At each step every user has one of two equal pages; when the
 * last one has changed, the old page is free.
 */
#include <linux/capability.h>
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

/* Context: invalidate_lock. The folio with a reference, NULL for a hole. */
static struct folio *get_filled(struct disco_vm *vm, pgoff_t gfn, bool *shared)
{
	unsigned long *slot = disco_pmap_slot(vm->pmap, gfn), value;
	struct folio *folio;

	while (slot) {
		value = READ_ONCE(*slot);
		if (!disco_slot_filled(value))
			break;
		folio = disco_slot_lock_folio(slot, value);
		if (!folio)
			continue;
		folio_unlock(folio);
		*shared = disco_slot_state(value) == DISCO_PAGE_SHARED;
		return folio;
	}
	return NULL;
}

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
	folio = get_filled(run->vm, entry->gfn, &shared);
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

/*
 * May @folio, which was shared when the caller got its reference, be moved away
 * from all its users? From then on it stays shared, as nobody takes over a page
 * that somebody else has a reference to.
 */
static int check_shared(struct disco_vm *vm, struct folio *folio)
{
	unsigned int i, nr;
	bool others = false;
	int refs, ptes, err = 0;

	folio_lock(folio);
	nr = disco_memmap_count(folio);
	for (i = 0; i < nr; i++)
		others |= disco_memmap_get(folio, i).vm != vm->id;
	/*
	 * References of slots, of PTEs and the caller's. PTEs can go meanwhile,
	 * but none comes while we have the lock. folio_mapcount() is not for
	 * modules everywhere, and this is a single page.
	 */
	refs = folio_ref_count(folio);
	ptes = atomic_read(&folio->_mapcount) + 1;
	if (disco_memmap_cached(folio))
		err = -EOPNOTSUPP;
	else if (refs > nr + ptes + 1)
		err = -EBUSY;
	folio_unlock(folio);
	if (!err && others && !capable(CAP_SYS_NICE))
		err = -EPERM;
	return err;
}

/* @new, which nobody knows yet, gets its first user. */
static bool move_first_user(struct disco_vm *vm, pgoff_t gfn,
			    struct folio *folio, struct folio *new)
{
	unsigned long *slot = disco_pmap_slot(vm->pmap, gfn);

	if (!slot ||
	    !disco_slot_lock_folio(slot, disco_slot_value(folio,
							  DISCO_PAGE_SHARED)))
		return false;
	disco_memmap_init(new, disco_user(vm, gfn));
	folio_get(new);
	disco_slot_replace_shared(vm, gfn, slot, folio, new,
				  DISCO_shared_to_shared_move);
	folio_unlock(folio);
	folio_put(folio);
	return true;
}

static bool list_on(struct disco_vm *vm, pgoff_t gfn, struct folio *new)
{
	bool ok;

	folio_lock(new);
	/* All that changed to it may have left it again. */
	ok = disco_memmap_count(new) && !disco_slot_list_user(vm, gfn, new);
	if (ok)
		folio_get(new);
	folio_unlock(new);
	return ok;
}

/* Another user changes from @folio to @new. Context: its invalidate_lock. */
static bool move_user(struct disco_vm *vm, pgoff_t gfn, struct folio *folio,
		      struct folio *new)
{
	unsigned long *slot = disco_pmap_slot(vm->pmap, gfn);
	bool ok;

	if (!slot || !list_on(vm, gfn, new))
		return false;
	ok = disco_slot_lock_folio(slot, disco_slot_value(folio,
							  DISCO_PAGE_SHARED));
	if (ok) {
		disco_slot_replace_shared(vm, gfn, slot, folio, new,
					  DISCO_shared_to_shared_move);
		folio_unlock(folio);
		folio_put(folio);
	} else {
		/* It has written to the page, or dropped it. */
		folio_lock(new);
		disco_slot_leave(vm, gfn, new);
		folio_unlock(new);
	}
	return ok;
}

static bool get_user_of(struct folio *folio, unsigned int i,
			struct disco_user *user)
{
	bool found;

	folio_lock(folio);
	found = i < disco_memmap_count(folio);
	if (found)
		*user = disco_memmap_get(folio, i);
	folio_unlock(folio);
	return found;
}

/*
 * Those that cannot be moved stay where they are: of a VM that is going away, or
 * when there is no memory for a list.
 */
static void move_other_users(struct folio *folio, struct folio *new)
{
	struct disco_user user;
	unsigned int stay = 0;
	struct inode *inode;
	bool ok;

	while (get_user_of(folio, stay, &user)) {
		inode = disco_vm_find(user.vm);
		if (!inode) {
			stay++;
			continue;
		}
		filemap_invalidate_lock_shared(inode->i_mapping);
		ok = move_user(disco_vm(inode), user.gfn, folio, new);
		filemap_invalidate_unlock_shared(inode->i_mapping);
		disco_vm_put(inode);
		stay += !ok;
		cond_resched();
	}
}

/* @folio is shared and has the caller's reference, so it cannot change. */
static int move_users(struct disco_vm *vm, pgoff_t gfn, struct folio *folio,
		      int node)
{
	struct address_space *mapping = vm->inode->i_mapping;
	struct folio *new;
	bool ok;

	disco_unsettle();
	if (!disco_folio_charge(disco_vm_sb(vm))) {
		disco_settle();
		disco_refuse(DISCO_refused_limit, vm, gfn);
		return -ENOSPC;
	}
	new = disco_folio_alloc_on(node, folio);
	if (!new) {
		disco_folio_uncharge(disco_vm_sb(vm));
		disco_settle();
		disco_refuse(DISCO_refused_node_full, vm, gfn);
		return -ENOMEM;
	}

	disco_folio_copy(new, folio);
	filemap_invalidate_lock_shared(mapping);
	ok = move_first_user(vm, gfn, folio, new);
	filemap_invalidate_unlock_shared(mapping);
	if (!ok) {
		disco_folio_discard(vm, new);
		return -EBUSY;
	}
	/* From here on it is its users' to give back. */
	move_other_users(folio, new);
	folio_put(new);
	disco_settle();
	return 0;
}

static int move_shared(struct disco_vm *vm, pgoff_t gfn, int node)
{
	struct disco_sb *sbi = disco_vm_sb(vm);
	struct folio *folio;
	bool shared;
	int err;

	/* Two at a time would leave users on two pages in the end. */
	mutex_lock(&sbi->move_lock);
	/* A page on its way lists a user whose slot is not set yet. */
	percpu_down_read(&sbi->check_lock);
	filemap_invalidate_lock_shared(vm->inode->i_mapping);
	folio = get_filled(vm, gfn, &shared);
	filemap_invalidate_unlock_shared(vm->inode->i_mapping);
	if (!folio) {
		err = -ENOENT;
		goto unlock;
	}
	if (folio_nid(folio) == node)
		err = -EEXIST;
	else
		err = shared ? check_shared(vm, folio) : -EBUSY;
	if (!err)
		err = move_users(vm, gfn, folio, node);
	folio_put(folio);
unlock:
	percpu_up_read(&sbi->check_lock);
	mutex_unlock(&sbi->move_lock);
	return err;
}

static void move_shared_pages(struct move_run *run)
{
	unsigned int i, tries;
	int err;

	for_each_set_bit(i, &run->shared, RUN_PAGES) {
		for (tries = 0; tries < TRIES; tries++) {
			err = move_shared(run->vm, run->entry[i].gfn,
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
