/* Scopes: what they promise while nobody hurries. */
#include <errno.h>
#include <stdlib.h>

#include "scope_util.h"

static int give(void *arg) { return (int)(intptr_t)arg; }

static void *value(int n) { return (void *)(intptr_t)n; }

CO_TEST(empty)
{
	struct weft_scope scope;
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	CHECK_RESULT(weft_scope_close(&scope), 0);
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0); /* the memory can be used again */
	CHECK_RESULT(weft_scope_close(&scope), 0);
	open_scope(&scope, WEFT_SCOPE_FIRST_SUCCESS, 0, 0);
	CHECK_RESULT(weft_scope_close(&scope), 0);
}

struct tally {
	struct weft_scope *scope;
	struct counter begun, ended;
	int plain; /* written by one coroutine, read after the close */
};

static int count_and_rest(void *arg)
{
	struct tally *t = arg;
	count_up(&t->begun);
	weft_sleep(WEFT_US(200));
	count_up(&t->ended);
	return 0;
}

static int write_plain(void *arg)
{
	struct tally *t = arg;
	weft_yield();
	t->plain = 42;
	return 0;
}

CO_TEST(close_waits_for_all)
{
	struct weft_scope scope;
	struct tally t = {.scope = &scope};
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	for (int i = 0; i < 100; i++)
		go_in(&scope, count_and_rest, &t);
	go_in(&scope, write_plain, &t);
	CHECK_RESULT(weft_scope_close(&scope), 0);
	CHECK_EQ(count_of(&t.begun), 100);
	CHECK_EQ(count_of(&t.ended), 100);
	CHECK_EQ(t.plain, 42);
}

CO_TEST(many_members)
{
	struct weft_scope scope;
	struct tally t = {.scope = &scope};
	int n = test_scaled(10000);
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	for (int i = 0; i < n; i++)
		go_in(&scope, count_and_rest, &t);
	CHECK_RESULT(weft_scope_close(&scope), 0);
	CHECK_EQ(count_of(&t.ended), n);
}

CO_TEST(many_members_cancelled)
{
	struct weft_scope scope;
	int n = test_scaled(10000);
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	for (int i = 0; i < n; i++)
		go_in(&scope, sleep_on, NULL);
	for (int i = 0; i < 20; i++)
		weft_yield();
	weft_scope_cancel(&scope, 0);
	CHECK_RESULT(weft_scope_close(&scope), -ECANCELED);
}

/* Members start members, and so on. */
static int split(void *arg)
{
	struct tally *t = arg;
	int level = (int)wf_add_full(&t->begun.n, 1);
	if (level < 500) {
		go_in(t->scope, split, t);
		go_in(t->scope, split, t);
	}
	count_up(&t->ended);
	return 0;
}

CO_TEST(members_start_members)
{
	struct weft_scope scope;
	struct tally t = {.scope = &scope};
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	go_in(&scope, split, &t);
	CHECK_RESULT(weft_scope_close(&scope), 0);
	CHECK_EQ(count_of(&t.begun), 1001);
	CHECK_EQ(count_of(&t.ended), 1001);
}

/* ---- results --------------------------------------------------------------------------------------------------------- */

struct turn {
	struct counter *now;
	int when, result;
};

/* Ends as the when-th. */
static int end_in_turn(void *arg)
{
	struct turn *t = arg;
	EVENTUALLY(count_of(t->now) == t->when);
	return t->result;
}

/* Has n coroutines end one after the other, with these results; returns what the scope's end says. */
static int end_one_by_one(unsigned flags, const int *results, int n)
{
	struct weft_scope scope;
	struct counter now = {0};
	struct turn turns[8];
	open_scope(&scope, flags, 0, 0);
	struct wf_scope *inside = (struct wf_scope *)(void *)&scope;
	for (int i = 0; i < n; i++) {
		turns[i] = (struct turn){&now, i + 1, results[i]};
		go_in(&scope, end_in_turn, &turns[i]);
	}
	for (int i = 0; i < n; i++) {
		count_up(&now);
		int running;
		do {
			rest();
			wf_lock(&inside->lock);
			running = inside->running;
			wf_unlock(&inside->lock);
		} while (running != n - i - 1);
	}
	return weft_scope_close(&scope);
}

