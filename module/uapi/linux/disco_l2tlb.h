/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef _UAPI_LINUX_DISCO_L2TLB_H
#define _UAPI_LINUX_DISCO_L2TLB_H

#include <linux/types.h>

/**
 * DOC: The second-level TLB (L2TLB)
 *
 * A guest with a software-refilled MIPS TLB of 32 or 64 entries spends most of
 * its time in its refill handler. The L2TLB keeps, per virtual CPU, thousands
 * of the translations the guest has written; a translation that the monitor's
 * own (soft) TLB lacks is looked for here before the guest gets a refill
 * exception. The idea is Disco's (Bugnion, Devine, Rosenblum, 1997, section
 * 4.2.1); what follows is what makes it invisible to the guest.
 *
 * Words: the *guest TLB* is the one the architecture describes, with an index
 * per entry; it lives in the monitor. The *soft TLB* is whatever the monitor
 * caches on top (QEMU's TCG TLB). A *pair* is one guest TLB entry: two
 * adjacent pages of one size. A *tag* is the ASID, or the MMID where
 * Config5.MI is set. All calls for one table come from one thread at a time.
 *
 * The promise: the table answers with a translation only if the guest wrote
 * it and cannot know that it is gone. A guest knows it is gone when
 *
 * - the index it was written to, or was found at, has been written again;
 * - it probed for it and the probe failed;
 * - it wrote another translation for one of its addresses;
 * - it invalidated all indices one by one. The first write of an invalid pair
 *   counts as all of them, except right after a probe found its index, which
 *   is how one page is invalidated, and except where the index held a pair
 *   written below Wired;
 * - it wrote valid pairs to all indices that tlbwr can reach, without probes;
 * - it read indices with tlbr that no probe had just found: it may be looking
 *   for what to invalidate, so everything goes;
 * - tlbinv, tlbinvf, ginvt, reset.
 *
 * One inference is left out on purpose: a guest that probes and rewrites valid
 * pairs index by index until it has met every index could conclude that what
 * else it once wrote at random is gone. No kernel does; honouring it would
 * throw the table away every few hundred page faults.
 *
 * A pair that tlbwr replaced stays, because which one that was is not for the
 * guest to know; that is all the gain there is. Pairs written below Wired
 * never enter: they cannot be replaced, so there is nothing to gain.
 *
 * Whatever leaves the table, or the guest TLB without being in the table, is
 * reported through &struct disco_l2tlb_sink and must leave the soft TLB. So
 * the soft TLB never holds what neither of the other two holds.
 *
 * An access the pair found does not permit (no V, no D on a store, XI, RI) is
 * no hit. If the guest TLB has no answer either, it is a refill, and
 * disco_l2tlb_refill() drops the pair: page tables may have changed since, as
 * kernels do not shoot down an entry they add permissions to.
 */

#define DISCO_L2TLB_MAGIC	0x31424c5432534944ULL	/* "DIS2TLB1" */
#define DISCO_L2TLB_VERSION	1
#define DISCO_L2TLB_WAYS	4
#define DISCO_L2TLB_MIN_ENTRIES	16
#define DISCO_L2TLB_MAX_ENTRIES	(1U << 20)
#define DISCO_L2TLB_MAX_INDICES	256
#define DISCO_L2TLB_SIZES	9		/* 4 KiB, 16 KiB, .. 256 MiB */
#define DISCO_L2TLB_REGIONS	8

/* Bits of disco_l2tlb_pair.lo[]; the rest is the frame's physical address. */
#define DISCO_L2TLB_V		0x001ULL
#define DISCO_L2TLB_D		0x002ULL
#define DISCO_L2TLB_XI		0x004ULL
#define DISCO_L2TLB_RI		0x008ULL
#define DISCO_L2TLB_C_SHIFT	4
#define DISCO_L2TLB_C		0x070ULL
#define DISCO_L2TLB_FRAME	(~0xfffULL)

