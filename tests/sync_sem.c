/* Semaphores: permits are conserved, first come first served by weight, deadlines and cancel, freeing at once, misuse. */
#include "sync_util.h"

#include <errno.h>

#include "sync.h"

struct want {
	struct weft_sem *sem;
	unsigned n;
	weft_time deadline;
};

static int take(void *arg)
{
	struct want *want = arg;
	return weft_sem_wait_until(want->sem, want->n, want->deadline);
}

static struct weft_co *start_taking(struct want *want, struct weft_sem *sem, unsigned n)
{
	*want = (struct want){sem, n, WEFT_NEVER};
	struct weft_co *co = spawn_co(NULL, take, want);
	await_parked(co, WF_WHY_SEM);
	return co;
}

/* How many permits there are; nobody else uses it. */
static unsigned count(struct weft_sem *sem)
{
	unsigned n = 0;
	while (weft_sem_trywait(sem, 1) == 0)
		n++;
	weft_sem_post(sem, n);
	return n;
}

TEST(is_a_small_value)
{
	static struct weft_sem zero, init = WEFT_SEM_INIT(0);
	struct weft_sem three = WEFT_SEM_INIT(3), set;
	CHECK_EQ(sizeof zero, 48);
	CHECK_MEM(&zero, &init, sizeof zero);
	weft_sem_init(&set, 3);
	CHECK_MEM(&set, &three, sizeof set);
}

