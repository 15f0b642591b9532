/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libdisco: what the Disco kernel module knows about virtual machines.
 */
#ifndef DISCO_DISCO_H
#define DISCO_DISCO_H

#include <stddef.h>
#include <stdint.h>

#include <linux/disco.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * DOC: Overview
 *
 * A context (struct disco) stands for the module and one of its mounts. A VM
 * (struct disco_vm) is an open file below ram/ of that mount; its name is its
 * path relative to ram/. A disk is a file in disk/, known by its name alone.
 *
 * Functions return 0 or a count on success and a negative errno on failure.
 * After a failure disco_error() says what went wrong in words a user can act
 * on; the library itself prints nothing. A failed function leaves its outputs
 * as they were.
 *
 * A context and the VMs and iterators made from it belong to one thread at a
 * time. They must be freed before their context.
 *
 * Structures of <linux/disco.h> go to the module as the caller made them, and
 * their first field, size, says what the caller was compiled with:
 *
 *	struct disco_vm_stat st = { .size = sizeof(st) };
 *
 * so that a program, the library and the module may be of different age. The
 * errors of each request are those written there; only what the library adds
 * is listed below.
 */

struct disco;
struct disco_vm;
struct disco_pmap_iter;

/** DISCO_DEFAULT_DEVICE - device that is used unless disco_set_device() */
#define DISCO_DEFAULT_DEVICE "/dev/disco"

/** DISCO_DEFAULT_MOUNT - mount that is preferred unless disco_set_mount() */
#define DISCO_DEFAULT_MOUNT "/run/disco"

/**
 * disco_new - make a context
 * @out: the context, to be freed with disco_free()
 *
 * Device and mount are looked for when they are first needed, so a context can
 * be made, and asked why something does not work, where there is no module.
 *
 * Return: 0, or -ENOMEM.
 */
int disco_new(struct disco **out);

/**
 * disco_free - free a context and close its device
 * @disco: the context, or NULL
 */
void disco_free(struct disco *disco);

/**
 * disco_error - what went wrong last
 * @disco: the context
 *
 * Return: text without a final newline, empty if nothing failed yet; valid
 * until the next failure or disco_free().
 */
const char *disco_error(const struct disco *disco);

/**
 * disco_set_device - use another device than DISCO_DEFAULT_DEVICE
 * @disco: the context
 * @path: path of the device
 *
 * Return: 0, or -ENOMEM.
 */
int disco_set_device(struct disco *disco, const char *path);

/**
 * disco_set_mount - choose a mount
 * @disco: the context
 * @path: where the file system is mounted; checked when first needed
 *
 * Return: 0, or -ENOMEM.
 */
int disco_set_mount(struct disco *disco, const char *path);

/**
 * disco_mount - where the file system of a context is mounted
 * @disco: the context
 * @path: absolute path; valid until disco_set_mount() or disco_free()
 *
 * The mount chosen by disco_set_mount(), or DISCO_DEFAULT_MOUNT if a disco
 * file system is there, or else the first one in /proc/self/mounts.
 *
 * Return: 0; -ENODEV if no disco file system is mounted, or none at the chosen
 * place; -ENOENT and others if the chosen place cannot be reached; -ENOMEM.
 */
int disco_mount(struct disco *disco, const char **path);

/**
 * disco_version - version of the library
 *
 * Return: text such as "0.1.0".
 */
const char *disco_version(void);

/**
 * disco_query - what the module is and can do
 * @disco: the context
 * @query: size set by the caller; filled
 *
 * Return: 0; -ENOENT and others if the device cannot be opened; see
 * DISCO_QUERY.
 */
int disco_query(struct disco *disco, struct disco_query *query);

/**
 * disco_check - walk every structure of the mount
 * @disco: the context
 * @check: size set by the caller, mount_fd ignored; filled
 *
 * Success means that the walk was done; what it found is in out_violation.
 *
 * Return: 0; as disco_mount(); as disco_query(); see DISCO_CHECK.
 */
int disco_check(struct disco *disco, struct disco_check *check);

/**
 * disco_memmap - who uses a machine frame
 * @disco: the context
 * @pfn: machine frame number
 * @users: the users, by VM and guest frame number; to be freed with free()
 * @nr: number of @users
 * @node: NUMA node of the frame
 *
 * Return: 0; as disco_query(); see DISCO_MEMMAP.
 */
