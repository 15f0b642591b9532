#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# discoctl's command line, where no module is needed: what is wrong is named,
# in text or JSON, with exit code 2. Prints TAP.
set -uo pipefail

top=$(cd "$(dirname "$0")/../../.." && pwd)
. "$top/tests/unit/result.sh"
discoctl=${BUILD:-$top/build}/bin/discoctl

details()
{
	echo "status $status, output: $out, errors: $err"
}

run()
{
	local errors

	errors=$(mktemp)
	out=$("$discoctl" "$@" 2>"$errors")
	status=$?
	err=$(<"$errors")
	rm -f "$errors"
}

# fails TEXT ARGS...: the error names TEXT, in both forms.
fails()
{
	local text=$1
	shift

	run "$@"
	[[ $status == 2 && ! $out && $err == "discoctl: "*"$text"* ]]
	result $? "discoctl $*: $text"

	run -j "$@"
	[[ $status == 2 && ! $err ]] &&
		python3 -c 'import json, sys
answer = json.loads(sys.argv[1])
sys.exit(list(answer) != ["error"] or sys.argv[2] not in answer["error"])' \
			"$out" "$text"
	result $? "discoctl -j $*: $text"
}

works()
{
	local text=$1
	shift

	run "$@"
	[[ $status == 0 && ! $err && $out == *"$text"* ]]
	result $? "discoctl $*: works"
}

