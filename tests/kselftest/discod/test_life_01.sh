#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What discod survives, and what it leaves: signals, bad files, a second one, machines
# that come and go, and a module that goes and comes back.
. "$(dirname "$0")/common.sh"

n=32
make_guest a $n
run_guest a 1:r:0-$((n - 1))

# refused TEXT WHAT ARGS...: it does not begin.
refused()
{
	err=$(timeout 60 discod -f -m "$mnt" "${@:3}" 2>&1)
	status=$?
	[[ $status == 2 && $err == *"$1"* ]]
	ok $? "$2"
}
refused "$tmp/no/log: No such file" "a log that cannot be written" -l "$tmp/no/log"

start
until_true 60 is_sampled a 1000000
ok $? "a sampler is turned on"
refused "there is a discod on $mnt already: process $daemon" "a second discod"
printf '[disco]\ntrigger = 1\nsharing = 5\n' >"$tmp/policy"
kill -HUP "$daemon"
until_true 60 has_said "the policy stays as it was: $tmp/policy:3: disco.sharing = 5"
ok $? "a policy file that became bad changes nothing"
until_true 60 is_on 1 a $n
ok $? "and the policy before goes on"
write_policy
sed -i '1a rule = static' "$tmp/policy"
kill -HUP "$daemon"
until_true 60 has_said 'the policy was read again, its rule is static'
ok $? "a good one is taken"
end KILL 137 "discod is killed"
is_sampled a 1000000
ok $? "and leaves the sampler"
discoctl -m "$mnt" move a 0 >/dev/null
write_policy
start -b 50
until_true 60 is_sampled a 500000
ok $? "another one takes over"
until_true 60 is_on 1 a $n
ok $? "and goes on moving"
discoctl -m "$mnt" heat sample a 0
until_true 60 is_sampled a 500000
ok $? "also if somebody turned the sampler off"
end TERM 0 "it ends"
is "$(budget a)" 0 "and leaves none"
start -b 0
discoctl -m "$mnt" heat sample a 20
discoctl -m "$mnt" move a 0 >/dev/null
until_true 60 is_on 1 a $n
ok $? "without a budget it takes what others sample"
end INT 0 "it ends"
is "$(budget a)" 200000 "and leaves their sampler"

# Where threads run: a free one of node 1, whose machine has its memory on node 0.
end_guests
allowed() { awk '/^Cpus_allowed_list/ { print $2 }' /proc/"${guests[0]}"/task/"$1"/status; }
vcpu() { grep -l 'CPU 0/TEST' /proc/"${guests[0]}"/task/*/comm | cut -d / -f 5; }
is_allowed() { [[ $(allowed "$(vcpu)") == "$1" ]]; }
discoctl -m "$mnt" move a 0 >/dev/null
run_guest a 1:rf:0-$((n - 1))
until_true 60 vcpu >/dev/null
all=$(allowed "${guests[0]}")
start -b 0 -a memory
until_true 60 is_allowed "$(</sys/devices/system/node/node0/cpulist)"
ok $? "a VCPU is brought to its memory"
is "$(allowed "${guests[0]}")" "$all" "other threads are left alone"
end TERM 0 "it ends"
is "$(allowed "$(vcpu)")" "$all" "and the VCPU is free again"
start -b 0 -a node
one_node() { [[ $(allowed "$(vcpu)") != *[-,]* ]]; }
until_true 60 one_node
ok $? "or it stays on the node where it is"
other=$(($(allowed "$(vcpu)") == 1 ? 0 : 1))
taskset -pc $other "$(vcpu)" >/dev/null
end TERM 0 "it ends"
is "$(allowed "$(vcpu)")" $other "and leaves alone what somebody has changed since"
end_guests

# Machines come and go in the middle of rounds.
write_policy
sed -i 's/interval_ms = .*/interval_ms = 5/; s/reset_ms = .*/reset_ms = 100/' "$tmp/policy"
start
for ((i = 0; i < 5; i++)); do
	for vm in b c; do
		make_vm $vm 512
		run_guest $vm 1:w:0-511 0:rv:0-511
	done
	kill "${guests[@]}"
	rm "$mnt"/ram/[bc]
	end_guests
done
kill -0 "$daemon"
ok $? "machines come and go"
ctl check
ok $((status != 0)) "all structures agree"
end TERM 0 "it ends"

# Between rounds it has nothing open: the mount and the module can go.
write_policy
start
until_true 60 is_sampled a 1000000
until_true 60 umount "$mnt"
ok $? "the file system can be unmounted"
until_true 60 has_said 'discod: .*no disco file system'
ok $? "which it says"
top=$(readlink -f "$(dirname "$0")/../../..")
for ko in "$top"/build/module/*/disco.ko; do
	[[ $(modinfo -F vermagic "$ko") == "$(uname -r) "* ]] && break
done
umount /run/disco 2>/dev/null
until_true 60 rmmod disco
ok $? "and the module unloaded"
until_true 60 has_said 'discod: .*/dev/disco'
ok $? "which it says, too"
insmod "$ko"
mount -t disco none /run/disco
mount -t disco none "$mnt"
make_guest a $n
run_guest a 1:r:0-$((n - 1))
until_true 60 is_on 1 a $n
ok $? "when they are back it goes on"
has_said 'goes on, with'
ok $? "and says so"
is "$(uniq -d "$tmp/said")" "" "and nothing twice"
end TERM 0 "it ends"
end_guests
ctl check
ok $((status != 0)) "all structures agree"

done_testing
