/* What a coroutine is to itself and to others: its end, its values, its name, how it shows in dumps and statistics. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core_util.h"

static atomic_int count;
static atomic_bool stop;

static int add_one(void *arg)
{
	atomic_fetch_add(&count, 1);
	(void)arg;
	return 0;
}

static int wait_until_stop(void *arg)
{
	while (!atomic_load(&stop))
		rest();
	(void)arg;
	return 0;
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

/* What deferred functions and destructors write, in order. */
static char written[64];

static void write_letter(void *letter)
{
	size_t n = strlen(written);
	CHECK_LT(n, sizeof written - 1);
	written[n] = *(const char *)letter;
}

static void defer_letter(const char *letter)
{
	char *copy = strdup(letter);
	CHECK_RESULT(weft_defer(free, copy), 0); /* runs after the next one */
	CHECK_RESULT(weft_defer(write_letter, copy), 0);
}

static int go_deep(int depth)
{
	volatile char frame[200];
	frame[0] = (char)depth;
	if (depth > 0)
		return go_deep(depth - 1) + frame[0];
	if (!atomic_load(&stop))
		weft_exit(77);
	return 0;
}

static int exit_from_depth(void *arg)
{
	(void)arg;
	defer_letter("c");
	defer_letter("b");
	defer_letter("a");
	return go_deep(50);
}

CO_TEST(deferred_functions_run_backwards)
{
	CHECK_EQ(join_co(spawn_co(NULL, exit_from_depth, NULL)), 77);
	CHECK_STR(written, "abc");
}

static int return_with_defers(void *arg)
{
	(void)arg;
	defer_letter("y");
	defer_letter("x");
	return 4;
}

CO_TEST(deferred_functions_run_after_a_return)
{
	CHECK_EQ(join_co(spawn_co(NULL, return_with_defers, NULL)), 4);
	CHECK_STR(written, "xy");
}

static void sleep_and_write(void *letter)
{
	CHECK_RESULT(weft_sleep(WEFT_US(200)), 0);
	weft_yield();
	write_letter(letter);
}

static int defer_sleep(void *arg)
{
	CHECK_RESULT(weft_defer(write_letter, arg), 0);
	CHECK_RESULT(weft_defer(sleep_and_write, "1"), 0);
	return 0;
}

CO_TEST(deferred_functions_may_park)
{
	join_co(spawn_co(NULL, defer_sleep, "2"));
	CHECK_STR(written, "12");
}

static void exit_again(void *letter)
{
	write_letter(letter);
	weft_exit(5);
}

static void defer_more(void *letter)
{
	write_letter(letter);
	CHECK_RESULT(weft_defer(write_letter, "!"), 0);
}

static int exit_twice(void *arg)
{
	CHECK_RESULT(weft_defer(write_letter, arg), 0);
	CHECK_RESULT(weft_defer(exit_again, "e"), 0);
	CHECK_RESULT(weft_defer(defer_more, "m"), 0);
	weft_exit(3);
}

/* The later result holds, and what is left to run runs, once. */
CO_TEST(exit_in_a_deferred_function)
{
	CHECK_EQ(join_co(spawn_co(NULL, exit_twice, "z")), 5);
	CHECK_STR(written, "m!ez");
}

CO_TEST(defer_takes_a_function) { CHECK_RESULT(weft_defer(NULL, NULL), -EINVAL); }

/* ---- local values ---------------------------------------------------------------------------------------------------- */

static int keys[3];
static atomic_int rounds[3];

/* Comes back in each round. */
static void set_again(void *value)
{
	atomic_fetch_add(&rounds[0], 1);
	CHECK_RESULT(weft_set(keys[0], value), 0);
}

static void set_other(void *value)
{
	CHECK_PTR(weft_get(keys[1]), NULL); /* it is no longer set */
	if (atomic_fetch_add(&rounds[1], 1) == 0)
		CHECK_RESULT(weft_set(keys[2], value), 0);
}

static void note_end(void *value)
{
	atomic_fetch_add(&rounds[2], 1);
	CHECK_RESULT(weft_defer(write_letter, value), 0); /* runs all the same */
}

