// SPDX-License-Identifier: GPL-2.0-only
/* Sizes: truncate, punch, seek, footprint, and the limit of a mount. */
#define _GNU_SOURCE
#include "fixture.h"

#include <limits.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/statfs.h>

#define PAGES 16
#define SIZE (PAGES * dt_page)

DISCO_FIXTURE(size, NULL);

/* Bytes [from, to) are zero, everything else is what dt_fill_run() wrote. */
static bool zero_between(const char *at, size_t from, size_t to)
{
	static char expected[PAGES * 65536];

	dt_fill_run(expected, 1, 0, PAGES);
	memset(expected + from, 0, to - from);
	return !memcmp(expected, at, SIZE);
}

TEST_F(size, shrink_and_grow)
{
	const size_t sizes[] = {
		0, 1, dt_page - 1, dt_page, dt_page + 1, SIZE / 2,
		SIZE / 2 + 7, SIZE - 1, SIZE,
	};
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);
	struct stat stat_buf;

	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		dt_fill_run(at, 1, 0, PAGES);
		ASSERT_OK(ftruncate(vm, sizes[i]));
		ASSERT_OK(fstat(vm, &stat_buf));
		EXPECT_EQ(sizes[i], stat_buf.st_size);
		EXPECT_EQ((sizes[i] + dt_page - 1) / dt_page * dt_page,
			  dt_stat(&self->fs, vm).out_private);
		/* The end of the last page is zero at once. */
		if (sizes[i] % dt_page)
			EXPECT_TRUE(dt_is_zero(at + sizes[i],
					       dt_page - sizes[i] % dt_page));
		ASSERT_OK(ftruncate(vm, SIZE));
		EXPECT_TRUE(zero_between(at, sizes[i], SIZE));
	}
}

/* What a store left behind the end in the last page is not there later. */
TEST_F(size, grow_after_a_store_past_the_end)
{
	int vm = dt_create(&self->fs, "vm", 100);
	char *at = dt_map(vm, SIZE);
	char byte = 1;

	memset(at, 7, dt_page);
	ASSERT_OK(ftruncate(vm, 2 * dt_page));
	EXPECT_EQ(7, at[99]);
	EXPECT_TRUE(dt_is_zero(at + 100, 2 * dt_page - 100));

	ASSERT_OK(ftruncate(vm, 100));
	memset(at, 7, dt_page);
	ASSERT_EQ(1, pwrite(vm, &byte, 1, dt_page));
	EXPECT_TRUE(dt_is_zero(at + 100, dt_page - 100));
}

/* The tail of a shared page is cleared for the VM that shrinks, not for others. */
TEST_F(size, shrink_into_a_shared_page)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);

	dt_fill_run(at, 1, 0, PAGES);
	ASSERT_OK(dt_clone(other, vm));
	ASSERT_OK(ftruncate(vm, dt_page + 100));
	ASSERT_OK(ftruncate(vm, SIZE));
	EXPECT_TRUE(zero_between(at, dt_page + 100, SIZE));
	EXPECT_TRUE(zero_between(at_other, 0, 0));
	ASSERT_OK(dt_punch(other, 5, 10));
	EXPECT_TRUE(zero_between(at_other, 5, 15));
	EXPECT_TRUE(zero_between(at, dt_page + 100, SIZE));
}

TEST_F(size, largest_file)
{
	int vm = dt_create(&self->fs, "vm", 0);
	const off_t largest = (off_t)dt_page << 32;
	struct stat stat_buf;
	char *at;

	EXPECT_ERRNO(EFBIG, ftruncate(vm, largest + 1));
	EXPECT_ERRNO(EINVAL, ftruncate(vm, -1));
	ASSERT_OK(ftruncate(vm, largest));
	at = mmap(NULL, dt_page, PROT_READ | PROT_WRITE, MAP_SHARED, vm,
		  largest - dt_page);
	ASSERT_NE(MAP_FAILED, at);
	dt_fill(at, 1, 9);
	EXPECT_EQ(DISCO_PAGE_PRIVATE,
		  dt_pmap(&self->fs, vm, (1ULL << 32) - 1).state);
	EXPECT_EQ(largest - dt_page, lseek(vm, 0, SEEK_DATA));
	munmap(at, dt_page);
	EXPECT_ERRNO(EFBIG, pwrite(vm, "x", 1, largest));
	ASSERT_OK(fstat(vm, &stat_buf));
	EXPECT_EQ(largest, stat_buf.st_size);
	ASSERT_OK(ftruncate(vm, 0));
	EXPECT_EQ(self->fs.before.machine_pages, dt_counter("machine_pages"));
}

