// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading a disk. A DMA is a read into the memory of a VM, by its monitor: a
 * whole page is not copied there but mapped, copy-on-write (Disco, section
 * 4.2.2). Everything else is copied.
 */
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/kthread.h>
#include <linux/pagevec.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/workqueue.h>

#include "disco.h"

/* Pages that are looked up, mapped and zapped together. */
#define BATCH 64U

/**
 * struct batch - pages of the buffer cache next to each other
 * @folios: uptodate, each with a reference
 * @nr: how many
 * @next: first that is not read yet
 */
struct batch {
	struct folio *folios[BATCH];
	unsigned int nr;
	unsigned int next;
};

static void put_batch(struct batch *batch)
{
	while (batch->nr)
		folio_put(batch->folios[--batch->nr]);
}

/* Adds what there is from @index on, up to the first that is not uptodate. */
static void add_cached(struct address_space *mapping, pgoff_t index,
		       struct batch *batch, unsigned int nr)
{
	struct folio_batch found;
	unsigned int i;

	while (batch->nr < nr) {
		pgoff_t start = index + batch->nr;
		bool stop = false;

		folio_batch_init(&found);
		if (!filemap_get_folios_contig(mapping, &start, index + nr - 1,
					       &found))
			return;
		for (i = 0; i < folio_batch_count(&found); i++) {
			struct folio *folio = found.folios[i];

			stop |= batch->nr == nr || !folio_test_uptodate(folio);
			if (stop)
				folio_put(folio);
			else
				batch->folios[batch->nr++] = folio;
		}
		if (stop)
			return;
	}
}

/* A reader has come to the page at which the next read is to begin. */
static void read_ahead(struct file *file, struct folio *folio,
		       unsigned long request)
{
	DEFINE_READAHEAD(ractl, file, &file->f_ra, file->f_mapping,
			 folio->index);

	page_cache_async_ra(&ractl, folio, request);
}

/*
 * Reads the page at @index, or waits for who does. What read_mapping_folio()
 * does the latter with cannot be killed, and a backing may never answer.
 */
static struct folio *read_one(struct file *file, pgoff_t index)
{
	struct folio_batch found;
	pgoff_t start = index;
	int err = 0;

	folio_batch_init(&found);
	if (filemap_get_folios_contig(file->f_mapping, &start, index, &found))
		err = folio_wait_locked_killable(found.folios[0]);
	folio_batch_release(&found);
	return err ? ERR_PTR(err) :
		     read_mapping_folio(file->f_mapping, index, file);
}

/*
 * Gets at least one page from @index on, at most @nr, and has the rest of the
 * request's and what read-ahead makes of it read meanwhile.
 */
static int get_batch(struct disco_disk *disk, struct file *file, pgoff_t index,
		     unsigned int nr, unsigned long request, bool nowait,
		     struct batch *batch)
{
	struct address_space *mapping = disk->inode->i_mapping;
	struct folio *folio;
	unsigned int i;

	batch->nr = 0;
	batch->next = 0;
	add_cached(mapping, index, batch, nr);
	for (i = 0; i < batch->nr; i++)
		if (folio_test_readahead(batch->folios[i]))
			read_ahead(file, batch->folios[i], request - i);
	if (batch->nr) {
		disco_disk_count(disk, DISCO_DISK_HITS, batch->nr);
		return 0;
	}
	if (nowait)
		return -EAGAIN;

	page_cache_sync_readahead(mapping, &file->f_ra, file, index, request);
	folio = read_one(file, index);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	batch->folios[batch->nr++] = folio;
	disco_disk_count(disk, DISCO_DISK_MISSES, 1);
	return 0;
}

/* The part of the buffer that is next, as far as it is contiguous. */
static bool next_segment(struct iov_iter *to, unsigned long *addr, size_t *len)
{
	if (iter_is_ubuf(to)) {
		*addr = (unsigned long)to->ubuf + to->iov_offset;
		*len = iov_iter_count(to);
		return true;
	}
	if (iter_is_iovec(to)) {
		*addr = (unsigned long)iter_iov_addr(to);
		*len = min_t(size_t, iter_iov_len(to), iov_iter_count(to));
		return true;
	}
	return false;
}

/*
 * Finds the VM whose memory is mapped at @addr. Returns its file with a
 * reference, or NULL; lowers @nr to the pages that are mapped there.
 */
