# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Joins the TAP of several programs to one stream: numbers all results, puts the
# program's name before each, and counts.

tap_begin()
{
	tap_number=0 tap_passed=0 tap_failed=0 tap_skipped=0
	echo "TAP version 13"
}

# tap_result RESULT NAME [REASON]: ok, "not ok" or skip
tap_result()
{
	tap_number=$((tap_number + 1))
	case $1 in
	ok) tap_passed=$((tap_passed + 1)) ;;
	skip) tap_skipped=$((tap_skipped + 1)) ;;
	*) tap_failed=$((tap_failed + 1)) ;;
	esac
	if [[ $1 == skip ]]; then
		echo "ok $tap_number $2 # SKIP ${3:-no reason given}"
	else
		echo "$1 $tap_number $2"
	fi
}

# tap_program NAME SECONDS COMMAND...: run a program that prints TAP
tap_program()
{
	local name=$1 limit=$2 line running='' planned=0 seen=0 status=-1 begin=$SECONDS
	local result='^(ok|not ok) [0-9]+ *-? *(.*)$' skip='^(.*)# SKIP *(.*)$'
	local failed=$tap_failed outcome test

	shift 2
	while IFS= read -r line; do
		if [[ $line =~ ^1\.\.([0-9]+) ]]; then
			planned=${BASH_REMATCH[1]}
		elif [[ $line =~ ^tap-status\ ([0-9]+)$ ]]; then
			status=${BASH_REMATCH[1]}
		elif [[ $line =~ $result ]]; then
			seen=$((seen + 1))
			outcome=${BASH_REMATCH[1]} test=${BASH_REMATCH[2]}
			if [[ $test =~ $skip ]]; then
				tap_result skip "$name: ${running:-$seen}" "${BASH_REMATCH[2]}"
			else
				tap_result "$outcome" "$name: $test"
			fi
		elif [[ $line =~ ^#\ +RUN\ +(.*)\ \.\.\.$ ]]; then
			# The harness leaves the name out of a skipped result.
			running=${BASH_REMATCH[1]}
		elif [[ $line != "TAP version"* && $line != "#  "*" OK  "* ]]; then
			echo "# $name: ${line#\# }"
		fi
	done < <(
		timeout -k 10 "$limit" "$@" 2>&1 </dev/null && echo "tap-status 0" || echo "tap-status $?"
	)
	if ((status == 124 || status == 137)); then
		tap_result "not ok" "$name: not finished after $limit seconds"
	elif ((seen != planned || (status != 0 && tap_failed == failed))); then
		tap_result "not ok" "$name: status $status after $seen of $planned tests"
	fi
	echo "# $name: $((SECONDS - begin)) seconds"
}

# tap_end NAME: the plan and the summary; fails if a test did
tap_end()
{
	echo "1..$tap_number"
	echo "# $1: $tap_passed passed, $tap_failed failed, $tap_skipped skipped"
	((tap_failed == 0))
}
