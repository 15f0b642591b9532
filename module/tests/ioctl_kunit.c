// SPDX-License-Identifier: GPL-2.0-only
#include <kunit/test.h>

#include "../disco.h"
#include "../ioctl.h"
#include "kunit.h"

/*
 * Sizes are a promise to programs built against the header: a row changes only
 * by growing its size.
 */
static void sizes_are_kept(struct kunit *test)
{
	static const struct {
		unsigned int cmd;
		u32 min_size;
	} cases[] = {
		{ DISCO_QUERY, 64 },	{ DISCO_VM_STAT, 56 },
		{ DISCO_PMAP, 40 },	{ DISCO_MEMMAP, 40 },
		{ DISCO_CHECK, 80 },	{ DISCO_VCPU_CREATE, 40 },
		{ DISCO_VCPU_STAT, 112 }, { DISCO_VCPU_DUMP, 40 },
		{ DISCO_MOVE, 40 },	{ DISCO_HEAT_SET, 24 },
		{ DISCO_HEAT_STAT, 56 }, { DISCO_HEAT_REPORT, 32 },
		{ DISCO_HEAT_DRAIN, 48 },
	};
	const struct disco_ioctl_op *op;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		op = disco_ioctl_find(cases[i].cmd);
		KUNIT_ASSERT_NOT_NULL(test, op);
		KUNIT_EXPECT_EQ(test, op->cmd, cases[i].cmd);
		KUNIT_EXPECT_EQ(test, op->min_size, cases[i].min_size);
		KUNIT_EXPECT_GE(test, op->size, op->min_size);
		KUNIT_EXPECT_LE(test, op->size, PAGE_SIZE);
	}
}

/* A number that is not in the table, or of another type, is not found. */
static void unknown_is_not_found(struct kunit *test)
{
	KUNIT_EXPECT_NULL(test, disco_ioctl_find(0));
	KUNIT_EXPECT_NULL(test, disco_ioctl_find(_IO(DISCO_TYPE,
						     DISCO_CMD_BASE - 1)));
	KUNIT_EXPECT_NULL(test, disco_ioctl_find(_IO(DISCO_TYPE,
						     DISCO_CMD_HEAT_DRAIN + 1)));
	KUNIT_EXPECT_NULL(test, disco_ioctl_find(_IO(DISCO_TYPE + 1,
						     DISCO_CMD_QUERY)));
	KUNIT_EXPECT_NULL(test, disco_ioctl_find(_IOW(DISCO_TYPE,
						      DISCO_CMD_QUERY, u32)));
}

static struct kunit_case ioctl_cases[] = {
	KUNIT_CASE(sizes_are_kept),
	KUNIT_CASE(unknown_is_not_found),
	{}
};

struct kunit_suite disco_ioctl_suite = {
	.name = "disco-ioctl",
	.test_cases = ioctl_cases,
};
