/* Flights. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scope_util.h"

static struct counter shared;

static void count_share(void *value)
{
	CHECK_NE(*(long *)value, 0);
	count_up(&shared);
}

static struct weft_flights *make_flights(void)
{
	struct weft_flights *flights;
	CHECK_RESULT(weft_flights_create(&flights, sizeof(long), count_share), 0);
	return flights;
}

/* One caller: what its function does, and what came of it. */
struct caller {
	struct weft_flights *flights;
	const char *key;
	struct counter *runs, *gate; /* gate NULL: it returns at once */
	int answer;
	long gives;
	bool exits;
	int result;
	long value;
	struct weft_co *co;
};

static int work(void *arg, void *value)
{
	struct caller *c = arg;
	count_up(c->runs);
	while (c->gate && count_of(c->gate) == 0) {
		int result = weft_sleep(WEFT_US(50));
		if (result < 0)
			return result;
	}
	if (c->exits)
		weft_exit(5);
	memcpy(value, &c->gives, sizeof c->gives);
	return c->answer;
}

static int call(void *arg)
{
	struct caller *c = arg;
	return c->result = weft_flight(c->flights, c->key, strlen(c->key), work, c, &c->value);
}

static void start(struct caller *c)
{
	c->co = spawn_co(NULL, call, c);
}

/* The first flies, the others follow. */
static void start_all(struct caller *c, int n, struct caller like)
{
	for (int i = 0; i < n; i++) {
		int runs = count_of(like.runs);
		c[i] = like;
		c[i].gives += i;
		start(&c[i]);
		if (i == 0)
			EVENTUALLY(count_of(like.runs) == runs + 1);
		else
			await_waiting(c[i].co, WF_WHY_FLIGHT);
	}
}

CO_TEST(shared_by_all)
{
	enum { N = 10 };
	struct counter runs = {0}, gate = {0};
	struct caller c[N], like = {.flights = make_flights(), .key = "k", .runs = &runs, .gate = &gate, .answer = 3, .gives = 50};
	start_all(c, N, like);
	CHECK_RESULT(weft_flights_destroy(like.flights), -EBUSY);
	count_up(&gate);
	for (int i = 0; i < N; i++) {
		CHECK_EQ(join_co(c[i].co), 3);
		CHECK_EQ(c[i].value, 50);
	}
	CHECK_EQ(count_of(&runs), 1);
	CHECK_EQ(count_of(&shared), N - 1);
	CHECK_EQ(call(&c[1]), 3); /* nothing is remembered */
	CHECK_EQ(c[1].value, 51);
	CHECK_EQ(count_of(&runs), 2);
	CHECK_RESULT(weft_flights_destroy(like.flights), 0);
	CHECK_RESULT(weft_flights_destroy(NULL), 0);
}

CO_TEST(errors_are_shared)
{
	struct counter runs = {0}, gate = {0};
	struct caller c[4];
	struct caller like = {.flights = make_flights(), .key = "", .runs = &runs, .gate = &gate, .answer = -EIO, .value = -1};
	start_all(c, 4, like);
	count_up(&gate);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(join_co(c[i].co), -EIO);
		CHECK(i == 0 || c[i].value == -1);
	}
	CHECK_EQ(count_of(&runs), 1);
	CHECK_EQ(count_of(&shared), 0);
	CHECK_RESULT(weft_flights_destroy(like.flights), 0);
}

CO_TEST(followers_can_leave)
{
	struct counter runs = {0}, gate = {0};
	struct caller c[5], like = {.flights = make_flights(), .key = "k", .runs = &runs, .gate = &gate, .gives = 50};
	start_all(c, 5, like);
	weft_cancel(c[1].co);
	weft_cancel(c[3].co);
	CHECK_EQ(join_co(c[1].co), -ECANCELED);
	CHECK_EQ(join_co(c[3].co), -ECANCELED);
	count_up(&gate);
	for (int i = 0; i < 5; i += 2) {
		CHECK_EQ(join_co(c[i].co), 0);
		CHECK_EQ(c[i].value, 50);
	}
	CHECK_EQ(count_of(&runs), 1);
	CHECK_RESULT(weft_flights_destroy(like.flights), 0);
}

