// SPDX-License-Identifier: GPL-2.0-only
/*
 * Error sweep: every operation, with the first allocation in it failing, then
 * the second, and so on until none is left to fail. An operation that fails has
 * changed nothing; one that succeeds has done all; in both cases everything is
 * freed afterwards, which the module's gauges show (kmemleak sees no pages).
 *
 * And rule 5 of the design: tear-down works while no allocation does.
 */
#define _GNU_SOURCE
#include "fixture.h"

#include <stdlib.h>
#include <sys/mount.h>
#include <sys/statfs.h>

#define DEBUGFS "/mnt/debug"
#define PAGES 8
#define SIZE (PAGES * dt_page)

/* Slab and page allocations that may sleep are the ones that matter here. */
static const char * const injectors[] = { "failslab", "fail_page_alloc" };

FIXTURE(fail) {
	struct dt_fs fs;
	struct dt_gauges idle;
	int nth;
	int vm, other, vcpu;
	int created;		/* the VCPU that an operation made */
	char *at, *at_other;
	char *buffer;
	uint64_t pfn;		/* a frame with two users */
	int node[2];		/* where pages were moved to */
	int backing;
	int disk;
};

static bool set(const char *injector, const char *name, const char *value)
{
	char path[128];
	bool ok;
	int fd;

	snprintf(path, sizeof(path), DEBUGFS "/%s/%s", injector, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = write(fd, value, strlen(value)) == strlen(value);
	close(fd);
	return ok;
}

static int add_disk(FIXTURE_DATA(fail) *self, const char *name)
{
	struct disco_disk_add add = {
		.size = sizeof(add), .mount_fd = self->vm,
		.backing_fd = self->backing, .name = (uintptr_t)name,
		.name_len = strlen(name), .mode = 0444,
	};

	return ioctl(self->fs.control, DISCO_DISK_ADD, &add);
}

/* A backing of PAGES pages, in the test's own tmpfs. */
static int make_backing(void)
{
	int fd = open("/mnt/backing", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	char *page = malloc(dt_page);

	for (int i = 0; i < PAGES; i++) {
		dt_fill(page, 4, i);
		if (write(fd, page, dt_page) != dt_page)
			dt_die("write /mnt/backing");
	}
	close(fd);
	free(page);
	return open("/mnt/backing", O_RDONLY | O_CLOEXEC);
}

static bool inject_all(const char *probability)
{
	for (int i = 0; i < ARRAY_SIZE(injectors); i++)
		if (!set(injectors[i], "interval", "1") ||
		    !set(injectors[i], "times", "-1") ||
		    !set(injectors[i], "task-filter", "Y") ||
		    !set(injectors[i], "probability", probability))
			return false;
	return true;
}

FIXTURE_SETUP(fail)
{
	dt_fs_open(&self->fs, "fail", NULL);
	self->buffer = malloc(SIZE);
	self->backing = make_backing();
	self->nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (self->nth < 0)
		SKIP(_exit(255), "this kernel has no fault injection");
	ASSERT_OK(mkdir(DEBUGFS, 0755));
	if (mount("none", DEBUGFS, "debugfs", 0, NULL))
		SKIP(_exit(255), "this kernel has no debugfs");
	for (int i = 0; i < ARRAY_SIZE(injectors); i++)
		if (!set(injectors[i], "ignore-gfp-wait", "N") ||
		    !set(injectors[i], "verbose", "0"))
			SKIP(_exit(255), "this kernel has no %s", injectors[i]);
	ASSERT_TRUE(set("fail_page_alloc", "ignore-gfp-highmem", "N"));
	ASSERT_TRUE(set("fail_page_alloc", "min-order", "0"));
	dt_gauges_read(&self->idle);
}

FIXTURE_TEARDOWN(fail)
{
	inject_all("0");
	close(self->nth);
	close(self->backing);
	free(self->buffer);
	EXPECT_TRUE(dt_fs_close(&self->fs));
}

/*
 * Before each operation: "vm" has pages 0 to 3 filled, 2 and 3 of them shared
 * with "keep"; 4 was read, 5 to 7 are holes. "other" has pages 0 and 7.
 */
static void arrange(FIXTURE_DATA(fail) *self)
{
	int keep;

	self->vm = dt_create(&self->fs, "vm", SIZE);
	self->other = dt_create(&self->fs, "other", SIZE);
	self->at = dt_map(self->vm, SIZE);
	self->at_other = dt_map(self->other, SIZE);
	for (int i = 2; i < 4; i++)
		dt_fill(self->at + i * dt_page, 1, i);
	keep = dt_create(&self->fs, "keep", SIZE);
	if (dt_clone(keep, self->vm))
		dt_die("clone");
	dt_close(keep);
	dt_fill_run(self->at, 1, 0, 2);
	dt_touch(self->at + 4 * dt_page, false);
	dt_fill(self->at_other, 2, 0);
	dt_fill(self->at_other + 7 * dt_page, 2, 7);
	dt_fill(self->buffer, 3, 5);
	self->pfn = dt_pmap(&self->fs, self->vm, 3).pfn;
	self->vcpu = dt_vcpu(&self->fs, self->vm, 0, 64);
	if (add_disk(self, "disk"))
		dt_die("DISCO_DISK_ADD");
	self->disk = open("/mnt/fail/disk/disk", O_RDONLY | O_CLOEXEC);
	if (self->disk < 0)
		dt_die("open a disk");
}

static bool vm_is_as_before(FIXTURE_DATA(fail) *self)
{
	for (int i = 0; i < 4; i++)
		if (!dt_is_filled(self->at + i * dt_page, 1, i))
			return false;
	return dt_is_zero(self->at + 4 * dt_page, SIZE - 4 * dt_page) &&
	       lseek(self->vm, 0, SEEK_END) == SIZE;
}

static bool other_is_as_before(FIXTURE_DATA(fail) *self)
{
	return dt_is_filled(self->at_other, 2, 0) &&
	       dt_is_zero(self->at_other + dt_page, SIZE - 2 * dt_page) &&
	       dt_is_filled(self->at_other + 7 * dt_page, 2, 7);
}

static void put_away(FIXTURE_DATA(fail) *self)
{
	dt_close(self->vcpu);
	close(self->disk);
	dt_unmap(self->at, SIZE);
	dt_unmap(self->at_other, SIZE);
	dt_close(self->vm);
	dt_close(self->other);
	dt_unlink(&self->fs, "vm");
	dt_unlink(&self->fs, "other");
	dt_unlink(&self->fs, "keep");
	if (unlink("/mnt/fail/disk/disk"))
		dt_die("remove a disk");
}

static void nth_begin(int fd, int n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", n);

	if (pwrite(fd, text, length, 0) != length)
		dt_die("write to fail-nth");
}

/* Did an allocation fail? */
static bool nth_end(int fd)
{
	char text[16] = "";
	int error = errno;

	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		dt_die("read from fail-nth");
	if (pwrite(fd, "0", 1, 0) != 1)
		dt_die("write to fail-nth");
	errno = error;
	return !atoi(text);
}

/*
 * The operations. act() returns 0 if it succeeded; did() says whether what it
 * should do is there. Between them nothing fails any more.
 */
FIXTURE_VARIANT(fail) {
	int (*act)(FIXTURE_DATA(fail) *self);
	bool (*did)(FIXTURE_DATA(fail) *self);
	bool keeps_vm;		/* "vm" is as before even if it succeeded */
	bool always;		/* a fault is repeated until it succeeds */
	int least;		/* allocations that there are, or the sweep is void */
};

static bool nothing(FIXTURE_DATA(fail) *self)
{
	(void)self;
	return true;
}

static int act_create(FIXTURE_DATA(fail) *self)
{
	int fd;

	(void)self;
	fd = open("/mnt/fail/ram/new", O_CREAT | O_EXCL | O_RDWR, 0600);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static bool did_create(FIXTURE_DATA(fail) *self)
{
	(void)self;
	return !unlink("/mnt/fail/ram/new");
}

FIXTURE_VARIANT_ADD(fail, create) {
	act_create, did_create, .keeps_vm = true, .least = 4,
};

static int act_mkdir(FIXTURE_DATA(fail) *self)
{
	(void)self;
	return mkdir("/mnt/fail/ram/folder", 0700);
}

static bool did_mkdir(FIXTURE_DATA(fail) *self)
{
	(void)self;
	return !rmdir("/mnt/fail/ram/folder");
}

FIXTURE_VARIANT_ADD(fail, mkdir) {
	act_mkdir, did_mkdir, .keeps_vm = true, .least = 3,
};

static int act_rename(FIXTURE_DATA(fail) *self)
{
	(void)self;
	return rename("/mnt/fail/ram/keep", "/mnt/fail/ram/renamed");
}

static bool did_rename(FIXTURE_DATA(fail) *self)
{
	(void)self;
	return !rename("/mnt/fail/ram/renamed", "/mnt/fail/ram/keep");
}

FIXTURE_VARIANT_ADD(fail, rename) {
	act_rename, did_rename, .keeps_vm = true, .least = 2,
};

static int act_unlink(FIXTURE_DATA(fail) *self)
{
	(void)self;
	return unlink("/mnt/fail/ram/keep");
}

static bool did_unlink(FIXTURE_DATA(fail) *self)
{
	dt_close(dt_create(&self->fs, "keep", 0));
	return true;
}

FIXTURE_VARIANT_ADD(fail, unlink) {
	act_unlink, did_unlink, .keeps_vm = true, .least = 1,
};

static int act_open_and_map(FIXTURE_DATA(fail) *self)
{
	int fd = open("/mnt/fail/ram/vm", O_RDWR);
	char *at;

	(void)self;
	if (fd < 0)
		return -1;
	at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		  fd, 0);
	close(fd);
	if (at == MAP_FAILED)
		return -1;
	if (!munmap(at, SIZE))
		return 0;
	/* The VMA's tree has to be changed, and that may need memory. */
	if (munmap(at, SIZE))
		dt_die("munmap");
	return -1;
}

FIXTURE_VARIANT_ADD(fail, open_and_map) {
	act_open_and_map, nothing, .keeps_vm = true, .least = 3,
};

static int write_page(FIXTURE_DATA(fail) *self, int page)
{
	return pwrite(self->vm, self->buffer, dt_page, page * dt_page) ==
	       dt_page ? 0 : -1;
}

static int act_write_hole(FIXTURE_DATA(fail) *self)
{
	return write_page(self, 5);
}

static bool did_write_hole(FIXTURE_DATA(fail) *self)
{
	return dt_is_filled(self->at + 5 * dt_page, 3, 5);
}

FIXTURE_VARIANT_ADD(fail, write_hole) {
	act_write_hole, did_write_hole, .least = 1,
};

static int act_write_shared(FIXTURE_DATA(fail) *self)
{
	return write_page(self, 3);
}

static bool did_write_shared(FIXTURE_DATA(fail) *self)
{
	return dt_is_filled(self->at + 3 * dt_page, 3, 5);
}

FIXTURE_VARIANT_ADD(fail, write_shared) {
	act_write_shared, did_write_shared, .least = 1,
};

static int act_write_far(FIXTURE_DATA(fail) *self)
{
	return pwrite(self->vm, self->buffer, 1, 1L << 40) == 1 ? 0 : -1;
}

static bool did_write_far(FIXTURE_DATA(fail) *self)
{
	return lseek(self->vm, 0, SEEK_END) == (1L << 40) + 1 &&
	       lseek(self->vm, SIZE, SEEK_DATA) == 1L << 40;
}

FIXTURE_VARIANT_ADD(fail, write_far) {
	act_write_far, did_write_far, .least = 2,
};

static int act_read(FIXTURE_DATA(fail) *self)
{
	return pread(self->vm, self->buffer, SIZE, 0) == SIZE ? 0 : -1;
}

static bool did_read(FIXTURE_DATA(fail) *self)
{
	return !memcmp(self->buffer, self->at, SIZE);
}

FIXTURE_VARIANT_ADD(fail, read) { act_read, did_read, .keeps_vm = true };

static int act_read_fault(FIXTURE_DATA(fail) *self)
{
	return *(volatile char *)(self->at + 5 * dt_page);
}

FIXTURE_VARIANT_ADD(fail, read_fault) {
	act_read_fault, nothing, .keeps_vm = true, .always = true,
};

static int act_store_hole(FIXTURE_DATA(fail) *self)
{
	dt_fill(self->at + 5 * dt_page, 3, 5);
	return 0;
}

FIXTURE_VARIANT_ADD(fail, store_hole) {
	act_store_hole, did_write_hole, .always = true, .least = 1,
};

static int act_store_zero(FIXTURE_DATA(fail) *self)
{
	dt_fill(self->at + 4 * dt_page, 3, 5);
	return 0;
}

static bool did_store_zero(FIXTURE_DATA(fail) *self)
{
	return dt_is_filled(self->at + 4 * dt_page, 3, 5);
}

FIXTURE_VARIANT_ADD(fail, store_zero) {
	act_store_zero, did_store_zero, .always = true, .least = 1,
};

static int act_store_shared(FIXTURE_DATA(fail) *self)
{
	dt_fill(self->at + 3 * dt_page, 3, 5);
	return 0;
}

FIXTURE_VARIANT_ADD(fail, store_shared) {
	act_store_shared, did_write_shared, .always = true, .least = 1,
};

/* A system call that writes into the VM: the fault cannot be repeated. */
static int act_read_into_vm(FIXTURE_DATA(fail) *self)
{
	return pread(self->other, self->at + 5 * dt_page, dt_page, 0) == dt_page ?
	       0 : -1;
}

static bool did_read_into_vm(FIXTURE_DATA(fail) *self)
{
	return dt_is_filled(self->at + 5 * dt_page, 2, 0);
}

FIXTURE_VARIANT_ADD(fail, read_into_vm) {
	act_read_into_vm, did_read_into_vm, .least = 1,
};

static int act_clone(FIXTURE_DATA(fail) *self)
{
	return dt_clone(self->other, self->vm);
}

static bool did_clone(FIXTURE_DATA(fail) *self)
{
	bool same = !memcmp(self->at, self->at_other, SIZE);

	/* For the check that comes after. */
	if (ftruncate(self->other, 0) || ftruncate(self->other, SIZE))
		return false;
	dt_fill(self->at_other, 2, 0);
	dt_fill(self->at_other + 7 * dt_page, 2, 7);
	return same;
}

FIXTURE_VARIANT_ADD(fail, clone) {
	act_clone, did_clone, .keeps_vm = true, .least = 3,
};

/* Page 3 has two users; a third one needs a list. */
static int act_merge(FIXTURE_DATA(fail) *self)
{
	struct disco_merge merge = {
		.size = sizeof(merge),
		.vm_fd = self->vm, .gfn = 3,
		.other_fd = self->vm, .other_gfn = 6, .nr = 1,
	};

	dt_fill(self->at + 6 * dt_page, 1, 3);
	if (!ioctl(self->fs.control, DISCO_MERGE, &merge))
		return 0;
	if (dt_punch(self->vm, 6 * dt_page, dt_page))
		dt_die("punch");
	return -1;
}

static bool did_merge(FIXTURE_DATA(fail) *self)
{
	bool did = dt_pmap(&self->fs, self->vm, 6).pfn == self->pfn;

	return did && !dt_punch(self->vm, 6 * dt_page, dt_page);
}

FIXTURE_VARIANT_ADD(fail, merge) {
	act_merge, did_merge, .keeps_vm = true, .least = 2,
};

/* Pages 0 and 3, which is private and which is shared, and back again. */
static int act_move(FIXTURE_DATA(fail) *self)
{
	const int gfns[] = { 0, 3 };
	struct disco_move_entry entries[ARRAY_SIZE(gfns)];
	struct disco_move move = {
		.size = sizeof(move), .operation = DISCO_MOVE_MIGRATE,
		.vm_fd = self->vm, .entries = (uintptr_t)entries,
		.nr = ARRAY_SIZE(gfns),
	};

	for (int i = 0; i < ARRAY_SIZE(gfns); i++) {
		self->node[i] = !dt_pmap(&self->fs, self->vm, gfns[i]).node;
		entries[i] = (struct disco_move_entry){
			.gfn = gfns[i], .node = self->node[i],
		};
	}
	if (ioctl(self->fs.control, DISCO_MOVE, &move))
		return -1;
	return move.out_moved == move.nr ? 0 : -1;
}

static bool did_move(FIXTURE_DATA(fail) *self)
{
	return dt_pmap(&self->fs, self->vm, 0).node == self->node[0] &&
	       dt_pmap(&self->fs, self->vm, 3).node == self->node[1] &&
	       dt_pmap(&self->fs, self->vm, 3).users == 2;
}

FIXTURE_VARIANT_ADD(fail, move) {
	act_move, did_move, .keeps_vm = true, .least = 3,
};

/* Copies of the same pages on the other node, when what there is has gone. */
static int act_replicate(FIXTURE_DATA(fail) *self)
{
	const int gfns[] = { 0, 3 };
	struct disco_move_entry entries[ARRAY_SIZE(gfns)];
	struct disco_move move = {
		.size = sizeof(move), .operation = DISCO_MOVE_COLLAPSE,
		.vm_fd = self->vm, .entries = (uintptr_t)entries,
		.nr = ARRAY_SIZE(gfns),
	};

	for (int i = 0; i < ARRAY_SIZE(gfns); i++)
		entries[i] = (struct disco_move_entry){
			.gfn = gfns[i],
			.node = !dt_pmap(&self->fs, self->vm, gfns[i]).node,
		};
	if (ioctl(self->fs.control, DISCO_MOVE, &move))
		return -1;
	move.operation = DISCO_MOVE_REPLICATE;
	if (ioctl(self->fs.control, DISCO_MOVE, &move))
		return -1;
	return move.out_moved == move.nr ? 0 : -1;
}

static bool did_replicate(FIXTURE_DATA(fail) *self)
{
	return dt_pmap(&self->fs, self->vm, 0).state == DISCO_PAGE_REPLICATED &&
	       dt_pmap(&self->fs, self->vm, 3).state == DISCO_PAGE_REPLICATED &&
	       dt_pmap(&self->fs, self->vm, 3).users == 2;
}

FIXTURE_VARIANT_ADD(fail, replicate) {
	act_replicate, did_replicate, .keeps_vm = true, .least = 3,
};

/* A sampler, and a counter for a page that has none. */
static int act_heat(FIXTURE_DATA(fail) *self)
{
	struct disco_heat_entry entries[1024];
	struct disco_heat_set set = {
		.size = sizeof(set), .vm_fd = self->vm,
		.budget = DISCO_HEAT_BUDGET,
	};
	struct disco_heat_report report = {
		.size = sizeof(report), .vm_fd = self->vm, .nr = 1,
		.entries = (uintptr_t)entries,
	};
	struct disco_heat_drain drain = {
		.size = sizeof(drain), .vm_fd = self->vm, .nr = 1024,
		.entries = (uintptr_t)entries,
	};

	entries[0] = (struct disco_heat_entry){ .gfn = 3, .reads = 1 };
	if (ioctl(self->fs.control, DISCO_HEAT_SET, &set) ||
	    ioctl(self->fs.control, DISCO_HEAT_REPORT, &report) ||
	    !report.out_added)
		return -1;
	return ioctl(self->fs.control, DISCO_HEAT_DRAIN, &drain);
}

static bool did_heat(FIXTURE_DATA(fail) *self)
{
	struct disco_heat_stat stat = {
		.size = sizeof(stat), .vm_fd = self->vm,
	};

	return !ioctl(self->fs.control, DISCO_HEAT_STAT, &stat) &&
	       stat.out_budget == DISCO_HEAT_BUDGET;
}

FIXTURE_VARIANT_ADD(fail, heat) {
	act_heat, did_heat, .keeps_vm = true, .least = 4,
};

static int act_shrink(FIXTURE_DATA(fail) *self)
{
	return ftruncate(self->vm, 2 * dt_page + 1);
}

static bool did_shrink(FIXTURE_DATA(fail) *self)
{
	return lseek(self->vm, 0, SEEK_END) == 2 * dt_page + 1 &&
	       self->at[2 * dt_page] &&
	       dt_is_zero(self->at + 2 * dt_page + 1, dt_page - 1);
}

FIXTURE_VARIANT_ADD(fail, shrink_into_shared) {
	act_shrink, did_shrink, .least = 1,
};

static int act_grow(FIXTURE_DATA(fail) *self)
{
	return ftruncate(self->vm, 1L << 40);
}

static bool did_grow(FIXTURE_DATA(fail) *self)
{
	return lseek(self->vm, 0, SEEK_END) == 1L << 40 &&
	       !ftruncate(self->vm, SIZE);
}

FIXTURE_VARIANT_ADD(fail, grow) { act_grow, did_grow, .keeps_vm = true };

static int act_punch(FIXTURE_DATA(fail) *self)
{
	return dt_punch(self->vm, 2 * dt_page + 8, dt_page);
}

static bool did_punch(FIXTURE_DATA(fail) *self)
{
	return dt_is_zero(self->at + 2 * dt_page + 8, dt_page) &&
	       self->at[2 * dt_page] && self->at[4 * dt_page - 8];
}

/* Both pages that it cuts are shared: none or both are copied. */
FIXTURE_VARIANT_ADD(fail, punch_into_shared) {
	act_punch, did_punch, .least = 2,
};

static int act_disk_add(FIXTURE_DATA(fail) *self)
{
	return add_disk(self, "new");
}

static bool did_disk_add(FIXTURE_DATA(fail) *self)
{
	(void)self;
	return !unlink("/mnt/fail/disk/new");
}

FIXTURE_VARIANT_ADD(fail, disk_add) {
	act_disk_add, did_disk_add, .keeps_vm = true, .least = 6,
};

static int act_disk_open(FIXTURE_DATA(fail) *self)
{
	int fd = open("/mnt/fail/disk/disk", O_RDONLY);

	(void)self;
	return fd < 0 ? -1 : close(fd);
}

FIXTURE_VARIANT_ADD(fail, disk_open) {
	act_disk_open, nothing, .keeps_vm = true, .least = 1,
};

static int read_disk(FIXTURE_DATA(fail) *self, int page)
{
	return pread(self->disk, self->at + page * dt_page, dt_page,
		     7 * dt_page) == dt_page ? 0 : -1;
}

static bool did_read_disk(FIXTURE_DATA(fail) *self, int page)
{
	return dt_is_filled(self->at + page * dt_page, 4, 7);
}

/* Nothing is cached yet. */
static int act_disk_read_hole(FIXTURE_DATA(fail) *self)
{
	return read_disk(self, 5);
}

static bool did_disk_read_hole(FIXTURE_DATA(fail) *self)
{
	return did_read_disk(self, 5);
}

FIXTURE_VARIANT_ADD(fail, disk_read_hole) {
	act_disk_read_hole, did_disk_read_hole, .least = 3,
};

static int act_disk_read_private(FIXTURE_DATA(fail) *self)
{
	return read_disk(self, 1);
}

static bool did_disk_read_private(FIXTURE_DATA(fail) *self)
{
	return did_read_disk(self, 1);
}

FIXTURE_VARIANT_ADD(fail, disk_read_private) {
	act_disk_read_private, did_disk_read_private, .least = 3,
};

static int act_disk_read_shared(FIXTURE_DATA(fail) *self)
{
	return read_disk(self, 3);
}

static bool did_disk_read_shared(FIXTURE_DATA(fail) *self)
{
	return did_read_disk(self, 3);
}

FIXTURE_VARIANT_ADD(fail, disk_read_shared) {
	act_disk_read_shared, did_disk_read_shared, .least = 3,
};

/* The third user of a page needs a list. */
static int act_disk_read_third(FIXTURE_DATA(fail) *self)
{
	return read_disk(self, 6);
}

static bool did_disk_read_third(FIXTURE_DATA(fail) *self)
{
	/* Makes two more users, and gives them back. */
	return did_read_disk(self, 6) && !read_disk(self, 7) &&
	       !read_disk(self, 5) && did_read_disk(self, 5) &&
	       !dt_punch(self->vm, 5 * dt_page, 3 * dt_page);
}

FIXTURE_VARIANT_ADD(fail, disk_read_third) {
	act_disk_read_third, did_disk_read_third, .least = 3,
};

static int act_mount(FIXTURE_DATA(fail) *self)
{
	(void)self;
	return mount("none", "/mnt/fail/ram", "disco", 0, "size=1G,uid=1");
}

static bool did_mount(FIXTURE_DATA(fail) *self)
{
	(void)self;
	return !umount("/mnt/fail/ram");
}

FIXTURE_VARIANT_ADD(fail, mount) {
	act_mount, did_mount, .keeps_vm = true, .least = 8,
};

static int act_remount(FIXTURE_DATA(fail) *self)
{
	return mount("none", self->fs.root, NULL, MS_REMOUNT, "size=1G");
}

static bool did_remount(FIXTURE_DATA(fail) *self)
{
	struct statfs buf;

	return !statfs(self->fs.root, &buf) &&
	       buf.f_blocks == (1L << 30) / dt_page &&
	       !mount("none", self->fs.root, NULL, MS_REMOUNT, "size=2G");
}

FIXTURE_VARIANT_ADD(fail, remount) {
	act_remount, did_remount, .keeps_vm = true, .least = 2,
};

static int act_query(FIXTURE_DATA(fail) *self)
{
	struct disco_query query = { .size = sizeof(query) };

	return ioctl(self->fs.control, DISCO_QUERY, &query);
}

FIXTURE_VARIANT_ADD(fail, ioctl_query) {
	act_query, nothing, .keeps_vm = true,
};

static int act_vm_stat(FIXTURE_DATA(fail) *self)
{
	struct disco_vm_stat stat = {
		.size = sizeof(stat),
		.flags = DISCO_VM_STAT_MACHINE,
		.vm_fd = self->vm,
	};

	return ioctl(self->fs.control, DISCO_VM_STAT, &stat);
}

FIXTURE_VARIANT_ADD(fail, ioctl_vm_stat) {
	act_vm_stat, nothing, .keeps_vm = true,
};

static int act_pmap(FIXTURE_DATA(fail) *self)
{
	struct disco_pmap_entry entries[PAGES];
	struct disco_pmap pmap = {
		.size = sizeof(pmap),
		.vm_fd = self->vm,
		.nr = PAGES,
		.entries = (uintptr_t)entries,
	};

	return ioctl(self->fs.control, DISCO_PMAP, &pmap);
}

FIXTURE_VARIANT_ADD(fail, ioctl_pmap) { act_pmap, nothing, .keeps_vm = true };

static int act_memmap(FIXTURE_DATA(fail) *self)
{
	struct disco_memmap_user users[4];
	struct disco_memmap memmap = {
		.size = sizeof(memmap),
		.pfn = self->pfn,
		.users = (uintptr_t)users,
		.nr = 4,
	};

	return ioctl(self->fs.control, DISCO_MEMMAP, &memmap);
}

FIXTURE_VARIANT_ADD(fail, ioctl_memmap) {
	act_memmap, nothing, .keeps_vm = true,
};

static int act_check(FIXTURE_DATA(fail) *self)
{
	struct disco_check check = {
		.size = sizeof(check),
		.mount_fd = self->vm,
	};

	if (ioctl(self->fs.control, DISCO_CHECK, &check))
		return -1;
	return check.out_violation;
}

FIXTURE_VARIANT_ADD(fail, ioctl_check) {
	act_check, nothing, .keeps_vm = true,
};

static int vcpu_create(FIXTURE_DATA(fail) *self, uint32_t vcpu,
		       uint32_t nr_entries, uint32_t flags)
{
	struct disco_vcpu_create create = {
		.size = sizeof(create),
		.flags = flags,
		.vm_fd = self->vm,
		.vcpu = vcpu,
		.node = DISCO_VCPU_HERE,
		.nr_entries = nr_entries,
		.nr_indices = 32,
	};

	if (ioctl(self->fs.control, DISCO_VCPU_CREATE, &create))
		return -1;
	self->created = create.out_fd;
	return 0;
}

/* 0 if there is no such VCPU. */
static uint32_t vcpu_entries(FIXTURE_DATA(fail) *self, uint32_t vcpu)
{
	struct disco_vcpu_stat stat = {
		.size = sizeof(stat),
		.vm_fd = self->vm,
		.vcpu = vcpu,
	};

	return ioctl(self->fs.control, DISCO_VCPU_STAT, &stat) ?
	       0 : stat.out_nr_entries;
}

static int act_vcpu_create(FIXTURE_DATA(fail) *self)
{
	return vcpu_create(self, 1, 64, 0);
}

static bool did_vcpu_create(FIXTURE_DATA(fail) *self)
{
	bool did = vcpu_entries(self, 1) == 64;

	close(self->created);
	return did && !vcpu_entries(self, 1);
}

FIXTURE_VARIANT_ADD(fail, vcpu_create) {
	act_vcpu_create, did_vcpu_create, .keeps_vm = true, .least = 8,
};

static int act_vcpu_replace(FIXTURE_DATA(fail) *self)
{
	if (!vcpu_create(self, 0, 128, DISCO_VCPU_REPLACE))
		return 0;
	if (vcpu_entries(self, 0) != 64)
		dt_die("the VCPU that was not replaced is gone");
	return -1;
}

/* The one that lost its number is there still, and has none. */
static bool did_vcpu_replace(FIXTURE_DATA(fail) *self)
{
	bool did = vcpu_entries(self, 0) == 128;

	close(self->created);
	return did && !vcpu_entries(self, 0);
}

FIXTURE_VARIANT_ADD(fail, vcpu_replace) {
	act_vcpu_replace, did_vcpu_replace, .keeps_vm = true, .least = 8,
};

static int act_vcpu_map(FIXTURE_DATA(fail) *self)
{
	char *at = mmap(NULL, 2 * dt_page, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_POPULATE, self->vcpu, 0);

	if (at == MAP_FAILED)
		return -1;
	if (munmap(at, 2 * dt_page) && munmap(at, 2 * dt_page))
		dt_die("munmap");
	return 0;
}

FIXTURE_VARIANT_ADD(fail, vcpu_map) {
	act_vcpu_map, nothing, .keeps_vm = true, .least = 2,
};

static int act_vcpu_stat(FIXTURE_DATA(fail) *self)
{
	return vcpu_entries(self, 0) ? 0 : -1;
}

FIXTURE_VARIANT_ADD(fail, ioctl_vcpu_stat) {
	act_vcpu_stat, nothing, .keeps_vm = true,
};

static int act_vcpu_dump(FIXTURE_DATA(fail) *self)
{
	struct disco_vcpu_entry entries[PAGES];
	struct disco_vcpu_dump dump = {
		.size = sizeof(dump),
		.vm_fd = self->vm,
		.nr = PAGES,
		.entries = (uintptr_t)entries,
	};

	return ioctl(self->fs.control, DISCO_VCPU_DUMP, &dump);
}

FIXTURE_VARIANT_ADD(fail, ioctl_vcpu_dump) {
	act_vcpu_dump, nothing, .keeps_vm = true,
};

TEST_F(fail, sweep)
{
	bool fired = true;
	int n, failed = 0;

	for (n = 1; fired; n++) {
		int result;

		ASSERT_GT(2000, n);
		arrange(self);
		nth_begin(self->nth, n);
		result = variant->act(self);
		fired = nth_end(self->nth);
		failed += !!result;
		if (!fired || variant->always)
			ASSERT_OK(result);
		if (!result)
			EXPECT_TRUE(variant->did(self)) {
				TH_LOG("succeeded and did not, n = %d", n);
			}
		if (result || variant->keeps_vm)
			EXPECT_TRUE(vm_is_as_before(self)) {
				TH_LOG("changed the VM, n = %d", n);
			}
		EXPECT_TRUE(other_is_as_before(self)) {
			TH_LOG("changed the other VM, n = %d", n);
		}
		if (result)
			EXPECT_TRUE(!variant->act(self) && variant->did(self)) {
				TH_LOG("no second chance, n = %d", n);
			}
		EXPECT_TRUE(dt_check(self->fs.control, self->vm));
		put_away(self);
		ASSERT_TRUE(dt_gauges_settle(&self->idle)) {
			TH_LOG("left something behind, n = %d", n);
		}
	}
	EXPECT_LE(variant->least, n - 2);
	TH_LOG("%d allocations failed one by one, %d made it fail", n - 2,
	       failed);
}

FIXTURE(teardown) {
	FIXTURE_DATA(fail) fail;
};

FIXTURE_SETUP(teardown)
{
	fail_setup(_metadata, &self->fail, NULL);
}

FIXTURE_TEARDOWN(teardown)
{
	fail_teardown(_metadata, &self->fail, NULL);
}

/*
 * Rule 5, with every allocation failing in a process that has VMs open and
 * mapped, gives some memory back, and ends. It unmaps by ending: munmap() needs
 * memory for the kernel's own tree of mappings.
 */
TEST_F(teardown, needs_no_memory)
{
	FIXTURE_DATA(fail) *fail = &self->fail;

	ASSERT_TRUE(inject_all("100"));
	for (int i = 0; i < 8; i++) {
		pid_t pid = dt_fork();

		if (!pid) {
			int filter = open("/proc/thread-self/make-it-fail",
					  O_RDWR | O_CLOEXEC);

			arrange(fail);
			if (read_disk(fail, 6))
				dt_die("read a disk");
			act_replicate(fail);
			dt_open(&fail->fs, "keep", O_RDWR);
			dt_unlink(&fail->fs, "vm");
			dt_unlink(&fail->fs, "keep");
			dt_unlink(&fail->fs, "other");
			if (pwrite(filter, "1", 1, 0) != 1)
				_exit(1);
			if (dt_punch(fail->vm, 2 * dt_page, dt_page))
				_exit(2);
			if (ftruncate(fail->vm, dt_page))
				_exit(3);
			_exit(0);
		}
		EXPECT_EQ(0, dt_wait(pid));
		ASSERT_OK(unlink("/mnt/fail/disk/disk"));
		ASSERT_TRUE(dt_gauges_settle(&fail->idle));
	}
}

TEST_HARNESS_MAIN
