// SPDX-License-Identifier: GPL-2.0-only
/* A VM's memory as a file: read, write, dump and restore. */
#define _GNU_SOURCE
#include "fixture.h"

#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#define PAGES 32
#define SIZE (PAGES * dt_page)

DISCO_FIXTURE(io, NULL);

static void * const volatile nowhere;

/* Pages 0, 3, 6, ... are filled, the rest are holes. */
static void fill_some(char *at, uint64_t seed)
{
	for (int i = 0; i < PAGES; i += 3)
		dt_fill(at + i * dt_page, seed, i);
}

static bool same_as_filled(const char *at, uint64_t seed)
{
	for (int i = 0; i < PAGES; i++) {
		const char *page = at + i * dt_page;

		if (i % 3 ? !dt_is_zero(page, dt_page) :
			    !dt_is_filled(page, seed, i))
			return false;
	}
	return true;
}

TEST_F(io, read)
{
	int vm = dt_create(&self->fs, "vm", SIZE - 10);
	char *at = dt_map(vm, SIZE);
	char *buffer = malloc(2 * SIZE);
	const size_t sizes[] = { 1, 7, dt_page - 1, dt_page, dt_page + 1,
				 3 * dt_page + 5, SIZE };

	fill_some(at, 1);
	ASSERT_OK(ftruncate(vm, SIZE - 10));
	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t offset = 0;
		ssize_t got;

		ASSERT_EQ(0, lseek(vm, 0, SEEK_SET));
		memset(buffer, 0xee, SIZE);
		while ((got = read(vm, buffer + offset, sizes[i])) > 0)
			offset += got;
		EXPECT_EQ(0, got);
		EXPECT_EQ(SIZE - 10, offset);
		EXPECT_EQ(0, memcmp(buffer, at, SIZE - 10));
	}
	EXPECT_EQ(3, pread(vm, buffer, 100, SIZE - 13));
	EXPECT_EQ(0, pread(vm, buffer, 100, SIZE - 10));
	EXPECT_EQ(0, pread(vm, buffer, 100, SIZE * 2));
	EXPECT_ERRNO(EINVAL, pread(vm, buffer, 100, -1));
	EXPECT_ERRNO(EFAULT, pread(vm, nowhere, 100, 0));
	EXPECT_ERRNO(EFAULT, pread(vm, nowhere, 100, dt_page));
	/* Reading made no page. */
	EXPECT_EQ((PAGES + 2) / 3 * dt_page,
		  dt_stat(&self->fs, vm).out_private);
	free(buffer);
}

TEST_F(io, write)
{
	int vm = dt_create(&self->fs, "vm", 0);
	char *at = dt_map(vm, SIZE);
	char *buffer = malloc(SIZE), *model = calloc(1, SIZE);
	const struct {
		size_t at, size;
	} pieces[] = {
		{ 0, 10 }, { 5, 3 }, { dt_page - 1, 2 }, { 3 * dt_page, dt_page },
		{ 7 * dt_page + 9, 3 * dt_page }, { SIZE - 5, 5 },
		{ 0, 4 * dt_page }, { 100, 0 },
	};
	size_t end = 0;

	for (int i = 0; i < ARRAY_SIZE(pieces); i++) {
		memset(buffer, i + 1, pieces[i].size);
		memset(model + pieces[i].at, i + 1, pieces[i].size);
		ASSERT_EQ(pieces[i].size, pwrite(vm, buffer, pieces[i].size,
						 pieces[i].at));
		if (pieces[i].size && pieces[i].at + pieces[i].size > end)
			end = pieces[i].at + pieces[i].size;
		EXPECT_EQ(end, lseek(vm, 0, SEEK_END));
		EXPECT_EQ(0, memcmp(at, model, end));
	}
	EXPECT_ERRNO(EFAULT, pwrite(vm, nowhere, 100, 0));
	EXPECT_ERRNO(EINVAL, pwrite(vm, buffer, 100, -1));
	EXPECT_ERRNO(EBADF, pwrite(dt_open(&self->fs, "vm", O_RDONLY), buffer,
				   1, 0));
	EXPECT_EQ(0, memcmp(at, model, SIZE));

	ASSERT_EQ(1, write(dt_open(&self->fs, "vm", O_WRONLY | O_APPEND), "x",
			   1));
	EXPECT_EQ(SIZE + 1, lseek(vm, 0, SEEK_END));
	free(buffer);
	free(model);
}

