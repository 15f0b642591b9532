// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl disk: copy-on-write disks and what of them is in memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discoctl.h"

static const char help[] =
	"Usage: discoctl disk add NAME PATH [--max SIZE] [--mode MODE]\n"
	"       discoctl disk list\n"
	"       discoctl disk show NAME\n"
	"       discoctl disk drop-cache NAME\n"
	"       discoctl disk remove NAME\n"
	"       discoctl disk help\n"
	"\n"
	"A disk is a read-only file disk/NAME of the mount. It has the contents of\n"
	"the file or block device PATH, and what machines read of it they share.\n"
	"SIZE is the most that stays cached without a machine using it, in bytes or\n"
	"with k, m, g or t; 0, the default, is no limit. MODE is octal, 0400 unless\n"
	"given.\n"
	"\n"
	"  SIZE      what the backing has\n"
	"  CACHED    what of it is in memory\n"
	"  USED      what of that machines have mapped, each page counted once\n"
	"  MAX       limit on what is cached without being used\n"
	"  STATE     ok, or changed: the backing is not what it was when the disk was\n"
	"            added; nothing of it is shared any more\n"
	"\n"
	"  HITS      pages that were in memory when a reader came for them\n"
	"  MISSES    pages that a reader had to wait for\n"
	"  MAPPED    pages mapped into a machine's memory instead of copied\n"
	"  COPIED    times that a page or a part of one was copied\n"
	"  ERRORS    reads of the backing that failed\n";

#define COLUMN_WIDTH 15
#define DEFAULT_MODE 0400

/* One line of the list. @safe is @name fit for a terminal. */
struct row {
	char *name;
	char *safe;
	struct disco_disk_stat stat;
};

struct rows {
	struct row *row;
	size_t nr;
	size_t unreadable;
};

static void free_rows(struct rows *rows)
{
	for (size_t i = 0; i < rows->nr; i++) {
		free(rows->row[i].name);
		free(rows->row[i].safe);
	}
	free(rows->row);
}

static int read_row(struct ctl *ctl, const char *name, struct row *row)
{
	int ret;

	row->stat = (struct disco_disk_stat) { .size = sizeof(row->stat) };
	ret = disco_disk_stat(ctl->disco, name, &row->stat);
	if (ret)
		return ret;
	row->name = strdup(name);
	row->safe = escape_name(name);
	if (row->name && row->safe)
		return 0;
	free(row->name);
	free(row->safe);
	return -ENOMEM;
}

static int row_error(const struct ctl *ctl, int err)
{
	return err == -ENOMEM ? ctl_error(ctl, "not enough memory") :
				ctl_disco_error(ctl);
}

/* Disks that vanish meanwhile are left out, like those never there. */
static int read_rows(struct ctl *ctl, struct rows *rows)
{
	char **names;
	size_t nr;
	int ret;

	ret = disco_disk_names(ctl->disco, &names, &nr);
	if (ret)
		return ctl_disco_error(ctl);
	rows->row = calloc(nr + 1, sizeof(*rows->row));
	if (!rows->row)
		ret = -ENOMEM;
	for (size_t i = 0; !ret && i < nr; i++) {
		ret = read_row(ctl, names[i], &rows->row[rows->nr]);
		if (!ret)
			rows->nr++;
		if (ret == -EACCES)
			rows->unreadable++;
		if (ret == -EACCES || ret == -ENOENT)
			ret = 0;
	}
	disco_disk_names_free(names, nr);
	if (!ret)
		return EXIT_OK;
	free_rows(rows);
	return row_error(ctl, ret);
}

static struct disco_disk_stat sum_rows(const struct rows *rows)
{
	struct disco_disk_stat sum = { 0 };

	for (size_t i = 0; i < rows->nr; i++) {
		sum.out_bytes += rows->row[i].stat.out_bytes;
		sum.out_cached += rows->row[i].stat.out_cached;
		sum.out_used += rows->row[i].stat.out_used;
	}
	return sum;
}

