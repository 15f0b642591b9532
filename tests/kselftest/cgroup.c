// SPDX-License-Identifier: GPL-2.0-only
/* Memory is charged to who touches it; its limit hurts nobody else. */
#define _GNU_SOURCE
#include "fixture.h"
#include "nodes.h"

#include <stdlib.h>
#include <sys/mount.h>

#define CGROUPS "/mnt/cgroup"
#define MIB (1L << 20)
/* What a CPU may have charged ahead, for each of a lab's few CPUs. */
#define SLACK (4 * MIB)

FIXTURE(cgroup) {
	struct dt_fs fs;
};

static void write_file(const char *group, const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), CGROUPS "%s/%s", group, name);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		dt_die("write '%s' to %s", value, path);
	close(fd);
}

/* A number in a file, after @key if there is one. */
static long read_number(const char *group, const char *name, const char *key)
{
	char path[128], word[64];
	long value;
	FILE *file;

	snprintf(path, sizeof(path), CGROUPS "%s/%s", group, name);
	file = fopen(path, "re");
	if (!file)
		dt_die("open %s", path);
	if (!key) {
		if (fscanf(file, "%ld", &value) != 1)
			dt_die("no number in %s", path);
	} else {
		do {
			if (fscanf(file, "%63s %ld", word, &value) != 2)
				dt_die("no %s in %s", key, path);
		} while (strcmp(word, key));
	}
	fclose(file);
	return value;
}

static void make_group(const char *group)
{
	char path[128];

	snprintf(path, sizeof(path), CGROUPS "%s", group);
	rmdir(path);
	if (mkdir(path, 0755))
		dt_die("mkdir %s", path);
}

static void remove_group(const char *group)
{
	char path[128];

	snprintf(path, sizeof(path), CGROUPS "%s", group);
	if (!DT_UNTIL(!rmdir(path), 10))
		dt_die("rmdir %s", path);
}

FIXTURE_SETUP(cgroup)
{
	char controllers[256] = "";
	FILE *file;

	dt_fs_open(&self->fs, "cgroup-fs", NULL);
	ASSERT_OK(mkdir(CGROUPS, 0755));
	if (mount("none", CGROUPS, "cgroup2", 0, NULL))
		SKIP(_exit(255), "this kernel has no cgroup2");
	file = fopen(CGROUPS "/cgroup.controllers", "re");
	if (!file || !fgets(controllers, sizeof(controllers), file) ||
	    !strstr(controllers, "memory"))
		SKIP(_exit(255), "cgroup2 has no memory controller here");
	fclose(file);
	write_file("", "cgroup.subtree_control", "+memory");
	make_group("/disco-a");
	make_group("/disco-b");
}

FIXTURE_TEARDOWN(cgroup)
{
	EXPECT_TRUE(dt_fs_close(&self->fs));
	remove_group("/disco-a");
	remove_group("/disco-b");
}

/* A child in a group that writes to every page; it may be killed. */
static pid_t toucher(const char *group, char *at, size_t size, uint64_t seed)
{
	pid_t pid = dt_fork();

	if (pid)
		return pid;
	write_file(group, "cgroup.procs", "0");
	dt_fill_run(at, seed, 0, size / dt_page);
	_exit(0);
}

TEST_F(cgroup, who_touches_pays)
{
	size_t size = 32 * MIB;
	int vm = dt_create(&self->fs, "vm", size);
	int other = dt_create(&self->fs, "other", size);
	char *at = dt_map(vm, size), *at_other = dt_map(other, size);
	long a = read_number("/disco-a", "memory.current", NULL);
	long b = read_number("/disco-b", "memory.current", NULL);

	EXPECT_EQ(0, dt_wait(toucher("/disco-a", at, size, 1)));
	EXPECT_LE(a + (long)size - SLACK,
		  read_number("/disco-a", "memory.current", NULL));
	EXPECT_GE(a + (long)size + SLACK,
		  read_number("/disco-a", "memory.current", NULL));
	EXPECT_GE(b + SLACK, read_number("/disco-b", "memory.current", NULL));

	/* Sharing is free; whoever breaks it pays for the copy. */
	ASSERT_OK(dt_clone(other, vm));
	EXPECT_GE(b + SLACK, read_number("/disco-b", "memory.current", NULL));
	EXPECT_EQ(0, dt_wait(toucher("/disco-b", at_other, size, 2)));
	EXPECT_LE(b + (long)size - SLACK,
		  read_number("/disco-b", "memory.current", NULL));
	EXPECT_GE(a + (long)size + SLACK,
		  read_number("/disco-a", "memory.current", NULL));

	ASSERT_OK(ftruncate(vm, 0));
	EXPECT_TRUE(DT_UNTIL(read_number("/disco-a", "memory.current", NULL) <=
			     a + SLACK, 10));
	ASSERT_OK(dt_punch(other, 0, size));
	EXPECT_TRUE(DT_UNTIL(read_number("/disco-b", "memory.current", NULL) <=
			     b + SLACK, 10));
}

