// SPDX-License-Identifier: GPL-2.0-only
/* DISCO_HEAT_*: which nodes use which pages. */
#define _GNU_SOURCE
#include "fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define PAGES 64
#define SIZE (PAGES * dt_page)
#define MAX_NODES 64
#define ROOM 1024
#define ALL_OF_A_CPU DISCO_HEAT_MAX_BUDGET

/* A CPU of each node that has one. */
static int nodes[MAX_NODES];
static int cpus[MAX_NODES];
static int nr_nodes;

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		dt_die("sched_setaffinity to CPU %d", cpu);
}

static void find_nodes(void)
{
	cpu_set_t all;
	unsigned int node;

	if (sched_getaffinity(0, sizeof(all), &all))
		dt_die("sched_getaffinity");
	nr_nodes = 0;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		bool known = false;

		if (!CPU_ISSET(cpu, &all))
			continue;
		run_on(cpu);
		if (syscall(SYS_getcpu, NULL, &node, NULL))
			dt_die("getcpu");
		for (int n = 0; n < nr_nodes; n++)
			known |= nodes[n] == node;
		if (known || nr_nodes == MAX_NODES)
			continue;
		cpus[nr_nodes] = cpu;
		nodes[nr_nodes++] = node;
	}
	if (sched_setaffinity(0, sizeof(all), &all))
		dt_die("sched_setaffinity");
}

FIXTURE(heat) {
	struct dt_fs fs;
	int vm;
	char *at;
	struct disco_heat_entry entries[ROOM];
};

FIXTURE_SETUP(heat)
{
	find_nodes();
	dt_fs_open(&self->fs, "heat", NULL);
	self->vm = dt_create(&self->fs, "vm", SIZE);
	self->at = dt_map(self->vm, SIZE);
	dt_fill_run(self->at, 1, 0, PAGES);
}

FIXTURE_TEARDOWN(heat)
{
	EXPECT_TRUE(dt_fs_close(&self->fs));
}

static int try_set(FIXTURE_DATA(heat) *self, int vm, uint32_t budget,
		   uint32_t max_counters)
{
	struct disco_heat_set set = {
		.size = sizeof(set), .vm_fd = vm, .budget = budget,
		.max_counters = max_counters,
	};

	return ioctl(self->fs.control, DISCO_HEAT_SET, &set);
}

static void set(FIXTURE_DATA(heat) *self, uint32_t budget, uint32_t max_counters)
{
	if (try_set(self, self->vm, budget, max_counters))
		dt_die("DISCO_HEAT_SET");
}

static struct disco_heat_stat stat_of(FIXTURE_DATA(heat) *self)
{
	struct disco_heat_stat stat = { .size = sizeof(stat), .vm_fd = self->vm };

	if (ioctl(self->fs.control, DISCO_HEAT_STAT, &stat))
		dt_die("DISCO_HEAT_STAT");
	return stat;
}

static int try_drain(FIXTURE_DATA(heat) *self, struct disco_heat_drain *drain)
{
	drain->size = sizeof(*drain);
	drain->vm_fd = self->vm;
	return ioctl(self->fs.control, DISCO_HEAT_DRAIN, drain);
}

/* All that there is, into self->entries. */
static uint32_t drain_all(FIXTURE_DATA(heat) *self, uint32_t flags)
{
	struct disco_heat_drain drain = {
		.flags = flags, .nr = ROOM,
		.entries = (uintptr_t)self->entries,
	};

	if (try_drain(self, &drain))
		dt_die("DISCO_HEAT_DRAIN");
	if (drain.out_next)
		dt_die("more than %d counters", ROOM);
	return drain.out_nr;
}

static struct disco_heat_entry count(uint64_t gfn, uint32_t node,
				     uint32_t reads, uint32_t writes)
{
	return (struct disco_heat_entry){
		.gfn = gfn, .node = node, .reads = reads, .writes = writes,
		.out_result = 77,
	};
}

static uint32_t report_list(FIXTURE_DATA(heat) *self,
			    struct disco_heat_entry *entries, uint32_t nr)
{
	struct disco_heat_report report = {
		.size = sizeof(report), .vm_fd = self->vm, .nr = nr,
		.entries = (uintptr_t)entries,
	};
	uint32_t added = 0;

