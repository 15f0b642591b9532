// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pmap: gfn to slot. (Disco, section 4.2: "for each physical page a
 * precomputed TLB entry"; ours leads to a folio, and the kernel's page tables
 * hold the entries.)
 *
 * Nothing here knows what a slot means; who may change one is said in disco.h.
 */
#include <linux/gfp.h>

#include "disco.h"

#define LEAF_SHIFT ilog2(DISCO_LEAF_SLOTS)

static unsigned long leaf_index(pgoff_t gfn)
{
	return gfn >> LEAF_SHIFT;
}

/**
 * disco_pmap_init() - make an empty table: all holes
 * @pmap: the table
 */
void disco_pmap_init(struct disco_pmap_table *pmap)
{
	xa_init_flags(&pmap->leaves, XA_FLAGS_ACCOUNT);
	atomic_long_set(&pmap->nr_leaves, 0);
}

static void free_leaf(struct disco_pmap_table *pmap, unsigned long index)
{
	void *leaf = xa_erase(&pmap->leaves, index);

	if (!leaf)
		return;
	atomic_long_dec(&pmap->nr_leaves);
	disco_count(DISCO_metadata_bytes, -(s64)PAGE_SIZE);
	free_page((unsigned long)leaf);
}

/**
 * disco_pmap_destroy() - free a table whose slots are all holes
 * @pmap: the table
 *
 * Context: nobody else can reach @pmap.
 */
void disco_pmap_destroy(struct disco_pmap_table *pmap)
{
	disco_pmap_free_leaves(pmap, 0, DISCO_MAX_GFN + 1);
	WARN_ON_ONCE(atomic_long_read(&pmap->nr_leaves));
	xa_destroy(&pmap->leaves);
}

/**
 * disco_pmap_slot() - find a slot
 * @pmap: the table
 * @gfn: guest frame number
 *
 * Context: invalidate_lock of the VM, or the lock of a folio that lists @gfn.
 * Return: the slot, or NULL if there is no leaf: a hole.
 */
unsigned long *disco_pmap_slot(struct disco_pmap_table *pmap, pgoff_t gfn)
{
	unsigned long *leaf = xa_load(&pmap->leaves, leaf_index(gfn));

	return leaf ? &leaf[gfn % DISCO_LEAF_SLOTS] : NULL;
}

/**
 * disco_pmap_slot_alloc() - find a slot, with a new leaf if it has none
 * @pmap: the table
 * @gfn: guest frame number
 *
 * Context: may sleep; invalidate_lock of the VM, shared is enough: of two
 * racing callers one inserts the leaf and the other frees its own.
 * Return: the slot, or NULL if there is no memory.
 */
unsigned long *disco_pmap_slot_alloc(struct disco_pmap_table *pmap,
				     pgoff_t gfn)
{
	unsigned long *slot = disco_pmap_slot(pmap, gfn);
	void *leaf;
	int err;

	if (slot)
		return slot;

	leaf = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!leaf)
		return NULL;
	err = xa_insert(&pmap->leaves, leaf_index(gfn), leaf,
			GFP_KERNEL_ACCOUNT);
	if (err) {
		free_page((unsigned long)leaf);
		return err == -EBUSY ? disco_pmap_slot(pmap, gfn) : NULL;
	}
	atomic_long_inc(&pmap->nr_leaves);
	disco_count(DISCO_metadata_bytes, PAGE_SIZE);
	return disco_pmap_slot(pmap, gfn);
}

/* The first slot from @slot to the end of its leaf that is not a hole. */
static unsigned long *scan_leaf(unsigned long *slot, pgoff_t *gfn, pgoff_t end)
{
	pgoff_t last = min_t(pgoff_t, end,
			     round_up(*gfn + 1, DISCO_LEAF_SLOTS));

	for (; *gfn < last; slot++, (*gfn)++)
		if (READ_ONCE(*slot))
			return slot;
	return NULL;
}

/**
 * disco_pmap_next() - find the next slot that is not a hole
 * @pmap: the table
 * @prev: the slot before @gfn, which saves looking for its leaf; or NULL
 * @gfn: where to start; set to the gfn of the slot that was found
 * @end: where to stop, exclusive
 *
 * Context: as disco_pmap_slot(), held since @prev was found.
 * Return: the slot, or NULL if there are only holes.
 */
unsigned long *disco_pmap_next(struct disco_pmap_table *pmap,
			       unsigned long *prev, pgoff_t *gfn, pgoff_t end)
{
	unsigned long index, *leaf, *slot;

	if (*gfn >= end)
		return NULL;
	if (prev && *gfn % DISCO_LEAF_SLOTS) {
		slot = scan_leaf(prev + 1, gfn, end);
		if (slot || *gfn >= end)
			return slot;
	}
	xa_for_each_range(&pmap->leaves, index, leaf, leaf_index(*gfn),
			  leaf_index(end - 1)) {
		*gfn = max_t(pgoff_t, *gfn, index << LEAF_SHIFT);
		slot = scan_leaf(&leaf[*gfn % DISCO_LEAF_SLOTS], gfn, end);
		if (slot)
			return slot;
	}
	return NULL;
}

/**
 * disco_pmap_free_leaves() - free the leaves that lie whole in a range
 * @pmap: the table
 * @start: first gfn; all slots of the range are holes
 * @end: end of the range, exclusive
 *
 * Context: invalidate_lock of the VM held exclusive, or @pmap not reachable.
 */
void disco_pmap_free_leaves(struct disco_pmap_table *pmap, pgoff_t start,
			    pgoff_t end)
{
	unsigned long index, first, last;
	void *leaf;

	first = leaf_index(start + DISCO_LEAF_SLOTS - 1);
	last = leaf_index(end);
	if (first >= last)
		return;
	xa_for_each_range(&pmap->leaves, index, leaf, first, last - 1)
		free_leaf(pmap, index);
}
