// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random TLB instructions against a model of what the guest can know.
 *
 * The model keeps, for each pair the guest wrote, the set of indices at which
 * the guest has reason to believe it. An empty set means that the guest knows
 * it gone; an answer with it is then a bug. tlbwi, tlbp and tlbr take indices
 * out of the sets, tlbwr puts a pair into all it could have chosen, and
 * failed probes, overlaps and invalidations end pairs as a whole.
 *
 * The inference that the header leaves out (see its DOC block) is left out
 * here: a write or read right after the probe that found the index, and the
 * probe itself, tell nothing about pairs whose one index is not known.
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

#define MAX_PAIRS 4096

struct known {
	struct disco_l2tlb_pair pair;
	bool at[CPU_MAX_INDICES];
	bool located;		/* at[] was made by tlbwi, tlbp or tlbr: one index */
};

struct model {
	struct known *k;
	int nr;
	int paired;		/* index of the last instruction, a probe; or -1 */
	uint64_t recent[8];	/* addresses, to come back to */
};

static const uint64_t bases[] = {
	0x0000000120000000, 0x000000fff7800000, 0x0000000040000000,
	0xc000000000000000, 0xc00003ffc0000000,
};

static long ops_wanted = 400000;
static unsigned long seed = 1;

static void forget(struct model *m, int i)
{
	m->k[i] = m->k[--m->nr];
}

static void take_out(struct model *m, uint32_t index, bool paired)
{
	for (int i = m->nr - 1; i >= 0; i--) {
		struct known *k = &m->k[i];
		bool left = false;

		if (paired && !k->located)
			continue;
		k->at[index] = false;
		for (int j = 0; j < CPU_MAX_INDICES; j++)
			left |= k->at[j];
		if (!left)
			forget(m, i);
	}
}

/* The guest has met @p at @index. */
static void locate(struct model *m, uint32_t index, const struct disco_l2tlb_pair *p, bool paired)
{
	take_out(m, index, paired);
	for (int i = 0; i < m->nr; i++)
		if (!memcmp(&m->k[i].pair, p, sizeof(*p)))
			forget(m, i--);
	if (p->ehinv || !((p->lo[0] | p->lo[1]) & DISCO_L2TLB_V))
		return;
	assert_true(m->nr < MAX_PAIRS);
	memset(&m->k[m->nr], 0, sizeof(*m->k));
	m->k[m->nr].pair = *p;
	m->k[m->nr].at[index] = true;
	m->k[m->nr++].located = true;
}

static void model_write(struct model *m, struct cpu *c, uint32_t index,
			const struct disco_l2tlb_pair *p, bool random)
{
	bool paired = m->paired == (int)index;

	m->paired = -1;
	if (!random || c->nr_indices - c->wired == 1)
		take_out(m, index, paired);
	if (p->ehinv)
		return;
	for (int i = m->nr - 1; i >= 0; i--)
		if (cpu_overlap(&m->k[i].pair, p))
			forget(m, i);
	if (!((p->lo[0] | p->lo[1]) & DISCO_L2TLB_V))
		return;
	/* Keep the model small; what it forgets here must not come back. */
	if (m->nr == MAX_PAIRS)
		fail_msg("model too small");
	memset(&m->k[m->nr], 0, sizeof(*m->k));
	m->k[m->nr].pair = *p;
	if (random && c->nr_indices - c->wired > 1) {
		for (uint32_t i = c->wired; i < c->nr_indices; i++)
			m->k[m->nr].at[i] = true;
	} else {
		m->k[m->nr].at[index] = true;
		m->k[m->nr].located = true;
	}
	m->nr++;
}

static bool legal(struct model *m, struct cpu *c, uint64_t va, uint64_t lo)
{
	for (int i = 0; i < m->nr; i++)
		if (cpu_matches(&m->k[i].pair, va, c->tag) &&
		    cpu_page(&m->k[i].pair, va) == lo)
			return true;
	return false;
}

static bool in_guest_tlb(struct cpu *c, uint64_t va, uint64_t lo)
{
	for (uint32_t i = 0; i < c->nr_indices; i++)
		if (cpu_matches(&c->tlb[i], va, c->tag) && cpu_page(&c->tlb[i], va) == lo)
			return true;
	return false;
}

static void check_soft(struct model *m, struct cpu *c, long op)
{
	for (int i = 0; i < CPU_SOFT; i++)
		if (c->soft[i].used && !legal(m, c, c->soft[i].va, c->soft[i].lo) &&
		    !in_guest_tlb(c, c->soft[i].va, c->soft[i].lo))
			fail_msg("op %ld: soft TLB has %" PRIx64 " -> %" PRIx64,
				 op, c->soft[i].va, c->soft[i].lo);
}

struct shape {
	uint32_t nr_indices;
	uint32_t nr_entries;
	int max_size;		/* 0: 4 KiB, 1: 16 KiB, ... */
	int pages;		/* distinct small pairs per base */
	uint32_t tags;
	bool mmid;
	bool calm;		/* no sweeps, reads and flushes: the table fills up */
};

