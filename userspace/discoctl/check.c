// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl check: does everything in the module agree.
 */
#include <stdio.h>
#include <stdlib.h>

#include "discoctl.h"

static const char help[] =
	"Usage: discoctl check\n"
	"       discoctl check help\n"
	"\n"
	"Walks every structure of the mount while it is in use and reports the first\n"
	"thing that does not agree. Needs CAP_SYS_ADMIN.\n"
	"\n"
	"Exit code: 0 all agrees, 1 a violation was found, 2 the check was not done.\n";

static bool counts_differ(const struct disco_check *check)
{
	return check->out_expected != check->out_found;
}

static void print_json(const struct ctl *ctl, const struct disco_check *check,
		       const char *name)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *bad = NULL;

	if (check->out_violation) {
		bad = json_object_new_object();
		json_add_text(bad, "kind",
			      disco_violation_name(check->out_violation));
		json_add_u64(bad, "code", check->out_violation);
		json_add_text(bad, "text",
			      disco_violation_text(check->out_violation));
		json_add_u64(bad, "vm_id", check->out_vm_id);
		if (name)
			json_add_text(bad, "vm", name);
		else
			json_object_object_add(bad, "vm", NULL);
		json_add_u64(bad, "gfn", check->out_gfn);
		json_add_u64(bad, "pfn", check->out_pfn);
		json_add_u64(bad, "expected", check->out_expected);
		json_add_u64(bad, "found", check->out_found);
	}
	json_object_object_add(obj, "consistent", json_object_new_boolean(!bad));
	json_object_object_add(obj, "violation", bad);
	json_add_u64(obj, "vms", check->out_vms);
	json_add_u64(obj, "pages", check->out_pages);
	json_object_object_add(obj, "totals_checked",
			       json_object_new_boolean(check->out_totals_checked));
	ctl_print_json(ctl, obj);
}

static void print_violation(const struct disco_check *check, const char *name)
{
	char *safe = name ? escape_name(name) : NULL;

	printf("VIOLATION (%s): %s\n",
	       disco_violation_name(check->out_violation),
	       disco_violation_text(check->out_violation));
	if (check->out_vm_id)
		printf("  VM        %u %s\n", check->out_vm_id,
		       safe ? safe : "");
	printf("  gfn       0x%llx\n", (unsigned long long)check->out_gfn);
	printf("  frame     0x%llx\n", (unsigned long long)check->out_pfn);
	if (counts_differ(check))
		printf("  expected  %llu\n  found     %llu\n",
		       (unsigned long long)check->out_expected,
		       (unsigned long long)check->out_found);
	free(safe);
}

static void print_summary(const struct disco_check *check)
{
	printf("%s: %llu VM%s and %llu pages walked%s\n",
	       check->out_violation ? "Before that" : "Consistent",
	       (unsigned long long)check->out_vms,
	       check->out_vms == 1 ? "" : "s",
	       (unsigned long long)check->out_pages,
	       check->out_violation || check->out_totals_checked ? "" :
	       "; totals not compared, pages came or went meanwhile");
}

/**
 * cmd_check - discoctl check
 * @ctl: the program
 * @argc: number of words that follow
 * @argv: the words
 *
 * Return: exit code.
 */
int cmd_check(struct ctl *ctl, int argc, char **argv)
{
	struct disco_check check = { .size = sizeof(check) };
	struct vm_ids *ids = NULL;
	const char *name;

	if (argc)
		return help_or_reject(ctl, help, argc, argv);
	if (disco_check(ctl->disco, &check))
		return ctl_disco_error(ctl);
	/* Without names the numbers still say it all. */
	if (check.out_violation)
		(void)vm_ids_read(ctl, &ids);
	name = vm_ids_name(ids, check.out_vm_id);
	if (ctl->json) {
		print_json(ctl, &check, name);
	} else {
		if (check.out_violation)
			print_violation(&check, name);
		print_summary(&check);
	}
	vm_ids_free(ids);
	return check.out_violation ? EXIT_NO : EXIT_OK;
}