CO_TEST(result_plain)
{
	CHECK_RESULT(end_one_by_one(0, (int[]){0, 3, 5}, 3), 0);
	CHECK_RESULT(end_one_by_one(0, (int[]){1, -EIO, -EPERM, 2}, 4), -EIO);
	CHECK_RESULT(end_one_by_one(0, (int[]){-EPERM, -EIO}, 2), -EPERM);
}

CO_TEST(result_first_error)
{
	CHECK_RESULT(end_one_by_one(WEFT_SCOPE_FIRST_ERROR, (int[]){0, 3, 5}, 3), 0);
	CHECK_RESULT(end_one_by_one(WEFT_SCOPE_FIRST_ERROR, (int[]){1, -EIO, -EPERM, 2}, 4), -EIO);
}

CO_TEST(result_first_success)
{
	CHECK_RESULT(end_one_by_one(WEFT_SCOPE_FIRST_SUCCESS, (int[]){-EIO, 0, 7, -EPERM}, 4), 0);
	CHECK_RESULT(end_one_by_one(WEFT_SCOPE_FIRST_SUCCESS, (int[]){-EIO, -EPERM, 7}, 3), 7);
	CHECK_RESULT(end_one_by_one(WEFT_SCOPE_FIRST_SUCCESS, (int[]){-EIO, -EPERM}, 2), -EIO);
}

static int tell_cause(void *arg)
{
	int *cause = arg;
	int result = sleep_on(NULL);
	*cause = weft_cause();
	return result;
}

CO_TEST(first_error_cancels_the_others)
{
	struct weft_scope scope;
	int cause[2] = {0};
	open_scope(&scope, WEFT_SCOPE_FIRST_ERROR, 0, 0);
	go_in(&scope, tell_cause, &cause[0]);
	go_in(&scope, tell_cause, &cause[1]);
	go_in(&scope, give, value(5)); /* no error: cancels nothing */
	weft_sleep(WEFT_MS(1));
	CHECK_RESULT(weft_cancelled(), 0);
	go_in(&scope, give, value(-EPIPE));
	CHECK_RESULT(sleep_on(NULL), -ECANCELED); /* in the one that opened it, too */
	CHECK_RESULT(weft_cause(), -EPIPE);
	CHECK_RESULT(weft_scope_close(&scope), -EPIPE);
	CHECK_RESULT(cause[0], -EPIPE);
	CHECK_RESULT(cause[1], -EPIPE);
	CHECK_RESULT(weft_cause(), 0);
}

CO_TEST(first_success_cancels_the_others)
{
	struct weft_scope scope;
	int cause = 0;
	open_scope(&scope, WEFT_SCOPE_FIRST_SUCCESS, 0, 0);
	go_in(&scope, tell_cause, &cause);
	go_in(&scope, give, value(-EPIPE));
	weft_sleep(WEFT_MS(1));
	CHECK_RESULT(weft_cancelled(), 0);
	go_in(&scope, give, value(9));
	CHECK_RESULT(weft_scope_close(&scope), 9);
	CHECK_RESULT(cause, -ECANCELED);
}

/* ---- the limit ------------------------------------------------------------------------------------------------------- */

struct crowd {
	struct weft_scope *scope;
	struct counter now, most, done;
};

static int crowd_in(void *arg)
{
	struct crowd *c = arg;
	uintptr_t now = wf_add_full(&c->now.n, 1) + 1, most;
	while (now > (most = wf_load(&c->most.n)) && !wf_cas_full(&c->most.n, most, now))
		;
	weft_sleep(WEFT_US(100));
	wf_add_full(&c->now.n, -1);
	count_up(&c->done);
	return 0;
}

CO_TEST(limit_holds)
{
	struct weft_scope scope;
	struct crowd c = {.scope = &scope};
	int n = test_scaled(500);
	open_scope(&scope, 0, 3, 0);
	for (int i = 0; i < n; i++)
		go_in(&scope, crowd_in, &c);
	CHECK_RESULT(weft_scope_close(&scope), 0);
	CHECK_EQ(count_of(&c.done), n);
	CHECK_LE(count_of(&c.most), 3);
	CHECK_GE(count_of(&c.most), 1);
}

