/* Scopes while everything happens at once: cancels and deadlines against hand-overs, and against coroutines that come and go.
 * Nothing may be lost or done twice, and everything ends. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net_util.h"
#include "scope_util.h"

/* ---- a scope that others may cancel ------------------------------------------------------------------------------------ */

/* Knows which scope is open; whoever cancels holds the lock, so that the scope stays open meanwhile. */
struct target {
	pthread_mutex_t lock;
	struct weft_scope *scope;
	wf_word stop, cancels, seeds;
};

static void publish(struct target *t, struct weft_scope *scope)
{
	pthread_mutex_lock(&t->lock);
	t->scope = scope;
	pthread_mutex_unlock(&t->lock);
}

static void cancel_target(struct target *t, int cause)
{
	pthread_mutex_lock(&t->lock);
	if (t->scope) {
		weft_scope_cancel(t->scope, cause);
		wf_add(&t->cancels, 1);
	}
	pthread_mutex_unlock(&t->lock);
}

static int cancel_again_and_again(void *arg)
{
	struct target *t = arg;
	uint64_t random = seed_for(wf_add(&t->seeds, 1));
	while (!wf_load_acquire(&t->stop)) {
		cancel_target(t, -EIO);
		if (random_below(&random, 2))
			weft_yield();
		else
			weft_sleep((int64_t)random_below(&random, 50000));
	}
	return 0;
}

static void *cancel_from_thread(void *arg)
{
	cancel_again_and_again(arg);
	return NULL;
}

/* Some coroutines and a plain thread that cancel, until the storm is over. */
struct storm {
	struct target target;
	struct weft_co *cancellers[2];
	pthread_t thread;
};

static void begin_storm(struct storm *s)
{
	*s = (struct storm){.target.lock = PTHREAD_MUTEX_INITIALIZER};
	for (int i = 0; i < 2; i++)
		s->cancellers[i] = spawn_co(NULL, cancel_again_and_again, &s->target);
	s->thread = start_thread(cancel_from_thread, &s->target);
}

static void end_storm(struct storm *s)
{
	EVENTUALLY(wf_load(&s->target.cancels) > 0);
	wf_store_release(&s->target.stop, 1);
	for (int i = 0; i < 2; i++)
		join_co(s->cancellers[i]);
	join_thread(s->thread);
}

/* ---- against hand-overs ------------------------------------------------------------------------------------------------ */

/* Opens a scope that will be cancelled, and does something in it, again and again. */
typedef int attempt_fn(void *arg);

static int attempt_in_storm(struct target *t, attempt_fn *attempt, void *arg)
{
	struct weft_scope scope;
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	publish(t, &scope);
	int result = attempt(arg);
	publish(t, NULL);
	CHECK_RESULT(weft_scope_close(&scope), 0);
	return result;
}

struct bytes {
	int fd;
	unsigned char c;
};

static int read_one(void *arg)
{
	struct bytes *b = arg;
	return (int)weft_read(b->fd, &b->c, 1);
}

static int write_all_of_it(void *arg)
{
	const int *fd_and_count = arg;
	for (int i = 0; i < fd_and_count[1]; i++) {
		unsigned char c = pattern((size_t)i);
		CHECK_EQ(weft_write(fd_and_count[0], &c, 1), 1);
		if (i % 7 == 0)
			weft_sleep(WEFT_US(i % 40));
	}
	return weft_shutdown_fd(fd_and_count[0], SHUT_WR);
}

CO_TEST(reads_lose_nothing)
{
	int fds[2], at = 0, n = test_scaled(6000);
	unix_pair(fds, SOCK_STREAM);
	struct storm storm;
	struct bytes b = {.fd = fds[0]};
	struct weft_co *writer = spawn_co(NULL, write_all_of_it, (int[]){fds[1], n});
	begin_storm(&storm);
	for (;;) {
		int got = attempt_in_storm(&storm.target, read_one, &b);
		if (got == 0)
			break;
		if (got == -ECANCELED)
			continue;
		CHECK_EQ(got, 1);
		CHECK_EQ(b.c, pattern((size_t)at));
		at++;
	}
	CHECK_EQ(at, n);
	CHECK_EQ(join_co(writer), 0);
	end_storm(&storm);
	close_pair(fds);
}

