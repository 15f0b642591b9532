// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The counters of the module: one number in each file of a folder.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "private.h"

static int not_hidden(const struct dirent *ent)
{
	return ent->d_name[0] != '.';
}

static int compare_entries(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool parse_value(const char *text, uint64_t *value)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return !errno && (!strcmp(end, "\n") || !*end);
}

static int read_counter(struct disco *disco, int dir, const char *name,
			uint64_t *value)
{
	char text[32];
	ssize_t len;
	int err;
	int fd;

	fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return disco_fail(disco, errno, "cannot open counter %s: %s",
				  name, strerror(errno));
	len = read(fd, text, sizeof(text) - 1);
	err = errno;
	close(fd);
	if (len < 0)
		return disco_fail(disco, err, "cannot read counter %s: %s",
				  name, strerror(err));
	text[len] = '\0';
	if (!parse_value(text, value))
		return disco_fail(disco, EIO, "counter %s is not a number",
				  name);
	return 0;
}

static int read_counters(struct disco *disco, int dir, struct dirent **ents,
			 size_t nr, struct disco_counter *list)
{
	for (size_t i = 0; i < nr; i++) {
		int ret = read_counter(disco, dir, ents[i]->d_name,
				       &list[i].value);

		if (ret)
			return ret;
		list[i].name = strdup(ents[i]->d_name);
		if (!list[i].name)
			return disco_oom(disco);
	}
	return 0;
}

PUBLIC int disco_counters(struct disco *disco, struct disco_counter **counters,
			  size_t *nr)
{
	struct disco_counter *list;
	struct dirent **ents;
	int found;
	int dir;
	int ret;

	dir = open(disco->counters_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return disco_fail(disco, errno, "cannot open %s: %s%s",
				  disco->counters_dir, strerror(errno),
				  errno == ENOENT ?
				  " (is the disco module loaded?)" : "");
	found = scandirat(dir, ".", &ents, not_hidden, compare_entries);
	if (found < 0) {
		ret = disco_fail(disco, errno, "cannot list %s: %s",
				 disco->counters_dir, strerror(errno));
		goto close_dir;
	}
	list = calloc(found + 1, sizeof(*list));
	ret = list ? read_counters(disco, dir, ents, found, list) :
		     disco_oom(disco);
	if (ret) {
		disco_counters_free(list, list ? found : 0);
		goto free_ents;
	}
	*counters = list;
	*nr = found;

free_ents:
	for (int i = 0; i < found; i++)
		free(ents[i]);
	free(ents);
close_dir:
	close(dir);
	return ret;
}

PUBLIC void disco_counters_free(struct disco_counter *counters, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		free(counters[i].name);
	free(counters);
}
