// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Virtual CPUs: statistics and contents of their second-level TLBs.
 */
#include <errno.h>

#include "private.h"

PUBLIC int disco_vcpu_stat(struct disco_vm *vm, struct disco_vcpu_stat *stat)
{
	int ret;

	stat->vm_fd = vm->fd;
	ret = disco_request(vm->disco, DISCO_VCPU_STAT, stat,
			    "VCPU %u of VM %s", stat->vcpu, vm->name);
	if (ret == -ENOENT)
		ret = disco_fail(vm->disco, ENOENT, "VM %s has no VCPU %u%s",
				 vm->name, stat->vcpu,
				 stat->flags & DISCO_VCPU_NEXT ?
				 " or higher" : "");
	return ret;
}

PUBLIC int disco_vcpu_dump(struct disco_vm *vm, struct disco_vcpu_dump *dump)
{
	int ret;

	dump->vm_fd = vm->fd;
	ret = disco_request(vm->disco, DISCO_VCPU_DUMP, dump,
			    "dump of VCPU %u of VM %s", dump->vcpu, vm->name);
	if (ret == -ENOENT)
		ret = disco_fail(vm->disco, ENOENT, "VM %s has no VCPU %u",
				 vm->name, dump->vcpu);
	if (ret == -ENXIO)
		ret = disco_fail(vm->disco, ENXIO,
				 "set %u is past the end of the table of VCPU %u of VM %s",
				 dump->set, dump->vcpu, vm->name);
	return ret;
}
