/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rest of the module is written for the newest supported kernel. What an
 * older one lacks is made up for here, by feature (probe.sh), so that no
 * version test stands anywhere else.
 */
#ifndef _DISCO_COMPAT_H
#define _DISCO_COMPAT_H

#include <linux/fs.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/uio.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0) || \
	LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#error "disco supports Linux 6.1 to 6.12; this kernel is outside that range"
#endif

#ifndef CONFIG_64BIT
#error "disco packs a VM number and a gfn into one word: it needs a 64-bit kernel"
#endif

#ifndef DISCO_HAVE_MNT_IDMAP
/* Before 6.3 the inode operations took the mount's user namespace here. */
#define mnt_idmap user_namespace
#define nop_mnt_idmap init_user_ns
#endif

#ifndef DISCO_HAVE_FILLATTR_MASK
static inline void disco_fillattr(struct mnt_idmap *idmap, u32 request_mask,
				  struct inode *inode, struct kstat *stat)
{
	generic_fillattr(idmap, inode, stat);
}

#define generic_fillattr disco_fillattr
#endif

#ifndef DISCO_HAVE_INODE_SET_CTIME_CURRENT
static inline struct timespec64 inode_set_ctime_current(struct inode *inode)
{
	inode->i_ctime = current_time(inode);
	return inode->i_ctime;
}
#endif

#ifndef DISCO_HAVE_INODE_TS_HELPERS
static inline struct timespec64 simple_inode_init_ts(struct inode *inode)
{
	inode->i_atime = inode_set_ctime_current(inode);
	inode->i_mtime = inode->i_atime;
	return inode->i_atime;
}

static inline void inode_set_mtime_to_ts(struct inode *inode,
					 struct timespec64 ts)
{
	inode->i_mtime = ts;
}
#endif

#ifndef DISCO_HAVE_COPY_SPLICE_READ
ssize_t copy_splice_read(struct file *in, loff_t *ppos,
			 struct pipe_inode_info *pipe, size_t len,
			 unsigned int flags);
#endif

#ifndef DISCO_HAVE_VM_FLAGS_SET
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}
#endif

#ifndef DISCO_HAVE_MEM_CGROUP_TRYGET
static inline bool mem_cgroup_tryget(struct mem_cgroup *memcg)
{
#ifdef CONFIG_MEMCG
	return !memcg || css_tryget(&memcg->css);
#else
	return true;
#endif
}
#endif

#ifndef DISCO_HAVE_REPLACE_PAGE_CACHE_FOLIO
static inline void replace_page_cache_folio(struct folio *old,
					    struct folio *new)
{
	replace_page_cache_page(folio_page(old, 0), folio_page(new, 0));
}
#endif

#ifndef DISCO_HAVE_ITER_DEST
#define ITER_DEST READ
#endif

#ifndef DISCO_HAVE_ITER_IOV
static inline void __user *iter_iov_addr(const struct iov_iter *iter)
{
	return iter->iov->iov_base + iter->iov_offset;
}

static inline size_t iter_iov_len(const struct iov_iter *iter)
{
	return iter->iov->iov_len - iter->iov_offset;
}
#endif

#endif /* _DISCO_COMPAT_H */
