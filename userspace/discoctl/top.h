/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TOP_H
#define TOP_H

#include <sys/types.h>
#include <time.h>

#include "discoctl.h"

/* What cannot be known, or not yet. */
#define TOP_UNKNOWN (-1.0)

/* As many as Linux can have on any machine. */
#define TOP_MAX_NODES 1024

/**
 * struct top_thread - a thread that runs a machine, or a VCPU that stands for one
 * @id: number of the thread, or of the VCPU
 * @start: when it started, in ticks since boot; numbers are used again
 * @ticks: processor time that it has had
 * @node: where it ran last
 */
struct top_thread {
	pid_t id;
	uint64_t start;
	uint64_t ticks;
	unsigned int node;
};

/**
 * struct top_vm - one machine at one refresh
 * @name: path relative to ram/; NULL in totals
 * @ino: its file, as names are used again
 * @stat: its memory
 * @thread: threads of its monitors
 * @nr_threads: how many
 * @monitors: processes that have it mapped; if 0, @thread are its VCPUs
 * @node: nodes of the pages that were looked at
 * @looked: how many
 * @step: of so many pages the first TOP_CHUNK were looked at
 * @saved: bytes that sharing saves
 * @moved: pages that changed their node since the refresh before
 * @local: share of the pages that are local, 0 to 1
 */
struct top_vm {
	char *name;
	ino_t ino;
	struct disco_vm_stat stat;
	struct top_thread *thread;
	size_t nr_threads;
	size_t monitors;
	uint16_t *node;
	size_t looked;
	uint64_t step;
	uint64_t saved;
	double moved;
	double local;
};

/**
 * struct top_refresh - everything at one time
 * @mono: when, for intervals
 * @wall: when, for people
 * @seconds: since the refresh before, or TOP_UNKNOWN
 * @vm: machines
 * @nr: how many
 * @unreadable: machines and folders that the caller may not read
 * @total: sums; @moved is of all mounts, by the module's counters
 * @moves: those counters
 * @used: bytes of machine memory that the mount has in use
 * @limit: most that it may
 */
struct top_refresh {
	struct timespec mono;
	struct timespec wall;
	double seconds;
	struct top_vm *vm;
	size_t nr;
	size_t unreadable;
	struct top_vm total;
	uint64_t moves;
	uint64_t used;
	uint64_t limit;
};

/**
 * struct top - what top knows
 * @ctl: the program
 * @page_size: bytes of a page
 * @mount: path of the mount
 * @cpu_node: node of each processor
 * @nr_cpus: how many
 * @now: the last refresh
 * @before: the one before
 * @error: what went wrong, after a failure
 * @delay: seconds between refreshes
 * @count: how many refreshes, 0 for no end
 * @sort: column to sort by
 * @reverse: the other way
 */
struct top {
	struct ctl *ctl;
	uint64_t page_size;
	const char *mount;
	unsigned int *cpu_node;
	size_t nr_cpus;
	struct top_refresh now;
	struct top_refresh before;
	char error[512];
	double delay;
	uint64_t count;
	size_t sort;
	bool reverse;
};

/* top_model.c */
int top_init(struct top *top, struct ctl *ctl);
int top_refresh(struct top *top);
void top_free(struct top *top);
int top_fail(struct top *top, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
double top_per_second(const struct top *top, double moved);

/* top_where.c */

/**
 * struct top_paths - where the kernel tells about processes and nodes
 * @proc: processes
 * @nodes: NUMA nodes
 */
struct top_paths {
	const char *proc;
	const char *nodes;
};

extern struct top_paths top_paths;

int top_read_cpus(struct top *top);
int top_find_monitors(struct top *top, dev_t dev);
int top_add_thread(struct top *top, struct top_vm *vm,
		   const struct top_thread *thread);
double top_local(const struct top_vm *vm, const struct top_vm *before);

/* top_text.c */
size_t top_find_column(const char *name);
size_t top_key_column(int key);
void top_column_names(char *text, size_t size);
void top_sort(struct top *top);
int top_table_width(void);
char *top_summary(const struct top *top, unsigned int line);
char *top_header(int name_width);
char *top_row(const struct top *top, const struct top_vm *vm, int name_width);
const char *top_sort_name(const struct top *top);

#define TOP_SUMMARY_LINES 3

/* top_screen.c */
int top_check_terminal(const struct ctl *ctl);
int top_screen(struct top *top);

#endif /* TOP_H */
