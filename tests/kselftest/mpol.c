// SPDX-License-Identifier: GPL-2.0-only
/* mpol= of the mount: where pages come from. */
#define _GNU_SOURCE
#include "fixture.h"
#include "nodes.h"

#include <linux/mempolicy.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#define PAGES 16
#define SIZE (PAGES * dt_page)

FIXTURE(mpol) {
	struct dt_fs fs;
	char options[64];
};

FIXTURE_SETUP(mpol)
{
	DT_NEED_NODES();
	dt_private_mounts();
}

FIXTURE_TEARDOWN(mpol)
{
}

static void open_fs(FIXTURE_DATA(mpol) *self, const char *format, int a, int b)
{
	snprintf(self->options, sizeof(self->options), format, a, b);
	dt_fs_open(&self->fs, "mpol", self->options);
}

/* What /proc/self/mounts says of the mount, or "". */
static void read_options(const char *root, char *options, size_t size)
{
	FILE *file = fopen("/proc/self/mounts", "re");
	char line[512], place[64];

	if (!file)
		dt_die("/proc/self/mounts");
	*options = '\0';
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%*s %63s", place) == 1 &&
		    !strcmp(place, root))
			snprintf(options, size, "%s", line);
	fclose(file);
}

TEST_F(mpol, places_pages)
{
	const struct {
		const char *format;
		bool interleave;
	} cases[] = {
		{ "mpol=bind:%d", false },
		{ "mpol=prefer:%d", false },
		{ "mpol=interleave:%d,%d", true },
		{ "size=1g,mpol=interleave:%d,%d,mode=755", true },
	};

	for (int c = 0; c < ARRAY_SIZE(cases); c++) {
		char *at, text[512], *buffer = malloc(dt_page);
		int vm, clone;

		open_fs(self, cases[c].format, dt_nodes[1], dt_nodes[0]);
		read_options(self->fs.root, text, sizeof(text));
		EXPECT_NE(NULL, strstr(text, cases[c].interleave ?
				       ",mpol=interleave:" : ",mpol=")) {
			TH_LOG("%s", text);
		}
		vm = dt_create(&self->fs, "vm", SIZE);
		clone = dt_create(&self->fs, "clone", 0);
		at = dt_map(vm, SIZE);
		/* By a store, by write(), and as the copy of a shared page. */
		dt_fill(buffer, 1, 0);
		for (int i = 0; i < PAGES; i++) {
			if (i % 2)
				at[i * dt_page] = 1;
			else
				ASSERT_EQ(dt_page, pwrite(vm, buffer, dt_page,
							  i * dt_page));
		}
		ASSERT_OK(dt_clone(clone, vm));
		for (int i = 0; i < PAGES; i += 3)
			at[i * dt_page] = 2;
		for (int i = 0; i < PAGES; i++) {
			int node = cases[c].interleave ? dt_nodes[i % 2] :
							 dt_nodes[1];

			EXPECT_EQ(node, dt_node_of(&self->fs, vm, i)) {
				TH_LOG("%s, page %d", self->options, i);
			}
		}
		free(buffer);
		EXPECT_TRUE(dt_fs_close(&self->fs));
	}
}

/* What the monitor has asked for with mbind() comes first. */
TEST_F(mpol, mapping_comes_first)
{
	const unsigned long mask = 1UL << dt_nodes[0];
	char *at;
	int vm;

	open_fs(self, "mpol=bind:%d", dt_nodes[1], 0);
	vm = dt_create(&self->fs, "vm", SIZE);
	at = dt_map(vm, SIZE);
	ASSERT_OK(syscall(SYS_mbind, at, SIZE / 2, MPOL_BIND, &mask,
			  DT_MAX_NODES + 1, 0));
	dt_fill_run(at, 1, 0, PAGES);
	EXPECT_EQ(dt_nodes[0], dt_node_of(&self->fs, vm, 0));
	EXPECT_EQ(dt_nodes[0], dt_node_of(&self->fs, vm, PAGES / 2 - 1));
	EXPECT_EQ(dt_nodes[1], dt_node_of(&self->fs, vm, PAGES / 2));
	EXPECT_TRUE(dt_fs_close(&self->fs));
}

TEST_F(mpol, default_is_the_cpu_that_faults)
{
	unsigned int cpu, node;
	char *at, text[512];
	cpu_set_t cpus;
	int vm;

	dt_fs_open(&self->fs, "mpol", NULL);
	read_options(self->fs.root, text, sizeof(text));
	EXPECT_EQ(NULL, strstr(text, ",mpol="));
	vm = dt_create(&self->fs, "vm", 64 * dt_page);
	at = dt_map(vm, 64 * dt_page);
	for (int i = 0; i < 64; i++) {
		CPU_ZERO(&cpus);
		CPU_SET(i, &cpus);
		if (sched_setaffinity(0, sizeof(cpus), &cpus))
			break;
		ASSERT_OK(syscall(SYS_getcpu, &cpu, &node, NULL));
		at[i * dt_page] = 1;
		EXPECT_EQ(node, dt_node_of(&self->fs, vm, i));
	}
	EXPECT_TRUE(dt_fs_close(&self->fs));
}

TEST_F(mpol, bad_options)
{
	static const char * const bad[] = {
		"mpol=", "mpol=nonsense", "mpol=bind", "mpol=bind:",
		"mpol=prefer", "mpol=interleave", "mpol=interleave:",
		"mpol=bind:x", "mpol=bind:1-", "mpol=bind:0-63",
		"mpol=prefer:0-1", "mpol=prefer:99999", "mpol=default:0",
		"mpol=local:0", "mpol=bind=static:0", "mpol=Bind:0", "mpol",
		"mpol=bind:0,x", "size=1g,9",
	};

	ASSERT_OK(mkdir("/mnt/bad", 0755));
	for (int i = 0; i < ARRAY_SIZE(bad); i++) {
		errno = 0;
		EXPECT_EQ(-1, mount("none", "/mnt/bad", "disco", 0, bad[i])) {
			TH_LOG("%s", bad[i]);
		}
		EXPECT_EQ(EINVAL, errno) {
			TH_LOG("%s: %s", bad[i], strerror(errno));
		}
	}
	dt_fs_open(&self->fs, "mpol", "mpol=local");
	EXPECT_ERRNO(EINVAL, mount("none", self->fs.root, NULL, MS_REMOUNT,
				   "mpol=default"));
	EXPECT_EQ(0, mount("none", self->fs.root, NULL, MS_REMOUNT, "size=1g"));
	EXPECT_TRUE(dt_fs_close(&self->fs));
}

TEST_HARNESS_MAIN
