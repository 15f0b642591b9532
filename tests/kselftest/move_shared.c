// SPDX-License-Identifier: GPL-2.0-only
/* DISCO_MOVE of pages that VMs share, and of the buffer cache; guests run meanwhile. */
#define _GNU_SOURCE
#include "fixture.h"
#include "nodes.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/uio.h>

#define PAGES 16
#define SIZE (PAGES * dt_page)

FIXTURE(move_shared) {
	struct dt_fs fs;
};

FIXTURE_SETUP(move_shared)
{
	DT_NEED_NODES();
	dt_fs_open(&self->fs, "move_shared", NULL);
}

FIXTURE_TEARDOWN(move_shared)
{
	EXPECT_TRUE(dt_fs_close(&self->fs));
}

/* All that have the page go on having one page, on the other node. */
TEST_F(move_shared, shared_page_moves_for_all)
{
	enum { VMS = 5 };
	int fds[VMS], node;
	char *at[VMS], name[8];
	long moves = dt_counter("shared_to_shared_move");
	uint64_t pfn;

	for (int v = 0; v < VMS; v++) {
		snprintf(name, sizeof(name), "vm%d", v);
		fds[v] = dt_create(&self->fs, name, SIZE);
		at[v] = dt_map(fds[v], SIZE);
		if (v)
			ASSERT_OK(dt_clone(fds[v], fds[0]));
		else
			dt_fill_run(at[0], 1, 0, PAGES);
		EXPECT_TRUE(dt_run_is_filled(at[v], 1, 0, PAGES));
	}
	node = dt_other_node(dt_node_of(&self->fs, fds[0], 4));
	ASSERT_EQ(0, dt_move_page(&self->fs, fds[2], 4, node));
	EXPECT_EQ(moves + VMS, dt_counter("shared_to_shared_move"));
	EXPECT_EQ(self->fs.before.machine_pages + PAGES,
		  dt_counter("machine_pages"));
	pfn = dt_pmap(&self->fs, fds[0], 4).pfn;
	for (int v = 0; v < VMS; v++) {
		struct disco_pmap_entry entry = dt_pmap(&self->fs, fds[v], 4);

		EXPECT_EQ(node, entry.node);
		EXPECT_EQ(pfn, entry.pfn);
		EXPECT_EQ(VMS, entry.users);
		EXPECT_EQ(DISCO_PAGE_SHARED, entry.state);
		EXPECT_TRUE(dt_run_is_filled(at[v], 1, 0, PAGES));
		EXPECT_EQ(pfn, dt_frame(at[v] + 4 * dt_page));
	}
	EXPECT_EQ(EEXIST, dt_move_page(&self->fs, fds[1], 4, node));
	/* Each writes for itself. */
	for (int v = 0; v < VMS; v++) {
		dt_fill(at[v] + 4 * dt_page, v + 10, 4);
		for (int w = 0; w < VMS; w++)
			EXPECT_TRUE(dt_is_filled(at[w] + 4 * dt_page,
						 w <= v ? w + 10 : 1, 4));
	}
}

/* A page that one VM has at several places, and one that others have left. */
TEST_F(move_shared, shared_page_with_odd_users)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int gone = dt_create(&self->fs, "gone", SIZE);
	char *at = dt_map(vm, SIZE);
	struct disco_merge merge = {
		.size = sizeof(merge), .vm_fd = vm, .other_fd = vm,
		.other_gfn = 1, .nr = 7,
	};
	int node;

	for (int i = 0; i < PAGES; i++)
		dt_fill(at + i * dt_page, 1, 0);
	ASSERT_OK(ioctl(self->fs.control, DISCO_MERGE, &merge));
	EXPECT_EQ(8, dt_pmap(&self->fs, vm, 0).users);
	ASSERT_OK(dt_clone(gone, vm));
	ASSERT_OK(ftruncate(gone, 0));
	node = dt_other_node(dt_node_of(&self->fs, vm, 0));
	EXPECT_EQ(0, dt_move_page(&self->fs, vm, 5, node));
	for (int i = 0; i < 8; i++) {
		EXPECT_EQ(node, dt_node_of(&self->fs, vm, i));
		EXPECT_EQ(8, dt_pmap(&self->fs, vm, i).users);
	}
	node = dt_other_node(dt_node_of(&self->fs, vm, 9));
	EXPECT_EQ(DISCO_PAGE_SHARED, dt_pmap(&self->fs, vm, 9).state);
	EXPECT_EQ(0, dt_move_page(&self->fs, vm, 9, node));
	EXPECT_EQ(node, dt_node_of(&self->fs, vm, 9));
	for (int i = 0; i < PAGES; i++)
		EXPECT_TRUE(dt_is_filled(at + i * dt_page, 1, 0));
}

