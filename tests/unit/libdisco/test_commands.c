// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the commands of discoctl print, and their exit codes, when the module
 * answers predictably: violations above all, which a sound module never has.
 */
#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "discoctl.h"
#include "fake.h"

static char output[65536];

/* Runs a command; what it prints goes to @output. */
static int run_words(struct ctl *ctl, int (*cmd)(struct ctl *, int, char **),
		     int argc, char **argv)
{
	size_t len;
	FILE *file;
	int saved;
	int ret;

	ctl->disco = fake.disco;
	fflush(stdout);
	file = tmpfile();
	assert_non_null(file);
	saved = dup(STDOUT_FILENO);
	assert_true(saved >= 0 && dup2(fileno(file), STDOUT_FILENO) >= 0);
	ret = cmd(ctl, argc, argv);
	fflush(stdout);
	assert_true(dup2(saved, STDOUT_FILENO) >= 0);
	close(saved);
	rewind(file);
	len = fread(output, 1, sizeof(output) - 1, file);
	output[len] = '\0';
	fclose(file);
	return ret;
}

/* The same, of up to three words. */
static int run(struct ctl *ctl, int (*cmd)(struct ctl *, int, char **),
	       const char *first, const char *second, const char *third)
{
	char *argv[] = { (char *)first, (char *)second, (char *)third, NULL };

	return run_words(ctl, cmd, !!first + !!second + !!third, argv);
}

static int setup(void **state)
{
	int ret = fake_setup(state);

	fake.mixed = 1;
	fake.pages = 32;
	fake_file("mount/ram/a", "");
	fake_folder("mount/ram/f");
	fake_file("mount/ram/f/\033b", "");
	return ret;
}

/* A violation gives exit code 1 and all that is known of it. */
static void violation_is_described(void **state)
{
	struct ctl text = { 0 };
	struct ctl json = { .json = true };

	(void)state;
	fake.check = (struct disco_check) {
		.out_violation = DISCO_CHECK_REFS,
		.out_vm_id = 7,
		.out_gfn = 0x12,
		.out_pfn = 0x3456,
		.out_expected = 4,
		.out_found = 3,
		.out_vms = 1,
		.out_pages = 99,
	};
	assert_int_equal(run(&text, cmd_check, NULL, NULL, NULL), EXIT_NO);
	assert_string_equal(output,
			    "VIOLATION (refs): a page has fewer references than users\n"
			    "  VM        7 a\n"
			    "  gfn       0x12\n"
			    "  frame     0x3456\n"
			    "  expected  4\n"
			    "  found     3\n"
			    "Before that: 1 VM and 99 pages walked\n");
	assert_int_equal(run(&json, cmd_check, NULL, NULL, NULL), EXIT_NO);
	assert_string_equal(output,
			    "{\"consistent\":false,\"violation\":{\"kind\":\"refs\",\"code\":4,"
			    "\"text\":\"a page has fewer references than users\",\"vm_id\":7,"
			    "\"vm\":\"a\",\"gfn\":18,\"pfn\":13398,\"expected\":4,\"found\":3},"
			    "\"vms\":1,\"pages\":99,\"totals_checked\":false}\n");

	/* One that a later module knows is no less a violation. */
	fake.check.out_violation = 99;
	fake.check.out_vm_id = 8;
	assert_int_equal(run(&text, cmd_check, NULL, NULL, NULL), EXIT_NO);
	assert_non_null(strstr(output, "VIOLATION (unknown)"));
	assert_non_null(strstr(output, "  VM        8 \n"));
}

/* A check that finds nothing says what it has seen, and what it has not. */
static void consistency_is_told(void **state)
{
	struct ctl text = { 0 };
	struct ctl json = { .json = true };

	(void)state;
	fake.check.out_vms = 2;
	fake.check.out_pages = 10;
	assert_int_equal(run(&text, cmd_check, NULL, NULL, NULL), EXIT_OK);
	assert_string_equal(output,
			    "Consistent: 2 VMs and 10 pages walked; totals not compared, pages came or went meanwhile\n");
	fake.check.out_totals_checked = 1;
	assert_int_equal(run(&text, cmd_check, NULL, NULL, NULL), EXIT_OK);
	assert_string_equal(output, "Consistent: 2 VMs and 10 pages walked\n");
	assert_int_equal(run(&json, cmd_check, NULL, NULL, NULL), EXIT_OK);
	assert_string_equal(output,
			    "{\"consistent\":true,\"violation\":null,\"vms\":2,\"pages\":10,\"totals_checked\":true}\n");
}

