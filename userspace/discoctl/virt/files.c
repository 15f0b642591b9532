// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names and contents of the files that a copy has for itself.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "virt.h"

/**
 * copy_path - name of a copy's file
 * @path: the source's file
 * @name: the source's name
 * @new_name: the copy's name
 *
 * In the same folder: NAME.qcow2 becomes NEW.qcow2, NAME-data.raw becomes
 * NEW-data.raw, and any other file gets NEW- put before its name.
 *
 * Return: a path to be freed, or NULL without memory.
 */
char *copy_path(const char *path, const char *name, const char *new_name)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	size_t len = strlen(name);
	char *out;

	bool named = !strncmp(base, name, len) &&
		     !isalnum((unsigned char)base[len]);

	if (asprintf(&out, "%.*s%s%s%s", (int)(base - path), path, new_name,
		     named ? "" : "-", named ? base + len : base) < 0)
		return NULL;
	return out;
}

/* Where the number that next_overlay() has put before the ending begins. */
static size_t stem_length(const char *path, size_t ending)
{
	size_t at = ending;

	while (at && isdigit((unsigned char)path[at - 1]))
		at--;
	if (at < ending && at > 1 && path[at - 1] == '.' && path[at - 2] != '/')
		return at - 1;
	return ending;
}

/**
 * next_overlay - name of a file on top of another
 * @path: the other file, such as a.qcow2
 *
 * Return: path of a file that is not there, such as a.1.qcow2, to be freed; or
 * NULL without memory.
 */
char *next_overlay(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *dot = strrchr(slash ? slash : path, '.');
	size_t ending = dot ? (size_t)(dot - path) : strlen(path);
	size_t stem = stem_length(path, ending);
	struct stat st;

	for (unsigned int i = 1;; i++) {
		char *out;

		if (asprintf(&out, "%.*s.%u%s", (int)stem, path, i,
			     path + ending) < 0)
			return NULL;
		if (lstat(out, &st))
			return out;
		free(out);
	}
}

/* Makes an empty file that QEMU can use like the one that it is a copy of. */
static int reserve(struct ctl *ctl, const char *like, const char *path)
{
	struct stat st;
	int fd;

	if (stat(like, &st))
		return ctl_error(ctl, "%s: %s", like, strerror(errno));
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return ctl_error(ctl, "cannot make %s, the disk of a copy: %s",
				 path, strerror(errno));
	/* Who may not give files away runs QEMU as himself. */
	if (fchown(fd, st.st_uid, st.st_gid))
		errno = 0;
	fchmod(fd, st.st_mode & 0777);
	close(fd);
	return EXIT_OK;
}

/* Empty overlays of one file are alike: the source has not written to its own. */
static int copy_overlay(struct ctl *ctl, const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CLOEXEC);
	ssize_t done = -1;

	if (in >= 0 && out >= 0)
		while ((done = sendfile(out, in, NULL, 1 << 20)) > 0)
			;
	if (done)
		ctl_error(ctl, "cannot copy %s to %s: %s", from, to,
			  strerror(errno));
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return done ? EXIT_ERROR : EXIT_OK;
}

static int make_overlay(struct job *job, size_t i, size_t j)
{
	const struct disk *disk = &job->domain.disk[j];
	struct copy *copy = &job->copy[i];
	char *path;
	int ret;

	path = copy_path(disk->frozen, job->domain.name, copy->name);
	if (!path)
		return no_memory(job->ctl);
	ret = reserve(job->ctl, disk->frozen, path);
	if (ret) {
		free(path);
		return ret;
	}
	copy->overlay[j] = path;
	return copy_overlay(job->ctl, disk->overlay, path);
}

/**
 * make_overlays - make the disks of all copies, on top of the source's
 * @job: the run, whose source's disks are frozen
 *
 * Return: exit code.
 */
int make_overlays(struct job *job)
{
	int ret = EXIT_OK;

	for (size_t i = 0; !ret && i < job->nr; i++) {
		job->copy[i].overlay = calloc(job->domain.nr_disks + 1,
					      sizeof(char *));
		if (!job->copy[i].overlay)
			return no_memory(job->ctl);
		for (size_t j = 0; !ret && j < job->domain.nr_disks; j++)
			ret = make_overlay(job, i, j);
	}
	return ret;
}

/**
 * remove_overlays - remove what make_overlays() made
 * @job: the run
 */
void remove_overlays(struct job *job)
{
	for (size_t i = 0; i < job->nr; i++)
		for (size_t j = 0; job->copy[i].overlay &&
				   j < job->domain.nr_disks; j++)
			if (job->copy[i].overlay[j])
				unlink(job->copy[i].overlay[j]);
}
