// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replicas: copies of pages on other nodes, which nobody can tell from the pages,
 * and which are gone when somebody writes.
 */
#define _GNU_SOURCE
#include "fixture.h"
#include "nodes.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/uio.h>

#define PAGES 32
#define SIZE (PAGES * dt_page)
#define MAX_VIEWS (1 + DT_MAX_NODES)

FIXTURE(replicate) {
	struct dt_fs fs;
	int vm;
	char *at[MAX_VIEWS];	/* the home view, then those of dt_nodes[] */
	int nr;			/* how many */
};

static void open_vm(FIXTURE_DATA(replicate) *self, const char *options)
{
	dt_fs_open(&self->fs, "replicate", options);
	self->vm = dt_create(&self->fs, "vm", SIZE);
	self->at[0] = dt_map(self->vm, SIZE);
	for (int n = 0; n < dt_nr_nodes; n++)
		self->at[1 + n] = dt_map_view(self->vm, SIZE, 1 + dt_nodes[n]);
	self->nr = 1 + dt_nr_nodes;
}

FIXTURE_SETUP(replicate)
{
	DT_NEED_NODES();
	open_vm(self, NULL);
}

FIXTURE_TEARDOWN(replicate)
{
	EXPECT_TRUE(dt_fs_close(&self->fs));
}

static uint32_t replicate(const struct dt_fs *fs, int vm, uint64_t gfn,
			  uint32_t nr, int node)
{
	return dt_do_range(fs, vm, DISCO_MOVE_REPLICATE, gfn, nr, node);
}

static int replicate_page(const struct dt_fs *fs, int vm, uint64_t gfn,
			  int node)
{
	return dt_do_page(fs, vm, DISCO_MOVE_REPLICATE, gfn, node);
}

static int collapse_page(const struct dt_fs *fs, int vm, uint64_t gfn, int node)
{
	return dt_do_page(fs, vm, DISCO_MOVE_COLLAPSE, gfn, node);
}

/* A copy of every page on every node. */
static void replicate_everywhere(FIXTURE_DATA(replicate) *self)
{
	for (int n = 0; n < dt_nr_nodes; n++)
		replicate(&self->fs, self->vm, 0, PAGES, dt_nodes[n]);
}

static bool all_show(FIXTURE_DATA(replicate) *self, uint64_t seed, int first,
		     int last)
{
	for (int v = 0; v < self->nr; v++)
		if (!dt_run_is_filled(self->at[v] + first * dt_page, seed,
				      first, last - first + 1))
			return false;
	return true;
}

static long replicas(FIXTURE_DATA(replicate) *self)
{
	return dt_counter("replicas") - self->fs.before.replicas;
}

/* Does every view of a node read this page from that node? */
static bool is_local(FIXTURE_DATA(replicate) *self, int gfn)
{
	for (int n = 0; n < dt_nr_nodes; n++) {
		struct disco_pmap_entry entry;

		entry = dt_pmap_view(&self->fs, self->vm, 1 + dt_nodes[n], gfn);
		if (entry.state != DISCO_PAGE_REPLICATED ||
		    entry.node != dt_nodes[n] ||
		    entry.pfn != dt_frame(self->at[1 + n] + gfn * dt_page))
			return false;
	}
	return true;
}

TEST_F(replicate, views_read_their_copy)
{
	long added = dt_counter("replica_added");
	int home;

	dt_fill_run(self->at[0], 1, 0, PAGES);
	EXPECT_TRUE(all_show(self, 1, 0, PAGES - 1));	/* all are mapped */
	home = dt_pmap(&self->fs, self->vm, 0).node;
	dt_do_range(&self->fs, self->vm, DISCO_MOVE_MIGRATE, 0, PAGES, home);
	EXPECT_TRUE(all_show(self, 1, 0, PAGES - 1));
	for (int n = 0; n < dt_nr_nodes; n++)
		EXPECT_EQ(dt_nodes[n] == home ? 0 : PAGES,
			  replicate(&self->fs, self->vm, 0, PAGES, dt_nodes[n]));

	EXPECT_EQ(PAGES * (dt_nr_nodes - 1), replicas(self));
	EXPECT_EQ(added + PAGES * (dt_nr_nodes - 1),
		  dt_counter("replica_added"));
	EXPECT_EQ(self->fs.before.machine_pages + PAGES * dt_nr_nodes,
		  dt_counter("machine_pages"));
	EXPECT_TRUE(all_show(self, 1, 0, PAGES - 1));
	for (int i = 0; i < PAGES; i++) {
		struct disco_pmap_entry entry = dt_pmap(&self->fs, self->vm, i);

		EXPECT_TRUE(is_local(self, i));
		EXPECT_EQ(home, entry.node);
		EXPECT_EQ(DISCO_PAGE_REPLICATED, entry.state);
		EXPECT_EQ(1, entry.users);
	}
	EXPECT_TRUE(dt_check(self->fs.control, self->vm));
}

