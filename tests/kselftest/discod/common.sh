# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Shared by the tests of discod, in addition to what tests of discoctl share: guests,
# which are processes that use pages, and a discod on the test's mount.
. "$(dirname "${BASH_SOURCE[0]}")/../discoctl/common.sh"

guest=${DISCO_TESTS:-$(dirname "${BASH_SOURCE[0]}")/../../../build/tests/kselftest}/guest
[[ -x $guest ]] || skip "$guest is missing: make -C tests/kselftest builds it"
command -v discod >/dev/null || skip "discod is not on PATH"
[[ -d /sys/devices/system/node/node1 ]] || skip "this machine has one node"

# until_true SECONDS COMMAND...: try again until it succeeds.
until_true()
{
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.1
	done
}

# make_guest NAME PAGES: a machine whose memory is on node 0.
make_guest()
{
	make_vm "$1" "$2"
	fill "$1" 0 "$2"
	discoctl -m "$mnt" move "$1" 0 >/dev/null
}

# run_guest NAME THREAD...: use a machine, as guest.c has it; its process is $!.
guests=()
run_guest()
{
	"$guest" "$mnt/ram/$1" "${@:2}" &
	guests+=($!)
	# A signal must find it, and not what it was forked from.
	until_true 60 is_guest $!
}

is_guest()
{
	[[ $(readlink "/proc/$1/exe") == "$(readlink -f "$guest")" ]]
}

end_guests()
{
	kill "${guests[@]}" 2>/dev/null
	wait "${guests[@]}" 2>/dev/null
	guests=()
}

# on NODE NAME: pages that a machine has on a node; copies NODE NAME: copies there.
on()
{
	discoctl -j -m "$mnt" numa "$2" |
		jq "[.vms[0].nodes[] | select(.node == $1) | .private + .shared] | add // 0 | . / $page"
}

copies()
{
	discoctl -j -m "$mnt" numa "$2" |
		jq "[.vms[0].nodes[] | select(.node == $1) | .replicas] | add // 0 | . / $page"
}

is_on()
{
	[[ $(on "$1" "$2") == "$3" ]]
}

has_copies()
{
	[[ $(copies "$1" "$2") == "$3" ]]
}

# start OPTIONS...: a discod with $tmp/policy; it says things in $tmp/said.
start()
{
	discod -f -m "$mnt" -c "$tmp/policy" -b 100 "$@" >"$tmp/said" 2>&1 &
	daemon=$!
}

# end SIGNAL STATUS WHAT: it ends, and how.
end()
{
	kill "-$1" "$daemon"
	wait "$daemon"
	is $? "$2" "$3"
}

has_said()
{
	grep -qsE -- "$1" "$tmp/said"
}

# budget NAME: of the sampler of a machine, in millionths of a CPU
budget()
{
	discoctl -j -m "$mnt" heat show "$1" | jq .budget_ppm
}

is_sampled()
{
	[[ $(budget "$1") == "$2" ]]
}

# Rounds of seconds are for machines that are larger and quicker.
write_policy()
{
	cat >"$tmp/policy" <<-END
		[policy]
		interval_ms = 300
		[disco]
		reset_ms = 900
	END
}
write_policy

status=0 out='' err=''

end_all()
{
	end_guests
	[[ ! ${daemon:-} ]] || kill -KILL "$daemon" 2>/dev/null
	wait
	cleanup
}
# Not by a copy of this shell that is killed before it is another program.
trap '[[ $BASHPID != "$$" ]] || end_all' EXIT
