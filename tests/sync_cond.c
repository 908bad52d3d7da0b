/* Conditions: who is woken, in which order, by what; deadlines and cancel against signals; freeing at once. */
#include "sync_util.h"

#include <errno.h>

#include "sync.h"

static struct {
	struct weft_mutex mutex;
	struct weft_cond cond;
	int woken[64]; /* in order */
	int n;
	int result;
} one;

static int wait_once(void *arg)
{
	weft_mutex_lock(&one.mutex);
	int result = weft_cond_wait(&one.cond, &one.mutex);
	CHECK(!weft_mutex_trylock(&one.mutex));
	one.woken[one.n++] = arg ? *(int *)arg : 0;
	weft_mutex_unlock(&one.mutex);
	return result;
}

static int numbers[64];

/* They begin to wait in order. */
static void start_waiters(struct weft_co **co, int n)
{
	for (int i = 0; i < n; i++) {
		numbers[i] = i;
		co[i] = spawn_co(NULL, wait_once, &numbers[i]);
		await_parked(co[i], WF_WHY_COND);
	}
}

static int woken_now(void)
{
	weft_mutex_lock(&one.mutex);
	int n = one.n;
	weft_mutex_unlock(&one.mutex);
	return n;
}

TEST(is_a_small_value)
{
	static struct weft_cond zero, init = WEFT_COND_INIT;
	CHECK_EQ(sizeof zero, 32);
	CHECK_MEM(&zero, &init, sizeof zero);
}

/* ---- who is woken ------------------------------------------------------------------------------------------------------ */

CO_TEST(a_signal_for_nobody_is_gone)
{
	weft_cond_signal(&one.cond);
	weft_cond_broadcast(&one.cond);
	weft_mutex_lock(&one.mutex);
	CHECK_RESULT(weft_cond_wait_until(&one.cond, &one.mutex, weft_after(WEFT_MS(2))), -ETIMEDOUT);
	CHECK(!weft_mutex_trylock(&one.mutex));
	weft_mutex_unlock(&one.mutex);
}

CO_TEST(a_signal_wakes_the_oldest)
{
	enum { N = 16 };
	struct weft_co *co[N];
	start_waiters(co, N);
	for (int i = 0; i < N; i++) {
		weft_cond_signal(&one.cond);
		CHECK_RESULT(join_co(co[i]), 0);
		CHECK_EQ(one.n, i + 1);
		CHECK_EQ(one.woken[i], i);
	}
}

/* No more are woken than there were signals. */
CO_TEST(nobody_is_woken_without_a_signal)
{
	enum { N = 12, SIGNALS = 5 };
	struct weft_co *co[N];
	start_waiters(co, N);
	weft_mutex_lock(&one.mutex);
	for (int i = 0; i < SIGNALS; i++)
		weft_cond_signal(&one.cond);
	weft_mutex_unlock(&one.mutex);
	for (int i = 0; i < SIGNALS; i++)
		join_co(co[i]);
	for (int i = 0; i < 10; i++)
		rest();
	CHECK_EQ(woken_now(), SIGNALS);
	for (int i = SIGNALS; i < N; i++)
		await_parked(co[i], WF_WHY_COND);
	weft_cond_broadcast(&one.cond);
	for (int i = SIGNALS; i < N; i++)
		CHECK_RESULT(join_co(co[i]), 0);
}

CO_TEST(a_broadcast_wakes_all_in_order)
{
	enum { N = 32 };
	struct weft_co *co[N];
	start_waiters(co, N);
	weft_mutex_lock(&one.mutex);
	weft_cond_broadcast(&one.cond);
	CHECK_EQ(one.n, 0);
	weft_mutex_unlock(&one.mutex);
	for (int i = 0; i < N; i++)
		CHECK_RESULT(join_co(co[i]), 0);
	for (int i = 0; i < N; i++)
		CHECK_EQ(one.woken[i], i);
}

