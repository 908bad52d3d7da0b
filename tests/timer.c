/* Timers for users: callbacks, channels, ticks. */
#include <errno.h>
#include <stdlib.h>

#include "scope_util.h"

struct calls {
	struct counter begun, ended, gate;
	weft_time when;
	struct weft_timer *timer;
	int result;
};

static int count_call(void *arg)
{
	struct calls *c = arg;
	c->when = weft_now();
	count_up(&c->begun);
	count_up(&c->ended);
	return 0;
}

static struct weft_timer *timer_with(weft_fn *fn, void *arg)
{
	struct weft_timer *timer;
	CHECK_RESULT(weft_timer_create(&timer, fn, arg), 0);
	return timer;
}

/* ---- callbacks ------------------------------------------------------------------------------------------------------- */

CO_TEST(fires_once_and_never_early)
{
	struct calls c = {.result = 0};
	struct weft_timer *timer = timer_with(count_call, &c);
	weft_time when = weft_after(WEFT_MS(2));
	CHECK_RESULT(weft_timer_set(timer, when, 0), 0);
	EVENTUALLY(count_of(&c.ended) == 1);
	CHECK_GE(c.when, when);
	CHECK_RESULT(weft_timer_stop(timer), 0); /* it has fired */
	weft_sleep(WEFT_MS(3));
	CHECK_EQ(count_of(&c.ended), 1);
	CHECK_RESULT(weft_timer_destroy(timer), 0);
}

CO_TEST(past_fires_at_once)
{
	struct calls c = {.result = 0};
	struct weft_timer *timer = timer_with(count_call, &c);
	CHECK_RESULT(weft_timer_set(timer, weft_now() - WEFT_SEC(1), 0), 0);
	EVENTUALLY(count_of(&c.ended) == 1);
	CHECK_RESULT(weft_timer_set(timer, WEFT_NOW, 0), 0);
	EVENTUALLY(count_of(&c.ended) == 2);
	CHECK_RESULT(weft_timer_destroy(timer), 0);
}

CO_TEST(stopped_never_fires)
{
	struct calls c = {.result = 0};
	struct weft_timer *timer = timer_with(count_call, &c);
	CHECK_RESULT(weft_timer_stop(timer), 0); /* never set */
	CHECK_RESULT(weft_timer_set(timer, weft_after(WEFT_MS(1)), 0), 0);
	CHECK_RESULT(weft_timer_stop(timer), 1);
	CHECK_RESULT(weft_timer_stop(timer), 0);
	CHECK_RESULT(weft_timer_set(timer, WEFT_NEVER, 0), 0);
	weft_sleep(WEFT_MS(2));
	CHECK_RESULT(weft_timer_stop(timer), 1);
	CHECK_EQ(count_of(&c.begun), 0);
	CHECK_RESULT(weft_timer_destroy(timer), 0);
	CHECK_RESULT(weft_timer_destroy(NULL), 0);
}

CO_TEST(set_again)
{
	struct calls c = {.result = 0};
	struct weft_timer *timer = timer_with(count_call, &c);
	weft_time when = weft_after(WEFT_MS(4));
	CHECK_RESULT(weft_timer_set(timer, weft_after(WEFT_SEC(1000)), 0), 0);
	CHECK_RESULT(weft_timer_set(timer, weft_after(WEFT_MS(1)), 0), 1);
	CHECK_RESULT(weft_timer_set(timer, when, 0), 1); /* later */
	EVENTUALLY(count_of(&c.ended) == 1);
	CHECK_GE(c.when, when);
	CHECK_RESULT(weft_timer_set(timer, weft_after(WEFT_US(10)), 0), 0); /* after it has fired */
	EVENTUALLY(count_of(&c.ended) == 2);
	CHECK_RESULT(weft_timer_destroy(timer), 0);
}

static int park_in_call(void *arg)
{
	struct calls *c = arg;
	count_up(&c->begun);
	CHECK_STR(weft_name(), "timer");
	EVENTUALLY(count_of(&c->gate) >= count_of(&c->begun));
	count_up(&c->ended);
	return 0;
}

