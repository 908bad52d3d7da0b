/* Supervisors. Children write what they do into a log: "+a" a runs, "!a" it ends by itself, "-a" it was stopped. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_util.h"

struct diary {
	struct weft_mutex mutex;
	char text[4096];
	_Atomic int length;
	_Atomic int alive; /* children that run */
};

struct actor {
	const char *name;
	struct diary *diary;
	struct weft_supervisor *supervisor;
	struct weft_chan *orders;   /* a result: end with it */
	_Atomic int *gate;          /* not NULL: does not end before that is open */
	int results_unready[4];     /* of the first runs: ends with this, not ready; 0: none */
	_Atomic int runs;
};

static void write_down(struct actor *a, char what)
{
	struct diary *d = a->diary;
	weft_mutex_lock(&d->mutex);
	int n = atomic_load(&d->length);
	CHECK_LT(n, (int)sizeof d->text - 32);
	d->text[n++] = what;
	memcpy(d->text + n, a->name, strlen(a->name) + 1);
	atomic_store(&d->length, n + (int)strlen(a->name));
	weft_mutex_unlock(&d->mutex);
}

static void leave_stage(void *diary)
{
	atomic_fetch_sub(&((struct diary *)diary)->alive, 1);
}

static int act(void *arg)
{
	struct actor *a = arg;
	int run = atomic_fetch_add(&a->runs, 1), result = 0;
	atomic_fetch_add(&a->diary->alive, 1);
	CHECK_RESULT(weft_defer(leave_stage, a->diary), 0);
	write_down(a, '+');
	if (run < 4 && a->results_unready[run] != 0)
		return a->results_unready[run];
	int told = weft_supervisor_ready(a->supervisor), order = -ECANCELED;
	if (told == 0)
		order = weft_chan_recv(a->orders, &result);
	if (a->gate)
		EVENTUALLY(atomic_load(a->gate));
	write_down(a, order == 1 ? '!' : '-');
	return order == 1 ? result : order;
}

/* A supervisor with the actors a, b, c. */
struct stage {
	struct diary diary;
	struct actor actors[3];
	struct weft_child children[3];
	struct weft_supervisor *supervisor;
	struct weft_co *co;
};

static struct stage *prepare(void)
{
	static const char *const names[] = {"a", "b", "c"};
	struct stage *s = calloc(1, sizeof *s);
	for (int i = 0; i < 3; i++) {
		s->actors[i].name = names[i];
		s->actors[i].diary = &s->diary;
		CHECK_RESULT(weft_chan_create(&s->actors[i].orders, sizeof(int), 0), 0);
		s->children[i] = (struct weft_child){.name = names[i], .fn = act, .arg = &s->actors[i], .tells_ready = true};
	}
	return s;
}

static void create(struct stage *s, struct weft_supervisor_opts opts)
{
	opts.size = sizeof opts;
	CHECK_RESULT(weft_supervisor_create(&s->supervisor, &opts, s->children, 3), 0);
	for (int i = 0; i < 3; i++)
		s->actors[i].supervisor = s->supervisor;
}

static struct stage *open_stage(int strategy)
{
	struct stage *s = prepare();
	create(s, (struct weft_supervisor_opts){.strategy = strategy});
	return s;
}

static void begin(struct stage *s)
{
	s->co = spawn_co(NULL, weft_supervisor_run, s->supervisor);
}

static void await_text(struct stage *s, const char *text)
{
	EVENTUALLY(atomic_load(&s->diary.length) >= (int)strlen(text));
	weft_mutex_lock(&s->diary.mutex);
	CHECK_STR(s->diary.text, text);
	weft_mutex_unlock(&s->diary.mutex);
}

/* Ends actor i with a result. */
static void order(struct stage *s, int i, int result)
{
	CHECK_RESULT(weft_chan_send(s->actors[i].orders, &result), 0);
}

