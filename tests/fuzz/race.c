// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stress: threads of several processes do everything at once to the same few
 * VMs. Whatever the order, a byte of a page is either zero or what belongs in its
 * place, so a page with another's contents, or in the wrong place, shows.
 * Half of the time the mount is too small for all, so that refusals race too.
 */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define VMS 4
#define PAGES 48
#define SIZE (PAGES * dt_page)
#define PROCESSES 3
#define THREADS 3

struct thread {
	uint64_t state;
	char *views[VMS];
	char *buffer;
	pthread_t thread;
};

/* In memory that all processes share. */
static struct board {
	bool stop;
	uint64_t frames[16];	/* that had or have pages of VMs */
	unsigned long done[32];
	unsigned long moved;	/* pages */
} *board;

static struct dt_fs fs;
static int vms[VMS];
static __thread sigjmp_buf past_end;

#define not_ok(...) dt_not_ok("race", __VA_ARGS__)

static uint64_t below(struct thread *t, uint64_t limit)
{
	return dt_random(&t->state) % limit;
}

/* What a word holds if it is not zero: where in a VM it is. No byte is zero. */
static uint64_t word_at(uint64_t offset)
{
	return (offset + 8) * 0x9e3779b97f4a7c15ULL | 0x0101010101010101ULL;
}

/* A system call may copy a word while another thread is half done with it. */
static bool is_part_of(uint64_t word, uint64_t whole)
{
	for (int shift = 0; shift < 64; shift += 8) {
		uint8_t byte = word >> shift;

		if (byte && byte != (uint8_t)(whole >> shift))
			return false;
	}
	return true;
}

static void fill_words(char *at, uint64_t offset, size_t size)
{
	for (size_t i = 0; i < size; i += 8)
		*(volatile uint64_t *)(at + i) = word_at(offset + i);
}

static void check_words(const char *at, uint64_t offset, size_t size,
			const char *how)
{
	for (size_t i = 0; i < size; i += 8) {
		uint64_t word = *(volatile uint64_t *)(at + i);

		if (word && !is_part_of(word, word_at(offset + i)))
			not_ok("%s at page %" PRIu64 " + %" PRIu64 ": %" PRIx64
			       " instead of %" PRIx64, how,
			       (offset + i) / dt_page, (offset + i) % dt_page,
			       word, word_at(offset + i));
	}
}

static void on_sigbus(int signal)
{
	siglongjmp(past_end, signal);
}

/* The file may have shrunk, or the mount be full: that is SIGBUS, no error. */
static void act_store(struct thread *t, int vm, uint64_t page)
{
	if (!sigsetjmp(past_end, 1))
		fill_words(t->views[vm] + page * dt_page, page * dt_page,
			   below(t, 2) ? dt_page : 64);
}

static void act_load(struct thread *t, int vm, uint64_t page)
{
	if (!sigsetjmp(past_end, 1))
		check_words(t->views[vm] + page * dt_page, page * dt_page,
			    dt_page, "load");
}

static void act_write(struct thread *t, int vm, uint64_t page)
{
	size_t size = below(t, 3 * dt_page) & ~7UL;
	uint64_t offset = page * dt_page + (below(t, dt_page) & ~7UL);

	if (offset + size > SIZE)
		return;
	fill_words(t->buffer, offset, size);
	if (pwrite(vms[vm], t->buffer, size, offset) < 0 && errno != ENOSPC)
		not_ok("pwrite: %s", strerror(errno));
}

static void act_read(struct thread *t, int vm, uint64_t page)
{
	ssize_t got = pread(vms[vm], t->buffer, 3 * dt_page, page * dt_page);

	if (got < 0)
		not_ok("pread: %s", strerror(errno));
	check_words(t->buffer, page * dt_page, got & ~7L, "read");
}

