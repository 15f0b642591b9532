// SPDX-License-Identifier: GPL-2.0-only
#include <kunit/test.h>
#include <linux/highmem.h>
#include <linux/mount.h>

#include "../disco.h"
#include "kunit.h"

#define NR_VMS 3

/* A mount of its own, so that its page counter starts and must end at zero. */
struct slot_test {
	struct vfsmount *mnt;
	struct disco_vm *vm[NR_VMS];
};

static int slot_init(struct kunit *test)
{
	struct slot_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	struct super_block *sb;
	struct inode *inode;
	unsigned int i;

	if (!t)
		kunit_skip(test, "no memory");
	t->mnt = kern_mount(&disco_fs_type);
	if (IS_ERR(t->mnt))
		kunit_skip(test, "no mount: %ld", PTR_ERR(t->mnt));
	test->priv = t;
	sb = t->mnt->mnt_sb;
	for (i = 0; i < NR_VMS; i++) {
		inode = disco_ram_inode_new(sb, d_inode(sb->s_root), S_IFREG | 0600);
		if (IS_ERR(inode))
			return PTR_ERR(inode);
		i_size_write(inode, 16 * PAGE_SIZE);
		t->vm[i] = disco_vm(inode);
	}
	return 0;
}

static u64 machine_pages(struct slot_test *t)
{
	return percpu_counter_sum(&disco_sb(t->mnt->mnt_sb)->used);
}

static void slot_exit(struct kunit *test)
{
	struct slot_test *t = test->priv;
	unsigned int i;

	if (!t)
		return;
	for (i = 0; i < NR_VMS; i++)
		if (t->vm[i])
			iput(t->vm[i]->inode);
	KUNIT_EXPECT_EQ(test, machine_pages(t), 0);
	kern_unmount(t->mnt);
}

/* What a write fault does; returns the page with a reference. */
static struct folio *get_private(struct kunit *test, unsigned int i,
				 pgoff_t gfn)
{
	struct slot_test *t = test->priv;
	struct address_space *mapping = t->vm[i]->inode->i_mapping;
	struct folio *folio;
	int err;

	filemap_invalidate_lock_shared(mapping);
	err = disco_slot_get_private(t->vm[i], gfn, NULL, 0, NULL, &folio);
	filemap_invalidate_unlock_shared(mapping);
	if (err)
		kunit_skip(test, "no memory");
	KUNIT_EXPECT_TRUE(test, folio_test_locked(folio));
	folio_unlock(folio);
	return folio;
}

static void write_byte(struct kunit *test, unsigned int i, pgoff_t gfn, u8 byte)
{
	struct folio *folio = get_private(test, i, gfn);
	u8 *p = kmap_local_folio(folio, 0);

	*p = byte;
	kunmap_local(p);
	folio_put(folio);
}

static struct folio *peek(struct kunit *test, unsigned int i, pgoff_t gfn,
			  enum disco_page_state expected)
{
	struct slot_test *t = test->priv;
	unsigned long *slot = disco_pmap_slot(t->vm[i]->pmap, gfn);
	unsigned long value = slot ? *slot : 0;

	KUNIT_EXPECT_EQ(test, disco_slot_state(value), expected);
	return disco_slot_folio(value);
}

static void expect_byte(struct kunit *test, unsigned int i, pgoff_t gfn,
			u8 byte, enum disco_page_state state)
{
	struct folio *folio = peek(test, i, gfn, state);
	u8 *p;

	if (!folio)
		return;
	p = kmap_local_folio(folio, 0);
	KUNIT_EXPECT_EQ(test, *p, byte);
	kunmap_local(p);
}

static int share(struct kunit *test, unsigned int from, unsigned int to,
		 pgoff_t gfn)
{
	struct slot_test *t = test->priv;
	struct disco_vm *src = t->vm[from], *dst = t->vm[to];
	unsigned long *slot;
	int err;

	filemap_invalidate_lock_two(src->inode->i_mapping,
				    dst->inode->i_mapping);
	slot = disco_pmap_slot_alloc(dst->pmap, gfn);
	err = slot ? disco_slot_share(src, gfn, disco_pmap_slot(src->pmap, gfn),
				      1, dst, slot) : -ENOMEM;
	filemap_invalidate_unlock_two(src->inode->i_mapping,
				      dst->inode->i_mapping);
	if (err == -ENOMEM)
		kunit_skip(test, "no memory");
	return err;
}

static void drop(struct kunit *test, unsigned int i, pgoff_t gfn)
{
	struct slot_test *t = test->priv;
	struct address_space *mapping = t->vm[i]->inode->i_mapping;

	filemap_invalidate_lock(mapping);
	disco_vm_drop(t->vm[i], t->vm[i]->pmap, gfn, gfn + 1);
	filemap_invalidate_unlock(mapping);
}

/* A hole that is written becomes a private page of zeros, once. */
static void write_fills_hole(struct kunit *test)
{
	struct folio *folio, *again;

	peek(test, 0, 3, DISCO_PAGE_HOLE);
	folio = get_private(test, 0, 3);
	expect_byte(test, 0, 3, 0, DISCO_PAGE_PRIVATE);
	again = get_private(test, 0, 3);
	KUNIT_EXPECT_PTR_EQ(test, folio, again);
	KUNIT_EXPECT_EQ(test, machine_pages(test->priv), 1);
	folio_put(folio);
	folio_put(again);
}

