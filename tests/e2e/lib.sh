# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the demo and the tests with guests share. They run in the lab: disco.ko is
# loaded and its file system mounted on $disco.

tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
disco=${DISCO_MOUNT:-/run/disco}
ram=$disco/ram
image=$tree/build/guest
work=$(mktemp -d /tmp/disco-e2e.XXXXXX)
planned=0 count=0 failed=0

# plan COUNT: how many results there will be.
plan() {
	planned=$1
	echo "1..$planned"
}

# test_that NAME COMMAND...: passes if COMMAND succeeds.
test_that() {
	count=$((count + 1))
	if "${@:2}"; then
		echo "ok $count - $1"
	else
		echo "not ok $count - $1"
		failed=1
	fi
	echo "# at $SECONDS s"
}

# say WORD...: a line with the seconds since the start.
say() {
	printf '%4d s  %s\n' "$SECONDS" "$*"
}

# since TIME: seconds since $EPOCHREALTIME was that.
since() {
	bc <<<"scale=3; ($EPOCHREALTIME - $1) / 1"
}

# wait_for SECONDS COMMAND...: until COMMAND succeeds.
wait_for() {
	local deadline=$((SECONDS + $1))

	shift
	until "$@"; do
		((SECONDS < deadline)) || return 1
		# Three programs for each look are most of a processor here.
		sleep 1
	done
}

# Starts libvirtd with settings of our own under $work; what it says goes to
# $work/libvirtd.log. Only emulators of the guests' kind are shown to it, as it
# starts each one it finds to ask what it can do.
start_libvirt() {
	mkdir -p "$work/bin" "$ram"
	ln -sf "$(type -P qemu-system-mips64el)" "$work/bin/"
	cat >/etc/libvirt/qemu.conf <<-EOF
		# Memory of guests is made of files below this folder.
		memory_backing_dir = "$ram"
		# The default, and ours, which has tables of TLBs.
		cgroup_device_acl = [ "/dev/null", "/dev/full", "/dev/zero", "/dev/random",
			"/dev/urandom", "/dev/ptmx", "/dev/kvm", "/dev/disco" ]
		user = "root"
		group = "root"
		remember_owner = 0
		security_driver = "none"
		namespaces = []
		stdio_handler = "file"
	EOF
	PATH=$work/bin:/usr/sbin \
		libvirtd >"$work/libvirtd.log" 2>&1 &
	libvirtd=$!
	wait_for 120 virsh -q list >"$work/virsh.log" 2>&1 || {
		tail -n 5 "$work/libvirtd.log" "$work/virsh.log" >&2
		return 1
	}
}

stop_libvirt() {
	if [[ ${libvirtd:-} ]]; then
		kill "$libvirtd" 2>/dev/null || true
		wait "$libvirtd" || true
	fi
}

# The disk that all guests start from: what one of them has read, they share.
add_root_disk() {
	discoctl disk add debian "$image/root.ext4"
}

# make_disks NAME JOB: the disks of a guest that will run the script "run" of the
# folder JOB.
make_disks() {
	qemu-img create -q -f qcow2 -F raw -b "$disco/disk/debian" "$work/$1.qcow2"
	tar -cf "$work/$1.tar" -C "$2" .
}

# start_qemu NAME MIB NODES [ARGUMENT]...: a guest that has disks, on Disco's QEMU and
# without libvirt; its process is $!. It stays on the CPUs of NODES, memory is $ram/NAME.
start_qemu() {
	local name=$1 mib=$2 nodes=$3

	shift 3
	numactl --cpunodebind="$nodes" "$tree/build/qemu/bin/qemu-system-mips64el" \
		-M malta,memory-backend=ram -cpu 5KEf,l2tlb=on,l2tlb-module=off -m "${mib}M" \
		-object "memory-backend-file,id=ram,size=${mib}M,mem-path=$ram/$name,share=on" \
		-nodefaults -no-reboot -display none -serial "file:$work/$name.log" \
		-kernel "$image/vmlinux" -initrd "$image/initrd.img" \
		-drive "file=$work/$name.qcow2,format=qcow2,if=virtio" \
		-drive "file=$work/$name.tar,format=raw,if=virtio,readonly=on" \
		-append "console=ttyS0 quiet panic=-1 nowatchdog init_on_alloc=0 cryptomgr.notests disco.host=$name disco.job=vdb" \
		"$@" &
}

# define_guest NAME JOB CPU: makes the disks and the XML of a guest for libvirt; see
# Documentation/examples for the rest.
# Its threads stay on one CPU, hence on one node, and its translated code warm.
define_guest() {
	make_disks "$1" "$2"
	sed -e "s/mercury/$1/g" -e "s:/var/lib/disco/$1:$work/$1:" \
		-e "s:/var/lib/disco/:$image/:" -e "s:<vcpu>:<vcpu placement='static' cpuset='$(($3 % $(nproc)))'>:" \
		"$tree/Documentation/examples/mips64el-guest.xml" >"$work/$1.xml"
}

# add_nic GUEST MAC: a network interface, before the guest is created.
add_nic() {
	local nic="<interface type='user'><mac address='$2'/><model type='virtio'/>"

	nic+="<rom enabled='no'/><address type='pci' slot='0x15' function='0x1'/></interface>"
	sed -i "s!</devices>!$nic&!" "$work/$1.xml"
}

# The memory of a guest, as libvirt names it.
ram_file() {
	local file

	for file in "$ram"/libvirt/qemu/*-"$1"/*.ram; do
		[[ -e $file ]] && printf '%s\n' "$file"
	done
}

# console NAME: what the guest has written on its console so far.
console() {
	[[ ! -e $work/$1.log ]] || tr -d '\r' <"$work/$1.log"
}

# console_has NAME PATTERN [COUNT]: at least COUNT lines match.
console_has() {
	(($(console "$1" | grep -acE -- "$2") >= ${3:-1}))
}

# lines_on_console NAME PATTERN: how many match so far.
lines_on_console() {
	console "$1" | grep -acE -- "$2" || true
}

# Bytes of memory behind a file.
footprint() {
	echo $(($(stat -c '%b * %B' "$1")))
}

# vm_name FILE: the name by which discoctl knows the VM of this memory file.
vm_name() {
	echo "${1#"$ram/"}"
}

# vm_json FILE FIELD: a number of discoctl's about the memory file.
vm_json() {
	discoctl -j vm list | jq -e --arg path "$(vm_name "$1")" '.vms[] | select(.path == $path)'".$2"
}
