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
 * @nr_pairs: how many of them
 * @nr_parts: how many parts it has
 * @samples: filled, one per part
 */
void run_pairs(const char *what, pair_fn fn, int nr_pairs, int nr_parts,
	       struct samples *samples)
{
	double seconds[NR_SIDES][MAX_PARTS];
	double began = seconds_now();

	/* The first pair pays for slabs and page tables that later ones reuse. */
	for (int pair = -1; pair < nr_pairs; pair++) {
		memset(seconds, 0, sizeof(seconds));
		fn(pair, seconds);
		for (int i = 0; pair >= 0 && i < nr_parts; i++)
			for (int side = 0; side < NR_SIDES; side++)
				samples[i].value[side][pair] = seconds[side][i];
	}
	for (int i = 0; i < nr_parts; i++)
		samples[i].nr = nr_pairs;
	fprintf(stderr, "%s: %d pairs in %.0f s\n", what, nr_pairs,
		seconds_now() - began);
}

/**
 * undisturbed() - what steps take when nothing interferes
 * @times: seconds of each step
 * @bytes: size of the memory
 * @step_bytes: size of a step
 *
 * The first step of a region may need a new page-table page and others do not,
 * so a step is compared with those at the same place of other regions only.
 *
 * Return: seconds for all, if the slower half were as fast as the faster half.
 */
double undisturbed(const double *times, size_t bytes, size_t step_bytes)
{
	size_t nr_places = REGION_BYTES / step_bytes;
	size_t nr = bytes / REGION_BYTES, half = (nr + 1) / 2;
	double sum = 0, *alike = calloc(nr, sizeof(*alike));

	if (!alike)
		die("no memory for %zu times", nr);
	for (size_t place = 0; place < nr_places; place++) {
		for (size_t i = 0; i < nr; i++)
			alike[i] = times[i * nr_places + place];
		qsort(alike, nr, sizeof(*alike), compare);
		for (size_t i = 0; i < half; i++)
			sum += alike[i] * nr / half;
	}
	free(alike);
	return sum;
}

static void allocate_times(double **times, size_t nr)
{
	for (int side = 0; side < NR_SIDES; side++) {
		times[side] = calloc(nr, sizeof(**times));
		if (!times[side])
			die("no memory for %zu times", nr);
	}
}

/* Ours, peer, peer, ours: neither is always first. */
static int side_of_turn(size_t step, int turn)
{
	return (step + turn) % NR_SIDES;
}

/**
 * alternate() - work on both sides' memories in turn, step by step
 * @rams: memory of each side, of the same size
 * @work: what to do
 * @part: where in @seconds the time is stored
 * @seconds: time for the whole memory as it would be without disturbance; per
 *	side and part
 */
void alternate(const struct ram *rams, const struct work *work, int part,
	       double seconds[][MAX_PARTS])
{
	size_t bytes = rams[OURS].bytes, nr = bytes / work->bytes;
	double *times[NR_SIDES];
	int side;

	allocate_times(times, nr);
	for (size_t i = 0; i < nr; i++) {
		for (int turn = 0; turn < NR_SIDES; turn++) {
			side = side_of_turn(i, turn);
			times[side][i] =
				work->step(&rams[side], i * work->bytes);
		}
	}
	for (side = 0; side < NR_SIDES; side++) {
		seconds[side][part] = undisturbed(times[side], bytes,
						  work->bytes);
		free(times[side]);
	}
}

/**
 * alternate_parallel() - have NR_THREADS threads work on both sides in turn
 * @rams: memory of each side, of the same size
 * @fn: what to do with a piece
 * @part: where in @seconds the time is stored
 * @seconds: time of one thread for its share, on average, as it would be if
 *	each had a CPU of its own; per side and part
 *
 * The threads work on the same side at the same time, so what one of them
 * waits for another is in the time; what a virtual CPU waits for a real one is
 * mostly not.
 */
void alternate_parallel(const struct ram *rams, touch_fn fn, int part,
			double seconds[][MAX_PARTS])
{
	size_t bytes = rams[OURS].bytes, share = bytes / NR_THREADS;
	double *times[NR_SIDES];
	int side;

	allocate_times(times, bytes / PIECE_BYTES);
	for (size_t at = 0; at < share; at += TURN_BYTES)
		for (int turn = 0; turn < NR_SIDES; turn++) {
			side = side_of_turn(at / TURN_BYTES, turn);
			run_parallel(fn, &rams[side], at, TURN_BYTES,
				     times[side]);
		}
	for (side = 0; side < NR_SIDES; side++) {
		seconds[side][part] = undisturbed(times[side], bytes,
						  PIECE_BYTES) / NR_THREADS;
		free(times[side]);
	}
}

static double step_write(const struct ram *ram, size_t at)
{
	return run_piece(touch_write, ram, at);
}

const struct work work_write = { step_write, PIECE_BYTES };
