// SPDX-License-Identifier: GPL-2.0-only
/*
 * The requests that only look: query, vm_stat, pmap, memmap.
 */
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/memory_hotplug.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "disco.h"

/**
 * disco_query() - DISCO_QUERY
 * @req: struct disco_query
 *
 * Return: 0.
 */
int disco_query(void *req)
{
	struct disco_query *query = req;

	query->out_api_version = DISCO_API_VERSION;
	query->out_page_size = PAGE_SIZE;
	query->out_features = DISCO_FEATURE_CLONE | DISCO_FEATURE_VCPU |
			      DISCO_FEATURE_VIEWS | DISCO_FEATURE_DISK |
			      DISCO_FEATURE_MERGE | DISCO_FEATURE_MOVE |
			      DISCO_FEATURE_REPLICATE | DISCO_FEATURE_HEAT;
	query->out_max_gfn = DISCO_MAX_GFN;
	strscpy(query->out_version, DISCO_VERSION, sizeof(query->out_version));
	return 0;
}

/**
 * disco_get_vm_file() - get the VM that a file descriptor names
 * @fd: the descriptor
 * @mode: what it must be open for: FMODE_READ, FMODE_WRITE or both
 * @vmp: set to the VM
 *
 * Return: the file, which the caller puts, or ERR_PTR: -EBADF if @fd is not
 * open, or not for @mode, -EMEDIUMTYPE if it is not a VM's memory.
 */
struct file *disco_get_vm_file(s32 fd, fmode_t mode, struct disco_vm **vmp)
{
	struct file *file = fget(fd);

	if (!file)
		return ERR_PTR(-EBADF);
	if (file->f_op != &disco_ram_fops) {
		fput(file);
		return ERR_PTR(-EMEDIUMTYPE);
	}
	if ((file->f_mode & mode) != mode) {
		fput(file);
		return ERR_PTR(-EBADF);
	}
	*vmp = disco_vm(file_inode(file));
	return file;
}

/*
 * Adds a shared page's part for one user. A page that stops being shared while
 * we look at it counts as nothing.
 */
static void add_shared(unsigned long *slot, struct disco_vm_stat *stat)
{
	unsigned long value = READ_ONCE(*slot);
	unsigned int users, copies;
	struct folio *folio;

	if (disco_slot_state(value) != DISCO_PAGE_SHARED)
		return;
	folio = disco_slot_lock_folio(slot, value);
	if (!folio)
		return;
	users = disco_memmap_count(folio);
	copies = disco_replica_count(folio);
	stat->out_machine += (1 + copies) * PAGE_SIZE / users;
	stat->out_replicas += copies * PAGE_SIZE / users;
	stat->out_metadata += disco_memmap_bytes(folio) / users;
	folio_unlock(folio);
	folio_put(folio);
}

static int walk_shared(struct disco_vm *vm, struct disco_vm_stat *stat)
{
	struct address_space *mapping = vm->inode->i_mapping;
	unsigned long *slot;
	pgoff_t gfn;
	int err = 0;

	filemap_invalidate_lock_shared(mapping);
	disco_pmap_for_each(vm->pmap, slot, gfn, 0, DISCO_MAX_GFN + 1) {
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
		add_shared(slot, stat);
		cond_resched();
	}
	filemap_invalidate_unlock_shared(mapping);
	return err;
}

/**
 * disco_vm_stat() - DISCO_VM_STAT
 * @req: struct disco_vm_stat
 *
 * Return: 0, -EINTR, or an error of disco_get_vm_file().
 */
int disco_vm_stat(void *req)
{
	struct disco_vm_stat *stat = req;
	struct disco_vm *vm;
	struct file *file;
	u64 private;
	int err = 0;

	file = disco_get_vm_file(stat->vm_fd, FMODE_READ, &vm);
	if (IS_ERR(file))
		return PTR_ERR(file);
	private = percpu_counter_sum_positive(&vm->nr_private) << PAGE_SHIFT;
	stat->out_id = vm->id;
	stat->out_virtual = i_size_read(vm->inode);
	stat->out_private = private;
	stat->out_shared = percpu_counter_sum_positive(&vm->nr_shared)
			   << PAGE_SHIFT;
	stat->out_machine = 0;
	stat->out_replicas = 0;
	/* Stable enough: clone changes vm->pmap, so look under the lock. */
	filemap_invalidate_lock_shared(vm->inode->i_mapping);
	stat->out_metadata = sizeof(*vm) + sizeof(*vm->pmap) +
			     (atomic_long_read(&vm->pmap->nr_leaves)
			      << PAGE_SHIFT);
	filemap_invalidate_unlock_shared(vm->inode->i_mapping);
	if (stat->flags & DISCO_VM_STAT_MACHINE) {
		stat->out_machine = private;
		err = walk_shared(vm, stat);
	}
	fput(file);
	return err;
}

