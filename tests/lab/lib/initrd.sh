# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The part of a kernel's initrd that is the same in every run: busybox, and the modules needed to
# reach the root file system. The machine's scripts are appended for each run.

readonly boot_modules=(virtio_pci virtio_blk virtio_console virtio_rng 9pnet_virtio 9p ext4 crc32c_generic)

# initrd_file KERNEL KERNEL_DIR prints its name, after building it if needed.
initrd_file()
{
	local busybox id dir

	busybox=$(type -P busybox) || die "busybox is missing on this host (package busybox-static)"
	id=$(key "$2" "@$busybox" "@$lab/lib/initrd.sh")
	dir=$(cached "initrd-$1" "$id" 100 build_initrd "$2" "$busybox")
	printf '%s/initrd.cpio\n' "$dir"
}

# build_initrd TMP FINAL KERNEL_DIR BUSYBOX
build_initrd()
{
	local root=$1/root kernel_dir=$3 busybox=$4 kver file name

	kver=$(<"$kernel_dir/kver")
	mkdir -p "$root"/{bin,dev,proc,sys,newroot,modules}
	cp "$busybox" "$root/bin/busybox"
	: >"$root/modules/list"
	# A kernel without modules has all of it built in.
	if [[ -d $kernel_dir/modules/$kver/kernel ]]; then
		modprobe -d "$kernel_dir" -S "$kver" --show-depends -a "${boot_modules[@]}" |
			sed -n 's/^insmod //p' | awk '!seen[$1]++ { print $1 }' >"$1/files"
		while read -r file; do
			name=$(basename "$file" .xz)
			if [[ $file == *.xz ]]; then
				xz -dc "$file" >"$root/modules/$name"
			else
				cp "$file" "$root/modules/$name"
			fi
			printf '%s\n' "$name" >>"$root/modules/list"
		done <"$1/files"
	fi
	(cd "$root" && find . | cpio --quiet -o -H newc) >"$1/initrd.cpio"
	rm -rf "$root"
}
