// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Disks: making, finding, statistics, removing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "private.h"

/**
 * struct place - where a disk is
 * @folder: path of disk/
 * @path: path of the disk
 * @name: its name, a part of @path
 */
struct place {
	char *folder;
	char *path;
	const char *name;
};

static void place_free(struct place *place)
{
	free(place->path);
	free(place->folder);
}

/* A mount of a module that has no disks does not have the folder either. */
static int find_folder(struct disco *disco, char **path)
{
	int ret = folder_path(disco, "disk", path);

	if (ret)
		return ret;
	if (!access(*path, F_OK) || errno != ENOENT)
		return 0;
	ret = disco_fail(disco, ENOTTY,
			 "%s does not exist: the module is too old for disks",
			 *path);
	free(*path);
	return ret;
}

/* A name is not a path: there are no subfolders. */
static int check_name(struct disco *disco, const char *folder,
		      const char *given, const char *name)
{
	if (!name || strchr(name, '/') || !strcmp(name, ".") ||
	    !strcmp(name, ".."))
		return disco_fail(disco, EINVAL,
				  "\"%s\" is no name for a disk: it is one file directly below %s",
				  given, folder);
	if (strlen(name) > NAME_MAX)
		return disco_fail(disco, ENAMETOOLONG,
				  "the name of a disk has at most %d bytes, this one has %zu",
				  NAME_MAX, strlen(name));
	return 0;
}

static int find_disk(struct disco *disco, const char *given, struct place *place)
{
	const char *name;
	int ret;

	ret = find_folder(disco, &place->folder);
	if (ret)
		return ret;
	name = relative_name(place->folder, given);
	ret = check_name(disco, place->folder, given, name);
	if (!ret && asprintf(&place->path, "%s/%s", place->folder, name) < 0)
		ret = disco_oom(disco);
	if (ret) {
		free(place->folder);
		return ret;
	}
	place->name = place->path + strlen(place->folder) + 1;
	return 0;
}

static int not_a_backing(struct disco *disco, const char *path, int err)
{
	return disco_fail(disco, err,
			  err == EISDIR ?
			  "%s is a folder: a disk is made from a file or a block device" :
			  "%s is neither a file nor a block device", path);
}

/* What is no backing is not opened either: a FIFO would block, a tape move. */
static int open_backing(struct disco *disco, const char *path, struct stat *st)
{
	int fd;

	if (stat(path, st))
		return disco_fail(disco, errno, "cannot read %s: %s", path,
				  strerror(errno));
	if (S_ISDIR(st->st_mode))
		return not_a_backing(disco, path, EISDIR);
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return not_a_backing(disco, path, EINVAL);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return disco_fail(disco, errno, "cannot open %s: %s", path,
				  strerror(errno));
	return fd;
}

/* The module's refusal in words, with what would be right. */
static int explain_refusal(struct disco *disco, int err,
			   const struct place *place, const char *path,
			   bool block)
{
	switch (err) {
	case EISDIR:
	case EINVAL:
		return not_a_backing(disco, path, err);
	case ELOOP:
		return disco_fail(disco, err,
				  "%s is on a disco file system itself, a disk has to be made from a file outside",
				  path);
	case ENODATA:
		return disco_fail(disco, err, "%s is empty", path);
	case EFBIG:
		return disco_fail(disco, err,
				  "%s is too large: a disk is at most as large as the largest VM (see max_gfn in discoctl version)",
				  path);
	case ETXTBSY:
		return disco_fail(disco, err, block ?
				  "%s can be written to: set it read-only first (blockdev --setro)" :
				  "%s is open for writing: close it where it is written first (see fuser -v)",
				  path);
	case EEXIST:
		return disco_fail(disco, err,
				  "there is a disk %s in %s already: choose another name or remove it",
				  place->name, place->folder);
	case EACCES:
		return disco_fail(disco, err,
				  "you may not make disks: that needs permission to write to %s",
				  place->folder);
	default:
		return -err;
	}
}

