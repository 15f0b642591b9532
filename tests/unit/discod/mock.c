// SPDX-License-Identifier: GPL-2.0-only
/*
 * In place of libdisco: does what a module would do to a few pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mock.h"

struct mock mock;

struct disco {
	int unused;
};

struct disco_vm {
	struct mock_vm *vm;
	int fd;
};

struct disco_pmap_iter {
	struct mock_vm *vm;
	uint64_t gfn;
	uint64_t last;
	unsigned int view;
	struct disco_pmap_entry entries[100];
};

/* No machine yet; all memory is on node 0. */
void mock_begin(void)
{
	memset(&mock, 0, sizeof(mock));
	for (unsigned int i = 0; i < MOCK_VMS; i++)
		for (unsigned int gfn = 0; gfn < MOCK_PAGES; gfn++)
			mock.vm[i].page[gfn].users = 1;
}

void mock_add(unsigned int vm, const char *name)
{
	int fd;

	strcpy(mock.vm[vm].file, "/tmp/discod-mock.XXXXXX");
	fd = mkstemp(mock.vm[vm].file);
	if (fd < 0)
		abort();
	close(fd);
	mock.vm[vm].name = name;
}

void mock_remove(unsigned int vm)
{
	unlink(mock.vm[vm].file);
	mock.vm[vm].name = NULL;
}

/* Another machine of the same name. */
void mock_replace(unsigned int vm)
{
	char before[sizeof(mock.vm[vm].file)];

	/* The old file goes last, or the new one may be the same inode. */
	strcpy(before, mock.vm[vm].file);
	mock_add(vm, mock.vm[vm].name);
	unlink(before);
}

void mock_end(void)
{
	for (unsigned int i = 0; i < MOCK_VMS; i++)
		if (mock.vm[i].name)
			mock_remove(i);
}

int disco_new(struct disco **out)
{
	*out = calloc(1, sizeof(**out));
	mock.contexts++;
	return *out ? 0 : -ENOMEM;
}

void disco_free(struct disco *disco)
{
	mock.contexts--;
	free(disco);
}

const char *disco_error(const struct disco *disco)
{
	(void)disco;
	return mock.error ? "nothing is mounted" : "the module says no";
}

int disco_set_mount(struct disco *disco, const char *path)
{
	(void)disco;
	(void)path;
	return 0;
}

int disco_mount(struct disco *disco, const char **path)
{
	(void)disco;
	*path = "/";
	return mock.error;
}

int disco_query(struct disco *disco, struct disco_query *query)
{
	(void)disco;
	query->out_page_size = 4096;
	return 0;
}

int disco_vm_names(struct disco *disco, char ***names, size_t *nr,
		   size_t *unreadable)
{
	(void)disco;
	(void)unreadable;
	*nr = 0;
	*names = calloc(MOCK_VMS, sizeof(**names));
	for (unsigned int i = 0; i < MOCK_VMS; i++)
		if (mock.vm[i].name)
			(*names)[(*nr)++] = strdup(mock.vm[i].name);
	return 0;
}

void disco_vm_names_free(char **names, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		free(names[i]);
	free(names);
}

int disco_vm_open_writable(struct disco *disco, const char *name,
			   struct disco_vm **out)
{
	(void)disco;
	for (unsigned int i = 0; i < MOCK_VMS; i++) {
		if (!mock.vm[i].name || strcmp(mock.vm[i].name, name) != 0)
			continue;
		*out = calloc(1, sizeof(**out));
		(*out)->vm = &mock.vm[i];
		(*out)->fd = open(mock.vm[i].file, O_RDWR | O_CLOEXEC);
		mock.vm[i].open++;
		return 0;
	}
	return -ENOENT;
}

void disco_vm_close(struct disco_vm *vm)
{
	if (!vm)
		return;
	vm->vm->open--;
	close(vm->fd);
	free(vm);
}

int disco_vm_fd(const struct disco_vm *vm)
{
	return vm->fd;
}

