/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A MIPS CPU as far as its TLB goes: guest TLB, L2TLB and soft TLB put together
 * the way a monitor does it. The soft TLB holds 4 KiB translations for the
 * current tag and is filled by every successful access.
 */
#ifndef L2TLB_CPU_H
#define L2TLB_CPU_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/disco_l2tlb.h>

#define CPU_MAX_INDICES	128
#define CPU_SOFT	512

struct cpu_soft {
	bool used;
	uint64_t va;
	uint64_t lo;
};

struct cpu {
	uint32_t nr_indices;
	uint32_t wired;
	uint32_t tag;
	struct disco_l2tlb_pair tlb[CPU_MAX_INDICES];

	struct disco_l2tlb l2tlb;
	struct disco_l2tlb_sink sink;
	void *mem;

	struct cpu_soft soft[CPU_SOFT];
	uint64_t rng;
	uint64_t accesses;	/* answered as follows; what is left: denied */
	uint64_t soft_hits;
	uint64_t l2tlb_hits;
	uint64_t guest_hits;
	uint64_t refills;
};

enum cpu_result { CPU_OK, CPU_REFILL, CPU_DENIED };

uint64_t cpu_random(struct cpu *c, uint64_t n);

void cpu_init(struct cpu *c, uint32_t nr_indices, uint32_t nr_entries, uint64_t seed);
void cpu_fini(struct cpu *c);

void cpu_set_tag(struct cpu *c, uint32_t tag);
void cpu_tlbwi(struct cpu *c, uint32_t index, const struct disco_l2tlb_pair *p);
uint32_t cpu_tlbwr(struct cpu *c, const struct disco_l2tlb_pair *p);
int cpu_tlbp(struct cpu *c, uint64_t va);
const struct disco_l2tlb_pair *cpu_tlbr(struct cpu *c, uint32_t index);
void cpu_tlbinv(struct cpu *c);
void cpu_tlbinvf(struct cpu *c);
void cpu_reset(struct cpu *c);

/* An exception, or a write of the Index register. */
void cpu_interrupt(struct cpu *c);

/*
 * Translate @va. On success *lo is frame and bits of its 4 KiB page. A refill
 * has been reported to the L2TLB when this returns.
 */
enum cpu_result cpu_access(struct cpu *c, uint64_t va,
			   enum disco_l2tlb_access access, uint64_t *lo);

bool cpu_matches(const struct disco_l2tlb_pair *p, uint64_t va, uint32_t tag);
bool cpu_overlap(const struct disco_l2tlb_pair *a, const struct disco_l2tlb_pair *b);
bool cpu_permits(uint64_t lo, enum disco_l2tlb_access access);

/* Frame and bits of the 4 KiB page of @va in the pair that contains it. */
uint64_t cpu_page(const struct disco_l2tlb_pair *p, uint64_t va);

uint64_t cpu_pair_bytes(const struct disco_l2tlb_pair *p);

#endif /* L2TLB_CPU_H */
