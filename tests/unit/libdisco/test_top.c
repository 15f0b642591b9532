// SPDX-License-Identifier: GPL-2.0-only
/*
 * What discoctl top finds out, and its text, when module, processes and nodes
 * are what a test says. Its screen is for test_screen.py.
 */
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake.h"
#include "top.h"

static struct ctl ctl;
static struct top top;

/* Processors 0 to 3 are on node 0, 4 to 6 and 8 on node 1; node 2 has none. */
static int setup(void **state)
{
	static char proc[256], nodes[256];
	int ret = fake_setup(state);

	ctl = (struct ctl) { .disco = fake.disco };
	top = (struct top) { .sort = top_find_column("machine") };
	fake.pages = 32;
	fake_folder("proc");
	fake_folder("nodes");
	fake_folder("nodes/node0");
	fake_folder("nodes/node1");
	fake_folder("nodes/node2");
	fake_folder("nodes/nodeless");
	fake_file("nodes/node0/cpulist", "0-3\n");
	fake_file("nodes/node1/cpulist", "4-6,8\n");
	fake_file("nodes/node2/cpulist", "\n");
	fake_file("counters/private_to_private_move", "100\n");
	fake_file("counters/shared_to_shared_move", "10\n");
	fake_file("counters/hole_to_private", "5000\n");
	fake_file("mount/ram/a", "");
	snprintf(proc, sizeof(proc), "%s", fake_path("proc"));
	snprintf(nodes, sizeof(nodes), "%s", fake_path("nodes"));
	top_paths = (struct top_paths) { .proc = proc, .nodes = nodes };
	return ret;
}

static int teardown(void **state)
{
	top_free(&top);
	return fake_teardown(state);
}

/* Process @pid has a machine mapped as @perms says. */
static void map(int pid, const char *vm, const char *perms)
{
	char path[64], text[256];
	struct stat st, mount;

	assert_int_equal(stat(fake_path(vm), &st), 0);
	assert_int_equal(stat(fake_path("mount"), &mount), 0);
	snprintf(path, sizeof(path), "proc/%d", pid);
	fake_folder(path);
	snprintf(path, sizeof(path), "proc/%d/task", pid);
	fake_folder(path);
	snprintf(text, sizeof(text),
		 "55d0-55e0 r-xp 00000000 08:01 %ju /bin/sh\n"
		 "7f00-7f10 %s 00000000 %02x:%02x %ju /run/disco/ram/a\n"
		 "7f10-7f20 %s 00010000 %02x:%02x %ju /run/disco/ram/a\n",
		 (uintmax_t)st.st_ino, perms, major(mount.st_dev),
		 minor(mount.st_dev), (uintmax_t)st.st_ino, perms,
		 major(mount.st_dev), minor(mount.st_dev), (uintmax_t)st.st_ino);
	snprintf(path, sizeof(path), "proc/%d/maps", pid);
	fake_file(path, text);
}

/* A thread with a name to stumble over. */
static void run_thread(int pid, int tid, unsigned int start, unsigned int user,
		       unsigned int system, unsigned int cpu)
{
	char path[64], text[256];

	snprintf(path, sizeof(path), "proc/%d/task/%d", pid, tid);
	if (access(fake_path(path), F_OK))
		fake_folder(path);
	snprintf(path, sizeof(path), "proc/%d/task/%d/stat", pid, tid);
	snprintf(text, sizeof(text),
		 "%d (CPU 0) 7 (x) S 1 2 3 4 5 4194304 7 8 9 10 %u %u 13 14 20 0 1 0 %u "
		 "22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 17 %u 0 0 0 0 0\n",
		 tid, user, system, start, cpu);
	fake_file(path, text);
}

static void begin(void)
{
	assert_int_equal(top_init(&top, &ctl), 0);
	assert_int_equal(top_refresh(&top), 0);
}

static void near(double value, double expected)
{
	if (value < expected - 1e-6 || value > expected + 1e-6)
		fail_msg("%f, not %f", value, expected);
}

