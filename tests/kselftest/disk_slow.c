// SPDX-License-Identifier: GPL-2.0-only
/*
 * A disk whose backing takes its time: who waits for it, and who does not. The
 * backing is a network block device, and the test is its server, which answers
 * when the test lets it.
 */
#define _GNU_SOURCE
#include "fixture.h"

#include <endian.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <linux/nbd.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define PAGES 64
#define SIZE (PAGES * dt_page)
#define SEED 78

/* A server that was never told to answer does so after this many seconds. */
#define PATIENCE 30

/**
 * struct slow - the device and its server
 * @fd: the device
 * @sockets: the kernel's end and the server's
 * @connection: thread in which the kernel has the device
 * @server: thread that answers
 * @lock: protects what follows
 * @changed: it has
 * @answers: requests are answered
 * @asked: a request came while they were not
 */
struct slow {
	int fd;
	int sockets[2];
	pthread_t connection;
	pthread_t server;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool answers;
	bool asked;
};

static void *connect_device(void *arg)
{
	struct slow *slow = arg;

	ioctl(slow->fd, NBD_DO_IT);
	return NULL;
}

static void wait_for_leave(struct slow *slow)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += PATIENCE;
	pthread_mutex_lock(&slow->lock);
	if (!slow->answers) {
		slow->asked = true;
		pthread_cond_broadcast(&slow->changed);
	}
	while (!slow->answers &&
	       !pthread_cond_timedwait(&slow->changed, &slow->lock, &end))
		;
	/* Nobody else is to wait as long. */
	slow->answers = true;
	pthread_mutex_unlock(&slow->lock);
}

static bool answer(int fd, const struct nbd_request *request)
{
	size_t len = be32toh(request->len);
	struct nbd_reply reply = { .magic = htobe32(NBD_REPLY_MAGIC) };
	struct iovec parts[2] = { { &reply, sizeof(reply) } };
	char data[SIZE];

	memcpy(reply.handle, request->handle, sizeof(reply.handle));
	if (be32toh(request->type) == NBD_CMD_READ && len <= SIZE) {
		dt_fill_run(data, SEED, 0, PAGES);
		parts[1].iov_base = data + be64toh(request->from);
		parts[1].iov_len = len;
	}
	return writev(fd, parts, 2) == sizeof(reply) + parts[1].iov_len;
}

static void *serve(void *arg)
{
	struct slow *slow = arg;
	struct nbd_request request;
	int fd = slow->sockets[1];

	while (recv(fd, &request, sizeof(request), MSG_WAITALL) ==
	       sizeof(request)) {
		if (be32toh(request.type) == NBD_CMD_DISC)
			break;
		wait_for_leave(slow);
		if (!answer(fd, &request))
			break;
	}
	return NULL;
}

static bool is_there(const struct slow *slow)
{
	uint64_t bytes = 0;
	int read_only = 0;

	return !ioctl(slow->fd, BLKGETSIZE64, &bytes) && bytes == SIZE &&
	       !ioctl(slow->fd, BLKROGET, &read_only) && read_only;
}

/* Opens a device that nobody uses; false if there is none. */
static bool find_device(struct slow *slow)
{
	char path[32];

	for (int i = 0; i < 16; i++) {
		snprintf(path, sizeof(path), "/dev/nbd%d", i);
		slow->fd = open(path, O_RDWR | O_CLOEXEC);
		if (slow->fd < 0)
			return false;
		if (!ioctl(slow->fd, NBD_SET_SOCK, slow->sockets[0]))
			return true;
		close(slow->fd);
	}
	return false;
}

static bool slow_open(struct slow *slow)
{
	*slow = (struct slow){
		.answers = true, .lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, slow->sockets))
		dt_die("socketpair");
	if (!find_device(slow))
		return false;
	if (ioctl(slow->fd, NBD_SET_BLKSIZE, dt_page) ||
	    ioctl(slow->fd, NBD_SET_SIZE_BLOCKS, PAGES) ||
	    ioctl(slow->fd, NBD_SET_FLAGS, NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY))
		dt_die("configure a network block device");
	if (pthread_create(&slow->server, NULL, serve, slow) ||
	    pthread_create(&slow->connection, NULL, connect_device, slow))
		dt_die("threads of a network block device");
	if (!DT_UNTIL(is_there(slow), PATIENCE))
		dt_die("a network block device that is connected is not there");
	return true;
}

