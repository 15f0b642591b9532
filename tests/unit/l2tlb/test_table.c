// SPDX-License-Identifier: GPL-2.0-only
/* Tables as such: sizes, foreign memory, page sizes, full sets, counters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cpu.h"

static void *zeroed(uint64_t nr_entries)
{
	void *mem = test_calloc(1, disco_l2tlb_bytes(nr_entries));

	assert_non_null(mem);
	return mem;
}

/* Only powers of two within the limits, and only an index count that fits. */
static void test_format(void **state)
{
	static const struct {
		uint64_t nr_entries;
		uint32_t nr_indices;
		int ok;
	} cases[] = {
		{ 16, 32, 1 }, { 16384, 64, 1 }, { 1 << 20, 256, 1 },
		{ 0, 32, 0 }, { 8, 32, 0 }, { 1000, 32, 0 }, { 1 << 21, 32, 0 },
		{ 1ULL << 32, 32, 0 }, { 1024, 0, 0 }, { 1024, 257, 0 },
	};
	struct disco_l2tlb t;
	void *mem;

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		mem = zeroed(1 << 20);
		assert_int_equal(disco_l2tlb_format(&t, mem, cases[i].nr_entries,
						    cases[i].nr_indices), cases[i].ok);
		test_free(mem);
	}
}

/* Memory that is no table, or a cut one, is not taken for one. */
static void test_attach(void **state)
{
	struct disco_l2tlb_header *h = zeroed(1024), good;
	struct disco_l2tlb t;
	uint64_t bytes = disco_l2tlb_bytes(1024);

	(void)state;
	assert_false(disco_l2tlb_attach(&t, h, bytes));
	assert_true(disco_l2tlb_format(&t, h, 1024, 32));
	assert_true(disco_l2tlb_attach(&t, h, bytes));
	assert_int_equal(t.nr_entries, 1024);
	assert_false(disco_l2tlb_attach(&t, h, bytes - 1));
	assert_false(disco_l2tlb_attach(&t, h, 100));
	good = *h;
#define BAD(field, value) do {						\
		*h = good;						\
		h->field = (value);					\
		assert_false(disco_l2tlb_attach(&t, h, bytes));		\
	} while (0)
	BAD(magic, __builtin_bswap64(good.magic));
	BAD(version, DISCO_L2TLB_VERSION + 1);
	BAD(ways, 8);
	BAD(nr_entries, 2048);
	BAD(nr_entries, 1023);
	BAD(nr_entries, 1U << 31);
	BAD(nr_indices, 0);
	BAD(nr_indices, 100000);
	BAD(entries_offset, 64);
	BAD(entry_size, 48);
#undef BAD
	test_free(h);
}

static struct disco_l2tlb_pair pair(uint64_t va, int size, uint32_t tag, uint64_t frame)
{
	return (struct disco_l2tlb_pair) {
		.vpn = va, .tag = tag, .pagemask = (0x2000U << 2 * size) - 0x2000,
		.lo = { frame | DISCO_L2TLB_V | DISCO_L2TLB_D,
			(frame + (4096ULL << 2 * size)) | DISCO_L2TLB_V },
	};
}

/* Each page of a pair of each size is found at its own frame, its neighbours are not. */
static void test_page_sizes(void **state)
{
	uint64_t frame = 1ULL << 40, lo;
	struct disco_l2tlb_pair p;
	struct cpu c;

	(void)state;
	for (int size = 0; size < DISCO_L2TLB_SIZES; size++) {
		uint64_t bytes = 8192ULL << 2 * size, va = bytes * 5;

		cpu_init(&c, 32, 1024, 1);
		p = pair(va, size, 0, frame);
		cpu_tlbwr(&c, &p);
		memset(c.tlb, 0, sizeof(c.tlb));
		for (uint64_t at = 0; at < bytes; at += bytes / 8 < 4096 ? 4096 : bytes / 8) {
			assert_int_equal(cpu_access(&c, va + at, DISCO_L2TLB_LOAD, &lo), CPU_OK);
			assert_int_equal(lo & DISCO_L2TLB_FRAME, frame + at);
			assert_int_equal(!!(lo & DISCO_L2TLB_D), at < bytes / 2);
		}
		assert_false(disco_l2tlb_lookup(&c.l2tlb, va - 1, 0, DISCO_L2TLB_LOAD,
						(__u64 *)&lo));
		assert_false(disco_l2tlb_lookup(&c.l2tlb, va + bytes, 0, DISCO_L2TLB_LOAD,
						(__u64 *)&lo));
		assert_false(disco_l2tlb_lookup(&c.l2tlb, va, 1, DISCO_L2TLB_LOAD,
						(__u64 *)&lo));
		cpu_fini(&c);
	}
}

