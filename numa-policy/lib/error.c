// SPDX-License-Identifier: GPL-2.0-only
/*
 * What went wrong, in words.
 */
#include <stdarg.h>
#include <stdio.h>

#include "policy.h"

/**
 * np_fail - say what went wrong
 * @error: filled
 * @err: negative errno
 * @fmt: the words
 *
 * Return: @err.
 */
int np_fail(struct np_error *error, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error->text, sizeof(error->text), fmt, ap);
	va_end(ap);
	return err;
}
