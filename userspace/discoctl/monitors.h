/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MONITORS_H
#define MONITORS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct monitor - a process that has a machine's memory mapped, for writing
 * @pid: its number
 * @ino: the machine's file
 * @views: it has mapped more than the home view
 */
struct monitor {
	pid_t pid;
	ino_t ino;
	bool views;
};

/**
 * struct monitor_thread - a thread of a process
 * @id: its number
 * @name: its name, as in proc(5)'s stat
 * @start: when it started, in ticks since boot; numbers are used again
 * @ticks: processor time that it has had
 * @cpu: where it ran last
 */
struct monitor_thread {
	pid_t id;
	char name[64];
	uint64_t start;
	uint64_t ticks;
	unsigned int cpu;
};

int monitors_each(const char *proc, dev_t dev,
		  int (*found)(const struct monitor *monitor, void *data),
		  void *data);
int monitor_threads(const char *proc, pid_t pid,
		    int (*found)(const struct monitor_thread *thread, void *data),
		    void *data);

#endif /* MONITORS_H */