struct queueing {
	struct weft_scope *scope;
	struct weft_co *co;
	struct counter *order, *arrived;
	int place;
};

static int note_place(void *arg)
{
	struct queueing *q = arg;
	q->place = (int)wf_add_full(&q->order->n, 1);
	return 0;
}

static int queue_for_place(void *arg)
{
	struct queueing *q = arg;
	q->co = running_co();
	count_up(q->arrived);
	go_in(q->scope, note_place, q);
	return 0;
}

static int wait_for_go(void *arg)
{
	EVENTUALLY(count_of(arg) > 0);
	return 0;
}

/* Who waits for a place gets it before those who come later, and in order of arrival. */
CO_TEST(limit_in_order_of_arrival)
{
	enum { N = 8 };
	struct weft_scope scope, others;
	struct counter gate = {0}, order = {0}, arrived = {0};
	struct queueing q[N] = {{0}}, last = {.order = &order};
	open_scope(&scope, 0, 1, 0);
	go_in(&scope, wait_for_go, &gate);
	CHECK_RESULT(weft_scope_open(&others, NULL), 0);
	for (int i = 0; i < N; i++) {
		q[i] = (struct queueing){.scope = &scope, .order = &order, .arrived = &arrived};
		go_in(&others, queue_for_place, &q[i]);
		EVENTUALLY(count_of(&arrived) == i + 1);
		await_waiting(q[i].co, WF_WHY_SCOPE);
	}
	count_up(&gate);
	go_in(&scope, note_place, &last);
	CHECK_RESULT(weft_scope_close(&others), 0);
	CHECK_RESULT(weft_scope_close(&scope), 0);
	for (int i = 0; i < N; i++)
		CHECK_EQ(q[i].place, i);
	CHECK_EQ(last.place, N);
}

/* ---- nesting --------------------------------------------------------------------------------------------------------- */

CO_TEST(nested_cause_of_the_innermost)
{
	struct weft_scope a, b, c;
	CHECK_RESULT(weft_scope_open(&a, NULL), 0);
	CHECK_RESULT(weft_scope_open(&b, NULL), 0);
	CHECK_RESULT(weft_scope_open(&c, NULL), 0);
	weft_scope_cancel(&c, -EIO);
	CHECK_RESULT(weft_cause(), -EIO);
	weft_scope_cancel(&c, -EPERM); /* the first stays */
	CHECK_RESULT(weft_cause(), -EIO);
	weft_scope_cancel(&a, -ENOSPC);
	CHECK_RESULT(weft_cause(), -EIO);
	CHECK_RESULT(weft_scope_close(&c), 0);
	CHECK_RESULT(weft_cause(), -ENOSPC);
	CHECK_RESULT(weft_cancelled(), -ECANCELED);
	CHECK_RESULT(weft_scope_close(&b), 0);
	CHECK_RESULT(weft_cause(), -ENOSPC);
	CHECK_RESULT(weft_scope_close(&a), 0);
	CHECK_RESULT(weft_cause(), 0);
	CHECK_RESULT(weft_sleep(1), 0);
}

CO_TEST(opened_in_a_cancelled_one)
{
	struct weft_scope a, b;
	CHECK_RESULT(weft_scope_open(&a, NULL), 0);
	weft_scope_cancel(&a, 5); /* not negative: the default */
	CHECK_RESULT(weft_cause(), -ECANCELED);
	CHECK_RESULT(weft_scope_go(&a, give, NULL), -ECANCELED);
	CHECK_RESULT(weft_scope_open(&b, NULL), 0);
	CHECK_RESULT(weft_cause(), -ECANCELED);
	CHECK_RESULT(weft_scope_go(&b, give, NULL), -ECANCELED);
	CHECK_RESULT(weft_scope_close(&b), 0);
	CHECK_RESULT(weft_scope_close(&a), 0);
}

