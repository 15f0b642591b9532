// SPDX-License-Identifier: GPL-2.0-only
/*
 * sums FILE     prints the sum of a file
 * run           in a guest of the test: prints the sums of all its disks but the
 *               first two, which are the root's and the one this came on, read
 *               twice: into the cache of the guest's kernel, and into its own pages
 *
 * One program for all disks: under nested emulation each start of one takes seconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUFFER (256 << 10)

static uint64_t buffer[BUFFER / sizeof(uint64_t)] __attribute__((aligned(65536)));

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("sums: ", stdout);
	vfprintf(stdout, format, args);
	printf(": %s\n", strerror(errno));
	exit(1);
}

/* Of all words in their order; a file has whole words. */
static uint64_t sum(const char *path, int flags)
{
	uint64_t value = 0xcbf29ce484222325ULL;
	int fd = open(path, O_RDONLY | flags);
	ssize_t got;

	if (fd < 0)
		die("%s", path);
	while ((got = read(fd, buffer, sizeof(buffer))) > 0)
		for (size_t i = 0; i < got / sizeof(*buffer); i++)
			value = (value ^ buffer[i]) * 0x100000001b3ULL;
	if (got < 0)
		die("cannot read %s", path);
	close(fd);
	return value;
}

/* A line of a small file, without blanks at its end. */
static bool line(const char *path, char *text, int size)
{
	FILE *file = fopen(path, "r");
	bool ok = file && fgets(text, size, file);

	if (file)
		fclose(file);
	if (ok)
		text[strcspn(text, " \n")] = '\0';
	return ok;
}

static void load_drivers(void)
{
	pid_t child = fork();
	int status;

	if (!child) {
		execlp("modprobe", "modprobe", "-a", "sd_mod", "virtio_scsi", "ata_piix", NULL);
		die("modprobe");
	}
	if (child < 0 || wait(&status) < 0 || status)
		die("modprobe has failed (%d)", status);
}

/* The name that the host has given a disk. */
static bool tag_of(const char *name, char *tag, int size)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/block/%s/%s", name,
		 name[0] == 'v' ? "serial" : "device/model");
	return line(path, tag, size);
}

static void sum_disks(size_t want)
{
	glob_t all;

	/* Drivers find their disks when they have time. */
	while (glob("/sys/block/[sv]d[a-z]", 0, NULL, &all) || all.gl_pathc < want + 2) {
		globfree(&all);
		usleep(200000);
	}
	for (size_t i = 0; i < all.gl_pathc; i++) {
		const char *name = strrchr(all.gl_pathv[i], '/') + 1;
		char tag[64], path[64];

		if (!strcmp(name, "vda") || !strcmp(name, "vdb"))
			continue;
		if (!tag_of(name, tag, sizeof(tag)))
			die("%s has no name", name);
		snprintf(path, sizeof(path), "/dev/%s", name);
		printf("sum %s %016llx", tag, (unsigned long long)sum(path, 0));
		printf(" %016llx\n", (unsigned long long)sum(path, O_DIRECT));
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	char number[16];

	if (argc == 2) {
		printf("%016llx\n", (unsigned long long)sum(argv[1], 0));
		return 0;
	}
	if (!line("disks", number, sizeof(number)))
		die("disks, the number of disks");
	load_drivers();
	sum_disks(atoi(number));
	return 0;
}
