// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads of several processes use the memory of VMs and believe nothing: each
 * word says where it belongs and the how-manieth value it has there. While pages
 * move, are replicated, merged and cloned by others, every load must find the
 * right word, at least as new as what was stored before the load began: that is
 * what memory does, on whichever node and in whichever view a page is.
 *
 * Each page has one thread that writes to it; the others read. What it has
 * written is also in a shadow, in memory that is not disco's: stored there after
 * the page, so a load from the page that follows a load from the shadow must not
 * find less.
 */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define VMS 2
#define PAGES 3072
#define WORDS 512
#define SIZE (PAGES * (size_t)WORDS * 8)
#define PROCESSES 2
#define THREADS 3
/* One page of so many is written often. */
#define HOT_PART 32
/* The home view, and those of two nodes. */
#define VIEWS 3

/* A word: how many values there were before, and where it belongs. */
#define TAG_BITS 24
#define TAG_MASK ((1UL << TAG_BITS) - 1)

typedef uint64_t image[PAGES][WORDS];

struct thread {
	uint64_t state;
	unsigned int nr;	/* of all processes' */
	uint64_t (*views[VMS][VIEWS])[WORDS];
	int scratch;		/* file for DMA, or -1 */
	uint64_t *page;		/* one, aligned */
	pthread_t thread;
};

/*
 * How often a page was begun and ended to be written to; odd while it is. Copies are
 * those of system calls and devices, which may have half of a word done.
 */
struct clock {
	unsigned int writes;
	unsigned int copies;
};

/* In memory that all processes share. */
static struct board {
	bool stop;
	unsigned long done[16];
	struct clock clock[VMS][PAGES];
	image shadow[VMS];
} *board;

static const char *mount_point;
static const char *scratch_folder;
static int vms[VMS];

#define not_ok(...) dt_not_ok("witness", __VA_ARGS__)

static uint64_t below(struct thread *t, uint64_t limit)
{
	return dt_random(&t->state) % limit;
}

/* Every fourth page is the same in all VMs, so that there is something to merge. */
static uint64_t tag_of(int vm, unsigned int page, unsigned int word)
{
	uint64_t place = (page % 4 ? vm * PAGES : 0) + page;

	return ((place * WORDS + word + 1) * 0x9e3779b97f4a7c15UL) >>
	       (64 - TAG_BITS);
}

static uint64_t next_value(int vm, unsigned int page, unsigned int word)
{
	uint64_t now = board->shadow[vm][page][word];

	return ((now >> TAG_BITS) + 1) << TAG_BITS | tag_of(vm, page, word);
}

static uint64_t shadow(int vm, unsigned int page, unsigned int word)
{
	return __atomic_load_n(&board->shadow[vm][page][word],
			       __ATOMIC_ACQUIRE);
}

static void set_shadow(int vm, unsigned int page, unsigned int word,
		       uint64_t value)
{
	__atomic_store_n(&board->shadow[vm][page][word], value,
			 __ATOMIC_RELEASE);
}

