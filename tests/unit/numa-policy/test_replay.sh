#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# disco-replay as a user calls it: its numbers on a trace that was made by hand,
# and on those that were recorded, and what it says of mistakes. Prints TAP.
set -uo pipefail

top=$(cd "$(dirname "$0")/../../.." && pwd)
. "$top/tests/unit/result.sh"
replay=${BUILD:-$top/build}/bin/disco-replay
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

details()
{
	echo "status $status, output: ${out:0:2000}, errors: $err"
}

run()
{
	out=$("$replay" "$@" 2>"$work/errors")
	status=$?
	err=$(<"$work/errors")
}

# fails TEXT ARGS...: the error names TEXT, in both forms.
fails()
{
	local text=$1
	shift

	run "$@"
	[[ $status == 2 && ! $out && $err == "disco-replay: "*"$text"* ]]
	result $? "disco-replay $*: $text"

	run -j "$@"
	[[ $status == 2 && ! $err ]] &&
		jq -e --arg text "$text" 'keys == ["error"] and (.error | contains($text))' \
			<<<"$out" >/dev/null
	result $? "disco-replay -j $*: $text"
}

# answers NAME EXPRESSION: the answer that is in $out has it.
answers()
{
	jq -e "$2" <<<"$out" >/dev/null
	result $? "$1"
}

# Two nodes. Page 1 is touched by node 0 and used by node 1; page 2 is read by
# both; page 3 is read by both and written at the end.
cat >"$work/hand" <<'TRACE'
disco-heat 1
nodes 2
page-size 4096
about by hand
vm 0 a
h 0 1 0 1 0
h 0 1 1 1000 0
h 0 2 0 1000 0
h 0 2 1 1000 0
h 0 3 0 1000 0
h 0 3 1 1000 0
t 10000000 10000000
h 0 1 1 1000 0
h 0 2 0 1000 0
h 0 2 1 1000 0
h 0 3 1 1000 10
t 20000000 10000000
TRACE
run -jm "$work/hand"
answers "static: every miss is charged by where its page is" '.misses == 9011 and
	(.policies[0] | .policy == "static" and .migrated == 0 and
	.stall_ns == 3001 * 300 + 6010 * 900 and .moves_ns == 0 and
	.time_ns == 20000000 + .stall_ns and .gap_closed_percent == 0)'
answers "all local: the bound" '.all_local_ns == 20000000 + 9011 * 300'
answers "disco: moves take effect after their interval, and cost" '.policies[-1] |
	.policy == "disco" and .migrated == 1 and .replicated == 2 and .collapsed == 1 and
	.most_copies == 2 and .moves_ns == 67000 + 3 * 57000 and
	.stall_ns == (2001 + 3000) * 300 + (3000 + 1010) * 900'
answers "the gap is what is saved of what can be" '(.policies[-1].time_ns) as $t |
	.policies[0].time_ns as $s | .all_local_ns as $b |
	(.policies[-1].gap_closed_percent - 100 * ($s - $t) / ($s - $b)) | fabs < 0.01'
answers "every move is listed with its reason" '[.moves[] | select(.policy == "disco") |
	{verb, gfn, node}] == [{verb: "migrate", gfn: 1, node: 1},
	{verb: "replicate", gfn: 2, node: 1}, {verb: "replicate", gfn: 3, node: 1}] and
	all(.moves[]; .why | length > 0)'
answers "all policies are compared" \
	'[.policies[].policy] == ["static", "interleave", "autonuma", "carrefour", "disco"]'
run "$work/hand" -P disco
[[ $status == 0 && ! $err && $out == *"2 nodes, 3 pages, 0.020 s"* &&
	$out == *$'\nstatic '*$'\ndisco '*$'\nall local '* && $out != *carrefour* ]]
result $? "the table has static, the policy asked for, and the bound"
run "$work/hand" -m -P disco
[[ $status == 0 && $out == *"disco      migrate   vm 0 page 0x1 to node 1, 1000 misses: hot on"* ]]
result $? "moves are printed"

printf '[machine]\nremote_ns = 300\n' >"$work/conf"
run -j -c "$work/conf" "$work/hand"
answers "numbers of a file count" '.policies[0].time_ns == .all_local_ns'
run -j -c "$work/conf" -s machine.remote_ns=900 "$work/hand"
answers "a setting comes after the file" '.policies[0].stall_ns == 3001 * 300 + 6010 * 900'
gzip -k "$work/hand"
run -j "$work/hand"
plain=$out
run -j "$work/hand.gz"
[[ $status == 0 && ${out/hand.gz/hand} == "$plain" ]]
result $? "a compressed trace gives the same"

run --list
[[ $status == 0 && $(wc -l <<<"$out") == 5 && $out == *"disco "* ]]
result $? "policies are listed"
run --version
[[ $status == 0 && $out == "disco-replay "[0-9]* ]]
result $? "the version is printed"
"$replay" --help >/dev/full 2>/dev/null
[[ $? == 2 ]]
result $? "an answer that cannot be written is an error"

printf '[disco]\nsharing = 500\n' >"$work/contradiction"
sed 's/^h 0 3 1 1000 10/h 0 3 2 1000 10/' "$work/hand" >"$work/node"
fails "a TRACE is missing"
fails "one TRACE at a time" a b
fails "--wrong is no option" --wrong
fails "--policy needs a value" "$work/hand" --policy
fails 'no policy "best" (try: disco-replay --list)' "$work/hand" -P best
fails "policies are chosen with --policy" "$work/hand" -s policy.rule=disco
fails "/none: No such file" /none
fails "/none.conf: No such file" -c /none.conf "$work/hand"
fails 'setting "disco.triger=1": no "triger" in section disco' -s disco.triger=1 "$work/hand"
fails "contradiction:2: disco.sharing = 500 (line 2) is above disco.trigger = 112" \
	-c "$work/contradiction" "$work/hand"
fails "/node:16: node: 2 of a machine with nodes 0 to 1" "$work/node"
fails "conf:1: no heat trace" "$work/conf"

# What is committed can be replayed, and is what the documentation shows of it.
traces=("$top"/numa-policy/traces/*.heat.gz)
for trace in "${traces[@]}"; do
	name=$(basename "$trace")
	run "$trace"
	[[ $status == 0 && ! $err ]]
	result $? "$name is replayed"
	missing=$(sed -n '/^static/,$p' <<<"$out" | while IFS= read -r line; do
		grep -qF -- "$line" "$top/Documentation/numa-policy.rst" || echo "$line"
	done)
	[[ ! $missing ]]
	result $? "$name: the table in numa-policy.rst is what disco-replay prints"
done

results_end
