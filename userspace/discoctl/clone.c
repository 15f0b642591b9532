// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl clone: copies of a paused libvirt domain. Only what the command line
 * says is looked at here; the work is done by a part of the program that is
 * loaded when it is needed, as to load libvirt takes many times as long as every
 * other command.
 */
#include <ctype.h>
#include <dlfcn.h>
#include <string.h>

#include "discoctl.h"

/* Found next to libdisco, by the path that is built into the program. */
#define VIRT_PART "discoctl-virt.so"

#define MAX_COPIES 64

static const char help[] =
	"Usage: discoctl clone [--copies K] DOMAIN NAME\n"
	"       discoctl clone help\n"
	"\n"
	"Starts a copy of DOMAIN, a libvirt domain that is paused, under the name NAME;\n"
	"with --copies, K of them, NAME-1 to NAME-K. A copy goes on where DOMAIN stands.\n"
	"Its memory is DOMAIN's, copy-on-write, and so are its disks, which have to be\n"
	"qcow2 files: what they hold now is frozen, and DOMAIN and every copy go on with\n"
	"an overlay of their own. DOMAIN stays paused.\n"
	"\n"
	"A copy has a host name, MAC addresses and random numbers of its own if the\n"
	"helper disco-renew runs in the guest. If not, its network links stay down, and\n"
	"the exit code is 1.\n";

/* It becomes part of file names, and a word in a message of lines. */
static bool is_name(const char *name)
{
	if (!name[0])
		return false;
	for (; *name; name++)
		if (*name == '/' || iscntrl((unsigned char)*name))
			return false;
	return true;
}

typedef int clone_fn(struct ctl *ctl, const char *domain, const char *name,
		     unsigned int copies);

/**
 * cmd_clone - discoctl clone
 * @ctl: the program
 * @argc: number of words that follow
 * @argv: the words
 *
 * Return: exit code.
 */
int cmd_clone(struct ctl *ctl, int argc, char **argv)
{
	uint64_t copies = 0;
	clone_fn *clone;
	void *part;
	int ret;

	if (argc == 1 && !strcmp(argv[0], "help"))
		return print_help(help);
	if (!argc)
		return ctl_error(ctl,
				 "clone: the name of a DOMAIN and a NAME for its copy are missing");
	if (argc == 1)
		return ctl_error(ctl, "clone: a NAME for the copy is missing");
	ret = reject_words(ctl, argc - 2, argv + 2);
	if (ret)
		return ret;
	if (!is_name(argv[1]))
		return ctl_error(ctl, "\"%s\" is no name for a domain", argv[1]);
	if (ctl->copies && (!parse_number(ctl->copies, &copies) || !copies ||
			    copies > MAX_COPIES))
		return ctl_error(ctl, "--copies \"%s\" is not a number from 1 to %d",
				 ctl->copies, MAX_COPIES);

	part = dlopen(VIRT_PART, RTLD_NOW | RTLD_LOCAL);
	if (!part)
		return ctl_error(ctl, "clone needs libvirt: %s", dlerror());
	clone = (clone_fn *)dlsym(part, "clone_domain");
	if (!clone)
		return ctl_error(ctl, "clone: " VIRT_PART " is not of this program: %s",
				 dlerror());
	/* Not unloaded again: libvirt has threads. */
	return clone(ctl, argv[0], argv[1], copies);
}
