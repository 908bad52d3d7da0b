/* Sleeping: never too short, always over. How long beyond is printed, for people; nothing asserts it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core_util.h"

static atomic_int count;
static atomic_bool stop;

/* ---- never early ----------------------------------------------------------------------------------------------------- */

enum { SLEEPERS = 100 };

static int sleep_at_random(void *seed)
{
	for (int i = 0; i < test_scaled(10000) / SLEEPERS; i++) {
		int64_t ns = (int64_t)random_below(seed, i % 2 ? 3000000 : 5000);
		weft_time start = weft_now();
		if (i % 4 < 2)
			CHECK_RESULT(weft_sleep(ns), 0);
		else
			CHECK_RESULT(weft_sleep_until(start + ns), 0);
		CHECK_GE(weft_now() - start, ns);
	}
	return 0;
}

CO_TEST(never_early)
{
	struct weft_co *co[SLEEPERS];
	uint64_t seeds[SLEEPERS], seed = random_seed();
	for (int i = 0; i < SLEEPERS; i++) {
		seeds[i] = next_random(&seed);
		co[i] = spawn_co(NULL, sleep_at_random, &seeds[i]);
	}
	for (int i = 0; i < SLEEPERS; i++)
		join_co(co[i]);
}

static void *sleep_outside(void *arg)
{
	uint64_t seed = random_seed();
	for (int i = 0; i < test_scaled(500); i++) {
		int64_t ns = (int64_t)random_below(&seed, 300000);
		weft_time start = weft_now();
		CHECK_RESULT(weft_sleep(ns), 0);
		CHECK_GE(weft_now() - start, ns);
	}
	return arg;
}

CO_TEST(never_early_on_a_plain_thread) { join_thread(start_thread(sleep_outside, NULL)); }

/* ---- no time, all time ----------------------------------------------------------------------------------------------- */

CO_TEST(no_time)
{
	for (int i = 0; i < 1000; i++) {
		CHECK_RESULT(weft_sleep(0), 0);
		CHECK_RESULT(weft_sleep(-1), 0);
		CHECK_RESULT(weft_sleep(INT64_MIN), 0);
		CHECK_RESULT(weft_sleep_until(0), 0);
		CHECK_RESULT(weft_sleep_until(WEFT_NOW), 0);
		CHECK_RESULT(weft_sleep_until(weft_now()), 0);
	}
	CHECK_EQ(stats_now().timers_fired, 0);
}

static int sleep_ns(void *ns)
{
	int result = weft_sleep(*(int64_t *)ns);
	atomic_fetch_add(&count, 1);
	return result;
}

CO_TEST(for_ever)
{
	int64_t ns[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX / 2, WEFT_SEC(1000000000)};
	struct weft_co *co[4];
	for (int i = 0; i < 4; i++)
		co[i] = spawn_co(NULL, sleep_ns, &ns[i]);
	for (int i = 0; i < 20; i++)
		rest();
	CHECK_EQ(atomic_load(&count), 0);
	for (int i = 0; i < 4; i++) {
		CHECK_RESULT(weft_cancel(co[i]), 0);
		CHECK_RESULT(join_co(co[i]), -ECANCELED);
	}
}

TEST(after)
{
	weft_time now = weft_now();
	CHECK_EQ(weft_after(INT64_MAX), WEFT_NEVER);
	CHECK_EQ(weft_after(INT64_MAX - now + 1), WEFT_NEVER);
	CHECK_GE(weft_after(0), now);
	CHECK_GE(weft_after(1000), now + 1000);
	CHECK_LT(weft_after(-WEFT_SEC(1)), weft_now());
	CHECK_LT(weft_after(INT64_MIN), 0);
	for (int i = 0; i < 1000; i++) {
		weft_time next = weft_now();
		CHECK_GE(next, now);
		now = next;
	}
}

/* ---- order ----------------------------------------------------------------------------------------------------------- */

static atomic_int turn;

struct alarm {
	weft_time when;
	int order;
};

static int ring(void *arg)
{
	struct alarm *alarm = arg;
	atomic_fetch_add(&count, 1);
	CHECK_RESULT(weft_sleep_until(alarm->when), 0);
	alarm->order = atomic_fetch_add(&turn, 1);
	return 0;
}

