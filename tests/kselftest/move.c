// SPDX-License-Identifier: GPL-2.0-only
/* DISCO_MOVE: pages go to other nodes, and nobody can tell from what they hold. */
#define _GNU_SOURCE
#include "fixture.h"

#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define PAGES 16
#define SIZE (PAGES * dt_page)
#define MAX_NODES 64

/* The nodes that have memory. */
static int nodes[MAX_NODES];
static int nr_nodes;

static void find_nodes(void)
{
	char path[64], line[128];
	long kib;

	nr_nodes = 0;
	for (int node = 0; node < MAX_NODES; node++) {
		FILE *file;

		snprintf(path, sizeof(path),
			 "/sys/devices/system/node/node%d/meminfo", node);
		file = fopen(path, "re");
		if (!file)
			continue;
		kib = 0;
		if (!fgets(line, sizeof(line), file) ||
		    sscanf(line, "Node %*d MemTotal: %ld", &kib) != 1)
			dt_die("%s", path);
		fclose(file);
		if (kib)
			nodes[nr_nodes++] = node;
	}
}

FIXTURE(move) {
	struct dt_fs fs;
};

FIXTURE_SETUP(move)
{
	find_nodes();
	if (nr_nodes < 2)
		SKIP(_exit(255), "this machine has one node");
	dt_fs_open(&self->fs, "move", NULL);
}

FIXTURE_TEARDOWN(move)
{
	EXPECT_TRUE(dt_fs_close(&self->fs));
}

static int try_move(const struct dt_fs *fs, struct disco_move *move)
{
	move->size = sizeof(*move);
	if (!move->operation)
		move->operation = DISCO_MOVE_MIGRATE;
	return ioctl(fs->control, DISCO_MOVE, move);
}

static uint32_t move_list(const struct dt_fs *fs, int vm,
			  struct disco_move_entry *entries, uint32_t nr)
{
	struct disco_move move = {
		.vm_fd = vm, .entries = (uintptr_t)entries, .nr = nr,
	};
	uint32_t moved = 0;

	if (try_move(fs, &move))
		dt_die("DISCO_MOVE");
	if (move.out_nr != nr)
		dt_die("DISCO_MOVE: %u of %u", move.out_nr, nr);
	for (uint32_t i = 0; i < nr; i++)
		moved += !entries[i].out_result;
	if (moved != move.out_moved)
		dt_die("DISCO_MOVE: %u moved, not %u", moved, move.out_moved);
	return moved;
}

/* One page; its result as an errno. */
static int move_page(const struct dt_fs *fs, int vm, uint64_t gfn, int node)
{
	struct disco_move_entry entry = { .gfn = gfn, .node = node };

	move_list(fs, vm, &entry, 1);
	return -entry.out_result;
}

static uint32_t move_range(const struct dt_fs *fs, int vm, uint64_t gfn,
			   uint32_t nr, int node)
{
	struct disco_move_entry *entries = calloc(nr, sizeof(*entries));
	uint32_t moved;

	for (uint32_t i = 0; i < nr; i++)
		entries[i] = (struct disco_move_entry){
			.gfn = gfn + i, .node = node, .out_result = 77,
		};
	moved = move_list(fs, vm, entries, nr);
	free(entries);
	return moved;
}

static int node_of(const struct dt_fs *fs, int vm, uint64_t gfn)
{
	return dt_pmap(fs, vm, gfn).node;
}

static int other_node(int node)
{
	return node == nodes[0] ? nodes[1] : nodes[0];
}

static void fill_all(char *at, uint64_t seed)
{
	for (int i = 0; i < PAGES; i++)
		dt_fill(at + i * dt_page, seed, i);
}

static bool all_filled(const char *at, uint64_t seed)
{
	for (int i = 0; i < PAGES; i++)
		if (!dt_is_filled(at + i * dt_page, seed, i))
			return false;
	return true;
}