static void fill_entry(struct disco_vm *vm, pgoff_t gfn, u64 view,
		       bool show_pfn, struct disco_pmap_entry *entry)
{
	struct folio *folio, *copy = NULL;
	unsigned long *slot, value;

	*entry = (struct disco_pmap_entry){ .node = DISCO_NO_NODE };
	slot = disco_pmap_slot(vm->pmap, gfn);
	while (slot) {
		value = READ_ONCE(*slot);
		if (!disco_slot_filled(value)) {
			entry->state = disco_slot_state(value);
			return;
		}
		folio = disco_slot_lock_folio(slot, value);
		if (!folio)
			continue;
		entry->state = disco_slot_state(value);
		entry->users = disco_memmap_count(folio);
		if (disco_replica_first(folio)) {
			entry->state = DISCO_PAGE_REPLICATED;
			if (view)
				copy = disco_replica_on(folio, view - 1);
		}
		entry->node = folio_nid(copy ?: folio);
		if (show_pfn)
			entry->pfn = folio_pfn(copy ?: folio);
		folio_unlock(folio);
		folio_put(folio);
		return;
	}
}

#define PMAP_BATCH 32

/**
 * disco_pmap() - DISCO_PMAP
 * @req: struct disco_pmap
 *
 * Return: 0; -EINVAL, -EOVERFLOW or -ENXIO for a bad range; -EFAULT; -EINTR;
 * or an error of disco_get_vm_file().
 */
int disco_pmap(void *req)
{
	struct disco_pmap_entry batch[PMAP_BATCH], __user *user;
	struct disco_pmap *pmap = req;
	bool show_pfn = capable(CAP_SYS_ADMIN);
	u64 gfn, last, end;
	struct disco_vm *vm;
	struct file *file;
	unsigned int i;
	int err = 0;

	if (!pmap->nr || !disco_view_possible(pmap->view))
		return -EINVAL;
	if (check_add_overflow(pmap->gfn, (u64)pmap->nr, &last))
		return -EOVERFLOW;
	file = disco_get_vm_file(pmap->vm_fd, FMODE_READ, &vm);
	if (IS_ERR(file))
		return PTR_ERR(file);
	end = disco_vm_pages(vm);
	if (pmap->gfn >= end) {
		err = -ENXIO;
		goto put;
	}

	last = min(last, end);
	user = u64_to_user_ptr(pmap->entries);
	for (gfn = pmap->gfn; gfn < last; gfn += i) {
		/* Copied out with no lock held: the buffer may be VM memory. */
		filemap_invalidate_lock_shared(vm->inode->i_mapping);
		for (i = 0; i < PMAP_BATCH && gfn + i < last; i++)
			fill_entry(vm, gfn + i, pmap->view, show_pfn,
				   &batch[i]);
		filemap_invalidate_unlock_shared(vm->inode->i_mapping);
		if (copy_to_user(user, batch, i * sizeof(*batch))) {
			err = -EFAULT;
			goto put;
		}
		user += i;
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			goto put;
		}
		cond_resched();
	}
	pmap->out_nr = last - pmap->gfn;
put:
	fput(file);
	return err;
}

/*
 * Is @folio, of which nothing is known, a page of the VM it names as its first
 * user? It is believed if that VM's slot holds it. Returns true with the folio
 * locked and referenced.
 */
static bool lock_if_held(struct disco_vm *vm, pgoff_t gfn, struct folio *folio)
{
	struct address_space *mapping = vm->inode->i_mapping;
	unsigned long *slot, value;
	struct folio *locked = NULL;

	filemap_invalidate_lock_shared(mapping);
	slot = disco_pmap_slot(vm->pmap, gfn);
	if (slot) {
		value = READ_ONCE(*slot);
		if (disco_slot_filled(value) &&
		    disco_slot_folio(value) == folio)
			locked = disco_slot_lock_folio(slot, value);
	}
	filemap_invalidate_unlock_shared(mapping);
	return locked;
}

