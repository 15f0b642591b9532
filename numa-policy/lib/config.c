// SPDX-License-Identifier: GPL-2.0-only
/*
 * The configuration: which rule, and the numbers of all rules.
 *
 * Each number is a row of one table; what contradicts what is a row of another.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

/* A line that was set with np_config_set(), not in a file. */
#define NO_LINE UINT32_MAX

#define MS_MAX 3600000
#define NS_MAX 1000000000

static const struct key {
	const char *section;
	const char *name;
	uint64_t value;
	uint64_t min;
	uint64_t max;
} keys[NP_NR_KEYS] = {
	[NP_INTERVAL_MS] = { "policy", "interval_ms", 10, 1, MS_MAX },
	[NP_MAX_MOVES_PER_S] = { "policy", "max_moves_per_s", 20000, 1, 10000000 },
	[NP_REPLICA_PERCENT] = { "policy", "replica_percent", 100, 0, 6300 },
	[NP_LOCAL_NS] = { "machine", "local_ns", 300, 1, NS_MAX },
	[NP_REMOTE_NS] = { "machine", "remote_ns", 900, 1, NS_MAX },
	[NP_MIGRATE_NS] = { "machine", "migrate_ns", 67000, 0, NS_MAX },
	[NP_REPLICATE_NS] = { "machine", "replicate_ns", 57000, 0, NS_MAX },
	[NP_COLLAPSE_NS] = { "machine", "collapse_ns", 57000, 0, NS_MAX },
	[NP_DISCO_TRIGGER] = { "disco", "trigger", 112, 1, 1000000000 },
	[NP_DISCO_SHARING] = { "disco", "sharing", 28, 1, 1000000000 },
	[NP_DISCO_WRITE] = { "disco", "write", 1, 1, 1000000000 },
	[NP_DISCO_RESET_MS] = { "disco", "reset_ms", 500, 1, MS_MAX },
	[NP_DISCO_MOVE_LIMIT] = { "disco", "move_limit", 4, 1, 1000000 },
	[NP_DISCO_LIMIT_MS] = { "disco", "limit_ms", 1000, 1, MS_MAX },
	[NP_AUTONUMA_SCAN_MS] = { "autonuma", "scan_ms", 1000, 1, MS_MAX },
	[NP_CARREFOUR_INTERVAL_MS] = { "carrefour", "interval_ms", 1000, 1, MS_MAX },
	[NP_CARREFOUR_MISSES_PER_MS] = { "carrefour", "misses_per_ms", 500, 0, 1000000000 },
	[NP_CARREFOUR_LOCAL_PERCENT] = { "carrefour", "local_percent", 80, 1, 100 },
	[NP_CARREFOUR_MIN_MISSES] = { "carrefour", "min_misses", 28, 1, 1000000000 },
};

/* The first must not be above the second, or else. */
static const struct {
	enum np_key low;
	enum np_key high;
	const char *otherwise;
} orders[] = {
	{ NP_LOCAL_NS, NP_REMOTE_NS, "moving a page nearer would make it slower" },
	{ NP_DISCO_SHARING, NP_DISCO_TRIGGER,
	  "no page would be hot enough to count as shared" },
	{ NP_INTERVAL_MS, NP_DISCO_RESET_MS,
	  "counters would be reset before anything is decided" },
	{ NP_INTERVAL_MS, NP_AUTONUMA_SCAN_MS,
	  "counters would be reset before anything is decided" },
	{ NP_DISCO_RESET_MS, NP_DISCO_LIMIT_MS,
	  "the moves of a page would be forgotten before its counters" },
};

static const char rule_section[] = "policy", rule_key[] = "rule";

/**
 * np_config_init - defaults
 * @config: filled
 */
void np_config_init(struct np_config *config)
{
	memset(config, 0, sizeof(*config));
	config->rule = &np_rule_disco;
	for (int i = 0; i < NP_NR_KEYS; i++)
		config->value[i] = keys[i].value;
}

/**
 * np_key_name - name of a key
 * @key: the key
 *
 * Return: SECTION.NAME, in memory that the next call uses again.
 */
const char *np_key_name(enum np_key key)
{
	static char name[64];

	snprintf(name, sizeof(name), "%s.%s", keys[key].section, keys[key].name);
	return name;
}