TEST_F(move, to_every_node)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);
	char *view = dt_map_view(vm, SIZE, 1 + nodes[0]);
	long moves = dt_counter("private_to_private_move");

	fill_all(at, 1);
	move_range(&self->fs, vm, 0, PAGES, nodes[0]);
	for (int n = 1; n <= nr_nodes; n++) {
		int node = nodes[n % nr_nodes];

		EXPECT_TRUE(all_filled(view, n));
		EXPECT_EQ(PAGES, move_range(&self->fs, vm, 0, PAGES, node));
		for (int i = 0; i < PAGES; i++) {
			EXPECT_EQ(node, node_of(&self->fs, vm, i));
			EXPECT_EQ(DISCO_PAGE_PRIVATE,
				  dt_pmap(&self->fs, vm, i).state);
		}
		EXPECT_TRUE(all_filled(at, n));
		EXPECT_TRUE(all_filled(view, n));
		/* What one view writes, the other sees, as before. */
		fill_all(at, n + 1);
		EXPECT_TRUE(all_filled(view, n + 1));
		EXPECT_EQ(dt_frame(at), dt_frame(view));
	}
	EXPECT_LE(moves + PAGES * nr_nodes,
		  dt_counter("private_to_private_move"));
	EXPECT_EQ(SIZE, dt_stat(&self->fs, vm).out_private);
	EXPECT_EQ(self->fs.before.machine_pages + PAGES,
		  dt_counter("machine_pages"));
}

/* A result for each entry, whatever the others get. */
TEST_F(move, results)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);
	int here, there;
	struct disco_move_entry entries[12];
	const int expected[] = {
		0, EEXIST, ENOENT, ENOENT, ENXIO, ENXIO, EINVAL, EINVAL, 0,
		EEXIST, 0, 0,
	};

	fill_all(at, 1);
	ASSERT_OK(dt_punch(vm, 2 * dt_page, 2 * dt_page));
	dt_touch(at + 3 * dt_page, false);
	here = node_of(&self->fs, vm, 0);
	there = other_node(here);
	for (int i = 1; i < PAGES; i++)
		move_page(&self->fs, vm, i, here);
	for (int i = 0; i < ARRAY_SIZE(entries); i++)
		entries[i] = (struct disco_move_entry){
			.gfn = i, .node = there, .out_result = 77,
		};
	entries[1].node = here;
	entries[4].gfn = PAGES;
	entries[5].gfn = UINT64_MAX;
	entries[6].node = MAX_NODES * 1000;
	entries[7].node = UINT32_MAX;
	entries[9].gfn = 8;		/* twice */
	EXPECT_EQ(4, move_list(&self->fs, vm, entries, ARRAY_SIZE(entries)));
	for (int i = 0; i < ARRAY_SIZE(entries); i++) {
		EXPECT_EQ(expected[i], -entries[i].out_result) {
			TH_LOG("entry %d", i);
		}
	}
	EXPECT_EQ(there, node_of(&self->fs, vm, 0));
	EXPECT_EQ(there, node_of(&self->fs, vm, 8));
	EXPECT_EQ(here, node_of(&self->fs, vm, 9));
	EXPECT_EQ(there, node_of(&self->fs, vm, 11));
	EXPECT_TRUE(dt_is_filled(at, 1, 0));
	EXPECT_TRUE(dt_is_zero(at + 2 * dt_page, 2 * dt_page));
	EXPECT_TRUE(dt_is_filled(at + 8 * dt_page, 1, 8));
	EXPECT_TRUE(dt_is_filled(at + 11 * dt_page, 1, 11));
}

/* Longer than what is moved in one go, forwards, backwards, with gaps. */
TEST_F(move, long_lists)
{
	enum { NR = 1000 };
	struct disco_move_entry *entries = calloc(NR, sizeof(*entries));
	int vm = dt_create(&self->fs, "vm", NR * dt_page);
	char *at = dt_map(vm, NR * dt_page);

	for (int i = 0; i < NR; i++)
		dt_fill(at + i * dt_page, 1, i);
	move_range(&self->fs, vm, 0, NR, nodes[0]);
	for (int i = 0; i < NR; i++)
		entries[i] = (struct disco_move_entry){
			.gfn = NR - 1 - i, .node = nodes[1],
		};
	EXPECT_EQ(NR, move_list(&self->fs, vm, entries, NR));
	for (int i = 0; i < NR; i++)
		entries[i] = (struct disco_move_entry){
			.gfn = i * 7 % NR, .node = nodes[0],
		};
	EXPECT_EQ(NR, move_list(&self->fs, vm, entries, NR));
	for (int i = 0; i < NR; i++) {
		EXPECT_EQ(nodes[0], node_of(&self->fs, vm, i));
		EXPECT_TRUE(dt_is_filled(at + i * dt_page, 1, i));
	}
	free(entries);
}