/* Columns stay columns, also beside a hostile name; totals are sums. */
static void list_is_a_table(void **state)
{
	struct ctl text = { 0 };
	struct ctl json = { .json = true };

	(void)state;
	fake.pages = 1024;
	assert_int_equal(run(&text, cmd_vm, "list", NULL, NULL), EXIT_OK);
	assert_string_equal(output,
		"VM         ID        VIRTUAL        PRIVATE         SHARED        MACHINE       METADATA\n"
		"a           7       4.00 MiB       1.00 MiB       1.00 MiB       1.20 MiB       0.01 MiB\n"
		"f/\\x1bb     7       4.00 MiB       1.00 MiB       1.00 MiB       1.20 MiB       0.01 MiB\n"
		"TOTAL               8.00 MiB       2.00 MiB       2.00 MiB       2.40 MiB       0.02 MiB\n");
	assert_int_equal(run(&json, cmd_vm, "list", NULL, NULL), EXIT_OK);
	assert_string_equal(output,
		"{\"vms\":[{\"path\":\"a\",\"id\":7,\"virtual\":4194304,\"private\":1048576,"
		"\"shared\":1048576,\"machine\":1258291,\"metadata\":8192,\"replicas\":0},"
		"{\"path\":\"f/\\u001bb\",\"id\":7,\"virtual\":4194304,\"private\":1048576,"
		"\"shared\":1048576,\"machine\":1258291,\"metadata\":8192,\"replicas\":0}],"
		"\"totals\":{\"virtual\":8388608,\"private\":2097152,\"shared\":2097152,"
		"\"machine\":2516582,\"metadata\":16384,\"replicas\":0},\"unreadable\":0}\n");
}

/* One machine: states, nodes and users, each adding up to its pages. */
static void show_adds_up(void **state)
{
	struct ctl text = { 0 };
	struct ctl json = { .json = true };

	(void)state;
	assert_int_equal(run(&text, cmd_vm, "show", "a", NULL), EXIT_OK);
	assert_string_equal(output,
		"VM a, id 7\n\n"
		"  VIRTUAL          0.12 MiB\n"
		"  PRIVATE          0.03 MiB\n"
		"  SHARED           0.03 MiB\n"
		"  MACHINE          0.04 MiB\n"
		"  METADATA         0.00 MiB\n\n"
		"  STATE               PAGES\n"
		"  hole                    8\n"
		"  zero                    8\n"
		"  private                 8\n"
		"  shared                  8\n"
		"  replicated              0\n\n"
		"  NODE                PAGES\n"
		"  0                       8\n"
		"  1                       0\n"
		"  2                       8\n\n"
		"  USERS               PAGES\n"
		"  1                       8\n"
		"  5-8                     8\n");
	assert_int_equal(run(&json, cmd_vm, "show", "a", NULL), EXIT_OK);
	assert_non_null(strstr(output,
		"\"states\":{\"hole\":8,\"zero\":8,\"private\":8,\"shared\":8,\"replicated\":0},"
		"\"nodes\":[{\"node\":0,\"pages\":8},{\"node\":1,\"pages\":0},{\"node\":2,\"pages\":8}],"
		"\"users\":[{\"min\":1,\"max\":1,\"pages\":8},{\"min\":5,\"max\":8,\"pages\":8}]}\n"));
}

/* The VCPUs of all machines are one table. */
static void vcpus_are_listed(void **state)
{
	struct ctl text = { 0 };
	struct ctl json = { .json = true };

	(void)state;
	fake.vcpus = 2;
	assert_int_equal(run(&text, cmd_vcpu, "list", NULL, NULL), EXIT_OK);
	assert_string_equal(output,
		"VCPU NODE  ENTRIES     LIVE           HITS         MISSES     FORWARDS        DROPS    FLUSHES  VM\n"
		"   0    0     2048      512   123456789012              7            6            3          2  a\n"
		"   2    1     2048      512   123456789012              7            6            3          2  a\n"
		"   0    0     2048      512   123456789012              7            6            3          2  f/\\x1bb\n"
		"   2    1     2048      512   123456789012              7            6            3          2  f/\\x1bb\n");
	assert_int_equal(run(&json, cmd_vcpu, "list", "a", NULL), EXIT_OK);
	assert_ptr_equal(strstr(output,
		"{\"vcpus\":[{\"vm\":\"a\",\"vcpu\":0,\"node\":0,\"bytes\":73728,\"bytes_away\":4096,"
		"\"indices\":32,\"entries\":2048,\"live\":512,\"hits\":123456789012,\"misses\":7,"
		"\"forwards\":6,\"inserts\":5,\"evictions\":4,\"drops\":3,\"flushes\":2},"
		"{\"vm\":\"a\",\"vcpu\":2,"), output);
	assert_non_null(strstr(output, "}],\"unreadable\":0}\n"));
	fake.vcpus = 0;
	assert_int_equal(run(&json, cmd_vcpu, "list", NULL, NULL), EXIT_OK);
	assert_string_equal(output, "{\"vcpus\":[],\"unreadable\":0}\n");
}

