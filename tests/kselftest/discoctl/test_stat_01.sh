#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# discoctl stat: the counters of the module, whichever there are.
. "$(dirname "$0")/common.sh"

counters=/sys/class/misc/disco/counters

ctl -j stat
jtest '.counters | length > 0' "there are counters"
is "$(jq -r '.counters | keys[]' <<<"$out" | sort)" "$(find $counters -type f -printf '%f\n' | sort)" \
	"all of them are shown"
jtest ".mount.path == \"$mnt\" and .mount.used == 0" "the mount is empty"
before=$(jq .counters.hole_to_private <<<"$out")
vms=$(jq .counters.vms <<<"$out")

make_vm a 16
fill a 0 10
ctl -j stat
jtest ".counters.hole_to_private >= $before + 10" "ten writes, ten transitions"
jtest ".counters.vms == $vms + 1" "one machine more"
jtest ".mount.used == 10 * $page" "the mount has ten pages"

ctl stat
[[ $status == 0 && $out == Page-state*Refusals*Now*Mount* ]]
ok $? "a table for people"
ctl stat more
fails 'unexpected "more"' "a word too many is named"

mount -o remount,size=$((32 * page)) "$mnt"
ctl -j stat
jtest ".mount.limit == 32 * $page" "the limit is shown"

out=$(discoctl -m /proc -j stat)
status=$?
[[ $status == 2 && $out == *'/proc: no disco file system is mounted there'* ]]
ok $? "a mount of another kind is refused"

done_testing
