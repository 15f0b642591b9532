// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl vm: the virtual machines and their memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discoctl.h"

static const char help[] =
	"Usage: discoctl vm list\n"
	"       discoctl vm show NAME\n"
	"       discoctl vm help\n"
	"\n"
	"NAME is the path of the machine's file relative to ram/.\n"
	"\n"
	"  VIRTUAL   memory that the guest has\n"
	"  PRIVATE   pages of its own\n"
	"  SHARED    pages mapped copy-on-write, whole for each user\n"
	"  MACHINE   machine memory, each shared page divided among its users\n"
	"  REPLICAS  those of it that are copies of pages on other nodes (vm show)\n"
	"  METADATA  tables of the module for this machine\n";

static const char * const columns[] = {
	"VIRTUAL", "PRIVATE", "SHARED", "MACHINE", "METADATA"
};

#define COLUMN_WIDTH 15

/* One line of the list. @name is NULL in totals. */
struct row {
	char *name;
	struct disco_vm_stat stat;
};

struct rows {
	struct row *row;
	size_t nr;
	size_t unreadable;
};

static void free_rows(struct rows *rows)
{
	for (size_t i = 0; i < rows->nr; i++)
		free(rows->row[i].name);
	free(rows->row);
}

static int read_stat(struct ctl *ctl, const char *name,
		     struct disco_vm_stat *stat)
{
	struct disco_vm *vm;
	int ret;

	ret = disco_vm_open(ctl->disco, name, &vm);
	if (ret)
		return ret;
	*stat = (struct disco_vm_stat) {
		.size = sizeof(*stat),
		.flags = DISCO_VM_STAT_MACHINE,
	};
	ret = disco_vm_stat(vm, stat);
	disco_vm_close(vm);
	return ret;
}

/* Machines that vanish meanwhile are left out, like those never there. */
static int read_rows(struct ctl *ctl, struct rows *rows)
{
	char **names;
	size_t nr;
	int ret;

	ret = disco_vm_names(ctl->disco, &names, &nr, &rows->unreadable);
	if (ret)
		return ctl_disco_error(ctl);
	rows->row = calloc(nr + 1, sizeof(*rows->row));
	if (!rows->row) {
		disco_vm_names_free(names, nr);
		return ctl_error(ctl, "not enough memory");
	}
	for (size_t i = 0; i < nr; i++) {
		struct row *row = &rows->row[rows->nr];

		ret = read_stat(ctl, names[i], &row->stat);
		if (ret == -EACCES)
			rows->unreadable++;
		else if (ret && ret != -ENOENT)
			break;
		if (!ret) {
			row->name = names[i];
			names[i] = NULL;
			rows->nr++;
		}
		ret = 0;
	}
	disco_vm_names_free(names, nr);
	if (!ret)
		return EXIT_OK;
	free_rows(rows);
	return ctl_disco_error(ctl);
}

static struct disco_vm_stat sum_rows(const struct rows *rows)
{
	struct disco_vm_stat sum = { 0 };

	for (size_t i = 0; i < rows->nr; i++) {
		const struct disco_vm_stat *stat = &rows->row[i].stat;

		sum.out_virtual += stat->out_virtual;
		sum.out_private += stat->out_private;
		sum.out_shared += stat->out_shared;
		sum.out_machine += stat->out_machine;
		sum.out_metadata += stat->out_metadata;
		sum.out_replicas += stat->out_replicas;
	}
	return sum;
}

static void add_sizes(struct json_object *obj, const struct disco_vm_stat *stat)
{
	json_add_u64(obj, "virtual", stat->out_virtual);
	json_add_u64(obj, "private", stat->out_private);
	json_add_u64(obj, "shared", stat->out_shared);
	json_add_u64(obj, "machine", stat->out_machine);
	json_add_u64(obj, "metadata", stat->out_metadata);
	json_add_u64(obj, "replicas", stat->out_replicas);
}

static struct json_object *row_json(const struct row *row)
{
	struct json_object *obj = json_object_new_object();

	json_add_text(obj, "path", row->name);
	json_add_u64(obj, "id", row->stat.out_id);
	add_sizes(obj, &row->stat);
	return obj;
}

