// SPDX-License-Identifier: GPL-2.0-only
/*
 * discoctl vcpu: the virtual CPUs and their second-level TLBs.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/disco_l2tlb.h>

#include "discoctl.h"

static const char help[] =
	"Usage: discoctl vcpu list [NAME]\n"
	"       discoctl vcpu show NAME VCPU\n"
	"       discoctl vcpu dump NAME VCPU [SET[-SET]]\n"
	"       discoctl vcpu help\n"
	"\n"
	"NAME is the path of the machine's file relative to ram/. VCPU is a number.\n"
	"A VCPU that its monitor made known has a second-level TLB, a table of what\n"
	"the guest wrote into its own TLB:\n"
	"\n"
	"  ENTRIES   pairs of pages that the table has room for\n"
	"  LIVE      pairs that are in it\n"
	"  HITS      accesses answered from the table\n"
	"  MISSES    accesses not answered from it\n"
	"  FORWARDS  refill exceptions that the guest got\n"
	"  DROPS     pairs dropped because the guest could know them gone\n"
	"  FLUSHES   times the whole table was emptied\n"
	"\n"
	"dump prints the pairs, of all sets or of some, with both frames and their\n"
	"bits: v valid, d dirty, x no execution, r no reading, and the cache mode.\n";

/* One line of the list. */
struct vcpu {
	char *vm;
	struct disco_vcpu_stat stat;
};

struct vcpus {
	struct vcpu *vcpu;
	size_t nr;
	size_t room;
	size_t unreadable;
};

static void free_vcpus(struct vcpus *vcpus)
{
	for (size_t i = 0; i < vcpus->nr; i++)
		free(vcpus->vcpu[i].vm);
	free(vcpus->vcpu);
}

static int add_vcpu(struct vcpus *vcpus, const char *vm,
		    const struct disco_vcpu_stat *stat)
{
	struct vcpu *more;

	if (vcpus->nr == vcpus->room) {
		size_t room = vcpus->room ? 2 * vcpus->room : 16;

		more = reallocarray(vcpus->vcpu, room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		vcpus->vcpu = more;
		vcpus->room = room;
	}
	more = &vcpus->vcpu[vcpus->nr];
	more->vm = strdup(vm);
	if (!more->vm)
		return -ENOMEM;
	more->stat = *stat;
	vcpus->nr++;
	return 0;
}

/* Returns an exit code. */
static int read_vcpus(struct ctl *ctl, struct disco_vm *vm, struct vcpus *vcpus)
{
	struct disco_vcpu_stat stat;
	uint32_t next = 0;
	int ret;

	for (;;) {
		stat = (struct disco_vcpu_stat) {
			.size = sizeof(stat),
			.flags = DISCO_VCPU_NEXT,
			.vcpu = next,
		};
		ret = disco_vcpu_stat(vm, &stat);
		if (ret == -ENOENT)
			return EXIT_OK;
		if (ret)
			return ctl_disco_error(ctl);
		if (add_vcpu(vcpus, disco_vm_name(vm), &stat))
			return ctl_error(ctl, "not enough memory");
		next = stat.out_vcpu + 1;
	}
}

/* Machines that vanish meanwhile are left out, like those never there. */
static int read_all(struct ctl *ctl, struct vcpus *vcpus)
{
	struct disco_vm *vm;
	char **names;
	size_t nr;
	int ret;

	if (disco_vm_names(ctl->disco, &names, &nr, &vcpus->unreadable))
		return ctl_disco_error(ctl);
	ret = EXIT_OK;
	for (size_t i = 0; i < nr && !ret; i++) {
		int err = disco_vm_open(ctl->disco, names[i], &vm);

		if (err == -EACCES)
			vcpus->unreadable++;
		else if (err && err != -ENOENT)
			ret = ctl_disco_error(ctl);
		if (err)
			continue;
		ret = read_vcpus(ctl, vm, vcpus);
		disco_vm_close(vm);
	}
	disco_vm_names_free(names, nr);
	return ret;
}

static struct json_object *vcpu_json(const struct vcpu *vcpu)
{
	const struct disco_vcpu_stat *stat = &vcpu->stat;
	struct json_object *obj = json_object_new_object();

	json_add_text(obj, "vm", vcpu->vm);
	json_add_u64(obj, "vcpu", stat->out_vcpu);
	json_add_u64(obj, "node", stat->out_node);
	json_add_u64(obj, "bytes", stat->out_bytes);
	json_add_u64(obj, "bytes_away", stat->out_bytes_away);
	json_add_u64(obj, "indices", stat->out_nr_indices);
	json_add_u64(obj, "entries", stat->out_nr_entries);
	json_add_u64(obj, "live", stat->out_nr_live);
	json_add_u64(obj, "hits", stat->out_hits);
	json_add_u64(obj, "misses", stat->out_misses);
	json_add_u64(obj, "forwards", stat->out_forwards);
	json_add_u64(obj, "inserts", stat->out_inserts);
	json_add_u64(obj, "evictions", stat->out_evictions);
	json_add_u64(obj, "drops", stat->out_drops);
	json_add_u64(obj, "flushes", stat->out_flushes);
	return obj;
}

static void print_list_json(const struct ctl *ctl, const struct vcpus *vcpus)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < vcpus->nr; i++)
		json_object_array_add(list, vcpu_json(&vcpus->vcpu[i]));
	json_object_object_add(obj, "vcpus", list);
	json_add_u64(obj, "unreadable", vcpus->unreadable);
	ctl_print_json(ctl, obj);
}

