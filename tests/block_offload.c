/* Work on helper threads: who runs it, how many at a time, and what becomes of work that was left alone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core_util.h"

static atomic_int running, most, ran, dropped, go_on;

static int thread_id(void) { return (int)syscall(SYS_gettid); }

static void count_drop(void *arg)
{
	(void)arg;
	atomic_fetch_add(&dropped, 1);
}

static int note_thread(void *arg)
{
	*(int *)arg = thread_id();
	CHECK_EQ(weft_self(), 0); /* a plain thread */
	return 42;
}

CO_TEST(runs_on_another_thread)
{
	int on = 0, result = 0;
	CHECK_RESULT(weft_offload(note_thread, &on, &result), 0);
	CHECK_EQ(result, 42);
	CHECK_NE(on, 0);
	CHECK_NE(on, thread_id());
	CHECK_RESULT(weft_offload(note_thread, &on, NULL), 0);
	CHECK_LE(stats_now().helpers, 2); /* the first may not be idle yet when the second call comes */
}

TEST(plain_thread_calls_it)
{
	int on = 0, result = 0;
	CHECK_RESULT(weft_offload(note_thread, &on, &result), 0);
	CHECK_EQ(on, thread_id());
	CHECK_RESULT(weft_offload_owned(note_thread, &on, count_drop, WEFT_NEVER, &result), 0);
	CHECK_EQ(on, thread_id());
	CHECK_EQ(result, 42);
	CHECK_EQ(atomic_load(&dropped), 0);
}

static int offload_inside(void *arg)
{
	int on = 0;
	CHECK_RESULT(weft_offload(note_thread, &on, NULL), 0);
	CHECK_EQ(on, thread_id());
	return (void)arg, 0;
}

CO_TEST(from_a_helper_it_is_called) { CHECK_RESULT(weft_offload(offload_inside, NULL, NULL), 0); }

static int wait_to_go_on(void *arg)
{
	int now = atomic_fetch_add(&running, 1) + 1, former = atomic_load(&most);
	while (now > former && !atomic_compare_exchange_weak(&most, &former, now))
		;
	while (!atomic_load(&go_on))
		usleep(100);
	atomic_fetch_add(&ran, 1);
	atomic_fetch_sub(&running, 1);
	return (void)arg, 3;
}

static int offload_wait(void *arg)
{
	int result = 0, r = weft_offload(wait_to_go_on, arg, &result);
	return r < 0 ? r : result;
}

CO_TEST(cancelled_while_it_runs)
{
	struct weft_co *co = spawn_co(NULL, offload_wait, NULL);
	EVENTUALLY(atomic_load(&running) == 1);
	weft_cancel(co);
	weft_yield();
	CHECK_RESULT(weft_join_until(co, NULL, WEFT_NOW), -EAGAIN);
	atomic_store(&go_on, 1);
	CHECK_RESULT(join_co(co), 3); /* and not -ECANCELED: it did run */
}

static int offload_cancelled(void *arg)
{
	weft_cancel(*(struct weft_co **)arg);
	CHECK_RESULT(weft_offload(wait_to_go_on, NULL, NULL), -ECANCELED);
	CHECK_RESULT(weft_offload_owned(wait_to_go_on, NULL, count_drop, WEFT_NEVER, NULL), -ECANCELED);
	CHECK_EQ(atomic_load(&dropped), 1);
	return 0;
}

CO_TEST(cancelled_before)
{
	struct weft_co *co;
	CHECK_RESULT(weft_spawn(&co, NULL, offload_cancelled, &co), 0);
	CHECK_RESULT(join_co(co), 0);
	CHECK_EQ(atomic_load(&ran), 0);
}

CO_TEST(bad_arguments)
{
	CHECK_RESULT(weft_offload(NULL, NULL, NULL), -EINVAL);
	CHECK_RESULT(weft_offload_owned(NULL, NULL, count_drop, WEFT_NEVER, NULL), -EINVAL);
	CHECK_RESULT(weft_offload_owned(note_thread, NULL, NULL, WEFT_NEVER, NULL), -EINVAL);
	CHECK_EQ(atomic_load(&dropped), 0);
}

/* ---- how many --------------------------------------------------------------------------------------------------------- */

static int run_with(int helpers, int64_t idle_ns, weft_fn *fn)
{
	struct weft_config config;
	weft_config_init(&config);
	config.max_helpers = helpers;
	config.helper_idle_ns = idle_ns;
	return weft_run(&config, fn, NULL);
}

static int reach_cap(void *arg)
{
	enum { N = 20 };
	struct weft_co *cos[N];
	for (int i = 0; i < N; i++)
		cos[i] = spawn_co(NULL, offload_wait, arg);
	EVENTUALLY(atomic_load(&running) == 3);
	CHECK_EQ(stats_now().helpers, 3);
	atomic_store(&go_on, 1);
	for (int i = 0; i < N; i++)
		CHECK_RESULT(join_co(cos[i]), 3);
	CHECK_EQ(atomic_load(&ran), N);
	CHECK_EQ(atomic_load(&most), 3);
	CHECK_EQ(stats_now().helpers, 3);
	return 0;
}

