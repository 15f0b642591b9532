#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# discoctl check, and discoctl version: the module is in order and known.
. "$(dirname "$0")/common.sh"

ctl check
[[ $status == 0 && $out == "Consistent: 0 VMs and 0 pages walked" ]]
ok $? "an empty mount is consistent"

make_vm a 64
fill a 0 20
cp --reflink=always "$mnt/ram/a" "$mnt/ram/b"
fill b 5 2
ctl -j check
jtest '.consistent and .violation == null' "a clone leaves all consistent"
jtest '.vms == 2 and .pages == 40 and .totals_checked' "and all was walked"

# Also while pages come and go.
(while :; do
	fill b 0 20
	fallocate -p -o 0 -l $((20 * page)) "$mnt/ram/b"
done) &
writer=$!
bad=0
for ((i = 0; i < 20; i++)); do
	ctl -j check
	((status == 0)) || bad=1
	ctl -j vm show b
	((status == 0)) || bad=1
done
kill $writer
wait $writer 2>/dev/null
ok $bad "consistent under load, 20 times"

ctl check all
fails 'unexpected "all"' "a word too many is named"

ctl -j version
jtest '.module.api_version == 1' "the module tells its version"
jtest ".module.page_size == $page" "and the size of pages"
jtest '.module.features | index("clone") and index("views")' "and what it can"

done_testing