/* It may park; when it comes due meanwhile it runs once more, not twice at a time. */
CO_TEST(never_twice_at_a_time)
{
	struct calls c = {.result = 0};
	struct weft_timer *timer = timer_with(park_in_call, &c);
	CHECK_RESULT(weft_timer_set(timer, WEFT_NOW, 0), 0);
	EVENTUALLY(count_of(&c.begun) == 1);
	for (int i = 0; i < 3; i++) {
		CHECK_GE(weft_timer_set(timer, weft_now(), 0), 0);
		weft_sleep(WEFT_MS(1));
	}
	CHECK_EQ(count_of(&c.begun), 1);
	count_up(&c.gate);
	EVENTUALLY(count_of(&c.begun) == 2);
	CHECK_EQ(count_of(&c.ended), 1);
	CHECK_RESULT(weft_timer_set(timer, weft_now(), 0), 0);
	weft_sleep(WEFT_MS(1));
	CHECK_RESULT(weft_timer_stop(timer), 1); /* the run that is owed will not be */
	count_up(&c.gate);
	EVENTUALLY(count_of(&c.ended) == 2);
	weft_sleep(WEFT_MS(1));
	CHECK_EQ(count_of(&c.begun), 2);
	CHECK_RESULT(weft_timer_destroy(timer), 0);
}

static int yield_on(void *arg)
{
	struct counter *stop = arg;
	while (count_of(stop) == 0)
		weft_yield();
	return 0;
}

/* It has come due, and its coroutine is there: every other time a single processor has not come to run it yet. */
CO_TEST(stopped_before_it_begins)
{
	struct calls c = {.result = 0};
	struct weft_timer *timer = timer_with(count_call, &c);
	struct weft_co *other = spawn_co(NULL, yield_on, &c.gate);
	int stopped = 0;
	for (int i = 1; i <= test_scaled(2000); i++) {
		uint64_t fired = stats_now().timers_fired;
		CHECK_RESULT(weft_timer_set(timer, weft_now(), 0), 0);
		while (stats_now().timers_fired == fired)
			weft_yield();
		stopped += weft_timer_stop_wait(timer);
		CHECK_EQ(count_of(&c.begun) + stopped, i);
		CHECK_EQ(count_of(&c.begun), count_of(&c.ended));
		weft_yield();
		weft_yield();
		CHECK_EQ(count_of(&c.begun) + stopped, i);
	}
	count_up(&c.gate);
	join_co(other);
	CHECK(stopped > 0 || weft_maxprocs() > 1);
	CHECK_RESULT(weft_timer_destroy(timer), 0);
}

static int open_gate_soon(void *arg)
{
	struct calls *c = arg;
	weft_sleep(WEFT_MS(1));
	CHECK_EQ(count_of(&c->ended), 0);
	count_up(&c->gate);
	return 0;
}

CO_TEST(stop_waits_for_a_running_callback)
{
	struct calls c = {.result = 0};
	struct weft_timer *timer = timer_with(park_in_call, &c);
	CHECK_RESULT(weft_timer_stop_wait(timer), 0);
	CHECK_RESULT(weft_timer_set(timer, weft_after(WEFT_SEC(1000)), 0), 0);
	CHECK_RESULT(weft_timer_stop_wait(timer), 1);
	CHECK_RESULT(weft_timer_set(timer, WEFT_NOW, 0), 0);
	EVENTUALLY(count_of(&c.begun) == 1);
	struct weft_co *co = spawn_co(NULL, open_gate_soon, &c);
	CHECK_RESULT(weft_timer_stop_wait(timer), 0);
	CHECK_EQ(count_of(&c.ended), 1);
	join_co(co);
	CHECK_RESULT(weft_timer_destroy(timer), 0);
}

CO_TEST(stop_wait_can_be_cancelled)
{
	struct calls c = {.result = 0};
	struct weft_timer *timer = timer_with(park_in_call, &c);
	struct weft_scope scope;
	CHECK_RESULT(weft_timer_set(timer, WEFT_NOW, 0), 0);
	EVENTUALLY(count_of(&c.begun) == 1);
	CHECK_RESULT(weft_timer_set(timer, weft_after(WEFT_SEC(1000)), 0), 0);
	open_scope(&scope, 0, 0, weft_after(WEFT_MS(1)));
	CHECK_RESULT(weft_timer_stop_wait(timer), -ECANCELED);
	CHECK_RESULT(weft_scope_close(&scope), 0);
	CHECK_RESULT(weft_timer_stop(timer), 0); /* it was stopped */
	count_up(&c.gate);
	CHECK_RESULT(weft_timer_stop_wait(timer), 0);
	CHECK_EQ(count_of(&c.ended), 1);
	CHECK_RESULT(weft_timer_destroy(timer), 0);
}