/* Rule 2: what a device may be writing to stays where it is. */
TEST_F(move, pinned_page_stays)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE), *buffer = malloc(dt_page);
	struct iovec page = { at + 3 * dt_page, dt_page };
	long refused;
	int node, pipe_fds[2];
	uint64_t pfn;

	fill_all(at, 1);
	node = node_of(&self->fs, vm, 3);
	for (int i = 0; i < PAGES; i++)
		move_page(&self->fs, vm, i, node);
	pfn = dt_pmap(&self->fs, vm, 3).pfn;
	refused = dt_counter("refused_pinned");
	ASSERT_OK(pipe(pipe_fds));
	ASSERT_EQ(dt_page, vmsplice(pipe_fds[1], &page, 1, 0));
	EXPECT_EQ(PAGES - 1, move_range(&self->fs, vm, 0, PAGES,
					other_node(node)));
	EXPECT_EQ(EBUSY, move_page(&self->fs, vm, 3, other_node(node)));
	EXPECT_EQ(refused + 2, dt_counter("refused_pinned"));
	EXPECT_EQ(pfn, dt_pmap(&self->fs, vm, 3).pfn);

	/* Who has it pinned and the VM still look at one page. */
	dt_fill(at + 3 * dt_page, 7, 3);
	ASSERT_EQ(dt_page, read(pipe_fds[0], buffer, dt_page));
	EXPECT_TRUE(dt_is_filled(buffer, 7, 3));
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	EXPECT_EQ(0, move_page(&self->fs, vm, 3, other_node(node)));
	EXPECT_TRUE(dt_is_filled(at + 3 * dt_page, 7, 3));
	free(buffer);
}

/* All that have the page go on having one page, on the other node. */
TEST_F(move, shared_page_moves_for_all)
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
			fill_all(at[0], 1);
		EXPECT_TRUE(all_filled(at[v], 1));
	}
	node = other_node(node_of(&self->fs, fds[0], 4));
	ASSERT_EQ(0, move_page(&self->fs, fds[2], 4, node));
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
		EXPECT_TRUE(all_filled(at[v], 1));
		EXPECT_EQ(pfn, dt_frame(at[v] + 4 * dt_page));
	}
	EXPECT_EQ(EEXIST, move_page(&self->fs, fds[1], 4, node));
	/* Each writes for itself. */
	for (int v = 0; v < VMS; v++) {
		dt_fill(at[v] + 4 * dt_page, v + 10, 4);
		for (int w = 0; w < VMS; w++)
			EXPECT_TRUE(dt_is_filled(at[w] + 4 * dt_page,
						 w <= v ? w + 10 : 1, 4));
	}
}

/* A page that one VM has at several places, and one that others have left. */
TEST_F(move, shared_page_with_odd_users)
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
	node = other_node(node_of(&self->fs, vm, 0));
	EXPECT_EQ(0, move_page(&self->fs, vm, 5, node));
	for (int i = 0; i < 8; i++) {
		EXPECT_EQ(node, node_of(&self->fs, vm, i));
		EXPECT_EQ(8, dt_pmap(&self->fs, vm, i).users);
	}
	node = other_node(node_of(&self->fs, vm, 9));
	EXPECT_EQ(DISCO_PAGE_SHARED, dt_pmap(&self->fs, vm, 9).state);
	EXPECT_EQ(0, move_page(&self->fs, vm, 9, node));
	EXPECT_EQ(node, node_of(&self->fs, vm, 9));
	for (int i = 0; i < PAGES; i++)
		EXPECT_TRUE(dt_is_filled(at + i * dt_page, 1, 0));
}

