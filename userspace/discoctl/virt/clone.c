// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies of a paused libvirt domain. The source's disks are frozen below overlays. QEMU
 * of every copy is started, waiting for its state, and gets the source's memory, which
 * takes long and can fail for want of room. Last, the state of the source's devices goes
 * to every copy. An error, or an interrupt, destroys the copies, removes their files and
 * thaws the disks, as long as that is possible.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <libvirt/virterror.h>

#include "virt.h"

static volatile sig_atomic_t got_signal;

static void take_signal(int number)
{
	got_signal = number;
}

/**
 * interrupted - does the user want to stop?
 *
 * Return: whether he has said so.
 */
bool interrupted(void)
{
	return got_signal;
}

/**
 * seconds_now - a clock that never goes back
 *
 * Return: seconds since some moment.
 */
double seconds_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/**
 * no_memory - report that there is no memory left
 * @ctl: the program
 *
 * Return: EXIT_ERROR.
 */
int no_memory(const struct ctl *ctl)
{
	return ctl_error(ctl, "not enough memory");
}

/**
 * libvirt_error - report libvirt's last error
 * @ctl: the program
 * @what: what could not be done
 * @name: with whom
 *
 * Return: EXIT_ERROR.
 */
int libvirt_error(const struct ctl *ctl, const char *what, const char *name)
{
	return ctl_error(ctl, "%s %s: %s", what, name,
			 virGetLastErrorMessage());
}

/* Errors are ours to print. */
static void say_nothing(void *data, virErrorPtr error)
{
	(void)data, (void)error;
}

static int connect_libvirt(struct job *job)
{
	const char *type;

	virSetErrorFunc(NULL, say_nothing);
	job->conn = virConnectOpen(NULL);
	if (!job->conn)
		return libvirt_error(job->ctl, "cannot reach", "libvirt");
	type = virConnectGetType(job->conn);
	if (!type || strcmp(type, "QEMU"))
		return ctl_error(job->ctl,
				 "libvirt's %s driver cannot clone: that is only for QEMU (see LIBVIRT_DEFAULT_URI)",
				 type ? type : "unknown");
	return EXIT_OK;
}

static int find_source(struct job *job)
{
	int state;

	job->source = virDomainLookupByName(job->conn, job->domain.name);
	if (!job->source)
		return libvirt_error(job->ctl, "cannot find domain",
				     job->domain.name);
	if (virDomainGetState(job->source, &state, NULL, 0))
		return libvirt_error(job->ctl, "cannot see the state of domain",
				     job->domain.name);
	if (state == VIR_DOMAIN_RUNNING || state == VIR_DOMAIN_BLOCKED)
		return ctl_error(job->ctl,
				 "domain %s runs: pause it first (virsh suspend %s)",
				 job->domain.name, job->domain.name);
	if (state != VIR_DOMAIN_PAUSED)
		return ctl_error(job->ctl,
				 "domain %s does not run: only a guest that was started and paused can be cloned",
				 job->domain.name);
	return EXIT_OK;
}

static int read_source(struct job *job)
{
	char *xml = virDomainGetXMLDesc(job->source, VIR_DOMAIN_XML_SECURE |
					VIR_DOMAIN_XML_MIGRATABLE);
	int ret;

	if (!xml)
		return libvirt_error(job->ctl, "cannot see the XML of domain",
				     job->domain.name);
	ret = domain_parse(job->ctl, xml, &job->domain);
	free(xml);
	return ret;
}

static int name_copies(struct job *job, const char *name, unsigned int copies)
{
	job->copy = calloc(copies ?: 1, sizeof(*job->copy));
	if (!job->copy)
		return no_memory(job->ctl);
	for (job->nr = 0; job->nr < (copies ?: 1);) {
		struct copy *copy = &job->copy[job->nr++];
		virDomainPtr other;

		copy->socket = -1;
		if ((copies ? asprintf(&copy->name, "%s-%zu", name, job->nr) :
			      asprintf(&copy->name, "%s", name)) < 0) {
			copy->name = NULL;
			return no_memory(job->ctl);
		}
		other = virDomainLookupByName(job->conn, copy->name);
		if (other) {
			virDomainFree(other);
			return ctl_error(job->ctl,
					 "there is a domain %s already",
					 copy->name);
		}
	}
	return EXIT_OK;
}

struct start {
	pthread_t thread;
	virConnectPtr conn;
	struct copy *copy;
	char *xml;
	char *error;
};

static void *start_copy(void *arg)
{
	struct start *start = arg;
	struct copy *copy = start->copy;

	copy->domain = virDomainCreateXML(start->conn, start->xml,
					  VIR_DOMAIN_START_PAUSED);
	if (copy->domain)
		copy->xml = virDomainGetXMLDesc(copy->domain, 0);
	if (!copy->xml)
		start->error = strdup(virGetLastErrorMessage());
	return NULL;
}