/* The supervisor ends with this result, and nobody is left. */
static void check_stage(struct stage *s, const char *text)
{
	CHECK_EQ(atomic_load(&s->diary.alive), 0);
	CHECK_STR(s->diary.text, text);
	CHECK_RESULT(weft_supervisor_destroy(s->supervisor), 0);
	for (int i = 0; i < 3; i++)
		CHECK_RESULT(weft_chan_destroy(s->actors[i].orders), 0);
	free(s);
}

static void close_stage(struct stage *s, int result, const char *text)
{
	CHECK_RESULT(join_co(s->co), result);
	check_stage(s, text);
}

static void cancel_stage(struct stage *s, const char *text)
{
	CHECK_RESULT(weft_cancel(s->co), 0);
	close_stage(s, -ECANCELED, text);
}

/* ---- strategies ------------------------------------------------------------------------------------------------------ */

static const struct {
	int strategy, restart, result;
	const char *before, *after; /* the cancel */
} table[] = {
	{WEFT_ONE_FOR_ONE, WEFT_PERMANENT, 0, "+a+b+c!b+b", "-c-b-a"},
	{WEFT_ONE_FOR_ONE, WEFT_PERMANENT, -EIO, "+a+b+c!b+b", "-c-b-a"},
	{WEFT_ONE_FOR_ONE, WEFT_TRANSIENT, 0, "+a+b+c!b", "-c-a"},
	{WEFT_ONE_FOR_ONE, WEFT_TRANSIENT, 5, "+a+b+c!b", "-c-a"},
	{WEFT_ONE_FOR_ONE, WEFT_TRANSIENT, -EIO, "+a+b+c!b+b", "-c-b-a"},
	{WEFT_ONE_FOR_ONE, WEFT_TEMPORARY, 0, "+a+b+c!b", "-c-a"},
	{WEFT_ONE_FOR_ONE, WEFT_TEMPORARY, -EIO, "+a+b+c!b", "-c-a"},
	{WEFT_ONE_FOR_ALL, WEFT_PERMANENT, 0, "+a+b+c!b-c-a+a+b+c", "-c-b-a"},
	{WEFT_ONE_FOR_ALL, WEFT_PERMANENT, -EIO, "+a+b+c!b-c-a+a+b+c", "-c-b-a"},
	{WEFT_ONE_FOR_ALL, WEFT_TRANSIENT, 0, "+a+b+c!b", "-c-a"},
	{WEFT_ONE_FOR_ALL, WEFT_TRANSIENT, -EIO, "+a+b+c!b-c-a+a+b+c", "-c-b-a"},
	{WEFT_ONE_FOR_ALL, WEFT_TEMPORARY, 0, "+a+b+c!b", "-c-a"},
	{WEFT_ONE_FOR_ALL, WEFT_TEMPORARY, -EIO, "+a+b+c!b", "-c-a"},
	{WEFT_REST_FOR_ONE, WEFT_PERMANENT, 0, "+a+b+c!b-c+b+c", "-c-b-a"},
	{WEFT_REST_FOR_ONE, WEFT_PERMANENT, -EIO, "+a+b+c!b-c+b+c", "-c-b-a"},
	{WEFT_REST_FOR_ONE, WEFT_TRANSIENT, 0, "+a+b+c!b", "-c-a"},
	{WEFT_REST_FOR_ONE, WEFT_TRANSIENT, -EIO, "+a+b+c!b-c+b+c", "-c-b-a"},
	{WEFT_REST_FOR_ONE, WEFT_TEMPORARY, 0, "+a+b+c!b", "-c-a"},
	{WEFT_REST_FOR_ONE, WEFT_TEMPORARY, -EIO, "+a+b+c!b", "-c-a"},
};

CO_TEST(strategies_and_kinds)
{
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		char all[64];
		struct stage *s = prepare();
		s->children[1].restart = table[i].restart;
		create(s, (struct weft_supervisor_opts){.strategy = table[i].strategy});
		begin(s);
		await_text(s, "+a+b+c");
		order(s, 1, table[i].result);
		await_text(s, table[i].before);
		snprintf(all, sizeof all, "%s%s", table[i].before, table[i].after);
		cancel_stage(s, all);
	}
}