static uint64_t load(const uint64_t *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void tick(unsigned int *clock)
{
	__atomic_fetch_add(clock, 1, __ATOMIC_SEQ_CST);
}

static unsigned int now(const unsigned int *clock)
{
	return __atomic_load_n(clock, __ATOMIC_SEQ_CST);
}

/*
 * Is @value what a load could find that began when the shadow had @before, and
 * @clock was at @then? Who copies may find half of a word that is written
 * meanwhile, as may a load from what is copied meanwhile: @clock tells.
 */
static void check_word(const char *how, int vm, unsigned int page,
		       unsigned int word, uint64_t before, uint64_t value,
		       const unsigned int *clock, unsigned int then)
{
	uint64_t after = shadow(vm, page, word);

	/* The next value is in the page before it is in the shadow. */
	if ((!value || (value & TAG_MASK) == tag_of(vm, page, word)) &&
	    value >> TAG_BITS >= before >> TAG_BITS &&
	    value >> TAG_BITS <= (after >> TAG_BITS) + 1)
		return;
	if (then % 2 || now(clock) != then)
		return;
	not_ok("%s: VM %d page %u word %u: %#" PRIx64 ", was %#" PRIx64
	       " before and %#" PRIx64 " after", how, vm, page, word, value,
	       before, after);
}

/* The writer knows exactly what is there. */
static void check_own(const char *how, int vm, unsigned int page,
		      unsigned int word, uint64_t value)
{
	if (value != board->shadow[vm][page][word])
		not_ok("%s: VM %d page %u word %u: %#" PRIx64
		       " and not %#" PRIx64 ", which was stored there last",
		       how, vm, page, word, value,
		       board->shadow[vm][page][word]);
}

static uint64_t *any_view(struct thread *t, int vm, unsigned int page)
{
	return t->views[vm][below(t, VIEWS)][page];
}

/* A page of this thread's; most often one of those that are written often. */
static unsigned int own_page(struct thread *t)
{
	unsigned int each = PAGES / (PROCESSES * THREADS);

	return below(t, below(t, 32) ? each / HOT_PART : each) * PROCESSES * THREADS +
	       t->nr;
}

static unsigned int any_page(struct thread *t)
{
	return below(t, PAGES);
}

static void act_store(struct thread *t, int vm)
{
	unsigned int page = own_page(t), nr = below(t, 4) ? 8 : WORDS;
	unsigned int word = below(t, WORDS - nr + 1);
	uint64_t *at = any_view(t, vm, page), value;
	struct clock *clock = &board->clock[vm][page];

	tick(&clock->writes);
	for (; nr; nr--, word++) {
		check_own("load before a store", vm, page, word,
			  load(&at[word]));
		value = next_value(vm, page, word);
		__atomic_store_n(&at[word], value, __ATOMIC_RELEASE);
		set_shadow(vm, page, word, value);
	}
	tick(&clock->writes);
}

static void act_load(struct thread *t, int vm)
{
	unsigned int page = any_page(t), word, then;
	const unsigned int *clock = &board->clock[vm][page].copies;
	const uint64_t *at = any_view(t, vm, page);
	uint64_t before;

	for (word = below(t, 8); word < WORDS; word += 8) {
		then = now(clock);
		before = shadow(vm, page, word);
		check_word("load", vm, page, word, before, load(&at[word]),
			   clock, then);
	}
}

/*
 * Looks at a few words that change often, again and again: what is stale for a
 * moment only would hardly be found by looking once.
 */
static void act_watch(struct thread *t, int vm)
{
	unsigned int page = below(t, PAGES / HOT_PART), word = below(t, WORDS);
	const unsigned int *clock = &board->clock[vm][page].copies;
	const uint64_t *at[VIEWS];
	unsigned int i, v, then;
	uint64_t before;

	for (v = 0; v < VIEWS; v++)
		at[v] = t->views[vm][v][page];
	for (i = 0; i < 200; i++) {
		v = i % VIEWS;
		then = now(clock);
		before = shadow(vm, page, word);
		check_word("watch", vm, page, word, before, load(&at[v][word]),
			   clock, then);
	}
}

/* A system call or a device is about to write to a page, or has. */
static void tick_copy(int vm, unsigned int page)
{
	tick(&board->clock[vm][page].writes);
	tick(&board->clock[vm][page].copies);
}

static void act_write(struct thread *t, int vm)
{
	unsigned int page = own_page(t), nr = 1 + below(t, WORDS);
	unsigned int word = below(t, WORDS - nr + 1), i;
	off_t offset = ((off_t)page * WORDS + word) * 8;

	for (i = 0; i < nr; i++)
		t->page[i] = next_value(vm, page, word + i);
	tick_copy(vm, page);
	if (pwrite(vms[vm], t->page, nr * 8, offset) != nr * 8)
		not_ok("pwrite: %s", strerror(errno));
	for (i = 0; i < nr; i++)
		set_shadow(vm, page, word + i, t->page[i]);
	tick_copy(vm, page);
}

static void act_read(struct thread *t, int vm)
{
	unsigned int page = any_page(t), i;
	const unsigned int *clock = &board->clock[vm][page].writes;
	unsigned int then = now(clock);
	uint64_t before[WORDS];

	for (i = 0; i < WORDS; i++)
		before[i] = shadow(vm, page, i);
	if (pread(vms[vm], t->page, WORDS * 8, (off_t)page * WORDS * 8) !=
	    WORDS * 8)
		not_ok("pread: %s", strerror(errno));
	for (i = 0; i < WORDS; i++)
		check_word("read", vm, page, i, before[i], t->page[i], clock,
			   then);
}

/* A device writes to the page: while it is under way the page must not move. */
static void act_dma_in(struct thread *t, int vm)
{
	unsigned int page = own_page(t), i;
	uint64_t *at = any_view(t, vm, page);

	for (i = 0; i < WORDS; i++)
		t->page[i] = next_value(vm, page, i);
	if (pwrite(t->scratch, t->page, WORDS * 8, 0) != WORDS * 8)
		not_ok("O_DIRECT: %s", strerror(errno));
	tick_copy(vm, page);
	if (pread(t->scratch, at, WORDS * 8, 0) != WORDS * 8)
		not_ok("O_DIRECT into a VM: %s", strerror(errno));
	for (i = 0; i < WORDS; i++)
		set_shadow(vm, page, i, t->page[i]);
	tick_copy(vm, page);
	for (i = 0; i < WORDS; i++)
		check_own("load after DMA", vm, page, i, load(&at[i]));
}

static void act_dma_out(struct thread *t, int vm)
{
	unsigned int page = own_page(t), i;

	if (pwrite(t->scratch, any_view(t, vm, page), WORDS * 8, 0) !=
		    WORDS * 8 ||
	    pread(t->scratch, t->page, WORDS * 8, 0) != WORDS * 8)
		not_ok("O_DIRECT from a VM: %s", strerror(errno));
	for (i = 0; i < WORDS; i++)
		check_own("DMA from a VM", vm, page, i, t->page[i]);
}

/*
 * A long walk that unmaps, with one flush at its end: meanwhile other threads may
 * have pages in their TLBs that no page table has any more.
 */
static void act_forget(struct thread *t, int vm)
{
	unsigned int page = any_page(t), nr = 1 + below(t, PAGES - page);

	if (madvise(any_view(t, vm, page), nr * WORDS * 8, MADV_DONTNEED))
		not_ok("madvise: %s", strerror(errno));
}

/* Those that are written often, and as many others. */
#define CLONE_PAGES (2 * PAGES / HOT_PART)

static uint64_t sum(const uint64_t *at)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < CLONE_PAGES * WORDS; i++)
		sum = sum * 31 + load(&at[i]);
	return sum;
}

