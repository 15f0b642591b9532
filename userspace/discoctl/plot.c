// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locality and moves over time, drawn as SVG: two charts above each other with one
 * time axis, and a legend beside them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "numa_log.h"

#define WIDTH 960
#define HEIGHT 600
#define LEFT 80
#define RIGHT 700
#define LEGEND (RIGHT + 20)
#define LEGEND_NAME 28
#define TICKS 6

/* Told apart by people who see few colours, too: Okabe and Ito's, without yellow. */
static const char * const colours[] = {
	"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00",
};

/* When the colours have run out. */
static const char * const dashes[] = { "none", "6 3", "2 3" };

/**
 * struct chart - one of the two
 * @top: where it begins
 * @bottom: where it ends
 * @max: value at @top, 0 is at @bottom
 * @title: what it shows, with its unit
 * @value: finds it in a sample
 */
struct chart {
	double top;
	double bottom;
	double max;
	const char *title;
	double (*value)(const struct sample *sample);
};

/* In percent. */
static double get_local(const struct sample *sample)
{
	return 100 * sample->local;
}

static double get_moved(const struct sample *sample)
{
	return sample->moved;
}

static void print_xml(FILE *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		default:
			fputc(*text, out);
		}
	}
}

/* Steps of 1, 2 or 5 and zeros, so that there are at most TICKS. */
static double nice_step(double span)
{
	double step = pow(10, floor(log10(span / TICKS)));

	for (int i = 0; span / step > TICKS; i++)
		step *= i % 3 == 1 ? 2.5 : 2;
	return step;
}

static double chart_y(const struct chart *chart, double value)
{
	return chart->bottom -
	       (chart->bottom - chart->top) * value / chart->max;
}

static double chart_x(const struct numa_log *log, double time)
{
	double span = log->time[log->nr - 1] - log->time[0];

	return LEFT + (RIGHT - LEFT) * (span > 0 ? (time - log->time[0]) / span : 0);
}

static void draw_frame(FILE *out, const struct chart *chart)
{
	double step = nice_step(chart->max);

	fprintf(out, "<text transform=\"translate(%d %g) rotate(-90)\" text-anchor=\"middle\">%s</text>\n",
		LEFT - 60, (chart->top + chart->bottom) / 2, chart->title);
	for (int i = 0; i * step <= chart->max * 1.0001; i++) {
		double y = chart_y(chart, i * step);

		fprintf(out, "<path d=\"M%d %.1f H%d\" stroke=\"%s\"/>\n", LEFT,
			y, RIGHT, i ? "#ddd" : "#000");
		fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
			LEFT - 6, y + 4, i * step);
	}
}

