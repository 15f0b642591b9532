// SPDX-License-Identifier: GPL-2.0-only
/* Writes results, one JSON file each; tests/bench/table describes the fields. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "bench.h"

static FILE *open_result(const char *name, char *temporary)
{
	FILE *file;

	snprintf(temporary, PATH_MAX, "%s/%s.json.new", env.out_dir, name);
	file = fopen(temporary, "w");
	if (!file)
		die("cannot write %s: %s", temporary, strerror(errno));
	return file;
}

static void close_result(FILE *file, const char *temporary, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s.json", env.out_dir, name);
	if (fclose(file) || rename(temporary, path))
		die("cannot write %s: %s", path, strerror(errno));
}

static void write_text(FILE *file, const char *key, const char *text)
{
	fprintf(file, "  \"%s\": \"%s\",\n", key, text);
}

/* JSON has no infinity and no "not a number". */
static void write_number(FILE *file, const char *key, double number)
{
	if (number != 0)
		fprintf(file, "  \"%s\": %.6g,\n", key, number);
	else
		fprintf(file, "  \"%s\": null,\n", key);
}

/**
 * report() - write one result
 * @result: what it is
 * @samples: its numbers; the ratio is the median of the pairs' ratios
 */
void report(const struct result *result, const struct samples *samples)
{
	double scale = result->scale ? result->scale : 1;
	const double *ours = samples->value[OURS];
	const double *peer = samples->value[PEER];
	char temporary[PATH_MAX];
	double ratios[MAX_PAIRS];
	struct utsname system;
	double ours_median;
	FILE *file;

	for (int i = 0; i < samples->nr; i++)
		ratios[i] = ours[i] / peer[i];
	ours_median = median(ours, samples->nr) * scale;
	uname(&system);

	file = open_result(result->name, temporary);
	fprintf(file, "{\n");
	write_text(file, "name", result->name);
	write_text(file, "unit", result->unit);
	fprintf(file, "  \"ours\": %.6g,\n", ours_median);
	fprintf(file, "  \"peer\": %.6g,\n",
		median(peer, samples->nr) * scale);
	write_text(file, "peer_name", result->peer_name);
	fprintf(file, "  \"ratio\": %.6g,\n", median(ratios, samples->nr));
	write_text(file, "better", result->better);
	write_number(file, "target", result->target);
	fprintf(file, "  \"runs\": %d,\n", samples->nr);
	write_number(file, "limit", result->limit);
	write_text(file, "limit_name",
		   result->limit_name ? result->limit_name : "");
	write_text(file, "note", result->note ? result->note : "");
	write_text(file, "kernel", system.release);
	fprintf(file, "  \"pairs\": [");
	for (int i = 0; i < samples->nr; i++)
		fprintf(file, "%s[%.6g, %.6g]", i ? ", " : "",
			ours[i] * scale, peer[i] * scale);
	fprintf(file, "]\n}\n");
	close_result(file, temporary, result->name);
}

/**
 * report_skip() - write that a result could not be had
 * @name: name of the result
 * @reason: why, for the reader of the table
 */
void report_skip(const char *name, const char *reason)
{
	char temporary[PATH_MAX];
	FILE *file = open_result(name, temporary);

	fprintf(file, "{ \"name\": \"%s\", \"skipped\": \"%s\" }\n", name,
		reason);
	close_result(file, temporary, name);
	fprintf(stderr, "%s: skipped: %s\n", name, reason);
}
