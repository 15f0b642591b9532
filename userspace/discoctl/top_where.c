// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl top, where machines run: the threads of the processes that have a
 * machine's memory mapped, and the nodes of the processors they were on.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitors.h"
#include "top.h"

struct top_paths top_paths = {
	.proc = "/proc",
	.nodes = "/sys/devices/system/node",
};

static int out_of_memory(struct top *top)
{
	return top_fail(top, ENOMEM, "not enough memory");
}

static int set_cpus(struct top *top, unsigned long first, unsigned long last,
		    unsigned int node)
{
	if (last >= top->nr_cpus) {
		unsigned int *more = reallocarray(top->cpu_node, last + 1,
						  sizeof(*more));

		if (!more)
			return out_of_memory(top);
		for (size_t cpu = top->nr_cpus; cpu <= last; cpu++)
			more[cpu] = TOP_MAX_NODES;
		top->cpu_node = more;
		top->nr_cpus = last + 1;
	}
	for (unsigned long cpu = first; cpu <= last; cpu++)
		top->cpu_node[cpu] = node;
	return 0;
}

/* Such as 0-3,8; empty for a node without processors. */
static int read_cpulist(struct top *top, FILE *file, unsigned int node)
{
	unsigned int first, last;
	int ret = 0;

	while (!ret && fscanf(file, "%u", &first) == 1) {
		if (fscanf(file, "-%u", &last) != 1)
			last = first;
		if (first <= last && last < 1 << 20)
			ret = set_cpus(top, first, last, node);
		(void)!fscanf(file, ",");
	}
	return ret;
}

static FILE *open_in(const char *folder, const char *name, const char *file)
{
	FILE *stream = NULL;
	char *path;

	if (asprintf(&path, "%s/%s/%s", folder, name, file) < 0)
		return NULL;
	stream = fopen(path, "re");
	free(path);
	return stream;
}

/**
 * top_read_cpus - learn which processor is on which node
 * @top: gets it
 *
 * A kernel that does not know of nodes has one, number 0.
 *
 * Return: 0 or -ENOMEM.
 */
int top_read_cpus(struct top *top)
{
	DIR *dir = opendir(top_paths.nodes);
	struct dirent *ent;
	int ret = 0;

	if (!dir)
		return 0;
	while (!ret && (ent = readdir(dir))) {
		unsigned int node;
		FILE *file;
		char rest;

		if (sscanf(ent->d_name, "node%u%c", &node, &rest) != 1 ||
		    node >= TOP_MAX_NODES)
			continue;
		file = open_in(top_paths.nodes, ent->d_name, "cpulist");
		if (!file)
			continue;
		ret = read_cpulist(top, file, node);
		fclose(file);
	}
	closedir(dir);
	return ret;
}

/**
 * top_add_thread - a machine has one more thread
 * @top: gets the error
 * @vm: the machine
 * @thread: the thread
 *
 * Return: 0 or -ENOMEM.
 */
int top_add_thread(struct top *top, struct top_vm *vm,
		   const struct top_thread *thread)
{
	struct top_thread *more;

	/* Room doubles at powers of two. */
	if (!(vm->nr_threads & (vm->nr_threads - 1))) {
		more = reallocarray(vm->thread, 2 * vm->nr_threads + 1,
				    sizeof(*more));
		if (!more)
			return out_of_memory(top);
		vm->thread = more;
	}
	vm->thread[vm->nr_threads++] = *thread;
	return 0;
}

/**
 * struct place - whose threads are read
 * @top: what top knows
 * @vm: the machine, while threads are read
 */
struct place {
	struct top *top;
	struct top_vm *vm;
};

static int add_thread(const struct monitor_thread *found, void *data)
{
	struct place *place = data;
	struct top *top = place->top;
	const struct top_thread thread = {
		.id = found->id,
		.start = found->start,
		.ticks = found->ticks,
		.node = !top->cpu_node ? 0 : found->cpu < top->nr_cpus ?
			top->cpu_node[found->cpu] : TOP_MAX_NODES,
	};

	return top_add_thread(top, place->vm, &thread);
}

static int add_monitor(const struct monitor *monitor, void *data)
{
	struct place *place = data;
	struct top_refresh *now = &place->top->now;
	int ret = 0;

	for (size_t i = 0; !ret && i < now->nr; i++) {
		place->vm = &now->vm[i];
		if (place->vm->ino != monitor->ino)
			continue;
		/* Threads tell better where it runs than what they once said. */
		if (!place->vm->monitors++)
			place->vm->nr_threads = 0;
		ret = monitor_threads(top_paths.proc, monitor->pid, add_thread,
				      place);
	}
	return ret;
}

/**
 * top_find_monitors - find the threads that run the machines
 * @top: whose machines of @now get their threads
 * @dev: the mount's device number
 *
 * Return: 0 or -ENOMEM.
 */
int top_find_monitors(struct top *top, dev_t dev)
{
	struct place place = { .top = top };

	if (!top->now.nr)
		return 0;
	if (monitors_each(top_paths.proc, dev, add_monitor, &place))
		return out_of_memory(top);
	return 0;
}

/* Ticks that a thread has had before, 0 for one that is new. */
static uint64_t ticks_before(const struct top_vm *before,
			     const struct top_thread *thread)
{
	for (size_t i = 0; before && i < before->nr_threads; i++)
		if (before->thread[i].id == thread->id &&
		    before->thread[i].start == thread->start)
			return before->thread[i].ticks;
	return 0;
}

/* How long threads ran on each node since @before; returns the sum. */
static double weigh_nodes(const struct top_vm *vm, const struct top_vm *before,
			  bool evenly, double *weight)
{
	double sum = 0;

	for (size_t i = 0; i < vm->nr_threads; i++) {
		const struct top_thread *thread = &vm->thread[i];
		double ran = evenly ? 1 :
			     thread->ticks - ticks_before(before, thread);

		if (thread->node >= TOP_MAX_NODES)
			continue;
		weight[thread->node] += ran;
		sum += ran;
	}
	return sum;
}

/**
 * top_local - how much of a machine's memory is where it runs
 * @vm: the machine
 * @before: the same at the refresh before, or NULL
 *
 * The share of its pages that is on a node, weighed with how much of the time
 * that its threads ran since @before they ran on that node. If none ran: of the
 * time since they started; and if that is not known, all threads count the same.
 *
 * Return: 0 to 1, or TOP_UNKNOWN without pages or threads.
 */
double top_local(const struct top_vm *vm, const struct top_vm *before)
{
	double weight[TOP_MAX_NODES] = { 0 };
	double sum, local = 0;
	uint64_t present = 0;

	sum = weigh_nodes(vm, before, false, weight);
	if (sum <= 0)
		sum = weigh_nodes(vm, NULL, false, weight);
	if (sum <= 0)
		sum = weigh_nodes(vm, NULL, true, weight);
	for (size_t i = 0; i < vm->looked; i++) {
		if (vm->node[i] >= TOP_MAX_NODES)
			continue;
		present++;
		local += weight[vm->node[i]];
	}
	return sum > 0 && present ? local / sum / present : TOP_UNKNOWN;
}
