// SPDX-License-Identifier: GPL-2.0-only
/*
 * The XML of domains: what the source's says, and what a copy's has to say
 * instead.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>

#include "virt.h"

#define QEMU_NS "http://libvirt.org/schemas/domain/qemu/1.0"

#define TEXT(s) ((const xmlChar *)(s))

/* What is in a place that only one domain can have, or not in its memory file. */
static const char not_to_be_cloned[] =
	"/domain/os/nvram | /domain/devices/hostdev | /domain/devices/tpm | "
	"/domain/devices/shmem | /domain/devices/nvram | "
	"/domain/devices/filesystem | /domain/devices/redirdev";

static xmlDocPtr read_xml(const char *xml)
{
	return xmlReadMemory(xml, strlen(xml), "domain.xml", NULL,
			     XML_PARSE_NONET | XML_PARSE_NOERROR |
			     XML_PARSE_NOWARNING);
}

static xmlXPathObjectPtr find(xmlDocPtr doc, const char *path)
{
	xmlXPathContextPtr context = xmlXPathNewContext(doc);
	xmlXPathObjectPtr found = NULL;

	if (!context)
		return NULL;
	if (!xmlXPathRegisterNs(context, TEXT("qemu"), TEXT(QEMU_NS)))
		found = xmlXPathEvalExpression(TEXT(path), context);
	xmlXPathFreeContext(context);
	return found;
}

static int nr_found(xmlXPathObjectPtr found)
{
	return found && found->nodesetval ? found->nodesetval->nodeNr : 0;
}

/* The first node at a path, or NULL. */
static xmlNodePtr find_first(xmlDocPtr doc, const char *path)
{
	xmlXPathObjectPtr found = find(doc, path);
	xmlNodePtr node = nr_found(found) ? found->nodesetval->nodeTab[0] : NULL;

	xmlXPathFreeObject(found);
	return node;
}

static xmlNodePtr child(xmlNodePtr node, const char *name)
{
	for (node = node->children; node; node = node->next)
		if (node->type == XML_ELEMENT_NODE &&
		    !strcmp((const char *)node->name, name))
			return node;
	return NULL;
}

/* An attribute as a text to be freed with free(), or NULL. */
static char *attribute(xmlNodePtr node, const char *name)
{
	xmlChar *value = node ? xmlGetProp(node, TEXT(name)) : NULL;
	char *text = value ? strdup((char *)value) : NULL;

	xmlFree(value);
	return text;
}

static bool attribute_is(xmlNodePtr node, const char *name, const char *value)
{
	char *text = attribute(node, name);
	bool is = text && !strcmp(text, value);

	free(text);
	return is;
}

static void remove_all(xmlDocPtr doc, const char *path)
{
	xmlXPathObjectPtr found = find(doc, path);

	for (int i = 0; i < nr_found(found); i++) {
		xmlUnlinkNode(found->nodesetval->nodeTab[i]);
		xmlFreeNode(found->nodesetval->nodeTab[i]);
		found->nodesetval->nodeTab[i] = NULL;
	}
	xmlXPathFreeObject(found);
}

/* Checks a disk that the guest can write to, and takes it down. */
static int add_disk(struct ctl *ctl, struct domain *domain, xmlNodePtr node)
{
	struct disk *disk = &domain->disk[domain->nr_disks++];
	xmlNodePtr driver = child(node, "driver");

	disk->target = attribute(child(node, "target"), "dev");
	if (!disk->target)
		return no_memory(ctl);
	if (!attribute_is(driver, "type", "qcow2"))
		return ctl_error(ctl,
				 "disk %s of domain %s is not qcow2, and only qcow2 disks can be copied on write: give it a qcow2 overlay (qemu-img create -b), or make it <readonly/>",
				 disk->target, domain->name);
	disk->frozen = attribute(child(node, "source"), "file");
	if (!disk->frozen)
		return ctl_error(ctl,
				 "disk %s of domain %s is not a file: only files can get an overlay beside them",
				 disk->target, domain->name);
	if (child(node, "shareable"))
		return ctl_error(ctl,
				 "disk %s of domain %s is <shareable/>: a copy would not share it any more",
				 disk->target, domain->name);
	disk->overlay = next_overlay(disk->frozen);
	return disk->overlay ? EXIT_OK : no_memory(ctl);
}

