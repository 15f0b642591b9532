// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module numbers VMs, people name them: from numbers to names.
 */
#include <errno.h>
#include <stdlib.h>

#include "discoctl.h"

/**
 * struct vm_ids - names of the VMs of a mount by number
 * @names: names
 * @ids: number of the VM of the same index, 0 if it could not be read
 * @nr: how many
 */
struct vm_ids {
	char **names;
	uint32_t *ids;
	size_t nr;
};

/**
 * vm_ids_read - read the names and numbers of all VMs
 * @ctl: the program
 * @out: the names, to be freed with vm_ids_free()
 *
 * Machines that cannot be read stay without a name.
 *
 * Return: 0 or a negative errno, explained by disco_error().
 */
int vm_ids_read(struct ctl *ctl, struct vm_ids **out)
{
	struct vm_ids *vms = calloc(1, sizeof(*vms));
	int ret;

	if (!vms)
		return -ENOMEM;
	ret = disco_vm_names(ctl->disco, &vms->names, &vms->nr, NULL);
	if (ret)
		goto fail;
	vms->ids = calloc(vms->nr + 1, sizeof(*vms->ids));
	if (!vms->ids) {
		ret = -ENOMEM;
		goto fail;
	}
	for (size_t i = 0; i < vms->nr; i++) {
		struct disco_vm_stat stat = { .size = sizeof(stat) };
		struct disco_vm *vm;

		if (disco_vm_open(ctl->disco, vms->names[i], &vm))
			continue;
		if (!disco_vm_stat(vm, &stat))
			vms->ids[i] = stat.out_id;
		disco_vm_close(vm);
	}
	*out = vms;
	return 0;
fail:
	vm_ids_free(vms);
	return ret;
}

/**
 * vm_ids_name - name of a VM
 * @vms: what vm_ids_read() returned, or NULL
 * @id: number of the VM
 *
 * Return: its name, or NULL if it is not one of those that could be read.
 */
const char *vm_ids_name(const struct vm_ids *vms, uint32_t id)
{
	for (size_t i = 0; vms && id && i < vms->nr; i++)
		if (vms->ids[i] == id)
			return vms->names[i];
	return NULL;
}

/**
 * vm_ids_free - free what vm_ids_read() returned
 * @vms: the names, or NULL
 */
void vm_ids_free(struct vm_ids *vms)
{
	if (!vms)
		return;
	disco_vm_names_free(vms->names, vms->nr);
	free(vms->ids);
	free(vms);
}
