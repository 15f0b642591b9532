// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a page: every change of a slot's state is in this file.
 *
 *	            write                 clone
 *	  hole ------------> private ------------> shared
 *	   |  \                 ^  ^                 |
 *	   |   \ read           |  | write: copy, or |
 *	   |    v               |  | reuse if last   |
 *	   |   zero ------------+  +-----------------+
 *	   |        write
 *	   +<---- punch, truncate: from every state
 *
 * With invalidate_lock held shared, states only move forward: a hole never
 * comes back. So a page allocated for a slot's next state stays of use when
 * the slot has to be read again. Locks: disco.h.
 */
#include "disco.h"

static void assert_empty_slot_held(struct disco_vm *vm, pgoff_t gfn)
{
	lockdep_assert(lockdep_is_held(disco_slot_lock(vm, gfn)) ||
		       lockdep_is_held_type(&vm->inode->i_mapping->invalidate_lock,
					    0));
}

static void set_slot(unsigned long *slot, unsigned long value)
{
	/*
	 * Pairs with the READ_ONCE() of who follows the pointer: the folio's
	 * fields are written before the slot leads to them.
	 */
	smp_store_release(slot, value);
}

/**
 * disco_slot_lock_folio() - lock the page of a filled slot
 * @slot: the slot
 * @value: what was read from it
 *
 * Context: may sleep; the leaf stays (disco.h).
 * Return: the folio, locked and with a reference; NULL if the slot changed,
 * read it again.
 */
struct folio *disco_slot_lock_folio(unsigned long *slot, unsigned long value)
{
	struct folio *folio = disco_slot_folio(value);

	if (!folio_try_get(folio))
		return NULL;
	/*
	 * The folio may have been freed and belong to somebody else since
	 * @value was read: look before locking what may not be ours.
	 */
	if (READ_ONCE(*slot) != value)
		goto put;
	folio_lock(folio);
	if (READ_ONCE(*slot) == value)
		return folio;
	folio_unlock(folio);
put:
	folio_put(folio);
	return NULL;
}

/*
 * Hole or zero to private. @folio is locked before others can find it, so the
 * caller gets it locked and with a reference of its own.
 */
static bool fill(struct disco_vm *vm, pgoff_t gfn, unsigned long *slot,
		 struct folio *folio)
{
	struct mutex *lock = disco_slot_lock(vm, gfn);
	enum disco_page_state state;

	disco_memmap_init(folio, disco_user(vm, gfn));

	mutex_lock(lock);
	state = disco_slot_state(READ_ONCE(*slot));
	if (state > DISCO_PAGE_ZERO) {
		mutex_unlock(lock);
		return false;
	}
	__folio_set_locked(folio);
	folio_get(folio);
	assert_empty_slot_held(vm, gfn);
	set_slot(slot, disco_slot_value(folio, DISCO_PAGE_PRIVATE));
	/*
	 * Readers insert the zero page under the slot lock and none can after
	 * the slot is filled; those who did before lose it here, or they would
	 * never see what the writer is about to write.
	 */
	if (state == DISCO_PAGE_ZERO)
		disco_vm_zap(vm, gfn, 1);
	mutex_unlock(lock);

	percpu_counter_inc(&vm->nr_private);
	disco_count_page(state == DISCO_PAGE_ZERO ? DISCO_zero_to_private :
						    DISCO_hole_to_private,
			 vm, gfn, folio);
	disco_settle();
	return true;
}

/*
 * Shared to private without a copy, if @vm is the last user and nobody else
 * has a reference: a pin taken through a former user's mapping must not see
 * what this VM writes. @refs is what the caller holds.
 */
static bool reuse(struct disco_vm *vm, pgoff_t gfn, unsigned long *slot,
		  struct folio *folio, int refs)
{
	if (disco_memmap_count(folio) > 1)
		return false;
	/* Our own PTEs hold references too; they are read-only in any case. */
	if (folio_mapped(folio))
		disco_vm_zap(vm, gfn, 1);
	if (!folio_ref_freeze(folio, 1 + refs))
		return false;
	set_slot(slot, disco_slot_value(folio, DISCO_PAGE_PRIVATE));
	folio_ref_unfreeze(folio, 1 + refs);

	percpu_counter_dec(&vm->nr_shared);
	percpu_counter_inc(&vm->nr_private);
	disco_count_page(DISCO_shared_to_private_reuse, vm, gfn, folio);
	return true;
}