static int rest_a_little(void *arg)
{
	weft_sleep((int64_t)(intptr_t)arg);
	return 7;
}

static int join_it(void *arg)
{
	int result = 0;
	int failed = weft_join(arg, &result);
	if (failed == 0)
		CHECK_EQ(result, 7);
	return failed;
}

/* A join that was cancelled leaves the handle good; one that was not has used it up. */
CO_TEST(joins_end_once)
{
	struct storm storm;
	begin_storm(&storm);
	for (int i = 0; i < test_scaled(2000); i++) {
		struct weft_co *co = spawn_co(NULL, rest_a_little, (void *)(intptr_t)(i * 37 % 60000));
		int result;
		while ((result = attempt_in_storm(&storm.target, join_it, co)) == -ECANCELED)
			;
		CHECK_RESULT(result, 0);
	}
	end_storm(&storm);
}

struct places {
	struct weft_scope *full;
	struct storm storm[3];
	struct counter tried, begun, ended;
};

static int take_and_rest(void *arg)
{
	struct places *p = arg;
	count_up(&p->ended);
	weft_sleep(WEFT_US(count_of(&p->ended) % 30));
	return 0;
}

static int start_one(void *arg)
{
	struct places *p = arg;
	return weft_scope_go(p->full, take_and_rest, p);
}

static int start_many(void *arg)
{
	struct places *p = arg;
	struct target *t = &p->storm[wf_add(&p->tried.n, 1)].target;
	for (int i = 0; i < test_scaled(1000); i++) {
		int result = attempt_in_storm(t, start_one, p);
		if (result == 0)
			count_up(&p->begun);
		else
			CHECK_RESULT(result, -ECANCELED);
	}
	return 0;
}

/* Places under a limit, which are handed over: one for every call that succeeds, none for those that are cancelled. */
CO_TEST(places_are_taken_once)
{
	struct weft_scope full, starters;
	struct places p = {.full = &full};
	open_scope(&full, 0, 2, 0);
	CHECK_RESULT(weft_scope_open(&starters, NULL), 0);
	for (int i = 0; i < 3; i++)
		begin_storm(&p.storm[i]);
	for (int i = 0; i < 3; i++)
		go_in(&starters, start_many, &p);
	CHECK_RESULT(weft_scope_close(&starters), 0);
	for (int i = 0; i < 3; i++)
		end_storm(&p.storm[i]);
	CHECK_RESULT(weft_scope_close(&full), 0);
	CHECK_EQ(count_of(&p.begun), count_of(&p.ended));
	CHECK_GT(count_of(&p.begun), 0);
}

/* ---- against coroutines that come and go -------------------------------------------------------------------------------- */

/* A tree that grows by itself until it is cancelled: it has no other end. */
struct tree {
	struct counter alive, born;
	int most;
	uint64_t seed;
};

struct branch {
	struct tree *tree;
	uint64_t random;
	int depth;
};

static int grow(void *arg);

static struct branch *new_branch(const struct branch *from, struct tree *tree)
{
	struct branch *b = malloc(sizeof *b);
	*b = (struct branch){tree, tree->seed + wf_add_full(&tree->born.n, 1), from ? from->depth + 1 : 0};
	next_random(&b->random);
	return b;
}

static void grow_in_scope(struct branch *b, struct weft_scope *scope)
{
	if (count_of(&b->tree->alive) >= b->tree->most) {
		weft_sleep((int64_t)random_below(&b->random, 20000));
		return;
	}
	struct branch *next = new_branch(b, b->tree);
	if (weft_scope_go(scope, grow, next) != 0)
		free(next);
}

