// SPDX-License-Identifier: GPL-2.0-only
/*
 * Configuration files: what they set, and what is said of bad ones.
 */
#include "test.h"

#define CONF NUMA_CONF

static int read_text(struct np_config *config, const char *text,
		     struct np_error *error)
{
	const char *path = temporary(text);
	int ret;

	np_config_init(config);
	ret = np_config_read(config, path, error);
	if (!ret)
		ret = np_config_check(config, "file", error);
	unlink(path);
	return ret;
}

/* Blanks and comments do not matter; what is not set keeps its default. */
static void numbers_are_read(void **state)
{
	struct np_config config, defaults;
	struct np_error error;

	(void)state;
	np_config_init(&defaults);
	assert_int_equal(read_text(&config,
				   "# a comment\n[policy]\n rule=carrefour # why\n"
				   "\n[ disco ]\n\ttrigger =  64\nsharing=16",
				   &error), 0);
	assert_string_equal(np_rule_name(config.rule), "carrefour");
	assert_int_equal(config.value[NP_DISCO_TRIGGER], 64);
	assert_int_equal(config.value[NP_DISCO_SHARING], 16);
	assert_int_equal(config.value[NP_DISCO_RESET_MS],
			 defaults.value[NP_DISCO_RESET_MS]);
}

/* Each mistake is named with its line and field, and nothing is changed. */
static void mistakes_are_named(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *part[2];
	} cases[] = {
		{ "trigger = 1\n", -EINVAL, { ":1: ", "before any section" } },
		{ "[policy]\nrule = best\n", -EINVAL,
		  { ":2: policy.rule: no rule \"best\"", "static, interleave, autonuma, carrefour, disco" } },
		{ "[disco]\n\ntriger = 5\n", -EINVAL,
		  { ":3: no \"triger\" in section disco", "trigger, sharing" } },
		{ "[discco]\n", -EINVAL,
		  { ":1: no section \"discco\"", "policy, machine, disco, autonuma, carrefour" } },
		{ "[disco\n", -EINVAL, { ":1: ", "brackets" } },
		{ "[disco] x\n", -EINVAL, { ":1: ", "brackets" } },
		{ "[disco]\ntrigger 5\n", -EINVAL, { ":2: \"trigger 5\"", "NAME = VALUE" } },
		{ "[disco]\ntrigger = 5x\n", -EINVAL,
		  { ":2: disco.trigger: \"5x\"", "digits" } },
		{ "[disco]\ntrigger = -5\n", -EINVAL,
		  { ":2: disco.trigger: \"-5\"", "digits" } },
		{ "[disco]\ntrigger =\n", -EINVAL,
		  { ":2: disco.trigger: \"\"", "digits" } },
		{ "[disco]\ntrigger = 0\n", -ERANGE,
		  { ":2: disco.trigger: 0 is out of range", "use 1 to 1000000000" } },
		{ "[disco]\ntrigger = 1000000001\n", -ERANGE,
		  { ":2: disco.trigger: 1000000001 is out of range", "use 1 to" } },
		{ "[disco]\ntrigger = 99999999999999999999\n", -ERANGE,
		  { ":2: disco.trigger: 99999999999999999999", "use 1 to" } },
		{ "[disco]\ntrigger = 50\n#\ntrigger = 51\n", -EINVAL,
		  { ":4: disco.trigger is set a second time", "first in line 2" } },
		{ "[policy]\nrule = disco\nrule = static\n", -EINVAL,
		  { ":3: policy.rule is set a second time", "first in line 2" } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct np_config config, before;
		struct np_error error;

		np_config_init(&before);
		assert_int_equal(read_text(&config, cases[i].text, &error),
				 cases[i].err);
		assert_has(error.text, cases[i].part[0]);
		assert_has(error.text, cases[i].part[1]);
		assert_memory_equal(&config, &before, sizeof(config));
	}
}