CO_TEST(temporary_siblings_are_not_started_again)
{
	struct stage *s = prepare();
	s->children[0].restart = s->children[2].restart = WEFT_TEMPORARY;
	create(s, (struct weft_supervisor_opts){.strategy = WEFT_ONE_FOR_ALL});
	begin(s);
	await_text(s, "+a+b+c");
	order(s, 1, -EIO);
	await_text(s, "+a+b+c!b-c-a+b");
	cancel_stage(s, "+a+b+c!b-c-a+b-b");
}

CO_TEST(transient_siblings_that_have_ended_are)
{
	struct stage *s = prepare();
	s->children[2].restart = WEFT_TRANSIENT;
	create(s, (struct weft_supervisor_opts){.strategy = WEFT_REST_FOR_ONE});
	begin(s);
	await_text(s, "+a+b+c");
	order(s, 2, 0);
	await_text(s, "+a+b+c!c");
	order(s, 1, -EIO);
	await_text(s, "+a+b+c!c!b+b+c");
	cancel_stage(s, "+a+b+c!c!b+b+c-c-b-a");
}

CO_TEST(ends_with_the_last)
{
	struct stage *s = prepare();
	for (int i = 0; i < 3; i++)
		s->children[i].restart = i == 1 ? WEFT_TEMPORARY : WEFT_TRANSIENT;
	create(s, (struct weft_supervisor_opts){.size = 0});
	begin(s);
	await_text(s, "+a+b+c");
	order(s, 0, 0);
	await_text(s, "+a+b+c!a");
	order(s, 1, -EIO);
	await_text(s, "+a+b+c!a!b");
	order(s, 2, 9);
	close_stage(s, 0, "+a+b+c!a!b!c");
}

CO_TEST(nobody_to_look_after)
{
	struct weft_supervisor *supervisor;
	CHECK_RESULT(weft_supervisor_create(&supervisor, NULL, NULL, 0), 0);
	CHECK_RESULT(weft_supervisor_run(supervisor), 0);
	CHECK_RESULT(weft_supervisor_run(supervisor), 0);
	CHECK_RESULT(weft_supervisor_destroy(supervisor), 0);
	CHECK_RESULT(weft_supervisor_destroy(NULL), 0);
}

/* ---- intensity ------------------------------------------------------------------------------------------------------- */

CO_TEST(too_often)
{
	struct stage *s = prepare();
	create(s, (struct weft_supervisor_opts){.max_restarts = 3, .period_ns = WEFT_SEC(1000)});
	begin(s);
	await_text(s, "+a+b+c");
	for (int i = 0; i < 4; i++)
		order(s, 1, -EIO);
	CHECK_RESULT(join_co(s->co), -ELOOP);
	CHECK_EQ(weft_supervisor_restarts(s->supervisor), 3);
	begin(s); /* another run begins anew */
	await_text(s, "+a+b+c!b+b!b+b!b+b!b-c-a+a+b+c");
	CHECK_EQ(weft_supervisor_restarts(s->supervisor), 3);
	cancel_stage(s, "+a+b+c!b+b!b+b!b+b!b-c-a+a+b+c-c-b-a");
}

CO_TEST(often_within_a_long_period)
{
	struct stage *s = prepare();
	create(s, (struct weft_supervisor_opts){.max_restarts = 100, .period_ns = WEFT_SEC(1000)});
	begin(s);
	for (int i = 0; i < 101; i++)
		order(s, 1, -EIO);
	CHECK_RESULT(join_co(s->co), -ELOOP);
	CHECK_EQ(weft_supervisor_restarts(s->supervisor), 100);
	begin(s);
	for (int i = 0; i < 50; i++)
		order(s, 1, -EIO);
	CHECK_RESULT(weft_cancel(s->co), 0);
	CHECK_RESULT(join_co(s->co), -ECANCELED);
	s->co = spawn_co(NULL, weft_supervisor_run, NULL);
	strcpy(s->diary.text, "");
	close_stage(s, -EINVAL, "");
}

