/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * discod: heat from the module to a policy, and what the policy asks for back to
 * the module.
 *
 * All that counts is in the module: a discod that is killed loses counters of the
 * last seconds, and the next one goes on. It works in rounds, one for each interval
 * of the policy. Between rounds it has no file of the module or the mount open, so
 * both can go; it then waits until they are back.
 */
#ifndef DISCOD_H
#define DISCOD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

#include <disco/disco.h>

#include "numa.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define NS_PER_S 1000000000ULL

enum {
	EXIT_OK = 0,
	EXIT_ERROR = 2,
};

/**
 * enum affinity - what becomes of the threads that run machines
 * @AFFINITY_NONE: they are left alone
 * @AFFINITY_NODE: each stays on the node where it is
 * @AFFINITY_MEMORY: they go where most of the machine's memory is
 */
enum affinity {
	AFFINITY_NONE,
	AFFINITY_NODE,
	AFFINITY_MEMORY,
};

/**
 * struct options - what the command line says
 * @mount: the mount
 * @config: file with the policy, or NULL for the usual one, if there is one
 * @log: file for the log, "-" for standard output, or NULL for none
 * @log_ns: time between lines of the log
 * @budget: what the sampler of each machine may cost, in millionths of a CPU; 0:
 *	samplers are left alone
 * @affinity: what becomes of threads
 * @dry_run: move and pin nothing
 * @foreground: stay there
 * @verbose: tell of each page
 */
struct options {
	const char *mount;
	const char *config;
	const char *log;
	uint64_t log_ns;
	uint32_t budget;
	enum affinity affinity;
	bool dry_run;
	bool foreground;
	bool verbose;
};

/* Results of moves that are counted: each an errno of DISCO_MOVE, or 0. */
#define NR_RESULTS 11

/**
 * struct tally - what happened since the last line of the log
 * @uses: heat, reads and writes
 * @known: of it, what is known to be of pages that are somewhere
 * @local: of @known, uses by nodes that had the page in their own memory
 * @shared: of @known, uses of pages that other machines use, too
 * @shared_local: of @shared, those that are in @local
 * @results: pages by verb and result
 * @sampler_ns: what the sampler cost
 */
struct tally {
	uint64_t uses;
	uint64_t known;
	uint64_t local;
	uint64_t shared;
	uint64_t shared_local;
	uint64_t results[2][NR_RESULTS];
	uint64_t sampler_ns;
};

/**
 * struct thread - a thread that discod has pinned
 * @id: its number
 * @start: when it started, as numbers are used again
 * @pid: its process
 * @node: where it was pinned to, or -1
 * @seen: it is still there
 * @before: the processors that it could run on before
 */
struct thread {
	pid_t id;
	uint64_t start;
	pid_t pid;
	int node;
	bool seen;
	struct bitmask *before;
};

/**
 * struct machine - a virtual machine
 * @name: path relative to ram/
 * @shown: the same, fit for a terminal
 * @ino: its file, as names are used again
 * @number: its number in the policy, never used again
 * @file: open during a round
 * @views: its monitor has mapped more than the home view: copies are of use to it
 * @monitors: how many processes run it
 * @sampled: it had a round before
 * @cost_ns: what the sampler had cost then
 * @tally: what happened
 * @thread: those that were pinned
 * @nr_threads: how many
 */
struct machine {
	char *name;
	char *shown;
	ino_t ino;
	uint32_t number;
	struct disco_vm *file;
	bool views;
	unsigned int monitors;
	bool sampled;
	uint64_t cost_ns;
	struct tally tally;
	struct thread *thread;
	size_t nr_threads;
};

/**
 * struct discod - the daemon
 * @options: what the command line says
 * @config: the policy's numbers
 * @policy: the policy
 * @nodes: one more than the highest node
 * @page_size: bytes of a page
 * @disco: the module and the mount, during a round
 * @dev: number of the mount
 * @machine: all machines
 * @nr_machines: how many
 * @next_number: for the next machine
 * @begin_ns: when @policy began
 * @now_ns: when this round did
 * @scan_ns: when monitors are to be looked for
 * @scan_again: in the next round, too
 * @trim_ns: when the policy is to forget
 * @log: where the log goes, or NULL
 * @log_next_ns: when the next line is due
 * @log_last_ns: when the last one was
 * @log_time: time in the last line
 * @log_stat: what the policy had counted then
 * @log_cpu_ns: processor time that discod had had then
 * @gone: of machines that are gone, what is not in the log yet
 * @trouble: what went wrong first in this round
 * @said: what did in the last one, and was said
 */
struct discod {
	struct options options;
	struct np_config config;
	struct np_policy *policy;
	unsigned int nodes;
	uint64_t page_size;
	struct disco *disco;
	dev_t dev;
	struct machine **machine;
	size_t nr_machines;
	uint32_t next_number;
	uint64_t begin_ns;
	uint64_t now_ns;
	uint64_t scan_ns;
	bool scan_again;
	uint64_t trim_ns;
	FILE *log;
	uint64_t log_next_ns;
	uint64_t log_last_ns;
	double log_time;
	struct np_stat log_stat;
	uint64_t log_cpu_ns;
	struct tally gone;
	char trouble[512];
	char said[512];
};

/* options.c */
int options_parse(struct options *opts, int argc, char **argv);

/* say.c */
__attribute__((format(printf, 1, 2)))
int fatal(const char *fmt, ...);
__attribute__((format(printf, 2, 3)))
void say(const struct discod *d, const char *fmt, ...);
__attribute__((format(printf, 2, 3)))
void complain(struct discod *d, const char *fmt, ...);
uint64_t clock_ns(clockid_t id);

/* policy.c */
int policy_read(const struct options *options, struct np_config *config,
		struct np_error *error);
int policy_begin(struct discod *d, const struct np_config *config,
		 struct np_error *error);

/* round.c */
void round_run(struct discod *d);
void round_end(struct discod *d);

/* machines.c */
int machines_open(struct discod *d);
void machines_close(struct discod *d);
void machines_forget(struct discod *d);
int machines_scan(struct discod *d);
void tally_add(struct tally *sum, const struct tally *tally);
struct machine *machine_find(const struct discod *d, uint32_t number);

/* heat.c */
int heat_take(struct discod *d, struct machine *machine);
void heat_stop(struct discod *d, struct machine *machine);

/* places.c */
int places_read(struct discod *d, struct machine *machine, uint64_t first,
		uint64_t last, struct np_place *place);

/* moves.c */
int moves_run(struct discod *d, const struct np_action *actions, size_t nr);
const char *result_name(unsigned int result);

/* log.c */
int log_open(struct discod *d);
void log_line(struct discod *d);

/* affinity.c */
int affinity_pin(struct discod *d, struct machine *machine, pid_t pid);
void affinity_restore(struct machine *machine);
void affinity_forget(struct machine *machine);

#endif /* DISCOD_H */
