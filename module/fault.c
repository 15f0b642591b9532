// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults on the mappings of a VM's memory, after mm/secretmem.c.
 */
#include <linux/sizes.h>

#include "disco.h"

static vm_fault_t error_to_fault(int err)
{
	/* No room in the mount is what tmpfs makes a SIGBUS of. */
	return err == -ENOSPC ? VM_FAULT_SIGBUS : vmf_error(err);
}

/* Pages that one read fault looks at, aligned; mm/'s fault_around_bytes. */
#define AROUND_PAGES (SZ_64K / PAGE_SIZE)

/*
 * What the CPU that faults should read of a shared page, which is locked: the
 * copy of the view's node, or in the home view of its own.
 */
static struct folio *nearest(struct vm_fault *vmf, struct folio *folio)
{
	u64 view = disco_view(vmf->pgoff);
	int node = view ? view - 1 : numa_mem_id();

	if (folio_nid(folio) == node)
		return folio;
	return disco_replica_on(folio, node) ?: folio;
}

/* Maps a page if it is shared and nobody has it locked. */
static void map_neighbour(struct vm_fault *vmf, unsigned long *slot,
			  unsigned long addr)
{
	unsigned long value = READ_ONCE(*slot);
	struct folio *folio = disco_slot_folio(value);

	if (disco_slot_state(value) != DISCO_PAGE_SHARED ||
	    !folio_try_get(folio))
		return;
	/* As disco_slot_lock_folio(), but not worth waiting for. */
	if (READ_ONCE(*slot) == value && folio_trylock(folio)) {
		/* If there is a PTE already, it stays. */
		if (READ_ONCE(*slot) == value)
			vmf_insert_page(vmf->vma, addr,
					folio_page(nearest(vmf, folio), 0));
		folio_unlock(folio);
	}
	folio_put(folio);
}

/*
 * Guests go on reading what a disk read brought in, or a clone: the neighbours
 * of a shared page are mapped with it, as filemap_map_pages() does. Before the
 * page itself, for nobody holds two folio locks.
 */
static void fault_around(struct disco_vm *vm, struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long addr, start, end;
	unsigned long *slot;
	pgoff_t gfn;

	start = max(round_down(vmf->address, AROUND_PAGES * PAGE_SIZE),
		    vma->vm_start);
	end = min(round_down(vmf->address, AROUND_PAGES * PAGE_SIZE) +
		  AROUND_PAGES * PAGE_SIZE, vma->vm_end);
	for (addr = start; addr < end; addr += PAGE_SIZE) {
		if (addr == round_down(vmf->address, PAGE_SIZE))
			continue;
		gfn = disco_view_gfn(linear_page_index(vma, addr));
		slot = disco_pmap_slot(vm->pmap, gfn);
		if (slot)
			map_neighbour(vmf, slot, addr);
	}
}

static vm_fault_t read_fault(struct disco_vm *vm, struct vm_fault *vmf)
{
	pgoff_t gfn = disco_view_gfn(vmf->pgoff);
	unsigned long *slot, value;
	struct folio *folio, *copy;
	vm_fault_t ret;
	int err;

	slot = disco_pmap_slot_alloc(vm->pmap, gfn);
	if (!slot) {
		disco_refuse(DISCO_refused_nomem, vm, gfn);
		return VM_FAULT_OOM;
	}
	/* The sampler wants a fault of each page. */
	if (disco_slot_state(READ_ONCE(*slot)) == DISCO_PAGE_SHARED &&
	    !disco_heat_sampled(vm, gfn))
		fault_around(vm, vmf);
	do {
		value = READ_ONCE(*slot);
		if (!disco_slot_filled(value)) {
			ret = disco_slot_map_zero(vm, slot, vmf);
			if (ret)
				return ret;
			err = disco_slot_get_private(vm, gfn, vmf->vma,
						     vmf->address, NULL,
						     &folio);
			if (err)
				return error_to_fault(err);
		} else {
			folio = disco_slot_lock_folio(slot, value);
		}
	} while (!folio);

	copy = disco_slot_state(READ_ONCE(*slot)) == DISCO_PAGE_SHARED ?
	       nearest(vmf, folio) : folio;
	if (copy != folio) {
		/*
		 * Under the lock of its master, as who changes the slot takes
		 * that one and unmaps both.
		 */
		ret = vmf_insert_page(vmf->vma, vmf->address,
				      folio_page(copy, 0));
		folio_unlock(folio);
		folio_put(folio);
		return ret;
	}
	vmf->page = folio_page(folio, 0);
	return VM_FAULT_LOCKED;
}