static int set_values(void *arg)
{
	(void)arg;
	CHECK_RESULT(weft_set(keys[0], "0"), 0);
	CHECK_RESULT(weft_set(keys[1], "1"), 0);
	weft_exit(0);
}

CO_TEST(destructors_run_in_four_rounds)
{
	CHECK_RESULT(weft_key_create(&keys[2], note_end), 0); /* a key before those whose destructors set it */
	CHECK_RESULT(weft_key_create(&keys[0], set_again), 0);
	CHECK_RESULT(weft_key_create(&keys[1], set_other), 0);
	join_co(spawn_co(NULL, set_values, NULL));
	CHECK_GE(atomic_load(&rounds[0]), 4);
	CHECK_EQ(atomic_load(&rounds[1]), 1);
	CHECK_EQ(atomic_load(&rounds[2]), 1);
	CHECK_STR(written, "1");
}

static int own_value(void *value)
{
	CHECK_PTR(weft_get(keys[0]), NULL);
	CHECK_RESULT(weft_set(keys[0], NULL), 0);
	CHECK_RESULT(weft_set(keys[0], value), 0);
	weft_yield();
	CHECK_PTR(weft_get(keys[0]), value);
	CHECK_RESULT(weft_sleep(WEFT_US(50)), 0);
	CHECK_PTR(weft_get(keys[0]), value);
	return 0;
}

CO_TEST(each_has_its_own_value)
{
	struct weft_co *co[50];
	char values[50];
	CHECK_RESULT(weft_key_create(&keys[0], NULL), 0);
	for (int i = 0; i < 50; i++)
		co[i] = spawn_co(NULL, own_value, &values[i]);
	for (int i = 0; i < 50; i++)
		join_co(co[i]);
	CHECK_PTR(weft_get(keys[0]), NULL);
}

CO_TEST(keys_run_out)
{
	int key = -1, made = 0;
	while (weft_key_create(&key, NULL) == 0)
		CHECK_EQ(key, made++);
	CHECK_EQ(made, WEFT_KEYS_MAX);
	CHECK_RESULT(weft_key_create(&key, NULL), -EAGAIN);
	CHECK_RESULT(weft_set(-1, &key), -EINVAL);
	CHECK_RESULT(weft_set(WEFT_KEYS_MAX, &key), -EINVAL);
	CHECK_PTR(weft_get(-1), NULL);
	CHECK_PTR(weft_get(WEFT_KEYS_MAX), NULL);
	CHECK_RESULT(weft_set(WEFT_KEYS_MAX - 1, &key), 0);
	CHECK_PTR(weft_get(WEFT_KEYS_MAX - 1), &key);
}

/* ---- identity -------------------------------------------------------------------------------------------------------- */

#define LONG_NAME "a name that is longer than what fits in"
#define CUT_NAME "a name that is longer than what"

static int check_names(void *arg)
{
	CHECK_EQ(strlen(CUT_NAME), WEFT_NAME_SIZE - 1);
	CHECK_STR(weft_name(), arg ? arg : "");
	weft_set_name("second");
	CHECK_STR(weft_name(), "second");
	weft_yield();
	CHECK_STR(weft_name(), "second");
	weft_set_name(LONG_NAME);
	CHECK_STR(weft_name(), CUT_NAME);
	weft_set_name(NULL);
	CHECK_STR(weft_name(), "");
	return 0;
}

CO_TEST(names)
{
	struct weft_attr attr = WEFT_ATTR_INIT;
	CHECK_STR(weft_name(), "main");
	join_co(spawn_co(NULL, check_names, NULL));
	join_co(spawn_co(&attr, check_names, NULL));
	attr.name = "first";
	join_co(spawn_co(&attr, check_names, "first"));
	attr.name = LONG_NAME;
	join_co(spawn_co(&attr, check_names, CUT_NAME));
	attr.name = "";
	join_co(spawn_co(&attr, check_names, ""));
}

enum { IDS = 20000, MAKERS = 5 };

static uint64_t ids[MAKERS][IDS / MAKERS];