/* Others' pages are moved only by who may do so to any process. */
TEST_F(move, shared_page_of_others_needs_privilege)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE);
	int node;
	pid_t pid;

	fill_all(at, 1);
	ASSERT_OK(dt_clone(other, vm));
	dt_fill(at, 2, 0);
	node = node_of(&self->fs, vm, 0);
	pid = dt_fork();
	if (!pid) {
		if (setresuid(65534, 65534, 65534))
			_exit(2);
		if (move_page(&self->fs, vm, 0, other_node(node)))
			_exit(3);
		node = other_node(node_of(&self->fs, vm, 1));
		_exit(move_page(&self->fs, vm, 1, node) != EPERM);
	}
	EXPECT_EQ(0, dt_wait(pid));
	EXPECT_TRUE(dt_is_filled(at, 2, 0));
}

TEST_F(move, pinned_shared_page_stays)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);
	struct iovec page = { at_other, dt_page };
	int node, pipe_fds[2];

	fill_all(at, 1);
	ASSERT_OK(dt_clone(other, vm));
	node = node_of(&self->fs, vm, 0);
	dt_touch(at_other, false);
	ASSERT_OK(pipe(pipe_fds));
	ASSERT_EQ(dt_page, vmsplice(pipe_fds[1], &page, 1, 0));
	EXPECT_EQ(EBUSY, move_page(&self->fs, vm, 0, other_node(node)));
	EXPECT_EQ(node, node_of(&self->fs, vm, 0));
	EXPECT_EQ(node, node_of(&self->fs, other, 0));
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	EXPECT_EQ(0, move_page(&self->fs, vm, 0, other_node(node)));
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
				.node = nodes[dt_random(&state) % nr_nodes],
			};
		m->moved += move_list(m->fs, m->fds[dt_random(&state) % 2],
				      entries, ARRAY_SIZE(entries));
		for (int i = 0; i < ARRAY_SIZE(entries); i++)
			m->busy += entries[i].out_result == -EBUSY;
	}
	return NULL;
}

