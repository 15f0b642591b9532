// SPDX-License-Identifier: GPL-2.0-only
/* Moving a mapped memory to another node. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/disco.h>
#include <numa.h>
#include <numaif.h>
#include <string.h>
#include <sys/ioctl.h>

#include "bench.h"

#define MOVE_SHARE	4
#define MAX_STEP_PAGES	(REGION_BYTES / 4096)

enum part { MOVE, TOUCH, BOTH, NR_PARTS };

static int to_node;
/* A memory of disco is moved by its module, any other by the kernel. */
static const struct ram *moved_by_disco;

/**
 * move_by_disco() - DISCO_MOVE of pages that follow each other
 * @ram: a memory of disco
 * @operation: enum disco_move_operation
 * @node: where to
 * @at: offset of the first page
 * @nr: how many, at most those of REGION_BYTES; all must succeed
 *
 * Return: seconds.
 */
double move_by_disco(const struct ram *ram, uint32_t operation, int node,
		     size_t at, unsigned int nr)
{
	struct disco_move_entry entries[MAX_STEP_PAGES];
	struct disco_move move = {
		.size = sizeof(move), .operation = operation,
		.vm_fd = ram->fd, .entries = (uintptr_t)entries, .nr = nr,
	};
	double began;

	for (unsigned int i = 0; i < nr; i++)
		entries[i] = (struct disco_move_entry){
			.gfn = at / env.page_size + i, .node = node,
		};
	began = seconds_now();
	if (ioctl(env.disco_fd, DISCO_MOVE, &move))
		die("DISCO_MOVE: %s", strerror(errno));
	if (move.out_moved != nr)
		die("DISCO_MOVE moved %u of %u pages; the first: %s",
		    move.out_moved, nr, strerror(-entries[0].out_result));
	return seconds_now() - began;
}

static double move_peer(const struct ram *ram, size_t at, unsigned int nr)
{
	int nodes[MAX_STEP_PAGES], status[MAX_STEP_PAGES];
	void *pages[MAX_STEP_PAGES];
	double began, seconds;

	for (unsigned int i = 0; i < nr; i++) {
		pages[i] = ram->map + at + i * env.page_size;
		nodes[i] = to_node;
	}
	began = seconds_now();
	if (move_pages(0, nr, pages, nodes, status, MPOL_MF_MOVE) < 0)
		die("move_pages: %s", strerror(errno));
	seconds = seconds_now() - began;
	for (unsigned int i = 0; i < nr; i++)
		if (status[i] != to_node)
			die("move_pages left a page on node %d: %s", status[i],
			    status[i] < 0 ? strerror(-status[i]) : "not moved");
	return seconds;
}

static double step_move(const struct ram *ram, size_t at)
{
	unsigned int nr = REGION_BYTES / env.page_size;

	return ram == moved_by_disco ?
	       move_by_disco(ram, DISCO_MOVE_MIGRATE, to_node, at, nr) :
	       move_peer(ram, at, nr);
}

static const struct work work_move = { step_move, REGION_BYTES };

static void pair_move(int pair, double seconds[][MAX_PARTS])
{
	struct ram rams[NR_SIDES];

	(void)pair;
	moved_by_disco = env.ram_dir ? &rams[OURS] : NULL;
	for (int side = 0; side < NR_SIDES; side++)
		ram_populate(&rams[side], side, env.bytes / MOVE_SHARE);
	alternate(rams, &work_move, MOVE, seconds);
	for (int side = 0; side < NR_SIDES; side++)
		ram_check_content(&rams[side]);
	alternate(rams, &work_write, TOUCH, seconds);
	for (int side = 0; side < NR_SIDES; side++) {
		seconds[side][BOTH] = seconds[side][MOVE] +
				      seconds[side][TOUCH];
		ram_close(&rams[side]);
	}
}

/**
 * bench_move() - move a populated, mapped memory, and write to it again
 *
 * A quarter of the memory: 64 MiB, unless another size was asked for.
 */
void bench_move(void)
{
	struct samples samples[NR_PARTS];

	to_node = numa_node_of_cpu(env.cpus[env.nr_cpus - 1]);
	if (to_node == numa_node_of_cpu(env.cpus[0])) {
		report_skip("ram-move", "this machine has one node with CPUs");
		report_skip("ram-move-and-touch",
			    "this machine has one node with CPUs");
		return;
	}
	run_pairs("move", pair_move, env.pairs, NR_PARTS, samples);
	report(&(struct result){
		.name = "ram-move",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = "memfd, move_pages",
		.better = "lower",
		.target = 1.0,
		.limit = limits.copy / MOVE_SHARE * 1e3,
		.limit_name = "copies on one node",
		.note = "in runs of 2 MiB",
	}, &samples[MOVE]);
	report(&(struct result){
		.name = "ram-move-and-touch",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = "memfd, move_pages",
		.better = "lower",
		.limit = (limits.copy + limits.fault + limits.set) /
			 MOVE_SHARE * 1e3,
		.limit_name = "copies on one node, faults that find their page, stores",
		.note = "ours is mapped again by faults, memfd by the move",
	}, &samples[BOTH]);
}
