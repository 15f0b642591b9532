// SPDX-License-Identifier: GPL-2.0-only
/* What the machine needs for the least that any memory has to do. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

#define NR_RUNS 3

enum part { SET, SET_PARALLEL, COPY, ZAP, FAULT, FAULT_PARALLEL, NR_PARTS };

struct limits limits;

/* Not memset(), memcpy(): string instructions are slow when emulated. */
static void store(char *start, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += sizeof(uint64_t)) {
		*(uint64_t *)(start + at) = at;
		asm volatile("" : : "r"(start) : "memory");
	}
}

static void copy_words(char *to, const char *from, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += sizeof(uint64_t)) {
		*(uint64_t *)(to + at) = *(const uint64_t *)(from + at);
		asm volatile("" : : "r"(to) : "memory");
	}
}

static double step_set(const struct ram *ram, size_t at)
{
	return run_piece(store, ram, at);
}

static double step_copy(const struct ram *ram, size_t at)
{
	/* Not by a power of two: an emulated TLB would hold only one of both. */
	size_t from = (at + ram->bytes / 2 + 3 * PIECE_BYTES) % ram->bytes;
	double began = seconds_now();

	copy_words(ram->map + at, ram->map + from, PIECE_BYTES);
	return seconds_now() - began;
}

static double step_zap(const struct ram *ram, size_t at)
{
	double began = seconds_now();

	if (madvise(ram->map + at, REGION_BYTES, MADV_DONTNEED))
		die("madvise(MADV_DONTNEED): %s", strerror(errno));
	return seconds_now() - began;
}

static const struct work work_set = { step_set, PIECE_BYTES };
static const struct work work_copy = { step_copy, PIECE_BYTES };
static const struct work work_zap = { step_zap, REGION_BYTES };

/* Two memfds, so both sides are the same. */
static void pair_limits(int pair, double seconds[][MAX_PARTS])
{
	struct ram rams[NR_SIDES];

	(void)pair;
	for (int side = 0; side < NR_SIDES; side++)
		ram_populate(&rams[side], PEER, env.bytes);
	alternate(rams, &work_set, SET, seconds);
	alternate(rams, &work_copy, COPY, seconds);
	alternate(rams, &work_zap, ZAP, seconds);
	alternate(rams, &work_write, FAULT, seconds);
	if (env.nr_cpus == NR_THREADS) {
		alternate_parallel(rams, store, SET_PARALLEL, seconds);
		alternate(rams, &work_zap, ZAP, seconds);
		alternate_parallel(rams, touch_write, FAULT_PARALLEL,
				   seconds);
	}
	for (int side = 0; side < NR_SIDES; side++)
		ram_close(&rams[side]);
}

static double limit(const struct samples *samples)
{
	return median(samples->value[PEER], samples->nr);
}

/**
 * measure_limits() - fill @limits
 *
 * A fault that finds its page is had by unmapping a populated memfd and writing
 * to it again: an exception, a look-up and a page-table entry, but no page to
 * allocate and no bytes to clear.
 */
void measure_limits(void)
{
	struct samples samples[NR_PARTS];

	run_pairs("limits", pair_limits, NR_RUNS, NR_PARTS, samples);
	limits = (struct limits){
		.set = limit(&samples[SET]),
		.set_parallel = limit(&samples[SET_PARALLEL]),
		.copy = limit(&samples[COPY]),
		.fault = limit(&samples[FAULT]),
		.fault_parallel = limit(&samples[FAULT_PARALLEL]),
		.zap = limit(&samples[ZAP]),
	};
	fprintf(stderr,
		"limits for %zu MiB: stores %.1f ms (4 threads %.1f), copies %.1f, faults that find their page %.1f (4 threads %.1f), unmap %.2f\n",
		env.bytes / MIB, limits.set * 1e3, limits.set_parallel * 1e3,
		limits.copy * 1e3, limits.fault * 1e3,
		limits.fault_parallel * 1e3, limits.zap * 1e3);
}
