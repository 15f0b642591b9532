// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl page: from guest frames to machine frames (pmap) and back (memmap).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discoctl.h"

static const char help[] =
	"Usage: discoctl page [--all] NAME [GFN[-GFN]]\n"
	"       discoctl page --pfn PFN\n"
	"       discoctl page help\n"
	"\n"
	"NAME is the path of the machine's file relative to ram/. GFN is a guest\n"
	"frame number, PFN a machine frame number, decimal or hexadecimal after 0x.\n"
	"Pages that follow each other and look alike are one line, unless --all.\n"
	"\n"
	"  hole         no machine page, reads as zeros\n"
	"  zero         was read, a zero page may be mapped\n"
	"  private      a machine page of its own\n"
	"  shared       a machine page mapped copy-on-write\n"
	"  replicated   the same, with copies on other nodes\n"
	"\n"
	"FRAME and --pfn are for callers with CAP_SYS_ADMIN.\n";

static struct json_object *run_json(const struct run *run)
{
	struct json_object *obj = json_object_new_object();

	json_add_u64(obj, "gfn", run->gfn);
	json_add_u64(obj, "pages", run->pages);
	json_add_text(obj, "state", disco_page_state_name(run->state));
	if (run->node == DISCO_NO_NODE)
		json_object_object_add(obj, "node", NULL);
	else
		json_add_u64(obj, "node", run->node);
	json_add_u64(obj, "users", run->users);
	if (!run->pfn)
		json_object_object_add(obj, "pfn", NULL);
	else
		json_add_u64(obj, "pfn", run->pfn);
	return obj;
}

static void print_frames(uint64_t first, uint64_t pages, int width)
{
	char text[48];

	if (pages > 1)
		snprintf(text, sizeof(text), "0x%" PRIx64 "-0x%" PRIx64, first,
			 first + pages - 1);
	else
		snprintf(text, sizeof(text), "0x%" PRIx64, first);
	printf("%-*s", width, text);
}

static void print_run(const struct run *run)
{
	print_frames(run->gfn, run->pages, 23);
	printf(" %10" PRIu64 " %-10s", run->pages,
	       disco_page_state_name(run->state));
	if (run->node == DISCO_NO_NODE)
		printf(" %5s %6s", "-", "-");
	else
		printf(" %5u %6u", run->node, run->users);
	fputs("  ", stdout);
	if (run->pfn)
		print_frames(run->pfn, run->pages, 0);
	else
		putchar('-');
	putchar('\n');
}

/* @runs is NULL for text. */
static void emit(const struct run *run, struct json_object *runs)
{
	if (!run->pages)
		return;
	if (runs)
		json_object_array_add(runs, run_json(run));
	else
		print_run(run);
}

static int walk(struct ctl *ctl, struct disco_pmap_iter *iter,
		struct json_object *runs)
{
	struct disco_pmap_batch batch;
	struct run run = { 0 };
	int ret;

	while ((ret = disco_pmap_next(iter, &batch)) > 0) {
		for (size_t i = 0; i < batch.nr; i++) {
			uint64_t gfn = batch.gfn + i;

			if (!ctl->all && run_add(&run, gfn, &batch.entries[i]))
				continue;
			emit(&run, runs);
			run.pages = 0;
			run_add(&run, gfn, &batch.entries[i]);
		}
	}
	emit(&run, runs);
	return ret ? ctl_disco_error(ctl) : EXIT_OK;
}

/* A range that a person wrote must be there, all of it. */
static int check_range(struct ctl *ctl, struct disco_vm *vm, uint64_t last,
		       uint64_t page_size)
{
	struct disco_vm_stat stat = { .size = sizeof(stat) };
	uint64_t pages;

	if (disco_vm_stat(vm, &stat))
		return ctl_disco_error(ctl);
	pages = (stat.out_virtual + page_size - 1) / page_size;
	if (last >= pages)
		return ctl_error(ctl,
				 "gfn 0x%" PRIx64 " is past the end of VM %s, which has 0x%" PRIx64 " pages",
				 last, disco_vm_name(vm), pages);
	return EXIT_OK;
}