static int stop_itself(void *arg)
{
	struct calls *c = arg;
	count_up(&c->begun);
	c->result = weft_timer_stop_wait(c->timer);
	if (count_of(&c->begun) == 1)
		CHECK_RESULT(weft_timer_set(c->timer, weft_after(WEFT_US(10)), 0), 0); /* from inside */
	else
		CHECK_RESULT(weft_timer_destroy(c->timer), 0);
	count_up(&c->ended);
	weft_exit(3); /* no return */
}

CO_TEST(everything_from_inside_the_callback)
{
	struct calls c = {.result = 0};
	c.timer = timer_with(stop_itself, &c);
	CHECK_RESULT(weft_timer_set(c.timer, weft_now(), 0), 0);
	EVENTUALLY(count_of(&c.ended) == 2);
	CHECK_RESULT(c.result, -EDEADLK);
}

static void *use_from_thread(void *arg)
{
	struct calls *c = arg;
	CHECK_RESULT(weft_timer_set(c->timer, weft_after(WEFT_US(100)), 0), 0);
	EVENTUALLY(count_of(&c->begun) == 1);
	CHECK_RESULT(weft_timer_set(c->timer, weft_after(WEFT_SEC(100)), 0), 0);
	CHECK_RESULT(weft_timer_stop_wait(c->timer), 1);
	return NULL;
}

static int count_slowly(void *arg)
{
	struct calls *c = arg;
	count_up(&c->begun);
	weft_sleep(WEFT_MS(2));
	count_up(&c->ended);
	return 0;
}

CO_TEST(from_a_thread)
{
	struct calls c = {.result = 0};
	c.timer = timer_with(count_slowly, &c);
	join_thread(start_thread(use_from_thread, &c));
	CHECK_EQ(count_of(&c.ended), 1);
	CHECK_RESULT(weft_timer_destroy(c.timer), 0);
}

/* ---- channels ---------------------------------------------------------------------------------------------------------- */

static struct weft_timer *timer_with_chan(struct weft_chan **chan)
{
	struct weft_timer *timer;
	CHECK_RESULT(weft_timer_create_chan(&timer, chan), 0);
	return timer;
}

CO_TEST(value_in_a_channel)
{
	struct weft_chan *chan;
	struct weft_timer *timer = timer_with_chan(&chan);
	weft_time when = weft_after(WEFT_MS(1)), fired;
	CHECK_RESULT(weft_timer_set(timer, when, 0), 0);
	CHECK_RESULT(weft_chan_try_recv(chan, &fired), -EAGAIN);
	CHECK_RESULT(weft_chan_recv(chan, &fired), 1);
	CHECK_GE(fired, when);
	CHECK_RESULT(weft_timer_stop(timer), 0);
	CHECK_RESULT(weft_timer_set(timer, weft_now(), 0), 0);
	EVENTUALLY(weft_chan_len(chan) == 1); /* it waits there for whoever comes */
	CHECK_RESULT(weft_chan_recv(chan, NULL), 1);
	CHECK_RESULT(weft_timer_destroy(timer), 0);
}

/* The value that nobody received is gone after a stop, and after setting again. */
CO_TEST(nothing_stale)
{
	struct weft_chan *chan;
	struct weft_timer *timer = timer_with_chan(&chan);
	weft_time when, fired;
	CHECK_RESULT(weft_timer_set(timer, weft_now(), 0), 0);
	EVENTUALLY(weft_chan_len(chan) == 1);
	CHECK_RESULT(weft_timer_stop(timer), 1);
	CHECK_RESULT(weft_chan_try_recv(chan, &fired), -EAGAIN);
	CHECK_RESULT(weft_timer_set(timer, weft_now(), 0), 0);
	EVENTUALLY(weft_chan_len(chan) == 1);
	when = weft_after(WEFT_MS(2));
	CHECK_RESULT(weft_timer_set(timer, when, 0), 1);
	CHECK_RESULT(weft_chan_recv(chan, &fired), 1);
	CHECK_GE(fired, when);
	CHECK_RESULT(weft_timer_destroy(timer), 0);
}

