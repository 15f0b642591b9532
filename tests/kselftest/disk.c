// SPDX-License-Identifier: GPL-2.0-only
/* Copy-on-write disks: what a read brings into a VM's memory is shared. */
#define _GNU_SOURCE
#include "fixture.h"

#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define PAGES 64
#define SIZE (PAGES * dt_page)
#define SEED 77

/* Backing files: on a file system that can be read directly, and in tmpfs. */
#define DIRECT "/var/tmp/disco-test-backing"
#define BUFFERED "/mnt/backing"

FIXTURE(disk) {
	struct dt_fs fs;
	char path[80];
	int backing;
};

FIXTURE_VARIANT(disk) {
	const char *backing;
};

FIXTURE_VARIANT_ADD(disk, direct) { .backing = DIRECT };
FIXTURE_VARIANT_ADD(disk, buffered) { .backing = BUFFERED };

FIXTURE_SETUP(disk)
{
	/* Gives the process its mounts, where one of the backings is. */
	dt_fs_open(&self->fs, "disk", NULL);
	snprintf(self->path, sizeof(self->path), "%s.%d", variant->backing,
		 getpid());
	self->backing = dt_backing(self->path, SEED, SIZE);
	ASSERT_OK(dt_disk_add(&self->fs, "disk", self->backing, 0));
}

FIXTURE_TEARDOWN(disk)
{
	EXPECT_TRUE(dt_fs_close(&self->fs));
	close(self->backing);
	unlink(self->path);
}

/* Two VMs read the same: one machine page each, and no VM has paid for it. */
TEST_F(disk, pages_are_shared)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);
	int disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	struct disco_disk_stat stat;
	long pages = dt_counter("machine_pages");

	ASSERT_EQ(SIZE, pread(disk, at, SIZE, 0));
	EXPECT_EQ(pages + PAGES, dt_counter("machine_pages"));
	ASSERT_EQ(SIZE, pread(disk, at_other, SIZE, 0));
	EXPECT_EQ(pages + PAGES, dt_counter("machine_pages"));
	EXPECT_TRUE(dt_run_is_filled(at, SEED, 0, PAGES));
	EXPECT_TRUE(dt_run_is_filled(at_other, SEED, 0, PAGES));
	for (int i = 0; i < PAGES; i++) {
		struct disco_pmap_entry entry = dt_pmap(&self->fs, vm, i);

		EXPECT_EQ(DISCO_PAGE_SHARED, entry.state);
		EXPECT_EQ(2, entry.users);
		EXPECT_EQ(entry.pfn, dt_pmap(&self->fs, other, i).pfn);
	}
	EXPECT_EQ(0, dt_stat(&self->fs, vm).out_private);
	EXPECT_EQ(SIZE, dt_stat(&self->fs, vm).out_shared);
	stat = dt_disk_stat(&self->fs, disk);
	EXPECT_EQ(DISCO_DISK_OK, stat.out_state);
	EXPECT_EQ(SIZE, stat.out_bytes);
	EXPECT_EQ(SIZE, stat.out_cached);
	EXPECT_EQ(SIZE, stat.out_used);
	EXPECT_EQ(2 * PAGES, stat.out_mapped);
	EXPECT_EQ(0, stat.out_copied);
	EXPECT_EQ(2 * PAGES, stat.out_hits + stat.out_misses);
	close(disk);
}

/* The frame says which VMs have it, with one user or with a list. */
TEST_F(disk, memmap_lists_the_users)
{
	struct disco_memmap_user users[4];
	int disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	uint64_t pfn;
	char name[8];

	for (int i = 1; i <= 4; i++) {
		int vm;

		snprintf(name, sizeof(name), "vm%d", i);
		vm = dt_create(&self->fs, name, SIZE);
		ASSERT_EQ(dt_page, pread(disk, dt_map(vm, SIZE) + i * dt_page,
					 dt_page, 5 * dt_page));
		pfn = dt_pmap(&self->fs, vm, i).pfn;
		ASSERT_EQ(i, dt_memmap(&self->fs, pfn, users, 4));
		EXPECT_EQ(i, dt_pmap(&self->fs, vm, i).users);
	}
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(i + 1, users[i].gfn);
	close(disk);
}

