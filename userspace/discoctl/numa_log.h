/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NUMA_LOG_H
#define NUMA_LOG_H

#include <stdio.h>

#include "discoctl.h"

/**
 * struct sample - one machine, or all, in one line of a log
 * @moved: pages in a second, or NAN
 * @local: 0 to 1, or NAN
 */
struct sample {
	double moved;
	double local;
};

/**
 * struct series - one machine, or all, over time
 * @name: path relative to ram/; NULL for all
 * @sample: one for each line of the log
 * @moved: pages, all together
 */
struct series {
	char *name;
	struct sample *sample;
	double moved;
};

/**
 * struct numa_log - a log of locality and moves, see numa-log.rst
 * @time: seconds since 1970, of each line
 * @nr: number of lines
 * @room: room for lines
 * @series: all together first, then machines as they come up
 * @nr_series: how many
 * @error: what is wrong, after a failure
 */
struct numa_log {
	double *time;
	size_t nr;
	size_t room;
	struct series *series;
	size_t nr_series;
	char error[512];
};

int numa_log_read(struct numa_log *log, FILE *file);
void numa_log_free(struct numa_log *log);

/* plot.c */
int plot_write(FILE *out, const struct numa_log *log,
	       const struct series *const *line, size_t nr, size_t more);

#endif /* NUMA_LOG_H */
