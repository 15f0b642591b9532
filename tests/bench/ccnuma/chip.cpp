// SPDX-License-Identifier: GPL-2.0-only
// chip CYCLES - simulates the chip for so many cycles of its clock, and says what is in
// one of its cells then.
#include <cstdio>
#include <cstdlib>

#include "Vchip.h"

int main(int argc, char **argv)
{
	Vchip chip;

	for (long i = argc > 1 ? atol(argv[1]) : 0; i > 0; i--) {
		chip.clk = 0;
		chip.eval();
		chip.clk = 1;
		chip.eval();
	}
	printf("%08x\n", chip.sum);
}