/* Four aligned runs of as many pairs as there are sets fit, whatever their addresses. */
static void test_capacity(void **state)
{
	struct disco_l2tlb_pair p;
	struct cpu c;

	(void)state;
	cpu_init(&c, 32, 1024, 1);
	for (int run = 0; run < 4; run++) {
		uint64_t first = run * 0x5555600000ULL;

		c.tag = run;
		for (uint64_t i = 0; i < 256; i++) {
			p = pair(first + i * 8192, 0, run, i << 20);
			cpu_tlbwr(&c, &p);
		}
	}
	assert_int_equal(c.l2tlb.hdr->counters.evictions, 0);
	assert_int_equal(c.l2tlb.hdr->nr_live, 1024);
	p = pair(1ULL << 35, 0, 9, 1 << 20);
	cpu_tlbwr(&c, &p);
	assert_int_equal(c.l2tlb.hdr->counters.evictions, 1);
	assert_int_equal(c.l2tlb.hdr->nr_live, 1024);
	cpu_fini(&c);
}

/* After 2^32 flushes the first entries would look live again. */
static void test_generation_wraps(void **state)
{
	struct disco_l2tlb_pair p = pair(0x120000000, 0, 0, 1 << 20);
	struct cpu c;
	uint64_t lo;

	(void)state;
	cpu_init(&c, 32, 64, 1);
	cpu_tlbwr(&c, &p);
	c.l2tlb.hdr->generation = 0xffffffff;
	p.vpn += 0x10000;
	cpu_tlbwr(&c, &p);
	cpu_tlbinvf(&c);
	assert_int_equal(c.l2tlb.hdr->generation, 1);
	assert_int_equal(c.l2tlb.hdr->nr_live, 0);
	p.vpn += 0x10000;
	cpu_tlbwr(&c, &p);
	memset(c.tlb, 0, sizeof(c.tlb));
	assert_int_equal(cpu_access(&c, 0x120000000, DISCO_L2TLB_LOAD, &lo), CPU_REFILL);
	assert_int_equal(cpu_access(&c, 0x120010000, DISCO_L2TLB_LOAD, &lo), CPU_REFILL);
	assert_int_equal(cpu_access(&c, 0x120020000, DISCO_L2TLB_LOAD, &lo), CPU_OK);
	cpu_fini(&c);
}

/*
 * Invalidating one page right after its probe leaves the others; without the
 * probe, or after an exception, it could be the first step of a flush of all.
 */
static void test_single_drop(void **state)
{
	struct disco_l2tlb_pair a = pair(0x120000000, 0, 0, 1 << 20);
	struct disco_l2tlb_pair b = pair(0x120002000, 0, 0, 2 << 20);
	struct disco_l2tlb_pair none = { .vpn = 0x80000000 };
	struct disco_l2tlb_counters *n;
	struct cpu c;
	uint64_t lo;

	(void)state;
	for (int interrupted = 0; interrupted < 2; interrupted++) {
		cpu_init(&c, 32, 64, 1);
		n = &c.l2tlb.hdr->counters;
		cpu_tlbwi(&c, 3, &a);
		cpu_tlbwi(&c, 4, &b);
		assert_int_equal(cpu_tlbp(&c, a.vpn), 3);
		if (interrupted)
			cpu_interrupt(&c);
		cpu_tlbwi(&c, 3, &none);
		assert_int_equal(n->flushes, interrupted);
		assert_int_equal(disco_l2tlb_lookup(&c.l2tlb, b.vpn, 0, DISCO_L2TLB_LOAD,
						    (__u64 *)&lo), !interrupted);
		assert_false(disco_l2tlb_lookup(&c.l2tlb, a.vpn, 0, DISCO_L2TLB_LOAD,
						(__u64 *)&lo));
		cpu_fini(&c);
	}
}

