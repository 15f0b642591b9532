/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The interface of /dev/disco.
 *
 * What has a file verb (create, map, punch, clone, read, write a VM's memory)
 * is done on the files of the disco file system; what has none is here.
 */
#ifndef _LINUX_DISCO_H
#define _LINUX_DISCO_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: General rules
 *
 * Every request is a structure whose first field is its @size in bytes as the
 * caller knows it. A module that knows a longer structure takes the missing
 * fields as zero; one that knows a shorter structure accepts the request if
 * what it does not know is zero. So old programs and new modules work
 * together, and the other way round.
 *
 * Fields named out_* are written by the module on success and ignored on the
 * way in. Fields named __reserved and unknown flags must be zero.
 *
 * A request that fails changes nothing, and leaves the caller's structure and
 * buffers as they were, but for entries of a list already copied out.
 *
 * Errors that every request can return:
 *
 *  - ENOTTY: the module does not know the request number
 *  - EINVAL: @size is below the first published size of the structure, or a
 *    known field holds a value that its description rules out
 *  - E2BIG: bytes beyond what the module knows are not zero, or @size is
 *    larger than a page
 *  - EOPNOTSUPP: a flag that the module does not know
 *  - EFAULT: the structure or a buffer it points to is not accessible
 *  - EBADF: a file descriptor field is not an open file, or not readable
 *  - EMEDIUMTYPE: a file descriptor field is not a file of the kind asked for
 *  - EPERM: the request needs CAP_SYS_ADMIN in the initial user namespace
 *  - ENOMEM: not enough memory
 *  - EINTR: a fatal signal came while the request ran
 *
 * Machine frame numbers help to attack a host, so they are shown only to
 * callers with CAP_SYS_ADMIN, as in /proc/PID/pagemap.
 */

/** DISCO_TYPE - ioctl type of /dev/disco */
#define DISCO_TYPE 0xD5

/** DISCO_API_VERSION - raised when a request changes its meaning */
#define DISCO_API_VERSION 1

/* Sorted; the module's table is checked against it. */
enum {
	DISCO_CMD_BASE = 0x40,
	DISCO_CMD_QUERY = DISCO_CMD_BASE,
	DISCO_CMD_VM_STAT,
	DISCO_CMD_PMAP,
	DISCO_CMD_MEMMAP,
	DISCO_CMD_CHECK,
	DISCO_CMD_VCPU_CREATE,
	DISCO_CMD_VCPU_STAT,
	DISCO_CMD_VCPU_DUMP,
	DISCO_CMD_DISK_ADD,
	DISCO_CMD_DISK_STAT,
	DISCO_CMD_MERGE,
	DISCO_CMD_MOVE,
	DISCO_CMD_HEAT_SET,
	DISCO_CMD_HEAT_STAT,
	DISCO_CMD_HEAT_REPORT,
	DISCO_CMD_HEAT_DRAIN,
};

/**
 * DISCO_FEATURE_CLONE - FICLONE of a file in ram/ shares its pages
 */
#define DISCO_FEATURE_CLONE (1ULL << 0)

/**
 * DISCO_FEATURE_VCPU - the module keeps the second-level TLBs of VCPUs
 */
#define DISCO_FEATURE_VCPU (1ULL << 1)

/**
 * DISCO_FEATURE_VIEWS - a file in ram/ can be mapped once for each node, see
 * DISCO_VIEW_SHIFT
 */
#define DISCO_FEATURE_VIEWS (1ULL << 2)

/**
 * DISCO_VIEW_SHIFT - mmap offset v << DISCO_VIEW_SHIFT is where view v of a
 * file in ram/ begins. View 0, the file itself, is the home view; view 1 + n is
 * for CPUs of NUMA node n. All views show the same memory. mmap() fails with
 * EINVAL for a node that the machine cannot have
 */
#define DISCO_VIEW_SHIFT 48

/**
 * DISCO_FEATURE_DISK - there is disk/, and a read of a file in it into a VM's
 * memory maps the page instead of copying it
 */
#define DISCO_FEATURE_DISK (1ULL << 3)

/**
 * DISCO_FEATURE_MERGE - there is DISCO_MERGE, and FS_IOC_SETFLAGS knows
 * FS_NOCOW_FL for files in ram/
 */
#define DISCO_FEATURE_MERGE (1ULL << 4)

/**
 * DISCO_FEATURE_MOVE - there is DISCO_MOVE, and the mount option mpol=
 */
#define DISCO_FEATURE_MOVE (1ULL << 5)

/**
 * DISCO_FEATURE_REPLICATE - DISCO_MOVE knows replicas, DISCO_PMAP knows views, and
 * there is the mount option replicas=
 */
#define DISCO_FEATURE_REPLICATE (1ULL << 6)

/**
 * DISCO_FEATURE_HEAT - the module counts which nodes use which pages: there are
 * DISCO_HEAT_SET, DISCO_HEAT_STAT, DISCO_HEAT_REPORT and DISCO_HEAT_DRAIN
 */
#define DISCO_FEATURE_HEAT (1ULL << 7)

/**
 * struct disco_query - ioctl(DISCO_QUERY)
 * @size: sizeof(struct disco_query)
 * @flags: must be 0
 * @out_api_version: DISCO_API_VERSION of the module
 * @out_page_size: bytes of a page; the unit of every gfn and pfn
 * @out_features: DISCO_FEATURE_* bits that this module has
 * @out_max_gfn: largest guest frame number that a VM can have
 * @out_version: version of the module as text, NUL terminated
 *
 * What the module is and can do. Needs no privilege.
 */
struct disco_query {
	__u32 size;
	__u32 flags;
	__u32 out_api_version;
	__u32 out_page_size;
	__aligned_u64 out_features;
	__aligned_u64 out_max_gfn;
	__u8 out_version[32];
};

#define DISCO_QUERY _IO(DISCO_TYPE, DISCO_CMD_QUERY)

/**
 * DISCO_VM_STAT_MACHINE - walk all shared pages, for @out_machine and the lists
 * of users in @out_metadata
 */
#define DISCO_VM_STAT_MACHINE (1U << 0)

/**
 * struct disco_vm_stat - ioctl(DISCO_VM_STAT)
 * @size: sizeof(struct disco_vm_stat)
 * @flags: DISCO_VM_STAT_MACHINE or 0
 * @vm_fd: a file in ram/, open for reading
 * @out_id: number of the VM, as in tracepoints and struct disco_memmap_user;
 *	unique among living VMs, used again after its file is gone
 * @out_virtual: bytes of physical memory the guest has: the file's size
 * @out_private: bytes in private pages
 * @out_shared: bytes in pages mapped copy-on-write, whole pages counted for
 *	each VM that has them
 * @out_machine: bytes of machine memory when each shared page is divided among
 *	its users, and replicas as well; 0 unless asked for
 * @out_metadata: bytes of the module's own tables for this VM, without its share
 *	of the lists of users unless @out_machine is asked for
 * @out_replicas: those bytes of @out_machine that are replicas
 *
 * The memory of one VM. The numbers are a snapshot: they add up exactly only
 * while nothing touches the VM.
 *
 * Errors: EMEDIUMTYPE if @vm_fd is not a file in ram/ of a disco mount.
 */
struct disco_vm_stat {
	__u32 size;
	__u32 flags;
	__s32 vm_fd;
	__u32 out_id;
	__aligned_u64 out_virtual;
	__aligned_u64 out_private;
	__aligned_u64 out_shared;
	__aligned_u64 out_machine;
	__aligned_u64 out_metadata;
	__aligned_u64 out_replicas;
};

#define DISCO_VM_STAT _IO(DISCO_TYPE, DISCO_CMD_VM_STAT)

/**
 * enum disco_page_state - state of one page of a VM
 * @DISCO_PAGE_HOLE: no machine page; reads as zeros
 * @DISCO_PAGE_ZERO: read since it was a hole: the zero page of a node may be
 *	mapped; counts as a hole in SEEK_HOLE and in the footprint
 * @DISCO_PAGE_PRIVATE: a machine page of its own
 * @DISCO_PAGE_SHARED: a machine page mapped copy-on-write; stays so until this
 *	VM writes to it, even if its other users are gone
 * @DISCO_PAGE_REPLICATED: a shared page that has copies on other nodes, which are
 *	mapped there in its place; stays so until its last user writes to it, or
 *	DISCO_MOVE_COLLAPSE
 */
enum disco_page_state {
	DISCO_PAGE_HOLE = 0,
	DISCO_PAGE_ZERO = 1,
	DISCO_PAGE_PRIVATE = 2,
	DISCO_PAGE_SHARED = 3,
	DISCO_PAGE_REPLICATED = 4,
};

/** DISCO_NO_NODE - value of @node where there is no machine page */
#define DISCO_NO_NODE 0xffff

/**
 * struct disco_pmap_entry - one page in the answer to DISCO_PMAP
 * @pfn: machine frame number; 0 where there is none or the caller lacks
 *	CAP_SYS_ADMIN
 * @users: how many (VM, gfn) pairs use the machine page; 0 where there is none
 * @node: NUMA node of the machine page, or DISCO_NO_NODE
 * @state: enum disco_page_state
 */
struct disco_pmap_entry {
	__aligned_u64 pfn;
	__u32 users;
	__u16 node;
	__u16 state;
};

/**
 * struct disco_pmap - ioctl(DISCO_PMAP)
 * @size: sizeof(struct disco_pmap)
 * @flags: must be 0
 * @vm_fd: a file in ram/, open for reading
 * @nr: how many entries the buffer has room for; at least 1
 * @gfn: first guest frame number
 * @entries: address of struct disco_pmap_entry[@nr]
 * @out_nr: entries written; less than @nr at the end of the VM
 * @view: as in DISCO_VIEW_SHIFT: of a replicated page, @pfn and @node are those of
 *	the copy that a fault in this view finds. 0, the home view: of the page
 *	itself, the master
 *
 * Physical to machine: what is behind each page of a range. Entry i is about
 * guest frame @gfn + i.
 *
 * Errors: EINVAL if @nr is 0, or @view that of a node that the machine cannot
 * have; EOVERFLOW if @gfn + @nr overflows; ENXIO if @gfn
 * is past the end of the VM; EMEDIUMTYPE as for DISCO_VM_STAT.
 */
struct disco_pmap {
	__u32 size;
	__u32 flags;
	__s32 vm_fd;
	__u32 nr;
	__aligned_u64 gfn;
	__aligned_u64 entries;
	__u32 out_nr;
	__u32 view;
};

#define DISCO_PMAP _IO(DISCO_TYPE, DISCO_CMD_PMAP)

/**
 * struct disco_memmap_user - one user in the answer to DISCO_MEMMAP
 * @gfn: guest frame number at which the VM has the page
 * @vm_id: number of the VM (disco_vm_stat.out_id)
 * @__reserved: 0
 */
struct disco_memmap_user {
	__aligned_u64 gfn;
	__u32 vm_id;
	__u32 __reserved;
};

/**
 * struct disco_memmap - ioctl(DISCO_MEMMAP)
 * @size: sizeof(struct disco_memmap)
 * @flags: must be 0
 * @pfn: machine frame number; a replica has the users of its master
 * @users: address of struct disco_memmap_user[@nr]; ignored if @nr is 0
 * @nr: how many users the buffer has room for; 0 only counts
 * @out_nr: users written
 * @out_total: users the page has
 * @out_node: NUMA node of the frame
 *
 * Machine to physical: who uses a machine frame. Needs CAP_SYS_ADMIN.
 *
 * Errors: ENXIO if @pfn is not a frame of memory that is online; ENOENT if the
 * frame holds no page of a VM.
 */
struct disco_memmap {
	__u32 size;
	__u32 flags;
	__aligned_u64 pfn;
	__aligned_u64 users;
	__u32 nr;
	__u32 out_nr;
	__u32 out_total;
	__u32 out_node;
};

#define DISCO_MEMMAP _IO(DISCO_TYPE, DISCO_CMD_MEMMAP)

/**
 * enum disco_violation - what DISCO_CHECK found
 * @DISCO_CHECK_OK: nothing wrong
 * @DISCO_CHECK_SLOT: a pmap slot holds an impossible value
 * @DISCO_CHECK_BACKMAP: a page does not list exactly once the slot that holds
 *	it, or a private page has other users
 * @DISCO_CHECK_USER: a page lists a user whose slot does not hold it
 * @DISCO_CHECK_REFS: a page has fewer references than users
 * @DISCO_CHECK_VM_COUNT: a VM's page counters differ from its slots
 * @DISCO_CHECK_MOUNT_COUNT: a mount's page counter differs from the pages that
 *	its VMs have
 * @DISCO_CHECK_REPLICA: a replica differs from its master, is on a node that has
 *	another copy, or belongs to a page that may be written to
 */
enum disco_violation {
	DISCO_CHECK_OK = 0,
	DISCO_CHECK_SLOT = 1,
	DISCO_CHECK_BACKMAP = 2,
	DISCO_CHECK_USER = 3,
	DISCO_CHECK_REFS = 4,
	DISCO_CHECK_VM_COUNT = 5,
	DISCO_CHECK_MOUNT_COUNT = 6,
	DISCO_CHECK_REPLICA = 7,
};

/**
 * struct disco_check - ioctl(DISCO_CHECK)
 * @size: sizeof(struct disco_check)
 * @flags: must be 0
 * @mount_fd: any open file or directory of a disco mount
 * @out_violation: enum disco_violation; the first one found
 * @out_vm_id: VM of the violation, or 0
 * @__reserved: must be 0
 * @out_gfn: guest frame number of the violation, or 0
 * @out_pfn: machine frame number of the violation, or 0
 * @out_expected: the number that should be there, for the counting violations
 * @out_found: the number that is there
 * @out_vms: VMs walked
 * @out_pages: filled slots walked
 * @out_totals_checked: 1 if the mount's page counter could be compared; 0 if
 *	pages came or went during the walk
 * @__reserved2: must be 0
 *
 * Walks every structure of a mount while it is in use, one VM held still at a
 * time, and reports the first thing that does not agree. That something is
 * wrong is an answer, not an error: the request succeeds. Needs CAP_SYS_ADMIN.
 *
 * Errors: EMEDIUMTYPE if @mount_fd is not on a disco mount.
 */
struct disco_check {
	__u32 size;
	__u32 flags;
	__s32 mount_fd;
	__u32 out_violation;
	__u32 out_vm_id;
	__u32 __reserved;
	__aligned_u64 out_gfn;
	__aligned_u64 out_pfn;
	__aligned_u64 out_expected;
	__aligned_u64 out_found;
	__aligned_u64 out_vms;
	__aligned_u64 out_pages;
	__u32 out_totals_checked;
	__u32 __reserved2;
};

#define DISCO_CHECK _IO(DISCO_TYPE, DISCO_CMD_CHECK)

/** DISCO_MAX_VCPUS - VCPUs of one VM are numbered from 0 to one less */
#define DISCO_MAX_VCPUS 1024

/** DISCO_VCPU_HERE - value of @node: that of the CPU the caller runs on */
#define DISCO_VCPU_HERE (-1)

/**
 * DISCO_VCPU_REPLACE - take the number over from the VCPU that has it, if any;
 * that one's memory stays until its descriptor and mappings are gone
 */
#define DISCO_VCPU_REPLACE (1U << 0)

/**
 * struct disco_vcpu_create - ioctl(DISCO_VCPU_CREATE)
 * @size: sizeof(struct disco_vcpu_create)
 * @flags: DISCO_VCPU_REPLACE or 0
 * @vm_fd: a file in ram/, open for reading and writing
 * @vcpu: number of the VCPU, below DISCO_MAX_VCPUS
 * @node: NUMA node to put its memory on, or DISCO_VCPU_HERE
 * @nr_entries: entries of its second-level TLB, each for a pair of pages: a
 *	power of two from 16 to 1048576
 * @nr_indices: entries of the guest's own TLB, from 1 to 256
 * @out_fd: a new file descriptor, closed on exec
 * @out_bytes: bytes to map from it
 *
 * Makes a virtual CPU known, and its second-level TLB: memory that the monitor
 * maps (shared, from offset 0 of @out_fd), holding an empty table as in
 * linux/disco_l2tlb.h. The memory is charged to the caller's memory cgroup. When
 * @node has none left, it comes from other nodes.
 *
 * The VCPU is there until @out_fd, with all its copies and mappings, is gone. It
 * keeps the VM's file open.
 *
 * Errors: EBADF if @vm_fd is not open for both; EMEDIUMTYPE as for
 * DISCO_VM_STAT; EINVAL if a number is out of its range or @node has no memory;
 * EEXIST if the VM has this VCPU and DISCO_VCPU_REPLACE is not set; EMFILE if
 * the caller has too many open files, ENFILE if the machine has.
 */
struct disco_vcpu_create {
	__u32 size;
	__u32 flags;
	__s32 vm_fd;
	__u32 vcpu;
	__s32 node;
	__u32 nr_entries;
	__u32 nr_indices;
	__s32 out_fd;
	__aligned_u64 out_bytes;
};

#define DISCO_VCPU_CREATE _IO(DISCO_TYPE, DISCO_CMD_VCPU_CREATE)

/**
 * DISCO_VCPU_NEXT - if there is no VCPU of this number, the next one that is
 */
#define DISCO_VCPU_NEXT (1U << 0)

/**
 * struct disco_vcpu_stat - ioctl(DISCO_VCPU_STAT)
 * @size: sizeof(struct disco_vcpu_stat)
 * @flags: DISCO_VCPU_NEXT or 0
 * @vm_fd: a file in ram/, open for reading
 * @vcpu: number of the VCPU
 * @out_vcpu: number of the VCPU that was found
 * @out_node: NUMA node that its memory was wanted on
 * @out_nr_entries: entries of its second-level TLB
 * @out_nr_indices: entries of the guest's own TLB
 * @out_nr_live: entries in use
 * @__reserved: must be 0
 * @out_bytes: bytes of its memory
 * @out_bytes_away: those of them on other nodes
 * @out_hits: accesses answered from the table
 * @out_misses: accesses not answered from the table; the guest's TLB may have
 * @out_forwards: refill exceptions the guest got
 * @out_inserts: pairs entered
 * @out_evictions: pairs replaced for want of room
 * @out_drops: pairs dropped because the guest could know them gone
 * @out_flushes: times the whole table was emptied
 *
 * What a VCPU's second-level TLB does. The numbers from @out_nr_live on, but for
 * the two of bytes, are the monitor's word: read while it goes on, and not
 * checked.
 *
 * Errors: ENOENT if there is no such VCPU; EMEDIUMTYPE as for DISCO_VM_STAT.
 */
struct disco_vcpu_stat {
	__u32 size;
	__u32 flags;
	__s32 vm_fd;
	__u32 vcpu;
	__u32 out_vcpu;
	__u32 out_node;
	__u32 out_nr_entries;
	__u32 out_nr_indices;
	__u32 out_nr_live;
	__u32 __reserved;
	__aligned_u64 out_bytes;
	__aligned_u64 out_bytes_away;
	__aligned_u64 out_hits;
	__aligned_u64 out_misses;
	__aligned_u64 out_forwards;
	__aligned_u64 out_inserts;
	__aligned_u64 out_evictions;
	__aligned_u64 out_drops;
	__aligned_u64 out_flushes;
};

#define DISCO_VCPU_STAT _IO(DISCO_TYPE, DISCO_CMD_VCPU_STAT)

/**
 * struct disco_vcpu_entry - one translation in the answer to DISCO_VCPU_DUMP
 * @va: guest virtual address of the first of two adjacent pages
 * @lo: for each of the two, physical address and bits as in linux/disco_l2tlb.h
 * @tag: address space (ASID or MMID); 0 when global
 * @set: set of the table that the entry is in
 * @page_shift: log2 of the bytes of one page
 * @global: 1 if it holds for every address space, else 0
 */
struct disco_vcpu_entry {
	__aligned_u64 va;
	__aligned_u64 lo[2];
	__u32 tag;
	__u32 set;
	__u32 page_shift;
	__u32 global;
};

/**
 * struct disco_vcpu_dump - ioctl(DISCO_VCPU_DUMP)
 * @size: sizeof(struct disco_vcpu_dump)
 * @flags: must be 0
 * @vm_fd: a file in ram/, open for reading
 * @vcpu: number of the VCPU
 * @set: first set to look at; a set has 4 entries
 * @nr: how many entries the buffer has room for; at least 4
 * @entries: address of struct disco_vcpu_entry[@nr]
 * @out_nr: entries written
 * @out_next: first set that was not looked at; the number of sets at the end
 *
 * The translations a VCPU's second-level TLB holds, by set, whole sets only.
 * Read while the monitor goes on: an entry may be half of one translation and
 * half of another. Entries that could not be in such a table are left out.
 *
 * Errors: ENOENT if there is no such VCPU, or no longer; EINVAL if @nr is below
 * 4; ENXIO if @set is past the last; EMEDIUMTYPE as for DISCO_VM_STAT.
 */
struct disco_vcpu_dump {
	__u32 size;
	__u32 flags;
	__s32 vm_fd;
	__u32 vcpu;
	__u32 set;
	__u32 nr;
	__aligned_u64 entries;
	__u32 out_nr;
	__u32 out_next;
};

#define DISCO_VCPU_DUMP _IO(DISCO_TYPE, DISCO_CMD_VCPU_DUMP)

/**
 * struct disco_disk_add - ioctl(DISCO_DISK_ADD)
 * @size: sizeof(struct disco_disk_add)
 * @flags: must be 0
 * @mount_fd: any open file or directory of the disco mount
 * @backing_fd: a regular file or block device, open for reading: what the disk
 *	reads
 * @name: address of the disk's name, which need not be NUL terminated
 * @name_len: bytes of the name, 1 to 255
 * @mode: permission bits of the disk's file; only reading is of use
 * @max_bytes: most bytes that the disk keeps cached without a VM using them;
 *	0 for no limit but the machine's memory
 *
 * Makes a disk: a read-only file in disk/, as large as its backing. Writing to
 * a backing file is denied to everybody for as long as the disk exists. The
 * disk is removed by unlink(), renamed by rename(), and what it has cached and
 * no VM uses is dropped by posix_fadvise(POSIX_FADV_DONTNEED).
 *
 * The caller needs permission to make files in disk/.
 *
 * Errors: EMEDIUMTYPE if @mount_fd is not on a disco mount; EISDIR if
 * @backing_fd is a directory; EINVAL if it is neither file nor block device,
 * for a name that is empty, ".", ".." or has a slash or NUL, or for bits in
 * @mode beyond 0777; ENAMETOOLONG; ELOOP if the backing is on a disco mount;
 * ENODATA if it is empty; EFBIG if it is larger than the largest VM; ETXTBSY if
 * somebody has the backing file open for writing, or a block device is not set
 * read-only; EEXIST if there is a disk of that name; EACCES.
 */
struct disco_disk_add {
	__u32 size;
	__u32 flags;
	__s32 mount_fd;
	__s32 backing_fd;
	__aligned_u64 name;
	__u32 name_len;
	__u32 mode;
	__aligned_u64 max_bytes;
};

#define DISCO_DISK_ADD _IO(DISCO_TYPE, DISCO_CMD_DISK_ADD)

/**
 * enum disco_disk_state - what has become of a disk's backing
 * @DISCO_DISK_OK: as it was
 * @DISCO_DISK_CHANGED: it has another size or time of change than when the disk
 *	was added, or is a device that can be written to now. What was cached is
 *	not used any more: every read goes to the backing and is copied
 */
enum disco_disk_state {
	DISCO_DISK_OK = 0,
	DISCO_DISK_CHANGED = 1,
};

/**
 * struct disco_disk_stat - ioctl(DISCO_DISK_STAT)
 * @size: sizeof(struct disco_disk_stat)
 * @flags: must be 0
 * @disk_fd: a file in disk/, open for reading
 * @out_state: enum disco_disk_state
 * @out_bytes: size of the disk
 * @out_max_bytes: as given to DISCO_DISK_ADD
 * @out_cached: bytes of the backing that are in memory
 * @out_used: bytes of @out_cached that VMs have mapped, each page counted once
 * @out_hits: pages that were in memory when a reader came for them
 * @out_misses: pages that were not, so that a reader waited for the backing
 * @out_mapped: pages that were mapped into a VM's memory instead of copied
 * @out_copied: times that a page, or a part of one, was copied to a reader
 * @out_errors: reads of the backing that failed
 *
 * One disk and its part of the buffer cache. The numbers are a snapshot.
 *
 * Errors: EMEDIUMTYPE if @disk_fd is not a file in disk/ of a disco mount.
 */
struct disco_disk_stat {
	__u32 size;
	__u32 flags;
	__s32 disk_fd;
	__u32 out_state;
	__aligned_u64 out_bytes;
	__aligned_u64 out_max_bytes;
	__aligned_u64 out_cached;
	__aligned_u64 out_used;
	__aligned_u64 out_hits;
	__aligned_u64 out_misses;
	__aligned_u64 out_mapped;
	__aligned_u64 out_copied;
	__aligned_u64 out_errors;
};

#define DISCO_DISK_STAT _IO(DISCO_TYPE, DISCO_CMD_DISK_STAT)

/**
 * struct disco_merge - ioctl(DISCO_MERGE)
 * @size: sizeof(struct disco_merge)
 * @flags: must be 0
 * @vm_fd: a file in ram/, open for reading and writing
 * @other_fd: another one of the same mount, or the same one
 * @gfn: first guest frame number in the one VM
 * @other_gfn: first guest frame number in the other VM
 * @nr: how many pairs of pages to compare; at least 1
 * @out_nr: pairs compared, the sum of the six numbers that follow; less than
 *	@nr at the end of a VM, or when a signal came
 * @out_merged: pairs that were equal and are one machine page now
 * @out_zeros: pairs that were all zeros and are holes now
 * @out_same: pairs that were one machine page before, or two holes
 * @out_different: pairs that differ
 * @out_pinned: pairs of which a device or system call may be writing to a page
 * @out_full: equal pairs, but the page has as many users as it can have
 * @out_freed: machine pages given back
 * @__reserved: must be 0
 *
 * Compares pages of two VMs, page @gfn + i with page @other_gfn + i, and makes
 * those that are equal one machine page, mapped copy-on-write. The VMs may run:
 * they see no change, and a page that changes meanwhile is left alone. A pair
 * that is the same page of the same VM twice is never more than compared with
 * zeros. A page of the buffer cache is preferred to any other, then the page
 * with more users.
 *
 * A file with FS_NOCOW_FL (chattr +C) takes no part. The flag is set and cleared
 * by the file's owner with FS_IOC_SETFLAGS. It does not divide pages again that
 * were merged before, and has no effect on clones and reads of disks.
 *
 * The time of a write tells whether a page was merged, so the caller needs to be
 * able to write to both VMs.
 *
 * What was merged before an error stays merged.
 *
 * Errors: EBADF if @vm_fd or @other_fd is not open for both; EMEDIUMTYPE as for
 * DISCO_VM_STAT; EXDEV if the VMs are on different mounts; EINVAL if @nr is 0;
 * EOVERFLOW if @gfn + @nr or @other_gfn + @nr overflows; ENXIO if one of them is
 * past the end of its VM; EACCES if a VM has FS_NOCOW_FL.
 */
struct disco_merge {
	__u32 size;
	__u32 flags;
	__s32 vm_fd;
	__s32 other_fd;
	__aligned_u64 gfn;
	__aligned_u64 other_gfn;
	__u32 nr;
	__u32 out_nr;
	__u32 out_merged;
	__u32 out_zeros;
	__u32 out_same;
	__u32 out_different;
	__u32 out_pinned;
	__u32 out_full;
	__u32 out_freed;
	__u32 __reserved;
};

#define DISCO_MERGE _IO(DISCO_TYPE, DISCO_CMD_MERGE)

/** DISCO_MOVE_MAX - most entries of one DISCO_MOVE */
#define DISCO_MOVE_MAX 65536

/**
 * enum disco_move_operation - what DISCO_MOVE does
 * @DISCO_MOVE_MIGRATE: puts each page on the node that its entry names. A page
 *	that has replicas loses them
 * @DISCO_MOVE_REPLICATE: gives each page a copy on the node that its entry names
 * @DISCO_MOVE_COLLAPSE: drops the copy on the node that each entry names, or for
 *	DISCO_NO_NODE all copies but the page itself
 */
enum disco_move_operation {
	DISCO_MOVE_MIGRATE = 1,
	DISCO_MOVE_REPLICATE = 2,
	DISCO_MOVE_COLLAPSE = 3,
};

/**
 * struct disco_move_entry - one page in the list of DISCO_MOVE
 * @gfn: guest frame number
 * @node: NUMA node
 * @out_result: 0 if it was done, or else a negative errno
 *
 * Why it was not:
 *
 *  - EEXIST: the page, or for DISCO_MOVE_REPLICATE a copy of it, is on @node
 *    already
 *  - ENOENT: there is no machine page: a hole; or no copy to drop
 *  - ENXIO: @gfn is past the end of the VM
 *  - EINVAL: there is no such node, or it has no memory
 *  - EACCES: the caller's cpuset does not have the node
 *  - EBUSY: a device or system call may be using the page, or the guest has
 *    just changed it
 *  - ENOMEM: the node, or the memory cgroup that pays for the page, has no
 *    memory left
 *  - ENOSPC: the mount's size= or replicas= has no room for the copy; or the page
 *    is shared, and size= has none for the second one that there is meanwhile
 *  - EPERM: the page is shared with another VM, and the caller has no
 *    CAP_SYS_NICE
 */
struct disco_move_entry {
	__aligned_u64 gfn;
	__u32 node;
	__s32 out_result;
};

/**
 * struct disco_move - ioctl(DISCO_MOVE)
 * @size: sizeof(struct disco_move)
 * @flags: must be 0
 * @vm_fd: a file in ram/, open for reading and writing
 * @operation: enum disco_move_operation
 * @entries: address of struct disco_move_entry[@nr]
 * @nr: how many entries, 1 to DISCO_MOVE_MAX
 * @out_nr: entries that have their result, from the first on; less than @nr if
 *	a signal came
 * @out_moved: those of them with result 0
 * @__reserved: must be 0
 *
 * Puts pages of a VM on other nodes while it runs; it sees no change. Best
 * effort: each entry gets its own result, and the request succeeds whatever they
 * are. Entries whose pages follow each other cost one flush of the TLBs for many
 * pages, so lists are best sorted by gfn. Of a page that is listed more than
 * once with different nodes, it is open where it ends.
 *
 * A shared page is moved for all its users, the buffer cache included. It stays
 * shared, and there are two of it until the last user has got the new one.
 *
 * A replica is for reading: it is mapped, read-only, in the view of its node, and in
 * the home view if a CPU of its node is the first to read there. What a view has
 * mapped already is unmapped, to find it. A private page becomes shared for that.
 * All that share a page share its replicas. A write to the page, by a VM or the
 * kernel, gives that VM a page of its own as always; if it was the last one that had
 * the page, the page stays and its replicas go. No view sees the old contents
 * when another one sees the new. Replicas are memory of the mount: they count for
 * size= and are limited by replicas=.
 *
 * A page goes on being paid for by the memory cgroup that paid for it, which also
 * pays for its replicas, whoever asks for them. That a node is out of memory is
 * counted (refused_node_full),
 * as is a page in use (refused_pinned), and a replica beyond the mount's limit
 * (refused_replicas).
 *
 * What was moved before an error stays moved.
 *
 * Errors: EBADF if @vm_fd is not open for both; EMEDIUMTYPE as for
 * DISCO_VM_STAT; EINVAL for an @operation that the module does not know, or if
 * @nr is out of its range.
 */
struct disco_move {
	__u32 size;
	__u32 flags;
	__s32 vm_fd;
	__u32 operation;
	__aligned_u64 entries;
	__u32 nr;
	__u32 out_nr;
	__u32 out_moved;
	__u32 __reserved;
};

#define DISCO_MOVE _IO(DISCO_TYPE, DISCO_CMD_MOVE)

/** DISCO_HEAT_MAX - most entries of one request */
#define DISCO_HEAT_MAX 65536

/** DISCO_HEAT_BUDGET - budget to begin with: 1 % of a CPU */
#define DISCO_HEAT_BUDGET 10000

/** DISCO_HEAT_MAX_BUDGET - largest budget: all of a CPU */
#define DISCO_HEAT_MAX_BUDGET 1000000

/** DISCO_HEAT_DEFAULT_COUNTERS - counters of a VM unless asked for more */
#define DISCO_HEAT_DEFAULT_COUNTERS 65536

/** DISCO_HEAT_MAX_COUNTERS - most counters of a VM that can be asked for */
#define DISCO_HEAT_MAX_COUNTERS (1U << 28)

/**
 * struct disco_heat_set - ioctl(DISCO_HEAT_SET)
 * @size: sizeof(struct disco_heat_set)
 * @flags: must be 0
 * @vm_fd: a file in ram/, open for reading and writing
 * @budget: what the sampler may cost, in millionths of the time of one CPU, up
 *	to DISCO_HEAT_MAX_BUDGET; 0: there is no sampler
 * @max_counters: most counters of the VM at a time, one for each page and node,
 *	up to DISCO_HEAT_MAX_COUNTERS; 0: DISCO_HEAT_DEFAULT_COUNTERS
 * @__reserved: must be 0
 *
 * Starts, changes or stops the sampler of a VM. It unmaps some of the VM's pages,
 * then others, and all again, and counts the faults that bring them back by the
 * node of the CPU that faults: as writes, or as reads. A page that is read first
 * and then written counts as both. In the home view only the first node that uses
 * the page faults; of all views, each.
 *
 * It goes as fast as @budget allows. What counts is the time of the sampler and of
 * the faults, measured; a fault's part outside of the module is taken to be as
 * long as the one inside. A VM with all counters in use is not sampled until some
 * are taken. Counters stay when it stops, even if there are more than
 * @max_counters.
 *
 * A counter is about 9 bytes if its neighbours have counters too and 576 if none
 * has; the memory cgroup that pays for the page, or the task that faults, pays for
 * them. That there is no room or memory for a counter is counted (refused_heat).
 *
 * Errors: EBADF if @vm_fd is not open for both; EMEDIUMTYPE as for
 * DISCO_VM_STAT; EINVAL if @budget or @max_counters is too large.
 */
struct disco_heat_set {
	__u32 size;
	__u32 flags;
	__s32 vm_fd;
	__u32 budget;
	__u32 max_counters;
	__u32 __reserved;
};

#define DISCO_HEAT_SET _IO(DISCO_TYPE, DISCO_CMD_HEAT_SET)

/**
 * struct disco_heat_stat - ioctl(DISCO_HEAT_STAT)
 * @size: sizeof(struct disco_heat_stat)
 * @flags: must be 0
 * @vm_fd: a file in ram/, open for reading
 * @out_budget: as given to DISCO_HEAT_SET; 0 without a sampler
 * @out_max_counters: most counters at a time
 * @out_counters: counters now
 * @out_time_ns: for how long the sampler has been there, since the last
 *	DISCO_HEAT_SET, as all that follows
 * @out_cost_ns: what it has cost of that
 * @out_pages: pages that it has unmapped, or would have had they been mapped
 * @out_faults: faults on them
 *
 * The counters and the sampler of one VM. The numbers are a snapshot.
 *
 * Errors: EMEDIUMTYPE as for DISCO_VM_STAT.
 */
struct disco_heat_stat {
	__u32 size;
	__u32 flags;
	__s32 vm_fd;
	__u32 out_budget;
	__u32 out_max_counters;
	__u32 out_counters;
	__aligned_u64 out_time_ns;
	__aligned_u64 out_cost_ns;
	__aligned_u64 out_pages;
	__aligned_u64 out_faults;
};

#define DISCO_HEAT_STAT _IO(DISCO_TYPE, DISCO_CMD_HEAT_STAT)

/**
 * struct disco_heat_entry - how often a node used a page
 * @gfn: guest frame number
 * @node: NUMA node of the CPU
 * @reads: how often it read, or fetched instructions
 * @writes: how often it wrote
 * @out_result: of DISCO_HEAT_REPORT: 0 if it was added, or else a negative errno;
 *	of DISCO_HEAT_DRAIN: 0
 *
 * What a use is, is the source's matter: a fault for the sampler, a miss for a
 * model of a cache. A counter that has reached 2147483647 stays there.
 *
 * Why it was not added:
 *
 *  - ENXIO: @gfn is past the end of the VM
 *  - ENOENT: there is no machine page: a hole
 *  - EINVAL: the machine cannot have such a node
 *  - ENOSPC: the VM has as many counters as it may have
 *  - ENOMEM: there is no memory for the counter
 */
struct disco_heat_entry {
	__aligned_u64 gfn;
	__u32 node;
	__u32 reads;
	__u32 writes;
	__s32 out_result;
};

/**
 * struct disco_heat_report - ioctl(DISCO_HEAT_REPORT)
 * @size: sizeof(struct disco_heat_report)
 * @flags: must be 0
 * @vm_fd: a file in ram/, open for reading and writing
 * @nr: how many entries, 1 to DISCO_HEAT_MAX
 * @entries: address of struct disco_heat_entry[@nr]
 * @out_nr: entries that have their result, from the first on; less than @nr if
 *	a signal came
 * @out_added: those of them with result 0
 *
 * Adds to the counters what a source outside of the module has found. Each entry
 * gets its own result, and the request succeeds whatever they are. It needs no
 * sampler.
 *
 * What was added before an error stays added.
 *
 * Errors: EBADF if @vm_fd is not open for both; EMEDIUMTYPE as for
 * DISCO_VM_STAT; EINVAL if @nr is out of its range.
 */
struct disco_heat_report {
	__u32 size;
	__u32 flags;
	__s32 vm_fd;
	__u32 nr;
	__aligned_u64 entries;
	__u32 out_nr;
	__u32 out_added;
};

#define DISCO_HEAT_REPORT _IO(DISCO_TYPE, DISCO_CMD_HEAT_REPORT)

/**
 * DISCO_HEAT_KEEP - leave the counters as they are
 */
#define DISCO_HEAT_KEEP (1U << 0)

/**
 * struct disco_heat_drain - ioctl(DISCO_HEAT_DRAIN)
 * @size: sizeof(struct disco_heat_drain)
 * @flags: DISCO_HEAT_KEEP or 0
 * @vm_fd: a file in ram/, open for reading and writing
 * @nr: how many entries the buffer has room for, up to DISCO_HEAT_MAX; at least
 *	as many as the machine can have nodes, for which 1024 is always enough
 * @gfn: first page to look at
 * @entries: address of struct disco_heat_entry[@nr]
 * @out_nr: entries written
 * @__reserved: must be 0
 * @out_next: first page with a counter that was not looked at; 0 at the end of the
 *	VM, so that @out_next of one request can always be @gfn of the next
 *
 * Takes counters, by page and node. A counter that was taken begins at zero; what
 * comes meanwhile is in the next drain. The nodes of a page are never divided
 * between two requests. The heat of a page is forgotten when the page is dropped
 * by a punch, a truncation or a clone, but not when it is moved.
 *
 * Counters that were copied out before an error are taken.
 *
 * Errors: EBADF if @vm_fd is not open for both; EMEDIUMTYPE as for
 * DISCO_VM_STAT; EINVAL if @nr is out of its range.
 */
struct disco_heat_drain {
	__u32 size;
	__u32 flags;
	__s32 vm_fd;
	__u32 nr;
	__aligned_u64 gfn;
	__aligned_u64 entries;
	__u32 out_nr;
	__u32 __reserved;
	__aligned_u64 out_next;
};

#define DISCO_HEAT_DRAIN _IO(DISCO_TYPE, DISCO_CMD_HEAT_DRAIN)

#endif /* _LINUX_DISCO_H */