TEST_F(cgroup, write_is_charged)
{
	size_t size = 32 * MIB;
	int vm = dt_create(&self->fs, "vm", 0);
	long a = read_number("/disco-a", "memory.current", NULL);
	pid_t pid = dt_fork();

	if (!pid) {
		char *buffer = calloc(1, dt_page);

		write_file("/disco-a", "cgroup.procs", "0");
		for (size_t i = 0; i < size; i += dt_page)
			if (pwrite(vm, buffer, dt_page, i) != dt_page)
				_exit(1);
		_exit(0);
	}
	EXPECT_EQ(0, dt_wait(pid));
	EXPECT_LE(a + (long)size - SLACK,
		  read_number("/disco-a", "memory.current", NULL));
}

/* The monitor that goes over its limit dies; the others run on unharmed. */
TEST_F(cgroup, limit_kills_the_one_who_faults)
{
	size_t size = 64 * MIB, small = 2 * MIB;
	int vm = dt_create(&self->fs, "vm", size);
	int other = dt_create(&self->fs, "other", small);
	char *at = dt_map(vm, size), *at_other = dt_map(other, small);
	pid_t bystander;
	int ready[2];
	char byte;

	/* Shares the memory of the one who will be killed. */
	ASSERT_OK(pipe(ready));
	bystander = dt_fork();
	if (!bystander) {
		write_file("/disco-b", "cgroup.procs", "0");
		dt_fill_run(at_other, 5, 0, small / dt_page);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			for (size_t i = 0; i < small / dt_page; i++)
				if (!dt_is_filled(at_other + i * dt_page, 5, i))
					_exit(2);
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));

	write_file("/disco-a", "memory.max", "16M");
	EXPECT_EQ(128 + SIGKILL, dt_wait(toucher("/disco-a", at, size, 1)));
	EXPECT_LE(1, read_number("/disco-a", "memory.events", "oom_kill"));
	EXPECT_EQ(0, read_number("/disco-b", "memory.events", "oom_kill"));
	EXPECT_EQ(0, kill(bystander, 0));
	EXPECT_EQ(0, kill(bystander, SIGKILL));
	EXPECT_EQ(128 + SIGKILL, dt_wait(bystander));

	/* What fitted is there, whole; what did not is a hole. */
	EXPECT_TRUE(dt_run_is_filled(at_other, 5, 0, small / dt_page));
	for (size_t i = 0; i < size / dt_page; i++) {
		int state = dt_pmap(&self->fs, vm, i).state;

		if (state == DISCO_PAGE_HOLE)
			continue;
		ASSERT_EQ(DISCO_PAGE_PRIVATE, state);
		/* The page at which it died may not be written to its end. */
		if (i + 1 < size / dt_page &&
		    dt_pmap(&self->fs, vm, i + 1).state != DISCO_PAGE_HOLE)
			ASSERT_TRUE(dt_is_filled(at + i * dt_page, 1, i));
	}
	/* And the group can go on after giving memory back. */
	ASSERT_OK(ftruncate(vm, 0));
	ASSERT_OK(ftruncate(vm, small));
	EXPECT_EQ(0, dt_wait(toucher("/disco-a", at, small, 3)));
	EXPECT_TRUE(dt_run_is_filled(at, 3, 0, small / dt_page));
	close(ready[0]);
	close(ready[1]);
}

/*
 * Moves all pages of a VM to a node other than theirs, or copies them there; how
 * many it were.
 */
static int move_all(const struct dt_fs *fs, int vm, uint32_t operation,
		    uint32_t nr)
{
	struct disco_move_entry *entries = calloc(nr, sizeof(*entries));
	struct disco_move move = {
		.operation = operation,
		.vm_fd = vm, .entries = (uintptr_t)entries, .nr = nr,
	};

	for (uint32_t i = 0; i < nr; i++)
		entries[i] = (struct disco_move_entry){
			.gfn = i, .node = !dt_pmap(fs, vm, i).node,
		};
	if (dt_try_move(fs, &move))
		dt_die("DISCO_MOVE");
	for (uint32_t i = 0; i < nr; i++)
		if (entries[i].out_result && entries[i].out_result != -ENOMEM)
			dt_die("page %u: result %d", i, entries[i].out_result);
	free(entries);
	return move.out_moved;
}

