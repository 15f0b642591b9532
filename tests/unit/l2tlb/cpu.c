// SPDX-License-Identifier: GPL-2.0-only
/* See cpu.h. Shares no helper with the header under test. */
#include <stdlib.h>
#include <string.h>

#include "cpu.h"

uint64_t cpu_random(struct cpu *c, uint64_t n)
{
	c->rng ^= c->rng << 13;
	c->rng ^= c->rng >> 7;
	c->rng ^= c->rng << 17;
	return (c->rng >> 11) % n;
}

uint64_t cpu_pair_bytes(const struct disco_l2tlb_pair *p)
{
	return (uint64_t)p->pagemask + 0x2000;
}

bool cpu_matches(const struct disco_l2tlb_pair *p, uint64_t va, uint32_t tag)
{
	uint64_t first = p->vpn - p->vpn % cpu_pair_bytes(p);

	return !p->ehinv && (p->global || p->tag == tag) &&
	       va >= first && va - first < cpu_pair_bytes(p);
}

bool cpu_overlap(const struct disco_l2tlb_pair *a, const struct disco_l2tlb_pair *b)
{
	uint64_t a0 = a->vpn - a->vpn % cpu_pair_bytes(a);
	uint64_t b0 = b->vpn - b->vpn % cpu_pair_bytes(b);

	return (a->global || b->global || a->tag == b->tag) &&
	       (a0 < b0 ? b0 - a0 < cpu_pair_bytes(a) : a0 - b0 < cpu_pair_bytes(b));
}

bool cpu_permits(uint64_t lo, enum disco_l2tlb_access access)
{
	switch (access) {
	case DISCO_L2TLB_STORE:
		return (lo & DISCO_L2TLB_V) && (lo & DISCO_L2TLB_D);
	case DISCO_L2TLB_LOAD:
		return (lo & DISCO_L2TLB_V) && !(lo & DISCO_L2TLB_RI);
	default:
		return (lo & DISCO_L2TLB_V) && !(lo & DISCO_L2TLB_XI);
	}
}

uint64_t cpu_page(const struct disco_l2tlb_pair *p, uint64_t va)
{
	uint64_t page = cpu_pair_bytes(p) / 2, offset = va % cpu_pair_bytes(p);

	return p->lo[offset >= page] + offset % page / 4096 * 4096;
}

static struct cpu_soft *soft_slot(struct cpu *c, uint64_t va)
{
	return &c->soft[va / 4096 % CPU_SOFT];
}

static void soft_flush(void *opaque)
{
	struct cpu *c = opaque;

	memset(c->soft, 0, sizeof(c->soft));
}

static void soft_drop(void *opaque, __u64 vpn, __u64 len, __u32 tag, int global)
{
	struct cpu *c = opaque;

	if (!global && tag != c->tag)
		return;
	for (int i = 0; i < CPU_SOFT; i++)
		if (c->soft[i].va >= vpn && c->soft[i].va - vpn < len)
			c->soft[i].used = false;
}

void cpu_init(struct cpu *c, uint32_t nr_indices, uint32_t nr_entries, uint64_t seed)
{
	memset(c, 0, sizeof(*c));
	c->rng = seed * 0x9e3779b97f4a7c15 | 1;
	c->nr_indices = nr_indices;
	for (uint32_t i = 0; i < nr_indices; i++)
		c->tlb[i].ehinv = 1;
	c->mem = calloc(1, disco_l2tlb_bytes(nr_entries));
	if (!c->mem || !disco_l2tlb_format(&c->l2tlb, c->mem, nr_entries, nr_indices))
		abort();
	c->sink = (struct disco_l2tlb_sink){ soft_drop, soft_flush, c };
}

void cpu_fini(struct cpu *c)
{
	free(c->mem);
}

void cpu_set_tag(struct cpu *c, uint32_t tag)
{
	if (c->tag != tag)
		soft_flush(c);
	c->tag = tag;
}

