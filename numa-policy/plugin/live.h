/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NUMA_POLICY_LIVE_H
#define NUMA_POLICY_LIVE_H

#include <stdbool.h>

#include "numa.h"

/**
 * struct live_sum - what was done to pages while it was looked at
 * @migrated: pages that the module moved, of all VMs
 * @replicated: copies that it made
 * @collapsed: copies that it dropped
 * @refused: moves that the policy asked for and the module did not do
 * @moves_ns: time that the module took for those that the policy asked for
 * @stat: what the policy did, if there is one
 */
struct live_sum {
	uint64_t migrated;
	uint64_t replicated;
	uint64_t collapsed;
	uint64_t refused;
	uint64_t moves_ns;
	struct np_stat stat;
};

struct live;

int live_new(const char *ram, const struct np_config *policy, unsigned int nodes,
	     struct live **out, struct np_error *error);
int live_tell(void *source, uint64_t now_ns, const struct np_heat *heat, size_t nr,
	      bool *local, struct np_error *error);
void live_close(struct live *live, struct live_sum *sum);

#endif
