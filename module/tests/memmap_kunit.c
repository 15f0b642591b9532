// SPDX-License-Identifier: GPL-2.0-only
#include <kunit/test.h>

#include "../disco.h"
#include "kunit.h"

static int memmap_init(struct kunit *test)
{
	struct folio *folio = folio_alloc(GFP_KERNEL, 0);

	if (!folio)
		kunit_skip(test, "no memory");
	folio_lock(folio);
	test->priv = folio;
	return 0;
}

static void memmap_exit(struct kunit *test)
{
	struct folio *folio = test->priv;

	if (!folio)
		return;
	folio_unlock(folio);
	folio_put(folio);
}

static struct disco_user user(unsigned int i)
{
	return (struct disco_user){ .vm = i % 7 + 1, .gfn = i * 3 };
}

/* Adds users first to last - 1 to those there are. */
static void add_users(struct kunit *test, unsigned int first, unsigned int last)
{
	unsigned int i;
	int err;

	for (i = first; i < last; i++) {
		err = disco_memmap_add(test->priv, user(i));
		if (err == -ENOMEM)
			kunit_skip(test, "no memory");
		KUNIT_ASSERT_EQ(test, err, 0);
	}
}

static bool has_user(struct folio *folio, struct disco_user wanted)
{
	unsigned int i, found = 0;

	for (i = 0; i < disco_memmap_count(folio); i++) {
		struct disco_user user = disco_memmap_get(folio, i);

		found += user.vm == wanted.vm && user.gfn == wanted.gfn;
	}
	return found == 1;
}

/* A page that is not ours is never taken for one of ours. */
static void foreign_page_is_not_ours(struct kunit *test)
{
	struct folio *folio = test->priv;
	struct disco_user first;
	void *values[] = { NULL, folio, (void *)1, (void *)-1L };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		folio->private = values[i];
		KUNIT_EXPECT_FALSE(test, disco_memmap_ours(folio, &first));
	}
	folio->private = NULL;
}

/* The largest VM number and gfn survive packing. */
static void first_user_is_packed(struct kunit *test)
{
	struct disco_user max = { .vm = U16_MAX, .gfn = U32_MAX }, first;
	struct folio *folio = test->priv;

	disco_memmap_init(folio, max);
	KUNIT_EXPECT_TRUE(test, disco_memmap_ours(folio, &first));
	KUNIT_EXPECT_EQ(test, first.vm, max.vm);
	KUNIT_EXPECT_EQ(test, first.gfn, max.gfn);
	KUNIT_EXPECT_EQ(test, disco_memmap_bytes(folio), 0);
	KUNIT_EXPECT_EQ(test, disco_memmap_del(folio, max), 0);
	KUNIT_EXPECT_FALSE(test, disco_memmap_ours(folio, &first));
}

/* Gives the page its first user, as a VM's page or as the buffer cache's. */
static void first_user(struct folio *folio, bool cached)
{
	if (cached) {
		folio->private = NULL;
		/* The page cache's, not ours to read or change. */
		folio->index = 4711;
		disco_memmap_add(folio, user(0));
	} else {
		disco_memmap_init(folio, user(0));
	}
}

/* Users are removed in any order and the others stay. */
static void come_and_go(struct kunit *test, bool cached)
{
	s64 before = disco_counter_sum(DISCO_metadata_bytes);
	struct folio *folio = test->priv;
	unsigned int i, j, nr = 40;

	first_user(folio, cached);
	add_users(test, 1, nr);
	KUNIT_EXPECT_EQ(test, disco_memmap_count(folio), nr);
	KUNIT_EXPECT_EQ(test, disco_memmap_cached(folio), cached);
	/* 11 and 40 have no common divisor: every user once, mixed up. */
	for (i = 0; i < nr; i++) {
		KUNIT_EXPECT_EQ(test,
				disco_memmap_del(folio, user(i * 11 % nr)),
				nr - i - 1);
		for (j = i + 1; j < nr; j++)
			KUNIT_EXPECT_TRUE(test,
					  has_user(folio, user(j * 11 % nr)));
	}
	KUNIT_EXPECT_EQ(test, disco_memmap_count(folio), 0);
	KUNIT_EXPECT_PTR_EQ(test, folio->private, NULL);
	KUNIT_EXPECT_EQ(test, folio->index, cached ? 4711 : 0);
	KUNIT_EXPECT_EQ(test, disco_counter_sum(DISCO_metadata_bytes), before);
}

static void users_come_and_go(struct kunit *test)
{
	come_and_go(test, false);
}

static void users_of_cached_page_come_and_go(struct kunit *test)
{
	come_and_go(test, true);
}

/*
 * Slots and users together stay under 0.4% of the pages that the users see,
 * for every number of users (design rule 7); a full list says so.
 */
static void stays_small(struct kunit *test, bool cached)
{
	struct folio *folio = test->priv;
	unsigned int nr = 1, worst = 0;
	int err;

	first_user(folio, cached);
	while (!(err = disco_memmap_add(folio, user(nr)))) {
		nr++;
		worst = max_t(unsigned int, worst,
			      (disco_memmap_bytes(folio) +
			       nr * sizeof(unsigned long)) * 100000 /
			      (nr * PAGE_SIZE));
	}
	KUNIT_EXPECT_EQ(test, err, -EMLINK);
	KUNIT_EXPECT_GE(test, nr, 512);
	KUNIT_EXPECT_LT(test, worst, 400);
	while (nr)
		disco_memmap_del(folio, user(--nr));
	KUNIT_EXPECT_EQ(test, disco_memmap_bytes(folio), 0);
}

static void list_stays_small(struct kunit *test)
{
	stays_small(test, false);
}

static void list_of_cached_page_stays_small(struct kunit *test)
{
	stays_small(test, true);
}

static struct kunit_case memmap_cases[] = {
	KUNIT_CASE(foreign_page_is_not_ours),
	KUNIT_CASE(first_user_is_packed),
	KUNIT_CASE(users_come_and_go),
	KUNIT_CASE(users_of_cached_page_come_and_go),
	KUNIT_CASE(list_stays_small),
	KUNIT_CASE(list_of_cached_page_stays_small),
	{}
};

struct kunit_suite disco_memmap_suite = {
	.name = "disco-memmap",
	.init = memmap_init,
	.exit = memmap_exit,
	.test_cases = memmap_cases,
};
