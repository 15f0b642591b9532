// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every change of a page's state and every refusal is counted and traced: what
 * is in the trace is what the counters say, and names the right VM and page.
 */
#define _GNU_SOURCE
#include "fixture.h"
#include "nodes.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/uio.h>

#define TRACING "/mnt/tracing"
#define INSTANCE TRACING "/instances/disco-test"
#define PAGES 8
#define SIZE (PAGES * dt_page)
#define MAX_COUNTERS 64

FIXTURE(trace) {
	struct dt_fs fs;
};

static void write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) != strlen(value))
		dt_die("write '%s' to %s", value, path);
	close(fd);
}

FIXTURE_SETUP(trace)
{
	dt_fs_open(&self->fs, "trace", "size=32k");
	ASSERT_OK(mkdir(TRACING, 0755));
	if (mount("none", TRACING, "tracefs", 0, NULL))
		SKIP(_exit(255), "this kernel has no tracefs");
	ASSERT_EQ(0, access(TRACING "/events/disco/disco_page", F_OK));
	ASSERT_EQ(0, access(TRACING "/events/disco/disco_refuse", F_OK));
	rmdir(INSTANCE);
	ASSERT_OK(mkdir(INSTANCE, 0755));
	write_file(INSTANCE "/trace", "");
	write_file(INSTANCE "/events/disco/enable", "1");
}

FIXTURE_TEARDOWN(trace)
{
	write_file(INSTANCE "/events/disco/enable", "0");
	EXPECT_EQ(0, rmdir(INSTANCE));
	EXPECT_TRUE(dt_fs_close(&self->fs));
}

/* The counters of transitions and refusals; the others are gauges. */
struct counters {
	char name[MAX_COUNTERS][40];
	long value[MAX_COUNTERS];
	int nr;
};

static void read_counters(struct counters *counters)
{
	DIR *dir = opendir("/sys/class/misc/disco/counters");
	struct dirent *entry;

	if (!dir)
		dt_die("opendir /sys/class/misc/disco/counters");
	counters->nr = 0;
	while ((entry = readdir(dir))) {
		int n = counters->nr;

		if ((!strstr(entry->d_name, "_to_") &&
		     strncmp(entry->d_name, "replica_", 8) &&
		     strncmp(entry->d_name, "refused_", 8)) ||
		    n == MAX_COUNTERS)
			continue;
		snprintf(counters->name[n], sizeof(counters->name[0]), "%.39s",
			 entry->d_name);
		counters->value[n] = dt_counter(entry->d_name);
		counters->nr++;
	}
	closedir(dir);
}

/* How many lines of the trace end in this word, and hold that. */
static long traced(const char *word, const char *other)
{
	FILE *file = fopen(INSTANCE "/trace", "re");
	char line[512], ending[64];
	long nr = 0;

	if (!file)
		dt_die("open %s/trace", INSTANCE);
	snprintf(ending, sizeof(ending), " %s\n", word);
	while (fgets(line, sizeof(line), file)) {
		size_t length = strlen(line), end = strlen(ending);

		nr += length > end && !strcmp(line + length - end, ending) &&
		      strstr(line, other);
	}
	fclose(file);
	return nr;
}

