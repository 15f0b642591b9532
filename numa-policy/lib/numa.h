/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the memory of virtual machines should be: heat in, moves out.
 */
#ifndef NUMA_POLICY_NUMA_H
#define NUMA_POLICY_NUMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * DOC: Overview
 *
 * Heat is how often a NUMA node missed its caches on a page, from any source
 * (struct np_source). A policy (struct np_policy) is told of it in batches and
 * answers with actions: migrate this page, replicate that one. Who asked
 * carries them out, and says how each ended (np_policy_done()). Nothing here
 * knows of the kernel module: a program that runs a policy against a recorded
 * trace and one that runs it against a machine make the same calls.
 *
 * What differs between policies is a rule (struct np_rule), a file each. The
 * numbers that rules use are in the configuration (struct np_config).
 *
 * Functions return 0 or a count on success and a negative errno on failure, and
 * then say in struct np_error what went wrong; nothing is printed. All objects
 * belong to one thread at a time.
 */

/** NP_MAX_NODES - nodes that a machine can have: copies are kept as a bit each */
#define NP_MAX_NODES 64

/**
 * struct np_error - what went wrong
 * @text: words a user can act on, with file and line where there is one
 */
struct np_error {
	char text[400];
};

/**
 * struct np_heat - how often a node missed its caches on a page
 * @gfn: guest frame number
 * @vm: number of the VM
 * @node: node of the CPU that missed
 * @reads: misses of loads and instruction fetches
 * @writes: misses of stores
 */
struct np_heat {
	uint64_t gfn;
	uint32_t vm;
	uint32_t node;
	uint32_t reads;
	uint32_t writes;
};

/**
 * struct np_batch - heat of one interval
 * @heat: the heat, valid until the next call; the first of a page is of the
 *	node that touched it first
 * @nr: number of @heat
 * @now_ns: when the interval ended, since the source began
 * @busy_ns: what all CPUs computed in it, waiting for memory apart
 */
struct np_batch {
	const struct np_heat *heat;
	size_t nr;
	uint64_t now_ns;
	uint64_t busy_ns;
};

/**
 * struct np_source - where heat comes from
 * @ops: what makes this source another than others
 * @nodes: number of nodes of the machine
 * @page_size: size of a page in bytes
 * @about: how the heat was measured, in words
 */
struct np_source {
	const struct np_source_ops *ops;
	unsigned int nodes;
	unsigned int page_size;
	char about[256];
};

/**
 * struct np_source_ops - operations of a kind of source
 * @next: see np_source_next()
 * @close: see np_source_close()
 */
struct np_source_ops {
	int (*next)(struct np_source *source, struct np_batch *batch,
		    struct np_error *error);
	void (*close)(struct np_source *source);
};

/**
 * np_source_next - get the heat of the next interval
 * @source: the source
 * @batch: filled
 * @error: filled on failure
 *
 * Return: 1 if @batch was filled; 0 at the end; a negative errno.
 */
static inline int np_source_next(struct np_source *source,
				 struct np_batch *batch, struct np_error *error)
{
	return source->ops->next(source, batch, error);
}

/**
 * np_source_close - free a source
 * @source: the source, or NULL
 */
static inline void np_source_close(struct np_source *source)
{
	if (source)
		source->ops->close(source);
}

int np_trace_open(const char *path, struct np_source **out,
		  struct np_error *error);

struct np_writer;

int np_writer_new(const char *path, unsigned int nodes, unsigned int page_size,
		  const char *about, struct np_writer **out,
		  struct np_error *error);
void np_writer_vm(struct np_writer *writer, uint32_t vm, const char *name);
void np_writer_heat(struct np_writer *writer, const struct np_heat *heat);
void np_writer_tick(struct np_writer *writer, uint64_t now_ns,
		    uint64_t busy_ns);
int np_writer_close(struct np_writer *writer, struct np_error *error);

/**
 * enum np_key - numbers of the configuration
 *
 * Names, defaults and limits are in a table of config.c, in this order; what
 * they mean is in numa-policy/numa.conf.
 */
enum np_key {
	NP_INTERVAL_MS,
	NP_MAX_MOVES_PER_S,
	NP_REPLICA_PERCENT,
	NP_LOCAL_NS,
	NP_REMOTE_NS,
	NP_MIGRATE_NS,
	NP_REPLICATE_NS,
	NP_COLLAPSE_NS,
	NP_DISCO_TRIGGER,
	NP_DISCO_SHARING,
	NP_DISCO_WRITE,
	NP_DISCO_RESET_MS,
	NP_DISCO_MOVE_LIMIT,
	NP_DISCO_LIMIT_MS,
	NP_AUTONUMA_SCAN_MS,
	NP_CARREFOUR_INTERVAL_MS,
	NP_CARREFOUR_MISSES_PER_MS,
	NP_CARREFOUR_LOCAL_PERCENT,
	NP_CARREFOUR_MIN_MISSES,
	NP_NR_KEYS
};

