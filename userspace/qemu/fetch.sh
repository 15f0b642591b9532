#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# fetch.sh DIR - put the files of Debian's QEMU source package, at the version
# named in ./version and with the sums of ./source.sha256, into DIR.
#
# apt does the download, from the mirrors this host already uses for its
# bookworm packages but with their source index enabled, under a private
# configuration: nothing of the host's own apt state changes. apt checks the
# index's signature and, by it, the files; source.sha256 pins them once more.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
version=$(<"$here/version")

die() { echo "qemu: $*" >&2; exit 1; }

[ $# -eq 1 ] || die "usage: fetch.sh DIR"
mkdir -p "$1"
cd "$1"

if sha256sum --status -c "$here/source.sha256" 2>/dev/null; then
	exit 0
fi

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] ||
	die "no $keyring to check the source index with; install debian-archive-keyring"

apt=$PWD/apt.$$
trap 'rm -rf "$apt"' EXIT
mkdir -p "$apt"/{lists/partial,cache/archives/partial,parts}
# shellcheck disable=SC2016 # apt's format
apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(CODENAME) $(COMPONENT)' \
	'Created-By: Packages' |
	awk -v key="$keyring" '
		$1 == "Debian" && $3 ~ /^bookworm(-updates|-security)?$/ && $4 == "main" {
			print "deb-src [signed-by=" key "]", $2, $3, $4
		}' | sort -u >"$apt/sources.list"
[ -s "$apt/sources.list" ] ||
	die "this host's apt has no Debian bookworm mirror to take the source of qemu $version from"

opts=(
	-q
	-o "Dir::State::lists=$apt/lists"
	-o "Dir::Cache=$apt/cache"
	-o "Dir::Etc::sourcelist=$apt/sources.list"
	-o "Dir::Etc::sourceparts=$apt/parts"
	-o "Acquire::Retries=3"
)
apt-get "${opts[@]}" update ||
	die "cannot read the source index of this host's Debian mirrors"
apt-get "${opts[@]}" --only-source --download-only source "qemu=$version" ||
	die "the mirrors no longer carry qemu $version; put a version they have into" \
		"userspace/qemu/version, its sums into source.sha256, and see that the patches apply"
sha256sum --quiet -c "$here/source.sha256" ||
	die "files of qemu $version differ from source.sha256 although apt accepted them"
