# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The root file system's image: Debian packages, no scripts of ours.

readonly rootfs_mib=8192	# size of the (sparse) image; what is free is scratch space for runs

rootfs_packages()
{
	sed 's/#.*//' "$lab/rootfs.packages" | xargs
}

rootfs_versions()
{
	local packages

	packages=$(rootfs_packages)
	# shellcheck disable=SC2086 # one word per package
	apt-cache policy $packages | sed -n '/^[^ ]/p; /Candidate:/p'
}

# rootfs_image prints the image's name, after building it if needed.
rootfs_image()
{
	local versions dir

	versions=$(memoized rootfs rootfs_versions)
	dir=$(cached rootfs "$(key "$versions" "@$lab/rootfs.packages" "@$lab/lib/rootfs.sh")" 2000 build_rootfs)
	printf '%s/image\n' "$dir"
}

# build_rootfs TMP FINAL
build_rootfs()
{
	local tmp=$1 root=$1/root packages suite suites=()

	packages=$(rootfs_packages)
	for suite in bookworm bookworm-updates bookworm-security; do
		suites+=("deb $("$lab/../../scripts/debian-mirror" "$suite") $suite main")
	done
	mmdebstrap --mode=root --variant=essential --include="${packages// /,}" \
		--aptopt='APT::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		bookworm "$root" "${suites[@]}"
	mkdir -p "$root"/{disco,mnt/share,run/disco}
	# Nothing may wait for a name server or a terminal that is not there.
	printf '127.0.0.1 localhost lab\n' >"$root/etc/hosts"
	: >"$root/etc/resolv.conf"
	printf 'lab\n' >"$root/etc/hostname"
	passwd --root "$root" --delete root
	mke2fs -q -t ext4 -b 4096 -m 0 -O ^has_journal -E lazy_itable_init=1 \
		-d "$root" "$tmp/image" "${rootfs_mib}M"
	rm -rf "$root"
}
