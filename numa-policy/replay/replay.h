/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REPLAY_H
#define REPLAY_H

#include <json-c/json.h>

#include "numa.h"

/* As many as there are rules, and then some. */
#define MAX_LANES 16

/**
 * struct lane - one policy, and how the machine would do with it
 * @config: rule and numbers
 * @policy: the policy
 * @local: misses on pages in the node's own memory
 * @stall_ns: what CPUs waited for memory
 * @moves_ns: what the moves took
 */
struct lane {
	struct np_config config;
	struct np_policy *policy;
	uint64_t local;
	uint64_t stall_ns;
	uint64_t moves_ns;
};

/**
 * struct replay - a trace and the policies that it runs through
 * @source: the trace
 * @lanes: the policies; the first is static, which others are compared with
 * @nr_lanes: number of @lanes
 * @now_ns: length of the trace
 * @busy_ns: what CPUs computed in it
 * @misses: all misses in it
 * @moved: called for every move, may be NULL
 * @data: passed on to @moved
 */
struct replay {
	struct np_source *source;
	struct lane lanes[MAX_LANES];
	unsigned int nr_lanes;
	uint64_t now_ns;
	uint64_t busy_ns;
	uint64_t misses;
	void (*moved)(const struct replay *replay, const struct lane *lane,
		      const struct np_action *action, void *data);
	void *data;
};

int replay_add(struct replay *replay, const struct np_config *config,
	       struct np_error *error);
int replay_run(struct replay *replay, struct np_error *error);
void replay_free(struct replay *replay);
uint64_t replay_time(const struct replay *replay, const struct lane *lane);
uint64_t replay_bound(const struct replay *replay);

/* print.c */
const char *verb_name(enum np_verb verb);
void print_move(const struct replay *replay, const struct lane *lane,
		const struct np_action *action, void *data);
void print_table(const struct replay *replay, const char *path);
void keep_move(const struct replay *replay, const struct lane *lane,
	       const struct np_action *action, void *data);
struct json_object *make_answer(const struct replay *replay, const char *path);
void print_json(struct json_object *obj, bool pretty);

#endif /* REPLAY_H */
