// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs on a malta board without an operating system: stores to pages, and loads from
 * them between marks, a line of the cache after the other. Then it resets the board.
 */
#define BEGIN	0xffffffff80200000
#define END	0xffffffff80210000
#define LINE	128
#define SOFTRES	0xffffffffbf000500
#define GORESET	0x42

void __start(void)
{
	for (unsigned long at = BEGIN; at < END; at += LINE)
		*(volatile int *)at = 1;
	asm volatile("lui $0, 0xd15c");
	for (unsigned long at = BEGIN; at < END; at += LINE)
		*(volatile int *)at;
	asm volatile("lui $0, 0xd15d");
	for (unsigned long at = BEGIN; at < END; at += LINE)
		*(volatile int *)at;
	*(volatile int *)SOFTRES = GORESET;
	for (;;)
		;
}
