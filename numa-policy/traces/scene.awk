# SPDX-License-Identifier: GPL-2.0-only
# A scene for POV-Ray: spheres of all sizes that mirror each other, at places that
# look random; the same each time with the same awk.
#
# usage: awk -v spheres=N -f scene.awk

BEGIN {
	srand(1)
	print "camera { location <0,0,-30> look_at 0 }"
	print "light_source { <50,80,-60> rgb 1 }"
	print "light_source { <-40,20,-60> rgb 0.6 }"
	for (i = 0; i < spheres; i++)
		printf "sphere { <%.3f,%.3f,%.3f>, %.3f pigment { rgb <%.2f,%.2f,%.2f> } finish { reflection 0.3 specular 0.5 } }\n",
			rand() * 24 - 12, rand() * 18 - 9, rand() * 20, 0.1 + rand() * 0.3,
			rand(), rand(), rand()
}
