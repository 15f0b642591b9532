// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stands for a guest: threads that use pages of a machine from NUMA nodes, until the
 * process is killed.
 *
 * usage: guest FILE THREAD...
 * THREAD is NODE:HOW:FIRST-LAST. HOW is made of r, to read the pages, or w, to write
 * to them; v, through the view of the node; f, free to go to other nodes.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/disco.h>

struct user {
	int fd;
	unsigned int node;
	char how[8];
	size_t first;
	size_t last;
};

/* The first of a node's processors. */
static int cpu_of(unsigned int node)
{
	char path[64];
	FILE *file;
	int cpu;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/cpulist", node);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%d", &cpu) != 1)
		errx(1, "node %u has no processor", node);
	fclose(file);
	return cpu;
}

static void *use(void *data)
{
	const struct user *user = data;
	size_t page = sysconf(_SC_PAGESIZE), size = (user->last + 1) * page;
	bool write = strchr(user->how, 'w');
	off_t view = strchr(user->how, 'v') ? 1 + user->node : 0;
	volatile char *at;
	cpu_set_t all, one;

	sched_getaffinity(0, sizeof(all), &all);
	CPU_ZERO(&one);
	CPU_SET(cpu_of(user->node), &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		err(1, "node %u", user->node);
	if (strchr(user->how, 'f') && sched_setaffinity(0, sizeof(all), &all))
		err(1, "all nodes");
	/* As QEMU names them: this thread, and no other, is a VCPU. */
	pthread_setname_np(pthread_self(), "CPU 0/TEST");
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, user->fd,
		  view << DISCO_VIEW_SHIFT);
	if (at == MAP_FAILED)
		err(1, "mmap");
	while (true) {
		for (size_t i = user->first; i <= user->last; i++) {
			if (write)
				at[i * page]++;
			else
				(void)at[i * page];
		}
		/* There may be fewer processors behind those of the lab. */
		usleep(20000);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int fd;

	if (argc < 3)
		errx(1, "usage: guest FILE THREAD...");
	fd = open(argv[1], O_RDWR | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", argv[1]);
	for (int i = 2; i < argc; i++) {
		struct user *user = calloc(1, sizeof(*user));
		pthread_t thread;

		if (!user || sscanf(argv[i], "%u:%7[rwvf]:%zu-%zu", &user->node,
				    user->how, &user->first, &user->last) != 4)
			errx(1, "%s is not NODE:HOW:FIRST-LAST", argv[i]);
		user->fd = fd;
		if (pthread_create(&thread, NULL, use, user))
			errx(1, "pthread_create");
	}
	pause();
	return 0;
}
