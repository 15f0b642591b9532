// SPDX-License-Identifier: GPL-2.0-only
/*
 * disco-replay: run recorded heat through policies, and compare them without a
 * machine.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

#define EXIT_ERROR 2
#define MAX_SETTINGS 64

static const char help[] =
	"Usage: disco-replay [OPTIONS] TRACE\n"
	"\n"
	"Runs a recorded heat trace through NUMA policies and prints what each would\n"
	"have moved, how many cache misses it would have made local, and the time that\n"
	"all CPUs together would have needed.\n"
	"\n"
	"Options:\n"
	"  -j, --json                 print JSON\n"
	"  -p, --pretty               print JSON with line breaks\n"
	"  -c, --config FILE          numbers of the policies, as in numa.conf\n"
	"  -s, --set SECTION.NAME=VALUE\n"
	"                             one number, after those of the file; repeatable\n"
	"  -P, --policy NAME          only this policy, and static; repeatable\n"
	"  -m, --moves                every move, with its reason\n"
	"  -l, --list                 list the policies\n"
	"  -h, --help                 this text\n"
	"  -V, --version              version of the program\n";

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "pretty", no_argument, NULL, 'p' },
	{ "config", required_argument, NULL, 'c' },
	{ "set", required_argument, NULL, 's' },
	{ "policy", required_argument, NULL, 'P' },
	{ "moves", no_argument, NULL, 'm' },
	{ "list", no_argument, NULL, 'l' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct args - what the command line says
 * @json: print JSON
 * @pretty: print it with line breaks
 * @moves: print every move
 * @config: file with numbers, or NULL
 * @settings: numbers
 * @nr_settings: number of @settings
 * @policies: chosen policies
 * @nr_policies: number of @policies; 0: all there are
 */
struct args {
	bool json;
	bool pretty;
	bool moves;
	const char *config;
	const char *settings[MAX_SETTINGS];
	unsigned int nr_settings;
	const struct np_rule *policies[MAX_LANES];
	unsigned int nr_policies;
};

static int fail(const struct args *args, const char *text)
{
	struct json_object *obj;

	if (!args->json) {
		fprintf(stderr, "disco-replay: %s\n", text);
		return EXIT_ERROR;
	}
	obj = json_object_new_object();
	json_object_object_add(obj, "error", json_object_new_string(text));
	print_json(obj, args->pretty);
	return EXIT_ERROR;
}

static int list_policies(const struct args *args)
{
	struct json_object *obj = json_object_new_object();

	for (int i = 0; np_rules[i]; i++) {
		if (!args->json)
			printf("%-10s  %s\n", np_rule_name(np_rules[i]),
			       np_rule_text(np_rules[i]));
		json_object_object_add(obj, np_rule_name(np_rules[i]),
				       json_object_new_string(np_rule_text(np_rules[i])));
	}
	if (args->json)
		print_json(obj, args->pretty);
	else
		json_object_put(obj);
	return EXIT_SUCCESS;
}

static bool is_chosen(const struct args *args, const struct np_rule *rule)
{
	for (unsigned int i = 0; i < args->nr_policies; i++)
		if (args->policies[i] == rule)
			return true;
	return !args->nr_policies;
}

static int read_config(const struct args *args, struct np_config *config,
		       struct np_error *error)
{
	int ret = 0;

	np_config_init(config);
	if (args->config)
		ret = np_config_read(config, args->config, error);
	for (unsigned int i = 0; i < args->nr_settings && !ret; i++)
		ret = np_config_set(config, args->settings[i], error);
	return ret ? ret : np_config_check(config, args->config, error);
}

static int replay_trace(const struct args *args, const char *path)
{
	struct json_object *moves = NULL, *answer;
	struct replay replay = { 0 };
	struct np_config config;
	struct np_error error;
	int ret;

	ret = read_config(args, &config, &error);
	if (!ret)
		ret = np_trace_open(path, &replay.source, &error);
	/* The first lane, static, is what the others are compared with. */
	for (int i = 0; np_rules[i] && !ret; i++) {
		config.rule = np_rules[i];
		if (!i || is_chosen(args, np_rules[i]))
			ret = replay_add(&replay, &config, &error);
	}
	if (args->moves && args->json) {
		moves = json_object_new_array();
		replay.moved = keep_move;
		replay.data = moves;
	} else if (args->moves) {
		replay.moved = print_move;
	}
	if (!ret)
		ret = replay_run(&replay, &error);
	if (ret) {
		json_object_put(moves);
		ret = fail(args, error.text);
	} else if (args->json) {
		answer = make_answer(&replay, path);
		if (moves)
			json_object_object_add(answer, "moves", moves);
		print_json(answer, args->pretty);
	} else {
		if (args->moves)
			putchar('\n');
		print_table(&replay, path);
	}
	replay_free(&replay);
	return ret;
}

static int add_policy(struct args *args, const char *name, char *wrong,
		      size_t size)
{
	const struct np_rule *rule = np_rule_find(name);

	if (!rule) {
		snprintf(wrong, size, "no policy \"%.64s\" (try: disco-replay --list)",
			 name);
		return -EINVAL;
	}
	if (args->nr_policies == 0 || !is_chosen(args, rule))
		args->policies[args->nr_policies++] = rule;
	return 0;
}

static int add_setting(struct args *args, const char *setting, char *wrong,
		       size_t size)
{
	if (!strncmp(setting, "policy.rule=", strlen("policy.rule="))) {
		snprintf(wrong, size, "policies are chosen with --policy, not with policy.rule");
		return -EINVAL;
	}
	if (args->nr_settings == MAX_SETTINGS) {
		snprintf(wrong, size, "more than %d settings, use a file and --config",
			 MAX_SETTINGS);
		return -E2BIG;
	}
	args->settings[args->nr_settings++] = setting;
	return 0;
}

int main(int argc, char **argv)
{
	struct args args = { 0 };
	char wrong[160] = "";
	int opt, other = 0;
	int ret;

	/* The first error is kept: an option that follows may ask for JSON. */
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":jpc:s:P:mlhV", options,
				  NULL)) != -1) {
		switch (opt) {
		case 'p':
			args.pretty = true;
			/* fall through */
		case 'j':
			args.json = true;
			break;
		case 'c':
			args.config = optarg;
			break;
		case 's':
			if (!wrong[0])
				add_setting(&args, optarg, wrong, sizeof(wrong));
			break;
		case 'P':
			if (!wrong[0])
				add_policy(&args, optarg, wrong, sizeof(wrong));
			break;
		case 'm':
			args.moves = true;
			break;
		case 'l':
		case 'h':
		case 'V':
			other = opt;
			break;
		default:
			if (!wrong[0])
				snprintf(wrong, sizeof(wrong), "%.64s %s",
					 argv[optind - 1], opt == ':' ?
					 "needs a value" :
					 "is no option (try: disco-replay --help)");
		}
	}
	if (wrong[0]) {
		ret = fail(&args, wrong);
	} else if (other == 'h') {
		fputs(help, stdout);
		ret = EXIT_SUCCESS;
	} else if (other == 'V') {
		puts("disco-replay " DISCO_VERSION);
		ret = EXIT_SUCCESS;
	} else if (other == 'l') {
		ret = list_policies(&args);
	} else if (optind == argc) {
		ret = fail(&args, "a TRACE is missing (try: disco-replay --help)");
	} else if (optind + 1 < argc) {
		ret = fail(&args, "one TRACE at a time");
	} else {
		ret = replay_trace(&args, argv[optind]);
	}
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "disco-replay: cannot write the answer: %s\n",
			strerror(errno));
		return EXIT_ERROR;
	}
	return ret;
}
