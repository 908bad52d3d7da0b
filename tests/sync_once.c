/* Once: one call, and all wait for its end; functions that fail; cancel; misuse. */
#include "sync_util.h"

#include <errno.h>
#include <stdlib.h>

#include "sync.h"

TEST(is_a_small_value)
{
	static struct weft_once zero, init = WEFT_ONCE_INIT;
	CHECK_EQ(sizeof zero, 48);
	CHECK_MEM(&zero, &init, sizeof zero);
}

static void do_nothing(void *arg)
{
	(void)arg;
}

/* A loop of calls that find it done lets others go first now and then, as any other. */
CO_TEST(calls_of_what_is_done_are_paid_for)
{
	struct weft_once once = WEFT_ONCE_INIT;
	uint64_t before = stats_now().budget_yields;
	for (int i = 0; i < 4 * WF_BUDGET; i++)
		weft_once(&once, do_nothing, NULL);
	CHECK_GE(stats_now().budget_yields, before + 2);
}

/* ---- one call ------------------------------------------------------------------------------------------------------------ */

static struct {
	struct weft_once once;
	int calls; /* plain: what the function did is seen by all who called */
	int begun;
} slow;

static void be_slow(void *arg)
{
	(void)arg;
	slow.begun++;
	for (int i = 0; i < 10; i++)
		rest();
	slow.calls++;
}

static void call_slow(struct member *me)
{
	(void)me;
	for (int i = 0; i < 100; i++) {
		weft_once(&slow.once, be_slow, NULL);
		CHECK_EQ(slow.calls, 1);
	}
}

CO_TEST(all_wait_for_the_first_call)
{
	run_crew(call_slow, 20, 4);
	CHECK_EQ(slow.begun, 1);
}

TEST(threads_wait_for_the_first_call_without_a_runtime)
{
	run_crew(call_slow, 0, 6);
	CHECK_EQ(slow.begun, 1);
}

static struct {
	struct weft_once *once;
	long *calls;
} many;

static void count_call(void *arg) { ++*(long *)arg; }

static void call_many(struct member *me)
{
	for (int i = 0; i < test_scaled(20000); i++) {
		weft_once(&many.once[i], count_call, &many.calls[i]);
		CHECK_EQ(many.calls[i], 1);
		yield_sometimes(me, 16);
	}
}

CO_TEST(many_are_called_once_each)
{
	many.once = calloc((size_t)test_scaled(20000), sizeof *many.once);
	many.calls = calloc((size_t)test_scaled(20000), sizeof *many.calls);
	run_crew(call_many, 6, 2);
	free(many.once);
	free(many.calls);
}

/* ---- functions that fail -------------------------------------------------------------------------------------------------- */

static struct {
	struct weft_once once;
	atomic_int calls;
	int order[8], n;
	atomic_bool begun, go_on;
} fails;

/* The first four calls fail. */
static int fail_at_first(void *arg)
{
	atomic_store(&fails.begun, true);
	while (!atomic_load(&fails.go_on))
		rest();
	fails.order[fails.n++] = *(int *)arg;
	return atomic_fetch_add(&fails.calls, 1) < 4 ? -EIO : 7;
}

static int try_it(void *arg) { return weft_once_try(&fails.once, fail_at_first, arg); }

/* Each failure is the result of that call; the next to try is the one that has waited longest. */
CO_TEST(a_failure_passes_the_turn_on)
{
	enum { N = 8 };
	static int numbers[N];
	struct weft_co *co[N];
	for (int i = 0; i < N; i++) {
		numbers[i] = i;
		co[i] = spawn_co(NULL, try_it, &numbers[i]);
		if (i == 0)
			EVENTUALLY(atomic_load(&fails.begun));
		else
			await_parked(co[i], WF_WHY_ONCE);
	}
	atomic_store(&fails.go_on, true);
	for (int i = 0; i < N; i++)
		CHECK_RESULT(join_co(co[i]), i < 4 ? -EIO : 0);
	CHECK_EQ(fails.n, 5);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(fails.order[i], i);
	CHECK_RESULT(try_it(&numbers[7]), 0);
	CHECK_EQ(fails.n, 5);
}

static int fail(void *arg)
{
	++*(int *)arg;
	return -ENOENT;
}

static int succeed(void *arg)
{
	++*(int *)arg;
	return 0;
}