/* A process of /disco-b that moves, or replicates, all pages. */
static pid_t mover(const struct dt_fs *fs, int vm, uint32_t operation,
		   uint32_t nr)
{
	pid_t pid = dt_fork();

	if (!pid) {
		write_file("/disco-b", "cgroup.procs", "0");
		_exit(move_all(fs, vm, operation, nr) != nr);
	}
	return pid;
}

/* Who moves a page does not pay for it, and who cannot pay keeps it. */
TEST_F(cgroup, moved_page_is_charged_as_before)
{
	size_t size = 32 * MIB;
	uint32_t nr = size / dt_page;
	int vm = dt_create(&self->fs, "vm", size);
	char *at = dt_map(vm, size);
	long b = read_number("/disco-b", "memory.current", NULL), a, refused;

	if (access("/sys/devices/system/node/node1", F_OK))
		SKIP(return, "this machine has one node");
	EXPECT_EQ(0, dt_wait(toucher("/disco-a", at, size, 1)));
	a = read_number("/disco-a", "memory.current", NULL);
	EXPECT_EQ(0, dt_wait(mover(&self->fs, vm, DISCO_MOVE_MIGRATE, nr)));
	EXPECT_LE(a - SLACK, read_number("/disco-a", "memory.current", NULL));
	EXPECT_GE(a + SLACK, read_number("/disco-a", "memory.current", NULL));
	EXPECT_GE(b + SLACK, read_number("/disco-b", "memory.current", NULL));

	refused = dt_counter("refused_node_full");
	write_file("/disco-a", "memory.max", "16M");
	EXPECT_EQ(0, move_all(&self->fs, vm, DISCO_MOVE_MIGRATE, nr));
	EXPECT_EQ(refused + nr, dt_counter("refused_node_full"));
	EXPECT_EQ(0, read_number("/disco-a", "memory.events", "oom_kill"));
	for (uint32_t i = 0; i < nr; i++)
		ASSERT_TRUE(dt_is_filled(at + i * dt_page, 1, i));
}

/* Who has a page copied does not pay for the copy, and who cannot gets none. */
TEST_F(cgroup, replica_is_charged_as_its_page)
{
	size_t size = 16 * MIB;
	uint32_t nr = size / dt_page;
	int vm = dt_create(&self->fs, "vm", size);
	char *at = dt_map(vm, size);
	long b = read_number("/disco-b", "memory.current", NULL), a, refused;

	if (access("/sys/devices/system/node/node1", F_OK))
		SKIP(return, "this machine has one node");
	EXPECT_EQ(0, dt_wait(toucher("/disco-a", at, size, 1)));
	a = read_number("/disco-a", "memory.current", NULL);
	EXPECT_EQ(0, dt_wait(mover(&self->fs, vm, DISCO_MOVE_REPLICATE, nr)));
	EXPECT_LE(a + (long)size - SLACK,
		  read_number("/disco-a", "memory.current", NULL));
	EXPECT_GE(b + SLACK, read_number("/disco-b", "memory.current", NULL));

	/* A write gives the copies back. */
	dt_fill_run(at, 1, 0, nr);
	EXPECT_GE(a + SLACK, read_number("/disco-a", "memory.current", NULL));
	refused = dt_counter("refused_node_full");
	write_file("/disco-a", "memory.max", "8M");
	EXPECT_EQ(0, move_all(&self->fs, vm, DISCO_MOVE_REPLICATE, nr));
	EXPECT_EQ(refused + nr, dt_counter("refused_node_full"));
	EXPECT_EQ(0, read_number("/disco-a", "memory.events", "oom_kill"));
	EXPECT_TRUE(dt_run_is_filled(at, 1, 0, nr));
}

/* Makes the largest second-level TLB there is, in @group. */
static int make_vcpu(FIXTURE_DATA(cgroup) *self, const char *group, int vm)
{
	struct disco_vcpu_create create = {
		.size = sizeof(create),
		.vm_fd = vm,
		.node = DISCO_VCPU_HERE,
		.nr_entries = 1 << 20,
		.nr_indices = 32,
	};

	write_file(group, "cgroup.procs", "0");
	if (ioctl(self->fs.control, DISCO_VCPU_CREATE, &create))
		return -errno;
	return create.out_fd;
}