TEST_F(size, punch)
{
	const struct {
		size_t from, length;
	} holes[] = {
		{ 0, SIZE }, { 0, dt_page }, { dt_page, 2 * dt_page },
		{ SIZE - dt_page, dt_page }, { 10, 20 }, { 10, dt_page },
		{ dt_page - 1, 2 }, { dt_page - 1, dt_page + 2 },
		{ 1, SIZE - 2 }, { 0, 1 }, { SIZE - 1, 1 },
		{ 3 * dt_page + 5, 4 * dt_page },
	};
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE), *view = dt_map(vm, SIZE);
	struct stat stat_buf;

	for (int i = 0; i < ARRAY_SIZE(holes); i++) {
		size_t from = holes[i].from, to = from + holes[i].length;
		size_t first = (from + dt_page - 1) / dt_page;
		size_t last = to / dt_page;

		dt_fill_run(at, 1, 0, PAGES);
		ASSERT_OK(dt_punch(vm, from, to - from));
		EXPECT_TRUE(zero_between(at, from, to));
		EXPECT_TRUE(zero_between(view, from, to));
		EXPECT_EQ(PAGES - (last > first ? last - first : 0),
			  dt_stat(&self->fs, vm).out_private / dt_page);
	}
	/* Past the end there is nothing to punch. */
	dt_fill_run(at, 1, 0, PAGES);
	EXPECT_EQ(0, dt_punch(vm, SIZE, dt_page));
	EXPECT_EQ(0, dt_punch(vm, SIZE - dt_page, 1LL << 40));
	EXPECT_TRUE(zero_between(at, SIZE - dt_page, SIZE));
	ASSERT_OK(fstat(vm, &stat_buf));
	EXPECT_EQ(SIZE, stat_buf.st_size);
}

TEST_F(size, punch_holes_has_no_effect)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);

	ASSERT_OK(dt_punch(vm, 0, SIZE));
	ASSERT_OK(dt_punch(vm, 7, dt_page));
	EXPECT_EQ(0, dt_stat(&self->fs, vm).out_private);
	EXPECT_TRUE(dt_is_zero(at, SIZE));
	ASSERT_OK(dt_punch(vm, 7, dt_page));
	EXPECT_EQ(0, dt_stat(&self->fs, vm).out_private);
}

TEST_F(size, other_modes_of_fallocate)
{
	const int modes[] = {
		0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE,
		FALLOC_FL_UNSHARE_RANGE, FALLOC_FL_PUNCH_HOLE,
	};
	int vm = dt_create(&self->fs, "vm", SIZE);
	int reader = dt_open(&self->fs, "vm", O_RDONLY);
	char *at = dt_map(vm, SIZE);

	dt_fill_run(at, 1, 0, PAGES);
	for (int i = 0; i < ARRAY_SIZE(modes); i++)
		EXPECT_ERRNO(EOPNOTSUPP, fallocate(vm, modes[i], 0, dt_page));
	EXPECT_ERRNO(EINVAL, dt_punch(vm, 0, 0));
	EXPECT_ERRNO(EINVAL, dt_punch(vm, -1, 1));
	EXPECT_ERRNO(EFBIG, dt_punch(vm, LLONG_MAX, LLONG_MAX));
	EXPECT_ERRNO(EBADF, dt_punch(reader, 0, dt_page));
	EXPECT_TRUE(zero_between(at, 0, 0));
}