/* System calls whose buffer is in a VM: faults in the middle of them. */
static void act_read_into(struct thread *t, int vm, uint64_t page)
{
	int from = below(t, VMS);

	if (pread(vms[from], t->views[vm] + page * dt_page, dt_page,
		  page * dt_page) < 0 && errno != EFAULT)
		not_ok("pread into a VM: %s", strerror(errno));
	if (pwrite(vms[from], t->views[vm] + page * dt_page, dt_page,
		   page * dt_page) < 0 && errno != EFAULT && errno != ENOSPC)
		not_ok("pwrite from a VM: %s", strerror(errno));
}

static void act_punch(struct thread *t, int vm, uint64_t page)
{
	uint64_t offset = page * dt_page;

	if (below(t, 2))
		offset += below(t, dt_page) & ~7UL;
	if (dt_punch(vms[vm], offset, 8 + (below(t, 6 * dt_page) & ~7UL)) &&
	    errno != ENOSPC)
		not_ok("punch: %s", strerror(errno));
}

static void act_clone(struct thread *t, int vm, uint64_t page)
{
	(void)page;
	if (dt_clone(vms[vm], vms[below(t, VMS)]) && errno != EINVAL &&
	    errno != ENOSPC)
		not_ok("clone: %s", strerror(errno));
}

/* Pages at the same place hold the same, or zeros, or are half written. */
static void act_merge(struct thread *t, int vm, uint64_t page)
{
	struct disco_merge merge = {
		.size = sizeof(merge),
		.vm_fd = vms[vm], .gfn = page,
		.other_fd = vms[below(t, VMS)], .other_gfn = page,
		.nr = PAGES,
	};

	if (ioctl(fs.control, DISCO_MERGE, &merge)) {
		if (errno != ENXIO)
			not_ok("DISCO_MERGE: %s", strerror(errno));
		return;
	}
	if (merge.out_freed > 2 * (merge.out_merged + merge.out_zeros))
		not_ok("DISCO_MERGE: %u of %u freed", merge.out_freed,
		       merge.out_nr);
}

/* Any result will do but one that says that something is wrong. */
static void act_move(struct thread *t, int vm, uint64_t page)
{
	static const uint32_t operations[] = {
		DISCO_MOVE_MIGRATE, DISCO_MOVE_REPLICATE, DISCO_MOVE_REPLICATE,
		DISCO_MOVE_COLLAPSE,
	};
	struct disco_move_entry entries[PAGES];
	struct disco_move move = {
		.size = sizeof(move), .operation = operations[below(t, 4)],
		.vm_fd = vms[vm], .entries = (uintptr_t)entries,
		.nr = 1 + below(t, PAGES),
	};

	for (unsigned int i = 0; i < move.nr; i++)
		entries[i] = (struct disco_move_entry){
			.gfn = (page + i) % PAGES, .node = below(t, 4),
		};
	if (ioctl(fs.control, DISCO_MOVE, &move))
		not_ok("DISCO_MOVE: %s", strerror(errno));
	for (unsigned int i = 0; i < move.nr; i++) {
		switch (entries[i].out_result) {
		case 0:
			__atomic_fetch_add(&board->moved, 1, __ATOMIC_RELAXED);
			break;
		case -EEXIST:
		case -ENOENT:
		case -ENXIO:
		case -EBUSY:
		case -ENOSPC:
		case -EINVAL:	/* less than four nodes */
			break;
		default:
			not_ok("DISCO_MOVE: result %d", entries[i].out_result);
		}
	}
}

