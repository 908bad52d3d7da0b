/* Threads that compute without a processor: so many at most while none of them is given longer; those that sleep do not count. */
#include <unistd.h>

#include "core_util.h"
#include "monitor.h"
#include "proc.h"
#include "san.h"

enum { MOST = 2, ALL = 12 };

static atomic_int begun, asleep;
static atomic_bool stop;
static int pipe_fds[2];

static int compute(void *arg)
{
	(void)arg;
	atomic_fetch_add(&begun, 1);
	while (!atomic_load(&stop))
		;
	return 0;
}

/* Its calls never switch, so it is as much in the way as one that makes none. */
static int compute_and_call(void *arg)
{
	struct weft_cond own = WEFT_COND_INIT;
	(void)arg;
	atomic_fetch_add(&begun, 1);
	while (!atomic_load(&stop)) {
		for (weft_time until = weft_after(WEFT_US(200)); weft_now() < until;)
			;
		weft_cond_signal(&own);
	}
	return 0;
}

static int compute_and_sleep(void *goal)
{
	char c;
	atomic_fetch_add(&begun, 1);
	while (atomic_load(&begun) < *(int *)goal)
		;
	atomic_fetch_add(&asleep, 1);
	return (int)read(pipe_fds[0], &c, 1) == 1 ? 0 : 1;
}

static void start(int64_t crowded_ns)
{
	struct weft_config config;
	weft_config_init(&config);
	config.max_computing = MOST;
	wf_monitor_pace.slice_ns = WEFT_MS(1);
	wf_monitor_pace.crowded_ns = crowded_ns;
	CHECK_RESULT(weft_start(&config), 0);
}

static void go(int n, weft_fn *fn, void *arg)
{
	for (int i = 0; i < n; i++)
		CHECK_RESULT(weft_go(fn, arg), 0);
}

static void end(void)
{
	atomic_store(&stop, true);
	CHECK_RESULT(weft_stop(WEFT_NEVER), 0);
}

static void look_often_that_no_more_begin(int most)
{
	for (int i = 0; i < 100; i++) {
		rest();
		CHECK(atomic_load(&begun) <= most);
	}
}

TEST(threads_do_not_grow_with_computations)
{
	start(INT64_MAX);
	int most = weft_maxprocs() + MOST;
	go(ALL, compute, NULL);
	EVENTUALLY(atomic_load(&begun) == most);
	look_often_that_no_more_begin(most);
	end();
	CHECK_EQ(atomic_load(&begun), ALL);
}

/* Now and then one is found waiting for the scheduler's lock, which it asks for as its processor is taken, and does not count. */
TEST(calls_that_never_switch_do_not_count_as_coming_back)
{
#ifdef WF_TSAN
	SKIP("threads that meet at an atomic sleep, and those that sleep do not count");
#endif
	start(INT64_MAX);
	go(ALL, compute_and_call, NULL);
	EVENTUALLY(atomic_load(&begun) >= weft_maxprocs() + MOST);
	look_often_that_no_more_begin(ALL - 1);
	end();
	CHECK_EQ(atomic_load(&begun), ALL);
}

TEST(endless_ones_stall_nobody)
{
	start(WEFT_MS(5));
	go(ALL, compute, NULL);
	EVENTUALLY(atomic_load(&begun) == ALL);
	end();
}

static int count_begun(void *arg)
{
	(void)arg;
	atomic_fetch_add(&begun, 1);
	return 0;
}

static void compute_for(weft_time ns)
{
	for (weft_time until = weft_after(ns); weft_now() < until;)
		;
}

/* Each is behind it as long as nobody else takes it. */
static int make_some_and_compute(void *arg)
{
	(void)arg;
	for (int i = 1; i <= 5; i++) {
		compute_for(WEFT_MS(20));
		CHECK_RESULT(weft_go(count_begun, NULL), 0);
		while (atomic_load(&begun) < i && !atomic_load(&stop))
			;
	}
	return 0;
}

static void compute_before_private_work(bool crowded)
{
	start(INT64_MAX);
	if (crowded) {
		wf_lock(&wf_rt.lock); /* the monitor reads it so */
		wf_rt.config.max_computing = 0;
		wf_unlock(&wf_rt.lock);
	}
	go(1, make_some_and_compute, NULL);
	if (weft_maxprocs() > 1 || !crowded)
		EVENTUALLY(atomic_load(&begun) == 5);
	end();
}

/* It goes on with the idle processor, so that it is not one more without. */
TEST(who_computes_before_private_work_takes_an_idle_processor)
{
	compute_before_private_work(true);
}

TEST(private_work_is_found_whenever_it_comes)
{
	compute_before_private_work(false);
}

TEST(sleeping_ones_do_not_count)
{
	start(INT64_MAX);
	int most = weft_maxprocs() + MOST;
	CHECK_EQ(pipe(pipe_fds), 0);
	go(most, compute_and_sleep, &most);
	EVENTUALLY(atomic_load(&asleep) == most);
	go(ALL, compute, NULL);
	EVENTUALLY(atomic_load(&begun) == 2 * most);
	look_often_that_no_more_begin(2 * most);
	for (int i = 0; i < most; i++)
		CHECK_EQ(write(pipe_fds[1], "x", 1), 1);
	end();
}