CO_TEST(deadline_that_has_passed)
{
	struct weft_scope scope;
	open_scope(&scope, 0, 0, WEFT_NOW);
	CHECK_RESULT(weft_cause(), -ETIMEDOUT);
	CHECK_RESULT(weft_scope_go(&scope, give, NULL), -ECANCELED);
	CHECK_RESULT(weft_scope_close(&scope), 0);
	open_scope(&scope, 0, 0, weft_now());
	CHECK_RESULT(weft_cause(), -ETIMEDOUT);
	CHECK_RESULT(weft_scope_close(&scope), 0);
	open_scope(&scope, 0, 0, WEFT_NEVER);
	CHECK_RESULT(weft_cause(), 0);
	CHECK_RESULT(weft_scope_close(&scope), 0);
}

CO_TEST(inner_deadline_ends_inner_only)
{
	struct weft_scope a, b;
	open_scope(&a, 0, 0, weft_after(WEFT_SEC(1000)));
	open_scope(&b, 0, 0, weft_after(WEFT_MS(2)));
	CHECK_RESULT(sleep_on(NULL), -ECANCELED);
	CHECK_RESULT(weft_cause(), -ETIMEDOUT);
	CHECK_RESULT(weft_scope_close(&b), 0);
	CHECK_RESULT(weft_sleep(WEFT_US(10)), 0);
	CHECK_RESULT(weft_scope_close(&a), 0);
}

CO_TEST(outer_deadline_ends_inner_too)
{
	struct weft_scope a, b;
	open_scope(&a, 0, 0, weft_after(WEFT_MS(2)));
	open_scope(&b, 0, 0, weft_after(WEFT_SEC(1000)));
	CHECK_RESULT(sleep_on(NULL), -ECANCELED);
	CHECK_RESULT(weft_cause(), -ETIMEDOUT);
	CHECK_RESULT(weft_scope_close(&b), 0);
	CHECK_RESULT(weft_cause(), -ETIMEDOUT);
	CHECK_RESULT(weft_scope_close(&a), 0);
}

struct deep {
	struct weft_scope *scopes;
	struct counter ended;
	int n;
};

static int sleep_deep(void *arg)
{
	struct deep *d = arg;
	CHECK_RESULT(sleep_on(NULL), -ECANCELED);
	CHECK_RESULT(weft_cause(), -EIO);
	count_up(&d->ended);
	return 0;
}

/* One coroutine opens them all, each inside the one before; coroutines sit on every hundredth level. */
CO_TEST(deep_nesting)
{
	struct deep d = {.n = test_scaled(10000)};
	d.scopes = calloc((size_t)d.n, sizeof *d.scopes);
	int members = 0;
	for (int i = 0; i < d.n; i++) {
		CHECK_RESULT(weft_scope_open(&d.scopes[i], NULL), 0);
		if (i % 100 == 0) {
			go_in(&d.scopes[i], sleep_deep, &d);
			members++;
		}
	}
	weft_sleep(WEFT_MS(1));
	weft_scope_cancel(&d.scopes[0], -EIO);
	CHECK_RESULT(weft_cause(), -EIO);
	for (int i = d.n; i-- > 0;)
		CHECK_RESULT(weft_scope_close(&d.scopes[i]), 0);
	CHECK_EQ(count_of(&d.ended), members);
	free(d.scopes);
}

/* Each level is a coroutine of its own. */
static int descend(void *arg)
{
	struct deep *d = arg;
	struct weft_scope scope;
	if (wf_add_full(&d->ended.n, 1) + 1 >= (uintptr_t)d->n)
		return sleep_on(NULL);
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	int started = weft_scope_go(&scope, descend, d);
	int result = weft_scope_close(&scope);
	return started < 0 ? started : result;
}

CO_TEST(deep_nesting_of_coroutines)
{
	struct weft_scope scope;
	struct deep d = {.n = test_scaled(2000)};
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	go_in(&scope, descend, &d);
	EVENTUALLY(count_of(&d.ended) == d.n);
	weft_scope_cancel(&scope, 0);
	CHECK_RESULT(weft_scope_close(&scope), -ECANCELED);
}

/* ---- only scope_go puts coroutines into a scope ------------------------------------------------------------------------ */