static int recv_it(void *arg)
{
	return weft_chan_recv(arg, NULL);
}

CO_TEST(destroy_while_somebody_receives)
{
	struct weft_chan *chan;
	struct weft_timer *timer = timer_with_chan(&chan);
	struct weft_co *co = spawn_co(NULL, recv_it, chan);
	await_waiting(co, WF_WHY_CHAN_RECV);
	CHECK_RESULT(weft_timer_set(timer, weft_after(WEFT_SEC(100)), 0), 0);
	CHECK_RESULT(weft_timer_destroy(timer), -EBUSY);
	CHECK_RESULT(weft_timer_stop(timer), 0); /* by the attempt */
	CHECK_RESULT(weft_timer_set(timer, weft_now(), 0), 0);
	CHECK_EQ(join_co(co), 1);
	CHECK_RESULT(weft_timer_destroy(timer), 0);
}

/* ---- ticks --------------------------------------------------------------------------------------------------------------- */

/* Ticks come at the first one plus a multiple of the period, however late the last one was. Each is received or missed. */
CO_TEST(ticks_keep_their_phase)
{
	struct weft_chan *chan;
	struct weft_timer *timer = timer_with_chan(&chan);
	const int64_t period = WEFT_US(50);
	uint64_t random = seed_for(0);
	weft_time first = weft_after(WEFT_US(100)), fired;
	CHECK_RESULT(weft_timer_set(timer, first, period), 0);
	for (int64_t received = 1; received <= test_scaled(500); received++) {
		CHECK_RESULT(weft_chan_recv(chan, &fired), 1);
		int64_t missed = (int64_t)weft_timer_missed(timer);
		CHECK_GE(fired, first);
		CHECK_GE(received + missed, (fired - first) / period + 1);
		CHECK_LE(received + missed, (weft_now() - first) / period + 1);
		if (random_below(&random, 2))
			weft_sleep((int64_t)random_below(&random, 300000));
	}
	CHECK_RESULT(weft_timer_stop(timer), 1);
	CHECK_RESULT(weft_timer_destroy(timer), 0);
}

/* Ticks that nobody receives do not queue up: one is kept, the others are counted. */
CO_TEST(ticks_do_not_queue)
{
	struct weft_chan *chan;
	struct weft_timer *timer = timer_with_chan(&chan);
	CHECK_RESULT(weft_timer_set(timer, weft_now(), WEFT_US(100)), 0);
	EVENTUALLY(weft_timer_missed(timer) >= 5);
	CHECK_EQ(weft_chan_len(chan), 1);
	CHECK_RESULT(weft_timer_stop(timer), 1);
	CHECK_RESULT(weft_chan_try_recv(chan, NULL), -EAGAIN);
	CHECK_RESULT(weft_timer_set(timer, weft_after(WEFT_SEC(100)), WEFT_SEC(1)), 0);
	CHECK_EQ(weft_timer_missed(timer), 0);
	CHECK_RESULT(weft_timer_destroy(timer), 0);
}

static int count_and_hold(void *arg)
{
	struct calls *c = arg;
	count_up(&c->begun);
	CHECK_EQ(count_of(&c->begun), count_of(&c->ended) + 1); /* one at a time */
	EVENTUALLY(count_of(&c->gate) > 0);
	count_up(&c->ended);
	return 0;
}

CO_TEST(ticks_of_a_callback)
{
	struct calls c = {.result = 0};
	struct weft_timer *timer = timer_with(count_and_hold, &c);
	CHECK_RESULT(weft_timer_set(timer, weft_now(), WEFT_US(200)), 0);
	EVENTUALLY(count_of(&c.begun) == 1 && weft_timer_missed(timer) >= 3); /* it is still running */
	CHECK_EQ(count_of(&c.begun), 1);
	count_up(&c.gate);
	EVENTUALLY(count_of(&c.ended) >= 5);
	CHECK_RESULT(weft_timer_stop_wait(timer), 1);
	int ended = count_of(&c.ended);
	weft_sleep(WEFT_MS(1));
	CHECK_EQ(count_of(&c.begun), ended);
	CHECK_RESULT(weft_timer_destroy(timer), 0);
}

