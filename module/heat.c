// SPDX-License-Identifier: GPL-2.0-only
/*
 * Heat: how often each node used each page of a VM (Disco, section 5.1: the
 * machine's counters of cache misses). It comes from the sampler
 * (heat_sample.c) and, with DISCO_HEAT_REPORT, from outside; user space takes it
 * with DISCO_HEAT_DRAIN and decides what to do.
 *
 * A counter is one entry of the VM's xarray, for a page and a node, and is there
 * only while it is not zero. It has two numbers of 31 bits that stop at their
 * largest value. There are at most as many counters as DISCO_HEAT_SET allows;
 * what finds no room is dropped and counted.
 */
#include <linux/file.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "disco.h"

#define COUNT_BITS 31
#define COUNT_MAX (BIT(COUNT_BITS) - 1)

/* Entries copied from or to the caller at once, and at least one page's. */
#define BATCH 128U

static unsigned long index_of(pgoff_t gfn, int node)
{
	return gfn * nr_node_ids + node;
}

static u32 count_of(void *counter, bool write)
{
	if (!counter)
		return 0;
	return xa_to_value(counter) >> (write ? COUNT_BITS : 0) & COUNT_MAX;
}

static void *counter_of(u64 reads, u64 writes)
{
	if (!reads && !writes)
		return NULL;
	return xa_mk_value(min_t(u64, writes, COUNT_MAX) << COUNT_BITS |
			   min_t(u64, reads, COUNT_MAX));
}

/**
 * disco_heat_init() - no heat yet
 * @heat: heat of a new VM
 */
void disco_heat_init(struct disco_heat *heat)
{
	xa_init_flags(&heat->counters, XA_FLAGS_ACCOUNT);
	heat->max = DISCO_HEAT_DEFAULT_COUNTERS;
	mutex_init(&heat->lock);
}

/**
 * disco_heat_add() - a node used a page
 * @heat: heat of the VM
 * @gfn: the page
 * @node: the node
 * @reads: how often it read
 * @writes: how often it wrote
 * @gfp: how to allocate
 *
 * Context: as @gfp has it. The VM's invalidate_lock keeps the page in the VM.
 * Return: 0; -ENOSPC if there are as many counters as there may be; -ENOMEM.
 */
int disco_heat_add(struct disco_heat *heat, pgoff_t gfn, int node, u32 reads,
		   u32 writes, gfp_t gfp)
{
	XA_STATE(xas, &heat->counters, index_of(gfn, node));
	void *old;
	int err;

	if (!reads && !writes)
		return 0;
	do {
		err = 0;
		xas_lock(&xas);
		old = xas_load(&xas);
		if (!old && heat->nr >= READ_ONCE(heat->max)) {
			err = -ENOSPC;
		} else {
			xas_store(&xas, counter_of((u64)count_of(old, false) + reads,
						   (u64)count_of(old, true) + writes));
			err = xas_error(&xas);
		}
		if (!err && !old) {
			WRITE_ONCE(heat->nr, heat->nr + 1);
			disco_count(DISCO_heat_counters, 1);
		}
		xas_unlock(&xas);
	} while (xas_nomem(&xas, gfp));
	return err;
}

static void forget(struct disco_heat *heat, struct xa_state *xas)
{
	xas_store(xas, NULL);
	WRITE_ONCE(heat->nr, heat->nr - 1);
	disco_count(DISCO_heat_counters, -1);
}

/**
 * disco_heat_drop() - forget the heat of a range
 * @heat: heat of the VM
 * @start: first gfn
 * @end: end of the range, exclusive
 *
 * Never allocates and never fails: it is tear-down.
 *
 * Context: may sleep.
 */
void disco_heat_drop(struct disco_heat *heat, pgoff_t start, pgoff_t end)
{
	XA_STATE(xas, &heat->counters, index_of(start, 0));
	unsigned int nr = 0;
	void *counter;

	if (start >= end || xa_empty(&heat->counters))
		return;
	xas_lock(&xas);
	xas_for_each(&xas, counter, index_of(end, 0) - 1) {
		forget(heat, &xas);
		if (++nr % XA_CHECK_SCHED)
			continue;
		/* Not xas_pause(): it steps over a node, which may be gone by now. */
		xas_reset(&xas);
		xas_unlock(&xas);
		cond_resched();
		xas_lock(&xas);
	}
	xas_unlock(&xas);
}

