#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The cache model in QEMU: what it counts of a program can be replayed, and its
# options are checked. Needs the header of `make qemu`, and qemu-user. Prints TAP.
set -uo pipefail

top=$(cd "$(dirname "$0")/../../.." && pwd)
. "$top/tests/unit/result.sh"
build=${BUILD:-$top/build}
plugin=$build/lib/disco-ccnuma.so
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

skip_all()
{
	echo "ok 1 - a program is recorded # SKIP $1"
	echo "1..1"
	exit 0
}

details()
{
	echo "$out"
}

# run OPTIONS: /bin/true under the plugin
run()
{
	out=$(qemu-x86_64 -plugin "$plugin,$1" /bin/true 2>&1)
}

[[ -e $build/qemu/include/qemu-plugin.h ]] || skip_all "no header of QEMU: run make qemu"
command -v qemu-x86_64 >/dev/null || skip_all "no qemu-x86_64: install qemu-user"
out=$(make -s -C "$top/numa-policy/plugin" 2>&1)
result $? "the plugin is built"

run "out=$work/a.heat.gz,cpus=2"
read -r _ insns _ misses _ _ pages _ <<<"$out"
[[ $out == *" computing "*"; with all misses local "* ]] && ((insns > 10000 && misses > 100))
result $? "a program is recorded"
[[ $("$build/bin/disco-replay" -j "$work/a.heat.gz" |
	jq '"\(.misses) \(.pages) \(.nodes) \(.policies[0].local_percent)"') == "\"$misses $pages 2 100\"" ]]
result $? "the trace has what was counted, all of it local to the only thread"
first=$misses
run "cache=4096,ways=1,line=32"
read -r _ _ _ misses _ <<<"$out"
((misses > 5 * first))
result $? "a small cache misses more"

refuses()
{
	run "$1"
	[[ $? != 0 && $out == *"ccnuma: $2"* ]]
	result $? "$1 is refused"
}

refuses wrong=1 'no option "wrong=1"; there are: out,'
refuses line=100 "cache=1048576,ways=2,line=100: line and cache / ways / line"
refuses cpus=65 "cpus=65: a number from 1 to 64"
refuses ways=x "ways=x: a number from 1 to 64"
refuses nodes=9 "nodes=9: at most cpus=8"
refuses local-ns=1000 "local-ns=1000 is above remote-ns=900"
refuses disco=1 "disco=1: on or off"
refuses marks=1 "marks=1: on or off"
refuses marks=on "marks=on: a x86_64 has no lui"
refuses policy=best "policy=best: no such rule"
refuses policy=disco "policy=disco: only with disco=on"
refuses disco=on "disco=on: a program has no memory of a VM"
refuses out=/none/a "/none/a: No such file"
out=$(timeout 60 qemu-system-mips64el -M malta -nodefaults -display none \
	-plugin "$plugin" 2>&1)
[[ $? != 0 && $out == *"ccnuma: ram=FILE is needed"* ]]
result $? "a machine without a file of its memory is refused"
out=$(timeout 60 qemu-system-mips64el -M malta -nodefaults -display none \
	-plugin "$plugin,disco=on,ram=$work/ram/a" 2>&1)
[[ $? != 0 && $out == *"ccnuma: ram=$work/ram/a,disco=on: a file in ram/ of a disco file system is needed"* ]]
result $? "disco=on with memory that is not the module's is refused"

if command -v mips64el-linux-gnuabi64-gcc >/dev/null; then
	mips64el-linux-gnuabi64-gcc -Os -ffreestanding -nostdlib -static -mno-abicalls -fno-pic \
		-msym32 -march=mips64r2 -G0 -Wl,--build-id=none \
		-Wl,-Ttext-segment=0xffffffff80100000 -o "$work/marks" "${0%/*}/marks.c"
	out=$(timeout 60 qemu-system-mips64el -M malta,memory-backend=ram -m 32M -nodefaults \
		-no-reboot -display none -kernel "$work/marks" \
		-object "memory-backend-file,id=ram,size=32M,mem-path=$work/ram,share=on" \
		-plugin "$plugin,ram=$work/ram,cpus=1,cache=4096,marks=on,out=$work/m.heat.gz" 2>&1)
	read -r _ insns _ misses _ _ pages _ <<<"$out"
	# 512 lines of 16 pages, and what it takes to run that.
	((misses >= 512 && misses < 600 && insns >= 1024 && insns < 4096))
	result $? "of a machine only what it does between marks is counted"
	[[ $(gunzip -c "$work/m.heat.gz" | sed -n '/^t 1 0$/q; /^h/p' | grep -c ' 0 1 0$') -ge 17 ]]
	result $? "and who touched a page before"
fi

results_end