/* A write reaches neither the other VM nor the disk, and can be read over. */
TEST_F(disk, writes_are_private)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);
	int disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	char *page = malloc(dt_page);

	ASSERT_EQ(SIZE, pread(disk, at, SIZE, 0));
	ASSERT_EQ(SIZE, pread(disk, at_other, SIZE, 0));
	dt_fill(at + 3 * dt_page, 1, 3);
	ASSERT_EQ(1, pwrite(vm, "x", 1, 4 * dt_page));
	EXPECT_TRUE(dt_run_is_filled(at_other, SEED, 0, PAGES));
	ASSERT_EQ(dt_page, pread(disk, page, dt_page, 3 * dt_page));
	EXPECT_TRUE(dt_is_filled(page, SEED, 3));
	EXPECT_TRUE(dt_is_filled(at + 3 * dt_page, 1, 3));
	EXPECT_EQ(2 * dt_page, dt_stat(&self->fs, vm).out_private);

	/* The last VM does not take over a page that the cache has, too. */
	ASSERT_OK(dt_punch(other, 0, SIZE));
	at[5 * dt_page] ^= 1;
	ASSERT_EQ(dt_page, pread(disk, page, dt_page, 5 * dt_page));
	EXPECT_TRUE(dt_is_filled(page, SEED, 5));

	ASSERT_EQ(SIZE, pread(disk, at, SIZE, 0));
	EXPECT_TRUE(dt_run_is_filled(at, SEED, 0, PAGES));
	EXPECT_EQ(0, dt_stat(&self->fs, vm).out_private);
	free(page);
	close(disk);
}

/* Whatever was in the slot before, what was read is there after. */
TEST_F(disk, every_state_is_read_over)
{
	int vm = dt_create(&self->fs, "vm", 8 * dt_page);
	int clone = dt_create(&self->fs, "clone", 8 * dt_page);
	char *at = dt_map(vm, 8 * dt_page), *again = dt_map(vm, 8 * dt_page);
	int disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	long pages = dt_counter("machine_pages");

	dt_fill(at + 4 * dt_page, 1, 4);
	dt_fill(at + 5 * dt_page, 1, 5);
	ASSERT_OK(dt_clone(clone, vm));			/* 4, 5: shared */
	EXPECT_EQ(0, dt_touch(at + 4 * dt_page, false));
	for (int i = 0; i < 2; i++) {
		dt_fill(at + i * dt_page, 1, i);	/* 0, 1: private */
		EXPECT_EQ(0, dt_touch(again + i * dt_page, true));
	}
	EXPECT_TRUE(dt_is_zero(at + 2 * dt_page, dt_page));	/* zero */
	EXPECT_TRUE(dt_is_zero(again + 2 * dt_page, dt_page));
	ASSERT_EQ(dt_page, pread(disk, at + 6 * dt_page, dt_page, 0));
	ASSERT_EQ(8 * dt_page, pread(disk, at, 8 * dt_page, 8 * dt_page));
	EXPECT_TRUE(dt_run_is_filled(at, SEED, 8, 8));
	EXPECT_TRUE(dt_run_is_filled(again, SEED, 8, 8));
	EXPECT_EQ(8 * dt_page, dt_stat(&self->fs, vm).out_shared);
	EXPECT_EQ(pages + 8 + 2, dt_counter("machine_pages"));
	EXPECT_EQ(2 * dt_page, dt_stat(&self->fs, clone).out_shared);
	close(disk);
}

/* A zero page alone: there is nothing else that would be unmapped with it. */
TEST_F(disk, no_mapping_keeps_the_zero_page)
{
	int vm = dt_create(&self->fs, "vm", 2 * dt_page);
	char *at = dt_map(vm, 2 * dt_page), *again = dt_map(vm, 2 * dt_page);
	int disk = dt_disk_open(&self->fs, "disk", O_RDONLY);

	EXPECT_TRUE(dt_is_zero(at, dt_page));
	EXPECT_TRUE(dt_is_zero(again, dt_page));
	ASSERT_EQ(dt_page, pread(disk, at, dt_page, 0));
	EXPECT_TRUE(dt_run_is_filled(at, SEED, 0, 1));
	EXPECT_TRUE(dt_run_is_filled(again, SEED, 0, 1));
	close(disk);
}

