// SPDX-License-Identifier: GPL-2.0-only
/*
 * VCPUs: a table that the monitor maps and works on, and that others see by
 * statistics and dumps; where its memory is, how long it lives, and what a
 * monitor can do wrong.
 */
#define _GNU_SOURCE
#include "fixture.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <linux/disco_l2tlb.h>

#define ENTRIES 256
#define SETS (ENTRIES / DISCO_L2TLB_WAYS)
#define NODES 64

FIXTURE(vcpu) {
	struct dt_fs fs;
	int vm;
};

FIXTURE_SETUP(vcpu)
{
	dt_fs_open(&self->fs, "vcpu", NULL);
	self->vm = dt_create(&self->fs, "vm", dt_page);
}

FIXTURE_TEARDOWN(vcpu)
{
	EXPECT_TRUE(dt_fs_close(&self->fs));
}

static struct disco_vcpu_create request(FIXTURE_DATA(vcpu) *self, uint32_t vcpu)
{
	return (struct disco_vcpu_create) {
		.size = sizeof(struct disco_vcpu_create),
		.vm_fd = self->vm,
		.vcpu = vcpu,
		.node = DISCO_VCPU_HERE,
		.nr_entries = ENTRIES,
		.nr_indices = 32,
	};
}

static int create(FIXTURE_DATA(vcpu) *self, struct disco_vcpu_create *request)
{
	return ioctl(self->fs.control, DISCO_VCPU_CREATE, request);
}

/* Returns the errno. */
static int find(FIXTURE_DATA(vcpu) *self, uint32_t vcpu, uint32_t flags,
		struct disco_vcpu_stat *stat)
{
	*stat = (struct disco_vcpu_stat) {
		.size = sizeof(*stat),
		.flags = flags,
		.vm_fd = self->vm,
		.vcpu = vcpu,
	};
	return ioctl(self->fs.control, DISCO_VCPU_STAT, stat) ? errno : 0;
}

static bool exists(FIXTURE_DATA(vcpu) *self, uint32_t vcpu)
{
	struct disco_vcpu_stat stat;

	return !find(self, vcpu, 0, &stat);
}

static struct disco_vcpu_dump dump_request(FIXTURE_DATA(vcpu) *self,
					   struct disco_vcpu_entry *entries,
					   uint32_t nr)
{
	return (struct disco_vcpu_dump) {
		.size = sizeof(struct disco_vcpu_dump),
		.vm_fd = self->vm,
		.nr = nr,
		.entries = (uintptr_t)entries,
	};
}

static int dump(FIXTURE_DATA(vcpu) *self, struct disco_vcpu_dump *request)
{
	return ioctl(self->fs.control, DISCO_VCPU_DUMP, request);
}

static size_t table_bytes(uint64_t nr_entries)
{
	return (disco_l2tlb_bytes(nr_entries) + dt_page - 1) & -dt_page;
}

static void no_drop(void *opaque, __u64 vpn, __u64 len, __u32 tag, int global)
{
	(void)opaque, (void)vpn, (void)len, (void)tag, (void)global;
}

static void no_flush(void *opaque)
{
	(void)opaque;
}

static const struct disco_l2tlb_sink sink = { no_drop, no_flush, NULL };

static struct disco_l2tlb_pair pair(uint64_t page)
{
	return (struct disco_l2tlb_pair) {
		.vpn = 0x120000000 + page * 0x2000,
		.tag = 5,
		.lo = { page << 20 | DISCO_L2TLB_V | DISCO_L2TLB_D,
			page << 20 | 0x1000 | DISCO_L2TLB_V },
	};
}

/* What a guest does that writes @nr pages into its TLB at random. */
static void fill_table(struct disco_l2tlb *table, uint64_t nr)
{
	struct disco_l2tlb_pair old = { 0 }, new;

	for (uint64_t page = 1; page <= nr; page++) {
		new = pair(page);
		disco_l2tlb_write(table, &sink, 0, &old, &new, 0,
				  DISCO_L2TLB_RANDOM);
		old = new;
	}
}

