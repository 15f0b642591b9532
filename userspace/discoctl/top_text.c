// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl top, in lines of text: the same on a terminal and in batch mode.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "top.h"

enum kind { KIND_NAME, KIND_SIZE, KIND_RATE, KIND_SHARE };

static double get_virtual(const struct top_vm *vm)
{
	return vm->stat.out_virtual;
}

static double get_private(const struct top_vm *vm)
{
	return vm->stat.out_private;
}

static double get_shared(const struct top_vm *vm)
{
	return vm->stat.out_shared;
}

static double get_machine(const struct top_vm *vm)
{
	return vm->stat.out_machine;
}

static double get_saved(const struct top_vm *vm)
{
	return vm->saved;
}

static double get_moved(const struct top_vm *vm)
{
	return vm->moved;
}

static double get_local(const struct top_vm *vm)
{
	return vm->local;
}

static const struct column {
	const char *name;
	const char *title;
	int key;
	int width;
	enum kind kind;
	double (*value)(const struct top_vm *vm);
} columns[] = {
	{ "name", "VM", 'n', 0, KIND_NAME, NULL },
	{ "virtual", "VIRTUAL", 'v', 8, KIND_SIZE, get_virtual },
	{ "private", "PRIVATE", 'p', 8, KIND_SIZE, get_private },
	{ "shared", "SHARED", 's', 8, KIND_SIZE, get_shared },
	{ "machine", "MACHINE", 'm', 8, KIND_SIZE, get_machine },
	{ "saved", "SAVED", 'a', 8, KIND_SIZE, get_saved },
	{ "moved", "MOVED/S", 'o', 9, KIND_RATE, get_moved },
	{ "local", "LOCAL", 'l', 7, KIND_SHARE, get_local },
};

/**
 * top_find_column - find a column by its name
 * @name: such as "machine"
 *
 * Return: its number, or SIZE_MAX.
 */
size_t top_find_column(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (!strcmp(columns[i].name, name))
			return i;
	return SIZE_MAX;
}

/**
 * top_key_column - find a column by the key that sorts by it
 * @key: such as 'm'
 *
 * Return: its number, or SIZE_MAX.
 */
size_t top_key_column(int key)
{
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (columns[i].key == key)
			return i;
	return SIZE_MAX;
}

/**
 * top_column_names - all names, for an error text
 * @text: filled
 * @size: its size
 */
void top_column_names(char *text, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(columns) && len < size; i++)
		len += snprintf(text + len, size - len, "%s%s", i ? ", " : "",
				columns[i].name);
}

/**
 * top_sort_name - what the machines are sorted by
 * @top: what is known
 *
 * Return: name of a column.
 */
const char *top_sort_name(const struct top *top)
{
	return columns[top->sort].name;
}

static int compare_vms(const void *a, const void *b, void *arg)
{
	const struct top *top = arg;
	const struct column *column = &columns[top->sort];
	const struct top_vm *vm_a = a, *vm_b = b;
	int order = 0;

	/* Numbers with the largest first, names as in the alphabet. */
	if (column->value) {
		double value_a = column->value(vm_a);
		double value_b = column->value(vm_b);

		order = (value_a < value_b) - (value_a > value_b);
	}
	if (!order)
		order = strcmp(vm_a->name, vm_b->name);
	return top->reverse ? -order : order;
}

/**
 * top_sort - put the machines in order
 * @top: says which
 */
void top_sort(struct top *top)
{
	if (top->now.nr)
		qsort_r(top->now.vm, top->now.nr, sizeof(*top->now.vm),
			compare_vms, top);
}

/**
 * top_table_width - columns of a terminal that a row takes beside its name
 *
 * Return: number of columns.
 */
int top_table_width(void)
{
	int width = 0;

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		width += columns[i].width;
	return width;
}

static void print_size(FILE *out, double bytes, int width)
{
	static const char units[] = "KMGTPE";
	size_t unit = 0;

	bytes /= 1024;
	/* What would be rounded to 1024 is 1 of the next unit. */
	while (bytes >= 1023.95 && unit + 1 < strlen(units)) {
		bytes /= 1024;
		unit++;
	}
	fprintf(out, "%*.1f%c", width - 1, bytes, units[unit]);
}

static void print_value(FILE *out, const struct top *top, enum kind kind,
			double value, int width)
{
	if (kind == KIND_SIZE) {
		print_size(out, value, width);
		return;
	}
	if (kind == KIND_RATE)
		value = top_per_second(top, value);
	if (value == TOP_UNKNOWN)
		fprintf(out, "%*s", width, "-");
	else if (kind == KIND_RATE)
		fprintf(out, "%*.1f", width, value);
	else
		fprintf(out, "%*.1f%%", width - 1, 100 * value);
}

static void summarize_memory(FILE *out, const struct top *top)
{
	const struct top_refresh *now = &top->now;

	fputs("Mount ", out);
	print_size(out, now->used, 0);
	if (now->limit) {
		fputs(" used of ", out);
		print_size(out, now->limit, 0);
		fprintf(out, " (%.1f%%)", 100.0 * now->used / now->limit);
	} else {
		fputs(" used, no limit", out);
	}
	fputs(", sharing saves ", out);
	print_size(out, now->total.saved, 0);
	fputs(", tables ", out);
	print_size(out, now->total.stat.out_metadata, 0);
}

static void summarize_nodes(FILE *out, const struct top *top)
{
	const struct top_vm *total = &top->now.total;

	fputs("Moved ", out);
	print_value(out, top, KIND_RATE, total->moved, 0);
	fputs(" pages/s, local ", out);
	print_value(out, top, KIND_SHARE, total->local, 0);
}

static void summarize_machines(FILE *out, const struct top *top)
{
	const struct top_refresh *now = &top->now;
	char text[32];
	struct tm tm;

	localtime_r(&now->wall.tv_sec, &tm);
	strftime(text, sizeof(text), "%H:%M:%S", &tm);
	fprintf(out, "discoctl top  %s  %zu machine%s", text, now->nr,
		now->nr == 1 ? "" : "s");
	if (now->unreadable)
		fprintf(out, ", %zu more that you may not read", now->unreadable);
}

/**
 * top_summary - a line above the table
 * @top: what is known
 * @line: which, less than TOP_SUMMARY_LINES
 *
 * Return: text to be freed, or NULL without memory.
 */
char *top_summary(const struct top *top, unsigned int line)
{
	static void (* const print[TOP_SUMMARY_LINES])(FILE *,
						       const struct top *) = {
		summarize_machines, summarize_memory, summarize_nodes,
	};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	print[line](out, top);
	fclose(out);
	return text;
}

/**
 * top_header - titles of the columns
 * @name_width: columns for names
 *
 * Return: text to be freed, or NULL without memory.
 */
char *top_header(int name_width)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		fprintf(out, "%*s", columns[i].width ?: -name_width,
			columns[i].title);
	fclose(out);
	return text;
}

static void print_name(FILE *out, const char *name, int width)
{
	char *text = cut_name(name, width);

	fprintf(out, "%s%*s", text ? text : "",
		text ? width - text_width(text) : width, "");
	free(text);
}

/**
 * top_row - a line of the table
 * @top: what is known
 * @vm: a machine, or totals
 * @name_width: columns for the name
 *
 * Return: text to be freed, or NULL without memory.
 */
char *top_row(const struct top *top, const struct top_vm *vm, int name_width)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	print_name(out, vm->name ? vm->name : "TOTAL", name_width);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (columns[i].value)
			print_value(out, top, columns[i].kind,
				    columns[i].value(vm), columns[i].width);
	fclose(out);
	return text;
}