TEST_F(size, seek)
{
	int vm = dt_create(&self->fs, "vm", SIZE + 100);
	char *at = dt_map(vm, SIZE);

	dt_fill(at + 3 * dt_page, 1, 3);
	dt_fill(at + 4 * dt_page, 1, 4);
	dt_fill(at + 9 * dt_page, 1, 9);
	/* A page that was only read is a hole still. */
	EXPECT_EQ(0, dt_touch(at + 6 * dt_page, false));

	EXPECT_EQ(3 * dt_page, lseek(vm, 0, SEEK_DATA));
	EXPECT_EQ(3 * dt_page + 7, lseek(vm, 3 * dt_page + 7, SEEK_DATA));
	EXPECT_EQ(9 * dt_page, lseek(vm, 5 * dt_page, SEEK_DATA));
	EXPECT_ERRNO(ENXIO, lseek(vm, 10 * dt_page, SEEK_DATA));
	EXPECT_ERRNO(ENXIO, lseek(vm, SIZE + 100, SEEK_DATA));
	EXPECT_EQ(0, lseek(vm, 0, SEEK_HOLE));
	EXPECT_EQ(7, lseek(vm, 7, SEEK_HOLE));
	EXPECT_EQ(5 * dt_page, lseek(vm, 3 * dt_page, SEEK_HOLE));
	EXPECT_EQ(10 * dt_page, lseek(vm, 9 * dt_page + 1, SEEK_HOLE));
	EXPECT_ERRNO(ENXIO, lseek(vm, SIZE + 100, SEEK_HOLE));
	EXPECT_ERRNO(ENXIO, lseek(vm, -1, SEEK_DATA));
	EXPECT_EQ(SIZE + 100, lseek(vm, 0, SEEK_END));
	EXPECT_ERRNO(EINVAL, lseek(vm, -1, SEEK_SET));

	/* Data up to the end: the hole begins at the end. */
	ASSERT_OK(ftruncate(vm, 10 * dt_page));
	EXPECT_EQ(10 * dt_page, lseek(vm, 9 * dt_page, SEEK_HOLE));
	ASSERT_OK(ftruncate(vm, 9 * dt_page + 5));
	EXPECT_EQ(9 * dt_page + 5, lseek(vm, 9 * dt_page, SEEK_HOLE));
}

TEST_F(size, footprint)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE);
	struct stat stat_buf;

	dt_fill_run(at, 1, 0, 5);
	dt_touch(at + 8 * dt_page, false);
	ASSERT_OK(fstat(vm, &stat_buf));
	EXPECT_EQ(5 * dt_page / 512, stat_buf.st_blocks);
	EXPECT_EQ(dt_page, stat_buf.st_blksize);
	ASSERT_OK(dt_clone(other, vm));
	ASSERT_OK(fstat(other, &stat_buf));
	EXPECT_EQ(5 * dt_page / 512, stat_buf.st_blocks);
	ASSERT_OK(dt_punch(vm, 0, 2 * dt_page));
	ASSERT_OK(fstat(vm, &stat_buf));
	EXPECT_EQ(3 * dt_page / 512, stat_buf.st_blocks);
}

DISCO_FIXTURE(limit, "size=64k");

#define LIMIT (65536 / dt_page)

static uint64_t free_pages(const struct dt_fs *fs)
{
	struct statfs buf;

	if (statfs(fs->ram, &buf))
		dt_die("statfs %s", fs->ram);
	return buf.f_bfree;
}

TEST_F(limit, statfs)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);
	struct dt_fs unlimited;
	struct statfs buf;

	dt_fill(at, 1, 0);
	dt_touch(at + dt_page, false);
	ASSERT_OK(statfs(self->fs.ram, &buf));
	EXPECT_EQ(dt_page, buf.f_bsize);
	EXPECT_EQ(LIMIT, buf.f_blocks);
	EXPECT_EQ(LIMIT - 1, buf.f_bfree);
	EXPECT_EQ(LIMIT - 1, buf.f_bavail);

	dt_fs_open(&unlimited, "unlimited", NULL);
	ASSERT_OK(statfs(unlimited.ram, &buf));
	EXPECT_LE(sysconf(_SC_PHYS_PAGES), buf.f_blocks);
	EXPECT_EQ(buf.f_blocks, buf.f_bfree);
	EXPECT_TRUE(dt_fs_close(&unlimited));
}

TEST_F(limit, write_past_it_is_enospc)
{
	int vm = dt_create(&self->fs, "vm", 0);
	char *buffer = malloc(dt_page);
	long refused = dt_counter("refused_limit");

	for (int i = 0; i < LIMIT; i++) {
		dt_fill(buffer, 1, i);
		ASSERT_EQ(dt_page, pwrite(vm, buffer, dt_page, i * dt_page));
	}
	EXPECT_EQ(0, free_pages(&self->fs));
	EXPECT_ERRNO(ENOSPC, pwrite(vm, buffer, dt_page, LIMIT * dt_page));
	EXPECT_LT(refused, dt_counter("refused_limit"));
	EXPECT_EQ(LIMIT * dt_page, lseek(vm, 0, SEEK_END));
	/* What is there can be written, and what is given back used again. */
	EXPECT_EQ(dt_page, pwrite(vm, buffer, dt_page, 0));
	ASSERT_OK(dt_punch(vm, dt_page, dt_page));
	EXPECT_EQ(1, free_pages(&self->fs));
	EXPECT_EQ(dt_page, pwrite(vm, buffer, dt_page, LIMIT * dt_page));
	free(buffer);
}

