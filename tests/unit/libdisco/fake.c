// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module that answers predictably, and a folder that stands for its mount.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake.h"
#include "private.h"

struct fake fake;

int __wrap_ioctl(int fd, unsigned long request, void *arg);
int __wrap_unlink(const char *path);
int __real_unlink(const char *path);
int __wrap_posix_fadvise(int fd, off_t offset, off_t len, int advice);

static int refuse(int err)
{
	errno = err;
	return -1;
}

static struct disco_pmap_entry entry_of(uint64_t gfn, unsigned int view)
{
	unsigned int state = fake.mixed ? gfn / 4 % 4 : DISCO_PAGE_PRIVATE;

	if (state == DISCO_PAGE_HOLE || state == DISCO_PAGE_ZERO)
		return (struct disco_pmap_entry) {
			.node = DISCO_NO_NODE,
			.state = state,
		};
	/* The first of each four shared pages has a copy on node 3. */
	if (fake.replicated && state == DISCO_PAGE_SHARED && !(gfn % 4))
		return (struct disco_pmap_entry) {
			.pfn = view == 4 ? 5000 + gfn : 1000 + gfn,
			.users = 5,
			.node = view == 4 ? 3 : 2,
			.state = DISCO_PAGE_REPLICATED,
		};
	return (struct disco_pmap_entry) {
		.pfn = 1000 + gfn,
		.users = state == DISCO_PAGE_SHARED ? 5 : 1,
		.node = state == DISCO_PAGE_SHARED ? 2 : fake.node,
		.state = state,
	};
}

/* Pages of a VM. */
static uint64_t pages_of(int fd)
{
	struct stat st;

	if (!fake.sized)
		return fake.pages;
	return fstat(fd, &st) ? 0 : st.st_size / 4096;
}

static int do_pmap(struct disco_pmap *req)
{
	struct disco_pmap_entry *entries = (void *)(uintptr_t)req->entries;
	uint64_t pages;

	if (!req->nr || req->view > 4)
		return refuse(EINVAL);
	if (req->gfn + req->nr < req->gfn)
		return refuse(EOVERFLOW);
	if (fake.shrink_after && fake.batches >= fake.shrink_after)
		fake.pages = 0;
	fake.batches++;
	pages = pages_of(req->vm_fd);
	if (req->gfn >= pages)
		return refuse(ENXIO);
	for (req->out_nr = 0; req->out_nr < req->nr &&
	     req->gfn + req->out_nr < pages; req->out_nr++)
		entries[req->out_nr] = entry_of(req->gfn + req->out_nr,
						  req->view);
	return 0;
}

static int do_memmap(struct disco_memmap *req)
{
	struct disco_memmap_user *users = (void *)(uintptr_t)req->users;

	if (!fake.users)
		return refuse(ENOENT);
	req->out_total = fake.users;
	/* Backwards, so that sorting has something to do. */
	for (req->out_nr = 0;
	     req->out_nr < req->nr && req->out_nr < fake.users; req->out_nr++)
		users[req->out_nr] = (struct disco_memmap_user) {
			.gfn = fake.users - req->out_nr,
			.vm_id = 1 + req->out_nr % 2,
		};
	req->out_node = 3;
	if (fake.growing) {
		fake.growing--;
		fake.users = fake.users * 2;
	}
	return 0;
}

static int do_vm_stat(struct disco_vm_stat *req)
{
	if (req->flags & ~DISCO_VM_STAT_MACHINE)
		return refuse(EOPNOTSUPP);
	req->out_id = 7;
	req->out_virtual = pages_of(req->vm_fd) * 4096;
	if (fake.sized)
		req->out_private = req->out_machine = req->out_virtual;
	if (fake.mixed) {
		req->out_private = fake.pages / 4 * 4096;
		req->out_shared = fake.pages / 4 * 4096;
		req->out_machine = req->out_private + req->out_shared / 5;
		req->out_replicas = fake.replicated ? 4096 : 0;
		req->out_metadata = 8 * fake.pages;
	}
	return 0;
}

static int do_vcpu_stat(struct disco_vcpu_stat *req)
{
	uint32_t vcpu = req->vcpu;

	if (req->flags & ~DISCO_VCPU_NEXT)
		return refuse(EOPNOTSUPP);
	if (req->flags & DISCO_VCPU_NEXT)
		vcpu = (vcpu + 1) / 2 * 2;
	if (vcpu % 2 || vcpu / 2 >= fake.vcpus)
		return refuse(ENOENT);
	req->out_vcpu = vcpu;
	req->out_node = vcpu / 2 % 2;
	req->out_nr_entries = 4 * FAKE_SETS;
	req->out_nr_indices = 32;
	req->out_nr_live = FAKE_SETS;
	req->out_bytes = 73728;
	req->out_bytes_away = 4096;
	req->out_hits = 123456789012;
	req->out_misses = 7;
	req->out_forwards = 6;
	req->out_inserts = 5;
	req->out_evictions = 4;
	req->out_drops = 3;
	req->out_flushes = 2;
	return 0;
}

