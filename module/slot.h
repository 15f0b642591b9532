/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How slots change, for slot.c, share.c, merge.c and the moves.
 */
#ifndef _DISCO_SLOT_H
#define _DISCO_SLOT_H

#include "disco.h"

static inline void disco_slot_assert_empty(struct disco_vm *vm, pgoff_t gfn)
{
	lockdep_assert(lockdep_is_held(disco_slot_lock(vm, gfn)) ||
		       lockdep_is_held_type(&vm->inode->i_mapping->invalidate_lock,
					    0));
}

static inline void disco_slot_set(unsigned long *slot, unsigned long value)
{
	/*
	 * Pairs with the READ_ONCE() of who follows the pointer: the folio's
	 * fields are written before the slot leads to them.
	 */
	smp_store_release(slot, value);
}

/*
 * Must a page, which is locked, be unmapped from a VM that leaves it? The caller has
 * @held references. That nobody has it mapped is not enough: who has cleared a PTE
 * and not flushed it yet, for the sampler or madvise(), has a reference, and until
 * then the VM may read the page.
 */
static inline bool disco_slot_mapped(struct folio *folio, int held)
{
	int known = disco_memmap_count(folio) + !!READ_ONCE(folio->mapping);

	return folio_ref_count(folio) > known + held ||
	       disco_replica_used(folio);
}

/* The slot leaves a page that is locked and referenced by the caller. */
static inline void disco_slot_leave(struct disco_vm *vm, pgoff_t gfn,
				    struct folio *folio)
{
	bool cached = disco_memmap_cached(folio);
	struct disco_disk *disk;

	if (disco_memmap_del(folio, disco_user(vm, gfn))) {
		folio_put(folio);
		return;
	}
	disco_replica_drop_all(vm, gfn, folio);
	disk = cached ? disco_disk_of(folio) : NULL;
	if (disk)
		disco_disk_count(disk, DISCO_DISK_USED, -1);
	disco_folio_free(vm, folio);
}

bool disco_slot_make_shared(struct disco_vm *vm, pgoff_t gfn,
			    unsigned long *slot, struct folio *folio, int refs);
bool disco_slot_enter_cached(struct disco_vm *vm, pgoff_t gfn,
			     struct folio *folio);
int disco_slot_list_user(struct disco_vm *vm, pgoff_t gfn, struct folio *folio);
void disco_slot_replace_shared(struct disco_vm *vm, pgoff_t gfn,
			       unsigned long *slot, struct folio *old,
			       struct folio *folio,
			       enum disco_counter transition);

#endif /* _DISCO_SLOT_H */
