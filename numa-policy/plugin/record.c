// SPDX-License-Identifier: GPL-2.0-only
/*
 * Misses by page and node, written as heat at the end of each interval.
 *
 * Time is simulated: that of its instructions, and of its misses as if all were
 * local, for each CPU that ran; the clock is the mean of these. So a trace has
 * as many intervals as the fastest machine would have, and a policy that is run
 * on it gets no more of them than it would there.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"
#include "record.h"

#define FEWEST_SLOTS 4096

/* What is done with misses. */
enum phase {
	/* Only the first one of a page is kept. */
	WAITS,
	COUNTS,
	/* None is. */
	ENDED,
};

/**
 * struct record - a recording
 * @config: what is recorded
 * @lock: protects all that follows
 * @phase: what is done with misses
 * @writer: the trace, or NULL
 * @placed: where pages are
 * @heat: heat of this interval, in order of first misses
 * @local: of each @heat, at the end of the interval: are its misses local
 * @nr: number of @heat
 * @max: room in @heat and @local
 * @slot: hash table of @heat by page and node: index + 1
 * @slots: size of @slot, at least twice @nr
 * @insns: instructions of each CPU in this interval
 * @misses: misses of each CPU in this interval
 * @sum: what was recorded before this interval
 * @error: last error, 0 if there was none
 * @why: what it was
 */
struct record {
	struct record_config config;
	pthread_mutex_t lock;
	enum phase phase;
	struct np_writer *writer;
	struct np_policy *placed;
	struct np_heat *heat;
	bool *local;
	size_t nr;
	size_t max;
	uint32_t *slot;
	size_t slots;
	uint64_t *insns;
	uint64_t *misses;
	struct record_sum sum;
	int error;
	struct np_error why;
};

static void record_free(struct record *record)
{
	np_policy_free(record->placed);
	free(record->heat);
	free(record->local);
	free(record->slot);
	free(record->insns);
	free(record->misses);
	free(record);
}

/**
 * record_new - begin a recording
 * @config: what to record; its texts have to outlive the recording
 * @out: the recording, to be freed with record_close()
 * @error: filled on failure
 *
 * Return: 0, or a negative errno.
 */
int record_new(const struct record_config *config, struct record **out,
	       struct np_error *error)
{
	struct record *record = calloc(1, sizeof(*record));
	struct np_config numbers;
	int ret;

	if (!record)
		return np_fail(error, -ENOMEM, "not enough memory");
	record->config = *config;
	record->phase = config->waits ? WAITS : COUNTS;
	pthread_mutex_init(&record->lock, NULL);
	record->slots = FEWEST_SLOTS;
	record->slot = calloc(record->slots, sizeof(*record->slot));
	record->insns = calloc(config->cpus, sizeof(*record->insns));
	record->misses = calloc(config->cpus, sizeof(*record->misses));
	np_config_init(&numbers);
	numbers.rule = np_rule_find("static");
	if (!record->slot || !record->insns || !record->misses)
		ret = np_fail(error, -ENOMEM, "not enough memory");
	else
		ret = np_policy_new(&numbers, config->nodes, &record->placed,
				    error);
	if (!ret && config->path)
		ret = np_writer_new(config->path, config->nodes,
				    config->page_size, config->about,
				    &record->writer, error);
	if (ret) {
		record_free(record);
		return ret;
	}
	if (record->writer)
		np_writer_vm(record->writer, 0, config->name);
	*out = record;
	return 0;
}

static uint32_t *find_slot(uint32_t *slot, size_t slots,
			   const struct np_heat *heat, uint64_t gfn,
			   unsigned int node)
{
	uint64_t hash = (gfn * NP_MAX_NODES + node) * 0x9e3779b97f4a7c15ULL;
	size_t at = (hash >> 32) & (slots - 1);

	while (slot[at] && (heat[slot[at] - 1].gfn != gfn ||
			    heat[slot[at] - 1].node != node))
		at = (at + 1) & (slots - 1);
	return &slot[at];
}

static bool grow(struct record *record)
{
	size_t max = record->max * 2 + FEWEST_SLOTS / 2;
	struct np_heat *heat;
	uint32_t *slot;
	bool *local;

	heat = reallocarray(record->heat, max, sizeof(*heat));
	if (!heat)
		return false;
	record->heat = heat;
	local = reallocarray(record->local, max, sizeof(*local));
	if (!local)
		return false;
	record->local = local;
	if (record->slots < max * 2) {
		size_t slots = record->slots * 4;

		slot = calloc(slots, sizeof(*slot));
		if (!slot)
			return false;
		for (size_t i = 0; i < record->nr; i++)
			*find_slot(slot, slots, heat, heat[i].gfn,
				   heat[i].node) = i + 1;
		free(record->slot);
		record->slot = slot;
		record->slots = slots;
	}
	record->max = max;
	return true;
}

/**
 * record_miss - a CPU missed its cache
 * @record: the recording
 * @cpu: the CPU
 * @gfn: the page
 * @write: it was a store
 */
void record_miss(struct record *record, unsigned int cpu, uint64_t gfn,
		 bool write)
{
	unsigned int node = cpu * record->config.nodes / record->config.cpus;
	uint32_t *slot;

	pthread_mutex_lock(&record->lock);
	if (record->phase == ENDED)
		goto out;
	record->misses[cpu]++;
	if (record->nr == record->max && !grow(record)) {
		record->error = np_fail(&record->why, -ENOMEM,
					"not enough memory");
		goto out;
	}
	slot = find_slot(record->slot, record->slots, record->heat, gfn, node);
	if (!*slot) {
		record->heat[record->nr++] = (struct np_heat) {
			.gfn = gfn,
			.node = node,
		};
		*slot = record->nr;
	}
	if (write)
		record->heat[*slot - 1].writes++;
	else
		record->heat[*slot - 1].reads++;
out:
	pthread_mutex_unlock(&record->lock);
}

