# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Shared by the tests of disks, which run in the lab: TAP, disks that are removed
# in the end.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
disks=() guests=(mercury venus)
declare -A monitor

# In the end all is removed, and what cannot be removed is a failure.
disk_end() {
	local name job

	for job in $(jobs -p); do
		kill -9 "$job" 2>/dev/null || true
	done
	wait 2>/dev/null || true
	find "$ram" -type f -delete
	for name in "${disks[@]}"; do
		discoctl disk remove "$name" || failed=1
	done
	rm -rf "$work"
	if ((count != planned)); then
		echo "not ok $((count + 1)) - ended early"
		failed=1
	fi
	exit "$failed"
}
trap disk_end EXIT

die() {
	echo "# $1" >&2
	exit 1
}

# add_disk NAME PATH
add_disk() {
	discoctl disk add "$1" "$2"
	disks+=("$1")
}

# disk_count NAME FIELD: a number of discoctl's.
disk_count() {
	discoctl -j disk show "$1" | jq -e ".$2"
}

disk_has_no_errors() {
	local name

	for name; do
		[[ $(discoctl -j disk show "$name" | jq -c '[.state, .errors]') == '["ok",0]' ]] || {
			discoctl disk show "$name" | sed 's/^/# /'
			return 1
		}
	done
}

consistent() {
	discoctl check | sed 's/^/# /'
}

# The guests of a test: their monitors' processes are in $monitor.

gone() {
	! kill -0 "${monitor[$1]}" 2>/dev/null
}

has_ended() {
	gone "$1" || console_has "$1" '^@@disco .* end '
}

# all_ended SECONDS: the jobs of all guests have, without an error.
all_ended() {
	local name

	for name in "${guests[@]}"; do
		wait_for "$1" has_ended "$name" || true
		console_has "$name" '^@@disco .* end 0$' || {
			{ cat "$work/$name.err"; console "$name"; } | tail -n 20 | sed "s/^/# $name: /"
			return 1
		}
	done
}

# Guests that have ended have no memory, so nothing is used any more.
nothing_is_used() {
	local name

	for name in "${guests[@]}"; do
		wait_for 60 gone "$name" || return
		rm -f "$ram/$name"
	done
	wait_for 60 unused
}

unused() {
	(($(discoctl -j disk list | jq .totals.used) == 0))
}