static void add_sizes(struct json_object *obj,
		      const struct disco_disk_stat *stat)
{
	json_add_u64(obj, "size", stat->out_bytes);
	json_add_u64(obj, "cached", stat->out_cached);
	json_add_u64(obj, "used", stat->out_used);
}

static struct json_object *row_json(const struct row *row)
{
	const struct disco_disk_stat *stat = &row->stat;
	struct json_object *obj = json_object_new_object();

	json_add_text(obj, "name", row->name);
	json_add_text(obj, "state", disco_disk_state_name(stat->out_state));
	add_sizes(obj, stat);
	json_add_u64(obj, "max", stat->out_max_bytes);
	json_add_u64(obj, "hits", stat->out_hits);
	json_add_u64(obj, "misses", stat->out_misses);
	json_add_u64(obj, "mapped", stat->out_mapped);
	json_add_u64(obj, "copied", stat->out_copied);
	json_add_u64(obj, "errors", stat->out_errors);
	return obj;
}

static int print_list_json(const struct ctl *ctl, const struct rows *rows)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *disks = json_object_new_array();
	struct json_object *totals = json_object_new_object();
	struct disco_disk_stat sum = sum_rows(rows);

	for (size_t i = 0; i < rows->nr; i++)
		json_object_array_add(disks, row_json(&rows->row[i]));
	add_sizes(totals, &sum);
	json_object_object_add(obj, "disks", disks);
	json_object_object_add(obj, "totals", totals);
	json_add_u64(obj, "unreadable", rows->unreadable);
	return ctl_print_json(ctl, obj);
}

static void print_sizes(const struct disco_disk_stat *stat)
{
	print_mib(stat->out_bytes, COLUMN_WIDTH);
	print_mib(stat->out_cached, COLUMN_WIDTH);
	print_mib(stat->out_used, COLUMN_WIDTH);
}

static void print_max(const struct disco_disk_stat *stat)
{
	if (stat->out_max_bytes)
		print_mib(stat->out_max_bytes, COLUMN_WIDTH);
	else
		printf("%*s", COLUMN_WIDTH, "-");
}

static int print_list(const struct rows *rows)
{
	struct disco_disk_stat sum = sum_rows(rows);
	int width = strlen("TOTAL");

	for (size_t i = 0; i < rows->nr; i++)
		if (text_width(rows->row[i].safe) > width)
			width = text_width(rows->row[i].safe);
	printf("%-*s%*s%*s%*s%*s  STATE\n", width, "DISK", COLUMN_WIDTH, "SIZE",
	       COLUMN_WIDTH, "CACHED", COLUMN_WIDTH, "USED", COLUMN_WIDTH,
	       "MAX");
	for (size_t i = 0; i < rows->nr; i++) {
		const struct disco_disk_stat *stat = &rows->row[i].stat;

		print_padded(rows->row[i].safe, width);
		print_sizes(stat);
		print_max(stat);
		printf("  %s\n", disco_disk_state_name(stat->out_state));
	}
	printf("%-*s", width, "TOTAL");
	print_sizes(&sum);
	putchar('\n');
	if (rows->unreadable)
		printf("Not shown: %zu disks that you may not read.\n",
		       rows->unreadable);
	return EXIT_OK;
}

static int disk_list(struct ctl *ctl, int argc, char **argv)
{
	struct rows rows = { 0 };
	int ret;

	ret = reject_words(ctl, argc, argv);
	if (ret)
		return ret;
	ret = read_rows(ctl, &rows);
	if (ret)
		return ret;
	ret = ctl->json ? print_list_json(ctl, &rows) : print_list(&rows);
	free_rows(&rows);
	return ret;
}

