// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every function of libdisco when memory runs out: the n-th allocation fails,
 * for n from 1 until nothing failed any more. Leaks are valgrind's to find.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake.h"
#include "private.h"

static unsigned int fail_at;
static unsigned int allocations;

void *__real_calloc(size_t nr, size_t size);
char *__real_strdup(const char *text);
void *__real_reallocarray(void *old, size_t nr, size_t size);
void *__wrap_calloc(size_t nr, size_t size);
char *__wrap_strdup(const char *text);
void *__wrap_reallocarray(void *old, size_t nr, size_t size);

static int out_of_memory(void)
{
	if (!fail_at || ++allocations != fail_at)
		return 0;
	errno = ENOMEM;
	return 1;
}

void *__wrap_calloc(size_t nr, size_t size)
{
	return out_of_memory() ? NULL : __real_calloc(nr, size);
}

char *__wrap_strdup(const char *text)
{
	return out_of_memory() ? NULL : __real_strdup(text);
}

void *__wrap_reallocarray(void *old, size_t nr, size_t size)
{
	return out_of_memory() ? NULL : __real_reallocarray(old, nr, size);
}

static int use_context(void)
{
	struct disco *disco;
	int ret = disco_new(&disco);

	if (ret)
		return ret;
	ret = disco_set_device(disco, "/dev/null");
	if (!ret)
		ret = disco_set_mount(disco, "/mnt");
	disco_free(disco);
	return ret;
}

static int use_mount(void)
{
	const char *path;
	int ret;

	ret = disco_mount(fake.disco, &path);
	free(fake.disco->mount);
	fake.disco->mount = NULL;
	return ret;
}

static int use_chosen_mount(void)
{
	int ret = disco_set_mount(fake.disco, fake_path("mount"));

	return ret ? ret : use_mount();
}

static int use_names(void)
{
	char **names;
	size_t nr;
	int ret = disco_vm_names(fake.disco, &names, &nr, NULL);

	if (!ret)
		disco_vm_names_free(names, nr);
	return ret;
}

static int use_pmap(void)
{
	struct disco_pmap_batch batch;
	struct disco_pmap_iter *iter;
	struct disco_vm *vm;
	int ret;

	ret = disco_vm_open(fake.disco, "a", &vm);
	if (ret)
		return ret;
	ret = disco_pmap_new(vm, 0, UINT64_MAX, &iter);
	if (!ret) {
		while ((ret = disco_pmap_next(iter, &batch)) > 0)
			;
		disco_pmap_free(iter);
	}
	disco_vm_close(vm);
	return ret;
}

static int use_memmap(void)
{
	struct disco_memmap_user *users;
	unsigned int node;
	size_t nr;
	int ret;

	fake.users = 3;
	fake.growing = 2;
	ret = disco_memmap(fake.disco, 1, &users, &nr, &node);
	if (!ret)
		free(users);
	return ret;
}

static int use_counters(void)
{
	struct disco_counter *counters;
	size_t nr;
	int ret = disco_counters(fake.disco, &counters, &nr);

	if (!ret)
		disco_counters_free(counters, nr);
	return ret;
}

static int use_disks(void)
{
	struct disco_disk_stat stat = { .size = sizeof(stat) };
	char **names;
	size_t nr;
	int ret;

	ret = disco_disk_names(fake.disco, &names, &nr);
	if (ret)
		return ret;
	disco_disk_names_free(names, nr);
	ret = disco_disk_stat(fake.disco, "d", &stat);
	if (ret)
		return ret;
	ret = disco_disk_add(fake.disco, "new", fake_path("backing"), 0400, 0);
	return ret ? ret : disco_disk_remove(fake.disco, "new");
}

/* What cannot be done for want of memory says so; the last run succeeds. */
static void sweep(int (*scenario)(void))
{
	for (unsigned int n = 1;; n++) {
		int ret;

		allocations = 0;
		fail_at = n;
		ret = scenario();
		fail_at = 0;
		if (allocations < n) {
			assert_int_equal(ret, 0);
			assert_true(n > 1);
			return;
		}
		assert_int_equal(ret, -ENOMEM);
	}
}

static void out_of_memory_is_survived(void **state)
{
	static int (* const scenarios[])(void) = {
		use_context, use_mount, use_chosen_mount, use_names, use_pmap,
		use_memmap, use_counters, use_disks,
	};
	char name[32] = "mount/ram/";

	(void)state;
	fake.pages = 3000;
	/* More than the list of names has room for at first. */
	for (char c = 'a'; c <= 'z'; c++) {
		name[10] = c;
		name[11] = '\0';
		fake_file(name, "");
	}
	fake_file("mount/disk/d", "");
	fake_file("backing", "contents");
	fake_file("counters/a", "1\n");
	fake_file("counters/b", "2\n");
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
		sweep(scenarios[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(out_of_memory_is_survived,
						fake_setup, fake_teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("nomem", tests, NULL, NULL);
}
