// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copy-on-write disks: files in disk/ that read a backing file or block device
 * (Disco, section 4.2.2: copy-on-write disks). Names and permissions are
 * inode.c's, reads are disk_read.c's, and the cache is backing.c's.
 */
#include <linux/blkdev.h>
#include <linux/device.h>
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/namei.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "disco.h"

static struct lock_class_key disk_invalidate_key;

/**
 * disco_is_disk() - is an inode a file in disk/
 * @inode: any inode of a disco mount
 *
 * Return: true if it is.
 */
bool disco_is_disk(struct inode *inode)
{
	return inode->i_fop == &disco_disk_fops;
}

/**
 * disco_disk_of() - the disk that a page of the buffer cache belongs to
 * @folio: page that disco_memmap_cached() is true for, locked
 *
 * Return: the disk; NULL if it is gone, which it can be before the VMs' memory
 * only while the file system is unmounted.
 */
struct disco_disk *disco_disk_of(struct folio *folio)
{
	return folio->mapping ? disco_disk(folio->mapping->host) : NULL;
}

/* A device that somebody may write to. */
static bool writable_device(struct file *file)
{
	struct inode *inode = file->f_mapping->host;

	return S_ISBLK(inode->i_mode) && !bdev_read_only(I_BDEV(inode));
}

/* Only a regular file has this protection; a device must be set read-only. */
static int deny_write(struct file *file)
{
	if (S_ISREG(file->f_mapping->host->i_mode))
		return deny_write_access(file);
	return writable_device(file) ? -ETXTBSY : 0;
}

static void allow_write(struct file *file)
{
	if (S_ISREG(file->f_mapping->host->i_mode))
		allow_write_access(file);
}

static struct timespec64 backing_mtime(struct file *file)
{
	struct timespec64 none = {};
	struct kstat stat;

	/* The node of a block device says nothing about what is on it. */
	if (!S_ISREG(file->f_mapping->host->i_mode) ||
	    vfs_getattr(&file->f_path, &stat, STATX_MTIME, AT_STATX_SYNC_AS_STAT))
		return none;
	return stat.mtime;
}

static struct disco_disk *disk_create(struct inode *inode, struct file *backing,
				      u64 max_pages)
{
	struct disco_disk *disk;
	int err, i;

	disk = kzalloc(sizeof(*disk), GFP_KERNEL_ACCOUNT);
	if (!disk)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < DISCO_DISK_NR_COUNTERS; i++) {
		err = percpu_counter_init(&disk->counters[i], 0,
					  GFP_KERNEL_ACCOUNT);
		if (err)
			goto err;
	}
	err = deny_write(backing);
	if (err)
		goto err;
	disk->inode = inode;
	disk->backing = get_file(backing);
	disk->max_pages = max_pages;
	disk->mtime = backing_mtime(backing);
	disk->direct = backing->f_mode & FMODE_CAN_ODIRECT;
	return disk;
err:
	while (i--)
		percpu_counter_destroy(&disk->counters[i]);
	kfree(disk);
	return ERR_PTR(err);
}

/**
 * disco_disk_destroy() - free a disk
 * @disk: the disk, whose inode is being evicted: nothing is cached any more
 */
void disco_disk_destroy(struct disco_disk *disk)
{
	int i;

	allow_write(disk->backing);
	fput(disk->backing);
	for (i = 0; i < DISCO_DISK_NR_COUNTERS; i++)
		percpu_counter_destroy(&disk->counters[i]);
	disk->inode->i_private = NULL;
	kfree(disk);
}

/**
 * disco_disk_retire() - keep a disk from being opened, to remove it
 * @disk: the disk
 *
 * Context: inode lock of disk/ and of @disk held.
 * Return: 0; -EBUSY if it is open or VMs have pages of it.
 */
int disco_disk_retire(struct disco_disk *disk)
{
	if (atomic_cmpxchg(&disk->opens, 0, DISCO_DISK_REMOVED))
		return -EBUSY;
	/* With nobody to read, no page gets its first user any more. */
	if (!percpu_counter_sum(&disk->counters[DISCO_DISK_USED]))
		return 0;
	atomic_set(&disk->opens, 0);
	return -EBUSY;
}