/* What is not a whole aligned page of a VM is copied, and just as right. */
TEST_F(disk, parts_are_copied)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE), *plain = malloc(SIZE), *all = malloc(SIZE);
	int disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	uint64_t random = 1;

	ASSERT_EQ(SIZE, pread(disk, all, SIZE, 0));
	EXPECT_TRUE(dt_run_is_filled(all, SEED, 0, PAGES));
	for (int i = 0; i < 100; i++) {
		size_t to = dt_random(&random) % SIZE;
		size_t from = dt_random(&random) % SIZE;
		size_t bytes = dt_random(&random) % (5 * dt_page) + 1;
		ssize_t want;

		if (i % 2) {
			to -= to % 512;
			from -= from % 512;
		}
		bytes = bytes < SIZE - to ? bytes : SIZE - to;
		want = bytes < SIZE - from ? bytes : SIZE - from;
		memset(plain, i, SIZE);
		memset(at, i, SIZE);
		ASSERT_EQ(want, pread(disk, at + to, bytes, from));
		memcpy(plain + to, all + from, want);
		ASSERT_EQ(0, memcmp(at, plain, SIZE));
	}
	EXPECT_EQ(0, pread(disk, plain, 10, SIZE));
	EXPECT_EQ(0, pread(disk, plain, 10, 10 * SIZE));
	dt_unmap(at, SIZE);
	EXPECT_ERRNO(EFAULT, pread(disk, at, 10, 0));
	free(plain);
	free(all);
	close(disk);
}

/* As a monitor reads for a guest whose pages lie scattered. */
TEST_F(disk, segments)
{
	int vm = dt_create(&self->fs, "vm", 2 * SIZE);
	char *at = dt_map(vm, 2 * SIZE), *plain = malloc(dt_page);
	int disk = dt_disk_open(&self->fs, "disk", O_RDONLY | O_DIRECT);
	struct iovec vec[PAGES];

	for (int i = 0; i < PAGES; i++) {
		vec[i].iov_base = at + 2 * (PAGES - 1 - i) * dt_page;
		vec[i].iov_len = dt_page;
	}
	vec[7].iov_base = plain;
	ASSERT_EQ(SIZE, preadv(disk, vec, PAGES, 0));
	for (int i = 0; i < PAGES; i++)
		EXPECT_TRUE(dt_is_filled(vec[i].iov_base, SEED, i));
	EXPECT_EQ(PAGES - 1, dt_disk_stat(&self->fs, disk).out_mapped);
	free(plain);
	close(disk);
}

/* A cold asynchronous read is done by a worker, into the reader's memory. */
TEST_F(disk, asynchronous)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);
	int disk = dt_disk_open(&self->fs, "disk", O_RDONLY | O_DIRECT);
	struct iovec vec[2] = {
		{ at, SIZE / 2 }, { at + SIZE / 2, SIZE / 2 },
	};
	struct iocb iocb = {
		.aio_lio_opcode = IOCB_CMD_PREADV, .aio_fildes = disk,
		.aio_buf = (uintptr_t)vec, .aio_nbytes = 2,
	}, *list = &iocb;
	struct io_event event;
	aio_context_t context = 0;

	ASSERT_OK(syscall(SYS_io_setup, 4, &context));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(1, syscall(SYS_io_submit, context, 1, &list));
		/* The kernel has its own copy. */
		if (!i)
			memset(vec, 0, sizeof(vec));
		ASSERT_EQ(1, syscall(SYS_io_getevents, context, 1, 1, &event,
				     NULL));
		EXPECT_EQ(SIZE, event.res);
		EXPECT_TRUE(dt_run_is_filled(at, SEED, 0, PAGES));
		vec[0] = (struct iovec){ at, SIZE };
		iocb.aio_nbytes = 1;
		memset(at, 0, SIZE);
	}
	ASSERT_OK(syscall(SYS_io_destroy, context));
	close(disk);
}

