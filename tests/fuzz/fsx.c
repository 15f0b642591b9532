// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations on a few VMs against a model of each in ordinary memory,
 * after fsx of Apple and xfstests: what a VM shows must be what the model holds.
 * Every operation can follow every other, through two views of each file.
 *
 * With --peer memfd the same operations go to memfd, where a clone is a copy:
 * that tests the tester, and needs neither root nor module. --self-test breaks
 * something on purpose and expects to be told.
 */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define FILES 4
#define VIEWS 2
#define PAGES 24
#define LOG 40

/* What --self-test breaks. */
enum defect {
	NO_DEFECT,
	FLIPPED_BIT,		/* memory changes by itself */
	LOST_WRITE,		/* a write does not arrive */
	LEAKING_CLONE,		/* a write to one VM shows in its clone */
	DIRTY_TAIL,		/* what was cut off comes back */
	NR_DEFECTS,
};

struct file {
	int fd;
	char *views[VIEWS];
	unsigned char *model;
	size_t size;
};

static struct file files[FILES];
static struct dt_fs fs;
static bool memfd;
static size_t max_size;
static unsigned char *buffer;
static uint64_t seed, state;
static unsigned long operations = 200000, now;
static enum defect defect;
static char logged[LOG][120];
static unsigned long counts[32];

static void __attribute__((format(printf, 1, 2))) note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(logged[now % LOG], sizeof(logged[0]), format, args);
	va_end(args);
}

/* Says what went wrong and what came before, and ends the program. */
static void __attribute__((format(printf, 1, 2), noreturn))
fail(const char *format, ...)
{
	va_list args;

	printf("# operation %lu: ", now);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n# the last operations:\n");
	for (unsigned long i = now < LOG ? 0 : now - LOG + 1; i <= now; i++)
		printf("# %7lu %s\n", i, logged[i % LOG]);
	printf("not ok 1 fsx --seed %" PRIu64 " --operations %lu\n", seed,
	       operations);
	exit(1);
}

static uint64_t random_below(uint64_t limit)
{
	return dt_random(&state) % limit;
}

/* Is this the time to break something? Now and then, as bugs are. */
static bool breaks(enum defect what)
{
	return defect == what && !random_below(16);
}

static int number_of(const struct file *file)
{
	return file - files;
}

static void compare(const struct file *file, const void *seen, size_t offset,
		    size_t length, const char *what)
{
	const unsigned char *expected = file->model + offset, *found = seen;

	if (!memcmp(expected, found, length))
		return;
	for (size_t i = 0; i < length; i++)
		if (expected[i] != found[i])
			fail("%s of file %d, size %zu: byte %zu (page %zu + %zu) is %02x, should be %02x",
			     what, number_of(file), file->size, offset + i,
			     (offset + i) / dt_page, (offset + i) % dt_page,
			     found[i], expected[i]);
}

/* A range inside the first @limit bytes; often small, often on page borders. */
static bool pick_range(size_t limit, size_t *offset, size_t *length)
{
	if (!limit)
		return false;
	*offset = random_below(limit);
	switch (random_below(4)) {
	case 0:
		*length = 1 + random_below(32);
		break;
	case 1:
		*offset -= *offset % dt_page;
		*length = (1 + random_below(3)) * dt_page;
		break;
	case 2:
		*length = 1 + random_below(dt_page);
		break;
	default:
		*length = 1 + random_below(3 * dt_page);
		break;
	}
	if (*length > limit - *offset)
		*length = limit - *offset;
	return true;
}

static void fill_buffer(size_t length)
{
	unsigned char value = dt_random(&state);

	for (size_t i = 0; i < length; i++)
		buffer[i] = value + i % 251;
}

static void map_view(struct file *file, int view)
{
	file->views[view] = mmap(NULL, max_size, PROT_READ | PROT_WRITE,
				 MAP_SHARED, file->fd,
				 (off_t)view << DISCO_VIEW_SHIFT);
	if (file->views[view] == MAP_FAILED)
		fail("mmap of file %d: %s", number_of(file), strerror(errno));
}

static void set_size(struct file *file, size_t size)
{
	if (size < file->size)
		memset(file->model + size, 0, file->size - size);
	file->size = size;
}

static void op_store(struct file *file)
{
	size_t offset, length;
	int view = random_below(VIEWS);

	if (!pick_range(file->size, &offset, &length))
		return;
	note("store    file %d view %d %7zu + %zu", number_of(file), view,
	     offset, length);
	fill_buffer(length);
	if (!breaks(LOST_WRITE))
		memcpy(file->views[view] + offset, buffer, length);
	memcpy(file->model + offset, buffer, length);
}