static void print_list(const struct vcpus *vcpus)
{
	printf("%4s %4s %8s %8s %14s %14s %12s %12s %10s  %s\n", "VCPU",
	       "NODE", "ENTRIES", "LIVE", "HITS", "MISSES", "FORWARDS",
	       "DROPS", "FLUSHES", "VM");
	for (size_t i = 0; i < vcpus->nr; i++) {
		const struct disco_vcpu_stat *stat = &vcpus->vcpu[i].stat;
		char *name = escape_name(vcpus->vcpu[i].vm);

		printf("%4u %4u %8u %8u %14llu %14llu %12llu %12llu %10llu  %s\n",
		       stat->out_vcpu, stat->out_node, stat->out_nr_entries,
		       stat->out_nr_live, (unsigned long long)stat->out_hits,
		       (unsigned long long)stat->out_misses,
		       (unsigned long long)stat->out_forwards,
		       (unsigned long long)stat->out_drops,
		       (unsigned long long)stat->out_flushes,
		       name ? name : "-");
		free(name);
	}
	if (vcpus->unreadable)
		printf("Not shown: %zu machines or folders that you may not read.\n",
		       vcpus->unreadable);
}

static int vcpu_list(struct ctl *ctl, int argc, char **argv)
{
	struct vcpus vcpus = { 0 };
	struct disco_vm *vm;
	int ret;

	if (argc > 1)
		return reject_words(ctl, argc - 1, argv + 1);
	if (argc) {
		if (disco_vm_open(ctl->disco, argv[0], &vm))
			return ctl_disco_error(ctl);
		ret = read_vcpus(ctl, vm, &vcpus);
		disco_vm_close(vm);
	} else {
		ret = read_all(ctl, &vcpus);
	}
	if (!ret) {
		if (ctl->json)
			print_list_json(ctl, &vcpus);
		else
			print_list(&vcpus);
	}
	free_vcpus(&vcpus);
	return ret;
}

/* Opens the machine and finds the VCPU that the first two words name. */
static int open_vcpu(struct ctl *ctl, const char *what, int argc, char **argv,
		     struct disco_vm **vm, struct disco_vcpu_stat *stat)
{
	uint64_t nr;

