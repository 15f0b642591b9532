// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves pages of all VMs of a mount to random nodes, as fast as it can, while
 * they run: migrates, replicates and collapses, samples heat, merges, makes
 * clones that it drops again, and lets the kernel drop what disks have cached.
 * No VM may see any of it; see README.rst for who looks.
 */
#define _GNU_SOURCE
#include "nodes.h"

#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define MAX_VMS 64
#define MAX_THREADS 64
/* Entries of one request: some runs of what is unmapped at once. */
#define MAX_LIST 512

/* What became of entries of DISCO_MOVE, beside those that were done. */
enum { BUSY, NOTHING, NO_ROOM, NR_REFUSALS };

static struct {
	const char *mount;
	double seconds;
	unsigned long moves;
	unsigned int threads;
	unsigned int busy;
	unsigned int budget;
} options = { .threads = 2, .busy = 100, .budget = DISCO_HEAT_BUDGET };

struct vm {
	int fd;
	ino_t inode;
	uint64_t pages;
	unsigned long moved;
	char *path;
};

static struct vm vms[MAX_VMS];
static unsigned int nr_vms;
/* Threads that use a VM have it for reading, who changes the list for writing. */
static pthread_rwlock_t vms_lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

static int control;
static volatile sig_atomic_t stop;
static unsigned long done[DISCO_MOVE_COLLAPSE + 1], refused[NR_REFUSALS];
static unsigned long merged, clones, heat;

struct thread {
	uint64_t state;
	unsigned int nr;
	pthread_t thread;
	struct disco_move_entry entries[MAX_LIST];
};

static void __attribute__((noreturn)) wrong(const char *what, int error)
{
	fprintf(stderr, "chaos: %s: %s\n", what, strerror(error));
	exit(1);
}

static void add(unsigned long *counter, unsigned long n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static uint64_t below(struct thread *t, uint64_t limit)
{
	return dt_random(&t->state) % limit;
}

/* Migrations are half of all; of the rest, more is made than dropped. */
static uint32_t any_operation(struct thread *t)
{
	static const uint32_t operations[] = {
		DISCO_MOVE_MIGRATE, DISCO_MOVE_MIGRATE, DISCO_MOVE_MIGRATE,
		DISCO_MOVE_MIGRATE, DISCO_MOVE_REPLICATE, DISCO_MOVE_REPLICATE,
		DISCO_MOVE_REPLICATE, DISCO_MOVE_COLLAPSE,
	};

	return operations[below(t, 8)];
}

/* A page of a VM, most often one that it has. */
static uint64_t any_page(struct thread *t, const struct vm *vm)
{
	uint64_t gfn = below(t, vm->pages);
	off_t data = lseek(vm->fd, gfn * dt_page, SEEK_DATA);

	return data < 0 ? gfn : data / dt_page;
}

/* A run of pages to one node or to many, or pages from here and there. */
static unsigned int fill_list(struct thread *t, const struct vm *vm)
{
	unsigned int nr = 1 + below(t, below(t, 4) ? MAX_LIST : 8);
	bool scattered = !below(t, 4), one_node = below(t, 2);
	int node = dt_nodes[below(t, dt_nr_nodes)];
	uint64_t gfn = any_page(t, vm);

	for (unsigned int i = 0; i < nr; i++) {
		if (scattered)
			gfn = below(t, vm->pages);
		t->entries[i] = (struct disco_move_entry){
			.gfn = gfn++ % vm->pages,
			.node = one_node ? node :
					   dt_nodes[below(t, dt_nr_nodes)],
		};
	}
	return nr;
}

static void count_results(const struct disco_move *move,
			  const struct disco_move_entry *entries)
{
	add(&done[move->operation], move->out_moved);
	for (unsigned int i = 0; i < move->out_nr; i++) {
		switch (entries[i].out_result) {
		case 0:
			break;
		case -EBUSY:
			add(&refused[BUSY], 1);
			break;
		case -EEXIST:
		case -ENOENT:
		case -ENXIO:	/* it has shrunk */
			add(&refused[NOTHING], 1);
			break;
		case -ENOMEM:
		case -ENOSPC:
			add(&refused[NO_ROOM], 1);
			break;
		default:
			wrong("DISCO_MOVE: result", -entries[i].out_result);
		}
	}
}

static void act_move(struct thread *t, struct vm *vm)
{
	struct disco_move move = {
		.size = sizeof(move), .vm_fd = vm->fd,
		.operation = any_operation(t),
		.entries = (uintptr_t)t->entries,
		.nr = fill_list(t, vm),
	};

	if (move.operation == DISCO_MOVE_COLLAPSE && below(t, 2))
		for (unsigned int i = 0; i < move.nr; i++)
			t->entries[i].node = DISCO_NO_NODE;
	if (ioctl(control, DISCO_MOVE, &move))
		wrong("DISCO_MOVE", errno);
	add(&vm->moved, move.out_moved);
	count_results(&move, t->entries);
}

static void act_merge(struct thread *t, const struct vm *vm)
{
	const struct vm *other = &vms[below(t, nr_vms)];
	struct disco_merge merge = {
		.size = sizeof(merge), .vm_fd = vm->fd, .other_fd = other->fd,
		.nr = 1 + below(t, MAX_LIST),
	};

	merge.gfn = any_page(t, vm);
	/* In guests of one kind, what is equal often is at the same place. */
	merge.other_gfn = below(t, 4) ? merge.gfn : any_page(t, other);
	if (!ioctl(control, DISCO_MERGE, &merge))
		add(&merged, merge.out_merged);
	else if (errno != ENXIO && errno != EACCES)
		wrong("DISCO_MERGE", errno);
}

/* What a clone shares with its source is copied or taken back by and by. */
static void act_clone(struct thread *t, const struct vm *vm)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/ram/.chaos-%d-%u", options.mount,
		 getpid(), t->nr);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		wrong(path, errno);
	if (ioctl(fd, FICLONE, vm->fd) && errno != ENOSPC)
		wrong("FICLONE", errno);
	if (unlink(path))
		wrong(path, errno);
	close(fd);
	add(&clones, 1);
}

