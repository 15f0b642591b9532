// SPDX-License-Identifier: GPL-2.0-only
/* DISCO_MERGE: equal pages of two VMs become one, and nobody can tell. */
#define _GNU_SOURCE
#include "fixture.h"

#include <linux/fs.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/uio.h>

#define PAGES 16
#define SIZE (PAGES * dt_page)

DISCO_FIXTURE(merge, NULL);

static int try_merge(const struct dt_fs *fs, struct disco_merge *merge)
{
	merge->size = sizeof(*merge);
	return ioctl(fs->control, DISCO_MERGE, merge);
}

static struct disco_merge merge(const struct dt_fs *fs, int vm, uint64_t gfn,
				int other, uint64_t other_gfn, uint32_t nr)
{
	struct disco_merge merge = {
		.vm_fd = vm, .gfn = gfn,
		.other_fd = other, .other_gfn = other_gfn, .nr = nr,
	};

	if (try_merge(fs, &merge))
		dt_die("DISCO_MERGE");
	if (merge.out_nr != merge.out_merged + merge.out_zeros +
			    merge.out_same + merge.out_different +
			    merge.out_pinned + merge.out_full)
		dt_die("DISCO_MERGE: the sum of %u pairs is wrong", merge.out_nr);
	return merge;
}

static uint64_t pfn(const struct dt_fs *fs, int fd, uint64_t gfn)
{
	return dt_pmap(fs, fd, gfn).pfn;
}

static int set_flags(int fd, int flags)
{
	return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

/* Every kind of pair, and what it counts as. */
TEST_F(merge, pairs)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE + 3 * dt_page);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);
	long merges = dt_counter("shared_to_shared_merge"), pages;
	struct disco_merge m;

	for (int i = 0; i < 8; i++) {			/* equal */
		dt_fill(at + i * dt_page, 1, i);
		dt_fill(at_other + i * dt_page, 1, i);
	}
	at[3 * dt_page - 1] ^= 1;			/* but for a byte */
	dt_fill(at + 8 * dt_page, 1, 8);		/* and a hole */
	dt_fill(at_other + 9 * dt_page, 1, 9);
	memset(at + 10 * dt_page, 0, dt_page);		/* zeros */
	memset(at_other + 10 * dt_page, 0, dt_page);
	memset(at + 11 * dt_page, 0, dt_page);		/* and a hole */
	memset(at_other + 12 * dt_page, 0, dt_page);
	dt_touch(at_other + 11 * dt_page, false);	/* that was read */
	memset(at + 13 * dt_page, 0, dt_page);		/* and no zeros */
	dt_fill(at_other + 13 * dt_page, 1, 13);

	pages = dt_counter("machine_pages");
	m = merge(&self->fs, vm, 0, other, 0, UINT32_MAX);
	EXPECT_EQ(PAGES, m.out_nr);
	EXPECT_EQ(7, m.out_merged);
	EXPECT_EQ(3, m.out_zeros);
	EXPECT_EQ(2, m.out_same);			/* holes */
	EXPECT_EQ(4, m.out_different);
	EXPECT_EQ(7 + 4, m.out_freed);
	EXPECT_EQ(pages - m.out_freed, dt_counter("machine_pages"));
	EXPECT_EQ(merges + 7, dt_counter("shared_to_shared_merge"));

	for (int i = 0; i < 8; i++) {
		if (i == 2)
			continue;
		EXPECT_EQ(pfn(&self->fs, vm, i), pfn(&self->fs, other, i));
		EXPECT_EQ(2, dt_pmap(&self->fs, vm, i).users);
		EXPECT_TRUE(dt_is_filled(at + i * dt_page, 1, i));
		EXPECT_TRUE(dt_is_filled(at_other + i * dt_page, 1, i));
	}
	EXPECT_EQ(DISCO_PAGE_PRIVATE, dt_pmap(&self->fs, vm, 2).state);
	at[3 * dt_page - 1] ^= 1;
	EXPECT_TRUE(dt_is_filled(at + 2 * dt_page, 1, 2));
	EXPECT_TRUE(dt_is_filled(at_other + 2 * dt_page, 1, 2));
	EXPECT_EQ(7 * dt_page, dt_stat(&self->fs, vm).out_shared);
	EXPECT_EQ(3 * dt_page, dt_stat(&self->fs, vm).out_private);
	EXPECT_EQ(7 * dt_page, dt_stat(&self->fs, other).out_shared);

	/* Zeros are given back, and a file with a hole reads as before. */
	EXPECT_EQ(10 * dt_page, lseek(other, 10 * dt_page, SEEK_HOLE));
	EXPECT_EQ(13 * dt_page, lseek(other, 10 * dt_page, SEEK_DATA));
	EXPECT_EQ(9 * dt_page, lseek(vm, 9 * dt_page, SEEK_HOLE));
	EXPECT_TRUE(dt_is_zero(at + 9 * dt_page, 7 * dt_page));
	EXPECT_TRUE(dt_is_zero(at_other + 10 * dt_page, 3 * dt_page));
	EXPECT_TRUE(dt_is_filled(at_other + 13 * dt_page, 1, 13));

	m = merge(&self->fs, other, 0, vm, 0, PAGES);
	EXPECT_EQ(1, m.out_merged);
	EXPECT_EQ(7 + 5, m.out_same);
	EXPECT_EQ(3, m.out_different);
	EXPECT_EQ(1, m.out_freed);
}

