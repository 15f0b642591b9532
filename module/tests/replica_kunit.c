// SPDX-License-Identifier: GPL-2.0-only
#include <kunit/test.h>
#include <linux/highmem.h>
#include <linux/mount.h>

#include "../disco.h"
#include "kunit.h"

/* A mount of its own with one VM, whose page 0 is filled: the master. */
struct replica_test {
	struct vfsmount *mnt;
	struct disco_vm *vm;
	struct folio *master;
};

static struct disco_sb *sbi_of(struct replica_test *t)
{
	return disco_sb(t->mnt->mnt_sb);
}

static int replica_init(struct kunit *test)
{
	struct replica_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	struct address_space *mapping;
	struct inode *inode;
	int err;

	if (!t)
		kunit_skip(test, "no memory");
	t->mnt = kern_mount(&disco_fs_type);
	if (IS_ERR(t->mnt))
		kunit_skip(test, "no mount: %ld", PTR_ERR(t->mnt));
	test->priv = t;
	inode = disco_ram_inode_new(t->mnt->mnt_sb,
				    d_inode(t->mnt->mnt_sb->s_root),
				    S_IFREG | 0600);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	i_size_write(inode, 16 * PAGE_SIZE);
	t->vm = disco_vm(inode);
	mapping = inode->i_mapping;
	filemap_invalidate_lock_shared(mapping);
	err = disco_slot_get_private(t->vm, 0, NULL, 0, NULL, &t->master);
	filemap_invalidate_unlock_shared(mapping);
	/* Stays locked, as everything here wants it. */
	return err;
}

static void replica_exit(struct kunit *test)
{
	struct replica_test *t = test->priv;
	struct disco_sb *sbi;

	if (!t)
		return;
	sbi = sbi_of(t);
	if (t->master) {
		folio_unlock(t->master);
		folio_put(t->master);
	}
	if (t->vm)
		iput(t->vm->inode);
	KUNIT_EXPECT_EQ(test, percpu_counter_sum(&sbi->used), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&sbi->nr_replicas), 0);
	kern_unmount(t->mnt);
}

/* On the master's own node, which only disco_replica_bad() minds. */
static struct folio *add(struct kunit *test)
{
	struct replica_test *t = test->priv;
	struct folio *replica;
	int err;

	replica = disco_replica_alloc(t->vm, 0, t->master,
				      folio_nid(t->master), &err);
	if (!replica)
		kunit_skip(test, "no memory");
	disco_replica_add(t->vm, 0, t->master, replica);
	return replica;
}

/* Each is found until it is dropped, whichever goes first. */
static void replicas_come_and_go(struct kunit *test)
{
	struct replica_test *t = test->priv;
	unsigned int first, second, i;
	struct folio *replica[3];

	KUNIT_EXPECT_NULL(test, disco_replica_first(t->master));
	KUNIT_EXPECT_NULL(test, disco_replica_master(t->master));
	for (first = 0; first < 3; first++) {
		for (i = 0; i < 3; i++) {
			replica[i] = add(test);
			KUNIT_EXPECT_EQ(test, disco_replica_count(t->master),
					i + 1);
		}
		for (i = 0; i < 3; i++) {
			KUNIT_EXPECT_TRUE(test,
					  disco_replica_belongs(replica[i],
								t->master));
			KUNIT_EXPECT_PTR_EQ(test,
					    disco_replica_master(replica[i]),
					    t->master);
		}
		KUNIT_EXPECT_FALSE(test, disco_replica_belongs(t->master,
							       t->master));
		KUNIT_EXPECT_EQ(test, percpu_counter_sum(&sbi_of(t)->used), 4);
		KUNIT_EXPECT_EQ(test, atomic64_read(&sbi_of(t)->nr_replicas), 3);

		disco_replica_drop(t->vm, 0, t->master, replica[first]);
		second = (first + 1) % 3;
		KUNIT_EXPECT_EQ(test, disco_replica_count(t->master), 2);
		KUNIT_EXPECT_TRUE(test, disco_replica_belongs(replica[second],
							      t->master));
		disco_replica_drop(t->vm, 0, t->master, replica[second]);
		KUNIT_EXPECT_PTR_EQ(test, disco_replica_first(t->master),
				    replica[(first + 2) % 3]);
		disco_replica_drop_all(t->vm, 0, t->master);
		KUNIT_EXPECT_NULL(test, disco_replica_first(t->master));
		disco_replica_drop_all(t->vm, 0, t->master);
		KUNIT_EXPECT_EQ(test, percpu_counter_sum(&sbi_of(t)->used), 1);
	}
}

