/* Channels under many at once: no value is lost or doubled, the order of each sender holds, whatever ends the waits. */
#include <errno.h>
#include <stdlib.h>

#include "chan_ledger.h"
#include "chan_util.h"

/* ---- many to many ---------------------------------------------------------------------------------------------------- */

enum { SIDES_MAX = 8 };

/* How a worker calls: one of these by lot, each time. */
enum ways { WAITS = 1, TRIES = 2, TIMES = 4 };

struct load {
	struct weft_chan *ch;
	struct ledger ledger;
	long share; /* values of each sender */
	int ways;
};

struct worker {
	struct load *load;
	int id;
	uint64_t random;
	struct weft_co *co;
	pthread_t thread;
};

static int draw_way(struct worker *w)
{
	int way;
	do
		way = 1 << random_below(&w->random, 3);
	while (!(w->load->ways & way));
	return way;
}

static int send_somehow(struct worker *w, const long *value)
{
	switch (draw_way(w)) {
	case TRIES:
		return weft_chan_try_send(w->load->ch, value);
	case TIMES:
		return weft_chan_send_until(w->load->ch, value, weft_after((int64_t)random_below(&w->random, 30000)));
	default:
		return weft_chan_send(w->load->ch, value);
	}
}

static int recv_somehow(struct worker *w, long *value)
{
	switch (draw_way(w)) {
	case TRIES:
		return weft_chan_try_recv(w->load->ch, value);
	case TIMES:
		return weft_chan_recv_until(w->load->ch, value, weft_after((int64_t)random_below(&w->random, 30000)));
	default:
		return weft_chan_recv(w->load->ch, value);
	}
}

static bool gave_up(int result) { return result == -EAGAIN || result == -ETIMEDOUT; }

static int produce(void *arg)
{
	struct worker *w = arg;
	for (long i = 0; i < w->load->share; i++) {
		long value = w->id * w->load->share + i;
		int result = send_somehow(w, &value);
		if (result == -EPIPE)
			break;
		CHECK(result == 0 || gave_up(result));
		if (result == 0)
			ledger_sent(&w->load->ledger, value);
		else if (result == -EAGAIN)
			weft_yield();
	}
	return 0;
}

static int consume(void *arg)
{
	struct worker *w = arg;
	long last[SIDES_MAX], value;
	for (int i = 0; i < SIDES_MAX; i++)
		last[i] = -1;
	for (int result; (result = recv_somehow(w, &value)) != 0;) {
		CHECK(result == 1 || gave_up(result));
		if (result == 1) {
			ledger_received(&w->load->ledger, value);
			CHECK_GT(value, last[value / w->load->share]);
			last[value / w->load->share] = value;
		} else if (result == -EAGAIN) {
			weft_yield();
		}
	}
	return 0;
}

static void *produce_on_thread(void *w)
{
	produce(w);
	return NULL;
}

static void *consume_on_thread(void *w)
{
	consume(w);
	return NULL;
}

/* The first `threads` of them on plain threads. */
static void start_workers(struct worker *workers, int n, int threads, struct load *load, bool senders, uint64_t *random)
{
	for (int i = 0; i < n; i++) {
		struct worker *w = &workers[i];
		*w = (struct worker){ .load = load, .id = i, .random = next_random(random) | 1 };
		if (i < threads)
			w->thread = start_thread(senders ? produce_on_thread : consume_on_thread, w);
		else
			w->co = spawn_co(NULL, senders ? produce : consume, w);
	}
}

static void join_workers(struct worker *workers, int n)
{
	for (int i = 0; i < n; i++)
		if (workers[i].co)
			join_co(workers[i].co);
		else
			join_thread(workers[i].thread);
}

struct shape {
	size_t capacity;
	int senders, receivers, threads;
	long share;
	int ways;
	bool close_early;
};

/* Returns how many values were transferred. */
static long run_load(const struct shape *shape, uint64_t *random)
{
	struct load load = { .ch = make_chan(sizeof(long), shape->capacity), .share = shape->share, .ways = shape->ways };
	struct worker senders[SIDES_MAX], receivers[SIDES_MAX];
	ledger_open(&load.ledger, load.share * shape->senders);
	start_workers(receivers, shape->receivers, shape->threads, &load, false, random);
	start_workers(senders, shape->senders, shape->threads, &load, true, random);
	if (shape->close_early) {
		for (long i = (long)random_below(random, 300); i > 0; i--)
			weft_yield();
		CHECK_RESULT(weft_chan_close(load.ch), 0);
	}
	join_workers(senders, shape->senders);
	CHECK_RESULT(weft_chan_close(load.ch), shape->close_early ? -EALREADY : 0);
	join_workers(receivers, shape->receivers);
	CHECK_EQ(weft_chan_len(load.ch), 0);
	destroy_chan(load.ch);
	return ledger_close(&load.ledger);
}

static void run_shapes(int ways, int threads, long total)
{
	static const size_t capacities[] = { 0, 1, 7, 128 };
	static const int sides[][2] = { { 1, 1 }, { 4, 4 }, { 8, 1 }, { 1, 8 }, { 3, 5 } };
	uint64_t random = random_seed();
	for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++)
		for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
			struct shape shape = { capacities[c], sides[i][0], sides[i][1], threads, 0, ways, false };
			shape.share = test_scaled((int)total) / shape.senders + 1;
			long sent = run_load(&shape, &random);
			if (ways == WAITS)
				CHECK_EQ(sent, shape.share * shape.senders);
		}
}

