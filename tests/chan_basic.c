/* Channels, one call after the other: what each call does and returns. */
#include <errno.h>
#include <string.h>

#include "chan_util.h"

/* ---- making ---------------------------------------------------------------------------------------------------------- */

TEST(create_refuses_what_cannot_be)
{
	struct weft_chan *ch = NULL;
	CHECK_RESULT(weft_chan_create(NULL, 8, 0), -EINVAL);
	CHECK_RESULT(weft_chan_create(&ch, 8, WEFT_CHAN_CAPACITY_MAX + 1), -EINVAL);
	CHECK_RESULT(weft_chan_create(&ch, 0, WEFT_CHAN_CAPACITY_MAX + 1), -EINVAL);
	CHECK_RESULT(weft_chan_create(&ch, SIZE_MAX, 1), -EINVAL);
	CHECK_RESULT(weft_chan_create(&ch, SIZE_MAX / 2, 2), -EINVAL);
	CHECK_RESULT(weft_chan_create(&ch, SIZE_MAX / WEFT_CHAN_CAPACITY_MAX + 1, WEFT_CHAN_CAPACITY_MAX), -EINVAL);
	CHECK_PTR(ch, NULL);
	CHECK_RESULT(weft_chan_create(&ch, SIZE_MAX, 0), 0);
	destroy_chan(ch);
	CHECK_RESULT(weft_chan_create(&ch, 0, WEFT_CHAN_CAPACITY_MAX), 0);
	CHECK_EQ(weft_chan_cap(ch), WEFT_CHAN_CAPACITY_MAX);
	destroy_chan(ch);
}

TEST(null_channel)
{
	long value = 1;
	CHECK_RESULT(weft_chan_send(NULL, &value), -EINVAL);
	CHECK_RESULT(weft_chan_recv(NULL, &value), -EINVAL);
	CHECK_RESULT(weft_chan_try_send(NULL, &value), -EINVAL);
	CHECK_RESULT(weft_chan_try_recv(NULL, &value), -EINVAL);
	CHECK_RESULT(weft_chan_send_until(NULL, &value, WEFT_NOW), -EINVAL);
	CHECK_RESULT(weft_chan_recv_until(NULL, &value, WEFT_NOW), -EINVAL);
	CHECK_RESULT(weft_chan_close(NULL), -EINVAL);
	CHECK_RESULT(weft_chan_destroy(NULL), 0);
	CHECK_EQ(weft_chan_len(NULL), 0);
	CHECK_EQ(weft_chan_cap(NULL), 0);
}

TEST(send_of_nothing)
{
	struct weft_chan *ch = make_chan(sizeof(long), 1);
	CHECK_RESULT(weft_chan_send(ch, NULL), -EINVAL);
	CHECK_RESULT(weft_chan_try_send(ch, NULL), -EINVAL);
	CHECK_EQ(weft_chan_len(ch), 0);
	destroy_chan(ch);
}

/* ---- buffers --------------------------------------------------------------------------------------------------------- */

TEST(first_in_first_out_around_the_ring)
{
	enum { CAPACITY = 3 };
	struct weft_chan *ch = make_chan(sizeof(long), CAPACITY);
	long in = 0, out = 0, value;
	CHECK_EQ(weft_chan_cap(ch), CAPACITY);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i <= round % CAPACITY; i++)
			send_long(ch, in++);
		CHECK_EQ(weft_chan_len(ch), round % CAPACITY + 1);
		for (int i = 0; i <= round % CAPACITY; i++)
			expect_long(ch, out++);
		CHECK_EQ(weft_chan_len(ch), 0);
	}
	CHECK_RESULT(weft_chan_try_recv(ch, &value), -EAGAIN);
	for (int i = 0; i < CAPACITY; i++)
		CHECK_RESULT(weft_chan_try_send(ch, &in), 0);
	CHECK_RESULT(weft_chan_try_send(ch, &in), -EAGAIN);
	CHECK_EQ(weft_chan_len(ch), CAPACITY);
	destroy_chan(ch);
}

