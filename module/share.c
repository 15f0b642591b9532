// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that several VMs share: runs of slots that a clone gives to another VM,
 * and runs that a read of a disk fills from the buffer cache.
 */
#include "slot.h"

/* What sharing a run of slots adds to counters. */
struct share_run {
	long unused;		/* by share_unused(), which counts nothing */
	long src_became_shared;
	long dst_shared;
	long dst_copied;
};

/**
 * disco_slot_make_shared() - private to shared
 * @vm: the VM
 * @gfn: its gfn
 * @slot: its slot
 * @folio: its page, locked
 * @refs: references it has then: one for each user that is listed
 *
 * Context: the caller counts the VM's pages.
 * Return: false if somebody has the page pinned.
 */
bool disco_slot_make_shared(struct disco_vm *vm, pgoff_t gfn,
			    unsigned long *slot, struct folio *folio, int refs)
{
	/* Unmapped and flushed first: only then the count means something. */
	if (folio_mapped(folio))
		disco_vm_zap(vm, gfn, 1);
	if (!folio_ref_freeze(folio, 1))
		return false;
	disco_slot_set(slot, disco_slot_value(folio, DISCO_PAGE_SHARED));
	folio_ref_unfreeze(folio, refs);
	disco_count_page(DISCO_private_to_shared, vm, gfn, folio);
	return true;
}

/**
 * disco_slot_list_user() - make a VM a user of a page, before its slot is set
 * @vm: the VM
 * @gfn: its gfn
 * @folio: the page, locked
 *
 * The slot's reference is the caller's to take.
 *
 * Return: 0; -ENOMEM; -EMLINK.
 */
int disco_slot_list_user(struct disco_vm *vm, pgoff_t gfn, struct folio *folio)
{
	int err = disco_memmap_add(folio, disco_user(vm, gfn));

	if (err)
		disco_refuse(err == -EMLINK ? DISCO_refused_users_full :
					      DISCO_refused_nomem, vm, gfn);
	return err;
}

/* A page of its own for @dst, with the contents of @src's. */
static int copy_slot(struct folio *folio, struct disco_vm *dst, pgoff_t gfn,
		     unsigned long *dst_slot)
{
	struct folio *new;
	int err;

	new = disco_folio_alloc(dst, gfn, NULL, 0, 0, &err);
	if (!new)
		return err;
	disco_folio_copy(new, folio);
	disco_memmap_init(new, disco_user(dst, gfn));
	disco_slot_set(dst_slot, disco_slot_value(new, DISCO_PAGE_PRIVATE));
	disco_count_page(DISCO_hole_to_private, dst, gfn, new);
	disco_settle();
	return 0;
}

/*
 * Most pages of a clone: private, and nobody has a reference but the slot. So
 * nobody has the page mapped or locked, or is about to look at its users, and
 * none can begin to while the count is 0. That is as good as the lock, for one
 * atomic operation instead of three.
 */
static bool share_unused(struct disco_vm *src, pgoff_t gfn, unsigned long *slot,
			 struct disco_vm *dst, unsigned long *dst_slot)
{
	unsigned long value = READ_ONCE(*slot);
	struct folio *folio = disco_slot_folio(value);

	if (disco_slot_state(value) != DISCO_PAGE_PRIVATE ||
	    !folio_ref_freeze(folio, 1))
		return false;
	/* Its second user: cannot fail. */
	disco_memmap_add(folio, disco_user(dst, gfn));
	value = disco_slot_value(folio, DISCO_PAGE_SHARED);
	disco_slot_set(slot, value);
	disco_slot_set(dst_slot, value);
	folio_ref_unfreeze(folio, 2);
	disco_note_page(DISCO_private_to_shared, src, gfn, folio);
	disco_note_page(DISCO_hole_to_shared, dst, gfn, folio);
	return true;
}

