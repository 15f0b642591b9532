// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory of one VM as a whole: numbers of VMs, and operations on ranges.
 */
#include <linux/slab.h>

#include "disco.h"

/* Number to VM. A VM is here from its creation until its last page is gone. */
static DEFINE_XARRAY_ALLOC1(vms);

/**
 * disco_vm_create() - make an inode of ram/ a VM's memory
 * @inode: new regular inode, not reachable yet
 *
 * Return: 0; -ENOMEM; -EMFILE if all numbers are in use.
 */
int disco_vm_create(struct inode *inode)
{
	struct disco_vm *vm;
	unsigned int i;
	int err;

	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return -ENOMEM;
	vm->inode = inode;
	for (i = 0; i < DISCO_SLOT_LOCKS; i++)
		mutex_init(&vm->slot_locks[i]);
	mutex_init(&vm->vcpus_lock);
	INIT_LIST_HEAD(&vm->vcpus);
	disco_heat_init(&vm->heat);

	vm->pmap = kzalloc(sizeof(*vm->pmap), GFP_KERNEL_ACCOUNT);
	if (!vm->pmap) {
		err = -ENOMEM;
		goto err_vm;
	}
	disco_pmap_init(vm->pmap);

	err = percpu_counter_init(&vm->nr_private, 0, GFP_KERNEL_ACCOUNT);
	if (err)
		goto err_pmap;
	err = percpu_counter_init(&vm->nr_shared, 0, GFP_KERNEL_ACCOUNT);
	if (err)
		goto err_private;

	/* Found by others from here on; empty, so they find nothing in it. */
	inode->i_private = vm;
	err = xa_alloc(&vms, &vm->id, vm, XA_LIMIT(1, U16_MAX),
		       GFP_KERNEL_ACCOUNT);
	if (err)
		goto err_shared;
	disco_count(DISCO_vms, 1);
	return 0;

err_shared:
	inode->i_private = NULL;
	percpu_counter_destroy(&vm->nr_shared);
err_private:
	percpu_counter_destroy(&vm->nr_private);
err_pmap:
	kfree(vm->pmap);
err_vm:
	kfree(vm);
	if (err == -EBUSY) {
		disco_count(DISCO_refused_ids, 1);
		err = -EMFILE;
	}
	return err;
}

/**
 * disco_vm_destroy() - free all of a VM
 * @vm: the VM, whose inode is being evicted: no mapping, no open file
 */
void disco_vm_destroy(struct disco_vm *vm)
{
	/* Its work takes the lock. */
	disco_heat_destroy(&vm->heat);
	filemap_invalidate_lock(vm->inode->i_mapping);
	disco_vm_drop(vm, vm->pmap, 0, DISCO_MAX_GFN + 1);
	filemap_invalidate_unlock(vm->inode->i_mapping);

	xa_erase(&vms, vm->id);
	disco_count(DISCO_vms, -1);
	WARN_ON_ONCE(!list_empty(&vm->vcpus));
	WARN_ON_ONCE(vm->heat.nr);
	WARN_ON_ONCE(percpu_counter_sum(&vm->nr_private));
	WARN_ON_ONCE(percpu_counter_sum(&vm->nr_shared));
	percpu_counter_destroy(&vm->nr_shared);
	percpu_counter_destroy(&vm->nr_private);
	disco_pmap_destroy(vm->pmap);
	kfree(vm->pmap);
	vm->inode->i_private = NULL;
	kfree_rcu(vm, rcu);
}

/**
 * disco_vm_lookup() - find a VM that cannot go away
 * @id: its number
 *
 * Context: the lock of a folio that lists @id as user; its slot has to go
 * before the VM does.
 * Return: the VM, or NULL if the caller's premise is wrong.
 */
struct disco_vm *disco_vm_lookup(u32 id)
{
	return xa_load(&vms, id);
}

/**
 * disco_vm_find() - find a VM by number, on whatever mount it is
 * @id: the number
 *
 * Holds the mount as well as the inode: nothing else keeps it from being
 * unmounted, and an inode must not outlive that.
 *
 * Return: its inode, for disco_vm_put(), or NULL.
 */
struct inode *disco_vm_find(u32 id)
{
	struct inode *inode = NULL;
	struct super_block *sb = NULL;
	struct disco_vm *vm;

	rcu_read_lock();
	vm = xa_load(&vms, id);
	/* The mount's memory is freed after its VMs', by RCU too. */
	if (vm && atomic_inc_not_zero(&vm->inode->i_sb->s_active)) {
		sb = vm->inode->i_sb;
		inode = igrab(vm->inode);
	}
	rcu_read_unlock();
	if (sb && !inode)
		deactivate_super(sb);
	return inode;
}

/**
 * disco_vm_put() - drop the references of disco_vm_find()
 * @inode: the VM's inode
 *
 * Context: may be the last reference of VM and mount: holds no folio lock.
 */
void disco_vm_put(struct inode *inode)
{
	struct super_block *sb = inode->i_sb;

	iput(inode);
	deactivate_super(sb);
}

/**
 * disco_vm_find_next() - find the next VM of a mount
 * @sb: the mount
 * @id: number to start from; set past the one that was found
 * @dying: set to true if one on the way there is going away and may have pages
 *
 * Context: @sb is held by an open file.
 * Return: its inode with a reference, or NULL if there is none.
 */
struct inode *disco_vm_find_next(struct super_block *sb, unsigned long *id,
				 bool *dying)
{
	struct inode *inode = NULL;
	struct disco_vm *vm;

	rcu_read_lock();
	for (vm = xa_find(&vms, id, U16_MAX, XA_PRESENT); vm;
	     vm = xa_find_after(&vms, id, U16_MAX, XA_PRESENT)) {
		if (vm->inode->i_sb != sb)
			continue;
		inode = igrab(vm->inode);
		if (inode)
			break;
		*dying = true;
	}
	rcu_read_unlock();
	(*id)++;
	return inode;
}