/* The beginning of an error text about a line. */
static const char *place_of(char *out, size_t size, const char *path,
			    unsigned int line)
{
	snprintf(out, size, "%s:%u: ", path, line);
	return out;
}

static int list_names(char *out, size_t size, const char *section)
{
	size_t used = 0;

	out[0] = '\0';
	if (section && !strcmp(section, rule_section))
		used += snprintf(out, size, "%s", rule_key);
	for (int i = 0; i < NP_NR_KEYS && used < size; i++) {
		const char *word = section ? keys[i].name : keys[i].section;

		if (section ? strcmp(section, keys[i].section) != 0 :
		    i && !strcmp(word, keys[i - 1].section))
			continue;
		used += snprintf(out + used, size - used, "%s%s",
				 used ? ", " : "", word);
	}
	return used;
}

static int set_rule(struct np_config *config, const char *value,
		    const char *where, unsigned int line, struct np_error *error)
{
	const struct np_rule *rule = np_rule_find(value);
	char list[128] = "";

	if (!rule) {
		for (int i = 0; np_rules[i]; i++)
			snprintf(list + strlen(list), sizeof(list) - strlen(list),
				 "%s%s", i ? ", " : "", np_rules[i]->name);
		return np_fail(error, -EINVAL,
			       "%s%s.%s: no rule \"%s\", there are: %s", where,
			       rule_section, rule_key, value, list);
	}
	if (line != NO_LINE && config->rule_line)
		return np_fail(error, -EINVAL,
			       "%s%s.%s is set a second time, first in line %u",
			       where, rule_section, rule_key, config->rule_line);
	config->rule = rule;
	config->rule_line = line;
	return 0;
}

static int set(struct np_config *config, const char *section, const char *name,
	       const char *value, const char *where, unsigned int line,
	       struct np_error *error)
{
	const struct key *key = NULL;
	unsigned long long number;
	char list[256];
	char *end;
	int i;

	if (!strcmp(section, rule_section) && !strcmp(name, rule_key))
		return set_rule(config, value, where, line, error);
	for (i = 0; i < NP_NR_KEYS && !key; i++)
		if (!strcmp(section, keys[i].section) &&
		    !strcmp(name, keys[i].name))
			key = &keys[i];
	if (!key) {
		if (!list_names(list, sizeof(list), section)) {
			list_names(list, sizeof(list), NULL);
			return np_fail(error, -EINVAL,
				       "%sno section \"%s\", there are: %s",
				       where, section, list);
		}
		return np_fail(error, -EINVAL,
			       "%sno \"%s\" in section %s, there are: %s",
			       where, name, section, list);
	}
	i = key - keys;
	if (line != NO_LINE && config->line[i])
		return np_fail(error, -EINVAL,
			       "%s%s.%s is set a second time, first in line %u",
			       where, section, name, config->line[i]);
	errno = 0;
	number = strtoull(value, &end, 10);
	if (!isdigit((unsigned char)value[0]) || *end)
		return np_fail(error, -EINVAL,
			       "%s%s.%s: \"%s\" is no number, use digits only",
			       where, section, name, value);
	if (errno || number < key->min || number > key->max)
		return np_fail(error, -ERANGE,
			       "%s%s.%s: %s is out of range, use %" PRIu64
			       " to %" PRIu64, where, section, name, value,
			       key->min, key->max);
	config->value[i] = number;
	config->line[i] = line;
	return 0;
}

