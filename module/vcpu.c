// SPDX-License-Identifier: GPL-2.0-only
/*
 * VCPUs: the memory of their second-level TLBs.
 *
 * The monitor makes a VCPU, maps its table and alone works on it, by the rules
 * of uapi/linux/disco_l2tlb.h. The module chooses where the memory is, and shows
 * others what is in it. A monitor may be hostile or broken: what the table says
 * is read once and checked, and its size is what it was created with.
 *
 * A VCPU is its file. The file holds the VM's file, so a VM outlives its VCPUs.
 * Pages never change after creation, hence faults take no lock, and a monitor
 * that wants them on another node makes a new VCPU in place of the old one.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/list.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include <linux/disco_l2tlb.h>

#include "disco.h"

/**
 * struct disco_vcpu - one VCPU
 * @list: in disco_vm.vcpus, or empty once another took its number
 * @vm_file: keeps the VM
 * @nr: its number
 * @node: where its memory was wanted
 * @ready: its creator has the answer: others may find it
 * @table: the module's own mapping of @pages, and sizes that can be trusted
 * @pages: the memory
 * @nr_pages: length of @pages
 * @nr_away: those on other nodes than @node
 */
struct disco_vcpu {
	struct list_head list;
	struct file *vm_file;
	u32 nr;
	int node;
	bool ready;
	struct disco_l2tlb table;
	struct page **pages;
	unsigned long nr_pages;
	unsigned long nr_away;
};

static struct disco_vm *vcpu_vm(struct disco_vcpu *vcpu)
{
	return disco_vm(file_inode(vcpu->vm_file));
}

static void free_pages_of(struct disco_vcpu *vcpu)
{
	unsigned long i;

	for (i = 0; i < vcpu->nr_pages; i++)
		put_page(vcpu->pages[i]);
	disco_count(DISCO_vcpu_bytes, -(s64)(vcpu->nr_pages << PAGE_SHIFT));
	kvfree(vcpu->pages);
}

/* A table that does not fit is an error, nothing to kill the monitor for. */
static int alloc_pages_of(struct disco_vcpu *vcpu, unsigned long nr)
{
	const gfp_t gfp = GFP_HIGHUSER | __GFP_ZERO | __GFP_ACCOUNT |
			  __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
	struct page *page;

	vcpu->pages = kvcalloc(nr, sizeof(*vcpu->pages), GFP_KERNEL_ACCOUNT);
	if (!vcpu->pages)
		return -ENOMEM;
	while (vcpu->nr_pages < nr) {
		page = alloc_pages_node(vcpu->node, gfp, 0);
		if (!page) {
			free_pages_of(vcpu);
			return -ENOMEM;
		}
		disco_count(DISCO_vcpu_bytes, PAGE_SIZE);
		vcpu->pages[vcpu->nr_pages++] = page;
		vcpu->nr_away += page_to_nid(page) != vcpu->node;
		cond_resched();
	}
	return 0;
}

static void free_vcpu(struct disco_vcpu *vcpu)
{
	vunmap(vcpu->table.hdr);
	free_pages_of(vcpu);
	fput(vcpu->vm_file);
	kfree(vcpu);
	disco_count(DISCO_vcpus, -1);
}

static int disco_vcpu_release(struct inode *inode, struct file *file)
{
	struct disco_vcpu *vcpu = file->private_data;
	struct disco_vm *vm = vcpu_vm(vcpu);

	mutex_lock(&vm->vcpus_lock);
	list_del(&vcpu->list);
	mutex_unlock(&vm->vcpus_lock);
	free_vcpu(vcpu);
	return 0;
}