/* The home view has one page table: who reads first decides. */
TEST_F(replicate, home_view_reads_where_the_cpu_is)
{
	cpu_set_t before, one;
	unsigned int cpu, node;

	dt_fill_run(self->at[0], 1, 0, PAGES);
	replicate_everywhere(self);
	ASSERT_OK(sched_getaffinity(0, sizeof(before), &before));
	for (int c = 0; c < CPU_SETSIZE; c++) {
		if (!CPU_ISSET(c, &before))
			continue;
		CPU_ZERO(&one);
		CPU_SET(c, &one);
		ASSERT_OK(sched_setaffinity(0, sizeof(one), &one));
		ASSERT_OK(getcpu(&cpu, &node));
		/* A mapping of this CPU's own. */
		dt_unmap(self->at[0], SIZE);
		self->at[0] = dt_map(self->vm, SIZE);
		dt_touch(self->at[0] + 3 * dt_page, false);
		EXPECT_EQ(dt_pmap_view(&self->fs, self->vm, 1 + node, 3).pfn,
			  dt_frame(self->at[0] + 3 * dt_page));
	}
	ASSERT_OK(sched_setaffinity(0, sizeof(before), &before));
}

/* All the ways in which a page gets other contents. Each changes page 5. */
static void store(FIXTURE_DATA(replicate) *self, int view)
{
	dt_fill(self->at[view] + 5 * dt_page, 2, 5);
}

static void by_write(FIXTURE_DATA(replicate) *self, int view)
{
	char *page = malloc(dt_page);

	(void)view;
	dt_fill(page, 2, 5);
	if (pwrite(self->vm, page, dt_page, 5 * dt_page) != dt_page)
		dt_die("pwrite");
	free(page);
}

static void by_system_call(FIXTURE_DATA(replicate) *self, int view)
{
	int fd = open("/mnt/page", O_RDWR | O_CREAT | O_TRUNC, 0600);
	char *page = malloc(dt_page);

	dt_fill(page, 2, 5);
	if (pwrite(fd, page, dt_page, 0) != dt_page ||
	    pread(fd, self->at[view] + 5 * dt_page, dt_page, 0) != dt_page)
		dt_die("/mnt/page");
	close(fd);
	free(page);
}

static void by_disk(FIXTURE_DATA(replicate) *self, int view)
{
	int disk = dt_disk(&self->fs, 2, 6);

	if (pread(disk, self->at[view] + 5 * dt_page, dt_page, 5 * dt_page) !=
	    dt_page)
		dt_die("pread of the disk");
	close(disk);
}

static void by_clone(FIXTURE_DATA(replicate) *self, int view)
{
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(other, SIZE);

	(void)view;
	dt_fill_run(at, 1, 0, PAGES);
	dt_fill(at + 5 * dt_page, 2, 5);
	if (dt_clone(self->vm, other))
		dt_die("clone");
	dt_unmap(at, SIZE);
	dt_close(other);
	dt_unlink(&self->fs, "other");
}

static void by_punch(FIXTURE_DATA(replicate) *self, int view)
{
	if (dt_punch(self->vm, 5 * dt_page, dt_page))
		dt_die("punch");
	store(self, view);
}

static void by_truncate(FIXTURE_DATA(replicate) *self, int view)
{
	if (ftruncate(self->vm, 5 * dt_page) || ftruncate(self->vm, SIZE))
		dt_die("ftruncate");
	dt_fill_run(self->at[view] + 6 * dt_page, 1, 6, PAGES - 6);
	store(self, view);
}

FIXTURE(change) {
	FIXTURE_DATA(replicate) r;
};

FIXTURE_VARIANT(change) {
	void (*change)(FIXTURE_DATA(replicate) *self, int view);
	bool all;		/* the other pages lose their replicas as well */
	bool once;		/* the view makes no difference */
};

FIXTURE_VARIANT_ADD(change, store) { store };
FIXTURE_VARIANT_ADD(change, write) { by_write, .once = true };
FIXTURE_VARIANT_ADD(change, system_call) { by_system_call };
FIXTURE_VARIANT_ADD(change, disk) { by_disk, .once = true };
FIXTURE_VARIANT_ADD(change, clone) { by_clone, .all = true, .once = true };
FIXTURE_VARIANT_ADD(change, punch) { by_punch };
FIXTURE_VARIANT_ADD(change, truncate) { by_truncate, .all = true };

FIXTURE_SETUP(change)
{
	DT_NEED_NODES();
	open_vm(&self->r, NULL);
}

FIXTURE_TEARDOWN(change)
{
	EXPECT_TRUE(dt_fs_close(&self->r.fs));
}

