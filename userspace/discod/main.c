// SPDX-License-Identifier: GPL-2.0-only
/*
 * discod: moves the memory of virtual machines to the NUMA nodes that use it.
 *
 * Start, signals, and the time of rounds.
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <numa.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "discod.h"

/* The runtime directory of the unit, too. */
#define LOCK_DIR "/run/discod"

/* Who else has the lock, as far as the file tells. */
static int refuse(const struct options *opts, int fd)
{
	char text[32] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) > 0)
		text[strcspn(text, "\n")] = '\0';
	return fatal("there is a discod on %s already: process %s", opts->mount,
		     text);
}

/*
 * One discod for each mount. The lock is no file of the mount, which would keep it
 * mounted, and goes with the process. The file stays: who removes it may remove the
 * next one's.
 */
static int take_lock(const struct options *opts, int *out)
{
	char path[512];
	char *pos;
	int fd;

	if (mkdir(LOCK_DIR, 0755) && errno != EEXIST)
		return fatal("%s: %s", LOCK_DIR, strerror(errno));
	if ((size_t)snprintf(path, sizeof(path), "%s/%s.lock", LOCK_DIR,
			     opts->mount + 1) >= sizeof(path))
		return fatal("the path of the mount is too long");
	for (pos = path + strlen(LOCK_DIR) + 1; *pos; pos++)
		if (*pos == '/')
			*pos = '-';
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return fatal("%s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		refuse(opts, fd);
		close(fd);
		return EXIT_ERROR;
	}
	*out = fd;
	return EXIT_OK;
}

static void write_pid(int lock)
{
	if (ftruncate(lock, 0) || dprintf(lock, "%d\n", getpid()) < 0)
		syslog(LOG_WARNING, "cannot write the number of this process");
}

/* To be found again from another folder, and by one name only. */
static const char *absolute(const char *path)
{
	char *found = path && strcmp(path, "-") != 0 ? realpath(path, NULL) :
		      NULL;

	return found ? found : path;
}

static int find_nodes(struct discod *d)
{
	if (numa_available() < 0)
		return fatal("this kernel does not know of NUMA nodes");
	d->nodes = numa_max_node() + 1;
	if (d->nodes > NP_MAX_NODES)
		return fatal("node %u: policies know of %d nodes at most",
			     d->nodes - 1, NP_MAX_NODES);
	if (numa_bitmask_weight(numa_all_nodes_ptr) < 2)
		return fatal("this machine has memory on one NUMA node only: there is nothing to move");
	return EXIT_OK;
}

static void reload(struct discod *d)
{
	struct np_config config;
	struct np_error error;
	int ret;

	sd_notify(0, "RELOADING=1");
	ret = policy_read(&d->options, &config, &error);
	if (!ret)
		ret = policy_begin(d, &config, &error);
	if (ret)
		say(d, "the policy stays as it was: %s", error.text);
	else
		say(d, "the policy was read again, its rule is %s",
		    np_rule_name(d->config.rule));
	ret = log_open(d);
	if (ret)
		say(d, "the log stays where it was: %s: %s", d->options.log,
		    strerror(-ret));
	sd_notify(0, "READY=1");
}

/* Sleeps until @ns or a signal; returns the signal or 0. */
static int wait_until(uint64_t ns, const sigset_t *signals)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	uint64_t left = ns > now ? ns - now : 0;
	const struct timespec time = {
		.tv_sec = left / NS_PER_S,
		.tv_nsec = left % NS_PER_S,
	};
	int ret = sigtimedwait(signals, NULL, &time);

	return ret > 0 ? ret : 0;
}

static void run(struct discod *d)
{
	uint64_t now, interval, next = d->begin_ns;
	sigset_t signals;
	int signal = 0;

	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	sd_notify(0, "READY=1");
	while (signal != SIGTERM && signal != SIGINT) {
		signal = wait_until(next, &signals);
		if (signal == SIGHUP) {
			reload(d);
			next = d->begin_ns;
		}
		now = clock_ns(CLOCK_MONOTONIC);
		if (signal || now < next)
			continue;
		/* Rounds that were missed are not made up for. */
		interval = d->config.value[NP_INTERVAL_MS] * 1000000;
		d->now_ns = now - (now - d->begin_ns) % interval;
		next = d->now_ns + interval;
		round_run(d);
	}
	sd_notify(0, "STOPPING=1");
	round_end(d);
}

/* All that can be wrong at the start is said before it goes to the background. */
static int begin(struct discod *d, int *lock)
{
	struct np_config config;
	struct np_error error;
	int ret;

	d->options.mount = absolute(d->options.mount);
	if (d->options.mount[0] != '/')
		return fatal("%s: %s", d->options.mount, strerror(errno));
	ret = policy_read(&d->options, &config, &error);
	if (ret)
		return fatal("%s", error.text);
	ret = find_nodes(d);
	if (!ret)
		ret = take_lock(&d->options, lock);
	if (ret)
		return ret;
	ret = log_open(d);
	if (ret)
		return fatal("%s: %s", d->options.log, strerror(-ret));
	d->options.config = absolute(d->options.config);
	d->options.log = absolute(d->options.log);
	ret = policy_begin(d, &config, &error);
	if (ret)
		return fatal("%s", error.text);
	if (!d->options.foreground && daemon(0, 0))
		return fatal("cannot go to the background: %s", strerror(errno));
	write_pid(*lock);
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	static struct discod d = {
		.options = {
			.mount = DISCO_DEFAULT_MOUNT,
			.log_ns = 10 * NS_PER_S,
			.budget = DISCO_HEAT_BUDGET,
		},
	};
	int lock, ret;

	/* Names of machines are UTF-8 in the log, whatever the user has. */
	setlocale(LC_CTYPE, "C.UTF-8");
	openlog("discod", LOG_PID, LOG_DAEMON);
	ret = options_parse(&d.options, argc, argv);
	if (ret >= 0)
		return ret;
	ret = begin(&d, &lock);
	if (ret)
		return ret;
	d.log_last_ns = d.begin_ns;
	d.log_next_ns = d.begin_ns + d.options.log_ns;
	run(&d);
	np_policy_free(d.policy);
	free(d.machine);
	return EXIT_OK;
}
