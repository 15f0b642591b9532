// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Virtual machines: finding, opening, statistics.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "private.h"

/* Files and folders that vanish meanwhile are none of the VMs there are. */
static int walk_ram(struct disco *disco, char *ram, struct name_list *list,
		    size_t *unreadable)
{
	char * const roots[] = { ram, NULL };
	size_t skip = strlen(ram) + 1;
	FTSENT *ent;
	int ret = 0;
	FTS *fts;

	fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	if (!fts)
		return disco_fail(disco, errno, "cannot walk %s: %s", ram,
				  strerror(errno));
	while (!ret && (errno = 0, ent = fts_read(fts))) {
		switch (ent->fts_info) {
		case FTS_F:
			ret = name_list_add(disco, list, ent->fts_path + skip);
			break;
		case FTS_DNR:
		case FTS_NS:
		case FTS_ERR:
			if (ent->fts_errno == ENOENT && ent->fts_level > 0)
				break;
			if (ent->fts_errno == EACCES && ent->fts_level > 0) {
				(*unreadable)++;
				break;
			}
			ret = disco_fail(disco, ent->fts_errno, "%s: %s",
					 ent->fts_path,
					 strerror(ent->fts_errno));
			break;
		}
	}
	if (!ret && errno)
		ret = disco_fail(disco, errno, "cannot walk %s: %s", ram,
				 strerror(errno));
	fts_close(fts);
	return ret;
}

PUBLIC int disco_vm_names(struct disco *disco, char ***names, size_t *nr,
			  size_t *unreadable)
{
	struct name_list list = { 0 };
	size_t hidden = 0;
	char *ram;
	int ret;

	ret = folder_path(disco, "ram", &ram);
	if (ret)
		return ret;
	ret = walk_ram(disco, ram, &list, &hidden);
	free(ram);
	if (ret) {
		name_list_free(&list);
		return ret;
	}
	name_list_sort(&list);
	*names = list.names;
	*nr = list.nr;
	if (unreadable)
		*unreadable = hidden;
	return 0;
}

PUBLIC void disco_vm_names_free(char **names, size_t nr)
{
	struct name_list list = { .names = names, .nr = nr };

	name_list_free(&list);
}

static int open_file(struct disco *disco, const char *ram, const char *name,
		     int mode)
{
	struct stat st;
	char *path;
	int err;
	int fd;

	if (asprintf(&path, "%s/%s", ram, name) < 0)
		return disco_oom(disco);
	fd = open(path, mode | O_CLOEXEC | O_NOFOLLOW);
	err = errno;
	free(path);
	if (fd < 0 && err == ENOENT)
		return disco_fail(disco, err, "no VM %s in %s", name, ram);
	/* What open() for writing says of a folder. */
	if (fd < 0 && err != EISDIR)
		return disco_fail(disco, err, "cannot open VM %s in %s%s: %s",
				  name, ram,
				  mode == O_RDWR ? " for writing" : "",
				  strerror(err));
	if (fd < 0 || (!fstat(fd, &st) && S_ISDIR(st.st_mode))) {
		if (fd >= 0)
			close(fd);
		return disco_fail(disco, EISDIR, "%s in %s is a folder, not a VM",
				  name, ram);
	}
	return fd;
}

static int open_vm(struct disco *disco, const char *name, int mode,
		   struct disco_vm **out)
{
	const char *relative;
	struct disco_vm *vm;
	char *ram;
	int ret;

	ret = folder_path(disco, "ram", &ram);
	if (ret)
		return ret;
	relative = relative_name(ram, name);
	if (!relative) {
		ret = disco_fail(disco, EINVAL,
				 "\"%s\" names no file below %s", name, ram);
		goto free_ram;
	}
	vm = calloc(1, sizeof(*vm));
	if (!vm) {
		ret = disco_oom(disco);
		goto free_ram;
	}
	vm->disco = disco;
	vm->name = strdup(relative);
	if (!vm->name) {
		ret = disco_oom(disco);
		goto free_vm;
	}
	vm->fd = open_file(disco, ram, relative, mode);
	if (vm->fd < 0) {
		ret = vm->fd;
		goto free_name;
	}
	free(ram);
	*out = vm;
	return 0;

free_name:
	free(vm->name);
free_vm:
	free(vm);
free_ram:
	free(ram);
	return ret;
}

PUBLIC int disco_vm_open(struct disco *disco, const char *name,
			 struct disco_vm **out)
{
	return open_vm(disco, name, O_RDONLY, out);
}

PUBLIC int disco_vm_open_writable(struct disco *disco, const char *name,
				  struct disco_vm **out)
{
	return open_vm(disco, name, O_RDWR, out);
}

PUBLIC void disco_vm_close(struct disco_vm *vm)
{
	if (!vm)
		return;
	close(vm->fd);
	free(vm->name);
	free(vm);
}

PUBLIC const char *disco_vm_name(const struct disco_vm *vm)
{
	return vm->name;
}

PUBLIC int disco_vm_fd(const struct disco_vm *vm)
{
	return vm->fd;
}

PUBLIC int disco_vm_stat(struct disco_vm *vm, struct disco_vm_stat *stat)
{
	stat->vm_fd = vm->fd;
	return disco_request(vm->disco, DISCO_VM_STAT, stat,
			     "statistics of VM %s", vm->name);
}

PUBLIC int disco_merge(struct disco_vm *vm, struct disco_vm *other,
		       struct disco_merge *merge)
{
	int ret;

	merge->vm_fd = vm->fd;
	merge->other_fd = other->fd;
	ret = disco_request(vm->disco, DISCO_MERGE, merge,
			    "merge of VM %s and VM %s", vm->name, other->name);
	if (ret == -EACCES)
		ret = disco_fail(vm->disco, EACCES,
				 "VM %s or VM %s takes no part in merging (its file has the attribute C, see chattr)",
				 vm->name, other->name);
	return ret;
}

PUBLIC int disco_move(struct disco_vm *vm, struct disco_move *move)
{
	move->vm_fd = vm->fd;
	return disco_request(vm->disco, DISCO_MOVE, move,
			     "move of pages of VM %s", vm->name);
}

PUBLIC int disco_heat_set(struct disco_vm *vm, struct disco_heat_set *set)
{
	set->vm_fd = vm->fd;
	return disco_request(vm->disco, DISCO_HEAT_SET, set,
			     "sampling of VM %s", vm->name);
}

PUBLIC int disco_heat_stat(struct disco_vm *vm, struct disco_heat_stat *stat)
{
	stat->vm_fd = vm->fd;
	return disco_request(vm->disco, DISCO_HEAT_STAT, stat,
			     "sampler of VM %s", vm->name);
}

PUBLIC int disco_heat_report(struct disco_vm *vm,
			     struct disco_heat_report *report)
{
	report->vm_fd = vm->fd;
	return disco_request(vm->disco, DISCO_HEAT_REPORT, report,
			     "report of heat of VM %s", vm->name);
}

PUBLIC int disco_heat_drain(struct disco_vm *vm, struct disco_heat_drain *drain)
{
	drain->vm_fd = vm->fd;
	return disco_request(vm->disco, DISCO_HEAT_DRAIN, drain,
			     "heat of VM %s", vm->name);
}
