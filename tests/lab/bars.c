// SPDX-License-Identifier: GPL-2.0-only
/*
 * bars SECONDS CONFIG FILE OFFSET - switches the memory and ports of a PCI device that
 * nobody uses on and off, by its file CONFIG in sysfs, which changes the machine's memory
 * map, while the other CPUs read a register of another device that never changes: that
 * at OFFSET of FILE. Fails if one of them has read something else.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMAND 4 /* offset in CONFIG */
#define COMMAND_SPACES 3 /* I/O and memory */

static int read_register(int cpu, const char *file, unsigned long offset, time_t end)
{
	long reads = 0, wrong = 0, in_page = offset % sysconf(_SC_PAGESIZE);
	volatile uint32_t *reg;
	uint32_t first;
	cpu_set_t set;
	void *page;
	int fd = open(file, O_RDONLY);

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	page = mmap(NULL, in_page + sizeof(*reg), PROT_READ, MAP_SHARED, fd, offset - in_page);
	if (sched_setaffinity(0, sizeof(set), &set) < 0 || page == MAP_FAILED)
		err(2, "CPU %d, %s", cpu, file);
	reg = page + in_page;
	first = *reg;
	for (; time(NULL) < end; reads += 1000)
		for (int i = 0; i < 1000; i++)
			wrong += *reg != first;
	printf("CPU %d: %ld of %ld reads were wrong\n", cpu, wrong, reads);
	return wrong != 0;
}

int main(int argc, char **argv)
{
	int cpus = sysconf(_SC_NPROCESSORS_ONLN), config, status, failed = 0;
	uint16_t on, off;
	long switched = 0;
	time_t end;

	if (argc != 5)
		errx(2, "usage: bars SECONDS CONFIG FILE OFFSET");
	end = time(NULL) + atoi(argv[1]);
	config = open(argv[2], O_RDWR);
	if (config < 0 || pread(config, &on, sizeof(on), COMMAND) != sizeof(on))
		err(2, "%s", argv[2]);
	on |= COMMAND_SPACES;
	off = on & ~COMMAND_SPACES;
	for (int cpu = 1; cpu < cpus; cpu++)
		if (fork() == 0)
			return read_register(cpu, argv[3], strtoul(argv[4], NULL, 0), end);
	for (; time(NULL) < end; switched++)
		if (pwrite(config, &off, sizeof(off), COMMAND) < 0 ||
		    pwrite(config, &on, sizeof(on), COMMAND) < 0)
			err(2, "%s", argv[2]);
	while (wait(&status) > 0)
		failed |= status != 0;
	printf("switched %ld times\n", switched);
	return failed || !switched || cpus < 2;
}
