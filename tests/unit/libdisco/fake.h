/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FAKE_H
#define FAKE_H

#include <stdint.h>

#include <disco/disco.h>

/**
 * struct fake - what stands for the module in these tests
 * @dir: own folder, with mount/{ram,disk}/, counters/ and a table of mounts
 * @disco: a context that looks there
 * @error: if not 0, every request fails with this errno, and so do removing a
 *	file and dropping its cache
 * @pages: size of every VM
 * @shrink_after: after so many batches a VM is empty; 0 for never
 * @batches: batches asked for so far
 * @users: users that the frame has
 * @growing: how often the users of a frame double when it is asked about
 * @check: answer to DISCO_CHECK
 * @vcpus: how many VCPUs every VM has: those with even numbers
 * @disk: answer to DISCO_DISK_STAT; DISCO_DISK_ADD sets its sizes
 * @drops: how often the cache of a file was dropped
 * @merges: how many DISCO_MERGE there were
 * @moves: how many DISCO_MOVE there were
 * @operation: that of the last one
 * @replicated: of what is shared, every fourth page has a copy
 * @heat: answer to DISCO_HEAT_STAT; DISCO_HEAT_SET sets what it is about
 * @heat_taken: all heat was drained
 * @mixed: page 4n to 4n+3 are in state n modulo 4, not all private
 * @sized: a VM has as many pages as its file, not @pages; none are shared
 * @node: node of private pages
 */
struct fake {
	char dir[64];
	struct disco *disco;
	int error;
	uint64_t pages;
	unsigned int shrink_after;
	unsigned int batches;
	uint32_t users;
	unsigned int growing;
	struct disco_check check;
	unsigned int vcpus;
	struct disco_disk_stat disk;
	unsigned int drops;
	unsigned int merges;
	unsigned int moves;
	unsigned int operation;
	int replicated;
	struct disco_heat_stat heat;
	int heat_taken;
	int mixed;
	int sized;
	unsigned int node;
};

extern struct fake fake;

/* Sets of every VCPU's table; those with even numbers have two pairs. */
#define FAKE_SETS 512

int fake_setup(void **state);
int fake_teardown(void **state);
void fake_file(const char *path, const char *text);
void fake_folder(const char *path);
const char *fake_path(const char *path);

#endif /* FAKE_H */
