// SPDX-License-Identifier: GPL-2.0-only
/*
 * reader DISK BACKING RAM-DIR VMS MIB - reads a disk into the memory of VMs, as a
 * monitor does, until MIB have been read, and compares every page with the
 * backing. Each VM is a process, as monitors are. What it has read it also writes to
 * and punches, so that a write that reached the cache would be found by the next
 * reader.
 *
 * Prints how many pages it read and compared.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define RAM_PAGES 8192
#define MAX_READ 256		/* pages */
#define MAX_PARTS 4		/* buffers of a request */

static const char *disk_path, *ram_dir;
static const unsigned char *backing;
static size_t page, disk_pages;
/* Pages, of all VMs. */
static struct {
	atomic_llong left;
	atomic_llong verified;
} *shared;

struct vm {
	unsigned int number;
	uint64_t random;
	unsigned char *ram;
	int ram_fd, disk_fd;
};

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("reader: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	exit(1);
}

/* xorshift64*: below @limit. */
static size_t any(struct vm *vm, size_t limit)
{
	vm->random ^= vm->random >> 12;
	vm->random ^= vm->random << 25;
	vm->random ^= vm->random >> 27;
	return (vm->random * 0x2545f4914f6cdd1dULL >> 32) % limit;
}

static void compare(const struct vm *vm, size_t gfn, size_t block, size_t nr)
{
	const unsigned char *got = vm->ram + gfn * page, *want = backing + block * page;
	size_t at = 0;

	if (!memcmp(got, want, nr * page))
		return;
	while (got[at] == want[at])
		at++;
	die("VM %u: page %zu of the disk is wrong at byte %zu of gfn %zu: %#x, not %#x", vm->number,
	    block + at / page, at % page, gfn + at / page, got[at], want[at]);
}

/* One request: up to MAX_PARTS runs of pages of the disk, which adjoin there only. */
static size_t read_some(struct vm *vm)
{
	size_t nr = 1 + any(vm, MAX_READ), parts = 1 + any(vm, MAX_PARTS);
	size_t bytes = nr * page, done = 0;
	size_t block = any(vm, disk_pages - nr), room = RAM_PAGES / parts, gfn[MAX_PARTS];
	struct iovec iov[MAX_PARTS];
	ssize_t got;

	for (size_t i = 0; i < parts; i++) {
		size_t len = i + 1 < parts ? nr / parts : nr - done;

		gfn[i] = i * room + any(vm, room - len);
		iov[i].iov_base = vm->ram + gfn[i] * page;
		iov[i].iov_len = len * page;
		done += len;
	}
	got = preadv(vm->disk_fd, iov, parts, block * page);
	if (got != (ssize_t)bytes)
		die("VM %u: read of %zu bytes at page %zu: %zd, %s", vm->number, bytes, block, got,
		    got < 0 ? strerror(errno) : "short");
	for (size_t i = 0; i < parts; i++) {
		size_t len = iov[i].iov_len / page;

		compare(vm, gfn[i], block, len);
		block += len;
	}
	return nr;
}

/* A page of this VM's own, and back to nothing. */
static void disturb(struct vm *vm)
{
	size_t gfn = any(vm, RAM_PAGES - MAX_READ), nr = 1 + any(vm, MAX_READ);
	unsigned char *at = vm->ram + gfn * page;
	unsigned char byte = any(vm, 255) + 1;

	memset(at, byte, page);
	if (at[0] != byte || memcmp(at, at + 1, page - 1))
		die("VM %u: gfn %zu does not have what was written", vm->number, gfn);
	if (any(vm, 4))
		return;
	if (fallocate(vm->ram_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, gfn * page,
		      nr * page))
		die("VM %u: punch: %s", vm->number, strerror(errno));
	if (at[0] || memcmp(at, at + 1, nr * page - 1))
		die("VM %u: gfn %zu and on are not zeros after a punch", vm->number, gfn);
}

static void run(struct vm *vm)
{
	while (atomic_load(&shared->left) > 0) {
		size_t nr = read_some(vm);

		atomic_fetch_sub(&shared->left, nr);
		atomic_fetch_add(&shared->verified, nr);
		if (!any(vm, 4))
			disturb(vm);
	}
}

static void __attribute__((noreturn)) be_vm(unsigned int number)
{
	struct vm vm = {
		.number = number,
		.random = 0x9e3779b97f4a7c15ULL * (number + 1) ^ getpid(),
	};
	char path[4096];

	/* Every other VM reads as cache=none does. */
	vm.disk_fd = open(disk_path, O_RDONLY | O_CLOEXEC | (number % 2 ? O_DIRECT : 0));
	if (vm.disk_fd < 0)
		die("cannot open %s: %s", disk_path, strerror(errno));
	snprintf(path, sizeof(path), "%s/reader-%u", ram_dir, number);
	vm.ram_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (vm.ram_fd < 0 || ftruncate(vm.ram_fd, RAM_PAGES * page))
		die("cannot make %s: %s", path, strerror(errno));
	vm.ram = mmap(NULL, RAM_PAGES * page, PROT_READ | PROT_WRITE, MAP_SHARED, vm.ram_fd, 0);
	if (vm.ram == MAP_FAILED)
		die("cannot map %s: %s", path, strerror(errno));
	run(&vm);
	exit(0);
}

static size_t number(const char *word, const char *what, size_t max)
{
	char *end;
	unsigned long value = strtoul(word, &end, 10);

	if (*end || end == word || !value || value > max)
		die("%s \"%s\": it is a number from 1 to %zu", what, word, max);
	return value;
}

int main(int argc, char **argv)
{
	size_t vms, mib;
	struct stat stat;
	int fd, status, failed = 0;

	if (argc != 6)
		die("arguments are DISK BACKING RAM-DIR VMS MIB");
	page = sysconf(_SC_PAGESIZE);
	disk_path = argv[1];
	ram_dir = argv[3];
	vms = number(argv[4], "VMS", 64);
	mib = number(argv[5], "MIB", 1UL << 30);

	fd = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &stat))
		die("cannot open %s: %s", argv[2], strerror(errno));
	disk_pages = stat.st_size / page;
	if (disk_pages <= MAX_READ)
		die("%s: smaller than %zu bytes", argv[2], MAX_READ * page);
	backing = mmap(NULL, stat.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	shared = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (backing == MAP_FAILED || shared == MAP_FAILED)
		die("cannot map %s: %s", argv[2], strerror(errno));
	shared->left = mib * (1 << 20) / page;

	for (size_t i = 0; i < vms; i++) {
		pid_t child = fork();

		if (child < 0)
			die("fork: %s", strerror(errno));
		if (!child)
			be_vm(i);
	}
	/* One that has failed says so; the others need not go on. */
	while (wait(&status) > 0)
		if (status) {
			failed = 1;
			shared->left = 0;
		}
	printf("%lld\n", (long long)shared->verified);
	return failed;
}