	if (ioctl(self->fs.control, DISCO_HEAT_REPORT, &report))
		dt_die("DISCO_HEAT_REPORT");
	for (uint32_t i = 0; i < nr; i++)
		added += !entries[i].out_result;
	if (report.out_nr != nr || report.out_added != added)
		dt_die("DISCO_HEAT_REPORT: %u of %u, %u of %u", report.out_nr,
		       nr, report.out_added, added);
	return added;
}

static int report(FIXTURE_DATA(heat) *self, uint64_t gfn, uint32_t node,
		  uint32_t reads, uint32_t writes)
{
	struct disco_heat_entry entry = count(gfn, node, reads, writes);

	report_list(self, &entry, 1);
	return -entry.out_result;
}

static void touch_all(char *at, bool read, bool write)
{
	for (int i = 0; i < PAGES; i++) {
		volatile char *byte = at + i * dt_page;

		if (read)
			(void)*byte;
		if (write)
			*byte = i;
	}
}

/* What a pass over all pages finds when it has come round at least once. */
static bool touched(FIXTURE_DATA(heat) *self, char *at, bool read, bool write,
		    uint64_t pages)
{
	touch_all(at, read, write);
	return stat_of(self).out_pages >= pages;
}

/* Uses all pages until each must have been sampled twice. */
static bool use(FIXTURE_DATA(heat) *self, char *at, bool read, bool write)
{
	uint64_t before = stat_of(self).out_pages;

	return DT_UNTIL(touched(self, at, read, write, before + 3 * PAGES), 60);
}

/* Pages that were used by this node and no other, in self->entries. */
static int pages_of(FIXTURE_DATA(heat) *self, uint32_t nr, uint32_t node,
		    bool read, bool write)
{
	int pages = 0;

	for (uint32_t i = 0; i < nr; i++)
		pages += self->entries[i].node == node &&
			 !!self->entries[i].reads == read &&
			 !!self->entries[i].writes == write &&
			 !self->entries[i].out_result;
	return pages;
}

TEST_F(heat, node_that_uses_a_page)
{
	set(self, ALL_OF_A_CPU, 0);
	for (int n = 0; n < nr_nodes; n++) {
		uint32_t nr;

		run_on(cpus[n]);
		drain_all(self, 0);
		ASSERT_TRUE(use(self, self->at, true, false));
		nr = drain_all(self, 0);
		EXPECT_EQ(PAGES, nr);
		EXPECT_EQ(PAGES, pages_of(self, nr, nodes[n], true, false));
		/* In order, each page once. */
		for (uint32_t i = 0; i < nr; i++)
			EXPECT_EQ(i, self->entries[i].gfn);
	}
	set(self, 0, 0);
	EXPECT_TRUE(dt_is_filled(self->at, 1, 0));
	EXPECT_TRUE(dt_run_is_filled(self->at, 1, 0, PAGES));
}

/* A write is a write, and counts once. */
TEST_F(heat, reads_and_writes)
{
	struct rusage before, after;
	uint64_t writes = 0;
	uint32_t nr;

	run_on(cpus[0]);
	set(self, ALL_OF_A_CPU, 0);
	drain_all(self, 0);
	getrusage(RUSAGE_THREAD, &before);
	ASSERT_TRUE(use(self, self->at, false, true));
	set(self, 0, 0);
	getrusage(RUSAGE_THREAD, &after);
	nr = drain_all(self, 0);
	EXPECT_EQ(PAGES, pages_of(self, nr, nodes[0], false, true));
	for (uint32_t i = 0; i < nr; i++)
		writes += self->entries[i].writes;
	EXPECT_LE(writes, after.ru_minflt - before.ru_minflt);

	/* First read and then written: a fault for each. */
	set(self, ALL_OF_A_CPU, 0);
	ASSERT_TRUE(use(self, self->at, true, true));
	nr = drain_all(self, 0);
	EXPECT_EQ(PAGES, pages_of(self, nr, nodes[0], true, true));
}

/* Also those that another fault would have mapped along with its own page. */
TEST_F(heat, all_pages_that_are_shared)
{
	int clone = dt_create(&self->fs, "clone", 0);
	uint32_t nr;

	ASSERT_OK(dt_clone(clone, self->vm));
	run_on(cpus[0]);
	set(self, ALL_OF_A_CPU, 0);
	ASSERT_TRUE(use(self, self->at, true, false));
	nr = drain_all(self, 0);
	EXPECT_EQ(PAGES, pages_of(self, nr, nodes[0], true, false));
}

