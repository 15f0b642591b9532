# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the machine's memory is used for, in KiB, from /proc, /sys and discoctl.

# What the kernel says that it has for what: names of /proc/meminfo. "free" is exact,
# with what CPUs keep for themselves.
memory_json() {
	echo 1 >/proc/sys/vm/stat_refresh
	awk 'FILENAME == "/proc/zoneinfo" {
		if ($1 == "pages" && $2 == "free") free += $3
		if ($1 == "count:") free += $2
		next
	     }
	     { sub(/:/, "", $1); kib[$1] = $2 }
	     END {
		printf "{\"free\": %d, \"anonymous\": %d, \"files\": %d, \"kernel\": %d}", free * 4,
			kib["AnonPages"], kib["Cached"] + kib["Buffers"] - kib["Shmem"],
			kib["KReclaimable"] + kib["KernelStack"] + kib["PageTables"] + kib["Percpu"]
	     }' /proc/zoneinfo /proc/meminfo
}

# processes_json MEM_KIB PID...: the monitors' anonymous memory, each page divided by
# those who have it, as KSM's have several. "guest" is that of the guests, if it is
# anonymous ("guest_rss": not divided); "monitor" is the rest, which KSM merges too.
processes_json() {
	local mem=$1 pid

	shift
	for pid; do
		cat "/proc/$pid/smaps" "/proc/$pid/smaps_rollup"
	done | awk -v mem="$mem" '
		function mapping() {
			if (mergeable && size >= mem && anonymous) {
				guest += pss; rss_sum += rss; huge_sum += huge
			}
			size = pss = rss = anonymous = huge = 0
		}
		$1 == "Size:" { size = $2 }
		$1 == "Rss:" { rss = $2 }
		$1 == "Pss:" { pss = $2 }
		$1 == "Anonymous:" { anonymous = $2 }
		$1 == "AnonHugePages:" { huge = $2 }
		$1 == "VmFlags:" { mergeable = / mg( |$)/; mapping() }
		$1 == "Pss_Anon:" { all += $2 }
		END { printf "{\"guest\": %d, \"guest_rss\": %d, \"huge\": %d, \"monitor\": %d}",
			guest, rss_sum, huge_sum, all - guest }'
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