/* Every size up to more than a cache line, at every alignment, through the ring; not a byte beside the element is touched. */
TEST(sizes_and_alignments)
{
	enum { MAX = 70, GUARD = 16 };
	unsigned char in[MAX + 2 * GUARD], out[MAX + 2 * GUARD], expected[MAX + 2 * GUARD];
	for (size_t size = 0; size <= MAX; size++) {
		struct weft_chan *ch = make_chan(size, 2);
		for (size_t offset = 0; offset < 8; offset++) {
			memset(out, 0xee, sizeof out);
			memset(expected, 0xee, sizeof expected);
			for (size_t i = 0; i < size; i++)
				in[GUARD + offset + i] = expected[GUARD + offset + i] = (unsigned char)(size * 7 + offset + i);
			CHECK_RESULT(weft_chan_try_send(ch, in + GUARD + offset), 0);
			CHECK_RESULT(weft_chan_try_recv(ch, out + GUARD + offset), 1);
			CHECK_MEM(out, expected, sizeof out);
		}
		destroy_chan(ch);
	}
}

TEST(size_zero)
{
	struct weft_chan *ch = make_chan(0, 2);
	CHECK_RESULT(weft_chan_send(ch, NULL), 0);
	CHECK_RESULT(weft_chan_send(ch, NULL), 0);
	CHECK_RESULT(weft_chan_try_send(ch, NULL), -EAGAIN);
	CHECK_EQ(weft_chan_len(ch), 2);
	CHECK_RESULT(weft_chan_recv(ch, NULL), 1);
	CHECK_RESULT(weft_chan_recv(ch, NULL), 1);
	CHECK_RESULT(weft_chan_try_recv(ch, NULL), -EAGAIN);
	CHECK_RESULT(weft_chan_close(ch), 0);
	CHECK_RESULT(weft_chan_recv(ch, NULL), 0);
	destroy_chan(ch);
}

TEST(receive_and_drop)
{
	struct weft_chan *ch = make_chan(sizeof(long), 2);
	send_long(ch, 1);
	send_long(ch, 2);
	CHECK_RESULT(weft_chan_recv(ch, NULL), 1);
	expect_long(ch, 2);
	destroy_chan(ch);
}

/* What is kept is freed with the channel: the leak checker looks. */
TEST(destroy_with_values)
{
	struct weft_chan *ch = make_chan(64, 10);
	CHECK_RESULT(weft_chan_send(ch, (char[64]){ 1 }), 0);
	destroy_chan(ch);
}

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

CO_TEST(rendezvous)
{
	struct weft_chan *ch = make_chan(sizeof(long), 0);
	struct chan_call sender, receiver;
	CHECK_EQ(weft_chan_cap(ch), 0);
	start_send(&sender, ch, 7);
	await_queue(ch, WF_SENDERS, 1);
	CHECK_EQ(weft_chan_len(ch), 0);
	expect_long(ch, 7);
	CHECK_RESULT(finish_call(&sender), 0);
	start_recv(&receiver, ch);
	await_queue(ch, WF_RECEIVERS, 1);
	send_long(ch, 8);
	CHECK_RESULT(finish_call(&receiver), 1);
	CHECK_EQ(receiver.value, 8);
	destroy_chan(ch);
}

/* A send on a channel without capacity returns only when the value is with a receiver. */
static int send_and_note(void *arg)
{
	struct chan_call *call = arg;
	CHECK_RESULT(weft_chan_send(call->ch, &call->value), 0);
	call->result = 1;
	return 0;
}

CO_TEST(send_waits_for_the_receiver)
{
	struct chan_call call = { .ch = make_chan(sizeof(long), 0), .value = 5 };
	struct weft_co *co = spawn_co(NULL, send_and_note, &call);
	await_queue(call.ch, WF_SENDERS, 1);
	for (int i = 0; i < 100; i++)
		weft_yield();
	CHECK_EQ(call.result, 0);
	expect_long(call.ch, 5);
	join_co(co);
	CHECK_EQ(call.result, 1);
	destroy_chan(call.ch);
}

CO_TEST(zero_size_rendezvous)
{
	struct weft_chan *ch = make_chan(0, 0);
	struct chan_call sender;
	start_send(&sender, ch, 7);
	await_queue(ch, WF_SENDERS, 1);
	CHECK_RESULT(weft_chan_recv(ch, NULL), 1);
	CHECK_RESULT(finish_call(&sender), 0);
	destroy_chan(ch);
}

CO_TEST(waiting_receiver_that_drops)
{
	struct weft_chan *ch = make_chan(sizeof(long), 0);
	struct chan_call sender;
	start_send(&sender, ch, 7);
	CHECK_RESULT(weft_chan_recv(ch, NULL), 1);
	CHECK_RESULT(finish_call(&sender), 0);
	destroy_chan(ch);
}