/**
 * struct disco_l2tlb_pair - one entry of the guest TLB, as the guest wrote it
 * @vpn: first virtual address; bits below the pair's size are ignored. Callers
 *       leave out the address bits their CPU does not implement, always alike.
 * @lo: even and odd frame: physical address and DISCO_L2TLB_* bits
 * @tag: ASID or MMID; ignored when @global
 * @pagemask: the PageMask register: 0 for 4 KiB, 0x6000 for 16 KiB, ...
 * @global: matches every tag
 * @ehinv: the entry is marked invalid as a whole and matches nothing
 * @pad: zero
 */
struct disco_l2tlb_pair {
	__u64 vpn;
	__u64 lo[2];
	__u32 tag;
	__u32 pagemask;
	__u8 global;
	__u8 ehinv;
	__u8 pad[6];
};

/**
 * struct disco_l2tlb_entry - one entry of the table
 * @key: address of the pair, size (log4 of the page in 4 KiB) in bits 1 to 4,
 *       global in bit 0
 * @lo: as in &struct disco_l2tlb_pair
 * @tag: ASID or MMID; 0 when global
 * @generation: the entry is live while this equals the header's
 */
struct disco_l2tlb_entry {
	__u64 key;
	__u64 lo[2];
	__u32 tag;
	__u32 generation;
};

/**
 * struct disco_l2tlb_slot - what the guest may know about one of its indices
 * @was_key: a pair the guest has reason to expect here and nowhere else, that
 *           tlbwr has replaced without the guest's knowledge; key, see above
 * @was_tag: its tag
 * @was_generation: @was_key means something while this equals the header's
 * @known: the guest wrote or found what the index holds
 * @wired: what the index holds was written below Wired
 * @pad: zero
 */
struct disco_l2tlb_slot {
	__u64 was_key;
	__u32 was_tag;
	__u32 was_generation;
	__u8 known;
	__u8 wired;
	__u8 pad[6];
};

/**
 * struct disco_l2tlb_counters - events since the table was formatted
 * @hits: accesses answered from the table
 * @misses: accesses not answered from the table; the guest TLB may have been
 * @forwards: refill exceptions the guest got
 * @inserts: pairs entered
 * @evictions: pairs replaced for want of room
 * @drops: pairs dropped because the guest could know them gone
 * @flushes: times the whole table was emptied
 */
struct disco_l2tlb_counters {
	__u64 hits;
	__u64 misses;
	__u64 forwards;
	__u64 inserts;
	__u64 evictions;
	__u64 drops;
	__u64 flushes;
};

/**
 * struct disco_l2tlb_header - head of a table, followed by its entries
 * @magic: DISCO_L2TLB_MAGIC in the byte order of whoever works on the table
 * @version: DISCO_L2TLB_VERSION
 * @ways: DISCO_L2TLB_WAYS
 * @nr_entries: a power of two
 * @nr_indices: indices of the guest TLB
 * @entries_offset: bytes from the start of the header to the first entry
 * @entry_size: bytes per entry
 * @generation: never 0; raised to empty the table
 * @nr_live: live entries
 * @clock: picks the way to evict
 * @paired: index that a probe has just found, plus one; 0 when there is none
 * @reach: highest Wired at a tlbwr since the table was emptied
 * @pad: zero
 * @counters: see there
 * @swept: indices written without a probe since the table was emptied
 * @sizes: per region and global bit, the page sizes with live entries
 * @live: the number of those, per size; indexed by four bits
 * @slot: per index of the guest TLB
 */
struct disco_l2tlb_header {
	__u64 magic;
	__u32 version;
	__u32 ways;
	__u32 nr_entries;
	__u32 nr_indices;
	__u32 entries_offset;
	__u32 entry_size;
	__u32 generation;
	__u32 nr_live;
	__u32 clock;
	__u32 paired;
	__u32 reach;
	__u32 pad;
	struct disco_l2tlb_counters counters;
	__u64 swept[DISCO_L2TLB_MAX_INDICES / 64];
	__u16 sizes[DISCO_L2TLB_REGIONS][2];
	__u32 live[DISCO_L2TLB_REGIONS][2][16];
	struct disco_l2tlb_slot slot[DISCO_L2TLB_MAX_INDICES];
};

/* A multiple of every cache line size, so that no set straddles two pages. */
#define DISCO_L2TLB_ENTRIES_OFFSET	8192

