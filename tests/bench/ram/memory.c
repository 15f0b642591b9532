// SPDX-License-Identifier: GPL-2.0-only
/* The two kinds of memory: files of disco and memfds. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <numa.h>
#include <numaif.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#define NR_PLACE_SAMPLES	64

static unsigned long misplaced;

/**
 * ram_open() - make a fresh, sparse memory
 * @ram: filled
 * @side: which kind
 * @bytes: size of the file
 *
 * The file loses its name at once, so that nothing stays behind however the
 * program ends.
 */
void ram_open(struct ram *ram, enum side side, size_t bytes)
{
	static unsigned int serial;
	char path[PATH_MAX];

	*ram = (struct ram){ .fd = -1 };
	if (side == OURS && env.ram_dir) {
		snprintf(path, sizeof(path), "%s/bench-%d-%u", env.ram_dir,
			 getpid(), serial++);
		ram->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
			       0600);
		if (ram->fd < 0)
			die("cannot create %s: %s", path, strerror(errno));
		if (unlink(path))
			die("cannot remove %s: %s", path, strerror(errno));
	} else {
		ram->fd = memfd_create("bench", MFD_CLOEXEC);
		if (ram->fd < 0)
			die("memfd_create: %s", strerror(errno));
	}
	if (bytes && ftruncate(ram->fd, bytes))
		die("cannot grow a file to %zu bytes: %s", bytes,
		    strerror(errno));
}

/**
 * ram_map() - map the whole memory
 * @ram: an open memory that is not mapped
 * @bytes: its size
 * @flags: MAP_SHARED, or MAP_PRIVATE for a memfd
 */
void ram_map(struct ram *ram, size_t bytes, int flags)
{
	char *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, ram->fd,
			 0);

	if (map == MAP_FAILED)
		die("cannot map %zu bytes: %s", bytes, strerror(errno));
	ram->map = map;
	ram->bytes = bytes;
}

/**
 * ram_populate() - make a fresh memory, map it and write to every page
 * @ram: filled
 * @side: which kind
 * @bytes: size
 */
void ram_populate(struct ram *ram, enum side side, size_t bytes)
{
	ram_open(ram, side, bytes);
	ram_map(ram, bytes, MAP_SHARED);
	touch_write(ram->map, bytes);
}

/**
 * ram_check_content() - check that a memory holds what touch_write() wrote
 * @ram: an open memory
 */
void ram_check_content(const struct ram *ram)
{
	size_t step = ram->bytes / NR_PLACE_SAMPLES;
	uint64_t found;

	for (size_t at = 0; at < ram->bytes; at += step) {
		if (pread(ram->fd, &found, sizeof(found), at) !=
		    sizeof(found))
			die("cannot read a copy at %zu: %s", at,
			    strerror(errno));
		if (found != at + 1)
			die("a copy holds %#lx at %zu, not %#lx: the numbers would be of wrong work",
			    (unsigned long)found, at, (unsigned long)at + 1);
	}
}

/**
 * ram_check_local() - count pages that are not on the first CPU's node
 * @ram: a mapped memory
 *
 * Looks at a sample. A comparison of a local memory with a remote one is none,
 * so the number is shown at the end.
 */
void ram_check_local(const struct ram *ram)
{
	void *pages[NR_PLACE_SAMPLES];
	int status[NR_PLACE_SAMPLES];
	int node = numa_node_of_cpu(env.cpus[0]);
	size_t step = ram->bytes / NR_PLACE_SAMPLES;

	for (int i = 0; i < NR_PLACE_SAMPLES; i++)
		pages[i] = ram->map + i * step;
	/* Without NUMA in the kernel there is one node and nothing to ask. */
	if (move_pages(0, NR_PLACE_SAMPLES, pages, NULL, status, 0) < 0)
		return;
	for (int i = 0; i < NR_PLACE_SAMPLES; i++)
		if (status[i] != node)
			misplaced++;
}

/**
 * ram_misplaced() - how many sampled pages were not local
 *
 * Return: the count since the program started.
 */
unsigned long ram_misplaced(void)
{
	return misplaced;
}

/**
 * ram_close() - give a memory back
 * @ram: an open memory
 */
void ram_close(struct ram *ram)
{
	if (ram->map && munmap(ram->map, ram->bytes))
		die("munmap: %s", strerror(errno));
	if (close(ram->fd))
		die("close: %s", strerror(errno));
	*ram = (struct ram){ .fd = -1 };
}