static int add_disks(struct ctl *ctl, struct domain *domain)
{
	xmlXPathObjectPtr found = find(domain->doc,
				       "/domain/devices/disk[not(readonly)]");
	int nr = nr_found(found);
	int ret = EXIT_OK;

	domain->disk = calloc(nr + 1, sizeof(*domain->disk));
	if (!domain->disk)
		ret = no_memory(ctl);
	for (int i = 0; !ret && i < nr; i++)
		ret = add_disk(ctl, domain, found->nodesetval->nodeTab[i]);
	xmlXPathFreeObject(found);
	return ret;
}

/**
 * domain_parse - read the XML of the source
 * @ctl: the program
 * @xml: the XML
 * @domain: name set by the caller; filled, to be freed with domain_free(), also
 *	after an error
 *
 * Return: exit code; an error if it has something that cannot be cloned.
 */
int domain_parse(struct ctl *ctl, const char *xml, struct domain *domain)
{
	xmlNodePtr node;

	domain->doc = read_xml(xml);
	if (!domain->doc)
		return ctl_error(ctl, "the XML of domain %s cannot be read",
				 domain->name);
	node = find_first(domain->doc, not_to_be_cloned);
	if (node)
		return ctl_error(ctl,
				 "domain %s cannot be cloned: it has <%s>, of which there can be no copy",
				 domain->name, node->name);
	return add_disks(ctl, domain);
}

/**
 * domain_free - free what domain_parse() filled
 * @domain: the XML
 */
void domain_free(struct domain *domain)
{
	for (size_t i = 0; i < domain->nr_disks; i++) {
		free(domain->disk[i].target);
		free(domain->disk[i].frozen);
		free(domain->disk[i].overlay);
	}
	free(domain->disk);
	xmlFreeDoc(domain->doc);
}

/* Names and numbers that libvirt chooses for each domain. */
static void forget_identity(xmlDocPtr doc)
{
	xmlNodePtr genid = find_first(doc, "/domain/genid");

	remove_all(doc, "/domain/uuid");
	remove_all(doc, "/domain/seclabel[not(@type) or @type='dynamic']");
	remove_all(doc, "/domain/devices/disk/backingStore");
	remove_all(doc, "/domain/devices/interface/target");
	if (genid)
		xmlNodeSetContent(genid, NULL);
}

/* A file of the source, or a socket, becomes one of the copy's own. */
static bool move_path(xmlNodePtr node, const char *name, const char *from,
		      const char *to)
{
	char *path = attribute(node, name);
	char *moved = path ? copy_path(path, from, to) : NULL;
	bool done = !path || (moved && xmlSetProp(node, TEXT(name), TEXT(moved)));

	free(path);
	free(moved);
	return done;
}

static bool move_paths(xmlDocPtr doc, const char *path, const char *name,
		       const char *from, const char *to)
{
	xmlXPathObjectPtr found = find(doc, path);
	bool done = found;

	for (int i = 0; done && i < nr_found(found); i++)
		done = move_path(found->nodesetval->nodeTab[i], name, from, to);
	xmlXPathFreeObject(found);
	return done;
}

static bool set_disks(xmlDocPtr doc, const struct domain *domain,
		      const struct copy *copy)
{
	xmlXPathObjectPtr found = find(doc, "/domain/devices/disk[not(readonly)]");
	bool done = found;

	for (int i = 0; done && i < nr_found(found); i++) {
		xmlNodePtr node = found->nodesetval->nodeTab[i];
		xmlNodePtr source = child(node, "source");

		for (size_t j = 0; j < domain->nr_disks; j++)
			if (attribute_is(child(node, "target"), "dev",
					 domain->disk[j].target))
				done = xmlSetProp(source, TEXT("file"),
						  TEXT(copy->overlay[j]));
	}
	xmlXPathFreeObject(found);
	return done;
}

