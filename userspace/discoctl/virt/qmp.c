// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests to QEMU that libvirt has no words for: device state, without the
 * memory, out of the source and into a copy.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <libvirt/libvirt-qemu.h>

#include "virt.h"

/* Names the file of the state in QEMU; a name is there until QEMU has used it. */
#define STATE_FD "disco-clone"

#define POLL_MS 10

/**
 * qmp - ask QEMU
 * @job: the run
 * @domain: whose QEMU
 * @fd: file that goes with the request, or -1
 * @answer: the answer's member "return", to be put by the caller; may be NULL
 * @fmt: the request
 *
 * Return: exit code.
 */
int qmp(const struct job *job, virDomainPtr domain, int fd,
	struct json_object **answer, const char *fmt, ...)
{
	struct json_object *obj, *part;
	char *request, *text = NULL;
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = vasprintf(&request, fmt, ap);
	va_end(ap);
	if (ret < 0)
		return no_memory(job->ctl);
	if (fd < 0)
		ret = virDomainQemuMonitorCommand(domain, request, &text, 0);
	else
		ret = virDomainQemuMonitorCommandWithFiles(domain, request, 1,
							   &fd, NULL, NULL,
							   &text, 0);
	free(request);
	if (ret < 0)
		return libvirt_error(job->ctl, "cannot ask QEMU of domain",
				     virDomainGetName(domain));
	obj = json_tokener_parse(text);
	free(text);
	if (json_object_object_get_ex(obj, "error", &part) &&
	    json_object_object_get_ex(part, "desc", &part))
		ret = ctl_error(job->ctl, "QEMU of domain %s: %s",
				virDomainGetName(domain),
				json_object_get_string(part));
	else if (!json_object_object_get_ex(obj, "return", &part))
		ret = ctl_error(job->ctl, "QEMU of domain %s gives no answer",
				virDomainGetName(domain));
	else
		ret = EXIT_OK;
	if (!ret && answer)
		*answer = json_object_get(part);
	json_object_put(obj);
	return ret;
}

/* Member @key of what a request without arguments returns; "" if there is none. */
static int qmp_word(const struct job *job, virDomainPtr domain,
		    const char *request, const char *key, char *word,
		    size_t size)
{
	struct json_object *answer, *part;
	int ret = qmp(job, domain, -1, &answer, "{\"execute\":\"%s\"}", request);

	if (ret)
		return ret;
	word[0] = '\0';
	if (json_object_object_get_ex(answer, key, &part)) {
		if (json_object_is_type(part, json_type_array))
			part = json_object_array_get_idx(part, 0);
		snprintf(word, size, "%s", json_object_get_string(part));
	}
	json_object_put(answer);
	return EXIT_OK;
}

/**
 * qmp_check_source - can the state of the source be saved?
 * @job: the run
 *
 * Return: exit code.
 */
int qmp_check_source(struct job *job)
{
	char word[256];
	int ret;

	ret = qmp_word(job, job->source, "query-status", "status", word,
		       sizeof(word));
	if (ret)
		return ret;
	/* Its QEMU has let go of its disks until it goes on. */
	if (!strcmp(word, "postmigrate"))
		return ctl_error(job->ctl,
				 "domain %s has been cloned since it was paused: to clone it again let it go on first (virsh resume, virsh suspend)",
				 job->domain.name);
	ret = qmp_word(job, job->source, "query-migrate", "blocked-reasons",
		       word, sizeof(word));
	if (!ret && word[0])
		ret = ctl_error(job->ctl,
				"the state of domain %s cannot be saved: %s",
				job->domain.name, word);
	return ret;
}

/*
 * Without this the state has the memory as well. libvirt does not know of it: left
 * on, it would make what libvirt saves later useless.
 */
#define IGNORE_SHARED(state) \
	"{\"execute\":\"migrate-set-capabilities\",\"arguments\":{\"capabilities\":" \
	"[{\"capability\":\"x-ignore-shared\",\"state\":" state "}]}}"

static int ignore_shared(const struct job *job, virDomainPtr domain)
{
	return qmp(job, domain, -1, NULL, IGNORE_SHARED("true"));
}

/* After an error, @ret, there is nothing more to say. */
static int respect_shared(const struct job *job, virDomainPtr domain, int ret)
{
	char *answer = NULL;

	if (!ret)
		return qmp(job, domain, -1, NULL, IGNORE_SHARED("false"));
	virDomainQemuMonitorCommand(domain, IGNORE_SHARED("false"), &answer, 0);
	free(answer);
	return ret;
}

/* Waits until a migration is over. */
static int wait_migration(const struct job *job, virDomainPtr domain)
{
	char status[32];
	int ret;

	for (;;) {
		ret = qmp_word(job, domain, "query-migrate", "status", status,
			       sizeof(status));
		if (ret || !strcmp(status, "completed"))
			return ret;
		if (!strcmp(status, "failed") || !strcmp(status, "cancelled"))
			return ctl_error(job->ctl, "QEMU of domain %s: the state could not be %s",
					 virDomainGetName(domain),
					 domain == job->source ? "saved" :
								 "loaded");
		poll(NULL, 0, POLL_MS);
	}
}

/**
 * qmp_save - save the state of the source's devices
 * @job: the run
 * @fd: file to save it in
 *
 * Return: exit code.
 */
int qmp_save(struct job *job, int fd)
{
	int ret = ignore_shared(job, job->source);

	if (ret)
		return ret;
	ret = qmp(job, job->source, fd, NULL,
		  "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"" STATE_FD "\"}}");
	if (!ret)
		ret = qmp(job, job->source, -1, NULL,
			  "{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"fd:" STATE_FD "\"}}");
	if (!ret)
		ret = wait_migration(job, job->source);
	return respect_shared(job, job->source, ret);
}

static int load(struct job *job, struct copy *copy, int fd)
{
	int ret = ignore_shared(job, copy->domain);

	/* The copy would announce the source's address as its own. */
	if (!ret)
		ret = qmp(job, copy->domain, -1, NULL,
			  "{\"execute\":\"migrate-set-parameters\",\"arguments\":{\"announce-rounds\":0}}");
	if (!ret)
		ret = qmp(job, copy->domain, fd, NULL,
			  "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"" STATE_FD "\"}}");
	if (!ret)
		ret = qmp(job, copy->domain, -1, NULL,
			  "{\"execute\":\"migrate-incoming\",\"arguments\":{\"uri\":\"fd:" STATE_FD "\"}}");
	if (!ret)
		ret = wait_migration(job, copy->domain);
	return respect_shared(job, copy->domain, ret);
}

/**
 * qmp_load - load the state of the source's devices into a copy
 * @job: the run
 * @copy: the copy
 * @fd: file that has it
 *
 * Return: exit code.
 */
int qmp_load(struct job *job, struct copy *copy, int fd)
{
	char path[32];
	int own, ret;

	/* With a position of its own. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_RDONLY | O_CLOEXEC);
	if (own < 0)
		return ctl_error(job->ctl, "cannot open the saved state: %s",
				 strerror(errno));
	ret = load(job, copy, own);
	close(own);
	return ret;
}
