// SPDX-License-Identifier: GPL-2.0-only
/*
 * libdisco against a module that answers predictably.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake.h"
#include "private.h"

static void assert_error_has(const char *text)
{
	if (!strstr(disco_error(fake.disco), text))
		fail_msg("\"%s\" is not in \"%s\"", text,
			 disco_error(fake.disco));
}

static int stat_of(const char *path, struct stat *st)
{
	return stat(fake_path(path), st);
}

/* Which mount is taken, by what /proc/self/mounts says. */
static void mount_is_found(void **state)
{
	static const struct {
		const char *table;
		const char *expected;
	} cases[] = {
		{ "none /a disco rw 0 0\nnone /run/disco disco rw 0 0\n",
		  "/run/disco" },
		{ "none /b tmpfs rw 0 0\nnone /a disco rw 0 0\nnone /c disco rw 0 0\n",
		  "/a" },
		{ "none /run/disco disco rw 0 0\nnone /run/disco tmpfs rw 0 0\n",
		  NULL },
		{ "none /run/disco tmpfs rw 0 0\nnone /run/disco disco rw 0 0\n",
		  "/run/disco" },
		{ "none /a\\040b disco rw 0 0\n", "/a b" },
		{ "none /run/disco tmpfs rw 0 0\n", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *path = "untouched";

		fake_file("mounts", cases[i].table);
		if (cases[i].expected) {
			assert_int_equal(disco_mount(fake.disco, &path), 0);
			assert_string_equal(path, cases[i].expected);
		} else {
			assert_int_equal(disco_mount(fake.disco, &path), -ENODEV);
			assert_string_equal(path, "untouched");
			assert_error_has("mount -t disco none /run/disco");
		}
		free(fake.disco->mount);
		fake.disco->mount = NULL;
	}
}

/* A chosen mount must be one; a final slash does no harm. */
static void chosen_mount_is_checked(void **state)
{
	char path[320];
	const char *found;

	(void)state;
	snprintf(path, sizeof(path), "%s/", fake_path("mount"));
	assert_int_equal(disco_set_mount(fake.disco, path), 0);
	assert_int_equal(disco_mount(fake.disco, &found), 0);
	assert_string_equal(found, fake_path("mount"));

	assert_int_equal(disco_set_mount(fake.disco, "/tmp"), 0);
	assert_int_equal(disco_mount(fake.disco, &found), -ENODEV);
	assert_error_has("/tmp: no disco file system");

	assert_int_equal(disco_set_mount(fake.disco, "/nowhere"), 0);
	assert_int_equal(disco_mount(fake.disco, &found), -ENOENT);
	assert_error_has("/nowhere: No such file");
}

/* Without a module the text says what to look at. */
static void missing_module_is_explained(void **state)
{
	struct disco_query query = { .size = sizeof(query) };
	struct disco_counter *counters;
	size_t nr;

	(void)state;
	disco_set_device(fake.disco, "/dev/none-of-this-name");
	assert_int_equal(disco_query(fake.disco, &query), -ENOENT);
	assert_error_has("/dev/none-of-this-name");
	assert_error_has("is the disco module loaded?");

	fake.disco->counters_dir = "/sys/none-of-this-name";
	assert_int_equal(disco_counters(fake.disco, &counters, &nr), -ENOENT);
	assert_error_has("is the disco module loaded?");
}

/* Each errno of the header becomes words, with what was asked. */
static void refusals_are_explained(void **state)
{
	static const struct {
		int err;
		const char *text;
	} cases[] = {
		{ ENOTTY, "does not know this request" },
		{ EPERM, "CAP_SYS_ADMIN" },
		{ E2BIG, "too old" },
		{ EOPNOTSUPP, "does not know this flag" },
		{ EMEDIUMTYPE, "not a file of a disco file system" },
		{ EINVAL, "Invalid argument" },
		{ ENOMEM, "Cannot allocate memory" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct disco_check check = { .size = sizeof(check) };

		fake.error = cases[i].err;
		assert_int_equal(disco_check(fake.disco, &check),
				 -cases[i].err);
		assert_error_has("check of /tmp/libdisco.");
		assert_error_has(cases[i].text);
	}
}

/* The answers of the module arrive in the caller's structure. */
static void answers_arrive(void **state)
{
	struct disco_query query = { .size = sizeof(query) };
	struct disco_check check = { .size = sizeof(check) };

	(void)state;
	assert_int_equal(disco_query(fake.disco, &query), 0);
	assert_int_equal(query.out_page_size, 4096);
	fake.check.out_vms = 5;
	assert_int_equal(disco_check(fake.disco, &check), 0);
	assert_int_equal(check.out_vms, 5);
}

/* VMs are found in folders, too, and come by alphabet. */
static void names_are_sorted_paths(void **state)
{
	static const char * const expected[] = {
		"a", "b/c/d", "b/x y", "z\n"
	};
	size_t nr, unreadable = 9;
	char **names;

	(void)state;
	assert_int_equal(disco_vm_names(fake.disco, &names, &nr, NULL), 0);
	assert_int_equal(nr, 0);
	disco_vm_names_free(names, nr);

	fake_folder("mount/ram/b");
	fake_folder("mount/ram/b/c");
	fake_folder("mount/ram/empty");
	fake_file("mount/ram/z\n", "");
	fake_file("mount/ram/b/x y", "");
	fake_file("mount/ram/b/c/d", "");
	fake_file("mount/ram/a", "");
	assert_int_equal(disco_vm_names(fake.disco, &names, &nr, &unreadable), 0);
	assert_int_equal(nr, ARRAY_SIZE(expected));
	for (size_t i = 0; i < nr; i++)
		assert_string_equal(names[i], expected[i]);
	assert_int_equal(unreadable, 0);
	disco_vm_names_free(names, nr);
}

/* A user sees what he may see, and how much he may not. */
static void closed_folders_are_counted(void **state)
{
	struct disco_vm *vm = NULL;
	size_t nr, unreadable;
	char **names;

	(void)state;
	fake_file("mount/ram/a", "");
	assert_int_equal(chmod(fake_path("mount/ram/a"), 0), 0);
	fake_folder("mount/ram/b");
	fake_file("mount/ram/b/c", "");
	assert_int_equal(chmod(fake_path("mount/ram/b"), 0), 0);
	if (!geteuid())
		assert_int_equal(seteuid(65534), 0);

	assert_int_equal(disco_vm_names(fake.disco, &names, &nr, &unreadable), 0);
	assert_int_equal(nr, 1);
	assert_int_equal(unreadable, 1);
	disco_vm_names_free(names, nr);
	assert_int_equal(disco_vm_open(fake.disco, "a", &vm), -EACCES);
	assert_null(vm);
	assert_error_has("cannot open VM a");
	assert_error_has("Permission denied");

	assert_int_equal(seteuid(getuid()), 0);
	assert_int_equal(chmod(fake_path("mount/ram/b"), 0755), 0);
}

/* A VM can be named as in the list, or by the path of its file. */
static void vm_opens_by_either_name(void **state)
{
	static const char * const names[] = { "f/a", "/f/a", "//f/a" };
	struct disco_vm_stat stat = { .size = sizeof(stat) };
	struct disco_vm *vm;

	(void)state;
	fake_folder("mount/ram/f");
	fake_file("mount/ram/f/a", "");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[320];

		snprintf(path, sizeof(path), "%s%s",
			 i ? fake_path("mount/ram") : "", names[i]);
		assert_int_equal(disco_vm_open(fake.disco, path, &vm), 0);
		assert_string_equal(disco_vm_name(vm), "f/a");
		assert_true(disco_vm_fd(vm) >= 0);
		disco_vm_close(vm);
	}

	assert_int_equal(disco_vm_open(fake.disco, "f/a", &vm), 0);
	fake.pages = 3;
	assert_int_equal(disco_vm_stat(vm, &stat), 0);
	assert_int_equal(stat.out_id, 7);
	assert_int_equal(stat.out_virtual, 3 * 4096);
	stat.flags = 1U << 31;
	assert_int_equal(disco_vm_stat(vm, &stat), -EOPNOTSUPP);
	assert_error_has("statistics of VM f/a");
	disco_vm_close(vm);
}

/* What is no VM is refused, with the reason. */
static void no_vm_is_refused(void **state)
{
	static const struct {
		const char *name;
		int err;
		const char *text;
	} cases[] = {
		{ "nobody", -ENOENT, "no VM nobody in /tmp/libdisco." },
		{ "", -EINVAL, "\"\" names no file below" },
		{ "/", -EINVAL, "names no file below" },
		{ "/etc/passwd", -EINVAL, "\"/etc/passwd\" names no file below" },
		{ "folder", -EISDIR, "is a folder, not a VM" },
		{ "a/b", -ENOTDIR, "cannot open VM a/b" },
		{ "link", -ELOOP, "cannot open VM link" },
	};
	struct disco_vm *vm = NULL;

	(void)state;
	fake_folder("mount/ram/folder");
	fake_file("mount/ram/a", "");
	assert_int_equal(symlink("a", fake_path("mount/ram/link")), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(disco_vm_open(fake.disco, cases[i].name, &vm),
				 cases[i].err);
		assert_null(vm);
		assert_error_has(cases[i].text);
	}
}

static struct disco_vm *open_vm(void)
{
	struct disco_vm *vm;

	fake_file("mount/ram/a", "");
	assert_int_equal(disco_vm_open(fake.disco, "a", &vm), 0);
	return vm;
}

/* Every page comes once and in order, whatever the sizes of the batches. */
static void pmap_walk_is_complete(void **state)
{
	static const struct {
		uint64_t pages, first, last, expected;
	} cases[] = {
		{ 0, 0, UINT64_MAX, 0 },
		{ 1, 0, UINT64_MAX, 1 },
		{ 1023, 0, UINT64_MAX, 1023 },
		{ 1024, 0, UINT64_MAX, 1024 },
		{ 1025, 0, UINT64_MAX, 1025 },
		{ 5000, 0, UINT64_MAX, 5000 },
		{ 5000, 10, 10, 1 },
		{ 5000, 10, 1033, 1024 },
		{ 5000, 10, 1034, 1025 },
		{ 5000, 4999, 9999, 1 },
		{ 5000, 3000, UINT64_MAX, 2000 },
	};
	struct disco_vm *vm = open_vm();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t gfn = cases[i].first;
		struct disco_pmap_batch batch;
		struct disco_pmap_iter *iter;
		int ret;

		fake.pages = cases[i].pages;
		assert_int_equal(disco_pmap_new(vm, cases[i].first,
						cases[i].last, &iter), 0);
		while ((ret = disco_pmap_next(iter, &batch)) > 0) {
			assert_int_equal(batch.gfn, gfn);
			assert_true(batch.nr > 0);
			for (size_t j = 0; j < batch.nr; j++)
				assert_int_equal(batch.entries[j].pfn,
						 1000 + gfn + j);
			gfn += batch.nr;
		}
		assert_int_equal(ret, 0);
		assert_int_equal(disco_pmap_next(iter, &batch), 0);
		assert_int_equal(gfn - cases[i].first, cases[i].expected);
		disco_pmap_free(iter);
	}
	disco_vm_close(vm);
}

