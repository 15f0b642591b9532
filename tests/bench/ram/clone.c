// SPDX-License-Identifier: GPL-2.0-only
/* Cloning a VM's memory against copying it, and the first write after it. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#define TRIAL_SHARE	4
#define TRIAL_RUNS	3
#define CLONES_PER_PAIR	3

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

static const struct copy_method *fastest_copy;

static double time_copy(const struct copy_method *method,
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

/* The peer gets the fastest way to copy there is on this kernel. */
static void choose_copy(void)
{
	double seconds[TRIAL_RUNS], best = 0;
	struct ram from, to;

	ram_populate(&from, PEER, env.bytes / TRIAL_SHARE);
	for (size_t i = 0; i < sizeof(copy_methods) / sizeof(*copy_methods);
	     i++) {
		for (int run = 0; run < TRIAL_RUNS; run++) {
			ram_open(&to, PEER, 0);
			seconds[run] = time_copy(&copy_methods[i], &from, &to);
			ram_close(&to);
		}
		fprintf(stderr, "copy of %zu MiB by %s: %.1f ms\n",
			from.bytes / MIB, copy_methods[i].name,
			median(seconds, TRIAL_RUNS) * 1e3);
		if (fastest_copy && median(seconds, TRIAL_RUNS) >= best)
			continue;
		fastest_copy = &copy_methods[i];
		best = median(seconds, TRIAL_RUNS);
	}
	ram_close(&from);
}

static double time_clone(const struct ram *from, struct ram *to)
{
	double began = seconds_now();

	if (ioctl(to->fd, FICLONE, from->fd))
		die("FICLONE: %s", strerror(errno));
	return seconds_now() - began;
}

static void check_copy(const struct ram *from, struct ram *to)
{
	struct stat status;

	if (fstat(to->fd, &status))
		die("fstat: %s", strerror(errno));
	if ((size_t)status.st_size != from->bytes)
		die("a copy of %zu bytes has %zu", from->bytes,
		    (size_t)status.st_size);
	if (!to->bytes)
		to->bytes = from->bytes;
	ram_check_content(to);
}

static void clone_once(const struct ram *from, double *parts)
{
	struct ram to, again;
	double seconds;

	ram_open(&to, OURS, 0);
	seconds = time_clone(from, &to);
	if (!parts[0] || seconds < parts[0])
		parts[0] = seconds;
	check_copy(from, &to);

	ram_open(&again, OURS, 0);
	seconds = time_clone(from, &again);
	if (!parts[1] || seconds < parts[1])
		parts[1] = seconds;
	ram_close(&again);
	ram_close(&to);
}

/*
 * A clone cannot be done in steps, so the fastest of a few is taken. The source
 * stays mapped, as that of a paused guest is, and writing to it makes its pages
 * private and mapped again.
 */
static void pair_clone(int pair, double seconds[][MAX_PARTS])
{
	struct ram from, to;

	(void)pair;
	ram_populate(&from, OURS, env.bytes);
	for (int i = 0; i < CLONES_PER_PAIR; i++) {
		clone_once(&from, seconds[OURS]);
		touch_write(from.map, from.bytes);
	}
	ram_close(&from);

	ram_populate(&from, PEER, env.bytes);
	ram_open(&to, PEER, 0);
	seconds[PEER][0] = time_copy(fastest_copy, &from, &to);
	seconds[PEER][1] = seconds[PEER][0];
	check_copy(&from, &to);
	ram_close(&to);
	ram_close(&from);
}

static void pair_write_after_clone(int pair, double seconds[][MAX_PARTS])
{
	size_t bytes = env.bytes / 2;
	struct ram source, rams[NR_SIDES];

	(void)pair;
	ram_populate(&source, OURS, bytes);
	ram_open(&rams[OURS], OURS, 0);
	time_clone(&source, &rams[OURS]);
	ram_map(&rams[OURS], bytes, MAP_SHARED);

	ram_populate(&rams[PEER], PEER, bytes);
	if (munmap(rams[PEER].map, bytes))
		die("munmap: %s", strerror(errno));
	ram_map(&rams[PEER], bytes, MAP_PRIVATE);

	alternate(rams, &work_write, 0, seconds);
	for (int side = 0; side < NR_SIDES; side++) {
		ram_check_local(&rams[side]);
		ram_close(&rams[side]);
	}
	ram_close(&source);
}

/**
 * bench_clone() - FICLONE of a populated memory against a copy of a memfd
 */
void bench_clone(void)
{
	struct samples samples[2];

	if (!env.ram_dir) {
		report_skip("ram-clone", "memfd has no FICLONE");
		report_skip("ram-clone-again", "memfd has no FICLONE");
		return;
	}
	choose_copy();
	run_pairs("clone", pair_clone, env.pairs, 2, samples);
	report(&(struct result){
		.name = "ram-clone",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = fastest_copy->name,
		.better = "lower",
		.target = 1.0 / 20,
		.limit = limits.zap * 1e3,
		.limit_name = "unmap only",
		.note = "fastest clone of three a pair; fastest of four ways to copy",
	}, &samples[0]);
	report(&(struct result){
		.name = "ram-clone-again",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = fastest_copy->name,
		.better = "lower",
		.note = "second clone: nothing is mapped and all pages are shared",
	}, &samples[1]);
}

/**
 * bench_write_after_clone() - write to each page of a clone
 *
 * Its peer is the other copy-on-write that there is, a private mapping of a
 * memfd. With half the memory, since there are four of them.
 */
void bench_write_after_clone(void)
{
	struct samples samples;

	if (!env.ram_dir) {
		report_skip("ram-write-after-clone", "memfd has no FICLONE");
		return;
	}
	run_pairs("write after clone", pair_write_after_clone, env.pairs, 1,
		  &samples);
	report(&(struct result){
		.name = "ram-write-after-clone",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = "memfd, MAP_PRIVATE",
		.better = "lower",
		.limit = (limits.copy + limits.fault) / 2 * 1e3,
		.limit_name = "copies + faults that find their page",
	}, &samples);
}
