// SPDX-License-Identifier: GPL-2.0-only
/* Memory as a monitor maps it: faults, views, fork, mremap, madvise. */
#define _GNU_SOURCE
#include "fixture.h"

#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#define PAGES 16
#define SIZE (PAGES * dt_page)

DISCO_FIXTURE(map, NULL);

TEST_F(map, holes_read_as_zeros)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	const char *at = dt_map(vm, SIZE);

	EXPECT_TRUE(dt_is_zero(at, SIZE));
	EXPECT_EQ(0, dt_stat(&self->fs, vm).out_private);
	for (int i = 0; i < PAGES; i++)
		EXPECT_EQ(DISCO_PAGE_ZERO, dt_pmap(&self->fs, vm, i).state);
	EXPECT_EQ(self->fs.before.machine_pages, dt_counter("machine_pages"));
}

TEST_F(map, writes_fill_private_pages)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);

	/* Half of them after a read, half as holes. */
	for (int i = 0; i < PAGES; i += 2)
		EXPECT_EQ(0, dt_touch(at + i * dt_page, false));
	for (int i = 0; i < PAGES; i++) {
		at[i * dt_page + i] = i + 1;
		EXPECT_EQ(DISCO_PAGE_PRIVATE, dt_pmap(&self->fs, vm, i).state);
	}
	for (int i = 0; i < PAGES; i++) {
		EXPECT_EQ(i + 1, at[i * dt_page + i]);
		at[i * dt_page + i] = 0;
	}
	EXPECT_TRUE(dt_is_zero(at, SIZE));
	EXPECT_EQ(SIZE, dt_stat(&self->fs, vm).out_private);
	EXPECT_EQ(self->fs.before.machine_pages + PAGES,
		  dt_counter("machine_pages"));
}

TEST_F(map, transitions_are_counted)
{
	static const char * const names[] = {
		"hole_to_zero", "zero_to_private", "hole_to_private",
		"private_to_hole", "zero_to_hole",
	};
	const long grown[] = { 2, 1, 3, 4, 1 };
	int vm = dt_create(&self->fs, "vm", SIZE);
	volatile char *at = dt_map(vm, SIZE);
	long before[ARRAY_SIZE(names)];

	for (int i = 0; i < ARRAY_SIZE(names); i++)
		before[i] = dt_counter(names[i]);
	dt_touch(at, false);
	dt_touch(at + dt_page, false);
	at[0] = 1;
	for (int i = 2; i < 5; i++)
		at[i * dt_page] = 1;
	ASSERT_OK(dt_punch(vm, 0, SIZE));
	for (int i = 0; i < ARRAY_SIZE(names); i++) {
		EXPECT_EQ(grown[i], dt_counter(names[i]) - before[i]) {
			TH_LOG("counter %s", names[i]);
		}
	}
}

TEST_F(map, past_the_end_is_sigbus)
{
	int vm = dt_create(&self->fs, "vm", 3 * dt_page + 1);
	char *at = dt_map(vm, SIZE);

	EXPECT_EQ(0, dt_touch(at + 3 * dt_page, true));
	/* The rest of the last page is there. */
	EXPECT_EQ(0, dt_touch(at + 4 * dt_page - 1, true));
	EXPECT_EQ(SIGBUS, dt_touch(at + 4 * dt_page, false));
	EXPECT_EQ(SIGBUS, dt_touch(at + 4 * dt_page, true));
	EXPECT_EQ(SIGBUS, dt_touch(at + SIZE - 1, false));

	ASSERT_OK(ftruncate(vm, 2 * dt_page));
	EXPECT_EQ(0, dt_touch(at + 2 * dt_page - 1, true));
	EXPECT_EQ(SIGBUS, dt_touch(at + 2 * dt_page, false));
	EXPECT_EQ(SIGBUS, dt_touch(at + 3 * dt_page, true));

	ASSERT_OK(ftruncate(vm, SIZE));
	EXPECT_EQ(0, dt_touch(at + SIZE - 1, true));
	EXPECT_TRUE(dt_is_zero(at, SIZE));

	/* Mapping beyond the end is no error, touching it is. */
	EXPECT_EQ(SIGBUS, dt_touch(dt_map(dt_create(&self->fs, "empty", 0),
					  dt_page), false));
}

