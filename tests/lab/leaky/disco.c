// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module that leaks and has disco's name, to see that the lab's leak check finds it.
 */
#include <linux/module.h>
#include <linux/slab.h>

static noinline void disco_leak_one(void)
{
	void *lost = kmalloc(300, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(lost);
}

static int __init disco_init(void)
{
	disco_leak_one();
	return 0;
}
module_init(disco_init);

static void __exit disco_exit(void)
{
}
module_exit(disco_exit);

MODULE_DESCRIPTION("Leaks 300 bytes");
MODULE_LICENSE("GPL");
