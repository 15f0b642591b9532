// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes the mappings of its memory all the time and checks each word it
 * reads: a translation that outlives its mapping shows as a wrong word, as a
 * store that goes through or as a fault where there should be none.
 *
 *   hammer SECONDS PROCESSES [SEED]
 *
 * Every page has a stamp; each word of the page is stamp * odd number + offset.
 * Children inherit the memory by fork, write to part of it and check that they
 * see their own writes and the parent's old words, and the parent never theirs.
 *
 * No page is read before it was written: when it was, Debian 12's kernel said
 * "Bad page map" of what seems to be its zero page, on stock QEMU too.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGES 600		/* many times the TLB's */

enum state { NONE, WRITABLE, READ_ONLY, CLOSED };

static unsigned long page_bytes;
static char *base;		/* PAGES pages of address space */
static uint32_t *code;
static enum state state[PAGES];
static uint64_t stamp[PAGES];	/* 0: never written, reads as zeros */
static uint64_t rng = 88172645463325252ULL, stamps;
static unsigned long checks, faults;
static sigjmp_buf caught;
static volatile sig_atomic_t expecting;

static uint64_t any(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 9) % n;
}

static void die(const char *what, int page)
{
	printf("hammer %d: %s, page %d state %d stamp %llx\n", (int)getpid(), what, page,
	       page >= 0 ? (int)state[page] : -1,
	       page >= 0 ? (unsigned long long)stamp[page] : 0ULL);
	fflush(stdout);
	_exit(1);
}

static volatile uint64_t *word(int page, unsigned int i)
{
	return (volatile uint64_t *)(base + page * page_bytes) + i;
}

static uint64_t expected(int page, unsigned int i)
{
	return stamp[page] ? stamp[page] * 0x9e3779b97f4a7c15ULL + i : 0;
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (!expecting) {
		long offset = (char *)info->si_addr - base;

		printf("signal %d at %p: ", sig, info->si_addr);
		die("a fault where none should be",
		    offset >= 0 && offset < (long)(PAGES * page_bytes) ?
		    (int)(offset / (long)page_bytes) : -1);
	}
	expecting = 0;
	siglongjmp(caught, 1);
}

static void fill(int page)
{
	stamp[page] = ++stamps << 20 | getpid();
	for (unsigned int i = 0; i < page_bytes / 8; i++)
		*word(page, i) = expected(page, i);
}

static void check_page(int page)
{
	if (state[page] == NONE || state[page] == CLOSED) {
		if (sigsetjmp(caught, 1) == 0) {
			expecting = 1;
			(void)*word(page, any(page_bytes / 8));
			die("a load went through", page);
		}
		faults++;
		return;
	}
	if (!stamp[page]) {
		if (state[page] == READ_ONLY)
			return;
		*word(page, any(page_bytes / 8)) = 0;
	}
	for (int n = 0; n < 8; n++) {
		unsigned int i = any(page_bytes / 8);

		if (*word(page, i) != expected(page, i))
			die("wrong word", page);
		checks++;
	}
	if (state[page] == READ_ONLY && any(4) == 0) {
		if (sigsetjmp(caught, 1) == 0) {
			expecting = 1;
			*word(page, 0) = 1;
			die("a store went through", page);
		}
		faults++;
	}
}

