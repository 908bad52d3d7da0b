/* The mutex: exclusion, bounded unfairness, deadlines and cancel against hand-over, freeing at once, misuse. */
#include "sync_util.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "sync.h"

static unsigned state_of(const struct weft_mutex *mutex)
{
	return wf_u32_load(&((const struct wf_mutex *)(const void *)mutex)->state);
}

static int lock_it(void *arg)
{
	weft_mutex_lock(arg);
	return 0;
}

/* ---- one at a time ---------------------------------------------------------------------------------------------------- */

TEST(is_a_small_value)
{
	static struct weft_mutex zero, init = WEFT_MUTEX_INIT;
	CHECK_EQ(sizeof zero, 32);
	CHECK_MEM(&zero, &init, sizeof zero);
}

TEST(works_without_a_runtime)
{
	struct weft_mutex mutex = WEFT_MUTEX_INIT;
	weft_mutex_lock(&mutex);
	CHECK(!weft_mutex_trylock(&mutex));
	CHECK_RESULT(weft_mutex_lock_until(&mutex, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_mutex_lock_until(&mutex, weft_after(WEFT_MS(1))), -ETIMEDOUT);
	weft_mutex_unlock(&mutex);
	CHECK(weft_mutex_trylock(&mutex));
	weft_mutex_unlock(&mutex);
	CHECK_RESULT(weft_mutex_lock_until(&mutex, WEFT_NOW), 0);
	weft_mutex_unlock(&mutex);
	CHECK_RESULT(weft_mutex_lock_until(&mutex, weft_now() - WEFT_SEC(1)), 0);
	weft_mutex_unlock(&mutex);
	CHECK_EQ(state_of(&mutex), 0);
}

CO_TEST(is_locked_once)
{
	struct weft_mutex mutex = WEFT_MUTEX_INIT;
	weft_mutex_lock(&mutex);
	CHECK(!weft_mutex_trylock(&mutex));
	CHECK_RESULT(weft_mutex_lock_until(&mutex, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_mutex_lock_until(&mutex, weft_after(WEFT_MS(1))), -ETIMEDOUT);
	CHECK_RESULT(weft_mutex_lock_until(&mutex, weft_now() - 1), -ETIMEDOUT);
	CHECK_EQ(state_of(&mutex), WF_MUTEX_LOCKED);
	weft_mutex_unlock(&mutex);
	CHECK_EQ(state_of(&mutex), 0);
}

CO_TEST(another_may_unlock)
{
	struct weft_mutex mutex = WEFT_MUTEX_INIT;
	join_co(spawn_co(NULL, lock_it, &mutex));
	struct weft_co *co = spawn_co(NULL, lock_it, &mutex);
	await_parked(co, WF_WHY_MUTEX);
	weft_mutex_unlock(&mutex);
	join_co(co);
	weft_mutex_unlock(&mutex);
	CHECK_EQ(state_of(&mutex), 0);
}

static struct {
	struct weft_mutex mutex;
	int order[16];
	int n;
} in_order;

static int note_order(void *arg)
{
	weft_mutex_lock(&in_order.mutex);
	in_order.order[in_order.n++] = *(int *)arg;
	weft_mutex_unlock(&in_order.mutex);
	return 0;
}

CO_TEST(lets_in_first_come_first)
{
	struct weft_co *co[16];
	int index[16];
	weft_mutex_lock(&in_order.mutex);
	for (int i = 0; i < 16; i++) {
		index[i] = i;
		co[i] = spawn_co(NULL, note_order, &index[i]);
		await_parked(co[i], WF_WHY_MUTEX);
	}
	weft_mutex_unlock(&in_order.mutex);
	for (int i = 0; i < 16; i++)
		join_co(co[i]);
	for (int i = 0; i < 16; i++)
		CHECK_EQ(in_order.order[i], i);
}

/* ---- exclusion -------------------------------------------------------------------------------------------------------- */

static struct {
	struct weft_mutex mutex;
	struct exclusive x;
	long expected;
} shared;

static void add_one(struct member *me, unsigned yield_once_in)
{
	enter_exclusive(&shared.x);
	yield_sometimes(me, yield_once_in);
	leave_exclusive(&shared.x);
}

static void lock_often(struct member *me)
{
	for (int i = 0; i < test_scaled(200000); i++) {
		weft_mutex_lock(&shared.mutex);
		add_one(me, 1000);
		weft_mutex_unlock(&shared.mutex);
	}
}

CO_TEST(excludes_coroutines)
{
	run_crew(lock_often, 8, 0);
	CHECK_EQ(shared.x.count, 8L * test_scaled(200000));
	CHECK_EQ(state_of(&shared.mutex), 0);
}

static void lock_with_threads(struct member *me)
{
	for (int i = 0; i < test_scaled(10000); i++) {
		weft_mutex_lock(&shared.mutex);
		add_one(me, 50);
		weft_mutex_unlock(&shared.mutex);
		yield_sometimes(me, 50);
	}
}

CO_TEST(excludes_coroutines_and_threads)
{
	run_crew(lock_with_threads, 8, 8);
	CHECK_EQ(shared.x.count, 16L * test_scaled(10000));
	CHECK_EQ(state_of(&shared.mutex), 0);
}

TEST(excludes_threads_without_a_runtime)
{
	run_crew(lock_with_threads, 0, 8);
	CHECK_EQ(shared.x.count, 8L * test_scaled(10000));
	CHECK_EQ(state_of(&shared.mutex), 0);
}

static void try_often(struct member *me)
{
	for (int got = 0; got < test_scaled(20000);) {
		if (weft_mutex_trylock(&shared.mutex)) {
			add_one(me, 10);
			weft_mutex_unlock(&shared.mutex);
			got++;
		} else {
			weft_yield();
		}
	}
}

CO_TEST(tries_exclude)
{
	run_crew(try_often, 6, 2);
	CHECK_EQ(shared.x.count, 8L * test_scaled(20000));
	CHECK_EQ(state_of(&shared.mutex), 0);
}

/* Two that meet before each round, and lock at the same time: a wake-up that is lost stops them, for nobody else comes by. */
static struct {
	struct weft_mutex mutex;
	struct exclusive x;
	atomic_long arrived;
} meeting;

static void meet_and_lock(struct member *me)
{
	for (long i = 1; i <= test_scaled(50000); i++) {
		atomic_fetch_add(&meeting.arrived, 1);
		for (int spins = 0; atomic_load(&meeting.arrived) < 2 * i; spins++)
			if (spins % 1024 == 1023)
				weft_yield();
		for (uint64_t k = random_below(&me->random, 16); k > 0; k--)
			atomic_load(&meeting.arrived);
		weft_mutex_lock(&meeting.mutex);
		enter_exclusive(&meeting.x);
		leave_exclusive(&meeting.x);
		weft_mutex_unlock(&meeting.mutex);
	}
}

CO_TEST(two_coroutines_lose_no_wake_up)
{
	run_crew(meet_and_lock, 2, 0);
	CHECK_EQ(meeting.x.count, 2L * test_scaled(50000));
}

TEST(two_threads_lose_no_wake_up)
{
	run_crew(meet_and_lock, 0, 2);
	CHECK_EQ(meeting.x.count, 2L * test_scaled(50000));
}

/* ---- fairness --------------------------------------------------------------------------------------------------------- *
 *
 * A hog that unlocks only to lock again. It counts its rounds; between two rounds of somebody else there must be few of them. */

enum { TURNS = 10 };

static struct {
	struct weft_mutex mutex;
	atomic_bool stop;
	atomic_long rounds;
	int64_t hold_ns;
} hog;

/* Without a pause, and without giving the processor up while it holds the mutex. */
static int hog_without_pause(void *arg)
{
	(void)arg;
	while (!atomic_load(&hog.stop)) {
		weft_mutex_lock(&hog.mutex);
		atomic_fetch_add(&hog.rounds, 1);
		weft_mutex_unlock(&hog.mutex);
	}
	return 0;
}

/* Lets others run, but only while it holds the mutex: they always find it locked. */
static int hog_by_yields(void *arg)
{
	(void)arg;
	while (!atomic_load(&hog.stop)) {
		weft_mutex_lock(&hog.mutex);
		atomic_fetch_add(&hog.rounds, 1);
		weft_time until = weft_after(hog.hold_ns);
		do
			weft_yield();
		while (weft_now() < until);
		weft_mutex_unlock(&hog.mutex);
	}
	return 0;
}

/* The median of TURNS: a thread that loses its CPU makes a turn long now and then. */
static int compare_longs(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;
	return (x > y) - (x < y);
}

static long usual_wait(void)
{
	long waits[TURNS];
	for (int i = 0; i < TURNS; i++) {
		long before = atomic_load(&hog.rounds);
		EVENTUALLY(atomic_load(&hog.rounds) > before);
		before = atomic_load(&hog.rounds);
		weft_mutex_lock(&hog.mutex);
		waits[i] = atomic_load(&hog.rounds) - before;
		weft_mutex_unlock(&hog.mutex);
	}
	qsort(waits, TURNS, sizeof waits[0], compare_longs);
	return waits[TURNS / 2];
}

/* A loop of locks and unlocks lets others run when its budget is spent, not only when the monitor comes. */
CO_TEST(a_budget_bounds_a_hog)
{
	if (weft_maxprocs() > 1)
		SKIP("for one processor");
	struct weft_co *co = spawn_co(NULL, hog_without_pause, NULL);
	long least = LONG_MAX;
	for (int i = 0; i < TURNS; i++) {
		long before = atomic_load(&hog.rounds);
		weft_yield();
		long rounds = atomic_load(&hog.rounds) - before;
		least = rounds < least ? rounds : least;
	}
	atomic_store(&hog.stop, true);
	join_co(co);
	CHECK_LE(least, 2 * WF_BUDGET);
}

/* A round takes 0.2 ms or more, so after 6 of them whoever waits has waited for 1 ms. It gets the mutex two unlocks later at
 * most. */
CO_TEST(the_starving_are_handed_the_mutex)
{
	hog.hold_ns = WEFT_US(200);
	struct weft_co *co = spawn_co(NULL, hog_by_yields, NULL);
	long usual = usual_wait();
	atomic_store(&hog.stop, true);
	join_co(co);
	CHECK_LE(usual, 16);
	CHECK_EQ(state_of(&hog.mutex), 0);
}

static int take_turns(void *arg)
{
	(void)arg;
	usual_wait();
	return 0;
}

/* At first they let each other starve, later they hurry. Hand-over must have ended then, or each lock would be a switch. */
static void starve_then_hurry(struct member *me)
{
	for (int i = 0; i < test_scaled(20000); i++) {
		weft_mutex_lock(&hog.mutex);
		weft_time until = i < 4 ? weft_after(WEFT_MS(1)) : WEFT_NOW;
		do
			yield_sometimes(me, i < 4 ? 1 : 64);
		while (weft_now() < until);
		weft_mutex_unlock(&hog.mutex);
	}
}

CO_TEST(hand_over_ends)
{
	enum { N = 4 };
	run_crew(starve_then_hurry, N, 0);
	CHECK_LT(stats_now().parks, (uint64_t)N * (uint64_t)test_scaled(20000) / 4 + 1000);
	CHECK_EQ(state_of(&hog.mutex), 0);
}

/* Who was woken in vain stays the first. */
CO_TEST(who_loses_keeps_its_place)
{
	int index[2] = {0, 1};
	struct weft_co *co[2];
	weft_mutex_lock(&in_order.mutex);
	for (int i = 0; i < 2; i++) {
		co[i] = spawn_co(NULL, note_order, &index[i]);
		await_parked(co[i], WF_WHY_MUTEX);
	}
	for (int i = 0; i < 3 && in_order.n == 0; i++) {
		weft_mutex_unlock(&in_order.mutex);
		weft_mutex_lock(&in_order.mutex); /* on one processor before the one that was woken */
		for (int k = 0; k < 3; k++)
			rest();
	}
	weft_mutex_unlock(&in_order.mutex);
	for (int i = 0; i < 2; i++)
		join_co(co[i]);
	CHECK_EQ(in_order.order[0], 0);
	CHECK_EQ(in_order.order[1], 1);
}

CO_TEST(hogs_and_others_take_turns)
{
	struct weft_co *hogs[3], *others[5];
	hog.hold_ns = WEFT_US(300);
	for (int i = 0; i < 3; i++)
		hogs[i] = spawn_co(NULL, hog_by_yields, NULL);
	for (int i = 0; i < 5; i++)
		others[i] = spawn_co(NULL, take_turns, NULL);
	for (int i = 0; i < 5; i++)
		join_co(others[i]);
	atomic_store(&hog.stop, true);
	for (int i = 0; i < 3; i++)
		join_co(hogs[i]);
	CHECK_EQ(state_of(&hog.mutex), 0);
}

/* ---- deadlines and cancel --------------------------------------------------------------------------------------------- */

static int lock_for_ever(void *arg)
{
	return weft_mutex_lock_until(arg, WEFT_NEVER);
}

static int lock_for_a_moment(void *arg)
{
	return weft_mutex_lock_until(arg, weft_after(WEFT_MS(2)));
}

CO_TEST(a_cancelled_wait_ends)
{
	struct weft_mutex mutex = WEFT_MUTEX_INIT;
	weft_mutex_lock(&mutex);
	struct weft_co *co = spawn_co(NULL, lock_for_ever, &mutex);
	await_parked(co, WF_WHY_MUTEX);
	CHECK_RESULT(weft_cancel(co), 0);
	CHECK_RESULT(join_co(co), -ECANCELED);
	CHECK_EQ(state_of(&mutex), WF_MUTEX_LOCKED);
	weft_mutex_unlock(&mutex);
	CHECK_EQ(state_of(&mutex), 0);
}

static int lock_when_cancelled(void *arg)
{
	while (weft_cancelled() == 0)
		weft_yield();
	CHECK_RESULT(weft_mutex_lock_until(arg, WEFT_NEVER), -ECANCELED);
	CHECK_RESULT(weft_mutex_lock_until(arg, WEFT_NOW), -ECANCELED);
	CHECK_EQ(state_of(arg), 0);
	weft_mutex_lock(arg);
	weft_mutex_unlock(arg);
	CHECK(weft_mutex_trylock(arg));
	weft_mutex_unlock(arg);
	return 0;
}

CO_TEST(who_is_cancelled_takes_nothing_but_by_plain_locks)
{
	struct weft_mutex mutex = WEFT_MUTEX_INIT;
	struct weft_co *co = spawn_co(NULL, lock_when_cancelled, &mutex);
	CHECK_RESULT(weft_cancel(co), 0);
	join_co(co);
}

CO_TEST(a_plain_lock_waits_on)
{
	struct weft_mutex mutex = WEFT_MUTEX_INIT;
	weft_mutex_lock(&mutex);
	struct weft_co *co = spawn_co(NULL, lock_it, &mutex);
	await_parked(co, WF_WHY_MUTEX);
	CHECK_RESULT(weft_cancel(co), 0);
	for (int i = 0; i < 20; i++)
		rest();
	await_parked(co, WF_WHY_MUTEX);
	weft_mutex_unlock(&mutex);
	join_co(co);
	CHECK_EQ(state_of(&mutex), WF_MUTEX_LOCKED);
}

/* The one in the middle leaves; the others keep their places. */
CO_TEST(who_gives_up_leaves_the_queue)
{
	struct weft_mutex mutex = WEFT_MUTEX_INIT;
	weft_mutex_lock(&mutex);
	struct weft_co *first = spawn_co(NULL, lock_it, &mutex);
	await_parked(first, WF_WHY_MUTEX);
	struct weft_co *middle = spawn_co(NULL, lock_for_a_moment, &mutex);
	struct weft_co *last = NULL;
	CHECK_RESULT(join_co(middle), -ETIMEDOUT);
	last = spawn_co(NULL, lock_it, &mutex);
	await_parked(last, WF_WHY_MUTEX);
	weft_mutex_unlock(&mutex);
	join_co(first);
	weft_mutex_unlock(&mutex);
	join_co(last);
	weft_mutex_unlock(&mutex);
	CHECK_EQ(state_of(&mutex), 0);
}

/* Waits that end in every way at about the time of an unlock: the mutex is neither lost nor had twice. */
static bool lock_or_give_up(struct member *me)
{
	while (me->done < test_scaled(20000)) {
		int result = 0;
		if (random_below(&me->random, 4) == 0)
			weft_mutex_lock(&shared.mutex);
		else
			result = weft_mutex_lock_until(&shared.mutex, deadline_soon(me, 20000));
		if (result == -ECANCELED)
			return false;
		if (result == 0) {
			add_one(me, 4);
			weft_mutex_unlock(&shared.mutex);
		} else {
			CHECK_RESULT(result, -ETIMEDOUT);
		}
		me->done++;
		yield_sometimes(me, 8);
	}
	return true;
}

CO_TEST(giving_up_races_with_unlocking)
{
	run_crew_cancelling(lock_or_give_up, 12, 0);
	CHECK_EQ(state_of(&shared.mutex), 0);
}

CO_TEST(giving_up_races_with_unlocking_on_threads_too)
{
	run_crew_cancelling(lock_or_give_up, 6, 3);
	CHECK_EQ(state_of(&shared.mutex), 0);
}

/* The same while somebody starves all the time. */
static bool lock_or_give_up_starving(struct member *me)
{
	while (me->done < test_scaled(300)) {
		int result = weft_mutex_lock_until(&shared.mutex, deadline_soon(me, 4000000));
		if (result == -ECANCELED)
			return false;
		if (result == 0) {
			enter_exclusive(&shared.x);
			weft_time until = weft_after(WEFT_US(random_below(&me->random, 100)));
			do
				weft_yield();
			while (weft_now() < until);
			leave_exclusive(&shared.x);
			weft_mutex_unlock(&shared.mutex);
		}
		me->done++;
	}
	return true;
}

CO_TEST(giving_up_races_with_handing_over)
{
	run_crew_cancelling(lock_or_give_up_starving, 40, 0);
	CHECK_EQ(state_of(&shared.mutex), 0);
}

/* ---- freed at once ----------------------------------------------------------------------------------------------------- */

struct block {
	struct weft_mutex mutex;
	int users;
};

static struct block *_Atomic current[4];

/* Whoever finds itself to be the last user frees the block with its mutex, though the unlocks before may not have returned. */
static void use_and_free(struct member *me)
{
	for (int i = 0; i < test_scaled(40000); i++) {
		struct block *block = take_block(sizeof *block);
		block->users = 2;
		struct block *other = atomic_exchange(&current[random_below(&me->random, 4)], block);
		for (struct block *b = block; b; b = b == block ? other : NULL) {
			while (weft_mutex_lock_until(&b->mutex, deadline_soon(me, 4000)) != 0)
				;
			yield_sometimes(me, 16);
			bool last = --b->users == 0;
			weft_mutex_unlock(&b->mutex);
			if (last)
				free_block(b);
		}
	}
}

static void free_the_rest(void)
{
	for (int i = 0; i < 4; i++)
		if (current[i])
			free_block(current[i]);
	check_freed_blocks();
}

CO_TEST(can_be_freed_by_the_next_owner)
{
	run_crew(use_and_free, 8, 0);
	free_the_rest();
}

CO_TEST(can_be_freed_by_the_next_owner_on_any_thread)
{
	run_crew(use_and_free, 4, 4);
	free_the_rest();
}

struct on_stack {
	struct weft_mutex mutex;
	bool done;
};

static int finish_under_lock(void *arg)
{
	struct on_stack *job = arg;
	weft_mutex_lock(&job->mutex);
	job->done = true;
	weft_mutex_unlock(&job->mutex);
	return 0;
}

static WF_NOINLINE void wait_on_own_stack(void)
{
	struct on_stack job = {WEFT_MUTEX_INIT, false};
	bool done = false;
	CHECK_RESULT(weft_go(finish_under_lock, &job), 0);
	while (!done) {
		weft_mutex_lock(&job.mutex);
		done = job.done;
		weft_mutex_unlock(&job.mutex);
		if (!done)
			weft_yield();
	}
}

static WF_NOINLINE void overwrite_stack(void)
{
	volatile char bytes[512];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = 0x5a;
	for (size_t i = 0; i < sizeof bytes; i++)
		CHECK_EQ(bytes[i], 0x5a);
}

CO_TEST(can_live_on_the_stack_of_who_waits)
{
	for (int i = 0; i < test_scaled(200000); i++) {
		wait_on_own_stack();
		overwrite_stack();
	}
}

/* ---- misuse ------------------------------------------------------------------------------------------------------------- */

CO_TEST_ABORTS(unlocking_what_is_not_locked, "which is not locked")
{
	struct weft_mutex mutex = WEFT_MUTEX_INIT;
	weft_mutex_unlock(&mutex);
}

TEST_ABORTS(unlocking_twice, "which is not locked")
{
	struct weft_mutex mutex = WEFT_MUTEX_INIT;
	weft_mutex_lock(&mutex);
	weft_mutex_unlock(&mutex);
	weft_mutex_unlock(&mutex);
}
