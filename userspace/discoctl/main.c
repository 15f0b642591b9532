// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl: look at the memory of virtual machines under Disco, once or live,
 * manage disks, merge, move and replicate pages, clone machines.
 *
 * Each command is in a file of its own, with its help. A command collects its
 * whole answer before it prints JSON, so that what is printed is one object:
 * the answer or the error.
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discoctl.h"

static const char help[] =
	"Usage: discoctl [OPTIONS] COMMAND ...\n"
	"\n"
	"Shows what the Disco kernel module knows about virtual machines, manages the\n"
	"disks that they share, merges, moves and replicates pages, and clones machines.\n"
	"\n"
	"Commands (any unambiguous beginning will do):\n"
	"  vm list                    memory of all virtual machines\n"
	"  vm show NAME               memory of one, in detail\n"
	"  vcpu list [NAME]           second-level TLBs of virtual CPUs\n"
	"  vcpu show NAME VCPU        one of them, in detail\n"
	"  vcpu dump NAME VCPU [SETS] what is in it\n"
	"  disk add NAME PATH         make a disk from a file or block device\n"
	"  disk list                  all disks\n"
	"  disk show NAME             one, with counters\n"
	"  disk drop-cache NAME       forget what no machine uses\n"
	"  disk remove NAME           remove a disk that is not in use\n"
	"  page NAME [GFN[-GFN]]      what is behind each page of a machine\n"
	"  page --pfn PFN             who uses a machine frame\n"
	"  merge NAME...              make equal pages of machines one\n"
	"  numa [NAME...]             memory by machine and NUMA node\n"
	"  numa --plot FILE           locality and moves over time, from a log\n"
	"  move NAME NODE [GFN[-GFN]] put pages of a machine on a node\n"
	"  replicate NAME NODE [GFN[-GFN]] put copies of them there, for reading\n"
	"  collapse NAME NODE [GFN[-GFN]] drop the copies\n"
	"  heat show NAME             what the sampler of a machine does\n"
	"  heat list NAME             which NUMA nodes use which of its pages\n"
	"  heat drain NAME            the same, and begin at zero\n"
	"  heat sample NAME PERCENT   let the sampler take so much of a CPU\n"
	"  clone DOMAIN NAME          start copies of a paused libvirt domain\n"
	"  top                        memory, sharing, moves and locality, live\n"
	"  stat                       counters of the module\n"
	"  check                      walk all structures, report a violation\n"
	"  version                    versions of program, library and module\n"
	"  help                       this text; also: discoctl COMMAND help\n"
	"\n"
	"Options:\n"
	"  -j, --json                 print JSON\n"
	"  -p, --pretty               print JSON with line breaks\n"
	"  -m, --mount MOUNT          use the file system mounted there\n"
	"  -a, --all                  page: one line for each page; merge: all machines\n"
	"      --pfn PFN              page: ask about a machine frame\n"
	"      --same-gfn-only        merge: not pages at different frame numbers\n"
	"      --copies K             clone: so many copies, NAME-1 to NAME-K\n"
	"      --max SIZE             disk add: most that stays cached unused\n"
	"      --mode MODE            disk add: permissions, octal\n"
	"  -b, --batch                top: text, and no screen\n"
	"  -d, --delay SECONDS        top: time between refreshes\n"
	"  -n, --count COUNT          top: end after so many refreshes\n"
	"      --sort COLUMN          top: sort by it\n"
	"      --plot FILE            numa: make a picture, SVG\n"
	"      --log LOG              numa: what it is made from; - is standard input\n"
	"  -h, --help                 this text\n"
	"  -V, --version              same as the command version\n";

static int cmd_help(struct ctl *ctl, int argc, char **argv)
{
	(void)ctl, (void)argc, (void)argv;
	return print_help(help);
}

static const struct command commands[] = {
	{ "vm", cmd_vm },
	{ "vcpu", cmd_vcpu },
	{ "disk", cmd_disk },
	{ "page", cmd_page },
	{ "merge", cmd_merge },
	{ "numa", cmd_numa },
	{ "move", cmd_move },
	{ "replicate", cmd_replicate },
	{ "collapse", cmd_collapse },
	{ "heat", cmd_heat },
	{ "clone", cmd_clone },
	{ "top", cmd_top },
	{ "stat", cmd_stat },
	{ "check", cmd_check },
	{ "version", cmd_version },
	{ "help", cmd_help },
	{ NULL, NULL },
};

/**
 * print_help - print a help text
 * @text: the text
 *
 * Return: exit code.
 */