static uint32_t any_tag(struct cpu *c, const struct shape *s)
{
	uint32_t tag = cpu_random(c, s->tags);

	return s->mmid ? tag * 0x10001 + 7 : tag;
}

static uint64_t new_va(struct cpu *c, const struct shape *s)
{
	return bases[cpu_random(c, sizeof(bases) / sizeof(*bases))] +
	       cpu_random(c, s->pages) * 0x2000 + cpu_random(c, 2) * 0x1000 +
	       (cpu_random(c, 4) ? 0 : 0x400000 * cpu_random(c, 8));
}

static uint64_t any_va(struct cpu *c, struct model *m, const struct shape *s)
{
	uint64_t *va = &m->recent[cpu_random(c, 8)];

	if (cpu_random(c, 8) == 0)
		*va = new_va(c, s);
	return *va;
}

static struct disco_l2tlb_pair any_pair(struct cpu *c, struct model *m, const struct shape *s)
{
	struct disco_l2tlb_pair p;
	int size = cpu_random(c, 2) ? 0 : cpu_random(c, s->max_size + 1);
	uint64_t frame = cpu_random(c, 1 << 16) << 28;

	/* The padding is compared too. */
	memset(&p, 0, sizeof(p));
	p.vpn = any_va(c, m, s);
	p.pagemask = (0x2000U << 2 * size) - 0x2000;
	p.tag = c->tag;
	p.global = p.vpn >> 63 ? cpu_random(c, 8) != 0 : cpu_random(c, 32) == 0;
	p.lo[0] = frame | cpu_random(c, 128);
	p.lo[1] = (frame + (1ULL << 60)) | cpu_random(c, 128);
	if (cpu_random(c, 4)) {
		p.lo[0] |= DISCO_L2TLB_V;
		p.lo[1] |= DISCO_L2TLB_V;
	}
	if (cpu_random(c, 64) == 0)
		p.ehinv = 1;
	p.vpn -= p.vpn % cpu_pair_bytes(&p);
	return p;
}

static void step(struct cpu *c, struct model *m, const struct shape *s, long op)
{
	struct disco_l2tlb_pair p, none = { .vpn = 0x80000000 };
	uint32_t index = cpu_random(c, c->nr_indices);
	enum disco_l2tlb_access access = cpu_random(c, 3);
	uint64_t va, lo = 0;
	int found;

	switch (cpu_random(c, s->calm ? 80 : 100)) {
	case 0 ... 39:
		va = any_va(c, m, s);
		switch (cpu_access(c, va, access, &lo)) {
		case CPU_OK:
			if (!legal(m, c, va, lo) && !in_guest_tlb(c, va, lo))
				fail_msg("op %ld: %" PRIx64 " -> %" PRIx64 " tag %x", op,
					 va, lo, c->tag);
			if (!cpu_permits(lo, access))
				fail_msg("op %ld: access %d with bits %" PRIx64, op,
					 access, lo);
			return;		/* nothing the guest could see */
		case CPU_REFILL:
			m->paired = -1;
			p = any_pair(c, m, s);
			p.vpn = va - va % cpu_pair_bytes(&p);
			found = cpu_tlbwr(c, &p);
			model_write(m, c, found, &p, true);
			return;
		case CPU_DENIED:
			m->paired = -1;
			return;
		}
		return;
	case 40 ... 54:			/* update or invalidate one page */
		va = any_va(c, m, s);
		found = cpu_tlbp(c, va);
		m->paired = found;
		if (found < 0) {
			for (int i = m->nr - 1; i >= 0; i--)
				if (cpu_matches(&m->k[i].pair, va, c->tag))
					forget(m, i);
			return;
		}
		locate(m, found, &c->tlb[found], true);
		if (cpu_random(c, 8) == 0)
			return;
		if (cpu_random(c, 8) == 0) {
			cpu_interrupt(c);
			m->paired = -1;
		}
		if (cpu_random(c, 8) == 0) {
			p = *cpu_tlbr(c, found);
			locate(m, found, &p, m->paired == found);
			m->paired = -1;
		}
		p = cpu_random(c, 2) ? none : any_pair(c, m, s);
		if (cpu_random(c, 2) && p.vpn != none.vpn)
			p.vpn = va - va % cpu_pair_bytes(&p);
		cpu_tlbwi(c, found, &p);
		model_write(m, c, found, &p, false);
		return;
	case 55 ... 69:
		p = any_pair(c, m, s);
		found = cpu_tlbwr(c, &p);
		model_write(m, c, found, &p, true);
		return;
	case 70 ... 74:
		cpu_set_tag(c, any_tag(c, s));
		return;
	case 75 ... 78:
		p = any_pair(c, m, s);
		cpu_tlbwi(c, index, &p);
		model_write(m, c, index, &p, false);
		return;
	case 79:
		cpu_interrupt(c);
		m->paired = -1;
		return;
	case 80 ... 84:			/* wired up or down, with or without a write */
		c->wired = cpu_random(c, c->nr_indices);
		if (c->wired > 4 && cpu_random(c, 4))
			c->wired = cpu_random(c, 4);
		return;
	case 85 ... 89:
		if (!c->wired)
			return;
		index = cpu_random(c, c->wired);
		p = any_pair(c, m, s);
		cpu_tlbwi(c, index, &p);
		model_write(m, c, index, &p, false);
		if (cpu_random(c, 2))
			return;
		c->wired--;
		p = none;
		cpu_tlbwi(c, index, &p);
		model_write(m, c, index, &p, false);
		return;
	case 90:			/* fill all, without a probe */
		if (cpu_random(c, 8))
			return;
		for (uint32_t i = c->wired; i < c->nr_indices; i++) {
			p = any_pair(c, m, s);
			p.ehinv = 0;
			p.lo[0] |= DISCO_L2TLB_V;
			cpu_tlbwi(c, i, &p);
			model_write(m, c, i, &p, false);
		}
		return;
	case 91:			/* the kernel's flush of all */
		if (cpu_random(c, 8))
			return;
		for (uint32_t i = c->wired; i < c->nr_indices; i++) {
			p = none;
			p.vpn += 0x2000 * i;
			cpu_tlbwi(c, i, &p);
			model_write(m, c, i, &p, false);
		}
		return;
	case 92:			/* look at all */
		if (cpu_random(c, 8))
			return;
		for (uint32_t i = 0; i < c->nr_indices; i++) {
			p = *cpu_tlbr(c, i);
			locate(m, i, &p, m->paired == (int)i);
			m->paired = -1;
		}
		return;
	case 93:
		if (cpu_random(c, 8))
			return;
		cpu_tlbinv(c);
		m->paired = -1;
		for (int i = m->nr - 1; i >= 0; i--)
			if (!m->k[i].pair.global && m->k[i].pair.tag == c->tag)
				forget(m, i);
		return;
	case 94:
		if (cpu_random(c, 16))
			return;
		if (cpu_random(c, 2))
			cpu_tlbinvf(c);
		else
			cpu_reset(c);
		m->paired = -1;
		m->nr = 0;
		return;
	case 95:
		p = *cpu_tlbr(c, index);
		locate(m, index, &p, m->paired == (int)index);
		m->paired = -1;
		return;
	default:
		/* A debugger asks; the answer must be as legal, nothing changes. */
		va = any_va(c, m, s);
		if (disco_l2tlb_lookup(&c->l2tlb, va, c->tag, access, (__u64 *)&lo) &&
		    !legal(m, c, va, lo))
			fail_msg("op %ld: debugger got %" PRIx64 " -> %" PRIx64, op, va, lo);
	}
}

