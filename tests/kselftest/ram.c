// SPDX-License-Identifier: GPL-2.0-only
/* The names in ram/: making, removing and renaming them, owners and modes. */
#define _GNU_SOURCE
#include "fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#define NOBODY 65534

DISCO_FIXTURE(ram, NULL);

/* Never freed: the process of a test does not live long. */
static const char *in(const char *folder, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		dt_die("asprintf");
	return path;
}

static int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	int nr = 0;

	if (!dir)
		dt_die("opendir %s", path);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr - 2;
}

TEST_F(ram, files_and_folders)
{
	const char *folder = in(self->fs.ram, "libvirt");
	struct stat stat_buf;

	ASSERT_OK(mkdir(folder, 0750));
	ASSERT_OK(stat(folder, &stat_buf));
	EXPECT_TRUE(S_ISDIR(stat_buf.st_mode));
	EXPECT_EQ(0750, stat_buf.st_mode & 07777);
	dt_create(&self->fs, "libvirt/vm", 12345);
	ASSERT_OK(stat(in(self->fs.ram, "libvirt/vm"), &stat_buf));
	EXPECT_TRUE(S_ISREG(stat_buf.st_mode));
	EXPECT_EQ(0600, stat_buf.st_mode & 07777);
	EXPECT_EQ(12345, stat_buf.st_size);
	EXPECT_EQ(1, stat_buf.st_nlink);
	EXPECT_EQ(1, count_entries(self->fs.ram));
	EXPECT_EQ(1, count_entries(folder));

	EXPECT_ERRNO(EEXIST, mkdir(folder, 0750));
	EXPECT_ERRNO(EEXIST, open(in(self->fs.ram, "libvirt/vm"),
				  O_CREAT | O_EXCL | O_RDWR, 0600));
	EXPECT_ERRNO(ENOENT, open(in(self->fs.ram, "none/vm"),
				  O_CREAT | O_RDWR, 0600));
	EXPECT_ERRNO(ENOTEMPTY, rmdir(folder));
	EXPECT_ERRNO(EISDIR, unlink(folder));
	EXPECT_ERRNO(ENOTDIR, rmdir(in(self->fs.ram, "libvirt/vm")));

	dt_unlink(&self->fs, "libvirt/vm");
	EXPECT_ERRNO(ENOENT, unlink(in(self->fs.ram, "libvirt/vm")));
	EXPECT_EQ(0, rmdir(folder));
	EXPECT_EQ(0, count_entries(self->fs.ram));
}

TEST_F(ram, names)
{
	char name[300];

	memset(name, 'n', sizeof(name));
	name[256] = 0;
	EXPECT_ERRNO(ENAMETOOLONG, open(in(self->fs.ram, name),
					O_CREAT | O_RDWR, 0600));
	name[100] = 0;
	dt_create(&self->fs, "a b\n\303\244", 0);
	EXPECT_EQ(1, count_entries(self->fs.ram));
}

/* A name that is gone leaves the memory to those who have it open or mapped. */
TEST_F(ram, unlink_keeps_what_is_mapped)
{
	int vm = dt_create(&self->fs, "vm", 2 * dt_page);
	char *at = dt_map(vm, 2 * dt_page);
	struct stat stat_buf;

	dt_fill(at, 1, 0);
	dt_unlink(&self->fs, "vm");
	dt_fill(at + dt_page, 1, 1);
	EXPECT_TRUE(dt_is_filled(at, 1, 0));
	ASSERT_OK(fstat(vm, &stat_buf));
	EXPECT_EQ(0, stat_buf.st_nlink);
	dt_close(vm);
	EXPECT_TRUE(dt_is_filled(at, 1, 0));
	EXPECT_TRUE(dt_is_filled(at + dt_page, 1, 1));
	EXPECT_EQ(self->fs.before.vms + 1, dt_counter("vms"));
	dt_unmap(at, 2 * dt_page);
	EXPECT_TRUE(dt_gauges_settle(&(struct dt_gauges){
		.machine_pages = self->fs.before.machine_pages,
		.metadata_bytes = dt_counter("metadata_bytes"),
		.vms = self->fs.before.vms,
	}));
}