/* Who has a page pinned goes on with it: it is written to, not replaced. */
TEST_F(disk, pinned_page_is_copied)
{
	int vm = dt_create(&self->fs, "vm", 2 * dt_page), pipe_fds[2];
	char *at = dt_map(vm, 2 * dt_page), *copy = malloc(dt_page);
	int disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	struct iovec page = { at, dt_page };
	uint64_t pfn;

	dt_fill(at, 1, 0);
	ASSERT_OK(pipe(pipe_fds));
	ASSERT_EQ(dt_page, vmsplice(pipe_fds[1], &page, 1, 0));
	pfn = dt_pmap(&self->fs, vm, 0).pfn;
	ASSERT_EQ(2 * dt_page, pread(disk, at, 2 * dt_page, 0));
	EXPECT_EQ(pfn, dt_pmap(&self->fs, vm, 0).pfn);
	EXPECT_EQ(DISCO_PAGE_PRIVATE, dt_pmap(&self->fs, vm, 0).state);
	EXPECT_EQ(DISCO_PAGE_SHARED, dt_pmap(&self->fs, vm, 1).state);
	EXPECT_TRUE(dt_run_is_filled(at, SEED, 0, 2));
	ASSERT_EQ(dt_page, read(pipe_fds[0], copy, dt_page));
	EXPECT_TRUE(dt_is_filled(copy, SEED, 0));
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	free(copy);
	close(disk);
}

/* The last page of a disk may be cut: what is behind it is left alone. */
TEST_F(disk, cut_page)
{
	int vm = dt_create(&self->fs, "vm", 2 * dt_page), backing, disk;
	char *at = dt_map(vm, 2 * dt_page), path[100], *want = malloc(dt_page);

	snprintf(path, sizeof(path), "%s.cut", self->path);
	backing = dt_backing(path, SEED, dt_page + 700);
	ASSERT_OK(dt_disk_add(&self->fs, "cut", backing, 0));
	disk = dt_disk_open(&self->fs, "cut", O_RDONLY);
	memset(at, 9, 2 * dt_page);
	EXPECT_EQ(dt_page + 700, lseek(disk, 0, SEEK_END));
	ASSERT_EQ(dt_page + 700, pread(disk, at, 2 * dt_page, 0));
	EXPECT_TRUE(dt_is_filled(at, SEED, 0));
	dt_fill(want, SEED, 1);
	memset(want + 700, 9, dt_page - 700);
	EXPECT_EQ(0, memcmp(at + dt_page, want, dt_page));
	close(disk);
	close(backing);
	unlink(path);
	free(want);
}

/* A clone's page and a page read from the disk are one machine page. */
TEST_F(disk, clone_shares_as_well)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int clone = dt_create(&self->fs, "clone", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE), *at_clone = dt_map(clone, SIZE);
	int disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	long pages = dt_counter("machine_pages");

	ASSERT_EQ(SIZE, pread(disk, at, SIZE, 0));
	ASSERT_OK(dt_clone(clone, vm));
	ASSERT_EQ(SIZE, pread(disk, dt_map(other, SIZE), SIZE, 0));
	EXPECT_EQ(pages + PAGES, dt_counter("machine_pages"));
	EXPECT_EQ(3, dt_pmap(&self->fs, other, 9).users);
	EXPECT_EQ(dt_pmap(&self->fs, clone, 9).pfn,
		  dt_pmap(&self->fs, other, 9).pfn);
	memset(at, 1, SIZE);
	EXPECT_TRUE(dt_run_is_filled(at_clone, SEED, 0, PAGES));
	close(disk);
}

