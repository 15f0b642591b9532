/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * disco - shared memory for virtual machines, after Disco (SOSP'97)
 *
 * Words. A *VM* is a regular file in ram/. Its *gfn* are the page numbers of
 * the file. The *pmap* says for each gfn what is behind it, in a *slot*. The
 * *memmap* says for each machine page who uses it: (VM, gfn) pairs, kept in the
 * page's own struct folio and a small list.
 *
 * A slot is in one of four states (uapi: enum disco_page_state):
 *
 *	hole	 nothing mapped
 *	zero	 a node's zero page may be mapped read-only
 *	private	 one folio, one user; mapped read-write
 *	shared	 one folio, any number of users; mapped read-only by all
 *
 * A shared page may have *replicas* on other nodes, which are mapped in its place;
 * it is their *master*.
 *
 * Locks, in this order:
 *
 *	inode lock			size, and who clones or punches
 *	disco_sb.move_lock		who moves a shared page
 *	disco_sb.check_lock		clone, read of a disk, merge, move of a
 *					shared page: shared; consistency check:
 *					exclusive
 *	mmap_lock or VMA lock
 *	mapping->invalidate_lock	faults, queries, read of a disk, move of
 *					a shared page: shared; truncate, punch,
 *					clone and merge (both files), move of
 *					private pages, replicas, check: exclusive
 *	disco_vm.slot_locks[]		hole and zero slots
 *	folio lock			filled slots, and the folio's users and
 *					replicas
 *	mapping->i_mmap_rwsem		inside disco_vm_zap()
 *
 *	disco_vm.vcpus_lock		a leaf: nothing is taken under it
 *	disco_heat.lock			who takes heat, or starts and stops the
 *					sampler; before mmap_lock
 *	xa_lock of disco_heat.counters	a leaf
 *	a chain of replica.c		a leaf
 *
 * Write and punch take the inode lock before any fault could take mmap_lock
 * under it: copies to and from user memory run with nothing held but the
 * inode lock and a reference on the page.
 *
 * Who may change what:
 *
 *	- A hole or zero slot changes under its slot lock, or with
 *	  invalidate_lock held exclusive. The zero page's PTE is inserted under
 *	  the same lock, so who fills the slot zaps every zero PTE there is.
 *	- A filled slot changes under the lock of its folio, or with
 *	  invalidate_lock held exclusive and the folio frozen. To look at one:
 *	  read the slot, take a reference, lock the folio, read again.
 *	- Nobody holds two folio locks of slots; a folio not yet in a slot does
 *	  not count.
 *	- Leaves of the pmap are added at any time and freed with invalidate_lock
 *	  held exclusive. A lock of a folio that lists (vm, gfn) as user also
 *	  keeps that VM and the leaf of that slot alive.
 */
#ifndef _DISCO_H
#define _DISCO_H

#include <linux/fs.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/nodemask.h>
#include <linux/pagemap.h>
#include <linux/percpu-rwsem.h>
#include <linux/percpu_counter.h>
#include <linux/xarray.h>

#include <linux/disco.h>

#include "compat/compat.h"
#include "counters.h"

#define DISCO_VERSION "0.1"

/* A gfn has 32 bits in a user's record: 16 TiB of 4 KiB pages. */
#define DISCO_GFN_BITS 32
#define DISCO_MAX_GFN (BIT_ULL(DISCO_GFN_BITS) - 1)

/* The page offset of a mapping is a view and, below it, a gfn. */
#define DISCO_VIEW_GFN_BITS (DISCO_VIEW_SHIFT - PAGE_SHIFT)

static inline u64 disco_view(pgoff_t pgoff)
{
	return (u64)pgoff >> DISCO_VIEW_GFN_BITS;
}

static inline pgoff_t disco_view_gfn(pgoff_t pgoff)
{
	return pgoff & (BIT_ULL(DISCO_VIEW_GFN_BITS) - 1);
}

static inline pgoff_t disco_view_pgoff(u64 view, pgoff_t gfn)
{
	return (view << DISCO_VIEW_GFN_BITS) + gfn;
}

/* pmap.c: physical to machine */

/**
 * struct disco_pmap_table - gfn to slot, for one VM
 * @leaves: gfn / DISCO_LEAF_SLOTS to a page of slots; no leaf means all holes
 * @nr_leaves: pages in @leaves
 *
 * An xarray of pages rather than of folios: a slot then costs 8 bytes and not
 * 9, faults of one VM share no lock, and a leaf is what a huge page would be.
 */
struct disco_pmap_table {
	struct xarray leaves;
	atomic_long_t nr_leaves;
};

#define DISCO_LEAF_SLOTS (PAGE_SIZE / sizeof(unsigned long))

/* A slot's value: folio pointer | enum disco_page_state. */
#define DISCO_SLOT_STATE 3UL

static inline enum disco_page_state disco_slot_state(unsigned long value)
{
	return value & DISCO_SLOT_STATE;
}

static inline struct folio *disco_slot_folio(unsigned long value)
{
	return (struct folio *)(value & ~DISCO_SLOT_STATE);
}

static inline unsigned long disco_slot_value(struct folio *folio,
					     enum disco_page_state state)
{
	return (unsigned long)folio | state;
}

static inline bool disco_slot_filled(unsigned long value)
{
	return disco_slot_state(value) >= DISCO_PAGE_PRIVATE;
}

void disco_pmap_init(struct disco_pmap_table *pmap);
void disco_pmap_destroy(struct disco_pmap_table *pmap);
unsigned long *disco_pmap_slot(struct disco_pmap_table *pmap, pgoff_t gfn);
unsigned long *disco_pmap_slot_alloc(struct disco_pmap_table *pmap,
				     pgoff_t gfn);
unsigned long *disco_pmap_next(struct disco_pmap_table *pmap,
			       unsigned long *prev, pgoff_t *gfn, pgoff_t end);
void disco_pmap_free_leaves(struct disco_pmap_table *pmap, pgoff_t start,
			    pgoff_t end);

/* Every slot of a range that is not a hole when its turn comes. */
#define disco_pmap_for_each(pmap, slot, gfn, start, end)		\
	for ((gfn) = (start),						\
	     (slot) = disco_pmap_next(pmap, NULL, &(gfn), end);		\
	     (slot);							\
	     (gfn)++, (slot) = disco_pmap_next(pmap, slot, &(gfn), end))

/* memmap.c: machine to physical */

/**
 * struct disco_user - one user of a machine page
 * @vm: number of the VM
 * @gfn: where the VM has the page
 *
 * Six bytes, so that a slot and a user together stay under 0.4% of a page.
 */
struct disco_user {
	u16 vm;
	u32 gfn;
} __packed __aligned(2);

int disco_memmap_cache_init(void);
void disco_memmap_cache_destroy(void);
void disco_memmap_init(struct folio *folio, struct disco_user user);
bool disco_memmap_ours(struct folio *folio, struct disco_user *first);
bool disco_memmap_cached(struct folio *folio);
unsigned int disco_memmap_count(struct folio *folio);
bool disco_memmap_others(struct folio *folio, u32 vm);
struct disco_user disco_memmap_get(struct folio *folio, unsigned int i);
int disco_memmap_add(struct folio *folio, struct disco_user user);
unsigned int disco_memmap_del(struct folio *folio, struct disco_user user);
size_t disco_memmap_bytes(struct folio *folio);

/* mpol.c: where VMs get their memory */

enum disco_mpol_mode {
	DISCO_MPOL_DEFAULT,
	DISCO_MPOL_LOCAL,
	DISCO_MPOL_PREFER,
	DISCO_MPOL_BIND,
	DISCO_MPOL_INTERLEAVE,
};

/**
 * struct disco_mpol - mpol= of a mount
 * @mode: the policy; DISCO_MPOL_DEFAULT leaves it to the task
 * @nodes: of those that take nodes
 */
struct disco_mpol {
	enum disco_mpol_mode mode;
	nodemask_t nodes;
};

struct seq_file;

const char *disco_mpol_parse(const char *string, struct disco_mpol *mpol);
void disco_mpol_show(struct seq_file *seq, const struct disco_mpol *mpol);
int disco_mpol_node(const struct disco_mpol *mpol, pgoff_t gfn);
struct folio *disco_mpol_alloc(struct disco_mpol *mpol, pgoff_t gfn, gfp_t gfp);

/* super.c: one mount */

/**
 * struct disco_sb - one mount
 * @used: machine pages of this mount's VMs
 * @max_pages: limit of @used, 0 for none (size=)
 * @nr_replicas: those of @used that are replicas
 * @max_replicas: limit of @nr_replicas, S64_MAX for none (replicas=)
 * @mode: permissions of ram/ and disk/ at mount (mode=)
 * @uid: owner of ram/ and disk/ at mount (uid=)
 * @gid: group of ram/ and disk/ at mount (gid=)
 * @mpol: where VMs get their memory (mpol=)
 * @disk_dir: disk/
 * @check_lock: held exclusive by the consistency check, shared by clone, merge,
 *	reads of disks and moves of shared pages, whose pages list a user that is
 *	not in a pmap yet
 * @move_lock: shared pages are moved one at a time
 */
struct disco_sb {
	struct percpu_counter used;
	u64 max_pages;
	atomic64_t nr_replicas;
	s64 max_replicas;
	umode_t mode;
	kuid_t uid;
	kgid_t gid;
	struct disco_mpol mpol;
	struct dentry *disk_dir;
	struct percpu_rw_semaphore check_lock;
	/* Outside of all locks of VMs: a move takes one VM's after the other. */
	struct mutex move_lock;
};

extern struct file_system_type disco_fs_type;

static inline struct disco_sb *disco_sb(struct super_block *sb)
{
	return sb->s_fs_info;
}

/* heat.c: who uses which pages */

struct disco_sampler;

/**
 * struct disco_heat - how often each node used each page of a VM
 * @counters: by page and node, none that is zero
 * @nr: how many counters there are; changes under the xarray's lock
 * @max: how many there may be
 * @budget: millionths of a CPU's time for the sampler; 0: it is off
 * @lock: protects @max, @budget and @sampler from other callers of ioctls, and
 *	counters from being taken twice
 * @sampler: made when it is first needed; only set
 */
struct disco_heat {
	struct xarray counters;
	unsigned long nr;
	u32 max;
	u32 budget;
	/* User memory is copied under it. */
	struct mutex lock;
	struct disco_sampler *sampler;
};

void disco_heat_init(struct disco_heat *heat);
int disco_heat_add(struct disco_heat *heat, pgoff_t gfn, int node, u32 reads,
		   u32 writes, gfp_t gfp);
void disco_heat_drop(struct disco_heat *heat, pgoff_t start, pgoff_t end);
unsigned int disco_heat_collect(struct disco_heat *heat, u64 *gfn,
				struct disco_heat_entry *entries,
				unsigned int nr);
void disco_heat_subtract(struct disco_heat *heat,
			 const struct disco_heat_entry *entries,
			 unsigned int nr);
int disco_heat_report(void *req);
int disco_heat_drain(void *req);

/* vm.c: one virtual machine's memory */

#define DISCO_SLOT_LOCKS 64

/**
 * struct disco_vm - the memory of one VM: a regular file in ram/
 * @inode: the file; @inode->i_private points back
 * @id: number, unique among living VMs; fits in 16 bits
 * @pmap: what is behind each gfn
 * @nr_private: slots in state private
 * @nr_shared: slots in state shared
 * @views: nodes whose view was ever mapped; only set
 * @no_merge: FS_NOCOW_FL of the file; changes with invalidate_lock held
 *	exclusive
 * @rcu: delays freeing for disco_vm_find()
 * @vcpus_lock: protects @vcpus
 * @vcpus: its VCPUs, listed by vcpu.c
 * @heat: who uses its pages
 * @slot_locks: protect hole and zero slots, hashed by gfn
 */
struct disco_vm {
	struct inode *inode;
	u32 id;
	struct disco_pmap_table *pmap;
	struct percpu_counter nr_private;
	struct percpu_counter nr_shared;
	nodemask_t views;
	bool no_merge;
	struct rcu_head rcu;
	/* A leaf, and never held where user memory is touched. */
	struct mutex vcpus_lock;
	struct list_head vcpus;
	struct disco_heat heat;
	/* One for many slots: nobody takes two. */
	struct mutex slot_locks[DISCO_SLOT_LOCKS];
};

/* For an inode that is known to be a file in ram/. */
static inline struct disco_vm *disco_vm(struct inode *inode)
{
	return inode->i_private;
}

static inline struct disco_sb *disco_vm_sb(struct disco_vm *vm)
{
	return disco_sb(vm->inode->i_sb);
}

static inline struct mutex *disco_slot_lock(struct disco_vm *vm, pgoff_t gfn)
{
	return &vm->slot_locks[gfn % DISCO_SLOT_LOCKS];
}

static inline struct disco_user disco_user(struct disco_vm *vm, pgoff_t gfn)
{
	return (struct disco_user){ .vm = vm->id, .gfn = gfn };
}

static inline pgoff_t disco_vm_pages(struct disco_vm *vm)
{
	return DIV_ROUND_UP_ULL(i_size_read(vm->inode), PAGE_SIZE);
}

int disco_vm_create(struct inode *inode);
void disco_vm_destroy(struct disco_vm *vm);
struct disco_vm *disco_vm_lookup(u32 id);
struct inode *disco_vm_find(u32 id);
void disco_vm_put(struct inode *inode);
struct inode *disco_vm_find_next(struct super_block *sb, unsigned long *id,
				 bool *dying);
bool disco_view_possible(u64 view);
bool disco_vm_has_view(struct disco_vm *vm, u64 view);
int disco_vm_add_view(struct disco_vm *vm, u64 view);
void disco_vm_zap(struct disco_vm *vm, pgoff_t gfn, pgoff_t nr);
void disco_vm_drop(struct disco_vm *vm, struct disco_pmap_table *pmap,
		   pgoff_t start, pgoff_t end);
int disco_vm_zero_partial(struct disco_vm *vm, loff_t start, loff_t end);

/* slot.c: the life of a page */

struct folio *disco_slot_lock_folio(unsigned long *slot, unsigned long value);
struct folio *disco_slot_get_filled(struct disco_vm *vm, pgoff_t gfn,
				    bool *shared);
struct folio *disco_slot_get_folio(struct disco_vm *vm, pgoff_t gfn);
int disco_slot_get_private(struct disco_vm *vm, pgoff_t gfn,
			   struct vm_area_struct *vma, unsigned long addr,
			   struct folio *held, struct folio **foliop);
vm_fault_t disco_slot_map_zero(struct disco_vm *vm, unsigned long *slot,
			       struct vm_fault *vmf);
void disco_slot_drop(struct disco_vm *vm, pgoff_t gfn, unsigned long *slot);

/* share.c: pages that several VMs have */

int disco_slot_share(struct disco_vm *src, pgoff_t gfn, unsigned long *slot,
		     unsigned int nr, struct disco_vm *dst,
		     unsigned long *dst_slot);
unsigned int disco_slot_map_cached(struct disco_vm *vm, pgoff_t gfn,
				   struct folio **folios, unsigned int nr);

/* merge.c: equal pages of two VMs */

int disco_merge(void *req);

/* move.c: pages that go to other nodes */

int disco_move(void *req);

/* move_shared.c: shared pages that go to other nodes */

int disco_move_shared(struct disco_vm *vm, pgoff_t gfn, int node);

/* replica.c: copies of shared pages on other nodes */

int disco_replica_init(void);
void disco_replica_exit(void);
struct folio *disco_replica_first(struct folio *master);
struct folio *disco_replica_next(struct folio *replica, struct folio *master);
struct folio *disco_replica_on(struct folio *master, int node);
unsigned int disco_replica_count(struct folio *master);
bool disco_replica_used(struct folio *master);
bool disco_replica_belongs(struct folio *replica, struct folio *master);
struct folio *disco_replica_master(struct folio *folio);
struct folio *disco_replica_alloc(struct disco_vm *vm, pgoff_t gfn,
				  struct folio *master, int node, int *err);
void disco_replica_discard(struct disco_vm *vm, struct folio *replica);
void disco_replica_add(struct disco_vm *vm, pgoff_t gfn, struct folio *master,
		       struct folio *replica);
void disco_replica_drop(struct disco_vm *vm, pgoff_t gfn, struct folio *master,
			struct folio *replica);
void disco_replica_drop_all(struct disco_vm *vm, pgoff_t gfn,
			    struct folio *master);
struct folio *disco_replica_bad(struct folio *master);

#define disco_for_each_replica(replica, master)				\
	for ((replica) = disco_replica_first(master); (replica);	\
	     (replica) = disco_replica_next(replica, master))

/* heat_sample.c: unmapping pages to see who uses them */

bool disco_heat_sampled(struct disco_vm *vm, pgoff_t gfn);
u64 disco_heat_clock(struct disco_vm *vm);
void disco_heat_fault(struct disco_vm *vm, pgoff_t gfn, bool write, u64 start);
void disco_heat_destroy(struct disco_heat *heat);
int disco_heat_set(void *req);
int disco_heat_stat(void *req);

/* page.c: machine pages */

int disco_zero_init(void);
void disco_zero_exit(void);
struct folio *disco_zero_folio(int node);
struct folio *disco_folio_alloc(struct disco_vm *vm, pgoff_t gfn,
				struct vm_area_struct *vma, unsigned long addr,
				gfp_t gfp, int *err);
/* A page of one node or none, without trying hard: nobody needs it there. */
#define DISCO_GFP_ON_NODE \
	(GFP_HIGHUSER | __GFP_THISNODE | __GFP_NORETRY | __GFP_NOWARN)

struct folio *disco_folio_alloc_on(int node, struct folio *like);
struct mem_cgroup *disco_folio_memcg(struct folio *folio);
bool disco_folio_charge(struct disco_sb *sbi);
void disco_folio_uncharge(struct disco_sb *sbi);
void disco_folio_discard(struct disco_vm *vm, struct folio *folio);
void disco_folio_free(struct disco_vm *vm, struct folio *folio);
void disco_folio_copy(struct folio *dst, struct folio *src);

/* disk.c: one copy-on-write disk */

/* struct disco_disk_stat says what they count. */
enum disco_disk_counter {
	DISCO_DISK_USED,
	DISCO_DISK_HITS,
	DISCO_DISK_MISSES,
	DISCO_DISK_MAPPED,
	DISCO_DISK_COPIED,
	DISCO_DISK_ERRORS,
	DISCO_DISK_NR_COUNTERS
};

/**
 * struct disco_disk - a file in disk/
 * @inode: the file, whose page cache is the disk's part of the global buffer
 *	cache; @inode->i_private points back
 * @backing: what it reads; writing to a regular file is denied
 * @max_pages: most pages to cache beside those that VMs use, 0 for no limit
 * @mtime: of the backing when the disk was added
 * @changed: the backing has changed since
 * @direct: the backing can be read around the host's page cache
 * @opens: open files, or DISCO_DISK_REMOVED
 * @hand: where to go on dropping pages when there are more than @max_pages
 * @counters: struct disco_disk_stat says what they count
 */
struct disco_disk {
	struct inode *inode;
	struct file *backing;
	u64 max_pages;
	struct timespec64 mtime;
	bool changed;
	bool direct;
	atomic_t opens;
	pgoff_t hand;
	struct percpu_counter counters[DISCO_DISK_NR_COUNTERS];
};

#define DISCO_DISK_REMOVED -1

/* For an inode that is known to be a file in disk/. */
static inline struct disco_disk *disco_disk(struct inode *inode)
{
	return inode->i_private;
}

static inline void disco_disk_count(struct disco_disk *disk,
				    enum disco_disk_counter counter, s64 n)
{
	percpu_counter_add(&disk->counters[counter], n);
}

bool disco_is_disk(struct inode *inode);
struct disco_disk *disco_disk_of(struct folio *folio);
void disco_disk_destroy(struct disco_disk *disk);
int disco_disk_retire(struct disco_disk *disk);
bool disco_disk_changed(struct disco_disk *disk);
int disco_disk_add(void *req);
int disco_disk_stat(void *req);

extern const struct file_operations disco_disk_fops;

/* backing.c: the global buffer cache, and how it is filled */

int disco_backing_read(struct disco_disk *disk, struct folio *folio,
		       loff_t pos);
void disco_cache_trim(struct disco_disk *disk);

extern const struct address_space_operations disco_disk_aops;

/* disk_read.c: reading a disk */

int disco_disk_read_init(void);
void disco_disk_read_exit(void);
ssize_t disco_disk_read_iter(struct kiocb *iocb, struct iov_iter *to);

/* inode.c, file.c, fault.c, clone.c: the file system */

struct inode *disco_inode_new(struct super_block *sb, const struct inode *dir,
			      umode_t mode);
struct inode *disco_ram_inode_new(struct super_block *sb,
				  const struct inode *dir, umode_t mode);
int disco_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
		  struct iattr *attr);
