// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * alias [PROCESSES] - runs in a guest: maps pages of code at many addresses, calls
 * what is in them, and checks that it does what it should do there. All of it
 * depends on the address in one way or another: links, jumps inside the region
 * of 256 MiB, branches whose delay slot is on the next page, which is another
 * one elsewhere, where calls return to, and where exceptions say that they happened.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096UL
#define FIRST 0x200000000UL	/* run looks for translations from here on */
#define REGION 0x10000000UL
#define REGIONS 16
#define NEAR 0x10000UL		/* where a region has page ONE or OTHER */
#define FAR 0x30000UL		/* where it has page ONE, if it has OTHER there */
#define ROUNDS 40

/* Pages of the file */
enum { ONE, OTHER, SLOT_1, SLOT_2, SLOT_LOAD, CALLS, NR_PAGES };

/* Functions, by their place in page ONE; they return v0. */
enum {
	LINK = 0x000, JUMP = 0x040, LANDING = 0x080, CALL = 0x0c0, CALLED = 0x100,
	LOAD = 0x140, JUMP_LOAD = 0x160, TRAP = 0x180, COUNT = 0x1a0, BACK = 0x200,
	LIKELY = 0x220, NEVER_LINK = 0x260, NEVER_LIKELY_LINK = 0x280,
	JUMP_OVER = 0x2c0, BRANCH_OVER = 0xffc,
};

/* Functions in page CALLS: one returns to what is written, one to the next page. */
enum { CALL_HERE = 0x000, AFTER = 0x00c, LEAVE = 0x040, EMPTY = 0x080, CALL_LAST = 0xff4 };

enum { ZERO, V0 = 2, A0 = 4, T0 = 12, RA = 31 };

#define NOP			0
#define MOVE(rd, rs)		(0x2d | (rs) << 21 | (rd) << 11)
#define ADDI(rt, rs, imm)	(0x64000000 | (rs) << 21 | (rt) << 16 | ((imm) & 0xffff))
#define LOAD_BYTE(rt, rs)	(0x80000000 | (rs) << 21 | (rt) << 16)
#define JR(rs)			(0x8 | (rs) << 21)
#define J(at)			(0x08000000 | (at) >> 2)
#define JAL(at)			(0x0c000000 | (at) >> 2)
#define BEQ(rs, rt, words)	(0x10000000 | (rs) << 21 | (rt) << 16 | ((words) & 0xffff))
#define BNE(rs, rt, words)	(0x14000000 | (rs) << 21 | (rt) << 16 | ((words) & 0xffff))
#define BEQL(rs, rt, words)	(0x50000000 | (rs) << 21 | (rt) << 16 | ((words) & 0xffff))
#define BLTZAL(rs, words)	(0x04100000 | (rs) << 21 | ((words) & 0xffff))
#define BGEZAL(rs, words)	(0x04110000 | (rs) << 21 | ((words) & 0xffff))
#define BLTZALL(rs, words)	(0x04120000 | (rs) << 21 | ((words) & 0xffff))
#define TEQ(rs, rt)		(0x34 | (rs) << 21 | (rt) << 16)

struct function {
	unsigned int at;
	uint32_t words[8];
};