TEST_F(merge, each_side_writes_for_itself)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);
	char *buffer = malloc(dt_page);

	dt_fill_run(at, 1, 0, PAGES);
	dt_fill_run(at_other, 1, 0, PAGES);
	EXPECT_EQ(PAGES, merge(&self->fs, vm, 0, other, 0, PAGES).out_merged);
	EXPECT_TRUE(dt_run_is_filled(at, 1, 0, PAGES));
	EXPECT_TRUE(dt_run_is_filled(at_other, 1, 0, PAGES));
	dt_fill(at, 2, 0);
	dt_fill(at_other + dt_page, 3, 1);
	dt_fill(buffer, 4, 2);
	ASSERT_EQ(dt_page, pwrite(vm, buffer, dt_page, 2 * dt_page));
	dt_fill(buffer, 5, 3);
	ASSERT_EQ(dt_page, pwrite(other, buffer, dt_page, 3 * dt_page));
	ASSERT_OK(dt_punch(vm, 4 * dt_page, dt_page));
	ASSERT_OK(dt_punch(other, 5 * dt_page, dt_page));
	ASSERT_OK(ftruncate(other, (PAGES - 1) * dt_page));

	EXPECT_TRUE(dt_is_filled(at, 2, 0));
	EXPECT_TRUE(dt_is_filled(at_other, 1, 0));
	EXPECT_TRUE(dt_is_filled(at + dt_page, 1, 1));
	EXPECT_TRUE(dt_is_filled(at_other + dt_page, 3, 1));
	EXPECT_TRUE(dt_is_filled(at + 2 * dt_page, 4, 2));
	EXPECT_TRUE(dt_is_filled(at_other + 2 * dt_page, 1, 2));
	EXPECT_TRUE(dt_is_filled(at + 3 * dt_page, 1, 3));
	EXPECT_TRUE(dt_is_filled(at_other + 3 * dt_page, 5, 3));
	EXPECT_TRUE(dt_is_zero(at + 4 * dt_page, dt_page));
	EXPECT_TRUE(dt_is_filled(at_other + 4 * dt_page, 1, 4));
	EXPECT_TRUE(dt_is_filled(at + 5 * dt_page, 1, 5));
	EXPECT_TRUE(dt_is_zero(at_other + 5 * dt_page, dt_page));
	EXPECT_TRUE(dt_is_filled(at + (PAGES - 1) * dt_page, 1, PAGES - 1));

	/* A hole that zeros became is written like any other. */
	memset(at + 6 * dt_page, 0, dt_page);
	memset(at_other + 6 * dt_page, 0, dt_page);
	EXPECT_EQ(1, merge(&self->fs, vm, 6, other, 6, 1).out_zeros);
	EXPECT_TRUE(dt_is_zero(at + 6 * dt_page, dt_page));
	at[6 * dt_page + 5] = 'x';
	at_other[6 * dt_page + 7] = 'y';
	EXPECT_TRUE(dt_is_zero(at + 6 * dt_page + 6, dt_page - 6));
	EXPECT_TRUE(dt_is_zero(at_other + 6 * dt_page, 7));
	free(buffer);
}