CO_TEST(not_once)
{
	struct stage *s = prepare();
	create(s, (struct weft_supervisor_opts){.max_restarts = -1, .strategy = WEFT_ONE_FOR_ALL});
	begin(s);
	await_text(s, "+a+b+c");
	order(s, 0, 0);
	close_stage(s, -ELOOP, "+a+b+c!a-c-b");
}

CO_TEST(often_enough_apart)
{
	struct stage *s = prepare();
	int n = test_scaled(200);
	create(s, (struct weft_supervisor_opts){.max_restarts = 1, .period_ns = 1});
	begin(s);
	for (int i = 0; i < n; i++)
		order(s, 1, -EIO);
	EVENTUALLY(weft_supervisor_restarts(s->supervisor) == (uint64_t)n);
	struct weft_child_state state = {.size = sizeof state};
	CHECK_RESULT(weft_supervisor_look(s->supervisor, "b", &state), 0);
	CHECK_EQ(state.restarts, n);
	CHECK_RESULT(state.result, -EIO);
	CHECK_RESULT(weft_cancel(s->co), 0);
	CHECK_RESULT(join_co(s->co), -ECANCELED);
	s->co = spawn_co(NULL, weft_supervisor_run, NULL);
	strcpy(s->diary.text, "");
	close_stage(s, -EINVAL, "");
}

/* ---- starts that fail ------------------------------------------------------------------------------------------------ */

CO_TEST(first_start_fails)
{
	struct stage *s = prepare();
	s->actors[1].results_unready[0] = -ENOENT;
	create(s, (struct weft_supervisor_opts){.max_restarts = 5});
	begin(s);
	close_stage(s, -ENOENT, "+a+b-a");
	s = prepare();
	s->actors[2].results_unready[0] = 1;
	create(s, (struct weft_supervisor_opts){.max_restarts = 5});
	begin(s);
	close_stage(s, -ECHILD, "+a+b+c-b-a");
}

CO_TEST(a_restart_fails_and_is_tried_again)
{
	static const char *const expected[] = {
		"+a+b+c!b+b+b+b",
		"+a+b+c!b-c-a+a+b-a+a+b-a+a+b+c",
		"+a+b+c!b-c+b+b+b+c",
	};
	for (int strategy = WEFT_ONE_FOR_ONE; strategy <= WEFT_REST_FOR_ONE; strategy++) {
		char all[64];
		struct stage *s = prepare();
		s->actors[1].results_unready[1] = -ENOENT;
		s->actors[1].results_unready[2] = 7;
		create(s, (struct weft_supervisor_opts){.strategy = strategy, .max_restarts = 3});
		begin(s);
		await_text(s, "+a+b+c");
		order(s, 1, 0);
		await_text(s, expected[strategy]);
		CHECK_EQ(weft_supervisor_restarts(s->supervisor), 3);
		snprintf(all, sizeof all, "%s-c-b-a", expected[strategy]);
		cancel_stage(s, all);
	}
}

CO_TEST(a_restart_fails_too_often)
{
	struct stage *s = prepare();
	s->actors[1].results_unready[1] = s->actors[1].results_unready[2] = -ENOENT;
	create(s, (struct weft_supervisor_opts){.strategy = WEFT_REST_FOR_ONE, .max_restarts = 2});
	begin(s);
	await_text(s, "+a+b+c");
	order(s, 1, 0);
	close_stage(s, -ELOOP, "+a+b+c!b-c+b+b-a");
}

/* ---- stopping -------------------------------------------------------------------------------------------------------- */

