/* Select under many at once: conservation, and one instant over channels, joins and cancellation. */
#include <errno.h>
#include <stdlib.h>

#include "chan_ledger.h"
#include "chan_util.h"

/* ---- selects of all kinds against each other ------------------------------------------------------------------------- */

enum { CHANS = 5, CASES_MAX = 12 };

struct load {
	struct weft_chan *chans[CHANS];
	struct ledger ledger;
	long rounds; /* of each worker */
};

struct worker {
	struct load *load;
	int id;
	uint64_t random;
	struct weft_co *co;
	pthread_t thread;
};

/* The next value of a worker: no two are the same. */
static long value_of(const struct worker *w, long round, int index)
{
	return (w->id * w->load->rounds + round) * CASES_MAX + index;
}

static weft_time draw_deadline(uint64_t *random)
{
	return random_below(random, 3) == 0 ? WEFT_NOW : weft_after((int64_t)random_below(random, 50000));
}

static void one_select(struct worker *w, long round)
{
	struct weft_case cases[CASES_MAX] = { 0 };
	long out[CASES_MAX], in = -1;
	int n = 1 + (int)random_below(&w->random, CASES_MAX);
	for (int i = 0; i < n; i++) {
		out[i] = value_of(w, round, i);
		cases[i].op = random_below(&w->random, 2) ? WEFT_OP_SEND : WEFT_OP_RECV;
		cases[i].elem = cases[i].op == WEFT_OP_SEND ? &out[i] : &in;
		cases[i].chan = random_below(&w->random, 8) == 0 ? NULL : w->load->chans[random_below(&w->random, CHANS)];
	}
	int which = weft_select(cases, n, draw_deadline(&w->random));
	CHECK(which >= 0 || which == -EAGAIN || which == -ETIMEDOUT);
	if (which < 0)
		CHECK_EQ(in, -1);
	else if (cases[which].op == WEFT_OP_SEND)
		ledger_sent(&w->load->ledger, out[which]);
	else
		ledger_received(&w->load->ledger, in);
	CHECK_EQ(which >= 0 && cases[which].op == WEFT_OP_RECV, in != -1);
}

/* Plain calls among them. */
static void one_call(struct worker *w, long round)
{
	struct weft_chan *ch = w->load->chans[random_below(&w->random, CHANS)];
	long value = value_of(w, round, 0);
	if (random_below(&w->random, 2)) {
		if (weft_chan_send_until(ch, &value, draw_deadline(&w->random)) == 0)
			ledger_sent(&w->load->ledger, value);
	} else if (weft_chan_recv_until(ch, &value, draw_deadline(&w->random)) == 1) {
		ledger_received(&w->load->ledger, value);
	}
}

static int work(void *arg)
{
	struct worker *w = arg;
	for (long round = 0; round < w->load->rounds; round++)
		if (random_below(&w->random, 4) == 0)
			one_call(w, round);
		else
			one_select(w, round);
	return 0;
}

static void *work_on_thread(void *w)
{
	work(w);
	return NULL;
}

static void drain(struct weft_chan *ch, struct ledger *ledger)
{
	for (long value; weft_chan_try_recv(ch, &value) == 1;)
		ledger_received(ledger, value);
}

static void run_load(int workers, int threads, long rounds)
{
	struct load load = { .rounds = rounds };
	struct worker all[16];
	uint64_t random = random_seed();
	ledger_open(&load.ledger, workers * rounds * CASES_MAX);
	for (int i = 0; i < CHANS; i++)
		load.chans[i] = make_chan(sizeof(long), i < 3 ? 0 : (size_t)i);
	for (int i = 0; i < workers; i++) {
		all[i] = (struct worker){ .load = &load, .id = i, .random = next_random(&random) | 1 };
		if (i < threads)
			all[i].thread = start_thread(work_on_thread, &all[i]);
		else
			all[i].co = spawn_co(NULL, work, &all[i]);
	}
	for (int i = 0; i < workers; i++)
		if (all[i].co)
			join_co(all[i].co);
		else
			join_thread(all[i].thread);
	for (int i = 0; i < CHANS; i++) {
		drain(load.chans[i], &load.ledger);
		destroy_chan(load.chans[i]); /* nobody was left in a queue */
	}
	CHECK_GT(ledger_close(&load.ledger), 0);
}

CO_TEST(coroutines) { run_load(8, 0, test_scaled(60000)); }
CO_TEST(threads_among_them) { run_load(6, 2, test_scaled(5000)); }
TEST(threads_alone) { run_load(4, 4, test_scaled(2000)); }

/* ---- close ----------------------------------------------------------------------------------------------------------- */

/* How many values, and their sum after mixing: what a loss, a doubling or a mix-up changes. */
struct tally {
	_Atomic long count;
	_Atomic uint64_t mixed;
};

