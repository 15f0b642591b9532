/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _DISCO_IOCTL_H
#define _DISCO_IOCTL_H

#include <linux/types.h>

struct file;

/**
 * struct disco_ioctl_op - one request of /dev/disco
 * @size: bytes of the structure as this module knows it
 * @min_size: bytes of the structure as first published
 * @cmd: request number
 * @flags: bits that the structure's second field may have
 * @admin: needs CAP_SYS_ADMIN
 * @silent: nothing is copied back, which could fail after all is done
 * @execute: does it; what it writes to @req reaches the caller if it returns 0
 * @open: in place of @execute: makes a file, for a new file descriptor
 * @publish: for @open: the caller has the answer; cannot fail
 * @fd_at: for @open: offset of the field for the file descriptor
 */
struct disco_ioctl_op {
	u32 size;
	u32 min_size;
	unsigned int cmd;
	u32 flags;
	bool admin;
	bool silent;
	int (*execute)(void *req);
	struct file *(*open)(void *req);
	void (*publish)(struct file *file);
	u32 fd_at;
};

#endif /* _DISCO_IOCTL_H */