/* What a node reads through its own view does not hide what others read. */
TEST_F(heat, views)
{
	uint32_t nr;

	if (nr_nodes < 2)
		SKIP(return, "this machine has one node");
	set(self, ALL_OF_A_CPU, 0);
	for (int n = 0; n < 2; n++) {
		char *view = dt_map_view(self->vm, SIZE, 1 + nodes[n]);
		uint64_t before = stat_of(self).out_pages;

		run_on(cpus[n]);
		ASSERT_TRUE(DT_UNTIL((touch_all(self->at, true, false),
				      touched(self, view, true, false,
					      before + 3 * PAGES)), 60));
	}
	nr = drain_all(self, 0);
	EXPECT_EQ(2 * PAGES, nr);
	EXPECT_EQ(PAGES, pages_of(self, nr, nodes[0], true, false));
	EXPECT_EQ(PAGES, pages_of(self, nr, nodes[1], true, false));
}

/* What nobody asked for is not done; nor are first touches heat. */
TEST_F(heat, nothing_unless_asked_for)
{
	int other = dt_create(&self->fs, "other", 16 * SIZE);
	char *at = dt_map(other, 16 * SIZE);
	struct disco_heat_stat stat = stat_of(self);
	struct rusage before, after;

	EXPECT_EQ(0, stat.out_budget);
	EXPECT_EQ(DISCO_HEAT_DEFAULT_COUNTERS, stat.out_max_counters);
	EXPECT_EQ(0, stat.out_time_ns);
	touch_all(self->at, true, true);
	getrusage(RUSAGE_THREAD, &before);
	for (int i = 0; i < 100; i++)
		touch_all(self->at, true, true);
	getrusage(RUSAGE_THREAD, &after);
	EXPECT_EQ(before.ru_minflt, after.ru_minflt);
	EXPECT_EQ(0, stat_of(self).out_counters);

	self->vm = other;
	set(self, ALL_OF_A_CPU, 0);
	for (int i = 0; i < 16 * PAGES; i++)
		at[i * dt_page] = 1;
	/* A page may be sampled while it is touched. */
	EXPECT_GE(16, drain_all(self, 0));
}

/* How fast it goes is a matter of the budget, and in the long run it is kept. */
TEST_F(heat, budget)
{
	enum { MORE = 8 };
	struct disco_heat_stat full, low;
	uint64_t budget;
	int vm = dt_create(&self->fs, "large", MORE * SIZE);
	char *at = dt_map(vm, MORE * SIZE);

	dt_fill_run(at, 1, 0, MORE * PAGES);
	self->vm = vm;
	set(self, ALL_OF_A_CPU, 0);
	ASSERT_TRUE(DT_UNTIL(({
		for (int i = 0; i < MORE; i++)
			touch_all(at + i * SIZE, true, false);
		full = stat_of(self);
		full.out_time_ns > 2000000000;
	}), 60));
	EXPECT_EQ(ALL_OF_A_CPU, full.out_budget);
	EXPECT_LT(0, full.out_faults);
	EXPECT_LT(0, full.out_cost_ns);

	/* A tenth of what it took. */
	budget = full.out_cost_ns * 100000 / full.out_time_ns;
	ASSERT_LT(0, budget);
	set(self, budget, 0);
	ASSERT_TRUE(DT_UNTIL(({
		for (int i = 0; i < MORE; i++)
			touch_all(at + i * SIZE, true, false);
		low = stat_of(self);
		low.out_time_ns > 2000000000 &&
		low.out_cost_ns / budget < low.out_time_ns / 1000000;
	}), 60)) {
		TH_LOG("cost %ju ns of %ju", (uintmax_t)low.out_cost_ns,
		       (uintmax_t)low.out_time_ns);
	}
	EXPECT_LT(0, low.out_pages);
	EXPECT_LT(1.0 * low.out_pages / low.out_time_ns,
		  1.0 * full.out_pages / full.out_time_ns);
	TH_LOG("of a CPU: %.1f%% for %.0f pages/s, %.1f%% for %.0f pages/s",
	       100.0 * full.out_cost_ns / full.out_time_ns,
	       1e9 * full.out_pages / full.out_time_ns,
	       100.0 * low.out_cost_ns / low.out_time_ns,
	       1e9 * low.out_pages / low.out_time_ns);
	/* Stopped, it costs nothing. */
	set(self, 0, 0);
	EXPECT_EQ(0, stat_of(self).out_time_ns);
	EXPECT_EQ(0, stat_of(self).out_cost_ns);
}

