// SPDX-License-Identifier: GPL-2.0-only
/*
 * The seven rules of the design. Where a rule's test is elsewhere:
 *
 *  1. no page reaches a VM with another's old contents	here
 *  2. a pinned page is never moved, replaced or shared	here, clone.c
 *  3. after a write, no view maps the older copy	stale.c
 *  4. pmap, memmap and references always agree		here; every test's end
 *  5. tear-down never allocates and never fails	here, fail_nth.c
 *  6. memory is charged to who faults			cgroup.c
 *  7. metadata stays under 0.4%			here
 */
#define _GNU_SOURCE
#include "fixture.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/uio.h>

DISCO_FIXTURE(rules, NULL);

#define PAGES 512
#define SIZE (PAGES * dt_page)

/* Fills as many machine pages with secrets as the next test VM will ask for. */
static int leave_secrets(struct dt_fs *fs, int how)
{
	int vm = dt_create(fs, "secret", SIZE);
	int other = dt_create(fs, "other", SIZE);
	char *at = dt_map(vm, SIZE);

	memset(at, 0x5e, SIZE);
	switch (how) {
	case 0:
		break;		/* unlink, below */
	case 1:
		if (dt_punch(vm, 0, SIZE))
			dt_die("punch");
		break;
	case 2:
		if (ftruncate(vm, 1))
			dt_die("ftruncate");
		break;
	case 3:			/* dropped by a clone of nothing */
		if (dt_clone(vm, other))
			dt_die("clone");
		break;
	case 4:			/* the last copy of shared pages */
		if (dt_clone(other, vm))
			dt_die("clone");
		memset(at, 0x5f, SIZE);
		break;
	}
	dt_unmap(at, SIZE);
	dt_close(vm);
	dt_close(other);
	dt_unlink(fs, "secret");
	dt_unlink(fs, "other");
	return how;
}

/* Rule 1. */
TEST_F(rules, no_old_contents)
{
	char *buffer = malloc(SIZE);

	for (int how = 0; how < 5; how++) {
		int vm;
		char *at;

		leave_secrets(&self->fs, how);
		vm = dt_create(&self->fs, "vm", SIZE);
		at = dt_map(vm, SIZE);
		/* One byte of each page, in each way that fills a page. */
		for (int i = 0; i < PAGES; i++) {
			char *page = at + i * dt_page;

			switch (i % 4) {
			case 0:
				page[77] = 1;
				break;
			case 1:
				EXPECT_EQ(0, dt_touch(page, false));
				page[77] = 1;
				break;
			case 2:
				ASSERT_EQ(1, pwrite(vm, "\1", 1,
						    i * dt_page + 77));
				break;
			case 3:
				ASSERT_EQ(1, pread(vm, page + 77, 1, 77));
				page[77] = 1;
				break;
			}
		}
		ASSERT_EQ(SIZE, pread(vm, buffer, SIZE, 0));
		for (int i = 0; i < PAGES; i++) {
			char *page = at + i * dt_page;

			EXPECT_EQ(1, page[77]);
			page[77] = 0;
			ASSERT_TRUE(dt_is_zero(page, dt_page));
			buffer[i * dt_page + 77] = 0;
		}
		EXPECT_TRUE(dt_is_zero(buffer, SIZE));
		dt_unmap(at, SIZE);
		dt_close(vm);
		dt_unlink(&self->fs, "vm");
	}
	free(buffer);
}

/*
 * Rule 2: a device writes to one part of a page while the guest writes to
 * another part and the VM is cloned all the time. If the clone shared the page
 * under the device, the guest's next store would take the page away from it,
 * and what the device brings would be lost.
 */
struct dma {
	int disk;		/* what the device reads from */
	char *at;
	bool stop;
	unsigned long reads, lost;
};

static void *dma_reads(void *data)
{
	struct dma *dma = data;
	uint64_t seed = 1;

	while (!__atomic_load_n(&dma->stop, __ATOMIC_RELAXED)) {
		unsigned int i = dt_random(&seed) % 4;
		char *sector = dma->at + i * dt_page;

		memset(sector, 0, 512);
		if (pread(dma->disk, sector, 512, i * dt_page) != 512)
			dt_die("O_DIRECT read");
		dma->reads++;
		for (int j = 0; j < 512; j++)
			if (sector[j] != 0x11 * (i + 1)) {
				dma->lost++;
				break;
			}
	}
	return NULL;
}

static void *guest_stores(void *data)
{
	struct dma *dma = data;

	while (!__atomic_load_n(&dma->stop, __ATOMIC_RELAXED))
		for (int i = 0; i < 4; i++)
			++*(volatile int *)(dma->at + i * dt_page + 2048);
	return NULL;
}

