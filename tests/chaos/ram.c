// SPDX-License-Identifier: GPL-2.0-only
/*
 * For LD_PRELOAD: a program's large pieces of private memory become VMs, in files
 * of the folder DISCO_RAM, so that programs that test memory test disco's. A file is
 * removed when its memory is given back, or else by who made the folder.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LARGE (1UL << 20)
#define MAX_PIECES 64

void *__libc_malloc(size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *at);

static struct {
	void *at;
	size_t size;
	unsigned int nr;
} pieces[MAX_PIECES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int last;

static void path_of(char *path, size_t size, unsigned int nr)
{
	snprintf(path, size, "%s/%d-%u", getenv("DISCO_RAM"), getpid(), nr);
}

static void *new_piece(void *hint, size_t size, int protection, int flags)
{
	unsigned int nr = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED), i;
	void *at = MAP_FAILED;
	char path[256];
	int fd;

	path_of(path, sizeof(path), nr);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return MAP_FAILED;
	pthread_mutex_lock(&lock);
	for (i = 0; i < MAX_PIECES && pieces[i].at; i++)
		;
	if (i < MAX_PIECES && !ftruncate(fd, size)) {
		flags &= ~(MAP_PRIVATE | MAP_ANONYMOUS);
		at = (void *)syscall(SYS_mmap, hint, size, protection,
				     flags | MAP_SHARED, fd, 0);
	}
	if (at == MAP_FAILED) {
		unlink(path);
	} else {
		pieces[i].at = at;
		pieces[i].size = size;
		pieces[i].nr = nr;
	}
	pthread_mutex_unlock(&lock);
	close(fd);
	return at;
}

/* The size of a piece; 0 if it is none. It is not a piece any more if it @goes. */
static size_t find_piece(void *at, bool goes)
{
	size_t size = 0;
	char path[256];

	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < MAX_PIECES && at && !size; i++) {
		if (pieces[i].at != at)
			continue;
		size = pieces[i].size;
		if (!goes)
			break;
		path_of(path, sizeof(path), pieces[i].nr);
		unlink(path);
		pieces[i].at = NULL;
	}
	pthread_mutex_unlock(&lock);
	return size;
}

/* In place of the C library's, as are those that follow. */
void *mmap(void *hint, size_t size, int protection, int flags, int fd, off_t offset)
{
	void *at = MAP_FAILED;

	if (getenv("DISCO_RAM") && size >= LARGE && protection & PROT_WRITE &&
	    flags & MAP_ANONYMOUS && flags & MAP_PRIVATE &&
	    !(flags & (MAP_FIXED | MAP_HUGETLB | MAP_STACK | MAP_GROWSDOWN)))
		at = new_piece(hint, size, protection, flags);
	if (at == MAP_FAILED)
		at = (void *)syscall(SYS_mmap, hint, size, protection, flags,
				     fd, offset);
	return at;
}

void *mmap64(void *hint, size_t size, int protection, int flags, int fd, off64_t offset)
{
	return mmap(hint, size, protection, flags, fd, offset);
}

int munmap(void *at, size_t size)
{
	if (find_piece(at, false) == size)
		find_piece(at, true);
	return syscall(SYS_munmap, at, size);
}

void *malloc(size_t size)
{
	void *at;

	if (size < LARGE || !getenv("DISCO_RAM"))
		return __libc_malloc(size);
	at = new_piece(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS);
	return at == MAP_FAILED ? __libc_malloc(size) : at;
}

void free(void *at)
{
	size_t size = find_piece(at, true);

	if (size)
		syscall(SYS_munmap, at, size);
	else
		__libc_free(at);
}

void *realloc(void *old, size_t size)
{
	size_t had = find_piece(old, false);
	void *at;

	if (!had)
		return __libc_realloc(old, size);
	at = malloc(size);
	if (!at)
		return NULL;
	memcpy(at, old, had < size ? had : size);
	free(old);
	return at;
}