TEST(no_more_than_the_cap) { CHECK_RESULT(run_with(3, WEFT_SEC(10), reach_cap), 0); }

static int order[16];
static int note_order(void *arg)
{
	order[atomic_fetch_add(&ran, 1)] = (int)(intptr_t)arg;
	return 0;
}

static int offload_note(void *arg) { return weft_offload(note_order, arg, NULL); }

static int queue_in_order(void *arg)
{
	struct weft_co *first = spawn_co(NULL, offload_wait, arg), *cos[15];
	EVENTUALLY(atomic_load(&running) == 1);
	for (int i = 0; i < 15; i++) {
		uint64_t parks = stats_now().parks;
		cos[i] = spawn_co(NULL, offload_note, (void *)(intptr_t)i);
		while (stats_now().parks == parks)
			weft_yield();
	}
	atomic_store(&go_on, 1);
	CHECK_RESULT(join_co(first), 3);
	for (int i = 0; i < 15; i++)
		CHECK_RESULT(join_co(cos[i]), 0);
	for (int i = 0; i < 15; i++)
		CHECK_EQ(order[i + 1], i);
	return 0;
}

TEST(queued_first_come_first_served) { CHECK_RESULT(run_with(1, WEFT_SEC(10), queue_in_order), 0); }

static int grow_and_shrink(void *arg)
{
	enum { N = 12 };
	struct weft_co *cos[N];
	for (int round = 0; round < 2; round++) {
		atomic_store(&go_on, 0);
		for (int i = 0; i < N; i++)
			cos[i] = spawn_co(NULL, offload_wait, arg);
		EVENTUALLY(atomic_load(&running) == N);
		CHECK_GE(stats_now().helpers, N);
		atomic_store(&go_on, 1);
		for (int i = 0; i < N; i++)
			CHECK_RESULT(join_co(cos[i]), 3);
		EVENTUALLY(stats_now().helpers == 0);
	}
	return 0;
}

TEST(helpers_without_work_leave) { CHECK_RESULT(run_with(64, WEFT_MS(2), grow_and_shrink), 0); }

static int add_one(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
	return 0;
}

static int offload_much(void *arg)
{
	for (int i = 0; i < test_scaled(400); i++) {
		CHECK_RESULT(weft_offload(add_one, arg, NULL), 0);
		if (i % 16 == 0)
			CHECK_RESULT(weft_sleep(WEFT_US(50)), 0);
	}
	return 0;
}

static int come_and_go(void *arg)
{
	atomic_int sum = 0;
	struct weft_co *cos[8];
	(void)arg;
	for (int i = 0; i < 8; i++)
		cos[i] = spawn_co(NULL, offload_much, &sum);
	for (int i = 0; i < 8; i++)
		CHECK_RESULT(join_co(cos[i]), 0);
	CHECK_EQ(atomic_load(&sum), 8 * test_scaled(400));
	return 0;
}

/* Helpers that leave at once, while others give them work. */
TEST(no_work_is_lost_to_one_that_leaves) { CHECK_RESULT(run_with(3, 0, come_and_go), 0); }

static int offload_without_threads(void *arg)
{
	int on = 0;
	struct rlimit former;
	(void)arg;
	CHECK_EQ(getrlimit(RLIMIT_NPROC, &former), 0);
	CHECK_EQ(setrlimit(RLIMIT_NPROC, &(struct rlimit){1, former.rlim_max}), 0);
	CHECK_RESULT(weft_offload(note_thread, &on, NULL), -EAGAIN);
	CHECK_EQ(on, 0);
	CHECK_RESULT(weft_offload_owned(note_thread, &on, count_drop, WEFT_NEVER, NULL), -EAGAIN);
	CHECK_EQ(atomic_load(&dropped), 1);
	CHECK_EQ(stats_now().helpers, 0);
	CHECK_EQ(setrlimit(RLIMIT_NPROC, &former), 0);
	return 0;
}

TEST(no_thread_can_be_made)
{
	if (getuid() == 0 && setresuid(65534, 65534, 65534) != 0) /* the limit is not for root */
		SKIP("root, and can't be anybody else");
	prctl(PR_SET_DUMPABLE, 1); /* for the leak checker, which traces the process */
	CHECK_RESULT(run_with(4, WEFT_SEC(10), offload_without_threads), 0);
}

/* ---- left alone ------------------------------------------------------------------------------------------------------- */

CO_TEST(owned_work_that_ends)
{
	int result = 0;
	atomic_store(&go_on, 1);
	CHECK_RESULT(weft_offload_owned(wait_to_go_on, NULL, count_drop, WEFT_NEVER, &result), 0);
	CHECK_EQ(result, 3);
	CHECK_EQ(atomic_load(&dropped), 0);
}