	if (argc < 2)
		return ctl_error(ctl,
				 "vcpu %s: the %s missing (see: discoctl vcpu list)",
				 what, argc ? "number of a VCPU is" :
				 "NAME of a machine and the number of a VCPU are");
	if (!parse_number(argv[1], &nr) || nr >= DISCO_MAX_VCPUS)
		return ctl_error(ctl, "\"%s\" is not the number of a VCPU: 0 to %d",
				 argv[1], DISCO_MAX_VCPUS - 1);
	if (disco_vm_open(ctl->disco, argv[0], vm))
		return ctl_disco_error(ctl);
	*stat = (struct disco_vcpu_stat) {
		.size = sizeof(*stat),
		.vcpu = nr,
	};
	if (!disco_vcpu_stat(*vm, stat))
		return EXIT_OK;
	disco_vm_close(*vm);
	return ctl_disco_error(ctl);
}

static void print_show(const char *name, const struct disco_vcpu_stat *stat)
{
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "node", stat->out_node },
		{ "bytes", stat->out_bytes },
		{ "on other nodes", stat->out_bytes_away },
		{ "guest's own TLB", stat->out_nr_indices },
		{ "entries", stat->out_nr_entries },
		{ "live", stat->out_nr_live },
		{ "hits", stat->out_hits },
		{ "misses", stat->out_misses },
		{ "forwards", stat->out_forwards },
		{ "inserts", stat->out_inserts },
		{ "evictions", stat->out_evictions },
		{ "drops", stat->out_drops },
		{ "flushes", stat->out_flushes },
	};

	printf("VCPU %u of VM %s\n\n", stat->out_vcpu, name);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		printf("  %-16s%20" PRIu64 "\n", rows[i].name, rows[i].value);
}

static int vcpu_show(struct ctl *ctl, int argc, char **argv)
{
	struct disco_vm *vm;
	struct vcpu vcpu;
	int ret;

	if (argc > 2)
		return reject_words(ctl, argc - 2, argv + 2);
	ret = open_vcpu(ctl, "show", argc, argv, &vm, &vcpu.stat);
	if (ret)
		return ret;
	vcpu.vm = (char *)disco_vm_name(vm);
	if (ctl->json) {
		ctl_print_json(ctl, vcpu_json(&vcpu));
	} else {
		char *name = escape_name(vcpu.vm);

		print_show(name ? name : "-", &vcpu.stat);
		free(name);
	}
	disco_vm_close(vm);
	return EXIT_OK;
}

static struct json_object *frame_json(uint64_t lo)
{
	struct json_object *obj = json_object_new_object();

	json_add_u64(obj, "frame", lo & DISCO_L2TLB_FRAME);
	json_object_object_add(obj, "valid",
			       json_object_new_boolean(lo & DISCO_L2TLB_V));
	json_object_object_add(obj, "dirty",
			       json_object_new_boolean(!!(lo & DISCO_L2TLB_D)));
	json_object_object_add(obj, "no_exec",
			       json_object_new_boolean(!!(lo & DISCO_L2TLB_XI)));
	json_object_object_add(obj, "no_read",
			       json_object_new_boolean(!!(lo & DISCO_L2TLB_RI)));
	json_add_u64(obj, "cache",
		     (lo & DISCO_L2TLB_C) >> DISCO_L2TLB_C_SHIFT);
	return obj;
}

static struct json_object *entry_json(const struct disco_vcpu_entry *entry)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *pages = json_object_new_array();

	json_add_u64(obj, "set", entry->set);
	json_add_u64(obj, "va", entry->va);
	json_add_u64(obj, "page_size", 1ULL << entry->page_shift);
	if (entry->global)
		json_object_object_add(obj, "tag", NULL);
	else
		json_add_u64(obj, "tag", entry->tag);
	for (int i = 0; i < 2; i++)
		json_object_array_add(pages, frame_json(entry->lo[i]));
	json_object_object_add(obj, "pages", pages);
	return obj;
}

static void print_frame(uint64_t lo)
{
	printf("  0x%012" PRIx64 " %c%c%c%c %u", (uint64_t)(lo & DISCO_L2TLB_FRAME),
	       lo & DISCO_L2TLB_V ? 'v' : '-', lo & DISCO_L2TLB_D ? 'd' : '-',
	       lo & DISCO_L2TLB_XI ? 'x' : '-', lo & DISCO_L2TLB_RI ? 'r' : '-',
	       (unsigned int)((lo & DISCO_L2TLB_C) >> DISCO_L2TLB_C_SHIFT));
}