/* The sampler of a VM, on or off, and what it and others have found. */
static void act_heat(struct thread *t, int vm, uint64_t page)
{
	struct disco_heat_entry entries[1024];
	struct disco_heat_set set = {
		.size = sizeof(set), .vm_fd = vms[vm],
		.budget = below(t, 2) * DISCO_HEAT_MAX_BUDGET,
		.max_counters = below(t, 2) * PAGES,
	};
	struct disco_heat_report report = {
		.size = sizeof(report), .vm_fd = vms[vm],
		.entries = (uintptr_t)entries, .nr = 1 + below(t, PAGES),
	};
	struct disco_heat_drain drain = {
		.size = sizeof(drain), .vm_fd = vms[vm], .gfn = page,
		.entries = (uintptr_t)entries, .nr = 1024,
		.flags = below(t, 2) * DISCO_HEAT_KEEP,
	};

	if (!below(t, 4) && ioctl(fs.control, DISCO_HEAT_SET, &set))
		not_ok("DISCO_HEAT_SET: %s", strerror(errno));
	for (unsigned int i = 0; i < report.nr; i++)
		entries[i] = (struct disco_heat_entry){
			.gfn = (page + i) % PAGES, .reads = 1,
		};
	if (ioctl(fs.control, DISCO_HEAT_REPORT, &report))
		not_ok("DISCO_HEAT_REPORT: %s", strerror(errno));
	if (ioctl(fs.control, DISCO_HEAT_DRAIN, &drain))
		not_ok("DISCO_HEAT_DRAIN: %s", strerror(errno));
	for (unsigned int i = 0; i < drain.out_nr; i++)
		if (entries[i].gfn < page || entries[i].gfn >= PAGES ||
		    (!entries[i].reads && !entries[i].writes))
			not_ok("DISCO_HEAT_DRAIN: page %" PRIu64 ": %u, %u",
			       (uint64_t)entries[i].gfn, entries[i].reads,
			       entries[i].writes);
}

static void act_truncate(struct thread *t, int vm, uint64_t page)
{
	if (below(t, 4))
		return;
	if (ftruncate(vms[vm], page * dt_page + (below(t, dt_page) & ~7UL)) &&
	    errno != ENOSPC)
		not_ok("ftruncate: %s", strerror(errno));
	if (ftruncate(vms[vm], SIZE) && errno != ENOSPC)
		not_ok("ftruncate: %s", strerror(errno));
}

static void act_seek(struct thread *t, int vm, uint64_t page)
{
	(void)t;
	if (lseek(vms[vm], page * dt_page, SEEK_DATA) < 0 && errno != ENXIO)
		not_ok("SEEK_DATA: %s", strerror(errno));
	if (lseek(vms[vm], page * dt_page, SEEK_HOLE) < 0 && errno != ENXIO)
		not_ok("SEEK_HOLE: %s", strerror(errno));
}

static void act_forget(struct thread *t, int vm, uint64_t page)
{
	madvise(t->views[vm] + page * dt_page, dt_page,
		below(t, 2) ? MADV_DONTNEED : MADV_REMOVE);
}

static void act_remap(struct thread *t, int vm, uint64_t page)
{
	off_t view = below(t, 2);

	(void)page;
	if (munmap(t->views[vm], SIZE))
		not_ok("munmap: %s", strerror(errno));
	t->views[vm] = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			    vms[vm], view << DISCO_VIEW_SHIFT);
	if (t->views[vm] == MAP_FAILED)
		not_ok("mmap: %s", strerror(errno));
}

static void act_pmap(struct thread *t, int vm, uint64_t page)
{
	struct disco_pmap_entry entries[PAGES];
	struct disco_pmap pmap = {
		.size = sizeof(pmap),
		.vm_fd = vms[vm],
		.nr = PAGES - page,
		.gfn = page,
		.entries = (uintptr_t)entries,
	};

	if (ioctl(fs.control, DISCO_PMAP, &pmap)) {
		if (errno != ENXIO)
			not_ok("DISCO_PMAP: %s", strerror(errno));
		return;
	}
	for (unsigned int i = 0; i < pmap.out_nr; i++) {
		bool filled = entries[i].state >= DISCO_PAGE_PRIVATE;

		if (filled != !!entries[i].users || filled != !!entries[i].pfn ||
		    (entries[i].state == DISCO_PAGE_PRIVATE &&
		     entries[i].users != 1))
			not_ok("DISCO_PMAP: state %u, %u users",
			       entries[i].state, entries[i].users);
		if (filled)
			board->frames[below(t, 16)] = entries[i].pfn;
	}
}