static void op_load(struct file *file)
{
	size_t offset, length;
	int view = random_below(VIEWS);

	if (!pick_range(file->size, &offset, &length))
		return;
	note("load     file %d view %d %7zu + %zu", number_of(file), view,
	     offset, length);
	compare(file, file->views[view] + offset, offset, length, "load");
}

static void op_write(struct file *file)
{
	size_t offset, length;

	pick_range(max_size, &offset, &length);
	note("write    file %d        %7zu + %zu", number_of(file), offset,
	     length);
	fill_buffer(length);
	if (pwrite(file->fd, buffer, length, offset) != length)
		fail("pwrite: %s", strerror(errno));
	memcpy(file->model + offset, buffer, length);
	if (offset + length > file->size)
		file->size = offset + length;
}

static void op_read(struct file *file)
{
	size_t offset, length, expected;
	ssize_t got;

	pick_range(max_size, &offset, &length);
	note("read     file %d        %7zu + %zu", number_of(file), offset,
	     length);
	expected = offset >= file->size ? 0 : file->size - offset;
	if (expected > length)
		expected = length;
	got = pread(file->fd, buffer, length, offset);
	if (got != expected)
		fail("pread returned %zd instead of %zu: %s", got, expected,
		     strerror(errno));
	compare(file, buffer, offset, expected, "read");
}

static void op_punch(struct file *file)
{
	size_t offset, length, end;

	pick_range(max_size, &offset, &length);
	note("punch    file %d        %7zu + %zu", number_of(file), offset,
	     length);
	if (dt_punch(file->fd, offset, length))
		fail("punch: %s", strerror(errno));
	end = offset + length < file->size ? offset + length : file->size;
	if (offset < end)
		memset(file->model + offset, 0, end - offset);
}

static void op_truncate(struct file *file)
{
	size_t size = random_below(max_size + 1);

	if (random_below(2))
		size -= size % dt_page;
	note("truncate file %d %zu -> %zu", number_of(file), file->size, size);
	if (ftruncate(file->fd, size))
		fail("ftruncate: %s", strerror(errno));
	if (size + 1 < file->size && breaks(DIRTY_TAIL)) {
		/* Grown again, with a byte of what was cut off. */
		if (pwrite(file->fd, "\377", 1, size + 1) != 1 ||
		    ftruncate(file->fd, file->size))
			fail("cannot break it: %s", strerror(errno));
		memset(file->model + size, 0, file->size - size);
		return;
	}
	set_size(file, size);
}

static int clone_or_copy(struct file *to, const struct file *from)
{
	if (!memfd)
		return dt_clone(to->fd, from->fd);
	if (to->size > from->size) {
		errno = EINVAL;
		return -1;
	}
	if (ftruncate(to->fd, 0) || ftruncate(to->fd, from->size))
		return -1;
	return pwrite(to->fd, from->views[0], from->size, 0) == from->size ?
	       0 : -1;
}

static void op_clone(struct file *from)
{
	struct file *to = &files[random_below(FILES)];
	bool refused = to == from || to->size > from->size;
	int result;

	if (to == from && memfd)
		return;
	note("clone    file %d -> %d, %zu over %zu", number_of(from),
	     number_of(to), from->size, to->size);
	result = clone_or_copy(to, from);
	if (refused) {
		if (!result || errno != EINVAL)
			fail("clone was not refused with EINVAL: %s",
			     strerror(errno));
		return;
	}
	if (result)
		fail("clone: %s", strerror(errno));
	memcpy(to->model, from->model, max_size);
	to->size = from->size;
	if (to->size && breaks(LEAKING_CLONE)) {
		/* A store to the source, seen in both. */
		from->views[0][0] ^= 4;
		from->model[0] ^= 4;
		to->views[0][0] = from->views[0][0];
	}
}

static void op_copy(struct file *from)
{
	struct file *to = &files[random_below(FILES)];
	size_t offset, length, left;
	loff_t in, out;

	if (to == from || !pick_range(from->size, &offset, &length))
		return;
	in = offset;
	out = random_below(max_size - length + 1);
	note("copy     file %d %7zu + %zu -> file %d %jd", number_of(from),
	     offset, length, number_of(to), (intmax_t)out);
	memcpy(to->model + out, from->model + offset, length);
	if (out + length > to->size)
		to->size = out + length;
	for (left = length; left;) {
		ssize_t done = copy_file_range(from->fd, &in, to->fd, &out,
					       left, 0);

		if (done <= 0)
			fail("copy_file_range returned %zd with %zu left: %s",
			     done, left, strerror(errno));
		left -= done;
	}
}