/* The mutex is free, so nobody's unlock will wake the first one. */
CO_TEST(a_broadcast_without_the_mutex_wakes_all)
{
	enum { N = 32 };
	struct weft_co *co[N];
	start_waiters(co, N);
	weft_cond_broadcast(&one.cond);
	for (int i = 0; i < N; i++)
		CHECK_RESULT(join_co(co[i]), 0);
}

/* Who began to wait after the signal is not woken by it, though it waits when the one who was signalled has not run yet. */
CO_TEST(a_signal_is_not_stolen_by_newcomers)
{
	for (int i = 0; i < test_scaled(500); i++) {
		struct weft_co *old, *young;
		one.n = 0;
		start_waiters(&old, 1);
		weft_mutex_lock(&one.mutex);
		weft_cond_signal(&one.cond); /* it can't go on yet: the mutex is ours */
		young = spawn_co(NULL, wait_once, &numbers[1]);
		await_parked(young, WF_WHY_MUTEX);
		weft_mutex_unlock(&one.mutex);
		CHECK_RESULT(join_co(old), 0);
		await_parked(young, WF_WHY_COND);
		CHECK_EQ(one.n, 1);
		weft_cond_broadcast(&one.cond);
		CHECK_RESULT(join_co(young), 0);
	}
}

/* One by one each lets the next go, again and again: a wake-up too many or too few, or for the wrong one, stops the chain. */
static struct {
	struct weft_mutex mutex;
	struct weft_cond cond;
	int next, n;
	long steps;
} chain;

static void pass_along(struct member *me)
{
	weft_mutex_lock(&chain.mutex);
	for (int i = 0; i < test_scaled(5000); i++) {
		while (chain.next != me->index)
			CHECK_RESULT(weft_cond_wait(&chain.cond, &chain.mutex), 0);
		chain.next = (me->index + 1) % chain.n;
		chain.steps++;
		weft_cond_broadcast(&chain.cond);
	}
	weft_mutex_unlock(&chain.mutex);
}

CO_TEST(broadcasts_pass_the_turn)
{
	chain.n = 6;
	run_crew(pass_along, 6, 0);
	CHECK_EQ(chain.steps, 6L * test_scaled(5000));
}

CO_TEST(broadcasts_pass_the_turn_among_threads_too)
{
	chain.n = 4;
	run_crew(pass_along, 2, 2);
	CHECK_EQ(chain.steps, 4L * test_scaled(5000));
}

/* ---- two that take turns ---------------------------------------------------------------------------------------------- */

static struct {
	struct weft_mutex mutex;
	struct weft_cond cond[2];
	int turn;
	struct exclusive x;
} turns;

static void take_turns(struct member *me)
{
	int mine = me->index;
	weft_mutex_lock(&turns.mutex);
	for (int i = 0; i < test_scaled(300000); i++) {
		while (turns.turn != mine)
			CHECK_RESULT(weft_cond_wait(&turns.cond[mine], &turns.mutex), 0);
		enter_exclusive(&turns.x);
		turns.turn = !mine;
		leave_exclusive(&turns.x);
		weft_cond_signal(&turns.cond[!mine]);
	}
	weft_mutex_unlock(&turns.mutex);
}

CO_TEST(two_take_turns)
{
	run_crew(take_turns, 2, 0);
	CHECK_EQ(turns.x.count, 2L * test_scaled(300000));
}

static void take_turns_slowly(struct member *me)
{
	int mine = me->index;
	for (int i = 0; i < test_scaled(10000); i++) {
		weft_mutex_lock(&turns.mutex);
		while (turns.turn != mine)
			CHECK_RESULT(weft_cond_wait(&turns.cond[mine], &turns.mutex), 0);
		enter_exclusive(&turns.x);
		turns.turn = !mine;
		leave_exclusive(&turns.x);
		weft_cond_signal(&turns.cond[!mine]);
		weft_mutex_unlock(&turns.mutex);
	}
}

