// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl top, what it knows: one refresh after the other, and what changed in
 * between. Nothing here prints, as the screen may be the terminal's.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "top.h"

/*
 * Where the pages of a machine are is asked for in chunks. With more chunks than
 * MAX_CHUNKS, that many are asked for, evenly spread and at every refresh the same
 * ones: to ask for all pages takes a second for some 10 GiB.
 */
#define CHUNK 128
#define MAX_CHUNKS 512

/**
 * top_fail - something went wrong
 * @top: gets the text
 * @err: errno
 * @fmt: what went wrong
 *
 * Return: -@err.
 */
int top_fail(struct top *top, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(top->error, sizeof(top->error), fmt, ap);
	va_end(ap);
	return -err;
}

static int fail_disco(struct top *top, int ret)
{
	return top_fail(top, -ret, "%s", disco_error(top->ctl->disco));
}

static void free_vm(struct top_vm *vm)
{
	free(vm->name);
	free(vm->thread);
	free(vm->node);
}

static void free_refresh(struct top_refresh *refresh)
{
	for (size_t i = 0; i < refresh->nr; i++)
		free_vm(&refresh->vm[i]);
	free(refresh->vm);
	*refresh = (struct top_refresh) { 0 };
}

/**
 * top_init - begin
 * @top: filled; to be freed with top_free(), also after a failure
 * @ctl: the program
 *
 * Return: 0 or a negative errno; @top->error says why.
 */
int top_init(struct top *top, struct ctl *ctl)
{
	struct disco_query query = { .size = sizeof(query) };
	int ret;

	top->ctl = ctl;
	ret = disco_mount(ctl->disco, &top->mount);
	if (!ret)
		ret = disco_query(ctl->disco, &query);
	if (ret)
		return fail_disco(top, ret);
	top->page_size = query.out_page_size;
	return top_read_cpus(top);
}

/**
 * top_free - end
 * @top: what top_init() filled
 */
void top_free(struct top *top)
{
	free_refresh(&top->now);
	free_refresh(&top->before);
	free(top->cpu_node);
}

/* Machines shrink and grow meanwhile. */
static int look_at_chunk(struct top *top, struct disco_vm *file, uint64_t gfn,
			 struct top_vm *vm, size_t room)
{
	struct disco_pmap_batch batch;
	struct disco_pmap_iter *iter;
	int ret;

	ret = disco_pmap_new(file, gfn, gfn + CHUNK - 1, &iter);
	if (ret)
		return fail_disco(top, ret);
	while ((ret = disco_pmap_next(iter, &batch)) > 0)
		for (size_t i = 0; i < batch.nr && vm->looked < room; i++)
			vm->node[vm->looked++] = batch.entries[i].node;
	disco_pmap_free(iter);
	return ret && ret != -ENXIO ? fail_disco(top, ret) : 0;
}

static int look_at_pages(struct top *top, struct disco_vm *file,
			 struct top_vm *vm)
{
	uint64_t pages = (vm->stat.out_virtual + top->page_size - 1) /
			 top->page_size;
	uint64_t chunks = (pages + CHUNK - 1) / CHUNK;
	uint64_t skip = (chunks + MAX_CHUNKS - 1) / MAX_CHUNKS;
	size_t room = chunks < MAX_CHUNKS ? chunks * CHUNK : MAX_CHUNKS * CHUNK;
	int ret = 0;

	vm->step = skip * CHUNK;
	vm->node = calloc(room + 1, sizeof(*vm->node));
	if (!vm->node)
		return top_fail(top, ENOMEM, "not enough memory");
	for (uint64_t gfn = 0; gfn < pages && !ret; gfn += vm->step)
		ret = look_at_chunk(top, file, gfn, vm, room);
	return ret;
}

/* Until a process is found that runs it, all that is known of its place. */
static int add_vcpus(struct top *top, struct disco_vm *file, struct top_vm *vm)
{
	struct disco_vcpu_stat stat = {
		.size = sizeof(stat),
		.flags = DISCO_VCPU_NEXT,
	};
	int ret = 0;

	/* At the last one, and with a module that has no VCPUs, it fails. */
	while (!ret && !disco_vcpu_stat(file, &stat)) {
		const struct top_thread thread = {
			.id = stat.out_vcpu,
			.node = stat.out_node,
		};

		ret = top_add_thread(top, vm, &thread);
		stat.vcpu = stat.out_vcpu + 1;
	}
	return ret;
}

static int read_vm(struct top *top, struct disco_vm *file, struct top_vm *vm)
{
	struct stat st;
	uint64_t whole;
	int ret;

	vm->stat = (struct disco_vm_stat) {
		.size = sizeof(vm->stat),
		.flags = DISCO_VM_STAT_MACHINE,
	};
	vm->moved = TOP_UNKNOWN;
	vm->local = TOP_UNKNOWN;
	if (fstat(disco_vm_fd(file), &st))
		return top_fail(top, errno, "%s: %s", disco_vm_name(file),
				strerror(errno));
	vm->ino = st.st_ino;
	ret = disco_vm_stat(file, &vm->stat);
	if (ret)
		return fail_disco(top, ret);
	whole = vm->stat.out_private + vm->stat.out_shared;
	/* The parts are not of one moment. */
	vm->saved = whole > vm->stat.out_machine ?
		    whole - vm->stat.out_machine : 0;
	ret = look_at_pages(top, file, vm);
	return ret ? ret : add_vcpus(top, file, vm);
}

