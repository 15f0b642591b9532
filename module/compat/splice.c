// SPDX-License-Identifier: GPL-2.0-only
/*
 * copy_splice_read() for kernels before 6.5.
 *
 * generic_file_splice_read() of those kernels puts the very pages that
 * ->read_iter copies from into the pipe. Ours have no mapping, which the pipe
 * takes for truncated; and a pipe must not show what the VM writes later.
 */
#include <linux/bvec.h>
#include <linux/pipe_fs_i.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/uio.h>

#include "compat.h"

#ifndef DISCO_HAVE_COPY_SPLICE_READ

/* Pages to read into; returns how many there are. */
static unsigned int alloc_bvecs(struct bio_vec *bv, unsigned int nr, size_t len)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		bv[i].bv_page = alloc_page(GFP_USER);
		if (!bv[i].bv_page)
			break;
		bv[i].bv_offset = 0;
		bv[i].bv_len = min_t(size_t, len, PAGE_SIZE);
		len -= bv[i].bv_len;
	}
	return i;
}

/**
 * copy_splice_read() - read into new pages and give them to a pipe
 * @in: file to read
 * @ppos: position, moved on by what was read
 * @pipe: pipe, locked by the caller
 * @len: how much to read at most
 * @flags: of splice()
 *
 * Does what fs/splice.c of later kernels does under this name.
 *
 * Return: bytes in the pipe; 0 at the end of the file; -EAGAIN if the pipe is
 * full; -ENOMEM; or what ->read_iter returns.
 */
ssize_t copy_splice_read(struct file *in, loff_t *ppos,
			 struct pipe_inode_info *pipe, size_t len,
			 unsigned int flags)
{
	unsigned int i, nr, room = pipe->max_usage;
	struct iov_iter to;
	struct bio_vec *bv;
	struct kiocb kiocb;
	size_t left;
	ssize_t ret;

	room -= min(pipe_occupancy(pipe->head, pipe->tail), room);
	len = min_t(size_t, len, (size_t)room * PAGE_SIZE);
	if (!len)
		return -EAGAIN;
	nr = DIV_ROUND_UP(len, PAGE_SIZE);
	bv = kcalloc(nr, sizeof(*bv), GFP_KERNEL);
	if (!bv)
		return -ENOMEM;
	nr = alloc_bvecs(bv, nr, len);
	if (!nr) {
		kfree(bv);
		return -ENOMEM;
	}

	iov_iter_bvec(&to, ITER_DEST, bv, nr,
		      min_t(size_t, len, (size_t)nr * PAGE_SIZE));
	init_sync_kiocb(&kiocb, in);
	kiocb.ki_pos = *ppos;
	ret = call_read_iter(in, &kiocb, &to);

	left = max_t(ssize_t, ret, 0);
	for (i = 0; i < nr; i++) {
		struct pipe_buffer buf = {
			.page = bv[i].bv_page,
			.len = min_t(size_t, left, PAGE_SIZE),
			.ops = &nosteal_pipe_buf_ops,
		};

		left -= buf.len;
		/* There is room, and the page is the pipe's from here on. */
		if (!buf.len)
			__free_page(bv[i].bv_page);
		else if (add_to_pipe(pipe, &buf) < 0)
			break;
	}
	/* add_to_pipe() drops what it refuses: no reader is left. */
	while (++i < nr)
		__free_page(bv[i].bv_page);
	kfree(bv);
	if (ret > 0) {
		*ppos = kiocb.ki_pos;
		file_accessed(in);
	}
	return ret;
}

#endif /* DISCO_HAVE_COPY_SPLICE_READ */
