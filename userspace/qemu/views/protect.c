// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs on two processors of a malta board without an operating system, so nothing
 * but what is asked for touches memory or the TLBs. For each letter that comes in
 * it does something and sends a letter:
 *
 *	m	both processors take an interrupt, when they look which view is
 *		theirs; m
 *	s	a function is stored and called by turns, by processor 0; y if each
 *		call ran what had been stored before it, or else n
 *	o	the same, but processor 1 stores; y or n
 *
 * The function is called at CODE and stored at STORES, another address of the
 * same page. A TLB of QEMU so keeps an entry for the stores alone, writable from
 * the first store on. When the code is translated, at the first call after that,
 * the entry has to be found in the TLB of the processor that stores, in whatever
 * view, or the next store does not drop the code.
 */
#include <stdint.h>

#define CODE	0xffffffff80200000
#define STORES	0xffffffffa0200000
#define UART	0xffffffffb80003f8
#define ROUNDS	200
#define CAUSE_TI (1u << 30)

/* How often each processor is to take an interrupt, and has; whose turn it is. */
static volatile uint32_t wanted, taken[2], turn;

/* Both processors begin here. */
asm("	.text\n"
    "	.globl	__start\n"
    "__start:\n"
    "	mfc0	$a0, $15, 1\n"
    "	andi	$a0, 1\n"
    "	dla	$sp, stacks + 4096\n"
    "	dsll	$t0, $a0, 12\n"
    "	daddu	$sp, $t0\n"
    "	j	run\n"
    "	.comm	stacks, 8192, 16\n");

/* The timer's interrupt, never enabled in the guest, is one to QEMU all the same. */
static void take_interrupt(void)
{
	uint32_t count, cause;

	asm volatile("mfc0 %0, $9" : "=r" (count));
	asm volatile("mtc0 %0, $11; ehb" : : "r" (count + 10000));
	do {
		asm volatile("mfc0 %0, $13" : "=r" (cause));
	} while (!(cause & CAUSE_TI));
}

/* jr $31; li $2, value */
static void store_function(uint32_t value)
{
	volatile uint32_t *function = (uint32_t *)STORES;

	function[0] = 0x03e00008;
	function[1] = 0x24020000 | value;
	asm volatile("sync" : : : "memory");
}

static uint32_t call_function(void)
{
	uint32_t (*function)(void) = (uint32_t (*)(void))CODE;

	asm volatile("synci 0(%0); sync" : : "r" (function) : "memory");
	return function();
}

static char by_turns(int storing)
{
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		if (storing) {
			turn = i;
			while (turn)
				;
		} else {
			store_function(i);
		}
		if (call_function() != i)
			return 'n';
	}
	return 'y';
}

static void serve(volatile uint8_t *uart)
{
	char c;

	while (!(uart[5] & 1))
		;
	c = uart[0];
	switch (c) {
	case 'm':
		wanted++;
		take_interrupt();
		while (taken[1] != wanted)
			;
		break;
	case 's':
		c = by_turns(0);
		break;
	case 'o':
		c = by_turns(1);
		break;
	}
	while (!(uart[5] & 0x20))
		;
	uart[0] = c;
}

__attribute__((used, noreturn)) static void run(int cpu)
{
	for (;;) {
		if (cpu == 0) {
			serve((uint8_t *)UART);
			continue;
		}
		if (taken[1] != wanted) {
			take_interrupt();
			taken[1] = wanted;
		}
		if (turn) {
			store_function(turn);
			turn = 0;
		}
	}
}
