#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What discod does with pages that are used in different ways, and its log.
. "$(dirname "$0")/common.sh"

n=32
for vm in far near read written plain origin; do
	make_guest $vm $n
done
cp --reflink=always "$mnt/ram/origin" "$mnt/ram/clone"
sha256sum "$mnt"/ram/{far,near,read,plain,origin,clone} >"$tmp/sums"
# Used by one other node; by its own; read by two, each in its own view; read by one
# and written by another; read by two in one view; read by two machines.
run_guest far 1:r:0-$((n - 1))
run_guest near 0:r:0-$((n - 1))
run_guest read 0:rv:0-$((n - 1)) 1:rv:0-$((n - 1))
run_guest written 0:rv:0-$((n - 1)) 1:wv:0-$((n - 1))
run_guest plain 0:r:0-$((n - 1)) 1:r:0-$((n - 1))
run_guest origin 0:r:0-$((n - 1))
run_guest clone 1:r:0-$((n - 1))

start -n
until_true 60 has_said 'would migrate VM far page 0x1f to node 1: hot on this node' &&
	until_true 60 has_said 'would replicate VM read page 0x[0-9a-f]+ to node 1: hot on several nodes'
ok $? "a dry run says what it would do"
end TERM 0 "and ends"
ctl -j numa
jtest "[.vms[].nodes[] | select(.node != 0)] | map(.private + .shared + .replicas) | (add // 0) == 0" "nothing was moved"
is "$(budget far)" 0 "and no sampler is left"

start -l "$tmp/log" -i 1
until_true 60 is_on 1 far $n
ok $? "what another node uses alone goes there"
until_true 60 has_copies 1 read $n
ok $? "what two nodes read is copied"
until_true 60 has_copies 1 clone $n
ok $? "and so is what two machines read, each on its node"
is "$(on 0 read) $(on 0 clone) $(on 0 near)" "$n $n $n" "while the rest is where it was"
is "$(copies 1 written) $(copies 1 plain) $(copies 1 near)" "0 0 0" "what is written, and what one view shows to all, is not copied"

# A write costs the page its copy, and none is made again before limit_ms is over.
dd if="$mnt/ram/read" of="$tmp/page" bs="$page" count=8 status=none
dd if="$tmp/page" of="$mnt/ram/read" bs="$page" conv=notrunc status=none
has_copies 1 read $((n - 8))
ok $? "a write takes the copies"
noticed() { (($(jq -s 'map(.totals.collapsed) | add' "$tmp/log") >= 8)); }
until_true 60 noticed
ok $? "which discod notices"
lines() { (($(wc -l <"$tmp/log") >= $1)); }
until_true 60 lines $(($(wc -l <"$tmp/log") + 3))
has_copies 1 read $((n - 8))
ok $? "and makes no others so soon"
end TERM 0 "the end of discod"
sha256sum --quiet -c "$tmp/sums" >/dev/null
ok $? "the machines have what they had"

out=$(jq -s '.[-1]' "$tmp/log")
jtest '.seconds > 0 and .time > 1500000000 and ([.vms[].path] == ["clone", "far", "near", "origin", "plain", "read", "written"])' "the log has all machines"
out=$(jq -s '[.[].vms[] | select(.path == "far").migrated] | add' "$tmp/log")
jtest ". == $n" "what was moved of each"
out=$(jq -s '[.[].totals | .moved] | add' "$tmp/log")
jtest ". >= $((3 * n))" "the sum"
out=$(jq -s '[.[].vms[] | select(.path == "far" and .local != null).local] | [.[0], .[-1]]' "$tmp/log")
jtest '.[0] < .[1] and .[1] == 1' "how local it became"
out=$(jq -s '[.[].vms[] | select(.path == "clone" and .shared_local != null).shared_local] | [.[0], .[-1]]' "$tmp/log")
jtest '.[0] < .[1] and .[1] == 1' "also of what it shares with another machine"
out=$(jq -s '[.[].vms[] | select(.path == "plain").refused.EOPNOTSUPP // 0] | add' "$tmp/log")
jtest '. > 0' "why something was not done"
out=$(jq -s '[.[].totals.write_shared] | add' "$tmp/log")
jtest '. > 0' "and what was left because it is written"
ctl numa --plot "$tmp/plot.svg" --log "$tmp/log"
[[ $status == 0 && $(<"$tmp/plot.svg") == *'>far<'* ]]
ok $? "discoctl numa makes a picture of it"

end_guests
ctl check
ok $((status != 0)) "all structures agree"

done_testing
