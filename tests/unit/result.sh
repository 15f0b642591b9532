# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# TAP of tests that are shell scripts.

tests=0 failed=0

# result STATUS NAME: passed if STATUS is 0; if not, details(), which the test
# defines, prints what it saw.
result()
{
	tests=$((tests + 1))
	if [[ $1 == 0 ]]; then
		echo "ok $tests - $2"
	else
		failed=1
		echo "not ok $tests - $2"
		details | sed 's/^/# /'
	fi
}

# results_end: the plan; the script ends with its status.
results_end()
{
	echo "1..$tests"
	return "$failed"
}