static void vcpu_is_shown(void **state)
{
	struct ctl text = { 0 };
	struct ctl json = { .json = true };

	(void)state;
	fake.vcpus = 2;
	assert_int_equal(run(&text, cmd_vcpu, "show", "a", "2"), EXIT_OK);
	assert_ptr_equal(strstr(output,
		"VCPU 2 of VM a\n\n"
		"  node                               1\n"
		"  bytes                          73728\n"
		"  on other nodes                  4096\n"), output);
	assert_int_equal(run(&json, cmd_vcpu, "show", "a", "0x2"), EXIT_OK);
	assert_ptr_equal(strstr(output, "{\"vm\":\"a\",\"vcpu\":2,\"node\":1,"),
			 output);
	assert_int_equal(run(&json, cmd_vcpu, "show", "a", "1"), EXIT_ERROR);
	assert_string_equal(output, "{\"error\":\"VM a has no VCPU 1\"}\n");
}

/* All pairs, or those of some sets, with what their bits mean. */
static void vcpu_is_dumped(void **state)
{
	static const struct {
		const char *range;
		const char *text;
	} bad[] = {
		{ "512", "set 512 is past the end of the table, which has 512 sets" },
		{ "5-1000", "set 1000 is past the end" },
		{ "5-3", "\\\"5-3\\\" is not SET or SET-SET" },
		{ "x", "\\\"x\\\" is not SET or SET-SET" },
	};
	char *words[] = { (char *)"dump", (char *)"a", (char *)"0",
			  (char *)"2-3", NULL };
	struct ctl text = { 0 };
	struct ctl json = { .json = true };
	unsigned int lines = 0;

	(void)state;
	fake.vcpus = 1;
	assert_int_equal(run_words(&text, cmd_vcpu, 4, words), EXIT_OK);
	assert_string_equal(output,
		"    SET ADDRESS                PAGE    TAG  EVEN                   ODD\n"
		"      2 0x0000040000000000       4K      9  0x000000020000 vdxr 3  0x000000020000 ---- 0\n"
		"      2 0x0000050000000000   16384K    all  0x000000020000 vdxr 3  0x000000020000 v--- 0\n");
	assert_int_equal(run_words(&json, cmd_vcpu, 4, words), EXIT_OK);
	assert_string_equal(output,
		"{\"vm\":\"a\",\"vcpu\":0,\"sets\":512,\"pairs\":["
		"{\"set\":2,\"va\":4398046511104,\"page_size\":4096,\"tag\":9,\"pages\":["
		"{\"frame\":131072,\"valid\":true,\"dirty\":true,\"no_exec\":true,\"no_read\":true,\"cache\":3},"
		"{\"frame\":131072,\"valid\":false,\"dirty\":false,\"no_exec\":false,\"no_read\":false,\"cache\":0}]},"
		"{\"set\":2,\"va\":5497558138880,\"page_size\":16777216,\"tag\":null,\"pages\":["
		"{\"frame\":131072,\"valid\":true,\"dirty\":true,\"no_exec\":true,\"no_read\":true,\"cache\":3},"
		"{\"frame\":131072,\"valid\":true,\"dirty\":false,\"no_exec\":false,\"no_read\":false,\"cache\":0}]}]}\n");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		words[3] = (char *)bad[i].range;
		assert_int_equal(run_words(&json, cmd_vcpu, 4, words),
				 EXIT_ERROR);
		if (!strstr(output, bad[i].text))
			fail_msg("%s", output);
	}
	assert_int_equal(run(&text, cmd_vcpu, "dump", "a", "0"), EXIT_OK);
	for (char *line = output; (line = strchr(line, '\n')); line++)
		lines++;
	assert_int_equal(lines, 1 + FAKE_SETS);
}

/* Like pages are one line; --all makes one line of each. */
static void pages_are_runs(void **state)
{
	struct ctl text = { 0 };
	struct ctl all = { .all = true };
	struct ctl json = { .json = true };

	(void)state;
	assert_int_equal(run(&text, cmd_page, "a", "6-0xc", NULL), EXIT_OK);
	assert_string_equal(output,
		"GFN                          PAGES STATE       NODE  USERS  FRAME\n"
		"0x6-0x7                          2 zero           -      -  -\n"
		"0x8-0xb                          4 private        0      1  0x3f0-0x3f3\n"
		"0xc                              1 shared         2      5  0x3f4\n");
	assert_int_equal(run(&all, cmd_page, "a", "7-8", NULL), EXIT_OK);
	assert_string_equal(output,
		"GFN                          PAGES STATE       NODE  USERS  FRAME\n"
		"0x7                              1 zero           -      -  -\n"
		"0x8                              1 private        0      1  0x3f0\n");
	assert_int_equal(run(&json, cmd_page, "a", "7-12", NULL), EXIT_OK);
	assert_string_equal(output,
		"{\"vm\":\"a\",\"page_size\":4096,\"runs\":["
		"{\"gfn\":7,\"pages\":1,\"state\":\"zero\",\"node\":null,\"users\":0,\"pfn\":null},"
		"{\"gfn\":8,\"pages\":4,\"state\":\"private\",\"node\":0,\"users\":1,\"pfn\":1008},"
		"{\"gfn\":12,\"pages\":1,\"state\":\"shared\",\"node\":2,\"users\":5,\"pfn\":1012}]}\n");
}

