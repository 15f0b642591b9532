# SPDX-License-Identifier: GPL-2.0-only
# A chip in Verilog: cells of 32 bits that add, shift and choose, wired at random, and
# tables that are read and written where cells say; the same each time with the same awk.
#
# usage: awk -v cells=N -v tables=N -v bits=N -f chip.awk; a table has 2^bits words

function cell() {
	return "r" int(rand() * cells)
}

function word() {
	return "32'd" int(rand() * 2147483647)
}

BEGIN {
	srand(1)
	print "module chip(input clk, output [31:0] sum);"
	print "\tassign sum = r0;"
	for (i = 0; i < cells; i++)
		printf "\treg [31:0] r%d = %s;\n", i, word()
	for (i = 0; i < cells; i++) {
		a = cell()
		b = cell()
		c = cell()
		shift = int(rand() * 30)
		print "\talways @(posedge clk)"
		printf "\t\tif (%s[%d]) r%d <= (%s ^ {%s[%d:0], %s[31:%d]}) + %s;\n",
			c, int(rand() * 32), i, a, b, shift, b, shift + 1, c
		printf "\t\telse r%d <= %s + (%s & %s);\n", i, b, a, word()
	}
	for (i = 0; i < tables; i++) {
		printf "\treg [31:0] t%d [0:%d];\n\treg [31:0] q%d;\n", i, 2 ^ bits - 1, i
		printf "\talways @(posedge clk) begin\n\t\tq%d <= t%d[%s[%d:0]];\n",
			i, i, cell(), bits - 1
		printf "\t\tt%d[%s[%d:0]] <= %s ^ q%d;\n\tend\n", i, cell(), bits - 1, cell(), i
	}
	print "endmodule"
}
