# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Leaks of disco.ko, by kmemleak. Sourced by stage2; does nothing on kernels without kmemleak.
#
# The scan comes after rmmod, when nothing of the module refers to memory any more. kmemleak prints
# bare addresses of an unloaded module, so its symbols are remembered before.

kmemleak=/sys/kernel/debug/kmemleak

# Lines of address and name, in order; the last is the end of the module.
remember_symbols()
{
	local size base

	[[ -e $kmemleak ]] || return 0
	awk '$4 == "[disco]" { print $1, $3 }' /proc/kallsyms | sort >/run/lab/symbols
	read -r _ size _ _ _ base _ < <(grep '^disco ' /proc/modules)
	printf '%x end\n' "$((base + size))" >>/run/lab/symbols
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
	disco_leaks /run/lab/symbols "$kmemleak" >/run/lab/leaks
	if [[ -s /run/lab/leaks ]]; then
		head -n 200 /run/lab/leaks >/dev/console
		report "leak kmemleak: $(grep -c '^unreferenced' /run/lab/leaks) objects allocated by disco.ko"
	fi
}

# disco_leaks SYMBOLS REPORTS prints the reports whose backtrace passes through the module, with its
# functions named.
disco_leaks()
{
	awk '
	function flush() {
		if (ours)
			printf "%s", text
		text = ""
		ours = 0
	}
	# Addresses are hexadecimal of equal length, too large for numbers, and compare as strings.
	function name(address,  i) {
		for (i = count; i > 1 && start[i] > address; i--)
			;
		return symbol[i]
	}
	NR == FNR { start[++count] = $1 ""; symbol[count] = $2; next }
	/^unreferenced object/ { flush() }
	$1 ~ /^\[</ && $2 ~ /^0x/ {
		address = substr($2, 3) ""
		if (address >= start[1] && address < start[count]) {
			ours = 1
			$0 = $0 " " name(address) " [disco]"
		}
	}
	{ text = text $0 "\n" }
	END { flush() }
	' "$1" "$2"
}