static int note_id(void *id)
{
	*(uint64_t *)id = weft_self();
	return 0;
}

static void make_ids(uint64_t *to)
{
	for (int i = 0; i < test_scaled(IDS) / MAKERS; i++) {
		struct weft_co *co = spawn_co(NULL, note_id, &to[i]);
		uint64_t id = weft_id(co);
		join_co(co);
		CHECK_EQ(to[i], id);
	}
}

static int make_ids_inside(void *to)
{
	make_ids(to);
	return 0;
}

static void *make_ids_outside(void *to)
{
	make_ids(to);
	return NULL;
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static int make_all_ids(void *arg)
{
	struct weft_co *co[MAKERS - 1];
	pthread_t thread = start_thread(make_ids_outside, ids[0]);
	for (int i = 1; i < MAKERS; i++)
		co[i - 1] = spawn_co(NULL, make_ids_inside, ids[i]);
	for (int i = 1; i < MAKERS; i++)
		join_co(co[i - 1]);
	join_thread(thread);
	(void)arg;
	return 0;
}

TEST(numbers_are_never_used_twice)
{
	uint64_t all[IDS], last = 0;
	size_t n = 0;
	for (int run = 0; run < 2; run++) {
		CHECK_RESULT(weft_run(NULL, make_all_ids, NULL), 0);
		for (int i = 0; i < MAKERS; i++)
			for (int k = 0; k < test_scaled(IDS) / MAKERS && n < IDS; k++)
				all[n++] = ids[i][k];
		qsort(all, n, sizeof all[0], compare_ids);
		CHECK_NE(all[0], 0);
		for (size_t i = 1; i < n; i++)
			CHECK_NE(all[i - 1], all[i]);
		CHECK_GT(all[n - 1], last);
		last = all[n - 1];
		n = n > IDS / 2 ? IDS / 2 : n;
	}
}

/* ---- dump ------------------------------------------------------------------------------------------------------------ */

static void dump(void *arg)
{
	(void)arg;
	weft_dump(STDOUT_FILENO);
}

/* The line about a coroutine of this name. */
static void find_line(const char *text, const char *name, char *line, size_t size)
{
	char quoted[64];
	snprintf(quoted, sizeof quoted, "\"%s\"", name);
	CHECK_EQ(occurrences(text, quoted), 1);
	const char *at = strstr(text, quoted), *start = at;
	while (start > text && start[-1] != '\n')
		start--;
	CHECK(strchr(at, '\n') != NULL);
	snprintf(line, size, "%.*s", (int)(strchr(at, '\n') - start), start);
}

static void check_line(const char *text, const char *name, uint64_t id, const char *what)
{
	char line[512], number[64], maker[64];
	find_line(text, name, line, sizeof line);
	snprintf(number, sizeof number, "coroutine %llu ", (unsigned long long)id);
	snprintf(maker, sizeof maker, "made by %llu", (unsigned long long)weft_self());
	CHECK_PTR(strstr(line, number), line);
	CHECK(strstr(line, what) != NULL);
	CHECK(id == weft_self() || strstr(line, maker) != NULL);
}

static int sleep_long(void *arg)
{
	(void)arg;
	return weft_sleep(WEFT_SEC(1000));
}

static int join_it(void *co) { return weft_join(co, NULL); }

CO_TEST(dump_tells_who_waits_for_what)
{
	static char text[1 << 16];
	struct weft_attr attr = WEFT_ATTR_INIT;
	attr.name = "sleeper";
	struct weft_co *sleeper = spawn_co(&attr, sleep_long, NULL);
	attr.name = "waiter";
	struct weft_co *waiter = spawn_co(&attr, wait_until_stop, NULL);
	attr.name = "joiner";
	struct weft_co *joiner = spawn_co(&attr, join_it, waiter);
	attr.name = "gone";
	join_co(spawn_co(&attr, add_one, NULL));
	EVENTUALLY(is_being_joined(waiter));
	EVENTUALLY((capture(STDOUT_FILENO, dump, NULL, text, sizeof text), strstr(text, "for sleep") != NULL));
	check_line(text, "main", weft_self(), "running");
	check_line(text, "sleeper", weft_id(sleeper), "parked for sleep");
	check_line(text, "joiner", weft_id(joiner), "parked for join");
	check_line(text, "waiter", weft_id(waiter), "");
	CHECK_EQ(occurrences(text, ", made by "), 4);
	CHECK_EQ(occurrences(text, "gone"), 0);
	CHECK_RESULT(weft_cancel(sleeper), 0);
	CHECK_RESULT(join_co(sleeper), -ECANCELED);
	atomic_store(&stop, true);
	join_co(joiner);
}

static int change_all_the_time(void *arg)
{
	for (int i = 0; !atomic_load(&stop); i++) {
		weft_set_name(i % 2 ? "a name" : "another name, and a long one");
		join_co(spawn_co(NULL, add_one, arg));
		if (i % 16 == 0)
			rest();
	}
	return 0;
}

static void *dump_from_outside(void *arg)
{
	static char text[1 << 16];
	for (int i = 0; i < test_scaled(300); i++) {
		capture(STDOUT_FILENO, dump, arg, text, sizeof text);
		CHECK_GE(occurrences(text, "coroutine "), 1);
	}
	return arg;
}

/* TSan looks on. */
CO_TEST(dump_while_all_changes)
{
	for (int i = 0; i < 3; i++)
		CHECK_RESULT(weft_go(change_all_the_time, NULL), 0);
	join_thread(start_thread(dump_from_outside, NULL));
	atomic_store(&stop, true);
}

/* ---- statistics ------------------------------------------------------------------------------------------------------ */

static int use_everything(void *arg)
{
	for (int i = 0; i < 50; i++) {
		join_co(spawn_co(NULL, add_one, arg));
		weft_yield();
		CHECK_RESULT(weft_sleep(WEFT_US(20)), 0);
	}
	return 0;
}

static void check_sums(const struct weft_stats *before, const struct weft_stats *after)
{
	CHECK_EQ(after->size, sizeof *after);
	CHECK_GE(after->spawned, before->spawned);
	CHECK_GE(after->ended, before->ended);
	CHECK_GE(after->dispatches, before->dispatches);
	CHECK_GE(after->parks, before->parks);
	CHECK_GE(after->timers_fired, before->timers_fired);
	CHECK_GE(after->stacks, before->stacks);
	CHECK_GE(after->stolen, after->steals);
	CHECK_GE(after->spawned, after->ended);
}

CO_TEST(statistics_add_up)
{
	enum { N = 10 };
	struct weft_co *co[N];
	struct weft_stats start = stats_now(), before = start;
	CHECK_EQ(start.maxprocs, weft_maxprocs());
	for (int i = 0; i < N; i++)
		co[i] = spawn_co(NULL, use_everything, NULL);
	for (int i = 0; i < N; i++) {
		struct weft_stats now = stats_now();
		check_sums(&before, &now);
		before = now;
		join_co(co[i]);
	}
	EVENTUALLY(stats_now().ended == stats_now().spawned - 1);
	struct weft_stats end = stats_now();
	CHECK_EQ(end.spawned, 1 + N + 50 * N);
	CHECK_GT(end.timers_fired, start.timers_fired);
	CHECK_GE(end.dispatches - start.dispatches, 50 * N);
	CHECK_GT(end.stacks, 0);
	CHECK_GE(end.workers, 1);
}

TEST(statistics_of_a_smaller_struct)
{
	struct weft_stats stats;
	memset(&stats, 0x55, sizeof stats);
	stats.size = offsetof(struct weft_stats, spawned);
	weft_stats(&stats);
	CHECK_EQ(stats.size, offsetof(struct weft_stats, spawned));
	CHECK_EQ(stats.spinning, 0);
	CHECK_EQ(stats.spawned, 0x5555555555555555);
	memset(&stats, 0x55, sizeof stats);
	stats.size = sizeof stats + 100;
	weft_stats(&stats);
	CHECK_EQ(stats.size, sizeof stats);
	CHECK_EQ(stats.handoffs, 0);
}