CO_TEST_EXITS(one_ignores_its_stop, 0, "supervisor: \"b\"")
{
	struct stage *s = prepare();
	_Atomic int gate = 0;
	s->actors[1].gate = &gate;
	s->children[1].stop_ns = WEFT_MS(1);
	create(s, (struct weft_supervisor_opts){.size = 0});
	begin(s);
	await_text(s, "+a+b+c");
	CHECK_RESULT(weft_cancel(s->co), 0);
	await_text(s, "+a+b+c-c-a"); /* the others are stopped */
	CHECK_RESULT(weft_join_until(s->co, NULL, weft_after(WEFT_MS(5))), -ETIMEDOUT);
	atomic_store(&gate, 1);
	close_stage(s, -ETIMEDOUT, "+a+b+c-c-a-b");
}

CO_TEST_EXITS(one_ignores_the_stop_of_a_restart, 0, "supervisor: \"c\"")
{
	struct stage *s = prepare();
	_Atomic int gate = 0;
	s->actors[2].gate = &gate;
	s->children[2].stop_ns = 1;
	create(s, (struct weft_supervisor_opts){.strategy = WEFT_ONE_FOR_ALL});
	begin(s);
	await_text(s, "+a+b+c");
	order(s, 1, -EIO);
	await_text(s, "+a+b+c!b-a");
	atomic_store(&gate, 1);
	close_stage(s, -ETIMEDOUT, "+a+b+c!b-a-c");
}

CO_TEST(cancelled_in_the_middle_of_a_restart)
{
	struct stage *s = prepare();
	_Atomic int gate = 0;
	s->actors[0].gate = &gate;
	s->children[0].stop_ns = INT64_MAX;
	create(s, (struct weft_supervisor_opts){.strategy = WEFT_ONE_FOR_ALL});
	begin(s);
	await_text(s, "+a+b+c");
	order(s, 1, -EIO);
	await_text(s, "+a+b+c!b-c"); /* now it stops a */
	CHECK_RESULT(weft_cancel(s->co), 0);
	weft_sleep(WEFT_MS(1));
	atomic_store(&gate, 1);
	close_stage(s, -ECANCELED, "+a+b+c!b-c-a");
}

static int never_ready(void *arg)
{
	struct actor *a = arg;
	write_down(a, '+');
	int result = weft_sleep(WEFT_SEC(1000));
	write_down(a, '-');
	return result;
}

CO_TEST(cancelled_while_one_is_not_ready)
{
	struct stage *s = prepare();
	s->children[1].fn = never_ready;
	create(s, (struct weft_supervisor_opts){.size = 0});
	begin(s);
	await_text(s, "+a+b");
	cancel_stage(s, "+a+b-b-a");
}

CO_TEST(cancelled_before_it_runs)
{
	struct weft_scope scope;
	struct stage *s = open_stage(WEFT_ONE_FOR_ONE);
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	weft_scope_cancel(&scope, 0);
	CHECK_RESULT(weft_supervisor_run(s->supervisor), -ECANCELED);
	CHECK_RESULT(weft_scope_close(&scope), 0);
	begin(s);
	await_text(s, "+a+b+c");
	cancel_stage(s, "+a+b+c-c-b-a");
}

CO_TEST(the_deadline_of_a_scope_around_it)
{
	struct weft_scope scope;
	struct stage *s = open_stage(WEFT_ONE_FOR_ONE);
	struct weft_scope_opts opts = {.size = sizeof opts, .deadline = weft_after(WEFT_MS(30))};
	CHECK_RESULT(weft_scope_open(&scope, &opts), 0);
	CHECK_RESULT(weft_supervisor_run(s->supervisor), -ECANCELED);
	CHECK_RESULT(weft_cause(), -ETIMEDOUT);
	CHECK_RESULT(weft_scope_close(&scope), 0);
	CHECK_EQ(atomic_load(&s->diary.alive), 0);
	s->diary.length = 0;
	begin(s);
	await_text(s, "+a+b+c");
	cancel_stage(s, "+a+b+c-c-b-a");
}

