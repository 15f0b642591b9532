// SPDX-License-Identifier: GPL-2.0-only
/* Pinned threads that touch memory, and the clock. */
#define _GNU_SOURCE
#include <errno.h>
#include <numa.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "bench.h"

struct worker {
	pthread_t thread;
	pthread_barrier_t *start_line;
	int cpu;
	touch_fn fn;
	char *start;
	size_t bytes;
	double *times;
};

/**
 * seconds_now() - the clock
 *
 * Return: seconds since some fixed moment.
 */
double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/**
 * pin_to_cpu() - keep the calling thread on one CPU
 * @cpu: its number
 */
void pin_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("cannot run on CPU %d: %s", cpu, strerror(errno));
}

/**
 * node_free() - free memory of a node
 * @node: its number
 *
 * Return: bytes.
 */
long long node_free(int node)
{
	long long nr_free = 0;

	numa_node_size64(node, &nr_free);
	return nr_free;
}

/**
 * choose_cpus() - fill env.cpus
 *
 * One CPU of each node first, nodes with more free memory first, so that the
 * parallel case uses the memory of all nodes.
 */
void choose_cpus(void)
{
	long long best_free;
	cpu_set_t allowed;
	bool used_node[1024] = { 0 };
	int best, node;

	if (numa_available() < 0)
		die("the kernel has no NUMA support: local and remote memory cannot be told apart");
	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		die("sched_getaffinity: %s", strerror(errno));

	env.nr_cpus = 0;
	while (env.nr_cpus < NR_THREADS && CPU_COUNT(&allowed) > 0) {
		best = -1;
		best_free = -1;
		for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
			if (!CPU_ISSET(cpu, &allowed))
				continue;
			node = numa_node_of_cpu(cpu);
			if (used_node[node] || node_free(node) <= best_free)
				continue;
			best = cpu;
			best_free = node_free(node);
		}
		if (best < 0) {
			memset(used_node, 0, sizeof(used_node));
			continue;
		}
		CPU_CLR(best, &allowed);
		used_node[numa_node_of_cpu(best)] = true;
		env.cpus[env.nr_cpus++] = best;
	}
}

static double timed(touch_fn fn, char *start)
{
	double began = seconds_now();

	fn(start, PIECE_BYTES);
	return seconds_now() - began;
}

/**
 * run_piece() - work on a piece of a memory
 * @fn: what to do with it
 * @ram: a mapped memory
 * @at: begin of the piece
 *
 * Return: seconds that it took.
 */
double run_piece(touch_fn fn, const struct ram *ram, size_t at)
{
	return timed(fn, ram->map + at);
}

static void *work(void *argument)
{
	struct worker *worker = argument;

	pin_to_cpu(worker->cpu);
	pthread_barrier_wait(worker->start_line);
	for (size_t at = 0; at < worker->bytes; at += PIECE_BYTES)
		*worker->times++ = timed(worker->fn, worker->start + at);
	return NULL;
}

/**
 * run_parallel() - have NR_THREADS threads work on one memory
 * @fn: what each does, piece by piece
 * @ram: a mapped memory, of which each thread has an equal share
 * @at: offset in a thread's share
 * @bytes: how much of it to work on
 * @times: filled with the seconds for each piece of @ram worked on
 */
void run_parallel(touch_fn fn, const struct ram *ram, size_t at, size_t bytes,
		  double *times)
{
	size_t share = ram->bytes / NR_THREADS;
	struct worker workers[NR_THREADS];
	pthread_barrier_t start_line;
	int error;

	pthread_barrier_init(&start_line, NULL, NR_THREADS);
	for (int i = 0; i < NR_THREADS; i++) {
		size_t start = share * i + at;

		workers[i] = (struct worker){
			.start_line = &start_line,
			.cpu = env.cpus[i],
			.fn = fn,
			.start = ram->map + start,
			.bytes = bytes,
			.times = times + start / PIECE_BYTES,
		};
		error = pthread_create(&workers[i].thread, NULL, work,
				       &workers[i]);
		if (error)
			die("cannot start a thread: %s", strerror(error));
	}
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	pthread_barrier_destroy(&start_line);
}

/**
 * touch_write() - write one word to each page
 * @start: begin of the memory
 * @bytes: its size
 *
 * The word is the offset in @start plus one, see ram_check_content().
 */
void touch_write(char *start, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += env.page_size)
		*(volatile uint64_t *)(start + at) = at + 1;
}

/**
 * touch_read_write() - read one word of each page, then write it
 * @start: begin of the memory
 * @bytes: its size
 */
void touch_read_write(char *start, size_t bytes)
{
	volatile uint64_t *word;

	for (size_t at = 0; at < bytes; at += env.page_size) {
		word = (volatile uint64_t *)(start + at);
		*word = *word + 1;
	}
}