/* Removes blanks at both ends. */
static char *trim(char *text)
{
	size_t len;

	while (isspace((unsigned char)*text))
		text++;
	len = strlen(text);
	while (len && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	return text;
}

/* One line of a file; @section is changed by a line that begins one. */
static int read_line(struct np_config *config, char *text, char *section,
		     size_t size, const char *where, unsigned int line,
		     struct np_error *error)
{
	char *equals, *end, list[256];

	text[strcspn(text, "#")] = '\0';
	text = trim(text);
	if (!*text)
		return 0;
	if (*text == '[') {
		end = strchr(text, ']');
		if (!end || end[1])
			return np_fail(error, -EINVAL,
				       "%sa section is a name in brackets, and nothing after it: [disco]",
				       where);
		*end = '\0';
		text = trim(text + 1);
		if (strlen(text) >= size || !list_names(list, sizeof(list), text)) {
			list_names(list, sizeof(list), NULL);
			return np_fail(error, -EINVAL,
				       "%sno section \"%s\", there are: %s",
				       where, text, list);
		}
		strcpy(section, text);
		return 0;
	}
	equals = strchr(text, '=');
	if (!equals)
		return np_fail(error, -EINVAL,
			       "%s\"%s\" is neither a section nor NAME = VALUE",
			       where, text);
	*equals = '\0';
	if (!*section)
		return np_fail(error, -EINVAL,
			       "%s\"%s\" is set before any section, begin with one such as [policy]",
			       where, trim(text));
	return set(config, section, trim(text), trim(equals + 1), where, line,
		   error);
}

/**
 * np_config_read - read a configuration file
 * @config: initialised; changed only on success
 * @path: the file
 * @error: filled on failure
 *
 * What the file does not set keeps its value. Contradictions are not looked
 * for: settings may follow.
 *
 * Return: 0; -EINVAL or -ERANGE if a line is wrong; what open() says.
 */
int np_config_read(struct np_config *config, const char *path,
		   struct np_error *error)
{
	struct np_config new = *config;
	char section[32] = "", where[256];
	unsigned int line = 0;
	char *text = NULL;
	size_t room = 0;
	int ret = 0;
	FILE *file;

	file = fopen(path, "re");
	if (!file)
		return np_fail(error, -errno, "%s: %s", path, strerror(errno));
	memset(new.line, 0, sizeof(new.line));
	new.rule_line = 0;
	while (!ret && getline(&text, &room, file) >= 0) {
		line++;
		place_of(where, sizeof(where), path, line);
		ret = read_line(&new, text, section, sizeof(section), where,
				line, error);
	}
	if (!ret && ferror(file))
		ret = np_fail(error, -EIO, "%s: cannot be read", path);
	fclose(file);
	free(text);
	if (!ret)
		*config = new;
	return ret;
}

/**
 * np_config_set - set one number or the rule
 * @config: changed on success
 * @setting: SECTION.NAME=VALUE
 * @error: filled on failure
 *
 * Return: 0; -EINVAL or -ERANGE.
 */
int np_config_set(struct np_config *config, const char *setting,
		  struct np_error *error)
{
	char text[128], where[160], *dot, *equals;

	if (strlen(setting) >= sizeof(text))
		return np_fail(error, -EINVAL, "a setting of %zu characters is too long",
			       strlen(setting));
	strcpy(text, setting);
	snprintf(where, sizeof(where), "setting \"%s\": ", setting);
	equals = strchr(text, '=');
	dot = strchr(text, '.');
	if (!equals || !dot || dot > equals)
		return np_fail(error, -EINVAL,
			       "%snot of the form SECTION.NAME=VALUE, as in disco.trigger=100",
			       where);
	*equals = '\0';
	*dot = '\0';
	return set(config, trim(text), trim(dot + 1), trim(equals + 1), where,
		   NO_LINE, error);
}

/* Where a key got its value, in words. */
static const char *origin(char *out, size_t size, unsigned int line)
{
	if (!line)
		snprintf(out, size, "the default");
	else if (line == NO_LINE)
		snprintf(out, size, "a setting");
	else
		snprintf(out, size, "line %u", line);
	return out;
}

/**
 * np_config_check - look for contradictions
 * @config: the configuration
 * @path: file that it was read from, or NULL
 * @error: filled on failure
 *
 * Return: 0; -EINVAL if two numbers contradict each other.
 */
int np_config_check(const struct np_config *config, const char *path,
		    struct np_error *error)
{
	char low[64], high[64], where[256] = "", from[64], other_from[64];

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		enum np_key key = orders[i].low, other = orders[i].high;
		unsigned int line = config->line[key], last = config->line[other];

		if (config->value[key] <= config->value[other])
			continue;
		strcpy(low, np_key_name(key));
		strcpy(high, np_key_name(other));
		origin(from, sizeof(from), line);
		origin(other_from, sizeof(other_from), last);
		/* The later line is what the user has just written. */
		if (line == NO_LINE || (last != NO_LINE && last > line))
			line = last;
		if (path && line && line != NO_LINE)
			place_of(where, sizeof(where), path, line);
		return np_fail(error, -EINVAL,
			       "%s%s = %" PRIu64 " (%s) is above %s = %" PRIu64
			       " (%s): %s", where, low, config->value[key], from,
			       high, config->value[other], other_from,
			       orders[i].otherwise);
	}
	return 0;
}