int disco_memmap(struct disco *disco, uint64_t pfn,
		 struct disco_memmap_user **users, size_t *nr, unsigned int *node);

/**
 * struct disco_counter - one counter of the module
 * @name: name, as in /sys/class/misc/disco/counters
 * @value: value when it was read
 */
struct disco_counter {
	char *name;
	uint64_t value;
};

/**
 * disco_counters - read all counters and gauges of the module
 * @disco: the context
 * @counters: the counters by name, to be freed with disco_counters_free()
 * @nr: number of @counters
 *
 * Which counters there are is the module's matter. They are read one by one,
 * so they need not agree with each other while VMs run. Needs no privilege.
 *
 * Return: 0; -ENOENT if the module is not loaded; -EIO if a counter is not a
 * number; -ENOMEM.
 */
int disco_counters(struct disco *disco, struct disco_counter **counters,
		   size_t *nr);

/**
 * disco_counters_free - free what disco_counters() returned
 * @counters: the counters, or NULL
 * @nr: number of @counters
 */
void disco_counters_free(struct disco_counter *counters, size_t nr);

/**
 * disco_vm_names - find the VMs of the mount
 * @disco: the context
 * @names: names by alphabet, to be freed with disco_vm_names_free()
 * @nr: number of @names
 * @unreadable: how many folders the caller may not look into; may be NULL
 *
 * A VM can vanish between this and disco_vm_open(), which then says -ENOENT.
 *
 * Return: 0; as disco_mount(); -ENOMEM.
 */
int disco_vm_names(struct disco *disco, char ***names, size_t *nr,
		   size_t *unreadable);

/**
 * disco_vm_names_free - free what disco_vm_names() returned
 * @names: the names, or NULL
 * @nr: number of @names
 */
void disco_vm_names_free(char **names, size_t nr);

/**
 * disco_vm_open - open a VM
 * @disco: the context
 * @name: path relative to ram/, or absolute and below ram/ of the mount
 * @out: the VM, to be closed with disco_vm_close()
 *
 * An open VM keeps the file system mounted and the VM's memory alive.
 *
 * Return: 0; -ENOENT if there is no such VM; -EACCES if the caller may not
 * read it; -EINVAL if @name is empty or below another folder; -EISDIR if it
 * is a folder; as disco_mount(); -ENOMEM.
 */
int disco_vm_open(struct disco *disco, const char *name, struct disco_vm **out);

/**
 * disco_vm_open_writable - open a VM for requests that change something
 * @disco: the context
 * @name: as for disco_vm_open()
 * @out: the VM, to be closed with disco_vm_close()
 *
 * Return: as disco_vm_open(); -EACCES if the caller may not write to it.
 */
int disco_vm_open_writable(struct disco *disco, const char *name,
			   struct disco_vm **out);

/**
 * disco_vm_close - close a VM
 * @vm: the VM, or NULL
 */
void disco_vm_close(struct disco_vm *vm);

/**
 * disco_vm_name - name of a VM
 * @vm: the VM
 *
 * Return: path relative to ram/, as it was when the VM was opened.
 */
const char *disco_vm_name(const struct disco_vm *vm);

/**
 * disco_vm_fd - file descriptor of a VM
 * @vm: the VM
 *
 * Return: a descriptor open for reading, and for writing if it was opened by
 * disco_vm_open_writable(); disco_vm_close() closes it.
 */
int disco_vm_fd(const struct disco_vm *vm);

/**
 * disco_vm_stat - memory of a VM
 * @vm: the VM
 * @stat: size and flags set by the caller, vm_fd ignored; filled
 *
 * Return: 0; as disco_query(); see DISCO_VM_STAT.
 */
int disco_vm_stat(struct disco_vm *vm, struct disco_vm_stat *stat);

/**
 * disco_merge - make equal pages of two VMs one
 * @vm: a VM, opened by disco_vm_open_writable()
 * @other: another one, opened likewise, or the same
 * @merge: size, gfn, other_gfn and nr set by the caller, both descriptors
 *	ignored; filled
 *
 * Return: 0; -EACCES if a VM takes no part; as disco_query(); see DISCO_MERGE.
 */
int disco_merge(struct disco_vm *vm, struct disco_vm *other,
		struct disco_merge *merge);