/* Others' pages are moved only by who may do so to any process. */
TEST_F(move_shared, shared_page_of_others_needs_privilege)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE);
	int node;
	pid_t pid;

	dt_fill_run(at, 1, 0, PAGES);
	ASSERT_OK(dt_clone(other, vm));
	dt_fill(at, 2, 0);
	node = dt_node_of(&self->fs, vm, 0);
	pid = dt_fork();
	if (!pid) {
		if (setresuid(65534, 65534, 65534))
			_exit(2);
		if (dt_move_page(&self->fs, vm, 0, dt_other_node(node)))
			_exit(3);
		node = dt_other_node(dt_node_of(&self->fs, vm, 1));
		_exit(dt_move_page(&self->fs, vm, 1, node) != EPERM);
	}
	EXPECT_EQ(0, dt_wait(pid));
	EXPECT_TRUE(dt_is_filled(at, 2, 0));
}

TEST_F(move_shared, pinned_shared_page_stays)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);
	struct iovec page = { at_other, dt_page };
	int node, pipe_fds[2];

	dt_fill_run(at, 1, 0, PAGES);
	ASSERT_OK(dt_clone(other, vm));
	node = dt_node_of(&self->fs, vm, 0);
	dt_touch(at_other, false);
	ASSERT_OK(pipe(pipe_fds));
	ASSERT_EQ(dt_page, vmsplice(pipe_fds[1], &page, 1, 0));
	EXPECT_EQ(EBUSY, dt_move_page(&self->fs, vm, 0, dt_other_node(node)));
	EXPECT_EQ(node, dt_node_of(&self->fs, vm, 0));
	EXPECT_EQ(node, dt_node_of(&self->fs, other, 0));
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	EXPECT_EQ(0, dt_move_page(&self->fs, vm, 0, dt_other_node(node)));
	EXPECT_TRUE(dt_is_filled(at_other, 1, 0));
}

/* Moves whatever there is to wherever there is memory. */
struct mover {
	struct dt_fs *fs;
	int *fds;
	unsigned int nr;	/* pages of each */
	bool *stop;
	unsigned long moved, busy;
	pthread_t thread;
};

static void *move_for_ever(void *data)
{
	struct mover *m = data;
	struct disco_move_entry entries[100];
	uint64_t state = (uintptr_t)m;

	while (!__atomic_load_n(m->stop, __ATOMIC_RELAXED)) {
		uint64_t first = dt_random(&state) % m->nr;
		bool run = dt_random(&state) % 2;

		for (int i = 0; i < ARRAY_SIZE(entries); i++)
			entries[i] = (struct disco_move_entry){
				.gfn = run ? (first + i) % m->nr :
					     dt_random(&state) % m->nr,
				.node = dt_nodes[dt_random(&state) % dt_nr_nodes],
			};
		m->moved += dt_move_list(m->fs, m->fds[dt_random(&state) % 2],
				      entries, ARRAY_SIZE(entries));
		for (int i = 0; i < ARRAY_SIZE(entries); i++)
			m->busy += entries[i].out_result == -EBUSY;
	}
	return NULL;
}