/* Rule 3: no view goes on with a copy that is old. */
TEST_F(change, is_seen_in_every_view)
{
	FIXTURE_DATA(replicate) *r = &self->r;

	for (int v = 0; v < (variant->once ? 1 : r->nr); v++) {
		dt_fill_run(r->at[0], 1, 0, PAGES);
		replicate_everywhere(r);
		EXPECT_TRUE(all_show(r, 1, 0, PAGES - 1));
		variant->change(r, v);
		EXPECT_TRUE(all_show(r, 2, 5, 5));
		EXPECT_TRUE(all_show(r, 1, 0, 4));
		EXPECT_TRUE(all_show(r, 1, 6, PAGES - 1));
		for (int w = 1; w < r->nr; w++)
			EXPECT_EQ(dt_frame(r->at[0] + 5 * dt_page),
				  dt_frame(r->at[w] + 5 * dt_page));
		if (!variant->all)
			EXPECT_EQ((PAGES - 1) * (dt_nr_nodes - 1), replicas(r));
		EXPECT_NE(DISCO_PAGE_REPLICATED,
			  dt_pmap(&r->fs, r->vm, 5).state);
		EXPECT_TRUE(dt_check(r->fs.control, r->vm));
	}
	ASSERT_OK(ftruncate(r->vm, 0));
	EXPECT_EQ(0, replicas(r));
}

/* The page that is written to is the one there was: no copy is made. */
TEST_F(replicate, last_user_keeps_its_page)
{
	uint64_t pfn;
	long dropped = dt_counter("replica_dropped");

	dt_fill_run(self->at[0], 1, 0, PAGES);
	pfn = dt_pmap(&self->fs, self->vm, 7).pfn;
	replicate_everywhere(self);
	EXPECT_TRUE(all_show(self, 1, 0, PAGES - 1));
	dt_fill(self->at[1] + 7 * dt_page, 3, 7);
	EXPECT_EQ(pfn, dt_pmap(&self->fs, self->vm, 7).pfn);
	EXPECT_EQ(DISCO_PAGE_PRIVATE, dt_pmap(&self->fs, self->vm, 7).state);
	EXPECT_EQ(dropped + dt_nr_nodes - 1, dt_counter("replica_dropped"));
	EXPECT_EQ((SIZE - dt_page), dt_stat(&self->fs, self->vm).out_shared);
}

TEST_F(replicate, collapse)
{
	const int vm = self->vm;
	int home;

	dt_fill_run(self->at[0], 1, 0, PAGES);
	home = dt_pmap(&self->fs, vm, 0).node;
	dt_do_range(&self->fs, vm, DISCO_MOVE_MIGRATE, 0, PAGES, home);
	replicate_everywhere(self);
	EXPECT_TRUE(all_show(self, 1, 0, PAGES - 1));
	/* One copy of one page. */
	EXPECT_EQ(0, collapse_page(&self->fs, vm, 3, dt_other_node(home)));
	EXPECT_EQ(ENOENT, collapse_page(&self->fs, vm, 3, dt_other_node(home)));
	EXPECT_EQ(ENOENT, collapse_page(&self->fs, vm, 3, home));
	EXPECT_EQ(PAGES * (dt_nr_nodes - 1) - 1, replicas(self));
	EXPECT_EQ(home, dt_pmap_view(&self->fs, vm, 1 + dt_other_node(home),
				     3).node);
	EXPECT_TRUE(all_show(self, 1, 0, PAGES - 1));
	/* All of all. */
	EXPECT_EQ(dt_nr_nodes > 2 ? PAGES : PAGES - 1,
		  dt_do_range(&self->fs, vm, DISCO_MOVE_COLLAPSE, 0, PAGES,
			      DISCO_NO_NODE));
	EXPECT_EQ(0, replicas(self));
	for (int i = 0; i < PAGES; i++)
		EXPECT_EQ(DISCO_PAGE_SHARED, dt_pmap(&self->fs, vm, i).state);
	EXPECT_TRUE(all_show(self, 1, 0, PAGES - 1));
	for (int v = 1; v < self->nr; v++)
		EXPECT_EQ(dt_frame(self->at[0]), dt_frame(self->at[v]));
}

