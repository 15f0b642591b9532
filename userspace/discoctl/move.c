// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl move: puts pages of a machine on another NUMA node, by hand.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discoctl.h"

static const char help[] =
	"Usage: discoctl move NAME NODE [GFN[-GFN]]\n"
	"       discoctl move help\n"
	"\n"
	"Puts pages of a machine, all of them or a range of guest frames, on a NUMA\n"
	"node. The machine may run, and sees no change. NAME is the path of the\n"
	"machine's file relative to ram/. Shared pages move for all that share them,\n"
	"which needs CAP_SYS_NICE if another machine does.\n"
	"\n"
	"  moved    pages that are there now and were not\n"
	"  there    that were on the node before\n"
	"  hole     no machine page: nothing to move\n"
	"  pinned   in the hands of a device or system call: left alone\n"
	"  full     the node, or the memory cgroup that pays for them, has no room\n"
	"  limit    shared, and the mount has no room for a second one meanwhile\n"
	"  denied   shared with another machine, and no CAP_SYS_NICE\n";

/* Pages for one request: enough to hide its cost. */
#define CHUNK 4096

/* What can become of a page; everything else is an error. */
static const struct {
	int result;
	const char *name;
} results[] = {
	{ 0, "moved" },
	{ -EEXIST, "there" },
	{ -ENOENT, "hole" },
	{ -EBUSY, "pinned" },
	{ -ENOMEM, "full" },
	{ -ENOSPC, "limit" },
	{ -EPERM, "denied" },
};

/**
 * struct job - pages that are moved, and what became of them
 * @ctl: the program
 * @vm: their machine
 * @node: where to
 * @first: first guest frame number
 * @last: the last one
 * @pages: how many have been tried
 * @count: how many of these by @results
 */
struct job {
	struct ctl *ctl;
	struct disco_vm *vm;
	uint32_t node;
	uint64_t first;
	uint64_t last;
	uint64_t pages;
	uint64_t count[ARRAY_SIZE(results)];
};

static int count_result(struct job *job, const struct disco_move_entry *entry)
{
	if (entry->out_result == -EINVAL)
		return ctl_error(job->ctl,
				 "there is no node %u, or it has no memory (see /sys/devices/system/node/has_memory)",
				 job->node);
	if (entry->out_result == -EACCES)
		return ctl_error(job->ctl, "your cpuset does not have node %u",
				 job->node);
	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		if (results[i].result == entry->out_result) {
			job->count[i]++;
			job->pages++;
			return EXIT_OK;
		}
	}
	return ctl_error(job->ctl, "gfn 0x%" PRIx64 " of VM %s: %s",
			 (uint64_t)entry->gfn, disco_vm_name(job->vm),
			 strerror(-entry->out_result));
}

static int move_chunk(struct job *job, struct disco_move_entry *entries,
		      uint32_t nr)
{
	struct disco_move move = {
		.size = sizeof(move),
		.operation = DISCO_MOVE_MIGRATE,
		.entries = (uintptr_t)entries,
		.nr = nr,
	};
	int ret = EXIT_OK;

	for (uint32_t i = 0; i < nr; i++)
		entries[i] = (struct disco_move_entry) {
			.gfn = job->first + i,
			.node = job->node,
		};
	if (disco_move(job->vm, &move))
		return ctl_disco_error(job->ctl);
	for (uint32_t i = 0; i < move.out_nr && !ret; i++) {
		/* The machine has shrunk: what is gone was not asked for. */
		if (entries[i].out_result != -ENXIO)
			ret = count_result(job, &entries[i]);
	}
	job->first += move.out_nr;
	return ret;
}

static int move_all(struct job *job)
{
	struct disco_move_entry *entries = calloc(CHUNK, sizeof(*entries));
	int ret = EXIT_OK;

	if (!entries)
		return ctl_error(job->ctl, "not enough memory");
	while (!ret && job->first <= job->last) {
		uint64_t left = job->last - job->first + 1;

		ret = move_chunk(job, entries, left < CHUNK ? left : CHUNK);
	}
	free(entries);
	return ret;
}

static int print_job(const struct job *job)
{
	struct json_object *obj;

	if (!job->ctl->json) {
		char *safe = escape_name(disco_vm_name(job->vm));

		printf("%" PRIu64 " pages of VM %s, to node %u\n", job->pages,
		       safe ? safe : "-", job->node);
		free(safe);
		for (size_t i = 0; i < ARRAY_SIZE(results); i++)
			if (!i || job->count[i])
				printf("  %-8s %12" PRIu64 "\n",
				       results[i].name, job->count[i]);
		return EXIT_OK;
	}
	obj = json_object_new_object();
	json_add_text(obj, "vm", disco_vm_name(job->vm));
	json_add_u64(obj, "node", job->node);
	json_add_u64(obj, "pages", job->pages);
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		json_add_u64(obj, results[i].name, job->count[i]);
	return ctl_print_json(job->ctl, obj);
}

/* Which pages: all, or a range that must be there, all of it. */
static int find_pages(struct job *job, const char *range, bool *none)
{
	struct disco_query query = { .size = sizeof(query) };
	struct disco_vm_stat stat = { .size = sizeof(stat) };
	uint64_t pages;

	if (disco_query(job->ctl->disco, &query) ||
	    disco_vm_stat(job->vm, &stat))
		return ctl_disco_error(job->ctl);
	pages = (stat.out_virtual + query.out_page_size - 1) /
		query.out_page_size;
	*none = !range && !pages;
	if (!range) {
		job->last = pages - 1;
		return EXIT_OK;
	}
	if (!parse_range(range, &job->first, &job->last))
		return ctl_error(job->ctl,
				 "\"%s\" is not GFN or GFN-GFN, such as 0x100-0x1ff",
				 range);
	if (job->last < job->first)
		return ctl_error(job->ctl,
				 "gfn range 0x%" PRIx64 "-0x%" PRIx64 " ends before it starts",
				 job->first, job->last);
	if (job->last >= pages)
		return ctl_error(job->ctl,
				 "gfn 0x%" PRIx64 " is past the end of VM %s, which has 0x%" PRIx64 " pages",
				 job->last, disco_vm_name(job->vm), pages);
	return EXIT_OK;
}

static int move_pages(struct job *job, const char *name, const char *range)
{
	bool none;
	int ret;

	if (disco_vm_open_writable(job->ctl->disco, name, &job->vm))
		return ctl_disco_error(job->ctl);
	ret = find_pages(job, range, &none);
	if (!ret && !none)
		ret = move_all(job);
	if (!ret)
		ret = print_job(job);
	disco_vm_close(job->vm);
	return ret;
}

/**
 * cmd_move - discoctl move
 * @ctl: the program
 * @argc: number of words that follow
 * @argv: the words
 *
 * Return: exit code.
 */
int cmd_move(struct ctl *ctl, int argc, char **argv)
{
	struct job job = { .ctl = ctl };
	uint64_t node;

	if (argc == 1 && !strcmp(argv[0], "help"))
		return print_help(help);
	if (argc < 2)
		return ctl_error(ctl, "move: the %s is missing",
				 argc ? "NODE" : "NAME of a machine");
	if (argc > 3)
		return reject_words(ctl, argc - 3, argv + 3);
	if (!parse_number(argv[1], &node) || node > UINT32_MAX)
		return ctl_error(ctl, "\"%s\" is no number of a node, such as 1",
				 argv[1]);
	job.node = node;
	return move_pages(&job, argv[0], argv[2]);
}
