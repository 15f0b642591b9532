// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl with the fake module, for tests that need a process.
 *
 * usage: fake_discoctl FOLDER ARGUMENTS...
 * FOLDER is laid out as fake_setup() does it, with proc/ and nodes/.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fake.h"
#include "private.h"
#include "top.h"

int discoctl_main(int argc, char **argv);
int __real_disco_new(struct disco **out);
int __wrap_disco_new(struct disco **out);

static const char *folder;

static char *in_folder(const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		abort();
	return path;
}

int __wrap_disco_new(struct disco **out)
{
	int ret = __real_disco_new(out);

	if (ret)
		return ret;
	(*out)->mounts_file = in_folder("mounts");
	(*out)->counters_dir = in_folder("counters");
	return disco_set_device(*out, "/dev/null");
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	folder = argv[1];
	fake.sized = 1;
	top_paths.proc = in_folder("proc");
	top_paths.nodes = in_folder("nodes");
	return discoctl_main(argc - 1, argv + 1);
}