TEST(works_without_a_runtime)
{
	struct weft_sem sem = WEFT_SEM_INIT(3);
	CHECK_RESULT(weft_sem_wait(&sem, 2), 0);
	CHECK_RESULT(weft_sem_trywait(&sem, 2), -EAGAIN);
	CHECK_RESULT(weft_sem_wait_until(&sem, 2, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_sem_wait_until(&sem, 2, weft_after(WEFT_MS(1))), -ETIMEDOUT);
	weft_sem_post(&sem, 1);
	CHECK_RESULT(weft_sem_trywait(&sem, 2), 0);
	weft_sem_post(&sem, 0);
	CHECK_EQ(count(&sem), 0);
}

CO_TEST(counts)
{
	struct weft_sem sem = WEFT_SEM_INIT(0);
	struct want want;
	CHECK_RESULT(weft_sem_trywait(&sem, 1), -EAGAIN);
	CHECK_RESULT(weft_sem_trywait(&sem, 0), 0);
	struct weft_co *co = start_taking(&want, &sem, 3);
	weft_sem_post(&sem, 2);
	await_parked(co, WF_WHY_SEM);
	weft_sem_post(&sem, 2);
	CHECK_RESULT(join_co(co), 0);
	CHECK_EQ(count(&sem), 1);
}

/* ---- order --------------------------------------------------------------------------------------------------------------- */

/* A large request at the front is not overtaken, though there is enough for the small ones behind it. */
CO_TEST(small_requests_do_not_overtake)
{
	struct weft_sem sem = WEFT_SEM_INIT(2);
	struct want large, small;
	struct weft_co *first = start_taking(&large, &sem, 5), *second = start_taking(&small, &sem, 1);
	CHECK_RESULT(weft_sem_trywait(&sem, 1), -EAGAIN);
	CHECK_RESULT(weft_sem_trywait(&sem, 0), -EAGAIN);
	CHECK_RESULT(weft_sem_wait_until(&sem, 1, WEFT_NOW), -EAGAIN);
	weft_sem_post(&sem, 2);
	await_parked(first, WF_WHY_SEM);
	await_parked(second, WF_WHY_SEM);
	weft_sem_post(&sem, 1);
	CHECK_RESULT(join_co(first), 0);
	await_parked(second, WF_WHY_SEM);
	weft_sem_post(&sem, 1);
	CHECK_RESULT(join_co(second), 0);
	CHECK_EQ(count(&sem), 0);
}

/* A stream of small requests that never ends does not starve a large one. */
static struct {
	struct weft_sem sem;
	atomic_bool stop;
	atomic_long rounds;
} stream;

static int take_small(void *arg)
{
	(void)arg;
	while (!atomic_load(&stream.stop)) {
		CHECK_RESULT(weft_sem_wait(&stream.sem, 1), 0);
		atomic_fetch_add(&stream.rounds, 1);
		weft_yield();
		weft_sem_post(&stream.sem, 1);
	}
	return 0;
}

CO_TEST(a_stream_of_small_requests_starves_no_large_one)
{
	enum { N = 6 };
	struct weft_co *co[N];
	weft_sem_init(&stream.sem, 4);
	for (int i = 0; i < N; i++)
		co[i] = spawn_co(NULL, take_small, NULL);
	for (int i = 0; i < test_scaled(1000); i++) {
		struct want all = {&stream.sem, 4, WEFT_NEVER};
		struct weft_co *large = spawn_co(NULL, take, &all);
		CHECK_RESULT(join_co(large), 0);
		weft_sem_post(&stream.sem, 4);
	}
	atomic_store(&stream.stop, true);
	for (int i = 0; i < N; i++)
		join_co(co[i]);
	CHECK_EQ(count(&stream.sem), 4);
}

/* One post serves as many from the front as it can. */
CO_TEST(one_post_serves_many)
{
	enum { N = 8 };
	struct weft_sem sem = WEFT_SEM_INIT(0);
	struct want want[N];
	struct weft_co *co[N];
	for (int i = 0; i < N; i++)
		co[i] = start_taking(&want[i], &sem, (unsigned)i + 1);
	weft_sem_post(&sem, 1 + 2 + 3 + 4 + 4); /* not enough for 5 */
	for (int i = 0; i < 4; i++)
		CHECK_RESULT(join_co(co[i]), 0);
	for (int i = 4; i < N; i++)
		await_parked(co[i], WF_WHY_SEM);
	weft_sem_post(&sem, 1 + 6 + 7 + 8);
	for (int i = 4; i < N; i++)
		CHECK_RESULT(join_co(co[i]), 0);
	CHECK_EQ(count(&sem), 0);
}

/* ---- giving up ------------------------------------------------------------------------------------------------------------ */

/* The large one at the front was all that the others waited for. */
CO_TEST(who_gives_up_lets_the_others_pass)
{
	struct weft_sem sem = WEFT_SEM_INIT(3);
	struct want large, small[3];
	struct weft_co *first = start_taking(&large, &sem, 100), *co[3];
	for (int i = 0; i < 3; i++)
		co[i] = start_taking(&small[i], &sem, 1);
	CHECK_RESULT(weft_cancel(first), 0);
	CHECK_RESULT(join_co(first), -ECANCELED);
	for (int i = 0; i < 3; i++)
		CHECK_RESULT(join_co(co[i]), 0);
	weft_sem_post(&sem, 1);
	large.deadline = weft_after(WEFT_MS(2));
	first = spawn_co(NULL, take, &large);
	CHECK_RESULT(join_co(first), -ETIMEDOUT);
	CHECK_EQ(count(&sem), 1);
}

static int take_when_cancelled(void *arg)
{
	while (weft_cancelled() == 0)
		weft_yield();
	CHECK_RESULT(weft_sem_wait(arg, 1), -ECANCELED);
	CHECK_RESULT(weft_sem_wait_until(arg, 1, WEFT_NOW), -ECANCELED);
	CHECK_RESULT(weft_sem_trywait(arg, 1), -ECANCELED);
	return 0;
}

CO_TEST(who_is_cancelled_gets_nothing)
{
	struct weft_sem sem = WEFT_SEM_INIT(1);
	struct weft_co *co = spawn_co(NULL, take_when_cancelled, &sem);
	CHECK_RESULT(weft_cancel(co), 0);
	join_co(co);
	CHECK_EQ(count(&sem), 1);
}

/* Handed over and cancelled before it could run: it has the permits. */
CO_TEST(a_hand_over_that_came_first_is_success)
{
	struct weft_sem sem = WEFT_SEM_INIT(0);
	struct want want;
	struct weft_co *co = start_taking(&want, &sem, 2);
	weft_sem_post(&sem, 2);
	CHECK_RESULT(weft_cancel(co), 0);
	CHECK_RESULT(join_co(co), 0);
	CHECK_EQ(count(&sem), 0);
}

enum { PERMITS = 5 };

static struct {
	struct weft_sem sem;
	atomic_int taken; /* by all */
} pool;

static int take_somehow(struct member *me, unsigned n)
{
	switch (random_below(&me->random, 4)) {
	case 0:
		return weft_sem_trywait(&pool.sem, n);
	case 1:
		return weft_sem_wait(&pool.sem, n);
	default:
		return weft_sem_wait_until(&pool.sem, n, deadline_soon(me, 20000));
	}
}

/* No permit is lost, and none is there twice, however the waits end. */
static bool use_pool(struct member *me)
{
	for (; me->done < test_scaled(30000); me->done++) {
		unsigned n = (unsigned)random_below(&me->random, PERMITS + 1);
		int result = take_somehow(me, n);
		if (result == -ECANCELED)
			return false;
		if (result == 0) {
			CHECK_LE(atomic_fetch_add(&pool.taken, (int)n) + (int)n, PERMITS);
			yield_sometimes(me, 3);
			atomic_fetch_sub(&pool.taken, (int)n);
			weft_sem_post(&pool.sem, n);
		}
	}
	return true;
}

CO_TEST(permits_are_conserved)
{
	weft_sem_init(&pool.sem, PERMITS);
	run_crew_cancelling(use_pool, 10, 0);
	CHECK_EQ(count(&pool.sem), PERMITS);
}

CO_TEST(permits_are_conserved_among_threads_too)
{
	weft_sem_init(&pool.sem, PERMITS);
	run_crew_cancelling(use_pool, 5, 3);
	CHECK_EQ(count(&pool.sem), PERMITS);
}

/* ---- freed at once ------------------------------------------------------------------------------------------------------- */

static int post_one(void *arg)
{
	weft_sem_post(arg, 1);
	return 0;
}

/* Half of the time the one who waits comes first, half of the time the post does. */
static void wait_for_posts(struct member *me)
{
	for (int i = 0; i < test_scaled(40000); i++) {
		struct weft_sem *sem = take_block(sizeof *sem);
		CHECK_RESULT(weft_go(post_one, sem), 0);
		yield_sometimes(me, 2);
		CHECK_RESULT(weft_sem_wait(sem, 1), 0);
		free_block(sem);
	}
}

CO_TEST(can_be_freed_by_who_was_let_through)
{
	run_crew(wait_for_posts, 4, 0);
	check_freed_blocks();
}

CO_TEST(can_be_freed_by_a_thread_that_was_let_through)
{
	run_crew(wait_for_posts, 2, 1);
	check_freed_blocks();
}

/* A wait that timed out leaves the semaphore in its careful state: post must not touch it after it has let somebody through. */
static void wait_after_giving_up(struct member *me)
{
	for (int i = 0; i < test_scaled(5000); i++) {
		struct weft_sem *sem = take_block(sizeof *sem);
		CHECK_RESULT(weft_sem_wait_until(sem, 1, weft_after(1000)), -ETIMEDOUT);
		CHECK_RESULT(weft_go(post_one, sem), 0);
		while (weft_sem_trywait(sem, 1) != 0)
			yield_sometimes(me, 4);
		free_block(sem);
	}
}

CO_TEST(can_be_freed_by_who_tries)
{
	run_crew(wait_after_giving_up, 3, 0);
	check_freed_blocks();
}

/* ---- misuse --------------------------------------------------------------------------------------------------------------- */

CO_TEST_ABORTS(too_many_permits, "more than 2^62 permits")
{
	struct weft_sem sem = WEFT_SEM_INIT(UINT64_C(1) << 62);
	weft_sem_post(&sem, 0);
	weft_sem_post(&sem, 1);
}
