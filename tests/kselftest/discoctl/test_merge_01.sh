#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# discoctl merge: equal pages are found, at the same gfn and elsewhere, and what
# it says is what became of them.
. "$(dirname "$0")/common.sh"

head -c $((32 * page)) /dev/urandom >"$tmp/kernel"
head -c $((16 * page)) /dev/urandom >"$tmp/initrd"

# put FILE VM GFN: as a monitor does that loads a file.
put()
{
	dd if="$1" of="$mnt/ram/$2" bs="$page" seek="$3" conv=notrunc status=none
}

# Three guests with the same kernel; the second has its initrd elsewhere.
for vm in a b c; do
	make_vm $vm 256
	put "$tmp/kernel" $vm 16
	fill $vm 200 8
done
put "$tmp/initrd" a 100
put "$tmp/initrd" b 120
put "$tmp/initrd" c 100
dd if=/dev/zero of="$mnt/ram/b" bs="$page" seek=60 count=10 conv=notrunc status=none
sha256sum "$mnt"/ram/* >"$tmp/sums"

# attributes VM FLAGS: as chattr, which the lab lacks, does: FS_IOC_SETFLAGS.
attributes()
{
	perl -e 'open(my $vm, "<", $ARGV[0]) or die;
		my $flags = pack("l", hex($ARGV[1]));
		ioctl($vm, 0x40086602, $flags) or die $!' "$mnt/ram/$1" "$2"
}

machine()
{
	echo $(($(</sys/class/misc/disco/counters/machine_pages) * page))
}

# unchanged WHAT: no machine sees a difference.
unchanged()
{
	sha256sum --quiet -c "$tmp/sums" >/dev/null
	ok $? "$1"
}

before=$(machine)
ctl -j merge --same-gfn-only a b c
jtest '.machines == 3 and .same_gfn.merged == 32 + 32 + 16' "what is at the same place is merged"
jtest '.same_gfn.different >= 16 and .same_gfn.zeros == 10 and .contents == null' "what differs is not, and zeros are found"
is "$(jq .totals.freed <<<"$out")" $((before - $(machine))) "what it says is freed is"
unchanged "and the machines have what they had"
ctl -j merge --all
jtest '.contents.merged == 16 and .same_gfn.merged == 0' "then what is elsewhere"
unchanged "and the machines have that still"
is "$(machine)" $(((32 + 16 + 3 * 8) * page)) "each is there once"
is "$(discoctl -j -m "$mnt" page b 120 | jq '.runs[0].users')" 3 "also the initrd"
ctl -j merge --all
jtest '.totals.merged + .totals.zeros + .totals.freed == 0' "a second time there is nothing to do"

fill b 16 4
fill b 120 4
cp "$mnt/ram/b" "$tmp/b"
ctl merge --all
[[ $status == 0 && ! $err && $out == PAGES*COMPARED*TOTAL*"3 machines in "* ]]
ok $? "a table for people, and no progress where there is no terminal"
cmp "$mnt/ram/b" "$tmp/b"
ok $? "what a machine writes it has for itself"
sha256sum "$mnt"/ram/* >"$tmp/sums"

# A terminal gets to see progress, beside the answer.
script -qec "discoctl -j -m '$mnt' merge --all >'$tmp/answer'" "$tmp/terminal" >/dev/null
grep -q 'same gfn: .*%' "$tmp/terminal" && jq -e '.machines == 3' "$tmp/answer" >/dev/null
ok $? "progress is shown on a terminal"

# A machine that is not to be merged: FS_NOCOW_FL.
attributes b 0x00800000
ok $? "a machine can be kept out"
dd if="$mnt/ram/a" of="$mnt/ram/b" bs="$page" count=256 conv=notrunc status=none
sha256sum "$mnt"/ram/* >"$tmp/sums"
ctl -j merge --all
jtest '.machines == 2 and .take_no_part == 1 and .totals.merged == 0' "then it takes no part"
ctl merge --all
[[ $status == 0 && $out == *"Left out: 1 machines that take no part, 0 that "* ]]
ok $? "which is told"
ctl merge a b
fails 'VM b takes no part in merging' "to ask for it is an error"
attributes b 0
ctl -j merge a b
jtest '.same_gfn.merged > 0' "until it may be merged again"
unchanged "and the machines have what they had, to the end"

chown nobody "$mnt/ram/c"
user_ctl merge a c
fails 'cannot open VM a' "who may not write to a machine cannot merge it"
user_ctl -j merge --all
jtest '.machines == 1 and .unwritable == 2' "and merges the others"
ctl merge a a
fails 'VM a is named twice' "a machine twice"
ctl merge nobody
fails 'no VM nobody' "a machine that is not there"
ctl check
ok $((status != 0)) "all structures agree"

done_testing
