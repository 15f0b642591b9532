/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _DISCO_KUNIT_H
#define _DISCO_KUNIT_H

struct kunit_suite;

extern struct kunit_suite disco_heat_suite;
extern struct kunit_suite disco_ioctl_suite;
extern struct kunit_suite disco_l2tlb_suite;
extern struct kunit_suite disco_memmap_suite;
extern struct kunit_suite disco_mpol_suite;
extern struct kunit_suite disco_pmap_suite;
extern struct kunit_suite disco_replica_suite;
extern struct kunit_suite disco_slot_suite;

#ifdef DISCO_KUNIT
int disco_kunit_init(void);
void disco_kunit_exit(void);
#else
static inline int disco_kunit_init(void)
{
	return 0;
}

static inline void disco_kunit_exit(void)
{
}
#endif

#endif /* _DISCO_KUNIT_H */