TEST_F(vcpu, monitor_works_and_others_see_it)
{
	int fd = dt_vcpu(&self->fs, self->vm, 0, ENTRIES);
	size_t bytes = table_bytes(ENTRIES);
	char *at = dt_map(fd, bytes);
	struct disco_vcpu_entry entries[ENTRIES];
	struct disco_vcpu_dump all = dump_request(self, entries, ENTRIES);
	struct disco_vcpu_stat stat;
	struct disco_l2tlb table;
	bool seen[101] = { 0 };
	__u64 lo;

	/* An empty table of the sizes asked for, and nothing of others in it. */
	ASSERT_TRUE(disco_l2tlb_attach(&table, at, bytes));
	EXPECT_EQ(ENTRIES, table.nr_entries);
	EXPECT_EQ(32, table.nr_indices);
	EXPECT_TRUE(dt_is_zero(at + sizeof(struct disco_l2tlb_header),
			       bytes - sizeof(struct disco_l2tlb_header)));
	ASSERT_OK(find(self, 0, 0, &stat));
	EXPECT_EQ(0, stat.out_nr_live);
	ASSERT_OK(dump(self, &all));
	EXPECT_EQ(0, all.out_nr);
	EXPECT_EQ(SETS, all.out_next);

	fill_table(&table, 100);
	table.hdr->counters.hits = 11;
	table.hdr->counters.misses = 12;
	table.hdr->counters.evictions = 1ULL << 40;
	table.hdr->counters.drops = 15;
	table.hdr->counters.flushes = 16;
	disco_l2tlb_refill(&table, &sink, 0x1000, 5);
	ASSERT_OK(find(self, 0, 0, &stat));
	EXPECT_EQ(0, stat.out_vcpu);
	EXPECT_EQ(ENTRIES, stat.out_nr_entries);
	EXPECT_EQ(32, stat.out_nr_indices);
	EXPECT_EQ(100, stat.out_nr_live);
	EXPECT_EQ(bytes, stat.out_bytes);
	EXPECT_EQ(11, stat.out_hits);
	EXPECT_EQ(12, stat.out_misses);
	EXPECT_EQ(1, stat.out_forwards);
	EXPECT_EQ(100, stat.out_inserts);
	EXPECT_EQ(1ULL << 40, stat.out_evictions);
	EXPECT_EQ(15, stat.out_drops);
	EXPECT_EQ(16, stat.out_flushes);

	/* Every pair once, with the frames that a look-up gives. */
	ASSERT_OK(dump(self, &all));
	EXPECT_EQ(100, all.out_nr);
	for (int i = 0; i < all.out_nr; i++) {
		uint64_t page = (entries[i].va - 0x120000000) / 0x2000;

		ASSERT_LE(1, page);
		ASSERT_GE(100, page);
		EXPECT_FALSE(seen[page]);
		seen[page] = true;
		EXPECT_EQ(pair(page).vpn, entries[i].va);
		EXPECT_EQ(pair(page).lo[0], entries[i].lo[0]);
		EXPECT_EQ(pair(page).lo[1], entries[i].lo[1]);
		EXPECT_EQ(5, entries[i].tag);
		EXPECT_EQ(12, entries[i].page_shift);
		EXPECT_EQ(0, entries[i].global);
		EXPECT_GT(SETS, entries[i].set);
		EXPECT_TRUE(disco_l2tlb_lookup(&table, entries[i].va, 5,
					       DISCO_L2TLB_LOAD, &lo));
	}
	disco_l2tlb_flush(&table, &sink);
	ASSERT_OK(dump(self, &all));
	EXPECT_EQ(0, all.out_nr);
}

TEST_F(vcpu, dump_of_sizes_and_globals)
{
	int fd = dt_vcpu(&self->fs, self->vm, 0, ENTRIES);
	char *at = dt_map(fd, table_bytes(ENTRIES));
	struct disco_vcpu_entry entries[ENTRIES];
	struct disco_vcpu_dump all = dump_request(self, entries, ENTRIES);
	struct disco_l2tlb_pair old = { 0 }, new = pair(0);
	struct disco_l2tlb table;

	ASSERT_TRUE(disco_l2tlb_attach(&table, at, table_bytes(ENTRIES)));
	for (int size = 0; size < DISCO_L2TLB_SIZES; size++) {
		new.vpn = 3ULL * (0x2000 << 2 * size);
		new.pagemask = (0x2000U << 2 * size) - 0x2000;
		new.global = size & 1;
		disco_l2tlb_reset(&table, &sink);
		disco_l2tlb_write(&table, &sink, 0, &old, &new, 0,
				  DISCO_L2TLB_RANDOM);
		ASSERT_OK(dump(self, &all));
		ASSERT_EQ(1, all.out_nr);
		EXPECT_EQ(new.vpn, entries[0].va);
		EXPECT_EQ(12 + 2 * size, entries[0].page_shift);
		EXPECT_EQ(new.global, entries[0].global);
		EXPECT_EQ(new.global ? 0 : 5, entries[0].tag);
	}
}