static int print_list_json(const struct ctl *ctl, const struct rows *rows)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *vms = json_object_new_array();
	struct json_object *totals = json_object_new_object();
	struct disco_vm_stat sum = sum_rows(rows);

	for (size_t i = 0; i < rows->nr; i++)
		json_object_array_add(vms, row_json(&rows->row[i]));
	add_sizes(totals, &sum);
	json_object_object_add(obj, "vms", vms);
	json_object_object_add(obj, "totals", totals);
	json_add_u64(obj, "unreadable", rows->unreadable);
	return ctl_print_json(ctl, obj);
}

static void print_sizes(const struct disco_vm_stat *stat)
{
	print_mib(stat->out_virtual, COLUMN_WIDTH);
	print_mib(stat->out_private, COLUMN_WIDTH);
	print_mib(stat->out_shared, COLUMN_WIDTH);
	print_mib(stat->out_machine, COLUMN_WIDTH);
	print_mib(stat->out_metadata, COLUMN_WIDTH);
	putchar('\n');
}

static int print_list(const struct ctl *ctl, const struct rows *rows)
{
	struct disco_vm_stat sum = sum_rows(rows);
	char **names = calloc(rows->nr + 1, sizeof(*names));
	int width = strlen("TOTAL");
	int ret = EXIT_OK;

	for (size_t i = 0; names && i < rows->nr; i++) {
		names[i] = escape_name(rows->row[i].name);
		if (!names[i])
			break;
		if (text_width(names[i]) > width)
			width = text_width(names[i]);
	}
	if (!names || (rows->nr && !names[rows->nr - 1])) {
		ret = ctl_error(ctl, "not enough memory");
		goto out;
	}

	printf("%-*s %5s", width, "VM", "ID");
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		printf("%*s", COLUMN_WIDTH, columns[i]);
	putchar('\n');
	for (size_t i = 0; i < rows->nr; i++) {
		print_padded(names[i], width);
		printf(" %5u", rows->row[i].stat.out_id);
		print_sizes(&rows->row[i].stat);
	}
	printf("%-*s %5s", width, "TOTAL", "");
	print_sizes(&sum);
	if (rows->unreadable)
		printf("Not shown: %zu machines or folders that you may not read.\n",
		       rows->unreadable);
out:
	for (size_t i = 0; names && i < rows->nr; i++)
		free(names[i]);
	free(names);
	return ret;
}

static int vm_list(struct ctl *ctl, int argc, char **argv)
{
	struct rows rows = { 0 };
	int ret;

	ret = reject_words(ctl, argc, argv);
	if (ret)
		return ret;
	ret = read_rows(ctl, &rows);
	if (ret)
		return ret;
	ret = ctl->json ? print_list_json(ctl, &rows) : print_list(ctl, &rows);
	free_rows(&rows);
	return ret;
}

static int summarize(struct ctl *ctl, struct disco_vm *vm, struct summary *sum)
{
	struct disco_pmap_batch batch;
	struct disco_pmap_iter *iter;
	int ret;

	if (disco_pmap_new(vm, 0, UINT64_MAX, &iter))
		return ctl_disco_error(ctl);
	while ((ret = disco_pmap_next(iter, &batch)) > 0) {
		for (size_t i = 0; i < batch.nr; i++) {
			int err = summary_add(sum, &batch.entries[i]);

			if (!err)
				continue;
			disco_pmap_free(iter);
			return ctl_error(ctl, err == -ENOMEM ?
					 "not enough memory" :
					 "the module has page states that this program does not know");
		}
	}
	disco_pmap_free(iter);
	return ret ? ctl_disco_error(ctl) : EXIT_OK;
}

static uint64_t bucket_min(int bucket)
{
	return bucket ? (1ULL << (bucket - 1)) + 1 : 1;
}

static int print_show_json(const struct ctl *ctl, const struct row *row,
			   const struct summary *sum)
{
	struct json_object *obj = row_json(row);
	struct json_object *states = json_object_new_object();
	struct json_object *nodes = json_object_new_array();
	struct json_object *users = json_object_new_array();

	for (size_t i = 0; i < ARRAY_SIZE(sum->states); i++)
		json_add_u64(states, disco_page_state_name(i), sum->states[i]);
	for (size_t i = 0; i < sum->nr_nodes; i++) {
		struct json_object *node = json_object_new_object();

		json_add_u64(node, "node", i);
		json_add_u64(node, "pages", sum->nodes[i]);
		json_object_array_add(nodes, node);
	}
	for (int i = 0; i < USER_BUCKETS; i++) {
		struct json_object *bucket;

		if (!sum->users[i])
			continue;
		bucket = json_object_new_object();
		json_add_u64(bucket, "min", bucket_min(i));
		json_add_u64(bucket, "max", 1ULL << i);
		json_add_u64(bucket, "pages", sum->users[i]);
		json_object_array_add(users, bucket);
	}
	json_object_object_add(obj, "states", states);
	json_object_object_add(obj, "nodes", nodes);
	json_object_object_add(obj, "users", users);
	return ctl_print_json(ctl, obj);
}