CO_TEST(a_coroutine_and_a_thread_take_turns)
{
	run_crew(take_turns_slowly, 1, 1);
	CHECK_EQ(turns.x.count, 2L * test_scaled(10000));
}

TEST(two_threads_take_turns_without_a_runtime)
{
	run_crew(take_turns_slowly, 0, 2);
	CHECK_EQ(turns.x.count, 2L * test_scaled(10000));
}

/* ---- a queue that fills and empties ------------------------------------------------------------------------------------ */

enum { ROOM = 4 };

static struct {
	struct weft_mutex mutex;
	struct weft_cond filled, emptied;
	int items, produced, consumed, total;
	struct exclusive x;
} store;

/* Deadlines and cancel come and go; a signal must not be lost with whoever gave up, or somebody waits for ever. */
static int wait_for(struct member *me, struct weft_cond *cond)
{
	if (random_below(&me->random, 3))
		return weft_cond_wait(cond, &store.mutex);
	return weft_cond_wait_until(cond, &store.mutex, deadline_soon(me, 30000));
}

static bool move_items(struct member *me)
{
	bool produces = me->index % 2;
	int *moved = produces ? &store.produced : &store.consumed, full = produces ? ROOM : 0, result = 0;
	weft_mutex_lock(&store.mutex);
	while (*moved < store.total) {
		if (store.items == full) {
			result = wait_for(me, produces ? &store.emptied : &store.filled);
			CHECK(!weft_mutex_trylock(&store.mutex));
			if (result == -ECANCELED)
				break;
			CHECK(result == 0 || result == -ETIMEDOUT);
			continue;
		}
		enter_exclusive(&store.x);
		store.items += produces ? 1 : -1;
		++*moved;
		leave_exclusive(&store.x);
		weft_cond_signal(produces ? &store.filled : &store.emptied);
		if (random_below(&me->random, 4) == 0) {
			weft_mutex_unlock(&store.mutex);
			yield_sometimes(me, 2);
			weft_mutex_lock(&store.mutex);
		}
	}
	weft_cond_broadcast(&store.filled);
	weft_cond_broadcast(&store.emptied);
	weft_mutex_unlock(&store.mutex);
	return result != -ECANCELED;
}

CO_TEST(no_signal_is_lost_with_who_gave_up)
{
	store.total = test_scaled(200000);
	run_crew_cancelling(move_items, 8, 0);
	CHECK_EQ(store.produced, store.total);
	CHECK_EQ(store.consumed, store.total);
}

CO_TEST(no_signal_is_lost_with_who_gave_up_among_threads_too)
{
	store.total = test_scaled(40000);
	run_crew_cancelling(move_items, 4, 4);
	CHECK_EQ(store.produced, store.total);
	CHECK_EQ(store.consumed, store.total);
}

/* The first one is cancelled already, but has not run and is in the queue still. */
CO_TEST(a_signal_goes_to_one_that_still_waits)
{
	for (int i = 0; i < test_scaled(200); i++) {
		struct weft_co *co[2];
		one.n = 0;
		start_waiters(co, 2);
		CHECK_RESULT(weft_cancel(co[0]), 0);
		weft_cond_signal(&one.cond);
		CHECK_RESULT(join_co(co[1]), 0);
		CHECK_RESULT(join_co(co[0]), -ECANCELED);
	}
}

/* ---- deadlines and cancel --------------------------------------------------------------------------------------------- */

