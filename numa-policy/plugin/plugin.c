// SPDX-License-Identifier: GPL-2.0-only
/*
 * A QEMU plugin that gives each VCPU a cache and records the misses: the
 * counters that the machine Disco was written for had in hardware.
 *
 * User mode: a page is one of the program's address space, a thread is a VCPU.
 * System mode: a page is one of the guest's memory, which has to be a file
 * (ram=), so that the pages of code can be told from where QEMU has mapped them.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/disco.h>
#include <qemu-plugin.h>

#include "cache.h"
#include "live.h"
#include "policy.h"
#include "record.h"

#define MAX_CPUS 64
/* lui $zero, 0xd15c and 0xd15d: what does nothing, and nobody writes. */
#define MARK_BEGIN 0x3c00d15c
#define MARK_END 0x3c00d15d
#define MAX_MAPPINGS 64
/* The mmap() offset says which view; the page is in what is below. */
#define VIEW_MASK ((1ULL << DISCO_VIEW_SHIFT) - 1)

__attribute__((visibility("default"))) int qemu_plugin_version = QEMU_PLUGIN_VERSION;

/**
 * struct block - code that was translated
 * @nr: number of instructions
 * @lines: number of @line
 * @line: addresses in each line of the cache that they lie in
 */
struct block {
	unsigned int nr;
	unsigned int lines;
	uint64_t line[];
};

/**
 * struct mapping - where QEMU has a part of the guest's memory
 * @begin: first address
 * @end: first address after it
 * @offset: offset in the file
 */
struct mapping {
	uint64_t begin;
	uint64_t end;
	uint64_t offset;
};

static struct plugin {
	bool system;
	bool disco;
	bool marks;
	const struct np_rule *rule;
	char *ram;
	char *out;
	char *name;
	char about[256];
	uint64_t high;
	uint64_t cache;
	uint64_t ways;
	uint64_t line;
	struct record_config config;
	struct caches *caches;
	struct live *live;
	struct record *record;
	pthread_mutex_t lock;
	struct mapping mapping[MAX_MAPPINGS];
	unsigned int mappings;
	uint64_t unknown_code;
	int errors;
	/* A line of a CPU's own each, as the CPUs write them all the time. */
	struct {
		uint64_t insns;
	} __attribute__((aligned(64))) cpu[MAX_CPUS];
} plugin = {
	.high = 0x80000000,
	.cache = 1 << 20,
	.ways = 2,
	.line = 128,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.config = {
		.cpus = 8,
		.page_size = 4096,
		.insn_ps = 5000,
		.local_ns = 300,
		.remote_ns = 900,
		.tick_ns = 10 * NP_NS_PER_MS,
	},
};

static void access_memory(unsigned int cpu, uint64_t addr, bool write)
{
	if (!caches_access(plugin.caches, cpu, addr, write))
		record_miss(plugin.record, cpu,
			    addr / plugin.config.page_size, write);
}

static void block_runs(unsigned int vcpu, void *data)
{
	const struct block *block = data;
	unsigned int cpu = vcpu % plugin.config.cpus;
	uint64_t *insns = &plugin.cpu[cpu].insns;
	uint64_t had = __atomic_add_fetch(insns, block->nr, __ATOMIC_RELAXED);

	for (unsigned int i = 0; i < block->lines; i++)
		access_memory(cpu, block->line[i], false);
	if (had < RECORD_QUANTUM)
		return;
	/* Threads of a program can share a CPU; one of them takes it all. */
	had = __atomic_exchange_n(insns, 0, __ATOMIC_RELAXED);
	if (had)
		record_insns(plugin.record, cpu, had);
}

static void memory_is_used(unsigned int vcpu, qemu_plugin_meminfo_t info,
			   uint64_t vaddr, void *data)
{
	uint64_t addr = vaddr;

	(void)data;
	if (plugin.system) {
		struct qemu_plugin_hwaddr *hwaddr =
			qemu_plugin_get_hwaddr(info, vaddr);

		if (!hwaddr || qemu_plugin_hwaddr_is_io(hwaddr))
			return;
		addr = qemu_plugin_hwaddr_phys_addr(hwaddr);
		if (addr >= plugin.high)
			addr -= plugin.high;
	}
	access_memory(vcpu % plugin.config.cpus, addr,
		      qemu_plugin_mem_is_store(info));
}

