// SPDX-License-Identifier: GPL-2.0-only
/* What the machine needs for the least that any memory has to do. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

#define NR_RUNS 9

struct limits limits;

static void set_slice(char *start, size_t bytes)
{
	memset(start, 1, bytes);
}

static void unmap_pages(const struct ram *ram)
{
	if (madvise(ram->map, ram->bytes, MADV_DONTNEED))
		die("madvise(MADV_DONTNEED): %s", strerror(errno));
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
	int nr_threads = env.nr_cpus < NR_THREADS ? env.nr_cpus : NR_THREADS;
	double set[NR_RUNS], set_parallel[NR_RUNS], copy[NR_RUNS];
	double fault[NR_RUNS], fault_parallel[NR_RUNS], zap[NR_RUNS];
	struct ram from, to;
	double began;

	ram_populate(&from, PEER, env.bytes);
	ram_populate(&to, PEER, env.bytes);
	for (int i = 0; i < NR_RUNS; i++) {
		set[i] = run_parallel(1, set_slice, to.map, to.bytes);
		set_parallel[i] = run_parallel(nr_threads, set_slice, to.map,
					       to.bytes);
		began = seconds_now();
		memcpy(to.map, from.map, to.bytes);
		copy[i] = seconds_now() - began;

		began = seconds_now();
		unmap_pages(&to);
		zap[i] = seconds_now() - began;
		fault[i] = run_parallel(1, touch_write, to.map, to.bytes);
		unmap_pages(&to);
		fault_parallel[i] = run_parallel(nr_threads, touch_write,
						 to.map, to.bytes);
	}
	ram_close(&from);
	ram_close(&to);

	limits = (struct limits){
		.set = median(set, NR_RUNS),
		.set_parallel = median(set_parallel, NR_RUNS),
		.copy = median(copy, NR_RUNS),
		.fault = median(fault, NR_RUNS),
		.fault_parallel = median(fault_parallel, NR_RUNS),
		.zap = median(zap, NR_RUNS),
	};
}
