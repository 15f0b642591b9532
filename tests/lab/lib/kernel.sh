# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The kernels: Debian's own, unpacked and not installed, and the debug kernel, built.
#
# Every kernel is a directory of the cache with
#	kernel		what QEMU boots: vmlinux where possible, there is nothing to decompress then
#	modules/	what the machine sees as /lib/modules
#	kver		the kernel's release string
#	kdir		name of the directory for make -C … M=…

check_kernel()
{
	case $1 in
	release | debug | 6.12) ;;
	*) die "unknown kernel '$1': it is release, debug or 6.12" ;;
	esac
}

# kernel_dir KERNEL prints the kernel's directory, after building it if needed.
kernel_dir()
{
	local id packages

	if [[ $1 == debug ]]; then
		id=$(debug_key)
		cached kernel-debug "$id" 8000 build_debug_kernel
		return
	fi
	kernel_apt_options "$1"
	packages=$(memoized "kernel-$1" debian_kernel_packages)
	id=$(key "$packages" "@$lab/lib/kernel.sh")
	# shellcheck disable=SC2086 # one word per package
	cached "kernel-$1" "$id" 1200 unpack_debian_kernel "$1" $packages
}

kernel_apt_options()
{
	apt_options=()
	if [[ $1 == 6.12 ]]; then
		backports_options
	fi
}

# Prints package=version of the newest image and of what modules for it are built with.
debian_kernel_packages()
{
	local image headers version abi kbuild

	image=$(apt_field linux-image-amd64 Depends | grep -o 'linux-image-[^ ,]*')
	version=$(apt_field "$image" Version)
	abi=${image#linux-image-}
	headers=linux-headers-$abi
	kbuild=$(apt_field "$headers" Depends | grep -o 'linux-kbuild-[^ ,]*')
	printf '%s=%s\n' "$image" "$version" "$headers" "$version" \
		"linux-headers-${abi%-amd64}-common" "$version" "$kbuild" "$version"
}

# apt_field PACKAGE FIELD prints a field of the candidate version.
apt_field()
{
	local value

	value=$(apt-cache "${apt_options[@]}" --no-all-versions show "$1" | sed -n "s/^$2: //p")
	[[ -n $value ]] && printf '%s\n' "$value"
}

# unpack_debian_kernel TMP FINAL KERNEL PACKAGE=VERSION...
unpack_debian_kernel()
{
	local tmp=$1 final=$2 packages=("${@:4}") deb abi

	kernel_apt_options "$3"
	abi=${packages[0]#linux-image-}
	abi=${abi%%=*}
	mkdir "$tmp/debs"
	(cd "$tmp/debs" && apt-get "${apt_options[@]}" -o APT::Sandbox::User=root -q download "${packages[@]}")
	for deb in "$tmp"/debs/*.deb; do
		dpkg-deb -x "$deb" "$tmp"
	done
	# The headers find each other by absolute names.
	sed -i "s:/usr/src/:$final/usr/src/:" "$tmp/usr/src/linux-headers-$abi/Makefile"
	if [[ ! -d $tmp/lib ]]; then
		ln -s usr/lib "$tmp/lib"
	fi
	depmod -b "$tmp" "$abi"
	ln -s "lib/modules" "$tmp/modules"
	extract_vmlinux "$tmp/boot/vmlinuz-$abi" "$tmp/kernel"
	printf '%s\n' "$abi" >"$tmp/kver"
	printf '%s\n' "$final/usr/src/linux-headers-$abi" >"$tmp/kdir"
	rm -rf "${tmp:?}"/{debs,boot}
}

# extract_vmlinux BZIMAGE VMLINUX; Documentation/arch/x86/boot.rst says where the payload is.
extract_vmlinux()
{
	local sectors offset length

	sectors=$(od -An -t u1 -j $((0x1f1)) -N 1 "$1")
	offset=$(od -An -t u4 -j $((0x248)) -N 4 "$1")
	length=$(od -An -t u4 -j $((0x24c)) -N 4 "$1")
	# The last four bytes are the uncompressed size.
	dd if="$1" of="$2.payload" status=none bs=1M iflag=skip_bytes,count_bytes \
		skip="$(((sectors + 1) * 512 + offset))" count="$((length - 4))"
	case $(od -An -t x1 -N 4 "$2.payload") in
	" fd 37 7a 58") xz -dc "$2.payload" >"$2" ;;
	" 28 b5 2f fd") zstd -dcq "$2.payload" >"$2" ;;
	*) die "$1 is compressed in a way the lab does not know" ;;
	esac
	rm "$2.payload"
}
