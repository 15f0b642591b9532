#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# discoctl top with a real monitor: where it runs, what it shares, what moves.
. "$(dirname "$0")/common.sh"

[[ -d /sys/devices/system/node/node1 ]] || skip "this machine has one node"
[[ $(uname -r) != *-debug ]] ||
	skip "slow on the debug kernel, of which it asks nothing that other tests do not"
command -v qemu-system-mips64el >/dev/null || skip "there is no QEMU"

# local_is FILTER PERCENT WHAT: of the last answer, give or take rounding.
local_is()
{
	is "$(jq "$1 | if . then . * 100 | round else . end" <<<"$out")" "$2" "$3"
}

ctl -j top -n 1
jtest '.vms == [] and .totals.machine == 0 and .totals.local == null' "without machines it is empty"

pages=1024
make_vm a $pages
make_vm hidden 16
ctl -j top -n 1
local_is '.vms[0].local' null "a machine that does not run is nowhere"

# All its threads are on node 1, and so is what they touch.
numactl -N 1 qemu-system-mips64el -M none -display none -S -monitor none \
	-object memory-backend-file,id=ram,mem-path="$mnt/ram/a",size=$((pages * page)),share=on,prealloc=on \
	-pidfile "$tmp/pid" -daemonize
ok $? "a monitor runs"
ctl -j top -n 1 --sort name
local_is '.vms[0].local' 100 "memory that it touched is local"
is "$(jq '.vms[0].private, .vms[0].saved' <<<"$out" | xargs)" "$((pages * page)) 0" "and is there"
ctl move a 0 0-$((pages / 4 - 1))
ctl -j top -n 1 --sort name
local_is '.vms[0].local' 75 "memory that was moved away is not"

# What one that goes on looking sees, until the clone is complete.
exec {lines}< <(exec discoctl -j -m "$mnt" top --sort name -d 0.5)
looker=$!
read -r -u "$lines" out
jtest '.vms[0].moved == null and .seconds == null' "at first nothing is known of moves"
discoctl -m "$mnt" move a 0 >/dev/null
cp --reflink=always "$mnt/ram/a" "$mnt/ram/b"
saved=$((pages * page))
moved=()
while read -r -t 60 -u "$lines" out; do
	moved+=("$(jq -c '[.vms[0].moved, .totals.moved]' <<<"$out")")
	jq -e ".totals.saved == $saved" <<<"$out" >/dev/null && break
done
is "$(jq -sc 'transpose | map(add)' <<<"${moved[*]}")" "[$((pages * 3 / 4)),$((pages * 3 / 4))]" \
	"then what moved is"
local_is '.vms[0].local' 0 "and nothing is local"
jtest '.seconds > 0 and .time > 1500000000' "with the times"
jtest ".vms[1].path == \"b\" and .totals.saved == $saved" "a clone came, and sharing saves its memory"
kill "$looker"
wait "$looker"
is $? 143 "one that goes on looking can be ended"
exec {lines}<&-

ctl top -b -n 2 -d 0.1
[[ $status == 0 && $out == discoctl\ top*$'\nMount '*' used of '*$'\nMoved 0.0 pages/s, local 0.0%'*$'\nTOTAL'* ]]
ok $? "text, for people"
chmod 700 "$mnt/ram/hidden"
chmod 600 "$mnt/ram/hidden"
user_ctl -j top -n 1
jtest '.unreadable == 1 and ([.vms[].path] == ["a", "b"]) and .vms[0].local == null' \
	"a user sees machines that he may read, but not who runs them"
out=$(TERM=vt100 script -qec "discoctl -m '$mnt' top -n 1" /dev/null </dev/null | tr -d '\r')
status=$?
[[ $status == 0 && $out == *VIRTUAL*TOTAL*'q quit'* ]]
ok $? "a screen, on a terminal"
ctl top </dev/null
fails 'is no terminal: try -b' "and not without one"

kill "$(<"$tmp/pid")"
timeout 60 tail -f --pid="$(<"$tmp/pid")" /dev/null
ctl check
ok $((status != 0)) "all structures agree"

done_testing