/* As QEMU's own: locally administered, random in the last three bytes. */
static bool new_mac(char mac[MAC_TEXT])
{
	unsigned char byte[3];

	if (getrandom(byte, sizeof(byte), 0) != sizeof(byte))
		return false;
	snprintf(mac, MAC_TEXT, "52:54:00:%02x:%02x:%02x", byte[0], byte[1],
		 byte[2]);
	return true;
}

/* Gives an interface an address of its own, and takes its link down. */
static bool set_nic(xmlNodePtr node, struct nic *nic)
{
	xmlNodePtr mac = child(node, "mac"), link = child(node, "link");
	xmlNodePtr source = child(node, "source");
	char *old = attribute(mac, "address");

	if (!old || strlen(old) >= sizeof(nic->old_mac) || !new_mac(nic->mac)) {
		free(old);
		return false;
	}
	strcpy(nic->old_mac, old);
	free(old);
	nic->up = !attribute_is(link, "state", "down");
	if (!link)
		link = xmlNewChild(node, NULL, TEXT("link"), NULL);
	/* The port of a network's bridge is chosen for each domain. */
	if (source && attribute_is(node, "type", "network")) {
		xmlUnsetProp(source, TEXT("portid"));
		xmlUnsetProp(source, TEXT("bridge"));
	}
	return link && xmlSetProp(link, TEXT("state"), TEXT("down")) &&
	       xmlSetProp(mac, TEXT("address"), TEXT(nic->mac));
}

static bool set_nics(xmlDocPtr doc, struct copy *copy)
{
	xmlXPathObjectPtr found = find(doc, "/domain/devices/interface");
	int nr = nr_found(found);
	bool done = found;

	copy->nic = calloc(nr + 1, sizeof(*copy->nic));
	if (!copy->nic)
		done = false;
	for (int i = 0; done && i < nr; i++) {
		done = set_nic(found->nodesetval->nodeTab[i], &copy->nic[i]);
		copy->nr_nics++;
	}
	xmlXPathFreeObject(found);
	return done;
}

static bool add_argument(xmlNodePtr line, const char *value)
{
	xmlNodePtr arg = xmlNewChild(line, line->ns, TEXT("arg"), NULL);

	return arg && xmlNewProp(arg, TEXT("value"), TEXT(value));
}

/* QEMU is to wait for its state. A copy of a copy has the arguments already. */
static bool wait_for_state(xmlDocPtr doc)
{
	xmlNodePtr root = xmlDocGetRootElement(doc);
	xmlNodePtr line = find_first(doc, "/domain/qemu:commandline");
	xmlNsPtr ns = xmlSearchNsByHref(doc, root, TEXT(QEMU_NS));

	if (!ns)
		ns = xmlNewNs(root, TEXT(QEMU_NS), TEXT("qemu"));
	if (!line)
		line = xmlNewChild(root, ns, TEXT("commandline"), NULL);
	if (!line)
		return false;
	if (find_first(doc, "/domain/qemu:commandline/qemu:arg[@value='-incoming']"))
		return true;
	return add_argument(line, "-incoming") && add_argument(line, "defer");
}

/**
 * domain_copy_xml - XML of a copy
 * @ctl: the program
 * @domain: the source
 * @copy: name and overlays set by the caller; its interfaces are filled in
 * @xml: the XML, to be freed with free()
 *
 * Return: exit code.
 */
int domain_copy_xml(struct ctl *ctl, const struct domain *domain,
		    struct copy *copy, char **xml)
{
	static const char own_files[] =
		"/domain/devices/*[self::serial or self::console or "
		"self::parallel or self::channel]/log";
	static const char own_sources[] =
		"/domain/devices/*[self::serial or self::console or "
		"self::parallel][@type='file' or source/@mode='bind']/source";
	xmlDocPtr doc = xmlCopyDoc(domain->doc, 1);
	xmlNodePtr name = doc ? find_first(doc, "/domain/name") : NULL;
	xmlChar *text = NULL;
	int size;

