// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads a log of locality and moves: Documentation/numa-log.rst. Members that are
 * not known are not looked at, so that a log may have more in it.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "numa_log.h"

__attribute__((format(printf, 2, 3)))
static int bad(struct numa_log *log, const char *fmt, ...)
{
	int len = snprintf(log->error, sizeof(log->error), "line %zu: ",
			   log->nr + 1);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(log->error + len, sizeof(log->error) - len, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int out_of_memory(struct numa_log *log)
{
	snprintf(log->error, sizeof(log->error), "not enough memory");
	return -ENOMEM;
}

/* Limits that no log reaches, so that what is drawn is a finite number. */
#define MAX_TIME 1e11
#define MAX_SECONDS 1e9
#define MIN_SECONDS 1e-3
#define MAX_MOVED 1e15

/* A number that may be unknown: missing or null. */
static int read_number(struct numa_log *log, struct json_object *obj,
		       const char *key, double max, double *value)
{
	struct json_object *member;

	*value = NAN;
	if (!json_object_object_get_ex(obj, key, &member) || !member)
		return 0;
	if (!json_object_is_type(member, json_type_int) &&
	    !json_object_is_type(member, json_type_double))
		return bad(log, "\"%s\" is no number", key);
	*value = json_object_get_double(member);
	/* Also what JSON does not have and the parser takes: infinity. */
	if (*value >= 0 && *value <= max)
		return 0;
	return bad(log, "\"%s\" is %g, and not 0 to %g", key, *value, max);
}

static int grow(struct numa_log *log)
{
	size_t room = log->room ? 2 * log->room : 64;
	double *time = reallocarray(log->time, room, sizeof(*time));

	if (!time)
		return out_of_memory(log);
	log->time = time;
	for (size_t i = 0; i < log->nr_series; i++) {
		struct sample *more = reallocarray(log->series[i].sample, room,
						   sizeof(*more));

		if (!more)
			return out_of_memory(log);
		log->series[i].sample = more;
	}
	log->room = room;
	return 0;
}

static const struct sample unknown = { .moved = NAN, .local = NAN };

/* Finds a machine, or adds one of which nothing is known so far. */
static int find_series(struct numa_log *log, const char *name,
		       struct series **out)
{
	struct series *series;

	for (size_t i = 0; i < log->nr_series; i++) {
		series = &log->series[i];
		if (name && series->name ? !strcmp(series->name, name) :
		    name == series->name) {
			*out = series;
			return 0;
		}
	}
	series = reallocarray(log->series, log->nr_series + 1, sizeof(*series));
	if (!series)
		return out_of_memory(log);
	log->series = series;
	series += log->nr_series;
	*series = (struct series) {
		.name = name ? strdup(name) : NULL,
		.sample = calloc(log->room, sizeof(*series->sample)),
	};
	if (!series->sample || (name && !series->name)) {
		free(series->sample);
		free(series->name);
		return out_of_memory(log);
	}
	for (size_t i = 0; i <= log->nr; i++)
		series->sample[i] = unknown;
	log->nr_series++;
	*out = series;
	return 0;
}

static int add_sample(struct numa_log *log, const char *name,
		      struct json_object *obj, double seconds)
{
	struct series *series;
	struct sample *sample;
	int ret;

	ret = find_series(log, name, &series);
	if (ret)
		return ret;
	sample = &series->sample[log->nr];
	ret = read_number(log, obj, "local", 1, &sample->local);
	if (!ret)
		ret = read_number(log, obj, "moved", MAX_MOVED, &sample->moved);
	if (ret)
		return ret;
	if (!isnan(sample->moved) && !(seconds >= MIN_SECONDS))
		return bad(log, "\"moved\" needs \"seconds\", %g or more",
			   MIN_SECONDS);
	if (!isnan(sample->moved)) {
		series->moved += sample->moved;
		sample->moved /= seconds;
	}
	return 0;
}

static int add_machines(struct numa_log *log, struct json_object *vms,
			double seconds)
{
	int ret = 0;

	if (!json_object_is_type(vms, json_type_array))
		return bad(log, "\"vms\" is no array");
	for (size_t i = 0; !ret && i < json_object_array_length(vms); i++) {
		struct json_object *vm = json_object_array_get_idx(vms, i);
		struct json_object *path;

		if (!json_object_is_type(vm, json_type_object) ||
		    !json_object_object_get_ex(vm, "path", &path) ||
		    !json_object_is_type(path, json_type_string))
			return bad(log, "a machine in \"vms\" has no \"path\"");
		ret = add_sample(log, json_object_get_string(path), vm, seconds);
	}
	return ret;
}

static int add_line(struct numa_log *log, struct json_object *obj)
{
	struct json_object *member;
	double time, seconds;
	int ret;

	if (!json_object_is_type(obj, json_type_object))
		return bad(log, "this is no JSON object");
	ret = read_number(log, obj, "time", MAX_TIME, &time);
	if (!ret)
		ret = read_number(log, obj, "seconds", MAX_SECONDS, &seconds);
	if (ret)
		return ret;
	if (isnan(time))
		return bad(log, "\"time\" is missing");
	if (log->nr && time <= log->time[log->nr - 1])
		return bad(log, "\"time\" is not later than in the line before");
	if (log->nr == log->room && grow(log))
		return -ENOMEM;
	log->time[log->nr] = time;
	for (size_t i = 0; i < log->nr_series; i++)
		log->series[i].sample[log->nr] = unknown;
	if (!json_object_object_get_ex(obj, "totals", &member) ||
	    !json_object_is_type(member, json_type_object))
		return bad(log, "the object \"totals\" is missing");
	ret = add_sample(log, NULL, member, seconds);
	if (!ret && json_object_object_get_ex(obj, "vms", &member))
		ret = add_machines(log, member, seconds);
	if (!ret)
		log->nr++;
	return ret;
}

/* Strict, for a line is one object and nothing else. */
static int read_line(struct numa_log *log, const char *line, size_t len)
{
	struct json_tokener *tok = json_tokener_new();
	struct json_object *obj;
	int ret;

	if (!tok)
		return out_of_memory(log);
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
	obj = json_tokener_parse_ex(tok, line, len);
	ret = obj ? add_line(log, obj) :
		    bad(log, "this is no JSON: %s",
			json_tokener_error_desc(json_tokener_get_error(tok)));
	json_object_put(obj);
	json_tokener_free(tok);
	return ret;
}

/**
 * numa_log_read - read a log
 * @log: filled; to be freed with numa_log_free(), also after a failure
 * @file: where from
 *
 * A last line without an end is still being written, and not looked at.
 *
 * Return: 0 or a negative errno; @log->error says why.
 */
int numa_log_read(struct numa_log *log, FILE *file)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t len;
	int ret = 0;

	while (!ret && (len = getline(&line, &room, file)) > 0 &&
	       line[len - 1] == '\n')
		ret = read_line(log, line, len - 1);
	free(line);
	if (!ret && ferror(file)) {
		snprintf(log->error, sizeof(log->error), "%s", strerror(errno));
		return -EIO;
	}
	return ret;
}

/**
 * numa_log_free - free a log
 * @log: the log
 */
void numa_log_free(struct numa_log *log)
{
	for (size_t i = 0; i < log->nr_series; i++) {
		free(log->series[i].name);
		free(log->series[i].sample);
	}
	free(log->series);
	free(log->time);
}
