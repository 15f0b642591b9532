// SPDX-License-Identifier: GPL-2.0-only
/* Backings of disks: how they are read, devices, and what changes under a disk. */
#define _GNU_SOURCE
#include "fixture.h"

#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define PAGES 64
#define SIZE (PAGES * dt_page)
#define SEED 77

/* A file system that can be read directly. */
#define BACKING "/var/tmp/disco-test-backing"

DISCO_FIXTURE(file, NULL);

/* A backing whose pages the host's page cache does not have. */
static int cold_backing(const char *path)
{
	int fd = dt_backing(path, SEED, SIZE);

	if (fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		dt_die("fsync %s", path);
	return fd;
}

/* What the disk has cached is not cached a second time, for its backing. */
TEST_F(file, cached_once)
{
	int backing = cold_backing(BACKING), disk, cached = 0;
	unsigned char resident[PAGES];
	char *buffer = malloc(SIZE), *at;

	ASSERT_OK(dt_disk_add(&self->fs, "disk", backing, 0));
	disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	ASSERT_EQ(SIZE, pread(disk, buffer, SIZE, 0));
	EXPECT_TRUE(dt_run_is_filled(buffer, SEED, 0, PAGES));
	EXPECT_EQ(SIZE, dt_disk_stat(&self->fs, disk).out_cached);
	at = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, backing, 0);
	ASSERT_NE(MAP_FAILED, at);
	ASSERT_OK(mincore(at, SIZE, resident));
	for (int i = 0; i < PAGES; i++)
		cached += resident[i] & 1;
	EXPECT_EQ(0, cached);
	munmap(at, SIZE);
	free(buffer);
	close(disk);
	close(backing);
	unlink(BACKING);
}

/* A socket that hears what udev does. */
static int hear_uevents(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC,
			NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
		dt_die("netlink");
	return fd;
}

/* Has there been an event of /dev/disco with this line? */
static bool heard(int fd, const char *line)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	char text[4096];
	ssize_t got;

	while (poll(&pollfd, 1, 1000) == 1) {
		bool ours = false, found = false;

		got = recv(fd, text, sizeof(text) - 1, 0);
		if (got <= 0)
			return false;
		text[got] = '\0';
		for (char *at = text; at < text + got; at += strlen(at) + 1) {
			ours |= !strcmp(at, "DEVNAME=disco");
			found |= !strcmp(at, line);
		}
		if (ours && found)
			return true;
	}
	return false;
}

/*
 * A file with another time, as when a network file system's server has written to
 * it: the disk says so and shares no more, and the VM keeps what it has.
 */
TEST_F(file, changes)
{
	int vm = dt_create(&self->fs, "vm", SIZE), disk, events;
	int backing = dt_backing(BACKING, SEED, SIZE);
	char *at = dt_map(vm, SIZE);
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { 1, 0 } };

	ASSERT_OK(dt_disk_add(&self->fs, "disk", backing, 0));
	disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	ASSERT_EQ(8 * dt_page, pread(disk, at, 8 * dt_page, 0));
	EXPECT_EQ(8, dt_disk_stat(&self->fs, disk).out_mapped);
	EXPECT_EQ(DISCO_DISK_OK, dt_disk_stat(&self->fs, disk).out_state);

	events = hear_uevents();
	ASSERT_OK(futimens(backing, times));
	ASSERT_EQ(SIZE, pread(disk, at, SIZE, 0));
	EXPECT_TRUE(heard(events, "EVENT=disk-changed"));
	EXPECT_TRUE(dt_run_is_filled(at, SEED, 0, PAGES));
	EXPECT_EQ(DISCO_DISK_CHANGED, dt_disk_stat(&self->fs, disk).out_state);
	EXPECT_EQ(8, dt_disk_stat(&self->fs, disk).out_mapped);
	/* Pages that the VM shared are written to as a guest would. */
	EXPECT_EQ(0, dt_stat(&self->fs, vm).out_shared);
	/* Said once. */
	ASSERT_EQ(dt_page, pread(disk, at, dt_page, 0));
	EXPECT_FALSE(heard(events, "EVENT=disk-changed"));
	close(events);
	close(disk);
	close(backing);
	unlink(BACKING);
}

#define VISITORS 2

/* Who opens a disk, reads it into a VM and lets go of it, again and again. */
struct visitor {
	struct dt_fs *fs;
	pthread_t thread;
	bool *stop;
	int vm;
	char *at;
	uint64_t random;
	int visits;
	bool ok;
};

