// SPDX-License-Identifier: GPL-2.0-only
/*
 * A cache for each CPU, kept coherent.
 *
 * Lines are absent, shared or modified. A write needs the line modified, which
 * drops it from all other caches; a read of a line that another cache has
 * modified makes it shared there. Ways of a set are in order of use.
 *
 * Sets change under a lock that covers the same sets of all caches. Whether the
 * line used last in a set is there is looked up without it: that is most of all
 * accesses, and one that races with another CPU's write comes before it.
 */
#include <pthread.h>
#include <stdlib.h>

#include "cache.h"

#define LOCKS 1024

/* Tag and state of a way in one word, so that it is read in one. */
#define ABSENT 0ULL
#define SHARED 1ULL
#define MODIFIED 2ULL
#define STATE 3ULL

struct caches {
	unsigned int cpus;
	unsigned int ways;
	unsigned int line_shift;
	uint64_t sets;
	uint64_t **way;
	pthread_mutex_t lock[LOCKS];
};

/**
 * caches_new - make empty caches
 * @cpus: how many
 * @size: bytes of each
 * @ways: associativity
 * @line: bytes of a line
 *
 * @line and the number of sets have to be powers of two.
 *
 * Return: the caches, or NULL if there is no memory or no such cache.
 */
struct caches *caches_new(unsigned int cpus, uint64_t size, unsigned int ways,
			  unsigned int line)
{
	struct caches *caches;
	uint64_t sets;

	if (!cpus || !ways || line < 4 || (line & (line - 1)))
		return NULL;
	sets = size / line / ways;
	if (!sets || (sets & (sets - 1)) || sets * ways * line != size)
		return NULL;
	caches = calloc(1, sizeof(*caches));
	if (!caches)
		return NULL;
	caches->cpus = cpus;
	caches->ways = ways;
	caches->line_shift = __builtin_ctz(line);
	caches->sets = sets;
	for (int i = 0; i < LOCKS; i++)
		pthread_mutex_init(&caches->lock[i], NULL);
	caches->way = calloc(cpus, sizeof(*caches->way));
	for (unsigned int i = 0; caches->way && i < cpus; i++) {
		caches->way[i] = calloc(sets * ways, sizeof(uint64_t));
		if (!caches->way[i]) {
			caches_free(caches);
			return NULL;
		}
	}
	if (!caches->way) {
		caches_free(caches);
		return NULL;
	}
	return caches;
}

/**
 * caches_free - free caches
 * @caches: the caches, or NULL
 */
void caches_free(struct caches *caches)
{
	if (!caches)
		return;
	for (unsigned int i = 0; caches->way && i < caches->cpus; i++)
		free(caches->way[i]);
	free(caches->way);
	free(caches);
}

static uint64_t get(const uint64_t *way)
{
	return __atomic_load_n(way, __ATOMIC_RELAXED);
}

static void put(uint64_t *way, uint64_t value)
{
	__atomic_store_n(way, value, __ATOMIC_RELAXED);
}

/* Makes way for a line: what other caches have of it becomes no more than @state. */
static void snoop(struct caches *caches, unsigned int cpu, uint64_t set,
		  uint64_t tag, uint64_t state)
{
	for (unsigned int i = 0; i < caches->cpus; i++) {
		uint64_t *way = &caches->way[i][set * caches->ways];

		if (i == cpu)
			continue;
		for (unsigned int k = 0; k < caches->ways; k++)
			if (get(&way[k]) && (get(&way[k]) & ~STATE) == tag)
				put(&way[k], state ? tag | state : ABSENT);
	}
}

static bool access_locked(struct caches *caches, unsigned int cpu, uint64_t set,
			  uint64_t tag, bool write)
{
	uint64_t *way = &caches->way[cpu][set * caches->ways];
	uint64_t state = write ? MODIFIED : SHARED;
	unsigned int k, last = caches->ways - 1;
	uint64_t had = ABSENT;

	for (k = 0; k < last; k++)
		if (get(&way[k]) && (get(&way[k]) & ~STATE) == tag)
			break;
	if (get(&way[k]) && (get(&way[k]) & ~STATE) == tag)
		had = get(&way[k]) & STATE;
	/* Way k, the line's or the one used longest ago, becomes the first. */
	for (; k; k--)
		put(&way[k], get(&way[k - 1]));
	if (had >= state) {
		put(&way[0], tag | had);
		return true;
	}
	snoop(caches, cpu, set, tag, write ? ABSENT : SHARED);
	put(&way[0], tag | state);
	return false;
}

/**
 * caches_access - a CPU reads or writes
 * @caches: the caches
 * @cpu: the CPU
 * @addr: physical address
 * @write: it writes
 *
 * Return: whether that needed nothing from outside of its cache. To become the
 * only owner of a line is a request to the line's home like a miss.
 */
bool caches_access(struct caches *caches, unsigned int cpu, uint64_t addr,
		   bool write)
{
	uint64_t line = addr >> caches->line_shift;
	uint64_t set = line & (caches->sets - 1);
	uint64_t tag = (line + 1) << 2;
	uint64_t first = get(&caches->way[cpu][set * caches->ways]);
	pthread_mutex_t *lock = &caches->lock[set % LOCKS];
	bool hit;

	if (first == (tag | MODIFIED) || (!write && first == (tag | SHARED)))
		return true;
	pthread_mutex_lock(lock);
	hit = access_locked(caches, cpu, set, tag, write);
	pthread_mutex_unlock(lock);
	return hit;
}