/* A result for each entry, whatever the others get. */
TEST_F(replicate, results)
{
	struct disco_move_entry entries[8];
	const int expected[] = {
		0, EEXIST, ENOENT, ENXIO, EINVAL, EINVAL, EEXIST, 0
	};
	int home, there;

	dt_fill_run(self->at[0], 1, 0, PAGES);
	ASSERT_OK(dt_punch(self->vm, 2 * dt_page, dt_page));
	home = dt_pmap(&self->fs, self->vm, 0).node;
	there = dt_other_node(home);
	dt_do_range(&self->fs, self->vm, DISCO_MOVE_MIGRATE, 0, PAGES, home);
	for (int i = 0; i < ARRAY_SIZE(entries); i++)
		entries[i] = (struct disco_move_entry){
			.gfn = i, .node = there, .out_result = 77,
		};
	entries[1].node = home;
	entries[3].gfn = PAGES;
	entries[4].node = DT_MAX_NODES * 1000;
	entries[5].node = DISCO_NO_NODE;
	entries[6].gfn = 0;		/* twice */
	EXPECT_EQ(2, dt_do_list(&self->fs, self->vm, DISCO_MOVE_REPLICATE,
				  entries, ARRAY_SIZE(entries)));
	for (int i = 0; i < ARRAY_SIZE(entries); i++) {
		EXPECT_EQ(expected[i], -entries[i].out_result) {
			TH_LOG("entry %d", i);
		}
	}
	EXPECT_EQ(2, replicas(self));
	EXPECT_EQ(ENXIO, collapse_page(&self->fs, self->vm, PAGES,
				       DISCO_NO_NODE));
	EXPECT_EQ(ENOENT, collapse_page(&self->fs, self->vm, 2, DISCO_NO_NODE));
	EXPECT_EQ(ENOENT, collapse_page(&self->fs, self->vm, 1, there));
	EXPECT_EQ(EINVAL, collapse_page(&self->fs, self->vm, 0,
					DT_MAX_NODES * 1000));
	EXPECT_EQ(2, replicas(self));
}

/* Rule 2: what a device may be writing to gets no copies. */
TEST_F(replicate, pinned_page_gets_none)
{
	char *at = self->at[0] + 3 * dt_page, *buffer = malloc(dt_page);
	struct iovec page = { at, dt_page };
	long refused = dt_counter("refused_pinned");
	int pipe_fds[2], node;

	dt_fill_run(self->at[0], 1, 0, PAGES);
	node = dt_other_node(dt_pmap(&self->fs, self->vm, 3).node);
	ASSERT_OK(pipe(pipe_fds));
	ASSERT_EQ(dt_page, vmsplice(pipe_fds[1], &page, 1, 0));
	EXPECT_EQ(EBUSY, replicate_page(&self->fs, self->vm, 3, node));
	EXPECT_EQ(refused + 1, dt_counter("refused_pinned"));
	EXPECT_EQ(DISCO_PAGE_PRIVATE, dt_pmap(&self->fs, self->vm, 3).state);
	dt_fill(at, 7, 3);
	ASSERT_EQ(dt_page, read(pipe_fds[0], buffer, dt_page));
	EXPECT_TRUE(dt_is_filled(buffer, 7, 3));
	EXPECT_EQ(0, replicate_page(&self->fs, self->vm, 3, node));

	/* Who only reads a replica keeps it, and nobody else. */
	dt_touch(self->at[1] + 3 * dt_page, false);
	dt_touch(self->at[2] + 3 * dt_page, false);
	page.iov_base = self->at[node == dt_nodes[0] ? 1 : 2] + 3 * dt_page;
	ASSERT_EQ(dt_page, vmsplice(pipe_fds[1], &page, 1, 0));
	dt_fill(self->at[0] + 3 * dt_page, 8, 3);
	EXPECT_TRUE(all_show(self, 8, 3, 3));
	EXPECT_EQ(0, replicas(self));
	ASSERT_EQ(dt_page, read(pipe_fds[0], buffer, dt_page));
	EXPECT_TRUE(dt_is_filled(buffer, 7, 3));
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	free(buffer);
}

