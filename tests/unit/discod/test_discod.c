// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rounds of discod, on machines that are made up: what becomes of pages that are used
 * in different ways, what is asked of the module, and what is in the log.
 */
#include <errno.h>
#include <numa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "discod.h"
#include "mock.h"

static struct discod d;
static char log_path[64];

static int setup(void **state)
{
	struct np_config config;
	struct np_error error;
	int fd;

	(void)state;
	mock_begin();
	mock_add(0, "a");
	strcpy(log_path, "/tmp/discod-log.XXXXXX");
	fd = mkstemp(log_path);
	assert_true(fd >= 0);
	close(fd);
	d = (struct discod) {
		.options = {
			.mount = "/",
			.config = "/dev/null",
			.log = log_path,
			.log_ns = 3600 * NS_PER_S,
			.budget = 1000,
			.foreground = true,
		},
		.nodes = MOCK_NODES,
	};
	/* Of all nodes here, there is memory on node 2 only by this. */
	numa_bitmask_setall(numa_all_nodes_ptr);
	assert_int_equal(policy_read(&d.options, &config, &error), 0);
	config.value[NP_REPLICA_PERCENT] = 1000;
	assert_int_equal(policy_begin(&d, &config, &error), 0);
	assert_int_equal(log_open(&d), 0);
	d.now_ns = d.begin_ns;
	d.log_last_ns = d.begin_ns - NS_PER_S;
	d.log_next_ns = UINT64_MAX;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	machines_forget(&d);
	np_policy_free(d.policy);
	free(d.machine);
	fclose(d.log);
	unlink(log_path);
	mock_end();
	assert_int_equal(mock.contexts, 0);
	for (int i = 0; i < MOCK_VMS; i++)
		assert_int_equal(mock.vm[i].open, 0);
	return 0;
}

/* A second later. */
static void next_round(void)
{
	d.now_ns += NS_PER_S;
	round_run(&d);
}

/* Each machine has the monitor of Disco's QEMU; known from the first round on. */
static void with_views(void)
{
	next_round();
	for (size_t i = 0; i < d.nr_machines; i++)
		d.machine[i]->views = true;
	d.scan_again = false;
	d.scan_ns = UINT64_MAX;
}

static void use(unsigned int vm, uint64_t gfn, unsigned int node,
		unsigned int reads, unsigned int writes)
{
	mock.vm[vm].page[gfn].reads[node] += reads;
	mock.vm[vm].page[gfn].writes[node] += writes;
}

static void assert_page(unsigned int vm, uint64_t gfn, unsigned int node,
			unsigned int copies)
{
	assert_int_equal(mock.vm[vm].page[gfn].node, node);
	assert_int_equal(mock.vm[vm].page[gfn].copies, copies);
}

/* A line of the log, since the one before. */
static struct json_object *line(void)
{
	struct json_object *obj;

	assert_int_equal(truncate(log_path, 0), 0);
	log_line(&d);
	obj = json_object_from_file(log_path);
	assert_non_null(obj);
	return obj;
}

/* A number in it, such as totals/moved; the first machine is vms/0. */
static double number(struct json_object *obj, const char *path)
{
	struct json_object *found;
	char pointer[64];

	snprintf(pointer, sizeof(pointer), "/%s", path);
	if (json_pointer_get(obj, pointer, &found))
		fail_msg("no %s in %s", path, json_object_to_json_string(obj));
	return json_object_get_double(found);
}

static void pages_go_where_they_are_used(void **state)
{
	(void)state;
	with_views();
	for (int round = 0; round < 2; round++) {
		use(0, 1, 1, 1, 0);
		use(0, 2, 0, 1, 1);
		use(0, 3, 0, 1, 0);
		use(0, 3, 2, 1, 0);
		use(0, 4, 0, 1, 0);
		use(0, 4, 1, 0, 1);
		next_round();
		/* Once is not enough. */
		if (!round)
			assert_int_equal(mock.moves, 0);
	}
	assert_page(0, 1, 1, 0);
	assert_page(0, 2, 0, 0);
	assert_page(0, 3, 0, 1 << 2);
	assert_page(0, 4, 0, 0);
	/* Migrations are one request, copies another. */
	assert_int_equal(mock.moves, 2);
}

static void pages_of_several_machines_are_copied(void **state)
{
	(void)state;
	mock.vm[0].page[1].users = 2;
	for (int round = 0; round < 2; round++) {
		use(0, 1, 1, 1, 0);
		next_round();
	}
	next_round();
	assert_page(0, 1, 0, 1 << 1);
}

static void one_view_gets_no_copies(void **state)
{
	struct json_object *obj;

	(void)state;
	next_round();
	for (int round = 0; round < 20; round++) {
		use(0, 1, 0, 1, 0);
		use(0, 1, 1, 1, 0);
		next_round();
	}
	assert_page(0, 1, 0, 0);
	obj = line();
	/* As often as a page can be moved. */
	assert_true(number(obj, "vms/0/refused/EOPNOTSUPP") == 4);
	json_object_put(obj);
}