CO_TEST(long_periods)
{
	struct calls c = {.result = 0};
	struct weft_timer *timer = timer_with(count_call, &c);
	CHECK_RESULT(weft_timer_set(timer, weft_now(), INT64_MAX), 0);
	EVENTUALLY(count_of(&c.ended) == 1);
	CHECK_RESULT(weft_timer_stop_wait(timer), 1); /* while it still runs the next tick would be missed */
	CHECK_RESULT(weft_timer_set(timer, WEFT_NOW, INT64_MAX), 0); /* sums that do not overflow */
	EVENTUALLY(count_of(&c.ended) >= 2);
	CHECK_RESULT(weft_timer_set(timer, 0, 1), 1);
	EVENTUALLY(weft_timer_missed(timer) > 1000000);
	CHECK_RESULT(weft_timer_stop_wait(timer), 1);
	CHECK_RESULT(weft_timer_destroy(timer), 0);
}

/* ---- many, and races --------------------------------------------------------------------------------------------------- */

/* Set, moved, stopped. */
CO_TEST(many_pending)
{
	int n = test_scaled(100000);
	struct calls c = {.result = 0};
	struct weft_timer **timers = malloc((size_t)n * sizeof *timers);
	uint64_t random = seed_for(0);
	for (int i = 0; i < n; i++) {
		timers[i] = timer_with(count_call, &c);
		weft_time when = weft_after(WEFT_SEC(1000) + (int64_t)random_below(&random, 1000000000));
		CHECK_RESULT(weft_timer_set(timers[i], when, 0), 0);
	}
	for (int i = 0; i < n; i += 3)
		CHECK_RESULT(weft_timer_set(timers[i], weft_after(WEFT_SEC(2000)), 0), 1);
	for (int i = 0; i < n; i++)
		CHECK_RESULT(weft_timer_stop(timers[i]), 1);
	for (int i = 0; i < n; i++)
		CHECK_RESULT(weft_timer_destroy(timers[i]), 0);
	CHECK_EQ(count_of(&c.begun), 0);
	free(timers);
}

struct order {
	struct counter *ended;
	int place;
};

static int note_order(void *arg)
{
	struct order *o = arg;
	o->place = (int)wf_add_full(&o->ended->n, 1);
	return 0;
}

/* What has come due runs in the order of its deadlines, as far as one processor goes. */
CO_TEST(in_order_of_deadlines)
{
	enum { N = 50 };
	struct counter ended = {0};
	struct order order[N];
	struct weft_timer *timers[N];
	if (weft_maxprocs() > 1)
		SKIP("processors run side by side");
#ifdef WEFT_STRESS
	SKIP("this build runs things in any order");
#endif
	weft_time last = weft_after(WEFT_US(N));
	for (int i = 0; i < N; i++) {
		order[i] = (struct order){&ended, -1};
		timers[i] = timer_with(note_order, &order[i]);
		CHECK_RESULT(weft_timer_set(timers[i], last - WEFT_US(i * 7 % N), 0), 0);
	}
	while (weft_now() <= last)
		;
	EVENTUALLY(count_of(&ended) == N);
	for (int i = 0; i < N; i++) {
		CHECK_EQ(order[i].place, N - 1 - i * 7 % N);
		CHECK_RESULT(weft_timer_destroy(timers[i]), 0);
	}
}

struct race {
	struct weft_timer *timer;
	wf_word runs, promised;
};

static int count_run(void *arg)
{
	struct race *r = arg;
	wf_add_full(&r->runs, 1);
	return 0;
}

static int set_and_stop(void *arg)
{
	struct race *r = arg;
	uint64_t random = seed_for(1);
	for (int i = 0; i < test_scaled(5000); i++) {
		/* 0 from either: what was set before has fired, and so runs; unless nothing was set */
		if (weft_timer_set(r->timer, weft_after((int64_t)random_below(&random, 20000)), 0) == 0 && i > 0)
			wf_add_full(&r->promised, 1);
		if (random_below(&random, 2))
			weft_sleep((int64_t)random_below(&random, 30000));
		if (random_below(&random, 4) == 0)
			weft_yield();
	}
	if (weft_timer_stop_wait(r->timer) == 0)
		wf_add_full(&r->promised, 1);
	return 0;
}

