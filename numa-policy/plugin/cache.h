/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NUMA_POLICY_CACHE_H
#define NUMA_POLICY_CACHE_H

#include <stdbool.h>
#include <stdint.h>

struct caches;

struct caches *caches_new(unsigned int cpus, uint64_t size, unsigned int ways,
			  unsigned int line);
void caches_free(struct caches *caches);
bool caches_access(struct caches *caches, unsigned int cpu, uint64_t addr,
		   bool write);

#endif /* NUMA_POLICY_CACHE_H */
