// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rule 3, when no page table has the older copy any more but a TLB has.
 *
 * One thread unmaps all of a large mapping again and again. Its first page is
 * unmapped at once, but TLBs are flushed when all the rest has been walked. In
 * between another thread, for which the first one has to leave the CPU, has that page,
 * which is shared, moved to another node, and writes to it. From then on a third one,
 * on another CPU, must not read what was there before.
 */
#define _GNU_SOURCE
#include "fixture.h"
#include "nodes.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

/* Of page tables, so that the walk takes long; there is one page in each. */
#define TABLES 512
#define TABLE_SIZE (512 * dt_page)
#define SIZE (TABLES * TABLE_SIZE)
#define SECONDS 3

FIXTURE(stale_tlb) {
	struct dt_fs fs;
	int vm;
	char *at;
	uint64_t done;		/* what the page holds, or something later */
	uint64_t looked;	/* what the reader has seen */
	uint64_t stale;		/* how often it was less than it had to be */
	uint64_t unmapped;
	bool stop;
	pthread_t reader, unmapper;
};

static void stay_on(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		dt_die("sched_setaffinity");
}

static bool stopped(FIXTURE_DATA(stale_tlb) *self)
{
	return __atomic_load_n(&self->stop, __ATOMIC_RELAXED);
}

static void *read_page(void *data)
{
	FIXTURE_DATA(stale_tlb) *self = data;
	uint64_t done, seen;

	stay_on(1);
	while (!stopped(self)) {
		done = __atomic_load_n(&self->done, __ATOMIC_ACQUIRE);
		seen = __atomic_load_n((uint64_t *)self->at, __ATOMIC_ACQUIRE);
		if (seen < done)
			__atomic_fetch_add(&self->stale, 1, __ATOMIC_RELAXED);
		__atomic_store_n(&self->looked, seen, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void *unmap_pages(void *data)
{
	const struct sched_param none = { 0 };
	FIXTURE_DATA(stale_tlb) *self = data;

	stay_on(0);
	/* Whenever the other one wants the CPU it gets it. */
	if (sched_setscheduler(0, SCHED_IDLE, &none))
		dt_die("sched_setscheduler");
	while (!stopped(self)) {
		if (madvise(self->at, SIZE, MADV_DONTNEED))
			dt_die("madvise");
		self->unmapped++;
	}
	return NULL;
}

FIXTURE_SETUP(stale_tlb)
{
	DT_NEED_NODES();
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(_exit(255), "this machine has one CPU");
	dt_fs_open(&self->fs, "stale_tlb", NULL);
	self->vm = dt_create(&self->fs, "vm", SIZE);
	self->at = dt_map(self->vm, SIZE);
	self->done = 1;
	*(uint64_t *)self->at = self->done;
	for (int i = 1; i < TABLES; i++)
		dt_touch(self->at + i * TABLE_SIZE, false);
	if (pthread_create(&self->reader, NULL, read_page, self) ||
	    pthread_create(&self->unmapper, NULL, unmap_pages, self))
		dt_die("pthread_create");
}

FIXTURE_TEARDOWN(stale_tlb)
{
	EXPECT_TRUE(dt_fs_close(&self->fs));
}

/*
 * A copy that comes and goes leaves it shared, with one user. While it is unmapped
 * and not flushed it looks pinned.
 */
static void share_page(FIXTURE_DATA(stale_tlb) *self)
{
	int node = dt_other_node(dt_node_of(&self->fs, self->vm, 0));

	while (dt_do_page(&self->fs, self->vm, DISCO_MOVE_REPLICATE, 0,
			  node) == EBUSY)
		usleep(100);
	dt_do_page(&self->fs, self->vm, DISCO_MOVE_COLLAPSE, 0,
		   DISCO_NO_NODE);
}

TEST_F(stale_tlb, nobody_reads_a_page_that_was_moved)
{
	uint64_t moved = 0;
	int node;

	stay_on(0);
	for (double end = dt_now() + SECONDS; dt_now() < end;) {
		share_page(self);
		/* It is in the reader's TLB then. */
		while (__atomic_load_n(&self->looked, __ATOMIC_ACQUIRE) <
		       self->done)
			usleep(100);
		node = dt_other_node(dt_node_of(&self->fs, self->vm, 0));
		moved += !dt_move_page(&self->fs, self->vm, 0, node);
		__atomic_store_n((uint64_t *)self->at, self->done + 1,
				 __ATOMIC_RELEASE);
		__atomic_store_n(&self->done, self->done + 1,
				 __ATOMIC_RELEASE);
	}
	__atomic_store_n(&self->stop, true, __ATOMIC_RELAXED);
	pthread_join(self->reader, NULL);
	pthread_join(self->unmapper, NULL);
	EXPECT_LT(0, moved);
	EXPECT_LT(0, self->unmapped);
	EXPECT_EQ(0, self->stale);
	TH_LOG("%ju steps, %ju pages moved, unmapped %ju times",
	       (uintmax_t)self->done, (uintmax_t)moved,
	       (uintmax_t)self->unmapped);
}

TEST_HARNESS_MAIN
