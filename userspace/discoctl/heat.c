// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl heat: which NUMA nodes use which pages of a machine.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discoctl.h"

static const char help[] =
	"Usage: discoctl heat show NAME\n"
	"       discoctl heat list NAME\n"
	"       discoctl heat drain NAME\n"
	"       discoctl heat sample NAME PERCENT\n"
	"       discoctl heat help\n"
	"\n"
	"Which NUMA nodes use which pages of a machine, as far as the module's sampler\n"
	"or somebody else has found. NAME is the path of the machine's file relative\n"
	"to ram/.\n"
	"\n"
	"show tells what the sampler does, list what was found, by page and node;\n"
	"drain prints the same and begins at zero. sample has the sampler take PERCENT\n"
	"of one CPU's time, such as 1 or 0.25; 0 stops it. Programs that move pages\n"
	"drain, too: what one has taken, the other does not see.\n";

/* Counters for one request. */
#define CHUNK 4096

static int open_machine(struct ctl *ctl, const char *command, int argc,
			char **argv, int words, struct disco_vm **vm)
{
	if (!argc)
		return ctl_error(ctl, "heat %s: the NAME of a machine is missing",
				 command);
	if (argc > words)
		return reject_words(ctl, argc - words, argv + words);
	if (disco_vm_open_writable(ctl->disco, argv[0], vm))
		return ctl_disco_error(ctl);
	return EXIT_OK;
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * part / whole : 0;
}

static void print_stat(const struct disco_heat_stat *stat)
{
	printf("counters  %u of %u\n", stat->out_counters,
	       stat->out_max_counters);
	if (!stat->out_budget) {
		puts("sampler   off");
		return;
	}
	printf("sampler   may take %g%% of a CPU, has taken %.3f%% in %.1f s\n",
	       percent(stat->out_budget, DISCO_HEAT_MAX_BUDGET),
	       percent(stat->out_cost_ns, stat->out_time_ns),
	       stat->out_time_ns / 1e9);
	printf("pages     %" PRIu64 " unmapped\nfaults    %" PRIu64 "\n",
	       (uint64_t)stat->out_pages, (uint64_t)stat->out_faults);
}

static int heat_show(struct ctl *ctl, int argc, char **argv)
{
	struct disco_heat_stat stat = { .size = sizeof(stat) };
	struct json_object *obj;
	struct disco_vm *vm;
	int ret;

	if (!argc)
		return ctl_error(ctl, "heat show: the NAME of a machine is missing");
	if (argc > 1)
		return reject_words(ctl, argc - 1, argv + 1);
	if (disco_vm_open(ctl->disco, argv[0], &vm))
		return ctl_disco_error(ctl);
	ret = disco_heat_stat(vm, &stat) ? ctl_disco_error(ctl) : EXIT_OK;
	if (!ret && !ctl->json)
		print_stat(&stat);
	if (!ret && ctl->json) {
		obj = json_object_new_object();
		json_add_text(obj, "vm", disco_vm_name(vm));
		json_add_u64(obj, "counters", stat.out_counters);
		json_add_u64(obj, "max_counters", stat.out_max_counters);
		json_add_u64(obj, "budget_ppm", stat.out_budget);
		json_add_u64(obj, "time_ns", stat.out_time_ns);
		json_add_u64(obj, "cost_ns", stat.out_cost_ns);
		json_add_u64(obj, "pages", stat.out_pages);
		json_add_u64(obj, "faults", stat.out_faults);
		ret = ctl_print_json(ctl, obj);
	}
	disco_vm_close(vm);
	return ret;
}

/* @list is NULL for text. */
static void print_entry(const struct disco_heat_entry *entry,
			struct json_object *list)
{
	struct json_object *obj;

	if (!list) {
		printf("0x%-12" PRIx64 " %4u %10u %10u\n", (uint64_t)entry->gfn,
		       entry->node, entry->reads, entry->writes);
		return;
	}
	obj = json_object_new_object();
	json_add_u64(obj, "gfn", entry->gfn);
	json_add_u64(obj, "node", entry->node);
	json_add_u64(obj, "reads", entry->reads);
	json_add_u64(obj, "writes", entry->writes);
	json_object_array_add(list, obj);
}

static int walk_counters(struct ctl *ctl, struct disco_vm *vm, uint32_t flags,
			 struct json_object *list)
{
	static struct disco_heat_entry entries[CHUNK];
	struct disco_heat_drain drain = {
		.size = sizeof(drain),
		.flags = flags,
		.nr = CHUNK,
		.entries = (uintptr_t)entries,
	};