static void draw_time(FILE *out, const struct numa_log *log,
		      const struct chart *charts, size_t nr)
{
	double span = log->time[log->nr - 1] - log->time[0];
	double unit = span < 300 ? 1 : span < 3 * 3600 ? 60 : 3600;
	double step = nice_step(span > 0 ? span / unit : 1);
	const struct chart *last = &charts[nr - 1];
	time_t start = log->time[0];
	char text[64];
	struct tm tm;

	for (int i = 0; i * step * unit <= span * 1.0001; i++) {
		double x = chart_x(log, log->time[0] + i * step * unit);

		for (size_t j = 0; j < nr; j++)
			fprintf(out, "<path d=\"M%.1f %g V%g\" stroke=\"%s\"/>\n",
				x, charts[j].top, charts[j].bottom,
				i ? "#ddd" : "#000");
		fprintf(out, "<text x=\"%.1f\" y=\"%g\" text-anchor=\"middle\">%g</text>\n",
			x, last->bottom + 18, i * step);
	}
	gmtime_r(&start, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	fprintf(out, "<text x=\"%d\" y=\"%g\" text-anchor=\"middle\">Time since %s UTC, %s</text>\n",
		(LEFT + RIGHT) / 2, last->bottom + 40, text,
		unit == 1 ? "s" : unit == 60 ? "min" : "h");
}

/* How the line number @index looks; the first one is that of all machines. */
static void print_style(FILE *out, size_t index)
{
	size_t nr = index - 1;

	if (!index)
		fputs("stroke=\"#000\" stroke-width=\"3\"", out);
	else
		fprintf(out, "stroke=\"%s\" stroke-width=\"1.5\" stroke-dasharray=\"%s\"",
			colours[nr % ARRAY_SIZE(colours)],
			dashes[nr / ARRAY_SIZE(colours) % ARRAY_SIZE(dashes)]);
}

static void draw_line(FILE *out, const struct numa_log *log,
		      const struct chart *chart, const struct series *series,
		      size_t index)
{
	bool down = false, any = false;

	for (size_t i = 0; i < log->nr; i++) {
		double value = chart->value(&series->sample[i]);

		if (isnan(value)) {
			down = false;
			continue;
		}
		if (!any) {
			fputs("<path class=\"line\" fill=\"none\" stroke-linecap=\"round\" stroke-linejoin=\"round\" ",
			      out);
			print_style(out, index);
			fputs(" d=\"", out);
		}
		fprintf(out, "%c%.1f %.1f", down ? 'L' : 'M',
			chart_x(log, log->time[i]), chart_y(chart, value));
		/* A round dot, if nothing follows. */
		if (!down)
			fputs("h0", out);
		down = true;
		any = true;
	}
	if (any)
		fputs("\"/>\n", out);
}

static void draw_legend(FILE *out, const char *text, size_t index)
{
	int y = 50 + 20 * index;

	fprintf(out, "<path d=\"M%d %d h24\" ", LEGEND, y);
	print_style(out, index);
	fprintf(out, "/>\n<text class=\"legend\" x=\"%d\" y=\"%d\">", LEGEND + 30,
		y + 4);
	print_xml(out, text);
	fputs("</text>\n", out);
}

static double largest(const struct numa_log *log,
		      const struct series *const *line, size_t nr,
		      double (*value)(const struct sample *sample))
{
	double max = 0;

	for (size_t i = 0; i < nr; i++)
		for (size_t j = 0; j < log->nr; j++)
			max = fmax(max, value(&line[i]->sample[j]));
	return max;
}

/**
 * plot_write - draw a log
 * @out: where to
 * @log: the log, with one line at least
 * @line: what to draw: all machines together first
 * @nr: how many
 * @more: machines that are not drawn
 *
 * Return: 0 or -1 without memory.
 */
int plot_write(FILE *out, const struct numa_log *log,
	       const struct series *const *line, size_t nr, size_t more)
{
	struct chart charts[] = {
		{ 50, 280, 100, "Local pages, %", get_local },
		{ 310, 540, 0, "Moved, pages/s", get_moved },
	};
	double max = largest(log, line, nr, get_moved);

	/* Up to a tick. */
	charts[1].max = max > 0 ? ceil(max / nice_step(max)) * nice_step(max) : 1;
	fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"12\">\n",
		WIDTH, HEIGHT, WIDTH, HEIGHT);
	fprintf(out, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n"
		"<text x=\"%d\" y=\"26\" text-anchor=\"middle\" font-size=\"16\">Memory of virtual machines by NUMA node</text>\n",
		WIDTH, HEIGHT, (LEFT + RIGHT) / 2);
	for (size_t i = 0; i < ARRAY_SIZE(charts); i++)
		draw_frame(out, &charts[i]);
	draw_time(out, log, charts, ARRAY_SIZE(charts));
	/* That of all lies on top. */
	for (size_t i = 0; i < ARRAY_SIZE(charts); i++)
		for (size_t j = nr; j-- > 0;)
			draw_line(out, log, &charts[i], line[j], j);
	for (size_t i = 0; i < nr; i++) {
		char *name = i ? cut_name(line[i]->name, LEGEND_NAME) :
				 strdup("all machines");

		if (!name)
			return -1;
		draw_legend(out, name, i);
		free(name);
	}
	if (more)
		fprintf(out, "<text class=\"more\" x=\"%d\" y=\"%zu\">and %zu more</text>\n",
			LEGEND + 30, 54 + 20 * nr, more);
	fputs("</svg>\n", out);
	return 0;
}
