// SPDX-License-Identifier: GPL-2.0-only
/*
 * Heat traces: text, compressed with gzip if the name ends in .gz, read and
 * written one interval at a time. Documentation/numa-policy.rst has the format.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "policy.h"

#define FORMAT "disco-heat"
#define FORMAT_VERSION 1
#define LONGEST_LINE 1024
#define LAST_GFN ((1ULL << 52) - 1)

/**
 * struct trace - a source that is a file
 * @source: what others see of it
 * @path: name of the file
 * @file: the file
 * @line: number of the line that was read last
 * @now_ns: end of the last interval
 * @heat: heat of the interval
 * @nr: number of @heat
 * @max: room in @heat
 * @vms: VMs that have a name
 * @nr_vms: number of @vms
 */
struct trace {
	struct np_source source;
	char *path;
	gzFile file;
	unsigned long line;
	uint64_t now_ns;
	struct np_heat *heat;
	size_t nr;
	size_t max;
	uint32_t *vms;
	size_t nr_vms;
};

#define trace_fail(trace, error, err, fmt, ...) \
	np_fail(error, err, "%s:%lu: " fmt, (trace)->path, (trace)->line, \
		##__VA_ARGS__)

/* Return: 1 if there is a line, 0 at the end, a negative errno. */
static int get_line(struct trace *trace, char *text, struct np_error *error)
{
	size_t len;
	int err;

	trace->line++;
	if (!gzgets(trace->file, text, LONGEST_LINE)) {
		const char *what = gzerror(trace->file, &err);

		if (err == Z_OK || err == Z_STREAM_END)
			return 0;
		if (err == Z_ERRNO)
			what = strerror(errno);
		return trace_fail(trace, error, -EIO, "cannot be read: %s",
				  what);
	}
	len = strlen(text);
	if (len && text[len - 1] == '\n') {
		text[len - 1] = '\0';
		return 1;
	}
	if (len == LONGEST_LINE - 1)
		return trace_fail(trace, error, -EINVAL,
				  "longer than %d characters",
				  LONGEST_LINE - 2);
	return trace_fail(trace, error, -EINVAL,
			  "cut off, the last line does not end");
}

/* Takes a decimal number, or a hexadecimal one after 0x, from a line. */
static bool take_number(char **text, uint64_t *value)
{
	char *at = *text, *end;
	int base = 10;

	while (*at == ' ')
		at++;
	if (at[0] == '0' && at[1] == 'x') {
		base = 16;
		at += 2;
	}
	/* strtoull() would also take a sign, white space and a second 0x. */
	if (base == 10 ? !isdigit((unsigned char)*at) :
			 !isxdigit((unsigned char)*at) || at[1] == 'x')
		return false;
	errno = 0;
	*value = strtoull(at, &end, base);
	if (errno || (*end && *end != ' '))
		return false;
	*text = end;
	return true;
}

static bool take_end(const char *text)
{
	return !*text;
}

static int parse_heat(struct trace *trace, char *text, struct np_error *error)
{
	uint64_t gfn, node, reads, writes, vm;
	size_t i;

	if (!take_number(&text, &vm) || !take_number(&text, &gfn) ||
	    !take_number(&text, &node) || !take_number(&text, &reads) ||
	    !take_number(&text, &writes) || !take_end(text))
		return trace_fail(trace, error, -EINVAL,
				  "heat is five numbers: h VM GFN NODE READS WRITES");
	for (i = 0; i < trace->nr_vms && trace->vms[i] != vm; i++)
		;
	if (i == trace->nr_vms)
		return trace_fail(trace, error, -EINVAL,
				  "vm: %" PRIu64 " has no line \"vm %" PRIu64 " NAME\" before",
				  vm, vm);
	if (gfn > LAST_GFN)
		return trace_fail(trace, error, -ERANGE,
				  "gfn: 0x%" PRIx64 " is above 0x%llx", gfn,
				  LAST_GFN);
	if (node >= trace->source.nodes)
		return trace_fail(trace, error, -ERANGE,
				  "node: %" PRIu64 " of a machine with nodes 0 to %u",
				  node, trace->source.nodes - 1);
	if (reads > UINT32_MAX || writes > UINT32_MAX || !(reads + writes))
		return trace_fail(trace, error, -ERANGE,
				  "reads and writes: up to %u each, and not both 0",
				  UINT32_MAX);
	if (trace->nr == trace->max) {
		size_t max = trace->max * 2 + 1024;
		void *heat = reallocarray(trace->heat, max, sizeof(*trace->heat));

		if (!heat)
			return trace_fail(trace, error, -ENOMEM,
					  "not enough memory for the interval");
		trace->heat = heat;
		trace->max = max;
	}
	trace->heat[trace->nr++] = (struct np_heat) {
		.vm = vm, .gfn = gfn, .node = node,
		.reads = reads, .writes = writes,
	};
	return 0;
}

static int parse_vm(struct trace *trace, char *text, struct np_error *error)
{
	uint64_t vm;
	void *vms;

	if (!take_number(&text, &vm) || vm > UINT32_MAX || *text != ' ')
		return trace_fail(trace, error, -EINVAL,
				  "a VM is a number and a name: vm NUMBER NAME");
	for (size_t i = 0; i < trace->nr_vms; i++)
		if (trace->vms[i] == vm)
			return trace_fail(trace, error, -EINVAL,
					  "vm %" PRIu64 " a second time", vm);
	vms = reallocarray(trace->vms, trace->nr_vms + 1, sizeof(*trace->vms));
	if (!vms)
		return trace_fail(trace, error, -ENOMEM, "not enough memory");
	trace->vms = vms;
	trace->vms[trace->nr_vms++] = vm;
	return 0;
}

static int parse_tick(struct trace *trace, char *text, struct np_batch *batch,
		      struct np_error *error)
{
	uint64_t now, busy;

	if (!take_number(&text, &now) || !take_number(&text, &busy) ||
	    !take_end(text))
		return trace_fail(trace, error, -EINVAL,
				  "the end of an interval is two numbers: t NOW BUSY");
	if (now <= trace->now_ns)
		return trace_fail(trace, error, -EINVAL,
				  "time: %" PRIu64 " is not after %" PRIu64,
				  now, trace->now_ns);
	trace->now_ns = now;
	batch->heat = trace->heat;
	batch->nr = trace->nr;
	batch->now_ns = now;
	batch->busy_ns = busy;
	return 1;
}

static int trace_next(struct np_source *source, struct np_batch *batch,
		      struct np_error *error)
{
	struct trace *trace = (struct trace *)source;
	char text[LONGEST_LINE];
	int ret;

	trace->nr = 0;
	for (;;) {
		ret = get_line(trace, text, error);
		if (ret < 0)
			return ret;
		if (!ret && trace->nr)
			return trace_fail(trace, error, -EINVAL,
					  "cut off, an interval does not end with a line \"t NOW BUSY\"");
		if (!ret)
			return 0;
		if (!*text || *text == '#')
			continue;
		if (!strncmp(text, "t ", 2))
			return parse_tick(trace, text + 2, batch, error);
		if (!strncmp(text, "h ", 2))
			ret = parse_heat(trace, text + 2, error);
		else if (!strncmp(text, "vm ", 3))
			ret = parse_vm(trace, text + 3, error);
		else
			ret = trace_fail(trace, error, -EINVAL,
					 "a line begins with h, t, vm or #, not with \"%.20s\"",
					 text);
		if (ret)
			return ret;
	}
}

static void trace_close(struct np_source *source)
{
	struct trace *trace = (struct trace *)source;

	if (trace->file)
		gzclose(trace->file);
	free(trace->heat);
	free(trace->vms);
	free(trace->path);
	free(trace);
}

static const struct np_source_ops trace_ops = {
	.next = trace_next,
	.close = trace_close,
};

/* A line of the head: a word, and a number in a range. */
static int head_number(struct trace *trace, const char *word, uint64_t min,
		       uint64_t max, uint64_t *value, struct np_error *error)
{
	char text[LONGEST_LINE], *at = text;
	size_t len = strlen(word);
	int ret = get_line(trace, text, error);

	if (ret < 0)
		return ret;
	if (!ret || strncmp(text, word, len) || text[len] != ' ')
		return trace_fail(trace, error, -EINVAL,
				  "here the line \"%s NUMBER\" is needed", word);
	at += len;
	if (!take_number(&at, value) || !take_end(at) || *value < min ||
	    *value > max)
		return trace_fail(trace, error, -ERANGE,
				  "%s: a number from %" PRIu64 " to %" PRIu64 " is needed",
				  word, min, max);
	return 0;
}

static int read_head(struct trace *trace, struct np_error *error)
{
	uint64_t version, nodes, page_size;
	char text[LONGEST_LINE], *at = text;
	int ret;

	ret = get_line(trace, text, error);
	if (ret < 0)
		return ret;
	if (!ret || strncmp(text, FORMAT " ", sizeof(FORMAT)))
		return trace_fail(trace, error, -EINVAL,
				  "no heat trace: those begin with \"%s %d\"",
				  FORMAT, FORMAT_VERSION);
	at += sizeof(FORMAT);
	if (!take_number(&at, &version) || !take_end(at) ||
	    version != FORMAT_VERSION)
		return trace_fail(trace, error, -EINVAL,
				  "format of version%s, this program reads version %d",
				  text + strlen(FORMAT), FORMAT_VERSION);
	ret = head_number(trace, "nodes", 1, NP_MAX_NODES, &nodes, error);
	if (!ret)
		ret = head_number(trace, "page-size", 1024, 1 << 20, &page_size,
				  error);
	if (ret)
		return ret;
	ret = get_line(trace, text, error);
	if (ret < 0)
		return ret;
	if (!ret || strncmp(text, "about ", 6))
		return trace_fail(trace, error, -EINVAL,
				  "here the line \"about TEXT\" is needed, which says how the heat was measured");
	snprintf(trace->source.about, sizeof(trace->source.about), "%.250s",
		 text + 6);
	trace->source.nodes = nodes;
	trace->source.page_size = page_size;
	return 0;
}

/**
 * np_trace_open - open a recorded trace
 * @path: the file, plain or compressed with gzip
 * @out: the source, to be freed with np_source_close()
 * @error: filled on failure
 *
 * Return: 0; -EINVAL or -ERANGE if the beginning is not that of a trace; -EIO
 * if it cannot be read; what open() says; -ENOMEM.
 */
int np_trace_open(const char *path, struct np_source **out,
		  struct np_error *error)
{
	struct trace *trace = calloc(1, sizeof(*trace));
	int ret;

	if (!trace)
		return np_fail(error, -ENOMEM, "not enough memory");
	trace->source.ops = &trace_ops;
	trace->path = strdup(path);
	if (!trace->path) {
		trace_close(&trace->source);
		return np_fail(error, -ENOMEM, "not enough memory");
	}
	errno = 0;
	trace->file = gzopen(path, "rbe");
	if (!trace->file)
		ret = np_fail(error, errno ? -errno : -ENOMEM, "%s: %s", path,
			      strerror(errno ? errno : ENOMEM));
	else
		ret = read_head(trace, error);
	if (ret) {
		trace_close(&trace->source);
		return ret;
	}
	*out = &trace->source;
	return 0;
}

/**
 * struct np_writer - a trace that is written
 * @path: name of the file
 * @plain: the file, if it is not compressed
 * @packed: the file, if it is
 * @error: first error of writing, 0 if there was none
 */
struct np_writer {
	char *path;
	FILE *plain;
	gzFile packed;
	int error;
};

__attribute__((format(printf, 2, 3)))
static void put(struct np_writer *writer, const char *fmt, ...)
{
	va_list ap;
	int ret;

	va_start(ap, fmt);
	errno = 0;
	if (writer->plain)
		ret = vfprintf(writer->plain, fmt, ap);
	else
		ret = gzvprintf(writer->packed, fmt, ap);
	va_end(ap);
	if (ret < 0 && !writer->error)
		writer->error = errno ? -errno : -EIO;
}

static void writer_free(struct np_writer *writer)
{
	free(writer->path);
	free(writer);
}

/**
 * np_writer_new - begin a trace
 * @path: the file, which is overwritten; compressed if it ends in .gz
 * @nodes: number of nodes of the machine
 * @page_size: size of a page in bytes
 * @about: how the heat is measured, one line
 * @out: the writer, to be freed with np_writer_close()
 * @error: filled on failure
 *
 * Return: 0; what open() says; -ENOMEM.
 */
int np_writer_new(const char *path, unsigned int nodes, unsigned int page_size,
		  const char *about, struct np_writer **out,
		  struct np_error *error)
{
	struct np_writer *writer = calloc(1, sizeof(*writer));
	size_t len = strlen(path);
	int err;

	if (!writer)
		return np_fail(error, -ENOMEM, "not enough memory");
	writer->path = strdup(path);
	errno = 0;
	if (writer->path && len > 3 && !strcmp(path + len - 3, ".gz"))
		writer->packed = gzopen(path, "wb9e");
	else if (writer->path)
		writer->plain = fopen(path, "we");
	if (!writer->plain && !writer->packed) {
		err = errno ? errno : ENOMEM;
		writer_free(writer);
		return np_fail(error, -err, "%s: %s", path, strerror(err));
	}
	put(writer, "%s %d\nnodes %u\npage-size %u\nabout %.250s\n", FORMAT,
	    FORMAT_VERSION, nodes, page_size, about);
	*out = writer;
	return 0;
}

/**
 * np_writer_vm - name a VM, before its heat
 * @writer: the writer
 * @vm: number of the VM
 * @name: its name
 */
void np_writer_vm(struct np_writer *writer, uint32_t vm, const char *name)
{
	put(writer, "vm %" PRIu32 " %.250s\n", vm, name);
}

/**
 * np_writer_heat - write heat of the interval
 * @writer: the writer
 * @heat: the heat; the first of a page is of the node that touched it first
 */
void np_writer_heat(struct np_writer *writer, const struct np_heat *heat)
{
	put(writer, "h %" PRIu32 " 0x%" PRIx64 " %" PRIu32 " %" PRIu32 " %" PRIu32 "\n",
	    heat->vm, heat->gfn, heat->node, heat->reads, heat->writes);
}

/**
 * np_writer_tick - end an interval
 * @writer: the writer
 * @now_ns: time since the trace began
 * @busy_ns: what all CPUs computed in the interval, waiting for memory apart
 */
void np_writer_tick(struct np_writer *writer, uint64_t now_ns, uint64_t busy_ns)
{
	put(writer, "t %" PRIu64 " %" PRIu64 "\n", now_ns, busy_ns);
}

/**
 * np_writer_close - end a trace
 * @writer: the writer, which is freed in any case
 * @error: filled on failure
 *
 * Return: 0, or the first error that writing met.
 */
int np_writer_close(struct np_writer *writer, struct np_error *error)
{
	int ret = writer->error, failed;

	errno = 0;
	if (writer->plain)
		failed = fclose(writer->plain);
	else
		failed = gzclose(writer->packed) != Z_OK;
	if (failed && !ret)
		ret = errno ? -errno : -EIO;
	if (ret)
		np_fail(error, ret, "%s: %s", writer->path, strerror(-ret));
	writer_free(writer);
	return ret;
}