/**
 * disco_move - put pages of a VM, or copies of them, on other NUMA nodes
 * @vm: the VM, opened by disco_vm_open_writable()
 * @move: size, operation, entries and nr set by the caller, vm_fd ignored;
 *	filled, as are the results of its entries
 *
 * Return: 0, whatever became of the pages; as disco_query(); see DISCO_MOVE.
 */
int disco_move(struct disco_vm *vm, struct disco_move *move);

/**
 * disco_heat_set - start, change or stop the sampler of a VM
 * @vm: the VM, open for writing
 * @set: size, budget and max_counters set by the caller, vm_fd ignored
 *
 * Return: as disco_query(); see DISCO_HEAT_SET.
 */
int disco_heat_set(struct disco_vm *vm, struct disco_heat_set *set);

/**
 * disco_heat_stat - what the sampler of a VM does, and how many counters there are
 * @vm: the VM
 * @stat: size set by the caller, vm_fd ignored; filled
 *
 * Return: as disco_query(); see DISCO_HEAT_STAT.
 */
int disco_heat_stat(struct disco_vm *vm, struct disco_heat_stat *stat);

/**
 * disco_heat_report - tell the module which nodes use which pages
 * @vm: the VM, open for writing
 * @report: size, entries and nr set by the caller, vm_fd ignored; out_nr,
 *	out_added and each entry's result are filled
 *
 * Return: 0, whatever became of the entries; as disco_query(); see
 * DISCO_HEAT_REPORT.
 */
int disco_heat_report(struct disco_vm *vm, struct disco_heat_report *report);

/**
 * disco_heat_drain - take what is known of which nodes use which pages
 * @vm: the VM, open for writing
 * @drain: size, flags, gfn, entries and nr set by the caller, vm_fd ignored;
 *	out_nr, out_next and the entries are filled
 *
 * Return: as disco_query(); see DISCO_HEAT_DRAIN.
 */
int disco_heat_drain(struct disco_vm *vm, struct disco_heat_drain *drain);

/**
 * disco_vcpu_stat - second-level TLB of a VCPU
 * @vm: the VM
 * @stat: size, flags and vcpu set by the caller, vm_fd ignored; filled
 *
 * To find all VCPUs of a VM, begin with vcpu 0 and DISCO_VCPU_NEXT, and go on
 * with out_vcpu + 1 until -ENOENT.
 *
 * Return: 0; as disco_query(); see DISCO_VCPU_STAT.
 */
int disco_vcpu_stat(struct disco_vm *vm, struct disco_vcpu_stat *stat);

/**
 * disco_vcpu_dump - what is in the second-level TLB of a VCPU
 * @vm: the VM
 * @dump: size, vcpu, set, nr and entries set by the caller, vm_fd ignored;
 *	filled. To go on, set is set to out_next.
 *
 * Return: 0; as disco_query(); see DISCO_VCPU_DUMP.
 */
int disco_vcpu_dump(struct disco_vm *vm, struct disco_vcpu_dump *dump);

/**
 * struct disco_pmap_batch - some consecutive pages of a VM
 * @gfn: guest frame number of the first
 * @nr: number of @entries, at least 1
 * @entries: the pages; valid until the next call for the same iterator
 */
struct disco_pmap_batch {
	uint64_t gfn;
	size_t nr;
	const struct disco_pmap_entry *entries;
};

/**
 * disco_pmap_new - walk over pages of a VM
 * @vm: the VM, which must stay open until disco_pmap_free()
 * @first: first guest frame number
 * @last: last guest frame number, this one included; UINT64_MAX for all
 * @out: the iterator, to be freed with disco_pmap_free()
 *
 * Return: 0; -EINVAL if @last is before @first; -ENOMEM.
 */
int disco_pmap_new(struct disco_vm *vm, uint64_t first, uint64_t last,
		   struct disco_pmap_iter **out);

/**
 * disco_pmap_set_view - look at replicated pages as a view sees them
 * @iter: the iterator, before its first batch
 * @view: the view, as in DISCO_VIEW_SHIFT; 0 for the pages themselves, which is
 *	what is seen without this call
 *
 * A module without DISCO_FEATURE_REPLICATE has no such pages, and refuses views.
 */
void disco_pmap_set_view(struct disco_pmap_iter *iter, unsigned int view);

