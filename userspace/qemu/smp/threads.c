// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that change mappings under each other and check what they read: a
 * translation that outlives its mapping on another processor shows as an old
 * word, as a load or store that goes through, or as a fault without a reason.
 *
 *   threads SECONDS THREADS
 *
 * Each page has an owner, the only thread to change its mapping and to fill it,
 * and a tag that says what all others must find there. The tag is odd while the
 * owner is at work; what a reader found counts only if the tag is the same even
 * number before and after. The first word of a page is for stores that should
 * not go through: the owner may open the page in between, so it is not checked.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGES 512		/* many times the TLB's */

enum state { WRITABLE, READ_ONLY, CLOSED };

/* In a tag: bit 0 busy, bits 1 and 2 the state, above them a count. */
static _Atomic uint64_t tags[PAGES];
static char *base;
static size_t page_bytes;
static int threads;
static time_t end;
static atomic_ulong checks, faults, changes;

static __thread uint64_t rng;
static __thread sigjmp_buf caught;
static __thread volatile sig_atomic_t expecting;

static uint64_t any(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 9) % n;
}

static void die(const char *what, int page, uint64_t tag)
{
	printf("threads: %s, page %d tag %llx\n", what, page, (unsigned long long)tag);
	fflush(stdout);
	_exit(1);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (!expecting)
		die("a fault outside of a check", ((char *)info->si_addr - base) / (long)page_bytes, 0);
	expecting = 0;
	siglongjmp(caught, 1);
}

static char *address(int page)
{
	return base + page * page_bytes;
}

static volatile uint64_t *word(int page, unsigned int i)
{
	return (volatile uint64_t *)address(page) + i;
}

static enum state state_of(uint64_t tag)
{
	return tag >> 1 & 3;
}

/* Contents depend on the count of the last fill, which the page's owner keeps. */
static uint64_t contents[PAGES];

static uint64_t expected(uint64_t fill, int page, unsigned int i)
{
	return (fill * PAGES + page) * 0x9e3779b97f4a7c15ULL + i;
}

static void fill(int page)
{
	contents[page]++;
	for (unsigned int i = 1; i < page_bytes / 8; i++)
		*word(page, i) = expected(contents[page], page, i);
}

static void map_new(int page)
{
	if (mmap(address(page), page_bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		die("mmap failed", page, tags[page]);
	fill(page);
}

static void protect(int page, int prot)
{
	if (mprotect(address(page), page_bytes, prot))
		die("mprotect failed", page, tags[page]);
}

/* The page itself moves away and back, something else is there in between. */
static void move_away(int page, int self)
{
	char *spare = address(PAGES + self);

	if (mremap(address(page), page_bytes, page_bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		   spare) == MAP_FAILED)
		die("mremap failed", page, tags[page]);
	if (mmap(address(page), page_bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		die("mmap failed", page, tags[page]);
	*word(page, 1) = ~0ULL;
	if (mremap(spare, page_bytes, page_bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		   address(page)) == MAP_FAILED)
		die("mremap failed", page, tags[page]);
}

static void change(int page, int self)
{
	uint64_t tag = atomic_load(&tags[page]);
	enum state state = state_of(tag);

	atomic_store(&tags[page], tag | 1);
	atomic_thread_fence(memory_order_seq_cst);
	switch (any(8)) {
	case 0 ... 1:
		munmap(address(page), page_bytes);
		map_new(page);
		state = WRITABLE;
		break;
	case 2:
		map_new(page);
		state = WRITABLE;
		break;
	case 3:
		protect(page, PROT_NONE);
		state = CLOSED;
		break;
	case 4:
		protect(page, PROT_READ);
		state = READ_ONLY;
		break;
	case 5:
		protect(page, PROT_READ | PROT_WRITE);
		if (madvise(address(page), page_bytes, MADV_DONTNEED))
			die("madvise failed", page, tag);
		fill(page);
		state = WRITABLE;
		break;
	case 6:
		move_away(page, self);
		break;
	default:
		protect(page, PROT_READ | PROT_WRITE);
		fill(page);
		state = WRITABLE;
	}
	atomic_thread_fence(memory_order_seq_cst);
	atomic_store(&tags[page], ((tag >> 3) + 1) << 3 | state << 1);
	atomic_fetch_add_explicit(&changes, 1, memory_order_relaxed);
}

/* True if the page was as its tag says all the time since the tag was read. */
static int unchanged(int page, uint64_t tag)
{
	atomic_thread_fence(memory_order_seq_cst);
	return !(tag & 1) && atomic_load(&tags[page]) == tag;
}

static void check_load(int page)
{
	uint64_t tag = atomic_load(&tags[page]), fills, found[4];
	unsigned int at[4];

	atomic_thread_fence(memory_order_seq_cst);
	fills = contents[page];
	for (int i = 0; i < 4; i++)
		at[i] = 1 + any(page_bytes / 8 - 1);
	if (sigsetjmp(caught, 1)) {
		if (unchanged(page, tag) && state_of(tag) != CLOSED)
			die("a load faulted", page, tag);
		atomic_fetch_add_explicit(&faults, 1, memory_order_relaxed);
		return;
	}
	expecting = 1;
	for (int i = 0; i < 4; i++)
		found[i] = *word(page, at[i]);
	expecting = 0;
	if (!unchanged(page, tag))
		return;
	if (state_of(tag) == CLOSED)
		die("a load went through", page, tag);
	for (int i = 0; i < 4; i++)
		if (found[i] != expected(fills, page, at[i]))
			die("an old word", page, tag);
	atomic_fetch_add_explicit(&checks, 1, memory_order_relaxed);
}

static void check_store(int page)
{
	uint64_t tag = atomic_load(&tags[page]);

	if (sigsetjmp(caught, 1)) {
		if (unchanged(page, tag) && state_of(tag) == WRITABLE)
			die("a store faulted", page, tag);
		atomic_fetch_add_explicit(&faults, 1, memory_order_relaxed);
		return;
	}
	expecting = 1;
	*word(page, 0) = rng;
	expecting = 0;
	if (unchanged(page, tag) && state_of(tag) != WRITABLE)
		die("a store went through", page, tag);
	atomic_fetch_add_explicit(&checks, 1, memory_order_relaxed);
}

static void *work(void *arg)
{
	int self = (intptr_t)arg, page;

	rng = 88172645463325252ULL + self * 7919;
	while (time(NULL) < end) {
		for (int round = 0; round < 500; round++) {
			page = any(PAGES);
			if (page % threads == self && any(2))
				change(page, self);
			else if (any(4))
				check_load(page);
			else
				check_store(page);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction on = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	pthread_t all[64];

	threads = argc == 3 ? atoi(argv[2]) : 0;
	if (threads < 1 || threads > 64) {
		fprintf(stderr, "usage: threads SECONDS THREADS, up to 64 of them\n");
		return 2;
	}
	page_bytes = sysconf(_SC_PAGESIZE);
	end = time(NULL) + atoi(argv[1]);
	sigaction(SIGSEGV, &on, NULL);
	sigaction(SIGBUS, &on, NULL);
	base = mmap(NULL, (PAGES + threads) * page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (base == MAP_FAILED)
		die("mmap failed", -1, 0);
	for (int page = 0; page < PAGES; page++)
		map_new(page);
	for (int i = 0; i < threads; i++)
		if (pthread_create(&all[i], NULL, work, (void *)(intptr_t)i))
			die("pthread_create failed", -1, 0);
	for (int i = 0; i < threads; i++)
		pthread_join(all[i], NULL);
	printf("threads: %lu checks, %lu faults as expected, %lu changes\n", checks, faults, changes);
	return 0;
}