/* 1 if @dst has the page now, 0 if it needs a copy, or -ENOMEM. */
static int share_slot(struct disco_vm *src, pgoff_t gfn, unsigned long *slot,
		      struct disco_vm *dst, unsigned long *dst_slot,
		      struct share_run *run)
{
	unsigned long value = READ_ONCE(*slot);
	struct folio *folio = disco_slot_folio(value);
	int ret;

	folio_lock(folio);
	ret = disco_slot_list_user(dst, gfn, folio);
	if (ret) {
		ret = ret == -EMLINK ? 0 : ret;
		goto unlock;
	}
	if (disco_slot_state(value) == DISCO_PAGE_SHARED) {
		folio_get(folio);
	} else if (disco_slot_make_shared(src, gfn, slot, folio, 2)) {
		run->src_became_shared++;
	} else {
		disco_refuse(DISCO_refused_pinned, src, gfn);
		disco_memmap_del(folio, disco_user(dst, gfn));
		goto unlock;
	}
	disco_slot_set(dst_slot, disco_slot_value(folio, DISCO_PAGE_SHARED));
	disco_count_page(DISCO_hole_to_shared, dst, gfn, folio);
	ret = 1;
unlock:
	folio_unlock(folio);
	return ret;
}

/**
 * disco_slot_share() - give another VM the pages of a run, copy-on-write
 * @src: VM that has the pages; its mappings have been zapped
 * @gfn: first gfn, the same in both VMs
 * @slot: its slot
 * @nr: how many slots, all in one leaf
 * @dst: VM that gets them
 * @dst_slot: slot of @gfn, a run of holes in a table that nobody else can reach
 *
 * A page that somebody has pinned, or that has as many users as it can, is
 * copied. After an error some of the run may be shared: the caller drops
 * @dst's table, and @src has at worst pages in state shared with one user, which
 * its next writes take back.
 *
 * Context: invalidate_lock of both VMs held exclusive. May sleep.
 * Return: 0, -ENOMEM or -ENOSPC.
 */
int disco_slot_share(struct disco_vm *src, pgoff_t gfn, unsigned long *slot,
		     unsigned int nr, struct disco_vm *dst,
		     unsigned long *dst_slot)
{
	struct share_run run = {};
	int ret = 0;

	lockdep_assert_held_write(&src->inode->i_mapping->invalidate_lock);
	lockdep_assert_held_write(&dst->inode->i_mapping->invalidate_lock);
	for (; nr; nr--, gfn++, slot++, dst_slot++) {
		if (!disco_slot_filled(READ_ONCE(*slot)))
			continue;
		if (share_unused(src, gfn, slot, dst, dst_slot)) {
			run.unused++;
			continue;
		}
		ret = share_slot(src, gfn, slot, dst, dst_slot, &run);
		if (ret > 0) {
			run.dst_shared++;
			continue;
		}
		/*
		 * Who has the page pinned may write to it during the copy; its
		 * order with the clone is nobody's business.
		 */
		if (!ret)
			ret = copy_slot(disco_slot_folio(READ_ONCE(*slot)), dst,
					gfn, dst_slot);
		if (ret)
			break;
		run.dst_copied++;
	}

	disco_count(DISCO_private_to_shared, run.unused);
	disco_count(DISCO_hole_to_shared, run.unused);
	run.src_became_shared += run.unused;
	run.dst_shared += run.unused;
	percpu_counter_sub(&src->nr_private, run.src_became_shared);
	percpu_counter_add(&src->nr_shared, run.src_became_shared);
	percpu_counter_add(&dst->nr_shared, run.dst_shared);
	percpu_counter_add(&dst->nr_private, run.dst_copied);
	return min(ret, 0);
}

/**
 * disco_slot_enter_cached() - list a VM as a user of a page of the buffer cache
 * @vm: the VM
 * @gfn: which page of it
 * @folio: the page, with a reference
 *
 * The slot is next, and has the page that it leads to locked: nobody holds two.
 *
 * Context: may sleep; an unsettled page (disco_unsettle()).
 * Return: true, and then the slot's reference is taken; false if the page is not
 * in the cache any more, the mount is full, or there is no room for the user.
 */
