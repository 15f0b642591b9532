// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory of domains: files of disco, cloned copy-on-write.
 */
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "virt.h"

#define BACKEND "memory-backend-"

/* A property of one of QEMU's memory backends. */
static int property(const struct job *job, virDomainPtr domain,
		    const char *backend, const char *name,
		    struct json_object **value)
{
	return qmp(job, domain, -1, value,
		   "{\"execute\":\"qom-get\",\"arguments\":{\"path\":\"/objects/%s\",\"property\":\"%s\"}}",
		   backend, name);
}

static int open_memory(const struct job *job, virDomainPtr domain,
		       const char *backend, bool writable, struct disco_vm **vm)
{
	struct disco *disco = job->ctl->disco;
	struct json_object *path;
	const char *file;
	int ret;

	ret = property(job, domain, backend, "mem-path", &path);
	if (ret)
		return ret;
	file = json_object_get_string(path);
	if (writable ? disco_vm_open_writable(disco, file, vm) :
		       disco_vm_open(disco, file, vm))
		ret = ctl_error(job->ctl,
				"the memory of domain %s is not a file of disco: %s",
				virDomainGetName(domain), disco_error(disco));
	json_object_put(path);
	return ret;
}

/* Calls @fn for each of the source's memory backends. */
static int each_backend(struct job *job, struct copy *copy,
			int (*fn)(struct job *job, struct copy *copy,
				  const char *backend, const char *type))
{
	struct json_object *list;
	size_t nr = 0;
	int ret;

	ret = qmp(job, job->source, -1, &list,
		  "{\"execute\":\"qom-list\",\"arguments\":{\"path\":\"/objects\"}}");
	if (ret)
		return ret;
	for (size_t i = 0; !ret && i < json_object_array_length(list); i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		struct json_object *name, *type;
		const char *kind;

		if (!json_object_object_get_ex(item, "name", &name) ||
		    !json_object_object_get_ex(item, "type", &type))
			continue;
		kind = strstr(json_object_get_string(type), BACKEND);
		if (!kind)
			continue;
		nr++;
		ret = fn(job, copy, json_object_get_string(name),
			 kind + strlen(BACKEND));
	}
	json_object_put(list);
	if (!ret && !nr)
		ret = ctl_error(job->ctl,
				"the memory of domain %s is not in a file: its XML needs <memoryBacking> with <source type='file'/> and <access mode='shared'/>",
				job->domain.name);
	return ret;
}

static int check_backend(struct job *job, struct copy *copy,
			 const char *backend, const char *type)
{
	struct json_object *share;
	struct disco_vm *vm;
	int ret;

	(void)copy;
	if (strcmp(type, "file>"))
		return ctl_error(job->ctl,
				 "memory %s of domain %s is not in a file: its XML needs <memoryBacking> with <source type='file'/>",
				 backend, job->domain.name);
	ret = open_memory(job, job->source, backend, false, &vm);
	if (ret)
		return ret;
	disco_vm_close(vm);
	ret = property(job, job->source, backend, "share", &share);
	if (ret)
		return ret;
	if (!json_object_get_boolean(share))
		ret = ctl_error(job->ctl,
				"memory %s of domain %s is not shared: its XML needs <memoryBacking> with <access mode='shared'/>",
				backend, job->domain.name);
	json_object_put(share);
	return ret;
}

/**
 * memory_check - is all of the source's memory in files of disco?
 * @job: the run
 *
 * Return: exit code.
 */
int memory_check(struct job *job)
{
	return each_backend(job, NULL, check_backend);
}

/* The copy's QEMU has its file mapped already, and sees the pages change. */
static int clone_backend(struct job *job, struct copy *copy,
			 const char *backend, const char *type)
{
	struct disco_vm *from, *to;
	int ret;

	(void)type;
	ret = open_memory(job, job->source, backend, false, &from);
	if (ret)
		return ret;
	ret = open_memory(job, copy->domain, backend, true, &to);
	if (!ret) {
		if (ioctl(disco_vm_fd(to), FICLONE, disco_vm_fd(from)))
			ret = ctl_error(job->ctl,
					"cannot clone the memory of domain %s for %s: %s%s",
					job->domain.name, copy->name,
					strerror(errno), errno == ENOSPC ?
					" (the mount's size= limits it)" : "");
		disco_vm_close(to);
	}
	disco_vm_close(from);
	return ret;
}

/**
 * memory_clone - give a copy the memory of the source
 * @job: the run
 * @copy: the copy, whose QEMU waits for its state
 *
 * Return: exit code.
 */
int memory_clone(struct job *job, struct copy *copy)
{
	return each_backend(job, copy, clone_backend);
}
