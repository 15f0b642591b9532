# SPDX-License-Identifier: GPL-2.0-only
# A scene for Tachyon: spheres at places that look random, through which one can see
# far; the same each time with the same awk.
#
# usage: awk -v spheres=N -f scene.awk

BEGIN {
	srand(1)
	print "BEGIN_SCENE"
	print "RESOLUTION 64 64"
	print "CAMERA ZOOM 1.0 ASPECTRATIO 1.0 ANTIALIASING 0 RAYDEPTH 4"
	print "CENTER 0 0 -30 VIEWDIR 0 0 1 UPDIR 0 1 0 END_CAMERA"
	print "LIGHT CENTER 50 80 -60 RAD 0.1 COLOR 1 1 1"
	for (i = 0; i < spheres; i++) {
		printf "SPHERE CENTER %.3f %.3f %.3f RAD %.3f ", rand() * 24 - 12,
			rand() * 18 - 9, rand() * 20, 0.15 * (0.5 + rand())
		printf "TEXTURE AMBIENT 0.1 DIFFUSE 0.3 SPECULAR 0.6 OPACITY 1 COLOR %.2f %.2f %.2f TEXFUNC 0\n",
			rand(), rand(), rand()
	}
	print "END_SCENE"
}
