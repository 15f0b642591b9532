// SPDX-License-Identifier: GPL-2.0-only
/* FICLONE: the same memory, a VM of its own. */
#define _GNU_SOURCE
#include "fixture.h"

#include <linux/fs.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/uio.h>

#define PAGES 16
#define SIZE (PAGES * dt_page)

DISCO_FIXTURE(clone, NULL);

TEST_F(clone, contents_and_footprint)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);
	long pages;

	for (int i = 0; i < PAGES; i += 2)
		dt_fill(at + i * dt_page, 1, i);
	dt_touch(at + dt_page, false);
	/* The old contents of the destination are dropped. */
	dt_fill_run(at_other, 2, 0, PAGES);
	pages = dt_counter("machine_pages");
	ASSERT_OK(dt_clone(other, vm));
	EXPECT_EQ(pages - PAGES, dt_counter("machine_pages"));
	for (int i = 0; i < PAGES; i++) {
		if (i % 2) {
			EXPECT_TRUE(dt_is_zero(at_other + i * dt_page, dt_page));
			EXPECT_TRUE(dt_is_zero(at + i * dt_page, dt_page));
		} else {
			EXPECT_TRUE(dt_is_filled(at_other + i * dt_page, 1, i));
			EXPECT_TRUE(dt_is_filled(at + i * dt_page, 1, i));
			EXPECT_EQ(dt_pmap(&self->fs, vm, i).pfn,
				  dt_pmap(&self->fs, other, i).pfn);
		}
	}
	EXPECT_EQ(PAGES / 2 * dt_page, dt_stat(&self->fs, vm).out_shared);
	EXPECT_EQ(PAGES / 2 * dt_page, dt_stat(&self->fs, other).out_shared);
	EXPECT_EQ(pages - PAGES, dt_counter("machine_pages"));
}

TEST_F(clone, each_side_writes_for_itself)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);
	char *buffer = malloc(dt_page);

	dt_fill_run(at, 1, 0, PAGES);
	ASSERT_OK(dt_clone(other, vm));
	EXPECT_TRUE(dt_run_is_filled(at_other, 1, 0, PAGES));
	dt_fill(at, 2, 0);			/* store, mapped */
	dt_fill(at_other + dt_page, 3, 1);	/* the same in the clone */
	dt_fill(buffer, 4, 2);			/* write */
	ASSERT_EQ(dt_page, pwrite(vm, buffer, dt_page, 2 * dt_page));
	dt_fill(buffer, 5, 3);
	ASSERT_EQ(dt_page, pwrite(other, buffer, dt_page, 3 * dt_page));
	at[4 * dt_page + 9] ^= 1;		/* one byte: the rest is copied */
	ASSERT_EQ(1, pwrite(other, "x", 1, 5 * dt_page + 9));
	ASSERT_OK(dt_punch(vm, 6 * dt_page, dt_page));
	ASSERT_OK(dt_punch(other, 7 * dt_page, dt_page));

	EXPECT_TRUE(dt_is_filled(at, 2, 0));
	EXPECT_TRUE(dt_is_filled(at_other, 1, 0));
	EXPECT_TRUE(dt_is_filled(at + dt_page, 1, 1));
	EXPECT_TRUE(dt_is_filled(at_other + dt_page, 3, 1));
	EXPECT_TRUE(dt_is_filled(at + 2 * dt_page, 4, 2));
	EXPECT_TRUE(dt_is_filled(at_other + 2 * dt_page, 1, 2));
	EXPECT_TRUE(dt_is_filled(at + 3 * dt_page, 1, 3));
	EXPECT_TRUE(dt_is_filled(at_other + 3 * dt_page, 5, 3));
	at[4 * dt_page + 9] ^= 1;
	EXPECT_TRUE(dt_is_filled(at + 4 * dt_page, 1, 4));
	EXPECT_TRUE(dt_is_filled(at_other + 4 * dt_page, 1, 4));
	EXPECT_EQ('x', at_other[5 * dt_page + 9]);
	at_other[5 * dt_page + 9] = at[5 * dt_page + 9];
	EXPECT_TRUE(dt_is_filled(at + 5 * dt_page, 1, 5));
	EXPECT_TRUE(dt_is_filled(at_other + 5 * dt_page, 1, 5));
	EXPECT_TRUE(dt_is_zero(at + 6 * dt_page, dt_page));
	EXPECT_TRUE(dt_is_filled(at_other + 6 * dt_page, 1, 6));
	EXPECT_TRUE(dt_is_filled(at + 7 * dt_page, 1, 7));
	EXPECT_TRUE(dt_is_zero(at_other + 7 * dt_page, dt_page));
	free(buffer);
}