	do {
		if (disco_heat_drain(vm, &drain))
			return ctl_disco_error(ctl);
		for (uint32_t i = 0; i < drain.out_nr; i++)
			print_entry(&entries[i], list);
		drain.gfn = drain.out_next;
	} while (drain.out_next);
	return EXIT_OK;
}

static int print_counters(struct ctl *ctl, const char *command, uint32_t flags,
			  int argc, char **argv)
{
	struct json_object *list = NULL, *obj;
	struct disco_vm *vm;
	int ret = open_machine(ctl, command, argc, argv, 1, &vm);

	if (ret)
		return ret;
	if (ctl->json)
		list = json_object_new_array();
	else
		printf("%-14s %4s %10s %10s\n", "GFN", "NODE", "READS", "WRITES");
	ret = walk_counters(ctl, vm, flags, list);
	if (!ret && list) {
		obj = json_object_new_object();
		json_add_text(obj, "vm", disco_vm_name(vm));
		json_object_object_add(obj, "counters", list);
		ret = ctl_print_json(ctl, obj);
	} else {
		json_object_put(list);
	}
	disco_vm_close(vm);
	return ret;
}

static int heat_list(struct ctl *ctl, int argc, char **argv)
{
	return print_counters(ctl, "list", DISCO_HEAT_KEEP, argc, argv);
}

static int heat_drain(struct ctl *ctl, int argc, char **argv)
{
	return print_counters(ctl, "drain", 0, argc, argv);
}

/* "1", "0.25" or "2%" as millionths; more digits than there are, no. */
static bool parse_percent(const char *text, uint32_t *ppm)
{
	uint64_t value = 0;
	int digits = -1;

	if (!isdigit((unsigned char)*text))
		return false;
	for (; isdigit((unsigned char)*text) || (*text == '.' && digits < 0);
	     text++) {
		if (*text == '.') {
			digits = 0;
			continue;
		}
		value = value * 10 + (*text - '0');
		if (digits >= 0)
			digits++;
		if (digits > 4 || value > DISCO_HEAT_MAX_BUDGET)
			return false;
	}
	if (!digits)
		return false;
	for (digits = digits < 0 ? 0 : digits; digits < 4; digits++)
		value *= 10;
	if (*text == '%')
		text++;
	*ppm = value;
	return !*text && value <= DISCO_HEAT_MAX_BUDGET;
}

static int heat_sample(struct ctl *ctl, int argc, char **argv)
{
	struct disco_heat_set set = { .size = sizeof(set) };
	struct disco_heat_stat stat = { .size = sizeof(stat) };
	struct json_object *obj;
	struct disco_vm *vm;
	int ret;

	if (argc == 1)
		return ctl_error(ctl, "heat sample: the PERCENT is missing");
	if (argc > 1 && !parse_percent(argv[1], &set.budget))
		return ctl_error(ctl,
				 "\"%s\" is no part of a CPU in percent, from 0 to 100 with up to 4 decimals, such as 1 or 0.25",
				 argv[1]);
	ret = open_machine(ctl, "sample", argc, argv, 2, &vm);
	if (ret)
		return ret;
	/* The limit of counters is left as it is. */
	if (disco_heat_stat(vm, &stat)) {
		ret = ctl_disco_error(ctl);
		goto out;
	}
	set.max_counters = stat.out_max_counters;
	if (disco_heat_set(vm, &set)) {
		ret = ctl_disco_error(ctl);
		goto out;
	}
	if (ctl->json) {
		obj = json_object_new_object();
		json_add_text(obj, "vm", disco_vm_name(vm));
		json_add_u64(obj, "budget_ppm", set.budget);
		ret = ctl_print_json(ctl, obj);
	}
out:
	disco_vm_close(vm);
	return ret;
}

static int heat_help(struct ctl *ctl, int argc, char **argv)
{
	(void)ctl, (void)argc, (void)argv;
	return print_help(help);
}

static const struct command heat_commands[] = {
	{ "show", heat_show },
	{ "list", heat_list },
	{ "drain", heat_drain },
	{ "sample", heat_sample },
	{ "help", heat_help },
	{ NULL, NULL },
};

/**
 * cmd_heat - discoctl heat
 * @ctl: the program
 * @argc: number of words that follow
 * @argv: the words
 *
 * Return: exit code.
 */
int cmd_heat(struct ctl *ctl, int argc, char **argv)
{
	return dispatch(ctl, heat_commands, "heat command", argc, argv);
}