/* Senders and receivers are served in order of arrival; the first sender's value goes into the slot that becomes free. */
CO_TEST(order_of_arrival)
{
	enum { N = 20 };
	for (size_t capacity = 0; capacity <= 2; capacity++) {
		struct weft_chan *ch = make_chan(sizeof(long), capacity);
		struct chan_call calls[N];
		for (size_t i = 0; i < capacity; i++)
			send_long(ch, (long)i);
		for (int i = 0; i < N; i++) {
			start_send(&calls[i], ch, (long)capacity + i);
			await_queue(ch, WF_SENDERS, i + 1);
		}
		for (int i = 0; i < N + (int)capacity; i++) {
			CHECK_EQ(weft_chan_len(ch), i < N ? (int)capacity : N + (int)capacity - i);
			expect_long(ch, i);
		}
		for (int i = 0; i < N; i++)
			CHECK_RESULT(finish_call(&calls[i]), 0);
		for (int i = 0; i < N; i++) {
			start_recv(&calls[i], ch);
			await_queue(ch, WF_RECEIVERS, i + 1);
		}
		for (int i = 0; i < N; i++)
			send_long(ch, 100 + i);
		for (int i = 0; i < N; i++) {
			CHECK_RESULT(finish_call(&calls[i]), 1);
			CHECK_EQ(calls[i].value, 100 + i);
		}
		destroy_chan(ch);
	}
}

CO_TEST(try_meets_who_waits)
{
	struct weft_chan *ch = make_chan(sizeof(long), 0);
	struct chan_call call;
	long value = 3;
	CHECK_RESULT(weft_chan_try_send(ch, &value), -EAGAIN);
	CHECK_RESULT(weft_chan_try_recv(ch, &value), -EAGAIN);
	start_recv(&call, ch);
	await_queue(ch, WF_RECEIVERS, 1);
	CHECK_RESULT(weft_chan_try_recv(ch, &value), -EAGAIN);
	CHECK_RESULT(weft_chan_try_send(ch, &value), 0);
	CHECK_RESULT(finish_call(&call), 1);
	CHECK_EQ(call.value, 3);
	start_send(&call, ch, 4);
	await_queue(ch, WF_SENDERS, 1);
	CHECK_RESULT(weft_chan_try_send(ch, &value), -EAGAIN);
	CHECK_RESULT(weft_chan_try_recv(ch, &value), 1);
	CHECK_EQ(value, 4);
	CHECK_RESULT(finish_call(&call), 0);
	destroy_chan(ch);
}

/* ---- closing --------------------------------------------------------------------------------------------------------- */

TEST(close_and_drain)
{
	struct weft_chan *ch = make_chan(sizeof(long), 3);
	long value = 9;
	send_long(ch, 1);
	send_long(ch, 2);
	CHECK_RESULT(weft_chan_close(ch), 0);
	CHECK_RESULT(weft_chan_close(ch), -EALREADY);
	CHECK_RESULT(weft_chan_send(ch, &value), -EPIPE);
	CHECK_RESULT(weft_chan_try_send(ch, &value), -EPIPE);
	CHECK_RESULT(weft_chan_send_until(ch, &value, WEFT_NOW), -EPIPE);
	CHECK_EQ(weft_chan_len(ch), 2);
	expect_long(ch, 1);
	CHECK_RESULT(weft_chan_try_recv(ch, &value), 1);
	CHECK_EQ(value, 2);
	for (int i = 0; i < 3; i++) {
		CHECK_RESULT(weft_chan_recv(ch, &value), 0);
		CHECK_RESULT(weft_chan_try_recv(ch, &value), 0);
		CHECK_RESULT(weft_chan_recv_until(ch, &value, WEFT_NOW), 0);
		CHECK_EQ(value, 2);
	}
	CHECK_RESULT(weft_chan_close(ch), -EALREADY);
	destroy_chan(ch);
}

CO_TEST(close_wakes_receivers)
{
	enum { N = 10 };
	struct weft_chan *ch = make_chan(sizeof(long), 1);
	struct chan_call calls[N];
	for (int i = 0; i < N; i++)
		start_recv(&calls[i], ch);
	await_queue(ch, WF_RECEIVERS, N);
	CHECK_RESULT(weft_chan_close(ch), 0);
	for (int i = 0; i < N; i++) {
		CHECK_RESULT(finish_call(&calls[i]), 0);
		CHECK_EQ(calls[i].value, -1);
	}
	destroy_chan(ch);
}

