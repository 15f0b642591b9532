// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl numa: on which nodes the machines have their memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discoctl.h"

static const char help[] =
	"Usage: discoctl numa [NAME...]\n"
	"       discoctl numa --plot FILE --log LOG [NAME...]\n"
	"       discoctl numa help\n"
	"\n"
	"Machine memory by machine and NUMA node: private and shared pages, the shared\n"
	"ones and their copies whole for each machine that has them. If there are copies\n"
	"(discoctl replicate), MASTERS are the pages that have some, and REPLICAS the\n"
	"copies. Without NAMEs, all machines that you may read. NAME is the path of the\n"
	"machine's file relative to ram/. All pages are looked at, which takes a second\n"
	"for some 10 GiB, and once for each node if there are copies.\n"
	"\n"
	"With --plot, a picture (SVG) of locality and moves over time, for all machines\n"
	"together and for those named, or those that moved most. LOG is what\n"
	"discoctl top -j printed, or - for standard input.\n";

#define COLUMN_WIDTH 15

/*
 * Pages of one machine on one node. Masters are shared pages that have replicas,
 * and among these.
 */
struct cell {
	uint64_t private;
	uint64_t shared;
	uint64_t masters;
	uint64_t replicas;
};

struct row {
	char *name;
	struct cell *cell;
	bool replicated;
};

/**
 * struct matrix - what is where
 * @ctl: the program
 * @row: machines
 * @nr: how many
 * @nodes: cells in each row
 * @page_size: bytes of a page
 * @unreadable: machines and folders that the caller may not read
 */
struct matrix {
	struct ctl *ctl;
	struct row *row;
	size_t nr;
	size_t nodes;
	uint64_t page_size;
	size_t unreadable;
};

static void free_matrix(struct matrix *matrix)
{
	for (size_t i = 0; i < matrix->nr; i++) {
		free(matrix->row[i].name);
		free(matrix->row[i].cell);
	}
	free(matrix->row);
}

/* Room for node @node in every row. */
static int grow(struct matrix *matrix, size_t node)
{
	size_t nr = node + 1;

	if (nr <= matrix->nodes)
		return 0;
	for (size_t i = 0; i < matrix->nr; i++) {
		struct cell *cell = reallocarray(matrix->row[i].cell, nr,
						 sizeof(*cell));

		if (!cell)
			return -ENOMEM;
		memset(cell + matrix->nodes, 0,
		       (nr - matrix->nodes) * sizeof(*cell));
		matrix->row[i].cell = cell;
	}
	matrix->nodes = nr;
	return 0;
}

static int add_page(struct matrix *matrix, size_t row,
		    const struct disco_pmap_entry *entry)
{
	struct cell *cell;

	if (entry->node == DISCO_NO_NODE)
		return 0;
	if (grow(matrix, entry->node))
		return ctl_error(matrix->ctl, "not enough memory");
	cell = &matrix->row[row].cell[entry->node];
	if (entry->state == DISCO_PAGE_PRIVATE) {
		cell->private++;
		return EXIT_OK;
	}
	cell->shared++;
	if (entry->state == DISCO_PAGE_REPLICATED) {
		cell->masters++;
		matrix->row[row].replicated = true;
	}
	return EXIT_OK;
}

static int add_pages(struct matrix *matrix, size_t row, struct disco_vm *vm)
{
	struct disco_pmap_batch batch;
	struct disco_pmap_iter *iter;
	int ret, more;

	if (disco_pmap_new(vm, 0, UINT64_MAX, &iter))
		return ctl_disco_error(matrix->ctl);
	ret = EXIT_OK;
	while (!ret && (more = disco_pmap_next(iter, &batch))) {
		if (more < 0)
			ret = ctl_disco_error(matrix->ctl);
		for (size_t i = 0; !ret && i < batch.nr; i++)
			ret = add_page(matrix, row, &batch.entries[i]);
	}
	disco_pmap_free(iter);
	return ret;
}

/*
 * A view finds a replica or a master on its node, of which the masters are known:
 * the rest are replicas. @more is false for the view of no node.
 */