PUBLIC int disco_disk_add(struct disco *disco, const char *name,
			  const char *path, unsigned int mode,
			  uint64_t max_bytes)
{
	struct disco_disk_add req = {
		.size = sizeof(req),
		.mode = mode,
		.max_bytes = max_bytes,
	};
	struct place place;
	struct stat st;
	int ret;

	if (mode & ~0777U)
		return disco_fail(disco, EINVAL,
				  "mode 0%o is no set of permissions: 0 to 0777",
				  mode);
	ret = find_disk(disco, name, &place);
	if (ret)
		return ret;
	ret = open_backing(disco, path, &st);
	if (ret < 0)
		goto free_place;
	req.backing_fd = ret;
	ret = open_mount(disco, &req.mount_fd);
	if (ret)
		goto close_backing;

	req.name = (uintptr_t)place.name;
	req.name_len = strlen(place.name);
	ret = disco_request(disco, DISCO_DISK_ADD, &req, "disk %s from %s",
			    place.name, path);
	if (ret)
		ret = explain_refusal(disco, -ret, &place, path,
				      S_ISBLK(st.st_mode));
	close(req.mount_fd);
close_backing:
	close(req.backing_fd);
free_place:
	place_free(&place);
	return ret;
}

PUBLIC int disco_disk_names(struct disco *disco, char ***names, size_t *nr)
{
	struct name_list list = { 0 };
	struct dirent *ent;
	char *folder;
	int ret;
	DIR *dir;

	ret = find_folder(disco, &folder);
	if (ret)
		return ret;
	dir = opendir(folder);
	if (!dir) {
		ret = disco_fail(disco, errno, "cannot list %s: %s", folder,
				 strerror(errno));
		goto free_folder;
	}
	while (!ret && (errno = 0, ent = readdir(dir)))
		if (strcmp(ent->d_name, ".") && strcmp(ent->d_name, ".."))
			ret = name_list_add(disco, &list, ent->d_name);
	if (!ret && errno)
		ret = disco_fail(disco, errno, "cannot list %s: %s", folder,
				 strerror(errno));
	closedir(dir);
	if (ret) {
		name_list_free(&list);
		goto free_folder;
	}
	name_list_sort(&list);
	*names = list.names;
	*nr = list.nr;
free_folder:
	free(folder);
	return ret;
}

PUBLIC void disco_disk_names_free(char **names, size_t nr)
{
	struct name_list list = { .names = names, .nr = nr };

	name_list_free(&list);
}

/* What open() or unlink() say of a disk. */
static int disk_error(struct disco *disco, int err, const char *what,
		      const struct place *place)
{
	if (err == ENOENT)
		return disco_fail(disco, err, "no disk %s in %s", place->name,
				  place->folder);
	if (err == EBUSY)
		return disco_fail(disco, err,
				  "disk %s is in use: a program has it open, or VMs have its pages (see: discoctl disk show)",
				  place->name);
	return disco_fail(disco, err, "cannot %s disk %s in %s: %s", what,
			  place->name, place->folder, strerror(err));
}

static int open_disk(struct disco *disco, const char *name)
{
	struct place place;
	int fd;

	fd = find_disk(disco, name, &place);
	if (fd)
		return fd;
	fd = open(place.path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		fd = disk_error(disco, errno, "open", &place);
	place_free(&place);
	return fd;
}

PUBLIC int disco_disk_stat(struct disco *disco, const char *name,
			   struct disco_disk_stat *stat)
{
	int ret = open_disk(disco, name);

	if (ret < 0)
		return ret;
	stat->disk_fd = ret;
	ret = disco_request(disco, DISCO_DISK_STAT, stat,
			    "statistics of disk %s", name);
	close(stat->disk_fd);
	return ret;
}

PUBLIC int disco_disk_drop_cache(struct disco *disco, const char *name)
{
	int fd = open_disk(disco, name);
	int err;

	if (fd < 0)
		return fd;
	err = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	if (err)
		return disco_fail(disco, err,
				  "cannot drop the cache of disk %s: %s", name,
				  strerror(err));
	return 0;
}

PUBLIC int disco_disk_remove(struct disco *disco, const char *name)
{
	struct place place;
	int ret;

	ret = find_disk(disco, name, &place);
	if (ret)
		return ret;
	if (unlink(place.path))
		ret = disk_error(disco, errno, "remove", &place);
	place_free(&place);
	return ret;
}

static const char * const state_names[] = {
	[DISCO_DISK_OK] = "ok",
	[DISCO_DISK_CHANGED] = "changed",
};

PUBLIC const char *disco_disk_state_name(unsigned int state)
{
	return state < ARRAY_SIZE(state_names) ? state_names[state] : "unknown";
}
