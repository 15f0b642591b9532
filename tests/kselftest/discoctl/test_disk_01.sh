#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# discoctl disk: a life of a disk, and what it says of it is what was done.
. "$(dirname "$0")/common.sh"

backing=$tmp/backing
head -c $((64 * page)) /dev/urandom >"$backing"

ctl disk list
[[ $status == 0 && $out == DISK*TOTAL* ]]
ok $? "an empty mount has an empty list"
ctl -j disk list
jtest '.disks == [] and .totals.size == 0 and .unreadable == 0' "and so in JSON"

ctl disk add first "$backing" --max 1m
[[ $status == 0 && ! $out && ! $err ]]
ok $? "a disk is made of a file"
is "$(stat -c '%F %s %a' "$mnt/disk/first")" "regular file $((64 * page)) 400" \
	"it is a file of that size, which its owner may read"
cmp "$backing" "$mnt/disk/first"
ok $? "with those contents"
(: >>"$mnt/disk/first") 2>/dev/null
ok $(($? == 0)) "root cannot open it for writing either"
ctl -j disk show first
jtest ".name == \"first\" and .state == \"ok\" and .size == 64 * $page" "its size is known"
jtest '.max == 1048576' "and its limit"
jtest ".cached == 64 * $page and .used == 0" "what was read is cached, and no machine uses it"
jtest '.misses > 0 and .copied >= 64 and .mapped == 0 and .errors == 0' "pages were read and copied"
misses=$(jq .misses <<<"$out")
cmp "$backing" "$mnt/disk/first"
ctl -j disk show first
jtest ".misses == $misses and .hits >= 64" "the second time nothing is read"
ctl disk drop-cache first
ok $((status != 0)) "the cache can be dropped"
ctl -j disk show first
jtest '.cached == 0' "then nothing is cached"
cmp "$backing" "$mnt/disk/first"
ctl -j disk show first
jtest ".misses > $misses" "and it is read anew"

# Two machines read it as a monitor does, into mapped memory.
read_into()
{
	truncate -s $((64 * page)) "$mnt/ram/$1"
	fio --name=read --filename="$mnt/disk/first" --readonly --rw=read --bs=$((64 * page)) \
		--ioengine=psync --iomem=mmapshared:"$mnt/ram/$1" --output="$tmp/fio.log"
}
read_into a && read_into b
ok $? "machines read the disk"
cmp "$backing" "$mnt/ram/a" && cmp "$backing" "$mnt/ram/b"
ok $? "and have its contents"
ctl -j vm list
jtest ".totals.machine == 64 * $page and .totals.private == 0" "once, in the machine's memory"
ctl -j disk show first
jtest ".used == 64 * $page and .mapped >= 128" "the disk knows"
ctl disk drop-cache first
ctl -j disk show first
jtest ".cached == 64 * $page" "what machines use stays"
ctl disk remove first
fails 'disk first is in use' "and so does the disk"
rm "$mnt/ram/a" "$mnt/ram/b"
ctl -j disk show first
jtest '.used == 0' "without machines nothing is used"

exec {reader}<"$mnt/disk/first"
ctl disk remove first
fails 'disk first is in use' "an open disk stays"
exec {reader}<&-

(: >>"$backing") 2>/dev/null
ok $(($? == 0)) "the file of a disk cannot be written"
ctl -j disk add second "$backing" --mode 0444
jtest '.added == "second"' "a second disk of the same file"
is "$(stat -c %a "$mnt/disk/second")" 444 "with other permissions"
mv "$mnt/disk/second" "$mnt/disk/third"
ctl -j disk list
is "$(jq -c '[.disks[].name]' <<<"$out")" '["first","third"]' "a disk can be renamed"
jtest ".totals.size == 128 * $page" "totals are sums"
ctl disk list
[[ $status == 0 && $out == DISK*first*MiB*ok*third*TOTAL* ]]
ok $? "a table for people"

user_ctl -j disk list
jtest '(.disks | map(.name)) == ["third"] and .unreadable == 1' "a user sees what he may read"
user_ctl disk show first
fails 'cannot open disk first' "a closed disk stays closed"
user_ctl disk add mine /etc/passwd
fails "permission to write to $mnt/disk" "a user makes no disks"
user_ctl disk remove third
fails 'cannot remove disk third' "nor removes them"

ctl -j disk remove third
jtest '.removed == "third"' "a disk can be removed"
ctl disk remove third
fails "no disk third in $mnt/disk" "once"
touch -d '1 hour ago' "$backing"
ctl -j disk show first
jtest '.state == "changed"' "a file that changed underneath is noticed"
cmp "$backing" "$mnt/disk/first"
ok $? "it can still be read"
ctl disk remove first
ok $((status != 0)) "and removed"
: >>"$backing"
ok $? "then the file can be written again"

done_testing