/* The buffer cache goes on having the page, as one of those that use it. */
TEST_F(move_shared, cached_page_moves_with_the_cache)
{
	enum { VMS = 3 };
	int disk = dt_disk(&self->fs, 1, PAGES), fds[VMS], node;
	char *at[VMS], name[8];
	uint64_t pfn;

	for (int v = 0; v < VMS; v++) {
		snprintf(name, sizeof(name), "vm%d", v);
		fds[v] = dt_create(&self->fs, name, SIZE);
		at[v] = dt_map(fds[v], SIZE);
		ASSERT_EQ(SIZE, pread(disk, at[v], SIZE, 0));
		EXPECT_TRUE(dt_run_is_filled(at[v], 1, 0, PAGES));
	}
	node = dt_other_node(dt_node_of(&self->fs, fds[0], 3));
	ASSERT_EQ(0, dt_move_page(&self->fs, fds[1], 3, node));
	pfn = dt_pmap(&self->fs, fds[1], 3).pfn;
	for (int v = 0; v < VMS; v++) {
		EXPECT_EQ(pfn, dt_pmap(&self->fs, fds[v], 3).pfn);
		EXPECT_EQ(VMS, dt_pmap(&self->fs, fds[v], 3).users);
		EXPECT_EQ(node, dt_node_of(&self->fs, fds[v], 3));
		EXPECT_TRUE(dt_run_is_filled(at[v], 1, 0, PAGES));
	}
	EXPECT_EQ(SIZE, dt_disk_stat(&self->fs, disk).out_cached);
	EXPECT_EQ(SIZE, dt_disk_stat(&self->fs, disk).out_used);
	EXPECT_EQ(self->fs.before.machine_pages + PAGES,
		  dt_counter("machine_pages"));
	/* Who reads it now gets that page, and writes to a copy. */
	ASSERT_EQ(dt_page, pread(disk, at[0] + 9 * dt_page, dt_page,
				 3 * dt_page));
	EXPECT_EQ(pfn, dt_pmap(&self->fs, fds[0], 9).pfn);
	dt_fill(at[0] + 9 * dt_page, 2, 9);
	dt_fill(at[1] + 3 * dt_page, 2, 3);
	EXPECT_TRUE(dt_is_filled(at[2] + 3 * dt_page, 1, 3));
	EXPECT_EQ(2, dt_pmap(&self->fs, fds[2], 3).users);

	/* Back, and out of use. */
	dt_move_range(&self->fs, fds[2], 0, PAGES, node);
	EXPECT_EQ(PAGES, dt_move_range(&self->fs, fds[2], 0, PAGES,
				    dt_other_node(node)));
	EXPECT_TRUE(dt_run_is_filled(at[2], 1, 0, PAGES));
	for (int v = 0; v < VMS; v++)
		ASSERT_OK(ftruncate(fds[v], 0));
	EXPECT_EQ(0, dt_disk_stat(&self->fs, disk).out_used);
	EXPECT_EQ(SIZE, dt_disk_stat(&self->fs, disk).out_cached);
	ASSERT_OK(posix_fadvise(disk, 0, 0, POSIX_FADV_DONTNEED));
	EXPECT_EQ(0, dt_disk_stat(&self->fs, disk).out_cached);
	close(disk);
	EXPECT_EQ(0, unlink("/mnt/move_shared/disk/disk"));
}

/* Guests that read the disk again and again while its pages are moved. */
struct reader {
	int disk, vm;
	char *at;
	bool *stop;
	unsigned int bad;
	pthread_t thread;
};

static void *read_for_ever(void *data)
{
	struct reader *r = data;
	uint64_t state = r->vm + 1;

	while (!__atomic_load_n(r->stop, __ATOMIC_RELAXED)) {
		int to = dt_random(&state) % PAGES;
		int from = dt_random(&state) % (PAGES - to);
		int nr = 1 + dt_random(&state) % (PAGES - to - from);
		char *at = r->at + to * dt_page;

		if (pread(r->disk, at, nr * dt_page, from * dt_page) !=
		    nr * dt_page)
			dt_die("read of a disk");
		for (int i = 0; i < nr; i++)
			r->bad += !dt_is_filled(at + i * dt_page, 1, from + i);
		if (!(dt_random(&state) % 4))
			at[0] ^= 1;
		if (!(dt_random(&state) % 64))
			posix_fadvise(r->disk, 0, 0, POSIX_FADV_DONTNEED);
	}
	return NULL;
}

