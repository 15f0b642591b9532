// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/disco: one table of requests, after drivers/iommu/iommufd/main.c. Only
 * the dispatcher checks sizes and copies the structure.
 */
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/uaccess.h>

#include "disco.h"
#include "ioctl.h"

/* All requests, as large as the largest. */
union disco_request {
	struct {
		u32 size;
		u32 flags;
	} head;
	struct disco_query query;
	struct disco_vm_stat vm_stat;
	struct disco_pmap pmap;
	struct disco_memmap memmap;
	struct disco_check check;
	struct disco_vcpu_create vcpu_create;
	struct disco_vcpu_stat vcpu_stat;
	struct disco_vcpu_dump vcpu_dump;
	struct disco_disk_add disk_add;
	struct disco_disk_stat disk_stat;
	struct disco_merge merge;
	struct disco_move move;
	struct disco_heat_set heat_set;
	struct disco_heat_stat heat_stat;
	struct disco_heat_report heat_report;
	struct disco_heat_drain heat_drain;
};

#define ROW(_cmd, _struct, _last, _flags, ...)				\
	[DISCO_CMD_##_cmd - DISCO_CMD_BASE] = {				\
		.size = sizeof(_struct) +				\
			BUILD_BUG_ON_ZERO(offsetof(_struct, size) ||	\
					  offsetof(_struct, flags) !=	\
					  sizeof(u32)),			\
		.min_size = offsetofend(_struct, _last),		\
		.cmd = DISCO_##_cmd,					\
		.flags = _flags,					\
		__VA_ARGS__						\
	}

#define OP(_cmd, _fn, _struct, _last, _flags, _admin)			\
	ROW(_cmd, _struct, _last, _flags, .admin = _admin, .execute = _fn)

/* A request that answers with a new file, in the field @_fd. */
#define OPEN(_cmd, _open, _publish, _struct, _fd, _last, _flags)	\
	ROW(_cmd, _struct, _last, _flags, .open = _open,		\
	    .publish = _publish, .fd_at = offsetof(_struct, _fd))

/* The field is the last one of the version first published. */
static const struct disco_ioctl_op disco_ioctl_ops[] = {
	OP(QUERY, disco_query, struct disco_query, out_version, 0, false),
	OP(VM_STAT, disco_vm_stat, struct disco_vm_stat, out_metadata,
	   DISCO_VM_STAT_MACHINE, false),
	OP(PMAP, disco_pmap, struct disco_pmap, view, 0, false),
	OP(MEMMAP, disco_memmap, struct disco_memmap, out_node, 0, true),
	OP(CHECK, disco_check, struct disco_check, __reserved2, 0, true),
	OPEN(VCPU_CREATE, disco_vcpu_open, disco_vcpu_publish,
	     struct disco_vcpu_create, out_fd, out_bytes, DISCO_VCPU_REPLACE),
	OP(VCPU_STAT, disco_vcpu_stat, struct disco_vcpu_stat, out_flushes,
	   DISCO_VCPU_NEXT, false),
	OP(VCPU_DUMP, disco_vcpu_dump, struct disco_vcpu_dump, out_next, 0,
	   false),
	ROW(DISK_ADD, struct disco_disk_add, max_bytes, 0,
	    .execute = disco_disk_add, .silent = true),
	OP(DISK_STAT, disco_disk_stat, struct disco_disk_stat, out_errors, 0,
	   false),
	OP(MERGE, disco_merge, struct disco_merge, __reserved, 0, false),
	OP(MOVE, disco_move, struct disco_move, __reserved, 0, false),
	OP(HEAT_SET, disco_heat_set, struct disco_heat_set, __reserved, 0,
	   false),
	OP(HEAT_STAT, disco_heat_stat, struct disco_heat_stat, out_faults, 0,
	   false),
	OP(HEAT_REPORT, disco_heat_report, struct disco_heat_report, out_added,
	   0, false),
	OP(HEAT_DRAIN, disco_heat_drain, struct disco_heat_drain, out_next,
	   DISCO_HEAT_KEEP, false),
};

/**
 * disco_ioctl_find() - find a request
 * @cmd: number given to ioctl()
 *
 * Return: its row, or NULL.
 */
const struct disco_ioctl_op *disco_ioctl_find(unsigned int cmd)
{
	unsigned int i = _IOC_NR(cmd) - DISCO_CMD_BASE;

	if (i >= ARRAY_SIZE(disco_ioctl_ops) || disco_ioctl_ops[i].cmd != cmd)
		return NULL;
	return &disco_ioctl_ops[i];
}

/**
 * disco_ioctl_copy_in() - read and check a request's structure
 * @op: its row
 * @req: buffer of @op->size bytes
 * @arg: the caller's structure
 * @size: set to the caller's size
 *
 * Return: 0; -EFAULT; -EINVAL for a size below the first version; -E2BIG for
 * bytes set that this module does not know; -EOPNOTSUPP for unknown flags.
 */
int disco_ioctl_copy_in(const struct disco_ioctl_op *op, void *req,
			const void __user *arg, u32 *size)
{
	const u32 *head = req;
	int err;

	if (get_user(*size, (const u32 __user *)arg))
		return -EFAULT;
	if (*size < op->min_size)
		return -EINVAL;
	if (*size > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(req, op->size, arg, *size);
	if (err)
		return err;
	if (head[1] & ~op->flags)
		return -EOPNOTSUPP;
	return 0;
}

static int answer(const struct disco_ioctl_op *op, void __user *user,
		  const void *req, u32 size)
{
	return copy_to_user(user, req, min(size, op->size)) ? -EFAULT : 0;
}

/* Nobody finds the new file before the caller knows of it. */
static int open_file(const struct disco_ioctl_op *op, void __user *user,
		     void *req, u32 size)
{
	struct file *file;
	int fd, err;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = op->open(req);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto err_fd;
	}
	*(s32 *)(req + op->fd_at) = fd;
	err = answer(op, user, req, size);
	if (err)
		goto err_file;
	op->publish(file);
	fd_install(fd, file);
	return 0;

err_file:
	fput(file);
err_fd:
	put_unused_fd(fd);
	return err;
}

static long disco_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct disco_ioctl_op *op = disco_ioctl_find(cmd);
	void __user *user = (void __user *)arg;
	union disco_request req;
	u32 size;
	int err;

	if (!op)
		return -ENOTTY;
	if (op->admin && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	memset(&req, 0, sizeof(req));
	err = disco_ioctl_copy_in(op, &req, user, &size);
	if (err)
		return err;
	if (op->open)
		return open_file(op, user, &req, size);
	err = op->execute(&req);
	if (err || op->silent)
		return err;
	return answer(op, user, &req, size);
}

const struct file_operations disco_dev_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= disco_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.llseek		= noop_llseek,
};