/* In one VM, at other gfns, ranges that overlap, a page and itself. */
TEST_F(merge, one_vm)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);
	struct disco_merge m;

	for (int i = 0; i < PAGES; i++)
		dt_fill(at + i * dt_page, 1, 0);
	m = merge(&self->fs, vm, 0, vm, 0, PAGES);
	EXPECT_EQ(PAGES, m.out_same);
	EXPECT_EQ(PAGES * dt_page, dt_stat(&self->fs, vm).out_private);
	m = merge(&self->fs, vm, 0, vm, 1, PAGES);
	EXPECT_EQ(PAGES - 1, m.out_nr);
	EXPECT_EQ(PAGES - 1, m.out_merged);
	EXPECT_EQ(PAGES - 1, m.out_freed);
	EXPECT_EQ(PAGES, dt_pmap(&self->fs, vm, 7).users);
	EXPECT_EQ(self->fs.before.machine_pages + 1,
		  dt_counter("machine_pages"));
	for (int i = 0; i < PAGES; i++) {
		EXPECT_TRUE(dt_is_filled(at + i * dt_page, 1, 0));
		dt_fill(at + i * dt_page, 1, i);
	}
	EXPECT_TRUE(dt_run_is_filled(at, 1, 0, PAGES));

	memset(at, 0, SIZE / 2);
	m = merge(&self->fs, vm, 0, vm, 0, PAGES);
	EXPECT_EQ(PAGES / 2, m.out_zeros);
	EXPECT_EQ(PAGES / 2, m.out_freed);
	EXPECT_EQ(PAGES / 2, m.out_same);
	EXPECT_TRUE(dt_is_zero(at, SIZE / 2));
	EXPECT_EQ(SIZE / 2, lseek(vm, 0, SEEK_DATA));
}

/* Zeros that are shared have as many pages to give back as they are. */
TEST_F(merge, shared_zeros)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	struct disco_merge m;

	memset(dt_map(vm, SIZE), 0, SIZE);
	ASSERT_OK(dt_clone(other, vm));
	m = merge(&self->fs, vm, 0, other, 0, PAGES);
	EXPECT_EQ(PAGES, m.out_zeros);
	EXPECT_EQ(PAGES, m.out_freed);
	EXPECT_EQ(self->fs.before.machine_pages, dt_counter("machine_pages"));
}