/* The clocks and the shadow of a VM's first pages, before it is cloned. */
struct before {
	struct clock clock[CLONE_PAGES];
	uint64_t shadow[CLONE_PAGES][WORDS];
};

static void check_clone(int vm, const struct before *before, image *at)
{
	uint64_t first = sum((*at)[0]);

	for (unsigned int page = 0; page < CLONE_PAGES; page++)
		for (unsigned int i = 0; i < WORDS; i++)
			check_word("clone", vm, page, i,
				   before->shadow[page][i],
				   load(&(*at)[page][i]),
				   &board->clock[vm][page].copies,
				   before->clock[page].copies);
	if (sum((*at)[0]) != first)
		not_ok("a clone has changed");
}

/* A clone has what was there, and keeps it while its source goes on. */
static void act_clone(struct thread *t, int vm)
{
	struct before *before = malloc(sizeof(*before));
	char path[256];
	image *at;
	int fd;

	snprintf(path, sizeof(path), "%s/ram/witness-%d-%u", mount_point,
		 getpid(), t->nr);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || !before)
		not_ok("%s: %s", path, strerror(errno));
	memcpy(before->clock, board->clock[vm], sizeof(before->clock));
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	memcpy(before->shadow, board->shadow[vm], sizeof(before->shadow));
	if (dt_clone(fd, vms[vm]))
		not_ok("FICLONE: %s", strerror(errno));
	at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		not_ok("mmap: %s", strerror(errno));
	check_clone(vm, before, at);
	munmap(at, SIZE);
	unlink(path);
	close(fd);
	free(before);
}

