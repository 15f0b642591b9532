// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl version: who is of which age.
 */
#include <errno.h>
#include <stdio.h>

#include "discoctl.h"

static const char help[] =
	"Usage: discoctl version\n"
	"       discoctl version help\n"
	"\n"
	"Prints the versions of program, library and, if it is loaded, module.\n";

static const struct {
	uint64_t bit;
	const char *name;
} features[] = {
	{ DISCO_FEATURE_CLONE, "clone" },
	{ DISCO_FEATURE_VCPU, "vcpu" },
	{ DISCO_FEATURE_VIEWS, "views" },
	{ DISCO_FEATURE_DISK, "disk" },
	{ DISCO_FEATURE_MERGE, "merge" },
	{ DISCO_FEATURE_MOVE, "move" },
	{ DISCO_FEATURE_REPLICATE, "replicate" },
	{ DISCO_FEATURE_HEAT, "heat" },
};

static struct json_object *module_json(const struct disco_query *query)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *list = json_object_new_array();

	json_add_text(obj, "version", (const char *)query->out_version);
	json_add_u64(obj, "api_version", query->out_api_version);
	json_add_u64(obj, "page_size", query->out_page_size);
	json_add_u64(obj, "max_gfn", query->out_max_gfn);
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		if (query->out_features & features[i].bit)
			json_object_array_add(list, json_object_new_string(features[i].name));
	json_object_object_add(obj, "features", list);
	return obj;
}

static void print_module(const struct disco_query *query)
{
	printf("module    %s (api %u, pages of %u bytes, max gfn 0x%llx",
	       (const char *)query->out_version, query->out_api_version,
	       query->out_page_size, (unsigned long long)query->out_max_gfn);
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		if (query->out_features & features[i].bit)
			printf(", %s", features[i].name);
	puts(")");
}

/**
 * cmd_version - discoctl version
 * @ctl: the program
 * @argc: number of words that follow
 * @argv: the words
 *
 * Return: exit code.
 */
int cmd_version(struct ctl *ctl, int argc, char **argv)
{
	struct disco_query query = { .size = sizeof(query) };
	struct json_object *obj;
	bool loaded;
	int ret;

	if (argc)
		return help_or_reject(ctl, help, argc, argv);
	ret = disco_query(ctl->disco, &query);
	if (ret && ret != -ENOENT && ret != -ENXIO)
		return ctl_disco_error(ctl);
	loaded = !ret;
	query.out_version[sizeof(query.out_version) - 1] = '\0';

	if (!ctl->json) {
		printf("discoctl  %s\nlibdisco  %s\n", DISCO_VERSION,
		       disco_version());
		if (loaded)
			print_module(&query);
		else
			puts("module    not loaded");
		return EXIT_OK;
	}
	obj = json_object_new_object();
	json_add_text(obj, "discoctl", DISCO_VERSION);
	json_add_text(obj, "libdisco", disco_version());
	json_object_object_add(obj, "module",
			       loaded ? module_json(&query) : NULL);
	return ctl_print_json(ctl, obj);
}
