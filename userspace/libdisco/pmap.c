// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The pages of a VM, batch by batch.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include "private.h"

/* 16 KiB of entries: the cost of the system call no longer shows. */
#define BATCH 1024

/**
 * struct disco_pmap_iter - where a walk is
 * @vm: the VM
 * @gfn: next guest frame number
 * @last: last one to look at
 * @view: as which view sees it
 * @started: a batch was returned
 * @done: nothing is left
 * @entries: the batch
 */
struct disco_pmap_iter {
	struct disco_vm *vm;
	uint64_t gfn;
	uint64_t last;
	unsigned int view;
	bool started;
	bool done;
	struct disco_pmap_entry entries[BATCH];
};

PUBLIC int disco_pmap_new(struct disco_vm *vm, uint64_t first, uint64_t last,
			  struct disco_pmap_iter **out)
{
	struct disco_pmap_iter *iter;

	if (last < first)
		return disco_fail(vm->disco, EINVAL,
				  "gfn range 0x%" PRIx64 "-0x%" PRIx64 " ends before it starts",
				  first, last);
	iter = calloc(1, sizeof(*iter));
	if (!iter)
		return disco_oom(vm->disco);
	iter->vm = vm;
	iter->gfn = first;
	iter->last = last;
	*out = iter;
	return 0;
}

PUBLIC void disco_pmap_set_view(struct disco_pmap_iter *iter, unsigned int view)
{
	iter->view = view;
}

PUBLIC int disco_pmap_next(struct disco_pmap_iter *iter,
			   struct disco_pmap_batch *batch)
{
	struct disco_vm *vm = iter->vm;
	uint64_t left = iter->last - iter->gfn;
	struct disco_pmap req = {
		.size = sizeof(req),
		.vm_fd = vm->fd,
		.nr = left < BATCH ? left + 1 : BATCH,
		.gfn = iter->gfn,
		.entries = (uintptr_t)iter->entries,
		.view = iter->view,
	};
	int ret;

	if (iter->done)
		return 0;
	ret = disco_request(vm->disco, DISCO_PMAP, &req,
			    "pages of VM %s from gfn 0x%" PRIx64,
			    vm->name, iter->gfn);
	/* An empty VM has no page 0, and one that shrank no next page. */
	if (ret == -ENXIO && (iter->started || !iter->gfn)) {
		iter->done = true;
		return 0;
	}
	if (ret == -ENXIO)
		return disco_fail(vm->disco, ENXIO,
				  "gfn 0x%" PRIx64 " is past the end of VM %s",
				  iter->gfn, vm->name);
	if (ret)
		return ret;

	batch->gfn = iter->gfn;
	batch->nr = req.out_nr;
	batch->entries = iter->entries;
	iter->started = true;
	iter->done = req.out_nr < req.nr || left < BATCH;
	iter->gfn += req.out_nr;
	return req.out_nr > 0;
}

PUBLIC void disco_pmap_free(struct disco_pmap_iter *iter)
{
	free(iter);
}