/* Pages count as local by the time that threads ran beside them. */
static void locality_is_weighed(void **state)
{
	(void)state;
	fake.mixed = 1;
	map(42, "mount/ram/a", "rw-s");
	run_thread(42, 42, 7, 10, 20, 3);
	run_thread(42, 43, 7, 10, 0, 8);
	begin();
	assert_int_equal(top.now.nr, 1);
	assert_int_equal(top.now.vm[0].monitors, 1);
	assert_int_equal(top.now.vm[0].nr_threads, 2);
	/* Half of the pages are on node 0, half on 2, where nobody runs. */
	near(top.now.vm[0].local, 0.5 * 0.75);
	near(top.now.total.local, 0.5 * 0.75);

	/* Only what ran since then counts: one went to node 1. */
	run_thread(42, 42, 7, 20, 20, 4);
	run_thread(42, 43, 7, 100, 0, 8);
	assert_int_equal(top_refresh(&top), 0);
	near(top.now.vm[0].local, 0);
	fake.node = 1;
	run_thread(42, 43, 7, 130, 0, 0);
	run_thread(42, 42, 7, 20, 30, 4);
	assert_int_equal(top_refresh(&top), 0);
	near(top.now.vm[0].local, 0.5 * 0.25);

	/* None ran: all that they ever had. A new thread with an old number. */
	assert_int_equal(top_refresh(&top), 0);
	near(top.now.vm[0].local, 0.5 * 50 / 180);
	run_thread(42, 43, 8, 1, 0, 0);
	run_thread(42, 42, 7, 20, 31, 6);
	assert_int_equal(top_refresh(&top), 0);
	near(top.now.vm[0].local, 0.5 * 0.5);
}

/* Who only reads a machine's memory, or has another, does not run it. */
static void only_monitors_count(void **state)
{
	(void)state;
	fake_file("mount/ram/b", "");
	map(42, "mount/ram/a", "r--s");
	run_thread(42, 42, 7, 10, 20, 0);
	map(43, "mount/ram/b", "rw-s");
	run_thread(43, 43, 7, 10, 20, 0);
	fake_folder("proc/irq");
	fake_folder("proc/44");
	begin();
	assert_int_equal(top.now.vm[0].monitors, 0);
	assert_true(top.now.vm[0].local == TOP_UNKNOWN);
	assert_int_equal(top.now.vm[1].monitors, 1);
	near(top.now.vm[1].local, 1);
	/* The total is that of what is known. */
	fake.mixed = 1;
	assert_int_equal(top_refresh(&top), 0);
	near(top.now.total.local, 0.5);
}

/* Without a process that may be seen, VCPUs tell where they were wanted. */
static void vcpus_stand_in(void **state)
{
	(void)state;
	fake.vcpus = 4;
	begin();
	assert_int_equal(top.now.vm[0].nr_threads, 4);
	near(top.now.vm[0].local, 0.5);
	map(42, "mount/ram/a", "rw-s");
	run_thread(42, 42, 7, 0, 0, 0);
	assert_int_equal(top_refresh(&top), 0);
	assert_int_equal(top.now.vm[0].nr_threads, 1);
	near(top.now.vm[0].local, 1);
}

/* A kernel without nodes has one. */
static void one_node_is_local(void **state)
{
	(void)state;
	top_paths.nodes = "/nowhere";
	map(42, "mount/ram/a", "rw-s");
	run_thread(42, 42, 7, 1, 0, 77);
	begin();
	near(top.now.vm[0].local, 1);
}