/* A VM that shrinks meanwhile ends the walk; a start past the end is an error. */
static void pmap_walk_meets_the_end(void **state)
{
	struct disco_vm *vm = open_vm();
	struct disco_pmap_batch batch;
	struct disco_pmap_iter *iter;

	(void)state;
	fake.pages = 5000;
	fake.shrink_after = 2;
	assert_int_equal(disco_pmap_new(vm, 0, UINT64_MAX, &iter), 0);
	assert_int_equal(disco_pmap_next(iter, &batch), 1);
	assert_int_equal(disco_pmap_next(iter, &batch), 1);
	assert_int_equal(disco_pmap_next(iter, &batch), 0);
	disco_pmap_free(iter);

	fake.pages = 16;
	fake.shrink_after = 0;
	assert_int_equal(disco_pmap_new(vm, 16, 20, &iter), 0);
	assert_int_equal(disco_pmap_next(iter, &batch), -ENXIO);
	assert_error_has("gfn 0x10 is past the end of VM a");
	disco_pmap_free(iter);

	assert_int_equal(disco_pmap_new(vm, UINT64_MAX - 1, UINT64_MAX, &iter), 0);
	assert_int_equal(disco_pmap_next(iter, &batch), -EOVERFLOW);
	disco_pmap_free(iter);

	assert_int_equal(disco_pmap_new(vm, 5, 3, &iter), -EINVAL);
	assert_error_has("0x5-0x3 ends before it starts");
	disco_vm_close(vm);
}