/**
 * struct disco_l2tlb - handle on a table
 * @hdr: the table
 * @entry: its entries
 * @nr_entries: their number; what the header says is not believed again
 * @set_bits: log2 of the number of sets
 * @nr_indices: indices of the guest TLB
 */
struct disco_l2tlb {
	struct disco_l2tlb_header *hdr;
	struct disco_l2tlb_entry *entry;
	__u32 nr_entries;
	__u32 set_bits;
	__u32 nr_indices;
};

/**
 * struct disco_l2tlb_sink - what the soft TLB must forget
 * @drop: the translations of @len bytes from @vpn, for @tag or, if @global,
 *        for every tag
 * @flush: all translations
 * @opaque: handed to both
 */
struct disco_l2tlb_sink {
	void (*drop)(void *opaque, __u64 vpn, __u64 len, __u32 tag, int global);
	void (*flush)(void *opaque);
	void *opaque;
};

/**
 * enum disco_l2tlb_access - what an access does
 * @DISCO_L2TLB_LOAD: reads data
 * @DISCO_L2TLB_STORE: writes data
 * @DISCO_L2TLB_FETCH: fetches an instruction
 */
enum disco_l2tlb_access {
	DISCO_L2TLB_LOAD,
	DISCO_L2TLB_STORE,
	DISCO_L2TLB_FETCH,
};

/**
 * enum disco_l2tlb_write - how the guest chose the index it writes
 * @DISCO_L2TLB_INDEXED: tlbwi; also tlbwr when Wired leaves it one index only
 * @DISCO_L2TLB_RANDOM: tlbwr, or a hardware page table walker
 */
enum disco_l2tlb_write {
	DISCO_L2TLB_INDEXED,
	DISCO_L2TLB_RANDOM,
};

/**
 * disco_l2tlb_entries_ok() - can a table have this many entries?
 * @nr_entries: the number
 *
 * Return: true for a power of two from DISCO_L2TLB_MIN_ENTRIES to
 * DISCO_L2TLB_MAX_ENTRIES.
 */
static inline int disco_l2tlb_entries_ok(__u64 nr_entries)
{
	return nr_entries >= DISCO_L2TLB_MIN_ENTRIES &&
	       nr_entries <= DISCO_L2TLB_MAX_ENTRIES &&
	       !(nr_entries & (nr_entries - 1));
}

/**
 * disco_l2tlb_bytes() - memory a table takes
 * @nr_entries: its number of entries
 *
 * Return: bytes, header included.
 */
static inline __u64 disco_l2tlb_bytes(__u64 nr_entries)
{
	return DISCO_L2TLB_ENTRIES_OFFSET +
	       nr_entries * sizeof(struct disco_l2tlb_entry);
}

/**
 * disco_l2tlb_attach() - get a handle on a formatted table
 * @t: the handle
 * @mem: the table, aligned to 8 bytes
 * @bytes: memory there is
 *
 * Return: true; false if this is no table, one of another version or byte
 * order, or one that does not fit into @bytes.
 */
static inline int disco_l2tlb_attach(struct disco_l2tlb *t, void *mem,
				     __u64 bytes)
{
	struct disco_l2tlb_header *h = mem;
	__u32 nr_entries, nr_indices, sets;

	if (bytes < DISCO_L2TLB_ENTRIES_OFFSET ||
	    h->magic != DISCO_L2TLB_MAGIC ||
	    h->version != DISCO_L2TLB_VERSION ||
	    h->ways != DISCO_L2TLB_WAYS ||
	    h->entries_offset != DISCO_L2TLB_ENTRIES_OFFSET ||
	    h->entry_size != sizeof(struct disco_l2tlb_entry))
		return 0;
	nr_entries = h->nr_entries;
	nr_indices = h->nr_indices;
	if (!disco_l2tlb_entries_ok(nr_entries) ||
	    disco_l2tlb_bytes(nr_entries) > bytes ||
	    !nr_indices || nr_indices > DISCO_L2TLB_MAX_INDICES)
		return 0;
	t->hdr = h;
	t->entry = (struct disco_l2tlb_entry *)
		((char *)mem + DISCO_L2TLB_ENTRIES_OFFSET);
	t->nr_entries = nr_entries;
	t->nr_indices = nr_indices;
	t->set_bits = 0;
	for (sets = nr_entries / DISCO_L2TLB_WAYS; sets > 1; sets >>= 1)
		t->set_bits++;
	return 1;
}