/* Moves are what changed; the first time, nothing is known. */
static void moves_are_differences(void **state)
{
	(void)state;
	begin();
	assert_true(top.now.seconds == TOP_UNKNOWN);
	assert_true(top.now.total.moved == TOP_UNKNOWN);
	assert_true(top.now.vm[0].moved == TOP_UNKNOWN);

	fake_file("counters/private_to_private_move", "130\n");
	fake_file("counters/shared_to_shared_move", "13\n");
	fake.node = 1;
	assert_int_equal(top_refresh(&top), 0);
	assert_true(top.now.seconds > 0);
	near(top.now.total.moved, 33);
	near(top.now.vm[0].moved, 32);
	top.now.seconds = 4;
	near(top_per_second(&top, 32), 8);
	assert_true(top_per_second(&top, TOP_UNKNOWN) == TOP_UNKNOWN);

	/* Pages that are dropped are not moved; nor those of a new machine. */
	fake.mixed = 1;
	fake.node = 2;
	assert_int_equal(top_refresh(&top), 0);
	near(top.now.total.moved, 0);
	near(top.now.vm[0].moved, 16);
	fake_file("mount/ram/b", "");
	assert_int_equal(rename(fake_path("mount/ram/b"),
				strcat(strcpy((char[256]) { 0 },
					      fake_path("mount/ram/")), "a")), 0);
	assert_int_equal(top_refresh(&top), 0);
	assert_true(top.now.vm[0].moved == TOP_UNKNOWN);
	/* A module that was loaded anew. */
	fake_file("counters/private_to_private_move", "1\n");
	assert_int_equal(top_refresh(&top), 0);
	assert_true(top.now.total.moved == TOP_UNKNOWN);
	near(top.now.vm[0].moved, 0);
}

/* Of a large machine the same few pages are looked at, and stand for all. */
static void large_machines_are_sampled(void **state)
{
	(void)state;
	fake.pages = 3 * 128 * 512 - 5;
	begin();
	assert_int_equal(top.now.vm[0].looked, 128 * 512);
	assert_true(fake.batches < 1024);
	fake.node = 1;
	assert_int_equal(top_refresh(&top), 0);
	near(top.now.vm[0].moved, 3 * 128 * 512);
	/* One that shrinks while it is looked at. */
	fake.batches = 0;
	fake.shrink_after = 100;
	assert_int_equal(top_refresh(&top), 0);
	assert_int_equal(top.now.vm[0].looked, 128 * 100);
	assert_true(top.now.vm[0].moved == TOP_UNKNOWN);
	assert_int_equal(top_refresh(&top), 0);
	assert_int_equal(top.now.vm[0].looked, 0);
}

static void machines_come_and_go(void **state)
{
	(void)state;
	begin();
	fake_file("mount/ram/b", "");
	assert_int_equal(top_refresh(&top), 0);
	assert_int_equal(top.now.nr, 2);
	near(top.now.vm[0].moved, 0);
	assert_true(top.now.vm[1].moved == TOP_UNKNOWN);
	assert_int_equal(unlink(fake_path("mount/ram/a")), 0);
	assert_int_equal(top_refresh(&top), 0);
	assert_int_equal(top.now.nr, 1);
	assert_string_equal(top.now.vm[0].name, "b");
	near(top.now.vm[0].moved, 0);
	assert_int_equal(unlink(fake_path("mount/ram/b")), 0);
	assert_int_equal(top_refresh(&top), 0);
	assert_int_equal(top.now.nr, 0);
}

static void is_line(char *text, const char *expected)
{
	assert_string_equal(text, expected);
	free(text);
}

/* A table whose columns are columns, whatever the name. */
static void rows_are_a_table(void **state)
{
	struct top_vm vm = {
		.name = (char *)"a",
		.stat = {
			.out_virtual = 256 << 20,
			.out_private = 1023 << 10,
			.out_shared = 0,
			.out_machine = 1048525,
		},
		.saved = 5ULL << 40,
		.moved = 12345,
		.local = 0.7776,
	};

	(void)state;
	top.now.seconds = 2;
	is_line(top_header(8),
		"VM       VIRTUAL PRIVATE  SHARED MACHINE   SAVED  MOVED/S  LOCAL");
	is_line(top_row(&top, &vm, 8),
		"a         256.0M 1023.0K    0.0K    1.0M    5.0T   6172.5  77.8%");
	vm.moved = TOP_UNKNOWN;
	vm.local = TOP_UNKNOWN;
	vm.name = (char *)"f/\033\303\244";
	is_line(top_row(&top, &vm, 8),
		"f/\\x1b\303\244   256.0M 1023.0K    0.0K    1.0M    5.0T        -      -");
	vm.name = (char *)"\346\227\245\346\227\245\346\227\245\346\227\245\346\227\245";
	is_line(top_row(&top, &vm, 8),
		"\346\227\245\346\227\245\346\227\245~   256.0M 1023.0K    0.0K    1.0M    5.0T        -      -");
	assert_int_equal(top_table_width(), 56);
}