struct np_rule;

/**
 * struct np_config - rule and numbers
 * @rule: the rule
 * @value: number of each key
 * @line: line of the file that set it; 0 if none did
 * @rule_line: line of the file that set @rule; 0 if none did
 */
struct np_config {
	const struct np_rule *rule;
	uint64_t value[NP_NR_KEYS];
	unsigned int line[NP_NR_KEYS];
	unsigned int rule_line;
};

void np_config_init(struct np_config *config);
int np_config_read(struct np_config *config, const char *path,
		   struct np_error *error);
int np_config_set(struct np_config *config, const char *setting,
		  struct np_error *error);
int np_config_check(const struct np_config *config, const char *path,
		    struct np_error *error);
const char *np_key_name(enum np_key key);

extern const struct np_rule * const np_rules[];

const struct np_rule *np_rule_find(const char *name);
const char *np_rule_name(const struct np_rule *rule);
const char *np_rule_text(const struct np_rule *rule);

/**
 * enum np_verb - what to do with a page
 * @NP_MIGRATE: bring the page to the node; only without copies
 * @NP_REPLICATE: give the node a copy
 */
enum np_verb {
	NP_MIGRATE,
	NP_REPLICATE,
};

/**
 * struct np_action - something to do
 * @verb: what
 * @vm: number of the VM
 * @node: where to
 * @gfn: the page
 * @heat: misses that the node had on it since the counters were reset
 * @shared: other VMs use the page, too
 * @why: reason, in words
 */
struct np_action {
	enum np_verb verb;
	uint32_t vm;
	uint32_t node;
	uint64_t gfn;
	uint64_t heat;
	bool shared;
	const char *why;
};

/**
 * struct np_stat - what a policy did
 * @pages: pages known
 * @copies: copies now, masters apart; of a page that other VMs use, too, one for
 *	each VM
 * @most_copies: most copies there were
 * @migrated: pages migrated
 * @replicated: copies made
 * @collapsed: pages whose copies were dropped for a write
 * @failed: actions that the machine refused
 * @over_rate: actions not asked for because of max_moves_per_s
 * @over_replicas: copies not asked for because of replica_percent
 * @over_limit: hot pages left where they are because of disco's move_limit
 * @write_shared: hot pages left where they are because several nodes use them
 *	and one writes
 */
struct np_stat {
	uint64_t pages;
	uint64_t copies;
	uint64_t most_copies;
	uint64_t migrated;
	uint64_t replicated;
	uint64_t collapsed;
	uint64_t failed;
	uint64_t over_rate;
	uint64_t over_replicas;
	uint64_t over_limit;
	uint64_t write_shared;
};

/**
 * struct np_place - where a page is
 * @home: node of the page, or of its master
 * @copies: nodes that have a copy, a bit each; without @home
 * @shared: other VMs use it, too, so it is not taken away from where it is
 */
struct np_place {
	uint32_t home;
	uint64_t copies;
	bool shared;
};

/**
 * np_place_local - does a node find the page in its own memory?
 * @place: where the page is
 * @node: the node
 *
 * Return: whether it does.
 */
static inline bool np_place_local(const struct np_place *place,
				  unsigned int node)
{
	return place->home == node || (place->copies >> node & 1);
}

struct np_policy;

int np_policy_new(const struct np_config *config, unsigned int nodes,
		  struct np_policy **out, struct np_error *error);
void np_policy_free(struct np_policy *policy);
int np_policy_place(struct np_policy *policy, uint32_t vm, uint64_t gfn,
		    const struct np_place *place);
int np_policy_heat(struct np_policy *policy, const struct np_heat *heat,
		   struct np_place *place);
int np_policy_decide(struct np_policy *policy, uint64_t now_ns,
		     const struct np_action **actions, size_t *nr);
void np_policy_done(struct np_policy *policy, const struct np_action *action,
		    int result);
void np_policy_forget(struct np_policy *policy, uint32_t vm);
void np_policy_trim(struct np_policy *policy);
const struct np_stat *np_policy_stat(const struct np_policy *policy);

#endif /* NUMA_POLICY_NUMA_H */
