/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every change of a page's state and every refusal has one counter here, and
 * the counter's name is also what the tracepoints print.
 */
#ifndef _DISCO_COUNTERS_H
#define _DISCO_COUNTERS_H

#include <linux/percpu.h>
#include <linux/tracepoint-defs.h>
#include <linux/types.h>

/*
 * One page of one VM changed its state: struct disco_pmap_entry.state. From
 * shared to shared is a page of a disk, or in a merge an equal page, in place
 * of one that was shared before. A move puts a copy on another node in a page's
 * place. A replica comes and goes without a change of the page's state.
 */
#define DISCO_TRANSITIONS(X)		\
	X(hole_to_zero)			\
	X(hole_to_private)		\
	X(hole_to_shared)		\
	X(zero_to_hole)			\
	X(zero_to_private)		\
	X(zero_to_shared)		\
	X(private_to_hole)		\
	X(private_to_private_move)	\
	X(private_to_shared)		\
	X(shared_to_hole)		\
	X(shared_to_shared)		\
	X(shared_to_shared_merge)	\
	X(shared_to_shared_move)	\
	X(shared_to_private_copy)	\
	X(shared_to_private_reuse)	\
	X(replica_added)			\
	X(replica_dropped)

/*
 * Something was asked for and not done:
 * private_mapping	mmap(MAP_PRIVATE)
 * limit		the mount's size= was reached
 * nomem		the kernel or the memory cgroup had no page
 * pinned		a page with references beyond ours was copied, not shared
 *			or replaced, or was not merged or moved
 * users_full		a page had as many users as its list can hold: copied, or
 *			not merged
 * node_full		a page was not moved or replicated: the node, or the memory
 *			cgroup that pays for the page, had no memory
 * replicas		the mount's replicas= was reached
 * heat			a use of a page was not counted: there are as many
 *			counters as there may be, or no memory
 * ids			all VM numbers are in use
 */
#define DISCO_REFUSALS(X)		\
	X(refused_private_mapping)	\
	X(refused_limit)		\
	X(refused_nomem)		\
	X(refused_pinned)		\
	X(refused_users_full)		\
	X(refused_node_full)		\
	X(refused_replicas)		\
	X(refused_heat)			\
	X(refused_ids)

/*
 * How much there is now:
 * unsettled		pages on their way into a slot or out of one, whose slot
 *			and counters need not agree
 * machine_pages	pages that VMs have, each counted once, their replicas, and
 *			unsettled ones
 * replicas		copies of shared pages on other nodes, and unsettled ones
 * metadata_bytes	leaves of pmaps and lists of users
 * vms			files in ram/
 * vcpus		VCPUs that monitors have made
 * vcpu_bytes		memory of their second-level TLBs
 * heat_counters		counters of pages that nodes have used
 */
#define DISCO_GAUGES(X)			\
	X(unsettled)			\
	X(machine_pages)		\
	X(replicas)			\
	X(metadata_bytes)		\
	X(vms)				\
	X(vcpus)			\
	X(vcpu_bytes)			\
	X(heat_counters)

#define DISCO_COUNTERS(X) DISCO_TRANSITIONS(X) DISCO_REFUSALS(X) DISCO_GAUGES(X)

#define X(name) DISCO_##name,

enum disco_counter {
	DISCO_COUNTERS(X)
	DISCO_NR_COUNTERS
};

#undef X

struct disco_counters {
	s64 value[DISCO_NR_COUNTERS];
	/* Calls of disco_unsettle() and disco_settle(), ever. */
	u64 begun;
	u64 ended;
};

DECLARE_PER_CPU(struct disco_counters, disco_counters);

/**
 * disco_count() - add to a counter
 * @counter: which
 * @n: how much; negative only for a gauge
 *
 * Context: any.
 */
static inline void disco_count(enum disco_counter counter, s64 n)
{
	this_cpu_add(disco_counters.value[counter], n);
}

/**
 * disco_unsettle() - a page begins its way into a slot or out of one
 *
 * Context: any; before a counter or slot changes.
 */
static inline void disco_unsettle(void)
{
	disco_count(DISCO_unsettled, 1);
	this_cpu_inc(disco_counters.begun);
	/* Pairs with smp_rmb() in disco_begun_sum(). */
	smp_wmb();
}

/**
 * disco_settle() - the page is there, or gone
 *
 * Context: any; after all is changed and the transition is counted.
 */
static inline void disco_settle(void)
{
	/* Pairs with smp_rmb() in disco_ended_sum(). */
	smp_wmb();
	this_cpu_inc(disco_counters.ended);
	disco_count(DISCO_unsettled, -1);
}

struct disco_vm;
struct folio;

s64 disco_counter_sum(enum disco_counter counter);
u64 disco_ended_sum(void);
u64 disco_begun_sum(void);
void disco_trace_page(enum disco_counter transition, struct disco_vm *vm,
		      pgoff_t gfn, struct folio *folio);
void disco_refuse(enum disco_counter refusal, struct disco_vm *vm, pgoff_t gfn);
void disco_trace_move(struct disco_vm *vm, u32 operation, u64 gfn, int from,
		      u32 node, int result);

void disco_trace_heat(struct disco_vm *vm, pgoff_t gfn, int node, bool write);

DECLARE_TRACEPOINT(disco_page);

/**
 * disco_note_page() - trace a change of a page's state, for the caller to count
 * @transition: one of DISCO_TRANSITIONS
 * @vm: the VM
 * @gfn: which page
 * @folio: what is, or was, behind it; NULL for a zero page that goes
 *
 * Context: any.
 */
static inline void disco_note_page(enum disco_counter transition,
				   struct disco_vm *vm, pgoff_t gfn,
				   struct folio *folio)
{
	if (tracepoint_enabled(disco_page))
		disco_trace_page(transition, vm, gfn, folio);
}

/**
 * disco_count_page() - count and trace a change of a page's state
 * @transition: one of DISCO_TRANSITIONS
 * @vm: the VM
 * @gfn: which page
 * @folio: what is, or was, behind it; NULL for a zero page that goes
 *
 * Context: any.
 */
static inline void disco_count_page(enum disco_counter transition,
				    struct disco_vm *vm, pgoff_t gfn,
				    struct folio *folio)
{
	disco_count(transition, 1);
	disco_note_page(transition, vm, gfn, folio);
}

extern const struct attribute_group *disco_counter_groups[];

#endif /* _DISCO_COUNTERS_H */