CO_TEST(all_wait) { run_shapes(WAITS, 0, 200000); }
CO_TEST(some_try) { run_shapes(WAITS | TRIES, 0, 100000); }
CO_TEST(some_give_up) { run_shapes(WAITS | TIMES, 0, 50000); }
CO_TEST(all_give_up) { run_shapes(TRIES | TIMES, 0, 30000); }
CO_TEST(threads_among_them) { run_shapes(WAITS | TRIES | TIMES, 1, 5000); }

CO_TEST(closed_meanwhile)
{
	uint64_t random = random_seed();
	for (int round = 0; round < test_scaled(1500); round++) {
		struct shape shape = { .capacity = random_below(&random, 4), .share = 300, .close_early = true };
		shape.senders = 1 + (int)random_below(&random, SIDES_MAX);
		shape.receivers = 1 + (int)random_below(&random, SIDES_MAX);
		shape.threads = round % 50 == 0;
		shape.ways = WAITS | TRIES | TIMES;
		run_load(&shape, &random);
	}
}

/* ---- programs -------------------------------------------------------------------------------------------------------- */

static int count_up(void *ch)
{
	for (long i = 2; weft_chan_send(ch, &i) == 0; i++)
		;
	return 0;
}

struct filter {
	struct weft_chan *in, *out;
	long prime;
};

static int filter(void *arg)
{
	struct filter *f = arg;
	long i;
	while (weft_chan_recv(f->in, &i) == 1)
		if (i % f->prime != 0 && weft_chan_send(f->out, &i) != 0)
			break;
	CHECK_RESULT(weft_chan_close(f->in), -EALREADY);
	return 0;
}

/* A chain of filters, one for each prime; closing it from the end ends them all. */
CO_TEST(prime_sieve)
{
	enum { N = 100 };
	long primes = test_scaled(N) + 10;
	struct filter *filters = calloc((size_t)primes, sizeof *filters);
	struct weft_co **cos = calloc((size_t)primes, sizeof(struct weft_co *));
	struct weft_chan *ch = make_chan(sizeof(long), 0), *first = ch;
	struct weft_co *source = spawn_co(NULL, count_up, ch);
	long value = 0;
	for (long i = 0; i < primes; i++) {
		CHECK_RESULT(weft_chan_recv(ch, &value), 1);
		for (long k = 2; k * k <= value; k++)
			CHECK_NE(value % k, 0);
		filters[i] = (struct filter){ ch, make_chan(sizeof(long), 0), value };
		cos[i] = spawn_co(NULL, filter, &filters[i]);
		ch = filters[i].out;
	}
	CHECK_GE(value, primes);
	for (long i = 0; i < primes; i++)
		CHECK_RESULT(weft_chan_close(filters[i].in), 0);
	CHECK_RESULT(weft_chan_close(ch), 0);
	join_co(source);
	for (long i = 0; i < primes; i++)
		join_co(cos[i]);
	for (long i = 0; i < primes; i++)
		destroy_chan(filters[i].out);
	destroy_chan(first);
	free(filters);
	free(cos);
}

static int add_one(void *arg)
{
	struct weft_chan **pair = arg;
	long value;
	CHECK_RESULT(weft_chan_recv(pair[1], &value), 1);
	value++;
	CHECK_RESULT(weft_chan_send(pair[0], &value), 0);
	return 0;
}

/* 10,000 coroutines in a row, each adds one. */
CO_TEST(chain)
{
	enum { N = 10000 };
	int n = test_scaled(N);
	struct weft_chan **chans = calloc((size_t)n + 1, sizeof(struct weft_chan *));
	struct weft_co **cos = calloc((size_t)n, sizeof(struct weft_co *));
	for (int i = 0; i <= n; i++)
		chans[i] = make_chan(sizeof(long), 0);
	for (int i = 0; i < n; i++)
		cos[i] = spawn_co(NULL, add_one, &chans[i]);
	send_long(chans[n], 0);
	expect_long(chans[0], n);
	for (int i = 0; i < n; i++)
		join_co(cos[i]);
	for (int i = 0; i <= n; i++)
		destroy_chan(chans[i]);
	free(chans);
	free(cos);
}

/* ---- what a value brings along --------------------------------------------------------------------------------------- */

struct parcel {
	long content[8]; /* plain memory: the race checker sees what is not ordered */
};

static int unpack(void *arg)
{
	struct weft_chan **pair = arg;
	struct parcel *parcel;
	for (long i = 0; weft_chan_recv(pair[0], &parcel) == 1; i++) {
		for (int k = 0; k < 8; k++)
			CHECK_EQ(parcel->content[k], i * 8 + k);
		parcel->content[0] = -1;
		CHECK_RESULT(weft_chan_send(pair[1], &parcel), 0);
	}
	return 0;
}

CO_TEST(what_came_before_is_seen)
{
	for (size_t capacity = 0; capacity < 3; capacity++) {
		const size_t size = sizeof(struct parcel *);
		struct weft_chan *pair[] = { make_chan(size, capacity), make_chan(size, capacity) };
		struct weft_co *co = spawn_co(NULL, unpack, pair);
		struct parcel parcel, *back = &parcel;
		for (long i = 0; i < test_scaled(20000); i++) {
			for (int k = 0; k < 8; k++)
				back->content[k] = i * 8 + k;
			CHECK_RESULT(weft_chan_send(pair[0], &back), 0);
			CHECK_RESULT(weft_chan_recv(pair[1], &back), 1);
			CHECK_EQ(back->content[0], -1);
		}
		CHECK_RESULT(weft_chan_close(pair[0]), 0);
		join_co(co);
		destroy_chan(pair[0]);
		destroy_chan(pair[1]);
	}
}