/* One fault maps what is around: about one for 16 pages. */
TEST_F(disk, faults_map_around)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);
	int disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	struct rusage before, after;

	ASSERT_EQ(SIZE, pread(disk, at, SIZE, 0));
	ASSERT_OK(getrusage(RUSAGE_SELF, &before));
	for (int i = 0; i < PAGES; i++)
		((volatile char *)at)[i * dt_page];
	ASSERT_OK(getrusage(RUSAGE_SELF, &after));
	EXPECT_LE(after.ru_minflt - before.ru_minflt, PAGES / 16 + 4);
	EXPECT_TRUE(dt_run_is_filled(at, SEED, 0, PAGES));
	close(disk);
}

/* A disk stays while somebody has it open or a VM has a page of it. */
TEST_F(disk, remove)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);
	int disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	char to[96];

	ASSERT_EQ(dt_page, pread(disk, at, dt_page, 0));
	EXPECT_ERRNO(EBUSY, unlink(dt_disk_path(&self->fs, "disk")));
	close(disk);
	EXPECT_ERRNO(EBUSY, unlink(dt_disk_path(&self->fs, "disk")));
	/* Refused, not half removed. */
	disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	ASSERT_EQ(dt_page, pread(disk, at + dt_page, dt_page, 0));
	close(disk);

	strcpy(to, dt_disk_path(&self->fs, "other"));
	ASSERT_OK(dt_disk_add(&self->fs, "third", self->backing, 0));
	EXPECT_ERRNO(EEXIST, rename(dt_disk_path(&self->fs, "third"),
				    "/mnt/disk/disk/disk"));
	EXPECT_ERRNO(EPERM, rename(dt_disk_path(&self->fs, "third"),
				   "/mnt/disk/ram/disk"));
	ASSERT_OK(rename(dt_disk_path(&self->fs, "disk"), to));
	ASSERT_OK(dt_punch(vm, 0, SIZE));
	ASSERT_OK(unlink(to));
	EXPECT_ERRNO(ENOENT, open(to, O_RDONLY));
	ASSERT_OK(unlink(dt_disk_path(&self->fs, "third")));
}

/* Nobody writes to what a disk reads, and nobody writes to a disk. */
TEST_F(disk, nobody_writes)
{
	char path[100];
	int fd;

	EXPECT_ERRNO(ETXTBSY, open(self->path, O_RDWR));
	EXPECT_ERRNO(ETXTBSY, truncate(self->path, 0));
	EXPECT_ERRNO(EROFS, open(dt_disk_path(&self->fs, "disk"), O_RDWR));
	EXPECT_ERRNO(EROFS, open(dt_disk_path(&self->fs, "disk"), O_WRONLY | O_TRUNC));
	fd = dt_disk_open(&self->fs, "disk", O_RDONLY);
	EXPECT_ERRNO(EPERM, truncate(dt_disk_path(&self->fs, "disk"), 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, dt_page, PROT_READ, MAP_SHARED, fd, 0));
	EXPECT_EQ(ENODEV, errno);
	close(fd);
	ASSERT_OK(unlink(dt_disk_path(&self->fs, "disk")));
	fd = open(self->path, O_RDWR);
	EXPECT_GE(fd, 0);
	EXPECT_ERRNO(ETXTBSY, dt_disk_add(&self->fs, "disk", self->backing, 0));
	close(fd);
	EXPECT_ERRNO(EACCES, open(dt_disk_path(&self->fs, "new"),
				  O_CREAT | O_RDWR, 0600));
	snprintf(path, sizeof(path), "%s/disk/folder", self->fs.root);
	EXPECT_ERRNO(EPERM, mkdir(path, 0755));
}