static void tlb_write(struct cpu *c, uint32_t index, const struct disco_l2tlb_pair *p,
		      enum disco_l2tlb_write how)
{
	struct disco_l2tlb_pair old = c->tlb[index];

	/* An EHINV write leaves the rest of the entry as it was. */
	if (p->ehinv)
		c->tlb[index].ehinv = 1;
	else
		c->tlb[index] = *p;
	disco_l2tlb_write(&c->l2tlb, &c->sink, index, &old, &c->tlb[index], c->wired, how);
}

void cpu_tlbwi(struct cpu *c, uint32_t index, const struct disco_l2tlb_pair *p)
{
	tlb_write(c, index, p, DISCO_L2TLB_INDEXED);
}

uint32_t cpu_tlbwr(struct cpu *c, const struct disco_l2tlb_pair *p)
{
	uint32_t choice = c->nr_indices - c->wired;
	uint32_t index = c->wired + cpu_random(c, choice);

	tlb_write(c, index, p, choice > 1 ? DISCO_L2TLB_RANDOM : DISCO_L2TLB_INDEXED);
	return index;
}

static int tlb_find(struct cpu *c, uint64_t va)
{
	for (uint32_t i = 0; i < c->nr_indices; i++)
		if (cpu_matches(&c->tlb[i], va, c->tag))
			return i;
	return -1;
}

int cpu_tlbp(struct cpu *c, uint64_t va)
{
	int index = tlb_find(c, va);

	disco_l2tlb_probe(&c->l2tlb, &c->sink, va, c->tag, index);
	return index;
}

const struct disco_l2tlb_pair *cpu_tlbr(struct cpu *c, uint32_t index)
{
	disco_l2tlb_read(&c->l2tlb, &c->sink, index);
	return &c->tlb[index];
}

void cpu_tlbinv(struct cpu *c)
{
	for (uint32_t i = 0; i < c->nr_indices; i++)
		if (!c->tlb[i].global && c->tlb[i].tag == c->tag)
			c->tlb[i].ehinv = 1;
	disco_l2tlb_invalidate_tag(&c->l2tlb, c->tag);
	soft_flush(c);
}

void cpu_tlbinvf(struct cpu *c)
{
	for (uint32_t i = 0; i < c->nr_indices; i++)
		c->tlb[i].ehinv = 1;
	disco_l2tlb_flush(&c->l2tlb, &c->sink);
	soft_flush(c);
}

void cpu_reset(struct cpu *c)
{
	c->wired = 0;
	disco_l2tlb_reset(&c->l2tlb, &c->sink);
	soft_flush(c);
}

void cpu_interrupt(struct cpu *c)
{
	disco_l2tlb_unpair(&c->l2tlb);
}

enum cpu_result cpu_access(struct cpu *c, uint64_t va,
			   enum disco_l2tlb_access access, uint64_t *lo)
{
	struct cpu_soft *soft = soft_slot(c, va);
	__u64 found;
	int index;

	c->accesses++;
	if (soft->used && soft->va == va / 4096 * 4096 && cpu_permits(soft->lo, access)) {
		c->soft_hits++;
		*lo = soft->lo;
		return CPU_OK;
	}
	if (disco_l2tlb_lookup(&c->l2tlb, va, c->tag, access, &found)) {
		c->l2tlb_hits++;
	} else {
		index = tlb_find(c, va);
		if (index < 0) {
			c->refills++;
			disco_l2tlb_unpair(&c->l2tlb);
			disco_l2tlb_refill(&c->l2tlb, &c->sink, va, c->tag);
			return CPU_REFILL;
		}
		found = cpu_page(&c->tlb[index], va);
		if (!cpu_permits(found, access)) {
			disco_l2tlb_unpair(&c->l2tlb);
			return CPU_DENIED;
		}
		c->guest_hits++;
	}
	*soft = (struct cpu_soft){ true, va / 4096 * 4096, found };
	*lo = found;
	return CPU_OK;
}
