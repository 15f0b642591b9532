// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading and unloading.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/utsname.h>
#include <generated/utsrelease.h>

#include "disco.h"
#include "tests/kunit.h"

static struct miscdevice disco_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "disco",
	.fops = &disco_dev_fops,
	.groups = disco_counter_groups,
	/* What a request may see depends on the files that it names. */
	.mode = 0666,
};

/**
 * disco_uevent() - tell user space that something has happened
 * @event: "EVENT=..."
 *
 * Context: may sleep.
 */
void disco_uevent(char *event)
{
	char *env[2] = { event };

	kobject_uevent_env(&disco_dev.this_device->kobj, KOBJ_CHANGE, env);
}

static int __init disco_init(void)
{
	int err;

	/* Only a forced load comes this far with the wrong kernel. */
	if (strcmp(utsname()->release, UTS_RELEASE)) {
		pr_err("disco: built for Linux %s, this is %s: build it again with make KDIR=/lib/modules/%s/build\n",
		       UTS_RELEASE, utsname()->release, utsname()->release);
		return -ENOEXEC;
	}

	err = disco_zero_init();
	if (err)
		return err;
	err = disco_memmap_cache_init();
	if (err)
		goto err_zero;
	err = disco_replica_init();
	if (err)
		goto err_cache;
	err = disco_disk_read_init();
	if (err)
		goto err_replica;
	err = misc_register(&disco_dev);
	if (err)
		goto err_read;
	/* From here on there can be VMs. */
	err = register_filesystem(&disco_fs_type);
	if (err)
		goto err_dev;
	err = disco_kunit_init();
	if (err)
		goto err_fs;
	pr_info("disco: version %s\n", DISCO_VERSION);
	return 0;

err_fs:
	unregister_filesystem(&disco_fs_type);
	rcu_barrier();
err_dev:
	misc_deregister(&disco_dev);
err_read:
	disco_disk_read_exit();
err_replica:
	disco_replica_exit();
err_cache:
	disco_memmap_cache_destroy();
err_zero:
	disco_zero_exit();
	return err;
}

static void __exit disco_exit(void)
{
	disco_kunit_exit();
	unregister_filesystem(&disco_fs_type);
	misc_deregister(&disco_dev);
	/* Inodes and VMs of the last mount are freed by RCU callbacks. */
	rcu_barrier();
	disco_disk_read_exit();
	disco_replica_exit();
	disco_memmap_cache_destroy();
	disco_zero_exit();
}

module_init(disco_init);
module_exit(disco_exit);

MODULE_ALIAS_FS("disco");
MODULE_DESCRIPTION("Shared memory for virtual machines, after Disco (SOSP'97)");
MODULE_LICENSE("GPL");
MODULE_VERSION(DISCO_VERSION);