/* Their values are not sent; what was kept can still be received. */
CO_TEST(close_wakes_senders)
{
	enum { N = 10 };
	struct weft_chan *ch = make_chan(sizeof(long), 1);
	struct chan_call calls[N];
	send_long(ch, 0);
	for (int i = 0; i < N; i++)
		start_send(&calls[i], ch, i + 1);
	await_queue(ch, WF_SENDERS, N);
	CHECK_RESULT(weft_chan_close(ch), 0);
	for (int i = 0; i < N; i++)
		CHECK_RESULT(finish_call(&calls[i]), -EPIPE);
	expect_long(ch, 0);
	CHECK_RESULT(weft_chan_recv(ch, &(long){ 0 }), 0);
	destroy_chan(ch);
}

CO_TEST(destroy_while_somebody_waits)
{
	struct weft_chan *ch = make_chan(sizeof(long), 0);
	struct chan_call call;
	start_recv(&call, ch);
	await_queue(ch, WF_RECEIVERS, 1);
	CHECK_RESULT(weft_chan_destroy(ch), -EBUSY);
	send_long(ch, 1);
	CHECK_RESULT(finish_call(&call), 1);
	start_send(&call, ch, 2);
	await_queue(ch, WF_SENDERS, 1);
	CHECK_RESULT(weft_chan_destroy(ch), -EBUSY);
	expect_long(ch, 2);
	CHECK_RESULT(finish_call(&call), 0);
	destroy_chan(ch);
}

/* ---- deadlines ------------------------------------------------------------------------------------------------------- */