static const struct function one[] = {
	{ LINK, { MOVE(T0, RA), BGEZAL(ZERO, 1), NOP, MOVE(V0, RA), JR(T0) } },
	{ JUMP, { J(NEAR + LANDING), ADDI(V0, ZERO, 1) } },
	{ LANDING, { JR(RA), ADDI(V0, V0, 10) } },
	{ CALL, { MOVE(T0, RA), JAL(NEAR + CALLED), NOP, JR(T0) } },
	{ CALLED, { JR(RA), MOVE(V0, RA) } },
	{ LOAD, { MOVE(T0, RA), BEQ(ZERO, ZERO, 2), LOAD_BYTE(V0, A0),
		  ADDI(V0, ZERO, -1), JR(T0), ADDI(V0, V0, 1) } },
	{ JUMP_LOAD, { J(NEAR + LANDING), LOAD_BYTE(V0, A0) } },
	{ TRAP, { ADDI(V0, ZERO, 7), TEQ(ZERO, ZERO), JR(RA) } },
	{ COUNT, { MOVE(V0, ZERO), ADDI(V0, V0, 1), BNE(V0, A0, -2), NOP, JR(RA) } },
	{ BACK, { JR(RA) } },
	{ LIKELY, { ADDI(V0, ZERO, 3), BEQL(A0, ZERO, 3), ADDI(V0, V0, 5), JR(RA), NOP,
		    JR(RA), ADDI(V0, V0, 100) } },
	{ NEVER_LINK, { MOVE(T0, RA), BLTZAL(ZERO, 8), NOP, MOVE(V0, RA), JR(T0) } },
	{ NEVER_LIKELY_LINK, { MOVE(T0, RA), BLTZALL(ZERO, 8), ADDI(RA, RA, 1),
			       MOVE(V0, RA), JR(T0) } },
	/* To the last word of the page, with a jump before it. */
	{ JUMP_OVER, { BEQ(ZERO, ZERO, (BRANCH_OVER - JUMP_OVER) / 4 - 1), NOP } },
	{ BRANCH_OVER, { BEQ(ZERO, ZERO, (BACK - BRANCH_OVER) / 4 - 1) } },
};

static const struct function other[] = {
	{ LANDING, { JR(RA), ADDI(V0, V0, 20) } },
	{ CALLED, { JR(RA), ADDI(V0, RA, 1) } },
};

static const struct function calls[] = {
	{ CALL_HERE, { MOVE(T0, RA), BGEZAL(ZERO, (EMPTY - CALL_HERE) / 4 - 2), NOP,
		       ADDI(V0, ZERO, 0), JR(T0) } },
	{ LEAVE, { JR(T0), ADDI(V0, ZERO, -1) } },
	{ EMPTY, { JR(RA) } },
	{ CALL_LAST, { MOVE(T0, RA), BGEZAL(ZERO, (EMPTY - CALL_LAST) / 4 - 2), NOP } },
};

/* What has been mapped in a region */
static struct place {
	uint64_t at;		/* page ONE */
	int page_at_near, slot;
} places[REGIONS];

static uint8_t *secret;		/* a page that cannot be read, with 42 */
static uint32_t *writable;	/* page ONE */
static int landing_adds = 10;

static volatile uint64_t fault_pc, fault_addr;
static volatile int fault_signal;
static uint64_t fault_resume;	/* or 0: at the next instruction, or, for loads, again */

static void __attribute__((noreturn)) wrong(const char *what, uint64_t at,
					    uint64_t is, uint64_t should_be)
{
	printf("%s at %#llx: %#llx, not %#llx\n", what, (unsigned long long)at,
	       (unsigned long long)is, (unsigned long long)should_be);
	fflush(stdout);
	_exit(1);
}

static void expect(const char *what, uint64_t at, uint64_t is, uint64_t should_be)
{
	if (is != should_be)
		wrong(what, at, is, should_be);
}

static void *must(void *at, const char *what)
{
	if (at == MAP_FAILED) {
		perror(what);
		_exit(1);
	}
	return at;
}

static void handler(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	fault_signal = signal;
	fault_pc = uc->uc_mcontext.pc;
	fault_addr = (uint64_t)info->si_addr;
	if (fault_resume)
		uc->uc_mcontext.pc = fault_resume;
	else if (signal == SIGSEGV)
		mprotect(secret, PAGE, PROT_READ);
	else
		uc->uc_mcontext.pc += 4;
}

static uint64_t call(uint64_t at, const void *arg)
{
	uint64_t (*function)(const void *) = (uint64_t (*)(const void *))at;

	fault_signal = 0;
	return function(arg);
}

/* A call whose delay slot, of the branch at @branch, reads what it cannot yet. */
static void check_load(const char *what, uint64_t at, uint64_t branch, uint64_t should_be)
{
	mprotect(secret, PAGE, PROT_NONE);
	expect(what, at, call(at, secret), should_be);
	expect("signal of the load", at, fault_signal, SIGSEGV);
	expect("pc of the load", at, fault_pc, branch);
	expect("address of the load", at, fault_addr, (uint64_t)secret);
}

