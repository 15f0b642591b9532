#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# discoctl numa and move: where memory is, and what became of each page that was
# to be moved.
. "$(dirname "$0")/common.sh"

[[ -d /sys/devices/system/node/node1 ]] || skip "this machine has one node"

make_vm a 64
make_vm b 64
fill a 0 32
cp --reflink=always "$mnt/ram/a" "$mnt/ram/b"
fill a 0 8
sha256sum "$mnt"/ram/* >"$tmp/sums"

# on NODE FILTER: bytes on a node, by the matrix that was asked for last.
on()
{
	jq "[$2.nodes[] | select(.node == $1)] | map(.private + .shared) | add // 0" <<<"$out"
}

ctl move a 0
ok $((status != 0)) "all of a machine goes to a node"
ctl -j numa
is "$(on 0 '.vms[0]')" $((32 * page)) "and is there"
jtest '.vms[1].nodes[0].shared >= '$((24 * page)) "as are the pages that it shares"
jtest '.vms[0].path == "a" and .vms[0].nodes[0].private == '$((8 * page))' and .vms[0].nodes[0].shared == '$((24 * page)) "private and shared apart"
ctl -j move a 1 4-39
jtest '.pages == 36 and .moved == 28 and .hole == 8 and .there == 0 and .pinned == 0' "a range goes, but not its holes"
ctl -j numa a
is "$(on 1 '.vms[0]')" $((28 * page)) "and is there"
jtest '.totals[0].private == '$((4 * page))' and (.vms | length) == 1' "the rest is where it was"
is "$(discoctl -j -m "$mnt" page b 10 | jq '.runs[0].users, .runs[0].node' | xargs)" "2 1" "what moved is shared still"
sha256sum --quiet -c "$tmp/sums" >/dev/null
ok $? "and the machines have what they had"
ctl -j move a 1 4-39
jtest '.moved == 0 and .there == 28' "a second time there is nothing to do"
ctl numa
[[ $status == 0 && $out == VM*"NODE 0"*"NODE 1"*$'\n'a*MiB*$'\n'b*MiB*$'\n'TOTAL*MiB* ]]
ok $? "a table for people"
ctl move a 1 0
[[ $status == 0 && $out == "1 pages of VM a, to node 1"*"moved "*1* ]]
ok $? "and one of what was moved"

ctl move a 999
fails 'there is no node 999, or it has no memory' "a node that is not there"
ctl move a 1 60-64
fails 'gfn 0x40 is past the end of VM a, which has 0x40 pages' "a range that is not there"
ctl move nobody 1
fails 'no VM nobody' "a machine that is not there"

chmod 755 "$mnt/ram"
chown nobody "$mnt/ram/a"
chmod 600 "$mnt/ram/b"
user_ctl move b 1
fails 'cannot open VM b' "who may not write to a machine cannot move it"
user_ctl -j move a 0
jtest '.moved == 5 and .denied == 24 and .there == 3' "and of his own moves what he has for himself"
user_ctl -j numa
jtest '(.vms | length) == 1 and .unreadable == 1' "and sees what he may read"
sha256sum --quiet -c "$tmp/sums" >/dev/null
ok $? "and the machines have what they had, to the end"
ctl check
ok $((status != 0)) "all structures agree"

done_testing