static void read_mappings(void)
{
	char *line = NULL;
	size_t room = 0;
	FILE *maps = fopen("/proc/self/maps", "re");

	plugin.mappings = 0;
	while (maps && plugin.mappings < MAX_MAPPINGS &&
	       getline(&line, &room, maps) > 0) {
		struct mapping *mapping = &plugin.mapping[plugin.mappings];
		int path = 0;

		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %*s %*s %n",
			   &mapping->begin, &mapping->end, &mapping->offset,
			   &path) == 3 && path && !strcmp(line + path, plugin.ram))
			plugin.mappings++;
	}
	if (maps)
		fclose(maps);
	free(line);
}

/* Address in the guest's memory of what QEMU has at @host. */
static bool find_code(uint64_t host, uint64_t *addr)
{
	for (int again = 0; again < 2; again++) {
		for (unsigned int i = 0; i < plugin.mappings; i++) {
			const struct mapping *mapping = &plugin.mapping[i];

			if (host < mapping->begin || host >= mapping->end)
				continue;
			*addr = (host - mapping->begin + mapping->offset) &
				VIEW_MASK;
			return true;
		}
		/* The guest's memory may have been mapped since. */
		if (!again)
			read_mappings();
	}
	return false;
}

static bool code_address(const struct qemu_plugin_insn *insn, uint64_t *addr)
{
	bool found;

	if (!plugin.system) {
		*addr = qemu_plugin_insn_vaddr(insn);
		return true;
	}
	pthread_mutex_lock(&plugin.lock);
	found = find_code((uintptr_t)qemu_plugin_insn_haddr(insn), addr);
	plugin.unknown_code += !found;
	pthread_mutex_unlock(&plugin.lock);
	return found;
}

/* What CPUs have executed and not told of yet. */
static void tell_insns(void)
{
	for (unsigned int i = 0; i < plugin.config.cpus; i++) {
		uint64_t had = __atomic_exchange_n(&plugin.cpu[i].insns, 0,
						   __ATOMIC_RELAXED);

		if (had)
			record_insns(plugin.record, i, had);
	}
}

static void begin_is_marked(unsigned int vcpu, void *data)
{
	(void)vcpu, (void)data;
	tell_insns();
	record_begin(plugin.record);
}

static void end_is_marked(unsigned int vcpu, void *data)
{
	(void)vcpu, (void)data;
	tell_insns();
	record_end(plugin.record);
}

static void look_for_mark(struct qemu_plugin_insn *insn)
{
	uint32_t code;

	if (qemu_plugin_insn_size(insn) != sizeof(code))
		return;
	memcpy(&code, qemu_plugin_insn_data(insn), sizeof(code));
	if (code == MARK_BEGIN || code == MARK_END)
		qemu_plugin_register_vcpu_insn_exec_cb(
			insn, code == MARK_BEGIN ? begin_is_marked : end_is_marked,
			QEMU_PLUGIN_CB_NO_REGS, NULL);
}

static void block_is_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t nr = qemu_plugin_tb_n_insns(tb);
	struct block *block;
	uint64_t addr;

	(void)id;
	/* Blocks live as long as QEMU may run them, which nobody tells. */
	block = calloc(1, sizeof(*block) + nr * sizeof(block->line[0]));
	if (!block)
		abort();
	block->nr = nr;
	for (size_t i = 0; i < nr; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		qemu_plugin_register_vcpu_mem_cb(insn, memory_is_used,
						 QEMU_PLUGIN_CB_NO_REGS,
						 QEMU_PLUGIN_MEM_RW, NULL);
		if (plugin.marks)
			look_for_mark(insn);
		if (!code_address(insn, &addr))
			continue;
		addr &= ~(plugin.line - 1);
		if (!block->lines || block->line[block->lines - 1] != addr)
			block->line[block->lines++] = addr;
	}
	qemu_plugin_register_vcpu_tb_exec_cb(tb, block_runs,
					     QEMU_PLUGIN_CB_NO_REGS, block);
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * To standard error: QEMU's own log is off unless somebody turns it on. Programs
 * in user mode close theirs before they end, hence a copy, out of their way.
 */
static void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	dprintf(plugin.errors, "ccnuma: ");
	vdprintf(plugin.errors, fmt, ap);
	dprintf(plugin.errors, "\n");
	va_end(ap);
}

