# SPDX-License-Identifier: GPL-2.0-only
# A genome that looks random and is the same each time, and pieces of it with an
# error each, for bwa.
#
# usage: awk -v bases=N -v reads=N -v out=DIR -f genome.awk

function random(below) {
	seed = (seed * 16807) % 2147483647
	return seed % below
}

BEGIN {
	seed = 1997
	lines = bases / 100
	quality = "IIIIIIIIII"
	quality = quality quality quality quality quality
	quality = quality quality
	print ">genome" >(out "/genome")
	for (i = 0; i < lines; i++) {
		text = ""
		for (k = 0; k < 100; k++)
			text = text substr("ACGT", random(4) + 1, 1)
		line[i] = text
		print text >(out "/genome")
	}
	for (i = 0; i < reads; i++) {
		at = random(lines - 1)
		from = random(100)
		text = substr(line[at] line[at + 1], from + 1, 100)
		error = random(99) + 1
		text = substr(text, 1, error) "A" substr(text, error + 2)
		printf "@r%d\n%s\n+\n%s\n", i, text, quality >(out "/reads")
	}
}
