// SPDX-License-Identifier: GPL-2.0-only
/*
 * The policy: its file, and the numbers that differ from those of disco-replay.
 */
#include <stdlib.h>
#include <unistd.h>

#include "discod.h"

#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc"
#endif

static const char usual_file[] = SYSCONFDIR "/disco/discod.conf";

/*
 * The sampler counts faults, not cache misses: one for a page and node in each of
 * its rounds, which take seconds or minutes. discod.conf has the reasons.
 */
static const char * const settings[] = {
	"policy.interval_ms=1000",
	"disco.trigger=2",
	"disco.sharing=1",
	"disco.reset_ms=300000",
	"disco.limit_ms=600000",
	"autonuma.scan_ms=60000",
	"carrefour.misses_per_ms=0",
	"carrefour.interval_ms=60000",
	"carrefour.min_misses=2",
};

/**
 * policy_read - read the policy's file
 * @options: which file
 * @config: filled
 * @error: filled on failure
 *
 * The usual file may be missing: then all numbers are discod's defaults.
 *
 * Return: 0, or as np_config_read() and np_config_check().
 */
int policy_read(const struct options *options, struct np_config *config,
		struct np_error *error)
{
	const char *file = options->config;
	int ret = 0;

	np_config_init(config);
	for (size_t i = 0; i < ARRAY_SIZE(settings) && !ret; i++)
		ret = np_config_set(config, settings[i], error);
	if (!file && !access(usual_file, F_OK))
		file = usual_file;
	if (!ret && file)
		ret = np_config_read(config, file, error);
	return ret ? ret : np_config_check(config, file, error);
}

/**
 * policy_begin - put a policy to work, in place of the one before
 * @d: the daemon
 * @config: the policy's numbers
 * @error: filled on failure, and the one before stays
 *
 * What the one before knew is forgotten: where pages are is seen when they have
 * heat again.
 *
 * Return: 0, or as np_policy_new().
 */
int policy_begin(struct discod *d, const struct np_config *config,
		 struct np_error *error)
{
	struct np_policy *policy;
	int ret;

	ret = np_policy_new(config, d->nodes, &policy, error);
	if (ret)
		return ret;
	np_policy_free(d->policy);
	d->policy = policy;
	d->config = *config;
	d->begin_ns = clock_ns(CLOCK_MONOTONIC);
	d->trim_ns = 0;
	d->log_stat = *np_policy_stat(policy);
	return 0;
}
