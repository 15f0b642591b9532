/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NUMA_POLICY_LIVE_H
#define NUMA_POLICY_LIVE_H

#include <stdbool.h>

#include "numa.h"

/**
 * struct live_moves - what was done to pages while it was looked at
 * @migrated: pages that were moved
 * @replicated: copies that were made
 * @collapsed: copies that were dropped
 */
struct live_moves {
	uint64_t migrated;
	uint64_t replicated;
	uint64_t collapsed;
};

struct live;

int live_new(const char *ram, struct live **out, struct np_error *error);
int live_tell(void *source, const struct np_heat *heat, size_t nr, bool *local,
	      struct np_error *error);
void live_close(struct live *live, struct live_moves *moves);

#endif