/* Of a page that is dropped they go as well: replica_exit() counts. */
static void replicas_go_with_the_page(struct kunit *test)
{
	add(test);
	add(test);
}

/* By node, which is what a fault asks for. */
static void replica_is_found_by_node(struct kunit *test)
{
	struct replica_test *t = test->priv;
	int home = folio_nid(t->master), node, err;
	struct folio *replica;

	KUNIT_EXPECT_NULL(test, disco_replica_on(t->master, home));
	for_each_node_state(node, N_MEMORY) {
		if (node == home)
			continue;
		replica = disco_replica_alloc(t->vm, 0, t->master, node, &err);
		if (!replica)
			kunit_skip(test, "no memory");
		disco_replica_add(t->vm, 0, t->master, replica);
		KUNIT_EXPECT_EQ(test, folio_nid(replica), node);
		KUNIT_EXPECT_PTR_EQ(test, disco_replica_on(t->master, node),
				    replica);
	}
	KUNIT_EXPECT_NULL(test, disco_replica_on(t->master, home));
	KUNIT_EXPECT_NULL(test, disco_replica_bad(t->master));
}

/* A pin counts: who has it may read what is not so any more. */
static void used_replica_is_noticed(struct kunit *test)
{
	struct replica_test *t = test->priv;
	struct folio *replica = add(test);

	KUNIT_EXPECT_FALSE(test, disco_replica_used(t->master));
	folio_get(replica);
	KUNIT_EXPECT_TRUE(test, disco_replica_used(t->master));
	folio_put(replica);
	KUNIT_EXPECT_FALSE(test, disco_replica_used(t->master));
}

/* What DISCO_CHECK looks for. */
static void bad_replica_is_found(struct kunit *test)
{
	struct replica_test *t = test->priv;
	struct folio *replica;
	int node, err;
	u8 *at;

	KUNIT_EXPECT_NULL(test, disco_replica_bad(t->master));
	replica = add(test);
	/* On the node of its master. */
	KUNIT_EXPECT_PTR_EQ(test, disco_replica_bad(t->master), replica);
	disco_replica_drop_all(t->vm, 0, t->master);

	for_each_node_state(node, N_MEMORY)
		if (node != folio_nid(t->master))
			break;
	if (node >= MAX_NUMNODES)
		return;
	replica = disco_replica_alloc(t->vm, 0, t->master, node, &err);
	if (!replica)
		kunit_skip(test, "no memory");
	disco_replica_add(t->vm, 0, t->master, replica);
	KUNIT_EXPECT_NULL(test, disco_replica_bad(t->master));
	at = kmap_local_folio(replica, PAGE_SIZE - 1);
	*at = 1;
	kunmap_local(at);
	KUNIT_EXPECT_PTR_EQ(test, disco_replica_bad(t->master), replica);
}

/* The mount's limit, and nothing left behind when it is reached. */
static void limit_is_kept(struct kunit *test)
{
	struct replica_test *t = test->priv;
	struct folio *replica;
	int err = 0;

	sbi_of(t)->max_replicas = 1;
	add(test);
	replica = disco_replica_alloc(t->vm, 0, t->master,
				      folio_nid(t->master), &err);
	KUNIT_EXPECT_NULL(test, replica);
	KUNIT_EXPECT_EQ(test, err, -ENOSPC);
	disco_replica_drop_all(t->vm, 0, t->master);
	replica = disco_replica_alloc(t->vm, 0, t->master,
				      folio_nid(t->master), &err);
	if (replica)
		disco_replica_discard(t->vm, replica);
}

static struct kunit_case replica_cases[] = {
	KUNIT_CASE(replicas_come_and_go),
	KUNIT_CASE(replicas_go_with_the_page),
	KUNIT_CASE(replica_is_found_by_node),
	KUNIT_CASE(used_replica_is_noticed),
	KUNIT_CASE(bad_replica_is_found),
	KUNIT_CASE(limit_is_kept),
	{}
};

struct kunit_suite disco_replica_suite = {
	.name = "disco-replica",
	.init = replica_init,
	.exit = replica_exit,
	.test_cases = replica_cases,
};