/* All at once: most of the time that it takes is QEMU's. */
static int start_all(struct job *job, struct start *start)
{
	int ret = EXIT_OK, err;
	size_t nr = 0;

	for (size_t i = 0; !ret && i < job->nr; i++) {
		start[i].conn = job->conn;
		start[i].copy = &job->copy[i];
		ret = domain_copy_xml(job->ctl, &job->domain, &job->copy[i],
				      &start[i].xml);
		if (ret)
			break;
		err = pthread_create(&start[i].thread, NULL, start_copy,
				     &start[i]);
		if (err)
			ret = ctl_error(job->ctl, "cannot make a thread: %s",
					strerror(err));
		else
			nr++;
	}
	for (size_t i = 0; i < nr; i++) {
		pthread_join(start[i].thread, NULL);
		if (!job->copy[i].xml && !ret)
			ret = ctl_error(job->ctl, "cannot start %s: %s",
					job->copy[i].name,
					start[i].error ?: "not enough memory");
	}
	for (size_t i = 0; i < job->nr; i++) {
		free(start[i].xml);
		free(start[i].error);
	}
	return ret;
}

static int start_copies(struct job *job)
{
	struct start *start = calloc(job->nr, sizeof(*start));
	int ret;

	if (!start)
		return no_memory(job->ctl);
	ret = start_all(job, start);
	free(start);
	if (!ret && interrupted())
		ret = ctl_error(job->ctl, "interrupted");
	for (size_t i = 0; !ret && i < job->nr; i++) {
		renew_connect(job, &job->copy[i]);
		ret = memory_clone(job, &job->copy[i]);
	}
	return ret;
}

static int wake_copies(struct job *job, int state)
{
	int ret = EXIT_OK;

	for (size_t i = 0; !ret && i < job->nr; i++) {
		ret = qmp_load(job, &job->copy[i], state);
		if (!ret)
			ret = links_down(job, &job->copy[i]);
		if (!ret && interrupted())
			ret = ctl_error(job->ctl, "interrupted");
	}
	for (size_t i = 0; !ret && i < job->nr; i++) {
		renew_begin(&job->copy[i]);
		if (virDomainResume(job->copy[i].domain))
			return libvirt_error(job->ctl, "cannot resume",
					     job->copy[i].name);
		job->copy[i].seconds = seconds_now() - job->start;
	}
	return ret ? ret : renew_finish(job);
}

static int move_state(struct job *job)
{
	int state = memfd_create("disco-clone", MFD_CLOEXEC);
	int ret;

	if (state < 0)
		return ctl_error(job->ctl, "no file for the state: %s",
				 strerror(errno));
	job->saved = true;
	ret = qmp_save(job, state);
	if (!ret)
		ret = wake_copies(job, state);
	close(state);
	return ret;
}

static int make_copies(struct job *job)
{
	int ret = disks_freeze(job);

	if (!ret)
		ret = make_overlays(job);
	if (!ret)
		ret = start_copies(job);
	if (!ret)
		ret = move_state(job);
	return ret;
}

static int run_job(struct job *job, const char *name, unsigned int copies)
{
	int ret = connect_libvirt(job);

	if (!ret)
		ret = find_source(job);
	if (!ret)
		ret = read_source(job);
	if (!ret)
		ret = qmp_check_source(job);
	if (!ret)
		ret = memory_check(job);
	if (!ret)
		ret = renew_find(job);
	if (!ret)
		ret = name_copies(job, name, copies);
	if (!ret)
		ret = make_copies(job);
	return ret;
}

static void undo(struct job *job)
{
	for (size_t i = 0; i < job->nr; i++)
		if (job->copy[i].domain)
			virDomainDestroy(job->copy[i].domain);
	remove_overlays(job);
	/* In JSON there is one answer only; what was wrong is more important. */
	if (!disks_thaw(job) && !job->ctl->json)
		ctl_error(job->ctl,
			  "the disks of %s stay frozen, it goes on in overlays (virsh domblklist)",
			  job->domain.name);
}

static void free_job(struct job *job)
{
	for (size_t i = 0; i < job->nr; i++) {
		struct copy *copy = &job->copy[i];

		for (size_t j = 0; copy->overlay && j < job->domain.nr_disks; j++)
			free(copy->overlay[j]);
		free(copy->overlay);
		free(copy->nic);
		free(copy->xml);
		free(copy->name);
		if (copy->socket >= 0)
			close(copy->socket);
		if (copy->domain)
			virDomainFree(copy->domain);
	}
	free(job->copy);
	domain_free(&job->domain);
	if (job->source)
		virDomainFree(job->source);
	if (job->conn)
		virConnectClose(job->conn);
}