/**
 * disco_l2tlb_format() - make an empty table and get a handle on it
 * @t: the handle
 * @mem: zeroed memory, disco_l2tlb_bytes() of it, aligned to 8 bytes
 * @nr_entries: see disco_l2tlb_entries_ok()
 * @nr_indices: indices of the guest TLB
 *
 * Return: true; false if one of the numbers is out of range.
 */
static inline int disco_l2tlb_format(struct disco_l2tlb *t, void *mem,
				     __u64 nr_entries, __u32 nr_indices)
{
	struct disco_l2tlb_header *h = mem;

	if (!disco_l2tlb_entries_ok(nr_entries))
		return 0;
	h->magic = DISCO_L2TLB_MAGIC;
	h->version = DISCO_L2TLB_VERSION;
	h->ways = DISCO_L2TLB_WAYS;
	h->nr_entries = (__u32)nr_entries;
	h->nr_indices = nr_indices;
	h->entries_offset = DISCO_L2TLB_ENTRIES_OFFSET;
	h->entry_size = sizeof(struct disco_l2tlb_entry);
	h->generation = 1;
	return disco_l2tlb_attach(t, mem, disco_l2tlb_bytes(nr_entries));
}

/* Keys. Below, @s is always a size and @g a global bit. */

static inline __u64 disco_l2tlb_pair_bytes(__u32 s)
{
	return 0x2000ULL << (2 * s);
}

static inline __u64 disco_l2tlb_key(__u64 va, __u32 s, __u32 g)
{
	return (va & ~(disco_l2tlb_pair_bytes(s) - 1)) | s << 1 | g;
}

static inline __u32 disco_l2tlb_key_size(__u64 key)
{
	return key >> 1 & 15;
}

static inline __u32 disco_l2tlb_key_global(__u64 key)
{
	return key & 1;
}

/*
 * Global and other pairs, and user and kernel addresses, hash apart; knowing
 * which sizes are live in each saves most second looks. No pair crosses a
 * region's border.
 */
static inline __u32 disco_l2tlb_region(__u64 va)
{
	return (va >> 61 & 6) | (va >> 31 & 1);
}

static inline __u32 disco_l2tlb_size(__u32 pagemask)
{
	__u32 s = 0;

	for (pagemask >>= 13; pagemask & 1; pagemask >>= 2)
		s++;
	return s < DISCO_L2TLB_SIZES ? s : DISCO_L2TLB_SIZES - 1;
}

static inline __u64 disco_l2tlb_pair_key(const struct disco_l2tlb_pair *p)
{
	return disco_l2tlb_key(p->vpn, disco_l2tlb_size(p->pagemask),
			       !!p->global);
}

static inline __u32 disco_l2tlb_pair_tag(const struct disco_l2tlb_pair *p)
{
	return p->global ? 0 : p->tag;
}

static inline int disco_l2tlb_pair_valid(const struct disco_l2tlb_pair *p)
{
	return !p->ehinv && ((p->lo[0] | p->lo[1]) & DISCO_L2TLB_V);
}

/* Neighbouring pairs get neighbouring sets: a run of them never collides. */
static inline struct disco_l2tlb_entry *
disco_l2tlb_set(const struct disco_l2tlb *t, __u64 key, __u32 tag)
{
	__u64 n = key >> (13 + 2 * disco_l2tlb_key_size(key));
	__u64 x = n >> t->set_bits ^ (__u64)tag << 20 ^ (key & 31) << 40;

	x *= 0x9e3779b97f4a7c15ULL;
	n = (n + (x >> 32)) & ((1ULL << t->set_bits) - 1);
	return t->entry + n * DISCO_L2TLB_WAYS;
}

static inline struct disco_l2tlb_entry *
disco_l2tlb_find(const struct disco_l2tlb *t, __u64 key, __u32 tag)
{
	struct disco_l2tlb_entry *e = disco_l2tlb_set(t, key, tag);
	struct disco_l2tlb_entry *end = e + DISCO_L2TLB_WAYS;

	for (; e < end; e++)
		if (e->key == key && e->tag == tag &&
		    e->generation == t->hdr->generation)
			return e;
	return (void *)0;
}