static int shut_down(void *arg)
{
	struct stage *s = arg;
	begin(s);
	await_text(s, "+a+b+c");
	CHECK_RESULT(weft_shutdown(weft_after(WEFT_SEC(50))), 0);
	return weft_detach(s->co);
}

TEST(a_shutdown_keeps_the_order)
{
	struct stage *s = open_stage(WEFT_ONE_FOR_ONE);
	CHECK_RESULT(weft_run(NULL, shut_down, s), 0);
	check_stage(s, "+a+b+c-c-b-a");
}

/* ---- nested ---------------------------------------------------------------------------------------------------------- */

CO_TEST(nested)
{
	struct stage *s = prepare(), *sub = open_stage(WEFT_REST_FOR_ONE);
	for (int i = 0; i < 3; i++) {
		sub->actors[i].diary = &s->diary;
		sub->actors[i].name = &"x\0y\0z"[2 * i];
	}
	s->children[1] = (struct weft_child){.name = "sub", .fn = weft_supervisor_run, .arg = sub->supervisor};
	s->children[1].stop_ns = INT64_MAX;
	create(s, (struct weft_supervisor_opts){.strategy = WEFT_REST_FOR_ONE, .max_restarts = 1});
	begin(s);
	EVENTUALLY(atomic_load(&s->diary.length) == 10); /* c need not wait for x, y, z */
	s->diary.length = 0;
	order(sub, 1, -EIO);
	await_text(s, "!y-z+y+z"); /* the inner one knows what to do */
	order(sub, 2, -EIO);
	EVENTUALLY(atomic_load(&s->diary.length) == 16 + 8); /* once: then the outer one, of which c is the rest */
	CHECK_MEM(s->diary.text, "!y-z+y+z!z-y-x-c", 16);
	s->diary.length = 0;
	cancel_stage(s, "-c-z-y-x-a");
	CHECK_EQ(weft_supervisor_restarts(sub->supervisor), 1);
	CHECK_RESULT(weft_supervisor_destroy(sub->supervisor), 0);
	for (int i = 0; i < 3; i++)
		weft_chan_destroy(sub->actors[i].orders);
	free(sub);
}

/* ---- at run time ----------------------------------------------------------------------------------------------------- */

static uint64_t id_of(struct weft_supervisor *supervisor, const char *name)
{
	struct weft_child_state state = {.size = sizeof state};
	CHECK_RESULT(weft_supervisor_look(supervisor, name, &state), 0);
	return state.id;
}

static void *add_from_thread(void *arg)
{
	struct stage *s = arg;
	CHECK_RESULT(weft_supervisor_add(s->supervisor, &s->children[0]), 0);
	CHECK_RESULT(weft_supervisor_remove(s->supervisor, "a"), 0);
	return NULL;
}

CO_TEST(added_and_removed)
{
	struct stage *s = prepare();
	struct weft_supervisor_opts opts = {.size = sizeof opts, .stay = true};
	struct weft_child_state state = {.size = sizeof state};
	CHECK_RESULT(weft_supervisor_create(&s->supervisor, &opts, NULL, 0), 0);
	for (int i = 0; i < 3; i++)
		s->actors[i].supervisor = s->supervisor;
	CHECK_RESULT(weft_supervisor_add(s->supervisor, &s->children[0]), -ESRCH);
	begin(s);
	EVENTUALLY(weft_supervisor_add(s->supervisor, &s->children[1]) == 0);
	await_text(s, "+b");
	CHECK_RESULT(weft_supervisor_run(s->supervisor), -EBUSY);
	CHECK_RESULT(weft_supervisor_destroy(s->supervisor), -EBUSY);
	CHECK_RESULT(weft_supervisor_add(s->supervisor, &s->children[1]), -EEXIST);
	CHECK_RESULT(weft_supervisor_add(s->supervisor, &s->children[2]), 0);
	await_text(s, "+b+c");
	CHECK_NE(id_of(s->supervisor, "b"), 0);
	CHECK_NE(id_of(s->supervisor, "b"), id_of(s->supervisor, "c"));
	order(s, 1, -EIO);
	await_text(s, "+b+c!b+b");
	CHECK_RESULT(weft_supervisor_remove(s->supervisor, "b"), 0);
	await_text(s, "+b+c!b+b-b");
	CHECK_RESULT(weft_supervisor_remove(s->supervisor, "b"), -ENOENT);
	CHECK_RESULT(weft_supervisor_look(s->supervisor, "b", &state), -ENOENT);
	s->actors[0].results_unready[0] = -EIO;
	CHECK_RESULT(weft_supervisor_add(s->supervisor, &s->children[0]), -EIO);
	CHECK_RESULT(weft_supervisor_look(s->supervisor, "a", &state), -ENOENT);
	CHECK_RESULT(weft_supervisor_remove(s->supervisor, "c"), 0); /* none is left, but it stays */
	join_thread(start_thread(add_from_thread, s));
	cancel_stage(s, "+b+c!b+b-b+a-c+a-a");
}

