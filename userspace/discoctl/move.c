// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl move, replicate, collapse: puts pages of a machine, or copies of them,
 * on another NUMA node, by hand.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discoctl.h"

static const char move_help[] =
	"Usage: discoctl move NAME NODE [GFN[-GFN]]\n"
	"       discoctl move help\n"
	"\n"
	"Puts pages of a machine, all of them or a range of guest frames, on a NUMA\n"
	"node. The machine may run, and sees no change. NAME is the path of the\n"
	"machine's file relative to ram/. Shared pages move for all that share them,\n"
	"which needs CAP_SYS_NICE if another machine does. Copies of what moves go.\n"
	"\n"
	"  moved    pages that are there now and were not\n"
	"  there    that were on the node before\n"
	"  hole     no machine page: nothing to move\n"
	"  pinned   in the hands of a device or system call: left alone\n"
	"  full     the node, or the memory cgroup that pays for them, has no room\n"
	"  limit    shared, and the mount has no room for a second one meanwhile\n"
	"  denied   shared with another machine, and no CAP_SYS_NICE\n";

static const char replicate_help[] =
	"Usage: discoctl replicate NAME NODE [GFN[-GFN]]\n"
	"       discoctl replicate help\n"
	"\n"
	"Puts a copy of pages of a machine, all of them or a range of guest frames, on a\n"
	"NUMA node, for its CPUs to read. A page that is written to loses its copies.\n"
	"The machine may run, and sees no change. NAME is the path of the machine's file\n"
	"relative to ram/. Machines that share a page share its copies; to make them\n"
	"then needs CAP_SYS_NICE.\n"
	"\n"
	"  copied   pages that have a copy there now and had none\n"
	"  there    that, or a copy of which, were on the node before\n"
	"  none     no machine page: nothing to copy\n"
	"  pinned   in the hands of a device or system call: left alone\n"
	"  full     the node, or the memory cgroup that pays for them, has no room\n"
	"  limit    the mount has no room for a copy, by size= or replicas=\n"
	"  denied   shared with another machine, and no CAP_SYS_NICE\n";

static const char collapse_help[] =
	"Usage: discoctl collapse NAME NODE|all [GFN[-GFN]]\n"
	"       discoctl collapse help\n"
	"\n"
	"Drops the copies that pages of a machine, all of them or a range of guest\n"
	"frames, have on a NUMA node or on all. The pages themselves stay where they\n"
	"are. NAME is the path of the machine's file relative to ram/. If another machine\n"
	"shares a page, it needs CAP_SYS_NICE.\n"
	"\n"
	"  dropped  pages whose copies are gone\n"
	"  none     that had none\n"
	"  denied   shared with another machine, and no CAP_SYS_NICE\n";

/* Pages for one request: enough to hide its cost. */
#define CHUNK 4096

#define MAX_RESULTS 7

/**
 * struct verb - a command
 * @name: its name
 * @help: its help
 * @operation: what it asks the module for
 * @to: what comes before the node in the answer
 * @all: all nodes may be meant
 * @results: what can become of a page, the good end first; everything else is an
 *	error
 */
struct verb {
	const char *name;
	const char *help;
	uint32_t operation;
	const char *to;
	bool all;
	struct {
		const char *name;
		int result;
	} results[MAX_RESULTS];
};

static const struct verb verb_move = {
	.name = "move",
	.help = move_help,
	.operation = DISCO_MOVE_MIGRATE,
	.to = "to",
	.results = {
		{ "moved", 0 },
		{ "there", -EEXIST },
		{ "hole", -ENOENT },
		{ "pinned", -EBUSY },
		{ "full", -ENOMEM },
		{ "limit", -ENOSPC },
		{ "denied", -EPERM },
	},
};

static const struct verb verb_replicate = {
	.name = "replicate",
	.help = replicate_help,
	.operation = DISCO_MOVE_REPLICATE,
	.to = "copies to",
	.results = {
		{ "copied", 0 },
		{ "there", -EEXIST },
		{ "none", -ENOENT },
		{ "pinned", -EBUSY },
		{ "full", -ENOMEM },
		{ "limit", -ENOSPC },
		{ "denied", -EPERM },
	},
};