/* A buffer that ends too early: what was there is written, no more. */
TEST_F(io, write_from_a_bad_buffer)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);
	char *buffer = mmap(NULL, 3 * dt_page, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ssize_t got;

	ASSERT_NE(MAP_FAILED, buffer);
	memset(buffer, 5, 3 * dt_page);
	fill_some(at, 1);
	ASSERT_OK(mprotect(buffer + 2 * dt_page, dt_page, PROT_NONE));
	got = pwrite(vm, buffer, 3 * dt_page, 0);
	EXPECT_LE(0, got);
	EXPECT_GE(2 * dt_page, got);
	for (int i = 0; i < got; i++)
		ASSERT_EQ(5, at[i]);
	EXPECT_TRUE(dt_is_filled(at + 3 * dt_page, 1, 3));
	munmap(buffer, 3 * dt_page);
}

/* The buffer is the file itself: its faults come in the middle of the copy. */
TEST_F(io, buffer_is_the_vm_itself)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);

	fill_some(at, 1);
	/* From a filled page into a hole, from a hole into a filled page. */
	EXPECT_EQ(dt_page, pwrite(vm, at + 3 * dt_page, dt_page, dt_page));
	EXPECT_TRUE(dt_is_filled(at + dt_page, 1, 3));
	EXPECT_EQ(dt_page, pwrite(vm, at + 4 * dt_page, dt_page, 3 * dt_page));
	EXPECT_TRUE(dt_is_zero(at + 3 * dt_page, dt_page));
	/* The page itself, as a hole and filled. */
	EXPECT_EQ(dt_page, pwrite(vm, at + 5 * dt_page, dt_page, 5 * dt_page));
	EXPECT_TRUE(dt_is_zero(at + 5 * dt_page, dt_page));
	EXPECT_EQ(dt_page, pwrite(vm, at + 6 * dt_page, dt_page, 6 * dt_page));
	EXPECT_TRUE(dt_is_filled(at + 6 * dt_page, 1, 6));
	EXPECT_EQ(dt_page, pread(vm, at + 7 * dt_page, dt_page, 6 * dt_page));
	EXPECT_TRUE(dt_is_filled(at + 7 * dt_page, 1, 6));
	EXPECT_EQ(dt_page, pread(vm, at + 8 * dt_page, dt_page, 8 * dt_page));
	EXPECT_EQ(dt_page, pread(vm, at + 9 * dt_page, dt_page, 10 * dt_page));
	EXPECT_TRUE(dt_is_zero(at + 8 * dt_page, 2 * dt_page));
}

TEST_F(io, vectors)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);
	char *buffer = calloc(3, dt_page);
	struct iovec pieces[3] = {
		{ buffer, dt_page / 2 },
		{ buffer + 2 * dt_page, dt_page },
		{ buffer + dt_page, dt_page / 2 },
	};

	fill_some(at, 1);
	EXPECT_EQ(2 * dt_page, preadv(vm, pieces, 3, 3 * dt_page));
	EXPECT_EQ(0, memcmp(buffer, at + 3 * dt_page, dt_page / 2));
	EXPECT_EQ(0, memcmp(buffer + 2 * dt_page,
			    at + 3 * dt_page + dt_page / 2, dt_page / 2));
	EXPECT_TRUE(dt_is_zero(buffer + 2 * dt_page + dt_page / 2,
			       dt_page / 2));
	EXPECT_EQ(2 * dt_page, pwritev(vm, pieces, 3, 10 * dt_page + 1));
	EXPECT_EQ(0, memcmp(buffer, at + 10 * dt_page + 1, dt_page / 2));
	free(buffer);
}

/* Another VM's memory as source or target, as vhost or a migration does. */
TEST_F(io, between_two_vms)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);

	fill_some(at, 1);
	EXPECT_EQ(SIZE, pwrite(other, at, SIZE, 0));
	EXPECT_TRUE(same_as_filled(at_other, 1));
	ASSERT_OK(ftruncate(other, 0));
	ASSERT_OK(ftruncate(other, SIZE));
	EXPECT_EQ(SIZE, pread(vm, at_other, SIZE, 0));
	EXPECT_TRUE(same_as_filled(at_other, 1));
}