static vm_fault_t disco_vcpu_fault(struct vm_fault *vmf)
{
	struct disco_vcpu *vcpu = vmf->vma->vm_file->private_data;

	if (vmf->pgoff >= vcpu->nr_pages)
		return VM_FAULT_SIGBUS;
	vmf->page = vcpu->pages[vmf->pgoff];
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct disco_vcpu_vm_ops = {
	.fault	= disco_vcpu_fault,
};

static int disco_vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct disco_vcpu *vcpu = file->private_data;

	if (!(vma->vm_flags & VM_MAYSHARE) ||
	    vma->vm_pgoff >= vcpu->nr_pages ||
	    vma_pages(vma) > vcpu->nr_pages - vma->vm_pgoff)
		return -EINVAL;
	/* VM_MIXEDMAP: automatic NUMA balancing has nothing to move here. */
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP | VM_MIXEDMAP);
	vma->vm_ops = &disco_vcpu_vm_ops;
	return 0;
}

static const struct file_operations disco_vcpu_fops = {
	.owner		= THIS_MODULE,
	.release	= disco_vcpu_release,
	.mmap		= disco_vcpu_mmap,
	.llseek		= noop_llseek,
};

/* The VCPU is of no VM yet: its creator sees to @vm_file and the list. */
static struct disco_vcpu *alloc_vcpu(const struct disco_vcpu_create *create)
{
	u64 bytes = disco_l2tlb_bytes(create->nr_entries);
	struct disco_vcpu *vcpu;
	void *mem;
	int err;

	vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL_ACCOUNT);
	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&vcpu->list);
	vcpu->nr = create->vcpu;
	vcpu->node = create->node;
	if (vcpu->node == DISCO_VCPU_HERE)
		vcpu->node = numa_mem_id();
	err = alloc_pages_of(vcpu, DIV_ROUND_UP_ULL(bytes, PAGE_SIZE));
	if (err)
		goto err_vcpu;
	mem = vmap(vcpu->pages, vcpu->nr_pages, VM_MAP, PAGE_KERNEL);
	if (!mem) {
		err = -ENOMEM;
		goto err_pages;
	}
	if (!disco_l2tlb_format(&vcpu->table, mem, create->nr_entries,
				create->nr_indices)) {
		err = -EINVAL;
		goto err_map;
	}
	disco_count(DISCO_vcpus, 1);
	return vcpu;

err_map:
	vunmap(mem);
err_pages:
	free_pages_of(vcpu);
err_vcpu:
	kfree(vcpu);
	return ERR_PTR(err);
}

/* Lists a VCPU that is not @ready; its number is taken from here on. */
static int reserve_number(struct disco_vm *vm, struct disco_vcpu *vcpu,
			  bool replace)
{
	struct disco_vcpu *other;
	int err = 0;

	mutex_lock(&vm->vcpus_lock);
	list_for_each_entry(other, &vm->vcpus, list)
		if (other->nr == vcpu->nr && !replace)
			err = -EEXIST;
	if (!err)
		list_add_tail(&vcpu->list, &vm->vcpus);
	mutex_unlock(&vm->vcpus_lock);
	return err;
}

static bool node_ok(int node)
{
	return node == DISCO_VCPU_HERE ||
	       (node >= 0 && node < MAX_NUMNODES && node_state(node, N_MEMORY));
}

/**
 * disco_vcpu_open() - DISCO_VCPU_CREATE
 * @req: struct disco_vcpu_create
 *
 * Return: the new VCPU's file, which disco_vcpu_publish() shows to others;
 * -EINVAL; -EBADF; -EEXIST; -ENFILE; -ENOMEM; or an error of
 * disco_get_vm_file().
 */
struct file *disco_vcpu_open(void *req)
{
	struct disco_vcpu_create *create = req;
	struct file *vm_file, *file;
	struct disco_vcpu *vcpu;
	struct disco_vm *vm;
	int err;

