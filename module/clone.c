// SPDX-License-Identifier: GPL-2.0-only
/*
 * FICLONE: a copy-on-write clone of a whole VM's memory.
 */
#include <linux/slab.h>

#include "disco.h"

/*
 * One flush for this many pages of the source. Not for all of it: what unmapping
 * a page brings into the CPU's cache is used again when the page is shared.
 */
#define ZAP_PAGES (8 * DISCO_LEAF_SLOTS)

static int share_all(struct disco_vm *src, struct disco_vm *dst,
		     struct disco_pmap_table *pmap)
{
	pgoff_t gfn = 0, last, zapped = 0, end = disco_vm_pages(src);
	unsigned long *slot, *dst_slot;
	int err;

	while ((slot = disco_pmap_next(src->pmap, NULL, &gfn, end))) {
		if (fatal_signal_pending(current))
			return -EINTR;
		dst_slot = disco_pmap_slot_alloc(pmap, gfn);
		if (!dst_slot) {
			disco_refuse(DISCO_refused_nomem, dst, gfn);
			return -ENOMEM;
		}
		if (gfn >= zapped) {
			zapped = round_up(gfn + 1, ZAP_PAGES);
			disco_vm_zap(src, gfn, zapped - gfn);
		}
		last = min_t(pgoff_t, end, round_up(gfn + 1, DISCO_LEAF_SLOTS));
		err = disco_slot_share(src, gfn, slot, last - gfn, dst,
				       dst_slot);
		if (err)
			return err;
		gfn = last;
		cond_resched();
	}
	return 0;
}

/*
 * The clone is made in a table of its own and takes the place of the old one
 * when it is whole, so a failure leaves @dst as it was.
 */
static int clone_vm(struct disco_vm *src, struct disco_vm *dst)
{
	struct disco_sb *sbi = disco_vm_sb(src);
	struct disco_pmap_table *pmap;
	int err;

	pmap = kzalloc(sizeof(*pmap), GFP_KERNEL_ACCOUNT);
	if (!pmap)
		return -ENOMEM;
	disco_pmap_init(pmap);

	percpu_down_read(&sbi->check_lock);
	filemap_invalidate_lock_two(src->inode->i_mapping,
				    dst->inode->i_mapping);
	err = share_all(src, dst, pmap);
	if (!err) {
		disco_vm_zap(dst, 0, DISCO_MAX_GFN + 1);
		swap(dst->pmap, pmap);
		disco_heat_drop(&dst->heat, 0, DISCO_MAX_GFN + 1);
		i_size_write(dst->inode, i_size_read(src->inode));
	}
	/* What the clone replaced or, after an error, what there is of it. */
	disco_vm_drop(dst, pmap, 0, DISCO_MAX_GFN + 1);
	filemap_invalidate_unlock_two(src->inode->i_mapping,
				      dst->inode->i_mapping);
	percpu_up_read(&sbi->check_lock);

	disco_pmap_destroy(pmap);
	kfree(pmap);
	return err;
}

/**
 * disco_remap_range() - ->remap_file_range: FICLONE
 * @file_in: VM to clone
 * @pos_in: must be 0
 * @file_out: VM that becomes the clone; what it had is dropped
 * @pos_out: must be 0
 * @len: 0 or the size of @file_in
 * @remap_flags: REMAP_FILE_CAN_SHORTEN has no effect, others are refused
 *
 * Return: bytes cloned; -EINVAL if it is not a clone of a whole file onto
 * another one that is not larger; -ENOMEM, -ENOSPC or -EINTR, and then
 * @file_out is as it was. -EXDEV for different mounts comes from the VFS.
 */
loff_t disco_remap_range(struct file *file_in, loff_t pos_in,
			 struct file *file_out, loff_t pos_out, loff_t len,
			 unsigned int remap_flags)
{
	struct inode *src = file_inode(file_in), *dst = file_inode(file_out);
	loff_t size, ret;

	if (remap_flags & ~REMAP_FILE_CAN_SHORTEN)
		return -EINVAL;
	/* The other one may be a disk; this operation is ram/'s own. */
	if (src == dst || file_out->f_op != &disco_ram_fops)
		return -EINVAL;

	lock_two_nondirectories(src, dst);
	size = i_size_read(src);
	if (pos_in || pos_out || (len && len != size) ||
	    i_size_read(dst) > size) {
		ret = -EINVAL;
		goto unlock;
	}
	ret = file_modified(file_out);
	if (!ret)
		ret = clone_vm(disco_vm(src), disco_vm(dst));
	if (!ret)
		ret = size;
unlock:
	unlock_two_nondirectories(src, dst);
	return ret;
}
