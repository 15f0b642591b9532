// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Questions about the module and the machine: what there is, who uses a frame,
 * is all in order. And the words for the numbers in the answers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "private.h"

PUBLIC int disco_query(struct disco *disco, struct disco_query *query)
{
	return disco_request(disco, DISCO_QUERY, query, "query of the module");
}

PUBLIC int disco_check(struct disco *disco, struct disco_check *check)
{
	int ret;

	ret = open_mount(disco, &check->mount_fd);
	if (ret)
		return ret;
	ret = disco_request(disco, DISCO_CHECK, check, "check of %s",
			    disco->mount);
	close(check->mount_fd);
	return ret;
}

static int compare_users(const void *a, const void *b)
{
	const struct disco_memmap_user *x = a, *y = b;

	if (x->vm_id != y->vm_id)
		return x->vm_id < y->vm_id ? -1 : 1;
	return x->gfn < y->gfn ? -1 : x->gfn > y->gfn;
}

PUBLIC int disco_memmap(struct disco *disco, uint64_t pfn,
			struct disco_memmap_user **users, size_t *nr,
			unsigned int *node)
{
	struct disco_memmap_user *list = NULL;
	struct disco_memmap req;
	uint32_t room = 0;
	int ret;

	/* Users may come while we make room for those we were told of. */
	for (;;) {
		req = (struct disco_memmap) {
			.size = sizeof(req),
			.pfn = pfn,
			.users = (uintptr_t)list,
			.nr = room,
		};
		ret = disco_request(disco, DISCO_MEMMAP, &req,
				    "frame 0x%" PRIx64, pfn);
		if (ret)
			break;
		if (req.out_total <= room)
			break;
		free(list);
		room = req.out_total + req.out_total / 4;
		list = calloc(room, sizeof(*list));
		if (!list)
			return disco_oom(disco);
	}
	if (ret == -ENXIO)
		ret = disco_fail(disco, ENXIO,
				 "frame 0x%" PRIx64 ": no such memory", pfn);
	if (ret == -ENOENT)
		ret = disco_fail(disco, ENOENT,
				 "frame 0x%" PRIx64 ": holds no page of a VM",
				 pfn);
	if (ret) {
		free(list);
		return ret;
	}
	if (req.out_nr)
		qsort(list, req.out_nr, sizeof(*list), compare_users);
	*users = list;
	*nr = req.out_nr;
	*node = req.out_node;
	return 0;
}

static const char * const state_names[] = {
	[DISCO_PAGE_HOLE] = "hole",
	[DISCO_PAGE_ZERO] = "zero",
	[DISCO_PAGE_PRIVATE] = "private",
	[DISCO_PAGE_SHARED] = "shared",
	[DISCO_PAGE_REPLICATED] = "replicated",
};

PUBLIC const char *disco_page_state_name(unsigned int state)
{
	return state < ARRAY_SIZE(state_names) ? state_names[state] : "unknown";
}

static const struct {
	const char *name;
	const char *text;
} violations[] = {
	[DISCO_CHECK_OK] = { "ok", "nothing is wrong" },
	[DISCO_CHECK_SLOT] = {
		"slot", "a pmap slot holds an impossible value"
	},
	[DISCO_CHECK_BACKMAP] = {
		"backmap",
		"a page does not list exactly once the slot that holds it, or a private page has other users"
	},
	[DISCO_CHECK_USER] = {
		"user", "a page lists a user whose slot does not hold it"
	},
	[DISCO_CHECK_REFS] = {
		"refs", "a page has fewer references than users"
	},
	[DISCO_CHECK_VM_COUNT] = {
		"vm-count", "the page counters of a VM differ from its slots"
	},
	[DISCO_CHECK_MOUNT_COUNT] = {
		"mount-count",
		"the page counter of the mount differs from the pages of its VMs"
	},
	[DISCO_CHECK_REPLICA] = {
		"replica",
		"a replica differs from its page, is on a node that has another copy, or belongs to a page that may be written to"
	},
};

PUBLIC const char *disco_violation_name(unsigned int violation)
{
	return violation < ARRAY_SIZE(violations) ?
	       violations[violation].name : "unknown";
}

PUBLIC const char *disco_violation_text(unsigned int violation)
{
	return violation < ARRAY_SIZE(violations) ?
	       violations[violation].text :
	       "something that this version of the library has no words for";
}
