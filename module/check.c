// SPDX-License-Identifier: GPL-2.0-only
/*
 * DISCO_CHECK: do slots, users, references and counters agree?
 *
 * One VM is held still at a time (invalidate_lock exclusive) while others run.
 * That is enough for all but the mount's page counter, which is compared only
 * if no page was on its way into a slot or out of one during the walk.
 */
#include <linux/file.h>
#include <linux/sched/signal.h>

#include "disco.h"

struct walk {
	struct disco_check *check;
	u64 private;
	u64 shared;
	/* Pages of the mount: each counted where its first user is; replicas. */
	u64 machine;
};

static bool violated(struct walk *walk, enum disco_violation violation,
		     struct disco_vm *vm, pgoff_t gfn, struct folio *folio,
		     u64 expected, u64 found)
{
	struct disco_check *check = walk->check;

	check->out_violation = violation;
	check->out_vm_id = vm ? vm->id : 0;
	check->out_gfn = gfn;
	check->out_pfn = folio ? folio_pfn(folio) : 0;
	check->out_expected = expected;
	check->out_found = found;
	return false;
}

/* Does the slot of another user hold @folio, which is locked? */
static bool check_other(struct disco_user user, struct folio *folio)
{
	struct disco_vm *vm = disco_vm_lookup(user.vm);
	unsigned long *slot;

	if (!vm)
		return false;
	slot = disco_pmap_slot(vm->pmap, user.gfn);
	return slot && READ_ONCE(*slot) ==
		       disco_slot_value(folio, DISCO_PAGE_SHARED);
}

static bool check_folio(struct walk *walk, struct disco_vm *vm, pgoff_t gfn,
			struct folio *folio, bool shared)
{
	unsigned int i, nr = disco_memmap_count(folio), self = 0;
	struct disco_user user;
	struct folio *bad;

	for (i = 0; i < nr; i++) {
		user = disco_memmap_get(folio, i);
		if (user.vm == vm->id && user.gfn == gfn) {
			self++;
			if (!i)
				walk->machine += 1 + disco_replica_count(folio);
		} else if (!shared || !check_other(user, folio)) {
			return violated(walk, DISCO_CHECK_USER,
					disco_vm_lookup(user.vm), user.gfn,
					folio, 0, 0);
		}
	}
	if (self != 1)
		return violated(walk, DISCO_CHECK_BACKMAP, vm, gfn, folio, 1,
				self);
	if (folio_ref_count(folio) < nr)
		return violated(walk, DISCO_CHECK_REFS, vm, gfn, folio, nr,
				folio_ref_count(folio));
	bad = shared ? disco_replica_bad(folio) : disco_replica_first(folio);
	if (bad)
		return violated(walk, DISCO_CHECK_REPLICA, vm, gfn, bad, 0, 0);
	return true;
}

static bool check_slot(struct walk *walk, struct disco_vm *vm, pgoff_t gfn,
		       unsigned long value)
{
	struct folio *folio = disco_slot_folio(value);
	bool shared = disco_slot_state(value) == DISCO_PAGE_SHARED;
	bool ok;

	if (!disco_slot_filled(value))
		return !folio || violated(walk, DISCO_CHECK_SLOT, vm, gfn,
					  NULL, 0, value);
	if (!folio)
		return violated(walk, DISCO_CHECK_SLOT, vm, gfn, NULL, 0,
				value);
	/* The slot cannot change, so its reference keeps the folio. */
	folio_lock(folio);
	ok = check_folio(walk, vm, gfn, folio, shared);
	folio_unlock(folio);

	walk->check->out_pages++;
	if (shared)
		walk->shared++;
	else
		walk->private++;
	return ok;
}

static bool check_vm(struct walk *walk, struct disco_vm *vm)
{
	unsigned long *slot;
	pgoff_t gfn;
	u64 found;

	walk->private = 0;
	walk->shared = 0;
	disco_pmap_for_each(vm->pmap, slot, gfn, 0, DISCO_MAX_GFN + 1) {
		if (!check_slot(walk, vm, gfn, READ_ONCE(*slot)))
			return false;
		cond_resched();
	}
	found = percpu_counter_sum(&vm->nr_private);
	if (found != walk->private)
		return violated(walk, DISCO_CHECK_VM_COUNT, vm, 0, NULL,
				walk->private, found);
	found = percpu_counter_sum(&vm->nr_shared);
	if (found != walk->shared)
		return violated(walk, DISCO_CHECK_VM_COUNT, vm, 0, NULL,
				walk->shared, found);
	return true;
}

/*
 * Compares the mount's counter with the pages that were found, if nothing was on
 * its way from when @ended was summed to here.
 */
static void check_totals(struct walk *walk, struct disco_sb *sbi, u64 ended)
{
	u64 used = percpu_counter_sum(&sbi->used);

	if (disco_begun_sum() != ended)
		return;
	walk->check->out_totals_checked = 1;
	if (used != walk->machine)
		violated(walk, DISCO_CHECK_MOUNT_COUNT, NULL, 0, NULL,
			 walk->machine, used);
}

static int check_mount(struct super_block *sb, struct disco_check *check)
{
	struct walk walk = { .check = check };
	u64 ended = disco_ended_sum();
	bool ok = true, dying = false;
	unsigned long id = 1;
	struct inode *inode;

	while (ok && (inode = disco_vm_find_next(sb, &id, &dying))) {
		filemap_invalidate_lock(inode->i_mapping);
		ok = check_vm(&walk, disco_vm(inode));
		filemap_invalidate_unlock(inode->i_mapping);
		iput(inode);
		check->out_vms++;
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	/* The pages of a VM that is going away count until they are dropped. */
	if (ok && !dying)
		check_totals(&walk, disco_sb(sb), ended);
	return 0;
}

/**
 * disco_check() - DISCO_CHECK
 * @req: struct disco_check
 *
 * Return: 0, violation or not; -EINVAL; -EBADF; -EMEDIUMTYPE; -EINTR.
 */
int disco_check(void *req)
{
	struct disco_check *check = req;
	struct super_block *sb;
	struct file *file;
	int err;

	if (check->__reserved || check->__reserved2)
		return -EINVAL;
	file = fget_raw(check->mount_fd);
	if (!file)
		return -EBADF;
	sb = file_inode(file)->i_sb;
	if (sb->s_type != &disco_fs_type) {
		fput(file);
		return -EMEDIUMTYPE;
	}

	check->out_violation = DISCO_CHECK_OK;
	check->out_vm_id = 0;
	check->out_gfn = 0;
	check->out_pfn = 0;
	check->out_expected = 0;
	check->out_found = 0;
	check->out_vms = 0;
	check->out_pages = 0;
	check->out_totals_checked = 0;

	/* Pages of a clone or disk read in the making list users without slot. */
	percpu_down_write(&disco_sb(sb)->check_lock);
	err = check_mount(sb, check);
	percpu_up_write(&disco_sb(sb)->check_lock);
	fput(file);
	return err;
}