/* The live entry, of any size, for one address and one tag or global. */
static inline struct disco_l2tlb_entry *
disco_l2tlb_find_va(const struct disco_l2tlb *t, __u64 va, __u32 tag)
{
	__u32 r = disco_l2tlb_region(va), g, s, sizes;
	struct disco_l2tlb_entry *e;

	for (g = 0; g < 2; g++) {
		sizes = t->hdr->sizes[r][g];
		for (s = 0; sizes; s++, sizes >>= 1) {
			if (!(sizes & 1))
				continue;
			e = disco_l2tlb_find(t, disco_l2tlb_key(va, s, g),
					     g ? 0 : tag);
			if (e)
				return e;
		}
	}
	return (void *)0;
}

static inline void disco_l2tlb_report(const struct disco_l2tlb_sink *sink,
				      __u64 key, __u32 tag)
{
	__u64 len = disco_l2tlb_pair_bytes(disco_l2tlb_key_size(key));

	sink->drop(sink->opaque, key & ~(len - 1), len, tag,
		   disco_l2tlb_key_global(key));
}

static inline void disco_l2tlb_account(struct disco_l2tlb *t, __u64 key, int n)
{
	__u32 r = disco_l2tlb_region(key), g = disco_l2tlb_key_global(key);
	__u32 s = disco_l2tlb_key_size(key);

	t->hdr->nr_live += n;
	t->hdr->live[r][g][s] += n;
	if (t->hdr->live[r][g][s])
		t->hdr->sizes[r][g] |= 1U << s;
	else
		t->hdr->sizes[r][g] &= ~(1U << s);
}

static inline void disco_l2tlb_remove(struct disco_l2tlb *t,
				      const struct disco_l2tlb_sink *sink,
				      struct disco_l2tlb_entry *e)
{
	disco_l2tlb_account(t, e->key, -1);
	e->generation = 0;
	disco_l2tlb_report(sink, e->key, e->tag);
}

static inline void disco_l2tlb_drop(struct disco_l2tlb *t,
				    const struct disco_l2tlb_sink *sink,
				    struct disco_l2tlb_entry *e)
{
	t->hdr->counters.drops++;
	disco_l2tlb_remove(t, sink, e);
}

/* The generation came round: nothing old may look live again. */
static inline void disco_l2tlb_wipe(struct disco_l2tlb *t)
{
	__u32 i;

	for (i = 0; i < t->nr_entries; i++)
		t->entry[i].generation = 0;
	for (i = 0; i < t->nr_indices; i++)
		t->hdr->slot[i].was_generation = 0;
}

/**
 * disco_l2tlb_flush() - empty the table, and with it the soft TLB
 * @t: the table
 * @sink: told to flush, unless the table was empty already
 *
 * For tlbinvf, ginvt and a change of Config5.MI, after which the caller
 * flushes the soft TLB in any case, the guest TLB having changed. Takes
 * constant time: kernels flush all in ways that look like one flush per index.
 */
static inline void disco_l2tlb_flush(struct disco_l2tlb *t,
				     const struct disco_l2tlb_sink *sink)
{
	struct disco_l2tlb_header *h = t->hdr;
	__u32 r, g, s;

	for (r = 0; r < DISCO_L2TLB_MAX_INDICES / 64; r++)
		h->swept[r] = 0;
	h->reach = 0;
	if (!h->nr_live)
		return;
	h->counters.flushes++;
	h->nr_live = 0;
	for (r = 0; r < DISCO_L2TLB_REGIONS; r++)
		for (g = 0; g < 2; g++) {
			for (s = 0; h->sizes[r][g] >> s; s++)
				h->live[r][g][s] = 0;
			h->sizes[r][g] = 0;
		}
	if (!++h->generation) {
		disco_l2tlb_wipe(t);
		h->generation = 1;
	}
	sink->flush(sink->opaque);
}

/**
 * disco_l2tlb_reset() - empty the table and forget all that the guest knew
 * @t: the table
 * @sink: told to flush, unless the table was empty already
 *
 * For a reset of the CPU, and when the state of another one is loaded.
 */
