// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command line.
 */
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "discod.h"

static const char help[] =
	"Usage: discod [OPTIONS]\n"
	"\n"
	"Moves the memory of virtual machines to the NUMA nodes that use it: samples\n"
	"which nodes use which pages, asks a policy, and migrates or copies pages.\n"
	"\n"
	"Options:\n"
	"  -c, --config FILE      the policy (/etc/disco/discod.conf)\n"
	"  -m, --mount PATH       where the disco file system is (/run/disco)\n"
	"  -b, --budget PERCENT   of a CPU for the sampler of each machine (1); 0 leaves\n"
	"                         samplers alone\n"
	"  -a, --affinity MODE    threads of monitors: none leaves them alone (default),\n"
	"                         node keeps each on the node where it is, memory brings\n"
	"                         them to most of the machine's memory\n"
	"  -l, --log FILE         locality and moves, as JSON; - is standard output\n"
	"  -i, --log-interval SECONDS\n"
	"                         between lines of the log (10)\n"
	"  -n, --dry-run          sample, and say what would be moved, but move nothing\n"
	"  -v, --verbose          say of each page that it was moved, and why\n"
	"  -f, --foreground       stay in the foreground\n"
	"  -h, --help             this text\n"
	"  -V, --version          version of the program\n"
	"\n"
	"SIGHUP reads the policy again and opens the log again, SIGTERM ends.\n";

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "mount", required_argument, NULL, 'm' },
	{ "budget", required_argument, NULL, 'b' },
	{ "affinity", required_argument, NULL, 'a' },
	{ "log", required_argument, NULL, 'l' },
	{ "log-interval", required_argument, NULL, 'i' },
	{ "dry-run", no_argument, NULL, 'n' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "foreground", no_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

/* A number from @min to @max, with a fraction. */
static bool parse_real(const char *text, double min, double max, double *value)
{
	char *end;

	if (strspn(text, "0123456789.") != strlen(text))
		return false;
	*value = strtod(text, &end);
	return end != text && !*end && *value >= min && *value <= max;
}

static int parse_affinity(const char *text, enum affinity *affinity)
{
	static const char * const modes[] = {
		[AFFINITY_NONE] = "none",
		[AFFINITY_NODE] = "node",
		[AFFINITY_MEMORY] = "memory",
	};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (!strcmp(text, modes[i])) {
			*affinity = i;
			return EXIT_OK;
		}
	}
	return fatal("--affinity %s: there are none, node and memory", text);
}

/* Returns an exit code, or -1 to go on. */
static int parse_option(struct options *opts, int opt, char **argv)
{
	double number;

	switch (opt) {
	case 'c':
		opts->config = optarg;
		return -1;
	case 'm':
		opts->mount = optarg;
		return -1;
	case 'l':
		opts->log = optarg;
		return -1;
	case 'n':
		opts->dry_run = true;
		return -1;
	case 'v':
		opts->verbose = true;
		return -1;
	case 'f':
		opts->foreground = true;
		return -1;
	case 'a':
		return parse_affinity(optarg, &opts->affinity) ? EXIT_ERROR : -1;
	case 'b':
		if (!parse_real(optarg, 0, 100, &number))
			return fatal("--budget %s: use 0 to 100, such as 0.5", optarg);
		opts->budget = lround(number * DISCO_HEAT_MAX_BUDGET / 100);
		if (number > 0 && !opts->budget)
			return fatal("--budget %s: less than a millionth of a CPU is none",
				     optarg);
		return -1;
	case 'i':
		if (!parse_real(optarg, 0.1, 86400, &number))
			return fatal("--log-interval %s: use 0.1 to 86400 seconds",
				     optarg);
		opts->log_ns = number * NS_PER_S;
		return -1;
	case 'h':
		fputs(help, stdout);
		return EXIT_OK;
	case 'V':
		puts("discod " DISCO_VERSION);
		return EXIT_OK;
	case ':':
		return fatal("%s needs a value", argv[optind - 1]);
	default:
		return fatal("%s is no option (try: discod --help)",
			     argv[optind - 1]);
	}
}

/**
 * options_parse - read the command line
 * @opts: filled; has the defaults
 * @argc: number of words
 * @argv: the words
 *
 * Return: an exit code, or -1 to go on.
 */
int options_parse(struct options *opts, int argc, char **argv)
{
	int opt, ret = -1;

	opterr = 0;
	while (ret < 0 && (opt = getopt_long(argc, argv, ":c:m:b:a:l:i:nvfhV",
					     options, NULL)) != -1)
		ret = parse_option(opts, opt, argv);
	if (ret < 0 && optind < argc)
		ret = fatal("\"%s\" is no option (try: discod --help)",
			    argv[optind]);
	if (ret < 0 && !opts->foreground && opts->log && !strcmp(opts->log, "-"))
		ret = fatal("--log -: in the background there is no standard output");
	return ret;
}