/* Lowering Wired and invalidating what was wired costs nobody else an entry. */
static void test_unwire(void **state)
{
	struct disco_l2tlb_pair a = pair(0x120000000, 0, 0, 1 << 20);
	struct disco_l2tlb_pair w = pair(0x40000000, 0, 0, 2 << 20);
	struct disco_l2tlb_pair none = { .vpn = 0x80000000 };
	struct cpu c;
	uint64_t lo;

	(void)state;
	cpu_init(&c, 32, 64, 1);
	cpu_tlbwr(&c, &a);
	c.wired = 1;
	cpu_tlbwi(&c, 0, &w);
	assert_false(disco_l2tlb_lookup(&c.l2tlb, w.vpn, 0, DISCO_L2TLB_LOAD, (__u64 *)&lo));
	assert_int_equal(cpu_access(&c, w.vpn, DISCO_L2TLB_LOAD, &lo), CPU_OK);
	c.wired = 0;
	cpu_tlbwi(&c, 0, &none);
	assert_int_equal(c.l2tlb.hdr->counters.flushes, 0);
	assert_int_equal(cpu_access(&c, w.vpn, DISCO_L2TLB_LOAD, &lo), CPU_REFILL);
	assert_true(disco_l2tlb_lookup(&c.l2tlb, a.vpn, 0, DISCO_L2TLB_LOAD, (__u64 *)&lo));
	cpu_fini(&c);
}

/* What tlbwr puts where something wired was is as invalid as any when it goes. */
static void test_rewire(void **state)
{
	struct disco_l2tlb_pair a = pair(0x120000000, 0, 0, 1 << 20);
	struct disco_l2tlb_pair w = pair(0x40000000, 0, 0, 2 << 20);
	struct disco_l2tlb_pair none = { .vpn = 0x80000000 };
	struct cpu c;

	(void)state;
	cpu_init(&c, 2, 64, 1);
	c.wired = 1;
	cpu_tlbwi(&c, 0, &w);
	c.wired = 0;
	do {
		a.vpn += 0x2000;
	} while (cpu_tlbwr(&c, &a) != 0);
	cpu_tlbwi(&c, 0, &none);
	assert_int_equal(c.l2tlb.hdr->counters.flushes, 1);
	cpu_fini(&c);
}

/* An invalid pair takes no room, and one that did not do for an access leaves. */
static void test_useless(void **state)
{
	struct disco_l2tlb_pair p = pair(0x120000000, 0, 0, 1 << 20);
	struct cpu c;
	uint64_t lo;

	(void)state;
	cpu_init(&c, 32, 64, 1);
	cpu_tlbwr(&c, &p);
	assert_int_equal(c.l2tlb.hdr->nr_live, 1);
	memset(c.tlb, 0, sizeof(c.tlb));
	assert_int_equal(cpu_access(&c, p.vpn + 4096, DISCO_L2TLB_LOAD, &lo), CPU_OK);
	assert_int_equal(cpu_access(&c, p.vpn + 4096, DISCO_L2TLB_STORE, &lo), CPU_REFILL);
	assert_int_equal(c.l2tlb.hdr->nr_live, 0);
	assert_int_equal(cpu_access(&c, p.vpn + 4096, DISCO_L2TLB_LOAD, &lo), CPU_REFILL);
	p.lo[0] = 0;
	p.lo[1] = 0;
	cpu_tlbwr(&c, &p);
	assert_int_equal(c.l2tlb.hdr->nr_live, 0);
	cpu_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_attach),
		cmocka_unit_test(test_page_sizes),
		cmocka_unit_test(test_capacity),
		cmocka_unit_test(test_generation_wraps),
		cmocka_unit_test(test_single_drop),
		cmocka_unit_test(test_unwire),
		cmocka_unit_test(test_rewire),
		cmocka_unit_test(test_useless),
	};

	return cmocka_run_group_tests_name("l2tlb_table", tests, NULL, NULL);
}