static struct file *find_vm(struct super_block *sb, unsigned long addr,
			    unsigned int *nr, pgoff_t *gfn)
{
	struct vm_area_struct *vma;
	struct file *file = NULL;

	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, addr);
	if (vma && vma->vm_ops == &disco_vm_ops && vma->vm_flags & VM_WRITE &&
	    file_inode(vma->vm_file)->i_sb == sb) {
		file = get_file(vma->vm_file);
		*gfn = disco_view_gfn(linear_page_index(vma, addr));
		*nr = min_t(unsigned long, *nr,
			    (vma->vm_end - addr) >> PAGE_SHIFT);
	}
	mmap_read_unlock(current->mm);
	return file;
}

/* Maps what can be mapped of the rest of a batch, and returns its bytes. */
static size_t map_batch(struct disco_disk *disk, struct batch *batch,
			struct iov_iter *to)
{
	unsigned int nr = batch->nr - batch->next, mapped;
	unsigned long addr;
	struct file *file;
	size_t len;
	pgoff_t gfn;

	if (!next_segment(to, &addr, &len) || offset_in_page(addr))
		return 0;
	nr = min_t(size_t, nr, len >> PAGE_SHIFT);
	if (!nr)
		return 0;
	file = find_vm(disk->inode->i_sb, addr, &nr, &gfn);
	if (!file)
		return 0;
	mapped = disco_slot_map_cached(disco_vm(file_inode(file)), gfn,
				       &batch->folios[batch->next], nr);
	fput(file);
	disco_disk_count(disk, DISCO_DISK_MAPPED, mapped);
	batch->next += mapped;
	iov_iter_advance(to, (size_t)mapped << PAGE_SHIFT);
	return (size_t)mapped << PAGE_SHIFT;
}

/* Copies what is wanted of the page at @pos; the bytes, 0 if that faults. */
static size_t copy_part(struct disco_disk *disk, struct folio *folio,
			loff_t pos, struct iov_iter *to)
{
	loff_t left = i_size_read(disk->inode) - pos;
	size_t offset = offset_in_page(pos);
	size_t bytes = min_t(loff_t, left, PAGE_SIZE - offset);

	disco_disk_count(disk, DISCO_DISK_COPIED, 1);
	return copy_page_to_iter(folio_page(folio, 0), offset,
				 min(bytes, iov_iter_count(to)), to);
}

/* Maps or copies the next part of a batch; the bytes, 0 if that faults. */
static size_t read_batch(struct disco_disk *disk, struct batch *batch,
			 loff_t pos, struct iov_iter *to)
{
	size_t offset = offset_in_page(pos), bytes;

	if (!offset && i_size_read(disk->inode) - pos >= PAGE_SIZE) {
		/* The last page of the disk may be cut: it is copied. */
		bytes = map_batch(disk, batch, to);
		if (bytes)
			return bytes;
	}
	bytes = copy_part(disk, batch->folios[batch->next], pos, to);
	if (offset + bytes == PAGE_SIZE)
		batch->next++;
	return bytes;
}

/* Reads around the cache, a page at a time: the backing is not what it was. */
static ssize_t read_changed(struct disco_disk *disk, struct kiocb *iocb,
			    struct iov_iter *to)
{
	struct folio *folio = folio_alloc(GFP_KERNEL, 0);
	ssize_t done = 0;
	int err = 0;

	if (!folio)
		return -ENOMEM;
	while (iov_iter_count(to) && iocb->ki_pos < i_size_read(disk->inode)) {
		size_t bytes;

		err = disco_backing_read(disk, folio,
					 round_down(iocb->ki_pos, PAGE_SIZE));
		if (err)
			break;
		bytes = copy_part(disk, folio, iocb->ki_pos, to);
		iocb->ki_pos += bytes;
		done += bytes;
		if (!bytes)
			err = -EFAULT;
		else if (fatal_signal_pending(current))
			err = -EINTR;
		if (err)
			break;
	}
	folio_put(folio);
	return done ?: err;
}

static ssize_t read_cached(struct disco_disk *disk, struct kiocb *iocb,
			   struct iov_iter *to)
{
	bool nowait = iocb->ki_flags & IOCB_NOWAIT;
	loff_t size = i_size_read(disk->inode);
	ssize_t done = 0;
	int err = 0;