/* Exactly what a stop or a reset says: 1, and that firing never comes; 0, and it comes once. */
CO_TEST(says_what_happens)
{
	struct race r = {.timer = NULL};
	r.timer = timer_with(count_run, &r);
	join_co(spawn_co(NULL, set_and_stop, &r));
	CHECK_EQ(wf_load(&r.runs), wf_load(&r.promised));
	CHECK_RESULT(weft_timer_destroy(r.timer), 0);
}

static int receive_fresh(void *arg)
{
	struct race *r = arg;
	struct weft_chan *chan;
	uint64_t random = seed_for(2);
	struct weft_timer *timer = timer_with_chan(&chan);
	(void)r;
	for (int i = 0; i < test_scaled(5000); i++) {
		weft_time when = weft_after((int64_t)random_below(&random, 20000)), fired;
		weft_timer_set(timer, when, 0);
		if (random_below(&random, 2))
			weft_sleep((int64_t)random_below(&random, 30000));
		switch (random_below(&random, 3)) {
		case 0:
			CHECK_RESULT(weft_chan_recv(chan, &fired), 1);
			CHECK_GE(fired, when); /* not the one before */
			CHECK_RESULT(weft_timer_stop(timer), 0);
			break;
		case 1:
			CHECK_RESULT(weft_timer_stop(timer), 1);
			CHECK_RESULT(weft_chan_try_recv(chan, &fired), -EAGAIN);
			break;
		default:
			break;
		}
	}
	return weft_timer_destroy(timer);
}

CO_TEST(nothing_stale_in_races)
{
	struct weft_co *cos[4];
	struct race r = {.timer = NULL};
	for (int i = 0; i < 4; i++)
		cos[i] = spawn_co(NULL, receive_fresh, &r);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(join_co(cos[i]), 0);
}

static int meddle(void *arg)
{
	struct race *r = arg;
	uint64_t random = seed_for(100 + wf_add(&r->promised, 1));
	for (int i = 0; i < test_scaled(20000); i++) {
		switch (random_below(&random, 4)) {
		case 0: CHECK_GE(weft_timer_stop(r->timer), 0); break;
		case 1: CHECK_GE(weft_timer_stop_wait(r->timer), 0); break;
		case 2: CHECK_GE(weft_timer_set(r->timer, weft_now(), 5000), 0); break;
		default: CHECK_GE(weft_timer_set(r->timer, weft_now() + (int64_t)random_below(&random, 9000), 0), 0); break;
		}
		if (random_below(&random, 3) == 0)
			weft_yield();
		if (random_below(&random, 100) == 0)
			weft_sleep(10000);
	}
	return 0;
}

static void *meddle_from_thread(void *arg)
{
	meddle(arg);
	return NULL;
}

/* Everybody at one timer; afterwards it is as good as new. */
CO_TEST(everybody_at_one_timer)
{
	struct race r = {.timer = NULL};
	struct weft_co *cos[4];
	r.timer = timer_with(count_run, &r);
	pthread_t thread = start_thread(meddle_from_thread, &r);
	for (int i = 0; i < 4; i++)
		cos[i] = spawn_co(NULL, meddle, &r);
	for (int i = 0; i < 4; i++)
		join_co(cos[i]);
	join_thread(thread);
	CHECK_GE(weft_timer_stop_wait(r.timer), 0);
	CHECK_GT(wf_load(&r.runs), 0);
	uintptr_t runs = wf_load(&r.runs);
	CHECK_RESULT(weft_timer_set(r.timer, weft_now(), 0), 0);
	EVENTUALLY(wf_load(&r.runs) == runs + 1);
	CHECK_RESULT(weft_timer_destroy(r.timer), 0);
}

/* Freed while firings are under way: the sanitizers look. */
static int create_and_destroy(void *arg)
{
	struct race *r = arg;
	uint64_t random = seed_for(200 + wf_add(&r->promised, 1));
	for (int i = 0; i < test_scaled(4000); i++) {
		struct weft_timer *timer = timer_with(count_run, r);
		weft_time when = weft_after((int64_t)random_below(&random, 3000));
		CHECK_RESULT(weft_timer_set(timer, when, (int64_t)random_below(&random, 2)), 0);
		if (random_below(&random, 2))
			weft_sleep((int64_t)random_below(&random, 3000));
		CHECK_RESULT(weft_timer_destroy(timer), 0);
	}
	return 0;
}