/* A limit of counters: what finds no room is said, and the sampler waits. */
TEST_F(heat, counters_are_limited)
{
	long refused = dt_counter("refused_heat"), after;
	uint64_t pages;

	set(self, 0, 10);
	EXPECT_EQ(10, stat_of(self).out_max_counters);
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(0, report(self, i, 0, 1, 0));
	EXPECT_EQ(ENOSPC, report(self, 10, 0, 1, 0));
	EXPECT_EQ(0, report(self, 9, 0, 1, 0));
	after = dt_counter("refused_heat");
	EXPECT_LE(refused + 1, after);
	EXPECT_EQ(10, stat_of(self).out_counters);

	set(self, ALL_OF_A_CPU, 10);
	EXPECT_FALSE(DT_UNTIL(touched(self, self->at, true, false, 1), 1));
	EXPECT_EQ(10, drain_all(self, 0));
	EXPECT_TRUE(DT_UNTIL(touched(self, self->at, true, false, 1), 60));
	/* Full again, with those of the faults. */
	EXPECT_TRUE(DT_UNTIL((touch_all(self->at, true, false),
			      stat_of(self).out_counters == 10), 60));
	pages = stat_of(self).out_pages;
	EXPECT_FALSE(DT_UNTIL(touched(self, self->at, true, false,
				      pages + 2 * PAGES), 1));
}

/* A result for each entry, whatever the others get. */
TEST_F(heat, report_results)
{
	struct disco_heat_entry entries[300];
	const struct {
		struct disco_heat_entry entry;
		int result;
	} cases[] = {
		{ count(0, 0, 1, 2), 0 },
		{ count(PAGES - 1, nodes[nr_nodes - 1], 3, 0), 0 },
		{ count(PAGES, 0, 1, 0), ENXIO },
		{ count(1ULL << 32, 0, 1, 0), ENXIO },
		{ count(UINT64_MAX, 0, 1, 0), ENXIO },
		{ count(1, 0, 1, 0), ENOENT },
		{ count(2, 5000, 1, 0), EINVAL },
		{ count(2, UINT32_MAX, 1, 0), EINVAL },
		{ count(2, 0, 0, 0), 0 },
		{ count(0, 0, 4, UINT32_MAX), 0 },
	};

	ASSERT_OK(dt_punch(self->vm, dt_page, dt_page));
	for (int i = 0; i < 300; i++)
		entries[i] = cases[i % 10].entry;
	EXPECT_EQ(120, report_list(self, entries, 300));
	for (int i = 0; i < 300; i++) {
		EXPECT_EQ(cases[i % 10].result, -entries[i].out_result) {
			TH_LOG("entry %d", i);
		}
	}
	ASSERT_EQ(2, drain_all(self, 0));
	EXPECT_EQ(0, self->entries[0].gfn);
	EXPECT_EQ(150, self->entries[0].reads);
	EXPECT_EQ(INT32_MAX, self->entries[0].writes);
	EXPECT_EQ(PAGES - 1, self->entries[1].gfn);
	EXPECT_EQ(nodes[nr_nodes - 1], self->entries[1].node);
	EXPECT_EQ(90, self->entries[1].reads);
	EXPECT_EQ(0, self->entries[1].writes);
}

/* Some at a time, each once; kept if asked for. */
TEST_F(heat, drain_in_batches)
{
	struct disco_heat_drain drain = {
		.entries = (uintptr_t)self->entries, .flags = DISCO_HEAT_KEEP,
	};
	int seen = 0, rounds = 0;
	uint64_t last = UINT64_MAX;

	for (int i = 0; i < PAGES; i++)
		for (int n = 0; n < nr_nodes; n++)
			EXPECT_EQ(0, report(self, i, nodes[n], i, n + 1));
	EXPECT_EQ(PAGES * nr_nodes, drain_all(self, DISCO_HEAT_KEEP));
	EXPECT_EQ(PAGES * nr_nodes, stat_of(self).out_counters);

	/* The smallest buffer that there may be. */
	do
		drain.nr++;
	while (try_drain(self, &drain) && errno == EINVAL && drain.nr < ROOM);
	ASSERT_GT(ROOM, drain.nr);
	drain.flags = 0;
	drain.gfn = 0;
	do {
		ASSERT_OK(try_drain(self, &drain));
		ASSERT_NE(0, drain.out_nr);
		for (int i = 0; i < drain.out_nr; i++, seen++) {
			EXPECT_EQ(seen / nr_nodes, self->entries[i].gfn);
			EXPECT_EQ(seen / nr_nodes, self->entries[i].reads);
		}
		EXPECT_NE(last, self->entries[0].gfn);
		last = self->entries[drain.out_nr - 1].gfn;
		drain.gfn = drain.out_next;
		rounds++;
	} while (drain.out_next);
	EXPECT_EQ(PAGES * nr_nodes, seen);
	EXPECT_LE(PAGES * nr_nodes / (int)drain.nr, rounds);
	EXPECT_EQ(0, stat_of(self).out_counters);
	EXPECT_EQ(0, drain_all(self, 0));
}