static int do_vcpu_dump(struct disco_vcpu_dump *req)
{
	struct disco_vcpu_entry *entries = (void *)(uintptr_t)req->entries;
	uint32_t set = req->set;

	if (req->nr < 4)
		return refuse(EINVAL);
	if (req->vcpu % 2 || req->vcpu / 2 >= fake.vcpus)
		return refuse(ENOENT);
	if (set >= FAKE_SETS)
		return refuse(ENXIO);
	for (req->out_nr = 0; set < FAKE_SETS && req->nr - req->out_nr >= 4;
	     set++)
		for (unsigned int i = 0; i < 2 && !(set % 2); i++)
			entries[req->out_nr++] = (struct disco_vcpu_entry) {
				.va = (2ULL * set + i) << 40,
				.lo = { set << 16 | 0x3f, 0x20000 | i },
				.tag = i ? 0 : 9,
				.set = set,
				.page_shift = i ? 24 : 12,
				.global = i,
			};
	req->out_next = set;
	return 0;
}

/* Of every four pairs one is merged, one zeros, one different, one pinned. */
static int do_merge(struct disco_merge *req)
{
	uint64_t last = req->gfn > req->other_gfn ? req->gfn : req->other_gfn;

	if (fcntl(req->vm_fd, F_GETFL) % 4 != O_RDWR ||
	    fcntl(req->other_fd, F_GETFL) % 4 != O_RDWR)
		return refuse(EBADF);
	if (!req->nr)
		return refuse(EINVAL);
	if (last >= fake.pages)
		return refuse(ENXIO);
	fake.merges++;
	req->out_nr = req->nr < fake.pages - last ? req->nr : fake.pages - last;
	req->out_merged = (req->out_nr + 3) / 4;
	req->out_zeros = (req->out_nr + 2) / 4;
	req->out_different = (req->out_nr + 1) / 4;
	req->out_pinned = req->out_nr / 4;
	req->out_same = 0;
	req->out_full = 0;
	req->out_freed = req->out_merged;
	return 0;
}

/*
 * Nodes 0 to 3. Of each seven pages the first was moved, the second was on the
 * node, and so on through what can become of one.
 */
static int do_move(struct disco_move *req)
{
	static const int results[] = {
		0, -EEXIST, -ENOENT, -EBUSY, -ENOMEM, -ENOSPC, -EPERM,
	};
	struct disco_move_entry *entries = (void *)(uintptr_t)req->entries;

	if (fcntl(req->vm_fd, F_GETFL) % 4 != O_RDWR)
		return refuse(EBADF);
	if (!req->nr || req->operation < DISCO_MOVE_MIGRATE ||
	    req->operation > DISCO_MOVE_COLLAPSE)
		return refuse(EINVAL);
	fake.operation = req->operation;
	fake.moves++;
	req->out_moved = 0;
	for (req->out_nr = 0; req->out_nr < req->nr; req->out_nr++) {
		struct disco_move_entry *entry = &entries[req->out_nr];

		if (req->operation == DISCO_MOVE_COLLAPSE &&
		    (entry->node <= 3 || entry->node == DISCO_NO_NODE) &&
		    entry->gfn < fake.pages)
			entry->out_result = entry->gfn % 2 ? -ENOENT : 0;
		else if (entry->node > 3)
			entry->out_result = entry->node == 4 ? -EACCES : -EINVAL;
		else if (entry->gfn >= fake.pages)
			entry->out_result = -ENXIO;
		else
			entry->out_result = results[entry->gfn % 7];
		req->out_moved += !entry->out_result;
	}
	return 0;
}

/* Page 2n was read n times by node 0, and written n times by node 1. */
static int do_heat_drain(struct disco_heat_drain *req)
{
	struct disco_heat_entry *entries = (void *)(uintptr_t)req->entries;
	uint64_t gfn = (req->gfn + 1) / 2 * 2;

	if (fcntl(req->vm_fd, F_GETFL) % 4 != O_RDWR)
		return refuse(EBADF);
	if (req->nr < 2)
		return refuse(EINVAL);
	req->out_nr = 0;
	for (; gfn < fake.pages && req->out_nr + 2 <= req->nr &&
	     !fake.heat_taken; gfn += 2) {
		if (!gfn)
			continue;
		entries[req->out_nr++] = (struct disco_heat_entry){
			.gfn = gfn, .node = 0, .reads = gfn / 2,
		};
		entries[req->out_nr++] = (struct disco_heat_entry){
			.gfn = gfn, .node = 1, .writes = gfn / 2,
		};
	}
	req->out_next = gfn < fake.pages && !fake.heat_taken ? gfn : 0;
	if (!req->out_next && !(req->flags & DISCO_HEAT_KEEP))
		fake.heat_taken = 1;
	return 0;
}

static int do_heat_set(const struct disco_heat_set *req)
{
	if (fcntl(req->vm_fd, F_GETFL) % 4 != O_RDWR)
		return refuse(EBADF);
	if (req->budget > DISCO_HEAT_MAX_BUDGET)
		return refuse(EINVAL);
	fake.heat.out_budget = req->budget;
	fake.heat.out_max_counters = req->max_counters;
	return 0;
}

