// SPDX-License-Identifier: GPL-2.0-only
/* Memory that memory costs. */
#include <errno.h>
#include <linux/disco.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "bench.h"

#define BUDGET_BYTES_PER_GIB	(4.0 * MIB)
#define BUDGET_SHARE		0.004
#define MAX_USERS		8
#define NR_RUNS			3

static struct disco_vm_stat vm_stat(const struct ram *ram)
{
	/* Lists of users are in out_metadata only with this flag. */
	struct disco_vm_stat stat = {
		.size = sizeof(stat),
		.flags = DISCO_VM_STAT_MACHINE,
		.vm_fd = ram->fd,
	};

	if (ioctl(env.disco_fd, DISCO_VM_STAT, &stat))
		die("DISCO_VM_STAT: %s", strerror(errno));
	return stat;
}

/*
 * Sum of the numbers in lines "  name number" of a file of /proc, whatever
 * comes after them.
 */
static double sum_of(const char *path, const char *name)
{
	char line[256], word[64];
	double sum = 0;
	unsigned long number;
	bool found = false;
	FILE *file;

	file = fopen(path, "r");
	if (!file)
		die("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63s %lu", word, &number) != 2 ||
		    strcmp(word, name))
			continue;
		found = true;
		sum += number;
	}
	fclose(file);
	if (!found)
		die("%s has no %s", path, name);
	return sum;
}

static double meminfo_bytes(const char *name)
{
	return sum_of("/proc/meminfo", name) * 1024;
}

/* Each CPU's part of the counters is folded in when this file is read. */
static void refresh_counters(void)
{
	FILE *file = fopen("/proc/sys/vm/stat_refresh", "r");

	if (!file)
		return;
	fgetc(file);
	fclose(file);
}

/*
 * Free pages, those that CPUs keep at hand, and cached files, which may be
 * dropped meanwhile; the pages of a memfd are in Cached and in Shmem.
 */
static double free_memory(void)
{
	refresh_counters();
	return meminfo_bytes("MemFree:") + meminfo_bytes("Buffers:") +
	       meminfo_bytes("Cached:") - meminfo_bytes("Shmem:") +
	       sum_of("/proc/zoneinfo", "count:") * env.page_size;
}

/*
 * All memory that is gone once @bytes are populated, less those bytes and the
 * page tables of the mapping, which any mapping needs.
 */
static double measured_overhead(enum side side, size_t bytes)
{
	double memory = free_memory();
	double tables = meminfo_bytes("PageTables:");
	struct ram ram;

	ram_populate(&ram, side, bytes);
	memory -= free_memory();
	tables = meminfo_bytes("PageTables:") - tables;
	ram_close(&ram);
	return memory - bytes - tables;
}

static void bench_measured(size_t bytes)
{
	struct samples samples = { .nr = NR_RUNS };

	for (int i = 0; i < NR_RUNS; i++)
		for (int side = 0; side < NR_SIDES; side++)
			samples.value[side][i] =
				measured_overhead(side, bytes);
	report(&(struct result){
		.name = "ram-metadata-seen-from-outside",
		.unit = "MiB/GiB",
		.scale = 1.0 / MIB * GIB / bytes,
		.peer_name = "memfd",
		.better = "lower",
		.note = "fall of free memory less data and page tables; one run strays by some MiB",
	}, &samples);
}

static void bench_private(size_t bytes)
{
	struct samples samples = { .nr = 1 };
	struct disco_vm_stat stat;
	struct ram ram;

	ram_populate(&ram, OURS, bytes);
	stat = vm_stat(&ram);
	ram_close(&ram);
	if (stat.out_private != bytes)
		die("%zu bytes were written but %llu are private", bytes,
		    (unsigned long long)stat.out_private);

	samples.value[OURS][0] = (double)stat.out_metadata * GIB / bytes;
	samples.value[PEER][0] = BUDGET_BYTES_PER_GIB;
	report(&(struct result){
		.name = "ram-metadata",
		.unit = "MiB/GiB",
		.scale = 1.0 / MIB,
		.peer_name = "budget",
		.better = "lower",
		.target = 1,
		.limit = (double)GIB / env.page_size * sizeof(void *) / MIB,
		.limit_name = "one pointer a page",
	}, &samples);
}

static void report_shared(int users, double metadata, double present)
{
	struct samples samples = { .nr = 1 };
	char name[64];

	snprintf(name, sizeof(name), "ram-metadata-%d-users", users);
	samples.value[OURS][0] = metadata / present * 100;
	samples.value[PEER][0] = BUDGET_SHARE * 100;
	report(&(struct result){
		.name = name,
		.unit = "%",
		.peer_name = "budget",
		.better = "lower",
		.target = 1,
		.limit = 100.0 * sizeof(void *) / env.page_size,
		.limit_name = "one pointer a page",
		.note = "of the guest pages present, each shared by all users",
	}, &samples);
}

static void bench_shared(void)
{
	struct ram rams[MAX_USERS];
	struct disco_vm_stat stat;
	double metadata, present;

	ram_populate(&rams[0], OURS, env.bytes);
	for (int users = 2; users <= MAX_USERS; users++) {
		struct ram *clone = &rams[users - 1];

		ram_open(clone, OURS, 0);
		if (ioctl(clone->fd, FICLONE, rams[0].fd))
			die("FICLONE: %s", strerror(errno));
		if (users != 2 && users != 4 && users != 8)
			continue;
		metadata = 0;
		present = 0;
		for (int i = 0; i < users; i++) {
			stat = vm_stat(&rams[i]);
			metadata += stat.out_metadata;
			present += stat.out_private + stat.out_shared;
		}
		if (present != (double)env.bytes * users)
			die("%d users have %.0f bytes present, not %.0f", users,
			    present, (double)env.bytes * users);
		report_shared(users, metadata, present);
	}
	for (int i = 0; i < MAX_USERS; i++)
		ram_close(&rams[i]);
}

/**
 * bench_metadata() - bytes of tables per byte of guest memory
 *
 * As the module counts them, for private pages and for pages with several
 * users; and as anyone can see them, against memfd.
 */
void bench_metadata(void)
{
	size_t bytes = GIB;

	if (!env.ram_dir) {
		report_skip("ram-metadata", "memfd does not tell");
		return;
	}
	if (meminfo_bytes("MemAvailable:") < 1.25 * bytes)
		die("metadata needs %.0f MiB of available memory, the machine has %.0f",
		    1.25 * bytes / MIB, meminfo_bytes("MemAvailable:") / MIB);
	bench_private(bytes);
	bench_shared();
	bench_measured(bytes / 2);
	fprintf(stderr, "metadata: done\n");
}
