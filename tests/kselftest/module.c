// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module itself: busy while it is used, gone when it is not, and a clear
 * message from a kernel that it was not built for.
 *
 * Unlike the other tests this one works on the mount that the lab made, and
 * makes it again.
 */
#define _GNU_SOURCE
#include "fixture.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#define MOUNT "/run/disco"

FIXTURE(module) {
	char path[256];
	char options[256];	/* of the mount, if there was one */
	bool mounted;
	int namespace;		/* that the mount was in */
};

static int load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), result, error;

	if (fd < 0)
		dt_die("open %s", path);
	result = syscall(SYS_finit_module, fd, "", 0);
	error = errno;
	close(fd);
	errno = error;
	return result;
}

static int unload(void)
{
	return syscall(SYS_delete_module, "disco", O_NONBLOCK);
}

static bool is_loaded(void)
{
	return !access("/sys/module/disco", F_OK);
}

/* The options that are the file system's own: those with a value. */
static bool find_mount(char *options, size_t size)
{
	char line[512], *where, *type, *word, *rest;
	FILE *file = fopen("/proc/self/mounts", "re");
	bool found = false;

	if (!file)
		dt_die("open /proc/self/mounts");
	*options = 0;
	while (!found && fgets(line, sizeof(line), file)) {
		strtok_r(line, " ", &rest);
		where = strtok_r(NULL, " ", &rest);
		type = strtok_r(NULL, " ", &rest);
		if (strcmp(where, MOUNT) || strcmp(type, "disco"))
			continue;
		found = true;
		rest = strtok_r(NULL, " ", &rest);
		for (word = strtok_r(rest, ",", &rest); word;
		     word = strtok_r(NULL, ",", &rest))
			if (strchr(word, '=') &&
			    strlen(options) + strlen(word) + 2 < size)
				strcat(strcat(options, *options ? "," : ""),
				       word);
	}
	fclose(file);
	return found;
}

/* build/module/NAME/disco.ko, from the place of this program in build/tests. */
static void module_path(char *path, size_t size, const char *name)
{
	char self[192] = "", *end;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		dt_die("readlink /proc/self/exe");
	end = strstr(self, "/tests/");
	if (!end)
		dt_die("%s is not in a folder build/tests", self);
	*end = 0;
	snprintf(path, size, "%s/module/%s/disco.ko", self, name);
}

static const char *this_kernel(void)
{
	static struct utsname name;

	uname(&name);
	if (strstr(name.release, "debug"))
		return "debug";
	return strncmp(name.release, "6.12.", 5) ? "release" : "6.12";
}

FIXTURE_SETUP(module)
{
	module_path(self->path, sizeof(self->path), this_kernel());
	if (access(self->path, R_OK))
		SKIP(_exit(255), "no %s to load again", self->path);
	self->namespace = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->namespace);
	self->mounted = find_mount(self->options, sizeof(self->options));
	if (self->mounted)
		ASSERT_OK(umount(MOUNT));
}

FIXTURE_TEARDOWN(module)
{
	if (!is_loaded())
		EXPECT_EQ(0, load(self->path));
	EXPECT_EQ(0, setns(self->namespace, CLONE_NEWNS));
	if (self->mounted)
		EXPECT_EQ(0, mount("none", MOUNT, "disco", 0, self->options));
	close(self->namespace);
}

TEST_F(module, unload_and_load_again)
{
	struct dt_gauges zero = { 0 };
	struct dt_fs fs;
	char *at;

	for (int round = 0; round < 3; round++) {
		ASSERT_TRUE(dt_gauges_settle(&zero));
		ASSERT_OK(unload());
		EXPECT_FALSE(is_loaded());
		EXPECT_NE(0, access("/dev/disco", F_OK));
		ASSERT_OK(load(self->path));
		ASSERT_TRUE(DT_UNTIL(!access("/dev/disco", R_OK | W_OK), 10));
		EXPECT_ERRNO(EEXIST, load(self->path));

		dt_fs_open(&fs, "again", NULL);
		at = dt_map(dt_create(&fs, "vm", dt_page), dt_page);
		dt_fill(at, round, 0);
		EXPECT_TRUE(dt_is_filled(at, round, 0));
		EXPECT_TRUE(dt_fs_close(&fs));
	}
}

