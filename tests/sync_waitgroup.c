/* Wait groups: counting, many who wait, use again, deadlines and cancel, freeing at once, misuse. */
#include "sync_util.h"

#include <errno.h>
#include <limits.h>

#include "sync.h"

static int wait_for(void *arg) { return weft_waitgroup_wait(arg); }

TEST(is_a_small_value)
{
	static struct weft_waitgroup zero, init = WEFT_WAITGROUP_INIT;
	CHECK_EQ(sizeof zero, 48);
	CHECK_MEM(&zero, &init, sizeof zero);
}

TEST(works_without_a_runtime)
{
	struct weft_waitgroup group = WEFT_WAITGROUP_INIT;
	CHECK_RESULT(weft_waitgroup_wait(&group), 0);
	weft_waitgroup_add(&group, 2);
	CHECK_RESULT(weft_waitgroup_wait_until(&group, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_waitgroup_wait_until(&group, weft_after(WEFT_MS(1))), -ETIMEDOUT);
	weft_waitgroup_add(&group, -2);
	CHECK_RESULT(weft_waitgroup_wait_until(&group, WEFT_NOW), 0);
}

CO_TEST(all_who_wait_go_on_at_zero)
{
	enum { N = 20 };
	struct weft_waitgroup group = WEFT_WAITGROUP_INIT;
	struct weft_co *co[N];
	weft_waitgroup_add(&group, 3);
	for (int i = 0; i < N; i++)
		co[i] = spawn_co(NULL, wait_for, &group);
	for (int i = 0; i < N; i++)
		await_parked(co[i], WF_WHY_WAITGROUP);
	weft_waitgroup_done(&group);
	weft_waitgroup_add(&group, 2);
	weft_waitgroup_add(&group, -3);
	for (int i = 0; i < N; i++)
		await_parked(co[i], WF_WHY_WAITGROUP);
	weft_waitgroup_done(&group);
	for (int i = 0; i < N; i++)
		CHECK_RESULT(join_co(co[i]), 0);
	CHECK_RESULT(weft_waitgroup_wait(&group), 0);
}

/* ---- rounds ---------------------------------------------------------------------------------------------------------------- */

enum { WORKERS = 8 };

static struct {
	struct weft_waitgroup begun, ended;
	long work[WORKERS * 2]; /* plain: what was done before done is seen after wait */
} rounds;

static int do_part(void *arg)
{
	++*(long *)arg;
	weft_waitgroup_done(&rounds.ended);
	return 0;
}

CO_TEST(can_be_used_again)
{
	for (int i = 0; i < test_scaled(20000); i++) {
		weft_waitgroup_add(&rounds.ended, WORKERS);
		for (int k = 0; k < WORKERS; k++)
			CHECK_RESULT(weft_go(do_part, &rounds.work[2 * k]), 0);
		CHECK_RESULT(weft_waitgroup_wait(&rounds.ended), 0);
		for (int k = 0; k < WORKERS; k++)
			CHECK_EQ(rounds.work[2 * k], i + 1);
	}
}

/* ---- deadlines and cancel -------------------------------------------------------------------------------------------------- */

static int wait_when_cancelled(void *arg)
{
	while (weft_cancelled() == 0)
		weft_yield();
	CHECK_RESULT(weft_waitgroup_wait(arg), -ECANCELED);
	CHECK_RESULT(weft_waitgroup_wait_until(arg, WEFT_NOW), -ECANCELED);
	return 0;
}

CO_TEST(a_cancel_ends_a_wait)
{
	struct weft_waitgroup group = WEFT_WAITGROUP_INIT;
	struct weft_co *co = spawn_co(NULL, wait_when_cancelled, &group);
	CHECK_RESULT(weft_cancel(co), 0);
	join_co(co);
	weft_waitgroup_add(&group, 1);
	co = spawn_co(NULL, wait_for, &group);
	await_parked(co, WF_WHY_WAITGROUP);
	CHECK_RESULT(weft_cancel(co), 0);
	CHECK_RESULT(join_co(co), -ECANCELED);
	weft_waitgroup_done(&group);
	CHECK_RESULT(weft_waitgroup_wait(&group), 0);
}

/* Waits that time out at about the moment when the count gets to 0. */
struct race {
	struct weft_waitgroup group;
	atomic_int waiting;
};

static int finish_one(void *arg)
{
	weft_waitgroup_done(arg);
	return 0;
}

static void wait_with_deadlines(struct member *me)
{
	for (int i = 0; i < test_scaled(10000); i++) {
		struct weft_waitgroup *group = take_block(sizeof *group);
		weft_waitgroup_add(group, 2);
		CHECK_RESULT(weft_go(finish_one, group), 0);
		CHECK_RESULT(weft_go(finish_one, group), 0);
		int result;
		do {
			result = weft_waitgroup_wait_until(group, deadline_soon(me, 10000));
			CHECK(result == 0 || result == -ETIMEDOUT);
		} while (result != 0);
		free_block(group);
	}
}

CO_TEST(giving_up_races_with_the_end)
{
	run_crew(wait_with_deadlines, 6, 0);
	check_freed_blocks();
}

CO_TEST(giving_up_races_with_the_end_on_threads_too)
{
	run_crew(wait_with_deadlines, 2, 2);
	check_freed_blocks();
}

/* ---- freed at once ---------------------------------------------------------------------------------------------------------- */

static WF_NOINLINE void wait_on_own_stack(int parts)
{
	struct weft_waitgroup group = WEFT_WAITGROUP_INIT;
	weft_waitgroup_add(&group, parts);
	for (int i = 0; i < parts; i++)
		CHECK_RESULT(weft_go(finish_one, &group), 0);
	CHECK_RESULT(weft_waitgroup_wait(&group), 0);
}

static WF_NOINLINE void overwrite_stack(void)
{
	volatile char bytes[768];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = 0x5a;
	for (size_t i = 0; i < sizeof bytes; i++)
		CHECK_EQ(bytes[i], 0x5a);
}

static void wait_for_parts(struct member *me)
{
	for (int i = 0; i < test_scaled(20000); i++) {
		wait_on_own_stack((int)random_below(&me->random, 4) + 1);
		overwrite_stack();
	}
}

CO_TEST(can_live_on_the_stack_of_who_waits)
{
	run_crew(wait_for_parts, 4, 0);
}

CO_TEST(can_live_on_the_stack_of_a_thread_that_waits)
{
	run_crew(wait_for_parts, 1, 2);
}

/* ---- misuse ------------------------------------------------------------------------------------------------------------------ */

CO_TEST_ABORTS(one_done_too_many, "wait group")
{
	struct weft_waitgroup group = WEFT_WAITGROUP_INIT;
	weft_waitgroup_add(&group, 1);
	weft_waitgroup_done(&group);
	weft_waitgroup_done(&group);
}

TEST_ABORTS(a_negative_count, "wait group")
{
	struct weft_waitgroup group = WEFT_WAITGROUP_INIT;
	weft_waitgroup_add(&group, 1);
	weft_waitgroup_add(&group, -2);
}

TEST_ABORTS(too_high_a_count, "wait group")
{
	struct weft_waitgroup group = WEFT_WAITGROUP_INIT;
	weft_waitgroup_add(&group, INT_MAX);
	weft_waitgroup_add(&group, 1);
}
