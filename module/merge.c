// SPDX-License-Identifier: GPL-2.0-only
/*
 * DISCO_MERGE: equal pages of two VMs become one page.
 *
 * Pairs of pages are first compared as a reader would, with nothing held but
 * references: a guess, but one that costs the VMs nothing. Pairs that look
 * equal are taken up again with invalidate_lock of both VMs held exclusive, so
 * that nobody else changes their slots. What is left are folio locks, one after
 * the other:
 *
 *	each page	unmap, see that nobody has it pinned, make it shared
 *	(no lock)	compare: nobody writes to a shared page
 *	one page	list the other VM as user
 *	other page	set the slot, leave
 *
 * Pages that are all zeros become holes instead: a hole has no list of users
 * that could be full, and reads of it need no memory. That a filled slot comes
 * to be a hole is what shared locks would not allow (slot.c).
 */
#include <linux/bitmap.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/sched/signal.h>

#include "slot.h"

/* Pairs that are merged in one go: faults of both VMs wait for it. */
#define RUN_PAIRS BITS_PER_LONG

/**
 * struct page_of_vm - one page of a pair
 * @vm: the VM
 * @gfn: which page
 * @slot: its slot; NULL if it has none or is past the end
 * @folio: what is in the slot; NULL if it reads as zeros without
 * @users: how many users @folio had when it was looked at
 * @cached: @folio belongs to the buffer cache
 */
struct page_of_vm {
	struct disco_vm *vm;
	pgoff_t gfn;
	unsigned long *slot;
	struct folio *folio;
	unsigned int users;
	bool cached;
};

static bool is_zero(struct folio *folio)
{
	void *at;
	bool zero;

	if (!folio)
		return true;
	at = kmap_local_folio(folio, 0);
	zero = !memchr_inv(at, 0, PAGE_SIZE);
	kunmap_local(at);
	return zero;
}

static bool is_equal(struct folio *a, struct folio *b)
{
	void *at_a, *at_b;
	bool equal;

	if (a == b)
		return true;
	if (!a || !b)
		return is_zero(a ?: b);
	at_a = kmap_local_folio(a, 0);
	at_b = kmap_local_folio(b, 0);
	equal = !memcmp(at_a, at_b, PAGE_SIZE);
	kunmap_local(at_b);
	kunmap_local(at_a);
	return equal;
}

/* One page already, or none, and not one that a hole could replace. */
static bool is_same(struct folio *a, struct folio *b)
{
	return a == b && (!a || !is_zero(a));
}

/* Is a pair worth the locks? If not, it is counted. */
static bool looks_equal(struct disco_merge *merge, struct disco_vm *vm,
			pgoff_t gfn, struct disco_vm *other, pgoff_t other_gfn)
{
	struct folio *a = disco_slot_get_folio(vm, gfn);
	struct folio *b = disco_slot_get_folio(other, other_gfn);
	bool worth_it = false;

	if (is_same(a, b))
		merge->out_same++;
	else if (is_equal(a, b))
		worth_it = true;
	else
		merge->out_different++;
	if (b)
		folio_put(b);
	if (a)
		folio_put(a);
	return worth_it;
}

static void look_up(struct page_of_vm *page, struct disco_vm *vm, pgoff_t gfn)
{
	*page = (struct page_of_vm){ .vm = vm, .gfn = gfn };
	if (gfn < disco_vm_pages(vm))
		page->slot = disco_pmap_slot(vm->pmap, gfn);
}

/*
 * From here on the contents stay as they are: a page in state shared is mapped
 * read-only, and only this VM's last write to it could change that. False if
 * somebody has the page pinned, and may write to it.
 */
