// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations on the files of ram/: map, dump and restore, punch, seek.
 */
#include <linux/highmem.h>
#include <linux/sched/signal.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include <uapi/linux/falloc.h>

#include "disco.h"

static int disco_open(struct inode *inode, struct file *file)
{
	/* There is no cache to go around: O_DIRECT is the same path. */
	file->f_mode |= FMODE_CAN_ODIRECT;
	return generic_file_open(inode, file);
}

static int disco_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct disco_vm *vm = disco_vm(file_inode(file));
	pgoff_t gfn = disco_view_gfn(vma->vm_pgoff);
	int err;

	if (!(vma->vm_flags & VM_MAYSHARE)) {
		disco_refuse(DISCO_refused_private_mapping, vm, gfn);
		pr_notice_ratelimited("disco: %s[%d] maps %pD privately: refused, its writes would not be the VM's memory; map it shared (QEMU: share=on, libvirt: <access mode='shared'/>)\n",
				      current->comm, task_pid_nr(current),
				      file);
		return -EINVAL;
	}
	if (gfn + vma_pages(vma) > DISCO_MAX_GFN + 1)
		return -EINVAL;
	err = disco_vm_add_view(vm, disco_view(vma->vm_pgoff));
	if (err)
		return err;

	file_accessed(file);
	/*
	 * Zero pages are inserted by vmf_insert_page(). Our pages are on no LRU
	 * list: VM_SEQ_READ saves telling it of each that is unmapped.
	 */
	vm_flags_set(vma, VM_MIXEDMAP | VM_SEQ_READ);
	vma->vm_ops = &disco_vm_ops;
	return 0;
}

/*
 * Copies to user memory with a reference only: the buffer may be a mapping of
 * this very file. The reference keeps the page from being shared or reused.
 */
static ssize_t disco_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct disco_vm *vm = disco_vm(inode);
	ssize_t done = 0;

	while (iov_iter_count(to)) {
		size_t offset = offset_in_page(iocb->ki_pos), copied;
		loff_t size = i_size_read(inode);
		struct folio *folio;
		size_t bytes;

		if (iocb->ki_pos >= size)
			break;
		bytes = min3(iov_iter_count(to), (size_t)PAGE_SIZE - offset,
			     (size_t)(size - iocb->ki_pos));
		folio = disco_slot_get_folio(vm,
					     iocb->ki_pos >> PAGE_SHIFT);
		if (folio) {
			copied = copy_page_to_iter(folio_page(folio, 0), offset,
						   bytes, to);
			folio_put(folio);
		} else {
			copied = iov_iter_zero(bytes, to);
		}
		iocb->ki_pos += copied;
		done += copied;
		if (copied < bytes)
			return done ?: -EFAULT;
		if (fatal_signal_pending(current))
			return done ?: -EINTR;
		cond_resched();
	}
	file_accessed(iocb->ki_filp);
	return done;
}

static ssize_t write_pages(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct disco_vm *vm = disco_vm(inode);
	ssize_t done = 0;

	while (iov_iter_count(from)) {
		size_t offset = offset_in_page(iocb->ki_pos), copied;
		size_t bytes = min(iov_iter_count(from), PAGE_SIZE - offset);
		struct folio *folio;
		int err;

		filemap_invalidate_lock_shared(inode->i_mapping);
		err = disco_slot_get_private(vm, iocb->ki_pos >> PAGE_SHIFT,
					     NULL, 0, NULL, &folio);
		filemap_invalidate_unlock_shared(inode->i_mapping);
		if (err)
			return done ?: err;
		folio_unlock(folio);
		copied = copy_page_from_iter(folio_page(folio, 0), offset,
					     bytes, from);
		flush_dcache_folio(folio);
		folio_put(folio);

		iocb->ki_pos += copied;
		done += copied;
		if (iocb->ki_pos > i_size_read(inode))
			i_size_write(inode, iocb->ki_pos);
		if (copied < bytes)
			return done ?: -EFAULT;
		if (fatal_signal_pending(current))
			return done ?: -EINTR;
		cond_resched();
	}
	return done;
}