static int disk_open(struct inode *inode, struct file *file)
{
	/*
	 * Permissions do not keep root from this, and a monitor that has opened
	 * its disk would tell the guest that it can write to it.
	 */
	if (file->f_mode & FMODE_WRITE)
		return -EROFS;
	if (!atomic_inc_unless_negative(&disco_disk(inode)->opens))
		return -ENOENT;
	/* Mapping is the same path for both kinds of reads. */
	file->f_mode |= FMODE_CAN_ODIRECT | FMODE_NOWAIT;
	return 0;
}

static int disk_release(struct inode *inode, struct file *file)
{
	atomic_dec(&disco_disk(inode)->opens);
	return 0;
}

const struct file_operations disco_disk_fops = {
	.owner		= THIS_MODULE,
	.open		= disk_open,
	.release	= disk_release,
	.llseek		= generic_file_llseek,
	.read_iter	= disco_disk_read_iter,
	.splice_read	= copy_splice_read,
	.fsync		= noop_fsync,
};

/**
 * disco_disk_changed() - has the backing changed since the disk was added
 * @disk: the disk
 *
 * Writing is denied where that can be done; a device, or a file of another
 * machine, can change all the same. A device that is not read-only any more is
 * taken for changed, as nothing tells when it is written to.
 *
 * Context: may sleep.
 * Return: true if it has, now or earlier.
 */
bool disco_disk_changed(struct disco_disk *disk)
{
	struct timespec64 mtime;

	if (READ_ONCE(disk->changed))
		return true;
	mtime = backing_mtime(disk->backing);
	if (i_size_read(disk->backing->f_mapping->host) ==
	    i_size_read(disk->inode) &&
	    timespec64_equal(&mtime, &disk->mtime) &&
	    !writable_device(disk->backing))
		return false;
	if (!xchg(&disk->changed, true)) {
		pr_warn("disco: %pD has changed: the disk made of it is not shared any more\n",
			disk->backing);
		disco_uevent("EVENT=disk-changed");
	}
	return true;
}

static int check_backing(struct file *backing, struct file *mount)
{
	struct inode *inode = backing->f_mapping->host;

	if (S_ISDIR(inode->i_mode))
		return -EISDIR;
	if (!S_ISREG(inode->i_mode) && !S_ISBLK(inode->i_mode))
		return -EINVAL;
	if (inode->i_sb->s_type == &disco_fs_type)
		return -ELOOP;
	if (!(backing->f_mode & FMODE_READ))
		return -EBADF;
	if (!i_size_read(inode))
		return -ENODATA;
	if (i_size_read(inode) > file_inode(mount)->i_sb->s_maxbytes)
		return -EFBIG;
	return 0;
}

/* An inode that is a disk, with nobody to find it yet. */
static struct inode *new_disk(struct super_block *sb,
			      const struct disco_disk_add *add,
			      struct file *backing)
{
	struct inode *inode;
	struct disco_disk *disk;

	inode = disco_inode_new(sb, d_inode(disco_sb(sb)->disk_dir),
				S_IFREG | add->mode);
	if (!inode)
		return ERR_PTR(-ENOMEM);
	disk = disk_create(inode, backing,
			   DIV_ROUND_UP_ULL(add->max_bytes, PAGE_SIZE));
	if (IS_ERR(disk)) {
		iput(inode);
		return ERR_CAST(disk);
	}
	inode->i_private = disk;
	inode->i_op = &disco_disk_file_iops;
	inode->i_fop = &disco_disk_fops;
	inode->i_mapping->a_ops = &disco_disk_aops;
	/* What VMs use can neither be moved nor be freed. */
	mapping_set_gfp_mask(inode->i_mapping, GFP_HIGHUSER);
	/*
	 * The backing is read with this lock held, so it comes before that
	 * file system's locks; ram/'s comes after mmap_lock, and theirs may
	 * come before that.
	 */
	lockdep_set_class_and_name(&inode->i_mapping->invalidate_lock,
				   &disk_invalidate_key,
				   "disco_disk.invalidate_lock");
	i_size_write(inode, i_size_read(backing->f_mapping->host));
	return inode;
}

