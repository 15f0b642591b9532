// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of uapi/linux/disco_l2tlb.h as the kernel compiles it. Its rules at
 * length are tested in user space, tests/unit/l2tlb.
 */
#include <kunit/test.h>
#include <linux/mm.h>

#include <linux/disco_l2tlb.h>

#include "kunit.h"

#define NR_ENTRIES 64
#define NR_INDICES 4

/* A guest TLB, its table, and what the soft TLB was told to forget. */
struct guest {
	void *mem;
	struct disco_l2tlb table;
	struct disco_l2tlb_sink sink;
	struct disco_l2tlb_pair tlb[NR_INDICES];
	unsigned int drops;
	unsigned int flushes;
	u64 dropped;
};

static void sink_drop(void *opaque, u64 vpn, u64 len, u32 tag, int global)
{
	struct guest *guest = opaque;

	guest->drops++;
	guest->dropped = vpn;
}

static void sink_flush(void *opaque)
{
	struct guest *guest = opaque;

	guest->flushes++;
}

static int l2tlb_init(struct kunit *test)
{
	struct guest *guest = kunit_kzalloc(test, sizeof(*guest), GFP_KERNEL);

	if (!guest)
		kunit_skip(test, "no memory");
	guest->mem = kvzalloc(disco_l2tlb_bytes(NR_ENTRIES), GFP_KERNEL);
	if (!guest->mem)
		kunit_skip(test, "no memory");
	guest->sink.drop = sink_drop;
	guest->sink.flush = sink_flush;
	guest->sink.opaque = guest;
	test->priv = guest;
	KUNIT_ASSERT_TRUE(test, disco_l2tlb_format(&guest->table, guest->mem,
						   NR_ENTRIES, NR_INDICES));
	return 0;
}

static void l2tlb_exit(struct kunit *test)
{
	struct guest *guest = test->priv;

	if (guest)
		kvfree(guest->mem);
}

/* Pages of 4 KiB << 2 * @size; the odd one is read-only. */
static struct disco_l2tlb_pair pair(u64 va, u32 size, u32 tag, u64 frame)
{
	return (struct disco_l2tlb_pair) {
		.vpn = va,
		.tag = tag,
		.pagemask = (0x2000U << 2 * size) - 0x2000,
		.lo = { frame | DISCO_L2TLB_V | DISCO_L2TLB_D,
			(frame + (4096ULL << 2 * size)) | DISCO_L2TLB_V },
	};
}

static void guest_write(struct guest *guest, u32 index,
			struct disco_l2tlb_pair new,
			enum disco_l2tlb_write how)
{
	struct disco_l2tlb_pair old = guest->tlb[index];

	guest->tlb[index] = new;
	disco_l2tlb_write(&guest->table, &guest->sink, index, &old, &new, 0,
			  how);
}

static bool found(struct guest *guest, u64 va, u32 tag, u64 *lo)
{
	return disco_l2tlb_lookup(&guest->table, va, tag, DISCO_L2TLB_LOAD, lo);
}

/* Only powers of two within the limits, and only an index count that fits. */
static void format_keeps_limits(struct kunit *test)
{
	static const struct {
		u64 nr_entries;
		u32 nr_indices;
	} cases[] = {
		{ 0, 32 }, { 8, 32 }, { 48, 32 }, { 1 << 21, 32 },
		{ 1ULL << 32, 32 }, { NR_ENTRIES, 0 }, { NR_ENTRIES, 257 },
	};
	struct guest *guest = test->priv;
	struct disco_l2tlb t;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		KUNIT_EXPECT_FALSE(test, disco_l2tlb_format(&t, guest->mem,
							    cases[i].nr_entries,
							    cases[i].nr_indices));
	KUNIT_EXPECT_TRUE(test, disco_l2tlb_format(&t, guest->mem, NR_ENTRIES,
						   256));
}

/* A header that claims more memory than there is makes no table. */
static void attach_believes_nothing(struct kunit *test)
{
	u64 bytes = disco_l2tlb_bytes(NR_ENTRIES);
	struct guest *guest = test->priv;
	struct disco_l2tlb_header *h = guest->mem;
	struct disco_l2tlb t;

	KUNIT_EXPECT_TRUE(test, disco_l2tlb_attach(&t, h, bytes));
	KUNIT_EXPECT_EQ(test, t.nr_entries, NR_ENTRIES);
	KUNIT_EXPECT_FALSE(test, disco_l2tlb_attach(&t, h, bytes - 1));
	h->nr_entries = 2 * NR_ENTRIES;
	KUNIT_EXPECT_FALSE(test, disco_l2tlb_attach(&t, h, bytes));
	h->nr_entries = NR_ENTRIES;
	h->nr_indices = 257;
	KUNIT_EXPECT_FALSE(test, disco_l2tlb_attach(&t, h, bytes));
	h->nr_indices = NR_INDICES;
	h->magic = swab64(h->magic);
	KUNIT_EXPECT_FALSE(test, disco_l2tlb_attach(&t, h, bytes));
}

