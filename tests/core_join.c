/* Joining, detaching and cancelling: every order in which they can meet an end, and each other. */
#include <errno.h>
#include <stdlib.h>

#include "core_util.h"

static atomic_long count;
static atomic_bool stop;

static int return_arg(void *arg) { return *(int *)arg; }

static int add_one(void *arg)
{
	atomic_fetch_add(&count, 1);
	(void)arg;
	return 0;
}

static int sleep_for_ever(void *arg)
{
	(void)arg;
	return weft_sleep_until(WEFT_NEVER);
}

static int wait_until_stop(void *arg)
{
	while (!atomic_load(&stop))
		rest();
	(void)arg;
	return 9;
}

static int yield_times(void *n)
{
	for (int i = 0; i < *(int *)n; i++)
		weft_yield();
	return *(int *)n;
}

/* ---- results and errors ---------------------------------------------------------------------------------------------- */

CO_TEST(join_gives_the_result)
{
	for (int i = -1000; i < 1000; i += 7) {
		struct weft_co *co = spawn_co(NULL, return_arg, &i);
		if (i % 2)
			weft_yield(); /* some have ended when they are joined */
		CHECK_EQ(join_co(co), i);
	}
	struct weft_co *co = spawn_co(NULL, add_one, NULL);
	CHECK_RESULT(weft_join(co, NULL), 0);
}

static int join_yourself(void *self)
{
	struct weft_co *co = *(struct weft_co **)self;
	CHECK_RESULT(weft_join(co, NULL), -EDEADLK);
	CHECK_RESULT(weft_join_until(co, NULL, WEFT_NOW), -EDEADLK);
	return 3;
}

CO_TEST(nobody_joins_himself)
{
	struct weft_co *co;
	CHECK_RESULT(weft_spawn(&co, NULL, join_yourself, &co), 0);
	CHECK_EQ(join_co(co), 3);
}