static bool in_kernel_log(int log, const char *a, const char *b, const char *c)
{
	char line[8192];
	ssize_t got;

	while ((got = read(log, line, sizeof(line) - 1)) > 0 || errno == EPIPE) {
		if (got < 0)
			continue;
		line[got] = 0;
		if (strstr(line, a) && strstr(line, b) && strstr(line, c))
			return true;
	}
	return false;
}

TEST_F(map, private_mapping_is_refused_with_a_reason)
{
	int vm = dt_create(&self->fs, "refused-vm", SIZE);
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	long before = dt_counter("refused_private_mapping");
	const int protections[] = { PROT_READ, PROT_READ | PROT_WRITE };

	ASSERT_LE(0, log);
	lseek(log, 0, SEEK_END);
	ASSERT_OK(prctl(PR_SET_NAME, "naive-monitor"));
	for (int i = 0; i < 2; i++)
		EXPECT_ERRNO(EINVAL, mmap(NULL, SIZE, protections[i],
					  MAP_PRIVATE, vm, 0) == MAP_FAILED ?
				     -1 : 0);
	EXPECT_EQ(before + 2, dt_counter("refused_private_mapping"));
	EXPECT_TRUE(in_kernel_log(log, "naive-monitor", "refused-vm",
				  "share=on"));
	close(log);
}

TEST_F(map, mapping_flags)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	int reader = dt_open(&self->fs, "vm", O_RDONLY);
	char *at;

	EXPECT_ERRNO(EACCES, mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
				  MAP_SHARED, reader, 0) == MAP_FAILED ? -1 : 0);
	at = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, reader, 0);
	ASSERT_NE(MAP_FAILED, at);
	EXPECT_EQ(SIGSEGV, dt_touch(at, true));
	EXPECT_EQ(0, dt_touch(at, false));
	EXPECT_EQ(DISCO_PAGE_ZERO, dt_pmap(&self->fs, vm, 0).state);
	munmap(at, SIZE);

	/* The largest VM ends at 2^44, and the first view is far behind. */
	EXPECT_ERRNO(EINVAL, mmap(NULL, dt_page, PROT_READ, MAP_SHARED, vm,
				  1LL << 44) == MAP_FAILED ? -1 : 0);
	EXPECT_ERRNO(EINVAL, mmap(NULL, 2 * dt_page, PROT_READ, MAP_SHARED, vm,
				  (1LL << 44) - dt_page) == MAP_FAILED ? -1 : 0);

	at = mmap(NULL, 4 * dt_page, PROT_READ | PROT_WRITE, MAP_SHARED, vm,
		  8 * dt_page);
	ASSERT_NE(MAP_FAILED, at);
	dt_fill(at + dt_page, 1, 9);
	EXPECT_TRUE(dt_is_filled(dt_map(vm, SIZE) + 9 * dt_page, 1, 9));
	munmap(at, 4 * dt_page);

	/* A shared mapping is populated for reading: with zero pages. */
	at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		  vm, 0);
	ASSERT_NE(MAP_FAILED, at);
	EXPECT_EQ(dt_page, dt_stat(&self->fs, vm).out_private);
	for (int i = 0; i < PAGES; i++)
		EXPECT_NE(DISCO_PAGE_HOLE, dt_pmap(&self->fs, vm, i).state);
	/* A monitor that preallocates asks for this. */
	ASSERT_OK(madvise(at, SIZE, MADV_POPULATE_WRITE));
	EXPECT_EQ(SIZE, dt_stat(&self->fs, vm).out_private);
	EXPECT_TRUE(dt_is_filled(at + 9 * dt_page, 1, 9));
	munmap(at, SIZE);
}

