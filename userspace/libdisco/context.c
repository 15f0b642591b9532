// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The context: where device and mount are, and how failures become text.
 */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "private.h"

PUBLIC int disco_new(struct disco **out)
{
	struct disco *disco = calloc(1, sizeof(*disco));

	if (!disco)
		return -ENOMEM;
	disco->fd = -1;
	disco->mounts_file = "/proc/self/mounts";
	disco->counters_dir = "/sys/class/misc/disco/counters";
	*out = disco;
	return 0;
}

PUBLIC void disco_free(struct disco *disco)
{
	if (!disco)
		return;
	if (disco->fd >= 0)
		close(disco->fd);
	free(disco->device);
	free(disco->wanted_mount);
	free(disco->mount);
	free(disco);
}

PUBLIC const char *disco_error(const struct disco *disco)
{
	return disco->error;
}

PUBLIC const char *disco_version(void)
{
	return DISCO_VERSION;
}

/**
 * disco_fail - note why a function fails
 * @disco: the context
 * @err: positive errno
 * @fmt: what went wrong
 *
 * Return: -@err.
 */
int disco_fail(struct disco *disco, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(disco->error, sizeof(disco->error), fmt, ap);
	va_end(ap);
	return -err;
}

/**
 * disco_oom - note that there is no memory
 * @disco: the context
 *
 * Return: -ENOMEM.
 */
int disco_oom(struct disco *disco)
{
	return disco_fail(disco, ENOMEM, "not enough memory");
}

static int replace_string(struct disco *disco, char **where, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return disco_oom(disco);
	free(*where);
	*where = copy;
	return 0;
}

PUBLIC int disco_set_device(struct disco *disco, const char *path)
{
	int ret = replace_string(disco, &disco->device, path);

	if (!ret && disco->fd >= 0) {
		close(disco->fd);
		disco->fd = -1;
	}
	return ret;
}

PUBLIC int disco_set_mount(struct disco *disco, const char *path)
{
	int ret = replace_string(disco, &disco->wanted_mount, path);

	if (!ret) {
		free(disco->mount);
		disco->mount = NULL;
	}
	return ret;
}

/*
 * Fills @found with @wanted if a disco file system is on top there, or with
 * the first one in the table if @any. A path may be in the table several
 * times: what was mounted last hides the others.
 */
static int search_mounts(struct disco *disco, const char *wanted, bool any,
			 char **found)
{
	struct mntent *mnt;
	char *first = NULL;
	bool hit = false;
	int ret = 0;
	FILE *table;

	table = setmntent(disco->mounts_file, "re");
	if (!table)
		return disco_fail(disco, errno, "cannot read %s: %s",
				  disco->mounts_file, strerror(errno));
	while ((mnt = getmntent(table))) {
		bool ours = !strcmp(mnt->mnt_type, "disco");

		if (!strcmp(mnt->mnt_dir, wanted)) {
			hit = ours;
		} else if (ours && any && !first) {
			first = strdup(mnt->mnt_dir);
			if (!first)
				ret = disco_oom(disco);
		}
	}
	endmntent(table);

	if (hit) {
		free(first);
		first = strdup(wanted);
		if (!first)
			return disco_oom(disco);
	}
	*found = first;
	return ret;
}

PUBLIC int disco_mount(struct disco *disco, const char **path)
{
	char *real = NULL;
	int ret;

	if (disco->mount)
		goto out;

	if (disco->wanted_mount) {
		real = realpath(disco->wanted_mount, NULL);
		if (!real)
			return disco_fail(disco, errno, "%s: %s",
					  disco->wanted_mount, strerror(errno));
	}
	ret = search_mounts(disco, real ? real : DISCO_DEFAULT_MOUNT, !real,
			    &disco->mount);
	free(real);
	if (ret)
		return ret;
	if (!disco->mount && disco->wanted_mount)
		return disco_fail(disco, ENODEV,
				  "%s: no disco file system is mounted there",
				  disco->wanted_mount);
	if (!disco->mount)
		return disco_fail(disco, ENODEV,
				  "no disco file system is mounted (mount -t disco none %s)",
				  DISCO_DEFAULT_MOUNT);
out:
	*path = disco->mount;
	return 0;
}

/**
 * open_mount - open the root of the mount
 * @disco: the context
 * @fd: filled, to be closed
 *
 * Return: 0 or a negative errno, explained by disco_error().
 */
int open_mount(struct disco *disco, int *fd)
{
	const char *mount;
	int ret;

	ret = disco_mount(disco, &mount);
	if (ret)
		return ret;
	*fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return disco_fail(disco, errno, "cannot open %s: %s", mount,
				  strerror(errno));
	return 0;
}

static int open_device(struct disco *disco)
{
	const char *path = disco->device ? disco->device : DISCO_DEFAULT_DEVICE;
	int fd;

	if (disco->fd >= 0)
		return 0;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return disco_fail(disco, errno, "cannot open %s: %s%s", path,
				  strerror(errno),
				  errno == ENOENT || errno == ENXIO ?
				  " (is the disco module loaded?)" : "");
	disco->fd = fd;
	return 0;
}

static const char *explain(int err)
{
	switch (err) {
	case ENOTTY:
		return "the module does not know this request";
	case EPERM:
		return "needs CAP_SYS_ADMIN (run it as root)";
	case E2BIG:
		return "the module is too old for this request";
	case EOPNOTSUPP:
		return "the module does not know this flag";
	case EMEDIUMTYPE:
		return "not a file of a disco file system";
	default:
		return strerror(err);
	}
}

/**
 * disco_request - ask the module
 * @disco: the context
 * @request: DISCO_*
 * @arg: structure of the request
 * @fmt: what is asked, for the error text
 *
 * Return: 0 or a negative errno, explained by disco_error().
 */
int disco_request(struct disco *disco, unsigned long request, void *arg,
		  const char *fmt, ...)
{
	char what[256];
	va_list ap;
	int err;

	err = open_device(disco);
	if (err)
		return err;
	if (!ioctl(disco->fd, request, arg))
		return 0;
	err = errno;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return disco_fail(disco, err, "%s: %s", what, explain(err));
}
