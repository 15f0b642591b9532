// SPDX-License-Identifier: GPL-2.0-only
#include <kunit/test.h>

#include "../disco.h"
#include "kunit.h"

#define PAGES 300

static int heat_init(struct kunit *test)
{
	struct disco_heat *heat;

	heat = kunit_kzalloc(test, sizeof(*heat), GFP_KERNEL);
	if (!heat)
		return -ENOMEM;
	disco_heat_init(heat);
	test->priv = heat;
	return 0;
}

static void heat_exit(struct kunit *test)
{
	struct disco_heat *heat = test->priv;

	if (!heat)
		return;
	disco_heat_drop(heat, 0, DISCO_MAX_GFN + 1);
	KUNIT_EXPECT_EQ(test, heat->nr, 0);
	KUNIT_EXPECT_TRUE(test, xa_empty(&heat->counters));
}

static void add(struct kunit *test, pgoff_t gfn, int node, u32 reads, u32 writes)
{
	if (disco_heat_add(test->priv, gfn, node, reads, writes, GFP_KERNEL))
		kunit_skip(test, "no memory");
}

/* The one counter that there is. */
static void expect_one(struct kunit *test, u64 gfn, u32 node, u32 reads,
		       u32 writes)
{
	struct disco_heat_entry entry[2];
	struct disco_heat *heat = test->priv;
	u64 next = 0;

	KUNIT_ASSERT_EQ(test, disco_heat_collect(heat, &next, entry, 2), 1);
	KUNIT_EXPECT_EQ(test, next, 0);
	KUNIT_EXPECT_EQ(test, entry[0].gfn, gfn);
	KUNIT_EXPECT_EQ(test, entry[0].node, node);
	KUNIT_EXPECT_EQ(test, entry[0].reads, reads);
	KUNIT_EXPECT_EQ(test, entry[0].writes, writes);
}

/* Reads and writes are added up apart, and nothing takes no counter. */
static void counts_add_up(struct kunit *test)
{
	struct disco_heat *heat = test->priv;

	add(test, DISCO_MAX_GFN, nr_node_ids - 1, 0, 0);
	KUNIT_EXPECT_TRUE(test, xa_empty(&heat->counters));
	add(test, DISCO_MAX_GFN, nr_node_ids - 1, 3, 0);
	add(test, DISCO_MAX_GFN, nr_node_ids - 1, 0, 4);
	add(test, DISCO_MAX_GFN, nr_node_ids - 1, 5, 6);
	expect_one(test, DISCO_MAX_GFN, nr_node_ids - 1, 8, 10);
	KUNIT_EXPECT_EQ(test, heat->nr, 1);
}

/* A counter that is full stays full, and its neighbour is not touched. */
static void counts_stop_at_the_largest(struct kunit *test)
{
	add(test, 7, 0, U32_MAX, 1);
	expect_one(test, 7, 0, S32_MAX, 1);
	add(test, 7, 0, S32_MAX, S32_MAX - 1);
	expect_one(test, 7, 0, S32_MAX, S32_MAX);
	add(test, 7, 0, 1, U32_MAX);
	expect_one(test, 7, 0, S32_MAX, S32_MAX);
}

/* What comes between reading and taking stays. */
static void what_came_meanwhile_stays(struct kunit *test)
{
	struct disco_heat *heat = test->priv;
	struct disco_heat_entry entry;
	u64 next = 0;

	add(test, 7, 0, 10, 1);
	KUNIT_ASSERT_EQ(test, disco_heat_collect(heat, &next, &entry, 1), 1);
	add(test, 7, 0, 3, 0);
	mutex_lock(&heat->lock);
	disco_heat_subtract(heat, &entry, 1);
	expect_one(test, 7, 0, 3, 0);
	/* The page went, and came back with less. */
	disco_heat_subtract(heat, &entry, 1);
	KUNIT_EXPECT_TRUE(test, xa_empty(&heat->counters));
	disco_heat_subtract(heat, &entry, 1);
	mutex_unlock(&heat->lock);
	KUNIT_EXPECT_EQ(test, heat->nr, 0);
}

