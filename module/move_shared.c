// SPDX-License-Identifier: GPL-2.0-only
/*
 * DISCO_MOVE of a shared page.
 *
 * It has users in other VMs, whose locks nobody can have all at once.
 * It gets a copy, to which the users change one after the other as in a merge:
 * the copy lists the user, under its lock, then the slot is set, under the lock
 * of the old page. At each step every user has one of two equal pages; when the
 * last one has changed, the old page is free, and its replicas with it. Of a page
 * of the buffer cache the cache is the first to change.
 */
#include <linux/capability.h>
#include <linux/swap.h>

#include "slot.h"

/*
 * How a shared page is used. Context: its lock, and a reference of the caller's,
 * since when it was shared: from then on it stays so, as nobody takes over a
 * page that somebody else has a reference to.
 */
struct use {
	bool others;	/* other VMs have it */
	bool cached;	/* the buffer cache has it */
	bool pinned;	/* somebody has a reference that we do not know of */
};

static struct use get_use(struct disco_vm *vm, struct folio *folio)
{
	unsigned int nr = disco_memmap_count(folio);
	struct use use = {};
	int refs, known;

	use.others = disco_memmap_others(folio, vm->id);
	use.cached = nr && disco_memmap_cached(folio) && disco_disk_of(folio);
	/*
	 * References of slots, of the cache, of PTEs, and the caller's. PTEs can
	 * go meanwhile, but none comes while we have the lock. folio_mapcount()
	 * is not for modules everywhere, and this is a single page.
	 */
	refs = folio_ref_count(folio);
	known = nr + use.cached + atomic_read(&folio->_mapcount) + 1 + 1;
	/*
	 * The kernel's lists of pages on their way to reclaim, one for each CPU,
	 * have references for as long as they like. Nobody writes to the page.
	 */
	if (use.cached)
		known += GUP_PIN_COUNTING_BIAS - 1;
	use.pinned = refs > known;
	return use;
}

/* A page with the contents of @folio that lists its first user. */
static struct folio *copy_uncached(struct disco_vm *vm, pgoff_t gfn,
				   struct folio *folio, int node)
{
	struct folio *new = disco_folio_alloc_on(node, folio);

	if (!new)
		return ERR_PTR(-ENOMEM);
	disco_folio_copy(new, folio);
	disco_memmap_init(new, disco_user(vm, gfn));
	return new;
}

/*
 * The same for a page of the buffer cache, which has the new page in its place
 * from then on. That comes first, or a reader would list users on the old one
 * for ever. The cache's charge moves along.
 */
static struct folio *copy_cached(struct disco_vm *vm, pgoff_t gfn,
				 struct folio *folio, int node)
{
	struct folio *new = __folio_alloc_node(DISCO_GFP_ON_NODE, 0, node);
	struct use use;

	if (!new)
		return ERR_PTR(-ENOMEM);
	disco_folio_copy(new, folio);
	folio_mark_uptodate(new);
	/* In no slot yet, so that the rule of one lock holds. */
	__folio_set_locked(new);
	folio_lock(folio);
	use = get_use(vm, folio);
	if (!use.cached || use.pinned) {
		folio_unlock(folio);
		folio_unlock(new);
		folio_put(new);
		return ERR_PTR(-EBUSY);
	}
	/*
	 * One page of the disk that VMs use, before and after. The first user
	 * of a page needs no memory for a list.
	 */
	disco_memmap_add(new, disco_user(vm, gfn));
	replace_page_cache_folio(folio, new);
	folio_unlock(folio);
	folio_add_lru(new);
	folio_unlock(new);
	return new;
}

/* @new, which lists the VM as user, gets its slot, or loses the user. */
static bool set_slot(struct disco_vm *vm, pgoff_t gfn, struct folio *folio,
		     struct folio *new)
{
	unsigned long *slot = disco_pmap_slot(vm->pmap, gfn);
	bool ok;

	ok = slot && disco_slot_lock_folio(slot,
					   disco_slot_value(folio,
							    DISCO_PAGE_SHARED));
	if (ok) {
		disco_slot_replace_shared(vm, gfn, slot, folio, new,
					  DISCO_shared_to_shared_move);
		folio_unlock(folio);
		folio_put(folio);
	} else {
		/* It has written to the page, or dropped it. */
		folio_lock(new);
		disco_slot_leave(vm, gfn, new);
		folio_unlock(new);
	}
	return ok;
}