TEST_F(clone, destination_takes_the_size_of_the_source)
{
	int vm = dt_create(&self->fs, "vm", SIZE - 100);
	int empty = dt_create(&self->fs, "empty", 0);
	int smaller = dt_create(&self->fs, "smaller", dt_page + 7);
	char *at = dt_map(vm, SIZE);

	dt_fill_run(at, 1, 0, PAGES - 1);
	ASSERT_OK(dt_clone(empty, vm));
	ASSERT_OK(dt_clone(smaller, vm));
	EXPECT_EQ(SIZE - 100, lseek(empty, 0, SEEK_END));
	EXPECT_EQ(SIZE - 100, lseek(smaller, 0, SEEK_END));
	EXPECT_EQ(0, memcmp(at, dt_map(empty, SIZE), SIZE));
	EXPECT_EQ(0, memcmp(at, dt_map(smaller, SIZE), SIZE));
}

TEST_F(clone, refusals_change_nothing)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int larger = dt_create(&self->fs, "larger", SIZE + 1);
	int other = dt_create(&self->fs, "other", SIZE);
	int reader = dt_open(&self->fs, "other", O_RDONLY);
	int writer = dt_open(&self->fs, "vm", O_WRONLY);
	int ram = open(self->fs.ram, O_RDONLY | O_DIRECTORY);
	int memfd = memfd_create("memfd", 0);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);
	char *at_larger = dt_map(larger, SIZE);
	struct file_clone_range part = { .src_fd = vm, .src_length = dt_page };
	struct dt_fs elsewhere;
	int foreign;

	dt_fill_run(at, 1, 0, PAGES);
	dt_fill_run(at_other, 2, 0, PAGES);
	dt_fill_run(at_larger, 3, 0, PAGES);
	dt_fs_open(&elsewhere, "elsewhere", NULL);
	foreign = dt_create(&elsewhere, "foreign", SIZE);
	ASSERT_OK(ftruncate(memfd, SIZE));

	EXPECT_ERRNO(EINVAL, dt_clone(larger, vm));
	EXPECT_EQ(SIZE + 1, lseek(larger, 0, SEEK_END));
	EXPECT_ERRNO(EXDEV, dt_clone(foreign, vm));
	EXPECT_ERRNO(EXDEV, dt_clone(vm, foreign));
	EXPECT_ERRNO(EXDEV, dt_clone(vm, memfd));
	EXPECT_ERRNO(EBADF, dt_clone(reader, vm));
	EXPECT_ERRNO(EBADF, dt_clone(other, writer));
	EXPECT_ERRNO(EBADF, dt_clone(other, -1));
	EXPECT_ERRNO(EISDIR, dt_clone(other, ram));
	EXPECT_ERRNO(EINVAL, dt_clone(vm, vm));
	EXPECT_ERRNO(EINVAL, ioctl(other, FICLONERANGE, &part));
	part.src_length = 0;
	part.dest_offset = dt_page;
	EXPECT_ERRNO(EINVAL, ioctl(other, FICLONERANGE, &part));

	EXPECT_TRUE(dt_run_is_filled(at, 1, 0, PAGES));
	EXPECT_TRUE(dt_run_is_filled(at_other, 2, 0, PAGES));
	EXPECT_TRUE(dt_run_is_filled(at_larger, 3, 0, PAGES));
	EXPECT_EQ(0, dt_stat(&self->fs, vm).out_shared);
	close(ram);
	close(memfd);
	EXPECT_TRUE(dt_fs_close(&elsewhere));
}