static int add_view(struct matrix *matrix, size_t row, struct disco_vm *vm,
		    size_t node, bool *more)
{
	struct disco_pmap_batch batch;
	struct disco_pmap_iter *iter;
	uint64_t nr = 0;
	int ret;

	if (disco_pmap_new(vm, 0, UINT64_MAX, &iter))
		return ctl_disco_error(matrix->ctl);
	disco_pmap_set_view(iter, 1 + node);
	while ((ret = disco_pmap_next(iter, &batch)) > 0)
		for (size_t i = 0; i < batch.nr; i++)
			nr += batch.entries[i].state == DISCO_PAGE_REPLICATED &&
			      batch.entries[i].node == node;
	disco_pmap_free(iter);
	*more = ret != -EINVAL;
	if (ret && *more)
		return ctl_disco_error(matrix->ctl);
	if (!nr)
		return EXIT_OK;
	if (grow(matrix, node))
		return ctl_error(matrix->ctl, "not enough memory");
	if (nr > matrix->row[row].cell[node].masters)
		matrix->row[row].cell[node].replicas =
			nr - matrix->row[row].cell[node].masters;
	return EXIT_OK;
}

static int add_replicas(struct matrix *matrix, size_t row, struct disco_vm *vm)
{
	bool more = matrix->row[row].replicated;
	int ret = EXIT_OK;

	for (size_t node = 0; more && !ret; node++)
		ret = add_view(matrix, row, vm, node, &more);
	return ret;
}

/* With @lenient, a machine that cannot be read is left out. */
static int add_machine(struct matrix *matrix, const char *name, bool lenient)
{
	struct row *row = &matrix->row[matrix->nr];
	struct disco_vm *vm;
	int ret;

	ret = disco_vm_open(matrix->ctl->disco, name, &vm);
	if (lenient && ret == -EACCES)
		matrix->unreadable++;
	if (lenient && (ret == -EACCES || ret == -ENOENT))
		return EXIT_OK;
	if (ret)
		return ctl_disco_error(matrix->ctl);
	row->name = strdup(disco_vm_name(vm));
	row->cell = calloc(matrix->nodes + 1, sizeof(*row->cell));
	matrix->nr++;
	if (!row->name || !row->cell)
		ret = ctl_error(matrix->ctl, "not enough memory");
	else
		ret = add_pages(matrix, matrix->nr - 1, vm);
	if (!ret)
		ret = add_replicas(matrix, matrix->nr - 1, vm);
	disco_vm_close(vm);
	return ret;
}

static struct cell sum_of(const struct matrix *matrix, size_t node)
{
	struct cell sum = { 0 };

	for (size_t i = 0; i < matrix->nr; i++) {
		sum.private += matrix->row[i].cell[node].private;
		sum.shared += matrix->row[i].cell[node].shared;
		sum.masters += matrix->row[i].cell[node].masters;
		sum.replicas += matrix->row[i].cell[node].replicas;
	}
	return sum;
}

static void print_cell(const struct matrix *matrix, const struct cell *cell)
{
	print_mib((cell->private + cell->shared + cell->replicas) *
		  matrix->page_size, COLUMN_WIDTH);
}

static void print_replicas(const struct matrix *matrix, int width)
{
	print_padded("MASTERS", width);
	for (size_t node = 0; node < matrix->nodes; node++)
		print_mib(sum_of(matrix, node).masters * matrix->page_size,
			  COLUMN_WIDTH);
	putchar('\n');
	print_padded("REPLICAS", width);
	for (size_t node = 0; node < matrix->nodes; node++)
		print_mib(sum_of(matrix, node).replicas * matrix->page_size,
			  COLUMN_WIDTH);
	putchar('\n');
}

static bool has_replicas(const struct matrix *matrix)
{
	for (size_t i = 0; i < matrix->nr; i++)
		if (matrix->row[i].replicated)
			return true;
	return false;
}

