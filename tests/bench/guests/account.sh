# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the machine's memory is used for, in KiB, from /proc, /sys and discoctl.

# Free pages of all zones, with those that CPUs keep for themselves.
free_kib() {
	echo 1 >/proc/sys/vm/stat_refresh
	awk '$1 == "pages" && $2 == "free" { free += $3 }
	     $1 == "count:" { free += $2 }
	     END { print free * 4 }' /proc/zoneinfo
}

# processes_json MEM_KIB PID...: the monitors' memory. "guest" is that of the
# guests if it is anonymous, each page divided by those who have it, as KSM's
# have several ("guest_rss": not divided); "monitor" all other anonymous memory,
# the page tables and stacks of kernel and user.
processes_json() {
	local mem=$1 pid

	shift
	for pid; do
		cat "/proc/$pid/smaps" "/proc/$pid/status"
	done | awk -v mem="$mem" '
		function mapping() {
			if (anonymous && mergeable && size >= mem) {
				guest += pss; rss_sum += rss; huge_sum += huge
			} else
				monitor += anonymous
			size = pss = rss = anonymous = huge = mergeable = 0
		}
		$1 == "Size:" { size = $2 }
		$1 == "Rss:" { rss = $2 }
		$1 == "Pss:" { pss = $2 }
		$1 == "Anonymous:" { anonymous = $2 }
		$1 == "AnonHugePages:" { huge = $2 }
		$1 == "VmFlags:" { mergeable = / mg( |$)/; mapping() }
		$1 == "VmPTE:" { monitor += $2 }
		$1 == "Threads:" { monitor += 16 * $2 }
		END { printf "{\"guest\": %d, \"guest_rss\": %d, \"huge\": %d, \"monitor\": %d}",
			guest, rss_sum, huge_sum, monitor }'
}

# What of a file is in the page cache.
cached_kib() {
	fincore --bytes --noheadings --output RES "$@" | awk '{ sum += $1 } END { print int(sum / 1024) }'
}

# CPU time of the kernel thread NAME, in seconds.
thread_seconds() {
	local pid

	pid=$(pgrep -x "$1") || { echo 0; return; }
	awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) / hz }' "/proc/$pid/stat"
}

# KSM's numbers of pages, and the memory of its tables.
ksm_json() {
	local name

	{
		for name in pages_shared pages_sharing full_scans; do
			echo "$name $(<"/sys/kernel/mm/ksm/$name")"
		done
		echo "seconds $(thread_seconds ksmd)"
		awk '/^ksm_/ { kib += $15 * $6 * 4 } END { print "tables", kib + 0 }' /proc/slabinfo
	} | jq -Rn '[inputs | split(" ") | { (.[0]): (.[1] | tonumber) }] | add'
}

# disco_json DISK: pages of VMs, each once; what of the disk's cache is used by VMs
# and not; the module's tables; per VM, what it has and would have without sharing.
disco_json() {
	jq -n --argjson vms "$(discoctl -j vm list)" --argjson disk "$(discoctl -j disk show "$1")" \
		--argjson stat "$(discoctl -j stat)" '
		{ pages: ($stat.counters.machine_pages * 4), tables: ($stat.counters.metadata_bytes / 1024),
		  private: ($vms.totals.private / 1024),
		  disk_used: ($disk.used / 1024), disk_unused: (($disk.cached - $disk.used) / 1024),
		  guests: ($vms.vms | map({ key: .path, value: { private: (.private / 1024),
							 shared: (.shared / 1024) } }) | from_entries) }'
}