static void act_memmap(struct thread *t, int vm, uint64_t page)
{
	struct disco_memmap_user users[VMS];
	struct disco_memmap memmap = {
		.size = sizeof(memmap),
		.pfn = board->frames[below(t, 16)] + below(t, 3) - 1,
		.users = (uintptr_t)users,
		.nr = VMS,
	};

	(void)vm;
	(void)page;
	if (!ioctl(fs.control, DISCO_MEMMAP, &memmap)) {
		if (!memmap.out_total)
			not_ok("DISCO_MEMMAP: a frame without users");
	} else if (errno != ENOENT && errno != ENXIO) {
		not_ok("DISCO_MEMMAP: %s", strerror(errno));
	}
}

static void act_stat(struct thread *t, int vm, uint64_t page)
{
	struct stat buf;

	(void)t;
	(void)page;
	dt_stat(&fs, vms[vm]);
	if (fstat(vms[vm], &buf))
		not_ok("fstat: %s", strerror(errno));
}

static void act_check(struct thread *t, int vm, uint64_t page)
{
	(void)page;
	if (!below(t, 8) && !dt_check(fs.control, vms[vm]))
		not_ok("DISCO_CHECK found something");
}

/* A VM that comes and goes: its number and its frames are used again. */
static void act_short_life(struct thread *t, int vm, uint64_t page)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/short-%" PRIx64, fs.ram,
		 dt_random(&t->state));
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		not_ok("create: %s", strerror(errno));
	if (dt_clone(fd, vms[vm]) && errno != ENOSPC)
		not_ok("clone to a new VM: %s", strerror(errno));
	memset(t->buffer, 0x77, dt_page);
	if (pwrite(fd, t->buffer, dt_page, page * dt_page) < 0 &&
	    errno != ENOSPC)
		not_ok("pwrite: %s", strerror(errno));
	if (unlink(path))
		not_ok("unlink: %s", strerror(errno));
	close(fd);
}

static const struct {
	const char *name;
	void (*act)(struct thread *t, int vm, uint64_t page);
	unsigned int weight;
} table[] = {
	{ "store", act_store, 30 },
	{ "load", act_load, 30 },
	{ "write", act_write, 10 },
	{ "read", act_read, 10 },
	{ "readinto", act_read_into, 6 },
	{ "punch", act_punch, 8 },
	{ "clone", act_clone, 5 },
	{ "merge", act_merge, 4 },
	{ "move", act_move, 4 },
	{ "heat", act_heat, 4 },
	{ "truncate", act_truncate, 4 },
	{ "seek", act_seek, 3 },
	{ "forget", act_forget, 3 },
	{ "remap", act_remap, 2 },
	{ "pmap", act_pmap, 4 },
	{ "memmap", act_memmap, 6 },
	{ "stat", act_stat, 2 },
	{ "check", act_check, 1 },
	{ "short life", act_short_life, 2 },
};

#define NR_ACTS (sizeof(table) / sizeof(table[0]))