static int print_matrix(const struct matrix *matrix)
{
	int width = strlen(has_replicas(matrix) ? "REPLICAS" : "TOTAL");
	char title[32];

	for (size_t i = 0; i < matrix->nr; i++) {
		char *safe = escape_name(matrix->row[i].name);

		if (safe && text_width(safe) > width)
			width = text_width(safe);
		free(safe);
	}
	print_padded("VM", width);
	for (size_t node = 0; node < matrix->nodes; node++) {
		snprintf(title, sizeof(title), "NODE %zu", node);
		printf("%*s", COLUMN_WIDTH, title);
	}
	putchar('\n');
	for (size_t i = 0; i < matrix->nr; i++) {
		char *safe = escape_name(matrix->row[i].name);

		print_padded(safe ? safe : "-", width);
		free(safe);
		for (size_t node = 0; node < matrix->nodes; node++)
			print_cell(matrix, &matrix->row[i].cell[node]);
		putchar('\n');
	}
	print_padded("TOTAL", width);
	for (size_t node = 0; node < matrix->nodes; node++) {
		struct cell sum = sum_of(matrix, node);

		print_cell(matrix, &sum);
	}
	putchar('\n');
	if (has_replicas(matrix))
		print_replicas(matrix, width);
	if (matrix->unreadable)
		printf("%zu more that you may not read\n", matrix->unreadable);
	return EXIT_OK;
}

static struct json_object *cell_json(const struct matrix *matrix, size_t node,
				     struct cell cell)
{
	struct json_object *obj = json_object_new_object();

	json_add_u64(obj, "node", node);
	json_add_u64(obj, "private", cell.private * matrix->page_size);
	json_add_u64(obj, "shared", cell.shared * matrix->page_size);
	json_add_u64(obj, "masters", cell.masters * matrix->page_size);
	json_add_u64(obj, "replicas", cell.replicas * matrix->page_size);
	return obj;
}

static int print_matrix_json(const struct matrix *matrix)
{
	struct json_object *vms = json_object_new_array();
	struct json_object *totals = json_object_new_array();
	struct json_object *obj = json_object_new_object();

	for (size_t i = 0; i < matrix->nr; i++) {
		struct json_object *vm = json_object_new_object();
		struct json_object *list = json_object_new_array();

		for (size_t node = 0; node < matrix->nodes; node++)
			json_object_array_add(list,
				cell_json(matrix, node,
					  matrix->row[i].cell[node]));
		json_add_text(vm, "path", matrix->row[i].name);
		json_object_object_add(vm, "nodes", list);
		json_object_array_add(vms, vm);
	}
	for (size_t node = 0; node < matrix->nodes; node++)
		json_object_array_add(totals,
			cell_json(matrix, node, sum_of(matrix, node)));
	json_object_object_add(obj, "vms", vms);
	json_object_object_add(obj, "totals", totals);
	json_add_u64(obj, "unreadable", matrix->unreadable);
	return ctl_print_json(matrix->ctl, obj);
}

static int show(struct matrix *matrix, size_t nr, char **names, bool lenient)
{
	int ret = EXIT_OK;

	matrix->row = calloc(nr + 1, sizeof(*matrix->row));
	if (!matrix->row)
		return ctl_error(matrix->ctl, "not enough memory");
	for (size_t i = 0; i < nr && !ret; i++)
		ret = add_machine(matrix, names[i], lenient);
	if (!ret)
		ret = matrix->ctl->json ? print_matrix_json(matrix) :
					  print_matrix(matrix);
	free_matrix(matrix);
	return ret;
}

/**
 * cmd_numa - discoctl numa
 * @ctl: the program
 * @argc: number of words that follow
 * @argv: the words
 *
 * Return: exit code.
 */
int cmd_numa(struct ctl *ctl, int argc, char **argv)
{
	struct disco_query query = { .size = sizeof(query) };
	struct matrix matrix = { .ctl = ctl };
	char **names;
	size_t nr;
	int ret;

	if (argc == 1 && !strcmp(argv[0], "help"))
		return print_help(help);
	if (ctl->plot || ctl->log)
		return numa_plot(ctl, argc, argv);
	if (disco_query(ctl->disco, &query))
		return ctl_disco_error(ctl);
	matrix.page_size = query.out_page_size;
	if (argc)
		return show(&matrix, argc, argv, false);
	if (disco_vm_names(ctl->disco, &names, &nr, &matrix.unreadable))
		return ctl_disco_error(ctl);
	ret = show(&matrix, nr, names, true);
	disco_vm_names_free(names, nr);
	return ret;
}
