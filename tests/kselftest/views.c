// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file in ram/ mapped once for each node: DISCO_FEATURE_VIEWS.
 */
#define _GNU_SOURCE
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define PAGES 16
#define SIZE (PAGES * dt_page)
#define MAX_VIEWS 65

FIXTURE(views) {
	struct dt_fs fs;
	int vm, nr;
	char *at[MAX_VIEWS];
};

/* The home view and one for each node that the machine can have. */
static int count_views(void)
{
	FILE *file = fopen("/sys/devices/system/node/possible", "re");
	char text[256] = "0", *last;

	if (file) {
		if (!fgets(text, sizeof(text), file))
			dt_die("/sys/devices/system/node/possible");
		fclose(file);
	}
	last = strrchr(text, '-');
	return 2 + atoi(last ? last + 1 : text);
}

FIXTURE_SETUP(views)
{
	dt_fs_open(&self->fs, "views", NULL);
	self->vm = dt_create(&self->fs, "vm", SIZE);
	self->nr = count_views();
	ASSERT_GE(MAX_VIEWS, self->nr);
	for (int v = 0; v < self->nr; v++)
		self->at[v] = dt_map_view(self->vm, SIZE, v);
}

FIXTURE_TEARDOWN(views)
{
	EXPECT_TRUE(dt_fs_close(&self->fs));
}

/* Every view shows @seed's pattern in pages @first to @last. */
static bool all_show(FIXTURE_DATA(views) *self, uint64_t seed, int first,
		     int last)
{
	for (int v = 0; v < self->nr; v++)
		for (int i = first; i <= last; i++)
			if (!dt_is_filled(self->at[v] + i * dt_page, seed, i))
				return false;
	return true;
}

static bool all_show_zeros(FIXTURE_DATA(views) *self, int first, int last)
{
	for (int v = 0; v < self->nr; v++)
		if (!dt_is_zero(self->at[v] + first * dt_page,
				(last - first + 1) * dt_page))
			return false;
	return true;
}

static void fill_through(FIXTURE_DATA(views) *self, int view, uint64_t seed)
{
	dt_fill_run(self->at[view], seed, 0, PAGES);
}

TEST_F(views, what_one_writes_all_see)
{
	for (int v = 0; v < self->nr; v++) {
		fill_through(self, v, v);
		EXPECT_TRUE(all_show(self, v, 0, PAGES - 1));
	}
	/* The same memory, not copies of it. */
	EXPECT_EQ(SIZE, dt_stat(&self->fs, self->vm).out_private);
	for (int v = 1; v < self->nr; v++)
		EXPECT_EQ(dt_frame(self->at[0]), dt_frame(self->at[v]));
}

/* Rule 3: zero pages are mapped in all views when one writes. */
TEST_F(views, zero_pages_go_from_all)
{
	for (int v = 0; v < self->nr; v++) {
		EXPECT_TRUE(all_show_zeros(self, 0, PAGES - 1));
		EXPECT_EQ(DISCO_PAGE_ZERO, dt_pmap(&self->fs, self->vm, 0).state);
		fill_through(self, v, v);
		EXPECT_TRUE(all_show(self, v, 0, PAGES - 1));
		ASSERT_OK(dt_punch(self->vm, 0, SIZE));
	}
	EXPECT_TRUE(all_show_zeros(self, 0, PAGES - 1));
}

/* The same when the writer has no mapping at all. */
TEST_F(views, write_is_seen_in_all)
{
	char *page = malloc(dt_page);

	ASSERT_NE(NULL, page);
	EXPECT_TRUE(all_show_zeros(self, 0, PAGES - 1));
	dt_fill(page, 1, 3);
	EXPECT_EQ(dt_page, pwrite(self->vm, page, dt_page, 3 * dt_page));
	EXPECT_TRUE(all_show(self, 1, 3, 3));
	free(page);
}

TEST_F(views, punch_unmaps_all)
{
	fill_through(self, 0, 1);
	EXPECT_TRUE(all_show(self, 1, 0, PAGES - 1));
	ASSERT_OK(dt_punch(self->vm, 4 * dt_page, 2 * dt_page));
	EXPECT_TRUE(all_show_zeros(self, 4, 5));
	EXPECT_TRUE(all_show(self, 1, 0, 3));
	EXPECT_TRUE(all_show(self, 1, 6, PAGES - 1));
}

