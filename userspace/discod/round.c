// SPDX-License-Identifier: GPL-2.0-only
/*
 * One round: heat in, decisions, moves out. Afterwards nothing of the module and the
 * mount is open.
 */
#include <errno.h>
#include <string.h>

#include "discod.h"

/* How often the policy forgets what it need not know. */
#define TRIM_NS (60 * NS_PER_S)

/* One who has no memory for more must not lose the rest. */
static void check(struct discod *d, int ret)
{
	if (ret == -ENOMEM)
		complain(d, "not enough memory");
	else if (ret)
		complain(d, "%s", disco_error(d->disco));
}

/* Opens all there is; closed by close_all() also after a failure. */
static int open_all(struct discod *d)
{
	struct disco_query query = { .size = sizeof(query) };
	int ret;

	ret = disco_new(&d->disco);
	if (ret)
		return ret;
	ret = disco_set_mount(d->disco, d->options.mount);
	if (!ret)
		ret = disco_query(d->disco, &query);
	if (!ret)
		ret = machines_open(d);
	d->page_size = query.out_page_size;
	return ret;
}

static void close_all(struct discod *d)
{
	machines_close(d);
	disco_free(d->disco);
	d->disco = NULL;
}

static void decide(struct discod *d)
{
	const struct np_action *actions;
	size_t nr;
	int ret;

	ret = np_policy_decide(d->policy, d->now_ns - d->begin_ns, &actions, &nr);
	if (!ret)
		ret = moves_run(d, actions, nr);
	check(d, ret);
	if (d->now_ns < d->trim_ns)
		return;
	d->trim_ns = d->now_ns + TRIM_NS;
	np_policy_trim(d->policy);
}

/* Says it when there is trouble, or another one, or no more. */
static void tell_trouble(struct discod *d)
{
	if (strcmp(d->trouble, d->said) != 0) {
		if (d->trouble[0])
			say(d, "%s", d->trouble);
		else
			say(d, "goes on, with %zu VMs", d->nr_machines);
		strcpy(d->said, d->trouble);
	}
	d->trouble[0] = '\0';
}

/**
 * round_run - do the work of one interval
 * @d: the daemon
 *
 * What goes wrong is said when it happens first; the next round tries again.
 */
void round_run(struct discod *d)
{
	int ret = open_all(d);

	if (ret) {
		check(d, ret);
		machines_close(d);
		machines_forget(d);
	} else {
		check(d, machines_scan(d));
		for (size_t i = 0; i < d->nr_machines; i++)
			check(d, heat_take(d, d->machine[i]));
		decide(d);
	}
	close_all(d);
	tell_trouble(d);
	if (d->now_ns >= d->log_next_ns) {
		log_line(d);
		d->log_next_ns = d->now_ns + d->options.log_ns;
	}
}

/**
 * round_end - leave machines as they were
 * @d: the daemon
 */
void round_end(struct discod *d)
{
	int ret = open_all(d);

	for (size_t i = 0; i < d->nr_machines; i++) {
		if (!ret)
			heat_stop(d, d->machine[i]);
		affinity_restore(d->machine[i]);
	}
	log_line(d);
	close_all(d);
	tell_trouble(d);
	machines_forget(d);
}
