// SPDX-License-Identifier: GPL-2.0-only
#include <kunit/test.h>
#include <linux/topology.h>

#include "../disco.h"
#include "kunit.h"

/* Words that are wrong are refused with a reason, and change nothing. */
static void wrong_words_are_refused(struct kunit *test)
{
	static const char * const wrong[] = {
		"", ":", "bin", "bindx:0", "Bind:0", "bind", "bind:", "bind:x",
		"bind:0-", "bind:0,,x", "interleave", "prefer", "prefer:",
		"default:", "default:0", "local:0", "bind:=0", "bind=static:0",
		"bind:0-1023", "prefer:1023",
	};
	struct disco_mpol mpol, before;
	unsigned int i;

	KUNIT_ASSERT_NULL(test, disco_mpol_parse("local", &mpol));
	before = mpol;
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		KUNIT_EXPECT_NOT_NULL_MSG(test,
					  disco_mpol_parse(wrong[i], &mpol),
					  "mpol=%s", wrong[i]);
		KUNIT_EXPECT_EQ(test, mpol.mode, before.mode);
		KUNIT_EXPECT_TRUE(test, nodes_equal(mpol.nodes, before.nodes));
	}
}

/* All nodes with memory in turn, by gfn, and the same one for the same gfn. */
static void interleave_goes_round(struct kunit *test)
{
	struct disco_mpol mpol = {
		.mode = DISCO_MPOL_INTERLEAVE, .nodes = NODE_MASK_NONE,
	};
	static const int round[] = { 1, 3, 4, 7 };
	pgoff_t gfn;

	if (MAX_NUMNODES < 8)
		kunit_skip(test, "this kernel has less than 8 nodes");
	for (gfn = 0; gfn < ARRAY_SIZE(round); gfn++)
		node_set(round[gfn], mpol.nodes);
	for (gfn = 0; gfn < 3 * ARRAY_SIZE(round); gfn++)
		KUNIT_EXPECT_EQ(test, disco_mpol_node(&mpol, gfn),
				round[gfn % ARRAY_SIZE(round)]);
	KUNIT_EXPECT_EQ(test, disco_mpol_node(&mpol, DISCO_MAX_GFN), 7);
}

/* One node, whatever the page. */
static void prefer_names_the_node(struct kunit *test)
{
	int last = first_node(node_states[N_MEMORY]), node;
	struct disco_mpol mpol;
	char text[24];

	for_each_node_state(node, N_MEMORY)
		last = node;
	snprintf(text, sizeof(text), "prefer:%d", last);
	KUNIT_ASSERT_NULL(test, disco_mpol_parse(text, &mpol));
	KUNIT_EXPECT_EQ(test, mpol.mode, DISCO_MPOL_PREFER);
	KUNIT_EXPECT_EQ(test, disco_mpol_node(&mpol, 0), last);
	KUNIT_EXPECT_EQ(test, disco_mpol_node(&mpol, 12345), last);
}

static struct kunit_case mpol_cases[] = {
	KUNIT_CASE(wrong_words_are_refused),
	KUNIT_CASE(interleave_goes_round),
	KUNIT_CASE(prefer_names_the_node),
	{}
};

struct kunit_suite disco_mpol_suite = {
	.name = "disco-mpol",
	.test_cases = mpol_cases,
};
