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

/**
 * alternate() - work on both sides' memories slice by slice
 * @rams: memory of each side, of the same size
 * @step: works on one slice
 * @part: where in @seconds its time is added
 * @seconds: sums, per side and part
 */
void alternate(const struct ram *rams, step_fn step, int part,
	       double seconds[][MAX_PARTS])
{
	size_t bytes = rams[OURS].bytes / NR_SLICES;
	int side;

	for (int slice = 0; slice < NR_SLICES; slice++) {
		for (int turn = 0; turn < NR_SIDES; turn++) {
			/* Ours, peer, peer, ours: neither is always first. */
			side = (slice + turn) % NR_SIDES;
			seconds[side][part] += step(&rams[side], slice * bytes,
						    bytes);
		}
	}
}

/**
 * step_write() - touch a slice by one thread
 * @ram: a mapped memory
 * @at: begin of the slice
 * @bytes: its size
 *
 * Return: seconds that it took.
 */
double step_write(const struct ram *ram, size_t at, size_t bytes)
{
	return run_parallel(1, touch_write, ram->map + at, bytes);
}
