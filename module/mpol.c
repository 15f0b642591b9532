// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mount option mpol=: on which nodes VMs get their memory. The words are
 * tmpfs's; the kernel's own parser and policies are not for modules.
 */
#include <linux/gfp.h>
#include <linux/seq_file.h>
#include <linux/string.h>

#include "disco.h"

static const char * const modes[] = {
	[DISCO_MPOL_DEFAULT] = "default",
	[DISCO_MPOL_LOCAL] = "local",
	[DISCO_MPOL_PREFER] = "prefer",
	[DISCO_MPOL_BIND] = "bind",
	[DISCO_MPOL_INTERLEAVE] = "interleave",
};

/**
 * disco_mpol_parse() - read the value of mpol=
 * @string: "default", "local", "prefer:NODE", "bind:NODES", "interleave:NODES"
 * @mpol: set to what it says; unchanged if it is wrong
 *
 * Return: NULL, or what is wrong with @string.
 */
const char *disco_mpol_parse(const char *string, struct disco_mpol *mpol)
{
	size_t len = strcspn(string, ":");
	struct disco_mpol new = {};
	int mode;

	for (mode = 0; mode < ARRAY_SIZE(modes); mode++)
		if (strlen(modes[mode]) == len &&
		    !strncmp(string, modes[mode], len))
			break;
	if (mode == ARRAY_SIZE(modes))
		return "expected default, local, prefer:NODE, bind:NODES or interleave:NODES";
	new.mode = mode;
	if (mode == DISCO_MPOL_DEFAULT || mode == DISCO_MPOL_LOCAL) {
		if (string[len])
			return "this policy takes no nodes";
		*mpol = new;
		return NULL;
	}
	if (!string[len])
		return "this policy needs nodes, such as bind:0 or interleave:0,2-3";
	if (nodelist_parse(string + len + 1, new.nodes) ||
	    nodes_empty(new.nodes))
		return "expected a list of nodes such as 0,2-3";
	if (mode == DISCO_MPOL_PREFER && nodes_weight(new.nodes) > 1)
		return "prefer takes one node";
	if (!nodes_subset(new.nodes, node_states[N_MEMORY]))
		return "not all of these nodes exist and have memory";
	*mpol = new;
	return NULL;
}

/**
 * disco_mpol_show() - print the option, if it is not the default
 * @seq: where
 * @mpol: the policy
 */
void disco_mpol_show(struct seq_file *seq, const struct disco_mpol *mpol)
{
	if (mpol->mode == DISCO_MPOL_DEFAULT)
		return;
	seq_printf(seq, ",mpol=%s", modes[mpol->mode]);
	if (mpol->mode != DISCO_MPOL_LOCAL)
		seq_printf(seq, ":%*pbl", nodemask_pr_args(&mpol->nodes));
}

/**
 * disco_mpol_node() - the node to try first
 * @mpol: a policy other than the default
 * @gfn: page of the VM; where it is decides when pages are interleaved, so that
 *	what comes back after a punch is where it was
 *
 * Return: the node.
 */
int disco_mpol_node(const struct disco_mpol *mpol, pgoff_t gfn)
{
	unsigned int skip = 0;
	int node;

	if (mpol->mode == DISCO_MPOL_LOCAL || mpol->mode == DISCO_MPOL_BIND)
		return numa_mem_id();
	if (mpol->mode == DISCO_MPOL_INTERLEAVE)
		skip = gfn % nodes_weight(mpol->nodes);
	node = first_node(mpol->nodes);
	while (skip--)
		node = next_node(node, mpol->nodes);
	return node;
}

/**
 * disco_mpol_alloc() - allocate a page by a policy
 * @mpol: a policy other than the default
 * @gfn: page of the VM that it is for
 * @gfp: flags
 *
 * Return: the folio, or NULL. Only "bind" is refused memory while other nodes
 * have some.
 */
struct folio *disco_mpol_alloc(struct disco_mpol *mpol, pgoff_t gfn, gfp_t gfp)
{
	return __folio_alloc(gfp, 0, disco_mpol_node(mpol, gfn),
			     mpol->mode == DISCO_MPOL_BIND ? &mpol->nodes :
							     NULL);
}
