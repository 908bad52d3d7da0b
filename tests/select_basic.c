/* Select, one call after the other: what it chooses, does and returns. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chan_util.h"
#include "scope_util.h"

static struct weft_case recv_case(struct weft_chan *ch, long *value)
{
	return (struct weft_case){ .op = WEFT_OP_RECV, .result = -1, .chan = ch, .elem = value };
}

static struct weft_case send_case(struct weft_chan *ch, long *value)
{
	return (struct weft_case){ .op = WEFT_OP_SEND, .result = -1, .chan = ch, .elem = value };
}

static struct weft_case join_case(struct weft_co *co)
{
	return (struct weft_case){ .op = WEFT_OP_JOIN, .result = -1, .co = co };
}

/* ---- what is ready --------------------------------------------------------------------------------------------------- */

TEST(ready_at_once)
{
	struct weft_chan *empty = make_chan(sizeof(long), 1), *full = make_chan(sizeof(long), 1);
	long in = 0, out = 5;
	send_long(full, 3);
	struct weft_case cases[] = { recv_case(empty, &in), send_case(full, &out), recv_case(full, &in) };
	CHECK_RESULT(weft_select(cases, 2, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_select(cases, 3, WEFT_NOW), 2);
	CHECK_EQ(cases[2].result, 1);
	CHECK_EQ(in, 3);
	CHECK_EQ(cases[0].result, -1);
	CHECK_EQ(cases[1].result, -1);
	CHECK_RESULT(weft_select(cases, 2, WEFT_NEVER), 1);
	CHECK_EQ(cases[1].result, 0);
	expect_long(full, 5);
	destroy_chan(empty);
	destroy_chan(full);
}

TEST(closed_is_ready)
{
	struct weft_chan *ch = make_chan(sizeof(long), 1);
	long value = 7;
	send_long(ch, 1);
	CHECK_RESULT(weft_chan_close(ch), 0);
	struct weft_case receive = recv_case(ch, &value), send = send_case(ch, &value);
	CHECK_RESULT(weft_select(&receive, 1, WEFT_NOW), 0);
	CHECK_EQ(receive.result, 1);
	CHECK_EQ(value, 1);
	CHECK_RESULT(weft_select(&receive, 1, WEFT_NOW), 0);
	CHECK_EQ(receive.result, 0);
	CHECK_EQ(value, 1);
	CHECK_RESULT(weft_select(&send, 1, WEFT_NEVER), 0);
	CHECK_EQ(send.result, -EPIPE);
	destroy_chan(ch);
}

TEST(cases_that_are_off)
{
	struct weft_chan *ch = make_chan(0, 1);
	struct weft_case cases[] = {
		{ .op = WEFT_OP_NONE, .chan = ch }, { .op = WEFT_OP_SEND },          { .op = WEFT_OP_RECV },
		{ .op = WEFT_OP_JOIN },             { .op = WEFT_OP_FD, .fd = -1 }, { .op = WEFT_OP_SEND, .chan = ch },
	};
	CHECK_RESULT(weft_select(cases, 5, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_select(cases, 5, weft_after(WEFT_MS(1))), -ETIMEDOUT);
	CHECK_RESULT(weft_select(cases, 6, WEFT_NEVER), 5);
	CHECK_RESULT(weft_select(NULL, 0, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_select(NULL, 0, weft_after(WEFT_MS(1))), -ETIMEDOUT);
	destroy_chan(ch);
}

TEST(refused)
{
	struct weft_chan *ch = make_chan(sizeof(long), 1);
	struct weft_case c = { .op = WEFT_OP_SEND, .chan = ch };
	CHECK_RESULT(weft_select(&c, 1, WEFT_NOW), -EINVAL); /* no value */
	CHECK_RESULT(weft_select(&c, -1, WEFT_NOW), -EINVAL);
	CHECK_RESULT(weft_select(NULL, 1, WEFT_NOW), -EINVAL);
	c = (struct weft_case){ .op = WEFT_OP_EXIT + 1 };
	CHECK_RESULT(weft_select(&c, 1, WEFT_NOW), -EINVAL);
	c.op = -1;
	CHECK_RESULT(weft_select(&c, 1, WEFT_NOW), -EINVAL);
	c = (struct weft_case){ .op = WEFT_OP_FD, .fd = 0 };
	CHECK_RESULT(weft_select(&c, 1, WEFT_NOW), -EINVAL); /* no direction */
	c.dirs = 4;
	CHECK_RESULT(weft_select(&c, 1, WEFT_NOW), -EINVAL);
	destroy_chan(ch);
}

/* ---- the choice ------------------------------------------------------------------------------------------------------ */

/* N draws with probability p: the count is within 10 standard deviations. */
static void check_fair(long count, long n, double p)
{
	double away = (double)count - (double)n * p;
	CHECK_LT(away * away, 100 * (double)n * p * (1 - p));
}

/* Of ready cases each is as likely as any other, whatever else is in the list. */
static void check_choice(int first, int ready, int after)
{
	enum { MAX = 32, N = 10000 };
	struct weft_case cases[MAX] = { 0 };
	long counts[MAX] = { 0 }, value;
	struct weft_chan *empty = make_chan(sizeof(long), 1), *closed = make_chan(sizeof(long), 1);
	CHECK_RESULT(weft_chan_close(closed), 0);
	for (int i = 0; i < first + ready + after; i++)
		cases[i] = recv_case(i >= first && i < first + ready ? closed : empty, &value);
	for (int i = 0; i < N; i++) {
		int chosen = weft_select(cases, first + ready + after, WEFT_NEVER);
		CHECK_GE(chosen, first);
		CHECK_LT(chosen, first + ready);
		counts[chosen]++;
	}
	for (int i = first; ready > 1 && i < first + ready; i++)
		check_fair(counts[i], N, 1.0 / ready);
	destroy_chan(empty);
	destroy_chan(closed);
}

CO_TEST(fair_choice)
{
	check_choice(0, 2, 0);
	check_choice(0, 1, 3);
	check_choice(1, 2, 1);
	check_choice(3, 4, 0);
	check_choice(0, 3, 20);
	check_choice(12, 7, 12);
}

TEST(fair_choice_of_a_thread)
{
	check_choice(1, 3, 2);
	check_choice(10, 5, 2);
}

/* The idea of Go's TestSelectFairness: a closed channel among quiet ones and one that is always ready does not starve the other. */
CO_TEST(fair_between_send_and_receive)
{
	enum { N = 10000 };
	struct weft_chan *to = make_chan(sizeof(long), N), *from = make_chan(sizeof(long), N);
	long value = 1, sent = 0;
	for (int i = 0; i < N; i++)
		send_long(from, i);
	struct weft_case cases[] = { send_case(to, &value), recv_case(from, &value) };
	for (int i = 0; i < N; i++)
		sent += ok(weft_select(cases, 2, WEFT_NEVER)) == 0;
	check_fair(sent, N, 0.5);
	destroy_chan(to);
	destroy_chan(from);
}

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

struct call {
	struct weft_case *cases;
	int n;
	weft_time deadline;
	int result;
	struct weft_co *co;
};

static int run_select(void *arg)
{
	struct call *call = arg;
	call->result = weft_select(call->cases, call->n, call->deadline);
	return 0;
}

static void start_select(struct call *call, struct weft_case *cases, int n, weft_time deadline)
{
	*call = (struct call){ .cases = cases, .n = n, .deadline = deadline };
	call->co = spawn_co(NULL, run_select, call);
}

static int finish_select(struct call *call)
{
	join_co(call->co);
	return call->result;
}

/* Whichever case becomes ready first is the answer, and no trace of the others is left. */
CO_TEST(wakes_for_each_case)
{
	struct weft_chan *a = make_chan(sizeof(long), 0), *b = make_chan(sizeof(long), 0);
	long in = 0, out = 9;
	struct weft_case cases[] = { recv_case(a, &in), send_case(b, &out) };
	struct call call;
	for (int which = 0; which < 4; which++) {
		start_select(&call, cases, 2, WEFT_NEVER);
		await_queue(a, WF_RECEIVERS, 1);
		await_queue(b, WF_SENDERS, 1);
		if (which == 0)
			send_long(a, 4);
		else if (which == 1)
			expect_long(b, 9);
		else
			CHECK_RESULT(weft_chan_close(which == 2 ? a : b), 0);
		CHECK_RESULT(finish_select(&call), which % 2);
		CHECK_EQ(cases[which % 2].result, which == 0 ? 1 : which == 3 ? -EPIPE : 0);
		if (which == 2) {
			destroy_chan(a);
			a = cases[0].chan = make_chan(sizeof(long), 0);
		}
		await_queue(a, WF_RECEIVERS, 0);
		await_queue(b, WF_SENDERS, 0);
	}
	CHECK_EQ(in, 4);
	destroy_chan(a);
	destroy_chan(b);
}

CO_TEST(deadline_and_cancel)
{
	struct weft_chan *a = make_chan(sizeof(long), 0), *b = make_chan(sizeof(long), 0);
	long in, out = 1;
	struct weft_case cases[] = { recv_case(a, &in), send_case(b, &out) };
	struct call call;
	weft_time deadline = weft_after(WEFT_MS(3));
	CHECK_RESULT(weft_select(cases, 2, deadline), -ETIMEDOUT);
	CHECK_GE(weft_now(), deadline);
	CHECK_RESULT(weft_select(cases, 2, deadline), -ETIMEDOUT);
	start_select(&call, cases, 2, WEFT_NEVER);
	await_queue(b, WF_SENDERS, 1);
	CHECK_RESULT(weft_cancel(call.co), 0);
	CHECK_RESULT(finish_select(&call), -ECANCELED);
	await_queue(a, WF_RECEIVERS, 0);
	start_select(&call, NULL, 0, WEFT_NEVER);
	CHECK_RESULT(weft_cancel(call.co), 0);
	CHECK_RESULT(finish_select(&call), -ECANCELED);
	destroy_chan(a);
	destroy_chan(b);
}

/* A call entered cancelled does nothing, though it could. */
static int select_cancelled(void *arg)
{
	while (weft_cancelled() == 0)
		weft_yield();
	run_select(arg);
	return 0;
}

CO_TEST(entered_cancelled)
{
	struct weft_chan *ch = make_chan(sizeof(long), 1);
	long value = 1;
	struct weft_case c = send_case(ch, &value);
	struct call call = { .cases = &c, .n = 1, .deadline = WEFT_NOW };
	struct weft_co *co = spawn_co(NULL, select_cancelled, &call);
	CHECK_RESULT(weft_cancel(co), 0);
	join_co(co);
	CHECK_RESULT(call.result, -ECANCELED);
	CHECK_EQ(weft_chan_len(ch), 0);
	destroy_chan(ch);
}

/* ---- the same channel more than once --------------------------------------------------------------------------------- */

/* Go's TestSelfSelect: two that send and receive on one channel never meet themselves. */
struct self {
	struct weft_chan *ch;
	long id;
	long rounds;
};

static int send_and_receive(void *arg)
{
	const struct self *self = arg;
	long in, out = self->id;
	for (long i = 0; i < self->rounds; i++) {
		struct weft_case cases[2];
		cases[i % 2] = send_case(self->ch, &out);
		cases[1 - i % 2] = recv_case(self->ch, &in);
		int which = ok(weft_select(cases, 2, WEFT_NEVER));
		CHECK_EQ(cases[which].result, which == i % 2 ? 0 : 1);
		if (which != i % 2)
			CHECK_NE(in, out);
	}
	return 0;
}

CO_TEST(never_meets_itself)
{
	struct weft_chan *ch = make_chan(sizeof(long), 0);
	struct self selves[2];
	struct weft_co *cos[2];
	long value = 1;
	for (int i = 0; i < 2; i++) {
		selves[i] = (struct self){ .ch = ch, .id = i, .rounds = test_scaled(20000) };
		cos[i] = spawn_co(NULL, send_and_receive, &selves[i]);
	}
	for (int i = 0; i < 2; i++)
		join_co(cos[i]);
	struct weft_case cases[] = { send_case(ch, &value), recv_case(ch, &value) };
	CHECK_RESULT(weft_select(cases, 2, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_select(cases, 2, weft_after(WEFT_MS(1))), -ETIMEDOUT);
	await_queue(ch, WF_SENDERS, 0);
	await_queue(ch, WF_RECEIVERS, 0);
	destroy_chan(ch);
}

CO_TEST(same_channel_in_many_cases)
{
	enum { N = 20 };
	struct weft_chan *ch = make_chan(sizeof(long), 0);
	long values[N];
	struct weft_case cases[N];
	struct call call;
	for (int i = 0; i < N; i++) {
		values[i] = -1;
		cases[i] = recv_case(ch, &values[i]);
	}
	for (int n = 2; n <= N; n += 6) {
		start_select(&call, cases, n, WEFT_NEVER);
		await_queue(ch, WF_RECEIVERS, n);
		send_long(ch, n);
		int which = finish_select(&call);
		CHECK_EQ(which, 0); /* the first in the queue */
		CHECK_EQ(values[0], n);
		await_queue(ch, WF_RECEIVERS, 0);
	}
	for (int i = 1; i < N; i++)
		CHECK_EQ(values[i], -1);
	start_select(&call, cases, N, WEFT_NEVER);
	await_queue(ch, WF_RECEIVERS, N);
	CHECK_RESULT(weft_chan_close(ch), 0);
	CHECK_EQ(finish_select(&call), 0);
	CHECK_EQ(cases[0].result, 0);
	destroy_chan(ch);
}

/* Two selects on the same channels in opposite orders meet, and nobody waits for a lock for ever. */
CO_TEST(two_selects_meet)
{
	enum { N = 6 };
	struct weft_chan *chans[N];
	struct weft_case sends[N], receives[N];
	long out[N], in = -1;
	struct call call;
	for (int i = 0; i < N; i++) {
		chans[i] = make_chan(sizeof(long), 0);
		out[i] = 100 + i;
	}
	for (int i = 0; i < N; i++) {
		sends[i] = send_case(chans[i], &out[i]);
		receives[i] = recv_case(chans[N - 1 - i], &in);
	}
	for (int round = 0; round < 50; round++) {
		start_select(&call, sends, N, WEFT_NEVER);
		int received = ok(weft_select(receives, N, WEFT_NEVER)), sent = finish_select(&call);
		CHECK_EQ(sent, N - 1 - received);
		CHECK_EQ(in, out[sent]);
	}
	for (int i = 0; i < N; i++)
		destroy_chan(chans[i]);
}

/* ---- many cases ------------------------------------------------------------------------------------------------------ */

CO_TEST(thousands_of_cases)
{
	enum { N = 3000 };
	struct weft_chan **chans = calloc(N, sizeof(struct weft_chan *));
	struct weft_case *cases = calloc(N, sizeof *cases);
	struct call call;
	long in = 0;
	for (int i = 0; i < N; i++)
		chans[i] = make_chan(sizeof(long), 0);
	for (int i = 0; i < N; i++) /* in no order of their addresses */
		cases[i] = recv_case(chans[(i * 7 + 1) % N], &in);
	CHECK_RESULT(weft_select(cases, N, WEFT_NOW), -EAGAIN);
	for (int round = 0; round < 20; round++) {
		int which = round * 149 % N;
		start_select(&call, cases, N, WEFT_NEVER);
		await_queue(chans[0], WF_RECEIVERS, 1);
		send_long(cases[which].chan, round);
		CHECK_EQ(finish_select(&call), which);
		CHECK_EQ(in, round);
		await_queue(chans[0], WF_RECEIVERS, 0);
	}
	start_select(&call, cases, N, weft_after(WEFT_MS(2)));
	CHECK_RESULT(finish_select(&call), -ETIMEDOUT);
	for (int i = 0; i < N; i++)
		destroy_chan(chans[i]);
	free(cases);
	free(chans);
}

/* ---- joins ----------------------------------------------------------------------------------------------------------- */

static int wait_for_one(void *arg)
{
	CHECK_OK(weft_chan_recv(arg, NULL));
	return 42;
}

CO_TEST(join_is_observed)
{
	struct weft_chan *gate = make_chan(0, 0), *quiet = make_chan(sizeof(long), 0);
	long value;
	int result = 0;
	struct weft_co *co = spawn_co(NULL, wait_for_one, gate);
	struct weft_case cases[] = { recv_case(quiet, &value), join_case(co), join_case(co) };
	CHECK_RESULT(weft_select(cases, 3, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_select(cases, 3, weft_after(WEFT_MS(1))), -ETIMEDOUT);
	CHECK_RESULT(weft_chan_send(gate, NULL), 0);
	int which = ok(weft_select(cases, 3, WEFT_NEVER));
	CHECK_GE(which, 1);
	CHECK_EQ(cases[which].result, 0);
	CHECK_GE(weft_select(cases, 3, WEFT_NOW), 1); /* again: nothing was consumed */
	CHECK_RESULT(weft_join(co, &result), 0);
	CHECK_EQ(result, 42);
	destroy_chan(gate);
	destroy_chan(quiet);
}

/* Several look on, one joins. */
CO_TEST(observers_and_a_joiner)
{
	enum { N = 5 };
	struct weft_chan *gate = make_chan(0, 0);
	struct weft_co *co = spawn_co(NULL, wait_for_one, gate);
	struct weft_case cases[N], before = join_case(co);
	struct call calls[N];
	for (int i = 0; i < N; i++) {
		cases[i] = join_case(co);
		start_select(&calls[i], &cases[i], 1, WEFT_NEVER);
	}
	for (int i = 0; i < N; i++)
		await_waiting(calls[i].co, WF_WHY_SELECT);
	CHECK_RESULT(weft_select(&before, 1, weft_after(WEFT_MS(1))), -ETIMEDOUT);
	CHECK_RESULT(weft_detach(co), -EINVAL); /* they look on */
	CHECK_RESULT(weft_join_until(co, NULL, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_chan_send(gate, NULL), 0);
	CHECK_EQ(join_co(co), 42);
	for (int i = 0; i < N; i++) {
		CHECK_RESULT(finish_select(&calls[i]), 0);
		CHECK_EQ(cases[i].result, 0);
	}
	destroy_chan(gate);
}

/* An observer whose wait ended otherwise leaves the queue of the coroutine. */
CO_TEST(observer_leaves)
{
	struct weft_chan *gate = make_chan(0, 0), *other = make_chan(0, 0);
	struct weft_co *co = spawn_co(NULL, wait_for_one, gate);
	struct weft_case cases[] = { join_case(co), { .op = WEFT_OP_RECV, .chan = other } };
	struct call call;
	start_select(&call, cases, 2, WEFT_NEVER);
	await_queue(other, WF_RECEIVERS, 1);
	CHECK_RESULT(weft_chan_send(other, NULL), 0);
	CHECK_RESULT(finish_select(&call), 1);
	CHECK_RESULT(weft_chan_send(gate, NULL), 0);
	CHECK_EQ(join_co(co), 42);
	destroy_chan(gate);
	destroy_chan(other);
}

static int join_myself(void *arg)
{
	struct weft_co **self = arg;
	while (!*self)
		weft_yield();
	struct weft_case c = join_case(*self);
	return weft_select(&c, 1, WEFT_NEVER);
}

CO_TEST(join_of_the_caller)
{
	static struct weft_co *self;
	struct weft_co *co = spawn_co(NULL, join_myself, &self);
	self = co;
	CHECK_RESULT(join_co(co), -EDEADLK);
}

/* ---- plain threads --------------------------------------------------------------------------------------------------- */

static void *select_on_thread(void *arg)
{
	run_select(arg);
	return NULL;
}

CO_TEST(thread_selects)
{
	struct weft_chan *a = make_chan(sizeof(long), 0), *b = make_chan(sizeof(long), 0), *gate = make_chan(0, 0);
	long in = 0, out = 3;
	struct weft_co *co = spawn_co(NULL, wait_for_one, gate);
	struct weft_case cases[] = { recv_case(a, &in), send_case(b, &out), join_case(co) };
	struct call call = { .cases = cases, .n = 3, .deadline = WEFT_NEVER };
	for (int which = 0; which < 3; which++) {
		pthread_t thread = start_thread(select_on_thread, &call);
		await_queue(b, WF_SENDERS, 1);
		if (which == 0)
			send_long(a, 8);
		else if (which == 1)
			expect_long(b, 3);
		else
			CHECK_RESULT(weft_chan_send(gate, NULL), 0);
		join_thread(thread);
		CHECK_RESULT(call.result, which);
	}
	CHECK_EQ(in, 8);
	join_co(co);
	destroy_chan(a);
	destroy_chan(b);
	destroy_chan(gate);
}

TEST(thread_selects_without_a_runtime)
{
	struct weft_chan *a = make_chan(sizeof(long), 0), *b = make_chan(sizeof(long), 0);
	long in = 0, out = 3;
	struct weft_case cases[] = { recv_case(a, &in), send_case(b, &out) };
	struct chan_call call;
	CHECK_RESULT(weft_select(cases, 2, weft_after(WEFT_MS(1))), -ETIMEDOUT);
	start_thread_send(&call, a, 8);
	CHECK_RESULT(weft_select(cases, 2, WEFT_NEVER), 0);
	CHECK_EQ(in, 8);
	CHECK_RESULT(finish_call(&call), 0);
	start_thread_recv(&call, b);
	CHECK_RESULT(weft_select(cases, 2, WEFT_NEVER), 1);
	CHECK_RESULT(finish_call(&call), 1);
	CHECK_EQ(call.value, 3);
	destroy_chan(a);
	destroy_chan(b);
}

/* The thread is still in its call when the coroutine that it looks on at has ended, was joined, and the runtime stops. */
TEST(thread_looks_on_until_the_runtime_stops)
{
	for (int round = 0; round < test_scaled(200); round++) {
		struct weft_chan *gate = make_chan(0, 0), *other = make_chan(0, 0);
		CHECK_RESULT(weft_start(NULL), 0);
		struct weft_co *co = spawn_co(NULL, wait_for_one, gate);
		struct weft_case cases[] = { join_case(co), { .op = WEFT_OP_RECV, .chan = other } };
		struct call call = { .cases = cases, .n = 2, .deadline = WEFT_NEVER };
		pthread_t thread = start_thread(select_on_thread, &call);
		await_queue(other, WF_RECEIVERS, 1);
		CHECK_RESULT(weft_chan_send(round % 2 ? other : gate, NULL), 0);
		if (round % 2)
			CHECK_RESULT(weft_chan_send(gate, NULL), 0);
		CHECK_EQ(join_co(co), 42);
		CHECK_RESULT(weft_stop(WEFT_NEVER), 0);
		join_thread(thread);
		CHECK_RESULT(call.result, round % 2);
		destroy_chan(gate);
		destroy_chan(other);
	}
}

/* What a select says has ended can be joined at once. */
TEST(ended_is_ended)
{
	CHECK_RESULT(weft_start(NULL), 0);
	for (int round = 0; round < test_scaled(5000); round++) {
		struct weft_chan *gate = make_chan(0, 1);
		struct weft_co *co = spawn_co(NULL, wait_for_one, gate);
		struct weft_case c = join_case(co);
		int result = 0;
		CHECK_RESULT(weft_chan_send(gate, NULL), 0);
		do
			result = weft_select(&c, 1, WEFT_NOW);
		while (result == -EAGAIN);
		CHECK_RESULT(result, 0);
		CHECK_RESULT(weft_join_until(co, &result, WEFT_NOW), 0);
		CHECK_EQ(result, 42);
		destroy_chan(gate);
	}
	CHECK_RESULT(weft_stop(WEFT_NEVER), 0);
}