/* The list of users is complete and in order, also if it grows meanwhile. */
static void memmap_lists_all_users(void **state)
{
	for (unsigned int growing = 0; growing < 4; growing++) {
		struct disco_memmap_user *users;
		unsigned int node;
		size_t nr;

		fake.users = 3;
		fake.growing = growing;
		assert_int_equal(disco_memmap(fake.disco, 0x55, &users, &nr,
					      &node), 0);
		assert_true(nr >= 3);
		assert_int_equal(node, 3);
		for (size_t i = 1; i < nr; i++)
			assert_true(users[i - 1].vm_id < users[i].vm_id ||
				    (users[i - 1].vm_id == users[i].vm_id &&
				     users[i - 1].gfn < users[i].gfn));
		free(users);
	}
	(void)state;
}

/* A frame without users, or without memory, is an error that leaves no trace. */
static void memmap_of_no_frame_fails(void **state)
{
	struct disco_memmap_user *users = NULL;
	unsigned int node = 9;
	size_t nr = 9;

	(void)state;
	assert_int_equal(disco_memmap(fake.disco, 0x55, &users, &nr, &node),
			 -ENOENT);
	assert_error_has("frame 0x55: holds no page of a VM");
	fake.error = ENXIO;
	assert_int_equal(disco_memmap(fake.disco, 0x55, &users, &nr, &node),
			 -ENXIO);
	assert_error_has("frame 0x55: no such memory");
	fake.error = EPERM;
	assert_int_equal(disco_memmap(fake.disco, 0x55, &users, &nr, &node),
			 -EPERM);
	assert_error_has("CAP_SYS_ADMIN");
	assert_null(users);
	assert_int_equal(nr, 9);
	assert_int_equal(node, 9);
}