TEST_F(move_shared, disk_is_read_while_its_pages_move)
{
	struct reader readers[2];
	int disk = dt_disk(&self->fs, 1, PAGES), fds[2];
	unsigned long moved = dt_counter("shared_to_shared_move");
	struct mover mover = {
		.fs = &self->fs, .fds = fds, .nr = PAGES,
	};
	bool stop = false;

	for (int i = 0; i < 2; i++) {
		fds[i] = dt_create(&self->fs, i ? "b" : "a", SIZE);
		readers[i] = (struct reader){
			.disk = disk, .vm = fds[i], .at = dt_map(fds[i], SIZE),
			.stop = &stop,
		};
		ASSERT_OK(pthread_create(&readers[i].thread, NULL,
					 read_for_ever, &readers[i]));
	}
	mover.stop = &stop;
	ASSERT_OK(pthread_create(&mover.thread, NULL, move_for_ever, &mover));
	for (double end = dt_now() + 2; dt_now() < end;) {
		ASSERT_TRUE(dt_check(self->fs.control, fds[0]));
		usleep(10000);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(mover.thread, NULL);
	for (int i = 0; i < 2; i++) {
		pthread_join(readers[i].thread, NULL);
		EXPECT_EQ(0, readers[i].bad);
	}
	moved = dt_counter("shared_to_shared_move") - moved;
	EXPECT_LT(0, moved);
	for (int i = 0; i < 2; i++)
		ASSERT_OK(ftruncate(fds[i], 0));
	EXPECT_EQ(0, dt_disk_stat(&self->fs, disk).out_used);
	TH_LOG("%lu pages moved", moved);
	close(disk);
}

/*
 * Guests run while their pages are moved, cloned and merged: each thread knows
 * what is in its own pages, and looks.
 */
struct runner {
	int vm;
	char *at[2];		/* home view, and that of a node */
	unsigned int first, nr;	/* its pages */
	bool *stop;
	unsigned int bad;
	pthread_t thread;
};

static void *run(void *data)
{
	struct runner *r = data;
	uint64_t state = r->first + 1 + r->vm * 1000, to;
	unsigned int kind[r->nr];

	for (unsigned int i = 0; i < r->nr; i++)
		kind[i] = 0;
	while (!__atomic_load_n(r->stop, __ATOMIC_RELAXED)) {
		unsigned int i = dt_random(&state) % r->nr;
		size_t offset = (r->first + i) * dt_page;
		char *page = r->at[dt_random(&state) % 2] + offset;

		if (kind[i] ? !dt_is_filled(page, kind[i], 0) :
			      !dt_is_zero(page, dt_page))
			r->bad++;
		to = dt_random(&state) % 4;
		page = r->at[dt_random(&state) % 2] + offset;
		if (to)
			dt_fill(page, to, 0);
		else if (dt_punch(r->vm, offset, dt_page))
			dt_die("punch");
		kind[i] = to;
	}
	return NULL;
}

TEST_F(move_shared, while_guests_run)
{
	enum { EACH = 64, RUNNERS = 4, MOVERS = 2 };
	const unsigned int nr = 2 * EACH;
	struct runner runners[RUNNERS];
	struct mover movers[MOVERS];
	struct disco_merge merge = { .size = sizeof(merge), .nr = nr };
	int fds[2], clone = dt_create(&self->fs, "clone", 0);
	unsigned long moved = 0, busy = 0;
	bool stop = false;

	for (int i = 0; i < 2; i++)
		fds[i] = dt_create(&self->fs, i ? "b" : "a", nr * dt_page);
	for (int i = 0; i < RUNNERS; i++) {
		runners[i] = (struct runner){
			.vm = fds[i / 2], .first = i % 2 * EACH, .nr = EACH,
			.at = { dt_map(fds[i / 2], nr * dt_page),
				dt_map_view(fds[i / 2], nr * dt_page,
					    1 + dt_nodes[i % dt_nr_nodes]) },
			.stop = &stop,
		};
		ASSERT_OK(pthread_create(&runners[i].thread, NULL, run,
					 &runners[i]));
	}
	for (int i = 0; i < MOVERS; i++) {
		movers[i] = (struct mover){
			.fs = &self->fs, .fds = fds, .nr = nr, .stop = &stop,
		};
		ASSERT_OK(pthread_create(&movers[i].thread, NULL,
					 move_for_ever, &movers[i]));
	}
	merge.vm_fd = fds[0];
	merge.other_fd = fds[1];
	for (double end = dt_now() + 3; dt_now() < end;) {
		ASSERT_OK(dt_clone(clone, fds[0]));
		ASSERT_OK(ioctl(self->fs.control, DISCO_MERGE, &merge));
		ASSERT_TRUE(dt_check(self->fs.control, fds[0]));
		ASSERT_OK(ftruncate(clone, 0));
		usleep(20000);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < RUNNERS; i++) {
		pthread_join(runners[i].thread, NULL);
		EXPECT_EQ(0, runners[i].bad) {
			TH_LOG("thread %d", i);
		}
	}
	for (int i = 0; i < MOVERS; i++) {
		pthread_join(movers[i].thread, NULL);
		moved += movers[i].moved;
		busy += movers[i].busy;
	}
	EXPECT_LT(0, moved);
	TH_LOG("%lu pages moved, %lu busy", moved, busy);
}

TEST_HARNESS_MAIN