/* Over a zero page, and over another page of the disk. */
static void read_disk(struct __test_metadata *_metadata, struct dt_fs *fs,
		      char *at)
{
	char path[64];
	int disk, fd;

	fd = open("/mnt/backing", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_OK(ftruncate(fd, 2 * dt_page));
	close(fd);
	fd = open("/mnt/backing", O_RDONLY | O_CLOEXEC);
	ASSERT_OK(dt_disk_add(fs, "disk", fd, 0));
	close(fd);
	snprintf(path, sizeof(path), "%s/disk/disk", fs->root);
	disk = open(path, O_RDONLY | O_CLOEXEC);
	dt_touch(at, false);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(dt_page, pread(disk, at, dt_page, i * dt_page));
	close(disk);
}

/* A private page and a shared one, if there is anywhere to go; and copies. */
static void move_there_and_back(struct dt_fs *fs, int vm)
{
	for (int node = 0; node < 2; node++)
		dt_do_range(fs, vm, DISCO_MOVE_MIGRATE, 0, 6, node);
	for (int node = 0; node < 2; node++)
		dt_do_range(fs, vm, DISCO_MOVE_REPLICATE, 5, 1, node);
	dt_do_range(fs, vm, DISCO_MOVE_COLLAPSE, 5, 1, DISCO_NO_NODE);
}

/* Brings about every transition, and the refusals that can be had cheaply. */
static void everything(struct __test_metadata *_metadata, struct dt_fs *fs)
{
	int vm = dt_create(fs, "vm", 2 * SIZE);
	int other = dt_create(fs, "other", 0);
	char *at = dt_map(vm, 2 * SIZE), *at_other = dt_map(other, 2 * SIZE);
	struct iovec page = { at + 3 * dt_page, dt_page };
	struct disco_merge merge = {
		.size = sizeof(merge), .vm_fd = vm, .other_fd = other, .nr = 1,
	};
	int pipe_fds[2];

	dt_touch(at, false);			/* hole to zero */
	dt_touch(at + dt_page, false);
	at[0] = 1;				/* zero to private */
	for (int i = 2; i < 6; i++)
		*(volatile char *)(at + i * dt_page) = 1;
	ASSERT_OK(dt_punch(vm, dt_page, 2 * dt_page));
	ASSERT_OK(pipe(pipe_fds));
	ASSERT_EQ(dt_page, vmsplice(pipe_fds[1], &page, 1, 0));
	ASSERT_OK(dt_clone(other, vm));		/* one page is pinned */
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	at[0] = 2;				/* copy */
	at_other[0] = 2;			/* reuse */
	ASSERT_OK(ioctl(fs->control, DISCO_MERGE, &merge));
	ASSERT_OK(dt_punch(other, 4 * dt_page, dt_page));
	move_there_and_back(fs, vm);
	read_disk(_metadata, fs, at + 6 * dt_page);
	/* The mount's limit of eight pages. */
	for (int i = 8; i < 16; i++)
		dt_touch(at + i * dt_page, true);
	EXPECT_ERRNO(EINVAL, mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, vm, 0) ==
			     MAP_FAILED ? -1 : 0);
}

TEST_F(trace, trace_and_counters_agree)
{
	static const char * const cheap[] = {
		"refused_limit", "refused_pinned", "refused_private_mapping",
	};
	struct counters before, after;

	read_counters(&before);
	everything(_metadata, &self->fs);
	read_counters(&after);
	ASSERT_EQ(before.nr, after.nr);
	ASSERT_LE(16, after.nr);
	for (int i = 0; i < after.nr; i++) {
		long grown = after.value[i] - before.value[i];
		bool wanted = strncmp(after.name[i], "refused_", 8);

		EXPECT_STREQ(before.name[i], after.name[i]);
		EXPECT_EQ(grown, traced(after.name[i], "disco_")) {
			TH_LOG("counter %s", after.name[i]);
		}
		for (int j = 0; j < ARRAY_SIZE(cheap); j++)
			wanted |= !strcmp(cheap[j], after.name[i]);
		if (wanted)
			EXPECT_LT(0, grown) {
				TH_LOG("counter %s", after.name[i]);
			}
	}
}

TEST_F(trace, events_name_vm_and_page)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE), text[64];
	struct disco_pmap_entry entry;
	uint32_t id = dt_stat(&self->fs, vm).out_id;

	*(volatile char *)(at + 5 * dt_page) = 1;
	entry = dt_pmap(&self->fs, vm, 5);
	snprintf(text, sizeof(text), "vm=%u gfn=0x5 pfn=%#jx node=%u ", id,
		 (uintmax_t)entry.pfn, entry.node);
	EXPECT_EQ(1, traced("hole_to_private", text)) {
		TH_LOG("no %s", text);
	}
}

/* Anybody may read the counters. */
TEST_F(trace, counters_are_for_everybody)
{
	pid_t pid = dt_fork();

	if (!pid) {
		struct counters counters;

		if (setresuid(65534, 65534, 65534))
			_exit(2);
		read_counters(&counters);
		_exit(counters.nr < 16);
	}
	EXPECT_EQ(0, dt_wait(pid));
}

TEST_HARNESS_MAIN
