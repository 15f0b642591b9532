// SPDX-License-Identifier: GPL-2.0-only
/*
 * Heat traces: what is written is read again, and bad ones are named by line.
 */
#include <sys/stat.h>
#include <zlib.h>

#include "test.h"

#define HEAD "disco-heat 1\nnodes 4\npage-size 4096\nabout a test\n"

/* Reads a whole trace; the number of intervals, or the error. */
static int read_all(const char *path, struct np_error *error)
{
	struct np_source *source;
	struct np_batch batch;
	int ret, intervals = 0;

	ret = np_trace_open(path, &source, error);
	if (ret)
		return ret;
	while ((ret = np_source_next(source, &batch, error)) > 0)
		intervals++;
	np_source_close(source);
	return ret ? ret : intervals;
}

static int read_text(const char *text, struct np_error *error)
{
	const char *path = temporary(text);
	int ret = read_all(path, error);

	unlink(path);
	return ret;
}

static void write_some(const char *path)
{
	struct np_heat heat = { .vm = 7, .gfn = 0xfffffffffffff, .node = 3,
				.reads = UINT32_MAX, .writes = 1 };
	struct np_writer *writer;
	struct np_error error;

	assert_int_equal(np_writer_new(path, 4, 16384, "some words", &writer,
				       &error), 0);
	np_writer_vm(writer, 7, "a name with blanks");
	np_writer_heat(writer, &heat);
	np_writer_tick(writer, 10, 20);
	np_writer_tick(writer, 11, 0);
	for (heat.gfn = 0; heat.gfn < 5000; heat.gfn++)
		np_writer_heat(writer, &heat);
	np_writer_tick(writer, 1ULL << 60, 5);
	assert_int_equal(np_writer_close(writer, &error), 0);
}

/* What is written is read again, plain and compressed. */
static void traces_are_read_again(void **state)
{
	static const char * const names[] = { "/trace", "/trace.gz" };
	char dir[] = "/tmp/numa-policy.XXXXXX", path[64];
	struct np_source *source;
	struct np_batch batch;
	struct np_error error;
	struct stat st[2];

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s%s", dir, names[i]);
		write_some(path);
		assert_int_equal(stat(path, &st[i]), 0);
		assert_int_equal(np_trace_open(path, &source, &error), 0);
		assert_int_equal(source->nodes, 4);
		assert_int_equal(source->page_size, 16384);
		assert_string_equal(source->about, "some words");

		assert_int_equal(np_source_next(source, &batch, &error), 1);
		assert_int_equal(batch.nr, 1);
		assert_int_equal(batch.now_ns, 10);
		assert_int_equal(batch.busy_ns, 20);
		assert_int_equal(batch.heat[0].vm, 7);
		assert_int_equal(batch.heat[0].gfn, 0xfffffffffffff);
		assert_int_equal(batch.heat[0].node, 3);
		assert_int_equal(batch.heat[0].reads, UINT32_MAX);
		assert_int_equal(batch.heat[0].writes, 1);
		assert_int_equal(np_source_next(source, &batch, &error), 1);
		assert_int_equal(batch.nr, 0);
		assert_int_equal(np_source_next(source, &batch, &error), 1);
		assert_int_equal(batch.nr, 5000);
		for (size_t k = 0; k < batch.nr; k++)
			assert_int_equal(batch.heat[k].gfn, k);
		assert_int_equal(np_source_next(source, &batch, &error), 0);
		np_source_close(source);
		unlink(path);
	}
	assert_true(st[1].st_size < st[0].st_size / 4);
	rmdir(dir);
}

/* Comments and empty lines count as lines, and as nothing else. */
static void comments_are_skipped(void **state)
{
	struct np_error error;

	(void)state;
	assert_int_equal(read_text(HEAD "# one\n\nvm 0 a\nh 0 5 1 1 0\n# two\nt 1 1\n",
				   &error), 1);
	assert_int_equal(read_text(HEAD, &error), 0);
}