CO_TEST(deadlines)
{
	struct weft_chan *ch = make_chan(sizeof(long), 1);
	long value = 1;
	weft_time deadline = weft_after(WEFT_MS(5));
	CHECK_RESULT(weft_chan_recv_until(ch, &value, deadline), -ETIMEDOUT);
	CHECK_GE(weft_now(), deadline);
	CHECK_RESULT(weft_chan_recv_until(ch, &value, deadline), -ETIMEDOUT);
	CHECK_RESULT(weft_chan_recv_until(ch, &value, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_chan_send_until(ch, &value, deadline), 0); /* possible at once, though the deadline is past */
	CHECK_RESULT(weft_chan_send_until(ch, &value, WEFT_NOW), -EAGAIN);
	deadline = weft_after(WEFT_MS(5));
	CHECK_RESULT(weft_chan_send_until(ch, &value, deadline), -ETIMEDOUT);
	CHECK_GE(weft_now(), deadline);
	CHECK_EQ(weft_chan_len(ch), 1);
	value = 0;
	CHECK_RESULT(weft_chan_recv_until(ch, &value, deadline), 1);
	CHECK_EQ(value, 1);
	CHECK_EQ(weft_chan_len(ch), 0);
	destroy_chan(ch);
}

/* Those that gave up are no longer served, those behind them are. */
CO_TEST(deadlines_in_the_queue)
{
	enum { N = 9 };
	struct weft_chan *ch = make_chan(sizeof(long), 0);
	struct chan_call calls[N];
	for (int i = 0; i < N; i++)
		start_send_until(&calls[i], ch, i, i % 3 == 1 ? weft_after(WEFT_MS(2)) : WEFT_NEVER);
	for (int i = 1; i < N; i += 3)
		CHECK_RESULT(finish_call(&calls[i]), -ETIMEDOUT);
	await_queue(ch, WF_SENDERS, N - N / 3);
	for (int left = N - N / 3; left > 0; left--) {
		long value;
		CHECK_RESULT(weft_chan_recv(ch, &value), 1);
		CHECK_NE(value % 3, 1);
		CHECK_RESULT(finish_call(&calls[value]), 0);
	}
	destroy_chan(ch);
}

/* ---- cancelling ------------------------------------------------------------------------------------------------------ */

CO_TEST(cancel_ends_the_wait)
{
	struct weft_chan *ch = make_chan(sizeof(long), 0);
	struct chan_call sender, receiver;
	start_recv(&receiver, ch);
	await_queue(ch, WF_RECEIVERS, 1);
	CHECK_RESULT(weft_cancel(receiver.co), 0);
	CHECK_RESULT(finish_call(&receiver), -ECANCELED);
	await_queue(ch, WF_RECEIVERS, 0);
	start_send(&sender, ch, 1);
	await_queue(ch, WF_SENDERS, 1);
	CHECK_RESULT(weft_cancel(sender.co), 0);
	CHECK_RESULT(finish_call(&sender), -ECANCELED);
	await_queue(ch, WF_SENDERS, 0);
	CHECK_RESULT(weft_chan_try_recv(ch, &(long){ 0 }), -EAGAIN);
	destroy_chan(ch);
}

/* A call entered cancelled transfers nothing, though it could; the try forms never wait, and so are no cancellation points. */
static int use_cancelled(void *arg)
{
	struct weft_chan *ch = arg;
	long value = 5;
	while (weft_cancelled() == 0)
		weft_yield();
	CHECK_RESULT(weft_chan_send(ch, &value), -ECANCELED);
	CHECK_RESULT(weft_chan_send_until(ch, &value, WEFT_NOW), -ECANCELED);
	CHECK_RESULT(weft_chan_recv(ch, &value), -ECANCELED);
	CHECK_EQ(weft_chan_len(ch), 1);
	CHECK_RESULT(weft_chan_try_recv(ch, &value), 1);
	CHECK_EQ(value, 1);
	value = 6;
	CHECK_RESULT(weft_chan_try_send(ch, &value), 0);
	CHECK_RESULT(weft_chan_close(ch), 0);
	return 0;
}

CO_TEST(entered_cancelled)
{
	struct weft_chan *ch = make_chan(sizeof(long), 2);
	send_long(ch, 1);
	struct weft_co *co = spawn_co(NULL, use_cancelled, ch);
	CHECK_RESULT(weft_cancel(co), 0);
	join_co(co);
	expect_long(ch, 6);
	CHECK_RESULT(weft_chan_recv(ch, &(long){ 0 }), 0);
	destroy_chan(ch);
}

/* A hand-over that came before the cancel is reported; the next call fails. */
static int receive_twice(void *arg)
{
	struct chan_call *call = arg;
	call->result = weft_chan_recv(call->ch, &call->value);
	CHECK_RESULT(weft_chan_recv(call->ch, &call->value), -ECANCELED);
	return 0;
}

CO_TEST(hand_over_before_the_cancel)
{
	struct chan_call call = { .ch = make_chan(sizeof(long), 0) };
	struct weft_co *co = spawn_co(NULL, receive_twice, &call);
	await_queue(call.ch, WF_RECEIVERS, 1);
	send_long(call.ch, 4);
	CHECK_RESULT(weft_cancel(co), 0);
	join_co(co);
	CHECK_RESULT(call.result, 1);
	CHECK_EQ(call.value, 4);
	destroy_chan(call.ch);
}

/* ---- plain threads --------------------------------------------------------------------------------------------------- */

/* Without any runtime: threads block. */
TEST(threads_alone)
{
	enum { N = 1000 };
	struct weft_chan *ch = make_chan(sizeof(long), 0);
	struct chan_call call;
	for (long i = 0; i < test_scaled(N); i++) {
		if (i % 2)
			start_thread_send(&call, ch, i);
		else
			start_thread_recv(&call, ch);
		if (i % 2)
			expect_long(ch, i);
		else
			send_long(ch, i);
		CHECK_RESULT(finish_call(&call), i % 2 == 0);
		CHECK_EQ(call.value, i);
	}
	start_thread_recv(&call, ch);
	await_queue(ch, WF_RECEIVERS, 1);
	CHECK_RESULT(weft_chan_close(ch), 0);
	CHECK_RESULT(finish_call(&call), 0);
	CHECK_RESULT(weft_chan_recv_until(ch, NULL, weft_after(WEFT_MS(1))), 0);
	destroy_chan(ch);
	ch = make_chan(sizeof(long), 0);
	CHECK_RESULT(weft_chan_recv_until(ch, NULL, weft_after(WEFT_MS(2))), -ETIMEDOUT);
	CHECK_RESULT(weft_chan_recv_until(ch, NULL, WEFT_NOW), -EAGAIN);
	destroy_chan(ch);
}

CO_TEST(thread_and_coroutine)
{
	struct weft_chan *ch = make_chan(sizeof(long), 0);
	struct chan_call call;
	start_thread_send(&call, ch, 5);
	expect_long(ch, 5);
	CHECK_RESULT(finish_call(&call), 0);
	start_thread_recv(&call, ch);
	await_queue(ch, WF_RECEIVERS, 1);
	send_long(ch, 6);
	CHECK_RESULT(finish_call(&call), 1);
	CHECK_EQ(call.value, 6);
	start_thread_send(&call, ch, 7);
	await_queue(ch, WF_SENDERS, 1);
	CHECK_RESULT(weft_chan_close(ch), 0);
	CHECK_RESULT(finish_call(&call), -EPIPE);
	destroy_chan(ch);
}
