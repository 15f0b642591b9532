// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the threads of monitors run. Memory that follows a thread is of use while the
 * thread stays, so discod can keep threads on a node, or bring them to their memory.
 *
 * A thread that may not run on more than one node is left alone: somebody, virsh
 * vcpupin or a cpuset, has decided already. So is one that somebody has pinned
 * elsewhere since.
 */
#include <numa.h>
#include <stdlib.h>
#include <string.h>

#include "discod.h"
#include "monitors.h"

/* Where a machine's memory is is asked for in chunks, evenly spread. */
#define CHUNK 128
#define MAX_CHUNKS 512

/**
 * struct pinning - threads of one monitor being looked at
 * @d: the daemon
 * @machine: the machine it runs
 * @pid: the monitor
 * @vcpus: threads that are named as VCPUs are
 * @threads: all threads
 * @node: where they shall go, or -1
 */
struct pinning {
	struct discod *d;
	struct machine *machine;
	pid_t pid;
	unsigned int vcpus;
	unsigned int threads;
	int node;
};

/* QEMU's names are "CPU 0/KVM" and the like, with debug-threads=on. */
static bool is_vcpu(const struct monitor_thread *thread)
{
	return !strncmp(thread->name, "CPU ", 4);
}

static int count_thread(const struct monitor_thread *thread, void *data)
{
	struct pinning *pinning = data;

	pinning->threads++;
	pinning->vcpus += is_vcpu(thread);
	return 0;
}

/* The processors of @before that are on @node, or NULL if there are none. */
static struct bitmask *cpus_on_node(const struct bitmask *before, int node)
{
	struct bitmask *cpus = numa_allocate_cpumask();

	if (numa_node_to_cpus(node, cpus))
		numa_bitmask_clearall(cpus);
	for (unsigned int cpu = 0; cpu < cpus->size; cpu++)
		if (cpu >= before->size || !numa_bitmask_isbitset(before, cpu))
			numa_bitmask_clearbit(cpus, cpu);
	if (numa_bitmask_weight(cpus))
		return cpus;
	numa_bitmask_free(cpus);
	return NULL;
}

static struct bitmask *cpus_of_thread(pid_t id)
{
	struct bitmask *cpus = numa_allocate_cpumask();

	if (numa_sched_getaffinity(id, cpus) >= 0)
		return cpus;
	numa_bitmask_free(cpus);
	return NULL;
}

static bool is_on_one_node(const struct bitmask *cpus)
{
	int node = -1;

	for (unsigned int cpu = 0; cpu < cpus->size; cpu++) {
		if (!numa_bitmask_isbitset(cpus, cpu))
			continue;
		if (node >= 0 && numa_node_of_cpu(cpu) != node)
			return false;
		node = numa_node_of_cpu(cpu);
	}
	return true;
}

/* Does it run where discod has put it? */
static bool is_ours(const struct thread *thread)
{
	struct bitmask *now = cpus_of_thread(thread->id);
	struct bitmask *then = cpus_on_node(thread->before, thread->node);
	bool ours = now && then && numa_bitmask_equal(now, then);

	if (now)
		numa_bitmask_free(now);
	if (then)
		numa_bitmask_free(then);
	return ours;
}

static struct thread *find_thread(const struct machine *machine,
				  const struct monitor_thread *found)
{
	for (size_t i = 0; i < machine->nr_threads; i++)
		if (machine->thread[i].id == found->id &&
		    machine->thread[i].start == found->start)
			return &machine->thread[i];
	return NULL;
}

static void drop_thread(struct machine *machine, struct thread *thread)
{
	numa_bitmask_free(thread->before);
	*thread = machine->thread[--machine->nr_threads];
}

/* Remembers where it could run before; NULL without memory. */
static struct thread *add_thread(struct machine *machine, pid_t pid,
				 const struct monitor_thread *found,
				 struct bitmask *before)
{
	struct thread *more = reallocarray(machine->thread,
					   machine->nr_threads + 1,
					   sizeof(*more));

	if (!more)
		return NULL;
	machine->thread = more;
	more += machine->nr_threads++;
	*more = (struct thread) {
		.pid = pid,
		.id = found->id,
		.start = found->start,
		.node = -1,
		.before = before,
	};
	return more;
}

static void pin(struct discod *d, struct machine *machine, struct thread *thread,
		const char *name, int node)
{
	struct bitmask *cpus = cpus_on_node(thread->before, node);

	if (!cpus)
		return;
	if (d->options.dry_run)
		say(d, "would keep thread %d (%s) of VM %s on node %d",
		    thread->id, name, machine->shown, node);
	else if (numa_sched_setaffinity(thread->id, cpus) >= 0)
		thread->node = node;
	if (thread->node == node && d->options.verbose)
		say(d, "thread %d (%s) of VM %s stays on node %d", thread->id,
		    name, machine->shown, node);
	numa_bitmask_free(cpus);
}