/* Each page of a pair of each size has its frame, its neighbours have none. */
static void sizes_are_translated(struct kunit *test)
{
	struct guest *guest = test->priv;
	u64 frame = 1ULL << 40, bytes, va, at, lo;
	u32 size;

	for (size = 0; size < DISCO_L2TLB_SIZES; size++) {
		bytes = 8192ULL << 2 * size;
		va = 5 * bytes;
		disco_l2tlb_reset(&guest->table, &guest->sink);
		guest_write(guest, 0, pair(va, size, 3, frame),
			    DISCO_L2TLB_RANDOM);
		for (at = 0; at < bytes; at += max(bytes / 8, 4096ULL)) {
			KUNIT_ASSERT_TRUE(test, found(guest, va + at, 3, &lo));
			KUNIT_EXPECT_EQ(test, lo & DISCO_L2TLB_FRAME,
					frame + at);
			KUNIT_EXPECT_EQ(test, !!(lo & DISCO_L2TLB_D),
					at < bytes / 2);
		}
		KUNIT_EXPECT_FALSE(test, found(guest, va - 1, 3, &lo));
		KUNIT_EXPECT_FALSE(test, found(guest, va + bytes, 3, &lo));
		KUNIT_EXPECT_FALSE(test, found(guest, va, 4, &lo));
	}
}

/* A hit needs the permission; a global pair holds for every tag. */
static void permissions_are_kept(struct kunit *test)
{
	static const struct {
		u64 bits;
		bool load, store, fetch;
	} cases[] = {
		{ 0, false, false, false },
		{ DISCO_L2TLB_V, true, false, true },
		{ DISCO_L2TLB_V | DISCO_L2TLB_D, true, true, true },
		{ DISCO_L2TLB_V | DISCO_L2TLB_XI, true, false, false },
		{ DISCO_L2TLB_V | DISCO_L2TLB_RI, false, false, true },
	};
	struct guest *guest = test->priv;
	struct disco_l2tlb *t = &guest->table;
	struct disco_l2tlb_pair p;
	unsigned int i;
	u64 lo;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		p = pair(0x40000000, 0, 0, 1 << 20);
		p.lo[0] = 1 << 20 | cases[i].bits;
		p.global = 1;
		disco_l2tlb_reset(t, &guest->sink);
		guest_write(guest, 0, p, DISCO_L2TLB_RANDOM);
		KUNIT_EXPECT_EQ(test, cases[i].load,
				!!disco_l2tlb_lookup(t, p.vpn, i,
						     DISCO_L2TLB_LOAD, &lo));
		KUNIT_EXPECT_EQ(test, cases[i].store,
				!!disco_l2tlb_lookup(t, p.vpn, i,
						     DISCO_L2TLB_STORE, &lo));
		KUNIT_EXPECT_EQ(test, cases[i].fetch,
				!!disco_l2tlb_lookup(t, p.vpn, i,
						     DISCO_L2TLB_FETCH, &lo));
	}
}

/* What tlbwr replaced stays; what tlbwi replaced, or a probe missed, goes. */
static void guest_knows_what_is_gone(struct kunit *test)
{
	struct disco_l2tlb_pair a = pair(0x10000, 0, 0, 1 << 20);
	struct disco_l2tlb_pair b = pair(0x20000, 0, 0, 2 << 20);
	struct disco_l2tlb_pair c = pair(0x30000, 0, 0, 3 << 20);
	struct guest *guest = test->priv;
	u64 lo;

	guest_write(guest, 0, a, DISCO_L2TLB_RANDOM);
	guest_write(guest, 0, b, DISCO_L2TLB_RANDOM);
	KUNIT_EXPECT_TRUE(test, found(guest, a.vpn, 0, &lo));
	KUNIT_EXPECT_TRUE(test, found(guest, b.vpn, 0, &lo));

	guest_write(guest, 0, c, DISCO_L2TLB_INDEXED);
	KUNIT_EXPECT_FALSE(test, found(guest, b.vpn, 0, &lo));
	KUNIT_EXPECT_EQ(test, guest->dropped, b.vpn);
	KUNIT_EXPECT_TRUE(test, found(guest, a.vpn, 0, &lo));
	KUNIT_EXPECT_TRUE(test, found(guest, c.vpn, 0, &lo));

	disco_l2tlb_probe(&guest->table, &guest->sink, a.vpn, 0, -1);
	KUNIT_EXPECT_FALSE(test, found(guest, a.vpn, 0, &lo));
	KUNIT_EXPECT_EQ(test, guest->dropped, a.vpn);
	KUNIT_EXPECT_TRUE(test, found(guest, c.vpn, 0, &lo));
}