int disco_vm_stat(struct disco_vm *vm, struct disco_vm_stat *stat)
{
	(void)vm;
	stat->out_virtual = MOCK_PAGES * 4096;
	return 0;
}

int disco_heat_set(struct disco_vm *vm, struct disco_heat_set *set)
{
	vm->vm->budget = set->budget;
	return 0;
}

int disco_heat_stat(struct disco_vm *vm, struct disco_heat_stat *stat)
{
	stat->out_budget = vm->vm->budget;
	return 0;
}

int disco_heat_drain(struct disco_vm *vm, struct disco_heat_drain *drain)
{
	struct disco_heat_entry *entries = (void *)(uintptr_t)drain->entries;

	drain->out_nr = 0;
	for (; drain->gfn < MOCK_PAGES; drain->gfn++) {
		struct mock_page *page = &vm->vm->page[drain->gfn];

		if (drain->nr - drain->out_nr < MOCK_NODES) {
			drain->out_next = drain->gfn;
			return 0;
		}
		for (uint32_t node = 0; node < MOCK_NODES; node++) {
			if (!page->reads[node] && !page->writes[node])
				continue;
			entries[drain->out_nr++] = (struct disco_heat_entry) {
				.gfn = drain->gfn,
				.node = node,
				.reads = page->reads[node],
				.writes = page->writes[node],
			};
			page->reads[node] = 0;
			page->writes[node] = 0;
		}
	}
	drain->out_next = 0;
	return 0;
}

int disco_pmap_new(struct disco_vm *vm, uint64_t first, uint64_t last,
		   struct disco_pmap_iter **out)
{
	*out = calloc(1, sizeof(**out));
	(*out)->vm = vm->vm;
	(*out)->gfn = first;
	(*out)->last = last;
	mock.pmaps++;
	return 0;
}

void disco_pmap_set_view(struct disco_pmap_iter *iter, unsigned int view)
{
	iter->view = view;
}

static struct disco_pmap_entry entry_of(const struct mock_page *page,
					unsigned int view)
{
	if (page->node == DISCO_NO_NODE)
		return (struct disco_pmap_entry) { .node = DISCO_NO_NODE };
	return (struct disco_pmap_entry) {
		.users = page->users,
		.node = view && page->copies >> (view - 1) & 1 ? view - 1 :
			page->node,
		.state = page->copies ? DISCO_PAGE_REPLICATED :
			 page->users > 1 ? DISCO_PAGE_SHARED : DISCO_PAGE_PRIVATE,
	};
}

int disco_pmap_next(struct disco_pmap_iter *iter, struct disco_pmap_batch *batch)
{
	batch->gfn = iter->gfn;
	batch->entries = iter->entries;
	for (batch->nr = 0; batch->nr < 100 && iter->gfn <= iter->last &&
	     iter->gfn < MOCK_PAGES; batch->nr++)
		iter->entries[batch->nr] =
			entry_of(&iter->vm->page[iter->gfn++], iter->view);
	return batch->nr > 0;
}

void disco_pmap_free(struct disco_pmap_iter *iter)
{
	free(iter);
}

static int move_page(struct mock_page *page, uint32_t operation, uint32_t node)
{
	if (page->node == DISCO_NO_NODE)
		return -ENOENT;
	if (page->refusal)
		return -page->refusal;
	if (page->node == node || (page->copies >> node & 1))
		return -EEXIST;
	if (operation == DISCO_MOVE_REPLICATE) {
		page->copies |= 1U << node;
		return 0;
	}
	page->node = node;
	page->copies = 0;
	return 0;
}

int disco_move(struct disco_vm *vm, struct disco_move *move)
{
	struct disco_move_entry *entries = (void *)(uintptr_t)move->entries;

	mock.moves++;
	for (uint32_t i = 1; i < move->nr; i++)
		mock.unsorted += entries[i].gfn < entries[i - 1].gfn;
	for (uint32_t i = 0; i < move->nr; i++)
		entries[i].out_result = move_page(&vm->vm->page[entries[i].gfn],
						  move->operation,
						  entries[i].node);
	move->out_nr = move->nr;
	return 0;
}
