/* Exits: one note for each watch, whoever is first. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core_util.h"

static struct weft_exits *make_exits(void)
{
	struct weft_exits *exits;
	CHECK_RESULT(weft_exits_create(&exits), 0);
	return exits;
}

static void destroy_exits(struct weft_exits *exits)
{
	CHECK_RESULT(weft_exits_destroy(exits), 0);
}

static void *value(int n) { return (void *)(intptr_t)n; }

static int give(void *arg) { return (int)(intptr_t)arg; }

static int give_up(void *arg) { weft_exit((int)(intptr_t)arg); }

static int sleep_on(void *arg)
{
	(void)arg;
	return weft_sleep(WEFT_SEC(1000));
}

static int await_word(void *arg)
{
	EVENTUALLY(atomic_load((_Atomic int *)arg) != 0);
	return 3;
}

static void expect_note(struct weft_exits *exits, uint64_t id, void *tag, int result)
{
	struct weft_ended ended = {0};
	CHECK_RESULT(weft_exits_next_until(exits, &ended, weft_after(WEFT_SEC(50))), 0);
	CHECK_EQ(ended.id, id);
	CHECK_PTR(ended.tag, tag);
	CHECK_EQ(ended.result, result);
}

static void expect_none(struct weft_exits *exits)
{
	struct weft_ended ended;
	CHECK_RESULT(weft_exits_next_until(exits, &ended, WEFT_NOW), -EAGAIN);
}

CO_TEST(a_note_and_the_join_is_left)
{
	struct weft_exits *exits = make_exits();
	_Atomic int word = 0;
	struct weft_co *co = spawn_co(NULL, await_word, &word);
	int tag;
	CHECK_RESULT(weft_exits_watch(exits, co, &tag), 0);
	expect_none(exits);
	atomic_store(&word, 1);
	expect_note(exits, weft_id(co), &tag, 3);
	expect_none(exits);
	CHECK_EQ(join_co(co), 3);
	destroy_exits(exits);
}

CO_TEST(ended_before)
{
	struct weft_exits *exits = make_exits();
	struct weft_co *co = spawn_co(NULL, give_up, value(-EIO));
	struct weft_case over = {.op = WEFT_OP_JOIN, .co = co};
	CHECK_RESULT(weft_select(&over, 1, WEFT_NEVER), 0);
	CHECK_RESULT(weft_exits_watch(exits, co, value(1)), 0);
	CHECK_RESULT(weft_exits_watch(exits, co, value(2)), 0);
	expect_note(exits, weft_id(co), value(1), -EIO);
	expect_note(exits, weft_id(co), value(2), -EIO);
	expect_none(exits);
	CHECK_EQ(join_co(co), -EIO);
	destroy_exits(exits);
}

CO_TEST(several_watch_one)
{
	struct weft_exits *a = make_exits(), *b = make_exits();
	_Atomic int word = 0;
	struct weft_co *co = spawn_co(NULL, await_word, &word);
	uint64_t id = weft_id(co);
	CHECK_RESULT(weft_exits_watch(a, co, value(1)), 0);
	CHECK_RESULT(weft_exits_watch(b, co, value(2)), 0);
	CHECK_RESULT(weft_exits_watch(a, co, value(3)), 0);
	CHECK_RESULT(weft_detach(co), 0); /* the notes come all the same */
	atomic_store(&word, 1);
	expect_note(b, id, value(2), 3);
	expect_note(a, id, value(1), 3);
	expect_note(a, id, value(3), 3);
	expect_none(a);
	expect_none(b);
	destroy_exits(a);
	destroy_exits(b);
}

/* What the coroutine wrote is seen by whoever has the note: TSan would tell. */
static int write_plain(void *arg)
{
	*(int *)arg = 42;
	return 0;
}

CO_TEST(thousands)
{
	enum { ROUNDS = 3 };
	int n = test_scaled(20000);
	struct weft_exits *exits = make_exits();
	int *written = calloc((size_t)n, sizeof *written);
	for (int round = 0; round < ROUNDS; round++) {
		memset(written, 0, (size_t)n * sizeof *written);
		for (int i = 0; i < n; i++) {
			struct weft_co *co = spawn_co(NULL, write_plain, &written[i]);
			CHECK_RESULT(weft_exits_watch(exits, co, &written[i]), 0);
			CHECK_RESULT(weft_detach(co), 0);
		}
		for (int i = 0; i < n; i++) {
			struct weft_ended ended;
			CHECK_RESULT(weft_exits_next(exits, &ended), 0);
			CHECK_EQ(*(int *)ended.tag, 42);
			*(int *)ended.tag = 0; /* a second note would find this */
		}
		expect_none(exits);
	}
	free(written);
	destroy_exits(exits);
}