static double moving_time(const struct live_sum *moves)
{
	struct np_config costs;

	np_config_init(&costs);
	return (moves->migrated * costs.value[NP_MIGRATE_NS] +
		moves->replicated * costs.value[NP_REPLICATE_NS] +
		moves->collapsed * costs.value[NP_COLLAPSE_NS]) / 1e9;
}

static void at_exit(qemu_plugin_id_t id, void *data)
{
	const struct record_config *config = &plugin.config;
	double busy, stall, moving;
	struct live_sum moves;
	struct record_sum sum;
	struct np_error error;

	(void)id, (void)data;
	tell_insns();
	if (record_close(plugin.record, &sum, &error))
		say("%s", error.text);
	busy = sum.insns * (config->insn_ps / 1e12);
	stall = (sum.local * config->local_ns +
		 (sum.misses - sum.local) * config->remote_ns) / 1e9;
	live_close(plugin.live, &moves);
	moving = moving_time(&moves);
	say("%" PRIu64 " instructions, %" PRIu64 " misses on %" PRIu64
	    " pages, %.1f%% of them local with pages where they were %s",
	    sum.insns, sum.misses, sum.pages,
	    sum.misses ? 100.0 * sum.local / sum.misses : 0,
	    plugin.live ? "at the end of each interval" : "touched first");
	say("time of all CPUs: %.3f s, computing %.3f s, waiting for memory %.3f s; with all misses local %.3f s",
	    busy + stall + moving, busy, stall,
	    busy + sum.misses * config->local_ns / 1e9);
	if (plugin.live)
		say("moved %" PRIu64 " pages, made %" PRIu64
		    " copies and dropped %" PRIu64 ", of all VMs: %.3f s",
		    moves.migrated, moves.replicated, moves.collapsed, moving);
	if (plugin.marks && !sum.now_ns)
		say("nothing was counted: no lui $zero, 0xd15c was executed");
	if (plugin.unknown_code)
		say("fetches of %" PRIu64 " translated instructions outside of %s were not counted",
		    plugin.unknown_code, plugin.ram);
}

static const struct option {
	const char *name;
	uint64_t *value;
	uint64_t unit;
	uint64_t min;
	uint64_t max;
} options[] = {
	{ "high", &plugin.high, 1, 1, UINT64_MAX },
	{ "cache", &plugin.cache, 1, 4, 1ULL << 30 },
	{ "ways", &plugin.ways, 1, 1, 64 },
	{ "line", &plugin.line, 1, 4, 4096 },
	{ "insn-ps", &plugin.config.insn_ps, 1, 1, 1000000 },
	{ "local-ns", &plugin.config.local_ns, 1, 1, 1000000 },
	{ "remote-ns", &plugin.config.remote_ns, 1, 1, 1000000 },
	{ "tick-ms", &plugin.config.tick_ns, NP_NS_PER_MS, 1, 10000 },
};

static int set_number(const char *name, const char *text, uint64_t min,
		      uint64_t max, uint64_t *value)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 0);
	if (errno || *end || *text < '0' || *text > '9' || number < min ||
	    number > max) {
		say("%s=%s: a number from %" PRIu64 " to %" PRIu64 " is needed",
		    name, text, min, max);
		return -1;
	}
	*value = number;
	return 0;
}

static int set_switch(const char *name, const char *text, bool *value)
{
	*value = !strcmp(text, "on");
	if (*value || !strcmp(text, "off"))
		return 0;
	say("%s=%s: on or off", name, text);
	return -1;
}