static int look_at_cause(void *arg)
{
	EVENTUALLY(count_of(arg) > 0);
	return weft_cause() == 0 && weft_sleep(1) == 0;
}

CO_TEST(others_stay_outside)
{
	struct weft_scope scope;
	struct counter gate = {0};
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	struct weft_co *co = spawn_co(NULL, look_at_cause, &gate);
	weft_scope_cancel(&scope, 0);
	count_up(&gate);
	CHECK_RESULT(weft_scope_close(&scope), 0);
	CHECK_EQ(join_co(co), 1);
}

/* ---- misuse ---------------------------------------------------------------------------------------------------------- */

static int misuse_from_inside(void *arg)
{
	struct weft_scope *scope = arg;
	CHECK_RESULT(weft_scope_close(scope), -EINVAL); /* only the opener closes */
	CHECK_RESULT(weft_scope_open(scope, NULL), -EINVAL);
	return 0;
}

static int misuse_from_outside(void *arg)
{
	CHECK_RESULT(weft_scope_go(arg, give, NULL), -EINVAL);
	CHECK_RESULT(weft_scope_close(arg), -EINVAL);
	return 0;
}

CO_TEST(misuse)
{
	struct weft_scope a, b;
	struct weft_scope_opts opts = {.size = sizeof opts};
	CHECK_RESULT(weft_scope_open(NULL, NULL), -EINVAL);
	opts.size = sizeof opts - 1;
	CHECK_RESULT(weft_scope_open(&a, &opts), -EINVAL);
	opts = (struct weft_scope_opts){.size = sizeof opts, .limit = -1};
	CHECK_RESULT(weft_scope_open(&a, &opts), -EINVAL);
	opts = (struct weft_scope_opts){.size = sizeof opts, .flags = 8};
	CHECK_RESULT(weft_scope_open(&a, &opts), -EINVAL);
	opts.flags = WEFT_SCOPE_FIRST_ERROR | WEFT_SCOPE_FIRST_SUCCESS;
	CHECK_RESULT(weft_scope_open(&a, &opts), -EINVAL);

	CHECK_RESULT(weft_scope_open(&a, NULL), 0);
	CHECK_RESULT(weft_scope_open(&b, NULL), 0);
	CHECK_RESULT(weft_scope_open(&a, NULL), -EINVAL); /* it is open */
	CHECK_RESULT(weft_scope_go(&a, NULL, NULL), -EINVAL);
	CHECK_RESULT(weft_scope_go(NULL, give, NULL), -EINVAL);
	CHECK_RESULT(weft_scope_close(NULL), -EINVAL);
	CHECK_RESULT(weft_scope_close(&a), -EINVAL); /* the last opened first */
	go_in(&a, misuse_from_inside, &a);
	CHECK_EQ(join_co(spawn_co(NULL, misuse_from_outside, &a)), 0);
	CHECK_RESULT(weft_scope_close(&b), 0);
	CHECK_RESULT(weft_scope_go(&b, give, NULL), -EINVAL);
	CHECK_RESULT(weft_scope_close(&b), -EINVAL);
	CHECK_RESULT(weft_scope_close(&a), 0);
}

static void *misuse_of_a_thread(void *arg)
{
	struct weft_scope own;
	CHECK_RESULT(weft_scope_open(&own, NULL), -EINVAL);
	misuse_from_outside(arg);
	CHECK_RESULT(weft_cause(), 0);
	return NULL;
}

TEST(outside_a_coroutine)
{
	struct weft_scope scope = {{0}};
	misuse_of_a_thread(&scope);
}

CO_TEST(from_a_thread)
{
	struct weft_scope scope;
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	join_thread(start_thread(misuse_of_a_thread, &scope));
	CHECK_RESULT(weft_scope_close(&scope), 0);
}

static int return_open(void *arg)
{
	CHECK_RESULT(weft_scope_open(arg, NULL), 0);
	return 0;
}

CO_TEST_ABORTS(returns_with_an_open_scope, "returned with an open scope")
{
	struct weft_scope scope;
	join_co(spawn_co(NULL, return_open, &scope));
}