/* The slot leaves a page that is locked and referenced by the caller. */
static void leave(struct disco_vm *vm, pgoff_t gfn, struct folio *folio)
{
	if (disco_memmap_del(folio, disco_user(vm, gfn)))
		folio_put(folio);
	else
		disco_folio_free(vm, folio);
}

/*
 * Shared to private: @new takes the place of @old, which is locked. @new comes
 * back locked and with a reference for the caller.
 */
static void replace(struct disco_vm *vm, pgoff_t gfn, unsigned long *slot,
		    struct folio *old, struct folio *new)
{
	disco_folio_copy(new, old);
	disco_memmap_init(new, disco_user(vm, gfn));
	__folio_set_locked(new);
	folio_get(new);
	/*
	 * A reader that found @old waits for its lock, looks again and finds
	 * @new. One that came before has its PTE, and loses it in the zap.
	 */
	set_slot(slot, disco_slot_value(new, DISCO_PAGE_PRIVATE));
	disco_vm_zap(vm, gfn, 1);
	leave(vm, gfn, old);

	percpu_counter_dec(&vm->nr_shared);
	percpu_counter_inc(&vm->nr_private);
	disco_count_page(DISCO_shared_to_private_copy, vm, gfn, new);
	disco_settle();
}

/**
 * disco_slot_get_private() - get a page that a VM may write
 * @vm: the VM
 * @gfn: which page; a hole is filled with zeros, a shared page is copied or,
 *	if this VM is its last user, taken over (Disco, section 4.2.1: the
 *	copy-on-write fault)
 * @vma: mapping that faults, or NULL; see disco_folio_alloc()
 * @addr: address in @vma
 * @held: folio that the caller has one reference on, or NULL
 * @foliop: set to the page, locked and with a reference
 *
 * Context: invalidate_lock of @vm held shared. May sleep.
 * Return: 0, -ENOMEM or -ENOSPC.
 */
int disco_slot_get_private(struct disco_vm *vm, pgoff_t gfn,
			   struct vm_area_struct *vma, unsigned long addr,
			   struct folio *held, struct folio **foliop)
{
	struct folio *folio, *new = NULL;
	unsigned long *slot, value;
	int err = 0, refs;

	lockdep_assert_held(&vm->inode->i_mapping->invalidate_lock);
	slot = disco_pmap_slot_alloc(vm->pmap, gfn);
	if (!slot) {
		disco_refuse(DISCO_refused_nomem, vm, gfn);
		return -ENOMEM;
	}

	for (;;) {
		value = READ_ONCE(*slot);
		if (!disco_slot_filled(value)) {
			folio = new;
			if (folio && fill(vm, gfn, slot, folio)) {
				*foliop = folio;
				return 0;
			}
		} else {
			folio = disco_slot_lock_folio(slot, value);
			if (!folio)
				continue;
			refs = held == folio ? 2 : 1;
			if (disco_slot_state(value) == DISCO_PAGE_PRIVATE ||
			    reuse(vm, gfn, slot, folio, refs))
				break;
			if (new)
				replace(vm, gfn, slot, folio, new);
			folio_unlock(folio);
			folio_put(folio);
			if (new) {
				*foliop = new;
				return 0;
			}
		}
		if (!new) {
			new = disco_folio_alloc(vm, gfn, vma, addr,
						disco_slot_filled(value) ?
						0 : __GFP_ZERO, &err);
			if (!new)
				return err;
		}
	}

	*foliop = folio;
	if (new)
		disco_folio_discard(vm, new);
	return 0;
}

/**
 * disco_slot_map_zero() - read fault on a hole
 * @vm: the VM
 * @slot: its slot
 * @vmf: the fault
 *
 * Context: invalidate_lock of @vm held shared.
 * Return: VM_FAULT_NOPAGE if the zero page is mapped, or somebody filled the
 * slot and the access has to be tried again; VM_FAULT_OOM; 0 if this node has
 * no zero page to give.
 */
vm_fault_t disco_slot_map_zero(struct disco_vm *vm, unsigned long *slot,
			       struct vm_fault *vmf)
{
	pgoff_t gfn = disco_view_gfn(vmf->pgoff);
	struct mutex *lock = disco_slot_lock(vm, gfn);
	struct folio *zero = disco_zero_folio(numa_mem_id());
	vm_fault_t ret = VM_FAULT_NOPAGE;
	bool first = false;

	if (!zero)
		return 0;