/* With all counters in use old ones go on, and new ones wait for room. */
static void room_is_limited(struct kunit *test)
{
	struct disco_heat *heat = test->priv;

	heat->max = 1;
	add(test, 7, 0, 1, 0);
	KUNIT_EXPECT_EQ(test, disco_heat_add(heat, 8, 0, 1, 0, GFP_KERNEL),
			-ENOSPC);
	add(test, 7, 0, 1, 0);
	expect_one(test, 7, 0, 2, 0);
	disco_heat_drop(heat, 7, 8);
	add(test, 8, 0, 1, 0);
	expect_one(test, 8, 0, 1, 0);
}

/* A range is forgotten to its edges, and what is outside stays. */
static void ranges_are_forgotten(struct kunit *test)
{
	static const struct {
		pgoff_t start, end;
		unsigned long left;
	} cases[] = {
		{ 5, 5, PAGES },	{ 6, 5, PAGES },
		{ PAGES, DISCO_MAX_GFN + 1, PAGES },
		{ 0, 1, PAGES - 1 },	{ 63, 65, PAGES - 3 },
		{ 100, 290, PAGES - 193 },
		{ 0, PAGES - 1, 1 },	{ 0, DISCO_MAX_GFN + 1, 0 },
	};
	struct disco_heat *heat = test->priv;
	unsigned int i;
	pgoff_t gfn;

	for (gfn = 0; gfn < PAGES; gfn++)
		add(test, gfn, gfn % nr_node_ids, 1, 0);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		disco_heat_drop(heat, cases[i].start, cases[i].end);
		KUNIT_EXPECT_EQ(test, heat->nr, cases[i].left);
		if (cases[i].left == 1)
			expect_one(test, PAGES - 1, (PAGES - 1) % nr_node_ids,
				   1, 0);
	}
}

/* Also when the lock is given up at the last counter of a node of the xarray. */
static void many_are_forgotten(struct kunit *test)
{
	struct disco_heat *heat = test->priv;
	pgoff_t gfn;

	for (gfn = 0; gfn < 3 * XA_CHECK_SCHED; gfn++)
		add(test, gfn, 0, 1, 0);
	disco_heat_drop(heat, 0, DISCO_MAX_GFN + 1);
	KUNIT_EXPECT_EQ(test, heat->nr, 0);
	KUNIT_EXPECT_TRUE(test, xa_empty(&heat->counters));
}

/* However small the buffer, each counter is read once and no page is divided. */
static void pages_are_read_whole(struct kunit *test)
{
	struct disco_heat_entry *entries;
	struct disco_heat *heat = test->priv;
	unsigned int room, n, seen, i;
	u64 next, last;
	pgoff_t gfn;
	int node;

	entries = kunit_kcalloc(test, 4 * nr_node_ids, sizeof(*entries),
				GFP_KERNEL);
	if (!entries)
		kunit_skip(test, "no memory");
	for (gfn = 0; gfn < PAGES; gfn++)
		for (node = 0; node < 1 + gfn % nr_node_ids; node++)
			add(test, gfn, node, gfn + 1, node);
	for (room = nr_node_ids; room <= 4 * nr_node_ids; room++) {
		seen = 0;
		next = 0;
		last = U64_MAX;
		do {
			n = disco_heat_collect(heat, &next, entries, room);
			KUNIT_ASSERT_NE(test, n, 0);
			KUNIT_ASSERT_NE(test, entries[0].gfn, last);
			last = entries[n - 1].gfn;
			for (i = 0; i < n; i++)
				KUNIT_ASSERT_EQ(test, entries[i].reads,
						entries[i].gfn + 1);
			seen += n;
		} while (next);
		KUNIT_EXPECT_EQ(test, seen, heat->nr);
	}
	/* No room for the next page's: it is said to be next. */
	next = nr_node_ids - 1;
	KUNIT_EXPECT_EQ(test, disco_heat_collect(heat, &next, entries,
						 nr_node_ids - 1), 0);
	KUNIT_EXPECT_EQ(test, next, nr_node_ids - 1);
}

static struct kunit_case heat_cases[] = {
	KUNIT_CASE(counts_add_up),
	KUNIT_CASE(counts_stop_at_the_largest),
	KUNIT_CASE(what_came_meanwhile_stays),
	KUNIT_CASE(room_is_limited),
	KUNIT_CASE(ranges_are_forgotten),
	KUNIT_CASE(many_are_forgotten),
	KUNIT_CASE(pages_are_read_whole),
	{}
};

struct kunit_suite disco_heat_suite = {
	.name = "disco-heat",
	.init = heat_init,
	.exit = heat_exit,
	.test_cases = heat_cases,
};
