// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl top: what the machines have and what becomes of it, again and again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "top.h"

static const char help[] =
	"Usage: discoctl top [-b] [-d SECONDS] [-n COUNT] [--sort COLUMN]\n"
	"       discoctl top help\n"
	"\n"
	"Shows the memory of all machines that you may read, again and again.\n"
	"\n"
	"  -b, --batch       print text and no screen; with -j a JSON object a line\n"
	"  -d SECONDS        time between refreshes, 0.1 to 86400 (2)\n"
	"  -n COUNT          end after so many refreshes\n"
	"  --sort COLUMN     name, virtual, private, shared, machine (the default),\n"
	"                    saved, moved or local\n"
	"\n"
	"  VIRTUAL   memory that the guest has\n"
	"  PRIVATE   pages of its own\n"
	"  SHARED    pages mapped copy-on-write, whole for each user\n"
	"  MACHINE   machine memory, each shared page divided among its users\n"
	"  SAVED     what sharing saves: PRIVATE + SHARED - MACHINE\n"
	"  MOVED/S   pages that came to another node, a second; in the summary, moves\n"
	"            by the module, on all mounts\n"
	"  LOCAL     share of the pages on the nodes where the machine runs\n"
	"\n"
	"Keys: n, v, p, s, m, a, o and l sort by a column (once more: the other way\n"
	"round), r turns the order, space refreshes, arrows and page keys scroll, q ends.\n";

#define MIN_DELAY 0.1
#define MAX_DELAY 86400.0

static bool parse_seconds(const char *text, double *seconds)
{
	char *end;

	/* strtod() would also take signs, infinity and hexadecimal. */
	if (!text[0] || strspn(text, "0123456789.") != strlen(text))
		return false;
	*seconds = strtod(text, &end);
	return !*end && *seconds >= MIN_DELAY && *seconds <= MAX_DELAY;
}

static int read_options(struct top *top, const struct ctl *ctl)
{
	char names[128];

	top->delay = 2;
	if (ctl->delay && !parse_seconds(ctl->delay, &top->delay))
		return ctl_error(ctl,
				 "-d \"%s\" is not a number of seconds from 0.1 to 86400",
				 ctl->delay);
	if (ctl->count && (!parse_number(ctl->count, &top->count) ||
			   !top->count))
		return ctl_error(ctl,
				 "-n \"%s\" is not a number of refreshes, 1 or more",
				 ctl->count);
	top->sort = top_find_column(ctl->sort ? ctl->sort : "machine");
	if (top->sort != SIZE_MAX)
		return EXIT_OK;
	top_column_names(names, sizeof(names));
	return ctl_error(ctl, "--sort \"%s\" is no column, there are: %s",
			 ctl->sort, names);
}

/* Milliseconds will do, and a double prints more digits than it has. */
static void add_seconds(struct json_object *obj, const char *key, double value)
{
	char text[32];

	snprintf(text, sizeof(text), "%.3f", value);
	json_object_object_add(obj, key, value == TOP_UNKNOWN ? NULL :
			       json_object_new_double_s(value, text));
}

static struct json_object *vm_json(const struct top_vm *vm)
{
	struct json_object *obj = json_object_new_object();
	char text[32];

	if (vm->name) {
		json_add_text(obj, "path", vm->name);
		json_add_u64(obj, "id", vm->stat.out_id);
	}
	json_add_u64(obj, "virtual", vm->stat.out_virtual);
	json_add_u64(obj, "private", vm->stat.out_private);
	json_add_u64(obj, "shared", vm->stat.out_shared);
	json_add_u64(obj, "machine", vm->stat.out_machine);
	json_add_u64(obj, "metadata", vm->stat.out_metadata);
	json_add_u64(obj, "saved", vm->saved);
	json_object_object_add(obj, "moved", vm->moved == TOP_UNKNOWN ? NULL :
			       json_object_new_uint64(vm->moved));
	snprintf(text, sizeof(text), "%.4f", vm->local);
	json_object_object_add(obj, "local", vm->local == TOP_UNKNOWN ? NULL :
			       json_object_new_double_s(vm->local, text));
	return obj;
}

static int print_json(const struct top *top)
{
	const struct top_refresh *now = &top->now;
	struct json_object *obj = json_object_new_object();
	struct json_object *vms = json_object_new_array();
	struct json_object *mount = json_object_new_object();

	for (size_t i = 0; i < now->nr; i++)
		json_object_array_add(vms, vm_json(&now->vm[i]));
	add_seconds(obj, "time", now->wall.tv_sec + now->wall.tv_nsec / 1e9);
	add_seconds(obj, "seconds", now->seconds);
	json_object_object_add(obj, "vms", vms);
	json_object_object_add(obj, "totals", vm_json(&now->total));
	json_add_text(mount, "path", top->mount);
	json_add_u64(mount, "used", now->used);
	json_add_u64(mount, "limit", now->limit);
	json_object_object_add(obj, "mount", mount);
	json_add_u64(obj, "unreadable", now->unreadable);
	return ctl_print_json(top->ctl, obj);
}

static void print_line(char *line)
{
	puts(line ? line : "-");
	free(line);
}

static int print_text(const struct top *top, bool first)
{
	const struct top_refresh *now = &top->now;
	int width = strlen("TOTAL");

	for (size_t i = 0; i < now->nr; i++) {
		char *safe = escape_name(now->vm[i].name);

		if (safe && text_width(safe) > width)
			width = text_width(safe);
		free(safe);
	}
	if (!first)
		putchar('\n');
	for (unsigned int i = 0; i < TOP_SUMMARY_LINES; i++)
		print_line(top_summary(top, i));
	putchar('\n');
	print_line(top_header(width));
	for (size_t i = 0; i < now->nr; i++)
		print_line(top_row(top, &now->vm[i], width));
	print_line(top_row(top, &now->total, width));
	return EXIT_OK;
}

static void sleep_until(const struct timespec *from, double seconds)
{
	struct timespec until = *from;

	until.tv_sec += (time_t)seconds;
	until.tv_nsec += (seconds - (time_t)seconds) * 1e9;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) ==
	       EINTR)
		;
}

static int run_batch(struct top *top)
{
	for (uint64_t nr = 0; !top->count || nr < top->count; nr++) {
		if (nr)
			sleep_until(&top->now.mono, top->delay);
		if (top_refresh(top))
			return ctl_error(top->ctl, "%s", top->error);
		top_sort(top);
		if (top->ctl->json)
			print_json(top);
		else
			print_text(top, !nr);
		/* Whoever reads is to see it now; main() reports the error. */
		if (fflush(stdout))
			return EXIT_ERROR;
	}
	return EXIT_OK;
}

/**
 * cmd_top - discoctl top
 * @ctl: the program
 * @argc: number of words that follow
 * @argv: the words
 *
 * Return: exit code.
 */
int cmd_top(struct ctl *ctl, int argc, char **argv)
{
	bool batch = ctl->batch || ctl->json;
	struct top top = { 0 };
	int ret;

	if (argc)
		return help_or_reject(ctl, help, argc, argv);
	ret = read_options(&top, ctl);
	if (!ret && !batch)
		ret = top_check_terminal(ctl);
	if (ret)
		return ret;
	if (top_init(&top, ctl))
		ret = ctl_error(ctl, "%s", top.error);
	else if (batch)
		ret = run_batch(&top);
	else
		ret = top_screen(&top);
	top_free(&top);
	return ret;
}