TEST_F(rules, dma_is_not_lost_in_a_clone)
{
	struct dma dma = {
		.disk = open("/var/tmp", O_TMPFILE | O_RDWR | O_DIRECT, 0600),
	};
	int vm = dt_create(&self->fs, "vm", 4 * dt_page);
	int other = dt_create(&self->fs, "other", 4 * dt_page);
	char *buffer = aligned_alloc(dt_page, 4 * dt_page);
	char *at_other = dt_map(other, 4 * dt_page);
	pthread_t device, guest;

	if (dma.disk < 0)
		SKIP(return, "/var/tmp is not on a disk that takes O_DIRECT");
	for (int i = 0; i < 4; i++)
		memset(buffer + i * dt_page, 0x11 * (i + 1), dt_page);
	ASSERT_EQ(4 * dt_page, pwrite(dma.disk, buffer, 4 * dt_page, 0));
	dma.at = dt_map(vm, 4 * dt_page);
	ASSERT_OK(pthread_create(&device, NULL, dma_reads, &dma));
	ASSERT_OK(pthread_create(&guest, NULL, guest_stores, &dma));
	for (double end = dt_now() + 5; dt_now() < end;) {
		ASSERT_OK(dt_clone(other, vm));
		memcpy(buffer, at_other, 4 * dt_page);
		usleep(500);
		/* And nothing of it shows in the clone. */
		ASSERT_EQ(0, memcmp(buffer, at_other, 4 * dt_page));
	}
	__atomic_store_n(&dma.stop, true, __ATOMIC_RELAXED);
	pthread_join(device, NULL);
	pthread_join(guest, NULL);
	EXPECT_LT(0, dma.reads);
	EXPECT_EQ(0, dma.lost);
	TH_LOG("%lu reads", dma.reads);
	close(dma.disk);
	free(buffer);
}

