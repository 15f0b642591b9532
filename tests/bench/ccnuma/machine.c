// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a guest's processors missed in their caches, done to real pages: runs in the lab.
 *
 * Each interval of a trace has the pages touched that were touched first in it, by a
 * processor of the node that did so; the misses reported to the module as heat; and
 * the module asked which of them are local, in the view of the node that missed. Then
 * the policy decides, and the module migrates and copies. A write to a page with
 * copies is made, in the writer's view, before the module is asked, as disco-replay
 * has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <numa.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <disco/disco.h>

#include "live.h"
#include "policy.h"

#define PAGE 4096

static const char usage[] =
	"usage: machine TRACE MOUNT PAGES [SECTION.NAME=VALUE...]\n";

/**
 * struct machine - a VM whose guest is a trace
 * @fd: its memory
 * @pages: number of pages; what is past them is always local
 * @touched: of each page: there is one
 * @view: the memory, as each node sees it
 * @source: the trace
 * @policy: what decides
 * @config: rule and numbers
 * @disco: the library's context
 * @vm: the VM, for moves
 * @live: the VM, for misses
 * @touches: pages to touch, by node
 * @nr_touches: how many
 * @moves: what is asked of the module
 * @local: of each heat: is it local?
 * @max: room in @touches, @moves and @local
 * @ns: time that the module took for moves
 */
static struct machine {
	int fd;
	uint64_t pages;
	bool *touched;
	char *view[NP_MAX_NODES];
	struct np_source *source;
	struct np_policy *policy;
	struct np_config config;
	struct disco *disco;
	struct disco_vm *vm;
	struct live *live;
	const struct np_heat **touches;
	size_t nr_touches;
	struct disco_move_entry *moves;
	bool *local;
	size_t max;
	uint64_t ns;
} machine;

/**
 * struct sums - what comes out
 * @misses: all misses
 * @local: those that were local, by the module
 * @differ: those of which the policy thought otherwise
 * @busy_ns: time of computing
 * @now_ns: length of the trace
 * @asked: moves that were asked for, by verb
 * @refused: those that the module did not do
 */
static struct sums {
	uint64_t misses;
	uint64_t local;
	uint64_t differ;
	uint64_t busy_ns;
	uint64_t now_ns;
	uint64_t asked[2];
	uint64_t refused;
} sums;

__attribute__((format(printf, 1, 2), noreturn))
static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("machine: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void read_config(int argc, char **argv)
{
	struct np_error error;

	np_config_init(&machine.config);
	for (int i = 0; i < argc; i++)
		if (np_config_set(&machine.config, argv[i], &error))
			die("%s", error.text);
	if (np_config_check(&machine.config, NULL, &error))
		die("%s", error.text);
}

/* A view for each node, as Disco's QEMU maps them. */
static void make_vm(const char *mount)
{
	size_t size = machine.pages * PAGE;
	struct np_error error;
	char *path;

	if (asprintf(&path, "%s/ram/ccnuma", mount) < 0)
		die("not enough memory");
	machine.fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (machine.fd < 0 || ftruncate(machine.fd, size))
		die("%s: %s", path, strerror(errno));
	for (unsigned int i = 0; i < machine.source->nodes; i++) {
		machine.view[i] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
				       machine.fd, (off_t)(1 + i) << DISCO_VIEW_SHIFT);
		if (machine.view[i] == MAP_FAILED)
			die("%s: view %u: %s", path, 1 + i, strerror(errno));
	}
	if (disco_new(&machine.disco) || disco_set_mount(machine.disco, mount) ||
	    disco_vm_open_writable(machine.disco, path, &machine.vm))
		die("%s: %s", path, disco_error(machine.disco));
	if (live_new(path, &machine.live, &error))
		die("%s: %s", path, error.text);
	/* Opens it by its name, too. */
	if (live_tell(machine.live, NULL, 0, NULL, &error))
		die("%s: %s", path, error.text);
	unlink(path);
	free(path);
}

