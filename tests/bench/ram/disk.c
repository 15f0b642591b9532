// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading what is cached: a disk into a VM's memory, against a file in the page
 * cache into a memfd.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/disco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench.h"

#define BACKING "/var/tmp/disco-bench-backing"
#define NAME "bench-disk"

/* What each side reads. */
static int sources[NR_SIDES] = { -1, -1 };
static char disk_path[PATH_MAX];
/* What of it each side's memory is, so that a step knows its side. */
static const struct ram *memories;

/* The same file: for the peer, all of it is in the page cache. */
static void make_backing(void)
{
	char *piece = malloc(PIECE_BYTES);
	int fd = open(BACKING, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || !piece)
		die("cannot make %s: %s", BACKING, strerror(errno));
	for (size_t at = 0; at < env.bytes; at += PIECE_BYTES) {
		for (size_t i = 0; i < PIECE_BYTES; i += env.page_size)
			*(uint64_t *)(piece + i) = at + i + 1;
		if (write(fd, piece, PIECE_BYTES) != PIECE_BYTES)
			die("cannot write %s: %s", BACKING, strerror(errno));
	}
	/* Before it is read directly, which writes back what is dirty. */
	if (fsync(fd))
		die("fsync: %s", strerror(errno));
	close(fd);
	free(piece);
	sources[PEER] = open(BACKING, O_RDONLY | O_CLOEXEC);
	if (sources[PEER] < 0)
		die("cannot open %s: %s", BACKING, strerror(errno));
}

static void add_disk(void)
{
	struct disco_disk_add add = {
		.size = sizeof(add), .name = (uintptr_t)NAME,
		.name_len = strlen(NAME), .mode = 0400,
		.backing_fd = sources[PEER],
	};

	add.mount_fd = open(env.ram_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (add.mount_fd < 0)
		die("cannot open %s: %s", env.ram_dir, strerror(errno));
	if (ioctl(env.disco_fd, DISCO_DISK_ADD, &add))
		die("DISCO_DISK_ADD: %s", strerror(errno));
	close(add.mount_fd);
	snprintf(disk_path, sizeof(disk_path), "%s/../disk/" NAME, env.ram_dir);
	sources[OURS] = open(disk_path, O_RDONLY | O_CLOEXEC);
	if (sources[OURS] < 0)
		die("cannot open %s: %s", disk_path, strerror(errno));
}

/* Both sides: from here on nothing is read from the device. */
static void fill_caches(void)
{
	char *piece = malloc(PIECE_BYTES);

	for (int side = 0; side < NR_SIDES; side++)
		for (size_t at = 0; at < env.bytes; at += PIECE_BYTES)
			if (pread(sources[side], piece, PIECE_BYTES, at) !=
			    PIECE_BYTES)
				die("cannot read at %zu: %s", at,
				    strerror(errno));
	free(piece);
}

static void remove_disk(void)
{
	close(sources[OURS]);
	if (unlink(disk_path))
		die("cannot remove %s: %s", disk_path, strerror(errno));
	close(sources[PEER]);
	unlink(BACKING);
}

static double step_read(const struct ram *ram, size_t at)
{
	struct iovec piece = { ram->map + at, PIECE_BYTES };
	double began = seconds_now();

	if (preadv(sources[ram - memories], &piece, 1, at) != PIECE_BYTES)
		die("cannot read at %zu: %s", at, strerror(errno));
	return seconds_now() - began;
}

static double step_look(const struct ram *ram, size_t at)
{
	double began = seconds_now();

	for (size_t end = at + PIECE_BYTES; at < end; at += env.page_size)
		if (*(volatile uint64_t *)(ram->map + at) != at + 1)
			die("wrong data at %zu", at);
	return seconds_now() - began;
}

static const struct work work_read = { step_read, PIECE_BYTES };
static const struct work work_look = { step_look, PIECE_BYTES };

static long long counter(const char *name)
{
	char path[128];
	long long value;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/class/misc/disco/counters/%s", name);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%lld", &value) != 1)
		die("cannot read %s", path);
	fclose(file);
	return value;
}

/* Memory that only the mount's cache and VMs have: what reading it added. */
static long long in_use(const struct ram *ram)
{
	struct disco_disk_stat disk = {
		.size = sizeof(disk), .disk_fd = sources[OURS],
	};
	struct disco_vm_stat vm = { .size = sizeof(vm), .vm_fd = ram->fd };

	if (ioctl(env.disco_fd, DISCO_DISK_STAT, &disk) ||
	    ioctl(env.disco_fd, DISCO_VM_STAT, &vm))
		die("cannot ask for memory: %s", strerror(errno));
	return disk.out_cached + vm.out_private + counter("metadata_bytes");
}

static void pair_read(int pair, double seconds[][MAX_PARTS])
{
	struct ram rams[NR_SIDES];
	struct stat status;
	long long before;

	(void)pair;
	memories = rams;
	for (int side = 0; side < NR_SIDES; side++) {
		ram_open(&rams[side], side, env.bytes);
		ram_map(&rams[side], env.bytes, MAP_SHARED);
	}
	before = in_use(&rams[OURS]);
	alternate(rams, &work_read, 0, seconds);
	seconds[OURS][3] = in_use(&rams[OURS]) - before;
	if (fstat(rams[PEER].fd, &status))
		die("fstat: %s", strerror(errno));
	seconds[PEER][3] = status.st_blocks * 512.0;
	alternate(rams, &work_look, 2, seconds);

	/* Over pages that the guest has written, as most of a DMA is. */
	for (int side = 0; side < NR_SIDES; side++)
		touch_write(rams[side].map, env.bytes);
	alternate(rams, &work_read, 1, seconds);
	for (int side = 0; side < NR_SIDES; side++) {
		ram_check_content(&rams[side]);
		ram_close(&rams[side]);
	}
}

/**
 * bench_disk() - read a cached disk into a VM's memory
 */
void bench_disk(void)
{
	struct samples samples[4];
	static const char *const peer = "page-cached file into memfd";

	if (!env.ram_dir) {
		report_skip("ram-disk-read", "memfd has no disks");
		return;
	}
	make_backing();
	add_disk();
	fill_caches();
	run_pairs("read of a disk", pair_read, env.pairs, 4, samples);
	remove_disk();
	report(&(struct result){
		.name = "ram-disk-read",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = peer,
		.better = "lower",
		.target = 1.0,
		.limit = limits.copy * 1e3,
		.limit_name = "copies between mappings",
		.note = "preadv in pieces of 256 KiB into fresh memory",
	}, &samples[0]);
	report(&(struct result){
		.name = "ram-disk-read-over",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = peer,
		.better = "lower",
		.target = 1.0,
		.limit = limits.copy * 1e3,
		.limit_name = "copies between mappings",
		.note = "into memory that the guest has written before",
	}, &samples[1]);
	report(&(struct result){
		.name = "ram-disk-look",
		.unit = "ms",
		.scale = 1e3,
		.peer_name = peer,
		.better = "lower",
		.limit = limits.fault / 16 * 1e3,
		.limit_name = "a sixteenth of the faults that find their page",
		.note = "first load from each page that was read",
	}, &samples[2]);
	report(&(struct result){
		.name = "ram-disk-memory",
		.unit = "MiB",
		.scale = 1.0 / MIB,
		.peer_name = peer,
		.better = "lower",
		.target = 0.02,
		.note = "memory that the read added, tables included",
	}, &samples[3]);
}