/* The slot's folio is returned locked, so it stays the slot's until mapped. */
static vm_fault_t disco_fault(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	pgoff_t gfn = disco_view_gfn(vmf->pgoff);
	struct disco_vm *vm = disco_vm(inode);
	struct folio *folio;
	vm_fault_t ret;
	u64 start;
	int err;

	filemap_invalidate_lock_shared(inode->i_mapping);
	start = disco_heat_clock(vm);
	/* mremap() can stretch a mapping into a view that nobody has mapped. */
	if (gfn >= disco_vm_pages(vm) ||
	    !disco_vm_has_view(vm, disco_view(vmf->pgoff))) {
		ret = VM_FAULT_SIGBUS;
	} else if (vmf->flags & FAULT_FLAG_WRITE) {
		err = disco_slot_get_private(vm, gfn, vmf->vma,
					     vmf->address, NULL, &folio);
		if (err) {
			ret = error_to_fault(err);
		} else {
			vmf->page = folio_page(folio, 0);
			ret = VM_FAULT_LOCKED;
		}
	} else {
		ret = read_fault(vm, vmf);
	}
	if (!(ret & VM_FAULT_ERROR))
		disco_heat_fault(vm, gfn, vmf->flags & FAULT_FLAG_WRITE, start);
	filemap_invalidate_unlock_shared(inode->i_mapping);
	return ret;
}

/*
 * A write to a page, or replica, that is mapped read-only, or the second half of a
 * write fault. A private page is returned locked: with no mapping of its own the
 * kernel would otherwise take it for truncated and try again for ever. Anything
 * else is replaced in the slot, which zaps the PTE, and the access is repeated.
 */
static vm_fault_t disco_page_mkwrite(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct folio *private, *folio = page_folio(vmf->page);
	pgoff_t gfn = disco_view_gfn(vmf->pgoff);
	struct disco_vm *vm = disco_vm(inode);
	unsigned long *slot, value;
	vm_fault_t ret;
	u64 start;
	int err;

	filemap_invalidate_lock_shared(inode->i_mapping);
	start = disco_heat_clock(vm);
	if (gfn >= disco_vm_pages(vm)) {
		ret = VM_FAULT_SIGBUS;
		goto unlock;
	}

	value = disco_slot_value(folio, DISCO_PAGE_PRIVATE);
	slot = disco_pmap_slot(vm->pmap, gfn);
	if (slot && READ_ONCE(*slot) == value) {
		folio_lock(folio);
		if (READ_ONCE(*slot) == value) {
			ret = VM_FAULT_LOCKED;
			/* Without a PTE: of a fault that is counted already. */
			if (vmf->pte)
				disco_heat_fault(vm, gfn, true, start);
			goto unlock;
		}
		folio_unlock(folio);
	}

	err = disco_slot_get_private(vm, gfn, vmf->vma, vmf->address,
				     folio, &private);
	if (err) {
		ret = error_to_fault(err);
		goto unlock;
	}
	folio_unlock(private);
	folio_put(private);
	ret = VM_FAULT_NOPAGE;
unlock:
	filemap_invalidate_unlock_shared(inode->i_mapping);
	return ret;
}

const struct vm_operations_struct disco_vm_ops = {
	.fault		= disco_fault,
	.page_mkwrite	= disco_page_mkwrite,
};
