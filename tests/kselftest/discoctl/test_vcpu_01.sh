#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# discoctl vcpu: the VCPUs that a monitor has made, while it has them.
. "$(dirname "$0")/common.sh"

# make_vcpu VM NUMBER ENTRIES NODE: a monitor that has a VCPU until end_vcpu
make_vcpu()
{
	coproc monitor {
		perl -we '
			my ($file, $vcpu, $entries, $node) = @ARGV;
			open(my $control, "+<", "/dev/disco") or die "$!";
			open(my $vm, "+<", $file) or die "$!";
			my $request = pack("LLlLlLLlQ", 40, 0, fileno($vm), $vcpu,
					   $node, $entries, 32, 0, 0);
			ioctl($control, 0xd545, $request) or die "$!";
			syswrite(STDOUT, "ready\n");
			<STDIN>' "$mnt/ram/$1" "$2" "$3" "$4"
	}
	vcpu=$!
	exec {to}>&"${monitor[1]}" {from}<&"${monitor[0]}"
	eval "exec ${monitor[1]}>&-"
	read -r -u "$from" _
}

end_vcpu()
{
	exec {to}>&- {from}<&-
	wait "$vcpu"
}

make_vm a 16
ctl -j vcpu list
jtest '.vcpus == [] and .unreadable == 0' "a machine has no VCPU at first"
ctl vcpu show a 0
fails "VM a has no VCPU 0" "one that is not there is named"

make_vcpu a 3 64 0
ctl -j vcpu list
jtest '[.vcpus[] | [.vm, .vcpu, .node, .entries, .indices, .live]] ==
	[["a", 3, 0, 64, 32, 0]]' "what a monitor made is listed"
ctl -j vcpu list a
jtest '.vcpus | length == 1' "and listed by the name of its machine"
ctl -j vcpu show a 3
jtest '.bytes >= 10240 and .bytes_away == 0 and .hits == 0 and .flushes == 0' \
	"its table has a size and has done nothing"
ctl -j vcpu dump a 3
jtest '.sets == 16 and .pairs == []' "and is empty"
ctl vcpu dump a 3 0-16
fails "set 16 is past the end of the table, which has 16 sets" \
	"a set that is not there is named"
ctl vcpu show a 2
fails "VM a has no VCPU 2" "other numbers are not there"
user_ctl vcpu show a 3
ok $((status != 0)) "a user who may read the machine may look"
chmod 600 "$mnt/ram/a"
user_ctl vcpu show a 3
fails "cannot open VM a" "another may not"
user_ctl -j vcpu list
jtest '.vcpus == [] and .unreadable == 1' "and is told that there is more"
ctl -j stat
jtest '.counters.vcpus == 1 and .counters.vcpu_bytes >= 10240' "it is counted"
ctl -j version
jtest '.module.features | index("vcpu") != null' "the module says that it can"

end_vcpu
ctl -j vcpu list
jtest '.vcpus == []' "it goes with its monitor"

done_testing
