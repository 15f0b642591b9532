// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules, and the limits that hold for all of them, by hand-made heat.
 */
#include "test.h"

#define NODES 4

static struct np_config config;
static struct np_policy *policy;
static const struct np_action *actions;
static size_t nr;
static uint64_t now;

static void begin(const char *rule)
{
	struct np_error error;

	np_config_init(&config);
	config.rule = np_rule_find(rule);
	assert_non_null(config.rule);
	/* Of the few pages that there are here, each may have copies everywhere. */
	config.value[NP_REPLICA_PERCENT] = 100 * NODES;
	config.value[NP_DISCO_RESET_MS] = 100;
	now = 0;
	np_policy_free(policy);
	policy = NULL;
	assert_int_equal(np_policy_new(&config, NODES, &policy, &error), 0);
}

/* The same rule with another number. */
static void begin_with(const char *rule, const char *setting)
{
	struct np_error error;

	begin(rule);
	assert_int_equal(np_config_set(&config, setting, &error), 0);
	np_policy_free(policy);
	policy = NULL;
	assert_int_equal(np_policy_new(&config, NODES, &policy, &error), 0);
}

static int end(void **state)
{
	(void)state;
	np_policy_free(policy);
	policy = NULL;
	return 0;
}

static int heat(uint64_t gfn, uint32_t node, uint32_t reads, uint32_t writes)
{
	struct np_heat line = {
		.vm = 1, .gfn = gfn, .node = node,
		.reads = reads, .writes = writes,
	};
	int ret = np_policy_heat(policy, &line, NULL);

	assert_true(ret >= 0);
	return ret;
}

static void decide_after(uint64_t ms)
{
	now += ms * MS;
	assert_int_equal(np_policy_decide(policy, now, &actions, &nr), 0);
}

static void obey(void)
{
	for (size_t i = 0; i < nr; i++)
		np_policy_done(policy, &actions[i], 0);
}

static void assert_action(size_t i, enum np_verb verb, uint64_t gfn,
			  uint32_t node)
{
	assert_true(i < nr);
	assert_int_equal(actions[i].verb, verb);
	assert_int_equal(actions[i].vm, 1);
	assert_int_equal(actions[i].gfn, gfn);
	assert_int_equal(actions[i].node, node);
	assert_true(strlen(actions[i].why) > 0);
}

static struct np_place place_of(uint64_t gfn)
{
	struct np_heat line = { .vm = 1, .gfn = gfn, .node = 0, .reads = 1 };
	struct np_place place;

	assert_true(np_policy_heat(policy, &line, &place) >= 0);
	return place;
}

/* static: nothing moves, however hot. */
static void static_moves_nothing(void **state)
{
	(void)state;
	begin("static");
	heat(5, 0, 1, 0);
	for (int i = 0; i < 10; i++) {
		heat(5, 1, 1000000, 0);
		decide_after(1000);
		assert_int_equal(nr, 0);
	}
	assert_int_equal(place_of(5).home, 0);
}

/* interleave: the page's number says where it is, not who touches it. */
static void interleave_deals_out(void **state)
{
	(void)state;
	begin("interleave");
	for (uint64_t gfn = 0; gfn < 16; gfn++) {
		heat(gfn, 3, 100000, 0);
		assert_int_equal(place_of(gfn).home, gfn % NODES);
	}
	decide_after(1000);
	assert_int_equal(nr, 0);
}

