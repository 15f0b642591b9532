// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parts of discoctl that only turn things into text, and back.
 */
#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "discoctl.h"

/* Frame numbers are decimal or hexadecimal, and nothing else. */
static void numbers_are_read(void **state)
{
	static const struct {
		const char *text;
		bool good;
		uint64_t value;
	} cases[] = {
		{ "0", true, 0 },
		{ "42", true, 42 },
		{ "010", true, 10 },
		{ "0x10", true, 16 },
		{ "0Xff", true, 255 },
		{ "18446744073709551615", true, UINT64_MAX },
		{ "0xffffffffffffffff", true, UINT64_MAX },
		{ "18446744073709551616", false, 0 },
		{ "0x10000000000000000", false, 0 },
		{ "", false, 0 }, { " 1", false, 0 }, { "1 ", false, 0 },
		{ "-1", false, 0 }, { "+1", false, 0 }, { "0x", false, 0 },
		{ "0x0x1", false, 0 }, { "0x-1", false, 0 }, { "ff", false, 0 },
		{ "1k", false, 0 }, { "1.5", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t value = 7;

		if (parse_number(cases[i].text, &value) != cases[i].good)
			fail_msg("\"%s\"", cases[i].text);
		assert_true(value == (cases[i].good ? cases[i].value : 7));
	}
}

/* Sizes have at most one unit, and no size is silently another. */
static void sizes_are_read(void **state)
{
	static const struct {
		const char *text;
		bool good;
		uint64_t bytes;
	} cases[] = {
		{ "0", true, 0 },
		{ "4096", true, 4096 },
		{ "3k", true, 3 << 10 },
		{ "3M", true, 3 << 20 },
		{ "0x10g", true, 16ULL << 30 },
		{ "2t", true, 2ULL << 40 },
		{ "16777215t", true, 16777215ULL << 40 },
		{ "16777216t", false, 0 },
		{ "18446744073709551615", true, UINT64_MAX },
		{ "18446744073709551615k", false, 0 },
		{ "", false, 0 }, { "k", false, 0 }, { "1kk", false, 0 },
		{ "1 k", false, 0 }, { "-1", false, 0 }, { "1.5g", false, 0 },
		{ "1kb", false, 0 }, { "1p", false, 0 }, { "50%", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t bytes = 7;

		if (parse_size(cases[i].text, &bytes) != cases[i].good)
			fail_msg("\"%s\"", cases[i].text);
		assert_true(bytes == (cases[i].good ? cases[i].bytes : 7));
	}
}

/* Permissions are octal, without set-user-ID and the like. */
static void modes_are_read(void **state)
{
	static const struct {
		const char *text;
		bool good;
		unsigned int mode;
	} cases[] = {
		{ "0", true, 0 },
		{ "444", true, 0444 },
		{ "0440", true, 0440 },
		{ "0777", true, 0777 },
		{ "1444", false, 0 }, { "4755", false, 0 },
		{ "", false, 0 }, { "888", false, 0 }, { "04444", false, 0 },
		{ "-444", false, 0 }, { "0x1ff", false, 0 }, { "a+r", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned int mode = 07;

		if (parse_mode(cases[i].text, &mode) != cases[i].good)
			fail_msg("\"%s\"", cases[i].text);
		assert_int_equal(mode, cases[i].good ? cases[i].mode : 07);
	}
}

/* A range has both ends or is one number. */
static void ranges_are_read(void **state)
{
	static const struct {
		const char *text;
		bool good;
		uint64_t first, last;
	} cases[] = {
		{ "5", true, 5, 5 },
		{ "0-0x10", true, 0, 16 },
		{ "9-3", true, 9, 3 },
		{ "-", false, 0, 0 }, { "5-", false, 0, 0 },
		{ "-5", false, 0, 0 }, { "1-2-3", false, 0, 0 },
		{ "1--2", false, 0, 0 }, { "1 - 2", false, 0, 0 },
		{ "1,2", false, 0, 0 }, { "", false, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t first = 7, last = 7;

		if (parse_range(cases[i].text, &first, &last) != cases[i].good)
			fail_msg("\"%s\"", cases[i].text);
		assert_true(first == (cases[i].good ? cases[i].first : 7));
		assert_true(last == (cases[i].good ? cases[i].last : 7));
	}
}

/* No byte of a name reaches a terminal as a command. */
static void names_are_escaped(void **state)
{
	static const struct {
		const char *name;
		const char *text;
		int width;
	} cases[] = {
		{ "", "", 0 },
		{ "libvirt/qemu/1-a", "libvirt/qemu/1-a", 16 },
		{ "with blank", "with blank", 10 },
		{ "a\nb", "a\\x0ab", 6 },
		{ "\033[31m", "\\x1b[31m", 8 },
		{ "\302\233", "\\xc2\\x9b", 8 },
		{ "\303\244", "\303\244", 1 },
		{ "\346\227\245", "\346\227\245", 2 },
		{ "\377x", "\\xffx", 5 },
		{ "x\303", "x\\xc3", 5 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *text = escape_name(cases[i].name);

		assert_string_equal(text, cases[i].text);
		assert_int_equal(text_width(text), cases[i].width);
		free(text);
	}
}

/* What is cut off is seen to be, and no character is cut in two. */
static void names_are_cut(void **state)
{
	static const struct {
		const char *name;
		int width;
		const char *text;
	} cases[] = {
		{ "abcd", 4, "abcd" },
		{ "abcde", 4, "abc~" },
		{ "\303\244\303\244\303\244", 2, "\303\244~" },
		{ "\346\227\245\346\227\245", 3, "\346\227\245~" },
		{ "\346\227\245\346\227\245", 2, "~" },
		{ "\033\033", 6, "\\x1b\\~" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *text = cut_name(cases[i].name, cases[i].width);

		assert_string_equal(text, cases[i].text);
		free(text);
	}
}

static const char *json_text(const char *name)
{
	static char text[256];
	struct json_object *obj = json_object_new_object();

	json_add_text(obj, "k", name);
	strcpy(text, json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN));
	json_object_put(obj);
	return text;
}

/* What is printed is JSON, whatever the name. */
static void json_is_utf8(void **state)
{
	(void)state;
	assert_string_equal(json_text("a\n\"\\"), "{\"k\":\"a\\n\\\"\\\\\"}");
	assert_string_equal(json_text("\303\244"), "{\"k\":\"\303\244\"}");
	assert_string_equal(json_text("\377x"), "{\"k\":\"\\\\xffx\"}");
}

/* Numbers above what a double or a signed number holds stay exact. */
static void json_numbers_are_exact(void **state)
{
	struct json_object *obj = json_object_new_object();

	(void)state;
	json_add_u64(obj, "k", UINT64_MAX);
	assert_string_equal(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN),
			    "{\"k\":18446744073709551615}");
	json_object_put(obj);
}

/* A run holds pages that differ in nothing but their numbers. */
static void runs_are_lossless(void **state)
{
	const struct disco_pmap_entry first = {
		.pfn = 100, .users = 2, .node = 1, .state = DISCO_PAGE_SHARED
	};
	const struct {
		struct disco_pmap_entry next;
		bool same;
	} cases[] = {
		{ { 101, 2, 1, DISCO_PAGE_SHARED }, true },
		{ { 102, 2, 1, DISCO_PAGE_SHARED }, false },
		{ { 100, 2, 1, DISCO_PAGE_SHARED }, false },
		{ { 0, 2, 1, DISCO_PAGE_SHARED }, false },
		{ { 101, 3, 1, DISCO_PAGE_SHARED }, false },
		{ { 101, 2, 0, DISCO_PAGE_SHARED }, false },
		{ { 101, 2, 1, DISCO_PAGE_PRIVATE }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct run run = { 0 };

		assert_true(run_add(&run, 10, &first));
		assert_int_equal(run_add(&run, 11, &cases[i].next),
				 cases[i].same);
		assert_int_equal(run.pages, cases[i].same ? 2 : 1);
		assert_int_equal(run.gfn, 10);
		assert_int_equal(run.pfn, 100);
		assert_false(run_add(&run, 99, &cases[0].next));
	}
}

/* Without frames, to a user without privilege, runs are longer, not wrong. */
static void runs_without_frames(void **state)
{
	const struct disco_pmap_entry hidden = {
		.pfn = 0, .users = 1, .node = 0, .state = DISCO_PAGE_PRIVATE
	};
	const struct disco_pmap_entry zero = {
		.pfn = 77, .users = 0, .node = DISCO_NO_NODE,
		.state = DISCO_PAGE_ZERO
	};
	struct run run = { 0 };

	(void)state;
	for (uint64_t gfn = 0; gfn < 5; gfn++)
		assert_true(run_add(&run, gfn, &hidden));
	assert_false(run_add(&run, 5, &zero));
	assert_int_equal(run.pages, 5);
	assert_int_equal(run.pfn, 0);

	/* All zero slots may stand for the same page: it is nobody's frame. */
	run.pages = 0;
	assert_true(run_add(&run, 5, &zero));
	assert_true(run_add(&run, 6, &zero));
	assert_int_equal(run.pfn, 0);
}

static void users_have_buckets(void **state)
{
	static const struct {
		uint32_t users;
		int bucket;
	} cases[] = {
		{ 0, 0 }, { 1, 0 }, { 2, 1 }, { 3, 2 }, { 4, 2 }, { 5, 3 },
		{ 8, 3 }, { 9, 4 }, { 1U << 31, 31 }, { UINT32_MAX, 32 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(user_bucket(cases[i].users), cases[i].bucket);
}

/* Only pages with a frame count for nodes and users. */
static void summary_adds_up(void **state)
{
	static const struct disco_pmap_entry entries[] = {
		{ 0, 0, DISCO_NO_NODE, DISCO_PAGE_HOLE },
		{ 9, 0, 1, DISCO_PAGE_ZERO },
		{ 1, 1, 0, DISCO_PAGE_PRIVATE },
		{ 2, 1, 3, DISCO_PAGE_PRIVATE },
		{ 3, 4, 3, DISCO_PAGE_SHARED },
	};
	static const struct disco_pmap_entry strange = { 0, 0, 0, 5 };
	struct summary sum = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		assert_int_equal(summary_add(&sum, &entries[i]), 0);
	assert_int_equal(sum.states[DISCO_PAGE_HOLE], 1);
	assert_int_equal(sum.states[DISCO_PAGE_ZERO], 1);
	assert_int_equal(sum.states[DISCO_PAGE_PRIVATE], 2);
	assert_int_equal(sum.states[DISCO_PAGE_SHARED], 1);
	assert_int_equal(sum.nr_nodes, 4);
	assert_int_equal(sum.nodes[0], 1);
	assert_int_equal(sum.nodes[1], 0);
	assert_int_equal(sum.nodes[3], 2);
	assert_int_equal(sum.users[0], 2);
	assert_int_equal(sum.users[2], 1);
	assert_int_equal(summary_add(&sum, &strange), -EINVAL);
	free(sum.nodes);
}

#define WORDS 512

/* Adds a page whose words are all @word. */
static void add_page(struct contents *contents, size_t guest, uint64_t gfn,
		     uint64_t word)
{
	uint64_t page[WORDS];

	for (size_t i = 0; i < WORDS; i++)
		page[i] = word;
	assert_true(contents_add(contents, guest, gfn, page));
}

static void next_is(const struct contents *contents, size_t *at,
		    const struct pairs *expected)
{
	struct pairs pairs;

	assert_true(contents_next(contents, at, &pairs));
	assert_int_equal(pairs.guest, expected->guest);
	assert_int_equal(pairs.gfn, expected->gfn);
	assert_int_equal(pairs.other, expected->other);
	assert_int_equal(pairs.other_gfn, expected->other_gfn);
	assert_int_equal(pairs.nr, expected->nr);
}

/* Equal pages are paired with the first of them, in runs; others are not. */
static void equal_pages_are_paired(void **state)
{
	static const struct pairs expected[] = {
		/* Zeros are equal to holes. */
		{ .guest = 0, .gfn = 7, .other = 0, .other_gfn = 7, .nr = 2 },
		{ .guest = 1, .gfn = 7, .other = 1, .other_gfn = 7, .nr = 1 },
		{ .guest = 0, .gfn = 1, .other = 1, .other_gfn = 11, .nr = 3 },
		{ .guest = 0, .gfn = 2, .other = 2, .other_gfn = 1, .nr = 1 },
		/* Not one run with the one before: the other side ends. */
		{ .guest = 0, .gfn = 1, .other = 2, .other_gfn = 2, .nr = 1 },
	};
	struct contents *contents = contents_new(WORDS * sizeof(uint64_t));
	size_t at = 0;

	(void)state;
	assert_non_null(contents);
	for (uint64_t gfn = 1; gfn < 4; gfn++) {
		add_page(contents, 0, gfn, gfn);
		add_page(contents, 1, gfn + 10, gfn);
	}
	add_page(contents, 2, 1, 2);
	add_page(contents, 2, 2, 1);
	add_page(contents, 2, 9, 1000);
	add_page(contents, 1, 7, 0);
	add_page(contents, 0, 8, 0);
	add_page(contents, 0, 7, 0);
	assert_int_equal(contents_pair(contents), 8);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		next_is(contents, &at, &expected[i]);
	assert_false(contents_next(contents, &at, &(struct pairs) { 0 }));
	contents_free(contents);
}

/* A page can have only so many users: some later page is the next to have. */
static void many_equal_pages_have_several_firsts(void **state)
{
	struct contents *contents = contents_new(WORDS * sizeof(uint64_t));
	unsigned int seen[2000] = { 0 }, firsts = 0;
	struct pairs pairs;
	size_t at = 0;

	(void)state;
	for (unsigned int gfn = 0; gfn < ARRAY_SIZE(seen); gfn++)
		add_page(contents, 0, gfn, 5);
	firsts = ARRAY_SIZE(seen) - contents_pair(contents);
	assert_int_equal(firsts, 4);
	while (contents_next(contents, &at, &pairs)) {
		assert_int_equal(pairs.nr, 1);
		assert_true(pairs.gfn < pairs.other_gfn);
		assert_true(pairs.other_gfn - pairs.gfn < 640);
		seen[pairs.other_gfn]++;
	}
	for (unsigned int gfn = 0; gfn < ARRAY_SIZE(seen); gfn++) {
		assert_true(seen[gfn] < 2);
		firsts -= !seen[gfn];
	}
	assert_int_equal(firsts, 0);
	contents_free(contents);
}

/* Every byte of a page counts, and where it is. */
static void contents_differ_by_a_bit(void **state)
{
	struct contents *contents = contents_new(WORDS * sizeof(uint64_t));
	uint64_t page[WORDS];
	uint64_t nr = 0;

	(void)state;
	for (size_t i = 0; i < WORDS; i++) {
		for (int bit = 0; bit < 64; bit += 9) {
			memset(page, 0, sizeof(page));
			page[i] = 1ULL << bit;
			assert_true(contents_add(contents, 0, nr++, page));
		}
	}
	assert_int_equal(contents_pair(contents), 0);
	contents_free(contents);
	contents_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_read),
		cmocka_unit_test(sizes_are_read),
		cmocka_unit_test(modes_are_read),
		cmocka_unit_test(ranges_are_read),
		cmocka_unit_test(names_are_escaped),
		cmocka_unit_test(names_are_cut),
		cmocka_unit_test(json_is_utf8),
		cmocka_unit_test(json_numbers_are_exact),
		cmocka_unit_test(runs_are_lossless),
		cmocka_unit_test(runs_without_frames),
		cmocka_unit_test(users_have_buckets),
		cmocka_unit_test(summary_adds_up),
		cmocka_unit_test(equal_pages_are_paired),
		cmocka_unit_test(many_equal_pages_have_several_firsts),
		cmocka_unit_test(contents_differ_by_a_bit),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("discoctl", tests, NULL, NULL);
}
