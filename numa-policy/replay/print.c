// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a replay found: as a table, or as JSON.
 */
#include <inttypes.h>
#include <stdio.h>

#include "replay.h"

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * part / whole : 0;
}

static double seconds(uint64_t ns)
{
	return ns / 1e9;
}

/* How much of what static loses to the bound a policy wins back. */
static double gap_closed(const struct replay *replay, const struct lane *lane)
{
	double from = replay_time(replay, &replay->lanes[0]);
	double to = replay_bound(replay);

	return from > to ? 100 * (from - replay_time(replay, lane)) / (from - to) : 0;
}

/**
 * verb_name - word for a verb
 * @verb: the verb
 *
 * Return: the word.
 */
const char *verb_name(enum np_verb verb)
{
	return verb == NP_MIGRATE ? "migrate" : "replicate";
}

/**
 * print_move - print a move
 * @replay: the replay
 * @lane: the policy
 * @action: the move
 * @data: not used
 */
void print_move(const struct replay *replay, const struct lane *lane,
		const struct np_action *action, void *data)
{
	(void)data;
	printf("%10.3f s  %-10s %-9s vm %" PRIu32 " page 0x%" PRIx64
	       " to node %" PRIu32 ", %" PRIu64 " misses: %s\n",
	       seconds(replay->now_ns), np_rule_name(lane->config.rule),
	       verb_name(action->verb), action->vm, action->gfn, action->node,
	       action->heat, action->why);
}

/**
 * print_table - print what the replay found
 * @replay: the replay, which was run
 * @path: name of the trace
 */
void print_table(const struct replay *replay, const char *path)
{
	const struct np_stat *first = np_policy_stat(replay->lanes[0].policy);
	uint64_t static_ns = replay_time(replay, &replay->lanes[0]);

	printf("%s: %s\n", path, replay->source->about);
	printf("%u nodes, %" PRIu64 " pages, %.3f s, CPUs busy %.3f s, %" PRIu64 " misses\n\n",
	       replay->source->nodes, first->pages, seconds(replay->now_ns),
	       seconds(replay->busy_ns), replay->misses);
	printf("%-10s %6s %8s %10s %9s %7s %8s %8s %8s %6s %6s\n", "policy",
	       "local", "migrated", "replicated", "collapsed", "copies",
	       "stall s", "moves s", "time s", "time", "gap");
	for (unsigned int i = 0; i < replay->nr_lanes; i++) {
		const struct lane *lane = &replay->lanes[i];
		const struct np_stat *stat = np_policy_stat(lane->policy);

		printf("%-10s %5.1f%% %8" PRIu64 " %10" PRIu64 " %9" PRIu64
		       " %7" PRIu64 " %8.3f %8.3f %8.3f %5.1f%% %5.1f%%\n",
		       np_rule_name(lane->config.rule),
		       percent(lane->local, replay->misses), stat->migrated,
		       stat->replicated, stat->collapsed, stat->most_copies,
		       seconds(lane->stall_ns), seconds(lane->moves_ns),
		       seconds(replay_time(replay, lane)),
		       percent(replay_time(replay, lane), static_ns),
		       gap_closed(replay, lane));
	}
	printf("%-10s %5.1f%% %8s %10s %9s %7s %8.3f %8.3f %8.3f %5.1f%% %5.1f%%\n",
	       "all local", 100.0, "-", "-", "-", "-",
	       seconds(replay_bound(replay) - replay->busy_ns), 0.0,
	       seconds(replay_bound(replay)),
	       percent(replay_bound(replay), static_ns), 100.0);
}

static void add_u64(struct json_object *obj, const char *key, uint64_t value)
{
	json_object_object_add(obj, key, json_object_new_uint64(value));
}

static void add_text(struct json_object *obj, const char *key, const char *text)
{
	json_object_object_add(obj, key, json_object_new_string(text));
}

static void add_double(struct json_object *obj, const char *key, double value)
{
	char text[32];

	snprintf(text, sizeof(text), "%.6g", value);
	json_object_object_add(obj, key,
			       json_object_new_double_s(value, text));
}

/**
 * keep_move - add a move to a JSON list
 * @replay: the replay
 * @lane: the policy
 * @action: the move
 * @data: the list
 */
void keep_move(const struct replay *replay, const struct lane *lane,
	       const struct np_action *action, void *data)
{
	struct json_object *move = json_object_new_object();

	add_u64(move, "time_ns", replay->now_ns);
	add_text(move, "policy", np_rule_name(lane->config.rule));
	add_text(move, "verb", verb_name(action->verb));
	add_u64(move, "vm", action->vm);
	add_u64(move, "gfn", action->gfn);
	add_u64(move, "node", action->node);
	add_u64(move, "misses", action->heat);
	add_text(move, "why", action->why);
	json_object_array_add(data, move);
}

static struct json_object *lane_answer(const struct replay *replay,
				       const struct lane *lane)
{
	const struct np_stat *stat = np_policy_stat(lane->policy);
	struct json_object *obj = json_object_new_object();

	add_text(obj, "policy", np_rule_name(lane->config.rule));
	add_double(obj, "local_percent", percent(lane->local, replay->misses));
	add_u64(obj, "migrated", stat->migrated);
	add_u64(obj, "replicated", stat->replicated);
	add_u64(obj, "collapsed", stat->collapsed);
	add_u64(obj, "most_copies", stat->most_copies);
	add_u64(obj, "over_rate", stat->over_rate);
	add_u64(obj, "over_replicas", stat->over_replicas);
	add_u64(obj, "over_limit", stat->over_limit);
	add_u64(obj, "write_shared", stat->write_shared);
	add_u64(obj, "stall_ns", lane->stall_ns);
	add_u64(obj, "moves_ns", lane->moves_ns);
	add_u64(obj, "time_ns", replay_time(replay, lane));
	add_double(obj, "time_percent",
		   percent(replay_time(replay, lane),
			   replay_time(replay, &replay->lanes[0])));
	add_double(obj, "gap_closed_percent", gap_closed(replay, lane));
	return obj;
}

/**
 * make_answer - make JSON of what the replay found
 * @replay: the replay, which was run
 * @path: name of the trace
 *
 * Return: the answer.
 */
struct json_object *make_answer(const struct replay *replay, const char *path)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *list = json_object_new_array();

	add_text(obj, "trace", path);
	add_text(obj, "about", replay->source->about);
	add_u64(obj, "nodes", replay->source->nodes);
	add_u64(obj, "pages", np_policy_stat(replay->lanes[0].policy)->pages);
	add_u64(obj, "length_ns", replay->now_ns);
	add_u64(obj, "busy_ns", replay->busy_ns);
	add_u64(obj, "misses", replay->misses);
	for (unsigned int i = 0; i < replay->nr_lanes; i++)
		json_object_array_add(list, lane_answer(replay,
							&replay->lanes[i]));
	json_object_object_add(obj, "policies", list);
	add_u64(obj, "all_local_ns", replay_bound(replay));
	return obj;
}

/**
 * print_json - print an answer and free it
 * @obj: the answer
 * @pretty: with line breaks
 */
void print_json(struct json_object *obj, bool pretty)
{
	puts(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_NOSLASHESCAPE |
					    (pretty ? JSON_C_TO_STRING_PRETTY |
						      JSON_C_TO_STRING_SPACED :
						      JSON_C_TO_STRING_PLAIN)));
	json_object_put(obj);
}