/* A page that a device may be writing to stays what and where it is. */
TEST_F(merge, pinned_page_is_left_alone)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);
	struct iovec pages[] = {
		{ at + 2 * dt_page, dt_page },
		{ at_other + 3 * dt_page, dt_page },
		{ at + 4 * dt_page, dt_page },
	};
	long refused = dt_counter("refused_pinned");
	char *buffer = malloc(dt_page);
	struct disco_merge m;
	uint64_t before[2];
	int pipe_fds[2];

	dt_fill_run(at, 1, 0, PAGES);
	dt_fill_run(at_other, 1, 0, PAGES);
	memset(at + 4 * dt_page, 0, dt_page);
	memset(at_other + 4 * dt_page, 0, dt_page);
	before[0] = pfn(&self->fs, vm, 2);
	before[1] = pfn(&self->fs, other, 3);
	ASSERT_OK(pipe(pipe_fds));
	ASSERT_EQ(3 * dt_page, vmsplice(pipe_fds[1], pages, 3, 0));
	m = merge(&self->fs, vm, 0, other, 0, PAGES);
	EXPECT_EQ(3, m.out_pinned);
	EXPECT_EQ(PAGES - 3, m.out_merged);
	EXPECT_EQ(refused + 3, dt_counter("refused_pinned"));
	EXPECT_EQ(before[0], pfn(&self->fs, vm, 2));
	EXPECT_EQ(before[1], pfn(&self->fs, other, 3));
	EXPECT_EQ(DISCO_PAGE_PRIVATE, dt_pmap(&self->fs, vm, 2).state);
	EXPECT_EQ(DISCO_PAGE_PRIVATE, dt_pmap(&self->fs, other, 3).state);
	EXPECT_EQ(DISCO_PAGE_PRIVATE, dt_pmap(&self->fs, vm, 4).state);

	/* Who has it pinned and the VM still look at one page. */
	dt_fill(at + 2 * dt_page, 7, 2);
	ASSERT_EQ(dt_page, read(pipe_fds[0], buffer, dt_page));
	EXPECT_TRUE(dt_is_filled(buffer, 7, 2));
	dt_fill(at + 2 * dt_page, 1, 2);
	EXPECT_TRUE(dt_is_filled(at_other + 2 * dt_page, 1, 2));
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	m = merge(&self->fs, vm, 0, other, 0, PAGES);
	EXPECT_EQ(2, m.out_merged);
	EXPECT_EQ(1, m.out_zeros);
	free(buffer);
}

/* One machine page for all, whichever was there first. */
TEST_F(merge, page_with_more_users_stays)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int clone = dt_create(&self->fs, "clone", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);
	struct disco_merge m;
	uint64_t stays;

	dt_fill_run(at, 1, 0, PAGES);
	dt_fill_run(at_other, 1, 0, PAGES);
	ASSERT_OK(dt_clone(clone, vm));
	stays = pfn(&self->fs, vm, 5);
	m = merge(&self->fs, other, 5, vm, 5, 1);
	EXPECT_EQ(1, m.out_merged);
	EXPECT_EQ(1, m.out_freed);
	EXPECT_EQ(stays, pfn(&self->fs, other, 5));
	m = merge(&self->fs, vm, 6, other, 6, 1);
	EXPECT_EQ(1, m.out_freed);
	EXPECT_EQ(3, dt_pmap(&self->fs, other, 6).users);
	EXPECT_TRUE(dt_run_is_filled(at, 1, 0, PAGES));
	EXPECT_TRUE(dt_run_is_filled(at_other, 1, 0, PAGES));
	EXPECT_TRUE(dt_run_is_filled(dt_map(clone, SIZE), 1, 0, PAGES));
}

/* What a disk's cache has is there in any case. */
TEST_F(merge, cached_page_stays)
{
	int backing = open("/mnt/backing", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int vm = dt_create(&self->fs, "vm", SIZE), disk;
	int clone = dt_create(&self->fs, "clone", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);
	char *at_clone = dt_map(clone, SIZE), path[64];
	uint64_t stays[2];

	dt_fill_run(at, 1, 0, PAGES);
	ASSERT_EQ(SIZE, write(backing, at, SIZE));
	close(backing);
	backing = open("/mnt/backing", O_RDONLY | O_CLOEXEC);
	ASSERT_OK(dt_disk_add(&self->fs, "disk", backing, 0));
	close(backing);
	snprintf(path, sizeof(path), "%s/disk/disk", self->fs.root);
	disk = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_EQ(SIZE, pread(disk, at_other, SIZE, 0));
	ASSERT_OK(dt_clone(clone, vm));		/* more users on that side */
	for (int i = 0; i < 2; i++)
		stays[i] = pfn(&self->fs, other, i);
	EXPECT_EQ(1, merge(&self->fs, vm, 0, other, 0, 1).out_merged);
	EXPECT_EQ(1, merge(&self->fs, other, 1, vm, 1, 1).out_merged);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(stays[i], pfn(&self->fs, vm, i));
		EXPECT_EQ(stays[i], pfn(&self->fs, other, i));
		EXPECT_EQ(1, merge(&self->fs, clone, i, vm, i, 1).out_freed);
		EXPECT_EQ(3, dt_pmap(&self->fs, clone, i).users);
	}
	/* It is the cache's as before, and nobody's to write to. */
	dt_fill(at, 2, 0);
	dt_fill(at_other, 3, 0);
	dt_fill(at_clone, 4, 0);
	ASSERT_EQ(dt_page, pread(disk, at_other + 15 * dt_page, dt_page, 0));
	EXPECT_EQ(stays[0], pfn(&self->fs, other, 15));
	EXPECT_TRUE(dt_is_filled(at_other + 15 * dt_page, 1, 0));
	close(disk);
}