static inline void disco_l2tlb_reset(struct disco_l2tlb *t,
				     const struct disco_l2tlb_sink *sink)
{
	__u32 i;

	disco_l2tlb_flush(t, sink);
	t->hdr->paired = 0;
	for (i = 0; i < t->nr_indices; i++) {
		t->hdr->slot[i].known = 0;
		t->hdr->slot[i].wired = 0;
		t->hdr->slot[i].was_generation = 0;
	}
}

/* A guest TLB entry is overwritten or invalidated, and the guest knows. */
static inline void disco_l2tlb_forget(struct disco_l2tlb *t,
				      const struct disco_l2tlb_sink *sink,
				      __u64 key, __u32 tag)
{
	struct disco_l2tlb_entry *e = disco_l2tlb_find(t, key, tag);

	if (e)
		disco_l2tlb_drop(t, sink, e);
	else
		disco_l2tlb_report(sink, key, tag);
}

/* A guest TLB with two matches may hold a pair that the table has otherwise. */
static inline int disco_l2tlb_holds(const struct disco_l2tlb *t,
				    const struct disco_l2tlb_pair *p)
{
	const struct disco_l2tlb_entry *e;

	e = disco_l2tlb_find(t, disco_l2tlb_pair_key(p), disco_l2tlb_pair_tag(p));
	return e && e->lo[0] == p->lo[0] && e->lo[1] == p->lo[1];
}

/* The guest knows what index @slot holds; what it expected here is not. */
static inline void disco_l2tlb_settle(struct disco_l2tlb *t,
				      const struct disco_l2tlb_sink *sink,
				      struct disco_l2tlb_slot *slot)
{
	struct disco_l2tlb_entry *e;

	if (slot->was_generation == t->hdr->generation) {
		e = disco_l2tlb_find(t, slot->was_key, slot->was_tag);
		if (e)
			disco_l2tlb_drop(t, sink, e);
	}
	slot->was_generation = 0;
	slot->known = 1;
}

static inline void disco_l2tlb_drop_scan(struct disco_l2tlb *t,
					 const struct disco_l2tlb_sink *sink,
					 const struct disco_l2tlb_pair *p)
{
	__u64 mask = ~(disco_l2tlb_pair_bytes(disco_l2tlb_size(p->pagemask)) - 1);
	struct disco_l2tlb_entry *e;
	__u64 both;

	for (e = t->entry; e < t->entry + t->nr_entries; e++) {
		both = mask & ~(disco_l2tlb_pair_bytes(disco_l2tlb_key_size(e->key)) - 1);
		if (e->generation == t->hdr->generation &&
		    !((e->key ^ p->vpn) & both) &&
		    (p->global || disco_l2tlb_key_global(e->key) ||
		     e->tag == p->tag))
			disco_l2tlb_drop(t, sink, e);
	}
}

/* Everything of any size that shares an address and a tag with @p goes. */
static inline void disco_l2tlb_drop_overlaps(struct disco_l2tlb *t,
					     const struct disco_l2tlb_sink *sink,
					     const struct disco_l2tlb_pair *p)
{
	__u32 r = disco_l2tlb_region(p->vpn), size = disco_l2tlb_size(p->pagemask);
	__u64 va, first, end;
	struct disco_l2tlb_entry *e;
	__u32 g, s, sizes;

	for (g = 0; g < 2; g++) {
		sizes = t->hdr->sizes[r][g];
		if (sizes && !g && p->global) {
			disco_l2tlb_drop_scan(t, sink, p);
			return;
		}
		for (s = 0; sizes; s++, sizes >>= 1) {
			if (!(sizes & 1))
				continue;
			if (s < size && (t->nr_entries >> 2 * (size - s)) == 0) {
				disco_l2tlb_drop_scan(t, sink, p);
				return;
			}
			first = p->vpn & ~(disco_l2tlb_pair_bytes(size) - 1);
			end = first + disco_l2tlb_pair_bytes(size);
			for (va = first; va != end;
			     va += disco_l2tlb_pair_bytes(s < size ? s : size)) {
				e = disco_l2tlb_find(t, disco_l2tlb_key(va, s, g),
						     g ? 0 : p->tag);
				if (e)
					disco_l2tlb_drop(t, sink, e);
			}
		}
	}
}