static bool hold_still(struct page_of_vm *page)
{
	unsigned long value = page->slot ? READ_ONCE(*page->slot) : 0;
	struct folio *folio = disco_slot_folio(value);
	bool ok = true;

	if (!disco_slot_filled(value))
		return true;
	/* The slot's reference keeps it: nobody else can change the slot. */
	folio_lock(folio);
	if (disco_slot_state(value) == DISCO_PAGE_PRIVATE) {
		ok = disco_slot_make_shared(page->vm, page->gfn, page->slot,
					    folio, 1);
		if (ok) {
			percpu_counter_dec(&page->vm->nr_private);
			percpu_counter_inc(&page->vm->nr_shared);
		} else {
			disco_refuse(DISCO_refused_pinned, page->vm, page->gfn);
		}
	}
	page->folio = folio;
	page->users = disco_memmap_count(folio);
	page->cached = disco_memmap_cached(folio);
	folio_unlock(folio);
	return ok;
}

/* Does a page lose its last user with this one? It is locked. */
static bool is_last_user(struct folio *folio)
{
	return disco_memmap_count(folio) == 1 && !disco_memmap_cached(folio);
}

static void become_hole(struct disco_merge *merge, struct page_of_vm *page)
{
	/* The pair may be one page and itself. */
	if (!page->slot || !disco_slot_filled(READ_ONCE(*page->slot)))
		return;
	folio_lock(page->folio);
	merge->out_freed += is_last_user(page->folio);
	folio_unlock(page->folio);
	disco_slot_drop(page->vm, page->gfn, page->slot);
}

/*
 * Which page of two stays: the buffer cache has its own in any case; and where
 * many pages become one, two by two, the one with many users attracts the rest.
 */
static bool stays(const struct page_of_vm *a, const struct page_of_vm *b)
{
	return a->cached != b->cached ? a->cached : a->users >= b->users;
}

/* @b gets the page of @a. */
static int replace(struct disco_merge *merge, struct page_of_vm *a,
		   struct page_of_vm *b)
{
	int err;

	disco_unsettle();
	folio_lock(a->folio);
	err = disco_slot_list_user(b->vm, b->gfn, a->folio);
	if (!err)
		folio_get(a->folio);
	folio_unlock(a->folio);

	if (!err) {
		folio_get(b->folio);
		folio_lock(b->folio);
		merge->out_freed += is_last_user(b->folio);
		disco_slot_replace_shared(b->vm, b->gfn, b->slot, b->folio,
					  a->folio,
					  DISCO_shared_to_shared_merge);
		folio_unlock(b->folio);
		folio_put(b->folio);
	}
	disco_settle();
	return err;
}

static int merge_pair(struct disco_merge *merge, struct page_of_vm *a,
		      struct page_of_vm *b)
{
	int err;

	if (!hold_still(a) || !hold_still(b)) {
		merge->out_pinned++;
		return 0;
	}
	if (is_same(a->folio, b->folio)) {
		merge->out_same++;
		return 0;
	}
	if (!is_equal(a->folio, b->folio)) {
		merge->out_different++;
		return 0;
	}
	if (is_zero(a->folio)) {
		become_hole(merge, a);
		become_hole(merge, b);
		merge->out_zeros++;
		return 0;
	}

	err = stays(a, b) ? replace(merge, a, b) : replace(merge, b, a);
	if (!err)
		merge->out_merged++;
	else if (err == -EMLINK)
		merge->out_full++;
	return err == -EMLINK ? 0 : err;
}

static int merge_locked(struct disco_merge *merge, struct disco_vm *vm,
			pgoff_t gfn, struct disco_vm *other, pgoff_t other_gfn,
			unsigned long equal)
{
	unsigned int first, end, i;
	struct page_of_vm a, b;
	int err;

	if (vm->no_merge || other->no_merge)
		return -EACCES;
	for_each_set_bitrange(first, end, &equal, RUN_PAIRS) {
		/* One flush for all. */
		disco_vm_zap(vm, gfn + first, end - first);
		disco_vm_zap(other, other_gfn + first, end - first);
		for (i = first; i < end; i++) {
			look_up(&a, vm, gfn + i);
			look_up(&b, other, other_gfn + i);
			err = merge_pair(merge, &a, &b);
			if (err)
				return err;
		}
	}
	return 0;
}