TEST_F(io, o_direct)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int direct = dt_open(&self->fs, "vm", O_RDWR | O_DIRECT);
	char *at = dt_map(vm, SIZE);
	char *buffer = aligned_alloc(dt_page, SIZE);

	fill_some(at, 1);
	EXPECT_EQ(SIZE, pread(direct, buffer, SIZE, 0));
	EXPECT_TRUE(same_as_filled(buffer, 1));
	fill_some(buffer, 2);
	EXPECT_EQ(SIZE, pwrite(direct, buffer, SIZE, 0));
	EXPECT_TRUE(same_as_filled(at, 2));
	EXPECT_EQ(SIZE, pread(direct, at, SIZE, 0));
	EXPECT_TRUE(same_as_filled(at, 2));
	free(buffer);
}

TEST_F(io, splice_and_sendfile)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", 0);
	char *at = dt_map(vm, SIZE);
	loff_t from = 0, to = 0;
	int pipe_fds[2];

	fill_some(at, 1);
	ASSERT_OK(pipe(pipe_fds));
	while (from < SIZE) {
		ssize_t got = splice(vm, &from, pipe_fds[1], NULL, SIZE, 0);

		ASSERT_LT(0, got);
		while (got > 0) {
			ssize_t put = splice(pipe_fds[0], NULL, other, &to, got,
					     0);

			ASSERT_LT(0, put);
			got -= put;
		}
	}
	EXPECT_EQ(SIZE, to);
	EXPECT_TRUE(same_as_filled(dt_map(other, SIZE), 1));

	ASSERT_OK(ftruncate(other, 0));
	ASSERT_EQ(0, lseek(other, 0, SEEK_SET));
	from = 0;
	while (from < SIZE)
		ASSERT_LT(0, sendfile(other, vm, &from, SIZE));
	EXPECT_TRUE(same_as_filled(dt_map(other, SIZE), 1));
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* What splice took stays as it was, whatever the VM does next. */
TEST_F(io, spliced_data_does_not_change)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);
	char *buffer = malloc(dt_page);
	int pipe_fds[2];

	dt_fill(at, 1, 0);
	ASSERT_OK(pipe(pipe_fds));
	ASSERT_EQ(dt_page, splice(vm, &(loff_t){ 0 }, pipe_fds[1], NULL,
				  dt_page, 0));
	ASSERT_OK(dt_punch(vm, 0, dt_page));
	EXPECT_TRUE(dt_is_zero(at, dt_page));
	ASSERT_EQ(dt_page, read(pipe_fds[0], buffer, dt_page));
	EXPECT_TRUE(dt_is_filled(buffer, 1, 0));
	free(buffer);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

TEST_F(io, copy_file_range)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", 0);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);
	loff_t from = 0, to = 0;

	fill_some(at, 1);
	while (from < SIZE)
		ASSERT_LT(0, copy_file_range(vm, &from, other, &to,
					     SIZE - from, 0));
	EXPECT_TRUE(same_as_filled(at_other, 1));
	dt_fill(at_other, 2, 0);
	EXPECT_TRUE(same_as_filled(at, 1));
	from = 10;
	to = dt_page;
	EXPECT_EQ(100, copy_file_range(vm, &from, other, &to, 100, 0));
	EXPECT_EQ(0, memcmp(at + 10, at_other + dt_page, 100));
}

/* As a user does it, with the tools a user has. */
TEST_F(io, dump_and_restore)
{
	static const char * const dumps[] = {
		"cp --sparse=always $vm $dump && cmp $vm $dump",
		"dd if=$vm of=$dump bs=64k iflag=direct status=none",
		"cat $vm > $dump",
	};
	static const char restore[] =
		"dd if=$dump of=$vm.restored bs=32k status=none && "
		"sha256sum < $vm > $dump.sha && "
		"sha256sum --status --check $dump.sha < $vm.restored";
	int vm = dt_create(&self->fs, "vm", SIZE - 100);
	char *at = dt_map(vm, SIZE);
	char name[128];

	fill_some(at, 1);
	ASSERT_OK(ftruncate(vm, SIZE - 100));
	snprintf(name, sizeof(name), "%s/vm", self->fs.ram);
	setenv("vm", name, 1);
	setenv("dump", "/mnt/dump", 1);
	for (int i = 0; i < ARRAY_SIZE(dumps); i++) {
		EXPECT_EQ(0, system(dumps[i])) {
			TH_LOG("%s", dumps[i]);
		}
		EXPECT_EQ(0, system(restore));
		dt_unlink(&self->fs, "vm.restored");
	}
	EXPECT_EQ(1, dt_counter("vms") - self->fs.before.vms);
}

TEST_HARNESS_MAIN
