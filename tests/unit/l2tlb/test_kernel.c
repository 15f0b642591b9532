// SPDX-License-Identifier: GPL-2.0-only
/*
 * A small kernel with page tables, which handles its TLB the way Linux for
 * MIPS does (arch/mips/mm/tlbex.c, tlb-r4k.c, context.c, init.c): refill by
 * tlbwr with whatever the page table says, faults that probe and rewrite,
 * flushes by probe or by a new ASID or all at once, page table entries that
 * gain permissions without a flush, kmap through a wired entry.
 *
 * Every access must end at the frame that the page table names now.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cpu.h"

#define MMS		6
#define PAGES		512		/* per address space */
#define HUGE		256		/* 4 KiB pages in a 1 MiB page */
#define FIRST_ASID	0x100

#define USER		0x0000000120000000ULL
#define USER_HUGE	0x0000000200000000ULL
#define KERNEL		0xc000000000000000ULL
#define KMAP		0xc00003ffff800000ULL
#define UNMAPPED	0xc00003ff80000000ULL

#define PRESENT		(1ULL << 62)	/* software's bit, beside the hardware's */

struct mm {
	uint64_t context;		/* generation and ASID; 0: none yet */
	uint64_t pte[PAGES];
	uint64_t huge[2];		/* a pair of 1 MiB pages */
	bool is_huge;
};

struct kernel {
	struct cpu c;
	uint64_t asid_cache;
	uint64_t asids;			/* size of a generation */
	uint64_t frames;		/* used so far: no frame is used twice */
	struct mm mm[MMS];
	struct mm *now;
	uint64_t vmalloc[PAGES];
	uint64_t faults;
};

static long ops_wanted = 400000;
static unsigned long seed = 1;

static uint64_t new_frame(struct kernel *k)
{
	return ++k->frames << 20;
}

static struct disco_l2tlb_pair pair(struct kernel *k, uint64_t va, uint64_t lo0, uint64_t lo1,
				    uint32_t pagemask, bool global)
{
	return (struct disco_l2tlb_pair) {
		.vpn = va & ~(uint64_t)(pagemask | 0x1fff),
		.lo = { lo0 & ~PRESENT, lo1 & ~PRESENT },
		.tag = k->c.tag,
		.pagemask = pagemask,
		.global = global,
	};
}

static void unused(struct kernel *k, uint32_t index)
{
	struct disco_l2tlb_pair p = pair(k, UNMAPPED + index * 0x2000, 0, 0, 0, false);

	cpu_tlbwi(&k->c, index, &p);
}

static void flush_all(struct kernel *k)
{
	for (uint32_t i = k->c.wired; i < k->c.nr_indices; i++)
		unused(k, i);
}

static uint32_t asid(struct kernel *k, struct mm *mm)
{
	return mm->context % k->asids;
}

static void new_context(struct kernel *k, struct mm *mm)
{
	if (++k->asid_cache % k->asids == 0)
		flush_all(k);
	mm->context = k->asid_cache;
}

static void switch_to(struct kernel *k, struct mm *mm)
{
	if (mm->context / k->asids != k->asid_cache / k->asids)
		new_context(k, mm);
	k->now = mm;
	cpu_set_tag(&k->c, asid(k, mm));
}

static void drop_context(struct kernel *k, struct mm *mm)
{
	if (mm == k->now) {
		new_context(k, mm);
		cpu_set_tag(&k->c, asid(k, mm));
	} else {
		mm->context = 0;
	}
}

static void flush_page(struct kernel *k, struct mm *mm, uint64_t va)
{
	uint32_t old = k->c.tag;
	int index;

	if (mm && !mm->context)
		return;
	if (mm)
		cpu_set_tag(&k->c, asid(k, mm));
	index = cpu_tlbp(&k->c, va);
	if (index >= 0) {
		cpu_set_tag(&k->c, 0);		/* EntryHi gets an unmapped VPN */
		unused(k, index);
	}
	cpu_set_tag(&k->c, old);
}

static void flush_range(struct kernel *k, struct mm *mm, uint64_t va, int pages)
{
	if (pages > (int)k->c.nr_indices / 2) {
		if (mm)
			drop_context(k, mm);
		else
			flush_all(k);
		return;
	}
	for (int i = 0; i <= pages / 2; i++)
		flush_page(k, mm, va + i * 0x2000);
}

static uint64_t *find_pte(struct kernel *k, uint64_t va)
{
	if (va >= KERNEL)
		return &k->vmalloc[(va - KERNEL) / 4096];
	if (va >= USER_HUGE)
		return &k->now->huge[(va - USER_HUGE) / (HUGE * 4096)];
	return &k->now->pte[(va - USER) / 4096];
}

static struct disco_l2tlb_pair pte_pair(struct kernel *k, uint64_t va)
{
	bool huge = va >= USER_HUGE && va < KERNEL && k->now->is_huge;
	uint64_t *pte = find_pte(k, va);
	uint64_t *even = (uint64_t *)((uintptr_t)pte & ~(uintptr_t)15);

