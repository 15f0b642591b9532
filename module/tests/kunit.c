// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs the KUnit suites when the module has been set up. kunit_test_suites()
 * would run them before disco_init() on some kernels and after it on others.
 */
#include <kunit/test.h>

#include "kunit.h"

static struct kunit_suite *suites[] = {
	&disco_heat_suite,
	&disco_ioctl_suite,
	&disco_l2tlb_suite,
	&disco_memmap_suite,
	&disco_mpol_suite,
	&disco_pmap_suite,
	&disco_replica_suite,
	&disco_slot_suite,
};

/**
 * disco_kunit_init() - run all suites
 *
 * A test that fails does not keep the module from loading: the results are in
 * debugfs.
 *
 * Context: end of module load.
 * Return: 0, or what KUnit returns when it cannot run.
 */
int disco_kunit_init(void)
{
	return __kunit_test_suites_init(suites, ARRAY_SIZE(suites));
}

/**
 * disco_kunit_exit() - forget the suites and their results
 *
 * Context: begin of module unload.
 */
void disco_kunit_exit(void)
{
	__kunit_test_suites_exit(suites, ARRAY_SIZE(suites));
}