/* A disk of PAGES pages with the pattern of seed 1, open for reading. */
static int make_disk(const struct dt_fs *fs)
{
	int backing = open("/mnt/backing", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char *page = malloc(dt_page), path[64];
	int disk;

	for (int i = 0; i < PAGES; i++) {
		dt_fill(page, 1, i);
		if (write(backing, page, dt_page) != dt_page)
			dt_die("write /mnt/backing");
	}
	free(page);
	close(backing);
	backing = open("/mnt/backing", O_RDONLY | O_CLOEXEC);
	if (dt_disk_add(fs, "disk", backing, 0))
		dt_die("DISCO_DISK_ADD");
	close(backing);
	snprintf(path, sizeof(path), "%s/disk/disk", fs->root);
	disk = open(path, O_RDONLY | O_CLOEXEC);
	if (disk < 0)
		dt_die("open %s", path);
	return disk;
}

static struct disco_disk_stat disk_stat(const struct dt_fs *fs, int disk)
{
	struct disco_disk_stat stat = { .size = sizeof(stat), .disk_fd = disk };

	if (ioctl(fs->control, DISCO_DISK_STAT, &stat))
		dt_die("DISCO_DISK_STAT");
	return stat;
}

/* The buffer cache goes on having the page, as one of those that use it. */
TEST_F(move, cached_page_moves_with_the_cache)
{
	enum { VMS = 3 };
	int disk = make_disk(&self->fs), fds[VMS], node;
	char *at[VMS], name[8];
	uint64_t pfn;

	for (int v = 0; v < VMS; v++) {
		snprintf(name, sizeof(name), "vm%d", v);
		fds[v] = dt_create(&self->fs, name, SIZE);
		at[v] = dt_map(fds[v], SIZE);
		ASSERT_EQ(SIZE, pread(disk, at[v], SIZE, 0));
		EXPECT_TRUE(all_filled(at[v], 1));
	}
	node = other_node(node_of(&self->fs, fds[0], 3));
	ASSERT_EQ(0, move_page(&self->fs, fds[1], 3, node));
	pfn = dt_pmap(&self->fs, fds[1], 3).pfn;
	for (int v = 0; v < VMS; v++) {
		EXPECT_EQ(pfn, dt_pmap(&self->fs, fds[v], 3).pfn);
		EXPECT_EQ(VMS, dt_pmap(&self->fs, fds[v], 3).users);
		EXPECT_EQ(node, node_of(&self->fs, fds[v], 3));
		EXPECT_TRUE(all_filled(at[v], 1));
	}
	EXPECT_EQ(SIZE, disk_stat(&self->fs, disk).out_cached);
	EXPECT_EQ(SIZE, disk_stat(&self->fs, disk).out_used);
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
	move_range(&self->fs, fds[2], 0, PAGES, node);
	EXPECT_EQ(PAGES, move_range(&self->fs, fds[2], 0, PAGES,
				    other_node(node)));
	EXPECT_TRUE(all_filled(at[2], 1));
	for (int v = 0; v < VMS; v++)
		ASSERT_OK(ftruncate(fds[v], 0));
	EXPECT_EQ(0, disk_stat(&self->fs, disk).out_used);
	EXPECT_EQ(SIZE, disk_stat(&self->fs, disk).out_cached);
	ASSERT_OK(posix_fadvise(disk, 0, 0, POSIX_FADV_DONTNEED));
	EXPECT_EQ(0, disk_stat(&self->fs, disk).out_cached);
	close(disk);
	EXPECT_EQ(0, unlink("/mnt/move/disk/disk"));
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

TEST_F(move, disk_is_read_while_its_pages_move)
{
	struct reader readers[2];
	int disk = make_disk(&self->fs), fds[2];
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
	EXPECT_EQ(0, disk_stat(&self->fs, disk).out_used);
	TH_LOG("%lu pages moved", moved);
	close(disk);
}

/* A VM that may have no more memory than it has can still be moved. */
TEST_F(move, full_mount)
{
	int vm, other, node;
	struct dt_fs full;
	char *at, options[32];

	snprintf(options, sizeof(options), "size=%zu", SIZE);
	dt_fs_open(&full, "full", options);
	vm = dt_create(&full, "vm", SIZE);
	other = dt_create(&full, "other", SIZE);
	at = dt_map(vm, SIZE);
	fill_all(at, 1);
	node = other_node(node_of(&full, vm, 0));
	move_range(&full, vm, 0, PAGES, node);
	EXPECT_EQ(node, node_of(&full, vm, 0));
	EXPECT_EQ(node, node_of(&full, vm, PAGES - 1));
	EXPECT_TRUE(all_filled(at, 1));
	/* But for a moment there are two of a page that is shared. */
	ASSERT_OK(dt_clone(other, vm));
	EXPECT_EQ(ENOSPC, move_page(&full, vm, 0, other_node(node)));
	ASSERT_OK(dt_punch(vm, 5 * dt_page, dt_page));
	ASSERT_OK(dt_punch(other, 5 * dt_page, dt_page));
	EXPECT_EQ(0, move_page(&full, vm, 0, other_node(node)));
	EXPECT_TRUE(dt_fs_close(&full));
}

TEST_F(move, bad_requests)
{
	struct disco_move_entry entries[PAGES] = { { 0 } };
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);
	const uint64_t list = (uintptr_t)entries;
	char *guard = mmap(NULL, 2 * dt_page, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct disco_move_entry *last = (void *)(guard + dt_page);
	const struct {
		int error;
		struct disco_move move;
	} cases[] = {
		{ EINVAL, { .vm_fd = vm, .entries = list } },
		{ EINVAL, { .vm_fd = vm, .entries = list,
			    .nr = DISCO_MOVE_MAX + 1 } },
		{ EINVAL, { .vm_fd = vm, .entries = list,
			    .nr = UINT32_MAX } },
		{ EINVAL, { .vm_fd = vm, .entries = list, .nr = 1,
			    .operation = DISCO_MOVE_MIGRATE + 1000 } },
		{ EFAULT, { .vm_fd = vm, .nr = 1 } },
		{ EFAULT, { .vm_fd = vm, .entries = 1ULL << 63, .nr = 1 } },
		{ EFAULT, { .vm_fd = vm, .entries = (uintptr_t)last,
			    .nr = 1 } },
		{ EFAULT, { .vm_fd = vm, .entries = (uintptr_t)(last - 1),
			    .nr = 2 } },
	};

	ASSERT_NE(MAP_FAILED, guard);
	ASSERT_OK(mprotect(guard + dt_page, dt_page, PROT_NONE));
	fill_all(at, 1);
	for (int i = 0; i < PAGES; i++)
		entries[i] = (struct disco_move_entry){ i, nodes[0], 77 };
	for (int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct disco_move move = cases[i].move;

		move.out_nr = 77;
		errno = 0;
		EXPECT_EQ(-1, try_move(&self->fs, &move));
		EXPECT_EQ(cases[i].error, errno) {
			TH_LOG("case %d: %s", i, strerror(errno));
		}
		EXPECT_EQ(77, move.out_nr);
	}
	EXPECT_EQ(77, entries[0].out_result);
	EXPECT_TRUE(all_filled(at, 1));

	/* A list in the very memory that is moved. */
	memcpy(at, entries, sizeof(entries));
	move_list(&self->fs, vm, (void *)at, PAGES);
	for (int i = 1; i < PAGES; i++)
		EXPECT_TRUE(dt_is_filled(at + i * dt_page, 1, i));
	munmap(guard, 2 * dt_page);
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

TEST_F(move, while_guests_run)
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
					    1 + nodes[i % nr_nodes]) },
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

/* mpol= of the mount. */
FIXTURE(mpol) {
	struct dt_fs fs;
	char options[64];
};

FIXTURE_SETUP(mpol)
{
	find_nodes();
	if (nr_nodes < 2)
		SKIP(_exit(255), "this machine has one node");
	dt_private_mounts();
}

FIXTURE_TEARDOWN(mpol)
{
}

static void open_fs(FIXTURE_DATA(mpol) *self, const char *format, int a, int b)
{
	snprintf(self->options, sizeof(self->options), format, a, b);
	dt_fs_open(&self->fs, "mpol", self->options);
}

/* What /proc/self/mounts says of the mount, or "". */
static void read_options(const char *root, char *options, size_t size)
{
	FILE *file = fopen("/proc/self/mounts", "re");
	char line[512], place[64];

	if (!file)
		dt_die("/proc/self/mounts");
	*options = '\0';
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%*s %63s", place) == 1 &&
		    !strcmp(place, root))
			snprintf(options, size, "%s", line);
	fclose(file);
}