static int show_pages(struct ctl *ctl, struct disco_vm *vm, const char *range)
{
	struct disco_query query = { .size = sizeof(query) };
	uint64_t first = 0, last = UINT64_MAX;
	struct disco_pmap_iter *iter;
	struct json_object *runs;
	struct json_object *obj;
	int ret;

	if (range && !parse_range(range, &first, &last))
		return ctl_error(ctl, "\"%s\" is not GFN or GFN-GFN, such as 0x100-0x1ff",
				 range);
	if (disco_query(ctl->disco, &query) ||
	    disco_pmap_new(vm, first, last, &iter))
		return ctl_disco_error(ctl);
	ret = range ? check_range(ctl, vm, last, query.out_page_size) : EXIT_OK;
	if (ret)
		goto free_iter;

	if (!ctl->json) {
		printf("%-23s %10s %-10s %5s %6s  %s\n", "GFN", "PAGES", "STATE",
		       "NODE", "USERS", "FRAME");
		ret = walk(ctl, iter, NULL);
		goto free_iter;
	}
	runs = json_object_new_array();
	ret = walk(ctl, iter, runs);
	if (ret) {
		json_object_put(runs);
		goto free_iter;
	}
	obj = json_object_new_object();
	json_add_text(obj, "vm", disco_vm_name(vm));
	json_add_u64(obj, "page_size", query.out_page_size);
	json_object_object_add(obj, "runs", runs);
	ctl_print_json(ctl, obj);
free_iter:
	disco_pmap_free(iter);
	return ret;
}

static void print_users_json(const struct ctl *ctl, const struct vm_ids *ids,
			     uint64_t pfn, unsigned int node,
			     const struct disco_memmap_user *users, size_t nr)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < nr; i++) {
		struct json_object *user = json_object_new_object();
		const char *name = vm_ids_name(ids, users[i].vm_id);

		json_add_u64(user, "vm_id", users[i].vm_id);
		if (name)
			json_add_text(user, "vm", name);
		else
			json_object_object_add(user, "vm", NULL);
		json_add_u64(user, "gfn", users[i].gfn);
		json_object_array_add(list, user);
	}
	json_add_u64(obj, "pfn", pfn);
	json_add_u64(obj, "node", node);
	json_object_object_add(obj, "users", list);
	ctl_print_json(ctl, obj);
}

static void print_users(const struct vm_ids *ids, uint64_t pfn, unsigned int node,
			const struct disco_memmap_user *users, size_t nr)
{
	printf("Frame 0x%" PRIx64 " on node %u has %zu user%s\n\n", pfn, node,
	       nr, nr == 1 ? "" : "s");
	printf("%5s %-12s  %s\n", "ID", "GFN", "VM");
	for (size_t i = 0; i < nr; i++) {
		const char *name = vm_ids_name(ids, users[i].vm_id);
		char *safe = escape_name(name ? name : "-");

		printf("%5u 0x%-10llx  %s\n", users[i].vm_id,
		       (unsigned long long)users[i].gfn, safe ? safe : "-");
		free(safe);
	}
}

static int show_frame(struct ctl *ctl)
{
	struct disco_memmap_user *users;
	struct vm_ids *ids = NULL;
	unsigned int node;
	uint64_t pfn;
	size_t nr;

	if (!parse_number(ctl->pfn, &pfn))
		return ctl_error(ctl, "--pfn \"%s\" is not a frame number, such as 0x12345",
				 ctl->pfn);
	if (disco_memmap(ctl->disco, pfn, &users, &nr, &node))
		return ctl_disco_error(ctl);
	/* The users may be VMs of another mount: then they have no names. */
	(void)vm_ids_read(ctl, &ids);
	if (ctl->json)
		print_users_json(ctl, ids, pfn, node, users, nr);
	else
		print_users(ids, pfn, node, users, nr);
	vm_ids_free(ids);
	free(users);
	return EXIT_OK;
}

/**
 * cmd_page - discoctl page
 * @ctl: the program
 * @argc: number of words that follow
 * @argv: the words
 *
 * Return: exit code.
 */
int cmd_page(struct ctl *ctl, int argc, char **argv)
{
	struct disco_vm *vm;
	int ret;

	if (argc == 1 && !strcmp(argv[0], "help"))
		return print_help(help);
	if (ctl->pfn && ctl->all)
		return ctl_error(ctl, "--pfn and --all exclude each other");
	if (ctl->pfn) {
		ret = reject_words(ctl, argc, argv);
		return ret ? ret : show_frame(ctl);
	}
	if (!argc)
		return ctl_error(ctl, "page: the NAME of a machine or --pfn is missing");
	if (argc > 2)
		return reject_words(ctl, argc - 2, argv + 2);
	if (disco_vm_open(ctl->disco, argv[0], &vm))
		return ctl_disco_error(ctl);
	ret = show_pages(ctl, vm, argv[1]);
	disco_vm_close(vm);
	return ret;
}