CO_TEST(destroyed_while_firing)
{
	static struct race r; /* what has started goes on */
	struct weft_co *cos[4];
	for (int i = 0; i < 4; i++)
		cos[i] = spawn_co(NULL, create_and_destroy, &r);
	for (int i = 0; i < 4; i++)
		join_co(cos[i]);
}

/* ---- the runtime comes and goes ------------------------------------------------------------------------------------------- */

struct outlives {
	struct calls calls;
	struct weft_timer *fn, *chan_timer, *running;
	struct weft_chan *chan;
};

static int leave_set(void *arg)
{
	struct outlives *o = arg;
	CHECK_RESULT(weft_timer_set(o->fn, weft_after(WEFT_SEC(100)), 0), 0);
	CHECK_RESULT(weft_timer_set(o->chan_timer, weft_after(WEFT_SEC(100)), WEFT_MS(1)), 0);
	CHECK_RESULT(weft_timer_set(o->running, weft_now(), WEFT_US(1)), 0);
	EVENTUALLY(count_of(&o->calls.ended) > 0);
	return 0;
}

/* Timers outlive the runtime, and work in the next one. */
TEST(outlive_the_runtime)
{
	struct outlives o = {.fn = NULL};
	o.fn = timer_with(count_call, &o.calls);
	o.running = timer_with(count_call, &o.calls);
	o.chan_timer = timer_with_chan(&o.chan);
	CHECK_RESULT(weft_timer_set(o.fn, weft_now(), 0), -EINVAL);
	CHECK_RESULT(weft_timer_stop(o.fn), 0);
	for (int i = 0; i < 20; i++) {
		int before = count_of(&o.calls.ended);
		CHECK_RESULT(weft_run(NULL, leave_set, &o), 0);
		CHECK_GT(count_of(&o.calls.ended), before);
		if (i % 2) {
			CHECK_RESULT(weft_timer_stop(o.fn), 0);
			CHECK_RESULT(weft_timer_stop(o.chan_timer), 0);
			CHECK_GE(weft_timer_stop(o.running), 0);
		}
		CHECK_EQ(count_of(&o.calls.begun), count_of(&o.calls.ended));
	}
	CHECK_RESULT(weft_timer_destroy(o.fn), 0);
	CHECK_RESULT(weft_timer_destroy(o.running), 0);
	CHECK_RESULT(weft_timer_destroy(o.chan_timer), 0);
}

#ifdef WEFT_STRESS
/* No memory for its coroutine every other time: it is late then, but comes. */
TEST(late_for_lack_of_memory)
{
	struct calls c = {.result = 0};
	struct weft_timer *timer = timer_with(count_call, &c);
	setenv("WEFT_STRESS_FAIL", "2", 1);
	int started;
	while ((started = weft_start(NULL)) == -ENOMEM)
		;
	CHECK_RESULT(started, 0);
	for (int i = 1; i <= 20; i++) {
		CHECK_RESULT(weft_timer_set(timer, weft_now(), 0), 0);
		EVENTUALLY(count_of(&c.ended) == i);
	}
	CHECK_RESULT(weft_timer_set(timer, weft_now(), 0), 0); /* it may be on its way when the runtime ends */
	CHECK_RESULT(weft_stop(WEFT_NEVER), 0);
	CHECK_RESULT(weft_timer_destroy(timer), 0);
}
#endif

CO_TEST(bad_arguments)
{
	struct weft_timer *timer;
	CHECK_RESULT(weft_timer_create(NULL, count_call, NULL), -EINVAL);
	CHECK_RESULT(weft_timer_create(&timer, NULL, NULL), -EINVAL);
	CHECK_RESULT(weft_timer_create_chan(&timer, NULL), -EINVAL);
	CHECK_RESULT(weft_timer_set(NULL, 0, 0), -EINVAL);
	CHECK_RESULT(weft_timer_stop(NULL), -EINVAL);
	CHECK_RESULT(weft_timer_stop_wait(NULL), -EINVAL);
	timer = timer_with(count_call, NULL);
	CHECK_RESULT(weft_timer_set(timer, 0, -1), -EINVAL);
	CHECK_RESULT(weft_timer_destroy(timer), 0);
}
