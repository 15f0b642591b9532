# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The debug kernel, built from Debian's linux-source. A file of its own, because every change to it
# means a new build; lib/kernel.sh says what a kernel's directory holds.

debug_key()
{
	local version

	version=$(dpkg-query -f '${Version}' -W linux-source-6.1 2>/dev/null) ||
		die "the debug kernel needs the package linux-source-6.1"
	key "$version" "$(gcc -dumpfullversion)" "@$lab/debug.config" "@$lab/lib/debug-kernel.sh"
}

# build_debug_kernel TMP FINAL; built in its source tree, so that the result can be renamed.
build_debug_kernel()
{
	local tmp=$1 final=$2 src=$1/src abi

	mkdir "$src"
	tar -xf /usr/src/linux-source-6.1.tar.xz -C "$src" --strip-components=1
	make -C "$src" x86_64_defconfig
	(cd "$src" && scripts/kconfig/merge_config.sh -m .config "$lab/debug.config")
	make -C "$src" olddefconfig
	nice -n 5 make -C "$src" -j"$(nproc)" bzImage modules
	make -C "$src" INSTALL_MOD_PATH="$tmp" modules_install
	abi=$(make -s -C "$src" kernelrelease)
	rm -f "$tmp/lib/modules/$abi"/{build,source}
	ln -s lib/modules "$tmp/modules"
	# Not vmlinux: the code behind the PVH entry runs before there is a KASAN shadow, and dies.
	cp "$src/arch/x86/boot/bzImage" "$tmp/kernel"
	printf '%s\n' "$abi" >"$tmp/kver"
	printf '%s\n' "$final/src" >"$tmp/kdir"
	# Modules are built with the headers and scripts; the objects are most of the size.
	find "$src" \( -path "$src/scripts" -o -path "$src/tools" \) -prune -o \
		\( -name '*.[oa]' -o -name '.*.cmd' \) -type f -exec rm {} +
	rm -rf "$src"/{Documentation,drivers,fs,net,samples,sound,vmlinux}
	find "$src/arch" -mindepth 1 -maxdepth 1 -type d ! -name x86 -exec rm -rf {} +
}
