// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters, as one file each in /sys/class/misc/disco/counters/, and
 * tracepoints.
 */
#include <linux/device.h>
#include <linux/sysfs.h>

#include "disco.h"

#define CREATE_TRACE_POINTS
#include "trace.h"
#undef X

DEFINE_PER_CPU(struct disco_counters, disco_counters);

/**
 * disco_counter_sum() - value of a counter
 * @counter: which
 *
 * Context: any. Changes made during the sum may be missed.
 * Return: the sum over all CPUs.
 */
s64 disco_counter_sum(enum disco_counter counter)
{
	s64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(disco_counters, cpu).value[counter]);
	return sum;
}

/**
 * disco_ended_sum() - how often a page has come to the end of its way
 *
 * What is read after it and before disco_begun_sum() is of one moment if both
 * are the same: whatever had begun by the second had ended by the first.
 *
 * Return: calls of disco_settle().
 */
u64 disco_ended_sum(void)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(disco_counters, cpu).ended);
	/* Pairs with smp_wmb() in disco_settle(). */
	smp_rmb();
	return sum;
}

/**
 * disco_begun_sum() - how often a page has begun its way
 *
 * Return: calls of disco_unsettle(); see disco_ended_sum().
 */
u64 disco_begun_sum(void)
{
	u64 sum = 0;
	int cpu;

	/* Pairs with smp_wmb() in disco_unsettle(). */
	smp_rmb();
	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(disco_counters, cpu).begun);
	return sum;
}

/**
 * disco_trace_page() - trace a change of a page's state: disco_count_page()
 * @transition: one of DISCO_TRANSITIONS
 * @vm: the VM
 * @gfn: which page
 * @folio: what is, or was, behind it; NULL for a zero page that goes
 *
 * Context: any.
 */
void disco_trace_page(enum disco_counter transition, struct disco_vm *vm,
		      pgoff_t gfn, struct folio *folio)
{
	trace_disco_page(vm->id, gfn, folio ? folio_pfn(folio) : 0,
			 folio ? folio_nid(folio) : NUMA_NO_NODE, transition);
}

/**
 * disco_refuse() - count and trace something that was not done
 * @refusal: one of DISCO_REFUSALS
 * @vm: the VM it was asked for
 * @gfn: which page, or the first one
 *
 * Context: any.
 */
void disco_refuse(enum disco_counter refusal, struct disco_vm *vm, pgoff_t gfn)
{
	disco_count(refusal, 1);
	trace_disco_refuse(vm->id, gfn, refusal);
}

/**
 * disco_trace_move() - trace what became of one entry of DISCO_MOVE
 * @vm: the VM
 * @operation: enum disco_move_operation
 * @gfn: which page
 * @from: node that it was on, or NUMA_NO_NODE
 * @node: node that was asked for
 * @result: 0 or a negative errno
 *
 * Context: any.
 */
void disco_trace_move(struct disco_vm *vm, u32 operation, u64 gfn, int from,
		      u32 node, int result)
{
	trace_disco_move(vm->id, operation, gfn, from, node, result);
}

/**
 * disco_trace_heat() - trace a fault on a page that the sampler had unmapped
 * @vm: the VM
 * @gfn: which page
 * @node: node of the CPU
 * @write: the access is a write
 *
 * Context: any.
 */
void disco_trace_heat(struct disco_vm *vm, pgoff_t gfn, int node, bool write)
{
	trace_disco_heat(vm->id, gfn, node, write);
}

struct counter_attribute {
	struct device_attribute attr;
	enum disco_counter counter;
};

static ssize_t counter_show(struct device *dev, struct device_attribute *attr,
			    char *buf)
{
	struct counter_attribute *counter =
		container_of(attr, struct counter_attribute, attr);

	return sysfs_emit(buf, "%lld\n", disco_counter_sum(counter->counter));
}

#define X(name)							\
	static struct counter_attribute counter_##name = {		\
		.attr = __ATTR(name, 0444, counter_show, NULL),	\
		.counter = DISCO_##name,				\
	};
DISCO_COUNTERS(X)
#undef X

#define X(name) &counter_##name.attr.attr,
static struct attribute *counter_attrs[] = { DISCO_COUNTERS(X) NULL };
#undef X

static const struct attribute_group counter_group = {
	.name = "counters",
	.attrs = counter_attrs,
};

/* For the misc device, so that the files come and go with it. */
const struct attribute_group *disco_counter_groups[] = { &counter_group, NULL };