/**
 * disco_heat_collect() - read counters, of whole pages only
 * @heat: heat of the VM
 * @gfn: first page; set to the first that was not read, or to 0 after the last
 * @entries: filled in
 * @nr: how many there is room for
 *
 * Return: how many were filled in; 0 with @gfn not 0: there is no room for the
 * next page's.
 */
unsigned int disco_heat_collect(struct disco_heat *heat, u64 *gfn,
				struct disco_heat_entry *entries,
				unsigned int nr)
{
	unsigned int n = 0, whole = 0;
	unsigned long index;
	u64 page = 0;
	void *counter;

	xa_for_each_start(&heat->counters, index, counter, index_of(*gfn, 0)) {
		if (!n || index / nr_node_ids != page) {
			whole = n;
			page = index / nr_node_ids;
		}
		if (n == nr) {
			*gfn = page;
			return whole;
		}
		entries[n++] = (struct disco_heat_entry){
			.gfn = page,
			.node = index % nr_node_ids,
			.reads = count_of(counter, false),
			.writes = count_of(counter, true),
		};
	}
	*gfn = 0;
	return n;
}

/**
 * disco_heat_subtract() - take from the counters what was read
 * @heat: heat of the VM
 * @entries: from disco_heat_collect()
 * @nr: how many
 *
 * What came since then stays. Never allocates.
 *
 * Context: @heat->lock held since the entries were read: nobody else takes.
 */
void disco_heat_subtract(struct disco_heat *heat,
			 const struct disco_heat_entry *entries, unsigned int nr)
{
	XA_STATE(xas, &heat->counters, 0);
	u32 reads, writes;
	unsigned int i;
	void *counter;

	lockdep_assert_held(&heat->lock);
	xas_lock(&xas);
	for (i = 0; i < nr; i++) {
		xas_set(&xas, index_of(entries[i].gfn, entries[i].node));
		counter = xas_load(&xas);
		/* Gone with its page, and perhaps back with a new one. */
		if (!counter)
			continue;
		reads = count_of(counter, false);
		writes = count_of(counter, true);
		counter = counter_of(reads - min(reads, entries[i].reads),
				     writes - min(writes, entries[i].writes));
		if (counter)
			xas_store(&xas, counter);
		else
			forget(heat, &xas);
	}
	xas_unlock(&xas);
}

/* The page's memory cgroup pays for its counter, not that of who reports. */
static int report_page(struct disco_vm *vm, const struct disco_heat_entry *entry)
{
	struct mem_cgroup *memcg, *before;
	struct folio *folio;
	bool shared;
	int err;

	folio = disco_slot_get_filled(vm, entry->gfn, &shared);
	if (!folio)
		return -ENOENT;
	memcg = disco_folio_memcg(folio);
	folio_put(folio);
	before = set_active_memcg(memcg);
	/* A full cgroup refuses it: a counter is not what kills a VM. */
	err = disco_heat_add(&vm->heat, entry->gfn, entry->node, entry->reads,
			     entry->writes, GFP_KERNEL | __GFP_NORETRY |
			     __GFP_NOWARN);
	set_active_memcg(before);
	mem_cgroup_put(memcg);
	return err;
}

static int report(struct disco_vm *vm, const struct disco_heat_entry *entry)
{
	struct address_space *mapping = vm->inode->i_mapping;
	int err = -ENXIO;

	if (entry->node >= nr_node_ids || !node_possible(entry->node))
		return -EINVAL;
	filemap_invalidate_lock_shared(mapping);
	if (entry->gfn < disco_vm_pages(vm))
		err = report_page(vm, entry);
	filemap_invalidate_unlock_shared(mapping);
	if (err == -ENOSPC || err == -ENOMEM)
		disco_refuse(DISCO_refused_heat, vm, entry->gfn);
	return err;
}

