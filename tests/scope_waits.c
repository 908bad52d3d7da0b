/* A cancel reaches every call that waits, in whatever way it comes. A case for each kind of waiting call; inside, every way to
 * cancel is tried on it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_util.h"
#include "scope_util.h"

/* ---- the stage: one coroutine that waits, and what it waits for ------------------------------------------------------ */

struct stage;

struct kind {
	const char *name;
	enum wf_reason why;             /* as which it waits */
	void (*prepare)(struct stage *); /* outside of any scope */
	int (*wait)(struct stage *);    /* would wait for ever */
	void (*clean)(struct stage *);  /* checks that nothing was lost or taken */
};

enum { CLOGS = 8 };

struct stage {
	const struct kind *kind;
	int cause; /* that is expected */
	wf_word waiter; /* its control block, once it is about to wait */
	struct counter held; /* a helper is where it should be */
	int fds[2], clogs[CLOGS];
	char addr[64];
	struct weft_co *helper;
	wf_word helper_co;
	size_t filled;
	char byte;
};

static void expect(const struct stage *s, const char *what, int result, int expected)
{
	if (result != expected)
		test_fail(__FILE__, __LINE__, "%s, %s: %d (%s), not %d", s->kind->name, what, result, weft_strerror(result),
			  expected);
}

/* What the coroutine does that is to be cancelled. */
static int wait_on_stage(void *arg)
{
	struct stage *s = arg;
	wf_store_release(&s->waiter, (uintptr_t)running_co());
	expect(s, "the wait", s->kind->wait(s), -ECANCELED);
	expect(s, "the cause", weft_cause(), s->cause);
	expect(s, "once more", s->kind->wait(s), -ECANCELED);
	expect(s, "weft_cancelled", weft_cancelled(), -ECANCELED);
	expect(s, "a sleep", weft_sleep(WEFT_SEC(10000)), -ECANCELED);
	return -ECANCELED;
}

static void await_stage(struct stage *s)
{
	EVENTUALLY(wf_load_acquire(&s->waiter) != 0);
	await_waiting(wf_load_ptr_acquire(&s->waiter), s->kind->why);
}

/* ---- the ways ---------------------------------------------------------------------------------------------------------- */

/* A member waits; who opened the scope cancels it. */
static void by_the_opener(struct stage *s)
{
	struct weft_scope scope;
	s->cause = -EIO;
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	go_in(&scope, wait_on_stage, s);
	await_stage(s);
	weft_scope_cancel(&scope, -EIO);
	CHECK_RESULT(weft_scope_close(&scope), -ECANCELED);
}

static void *cancel_scope(void *scope)
{
	weft_scope_cancel(scope, -EPIPE);
	return NULL;
}

static void by_a_thread(struct stage *s)
{
	struct weft_scope scope;
	s->cause = -EPIPE;
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	go_in(&scope, wait_on_stage, s);
	await_stage(s);
	join_thread(start_thread(cancel_scope, &scope));
	CHECK_RESULT(weft_scope_close(&scope), -ECANCELED);
}

static int fail_when_it_waits(void *arg)
{
	struct stage *s = arg;
	await_stage(s);
	return -ENOSPC;
}

/* Who opened the scope waits in it; a member's error cancels. */
static void by_an_error(struct stage *s)
{
	struct weft_scope scope;
	s->cause = -ENOSPC;
	open_scope(&scope, WEFT_SCOPE_FIRST_ERROR, 0, 0);
	go_in(&scope, fail_when_it_waits, s);
	wait_on_stage(s);
	CHECK_RESULT(weft_scope_close(&scope), -ENOSPC);
}

static void by_deadline(struct stage *s)
{
	struct weft_scope scope;
	s->cause = -ETIMEDOUT;
	open_scope(&scope, 0, 0, weft_after(WEFT_MS(5)));
	go_in(&scope, wait_on_stage, s);
	CHECK_RESULT(weft_scope_close(&scope), -ECANCELED);
}

static void by_deadline_of_the_opener(struct stage *s)
{
	struct weft_scope scope;
	s->cause = -ETIMEDOUT;
	open_scope(&scope, 0, 0, weft_after(WEFT_MS(5)));
	wait_on_stage(s);
	CHECK_RESULT(weft_scope_close(&scope), 0);
}

static int wait_further_in(void *arg)
{
	struct weft_scope a, b;
	CHECK_RESULT(weft_scope_open(&a, NULL), 0);
	CHECK_RESULT(weft_scope_open(&b, NULL), 0);
	go_in(&b, wait_on_stage, arg);
	CHECK_RESULT(weft_scope_close(&b), -ECANCELED);
	return weft_scope_close(&a);
}