TEST_F(cgroup, vcpu_is_charged_to_its_creator)
{
	int vm = dt_create(&self->fs, "vm", dt_page);
	long before = read_number("/disco-a", "memory.current", NULL);
	long size = 32 * MIB;
	int ready[2], end[2];
	pid_t pid;
	char byte;

	ASSERT_OK(pipe(ready));
	ASSERT_OK(pipe(end));
	pid = dt_fork();
	if (!pid) {
		close(end[1]);
		byte = make_vcpu(self, "/disco-a", vm) >= 0;
		if (write(ready[1], &byte, 1) != 1)
			_exit(1);
		_exit(read(end[0], &byte, 1) != 0);
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	EXPECT_EQ(1, byte);
	EXPECT_LE(before + size,
		  read_number("/disco-a", "memory.current", NULL));
	EXPECT_GE(before + size + SLACK,
		  read_number("/disco-a", "memory.current", NULL));
	close(end[1]);
	EXPECT_EQ(0, dt_wait(pid));
	EXPECT_TRUE(DT_UNTIL(read_number("/disco-a", "memory.current", NULL) <=
			     before + SLACK, 10));
	close(ready[0]);
	close(ready[1]);
	close(end[0]);
}

/* A table that does not fit is an error, and kills nobody. */
TEST_F(cgroup, vcpu_over_the_limit_is_enomem)
{
	int vm = dt_create(&self->fs, "vm", dt_page);
	pid_t pid;

	write_file("/disco-a", "memory.max", "16M");
	pid = dt_fork();
	if (!pid)
		_exit(make_vcpu(self, "/disco-a", vm) != -ENOMEM);
	EXPECT_EQ(0, dt_wait(pid));
	EXPECT_EQ(0, read_number("/disco-a", "memory.events", "oom_kill"));
	EXPECT_TRUE(DT_UNTIL(!dt_counter("vcpu_bytes"), 10));
}

/*
 * What a disk has cached and no VM uses is given back when memory is short, and
 * what a VM uses is not.
 */
TEST_F(cgroup, unused_pages_of_a_disk_are_reclaimed)
{
	const char *path = "/var/tmp/disco-test-reclaim";
	size_t size = 64 * MIB, used = 8 * MIB;
	int vm = dt_create(&self->fs, "vm", used), backing, root;
	char *at = dt_map(vm, used);
	struct disco_disk_stat stat = { .size = sizeof(stat) };
	struct disco_disk_add add = {
		.size = sizeof(add), .name = (uintptr_t)"disk", .name_len = 4,
		.mode = 0444,
	};
	pid_t pid;

	backing = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ASSERT_LE(0, backing);
	for (size_t i = 0; i < size / dt_page; i++) {
		char page[dt_page];

		dt_fill(page, 1, i);
		ASSERT_EQ(dt_page, write(backing, page, dt_page));
	}
	/* Only clean pages of the backing can be read around its cache. */
	ASSERT_OK(fsync(backing));
	close(backing);
	backing = open(path, O_RDONLY | O_CLOEXEC);
	root = open(self->fs.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	add.mount_fd = root;
	add.backing_fd = backing;
	ASSERT_OK(ioctl(self->fs.control, DISCO_DISK_ADD, &add));
	close(root);
	stat.disk_fd = open("/mnt/cgroup-fs/disk/disk", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, stat.disk_fd);

	write_file("/disco-a", "memory.max", "33554432");
	pid = dt_fork();
	if (!pid) {
		char *buffer = malloc(MIB);

		write_file("/disco-a", "cgroup.procs", "0");
		if (pread(stat.disk_fd, at, used, 0) != used)
			_exit(1);
		for (size_t offset = 0; offset < size; offset += MIB)
			if (pread(stat.disk_fd, buffer, MIB, offset) != MIB ||
			    !dt_is_filled(buffer, 1, offset / dt_page))
				_exit(2);
		_exit(0);
	}
	EXPECT_EQ(0, dt_wait(pid));
	ASSERT_OK(ioctl(self->fs.control, DISCO_DISK_STAT, &stat));
	EXPECT_EQ(used, stat.out_used);
	EXPECT_LE(used, stat.out_cached);
	EXPECT_GE(32 * MIB, stat.out_cached);
	for (size_t i = 0; i < used / dt_page; i++)
		ASSERT_TRUE(dt_is_filled(at + i * dt_page, 1, i));
	close(stat.disk_fd);
	close(backing);
	unlink(path);
}

TEST_HARNESS_MAIN