/* What VMs share, they share the replicas of, until the last one leaves. */
TEST_F(replicate, vms_share_replicas)
{
	enum { VMS = 3 };
	int fds[VMS] = { self->vm }, node, other;
	char *at[VMS], name[8];

	dt_fill_run(self->at[0], 1, 0, PAGES);
	node = dt_pmap(&self->fs, self->vm, 4).node;
	other = dt_other_node(node);
	for (int v = 0; v < VMS; v++) {
		if (v) {
			snprintf(name, sizeof(name), "vm%d", v);
			fds[v] = dt_create(&self->fs, name, 0);
			ASSERT_OK(dt_clone(fds[v], fds[0]));
		}
		at[v] = dt_map_view(fds[v], SIZE, 1 + other);
		EXPECT_TRUE(dt_run_is_filled(at[v], 1, 0, PAGES));
	}
	EXPECT_EQ(0, replicate_page(&self->fs, fds[1], 4, other));
	EXPECT_EQ(EEXIST, replicate_page(&self->fs, fds[2], 4, other));
	EXPECT_EQ(1, replicas(self));
	for (int v = 0; v < VMS; v++) {
		struct disco_pmap_entry entry;

		entry = dt_pmap_view(&self->fs, fds[v], 1 + other, 4);
		/* Though it had the page mapped before. */
		EXPECT_TRUE(dt_is_filled(at[v] + 4 * dt_page, 1, 4));
		EXPECT_EQ(entry.pfn, dt_frame(at[v] + 4 * dt_page));
		EXPECT_EQ(other, entry.node);
		EXPECT_EQ(VMS, entry.users);
		EXPECT_EQ(DISCO_PAGE_REPLICATED, entry.state);
	}
	for (int v = 0; v < VMS; v++) {
		dt_fill(at[v] + 4 * dt_page, v + 10, 4);
		EXPECT_EQ(v < VMS - 1, replicas(self));
		for (int w = 0; w < VMS; w++)
			EXPECT_TRUE(dt_is_filled(at[w] + 4 * dt_page,
						 w <= v ? w + 10 : 1, 4));
		EXPECT_TRUE(dt_check(self->fs.control, fds[0]));
	}
	/* A clone of a page that has replicas. */
	node = dt_other_node(dt_pmap(&self->fs, fds[2], 4).node);
	EXPECT_EQ(0, replicate_page(&self->fs, fds[2], 4, node));
	ASSERT_OK(dt_clone(fds[1], fds[2]));
	EXPECT_EQ(DISCO_PAGE_REPLICATED, dt_pmap(&self->fs, fds[1], 4).state);
	EXPECT_TRUE(dt_is_filled(at[1] + 4 * dt_page, 12, 4));
	for (int v = 0; v < VMS; v++)
		ASSERT_OK(ftruncate(fds[v], 0));
	EXPECT_EQ(0, replicas(self));
}

/* Pages of the buffer cache: many guests, one disk, a copy for each node. */
TEST_F(replicate, pages_of_disks)
{
	int disk = dt_disk(&self->fs, 1, PAGES), other;
	int vm2 = dt_create(&self->fs, "vm2", SIZE), node;
	char *at2;

	node = dt_nodes[dt_nr_nodes - 1];
	at2 = dt_map_view(vm2, SIZE, 1 + node);
	ASSERT_EQ(SIZE, pread(disk, self->at[0], SIZE, 0));
	ASSERT_EQ(SIZE, pread(disk, at2, SIZE, 0));
	EXPECT_TRUE(dt_run_is_filled(at2, 1, 0, PAGES));
	replicate_everywhere(self);
	EXPECT_EQ(PAGES * (dt_nr_nodes - 1), replicas(self));
	EXPECT_TRUE(all_show(self, 1, 0, PAGES - 1));
	EXPECT_TRUE(dt_run_is_filled(at2, 1, 0, PAGES));
	for (int i = 0; i < PAGES; i++) {
		EXPECT_TRUE(is_local(self, i));
		EXPECT_EQ(dt_frame(self->at[self->nr - 1] + i * dt_page),
			  dt_frame(at2 + i * dt_page));
	}
	EXPECT_EQ(SIZE, dt_disk_stat(&self->fs, disk).out_cached);
	/* Read again, it is still the page with copies. */
	ASSERT_EQ(dt_page, pread(disk, at2 + 9 * dt_page, dt_page,
				 3 * dt_page));
	EXPECT_EQ(DISCO_PAGE_REPLICATED, dt_pmap(&self->fs, vm2, 9).state);
	EXPECT_TRUE(dt_is_filled(at2 + 9 * dt_page, 1, 3));
	/* Writes are for the writer. */
	dt_fill(at2 + 3 * dt_page, 2, 3);
	EXPECT_TRUE(all_show(self, 1, 3, 3));
	EXPECT_TRUE(is_local(self, 3));
	/* Moved, it has none. */
	other = dt_other_node(dt_pmap(&self->fs, self->vm, 3).node);
	ASSERT_EQ(0, dt_do_page(&self->fs, self->vm, DISCO_MOVE_MIGRATE, 3,
				  other));
	EXPECT_EQ(DISCO_PAGE_SHARED, dt_pmap(&self->fs, self->vm, 3).state);
	EXPECT_TRUE(all_show(self, 1, 3, 3));
	EXPECT_TRUE(dt_check(self->fs.control, self->vm));
	ASSERT_OK(ftruncate(vm2, 0));
	ASSERT_OK(ftruncate(self->vm, 0));
	EXPECT_EQ(0, replicas(self));
	EXPECT_EQ(0, dt_disk_stat(&self->fs, disk).out_used);
	close(disk);
}