/**
 * disco_view_possible() - can there be a view
 * @view: its number
 *
 * Return: true for the home view, and those of nodes that the machine can have.
 */
bool disco_view_possible(u64 view)
{
	return !view || (view <= MAX_NUMNODES && node_possible(view - 1));
}

/**
 * disco_vm_has_view() - will disco_vm_zap() find mappings of a view?
 * @vm: the VM
 * @view: the view
 *
 * Return: true for the home view, and those given to disco_vm_add_view().
 */
bool disco_vm_has_view(struct disco_vm *vm, u64 view)
{
	return !view || (view <= MAX_NUMNODES && node_isset(view - 1, vm->views));
}

/**
 * disco_vm_add_view() - let disco_vm_zap() look for mappings of a view as well
 * @vm: the VM
 * @view: the view
 *
 * Context: mmap_lock held for writing: no fault in the new mapping yet. One
 * that comes later maps its page under the slot's or the folio's lock, and who
 * then changes the slot and zaps under the same lock knows of the view.
 * Return: 0; -EINVAL if the machine cannot have the view's node.
 */
int disco_vm_add_view(struct disco_vm *vm, u64 view)
{
	if (!disco_view_possible(view))
		return -EINVAL;
	if (view && !node_isset(view - 1, vm->views))
		node_set(view - 1, vm->views);
	return 0;
}

/**
 * disco_vm_zap() - unmap a range from every view of a VM, and flush
 * @vm: the VM
 * @gfn: first page
 * @nr: how many pages
 *
 * Context: may hold a folio lock; takes i_mmap_rwsem.
 */
void disco_vm_zap(struct disco_vm *vm, pgoff_t gfn, pgoff_t nr)
{
	struct address_space *mapping = vm->inode->i_mapping;
	int node;

	unmap_mapping_pages(mapping, gfn, nr, false);
	for_each_node_mask(node, vm->views)
		unmap_mapping_pages(mapping, disco_view_pgoff(node + 1, gfn),
				    nr, false);
}

/**
 * disco_vm_drop() - make every slot of a range a hole
 * @vm: the VM
 * @pmap: its table, or one being made for it
 * @start: first gfn
 * @end: end of the range, exclusive
 *
 * Never allocates and never fails: it is tear-down.
 *
 * Context: @vm's invalidate_lock held exclusive, so no fault can map a page
 * between the one zap for all and the slot.
 */
void disco_vm_drop(struct disco_vm *vm, struct disco_pmap_table *pmap,
		   pgoff_t start, pgoff_t end)
{
	unsigned long *slot;
	pgoff_t gfn;

	lockdep_assert_held_write(&vm->inode->i_mapping->invalidate_lock);
	if (start >= end)
		return;
	if (pmap == vm->pmap) {
		disco_vm_zap(vm, start, end - start);
		disco_heat_drop(&vm->heat, start, end);
	}
	disco_pmap_for_each(pmap, slot, gfn, start, end) {
		disco_slot_drop(vm, gfn, slot);
		cond_resched();
	}
	disco_pmap_free_leaves(pmap, start, end);
}

/* Lock nothing, return a page that is @vm's own, or NULL for a hole. */
static int get_filled(struct disco_vm *vm, pgoff_t gfn, struct folio **foliop)
{
	struct address_space *mapping = vm->inode->i_mapping;
	unsigned long *slot;
	int err = 0;

	*foliop = NULL;
	filemap_invalidate_lock_shared(mapping);
	slot = disco_pmap_slot(vm->pmap, gfn);
	if (slot && disco_slot_filled(READ_ONCE(*slot)))
		err = disco_slot_get_private(vm, gfn, NULL, 0, NULL, foliop);
	filemap_invalidate_unlock_shared(mapping);
	if (*foliop)
		folio_unlock(*foliop);
	return err;
}

/**
 * disco_vm_zero_partial() - zero the pages at both ends of a range, in part
 * @vm: the VM
 * @start: first byte
 * @end: end of the range, exclusive
 *
 * Whole pages in between are left alone: the caller drops them. Both pages are
 * made private before either is changed, so an error changes nothing.
 *
 * Context: inode lock held. May sleep.
 * Return: 0, -ENOMEM or -ENOSPC if a shared page could not be copied.
 */
int disco_vm_zero_partial(struct disco_vm *vm, loff_t start, loff_t end)
{
	pgoff_t first = start >> PAGE_SHIFT, last = end >> PAGE_SHIFT;
	size_t head = offset_in_page(start), tail = offset_in_page(end);
	struct folio *head_folio = NULL, *tail_folio = NULL;
	int err;

	if (first == last) {
		if (head == tail)
			return 0;
		err = get_filled(vm, first, &head_folio);
		if (err || !head_folio)
			return err;
		folio_zero_segment(head_folio, head, tail);
		folio_put(head_folio);
		return 0;
	}

	if (head) {
		err = get_filled(vm, first, &head_folio);
		if (err)
			return err;
	}
	if (tail) {
		err = get_filled(vm, last, &tail_folio);
		if (err)
			goto out;
	}
	if (head_folio)
		folio_zero_segment(head_folio, head, PAGE_SIZE);
	if (tail_folio)
		folio_zero_segment(tail_folio, 0, tail);
	err = 0;
	if (tail_folio)
		folio_put(tail_folio);
out:
	if (head_folio)
		folio_put(head_folio);
	return err;
}