TEST_F(disk, bad_input)
{
	int root = open(self->fs.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int vm = dt_create(&self->fs, "vm", SIZE), empty, null;
	char name[300], path[100];
	struct disco_disk_add add = {
		.size = sizeof(add), .mount_fd = root,
		.backing_fd = self->backing, .name = (uintptr_t)name,
		.name_len = 4, .mode = 0444,
	};
	struct disco_disk_stat stat = { .size = sizeof(stat), .disk_fd = vm };

#define EXPECT_ADD(error, field, value) do {				\
	typeof(add.field) good = add.field;				\
	add.field = (value);						\
	EXPECT_ERRNO(error, ioctl(self->fs.control, DISCO_DISK_ADD, &add)); \
	add.field = good;						\
} while (0)

	memset(name, 'n', sizeof(name));
	null = open("/dev/null", O_RDONLY);
	snprintf(path, sizeof(path), "%s.empty", self->path);
	empty = dt_backing(path, SEED, 0);
	EXPECT_ADD(EBADF, mount_fd, -1);
	EXPECT_ADD(EMEDIUMTYPE, mount_fd, null);
	EXPECT_ADD(EBADF, backing_fd, -1);
	EXPECT_ADD(EISDIR, backing_fd, root);
	EXPECT_ADD(EINVAL, backing_fd, null);
	EXPECT_ADD(ELOOP, backing_fd, vm);
	EXPECT_ADD(ENODATA, backing_fd, empty);
	EXPECT_ADD(EINVAL, name_len, 0);
	EXPECT_ADD(ENAMETOOLONG, name_len, 256);
	EXPECT_ADD(EFAULT, name, 1);
	EXPECT_ADD(EINVAL, name, (uintptr_t)"a/bc");
	EXPECT_ADD(EINVAL, name, (uintptr_t)"ab\0c");
	EXPECT_ADD(EEXIST, name, (uintptr_t)"disk");
	EXPECT_ADD(EINVAL, mode, 01444);
	strcpy(name, "..");
	EXPECT_ADD(EINVAL, name_len, 2);
	EXPECT_ADD(EINVAL, name_len, 1);
	EXPECT_ERRNO(EMEDIUMTYPE,
		     ioctl(self->fs.control, DISCO_DISK_STAT, &stat));
	stat.disk_fd = -1;
	EXPECT_ERRNO(EBADF, ioctl(self->fs.control, DISCO_DISK_STAT, &stat));

	if (!geteuid() && !dt_fork()) {
		if (setresuid(1, 1, 1))
			dt_die("setresuid");
		memset(name, 'n', 4);
		if (ioctl(self->fs.control, DISCO_DISK_ADD, &add) != -1 ||
		    errno != EACCES)
			dt_die("a user added a disk");
		_exit(0);
	}
	EXPECT_EQ(0, dt_wait(-1));
	close(root);
	close(null);
	close(empty);
	unlink(path);
}

/* Dropped, but for what VMs use, on request and over the limit. */
TEST_F(disk, cache_is_dropped)
{
	int vm = dt_create(&self->fs, "vm", SIZE), disk, backing;
	char *at = dt_map(vm, SIZE), path[100], *buffer;
	size_t big = 2048 * dt_page;

	disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	buffer = malloc(big);
	ASSERT_EQ(SIZE, pread(disk, buffer, SIZE, 0));
	ASSERT_EQ(dt_page, pread(disk, at, dt_page, 5 * dt_page));
	EXPECT_EQ(SIZE, dt_disk_stat(&self->fs, disk).out_cached);
	ASSERT_OK(posix_fadvise(disk, 0, 0, POSIX_FADV_DONTNEED));
	EXPECT_EQ(dt_page, dt_disk_stat(&self->fs, disk).out_cached);
	EXPECT_EQ(dt_page, dt_disk_stat(&self->fs, disk).out_used);
	EXPECT_TRUE(dt_is_filled(at, SEED, 5));
	ASSERT_EQ(SIZE, pread(disk, at, SIZE, 0));
	EXPECT_TRUE(dt_run_is_filled(at, SEED, 0, PAGES));
	close(disk);

	snprintf(path, sizeof(path), "%s.big", self->path);
	backing = dt_backing(path, SEED, big);
	ASSERT_OK(dt_disk_add(&self->fs, "big", backing, 512 * dt_page));
	disk = dt_disk_open(&self->fs, "big", O_RDONLY);
	EXPECT_EQ(512 * dt_page, dt_disk_stat(&self->fs, disk).out_max_bytes);
	for (int i = 0; i < 3; i++) {
		for (size_t at = 0; at < big; at += 16 * dt_page)
			ASSERT_EQ(16 * dt_page,
				  pread(disk, buffer + at, 16 * dt_page, at));
		EXPECT_TRUE(dt_run_is_filled(buffer, SEED, 0, 2048));
		/* Read-ahead may be one window further. */
		EXPECT_LE(dt_disk_stat(&self->fs, disk).out_cached,
			  (512 + 512) * dt_page);
	}
	close(disk);
	close(backing);
	unlink(path);
	free(buffer);
}