bool disco_slot_enter_cached(struct disco_vm *vm, pgoff_t gfn,
			     struct folio *folio)
{
	struct disco_disk *disk;
	bool first, ok = false;

	folio_lock(folio);
	/* Dropped from the cache since the reader found it. */
	disk = disco_disk_of(folio);
	if (!disk)
		goto unlock;
	first = !disco_memmap_count(folio);
	if (first && !disco_folio_charge(disco_vm_sb(vm))) {
		disco_refuse(DISCO_refused_limit, vm, gfn);
		goto unlock;
	}
	if (disco_slot_list_user(vm, gfn, folio))
		goto unlock;
	folio_get(folio);
	if (first)
		disco_disk_count(disk, DISCO_DISK_USED, 1);
	ok = true;
unlock:
	folio_unlock(folio);
	return ok;
}

static bool cached_into_empty(struct disco_vm *vm, pgoff_t gfn,
			      unsigned long *slot, struct folio *folio)
{
	struct mutex *lock = disco_slot_lock(vm, gfn);
	enum disco_page_state state;

	mutex_lock(lock);
	state = disco_slot_state(READ_ONCE(*slot));
	if (state > DISCO_PAGE_ZERO) {
		mutex_unlock(lock);
		return false;
	}
	disco_slot_assert_empty(vm, gfn);
	disco_slot_set(slot, disco_slot_value(folio, DISCO_PAGE_SHARED));
	/* As when a write fills the slot: no zero PTE may stay. */
	if (state == DISCO_PAGE_ZERO)
		disco_vm_zap(vm, gfn, 1);
	mutex_unlock(lock);

	disco_count_page(state == DISCO_PAGE_ZERO ? DISCO_zero_to_shared :
						    DISCO_hole_to_shared,
			 vm, gfn, folio);
	return true;
}

/**
 * disco_slot_replace_shared() - shared to shared, another page
 * @vm: the VM
 * @gfn: its gfn
 * @slot: its slot
 * @old: its page, locked, with a reference of the caller's
 * @folio: the new page, which lists the VM as user
 * @transition: what to count
 */
void disco_slot_replace_shared(struct disco_vm *vm, pgoff_t gfn,
			       unsigned long *slot, struct folio *old,
			       struct folio *folio,
			       enum disco_counter transition)
{
	disco_slot_set(slot, disco_slot_value(folio, DISCO_PAGE_SHARED));
	/* Other users' PTEs may be all there is; we cannot tell. */
	if (disco_slot_mapped(old, 1))
		disco_vm_zap(vm, gfn, 1);
	disco_slot_leave(vm, gfn, old);
	disco_count_page(transition, vm, gfn, folio);
}

/*
 * The page of @old, which is locked and referenced, is what a DMA would write
 * over. Refused for a private page that somebody has pinned: he would go on
 * with a page that is the VM's no more.
 */
static bool cached_for_filled(struct disco_vm *vm, pgoff_t gfn,
			      unsigned long *slot, struct folio *old,
			      struct folio *folio)
{
	unsigned long value = disco_slot_value(folio, DISCO_PAGE_SHARED);

	if (disco_slot_state(READ_ONCE(*slot)) == DISCO_PAGE_SHARED) {
		disco_slot_replace_shared(vm, gfn, slot, old, folio,
					  DISCO_shared_to_shared);
		return true;
	}

	/* A fault that had it locked at the time of the run's zap. */
	if (folio_mapped(old))
		disco_vm_zap(vm, gfn, 1);
	/* The slot's reference and the caller's. */
	if (!folio_ref_freeze(old, 2)) {
		disco_refuse(DISCO_refused_pinned, vm, gfn);
		return false;
	}
	disco_slot_set(slot, value);
	folio_ref_unfreeze(old, 2);
	disco_slot_leave(vm, gfn, old);
	percpu_counter_dec(&vm->nr_private);
	disco_count_page(DISCO_private_to_shared, vm, gfn, folio);
	return true;
}