static void put(uint32_t *page, const struct function *functions, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		for (size_t j = 0; j < 8 && functions[i].at + 4 * j < PAGE; j++)
			if (functions[i].words[j])
				page[functions[i].at / 4 + j] = functions[i].words[j];
}

static void map(int fd, uint64_t at, int page)
{
	must(mmap((void *)at, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED_NOREPLACE,
		  fd, page * PAGE), "mmap of code");
}

static void map_all(int fd)
{
	for (int i = 0; i < REGIONS; i++) {
		struct place *p = &places[i];
		uint64_t region = FIRST + i * REGION;

		p->at = region + (i % 2 ? FAR : NEAR);
		p->page_at_near = i % 2 ? OTHER : ONE;
		p->slot = SLOT_1 + i / 2 % 3;
		map(fd, p->at, ONE);
		map(fd, p->at + PAGE, p->slot);
		if (p->page_at_near == OTHER)
			map(fd, region + NEAR, OTHER);
	}
}

/* The whole of a region, in an order that differs */
static void check_place(const struct place *p, unsigned int random)
{
	int landing = p->page_at_near == ONE ? landing_adds : 20;
	uint64_t link;

	for (int i = 0; i < 12; i++) {
		uint64_t at = p->at;

		switch ((i * 5 + random) % 12) {
		case 0:
			expect("link", at, call(at + LINK, NULL), at + LINK + 12);
			break;
		case 1:
			expect("jump", at, call(at + JUMP, NULL), 1 + landing);
			break;
		case 2:
			link = at + CALL + 12;
			expect("call", at, call(at + CALL, NULL),
			       link + (p->page_at_near == OTHER));
			break;
		case 3:
			check_load("load", at + LOAD, at + LOAD + 4, 43);
			break;
		case 4:
			check_load("load after a jump", at + JUMP_LOAD, at + JUMP_LOAD,
				   42 + landing);
			break;
		case 5:
			expect("trap", at, call(at + TRAP, NULL), 7);
			expect("signal of the trap", at, fault_signal, SIGTRAP);
			expect("pc of the trap", at, fault_pc, at + TRAP + 4);
			break;
		case 6:
			expect("count", at, call(at + COUNT, (void *)100), 100);
			break;
		case 7:
			expect("likely, taken", at, call(at + LIKELY, NULL), 108);
			expect("likely, not taken", at, call(at + LIKELY, (void *)1), 3);
			break;
		case 8:
			expect("link without a branch", at, call(at + NEVER_LINK, NULL),
			       at + NEVER_LINK + 12);
			expect("link without a likely branch", at,
			       call(at + NEVER_LIKELY_LINK, NULL), at + NEVER_LIKELY_LINK + 12);
			break;
		case 9:
		case 10:
			at += random & 1 ? BRANCH_OVER : JUMP_OVER;
			if (p->slot == SLOT_LOAD)
				check_load("slot on the next page", at, p->at + BRANCH_OVER, 42);
			else
				expect("slot on the next page", at, call(at, NULL),
				       p->slot == SLOT_1 ? 1 : 2);
			break;
		case 11:
			fault_resume = at + BACK;
			call(at + BACK + 2, NULL);
			fault_resume = 0;
			expect("signal of a jump to no word", at, fault_signal, SIGBUS);
			expect("pc of a jump to no word", at, fault_pc, at + BACK + 2);
			break;
		}
	}
}

static void check_all(unsigned int random)
{
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < REGIONS; i++) {
			random = random * 1103515245 + 12345;
			check_place(&places[(i * 7 + random / 65536) % REGIONS], random >> 8);
		}
	}
}

/*
 * Jumps to a page that is another one each time, and gone in between. Two processes
 * do it in turn, with different pages at the same address.
 */
static void check_moves(int fd, int first)
{
	uint64_t from = FIRST + REGION + FAR, to = FIRST + REGION + NEAR;

	for (int i = 0; i < 101; i++) {
		int page = (i + first) % 2 ? ONE : OTHER;

		munmap((void *)to, PAGE);
		fault_resume = from + BACK;
		call(from + JUMP, NULL);
		fault_resume = 0;
		expect("signal of a jump to no page", from, fault_signal, SIGSEGV);
		expect("pc of a jump to no page", from, fault_pc, to + LANDING);

		map(fd, to, page);
		for (int j = 0; j < 4; j++) {
			expect("jump to a page that moves", from, call(from + JUMP, NULL),
			       1 + (page == ONE ? landing_adds : 20));
			sched_yield();
		}
	}
}