static int ring_in_order(void *arg)
{
	enum { N = 200 };
	struct alarm alarms[N];
	struct weft_co *co[N];
	bool in_time = false;
	for (int64_t lead = WEFT_MS(5); !in_time; lead *= 2) {
		weft_time start = weft_after(lead);
		atomic_store(&turn, 0);
		atomic_store(&count, 0);
		for (int i = 0; i < N; i++) {
			alarms[i].when = start + (i * 37 % N) * 1000;
			co[i] = spawn_co(NULL, ring, &alarms[i]);
		}
		while (atomic_load(&count) < N)
			weft_yield();
		in_time = weft_now() < start; /* all sleep, and none has rung: else once more, with more time */
		for (int i = 0; i < N; i++)
			join_co(co[i]);
	}
	for (int i = 0; i < N; i++)
		CHECK_EQ(alarms[i].order, i * 37 % N);
	(void)arg;
	return 0;
}

/* On one processor those whose time has come run in the order in which it came. */
TEST(earlier_alarms_ring_first)
{
#ifdef WEFT_STRESS
	SKIP("a run queue of four entries overflows, and so does not keep the order");
#endif
	struct weft_config config = config_with(1);
	config.handoff = false; /* on a busy machine one could be overtaken between waking and ringing */
	CHECK_RESULT(weft_run(&config, ring_in_order, NULL), 0);
}

/* ---- the machine asleep, or busy ------------------------------------------------------------------------------------- */

static void sleep_and_tell(const char *where)
{
	int64_t sum = 0, worst = 0;
	int n = test_scaled(300);
	for (int i = 0; i < n; i++) {
		weft_time start = weft_now();
		CHECK_RESULT(weft_sleep(WEFT_US(50)), 0);
		int64_t late = weft_now() - start - WEFT_US(50);
		sum += late;
		worst = late > worst ? late : worst;
	}
	printf("a sleep of 50 us, %s: %.1f us late on average, %.1f at worst\n", where, (double)sum / n / 1e3, (double)worst / 1e3);
}

static int yield_until_stop(void *arg)
{
	while (!atomic_load(&stop))
		weft_yield();
	(void)arg;
	return 0;
}

CO_TEST(alone) { sleep_and_tell("alone"); }

CO_TEST(beside_yielders)
{
	for (int i = 0; i < 4; i++)
		CHECK_RESULT(weft_go(yield_until_stop, NULL), 0);
	sleep_and_tell("beside yielders");
	atomic_store(&stop, true);
}

/* ---- storms ---------------------------------------------------------------------------------------------------------- */

static int sleep_and_count(void *arg)
{
	uint64_t *seed = arg;
	for (int i = 0; i < 50; i++) {
		weft_time start = weft_now();
		int64_t ns = (int64_t)random_below(seed, 200000);
		int result = weft_sleep(ns);
		if (result != 0) {
			CHECK_RESULT(result, -ECANCELED);
			CHECK_RESULT(weft_cancelled(), -ECANCELED);
			CHECK_RESULT(weft_sleep(WEFT_SEC(1000)), -ECANCELED);
			return result;
		}
		CHECK_GE(weft_now() - start, ns);
	}
	atomic_fetch_add(&count, 1);
	return 0;
}

/* Many sleep at once, and some are cancelled at any moment. */
CO_TEST(cancel_storm)
{
	enum { N = 200 };
	struct weft_co *co[N];
	uint64_t seeds[N], seed = random_seed();
	int slept = 0;
	for (int round = 0; round < test_scaled(10); round++) {
		for (int i = 0; i < N; i++) {
			seeds[i] = next_random(&seed);
			co[i] = spawn_co(NULL, sleep_and_count, &seeds[i]);
		}
		for (int i = 0; i < N / 2; i++) {
			CHECK_RESULT(weft_cancel(co[random_below(&seed, N)]), 0);
			if (i % 4 == 0)
				weft_sleep((int64_t)random_below(&seed, 100000));
		}
		for (int i = 0; i < N; i++)
			slept += join_co(co[i]) == 0;
	}
	CHECK_EQ(atomic_load(&count), slept);
}
