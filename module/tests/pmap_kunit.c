// SPDX-License-Identifier: GPL-2.0-only
#include <kunit/test.h>

#include "../disco.h"
#include "kunit.h"

static int pmap_init(struct kunit *test)
{
	struct disco_pmap_table *pmap;

	pmap = kunit_kzalloc(test, sizeof(*pmap), GFP_KERNEL);
	if (!pmap)
		kunit_skip(test, "no memory");
	disco_pmap_init(pmap);
	test->priv = pmap;
	return 0;
}

static void fill(struct kunit *test, pgoff_t gfn, unsigned long value)
{
	unsigned long *slot = disco_pmap_slot_alloc(test->priv, gfn);

	if (!slot)
		kunit_skip(test, "no memory");
	*slot = value;
}

static void empty(struct disco_pmap_table *pmap)
{
	unsigned long *slot;
	pgoff_t gfn;

	disco_pmap_for_each(pmap, slot, gfn, 0, DISCO_MAX_GFN + 1)
		WRITE_ONCE(*slot, 0);
	disco_pmap_destroy(pmap);
}

/* An empty table has no slots, and looking does not make any. */
static void empty_has_no_slots(struct kunit *test)
{
	struct disco_pmap_table *pmap = test->priv;
	pgoff_t gfn = 0;

	KUNIT_EXPECT_NULL(test, disco_pmap_slot(pmap, 0));
	KUNIT_EXPECT_NULL(test, disco_pmap_slot(pmap, DISCO_MAX_GFN));
	KUNIT_EXPECT_NULL(test, disco_pmap_next(pmap, NULL, &gfn,
						DISCO_MAX_GFN + 1));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&pmap->nr_leaves), 0);
	disco_pmap_destroy(pmap);
}

/* Every gfn has one slot, and no two share one. */
static void slots_are_distinct(struct kunit *test)
{
	static const u64 gfns[] = {
		0, 1, DISCO_LEAF_SLOTS - 1, DISCO_LEAF_SLOTS,
		64 * DISCO_LEAF_SLOTS, 1ULL << 31, DISCO_MAX_GFN,
	};
	struct disco_pmap_table *pmap = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(gfns); i++)
		fill(test, gfns[i], 16 * (i + 1));
	for (i = 0; i < ARRAY_SIZE(gfns); i++)
		KUNIT_EXPECT_EQ(test, *disco_pmap_slot(pmap, gfns[i]),
				16 * (i + 1));
	empty(pmap);
}

/* The walk finds what is not a hole, in order, inside the range only. */
static void next_walks_in_order(struct kunit *test)
{
	static const struct {
		pgoff_t start, end, found;
		bool none;
	} cases[] = {
		{ 0, 5, 0, true },	{ 0, 6, 5 },
		{ 5, 6, 5 },		{ 6, 600, 599 },
		{ 6, 599, 0, true },	{ 600, 100000, 70000 },
		{ 70001, 100000, 0, true }, { 7, 7, 0, true },
	};
	struct disco_pmap_table *pmap = test->priv;
	unsigned int i;

	fill(test, 5, 16);
	fill(test, 599, 32);
	fill(test, 70000, 48);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		pgoff_t gfn = cases[i].start;
		unsigned long *slot = disco_pmap_next(pmap, NULL, &gfn,
						      cases[i].end);

		KUNIT_EXPECT_EQ_MSG(test, !slot, cases[i].none, "case %u", i);
		if (slot)
			KUNIT_EXPECT_EQ_MSG(test, gfn, cases[i].found,
					    "case %u", i);
	}
	empty(pmap);
}

/* Going on from the last slot finds the same as looking anew. */
static void walk_crosses_leaves(struct kunit *test)
{
	static const pgoff_t gfns[] = {
		0, 1, DISCO_LEAF_SLOTS - 1, DISCO_LEAF_SLOTS,
		DISCO_LEAF_SLOTS + 1, 9 * DISCO_LEAF_SLOTS - 1,
	};
	struct disco_pmap_table *pmap = test->priv;
	unsigned long *slot;
	unsigned int i;
	pgoff_t gfn;

	for (i = 0; i < ARRAY_SIZE(gfns); i++)
		fill(test, gfns[i], 16 * (i + 1));
	i = 0;
	disco_pmap_for_each(pmap, slot, gfn, 0, 9 * DISCO_LEAF_SLOTS - 1) {
		KUNIT_ASSERT_LT(test, i, ARRAY_SIZE(gfns) - 1);
		KUNIT_EXPECT_EQ(test, gfn, gfns[i]);
		KUNIT_EXPECT_EQ(test, *slot, 16 * (i + 1));
		i++;
	}
	KUNIT_EXPECT_EQ(test, i, ARRAY_SIZE(gfns) - 1);
	empty(pmap);
}

/* Only leaves that lie whole in the range are freed. */
static void free_leaves_keeps_edges(struct kunit *test)
{
	struct disco_pmap_table *pmap = test->priv;
	unsigned int i;

	for (i = 0; i < 4; i++)
		fill(test, i * DISCO_LEAF_SLOTS, 0);
	disco_pmap_free_leaves(pmap, 1, 3 * DISCO_LEAF_SLOTS - 1);
	KUNIT_EXPECT_NOT_NULL(test, disco_pmap_slot(pmap, 0));
	KUNIT_EXPECT_NULL(test, disco_pmap_slot(pmap, DISCO_LEAF_SLOTS));
	KUNIT_EXPECT_NOT_NULL(test, disco_pmap_slot(pmap, 2 * DISCO_LEAF_SLOTS));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&pmap->nr_leaves), 3);
	disco_pmap_free_leaves(pmap, 5, 6);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&pmap->nr_leaves), 3);
	empty(pmap);
}

/* Tables cost what the counter of metadata says, and give all of it back. */
static void metadata_is_counted(struct kunit *test)
{
	s64 before = disco_counter_sum(DISCO_metadata_bytes);
	struct disco_pmap_table *pmap = test->priv;

	fill(test, 0, 0);
	fill(test, DISCO_MAX_GFN, 0);
	KUNIT_EXPECT_EQ(test, disco_counter_sum(DISCO_metadata_bytes) - before,
			(s64)(2 * PAGE_SIZE));
	disco_pmap_destroy(pmap);
	KUNIT_EXPECT_EQ(test, disco_counter_sum(DISCO_metadata_bytes), before);
}

static struct kunit_case pmap_cases[] = {
	KUNIT_CASE(empty_has_no_slots),
	KUNIT_CASE(slots_are_distinct),
	KUNIT_CASE(next_walks_in_order),
	KUNIT_CASE(walk_crosses_leaves),
	KUNIT_CASE(free_leaves_keeps_edges),
	KUNIT_CASE(metadata_is_counted),
	{}
};

struct kunit_suite disco_pmap_suite = {
	.name = "disco-pmap",
	.init = pmap_init,
	.test_cases = pmap_cases,
};