static void act_heat(struct thread *t, const struct vm *vm)
{
	struct disco_heat_entry entries[1024];
	struct disco_heat_drain drain = {
		.size = sizeof(drain), .vm_fd = vm->fd,
		.entries = (uintptr_t)entries, .nr = 1024,
	};

	(void)t;
	if (ioctl(control, DISCO_HEAT_DRAIN, &drain))
		wrong("DISCO_HEAT_DRAIN", errno);
	add(&heat, drain.out_nr);
}

/* Each page of all is as likely; NULL if there are none. */
static struct vm *any_vm(struct thread *t)
{
	uint64_t pages = 0, pick;
	unsigned int i;

	for (i = 0; i < nr_vms; i++)
		pages += vms[i].pages;
	if (!pages)
		return NULL;
	pick = below(t, pages);
	for (i = 0; pick >= vms[i].pages; i++)
		pick -= vms[i].pages;
	return &vms[i];
}

/* Guests, which wait for what is moved and for flushes, need time as well. */
static void rest(double begin)
{
	double took = dt_now() - begin;

	if (options.busy < 100)
		usleep(took * 1e6 * (100 - options.busy) / options.busy);
}

static void *run_thread(void *data)
{
	struct thread *t = data;
	struct vm *vm;
	double begin;

	while (!stop) {
		begin = dt_now();
		pthread_rwlock_rdlock(&vms_lock);
		vm = any_vm(t);
		if (vm && !below(t, 2000))
			act_clone(t, vm);
		else if (vm && !below(t, 100))
			act_merge(t, vm);
		else if (vm && !below(t, 100))
			act_heat(t, vm);
		else if (vm)
			act_move(t, vm);
		pthread_rwlock_unlock(&vms_lock);
		if (!vm)
			usleep(10000);
		rest(begin);
	}
	return NULL;
}

static void sample(int fd, unsigned int budget)
{
	struct disco_heat_set set = {
		.size = sizeof(set), .vm_fd = fd, .budget = budget,
	};

	if (ioctl(control, DISCO_HEAT_SET, &set))
		wrong("DISCO_HEAT_SET", errno);
}

static int add_vm(const char *path, const struct stat *stat, int type,
		  struct FTW *ftw)
{
	int fd;

	(void)ftw;
	if (type != FTW_F || stat->st_size < (off_t)dt_page ||
	    nr_vms == MAX_VMS)
		return 0;
	for (unsigned int i = 0; i < nr_vms; i++)
		if (vms[i].inode == stat->st_ino)
			return 0;
	fd = open(path, O_RDWR | O_CLOEXEC);
	/* It may have gone since the directory was read. */
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		wrong(path, errno);
	sample(fd, options.budget);
	vms[nr_vms++] = (struct vm){
		.fd = fd, .inode = stat->st_ino,
		.pages = stat->st_size / dt_page,
		.path = strdup(path),
	};
	return 0;
}

static void forget_vm(struct vm *vm)
{
	if (vm->moved)
		printf("  %lu of them of %s\n", vm->moved, vm->path);
	close(vm->fd);
	free(vm->path);
}

/* VMs come and go. Our descriptor would keep the memory of one that is gone. */
static void find_vms(void)
{
	char ram[256];
	struct stat stat;

	pthread_rwlock_wrlock(&vms_lock);
	for (unsigned int i = 0; i < nr_vms;) {
		if (!fstat(vms[i].fd, &stat) && stat.st_nlink) {
			i++;
			continue;
		}
		forget_vm(&vms[i]);
		vms[i] = vms[--nr_vms];
	}
	snprintf(ram, sizeof(ram), "%s/ram", options.mount);
	if (nftw(ram, add_vm, 16, FTW_PHYS) && errno != ENOENT)
		wrong(ram, errno);
	pthread_rwlock_unlock(&vms_lock);
}