/* A new pair ends all that it overlaps, of whatever size. */
static void overlaps_go(struct kunit *test)
{
	struct guest *guest = test->priv;
	u64 lo;

	guest_write(guest, 0, pair(0x100000, 0, 0, 1 << 20),
		    DISCO_L2TLB_RANDOM);
	guest_write(guest, 1, pair(0x800000, 0, 0, 2 << 20),
		    DISCO_L2TLB_RANDOM);
	guest_write(guest, 2, pair(0x000000, 4, 0, 1 << 30),
		    DISCO_L2TLB_RANDOM);
	KUNIT_ASSERT_TRUE(test, found(guest, 0x100000, 0, &lo));
	KUNIT_EXPECT_EQ(test, lo & DISCO_L2TLB_FRAME, (1 << 30) + 0x100000);
	KUNIT_ASSERT_TRUE(test, found(guest, 0x800000, 0, &lo));
	KUNIT_EXPECT_EQ(test, lo & DISCO_L2TLB_FRAME, 2 << 20);
	guest_write(guest, 3, pair(0x102000, 0, 0, 3 << 20),
		    DISCO_L2TLB_RANDOM);
	KUNIT_EXPECT_FALSE(test, found(guest, 0x100000, 0, &lo));
	KUNIT_EXPECT_TRUE(test, found(guest, 0x102000, 0, &lo));
}

/* A flush empties all, also when its count comes round. */
static void flush_empties(struct kunit *test)
{
	struct disco_l2tlb_pair p = pair(0x10000, 0, 0, 1 << 20);
	struct guest *guest = test->priv;
	struct disco_l2tlb_header *h = guest->table.hdr;
	u64 lo;

	guest_write(guest, 0, p, DISCO_L2TLB_RANDOM);
	disco_l2tlb_flush(&guest->table, &guest->sink);
	KUNIT_EXPECT_FALSE(test, found(guest, p.vpn, 0, &lo));
	KUNIT_EXPECT_EQ(test, h->nr_live, 0);
	KUNIT_EXPECT_EQ(test, guest->flushes, 1);
	disco_l2tlb_flush(&guest->table, &guest->sink);
	KUNIT_EXPECT_EQ(test, guest->flushes, 1);

	h->generation = 1;
	guest_write(guest, 0, p, DISCO_L2TLB_RANDOM);
	h->generation = U32_MAX;
	guest_write(guest, 1, pair(0x20000, 0, 0, 2 << 20), DISCO_L2TLB_RANDOM);
	disco_l2tlb_flush(&guest->table, &guest->sink);
	KUNIT_EXPECT_EQ(test, h->generation, 1);
	KUNIT_EXPECT_FALSE(test, found(guest, p.vpn, 0, &lo));
	KUNIT_EXPECT_FALSE(test, found(guest, 0x20000, 0, &lo));
}

/*
 * However full the table gets, it answers with what was last written for an
 * address or not at all, and its counts add up.
 */
static void answers_are_the_last_written(struct kunit *test)
{
	static const unsigned int nr_pages = 8 * NR_ENTRIES, rounds = 20000;
	struct guest *guest = test->priv;
	struct disco_l2tlb_counters *counters = &guest->table.hdr->counters;
	u64 *last, random = 1, lo, hits = 0;
	unsigned int i, page;

	last = kunit_kcalloc(test, nr_pages, sizeof(*last), GFP_KERNEL);
	if (!last)
		kunit_skip(test, "no memory");
	for (i = 0; i < rounds; i++) {
		random = random * 6364136223846793005ULL + 1442695040888963407ULL;
		page = (random >> 33) % nr_pages;
		if (random >> 63) {
			last[page] = (u64)(i + 1) << 20;
			guest_write(guest, (random >> 40) % NR_INDICES,
				    pair(page * 0x2000ULL, 0, 0, last[page]),
				    DISCO_L2TLB_RANDOM);
			continue;
		}
		if (!found(guest, page * 0x2000ULL, 0, &lo))
			continue;
		hits++;
		KUNIT_ASSERT_EQ(test, lo & DISCO_L2TLB_FRAME, last[page]);
	}
	KUNIT_EXPECT_GT(test, hits, 100);
	KUNIT_EXPECT_GT(test, counters->evictions, 100);
	KUNIT_EXPECT_EQ(test, guest->table.hdr->nr_live,
			counters->inserts - counters->evictions -
			counters->drops);
}

static struct kunit_case l2tlb_cases[] = {
	KUNIT_CASE(format_keeps_limits),
	KUNIT_CASE(attach_believes_nothing),
	KUNIT_CASE(sizes_are_translated),
	KUNIT_CASE(permissions_are_kept),
	KUNIT_CASE(guest_knows_what_is_gone),
	KUNIT_CASE(overlaps_go),
	KUNIT_CASE(flush_empties),
	KUNIT_CASE(answers_are_the_last_written),
	{}
};

struct kunit_suite disco_l2tlb_suite = {
	.name = "disco-l2tlb",
	.init = l2tlb_init,
	.exit = l2tlb_exit,
	.test_cases = l2tlb_cases,
};