static ssize_t disco_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	loff_t size;
	ssize_t ret;

	inode_lock(inode);
	ret = generic_write_checks(iocb, from);
	if (ret <= 0)
		goto unlock;
	ret = file_modified(iocb->ki_filp);
	if (ret)
		goto unlock;

	/* What a mapping wrote behind the old end must not come into view. */
	size = i_size_read(inode);
	if (iocb->ki_pos > size) {
		ret = disco_vm_zero_partial(disco_vm(inode), size,
					    round_up(size, PAGE_SIZE));
		if (ret)
			goto unlock;
	}
	ret = write_pages(iocb, from);
unlock:
	inode_unlock(inode);
	return ret;
}

static long punch_hole(struct file *file, loff_t start, loff_t end)
{
	struct inode *inode = file_inode(file);
	struct disco_vm *vm = disco_vm(inode);
	int err;

	err = file_modified(file);
	if (err)
		return err;
	err = disco_vm_zero_partial(vm, start, end);
	if (err)
		return err;
	filemap_invalidate_lock(inode->i_mapping);
	disco_vm_drop(vm, vm->pmap, round_up(start, PAGE_SIZE) >> PAGE_SHIFT,
		      end >> PAGE_SHIFT);
	filemap_invalidate_unlock(inode->i_mapping);
	return 0;
}

static long disco_fallocate(struct file *file, int mode, loff_t offset,
			    loff_t len)
{
	struct inode *inode = file_inode(file);
	loff_t end;
	long ret = 0;

	if (mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;

	inode_lock(inode);
	/* Ends in the last page of the file: the rest of it goes as well. */
	end = min(offset + len, round_up(i_size_read(inode), PAGE_SIZE));
	if (offset < end)
		ret = punch_hole(file, offset, end);
	inode_unlock(inode);
	return ret;
}

/* First page from @start that is in memory, or (@hole) is not; or @end. */
static pgoff_t seek_pages(struct disco_vm *vm, pgoff_t start, pgoff_t end,
			  bool hole)
{
	pgoff_t gfn, next_hole = start;
	unsigned long *slot;

	disco_pmap_for_each(vm->pmap, slot, gfn, start, end) {
		if (!disco_slot_filled(READ_ONCE(*slot)))
			continue;
		if (!hole)
			return gfn;
		if (gfn != next_hole)
			break;
		next_hole++;
		cond_resched();
	}
	return hole ? next_hole : end;
}

static loff_t disco_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	loff_t size, pos;
	pgoff_t gfn;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return generic_file_llseek(file, offset, whence);

	inode_lock_shared(inode);
	size = i_size_read(inode);
	if (offset < 0 || offset >= size) {
		inode_unlock_shared(inode);
		return -ENXIO;
	}
	filemap_invalidate_lock_shared(inode->i_mapping);
	gfn = seek_pages(disco_vm(inode), offset >> PAGE_SHIFT,
			 DIV_ROUND_UP_ULL(size, PAGE_SIZE),
			 whence == SEEK_HOLE);
	filemap_invalidate_unlock_shared(inode->i_mapping);
	inode_unlock_shared(inode);

	pos = max_t(loff_t, offset, (loff_t)gfn << PAGE_SHIFT);
	if (pos >= size) {
		if (whence == SEEK_DATA)
			return -ENXIO;
		pos = size;
	}
	return vfs_setpos(file, pos, inode->i_sb->s_maxbytes);
}

const struct file_operations disco_ram_fops = {
	.owner			= THIS_MODULE,
	.open			= disco_open,
	.llseek			= disco_llseek,
	.read_iter		= disco_read_iter,
	.write_iter		= disco_write_iter,
	.splice_read		= copy_splice_read,
	.splice_write		= iter_file_splice_write,
	.mmap			= disco_mmap,
	.fallocate		= disco_fallocate,
	.remap_file_range	= disco_remap_range,
	.fsync			= noop_fsync,
};