/* A replica that goes into a merge goes, or all who had the other page get it. */
TEST_F(replicate, merge)
{
	int vm2 = dt_create(&self->fs, "vm2", SIZE);
	char *at2 = dt_map(vm2, SIZE);
	struct disco_merge merge = {
		.size = sizeof(merge), .vm_fd = vm2, .other_fd = self->vm,
		.nr = PAGES,
	};

	dt_fill_run(self->at[0], 1, 0, PAGES);
	memset(self->at[0], 0, dt_page);
	dt_fill_run(at2, 1, 0, PAGES);
	memset(at2, 0, dt_page);
	replicate_everywhere(self);
	for (int v = 0; v < self->nr; v++)
		EXPECT_TRUE(dt_is_zero(self->at[v], dt_page));
	EXPECT_TRUE(all_show(self, 1, 1, PAGES - 1));
	ASSERT_OK(ioctl(self->fs.control, DISCO_MERGE, &merge));
	EXPECT_EQ(PAGES - 1, merge.out_merged);
	EXPECT_EQ(1, merge.out_zeros);
	for (int v = 0; v < self->nr; v++)
		EXPECT_TRUE(dt_is_zero(self->at[v], dt_page));
	EXPECT_TRUE(all_show(self, 1, 1, PAGES - 1));
	EXPECT_TRUE(dt_run_is_filled(at2 + dt_page, 1, 1, PAGES - 1));
	EXPECT_TRUE(dt_check(self->fs.control, vm2));
	for (int i = 0; i < PAGES; i++) {
		dt_fill(self->at[1] + i * dt_page, 2, i);
		EXPECT_TRUE(all_show(self, 2, i, i));
	}
	EXPECT_TRUE(dt_run_is_filled(at2 + dt_page, 1, 1, PAGES - 1));
}

/* Memory of others is spent only by who may do so. */
TEST_F(replicate, shared_page_of_others_needs_privilege)
{
	int other = dt_create(&self->fs, "other", 0), node;
	pid_t pid;

	dt_fill_run(self->at[0], 1, 0, PAGES);
	ASSERT_OK(dt_clone(other, self->vm));
	dt_fill(self->at[0], 2, 0);
	node = dt_other_node(dt_pmap(&self->fs, self->vm, 1).node);
	EXPECT_EQ(0, replicate_page(&self->fs, self->vm, 1, node));
	pid = dt_fork();
	if (!pid) {
		int fs = 0;

		if (setresuid(65534, 65534, 65534))
			_exit(2);
		for (int n = 0; n < dt_nr_nodes; n++)
			fs += !replicate_page(&self->fs, self->vm, 0,
					      dt_nodes[n]);
		if (fs != dt_nr_nodes - 1)
			_exit(3);
		node = dt_other_node(dt_pmap(&self->fs, self->vm, 2).node);
		if (replicate_page(&self->fs, self->vm, 2, node) != EPERM)
			_exit(4);
		_exit(collapse_page(&self->fs, self->vm, 1,
				    DISCO_NO_NODE) != EPERM);
	}
	EXPECT_EQ(0, dt_wait(pid));
	EXPECT_EQ(dt_nr_nodes, replicas(self));
}

/* What says of a frame of a replica who uses it. */
TEST_F(replicate, backmap_and_stat)
{
	int other = dt_create(&self->fs, "other", 0);
	struct disco_memmap_user users[4];
	struct disco_pmap_entry entry;
	struct disco_vm_stat stat = {
		.size = sizeof(stat), .flags = DISCO_VM_STAT_MACHINE,
		.vm_fd = self->vm,
	};
	uint64_t pfn;
	int node;

	dt_fill_run(self->at[0], 1, 0, PAGES);
	node = dt_other_node(dt_pmap(&self->fs, self->vm, 6).node);
	ASSERT_OK(dt_clone(other, self->vm));
	ASSERT_EQ(0, replicate_page(&self->fs, self->vm, 6, node));
	entry = dt_pmap_view(&self->fs, self->vm, 1 + node, 6);
	pfn = entry.pfn;
	EXPECT_NE(pfn, dt_pmap(&self->fs, self->vm, 6).pfn);
	EXPECT_EQ(2, dt_memmap(&self->fs, pfn, users, 4));
	EXPECT_EQ(6, users[0].gfn);
	EXPECT_EQ(6, users[1].gfn);
	ASSERT_OK(ioctl(self->fs.control, DISCO_VM_STAT, &stat));
	EXPECT_EQ(dt_page / 2, stat.out_replicas);
	EXPECT_EQ(SIZE / 2 + dt_page / 2, stat.out_machine);
	EXPECT_EQ(SIZE, stat.out_shared);
	ASSERT_EQ(0, collapse_page(&self->fs, self->vm, 6, DISCO_NO_NODE));
	EXPECT_EQ(0, dt_memmap(&self->fs, pfn, users, 4));
	stat.size = sizeof(stat);
	ASSERT_OK(ioctl(self->fs.control, DISCO_VM_STAT, &stat));
	EXPECT_EQ(0, stat.out_replicas);
}

static bool has_option(const char *root, const char *option)
{
	FILE *file = fopen("/proc/self/mounts", "re");
	char line[512], place[64];
	bool found = false;

	if (!file)
		dt_die("/proc/self/mounts");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%*s %63s", place) == 1 && !strcmp(place, root))
			found = strstr(line, option);
	fclose(file);
	return found;
}