TEST_F(vcpu, dump_in_parts)
{
	int fd = dt_vcpu(&self->fs, self->vm, 0, ENTRIES);
	char *at = dt_map(fd, table_bytes(ENTRIES));
	struct disco_vcpu_entry entries[ENTRIES], more[ENTRIES];
	struct disco_vcpu_dump all = dump_request(self, entries, ENTRIES);
	const uint32_t sizes[] = { 4, 5, 7, 16, 19, 64, 255 };
	struct disco_l2tlb table;

	ASSERT_TRUE(disco_l2tlb_attach(&table, at, table_bytes(ENTRIES)));
	fill_table(&table, 3 * ENTRIES);
	ASSERT_OK(dump(self, &all));
	ASSERT_EQ(table.hdr->nr_live, all.out_nr);
	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct disco_vcpu_dump part = dump_request(self, more, sizes[i]);
		uint32_t nr = 0;

		for (part.set = 0; part.set < SETS; part.set = part.out_next) {
			ASSERT_OK(dump(self, &part));
			ASSERT_GE(sizes[i], part.out_nr);
			ASSERT_LT(part.set, part.out_next);
			EXPECT_EQ(0, memcmp(entries + nr, more,
					    part.out_nr * sizeof(*more)));
			nr += part.out_nr;
		}
		EXPECT_EQ(SETS, part.set);
		EXPECT_EQ(all.out_nr, nr);
		EXPECT_ERRNO(ENXIO, dump(self, &part));
	}
}

TEST_F(vcpu, bad_dumps)
{
	struct disco_vcpu_entry entries[8];
	struct disco_vcpu_dump bad;
	int fd = dt_vcpu(&self->fs, self->vm, 0, ENTRIES);
	char *at = dt_map(fd, table_bytes(ENTRIES));
	struct disco_l2tlb table;

	for (uint32_t nr = 0; nr < DISCO_L2TLB_WAYS; nr++) {
		bad = dump_request(self, entries, nr);
		EXPECT_ERRNO(EINVAL, dump(self, &bad));
	}
	bad = dump_request(self, entries, 8);
	bad.vcpu = 1;
	EXPECT_ERRNO(ENOENT, dump(self, &bad));
	bad.vcpu = UINT_MAX;
	EXPECT_ERRNO(ENOENT, dump(self, &bad));
	bad = dump_request(self, entries, 8);
	bad.set = SETS;
	EXPECT_ERRNO(ENXIO, dump(self, &bad));
	bad.set = UINT_MAX;
	EXPECT_ERRNO(ENXIO, dump(self, &bad));
	bad = dump_request(self, NULL, 8);
	ASSERT_OK(dump(self, &bad));	/* nothing to copy */
	ASSERT_TRUE(disco_l2tlb_attach(&table, at, table_bytes(ENTRIES)));
	fill_table(&table, ENTRIES);
	EXPECT_ERRNO(EFAULT, dump(self, &bad));
	/* The buffer may be the table itself. */
	bad.entries = (uintptr_t)at + DISCO_L2TLB_ENTRIES_OFFSET;
	EXPECT_EQ(0, dump(self, &bad));
}

