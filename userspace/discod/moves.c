// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the policy asks for, done by the module: batches by machine and verb, sorted by
 * page, so that many pages cost one flush of the TLBs.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "discod.h"

/* Pages in one request. */
#define CHUNK 4096

/* Results that are told apart; what is none of them counts as the last one. */
static const int results[NR_RESULTS] = {
	0, EEXIST, ENOENT, ENXIO, EINVAL, EACCES, EBUSY, ENOMEM, ENOSPC, EPERM,
	EOPNOTSUPP,
};

/**
 * result_name - a word for a result
 * @result: index in struct tally's results, not 0
 *
 * Return: such as "EBUSY".
 */
const char *result_name(unsigned int result)
{
	return strerrorname_np(results[result]);
}

static unsigned int result_index(int result)
{
	for (unsigned int i = 0; i < NR_RESULTS; i++)
		if (results[i] == -result)
			return i;
	return NR_RESULTS - 1;
}

static void tell(const struct discod *d, const struct machine *machine,
		 const struct np_action *action, int result)
{
	static const char * const verbs[][2] = {
		[NP_MIGRATE] = { "migrate", "migrated" },
		[NP_REPLICATE] = { "replicate", "replicated" },
	};
	const char *verb = verbs[action->verb][result != -ECANCELED];

	if (result == -ECANCELED)
		say(d, "would %s VM %s page 0x%" PRIx64 " to node %u: %s", verb,
		    machine->shown, action->gfn, action->node, action->why);
	else if (d->options.verbose && !result)
		say(d, "%s VM %s page 0x%" PRIx64 " to node %u: %s", verb,
		    machine->shown, action->gfn, action->node, action->why);
	else if (d->options.verbose)
		say(d, "not %s VM %s page 0x%" PRIx64 " to node %u: %s", verb,
		    machine->shown, action->gfn, action->node, strerror(-result));
}

static void done(struct discod *d, struct machine *machine,
		 const struct np_action *action, int result)
{
	if (!d->options.dry_run)
		machine->tally.results[action->verb][result_index(result)]++;
	tell(d, machine, action, result);
	/* Somebody else did it. */
	np_policy_done(d->policy, action, result == -EEXIST ? 0 : result);
}

/*
 * Copies are of no use to a machine that has all its nodes look at one view, unless
 * they are for other machines.
 */
static bool is_useful(const struct machine *machine,
		      const struct np_action *action)
{
	return action->verb == NP_MIGRATE || action->shared || machine->views;
}

/* Pages of one machine and with one verb. */
static int run_chunk(struct discod *d, struct machine *machine,
		     const struct np_action *const *action, size_t nr)
{
	static struct disco_move_entry entries[CHUNK];
	struct disco_move move = {
		.size = sizeof(move),
		.operation = action[0]->verb == NP_MIGRATE ?
			     DISCO_MOVE_MIGRATE : DISCO_MOVE_REPLICATE,
		.entries = (uintptr_t)entries,
		.nr = nr,
	};
	int ret;

	for (size_t i = 0; i < nr; i++)
		entries[i] = (struct disco_move_entry) {
			.gfn = action[i]->gfn,
			.node = action[i]->node,
		};
	ret = disco_move(machine->file, &move);
	if (ret)
		return ret;
	for (size_t i = 0; i < move.out_nr; i++)
		done(d, machine, action[i], entries[i].out_result);
	return 0;
}

static int by_machine(const void *one, const void *two)
{
	const struct np_action *a = *(const struct np_action *const *)one;
	const struct np_action *b = *(const struct np_action *const *)two;

	if (a->vm != b->vm)
		return a->vm < b->vm ? -1 : 1;
	if (a->verb != b->verb)
		return a->verb < b->verb ? -1 : 1;
	if (a->gfn != b->gfn)
		return a->gfn < b->gfn ? -1 : 1;
	return a->node < b->node ? -1 : a->node > b->node;
}

/* How many actions, from the first on, go into one request. */
static size_t same_request(const struct np_action *const *action, size_t nr)
{
	size_t n = 1;

	while (n < nr && n < CHUNK && action[n]->vm == action[0]->vm &&
	       action[n]->verb == action[0]->verb)
		n++;
	return n;
}

/* Leaves out, and answers, what is not to be asked for. */
static size_t select_actions(struct discod *d, const struct np_action *actions,
			     size_t nr, const struct np_action **action)
{
	size_t kept = 0;

	for (size_t i = 0; i < nr; i++) {
		struct machine *machine = machine_find(d, actions[i].vm);

		if (!is_useful(machine, &actions[i]))
			done(d, machine, &actions[i], -EOPNOTSUPP);
		else if (d->options.dry_run)
			done(d, machine, &actions[i], -ECANCELED);
		else
			action[kept++] = &actions[i];
	}
	return kept;
}

/**
 * moves_run - do what the policy asks for
 * @d: the daemon
 * @actions: what it asks for
 * @nr: number of @actions
 *
 * Return: 0 or a negative errno; disco_error() says why, but for -ENOMEM.
 */
int moves_run(struct discod *d, const struct np_action *actions, size_t nr)
{
	const struct np_action **action = calloc(nr + 1, sizeof(*action));
	int ret = 0;
	size_t n;

	if (!action)
		return -ENOMEM;
	nr = select_actions(d, actions, nr, action);
	qsort(action, nr, sizeof(*action), by_machine);
	for (size_t i = 0; i < nr && !ret; i += n) {
		n = same_request(action + i, nr - i);
		ret = run_chunk(d, machine_find(d, action[i]->vm), action + i, n);
	}
	free(action);
	return ret;
}
