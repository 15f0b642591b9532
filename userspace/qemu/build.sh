#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# build.sh OUTPUT - QEMU with the project's patches, in directory OUTPUT.
#
# The result is cached by the hash of all that goes into it: source, patches
# without their messages, what they use of the module's headers, options, this
# script, the versions of compiler and libraries. The cache may be deleted at any
# time.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
uapi=$here/../../module/uapi/linux
cache=${DISCO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/disco}/qemu

die() { echo "qemu: $*" >&2; exit 1; }

# Lines of a file without comments and blanks
words() { sed 's/#.*//; /^[[:space:]]*$/d' "$1"; }

# What the patches use of disco.h: its structures, and the values that the compiler
# gives to its constants. So requests that QEMU does not know may come and go.
used_of_disco_h() {
	local names name

	mapfile -t names < <(grep -ohiE '\bdisco_\w+' "$here"/patches/*.patch | sort -u)
	for name in "${names[@]}"; do
		sed -n "/^struct $name {/,/^};/p" "$uapi/disco.h"
	done
	for name in "${names[@]}"; do
		! grep -q "^#define $name " "$uapi/disco.h" || echo "long long value_of_$name = $name;"
	done | gcc -S -o - -include "$uapi/disco.h" -x c -
}

[ $# -eq 1 ] || die "usage: build.sh OUTPUT"
out=$1
mapfile -t packages < <(words "$here/packages")
mapfile -t options < <(words "$here/configure-options")
# shellcheck disable=SC2016 # dpkg-query's format
versions=$(dpkg-query -W -f '${Package} ${Version} ${Status}\n' "${packages[@]}" 2>&1) ||
	die "packages are missing: apt-get install ${packages[*]}"

key=$({
	cat "$here"/{build.sh,version,source.sha256,configure-options} "$uapi/disco_l2tlb.h"
	used_of_disco_h
	for patch in "$here"/patches/*.patch; do
		sed '1,/^---$/d' "$patch"
	done
	echo "$versions"
} | sha256sum | cut -c1-24)
if [ "$(cat "$out/key" 2>/dev/null)" = "$key" ] && [ -x "$out/bin/qemu-system-mips64el" ]; then
	exit 0
fi

mkdir -p "$cache" "$out"
exec 9>"$cache/lock"
flock 9
if [ ! -e "$cache/$key/bin/qemu-system-mips64el" ]; then
	echo "qemu: building $(<"$here/version") with our patches; this takes some minutes" >&2
	"$here/fetch.sh" "$cache/source"
	work=$(mktemp -d "$cache/build.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	log=$cache/build.log
	# Not "build || die": bash then ignores errors inside.
	set +e
	(
		set -e
		dpkg-source --no-check -x "$cache"/source/*.dsc "$work/qemu"
		for patch in "$here"/patches/*.patch; do
			patch -d "$work/qemu" -p1 -F0 --no-backup-if-mismatch <"$patch"
		done
		cp "$uapi"/{disco,disco_l2tlb}.h "$work/qemu/linux-headers/linux/"
		mkdir "$work/build"
		cd "$work/build"
		../qemu/configure "${options[@]}"
		ninja -j "${DISCO_JOBS:-$(nproc)}" qemu-system-mips64el
		mkdir -p "$work/result/bin" "$work/result/include"
		strip -o "$work/result/bin/qemu-system-mips64el" qemu-system-mips64el
		cp ../qemu/include/qemu/qemu-plugin.h "$work/result/include/"
	) >"$log" 2>&1
	status=$?
	set -e
	if [ $status -ne 0 ]; then
		tail -n 30 "$log" >&2
		die "the build failed; all of it is in $log"
	fi
	mv -T "$work/result" "$cache/$key"
fi
cp -r --reflink=auto "$cache/$key/." "$out/"
echo "$key" >"$out/key"
