// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * smc [PAIRS] - runs in a guest, for ever: changes code and data and checks that
 * what it sees is what it wrote. Says "alive" and a number each second; ends
 * with a message when something is wrong.
 *
 * Each pair is a writer and a runner. The writer makes a new function in a page
 * that it has mapped for writing; the runner calls the function through another
 * mapping, so that only the physical page tells that the code has changed. On
 * several VCPUs the two may be in different views of it. Both change and check
 * data in pages that are mapped twice as well.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES 64

struct pair {
	uint32_t *code, *run;		/* one page, mapped twice */
	uint64_t *data, *data_again;	/* PAGES, mapped twice */
	size_t page;
	uint32_t turn;			/* odd: the runner's */
};

static uint64_t calls;

static void __attribute__((noreturn)) wrong(const char *what, uint64_t is,
					    uint64_t should_be)
{
	printf("wrong %s: %#llx, not %#llx\n", what, (unsigned long long)is,
	       (unsigned long long)should_be);
	fflush(stdout);
	exit(1);
}

static void *map(int fd, size_t size, int prot)
{
	void *at = mmap(NULL, size, prot, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return at;
}

static void wait_for(struct pair *p, uint32_t turn)
{
	while (__atomic_load_n(&p->turn, __ATOMIC_ACQUIRE) != turn)
		sched_yield();
}

static void pass(struct pair *p, uint32_t turn)
{
	__atomic_store_n(&p->turn, turn + 1, __ATOMIC_RELEASE);
}

/* lui $2, high; jr $31; ori $2, $2, low: a function that returns @value. */
static void write_function(struct pair *p, uint32_t value)
{
	p->code[0] = 0x3c020000 | value >> 16;
	p->code[1] = 0x03e00008;
	p->code[2] = 0x34420000 | (value & 0xffff);
	__builtin___clear_cache((char *)p->code, (char *)(p->code + 3));
}

/* Everything that the last turn wrote, seen where it did not write it. */
static void check_and_write(struct pair *p, uint64_t *read, uint64_t *write,
			    uint32_t turn)
{
	size_t words = p->page / sizeof(*read);

	for (size_t i = 0; i < PAGES; i++) {
		size_t word = i * words + (turn + i) % words;
		uint64_t last = turn ? (uint64_t)(turn - 1) << 32 | i : 0;
		size_t last_word = i * words + (turn - 1 + i) % words;

		if (read[last_word] != last)
			wrong("data", read[last_word], last);
		write[word] = (uint64_t)turn << 32 | i;
	}
}

static void *writer(void *arg)
{
	struct pair *p = arg;

	for (uint32_t turn = 0;; turn += 2) {
		wait_for(p, turn);
		write_function(p, turn * 0x9e3779b1u & 0x7fffffff);
		check_and_write(p, p->data, p->data_again, turn);
		pass(p, turn);
	}
	return NULL;
}

static void *runner(void *arg)
{
	struct pair *p = arg;
	uint32_t (*function)(void) = (uint32_t (*)(void))(uintptr_t)p->run;

	for (uint32_t turn = 1;; turn += 2) {
		uint32_t value, expected = (turn - 1) * 0x9e3779b1u & 0x7fffffff;

		wait_for(p, turn);
		__builtin___clear_cache((char *)p->run, (char *)(p->run + 3));
		value = function();
		if (value != expected)
			wrong("code", value, expected);
		check_and_write(p, p->data_again, p->data, turn);
		pass(p, turn);
		__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int pairs = argc > 1 ? atoi(argv[1]) : 1;
	pthread_t thread;

	for (int i = 0; i < pairs; i++) {
		struct pair *p = calloc(1, sizeof(*p));
		int code = memfd_create("code", 0), data = memfd_create("data", 0);

		if (!p || code < 0 || data < 0) {
			perror("smc");
			return 1;
		}
		p->page = getpagesize();
		if (ftruncate(code, p->page) || ftruncate(data, PAGES * p->page)) {
			perror("ftruncate");
			return 1;
		}
		p->code = map(code, p->page, PROT_READ | PROT_WRITE);
		p->run = map(code, p->page, PROT_READ | PROT_EXEC);
		p->data = map(data, PAGES * p->page, PROT_READ | PROT_WRITE);
		p->data_again = map(data, PAGES * p->page, PROT_READ | PROT_WRITE);
		if (pthread_create(&thread, NULL, writer, p) ||
		    pthread_create(&thread, NULL, runner, p)) {
			perror("pthread_create");
			return 1;
		}
	}
	for (;;) {
		sleep(1);
		printf("alive %llu\n", (unsigned long long)
		       __atomic_load_n(&calls, __ATOMIC_RELAXED));
		fflush(stdout);
	}
}