	if (va >= USER_HUGE && va < KERNEL && !huge)	/* the same range, in small pages */
		return pair(k, va, 0, 0, 0, false);
	return pair(k, va, even[0], even[1], huge ? 0x1fe000 : 0, va >= KERNEL);
}

static void update_tlb(struct kernel *k, uint64_t va)
{
	struct disco_l2tlb_pair p = pte_pair(k, va);
	int index = cpu_tlbp(&k->c, va);

	if (index < 0)
		cpu_tlbwr(&k->c, &p);
	else
		cpu_tlbwi(&k->c, index, &p);
}

/* Page fault: what is missing and allowed is given, with or without an update of the TLB. */
static void fault(struct kernel *k, uint64_t va, enum disco_l2tlb_access access)
{
	uint64_t *pte = find_pte(k, va);

	k->faults++;
	if (cpu_random(&k->c, 16) == 0)
		cpu_interrupt(&k->c);
	if (!(*pte & PRESENT))
		*pte = new_frame(k) | PRESENT | DISCO_L2TLB_V;
	*pte |= DISCO_L2TLB_V;
	switch (access) {
	case DISCO_L2TLB_STORE:
		*pte |= DISCO_L2TLB_D;
		break;
	case DISCO_L2TLB_LOAD:
		*pte &= ~DISCO_L2TLB_RI;
		break;
	case DISCO_L2TLB_FETCH:
		*pte &= ~DISCO_L2TLB_XI;
		break;
	}
	if (cpu_random(&k->c, 8))
		update_tlb(k, va);
}

static void touch(struct kernel *k, uint64_t va, enum disco_l2tlb_access access, long op)
{
	struct disco_l2tlb_pair p;
	uint64_t lo, pte;

	for (int tries = 0; tries < 32; tries++) {
		switch (cpu_access(&k->c, va, access, &lo)) {
		case CPU_OK:
			pte = *find_pte(k, va);
			p = pte_pair(k, va);
			if ((lo ^ cpu_page(&p, va)) & DISCO_L2TLB_FRAME)
				fail_msg("op %ld: %" PRIx64 " is at %" PRIx64 ", should be %" PRIx64,
					 op, va, lo, cpu_page(&p, va));
			if (!cpu_permits(pte, access))
				fail_msg("op %ld: %" PRIx64 ": access %d went through with %" PRIx64,
					 op, va, access, pte);
			return;
		case CPU_REFILL:
			p = pte_pair(k, va);
			cpu_tlbwr(&k->c, &p);
			break;
		case CPU_DENIED:
			fault(k, va, access);
			break;
		}
	}
	fail_msg("op %ld: no end to faults at %" PRIx64, op, va);
}

/* Through a wired entry to another frame, and back; faults in between. */
static void kmap(struct kernel *k, long op)
{
	uint64_t frame = new_frame(k), va, lo;
	struct disco_l2tlb_pair p;
	uint32_t index = k->c.wired;

	if (index + 4 > k->c.nr_indices)
		return;
	va = KMAP + index * 0x2000;
	p = pair(k, va, frame | 3, frame | 3, 0, true);
	k->c.wired = index + 1;
	cpu_tlbwi(&k->c, index, &p);
	for (int i = 0; i < 4; i++) {
		touch(k, USER + cpu_random(&k->c, PAGES) * 4096, DISCO_L2TLB_LOAD, op);
		assert_int_equal(cpu_access(&k->c, va, DISCO_L2TLB_STORE, &lo), CPU_OK);
		assert_int_equal(lo & DISCO_L2TLB_FRAME, frame);
	}
	if (cpu_random(&k->c, 4) == 0)
		kmap(k, op);
	k->c.wired = index;
	unused(k, index);
	/* Nothing is mapped there now; what the kernel maps next may differ. */
	if (cpu_access(&k->c, va, DISCO_L2TLB_LOAD, &lo) == CPU_OK)
		fail_msg("op %ld: kmap still maps %" PRIx64, op, lo);
}

static uint64_t user_page(struct kernel *k)
{
	/* Mostly a working set of 64 pages, four times the smallest TLB. */
	return USER + (cpu_random(&k->c, 8) ? cpu_random(&k->c, 64) : cpu_random(&k->c, PAGES)) * 4096;
}

