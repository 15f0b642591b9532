#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# discoctl page: from guest frames to machine frames and back.
. "$(dirname "$0")/common.sh"

make_vm empty 0
make_vm a 64
fill a 8 4
dd if="$mnt/ram/a" of=/dev/null bs="$page" count=64 status=none
cp --reflink=always "$mnt/ram/a" "$mnt/ram/b"
fill b 9 1

ctl -j page b
is "$(jq '[.runs[].pages] | add' <<<"$out")" 64 "all pages are there, once"
jtest '[.runs[] | .gfn + .pages] == [.runs[1:][].gfn, 64]' "and in order"
jtest ".page_size == $page" "the unit is told"
jtest '[.runs[] | select(.state == "private")] |
	length == 1 and (.[0] | .gfn == 9 and .pages == 1 and .users == 1)' \
	"the page that was written is private"
jtest '[.runs[] | select(.state == "shared") | .users * .pages] | add == 6' \
	"the others have two users"
jtest '[.runs[] | select(.pfn == null)] |
	all(.state == "hole" or .state == "zero")' "pages have frames"

ctl -j --all page b
jtest '.runs | length == 64' "--all is page by page"
ctl -j page b 8-0xb
jtest '[.runs[].pages] | add == 4' "a range includes its end"
ctl -j page b 9
jtest '.runs | length == 1 and .[0].gfn == 9' "a single page"
ctl page b 8-11
[[ $status == 0 && $out == GFN*FRAME$'\n'0x8* ]]
ok $? "a table for people"

# Where the pages of both are, is asked from the other side.
shared=$(discoctl -j -m "$mnt" page a 8 | jq '.runs[0].pfn')
ctl -j page --pfn "$shared"
jtest '[.users[] | [.vm, .gfn]] | sort == [["a", 8], ["b", 8]]' \
	"a shared frame has both users"
ctl page --pfn "$shared"
[[ $status == 0 && $out == *"has 2 users"* ]]
ok $? "a sentence for people"
private=$(discoctl -j -m "$mnt" page b 9 | jq '.runs[0].pfn')
ctl -j page --pfn "$private"
jtest '[.users[] | [.vm, .gfn]] == [["b", 9]]' "a private frame has one"
rm "$mnt/ram/a"
ctl -j page --pfn "$shared"
jtest '[.users[] | [.vm, .gfn]] == [["b", 8]]' "a user that is gone is gone"

ctl -j page empty
jtest '.runs == []' "no pages, no runs"
ctl page empty 0
fails 'gfn 0x0 is past the end of VM empty' "an empty machine has no page 0"
ctl page b 63-64
fails 'gfn 0x40 is past the end of VM b, which has 0x40 pages' "the end is named"
ctl page b 9-8
fails '0x9-0x8 ends before it starts' "a range goes upwards"
ctl page b 1k
fails '"1k" is not GFN or GFN-GFN' "a range is numbers"
ctl page --pfn 0xffffffffffff
fails 'no such memory' "a frame that the machine lacks"
ctl page --pfn 0
fails 'frame 0x0' "a frame that is not ours"
ctl page nobody
fails "no VM nobody" "a machine that is not there"

done_testing
