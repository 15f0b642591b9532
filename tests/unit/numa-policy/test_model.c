// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cache model behind the plugin, and what it records.
 */
#include "test.h"

#include "cache.h"
#include "record.h"

#define LINE 128
#define SETS 4096

/* 1 MiB, 2 ways, as in the paper. */
static struct caches *two_cpus(void)
{
	struct caches *caches = caches_new(2, 1 << 20, 2, LINE);

	assert_non_null(caches);
	return caches;
}

/* What was read is there, until two other lines of the set were. */
static void lines_stay_until_evicted(void **state)
{
	struct caches *caches = two_cpus();
	const uint64_t way = SETS * LINE;

	(void)state;
	assert_false(caches_access(caches, 0, 0, false));
	assert_true(caches_access(caches, 0, LINE - 1, false));
	assert_false(caches_access(caches, 0, LINE, false));
	assert_false(caches_access(caches, 0, way, false));
	assert_true(caches_access(caches, 0, 0, false));
	/* Now the line of the second way is the one used longest ago. */
	assert_false(caches_access(caches, 0, 2 * way, false));
	assert_true(caches_access(caches, 0, 0, false));
	assert_false(caches_access(caches, 0, way, false));
	/* Nothing of this is the other CPU's matter. */
	assert_false(caches_access(caches, 1, 0, false));
	caches_free(caches);
}

/* A write takes the line from all others; a read leaves it to both. */
static void writes_invalidate(void **state)
{
	struct caches *caches = two_cpus();

	(void)state;
	assert_false(caches_access(caches, 0, 0, false));
	assert_false(caches_access(caches, 1, 0, false));
	assert_true(caches_access(caches, 0, 0, false));
	/* To own a line that is shared is a request, too. */
	assert_false(caches_access(caches, 0, 0, true));
	assert_true(caches_access(caches, 0, 0, true));
	assert_true(caches_access(caches, 0, 0, false));
	assert_false(caches_access(caches, 1, 0, false));
	assert_false(caches_access(caches, 0, 0, true));
	assert_false(caches_access(caches, 1, 0, true));
	assert_false(caches_access(caches, 0, 0, false));
	caches_free(caches);
}