/* What is not there, all of it, is an error and not a shorter answer. */
static void bad_ranges_are_refused(void **state)
{
	static const struct {
		const char *range;
		const char *text;
	} cases[] = {
		{ "30-32", "gfn 0x20 is past the end of VM a, which has 0x20 pages" },
		{ "0xffffffffffffffff", "past the end of VM a" },
		{ "5-3", "gfn range 0x5-0x3 ends before it starts" },
		{ "x", "\\\"x\\\" is not GFN or GFN-GFN" },
	};
	struct ctl json = { .json = true };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(run(&json, cmd_page, "a", cases[i].range, NULL),
				 EXIT_ERROR);
		assert_ptr_equal(strstr(output, "{\"error\":\""), output);
		if (!strstr(output, cases[i].text))
			fail_msg("%s", output);
	}
}

/* A frame's users have names where they can be known. */
static void frame_has_users(void **state)
{
	struct ctl text = { .pfn = "0x55" };
	struct ctl json = { .json = true, .pfn = "85" };

	(void)state;
	fake.users = 2;
	assert_int_equal(run(&text, cmd_page, NULL, NULL, NULL), EXIT_OK);
	assert_string_equal(output,
		"Frame 0x55 on node 3 has 2 users\n\n"
		"   ID GFN           VM\n"
		"    1 0x2           -\n"
		"    2 0x1           -\n");
	assert_int_equal(run(&json, cmd_page, NULL, NULL, NULL), EXIT_OK);
	assert_string_equal(output,
		"{\"pfn\":85,\"node\":3,\"users\":[{\"vm_id\":1,\"vm\":null,\"gfn\":2},"
		"{\"vm_id\":2,\"vm\":null,\"gfn\":1}]}\n");
	fake.users = 0;
	assert_int_equal(run(&json, cmd_page, NULL, NULL, NULL), EXIT_ERROR);
	assert_string_equal(output,
		"{\"error\":\"frame 0x55: holds no page of a VM\"}\n");
}

static void fill_disk(void)
{
	fake.disk = (struct disco_disk_stat) {
		.out_bytes = 8 << 20,
		.out_cached = 2 << 20,
		.out_used = 1 << 20,
		.out_hits = 11,
		.out_misses = 12,
		.out_mapped = 13,
		.out_copied = 14,
		.out_errors = 15,
	};
}

/* Disks are a table; a limit of 0 is none, and the state is a word. */
static void disks_are_a_table(void **state)
{
	struct ctl text = { 0 };
	struct ctl json = { .json = true };

	(void)state;
	assert_int_equal(run(&text, cmd_disk, "list", NULL, NULL), EXIT_OK);
	assert_string_equal(output,
		"DISK            SIZE         CACHED           USED            MAX  STATE\n"
		"TOTAL       0.00 MiB       0.00 MiB       0.00 MiB\n");
	fake_file("mount/disk/debian", "");
	fake_file("mount/disk/\033b", "");
	fill_disk();
	assert_int_equal(run(&text, cmd_disk, "list", NULL, NULL), EXIT_OK);
	assert_string_equal(output,
		"DISK             SIZE         CACHED           USED            MAX  STATE\n"
		"\\x1bb        8.00 MiB       2.00 MiB       1.00 MiB              -  ok\n"
		"debian       8.00 MiB       2.00 MiB       1.00 MiB              -  ok\n"
		"TOTAL       16.00 MiB       4.00 MiB       2.00 MiB\n");
	assert_int_equal(run(&json, cmd_disk, "list", NULL, NULL), EXIT_OK);
	assert_string_equal(output,
		"{\"disks\":["
		"{\"name\":\"\\u001bb\",\"state\":\"ok\",\"size\":8388608,\"cached\":2097152,"
		"\"used\":1048576,\"max\":0,\"hits\":11,\"misses\":12,\"mapped\":13,"
		"\"copied\":14,\"errors\":15},"
		"{\"name\":\"debian\",\"state\":\"ok\",\"size\":8388608,\"cached\":2097152,"
		"\"used\":1048576,\"max\":0,\"hits\":11,\"misses\":12,\"mapped\":13,"
		"\"copied\":14,\"errors\":15}],"
		"\"totals\":{\"size\":16777216,\"cached\":4194304,\"used\":2097152},"
		"\"unreadable\":0}\n");
}

