// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processes that have VMs mapped are killed in the middle of their faults, of
 * clones and of punches, 200 times. What they leave is their memory and nothing
 * else: the module's structures agree, VMs that nobody wrote to are intact, and
 * in the end everything is freed.
 */
#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define KILLS 200
#define MONITORS 3
#define PAGES 64
#define SIZE (PAGES * dt_page)

/* busy: written by all; quiet: only read; clone: made of quiet, and written. */
static struct {
	int busy[2], quiet, clone;
} vms;

/* How much each process has done; the last one is the one that clones. */
static unsigned long *done;

static void __attribute__((noreturn)) monitor(int self, uint64_t seed)
{
	char *busy[2], *quiet;

	for (int i = 0; i < 2; i++)
		busy[i] = dt_map(vms.busy[i], SIZE);
	quiet = dt_map(vms.quiet, SIZE);
	for (;;) {
		uint64_t page = dt_random(&seed) % PAGES;
		char *at = busy[dt_random(&seed) % 2] + page * dt_page;

		switch (dt_random(&seed) % 8) {
		case 0:
			dt_touch(at, false);
			break;
		case 1:
			if (!dt_is_filled(quiet + page * dt_page, 7, page))
				_exit(3);
			break;
		case 2:
			if (pwrite(vms.busy[1], quiet, 3 * dt_page,
				   page * dt_page / 2) != 3 * dt_page)
				_exit(4);
			break;
		default:
			dt_fill(at, self, page);
			break;
		}
		__atomic_fetch_add(&done[self], 1, __ATOMIC_RELAXED);
	}
}

static void __attribute__((noreturn)) mangler(uint64_t seed)
{
	for (;;) {
		uint64_t page = dt_random(&seed) % PAGES;
		int i = dt_random(&seed) % 2, failed;

		switch (dt_random(&seed) % 4) {
		case 0:
			failed = dt_clone(vms.busy[i], vms.busy[!i]);
			break;
		case 1:
			failed = dt_clone(vms.clone, vms.quiet) ||
				 pwrite(vms.clone, "x", 1, page * dt_page) != 1;
			break;
		default:
			failed = dt_punch(vms.busy[i], page * dt_page / 2,
					  5 * dt_page);
			break;
		}
		if (failed)
			_exit(5);
		__atomic_fetch_add(&done[MONITORS], 1, __ATOMIC_RELAXED);
	}
}

static pid_t start(int who, uint64_t *seed)
{
	uint64_t own = dt_random(seed) | 1;
	pid_t pid = dt_fork();

	if (!pid && who == MONITORS)
		mangler(own);
	if (!pid)
		monitor(who, own);
	return pid;
}

static bool has_done(int who, unsigned long least)
{
	return __atomic_load_n(&done[who], __ATOMIC_RELAXED) >= least;
}

static bool quiet_is_intact(void)
{
	char *at = dt_map(vms.quiet, SIZE);
	bool ok = true;

	for (int i = 0; i < PAGES; i++)
		ok &= dt_is_filled(at + i * dt_page, 7, i);
	dt_unmap(at, SIZE);
	return ok;
}

static void not_ok(const char *what)
{
	printf("not ok 1 kill: %s\n", what);
	exit(1);
}

/* Kill one process after some more work of its own, and start it again. */
static void kill_one(int who, pid_t *pid, uint64_t *seed)
{
	unsigned long least = done[who] + 1 + dt_random(seed) % 40;
	int status;

	if (!DT_UNTIL(has_done(who, least), 60))
		not_ok("a process makes no progress");
	if (kill(*pid, SIGKILL))
		dt_die("kill");
	status = dt_wait(*pid);
	if (status != 128 + SIGKILL) {
		printf("# process %d ended with status %d\n", who, status);
		not_ok(status == 3 ? "a VM that nobody wrote to has changed" :
				     "a process ended by itself");
	}
	*pid = start(who, seed);
}

int main(void)
{
	pid_t pids[MONITORS + 1];
	uint64_t seed = (uint64_t)time(NULL) | 1;
	double begin = dt_now();
	struct dt_fs fs;
	char *at;

	printf("TAP version 13\n1..1\n# seed %ju\n", (uintmax_t)seed);
	fflush(stdout);
	done = mmap(NULL, dt_page, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (done == MAP_FAILED)
		dt_die("mmap");
	dt_fs_open(&fs, "kill", NULL);
	vms.busy[0] = dt_create(&fs, "busy0", SIZE);
	vms.busy[1] = dt_create(&fs, "busy1", SIZE);
	vms.quiet = dt_create(&fs, "quiet", SIZE);
	vms.clone = dt_create(&fs, "clone", SIZE);
	at = dt_map(vms.quiet, SIZE);
	for (int i = 0; i < PAGES; i++)
		dt_fill(at + i * dt_page, 7, i);
	dt_unmap(at, SIZE);

	for (int i = 0; i <= MONITORS; i++)
		pids[i] = start(i, &seed);
	for (int n = 0; n < KILLS; n++) {
		/* One of eight kills hits whoever clones and punches. */
		int who = n % 8 == 7 ? MONITORS : n % MONITORS;

		kill_one(who, &pids[who], &seed);
		if (n % 10 == 9 && !dt_check(fs.control, vms.quiet))
			not_ok("DISCO_CHECK found something");
	}
	for (int i = 0; i <= MONITORS; i++) {
		kill(pids[i], SIGKILL);
		dt_wait(pids[i]);
	}
	if (!quiet_is_intact())
		not_ok("a VM that nobody wrote to has changed");
	if (!dt_fs_close(&fs))
		not_ok("something is left behind");
	printf("# operations:");
	for (int i = 0; i <= MONITORS; i++)
		printf(" %lu", done[i]);
	printf("\nok 1 kill: %d processes killed, %.0f s\n", KILLS,
	       dt_now() - begin);
	return 0;
}