static void count_value(struct tally *tally, long value)
{
	uint64_t state = (uint64_t)value + 1;
	atomic_fetch_add_explicit(&tally->count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&tally->mixed, next_random(&state), memory_order_relaxed);
}

struct closing {
	struct weft_chan *chans[CHANS];
	struct tally sent, received;
	_Atomic long ids;
};

/* Selects until each case has told that its channel is closed. */
static int work_until_closed(void *arg)
{
	struct closing *closing = arg;
	struct weft_case cases[2 * CHANS] = { 0 };
	long out = atomic_fetch_add(&closing->ids, 1) << 40, in;
	int left = 2 * CHANS;
	for (int i = 0; i < CHANS; i++) {
		cases[2 * i] = (struct weft_case){ .op = WEFT_OP_SEND, .chan = closing->chans[i], .elem = &out };
		cases[2 * i + 1] = (struct weft_case){ .op = WEFT_OP_RECV, .chan = closing->chans[i], .elem = &in };
	}
	for (; left > 0; out++) {
		int which = ok(weft_select(cases, 2 * CHANS, WEFT_NEVER));
		bool sends = cases[which].op == WEFT_OP_SEND;
		if (cases[which].result == (sends ? -EPIPE : 0)) {
			cases[which].chan = NULL;
			left--;
		} else {
			count_value(sends ? &closing->sent : &closing->received, sends ? out : in);
		}
		if (out % 8 == 0)
			weft_yield();
	}
	return 0;
}

CO_TEST(closed_meanwhile)
{
	enum { WORKERS = 6 };
	uint64_t random = random_seed();
	for (int run = 0; run < test_scaled(500); run++) {
		struct closing closing = { 0 };
		struct weft_co *cos[WORKERS];
		for (int i = 0; i < CHANS; i++)
			closing.chans[i] = make_chan(sizeof(long), random_below(&random, 3));
		for (int i = 0; i < WORKERS; i++)
			cos[i] = spawn_co(NULL, work_until_closed, &closing);
		for (int i = 0; i < CHANS; i++) {
			for (uint64_t n = random_below(&random, 20); n > 0; n--)
				weft_yield();
			CHECK_RESULT(weft_chan_close(closing.chans[i]), 0);
		}
		for (int i = 0; i < WORKERS; i++)
			join_co(cos[i]);
		for (int i = 0; i < CHANS; i++)
			destroy_chan(closing.chans[i]);
		CHECK_EQ(closing.sent.count, closing.received.count);
		CHECK_EQ(closing.sent.mixed, closing.received.mixed);
	}
}

/* ---- cancel ---------------------------------------------------------------------------------------------------------- */

struct call {
	struct weft_case cases[2];
	weft_time deadline;
	int result;
};

static int run_select(void *arg)
{
	struct call *call = arg;
	call->result = weft_select(call->cases, 2, call->deadline);
	return 0;
}

CO_TEST(cancel_against_hand_over)
{
	uint64_t random = random_seed();
	int done = 0, rounds = test_scaled(30000);
	struct weft_chan *ch = make_chan(sizeof(long), 0), *quiet = make_chan(sizeof(long), 0);
	for (int round = 0; round < rounds; round++) {
		long in = -1, mine = -1;
		bool sends = random_below(&random, 2);
		struct call call = { .deadline = WEFT_NEVER };
		if (random_below(&random, 4) == 0)
			call.deadline = weft_after((int64_t)random_below(&random, 5000));
		call.cases[0] = (struct weft_case){ .op = WEFT_OP_RECV, .chan = quiet, .elem = &in };
		call.cases[1] = (struct weft_case){ .op = sends ? WEFT_OP_SEND : WEFT_OP_RECV, .chan = ch };
		call.cases[1].elem = sends ? &(long){ round } : &in;
		struct weft_co *co = spawn_co(NULL, run_select, &call);
		for (uint64_t n = random_below(&random, 4); n > 0; n--)
			weft_yield();
		if (random_below(&random, 2))
			CHECK_RESULT(weft_cancel(co), 0);
		weft_time deadline = draw_deadline(&random);
		int result = sends ? weft_chan_recv_until(ch, &mine, deadline)
				   : weft_chan_send_until(ch, &(long){ round }, deadline);
		CHECK_RESULT(weft_cancel(co), 0);
		join_co(co);
		if (result >= 0) {
			CHECK_RESULT(call.result, 1);
			CHECK_EQ(sends ? mine : in, round);
		} else {
			CHECK(call.result == -ECANCELED || call.result == -ETIMEDOUT);
			CHECK_EQ(in, -1);
		}
		done += result >= 0;
	}
	CHECK_GT(done, 0);
	CHECK_LT(done, rounds);
	destroy_chan(ch);
	destroy_chan(quiet);
}

/* ---- one instant ----------------------------------------------------------------------------------------------------- */

struct pair {
	struct weft_chan *a, *b;
	struct weft_co *co;
	int result;
};

