/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DISCOCTL_H
#define DISCOCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <json-c/json.h>

#include <disco/disco.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Exit codes. */
enum {
	EXIT_OK = 0,
	EXIT_NO = 1,	/* an answer, and it is bad: a violation was found */
	EXIT_ERROR = 2,	/* no answer */
};

/**
 * struct ctl - what the command line says
 * @disco: the library's context
 * @json: print JSON
 * @pretty: print it with line breaks
 * @mount: the user chose a mount
 * @all: page: one line for each page; merge: all machines
 * @same_gfn_only: merge: do not look for equal pages elsewhere
 * @pfn: page: machine frame number, or NULL
 * @copies: clone: number of copies, or NULL
 * @max: disk add: limit on what stays cached unused, or NULL
 * @mode: disk add: permissions, or NULL
 * @batch: top: text, not a screen
 * @delay: top: seconds between refreshes, or NULL
 * @count: top: number of refreshes, or NULL
 * @sort: top: column to sort by, or NULL
 * @plot: numa: picture to make, or NULL
 * @log: numa: what to make it from, or NULL
 */
struct ctl {
	struct disco *disco;
	bool json;
	bool pretty;
	bool mount;
	bool all;
	bool same_gfn_only;
	const char *pfn;
	const char *copies;
	const char *max;
	const char *mode;
	bool batch;
	const char *delay;
	const char *count;
	const char *sort;
	const char *plot;
	const char *log;
};

/**
 * struct command - one row of a table of commands
 * @name: word on the command line; NULL ends the table
 * @run: gets the words that follow; returns an exit code
 */
struct command {
	const char *name;
	int (*run)(struct ctl *ctl, int argc, char **argv);
};

/* What follows is for the parts of the program that are loaded later, too. */
#pragma GCC visibility push(default)

int dispatch(struct ctl *ctl, const struct command *table, const char *what,
	     int argc, char **argv);
int reject_words(struct ctl *ctl, int argc, char **argv);
int help_or_reject(struct ctl *ctl, const char *help_text, int argc,
		   char **argv);
int print_help(const char *text);

__attribute__((format(printf, 2, 3)))
int ctl_error(const struct ctl *ctl, const char *fmt, ...);
int ctl_disco_error(const struct ctl *ctl);
int ctl_print_json(const struct ctl *ctl, struct json_object *obj);

int cmd_vm(struct ctl *ctl, int argc, char **argv);
int cmd_vcpu(struct ctl *ctl, int argc, char **argv);
int cmd_disk(struct ctl *ctl, int argc, char **argv);
int cmd_page(struct ctl *ctl, int argc, char **argv);
int cmd_merge(struct ctl *ctl, int argc, char **argv);
int cmd_numa(struct ctl *ctl, int argc, char **argv);
int cmd_move(struct ctl *ctl, int argc, char **argv);
int cmd_replicate(struct ctl *ctl, int argc, char **argv);
int cmd_collapse(struct ctl *ctl, int argc, char **argv);
int cmd_heat(struct ctl *ctl, int argc, char **argv);
int cmd_clone(struct ctl *ctl, int argc, char **argv);
int cmd_top(struct ctl *ctl, int argc, char **argv);
int cmd_stat(struct ctl *ctl, int argc, char **argv);
int cmd_check(struct ctl *ctl, int argc, char **argv);
int cmd_version(struct ctl *ctl, int argc, char **argv);

#include "text.h"

/**
 * struct run - consecutive pages that look alike
 * @gfn: guest frame number of the first
 * @pages: how many
 * @pfn: machine frame number of the first, or 0 if none or not shown
 * @users: users of each page
 * @node: NUMA node, or DISCO_NO_NODE
 * @state: enum disco_page_state
 */
struct run {
	uint64_t gfn;
	uint64_t pages;
	uint64_t pfn;
	uint32_t users;
	uint16_t node;
	uint16_t state;
};

bool run_add(struct run *run, uint64_t gfn,
	     const struct disco_pmap_entry *entry);

/* numa_plot.c */
int numa_plot(struct ctl *ctl, int argc, char **argv);

/* names.c: numbers of VMs to names */
struct vm_ids;
int vm_ids_read(struct ctl *ctl, struct vm_ids **out);
const char *vm_ids_name(const struct vm_ids *ids, uint32_t id);
void vm_ids_free(struct vm_ids *ids);

/* Histogram of users: bucket i holds pages with 2^(i-1) < users <= 2^i. */
#define USER_BUCKETS 33

/**
 * struct summary - what the pages of a VM look like
 * @states: pages by enum disco_page_state
 * @users: pages with a frame by number of users, see USER_BUCKETS
 * @nodes: pages with a frame by NUMA node
 * @nr_nodes: room in @nodes: one more than the highest node seen
 */
struct summary {
	uint64_t states[DISCO_PAGE_REPLICATED + 1];
	uint64_t users[USER_BUCKETS];
	uint64_t *nodes;
	size_t nr_nodes;
};

int user_bucket(uint32_t users);
int summary_add(struct summary *sum, const struct disco_pmap_entry *entry);

/**
 * struct pairs - pages of two machines that look equal
 * @guest: index of the one machine
 * @gfn: its first guest frame number
 * @other: index of the other machine
 * @other_gfn: its first guest frame number
 * @nr: how many, one after the other
 */
struct pairs {
	size_t guest;
	uint64_t gfn;
	size_t other;
	uint64_t other_gfn;
	uint64_t nr;
};

/* contents.c */
struct contents;
struct contents *contents_new(size_t page_size);
void contents_free(struct contents *contents);
bool contents_add(struct contents *contents, size_t guest, uint64_t gfn,
		  const void *at);
size_t contents_pair(struct contents *contents);
bool contents_next(const struct contents *contents, size_t *at,
		   struct pairs *pairs);

#pragma GCC visibility pop

#endif /* DISCOCTL_H */
