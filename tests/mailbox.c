/* Mailboxes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scope_util.h"

static struct weft_mailbox *make_mailbox(size_t elem_size, size_t capacity)
{
	struct weft_mailbox *mb;
	CHECK_RESULT(weft_mailbox_create(&mb, elem_size, capacity), 0);
	return mb;
}

static void send_longs(struct weft_mailbox *mb, long from, long to)
{
	for (long i = from; i <= to; i++)
		CHECK_RESULT(weft_mailbox_try_send(mb, &i), 0);
}

static long recv_long(struct weft_mailbox *mb)
{
	long value;
	CHECK_RESULT(weft_mailbox_try_recv(mb, &value), 1);
	return value;
}

/* Accepts one value (0: none), and notes what it was asked. */
struct choice {
	long wanted;
	int asked;
	long last;
};

static bool is_chosen(const void *elem, void *arg)
{
	struct choice *c = arg;
	memcpy(&c->last, elem, sizeof c->last);
	c->asked++;
	return c->last == c->wanted;
}

struct call {
	struct weft_mailbox *mb;
	long value;
	weft_time deadline;
	int result;
	struct choice choice;
};

static int send_it(void *arg)
{
	struct call *c = arg;
	return c->result = weft_mailbox_send_until(c->mb, &c->value, c->deadline);
}

static int recv_it(void *arg)
{
	struct call *c = arg;
	return c->result = weft_mailbox_recv_until(c->mb, &c->value, c->deadline);
}

static int recv_chosen(void *arg)
{
	struct call *c = arg;
	return c->result = weft_mailbox_recv_if(c->mb, is_chosen, &c->choice, NULL, &c->value, c->deadline);
}

static struct weft_co *start(struct call *call, struct weft_mailbox *mb, weft_fn *fn, long value)
{
	*call = (struct call){.mb = mb, .value = value, .deadline = WEFT_NEVER, .choice.wanted = value};
	return spawn_co(NULL, fn, call);
}

static struct weft_co *start_waiting_send(struct call *call, struct weft_mailbox *mb, long value)
{
	struct weft_co *co = start(call, mb, send_it, value);
	await_waiting(co, WF_WHY_MAILBOX_SEND);
	return co;
}