CO_TEST_EXITS(removed_but_goes_on, 0, "supervisor: \"b\"")
{
	struct stage *s = prepare();
	struct weft_child_state state = {.size = sizeof state};
	_Atomic int gate = 0;
	s->actors[1].gate = &gate;
	s->children[1].stop_ns = 1;
	create(s, (struct weft_supervisor_opts){.size = 0});
	begin(s);
	await_text(s, "+a+b+c");
	CHECK_RESULT(weft_supervisor_remove(s->supervisor, "b"), -ETIMEDOUT);
	atomic_store(&gate, 1);
	await_text(s, "+a+b+c-b");
	EVENTUALLY(weft_supervisor_look(s->supervisor, "b", &state) == -ENOENT);
	cancel_stage(s, "+a+b+c-b-c-a");
}

/* What a child may ask of its own supervisor. */
static int ask(void *arg)
{
	struct actor *a = arg;
	struct weft_child other = {.name = "other", .fn = act, .arg = a, .restart = WEFT_TEMPORARY};
	CHECK_RESULT(weft_supervisor_ready(a->supervisor), 0);
	CHECK_RESULT(weft_supervisor_ready(a->supervisor), -EALREADY);
	CHECK_RESULT(weft_supervisor_remove(a->supervisor, "b"), -EDEADLK);
	CHECK_RESULT(weft_supervisor_remove(a->supervisor, "a"), 0);
	other.fn = never_ready;
	CHECK_RESULT(weft_supervisor_add(a->supervisor, &other), 0);
	weft_exit(-EIO);
}

CO_TEST(asked_by_a_child)
{
	struct stage *s = prepare();
	struct weft_child_state state = {.size = sizeof state};
	s->children[1].fn = ask;
	s->children[1].restart = WEFT_TEMPORARY;
	create(s, (struct weft_supervisor_opts){.size = 0});
	begin(s);
	EVENTUALLY(weft_supervisor_look(s->supervisor, "other", &state) == 0);
	EVENTUALLY(weft_supervisor_look(s->supervisor, "b", &state) == -ENOENT);
	await_text(s, "+a+c-a+b");
	CHECK_RESULT(weft_supervisor_ready(s->supervisor), -EINVAL);
	cancel_stage(s, "+a+c-a+b-b-c");
}