static void *run_thread(void *data)
{
	struct thread *t = data;
	unsigned int total = 0, pick, i;

	for (i = 0; i < NR_ACTS; i++)
		total += table[i].weight;
	while (!__atomic_load_n(&board->stop, __ATOMIC_RELAXED)) {
		pick = below(t, total);
		for (i = 0; pick >= table[i].weight; i++)
			pick -= table[i].weight;
		table[i].act(t, below(t, VMS), below(t, PAGES));
		__atomic_fetch_add(&board->done[i], 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void __attribute__((noreturn)) run_process(uint64_t seed)
{
	struct sigaction action = { .sa_handler = on_sigbus };
	struct thread threads[THREADS];

	sigaction(SIGBUS, &action, NULL);
	for (int i = 0; i < THREADS; i++) {
		struct thread *t = &threads[i];

		t->state = (seed + i * 7919) | 1;
		t->buffer = malloc(3 * dt_page);
		for (int v = 0; v < VMS; v++)
			t->views[v] = dt_map(vms[v], SIZE);
		if (pthread_create(&t->thread, NULL, run_thread, t))
			dt_die("pthread_create");
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i].thread, NULL);
	_exit(0);
}

/*
 * Mounts that go away with all their VMs, while others ask who uses their
 * frames: an answer must not keep a VM of a mount that is gone.
 */
static void __attribute__((noreturn)) run_mounts(void)
{
	static const char where[] = "/mnt/short-mount";
	unsigned long rounds = 0;
	char path[64], *at;
	int fd;

	mkdir(where, 0755);
	snprintf(path, sizeof(path), "%s/ram/vm", where);
	while (!__atomic_load_n(&board->stop, __ATOMIC_RELAXED)) {
		if (mount("none", where, "disco", 0, NULL))
			not_ok("mount: %s", strerror(errno));
		fd = open(path, O_RDWR | O_CREAT, 0600);
		if (fd < 0 || ftruncate(fd, 16 * dt_page))
			not_ok("create in a mount: %s", strerror(errno));
		at = dt_map(fd, 16 * dt_page);
		for (int i = 0; i < 16; i++) {
			fill_words(at + i * dt_page, i * dt_page, dt_page);
			board->frames[i] = dt_frame(at + i * dt_page);
		}
		dt_unmap(at, 16 * dt_page);
		close(fd);
		if (umount(where))
			not_ok("umount: %s", strerror(errno));
		rounds++;
	}
	__atomic_fetch_add(&board->done[NR_ACTS], rounds, __ATOMIC_RELAXED);
	_exit(0);
}

static void run_for(double seconds, const char *options, uint64_t *seed)
{
	double end = dt_now() + seconds;
	pid_t pids[PROCESSES + 1];
	char name[16];

	dt_fs_open(&fs, "race", options);
	for (int v = 0; v < VMS; v++) {
		snprintf(name, sizeof(name), "vm%d", v);
		vms[v] = dt_create(&fs, name, SIZE);
	}
	board->stop = false;
	for (int i = 0; i <= PROCESSES; i++) {
		uint64_t own = dt_random(seed);

		pids[i] = dt_fork();
		if (!pids[i] && i < PROCESSES)
			run_process(own);
		if (!pids[i])
			run_mounts();
	}
	/* A process that ends early has found something. */
	while (dt_now() < end && !kill(pids[0], 0))
		usleep(100000);
	__atomic_store_n(&board->stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i <= PROCESSES; i++) {
		int status = dt_wait(pids[i]);

		if (status > 1)
			not_ok("a process ended with status %d", status);
		if (status)
			exit(status);
	}
	if (!dt_fs_close(&fs))
		not_ok("something is left behind");
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 20;
	uint64_t seed = (uint64_t)time(NULL) | 1;

	if (argc > 2 || seconds <= 0) {
		fprintf(stderr, "usage: race [SECONDS]\n");
		return 2;
	}
	printf("TAP version 13\n1..1\n# seed %" PRIu64 "\n", seed);
	fflush(stdout);
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED)
		dt_die("mmap");
	run_for(seconds / 2, NULL, &seed);
	run_for(seconds / 2, "size=256k", &seed);
	printf("#");
	for (size_t i = 0; i < NR_ACTS; i++)
		printf(" %s %lu", table[i].name, board->done[i]);
	printf(" mounts %lu, %lu pages moved\n", board->done[NR_ACTS],
	       board->moved);
	for (size_t i = 0; i < NR_ACTS; i++)
		if (!board->done[i])
			not_ok("not one %s was done", table[i].name);
	printf("ok 1 race: %.0f seconds\n", seconds);
	return 0;
}