TEST_F(mpol, places_pages)
{
	const struct {
		const char *format;
		bool interleave;
	} cases[] = {
		{ "mpol=bind:%d", false },
		{ "mpol=prefer:%d", false },
		{ "mpol=interleave:%d,%d", true },
		{ "size=1g,mpol=interleave:%d,%d,mode=755", true },
	};

	for (int c = 0; c < ARRAY_SIZE(cases); c++) {
		char *at, text[512], *buffer = malloc(dt_page);
		int vm, clone;

		open_fs(self, cases[c].format, nodes[1], nodes[0]);
		read_options(self->fs.root, text, sizeof(text));
		EXPECT_NE(NULL, strstr(text, cases[c].interleave ?
				       ",mpol=interleave:" : ",mpol=")) {
			TH_LOG("%s", text);
		}
		vm = dt_create(&self->fs, "vm", SIZE);
		clone = dt_create(&self->fs, "clone", 0);
		at = dt_map(vm, SIZE);
		/* By a store, by write(), and as the copy of a shared page. */
		dt_fill(buffer, 1, 0);
		for (int i = 0; i < PAGES; i++) {
			if (i % 2)
				at[i * dt_page] = 1;
			else
				ASSERT_EQ(dt_page, pwrite(vm, buffer, dt_page,
							  i * dt_page));
		}
		ASSERT_OK(dt_clone(clone, vm));
		for (int i = 0; i < PAGES; i += 3)
			at[i * dt_page] = 2;
		for (int i = 0; i < PAGES; i++) {
			int node = cases[c].interleave ? nodes[i % 2] :
							 nodes[1];

			EXPECT_EQ(node, node_of(&self->fs, vm, i)) {
				TH_LOG("%s, page %d", self->options, i);
			}
		}
		free(buffer);
		EXPECT_TRUE(dt_fs_close(&self->fs));
	}
}

