// SPDX-License-Identifier: GPL-2.0-only
/* First touch of memory: by one thread, by four, and read before written. */
#include <stdio.h>
#include <sys/mman.h>

#include "bench.h"

#define TARGET 1.10

static double step_read_write(const struct ram *ram, size_t at)
{
	return run_piece(touch_read_write, ram, at);
}

static const struct work work_read_write = { step_read_write, PIECE_BYTES };

static void open_fresh(struct ram *rams, enum side ours, size_t bytes)
{
	ram_open(&rams[OURS], ours, bytes);
	ram_open(&rams[PEER], PEER, bytes);
	for (int side = 0; side < NR_SIDES; side++)
		ram_map(&rams[side], bytes, MAP_SHARED);
}

static void touch_fresh(enum side ours, size_t bytes, const struct work *work,
			double seconds[][MAX_PARTS])
{
	struct ram rams[NR_SIDES];

	open_fresh(rams, ours, bytes);
	alternate(rams, work, 0, seconds);
	for (int side = 0; side < NR_SIDES; side++) {
		ram_check_local(&rams[side]);
		ram_close(&rams[side]);
	}
}

static void touch_fresh_parallel(int part, double seconds[][MAX_PARTS])
{
	struct ram rams[NR_SIDES];

	open_fresh(rams, OURS, env.bytes);
	alternate_parallel(rams, touch_write, part, seconds);
	for (int side = 0; side < NR_SIDES; side++)
		ram_close(&rams[side]);
}

static void pair_touch(int pair, double seconds[][MAX_PARTS])
{
	(void)pair;
	touch_fresh(OURS, env.bytes, &work_write, seconds);
	if (env.nr_cpus == NR_THREADS)
		touch_fresh_parallel(1, seconds);
}

static void pair_noise(int pair, double seconds[][MAX_PARTS])
{
	(void)pair;
	touch_fresh(PEER, env.bytes / 2, &work_write, seconds);
}

static void pair_read_write(int pair, double seconds[][MAX_PARTS])
{
	(void)pair;
	touch_fresh(OURS, env.bytes / 2, &work_read_write, seconds);
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

	run_pairs("noise", pair_noise, env.pairs, 1, &samples);
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

	run_pairs("first touch", pair_touch, env.pairs, parallel ? 2 : 1,
		  samples);
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
		.note = "time of each for a quarter, if it has a CPU of its own",
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
		.note = "how much faster four threads are than one; 4 if none waits for another",
	}, &scaling);
}

/**
 * bench_read_write() - read, then write every page of half as much memory
 *
 * Two faults a page here, since a hole that is read gets no page; one in memfd.
 */
void bench_read_write(void)
{
	struct samples samples;

	run_pairs("read then write", pair_read_write, env.pairs, 1, &samples);
	report(&(struct result){
		.name = "ram-read-then-write",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = "memfd",
		.better = "lower",
		.target = 1.6,
		.limit = (limits.set + limits.fault) / 2 * 1e3,
		.limit_name = "stores + faults that find their page",
		.note = "two faults a page against one: the target is an aim",
	}, &samples);
}
