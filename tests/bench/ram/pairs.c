// SPDX-License-Identifier: GPL-2.0-only
/* Runs measurements in alternating pairs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/**
 * median() - middle of some numbers
 * @values: the numbers
 * @nr: how many, from 1 to MAX_PAIRS
 *
 * Return: the median.
 */
double median(const double *values, int nr)
{
	double sorted[MAX_PAIRS];

	memcpy(sorted, values, nr * sizeof(*values));
	qsort(sorted, nr, sizeof(*sorted), compare);
	return (sorted[(nr - 1) / 2] + sorted[nr / 2]) / 2;
}

/**
 * run_pairs() - measure both sides several times
 * @what: name for the progress line
 * @fn: makes one pair
 * @nr_parts: how many parts it has
 * @samples: filled, one per part
 */
void run_pairs(const char *what, pair_fn fn, int nr_parts,
	       struct samples *samples)
{
	double seconds[NR_SIDES][MAX_PARTS];
	double began = seconds_now();

	/* The first pair pays for slabs and page tables that later ones reuse. */
	for (int pair = -1; pair < env.pairs; pair++) {
		memset(seconds, 0, sizeof(seconds));
		fn(pair, seconds);
		for (int i = 0; pair >= 0 && i < nr_parts; i++)
			for (int side = 0; side < NR_SIDES; side++)
				samples[i].value[side][pair] = seconds[side][i];
	}
	for (int i = 0; i < nr_parts; i++)
		samples[i].nr = env.pairs;
	fprintf(stderr, "%s: %d pairs in %.0f s\n", what, env.pairs,
		seconds_now() - began);
}

/* What a step takes when nothing interferes: the mean of the faster half. */
static double undisturbed(double *times, size_t nr)
{
	size_t half = (nr + 1) / 2;
	double sum = 0;

	qsort(times, nr, sizeof(*times), compare);
	for (size_t i = 0; i < half; i++)
		sum += times[i];
	return sum / half;
}

/**
 * alternate() - work on both sides' memories in turn, step by step
 * @rams: memory of each side, of the same size
 * @work: what to do
 * @part: where in @seconds the time is stored
 * @seconds: time for the whole memory as it would be without disturbance; per
 *	side and part
 *
 * The first step of a region may need a new page-table page and others do not,
 * so a step is compared with those at the same place of other regions only.
 */
void alternate(const struct ram *rams, const struct work *work, int part,
	       double seconds[][MAX_PARTS])
{
	size_t nr_places = REGION_BYTES / work->bytes;
	size_t nr_regions = rams[OURS].bytes / work->nr_threads / REGION_BYTES;
	double *times;
	int side;

	times = calloc(NR_SIDES * nr_places * nr_regions, sizeof(*times));
	if (!times)
		die("no memory for times");
	for (size_t i = 0; i < nr_places * nr_regions; i++) {
		for (int turn = 0; turn < NR_SIDES; turn++) {
			/* Ours, peer, peer, ours: neither is always first. */
			side = (i + turn) % NR_SIDES;
			times[(side * nr_places + i % nr_places) * nr_regions +
			      i / nr_places] =
				work->step(&rams[side], i * work->bytes);
		}
	}
	for (side = 0; side < NR_SIDES; side++) {
		seconds[side][part] = 0;
		for (size_t place = 0; place < nr_places; place++)
			seconds[side][part] += nr_regions *
				undisturbed(times + (side * nr_places + place) *
					    nr_regions, nr_regions);
	}
	free(times);
}

static double step_write(const struct ram *ram, size_t at)
{
	return run_parallel(1, touch_write, ram, at, PIECE_BYTES);
}

const struct work work_write = { step_write, 1, PIECE_BYTES };

static double step_write_parallel(const struct ram *ram, size_t at)
{
	return run_parallel(NR_THREADS, touch_write, ram, at, REGION_BYTES);
}

/* Starting threads together takes time: these steps are longer. */
const struct work work_write_parallel = { step_write_parallel, NR_THREADS,
					  REGION_BYTES };