static void print_entry(const struct disco_vcpu_entry *entry)
{
	printf("%7u 0x%016llx %7lluK ", entry->set,
	       (unsigned long long)entry->va, (1ULL << entry->page_shift) >> 10);
	if (entry->global)
		printf("%6s", "all");
	else
		printf("%6u", entry->tag);
	print_frame(entry->lo[0]);
	print_frame(entry->lo[1]);
	putchar('\n');
}

/* @list is NULL for text. */
static int walk_sets(struct ctl *ctl, struct disco_vm *vm, uint32_t vcpu,
		     uint32_t first, uint32_t last, struct json_object *list)
{
	static struct disco_vcpu_entry entries[1024];
	struct disco_vcpu_dump dump = {
		.size = sizeof(dump),
		.vcpu = vcpu,
		.entries = (uintptr_t)entries,
		.nr = ARRAY_SIZE(entries),
	};

	for (dump.set = first; dump.set <= last; dump.set = dump.out_next) {
		if (disco_vcpu_dump(vm, &dump))
			return ctl_disco_error(ctl);
		for (uint32_t i = 0; i < dump.out_nr; i++) {
			if (entries[i].set > last)
				break;
			if (list)
				json_object_array_add(list, entry_json(&entries[i]));
			else
				print_entry(&entries[i]);
		}
	}
	return EXIT_OK;
}

static int dump_sets(struct ctl *ctl, struct disco_vm *vm,
		     const struct disco_vcpu_stat *stat, const char *range)
{
	uint32_t sets = stat->out_nr_entries / DISCO_L2TLB_WAYS;
	uint64_t first = 0, last = sets - 1;
	struct json_object *obj, *list;
	int ret;

	if (range && (!parse_range(range, &first, &last) || first > last))
		return ctl_error(ctl, "\"%s\" is not SET or SET-SET, such as 0-15",
				 range);
	if (last >= sets)
		return ctl_error(ctl,
				 "set %" PRIu64 " is past the end of the table, which has %u sets",
				 last, sets);
	if (!ctl->json) {
		printf("%7s %-18s %8s %6s  %-21s  %s\n", "SET", "ADDRESS",
		       "PAGE", "TAG", "EVEN", "ODD");
		return walk_sets(ctl, vm, stat->out_vcpu, first, last, NULL);
	}
	list = json_object_new_array();
	ret = walk_sets(ctl, vm, stat->out_vcpu, first, last, list);
	if (ret) {
		json_object_put(list);
		return ret;
	}
	obj = json_object_new_object();
	json_add_text(obj, "vm", disco_vm_name(vm));
	json_add_u64(obj, "vcpu", stat->out_vcpu);
	json_add_u64(obj, "sets", sets);
	json_object_object_add(obj, "pairs", list);
	return ctl_print_json(ctl, obj);
}

static int vcpu_dump(struct ctl *ctl, int argc, char **argv)
{
	struct disco_vcpu_stat stat;
	struct disco_vm *vm;
	int ret;

	if (argc > 3)
		return reject_words(ctl, argc - 3, argv + 3);
	ret = open_vcpu(ctl, "dump", argc, argv, &vm, &stat);
	if (ret)
		return ret;
	ret = dump_sets(ctl, vm, &stat, argv[2]);
	disco_vm_close(vm);
	return ret;
}

static int vcpu_help(struct ctl *ctl, int argc, char **argv)
{
	(void)ctl, (void)argc, (void)argv;
	return print_help(help);
}

static const struct command vcpu_commands[] = {
	{ "list", vcpu_list },
	{ "show", vcpu_show },
	{ "dump", vcpu_dump },
	{ "help", vcpu_help },
	{ NULL, NULL },
};

/**
 * cmd_vcpu - discoctl vcpu
 * @ctl: the program
 * @argc: number of words that follow
 * @argv: the words
 *
 * Return: exit code.
 */
int cmd_vcpu(struct ctl *ctl, int argc, char **argv)
{
	return dispatch(ctl, vcpu_commands, "vcpu command", argc, argv);
}