/**
 * disco_pmap_next - get the next pages
 * @iter: the iterator
 * @batch: filled
 *
 * The walk ends at the last page asked for or at the end of the VM, also if
 * the VM shrinks meanwhile. Each batch is a snapshot of its own.
 *
 * Return: 1 if @batch was filled; 0 at the end; -ENXIO if the first page asked
 * for is past the end of the VM and is not page 0; as disco_query(); see
 * DISCO_PMAP.
 */
int disco_pmap_next(struct disco_pmap_iter *iter,
		    struct disco_pmap_batch *batch);

/**
 * disco_pmap_free - free an iterator
 * @iter: the iterator, or NULL
 */
void disco_pmap_free(struct disco_pmap_iter *iter);

/**
 * disco_disk_add - make a disk
 * @disco: the context
 * @name: the disk's name: no path, or the absolute path of a file directly
 *	below disk/ of the mount
 * @path: file or block device that the disk reads; nobody may have the file
 *	open for writing, and a device must be set read-only
 * @mode: permissions of the disk's file, 0 to 0777
 * @max_bytes: most bytes that it keeps cached without a VM using them; 0 for
 *	no limit
 *
 * Return: 0; -EINVAL for a bad @name or @mode; what stat() and open() say of
 * @path; -ENOTTY if the module has no disks; as disco_query(); see
 * DISCO_DISK_ADD.
 */
int disco_disk_add(struct disco *disco, const char *name, const char *path,
		   unsigned int mode, uint64_t max_bytes);

/**
 * disco_disk_names - find the disks of the mount
 * @disco: the context
 * @names: names by alphabet, to be freed with disco_disk_names_free()
 * @nr: number of @names
 *
 * A disk can vanish between this and disco_disk_stat(), which then says
 * -ENOENT.
 *
 * Return: 0; as disco_mount(); -ENOTTY if the module has no disks; -ENOMEM.
 */
int disco_disk_names(struct disco *disco, char ***names, size_t *nr);

/**
 * disco_disk_names_free - free what disco_disk_names() returned
 * @names: the names, or NULL
 * @nr: number of @names
 */
void disco_disk_names_free(char **names, size_t nr);

/**
 * disco_disk_stat - one disk and its part of the buffer cache
 * @disco: the context
 * @name: the disk
 * @stat: size and flags set by the caller, disk_fd ignored; filled
 *
 * Return: 0; -ENOENT if there is no such disk; -EACCES if the caller may not
 * read it; -EINVAL for a bad @name; as disco_mount() and disco_query(); see
 * DISCO_DISK_STAT.
 */
int disco_disk_stat(struct disco *disco, const char *name,
		    struct disco_disk_stat *stat);

/**
 * disco_disk_drop_cache - forget what is cached of a disk and no VM uses
 * @disco: the context
 * @name: the disk
 *
 * Return: 0; -ENOENT, -EACCES and -EINVAL as disco_disk_stat(); as
 * disco_mount().
 */
int disco_disk_drop_cache(struct disco *disco, const char *name);

/**
 * disco_disk_remove - remove a disk and free what is cached of it
 * @disco: the context
 * @name: the disk
 *
 * Return: 0; -EBUSY while somebody has it open or VMs use its pages; -ENOENT
 * if there is no such disk; -EACCES if the caller may not write to disk/;
 * -EINVAL for a bad @name; as disco_mount().
 */
int disco_disk_remove(struct disco *disco, const char *name);

/**
 * disco_disk_state_name - word for a state
 * @state: enum disco_disk_state
 *
 * Return: a word such as "ok", or "unknown".
 */
const char *disco_disk_state_name(unsigned int state);

/**
 * disco_page_state_name - word for a state
 * @state: enum disco_page_state
 *
 * Return: a word such as "private", or "unknown".
 */
const char *disco_page_state_name(unsigned int state);

/**
 * disco_violation_name - word for what DISCO_CHECK found
 * @violation: enum disco_violation
 *
 * Return: a word such as "backmap", or "unknown".
 */
const char *disco_violation_name(unsigned int violation);

/**
 * disco_violation_text - explanation of what DISCO_CHECK found
 * @violation: enum disco_violation
 *
 * Return: a sentence without a full stop.
 */
const char *disco_violation_text(unsigned int violation);

#ifdef __cplusplus
}
#endif

#endif /* DISCO_DISCO_H */
