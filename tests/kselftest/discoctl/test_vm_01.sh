#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# discoctl vm: what it says of machines is what was done to them.
. "$(dirname "$0")/common.sh"

ctl vm list
ok $((status != 0)) "an empty mount has an empty list"
ctl -j vm list
jtest '.vms == [] and .totals.virtual == 0 and .unreadable == 0' "and so in JSON"

mkdir "$mnt/ram/folder"
make_vm a 64
make_vm folder/b 16
fill a 0 10

ctl -j vm list
is "$(jq -c '[.vms[].path]' <<<"$out")" '["a","folder/b"]' "names by alphabet"
jtest ".vms[0].virtual == 64 * $page" "virtual is the size of the file"
jtest ".vms[0].private == 10 * $page" "private is what was written"
jtest '.vms[0].shared == 0' "nothing is shared"
jtest '.vms[0].machine == .vms[0].private' "machine memory is the private pages"
jtest '.vms[1].private == 0' "a machine of holes has no memory"
jtest '.vms[0].metadata > 0' "tables have a size"
jtest '.vms[0].id != .vms[1].id' "numbers differ"

rm "$mnt/ram/folder/b"
cp --reflink=always "$mnt/ram/a" "$mnt/ram/folder/b"
ctl -j vm list
jtest "[.vms[].shared] == [10 * $page, 10 * $page]" "a clone shares all pages"
jtest '[.vms[].private] == [0, 0]' "and has none of its own"
jtest ".totals.machine == 10 * $page" "in the machine they are once"
jtest '.totals.virtual == ([.vms[].virtual] | add)' "totals are sums"

fill folder/b 0 4
ctl -j vm show folder/b
jtest ".private == 4 * $page and .shared == 6 * $page" "a write makes pages private"
jtest ".machine == 7 * $page" "a shared page counts half for each of two"
jtest '.states == {hole: 54, zero: 0, private: 4, shared: 6, replicated: 0}' "states add up"
jtest '([.nodes[].pages] | add) == 10' "nodes add up"
jtest '.users == [{min: 1, max: 1, pages: 4}, {min: 2, max: 2, pages: 6}]' \
	"users add up"
is "$(stat -c %b "$mnt/ram/folder/b")" \
	"$(jq '(.private + .shared) / 512' <<<"$out")" "stat sees the same footprint"

ctl v list
fails 'ambiguous command "v"' "an ambiguous beginning is refused"
ctl vm s "$mnt/ram/a"
ok $((status != 0)) "an absolute path names a machine"
ctl vm show nobody
fails "no VM nobody in $mnt/ram" "a machine that is not there is named"
ctl vm show folder
fails "folder in $mnt/ram is a folder, not a VM" "a folder is no machine"
ctl vm show /etc/passwd
fails "\"/etc/passwd\" names no file below $mnt/ram" "nor is another file"

ctl vm list
[[ $status == 0 && $out == *TOTAL* && $out == *folder/b* && $out == *MiB* ]]
ok $? "the table names machines and units"
make_vm $'\033[31m' 1
ctl vm list
[[ $status == 0 && $out != *$'\033'* && $out == *'\x1b[31m'* ]]
ok $? "no name controls the terminal"
ctl -p vm list
jtest '.vms | length == 3' "pretty JSON is JSON"

# Without -m, the usual mount is taken.
if mountpoint -q /run/disco; then
	name=discoctl-test-$$
	truncate -s "$page" "/run/disco/ram/$name"
	[[ $(discoctl -j vm list | jq -r '.vms[].path') == *"$name"* ]]
	ok $? "the default is /run/disco"
	rm "/run/disco/ram/$name"
fi

done_testing