/* Machines that vanish meanwhile are left out, like those never there. */
static int read_vms(struct top *top)
{
	struct top_refresh *now = &top->now;
	char **names;
	size_t nr;
	int ret;

	ret = disco_vm_names(top->ctl->disco, &names, &nr, &now->unreadable);
	if (ret)
		return fail_disco(top, ret);
	now->vm = calloc(nr + 1, sizeof(*now->vm));
	if (!now->vm)
		ret = top_fail(top, ENOMEM, "not enough memory");
	for (size_t i = 0; i < nr && !ret; i++) {
		struct top_vm *vm = &now->vm[now->nr];
		struct disco_vm *file;

		ret = disco_vm_open(top->ctl->disco, names[i], &file);
		if (ret == -EACCES)
			now->unreadable++;
		if (ret == -EACCES || ret == -ENOENT) {
			ret = 0;
			continue;
		}
		if (ret) {
			ret = fail_disco(top, ret);
			break;
		}
		vm->name = names[i];
		names[i] = NULL;
		now->nr++;
		ret = read_vm(top, file, vm);
		disco_vm_close(file);
	}
	disco_vm_names_free(names, nr);
	return ret;
}

static int read_mount(struct top *top)
{
	struct statvfs vfs;
	struct stat st;

	if (statvfs(top->mount, &vfs) || stat(top->mount, &st))
		return top_fail(top, errno, "%s: %s", top->mount,
				strerror(errno));
	top->now.limit = (uint64_t)vfs.f_blocks * vfs.f_frsize;
	top->now.used = (uint64_t)(vfs.f_blocks - vfs.f_bfree) * vfs.f_frsize;
	return top_find_monitors(top, st.st_dev);
}

/* Moves are transitions, and their counters are called so. */
static int read_moves(struct top *top)
{
	static const char suffix[] = "_move";
	struct disco_counter *counters;
	size_t nr;
	int ret;

	ret = disco_counters(top->ctl->disco, &counters, &nr);
	if (ret)
		return fail_disco(top, ret);
	for (size_t i = 0; i < nr; i++) {
		size_t len = strlen(counters[i].name);

		if (len >= strlen(suffix) &&
		    !strcmp(counters[i].name + len - strlen(suffix), suffix))
			top->now.moves += counters[i].value;
	}
	disco_counters_free(counters, nr);
	return 0;
}

static const struct top_vm *find_before(const struct top *top,
					const struct top_vm *vm)
{
	for (size_t i = 0; i < top->before.nr; i++)
		if (top->before.vm[i].ino == vm->ino &&
		    !strcmp(top->before.vm[i].name, vm->name))
			return &top->before.vm[i];
	return NULL;
}

/* A page that was dropped and came back, or merged, elsewhere looks like a move. */
static double count_moved(const struct top_vm *vm, const struct top_vm *before)
{
	uint64_t moved = 0;

	if (!before || before->looked != vm->looked || before->step != vm->step)
		return TOP_UNKNOWN;
	for (size_t i = 0; i < vm->looked; i++)
		moved += vm->node[i] != before->node[i] &&
			 vm->node[i] != DISCO_NO_NODE &&
			 before->node[i] != DISCO_NO_NODE;
	return moved * (vm->step / CHUNK);
}

static void add_total(struct top_vm *total, const struct top_vm *vm)
{
	total->stat.out_virtual += vm->stat.out_virtual;
	total->stat.out_private += vm->stat.out_private;
	total->stat.out_shared += vm->stat.out_shared;
	total->stat.out_machine += vm->stat.out_machine;
	total->stat.out_metadata += vm->stat.out_metadata;
	total->saved += vm->saved;
}

static double seconds_between(const struct timespec *from,
			      const struct timespec *to)
{
	return (to->tv_sec - from->tv_sec) + (to->tv_nsec - from->tv_nsec) / 1e9;
}

static void compare_refreshes(struct top *top)
{
	struct top_refresh *now = &top->now;
	struct top_vm *total = &now->total;
	double known = 0, local = 0;

	total->moved = TOP_UNKNOWN;
	total->local = TOP_UNKNOWN;
	now->seconds = TOP_UNKNOWN;
	if (top->before.mono.tv_sec) {
		now->seconds = seconds_between(&top->before.mono, &now->mono);
		/* A module that was loaded anew counts from 0. */
		if (now->moves >= top->before.moves)
			total->moved = now->moves - top->before.moves;
	}
	for (size_t i = 0; i < now->nr; i++) {
		struct top_vm *vm = &now->vm[i];
		const struct top_vm *before = find_before(top, vm);
		double present = vm->stat.out_private + vm->stat.out_shared;

		vm->moved = count_moved(vm, before);
		vm->local = top_local(vm, before);
		add_total(total, vm);
		if (vm->local != TOP_UNKNOWN) {
			known += present;
			local += present * vm->local;
		}
	}
	if (known > 0)
		total->local = local / known;
}

/**
 * top_refresh - look again
 * @top: @now becomes @before, and @now is filled
 *
 * Return: 0 or a negative errno; @top->error says why.
 */
int top_refresh(struct top *top)
{
	int ret;

	free_refresh(&top->before);
	top->before = top->now;
	top->now = (struct top_refresh) { 0 };
	clock_gettime(CLOCK_MONOTONIC, &top->now.mono);
	clock_gettime(CLOCK_REALTIME, &top->now.wall);
	ret = read_moves(top);
	if (!ret)
		ret = read_vms(top);
	if (!ret)
		ret = read_mount(top);
	if (!ret)
		compare_refreshes(top);
	return ret;
}

/**
 * top_per_second - a rate
 * @top: what is known
 * @moved: pages since the refresh before, or TOP_UNKNOWN
 *
 * Return: pages a second, or TOP_UNKNOWN.
 */
double top_per_second(const struct top *top, double moved)
{
	if (moved == TOP_UNKNOWN || top->now.seconds <= 0)
		return TOP_UNKNOWN;
	return moved / top->now.seconds;
}