/* Who moves pages opens the machine for writing. */
static void pages_are_moved(void **state)
{
	struct disco_move_entry entries[4] = { { 0, 1, 7 }, { 1, 1, 7 },
					       { 9, 1, 7 }, { 0, 9, 7 } };
	struct disco_move move = {
		.size = sizeof(move), .operation = DISCO_MOVE_MIGRATE,
		.entries = (uintptr_t)entries, .nr = 4,
	};
	struct disco_vm *readable = open_vm(), *vm;

	(void)state;
	fake.pages = 6;
	assert_int_equal(disco_vm_open_writable(fake.disco, "a", &vm), 0);
	assert_int_equal(disco_move(vm, &move), 0);
	assert_int_equal(move.vm_fd, disco_vm_fd(vm));
	assert_int_equal(move.out_nr, 4);
	assert_int_equal(move.out_moved, 1);
	assert_int_equal(entries[0].out_result, 0);
	assert_int_equal(entries[1].out_result, -EEXIST);
	assert_int_equal(entries[2].out_result, -ENXIO);
	assert_int_equal(entries[3].out_result, -EINVAL);
	assert_int_equal(disco_move(readable, &move), -EBADF);
	assert_error_has("move of pages of VM a");
	disco_vm_close(readable);
	disco_vm_close(vm);
}

