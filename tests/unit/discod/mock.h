/* SPDX-License-Identifier: GPL-2.0-only */
/* A mount with a few machines, as libdisco shows it. */
#ifndef MOCK_H
#define MOCK_H

#include <disco/disco.h>

#define MOCK_NODES 3
#define MOCK_PAGES 8192
#define MOCK_VMS 3

/**
 * struct mock_page - a page of a machine
 * @node: where it is, or DISCO_NO_NODE
 * @copies: nodes with copies, a bit each
 * @users: machines that use it
 * @refusal: errno that each move of it ends with
 * @reads: heat, by node
 * @writes: heat, by node
 */
struct mock_page {
	uint16_t node;
	uint32_t copies;
	uint32_t users;
	int refusal;
	uint32_t reads[MOCK_NODES];
	uint32_t writes[MOCK_NODES];
};

/**
 * struct mock_vm - a machine
 * @name: its name, or NULL if it is not there
 * @file: stands for its file
 * @open: how often it is open
 * @budget: of its sampler
 * @page: its pages
 */
struct mock_vm {
	const char *name;
	char file[32];
	unsigned int open;
	uint32_t budget;
	struct mock_page page[MOCK_PAGES];
};

/**
 * struct mock - everything
 * @error: if not 0, the mount is not there
 * @vm: machines
 * @moves: how many DISCO_MOVE there were
 * @unsorted: how many entries of them came after a later page
 * @pmaps: how many walks over pages
 * @contexts: how many contexts there are
 */
struct mock {
	int error;
	struct mock_vm vm[MOCK_VMS];
	unsigned int moves;
	unsigned int unsorted;
	unsigned int pmaps;
	unsigned int contexts;
};

extern struct mock mock;

void mock_begin(void);
void mock_add(unsigned int vm, const char *name);
void mock_remove(unsigned int vm);
void mock_replace(unsigned int vm);
void mock_end(void);

#endif /* MOCK_H */