TEST_F(clone, users_are_in_the_memmap)
{
	int fds[9];
	struct disco_memmap_user users[9];
	char name[16], *at;
	uint64_t pfn;

	for (int i = 0; i < 9; i++) {
		snprintf(name, sizeof(name), "vm%d", i);
		fds[i] = dt_create(&self->fs, name, SIZE);
	}
	at = dt_map(fds[0], SIZE);
	dt_fill(at + 3 * dt_page, 1, 3);
	pfn = dt_pmap(&self->fs, fds[0], 3).pfn;
	for (int i = 1; i < 9; i++)
		ASSERT_OK(dt_clone(fds[i], fds[i - 1]));
	ASSERT_EQ(9, dt_memmap(&self->fs, pfn, users, 9));
	for (int i = 0; i < 9; i++) {
		uint32_t id = dt_stat(&self->fs, fds[i]).out_id;
		int found = 0;

		EXPECT_EQ(9, dt_pmap(&self->fs, fds[i], 3).users);
		for (int j = 0; j < 9; j++)
			found += users[j].vm_id == id && users[j].gfn == 3;
		EXPECT_EQ(1, found);
	}
	/* They leave one by one: writing, punching, truncating, unlinking. */
	dt_fill(at + 3 * dt_page, 2, 3);
	EXPECT_EQ(8, dt_memmap(&self->fs, pfn, users, 9));
	ASSERT_OK(dt_punch(fds[1], 3 * dt_page, dt_page));
	EXPECT_EQ(7, dt_memmap(&self->fs, pfn, users, 9));
	ASSERT_OK(ftruncate(fds[2], 0));
	EXPECT_EQ(6, dt_memmap(&self->fs, pfn, users, 9));
	dt_unlink(&self->fs, "vm3");
	dt_close(fds[3]);
	EXPECT_TRUE(DT_UNTIL(dt_memmap(&self->fs, pfn, users, 9) == 5, 10));
	/* Cloning over it drops what it had. */
	ASSERT_OK(dt_clone(fds[4], fds[1]));
	EXPECT_EQ(4, dt_memmap(&self->fs, pfn, users, 9));
	for (int i = 5; i < 9; i++)
		EXPECT_TRUE(dt_is_filled(dt_map(fds[i], SIZE) + 3 * dt_page, 1,
					 3));
}

TEST_F(clone, last_user_takes_the_page_over)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);
	long copies, reuses, pages;
	uint64_t pfn;

	dt_fill(at, 1, 0);
	pfn = dt_pmap(&self->fs, vm, 0).pfn;
	ASSERT_OK(dt_clone(other, vm));
	copies = dt_counter("shared_to_private_copy");
	reuses = dt_counter("shared_to_private_reuse");
	pages = dt_counter("machine_pages");

	at[0] ^= 1;
	EXPECT_EQ(copies + 1, dt_counter("shared_to_private_copy"));
	EXPECT_EQ(pages + 1, dt_counter("machine_pages"));
	EXPECT_NE(pfn, dt_pmap(&self->fs, vm, 0).pfn);

	EXPECT_TRUE(dt_is_filled(at_other, 1, 0));
	at_other[1] ^= 1;
	EXPECT_EQ(reuses + 1, dt_counter("shared_to_private_reuse"));
	EXPECT_EQ(copies + 1, dt_counter("shared_to_private_copy"));
	EXPECT_EQ(pages + 1, dt_counter("machine_pages"));
	EXPECT_EQ(pfn, dt_pmap(&self->fs, other, 0).pfn);
	EXPECT_EQ(DISCO_PAGE_PRIVATE, dt_pmap(&self->fs, other, 0).state);
	EXPECT_EQ(1, dt_memmap(&self->fs, pfn, NULL, 0));
}

TEST_F(clone, clones_of_clones)
{
	int fds[3];
	char *at[3], name[8];

	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "vm%d", i);
		fds[i] = dt_create(&self->fs, name, SIZE);
		at[i] = dt_map(fds[i], SIZE);
	}
	dt_fill_run(at[0], 1, 0, PAGES);
	for (int round = 0; round < 20; round++) {
		int from = round % 3, to = (round + 1) % 3;

		ASSERT_OK(dt_clone(fds[to], fds[from]));
		EXPECT_TRUE(dt_run_is_filled(at[to], round + 1, 0, PAGES));
		dt_fill_run(at[to], round + 2, 0, PAGES);
		EXPECT_TRUE(dt_run_is_filled(at[from], round + 1, 0, PAGES));
	}
}

/* Many more users than any small number a page could keep in itself. */
TEST_F(clone, many_users)
{
	enum { USERS = 200 };
	int vm = dt_create(&self->fs, "vm", 2 * dt_page);
	char *at = dt_map(vm, 2 * dt_page), name[16];
	uint64_t pfn;

	dt_fill(at, 1, 0);
	pfn = dt_pmap(&self->fs, vm, 0).pfn;
	for (int i = 0; i < USERS; i++) {
		snprintf(name, sizeof(name), "vm%d", i);
		int other = dt_create(&self->fs, name, 0);

		ASSERT_OK(dt_clone(other, vm));
		dt_close(other);
	}
	EXPECT_EQ(USERS + 1, dt_memmap(&self->fs, pfn, NULL, 0));
	EXPECT_EQ(self->fs.before.machine_pages + 1,
		  dt_counter("machine_pages"));
	for (int i = 0; i < USERS; i++) {
		snprintf(name, sizeof(name), "vm%d", i);
		if (i % 2)
			dt_unlink(&self->fs, name);
	}
	EXPECT_TRUE(DT_UNTIL(dt_memmap(&self->fs, pfn, NULL, 0) ==
			     USERS / 2 + 1, 10));
}

