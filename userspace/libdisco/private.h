/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LIBDISCO_PRIVATE_H
#define LIBDISCO_PRIVATE_H

#include <disco/disco.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define PUBLIC __attribute__((visibility("default")))

/**
 * struct disco - a context
 * @device: path of the device, or NULL for the default
 * @wanted_mount: mount chosen by the caller, or NULL
 * @mount: mount that was found, or NULL before it was looked for
 * @mounts_file: table of mounts
 * @counters_dir: folder of the counters
 * @fd: the open device, or -1
 * @error: what went wrong last
 */
struct disco {
	char *device;
	char *wanted_mount;
	char *mount;
	const char *mounts_file;
	const char *counters_dir;
	int fd;
	char error[512];
};

/**
 * struct disco_vm - an open VM
 * @disco: its context
 * @name: path relative to ram/
 * @fd: its file
 */
struct disco_vm {
	struct disco *disco;
	char *name;
	int fd;
};

/**
 * struct name_list - names that are being collected
 * @names: the names
 * @nr: how many
 * @room: how many @names has room for
 */
struct name_list {
	char **names;
	size_t nr;
	size_t room;
};

__attribute__((format(printf, 3, 4)))
int disco_fail(struct disco *disco, int err, const char *fmt, ...);
int disco_oom(struct disco *disco);

__attribute__((format(printf, 4, 5)))
int disco_request(struct disco *disco, unsigned long request, void *arg,
		  const char *fmt, ...);
int open_mount(struct disco *disco, int *fd);

/* names.c */
int folder_path(struct disco *disco, const char *folder, char **path);
const char *relative_name(const char *folder, const char *name);
int name_list_add(struct disco *disco, struct name_list *list, const char *name);
void name_list_sort(struct name_list *list);
void name_list_free(struct name_list *list);

#endif /* LIBDISCO_PRIVATE_H */