static inline void disco_l2tlb_insert(struct disco_l2tlb *t,
				      const struct disco_l2tlb_sink *sink,
				      const struct disco_l2tlb_pair *p)
{
	__u64 key = disco_l2tlb_pair_key(p);
	__u32 tag = disco_l2tlb_pair_tag(p), way;
	struct disco_l2tlb_entry *set = disco_l2tlb_set(t, key, tag), *e;

	for (way = 0; way < DISCO_L2TLB_WAYS; way++)
		if (set[way].generation != t->hdr->generation)
			break;
	if (way < DISCO_L2TLB_WAYS) {
		e = set + way;
	} else {
		e = set + t->hdr->clock++ % DISCO_L2TLB_WAYS;
		t->hdr->counters.evictions++;
		disco_l2tlb_remove(t, sink, e);
	}
	e->key = key;
	e->tag = tag;
	e->lo[0] = p->lo[0];
	e->lo[1] = p->lo[1];
	e->generation = t->hdr->generation;
	disco_l2tlb_account(t, key, 1);
	t->hdr->counters.inserts++;
}

/* Has an index-by-index rewrite reached all that tlbwr could have written? */
static inline int disco_l2tlb_sweep(struct disco_l2tlb *t, __u32 index)
{
	struct disco_l2tlb_header *h = t->hdr;
	__u32 i;

	h->swept[index / 64] |= 1ULL << index % 64;
	for (i = t->nr_indices; i-- > h->reach;)
		if (!(h->swept[i / 64] >> i % 64 & 1))
			return 0;
	return 1;
}

/**
 * disco_l2tlb_write() - the guest wrote an entry of its TLB
 * @t: the table
 * @sink: told what the soft TLB must forget
 * @index: the index written, below the table's number of them
 * @old: what the index held
 * @new: what it holds now
 * @wired: the Wired register
 * @how: how the index was chosen
 */
static inline void disco_l2tlb_write(struct disco_l2tlb *t,
				     const struct disco_l2tlb_sink *sink,
				     __u32 index,
				     const struct disco_l2tlb_pair *old,
				     const struct disco_l2tlb_pair *new,
				     __u32 wired, enum disco_l2tlb_write how)
{
	struct disco_l2tlb_slot *slot;
	int paired, flush = 0;
	__u64 key;
	__u32 tag;

	if (index >= t->nr_indices)
		return;
	slot = &t->hdr->slot[index];
	paired = t->hdr->paired == index + 1;
	t->hdr->paired = 0;
	key = disco_l2tlb_pair_key(old);
	tag = disco_l2tlb_pair_tag(old);

	if (how == DISCO_L2TLB_RANDOM) {
		if (wired > t->hdr->reach)
			t->hdr->reach = wired;
		if (disco_l2tlb_pair_valid(old)) {
			if (!disco_l2tlb_holds(t, old)) {
				disco_l2tlb_report(sink, key, tag);
			} else if (slot->known) {
				slot->was_key = key;
				slot->was_tag = tag;
				slot->was_generation = t->hdr->generation;
			}
		}
		slot->known = 0;
	} else {
		if (disco_l2tlb_pair_valid(old))
			disco_l2tlb_forget(t, sink, key, tag);
		disco_l2tlb_settle(t, sink, slot);
		if (!paired) {
			flush = disco_l2tlb_sweep(t, index);
			if (!disco_l2tlb_pair_valid(new) && !slot->wired)
				flush = 1;
		}
	}
	slot->wired = 0;
	if (flush)
		disco_l2tlb_flush(t, sink);
	if (!new->ehinv)
		disco_l2tlb_drop_overlaps(t, sink, new);
	if (!disco_l2tlb_pair_valid(new))
		return;
	if (index < wired)
		slot->wired = 1;
	else
		disco_l2tlb_insert(t, sink, new);
}

/**
 * disco_l2tlb_probe() - the guest executed tlbp
 * @t: the table
 * @sink: told what the soft TLB must forget
 * @va: the address in EntryHi
 * @tag: the tag it was probed with
 * @index: what the guest got; negative when the probe failed
 */
