// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replicas: copies of a shared page on other nodes, for their CPUs to read
 * (Disco, section 5.1: page replication). The page itself is their *master*.
 *
 * A replica is in no slot and has no users of its own. Where its master could be
 * mapped, it is mapped in the master's place, read-only and under the master's
 * lock. So who takes the master out of a slot, and unmaps the slot's page under
 * that lock as ever, has unmapped its replicas as well. They go when the master
 * has no user any more, or one that writes to it.
 *
 * A master does not know that it has replicas: the table below does. In a replica,
 * folio->index leads to the next one of the same chain, and folio->private says
 * whose it is.
 *
 * What replicas a page has changes under its lock.
 */
#include <linux/highmem.h>
#include <linux/log2.h>
#include <linux/memory_hotplug.h>
#include <linux/slab.h>
/* Last: it does not include all that it needs. */
#include <linux/bit_spinlock.h>

#include "disco.h"

/*
 * Chains of replicas, by the low bits of their master's frame. Masters of one chain
 * have locks of their own, so each chain has one, too: a bit beside the pointer to
 * its first replica.
 *
 * There is one for 16 to 32 frames of the machine, so the table takes at most 0.012%
 * of its memory, however many replicas there are and wherever their masters lie, and to
 * add one cannot fail.
 */
static unsigned long *chains;
static unsigned long nr_chains;

#define FRAMES_PER_CHAIN 16
#define CHAIN_LOCK 0
#define CHAIN_LOCKED BIT(CHAIN_LOCK)

/* What folio->private of a replica begins with, as MAGIC() of memmap.c. */
#define REPLICA		0xd15eUL
#define MASTER_BITS	48

static unsigned long name_master(struct folio *master)
{
	return REPLICA << MASTER_BITS | folio_pfn(master);
}

/**
 * disco_replica_init() - make the table of replicas
 *
 * Return: 0 or -ENOMEM.
 */
int disco_replica_init(void)
{
	nr_chains = rounddown_pow_of_two(totalram_pages() / FRAMES_PER_CHAIN + 1);
	chains = kvcalloc(nr_chains, sizeof(*chains), GFP_KERNEL);
	return chains ? 0 : -ENOMEM;
}

/**
 * disco_replica_exit() - undo disco_replica_init()
 */
void disco_replica_exit(void)
{
	kvfree(chains);
}

static unsigned long *chain_of(struct folio *master)
{
	return &chains[folio_pfn(master) & (nr_chains - 1)];
}

static struct folio *chain_first(unsigned long *chain)
{
	return (struct folio *)(READ_ONCE(*chain) & ~CHAIN_LOCKED);
}

static struct folio *chain_next(struct folio *replica)
{
	return (struct folio *)replica->index;
}

/* The first of @master's from @replica on, in a chain that is locked. */
static struct folio *find(struct folio *replica, struct folio *master)
{
	void *name = (void *)name_master(master);

	while (replica && replica->private != name)
		replica = chain_next(replica);
	return replica;
}

static void chain_add(struct folio *replica, struct folio *master)
{
	unsigned long *chain = chain_of(master);

	replica->private = (void *)name_master(master);
	bit_spin_lock(CHAIN_LOCK, chain);
	replica->index = (unsigned long)chain_first(chain);
	WRITE_ONCE(*chain, (unsigned long)replica | CHAIN_LOCKED);
	bit_spin_unlock(CHAIN_LOCK, chain);
}

static void chain_remove(struct folio *replica, struct folio *master)
{
	unsigned long *chain = chain_of(master);
	struct folio *prev;

	bit_spin_lock(CHAIN_LOCK, chain);
	prev = chain_first(chain);
	if (prev == replica) {
		WRITE_ONCE(*chain, replica->index | CHAIN_LOCKED);
	} else {
		while (chain_next(prev) != replica)
			prev = chain_next(prev);
		prev->index = replica->index;
	}
	bit_spin_unlock(CHAIN_LOCK, chain);
	replica->private = NULL;
	replica->index = 0;
}

/**
 * disco_replica_first() - the first replica of a page
 * @master: page of a VM, locked
 *
 * Return: the replica; NULL if there is none.
 */