/* A disk whose backing changed says so, in both forms. */
static void changed_disk_is_told(void **state)
{
	struct ctl text = { 0 };
	struct ctl json = { .json = true };

	(void)state;
	fake_file("mount/disk/debian", "");
	fill_disk();
	fake.disk.out_state = DISCO_DISK_CHANGED;
	fake.disk.out_max_bytes = 3 << 20;
	assert_int_equal(run(&text, cmd_disk, "show", "debian", NULL), EXIT_OK);
	assert_string_equal(output,
		"Disk debian, changed\n\n"
		"  SIZE             8.00 MiB\n"
		"  CACHED           2.00 MiB\n"
		"  USED             1.00 MiB\n"
		"  MAX              3.00 MiB\n\n"
		"  HITS                   11\n"
		"  MISSES                 12\n"
		"  MAPPED                 13\n"
		"  COPIED                 14\n"
		"  ERRORS                 15\n");
	assert_int_equal(run(&json, cmd_disk, "show", "debian", NULL), EXIT_OK);
	assert_string_equal(output,
		"{\"name\":\"debian\",\"state\":\"changed\",\"size\":8388608,"
		"\"cached\":2097152,\"used\":1048576,\"max\":3145728,\"hits\":11,"
		"\"misses\":12,\"mapped\":13,\"copied\":14,\"errors\":15}\n");
	/* One that a later module knows is not called ok. */
	fake.disk.out_state = 99;
	assert_int_equal(run(&text, cmd_disk, "list", NULL, NULL), EXIT_OK);
	assert_non_null(strstr(output, "3.00 MiB  unknown\n"));
}

/* What changes something is silent, or tells programs what it did. */
static void disks_come_and_go(void **state)
{
	struct ctl text = { .max = "1m", .mode = "0444" };
	struct ctl json = { .json = true };
	char backing[256];

	(void)state;
	fake_file("backing", "contents");
	snprintf(backing, sizeof(backing), "%s", fake_path("backing"));
	assert_int_equal(run(&text, cmd_disk, "add", "a", backing), EXIT_OK);
	assert_string_equal(output, "");
	assert_int_equal(fake.disk.out_max_bytes, 1 << 20);
	assert_int_equal(run(&json, cmd_disk, "add", "b", backing), EXIT_OK);
	assert_string_equal(output, "{\"added\":\"b\"}\n");
	assert_int_equal(fake.disk.out_max_bytes, 0);
	assert_int_equal(run(&json, cmd_disk, "add", "b", backing), EXIT_ERROR);
	assert_non_null(strstr(output, "there is a disk b in "));

	assert_int_equal(run(&text, cmd_disk, "drop-cache", "a", NULL), EXIT_OK);
	assert_string_equal(output, "");
	assert_int_equal(run(&json, cmd_disk, "drop-cache", "a", NULL), EXIT_OK);
	assert_string_equal(output, "{\"dropped\":\"a\"}\n");
	assert_int_equal(fake.drops, 2);

	assert_int_equal(run(&text, cmd_disk, "remove", "a", NULL), EXIT_OK);
	assert_string_equal(output, "");
	assert_int_equal(run(&json, cmd_disk, "remove", "b", NULL), EXIT_OK);
	assert_string_equal(output, "{\"removed\":\"b\"}\n");
	assert_int_equal(run(&json, cmd_disk, "remove", "b", NULL), EXIT_ERROR);
	assert_non_null(strstr(output, "{\"error\":\"no disk b in "));
}

/* What merges did is added up; the fake module merges every fourth pair. */
static void merges_are_added_up(void **state)
{
	struct ctl text = { .same_gfn_only = true };
	struct ctl json = { .json = true };
	struct ctl all = { .json = true, .same_gfn_only = true, .all = true };
	char *numbers;

	(void)state;
	/* Files with data, for pages that are holes are not asked about. */
	fake_file("mount/ram/a", "x");
	fake_file("mount/ram/b", "x");
	assert_int_equal(run(&text, cmd_merge, "a", "b", NULL), EXIT_OK);
	numbers = strstr(output, " s.\n");
	assert_non_null(numbers);
	assert_ptr_equal(strstr(output,
		"PAGES      COMPARED     MERGED      ZEROS       SAME  DIFFERENT     PINNED       FULL          FREED\n"
		"same gfn         32          8          8          0          8          8          0       0.03 MiB\n"
		"TOTAL            32          8          8          0          8          8          0       0.03 MiB\n"
		"2 machines in "), output);
	assert_int_equal(fake.merges, 1);

	/* All pages of the fake have one content, and the first takes them all. */
	assert_int_equal(run(&json, cmd_merge, "b", "a", NULL), EXIT_OK);
	assert_non_null(strstr(output,
		"{\"machines\":2,\"take_no_part\":0,\"unwritable\":0,"
		"\"same_gfn\":{\"compared\":32,\"merged\":8,\"zeros\":8,\"same\":0,"
		"\"different\":8,\"pinned\":8,\"full\":0,\"freed\":32768},"
		"\"contents\":{\"compared\":"));

	assert_int_equal(run(&all, cmd_merge, NULL, NULL, NULL), EXIT_OK);
	assert_non_null(strstr(output, "{\"machines\":3,"));
	assert_non_null(strstr(output, "\"contents\":null,"));
	assert_int_equal(run(&json, cmd_merge, "a", "a", NULL), EXIT_ERROR);
	assert_string_equal(output, "{\"error\":\"VM a is named twice\"}\n");
	assert_int_equal(run(&json, cmd_merge, "a", "none", NULL), EXIT_ERROR);
	assert_non_null(strstr(output, "no VM none in "));
	fake.error = ENOTTY;
	assert_int_equal(run(&json, cmd_merge, "a", "b", NULL), EXIT_ERROR);
}