static inline void disco_l2tlb_probe(struct disco_l2tlb *t,
				     const struct disco_l2tlb_sink *sink,
				     __u64 va, __u32 tag, __s32 index)
{
	struct disco_l2tlb_entry *e;

	t->hdr->paired = 0;
	if (index >= 0 && (__u32)index < t->nr_indices) {
		disco_l2tlb_settle(t, sink, &t->hdr->slot[index]);
		t->hdr->paired = index + 1;
		return;
	}
	e = disco_l2tlb_find_va(t, va, tag);
	if (e)
		disco_l2tlb_drop(t, sink, e);
}

/**
 * disco_l2tlb_read() - the guest executed tlbr
 * @t: the table
 * @sink: told what the soft TLB must forget
 * @index: the index it read
 *
 * Reading the index that a probe has just found tells the guest nothing new.
 */
static inline void disco_l2tlb_read(struct disco_l2tlb *t,
				    const struct disco_l2tlb_sink *sink,
				    __u32 index)
{
	if (t->hdr->paired != index + 1)
		disco_l2tlb_flush(t, sink);
	t->hdr->paired = 0;
}

/**
 * disco_l2tlb_unpair() - the next tlbwi does not belong to the last tlbp
 * @t: the table
 *
 * After a write of the Index register and on every exception and interrupt.
 */
static inline void disco_l2tlb_unpair(struct disco_l2tlb *t)
{
	t->hdr->paired = 0;
}

/**
 * disco_l2tlb_invalidate_tag() - the guest executed tlbinv
 * @t: the table
 * @tag: the current ASID or MMID
 *
 * The caller flushes the soft TLB, the guest TLB having changed too. Looks at
 * every entry: no kernel does this often.
 */
static inline void disco_l2tlb_invalidate_tag(struct disco_l2tlb *t, __u32 tag)
{
	struct disco_l2tlb_entry *e;

	t->hdr->paired = 0;
	for (e = t->entry; e < t->entry + t->nr_entries; e++)
		if (e->generation == t->hdr->generation && e->tag == tag &&
		    !disco_l2tlb_key_global(e->key)) {
			disco_l2tlb_account(t, e->key, -1);
			e->generation = 0;
			t->hdr->counters.drops++;
		}
}

/**
 * disco_l2tlb_lookup() - translate an address
 * @t: the table, not changed: debuggers may ask
 * @va: the address
 * @tag: the current ASID or MMID
 * @access: what is done there
 * @lo: on success, frame and bits of the 4 KiB page the address is in
 *
 * Return: true for a translation that permits the access.
 */
static inline int disco_l2tlb_lookup(const struct disco_l2tlb *t, __u64 va,
				     __u32 tag, enum disco_l2tlb_access access,
				     __u64 *lo)
{
	const struct disco_l2tlb_entry *e = disco_l2tlb_find_va(t, va, tag);
	__u64 half, found;

	if (!e)
		return 0;
	half = disco_l2tlb_pair_bytes(disco_l2tlb_key_size(e->key)) / 2;
	found = e->lo[!!(va & half)];
	if (!(found & DISCO_L2TLB_V) ||
	    (access == DISCO_L2TLB_STORE && !(found & DISCO_L2TLB_D)) ||
	    (access == DISCO_L2TLB_LOAD && (found & DISCO_L2TLB_RI)) ||
	    (access == DISCO_L2TLB_FETCH && (found & DISCO_L2TLB_XI)))
		return 0;
	*lo = found | (va & (half - 1) & DISCO_L2TLB_FRAME);
	return 1;
}

/**
 * disco_l2tlb_refill() - the guest gets a refill exception
 * @t: the table
 * @sink: told what the soft TLB must forget
 * @va: the address
 * @tag: the current ASID or MMID
 */
static inline void disco_l2tlb_refill(struct disco_l2tlb *t,
				      const struct disco_l2tlb_sink *sink,
				      __u64 va, __u32 tag)
{
	struct disco_l2tlb_entry *e = disco_l2tlb_find_va(t, va, tag);

	t->hdr->counters.forwards++;
	if (e)
		disco_l2tlb_drop(t, sink, e);
}

#endif /* _UAPI_LINUX_DISCO_L2TLB_H */
