// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs on a malta board without an operating system: writes to a mebibyte of memory,
 * for there to be pages, and then reads it for ever, a line of the cache after the
 * other.
 */
#define BEGIN	0xffffffff80200000
#define END	0xffffffff80300000
#define LINE	128

void __start(void)
{
	for (unsigned long at = BEGIN; at < END; at += LINE)
		*(volatile int *)at = 1;
	for (;;)
		for (unsigned long at = BEGIN; at < END; at += LINE)
			*(volatile int *)at;
}