static bool set_cached(struct disco_vm *vm, pgoff_t gfn, unsigned long *slot,
		       struct folio *folio)
{
	unsigned long value, want = disco_slot_value(folio, DISCO_PAGE_SHARED);
	struct folio *old;
	bool was_shared, ok;

	for (;;) {
		value = READ_ONCE(*slot);
		/* Another reader of the same block was faster. */
		if (value == want)
			return false;
		if (!disco_slot_filled(value)) {
			if (!cached_into_empty(vm, gfn, slot, folio))
				continue;
			percpu_counter_inc(&vm->nr_shared);
			return true;
		}
		old = disco_slot_lock_folio(slot, value);
		if (!old)
			continue;
		was_shared = disco_slot_state(value) == DISCO_PAGE_SHARED;
		ok = cached_for_filled(vm, gfn, slot, old, folio);
		folio_unlock(old);
		folio_put(old);
		if (ok && !was_shared)
			percpu_counter_inc(&vm->nr_shared);
		return ok;
	}
}

/* False if the page has to be copied. */
static bool map_cached(struct disco_vm *vm, pgoff_t gfn, struct folio *folio)
{
	unsigned long *slot = disco_pmap_slot_alloc(vm->pmap, gfn);
	bool ok;

	if (!slot) {
		disco_refuse(DISCO_refused_nomem, vm, gfn);
		return false;
	}
	/* Read again by who has it already. */
	if (READ_ONCE(*slot) == disco_slot_value(folio, DISCO_PAGE_SHARED))
		return true;

	disco_unsettle();
	ok = disco_slot_enter_cached(vm, gfn, folio);
	if (ok && !set_cached(vm, gfn, slot, folio)) {
		folio_lock(folio);
		disco_slot_leave(vm, gfn, folio);
		folio_unlock(folio);
		ok = READ_ONCE(*slot) ==
		     disco_slot_value(folio, DISCO_PAGE_SHARED);
	}
	disco_settle();
	return ok;
}

/* Is there anything in a run that may be mapped and has to go? */
static bool must_zap(struct disco_vm *vm, pgoff_t gfn, struct folio **folios,
		     unsigned int nr)
{
	unsigned long *slot, value;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		slot = disco_pmap_slot(vm->pmap, gfn + i);
		value = slot ? READ_ONCE(*slot) : 0;
		if (disco_slot_filled(value) &&
		    value != disco_slot_value(folios[i], DISCO_PAGE_SHARED))
			return true;
	}
	return false;
}

/**
 * disco_slot_map_cached() - put pages of the buffer cache into a run of slots
 * @vm: the VM
 * @gfn: first gfn
 * @folios: pages of disks of the same mount, uptodate, with references
 * @nr: how many
 *
 * What the run had is dropped: it is what a DMA would have written over. A
 * fault meanwhile finds the old page or the new one, as it would with a DMA.
 *
 * Context: may sleep; takes @vm's invalidate_lock shared.
 * Return: how many pages were mapped, from the first on. Less than @nr if the
 * next one has to be copied: pinned, over a limit, past the end of the VM, no
 * memory for a user's record.
 */
unsigned int disco_slot_map_cached(struct disco_vm *vm, pgoff_t gfn,
				   struct folio **folios, unsigned int nr)
{
	struct disco_sb *sbi = disco_vm_sb(vm);
	unsigned int done = 0;

	percpu_down_read(&sbi->check_lock);
	filemap_invalidate_lock_shared(vm->inode->i_mapping);
	if (gfn + nr > disco_vm_pages(vm))
		nr = disco_vm_pages(vm) > gfn ? disco_vm_pages(vm) - gfn : 0;
	/* One flush for all. */
	if (must_zap(vm, gfn, folios, nr))
		disco_vm_zap(vm, gfn, nr);
	while (done < nr && map_cached(vm, gfn + done, folios[done]))
		done++;
	filemap_invalidate_unlock_shared(vm->inode->i_mapping);
	percpu_up_read(&sbi->check_lock);
	return done;
}