TEST_F(ram, rename)
{
	int vm = dt_create(&self->fs, "vm", dt_page);
	int other = dt_create(&self->fs, "other", dt_page);
	char *at = dt_map(vm, dt_page), *at_other = dt_map(other, dt_page);
	const char *folder = in(self->fs.ram, "folder");
	struct stat stat_buf;

	ASSERT_OK(mkdir(folder, 0755));
	dt_fill(at, 1, 0);
	dt_fill(at_other, 2, 0);
	ASSERT_OK(rename(in(self->fs.ram, "vm"), in(folder, "moved")));
	EXPECT_ERRNO(ENOENT, stat(in(self->fs.ram, "vm"), &stat_buf));
	EXPECT_TRUE(dt_is_filled(at, 1, 0));

	EXPECT_ERRNO(EEXIST, syscall(SYS_renameat2, AT_FDCWD,
				     in(folder, "moved"), AT_FDCWD,
				     in(self->fs.ram, "other"),
				     1 /* RENAME_NOREPLACE */));
	ASSERT_OK(rename(in(folder, "moved"), in(self->fs.ram, "other")));
	EXPECT_EQ(2, count_entries(self->fs.ram));
	EXPECT_TRUE(dt_is_filled(at, 1, 0));
	EXPECT_TRUE(dt_is_filled(at_other, 2, 0));
	ASSERT_OK(fstat(other, &stat_buf));
	EXPECT_EQ(0, stat_buf.st_nlink);

	EXPECT_ERRNO(EINVAL, rename(folder, in(folder, "inside")));
	EXPECT_ERRNO(EXDEV, rename(in(self->fs.ram, "other"), "/mnt/other"));
	EXPECT_ERRNO(EISDIR, rename(in(self->fs.ram, "other"), folder));
	EXPECT_ERRNO(ENOTDIR, rename(folder, in(self->fs.ram, "other")));
	ASSERT_OK(rename(folder, in(self->fs.ram, "renamed")));
}

/* Only VMs and folders have a meaning here. */
TEST_F(ram, nothing_but_files_and_folders)
{
	dt_create(&self->fs, "vm", dt_page);
	EXPECT_ERRNO(EPERM, symlink("vm", in(self->fs.ram, "symlink")));
	EXPECT_ERRNO(EPERM, link(in(self->fs.ram, "vm"),
				 in(self->fs.ram, "link")));
	EXPECT_ERRNO(EPERM, mknod(in(self->fs.ram, "fifo"), S_IFIFO | 0600, 0));
	EXPECT_ERRNO(EPERM, mknod(in(self->fs.ram, "null"), S_IFCHR | 0600,
				  0x103));
	EXPECT_ERRNO(EOPNOTSUPP, open(self->fs.ram, O_TMPFILE | O_RDWR, 0600));
	EXPECT_EQ(1, count_entries(self->fs.ram));
}

/* Nothing can be made, removed or renamed beside ram/ and disk/. */
TEST_F(ram, root_is_fixed)
{
	struct stat stat_buf;

	ASSERT_OK(stat(self->fs.root, &stat_buf));
	EXPECT_TRUE(S_ISDIR(stat_buf.st_mode));
	EXPECT_EQ(0755, stat_buf.st_mode & 07777);
	EXPECT_EQ(0, stat_buf.st_uid);
	EXPECT_EQ(2, count_entries(self->fs.root));
	EXPECT_ERRNO(EPERM, chmod(self->fs.root, 0777));
	EXPECT_ERRNO(EPERM, chown(self->fs.root, 1, 1));
	EXPECT_EQ(-1, open(in(self->fs.root, "file"), O_CREAT | O_RDWR, 0600));
	EXPECT_EQ(-1, mkdir(in(self->fs.root, "folder"), 0755));
	EXPECT_EQ(-1, symlink("ram", in(self->fs.root, "symlink")));
	EXPECT_EQ(-1, mknod(in(self->fs.root, "fifo"), S_IFIFO | 0600, 0));
	EXPECT_EQ(-1, rmdir(self->fs.ram));
	EXPECT_EQ(-1, rename(self->fs.ram, in(self->fs.root, "other")));
	dt_create(&self->fs, "vm", 0);
	EXPECT_EQ(-1, rename(in(self->fs.ram, "vm"), in(self->fs.root, "vm")));
	EXPECT_EQ(-1, link(in(self->fs.ram, "vm"), in(self->fs.root, "vm")));
	EXPECT_EQ(2, count_entries(self->fs.root));
	EXPECT_EQ(1, count_entries(self->fs.ram));
}