static int print_show(const struct row *row)
{
	const struct disco_disk_stat *stat = &row->stat;
	const struct {
		const char *name;
		uint64_t value;
	} counts[] = {
		{ "HITS", stat->out_hits },
		{ "MISSES", stat->out_misses },
		{ "MAPPED", stat->out_mapped },
		{ "COPIED", stat->out_copied },
		{ "ERRORS", stat->out_errors },
	};

	printf("Disk %s, %s\n\n  %-10s", row->safe,
	       disco_disk_state_name(stat->out_state), "SIZE");
	print_mib(stat->out_bytes, COLUMN_WIDTH);
	printf("\n  %-10s", "CACHED");
	print_mib(stat->out_cached, COLUMN_WIDTH);
	printf("\n  %-10s", "USED");
	print_mib(stat->out_used, COLUMN_WIDTH);
	printf("\n  %-10s", "MAX");
	print_max(stat);
	fputs("\n\n", stdout);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		printf("  %-10s%15" PRIu64 "\n", counts[i].name,
		       counts[i].value);
	return EXIT_OK;
}

/* Checks that the words are just the NAME of a disk. */
static int want_name(struct ctl *ctl, const char *command, int argc,
		     char **argv)
{
	if (!argc)
		return ctl_error(ctl,
				 "disk %s: the NAME of a disk is missing (see: discoctl disk list)",
				 command);
	return reject_words(ctl, argc - 1, argv + 1);
}

static int disk_show(struct ctl *ctl, int argc, char **argv)
{
	struct row row;
	int ret;

	ret = want_name(ctl, "show", argc, argv);
	if (ret)
		return ret;
	ret = read_row(ctl, argv[0], &row);
	if (ret)
		return row_error(ctl, ret);
	ret = ctl->json ? ctl_print_json(ctl, row_json(&row)) :
			  print_show(&row);
	free(row.name);
	free(row.safe);
	return ret;
}

/* A command that changes something has an answer only for programs. */
static int done(const struct ctl *ctl, int ret, const char *what,
		const char *name)
{
	struct json_object *obj;

	if (ret)
		return ctl_disco_error(ctl);
	if (!ctl->json)
		return EXIT_OK;
	obj = json_object_new_object();
	json_add_text(obj, what, name);
	return ctl_print_json(ctl, obj);
}

static int disk_drop_cache(struct ctl *ctl, int argc, char **argv)
{
	int ret = want_name(ctl, "drop-cache", argc, argv);

	if (ret)
		return ret;
	return done(ctl, disco_disk_drop_cache(ctl->disco, argv[0]),
		    "dropped", argv[0]);
}

static int disk_remove(struct ctl *ctl, int argc, char **argv)
{
	int ret = want_name(ctl, "remove", argc, argv);

	if (ret)
		return ret;
	return done(ctl, disco_disk_remove(ctl->disco, argv[0]), "removed",
		    argv[0]);
}

static int disk_add(struct ctl *ctl, int argc, char **argv)
{
	unsigned int mode = DEFAULT_MODE;
	uint64_t max = 0;

	if (argc < 2)
		return ctl_error(ctl, "disk add: %s is missing",
				 argc ? "the PATH of a file or block device" :
					"the NAME of the new disk");
	if (argc > 2)
		return reject_words(ctl, argc - 2, argv + 2);
	if (ctl->max && !parse_size(ctl->max, &max))
		return ctl_error(ctl, "--max \"%s\" is not a size, such as 512m",
				 ctl->max);
	if (ctl->mode && !parse_mode(ctl->mode, &mode))
		return ctl_error(ctl, "--mode \"%s\" is not a mode, such as 0444",
				 ctl->mode);
	return done(ctl, disco_disk_add(ctl->disco, argv[0], argv[1], mode, max),
		    "added", argv[0]);
}

static int disk_help(struct ctl *ctl, int argc, char **argv)
{
	(void)ctl, (void)argc, (void)argv;
	return print_help(help);
}

static const struct command disk_commands[] = {
	{ "add", disk_add },
	{ "list", disk_list },
	{ "show", disk_show },
	{ "drop-cache", disk_drop_cache },
	{ "remove", disk_remove },
	{ "help", disk_help },
	{ NULL, NULL },
};

/**
 * cmd_disk - discoctl disk
 * @ctl: the program
 * @argc: number of words that follow
 * @argv: the words
 *
 * Return: exit code.
 */
int cmd_disk(struct ctl *ctl, int argc, char **argv)
{
	return dispatch(ctl, disk_commands, "disk command", argc, argv);
}
