// SPDX-License-Identifier: GPL-2.0-only
/* Giving pages back and touching them again, as balloons do. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "bench.h"

/* A balloon gives back page by page; fewer of them, since it is slow. */
#define PAGEWISE_SHARE	4

static double punch(const struct ram *ram, size_t at, size_t bytes,
		    size_t piece)
{
	double began = seconds_now();

	for (size_t end = at + bytes; at < end; at += piece)
		if (fallocate(ram->fd,
			      FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
			      piece))
			die("cannot punch %zu bytes at %zu: %s", piece, at,
			    strerror(errno));
	return seconds_now() - began;
}

/* Free page reporting gives back runs of this size on x86 and MIPS guests. */
static double step_punch(const struct ram *ram, size_t at)
{
	return punch(ram, at, REGION_BYTES, REGION_BYTES);
}

static double step_punch_pagewise(const struct ram *ram, size_t at)
{
	return punch(ram, at, PIECE_BYTES / PAGEWISE_SHARE, env.page_size);
}

static const struct work work_punch = { step_punch, REGION_BYTES };
static const struct work work_pagewise = { step_punch_pagewise, PIECE_BYTES };

static void pair_punch(int pair, double seconds[][MAX_PARTS])
{
	struct ram rams[NR_SIDES];

	(void)pair;
	for (int side = 0; side < NR_SIDES; side++)
		ram_populate(&rams[side], side, env.bytes / 2);
	alternate(rams, &work_punch, 0, seconds);
	alternate(rams, &work_write, 1, seconds);
	for (int side = 0; side < NR_SIDES; side++) {
		seconds[side][2] = seconds[side][0] + seconds[side][1];
		ram_check_local(&rams[side]);
	}
	alternate(rams, &work_pagewise, 3, seconds);
	for (int side = 0; side < NR_SIDES; side++)
		ram_close(&rams[side]);
}

/**
 * bench_punch() - punch a populated, mapped memory and touch it again
 *
 * With half the memory, as populating it takes most of the time.
 */
void bench_punch(void)
{
	struct samples samples[4];

	run_pairs("punch and refill", pair_punch, env.pairs, 4, samples);
	report(&(struct result){
		.name = "ram-punch",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = "memfd",
		.better = "lower",
		.limit = limits.zap / 2 * 1e3,
		.limit_name = "unmap only",
		.note = "in runs of 2 MiB, as free page reporting does",
	}, &samples[0]);
	report(&(struct result){
		.name = "ram-refill",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = "memfd",
		.better = "lower",
		.target = 1.10,
		.limit = (limits.set + limits.fault) / 2 * 1e3,
		.limit_name = "stores + faults that find their page",
	}, &samples[1]);
	report(&(struct result){
		.name = "ram-punch-and-refill",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = "memfd",
		.better = "lower",
		.target = 1.10,
		.limit = (limits.zap + limits.set + limits.fault) / 2 * 1e3,
		.limit_name = "unmap, stores, faults that find their page",
	}, &samples[2]);
	report(&(struct result){
		.name = "ram-punch-pagewise",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = "memfd",
		.better = "lower",
		.limit = limits.zap / 2 / PAGEWISE_SHARE * 1e3,
		.limit_name = "unmap only",
		.note = "a quarter of the memory, page by page, as a balloon does",
	}, &samples[3]);
}