/* Rule 6: replicas= and size= are kept, and what they refuse is counted. */
TEST_F(replicate, limits)
{
	const struct {
		const char *options;
		int room;		/* replicas of PAGES pages */
		const char *refusal;
	} cases[] = {
		{ "replicas=40k", 10, "refused_replicas" },
		{ "replicas=0", 0, "refused_replicas" },
		{ "size=160k", 8, "refused_limit" },
		{ "size=160k,replicas=20%", 8, "refused_limit" },
		{ "size=1g,replicas=12k", 3, "refused_replicas" },
	};

	if (dt_page != 4096)
		SKIP(return, "the sizes here are for pages of 4 KiB");
	for (int c = 0; c < ARRAY_SIZE(cases); c++) {
		long before = dt_counter(cases[c].refusal);
		struct dt_fs limited;
		int vm, node;
		char *at;

		dt_fs_open(&limited, "limited", cases[c].options);
		vm = dt_create(&limited, "vm", SIZE);
		at = dt_map(vm, SIZE);
		dt_fill_run(at, 1, 0, PAGES);
		node = dt_pmap(&limited, vm, 0).node;
		dt_do_range(&limited, vm, DISCO_MOVE_MIGRATE, 0, PAGES, node);
		node = dt_other_node(node);
		EXPECT_EQ(cases[c].room, replicate(&limited, vm, 0, PAGES,
						   node));
		EXPECT_EQ(before + PAGES - cases[c].room,
			  dt_counter(cases[c].refusal));
		EXPECT_EQ(ENOSPC, replicate_page(&limited, vm, PAGES - 1,
						 node));
		EXPECT_TRUE(dt_run_is_filled(at, 1, 0, PAGES));
		/* What one gives back, another can have. */
		if (cases[c].room) {
			dt_fill(at, 1, 0);
			EXPECT_EQ(0, replicate_page(&limited, vm, PAGES - 1,
						    node));
		}
		EXPECT_TRUE(dt_check(limited.control, vm));
		EXPECT_TRUE(dt_fs_close(&limited));
	}
}

TEST_F(replicate, remount_changes_the_limit)
{
	static const char * const wrong[] = {
		"replicas=", "replicas=x", "replicas=1z", "replicas=101%",
		"replicas=4k",
	};
	const char *root = self->fs.root;
	int node;

	dt_fill_run(self->at[0], 1, 0, PAGES);
	node = dt_pmap(&self->fs, self->vm, 0).node;
	dt_do_range(&self->fs, self->vm, DISCO_MOVE_MIGRATE, 0, PAGES, node);
	node = dt_other_node(node);
	EXPECT_FALSE(has_option(root, "replicas="));
	EXPECT_EQ(2, replicate(&self->fs, self->vm, 0, 2, node));
	for (int i = 0; i < ARRAY_SIZE(wrong); i++)
		EXPECT_ERRNO(EINVAL, mount("none", root, "disco", MS_REMOUNT,
					   wrong[i]));
	ASSERT_OK(mount("none", root, "disco", MS_REMOUNT, "replicas=12k"));
	EXPECT_TRUE(has_option(root, ",replicas=12k"));
	EXPECT_EQ(1, replicate(&self->fs, self->vm, 0, PAGES, node));
	ASSERT_OK(mount("none", root, "disco", MS_REMOUNT, "replicas=1m"));
	EXPECT_EQ(PAGES - 3, replicate(&self->fs, self->vm, 0, PAGES, node));
}

/* pmap of a view that there cannot be. */
TEST_F(replicate, bad_view_of_pmap)
{
	struct disco_pmap_entry entry;
	struct disco_pmap pmap = {
		.size = sizeof(pmap), .vm_fd = self->vm, .nr = 1,
		.entries = (uintptr_t)&entry, .view = 1 + DT_MAX_NODES * 100,
	};

	EXPECT_ERRNO(EINVAL, ioctl(self->fs.control, DISCO_PMAP, &pmap));
	pmap.view = UINT32_MAX;
	EXPECT_ERRNO(EINVAL, ioctl(self->fs.control, DISCO_PMAP, &pmap));
	pmap.view = 1 + dt_nodes[0];
	ASSERT_OK(ioctl(self->fs.control, DISCO_PMAP, &pmap));
}

/*
 * A writer counts up, through one view after the other, in two words of each page;
 * what it has written it makes known. Readers of all views must find that much, in
 * both, while pages get copies, lose them and move.
 */
struct race {
	FIXTURE_DATA(replicate) *self;
	int other;		/* a VM that has clones of the pages */
	bool stop;
	uint64_t written[PAGES];
	unsigned int stale, bad;
	unsigned long writes, reads, added, busy;
};