/* What the module did, heat does not tell: no write was sampled. */
static void lost_copies_are_not_made_again(void **state)
{
	(void)state;
	with_views();
	for (int round = 0; round < 30; round++) {
		use(0, 1, 0, 1, 0);
		use(0, 1, 1, 1, 0);
		next_round();
		if (round == 5) {
			assert_page(0, 1, 0, 1 << 1);
			mock.vm[0].page[1].copies = 0;
		}
	}
	assert_page(0, 1, 0, 0);
	assert_int_equal(np_policy_stat(d.policy)->collapsed, 1);
}

/* Somebody else may move pages. */
static void where_pages_are_is_the_modules_matter(void **state)
{
	(void)state;
	next_round();
	use(0, 1, 1, 1, 0);
	next_round();
	mock.vm[0].page[1].node = 1;
	use(0, 1, 1, 1, 0);
	next_round();
	assert_int_equal(mock.moves, 0);
	mock.vm[0].page[1].node = 2;
	use(0, 1, 1, 1, 0);
	next_round();
	assert_page(0, 1, 1, 0);
}

static void refusals_are_counted_and_end(void **state)
{
	struct json_object *obj;

	(void)state;
	mock.vm[0].page[1].refusal = EBUSY;
	mock.vm[0].page[2].refusal = ENOMEM;
	/* Somebody has just moved it, and that is as good. */
	mock.vm[0].page[4].refusal = EEXIST;
	for (int round = 0; round < 20; round++) {
		use(0, 1, 1, 1, 0);
		use(0, 2, 1, 1, 0);
		use(0, 3, 1, 1, 0);
		if (round < 2)
			use(0, 4, 1, 1, 0);
		next_round();
	}
	obj = line();
	assert_true(number(obj, "vms/0/refused/EBUSY") == 4);
	assert_true(number(obj, "vms/0/refused/ENOMEM") == 4);
	assert_true(number(obj, "vms/0/refused/EEXIST") == 1);
	assert_true(number(obj, "vms/0/migrated") == 1);
	assert_int_equal(np_policy_stat(d.policy)->failed, 8);
	assert_true(number(obj, "totals/moved") == 1);
	assert_true(number(obj, "totals/over_limit") > 0);
	json_object_put(obj);
}

/* A hole, a machine that ended, a node that is not known: all of no account. */
static void what_is_gone_is_left_out(void **state)
{
	struct json_object *obj;

	(void)state;
	mock_add(1, "b");
	next_round();
	use(0, 1, 1, 5, 0);
	mock.vm[0].page[1].node = DISCO_NO_NODE;
	use(1, 1, 1, 1, 0);
	next_round();
	mock_remove(1);
	next_round();
	assert_int_equal(d.nr_machines, 1);
	assert_int_equal(np_policy_stat(d.policy)->pages, 0);
	/* Others of the same name have none of its heat. */
	mock_add(1, "b");
	use(1, 1, 1, 1, 0);
	next_round();
	mock_replace(1);
	use(1, 1, 1, 1, 0);
	next_round();
	assert_int_equal(mock.moves, 0);
	use(1, 1, 1, 1, 0);
	next_round();
	assert_page(1, 1, 1, 0);
	assert_string_equal(d.said, "");
	obj = line();
	/* What those before had is in the sum. */
	assert_true(number(obj, "totals/uses") == 9);
	assert_true(number(obj, "vms/1/uses") == 2);
	json_object_put(obj);
}

static void locality_is_that_of_uses(void **state)
{
	struct json_object *obj, *found;

	(void)state;
	mock_add(1, "b");
	next_round();
	use(0, 1, 0, 6, 0);
	use(0, 2, 0, 0, 1);
	use(0, 3, 1, 1, 0);
	mock.vm[0].page[4].copies = 1 << 1;
	mock.vm[0].page[4].users = 2;
	use(0, 4, 1, 2, 0);
	mock.vm[0].page[6].users = 2;
	use(0, 6, 1, 6, 0);
	/* Gone: neither here nor there. */
	use(0, 5, 1, 7, 0);
	mock.vm[0].page[5].node = DISCO_NO_NODE;
	next_round();
	obj = line();
	assert_true(number(obj, "vms/0/local") == 0.5625);
	assert_true(number(obj, "totals/local") == 0.5625);
	assert_true(number(obj, "vms/0/shared_uses") == 8);
	assert_true(number(obj, "vms/0/shared_local") == 0.25);
	assert_true(number(obj, "totals/shared_local") == 0.25);
	assert_int_equal(json_pointer_get(obj, "/vms/1/local", &found), 0);
	assert_null(found);
	assert_int_equal(json_pointer_get(obj, "/vms/1/shared_local", &found), 0);
	assert_null(found);
	assert_true(number(obj, "seconds") >= 1);
	json_object_put(obj);

	/* Each line is about its own time. */
	d.log_last_ns -= NS_PER_S;
	use(0, 1, 0, 3, 0);
	next_round();
	obj = line();
	assert_true(number(obj, "vms/0/uses") == 3);
	json_object_put(obj);
}

static void a_dry_run_does_nothing(void **state)
{
	(void)state;
	d.options.dry_run = true;
	for (int round = 0; round < 4; round++) {
		use(0, 1, 1, 1, 0);
		next_round();
	}
	assert_int_equal(mock.moves, 0);
}

