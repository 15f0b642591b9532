// SPDX-License-Identifier: GPL-2.0-only
/*
 * All pages that a policy knows, by VM and guest frame number: a hash table
 * with open addressing, at most half full. A page stays at its address until it
 * is dropped, so queues may point to it.
 */
#include <stdlib.h>

#include "policy.h"

#define FEWEST_SLOTS 1024

struct np_pages {
	unsigned int nodes;
	size_t nr;
	size_t slots;
	struct np_page **slot;
};

/**
 * np_pages_new - make an empty table
 * @nodes: number of nodes that a page has counters for
 *
 * Return: the table, or NULL without memory.
 */
struct np_pages *np_pages_new(unsigned int nodes)
{
	struct np_pages *pages = calloc(1, sizeof(*pages));

	if (!pages)
		return NULL;
	pages->nodes = nodes;
	pages->slots = FEWEST_SLOTS;
	pages->slot = calloc(pages->slots, sizeof(*pages->slot));
	if (!pages->slot) {
		free(pages);
		return NULL;
	}
	return pages;
}

/**
 * np_pages_free - free a table and its pages
 * @pages: the table, or NULL
 */
void np_pages_free(struct np_pages *pages)
{
	if (!pages)
		return;
	for (size_t i = 0; i < pages->slots; i++)
		free(pages->slot[i]);
	free(pages->slot);
	free(pages);
}

/* The slot that the page has, or would get. */
static struct np_page **find_slot(struct np_page **slot, size_t slots,
				  uint32_t vm, uint64_t gfn)
{
	uint64_t hash = (gfn ^ (uint64_t)vm << 40) * 0x9e3779b97f4a7c15ULL;
	size_t at = (hash >> 32) & (slots - 1);

	while (slot[at] && (slot[at]->vm != vm || slot[at]->gfn != gfn))
		at = (at + 1) & (slots - 1);
	return &slot[at];
}

/* On failure the table stays as it was. */
static bool resize(struct np_pages *pages, size_t slots)
{
	struct np_page **slot = calloc(slots, sizeof(*slot));

	if (!slot)
		return false;
	for (size_t i = 0; i < pages->slots; i++) {
		struct np_page *page = pages->slot[i];

		if (page)
			*find_slot(slot, slots, page->vm, page->gfn) = page;
	}
	free(pages->slot);
	pages->slot = slot;
	pages->slots = slots;
	return true;
}

/**
 * np_pages_find - look up a page
 * @pages: the table
 * @vm: number of the VM
 * @gfn: guest frame number
 *
 * Return: the page, or NULL if it is not known.
 */
struct np_page *np_pages_find(const struct np_pages *pages, uint32_t vm,
			      uint64_t gfn)
{
	return *find_slot(pages->slot, pages->slots, vm, gfn);
}

/**
 * np_pages_add - add a page that is not known
 * @pages: the table
 * @vm: number of the VM
 * @gfn: guest frame number
 *
 * Return: the page, without any heat; or NULL without memory.
 */
struct np_page *np_pages_add(struct np_pages *pages, uint32_t vm, uint64_t gfn)
{
	struct np_page *page;

	if (pages->nr >= pages->slots / 2 && !resize(pages, pages->slots * 2))
		return NULL;
	page = calloc(1, sizeof(*page) + pages->nodes * sizeof(page->count[0]));
	if (!page)
		return NULL;
	page->vm = vm;
	page->gfn = gfn;
	page->first = -1;
	page->before = -1;
	*find_slot(pages->slot, pages->slots, vm, gfn) = page;
	pages->nr++;
	return page;
}

/**
 * np_pages_each - walk over all pages, and drop some
 * @pages: the table
 * @keep: called for each page; if it returns false, the page is freed
 * @data: passed on to @keep
 */
void np_pages_each(struct np_pages *pages,
		   bool (*keep)(struct np_page *page, void *data), void *data)
{
	bool moved;

	for (size_t i = 0; i < pages->slots; i++) {
		struct np_page *page = pages->slot[i];

		if (!page || keep(page, data))
			continue;
		free(page);
		pages->slot[i] = NULL;
		pages->nr--;
	}
	/*
	 * A look-up ends at the first free slot, so what lay behind a page that
	 * is gone moves up, and what lay behind that; each time it gets nearer.
	 */
	do {
		moved = false;
		for (size_t i = 0; i < pages->slots; i++) {
			struct np_page *page = pages->slot[i], **better;

			if (!page)
				continue;
			better = find_slot(pages->slot, pages->slots, page->vm,
					   page->gfn);
			if (*better == page)
				continue;
			*better = page;
			pages->slot[i] = NULL;
			moved = true;
		}
	} while (moved);
}