static void make_room(size_t nr)
{
	if (nr <= machine.max)
		return;
	machine.max = nr * 2;
	machine.touches = reallocarray(machine.touches, machine.max, sizeof(*machine.touches));
	machine.moves = reallocarray(machine.moves, machine.max, sizeof(*machine.moves));
	machine.local = reallocarray(machine.local, machine.max, sizeof(*machine.local));
	if (!machine.touches || !machine.moves || !machine.local)
		die("not enough memory");
}

/* Stores to all pages that wait for it, on their nodes. */
static void touch(void)
{
	for (unsigned int node = 0; node < machine.source->nodes; node++) {
		bool there = false;

		for (size_t i = 0; i < machine.nr_touches; i++) {
			const struct np_heat *heat = machine.touches[i];

			if (heat->node != node)
				continue;
			if (!there && numa_run_on_node(node))
				die("node %u: %s", node, strerror(errno));
			there = true;
			machine.view[node][heat->gfn * PAGE]++;
		}
	}
	machine.nr_touches = 0;
}

static void first_touches(const struct np_batch *batch)
{
	for (size_t i = 0; i < batch->nr; i++) {
		const struct np_heat *heat = &batch->heat[i];

		/* Flash is not in the VM's file. */
		if (heat->gfn >= machine.pages || machine.touched[heat->gfn])
			continue;
		machine.touched[heat->gfn] = true;
		machine.touches[machine.nr_touches++] = heat;
	}
	touch();
}

/* The policy learns of the heat; who writes to a page with copies does so. */
static void feed(const struct np_batch *batch, bool *thought)
{
	for (size_t i = 0; i < batch->nr; i++) {
		struct np_place place;
		int ret = np_policy_heat(machine.policy, &batch->heat[i], &place);

		if (ret < 0)
			die("%s", strerror(-ret));
		if (ret && batch->heat[i].gfn < machine.pages) {
			machine.touches[machine.nr_touches++] = &batch->heat[i];
			place.copies = 0;
		}
		thought[i] = np_place_local(&place, batch->heat[i].node);
	}
	touch();
}

static int by_page(const void *one, const void *two)
{
	const struct np_action *a = one, *b = two;

	if (a->verb != b->verb)
		return a->verb < b->verb ? -1 : 1;
	if (a->gfn != b->gfn)
		return a->gfn < b->gfn ? -1 : 1;
	return a->node < b->node ? -1 : a->node > b->node;
}

/* Actions of one verb. */
static void run(const struct np_action *actions, size_t nr)
{
	struct disco_move move = {
		.size = sizeof(move),
		.operation = actions->verb == NP_MIGRATE ? DISCO_MOVE_MIGRATE :
							   DISCO_MOVE_REPLICATE,
		.entries = (uintptr_t)machine.moves,
		.nr = nr,
	};
	uint64_t begin;

	for (size_t i = 0; i < nr; i++)
		machine.moves[i] = (struct disco_move_entry) {
			.gfn = actions[i].gfn, .node = actions[i].node,
		};
	begin = now();
	if (disco_move(machine.vm, &move))
		die("%s", disco_error(machine.disco));
	machine.ns += now() - begin;
	for (size_t i = 0; i < nr; i++) {
		np_policy_done(machine.policy, &actions[i], machine.moves[i].out_result);
		sums.refused += machine.moves[i].out_result != 0;
	}
	sums.asked[actions->verb] += nr;
}

static void decide(uint64_t now_ns)
{
	const struct np_action *actions;
	struct np_action *sorted;
	size_t nr, first, end;
	int ret = np_policy_decide(machine.policy, now_ns, &actions, &nr);

	if (ret)
		die("%s", strerror(-ret));
	if (!nr)
		return;
	make_room(nr);
	sorted = calloc(nr, sizeof(*sorted));
	if (!sorted)
		die("not enough memory");
	memcpy(sorted, actions, nr * sizeof(*sorted));
	qsort(sorted, nr, sizeof(*sorted), by_page);
	for (first = 0; first < nr; first = end) {
		for (end = first; end < nr && end - first < DISCO_MOVE_MAX; end++)
			if (sorted[end].verb != sorted[first].verb)
				break;
		run(&sorted[first], end - first);
	}
	free(sorted);
}