static void map(int page, int n)
{
	if (mmap(base + page * page_bytes, n * page_bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		die("mmap failed", page);
	for (int i = page; i < page + n; i++) {
		state[i] = WRITABLE;
		stamp[i] = 0;
	}
}

static void protect(int page, int n, enum state s)
{
	int prot = s == WRITABLE ? PROT_READ | PROT_WRITE : s == READ_ONLY ? PROT_READ : PROT_NONE;

	for (int i = page; i < page + n; i++)
		if (state[i] == NONE)
			return;
	if (mprotect(base + page * page_bytes, n * page_bytes, prot))
		die("mprotect failed", page);
	for (int i = page; i < page + n; i++)
		state[i] = s;
}

/* Swap what two pages map, through a third place. */
static void exchange(int a, int b)
{
	char *pa = base + a * page_bytes, *pb = base + b * page_bytes;
	uint64_t t;
	char *tmp;

	if (a == b || state[a] == NONE || state[a] != state[b])
		return;
	tmp = mremap(pa, page_bytes, page_bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		     base + (PAGES + 4) * page_bytes);
	if (tmp == MAP_FAILED ||
	    mremap(pb, page_bytes, page_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, pa) == MAP_FAILED ||
	    mremap(tmp, page_bytes, page_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, pb) == MAP_FAILED)
		die("mremap failed", a);
	t = stamp[a];
	stamp[a] = stamp[b];
	stamp[b] = t;
}

/* Code that returns a constant, written, run, written again. */
static void self_modify(void)
{
	uint32_t value = any(30000);

	code[0] = 0x03e00008;			/* jr ra */
	code[1] = 0x24020000 | value;		/* addiu v0, zero, value */
	__builtin___clear_cache((char *)code, (char *)(code + 2));
	if (((int (*)(void))code)() != (int)value)
		die("old code ran", -1);
}

static void fork_one(void)
{
	int status;
	pid_t child = fork();

	if (child < 0)
		return;			/* no memory: not what is tested */
	if (child == 0) {
		for (int n = 0; n < 60; n++) {
			int page = any(PAGES);

			if (state[page] == WRITABLE && any(2))
				fill(page);
			check_page(page);
		}
		_exit(0);
	}
	for (int n = 0; n < 20; n++) {
		int page = any(PAGES);

		if (state[page] == WRITABLE && any(2))
			fill(page);
		check_page(page);
	}
	if (waitpid(child, &status, 0) != child || status != 0)
		die("a child failed", -1);
}

static void hammer(int seconds)
{
	time_t end = time(NULL) + seconds;

	/* Nothing is mapped later but by address: it could go where a hole is. */
	code = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		die("mmap failed", -1);
	base = mmap(NULL, (PAGES + 16) * page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		die("mmap failed", -1);
	map(0, PAGES);
	while (time(NULL) < end) {
		for (int round = 0; round < 200; round++) {
			int page = any(PAGES), n = 1 + any(any(8) ? 4 : 64);

			if (page + n > PAGES)
				n = PAGES - page;
			switch (any(32)) {
			case 0:
				munmap(base + page * page_bytes, n * page_bytes);
				for (int i = page; i < page + n; i++)
					state[i] = NONE;
				break;
			case 1 ... 2:
				map(page, n);
				break;
			case 3:
				protect(page, n, READ_ONLY);
				break;
			case 4:
				protect(page, n, CLOSED);
				break;
			case 5 ... 6:
				protect(page, n, WRITABLE);
				break;
			case 7:
				exchange(page, any(PAGES));
				break;
			case 8:
				if (state[page] == WRITABLE) {
					madvise(base + page * page_bytes, page_bytes, MADV_DONTNEED);
					stamp[page] = 0;
				}
				break;
			case 9:
				if (any(8) == 0)
					fork_one();
				break;
			case 10:
				self_modify();
				break;
			case 11 ... 16:
				if (state[page] == WRITABLE)
					fill(page);
				break;
			default:
				check_page(page);
			}
		}
	}
	for (int page = 0; page < PAGES; page++)
		check_page(page);
}

int main(int argc, char **argv)
{
	struct sigaction on = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	int processes, failed = 0, status;

	if (argc < 3) {
		fprintf(stderr, "usage: hammer SECONDS PROCESSES [SEED]\n");
		return 2;
	}
	page_bytes = sysconf(_SC_PAGESIZE);
	sigaction(SIGSEGV, &on, NULL);
	sigaction(SIGBUS, &on, NULL);
	processes = atoi(argv[2]);
	for (int i = 0; i < processes; i++) {
		if (fork() == 0) {
			rng += (uint64_t)(argc > 3 ? atoi(argv[3]) : 0) * 1000003 + i * 7919;
			hammer(atoi(argv[1]));
			printf("hammer %d: %lu words checked, %lu faults as expected\n",
			       i, checks, faults);
			fflush(stdout);
			_exit(0);
		}
	}
	for (int i = 0; i < processes; i++) {
		if (wait(&status) < 0 || status)
			failed = 1;
	}
	return failed;
}