/* A shared page is one machine page; a write to it reaches nobody else. */
static void write_breaks_sharing(struct kunit *test)
{
	write_byte(test, 0, 3, 'a');
	KUNIT_EXPECT_EQ(test, share(test, 0, 1, 3), 0);
	KUNIT_EXPECT_EQ(test, share(test, 1, 2, 3), 0);
	KUNIT_EXPECT_PTR_EQ(test, peek(test, 0, 3, DISCO_PAGE_SHARED),
			    peek(test, 2, 3, DISCO_PAGE_SHARED));
	KUNIT_EXPECT_EQ(test, machine_pages(test->priv), 1);

	write_byte(test, 0, 3, 'b');
	expect_byte(test, 0, 3, 'b', DISCO_PAGE_PRIVATE);
	expect_byte(test, 1, 3, 'a', DISCO_PAGE_SHARED);
	expect_byte(test, 2, 3, 'a', DISCO_PAGE_SHARED);
	KUNIT_EXPECT_EQ(test, machine_pages(test->priv), 2);
}

/* The last user of a shared page takes it over without a copy. */
static void last_user_reuses(struct kunit *test)
{
	struct folio *folio;

	write_byte(test, 0, 3, 'a');
	folio = peek(test, 0, 3, DISCO_PAGE_PRIVATE);
	KUNIT_EXPECT_EQ(test, share(test, 0, 1, 3), 0);
	drop(test, 0, 3);
	expect_byte(test, 1, 3, 'a', DISCO_PAGE_SHARED);
	write_byte(test, 1, 3, 'b');
	KUNIT_EXPECT_PTR_EQ(test, folio, peek(test, 1, 3, DISCO_PAGE_PRIVATE));
	KUNIT_EXPECT_EQ(test, machine_pages(test->priv), 1);
}

/* A page that somebody else refers to is copied by its last user. */
static void pinned_page_is_not_reused(struct kunit *test)
{
	struct folio *folio;

	write_byte(test, 0, 3, 'a');
	KUNIT_EXPECT_EQ(test, share(test, 0, 1, 3), 0);
	folio = peek(test, 1, 3, DISCO_PAGE_SHARED);
	folio_get(folio);
	drop(test, 0, 3);
	write_byte(test, 1, 3, 'b');
	KUNIT_EXPECT_PTR_NE(test, folio, peek(test, 1, 3, DISCO_PAGE_PRIVATE));
	folio_put(folio);
}

/* A pinned private page is copied to a clone and stays private. */
static void pinned_page_is_not_shared(struct kunit *test)
{
	struct folio *folio = get_private(test, 0, 3);

	KUNIT_EXPECT_EQ(test, share(test, 0, 1, 3), 0);
	KUNIT_EXPECT_PTR_NE(test, peek(test, 0, 3, DISCO_PAGE_PRIVATE),
			    peek(test, 1, 3, DISCO_PAGE_PRIVATE));
	folio_put(folio);
}

/* The mount's limit refuses a page and leaves what there is alone. */
static void limit_refuses(struct kunit *test)
{
	struct slot_test *t = test->priv;
	struct address_space *mapping = t->vm[0]->inode->i_mapping;
	struct folio *folio;
	int err;

	write_byte(test, 0, 3, 'a');
	KUNIT_EXPECT_EQ(test, share(test, 0, 1, 3), 0);
	disco_sb(t->mnt->mnt_sb)->max_pages = 1;

	filemap_invalidate_lock_shared(mapping);
	err = disco_slot_get_private(t->vm[0], 3, NULL, 0, NULL, &folio);
	filemap_invalidate_unlock_shared(mapping);
	KUNIT_EXPECT_EQ(test, err, -ENOSPC);
	expect_byte(test, 0, 3, 'a', DISCO_PAGE_SHARED);
	KUNIT_EXPECT_EQ(test, machine_pages(t), 1);
}

/* Both ends of a range are zeroed, and the middle and clones are not. */
static void partial_pages_are_zeroed(struct kunit *test)
{
	struct slot_test *t = test->priv;

	write_byte(test, 0, 1, 'a');
	write_byte(test, 0, 2, 'b');
	write_byte(test, 0, 3, 'c');
	KUNIT_EXPECT_EQ(test, share(test, 0, 1, 3), 0);
	inode_lock(t->vm[0]->inode);
	KUNIT_EXPECT_EQ(test,
			disco_vm_zero_partial(t->vm[0], PAGE_SIZE + 1,
					      3 * PAGE_SIZE + 1),
			0);
	inode_unlock(t->vm[0]->inode);
	expect_byte(test, 0, 1, 'a', DISCO_PAGE_PRIVATE);
	expect_byte(test, 0, 2, 'b', DISCO_PAGE_PRIVATE);
	expect_byte(test, 0, 3, 0, DISCO_PAGE_PRIVATE);
	expect_byte(test, 1, 3, 'c', DISCO_PAGE_SHARED);
}

static struct kunit_case slot_cases[] = {
	KUNIT_CASE(write_fills_hole),
	KUNIT_CASE(write_breaks_sharing),
	KUNIT_CASE(last_user_reuses),
	KUNIT_CASE(pinned_page_is_not_reused),
	KUNIT_CASE(pinned_page_is_not_shared),
	KUNIT_CASE(limit_refuses),
	KUNIT_CASE(partial_pages_are_zeroed),
	{}
};

struct kunit_suite disco_slot_suite = {
	.name = "disco-slot",
	.init = slot_init,
	.exit = slot_exit,
	.test_cases = slot_cases,
};