static int print_show(const struct ctl *ctl, const struct row *row,
		      const struct summary *sum)
{
	const struct disco_vm_stat *stat = &row->stat;
	const uint64_t sizes[] = {
		stat->out_virtual, stat->out_private, stat->out_shared,
		stat->out_machine, stat->out_metadata,
	};
	char *name = escape_name(row->name);

	if (!name)
		return ctl_error(ctl, "not enough memory");
	printf("VM %s, id %u\n\n", name, stat->out_id);
	free(name);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		printf("  %-10s", columns[i]);
		print_mib(sizes[i], COLUMN_WIDTH);
		putchar('\n');
	}
	if (stat->out_replicas) {
		printf("  %-10s", "REPLICAS");
		print_mib(stat->out_replicas, COLUMN_WIDTH);
		putchar('\n');
	}
	printf("\n  %-10s%15s\n", "STATE", "PAGES");
	for (size_t i = 0; i < ARRAY_SIZE(sum->states); i++)
		printf("  %-10s%15" PRIu64 "\n", disco_page_state_name(i),
		       sum->states[i]);
	if (!sum->nr_nodes)
		return EXIT_OK;
	printf("\n  %-10s%15s\n", "NODE", "PAGES");
	for (size_t i = 0; i < sum->nr_nodes; i++)
		printf("  %-10zu%15" PRIu64 "\n", i, sum->nodes[i]);
	printf("\n  %-10s%15s\n", "USERS", "PAGES");
	for (int i = 0; i < USER_BUCKETS; i++) {
		char range[32];

		if (!sum->users[i])
			continue;
		if (i < 2)
			snprintf(range, sizeof(range), "%d", i + 1);
		else
			snprintf(range, sizeof(range), "%" PRIu64 "-%llu",
				 bucket_min(i), 1ULL << i);
		printf("  %-10s%15" PRIu64 "\n", range, sum->users[i]);
	}
	return EXIT_OK;
}

static int vm_show(struct ctl *ctl, int argc, char **argv)
{
	struct summary sum = { 0 };
	struct row row = {
		.stat = {
			.size = sizeof(row.stat),
			.flags = DISCO_VM_STAT_MACHINE,
		},
	};
	struct disco_vm *vm;
	int ret;

	if (!argc)
		return ctl_error(ctl,
				 "vm show: the NAME of a machine is missing (see: discoctl vm list)");
	ret = reject_words(ctl, argc - 1, argv + 1);
	if (ret)
		return ret;
	if (disco_vm_open(ctl->disco, argv[0], &vm))
		return ctl_disco_error(ctl);
	row.name = strdup(disco_vm_name(vm));
	if (!row.name)
		ret = ctl_error(ctl, "not enough memory");
	else if (disco_vm_stat(vm, &row.stat))
		ret = ctl_disco_error(ctl);
	else
		ret = summarize(ctl, vm, &sum);
	disco_vm_close(vm);
	if (!ret)
		ret = ctl->json ? print_show_json(ctl, &row, &sum) :
				  print_show(ctl, &row, &sum);
	free(row.name);
	free(sum.nodes);
	return ret;
}

static int vm_help(struct ctl *ctl, int argc, char **argv)
{
	(void)ctl, (void)argc, (void)argv;
	return print_help(help);
}

static const struct command vm_commands[] = {
	{ "list", vm_list },
	{ "show", vm_show },
	{ "help", vm_help },
	{ NULL, NULL },
};

/**
 * cmd_vm - discoctl vm
 * @ctl: the program
 * @argc: number of words that follow
 * @argv: the words
 *
 * Return: exit code.
 */
int cmd_vm(struct ctl *ctl, int argc, char **argv)
{
	return dispatch(ctl, vm_commands, "vm command", argc, argv);
}