CO_TEST(a_deadline_ends_a_wait)
{
	weft_mutex_lock(&one.mutex);
	CHECK_RESULT(weft_cond_wait_until(&one.cond, &one.mutex, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_cond_wait_until(&one.cond, &one.mutex, weft_now() - 1), -ETIMEDOUT);
	CHECK_RESULT(weft_cond_wait_until(&one.cond, &one.mutex, weft_after(WEFT_MS(1))), -ETIMEDOUT);
	CHECK(!weft_mutex_trylock(&one.mutex));
	weft_mutex_unlock(&one.mutex);
}

CO_TEST(a_cancel_ends_a_wait_with_the_mutex_locked)
{
	struct weft_co *co;
	start_waiters(&co, 1);
	weft_mutex_lock(&one.mutex);
	CHECK_RESULT(weft_cancel(co), 0);
	await_parked(co, WF_WHY_MUTEX); /* locking again is no point of cancellation */
	weft_mutex_unlock(&one.mutex);
	CHECK_RESULT(join_co(co), -ECANCELED);
	weft_cond_signal(&one.cond);
}

static atomic_bool other_had_it;

static int wait_when_cancelled(void *arg)
{
	weft_mutex_lock(&one.mutex);
	atomic_store((atomic_bool *)arg, true);
	while (weft_cancelled() == 0)
		weft_yield();
	CHECK_RESULT(weft_cond_wait(&one.cond, &one.mutex), -ECANCELED);
	CHECK(!atomic_load(&other_had_it)); /* it was not unlocked either: who waits for it was not woken */
	weft_mutex_unlock(&one.mutex);
	return 0;
}

static int lock_once(void *arg)
{
	(void)arg;
	weft_mutex_lock(&one.mutex);
	atomic_store(&other_had_it, true);
	weft_mutex_unlock(&one.mutex);
	return 0;
}

CO_TEST(who_is_cancelled_does_not_wait)
{
	atomic_bool locked = false;
	struct weft_co *co = spawn_co(NULL, wait_when_cancelled, &locked);
	EVENTUALLY(atomic_load(&locked));
	struct weft_co *other = spawn_co(NULL, lock_once, NULL);
	await_parked(other, WF_WHY_MUTEX);
	CHECK_RESULT(weft_cancel(co), 0);
	join_co(co);
	join_co(other);
}

/* Signalled and cancelled before it could go on: the signal came first. */
CO_TEST(a_signal_that_came_first_is_success)
{
	struct weft_co *co;
	start_waiters(&co, 1);
	weft_mutex_lock(&one.mutex);
	weft_cond_signal(&one.cond);
	CHECK_RESULT(weft_cancel(co), 0);
	weft_mutex_unlock(&one.mutex);
	CHECK_RESULT(join_co(co), 0);
}

/* The same when a broadcast has moved it to the queue of the mutex. */
CO_TEST(a_broadcast_that_came_first_is_success)
{
	enum { N = 3 };
	struct weft_co *co[N];
	start_waiters(co, N);
	weft_mutex_lock(&one.mutex);
	weft_cond_broadcast(&one.cond);
	for (int i = 0; i < N; i++)
		CHECK_RESULT(weft_cancel(co[i]), 0);
	weft_mutex_unlock(&one.mutex);
	for (int i = 0; i < N; i++)
		CHECK_RESULT(join_co(co[i]), 0);
	for (int i = 0; i < N; i++)
		CHECK_EQ(one.woken[i], i);
}

/* ---- two pairs ------------------------------------------------------------------------------------------------------------ *
 *
 * Whoever signals and then waits itself may hand its mutex to the one that it has signalled; not if that one waits with another
 * mutex. */
static struct {
	struct weft_mutex mutex[2];
	struct weft_cond cond[2];
	bool called[2];
} pairs;

/* Signals the other one, which waits with the other mutex, and waits with its own. */
static void call_each_other(struct member *me)
{
	int mine = me->index, other = !mine;
	for (int i = 0; i < test_scaled(100000); i++) {
		if (i > 0 || mine == 1) {
			weft_mutex_lock(&pairs.mutex[mine]);
			while (!pairs.called[mine])
				CHECK_RESULT(weft_cond_wait(&pairs.cond[mine], &pairs.mutex[mine]), 0);
			pairs.called[mine] = false;
			weft_mutex_unlock(&pairs.mutex[mine]);
		}
		weft_mutex_lock(&pairs.mutex[mine]);
		weft_mutex_lock(&pairs.mutex[other]);
		pairs.called[other] = true;
		weft_cond_signal(&pairs.cond[other]);
		weft_mutex_unlock(&pairs.mutex[other]);
		if (random_below(&me->random, 2)) {
			int result = weft_cond_wait_until(&pairs.cond[mine], &pairs.mutex[mine], WEFT_NOW);
			CHECK_RESULT(result, result == 0 && pairs.called[mine] ? 0 : -EAGAIN); /* the other one can be that fast */
		}
		weft_mutex_unlock(&pairs.mutex[mine]);
	}
}

CO_TEST(a_mutex_is_handed_to_who_wants_it)
{
	run_crew(call_each_other, 2, 0);
}

/* ---- waiters with different mutexes -------------------------------------------------------------------------------------- */

static struct {
	struct weft_cond cond;
	struct weft_mutex mutex[3];
	long count[3];
} several;

static int wait_with_own_mutex(void *arg)
{
	int i = *(int *)arg % 3;
	weft_mutex_lock(&several.mutex[i]);
	CHECK_RESULT(weft_cond_wait(&several.cond, &several.mutex[i]), 0);
	several.count[i]++;
	weft_mutex_unlock(&several.mutex[i]);
	return 0;
}

CO_TEST(each_gets_its_own_mutex_back)
{
	enum { N = 12 };
	struct weft_co *co[N];
	for (int i = 0; i < N; i++) {
		numbers[i] = i;
		co[i] = spawn_co(NULL, wait_with_own_mutex, &numbers[i]);
		await_parked(co[i], WF_WHY_COND);
	}
	weft_mutex_lock(&several.mutex[1]);
	weft_cond_broadcast(&several.cond);
	for (int i = 0; i < N; i++)
		if (i % 3 != 1)
			join_co(co[i]);
	CHECK_EQ(several.count[1], 0);
	weft_mutex_unlock(&several.mutex[1]);
	for (int i = 1; i < N; i += 3)
		join_co(co[i]);
}

/* ---- freed at once ------------------------------------------------------------------------------------------------------- */

struct job {
	struct weft_mutex mutex;
	struct weft_cond cond;
	bool done, broadcast;
};

static int finish_job(void *arg)
{
	struct job *job = arg;
	weft_mutex_lock(&job->mutex);
	job->done = true;
	(job->broadcast ? weft_cond_broadcast : weft_cond_signal)(&job->cond);
	weft_mutex_unlock(&job->mutex);
	return 0;
}

static WF_NOINLINE void wait_on_own_stack(struct member *me)
{
	struct job job = {.done = false, .broadcast = me->random % 2};
	weft_mutex_lock(&job.mutex);
	CHECK_RESULT(weft_go(finish_job, &job), 0);
	while (!job.done)
		CHECK_RESULT(weft_cond_wait(&job.cond, &job.mutex), 0);
	weft_mutex_unlock(&job.mutex);
}

static WF_NOINLINE void overwrite_stack(void)
{
	volatile char bytes[768];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = 0x5a;
	for (size_t i = 0; i < sizeof bytes; i++)
		CHECK_EQ(bytes[i], 0x5a);
}

static void wait_for_jobs(struct member *me)
{
	for (int i = 0; i < test_scaled(40000); i++) {
		next_random(&me->random);
		wait_on_own_stack(me);
		overwrite_stack();
	}
}

CO_TEST(can_live_on_the_stack_of_who_waits)
{
	run_crew(wait_for_jobs, 4, 0);
}

CO_TEST(can_live_on_the_stack_of_a_thread_that_waits)
{
	run_crew(wait_for_jobs, 1, 1);
}

/* ---- misuse --------------------------------------------------------------------------------------------------------------- */

CO_TEST_ABORTS(waiting_without_the_mutex, "which is not locked")
{
	CHECK_RESULT(weft_cond_wait(&one.cond, &one.mutex), 0);
}
