# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# One run: the machine, its streams, and the verdict on its console.
#
# The kernel's console is a file of its own. The command's streams are virtio-serial ports, in the order
# of "ports" below; the guest's init reports over the port "control", one line each:
#	exit STATUS	the command ended
#	fail REASON	something is wrong with the machine or the set-up: the lab failed
#	leak REASON	the module cannot be unloaded or has leaked
#	done		clean-up is complete; without it the machine died

readonly complaints='WARNING:|BUG:|BUG at |KASAN|Oops|[Gg]eneral protection fault|[Dd]ouble fault|Kernel panic'\
'|possible (recursive|circular|irq lock|deadlock)|suspicious RCU usage|inconsistent lock state|bad unlock balance'\
'|held lock freed|INFO: rcu|rcu: INFO|rcu_.* detected|blocked for more than|hard LOCKUP|unreferenced object'\
'|kmemleak: [1-9][0-9]* new|UBSAN|ODEBUG|refcount_t:|list_(add|del) corruption|Bad (page|rss-counter|swap)'\
'|page dumped because|pagealloc: (memory corruption|single bit)|scheduling while atomic|sleeping function called'\
'|unable to handle|stack-protector|Slab corruption|Object already free'

# make_run_dir sets $run: streams, the run's part of the initrd and what the machine writes to disks.
make_run_dir()
{
	run=$(mktemp -d "${TMPDIR:-/var/tmp}/disco-lab.XXXXXX")
	trap 'stop_machine; rm -rf "$run"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

stop_machine()
{
	if [[ -n ${qemu_pid:-} ]]; then
		kill "$qemu_pid" 2>/dev/null || true
		wait "$qemu_pid" 2>/dev/null || true
	fi
}

# make_run_initrd INITRD COMMAND...; the scripts go in by copy, so that editing the tree during a
# run changes nothing.
make_run_initrd()
{
	local common=$1 stage=$run/initrd

	shift
	mkdir -p "$stage/lab"
	cp "$lab/guest/stage1" "$stage/init"
	cp "$lab/guest/stage2" "$stage/lab/init"
	cp "$lab/guest/leaks.sh" "$stage/lab/"
	{
		printf 'kernel=%q\n' "$kernel"
		printf 'mode=%q\n' "$mode"
		printf 'bare=%q\n' "$bare"
		printf 'time_limit=%q\n' "$time_limit"
		printf 'share=%q\n' "${share:+yes}"
		printf 'export TERM=%q\n' "${TERM:-dumb}"
		printf 'columns=%q rows=%q\n' "$(tput cols 2>/dev/null || echo 80)" \
			"$(tput lines 2>/dev/null || echo 24)"
	} >"$stage/lab/settings"
	printf '%s\0' "$@" >"$stage/lab/command"
	{
		cat "$common"
		(cd "$stage" && find . | cpio --quiet -o -H newc)
	} >"$run/initrd.cpio"
}

# machine_options sets $qemu to QEMU's command line. A socket per node, or the scheduler warns
# about the topology; when the CPUs cannot be split evenly each gets a socket.
machine_options()
{
	local dir=$1 image=$2 sockets=$nodes node share_mib cpu disk format

	if ((cpus % nodes)); then
		sockets=$cpus
	fi
	# shellcheck disable=SC2054 # QEMU's options have commas
	qemu=(
		"$(emulator)" -L /usr/share/seabios -L /usr/share/qemu -nodefaults -no-user-config -no-reboot -display none
		-machine q35 -accel "$accel" -cpu max,la57=off
		-m "${memory}M" -smp "cpus=$cpus,sockets=$sockets"
	)
	share_mib=$((memory / nodes))
	for ((node = 0; node < nodes; node++)); do
		((node < nodes - 1)) || share_mib=$((memory - share_mib * (nodes - 1)))
		qemu+=(
			-object "memory-backend-ram,id=node$node,size=${share_mib}M"
			-numa "node,nodeid=$node,memdev=node$node"
		)
	done
	for ((cpu = 0; cpu < sockets; cpu++)); do
		qemu+=(-numa "cpu,node-id=$((cpu % nodes)),socket-id=$cpu")
	done
	qemu+=(
		-kernel "$dir/kernel" -initrd "$run/initrd.cpio"
		-append "$(kernel_arguments)"
		-chardev "file,id=console,path=${console//,/,,}" -serial chardev:console
		-device virtio-rng-pci
		-drive "file=${image//,/,,},format=raw,if=virtio,snapshot=on,cache=unsafe"
	)
	for disk in "${disks[@]}"; do
		format=raw
		if [[ $(head -c 3 "$disk" | tr -d '\0') == QFI ]]; then
			format=qcow2
		fi
		qemu+=(-drive "file=${disk//,/,,},format=$format,if=virtio,snapshot=on,cache=unsafe")
	done
	qemu+=(
		-virtfs "local,path=${tree//,/,,},mount_tag=tree,security_model=none,readonly=on,multidevs=remap"
		-virtfs "local,path=${dir//,/,,}/modules/,mount_tag=modules,security_model=none,readonly=on"
	)
	if [[ -n $share ]]; then
		qemu+=(-virtfs "local,path=${share//,/,,},mount_tag=share,security_model=none,multidevs=remap")
	fi
	stream_options
}

# For both: lpj, because the loop that measures delays takes long under TCG, and half a minute for each
# CPU of the debug kernel; any value will do for virtual devices. no_timer_check, because on a loaded
# host the emulated timer is late for it, and the kernel panics.
kernel_arguments()
{
	local words=(
		console=ttyS0 loglevel=7 panic=-1 oops=panic sysctl.kernel.hung_task_panic=1
		apparmor=0 mitigations=off random.trust_cpu=on no_timer_check
	)

	if [[ $kernel == debug ]]; then
		words+=(kmemleak=on lpj=10000000 rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60
			workqueue.watchdog_thresh=120)
	else
		words+=(lpj=4000000 rcupdate.rcu_cpu_stall_timeout=60 watchdog_thresh=30)
	fi
	printf '%s\n' "${words[*]} $(tsc_arguments) $append"
}

# TCG's time stamp counter is the host's. Linux takes it for unstable, and reads the far slower HPET
# instead, unless told otherwise. Its rate is told, too (half the host's bogomips, where the counter is
# steady): on a busy host the machine measures it wrong, and time runs too fast by factors.
tsc_arguments()
{
	if [[ $accel == tcg* ]] && grep -qw constant_tsc /proc/cpuinfo; then
		awk '/^bogomips/ { printf "tsc=reliable tsc_early_khz=%d\n", $3 * 500; exit }' /proc/cpuinfo
	fi
}

stream_options()
{
	local name number=0

	qemu+=(-device virtio-serial-pci)
	for name in control stdout stderr; do
		qemu+=(
			-chardev "file,id=$name,path=$run/$name"
			-device "virtserialport,chardev=$name,name=$name,nr=$((++number))"
		)
	done
	if [[ $mode == shell ]]; then
		qemu+=(
			-chardev "stdio,id=terminal,signal=off"
			-device "virtconsole,chardev=terminal,nr=$((++number))"
		)
	fi
}

# run_machine starts it and waits for its end; past the time limit it is killed.
run_machine()
{
	local status=0 streams=()

	mkfifo "$run/stdout" "$run/stderr"
	cat "$run/stdout" &
	streams+=($!)
	cat "$run/stderr" >&2 &
	streams+=($!)
	# QEMU's snapshots go to TMPDIR.
	if [[ $mode == shell ]]; then
		TMPDIR=$run timeout --foreground -k 5 "$time_limit" "${qemu[@]}" 2>"$run/qemu.log" || status=$?
	else
		TMPDIR=$run setpriv --pdeathsig TERM timeout -k 5 "$time_limit" "${qemu[@]}" \
			</dev/null >"$run/qemu.log" 2>&1 &
		qemu_pid=$!
		wait "$qemu_pid" || status=$?
		qemu_pid=
	fi
	if ((status != 0 && status != 124)) && [[ ! -s $console ]]; then
		# Nobody opened the other end of the streams.
		kill "${streams[@]}" 2>/dev/null || true
	fi
	wait "${streams[@]}" 2>/dev/null || true
	machine_status=$status
}

# verdict returns the status of the run; says what is wrong and where the console is.
verdict()
{
	local control=$run/control fail leak status

	fail=$(sed -n 's/^fail //p' "$control" 2>/dev/null || true)
	leak=$(sed -n 's/^leak //p' "$control" 2>/dev/null || true)
	status=$(sed -n 's/^exit //p' "$control" 2>/dev/null || true)
	if console_complaints >"$run/complaints"; then
		say "the kernel complained${status:+ (status of the command: $status)}:"
		cat "$run/complaints" >&2
		keep_console
		return "$STATUS_KERNEL"
	fi
	if [[ -n $leak ]]; then
		say "$leak${status:+ (status of the command: $status)}"
		keep_console
		return "$STATUS_KERNEL"
	fi
	if ((machine_status == 124 || machine_status == 137)); then
		say "time limit of $time_limit s reached${status:+ after the command ended with status $status}"
		keep_console
		return "$STATUS_TIME"
	fi
	if [[ -n $fail ]]; then
		say "$fail"
		return "$STATUS_LAB"
	fi
	if [[ -z $status ]] || ! grep -qx "done" "$control"; then
		say "the machine stopped without a result (QEMU's status $machine_status)"
		tail -n 5 "$run/qemu.log" >&2
		tail -n 20 "$console" >&2 || true
		keep_console
		return "$STATUS_LAB"
	fi
	return "$status"
}

# Prints each complaint with the lines around it, at most 150 lines; fails if there is none.
console_complaints()
{
	tr -d '\r' <"$console" >"$run/console.text" || return 1
	grep -aE -B 2 -A 50 -m 3 -- "$complaints" "$run/console.text" | head -n 150
}

keep_console()
{
	local kept

	if [[ $console != "$run"/* ]]; then
		say "console log: $console"
		return
	fi
	mkdir -p "$tree/build/lab"
	kept=$tree/build/lab/console-$(date +%Y%m%d-%H%M%S)-$$.log
	cp "$console" "$kept"
	say "console log: $kept"
}