	mutex_lock(lock);
	if (!disco_slot_filled(READ_ONCE(*slot))) {
		first = disco_slot_state(READ_ONCE(*slot)) == DISCO_PAGE_HOLE;
		assert_empty_slot_held(vm, gfn);
		set_slot(slot, DISCO_PAGE_ZERO);
		ret = vmf_insert_page(vmf->vma, vmf->address,
				      folio_page(zero, 0));
	}
	mutex_unlock(lock);

	if (first)
		disco_count_page(DISCO_hole_to_zero, vm, gfn, zero);
	return ret;
}

/**
 * disco_slot_drop() - make a slot a hole
 * @vm: the VM
 * @gfn: its gfn
 * @slot: the slot, not a hole, unmapped by the caller
 *
 * Context: invalidate_lock of @vm held exclusive.
 */
void disco_slot_drop(struct disco_vm *vm, pgoff_t gfn, unsigned long *slot)
{
	unsigned long value = READ_ONCE(*slot);
	struct folio *folio;
	bool shared;

	if (disco_slot_state(value) == DISCO_PAGE_ZERO) {
		assert_empty_slot_held(vm, gfn);
		set_slot(slot, 0);
		disco_count_page(DISCO_zero_to_hole, vm, gfn, NULL);
		return;
	}

	/* The slot's reference keeps it: nobody else can change the slot. */
	folio = disco_slot_folio(value);
	shared = disco_slot_state(value) == DISCO_PAGE_SHARED;
	disco_unsettle();
	folio_lock(folio);
	/*
	 * A fault that had the page locked when the caller unmapped the range
	 * has inserted its PTE by now.
	 */
	if (folio_mapped(folio))
		disco_vm_zap(vm, gfn, 1);
	set_slot(slot, 0);
	percpu_counter_dec(shared ? &vm->nr_shared : &vm->nr_private);
	disco_count_page(shared ? DISCO_shared_to_hole : DISCO_private_to_hole,
			 vm, gfn, folio);

	/* Unlocked while there is a reference: leave() drops the slot's. */
	folio_get(folio);
	leave(vm, gfn, folio);
	disco_settle();
	folio_unlock(folio);
	folio_put(folio);
}

/* What sharing a run of slots adds to the counters of its two VMs. */
struct share_run {
	long src_became_shared;
	long dst_shared;
	long dst_copied;
};

/* Private to shared; @folio is locked. False if somebody has it pinned. */
static bool make_shared(struct disco_vm *vm, pgoff_t gfn, unsigned long *slot,
			struct folio *folio)
{
	/* Unmapped and flushed first: only then the count means something. */
	if (folio_mapped(folio))
		disco_vm_zap(vm, gfn, 1);
	if (!folio_ref_freeze(folio, 1)) {
		disco_refuse(DISCO_refused_pinned, vm, gfn);
		return false;
	}
	set_slot(slot, disco_slot_value(folio, DISCO_PAGE_SHARED));
	folio_ref_unfreeze(folio, 1);
	disco_count_page(DISCO_private_to_shared, vm, gfn, folio);
	return true;
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
	set_slot(dst_slot, disco_slot_value(new, DISCO_PAGE_PRIVATE));
	disco_count_page(DISCO_hole_to_private, dst, gfn, new);
	disco_settle();
	return 0;
}

/* 1 if @dst has the page now, 0 if it needs a copy, or -ENOMEM. */
static int share_slot(struct disco_vm *src, pgoff_t gfn, unsigned long *slot,
		      struct disco_vm *dst, unsigned long *dst_slot,
		      struct share_run *run)
{
	unsigned long value = READ_ONCE(*slot);
	struct folio *folio = disco_slot_folio(value);
	int ret = 0;

	folio_lock(folio);
	if (disco_slot_state(value) == DISCO_PAGE_PRIVATE) {
		if (!make_shared(src, gfn, slot, folio))
			goto unlock;
		run->src_became_shared++;
	}
	ret = disco_memmap_add(folio, disco_user(dst, gfn));
	if (ret) {
		disco_refuse(ret == -EMLINK ? DISCO_refused_users_full :
					      DISCO_refused_nomem, dst, gfn);
		ret = ret == -EMLINK ? 0 : ret;
		goto unlock;
	}
	folio_get(folio);
	set_slot(dst_slot, disco_slot_value(folio, DISCO_PAGE_SHARED));
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

	percpu_counter_sub(&src->nr_private, run.src_became_shared);
	percpu_counter_add(&src->nr_shared, run.src_became_shared);
	percpu_counter_add(&dst->nr_shared, run.dst_shared);
	percpu_counter_add(&dst->nr_private, run.dst_copied);
	return min(ret, 0);
}