int print_help(const char *text)
{
	fputs(text, stdout);
	return EXIT_OK;
}

/**
 * ctl_error - report an error to the user
 * @ctl: decides between text on stderr and JSON on stdout
 * @fmt: what went wrong
 *
 * Return: EXIT_ERROR.
 */
int ctl_error(const struct ctl *ctl, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);

	if (ctl->json) {
		struct json_object *obj = json_object_new_object();

		json_add_text(obj, "error", text ? text : "not enough memory");
		ctl_print_json(ctl, obj);
	} else {
		char *safe = text ? escape_name(text) : NULL;

		fprintf(stderr, "discoctl: %s\n",
			safe ? safe : "not enough memory");
		free(safe);
	}
	free(text);
	return EXIT_ERROR;
}

/**
 * ctl_disco_error - report the library's last error to the user
 * @ctl: the program
 *
 * Return: EXIT_ERROR.
 */
int ctl_disco_error(const struct ctl *ctl)
{
	return ctl_error(ctl, "%s", disco_error(ctl->disco));
}

/**
 * ctl_print_json - print an answer and free it
 * @ctl: the program
 * @obj: the answer
 *
 * Return: EXIT_OK.
 */
int ctl_print_json(const struct ctl *ctl, struct json_object *obj)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE;

	flags |= ctl->pretty ? JSON_C_TO_STRING_PRETTY |
			       JSON_C_TO_STRING_SPACED :
			       JSON_C_TO_STRING_PLAIN;
	puts(json_object_to_json_string_ext(obj, flags));
	json_object_put(obj);
	return EXIT_OK;
}

static const struct command *find_command(const struct command *table,
					  const char *word, bool *ambiguous)
{
	const struct command *found = NULL;

	*ambiguous = false;
	for (; table->name; table++) {
		if (!strcmp(word, table->name)) {
			*ambiguous = false;
			return table;
		}
		if (!strncmp(word, table->name, strlen(word))) {
			*ambiguous = *ambiguous || found;
			found = table;
		}
	}
	return found;
}

/**
 * dispatch - run the command that the first word names
 * @ctl: the program
 * @table: what there is
 * @what: what the words are called in an error text
 * @argc: number of words
 * @argv: the words
 *
 * Any unambiguous beginning of a name will do, as in bpftool and ip.
 *
 * Return: exit code.
 */
int dispatch(struct ctl *ctl, const struct command *table, const char *what,
	     int argc, char **argv)
{
	const struct command *found = NULL;
	bool ambiguous = false;
	char list[256] = "";

	if (argc)
		found = find_command(table, argv[0], &ambiguous);
	if (found && !ambiguous)
		return found->run(ctl, argc - 1, argv + 1);

	for (; table->name; table++) {
		if (list[0])
			strcat(list, ", ");
		strcat(list, table->name);
	}
	if (!argc)
		return ctl_error(ctl, "a %s is missing: %s", what, list);
	return ctl_error(ctl, "%s %s \"%s\", there are: %s",
			 ambiguous ? "ambiguous" : "unknown", what, argv[0],
			 list);
}

/**
 * reject_words - a command without arguments got some
 * @ctl: the program
 * @argc: number of words left
 * @argv: the words
 *
 * Return: EXIT_OK if there are none, or EXIT_ERROR.
 */
int reject_words(struct ctl *ctl, int argc, char **argv)
{
	if (!argc)
		return EXIT_OK;
	return ctl_error(ctl, "unexpected \"%s\"", argv[0]);
}

/**
 * help_or_reject - the words after a command that takes none
 * @ctl: the program
 * @help_text: help of the command
 * @argc: number of words, at least 1
 * @argv: the words
 *
 * Return: EXIT_OK for the word help, or EXIT_ERROR.
 */
