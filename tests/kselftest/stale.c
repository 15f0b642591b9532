// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rule 3: after a write fault returns, no view maps the older copy.
 *
 * One process changes page after page, each in a step with a number. Readers
 * in two processes with two views each look at a page as soon as its
 * step is said to be done, and must never see what was there before. They also
 * read ahead, so that zero pages and shared pages are mapped just when they are
 * replaced. Step n is about page n modulo PAGES; before each lap all pages are
 * put into the state that the steps change.
 */
#define _GNU_SOURCE
#include "fixture.h"

#include <pthread.h>
#include <stdlib.h>

#define PAGES 64
#define SIZE (PAGES * dt_page)
#define VIEWS 2
#define SECONDS 5

/* In memory that both processes share. */
struct board {
	uint64_t started;	/* no page of a later step has been touched */
	uint64_t done;		/* the last step that is complete */
	uint64_t looks;		/* how often the readers judged a page */
	uint64_t stale;		/* how often they saw something older */
	uint64_t stale_step, stale_seen;
	bool stop;
};

struct reader {
	struct board *board;
	uint64_t *views[VIEWS];
	bool punched;		/* a page is zero after its step */
	uint64_t seed;
	pthread_t thread;
};

FIXTURE(stale) {
	struct dt_fs fs;
	int vm, other;
	char *at;
	struct board *board;
	struct reader reader;
	pid_t pid;
};

FIXTURE_VARIANT(stale) {
	bool filled;	/* before a lap: all pages are private */
	bool shared;	/* then: shared with another VM */
	bool last;	/* then: the other VM is gone */
	bool punch;	/* a step punches its page */
	bool write;	/* a step writes by system call; else it stores */
};

FIXTURE_VARIANT_ADD(stale, zero_page_store) { 0 };
FIXTURE_VARIANT_ADD(stale, zero_page_write) { .write = true };
FIXTURE_VARIANT_ADD(stale, copy_store) { .filled = true, .shared = true };
FIXTURE_VARIANT_ADD(stale, copy_write) {
	.filled = true, .shared = true, .write = true,
};
FIXTURE_VARIANT_ADD(stale, reuse_store) {
	.filled = true, .shared = true, .last = true,
};
FIXTURE_VARIANT_ADD(stale, punch_private) { .filled = true, .punch = true };
FIXTURE_VARIANT_ADD(stale, punch_shared) {
	.filled = true, .shared = true, .punch = true,
};

static uint64_t *page_of(void *view, uint64_t step)
{
	return (void *)((char *)view + step % PAGES * dt_page);
}

static uint64_t look(uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void *read_pages(void *data)
{
	struct reader *r = data;
	struct board *board = r->board;

	while (!__atomic_load_n(&board->stop, __ATOMIC_RELAXED)) {
		uint64_t step = __atomic_load_n(&board->done, __ATOMIC_ACQUIRE);
		uint64_t *view = r->views[dt_random(&r->seed) % VIEWS];
		uint64_t seen = look(page_of(view, step));

		/* Is it still the page's turn to show what the step made it? */
		if (__atomic_load_n(&board->started, __ATOMIC_SEQ_CST) <
		    step + PAGES) {
			__atomic_fetch_add(&board->looks, 1, __ATOMIC_RELAXED);
			if (seen != (r->punched ? 0 : step)) {
				board->stale_step = step;
				board->stale_seen = seen;
				__atomic_fetch_add(&board->stale, 1,
						   __ATOMIC_RELAXED);
			}
		}
		for (int ahead = 1; ahead < 4; ahead++)
			look(page_of(r->views[ahead % VIEWS], step + ahead));
	}
	return NULL;
}

static void start_readers(FIXTURE_DATA(stale) *self, bool punched)
{
	struct reader *r = &self->reader;

	self->pid = dt_fork();
	r->board = self->board;
	r->punched = punched;
	r->seed = 1 + !self->pid;
	for (int v = 0; v < VIEWS; v++)
		r->views[v] = (void *)dt_map_view(self->vm, SIZE, v);
	if (!self->pid) {
		read_pages(r);
		_exit(0);
	}
	if (pthread_create(&r->thread, NULL, read_pages, r))
		dt_die("pthread_create");
}

FIXTURE_SETUP(stale)
{
	dt_fs_open(&self->fs, "stale", NULL);
	self->vm = dt_create(&self->fs, "vm", SIZE);
	self->other = dt_create(&self->fs, "other", SIZE);
	self->at = dt_map(self->vm, SIZE);
	self->board = mmap(NULL, sizeof(*self->board), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->board);
	/* Nothing can be said of any page before the first lap. */
	self->board->started = UINT64_MAX;
	start_readers(self, variant->punch);
}

FIXTURE_TEARDOWN(stale)
{
	munmap(self->board, sizeof(*self->board));
	EXPECT_TRUE(dt_fs_close(&self->fs));
}

static void prepare_lap(FIXTURE_DATA(stale) *self,
			const FIXTURE_VARIANT(stale) *variant)
{
	if (dt_punch(self->vm, 0, SIZE))
		dt_die("punch");
	for (int i = 0; i < PAGES && variant->filled; i++)
		*page_of(self->at, i) = UINT32_MAX;
	if (variant->shared && dt_clone(self->other, self->vm))
		dt_die("clone");
	if (variant->last && ftruncate(self->other, 0))
		dt_die("ftruncate");
}

static void do_step(FIXTURE_DATA(stale) *self,
		    const FIXTURE_VARIANT(stale) *variant, uint64_t step)
{
	off_t offset = step % PAGES * dt_page;

	if (variant->punch) {
		if (dt_punch(self->vm, offset, dt_page))
			dt_die("punch");
	} else if (variant->write) {
		if (pwrite(self->vm, &step, sizeof(step), offset) !=
		    sizeof(step))
			dt_die("pwrite");
	} else {
		__atomic_store_n(page_of(self->at, step), step,
				 __ATOMIC_RELAXED);
	}
}

TEST_F(stale, no_view_shows_the_older_page)
{
	struct board *board = self->board;
	uint64_t step = PAGES;

	for (double end = dt_now() + SECONDS; dt_now() < end;) {
		__atomic_store_n(&board->started, step + PAGES - 1,
				 __ATOMIC_SEQ_CST);
		prepare_lap(self, variant);
		for (int i = 0; i < PAGES; i++) {
			do_step(self, variant, step);
			__atomic_store_n(&board->done, step++,
					 __ATOMIC_RELEASE);
		}
	}
	__atomic_store_n(&board->stop, true, __ATOMIC_RELAXED);
	pthread_join(self->reader.thread, NULL);
	EXPECT_EQ(0, dt_wait(self->pid));
	EXPECT_LT(0, board->looks);
	EXPECT_EQ(0, board->stale) {
		TH_LOG("after step %ju a view showed %ju",
		       (uintmax_t)board->stale_step,
		       (uintmax_t)board->stale_seen);
	}
	TH_LOG("%ju steps, %ju looks", (uintmax_t)step - PAGES,
	       (uintmax_t)board->looks);
}

TEST_HARNESS_MAIN