/* Past what the list of a page's users can hold, a clone gets a copy. */
TEST_F(clone, more_users_than_can_be_listed)
{
	enum { USERS = 700 };
	int vm = dt_create(&self->fs, "vm", dt_page);
	char *at = dt_map(vm, dt_page), name[16];
	long full = dt_counter("refused_users_full"), copies;
	unsigned int listed;
	int other = -1;

	dt_fill(at, 1, 0);
	for (int i = 0; i < USERS; i++) {
		if (other >= 0)
			dt_close(other);
		snprintf(name, sizeof(name), "vm%d", i);
		other = dt_create(&self->fs, name, 0);
		ASSERT_OK(dt_clone(other, vm));
	}
	copies = dt_counter("refused_users_full") - full;
	listed = dt_pmap(&self->fs, vm, 0).users;
	EXPECT_LT(0, copies);
	EXPECT_EQ(USERS + 1, listed + copies);
	EXPECT_EQ(self->fs.before.machine_pages + 1 + copies,
		  dt_counter("machine_pages"));
	EXPECT_EQ(DISCO_PAGE_PRIVATE, dt_pmap(&self->fs, other, 0).state);
	EXPECT_TRUE(dt_is_filled(dt_map(other, dt_page), 1, 0));
}

/* A page that a device may be writing to right now belongs to the source. */
TEST_F(clone, pinned_page_is_copied)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);
	struct iovec page = { at + 2 * dt_page, dt_page };
	char *buffer = malloc(dt_page);
	long refused = dt_counter("refused_pinned");
	int pipe_fds[2];
	uint64_t pfn;

	dt_fill_run(at, 1, 0, PAGES);
	pfn = dt_pmap(&self->fs, vm, 2).pfn;
	ASSERT_OK(pipe(pipe_fds));
	ASSERT_EQ(dt_page, vmsplice(pipe_fds[1], &page, 1, 0));
	ASSERT_OK(dt_clone(other, vm));
	EXPECT_LT(refused, dt_counter("refused_pinned"));
	EXPECT_EQ(DISCO_PAGE_PRIVATE, dt_pmap(&self->fs, vm, 2).state);
	EXPECT_EQ(DISCO_PAGE_PRIVATE, dt_pmap(&self->fs, other, 2).state);
	EXPECT_EQ(pfn, dt_pmap(&self->fs, vm, 2).pfn);
	EXPECT_NE(pfn, dt_pmap(&self->fs, other, 2).pfn);
	EXPECT_EQ(DISCO_PAGE_SHARED, dt_pmap(&self->fs, vm, 1).state);
	EXPECT_TRUE(dt_run_is_filled(at_other, 1, 0, PAGES));

	/* The pin and the source still look at one page. */
	dt_fill(at + 2 * dt_page, 7, 2);
	ASSERT_EQ(dt_page, read(pipe_fds[0], buffer, dt_page));
	EXPECT_TRUE(dt_is_filled(buffer, 7, 2));
	EXPECT_TRUE(dt_is_filled(at_other + 2 * dt_page, 1, 2));
	free(buffer);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* Threads of the VM that is cloned while they run. */
struct runner {
	char *at;		/* where it writes */
	uint64_t tag;		/* in the upper half of all its words */
	unsigned int first;	/* of its two pages */
	bool stop;
	pthread_t thread;
};

/* Writes 1, 2, 3, ... to the first word of one page, then of the other. */
static void *run(void *data)
{
	struct runner *r = data;
	volatile uint64_t *a = (void *)(r->at + r->first * dt_page);
	volatile uint64_t *b = (void *)(r->at + (r->first + 1) * dt_page);

	for (uint64_t i = 1; !__atomic_load_n(&r->stop, __ATOMIC_RELAXED); i++) {
		*a = r->tag | i;
		*b = r->tag | i;
	}
	return NULL;
}

static void start(struct runner *r, int nr, char *at, uint64_t tag)
{
	for (int i = 0; i < nr; i++) {
		r[i] = (struct runner){
			.at = at, .tag = tag << 32, .first = 2 * i,
		};
		if (pthread_create(&r[i].thread, NULL, run, &r[i]))
			dt_die("pthread_create");
	}
}