/* Every page is in one column, that of its node. */
static void memory_is_a_matrix(void **state)
{
	struct ctl text = { 0 };
	struct ctl json = { .json = true };

	(void)state;
	fake_file("mount/ram/long-name", "");
	assert_int_equal(run(&text, cmd_numa, "a", "long-name", NULL), EXIT_OK);
	assert_string_equal(output,
		"VM                NODE 0         NODE 1         NODE 2\n"
		"a               0.03 MiB       0.00 MiB       0.03 MiB\n"
		"long-name       0.03 MiB       0.00 MiB       0.03 MiB\n"
		"TOTAL           0.06 MiB       0.00 MiB       0.06 MiB\n");
	assert_int_equal(run(&json, cmd_numa, "a", NULL, NULL), EXIT_OK);
	assert_string_equal(output,
		"{\"vms\":[{\"path\":\"a\",\"nodes\":["
		"{\"node\":0,\"private\":32768,\"shared\":0,\"masters\":0,\"replicas\":0},"
		"{\"node\":1,\"private\":0,\"shared\":0,\"masters\":0,\"replicas\":0},"
		"{\"node\":2,\"private\":0,\"shared\":32768,\"masters\":0,\"replicas\":0}]}],"
		"\"totals\":[{\"node\":0,\"private\":32768,\"shared\":0,\"masters\":0,\"replicas\":0},"
		"{\"node\":1,\"private\":0,\"shared\":0,\"masters\":0,\"replicas\":0},"
		"{\"node\":2,\"private\":0,\"shared\":32768,\"masters\":0,\"replicas\":0}],"
		"\"unreadable\":0}\n");
	assert_int_equal(run(&json, cmd_numa, NULL, NULL, NULL), EXIT_OK);
	assert_non_null(strstr(output, "{\"path\":\"long-name\","));
	assert_int_equal(run(&json, cmd_numa, "none", NULL, NULL), EXIT_ERROR);
	assert_non_null(strstr(output, "no VM none in "));
	fake.error = EACCES;
	assert_int_equal(run(&json, cmd_numa, "a", NULL, NULL), EXIT_ERROR);
}

/* Masters are where their pages are, and replicas are counted besides. */
static void replicas_are_shown(void **state)
{
	struct ctl text = { 0 };
	struct ctl json = { .json = true };

	(void)state;
	fake.replicated = 1;
	assert_int_equal(run(&text, cmd_numa, "a", NULL, NULL), EXIT_OK);
	assert_string_equal(output,
		"VM               NODE 0         NODE 1         NODE 2         NODE 3\n"
		"a              0.03 MiB       0.00 MiB       0.03 MiB       0.01 MiB\n"
		"TOTAL          0.03 MiB       0.00 MiB       0.03 MiB       0.01 MiB\n"
		"MASTERS        0.00 MiB       0.00 MiB       0.01 MiB       0.00 MiB\n"
		"REPLICAS       0.00 MiB       0.00 MiB       0.00 MiB       0.01 MiB\n");
	assert_int_equal(run(&json, cmd_numa, "a", NULL, NULL), EXIT_OK);
	assert_non_null(strstr(output,
		"{\"node\":2,\"private\":0,\"shared\":32768,\"masters\":8192,\"replicas\":0},"
		"{\"node\":3,\"private\":0,\"shared\":0,\"masters\":0,\"replicas\":8192}]}]"));
	assert_int_equal(run(&text, cmd_vm, "show", "a", NULL), EXIT_OK);
	assert_non_null(strstr(output, "  REPLICAS         0.00 MiB\n"));
	assert_non_null(strstr(output, "  replicated              2\n"));
	assert_int_equal(run(&json, cmd_vm, "show", "a", NULL), EXIT_OK);
	assert_non_null(strstr(output, "\"replicas\":4096,"));
	assert_int_equal(run(&text, cmd_page, "a", "12-13", NULL), EXIT_OK);
	assert_non_null(strstr(output, " 1 replicated     2      5  0x3f4\n"));
}

