// SPDX-License-Identifier: GPL-2.0-only
/* Copying a memfd: what a clone is compared with. */
#define _GNU_SOURCE
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define TRIAL_SHARE	4
#define TRIAL_RUNS	3

/* Copies a region of REGION_BYTES; @to is empty behind @at. */
struct copy_method {
	const char *name;
	void (*copy)(const struct ram *from, struct ram *to, size_t at);
};

static void copy_read_write(const struct ram *from, struct ram *to, size_t at)
{
	static char buffer[MIB];

	for (size_t end = at + REGION_BYTES; at < end; at += sizeof(buffer)) {
		if (pread(from->fd, buffer, sizeof(buffer), at) !=
		    sizeof(buffer))
			die("read: %s", strerror(errno));
		if (pwrite(to->fd, buffer, sizeof(buffer), at) !=
		    sizeof(buffer))
			die("write: %s", strerror(errno));
	}
}

static void copy_range(const struct ram *from, struct ram *to, size_t at)
{
	size_t end = at + REGION_BYTES;
	loff_t in = at, out = at;
	ssize_t got;

	while ((size_t)in < end) {
		got = copy_file_range(from->fd, &in, to->fd, &out, end - in, 0);
		if (got <= 0)
			die("copy_file_range: %s",
			    got ? strerror(errno) : "ended early");
	}
}

static void copy_sendfile(const struct ram *from, struct ram *to, size_t at)
{
	size_t end = at + REGION_BYTES;
	off_t in = at;
	ssize_t got;

	if (lseek(to->fd, at, SEEK_SET) < 0)
		die("lseek: %s", strerror(errno));
	while ((size_t)in < end) {
		got = sendfile(to->fd, from->fd, &in, end - in);
		if (got <= 0)
			die("sendfile: %s",
			    got ? strerror(errno) : "ended early");
	}
}

static void copy_mapped(const struct ram *from, struct ram *to, size_t at)
{
	if (!to->map) {
		if (ftruncate(to->fd, from->bytes))
			die("ftruncate: %s", strerror(errno));
		ram_map(to, from->bytes, MAP_SHARED);
	}
	memcpy(to->map + at, from->map + at, REGION_BYTES);
}

static const struct copy_method copy_methods[] = {
	{ "memfd, read and write of 1 MiB", copy_read_write },
	{ "memfd, copy_file_range", copy_range },
	{ "memfd, sendfile", copy_sendfile },
	{ "memfd, memcpy between mappings", copy_mapped },
};

static const struct copy_method *fastest;

static double time_method(const struct copy_method *method,
			  const struct ram *from, struct ram *to)
{
	size_t nr = from->bytes / REGION_BYTES;
	double began, seconds, *times = calloc(nr, sizeof(*times));

	if (!times)
		die("no memory for %zu times", nr);
	for (size_t i = 0; i < nr; i++) {
		began = seconds_now();
		method->copy(from, to, i * REGION_BYTES);
		times[i] = seconds_now() - began;
	}
	seconds = undisturbed(times, from->bytes, REGION_BYTES);
	free(times);
	return seconds;
}

/**
 * choose_copy() - find the fastest way to copy there is on this kernel
 *
 * Return: its name.
 */
const char *choose_copy(void)
{
	double seconds[TRIAL_RUNS], best = 0;
	struct ram from, to;

	ram_populate(&from, PEER, env.bytes / TRIAL_SHARE);
	for (size_t i = 0; i < sizeof(copy_methods) / sizeof(*copy_methods);
	     i++) {
		for (int run = 0; run < TRIAL_RUNS; run++) {
			ram_open(&to, PEER, 0);
			seconds[run] = time_method(&copy_methods[i], &from, &to);
			ram_close(&to);
		}
		fprintf(stderr, "copy of %zu MiB by %s: %.1f ms\n",
			from.bytes / MIB, copy_methods[i].name,
			median(seconds, TRIAL_RUNS) * 1e3);
		if (fastest && median(seconds, TRIAL_RUNS) >= best)
			continue;
		fastest = &copy_methods[i];
		best = median(seconds, TRIAL_RUNS);
	}
	ram_close(&from);
	return fastest->name;
}

/**
 * time_copy() - copy a memory in the way of choose_copy()
 * @from: memory to copy
 * @to: an empty one
 *
 * Return: seconds, as they would be without disturbance.
 */
double time_copy(const struct ram *from, struct ram *to)
{
	return time_method(fastest, from, to);
}

/**
 * time_cp() - copy a memory with cp(1)
 * @from: memory to copy
 * @to: an empty one
 *
 * Return: seconds from the start of the process to its end.
 */
double time_cp(const struct ram *from, struct ram *to)
{
	char from_path[40], to_path[40];
	char *argv[] = { "cp", from_path, to_path, NULL };
	double began = seconds_now();
	int status, err;
	pid_t pid;

	snprintf(from_path, sizeof(from_path), "/proc/%d/fd/%d", getpid(),
		 from->fd);
	snprintf(to_path, sizeof(to_path), "/proc/%d/fd/%d", getpid(),
		 to->fd);
	err = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (err)
		die("cp: %s", strerror(err));
	if (waitpid(pid, &status, 0) < 0)
		die("waitpid: %s", strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		die("cp failed: status %#x", status);
	return seconds_now() - began;
}