static int set_option(const char *text)
{
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : strlen(text);
	uint64_t number;
	char *word = equals ? strdup(equals + 1) : NULL;

	if (word && len == 3 && !strncmp(text, "out", len))
		return plugin.out = word, 0;
	if (word && len == 3 && !strncmp(text, "ram", len))
		return plugin.ram = word, 0;
	if (word && len == 4 && !strncmp(text, "name", len))
		return plugin.name = word, 0;
	if (word && len == 5 && !strncmp(text, "disco", len))
		return set_switch("disco", word, &plugin.disco);
	if (word && len == 5 && !strncmp(text, "marks", len))
		return set_switch("marks", word, &plugin.marks);
	if (word && len == 6 && !strncmp(text, "policy", len)) {
		plugin.rule = np_rule_find(word);
		if (plugin.rule)
			return 0;
		say("policy=%s: no such rule (try: disco-replay --list)", word);
		return -1;
	}
	if (word && len == 4 && !strncmp(text, "cpus", len)) {
		if (set_number("cpus", word, 1, MAX_CPUS, &number))
			return -1;
		plugin.config.cpus = number;
		return 0;
	}
	if (word && len == 5 && !strncmp(text, "nodes", len)) {
		if (set_number("nodes", word, 1, MAX_CPUS, &number))
			return -1;
		plugin.config.nodes = number;
		return 0;
	}
	for (size_t i = 0; word && i < ARRAY_SIZE(options); i++) {
		if (len != strlen(options[i].name) ||
		    strncmp(text, options[i].name, len))
			continue;
		if (set_number(options[i].name, word, options[i].min,
			       options[i].max, &number))
			return -1;
		*options[i].value = number * options[i].unit;
		return 0;
	}
	say("no option \"%s\"; there are: out, ram, disco, policy, marks, name, cpus, nodes, cache, ways, line, insn-ps, local-ns, remote-ns, tick-ms, high, each with =VALUE",
	    text);
	return -1;
}

__attribute__((visibility("default")))
int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
			char **argv)
{
	struct record_config *config = &plugin.config;
	struct np_config policy;
	struct np_error error;

	plugin.errors = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 512);
	if (plugin.errors < 0)
		plugin.errors = STDERR_FILENO;
	for (int i = 0; i < argc; i++)
		if (set_option(argv[i]))
			return -1;
	plugin.system = info->system_emulation;
	if (plugin.system && !plugin.ram) {
		say("ram=FILE is needed: the file of -object memory-backend-file");
		return -1;
	}
	if (plugin.disco && !plugin.system) {
		say("disco=on: a program has no memory of a VM");
		return -1;
	}
	if (plugin.rule && !plugin.disco) {
		say("policy=%s: only with disco=on; of a trace, try disco-replay",
		    np_rule_name(plugin.rule));
		return -1;
	}
	if (plugin.marks && strcmp(info->target_name, "mips64el") &&
	    strcmp(info->target_name, "mipsel")) {
		say("marks=on: a %s has no lui $zero, only a little-endian MIPS has",
		    info->target_name);
		return -1;
	}
	config->waits = plugin.marks;
	if (!config->nodes)
		config->nodes = config->cpus;
	if (config->nodes > config->cpus) {
		say("nodes=%u: at most cpus=%u", config->nodes, config->cpus);
		return -1;
	}
	if (config->local_ns > config->remote_ns) {
		say("local-ns=%" PRIu64 " is above remote-ns=%" PRIu64,
		    config->local_ns, config->remote_ns);
		return -1;
	}
	plugin.caches = caches_new(config->cpus, plugin.cache, plugin.ways,
				   plugin.line);
	if (!plugin.caches) {
		say("cache=%" PRIu64 ",ways=%" PRIu64 ",line=%" PRIu64
		    ": line and cache / ways / line have to be powers of two",
		    plugin.cache, plugin.ways, plugin.line);
		return -1;
	}
	snprintf(plugin.about, sizeof(plugin.about),
		 "QEMU plugin, %s of %s: %u CPUs, caches of %" PRIu64
		 " KiB, %" PRIu64 "-way, lines of %" PRIu64 " bytes, %" PRIu64
		 " ps an instruction",
		 plugin.system ? "machine" : "threads of a program",
		 info->target_name, config->cpus, plugin.cache >> 10, plugin.ways,
		 plugin.line, config->insn_ps);
	config->about = plugin.about;
	config->path = plugin.out;
	config->name = plugin.name ? plugin.name : "guest";
	np_config_init(&policy);
	policy.rule = plugin.rule;
	if (plugin.disco && live_new(plugin.ram, plugin.rule ? &policy : NULL,
				     config->nodes, &plugin.live, &error)) {
		say("ram=%s,disco=on: %s", plugin.ram, error.text);
		return -1;
	}
	if (plugin.live) {
		config->places = live_tell;
		config->source = plugin.live;
	}
	if (record_new(config, &plugin.record, &error)) {
		say("%s", error.text);
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, block_is_translated);
	qemu_plugin_register_atexit_cb(id, at_exit, NULL);
	return 0;
}
