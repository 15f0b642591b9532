// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sampler: where heat comes from without help from outside.
 *
 * A worker unmaps some pages of a VM, goes on to others, and begins again after
 * the last. Faults bring the pages back, and say which node used them and whether
 * it wrote. Of the pages that it unmapped last the sampler has a table of aligned
 * runs; faults on other pages are not counted, or the first touch of each page
 * would be.
 *
 * How fast it goes is a matter of its budget, a part of one CPU's time. The
 * worker's own time and that of the faults is taken from a credit, to which the
 * budget adds. It unmaps as much as the credit should last for, going by what the
 * pages so far have cost; with a debt, because they cost more, it waits. Of a fault
 * this module sees its own part. The rest, exception, page walk or, under KVM, the
 * exit, is taken to be as much again.
 */
#include <linux/file.h>
#include <linux/ktime.h>
#include <linux/slab.h>
#include <linux/topology.h>
#include <linux/workqueue.h>

#include "disco.h"

/* Pages that are unmapped in one go: a bit each in a word. */
#define CHUNK_PAGES BITS_PER_LONG

/* Whose faults are counted: those of the last eight ticks at the least. */
#define NR_CHUNKS 512

/* Often and little, so that no storm of faults is felt. */
#define TICK_NS (100 * NSEC_PER_MSEC)
#define TICK_CHUNKS 64

/* What a chunk costs before it is known: its pages are used, for 5 us each. */
#define FIRST_COST_NS (CHUNK_PAGES * 5 * NSEC_PER_USEC)

/* Without credit saved up, or a VM that was idle would be hit at once. */
#define CREDIT_TICKS 2

#define PPM 1000000

/**
 * struct disco_sampler - what samples one VM
 * @vm: the VM
 * @work: does it, every TICK_NS
 * @next: first page that is not sampled in this round
 * @last: when the work ran last
 * @credit: nanoseconds that may be spent; negative after more were
 * @seen: of @cost, what @credit knows of
 * @nr_chunks: chunks sampled since @since
 * @since: when sampling began
 * @cost: nanoseconds spent on it since @since
 * @pages: pages unmapped since then
 * @faults: faults on them
 * @chunks: pages unmapped last; chunk n is at n % NR_CHUNKS
 *
 * The work alone has all but the atomic numbers and @chunks. Faults read @chunks while the work
 * writes: they may take a chunk's number for another one's pages, and count a
 * fault too many or too few.
 */
struct disco_sampler {
	struct disco_vm *vm;
	struct delayed_work work;
	pgoff_t next;
	u64 last;
	s64 credit;
	u64 seen;
	u64 nr_chunks;
	u64 since;
	atomic64_t cost;
	atomic64_t pages;
	atomic64_t faults;
	struct {
		pgoff_t nr;
		unsigned long pages;
	} chunks[NR_CHUNKS];
};

/* If so there is a sampler, which stays. */
static bool is_on(struct disco_vm *vm)
{
	/* Pairs with smp_store_release() in start(). */
	return smp_load_acquire(&vm->heat.budget);
}

/**
 * disco_heat_sampled() - is a page among those that were unmapped to be counted?
 * @vm: the VM
 * @gfn: the page
 *
 * Context: any; the VM stays.
 * Return: whether it is.
 */
bool disco_heat_sampled(struct disco_vm *vm, pgoff_t gfn)
{
	struct disco_sampler *sampler;
	pgoff_t nr = gfn / CHUNK_PAGES;

	if (!is_on(vm))
		return false;
	sampler = vm->heat.sampler;
	return READ_ONCE(sampler->chunks[nr % NR_CHUNKS].nr) == nr &&
	       READ_ONCE(sampler->chunks[nr % NR_CHUNKS].pages) &
	       BIT(gfn % CHUNK_PAGES);
}

/**
 * disco_heat_clock() - when a fault began
 * @vm: the VM
 *
 * Return: for disco_heat_fault(); 0 without a sampler.
 */
u64 disco_heat_clock(struct disco_vm *vm)
{
	return is_on(vm) ? ktime_get_ns() : 0;
}

/**
 * disco_heat_fault() - a page is mapped, or made writable
 * @vm: the VM
 * @gfn: the page
 * @write: the access is a write
 * @start: disco_heat_clock() of when it began
 *
 * Context: a fault, with invalidate_lock of @vm held shared; may hold a folio
 * lock.
 */