/* From the middle on; and past the end there is nothing. */
TEST_F(heat, drain_from_a_page_on)
{
	struct disco_heat_drain drain = {
		.entries = (uintptr_t)self->entries, .nr = ROOM, .gfn = 40,
	};
	const uint64_t past[] = { PAGES, 1ULL << 32, UINT64_MAX };

	for (int i = 0; i < PAGES; i++)
		EXPECT_EQ(0, report(self, i, 0, 1, 0));
	ASSERT_OK(try_drain(self, &drain));
	EXPECT_EQ(PAGES - 40, drain.out_nr);
	EXPECT_EQ(40, self->entries[0].gfn);
	EXPECT_EQ(0, drain.out_next);
	for (int i = 0; i < ARRAY_SIZE(past); i++) {
		drain.gfn = past[i];
		drain.out_nr = 77;
		drain.out_next = 77;
		ASSERT_OK(try_drain(self, &drain));
		EXPECT_EQ(0, drain.out_nr);
		EXPECT_EQ(0, drain.out_next);
	}
	EXPECT_EQ(40, drain_all(self, 0));
}

/* Heat is of a page: it goes with it, and moves with it. */
TEST_F(heat, forgotten_with_the_page)
{
	int other = dt_create(&self->fs, "other", 0);
	struct disco_move_entry entry = { .gfn = 3 };
	struct disco_move move = {
		.size = sizeof(move), .operation = DISCO_MOVE_MIGRATE,
		.vm_fd = self->vm, .entries = (uintptr_t)&entry, .nr = 1,
	};
	long counters = dt_counter("heat_counters");

	for (int i = 0; i < PAGES; i++)
		EXPECT_EQ(0, report(self, i, nodes[i % nr_nodes], 1, 0));
	EXPECT_EQ(counters + PAGES, dt_counter("heat_counters"));
	ASSERT_OK(dt_punch(self->vm, 10 * dt_page, 5 * dt_page));
	EXPECT_EQ(PAGES - 5, stat_of(self).out_counters);
	EXPECT_EQ(PAGES - 5, drain_all(self, DISCO_HEAT_KEEP));
	for (int i = 0; i < PAGES - 5; i++)
		EXPECT_EQ(i < 10 ? i : i + 5, self->entries[i].gfn);
	ASSERT_OK(ftruncate(self->vm, 8 * dt_page));
	EXPECT_EQ(8, stat_of(self).out_counters);
	entry.node = nodes[dt_pmap(&self->fs, self->vm, 3).node == nodes[0] &&
			   nr_nodes > 1];
	ASSERT_OK(ioctl(self->fs.control, DISCO_MOVE, &move));
	EXPECT_EQ(8, stat_of(self).out_counters);

	/* A clone has none; who becomes a clone has none any more. */
	ASSERT_OK(dt_clone(other, self->vm));
	EXPECT_EQ(8, stat_of(self).out_counters);
	ASSERT_OK(ftruncate(self->vm, 4 * dt_page));
	ASSERT_OK(dt_clone(self->vm, other));
	EXPECT_EQ(0, stat_of(self).out_counters);
	EXPECT_EQ(counters, dt_counter("heat_counters"));
}