CO_TEST_ABORTS(member_returns_with_an_open_scope, "returned with an open scope")
{
	struct weft_scope scope, left;
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	go_in(&scope, return_open, &left);
	CHECK_OK(weft_scope_close(&scope));
}

static void open_late(void *arg) { CHECK_RESULT(weft_scope_open(arg, NULL), 0); }

static int defer_open(void *arg)
{
	CHECK_RESULT(weft_defer(open_late, arg), 0);
	return 0;
}

CO_TEST_ABORTS(deferred_leaves_a_scope_open, "returned with an open scope")
{
	struct weft_scope scope;
	join_co(spawn_co(NULL, defer_open, &scope));
}

static void close_late(void *scope)
{
	CHECK_OK(weft_scope_close(scope));
	free(scope);
}

/* A destructor, whose scope the function that it defers closes. */
static void open_until_deferred(void *value)
{
	struct weft_scope *scope = malloc(sizeof *scope);
	CHECK_RESULT(weft_scope_open(scope, NULL), 0);
	CHECK_RESULT(weft_defer(close_late, scope), 0);
	(void)value;
}

CO_TEST(destructor_leaves_its_scope_to_a_deferred_function)
{
	int key;
	CHECK_RESULT(weft_key_create(&key, open_until_deferred), 0);
	CHECK_RESULT(weft_set(key, &key), 0);
}

/* ---- leaving by weft_exit ---------------------------------------------------------------------------------------------- */

struct leaving {
	struct counter cancelled;
	int cause_of_deferred;
};

static int count_cancel(void *arg)
{
	struct leaving *l = arg;
	CHECK_RESULT(sleep_on(NULL), -ECANCELED);
	CHECK_RESULT(weft_cause(), -ECANCELED);
	count_up(&l->cancelled);
	return -ECANCELED;
}

static void note_cause(void *arg)
{
	struct leaving *l = arg;
	l->cause_of_deferred = weft_cause();
}

static int leave_from_within(void *arg)
{
	struct leaving *l = arg;
	struct weft_scope a, b;
	CHECK_RESULT(weft_defer(note_cause, l), 0);
	CHECK_RESULT(weft_scope_open(&a, NULL), 0);
	go_in(&a, count_cancel, l);
	CHECK_RESULT(weft_scope_open(&b, NULL), 0);
	go_in(&b, count_cancel, l);
	go_in(&b, count_cancel, l);
	weft_exit(33);
}

CO_TEST(exit_cancels_and_waits)
{
	struct leaving l = {.cause_of_deferred = 1};
	CHECK_EQ(join_co(spawn_co(NULL, leave_from_within, &l)), 33);
	CHECK_EQ(count_of(&l.cancelled), 3);
	CHECK_EQ(l.cause_of_deferred, 0);
}

static int exit_as_member(void *arg)
{
	leave_from_within(arg);
	return 0;
}

CO_TEST(exit_of_a_member)
{
	struct weft_scope scope;
	struct leaving l = {.cause_of_deferred = 1};
	open_scope(&scope, WEFT_SCOPE_FIRST_SUCCESS, 0, 0);
	go_in(&scope, exit_as_member, &l);
	CHECK_RESULT(weft_scope_close(&scope), 33);
	CHECK_EQ(count_of(&l.cancelled), 3);
}

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

/* Whoever ends last in a scope touches it no more once it can be closed: the memory goes at once. */
CO_TEST(freed_at_once)
{
	int n = test_scaled(20000);
	for (int i = 0; i < n; i++) {
		struct weft_scope *scope = malloc(sizeof *scope);
		CHECK_RESULT(weft_scope_open(scope, NULL), 0);
		go_in(scope, give, value(0));
		go_in(scope, give, value(0));
		if (i % 3 == 0)
			weft_yield();
		if (i % 5 == 0)
			weft_scope_cancel(scope, 0);
		CHECK_RESULT(weft_scope_close(scope), 0);
		for (size_t k = 0; k < sizeof scope->reserved / sizeof *scope->reserved; k++)
			scope->reserved[k] = UINTPTR_MAX / 3;
		free(scope);
	}
}