	while (!err && iov_iter_count(to) && iocb->ki_pos < size) {
		loff_t bytes = min_t(loff_t, iov_iter_count(to),
				     size - iocb->ki_pos);
		pgoff_t index = iocb->ki_pos >> PAGE_SHIFT;
		unsigned long request = ((iocb->ki_pos + bytes - 1)
					 >> PAGE_SHIFT) - index + 1;
		struct batch batch;

		err = get_batch(disk, iocb->ki_filp, index,
				min_t(unsigned long, request, BATCH), request,
				nowait, &batch);
		if (err)
			break;
		while (!err && batch.next < batch.nr && iov_iter_count(to) &&
		       iocb->ki_pos < size) {
			bytes = read_batch(disk, &batch, iocb->ki_pos, to);
			if (!bytes)
				err = -EFAULT;
			iocb->ki_pos += bytes;
			done += bytes;
		}
		put_batch(&batch);
		disco_cache_trim(disk);
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	}
	return done ?: err;
}

static ssize_t disk_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct disco_disk *disk = disco_disk(file_inode(iocb->ki_filp));
	ssize_t ret;

	if (!disco_disk_changed(disk))
		ret = read_cached(disk, iocb, to);
	else if (iocb->ki_flags & IOCB_NOWAIT)
		ret = -EAGAIN;
	else
		ret = read_changed(disk, iocb, to);
	if (ret > 0)
		file_accessed(iocb->ki_filp);
	return ret;
}

/**
 * struct async_read - a read that a worker goes on with
 * @work: the worker's
 * @iocb: what to complete
 * @to: copy of the reader's
 * @segments: of @to, to be freed
 * @mm: the reader's memory
 */
struct async_read {
	struct work_struct work;
	struct kiocb *iocb;
	struct iov_iter to;
	const void *segments;
	struct mm_struct *mm;
};

static struct workqueue_struct *workers;

static void async_work(struct work_struct *work)
{
	struct async_read *async = container_of(work, struct async_read, work);
	ssize_t ret;

	/* What it allocates is charged to the reader's cgroup as well. */
	kthread_use_mm(async->mm);
	ret = disk_read(async->iocb, &async->to);
	kthread_unuse_mm(async->mm);
	/* First: the last user of a memory waits for its requests. */
	async->iocb->ki_complete(async->iocb, ret);
	mmput(async->mm);
	kfree(async->segments);
	kfree(async);
}

static ssize_t queue_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct async_read *async = kmalloc(sizeof(*async), GFP_KERNEL_ACCOUNT);

	if (!async)
		return -ENOMEM;
	async->segments = dup_iter(&async->to, to, GFP_KERNEL_ACCOUNT);
	if (iter_is_iovec(to) && !async->segments) {
		kfree(async);
		return -ENOMEM;
	}
	async->iocb = iocb;
	async->mm = current->mm;
	mmget(async->mm);
	INIT_WORK(&async->work, async_work);
	queue_work(workers, &async->work);
	return -EIOCBQUEUED;
}

/**
 * disco_disk_read_iter() - ->read_iter of files in disk/
 * @iocb: the request
 * @to: where to; what is whole pages of a VM's memory is mapped
 *
 * What is cached is read at once, even for an asynchronous request, for that
 * takes less than to queue it. If the backing has to be asked, a worker goes
 * on, and the monitor with other things.
 *
 * Context: may sleep.
 * Return: bytes; -EIOCBQUEUED; -EAGAIN for a request that must not wait; -EIO;
 * -EFAULT; -ENOMEM; -EINTR.
 */
ssize_t disco_disk_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	loff_t pos = iocb->ki_pos;
	ssize_t ret;
	bool queue;

	queue = !is_sync_kiocb(iocb) && !(iocb->ki_flags & IOCB_NOWAIT) &&
		current->mm && user_backed_iter(to);
	if (!queue)
		return disk_read(iocb, to);

	iocb->ki_flags |= IOCB_NOWAIT;
	ret = disk_read(iocb, to);
	iocb->ki_flags &= ~IOCB_NOWAIT;
	if (ret != -EAGAIN && (ret < 0 || !iov_iter_count(to) ||
			       iocb->ki_pos >= i_size_read(file_inode(iocb->ki_filp))))
		return ret;
	/* All of it again: what is there is mapped by now. */
	iov_iter_revert(to, iocb->ki_pos - pos);
	iocb->ki_pos = pos;
	return queue_read(iocb, to);
}

/**
 * disco_disk_read_init() - make the workers
 *
 * Return: 0 or -ENOMEM.
 */
int disco_disk_read_init(void)
{
	workers = alloc_workqueue("disco", WQ_UNBOUND, 0);
	return workers ? 0 : -ENOMEM;
}

/**
 * disco_disk_read_exit() - undo disco_disk_read_init()
 *
 * Context: no disk is open; a worker may still be on its way out.
 */
void disco_disk_read_exit(void)
{
	destroy_workqueue(workers);
}
