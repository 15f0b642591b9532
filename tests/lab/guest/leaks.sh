# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Leaks of disco.ko, by kmemleak. Sourced by stage2; does nothing on kernels without kmemleak.
#
# The scan comes after rmmod, when nothing of the module refers to memory any more. kmemleak prints
# bare addresses then, so the module's symbols are remembered before.

kmemleak=/sys/kernel/debug/kmemleak

remember_symbols()
{
	[[ -e $kmemleak ]] || return 0
	awk '$4 == "[disco]" { print $1, $3 }' /proc/kallsyms | sort >/run/lab/symbols
	unloaded_at=$(uptime_centiseconds)
}

uptime_centiseconds()
{
	local up

	read -r up _ </proc/uptime
	echo "${up/./}"
}

# kmemleak wants an object to be five seconds old, and two scans to see it unchanged.
check_leaks()
{
	local wait_for

	[[ -e $kmemleak && -s /run/lab/symbols ]] || return 0
	echo scan >"$kmemleak"
	wait_for=$((unloaded_at + 550 - $(uptime_centiseconds)))
	((wait_for <= 0)) || sleep "$((wait_for / 100 + 1))"
	echo scan >"$kmemleak"
	disco_leaks <"$kmemleak" >/run/lab/leaks
	if [[ -s /run/lab/leaks ]]; then
		head -n 200 /run/lab/leaks >/dev/console
		report "leak kmemleak: $(grep -c '^unreferenced' /run/lab/leaks) objects allocated by disco.ko"
	fi
}

# The reports whose backtrace passes through the module, with its addresses named.
disco_leaks()
{
	awk '
	function flush() { if (ours) printf "%s", text; text = ""; ours = 0 }
	# Addresses have equal length, so they compare as strings.
	function name(address,  low, high, middle) {
		low = 1; high = count
		while (low < high) {
			middle = int((low + high + 1) / 2)
			if (start[middle] "" <= address "") low = middle; else high = middle - 1
		}
		return symbol[low]
	}
	FILENAME != "-" { start[++count] = $1; symbol[count] = $2; next }
	/^unreferenced object/ { flush() }
	# The address in brackets is hashed.
	match($0, /\] 0x[0-9a-f]+$/) {
		address = substr($0, RSTART + 4, RLENGTH - 4)
		if (address "" >= start[1] "" && address "" < last_address()) {
			ours = 1
			$0 = $0 " " name(address) " [disco]"
		}
	}
	{ text = text $0 "\n" }
	function last_address() { return sprintf("%s", start[count] "~") }
	END { flush() }
	' /run/lab/symbols -
}
