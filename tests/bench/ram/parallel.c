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
	double began, ended;
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

static void *work(void *argument)
{
	struct worker *worker = argument;

	pin_to_cpu(worker->cpu);
	pthread_barrier_wait(worker->start_line);
	worker->began = seconds_now();
	worker->fn(worker->start, worker->bytes);
	worker->ended = seconds_now();
	return NULL;
}

/**
 * run_parallel() - have threads work on one memory
 * @nr: threads, at most env.nr_cpus, each on its own CPU; one is the caller
 * @fn: what each does
 * @ram: a mapped memory, of which each thread has an equal part
 * @at: offset in a thread's part
 * @bytes: how much of it to work on
 *
 * Return: seconds from the first start to the last end.
 */
double run_parallel(int nr, touch_fn fn, const struct ram *ram, size_t at,
		    size_t bytes)
{
	struct worker workers[NR_THREADS];
	pthread_barrier_t start_line;
	double began, ended;
	int error;

	if (nr == 1) {
		began = seconds_now();
		fn(ram->map + at, bytes);
		return seconds_now() - began;
	}

	pthread_barrier_init(&start_line, NULL, nr);
	for (int i = 0; i < nr; i++) {
		workers[i] = (struct worker){
			.start_line = &start_line,
			.cpu = env.cpus[i],
			.fn = fn,
			.start = ram->map + ram->bytes / nr * i + at,
			.bytes = bytes,
		};
		error = pthread_create(&workers[i].thread, NULL, work,
				       &workers[i]);
		if (error)
			die("cannot start a thread: %s", strerror(error));
	}
	began = 1e300;
	ended = 0;
	for (int i = 0; i < nr; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].began < began)
			began = workers[i].began;
		if (workers[i].ended > ended)
			ended = workers[i].ended;
	}
	pthread_barrier_destroy(&start_line);
	return ended - began;
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