/* The buffer of the system call is another VM's memory, as in DMA. */
static void op_read_into(struct file *from)
{
	struct file *to = &files[random_below(FILES)];
	size_t offset, length, out;
	ssize_t got;

	if (to == from || !pick_range(from->size, &offset, &length))
		return;
	if (length > to->size)
		length = to->size;
	if (!length)
		return;
	out = random_below(to->size - length + 1);
	note("readinto file %d %7zu + %zu -> file %d %zu", number_of(from),
	     offset, length, number_of(to), out);
	got = pread(from->fd, to->views[0] + out, length, offset);
	if (got != length)
		fail("pread into a view returned %zd: %s", got,
		     strerror(errno));
	memcpy(to->model + out, from->model + offset, length);
}

/* Stores behind the end, in the last page: nobody may see them, ever. */
static void op_store_past_end(struct file *file)
{
	size_t room = (dt_page - file->size % dt_page) % dt_page;

	if (memfd || !room)
		return;
	note("pastend  file %d %zu + %zu", number_of(file), file->size, room);
	memset(file->views[0] + file->size, 0xdd, room);
}

static void op_seek(struct file *file)
{
	off_t at = 0;

	note("seek     file %d", number_of(file));
	while (at < file->size) {
		off_t data = lseek(file->fd, at, SEEK_DATA), end;

		end = data < 0 ? file->size : data;
		if (data < 0 && errno != ENXIO)
			fail("SEEK_DATA: %s", strerror(errno));
		if (!dt_is_zero(file->model + at, end - at))
			fail("SEEK_DATA from %jd says %jd: there is data before",
			     (intmax_t)at, (intmax_t)data);
		if (data < 0)
			break;
		at = lseek(file->fd, data, SEEK_HOLE);
		if (at <= data || at > file->size)
			fail("SEEK_HOLE from %jd says %jd, the size is %zu",
			     (intmax_t)data, (intmax_t)at, file->size);
	}
	if (lseek(file->fd, 0, SEEK_END) != file->size)
		fail("the size is %jd", (intmax_t)lseek(file->fd, 0, SEEK_END));
}

static void op_remap(struct file *file)
{
	int view = random_below(VIEWS);

	note("remap    file %d view %d", number_of(file), view);
	if (munmap(file->views[view], max_size))
		fail("munmap: %s", strerror(errno));
	map_view(file, view);
}

static void op_forget(struct file *file)
{
	note("forget   file %d", number_of(file));
	if (madvise(file->views[0], max_size, MADV_DONTNEED))
		fail("MADV_DONTNEED: %s", strerror(errno));
}

static void op_compare(struct file *file)
{
	size_t got;

	note("compare  file %d", number_of(file));
	for (int view = 0; view < VIEWS; view++)
		compare(file, file->views[view], 0, file->size, "view");
	got = pread(file->fd, buffer, max_size, 0);
	if (got != file->size)
		fail("pread of all returned %zu, the size is %zu", got,
		     file->size);
	compare(file, buffer, 0, got, "read of all");
}

/* The module's own opinion, and its counts against what can be counted here. */
static void op_check(struct file *file)
{
	struct disco_vm_stat stat;

	if (memfd)
		return;
	note("check    file %d", number_of(file));
	if (!dt_check(fs.control, file->fd))
		fail("DISCO_CHECK found something");
	stat = dt_stat(&fs, file->fd);
	if (stat.out_virtual != file->size ||
	    stat.out_private + stat.out_shared >
	    (file->size + dt_page - 1) / dt_page * dt_page)
		fail("%zu bytes have %" PRIu64 " private and %" PRIu64 " shared",
		     file->size, (uint64_t)stat.out_private,
		     (uint64_t)stat.out_shared);
}

static const struct {
	const char *name;
	void (*run)(struct file *file);
	unsigned int weight;
} table[] = {
	{ "store", op_store, 220 },
	{ "load", op_load, 200 },
	{ "write", op_write, 130 },
	{ "read", op_read, 130 },
	{ "punch", op_punch, 90 },
	{ "truncate", op_truncate, 40 },
	{ "clone", op_clone, 50 },
	{ "copy", op_copy, 30 },
	{ "readinto", op_read_into, 30 },
	{ "pastend", op_store_past_end, 20 },
	{ "seek", op_seek, 20 },
	{ "remap", op_remap, 20 },
	{ "forget", op_forget, 15 },
	{ "compare", op_compare, 4 },
	{ "check", op_check, 1 },
};