/* Owner and mode are what keeps one VM's owner from another's memory. */
TEST_F(ram, permissions)
{
	int vm = dt_create(&self->fs, "vm", dt_page);
	int mine = dt_create(&self->fs, "mine", dt_page);
	pid_t pid;

	ASSERT_OK(fchown(mine, NOBODY, NOBODY));
	ASSERT_OK(fchmod(vm, 0640));
	pid = dt_fork();
	if (!pid) {
		if (setresgid(NOBODY, NOBODY, NOBODY) ||
		    setresuid(NOBODY, NOBODY, NOBODY))
			_exit(1);
		if (open(in(self->fs.ram, "vm"), O_RDONLY) != -1 ||
		    errno != EACCES)
			_exit(2);
		if (open(in(self->fs.ram, "new"), O_RDWR | O_CREAT, 0600) != -1 ||
		    errno != EACCES)
			_exit(3);
		if (unlink(in(self->fs.ram, "mine")) != -1 || errno != EACCES)
			_exit(4);
		if (chmod(in(self->fs.ram, "vm"), 0666) != -1 || errno != EPERM)
			_exit(5);
		if (truncate(in(self->fs.ram, "vm"), 0) != -1 ||
		    errno != EACCES)
			_exit(6);
		if (open(in(self->fs.ram, "mine"), O_RDWR) == -1)
			_exit(7);
		if (chmod(in(self->fs.ram, "mine"), 0400))
			_exit(8);
		_exit(0);
	}
	EXPECT_EQ(0, dt_wait(pid));
}

TEST_F(ram, options_set_owner_and_mode_of_ram)
{
	struct stat stat_buf;
	struct dt_fs other;

	ASSERT_OK(stat(self->fs.ram, &stat_buf));
	EXPECT_EQ(0755, stat_buf.st_mode & 07777);
	EXPECT_EQ(0, stat_buf.st_uid);
	EXPECT_EQ(0, stat_buf.st_gid);

	dt_fs_open(&other, "other", "mode=1770,uid=123,gid=456");
	ASSERT_OK(stat(other.ram, &stat_buf));
	EXPECT_TRUE(S_ISDIR(stat_buf.st_mode));
	EXPECT_EQ(01770, stat_buf.st_mode & 07777);
	EXPECT_EQ(123, stat_buf.st_uid);
	EXPECT_EQ(456, stat_buf.st_gid);
	ASSERT_OK(stat(other.root, &stat_buf));
	EXPECT_EQ(0755, stat_buf.st_mode & 07777);
	EXPECT_EQ(0, stat_buf.st_uid);
	EXPECT_TRUE(dt_fs_close(&other));
}

TEST_F(ram, bad_options_are_einval)
{
	static const char * const bad[] = {
		"size=", "size=many", "size=-1", "size=101%", "size=1Q",
		"mode=9", "mode=10000", "mode=rwx", "uid=root", "uid=-1",
		"gid=", "nonsense", "nonsense=1", "size",
	};

	ASSERT_OK(mkdir("/mnt/bad", 0755));
	for (int i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_ERRNO(EINVAL, mount("none", "/mnt/bad", "disco", 0,
					   bad[i]));
		if (!umount("/mnt/bad"))
			TH_LOG("accepted: -o %s", bad[i]);
	}
}

TEST_F(ram, options_can_be_read_back)
{
	struct dt_fs other;
	char line[512];
	bool found = false;
	FILE *file;

	dt_fs_open(&other, "other", "size=64M,mode=0700,uid=5,gid=6");
	file = fopen("/proc/self/mounts", "re");
	ASSERT_NE(NULL, file);
	while (fgets(line, sizeof(line), file)) {
		if (!strstr(line, other.root))
			continue;
		found = true;
		EXPECT_NE(NULL, strstr(line, " disco "));
		EXPECT_TRUE(strstr(line, "size=64M") ||
			    strstr(line, "size=65536k") ||
			    strstr(line, "size=67108864"));
		EXPECT_NE(NULL, strstr(line, "700"));
		EXPECT_NE(NULL, strstr(line, "uid=5"));
		EXPECT_NE(NULL, strstr(line, "gid=6"));
	}
	fclose(file);
	EXPECT_TRUE(found);
	EXPECT_TRUE(dt_fs_close(&other));
}

/* Mounts are independent of each other. */
TEST_F(ram, two_mounts)
{
	struct dt_fs other;
	struct stat stat_buf;

	dt_create(&self->fs, "vm", 1);
	dt_fs_open(&other, "other", NULL);
	EXPECT_ERRNO(ENOENT, stat(in(other.ram, "vm"), &stat_buf));
	EXPECT_EQ(0, count_entries(other.ram));
	EXPECT_TRUE(dt_fs_close(&other));
}

TEST_HARNESS_MAIN