static int do_heat_stat(struct disco_heat_stat *req)
{
	fake.heat.size = req->size;
	fake.heat.vm_fd = req->vm_fd;
	*req = fake.heat;
	return 0;
}

static int do_heat_report(struct disco_heat_report *req)
{
	struct disco_heat_entry *entries = (void *)(uintptr_t)req->entries;

	if (fcntl(req->vm_fd, F_GETFL) % 4 != O_RDWR)
		return refuse(EBADF);
	req->out_added = 0;
	for (req->out_nr = 0; req->out_nr < req->nr; req->out_nr++) {
		struct disco_heat_entry *entry = &entries[req->out_nr];

		entry->out_result = entry->gfn < fake.pages ? 0 : -ENXIO;
		req->out_added += !entry->out_result;
	}
	return 0;
}

/* Like the module, makes a file; its mode is for the test to see. */
static int do_disk_add(struct disco_disk_add *req)
{
	const char *name = (const char *)(uintptr_t)req->name;
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "disk/%.*s", (int)req->name_len, name);
	fd = openat(req->mount_fd, path, O_CREAT | O_EXCL | O_WRONLY, req->mode);
	if (fd < 0)
		return -1;
	close(fd);
	fake.disk.out_max_bytes = req->max_bytes;
	fake.disk.out_bytes = lseek(req->backing_fd, 0, SEEK_END);
	return 0;
}

static int do_disk_stat(struct disco_disk_stat *req)
{
	if (req->flags)
		return refuse(EOPNOTSUPP);
	fake.disk.size = req->size;
	fake.disk.disk_fd = req->disk_fd;
	*req = fake.disk;
	return 0;
}

int __wrap_unlink(const char *path)
{
	return fake.error ? refuse(fake.error) : __real_unlink(path);
}

int __wrap_posix_fadvise(int fd, off_t offset, off_t len, int advice)
{
	assert_true(fd >= 0);
	assert_int_equal(offset, 0);
	assert_int_equal(len, 0);
	assert_int_equal(advice, POSIX_FADV_DONTNEED);
	if (!fake.error)
		fake.drops++;
	return fake.error;
}

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	(void)fd;
	if (fake.error)
		return refuse(fake.error);
	switch (request) {
	case DISCO_QUERY:
		((struct disco_query *)arg)->out_page_size = 4096;
		return 0;
	case DISCO_VM_STAT:
		return do_vm_stat(arg);
	case DISCO_PMAP:
		return do_pmap(arg);
	case DISCO_MEMMAP:
		return do_memmap(arg);
	case DISCO_VCPU_STAT:
		return do_vcpu_stat(arg);
	case DISCO_VCPU_DUMP:
		return do_vcpu_dump(arg);
	case DISCO_DISK_ADD:
		return do_disk_add(arg);
	case DISCO_DISK_STAT:
		return do_disk_stat(arg);
	case DISCO_MERGE:
		return do_merge(arg);
	case DISCO_MOVE:
		return do_move(arg);
	case DISCO_HEAT_SET:
		return do_heat_set(arg);
	case DISCO_HEAT_STAT:
		return do_heat_stat(arg);
	case DISCO_HEAT_REPORT:
		return do_heat_report(arg);
	case DISCO_HEAT_DRAIN:
		return do_heat_drain(arg);
	case DISCO_CHECK:
		fake.check.size = sizeof(fake.check);
		fake.check.mount_fd = ((struct disco_check *)arg)->mount_fd;
		memcpy(arg, &fake.check, sizeof(fake.check));
		return 0;
	}
	return refuse(ENOTTY);
}

/* Returns a path in the folder of the test; valid until the next call. */
const char *fake_path(const char *path)
{
	static char full[256];

	snprintf(full, sizeof(full), "%s/%s", fake.dir, path);
	return full;
}

void fake_file(const char *path, const char *text)
{
	FILE *file = fopen(fake_path(path), "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

void fake_folder(const char *path)
{
	assert_int_equal(mkdir(fake_path(path), 0755), 0);
}

int fake_setup(void **state)
{
	static char mounts[256];
	static char counters[256];
	char table[320];

	(void)state;
	memset(&fake, 0, sizeof(fake));
	strcpy(fake.dir, "/tmp/libdisco.XXXXXX");
	assert_non_null(mkdtemp(fake.dir));
	assert_int_equal(chmod(fake.dir, 0755), 0);
	fake_folder("mount");
	fake_folder("mount/ram");
	fake_folder("mount/disk");
	fake_folder("counters");
	snprintf(table, sizeof(table), "none %s disco rw 0 0\n",
		 fake_path("mount"));
	fake_file("mounts", table);

	snprintf(mounts, sizeof(mounts), "%s", fake_path("mounts"));
	snprintf(counters, sizeof(counters), "%s", fake_path("counters"));
	assert_int_equal(disco_new(&fake.disco), 0);
	assert_int_equal(disco_set_device(fake.disco, "/dev/null"), 0);
	fake.disco->mounts_file = mounts;
	fake.disco->counters_dir = counters;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag,
		      struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

int fake_teardown(void **state)
{
	(void)state;
	disco_free(fake.disco);
	return nftw(fake.dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
