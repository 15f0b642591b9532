// SPDX-License-Identifier: GPL-2.0-only
/* First touch of memory: by one thread, by four, and read before written. */
#include <stdio.h>
#include <sys/mman.h>

#include "bench.h"

#define TARGET 1.10

static double step_read_write(const struct ram *ram, size_t at)
{
	return run_parallel(1, touch_read_write, ram, at, PIECE_BYTES);
}

static const struct work work_read_write = { step_read_write, 1, PIECE_BYTES };

static void touch_fresh(enum side ours, const struct work *work, int part,
			double seconds[][MAX_PARTS])
{
	struct ram rams[NR_SIDES];

	ram_open(&rams[OURS], ours, env.bytes);
	ram_open(&rams[PEER], PEER, env.bytes);
	for (int side = 0; side < NR_SIDES; side++)
		ram_map(&rams[side], env.bytes, MAP_SHARED);
	alternate(rams, work, part, seconds);
	for (int side = 0; side < NR_SIDES; side++) {
		if (work->nr_threads == 1)
			ram_check_local(&rams[side]);
		ram_close(&rams[side]);
	}
}

static void pair_touch(int pair, double seconds[][MAX_PARTS])
{
	(void)pair;
	touch_fresh(OURS, &work_write, 0, seconds);
	if (env.nr_cpus == NR_THREADS)
		touch_fresh(OURS, &work_write_parallel, 1, seconds);
}

static void pair_noise(int pair, double seconds[][MAX_PARTS])
{
	(void)pair;
	touch_fresh(PEER, &work_write, 0, seconds);
}

static void pair_read_write(int pair, double seconds[][MAX_PARTS])
{
	(void)pair;
	touch_fresh(OURS, &work_read_write, 0, seconds);
}

/**
 * bench_noise() - what the same work twice looks like on this machine
 *
 * A ratio of another benchmark means something only as far as it leaves the
 * range that is seen here.
 */
void bench_noise(void)
{
	struct samples samples;

	run_pairs("noise", pair_noise, 1, &samples);
	report(&(struct result){
		.name = "ram-noise",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = "memfd (both)",
		.better = "lower",
		.note = "memfd against itself: how far a ratio strays by chance",
	}, &samples);
}

/**
 * bench_touch() - write to every page of a fresh memory
 *
 * By one thread, by NR_THREADS on different nodes, and how much faster the
 * latter is.
 */
void bench_touch(void)
{
	struct samples samples[2], scaling;
	bool parallel = env.nr_cpus == NR_THREADS;
	char reason[80];

	run_pairs("first touch", pair_touch, parallel ? 2 : 1, samples);
	report(&(struct result){
		.name = "ram-first-touch",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = "memfd",
		.better = "lower",
		.target = TARGET,
		.limit = (limits.set + limits.fault) * 1e3,
		.limit_name = "stores + faults that find their page",
	}, &samples[0]);

	if (!parallel) {
		snprintf(reason, sizeof(reason), "needs %d CPUs, has %d",
			 NR_THREADS, env.nr_cpus);
		report_skip("ram-first-touch-4-threads", reason);
		report_skip("ram-first-touch-scaling", reason);
		return;
	}
	report(&(struct result){
		.name = "ram-first-touch-4-threads",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = "memfd",
		.better = "lower",
		.target = TARGET,
		.limit = (limits.set_parallel + limits.fault_parallel) * 1e3,
		.limit_name = "stores + faults that find their page, 4 threads",
	}, &samples[1]);

	scaling.nr = samples[0].nr;
	for (int i = 0; i < scaling.nr; i++)
		for (int side = 0; side < NR_SIDES; side++)
			scaling.value[side][i] = samples[0].value[side][i] /
						 samples[1].value[side][i];
	report(&(struct result){
		.name = "ram-first-touch-scaling",
		.unit = "x",
		.peer_name = "memfd",
		.better = "higher",
		.target = 1,
		.limit = (limits.set + limits.fault) /
			 (limits.set_parallel + limits.fault_parallel),
		.limit_name = "stores + faults that find their page",
		.note = "time of one thread divided by that of four",
	}, &scaling);
}

/**
 * bench_read_write() - read, then write every page of a fresh memory
 *
 * Two faults a page here, since a hole that is read gets no page; one in memfd.
 */
void bench_read_write(void)
{
	struct samples samples;

	run_pairs("read then write", pair_read_write, 1, &samples);
	report(&(struct result){
		.name = "ram-read-then-write",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = "memfd",
		.better = "lower",
		.target = 1.6,
		.limit = (limits.set + limits.fault) * 1e3,
		.limit_name = "stores + faults that find their page",
		.note = "two faults a page against one: the target is an aim",
	}, &samples);
}
