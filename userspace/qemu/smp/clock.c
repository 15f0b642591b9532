// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looks at the clock on one processor after the other: it may not go back.
 *
 *   clock SECONDS
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
	long long end, last = now(), t;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), moves = 0;
	cpu_set_t set;

	end = last + (argc == 2 ? atoi(argv[1]) : 1) * 1000000000LL;
	while (last < end) {
		CPU_ZERO(&set);
		CPU_SET(moves++ % cpus, &set);
		if (sched_setaffinity(0, sizeof(set), &set)) {
			perror("sched_setaffinity");
			return 1;
		}
		for (int i = 0; i < 20; i++) {
			t = now();
			if (t < last) {
				printf("the clock went back by %lld ns\n", last - t);
				return 1;
			}
			last = t;
		}
	}
	printf("%ld moves\n", moves);
	return 0;
}