DISCO_FIXTURE(small, "size=64k");

/* Pages of a disk count once, with their first VM; a full mount copies. */
TEST_F(small, limit)
{
	int vm = dt_create(&self->fs, "vm", SIZE), backing, disk;
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE), path[80];
	size_t room = 65536 / dt_page;

	snprintf(path, sizeof(path), DIRECT ".%d", getpid());
	backing = dt_backing(path, SEED, SIZE);
	ASSERT_OK(dt_disk_add(&self->fs, "disk", backing, 0));
	disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	ASSERT_EQ(room * dt_page, pread(disk, at, room * dt_page, 0));
	ASSERT_EQ(room * dt_page,
		  pread(disk, dt_map(other, SIZE), room * dt_page, 0));
	EXPECT_ERRNO(EFAULT, pread(disk, at + room * dt_page, dt_page,
				   room * dt_page));
	/* What VMs do not use is not limited. */
	ASSERT_EQ(10, pread(disk, path, 10, room * dt_page));
	ASSERT_OK(dt_punch(other, 0, dt_page));
	ASSERT_OK(dt_punch(vm, 0, dt_page));
	ASSERT_EQ(dt_page, pread(disk, at + room * dt_page, dt_page,
				 room * dt_page));
	close(disk);
	close(backing);
	snprintf(path, sizeof(path), DIRECT ".%d", getpid());
	unlink(path);
}

/*
 * Two VMs that read the same disk and write to what they read, while its cache
 * is dropped and their memory punched: nobody ever sees the other's write.
 */
struct racer {
	int vm;
	int disk;
	char *at;
	uint64_t seed;
	bool ok;
};

#define RACE_ROUNDS 20

static void *race(void *arg)
{
	struct racer *racer = arg;
	uint64_t random = racer->seed;

	racer->ok = true;
	for (int i = 0; racer->ok && i < RACE_ROUNDS; i++) {
		int first = dt_random(&random) % PAGES;
		int nr = dt_random(&random) % (PAGES - first) + 1;
		char *at = racer->at + first * dt_page;

		if (pread(racer->disk, at, nr * dt_page, first * dt_page) !=
		    nr * dt_page || !dt_run_is_filled(at, SEED, first, nr)) {
			racer->ok = false;
			break;
		}
		for (int j = 0; j < nr; j++)
			dt_fill(at + j * dt_page, racer->seed, j);
		for (int j = 0; j < nr; j++)
			racer->ok &= dt_is_filled(at + j * dt_page,
						  racer->seed, j);
		if (i % 3 == 0)
			racer->ok &= !dt_punch(racer->vm, first * dt_page,
					       nr * dt_page);
		if (i % 5 == 0)
			posix_fadvise(racer->disk, 0, 0, POSIX_FADV_DONTNEED);
	}
	return NULL;
}

TEST_F(disk, race)
{
	struct racer racers[4];
	pthread_t threads[4];
	char name[8];

	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "vm%d", i);
		racers[i].vm = dt_create(&self->fs, name, SIZE);
		racers[i].at = dt_map(racers[i].vm, SIZE);
		racers[i].disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
		racers[i].seed = 1000 + i;
	}
	for (int i = 0; i < 4; i++)
		ASSERT_OK(pthread_create(&threads[i], NULL, race, &racers[i]));
	for (int i = 0; i < 4; i++) {
		ASSERT_OK(pthread_join(threads[i], NULL));
		EXPECT_TRUE(racers[i].ok);
		close(racers[i].disk);
	}
}

TEST_HARNESS_MAIN