static bool list_on(struct disco_vm *vm, pgoff_t gfn, struct folio *new)
{
	bool ok;

	if (READ_ONCE(new->mapping))
		return disco_slot_enter_cached(vm, gfn, new);
	folio_lock(new);
	/* All that changed to it may have left it again. */
	ok = disco_memmap_count(new) && !disco_slot_list_user(vm, gfn, new);
	if (ok)
		folio_get(new);
	folio_unlock(new);
	return ok;
}

static bool get_user_of(struct folio *folio, unsigned int i,
			struct disco_user *user)
{
	bool found;

	folio_lock(folio);
	found = i < disco_memmap_count(folio);
	if (found)
		*user = disco_memmap_get(folio, i);
	folio_unlock(folio);
	return found;
}

/*
 * Those that cannot be moved stay where they are: of a VM that is going away, or
 * when there is no memory for a list.
 */
static void move_other_users(struct folio *folio, struct folio *new)
{
	struct disco_user user;
	unsigned int stay = 0;
	struct disco_vm *vm;
	struct inode *inode;
	bool ok;

	while (get_user_of(folio, stay, &user)) {
		inode = disco_vm_find(user.vm);
		if (!inode) {
			stay++;
			continue;
		}
		vm = disco_vm(inode);
		filemap_invalidate_lock_shared(inode->i_mapping);
		ok = list_on(vm, user.gfn, new) &&
		     set_slot(vm, user.gfn, folio, new);
		filemap_invalidate_unlock_shared(inode->i_mapping);
		disco_vm_put(inode);
		stay += !ok;
		cond_resched();
	}
}

static int move_users(struct disco_vm *vm, pgoff_t gfn, struct folio *folio,
		      int node, bool cached)
{
	struct address_space *mapping = vm->inode->i_mapping;
	struct folio *new;
	bool ok;

	if (!disco_folio_charge(disco_vm_sb(vm))) {
		disco_refuse(DISCO_refused_limit, vm, gfn);
		return -ENOSPC;
	}
	new = cached ? copy_cached(vm, gfn, folio, node) :
		       copy_uncached(vm, gfn, folio, node);
	if (IS_ERR(new)) {
		disco_folio_uncharge(disco_vm_sb(vm));
		if (new == ERR_PTR(-ENOMEM))
			disco_refuse(DISCO_refused_node_full, vm, gfn);
		return PTR_ERR(new);
	}

	/* The slot's; from here on the page is its users' to give back. */
	folio_get(new);
	filemap_invalidate_lock_shared(mapping);
	ok = set_slot(vm, gfn, folio, new);
	filemap_invalidate_unlock_shared(mapping);
	/* Even so: the buffer cache has the new page already. */
	move_other_users(folio, new);
	folio_put(new);
	return ok ? 0 : -EBUSY;
}

/* @folio was shared when the caller got its reference. */
static int move_folio(struct disco_vm *vm, pgoff_t gfn, struct folio *folio,
		      int node)
{
	struct use use;
	int err;

	if (folio_nid(folio) == node)
		return -EEXIST;
	folio_lock(folio);
	use = get_use(vm, folio);
	folio_unlock(folio);
	if (use.pinned)
		return -EBUSY;
	if (use.others && !capable(CAP_SYS_NICE))
		return -EPERM;
	disco_unsettle();
	err = move_users(vm, gfn, folio, node, use.cached);
	disco_settle();
	return err;
}

/**
 * disco_move_shared() - put a shared page on another node, for all its users
 * @vm: the VM that it was asked for
 * @gfn: its gfn
 * @node: where to; has memory
 *
 * Context: may sleep; no lock of a VM held.
 * Return: 0, or a result of struct disco_move_entry. -EBUSY may pass.
 */
int disco_move_shared(struct disco_vm *vm, pgoff_t gfn, int node)
{
	struct disco_sb *sbi = disco_vm_sb(vm);
	struct folio *folio;
	bool shared;
	int err;

	/* Two at a time would leave users on two pages in the end. */
	mutex_lock(&sbi->move_lock);
	/* A page on its way lists a user whose slot is not set yet. */
	percpu_down_read(&sbi->check_lock);
	filemap_invalidate_lock_shared(vm->inode->i_mapping);
	folio = disco_slot_get_filled(vm, gfn, &shared);
	filemap_invalidate_unlock_shared(vm->inode->i_mapping);
	if (!folio) {
		err = -ENOENT;
		goto unlock;
	}
	err = shared ? move_folio(vm, gfn, folio, node) : -EBUSY;
	folio_put(folio);
unlock:
	percpu_up_read(&sbi->check_lock);
	mutex_unlock(&sbi->move_lock);
	return err;
}