TEST_F(merge, page_with_all_users_it_can_have)
{
	enum { PAIRS = 700 };
	int vm = dt_create(&self->fs, "vm", (PAIRS + 1) * dt_page);
	char *at = dt_map(vm, (PAIRS + 1) * dt_page);
	long full = dt_counter("refused_users_full");
	unsigned int merged = 0, refused = 0;

	for (int i = 0; i <= PAIRS; i++)
		dt_fill(at + i * dt_page, 1, 0);
	for (int i = 1; i <= PAIRS; i++) {
		struct disco_merge m = merge(&self->fs, vm, 0, vm, i, 1);

		merged += m.out_merged;
		refused += m.out_full;
	}
	EXPECT_EQ(PAIRS, merged + refused);
	EXPECT_LT(0, refused);
	EXPECT_EQ(full + refused, dt_counter("refused_users_full"));
	EXPECT_EQ(merged + 1, dt_pmap(&self->fs, vm, 0).users);
	/* The others can be one page among themselves. */
	EXPECT_EQ(refused - 1, merge(&self->fs, vm, merged + 1, vm, merged + 2,
				     refused - 1).out_merged);
	for (int i = 0; i <= PAIRS; i++)
		EXPECT_TRUE(dt_is_filled(at + i * dt_page, 1, 0));
}

TEST_F(merge, refusals_change_nothing)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE / 2);
	int only_reads = dt_open(&self->fs, "other", O_RDONLY);
	int only_writes = dt_open(&self->fs, "other", O_WRONLY);
	int memfd = memfd_create("memfd", 0), foreign;
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);
	struct dt_fs elsewhere;

	for (int i = 0; i < PAGES / 2; i++) {
		dt_fill(at + i * dt_page, 1, i);
		dt_fill(at_other + i * dt_page, 1, i);
	}
	dt_fs_open(&elsewhere, "elsewhere", NULL);
	foreign = dt_create(&elsewhere, "foreign", SIZE);
	const struct {
		int error;
		struct disco_merge merge;
	} cases[] = {
		{ EBADF, { .vm_fd = vm, .other_fd = -1, .nr = 1 } },
		{ EBADF, { .vm_fd = -1, .other_fd = vm, .nr = 1 } },
		{ EBADF, { .vm_fd = vm, .other_fd = only_reads, .nr = 1 } },
		{ EBADF, { .vm_fd = only_reads, .other_fd = vm, .nr = 1 } },
		{ EBADF, { .vm_fd = vm, .other_fd = only_writes, .nr = 1 } },
		{ EBADF, { .vm_fd = only_writes, .other_fd = vm, .nr = 1 } },
		{ EMEDIUMTYPE, { .vm_fd = vm, .other_fd = memfd, .nr = 1 } },
		{ EXDEV, { .vm_fd = vm, .other_fd = foreign, .nr = 1 } },
		{ EXDEV, { .vm_fd = foreign, .other_fd = vm, .nr = 1 } },
		{ EINVAL, { .vm_fd = vm, .other_fd = other } },
		{ EOVERFLOW, { .vm_fd = vm, .other_fd = other, .nr = 2,
			       .gfn = UINT64_MAX } },
		{ EOVERFLOW, { .vm_fd = vm, .other_fd = other, .nr = 2,
			       .other_gfn = UINT64_MAX } },
		{ ENXIO, { .vm_fd = vm, .other_fd = other, .nr = 1,
			   .gfn = PAGES } },
		{ ENXIO, { .vm_fd = vm, .other_fd = other, .nr = 1,
			   .other_gfn = PAGES / 2 } },
		{ ENXIO, { .vm_fd = vm, .other_fd = other, .nr = 1,
			   .other_gfn = 1ULL << 52 } },
	};

	for (int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct disco_merge m = cases[i].merge;

		errno = 0;
		EXPECT_EQ(-1, try_merge(&self->fs, &m));
		EXPECT_EQ(cases[i].error, errno) {
			TH_LOG("case %d: %s", i, strerror(errno));
		}
	}
	EXPECT_EQ(SIZE / 2, dt_stat(&self->fs, vm).out_private);
	EXPECT_EQ(SIZE / 2, dt_stat(&self->fs, other).out_private);
	close(memfd);
	dt_close(foreign);
	EXPECT_TRUE(dt_fs_close(&elsewhere));
}

