// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who runs machines: the processes that have a machine's memory mapped, and their
 * threads. Processes of others are not told to everybody, and are then not found;
 * neither is what ends meanwhile.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <linux/disco.h>

#include "monitors.h"

/**
 * struct maps - machines that a process has mapped
 * @found: each once, however many parts and views it is mapped in
 * @nr: how many
 * @room: room for how many
 */
struct maps {
	struct monitor *found;
	size_t nr;
	size_t room;
};

static int add_map(struct maps *maps, pid_t pid, ino_t ino, bool views)
{
	struct monitor *more;

	for (size_t i = 0; i < maps->nr; i++) {
		if (maps->found[i].ino == ino) {
			maps->found[i].views |= views;
			return 0;
		}
	}
	if (maps->nr == maps->room) {
		more = reallocarray(maps->found, maps->room + 8, sizeof(*more));
		if (!more)
			return -ENOMEM;
		maps->found = more;
		maps->room += 8;
	}
	maps->found[maps->nr++] = (struct monitor) {
		.pid = pid, .ino = ino, .views = views,
	};
	return 0;
}

static int read_maps(struct maps *maps, pid_t pid, FILE *file, dev_t dev)
{
	char *line = NULL;
	size_t room = 0;
	int ret = 0;

	while (!ret && getline(&line, &room, file) > 0) {
		unsigned int major_nr, minor_nr;
		uint64_t offset, ino;
		char write;

		/* Who only looks, as discoctl merge does, runs nothing. */
		if (sscanf(line, "%*x-%*x %*c%c%*2c %" SCNx64 " %x:%x %" SCNu64,
			   &write, &offset, &major_nr, &minor_nr, &ino) != 5 ||
		    write != 'w' || makedev(major_nr, minor_nr) != dev)
			continue;
		ret = add_map(maps, pid, ino, offset >> DISCO_VIEW_SHIFT);
	}
	free(line);
	return ret;
}

static FILE *open_file(const char *proc, pid_t pid, const char *file)
{
	FILE *stream;
	char *path;

	if (asprintf(&path, "%s/%d/%s", proc, pid, file) < 0)
		return NULL;
	stream = fopen(path, "re");
	free(path);
	return stream;
}

/* A folder that has a number for its name, or 0. */
static pid_t number_of(const struct dirent *ent)
{
	return isdigit((unsigned char)ent->d_name[0]) ? atoi(ent->d_name) : 0;
}

/**
 * monitors_each - find the processes that run machines
 * @proc: where the kernel tells about processes
 * @dev: the mount's device number
 * @found: called for each process and machine; what is not 0 ends the walk
 * @data: passed on to @found
 *
 * Return: what @found returned last, 0 if it was not called; -ENOMEM.
 */
int monitors_each(const char *proc, dev_t dev,
		  int (*found)(const struct monitor *monitor, void *data),
		  void *data)
{
	DIR *dir = opendir(proc);
	struct maps maps = { 0 };
	struct dirent *ent;
	int ret = 0;

	while (!ret && dir && (ent = readdir(dir))) {
		pid_t pid = number_of(ent);
		FILE *file = pid ? open_file(proc, pid, "maps") : NULL;

		if (!file)
			continue;
		maps.nr = 0;
		ret = read_maps(&maps, pid, file, dev);
		fclose(file);
		for (size_t i = 0; !ret && i < maps.nr; i++)
			ret = found(&maps.found[i], data);
	}
	if (dir)
		closedir(dir);
	free(maps.found);
	return ret;
}

/* Fields 2, 14, 15, 22 and 39 of proc(5)'s stat; the name may be anything. */
static bool parse_stat(const char *text, struct monitor_thread *thread)
{
	const char *name = strchr(text, '('), *rest = strrchr(text, ')');
	uint64_t user, system;

	if (!name || !rest || rest < name ||
	    sscanf(rest + 1,
		   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
		   " %*d %*d %*d %*d %*d %*d %" SCNu64
		   " %*u %*d %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*d %u",
		   &user, &system, &thread->start, &thread->cpu) != 4)
		return false;
	thread->ticks = user + system;
	snprintf(thread->name, sizeof(thread->name), "%.*s",
		 (int)(rest - name - 1), name + 1);
	return true;
}

/**
 * monitor_threads - find the threads of a process
 * @proc: where the kernel tells about processes
 * @pid: the process
 * @found: called for each; what is not 0 ends the walk
 * @data: passed on to @found
 *
 * Return: what @found returned last, 0 if it was not called; -ENOMEM.
 */
int monitor_threads(const char *proc, pid_t pid,
		    int (*found)(const struct monitor_thread *thread, void *data),
		    void *data)
{
	struct dirent *ent;
	char *tasks;
	int ret = 0;
	DIR *dir;

	if (asprintf(&tasks, "%s/%d/task", proc, pid) < 0)
		return -ENOMEM;
	dir = opendir(tasks);
	while (!ret && dir && (ent = readdir(dir))) {
		struct monitor_thread thread = { .id = number_of(ent) };
		char text[1024];
		size_t len;
		FILE *file;

		file = thread.id ? open_file(tasks, thread.id, "stat") : NULL;
		if (!file)
			continue;
		len = fread(text, 1, sizeof(text) - 1, file);
		fclose(file);
		text[len] = '\0';
		if (parse_stat(text, &thread))
			ret = found(&thread, data);
	}
	if (dir)
		closedir(dir);
	free(tasks);
	return ret;
}