CO_TEST(join_until)
{
	struct weft_co *co = spawn_co(NULL, wait_until_stop, NULL);
	int result = 5;
	CHECK_RESULT(weft_join_until(co, &result, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_join_until(co, &result, 0), -ETIMEDOUT);
	CHECK_RESULT(weft_join_until(co, &result, INT64_MIN + 1), -ETIMEDOUT);
	weft_time deadline = weft_after(WEFT_MS(2));
	CHECK_RESULT(weft_join_until(co, &result, deadline), -ETIMEDOUT);
	CHECK_GE(weft_now(), deadline);
	CHECK_EQ(result, 5);
	atomic_store(&stop, true);
	CHECK_RESULT(weft_join_until(co, &result, WEFT_NEVER), 0);
	CHECK_EQ(result, 9);
	co = spawn_co(NULL, return_arg, &result);
	EVENTUALLY(stats_now().ended == 2);
	CHECK_RESULT(weft_join_until(co, &result, WEFT_NOW), 0);
	CHECK_EQ(result, 9);
}

static int join_it(void *co) { return weft_join(co, NULL); }
static int join_for_1_ms(void *co) { return weft_join_until(co, NULL, weft_after(WEFT_MS(1))); }

CO_TEST(one_joiner_at_a_time)
{
	struct weft_co *co = spawn_co(NULL, wait_until_stop, NULL), *first = spawn_co(NULL, join_it, co);
	EVENTUALLY(is_being_joined(co));
	CHECK_RESULT(weft_join(co, NULL), -EINVAL);
	CHECK_RESULT(weft_detach(co), -EINVAL);
	CHECK_RESULT(weft_cancel(first), 0);
	CHECK_RESULT(join_co(first), -ECANCELED);
	CHECK_RESULT(join_co(spawn_co(NULL, join_for_1_ms, co)), -ETIMEDOUT);
	atomic_store(&stop, true);
	CHECK_EQ(join_co(co), 9); /* the handle survived both */
}

CO_TEST(detached_is_detached)
{
	struct weft_co *co = spawn_co(NULL, wait_until_stop, NULL);
	CHECK_RESULT(weft_detach(co), 0);
	CHECK_RESULT(weft_detach(co), -EINVAL);
	CHECK_RESULT(weft_join(co, NULL), -EINVAL);
	atomic_store(&stop, true);
}

CO_TEST(bad_arguments)
{
	struct weft_attr attr = WEFT_ATTR_INIT;
	struct weft_co *co;
	CHECK_RESULT(weft_go(NULL, NULL), -EINVAL);
	CHECK_RESULT(weft_spawn(&co, NULL, NULL, NULL), -EINVAL);
	CHECK_RESULT(weft_join(NULL, NULL), -EINVAL);
	CHECK_RESULT(weft_join_until(NULL, NULL, WEFT_NOW), -EINVAL);
	CHECK_RESULT(weft_detach(NULL), -EINVAL);
	CHECK_RESULT(weft_cancel(NULL), -EINVAL);
	attr.size = 0;
	CHECK_RESULT(weft_spawn(&co, &attr, add_one, NULL), -EINVAL);
	attr.size = sizeof attr - 1;
	CHECK_RESULT(weft_spawn(&co, &attr, add_one, NULL), -EINVAL);
	attr.size = sizeof attr;
	attr.stack_size = ((size_t)1 << 30) + 1;
	CHECK_RESULT(weft_spawn(&co, &attr, add_one, NULL), -EINVAL);
	CHECK_EQ(atomic_load(&count), 0);
}

/* ---- cancel ---------------------------------------------------------------------------------------------------------- */

CO_TEST(cancel_ends_a_sleep)
{
	struct weft_co *co = spawn_co(NULL, sleep_for_ever, NULL);
	EVENTUALLY(stats_now().dispatches > 2);
	CHECK_RESULT(weft_cancel(co), 0);
	CHECK_RESULT(join_co(co), -ECANCELED);
}

static int join_sleeper(void *arg)
{
	struct weft_co *co = spawn_co(NULL, wait_until_stop, arg);
	CHECK_RESULT(weft_join(co, NULL), -ECANCELED);
	CHECK_RESULT(weft_join_until(co, NULL, weft_after(WEFT_SEC(1))), -ECANCELED); /* for good */
	CHECK_RESULT(weft_detach(co), 0);
	return 4;
}

CO_TEST(cancel_ends_a_join)
{
	struct weft_co *co = spawn_co(NULL, join_sleeper, NULL);
	for (int i = 0; i < 10; i++)
		rest();
	CHECK_RESULT(weft_cancel(co), 0);
	CHECK_EQ(join_co(co), 4);
	atomic_store(&stop, true);
}

static int feel_cancelled(void *arg)
{
	CHECK_RESULT(weft_cancelled(), -ECANCELED);
	CHECK_RESULT(weft_sleep(0), -ECANCELED);
	CHECK_RESULT(weft_sleep(WEFT_SEC(1000)), -ECANCELED);
	CHECK_RESULT(weft_sleep_until(WEFT_NEVER), -ECANCELED);
	CHECK_RESULT(weft_cause(), -ECANCELED);
	weft_yield();
	atomic_fetch_add(&count, 1);
	(void)arg;
	return 6;
}

TEST(cancel_before_the_start)
{
	struct weft_config config = config_with(1);
	CHECK_RESULT(weft_start(&config), 0);
	for (int i = 0; i < 100; i++) {
		struct weft_co *co = spawn_co(NULL, wait_until_stop, NULL), *born = spawn_co(NULL, sleep_for_ever, NULL);
		CHECK_RESULT(weft_cancel(born), 0);
		CHECK_RESULT(join_co(born), -ECANCELED);
		atomic_store(&stop, true);
		CHECK_EQ(join_co(co), 9);
		atomic_store(&stop, false);
	}
	CHECK_RESULT(weft_stop(WEFT_NEVER), 0);
}

static int spawn_and_cancel(void *arg)
{
	struct weft_co *co = spawn_co(NULL, feel_cancelled, arg);
	CHECK_RESULT(weft_cancelled(), 0);
	CHECK_RESULT(weft_cancel(co), 0);
	CHECK_RESULT(weft_cancel(co), 0);
	CHECK_EQ(join_co(co), 6); /* on one processor it had not begun */
	return 0;
}

TEST(a_cancelled_one_runs_all_the_same)
{
	struct weft_config config = config_with(1);
	config.handoff = false;
	CHECK_RESULT(weft_run(&config, spawn_and_cancel, NULL), 0);
	CHECK_EQ(atomic_load(&count), 1);
}

CO_TEST(cancel_of_one_that_has_ended)
{
	struct weft_co *co = spawn_co(NULL, add_one, NULL);
	EVENTUALLY(stats_now().ended == 1);
	CHECK_RESULT(weft_cancel(co), 0);
	CHECK_EQ(join_co(co), 0);
	CHECK_RESULT(join_co(spawn_co(NULL, return_arg, &(int){3})), 3); /* whoever is next in its block is not cancelled */
}

static int cancel_yourself(void *self)
{
	CHECK_RESULT(weft_cancel(*(struct weft_co **)self), 0);
	CHECK_RESULT(weft_cancelled(), -ECANCELED);
	return weft_sleep(1);
}

CO_TEST(cancel_of_oneself)
{
	struct weft_co *co;
	CHECK_RESULT(weft_spawn(&co, NULL, cancel_yourself, &co), 0);
	CHECK_RESULT(join_co(co), -ECANCELED);
}

/* ---- races ------------------------------------------------------------------------------------------------------------ */

CO_TEST(detach_races_with_the_end)
{
	uint64_t random = random_seed();
	for (int i = 0; i < test_scaled(100000); i++) {
		int yields = (int)random_below(&random, 3);
		struct weft_co *co = spawn_co(NULL, add_one, NULL);
		for (; yields > 0; yields--)
			weft_yield();
		CHECK_RESULT(weft_detach(co), 0);
	}
	EVENTUALLY(atomic_load(&count) == test_scaled(100000));
}

/* Deadlines that lie about where the end does. */
CO_TEST(deadline_races_with_the_end)
{
	uint64_t random = random_seed();
	long timed_out = 0, n = test_scaled(300000);
	for (long i = 0; i < n; i++) {
		int yields = (int)random_below(&random, 4), result = -1;
		struct weft_co *co = spawn_co(NULL, yield_times, &yields);
		int joined = weft_join_until(co, &result, i % 8 == 0 ? WEFT_NOW : weft_after((int64_t)random_below(&random, 400)));
		if (joined != 0) {
			CHECK(joined == -ETIMEDOUT || joined == -EAGAIN);
			CHECK_EQ(result, -1);
			timed_out++;
			CHECK_RESULT(weft_join(co, &result), 0);
		}
		CHECK_EQ(result, yields);
	}
	CHECK_GT(timed_out, 0);
	CHECK_LT(timed_out, n);
}

struct storm {
	struct weft_co *target;
	atomic_int done;
};

static int cancel_it(void *arg)
{
	struct storm *storm = arg;
	CHECK_RESULT(weft_cancel(storm->target), 0);
	atomic_fetch_add(&storm->done, 1);
	return 0;
}

static int join_in_storm(void *arg)
{
	static int yields = 1;
	struct storm *storm = arg;
	int result = -1;
	struct weft_co *co = spawn_co(NULL, yield_times, &yields);
	int joined = weft_join(co, &result);
	if (joined == 0)
		CHECK_EQ(result, 1); /* handed over ... */
	else
		CHECK_RESULT(joined, -ECANCELED); /* ... or cancelled, never both */
	if (joined != 0) {
		CHECK_EQ(result, -1);
		CHECK_RESULT(weft_detach(co), 0);
		atomic_fetch_add(&count, 1);
	}
	while (atomic_load(&storm->done) < 2) /* its own handle must last */
		weft_yield();
	return joined;
}

/* A cancel meets the wait, its end, and the time before and after. */
CO_TEST(cancel_races_with_the_end)
{
	int n = test_scaled(30000);
	for (int i = 0; i < n; i++) {
		struct storm storm = {.done = 0};
		storm.target = spawn_co(NULL, join_in_storm, &storm);
		if (i % 3 == 0)
			weft_yield();
		struct weft_co *cancellers[2];
		for (int k = 0; k < 2; k++)
			cancellers[k] = spawn_co(NULL, cancel_it, &storm);
		for (int k = 0; k < 2; k++)
			join_co(cancellers[k]);
		join_co(storm.target);
	}
	CHECK_GT(atomic_load(&count), 0);
}

static int sleep_a_little(void *ns) { return weft_sleep(*(int64_t *)ns); }

CO_TEST(cancel_races_with_a_timer)
{
	uint64_t random = random_seed();
	int cancelled = 0, n = test_scaled(20000);
	for (int i = 0; i < n; i++) {
		int64_t ns = (int64_t)random_below(&random, 60000);
		weft_time start = weft_now();
		struct weft_co *co = spawn_co(NULL, sleep_a_little, &ns);
		if (i % 2)
			weft_sleep(ns);
		else
			weft_yield();
		CHECK_RESULT(weft_cancel(co), 0);
		int result = join_co(co);
		if (result == 0)
			CHECK_GE(weft_now() - start, ns);
		else
			CHECK_RESULT(result, -ECANCELED);
		cancelled += result != 0;
	}
	CHECK_GT(cancelled, 0);
	CHECK_LT(cancelled, n);
}

/* ---- plain threads ----------------------------------------------------------------------------------------------------- */

static void *use_from_outside(void *arg)
{
	uint64_t random = *(uint64_t *)arg;
	long made = 0;
	for (weft_time end = weft_after(WEFT_MS(700)); weft_now() < end; made++) {
		int yields = (int)random_below(&random, 4), result = -1;
		struct weft_co *co = spawn_co(NULL, yields == 3 ? sleep_for_ever : yields ? yield_times : add_one, &yields);
		if (yields == 3) {
			CHECK_RESULT(weft_cancel(co), 0);
			CHECK_RESULT(join_co(co), -ECANCELED);
		} else if (yields == 0) {
			CHECK_RESULT(weft_detach(co), 0);
			atomic_fetch_sub(&count, 1);
		} else {
			int joined = weft_join_until(co, &result, weft_after((int64_t)random_below(&random, 20000)));
			if (joined != 0)
				CHECK_RESULT(joined, -ETIMEDOUT);
			CHECK_EQ(joined == 0 ? result : join_co(co), yields);
		}
	}
	return (void *)made;
}

TEST(eight_threads)
{
	enum { THREADS = 8 };
	pthread_t threads[THREADS];
	uint64_t seeds[THREADS], seed = random_seed();
	CHECK_RESULT(weft_start(NULL), 0);
	for (int i = 0; i < THREADS; i++) {
		seeds[i] = next_random(&seed);
		threads[i] = start_thread(use_from_outside, &seeds[i]);
	}
	uint64_t made = 0;
	for (int i = 0; i < THREADS; i++)
		made += (uint64_t)(uintptr_t)join_thread(threads[i]);
	EVENTUALLY(stats_now().ended == made);
	CHECK_EQ(stats_now().spawned, made);
	CHECK_EQ(atomic_load(&count), 0);
	CHECK_RESULT(weft_stop(WEFT_NEVER), 0);
}

static void *join_from_outside(void *co) { return (void *)(intptr_t)join_co(co); }

CO_TEST(thread_joins_what_a_coroutine_made)
{
	for (int i = 0; i < 50; i++) {
		atomic_store(&stop, false);
		struct weft_co *co = spawn_co(NULL, wait_until_stop, NULL);
		pthread_t thread = start_thread(join_from_outside, co);
		EVENTUALLY(is_being_joined(co));
		atomic_store(&stop, true);
		CHECK_EQ((intptr_t)join_thread(thread), 9);
	}
}

static void *wait_and_look(void *co)
{
	weft_time deadline = weft_after(WEFT_MS(1));
	CHECK_RESULT(weft_join_until(co, NULL, deadline), -ETIMEDOUT);
	CHECK_GE(weft_now(), deadline);
	CHECK_RESULT(weft_join_until(co, NULL, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_join_until(co, NULL, 0), -ETIMEDOUT);
	CHECK_RESULT(weft_join_until(co, NULL, INT64_MIN + 1), -ETIMEDOUT);
	CHECK_RESULT(weft_cancelled(), 0);
	return NULL;
}

CO_TEST(thread_gives_up_at_its_deadline)
{
	struct weft_co *co = spawn_co(NULL, wait_until_stop, NULL);
	join_thread(start_thread(wait_and_look, co));
	atomic_store(&stop, true);
	CHECK_EQ(join_co(co), 9);
}

/* Deadlines of a plain thread that lie about where the end does. */
static void *race_from_outside(void *arg)
{
	uint64_t random = random_seed();
	for (int i = 0; i < test_scaled(20000); i++) {
		int yields = (int)random_below(&random, 3);
		struct weft_co *co = spawn_co(NULL, yield_times, &yields);
		int joined = weft_join_until(co, NULL, i % 4 ? weft_after((int64_t)random_below(&random, 20000)) : WEFT_NOW);
		if (joined != 0)
			CHECK_EQ(join_co(co), yields);
	}
	return arg;
}

TEST(deadline_of_a_thread_races_with_the_end)
{
	CHECK_RESULT(weft_start(NULL), 0);
	race_from_outside(NULL);
	CHECK_RESULT(weft_stop(WEFT_NEVER), 0);
}