static volatile uint64_t *word(char *view, int gfn, int i)
{
	return (volatile uint64_t *)(view + gfn * dt_page) +
	       i * (dt_page / 8 - 1);
}

static void *count_up(void *data)
{
	struct race *race = data;
	uint64_t state = 12345;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		int gfn = dt_random(&state) % PAGES;
		char *view = race->self->at[dt_random(&state) % race->self->nr];
		uint64_t value = race->written[gfn] + 1;

		/* Not even its own view may be behind. */
		race->bad += *word(view, gfn, 0) != value - 1;
		*word(view, gfn, 0) = value;
		view = race->self->at[dt_random(&state) % race->self->nr];
		*word(view, gfn, 1) = value;
		__atomic_store_n(&race->written[gfn], value, __ATOMIC_RELEASE);
		race->writes++;
		/* Time for copies to be made and read. */
		usleep(dt_random(&state) % 500);
	}
	return NULL;
}

static void *look(void *data)
{
	struct race *race = data;
	uint64_t state = (uintptr_t)&state;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		int gfn = dt_random(&state) % PAGES;
		char *view = race->self->at[dt_random(&state) % race->self->nr];
		uint64_t known = __atomic_load_n(&race->written[gfn],
						 __ATOMIC_ACQUIRE);

		for (int i = 0; i < 2; i++)
			if (*word(view, gfn, i) < known)
				__atomic_fetch_add(&race->stale, 1,
						   __ATOMIC_RELAXED);
		__atomic_fetch_add(&race->reads, 1, __ATOMIC_RELAXED);
		/* On few CPUs the others shall come to their turn. */
		if (!(dt_random(&state) % 16))
			sched_yield();
	}
	return NULL;
}

static void *copy_and_collapse(void *data)
{
	static const uint32_t operations[] = {
		DISCO_MOVE_REPLICATE, DISCO_MOVE_REPLICATE,
		DISCO_MOVE_REPLICATE, DISCO_MOVE_COLLAPSE, DISCO_MOVE_MIGRATE,
	};
	struct race *race = data;
	struct disco_move_entry entries[PAGES];
	uint64_t state = (uintptr_t)&state;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		uint32_t operation = operations[dt_random(&state) % 5], done;
		int first = dt_random(&state) % PAGES;
		int nr = 1 + dt_random(&state) % PAGES;
		int vm = dt_random(&state) % 4 ? race->self->vm : race->other;
		bool all = operation == DISCO_MOVE_COLLAPSE &&
			   dt_random(&state) % 2;

		for (int i = 0; i < nr; i++)
			entries[i] = (struct disco_move_entry){
				.gfn = (first + i) % PAGES,
				.node = all ? DISCO_NO_NODE :
					dt_nodes[dt_random(&state) % dt_nr_nodes],
			};
		done = dt_do_list(&race->self->fs, vm, operation, entries,
				    nr);
		if (operation == DISCO_MOVE_REPLICATE)
			__atomic_fetch_add(&race->added, done, __ATOMIC_RELAXED);
		for (int i = 0; i < nr; i++)
			if (entries[i].out_result == -EBUSY)
				__atomic_fetch_add(&race->busy, 1,
						   __ATOMIC_RELAXED);
		/* Each has kept the writer waiting. */
		usleep(dt_random(&state) % 2000);
	}
	return NULL;
}

TEST_F(replicate, while_guests_write)
{
	void *(*const runs[])(void *) = {
		count_up, look, look, copy_and_collapse, copy_and_collapse,
	};
	pthread_t threads[ARRAY_SIZE(runs)];
	const unsigned long enough = 200;
	struct race race = { .self = self };

	race.other = dt_create(&self->fs, "other", 0);
	for (int i = 0; i < ARRAY_SIZE(runs); i++)
		ASSERT_OK(pthread_create(&threads[i], NULL, runs[i], &race));
	/* A second at least, and as long as it takes to have done something. */
	for (double begin = dt_now(); dt_now() < begin + 1 ||
	     (dt_now() < begin + 8 && (enough > race.added ||
					enough > race.writes));) {
		ASSERT_OK(dt_clone(race.other, self->vm));
		ASSERT_TRUE(dt_check(self->fs.control, self->vm));
		usleep(20000);
		ASSERT_OK(ftruncate(race.other, 0));
		usleep(20000);
	}
	__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < ARRAY_SIZE(runs); i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, race.bad);
	EXPECT_EQ(0, race.stale);
	EXPECT_LT(0, race.added);
	for (int v = 0; v < self->nr; v++)
		for (int i = 0; i < PAGES; i++)
			EXPECT_EQ(race.written[i], *word(self->at[v], i, 0));
	TH_LOG("%lu replicas, %lu busy, %lu writes, %lu reads", race.added,
	       race.busy, race.writes, race.reads);
}

TEST_HARNESS_MAIN