/* The pilot's end is not the others': the next one flies, with what is its own. */
CO_TEST(pilot_is_cancelled)
{
	struct counter runs = {0}, gate = {0};
	struct caller c[5], like = {.flights = make_flights(), .key = "k", .runs = &runs, .gate = &gate, .gives = 50};
	start_all(c, 5, like);
	for (int i = 0; i < 2; i++) {
		weft_cancel(c[i].co);
		CHECK_EQ(join_co(c[i].co), -ECANCELED);
		EVENTUALLY(count_of(&runs) == i + 2);
	}
	count_up(&gate);
	for (int i = 2; i < 5; i++) {
		CHECK_EQ(join_co(c[i].co), 0);
		CHECK_EQ(c[i].value, 52);
	}
	CHECK_RESULT(weft_flights_destroy(like.flights), 0);
}

static void *call_from_thread(void *arg)
{
	call(arg);
	return NULL;
}

/* It leaves by weft_exit; a thread follows it. */
CO_TEST(pilot_exits)
{
	struct counter runs = {0}, gate = {0};
	struct caller c[2];
	struct caller like = {.flights = make_flights(), .key = "k", .runs = &runs, .gate = &gate, .gives = 50, .exits = true};
	start_all(c, 2, like);
	struct caller outside = like;
	outside.exits = c[1].exits = false;
	pthread_t thread = start_thread(call_from_thread, &outside);
	count_up(&gate);
	CHECK_EQ(join_co(c[0].co), 5);
	CHECK_EQ(join_co(c[1].co), 0);
	join_thread(thread);
	CHECK_RESULT(outside.result, 0);
	CHECK_RESULT(weft_flights_destroy(like.flights), 0);
}

CO_TEST(forget)
{
	struct counter runs = {0}, gate = {0};
	struct caller c[2], d[2], like = {.flights = make_flights(), .key = "key", .runs = &runs, .gate = &gate, .gives = 50};
	CHECK_RESULT(weft_flight_forget(like.flights, "key", 3), 0);
	start_all(c, 2, like);
	CHECK_RESULT(weft_flight_forget(like.flights, "ke", 2), 0);
	CHECK_RESULT(weft_flight_forget(like.flights, "key", 3), 1);
	CHECK_RESULT(weft_flight_forget(like.flights, "key", 3), 0);
	like.gives = 70;
	start_all(d, 2, like); /* side by side */
	CHECK_EQ(count_of(&runs), 2);
	count_up(&gate);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(join_co(c[i].co), 0);
		CHECK_EQ(join_co(d[i].co), 0);
		CHECK_EQ(c[i].value, 50);
		CHECK_EQ(d[i].value, 70);
	}
	CHECK_RESULT(weft_flights_destroy(like.flights), 0);
}

static int call_again(void *arg, void *value)
{
	struct caller *c = arg;
	CHECK_RESULT(weft_flight(c->flights, "k", 1, work, c, value), -EDEADLK);
	CHECK_RESULT(weft_flight(c->flights, "l", 1, work, c, value), 0);
	CHECK_RESULT(weft_defer(free, malloc(1)), 0); /* stays */
	return 4;
}

CO_TEST(bad_arguments)
{
	struct counter runs = {0};
	struct caller c = {.flights = make_flights(), .key = "k", .runs = &runs};
	long value;
	CHECK_RESULT(weft_flights_create(NULL, 1, NULL), -EINVAL);
	CHECK_RESULT(weft_flight(NULL, "k", 1, work, &c, &value), -EINVAL);
	CHECK_RESULT(weft_flight(c.flights, NULL, 1, work, &c, &value), -EINVAL);
	CHECK_RESULT(weft_flight(c.flights, "k", 1, NULL, &c, &value), -EINVAL);
	CHECK_RESULT(weft_flight(c.flights, "k", 1, work, &c, NULL), -EINVAL);
	CHECK_RESULT(weft_flight_forget(NULL, "k", 1), -EINVAL);
	CHECK_RESULT(weft_flight(c.flights, "k", 1, call_again, &c, &value), 4);
	struct weft_scope scope;
	open_scope(&scope, 0, 0, WEFT_NEVER);
	weft_scope_cancel(&scope, -ECANCELED);
	CHECK_EQ(call(&c), -ECANCELED);
	CHECK_RESULT(weft_scope_close(&scope), 0);
	CHECK_EQ(count_of(&runs), 1);
	CHECK_RESULT(weft_flights_destroy(c.flights), 0);
}