struct folio *disco_replica_first(struct folio *master)
{
	unsigned long *chain = chain_of(master);
	struct folio *replica;

	/* If it has one that one is in the chain, whatever others do to it. */
	if (!chain_first(chain))
		return NULL;
	bit_spin_lock(CHAIN_LOCK, chain);
	replica = find(chain_first(chain), master);
	bit_spin_unlock(CHAIN_LOCK, chain);
	return replica;
}

/**
 * disco_replica_next() - the next replica of the same page
 * @replica: the one before
 * @master: the page, locked
 *
 * Return: the replica; NULL if that was the last one.
 */
struct folio *disco_replica_next(struct folio *replica, struct folio *master)
{
	unsigned long *chain = chain_of(master);

	bit_spin_lock(CHAIN_LOCK, chain);
	replica = find(chain_next(replica), master);
	bit_spin_unlock(CHAIN_LOCK, chain);
	return replica;
}

/**
 * disco_replica_on() - the replica of a page that is on a node
 * @master: page of a VM, locked
 * @node: the node
 *
 * Return: the replica; NULL if there is none.
 */
struct folio *disco_replica_on(struct folio *master, int node)
{
	struct folio *replica;

	disco_for_each_replica(replica, master)
		if (folio_nid(replica) == node)
			return replica;
	return NULL;
}

/**
 * disco_replica_count() - number of replicas of a page
 * @master: page of a VM, locked
 *
 * Return: how many, without the page itself.
 */
unsigned int disco_replica_count(struct folio *master)
{
	struct folio *replica;
	unsigned int nr = 0;

	disco_for_each_replica(replica, master)
		nr++;
	return nr;
}

/**
 * disco_replica_used() - may a replica of a page be mapped
 * @master: page of a VM, locked
 *
 * Of a replica, the reference count says more than whether it is mapped: who has
 * cleared a PTE and not flushed it yet has a reference.
 *
 * Return: true if somebody can read a replica: by a PTE or TLB entry that is
 * gone after disco_vm_zap(), or by a pin.
 */
bool disco_replica_used(struct folio *master)
{
	struct folio *replica;

	disco_for_each_replica(replica, master)
		if (folio_ref_count(replica) > 1)
			return true;
	return false;
}

/**
 * disco_replica_belongs() - is a page a replica of another one
 * @replica: any page
 * @master: page of a VM, locked
 *
 * Return: true if it is.
 */
bool disco_replica_belongs(struct folio *replica, struct folio *master)
{
	struct folio *other;

	disco_for_each_replica(other, master)
		if (other == replica)
			return true;
	return false;
}

/**
 * disco_replica_master() - whose replica a page is, as far as the page says
 * @folio: any page; may belong to somebody else
 *
 * Return: a page that is the master if disco_replica_belongs() says so; NULL if
 * @folio does not look like a replica.
 */
struct folio *disco_replica_master(struct folio *folio)
{
	unsigned long word = (unsigned long)READ_ONCE(folio->private);
	unsigned long pfn = word & (BIT(MASTER_BITS) - 1);

	if (word >> MASTER_BITS != REPLICA || !pfn_to_online_page(pfn))
		return NULL;
	return (struct folio *)pfn_to_page(pfn);
}

static int charge(struct disco_vm *vm, pgoff_t gfn)
{
	struct disco_sb *sbi = disco_vm_sb(vm);

	/* Counts first, as disco_folio_charge(). */
	if (atomic64_inc_return(&sbi->nr_replicas) >
	    READ_ONCE(sbi->max_replicas)) {
		disco_refuse(DISCO_refused_replicas, vm, gfn);
		goto uncount;
	}
	if (!disco_folio_charge(sbi)) {
		disco_refuse(DISCO_refused_limit, vm, gfn);
		goto uncount;
	}
	disco_count(DISCO_replicas, 1);
	return 0;

uncount:
	atomic64_dec(&sbi->nr_replicas);
	return -ENOSPC;
}

static void uncharge(struct disco_vm *vm)
{
	struct disco_sb *sbi = disco_vm_sb(vm);

	disco_count(DISCO_replicas, -1);
	disco_folio_uncharge(sbi);
	atomic64_dec(&sbi->nr_replicas);
}