static void open_more(struct branch *b)
{
	struct weft_scope scope;
	unsigned flags = random_below(&b->random, 3) == 0 ? WEFT_SCOPE_FIRST_ERROR : 0;
	weft_time deadline = random_below(&b->random, 2) ? weft_after((int64_t)random_below(&b->random, 200000)) : WEFT_NEVER;
	open_scope(&scope, flags, (int)random_below(&b->random, 4), deadline);
	for (uint64_t i = random_below(&b->random, 4); i-- > 0;)
		grow_in_scope(b, &scope);
	if (random_below(&b->random, 3))
		weft_scope_cancel(&scope, -EAGAIN);
	CHECK_LE(weft_scope_close(&scope), 0);
}

static int grow(void *arg)
{
	struct branch *b = arg;
	count_up(&b->tree->alive);
	while (!weft_cancelled()) {
		if (b->depth < 8 && random_below(&b->random, 3))
			open_more(b);
		else if (b->depth > 0 && random_below(&b->random, 4) == 0)
			break;
		weft_sleep((int64_t)random_below(&b->random, 30000));
		if (random_below(&b->random, 4) == 0)
			weft_yield();
	}
	wf_add_full(&b->tree->alive.n, -1);
	free(b);
	return -EAGAIN;
}

static void grow_and_cancel(struct weft_scope *scope, int i)
{
	struct tree tree = {.most = 40, .seed = seed_for((uint64_t)i)};
	for (int k = 0; k < 3; k++)
		go_in(scope, grow, new_branch(NULL, &tree));
	EVENTUALLY(count_of(&tree.born) > 30);
	for (int k = i % 5; k-- > 0;)
		weft_yield();
	weft_scope_cancel(scope, -EXDEV);
	CHECK_RESULT(weft_scope_close(scope), -EAGAIN);
	CHECK_EQ(count_of(&tree.alive), 0);
}

CO_TEST(trees_end_when_cancelled)
{
	for (int i = 0; i < test_scaled(200); i++) {
		struct weft_scope scope;
		CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
		grow_and_cancel(&scope, i);
	}
}

CO_TEST(trees_end_by_deadline)
{
	for (int i = 0; i < test_scaled(200); i++) {
		struct weft_scope scope;
		struct tree tree = {.most = 40, .seed = seed_for((uint64_t)i)};
		open_scope(&scope, 0, 0, weft_after(WEFT_US(500) + WEFT_US(i * 2)));
		for (int k = 0; k < 3; k++) {
			struct branch *b = new_branch(NULL, &tree);
			if (weft_scope_go(&scope, grow, b) != 0)
				free(b);
		}
		CHECK_LE(weft_scope_close(&scope), 0);
		CHECK_EQ(count_of(&tree.alive), 0);
	}
}

static int grow_alone(void *arg)
{
	struct weft_scope scope;
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	struct branch *b = new_branch(NULL, arg);
	if (weft_scope_go(&scope, grow, b) != 0)
		free(b);
	return weft_scope_close(&scope);
}

static void *cancel_co(void *co)
{
	CHECK_RESULT(weft_cancel(co), 0);
	return NULL;
}

CO_TEST(trees_end_when_their_root_is_cancelled)
{
	for (int i = 0; i < test_scaled(200); i++) {
		struct tree tree = {.most = 40, .seed = seed_for((uint64_t)i)};
		struct weft_co *co = spawn_co(NULL, grow_alone, &tree);
		EVENTUALLY(count_of(&tree.born) > i % 20);
		if (i % 2)
			join_thread(start_thread(cancel_co, co));
		else
			CHECK_RESULT(weft_cancel(co), 0);
		CHECK_LE(join_co(co), 0);
		CHECK_EQ(count_of(&tree.alive), 0);
	}
}

