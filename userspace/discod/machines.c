// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which machines there are: all files below ram/, whoever made them, and the processes
 * that run them. libvirt's machines are files there like any other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "discod.h"
#include "monitors.h"
#include "text.h"

/* A machine that stays gets a new monitor now and then. */
#define SCAN_NS (60 * NS_PER_S)

/**
 * tally_add - add what happened
 * @sum: to this
 * @tally: what happened
 */
void tally_add(struct tally *sum, const struct tally *tally)
{
	sum->uses += tally->uses;
	sum->known += tally->known;
	sum->local += tally->local;
	sum->shared += tally->shared;
	sum->shared_local += tally->shared_local;
	for (size_t i = 0; i < NR_RESULTS; i++) {
		sum->results[0][i] += tally->results[0][i];
		sum->results[1][i] += tally->results[1][i];
	}
	sum->sampler_ns += tally->sampler_ns;
}

static void free_machine(struct machine *machine)
{
	if (machine) {
		free(machine->name);
		free(machine->shown);
	}
	free(machine);
}

static void forget(struct discod *d, struct machine *machine)
{
	tally_add(&d->gone, &machine->tally);
	np_policy_forget(d->policy, machine->number);
	disco_vm_close(machine->file);
	affinity_forget(machine);
	free_machine(machine);
}

/**
 * machines_forget - the mount is gone, and all machines with it
 * @d: the daemon
 */
void machines_forget(struct discod *d)
{
	for (size_t i = 0; i < d->nr_machines; i++)
		forget(d, d->machine[i]);
	d->nr_machines = 0;
}

static struct machine *find_file(const struct discod *d, const char *name,
				 ino_t ino)
{
	for (size_t i = 0; i < d->nr_machines; i++)
		if (d->machine[i]->ino == ino &&
		    !strcmp(d->machine[i]->name, name))
			return d->machine[i];
	return NULL;
}

static struct machine *add_machine(struct discod *d, const char *name, ino_t ino)
{
	struct machine **more = reallocarray(d->machine, d->nr_machines + 1,
					     sizeof(struct machine *));
	struct machine *machine = calloc(1, sizeof(*machine));

	if (more)
		d->machine = more;
	if (machine) {
		machine->name = strdup(name);
		machine->shown = escape_name(name);
	}
	if (!more || !machine || !machine->name || !machine->shown) {
		free_machine(machine);
		return NULL;
	}
	machine->ino = ino;
	machine->number = d->next_number++;
	d->machine[d->nr_machines++] = machine;
	/* Now, and in the next round: it may have a file before a monitor. */
	d->scan_ns = 0;
	d->scan_again = true;
	return machine;
}

static int open_machine(struct discod *d, const char *name)
{
	struct machine *machine;
	struct disco_vm *file;
	struct stat st;
	int ret;

	ret = disco_vm_open_writable(d->disco, name, &file);
	/* It went, and that is no trouble. */
	if (ret == -ENOENT)
		return 0;
	if (ret) {
		complain(d, "%s", disco_error(d->disco));
		return 0;
	}
	if (fstat(disco_vm_fd(file), &st)) {
		ret = -errno;
		disco_vm_close(file);
		return ret;
	}
	machine = find_file(d, name, st.st_ino);
	if (!machine)
		machine = add_machine(d, name, st.st_ino);
	if (!machine) {
		disco_vm_close(file);
		return -ENOMEM;
	}
	machine->file = file;
	return 0;
}

/* Those that could not be opened. */
static void forget_missing(struct discod *d)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->nr_machines; i++) {
		if (d->machine[i]->file)
			d->machine[kept++] = d->machine[i];
		else
			forget(d, d->machine[i]);
	}
	d->nr_machines = kept;
}

/**
 * machines_open - find all machines there are, and open them
 * @d: the daemon
 *
 * Machines that came get a number, those that went are forgotten.
 *
 * Return: 0; a negative errno if the mount or the module is not there, or -ENOMEM.
 */
int machines_open(struct discod *d)
{
	const char *mount;
	char **names;
	struct stat st;
	size_t nr;
	int ret;

	ret = disco_mount(d->disco, &mount);
	if (!ret && stat(mount, &st))
		ret = -errno;
	if (!ret)
		ret = disco_vm_names(d->disco, &names, &nr, NULL);
	if (ret)
		return ret;
	if (st.st_dev != d->dev)
		machines_forget(d);
	d->dev = st.st_dev;
	for (size_t i = 0; i < nr && !ret; i++)
		ret = open_machine(d, names[i]);
	disco_vm_names_free(names, nr);
	if (!ret)
		forget_missing(d);
	return ret;
}

/**
 * machines_close - close all machines
 * @d: the daemon
 */
void machines_close(struct discod *d)
{
	for (size_t i = 0; i < d->nr_machines; i++) {
		disco_vm_close(d->machine[i]->file);
		d->machine[i]->file = NULL;
	}
}

/**
 * machine_find - look up a machine
 * @d: the daemon
 * @number: its number in the policy
 *
 * Return: the machine, or NULL if it is gone; but then the policy does not know it.
 */
struct machine *machine_find(const struct discod *d, uint32_t number)
{
	for (size_t i = 0; i < d->nr_machines; i++)
		if (d->machine[i]->number == number)
			return d->machine[i];
	return NULL;
}

static int found_monitor(const struct monitor *monitor, void *data)
{
	struct discod *d = data;

	for (size_t i = 0; i < d->nr_machines; i++) {
		struct machine *machine = d->machine[i];

		if (machine->ino != monitor->ino)
			continue;
		machine->monitors++;
		machine->views |= monitor->views;
		return affinity_pin(d, machine, monitor->pid);
	}
	return 0;
}

/**
 * machines_scan - look for the processes that run machines, if it is time to
 * @d: the daemon, with its machines open
 *
 * To read what all processes have mapped is the dearest thing that discod does, so
 * it is done when machines came, and else once a minute.
 *
 * Return: 0 or -ENOMEM.
 */
int machines_scan(struct discod *d)
{
	if (!d->nr_machines || d->now_ns < d->scan_ns)
		return 0;
	d->scan_ns = d->scan_again ? 0 : d->now_ns + SCAN_NS;
	d->scan_again = false;
	for (size_t i = 0; i < d->nr_machines; i++) {
		d->machine[i]->monitors = 0;
		d->machine[i]->views = false;
	}
	return monitors_each("/proc", d->dev, found_monitor, d);
}
