/* Coroutines in a scope that have a handle. */
#include <errno.h>
#include <string.h>

#include "scope_util.h"

static struct weft_co *spawn_in(struct weft_scope *scope, const struct weft_attr *attr, weft_fn *fn, void *arg)
{
	struct weft_co *co;
	CHECK_RESULT(weft_scope_spawn(scope, &co, attr, fn, arg), 0);
	return co;
}

static int give(void *arg) { return (int)(intptr_t)arg; }

static int tell_cause(void *arg)
{
	int result = sleep_on(NULL);
	*(int *)arg = weft_cause();
	return result;
}

static int compare_name(void *name) { return strcmp(weft_name(), name); }

CO_TEST(joined_before_and_after_the_close)
{
	struct weft_scope scope;
	char name[] = "weaver";
	struct weft_attr attr = WEFT_ATTR_INIT;
	attr.name = name;
	open_scope(&scope, 0, 0, 0);
	struct weft_co *before = spawn_in(&scope, &attr, compare_name, name);
	struct weft_co *after = spawn_in(&scope, NULL, give, (void *)7);
	struct weft_co *loose = spawn_in(&scope, NULL, give, NULL);
	CHECK_EQ(join_co(before), 0);
	CHECK_RESULT(weft_detach(loose), 0);
	CHECK_RESULT(weft_scope_spawn(&scope, NULL, NULL, give, NULL), 0);
	CHECK_RESULT(weft_scope_close(&scope), 0);
	CHECK_EQ(join_co(after), 7);
}

CO_TEST(refused)
{
	struct weft_scope scope;
	struct weft_co *co;
	struct weft_attr attr = WEFT_ATTR_INIT;
	open_scope(&scope, 0, 1, 0);
	attr.daemon = true;
	CHECK_RESULT(weft_scope_spawn(&scope, &co, &attr, give, NULL), -EINVAL);
	attr.daemon = false;
	attr.size = 1;
	CHECK_RESULT(weft_scope_spawn(&scope, &co, &attr, give, NULL), -EINVAL);
	CHECK_RESULT(weft_scope_spawn(&scope, &co, NULL, NULL, NULL), -EINVAL);
	CHECK_RESULT(weft_scope_spawn(NULL, &co, NULL, give, NULL), -EINVAL);
	co = spawn_in(&scope, NULL, give, (void *)1); /* the place was given back */
	weft_scope_cancel(&scope, -EPIPE);
	struct weft_co *none;
	CHECK_RESULT(weft_scope_spawn(&scope, &none, NULL, give, NULL), -ECANCELED);
	CHECK_RESULT(weft_scope_close(&scope), 0);
	CHECK_EQ(join_co(co), 1);
}

/* Alone, in spite of a shield; its own scopes included. */
static int open_another(void *arg)
{
	struct weft_scope scope;
	open_scope(&scope, 0, 0, 0);
	go_in(&scope, tell_cause, arg);
	return weft_scope_close(&scope);
}

CO_TEST(cancelled_alone)
{
	struct weft_scope scope;
	int causes[3] = {0};
	open_scope(&scope, WEFT_SCOPE_SHIELD, 0, 0);
	struct weft_co *one = spawn_in(&scope, NULL, tell_cause, &causes[0]);
	struct weft_co *other = spawn_in(&scope, NULL, tell_cause, &causes[1]);
	struct weft_co *parent = spawn_in(&scope, NULL, open_another, &causes[2]);
	weft_sleep(WEFT_MS(1));
	CHECK_RESULT(weft_cancel(one), 0);
	CHECK_RESULT(join_co(one), -ECANCELED);
	CHECK_RESULT(causes[0], -ECANCELED);
	CHECK_RESULT(weft_cancel(parent), 0);
	CHECK_RESULT(join_co(parent), -ECANCELED);
	CHECK_RESULT(causes[2], -ECANCELED);
	CHECK_RESULT(weft_join_until(other, NULL, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_cancelled(), 0);
	weft_scope_cancel(&scope, -EPIPE);
	CHECK_RESULT(weft_scope_close(&scope), -ECANCELED);
	CHECK_RESULT(join_co(other), -ECANCELED);
	CHECK_RESULT(causes[1], -EPIPE);
}

/* A shield keeps a shutdown off those inside, handle or not. */
static int shielded(void *arg)
{
	struct weft_scope scope;
	struct weft_co *co;
	open_scope(&scope, WEFT_SCOPE_SHIELD, 0, 0);
	co = spawn_in(&scope, NULL, tell_cause, arg);
	CHECK_RESULT(weft_shutdown(weft_after(WEFT_SEC(50))), 0);
	CHECK_RESULT(weft_join_until(co, NULL, weft_after(WEFT_MS(5))), -ETIMEDOUT);
	weft_scope_cancel(&scope, -EPIPE);
	CHECK_RESULT(weft_scope_close(&scope), -ECANCELED);
	CHECK_RESULT(weft_cancelled(), -ECANCELED);
	return weft_detach(co);
}

TEST(shield_against_shutdown)
{
	int cause = 0;
	CHECK_RESULT(weft_run(NULL, shielded, &cause), 0);
	CHECK_RESULT(cause, -EPIPE);
}

CO_TEST(many)
{
	struct weft_scope scope;
	struct weft_co *co[64];
	int n = test_scaled(200);
	for (int round = 0; round < n; round++) {
		int sum = 0;
		open_scope(&scope, 0, 16, 0);
		for (int i = 0; i < 64; i++)
			co[i] = spawn_in(&scope, NULL, give, (void *)(intptr_t)i);
		if (round % 2)
			CHECK_RESULT(weft_scope_close(&scope), 0);
		for (int i = 0; i < 64; i++)
			sum += join_co(co[i]);
		if (round % 2 == 0)
			CHECK_RESULT(weft_scope_close(&scope), 0);
		CHECK_EQ(sum, 64 * 63 / 2);
	}
}
