// SPDX-License-Identifier: GPL-2.0-only
/*
 * What discoctl clone makes of the XML of a domain, and what it calls its files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "virt/virt.h"

static char error[512];

/* In place of the program's: keeps the text. */
int ctl_error(const struct ctl *ctl, const char *fmt, ...)
{
	va_list ap;

	(void)ctl;
	va_start(ap, fmt);
	vsnprintf(error, sizeof(error), fmt, ap);
	va_end(ap);
	return EXIT_ERROR;
}

int no_memory(const struct ctl *ctl)
{
	return ctl_error(ctl, "not enough memory");
}

int libvirt_error(const struct ctl *ctl, const char *what, const char *name)
{
	return ctl_error(ctl, "%s %s", what, name);
}

static void files_of_copies_have_names_of_their_own(void **state)
{
	static const struct {
		const char *path;
		const char *expected;
	} cases[] = {
		{ "/d/a.qcow2", "/d/new.qcow2" },
		{ "/d/a-data.img", "/d/new-data.img" },
		{ "/d/a", "/d/new" },
		{ "/d/abc.qcow2", "/d/new-abc.qcow2" },
		{ "/a/disk.qcow2", "/a/new-disk.qcow2" },
		{ "a.1.qcow2", "new.1.qcow2" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *path = copy_path(cases[i].path, "a", "new");

		assert_string_equal(path, cases[i].expected);
		free(path);
	}
}

/* The source's overlays are numbered, and no file is taken that is there. */
static void overlays_are_numbered(void **state)
{
	char dir[] = "/tmp/test_virt.XXXXXX", path[64], there[64], *next;
	FILE *file;

	(void)state;
	next = next_overlay("/nowhere.d/a.qcow2");
	assert_string_equal(next, "/nowhere.d/a.1.qcow2");
	free(next);
	next = next_overlay("/nowhere.d/a.7.qcow2");
	assert_string_equal(next, "/nowhere.d/a.1.qcow2");
	free(next);
	next = next_overlay("/nowhere.d/disk");
	assert_string_equal(next, "/nowhere.d/disk.1");
	free(next);
	next = next_overlay("/nowhere.d/1.qcow2");
	assert_string_equal(next, "/nowhere.d/1.1.qcow2");
	free(next);

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a.qcow2", dir);
	snprintf(there, sizeof(there), "%s/a.1.qcow2", dir);
	file = fopen(there, "w");
	assert_non_null(file);
	fclose(file);
	next = next_overlay(path);
	assert_string_equal(next + strlen(dir), "/a.2.qcow2");
	free(next);
	unlink(there);
	rmdir(dir);
}

/* The XML of a domain a with more in its devices. */
#define DOMAIN(devices) \
	"<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>" \
	"<name>a</name><uuid>4a55075c-3174-491e-9031-ed55262e6a8a</uuid>" \
	"<genid>1</genid><os><type>hvm</type></os><devices>" devices "</devices>" \
	"<seclabel type='dynamic' model='dac'/>" \
	"<qemu:commandline><qemu:arg value='-cpu'/></qemu:commandline></domain>"

#define DISK(type, source, more) \
	"<disk type='file' device='disk'><driver name='qemu' type='" type "'/>" \
	"<source " source "/><backingStore/><target dev='vda'/>" more "</disk>"

#define CDROM "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>" \
	"<source file='/d/a.iso'/><target dev='sda'/><readonly/></disk>"

static int parse(const char *xml, struct domain *domain)
{
	*domain = (struct domain){ .name = "a" };
	return domain_parse(NULL, xml, domain);
}

static void what_cannot_be_copied_is_refused(void **state)
{
	static const struct {
		const char *xml;
		const char *text;
	} cases[] = {
		{ DOMAIN(DISK("raw", "file='/d/a.raw'", "")),
		  "disk vda of domain a is not qcow2" },
		{ DOMAIN(DISK("qcow2", "dev='/dev/sdz'", "")),
		  "disk vda of domain a is not a file" },
		{ DOMAIN(DISK("qcow2", "file='/d/a.qcow2'", "<shareable/>")),
		  "disk vda of domain a is <shareable/>" },
		{ DOMAIN("<hostdev mode='subsystem'/>"), "it has <hostdev>" },
		{ DOMAIN("<tpm model='tpm-crb'/>"), "it has <tpm>" },
		{ DOMAIN("<filesystem type='mount'/>"), "it has <filesystem>" },
		{ "<domain><os><nvram>/d/a.fd</nvram></os></domain>",
		  "it has <nvram>" },
		{ "<domain>", "the XML of domain a cannot be read" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct domain domain;

		error[0] = '\0';
		assert_int_equal(parse(cases[i].xml, &domain), EXIT_ERROR);
		if (!strstr(error, cases[i].text))
			fail_msg("\"%s\" is not in \"%s\"", cases[i].text, error);
		domain_free(&domain);
	}
}

/* Compares an attribute; NULL if there must not be one. */
static void expect(const char *xml, const char *path, const char *name,
		   const char *expected)
{
	char *value = xml_attribute(xml, path, name);

	if (expected)
		assert_string_equal(value ? value : "(none)", expected);
	else
		assert_null(value);
	free(value);
}

static void copies_have_what_is_theirs(void **state)
{
	static const char xml[] = DOMAIN(
		DISK("qcow2", "file='/d/a.qcow2'", "") CDROM
		"<interface type='network'><mac address='52:54:00:00:00:01'/>"
		"<source network='default' portid='1' bridge='virbr0'/>"
		"<target dev='vnet0'/></interface>"
		"<interface type='user'><mac address='52:54:00:00:00:02'/>"
		"<link state='down'/></interface>"
		"<serial type='pty'><log file='/d/a.log'/></serial>"
		"<serial type='unix'><source mode='bind' path='/d/a.sock'/></serial>"
		"<channel type='unix'><source mode='bind' path='/run/a'/>"
		"<target type='virtio' name='x'/></channel>");
	char *overlay[] = { (char *)"/d/b.qcow2" };
	struct copy copy = { .name = (char *)"b", .overlay = overlay };
	struct domain domain;
	char *text, *again;

	(void)state;
	assert_int_equal(parse(xml, &domain), EXIT_OK);
	assert_int_equal(domain.nr_disks, 1);
	assert_string_equal(domain.disk[0].frozen, "/d/a.qcow2");
	assert_string_equal(domain.disk[0].overlay, "/d/a.1.qcow2");
	assert_int_equal(domain_copy_xml(NULL, &domain, &copy, &text), EXIT_OK);

	assert_non_null(strstr(text, "<name>b</name>"));
	assert_null(strstr(text, "<uuid>"));
	assert_non_null(strstr(text, "<genid/>"));
	assert_null(strstr(text, "<seclabel"));
	assert_null(strstr(text, "<backingStore"));
	expect(text, "//disk[target/@dev='vda']/source", "file", "/d/b.qcow2");
	expect(text, "//disk[target/@dev='sda']/source", "file", "/d/a.iso");
	expect(text, "//serial[1]/log", "file", "/d/b.log");
	expect(text, "//serial[2]/source", "path", "/d/b.sock");
	expect(text, "//channel/source", "path", NULL);

	assert_int_equal(copy.nr_nics, 2);
	assert_string_equal(copy.nic[0].old_mac, "52:54:00:00:00:01");
	assert_string_not_equal(copy.nic[0].mac, copy.nic[0].old_mac);
	assert_true(copy.nic[0].up);
	assert_false(copy.nic[1].up);
	expect(text, "//interface[1]/mac", "address", copy.nic[0].mac);
	expect(text, "//interface[1]/link", "state", "down");
	expect(text, "//interface[1]/source", "network", "default");
	expect(text, "//interface[1]/source", "portid", NULL);
	expect(text, "//interface[1]/target", "dev", NULL);
	expect(text, "//interface[2]/link", "state", "down");

	/* Its QEMU waits for its state, once. */
	expect(text, "//qemu:arg[2]", "value", "-incoming");
	expect(text, "//qemu:arg[3]", "value", "defer");
	domain_free(&domain);
	free(copy.nic);
	copy.nic = NULL;
	copy.nr_nics = 0;
	assert_int_equal(parse(text, &domain), EXIT_OK);
	assert_int_equal(domain_copy_xml(NULL, &domain, &copy, &again), EXIT_OK);
	expect(again, "//qemu:arg[3]", "value", "defer");
	expect(again, "//qemu:arg[4]", "value", NULL);
	domain_free(&domain);
	free(copy.nic);
	free(text);
	free(again);
}

static void the_source_gets_overlays(void **state)
{
	struct domain domain;
	char *text;

	(void)state;
	assert_int_equal(parse(DOMAIN(DISK("qcow2", "file='/d/a.qcow2'", "") CDROM),
			       &domain), EXIT_OK);
	text = domain_snapshot_xml(&domain);
	assert_non_null(text);
	expect(text, "//disk[@name='vda']", "snapshot", "external");
	expect(text, "//disk[@name='vda']/source", "file", "/d/a.1.qcow2");
	expect(text, "//disk[@name='vda']/driver", "type", "qcow2");
	expect(text, "//disk[@name='sda']", "snapshot", "no");
	free(text);
	domain_free(&domain);
}

static void links_go_up_one_by_one(void **state)
{
	static const char xml[] = DOMAIN(
		"<interface type='user'><link state='down'/><alias name='net0'/></interface>"
		"<interface type='user'><link state='down'/><alias name='net1'/></interface>");
	char *text = xml_link_up(xml, 2);

	(void)state;
	assert_non_null(text);
	expect(text, "/interface/link", "state", "up");
	expect(text, "/interface/alias", "name", "net1");
	free(text);
	assert_null(xml_link_up(xml, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_of_copies_have_names_of_their_own),
		cmocka_unit_test(overlays_are_numbered),
		cmocka_unit_test(what_cannot_be_copied_is_refused),
		cmocka_unit_test(copies_have_what_is_theirs),
		cmocka_unit_test(the_source_gets_overlays),
		cmocka_unit_test(links_go_up_one_by_one),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("virt", tests, NULL, NULL);
}