/* What the monitor has asked for with mbind() comes first. */
TEST_F(mpol, mapping_comes_first)
{
	const unsigned long mask = 1UL << nodes[0];
	char *at;
	int vm;

	open_fs(self, "mpol=bind:%d", nodes[1], 0);
	vm = dt_create(&self->fs, "vm", SIZE);
	at = dt_map(vm, SIZE);
	ASSERT_OK(syscall(SYS_mbind, at, SIZE / 2, MPOL_BIND, &mask,
			  MAX_NODES + 1, 0));
	fill_all(at, 1);
	EXPECT_EQ(nodes[0], node_of(&self->fs, vm, 0));
	EXPECT_EQ(nodes[0], node_of(&self->fs, vm, PAGES / 2 - 1));
	EXPECT_EQ(nodes[1], node_of(&self->fs, vm, PAGES / 2));
	EXPECT_TRUE(dt_fs_close(&self->fs));
}

TEST_F(mpol, default_is_the_cpu_that_faults)
{
	unsigned int cpu, node;
	char *at, text[512];
	cpu_set_t cpus;
	int vm;

	dt_fs_open(&self->fs, "mpol", NULL);
	read_options(self->fs.root, text, sizeof(text));
	EXPECT_EQ(NULL, strstr(text, ",mpol="));
	vm = dt_create(&self->fs, "vm", 64 * dt_page);
	at = dt_map(vm, 64 * dt_page);
	for (int i = 0; i < 64; i++) {
		CPU_ZERO(&cpus);
		CPU_SET(i, &cpus);
		if (sched_setaffinity(0, sizeof(cpus), &cpus))
			break;
		ASSERT_OK(syscall(SYS_getcpu, &cpu, &node, NULL));
		at[i * dt_page] = 1;
		EXPECT_EQ(node, node_of(&self->fs, vm, i));
	}
	EXPECT_TRUE(dt_fs_close(&self->fs));
}

TEST_F(mpol, bad_options)
{
	static const char * const bad[] = {
		"mpol=", "mpol=nonsense", "mpol=bind", "mpol=bind:",
		"mpol=prefer", "mpol=interleave", "mpol=interleave:",
		"mpol=bind:x", "mpol=bind:1-", "mpol=bind:0-63",
		"mpol=prefer:0-1", "mpol=prefer:99999", "mpol=default:0",
		"mpol=local:0", "mpol=bind=static:0", "mpol=Bind:0", "mpol",
		"mpol=bind:0,x", "size=1g,9",
	};

	ASSERT_OK(mkdir("/mnt/bad", 0755));
	for (int i = 0; i < ARRAY_SIZE(bad); i++) {
		errno = 0;
		EXPECT_EQ(-1, mount("none", "/mnt/bad", "disco", 0, bad[i])) {
			TH_LOG("%s", bad[i]);
		}
		EXPECT_EQ(EINVAL, errno) {
			TH_LOG("%s: %s", bad[i], strerror(errno));
		}
	}
	dt_fs_open(&self->fs, "mpol", "mpol=local");
	EXPECT_ERRNO(EINVAL, mount("none", self->fs.root, NULL, MS_REMOUNT,
				   "mpol=default"));
	EXPECT_EQ(0, mount("none", self->fs.root, NULL, MS_REMOUNT, "size=1g"));
	EXPECT_TRUE(dt_fs_close(&self->fs));
}

TEST_HARNESS_MAIN