static void step(struct kernel *k, long op)
{
	enum disco_l2tlb_access access = cpu_random(&k->c, 3);
	struct mm *mm = &k->mm[cpu_random(&k->c, MMS)];
	uint64_t va, *pte;
	int pages;

	switch (cpu_random(&k->c, 1000)) {
	default:
		touch(k, user_page(k), access, op);
		return;
	case 0 ... 99:
		touch(k, KERNEL + cpu_random(&k->c, 64) * 4096, DISCO_L2TLB_STORE, op);
		return;
	case 100 ... 119:
		if (k->now->is_huge)
			touch(k, USER_HUGE + cpu_random(&k->c, 2 * HUGE) * 4096, access, op);
		return;
	case 120 ... 139:
		switch_to(k, mm);
		return;
	case 140 ... 149:		/* another frame, as after a copy on write */
		va = user_page(k);
		pte = &mm->pte[(va - USER) / 4096];
		if (*pte & PRESENT) {
			*pte = new_frame(k) | PRESENT | DISCO_L2TLB_V | DISCO_L2TLB_D;
			flush_page(k, mm, va);
		}
		return;
	case 150 ... 154:		/* munmap */
		pages = 1 + cpu_random(&k->c, cpu_random(&k->c, 4) ? 8 : 64);
		va = cpu_random(&k->c, PAGES - pages);
		memset(&mm->pte[va], 0, pages * sizeof(*pte));
		flush_range(k, mm, USER + va * 4096, pages);
		return;
	case 155 ... 159:		/* mprotect: fewer permissions */
		pages = 1 + cpu_random(&k->c, 8);
		va = cpu_random(&k->c, PAGES - pages);
		for (int i = 0; i < pages; i++) {
			pte = &mm->pte[va + i];
			if (*pte & PRESENT)
				*pte = (*pte & ~DISCO_L2TLB_D) | DISCO_L2TLB_RI | DISCO_L2TLB_XI;
		}
		flush_range(k, mm, USER + va * 4096, pages);
		return;
	case 160 ... 169:		/* more permissions, no flush */
		pte = &mm->pte[cpu_random(&k->c, PAGES)];
		if (*pte & PRESENT)
			*pte = (*pte | DISCO_L2TLB_V | DISCO_L2TLB_D) &
			       ~(DISCO_L2TLB_RI | DISCO_L2TLB_XI);
		return;
	case 170 ... 171:		/* fork: write-protect all */
		for (int i = 0; i < PAGES; i++)
			mm->pte[i] &= ~DISCO_L2TLB_D;
		drop_context(k, mm);
		return;
	case 172:			/* exec: all new */
		memset(mm->pte, 0, sizeof(mm->pte));
		memset(mm->huge, 0, sizeof(mm->huge));
		mm->is_huge = false;
		drop_context(k, mm);
		return;
	case 173 ... 176:		/* old pages age: valid goes, present stays */
		va = user_page(k);
		pte = &mm->pte[(va - USER) / 4096];
		*pte &= ~DISCO_L2TLB_V;
		flush_page(k, mm, va);
		return;
	case 177 ... 179:		/* vfree */
		pages = 1 + cpu_random(&k->c, 6);
		va = cpu_random(&k->c, 64 - pages);
		memset(&k->vmalloc[va], 0, pages * sizeof(*pte));
		flush_range(k, NULL, KERNEL + va * 4096, pages);
		return;
	case 180 ... 181:		/* a huge page comes or goes */
		mm->is_huge = !mm->is_huge;
		memset(mm->huge, 0, sizeof(mm->huge));
		if (cpu_random(&k->c, 2))
			drop_context(k, mm);
		else
			flush_page(k, mm, USER_HUGE + cpu_random(&k->c, 2 * HUGE) * 4096);
		return;
	case 182 ... 189:
		kmap(k, op);
		return;
	case 190 ... 199:
		cpu_interrupt(&k->c);
	}
}

static void run(uint32_t nr_indices, uint32_t nr_entries, uint64_t asids, int one_in)
{
	struct kernel *k = test_calloc(1, sizeof(*k));

	cpu_init(&k->c, nr_indices, nr_entries, seed);
	k->asids = asids;
	k->asid_cache = FIRST_ASID / asids * asids + asids;
	switch_to(k, &k->mm[0]);
	for (long op = 0; op < ops_wanted; op++)
		step(k, op);
	/* What the table is for: of so many accesses at most one is a refill. */
	if (k->c.refills > k->c.accesses / one_in)
		fail_msg("%" PRIu64 " refills in %" PRIu64 " accesses", k->c.refills,
			 k->c.accesses);
	cpu_fini(&k->c);
	test_free(k);
}

/* A 5KEf with the default table. */
static void test_default(void **state)
{
	(void)state;
	run(32, 16384, 256, 4);
}

/* A full table: evictions at every other refill. */
static void test_evictions(void **state)
{
	(void)state;
	run(16, 64, 256, 2);
}

/* ASIDs run out all the time. */
static void test_few_asids(void **state)
{
	(void)state;
	run(64, 4096, 8, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default),
		cmocka_unit_test(test_evictions),
		cmocka_unit_test(test_few_asids),
	};
	const char *s;

	s = getenv("L2TLB_OPS");
	if (s)
		ops_wanted = strtol(s, NULL, 0);
	s = getenv("L2TLB_SEED");
	if (s)
		seed = strtoul(s, NULL, 0);
	return cmocka_run_group_tests_name("l2tlb_kernel", tests, NULL, NULL);
}