CO_TEST(in_order)
{
	struct weft_mailbox *mb = make_mailbox(sizeof(long), 3);
	struct call call;
	long value = 9;
	CHECK_RESULT(weft_mailbox_try_recv(mb, &value), -EAGAIN);
	CHECK_RESULT(weft_mailbox_recv_until(mb, &value, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_mailbox_recv_until(mb, &value, weft_after(WEFT_US(50))), -ETIMEDOUT);
	for (long round = 0; round < 10; round++) {
		send_longs(mb, round, round + 2);
		CHECK_RESULT(weft_mailbox_try_send(mb, &value), -EAGAIN);
		CHECK_RESULT(weft_mailbox_send_until(mb, &value, WEFT_NOW), -EAGAIN);
		CHECK_RESULT(weft_mailbox_send_until(mb, &value, weft_after(WEFT_US(50))), -ETIMEDOUT);
		CHECK_EQ(weft_mailbox_len(mb), 3);
		for (long i = 0; i < 3; i++)
			CHECK_EQ(recv_long(mb), round + i);
	}
	CHECK_EQ(weft_mailbox_len(mb), 0);
	struct weft_co *co = start(&call, mb, recv_it, 0);
	await_waiting(co, WF_WHY_MAILBOX_RECV);
	CHECK_RESULT(weft_mailbox_destroy(mb), -EBUSY);
	CHECK_RESULT(weft_mailbox_recv(mb, &value), -EBUSY);
	CHECK_RESULT(weft_mailbox_try_recv(mb, &value), -EBUSY);
	CHECK_RESULT(weft_mailbox_send(mb, &(long){5}), 0);
	CHECK_EQ(join_co(co), 1);
	CHECK_EQ(call.value, 5);
	send_longs(mb, 1, 2); /* what it still keeps goes with it */
	CHECK_RESULT(weft_mailbox_recv(mb, NULL), 1);
	CHECK_RESULT(weft_mailbox_destroy(mb), 0);
	CHECK_RESULT(weft_mailbox_destroy(NULL), 0);
}

CO_TEST(senders_wait_in_order)
{
	struct weft_mailbox *mb = make_mailbox(sizeof(long), 1);
	struct call calls[5];
	struct weft_co *cos[5];
	send_longs(mb, 0, 0);
	for (int i = 1; i < 5; i++)
		cos[i] = start_waiting_send(&calls[i], mb, i);
	CHECK_RESULT(weft_mailbox_destroy(mb), -EBUSY);
	weft_cancel(cos[2]);
	CHECK_EQ(join_co(cos[2]), -ECANCELED);
	const long expected[] = {0, 1, 3, 4};
	for (int i = 0; i < 4; i++)
		CHECK_EQ(recv_long(mb), expected[i]);
	CHECK_RESULT(weft_mailbox_destroy(mb), 0); /* the senders may not have returned */
	for (int i = 1; i < 5; i++)
		if (i != 2)
			CHECK_EQ(join_co(cos[i]), 0);
}

CO_TEST(selective_receive)
{
	struct weft_mailbox *mb = make_mailbox(sizeof(long), 10);
	struct choice c = {.wanted = 4};
	long value;
	send_longs(mb, 1, 6);
	CHECK_RESULT(weft_mailbox_recv_if(mb, is_chosen, &c, NULL, &value, WEFT_NOW), 1);
	CHECK_EQ(value, 4);
	CHECK_EQ(c.asked, 4);
	c = (struct choice){.wanted = 4};
	CHECK_RESULT(weft_mailbox_recv_if(mb, is_chosen, &c, NULL, &value, WEFT_NOW), -EAGAIN);
	CHECK_EQ(c.asked, 5);
	CHECK_RESULT(weft_mailbox_recv_if(mb, is_chosen, &c, NULL, &value, weft_after(WEFT_US(50))), -ETIMEDOUT);
	CHECK_EQ(c.asked, 10);
	const long expected[] = {1, 2, 3, 5, 6};
	for (int i = 0; i < 5; i++)
		CHECK_EQ(recv_long(mb), expected[i]);
	send_longs(mb, 7, 16); /* all places are still there */
	for (long i = 16; i >= 7; i--) {
		c = (struct choice){.wanted = i};
		CHECK_RESULT(weft_mailbox_recv_if(mb, is_chosen, &c, NULL, &value, WEFT_NOW), 1);
		CHECK_EQ(c.asked, i - 6);
	}
	CHECK_RESULT(weft_mailbox_destroy(mb), 0);
}

/* One that waits looks at each new message once, at those it has refused never again. */
CO_TEST(looks_at_each_once)
{
	struct weft_mailbox *mb = make_mailbox(sizeof(long), 100);
	struct call call;
	send_longs(mb, 1, 20);
	struct weft_co *co = start(&call, mb, recv_chosen, 77);
	await_waiting(co, WF_WHY_MAILBOX_RECV);
	CHECK_EQ(call.choice.asked, 20);
	for (int i = 21; i <= 40; i++) {
		send_longs(mb, i, i);
		EVENTUALLY(call.choice.asked == i);
		await_waiting(co, WF_WHY_MAILBOX_RECV);
	}
	send_longs(mb, 77, 78);
	CHECK_EQ(join_co(co), 1);
	CHECK_EQ(call.value, 77);
	CHECK_EQ(call.choice.asked, 41);
	CHECK_EQ(weft_mailbox_len(mb), 41);
	CHECK_RESULT(weft_mailbox_destroy(mb), 0);
}

CO_TEST(marks)
{
	struct weft_mailbox *mb = make_mailbox(sizeof(long), 100);
	struct choice c = {.wanted = 50};
	uint64_t mark = 0;
	long value;
	send_longs(mb, 1, 20);
	CHECK_RESULT(weft_mailbox_recv_if(mb, is_chosen, &c, &mark, &value, WEFT_NOW), -EAGAIN);
	CHECK_EQ(c.asked, 20);
	send_longs(mb, 21, 25);
	CHECK_RESULT(weft_mailbox_recv_if(mb, is_chosen, &c, &mark, &value, WEFT_NOW), -EAGAIN);
	CHECK_EQ(c.asked, 25);
	CHECK_EQ(mark, weft_mailbox_mark(mb));
	CHECK_EQ(recv_long(mb), 1);
	CHECK_RESULT(weft_mailbox_recv_if(mb, is_chosen, &c, &mark, &value, weft_after(WEFT_US(50))), -ETIMEDOUT);
	CHECK_EQ(c.asked, 25);
	send_longs(mb, 49, 52);
	CHECK_RESULT(weft_mailbox_recv_if(mb, is_chosen, &c, &mark, &value, WEFT_NOW), 1);
	CHECK_EQ(c.asked, 27);
	c.wanted = 2; /* before the mark */
	CHECK_RESULT(weft_mailbox_recv_if(mb, is_chosen, &c, &mark, &value, WEFT_NOW), -EAGAIN);
	CHECK_EQ(c.asked, 29);
	mark = 0;
	CHECK_RESULT(weft_mailbox_recv_if(mb, is_chosen, &c, &mark, &value, WEFT_NOW), 1);
	CHECK_EQ(c.asked, 30);
	CHECK_EQ(mark, 0);
	mark = weft_mailbox_mark(mb);
	CHECK_RESULT(weft_mailbox_recv_if(mb, is_chosen, &c, &mark, &value, WEFT_NOW), -EAGAIN);
	CHECK_EQ(c.asked, 30);
	CHECK_RESULT(weft_mailbox_destroy(mb), 0);
}

/* The answer comes through although the mailbox is full: taken from the hands of its sender. */
CO_TEST(senders_are_looked_at)
{
	enum { N = 6 };
	struct weft_mailbox *mb = make_mailbox(sizeof(long), 2);
	struct call owner, calls[N];
	struct weft_co *cos[N];
	send_longs(mb, 1, 2);
	struct weft_co *co = start(&owner, mb, recv_chosen, 14);
	await_waiting(co, WF_WHY_MAILBOX_RECV);
	for (int i = 0; i < N - 1; i++) {
		cos[i] = start(&calls[i], mb, send_it, 10 + i);
		if (i < 4)
			await_waiting(cos[i], WF_WHY_MAILBOX_SEND);
		if (i == 3) { /* the last one that was looked at, and one before it, leave */
			EVENTUALLY(owner.choice.asked == 6);
			await_waiting(co, WF_WHY_MAILBOX_RECV);
			weft_cancel(cos[3]);
			weft_cancel(cos[1]);
			CHECK_EQ(join_co(cos[3]), -ECANCELED);
			CHECK_EQ(join_co(cos[1]), -ECANCELED);
		}
	}
	CHECK_EQ(join_co(co), 1);
	CHECK_EQ(owner.value, 14);
	CHECK_EQ(owner.choice.asked, 7);
	CHECK_EQ(join_co(cos[4]), 0);
	cos[5] = start_waiting_send(&calls[5], mb, 15);
	CHECK_EQ(weft_mailbox_len(mb), 2);
	const long expected[] = {1, 2, 10, 12, 15};
	for (int i = 0; i < 5; i++)
		CHECK_EQ(recv_long(mb), expected[i]);
	CHECK_RESULT(weft_mailbox_destroy(mb), 0);
	CHECK_EQ(join_co(cos[0]), 0);
	CHECK_EQ(join_co(cos[2]), 0);
	CHECK_EQ(join_co(cos[5]), 0);
}

static bool let_it_leave(const void *elem, void *arg)
{
	struct weft_co **co = arg;
	(void)elem;
	if (*co) {
		weft_cancel(*co);
		CHECK_EQ(join_co(*co), -ECANCELED);
		*co = NULL;
	}
	return true;
}

/* The function runs without a lock, and can park; a sender whose message it likes may have left by then. */
CO_TEST(sender_leaves_while_looked_at)
{
	struct weft_mailbox *mb = make_mailbox(sizeof(long), 1);
	struct call first, second;
	long value;
	send_longs(mb, 1, 1);
	uint64_t mark = weft_mailbox_mark(mb);
	struct weft_co *leaves = start_waiting_send(&first, mb, 2);
	struct weft_co *stays = start_waiting_send(&second, mb, 3);
	CHECK_RESULT(weft_mailbox_recv_if(mb, let_it_leave, &leaves, &mark, &value, WEFT_NOW), 1);
	CHECK_EQ(value, 3);
	CHECK_EQ(join_co(stays), 0);
	CHECK_EQ(recv_long(mb), 1);
	CHECK_RESULT(weft_mailbox_destroy(mb), 0);
}

CO_TEST(close_ends)
{
	struct weft_mailbox *mb = make_mailbox(sizeof(long), 2);
	struct choice c = {.wanted = 9};
	struct call call, owner;
	long value = 0;
	send_longs(mb, 1, 2);
	struct weft_co *co = start_waiting_send(&call, mb, 3), *waiting = start(&owner, mb, recv_chosen, 9);
	await_waiting(waiting, WF_WHY_MAILBOX_RECV);
	CHECK_RESULT(weft_mailbox_close(mb), 0);
	CHECK_EQ(join_co(co), -EPIPE);
	CHECK_EQ(join_co(waiting), 0);
	CHECK_RESULT(weft_mailbox_close(mb), -EALREADY);
	CHECK_RESULT(weft_mailbox_send(mb, &value), -EPIPE);
	CHECK_RESULT(weft_mailbox_try_send(mb, &value), -EPIPE);
	CHECK_RESULT(weft_mailbox_recv_if(mb, is_chosen, &c, NULL, &value, WEFT_NEVER), 0);
	CHECK_RESULT(weft_mailbox_recv(mb, &value), 1);
	CHECK_EQ(value, 1);
	CHECK_RESULT(weft_mailbox_recv(mb, &value), 1);
	CHECK_RESULT(weft_mailbox_recv(mb, &value), 0);
	CHECK_RESULT(weft_mailbox_try_recv(mb, &value), 0);
	CHECK_RESULT(weft_mailbox_destroy(mb), 0);
}

CO_TEST(cancel)
{
	struct weft_mailbox *mb = make_mailbox(sizeof(long), 2);
	struct call call;
	struct weft_scope scope;
	struct weft_co *co = start(&call, mb, recv_chosen, 9);
	await_waiting(co, WF_WHY_MAILBOX_RECV);
	weft_cancel(co);
	CHECK_EQ(join_co(co), -ECANCELED);
	send_longs(mb, 1, 1);
	open_scope(&scope, 0, 0, WEFT_NEVER);
	weft_scope_cancel(&scope, -ECANCELED);
	CHECK_RESULT(weft_mailbox_recv(mb, &call.value), -ECANCELED);
	CHECK_RESULT(weft_mailbox_send(mb, &call.value), -ECANCELED);
	CHECK_EQ(weft_mailbox_len(mb), 1);
	CHECK_EQ(recv_long(mb), 1); /* no cancellation point */
	CHECK_RESULT(weft_scope_close(&scope), 0);
	CHECK_RESULT(weft_mailbox_destroy(mb), 0);
}

CO_TEST(bad_arguments)
{
	struct weft_mailbox *mb;
	CHECK_RESULT(weft_mailbox_create(NULL, 1, 1), -EINVAL);
	CHECK_RESULT(weft_mailbox_create(&mb, 1, 0), -EINVAL);
	CHECK_RESULT(weft_mailbox_create(&mb, 1, WEFT_MAILBOX_CAPACITY_MAX + 1), -EINVAL);
	CHECK_RESULT(weft_mailbox_create(&mb, SIZE_MAX, 1), -EINVAL);
	CHECK_RESULT(weft_mailbox_create(&mb, SIZE_MAX / 4, 8), -EINVAL);
	mb = make_mailbox(1, 1);
	CHECK_RESULT(weft_mailbox_send(NULL, ""), -EINVAL);
	CHECK_RESULT(weft_mailbox_send(mb, NULL), -EINVAL);
	CHECK_RESULT(weft_mailbox_try_send(mb, NULL), -EINVAL);
	CHECK_RESULT(weft_mailbox_recv(NULL, NULL), -EINVAL);
	CHECK_RESULT(weft_mailbox_try_recv(NULL, NULL), -EINVAL);
	CHECK_RESULT(weft_mailbox_recv_if(mb, NULL, NULL, NULL, &(char){0}, 0), -EINVAL);
	CHECK_RESULT(weft_mailbox_recv_if(mb, is_chosen, NULL, NULL, NULL, 0), -EINVAL);
	CHECK_RESULT(weft_mailbox_close(NULL), -EINVAL);
	CHECK_EQ(weft_mailbox_len(NULL), 0);
	CHECK_EQ(weft_mailbox_mark(NULL), 0);
	CHECK_RESULT(weft_mailbox_destroy(mb), 0);
	mb = make_mailbox(0, 1);
	CHECK_RESULT(weft_mailbox_send(mb, NULL), 0);
	CHECK_RESULT(weft_mailbox_recv(mb, NULL), 1);
	CHECK_RESULT(weft_mailbox_destroy(mb), 0);
}

/* ---- many, and threads --------------------------------------------------------------------------------------------------- */

enum { SENDERS = 8, KINDS = 3 };

struct message {
	int sender;
	int kind;
	long n;
};

struct crowd {
	struct weft_mailbox *mb;
	wf_word joined;
	int per_sender;
	wf_word sent[SENDERS]; /* the numbers that were sent, added up */
	wf_word sent_count;
};

/* By all kinds of sends, some of which are given up: what was reported as sent is counted. */
static int send_many(void *arg)
{
	struct crowd *c = arg;
	int self = (int)wf_add(&c->joined, 1);
	uint64_t random = seed_for((uint64_t)self);
	for (long n = 1; n <= c->per_sender; n++) {
		struct message m = {self, (int)random_below(&random, KINDS), n};
		int result;
		switch (random_below(&random, 4)) {
		case 0: result = weft_mailbox_try_send(c->mb, &m); break;
		case 1: result = weft_mailbox_send_until(c->mb, &m, weft_now() + (int64_t)random_below(&random, 4000)); break;
		default: result = weft_mailbox_send(c->mb, &m); break;
		}
		if (result == 0) {
			wf_add_full(&c->sent[self], n);
			wf_add_full(&c->sent_count, 1);
			continue;
		}
		CHECK(result == -EAGAIN || result == -ETIMEDOUT);
	}
	return 0;
}

static void *send_from_thread(void *arg)
{
	send_many(arg);
	return NULL;
}

static bool is_kind(const void *elem, void *arg)
{
	const struct message *m = elem;
	return m->kind == *(int *)arg;
}

/* Messages of one sender and one kind come in order, each that was sent once, and none else. */
static int receive_many(void *arg)
{
	struct crowd *c = arg;
	uint64_t random = seed_for(99);
	uintptr_t sums[SENDERS] = {0}, count = 0;
	long latest[SENDERS][KINDS] = {{0}};
	for (;;) {
		struct message m;
		int kind = (int)random_below(&random, KINDS), result;
		weft_time deadline = weft_now() + (int64_t)random_below(&random, 50000);
		if (random_below(&random, 2))
			result = weft_mailbox_recv(c->mb, &m);
		else
			result = weft_mailbox_recv_if(c->mb, is_kind, &kind, NULL, &m, deadline);
		if (result == -ETIMEDOUT || (result == 0 && weft_mailbox_len(c->mb) > 0))
			continue;
		if (result == 0)
			break;
		CHECK_RESULT(result, 1);
		CHECK_GT(m.n, latest[m.sender][m.kind]);
		latest[m.sender][m.kind] = m.n;
		sums[m.sender] += (uintptr_t)m.n;
		count++;
	}
	CHECK_EQ(count, wf_load_acquire(&c->sent_count));
	for (int i = 0; i < SENDERS; i++)
		CHECK_EQ(sums[i], wf_load_acquire(&c->sent[i]));
	return 0;
}

static void run_crowd(size_t capacity)
{
	struct crowd c = {.mb = make_mailbox(sizeof(struct message), capacity), .per_sender = test_scaled(3000)};
	struct weft_co *cos[SENDERS - 1], *owner = spawn_co(NULL, receive_many, &c);
	pthread_t thread = start_thread(send_from_thread, &c);
	for (int i = 0; i < SENDERS - 1; i++)
		cos[i] = spawn_co(NULL, send_many, &c);
	for (int i = 0; i < SENDERS - 1; i++)
		join_co(cos[i]);
	join_thread(thread);
	CHECK_RESULT(weft_mailbox_close(c.mb), 0);
	CHECK_EQ(join_co(owner), 0);
	CHECK_RESULT(weft_mailbox_destroy(c.mb), 0);
}

CO_TEST(nothing_lost_in_a_small_one) { run_crowd(1); }
CO_TEST(nothing_lost_in_a_larger_one) { run_crowd(50); }

static void *send_one(void *arg)
{
	CHECK_RESULT(weft_mailbox_send(arg, &(long){1}), 0);
	return NULL;
}

/* Without a runtime: freed as soon as the last message came, though its sender may not have returned. */
TEST(threads_alone)
{
	for (int i = 0; i < test_scaled(1000); i++) {
		struct weft_mailbox *mb = make_mailbox(sizeof(long), 1);
		pthread_t threads[2] = {start_thread(send_one, mb), start_thread(send_one, mb)};
		struct choice c = {.wanted = i % 2 ? 1 : 0};
		long value;
		if (i % 2)
			CHECK_RESULT(weft_mailbox_recv_if(mb, is_chosen, &c, NULL, &value, WEFT_NEVER), 1);
		else
			CHECK_RESULT(weft_mailbox_recv(mb, &value), 1);
		CHECK_RESULT(weft_mailbox_recv(mb, &value), 1);
		CHECK_RESULT(weft_mailbox_destroy(mb), 0);
		join_thread(threads[0]);
		join_thread(threads[1]);
	}
}