static void *visit(void *arg)
{
	struct visitor *v = arg;
	char path[96];

	snprintf(path, sizeof(path), "%s/disk/disk", v->fs->root);
	v->ok = true;
	while (v->ok && !__atomic_load_n(v->stop, __ATOMIC_RELAXED)) {
		int first = dt_random(&v->random) % (PAGES - 8);
		int disk = open(path, O_RDONLY | O_CLOEXEC);

		if (disk < 0) {
			v->ok = errno == ENOENT;
			continue;
		}
		v->ok = pread(disk, v->at, 8 * dt_page, first * dt_page) ==
				8 * dt_page &&
			dt_run_is_filled(v->at, SEED, first, 8) &&
			!dt_punch(v->vm, 0, 8 * dt_page);
		close(disk);
		__atomic_fetch_add(&v->visits, 1, __ATOMIC_RELAXED);
		usleep(dt_random(&v->random) % 2000);
	}
	return NULL;
}

/* All of them: one whose processor is late may not have begun. */
static bool have_visited(const struct visitor *visitors)
{
	for (int i = 0; i < VISITORS; i++)
		if (!__atomic_load_n(&visitors[i].visits, __ATOMIC_RELAXED))
			return false;
	return true;
}

/* A disk is there whole or not at all for who opens it while it is removed. */
TEST_F(file, remove_while_others_read)
{
	int backing = dt_backing(BACKING, SEED, SIZE), removed = 0, busy = 0;
	struct visitor visitors[VISITORS];
	bool stop = false, ok = true;
	char name[16], path[96];

	snprintf(path, sizeof(path), "%s/disk/disk", self->fs.root);
	for (int i = 0; i < ARRAY_SIZE(visitors); i++) {
		struct visitor *v = &visitors[i];

		snprintf(name, sizeof(name), "vm%d", i);
		*v = (struct visitor){ .fs = &self->fs, .stop = &stop,
				       .random = 1 + i };
		v->vm = dt_create(&self->fs, name, SIZE);
		v->at = dt_map(v->vm, SIZE);
	}
	ASSERT_OK(dt_disk_add(&self->fs, "disk", backing, 0));
	for (int i = 0; i < ARRAY_SIZE(visitors); i++)
		ASSERT_OK(pthread_create(&visitors[i].thread, NULL, visit,
					 &visitors[i]));
	for (double end = dt_now() + 20; ok && dt_now() < end &&
	     (removed < 50 || busy < 50 || !have_visited(visitors));) {
		if (unlink(path)) {
			ok = errno == EBUSY;
			busy++;
			continue;
		}
		removed++;
		ok = !dt_disk_add(&self->fs, "disk", backing, 0);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < ARRAY_SIZE(visitors); i++) {
		pthread_join(visitors[i].thread, NULL);
		EXPECT_TRUE(visitors[i].ok);
		EXPECT_LT(0, visitors[i].visits);
	}
	EXPECT_TRUE(ok);
	EXPECT_LT(0, removed);
	EXPECT_LT(0, busy);
	ASSERT_OK(unlink(path));
	close(backing);
	unlink(BACKING);
}

/* A loop device of a file of PAGES pages, which its owner can still change. */
struct loop {
	int file;
	int fd;
	int nr;
	char backing[64];
};

/* With LO_FLAGS_DIRECT_IO, reads past the end of the file fail as on a bad disk. */
static bool loop_open(struct loop *loop, int flags)
{
	struct loop_config config = { .info.lo_flags = flags };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	bool read_only = flags & LO_FLAGS_READ_ONLY;
	char path[32];

	if (control < 0)
		return false;
	snprintf(loop->backing, sizeof(loop->backing), BACKING ".loop.%d",
		 getpid());
	close(dt_backing(loop->backing, SEED, SIZE));
	loop->file = open(loop->backing, O_RDWR | O_CLOEXEC);
	config.fd = loop->file;
	loop->nr = ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	snprintf(path, sizeof(path), "/dev/loop%d", loop->nr);
	loop->fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (loop->fd < 0 || ioctl(loop->fd, LOOP_CONFIGURE, &config))
		dt_die("configure %s", path);
	return true;
}

static void loop_close(struct loop *loop)
{
	ioctl(loop->fd, LOOP_CLR_FD);
	close(loop->fd);
	close(loop->file);
	unlink(loop->backing);
}

DISCO_FIXTURE(device, NULL);

/* A device that may be written to is refused; one set read-only is a disk. */
TEST_F(device, must_be_read_only)
{
	int vm = dt_create(&self->fs, "vm", SIZE), disk;
	char *at = dt_map(vm, SIZE);
	struct loop loop;

	if (!loop_open(&loop, 0))
		SKIP(_exit(255), "this kernel has no loop devices");
	EXPECT_ERRNO(ETXTBSY, dt_disk_add(&self->fs, "disk", loop.fd, 0));
	loop_close(&loop);

	loop_open(&loop, LO_FLAGS_READ_ONLY);
	ASSERT_OK(dt_disk_add(&self->fs, "disk", loop.fd, 0));
	disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	ASSERT_EQ(SIZE, pread(disk, at, SIZE, 0));
	EXPECT_TRUE(dt_run_is_filled(at, SEED, 0, PAGES));
	EXPECT_EQ(PAGES, dt_disk_stat(&self->fs, disk).out_mapped);
	close(disk);
	ASSERT_OK(dt_punch(vm, 0, SIZE));
	ASSERT_OK(unlink(dt_disk_path(&self->fs, "disk")));
	loop_close(&loop);
}

