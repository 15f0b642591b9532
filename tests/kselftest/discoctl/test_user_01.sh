#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# discoctl without privilege: what it may know, it shows; what it may not know
# is left out or refused, in words.
. "$(dirname "$0")/common.sh"

make_vm mine 16
make_vm secret 16
fill mine 0 4
fill secret 0 4
chmod 644 "$mnt/ram/mine"
chmod 600 "$mnt/ram/secret"
mkdir -m 700 "$mnt/ram/closed"

user_ctl -j stat
jtest ".mount.used == 8 * $page and (.counters | length > 0)" "stat works"

user_ctl -j vm list
is "$(jq -c '[.vms[].path]' <<<"$out")" '["mine"]' "the list has what is readable"
jtest '.unreadable == 2' "and counts what is not"
user_ctl vm list
[[ $status == 0 && $out == *"Not shown: 2"* ]]
ok $? "also for people"
user_ctl vm show secret
fails 'cannot open VM secret' "a closed machine stays closed"
[[ $err == *'Permission denied'* ]]
ok $? "and the reason is told"

user_ctl -j vm show mine
jtest '.states.private == 4' "pages are counted"
user_ctl -j page mine 0-3
jtest '.runs | all(.pfn == null)' "frames are not shown"
jtest '[.runs[].pages] | add == 4' "pages are"
user_ctl page mine
((status == 0)) && [[ $(awk 'NR > 1 { print $NF }' <<<"$out" | sort -u) == - ]]
ok $? "nor to people"

frame=$(discoctl -j -m "$mnt" page mine 0 | jq '.runs[0].pfn')
user_ctl page --pfn "$frame"
fails 'needs CAP_SYS_ADMIN' "a frame is not explained"
user_ctl check
fails "check of $mnt: needs CAP_SYS_ADMIN" "check says what it needs"
user_ctl -j check
[[ $status == 2 && $(jq -r .error <<<"$out") == *CAP_SYS_ADMIN* ]]
ok $? "in JSON, too"
user_ctl -j version
jtest '.module.api_version == 1' "version works"

done_testing
