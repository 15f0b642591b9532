#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# discoctl replicate and collapse, and what numa, vm and page say of copies.
. "$(dirname "$0")/common.sh"

[[ -d /sys/devices/system/node/node1 ]] || skip "this machine has one node"

make_vm a 64
make_vm b 64
fill a 0 32
discoctl -m "$mnt" move a 0 >/dev/null
cp --reflink=always "$mnt/ram/a" "$mnt/ram/b"
fill a 0 8
discoctl -m "$mnt" move a 0 >/dev/null

ctl -j replicate a 1 4-39
jtest '.node == 1 and .pages == 36 and .copied == 28 and .none == 8 and .there == 0' "a range gets copies, but not its holes"
ctl -j numa
jtest '.vms[0].nodes[1].replicas == '$((28 * page))' and .vms[0].nodes[0].masters == '$((28 * page))' and .vms[0].nodes[0].replicas == 0' "the matrix has pages and copies"
jtest '.vms[1].nodes[1].replicas == '$((24 * page)) "those that another shares are its copies, too"
ctl numa
[[ $status == 0 && $out == *$'\nMASTERS '*MiB*$'\nREPLICAS '*MiB* ]]
ok $? "and the table for people"
ctl -j vm show a
jtest '.replicas == '$((4 * page + 24 * page / 2))' and .states.replicated == 28' "a machine has its part of the copies"
ctl page a 10
[[ $out == *"1 replicated "* ]]
ok $? "a page says that it has copies"
ctl -j stat
jtest '.counters.replicas == 28 and .counters.replica_added >= 28' "the counters as well"
ctl -j replicate a 1
jtest '.copied == 4 and .there == 28' "a second time only what is left"
fill b 8 2
ctl -j numa a
jtest '.vms[0].nodes[1].replicas == '$((32 * page)) "what one machine writes takes no copy from the other"
fill a 0 4
sha256sum "$mnt"/ram/* >"$tmp/sums"
ctl -j numa a
jtest '.vms[0].nodes[1].replicas == '$((28 * page)) "a write takes the copies of its page"

ctl -j collapse a 1 0-15
jtest '.node == 1 and .dropped == 12 and .none == 4' "copies of a range are dropped"
ctl -j collapse a all
jtest '.node == null and .dropped == 16' "and the rest"
ctl -j numa
jtest '[.totals[].replicas] | add == 0' "none is left"
ctl collapse a all 0-1
[[ $status == 0 && $out == "2 pages of VM a, copies on all nodes"*"dropped "*0*"none "*2* ]]
ok $? "and a table of that"

ctl replicate a 999
fails 'there is no node 999, or it has no memory' "a node that is not there"
ctl replicate a 1 60-64
fails 'gfn 0x40 is past the end of VM a, which has 0x40 pages' "a range that is not there"
ctl collapse nobody all
fails 'no VM nobody' "a machine that is not there"
mount -o remount,replicas=$((2 * page)) "$mnt"
ok $? "a limit for copies"
ctl -j replicate a 1 16-23
jtest '.copied == 2 and .limit == 6' "is kept"
discoctl -m "$mnt" collapse a all >/dev/null
mount -o remount,size=0,replicas=100% "$mnt"

chmod 755 "$mnt/ram"
chown nobody "$mnt/ram/a"
user_ctl -j replicate a 1
jtest '.copied == 10 and .denied == 22' "who may not move what others share cannot copy it"
user_ctl -j collapse a all
jtest '.dropped == 10 and .denied == 0' "and drops what he has for himself"
discoctl -m "$mnt" replicate b 1 >/dev/null
sha256sum --quiet -c "$tmp/sums" >/dev/null
ok $? "the machines have what they had"
ctl check
ok $((status != 0)) "all structures agree"

done_testing