/* Only the sampler can be looked at by who may not write. */
static void heat_comes_and_goes(void **state)
{
	struct disco_heat_entry entries[8] = { { .gfn = 1 }, { .gfn = 9 } };
	struct disco_heat_set set = { .size = sizeof(set), .budget = 5 };
	struct disco_heat_stat stat = { .size = sizeof(stat) };
	struct disco_heat_report report = {
		.size = sizeof(report), .entries = (uintptr_t)entries, .nr = 2,
	};
	struct disco_heat_drain drain = {
		.size = sizeof(drain), .entries = (uintptr_t)entries, .nr = 8,
	};
	struct disco_vm *readable = open_vm(), *vm;

	(void)state;
	fake.pages = 6;
	assert_int_equal(disco_vm_open_writable(fake.disco, "a", &vm), 0);
	assert_int_equal(disco_heat_set(vm, &set), 0);
	assert_int_equal(set.vm_fd, disco_vm_fd(vm));
	assert_int_equal(disco_heat_stat(readable, &stat), 0);
	assert_int_equal(stat.vm_fd, disco_vm_fd(readable));
	assert_int_equal(stat.out_budget, 5);
	assert_int_equal(disco_heat_report(vm, &report), 0);
	assert_int_equal(report.out_added, 1);
	assert_int_equal(entries[1].out_result, -ENXIO);
	assert_int_equal(disco_heat_drain(vm, &drain), 0);
	assert_int_equal(drain.out_nr, 4);
	assert_int_equal(drain.out_next, 0);
	assert_int_equal(entries[3].gfn, 4);
	assert_int_equal(entries[3].writes, 2);

	assert_int_equal(disco_heat_set(readable, &set), -EBADF);
	assert_error_has("sampling of VM a");
	assert_int_equal(disco_heat_report(readable, &report), -EBADF);
	assert_error_has("report of heat of VM a");
	assert_int_equal(disco_heat_drain(readable, &drain), -EBADF);
	assert_error_has("heat of VM a");
	disco_vm_close(readable);
	disco_vm_close(vm);
}

/* Who merges opens both machines for writing; what goes wrong names them. */
static void pages_are_merged(void **state)
{
	struct disco_merge merge = { .size = sizeof(merge), .nr = 8 };
	struct disco_vm *vm = open_vm(), *a, *b;

	(void)state;
	fake.pages = 6;
	fake_file("mount/ram/b", "");
	fake_folder("mount/ram/folder");
	assert_int_equal(disco_vm_open_writable(fake.disco, "a", &a), 0);
	assert_int_equal(disco_vm_open_writable(fake.disco, "b", &b), 0);
	assert_int_equal(disco_merge(a, b, &merge), 0);
	assert_int_equal(merge.vm_fd, disco_vm_fd(a));
	assert_int_equal(merge.other_fd, disco_vm_fd(b));
	assert_int_equal(merge.out_nr, 6);
	assert_int_equal(merge.out_merged, 2);

	assert_int_equal(disco_merge(vm, b, &merge), -EBADF);
	assert_error_has("merge of VM a and VM b");
	fake.error = EACCES;
	assert_int_equal(disco_merge(a, b, &merge), -EACCES);
	assert_error_has("VM a or VM b takes no part in merging");
	disco_vm_close(vm);
	disco_vm_close(a);
	disco_vm_close(b);

	assert_int_equal(disco_vm_open_writable(fake.disco, "folder", &vm),
			 -EISDIR);
	assert_error_has("is a folder, not a VM");
	assert_int_equal(chmod(fake_path("mount/ram/b"), 0444), 0);
	if (!geteuid())
		assert_int_equal(seteuid(65534), 0);
	assert_int_equal(disco_vm_open_writable(fake.disco, "b", &vm), -EACCES);
	assert_error_has("for writing: Permission denied");
	assert_int_equal(seteuid(getuid()), 0);
}

/* VCPUs are found one after the other; what is not there is named. */
static void vcpus_are_found(void **state)
{
	struct disco_vcpu_stat stat = { .size = sizeof(stat), .vcpu = 2 };
	struct disco_vm *vm = open_vm();
	uint32_t next = 0, found = 0;

	(void)state;
	fake.vcpus = 3;
	assert_int_equal(disco_vcpu_stat(vm, &stat), 0);
	assert_int_equal(stat.out_vcpu, 2);
	assert_int_equal(stat.out_node, 1);
	stat.vcpu = 1;
	assert_int_equal(disco_vcpu_stat(vm, &stat), -ENOENT);
	assert_string_equal(disco_error(fake.disco), "VM a has no VCPU 1");
	for (;;) {
		stat.flags = DISCO_VCPU_NEXT;
		stat.vcpu = next;
		if (disco_vcpu_stat(vm, &stat))
			break;
		assert_int_equal(stat.out_vcpu, 2 * found);
		next = stat.out_vcpu + 1;
		found++;
	}
	assert_int_equal(found, 3);
	assert_error_has("VM a has no VCPU 5 or higher");
	fake.error = ENOTTY;
	assert_int_equal(disco_vcpu_stat(vm, &stat), -ENOTTY);
	assert_error_has("VCPU 5 of VM a: the module does not know this request");
	disco_vm_close(vm);
}