static void interval(const struct np_batch *batch)
{
	struct np_error error;
	bool *thought;

	make_room(batch->nr);
	thought = calloc(batch->nr + 1, sizeof(*thought));
	if (!thought)
		die("not enough memory");
	first_touches(batch);
	feed(batch, thought);
	if (live_tell(machine.live, batch->heat, batch->nr, machine.local, &error))
		die("%s", error.text);
	for (size_t i = 0; i < batch->nr; i++) {
		uint64_t misses = (uint64_t)batch->heat[i].reads + batch->heat[i].writes;

		sums.misses += misses;
		sums.local += machine.local[i] ? misses : 0;
		sums.differ += machine.local[i] != thought[i] ? misses : 0;
	}
	sums.busy_ns += batch->busy_ns;
	sums.now_ns = batch->now_ns;
	free(thought);
	decide(batch->now_ns);
}

static void print(void)
{
	const struct np_stat *stat = np_policy_stat(machine.policy);
	const uint64_t *value = machine.config.value;
	uint64_t stall_ns = sums.local * value[NP_LOCAL_NS] +
			    (sums.misses - sums.local) * value[NP_REMOTE_NS];
	uint64_t moves_ns;
	struct live_moves moves;

	live_close(machine.live, &moves);
	moves_ns = moves.migrated * value[NP_MIGRATE_NS] +
		   moves.replicated * value[NP_REPLICATE_NS] +
		   moves.collapsed * value[NP_COLLAPSE_NS];
	printf("{ \"rule\": \"%s\", \"nodes\": %u, \"pages\": %" PRIu64
	       ", \"length_ns\": %" PRIu64 ", \"busy_ns\": %" PRIu64
	       ", \"misses\": %" PRIu64 ", \"local\": %" PRIu64
	       ", \"differ\": %" PRIu64 ", \"stall_ns\": %" PRIu64
	       ", \"migrated\": %" PRIu64 ", \"replicated\": %" PRIu64
	       ", \"dropped\": %" PRIu64 ", \"moves_ns\": %" PRIu64
	       ", \"time_ns\": %" PRIu64 ", \"uma_ns\": %" PRIu64
	       ", \"most_copies\": %" PRIu64 ", \"over_replicas\": %" PRIu64
	       ", \"over_limit\": %" PRIu64 ", \"write_shared\": %" PRIu64
	       ", \"refused\": %" PRIu64 ", \"lab_ns\": %" PRIu64 " }\n",
	       np_rule_name(machine.config.rule), machine.source->nodes, stat->pages,
	       sums.now_ns, sums.busy_ns, sums.misses, sums.local, sums.differ, stall_ns,
	       moves.migrated, moves.replicated, moves.collapsed, moves_ns,
	       sums.busy_ns + stall_ns + moves_ns,
	       sums.busy_ns + sums.misses * value[NP_LOCAL_NS], stat->most_copies,
	       stat->over_replicas, stat->over_limit, stat->write_shared, sums.refused,
	       machine.ns);
}

int main(int argc, char **argv)
{
	struct np_batch batch;
	struct np_error error;
	int ret;

	if (argc < 4) {
		fputs(usage, stderr);
		return 2;
	}
	machine.pages = strtoull(argv[3], NULL, 10);
	machine.touched = calloc(machine.pages, sizeof(*machine.touched));
	if (!machine.pages || !machine.touched)
		die("%s pages: a number is needed that fits into memory", argv[3]);
	read_config(argc - 4, argv + 4);
	if (np_trace_open(argv[1], &machine.source, &error))
		die("%s", error.text);
	if (np_policy_new(&machine.config, machine.source->nodes, &machine.policy, &error))
		die("%s", error.text);
	make_vm(argv[2]);
	while ((ret = np_source_next(machine.source, &batch, &error)) > 0)
		interval(&batch);
	if (ret)
		die("%s", error.text);
	print();
	return 0;
}
