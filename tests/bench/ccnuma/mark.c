// SPDX-License-Identifier: GPL-2.0-only
/*
 * mark begin|end - tells the model of caches (numa-policy/plugin, marks=on) what counts,
 * by an instruction that does nothing.
 */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "begin"))
		asm volatile("lui $0, 0xd15c");
	else if (argc == 2 && !strcmp(argv[1], "end"))
		asm volatile("lui $0, 0xd15d");
	else
		return fputs("usage: mark begin|end\n", stderr), 2;
	return 0;
}