/* Whatever a monitor writes, the module answers within the table's bounds. */
TEST_F(vcpu, table_of_a_hostile_monitor)
{
	int fd = dt_vcpu(&self->fs, self->vm, 0, ENTRIES);
	char *at = dt_map(fd, table_bytes(ENTRIES));
	struct disco_l2tlb_header *hdr = (void *)at;
	struct disco_l2tlb_entry *entry =
		(void *)(at + DISCO_L2TLB_ENTRIES_OFFSET);
	struct disco_vcpu_entry entries[ENTRIES + 1];
	struct disco_vcpu_stat stat;
	uint64_t random = 1;

	for (int round = 0; round < 200; round++) {
		struct disco_vcpu_dump all = dump_request(self, entries, ENTRIES);

		for (int i = 0; i < table_bytes(ENTRIES) / 8; i++)
			((uint64_t *)at)[i] = dt_random(&random);
		/* Live entries with keys of every kind. */
		hdr->generation = round;
		for (int i = 0; i < ENTRIES; i++) {
			if (dt_random(&random) % 2)
				entry[i].generation = round;
			if (dt_random(&random) % 2)
				entry[i].key &= 0x3ffff;
			if (dt_random(&random) % 2)
				entry[i].tag = 0;
		}
		memset(entries, 0xee, sizeof(entries));
		ASSERT_OK(dump(self, &all));
		EXPECT_GE(ENTRIES, all.out_nr);
		EXPECT_EQ(SETS, all.out_next);
		EXPECT_EQ(0xeeeeeeee, entries[all.out_nr].set);
		for (int i = 0; i < all.out_nr; i++) {
			EXPECT_GT(SETS, entries[i].set);
			EXPECT_GE(28, entries[i].page_shift);
			EXPECT_GE(1, entries[i].global);
		}
		ASSERT_OK(find(self, 0, 0, &stat));
		EXPECT_EQ(ENTRIES, stat.out_nr_entries);
		EXPECT_EQ(32, stat.out_nr_indices);
		EXPECT_EQ(table_bytes(ENTRIES), stat.out_bytes);
		EXPECT_EQ(hdr->counters.hits, stat.out_hits);
	}
}

TEST_F(vcpu, numbers_out_of_range)
{
	const struct {
		size_t at;
		uint32_t value;
	} cases[] = {
#define BAD(field, value) { offsetof(struct disco_vcpu_create, field), value }
		BAD(vcpu, DISCO_MAX_VCPUS), BAD(vcpu, UINT_MAX),
		BAD(node, -2), BAD(node, INT_MIN), BAD(node, INT_MAX),
		BAD(node, 1023), BAD(node, 1024), BAD(node, 4096),
		BAD(nr_entries, 0), BAD(nr_entries, 8), BAD(nr_entries, 17),
		BAD(nr_entries, 1000), BAD(nr_entries, 1 << 21),
		BAD(nr_entries, 1U << 31), BAD(nr_entries, UINT_MAX),
		BAD(nr_indices, 0), BAD(nr_indices, 257),
		BAD(nr_indices, UINT_MAX),
#undef BAD
	};
	int lowest = dup(0), read_only = dt_open(&self->fs, "vm", O_RDONLY);
	struct disco_vcpu_create good = request(self, 0), bad;

	for (int i = 0; i < ARRAY_SIZE(cases); i++) {
		bad = good;
		memcpy((char *)&bad + cases[i].at, &cases[i].value, 4);
		errno = 0;
		EXPECT_TRUE(create(self, &bad) == -1 && errno == EINVAL) {
			TH_LOG("case %d: %s", i, strerror(errno));
		}
	}
	/* Who may only read a VM cannot take its monitor's numbers. */
	bad = good;
	bad.vm_fd = read_only;
	EXPECT_ERRNO(EBADF, create(self, &bad));

	/* No descriptor was left behind, and no number taken. */
	close(lowest);
	EXPECT_EQ(self->fs.before.vcpus, dt_counter("vcpus"));
	ASSERT_OK(create(self, &good));
	EXPECT_EQ(lowest, good.out_fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(good.out_fd, F_GETFD));
	EXPECT_EQ(self->fs.before.vcpus + 1, dt_counter("vcpus"));
	EXPECT_EQ(self->fs.before.vcpu_bytes + (long)good.out_bytes,
		  dt_counter("vcpu_bytes"));
	close(good.out_fd);

	/* The limits themselves. */
	good.vcpu = DISCO_MAX_VCPUS - 1;
	good.nr_entries = DISCO_L2TLB_MAX_ENTRIES;
	good.nr_indices = 256;
	ASSERT_OK(create(self, &good));
	EXPECT_EQ(table_bytes(DISCO_L2TLB_MAX_ENTRIES), good.out_bytes);
	close(good.out_fd);
	good.nr_entries = DISCO_L2TLB_MIN_ENTRIES;
	good.nr_indices = 1;
	ASSERT_OK(create(self, &good));
	close(good.out_fd);
}

