// SPDX-License-Identifier: GPL-2.0-only
/* Cloning a VM's memory against copying it, and the first write after it. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#define RUNS_PER_PAIR	3

/* Parts of a pair; the same clone is held against two ways to copy. */
enum { CLONE, CLONE_FASTEST, AGAIN, NR_PARTS };

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

static void keep_fastest(double *fastest, double seconds)
{
	if (!*fastest || seconds < *fastest)
		*fastest = seconds;
}

static void clone_once(const struct ram *from, double *parts)
{
	struct ram to, again;

	ram_open(&to, OURS, 0);
	keep_fastest(&parts[CLONE], time_clone(from, &to));
	check_copy(from, &to);

	ram_open(&again, OURS, 0);
	keep_fastest(&parts[AGAIN], time_clone(from, &again));
	ram_close(&again);
	ram_close(&to);
}

static void copy_once(const struct ram *from, double *parts)
{
	struct ram to;

	ram_open(&to, PEER, 0);
	keep_fastest(&parts[CLONE], time_cp(from, &to));
	check_copy(from, &to);
	ram_close(&to);
}

/*
 * A clone cannot be done in steps, nor can cp, so the fastest of a few is taken
 * of each. The source stays mapped, as that of a paused guest is, and writing to
 * it makes its pages private and mapped again.
 */
static void pair_clone(int pair, double seconds[][MAX_PARTS])
{
	struct ram from, to;

	(void)pair;
	ram_populate(&from, OURS, env.bytes);
	for (int i = 0; i < RUNS_PER_PAIR; i++) {
		clone_once(&from, seconds[OURS]);
		touch_write(from.map, from.bytes);
	}
	seconds[OURS][CLONE_FASTEST] = seconds[OURS][CLONE];
	ram_close(&from);

	ram_populate(&from, PEER, env.bytes);
	for (int i = 0; i < RUNS_PER_PAIR; i++)
		copy_once(&from, seconds[PEER]);
	ram_open(&to, PEER, 0);
	seconds[PEER][CLONE_FASTEST] = time_copy(&from, &to);
	seconds[PEER][AGAIN] = seconds[PEER][CLONE_FASTEST];
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
	struct samples samples[NR_PARTS];
	const char *fastest;

	if (!env.ram_dir) {
		report_skip("ram-clone", "memfd has no FICLONE");
		report_skip("ram-clone-fastest", "memfd has no FICLONE");
		report_skip("ram-clone-again", "memfd has no FICLONE");
		return;
	}
	fastest = choose_copy();
	run_pairs("clone", pair_clone, env.pairs, NR_PARTS, samples);
	report(&(struct result){
		.name = "ram-clone",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = "memfd, cp",
		.better = "lower",
		.target = 1.0 / 20,
		.limit = limits.zap * 1e3,
		.limit_name = "unmap only",
		.note = "fastest of three a pair, of clones and of runs of cp",
	}, &samples[CLONE]);
	report(&(struct result){
		.name = "ram-clone-fastest",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = fastest,
		.better = "lower",
		.limit = limits.zap * 1e3,
		.limit_name = "unmap only",
		.note = "the same clone; fastest of four ways to copy",
	}, &samples[CLONE_FASTEST]);
	report(&(struct result){
		.name = "ram-clone-again",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = fastest,
		.better = "lower",
		.note = "second clone: nothing is mapped and all pages are shared",
	}, &samples[AGAIN]);
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
