/* Watch cells. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scope_util.h"

static struct weft_watch *make_watch(size_t elem_size, const void *initial)
{
	struct weft_watch *watch;
	CHECK_RESULT(weft_watch_create(&watch, elem_size, initial), 0);
	return watch;
}

struct look {
	struct weft_watch *watch;
	uint64_t seen;
	long value;
	weft_time deadline;
	int result;
};

static int look_once(void *arg)
{
	struct look *l = arg;
	return l->result = weft_watch_wait_until(l->watch, &l->seen, &l->value, l->deadline);
}

CO_TEST(numbers_and_values)
{
	struct weft_watch *watch = make_watch(sizeof(long), NULL);
	uint64_t seen = 7;
	long value = -1;
	CHECK_RESULT(weft_watch_get(watch, &seen, &value), 0);
	CHECK_EQ(seen, 7);
	seen = 0;
	CHECK_RESULT(weft_watch_wait_until(watch, &seen, &value, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_watch_wait_until(watch, &seen, &value, weft_after(WEFT_US(100))), -ETIMEDOUT);
	CHECK_EQ(value, -1);
	for (long i = 1; i <= 5; i++)
		CHECK_RESULT(weft_watch_set(watch, &(long){i * 10}), 0);
	CHECK_RESULT(weft_watch_wait_until(watch, &seen, &value, WEFT_NOW), 1);
	CHECK_EQ(seen, 5);
	CHECK_EQ(value, 50);
	CHECK_RESULT(weft_watch_wait_until(watch, &seen, &value, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_watch_get(watch, NULL, NULL), 1);
	CHECK_RESULT(weft_watch_get(watch, &seen, &value), 1);
	CHECK_EQ(seen, 5);
	CHECK_RESULT(weft_watch_destroy(watch), 0);
	watch = make_watch(sizeof(long), &(long){8});
	seen = 0;
	CHECK_RESULT(weft_watch_wait(watch, &seen, &value), 1);
	CHECK_EQ(seen, 1);
	CHECK_EQ(value, 8);
	CHECK_RESULT(weft_watch_destroy(watch), 0);
	CHECK_RESULT(weft_watch_destroy(NULL), 0);
}

/* Everybody who waits gets the value; the elements are wanted or not, at any alignment, of any size. */
CO_TEST(one_setting_wakes_all)
{
	enum { N = 20 };
	struct weft_watch *watch = make_watch(sizeof(long), NULL);
	struct look looks[N];
	struct weft_co *cos[N];
	for (int i = 0; i < N; i++) {
		looks[i] = (struct look){.watch = watch, .deadline = WEFT_NEVER};
		cos[i] = spawn_co(NULL, look_once, &looks[i]);
		await_waiting(cos[i], WF_WHY_WATCH);
	}
	CHECK_RESULT(weft_watch_destroy(watch), -EBUSY);
	CHECK_RESULT(weft_watch_set(watch, &(long){3}), 0);
	CHECK_RESULT(weft_watch_destroy(watch), 0); /* at once */
	for (int i = 0; i < N; i++) {
		CHECK_EQ(join_co(cos[i]), 1);
		CHECK_EQ(looks[i].value, 3);
		CHECK_EQ(looks[i].seen, 1);
	}
	watch = make_watch(0, "");
	uint64_t seen = 0;
	CHECK_RESULT(weft_watch_wait(watch, &seen, NULL), 1);
	CHECK_RESULT(weft_watch_set(watch, NULL), 0);
	CHECK_RESULT(weft_watch_wait(watch, &seen, NULL), 1);
	CHECK_RESULT(weft_watch_destroy(watch), 0);
	char large[5000], copy[5001];
	memset(large, 'x', sizeof large);
	watch = make_watch(sizeof large, large);
	CHECK_RESULT(weft_watch_get(watch, &seen, copy + 1), 1);
	CHECK_MEM(copy + 1, large, sizeof large);
	CHECK_RESULT(weft_watch_destroy(watch), 0);
}

CO_TEST(close_ends)
{
	struct weft_watch *watch = make_watch(sizeof(long), NULL);
	struct look look = {.watch = watch, .deadline = WEFT_NEVER};
	long value = -1;
	uint64_t seen = 0;
	struct weft_co *co = spawn_co(NULL, look_once, &look);
	await_waiting(co, WF_WHY_WATCH);
	CHECK_RESULT(weft_watch_set(watch, &(long){4}), 0);
	CHECK_EQ(join_co(co), 1);
	co = spawn_co(NULL, look_once, &look);
	await_waiting(co, WF_WHY_WATCH);
	CHECK_RESULT(weft_watch_close(watch), 0);
	CHECK_EQ(join_co(co), 0);
	CHECK_EQ(look.value, 4);
	CHECK_RESULT(weft_watch_close(watch), -EALREADY);
	CHECK_RESULT(weft_watch_set(watch, &value), -EPIPE);
	CHECK_RESULT(weft_watch_wait(watch, &seen, &value), 1); /* the last value can still be seen */
	CHECK_EQ(value, 4);
	CHECK_RESULT(weft_watch_wait(watch, &seen, &value), 0);
	CHECK_RESULT(weft_watch_get(watch, &seen, &value), 1);
	CHECK_RESULT(weft_watch_destroy(watch), 0);
}