/* A cache that all of a working set fits into misses once for each line. */
static void sizes_are_kept(void **state)
{
	static const struct {
		uint64_t size;
		unsigned int ways, line;
		uint64_t bytes;
		unsigned int misses;
	} cases[] = {
		{ 1 << 20, 2, 128, 1 << 20, 8192 },
		{ 1 << 20, 2, 128, 1 << 21, 2 * 16384 },
		{ 1 << 15, 8, 64, 1 << 15, 512 },
		{ 128, 1, 128, 256, 4 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct caches *caches = caches_new(1, cases[i].size,
						   cases[i].ways, cases[i].line);
		unsigned int misses = 0;

		assert_non_null(caches);
		for (int turn = 0; turn < 2; turn++)
			for (uint64_t at = 0; at < cases[i].bytes; at += 4)
				misses += !caches_access(caches, 0, at, false);
		assert_int_equal(misses, cases[i].misses);
		caches_free(caches);
	}
	assert_null(caches_new(0, 1 << 20, 2, 128));
	assert_null(caches_new(1, 1 << 20, 3, 128));
	assert_null(caches_new(1, 1 << 20, 2, 100));
	assert_null(caches_new(1, 0, 2, 128));
	assert_null(caches_new(1, 1 << 20, 0, 128));
}

/* Misses become heat by page and node, in order, at the end of an interval. */
static void misses_become_heat(void **state)
{
	struct record_config config = {
		.about = "a test", .name = "vm", .cpus = 4, .nodes = 2,
		.page_size = 4096, .insn_ps = 5000, .local_ns = 300,
		.remote_ns = 900, .tick_ns = MS,
	};
	char path[] = "/tmp/numa-policy.XXXXXX";
	struct np_source *source;
	struct record_sum sum;
	struct record *record;
	struct np_batch batch;
	struct np_error error;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	config.path = path;
	assert_int_equal(record_new(&config, &record, &error), 0);
	record_miss(record, 3, 9, false);
	record_miss(record, 0, 9, true);
	record_miss(record, 2, 9, true);
	/* The first alone has not run for 1 ms, both have, with 3 misses. */
	record_insns(record, 0, 199000);
	record_insns(record, 3, 202000);
	/* Many pages, and an end in the middle of an interval. */
	for (uint64_t gfn = 0; gfn < 20000; gfn++)
		for (int i = 0; i < 2; i++)
			record_miss(record, 1, gfn, false);
	record_insns(record, 1, 1000);
	assert_int_equal(record_close(record, &sum, &error), 0);
	assert_int_equal(sum.insns, 402000);
	assert_int_equal(sum.misses, 40003);
	assert_int_equal(sum.pages, 20000);
	/* Page 9 is where CPU 3 touched it first. */
	assert_int_equal(sum.local, 2 + 2 * 19999);

	assert_int_equal(np_trace_open(path, &source, &error), 0);
	assert_int_equal(source->nodes, 2);
	assert_int_equal(np_source_next(source, &batch, &error), 1);
	assert_int_equal(batch.nr, 2);
	assert_int_equal(batch.busy_ns, 2005000);
	assert_int_equal(batch.now_ns, 1002950);
	assert_int_equal(batch.heat[0].node, 1);
	assert_int_equal(batch.heat[0].reads, 1);
	assert_int_equal(batch.heat[0].writes, 1);
	assert_int_equal(batch.heat[1].node, 0);
	assert_int_equal(batch.heat[1].writes, 1);
	np_source_close(source);
	unlink(path);
}

/* Before the beginning only who touches a page first is kept, after the end nothing. */
static void what_is_marked_counts(void **state)
{
	char path[] = "/tmp/disco-trace-XXXXXX";
	struct record_config config = {
		.path = path, .about = "by hand", .name = "test", .cpus = 2,
		.nodes = 2, .page_size = 4096, .insn_ps = 5000,
		.local_ns = 300, .remote_ns = 900, .tick_ns = 1000000,
		.waits = true,
	};
	struct record *record;
	struct np_source *source;
	struct record_sum sum;
	struct np_batch batch;
	struct np_error error;

	(void)state;
	close(mkstemp(path));
	assert_int_equal(record_new(&config, &record, &error), 0);
	record_end(record);
	record_miss(record, 1, 7, true);
	record_miss(record, 0, 7, false);
	record_miss(record, 0, 8, false);
	record_insns(record, 0, 1000000);
	record_begin(record);
	record_miss(record, 0, 7, false);
	record_miss(record, 0, 8, false);
	record_miss(record, 1, 9, false);
	record_insns(record, 0, 1000);
	record_begin(record);
	record_end(record);
	record_miss(record, 0, 7, false);
	record_insns(record, 0, 1000000);
	record_begin(record);
	assert_int_equal(record_close(record, &sum, &error), 0);
	assert_int_equal(sum.insns, 1000);
	assert_int_equal(sum.misses, 3);
	/* Page 7 is where CPU 1 touched it. */
	assert_int_equal(sum.local, 2);
	assert_int_equal(sum.pages, 3);

	assert_int_equal(np_trace_open(path, &source, &error), 0);
	assert_int_equal(np_source_next(source, &batch, &error), 1);
	assert_int_equal(batch.nr, 2);
	assert_int_equal(batch.busy_ns, 0);
	assert_int_equal(batch.heat[0].gfn, 7);
	assert_int_equal(batch.heat[0].node, 1);
	assert_int_equal(batch.heat[0].reads, 1);
	assert_int_equal(batch.heat[0].writes, 0);
	assert_int_equal(batch.heat[1].gfn, 8);
	assert_int_equal(np_source_next(source, &batch, &error), 1);
	assert_int_equal(batch.nr, 3);
	assert_int_equal(np_source_next(source, &batch, &error), 0);
	np_source_close(source);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_stay_until_evicted),
		cmocka_unit_test(writes_invalidate),
		cmocka_unit_test(sizes_are_kept),
		cmocka_unit_test(misses_become_heat),
		cmocka_unit_test(what_is_marked_counts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