/* What became of pages is counted; what cannot be done is an error. */
static void moves_are_counted(void **state)
{
	struct ctl text = { 0 };
	struct ctl json = { .json = true };
	static const struct {
		const char *node, *range, *error;
	} bad[] = {
		{ "x", NULL, "is no number of a node" },
		{ "-1", NULL, "is no number of a node" },
		{ "4294967296", NULL, "is no number of a node" },
		{ "9", NULL, "there is no node 9, or it has no memory" },
		{ "4", NULL, "your cpuset does not have node 4" },
		{ "1", "3-", "is not GFN or GFN-GFN" },
		{ "1", "3-1", "ends before it starts" },
		{ "1", "0-32", "gfn 0x20 is past the end of VM a" },
	};

	(void)state;
	assert_int_equal(run(&text, cmd_move, "a", "2", "0-9"), EXIT_OK);
	assert_string_equal(output,
		"10 pages of VM a, to node 2\n"
		"  moved               2\n"
		"  there               2\n"
		"  hole                2\n"
		"  pinned              1\n"
		"  full                1\n"
		"  limit               1\n"
		"  denied              1\n");
	assert_int_equal(run(&text, cmd_move, "a", "0", "1"), EXIT_OK);
	assert_string_equal(output,
		"1 pages of VM a, to node 0\n"
		"  moved               0\n"
		"  there               1\n");
	assert_int_equal(fake.moves, 2);
	assert_int_equal(run(&json, cmd_move, "a", "3", NULL), EXIT_OK);
	assert_string_equal(output,
		"{\"vm\":\"a\",\"node\":3,\"pages\":32,\"moved\":5,\"there\":5,"
		"\"hole\":5,\"pinned\":5,\"full\":4,\"limit\":4,\"denied\":4}\n");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(run(&json, cmd_move, "a", bad[i].node,
				     bad[i].range), EXIT_ERROR);
		if (!strstr(output, bad[i].error))
			fail_msg("%s: %s", bad[i].error, output);
	}
	/* An empty machine, and one that is not there. */
	fake.pages = 0;
	assert_int_equal(run(&json, cmd_move, "a", "1", NULL), EXIT_OK);
	assert_non_null(strstr(output, "\"pages\":0,\"moved\":0,"));
	assert_int_equal(run(&json, cmd_move, "none", "1", NULL), EXIT_ERROR);
	fake.error = ENOTTY;
	assert_int_equal(run(&json, cmd_move, "a", "1", NULL), EXIT_ERROR);
}

static void copies_are_counted(void **state)
{
	struct ctl text = { 0 };
	struct ctl json = { .json = true };

	(void)state;
	assert_int_equal(run(&text, cmd_replicate, "a", "2", "0-9"), EXIT_OK);
	assert_int_equal(fake.operation, DISCO_MOVE_REPLICATE);
	assert_string_equal(output,
		"10 pages of VM a, copies to node 2\n"
		"  copied              2\n"
		"  there               2\n"
		"  none                2\n"
		"  pinned              1\n"
		"  full                1\n"
		"  limit               1\n"
		"  denied              1\n");
	assert_int_equal(run(&json, cmd_replicate, "a", "all", NULL),
			 EXIT_ERROR);
	assert_non_null(strstr(output, "is no number of a node, such as 1\""));
	assert_int_equal(run(&json, cmd_replicate, "a", "65535", NULL),
			 EXIT_ERROR);
	assert_int_equal(run(&text, cmd_collapse, "a", "all", "0-2"), EXIT_OK);
	assert_int_equal(fake.operation, DISCO_MOVE_COLLAPSE);
	assert_string_equal(output,
		"3 pages of VM a, copies on all nodes\n"
		"  dropped             2\n"
		"  none                1\n");
	assert_int_equal(run(&json, cmd_collapse, "a", "3", NULL), EXIT_OK);
	assert_string_equal(output,
		"{\"vm\":\"a\",\"node\":3,\"pages\":32,\"dropped\":16,"
		"\"none\":16,\"denied\":0}\n");
	assert_int_equal(run(&json, cmd_collapse, "a", "all", NULL), EXIT_OK);
	assert_non_null(strstr(output, "\"node\":null,"));
	assert_int_equal(run(&json, cmd_collapse, "a", "any", NULL),
			 EXIT_ERROR);
	assert_non_null(strstr(output, "such as 1, nor all"));
	/* The number that stands for all is nobody's node. */
	assert_int_equal(run(&json, cmd_collapse, "a", "65535", NULL),
			 EXIT_ERROR);
}