static void slow_close(struct slow *slow)
{
	ioctl(slow->fd, NBD_DISCONNECT);
	ioctl(slow->fd, NBD_CLEAR_SOCK);
	pthread_join(slow->connection, NULL);
	shutdown(slow->sockets[1], SHUT_RDWR);
	pthread_join(slow->server, NULL);
	close(slow->fd);
	close(slow->sockets[0]);
	close(slow->sockets[1]);
}

static void set_answers(struct slow *slow, bool answers)
{
	pthread_mutex_lock(&slow->lock);
	slow->answers = answers;
	pthread_cond_broadcast(&slow->changed);
	pthread_mutex_unlock(&slow->lock);
}

/* It has been asked, and has not answered. */
static bool is_asked(struct slow *slow)
{
	bool asked;

	pthread_mutex_lock(&slow->lock);
	asked = slow->asked && !slow->answers;
	pthread_mutex_unlock(&slow->lock);
	return asked;
}

FIXTURE(slow) {
	struct dt_fs fs;
	struct slow device;
	int disk;
	int vm;
	char *at;
};

FIXTURE_SETUP(slow)
{
	dt_fs_open(&self->fs, "slow", NULL);
	self->vm = dt_create(&self->fs, "vm", SIZE);
	self->at = dt_map(self->vm, SIZE);
	if (!slow_open(&self->device))
		SKIP(_exit(255), "this kernel has no network block devices");
	ASSERT_OK(dt_disk_add(&self->fs, "disk", self->device.fd, 0));
	self->disk = dt_disk_open(&self->fs, "disk", O_RDONLY);
	set_answers(&self->device, false);
}

FIXTURE_TEARDOWN(slow)
{
	set_answers(&self->device, true);
	close(self->disk);
	EXPECT_EQ(0, dt_punch(self->vm, 0, SIZE));
	EXPECT_EQ(0, unlink(dt_disk_path(&self->fs, "disk")));
	slow_close(&self->device);
	EXPECT_TRUE(dt_fs_close(&self->fs));
}

/* A monitor that reads asynchronously goes on with other things meanwhile. */
TEST_F(slow, asynchronous_read_does_not_wait)
{
	struct iocb iocb = {
		.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = self->disk,
		.aio_buf = (uintptr_t)self->at, .aio_nbytes = SIZE,
	}, *list = &iocb;
	aio_context_t context = 0;
	struct timespec now = {};
	struct io_event event;

	ASSERT_OK(syscall(SYS_io_setup, 1, &context));
	ASSERT_EQ(1, syscall(SYS_io_submit, context, 1, &list));
	EXPECT_TRUE(DT_UNTIL(is_asked(&self->device), 10));
	ASSERT_EQ(0, syscall(SYS_io_getevents, context, 0, 1, &event, &now));
	set_answers(&self->device, true);
	ASSERT_EQ(1, syscall(SYS_io_getevents, context, 1, 1, &event, NULL));
	EXPECT_EQ(SIZE, event.res);
	EXPECT_TRUE(dt_run_is_filled(self->at, SEED, 0, PAGES));
	EXPECT_EQ(PAGES, dt_disk_stat(&self->fs, self->disk).out_mapped);
	ASSERT_OK(syscall(SYS_io_destroy, context));
}

/* Who may not wait is told so, and finds what is there later. */
TEST_F(slow, nowait_is_eagain)
{
	struct iovec whole = { self->at, SIZE };

	EXPECT_ERRNO(EAGAIN, preadv2(self->disk, &whole, 1, 0, RWF_NOWAIT));
	set_answers(&self->device, true);
	ASSERT_EQ(SIZE, pread(self->disk, self->at, SIZE, 0));
	ASSERT_OK(dt_punch(self->vm, 0, SIZE));
	EXPECT_EQ(SIZE, preadv2(self->disk, &whole, 1, 0, RWF_NOWAIT));
	EXPECT_TRUE(dt_run_is_filled(self->at, SEED, 0, PAGES));
}

/* A monitor whose disk does not answer can be killed, and the others go on. */
TEST_F(slow, reader_can_be_killed)
{
	pid_t pid = dt_fork();
	int status;

	if (!pid)
		_exit(pread(self->disk, self->at, SIZE, 0) != SIZE);
	EXPECT_TRUE(DT_UNTIL(is_asked(&self->device), 10));
	ASSERT_OK(kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_TRUE(is_asked(&self->device));
	EXPECT_ERRNO(EBUSY, unlink(dt_disk_path(&self->fs, "disk")));
	set_answers(&self->device, true);
	ASSERT_EQ(SIZE, pread(self->disk, self->at, SIZE, 0));
	EXPECT_TRUE(dt_run_is_filled(self->at, SEED, 0, PAGES));
}

TEST_HARNESS_MAIN
