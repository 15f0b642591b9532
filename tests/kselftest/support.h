/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel self tests and the fuzzers share: a disco mount of the test's
 * own, files and mappings that are given back at the end, page patterns, and
 * the requests of /dev/disco in one line each.
 *
 * A helper whose failure would make the rest of a test meaningless ends the
 * process with a message; calls that a test is about return as the system call
 * does.
 */
#ifndef DISCO_TEST_SUPPORT_H
#define DISCO_TEST_SUPPORT_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <linux/disco.h>

/** struct dt_gauges - what must be as before when a test has cleaned up */
struct dt_gauges {
	long machine_pages;
	long replicas;
	long metadata_bytes;
	long vms;
	long vcpus;
	long vcpu_bytes;
	long heat_counters;
};

/** struct dt_fs - one disco mount of the test's own */
struct dt_fs {
	char root[48];
	char ram[64];
	int control;
	struct dt_gauges before;
};

/** dt_page - bytes of a page */
extern size_t dt_page;

void dt_die(const char *format, ...)
	__attribute__((noreturn, format(printf, 1, 2)));
void dt_not_ok(const char *test, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));

/* Mounts. The first call gives the process mounts that nobody else sees. */
void dt_private_mounts(void);
void dt_fs_open(struct dt_fs *fs, const char *name, const char *options);
bool dt_fs_close(struct dt_fs *fs);

/* Files and mappings; all are closed by dt_fs_close() at the latest. */
int dt_create(const struct dt_fs *fs, const char *name, off_t size);
int dt_open(const struct dt_fs *fs, const char *name, int flags);
void dt_close(int fd);
void dt_unlink(const struct dt_fs *fs, const char *name);
char *dt_map(int fd, size_t size);
char *dt_map_view(int fd, size_t size, unsigned int view);
void dt_unmap(void *at, size_t size);
int dt_punch(int fd, off_t offset, off_t length);
int dt_clone(int to, int from);

/* A disk that all may read; removed by the test, or with the mount. */
int dt_disk_add(const struct dt_fs *fs, const char *name, int backing,
		uint64_t max);

int dt_backing(const char *path, uint64_t seed, off_t size);
const char *dt_disk_path(const struct dt_fs *fs, const char *name);
int dt_disk_open(const struct dt_fs *fs, const char *name, int flags);

/* A disk of @nr pages of the pattern of @seed, open for reading. */
int dt_disk(const struct dt_fs *fs, uint64_t seed, int nr);
struct disco_disk_stat dt_disk_stat(const struct dt_fs *fs, int disk);

/* A VCPU's file, closed by dt_fs_close() at the latest, and its table. */
int dt_vcpu(const struct dt_fs *fs, int vm, uint32_t vcpu, uint32_t nr_entries);

/* Requests. */
struct disco_vm_stat dt_stat(const struct dt_fs *fs, int fd);
struct disco_pmap_entry dt_pmap(const struct dt_fs *fs, int fd, uint64_t gfn);
unsigned int dt_memmap(const struct dt_fs *fs, uint64_t pfn,
		       struct disco_memmap_user *users, unsigned int nr);
bool dt_check(int control, int mount_fd);

struct disco_pmap_entry dt_pmap_view(const struct dt_fs *fs, int fd,
				     unsigned int view, uint64_t gfn);

/* Counters of the module. */
long dt_counter(const char *name);
void dt_gauges_read(struct dt_gauges *gauges);
bool dt_gauges_settle(const struct dt_gauges *before);

/* Contents. A pattern names its page, so that a page in the wrong place shows. */
void dt_fill(void *page, uint64_t seed, uint64_t gfn);
bool dt_is_filled(const void *page, uint64_t seed, uint64_t gfn);
void dt_fill_run(char *at, uint64_t seed, uint64_t gfn, int nr);
bool dt_run_is_filled(const char *at, uint64_t seed, uint64_t gfn, int nr);
bool dt_is_zero(const void *at, size_t size);

/* Touch one byte; returns 0 or the signal that came. */
int dt_touch(volatile char *at, bool write);

/* Children that cannot outlive the test, and their end. */
pid_t dt_fork(void);
int dt_wait(pid_t pid);

/* The machine frame behind an address, from /proc/self/pagemap; 0 if none. */
uint64_t dt_frame(const void *at);

/** dt_random() - small fast generator; @state must not be 0 */
static inline uint64_t dt_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * 0x2545f4914f6cdd1dULL;
}

/** dt_now() - seconds of a clock that only goes forward */
static inline double dt_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/** DT_UNTIL() - wait for a condition, true if it came within the seconds */
#define DT_UNTIL(condition, seconds) ({				\
	double dt_end = dt_now() + (seconds);				\
	bool dt_ok;							\
	while (!(dt_ok = (condition)) && dt_now() < dt_end)		\
		usleep(1000);						\
	dt_ok;								\
})

#endif
