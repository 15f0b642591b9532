// SPDX-License-Identifier: GPL-2.0-only
/* Command line of ram-bench. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/disco.h>
#include <numa.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench.h"

#define DEFAULT_PAIRS	9
#define DEFAULT_BYTES	(256 * MIB)
#define SHMEM_HUGE	"/sys/kernel/mm/transparent_hugepage/shmem_enabled"

struct bench_env env = { .disco_fd = -1 };

static const struct bench {
	const char *name;
	void (*run)(void);
	const char *help;
} benches[] = {
	{ "noise", bench_noise, "memfd against itself" },
	{ "touch", bench_touch, "first write to each page, 1 and 4 threads" },
	{ "read-write", bench_read_write, "read, then write each page" },
	{ "punch", bench_punch, "give pages back and touch them again" },
	{ "clone", bench_clone, "FICLONE against a copy" },
	{ "cow", bench_write_after_clone, "first write to each page of a clone" },
	{ "disk", bench_disk, "read a cached disk into the memory" },
	{ "move", bench_move, "move the memory to another node" },
	{ "replicate", bench_replicate, "copy the memory to another node" },
	{ "metadata", bench_metadata, "bytes of tables per byte of memory" },
};

#define NR_BENCHES (sizeof(benches) / sizeof(*benches))

/**
 * die() - say what is wrong and end the program with status 1
 * @format: as for printf(), without a new line
 */
void die(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "ram-bench: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	exit(1);
}

static void usage(FILE *stream)
{
	fprintf(stream,
		"Usage: ram-bench --out DIR [--dir DIR] [--pairs N] [--mib N] [BENCH...]\n"
		"Compares files of disco with memfds and writes one JSON file per result.\n"
		"\n"
		"  --out DIR   where results go\n"
		"  --dir DIR   directory in ram/ of a disco mount; without it memfd is\n"
		"              compared with itself, which shows the noise of the machine\n"
		"  --pairs N   measured pairs, 1 to %d (default %d)\n"
		"  --mib N     memory touched, a multiple of 32, at most 4096 (default %lu)\n"
		"\n"
		"Benchmarks (all by default):\n",
		MAX_PAIRS, DEFAULT_PAIRS, DEFAULT_BYTES / MIB);
	for (size_t i = 0; i < NR_BENCHES; i++)
		fprintf(stream, "  %-11s %s\n", benches[i].name,
			benches[i].help);
}

static long number_option(const char *option, const char *text, long min,
			  long max)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(text, &end, 10);
	if (errno || end == text || *end || number < min || number > max)
		die("--%s %s: must be a number from %ld to %ld", option, text,
		    min, max);
	return number;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "out", required_argument, NULL, 'o' },
		{ "dir", required_argument, NULL, 'd' },
		{ "pairs", required_argument, NULL, 'p' },
		{ "mib", required_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	env.pairs = DEFAULT_PAIRS;
	env.bytes = DEFAULT_BYTES;
	env.page_size = sysconf(_SC_PAGESIZE);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'o':
			env.out_dir = optarg;
			break;
		case 'd':
			env.ram_dir = optarg;
			break;
		case 'p':
			env.pairs = number_option("pairs", optarg, 1,
						  MAX_PAIRS);
			break;
		case 'm':
			env.bytes = number_option("mib", optarg, 32, 4096) *
				    MIB;
			if (env.bytes % (NR_THREADS * TURN_BYTES))
				die("--mib %s: must be a multiple of %lu",
				    optarg, NR_THREADS * TURN_BYTES / MIB);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (!env.out_dir) {
		usage(stderr);
		die("--out is missing");
	}
}

static const struct bench *find_bench(const char *name)
{
	for (size_t i = 0; i < NR_BENCHES; i++)
		if (!strcmp(benches[i].name, name))
			return &benches[i];
	usage(stderr);
	die("there is no benchmark \"%s\"", name);
}

/* With huge pages in memfd, one fault there does the work of 512 here. */
static void check_shmem(void)
{
	char text[128] = "";
	FILE *file = fopen(SHMEM_HUGE, "r");

	if (!file)
		return;
	if (fgets(text, sizeof(text), file) && !strstr(text, "[never]") &&
	    !strstr(text, "[advise]"))
		die("memfd uses huge pages: write \"never\" to %s", SHMEM_HUGE);
	fclose(file);
}

static void check_disco(void)
{
	struct disco_vm_stat stat = { .size = sizeof(stat) };
	struct ram ram;

	env.disco_fd = open("/dev/disco", O_RDWR | O_CLOEXEC);
	if (env.disco_fd < 0)
		die("/dev/disco: %s (is the module loaded?)", strerror(errno));
	ram_open(&ram, OURS, 0);
	stat.vm_fd = ram.fd;
	if (ioctl(env.disco_fd, DISCO_VM_STAT, &stat))
		die("%s is not in ram/ of a disco mount: %s", env.ram_dir,
		    strerror(errno));
	ram_close(&ram);
}

/* The largest benchmark has a memory and a copy of it. */
static void check_memory(void)
{
	int node = numa_node_of_cpu(env.cpus[0]);
	long long nr_free = node_free(node);

	fprintf(stderr, "CPU %d on node %d, %lld MiB free there\n", env.cpus[0],
		node, nr_free / (long long)MIB);
	if (nr_free < (long long)(env.bytes * 2 + env.bytes / 4))
		die("node %d has %lld MiB free, %zu are needed: use a larger machine or a smaller --mib",
		    node, nr_free / (long long)MIB,
		    (env.bytes * 2 + env.bytes / 4) / MIB);
}

int main(int argc, char **argv)
{
	double began = seconds_now();

	parse(argc, argv);
	for (int i = optind; i < argc; i++)
		find_bench(argv[i]);
	check_shmem();
	choose_cpus();
	pin_to_cpu(env.cpus[0]);
	check_memory();
	if (env.ram_dir)
		check_disco();

	measure_limits();
	if (optind == argc)
		for (size_t i = 0; i < NR_BENCHES; i++)
			benches[i].run();
	for (int i = optind; i < argc; i++)
		find_bench(argv[i])->run();
	fprintf(stderr, "pages sampled that were not local: %lu\n",
		ram_misplaced());
	fprintf(stderr, "done in %.0f s\n", seconds_now() - began);
	return 0;
}
