// SPDX-License-Identifier: GPL-2.0-only
/*
 * What discod says, to the terminal or to the system's log.
 */
#include <stdarg.h>
#include <syslog.h>

#include "discod.h"

static void say_va(bool foreground, const char *fmt, va_list ap)
{
	if (!foreground) {
		vsyslog(LOG_NOTICE, fmt, ap);
		return;
	}
	fputs("discod: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

/**
 * say - tell the user, or the system's log
 * @d: the daemon
 * @fmt: what
 */
void say(const struct discod *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_va(d->options.foreground, fmt, ap);
	va_end(ap);
}

/**
 * complain - something went wrong in this round
 * @d: the daemon
 * @fmt: what; said at the end of the round, if it was the first, and not said before
 */
void complain(struct discod *d, const char *fmt, ...)
{
	va_list ap;

	if (d->trouble[0])
		return;
	va_start(ap, fmt);
	vsnprintf(d->trouble, sizeof(d->trouble), fmt, ap);
	va_end(ap);
}

/**
 * fatal - say why discod ends, while there is somebody to see it
 * @fmt: why
 *
 * Return: EXIT_ERROR.
 */
int fatal(const char *fmt, ...)
	  {
	va_list ap;

	va_start(ap, fmt);
	say_va(true, fmt, ap);
	va_end(ap);
	return EXIT_ERROR;
}

/**
 * clock_ns - what time it is
 * @id: which clock
 *
 * Return: nanoseconds.
 */
uint64_t clock_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}