TEST(refused)
{
	struct weft_supervisor *supervisor;
	struct weft_supervisor_opts opts = {.size = sizeof opts, .strategy = 3};
	struct weft_child children[2] = {{.name = "a", .fn = act}, {.name = "a", .fn = act}};
	CHECK_RESULT(weft_supervisor_create(&supervisor, &opts, children, 1), -EINVAL);
	opts = (struct weft_supervisor_opts){.size = sizeof opts, .max_restarts = -2};
	CHECK_RESULT(weft_supervisor_create(&supervisor, &opts, children, 1), -EINVAL);
	opts = (struct weft_supervisor_opts){.size = 1};
	CHECK_RESULT(weft_supervisor_create(&supervisor, &opts, children, 1), -EINVAL);
	CHECK_RESULT(weft_supervisor_create(&supervisor, NULL, children, 2), -EINVAL);
	CHECK_RESULT(weft_supervisor_create(NULL, NULL, children, 1), -EINVAL);
	children[0].name = NULL;
	CHECK_RESULT(weft_supervisor_create(&supervisor, NULL, children, 1), -EINVAL);
	children[0] = (struct weft_child){.name = "a", .fn = act, .restart = 3};
	CHECK_RESULT(weft_supervisor_create(&supervisor, NULL, children, 1), -EINVAL);
	children[0] = (struct weft_child){.name = "a"};
	CHECK_RESULT(weft_supervisor_create(&supervisor, NULL, children, 1), -EINVAL);
	CHECK_RESULT(weft_supervisor_create(&supervisor, NULL, &children[1], 1), 0);
	CHECK_RESULT(weft_supervisor_run(supervisor), -EINVAL);
	CHECK_RESULT(weft_supervisor_destroy(supervisor), 0);
}

/* ---- everything at once ---------------------------------------------------------------------------------------------- */

struct troupe {
	struct weft_supervisor *supervisor;
	_Atomic int alive;
	_Atomic int over;
	uint64_t seed;
};

static int fail_sometimes(void *arg)
{
	struct troupe *t = arg;
	atomic_fetch_add(&t->alive, 1);
	int result = weft_sleep((int64_t)(weft_self() % 300) * 1000);
	atomic_fetch_sub(&t->alive, 1);
	return result < 0 ? result : (int)(weft_self() % 3) - 1;
}

static int meddle(void *arg)
{
	struct troupe *t = arg;
	uint64_t random = t->seed ^ weft_self();
	while (!atomic_load(&t->over)) {
		char name[] = "0";
		name[0] = (char)('0' + random_below(&random, 6));
		struct weft_child child = {.name = name, .fn = fail_sometimes, .arg = t, .restart = (int)random_below(&random, 3)};
		struct weft_child_state state = {.size = sizeof state};
		int result = random_below(&random, 2) ? weft_supervisor_add(t->supervisor, &child)
						      : weft_supervisor_remove(t->supervisor, name);
		CHECK(result == 0 || result == -EEXIST || result == -ENOENT || result == -ESRCH || result == -ECANCELED);
		result = weft_supervisor_look(t->supervisor, name, &state);
		CHECK(result == 0 || result == -ENOENT);
		rest();
	}
	return 0;
}

CO_TEST(nobody_is_left)
{
	struct weft_co *co[3];
	struct troupe t = {.seed = random_seed() | 1};
	for (int round = 0, rounds = test_scaled(60); round < rounds; round++) {
		struct weft_supervisor_opts opts = {.size = sizeof opts, .strategy = round % 3, .max_restarts = 1000, .stay = true};
		struct weft_child child = {.name = "0", .fn = fail_sometimes, .arg = &t};
		CHECK_RESULT(weft_supervisor_create(&t.supervisor, &opts, &child, 1), 0);
		atomic_store(&t.over, 0);
		co[0] = spawn_co(NULL, weft_supervisor_run, t.supervisor);
		for (int i = 1; i < 3; i++)
			co[i] = spawn_co(NULL, meddle, &t);
		weft_sleep((int64_t)random_below(&t.seed, 5000) * 1000);
		CHECK_RESULT(weft_cancel(co[0]), 0);
		CHECK_RESULT(join_co(co[0]), -ECANCELED);
		CHECK_EQ(atomic_load(&t.alive), 0);
		atomic_store(&t.over, 1);
		CHECK_EQ(join_co(co[1]), 0);
		CHECK_EQ(join_co(co[2]), 0);
		CHECK_RESULT(weft_supervisor_destroy(t.supervisor), 0);
	}
}
