// SPDX-License-Identifier: GPL-2.0-only
/*
 * Machine pages: where they come from, what limits them, and the zero pages.
 *
 * Our folios have no mapping and are on no LRU list. They are charged to the
 * memory cgroup of the task that allocates, as kernel memory (__GFP_ACCOUNT):
 * mem_cgroup_charge() is not for modules. ->private and ->index belong to
 * memmap.c.
 */
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/memcontrol.h>
#include <linux/mempolicy.h>
#include <linux/sched/mm.h>

#include "disco.h"

/* The zero page of each node; NULL for a node without memory. */
static struct folio *zero_folios[MAX_NUMNODES];

/*
 * Every PTE of a zero page holds a reference and a mapcount of 32 bits. Past
 * this many, a read fault gets a page of its own.
 */
#define ZERO_MAX_REFS (INT_MAX / 2)

/**
 * disco_zero_init() - allocate a zero page on each node with memory
 *
 * Not ZERO_PAGE(): it is on one node, and mapping it outside of anonymous
 * memory is refused by newer kernels.
 *
 * Context: module load.
 * Return: 0 or -ENOMEM.
 */
int disco_zero_init(void)
{
	int node;

	for_each_node_state(node, N_MEMORY) {
		zero_folios[node] = __folio_alloc_node(GFP_HIGHUSER | __GFP_ZERO,
						       0, node);
		if (!zero_folios[node]) {
			disco_zero_exit();
			return -ENOMEM;
		}
	}
	return 0;
}

/**
 * disco_zero_exit() - give the zero pages back
 *
 * Context: module unload, or a failed load. No mapping is left; a page that
 * somebody still has pinned is freed when the pin goes.
 */
void disco_zero_exit(void)
{
	int node;

	for (node = 0; node < MAX_NUMNODES; node++) {
		if (zero_folios[node])
			folio_put(zero_folios[node]);
		zero_folios[node] = NULL;
	}
}

/**
 * disco_zero_folio() - the zero page to map on a node
 * @node: node of the CPU that reads
 *
 * Return: the folio, without a reference for the caller: it lives as long as
 * the module. NULL if it has too many users, or the node got its memory after
 * the module was loaded.
 */
struct folio *disco_zero_folio(int node)
{
	struct folio *folio = zero_folios[node];

	if (!folio || folio_ref_count(folio) > ZERO_MAX_REFS)
		return NULL;
	return folio;
}

/**
 * disco_folio_charge() - count a machine page that VMs are about to have
 * @sbi: their mount
 *
 * Counts first and compares then, so that racing callers can be refused when
 * one page is left, but never go over the limit.
 *
 * Context: any; a page on its way (disco_unsettle()).
 * Return: false if the mount is full.
 */
bool disco_folio_charge(struct disco_sb *sbi)
{
	u64 max = READ_ONCE(sbi->max_pages);

	percpu_counter_inc(&sbi->used);
	if (max && percpu_counter_compare(&sbi->used, max) > 0) {
		percpu_counter_dec(&sbi->used);
		return false;
	}
	disco_count(DISCO_machine_pages, 1);
	return true;
}

/**
 * disco_folio_uncharge() - undo disco_folio_charge()
 * @sbi: the mount
 */
void disco_folio_uncharge(struct disco_sb *sbi)
{
	percpu_counter_dec(&sbi->used);
	disco_count(DISCO_machine_pages, -1);
}

/* A mapping's own policy, by mbind(), comes before the mount's. */
static struct folio *alloc_by_policy(struct disco_vm *vm, pgoff_t gfn,
				     struct vm_area_struct *vma,
				     unsigned long addr, gfp_t gfp)
{
	struct disco_mpol *mpol = &disco_vm_sb(vm)->mpol;

	if (mpol->mode != DISCO_MPOL_DEFAULT && !(vma && vma_policy(vma)))
		return disco_mpol_alloc(mpol, gfn, gfp);
	if (vma)
		return vma_alloc_folio(gfp, 0, vma, addr, false);
	return folio_alloc(gfp, 0);
}