static int flags(int fd)
{
	int value = -1;

	return ioctl(fd, FS_IOC_GETFLAGS, &value) ? -1 : value;
}

/* chattr +C: a VM whose pages nobody merges, whoever asks. */
TEST_F(merge, vm_that_takes_no_part)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	int clone = dt_create(&self->fs, "clone", SIZE);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);
	struct disco_merge there = { .vm_fd = vm, .other_fd = other, .nr = 1 };
	struct disco_merge back = { .vm_fd = other, .other_fd = vm, .nr = 1 };
	struct disco_merge self_same = { .vm_fd = vm, .other_fd = vm, .nr = 1 };
	pid_t pid;

	dt_fill_run(at, 1, 0, PAGES);
	dt_fill_run(at_other, 1, 0, PAGES);
	EXPECT_EQ(0, flags(vm));
	EXPECT_EQ(1, merge(&self->fs, vm, 9, other, 9, 1).out_merged);
	ASSERT_OK(set_flags(vm, FS_NOCOW_FL));
	EXPECT_EQ(FS_NOCOW_FL, flags(vm));
	EXPECT_EQ(0, flags(other));
	EXPECT_ERRNO(EACCES, try_merge(&self->fs, &there));
	EXPECT_ERRNO(EACCES, try_merge(&self->fs, &back));
	EXPECT_ERRNO(EACCES, try_merge(&self->fs, &self_same));
	/* What was merged stays; clones are not asked. */
	EXPECT_EQ(pfn(&self->fs, vm, 9), pfn(&self->fs, other, 9));
	ASSERT_OK(dt_clone(clone, vm));
	EXPECT_EQ(0, flags(clone));

	/* Other flags are not for these files, and only the owner sets them. */
	EXPECT_ERRNO(EOPNOTSUPP, set_flags(vm, FS_NOCOW_FL | FS_NOATIME_FL));
	EXPECT_ERRNO(EOPNOTSUPP, set_flags(vm, FS_IMMUTABLE_FL));
	pid = dt_fork();
	if (!pid) {
		if (setresuid(65534, 65534, 65534))
			_exit(2);
		errno = 0;
		_exit(set_flags(vm, 0) != -1 || errno != EPERM);
	}
	EXPECT_EQ(0, dt_wait(pid));
	EXPECT_EQ(FS_NOCOW_FL, flags(vm));

	ASSERT_OK(set_flags(vm, 0));
	EXPECT_EQ(0, flags(vm));
	EXPECT_EQ(1, merge(&self->fs, other, 0, vm, 0, 1).out_merged);
}

DISCO_FIXTURE(merge_limit, "size=64k");