/* All views show the same memory, whatever they saw before. */
TEST_F(map, views_agree)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *views[4];

	for (int v = 0; v < 4; v++) {
		views[v] = dt_map(vm, SIZE);
		EXPECT_TRUE(dt_is_zero(views[v], SIZE));
	}
	for (int i = 0; i < PAGES; i++)
		dt_fill(views[i % 4] + i * dt_page, 1, i);
	for (int v = 0; v < 4; v++)
		EXPECT_TRUE(dt_run_is_filled(views[v], 1, 0, PAGES));
}

/* A view that has zero pages mapped loses them, in whatever way they go. */
TEST_F(map, zero_pages_go)
{
	int other = dt_create(&self->fs, "other", SIZE);
	char *at_other = dt_map(other, SIZE);

	dt_fill_run(at_other, 1, 0, PAGES);
	for (int how = 0; how < 3; how++) {
		int vm = dt_create(&self->fs, "vm", SIZE);
		char *at = dt_map(vm, SIZE), *view = dt_map(vm, SIZE);

		EXPECT_TRUE(dt_is_zero(view, SIZE));
		switch (how) {
		case 0:
			ASSERT_OK(dt_punch(vm, 0, SIZE));
			break;
		case 1:
			ASSERT_OK(ftruncate(vm, 0));
			ASSERT_OK(ftruncate(vm, SIZE));
			break;
		case 2:
			ASSERT_OK(dt_clone(vm, other));
			break;
		}
		if (how < 2)
			dt_fill_run(at, 1, 0, PAGES);
		EXPECT_TRUE(dt_run_is_filled(view, 1, 0, PAGES));
		dt_unmap(at, SIZE);
		dt_unmap(view, SIZE);
		dt_close(vm);
		dt_unlink(&self->fs, "vm");
	}
}

TEST_F(map, fork_shares)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);
	pid_t pid;

	dt_fill(at, 1, 0);
	EXPECT_EQ(0, dt_touch(at + dt_page, false));
	pid = dt_fork();
	if (!pid) {
		if (!dt_is_filled(at, 1, 0))
			_exit(1);
		dt_fill(at + dt_page, 2, 1);
		dt_fill(at + 2 * dt_page, 2, 2);
		_exit(0);
	}
	EXPECT_EQ(0, dt_wait(pid));
	EXPECT_TRUE(dt_is_filled(at + dt_page, 2, 1));
	EXPECT_TRUE(dt_is_filled(at + 2 * dt_page, 2, 2));
}

TEST_F(map, mremap)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = mmap(NULL, 4 * dt_page, PROT_READ | PROT_WRITE, MAP_SHARED,
			vm, 0);
	char *moved;

	ASSERT_NE(MAP_FAILED, at);
	dt_fill_run(at, 1, 0, 4);
	moved = mremap(at, 4 * dt_page, SIZE, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, moved);
	EXPECT_TRUE(dt_run_is_filled(moved, 1, 0, 4));
	EXPECT_TRUE(dt_is_zero(moved + 4 * dt_page, SIZE - 4 * dt_page));

	/* A length of 0 makes a second view. */
	at = mremap(moved, 0, SIZE, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, at);
	dt_fill(at + 5 * dt_page, 1, 5);
	EXPECT_TRUE(dt_is_filled(moved + 5 * dt_page, 1, 5));
	munmap(at, SIZE);
	munmap(moved, SIZE);
}

TEST_F(map, mprotect)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);

	dt_fill(at, 1, 0);
	ASSERT_OK(mprotect(at, SIZE, PROT_READ));
	EXPECT_EQ(SIGSEGV, dt_touch(at, true));
	EXPECT_TRUE(dt_is_filled(at, 1, 0));
	ASSERT_OK(mprotect(at, SIZE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, dt_touch(at, true));
	EXPECT_EQ(0, dt_touch(at + dt_page, true));
	EXPECT_TRUE(dt_is_filled(at, 1, 0));
}