/* A write that runs into the limit in its middle is short, not lost. */
TEST_F(limit, short_write)
{
	int vm = dt_create(&self->fs, "vm", 0);
	size_t size = (LIMIT + 4) * dt_page;
	char *buffer = malloc(size);

	memset(buffer, 5, size);
	EXPECT_EQ(LIMIT * dt_page, pwrite(vm, buffer, size, 0));
	EXPECT_EQ(LIMIT * dt_page, lseek(vm, 0, SEEK_END));
	free(buffer);
}

TEST_F(limit, fault_past_it_is_sigbus)
{
	int vm = dt_create(&self->fs, "vm", 2 * SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, 2 * SIZE);
	char *at_other = dt_map(other, SIZE);
	long refused = dt_counter("refused_limit");

	dt_fill_run(at, 1, 0, LIMIT);
	EXPECT_EQ(SIGBUS, dt_touch(at + LIMIT * dt_page, true));
	EXPECT_EQ(SIGBUS, dt_touch(at_other, true));
	EXPECT_LE(refused + 2, dt_counter("refused_limit"));
	/* Reading needs no page. */
	EXPECT_TRUE(dt_is_zero(at + LIMIT * dt_page, dt_page));
	EXPECT_TRUE(dt_run_is_filled(at, 1, 0, LIMIT));
	ASSERT_OK(dt_punch(vm, 0, dt_page));
	EXPECT_EQ(0, dt_touch(at_other, true));
}

/* A clone takes no machine page, breaking it does. */
TEST_F(limit, clone_at_the_limit)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);

	dt_fill_run(at, 1, 0, LIMIT);
	ASSERT_OK(dt_clone(other, vm));
	EXPECT_EQ(0, free_pages(&self->fs));
	EXPECT_EQ(SIGBUS, dt_touch(at_other, true));
	EXPECT_EQ(SIGBUS, dt_touch(at, true));
	for (int i = 0; i < LIMIT; i++) {
		EXPECT_TRUE(dt_is_filled(at + i * dt_page, 1, i));
		EXPECT_TRUE(dt_is_filled(at_other + i * dt_page, 1, i));
	}
	/* The last user takes the page over, without a new one. */
	ASSERT_OK(ftruncate(vm, 0));
	EXPECT_EQ(0, dt_touch(at_other, true));
	EXPECT_TRUE(dt_is_filled(at_other, 1, 0));
}

TEST_F(limit, remount)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);
	struct statfs buf;
	struct stat stat_buf;

	dt_fill_run(at, 1, 0, 4);
	ASSERT_OK(mount("none", self->fs.root, NULL, MS_REMOUNT, "size=128k"));
	ASSERT_OK(statfs(self->fs.ram, &buf));
	EXPECT_EQ(2 * LIMIT, buf.f_blocks);

	/* Less than what is used, and nonsense: refused, nothing changes. */
	EXPECT_ERRNO(EINVAL, mount("none", self->fs.root, NULL, MS_REMOUNT,
				   "size=8k"));
	EXPECT_ERRNO(EINVAL, mount("none", self->fs.root, NULL, MS_REMOUNT,
				   "size=lots"));
	EXPECT_ERRNO(EINVAL, mount("none", self->fs.root, NULL, MS_REMOUNT,
				   "mode=0700"));
	ASSERT_OK(statfs(self->fs.ram, &buf));
	EXPECT_EQ(2 * LIMIT, buf.f_blocks);
	ASSERT_OK(stat(self->fs.ram, &stat_buf));
	EXPECT_EQ(0755, stat_buf.st_mode & 07777);

	/* Exactly what is used: no more can be had, nothing is lost. */
	ASSERT_OK(mount("none", self->fs.root, NULL, MS_REMOUNT, "size=16k"));
	EXPECT_EQ(0, free_pages(&self->fs));
	EXPECT_EQ(SIGBUS, dt_touch(at + 5 * dt_page, true));
	EXPECT_TRUE(dt_run_is_filled(at, 1, 0, 4));
}

TEST_F(limit, percent)
{
	struct dt_fs percent;
	struct statfs buf;
	uint64_t total = sysconf(_SC_PHYS_PAGES);

	dt_fs_open(&percent, "percent", "size=25%");
	ASSERT_OK(statfs(percent.ram, &buf));
	EXPECT_LE(total / 4 - 1, buf.f_blocks);
	EXPECT_GE(total / 4 + 1, buf.f_blocks);
	EXPECT_TRUE(dt_fs_close(&percent));
}

TEST_HARNESS_MAIN
