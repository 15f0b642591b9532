// SPDX-License-Identifier: GPL-2.0-only
/* See support.h. */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define COUNTERS "/sys/class/misc/disco/counters/"
#define PLACE "/mnt"

size_t dt_page;

static struct {
	void *at;
	size_t size;
} maps[256];

static int files[256];
static unsigned int nr_maps, nr_files;

static void __attribute__((constructor)) dt_init(void)
{
	dt_page = sysconf(_SC_PAGESIZE);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

/** dt_die() - end the process with a message and the meaning of errno */
void dt_die(const char *format, ...)
{
	int error = errno;
	va_list args;

	fprintf(stderr, "# ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, ": %s\n", strerror(error));
	abort();
}

/**
 * dt_not_ok() - end the process with the result of its only test
 *
 * One write, for several processes may do it; too long a message is cut.
 */
void dt_not_ok(const char *test, const char *format, ...)
{
	char text[256], message[200];
	va_list args;
	int length;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	length = snprintf(text, sizeof(text), "not ok 1 %.32s: %s\n", test,
			  message);
	if (write(STDOUT_FILENO, text, length) != length)
		_exit(2);
	_exit(1);
}

/**
 * dt_private_mounts() - give the process mounts that nobody else sees
 *
 * They end with the process, so even a test that is killed leaves none behind.
 * Calling it again does nothing.
 */
void dt_private_mounts(void)
{
	static pid_t done;

	if (done == getpid())
		return;
	if (unshare(CLONE_NEWNS))
		dt_die("cannot have mounts of my own (root needed)");
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		dt_die("cannot make the mounts private");
	if (mount("none", PLACE, "tmpfs", 0, "size=256m"))
		dt_die("cannot mount a tmpfs on " PLACE);
	done = getpid();
}

/**
 * dt_fs_open() - mount a disco file system of the test's own
 * @fs: filled in
 * @name: distinguishes the mounts of one process
 * @options: mount options, or NULL
 */
void dt_fs_open(struct dt_fs *fs, const char *name, const char *options)
{
	dt_private_mounts();
	dt_gauges_read(&fs->before);
	snprintf(fs->root, sizeof(fs->root), PLACE "/%s", name);
	snprintf(fs->ram, sizeof(fs->ram), "%s/ram", fs->root);
	if (mkdir(fs->root, 0755))
		dt_die("mkdir %s", fs->root);
	if (mount("none", fs->root, "disco", 0, options))
		dt_die("mount -t disco -o '%s' none %s",
		       options ? options : "", fs->root);
	fs->control = open("/dev/disco", O_RDWR | O_CLOEXEC);
	if (fs->control < 0)
		dt_die("open /dev/disco");
}

static bool mount_is_consistent(const struct dt_fs *fs)
{
	int root = open(fs->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok;

	if (root < 0)
		dt_die("open %s", fs->root);
	ok = dt_check(fs->control, root);
	close(root);
	return ok;
}

/**
 * dt_fs_close() - check the mount, give everything back, unmount
 * @fs: the mount
 *
 * Closes and unmaps what dt_create(), dt_open() and dt_map() gave out for any
 * mount: close the mount that was opened first last.
 *
 * Return: true if the module found its structures in order and all gauges are
 * back at what they were before the mount.
 */
bool dt_fs_close(struct dt_fs *fs)
{
	bool ok = mount_is_consistent(fs);

	while (nr_maps)
		dt_unmap(maps[nr_maps - 1].at, maps[nr_maps - 1].size);
	while (nr_files)
		dt_close(files[nr_files - 1]);
	if (umount(fs->root)) {
		fprintf(stderr, "# umount %s: %s\n", fs->root, strerror(errno));
		ok = false;
	}
	rmdir(fs->root);
	close(fs->control);
	return dt_gauges_settle(&fs->before) && ok;
}

static int remember_file(int fd)
{
	if (nr_files == sizeof(files) / sizeof(files[0])) {
		errno = EMFILE;
		dt_die("the test has too many files");
	}
	files[nr_files++] = fd;
	return fd;
}

/**
 * dt_create() - make a file in ram/
 * @fs: the mount
 * @name: may hold directories that exist
 * @size: in bytes
 *
 * Return: a file descriptor open for reading and writing.
 */
int dt_create(const struct dt_fs *fs, const char *name, off_t size)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", fs->ram, name);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		dt_die("create %s", path);
	if (ftruncate(fd, size))
		dt_die("ftruncate %s to %jd", path, (intmax_t)size);
	return remember_file(fd);
}

/** dt_open() - open a file of @fs again, with flags as for open() */
int dt_open(const struct dt_fs *fs, const char *name, int flags)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", fs->ram, name);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		dt_die("open %s", path);
	return remember_file(fd);
}

/** dt_close() - close what dt_create() or dt_open() gave */
void dt_close(int fd)
{
	for (unsigned int i = 0; i < nr_files; i++) {
		if (files[i] == fd) {
			files[i] = files[--nr_files];
			close(fd);
			return;
		}
	}
	errno = EBADF;
	dt_die("dt_close(%d)", fd);
}

/** dt_unlink() - remove the name of a file in ram/ */
void dt_unlink(const struct dt_fs *fs, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", fs->ram, name);
	if (unlink(path))
		dt_die("unlink %s", path);
}

/** dt_map() - map a file from its beginning, shared, for reading and writing */
char *dt_map(int fd, size_t size)
{
	return dt_map_view(fd, size, 0);
}

/** dt_map_view() - the same through a view of the file */
char *dt_map_view(int fd, size_t size, unsigned int view)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			(off_t)view << DISCO_VIEW_SHIFT);

	if (at == MAP_FAILED)
		dt_die("mmap of %zu bytes", size);
	if (nr_maps == sizeof(maps) / sizeof(maps[0])) {
		errno = ENOMEM;
		dt_die("the test has too many mappings");
	}
	maps[nr_maps].at = at;
	maps[nr_maps++].size = size;
	return at;
}