/* Each mistake is named with its line, and what would be right. */
static void mistakes_are_named(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *part;
	} cases[] = {
		{ "", -EINVAL, ":1: no heat trace: those begin with \"disco-heat 1\"" },
		{ "hello\n", -EINVAL, ":1: no heat trace" },
		{ "disco-heat 2\n", -EINVAL, ":1: format of version 2, this program reads version 1" },
		{ "disco-heat 1\npages 4\n", -EINVAL, ":2: here the line \"nodes NUMBER\"" },
		{ "disco-heat 1\nnodes 65\n", -ERANGE, ":2: nodes: a number from 1 to 64" },
		{ "disco-heat 1\nnodes 4\n", -EINVAL, ":3: here the line \"page-size" },
		{ "disco-heat 1\nnodes 4\npage-size 4096\n", -EINVAL, ":4: here the line \"about" },
		{ HEAD "x 1\n", -EINVAL, ":5: a line begins with h, t, vm or #, not with \"x 1\"" },
		{ HEAD "h 0 5 1 1 0\n", -EINVAL, ":5: vm: 0 has no line \"vm 0 NAME\"" },
		{ HEAD "vm 0\n", -EINVAL, ":5: a VM is a number and a name" },
		{ HEAD "vm 0 a\nvm 0 b\n", -EINVAL, ":6: vm 0 a second time" },
		{ HEAD "vm 0 a\nh 0 5 1 1\n", -EINVAL, ":6: heat is five numbers" },
		{ HEAD "vm 0 a\nh 0 5 1 1 0 0\n", -EINVAL, ":6: heat is five numbers" },
		{ HEAD "vm 0 a\nh 0 5 1 -1 0\n", -EINVAL, ":6: heat is five numbers" },
		{ HEAD "vm 0 a\nh 0 5z 1 1 0\n", -EINVAL, ":6: heat is five numbers" },
		{ HEAD "vm 0 a\nh 0 0x0x5 1 1 0\n", -EINVAL, ":6: heat is five numbers" },
		{ HEAD "vm 0 a\nh 0 5 4 1 0\n", -ERANGE, ":6: node: 4 of a machine with nodes 0 to 3" },
		{ HEAD "vm 0 a\nh 0 5 1 0 0\n", -ERANGE, ":6: reads and writes" },
		{ HEAD "vm 0 a\nh 0 5 1 4294967296 0\n", -ERANGE, ":6: reads and writes" },
		{ HEAD "vm 0 a\nh 0 0x10000000000000 1 1 0\n", -ERANGE, ":6: gfn: 0x10000000000000" },
		{ HEAD "t 5\n", -EINVAL, ":5: the end of an interval is two numbers" },
		{ HEAD "t 5 1\nt 5 1\n", -EINVAL, ":6: time: 5 is not after 5" },
		{ HEAD "vm 0 a\nh 0 5 1 1 0\n", -EINVAL, ":7: cut off, an interval" },
		{ HEAD "t 5 1", -EINVAL, ":5: cut off, the last line" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct np_error error = { "" };
		int ret = read_text(cases[i].text, &error);

		assert_has(error.text, cases[i].part);
		assert_int_equal(ret, cases[i].err);
	}
}

/* A line that never ends is no reason to take all memory. */
static void long_lines_are_refused(void **state)
{
	char text[4096] = HEAD;
	struct np_error error;

	(void)state;
	memset(text + strlen(HEAD), '#', sizeof(text) - strlen(HEAD) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(read_text(text, &error), -EINVAL);
	assert_has(error.text, ":5: longer than 1022 characters");
}

/* A compressed trace that was cut is not taken for a short one. */
static void cut_archives_are_noticed(void **state)
{
	char dir[] = "/tmp/numa-policy.XXXXXX", path[64];
	struct np_error error;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/trace.gz", dir);
	write_some(path);
	assert_int_equal(read_all(path, &error), 3);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 12), 0);
	assert_true(read_all(path, &error) < 0);
	assert_int_equal(truncate(path, st.st_size / 2), 0);
	assert_true(read_all(path, &error) < 0);
	unlink(path);
	rmdir(dir);
}

/* Files that cannot be read or written are named. */
static void missing_files_are_named(void **state)
{
	struct np_writer *writer;
	struct np_error error;

	(void)state;
	assert_int_equal(read_all("/none", &error), -ENOENT);
	assert_has(error.text, "/none: No such file");
	assert_int_equal(read_all("/", &error), -EIO);
	assert_has(error.text, "/:1: cannot be read: Is a directory");
	assert_int_equal(np_writer_new("/none/a", 1, 4096, "", &writer, &error),
			 -ENOENT);
	assert_has(error.text, "/none/a: No such file");
	assert_int_equal(np_writer_new("/none/a.gz", 1, 4096, "", &writer,
				       &error), -ENOENT);
	/* A full disk is noticed at the latest when the trace is closed. */
	assert_int_equal(np_writer_new("/dev/full", 1, 4096, "", &writer,
				       &error), 0);
	assert_int_equal(np_writer_close(writer, &error), -ENOSPC);
	assert_has(error.text, "/dev/full: No space left");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(traces_are_read_again),
		cmocka_unit_test(comments_are_skipped),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(long_lines_are_refused),
		cmocka_unit_test(cut_archives_are_noticed),
		cmocka_unit_test(missing_files_are_named),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