int help_or_reject(struct ctl *ctl, const char *help_text, int argc,
		   char **argv)
{
	if (argc == 1 && !strcmp(argv[0], "help"))
		return print_help(help_text);
	return reject_words(ctl, argc, argv);
}

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "pretty", no_argument, NULL, 'p' },
	{ "mount", required_argument, NULL, 'm' },
	{ "all", no_argument, NULL, 'a' },
	{ "pfn", required_argument, NULL, 'f' },
	{ "same-gfn-only", no_argument, NULL, 's' },
	{ "copies", required_argument, NULL, 'c' },
	{ "max", required_argument, NULL, 'x' },
	{ "mode", required_argument, NULL, 'o' },
	{ "batch", no_argument, NULL, 'b' },
	{ "delay", required_argument, NULL, 'd' },
	{ "count", required_argument, NULL, 'n' },
	{ "sort", required_argument, NULL, 't' },
	{ "plot", required_argument, NULL, 'l' },
	{ "log", required_argument, NULL, 'g' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static bool is_word(const char *name, int nr, int argc, char **argv)
{
	return nr < argc && !strncmp(argv[nr], name, strlen(argv[nr]));
}

/* An option that only one command takes was given to another. */
static int reject_options(struct ctl *ctl, int argc, char **argv)
{
	bool add = is_word("disk", 0, argc, argv) &&
		   is_word("add", 1, argc, argv);
	bool page = is_word("page", 0, argc, argv);
	bool merge = is_word("merge", 0, argc, argv);

	if (ctl->pfn && !page)
		return ctl_error(ctl, "--pfn is only for the command page");
	if (ctl->all && !page && !merge)
		return ctl_error(ctl,
				 "--all is only for the commands page and merge");
	if (ctl->same_gfn_only && !merge)
		return ctl_error(ctl,
				 "--same-gfn-only is only for the command merge");
	if (ctl->copies && !is_word("clone", 0, argc, argv))
		return ctl_error(ctl, "--copies is only for the command clone");
	if ((ctl->max || ctl->mode) && !add)
		return ctl_error(ctl, "%s is only for the command disk add",
				 ctl->max ? "--max" : "--mode");
	if ((ctl->batch || ctl->delay || ctl->count || ctl->sort) &&
	    !is_word("top", 0, argc, argv))
		return ctl_error(ctl, "%s is only for the command top",
				 ctl->batch ? "--batch" :
				 ctl->delay ? "--delay" :
				 ctl->count ? "--count" : "--sort");
	if ((ctl->plot || ctl->log) && !is_word("numa", 0, argc, argv))
		return ctl_error(ctl, "%s is only for the command numa",
				 ctl->plot ? "--plot" : "--log");
	return EXIT_OK;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	int (*instead)(struct ctl *, int, char **) = NULL;
	const char *wrong = NULL;
	const char *reason = NULL;
	const char *mount = NULL;
	int opt;
	int ret;

	/* The first error is kept: an option that follows may ask for JSON. */
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":jpm:abd:n:hV", options, NULL)) != -1) {
		switch (opt) {
		case 'j':
			ctl->json = true;
			break;
		case 'p':
			ctl->json = true;
			ctl->pretty = true;
			break;
		case 'm':
			mount = optarg;
			break;
		case 'a':
			ctl->all = true;
			break;
		case 'f':
			ctl->pfn = optarg;
			break;
		case 's':
			ctl->same_gfn_only = true;
			break;
		case 'c':
			ctl->copies = optarg;
			break;
		case 'x':
			ctl->max = optarg;
			break;
		case 'o':
			ctl->mode = optarg;
			break;
		case 'b':
			ctl->batch = true;
			break;
		case 'd':
			ctl->delay = optarg;
			break;
		case 'n':
			ctl->count = optarg;
			break;
		case 't':
			ctl->sort = optarg;
			break;
		case 'l':
			ctl->plot = optarg;
			break;
		case 'g':
			ctl->log = optarg;
			break;
		case 'h':
			instead = cmd_help;
			break;
		case 'V':
			instead = cmd_version;
			break;
		default:
			if (wrong)
				break;
			wrong = argv[optind - 1];
			reason = opt == ':' ? "needs a value" :
				 "is no option (try: discoctl help)";
		}
	}
	if (wrong)
		return ctl_error(ctl, "%s %s", wrong, reason);
	argc -= optind;
	argv += optind;
	if (instead)
		return instead(ctl, 0, argv);
	ret = reject_options(ctl, argc, argv);
	if (ret)
		return ret;
	ctl->mount = mount;
	if (mount && disco_set_mount(ctl->disco, mount))
		return ctl_disco_error(ctl);
	return dispatch(ctl, commands, "command", argc, argv);
}

int main(int argc, char **argv)
{
	struct ctl ctl = { 0 };
	int ret;

	/* Only for what is a character; numbers and messages stay as in C. */
	setlocale(LC_CTYPE, "C.UTF-8");
	if (disco_new(&ctl.disco))
		return ctl_error(&ctl, "not enough memory");
	ret = run(&ctl, argc, argv);
	disco_free(ctl.disco);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "discoctl: cannot write the answer: %s\n",
			strerror(errno));
		return EXIT_ERROR;
	}
	return ret;
}