/* What nodes did is listed, and taken; the sampler takes a part of a CPU. */
static void heat_is_listed(void **state)
{
	struct ctl text = { 0 };
	struct ctl json = { .json = true };
	static const struct {
		const char *percent;
		uint32_t ppm;
	} good[] = {
		{ "1", 10000 },	{ "0.25", 2500 },	{ "100%", 1000000 },
		{ "0.0001", 1 }, { "99.9999", 999999 },	{ "0", 0 },
		{ "2.50%", 25000 },
	};
	static const char * const bad[] = {
		"", "x", "-1", ".5", "1.", "1.00000", "100.0001", "101", "1 ",
		"1%%", "1.2.3", "99999999999999999999", "%",
	};

	(void)state;
	fake.pages = 6;
	assert_int_equal(run(&json, cmd_heat, "list", "a", NULL), EXIT_OK);
	assert_string_equal(output,
		"{\"vm\":\"a\",\"counters\":["
		"{\"gfn\":2,\"node\":0,\"reads\":1,\"writes\":0},"
		"{\"gfn\":2,\"node\":1,\"reads\":0,\"writes\":1},"
		"{\"gfn\":4,\"node\":0,\"reads\":2,\"writes\":0},"
		"{\"gfn\":4,\"node\":1,\"reads\":0,\"writes\":2}]}\n");
	assert_int_equal(run(&text, cmd_heat, "drain", "a", NULL), EXIT_OK);
	assert_string_equal(output,
		"GFN            NODE      READS     WRITES\n"
		"0x2               0          1          0\n"
		"0x2               1          0          1\n"
		"0x4               0          2          0\n"
		"0x4               1          0          2\n");
	assert_int_equal(run(&json, cmd_heat, "drain", "a", NULL), EXIT_OK);
	assert_string_equal(output, "{\"vm\":\"a\",\"counters\":[]}\n");

	fake.heat.out_max_counters = 99;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(run(&text, cmd_heat, "sample", "a",
				     good[i].percent), EXIT_OK);
		assert_int_equal(fake.heat.out_budget, good[i].ppm);
		assert_int_equal(fake.heat.out_max_counters, 99);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(run(&json, cmd_heat, "sample", "a", bad[i]),
				 EXIT_ERROR);
		assert_non_null(strstr(output, "no part of a CPU in percent"));
	}
	fake.heat.out_counters = 7;
	fake.heat.out_budget = 2500;
	fake.heat.out_time_ns = 20000000000;
	fake.heat.out_cost_ns = 25000000;
	fake.heat.out_pages = 3;
	fake.heat.out_faults = 2;
	assert_int_equal(run(&text, cmd_heat, "show", "a", NULL), EXIT_OK);
	assert_string_equal(output,
		"counters  7 of 99\n"
		"sampler   may take 0.25% of a CPU, has taken 0.125% in 20.0 s\n"
		"pages     3 unmapped\nfaults    2\n");
	assert_int_equal(run(&json, cmd_heat, "show", "a", NULL), EXIT_OK);
	assert_string_equal(output,
		"{\"vm\":\"a\",\"counters\":7,\"max_counters\":99,"
		"\"budget_ppm\":2500,\"time_ns\":20000000000,"
		"\"cost_ns\":25000000,\"pages\":3,\"faults\":2}\n");
	fake.heat.out_budget = 0;
	assert_int_equal(run(&text, cmd_heat, "show", "a", NULL), EXIT_OK);
	assert_string_equal(output, "counters  7 of 99\nsampler   off\n");
	assert_int_equal(run(&json, cmd_heat, "drain", NULL, NULL), EXIT_ERROR);
	assert_int_equal(run(&json, cmd_heat, "sample", "a", NULL), EXIT_ERROR);
	assert_int_equal(run(&json, cmd_heat, "list", "none", NULL), EXIT_ERROR);
	fake.error = ENOTTY;
	assert_int_equal(run(&json, cmd_heat, "show", "a", NULL), EXIT_ERROR);
	assert_int_equal(run(&json, cmd_heat, "list", "a", NULL), EXIT_ERROR);
	assert_int_equal(run(&json, cmd_heat, "sample", "a", "1"), EXIT_ERROR);
}

/* Counters are grouped by what their names tell; new ones show up. */
static void counters_are_grouped(void **state)
{
	struct ctl text = { 0 };

	(void)state;
	fake_file("counters/vms", "2\n");
	fake_file("counters/refused_limit", "3\n");
	fake_file("counters/hole_to_private", "4\n");
	assert_int_equal(run(&text, cmd_stat, NULL, NULL, NULL), EXIT_OK);
	assert_ptr_equal(strstr(output,
		"Page-state transitions\n"
		"  hole_to_private                                 4\n"
		"\nRefusals\n"
		"  refused_limit                                   3\n"
		"\nNow\n"
		"  vms                                             2\n"
		"\nMount "), output);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		TEST(violation_is_described),
		TEST(consistency_is_told),
		TEST(list_is_a_table),
		TEST(show_adds_up),
		TEST(vcpus_are_listed),
		TEST(vcpu_is_shown),
		TEST(vcpu_is_dumped),
		TEST(pages_are_runs),
		TEST(bad_ranges_are_refused),
		TEST(frame_has_users),
		TEST(disks_are_a_table),
		TEST(changed_disk_is_told),
		TEST(disks_come_and_go),
		TEST(merges_are_added_up),
		TEST(memory_is_a_matrix),
		TEST(replicas_are_shown),
		TEST(moves_are_counted),
		TEST(copies_are_counted),
		TEST(heat_is_listed),
		TEST(counters_are_grouped),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("commands", tests, NULL, NULL);
}