static void run(const struct shape *s)
{
	struct model m = { .paired = -1 };
	struct cpu c;

	m.k = test_calloc(MAX_PAIRS, sizeof(*m.k));
	cpu_init(&c, s->nr_indices, s->nr_entries, seed);
	for (long op = 0; op < ops_wanted; op++) {
		step(&c, &m, s, op);
		if (op % 64 == 0)
			check_soft(&m, &c, op);
	}
	/* A table that never answers would be legal all the time. */
	assert_true(c.l2tlb_hits > c.accesses / 20);
	cpu_fini(&c);
	test_free(m.k);
}

/* Pages of 4 KiB on the TLB of a 5KEf, everything happens. */
static void test_small_pages(void **state)
{
	(void)state;
	run(&(struct shape){ 32, 1024, 0, 24, 4, false, false });
}

/* Page sizes up to 16 MiB overlap each other. */
static void test_all_sizes(void **state)
{
	(void)state;
	run(&(struct shape){ 48, 1024, 6, 64, 3, false, false });
}

/* Up to 256 MiB on a table so small that one pair covers more than all of it. */
static void test_tiny_table(void **state)
{
	(void)state;
	run(&(struct shape){ 16, 16, 8, 32, 3, false, false });
}

/* 32-bit MMIDs that agree in their low bits. */
static void test_mmid(void **state)
{
	(void)state;
	run(&(struct shape){ 64, 256, 3, 32, 5, true, false });
}

/* No flush for long: what is forgotten, is forgotten entry by entry. */
static void test_calm(void **state)
{
	(void)state;
	run(&(struct shape){ 32, 4096, 2, 40, 8, false, true });
}

/* Hardly any index to choose from: tlbwr is as good as tlbwi. */
static void test_few_indices(void **state)
{
	(void)state;
	run(&(struct shape){ 2, 256, 1, 8, 2, false, false });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_pages),
		cmocka_unit_test(test_all_sizes),
		cmocka_unit_test(test_tiny_table),
		cmocka_unit_test(test_mmid),
		cmocka_unit_test(test_calm),
		cmocka_unit_test(test_few_indices),
	};
	const char *s;

	s = getenv("L2TLB_OPS");
	if (s)
		ops_wanted = strtol(s, NULL, 0);
	s = getenv("L2TLB_SEED");
	if (s)
		seed = strtoul(s, NULL, 0);
	return cmocka_run_group_tests_name("l2tlb_random", tests, NULL, NULL);
}
