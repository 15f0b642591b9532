// SPDX-License-Identifier: GPL-2.0-only
/*
 * recorded pack RAM DISK OUT
 *	What is in the memory of a guest, in the file RAM: pages never touched, pages
 *	of DISK, which is what its kernel has read and not changed, and others, whose
 *	contents go to OUT.
 *
 * recorded play FILE KIND RAM DISK
 *	Brings memory into that state as a monitor does: pages of the disk by preadv()
 *	from DISK, the others by stores; says so, and waits for its end. KIND is
 *	"file" (RAM is one, shared) or "anonymous" (to be merged by KSM; RAM is not used).
 *
 * recorded use FILE KIND RAM DISK
 *	The same, and once a second it reads all pages of the disk and writes all others,
 *	and says "round NUMBER: unchanged", until one of them is not what it was.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define MAX_RUN 256		/* pages of one request */

/* What a page of the guest is; from BLOCK on, a block of the disk. */
enum { UNTOUCHED, OWN, BLOCK };

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	fputs("recorded: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, ": %s\n", strerror(errno));
	exit(1);
}

static const unsigned char *map_file(const char *path, int *fd, size_t *pages)
{
	struct stat stat;
	void *at;

	*fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*fd < 0 || fstat(*fd, &stat))
		die("%s", path);
	*pages = stat.st_size / PAGE;
	at = mmap(NULL, stat.st_size, PROT_READ, MAP_SHARED, *fd, 0);
	if (at == MAP_FAILED)
		die("cannot map %s", path);
	return at;
}

/* The next page that is no hole, from one on. */
static size_t next_data(int fd, size_t page, size_t pages)
{
	off_t at = lseek(fd, (off_t)page * PAGE, SEEK_DATA);

	return at < 0 ? pages : (size_t)at / PAGE;
}

static bool is_zero(const unsigned char *page)
{
	return !page[0] && !memcmp(page, page + 1, PAGE - 1);
}

static uint64_t hash(const unsigned char *page)
{
	uint64_t value = 0xcbf29ce484222325ULL, word;

	for (size_t i = 0; i < PAGE; i += sizeof(word)) {
		memcpy(&word, page + i, sizeof(word));
		value = (value ^ word) * 0x100000001b3ULL;
		value ^= value >> 29;
	}
	return value;
}

/* Blocks of the disk by their contents; of equal ones the first. */
struct blocks {
	const unsigned char *disk;
	uint32_t *table;
	size_t mask;
};

static uint32_t *slot_of(const struct blocks *blocks, const unsigned char *page)
{
	size_t i = hash(page);

	for (;; i++) {
		uint32_t *slot = &blocks->table[i & blocks->mask];

		if (!*slot || !memcmp(blocks->disk + (size_t)(*slot - BLOCK) * PAGE, page, PAGE))
			return slot;
	}
}

static void index_disk(struct blocks *blocks, const char *path, size_t *nr)
{
	int fd;

	blocks->disk = map_file(path, &fd, nr);
	for (blocks->mask = 1; blocks->mask < 2 * *nr; blocks->mask = 2 * blocks->mask + 1)
		;
	blocks->table = calloc(blocks->mask + 1, sizeof(*blocks->table));
	if (!blocks->table)
		die("index of %s", path);
	for (size_t i = next_data(fd, 0, *nr); i < *nr; i = next_data(fd, i + 1, *nr)) {
		const unsigned char *page = blocks->disk + i * PAGE;
		uint32_t *slot;

		if (is_zero(page))
			continue;
		slot = slot_of(blocks, page);
		if (!*slot)
			*slot = i + BLOCK;
	}
	close(fd);
}

/* Files are read in order: of equal blocks the one that follows is more likely. */
static uint32_t kind_of(const struct blocks *blocks, size_t nr, const unsigned char *page,
			uint32_t before)
{
	uint32_t kind;

	if (is_zero(page))
		return OWN;
	if (before >= BLOCK && before + 1 - BLOCK < nr &&
	    !memcmp(blocks->disk + (size_t)(before + 1 - BLOCK) * PAGE, page, PAGE))
		return before + 1;
	kind = *slot_of(blocks, page);
	return kind ? kind : OWN;
}