/* Everything at once: a tree, whose root everybody cancels, and shutdown on top of it. */
static int grow_in_storm(void *arg)
{
	struct target *t = arg;
	struct tree tree = {.most = 60, .seed = seed_for(0)};
	while (!weft_cancelled()) {
		struct weft_scope scope;
		CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
		publish(t, &scope);
		for (int k = 0; k < 3; k++) {
			struct branch *b = new_branch(NULL, &tree);
			if (weft_scope_go(&scope, grow, b) != 0)
				free(b);
		}
		weft_sleep(WEFT_US(500));
		publish(t, NULL);
		weft_scope_cancel(&scope, 0);
		CHECK_LE(weft_scope_close(&scope), 0);
		CHECK_EQ(count_of(&tree.alive), 0);
	}
	return 0;
}

CO_TEST(storm_and_shutdown)
{
	struct storm storm;
	struct weft_scope shield;
	begin_storm(&storm);
	struct weft_co *co = spawn_co(NULL, grow_in_storm, &storm.target);
	EVENTUALLY(wf_load(&storm.target.cancels) > (uintptr_t)test_scaled(100));
	open_scope(&shield, WEFT_SCOPE_SHIELD, 0, 0);
	CHECK_RESULT(weft_shutdown(WEFT_NEVER), 0);
	CHECK_EQ(join_co(co), 0);
	end_storm(&storm);
	CHECK_RESULT(weft_scope_close(&shield), 0);
}

/* ---- deadlines against closing ------------------------------------------------------------------------------------------ */

/* Closes about when the deadline fires; the memory goes at once, and comes back as another scope of the same coroutine. */
static int close_at_deadline(void *arg)
{
	uint64_t random = *(const uint64_t *)arg;
	for (int i = 0; i < test_scaled(6000); i++) {
		struct weft_scope *outer = malloc(sizeof *outer), *scope = malloc(sizeof *scope);
		int64_t ns = 1 + (int64_t)random_below(&random, 30000);
		weft_time deadline = weft_after(ns);
		open_scope(outer, 0, 0, WEFT_NEVER);
		open_scope(scope, 0, 0, deadline);
		switch (random_below(&random, 4)) {
		case 0: CHECK_LE(weft_sleep(ns), 0); break;
		case 1: weft_yield(); break;
		case 2: while (weft_now() < deadline) {} break;
		default: break;
		}
		int cause = weft_cause();
		CHECK(cause == 0 || cause == -ETIMEDOUT);
		CHECK_RESULT(weft_scope_close(scope), 0);
		memset(scope, 0xa5, sizeof *scope);
		free(scope);
		CHECK_RESULT(weft_cause(), 0); /* a late firing hits nothing else */
		CHECK_RESULT(weft_sleep(1), 0);
		CHECK_RESULT(weft_scope_close(outer), 0);
		free(outer);
	}
	return 0;
}

CO_TEST(deadlines_meet_closes)
{
	struct weft_scope scope;
	uint64_t seeds[4];
	CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
	for (int i = 0; i < 4; i++) {
		seeds[i] = seed_for((uint64_t)i);
		go_in(&scope, close_at_deadline, &seeds[i]);
	}
	CHECK_RESULT(weft_scope_close(&scope), 0);
}

static int open_past_due(void *arg)
{
	struct weft_scope scope;
	int64_t ns = *(const int64_t *)arg;
	open_scope(&scope, 0, 0, weft_after(ns));
	while (weft_cause() == 0)
		weft_yield();
	CHECK_RESULT(weft_cause(), -ETIMEDOUT);
	return weft_scope_close(&scope);
}

/* Control blocks are used again while a deadline of their last coroutine may still be firing. */
CO_TEST(deadlines_meet_ends)
{
	for (int i = 0; i < test_scaled(300); i++) {
		struct weft_scope scope;
		int64_t ns[20];
		CHECK_RESULT(weft_scope_open(&scope, NULL), 0);
		for (int k = 0; k < 20; k++) {
			ns[k] = (int64_t)(i * 31 + k * 1009) % 20000;
			go_in(&scope, open_past_due, &ns[k]);
		}
		CHECK_RESULT(weft_scope_close(&scope), 0);
	}
}
