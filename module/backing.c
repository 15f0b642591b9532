// SPDX-License-Identifier: GPL-2.0-only
/*
 * The global buffer cache (Disco, section 4.2.2): the page cache of the files
 * in disk/. It is the kernel's own: read-ahead, one read for many readers of a
 * page, and reclaim of pages that nobody uses are mm/'s. A page that a VM uses
 * has more references than reclaim allows, and stays.
 *
 * What is filled in here is how to read the backing: around its own page cache
 * where it can be read directly, or else through it, and then that copy is
 * dropped.
 */
#include <linux/bvec.h>
#include <linux/highmem.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "disco.h"

/**
 * struct backing_read - folios that are being read, next to each other
 * @iocb: of the backing
 * @users: who begins it, whose file system looks at @iocb even when the read
 * has ended already, and who ends it
 * @disk: the disk
 * @pos: of the first
 * @nr: how many
 * @max: how many there will be before it is read
 * @vec: them
 */
struct backing_read {
	struct kiocb iocb;
	refcount_t users;
	struct disco_disk *disk;
	loff_t pos;
	unsigned int nr;
	unsigned int max;
	struct bio_vec vec[];
};

/* Folios of one request: 1 MiB, as much as read-ahead asks for. */
#define READ_MAX 256U

/*
 * What was read makes a folio uptodate; at the end of the disk the rest of it
 * is zeros. Unlocking the last one lets go of the disk.
 */
static void finish_folio(struct disco_disk *disk, struct folio *folio,
			 size_t valid)
{
	loff_t rest = i_size_read(disk->inode) - folio_pos(folio);

	if (valid >= min_t(loff_t, rest, PAGE_SIZE)) {
		if (valid < PAGE_SIZE)
			folio_zero_segment(folio, valid, PAGE_SIZE);
		flush_dcache_folio(folio);
		folio_mark_uptodate(folio);
	} else {
		disco_disk_count(disk, DISCO_DISK_ERRORS, 1);
	}
	folio_unlock(folio);
}

static void put_read(struct backing_read *read)
{
	if (refcount_dec_and_test(&read->users))
		kfree(read);
}

/* May be called in interrupt context. */
static void read_done(struct kiocb *iocb, long ret)
{
	struct backing_read *read =
		container_of(iocb, struct backing_read, iocb);
	size_t left = max(ret, 0L), valid;
	unsigned int i;

	for (i = 0; i < read->nr; i++) {
		valid = min(left, PAGE_SIZE);
		left -= valid;
		finish_folio(read->disk, page_folio(read->vec[i].bv_page),
			     valid);
	}
	put_read(read);
}

static void init_kiocb(struct kiocb *iocb, struct disco_disk *disk, loff_t pos,
		       bool direct)
{
	init_sync_kiocb(iocb, disk->backing);
	iocb->ki_pos = pos;
	if (direct)
		iocb->ki_flags |= IOCB_DIRECT;
	else
		iocb->ki_flags &= ~IOCB_DIRECT;
}

/*
 * Reads through the backing's page cache, and drops what that has kept.
 * Returns bytes, or an error if there are none.
 */
static long read_buffered(struct disco_disk *disk, struct bio_vec *vec,
			  unsigned int nr, loff_t pos)
{
	size_t bytes = (size_t)nr << PAGE_SHIFT, done = 0;
	struct iov_iter iter;
	struct kiocb iocb;
	ssize_t ret = 0;

	iov_iter_bvec(&iter, ITER_DEST, vec, nr, bytes);
	init_kiocb(&iocb, disk, pos, false);
	while (done < bytes) {
		ret = vfs_iocb_iter_read(disk->backing, &iocb, &iter);
		if (ret <= 0)
			break;
		done += ret;
	}
	invalidate_mapping_pages(disk->backing->f_mapping, pos >> PAGE_SHIFT,
				 (pos + bytes - 1) >> PAGE_SHIFT);
	return done ?: ret;
}

static void begin(struct backing_read *read)
{
	struct disco_disk *disk = read->disk;
	struct iov_iter iter;
	ssize_t ret;

	if (READ_ONCE(disk->direct)) {
		init_kiocb(&read->iocb, disk, read->pos, true);
		read->iocb.ki_complete = read_done;
		iov_iter_bvec(&iter, ITER_DEST, read->vec, read->nr,
			      (size_t)read->nr << PAGE_SHIFT);
		ret = vfs_iocb_iter_read(disk->backing, &read->iocb, &iter);
		if (ret == -EIOCBQUEUED)
			return;
		/* Not with these offsets, or not at all in this file. */
		if (ret != -EINVAL && ret != -EOPNOTSUPP) {
			read_done(&read->iocb, ret);
			return;
		}
		WRITE_ONCE(disk->direct, false);
	}
	read_done(&read->iocb,
		  read_buffered(disk, read->vec, read->nr, read->pos));
}