TEST_F(views, truncate_unmaps_all)
{
	fill_through(self, 0, 1);
	EXPECT_TRUE(all_show(self, 1, 0, PAGES - 1));
	ASSERT_OK(ftruncate(self->vm, 8 * dt_page));
	for (int v = 0; v < self->nr; v++) {
		EXPECT_EQ(SIGBUS, dt_touch(self->at[v] + 8 * dt_page, false));
		EXPECT_EQ(SIGBUS, dt_touch(self->at[v] + 8 * dt_page, true));
	}
	ASSERT_OK(ftruncate(self->vm, SIZE));
	EXPECT_TRUE(all_show(self, 1, 0, 7));
	EXPECT_TRUE(all_show_zeros(self, 8, PAGES - 1));
}

TEST_F(views, clone_over_it_unmaps_all)
{
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(other, SIZE);

	dt_fill_run(at, 2, 0, PAGES);
	fill_through(self, 0, 1);
	EXPECT_TRUE(all_show(self, 1, 0, PAGES - 1));
	ASSERT_OK(dt_clone(self->vm, other));
	EXPECT_TRUE(all_show(self, 2, 0, PAGES - 1));
}

/* A clone shares what was writable in all views; then COW breaks in one. */
TEST_F(views, clone_of_it_is_not_written_through_any)
{
	for (int v = 0; v < self->nr; v++) {
		char name[8];
		int clone;
		char *at;

		/* Writable PTEs in every view. */
		for (int w = 0; w < self->nr; w++)
			fill_through(self, w, v);
		snprintf(name, sizeof(name), "c%d", v);
		clone = dt_create(&self->fs, name, 0);
		ASSERT_OK(dt_clone(clone, self->vm));
		at = dt_map(clone, SIZE);
		EXPECT_TRUE(all_show(self, v, 0, PAGES - 1));

		fill_through(self, v, 100 + v);
		EXPECT_TRUE(all_show(self, 100 + v, 0, PAGES - 1));
		EXPECT_TRUE(dt_run_is_filled(at, v, 0, PAGES));
	}
}

TEST_F(views, bad_offsets)
{
	const off_t view = (off_t)1 << DISCO_VIEW_SHIFT;
	const off_t end = (off_t)dt_page << 32;
	const struct {
		off_t offset;
		size_t size;
	} bad[] = {
		{ self->nr * view, dt_page },	/* no such node */
		{ 32767 * view, dt_page },
		{ view + end, dt_page },	/* past the largest VM */
		{ view + end - dt_page, 2 * dt_page },
		{ 2 * view - dt_page, 2 * dt_page },
	};
	void *at;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		EXPECT_ERRNO(EINVAL, mmap(NULL, bad[i].size, PROT_READ,
					  MAP_SHARED, self->vm, bad[i].offset)
					  == MAP_FAILED ? -1 : 0);
	EXPECT_ERRNO(EINVAL, mmap(NULL, dt_page, PROT_READ, MAP_PRIVATE,
				  self->vm, view) == MAP_FAILED ? -1 : 0);

	/* The last page that a VM can have: right, and past this one's end. */
	at = mmap(NULL, dt_page, PROT_READ, MAP_SHARED, self->vm,
		  view + end - dt_page);
	ASSERT_NE(MAP_FAILED, at);
	EXPECT_EQ(SIGBUS, dt_touch(at, false));
	munmap(at, dt_page);
}

/* Part of a view, moved and split: the pages stay the same ones. */
TEST_F(views, parts)
{
	off_t view = (off_t)(self->nr - 1) << DISCO_VIEW_SHIFT;
	char *at;

	fill_through(self, 0, 1);
	at = mmap(NULL, 4 * dt_page, PROT_READ | PROT_WRITE, MAP_SHARED,
		  self->vm, view + 8 * dt_page);
	ASSERT_NE(MAP_FAILED, at);
	at = mremap(at, 4 * dt_page, 8 * dt_page, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, at);
	ASSERT_OK(munmap(at, dt_page));
	for (int i = 1; i < 8; i++)
		EXPECT_TRUE(dt_is_filled(at + i * dt_page, 1, 8 + i));
	dt_fill(at + 7 * dt_page, 2, 15);
	EXPECT_TRUE(all_show(self, 2, 15, 15));
	/* A fallocate at the view's offset, where no file can be. */
	EXPECT_ERRNO(EFBIG, madvise(at + dt_page, dt_page, MADV_REMOVE));
	munmap(at + dt_page, 7 * dt_page);
}

TEST_HARNESS_MAIN