#define NR_OPS (sizeof(table) / sizeof(table[0]))

static void open_files(void)
{
	char name[16];

	if (!memfd)
		dt_fs_open(&fs, "fsx", NULL);
	for (int i = 0; i < FILES; i++) {
		struct file *file = &files[i];

		snprintf(name, sizeof(name), "vm%d", i);
		file->fd = memfd ? memfd_create(name, 0) :
				   dt_create(&fs, name, 0);
		if (file->fd < 0)
			dt_die("memfd_create");
		file->model = calloc(1, max_size);
		file->size = 0;
		for (int view = 0; view < VIEWS; view++)
			map_view(file, view);
	}
}

static void close_files(void)
{
	for (int i = 0; i < FILES; i++) {
		for (int view = 0; view < VIEWS; view++)
			munmap(files[i].views[view], max_size);
		free(files[i].model);
		if (memfd)
			close(files[i].fd);
	}
	if (!memfd && !dt_fs_close(&fs))
		fail("something is left behind");
}

static void run(void)
{
	unsigned int total = 0;

	for (size_t i = 0; i < NR_OPS; i++)
		total += table[i].weight;
	open_files();
	for (now = 0; now < operations; now++) {
		unsigned int pick = random_below(total), i = 0;
		struct file *file = &files[random_below(FILES)];

		while (pick >= table[i].weight)
			pick -= table[i++].weight;
		note("-");
		table[i].run(file);
		counts[i]++;
		if (file->size && breaks(FLIPPED_BIT))
			file->views[0][file->size / 2] ^= 4;
	}
	now--;
	for (int i = 0; i < FILES; i++)
		op_compare(&files[i]);
	close_files();
}

/* Each defect has to be found, by a process of its own. */
static int self_test(void)
{
	static const char * const names[] = {
		"nothing broken", "flipped bit", "lost write", "leaking clone",
		"dirty tail",
	};
	int result = 0;

	operations = 20000;
	printf("TAP version 13\n1..%d\n", NR_DEFECTS);
	fflush(stdout);
	for (int i = NO_DEFECT; i < NR_DEFECTS; i++) {
		pid_t pid = dt_fork();
		int status;
		bool ok;

		if (!pid) {
			defect = i;
			if (!freopen("/dev/null", "w", stdout))
				_exit(2);
			run();
			_exit(0);
		}
		status = dt_wait(pid);
		ok = status == (i == NO_DEFECT ? 0 : 1);
		result |= !ok;
		printf("%s %d fsx finds: %s\n", ok ? "ok" : "not ok", i + 1,
		       names[i]);
		fflush(stdout);
	}
	return result;
}

static void usage(FILE *file)
{
	fprintf(file,
		"usage: fsx [OPTION]...\n"
		"  --operations N   how many; default %lu\n"
		"  --seed N         repeats a run; default: another each time\n"
		"  --peer memfd     test memfd instead of disco\n"
		"  --self-test      break something, and expect to be told\n",
		operations);
}

static uint64_t number(const char *option, const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (!value || *end) {
		fprintf(stderr, "fsx: --%s '%s': it is a number above 0\n",
			option, text);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "operations", required_argument, NULL, 'n' },
		{ "seed", required_argument, NULL, 's' },
		{ "peer", required_argument, NULL, 'p' },
		{ "self-test", no_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool test = false;
	double begin = dt_now();
	int option;

	seed = (uint64_t)time(NULL) * 1000003 ^ getpid();
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'n':
			operations = number("operations", optarg);
			break;
		case 's':
			seed = number("seed", optarg);
			break;
		case 'p':
			if (strcmp(optarg, "memfd")) {
				fprintf(stderr,
					"fsx: --peer '%s': it is memfd\n",
					optarg);
				return 2;
			}
			memfd = true;
			break;
		case 't':
			test = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc) {
		usage(stderr);
		return 2;
	}
	state = seed;
	max_size = PAGES * dt_page;
	buffer = malloc(max_size);
	if (test)
		return self_test();

	printf("TAP version 13\n1..1\n# seed %" PRIu64 "\n", seed);
	run();
	printf("#");
	for (size_t i = 0; i < NR_OPS; i++)
		printf(" %s %lu", table[i].name, counts[i]);
	printf("\nok 1 fsx: %lu operations, seed %" PRIu64 ", %.0f s\n",
	       operations, seed, dt_now() - begin);
	return 0;
}