/** dt_unmap() - undo dt_map() */
void dt_unmap(void *at, size_t size)
{
	for (unsigned int i = 0; i < nr_maps; i++) {
		if (maps[i].at == at && maps[i].size == size) {
			maps[i] = maps[--nr_maps];
			if (munmap(at, size))
				dt_die("munmap");
			return;
		}
	}
	errno = EINVAL;
	dt_die("dt_unmap(%p, %zu)", at, size);
}

/** dt_punch() - give the memory of a range back; returns as fallocate() */
int dt_punch(int fd, off_t offset, off_t length)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 offset, length);
}

/** dt_clone() - make @to a copy-on-write clone of @from; returns as ioctl() */
int dt_clone(int to, int from)
{
	return ioctl(to, FICLONE, from);
}

/** dt_disk_add() - DISCO_DISK_ADD; returns what it does */
int dt_disk_add(const struct dt_fs *fs, const char *name, int backing,
		uint64_t max)
{
	int root = open(fs->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret;
	struct disco_disk_add add = {
		.size = sizeof(add), .mount_fd = root, .backing_fd = backing,
		.name = (uintptr_t)name, .name_len = strlen(name),
		.mode = 0444, .max_bytes = max,
	};

	ret = ioctl(fs->control, DISCO_DISK_ADD, &add);
	close(root);
	return ret;
}

/** dt_backing() - a new file of @size bytes of a pattern, open for reading only */
int dt_backing(const char *path, uint64_t seed, off_t size)
{
	char *page = malloc(dt_page);
	int fd;

	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || !page)
		dt_die("create %s", path);
	for (off_t at = 0; at < size; at += dt_page) {
		size_t bytes = size - at < dt_page ? size - at : dt_page;

		dt_fill(page, seed, at / dt_page);
		if (write(fd, page, bytes) != bytes)
			dt_die("write %s", path);
	}
	free(page);
	close(fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		dt_die("open %s", path);
	return fd;
}

/** dt_disk_path() - where a disk is; good until the next call */
const char *dt_disk_path(const struct dt_fs *fs, const char *name)
{
	static char path[96];

	snprintf(path, sizeof(path), "%s/disk/%s", fs->root, name);
	return path;
}

/** dt_disk_open() - a disk that is there */
int dt_disk_open(const struct dt_fs *fs, const char *name, int flags)
{
	int fd = open(dt_disk_path(fs, name), flags | O_CLOEXEC);

	if (fd < 0)
		dt_die("open %s", dt_disk_path(fs, name));
	return fd;
}

/** dt_disk() - a disk of @nr pages of a pattern, open for reading */
int dt_disk(const struct dt_fs *fs, uint64_t seed, int nr)
{
	int backing = dt_backing("/mnt/backing", seed, nr * dt_page);

	if (dt_disk_add(fs, "disk", backing, 0))
		dt_die("DISCO_DISK_ADD");
	close(backing);
	return dt_disk_open(fs, "disk", O_RDONLY);
}

/** dt_disk_stat() - DISCO_DISK_STAT */
struct disco_disk_stat dt_disk_stat(const struct dt_fs *fs, int disk)
{
	struct disco_disk_stat stat = { .size = sizeof(stat), .disk_fd = disk };

	if (ioctl(fs->control, DISCO_DISK_STAT, &stat))
		dt_die("DISCO_DISK_STAT");
	return stat;
}

/** dt_vcpu() - make VCPU @vcpu of @vm, on this node, with 32 indices */
int dt_vcpu(const struct dt_fs *fs, int vm, uint32_t vcpu, uint32_t nr_entries)
{
	struct disco_vcpu_create create = {
		.size = sizeof(create),
		.vm_fd = vm,
		.vcpu = vcpu,
		.node = DISCO_VCPU_HERE,
		.nr_entries = nr_entries,
		.nr_indices = 32,
	};

	if (ioctl(fs->control, DISCO_VCPU_CREATE, &create))
		dt_die("DISCO_VCPU_CREATE of %u", vcpu);
	return remember_file(create.out_fd);
}

/** dt_stat() - the numbers of one VM, its machine share included */
struct disco_vm_stat dt_stat(const struct dt_fs *fs, int fd)
{
	struct disco_vm_stat stat = {
		.size = sizeof(stat),
		.flags = DISCO_VM_STAT_MACHINE,
		.vm_fd = fd,
	};

	if (ioctl(fs->control, DISCO_VM_STAT, &stat))
		dt_die("DISCO_VM_STAT");
	return stat;
}

/** dt_pmap_view() - what a fault on one page of a VM finds in a view */
struct disco_pmap_entry dt_pmap_view(const struct dt_fs *fs, int fd,
				     unsigned int view, uint64_t gfn)
{
	struct disco_pmap_entry entry;
	struct disco_pmap pmap = {
		.size = sizeof(pmap),
		.vm_fd = fd,
		.nr = 1,
		.gfn = gfn,
		.entries = (uintptr_t)&entry,
		.view = view,
	};

	if (ioctl(fs->control, DISCO_PMAP, &pmap))
		dt_die("DISCO_PMAP of gfn %ju", (uintmax_t)gfn);
	return entry;
}

/** dt_pmap() - what is behind one page of a VM */
struct disco_pmap_entry dt_pmap(const struct dt_fs *fs, int fd, uint64_t gfn)
{
	return dt_pmap_view(fs, fd, 0, gfn);
}

/**
 * dt_memmap() - who uses a machine frame
 * @fs: any mount
 * @pfn: machine frame number
 * @users: room for @nr users
 *
 * Return: how many users the frame has, which can be more than @nr; 0 if the
 * frame holds no page of a VM.
 */
unsigned int dt_memmap(const struct dt_fs *fs, uint64_t pfn,
		       struct disco_memmap_user *users, unsigned int nr)
{
	struct disco_memmap memmap = {
		.size = sizeof(memmap),
		.pfn = pfn,
		.users = (uintptr_t)users,
		.nr = nr,
	};

	if (ioctl(fs->control, DISCO_MEMMAP, &memmap)) {
		if (errno == ENOENT)
			return 0;
		dt_die("DISCO_MEMMAP of pfn %ju", (uintmax_t)pfn);
	}
	return memmap.out_total;
}

/** dt_check() - have the module check itself; says what is wrong */
bool dt_check(int control, int mount_fd)
{
	struct disco_check check = {
		.size = sizeof(check),
		.mount_fd = mount_fd,
	};

	if (ioctl(control, DISCO_CHECK, &check))
		dt_die("DISCO_CHECK");
	if (check.out_violation == DISCO_CHECK_OK)
		return true;
	fprintf(stderr,
		"# DISCO_CHECK: violation %u vm %u gfn %ju pfn %ju expected %ju found %ju\n",
		check.out_violation, check.out_vm_id, (uintmax_t)check.out_gfn,
		(uintmax_t)check.out_pfn, (uintmax_t)check.out_expected,
		(uintmax_t)check.out_found);
	return false;
}

/** dt_counter() - one counter of the module */
long dt_counter(const char *name)
{
	char path[128];
	FILE *file;
	long value;

	snprintf(path, sizeof(path), COUNTERS "%s", name);
	file = fopen(path, "re");
	if (!file)
		dt_die("open %s", path);
	if (fscanf(file, "%ld", &value) != 1)
		dt_die("%s does not hold a number", path);
	fclose(file);
	return value;
}

/** dt_gauges_read() - the counters that go up and down */
void dt_gauges_read(struct dt_gauges *gauges)
{
	gauges->machine_pages = dt_counter("machine_pages");
	gauges->replicas = dt_counter("replicas");
	gauges->metadata_bytes = dt_counter("metadata_bytes");
	gauges->vms = dt_counter("vms");
	gauges->vcpus = dt_counter("vcpus");
	gauges->vcpu_bytes = dt_counter("vcpu_bytes");
	gauges->heat_counters = dt_counter("heat_counters");
}

/**
 * dt_gauges_settle() - wait until the gauges are what they were
 * @before: from dt_gauges_read()
 *
 * Inodes may be freed a little after their last user is gone, hence the wait.
 *
 * Return: false, with a message, if that does not come true in ten seconds.
 */
bool dt_gauges_settle(const struct dt_gauges *before)
{
	struct dt_gauges now;

	if (DT_UNTIL((dt_gauges_read(&now),
		      !memcmp(&now, before, sizeof(now))), 10))
		return true;
	fprintf(stderr,
		"# left behind: %ld machine pages, %ld bytes of metadata, %ld VMs, %ld VCPUs of %ld bytes, %ld counters of heat\n",
		now.machine_pages - before->machine_pages,
		now.metadata_bytes - before->metadata_bytes,
		now.vms - before->vms, now.vcpus - before->vcpus,
		now.vcpu_bytes - before->vcpu_bytes,
		now.heat_counters - before->heat_counters);
	return false;
}

static uint64_t pattern(uint64_t seed, uint64_t gfn)
{
	return (seed + 1) * 0x9e3779b97f4a7c15ULL ^ (gfn + 1) << 20;
}

/** dt_fill() - fill a page with words that name @seed, @gfn and their place */
void dt_fill(void *page, uint64_t seed, uint64_t gfn)
{
	uint64_t base = pattern(seed, gfn), *word = page;

	for (size_t i = 0; i < dt_page / sizeof(*word); i++)
		word[i] = base + i;
}

/** dt_is_filled() - does a page hold what dt_fill() wrote? */
bool dt_is_filled(const void *page, uint64_t seed, uint64_t gfn)
{
	uint64_t base = pattern(seed, gfn);
	const uint64_t *word = page;

	for (size_t i = 0; i < dt_page / sizeof(*word); i++) {
		if (word[i] != base + i) {
			fprintf(stderr,
				"# page %ju, byte %zu: %jx instead of %jx\n",
				(uintmax_t)gfn, i * sizeof(*word),
				(uintmax_t)word[i], (uintmax_t)(base + i));
			return false;
		}
	}
	return true;
}

/** dt_fill_run() - dt_fill() for @nr pages at @at, from @gfn on */
void dt_fill_run(char *at, uint64_t seed, uint64_t gfn, int nr)
{
	for (int i = 0; i < nr; i++)
		dt_fill(at + i * dt_page, seed, gfn + i);
}

/** dt_run_is_filled() - do pages hold what dt_fill_run() wrote? */
bool dt_run_is_filled(const char *at, uint64_t seed, uint64_t gfn, int nr)
{
	for (int i = 0; i < nr; i++)
		if (!dt_is_filled(at + i * dt_page, seed, gfn + i))
			return false;
	return true;
}

/** dt_is_zero() - is a range all zeros? */
bool dt_is_zero(const void *at, size_t size)
{
	const char *byte = at;

	return !size || (!byte[0] && !memcmp(byte, byte + 1, size - 1));
}

static sigjmp_buf touch_env;

static void touch_failed(int signal)
{
	siglongjmp(touch_env, signal);
}

/**
 * dt_touch() - read or write one byte that may not be there
 * @at: the byte
 * @write: add 0 to it instead of reading
 *
 * For one thread at a time.
 *
 * Return: 0, or SIGBUS or SIGSEGV if that came.
 */
int dt_touch(volatile char *at, bool write)
{
	struct sigaction action = { .sa_handler = touch_failed }, bus, segv;
	int signal;

	sigaction(SIGBUS, &action, &bus);
	sigaction(SIGSEGV, &action, &segv);
	signal = sigsetjmp(touch_env, 1);
	if (!signal) {
		char value = *at;

		if (write)
			*at = value;
	}
	sigaction(SIGBUS, &bus, NULL);
	sigaction(SIGSEGV, &segv, NULL);
	return signal;
}

/** dt_fork() - fork() a child that is killed when its parent ends */
pid_t dt_fork(void)
{
	pid_t pid = fork();

	if (pid < 0)
		dt_die("fork");
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/** dt_wait() - exit status of a child, or 128 and the signal that ended it */
int dt_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			dt_die("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/** dt_frame() - the frame that the page table has for an address, or 0 */
uint64_t dt_frame(const void *at)
{
	uint64_t entry;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		dt_die("open /proc/self/pagemap");
	if (pread(fd, &entry, sizeof(entry),
		  (uintptr_t)at / dt_page * sizeof(entry)) != sizeof(entry))
		dt_die("read /proc/self/pagemap");
	close(fd);
	return entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
}
