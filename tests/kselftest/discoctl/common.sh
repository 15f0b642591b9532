# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Shared by the tests of discoctl, which run as root in the lab, after
# tools/testing/selftests/ublk/test_common.sh: TAP, a disco mount of the
# test's own at $mnt, and a folder for scraps at $tmp.
set -uo pipefail
shopt -s inherit_errexit

nr=0
failed=0

skip()
{
	printf 'ok 1 - all # SKIP %s\n1..1\n' "$*"
	exit 0
}

((EUID == 0)) || skip "needs root"
grep -qw disco /proc/filesystems || skip "disco.ko is not loaded"
command -v discoctl >/dev/null || skip "discoctl is not on PATH"
command -v jq >/dev/null || skip "jq is not installed"

tmp=$(mktemp -d)
chmod 755 "$tmp"
mnt=$tmp/mnt
mkdir "$mnt"
mount -t disco none "$mnt" || exit 1

cleanup()
{
	umount "$mnt" && rm -rf "$tmp"
}
trap cleanup EXIT

# ok STATUS WHAT: one result.
ok()
{
	nr=$((nr + 1))
	if (($1 == 0)); then
		echo "ok $nr - $2"
	else
		failed=1
		echo "not ok $nr - $2"
		printf '%s\n' "status $status" "$out" "$err" | sed 's/^/# /'
	fi
}

# is GOT EXPECTED WHAT
is()
{
	[[ $1 == "$2" ]]
	ok $? "$3"
	[[ $1 == "$2" ]] || printf 'got %s\nexpected %s\n' "$1" "$2" | sed 's/^/# /'
}

# ctl ARGS...: discoctl on the test's mount, as root.
# Fills $out, $err and $status.
ctl()
{
	out=$(discoctl -m "$mnt" "$@" 2>"$tmp/err")
	status=$?
	err=$(<"$tmp/err")
}

# user_ctl ARGS...: the same as a user without privilege.
user_ctl()
{
	out=$(setpriv --reuid=65534 --regid=65534 --clear-groups \
		discoctl -m "$mnt" "$@" 2>"$tmp/err")
	status=$?
	err=$(<"$tmp/err")
}

# jtest FILTER WHAT: the answer fulfils a condition.
jtest()
{
	((status == 0)) && jq -e "$1" <<<"$out" >/dev/null
	ok $? "$2"
}

# fails TEXT WHAT: no answer, but an error that names TEXT.
fails()
{
	[[ $status == 2 && ! $out && $err == *"$1"* ]]
	ok $? "$2"
}

# make_vm NAME PAGES: a VM all of holes.
make_vm()
{
	truncate -s $(($2 * page)) "$mnt/ram/$1"
}

# fill VM FIRST PAGES: write to pages.
fill()
{
	dd if=/dev/urandom of="$mnt/ram/$1" bs="$page" seek="$2" count="$3" \
		conv=notrunc status=none
}

done_testing()
{
	echo "1..$nr"
	exit $failed
}

page=$(getconf PAGESIZE)