/* A mount that is full can be made less so; what is written needs room again. */
TEST_F(merge_limit, full_mount)
{
	long room = 64 << 10;
	int nr = room / dt_page / 2;
	int vm = dt_create(&self->fs, "vm", room);
	int other = dt_create(&self->fs, "other", room);
	char *at = dt_map(vm, room), *at_other = dt_map(other, room);
	struct disco_merge m;

	for (int i = 0; i < nr; i++) {
		dt_fill(at + i * dt_page, 1, i);
		dt_fill(at_other + i * dt_page, 1, i);
	}
	EXPECT_ERRNO(ENOSPC, pwrite(vm, "x", 1, nr * dt_page));
	m = merge(&self->fs, vm, 0, other, 0, nr);
	EXPECT_EQ(nr, m.out_freed);
	for (int i = 0; i < nr; i++)
		EXPECT_EQ(1, pwrite(vm, "x", 1, (nr + i) * dt_page));
	EXPECT_ERRNO(ENOSPC, pwrite(other, "x", 1, 0));
	EXPECT_TRUE(dt_is_filled(at_other, 1, 0));
}

/*
 * Guests run while they are merged. What they write is one of few things, so
 * that there is always something to merge: zeros, or one of two patterns. Each
 * thread has pages of its own, knows what is in them, and looks.
 */
struct runner {
	struct dt_fs *fs;
	int vm;
	char *at;
	unsigned int first;	/* of its pages */
	unsigned int nr;
	int file;		/* reads them from there, around the cache */
	bool *stop;
	unsigned int bad;
	pthread_t thread;
};

#define KINDS 3			/* of contents; 0 is zeros */

static void make_contents(void *page, unsigned int kind)
{
	if (kind)
		dt_fill(page, kind, 0);
	else
		memset(page, 0, dt_page);
}

static bool has_contents(const void *page, unsigned int kind)
{
	return kind ? dt_is_filled(page, kind, 0) : dt_is_zero(page, dt_page);
}

static void *run(void *data)
{
	struct runner *r = data;
	uint64_t state = r->first + 1 + r->vm * 1000;
	unsigned int kind[r->nr];

	memset(kind, 0, sizeof(kind));
	while (!__atomic_load_n(r->stop, __ATOMIC_RELAXED)) {
		unsigned int i = dt_random(&state) % r->nr;
		char *page = r->at + (r->first + i) * dt_page;
		unsigned int to = dt_random(&state) % KINDS;

		if (!has_contents(page, kind[i]))
			r->bad++;
		if (r->file >= 0) {
			/* A DMA, as far as the module can tell. */
			if (pread(r->file, page, dt_page, to * dt_page) !=
			    dt_page)
				dt_die("read around the cache");
		} else if (to || dt_random(&state) % 2) {
			make_contents(page, to);
		} else if (dt_punch(r->vm, (r->first + i) * dt_page, dt_page)) {
			dt_die("punch");
		}
		kind[i] = to;
		if (!has_contents(page, to))
			r->bad++;
	}
	for (unsigned int i = 0; i < r->nr; i++)
		r->bad += !has_contents(r->at + (r->first + i) * dt_page,
					kind[i]);
	return NULL;
}

/* All kinds, one after the other, in a file that can be read directly. */
static int direct_file(const char *path)
{
	char *page = aligned_alloc(dt_page, dt_page);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		dt_die("create %s", path);
	for (int i = 0; i < KINDS; i++) {
		make_contents(page, i);
		if (write(fd, page, dt_page) != dt_page)
			dt_die("write %s", path);
	}
	free(page);
	close(fd);
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		dt_die("open %s with O_DIRECT", path);
	unlink(path);
	return fd;
}