CO_TEST(cancel_and_deadline)
{
	struct weft_watch *watch = make_watch(sizeof(long), NULL);
	struct look look = {.watch = watch, .deadline = WEFT_NEVER, .value = -1};
	struct weft_co *co = spawn_co(NULL, look_once, &look);
	await_waiting(co, WF_WHY_WATCH);
	weft_cancel(co);
	CHECK_EQ(join_co(co), -ECANCELED);
	look.deadline = weft_after(WEFT_MS(1));
	co = spawn_co(NULL, look_once, &look);
	CHECK_EQ(join_co(co), -ETIMEDOUT);
	CHECK_RESULT(weft_watch_set(watch, &(long){1}), 0);
	struct weft_scope scope;
	open_scope(&scope, 0, 0, WEFT_NEVER);
	weft_scope_cancel(&scope, -ECANCELED);
	CHECK_EQ(look_once(&look), -ECANCELED); /* though there is something to see */
	CHECK_RESULT(weft_scope_close(&scope), 0);
	CHECK_EQ(look.value, -1);
	CHECK_EQ(look.seen, 0);
	CHECK_EQ(look_once(&look), 1);
	CHECK_RESULT(weft_watch_destroy(watch), 0);
}

CO_TEST(bad_arguments)
{
	struct weft_watch *watch;
	CHECK_RESULT(weft_watch_create(NULL, 1, NULL), -EINVAL);
	CHECK_RESULT(weft_watch_create(&watch, SIZE_MAX, NULL), -EINVAL);
	watch = make_watch(1, NULL);
	CHECK_RESULT(weft_watch_set(watch, NULL), -EINVAL);
	CHECK_RESULT(weft_watch_set(NULL, ""), -EINVAL);
	CHECK_RESULT(weft_watch_get(NULL, NULL, NULL), -EINVAL);
	CHECK_RESULT(weft_watch_wait(watch, NULL, NULL), -EINVAL);
	CHECK_RESULT(weft_watch_wait(NULL, &(uint64_t){0}, NULL), -EINVAL);
	CHECK_RESULT(weft_watch_close(NULL), -EINVAL);
	CHECK_RESULT(weft_watch_destroy(watch), 0);
}

/* ---- threads, and many ------------------------------------------------------------------------------------------------- */

static void *act_from_thread(void *arg)
{
	struct look *l = arg;
	if (l->value % 2)
		CHECK_RESULT(weft_watch_set(l->watch, &l->value), 0);
	else
		CHECK_RESULT(weft_watch_close(l->watch), 0);
	return NULL;
}

/* Without a runtime. Whoever was woken frees it, though the one who woke it may not have returned. */
TEST(threads_alone)
{
	for (int i = 0; i < test_scaled(2000); i++) {
		struct look look = {.watch = make_watch(sizeof(long), NULL), .value = i};
		pthread_t thread = start_thread(act_from_thread, &look);
		uint64_t seen = 0;
		CHECK_RESULT(weft_watch_wait(look.watch, &seen, NULL), i % 2);
		CHECK_RESULT(weft_watch_destroy(look.watch), 0);
		join_thread(thread);
	}
}

struct value {
	uint64_t setter, n, sum;
};

struct crowd {
	struct weft_watch *watch;
	wf_word setters, settings;
};

static uint64_t sum_of(uint64_t setter, uint64_t n) { return setter * 1000003 + n * 7; }

static int set_many(void *arg)
{
	struct crowd *c = arg;
	uint64_t self = wf_add(&c->setters, 1), random = seed_for(self);
	for (uint64_t n = 1; n <= (uint64_t)test_scaled(4000); n++) {
		struct value value = {self, n, sum_of(self, n)};
		CHECK_RESULT(weft_watch_set(c->watch, &value), 0);
		wf_add_full(&c->settings, 1);
		if (random_below(&random, 8) == 0)
			weft_yield();
		if (random_below(&random, 64) == 0)
			weft_sleep((int64_t)random_below(&random, 20000));
	}
	return 0;
}

/* What is seen is whole, never older than before; the end comes after the last value. */
static int watch_many(void *arg)
{
	struct crowd *c = arg;
	uint64_t random = seed_for(100 + wf_add(&c->setters, 1)), seen = 0, latest[4] = {0};
	for (;;) {
		struct value v = {0};
		uint64_t before = seen;
		weft_time deadline = random_below(&random, 4) ? WEFT_NEVER : weft_now() + (int64_t)random_below(&random, 5000);
		int result = weft_watch_wait_until(c->watch, &seen, &v, deadline);
		if (result == 0) {
			CHECK_EQ(seen, before);
			CHECK_EQ(seen, wf_load_acquire(&c->settings));
			return 0;
		}
		if (result == -ETIMEDOUT) {
			CHECK_EQ(seen, before);
			continue;
		}
		CHECK_RESULT(result, 1);
		CHECK_GT(seen, before);
		CHECK_EQ(v.sum, sum_of(v.setter, v.n));
		CHECK_GT(v.n, latest[v.setter]);
		latest[v.setter] = v.n;
	}
}

static void *watch_from_thread(void *arg)
{
	watch_many(arg);
	return NULL;
}

CO_TEST(everybody_sees_the_last)
{
	enum { SETTERS = 4, WATCHERS = 12 };
	struct crowd c = {.watch = make_watch(sizeof(struct value), NULL)};
	struct weft_co *setters[SETTERS], *watchers[WATCHERS];
	for (int i = 0; i < SETTERS; i++)
		setters[i] = spawn_co(NULL, set_many, &c);
	EVENTUALLY(wf_load_acquire(&c.setters) == SETTERS);
	pthread_t thread = start_thread(watch_from_thread, &c);
	for (int i = 0; i < WATCHERS; i++)
		watchers[i] = spawn_co(NULL, watch_many, &c);
	for (int i = 0; i < SETTERS; i++)
		join_co(setters[i]);
	CHECK_RESULT(weft_watch_close(c.watch), 0);
	for (int i = 0; i < WATCHERS; i++)
		CHECK_EQ(join_co(watchers[i]), 0);
	join_thread(thread);
	CHECK_RESULT(weft_watch_destroy(c.watch), 0);
}