TEST_F(module, busy_while_in_use)
{
	struct dt_fs fs;
	char *at;
	int vm;

	dt_fs_open(&fs, "busy", NULL);
	EXPECT_ERRNO(EWOULDBLOCK, unload());
	vm = dt_create(&fs, "vm", dt_page);
	EXPECT_ERRNO(EBUSY, umount(fs.root));
	at = dt_map(vm, dt_page);
	dt_close(vm);
	EXPECT_ERRNO(EBUSY, umount(fs.root));
	EXPECT_ERRNO(EWOULDBLOCK, unload());
	dt_fill(at, 1, 0);

	/* Taken off the tree by force, the memory stays with who has it. */
	ASSERT_OK(umount2(fs.root, MNT_DETACH));
	EXPECT_ERRNO(EWOULDBLOCK, unload());
	EXPECT_TRUE(dt_is_filled(at, 1, 0));
	dt_unmap(at, dt_page);
	close(fs.control);
	EXPECT_TRUE(dt_gauges_settle(&fs.before));
	EXPECT_TRUE(DT_UNTIL(!unload(), 10));
}

/* A VCPU alone keeps its VM, the mount and the module. */
TEST_F(module, busy_while_there_is_a_vcpu)
{
	struct dt_fs fs;
	char *table;
	int vm, vcpu;

	dt_fs_open(&fs, "vcpu", NULL);
	vm = dt_create(&fs, "vm", dt_page);
	vcpu = dt_vcpu(&fs, vm, 0, 64);
	close(fs.control);
	dt_unlink(&fs, "vm");
	dt_close(vm);
	EXPECT_EQ(fs.before.vms + 1, dt_counter("vms"));
	EXPECT_ERRNO(EBUSY, umount(fs.root));
	table = dt_map(vcpu, dt_page);
	dt_close(vcpu);
	EXPECT_ERRNO(EBUSY, umount(fs.root));
	ASSERT_OK(umount2(fs.root, MNT_DETACH));
	EXPECT_ERRNO(EWOULDBLOCK, unload());
	*(volatile char *)(table + dt_page - 1) = 1;
	dt_unmap(table, dt_page);
	EXPECT_TRUE(dt_gauges_settle(&fs.before));
	EXPECT_TRUE(DT_UNTIL(!unload(), 10));
}

TEST_F(module, busy_while_the_device_is_open)
{
	int control = open("/dev/disco", O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, control);
	EXPECT_ERRNO(EWOULDBLOCK, unload());
	close(control);
	ASSERT_OK(unload());
}

/*
 * The kernel says why it refuses a module: by version or, if it looks at them
 * first, by the layout of its structures or by their size.
 */
TEST_F(module, built_for_another_kernel)
{
	static const char * const names[] = { "release", "debug", "6.12" };
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK), tried = 0;
	char path[256], line[8192];
	bool said = false;
	ssize_t got;

	ASSERT_LE(0, log);
	lseek(log, 0, SEEK_END);
	ASSERT_OK(unload());
	for (int i = 0; i < ARRAY_SIZE(names); i++) {
		module_path(path, sizeof(path), names[i]);
		if (!strcmp(names[i], this_kernel()) || access(path, R_OK))
			continue;
		tried++;
		EXPECT_ERRNO(ENOEXEC, load(path));
		EXPECT_FALSE(is_loaded());
	}
	while ((got = read(log, line, sizeof(line) - 1)) > 0) {
		line[got] = 0;
		said |= strstr(line, "disco: version magic") ||
			strstr(line, "disco: disagrees about version") ||
			strstr(line, "module disco: .gnu.linkonce.this_module section size must match");
	}
	close(log);
	if (!tried)
		SKIP(return, "no module for another kernel has been built");
	EXPECT_TRUE(said);
}

TEST_HARNESS_MAIN
