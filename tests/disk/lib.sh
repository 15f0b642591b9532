# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Shared by the tests of disks, which run in the lab: TAP, disks that are removed
# in the end.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
disks=()

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
