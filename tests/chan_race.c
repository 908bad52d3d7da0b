/* Channels, two at a time: a hand-over against a cancel or a deadline, the last use against the destruction, a try against what
 * makes it possible. */
#include <errno.h>

#include "chan_util.h"

/* ---- cancel against hand-over ---------------------------------------------------------------------------------------- */

static void pause_by_lot(uint64_t *random)
{
	for (uint64_t n = random_below(random, 4); n > 0; n--)
		weft_yield();
}

/* What the one that is cancelled reports, and what the other side does, always agree. */
static void check_agreement(struct chan_call *call, int other, long value)
{
	bool sends = call->side == WF_SENDERS;
	int theirs = finish_call(call);
	CHECK_EQ(other == (sends ? 1 : 0), theirs == (sends ? 0 : 1));
	if (other < 0)
		CHECK_RESULT(theirs, -ECANCELED);
	else if (!sends)
		CHECK_EQ(call->value, value);
}

CO_TEST(cancel_against_hand_over)
{
	uint64_t random = random_seed();
	struct chan_call call;
	int done = 0, rounds = test_scaled(30000);
	for (int round = 0; round < rounds; round++) {
		struct weft_chan *ch = make_chan(sizeof(long), 0);
		long value = -1;
		bool sends = random_below(&random, 2);
		if (sends)
			start_send(&call, ch, round);
		else
			start_recv(&call, ch);
		pause_by_lot(&random);
		if (random_below(&random, 2))
			CHECK_RESULT(weft_cancel(call.co), 0);
		pause_by_lot(&random);
		weft_time deadline = random_below(&random, 2) ? WEFT_NOW : weft_after((int64_t)random_below(&random, 20000));
		int mine = sends ? weft_chan_recv_until(ch, &value, deadline)
				 : weft_chan_send_until(ch, &(long){ round }, deadline);
		CHECK_RESULT(weft_cancel(call.co), 0);
		check_agreement(&call, mine, round);
		if (sends && mine == 1)
			CHECK_EQ(value, round);
		done += mine >= 0;
		destroy_chan(ch);
	}
	CHECK_GT(done, 0);
	CHECK_LT(done, rounds);
}

/* The hand-over comes from a thread, at the same time as the cancel. */
struct hand_over {
	struct weft_chan *ch;
	bool sends;
	long value;
	int result;
};

static void hand_over(void *arg)
{
	struct hand_over *h = arg;
	h->result = h->sends ? weft_chan_try_send(h->ch, &h->value) : weft_chan_try_recv(h->ch, &h->value);
}

CO_TEST(cancel_against_hand_over_by_a_thread)
{
	uint64_t random = random_seed();
	struct duel duel;
	int done = 0, rounds = test_scaled(20000);
	duel_open(&duel, hand_over);
	for (int round = 0; round < rounds; round++) {
		struct hand_over h = { .ch = make_chan(sizeof(long), 0), .sends = random_below(&random, 2), .value = round };
		struct chan_call call;
		if (h.sends)
			start_recv(&call, h.ch);
		else
			start_send(&call, h.ch, round);
		await_queue(h.ch, h.sends ? WF_RECEIVERS : WF_SENDERS, 1);
		duel_begin(&duel, &h);
		dawdle(&random);
		if (random_below(&random, 8) == 0)
			duel_end(&duel);
		CHECK_RESULT(weft_cancel(call.co), 0);
		duel_end(&duel);
		check_agreement(&call, h.result, round);
		CHECK_EQ(h.value, round);
		done += h.result >= 0;
		destroy_chan(h.ch);
	}
	duel_close(&duel);
	CHECK_GT(done, 0);
}

/* Deadlines of about the time that the hand-over takes to come. */
CO_TEST(deadline_against_hand_over_by_a_thread)
{
	uint64_t random = random_seed();
	struct duel duel;
	duel_open(&duel, hand_over);
	for (int round = 0; round < test_scaled(20000); round++) {
		struct hand_over h = { .ch = make_chan(sizeof(long), 0), .sends = true, .value = round };
		weft_time deadline = weft_after((int64_t)random_below(&random, 3000));
		long value = -1;
		duel_begin(&duel, &h);
		dawdle(&random);
		int result = weft_chan_recv_until(h.ch, &value, deadline);
		duel_end(&duel);
		CHECK_EQ(result == 1, h.result == 0);
		CHECK_EQ(value, result == 1 ? round : -1);
		CHECK(result == 1 || result == -ETIMEDOUT);
		destroy_chan(h.ch);
	}
	duel_close(&duel);
}

/* ---- the last use ---------------------------------------------------------------------------------------------------- */

/* What a partner is asked to do with a channel; then nobody but the one who asked touches it again. */
struct order {
	struct weft_chan *ch, *quiet;
	int what;
};

enum { SEND_ONE, RECV_ONE, SELECT_ONE, ORDERS };

static int do_one(struct weft_chan *ch, int what, struct weft_chan *quiet)
{
	long value = 77;
	if (what == SEND_ONE)
		return weft_chan_send(ch, &value) == 0;
	if (what == RECV_ONE)
		return weft_chan_recv(ch, &value);
	struct weft_case cases[] = {
		{ .op = WEFT_OP_RECV, .chan = quiet, .elem = &value },
		{ .op = WEFT_OP_RECV, .chan = ch, .elem = &value },
	};
	CHECK_EQ(weft_select(cases, 2, WEFT_NEVER), 1);
	return cases[1].result;
}

