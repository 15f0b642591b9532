// SPDX-License-Identifier: GPL-2.0-only
/*
 * The heat of a machine: taken from the module, and told to the policy together with
 * where each page is.
 */
#include <errno.h>

#include "discod.h"

/* Counters taken by one request. */
#define CHUNK 4096

/* Pages that are looked up together: gaps cost less than a system call. */
#define MAX_GAP 64
#define MAX_SPAN 1024

/* Sees to it that the sampler does what it shall, whoever ran it before. */
static int keep_sampler(struct discod *d, struct machine *machine)
{
	struct disco_heat_set set = {
		.size = sizeof(set),
		.budget = d->options.budget,
	};
	struct disco_heat_stat stat = { .size = sizeof(stat) };
	int ret;

	ret = disco_heat_stat(machine->file, &stat);
	if (ret)
		return ret;
	/* What it cost before it was seen does not count; who sets it, resets it. */
	if (!machine->sampled)
		machine->cost_ns = stat.out_cost_ns;
	else if (stat.out_cost_ns < machine->cost_ns)
		machine->cost_ns = 0;
	machine->sampled = true;
	machine->tally.sampler_ns += stat.out_cost_ns - machine->cost_ns;
	machine->cost_ns = stat.out_cost_ns;
	if (!set.budget || stat.out_budget == set.budget)
		return 0;
	return disco_heat_set(machine->file, &set);
}

static void count_uses(struct tally *tally, const struct np_place *place,
		       unsigned int node, uint64_t uses)
{
	uint64_t local = np_place_local(place, node) ? uses : 0;

	tally->known += uses;
	tally->local += local;
	if (place->shared) {
		tally->shared += uses;
		tally->shared_local += local;
	}
}

static int tell_policy(struct discod *d, struct machine *machine,
		       const struct disco_heat_entry *entry,
		       const struct np_place *place)
{
	const struct np_heat heat = {
		.vm = machine->number,
		.gfn = entry->gfn,
		.node = entry->node,
		.reads = entry->reads,
		.writes = entry->writes,
	};
	uint64_t uses = (uint64_t)entry->reads + entry->writes;
	int ret;

	machine->tally.uses += uses;
	/* Punched meanwhile, or on a node that came after discod. */
	if (place->home >= d->nodes || entry->node >= d->nodes)
		return 0;
	count_uses(&machine->tally, place, entry->node, uses);
	ret = np_policy_place(d->policy, heat.vm, heat.gfn, place);
	if (!ret)
		ret = np_policy_heat(d->policy, &heat, NULL);
	/* It takes a write to cost the page its copies, but these came after it. */
	if (ret > 0)
		ret = np_policy_place(d->policy, heat.vm, heat.gfn, place);
	return ret;
}

/* How many entries, from the first on, are near enough to each other. */
static size_t near_entries(const struct disco_heat_entry *entry, size_t nr)
{
	size_t n = 1;

	while (n < nr && entry[n].gfn - entry[n - 1].gfn <= MAX_GAP &&
	       entry[n].gfn - entry[0].gfn < MAX_SPAN)
		n++;
	return n;
}

static int tell_entries(struct discod *d, struct machine *machine,
			const struct disco_heat_entry *entry, size_t nr)
{
	static struct np_place place[MAX_SPAN];
	int ret = 0;
	size_t n;

	for (; nr && !ret; entry += n, nr -= n) {
		uint64_t first = entry[0].gfn;

		n = near_entries(entry, nr);
		ret = places_read(d, machine, first, entry[n - 1].gfn, place);
		for (size_t i = 0; i < n && !ret; i++)
			ret = tell_policy(d, machine, &entry[i],
					  &place[entry[i].gfn - first]);
	}
	return ret;
}

/**
 * heat_take - take the heat of a machine, and tell the policy of it
 * @d: the daemon
 * @machine: the machine, which is open
 *
 * Return: 0 or a negative errno; disco_error() says why, but for -ENOMEM.
 */
int heat_take(struct discod *d, struct machine *machine)
{
	static struct disco_heat_entry entries[CHUNK];
	struct disco_heat_drain drain = {
		.size = sizeof(drain),
		.entries = (uintptr_t)entries,
		.nr = CHUNK,
	};
	int ret;

	ret = keep_sampler(d, machine);
	if (ret)
		return ret;
	do {
		ret = disco_heat_drain(machine->file, &drain);
		if (!ret)
			ret = tell_entries(d, machine, entries, drain.out_nr);
		drain.gfn = drain.out_next;
	} while (!ret && drain.gfn);
	return ret;
}

/**
 * heat_stop - turn the sampler of a machine off, if it was on
 * @d: the daemon
 * @machine: the machine, which is open
 *
 * With a budget all samplers are discod's, also those that it found running: one
 * that was killed leaves them so.
 */
void heat_stop(struct discod *d, struct machine *machine)
{
	struct disco_heat_set set = { .size = sizeof(set) };

	if (d->options.budget && disco_heat_set(machine->file, &set))
		complain(d, "%s", disco_error(d->disco));
}
