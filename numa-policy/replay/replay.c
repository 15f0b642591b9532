// SPDX-License-Identifier: GPL-2.0-only
/*
 * A machine that does what policies ask, for recorded heat.
 *
 * All policies see the same heat at the same times, each with its own placement
 * of pages. A miss costs what the place of its page costs; a move is done at
 * the end of the interval in which it was asked for, and costs a fixed time. A
 * write to a page with copies is taken to come before the interval's reads, so
 * that the copies help none of them.
 */
#include <stdio.h>
#include <string.h>

#include "replay.h"

/**
 * replay_add - add a policy
 * @replay: source set
 * @config: rule and numbers
 * @error: filled on failure
 *
 * Return: 0, or as np_policy_new().
 */
int replay_add(struct replay *replay, const struct np_config *config,
	       struct np_error *error)
{
	struct lane *lane = &replay->lanes[replay->nr_lanes];
	int ret;

	ret = np_policy_new(config, replay->source->nodes, &lane->policy, error);
	if (ret)
		return ret;
	lane->config = *config;
	replay->nr_lanes++;
	return 0;
}

static int charge(struct lane *lane, const struct np_heat *heat)
{
	uint64_t misses = (uint64_t)heat->reads + heat->writes;
	const uint64_t *value = lane->config.value;
	struct np_place place;
	int ret;

	ret = np_policy_heat(lane->policy, heat, &place);
	if (ret < 0)
		return ret;
	if (ret) {
		lane->moves_ns += value[NP_COLLAPSE_NS];
		place.copies = 0;
	}
	if (np_place_local(&place, heat->node)) {
		lane->local += misses;
		lane->stall_ns += misses * value[NP_LOCAL_NS];
	} else {
		lane->stall_ns += misses * value[NP_REMOTE_NS];
	}
	return 0;
}

static int decide(struct replay *replay, struct lane *lane)
{
	const uint64_t *value = lane->config.value;
	const struct np_action *actions;
	size_t nr;
	int ret;

	ret = np_policy_decide(lane->policy, replay->now_ns, &actions, &nr);
	if (ret)
		return ret;
	for (size_t i = 0; i < nr; i++) {
		lane->moves_ns += value[actions[i].verb == NP_MIGRATE ?
					NP_MIGRATE_NS : NP_REPLICATE_NS];
		if (replay->moved)
			replay->moved(replay, lane, &actions[i], replay->data);
		np_policy_done(lane->policy, &actions[i], 0);
	}
	return 0;
}

/**
 * replay_run - run the trace through the policies
 * @replay: source set, policies added
 * @error: filled on failure
 *
 * Return: 0; as np_source_next(); -ENOMEM.
 */
int replay_run(struct replay *replay, struct np_error *error)
{
	struct np_batch batch;
	int ret;

	while ((ret = np_source_next(replay->source, &batch, error)) > 0) {
		replay->now_ns = batch.now_ns;
		replay->busy_ns += batch.busy_ns;
		for (size_t i = 0; i < batch.nr; i++)
			replay->misses += (uint64_t)batch.heat[i].reads +
					  batch.heat[i].writes;
		for (unsigned int i = 0; i < replay->nr_lanes; i++) {
			struct lane *lane = &replay->lanes[i];

			for (size_t k = 0; k < batch.nr && ret >= 0; k++)
				ret = charge(lane, &batch.heat[k]);
			if (ret >= 0)
				ret = decide(replay, lane);
			if (ret < 0) {
				snprintf(error->text, sizeof(error->text),
					 "%s", strerror(-ret));
				return ret;
			}
		}
	}
	return ret;
}

/**
 * replay_free - free what replay_add() made, and the source
 * @replay: the replay
 */
void replay_free(struct replay *replay)
{
	for (unsigned int i = 0; i < replay->nr_lanes; i++)
		np_policy_free(replay->lanes[i].policy);
	np_source_close(replay->source);
}

/**
 * replay_time - time that all CPUs together need under a policy
 * @replay: the replay, which was run
 * @lane: the policy
 *
 * Return: computing, waiting for memory, and moves, in ns.
 */
uint64_t replay_time(const struct replay *replay, const struct lane *lane)
{
	return replay->busy_ns + lane->stall_ns + lane->moves_ns;
}

/**
 * replay_bound - time that all CPUs together need if every miss is local
 * @replay: the replay, which was run
 *
 * What a machine with uniform memory needs. No policy can be faster.
 *
 * Return: computing, and waiting for memory, in ns.
 */
uint64_t replay_bound(const struct replay *replay)
{
	return replay->busy_ns +
	       replay->misses * replay->lanes[0].config.value[NP_LOCAL_NS];
}
