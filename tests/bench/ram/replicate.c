// SPDX-License-Identifier: GPL-2.0-only
/* Copies of a memory on another node, against moving it there. */
#include <errno.h>
#include <linux/disco.h>
#include <numa.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

#define REPLICATE_SHARE	4

enum part { COPY, COLLAPSE, NR_PARTS };

static int from_node, to_node;
/* The one gets copies on the node, the other goes there. */
static const struct ram *copied;

static double step_copy(const struct ram *ram, size_t at)
{
	return move_by_disco(ram, ram == copied ? DISCO_MOVE_REPLICATE :
						  DISCO_MOVE_MIGRATE,
			     to_node, at, REGION_BYTES / env.page_size);
}

static double step_collapse(const struct ram *ram, size_t at)
{
	unsigned int nr = REGION_BYTES / env.page_size;

	return ram == copied ?
	       move_by_disco(ram, DISCO_MOVE_COLLAPSE, DISCO_NO_NODE, at, nr) :
	       move_by_disco(ram, DISCO_MOVE_MIGRATE, from_node, at, nr);
}

static const struct work work_copy = { step_copy, REGION_BYTES };
static const struct work work_collapse = { step_collapse, REGION_BYTES };

/* Has every copy mapped, as a CPU of its node would. */
static char *map_copies(const struct ram *ram)
{
	char *map = mmap(NULL, ram->bytes, PROT_READ, MAP_SHARED, ram->fd,
			 (off_t)(1 + to_node) << DISCO_VIEW_SHIFT);

	if (map == MAP_FAILED)
		die("cannot map view %d: %s", 1 + to_node, strerror(errno));
	for (size_t at = 0; at < ram->bytes; at += env.page_size)
		if (*(volatile uint64_t *)(map + at) != at + 1)
			die("the copy of page %zu is wrong",
			    at / env.page_size);
	return map;
}

static void pair_replicate(int pair, double seconds[][MAX_PARTS])
{
	struct ram rams[NR_SIDES];
	char *view;

	(void)pair;
	copied = &rams[OURS];
	for (int side = 0; side < NR_SIDES; side++)
		ram_populate(&rams[side], OURS, env.bytes / REPLICATE_SHARE);
	alternate(rams, &work_copy, COPY, seconds);
	view = map_copies(&rams[OURS]);
	alternate(rams, &work_collapse, COLLAPSE, seconds);
	munmap(view, rams[OURS].bytes);
	for (int side = 0; side < NR_SIDES; side++) {
		ram_check_content(&rams[side]);
		ram_close(&rams[side]);
	}
}

/**
 * bench_replicate() - give a populated, mapped memory copies on another node
 *
 * A quarter of the memory, as bench_move().
 */
void bench_replicate(void)
{
	struct samples samples[NR_PARTS];
	static const char * const names[] = {
		"ram-replicate", "ram-collapse",
	};

	from_node = numa_node_of_cpu(env.cpus[0]);
	to_node = numa_node_of_cpu(env.cpus[env.nr_cpus - 1]);
	if (!env.ram_dir || to_node == from_node) {
		for (int i = 0; i < 2; i++)
			report_skip(names[i], env.ram_dir ?
				    "this machine has one node with CPUs" :
				    "there is no disco to compare");
		return;
	}
	run_pairs("replicate", pair_replicate, env.pairs, NR_PARTS, samples);
	report(&(struct result){
		.name = names[0],
		.unit = "ms",
		.scale = 1e3,
		.peer_name = "disco, move",
		.better = "lower",
		.target = 1.0,
		.limit = limits.copy / REPLICATE_SHARE * 1e3,
		.limit_name = "copies on one node",
		.note = "in runs of 2 MiB",
	}, &samples[COPY]);
	report(&(struct result){
		.name = names[1],
		.unit = "ms",
		.scale = 1e3,
		.peer_name = "disco, move back",
		.better = "lower",
		.note = "all pages mapped from their copies, in runs of 2 MiB",
	}, &samples[COLLAPSE]);
}