/* No more descriptors: an error, and nothing is left of the VCPU. */
TEST_F(vcpu, no_descriptor_left)
{
	struct disco_vcpu_create wanted = request(self, 0);
	pid_t pid = dt_fork();

	if (!pid) {
		const struct rlimit few = { 64, 64 };

		if (setrlimit(RLIMIT_NOFILE, &few))
			_exit(2);
		while (dup(0) >= 0)
			;
		errno = 0;
		_exit(create(self, &wanted) != -1 || errno != EMFILE);
	}
	EXPECT_EQ(0, dt_wait(pid));
	EXPECT_EQ(self->fs.before.vcpus, dt_counter("vcpus"));
	EXPECT_FALSE(exists(self, 0));
}

TEST_F(vcpu, number_is_taken_or_replaced)
{
	int old = dt_vcpu(&self->fs, self->vm, 3, ENTRIES);
	char *at = dt_map(old, dt_page);
	struct disco_vcpu_create new = request(self, 3);
	struct disco_vcpu_stat stat;

	EXPECT_ERRNO(EEXIST, create(self, &new));
	new.nr_entries = 2 * ENTRIES;
	new.flags = DISCO_VCPU_REPLACE;
	ASSERT_OK(create(self, &new));
	ASSERT_OK(find(self, 3, 0, &stat));
	EXPECT_EQ(2 * ENTRIES, stat.out_nr_entries);

	/* The old one can be used on, and its end does not touch the new. */
	EXPECT_EQ(self->fs.before.vcpus + 2, dt_counter("vcpus"));
	*(volatile char *)at = 1;
	dt_unmap(at, dt_page);
	dt_close(old);
	EXPECT_TRUE(DT_UNTIL(dt_counter("vcpus") ==
			     self->fs.before.vcpus + 1, 10));
	ASSERT_OK(find(self, 3, 0, &stat));
	EXPECT_EQ(2 * ENTRIES, stat.out_nr_entries);
	close(new.out_fd);
	EXPECT_FALSE(exists(self, 3));

	/* With nobody to replace it is the same as without the flag. */
	ASSERT_OK(create(self, &new));
	EXPECT_TRUE(exists(self, 3));
	close(new.out_fd);
}

/* Numbers belong to a VM, and a clone of its memory has none. */
TEST_F(vcpu, list)
{
	const uint32_t numbers[] = { 1023, 0, 7, 6 }, sorted[] = { 0, 6, 7, 1023 };
	int other = dt_create(&self->fs, "other", dt_page), i;
	struct disco_vcpu_stat stat;
	uint32_t next = 0;

	EXPECT_EQ(ENOENT, find(self, 0, DISCO_VCPU_NEXT, &stat));
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		dt_vcpu(&self->fs, self->vm, numbers[i], 16);
	dt_vcpu(&self->fs, other, 5, 16);
	ASSERT_OK(dt_clone(other, self->vm));
	for (i = 0; !find(self, next, DISCO_VCPU_NEXT, &stat); i++) {
		ASSERT_GT(ARRAY_SIZE(sorted), i);
		EXPECT_EQ(sorted[i], stat.out_vcpu);
		next = stat.out_vcpu + 1;
	}
	EXPECT_EQ(ARRAY_SIZE(sorted), i);
	EXPECT_EQ(ENOENT, find(self, 5, 0, &stat));
	EXPECT_EQ(ENOENT, find(self, UINT_MAX, DISCO_VCPU_NEXT, &stat));
	self->vm = other;
	ASSERT_OK(find(self, 0, DISCO_VCPU_NEXT, &stat));
	EXPECT_EQ(5, stat.out_vcpu);
}

