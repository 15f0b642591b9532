// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names: regular files and directories below ram/, after fs/ramfs/inode.c, and
 * files in disk/.
 */
#include <linux/blk_types.h>
#include <linux/dcache.h>
#include <linux/fileattr.h>

#include "disco.h"

static int disco_getattr(struct mnt_idmap *idmap, const struct path *path,
			 struct kstat *stat, u32 request_mask,
			 unsigned int query_flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct disco_vm *vm = disco_vm(inode);
	s64 pages;

	generic_fillattr(idmap, request_mask, inode, stat);
	/* Two sums taken one after the other: may be off while pages move. */
	pages = percpu_counter_sum_positive(&vm->nr_private) +
		percpu_counter_sum_positive(&vm->nr_shared);
	stat->blocks = pages << (PAGE_SHIFT - SECTOR_SHIFT);
	return 0;
}

static int change_size(struct inode *inode, loff_t size)
{
	struct disco_vm *vm = disco_vm(inode);
	loff_t old = i_size_read(inode), zero = min(old, size);
	int err;

	/*
	 * The end of the last page that stays: behind the new end when the
	 * file shrinks, behind the old one, where a mapping may have written,
	 * when it grows.
	 */
	err = disco_vm_zero_partial(vm, zero, round_up(zero, PAGE_SIZE));
	if (err)
		return err;

	/* Size first: a fault that looks at it later than us maps nothing. */
	i_size_write(inode, size);
	if (size < old) {
		filemap_invalidate_lock(inode->i_mapping);
		disco_vm_drop(vm, vm->pmap, DIV_ROUND_UP_ULL(size, PAGE_SIZE),
			      DISCO_MAX_GFN + 1);
		filemap_invalidate_unlock(inode->i_mapping);
	}
	inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
	return 0;
}

/**
 * disco_setattr() - change size, owner, mode or times
 * @idmap: of the mount
 * @dentry: file or directory below ram/
 * @attr: what to change
 *
 * Context: inode lock held.
 * Return: 0; -EPERM or -EINVAL as any file system; -EFBIG past the largest VM;
 * -ENOMEM or -ENOSPC if a shared page that the new end cuts could not be
 * copied. On an error nothing has changed.
 */
int disco_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
		  struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	int err;

	err = setattr_prepare(idmap, dentry, attr);
	if (err)
		return err;
	if (attr->ia_valid & ATTR_SIZE) {
		err = change_size(inode, attr->ia_size);
		if (err)
			return err;
	}
	setattr_copy(idmap, inode, attr);
	return 0;
}

static int disco_fileattr_get(struct dentry *dentry, struct fileattr *fa)
{
	struct disco_vm *vm = disco_vm(d_inode(dentry));

	fileattr_fill_flags(fa, READ_ONCE(vm->no_merge) ? FS_NOCOW_FL : 0);
	return 0;
}

/* chattr +C, and the like: keeps a VM's pages out of DISCO_MERGE. */
static int disco_fileattr_set(struct mnt_idmap *idmap, struct dentry *dentry,
			      struct fileattr *fa)
{
	struct inode *inode = d_inode(dentry);

	if (fileattr_has_fsx(fa) || fa->flags & ~FS_NOCOW_FL)
		return -EOPNOTSUPP;
	/* No merge is under way once this has returned. */
	filemap_invalidate_lock(inode->i_mapping);
	WRITE_ONCE(disco_vm(inode)->no_merge, fa->flags & FS_NOCOW_FL);
	filemap_invalidate_unlock(inode->i_mapping);
	inode_set_ctime_current(inode);
	return 0;
}

static const struct inode_operations disco_ram_file_iops = {
	.setattr	= disco_setattr,
	.getattr	= disco_getattr,
	.fileattr_get	= disco_fileattr_get,
	.fileattr_set	= disco_fileattr_set,
};

static const struct address_space_operations disco_aops = {
	.dirty_folio	= noop_dirty_folio,
};

/**
 * disco_inode_new() - make an inode that is a directory, or is made one thing
 *	or another by the caller
 * @sb: mount
 * @dir: parent, whose group may be inherited; NULL for the mount's own
 * @mode: type and permissions
 *
 * Return: inode, or NULL if there is no memory.
 */
struct inode *disco_inode_new(struct super_block *sb, const struct inode *dir,
			      umode_t mode)
{
	struct inode *inode = new_inode(sb);

	if (!inode)
		return NULL;
	inode->i_ino = get_next_ino();
	inode_init_owner(&nop_mnt_idmap, inode, dir, mode);
	simple_inode_init_ts(inode);
	if (S_ISDIR(mode)) {
		inode->i_op = &disco_ram_dir_iops;
		inode->i_fop = &simple_dir_operations;
		/* For its "." entry. */
		inc_nlink(inode);
	}
	return inode;
}