static int partner(void *arg)
{
	struct weft_chan *quiet = make_chan(sizeof(long), 0);
	struct order order;
	while (ok(weft_chan_recv(arg, &order)) == 1)
		(void)do_one(order.ch, order.what, quiet);
	destroy_chan(quiet);
	return 0;
}

static void give_orders(struct weft_chan *orders, uint64_t *random, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		struct order order = { .what = (int)random_below(random, ORDERS) };
		bool sends = order.what == SEND_ONE, closes = random_below(random, 3) == 0;
		order.ch = make_chan(sizeof(long), sends ? random_below(random, 2) : 0);
		CHECK_RESULT(weft_chan_send(orders, &order), 0);
		if (random_below(random, 2))
			pause_by_lot(random);
		if (closes && order.ch->capacity == 0) {
			await_queue(order.ch, sends ? WF_SENDERS : WF_RECEIVERS, 1);
			CHECK_RESULT(weft_chan_close(order.ch), 0);
		} else if (sends) {
			expect_long(order.ch, 77);
		} else {
			send_long(order.ch, 77);
		}
		destroy_chan(order.ch);
	}
	CHECK_RESULT(weft_chan_close(orders), 0);
}

/* Whoever knows that the other is done may free the channel, though the other is still inside its call. */
CO_TEST(destroy_after_the_last_use)
{
	uint64_t random = random_seed();
	struct weft_chan *orders = make_chan(sizeof(struct order), 0);
	struct weft_co *co = spawn_co(NULL, partner, orders);
	give_orders(orders, &random, test_scaled(100000));
	join_co(co);
	destroy_chan(orders);
}

/* The same with a thread, that is inside at the same time for sure. */
static void obey(void *arg)
{
	struct order *order = arg;
	(void)do_one(order->ch, order->what, order->quiet);
}

CO_TEST(destroy_after_the_last_use_by_a_thread)
{
	uint64_t random = random_seed();
	struct weft_chan *quiet = make_chan(sizeof(long), 0);
	struct duel duel;
	duel_open(&duel, obey);
	for (int i = 0; i < test_scaled(50000); i++) {
		struct order order = { .what = (int)random_below(&random, ORDERS), .quiet = quiet };
		bool sends = order.what == SEND_ONE;
		order.ch = make_chan(sizeof(long), sends ? random_below(&random, 2) : 0);
		duel_begin(&duel, &order);
		dawdle(&random);
		if (sends)
			expect_long(order.ch, 77);
		else
			send_long(order.ch, 77);
		destroy_chan(order.ch);
		duel_end(&duel);
	}
	duel_close(&duel);
	destroy_chan(quiet);
}

/* ---- trying ---------------------------------------------------------------------------------------------------------- */

static void must_receive(void *ch) { CHECK_GE(weft_chan_try_recv(ch, NULL), 0); }

/* Go's TestNonblockRecvRace: at every moment there is a value, or the channel is closed. */
CO_TEST(try_recv_never_misses)
{
	uint64_t random = random_seed();
	struct duel duel;
	duel_open(&duel, must_receive);
	for (int i = 0; i < test_scaled(50000); i++) {
		struct weft_chan *ch = make_chan(sizeof(long), 1);
		send_long(ch, 1);
		duel_begin(&duel, ch);
		dawdle(&random);
		CHECK_RESULT(weft_chan_close(ch), 0);
		CHECK_GE(weft_chan_recv(ch, NULL), 0);
		duel_end(&duel);
		destroy_chan(ch);
	}
	duel_close(&duel);
}

/* At every moment there is a value in the buffer, or a sender whose value goes into it. */
CO_TEST(try_recv_never_misses_a_sender)
{
	uint64_t random = random_seed();
	struct duel duel;
	struct chan_call call;
	duel_open(&duel, must_receive);
	for (int i = 0; i < test_scaled(10000); i++) {
		struct weft_chan *ch = make_chan(sizeof(long), 1);
		send_long(ch, 1);
		start_send(&call, ch, 2);
		await_queue(ch, WF_SENDERS, 1);
		duel_begin(&duel, ch);
		dawdle(&random);
		CHECK_RESULT(weft_chan_recv(ch, NULL), 1);
		duel_end(&duel);
		CHECK_RESULT(finish_call(&call), 0);
		CHECK_EQ(weft_chan_len(ch), 0);
		destroy_chan(ch);
	}
	duel_close(&duel);
}

static void must_send(void *ch) { CHECK_RESULT(weft_chan_try_send(ch, &(long){ 1 }), 0); }

/* At every moment there is room, or a receiver waits. */
CO_TEST(try_send_never_misses)
{
	uint64_t random = random_seed();
	struct duel duel;
	struct chan_call call;
	duel_open(&duel, must_send);
	for (int i = 0; i < test_scaled(10000); i++) {
		struct weft_chan *ch = make_chan(sizeof(long), 1);
		start_recv(&call, ch);
		await_queue(ch, WF_RECEIVERS, 1);
		duel_begin(&duel, ch);
		dawdle(&random);
		CHECK_RESULT(weft_chan_send(ch, &(long){ 2 }), 0);
		duel_end(&duel);
		CHECK_RESULT(finish_call(&call), 1);
		CHECK_EQ(weft_chan_len(ch), 1);
		destroy_chan(ch);
	}
	duel_close(&duel);
}