/*
 * A device shrinks under the disk: what is left is read and not shared any
 * more, what is lost is EIO, and the VM keeps what it has.
 */
TEST_F(device, changes)
{
	int vm = dt_create(&self->fs, "vm", SIZE), disk;
	char *at = dt_map(vm, SIZE), *plain = malloc(SIZE);
	struct loop loop;

	if (!loop_open(&loop, LO_FLAGS_READ_ONLY))
		SKIP(_exit(255), "this kernel has no loop devices");
	ASSERT_OK(dt_disk_add(&self->fs, "disk", loop.fd, 0));
	disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	ASSERT_EQ(8 * dt_page, pread(disk, at, 8 * dt_page, 0));
	ASSERT_OK(ftruncate(loop.file, SIZE / 2));
	ASSERT_OK(ioctl(loop.fd, LOOP_SET_CAPACITY));

	EXPECT_EQ(DISCO_DISK_CHANGED, dt_disk_stat(&self->fs, disk).out_state);
	EXPECT_EQ(SIZE, dt_disk_stat(&self->fs, disk).out_bytes);
	ASSERT_EQ(SIZE / 2, pread(disk, at, SIZE / 2, 0));
	EXPECT_TRUE(dt_run_is_filled(at, SEED, 0, PAGES / 2));
	EXPECT_EQ(8, dt_disk_stat(&self->fs, disk).out_mapped);
	/* Up to what is lost, then nothing. */
	EXPECT_EQ(dt_page, pread(disk, plain, SIZE, SIZE / 2 - dt_page));
	EXPECT_ERRNO(EIO, pread(disk, plain, 10, SIZE / 2));
	EXPECT_LT(0, dt_disk_stat(&self->fs, disk).out_errors);
	/* It has not changed back. */
	ASSERT_OK(ftruncate(loop.file, SIZE));
	ASSERT_OK(ioctl(loop.fd, LOOP_SET_CAPACITY));
	EXPECT_EQ(DISCO_DISK_CHANGED, dt_disk_stat(&self->fs, disk).out_state);
	close(disk);
	free(plain);
	ASSERT_OK(dt_punch(vm, 0, SIZE));
	ASSERT_OK(unlink(dt_disk_path(&self->fs, "disk")));
	loop_close(&loop);
}

/*
 * Half of a device cannot be read: who asks for it gets EIO, through a worker as
 * well, nobody gets anything else, and nothing is kept of it.
 */
TEST_F(device, fails)
{
	int vm = dt_create(&self->fs, "vm", SIZE), disk;
	char *at = dt_map(vm, SIZE);
	struct iocb iocb = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_buf = (uintptr_t)at + SIZE / 2, .aio_nbytes = SIZE / 2,
		.aio_offset = SIZE / 2,
	}, *list = &iocb;
	struct io_event event;
	aio_context_t context = 0;
	struct loop loop;

	if (!loop_open(&loop, LO_FLAGS_READ_ONLY | LO_FLAGS_DIRECT_IO))
		SKIP(_exit(255), "this kernel has no loop devices");
	ASSERT_OK(dt_disk_add(&self->fs, "disk", loop.fd, 0));
	disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	ASSERT_OK(ftruncate(loop.file, SIZE / 2));
	dt_fill_run(at, 1, 0, PAGES);

	EXPECT_EQ(SIZE / 2, pread(disk, at, SIZE, 0));
	EXPECT_TRUE(dt_run_is_filled(at, SEED, 0, PAGES / 2));
	EXPECT_ERRNO(EIO, pread(disk, at + SIZE / 2, SIZE / 2, SIZE / 2));
	ASSERT_OK(syscall(SYS_io_setup, 1, &context));
	iocb.aio_fildes = disk;
	ASSERT_EQ(1, syscall(SYS_io_submit, context, 1, &list));
	ASSERT_EQ(1, syscall(SYS_io_getevents, context, 1, 1, &event, NULL));
	EXPECT_EQ(-EIO, event.res);
	EXPECT_TRUE(dt_run_is_filled(at + SIZE / 2, 1, PAGES / 2, PAGES / 2));
	EXPECT_LT(0, dt_disk_stat(&self->fs, disk).out_errors);
	EXPECT_EQ(DISCO_DISK_OK, dt_disk_stat(&self->fs, disk).out_state);

	for (int i = PAGES / 2; i < PAGES; i++) {
		char page[dt_page];

		dt_fill(page, SEED, i);
		ASSERT_EQ(dt_page, pwrite(loop.file, page, dt_page, i * dt_page));
	}
	ASSERT_EQ(SIZE, pread(disk, at, SIZE, 0));
	EXPECT_TRUE(dt_run_is_filled(at, SEED, 0, PAGES));
	EXPECT_EQ(SIZE, dt_stat(&self->fs, vm).out_shared);

	ASSERT_OK(syscall(SYS_io_destroy, context));
	close(disk);
	ASSERT_OK(dt_punch(vm, 0, SIZE));
	ASSERT_OK(unlink(dt_disk_path(&self->fs, "disk")));
	loop_close(&loop);
}

