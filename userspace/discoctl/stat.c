// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl stat: the counters of the module and the room of the mount.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "discoctl.h"

static const char help[] =
	"Usage: discoctl stat\n"
	"       discoctl stat help\n"
	"\n"
	"Prints the counters of the module since it was loaded: page-state\n"
	"transitions (FROM_to_TO), replicas that came and went, refusals, and what there is now. Then the machine\n"
	"memory that the VMs of the mount have, and its limit. Needs no privilege.\n";

/* Which counters there are is the module's matter; names tell their kind. */
enum kind { KIND_TRANSITION, KIND_REFUSAL, KIND_GAUGE, NR_KINDS };

static const char * const titles[NR_KINDS] = {
	"Page-state transitions", "Refusals", "Now",
};

static enum kind counter_kind(const char *name)
{
	if (!strncmp(name, "refused_", strlen("refused_")))
		return KIND_REFUSAL;
	return strstr(name, "_to_") || !strncmp(name, "replica_", 8) ?
	       KIND_TRANSITION : KIND_GAUGE;
}

static void print_counters(const struct disco_counter *counters, size_t nr)
{
	for (int kind = 0; kind < NR_KINDS; kind++) {
		bool titled = false;

		for (size_t i = 0; i < nr; i++) {
			if (counter_kind(counters[i].name) != (enum kind)kind)
				continue;
			if (!titled)
				printf("%s%s\n", kind ? "\n" : "", titles[kind]);
			titled = true;
			printf("  %-28s %20" PRIu64 "\n", counters[i].name,
			       counters[i].value);
		}
	}
}

static int print_answer(struct ctl *ctl, const struct disco_counter *counters,
			size_t nr, const char *mount, const struct statvfs *vfs)
{
	uint64_t limit = mount ? (uint64_t)vfs->f_blocks * vfs->f_frsize : 0;
	uint64_t used = mount ? (uint64_t)(vfs->f_blocks - vfs->f_bfree) *
				vfs->f_frsize : 0;
	struct json_object *list, *place = NULL, *obj;

	if (!ctl->json) {
		print_counters(counters, nr);
		if (!mount)
			return EXIT_OK;
		printf("\nMount %s\n  %-28s", mount, "used");
		print_mib(used, 21);
		printf("\n  %-28s", "limit");
		print_mib(limit, 21);
		putchar('\n');
		return EXIT_OK;
	}
	list = json_object_new_object();
	for (size_t i = 0; i < nr; i++)
		json_add_u64(list, counters[i].name, counters[i].value);
	if (mount) {
		place = json_object_new_object();
		json_add_text(place, "path", mount);
		json_add_u64(place, "used", used);
		json_add_u64(place, "limit", limit);
	}
	obj = json_object_new_object();
	json_object_object_add(obj, "counters", list);
	json_object_object_add(obj, "mount", place);
	return ctl_print_json(ctl, obj);
}

/**
 * cmd_stat - discoctl stat
 * @ctl: the program
 * @argc: number of words that follow
 * @argv: the words
 *
 * Return: exit code.
 */
int cmd_stat(struct ctl *ctl, int argc, char **argv)
{
	struct disco_counter *counters;
	const char *mount = NULL;
	struct statvfs vfs = { 0 };
	size_t nr;
	int ret;

	if (argc)
		return help_or_reject(ctl, help, argc, argv);
	if (disco_counters(ctl->disco, &counters, &nr))
		return ctl_disco_error(ctl);
	/* The counters are the module's, so a missing mount is no error. */
	ret = disco_mount(ctl->disco, &mount);
	if (ret && (ret != -ENODEV || ctl->mount))
		ret = ctl_disco_error(ctl);
	else if (!ret && statvfs(mount, &vfs))
		ret = ctl_error(ctl, "%s: %s", mount, strerror(errno));
	else
		ret = print_answer(ctl, counters, nr, ret ? NULL : mount, &vfs);
	disco_counters_free(counters, nr);
	return ret;
}
