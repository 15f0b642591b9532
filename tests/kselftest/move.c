// SPDX-License-Identifier: GPL-2.0-only
/* DISCO_MOVE of private pages, its results, and what it refuses. */
#define _GNU_SOURCE
#include "fixture.h"
#include "nodes.h"

#include <stdlib.h>
#include <sys/uio.h>

#define PAGES 16
#define SIZE (PAGES * dt_page)

FIXTURE(move) {
	struct dt_fs fs;
};

FIXTURE_SETUP(move)
{
	DT_NEED_NODES();
	dt_fs_open(&self->fs, "move", NULL);
}

FIXTURE_TEARDOWN(move)
{
	EXPECT_TRUE(dt_fs_close(&self->fs));
}

TEST_F(move, to_every_node)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);
	char *view = dt_map_view(vm, SIZE, 1 + dt_nodes[0]);
	long moves = dt_counter("private_to_private_move");

	dt_fill_run(at, 1, 0, PAGES);
	dt_move_range(&self->fs, vm, 0, PAGES, dt_nodes[0]);
	for (int n = 1; n <= dt_nr_nodes; n++) {
		int node = dt_nodes[n % dt_nr_nodes];

		EXPECT_TRUE(dt_run_is_filled(view, n, 0, PAGES));
		EXPECT_EQ(PAGES, dt_move_range(&self->fs, vm, 0, PAGES, node));
		for (int i = 0; i < PAGES; i++) {
			EXPECT_EQ(node, dt_node_of(&self->fs, vm, i));
			EXPECT_EQ(DISCO_PAGE_PRIVATE,
				  dt_pmap(&self->fs, vm, i).state);
		}
		EXPECT_TRUE(dt_run_is_filled(at, n, 0, PAGES));
		EXPECT_TRUE(dt_run_is_filled(view, n, 0, PAGES));
		/* What one view writes, the other sees, as before. */
		dt_fill_run(at, n + 1, 0, PAGES);
		EXPECT_TRUE(dt_run_is_filled(view, n + 1, 0, PAGES));
		EXPECT_EQ(dt_frame(at), dt_frame(view));
	}
	EXPECT_LE(moves + PAGES * dt_nr_nodes,
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

	dt_fill_run(at, 1, 0, PAGES);
	ASSERT_OK(dt_punch(vm, 2 * dt_page, 2 * dt_page));
	dt_touch(at + 3 * dt_page, false);
	here = dt_node_of(&self->fs, vm, 0);
	there = dt_other_node(here);
	for (int i = 1; i < PAGES; i++)
		dt_move_page(&self->fs, vm, i, here);
	for (int i = 0; i < ARRAY_SIZE(entries); i++)
		entries[i] = (struct disco_move_entry){
			.gfn = i, .node = there, .out_result = 77,
		};
	entries[1].node = here;
	entries[4].gfn = PAGES;
	entries[5].gfn = UINT64_MAX;
	entries[6].node = DT_MAX_NODES * 1000;
	entries[7].node = UINT32_MAX;
	entries[9].gfn = 8;		/* twice */
	EXPECT_EQ(4, dt_move_list(&self->fs, vm, entries, ARRAY_SIZE(entries)));
	for (int i = 0; i < ARRAY_SIZE(entries); i++) {
		EXPECT_EQ(expected[i], -entries[i].out_result) {
			TH_LOG("entry %d", i);
		}
	}
	EXPECT_EQ(there, dt_node_of(&self->fs, vm, 0));
	EXPECT_EQ(there, dt_node_of(&self->fs, vm, 8));
	EXPECT_EQ(here, dt_node_of(&self->fs, vm, 9));
	EXPECT_EQ(there, dt_node_of(&self->fs, vm, 11));
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
	dt_move_range(&self->fs, vm, 0, NR, dt_nodes[0]);
	for (int i = 0; i < NR; i++)
		entries[i] = (struct disco_move_entry){
			.gfn = NR - 1 - i, .node = dt_nodes[1],
		};
	EXPECT_EQ(NR, dt_move_list(&self->fs, vm, entries, NR));
	for (int i = 0; i < NR; i++)
		entries[i] = (struct disco_move_entry){
			.gfn = i * 7 % NR, .node = dt_nodes[0],
		};
	EXPECT_EQ(NR, dt_move_list(&self->fs, vm, entries, NR));
	for (int i = 0; i < NR; i++) {
		EXPECT_EQ(dt_nodes[0], dt_node_of(&self->fs, vm, i));
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

	dt_fill_run(at, 1, 0, PAGES);
	node = dt_node_of(&self->fs, vm, 3);
	for (int i = 0; i < PAGES; i++)
		dt_move_page(&self->fs, vm, i, node);
	pfn = dt_pmap(&self->fs, vm, 3).pfn;
	refused = dt_counter("refused_pinned");
	ASSERT_OK(pipe(pipe_fds));
	ASSERT_EQ(dt_page, vmsplice(pipe_fds[1], &page, 1, 0));
	EXPECT_EQ(PAGES - 1, dt_move_range(&self->fs, vm, 0, PAGES,
					dt_other_node(node)));
	EXPECT_EQ(EBUSY, dt_move_page(&self->fs, vm, 3, dt_other_node(node)));
	EXPECT_EQ(refused + 2, dt_counter("refused_pinned"));
	EXPECT_EQ(pfn, dt_pmap(&self->fs, vm, 3).pfn);

	/* Who has it pinned and the VM still look at one page. */
	dt_fill(at + 3 * dt_page, 7, 3);
	ASSERT_EQ(dt_page, read(pipe_fds[0], buffer, dt_page));
	EXPECT_TRUE(dt_is_filled(buffer, 7, 3));
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	EXPECT_EQ(0, dt_move_page(&self->fs, vm, 3, dt_other_node(node)));
	EXPECT_TRUE(dt_is_filled(at + 3 * dt_page, 7, 3));
	free(buffer);
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
	dt_fill_run(at, 1, 0, PAGES);
	node = dt_other_node(dt_node_of(&full, vm, 0));
	dt_move_range(&full, vm, 0, PAGES, node);
	EXPECT_EQ(node, dt_node_of(&full, vm, 0));
	EXPECT_EQ(node, dt_node_of(&full, vm, PAGES - 1));
	EXPECT_TRUE(dt_run_is_filled(at, 1, 0, PAGES));
	/* But for a moment there are two of a page that is shared. */
	ASSERT_OK(dt_clone(other, vm));
	EXPECT_EQ(ENOSPC, dt_move_page(&full, vm, 0, dt_other_node(node)));
	ASSERT_OK(dt_punch(vm, 5 * dt_page, dt_page));
	ASSERT_OK(dt_punch(other, 5 * dt_page, dt_page));
	EXPECT_EQ(0, dt_move_page(&full, vm, 0, dt_other_node(node)));
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
	dt_fill_run(at, 1, 0, PAGES);
	for (int i = 0; i < PAGES; i++)
		entries[i] = (struct disco_move_entry){ i, dt_nodes[0], 77 };
	for (int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct disco_move move = cases[i].move;

		move.out_nr = 77;
		errno = 0;
		EXPECT_EQ(-1, dt_try_move(&self->fs, &move));
		EXPECT_EQ(cases[i].error, errno) {
			TH_LOG("case %d: %s", i, strerror(errno));
		}
		EXPECT_EQ(77, move.out_nr);
	}
	EXPECT_EQ(77, entries[0].out_result);
	EXPECT_TRUE(dt_run_is_filled(at, 1, 0, PAGES));

	/* A list in the very memory that is moved. */
	memcpy(at, entries, sizeof(entries));
	dt_move_list(&self->fs, vm, (void *)at, PAGES);
	for (int i = 1; i < PAGES; i++)
		EXPECT_TRUE(dt_is_filled(at + i * dt_page, 1, i));
	munmap(guard, 2 * dt_page);
}

TEST_HARNESS_MAIN