/* A dump goes on where it stopped, up to the end of the table. */
static void vcpu_dump_is_complete(void **state)
{
	struct disco_vcpu_entry entries[7];
	struct disco_vcpu_dump dump = {
		.size = sizeof(dump),
		.nr = ARRAY_SIZE(entries),
		.entries = (uintptr_t)entries,
	};
	struct disco_vm *vm = open_vm();
	unsigned int nr = 0;

	(void)state;
	fake.vcpus = 1;
	for (dump.set = 0; dump.set < FAKE_SETS; dump.set = dump.out_next) {
		assert_int_equal(disco_vcpu_dump(vm, &dump), 0);
		for (unsigned int i = 0; i < dump.out_nr; i++, nr++)
			assert_int_equal(entries[i].va, (nr / 2 * 4ULL + nr % 2) << 40);
	}
	assert_int_equal(nr, FAKE_SETS);
	assert_int_equal(disco_vcpu_dump(vm, &dump), -ENXIO);
	assert_error_has("set 512 is past the end of the table of VCPU 0 of VM a");
	dump.vcpu = 1;
	assert_int_equal(disco_vcpu_dump(vm, &dump), -ENOENT);
	assert_error_has("VM a has no VCPU 1");
	disco_vm_close(vm);
}

static int add_disk(const char *name, const char *backing)
{
	return disco_disk_add(fake.disco, name, backing, 0440, 1 << 20);
}

/* A disk is made with what was asked for, and found, measured and removed. */
static void disks_live(void **state)
{
	static const char * const expected[] = { ".hidden", "a", "b c" };
	struct disco_disk_stat stat = { .size = sizeof(stat) };
	char backing[256];
	struct stat st;
	char **names;
	size_t nr;

	(void)state;
	fake_file("backing", "contents");
	snprintf(backing, sizeof(backing), "%s", fake_path("backing"));
	assert_int_equal(disco_disk_names(fake.disco, &names, &nr), 0);
	assert_int_equal(nr, 0);
	disco_disk_names_free(names, nr);

	assert_int_equal(add_disk("b c", backing), 0);
	assert_int_equal(add_disk("a", backing), 0);
	assert_int_equal(add_disk(fake_path("mount/disk/.hidden"), backing), 0);
	assert_int_equal(stat_of("mount/disk/a", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0440);
	assert_int_equal(disco_disk_names(fake.disco, &names, &nr), 0);
	assert_int_equal(nr, ARRAY_SIZE(expected));
	for (size_t i = 0; i < nr; i++)
		assert_string_equal(names[i], expected[i]);
	disco_disk_names_free(names, nr);

	assert_int_equal(disco_disk_stat(fake.disco, "a", &stat), 0);
	assert_int_equal(stat.out_bytes, strlen("contents"));
	assert_int_equal(stat.out_max_bytes, 1 << 20);
	stat.flags = 1;
	assert_int_equal(disco_disk_stat(fake.disco, "a", &stat), -EOPNOTSUPP);
	assert_error_has("statistics of disk a: the module does not know");

	assert_int_equal(disco_disk_drop_cache(fake.disco, "a"), 0);
	assert_int_equal(fake.drops, 1);
	assert_int_equal(disco_disk_remove(fake.disco, "a"), 0);
	assert_int_equal(stat_of("mount/disk/a", &st), -1);
	assert_int_equal(disco_disk_remove(fake.disco, "a"), -ENOENT);
	assert_error_has("no disk a in /tmp/libdisco.");
	assert_int_equal(disco_disk_stat(fake.disco, "a", &stat), -ENOENT);
	assert_error_has("no disk a in /tmp/libdisco.");
	assert_int_equal(disco_disk_drop_cache(fake.disco, "a"), -ENOENT);
	assert_error_has("no disk a in /tmp/libdisco.");
}

/* What is no name of a disk is refused by all, before anything is done. */
static void bad_disk_names_are_refused(void **state)
{
	static const char * const bad[] = {
		"", "/", ".", "..", "a/b", "../ram/a", "/etc/passwd", "a/",
	};
	struct disco_disk_stat stat = { .size = sizeof(stat) };
	char longest[257];

	(void)state;
	fake_file("backing", "contents");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(add_disk(bad[i], fake_path("backing")), -EINVAL);
		assert_error_has("is no name for a disk");
		assert_int_equal(disco_disk_stat(fake.disco, bad[i], &stat),
				 -EINVAL);
		assert_int_equal(disco_disk_remove(fake.disco, bad[i]), -EINVAL);
		assert_int_equal(disco_disk_drop_cache(fake.disco, bad[i]),
				 -EINVAL);
	}
	memset(longest, 'x', sizeof(longest));
	longest[256] = '\0';
	assert_int_equal(add_disk(longest, fake_path("backing")), -ENAMETOOLONG);
	assert_error_has("at most 255 bytes, this one has 256");
	longest[255] = '\0';
	assert_int_equal(add_disk(longest, fake_path("backing")), 0);
	assert_int_equal(disco_disk_add(fake.disco, "a", fake_path("backing"),
					01444, 0), -EINVAL);
	assert_error_has("mode 01444");
}