/* Two scopes and a coroutine between who is cancelled and who waits. */
static void by_an_outer_scope(struct stage *s)
{
	struct weft_scope scope;
	s->cause = -EXDEV;
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	go_in(&scope, wait_further_in, s);
	await_stage(s);
	weft_scope_cancel(&scope, -EXDEV);
	CHECK_RESULT(weft_scope_close(&scope), 0);
}

static int open_and_close(void *arg)
{
	struct weft_scope scope;
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	go_in(&scope, wait_on_stage, arg);
	return weft_scope_close(&scope);
}

/* weft_cancel of a coroutine that waits in weft_scope_close: what is inside its scope hears it. */
static void by_cancel_of_the_opener(struct stage *s)
{
	struct weft_co *co = spawn_co(NULL, open_and_close, s);
	s->cause = -ECANCELED;
	await_stage(s);
	CHECK_RESULT(weft_cancel(co), 0);
	CHECK_RESULT(join_co(co), -ECANCELED);
}

static int open_and_wait(void *arg)
{
	struct weft_scope scope;
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	int result = wait_on_stage(arg);
	CHECK_RESULT(weft_scope_close(&scope), 0);
	return result;
}

static void by_cancel_of_who_waits(struct stage *s)
{
	struct weft_co *co = spawn_co(NULL, open_and_wait, s);
	s->cause = -ECANCELED;
	await_stage(s);
	CHECK_RESULT(weft_cancel(co), 0);
	CHECK_RESULT(join_co(co), -ECANCELED);
}

/* It never gets to wait. */
static void before_the_call(struct stage *s)
{
	struct weft_scope scope;
	s->cause = -EIO;
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	weft_scope_cancel(&scope, -EIO);
	wait_on_stage(s);
	CHECK_RESULT(weft_scope_close(&scope), 0);
}

static void in_every_way(const struct kind *kind)
{
	static void (*const ways[])(struct stage *) = {
		by_the_opener, by_a_thread, by_an_error, by_deadline, by_deadline_of_the_opener, by_an_outer_scope,
		by_cancel_of_the_opener, by_cancel_of_who_waits, before_the_call,
	};
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		struct stage s = {.kind = kind};
		if (kind->prepare)
			kind->prepare(&s);
		ways[i](&s);
		if (kind->clean)
			kind->clean(&s);
	}
}