static const struct {
	const char *name;
	void (*act)(struct thread *t, int vm);
	unsigned int weight;
	bool dma;
} table[] = {
	{ "stores", act_store, 300 },
	{ "loads", act_load, 400 },
	{ "watches", act_watch, 400 },
	{ "writes", act_write, 40 },
	{ "reads", act_read, 60 },
	{ "DMA in", act_dma_in, 8, true },
	{ "DMA out", act_dma_out, 8, true },
	{ "unmaps", act_forget, 20 },
	{ "clones", act_clone, 1 },
};

#define NR_ACTS (sizeof(table) / sizeof(table[0]))

static void *run_thread(void *data)
{
	struct thread *t = data;
	unsigned int total = 0, pick, i;
	cpu_set_t cpus;

	/* On all nodes, whatever the scheduler thinks of it. */
	CPU_ZERO(&cpus);
	CPU_SET(t->nr % sysconf(_SC_NPROCESSORS_ONLN), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	for (i = 0; i < NR_ACTS; i++)
		total += table[i].weight;
	while (!__atomic_load_n(&board->stop, __ATOMIC_RELAXED)) {
		pick = below(t, total);
		for (i = 0; pick >= table[i].weight; i++)
			pick -= table[i].weight;
		if (table[i].dma && t->scratch < 0)
			continue;
		table[i].act(t, below(t, VMS));
		__atomic_fetch_add(&board->done[i], 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static int open_scratch(unsigned int nr)
{
	char path[256];
	int fd;

	if (!scratch_folder)
		return -1;
	snprintf(path, sizeof(path), "%s/witness-%d-%u", scratch_folder,
		 getpid(), nr);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
	if (fd < 0)
		dt_die("%s", path);
	unlink(path);
	return fd;
}

static void __attribute__((noreturn)) run_process(unsigned int nr, uint64_t seed)
{
	struct thread threads[THREADS];
	void *at;

	for (int i = 0; i < THREADS; i++) {
		struct thread *t = &threads[i];

		t->nr = nr * THREADS + i;
		t->state = (seed + i * 7919) | 1;
		t->scratch = open_scratch(t->nr);
		if (posix_memalign((void **)&t->page, WORDS * 8, WORDS * 8))
			dt_die("posix_memalign");
		for (int vm = 0; vm < VMS; vm++)
			for (int view = 0; view < VIEWS; view++) {
				at = i ? threads[0].views[vm][view] :
					 (void *)dt_map_view(vms[vm], SIZE, view);
				t->views[vm][view] = at;
			}
		if (pthread_create(&t->thread, NULL, run_thread, t))
			dt_die("pthread_create");
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i].thread, NULL);
	_exit(0);
}

static void create_vms(void)
{
	char path[256];

	for (int vm = 0; vm < VMS; vm++) {
		snprintf(path, sizeof(path), "%s/ram/witness-%d-vm%d",
			 mount_point, getpid(), vm);
		vms[vm] = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
			       0600);
		if (vms[vm] < 0 || ftruncate(vms[vm], SIZE))
			dt_die("%s", path);
	}
}

/* In the end all is as it was written, also what nobody looked at. */
static bool all_right(void)
{
	uint64_t page[WORDS];

	for (int vm = 0; vm < VMS; vm++) {
		for (unsigned int i = 0; i < PAGES; i++) {
			if (pread(vms[vm], page, sizeof(page),
				  (off_t)i * WORDS * 8) != sizeof(page))
				dt_die("pread");
			if (!memcmp(page, board->shadow[vm][i], sizeof(page)))
				continue;
			printf("not ok 1 witness: in the end VM %d page %u is not what was written\n",
			       vm, i);
			return false;
		}
	}
	return true;
}

static void remove_vms(void)
{
	char path[256];

	for (int vm = 0; vm < VMS; vm++) {
		snprintf(path, sizeof(path), "%s/ram/witness-%d-vm%d",
			 mount_point, getpid(), vm);
		unlink(path);
	}
}

/* Three pages of four; the others are holes until somebody writes to them. */
static void fill_vms(void)
{
	for (int vm = 0; vm < VMS; vm++) {
		for (unsigned int page = 0; page < PAGES; page++) {
			if (page % 16 > 11)
				continue;
			for (unsigned int i = 0; i < WORDS; i++)
				set_shadow(vm, page, i,
					   next_value(vm, page, i));
			if (pwrite(vms[vm], board->shadow[vm][page], WORDS * 8,
				   (off_t)page * WORDS * 8) != WORDS * 8)
				dt_die("pwrite");
		}
	}
}

static int run_for(double seconds)
{
	uint64_t seed = (uint64_t)time(NULL) | 1;
	double end = dt_now() + seconds;
	siginfo_t ended = { .si_pid = 0 };
	pid_t pids[PROCESSES];
	int status = 0;

	for (int i = 0; i < PROCESSES; i++) {
		uint64_t own = dt_random(&seed);

		pids[i] = dt_fork();
		if (!pids[i])
			run_process(i, own);
	}
	/* A process that ends early has found something. */
	while (dt_now() < end && !board->stop && !ended.si_pid) {
		usleep(100000);
		waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT);
	}
	__atomic_store_n(&board->stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < PROCESSES; i++) {
		int one = dt_wait(pids[i]);

		if (one > 1)
			printf("# a process ended with status %d\n", one);
		if (one)
			status = 1;
	}
	return status;
}

static void on_term(int signal)
{
	(void)signal;
	__atomic_store_n(&board->stop, true, __ATOMIC_RELAXED);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 0;
	int status;

	if (argc < 3 || argc > 4 || seconds <= 0) {
		fprintf(stderr,
			"usage: witness SECONDS MOUNT [FOLDER]\n"
			"\n"
			"Uses the memory of two VMs that it makes on MOUNT, and checks every load, for\n"
			"so long or until SIGTERM.\n"
			"With a FOLDER of a file system that knows O_DIRECT there is DMA, too.\n");
		return 2;
	}
	mount_point = argv[2];
	scratch_folder = argv[3];
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED)
		dt_die("mmap");
	if (dt_page != WORDS * 8) {
		fprintf(stderr, "witness: pages have %zu bytes, not %d\n",
			dt_page, WORDS * 8);
		return 2;
	}
	printf("1..1\n");
	signal(SIGTERM, on_term);
	create_vms();
	fill_vms();
	printf("# begins\n");
	status = run_for(seconds);
	if (!status)
		status = !all_right();
	remove_vms();
	printf("#");
	for (size_t i = 0; i < NR_ACTS; i++)
		printf(" %s %lu", table[i].name, board->done[i]);
	printf("\n");
	/* On a slow machine there may be none of what is rare. */
	for (size_t i = 0; !status && i < NR_ACTS; i++)
		if (!board->done[i] && table[i].weight > 1 &&
		    (scratch_folder || !table[i].dma))
			not_ok("there were no %s", table[i].name);
	if (!status)
		printf("ok 1 witness\n");
	return status;
}
