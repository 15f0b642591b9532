// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that several VMs share: runs of slots that a clone gives to another VM.
 */
#include "slot.h"

/* What sharing a run of slots adds to the counters of its two VMs. */
struct share_run {
	long src_became_shared;
	long dst_shared;
	long dst_copied;
};

/* Private to shared; @folio is locked. False if somebody has it pinned. */
static bool make_shared(struct disco_vm *vm, pgoff_t gfn, unsigned long *slot,
			struct folio *folio)
{
	/* Unmapped and flushed first: only then the count means something. */
	if (folio_mapped(folio))
		disco_vm_zap(vm, gfn, 1);
	if (!folio_ref_freeze(folio, 1)) {
		disco_refuse(DISCO_refused_pinned, vm, gfn);
		return false;
	}
	disco_slot_set(slot, disco_slot_value(folio, DISCO_PAGE_SHARED));
	folio_ref_unfreeze(folio, 1);
	disco_count_page(DISCO_private_to_shared, vm, gfn, folio);
	return true;
}

/* A page of its own for @dst, with the contents of @src's. */
static int copy_slot(struct folio *folio, struct disco_vm *dst, pgoff_t gfn,
		     unsigned long *dst_slot)
{
	struct folio *new;
	int err;

	new = disco_folio_alloc(dst, gfn, NULL, 0, 0, &err);
	if (!new)
		return err;
	disco_folio_copy(new, folio);
	disco_memmap_init(new, disco_user(dst, gfn));
	disco_slot_set(dst_slot, disco_slot_value(new, DISCO_PAGE_PRIVATE));
	disco_count_page(DISCO_hole_to_private, dst, gfn, new);
	disco_settle();
	return 0;
}

/* 1 if @dst has the page now, 0 if it needs a copy, or -ENOMEM. */
static int share_slot(struct disco_vm *src, pgoff_t gfn, unsigned long *slot,
		      struct disco_vm *dst, unsigned long *dst_slot,
		      struct share_run *run)
{
	unsigned long value = READ_ONCE(*slot);
	struct folio *folio = disco_slot_folio(value);
	int ret = 0;

	folio_lock(folio);
	if (disco_slot_state(value) == DISCO_PAGE_PRIVATE) {
		if (!make_shared(src, gfn, slot, folio))
			goto unlock;
		run->src_became_shared++;
	}
	ret = disco_memmap_add(folio, disco_user(dst, gfn));
	if (ret) {
		disco_refuse(ret == -EMLINK ? DISCO_refused_users_full :
					      DISCO_refused_nomem, dst, gfn);
		ret = ret == -EMLINK ? 0 : ret;
		goto unlock;
	}
	folio_get(folio);
	disco_slot_set(dst_slot, disco_slot_value(folio, DISCO_PAGE_SHARED));
	disco_count_page(DISCO_hole_to_shared, dst, gfn, folio);
	ret = 1;
unlock:
	folio_unlock(folio);
	return ret;
}

/**
 * disco_slot_share() - give another VM the pages of a run, copy-on-write
 * @src: VM that has the pages; its mappings have been zapped
 * @gfn: first gfn, the same in both VMs
 * @slot: its slot
 * @nr: how many slots, all in one leaf
 * @dst: VM that gets them
 * @dst_slot: slot of @gfn, a run of holes in a table that nobody else can reach
 *
 * A page that somebody has pinned, or that has as many users as it can, is
 * copied. After an error some of the run may be shared: the caller drops
 * @dst's table, and @src has at worst pages in state shared with one user, which
 * its next writes take back.
 *
 * Context: invalidate_lock of both VMs held exclusive. May sleep.
 * Return: 0, -ENOMEM or -ENOSPC.
 */
int disco_slot_share(struct disco_vm *src, pgoff_t gfn, unsigned long *slot,
		     unsigned int nr, struct disco_vm *dst,
		     unsigned long *dst_slot)
{
	struct share_run run = {};
	int ret = 0;

	lockdep_assert_held_write(&src->inode->i_mapping->invalidate_lock);
	lockdep_assert_held_write(&dst->inode->i_mapping->invalidate_lock);
	for (; nr; nr--, gfn++, slot++, dst_slot++) {
		if (!disco_slot_filled(READ_ONCE(*slot)))
			continue;
		ret = share_slot(src, gfn, slot, dst, dst_slot, &run);
		if (ret > 0) {
			run.dst_shared++;
			continue;
		}
		/*
		 * Who has the page pinned may write to it during the copy; its
		 * order with the clone is nobody's business.
		 */
		if (!ret)
			ret = copy_slot(disco_slot_folio(READ_ONCE(*slot)), dst,
					gfn, dst_slot);
		if (ret)
			break;
		run.dst_copied++;
	}

	percpu_counter_sub(&src->nr_private, run.src_became_shared);
	percpu_counter_add(&src->nr_shared, run.src_became_shared);
	percpu_counter_add(&dst->nr_shared, run.dst_shared);
	percpu_counter_add(&dst->nr_private, run.dst_copied);
	return min(ret, 0);
}
