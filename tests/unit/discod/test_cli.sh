#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What discod says of a bad command line, and of a bad policy. Prints TAP.
set -uo pipefail

top=$(readlink -f "$(dirname "$0")/../../..")
discod=${BUILD:-$top/build}/bin/discod
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
nr=0 failed=0

ok()
{
	nr=$((nr + 1))
	if (($1 == 0)); then
		echo "ok $nr - $2"
	else
		failed=1
		echo "not ok $nr - $2"
		printf '# status %s, output: %s, errors: %s\n' "$status" "$out" "$err"
	fi
}

run()
{
	out=$(timeout 60 "$discod" "$@" 2>"$tmp/err")
	status=$?
	err=$(<"$tmp/err")
}

# refused TEXT WHAT ARGS...: one line, which names TEXT, and the status of errors
refused()
{
	run --foreground "${@:3}"
	[[ $status == 2 && ! $out && $err == "discod: "*"$1"* && $err != *$'\n'* ]]
	ok $? "$2"
}

# policy TEXT: a file
policy()
{
	printf '%b' "$1" >"$tmp/policy"
}

policy '[disco]\n\ntrigger = many\n'
refused "$tmp/policy:3: disco.trigger: \"many\" is no number" "no number, by line and field" -c "$tmp/policy"
policy '[disco]\ntrigger = 1\nsharing = 5\n'
refused "$tmp/policy:3: disco.sharing = 5 (line 3) is above disco.trigger = 1 (line 2)" "numbers that contradict each other" -c "$tmp/policy"
policy '[disco]\nsharing = 5\n'
refused "$tmp/policy:2: disco.sharing = 5 (line 2) is above disco.trigger = 2 (the default)" "one that contradicts a default of discod" -c "$tmp/policy"
policy '[policy]\ninterval_ms = 400000\n'
refused "$tmp/policy:2: policy.interval_ms = 400000" "an interval that is longer than what is counted" -c "$tmp/policy"
policy '[policy]\nrule = best\n'
refused "policy.rule: no rule \"best\", there are: static" "a rule that there is not" -c "$tmp/policy"
refused "$tmp/none: No such file" "a policy that is not there" -c "$tmp/none"
refused "$tmp: " "a folder for a policy" -c "$tmp"
refused "--budget 101: use 0 to 100" "a budget that no CPU has" -b 101
refused "--budget 1%: use 0 to 100" "a budget that is no number" --budget 1%
refused "--budget 0.00001: less than a millionth" "a budget that is none" --budget 0.00001
refused "--log-interval 0: use 0.1 to 86400 seconds" "a log without a pause" -i 0
refused "--affinity all: there are none, node and memory" "an affinity that is none" -a all
refused "none: No such file" "a relative path that does not exist" -m none
refused "--mount needs a value" "a missing value" --mount
refused "--never is no option" "an option that there is not" --never
refused "\"more\" is no option" "a word too many" more
run --log -
[[ $status == 2 && $err == *"--log -: in the background there is no standard output"* ]]
ok $? "a log that nobody could read"
run --help
[[ $status == 0 && $out == "Usage: discod"* && ! $err ]]
ok $? "a help text"
run --version
[[ $status == 0 && $out =~ ^discod\ [0-9.]+$ && ! $err ]]
ok $? "a version"

echo "1..$nr"
exit $failed
