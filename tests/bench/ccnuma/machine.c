// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a guest's processors missed in their caches, done to real pages: runs in the lab.
 *
 * In each interval of a trace a processor of the node that touched a page first does so
 * here, and each node that had misses of stores to a page stores to it, in its view. Then
 * what the model of caches does in QEMU (live.c) comes: the module is told of the misses
 * as heat, and asked which of them are local in the view of the node that missed; the
 * policy decides, and the module migrates and copies. Stores come before the question,
 * as disco-replay has it.
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
 * @config: rule and numbers
 * @live: the VM, as the module has it
 * @touches: pages to touch, by node
 * @nr_touches: how many
 * @local: of each heat: is it local?
 * @max: room in @touches and @local
 */
static struct machine {
	int fd;
	uint64_t pages;
	bool *touched;
	char *view[NP_MAX_NODES];
	struct np_source *source;
	struct np_config config;
	struct live *live;
	const struct np_heat **touches;
	size_t nr_touches;
	bool *local;
	size_t max;
} machine;

/**
 * struct sums - what comes out
 * @misses: all misses
 * @local: those that were local, by the module
 * @busy_ns: time of computing
 * @now_ns: length of the trace
 */
static struct sums {
	uint64_t misses;
	uint64_t local;
	uint64_t busy_ns;
	uint64_t now_ns;
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
	if (live_new(path, &machine.config, machine.source->nodes, &machine.live, &error))
		die("%s: %s", path, error.text);
	/* Opens it by its name. */
	if (live_tell(machine.live, 0, NULL, 0, NULL, &error))
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
	machine.local = reallocarray(machine.local, machine.max, sizeof(*machine.local));
	if (!machine.touches || !machine.local)
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

/* Pages that nobody has touched before, in the order of misses; and then stores. */
static void touch_pages(const struct np_batch *batch)
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
	for (size_t i = 0; i < batch->nr; i++)
		if (batch->heat[i].writes && batch->heat[i].gfn < machine.pages)
			machine.touches[machine.nr_touches++] = &batch->heat[i];
	touch();
}

static void interval(const struct np_batch *batch)
{
	struct np_error error;

	make_room(batch->nr);
	touch_pages(batch);
	if (live_tell(machine.live, batch->now_ns, batch->heat, batch->nr, machine.local, &error))
		die("%s", error.text);
	for (size_t i = 0; i < batch->nr; i++) {
		uint64_t misses = (uint64_t)batch->heat[i].reads + batch->heat[i].writes;

		sums.misses += misses;
		sums.local += machine.local[i] ? misses : 0;
	}
	sums.busy_ns += batch->busy_ns;
	sums.now_ns = batch->now_ns;
}

static void print(void)
{
	const uint64_t *value = machine.config.value;
	uint64_t stall_ns = sums.local * value[NP_LOCAL_NS] +
			    (sums.misses - sums.local) * value[NP_REMOTE_NS];
	uint64_t moves_ns;
	struct live_sum sum;

	live_close(machine.live, &sum);
	moves_ns = sum.migrated * value[NP_MIGRATE_NS] +
		   sum.replicated * value[NP_REPLICATE_NS] +
		   sum.collapsed * value[NP_COLLAPSE_NS];
	printf("{ \"rule\": \"%s\", \"nodes\": %u, \"pages\": %" PRIu64
	       ", \"length_ns\": %" PRIu64 ", \"busy_ns\": %" PRIu64
	       ", \"misses\": %" PRIu64 ", \"local\": %" PRIu64 ", \"stall_ns\": %" PRIu64
	       ", \"migrated\": %" PRIu64 ", \"replicated\": %" PRIu64
	       ", \"dropped\": %" PRIu64 ", \"moves_ns\": %" PRIu64
	       ", \"time_ns\": %" PRIu64 ", \"uma_ns\": %" PRIu64
	       ", \"most_copies\": %" PRIu64 ", \"over_replicas\": %" PRIu64
	       ", \"over_limit\": %" PRIu64 ", \"write_shared\": %" PRIu64
	       ", \"refused\": %" PRIu64 ", \"lab_ns\": %" PRIu64 " }\n",
	       np_rule_name(machine.config.rule), machine.source->nodes, sum.stat.pages,
	       sums.now_ns, sums.busy_ns, sums.misses, sums.local, stall_ns,
	       sum.migrated, sum.replicated, sum.collapsed, moves_ns,
	       sums.busy_ns + stall_ns + moves_ns,
	       sums.busy_ns + sums.misses * value[NP_LOCAL_NS], sum.stat.most_copies,
	       sum.stat.over_replicas, sum.stat.over_limit, sum.stat.write_shared,
	       sum.refused, sum.moves_ns);
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
	make_vm(argv[2]);
	while ((ret = np_source_next(machine.source, &batch, &error)) > 0)
		interval(&batch);
	if (ret)
		die("%s", error.text);
	print();
	return 0;
}