	if (!name)
		goto out;
	xmlNodeSetContent(name, NULL);
	xmlNodeAddContent(name, TEXT(copy->name));
	forget_identity(doc);
	/* libvirt chooses the sockets of channels. */
	remove_all(doc, "/domain/devices/channel[@type='unix']/source");
	if (move_paths(doc, own_files, "file", domain->name, copy->name) &&
	    move_paths(doc, own_sources, "path", domain->name, copy->name) &&
	    set_disks(doc, domain, copy) && set_nics(doc, copy) &&
	    wait_for_state(doc))
		xmlDocDumpMemory(doc, &text, &size);
out:
	xmlFreeDoc(doc);
	*xml = text ? strdup((char *)text) : NULL;
	xmlFree(text);
	return *xml ? EXIT_OK : no_memory(ctl);
}

/**
 * domain_snapshot_xml - XML of a snapshot: overlays for the source's disks
 * @domain: the source
 *
 * Return: XML to be freed with free(), or NULL without memory.
 */
char *domain_snapshot_xml(const struct domain *domain)
{
	xmlDocPtr doc = xmlNewDoc(TEXT("1.0"));
	xmlNodePtr root = xmlNewNode(NULL, TEXT("domainsnapshot")), disks;
	xmlXPathObjectPtr others = find(domain->doc,
					"/domain/devices/disk[readonly]/target");
	xmlChar *text = NULL;
	char *xml;
	int size;

	xmlDocSetRootElement(doc, root);
	disks = xmlNewChild(root, NULL, TEXT("disks"), NULL);
	for (size_t i = 0; i < domain->nr_disks; i++) {
		xmlNodePtr disk = xmlNewChild(disks, NULL, TEXT("disk"), NULL);
		xmlNodePtr driver = xmlNewChild(disk, NULL, TEXT("driver"), NULL);
		xmlNodePtr source = xmlNewChild(disk, NULL, TEXT("source"), NULL);

		xmlNewProp(disk, TEXT("name"), TEXT(domain->disk[i].target));
		xmlNewProp(disk, TEXT("snapshot"), TEXT("external"));
		xmlNewProp(driver, TEXT("type"), TEXT("qcow2"));
		xmlNewProp(source, TEXT("file"), TEXT(domain->disk[i].overlay));
	}
	for (int i = 0; i < nr_found(others); i++) {
		xmlNodePtr disk = xmlNewChild(disks, NULL, TEXT("disk"), NULL);
		char *target = attribute(others->nodesetval->nodeTab[i], "dev");

		xmlNewProp(disk, TEXT("name"), TEXT(target));
		xmlNewProp(disk, TEXT("snapshot"), TEXT("no"));
		free(target);
	}
	xmlDocDumpMemory(doc, &text, &size);
	xmlXPathFreeObject(others);
	xmlFreeDoc(doc);
	xml = text ? strdup((char *)text) : NULL;
	xmlFree(text);
	return xml;
}

/**
 * xml_attribute - look something up in the XML of a domain
 * @xml: the XML
 * @path: XPath of an element
 * @name: one of its attributes
 *
 * Return: the attribute of the first such element, to be freed; or NULL.
 */
char *xml_attribute(const char *xml, const char *path, const char *name)
{
	xmlDocPtr doc = read_xml(xml);
	char *value = doc ? attribute(find_first(doc, path), name) : NULL;

	xmlFreeDoc(doc);
	return value;
}

/**
 * xml_link_up - XML of an interface that is to have its link up
 * @xml: XML of its domain
 * @nr: which interface, from 1 on
 *
 * Return: XML to be freed, or NULL.
 */
char *xml_link_up(const char *xml, size_t nr)
{
	xmlDocPtr doc = read_xml(xml);
	xmlBufferPtr buffer = xmlBufferCreate();
	char path[64], *text = NULL;
	xmlNodePtr node;

	snprintf(path, sizeof(path), "/domain/devices/interface[%zu]", nr);
	node = doc ? find_first(doc, path) : NULL;
	if (buffer && node && child(node, "link") &&
	    xmlSetProp(child(node, "link"), TEXT("state"), TEXT("up")) &&
	    xmlNodeDump(buffer, doc, node, 0, 0) > 0)
		text = strdup((const char *)xmlBufferContent(buffer));
	xmlBufferFree(buffer);
	xmlFreeDoc(doc);
	return text;
}