void disco_heat_fault(struct disco_vm *vm, pgoff_t gfn, bool write, u64 start)
{
	struct disco_sampler *sampler;
	int node, err;

	if (!start || !disco_heat_sampled(vm, gfn))
		return;
	sampler = vm->heat.sampler;
	node = numa_node_id();
	/* Not waited for: a count is not worth it, with a page locked. */
	err = disco_heat_add(&vm->heat, gfn, node, !write, write,
			     GFP_NOWAIT | __GFP_NOWARN);
	if (err)
		disco_refuse(DISCO_refused_heat, vm, gfn);
	else
		disco_trace_heat(vm, gfn, node, write);
	atomic64_inc(&sampler->faults);
	/* Twice: for what was before and comes after this module's part. */
	atomic64_add(2 * (ktime_get_ns() - start), &sampler->cost);
}

/* Which pages of a chunk have something to unmap. */
static unsigned long filled_pages(struct disco_vm *vm, pgoff_t first)
{
	unsigned long *slot, pages = 0;
	pgoff_t gfn;

	disco_pmap_for_each(vm->pmap, slot, gfn, first, first + CHUNK_PAGES)
		if (disco_slot_filled(READ_ONCE(*slot)))
			pages |= BIT(gfn - first);
	return pages;
}

/* The next chunk that has pages; false if there is none up to the VM's end. */
static bool sample_chunk(struct disco_sampler *sampler)
{
	struct disco_vm *vm = sampler->vm;
	pgoff_t gfn = sampler->next, end = disco_vm_pages(vm), nr, first;
	unsigned long pages;

	if (!disco_pmap_next(vm->pmap, NULL, &gfn, end)) {
		sampler->next = 0;
		return false;
	}
	nr = gfn / CHUNK_PAGES;
	first = nr * CHUNK_PAGES;
	sampler->next = first + CHUNK_PAGES;
	pages = filled_pages(vm, first);
	if (!pages)
		return true;
	WRITE_ONCE(sampler->chunks[nr % NR_CHUNKS].pages, 0);
	WRITE_ONCE(sampler->chunks[nr % NR_CHUNKS].nr, nr);
	WRITE_ONCE(sampler->chunks[nr % NR_CHUNKS].pages, pages);
	/* After it is in the table: a fault that follows is counted. */
	disco_vm_zap(vm, first + __ffs(pages), __fls(pages) - __ffs(pages) + 1);
	atomic64_add(hweight_long(pages), &sampler->pages);
	sampler->nr_chunks++;
	return true;
}

static void earn(struct disco_sampler *sampler)
{
	u64 now = ktime_get_ns(), cost = atomic64_read(&sampler->cost);
	u32 budget = READ_ONCE(sampler->vm->heat.budget);
	s64 most = div_u64((u64)CREDIT_TICKS * TICK_NS * budget, PPM);

	sampler->credit += mul_u64_u32_div(now - sampler->last, budget, PPM);
	sampler->credit = min(sampler->credit, most);
	sampler->credit -= cost - sampler->seen;
	sampler->last = now;
	sampler->seen = cost;
}

static void sample(struct work_struct *work)
{
	struct disco_sampler *sampler =
		container_of(to_delayed_work(work), struct disco_sampler, work);
	struct address_space *mapping = sampler->vm->inode->i_mapping;
	struct disco_heat *heat = &sampler->vm->heat;
	s64 expected = 0, each;
	unsigned int n;
	u64 spent;
	bool more;

	earn(sampler);
	each = div64_u64(sampler->seen + FIRST_COST_NS, sampler->nr_chunks + 1);
	/* With all counters in use there would be no telling what was found. */
	for (n = 0; n < TICK_CHUNKS && expected < sampler->credit &&
	     READ_ONCE(heat->nr) < READ_ONCE(heat->max); n++) {
		filemap_invalidate_lock_shared(mapping);
		spent = ktime_get_ns();
		more = sample_chunk(sampler);
		spent = ktime_get_ns() - spent;
		filemap_invalidate_unlock_shared(mapping);
		atomic64_add(spent, &sampler->cost);
		expected += each;
		/* From the beginning again, but no page twice in a tick. */
		if (!more && n)
			break;
		cond_resched();
	}
	if (is_on(sampler->vm))
		queue_delayed_work(system_unbound_wq, &sampler->work,
				   nsecs_to_jiffies(TICK_NS));
}