static void stop(struct runner *r, int nr)
{
	for (int i = 0; i < nr; i++)
		__atomic_store_n(&r[i].stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < nr; i++)
		pthread_join(r[i].thread, NULL);
}

/*
 * The source runs on while it is cloned. The clone is what the source was at
 * one moment: each thread's second page is as new as its first or one step
 * behind. Then the clone never changes by itself, and what runs in the clone
 * never shows in the source.
 */
TEST_F(clone, while_the_source_and_the_clone_run)
{
	enum { THREADS = 3, ROUNDS = 25 };
	int vm = dt_create(&self->fs, "vm", SIZE);
	int frozen = dt_create(&self->fs, "frozen", SIZE);
	int busy = dt_create(&self->fs, "busy", SIZE);
	char *at = dt_map(vm, SIZE), *at_frozen = dt_map(frozen, SIZE);
	char *at_busy = dt_map(busy, SIZE), *seen = malloc(SIZE);
	struct runner in_vm[THREADS], in_busy[THREADS];

	dt_fill_run(at, 1, 0, PAGES);
	for (int i = 0; i < 2 * THREADS; i++)
		*(uint64_t *)(at + i * dt_page) = 1ULL << 32;
	start(in_vm, THREADS, at, 1);
	for (int round = 0; round < ROUNDS; round++) {
		/* Wait until the source has moved on. */
		uint64_t was = *(volatile uint64_t *)at;

		ASSERT_TRUE(DT_UNTIL(*(volatile uint64_t *)at != was, 30));
		ASSERT_OK(dt_clone(frozen, vm));
		ASSERT_OK(dt_clone(busy, vm));
		memcpy(seen, at_frozen, SIZE);
		start(in_busy, THREADS, at_busy, 2);
		for (int i = 0; i < THREADS; i++) {
			uint64_t a = *(uint64_t *)(seen + 2 * i * dt_page);
			uint64_t b = *(uint64_t *)(seen +
						   (2 * i + 1) * dt_page);

			EXPECT_EQ(1, a >> 32);
			EXPECT_EQ(1, b >> 32);
			EXPECT_TRUE(a == b || a == b + 1) {
				TH_LOG("not one moment: %jx %jx",
				       (uintmax_t)a, (uintmax_t)b);
			}
		}
		was = *(volatile uint64_t *)at;
		ASSERT_TRUE(DT_UNTIL(*(volatile uint64_t *)at != was, 30));
		EXPECT_EQ(0, memcmp(seen, at_frozen, SIZE));
		for (int i = 0; i < 2 * THREADS; i++) {
			EXPECT_EQ(1, *(volatile uint64_t *)(at + i * dt_page)
				     >> 32);
			/* Nothing but the first words was written. */
			EXPECT_EQ(0, memcmp(at + i * dt_page + 8,
					    at_frozen + i * dt_page + 8,
					    dt_page - 8));
		}
		stop(in_busy, THREADS);
	}
	stop(in_vm, THREADS);
	for (int i = 2 * THREADS; i < PAGES; i++)
		EXPECT_TRUE(dt_is_filled(at + i * dt_page, 1, i));
	EXPECT_TRUE(dt_check(self->fs.control, vm));
	free(seen);
}

static void *clone_for_ever(void *data)
{
	int *fds = data;

	while (!__atomic_load_n(&fds[2], __ATOMIC_RELAXED))
		if (dt_clone(fds[1], fds[0]))
			dt_die("clone against clone");
	return NULL;
}

/* A to B, B to A, and both again: whoever locks in another order hangs. */
TEST_F(clone, against_each_other)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int other = dt_create(&self->fs, "other", SIZE);
	int fds[4][3] = { { vm, other }, { other, vm }, { vm, other },
			  { other, vm } };
	char *at = dt_map(vm, SIZE), *at_other = dt_map(other, SIZE);
	pthread_t threads[4];

	dt_fill_run(at, 1, 0, PAGES);
	dt_fill_run(at_other, 1, 0, PAGES);
	for (int i = 0; i < 4; i++)
		ASSERT_OK(pthread_create(&threads[i], NULL, clone_for_ever,
					 fds[i]));
	for (double end = dt_now() + 3; dt_now() < end;) {
		at[0] = 7;
		at_other[dt_page] = 7;
	}
	for (int i = 0; i < 4; i++)
		__atomic_store_n(&fds[i][2], 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 2; i < PAGES; i++) {
		EXPECT_TRUE(dt_is_filled(at + i * dt_page, 1, i));
		EXPECT_TRUE(dt_is_filled(at_other + i * dt_page, 1, i));
	}
}

TEST_HARNESS_MAIN