static int merge_run(struct disco_merge *merge, struct disco_vm *vm,
		     pgoff_t gfn, struct disco_vm *other, pgoff_t other_gfn,
		     unsigned int nr)
{
	struct address_space *mapping = vm->inode->i_mapping;
	struct address_space *other_mapping = other->inode->i_mapping;
	struct disco_sb *sbi = disco_vm_sb(vm);
	unsigned long equal = 0;
	unsigned int i;
	int err;

	for (i = 0; i < nr; i++)
		if (looks_equal(merge, vm, gfn + i, other, other_gfn + i))
			equal |= BIT(i);
	if (!equal)
		return 0;

	/* A page on its way lists a user whose slot is not set yet. */
	percpu_down_read(&sbi->check_lock);
	filemap_invalidate_lock_two(mapping, other_mapping);
	err = merge_locked(merge, vm, gfn, other, other_gfn, equal);
	filemap_invalidate_unlock_two(mapping, other_mapping);
	percpu_up_read(&sbi->check_lock);
	return err;
}

static int merge_range(struct disco_merge *merge, struct disco_vm *vm,
		       struct disco_vm *other)
{
	u64 pages = disco_vm_pages(vm), other_pages = disco_vm_pages(other);
	unsigned int nr;
	u64 left;
	int err;

	if (vm->inode->i_sb != other->inode->i_sb)
		return -EXDEV;
	if (merge->gfn >= pages || merge->other_gfn >= other_pages)
		return -ENXIO;
	if (READ_ONCE(vm->no_merge) || READ_ONCE(other->no_merge))
		return -EACCES;

	left = min3((u64)merge->nr, pages - merge->gfn,
		    other_pages - merge->other_gfn);
	while (left) {
		nr = min_t(u64, left, RUN_PAIRS);
		err = merge_run(merge, vm, merge->gfn + merge->out_nr, other,
				merge->other_gfn + merge->out_nr, nr);
		if (err)
			return err;
		merge->out_nr += nr;
		left -= nr;
		if (signal_pending(current))
			break;
		cond_resched();
	}
	return 0;
}

/**
 * disco_merge() - DISCO_MERGE
 * @req: struct disco_merge
 *
 * Return: 0; -EINVAL; -EOVERFLOW, -ENXIO for a bad range; -EXDEV; -EACCES;
 * -ENOMEM; or an error of disco_get_vm_file().
 */
int disco_merge(void *req)
{
	struct file *file, *other_file;
	struct disco_vm *vm, *other;
	struct disco_merge *merge = req;
	u64 end;
	int err;

	if (merge->__reserved || !merge->nr)
		return -EINVAL;
	if (check_add_overflow(merge->gfn, (u64)merge->nr, &end) ||
	    check_add_overflow(merge->other_gfn, (u64)merge->nr, &end))
		return -EOVERFLOW;
	/*
	 * How long a write takes tells whether the page was shared, so who
	 * may merge learns what is in both.
	 */
	file = disco_get_vm_file(merge->vm_fd, FMODE_READ | FMODE_WRITE, &vm);
	if (IS_ERR(file))
		return PTR_ERR(file);
	other_file = disco_get_vm_file(merge->other_fd,
				       FMODE_READ | FMODE_WRITE, &other);
	if (IS_ERR(other_file)) {
		err = PTR_ERR(other_file);
		goto put;
	}

	merge->out_nr = 0;
	merge->out_merged = 0;
	merge->out_zeros = 0;
	merge->out_same = 0;
	merge->out_different = 0;
	merge->out_pinned = 0;
	merge->out_full = 0;
	merge->out_freed = 0;
	err = merge_range(merge, vm, other);
	fput(other_file);
put:
	fput(file);
	return err;
}
