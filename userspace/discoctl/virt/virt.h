/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DISCOCTL_VIRT_H
#define DISCOCTL_VIRT_H

#include <libvirt/libvirt.h>
#include <libxml/tree.h>

#include "../discoctl.h"

/* Name of the channel to the helper in the guest, see guest/renew.c. */
#define RENEW_CHANNEL "org.disco.renew.0"

/**
 * struct disk - a disk that the guest writes to
 * @target: name in the domain, such as vda
 * @frozen: its file, which no one writes any more
 * @overlay: the source's new file on top of it
 */
struct disk {
	char *target;
	char *frozen;
	char *overlay;
};

/**
 * struct domain - the XML of the source, and what a copy has to know of it
 * @doc: the XML
 * @name: the source's name
 * @disk: disks that have to be copied
 * @nr_disks: how many
 */
struct domain {
	xmlDocPtr doc;
	const char *name;
	struct disk *disk;
	size_t nr_disks;
};

#define MAC_TEXT 18

/**
 * struct nic - a network interface of a copy
 * @old_mac: address in the memory of the guest
 * @mac: address that it is to have
 * @up: the source's link is up
 */
struct nic {
	char old_mac[MAC_TEXT];
	char mac[MAC_TEXT];
	bool up;
};

/**
 * struct copy - a copy that is being made
 * @name: name of the domain
 * @domain: the domain, once it was started
 * @xml: its XML then, with what libvirt has chosen
 * @overlay: its files, one for each disk of the source; NULL where there is none
 *	yet
 * @nic: its network interfaces
 * @nr_nics: how many
 * @socket: connection to the helper, or -1
 * @renewed: the helper has done its work
 * @answer: what the helper has said so far
 * @length: of @answer
 * @reason: why it has not done it, or NULL
 * @seconds: from the start of the command until the copy was ready
 */
struct copy {
	char *name;
	virDomainPtr domain;
	char *xml;
	char **overlay;
	struct nic *nic;
	size_t nr_nics;
	int socket;
	bool renewed;
	char answer[256];
	size_t length;
	const char *reason;
	double seconds;
};

/**
 * struct job - a run of the command
 * @ctl: the program
 * @conn: connection to libvirt
 * @source: the domain
 * @domain: its XML
 * @copy: the copies
 * @nr: how many
 * @frozen: the source's disks are, and it has overlays
 * @saved: its state is, or may be: its QEMU does not touch its disks until it goes on
 * @no_helper: why no copy can be renewed, or NULL
 * @start: when the command began
 */
struct job {
	struct ctl *ctl;
	virConnectPtr conn;
	virDomainPtr source;
	struct domain domain;
	struct copy *copy;
	size_t nr;
	bool frozen;
	bool saved;
	const char *no_helper;
	double start;
};

double seconds_now(void);
bool interrupted(void);
int no_memory(const struct ctl *ctl);
int libvirt_error(const struct ctl *ctl, const char *what, const char *name);

/* xml.c */
int domain_parse(struct ctl *ctl, const char *xml, struct domain *domain);
void domain_free(struct domain *domain);
int domain_copy_xml(struct ctl *ctl, const struct domain *domain,
		    struct copy *copy, char **xml);
char *domain_snapshot_xml(const struct domain *domain);
char *xml_attribute(const char *xml, const char *path, const char *name);
char *xml_link_up(const char *xml, size_t nr);

/* freeze.c */
int disks_freeze(struct job *job);
bool disks_thaw(struct job *job);

/* files.c */
char *copy_path(const char *path, const char *name, const char *new_name);
char *next_overlay(const char *path);
int make_overlays(struct job *job);
void remove_overlays(struct job *job);

/* qmp.c */
int qmp(const struct job *job, virDomainPtr domain, int fd,
	struct json_object **answer, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
int qmp_check_source(struct job *job);
int qmp_save(struct job *job, int fd);
int qmp_load(struct job *job, struct copy *copy, int fd);

/* memory.c */
int memory_check(struct job *job);
int memory_clone(struct job *job, struct copy *copy);

/* renew.c */
int links_down(struct job *job, struct copy *copy);
int renew_find(struct job *job);
void renew_connect(struct job *job, struct copy *copy);
void renew_begin(struct copy *copy);
int renew_finish(struct job *job);

#endif /* DISCOCTL_VIRT_H */