/* What may be written to from now on is shared no more. */
TEST_F(device, becomes_writable)
{
	int vm = dt_create(&self->fs, "vm", SIZE), disk, read_only = 1;
	char *at = dt_map(vm, SIZE);
	struct loop loop;

	if (!loop_open(&loop, 0))
		SKIP(_exit(255), "this kernel has no loop devices");
	ASSERT_OK(ioctl(loop.fd, BLKROSET, &read_only));
	ASSERT_OK(dt_disk_add(&self->fs, "disk", loop.fd, 0));
	disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	ASSERT_EQ(8 * dt_page, pread(disk, at, 8 * dt_page, 0));
	read_only = 0;
	ASSERT_OK(ioctl(loop.fd, BLKROSET, &read_only));
	dt_fill(at, 1, 0);
	ASSERT_EQ(dt_page, pwrite(loop.fd, at, dt_page, 0));
	ASSERT_EQ(SIZE, pread(disk, at, SIZE, 0));
	EXPECT_TRUE(dt_is_filled(at, 1, 0));
	EXPECT_TRUE(dt_run_is_filled(at + dt_page, SEED, 1, PAGES - 1));
	EXPECT_EQ(8, dt_disk_stat(&self->fs, disk).out_mapped);
	EXPECT_EQ(DISCO_DISK_CHANGED, dt_disk_stat(&self->fs, disk).out_state);
	close(disk);
	ASSERT_OK(dt_punch(vm, 0, SIZE));
	ASSERT_OK(unlink(dt_disk_path(&self->fs, "disk")));
	loop_close(&loop);
}

/* Sectors that have been read of a loop device. */
static long sectors_read(const struct loop *loop)
{
	char path[64];
	FILE *file;
	long value;

	snprintf(path, sizeof(path), "/sys/block/loop%d/stat", loop->nr);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%*d %*d %ld", &value) != 1)
		dt_die("%s", path);
	fclose(file);
	return value;
}

/* One of many who read all of a disk at the same time. */
struct reader {
	pthread_t thread;
	pthread_barrier_t *barrier;
	int disk;
	char *at;
	bool ok;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;

	pthread_barrier_wait(r->barrier);
	r->ok = pread(r->disk, r->at, SIZE, 0) == SIZE &&
		dt_run_is_filled(r->at, SEED, 0, PAGES);
	return NULL;
}

/* Who asks for what another reads already waits for that. */
TEST_F(device, is_read_once_for_all)
{
	struct reader readers[4];
	pthread_barrier_t barrier;
	struct loop loop;
	char name[16];
	long before;

	if (!loop_open(&loop, LO_FLAGS_READ_ONLY))
		SKIP(_exit(255), "this kernel has no loop devices");
	ASSERT_OK(dt_disk_add(&self->fs, "disk", loop.fd, 0));
	pthread_barrier_init(&barrier, NULL, ARRAY_SIZE(readers));
	for (int i = 0; i < ARRAY_SIZE(readers); i++) {
		snprintf(name, sizeof(name), "vm%d", i);
		readers[i].at = dt_map(dt_create(&self->fs, name, SIZE), SIZE);
		readers[i].disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
		readers[i].barrier = &barrier;
	}
	before = sectors_read(&loop);
	for (int i = 0; i < ARRAY_SIZE(readers); i++)
		ASSERT_OK(pthread_create(&readers[i].thread, NULL, read_all,
					 &readers[i]));
	for (int i = 0; i < ARRAY_SIZE(readers); i++) {
		ASSERT_OK(pthread_join(readers[i].thread, NULL));
		EXPECT_TRUE(readers[i].ok);
	}
	EXPECT_EQ(SIZE / 512, sectors_read(&loop) - before);
	for (int i = 0; i < ARRAY_SIZE(readers); i++) {
		close(readers[i].disk);
		snprintf(name, sizeof(name), "vm%d", i);
		dt_unlink(&self->fs, name);
		dt_unmap(readers[i].at, SIZE);
	}
	pthread_barrier_destroy(&barrier);
}

TEST_HARNESS_MAIN
