/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs on a malta board without an operating system. For each letter that comes
 * in: does what the letter says to the instruction cache, calls a function in a
 * page of its own, and sends the letter that it returns. The function is in
 * guest memory at CODE, where another process may change it.
 *
 *	n	nothing
 *	s	SYNCI
 *	h	CACHE hit invalidate
 *	f	CACHE fill
 *	i	CACHE index invalidate
 *	t	CACHE index store tag
 *	m	SYNCI through a mapping by the TLB
 */
#define CODE	0xffffffff80200000
#define UART	0xffffffffb80003f8

	.set	noreorder
	.set	noat
	.text
	.globl	__start
__start:
	dla	$s0, UART
	dla	$s1, CODE

	/* No longer as after a reset, when the TLB is not asked. */
	mtc0	$zero, $12
	/* The entry for address 0: CODE, both pages valid, for all ASIDs. */
	dmtc0	$zero, $10
	mtc0	$zero, $5
	mtc0	$zero, $0
	dli	$t0, (CODE & 0x1fffffff) >> 6 | 7
	dmtc0	$t0, $2
	dli	$t0, ((CODE & 0x1fffffff) + 0x1000) >> 6 | 7
	dmtc0	$t0, $3
	ehb
	tlbwi
	ehb

next:
	lbu	$t0, 5($s0)
	andi	$t0, 1
	beqz	$t0, next
	 nop
	lbu	$a0, 0($s0)

	li	$t0, 's'
	beq	$a0, $t0, do_synci
	 li	$t0, 'h'
	beq	$a0, $t0, do_hit
	 li	$t0, 'f'
	beq	$a0, $t0, do_fill
	 li	$t0, 'i'
	beq	$a0, $t0, do_index
	 li	$t0, 't'
	beq	$a0, $t0, do_tag
	 li	$t0, 'm'
	beq	$a0, $t0, do_mapped
	 nop
	b	call
	 nop
do_synci:
	synci	0($s1)
	b	call
	 nop
do_hit:
	cache	0x10, 0($s1)
	b	call
	 nop
do_fill:
	cache	0x14, 0($s1)
	b	call
	 nop
do_index:
	cache	0x00, 0($s1)
	b	call
	 nop
do_tag:
	cache	0x08, 0($s1)
	b	call
	 nop
do_mapped:
	synci	0($zero)

call:
	/* Hazards end here; a jump is also what ends a translation block. */
	dla	$t0, 1f
	jr.hb	$t0
	 nop
1:	jalr	$s1
	 nop
2:	lbu	$t0, 5($s0)
	andi	$t0, 0x20
	beqz	$t0, 2b
	 nop
	b	next
	 sb	$v0, 0($s0)