static const char *order(void)
{
	static char text[16];
	size_t len = 0;

	top_sort(&top);
	for (size_t i = 0; i < top.now.nr; i++)
		text[len++] = top.now.vm[i].name[0];
	text[len] = '\0';
	return text;
}

/* Largest first, equals by name, and the other way round. */
static void any_column_sorts(void **state)
{
	static const struct {
		const char *column, *order, *reverse;
	} cases[] = {
		{ "name", "abc", "cba" },
		{ "virtual", "bca", "acb" },
		{ "private", "abc", "cba" },
		{ "shared", "cab", "bac" },
		{ "machine", "bac", "cab" },
		{ "saved", "acb", "bca" },
		{ "moved", "cba", "abc" },
		{ "local", "bca", "acb" },
	};
	struct top_vm vms[] = {
		{ .name = (char *)"c", .stat = { .out_virtual = 2, .out_shared = 3 },
		  .saved = 2, .moved = 9, .local = 0.5 },
		{ .name = (char *)"a", .stat = { .out_machine = 5 }, .saved = 3,
		  .moved = TOP_UNKNOWN, .local = TOP_UNKNOWN },
		{ .name = (char *)"b", .stat = { .out_virtual = 3, .out_machine = 8 },
		  .moved = 0, .local = 0.9 },
	};

	(void)state;
	top.now.vm = vms;
	top.now.nr = ARRAY_SIZE(vms);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		top.sort = top_find_column(cases[i].column);
		top.reverse = false;
		assert_string_equal(top_sort_name(&top), cases[i].column);
		assert_string_equal(order(), cases[i].order);
		top.reverse = true;
		assert_string_equal(order(), cases[i].reverse);
	}
	top.now = (struct top_refresh) { 0 };
	assert_true(top_find_column("size") == SIZE_MAX);
	assert_true(top_key_column('l') == top_find_column("local"));
	assert_true(top_key_column('q') == SIZE_MAX);
}

static void summary_tells_the_limit(void **state)
{
	char *text;

	(void)state;
	top.now.used = 3 << 20;
	top.now.limit = 12 << 20;
	top.now.total.saved = 2 << 20;
	top.now.total.stat.out_metadata = 4 << 10;
	is_line(top_summary(&top, 1),
		"Mount 3.0M used of 12.0M (25.0%), sharing saves 2.0M, tables 4.0K");
	top.now.limit = 0;
	is_line(top_summary(&top, 1),
		"Mount 3.0M used, no limit, sharing saves 2.0M, tables 4.0K");
	top.now.seconds = 0.5;
	top.now.total.moved = 7;
	top.now.total.local = 1;
	is_line(top_summary(&top, 2), "Moved 14.0 pages/s, local 100.0%");
	top.now.unreadable = 2;
	text = top_summary(&top, 0);
	assert_non_null(strstr(text, "  0 machines, 2 more that you may not read"));
	free(text);
}

/* What is wrong is an error that says so, at the first refresh or later. */
static void errors_are_told(void **state)
{
	(void)state;
	begin();
	fake.error = EIO;
	assert_int_equal(top_refresh(&top), -EIO);
	assert_non_null(strstr(top.error, "statistics of VM a: "));
	fake.error = 0;
	assert_int_equal(top_refresh(&top), 0);
	fake_file("counters/private_to_private_move", "many\n");
	assert_int_equal(top_refresh(&top), -EIO);
	assert_non_null(strstr(top.error, "counter private_to_private_move"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(locality_is_weighed),
		TEST(only_monitors_count),
		TEST(vcpus_stand_in),
		TEST(one_node_is_local),
		TEST(moves_are_differences),
		TEST(large_machines_are_sampled),
		TEST(machines_come_and_go),
		TEST(rows_are_a_table),
		TEST(any_column_sorts),
		TEST(summary_tells_the_limit),
		TEST(errors_are_told),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("top", tests, NULL, NULL);
}
