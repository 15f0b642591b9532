#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What is made of the measurements of bench-ccnuma: table, results and picture. Prints TAP.
set -uo pipefail

top=$(cd "$(dirname "$0")/../../.." && pwd)
. "$top/tests/unit/result.sh"
report=$top/tests/bench/ccnuma/report
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

details()
{
	echo "$out"
}

# line RULE LOCAL STALL MOVES: 1000 misses on two nodes, and 1000 ns of computing
line()
{
	jq -nc --arg rule "$1" --argjson local "$2" --argjson stall_ns "$3" --argjson moves_ns "$4" \
		'{ $rule, nodes: 2, pages: 10, length_ns: 1, busy_ns: 1000, misses: 1000, $local, $stall_ns,
		   migrated: 1, replicated: 2, dropped: 1, $moves_ns, time_ns: (1000 + $stall_ns + $moves_ns),
		   uma_ns: 4000, most_copies: 2, over_replicas: 0, over_limit: 0, write_shared: 0, refused: 0,
		   lab_ns: 3000 }'
}

# Of the gap of 4000 ns moving closes 2400, as moves cost 600.
{
	line static 333 7000 0
	line interleave 300 7200 0
	line disco 833 4000 600
} >"$work/raytrace.data"
out=$("$report" "$work/raytrace.data" 2>&1)
[[ $? == 0 && $out == *"Disco  "*" 70 "*" 83.3% "*" 60% "* && $out == *"UMA bound  "*" 50 "*" 100% "*" 100% "* ]]
result $? "times, local misses and the gap are in the table"
out=$(jq -c '[.ratio, .target]' "$work"/ccnuma-raytrace-{gap,local,time}.json 2>&1)
[[ $out == $'[0.6,0.75]\n[0.833,0.8]\n[0.7,null]' ]]
result $? "and in the results, with the targets"
out=$("$top/tests/bench/table" "$work"/ccnuma-*.json 2>&1)
[[ $out == *"targets: 1 met, 1 missed; 1 only reported"* ]]
result $? "which are a table"
out=$(python3 -c "import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])" "$work/ccnuma-raytrace.svg" 2>&1)
result $? "the picture is well-formed"
out=$("$report" "$work/other.data" 2>&1)
[[ $? == 2 && $out == usage:* ]]
result $? "what is no workload is refused"

results_end
