# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The emulator: Debian's QEMU, or one built from its source with the patches in qemu/, on which what
# itself emulates takes less time, and booting kernels are not left with breakpoints. A run takes
# the latter if it has been built.

readonly qemu_source=$lab/../../userspace/qemu
readonly qemu_patches=("$lab"/qemu/*.patch)

qemu_key()
{
	key "$(gcc -dumpfullversion)" "@$qemu_source/source.sha256" "@$qemu_source/configure-options" \
		"@$lab/lib/qemu.sh" "${qemu_patches[@]/#/@}"
}

# build_qemu TMP FINAL
build_qemu()
{
	local work=$1/work options patch

	mapfile -t options < <(sed 's/#.*//; /--target-list/d; /^[[:space:]]*$/d' "$qemu_source/configure-options")
	mkdir -p "$work/build" "$cache/qemu"
	# Disco's QEMU is of the same source, and may be on its way.
	flock "$cache/qemu/lock" "$qemu_source/fetch.sh" "$cache/qemu/source"
	dpkg-source --no-check -x "$cache"/qemu/source/*.dsc "$work/source"
	for patch in "${qemu_patches[@]}"; do
		patch -d "$work/source" -p1 -F0 --no-backup-if-mismatch <"$patch"
	done
	cd "$work/build"
	../source/configure --target-list=x86_64-softmmu "${options[@]}"
	nice -n 5 ninja -j "${DISCO_JOBS:-$(nproc)}" qemu-system-x86_64
	strip -o "$1/qemu-system-x86_64" qemu-system-x86_64
	rm -rf "$work"
}

# emulator prints the name of the program.
emulator()
{
	local own

	own=$cache/lab-qemu-$(qemu_key)/qemu-system-x86_64
	if [[ $accel == tcg* && -x $own ]]; then
		printf '%s\n' "$own"
	else
		echo qemu-system-x86_64
	fi
}