static void forget_vms(void)
{
	while (nr_vms) {
		sample(vms[--nr_vms].fd, 0);
		forget_vm(&vms[nr_vms]);
	}
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "1", 1) != 1)
		wrong("/proc/sys/vm/drop_caches", errno);
	close(fd);
}

static unsigned long moved(void)
{
	return done[DISCO_MOVE_MIGRATE] + done[DISCO_MOVE_REPLICATE] +
	       done[DISCO_MOVE_COLLAPSE];
}

static void report(double seconds)
{
	printf("moved %lu pages in %.0f s: %lu migrated, %lu replicated, %lu collapsed; busy %lu, nothing to do %lu, no room %lu; merged %lu, clones %lu, counters of heat %lu; VMs %u\n",
	       moved(), seconds, done[DISCO_MOVE_MIGRATE],
	       done[DISCO_MOVE_REPLICATE], done[DISCO_MOVE_COLLAPSE],
	       refused[BUSY], refused[NOTHING], refused[NO_ROOM], merged,
	       clones, heat, nr_vms);
	fflush(stdout);
}

static void on_signal(int signal)
{
	(void)signal;
	stop = 1;
}

static void run(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct thread *threads = calloc(options.threads, sizeof(*threads));
	double begin = dt_now(), last = begin, now = begin;
	unsigned int round;

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	find_vms();
	for (unsigned int i = 0; i < options.threads; i++) {
		threads[i].nr = i;
		threads[i].state = (uint64_t)time(NULL) * 2654435761 + 2 * i + 1;
		if (pthread_create(&threads[i].thread, NULL, run_thread,
				   &threads[i]))
			wrong("pthread_create", EAGAIN);
	}
	for (round = 0; !stop; round++) {
		usleep(100000);
		now = dt_now();
		if (round % 5 == 4)
			find_vms();
		if (round % 20 == 19)
			drop_caches();
		if (now - last >= 10) {
			report(now - begin);
			last = now;
		}
		if ((options.seconds && now - begin >= options.seconds) ||
		    (options.moves && moved() >= options.moves))
			stop = 1;
	}
	for (unsigned int i = 0; i < options.threads; i++)
		pthread_join(threads[i].thread, NULL);
	report(now - begin);
	forget_vms();
	free(threads);
}

static const char usage[] =
"usage: chaos [OPTION]... MOUNT\n"
"\n"
"Moves, replicates and collapses random pages of all VMs of the disco file\n"
"system on MOUNT, and prints how many it has moved. Needs root.\n"
"\n"
"  --seconds N   end after N seconds\n"
"  --moves N     end after N pages were moved; without either: on a signal\n"
"  --threads N   how many move at the same time, 1 to 64; default 2\n"
"  --busy N      percent of the time in which each of them does; default 100\n"
"  --heat N      budget of the sampler, in millionths of a CPU; default 10000\n";

static unsigned long number(const char *name, const char *text,
			    unsigned long min, unsigned long max)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || end == text || *text == '-' || value < min ||
	    value > max) {
		fprintf(stderr, "chaos: --%s '%s': it is a number from %lu to %lu\n",
			name, text, min, max);
		exit(2);
	}
	return value;
}

static void parse(int argc, char **argv)
{
	static const struct option names[] = {
		{ "seconds", required_argument, NULL, 's' },
		{ "moves", required_argument, NULL, 'm' },
		{ "threads", required_argument, NULL, 't' },
		{ "busy", required_argument, NULL, 'u' },
		{ "heat", required_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int name;

	while ((name = getopt_long(argc, argv, "h", names, NULL)) >= 0) {
		switch (name) {
		case 's':
			options.seconds = number("seconds", optarg, 1, 1000000);
			break;
		case 'm':
			options.moves = number("moves", optarg, 1, 1UL << 40);
			break;
		case 't':
			options.threads = number("threads", optarg, 1,
						 MAX_THREADS);
			break;
		case 'u':
			options.busy = number("busy", optarg, 1, 100);
			break;
		case 'b':
			options.budget = number("heat", optarg, 0,
						DISCO_HEAT_MAX_BUDGET);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			exit(2);
		}
	}
	if (optind != argc - 1) {
		fputs(usage, stderr);
		exit(2);
	}
	options.mount = argv[optind];
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	control = open("/dev/disco", O_RDWR | O_CLOEXEC);
	if (control < 0)
		wrong("/dev/disco", errno);
	dt_find_nodes();
	if (dt_nr_nodes < 2) {
		fprintf(stderr, "chaos: this machine has one node: there is nowhere to move pages to\n");
		return 1;
	}
	run();
	return 0;
}