TEST_F(vcpu, mapping)
{
	int fd = dt_vcpu(&self->fs, self->vm, 0, ENTRIES);
	size_t bytes = table_bytes(ENTRIES);
	const struct {
		size_t offset, size;
		int flags;
	} bad[] = {
		{ 0, bytes, MAP_PRIVATE },
		{ 0, bytes + dt_page, MAP_SHARED },
		{ dt_page, bytes, MAP_SHARED },
		{ bytes, dt_page, MAP_SHARED },
		{ (1UL << 62) - dt_page, 2 * dt_page, MAP_SHARED },
	};
	char *at, *tail, buffer[8] = { 0 };

	for (int i = 0; i < ARRAY_SIZE(bad); i++) {
		errno = 0;
		EXPECT_EQ(MAP_FAILED, mmap(NULL, bad[i].size,
					   PROT_READ | PROT_WRITE, bad[i].flags,
					   fd, bad[i].offset));
		EXPECT_EQ(EINVAL, errno);
	}
	EXPECT_ERRNO(EINVAL, read(fd, buffer, sizeof(buffer)));
	EXPECT_ERRNO(EINVAL, write(fd, buffer, sizeof(buffer)));
	EXPECT_ERRNO(ENOTTY, ioctl(fd, DISCO_QUERY, buffer));

	at = dt_map(fd, bytes);
	tail = mmap(NULL, dt_page, PROT_READ, MAP_SHARED, fd, bytes - dt_page);
	ASSERT_NE(MAP_FAILED, tail);
	at[bytes - 1] = 'x';
	EXPECT_EQ('x', tail[dt_page - 1]);
	ASSERT_OK(madvise(at, bytes, MADV_DONTNEED));
	EXPECT_EQ('x', at[bytes - 1]);
	EXPECT_EQ(SIGSEGV, dt_touch(tail, true));
	errno = 0;
	EXPECT_EQ(MAP_FAILED, mremap(at, bytes, bytes + dt_page, MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, errno);
	munmap(tail, dt_page);
}

TEST_F(vcpu, lives_while_it_is_mapped)
{
	int fd = dt_vcpu(&self->fs, self->vm, 0, ENTRIES);
	char *at = dt_map(fd, table_bytes(ENTRIES));

	dt_close(fd);
	EXPECT_TRUE(exists(self, 0));
	at[table_bytes(ENTRIES) - 1] = 1;
	dt_unmap(at, table_bytes(ENTRIES));
	EXPECT_FALSE(exists(self, 0));
	EXPECT_EQ(self->fs.before.vcpu_bytes, dt_counter("vcpu_bytes"));
}

/* A child has the same table; the VCPU is there until both have gone. */
TEST_F(vcpu, fork)
{
	int fd = dt_vcpu(&self->fs, self->vm, 0, ENTRIES);
	struct disco_l2tlb_header *hdr = (void *)dt_map(fd, dt_page);
	struct disco_vcpu_stat stat;
	int end[2];
	char byte;
	pid_t pid;

	ASSERT_OK(pipe(end));
	pid = dt_fork();
	if (!pid) {
		close(end[1]);
		hdr->counters.hits = 77;
		_exit(read(end[0], &byte, 1) != 0);
	}
	close(end[0]);
	ASSERT_TRUE(DT_UNTIL(*(volatile __u64 *)&hdr->counters.hits == 77, 10));
	dt_unmap(hdr, dt_page);
	dt_close(fd);
	ASSERT_OK(find(self, 0, 0, &stat));
	EXPECT_EQ(77, stat.out_hits);
	close(end[1]);
	EXPECT_EQ(0, dt_wait(pid));
	EXPECT_TRUE(DT_UNTIL(!exists(self, 0), 10));
}

TEST_F(vcpu, goes_with_a_killed_monitor)
{
	pid_t pid = dt_fork();

	if (!pid) {
		struct disco_vcpu_create own = request(self, 0);

		if (create(self, &own))
			_exit(1);
		*dt_map(own.out_fd, own.out_bytes) = 1;
		for (;;)
			pause();
	}
	ASSERT_TRUE(DT_UNTIL(exists(self, 0), 10));
	ASSERT_OK(kill(pid, SIGKILL));
	EXPECT_EQ(128 + SIGKILL, dt_wait(pid));
	EXPECT_FALSE(exists(self, 0));
	EXPECT_EQ(self->fs.before.vcpus, dt_counter("vcpus"));
	EXPECT_EQ(self->fs.before.vcpu_bytes, dt_counter("vcpu_bytes"));
}

/* Whoever may read the VM may look; whoever may not has no descriptor of it. */
TEST_F(vcpu, reader_may_look)
{
	int fd = dt_vcpu(&self->fs, self->vm, 0, ENTRIES);
	struct disco_vcpu_entry entries[ENTRIES];
	struct disco_vcpu_dump all;
	struct disco_vcpu_stat stat;

	self->vm = dt_open(&self->fs, "vm", O_RDONLY);
	EXPECT_EQ(0, find(self, 0, 0, &stat));
	all = dump_request(self, entries, ENTRIES);
	EXPECT_EQ(0, dump(self, &all));
	EXPECT_LE(0, fd);
}

/* Nodes of all pages of a mapping; -1 where they differ. */
static int node_of(const char *at, size_t bytes)
{
	int node = -2;

	for (size_t offset = 0; offset < bytes; offset += dt_page) {
		void *page = (void *)(at + offset);
		int status = -1;

		(void)*(volatile const char *)page;
		if (syscall(SYS_move_pages, 0, 1, &page, NULL, &status, 0))
			dt_die("move_pages");
		if (node != -2 && status != node)
			return -1;
		node = status;
	}
	return node;
}

TEST_F(vcpu, memory_is_on_the_node)
{
	struct disco_vcpu_create wanted = request(self, 0);
	struct disco_vcpu_stat stat;
	int nodes = 0;

	wanted.nr_entries = 16384;
	for (int node = 0; node < NODES; node++) {
		char *at;

		wanted.node = node;
		if (create(self, &wanted)) {
			ASSERT_EQ(EINVAL, errno);
			continue;
		}
		nodes++;
		at = dt_map(wanted.out_fd, wanted.out_bytes);
		EXPECT_EQ(node, node_of(at, wanted.out_bytes));
		ASSERT_OK(find(self, 0, 0, &stat));
		EXPECT_EQ(node, stat.out_node);
		EXPECT_EQ(0, stat.out_bytes_away);
		dt_unmap(at, wanted.out_bytes);
		close(wanted.out_fd);
	}
	EXPECT_LE(1, nodes);
	TH_LOG("%d nodes", nodes);
}

/* Without a node it is that of the CPU, whichever thread maps it later. */
TEST_F(vcpu, memory_is_where_the_creator_runs)
{
	struct disco_vcpu_create wanted = request(self, 0);
	cpu_set_t before, one;

	ASSERT_OK(sched_getaffinity(0, sizeof(before), &before));
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		unsigned int node;
		char *at;

		if (!CPU_ISSET(cpu, &before))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		ASSERT_OK(sched_setaffinity(0, sizeof(one), &one));
		ASSERT_OK(syscall(SYS_getcpu, NULL, &node, NULL));
		ASSERT_OK(create(self, &wanted));
		ASSERT_OK(sched_setaffinity(0, sizeof(before), &before));
		at = dt_map(wanted.out_fd, wanted.out_bytes);
		EXPECT_EQ((int)node, node_of(at, wanted.out_bytes));
		dt_unmap(at, wanted.out_bytes);
		close(wanted.out_fd);
	}
}