#define WAIT_TEST(name_, why_, prepare_, wait_, clean_)                                            \
	CO_TEST(name_)                                                                             \
	{                                                                                          \
		in_every_way(&(struct kind){#name_, why_, prepare_, wait_, clean_});               \
	}

/* ---- coroutines -------------------------------------------------------------------------------------------------------- */

static int wait_sleep(struct stage *s)
{
	(void)s;
	return sleep_on(NULL);
}
WAIT_TEST(sleep_, WF_WHY_SLEEP, NULL, wait_sleep, NULL)

static int help_until_told(void *arg)
{
	EVENTUALLY(count_of(arg) > 0);
	return 77;
}

static void prepare_join(struct stage *s) { s->helper = spawn_co(NULL, help_until_told, &s->held); }
static int wait_join(struct stage *s) { return weft_join(s->helper, NULL); }
static void clean_join(struct stage *s)
{
	count_up(&s->held);
	CHECK_EQ(join_co(s->helper), 77); /* the handle is good, and so is the result */
}
WAIT_TEST(join, WF_WHY_JOIN, prepare_join, wait_join, clean_join)

static int wait_join_until(struct stage *s) { return weft_join_until(s->helper, NULL, weft_after(WEFT_SEC(10000))); }
WAIT_TEST(join_until, WF_WHY_JOIN, prepare_join, wait_join_until, clean_join)

/* A scope of its own that is full; with what fills it behind a shield, so that nothing but the cancel ends the wait. */
static int hold_place(void *arg)
{
	struct stage *s = arg;
	struct weft_scope shield;
	open_scope(&shield, WEFT_SCOPE_SHIELD, 0, 0);
	EVENTUALLY(count_of(&s->held) > 0);
	return weft_scope_close(&shield);
}

static int wait_scope_go(struct stage *s)
{
	struct weft_scope full;
	int result;
	open_scope(&full, 0, 1, 0);
	if (weft_scope_go(&full, hold_place, s) == 0)
		result = weft_scope_go(&full, hold_place, s);
	else
		result = -ECANCELED;
	count_up(&s->held);
	CHECK_RESULT(weft_scope_close(&full), 0);
	return result;
}
WAIT_TEST(scope_go, WF_WHY_SCOPE, NULL, wait_scope_go, NULL)

/* ---- descriptors --------------------------------------------------------------------------------------------------------- */

static void prepare_pair(struct stage *s) { unix_pair(s->fds, SOCK_STREAM); }

static int wait_read(struct stage *s) { return (int)weft_read(s->fds[0], &s->byte, 1); }
static void clean_read(struct stage *s)
{
	CHECK_EQ(weft_write(s->fds[1], "x", 1), 1);
	CHECK_EQ(weft_read(s->fds[0], &s->byte, 1), 1);
	CHECK_EQ(s->byte, 'x');
	close_pair(s->fds);
}
WAIT_TEST(read_, WF_WHY_READ, prepare_pair, wait_read, clean_read)

static int wait_read_full(struct stage *s)
{
	size_t done;
	return weft_read_full(s->fds[0], &s->byte, 1, &done);
}
WAIT_TEST(read_full, WF_WHY_READ, prepare_pair, wait_read_full, clean_read)

static int read_first(void *arg)
{
	struct stage *s = arg;
	char c;
	wf_store_release(&s->helper_co, (uintptr_t)running_co());
	return (int)weft_read(s->fds[0], &c, 1);
}

/* Behind another one who reads. */
static void prepare_turn(struct stage *s)
{
	prepare_pair(s);
	s->helper = spawn_co(NULL, read_first, s);
	EVENTUALLY(wf_load_acquire(&s->helper_co) != 0);
	await_waiting(wf_load_ptr_acquire(&s->helper_co), WF_WHY_READ);
}
static void clean_turn(struct stage *s)
{
	CHECK_EQ(weft_write(s->fds[1], "y", 1), 1);
	CHECK_EQ(join_co(s->helper), 1);
	clean_read(s);
}
WAIT_TEST(turn, WF_WHY_FD_TURN, prepare_turn, wait_read, clean_turn)

static void prepare_write(struct stage *s)
{
	prepare_pair(s);
	s->filled = fill(s->fds[0]);
}
static int wait_write(struct stage *s) { return (int)weft_write(s->fds[0], "z", 1); }
static void clean_write(struct stage *s)
{
	drain(s->fds[1], s->filled);
	CHECK_RESULT(weft_recv(s->fds[1], &s->byte, 1, MSG_DONTWAIT), -EAGAIN); /* and no z */
	close_pair(s->fds);
}
WAIT_TEST(write_, WF_WHY_WRITE, prepare_write, wait_write, clean_write)

static void prepare_accept(struct stage *s) { s->fds[0] = listen_somewhere(s->addr); }
static int wait_accept(struct stage *s) { return weft_accept(s->fds[0], NULL, NULL); }
static void clean_accept(struct stage *s)
{
	CHECK_OK(s->fds[1] = weft_dial(s->addr, WEFT_NEVER));
	int conn = weft_accept(s->fds[0], NULL, NULL);
	CHECK_OK(conn);
	CHECK_RESULT(weft_close(conn), 0);
	close_pair(s->fds);
}
WAIT_TEST(accept_, WF_WHY_ACCEPT, prepare_accept, wait_accept, clean_accept)

/* Linux drops what asks for a connection while the queue of a listener is full. */
static void prepare_clog(struct stage *s)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof name;
	s->fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(bind(s->fds[0], (struct sockaddr *)&name, len), 0);
	CHECK_EQ(listen(s->fds[0], 0), 0);
	CHECK_EQ(getsockname(s->fds[0], (struct sockaddr *)&name, &len), 0);
	snprintf(s->addr, sizeof s->addr, "127.0.0.1:%d", ntohs(name.sin_port));
	for (int i = 0; i < CLOGS; i++) {
		s->clogs[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(s->clogs[i], (struct sockaddr *)&name, len);
	}
}
static int wait_dial(struct stage *s) { return weft_dial(s->addr, WEFT_NEVER); }
static void clean_clog(struct stage *s)
{
	CHECK_EQ(close(s->fds[0]), 0);
	for (int i = 0; i < CLOGS; i++)
		CHECK_EQ(close(s->clogs[i]), 0);
}
WAIT_TEST(dial, WF_WHY_CONNECT, prepare_clog, wait_dial, clean_clog)

static int wait_for_fd(struct stage *s) { return weft_wait_fd(s->fds[0], WEFT_READ, WEFT_NEVER); }
WAIT_TEST(wait_fd, WF_WHY_FD, prepare_pair, wait_for_fd, clean_read)

/* ---- shields --------------------------------------------------------------------------------------------------------------- */

/* What waits behind a shield waits on, and feels the cancel only once the shield is gone. */
struct shielded {
	struct counter in, go_on;
	wf_word co;
	struct weft_scope *outer;
};

static int wait_behind_shield(void *arg)
{
	struct shielded *x = arg;
	struct weft_scope shield, inner;
	open_scope(&shield, WEFT_SCOPE_SHIELD, 0, 0);
	CHECK_RESULT(weft_scope_open(&inner, NULL), 0);
	wf_store_release(&x->co, (uintptr_t)running_co());
	while (count_of(&x->go_on) == 0)
		CHECK_RESULT(weft_sleep(WEFT_US(100)), 0);
	CHECK_RESULT(weft_cancelled(), 0);
	CHECK_RESULT(weft_cause(), 0);
	CHECK_RESULT(weft_scope_close(&inner), 0); /* what is opened and closed behind it changes nothing */
	CHECK_RESULT(weft_sleep(1), 0);
	CHECK_RESULT(weft_scope_close(&shield), 0);
	return weft_sleep(1);
}

static int sleep_while_shielded(void *arg)
{
	struct shielded *x = arg;
	struct weft_scope nested;
	count_up(&x->in);
	while (count_of(&x->go_on) == 0) {
		CHECK_RESULT(weft_scope_open(&nested, NULL), 0);
		CHECK_RESULT(weft_sleep(WEFT_US(100)), 0);
		CHECK_RESULT(weft_scope_close(&nested), 0);
	}
	return 11;
}

/* A coroutine that lives behind a shield. */
static int start_behind_shield(void *arg)
{
	struct shielded *x = arg;
	struct weft_scope shield;
	open_scope(&shield, WEFT_SCOPE_SHIELD | WEFT_SCOPE_FIRST_SUCCESS, 0, 0);
	go_in(&shield, sleep_while_shielded, x);
	wf_store_release(&x->co, (uintptr_t)running_co());
	CHECK_RESULT(weft_scope_close(&shield), 11);
	return weft_sleep(1);
}

static void await_open(const struct shielded *x)
{
	EVENTUALLY(wf_load_acquire(&x->co) != 0);
}

static int wait_unshielded(void *arg)
{
	struct weft_scope scope;
	struct shielded *x = arg;
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	wf_store_release(&x->co, (uintptr_t)running_co());
	CHECK_RESULT(sleep_on(NULL), -ECANCELED);
	return weft_scope_close(&scope);
}

CO_TEST(shield_against_an_outer_scope)
{
	struct weft_scope scope;
	struct shielded x = {.outer = NULL}, y = {.outer = NULL}, z[2] = {{.outer = NULL}};
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	go_in(&scope, wait_unshielded, &z[0]); /* before, between and behind the shields */
	await_open(&z[0]);
	go_in(&scope, wait_behind_shield, &x);
	await_open(&x);
	go_in(&scope, wait_unshielded, &z[1]);
	await_open(&z[1]);
	go_in(&scope, start_behind_shield, &y);
	await_open(&y);
	weft_scope_cancel(&scope, -EIO);
	rest();
	rest();
	count_up(&x.go_on);
	count_up(&y.go_on);
	CHECK_RESULT(weft_scope_close(&scope), -ECANCELED);
}

CO_TEST(shield_against_weft_cancel)
{
	struct shielded x = {.outer = NULL}, y = {.outer = NULL};
	struct weft_co *a = spawn_co(NULL, wait_behind_shield, &x), *b = spawn_co(NULL, start_behind_shield, &y);
	await_open(&x);
	await_open(&y);
	CHECK_RESULT(weft_cancel(a), 0);
	CHECK_RESULT(weft_cancel(b), 0);
	rest();
	rest();
	count_up(&x.go_on);
	count_up(&y.go_on);
	CHECK_RESULT(join_co(a), -ECANCELED);
	CHECK_RESULT(join_co(b), -ECANCELED);
}

/* The same for weft_shutdown, which reaches even coroutines that nobody has a handle of. */
CO_TEST(shield_against_shutdown)
{
	struct shielded x = {.outer = NULL}, y = {.outer = NULL};
	struct weft_co *a = spawn_co(NULL, wait_behind_shield, &x), *b = spawn_co(NULL, start_behind_shield, &y);
	await_open(&x);
	await_open(&y);
	EVENTUALLY(count_of(&y.in) > 0);
	CHECK_RESULT(weft_shutdown(WEFT_NEVER), 0);
	CHECK_RESULT(weft_cause(), -ECANCELED);
	CHECK_RESULT(sleep_on(NULL), -ECANCELED);
	rest();
	rest();
	count_up(&x.go_on);
	count_up(&y.go_on);
	struct weft_scope shield; /* to join them, in a coroutine that has been cancelled */
	open_scope(&shield, WEFT_SCOPE_SHIELD, 0, 0);
	CHECK_RESULT(join_co(a), -ECANCELED);
	CHECK_RESULT(join_co(b), -ECANCELED);
	CHECK_RESULT(weft_scope_close(&shield), 0);
}

static int start_in_outer(void *arg)
{
	struct shielded *x = arg;
	struct weft_scope shield;
	open_scope(&shield, WEFT_SCOPE_SHIELD, 0, 0);
	wf_store_release(&x->co, (uintptr_t)running_co());
	CHECK_RESULT(weft_scope_go(x->outer, sleep_on, NULL), -ECANCELED);
	return weft_scope_close(&shield);
}

/* A shield does not keep alive a wait for a place in a scope that is cancelled: the call could not succeed. */
CO_TEST(shielded_wait_for_a_place)
{
	struct weft_scope scope;
	struct shielded x = {.outer = &scope};
	open_scope(&scope, 0, 1, 0);
	go_in(&scope, start_in_outer, &x); /* it holds the one place itself */
	EVENTUALLY(wf_load_acquire(&x.co) != 0);
	await_waiting(wf_load_ptr_acquire(&x.co), WF_WHY_SCOPE);
	weft_scope_cancel(&scope, 0);
	CHECK_RESULT(weft_scope_close(&scope), 0);
}

/* A shield's own cancel and deadline are felt behind it. */
CO_TEST(cancel_of_a_shield)
{
	struct weft_scope shield;
	open_scope(&shield, WEFT_SCOPE_SHIELD, 0, 0);
	weft_scope_cancel(&shield, -EIO);
	CHECK_RESULT(sleep_on(NULL), -ECANCELED);
	CHECK_RESULT(weft_cause(), -EIO);
	CHECK_RESULT(weft_scope_close(&shield), 0);
	open_scope(&shield, WEFT_SCOPE_SHIELD, 0, weft_after(WEFT_MS(1)));
	CHECK_RESULT(sleep_on(NULL), -ECANCELED);
	CHECK_RESULT(weft_cause(), -ETIMEDOUT);
	CHECK_RESULT(weft_scope_close(&shield), 0);
}

/* ---- shutdown -------------------------------------------------------------------------------------------------------------- */

static int sleep_in_scopes(void *arg)
{
	struct weft_scope a, b;
	CHECK_RESULT(weft_scope_open(&a, NULL), 0);
	go_in(&a, sleep_on, NULL);
	CHECK_RESULT(weft_scope_open(&b, NULL), 0);
	go_in(&b, sleep_on, NULL);
	count_up(arg);
	CHECK_RESULT(sleep_on(NULL), -ECANCELED);
	CHECK_RESULT(weft_cause(), -ECANCELED);
	CHECK_RESULT(weft_scope_close(&b), -ECANCELED);
	CHECK_RESULT(weft_scope_open(&b, NULL), 0); /* opened after it */
	CHECK_RESULT(weft_scope_go(&b, sleep_on, NULL), -ECANCELED);
	CHECK_RESULT(weft_scope_close(&b), 0);
	return weft_scope_close(&a);
}

CO_TEST(shutdown_reaches_scopes)
{
	struct weft_scope shield;
	struct counter in = {0};
	struct weft_co *cos[10];
	for (int i = 0; i < 10; i++)
		cos[i] = spawn_co(NULL, sleep_in_scopes, &in);
	EVENTUALLY(count_of(&in) == 10);
	open_scope(&shield, WEFT_SCOPE_SHIELD, 0, 0);
	CHECK_RESULT(weft_shutdown(WEFT_NEVER), 0);
	for (int i = 0; i < 10; i++)
		CHECK_RESULT(join_co(cos[i]), -ECANCELED);
	CHECK_RESULT(weft_scope_close(&shield), 0);
}
