// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a page: every change of a slot's state is in this file and in
 * share.c.
 *
 *	            write              clone, merge
 *	  hole ------------> private ------------> shared <---- disk read: from
 *	   |  \                 ^  ^                 |          every state
 *	   |   \ read           |  | write: copy, or |
 *	   |    v               |  | reuse if last   |
 *	   |   zero ------------+  +-----------------+
 *	   |        write
 *	   +<---- punch, truncate, merge of zeros: from every state
 *
 * A shared page may have replicas (replica.c), which go with its last user or,
 * if that one writes, when it becomes private.
 *
 * With invalidate_lock held shared, states only move forward: a hole never
 * comes back. So a page allocated for a slot's next state stays of use when
 * the slot has to be read again. Locks: disco.h.
 */
#include "slot.h"

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

/**
 * disco_slot_get_filled() - get the page of a filled slot
 * @vm: the VM
 * @gfn: which page
 * @shared: set to whether it was shared at a moment when the caller had the
 *	reference
 *
 * Context: may sleep; invalidate_lock of @vm held.
 * Return: the folio, not locked, with a reference, or NULL for a hole.
 */
struct folio *disco_slot_get_filled(struct disco_vm *vm, pgoff_t gfn,
				    bool *shared)
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

/**
 * disco_slot_get_folio() - get a page to read from
 * @vm: the VM
 * @gfn: which page
 *
 * A page with a reference may change, but is not shared or taken over.
 *
 * Context: may sleep; takes @vm's invalidate_lock shared.
 * Return: the folio, not locked, with a reference, or NULL for a hole.
 */
struct folio *disco_slot_get_folio(struct disco_vm *vm, pgoff_t gfn)
{
	struct folio *folio;
	bool shared;

	filemap_invalidate_lock_shared(vm->inode->i_mapping);
	folio = disco_slot_get_filled(vm, gfn, &shared);
	filemap_invalidate_unlock_shared(vm->inode->i_mapping);
	return folio;
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
	disco_slot_assert_empty(vm, gfn);
	disco_slot_set(slot, disco_slot_value(folio, DISCO_PAGE_PRIVATE));
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
 * Shared to private without a copy, if @vm is the last user, the buffer cache
 * counted, and nobody else has a reference: a pin taken through a former
 * user's mapping must not see what this VM writes. @refs is what the caller
 * holds.
 */
static bool reuse(struct disco_vm *vm, pgoff_t gfn, unsigned long *slot,
		  struct folio *folio, int refs)
{
	if (disco_memmap_cached(folio) || disco_memmap_count(folio) > 1)
		return false;
	/*
	 * Our own PTEs hold references too; they are read-only in any case. Nobody
	 * may go on reading a replica: what is written would not be in it.
	 */
	if (disco_slot_mapped(folio, refs))
		disco_vm_zap(vm, gfn, 1);
	if (!folio_ref_freeze(folio, 1 + refs))
		return false;
	disco_slot_set(slot, disco_slot_value(folio, DISCO_PAGE_PRIVATE));
	folio_ref_unfreeze(folio, 1 + refs);
	disco_replica_drop_all(vm, gfn, folio);

	percpu_counter_dec(&vm->nr_shared);
	percpu_counter_inc(&vm->nr_private);
	disco_count_page(DISCO_shared_to_private_reuse, vm, gfn, folio);
	return true;
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
	disco_slot_set(slot, disco_slot_value(new, DISCO_PAGE_PRIVATE));
	disco_vm_zap(vm, gfn, 1);
	disco_slot_leave(vm, gfn, old);

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
		disco_slot_assert_empty(vm, gfn);
		disco_slot_set(slot, DISCO_PAGE_ZERO);
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
		disco_slot_assert_empty(vm, gfn);
		disco_slot_set(slot, 0);
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
	if (disco_slot_mapped(folio, 0))
		disco_vm_zap(vm, gfn, 1);
	disco_slot_set(slot, 0);
	percpu_counter_dec(shared ? &vm->nr_shared : &vm->nr_private);
	disco_count_page(shared ? DISCO_shared_to_hole : DISCO_private_to_hole,
			 vm, gfn, folio);

	/* Unlocked while there is a reference: leaving drops the slot's. */
	folio_get(folio);
	disco_slot_leave(vm, gfn, folio);
	disco_settle();
	folio_unlock(folio);
	folio_put(folio);
}