static const struct verb verb_collapse = {
	.name = "collapse",
	.help = collapse_help,
	.operation = DISCO_MOVE_COLLAPSE,
	.to = "copies on",
	.all = true,
	.results = {
		{ "dropped", 0 },
		{ "none", -ENOENT },
		{ "denied", -EPERM },
	},
};

/**
 * struct job - pages that are moved, and what became of them
 * @ctl: the program
 * @verb: the command
 * @vm: their machine
 * @node: where to; DISCO_NO_NODE if all are meant
 * @first: first guest frame number
 * @last: the last one
 * @pages: how many have been tried
 * @count: how many of these by results of @verb
 */
struct job {
	struct ctl *ctl;
	const struct verb *verb;
	struct disco_vm *vm;
	uint32_t node;
	uint64_t first;
	uint64_t last;
	uint64_t pages;
	uint64_t count[MAX_RESULTS];
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
	for (size_t i = 0; i < MAX_RESULTS && job->verb->results[i].name; i++) {
		if (job->verb->results[i].result == entry->out_result) {
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
		.operation = job->verb->operation,
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

static void print_text(const struct job *job)
{
	char *safe = escape_name(disco_vm_name(job->vm));

	printf("%" PRIu64 " pages of VM %s, %s ", job->pages, safe ? safe : "-",
	       job->verb->to);
	free(safe);
	if (job->node == DISCO_NO_NODE)
		puts("all nodes");
	else
		printf("node %u\n", job->node);
	for (size_t i = 0; i < MAX_RESULTS && job->verb->results[i].name; i++)
		if (!i || job->count[i])
			printf("  %-8s %12" PRIu64 "\n",
			       job->verb->results[i].name, job->count[i]);
}

static int print_job(const struct job *job)
{
	struct json_object *obj;

	if (!job->ctl->json) {
		print_text(job);
		return EXIT_OK;
	}
	obj = json_object_new_object();
	json_add_text(obj, "vm", disco_vm_name(job->vm));
	if (job->node == DISCO_NO_NODE)
		json_object_object_add(obj, "node", NULL);
	else
		json_add_u64(obj, "node", job->node);
	json_add_u64(obj, "pages", job->pages);
	for (size_t i = 0; i < MAX_RESULTS && job->verb->results[i].name; i++)
		json_add_u64(obj, job->verb->results[i].name, job->count[i]);
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

/* Node DISCO_NO_NODE is a number that no node has, and is not for users. */
static bool parse_node(const struct verb *verb, const char *word,
		       uint32_t *node)
{
	uint64_t number;

	if (verb->all && !strcmp(word, "all")) {
		*node = DISCO_NO_NODE;
		return true;
	}
	if (!parse_number(word, &number) || number > UINT32_MAX)
		return false;
	*node = number == DISCO_NO_NODE ? UINT32_MAX : number;
	return true;
}

static int run_verb(struct ctl *ctl, const struct verb *verb, int argc,
		    char **argv)
{
	struct job job = { .ctl = ctl, .verb = verb };

	if (argc == 1 && !strcmp(argv[0], "help"))
		return print_help(verb->help);
	if (argc < 2)
		return ctl_error(ctl, "%s: the %s is missing", verb->name,
				 argc ? "NODE" : "NAME of a machine");
	if (argc > 3)
		return reject_words(ctl, argc - 3, argv + 3);
	if (!parse_node(verb, argv[1], &job.node))
		return ctl_error(ctl, "\"%s\" is no number of a node, such as 1%s",
				 argv[1], verb->all ? ", nor all" : "");
	return move_pages(&job, argv[0], argv[2]);
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
	return run_verb(ctl, &verb_move, argc, argv);
}

/**
 * cmd_replicate - discoctl replicate
 * @ctl: the program
 * @argc: number of words that follow
 * @argv: the words
 *
 * Return: exit code.
 */
int cmd_replicate(struct ctl *ctl, int argc, char **argv)
{
	return run_verb(ctl, &verb_replicate, argc, argv);
}

/**
 * cmd_collapse - discoctl collapse
 * @ctl: the program
 * @argc: number of words that follow
 * @argv: the words
 *
 * Return: exit code.
 */
int cmd_collapse(struct ctl *ctl, int argc, char **argv)
{
	return run_verb(ctl, &verb_collapse, argc, argv);
}