/* Reads, or begins to; all folios are unlocked in the end. */
static void submit(struct backing_read *read)
{
	begin(read);
	put_read(read);
}

static struct backing_read *new_read(struct disco_disk *disk, unsigned int max)
{
	struct backing_read *read;

	read = kmalloc(struct_size(read, vec, max), GFP_KERNEL);
	if (!read)
		return NULL;
	refcount_set(&read->users, 2);
	read->disk = disk;
	read->max = max;
	read->nr = 0;
	return read;
}

static void add_folio(struct backing_read *read, struct folio *folio)
{
	if (!read->nr)
		read->pos = folio_pos(folio);
	read->vec[read->nr++] = (struct bio_vec){
		.bv_page = folio_page(folio, 0), .bv_len = PAGE_SIZE,
	};
	if (read->nr == read->max)
		submit(read);
}

static void disco_readahead(struct readahead_control *rac)
{
	struct disco_disk *disk = disco_disk(rac->mapping->host);
	struct backing_read *read = NULL;
	struct folio *folio;
	unsigned int left = 0;

	while ((folio = readahead_folio(rac))) {
		if (!left) {
			/* Counts the folio that was just taken, too. */
			left = min(readahead_count(rac), READ_MAX);
			read = new_read(disk, left);
		}
		/* The rest are unlocked by the kernel, and read when needed. */
		if (!read) {
			folio_unlock(folio);
			return;
		}
		left--;
		add_folio(read, folio);
	}
}

static int disco_read_folio(struct file *file, struct folio *folio)
{
	struct disco_disk *disk = disco_disk(folio->mapping->host);
	struct backing_read *read = new_read(disk, 1);

	if (!read) {
		folio_unlock(folio);
		return -ENOMEM;
	}
	add_folio(read, folio);
	return 0;
}

const struct address_space_operations disco_disk_aops = {
	.read_folio	= disco_read_folio,
	.readahead	= disco_readahead,
	.dirty_folio	= noop_dirty_folio,
};

/**
 * disco_backing_read() - read a page of the backing around the cache
 * @disk: the disk, whose backing has changed
 * @folio: page to read into, nobody else's
 * @pos: where
 *
 * Context: may sleep.
 * Return: 0, or -EIO if the backing does not have all of it any more.
 */
int disco_backing_read(struct disco_disk *disk, struct folio *folio, loff_t pos)
{
	struct bio_vec vec = {
		.bv_page = folio_page(folio, 0), .bv_len = PAGE_SIZE,
	};
	long ret = read_buffered(disk, &vec, 1, pos);

	if (ret >= min_t(loff_t, i_size_read(disk->inode) - pos, PAGE_SIZE))
		return 0;
	disco_disk_count(disk, DISCO_DISK_ERRORS, 1);
	return -EIO;
}

/* Pages that the hand goes past in one call. */
#define TRIM_STEP 512

/**
 * disco_cache_trim() - drop unused pages of a disk that are over its limit
 * @disk: the disk
 *
 * Looks at a bounded number of pages each time, so it can take some calls until
 * the limit is kept; every read makes one.
 *
 * Context: may sleep.
 */
void disco_cache_trim(struct disco_disk *disk)
{
	struct address_space *mapping = disk->inode->i_mapping;
	pgoff_t end = DIV_ROUND_UP_ULL(i_size_read(disk->inode), PAGE_SIZE);
	s64 unused;
	pgoff_t hand;

	if (!disk->max_pages)
		return;
	unused = READ_ONCE(mapping->nrpages) -
		 percpu_counter_read(&disk->counters[DISCO_DISK_USED]);
	if (unused <= (s64)disk->max_pages)
		return;
	hand = READ_ONCE(disk->hand);
	if (hand >= end)
		hand = 0;
	/* Racing callers trim the same part: no harm. */
	WRITE_ONCE(disk->hand, hand + TRIM_STEP);
	invalidate_mapping_pages(mapping, hand, hand + TRIM_STEP - 1);
}