CO_TEST(through_select)
{
	struct weft_exits *exits = make_exits();
	struct weft_chan *ch;
	struct weft_ended ended = {0};
	_Atomic int word = 0;
	int number;
	CHECK_RESULT(weft_chan_create(&ch, sizeof number, 1), 0);
	struct weft_case cases[] = {
		{.op = WEFT_OP_RECV, .chan = ch, .elem = &number},
		{.op = WEFT_OP_EXIT, .exits = exits, .elem = &ended},
		{.op = WEFT_OP_EXIT},
		{.op = WEFT_OP_EXIT, .exits = exits, .elem = &ended},
	};
	struct weft_co *co = spawn_co(NULL, await_word, &word);
	CHECK_RESULT(weft_exits_watch(exits, co, &word), 0);
	CHECK_RESULT(weft_select(cases, 4, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_select(cases, 4, weft_after(WEFT_MS(1))), -ETIMEDOUT);
	CHECK_RESULT(weft_chan_send(ch, &(int){7}), 0);
	CHECK_RESULT(weft_select(cases, 4, WEFT_NEVER), 0);
	atomic_store(&word, 1);
	int which = weft_select(cases, 4, WEFT_NEVER); /* waits */
	CHECK(which == 1 || which == 3);
	CHECK_RESULT(cases[which].result, 0);
	CHECK_EQ(ended.id, weft_id(co));
	CHECK_EQ(ended.result, 3);
	CHECK_RESULT(weft_exits_watch(exits, co, NULL), 0);
	cases[1].elem = NULL;
	CHECK_RESULT(weft_select(cases, 2, WEFT_NEVER), 1); /* is ready, and dropped */
	expect_none(exits);
	CHECK_EQ(join_co(co), 3);
	CHECK_RESULT(weft_chan_destroy(ch), 0);
	destroy_exits(exits);
}

CO_TEST(unwatched)
{
	struct weft_exits *exits = make_exits();
	_Atomic int word = 0;
	struct weft_co *co = spawn_co(NULL, await_word, &word);
	CHECK_RESULT(weft_exits_unwatch(exits, co), -ENOENT);
	CHECK_RESULT(weft_exits_watch(exits, co, value(1)), 0);
	CHECK_RESULT(weft_exits_watch(exits, co, value(2)), 0);
	CHECK_RESULT(weft_exits_unwatch(exits, co), 0);
	atomic_store(&word, 1);
	expect_note(exits, weft_id(co), value(2), 3);
	expect_none(exits);
	CHECK_RESULT(weft_exits_unwatch(exits, co), -ENOENT);
	CHECK_EQ(join_co(co), 3);
	destroy_exits(exits);
}

CO_TEST(destroyed_before_the_end)
{
	struct weft_exits *exits = make_exits();
	_Atomic int word = 0;
	struct weft_co *co = spawn_co(NULL, await_word, &word), *done = spawn_co(NULL, give, value(1));
	CHECK_RESULT(weft_exits_watch(exits, co, NULL), 0);
	CHECK_RESULT(weft_exits_watch(exits, done, NULL), 0);
	CHECK_EQ(join_co(done), 1);
	destroy_exits(exits);
	atomic_store(&word, 1);
	CHECK_EQ(join_co(co), 3);
}

struct crowd {
	struct weft_co *co;
	struct weft_exits *exits[64];
	_Atomic int here, word;
	int delay;
};

static int end_soon(void *word)
{
	while (atomic_load((_Atomic int *)word) == 0)
		weft_yield();
	return 0;
}

static void *lose_interest(void *arg)
{
	struct crowd *c = arg;
	atomic_store(&c->here, 1);
	while (atomic_load(&c->word) == 0)
		;
	for (int i = 0; i < c->delay; i++)
		atomic_load(&c->word);
	for (int i = 64; i-- > 0;)
		destroy_exits(c->exits[i]);
	return NULL;
}

/* The end, with many to tell, meets one who does not want to hear of it any more. */
CO_TEST(destroyed_at_the_end)
{
	uint64_t random = random_seed() | 1;
	for (int round = 0, rounds = test_scaled(40); round < rounds; round++) {
		struct crowd c = {.delay = (int)random_below(&random, 4000)};
		c.co = spawn_co(NULL, end_soon, &c.word);
		for (int i = 0; i < 64; i++) {
			c.exits[i] = make_exits();
			CHECK_RESULT(weft_exits_watch(c.exits[i], c.co, NULL), 0);
		}
		pthread_t thread = start_thread(lose_interest, &c);
		EVENTUALLY(atomic_load(&c.here));
		weft_yield();
		atomic_store(&c.word, 1);
		CHECK_EQ(join_co(c.co), 0);
		join_thread(thread);
	}
}

static int take_one(void *exits)
{
	struct weft_ended ended;
	int result = weft_exits_next(exits, &ended);
	return result == 0 ? ended.result : result;
}

CO_TEST(busy_and_cancelled)
{
	struct weft_exits *exits = make_exits();
	struct weft_co *waiter = spawn_co(NULL, take_one, exits);
	EVENTUALLY(weft_exits_destroy(NULL) == 0 && weft_exits_next_until(exits, NULL, WEFT_NOW) == -EAGAIN);
	weft_sleep(WEFT_MS(1));
	CHECK_RESULT(weft_cancel(waiter), 0);
	CHECK_RESULT(join_co(waiter), -ECANCELED);
	CHECK_RESULT(weft_exits_next_until(exits, NULL, weft_after(WEFT_MS(1))), -ETIMEDOUT);
	destroy_exits(exits);
	CHECK_RESULT(weft_exits_watch(NULL, NULL, NULL), -EINVAL);
	CHECK_RESULT(weft_exits_next(NULL, NULL), -EINVAL);
	CHECK_RESULT(weft_exits_create(NULL), -EINVAL);
}

CO_TEST(busy_while_somebody_waits)
{
	struct weft_exits *exits = make_exits();
	_Atomic int word = 0;
	struct weft_co *co = spawn_co(NULL, await_word, &word), *waiter = spawn_co(NULL, take_one, exits);
	struct weft_case over = {.op = WEFT_OP_JOIN, .co = waiter};
	CHECK_RESULT(weft_select(&over, 1, weft_after(WEFT_MS(20))), -ETIMEDOUT);
	CHECK_RESULT(weft_exits_destroy(exits), -EBUSY);
	CHECK_RESULT(weft_exits_watch(exits, co, NULL), 0);
	atomic_store(&word, 1);
	CHECK_EQ(join_co(waiter), 3);
	CHECK_EQ(join_co(co), 3);
	destroy_exits(exits);
}

CO_TEST(each_note_goes_to_one)
{
	enum { WAITERS = 8 };
	int n = test_scaled(4000), per = n / WAITERS, sum = 0;
	struct weft_exits *exits = make_exits();
	struct weft_co *waiters[WAITERS];
	n = per * WAITERS;
	for (int k = 0; k < per; k++) {
		for (int i = 0; i < WAITERS; i++)
			waiters[i] = spawn_co(NULL, take_one, exits);
		if (k % 2)
			weft_yield();
		for (int i = 0; i < WAITERS; i++) {
			struct weft_co *co = spawn_co(NULL, give, value(1 << i));
			CHECK_RESULT(weft_exits_watch(exits, co, NULL), 0);
			CHECK_RESULT(weft_detach(co), 0);
		}
		int round = 0;
		for (int i = 0; i < WAITERS; i++)
			round += join_co(waiters[i]);
		CHECK_EQ(round, (1 << WAITERS) - 1);
		sum += round;
	}
	CHECK_EQ(sum, per * ((1 << WAITERS) - 1));
	expect_none(exits);
	destroy_exits(exits);
}

static void *wait_on_thread(void *exits)
{
	return (void *)(intptr_t)take_one(exits);
}

CO_TEST(plain_threads_wait)
{
	struct weft_exits *exits = make_exits();
	_Atomic int word = 0;
	struct weft_co *co = spawn_co(NULL, await_word, &word);
	CHECK_RESULT(weft_exits_watch(exits, co, NULL), 0);
	pthread_t thread = start_thread(wait_on_thread, exits);
	weft_sleep(WEFT_MS(1));
	atomic_store(&word, 1);
	CHECK_EQ((intptr_t)join_thread(thread), 3);
	CHECK_EQ(join_co(co), 3);
	destroy_exits(exits);
}

/* Ends of coroutines against unwatch, destroy and new watches: each watch gives a note or was taken back. */
static int come_and_go(void *arg)
{
	uint64_t random = (uint64_t)(uintptr_t)arg;
	for (int round = 0, rounds = test_scaled(300); round < rounds; round++) {
		struct weft_exits *exits = make_exits();
		struct weft_co *co[8];
		int watched = 0;
		for (int i = 0; i < 8; i++) {
			co[i] = spawn_co(NULL, i % 2 ? give : sleep_on, value(i));
			CHECK_RESULT(weft_exits_watch(exits, co[i], value(i)), 0);
			watched++;
		}
		for (int i = 0; i < 8; i++) {
			if (random_below(&random, 2))
				weft_yield();
			if (random_below(&random, 3) == 0)
				watched -= weft_exits_unwatch(exits, co[i]) == 0;
			CHECK_RESULT(weft_cancel(co[i]), 0);
		}
		if (random_below(&random, 2))
			for (; watched > 0; watched--)
				CHECK_RESULT(weft_exits_next(exits, NULL), 0);
		if (watched == 0)
			expect_none(exits);
		destroy_exits(exits);
		for (int i = 0; i < 8; i++)
			CHECK_RESULT(join_co(co[i]), i % 2 ? i : -ECANCELED);
	}
	return 0;
}

CO_TEST(ends_against_all_else)
{
	struct weft_co *co[4];
	uint64_t seed = random_seed();
	for (uintptr_t i = 0; i < 4; i++)
		co[i] = spawn_co(NULL, come_and_go, (void *)(uintptr_t)((seed ^ i * 0x9e3779b97f4a7c15u) | 1));
	for (int i = 0; i < 4; i++)
		CHECK_EQ(join_co(co[i]), 0);
}