/*
 * Is @folio, of which nothing is known, a page of a disk? Its page cache says
 * so. Returns true with the folio locked and referenced.
 */
static bool lock_if_cached(struct folio *folio)
{
	struct address_space *mapping;
	bool ours;

	if (!folio_try_get(folio))
		return false;
	/* In pages that are not page cache, ->mapping may be anything. */
	ours = !PageTail(folio_page(folio, 0)) && !folio_test_slab(folio) &&
	       folio_test_uptodate(folio);
	if (ours) {
		/* Freed by RCU, with its inode. */
		rcu_read_lock();
		mapping = READ_ONCE(folio->mapping);
		ours = mapping && !((unsigned long)mapping & PAGE_MAPPING_FLAGS) &&
		       READ_ONCE(mapping->a_ops) == &disco_disk_aops;
		rcu_read_unlock();
	}
	if (ours) {
		folio_lock(folio);
		if (folio->mapping == mapping && disco_memmap_cached(folio))
			return true;
		folio_unlock(folio);
	}
	folio_put(folio);
	return false;
}

/*
 * Fills in all of the answer but what goes to user memory. Returns the users,
 * NULL if none were asked for; -ENOENT if @folio is neither @master nor a replica
 * of it.
 */
static struct disco_memmap_user *list_users(struct disco_memmap *memmap,
					    struct folio *master,
					    struct folio *folio)
{
	struct disco_memmap_user *users = NULL;
	struct disco_user user;
	unsigned int i;

	if (folio != master && !disco_replica_belongs(folio, master))
		return ERR_PTR(-ENOENT);
	memmap->out_total = disco_memmap_count(master);
	memmap->out_node = folio_nid(folio);
	memmap->out_nr = min(memmap->nr, memmap->out_total);
	if (!memmap->out_nr)
		return NULL;
	users = kvcalloc(memmap->out_nr, sizeof(*users), GFP_KERNEL);
	if (!users)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < memmap->out_nr; i++) {
		user = disco_memmap_get(master, i);
		users[i].vm_id = user.vm;
		users[i].gfn = user.gfn;
	}
	return users;
}

/* The first user can change while we look: how often to look again. */
#define MEMMAP_TRIES 16

/**
 * disco_memmap() - DISCO_MEMMAP
 * @req: struct disco_memmap
 *
 * Return: 0; -ENXIO if the frame is not memory; -ENOENT if it is not a page of
 * a VM; -ENOMEM; -EFAULT.
 */
int disco_memmap(void *req)
{
	struct disco_memmap_user *users = ERR_PTR(-ENOENT);
	struct disco_memmap *memmap = req;
	struct folio *folio, *master;
	struct disco_user first;
	struct inode *inode;
	unsigned int tries;
	int err = 0;

	if (memmap->pfn != (unsigned long)memmap->pfn ||
	    !pfn_to_online_page(memmap->pfn))
		return -ENXIO;
	/* Not page_folio(): that trusts a page that may be anybody's. */
	folio = (struct folio *)pfn_to_page(memmap->pfn);
	/* The users of a replica are those of its master. */
	master = disco_replica_master(folio) ?: folio;

	if (lock_if_cached(master)) {
		users = list_users(memmap, master, folio);
		folio_unlock(master);
		folio_put(master);
	}
	for (tries = 0; users == ERR_PTR(-ENOENT) && tries < MEMMAP_TRIES;
	     tries++) {
		if (!disco_memmap_ours(master, &first))
			break;
		inode = disco_vm_find(first.vm);
		if (!inode)
			continue;
		if (lock_if_held(disco_vm(inode), first.gfn, master)) {
			users = list_users(memmap, master, folio);
			folio_unlock(master);
			folio_put(master);
		}
		/* After the unlock: evicting the inode takes the same lock. */
		disco_vm_put(inode);
	}
	if (IS_ERR_OR_NULL(users))
		return PTR_ERR_OR_ZERO(users);
	if (copy_to_user(u64_to_user_ptr(memmap->users), users,
			 memmap->out_nr * sizeof(*users)))
		err = -EFAULT;
	kvfree(users);
	return err;
}