static int pack(const char *ram, const char *disk, const char *out)
{
	size_t pages, disk_pages, of_disk = 0, own = 0;
	const unsigned char *memory;
	struct blocks blocks;
	uint32_t *kinds;
	FILE *file;
	int fd;

	memory = map_file(ram, &fd, &pages);
	index_disk(&blocks, disk, &disk_pages);
	kinds = calloc(pages, sizeof(*kinds));
	file = fopen(out, "w");
	if (!kinds || !file)
		die("%s", out);
	for (size_t i = next_data(fd, 0, pages); i < pages; i = next_data(fd, i + 1, pages)) {
		kinds[i] = kind_of(&blocks, disk_pages, memory + i * PAGE, i ? kinds[i - 1] : OWN);
		of_disk += kinds[i] >= BLOCK;
		own += kinds[i] == OWN;
	}
	if (fwrite(&pages, sizeof(pages), 1, file) != 1 ||
	    fwrite(kinds, sizeof(*kinds), pages, file) != pages)
		die("cannot write %s", out);
	for (size_t i = 0; i < pages; i++)
		if (kinds[i] == OWN && fwrite(memory + i * PAGE, PAGE, 1, file) != 1)
			die("cannot write %s", out);
	if (fclose(file))
		die("cannot write %s", out);
	printf("%zu pages of the disk, %zu others, %zu never touched\n", of_disk, own,
	       pages - of_disk - own);
	return 0;
}

/* Memory as QEMU makes it. */
static unsigned char *make_ram(const char *path, size_t bytes, bool anonymous)
{
	unsigned char *at;
	int fd = -1;

	if (!anonymous) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || ftruncate(fd, bytes))
			die("%s", path);
	}
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		  anonymous ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		die("cannot map %s", anonymous ? "memory" : path);
	madvise(at, bytes, MADV_HUGEPAGE);
	madvise(at, bytes, MADV_MERGEABLE);
	return at;
}

static void read_disk(int disk, unsigned char *ram, const uint32_t *kinds, size_t pages)
{
	for (size_t i = 0, nr; i < pages; i += nr) {
		size_t bytes;

		nr = 1;
		if (kinds[i] < BLOCK)
			continue;
		while (i + nr < pages && nr < MAX_RUN && kinds[i + nr] == kinds[i] + nr)
			nr++;
		bytes = nr * PAGE;
		if (pread(disk, ram + i * PAGE, bytes, (off_t)(kinds[i] - BLOCK) * PAGE) != (ssize_t)bytes)
			die("cannot read the disk");
	}
}

/* Writes to a page of its own what is there already; reads all of any other. */
static uint64_t use_page(unsigned char *page, uint32_t kind)
{
	volatile uint64_t *word = (uint64_t *)page;

	if (kind == OWN)
		*word = *word;
	return kind == UNTOUCHED ? 0 : hash(page);
}

static void use(unsigned char *ram, const uint32_t *kinds, size_t pages)
{
	uint64_t before = 0, sum;

	for (unsigned int round = 1;; round++) {
		sum = 0;
		for (size_t i = 0; i < pages; i++)
			sum += use_page(ram + i * PAGE, kinds[i]);
		if (round > 1 && sum != before)
			break;
		before = sum;
		printf("round %u: unchanged\n", round);
		fflush(stdout);
		sleep(1);
	}
	puts("@@disco recorded end: its memory has changed");
	exit(1);
}

static int play(const char *path, const char *kind, const char *ram_path, const char *disk_path,
		bool used)
{
	static unsigned char buffer[PAGE];
	FILE *file = fopen(path, "r");
	int disk = open(disk_path, O_RDONLY | O_CLOEXEC);
	unsigned char *ram;
	uint32_t *kinds;
	size_t pages;

	if (!file)
		die("%s", path);
	if (disk < 0)
		die("%s", disk_path);
	if (fread(&pages, sizeof(pages), 1, file) != 1)
		die("cannot read %s", path);
	kinds = malloc(pages * sizeof(*kinds));
	if (!kinds || fread(kinds, sizeof(*kinds), pages, file) != pages)
		die("cannot read %s", path);
	ram = make_ram(ram_path, pages * PAGE, !strcmp(kind, "anonymous"));
	for (size_t i = 0; i < pages; i++) {
		if (kinds[i] != OWN)
			continue;
		if (fread(buffer, PAGE, 1, file) != 1)
			die("cannot read %s", path);
		memcpy(ram + i * PAGE, buffer, PAGE);
	}
	read_disk(disk, ram, kinds, pages);
	fclose(file);
	if (used)
		use(ram, kinds, pages);
	free(kinds);
	puts("@guest {\"answer\": \"recorded\", \"seconds\": 0, \"memory\": {}}");
	fflush(stdout);
	pause();
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "pack"))
		return pack(argv[2], argv[3], argv[4]);
	if (argc == 6 && !strcmp(argv[1], "play"))
		return play(argv[2], argv[3], argv[4], argv[5], false);
	if (argc == 6 && !strcmp(argv[1], "use"))
		return play(argv[2], argv[3], argv[4], argv[5], true);
	fputs("usage: recorded pack RAM DISK OUT\n"
	      "       recorded play|use FILE file|anonymous RAM DISK\n", stderr);
	return 2;
}