static int look_at_thread(const struct monitor_thread *found, void *data)
{
	struct pinning *pinning = data;
	struct machine *machine = pinning->machine;
	struct thread *thread = find_thread(machine, found);
	struct bitmask *cpus;
	int node = pinning->node;

	if (pinning->vcpus && !is_vcpu(found))
		return 0;
	if (!thread) {
		cpus = cpus_of_thread(found->id);
		if (!cpus || is_on_one_node(cpus)) {
			if (cpus)
				numa_bitmask_free(cpus);
			return 0;
		}
		thread = add_thread(machine, pinning->pid, found, cpus);
		if (!thread) {
			numa_bitmask_free(cpus);
			return 0;
		}
	} else if (!is_ours(thread)) {
		drop_thread(machine, thread);
		return 0;
	}
	thread->seen = true;
	if (pinning->d->options.affinity == AFFINITY_NODE)
		node = thread->node >= 0 ? thread->node :
		       numa_node_of_cpu(found->cpu);
	if (node >= 0 && node != thread->node)
		pin(pinning->d, machine, thread, found->name, node);
	/* It stays where it was: nothing to be remembered. */
	if (thread->node < 0)
		drop_thread(machine, thread);
	return 0;
}

static int count_pages(struct machine *machine, uint64_t gfn, uint64_t *pages,
		       unsigned int nodes)
{
	struct disco_pmap_batch batch;
	struct disco_pmap_iter *iter;
	int ret;

	ret = disco_pmap_new(machine->file, gfn, gfn + CHUNK - 1, &iter);
	if (ret)
		return ret;
	while ((ret = disco_pmap_next(iter, &batch)) > 0)
		for (size_t i = 0; i < batch.nr; i++)
			if (batch.entries[i].node < nodes)
				pages[batch.entries[i].node]++;
	disco_pmap_free(iter);
	return ret;
}

/* The node that has more than half of what was looked at, or -1. */
static int node_of_memory(struct discod *d, struct machine *machine)
{
	struct disco_vm_stat stat = { .size = sizeof(stat) };
	uint64_t pages[NP_MAX_NODES] = { 0 }, sum = 0, all, step;
	int ret = -1;

	if (disco_vm_stat(machine->file, &stat))
		return -1;
	all = stat.out_virtual / d->page_size;
	step = all / MAX_CHUNKS > CHUNK ? all / MAX_CHUNKS : CHUNK;
	for (uint64_t gfn = 0; gfn < all; gfn += step)
		if (count_pages(machine, gfn, pages, d->nodes) < 0)
			return -1;
	for (unsigned int node = 0; node < d->nodes; node++)
		sum += pages[node];
	for (unsigned int node = 0; node < d->nodes; node++)
		if (pages[node] > sum / 2)
			ret = node;
	return ret;
}

static unsigned int cpus_of_node(int node)
{
	struct bitmask *cpus = numa_allocate_cpumask();
	unsigned int nr = 0;

	if (!numa_node_to_cpus(node, cpus))
		nr = numa_bitmask_weight(cpus);
	numa_bitmask_free(cpus);
	return nr;
}

/**
 * affinity_pin - see to it that the threads of a monitor run where they shall
 * @d: the daemon
 * @machine: the machine it runs, which is open
 * @pid: the monitor
 *
 * Its threads that are VCPUs, or all if their names do not tell.
 *
 * Return: 0 or -ENOMEM.
 */
int affinity_pin(struct discod *d, struct machine *machine, pid_t pid)
{
	struct pinning pinning = {
		.d = d, .machine = machine, .pid = pid, .node = -1,
	};
	int ret;

	if (d->options.affinity == AFFINITY_NONE)
		return 0;
	ret = monitor_threads("/proc", pid, count_thread, &pinning);
	if (ret)
		return ret;
	if (d->options.affinity == AFFINITY_MEMORY)
		pinning.node = node_of_memory(d, machine);
	/* More VCPUs than processors would wait for each other. */
	if (pinning.node >= 0 &&
	    (pinning.vcpus ? pinning.vcpus : pinning.threads) >
	    cpus_of_node(pinning.node))
		pinning.node = -1;
	for (size_t i = 0; i < machine->nr_threads; i++)
		machine->thread[i].seen = machine->thread[i].pid != pid;
	ret = monitor_threads("/proc", pid, look_at_thread, &pinning);
	for (size_t i = machine->nr_threads; i-- > 0;)
		if (!machine->thread[i].seen)
			drop_thread(machine, &machine->thread[i]);
	return ret;
}

static int restore_thread(const struct monitor_thread *found, void *data)
{
	struct machine *machine = data;
	struct thread *thread = find_thread(machine, found);

	if (thread && is_ours(thread))
		numa_sched_setaffinity(thread->id, thread->before);
	return 0;
}

/**
 * affinity_restore - let the threads that were pinned run where they could before
 * @machine: the machine
 */
void affinity_restore(struct machine *machine)
{
	pid_t done = 0;

	for (size_t i = 0; i < machine->nr_threads; i++) {
		if (machine->thread[i].pid == done)
			continue;
		done = machine->thread[i].pid;
		monitor_threads("/proc", done, restore_thread, machine);
	}
	affinity_forget(machine);
}

/**
 * affinity_forget - the machine is gone, and its threads with it
 * @machine: the machine
 */
void affinity_forget(struct machine *machine)
{
	while (machine->nr_threads)
		drop_thread(machine, &machine->thread[0]);
	free(machine->thread);
	machine->thread = NULL;
}