/* The fixture looks whether all is given back. */
TEST_F(heat, vm_goes_while_it_is_sampled)
{
	for (int i = 0; i < 20; i++) {
		int vm = dt_create(&self->fs, "short", SIZE);
		char *at = dt_map(vm, SIZE);

		dt_fill_run(at, 2, 0, PAGES);
		ASSERT_OK(try_set(self, vm, ALL_OF_A_CPU, 0));
		self->vm = vm;
		if (i % 2)
			EXPECT_TRUE(DT_UNTIL(touched(self, at, true, true, 1),
					     60));
		for (int j = 0; j < PAGES; j++)
			report(self, j, 0, 1, 1);
		dt_unlink(&self->fs, "short");
		dt_unmap(at, SIZE);
		dt_close(vm);
	}
}

/* Contents stay what they are while pages come and go under writers. */
struct writer {
	pthread_t thread;
	char *at;
	int cpu, first;
	bool *stop, ok;
};

static void *write_on(void *data)
{
	struct writer *w = data;
	uint64_t seed = 1;

	run_on(w->cpu);
	w->ok = true;
	dt_fill_run(w->at + w->first * dt_page, seed, w->first, PAGES / 2);
	while (!__atomic_load_n(w->stop, __ATOMIC_RELAXED)) {
		w->ok &= dt_run_is_filled(w->at + w->first * dt_page, seed,
					  w->first, PAGES / 2);
		dt_fill_run(w->at + w->first * dt_page, ++seed, w->first,
			    PAGES / 2);
	}
	return NULL;
}

TEST_F(heat, writers_see_no_change)
{
	struct writer w[2];
	bool stop = false;

	set(self, ALL_OF_A_CPU, 0);
	for (int i = 0; i < 2; i++) {
		w[i] = (struct writer){
			.at = self->at, .cpu = cpus[i % nr_nodes],
			.first = i * PAGES / 2, .stop = &stop,
		};
		ASSERT_EQ(0, pthread_create(&w[i].thread, NULL, write_on,
					    &w[i]));
	}
	EXPECT_TRUE(DT_UNTIL(stat_of(self).out_faults > 10 * PAGES, 60));
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++) {
		pthread_join(w[i].thread, NULL);
		EXPECT_TRUE(w[i].ok);
	}
}

TEST_F(heat, bad_requests)
{
	struct disco_heat_drain drain = {
		.entries = (uintptr_t)self->entries,
	};
	struct disco_heat_report req = {
		.size = sizeof(req), .vm_fd = self->vm,
		.entries = (uintptr_t)self->entries,
	};
	const uint32_t sizes[] = { 0, DISCO_HEAT_MAX + 1, UINT32_MAX };

	EXPECT_ERRNO(EINVAL, try_set(self, self->vm,
				     DISCO_HEAT_MAX_BUDGET + 1, 0));
	EXPECT_ERRNO(EINVAL, try_set(self, self->vm, UINT32_MAX, 0));
	EXPECT_ERRNO(EINVAL, try_set(self, self->vm, 1,
				     DISCO_HEAT_MAX_COUNTERS + 1));
	EXPECT_EQ(0, stat_of(self).out_budget);
	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		req.nr = sizes[i];
		EXPECT_ERRNO(EINVAL, ioctl(self->fs.control, DISCO_HEAT_REPORT,
					   &req));
		drain.nr = sizes[i];
		EXPECT_ERRNO(EINVAL, try_drain(self, &drain));
	}
}

/* A buffer that is not there: what could not be copied is not lost. */
TEST_F(heat, bad_buffers)
{
	char *at = mmap(NULL, 2 * dt_page, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct disco_heat_drain drain = { .nr = ROOM };
	struct disco_heat_report req = {
		.size = sizeof(req), .vm_fd = self->vm, .nr = 2,
	};

	ASSERT_NE(MAP_FAILED, at);
	ASSERT_OK(mprotect(at + dt_page, dt_page, PROT_READ));
	const uint64_t bad[] = {
		0, UINT64_MAX - 64, 1ULL << 63, (uintptr_t)at + dt_page,
		(uintptr_t)at + dt_page - 32,
	};

	for (int i = 0; i < PAGES; i++)
		EXPECT_EQ(0, report(self, i, 0, 1, 0));
	for (int i = 0; i < ARRAY_SIZE(bad); i++) {
		drain.entries = bad[i];
		EXPECT_ERRNO(EFAULT, try_drain(self, &drain));
		EXPECT_EQ(PAGES, stat_of(self).out_counters);
		req.entries = bad[i];
		EXPECT_ERRNO(EFAULT, ioctl(self->fs.control, DISCO_HEAT_REPORT,
					   &req));
	}
	munmap(at, 2 * dt_page);
}

TEST_HARNESS_MAIN