static struct disco_sampler *new_sampler(struct disco_vm *vm)
{
	struct disco_sampler *sampler;

	sampler = kzalloc(sizeof(*sampler), GFP_KERNEL_ACCOUNT);
	if (!sampler)
		return NULL;
	sampler->vm = vm;
	INIT_DELAYED_WORK(&sampler->work, sample);
	return sampler;
}

static void stop(struct disco_heat *heat)
{
	WRITE_ONCE(heat->budget, 0);
	if (heat->sampler)
		cancel_delayed_work_sync(&heat->sampler->work);
}

static void start(struct disco_heat *heat, u32 budget)
{
	struct disco_sampler *sampler = heat->sampler;

	sampler->credit = 0;
	sampler->seen = 0;
	sampler->nr_chunks = 0;
	sampler->since = ktime_get_ns();
	sampler->last = sampler->since;
	atomic64_set(&sampler->cost, 0);
	atomic64_set(&sampler->pages, 0);
	atomic64_set(&sampler->faults, 0);
	memset(sampler->chunks, 0, sizeof(sampler->chunks));
	/* Pairs with smp_load_acquire() in is_on(): the sampler is there. */
	smp_store_release(&heat->budget, budget);
	queue_delayed_work(system_unbound_wq, &sampler->work,
			   nsecs_to_jiffies(TICK_NS));
}

/**
 * disco_heat_destroy() - stop the sampler and free it
 * @heat: heat of a VM that is being evicted: no mapping, no open file
 */
void disco_heat_destroy(struct disco_heat *heat)
{
	stop(heat);
	kfree(heat->sampler);
	heat->sampler = NULL;
}

/**
 * disco_heat_set() - DISCO_HEAT_SET
 * @req: struct disco_heat_set
 *
 * Return: 0; -EINVAL; -EINTR; -ENOMEM; or an error of disco_get_vm_file().
 */
int disco_heat_set(void *req)
{
	struct disco_heat_set *set = req;
	struct disco_heat *heat;
	struct disco_vm *vm;
	struct file *file;
	int err;

	if (set->__reserved || set->budget > DISCO_HEAT_MAX_BUDGET ||
	    set->max_counters > DISCO_HEAT_MAX_COUNTERS)
		return -EINVAL;
	file = disco_get_vm_file(set->vm_fd, FMODE_READ | FMODE_WRITE, &vm);
	if (IS_ERR(file))
		return PTR_ERR(file);
	heat = &vm->heat;
	err = mutex_lock_killable(&heat->lock);
	if (err)
		goto out_file;
	if (set->budget && !heat->sampler) {
		heat->sampler = new_sampler(vm);
		if (!heat->sampler) {
			err = -ENOMEM;
			goto out_lock;
		}
	}
	stop(heat);
	WRITE_ONCE(heat->max, set->max_counters ?: DISCO_HEAT_DEFAULT_COUNTERS);
	if (set->budget)
		start(heat, set->budget);
out_lock:
	mutex_unlock(&heat->lock);
out_file:
	fput(file);
	return err;
}

/**
 * disco_heat_stat() - DISCO_HEAT_STAT
 * @req: struct disco_heat_stat
 *
 * Return: 0; -EINTR; or an error of disco_get_vm_file().
 */
int disco_heat_stat(void *req)
{
	struct disco_heat_stat *stat = req;
	struct disco_sampler *sampler;
	struct disco_vm *vm;
	struct file *file;
	int err;

	file = disco_get_vm_file(stat->vm_fd, FMODE_READ, &vm);
	if (IS_ERR(file))
		return PTR_ERR(file);
	err = mutex_lock_killable(&vm->heat.lock);
	if (err)
		goto out;
	sampler = vm->heat.sampler;
	stat->out_budget = vm->heat.budget;
	stat->out_max_counters = vm->heat.max;
	stat->out_counters = READ_ONCE(vm->heat.nr);
	stat->out_time_ns = 0;
	stat->out_cost_ns = 0;
	stat->out_pages = 0;
	stat->out_faults = 0;
	if (stat->out_budget) {
		stat->out_cost_ns = atomic64_read(&sampler->cost);
		stat->out_pages = atomic64_read(&sampler->pages);
		stat->out_faults = atomic64_read(&sampler->faults);
		stat->out_time_ns = ktime_get_ns() - sampler->since;
	}
	mutex_unlock(&vm->heat.lock);
out:
	fput(file);
	return err;
}