TEST_F(merge, while_both_run)
{
	enum { EACH = 128, THREADS = 4 };
	const unsigned int nr = 2 * EACH;
	int fds[2], file;
	struct runner runners[THREADS];
	unsigned int merged = 0, zeros = 0, pinned = 0, rounds = 0;
	uint64_t state = 1;
	bool stop = false;
	char path[64];
	char *at[2];

	snprintf(path, sizeof(path), "/var/tmp/disco-test-merge.%d", getpid());
	file = direct_file(path);
	for (int i = 0; i < 2; i++) {
		fds[i] = dt_create(&self->fs, i ? "b" : "a", nr * dt_page);
		at[i] = dt_map(fds[i], nr * dt_page);
	}
	for (int i = 0; i < THREADS; i++) {
		runners[i] = (struct runner){
			.fs = &self->fs, .vm = fds[i / 2], .at = at[i / 2],
			.first = i % 2 * EACH, .nr = EACH, .stop = &stop,
			.file = i == 1 ? file : -1,
		};
		ASSERT_OK(pthread_create(&runners[i].thread, NULL, run,
					 &runners[i]));
	}
	/* A while, and longer if the writers were faster until then. */
	for (double end = dt_now() + 2; dt_now() < end ||
	     ((!merged || !zeros) && dt_now() < end + 60);) {
		int a = dt_random(&state) % 2, b = dt_random(&state) % 2;
		struct disco_merge m = merge(&self->fs, fds[a],
					     dt_random(&state) % nr, fds[b],
					     dt_random(&state) % nr, nr);

		merged += m.out_merged;
		zeros += m.out_zeros;
		pinned += m.out_pinned;
		rounds++;
		if (!(dt_random(&state) % 64))
			EXPECT_TRUE(dt_check(self->fs.control, fds[0]));
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(runners[i].thread, NULL);
		EXPECT_EQ(0, runners[i].bad) {
			TH_LOG("thread %d", i);
		}
	}
	EXPECT_LT(0, merged);
	EXPECT_LT(0, zeros);
	TH_LOG("%u rounds: %u pairs merged, %u of zeros, %u pinned", rounds,
	       merged, zeros, pinned);
	close(file);
}

struct merger {
	struct dt_fs *fs;
	int from, to;
	bool *stop;
	pthread_t thread;
};

static void *merge_for_ever(void *data)
{
	struct merger *m = data;

	while (!__atomic_load_n(m->stop, __ATOMIC_RELAXED))
		merge(m->fs, m->from, 0, m->to, 0, PAGES);
	return NULL;
}

/*
 * In all directions, with clones between: whoever locks in another order hangs.
 * Of the pages that are always being merged again other VMs are users all the
 * time, so the consistency check meets them on their way.
 */
TEST_F(merge, against_each_other)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	int keep[12];
	struct merger mergers[] = {
		{ &self->fs, vm, other }, { &self->fs, other, vm },
		{ &self->fs, vm, vm }, { &self->fs, vm },
	};
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE), name[16];
	bool stop = false, ok = true;

	dt_fill_run(at, 1, 0, PAGES);
	dt_fill_run(at_other, 1, 0, PAGES);
	for (int i = 0; i < ARRAY_SIZE(keep); i++) {
		snprintf(name, sizeof(name), "keep%d", i);
		keep[i] = dt_create(&self->fs, name, SIZE);
		ASSERT_OK(dt_clone(keep[i], vm));
	}
	mergers[3].to = keep[0];
	for (int i = 0; i < ARRAY_SIZE(mergers); i++) {
		mergers[i].stop = &stop;
		ASSERT_OK(pthread_create(&mergers[i].thread, NULL,
					 merge_for_ever, &mergers[i]));
	}
	for (double end = dt_now() + 1; ok && dt_now() < end;) {
		dt_fill_run(at, 1, 0, PAGES);
		ok = dt_check(self->fs.control, vm) && !dt_clone(other, vm);
	}
	EXPECT_TRUE(ok);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < ARRAY_SIZE(mergers); i++)
		pthread_join(mergers[i].thread, NULL);
	EXPECT_TRUE(dt_run_is_filled(at, 1, 0, PAGES));
	EXPECT_TRUE(dt_run_is_filled(at_other, 1, 0, PAGES));
	EXPECT_TRUE(dt_run_is_filled(dt_map(keep[1], SIZE), 1, 0, PAGES));
}

TEST_HARNESS_MAIN
