// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Names of files below a folder of the mount, and lists of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

/**
 * folder_path - where a folder of the mount is
 * @disco: the context
 * @folder: "ram" or "disk"
 * @path: its path, to be freed
 *
 * Return: 0 or a negative errno, explained by disco_error().
 */
int folder_path(struct disco *disco, const char *folder, char **path)
{
	const char *mount;
	int ret;

	ret = disco_mount(disco, &mount);
	if (ret)
		return ret;
	if (asprintf(path, "%s/%s", mount, folder) < 0)
		return disco_oom(disco);
	return 0;
}

/**
 * relative_name - make a name relative to its folder
 * @folder: path of the folder
 * @name: relative, or absolute and below @folder
 *
 * Return: part of @name, or NULL if it is empty or elsewhere.
 */
const char *relative_name(const char *folder, const char *name)
{
	size_t len = strlen(folder);

	if (name[0] == '/') {
		if (strncmp(name, folder, len) || name[len] != '/')
			return NULL;
		name += len;
	}
	while (name[0] == '/')
		name++;
	return name[0] ? name : NULL;
}

/**
 * name_list_add - add a copy of a name to a list
 * @disco: the context
 * @list: the list
 * @name: the name
 *
 * Return: 0 or -ENOMEM, explained by disco_error().
 */
int name_list_add(struct disco *disco, struct name_list *list, const char *name)
{
	if (list->nr == list->room) {
		size_t room = list->room ? list->room * 2 : 16;
		char **names = reallocarray(list->names, room, sizeof(*names));

		if (!names)
			return disco_oom(disco);
		list->names = names;
		list->room = room;
	}
	list->names[list->nr] = strdup(name);
	if (!list->names[list->nr])
		return disco_oom(disco);
	list->nr++;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char * const *)a, *(char * const *)b);
}

/**
 * name_list_sort - sort a list by alphabet
 * @list: the list
 */
void name_list_sort(struct name_list *list)
{
	if (list->nr)
		qsort(list->names, list->nr, sizeof(*list->names),
		      compare_names);
}

/**
 * name_list_free - free the names of a list
 * @list: the list
 */
void name_list_free(struct name_list *list)
{
	for (size_t i = 0; i < list->nr; i++)
		free(list->names[i]);
	free(list->names);
}
