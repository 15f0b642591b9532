// SPDX-License-Identifier: GPL-2.0-only
/*
 * SWL, SWR, SDL and SDR, which store part of an aligned word, against a model that
 * stores one byte after the other: at all alignments, in pages that were used, never
 * touched, made from translated code or not writable, where the fault has to name the
 * address of the instruction and nothing may be stored.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define VALUE	0x8899aabbccddeeffULL
#define PAGE	4096

enum { SWL, SWR, SDL, SDR, OPS };

static const char *const names[OPS] = { "swl", "swr", "sdl", "sdr" };
static sigjmp_buf caught;
static void *fault_address;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	fault_address = info->si_addr;
	siglongjmp(caught, 1);
}

static void store(int op, uint8_t *at)
{
	switch (op) {
	case SWL:
		asm volatile("swl %0, 0(%1)" : : "r"(VALUE), "r"(at) : "memory");
		break;
	case SWR:
		asm volatile("swr %0, 0(%1)" : : "r"(VALUE), "r"(at) : "memory");
		break;
	case SDL:
		asm volatile("sdl %0, 0(%1)" : : "r"(VALUE), "r"(at) : "memory");
		break;
	case SDR:
		asm volatile("sdr %0, 0(%1)" : : "r"(VALUE), "r"(at) : "memory");
		break;
	}
}

/* Little-endian: left stores down from the address, right up from it. */
static void model(int op, uint8_t *m, unsigned at)
{
	unsigned bytes = op < SDL ? 4 : 8, i, in = at % bytes;

	if (op == SWL || op == SDL)
		for (i = 0; i <= in; i++)
			m[at - i] = VALUE >> (bytes - 1 - i) * 8;
	else
		for (i = 0; i < bytes - in; i++)
			m[at + i] = VALUE >> i * 8;
}

static void *page(int prot)
{
	void *p = mmap(NULL, PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return p;
}

static void check(const char *where, int op, unsigned at, const uint8_t *got,
		  const uint8_t *want)
{
	if (!memcmp(got, want, PAGE))
		return;
	printf("%s at offset %u of a page %s: the wrong bytes\n", names[op], at, where);
	exit(1);
}

static void everywhere(int op, unsigned at)
{
	static uint8_t want[PAGE];
	uint8_t *p = page(PROT_READ | PROT_WRITE);

	memset(want, 0, PAGE);
	model(op, want, at);
	store(op, p + at);
	check("never touched", op, at, p, want);

	memset(p, 0x11, PAGE);
	memset(want, 0x11, PAGE);
	model(op, want, at);
	store(op, p + at);
	check("just written", op, at, p, want);

	if (mprotect(p, PAGE, PROT_READ))
		perror("mprotect");
	if (!sigsetjmp(caught, 1)) {
		store(op, p + at);
		printf("%s wrote to a read-only page\n", names[op]);
		exit(1);
	}
	if (fault_address != p + at) {
		printf("%s at %p: the fault was at %p\n", names[op], p + at, fault_address);
		exit(1);
	}
	check("read-only", op, at, p, want);
	munmap(p, PAGE);
}

/* li $2, N; jr $31 runs; its N is stored anew by part of a word; so on. */
static void in_code(int op)
{
	uint32_t *p = page(PROT_READ | PROT_WRITE | PROT_EXEC);
	unsigned bytes = op < SDL ? 4 : 8, n;

	for (n = 0; n < bytes; n++) {
		uint32_t text[4] = { 0x24020000 | (n + 1), 0x03e00008, 0, 0 };
		uint8_t want[PAGE] = { 0 };
		int (*f)(void) = (int (*)(void))p;
		int got;

		memcpy(p, text, sizeof(text));
		__builtin___clear_cache((char *)p, (char *)(p + 4));
		got = f();
		if (got != (int)n + 1) {
			printf("code returned %d for %u\n", got, n + 1);
			exit(1);
		}
		/* After the code, in its page, and then its first bytes. */
		memcpy(want, text, sizeof(text));
		model(op, want, 64 + n);
		store(op, (uint8_t *)p + 64 + n);
		check("with code", op, 64 + n, (uint8_t *)p, want);
		memset(p, 0, PAGE);
	}
	munmap(p, PAGE);
}

/* The half of an instruction that says what the code returns */
static void new_code(void)
{
	uint32_t *p = page(PROT_READ | PROT_WRITE | PROT_EXEC);
	uint32_t text[3] = { 0x24020001, 0x03e00008, 0 };
	int (*f)(void) = (int (*)(void))p;
	unsigned n;

	memcpy(p, text, sizeof(text));
	__builtin___clear_cache((char *)p, (char *)(p + 3));
	for (n = 0; n < 2000; n++) {
		uint64_t half = (uint64_t)(n & 0x7fff) << 16;

		/* Down from offset 1: the low half is bytes 3 and 2 of the register. */
		asm volatile("swl %0, 1(%1)" : : "r"(half), "r"(p) : "memory");
		__builtin___clear_cache((char *)p, (char *)(p + 3));
		if (f() != (int)n) {
			printf("code changed by swl returned %d for %u\n", f(), n);
			exit(1);
		}
	}
	munmap(p, PAGE);
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	unsigned at;
	int op;

	sigaction(SIGSEGV, &action, NULL);
	for (op = 0; op < OPS; op++) {
		for (at = 0; at < 16; at++) {
			everywhere(op, at);
			everywhere(op, PAGE - 16 + at);
		}
		in_code(op);
	}
	new_code();
	return 0;
}