/* What cannot be a backing is named, without being opened. */
static void bad_backings_are_refused(void **state)
{
	(void)state;
	fake_folder("folder");
	assert_int_equal(mkfifo(fake_path("fifo"), 0644), 0);
	assert_int_equal(add_disk("a", fake_path("folder")), -EISDIR);
	assert_error_has("folder is a folder");
	assert_int_equal(add_disk("a", fake_path("fifo")), -EINVAL);
	assert_error_has("fifo is neither a file nor a block device");
	assert_int_equal(add_disk("a", "/dev/null"), -EINVAL);
	assert_error_has("/dev/null is neither a file nor a block device");
	assert_int_equal(add_disk("a", "/nowhere"), -ENOENT);
	assert_error_has("cannot read /nowhere: No such file");
}

/* Each errno of the header becomes words that say what would be right. */
static void disk_refusals_are_explained(void **state)
{
	static const struct {
		int err;
		const char *text;
	} cases[] = {
		{ EISDIR, "backing is a folder" },
		{ EINVAL, "backing is neither a file nor a block device" },
		{ ELOOP, "backing is on a disco file system itself" },
		{ ENODATA, "backing is empty" },
		{ EFBIG, "backing is too large" },
		{ ETXTBSY, "backing is open for writing: close it" },
		{ EEXIST, "there is a disk a in /tmp/libdisco." },
		{ EACCES, "permission to write to /tmp/libdisco." },
		{ ENOTTY, "the module does not know this request" },
		{ EMEDIUMTYPE, "not a file of a disco file system" },
		{ ENOMEM, "disk a from /tmp/libdisco." },
	};

	(void)state;
	fake_file("backing", "contents");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fake.error = cases[i].err;
		assert_int_equal(add_disk("a", fake_path("backing")),
				 -cases[i].err);
		assert_error_has(cases[i].text);
	}
	fake_file("mount/disk/a", "");
	fake.error = EBUSY;
	assert_int_equal(disco_disk_remove(fake.disco, "a"), -EBUSY);
	assert_error_has("disk a is in use");
	fake.error = EACCES;
	assert_int_equal(disco_disk_remove(fake.disco, "a"), -EACCES);
	assert_error_has("cannot remove disk a in /tmp/libdisco.");
	fake.error = EIO;
	assert_int_equal(disco_disk_drop_cache(fake.disco, "a"), -EIO);
	assert_error_has("cannot drop the cache of disk a");
}