/**
 * disco_folio_alloc() - allocate a machine page for a VM
 * @vm: the VM
 * @gfn: what it is for
 * @vma: mapping that faults, or NULL. Its memory policy decides on the node, or
 *	else the mount's, or else the task's
 * @addr: address in @vma
 * @gfp: __GFP_ZERO if the page has to be zeroed, else 0
 * @err: set to -ENOSPC if the mount is full, -ENOMEM if the kernel or the
 *	memory cgroup has none
 *
 * Context: may sleep; holds no slot lock and no folio lock, for reclaim can
 * take long.
 * Return: an unlocked folio with one reference, in no slot, or NULL. Whoever
 * puts it into a slot calls disco_settle().
 */
struct folio *disco_folio_alloc(struct disco_vm *vm, pgoff_t gfn,
				struct vm_area_struct *vma, unsigned long addr,
				gfp_t gfp, int *err)
{
	struct folio *folio;

	disco_unsettle();
	if (!disco_folio_charge(disco_vm_sb(vm))) {
		disco_settle();
		disco_refuse(DISCO_refused_limit, vm, gfn);
		*err = -ENOSPC;
		return NULL;
	}

	folio = alloc_by_policy(vm, gfn, vma, addr,
				gfp | GFP_HIGHUSER | __GFP_ACCOUNT);
	if (!folio) {
		disco_folio_uncharge(disco_vm_sb(vm));
		disco_settle();
		disco_refuse(DISCO_refused_nomem, vm, gfn);
		*err = -ENOMEM;
		return NULL;
	}
	return folio;
}

/**
 * disco_folio_memcg() - who pays for a page
 * @folio: the page, with a reference
 *
 * Return: the memory cgroup, with a reference; NULL if none does.
 */
struct mem_cgroup *disco_folio_memcg(struct folio *folio)
{
	struct mem_cgroup *memcg;

	rcu_read_lock();
	do
		memcg = folio_memcg(folio);
	while (!mem_cgroup_tryget(memcg));
	rcu_read_unlock();
	return memcg;
}

/**
 * disco_folio_alloc_on() - allocate a page to take another one's place
 * @node: where
 * @like: the other one, with a reference; who pays for it pays for the new one
 *
 * Context: may sleep. The mount's limit is the caller's matter.
 * Return: an unlocked folio with one reference, in no slot; NULL if the node or
 * the memory cgroup has no memory left.
 */
struct folio *disco_folio_alloc_on(int node, struct folio *like)
{
	gfp_t gfp = DISCO_GFP_ON_NODE;
	struct mem_cgroup *memcg = disco_folio_memcg(like), *before;
	struct folio *folio;

	/* Without one set it would be the caller's. */
	if (memcg)
		gfp |= __GFP_ACCOUNT;
	before = set_active_memcg(memcg);
	folio = __folio_alloc_node(gfp, 0, node);
	set_active_memcg(before);
	mem_cgroup_put(memcg);
	return folio;
}

/**
 * disco_folio_discard() - give back a page that was not needed in the end
 * @vm: the VM it was allocated for
 * @folio: the page, in no slot
 *
 * Context: any.
 */
void disco_folio_discard(struct disco_vm *vm, struct folio *folio)
{
	disco_folio_free(vm, folio);
	disco_settle();
}

/**
 * disco_folio_free() - drop a machine page that has no user any more
 * @vm: the VM that had it last
 * @folio: the page
 *
 * Drops the reference of disco_folio_alloc(), or of the last slot. Somebody who
 * has it pinned, or the buffer cache, keeps the memory; no VM has it any more.
 *
 * Context: any; @folio may be locked by the caller if it holds another
 * reference.
 */
void disco_folio_free(struct disco_vm *vm, struct folio *folio)
{
	disco_folio_uncharge(disco_vm_sb(vm));
	folio_put(folio);
}

/**
 * disco_folio_copy() - copy the contents of a page
 * @dst: new page
 * @src: page that stays as it is during the copy
 *
 * Context: may hold the lock of @src.
 */
void disco_folio_copy(struct folio *dst, struct folio *src)
{
	copy_highpage(folio_page(dst, 0), folio_page(src, 0));
	flush_dcache_folio(dst);
}