	if (create->vcpu >= DISCO_MAX_VCPUS || !node_ok(create->node) ||
	    !disco_l2tlb_entries_ok(create->nr_entries) ||
	    !create->nr_indices ||
	    create->nr_indices > DISCO_L2TLB_MAX_INDICES)
		return ERR_PTR(-EINVAL);
	/* Who may only look at a VM takes no numbers from its monitor. */
	vm_file = disco_get_vm_file(create->vm_fd, FMODE_READ | FMODE_WRITE,
				    &vm);
	if (IS_ERR(vm_file))
		return vm_file;
	vcpu = alloc_vcpu(create);
	if (IS_ERR(vcpu)) {
		err = PTR_ERR(vcpu);
		goto err_vm;
	}
	vcpu->vm_file = vm_file;
	file = anon_inode_getfile("[disco-vcpu]", &disco_vcpu_fops, vcpu,
				  O_RDWR);
	if (IS_ERR(file)) {
		free_vcpu(vcpu);
		return file;
	}
	err = reserve_number(vm, vcpu, create->flags & DISCO_VCPU_REPLACE);
	if (err) {
		fput(file);
		return ERR_PTR(err);
	}
	create->out_bytes = (u64)vcpu->nr_pages << PAGE_SHIFT;
	return file;

err_vm:
	fput(vm_file);
	return ERR_PTR(err);
}

/**
 * disco_vcpu_publish() - let others find a new VCPU
 * @file: from disco_vcpu_open()
 *
 * Takes the number from all others that have or want it. A VCPU that has lost
 * its own meanwhile stays without one, as if it had come first. Cannot fail.
 */
void disco_vcpu_publish(struct file *file)
{
	struct disco_vcpu *vcpu = file->private_data, *other, *next;
	struct disco_vm *vm = vcpu_vm(vcpu);

	mutex_lock(&vm->vcpus_lock);
	if (!list_empty(&vcpu->list)) {
		list_for_each_entry_safe(other, next, &vm->vcpus, list)
			if (other->nr == vcpu->nr && other != vcpu)
				list_del_init(&other->list);
		vcpu->ready = true;
	}
	mutex_unlock(&vm->vcpus_lock);
}

static struct disco_vcpu *find_vcpu(struct disco_vm *vm, u32 nr, bool next)
{
	struct disco_vcpu *vcpu, *found = NULL;

	lockdep_assert_held(&vm->vcpus_lock);
	list_for_each_entry(vcpu, &vm->vcpus, list) {
		if (!vcpu->ready || vcpu->nr < nr || (!next && vcpu->nr > nr))
			continue;
		if (!found || vcpu->nr < found->nr)
			found = vcpu;
	}
	return found;
}

/**
 * disco_vcpu_stat() - DISCO_VCPU_STAT
 * @req: struct disco_vcpu_stat
 *
 * Return: 0; -EINVAL; -ENOENT; or an error of disco_get_vm_file().
 */
int disco_vcpu_stat(void *req)
{
	const struct disco_l2tlb_header *hdr;
	struct disco_vcpu_stat *stat = req;
	struct disco_vcpu *vcpu;
	struct disco_vm *vm;
	struct file *file;

	if (stat->__reserved)
		return -EINVAL;
	file = disco_get_vm_file(stat->vm_fd, FMODE_READ, &vm);
	if (IS_ERR(file))
		return PTR_ERR(file);
	mutex_lock(&vm->vcpus_lock);
	vcpu = find_vcpu(vm, stat->vcpu, stat->flags & DISCO_VCPU_NEXT);
	if (vcpu) {
		hdr = vcpu->table.hdr;
		stat->out_vcpu = vcpu->nr;
		stat->out_node = vcpu->node;
		stat->out_nr_entries = vcpu->table.nr_entries;
		stat->out_nr_indices = vcpu->table.nr_indices;
		stat->out_nr_live = READ_ONCE(hdr->nr_live);
		stat->out_bytes = (u64)vcpu->nr_pages << PAGE_SHIFT;
		stat->out_bytes_away = (u64)vcpu->nr_away << PAGE_SHIFT;
		stat->out_hits = READ_ONCE(hdr->counters.hits);
		stat->out_misses = READ_ONCE(hdr->counters.misses);
		stat->out_forwards = READ_ONCE(hdr->counters.forwards);
		stat->out_inserts = READ_ONCE(hdr->counters.inserts);
		stat->out_evictions = READ_ONCE(hdr->counters.evictions);
		stat->out_drops = READ_ONCE(hdr->counters.drops);
		stat->out_flushes = READ_ONCE(hdr->counters.flushes);
	}
	mutex_unlock(&vm->vcpus_lock);
	fput(file);
	return vcpu ? 0 : -ENOENT;
}