/* Rule 2: who looks at a former user's page does not see the last user write. */
TEST_F(rules, pinned_page_is_not_reused)
{
	int vm = dt_create(&self->fs, "vm", dt_page);
	int other = dt_create(&self->fs, "other", dt_page);
	char *at = dt_map(vm, dt_page), *at_other = dt_map(other, dt_page);
	struct iovec page = { at_other, dt_page };
	char *buffer = malloc(dt_page);
	int pipe_fds[2];

	dt_fill(at, 1, 0);
	ASSERT_OK(dt_clone(other, vm));
	ASSERT_OK(pipe(pipe_fds));
	EXPECT_EQ(0, dt_touch(at_other, false));
	ASSERT_EQ(dt_page, vmsplice(pipe_fds[1], &page, 1, 0));
	dt_unmap(at_other, dt_page);
	dt_close(other);
	dt_unlink(&self->fs, "other");
	ASSERT_TRUE(DT_UNTIL(dt_counter("vms") == self->fs.before.vms + 1, 10));
	dt_fill(at, 2, 0);
	ASSERT_EQ(dt_page, read(pipe_fds[0], buffer, dt_page));
	EXPECT_TRUE(dt_is_filled(buffer, 1, 0));
	EXPECT_TRUE(dt_is_filled(at, 2, 0));
	free(buffer);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* A pin outlives the VM; its page never goes to another VM meanwhile. */
TEST_F(rules, pinned_page_outlives_its_vm)
{
	int vm = dt_create(&self->fs, "vm", dt_page);
	char *at = dt_map(vm, dt_page), *buffer = malloc(dt_page);
	struct iovec page = { at, dt_page };
	int pipe_fds[2];

	dt_fill(at, 1, 0);
	ASSERT_OK(pipe(pipe_fds));
	ASSERT_EQ(dt_page, vmsplice(pipe_fds[1], &page, 1, 0));
	dt_unmap(at, dt_page);
	dt_close(vm);
	dt_unlink(&self->fs, "vm");
	EXPECT_TRUE(dt_gauges_settle(&self->fs.before));
	leave_secrets(&self->fs, 0);
	ASSERT_EQ(dt_page, read(pipe_fds[0], buffer, dt_page));
	EXPECT_TRUE(dt_is_filled(buffer, 1, 0));
	free(buffer);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* Rule 4, from outside: pmap against memmap against the page tables. */
TEST_F(rules, pmap_memmap_and_page_tables_agree)
{
	enum { VMS = 4, NR = 64 };
	struct disco_memmap_user users[VMS];
	int fds[VMS];
	char *at[VMS], name[8];
	uint64_t seed = 4;
	uint32_t ids[VMS];

	for (int v = 0; v < VMS; v++) {
		snprintf(name, sizeof(name), "vm%d", v);
		fds[v] = dt_create(&self->fs, name, NR * dt_page);
		at[v] = dt_map(fds[v], NR * dt_page);
		ids[v] = dt_stat(&self->fs, fds[v]).out_id;
	}
	for (int round = 0; round < 6; round++) {
		size_t private[VMS] = { 0 }, shared[VMS] = { 0 };
		size_t pages = 0, divided = 0;

		for (int i = 0; i < 40; i++) {
			int v = dt_random(&seed) % VMS;
			int page = dt_random(&seed) % NR;

			switch (dt_random(&seed) % 4) {
			case 0:
				dt_touch(at[v] + page * dt_page, false);
				break;
			case 1:
				ASSERT_OK(dt_punch(fds[v], page * dt_page,
						   3 * dt_page));
				break;
			default:
				dt_fill(at[v] + page * dt_page, v, page);
				break;
			}
		}
		ASSERT_OK(dt_clone(fds[round % VMS], fds[(round + 1) % VMS]));
		for (int v = 0; v < VMS; v++)
			for (int i = 0; i < NR; i += 3)
				dt_touch(at[v] + i * dt_page, false);

		for (int v = 0; v < VMS; v++) {
			for (int i = 0; i < NR; i++) {
				struct disco_pmap_entry entry =
					dt_pmap(&self->fs, fds[v], i);
				uint64_t frame = dt_frame(at[v] + i * dt_page);
				unsigned int nr, found = 0;

				if (entry.state == DISCO_PAGE_HOLE)
					EXPECT_EQ(0, frame);
				if (entry.state <= DISCO_PAGE_ZERO) {
					EXPECT_EQ(0, entry.users);
					continue;
				}
				if (entry.state == DISCO_PAGE_PRIVATE)
					private[v]++;
				else
					shared[v]++;
				if (frame)
					EXPECT_EQ(entry.pfn, frame);
				nr = dt_memmap(&self->fs, entry.pfn, users,
					       VMS);
				EXPECT_EQ(entry.users, nr);
				EXPECT_TRUE(nr == 1 ||
					    entry.state == DISCO_PAGE_SHARED);
				for (int u = 0; u < nr && u < VMS; u++) {
					EXPECT_EQ(i, users[u].gfn);
					found += users[u].vm_id == ids[v];
				}
				EXPECT_EQ(1, found);
				divided += 12 / nr;
			}
			EXPECT_EQ(private[v] * dt_page,
				  dt_stat(&self->fs, fds[v]).out_private);
			EXPECT_EQ(shared[v] * dt_page,
				  dt_stat(&self->fs, fds[v]).out_shared);
		}
		pages = dt_counter("machine_pages") -
			self->fs.before.machine_pages;
		EXPECT_EQ(divided / 12, pages);
		ASSERT_TRUE(dt_check(self->fs.control, fds[0]));
	}
}

struct guest {
	int control;
	int ram;
	int vm;
	char *at;
	bool stop;
};

static void *touch_and_punch(void *data)
{
	struct guest *guest = data;

	while (!__atomic_load_n(&guest->stop, __ATOMIC_RELAXED)) {
		for (int i = 0; i < 4; i++)
			++*(volatile int *)(guest->at + i * dt_page);
		if (dt_punch(guest->vm, 0, 4 * dt_page))
			dt_die("punch");
	}
	return NULL;
}

/* A VM with a page, again and again. */
static void *come_and_go(void *data)
{
	struct guest *guest = data;

	while (!__atomic_load_n(&guest->stop, __ATOMIC_RELAXED)) {
		int vm = openat(guest->ram, "short", O_RDWR | O_CREAT, 0600);

		if (vm < 0 || pwrite(vm, "x", 1, 0) != 1 ||
		    unlinkat(guest->ram, "short", 0))
			dt_die("short");
		close(vm);
	}
	return NULL;
}

/* With two of them one is often too late, and gives its page back. */
static void *replicate_and_collapse(void *data)
{
	struct guest *guest = data;
	struct disco_move_entry entry = { .node = 1 };
	struct disco_move move = {
		.size = sizeof(move), .vm_fd = guest->vm,
		.entries = (uintptr_t)&entry, .nr = 1,
	};

	while (!__atomic_load_n(&guest->stop, __ATOMIC_RELAXED)) {
		move.operation = DISCO_MOVE_REPLICATE;
		if (ioctl(guest->control, DISCO_MOVE, &move))
			dt_die("replicate");
		move.operation = DISCO_MOVE_COLLAPSE;
		if (ioctl(guest->control, DISCO_MOVE, &move))
			dt_die("collapse");
	}
	return NULL;
}

/* Rule 4: a check of a mount in use finds nothing where nothing is wrong. */
static void check_beside(struct __test_metadata *_metadata, struct dt_fs *fs,
			 void *(*run)(void *), unsigned int nr)
{
	struct guest guest = { .vm = dt_create(fs, "vm", 4 * dt_page) };
	unsigned int checks = 0;
	pthread_t threads[2];
	bool ok = true;

	guest.at = dt_map(guest.vm, 4 * dt_page);
	guest.control = fs->control;
	guest.ram = open(fs->ram, O_DIRECTORY);
	ASSERT_LE(0, guest.ram);
	dt_fill(guest.at, 1, 0);
	for (unsigned int i = 0; i < nr; i++)
		ASSERT_OK(pthread_create(&threads[i], NULL, run, &guest));
	for (double end = dt_now() + 4; ok && dt_now() < end; checks++)
		ok = dt_check(fs->control, guest.vm);
	EXPECT_TRUE(ok) {
		TH_LOG("check number %u", checks);
	}
	__atomic_store_n(&guest.stop, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
	close(guest.ram);
}

TEST_F(rules, check_raises_no_false_alarm)
{
	check_beside(_metadata, &self->fs, touch_and_punch, 1);
}

TEST_F(rules, check_beside_vms_that_go)
{
	check_beside(_metadata, &self->fs, come_and_go, 1);
}

TEST_F(rules, check_beside_replicas_that_come_too_late)
{
	check_beside(_metadata, &self->fs, replicate_and_collapse, 2);
}

/* Rule 5: a killed monitor leaves its file, until that is unlinked. */
TEST_F(rules, killed_monitor)
{
	int vm = dt_create(&self->fs, "vm", SIZE);
	volatile int *progress = mmap(NULL, dt_page, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct dt_gauges before;

	ASSERT_NE(MAP_FAILED, progress);
	for (int round = 0; round < 10; round++) {
		pid_t pid;
		char *at;

		*progress = 0;
		pid = dt_fork();
		if (!pid) {
			at = dt_map(vm, SIZE);
			for (int i = 0; i < PAGES; i++) {
				dt_fill(at + i * dt_page, round, i);
				*progress = i + 1;
			}
			for (;;)
				pause();
		}
		ASSERT_TRUE(DT_UNTIL(*progress > PAGES * round / 10, 60));
		ASSERT_OK(kill(pid, SIGKILL));
		EXPECT_EQ(128 + SIGKILL, dt_wait(pid));
		at = dt_map(vm, SIZE);
		for (int i = 0; i < *progress; i++)
			ASSERT_TRUE(dt_is_filled(at + i * dt_page, round, i));
		dt_unmap(at, SIZE);
		ASSERT_OK(dt_punch(vm, 0, SIZE));
	}
	munmap((void *)progress, dt_page);
	dt_unlink(&self->fs, "vm");
	before = self->fs.before;
	dt_close(vm);
	EXPECT_TRUE(dt_gauges_settle(&before));
}

/* Rule 7. */
TEST_F(rules, metadata_is_small)
{
	enum { NR = 4096, CLONES = 7 };
	size_t size = NR * dt_page;
	int vm = dt_create(&self->fs, "vm", size);
	char *at = dt_map(vm, size), name[8];
	long first, all;

	for (int i = 0; i < NR; i++)
		at[i * dt_page] = 1;
	first = dt_counter("metadata_bytes") - self->fs.before.metadata_bytes;
	EXPECT_GE(size * 4 / 1000, first);
	/* One slot for each private page, and little more. */
	EXPECT_LE(NR * sizeof(long), first);
	EXPECT_GE(NR * sizeof(long) * 11 / 10, first);

	for (int i = 0; i < CLONES; i++) {
		snprintf(name, sizeof(name), "vm%d", i);
		ASSERT_OK(dt_clone(dt_create(&self->fs, name, 0), vm));
		all = dt_counter("metadata_bytes") -
		      self->fs.before.metadata_bytes;
		EXPECT_GE(size * (i + 2) * 4 / 1000, all) {
			TH_LOG("%ld bytes for %d VMs of %d pages", all, i + 2,
			       NR);
		}
	}
	TH_LOG("%ld bytes for 1 VM of %d pages, %ld for %d that share all",
	       first, NR, all, CLONES + 1);
}

TEST_HARNESS_MAIN