static void choose(void *arg)
{
	struct pair *pair = arg;
	struct weft_case cases[] = {
		{ .op = WEFT_OP_RECV, .chan = pair->a },
		{ .op = WEFT_OP_RECV, .chan = pair->b },
		{ .op = WEFT_OP_JOIN, .co = pair->co },
	};
	pair->result = weft_select(cases, 3, WEFT_NOW);
}

static int choose_in_coroutine(void *pair)
{
	choose(pair);
	return 0;
}

static int do_nothing(void *arg)
{
	(void)arg;
	return 0;
}

enum { SECOND_VALUE, SECOND_CLOSED, SECOND_JOIN, SECOND_CANCEL, SECONDS };

/* The first channel is ready, then something else as well, then the first no more: at every moment there was something. */
static void make_first_ready(struct pair *pair, int second)
{
	pair->a = make_chan(0, 1);
	pair->b = make_chan(0, 1);
	pair->co = second == SECOND_JOIN ? spawn_co(NULL, do_nothing, NULL) : NULL;
	CHECK_RESULT(weft_chan_send(pair->a, NULL), 0);
}

static void change_over(struct pair *pair, int second, struct weft_co *chooser)
{
	struct weft_case join = { .op = WEFT_OP_JOIN, .co = pair->co };
	if (second == SECOND_VALUE)
		CHECK_RESULT(weft_chan_send(pair->b, NULL), 0);
	else if (second == SECOND_CLOSED)
		CHECK_RESULT(weft_chan_close(pair->b), 0);
	else if (second == SECOND_JOIN)
		CHECK_RESULT(weft_select(&join, 1, WEFT_NEVER), 0);
	else
		CHECK_RESULT(weft_cancel(chooser), 0);
	int taken = weft_chan_try_recv(pair->a, NULL);
	CHECK(taken == 1 || taken == -EAGAIN);
}

static void check_chosen(struct pair *pair, int second)
{
	CHECK(pair->result >= 0 || (second == SECOND_CANCEL && pair->result == -ECANCELED));
	if (pair->co)
		join_co(pair->co);
	destroy_chan(pair->a);
	destroy_chan(pair->b);
}

/* The idea of Go's TestNonblockSelectRace, over all that a select looks at. */
CO_TEST(never_nothing)
{
	struct pair pair;
	for (int i = 0; i < test_scaled(40000); i++) {
		make_first_ready(&pair, i % SECONDS);
		struct weft_co *co = spawn_co(NULL, choose_in_coroutine, &pair);
		change_over(&pair, i % SECONDS, co);
		join_co(co);
		check_chosen(&pair, i % SECONDS);
	}
}

/* The thread is at work at the same time for sure. */
CO_TEST(never_nothing_for_a_thread)
{
	uint64_t random = random_seed();
	struct duel duel;
	struct pair pair;
	duel_open(&duel, choose);
	for (int i = 0; i < test_scaled(50000); i++) {
		make_first_ready(&pair, i % SECOND_CANCEL);
		duel_begin(&duel, &pair);
		dawdle(&random);
		change_over(&pair, i % SECOND_CANCEL, NULL);
		duel_end(&duel);
		check_chosen(&pair, i % SECOND_CANCEL);
	}
	duel_close(&duel);
}

/* ---- many waiters ---------------------------------------------------------------------------------------------------- */

struct two {
	struct weft_chan *common, *own;
};

static int wait_on_two(void *arg)
{
	const struct two *two = arg;
	struct weft_case cases[] = {
		{ .op = WEFT_OP_RECV, .chan = two->common },
		{ .op = WEFT_OP_RECV, .chan = two->own },
	};
	return weft_select(cases, 2, WEFT_NEVER);
}

/* Thousands wait on one channel, and leave it from the end, from the middle, and all at once: as Go's chanlinear has it, that must
 * not take time in proportion to their square. */
CO_TEST(many_on_one_channel)
{
	enum { N = 20000 };
	int n = test_scaled(N);
	struct weft_chan *common = make_chan(0, 0);
	struct two *twos = calloc((size_t)n, sizeof *twos);
	struct weft_co **cos = calloc((size_t)n, sizeof(struct weft_co *));
	for (int i = 0; i < n; i++) {
		twos[i] = (struct two){ common, make_chan(0, 0) };
		cos[i] = spawn_co(NULL, wait_on_two, &twos[i]);
	}
	await_queue(common, WF_RECEIVERS, n);
	for (int i = n; i-- > 0;)
		if (i % 2)
			CHECK_RESULT(weft_chan_send(twos[i].own, NULL), 0);
	await_queue(common, WF_RECEIVERS, (n + 1) / 2);
	CHECK_RESULT(weft_chan_close(common), 0);
	for (int i = 0; i < n; i++)
		CHECK_EQ(join_co(cos[i]), i % 2);
	for (int i = 0; i < n; i++)
		destroy_chan(twos[i].own);
	destroy_chan(common);
	free(twos);
	free(cos);
}