/* A module from before there were disks is recognised. */
static void module_without_disks_is_told(void **state)
{
	struct disco_disk_stat stat = { .size = sizeof(stat) };
	char **names = NULL;
	size_t nr = 9;

	(void)state;
	assert_int_equal(rmdir(fake_path("mount/disk")), 0);
	fake_file("backing", "contents");
	assert_int_equal(disco_disk_names(fake.disco, &names, &nr), -ENOTTY);
	assert_error_has("the module is too old for disks");
	assert_null(names);
	assert_int_equal(nr, 9);
	assert_int_equal(add_disk("a", fake_path("backing")), -ENOTTY);
	assert_int_equal(disco_disk_stat(fake.disco, "a", &stat), -ENOTTY);
	assert_int_equal(disco_disk_remove(fake.disco, "a"), -ENOTTY);
}

/* Counters are what the folder holds, by alphabet. */
static void counters_are_read(void **state)
{
	struct disco_counter *counters;
	size_t nr;

	(void)state;
	fake_file("counters/vms", "2\n");
	fake_file("counters/hole_to_zero", "18446744073709551615\n");
	assert_int_equal(disco_counters(fake.disco, &counters, &nr), 0);
	assert_int_equal(nr, 2);
	assert_string_equal(counters[0].name, "hole_to_zero");
	assert_true(counters[0].value == UINT64_MAX);
	assert_string_equal(counters[1].name, "vms");
	assert_int_equal(counters[1].value, 2);
	disco_counters_free(counters, nr);
}

/* A counter that is no number is named. */
static void bad_counters_are_refused(void **state)
{
	static const char * const bad[] = {
		"", "\n", "-1\n", " 1\n", "1 2\n", "0x1\n",
		"18446744073709551616\n", "1\n\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct disco_counter *counters = NULL;
		size_t nr;

		fake_file("counters/a", "1\n");
		fake_file("counters/vms", bad[i]);
		assert_int_equal(disco_counters(fake.disco, &counters, &nr),
				 -EIO);
		assert_null(counters);
		assert_error_has("counter vms is not a number");
	}
}

/* Every number of the header has its word, and no other number has one. */
static void numbers_have_words(void **state)
{
	(void)state;
	assert_string_equal(disco_page_state_name(DISCO_PAGE_HOLE), "hole");
	assert_string_equal(disco_page_state_name(DISCO_PAGE_SHARED), "shared");
	assert_string_equal(disco_page_state_name(DISCO_PAGE_REPLICATED),
			    "replicated");
	assert_string_equal(disco_page_state_name(5), "unknown");
	assert_string_equal(disco_disk_state_name(DISCO_DISK_OK), "ok");
	assert_string_equal(disco_disk_state_name(DISCO_DISK_CHANGED), "changed");
	assert_string_equal(disco_disk_state_name(2), "unknown");
	for (unsigned i = 0; i <= DISCO_CHECK_REPLICA; i++) {
		assert_string_not_equal(disco_violation_name(i), "unknown");
		assert_non_null(disco_violation_text(i));
	}
	assert_string_equal(disco_violation_name(8), "unknown");
	assert_string_equal(disco_version(), DISCO_VERSION);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		TEST(mount_is_found),
		TEST(chosen_mount_is_checked),
		TEST(missing_module_is_explained),
		TEST(refusals_are_explained),
		TEST(answers_arrive),
		TEST(names_are_sorted_paths),
		TEST(closed_folders_are_counted),
		TEST(vm_opens_by_either_name),
		TEST(no_vm_is_refused),
		TEST(pmap_walk_is_complete),
		TEST(pmap_walk_meets_the_end),
		TEST(memmap_lists_all_users),
		TEST(memmap_of_no_frame_fails),
		TEST(pages_are_merged),
		TEST(pages_are_moved),
		TEST(heat_comes_and_goes),
		TEST(vcpus_are_found),
		TEST(vcpu_dump_is_complete),
		TEST(disks_live),
		TEST(bad_disk_names_are_refused),
		TEST(bad_backings_are_refused),
		TEST(disk_refusals_are_explained),
		TEST(module_without_disks_is_told),
		TEST(counters_are_read),
		TEST(bad_counters_are_refused),
		TEST(numbers_have_words),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("libdisco", tests, NULL, NULL);
}