static void forget_interval(struct record *record)
{
	record->nr = 0;
	memset(record->slot, 0, record->slots * sizeof(*record->slot));
	memset(record->insns, 0, record->config.cpus * sizeof(*record->insns));
	memset(record->misses, 0, record->config.cpus * sizeof(*record->misses));
}

/* Which misses of the interval were local? */
static int find_places(struct record *record, uint64_t now_ns)
{
	const struct record_config *config = &record->config;
	struct np_place place;
	int ret;

	/* In any case: it counts the pages. */
	for (size_t i = 0; i < record->nr; i++) {
		const struct np_heat *heat = &record->heat[i];

		ret = np_policy_heat(record->placed, heat, &place);
		if (ret < 0)
			return np_fail(&record->why, ret, "%s", strerror(-ret));
		record->local[i] = np_place_local(&place, heat->node);
	}
	return config->places ?
	       config->places(config->source, now_ns, record->heat, record->nr,
			      record->local, &record->why) : 0;
}

/* Ends the interval, which lasted @ns on each CPU that ran. */
static void tick(struct record *record, uint64_t ns)
{
	struct record_sum *sum = &record->sum;
	uint64_t insns = 0;
	int ret;

	ret = find_places(record, sum->now_ns + ns);
	record->error = ret ? ret : record->error;
	for (size_t i = 0; !ret && i < record->nr; i++) {
		const struct np_heat *heat = &record->heat[i];
		uint64_t misses = (uint64_t)heat->reads + heat->writes;

		sum->misses += misses;
		if (record->local[i])
			sum->local += misses;
		if (record->writer)
			np_writer_heat(record->writer, heat);
	}
	for (unsigned int i = 0; i < record->config.cpus; i++)
		insns += record->insns[i];
	sum->insns += insns;
	sum->now_ns += ns;
	sum->pages = np_policy_stat(record->placed)->pages;
	if (record->writer)
		np_writer_tick(record->writer, sum->now_ns,
			       insns * record->config.insn_ps / 1000);
	forget_interval(record);
}

/* Mean time of the CPUs that ran in this interval. */
static uint64_t elapsed(const struct record *record)
{
	uint64_t ns = 0;
	unsigned int ran = 0;

	for (unsigned int i = 0; i < record->config.cpus; i++) {
		ns += record->insns[i] * record->config.insn_ps / 1000 +
		      record->misses[i] * record->config.local_ns;
		ran += record->insns[i] != 0;
	}
	return ran ? ns / ran : 0;
}

/**
 * record_insns - a CPU executed instructions
 * @record: the recording
 * @cpu: the CPU
 * @nr: how many
 */
void record_insns(struct record *record, unsigned int cpu, uint64_t nr)
{
	uint64_t ns;

	pthread_mutex_lock(&record->lock);
	if (record->phase != COUNTS)
		goto out;
	record->insns[cpu] += nr;
	ns = elapsed(record);
	if (ns >= record->config.tick_ns)
		tick(record, ns);
out:
	pthread_mutex_unlock(&record->lock);
}

/* Of each page that was touched, one miss of who did so first. */
static int keep_first_touches(struct record *record)
{
	struct np_place place;
	int ret;

	for (size_t i = 0; i < record->nr; i++) {
		struct np_heat first = {
			.gfn = record->heat[i].gfn,
			.node = record->heat[i].node,
			.reads = 1,
		};
		uint64_t pages = np_policy_stat(record->placed)->pages;

		ret = np_policy_heat(record->placed, &first, &place);
		if (ret < 0)
			return np_fail(&record->why, ret, "%s", strerror(-ret));
		if (record->writer && np_policy_stat(record->placed)->pages > pages)
			np_writer_heat(record->writer, &first);
	}
	return 0;
}

/**
 * record_begin - what comes now counts
 * @record: the recording, which waits; otherwise nothing happens
 *
 * A trace begins with an interval of 1 ns in which nothing was computed: each page
 * that was touched until now has a miss of the node that touched it first.
 */
void record_begin(struct record *record)
{
	int ret;

	pthread_mutex_lock(&record->lock);
	if (record->phase != WAITS)
		goto out;
	ret = keep_first_touches(record);
	record->error = ret ? ret : record->error;
	record->sum.now_ns = 1;
	if (record->writer)
		np_writer_tick(record->writer, record->sum.now_ns, 0);
	forget_interval(record);
	record->phase = COUNTS;
out:
	pthread_mutex_unlock(&record->lock);
}

/**
 * record_end - what comes now does not count
 * @record: the recording; if it waits nothing happens
 */
void record_end(struct record *record)
{
	uint64_t ns;

	pthread_mutex_lock(&record->lock);
	if (record->phase != COUNTS)
		goto out;
	ns = elapsed(record);
	if (ns)
		tick(record, ns);
	record->phase = ENDED;
out:
	pthread_mutex_unlock(&record->lock);
}

/**
 * record_close - end a recording
 * @record: the recording, which is freed in any case
 * @sum: filled with what was recorded
 * @error: filled on failure
 *
 * Return: 0, or the last error that recording met.
 */
int record_close(struct record *record, struct record_sum *sum,
		 struct np_error *error)
{
	int ret;

	record_end(record);
	*sum = record->sum;
	ret = record->error;
	if (ret)
		*error = record->why;
	if (record->writer) {
		int err = np_writer_close(record->writer, error);

		ret = ret ? ret : err;
	}
	record_free(record);
	return ret;
}
