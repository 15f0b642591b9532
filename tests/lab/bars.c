// SPDX-License-Identifier: GPL-2.0-only
/*
 * bars SECONDS - switches the memory of a device that nobody uses on and off,
 * which changes the machine's memory map, while the other CPUs read a register of the
 * HPET that never changes. Fails if one of them has read something else: that of another
 * device. Runs in the lab.
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

#define AHCI "/sys/bus/pci/devices/0000:00:1f.2/config"
#define COMMAND 4 /* offset in there */
#define COMMAND_SPACES 3 /* I/O and memory */
#define HPET 0xfed00000

static int read_hpet(int cpu, time_t end)
{
	long reads = 0, wrong = 0;
	volatile uint32_t *hpet;
	uint32_t first;
	cpu_set_t set;
	int mem = open("/dev/mem", O_RDONLY);

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	hpet = mmap(NULL, 4096, PROT_READ, MAP_SHARED, mem, HPET);
	if (sched_setaffinity(0, sizeof(set), &set) < 0 || hpet == MAP_FAILED)
		err(2, "CPU %d, /dev/mem", cpu);
	first = hpet[0];
	for (; time(NULL) < end; reads += 1000)
		for (int i = 0; i < 1000; i++)
			wrong += hpet[0] != first;
	printf("CPU %d: %ld of %ld reads were wrong\n", cpu, wrong, reads);
	return wrong != 0;
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc == 2 ? atoi(argv[1]) : 0);
	int cpus = sysconf(_SC_NPROCESSORS_ONLN), config = open(AHCI, O_RDWR), status, failed = 0;
	uint16_t on, off;
	long switched = 0;

	if (config < 0 || pread(config, &on, sizeof(on), COMMAND) != sizeof(on))
		err(2, AHCI);
	on |= COMMAND_SPACES;
	off = on & ~COMMAND_SPACES;
	for (int cpu = 1; cpu < cpus; cpu++)
		if (fork() == 0)
			return read_hpet(cpu, end);
	for (; time(NULL) < end; switched++)
		if (pwrite(config, &off, sizeof(off), COMMAND) < 0 ||
		    pwrite(config, &on, sizeof(on), COMMAND) < 0)
			err(2, AHCI);
	while (wait(&status) > 0)
		failed |= status != 0;
	printf("switched %ld times\n", switched);
	return failed || !switched || cpus < 2;
}