#define ROUNDS 300

static void *make_and_close(void *data)
{
	FIXTURE_DATA(vcpu) *self = data;

	for (int i = 0; i < ROUNDS; i++) {
		struct disco_vcpu_create mine = request(self, i % 2);
		char *at;

		mine.flags = i % 3 ? DISCO_VCPU_REPLACE : 0;
		if (create(self, &mine)) {
			if (errno != EEXIST)
				return "create";
			continue;
		}
		at = mmap(NULL, mine.out_bytes, PROT_READ | PROT_WRITE,
			  MAP_SHARED, mine.out_fd, 0);
		close(mine.out_fd);
		if (at == MAP_FAILED)
			return "mmap";
		((struct disco_l2tlb_header *)at)->counters.hits = 1;
		munmap(at, mine.out_bytes);
	}
	return NULL;
}

static void *look(void *data)
{
	FIXTURE_DATA(vcpu) *self = data;
	struct disco_vcpu_entry entries[ENTRIES];
	struct disco_vcpu_stat stat;

	for (int i = 0; i < ROUNDS; i++) {
		struct disco_vcpu_dump all = dump_request(self, entries, ENTRIES);
		int error = find(self, 0, i & 1, &stat);

		if (error && error != ENOENT)
			return "stat";
		if (!error && stat.out_hits > 1)
			return "hits";
		all.vcpu = i % 2;
		if (dump(self, &all) ? errno != ENOENT : all.out_nr)
			return "dump";
	}
	return NULL;
}

/* Threads that make, replace, close and look, all at once. */
TEST_F(vcpu, race)
{
	pthread_t threads[5];
	void *what;

	for (int i = 0; i < ARRAY_SIZE(threads); i++)
		ASSERT_OK(pthread_create(&threads[i], NULL,
					 i < 3 ? make_and_close : look, self));
	for (int i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_OK(pthread_join(threads[i], &what));
		EXPECT_EQ(NULL, what) {
			TH_LOG("%s: %s", (char *)what, strerror(errno));
		}
	}
	EXPECT_FALSE(exists(self, 0));
	EXPECT_FALSE(exists(self, 1));
}

TEST_HARNESS_MAIN
