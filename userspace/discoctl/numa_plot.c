// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl numa --plot: from a log to a picture.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "numa_log.h"

/* As many as can be told apart: colours and dashes of plot.c. */
#define MAX_MACHINES 18

static int by_moves(const void *a, const void *b)
{
	const struct series *series_a = *(const struct series *const *)a;
	const struct series *series_b = *(const struct series *const *)b;

	if (series_a->moved != series_b->moved)
		return series_a->moved < series_b->moved ? 1 : -1;
	return strcmp(series_a->name, series_b->name);
}

static const struct series *find_machine(const struct numa_log *log,
					 const char *name)
{
	for (size_t i = 1; i < log->nr_series; i++)
		if (!strcmp(log->series[i].name, name))
			return &log->series[i];
	return NULL;
}

/* Those named, or those with the most moves. Returns how many, or 0. */
static size_t choose_lines(struct ctl *ctl, const struct numa_log *log,
			   int argc, char **argv, const struct series **line)
{
	size_t nr = 1;

	line[0] = &log->series[0];
	if (!argc) {
		for (size_t i = 1; i < log->nr_series; i++)
			line[nr++] = &log->series[i];
		qsort(line + 1, nr - 1, sizeof(*line), by_moves);
		return nr;
	}
	for (int i = 0; i < argc; i++) {
		line[nr] = find_machine(log, argv[i]);
		if (!line[nr++]) {
			ctl_error(ctl, "%s: there is no VM %s in it", ctl->log,
				  argv[i]);
			return 0;
		}
	}
	return nr;
}

/* The file is touched only when there is something to put into it. */
static int write_file(struct ctl *ctl, const char *text, size_t size)
{
	FILE *file = fopen(ctl->plot, "we");
	bool good;

	if (!file)
		return ctl_error(ctl, "cannot write %s: %s", ctl->plot,
				 strerror(errno));
	good = fwrite(text, 1, size, file) == size;
	good = !fclose(file) && good;
	return good ? EXIT_OK : ctl_error(ctl, "cannot write %s: %s", ctl->plot,
					  strerror(errno));
}

static int print_answer(struct ctl *ctl, const struct numa_log *log,
			size_t machines)
{
	struct json_object *obj;

	if (!ctl->json)
		return EXIT_OK;
	obj = json_object_new_object();
	json_add_text(obj, "plot", ctl->plot);
	json_add_u64(obj, "lines", log->nr);
	json_add_u64(obj, "machines", machines);
	return ctl_print_json(ctl, obj);
}

static int draw(struct ctl *ctl, const struct numa_log *log, int argc,
		char **argv)
{
	const struct series **line = calloc(log->nr_series + argc + 1,
					    sizeof(*line));
	size_t nr, drawn, size;
	char *text = NULL;
	FILE *out;
	int ret;

	if (!line)
		return ctl_error(ctl, "not enough memory");
	nr = choose_lines(ctl, log, argc, argv, line);
	drawn = nr < 1 + MAX_MACHINES ? nr : 1 + MAX_MACHINES;
	out = nr ? open_memstream(&text, &size) : NULL;
	if (!nr) {
		ret = EXIT_ERROR;
	} else if (!out || plot_write(out, log, line, drawn, nr - drawn) |
			   fclose(out)) {
		ret = ctl_error(ctl, "not enough memory");
	} else {
		ret = write_file(ctl, text, size);
		if (!ret)
			ret = print_answer(ctl, log, drawn - 1);
	}
	free(text);
	free(line);
	return ret;
}

/**
 * numa_plot - discoctl numa --plot
 * @ctl: the program
 * @argc: number of machines to draw, 0 for all
 * @argv: their names
 *
 * Return: exit code.
 */
int numa_plot(struct ctl *ctl, int argc, char **argv)
{
	struct numa_log log = { 0 };
	FILE *file;
	int ret;

	if (!ctl->plot || !ctl->log)
		return ctl_error(ctl, "%s is missing: discoctl numa --plot FILE --log LOG",
				 ctl->plot ? "--log" : "--plot");
	file = strcmp(ctl->log, "-") ? fopen(ctl->log, "re") : stdin;
	if (!file)
		return ctl_error(ctl, "cannot open %s: %s", ctl->log,
				 strerror(errno));
	if (numa_log_read(&log, file))
		ret = ctl_error(ctl, "%s: %s", ctl->log, log.error);
	else if (!log.nr)
		ret = ctl_error(ctl, "%s: there is no line in it (see: discoctl top -j)",
				ctl->log);
	else
		ret = draw(ctl, &log, argc, argv);
	if (file != stdin)
		fclose(file);
	numa_log_free(&log);
	return ret;
}