static u32 nr_sets(const struct disco_vcpu *vcpu)
{
	return vcpu->table.nr_entries / DISCO_L2TLB_WAYS;
}

/* Copies the live entries of a set; returns how many. */
static u32 read_set(const struct disco_vcpu *vcpu, u32 set,
		    struct disco_vcpu_entry *out)
{
	const struct disco_l2tlb *table = &vcpu->table;
	struct disco_l2tlb_entry *first = table->entry + set * DISCO_L2TLB_WAYS;
	u32 generation = READ_ONCE(table->hdr->generation);
	u32 way, nr = 0;

	for (way = 0; way < DISCO_L2TLB_WAYS; way++) {
		struct disco_l2tlb_entry *e = first + way;
		u64 key = READ_ONCE(e->key);
		u32 tag = READ_ONCE(e->tag);
		u32 size = disco_l2tlb_key_size(key);

		/* One of another set was not put here by the rules. */
		if (READ_ONCE(e->generation) != generation || !generation ||
		    size >= DISCO_L2TLB_SIZES ||
		    disco_l2tlb_set(table, key, tag) != first)
			continue;
		out[nr++] = (struct disco_vcpu_entry) {
			.va = key & ~(disco_l2tlb_pair_bytes(size) - 1),
			.lo = { READ_ONCE(e->lo[0]), READ_ONCE(e->lo[1]) },
			.tag = tag,
			.set = set,
			.page_shift = 12 + 2 * size,
			.global = disco_l2tlb_key_global(key),
		};
	}
	return nr;
}

#define DUMP_BATCH 16
/* Others wait for the lock meanwhile, and most sets may be empty. */
#define DUMP_BATCH_SETS 1024

/**
 * disco_vcpu_dump() - DISCO_VCPU_DUMP
 * @req: struct disco_vcpu_dump
 *
 * Return: 0; -EINVAL; -ENOENT; -ENXIO; -EFAULT; -EINTR; or an error of
 * disco_get_vm_file().
 */
int disco_vcpu_dump(void *req)
{
	struct disco_vcpu_entry batch[DUMP_BATCH], __user *user;
	struct disco_vcpu_dump *dump = req;
	u32 set = dump->set, done = 0, sets, nr, end;
	struct disco_vcpu *vcpu;
	struct disco_vm *vm;
	struct file *file;
	int err = 0;

	if (dump->nr < DISCO_L2TLB_WAYS)
		return -EINVAL;
	file = disco_get_vm_file(dump->vm_fd, FMODE_READ, &vm);
	if (IS_ERR(file))
		return PTR_ERR(file);
	user = u64_to_user_ptr(dump->entries);
	do {
		/* Copied out without the lock: that can take for ever. */
		mutex_lock(&vm->vcpus_lock);
		vcpu = find_vcpu(vm, dump->vcpu, false);
		sets = vcpu ? nr_sets(vcpu) : 0;
		end = min((u64)set + DUMP_BATCH_SETS, (u64)sets);
		for (nr = 0; set < end &&
		     min_t(u32, DUMP_BATCH, dump->nr - done) - nr >=
		     DISCO_L2TLB_WAYS; set++)
			nr += read_set(vcpu, set, batch + nr);
		mutex_unlock(&vm->vcpus_lock);

		if (!vcpu)
			err = -ENOENT;
		else if (dump->set >= sets)
			err = -ENXIO;
		else if (copy_to_user(user + done, batch, nr * sizeof(*batch)))
			err = -EFAULT;
		else if (fatal_signal_pending(current))
			err = -EINTR;
		done += nr;
		cond_resched();
	} while (!err && set < sets && dump->nr - done >= DISCO_L2TLB_WAYS);
	dump->out_nr = done;
	dump->out_next = set;
	fput(file);
	return err;
}
