// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log: one JSON object a line, as in Documentation/numa-log.rst.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include "discod.h"
#include "text.h"

/**
 * log_open - open the log, or open it again after somebody has renamed it
 * @d: the daemon
 *
 * Return: 0 or a negative errno; then the log goes where it went before.
 */
int log_open(struct discod *d)
{
	FILE *file;

	if (!d->options.log)
		return 0;
	file = !strcmp(d->options.log, "-") ? stdout : fopen(d->options.log, "ae");
	if (!file)
		return -errno;
	if (d->log && d->log != stdout)
		fclose(d->log);
	d->log = file;
	return 0;
}

static void add_number(struct json_object *obj, const char *key, double value,
		       int digits)
{
	char text[64];

	snprintf(text, sizeof(text), "%.*f", digits, value);
	json_object_object_add(obj, key, json_object_new_double_s(value, text));
}

/* Null where there is nothing to have a share of. */
static void add_share(struct json_object *obj, const char *key, uint64_t part,
		      uint64_t whole)
{
	if (whole)
		add_number(obj, key, (double)part / whole, 4);
	else
		json_object_object_add(obj, key, NULL);
}

static uint64_t sum_results(const struct tally *tally, enum np_verb verb)
{
	return tally->results[verb][0];
}

/* Pages by why they were not moved. */
static struct json_object *refusals(const struct tally *tally)
{
	struct json_object *obj = json_object_new_object();

	for (unsigned int i = 1; i < NR_RESULTS; i++) {
		uint64_t nr = tally->results[NP_MIGRATE][i] +
			      tally->results[NP_REPLICATE][i];

		if (nr)
			json_add_u64(obj, result_name(i), nr);
	}
	return obj;
}

static struct json_object *tally_json(const struct tally *tally, double seconds)
{
	struct json_object *obj = json_object_new_object();
	uint64_t migrated = sum_results(tally, NP_MIGRATE);
	uint64_t replicated = sum_results(tally, NP_REPLICATE);

	json_add_u64(obj, "moved", migrated + replicated);
	add_share(obj, "local", tally->local, tally->known);
	json_add_u64(obj, "migrated", migrated);
	json_add_u64(obj, "replicated", replicated);
	json_object_object_add(obj, "refused", refusals(tally));
	json_add_u64(obj, "uses", tally->uses);
	json_add_u64(obj, "shared_uses", tally->shared);
	add_share(obj, "shared_local", tally->shared_local, tally->shared);
	add_number(obj, "sampler", tally->sampler_ns / 1e9 / seconds, 6);
	return obj;
}

/* What the policy counted since the last line. */
static void add_policy(struct json_object *obj, struct discod *d)
{
	const struct np_stat now = *np_policy_stat(d->policy);
	const struct np_stat *then = &d->log_stat;

	json_add_u64(obj, "pages", now.pages);
	json_add_u64(obj, "copies", now.copies);
	json_add_u64(obj, "collapsed", now.collapsed - then->collapsed);
	json_add_u64(obj, "over_rate", now.over_rate - then->over_rate);
	json_add_u64(obj, "over_replicas", now.over_replicas - then->over_replicas);
	json_add_u64(obj, "over_limit", now.over_limit - then->over_limit);
	json_add_u64(obj, "write_shared", now.write_shared - then->write_shared);
	d->log_stat = now;
}

static double wall_clock(struct discod *d)
{
	double now = clock_ns(CLOCK_REALTIME) / 1e9;

	/* Later than the line before, also when somebody sets the clock. */
	if (now <= d->log_time)
		now = d->log_time + 0.001;
	d->log_time = now;
	return now;
}

/**
 * log_line - write a line about what happened since the one before
 * @d: the daemon
 */
void log_line(struct discod *d)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	uint64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	struct json_object *obj, *vms, *vm, *totals;
	double seconds = (now - d->log_last_ns) / 1e9;
	struct tally sum = d->gone;

	if (!d->log || seconds < 0.001)
		return;
	obj = json_object_new_object();
	vms = json_object_new_array();
	for (size_t i = 0; i < d->nr_machines; i++) {
		struct machine *machine = d->machine[i];

		vm = tally_json(&machine->tally, seconds);
		json_add_text(vm, "path", machine->name);
		json_object_array_add(vms, vm);
		tally_add(&sum, &machine->tally);
		machine->tally = (struct tally) { 0 };
	}
	totals = tally_json(&sum, seconds);
	add_policy(totals, d);
	add_number(totals, "discod", (cpu - d->log_cpu_ns) / 1e9 / seconds, 6);
	add_number(obj, "time", wall_clock(d), 3);
	add_number(obj, "seconds", seconds, 3);
	json_object_object_add(obj, "vms", vms);
	json_object_object_add(obj, "totals", totals);
	d->gone = (struct tally) { 0 };
	d->log_last_ns = now;
	d->log_cpu_ns = cpu;
	if (fprintf(d->log, "%s\n", json_object_to_json_string_ext(obj,
				JSON_C_TO_STRING_PLAIN)) < 0 || fflush(d->log)) {
		complain(d, "cannot write the log %s: %s", d->options.log,
			 strerror(errno));
		clearerr(d->log);
	}
	json_object_put(obj);
}