loff_t disco_remap_range(struct file *file_in, loff_t pos_in,
			 struct file *file_out, loff_t pos_out, loff_t len,
			 unsigned int remap_flags);

extern const struct inode_operations disco_ram_dir_iops;
extern const struct inode_operations disco_disk_dir_iops;
extern const struct inode_operations disco_disk_file_iops;
extern const struct inode_operations disco_root_iops;
extern const struct file_operations disco_ram_fops;
extern const struct vm_operations_struct disco_vm_ops;

/* main.c, ioctl.c, query.c, check.c: /dev/disco */

void disco_uevent(char *event);

struct disco_ioctl_op;

const struct disco_ioctl_op *disco_ioctl_find(unsigned int cmd);
int disco_ioctl_copy_in(const struct disco_ioctl_op *op, void *req,
			const void __user *arg, u32 *size);
extern const struct file_operations disco_dev_fops;

struct file *disco_get_vm_file(s32 fd, fmode_t mode, struct disco_vm **vmp);
int disco_query(void *req);
int disco_vm_stat(void *req);
int disco_pmap(void *req);
int disco_memmap(void *req);
int disco_check(void *req);

/* vcpu.c: second-level TLBs */

struct file *disco_vcpu_open(void *req);
void disco_vcpu_publish(struct file *file);
int disco_vcpu_stat(void *req);
int disco_vcpu_dump(void *req);

#endif /* _DISCO_H */