fails 'a command is missing: vm, vcpu, disk, page'
fails 'unknown command "nothing"' nothing
fails 'ambiguous command "v"' v
fails 'a vm command is missing: list, show' vm
fails 'unknown vm command "drop"' vm drop
fails 'NAME of a machine is missing' vm show
fails 'unexpected "b"' vm show a b
fails 'unexpected "a"' vm list a
fails 'a vcpu command is missing: list, show, dump' vcpu
fails 'unknown vcpu command "drop"' vcpu drop
fails 'NAME of a machine and the number of a VCPU are missing' vcpu show
fails 'number of a VCPU is missing' vcpu dump a
fails 'unexpected "1"' vcpu list a 1
fails 'unexpected "2"' vcpu show a 1 2
fails 'unexpected "3"' vcpu dump a 1 2 3
fails '"x" is not the number of a VCPU: 0 to 1023' vcpu show a x
fails '"1024" is not the number of a VCPU' vcpu dump a 1024
fails 'a disk command is missing: add, list' disk
fails 'unknown disk command "create"' disk create
fails 'NAME of the new disk is missing' disk add
fails 'PATH of a file or block device is missing' disk add a
fails 'unexpected "c"' disk add a b c
fails 'unexpected "a"' disk list a
fails 'disk show: the NAME of a disk is missing' disk show
fails 'unexpected "b"' disk show a b
fails 'disk drop-cache: the NAME of a disk is missing' disk drop
fails 'unexpected "b"' disk drop-cache a b
fails 'disk remove: the NAME of a disk is missing' disk rem
fails 'unexpected "b"' disk remove a b
fails '--max "lots" is not a size, such as 512m' disk add a b --max lots
fails '--max "" is not a size' disk add a b --max ''
fails '--mode "0844" is not a mode, such as 0444' disk add a b --mode 0844
fails '--mode "1444" is not a mode' disk add a b --mode 1444
fails '--max is only for the command disk add' disk list --max 1m
fails '--max is only for the command disk add' --max 1m
fails '--mode is only for the command disk add' vm list --mode 0444
fails '--mode needs a value' disk add a b --mode
fails 'NAME of a machine or --pfn is missing' page
fails 'unexpected "3"' page a 1 3
fails 'unexpected "a"' page --pfn 1 a
fails 'exclude each other' page --pfn 1 --all
fails '--pfn "12z" is not a frame number' page --pfn 12z
fails '--pfn is only for the command page' vm list --pfn 1
fails '--all is only for the commands page and merge' -a stat
fails 'merge: the NAMEs of machines are missing, or --all' merge
fails 'unexpected "a"' merge --all a
fails '--same-gfn-only is only for the command merge' page a --same-gfn-only
fails '/: no disco file system is mounted there' -m / merge --all
fails 'move: the NAME of a machine is missing' move
fails 'move: the NODE is missing' move a
fails '"one" is no number of a node' move a one
fails 'unexpected "4"' move a 1 2 4
fails '/: no disco file system is mounted there' -m / move a 1
fails 'replicate: the NAME of a machine is missing' replicate
fails 'replicate: the NODE is missing' rep a
fails '"all" is no number of a node, such as 1' replicate a all
fails 'collapse: the NODE is missing' collapse a
fails '"one" is no number of a node, such as 1, nor all' col a one
fails 'unexpected "4"' collapse a all 2 4
fails '/: no disco file system is mounted there' -m / collapse a all
fails 'name of a DOMAIN and a NAME for its copy are missing' clone
fails 'a NAME for the copy is missing' clone a
fails 'unexpected "c"' clone a b c
fails '"b/c" is no name for a domain' clone a b/c
fails '"" is no name for a domain' clone a ''
fails 'is no name for a domain' clone a $'b\tc'
fails '--copies "0" is not a number from 1 to 64' clone a b --copies 0
fails '--copies "65" is not a number from 1 to 64' clone --copies 65 a b
fails '--copies "-1" is not a number' clone a b --copies -1
fails '--copies "two" is not a number' clone a b --copies two
fails '--copies is only for the command clone' merge a --copies 2
fails '--copies needs a value' clone a b --copies
export LIBVIRT_DEFAULT_URI=test:///default
fails "libvirt's TEST driver cannot clone: that is only for QEMU" clone test b
LIBVIRT_DEFAULT_URI=nothing:///system
fails 'cannot reach libvirt: ' clone test b
unset LIBVIRT_DEFAULT_URI
fails '--log is missing: discoctl numa --plot FILE --log LOG' numa --plot a.svg
fails '--plot is missing' numa --log a
fails '--plot is only for the command numa' --plot a.svg move a 1
fails '--log is only for the command numa' top -b --log a
fails 'cannot open /nowhere/log: No such file' numa --plot a.svg --log /nowhere/log
fails '/: Is a directory' numa --plot a.svg --log /
fails '-d "0" is not a number of seconds from 0.1 to 86400' top -b -d 0
fails '-d "1e3" is not a number of seconds' top -b --delay 1e3
fails '-d "" is not a number of seconds' top -d ''
fails '-d "1.2.3" is not a number of seconds' top -d 1.2.3
fails '-d "100000" is not a number of seconds' top -d 100000
fails '-n "0" is not a number of refreshes, 1 or more' top -b -n 0
fails '-n "-1" is not a number of refreshes' top -n -1
fails '--sort "size" is no column, there are: name, virtual,' top --sort size
fails 'unexpected "a"' top a
fails '--batch is only for the command top' -b vm list
fails '--delay is only for the command top' -d 1 stat
fails '--count is only for the command top' stat --count 2
fails '--sort is only for the command top' numa --sort name
fails '-d needs a value' top -d
fails '/: no disco file system is mounted there' -m / top -b
fails '--nothing is no option' --nothing
fails '-x is no option' stat -x
fails '--json=1 is no option' --json=1 stat
fails '--pfn needs a value' page --pfn
fails '-m needs a value' vm list -m
fails '/nowhere: No such file or directory' -m /nowhere vm list
fails '/nowhere: No such file or directory' vm list --mount=/nowhere
fails '/: no disco file system is mounted there' -m / check
fails '/: no disco file system is mounted there' -m / vm show a
fails '/: no disco file system is mounted there' -m / vcpu list
fails '/: no disco file system is mounted there' -m / vcpu show a 0
fails '/: no disco file system is mounted there' -m / page a
fails '/: no disco file system is mounted there' -m / disk list
fails '/: no disco file system is mounted there' -m / disk show a
fails '/: no disco file system is mounted there' -m / disk remove a
fails '/: no disco file system is mounted there' -m / disk drop-cache a
fails '/: no disco file system is mounted there' -m / disk add a /etc/passwd
works 'Usage: discoctl' --help
works 'Usage: discoctl' help
works 'Usage: discoctl vm' vm h
works 'Usage: discoctl vcpu' vcpu help
works 'Usage: discoctl disk' d h
works 'Usage: discoctl merge' mer help
works 'Usage: discoctl numa' n help
works 'Usage: discoctl move' mov help
works 'Usage: discoctl replicate' rep help
works 'Usage: discoctl collapse' collapse help
works 'Usage: discoctl clone' clone help
works 'Usage: discoctl top' to help
works 'libdisco' ver
works '{"discoctl":' version -j
works '{
  "discoctl":' -p version

out=$("$discoctl" help 2>&1 >/dev/full)
status=$?
err=
[[ $status == 2 && $out == *'cannot write the answer'* ]]
result $? 'a full disk is an error'

results_end