/* disco: what each pattern of use makes of a page that is at home on node 0. */
static void disco_decides(void **state)
{
	static const struct {
		const char *name;
		uint32_t reads[NODES];
		uint32_t writes[NODES];
		size_t nr;
		enum np_verb verb;
		uint32_t node[2];
	} cases[] = {
		{ "below the trigger", { 0, 111 }, { 0 }, 0, 0, { 0 } },
		{ "at the trigger", { 0, 112 }, { 0 }, 1, NP_MIGRATE, { 1 } },
		{ "writes count, too", { 0, 100 }, { 0, 12 }, 1, NP_MIGRATE, { 1 } },
		{ "hot at home", { 5000 }, { 0 }, 0, 0, { 0 } },
		{ "others below sharing", { 27, 200, 27 }, { 0 }, 1, NP_MIGRATE, { 1 } },
		{ "home shares", { 28, 200 }, { 0 }, 1, NP_REPLICATE, { 1 } },
		{ "two share", { 0, 200, 28 }, { 0 }, 2, NP_REPLICATE, { 1, 2 } },
		{ "the third is not worth a copy", { 0, 200, 28, 27 }, { 0 }, 2,
		  NP_REPLICATE, { 1, 2 } },
		{ "shared and written", { 0, 200, 28 }, { 0, 0, 1 }, 0, 0, { 0 } },
		{ "one node writes its own", { 0, 200 }, { 0, 100 }, 1, NP_MIGRATE,
		  { 1 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct np_place home = { .home = 0 };

		begin("disco");
		assert_int_equal(np_policy_place(policy, 1, 7, &home), 0);
		for (uint32_t node = 0; node < NODES; node++)
			if (cases[i].reads[node] || cases[i].writes[node])
				heat(7, node, cases[i].reads[node],
				     cases[i].writes[node]);
		decide_after(10);
		if (nr != cases[i].nr)
			fail_msg("%s: %zu actions", cases[i].name, nr);
		for (size_t k = 0; k < nr; k++)
			assert_action(k, cases[i].verb, 7, cases[i].node[k]);
	}
}

/* disco: a page that is warm for ever is never hot. */
static void disco_resets_counters(void **state)
{
	(void)state;
	begin("disco");
	heat(7, 0, 1, 0);
	for (int i = 0; i < 20; i++) {
		heat(7, 1, 111, 0);
		decide_after(100);
		assert_int_equal(nr, 0);
	}
	/* Within one interval of resets the same heat adds up. */
	heat(7, 1, 60, 0);
	decide_after(10);
	assert_int_equal(nr, 0);
	heat(7, 1, 60, 0);
	decide_after(10);
	assert_int_equal(nr, 1);
}

/* disco: a page that goes to and fro is left alone until the window ends. */
static void disco_limits_moves_of_a_page(void **state)
{
	unsigned int moves = 0;

	(void)state;
	begin("disco");
	heat(7, 0, 1, 0);
	for (int i = 0; i < 9; i++) {
		heat(7, 1 + i % 2, 200, 0);
		decide_after(100);
		moves += nr;
		obey();
	}
	assert_int_equal(moves, 4);
	assert_true(np_policy_stat(policy)->over_limit > 0);
	decide_after(100);
	heat(7, 3, 200, 0);
	decide_after(100);
	assert_int_equal(nr, 1);
}

/* Nodes that begin to read a page one after the other get it, however many. */
static void copies_do_not_count(void **state)
{
	(void)state;
	begin_with("disco", "disco.move_limit=1");
	heat(7, 0, 200, 0);
	for (uint32_t node = 1; node < NODES; node++) {
		heat(7, node, 200, 0);
		decide_after(10);
		assert_int_equal(nr, 1);
		assert_action(0, NP_REPLICATE, 7, node);
		obey();
	}
	assert_int_equal(np_policy_stat(policy)->over_limit, 0);
}

/* Copies that the machine refuses do count: they are not asked for for ever. */
static void refused_copies_count(void **state)
{
	(void)state;
	begin_with("disco", "disco.move_limit=2");
	for (int i = 0; i < 3; i++) {
		heat(7, 0, 200, 0);
		heat(7, 1, 200, 0);
		decide_after(10);
		assert_int_equal(nr, i < 2);
		for (size_t j = 0; j < nr; j++)
			np_policy_done(policy, &actions[j], -ENOMEM);
	}
}

/* A write takes all copies; then there are none until the window ends. */
static void write_takes_copies(void **state)
{
	struct np_place place;

	(void)state;
	begin("disco");
	heat(7, 0, 200, 0);
	heat(7, 1, 200, 0);
	heat(7, 2, 200, 0);
	decide_after(10);
	assert_int_equal(nr, 2);
	obey();
	place = place_of(7);
	assert_int_equal(place.home, 0);
	assert_int_equal(place.copies, 6);
	assert_true(np_place_local(&place, 2));
	assert_false(np_place_local(&place, 3));
	assert_int_equal(np_policy_stat(policy)->copies, 2);

	assert_int_equal(heat(7, 3, 0, 1), 1);
	assert_int_equal(heat(7, 3, 0, 1), 0);
	place = place_of(7);
	assert_int_equal(place.home, 0);
	assert_int_equal(place.copies, 0);
	assert_int_equal(np_policy_stat(policy)->copies, 0);
	assert_int_equal(np_policy_stat(policy)->most_copies, 2);
	assert_int_equal(np_policy_stat(policy)->collapsed, 1);

	/* Counters have been reset: no write is seen, but one is remembered. */
	decide_after(100);
	heat(7, 1, 200, 0);
	heat(7, 2, 200, 0);
	decide_after(100);
	assert_int_equal(nr, 0);
	decide_after(1000);
	heat(7, 1, 200, 0);
	heat(7, 2, 200, 0);
	decide_after(100);
	assert_int_equal(nr, 2);
}

/* Copies are added for nodes that begin to read, and pages with copies stay. */
static void copies_are_added(void **state)
{
	struct np_place place = { .home = 0, .copies = 2 };

	(void)state;
	begin("disco");
	assert_int_equal(np_policy_place(policy, 1, 7, &place), 0);
	heat(7, 3, 500, 0);
	decide_after(10);
	assert_int_equal(nr, 1);
	assert_action(0, NP_REPLICATE, 7, 3);
	obey();
	assert_int_equal(place_of(7).copies, 10);
}

/* autonuma: the second fault in a row of one node moves the page. */
static void autonuma_wants_two_faults(void **state)
{
	(void)state;
	begin("autonuma");
	heat(7, 0, 1, 0);
	decide_after(1000);
	heat(7, 1, 100000, 0);
	decide_after(1000);
	assert_int_equal(nr, 0);
	heat(7, 1, 1, 0);
	decide_after(1000);
	assert_int_equal(nr, 1);
	assert_action(0, NP_MIGRATE, 7, 1);
	obey();
	assert_int_equal(place_of(7).home, 1);
}

/* autonuma: only the first access after a scan faults; faults by turns do nothing. */
static void autonuma_filters_sharing(void **state)
{
	(void)state;
	begin("autonuma");
	heat(7, 0, 1, 0);
	decide_after(1000);
	for (int i = 0; i < 10; i++) {
		heat(7, 1 + i % 2, 1, 0);
		heat(7, 3, 100000, 0);
		decide_after(1000);
		assert_int_equal(nr, 0);
	}
	/* A scan without a fault in between breaks the row. */
	heat(8, 0, 1, 0);
	decide_after(1000);
	heat(8, 1, 1, 0);
	decide_after(1000);
	heat(7, 0, 1, 0);
	decide_after(1000);
	heat(8, 1, 1, 0);
	decide_after(1000);
	assert_int_equal(nr, 0);
}

/* carrefour: nothing on a quiet machine. */
static void carrefour_waits_for_traffic(void **state)
{
	(void)state;
	begin("carrefour");
	heat(7, 0, 1, 0);
	decide_after(1000);
	heat(7, 1, 499999, 0);
	decide_after(1000);
	assert_int_equal(nr, 0);
	heat(7, 1, 500000, 0);
	decide_after(1000);
	assert_int_equal(nr, 1);
	assert_action(0, NP_MIGRATE, 7, 1);
}

/* carrefour: replicate what nobody wrote, migrate only while too little is local. */
static void carrefour_decides(void **state)
{
	(void)state;
	begin("carrefour");
	for (uint64_t gfn = 0; gfn < 6; gfn++)
		heat(gfn, 0, 1, 0);
	decide_after(1000);

	heat(1, 1, 1000, 0);
	heat(1, 2, 1000, 0);
	heat(2, 1, 1000, 1);
	heat(2, 2, 1000, 0);
	heat(3, 3, 1000, 1000);
	heat(4, 0, 3000000, 0);
	decide_after(1000);
	/* 6 of a thousand are remote: page 3 may stay where it is. */
	assert_int_equal(nr, 2);
	assert_action(0, NP_REPLICATE, 1, 1);
	assert_action(1, NP_REPLICATE, 1, 2);

	heat(3, 3, 1000000, 0);
	decide_after(1000);
	assert_int_equal(nr, 1);
	assert_action(0, NP_MIGRATE, 3, 3);
}

/* When more is wanted than the rate allows, the hottest come first. */
static void rate_is_limited(void **state)
{
	(void)state;
	begin_with("disco", "policy.max_moves_per_s=300");
	for (uint64_t gfn = 0; gfn < 10; gfn++) {
		heat(gfn, 0, 1, 0);
		heat(gfn, 1, 200 + gfn, 0);
	}
	decide_after(10);
	assert_int_equal(nr, 3);
	assert_action(0, NP_MIGRATE, 9, 1);
	assert_action(1, NP_MIGRATE, 8, 1);
	assert_action(2, NP_MIGRATE, 7, 1);
	assert_int_equal(np_policy_stat(policy)->over_rate, 7);
}

/* A rate of less than a move for each decision is kept, too. */
static void low_rates_are_kept(void **state)
{
	uint64_t moves = 0;

	(void)state;
	begin_with("disco", "policy.max_moves_per_s=30");
	for (int turn = 0; turn < 100; turn++) {
		for (uint64_t gfn = 0; gfn < 10; gfn++) {
			heat(turn * 10 + gfn, 0, 1, 0);
			heat(turn * 10 + gfn, 1, 200, 0);
		}
		decide_after(10);
		assert_true(nr <= 1);
		moves += nr;
		obey();
	}
	assert_int_equal(moves, 30);
	/* Idle times earn nothing beyond a move. */
	decide_after(10);
	heat(5000, 0, 1, 0);
	heat(5000, 1, 200, 0);
	heat(5001, 0, 1, 0);
	heat(5001, 1, 200, 0);
	decide_after(10);
	assert_true(nr <= 1);
}

/* Copies never exceed their share of the pages; migrations need no room. */
static void copies_are_limited(void **state)
{
	(void)state;
	begin_with("disco", "policy.replica_percent=20");
	for (uint64_t gfn = 0; gfn < 10; gfn++) {
		heat(gfn, 0, 100, 0);
		heat(gfn, 1, 200 + gfn, 0);
	}
	decide_after(10);
	assert_int_equal(nr, 2);
	obey();
	assert_int_equal(np_policy_stat(policy)->copies, 2);
	assert_int_equal(np_policy_stat(policy)->over_replicas, 8);
	decide_after(100);
	heat(0, 0, 100, 0);
	heat(0, 1, 500, 0);
	heat(1, 3, 500, 0);
	decide_after(10);
	assert_int_equal(nr, 1);
	assert_action(0, NP_MIGRATE, 1, 3);
}

/* All machines see the copies of what they share; they are not counted for each. */
static void shared_copies_count_once(void **state)
{
	const struct np_place place = { .home = 0, .copies = 0xe, .shared = true };

	(void)state;
	begin_with("disco", "policy.replica_percent=100");
	for (uint32_t vm = 0; vm < 4; vm++)
		for (uint64_t gfn = 0; gfn < 10; gfn++)
			assert_int_equal(np_policy_place(policy, vm, gfn, &place), 0);
	assert_int_equal(np_policy_stat(policy)->pages, 40);
	assert_int_equal(np_policy_stat(policy)->copies, 40);
	np_policy_forget(policy, 3);
	assert_int_equal(np_policy_stat(policy)->copies, 30);
	assert_int_equal(np_policy_place(policy, 0, 0,
					 &(struct np_place) { .copies = 0xe }), 0);
	assert_int_equal(np_policy_stat(policy)->copies, 32);
}

/* What the machine refuses leaves the page where it is, and counts as a move. */
static void refusals_count(void **state)
{
	(void)state;
	begin("disco");
	heat(7, 0, 1, 0);
	for (int i = 0; i < 8; i++) {
		heat(7, 1, 200, 0);
		decide_after(100);
		for (size_t k = 0; k < nr; k++)
			np_policy_done(policy, &actions[k], -EBUSY);
	}
	assert_int_equal(place_of(7).home, 0);
	assert_int_equal(np_policy_stat(policy)->failed, 4);
	assert_int_equal(np_policy_stat(policy)->migrated, 0);
}

/* A VM that is gone leaves nothing, also if an action is under way. */
static void vms_are_forgotten(void **state)
{
	struct np_heat other = { .vm = 2, .node = 3, .reads = 1 };
	struct np_place place;

	(void)state;
	begin("disco");
	for (uint64_t gfn = 0; gfn < 5000; gfn++) {
		heat(gfn, 0, 100, 0);
		heat(gfn, 1, 200, 0);
		other.gfn = gfn;
		assert_int_equal(np_policy_heat(policy, &other, NULL), 0);
	}
	decide_after(1000);
	assert_int_equal(nr, 5000);
	obey();
	assert_int_equal(np_policy_stat(policy)->copies, 5000);
	heat(5, 2, 500, 0);
	np_policy_forget(policy, 1);
	assert_int_equal(np_policy_stat(policy)->pages, 5000);
	assert_int_equal(np_policy_stat(policy)->copies, 0);
	np_policy_done(policy, &actions[0], 0);
	decide_after(10);
	assert_int_equal(nr, 0);
	/* The others are all found, a new VM of the number begins anew. */
	for (uint64_t gfn = 0; gfn < 5000; gfn++) {
		other.gfn = gfn;
		assert_int_equal(np_policy_heat(policy, &other, &place), 0);
		assert_int_equal(place.home, 3);
	}
	assert_int_equal(np_policy_stat(policy)->pages, 5000);
	heat(5, 2, 1, 0);
	assert_int_equal(place_of(5).home, 2);
}

/* However pages of two VMs lie in each other's way, the other's are found. */
static void forgetting_loses_no_page(void **state)
{
	struct np_heat heat_of[500];
	struct np_stat before;

	(void)state;
	srandom(1997);
	for (int turn = 0; turn < 300; turn++) {
		begin("static");
		for (int i = 0; i < 500; i++) {
			heat_of[i] = (struct np_heat) {
				.vm = 1 + i % 2, .gfn = random(), .reads = 1,
			};
			assert_int_equal(np_policy_heat(policy, &heat_of[i],
							NULL), 0);
		}
		np_policy_forget(policy, 1);
		before = *np_policy_stat(policy);
		for (int i = 1; i < 500; i += 2)
			assert_int_equal(np_policy_heat(policy, &heat_of[i],
							NULL), 0);
		assert_int_equal(np_policy_stat(policy)->pages, before.pages);
		end(NULL);
	}
}

/* What other VMs use is copied, not taken away; also if nobody else is hot. */
static void what_is_shared_is_not_migrated(void **state)
{
	struct np_place place = { .home = 0, .shared = true };

	(void)state;
	begin("disco");
	assert_int_equal(np_policy_place(policy, 1, 7, &place), 0);
	assert_int_equal(np_policy_place(policy, 1, 8, &place), 0);
	heat(7, 3, 500, 0);
	heat(8, 3, 500, 1);
	decide_after(10);
	assert_int_equal(nr, 1);
	assert_action(0, NP_REPLICATE, 7, 3);
	assert_true(actions[0].shared);

	begin_with("carrefour", "carrefour.misses_per_ms=0");
	assert_int_equal(np_policy_place(policy, 1, 7, &place), 0);
	heat(7, 3, 500, 0);
	decide_after(1000);
	assert_int_equal(nr, 1);
	assert_action(0, NP_REPLICATE, 7, 3);
}

/* Copies that are found to be gone were taken by a write, whoever saw it. */
static void lost_copies_are_remembered(void **state)
{
	struct np_place place = { .home = 0, .copies = 2 };

	(void)state;
	begin("disco");
	assert_int_equal(np_policy_place(policy, 1, 7, &place), 0);
	place.copies = 0;
	assert_int_equal(np_policy_place(policy, 1, 7, &place), 0);
	assert_int_equal(np_policy_stat(policy)->collapsed, 1);
	assert_int_equal(np_policy_stat(policy)->copies, 0);
	heat(7, 0, 200, 0);
	heat(7, 1, 200, 0);
	decide_after(10);
	assert_int_equal(nr, 0);
	assert_int_equal(np_policy_place(policy, 1, 7, &place), 0);
	assert_int_equal(np_policy_stat(policy)->collapsed, 1);
}

/* Only pages of which nothing is known are forgotten. */
static void trimming_keeps_what_is_known(void **state)
{
	struct np_place place = { .home = 0, .copies = 2 };

	(void)state;
	begin("disco");
	for (uint64_t gfn = 100; gfn < 3000; gfn++)
		heat(gfn, 0, 1, 0);
	assert_int_equal(np_policy_place(policy, 1, 7, &place), 0);
	heat(8, 0, 1, 0);
	heat(8, 1, 500, 0);
	heat(9, 0, 1, 0);
	decide_after(100);
	obey();
	np_policy_trim(policy);
	assert_int_equal(np_policy_stat(policy)->pages, 2903);
	decide_after(100);
	heat(9, 0, 1, 0);
	decide_after(100);
	np_policy_trim(policy);
	/* With copies, moved, and used since. */
	assert_int_equal(np_policy_stat(policy)->pages, 3);
	assert_int_equal(np_policy_stat(policy)->copies, 1);
	decide_after(1000);
	np_policy_trim(policy);
	assert_int_equal(np_policy_stat(policy)->pages, 1);
	assert_int_equal(place_of(7).copies, 2);
}

/* Nodes that there are not are refused, and nothing is remembered. */
static void bad_nodes_are_refused(void **state)
{
	struct np_heat line = { .vm = 1, .gfn = 1, .node = NODES, .reads = 1 };
	struct np_place place = { .home = NODES };
	struct np_policy *other = NULL;
	struct np_error error;

	(void)state;
	begin("disco");
	assert_int_equal(np_policy_heat(policy, &line, NULL), -EINVAL);
	assert_int_equal(np_policy_place(policy, 1, 1, &place), -EINVAL);
	place.home = 0;
	place.copies = 1 << NODES;
	assert_int_equal(np_policy_place(policy, 1, 1, &place), -EINVAL);
	assert_int_equal(np_policy_stat(policy)->pages, 0);

	assert_int_equal(np_policy_new(&config, 0, &other, &error), -EINVAL);
	assert_has(error.text, "1 to 64 nodes, not 0");
	assert_int_equal(np_policy_new(&config, 65, &other, &error), -EINVAL);
	assert_null(other);
}

/* Every rule runs on the largest machine, and on one without a choice. */
static void all_sizes_work(void **state)
{
	static const unsigned int sizes[] = { 1, 2, NP_MAX_NODES };

	(void)state;
	for (int i = 0; np_rules[i]; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
			struct np_heat line = { .vm = 1, .gfn = 3,
						.node = sizes[k] - 1,
						.reads = 1000000 };
			struct np_error error;

			np_config_init(&config);
			config.rule = np_rules[i];
			now = 0;
			assert_int_equal(np_policy_new(&config, sizes[k],
						       &policy, &error), 0);
			for (int turn = 0; turn < 4; turn++) {
				assert_int_equal(np_policy_heat(policy, &line,
								NULL), 0);
				decide_after(1000);
				obey();
			}
			end(NULL);
		}
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, end)
	const struct CMUnitTest tests[] = {
		TEST(static_moves_nothing),
		TEST(interleave_deals_out),
		TEST(disco_decides),
		TEST(disco_resets_counters),
		TEST(disco_limits_moves_of_a_page),
		TEST(copies_do_not_count),
		TEST(refused_copies_count),
		TEST(write_takes_copies),
		TEST(copies_are_added),
		TEST(autonuma_wants_two_faults),
		TEST(autonuma_filters_sharing),
		TEST(carrefour_waits_for_traffic),
		TEST(carrefour_decides),
		TEST(rate_is_limited),
		TEST(low_rates_are_kept),
		TEST(copies_are_limited),
		TEST(shared_copies_count_once),
		TEST(refusals_count),
		TEST(vms_are_forgotten),
		TEST(forgetting_loses_no_page),
		TEST(what_is_shared_is_not_migrated),
		TEST(lost_copies_are_remembered),
		TEST(trimming_keeps_what_is_known),
		TEST(bad_nodes_are_refused),
		TEST(all_sizes_work),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