TEST_F(map, madvise)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);

	dt_fill_run(at, 1, 0, PAGES);
	/* Forgets the mapping, not the memory. */
	ASSERT_OK(madvise(at, 4 * dt_page, MADV_DONTNEED));
	EXPECT_TRUE(dt_run_is_filled(at, 1, 0, 4));
	/* Is a punch. */
	ASSERT_OK(madvise(at + 4 * dt_page, 4 * dt_page, MADV_REMOVE));
	EXPECT_TRUE(dt_is_zero(at + 4 * dt_page, 4 * dt_page));
	EXPECT_EQ((PAGES - 4) * dt_page, dt_stat(&self->fs, vm).out_private);
	/* What QEMU asks for by default must not hurt. */
	EXPECT_EQ(0, madvise(at, SIZE, MADV_DONTFORK));
	EXPECT_EQ(0, madvise(at, SIZE, MADV_DONTDUMP));
	madvise(at, SIZE, MADV_MERGEABLE);
	madvise(at, SIZE, MADV_HUGEPAGE);
	madvise(at, SIZE, MADV_COLD);
	madvise(at, SIZE, MADV_PAGEOUT);
	for (int i = 8; i < PAGES; i++)
		EXPECT_TRUE(dt_is_filled(at + i * dt_page, 1, i));
	EXPECT_EQ(0, msync(at, SIZE, MS_SYNC));
	EXPECT_EQ(0, fsync(vm));
}

/* The mem-lock of a monitor. */
TEST_F(map, mlock)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);

	ASSERT_OK(mlock(at, SIZE));
	for (int i = 0; i < PAGES; i++)
		EXPECT_NE(DISCO_PAGE_HOLE, dt_pmap(&self->fs, vm, i).state);
	dt_fill(at, 1, 0);
	ASSERT_OK(dt_punch(vm, dt_page, dt_page));
	EXPECT_TRUE(dt_is_zero(at + dt_page, dt_page));
	EXPECT_EQ(0, munlock(at, SIZE));
	EXPECT_TRUE(dt_is_filled(at, 1, 0));
}

/* A debugger looks into and changes the memory of a monitor. */
TEST_F(map, access_from_outside)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);
	char *buffer = malloc(dt_page);
	struct iovec local = { buffer, dt_page };
	struct iovec remote = { at + 2 * dt_page, dt_page };
	int memory = open("/proc/self/mem", O_RDWR);

	ASSERT_LE(0, memory);
	dt_fill(at, 1, 0);
	EXPECT_EQ(dt_page, pread(memory, buffer, dt_page, (uintptr_t)at));
	EXPECT_TRUE(dt_is_filled(buffer, 1, 0));
	EXPECT_EQ(dt_page, pread(memory, buffer, dt_page,
				 (uintptr_t)at + dt_page));
	EXPECT_TRUE(dt_is_zero(buffer, dt_page));
	dt_fill(buffer, 1, 1);
	EXPECT_EQ(dt_page, pwrite(memory, buffer, dt_page,
				  (uintptr_t)at + dt_page));
	EXPECT_TRUE(dt_is_filled(at + dt_page, 1, 1));
	dt_fill(buffer, 1, 2);
	EXPECT_EQ(dt_page, process_vm_writev(getpid(), &local, 1, &remote, 1,
					     0));
	EXPECT_TRUE(dt_is_filled(at + 2 * dt_page, 1, 2));
	close(memory);
	free(buffer);
}

/* A killed monitor leaves its file and nothing else. */
TEST_F(map, killed_monitor_leaves_its_memory)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	char *at = dt_map(vm, SIZE);
	int ready[2];
	pid_t pid;
	char byte;

	ASSERT_OK(pipe(ready));
	pid = dt_fork();
	if (!pid) {
		dt_fill_run(at, 1, 0, PAGES);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			dt_touch(at, true);
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	ASSERT_OK(kill(pid, SIGKILL));
	EXPECT_EQ(128 + SIGKILL, dt_wait(pid));
	EXPECT_TRUE(dt_run_is_filled(at, 1, 0, PAGES));
	close(ready[0]);
	close(ready[1]);
}

TEST_HARNESS_MAIN
