// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which pages look equal: a hash of each, sorted. The module compares the pages
 * themselves, so the hash need not be strong: one that is wrong costs time.
 */
#include <stdlib.h>
#include <string.h>

#include "discoctl.h"

/*
 * Pages that are paired with one and the same page. Less than the users that a
 * page can have, of which some may be there already.
 */
#define MAX_PAIRED 512

/* Sixteen bytes for each page of memory that is looked at. */
struct page {
	uint64_t key;	/* the hash; later the page to pair it with */
	uint32_t guest;
	uint32_t gfn;
};

struct contents {
	struct page *page;
	size_t nr;
	size_t room;
	size_t page_size;
	uint64_t zeros;	/* hash of a page of them */
};

static uint64_t hash_page(const void *at, size_t size)
{
	static const uint64_t prime = 0x9e3779b185ebca87;
	/* Four at a time: a multiplication takes a few cycles. */
	uint64_t lane[4] = { 1, 2, 3, 4 };
	const uint64_t *word = at;
	uint64_t hash = 0;

	for (size_t i = 0; i < size / sizeof(*word); i += ARRAY_SIZE(lane)) {
		for (size_t j = 0; j < ARRAY_SIZE(lane); j++) {
			uint64_t mixed = (lane[j] ^ word[i + j]) * prime;

			lane[j] = mixed << 29 | mixed >> 35;
		}
	}
	for (size_t j = 0; j < ARRAY_SIZE(lane); j++)
		hash = (hash ^ lane[j] ^ lane[j] >> 32) * prime;
	return hash;
}

/**
 * contents_new - begin to look for pages that are equal
 * @page_size: bytes of a page
 *
 * Return: to be freed with contents_free(), or NULL without memory.
 */
struct contents *contents_new(size_t page_size)
{
	struct contents *contents = calloc(1, sizeof(*contents));
	void *zeros = calloc(1, page_size);

	if (contents && zeros) {
		contents->page_size = page_size;
		contents->zeros = hash_page(zeros, page_size);
	} else {
		free(contents);
		contents = NULL;
	}
	free(zeros);
	return contents;
}

/**
 * contents_free - free what contents_new() returned
 * @contents: the pages, or NULL
 */
void contents_free(struct contents *contents)
{
	if (contents)
		free(contents->page);
	free(contents);
}

/**
 * contents_add - add a page
 * @contents: the pages
 * @guest: index of its machine
 * @gfn: its guest frame number
 * @at: what is in it
 *
 * Return: false without memory.
 */
bool contents_add(struct contents *contents, size_t guest, uint64_t gfn,
		  const void *at)
{
	if (contents->nr == contents->room) {
		size_t room = contents->room ? contents->room * 2 : 4096;
		struct page *page = reallocarray(contents->page, room,
						 sizeof(*page));

		if (!page)
			return false;
		contents->page = page;
		contents->room = room;
	}
	contents->page[contents->nr++] = (struct page) {
		.key = hash_page(at, contents->page_size),
		.guest = guest,
		.gfn = gfn,
	};
	return true;
}

static uint64_t place(const struct page *page)
{
	return (uint64_t)page->guest << 32 | page->gfn;
}

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int by_place(const void *a, const void *b)
{
	return compare(place(a), place(b));
}

static int by_hash(const void *a, const void *b)
{
	const struct page *page_a = a, *page_b = b;
	int order = compare(page_a->key, page_b->key);

	return order ? order : by_place(a, b);
}

/**
 * contents_pair - pair pages that look equal
 * @contents: the pages, all added; those without an equal are forgotten
 *
 * Of pages that look equal, the first one is paired with all the others. A page
 * of zeros is paired with itself: it is equal to a hole.
 *
 * Return: number of pairs.
 */
size_t contents_pair(struct contents *contents)
{
	struct page *page = contents->page;
	uint64_t hash = 0, first = 0;
	size_t nr = 0, paired = 0;

	if (contents->nr)
		qsort(page, contents->nr, sizeof(*page), by_hash);
	/* Pairs take the place of pages that have been looked at. */
	for (size_t i = 0; i < contents->nr; i++) {
		struct page next = page[i];

		if (next.key == contents->zeros) {
			first = place(&next);
		} else if (!i || next.key != hash || paired == MAX_PAIRED) {
			hash = next.key;
			first = place(&next);
			paired = 0;
			continue;
		}
		hash = next.key;
		paired++;
		page[nr] = next;
		page[nr++].key = first;
	}
	contents->nr = nr;
	if (nr)
		qsort(page, nr, sizeof(*page), by_place);
	return nr;
}

/**
 * contents_next - get the next pairs that follow each other in both machines
 * @contents: the pages, after contents_pair()
 * @at: where to go on, 0 at first; moved on
 * @pairs: filled
 *
 * Return: false at the end.
 */
bool contents_next(const struct contents *contents, size_t *at,
		   struct pairs *pairs)
{
	const struct page *page = contents->page + *at;
	size_t left = contents->nr - *at, nr = 1;

	if (!left)
		return false;
	while (nr < left && page[nr].guest == page->guest &&
	       place(&page[nr]) == place(page) + nr &&
	       page[nr].key == page->key + nr &&
	       page[nr].key >> 32 == page->key >> 32)
		nr++;
	*pairs = (struct pairs) {
		.guest = page->key >> 32,
		.gfn = (uint32_t)page->key,
		.other = page->guest,
		.other_gfn = page->gfn,
		.nr = nr,
	};
	*at += nr;
	return true;
}