static struct json_object *copy_json(const struct job *job,
				     const struct copy *copy)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *disks = json_object_new_array();
	struct json_object *nics = json_object_new_array();

	json_add_text(obj, "name", copy->name);
	for (size_t i = 0; i < job->domain.nr_disks; i++) {
		struct json_object *disk = json_object_new_object();

		json_add_text(disk, "target", job->domain.disk[i].target);
		json_add_text(disk, "overlay", copy->overlay[i]);
		json_object_array_add(disks, disk);
	}
	json_object_object_add(obj, "disks", disks);
	for (size_t i = 0; i < copy->nr_nics; i++) {
		struct json_object *nic = json_object_new_object();

		json_add_text(nic, "mac", copy->nic[i].mac);
		json_object_object_add(nic, "up",
				       json_object_new_boolean(copy->renewed &&
							       copy->nic[i].up));
		json_object_array_add(nics, nic);
	}
	json_object_object_add(obj, "interfaces", nics);
	json_object_object_add(obj, "renewed",
			       json_object_new_boolean(copy->renewed));
	if (copy->reason)
		json_add_text(obj, "reason", copy->reason);
	else
		json_object_object_add(obj, "reason", NULL);
	json_object_object_add(obj, "seconds",
			       json_object_new_double(copy->seconds));
	return obj;
}

static void print_json(const struct job *job)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *disks = json_object_new_array();
	struct json_object *copies = json_object_new_array();

	json_add_text(obj, "source", job->domain.name);
	for (size_t i = 0; i < job->domain.nr_disks; i++) {
		struct json_object *disk = json_object_new_object();

		json_add_text(disk, "target", job->domain.disk[i].target);
		json_add_text(disk, "frozen", job->domain.disk[i].frozen);
		json_add_text(disk, "overlay", job->domain.disk[i].overlay);
		json_object_array_add(disks, disk);
	}
	json_object_object_add(obj, "disks", disks);
	for (size_t i = 0; i < job->nr; i++)
		json_object_array_add(copies, copy_json(job, &job->copy[i]));
	json_object_object_add(obj, "copies", copies);
	ctl_print_json(job->ctl, obj);
}

/* A line of text, safe for a terminal. */
__attribute__((format(printf, 1, 2)))
static void print_line(const char *fmt, ...)
{
	char *text, *safe;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	safe = text ? escape_name(text) : NULL;
	puts(safe ? safe : "");
	free(safe);
	free(text);
}

static void print_text(const struct job *job)
{
	for (size_t i = 0; i < job->nr; i++) {
		const struct copy *copy = &job->copy[i];

		if (copy->renewed)
			print_line("%s: ready after %.2f s, with a name, addresses and random numbers of its own",
				   copy->name, copy->seconds);
		else
			print_line("%s: runs after %.2f s, but its links are down, and its name and random numbers are those of %s: %s",
				   copy->name, copy->seconds, job->domain.name,
				   copy->reason);
	}
	for (size_t i = 0; i < job->domain.nr_disks; i++) {
		const struct disk *disk = &job->domain.disk[i];

		print_line("disk %s: %s is frozen now, and %s goes on in %s",
			   disk->target, disk->frozen, job->domain.name,
			   disk->overlay);
	}
	print_line("%s is still paused (virsh resume %s)", job->domain.name,
		   job->domain.name);
}

static int print_answer(const struct job *job)
{
	int ret = EXIT_OK;

	for (size_t i = 0; i < job->nr; i++)
		if (!job->copy[i].renewed)
			ret = EXIT_NO;
	if (job->ctl->json)
		print_json(job);
	else
		print_text(job);
	return ret;
}

/**
 * clone_domain - make copies of a domain
 * @ctl: the program
 * @domain: name of the domain
 * @name: name of the copy, or what the names of all begin with
 * @copies: how many, or 0 for one that is called @name
 *
 * Called by cmd_clone(), by its name.
 *
 * Return: exit code.
 */
__attribute__((visibility("default")))
int clone_domain(struct ctl *ctl, const char *domain, const char *name,
		 unsigned int copies);
int clone_domain(struct ctl *ctl, const char *domain, const char *name,
		 unsigned int copies)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = take_signal };
	struct job job = {
		.ctl = ctl,
		.domain = { .name = domain },
		.start = seconds_now(),
	};
	int ret;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
	ret = run_job(&job, name, copies);
	if (ret)
		undo(&job);
	else
		ret = print_answer(&job);
	free_job(&job);
	return ret;
}