/* Many keys under way at a time; they land in any order. */
CO_TEST(many_keys)
{
	int n = test_scaled(3000);
	struct counter runs = {0}, *gates = calloc((size_t)n, sizeof *gates);
	struct caller *c = calloc((size_t)n, sizeof *c), like = {.flights = make_flights(), .runs = &runs, .gives = 1};
	char (*keys)[16] = calloc((size_t)n, sizeof *keys);
	for (int i = 0; i < n; i++) {
		snprintf(keys[i], sizeof keys[i], "key %d", i);
		c[i] = like;
		c[i].key = keys[i];
		c[i].gate = &gates[i];
		start(&c[i]);
	}
	EVENTUALLY(count_of(&runs) == n);
	for (int i = 0; i < n; i++) {
		int land = (int)((uint64_t)i * 1009 % (uint64_t)n);
		if (n % 1009 == 0)
			land = i;
		count_up(&gates[land]);
		if (i % 7 == 0)
			CHECK_GE(weft_flight_forget(like.flights, keys[land], strlen(keys[land])), 0);
	}
	for (int i = 0; i < n; i++)
		CHECK_EQ(join_co(c[i].co), 0);
	CHECK_EQ(count_of(&runs), n);
	CHECK_RESULT(weft_flights_destroy(like.flights), 0);
	free(keys);
	free(c);
	free(gates);
}

/* ---- many at once ---------------------------------------------------------------------------------------------------------- */

enum { KEYS = 3, CALLERS = 10 };

struct crowd {
	struct weft_flights *flights;
	wf_word joined, flying[KEYS], runs, results, gone;
};

struct trip {
	struct crowd *crowd;
	unsigned char key;
	uint64_t random;
};

static int fly_one(void *arg, void *value)
{
	struct trip *t = arg;
	long answer = t->key + 1;
	int result = 0;
	CHECK_EQ(wf_add_full(&t->crowd->flying[t->key], 1), 0); /* alone */
	wf_add_full(&t->crowd->runs, 1);
	if (random_below(&t->random, 2))
		result = weft_sleep((int64_t)random_below(&t->random, 20000));
	else if (random_below(&t->random, 2))
		weft_yield();
	memcpy(value, &answer, sizeof answer);
	CHECK_EQ(wf_add_full(&t->crowd->flying[t->key], -1), 1);
	return result;
}

static void call_many(struct crowd *c, bool cancels)
{
	struct trip t = {.crowd = c, .random = seed_for(wf_add(&c->joined, 1))};
	for (int i = 0; i < test_scaled(1500); i++) {
		struct weft_scope scope;
		long value = 0;
		t.key = (unsigned char)random_below(&t.random, KEYS);
		bool limited = cancels && random_below(&t.random, 2);
		if (limited)
			open_scope(&scope, 0, 0, weft_now() + (int64_t)random_below(&t.random, 20000));
		int result = weft_flight(c->flights, &t.key, 1, fly_one, &t, &value);
		if (limited)
			CHECK_GE(weft_scope_close(&scope), -ETIMEDOUT);
		if (result == 0)
			CHECK_EQ(value, t.key + 1);
		else
			CHECK(limited && result == -ECANCELED);
		wf_add_full(result == 0 ? &c->results : &c->gone, 1);
	}
}

static int call_many_co(void *arg)
{
	call_many(arg, true);
	return 0;
}

static void *call_many_thread(void *arg)
{
	call_many(arg, false);
	return NULL;
}

/* One at a time for each key; every result was flown for, or shared. */
CO_TEST(one_at_a_time)
{
	struct crowd c = {.flights = make_flights()};
	struct weft_co *cos[CALLERS];
	pthread_t thread = start_thread(call_many_thread, &c);
	for (int i = 0; i < CALLERS; i++)
		cos[i] = spawn_co(NULL, call_many_co, &c);
	for (int i = 0; i < CALLERS; i++)
		join_co(cos[i]);
	join_thread(thread);
	CHECK_EQ(wf_load(&c.results) + wf_load(&c.gone), (CALLERS + 1) * test_scaled(1500));
	CHECK_LE(wf_load(&c.results), wf_load(&c.runs) + (uintptr_t)count_of(&shared));
	CHECK_GE(wf_load(&c.results) + wf_load(&c.gone), wf_load(&c.runs) + (uintptr_t)count_of(&shared));
	CHECK_RESULT(weft_flights_destroy(c.flights), 0);
}