TEST(a_failure_leaves_it_as_it_was)
{
	struct weft_once once = WEFT_ONCE_INIT;
	int calls = 0;
	CHECK_RESULT(weft_once_try(&once, fail, &calls), -ENOENT);
	CHECK_RESULT(weft_once_try(&once, fail, &calls), -ENOENT);
	CHECK_RESULT(weft_once_try(&once, succeed, &calls), 0);
	CHECK_RESULT(weft_once_try(&once, fail, &calls), 0);
	CHECK_EQ(calls, 3);
}

/* Tries that fail at random, with cancels: for each object one success in the end, and never two at a time. */
static struct {
	struct weft_once once[64];
	struct exclusive x[64];
	atomic_int successes[64];
} random_tries;

struct try {
	struct member *me;
	int i;
};

static int try_at_random(void *arg)
{
	struct try *try = arg;
	enter_exclusive(&random_tries.x[try->i]);
	yield_sometimes(try->me, 2);
	bool fails_now = random_below(&try->me->random, 8) != 0;
	leave_exclusive(&random_tries.x[try->i]);
	if (!fails_now)
		atomic_fetch_add(&random_tries.successes[try->i], 1);
	return fails_now ? -EIO : 0;
}

static bool try_all(struct member *me)
{
	for (; me->done < 64; me->done++) {
		struct try try = {me, (int)me->done};
		int result;
		do
			result = weft_once_try(&random_tries.once[me->done], try_at_random, &try);
		while (result == -EIO);
		if (result == -ECANCELED)
			return false;
		CHECK_RESULT(result, 0);
		CHECK_EQ(atomic_load(&random_tries.successes[me->done]), 1);
	}
	return true;
}

CO_TEST(tries_fail_until_one_succeeds)
{
	run_crew_cancelling(try_all, 12, 2);
	for (int i = 0; i < 64; i++)
		CHECK_EQ(random_tries.successes[i], 1);
}

/* ---- cancel ----------------------------------------------------------------------------------------------------------------- */

static struct {
	struct weft_once once;
	atomic_bool begun, go_on;
} held;

static void hold(void *arg)
{
	(void)arg;
	atomic_store(&held.begun, true);
	while (!atomic_load(&held.go_on))
		rest();
}

static int never(void *arg)
{
	(void)arg;
	test_fail(__FILE__, __LINE__, "called a second time");
}

static void never_plain(void *arg) { never(arg); }

static int call_plain(void *arg)
{
	weft_once(&held.once, arg ? hold : never_plain, NULL);
	CHECK(atomic_load(&held.go_on));
	return 0;
}

static int call_try(void *arg)
{
	(void)arg;
	return weft_once_try(&held.once, never, NULL);
}

CO_TEST(a_try_is_cancelled_and_a_plain_call_waits_on)
{
	struct weft_co *first = spawn_co(NULL, call_plain, &held);
	EVENTUALLY(atomic_load(&held.begun));
	struct weft_co *plain = spawn_co(NULL, call_plain, NULL), *try = spawn_co(NULL, call_try, NULL);
	await_parked(plain, WF_WHY_ONCE);
	await_parked(try, WF_WHY_ONCE);
	CHECK_RESULT(weft_cancel(plain), 0);
	CHECK_RESULT(weft_cancel(try), 0);
	CHECK_RESULT(join_co(try), -ECANCELED);
	await_parked(plain, WF_WHY_ONCE);
	atomic_store(&held.go_on, true);
	CHECK_RESULT(join_co(plain), 0);
	CHECK_RESULT(join_co(first), 0);
	CHECK_RESULT(call_try(NULL), 0);
}

static int try_when_cancelled(void *arg)
{
	struct weft_once once = WEFT_ONCE_INIT;
	(void)arg;
	while (weft_cancelled() == 0)
		weft_yield();
	CHECK_RESULT(weft_once_try(&once, never, NULL), -ECANCELED);
	int calls = 0;
	weft_once(&once, count_call, &(long){0});
	CHECK_RESULT(weft_once_try(&once, fail, &calls), -ECANCELED);
	CHECK_EQ(calls, 0);
	return 0;
}

CO_TEST(who_is_cancelled_does_not_try)
{
	struct weft_co *co = spawn_co(NULL, try_when_cancelled, NULL);
	CHECK_RESULT(weft_cancel(co), 0);
	join_co(co);
}

/* ---- misuse ------------------------------------------------------------------------------------------------------------------ */

static struct weft_once recursive;

static void call_again(void *arg) { weft_once(&recursive, call_again, arg); }

CO_TEST_ABORTS(calling_it_from_its_own_function, "by its own function")
{
	weft_once(&recursive, call_again, NULL);
}
