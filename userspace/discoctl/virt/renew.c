// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a copy must not have in common with its source is in its memory: host
 * name, addresses, the state of its random number generator. Only the guest can
 * change that. A helper in it (guest/renew.c) waits at a channel for a message:
 *
 *	name NAME
 *	mac OLD NEW		for each network interface
 *	seed BYTES		in hexadecimal
 *	end
 *
 * and answers "ok", or "error" and a reason. Until then the copy's links are down.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "virt.h"

#define CHANNEL "/domain/devices/channel[target/@name='" RENEW_CHANNEL "']"

/* An emulated guest on a busy machine takes seconds. */
#define PATIENCE 60

#define SEED_BYTES 64

/**
 * links_down - take the links of a copy down
 * @job: the run
 * @copy: the copy, which has not run yet
 *
 * libvirt has done so, but the state that was loaded has them up.
 *
 * Return: exit code.
 */
int links_down(struct job *job, struct copy *copy)
{
	int ret = EXIT_OK;

	for (size_t i = 0; !ret && i < copy->nr_nics; i++) {
		char path[64], *alias;

		snprintf(path, sizeof(path),
			 "/domain/devices/interface[%zu]/alias", i + 1);
		alias = xml_attribute(copy->xml, path, "name");
		if (!alias) {
			ret = no_memory(job->ctl);
			break;
		}
		ret = qmp(job, copy->domain, -1, NULL,
			  "{\"execute\":\"set_link\",\"arguments\":{\"name\":\"%s\",\"up\":false}}",
			  alias);
		free(alias);
	}
	return ret;
}

/**
 * renew_find - is there a helper in the guest?
 * @job: the run; no_helper is set if there is none
 *
 * Return: exit code.
 */
int renew_find(struct job *job)
{
	char *xml = virDomainGetXMLDesc(job->source, 0);
	char *name, *state;

	if (!xml)
		return libvirt_error(job->ctl, "cannot see the XML of domain",
				     job->domain.name);
	name = xml_attribute(xml, CHANNEL "/target", "name");
	state = xml_attribute(xml, CHANNEL "/target", "state");
	if (!name)
		job->no_helper = "the domain has no channel " RENEW_CHANNEL;
	else if (!state || strcmp(state, "connected"))
		job->no_helper = "disco-renew does not run in the guest";
	free(name);
	free(state);
	free(xml);
	return EXIT_OK;
}

static int connect_helper(const struct copy *copy)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char *path = xml_attribute(copy->xml, CHANNEL "/source", "path");
	int fd = -1;

	if (path && strlen(path) < sizeof(address.sun_path)) {
		strcpy(address.sun_path, path);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	free(path);
	if (fd >= 0 &&
	    connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static char *message(const struct copy *copy)
{
	unsigned char seed[SEED_BYTES];
	char *text = NULL;
	size_t size;
	FILE *file;

	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return NULL;
	file = open_memstream(&text, &size);
	if (!file)
		return NULL;
	fprintf(file, "name %s\n", copy->name);
	for (size_t i = 0; i < copy->nr_nics; i++)
		fprintf(file, "mac %s %s\n", copy->nic[i].old_mac,
			copy->nic[i].mac);
	fputs("seed ", file);
	for (size_t i = 0; i < sizeof(seed); i++)
		fprintf(file, "%02x", seed[i]);
	fputs("\nend\n", file);
	explicit_bzero(seed, sizeof(seed));
	if (fclose(file)) {
		free(text);
		return NULL;
	}
	return text;
}

/**
 * renew_connect - connect to the channel of the helper in a copy
 * @job: the run
 * @copy: the copy, whose QEMU waits for its state
 */
void renew_connect(struct job *job, struct copy *copy)
{
	copy->reason = job->no_helper;
	if (copy->reason)
		return;
	copy->socket = connect_helper(copy);
	if (copy->socket < 0)
		copy->reason = "its channel " RENEW_CHANNEL " cannot be reached";
}

/**
 * renew_begin - tell the helper in a copy what it is to do
 * @copy: the copy, which has its state, and is about to run: one interrupt tells the
 *	guest of all
 */
void renew_begin(struct copy *copy)
{
	char *text;

	if (copy->reason)
		return;
	text = message(copy);
	if (!text || send(copy->socket, text, strlen(text),
			       MSG_NOSIGNAL) != (ssize_t)strlen(text))
		copy->reason = "disco-renew cannot be told";
	free(text);
}

/* The copy is another machine now: its links may go up. */
static void links_up(struct copy *copy)
{
	for (size_t i = 0; i < copy->nr_nics; i++) {
		char *nic;

		if (!copy->nic[i].up)
			continue;
		nic = xml_link_up(copy->xml, i + 1);
		if (!nic || virDomainUpdateDeviceFlags(copy->domain, nic,
						       VIR_DOMAIN_AFFECT_LIVE))
			copy->reason = "libvirt cannot set its links up";
		free(nic);
	}
}

/* Reads what the helper says. */
static void hear(const struct job *job, struct copy *copy)
{
	ssize_t got = recv(copy->socket, copy->answer + copy->length,
			   sizeof(copy->answer) - 1 - copy->length,
			   MSG_DONTWAIT);
	char *end;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		copy->reason = "the guest ended, or its channel was closed";
		return;
	}
	copy->length += got;
	copy->answer[copy->length] = '\0';
	end = strchr(copy->answer, '\n');
	if (!end && copy->length < sizeof(copy->answer) - 1)
		return;
	if (end)
		*end = '\0';
	if (strcmp(copy->answer, "ok")) {
		copy->reason = copy->answer;
		return;
	}
	links_up(copy);
	copy->renewed = !copy->reason;
	copy->seconds = seconds_now() - job->start;
}

static bool waits(const struct copy *copy)
{
	return !copy->renewed && !copy->reason;
}

/**
 * renew_finish - wait until the helpers of all copies have done their work
 * @job: the run
 *
 * A copy whose helper does not is told so by its reason.
 *
 * Return: exit code; an error only if the user interrupts.
 */
int renew_finish(struct job *job)
{
	double deadline = seconds_now() + PATIENCE;

	for (;;) {
		struct pollfd fds[job->nr];
		double left = deadline - seconds_now();
		size_t nr = 0;

		for (size_t i = 0; i < job->nr; i++) {
			fds[i] = (struct pollfd){
				.fd = waits(&job->copy[i]) ?
				      job->copy[i].socket : -1,
				.events = POLLIN,
			};
			nr += fds[i].fd >= 0;
		}
		if (!nr)
			return EXIT_OK;
		if (interrupted())
			return ctl_error(job->ctl, "interrupted");
		if (left > 0)
			poll(fds, job->nr, left * 1000 + 1);
		for (size_t i = 0; i < job->nr; i++) {
			if (!waits(&job->copy[i]))
				continue;
			if (left <= 0)
				job->copy[i].reason = "disco-renew does not answer";
			else if (fds[i].revents)
				hear(job, &job->copy[i]);
		}
	}
}
