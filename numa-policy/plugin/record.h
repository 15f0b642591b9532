/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NUMA_POLICY_RECORD_H
#define NUMA_POLICY_RECORD_H

#include <stdbool.h>

#include "numa.h"

/* A VCPU tells of its instructions when it has executed so many. */
#define RECORD_QUANTUM 20000

/**
 * struct record_config - what is recorded
 * @path: trace to write, or NULL
 * @about: how it is measured
 * @name: name of the VM
 * @cpus: number of CPUs
 * @nodes: number of nodes, at most @cpus
 * @page_size: size of a page in bytes
 * @insn_ps: time of an instruction, in ps
 * @local_ns: time of a miss on a page in the node's own memory
 * @remote_ns: time of any other miss
 * @tick_ns: length of an interval
 * @places: is told of an interval's heat, each page and node once, and says which
 *	of it is local; NULL: each page is where it was touched first
 * @source: for @places
 * @waits: nothing counts before record_begin() but who touches a page first
 */
struct record_config {
	const char *path;
	const char *about;
	const char *name;
	unsigned int cpus;
	unsigned int nodes;
	unsigned int page_size;
	uint64_t insn_ps;
	uint64_t local_ns;
	uint64_t remote_ns;
	uint64_t tick_ns;
	int (*places)(void *source, uint64_t now_ns, const struct np_heat *heat,
		      size_t nr, bool *local, struct np_error *error);
	void *source;
	bool waits;
};

/**
 * struct record_sum - what was recorded
 * @now_ns: simulated time, as if every miss were local
 * @insns: instructions
 * @misses: misses
 * @local: misses on pages in the node's own memory
 * @pages: pages with misses
 */
struct record_sum {
	uint64_t now_ns;
	uint64_t insns;
	uint64_t misses;
	uint64_t local;
	uint64_t pages;
};

struct record;

int record_new(const struct record_config *config, struct record **out,
	       struct np_error *error);
void record_begin(struct record *record);
void record_end(struct record *record);
void record_miss(struct record *record, unsigned int cpu, uint64_t gfn,
		 bool write);
void record_insns(struct record *record, unsigned int cpu, uint64_t nr);
int record_close(struct record *record, struct record_sum *sum,
		 struct np_error *error);

#endif /* NUMA_POLICY_RECORD_H */