/**
 * disco_ram_inode_new() - make a directory or a VM's memory
 * @sb: mount
 * @dir: parent, whose group may be inherited
 * @mode: type and permissions
 *
 * Return: inode or ERR_PTR: -ENOMEM, -EMFILE as disco_vm_create().
 */
struct inode *disco_ram_inode_new(struct super_block *sb,
				  const struct inode *dir, umode_t mode)
{
	struct inode *inode = disco_inode_new(sb, dir, mode);
	int err;

	if (!inode)
		return ERR_PTR(-ENOMEM);
	if (S_ISREG(mode)) {
		inode->i_mapping->a_ops = &disco_aops;
		inode->i_op = &disco_ram_file_iops;
		inode->i_fop = &disco_ram_fops;
		err = disco_vm_create(inode);
		if (err) {
			iput(inode);
			return ERR_PTR(err);
		}
	}
	return inode;
}

static int make(struct inode *dir, struct dentry *dentry, umode_t mode)
{
	struct inode *inode = disco_ram_inode_new(dir->i_sb, dir, mode);

	if (IS_ERR(inode))
		return PTR_ERR(inode);
	d_instantiate(dentry, inode);
	/* There is no disk behind the dentry: it stays until unlink. */
	dget(dentry);
	inode_set_mtime_to_ts(dir, inode_set_ctime_current(dir));
	return 0;
}

static int disco_create(struct mnt_idmap *idmap, struct inode *dir,
			struct dentry *dentry, umode_t mode, bool excl)
{
	return make(dir, dentry, mode | S_IFREG);
}

static int disco_mkdir(struct mnt_idmap *idmap, struct inode *dir,
		       struct dentry *dentry, umode_t mode)
{
	int err = make(dir, dentry, mode | S_IFDIR);

	if (!err)
		inc_nlink(dir);
	return err;
}

/* simple_rename() would also move a name out of ram/. */
static int disco_rename(struct mnt_idmap *idmap, struct inode *old_dir,
			struct dentry *old_dentry, struct inode *new_dir,
			struct dentry *new_dentry, unsigned int flags)
{
	if (new_dir->i_op != &disco_ram_dir_iops)
		return -EPERM;
	return simple_rename(idmap, old_dir, old_dentry, new_dir, new_dentry,
			     flags);
}

const struct inode_operations disco_ram_dir_iops = {
	.lookup		= simple_lookup,
	.create		= disco_create,
	.unlink		= simple_unlink,
	.mkdir		= disco_mkdir,
	.rmdir		= simple_rmdir,
	.rename		= disco_rename,
	.setattr	= disco_setattr,
	.getattr	= simple_getattr,
};

static int disco_disk_unlink(struct inode *dir, struct dentry *dentry)
{
	int err = disco_disk_retire(disco_disk(d_inode(dentry)));

	return err ?: simple_unlink(dir, dentry);
}

static int disco_disk_rename(struct mnt_idmap *idmap, struct inode *old_dir,
			     struct dentry *old_dentry, struct inode *new_dir,
			     struct dentry *new_dentry, unsigned int flags)
{
	if (new_dir != old_dir)
		return -EPERM;
	/* It would remove that one, in use or not. */
	if (d_really_is_positive(new_dentry))
		return -EEXIST;
	return simple_rename(idmap, old_dir, old_dentry, new_dir, new_dentry,
			     flags);
}

/* Disks are made by DISCO_DISK_ADD. */
const struct inode_operations disco_disk_dir_iops = {
	.lookup		= simple_lookup,
	.unlink		= disco_disk_unlink,
	.rename		= disco_disk_rename,
	.setattr	= disco_setattr,
	.getattr	= simple_getattr,
};

/* Owner, mode and times can be changed; the size is the backing's. */
static int disco_disk_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
			      struct iattr *attr)
{
	if (attr->ia_valid & ATTR_SIZE)
		return -EPERM;
	return disco_setattr(idmap, dentry, attr);
}

static int disco_disk_getattr(struct mnt_idmap *idmap, const struct path *path,
			      struct kstat *stat, u32 request_mask,
			      unsigned int query_flags)
{
	struct inode *inode = d_inode(path->dentry);

	generic_fillattr(idmap, request_mask, inode, stat);
	stat->blocks = inode->i_mapping->nrpages << (PAGE_SHIFT - SECTOR_SHIFT);
	return 0;
}

const struct inode_operations disco_disk_file_iops = {
	.setattr	= disco_disk_setattr,
	.getattr	= disco_disk_getattr,
};

/* Without one of our own, the VFS would change it itself. */
static int disco_root_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
			      struct iattr *attr)
{
	return -EPERM;
}

/* Nothing can be made, removed or renamed beside ram/ and disk/. */
const struct inode_operations disco_root_iops = {
	.lookup		= simple_lookup,
	.setattr	= disco_root_setattr,
	.getattr	= simple_getattr,
};