/**
 * disco_replica_alloc() - allocate a page to become a replica
 * @vm: a VM that has the master
 * @gfn: where it has it
 * @master: the master, with a reference; who pays for it pays for the replica
 * @node: where
 * @err: set to -ENOSPC if the mount may not have one more page or replica,
 *	-ENOMEM if the node or the memory cgroup has no memory
 *
 * Context: may sleep; holds no folio lock.
 * Return: a page for disco_replica_add() or disco_replica_discard(), or NULL.
 */
struct folio *disco_replica_alloc(struct disco_vm *vm, pgoff_t gfn,
				  struct folio *master, int node, int *err)
{
	struct folio *replica;

	disco_unsettle();
	*err = charge(vm, gfn);
	if (*err)
		goto settle;
	replica = disco_folio_alloc_on(node, master);
	if (replica)
		return replica;
	uncharge(vm);
	disco_refuse(DISCO_refused_node_full, vm, gfn);
	*err = -ENOMEM;
settle:
	disco_settle();
	return NULL;
}

/**
 * disco_replica_discard() - give back a replica that was not needed in the end
 * @vm: the VM it was allocated for
 * @replica: what disco_replica_alloc() returned
 */
void disco_replica_discard(struct disco_vm *vm, struct folio *replica)
{
	uncharge(vm);
	folio_put(replica);
	disco_settle();
}

/**
 * disco_replica_add() - give a page a replica
 * @vm: a VM that has the page
 * @gfn: where it has it
 * @master: the page: locked, shared, without a replica on that node
 * @replica: what disco_replica_alloc() returned
 *
 * Mappings of @master stay: a CPU of the replica's node finds it when it faults.
 *
 * It has @replica from here on.
 */
void disco_replica_add(struct disco_vm *vm, pgoff_t gfn, struct folio *master,
		       struct folio *replica)
{
	VM_WARN_ON_ONCE_FOLIO(!folio_test_locked(master), master);
	disco_folio_copy(replica, master);
	chain_add(replica, master);
	disco_count_page(DISCO_replica_added, vm, gfn, replica);
	disco_settle();
}

/**
 * disco_replica_drop() - drop a replica
 * @vm: a VM that has the master
 * @gfn: where it has it
 * @master: its master, locked
 * @replica: the replica, unmapped by the caller
 *
 * Never allocates and never fails: it is part of tear-down.
 */
void disco_replica_drop(struct disco_vm *vm, pgoff_t gfn, struct folio *master,
			struct folio *replica)
{
	disco_unsettle();
	chain_remove(replica, master);
	uncharge(vm);
	disco_count_page(DISCO_replica_dropped, vm, gfn, replica);
	disco_settle();
	/* Who has it pinned goes on reading it; no VM has it any more. */
	folio_put(replica);
}

/**
 * disco_replica_drop_all() - drop all replicas of a page
 * @vm: a VM that has the page, or had it last
 * @gfn: where
 * @master: the page: locked, its replicas unmapped by the caller
 */
void disco_replica_drop_all(struct disco_vm *vm, pgoff_t gfn,
			    struct folio *master)
{
	struct folio *replica;

	while ((replica = disco_replica_first(master)))
		disco_replica_drop(vm, gfn, master, replica);
}

/**
 * disco_replica_bad() - find a replica that is not as it should be
 * @master: page of a VM, locked and shared
 *
 * Return: a replica that differs from @master in contents, is on its node, or is
 * the second one on a node; NULL if there is none.
 */
struct folio *disco_replica_bad(struct folio *master)
{
	void *at = kmap_local_folio(master, 0), *at_replica;
	struct folio *replica;
	bool equal;

	disco_for_each_replica(replica, master) {
		at_replica = kmap_local_folio(replica, 0);
		equal = !memcmp(at, at_replica, PAGE_SIZE);
		kunmap_local(at_replica);
		if (!equal || folio_nid(replica) == folio_nid(master) ||
		    disco_replica_on(master, folio_nid(replica)) != replica ||
		    disco_replica_master(replica) != master)
			break;
	}
	kunmap_local(at);
	return replica;
}
