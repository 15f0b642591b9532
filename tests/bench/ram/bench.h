/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Benchmarks of a VM's memory: a file of disco against a memfd.
 *
 * A side is one of the two that are compared. A pair makes a fresh memory for
 * each side and does the same work with both, and a result is the median over
 * the pairs. The work goes in small steps, now on one side, now on the other,
 * and steps that something interfered with are left out. Opening, mapping and
 * removing files is never timed.
 */
#ifndef DISCO_BENCH_H
#define DISCO_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum side { OURS, PEER, NR_SIDES };

#define MAX_PAIRS	99
#define MAX_PARTS	6
#define NR_THREADS	4
/* What one page-table page maps on x86, and one leaf of a pmap. */
#define REGION_BYTES	(2 * MIB)
/* Small enough to be done, mostly, between two interruptions. */
#define PIECE_BYTES	(REGION_BYTES / 8)
/* Large enough that threads, which do not start at once, run side by side. */
#define TURN_BYTES	(4 * REGION_BYTES)
#define MIB		(1UL << 20)
#define GIB		(1UL << 30)

/**
 * struct bench_env - what all benchmarks share; constant once main() has run
 * @ram_dir: directory on disco, or NULL to compare memfd with itself
 * @out_dir: where results are written
 * @disco_fd: /dev/disco, or -1 without @ram_dir
 * @pairs: measured pairs of each benchmark
 * @bytes: size of the memory touched
 * @page_size: bytes of a page
 * @nr_cpus: entries of @cpus; below NR_THREADS on a small machine
 * @cpus: where threads are pinned, each on another node as far as there are
 *	nodes; the first is on the node with the most free memory
 */
struct bench_env {
	const char *ram_dir;
	const char *out_dir;
	int disco_fd;
	int pairs;
	size_t bytes;
	size_t page_size;
	int nr_cpus;
	int cpus[NR_THREADS];
};

extern struct bench_env env;

/**
 * struct limits - what the machine needs for the least that could be done
 * @set: writing @bench_env.bytes of memory that is mapped already
 * @set_parallel: the same by NR_THREADS threads
 * @copy: copying @bench_env.bytes, both sides mapped
 * @fault: one page fault per page that finds its page
 * @fault_parallel: the same by NR_THREADS threads
 * @zap: unmapping every page: a walk of the page table
 *
 * All in seconds.
 */
struct limits {
	double set, set_parallel, copy, fault, fault_parallel, zap;
};

extern struct limits limits;

void measure_limits(void);

/* main.c */
void die(const char *format, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

/* memory.c */

/**
 * struct ram - one memory
 * @fd: its file, which has no name any more
 * @map: shared mapping of the whole file, or NULL
 * @bytes: size of the mapping
 */
struct ram {
	int fd;
	char *map;
	size_t bytes;
};

void ram_open(struct ram *ram, enum side side, size_t bytes);
void ram_map(struct ram *ram, size_t bytes, int flags);
void ram_populate(struct ram *ram, enum side side, size_t bytes);
void ram_check_content(const struct ram *ram);
void ram_check_local(const struct ram *ram);
void ram_close(struct ram *ram);
unsigned long ram_misplaced(void);

/* parallel.c */
typedef void (*touch_fn)(char *start, size_t bytes);

double seconds_now(void);
void pin_to_cpu(int cpu);
void choose_cpus(void);
long long node_free(int node);
void run_parallel(touch_fn fn, const struct ram *ram, size_t at, size_t bytes,
		  double *times);
double run_piece(touch_fn fn, const struct ram *ram, size_t at);
void touch_write(char *start, size_t bytes);
void touch_read_write(char *start, size_t bytes);

/* pairs.c */

/**
 * struct samples - one number per side and pair
 * @nr: pairs
 * @value: the numbers
 */
struct samples {
	int nr;
	double value[NR_SIDES][MAX_PAIRS];
};

/* Makes one pair and stores the seconds of each part of the work. */
typedef void (*pair_fn)(int pair, double seconds[][MAX_PARTS]);

/**
 * struct work - work on a memory, done in steps
 * @step: does the step at offset @at; returns the seconds that it took
 * @bytes: how much memory that is; divides REGION_BYTES
 */
struct work {
	double (*step)(const struct ram *ram, size_t at);
	size_t bytes;
};

extern const struct work work_write;

void run_pairs(const char *what, pair_fn fn, int nr_pairs, int nr_parts,
	       struct samples *samples);
void alternate(const struct ram *rams, const struct work *work, int part,
	       double seconds[][MAX_PARTS]);
void alternate_parallel(const struct ram *rams, touch_fn fn, int part,
			double seconds[][MAX_PARTS]);
double undisturbed(const double *times, size_t bytes, size_t step_bytes);
double median(const double *values, int nr);

/* copy.c */
const char *choose_copy(void);
double time_copy(const struct ram *from, struct ram *to);
double time_cp(const struct ram *from, struct ram *to);

/* move.c */
double move_by_disco(const struct ram *ram, uint32_t operation, int node,
		     size_t at, unsigned int nr);

/* report.c */

/**
 * struct result - what is written besides the numbers of the pairs
 * @name: file name without .json
 * @unit: unit of the numbers
 * @scale: what a sample is multiplied with to be in @unit; 0 means 1
 * @peer_name: what ours is compared with
 * @better: "lower" or "higher"
 * @target: bound of the ratio that @better points away from; 0: only reported
 * @limit: least that the machine needs, in @unit; 0: none known
 * @limit_name: what @limit is
 * @note: a sentence for the reader, or NULL
 */
struct result {
	const char *name;
	const char *unit;
	double scale;
	const char *peer_name;
	const char *better;
	double target;
	double limit;
	const char *limit_name;
	const char *note;
};

void report(const struct result *result, const struct samples *samples);
void report_skip(const char *name, const char *reason);

/* The benchmarks; each reports its results itself. */
void bench_noise(void);
void bench_touch(void);
void bench_read_write(void);
void bench_punch(void);
void bench_clone(void);
void bench_write_after_clone(void);
void bench_disk(void);
void bench_move(void);
void bench_replicate(void);
void bench_metadata(void);

#endif