static int report_list(struct disco_vm *vm, struct disco_heat_report *req,
		       struct disco_heat_entry *entries)
{
	struct disco_heat_entry __user *user = u64_to_user_ptr(req->entries);
	unsigned int i, nr;

	while (req->out_nr < req->nr) {
		nr = min(req->nr - req->out_nr, BATCH);
		if (copy_from_user(entries, user, nr * sizeof(*entries)))
			return -EFAULT;
		for (i = 0; i < nr; i++) {
			entries[i].out_result = report(vm, &entries[i]);
			req->out_added += !entries[i].out_result;
		}
		if (copy_to_user(user, entries, nr * sizeof(*entries)))
			return -EFAULT;
		req->out_nr += nr;
		user += nr;
		if (signal_pending(current))
			break;
		cond_resched();
	}
	return 0;
}

/**
 * disco_heat_report() - DISCO_HEAT_REPORT
 * @req: struct disco_heat_report
 *
 * Return: 0; -EINVAL; -EFAULT; -ENOMEM; or an error of disco_get_vm_file().
 */
int disco_heat_report(void *req)
{
	struct disco_heat_report *report = req;
	struct disco_heat_entry *entries;
	struct disco_vm *vm;
	struct file *file;
	int err = -ENOMEM;

	if (!report->nr || report->nr > DISCO_HEAT_MAX)
		return -EINVAL;
	file = disco_get_vm_file(report->vm_fd, FMODE_READ | FMODE_WRITE, &vm);
	if (IS_ERR(file))
		return PTR_ERR(file);
	report->out_nr = 0;
	report->out_added = 0;
	entries = kmalloc_array(BATCH, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	if (entries) {
		err = report_list(vm, report, entries);
		kfree(entries);
	}
	fput(file);
	return err;
}

static int drain_list(struct disco_vm *vm, struct disco_heat_drain *req,
		      struct disco_heat_entry *entries, unsigned int room)
{
	struct disco_heat_entry __user *user = u64_to_user_ptr(req->entries);
	bool more = req->gfn <= DISCO_MAX_GFN;
	unsigned int nr;

	req->out_next = more ? req->gfn : 0;
	while (more) {
		nr = disco_heat_collect(&vm->heat, &req->out_next, entries,
					min(req->nr - req->out_nr, room));
		/* Copied before it is gone: nothing is lost to a bad address. */
		if (copy_to_user(user, entries, nr * sizeof(*entries)))
			return -EFAULT;
		if (!(req->flags & DISCO_HEAT_KEEP))
			disco_heat_subtract(&vm->heat, entries, nr);
		req->out_nr += nr;
		user += nr;
		more = nr && req->out_next && !signal_pending(current);
		cond_resched();
	}
	return 0;
}

/**
 * disco_heat_drain() - DISCO_HEAT_DRAIN
 * @req: struct disco_heat_drain
 *
 * Return: 0; -EINVAL; -EFAULT; -EINTR; -ENOMEM; or an error of
 * disco_get_vm_file().
 */
int disco_heat_drain(void *req)
{
	unsigned int room = max(BATCH, nr_node_ids);
	struct disco_heat_drain *drain = req;
	struct disco_heat_entry *entries;
	struct disco_vm *vm;
	struct file *file;
	int err = -ENOMEM;

	if (drain->__reserved || drain->nr < nr_node_ids ||
	    drain->nr > DISCO_HEAT_MAX)
		return -EINVAL;
	file = disco_get_vm_file(drain->vm_fd, FMODE_READ | FMODE_WRITE, &vm);
	if (IS_ERR(file))
		return PTR_ERR(file);
	drain->out_nr = 0;
	entries = kmalloc_array(room, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	if (entries) {
		err = mutex_lock_killable(&vm->heat.lock);
		if (!err) {
			err = drain_list(vm, drain, entries, room);
			mutex_unlock(&vm->heat.lock);
		}
		kfree(entries);
	}
	fput(file);
	return err;
}