/* Numbers that contradict each other are refused, with where both come from. */
static void contradictions_are_refused(void **state)
{
	static const struct {
		const char *text;
		const char *part[2];
	} cases[] = {
		{ "[disco]\nsharing = 200\n",
		  { "file:2: disco.sharing = 200 (line 2) is above disco.trigger = 112 (the default)", "shared" } },
		{ "[disco]\nsharing = 20\ntrigger = 10\n",
		  { "file:3: disco.sharing = 20 (line 2) is above disco.trigger = 10 (line 3)", "shared" } },
		{ "[machine]\nremote_ns = 100\n",
		  { "file:2: machine.local_ns = 300 (the default) is above machine.remote_ns = 100", "slower" } },
		{ "[policy]\ninterval_ms = 600\n",
		  { "file:2: policy.interval_ms = 600 (line 2) is above disco.reset_ms", "reset before" } },
		{ "[autonuma]\nscan_ms = 5\n",
		  { "above autonuma.scan_ms = 5 (line 2)", "reset before" } },
		{ "[disco]\nlimit_ms = 50\n",
		  { "above disco.limit_ms = 50 (line 2)", "forgotten" } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct np_config config;
		struct np_policy *policy = NULL;
		struct np_error error;

		assert_int_equal(read_text(&config, cases[i].text, &error), -EINVAL);
		assert_has(error.text, cases[i].part[0]);
		assert_has(error.text, cases[i].part[1]);
		assert_int_equal(np_policy_new(&config, 4, &policy, &error),
				 -EINVAL);
		assert_null(policy);
	}
}

/* A setting of the command line comes after the file, and may be repeated. */
static void settings_come_last(void **state)
{
	struct np_config config;
	struct np_error error;

	(void)state;
	assert_int_equal(read_text(&config, "[disco]\ntrigger = 50\n", &error), 0);
	assert_int_equal(np_config_set(&config, "disco.trigger=60", &error), 0);
	assert_int_equal(np_config_set(&config, " disco . trigger = 61 ", &error), 0);
	assert_int_equal(config.value[NP_DISCO_TRIGGER], 61);
	assert_int_equal(np_config_set(&config, "policy.rule=static", &error), 0);
	assert_string_equal(np_rule_name(config.rule), "static");

	assert_int_equal(np_config_set(&config, "disco.sharing=62", &error), 0);
	assert_int_equal(np_config_check(&config, "file", &error), -EINVAL);
	assert_has(error.text, "disco.sharing = 62 (a setting) is above disco.trigger = 61 (a setting)");

	assert_int_equal(np_config_set(&config, "trigger=60", &error), -EINVAL);
	assert_has(error.text, "SECTION.NAME=VALUE");
	assert_int_equal(np_config_set(&config, "disco.trigger", &error), -EINVAL);
	assert_has(error.text, "SECTION.NAME=VALUE");
	assert_int_equal(np_config_set(&config, "disco.trigger=x", &error), -EINVAL);
	assert_has(error.text, "setting \"disco.trigger=x\": disco.trigger: \"x\"");
}

/* A file that cannot be read is named. */
static void missing_file_is_named(void **state)
{
	struct np_config config;
	struct np_error error;

	(void)state;
	np_config_init(&config);
	assert_int_equal(np_config_read(&config, "/none.conf", &error), -ENOENT);
	assert_has(error.text, "/none.conf: No such file");
	assert_int_equal(np_config_read(&config, "/", &error), -EIO);
	assert_has(error.text, "/: cannot be read");
}

/* The file that is installed has every number, with its default. */
static void installed_file_has_the_defaults(void **state)
{
	struct np_config config, defaults;
	char *line = NULL, text[8192] = "";
	size_t room = 0, nr = 0;
	struct np_error error;
	FILE *file;

	(void)state;
	np_config_init(&defaults);
	np_config_init(&config);
	assert_int_equal(np_config_read(&config, CONF, &error), 0);
	assert_memory_equal(&config, &defaults, sizeof(config));

	file = fopen(CONF, "r");
	assert_non_null(file);
	while (getline(&line, &room, file) > 0) {
		const char *begin = line;

		/* What is commented out stands at once after the sign. */
		if (begin[0] == '#' && begin[1] > ' ') {
			begin++;
			nr++;
		}
		assert_true(strlen(text) + strlen(begin) < sizeof(text));
		strcat(text, begin);
	}
	fclose(file);
	free(line);
	assert_int_equal(nr, NP_NR_KEYS + 1);
	assert_int_equal(read_text(&config, text, &error), 0);
	assert_memory_equal(config.value, defaults.value, sizeof(config.value));
	for (int i = 0; i < NP_NR_KEYS; i++)
		assert_int_not_equal(config.line[i], 0);
	assert_ptr_equal(config.rule, defaults.rule);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_read),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(contradictions_are_refused),
		cmocka_unit_test(settings_come_last),
		cmocka_unit_test(missing_file_is_named),
		cmocka_unit_test(installed_file_has_the_defaults),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