static int link_disk(struct super_block *sb, const struct disco_disk_add *add,
		     const char *name, struct file *backing)
{
	struct dentry *dir = disco_sb(sb)->disk_dir, *dentry;
	struct inode *inode;
	int err;

	inode_lock_nested(d_inode(dir), I_MUTEX_PARENT);
	err = inode_permission(&nop_mnt_idmap, d_inode(dir),
			       MAY_WRITE | MAY_EXEC);
	if (err)
		goto unlock;
	dentry = lookup_one_len(name, dir, add->name_len);
	if (IS_ERR(dentry)) {
		/* Of a name that is "..", or has a slash or a NUL in it. */
		err = PTR_ERR(dentry) == -EACCES ? -EINVAL : PTR_ERR(dentry);
		goto unlock;
	}
	if (d_really_is_positive(dentry)) {
		err = -EEXIST;
		goto put;
	}
	inode = new_disk(sb, add, backing);
	if (IS_ERR(inode)) {
		err = PTR_ERR(inode);
		goto put;
	}
	d_instantiate(dentry, inode);
	/* Stays until unlink, as in ram/. */
	dget(dentry);
	inode_set_mtime_to_ts(d_inode(dir), inode_set_ctime_current(d_inode(dir)));
put:
	dput(dentry);
unlock:
	inode_unlock(d_inode(dir));
	return err;
}

static int add_file(const struct disco_disk_add *add, struct file *mount,
		    struct file *backing)
{
	char *name;
	int err;

	if (file_inode(mount)->i_sb->s_type != &disco_fs_type)
		return -EMEDIUMTYPE;
	err = check_backing(backing, mount);
	if (err)
		return err;
	name = memdup_user_nul(u64_to_user_ptr(add->name), add->name_len);
	if (IS_ERR(name))
		return PTR_ERR(name);
	err = mnt_want_write(mount->f_path.mnt);
	if (!err) {
		err = strlen(name) == add->name_len ?
		      link_disk(file_inode(mount)->i_sb, add, name, backing) :
		      -EINVAL;
		mnt_drop_write(mount->f_path.mnt);
	}
	kfree(name);
	return err;
}

/**
 * disco_disk_add() - DISCO_DISK_ADD
 * @req: struct disco_disk_add
 *
 * Return: 0, or what the header lists.
 */
int disco_disk_add(void *req)
{
	const struct disco_disk_add *add = req;
	struct file *mount, *backing;
	int err = -EBADF;

	if (!add->name_len || add->mode & ~0777)
		return -EINVAL;
	if (add->name_len > NAME_MAX)
		return -ENAMETOOLONG;
	mount = fget_raw(add->mount_fd);
	if (!mount)
		return -EBADF;
	backing = fget(add->backing_fd);
	if (backing) {
		err = add_file(add, mount, backing);
		fput(backing);
	}
	fput(mount);
	return err;
}

static u64 count_of(struct disco_disk *disk, enum disco_disk_counter counter)
{
	return percpu_counter_sum_positive(&disk->counters[counter]);
}

/**
 * disco_disk_stat() - DISCO_DISK_STAT
 * @req: struct disco_disk_stat
 *
 * Return: 0; -EBADF; -EMEDIUMTYPE.
 */
int disco_disk_stat(void *req)
{
	struct disco_disk_stat *stat = req;
	struct disco_disk *disk;
	struct file *file;
	int err = 0;

	file = fget(stat->disk_fd);
	if (!file)
		return -EBADF;
	if (file->f_op != &disco_disk_fops) {
		err = -EMEDIUMTYPE;
		goto put;
	}
	if (!(file->f_mode & FMODE_READ)) {
		err = -EBADF;
		goto put;
	}
	disk = disco_disk(file_inode(file));
	stat->out_state = disco_disk_changed(disk) ? DISCO_DISK_CHANGED :
						     DISCO_DISK_OK;
	stat->out_bytes = i_size_read(disk->inode);
	stat->out_max_bytes = disk->max_pages << PAGE_SHIFT;
	stat->out_cached = READ_ONCE(disk->inode->i_mapping->nrpages)
			   << PAGE_SHIFT;
	stat->out_used = count_of(disk, DISCO_DISK_USED) << PAGE_SHIFT;
	stat->out_hits = count_of(disk, DISCO_DISK_HITS);
	stat->out_misses = count_of(disk, DISCO_DISK_MISSES);
	stat->out_mapped = count_of(disk, DISCO_DISK_MAPPED);
	stat->out_copied = count_of(disk, DISCO_DISK_COPIED);
	stat->out_errors = count_of(disk, DISCO_DISK_ERRORS);
put:
	fput(file);
	return err;
}