CO_TEST(deadline_leaves_it_alone)
{
	CHECK_RESULT(weft_offload_owned(wait_to_go_on, NULL, count_drop, weft_after(WEFT_MS(5)), NULL), -ETIMEDOUT);
	EVENTUALLY(atomic_load(&running) == 1 || atomic_load(&dropped) == 1);
	int began = atomic_load(&running);
	atomic_store(&go_on, 1);
	EVENTUALLY(atomic_load(&dropped) == 1);
	CHECK_EQ(atomic_load(&ran), began);
}

static int offload_owned_wait(void *arg)
{
	return weft_offload_owned(wait_to_go_on, arg, count_drop, WEFT_NEVER, NULL);
}

static int abandon_queued(void *arg)
{
	struct weft_co *first = spawn_co(NULL, offload_wait, arg), *second;
	EVENTUALLY(atomic_load(&running) == 1);
	second = spawn_co(NULL, offload_owned_wait, arg);
	weft_yield();
	weft_cancel(second);
	CHECK_RESULT(join_co(second), -ECANCELED);
	atomic_store(&go_on, 1);
	CHECK_RESULT(join_co(first), 3);
	EVENTUALLY(atomic_load(&dropped) == 1);
	CHECK_EQ(atomic_load(&ran), 1); /* the second never ran */
	return 0;
}

TEST(what_has_not_begun_never_does) { CHECK_RESULT(run_with(1, WEFT_SEC(10), abandon_queued), 0); }

static int leave_behind(void *arg)
{
	struct weft_co *co = spawn_co(NULL, offload_owned_wait, arg);
	EVENTUALLY(atomic_load(&running) == 1);
	weft_cancel(co);
	CHECK_RESULT(join_co(co), -ECANCELED);
	return 0;
}

static int one_more(void *arg)
{
	int on = 0;
	CHECK_RESULT(weft_offload(note_thread, &on, NULL), 0);
	return (void)arg, 0;
}

TEST(outlasts_the_runtime)
{
	CHECK_RESULT(run_with(4, WEFT_SEC(10), leave_behind), 0);
	CHECK_EQ(atomic_load(&dropped), 0);
	CHECK_RESULT(run_with(4, WEFT_SEC(10), one_more), 0);
	atomic_store(&go_on, 1);
	EVENTUALLY(atomic_load(&dropped) == 1);
}

/* ---- conservation ----------------------------------------------------------------------------------------------------- */

struct work {
	atomic_int ran, dropped, returned;
	int64_t ns;
};

static int do_work(void *arg)
{
	struct work *work = arg;
	CHECK_EQ(atomic_fetch_add(&work->ran, 1), 0);
	CHECK_EQ(atomic_load(&work->dropped), 0);
	usleep((useconds_t)(work->ns / 1000));
	return 0;
}

static void drop_work(void *arg)
{
	struct work *work = arg;
	CHECK_EQ(atomic_fetch_add(&work->dropped, 1), 0);
	atomic_fetch_add(&dropped, 1);
}

enum { WORKS = 400 };

static struct work works[WORKS];
static uint64_t random_state;

static int offload_work(void *arg)
{
	struct work *work = arg;
	weft_time deadline = work->ns % 3 == 0 ? weft_after(work->ns) : WEFT_NEVER;
	int r = weft_offload_owned(do_work, work, drop_work, deadline, NULL);
	if (r == 0) {
		atomic_store(&work->returned, 1);
		CHECK_EQ(atomic_load(&work->ran), 1);
		CHECK_EQ(atomic_load(&work->dropped), 0);
	} else if (r != -ECANCELED && r != -ETIMEDOUT && r != -ENOMEM && r != -EAGAIN) {
		test_fail(__FILE__, __LINE__, "%d", r);
	}
	return r;
}

static int abandon_at_random(void *arg)
{
	int n = test_scaled(WORKS), returned = 0, batch = 16;
	struct weft_co *cos[16];
	(void)arg;
	for (int first = 0; first < n; first += batch) {
		batch = n - first < 16 ? n - first : 16;
		for (int i = 0; i < batch; i++) {
			works[first + i].ns = (int64_t)random_below(&random_state, 300000);
			cos[i] = spawn_co(NULL, offload_work, &works[first + i]);
		}
		for (int i = 0; i < 8; i++) {
			weft_cancel(cos[random_below(&random_state, (uint64_t)batch)]);
			CHECK_RESULT(weft_sleep((int64_t)random_below(&random_state, 60000)), 0);
		}
		for (int i = 0; i < batch; i++)
			returned += join_co(cos[i]) == 0;
	}
	EVENTUALLY(atomic_load(&dropped) == n - returned);
	for (int i = 0; i < n; i++)
		CHECK_EQ(atomic_load(&works[i].dropped) + atomic_load(&works[i].returned), 1);
	return 0;
}

TEST(each_is_returned_or_dropped_once)
{
	random_state = random_seed();
	CHECK_RESULT(run_with(4, WEFT_MS(1), abandon_at_random), 0);
}