static void samplers_are_kept_and_stopped(void **state)
{
	(void)state;
	mock_add(1, "b");
	mock.vm[1].budget = 5;
	next_round();
	assert_int_equal(mock.vm[0].budget, 1000);
	assert_int_equal(mock.vm[1].budget, 1000);
	mock.vm[0].budget = 0;
	next_round();
	assert_int_equal(mock.vm[0].budget, 1000);
	round_end(&d);
	assert_int_equal(mock.vm[0].budget, 0);
	assert_int_equal(mock.vm[1].budget, 0);
}

static void without_budget_samplers_are_left_alone(void **state)
{
	(void)state;
	d.options.budget = 0;
	mock.vm[0].budget = 7;
	next_round();
	round_end(&d);
	assert_int_equal(mock.vm[0].budget, 7);
}

/* What the module knew is gone as well: machines begin anew. */
static void a_mount_that_goes_is_waited_for(void **state)
{
	(void)state;
	use(0, 1, 1, 1, 0);
	next_round();
	mock.error = -ENODEV;
	next_round();
	assert_int_equal(d.nr_machines, 0);
	assert_string_equal(d.said, "nothing is mounted");
	mock.error = 0;
	use(0, 1, 1, 1, 0);
	next_round();
	next_round();
	assert_string_equal(d.said, "");
	assert_int_equal(d.nr_machines, 1);
	assert_int_equal(mock.moves, 0);
}

/* More than one drain, one look-up and one request. */
static void many_pages_are_a_few_requests(void **state)
{
	unsigned int pmaps;

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (uint64_t gfn = 0; gfn < MOCK_PAGES; gfn++)
			use(0, gfn, 1, 1, 0);
		next_round();
	}
	pmaps = mock.pmaps;
	use(0, 5, 2, 1, 0);
	use(0, 505, 2, 1, 0);
	next_round();
	for (uint64_t gfn = 0; gfn < MOCK_PAGES; gfn++)
		assert_page(0, gfn, 1, 0);
	assert_int_equal(mock.moves, 2);
	/* A thousand pages each, and the two that are far from each other. */
	assert_in_range(pmaps, 2 * MOCK_PAGES / 1024, 2 * MOCK_PAGES / 1024 + 4);
	assert_int_equal(mock.pmaps, pmaps + 2);
}

/* The policy has the hottest first; the module wants them one after the other. */
static void requests_are_sorted(void **state)
{
	(void)state;
	mock_add(1, "b");
	mock_add(2, "c");
	for (uint64_t gfn = 1; gfn < 100; gfn++)
		use(gfn % 3, gfn * 7, 1, 2 + gfn * 31 % 50, 0);
	next_round();
	assert_int_equal(mock.moves, 3);
	assert_int_equal(mock.unsorted, 0);
	for (uint64_t gfn = 1; gfn < 100; gfn++)
		assert_page(gfn % 3, gfn * 7, 1, 0);
}

static void a_new_policy_takes_over(void **state)
{
	struct np_config config;
	struct np_error error;

	(void)state;
	next_round();
	assert_int_equal(policy_read(&d.options, &config, &error), 0);
	config.rule = np_rule_find("static");
	assert_int_equal(policy_begin(&d, &config, &error), 0);
	for (int round = 0; round < 4; round++) {
		use(0, 1, 1, 1, 0);
		next_round();
	}
	assert_int_equal(mock.moves, 0);
}

/* The file has what is compiled in, as remarks. */
static void defaults_are_those_of_the_file(void **state)
{
	struct options options = { .config = DISCOD_CONF };
	struct np_config file, none;
	struct np_error error;

	(void)state;
	assert_int_equal(policy_read(&options, &file, &error), 0);
	options.config = "/dev/null";
	assert_int_equal(policy_read(&options, &none, &error), 0);
	for (int key = 0; key < NP_NR_KEYS; key++)
		assert_int_equal(file.value[key], none.value[key]);
	options.config = UNCOMMENTED_CONF;
	assert_int_equal(policy_read(&options, &file, &error), 0);
	for (int key = 0; key < NP_NR_KEYS; key++)
		assert_int_equal(file.value[key], none.value[key]);
	assert_ptr_equal(file.rule, none.rule);
	assert_true(file.line[NP_DISCO_TRIGGER] > 0);
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pages_go_where_they_are_used),
		TEST(pages_of_several_machines_are_copied),
		TEST(one_view_gets_no_copies),
		TEST(lost_copies_are_not_made_again),
		TEST(where_pages_are_is_the_modules_matter),
		TEST(refusals_are_counted_and_end),
		TEST(what_is_gone_is_left_out),
		TEST(locality_is_that_of_uses),
		TEST(a_dry_run_does_nothing),
		TEST(samplers_are_kept_and_stopped),
		TEST(without_budget_samplers_are_left_alone),
		TEST(a_mount_that_goes_is_waited_for),
		TEST(many_pages_are_a_few_requests),
		TEST(requests_are_sorted),
		TEST(a_new_policy_takes_over),
		TEST(defaults_are_those_of_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