/*
 * Calls that return to the next page, which is another one each time, or gone, and
 * to code that is written anew. The processes have different pages there.
 */
static void check_returns(int fd, uint32_t *written, int first)
{
	uint64_t at = FIRST + 2 * REGION + FAR;

	map(fd, at, CALLS);
	for (int i = 0; i < 101; i++) {
		int page = (i + first) % 2 ? SLOT_1 : SLOT_2;

		fault_resume = at + LEAVE;
		expect("return to no page", at, call(at + CALL_LAST, NULL), -1);
		fault_resume = 0;
		expect("signal of a return to no page", at, fault_signal, SIGSEGV);
		expect("pc of a return to no page", at, fault_pc, at + PAGE);

		map(fd, at + PAGE, page);
		for (int j = 0; j < 4; j++) {
			expect("return to a page that changes", at,
			       call(at + CALL_LAST, NULL), page == SLOT_1 ? 1 : 2);
			sched_yield();
		}
		munmap((void *)(at + PAGE), PAGE);

		/* Few times: each of these is translated anew. */
		if (!written || i >= 3)
			continue;
		/* Nothing else happens between a return and a change of what it went to. */
		for (int j = 0; j < 8; j++) {
			if (j % 2 == 0)
				written[AFTER / 4] = ADDI(V0, ZERO, i + j);
			__builtin___clear_cache((char *)&written[AFTER / 4],
						(char *)&written[AFTER / 4 + 1]);
			expect("return to code that changes", at,
			       call(at + CALL_HERE, NULL), i + j - j % 2);
		}
	}
}

int main(int argc, char **argv)
{
	int processes = argc > 1 ? atoi(argv[1]) : 1, status, bad = 0;
	int fd = memfd_create("code", 0);
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	uint32_t *pages;

	if (fd < 0 || ftruncate(fd, NR_PAGES * PAGE)) {
		perror("memfd");
		return 1;
	}
	pages = must(mmap(NULL, NR_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
		     "mmap");
	writable = pages + ONE * PAGE / 4;
	put(writable, one, sizeof(one) / sizeof(*one));
	put(pages + OTHER * PAGE / 4, other, sizeof(other) / sizeof(*other));
	pages[SLOT_1 * PAGE / 4] = ADDI(V0, ZERO, 1);
	pages[SLOT_2 * PAGE / 4] = ADDI(V0, ZERO, 2);
	pages[SLOT_LOAD * PAGE / 4] = LOAD_BYTE(V0, A0);
	/* These two are returned to as well. */
	pages[SLOT_1 * PAGE / 4 + 1] = pages[SLOT_2 * PAGE / 4 + 1] = JR(T0);
	put(pages + CALLS * PAGE / 4, calls, sizeof(calls) / sizeof(*calls));
	__builtin___clear_cache((char *)pages, (char *)pages + NR_PAGES * PAGE);
	map_all(fd);

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGTRAP, &action, NULL);
	sigaction(SIGBUS, &action, NULL);

	if (fork() == 0) {
		check_moves(fd, 1);
		check_returns(fd, NULL, 1);
		_exit(0);
	}
	check_moves(fd, 0);
	check_returns(fd, pages + CALLS * PAGE / 4, 0);

	for (int i = 0; i < processes; i++) {
		if (fork() == 0) {
			secret = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), "mmap");
			secret[0] = 42;
			check_all(i);
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		bad |= status;
	if (bad)
		return 1;

	/* Code that changes, at all its addresses */
	secret = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0), "mmap");
	secret[0] = 42;
	for (landing_adds = 100; landing_adds < 110; landing_adds++) {
		writable[LANDING / 4 + 1] = ADDI(V0, V0, landing_adds);
		__builtin___clear_cache((char *)&writable[LANDING / 4],
					(char *)&writable[LANDING / 4 + 2]);
		for (int i = 0; i < REGIONS; i++)
			check_place(&places[i], landing_adds + i);
	}
	puts("right at all addresses");
	return 0;
}
