/* powser [ROUNDS]: McIlroy's power series as networks of coroutines. A series is a pair of channels without capacity, over which
 * coefficients, exact fractions, are asked for and delivered one by one: nothing is computed that nobody asked for. Series may be
 * defined by themselves:
 *
 *     exp = 1 + integral of exp               tan = 0 + integral of 1 + tan * tan
 *
 * Checks their first coefficients; us per round, in which both networks are made, asked and taken down. */
#include <errno.h>

#include "bench.h"

enum { TERMS = 12 };

struct ratio {
	int64_t num, den;
};

struct series {
	struct weft_chan *ask, *give; /* events; struct ratio */
	struct series *next;          /* of the network */
};

/* What was made for a network. All its coroutines are in one scope, which is cancelled when it has served. */
struct network {
	struct weft_scope scope;
	struct series *series;
	struct node *nodes;
	struct weft_mutex lock;
};

/* A coroutine of it. */
struct node {
	struct network *net;
	struct series *in[2], *out[2];
	struct ratio constant;
	struct node *next;
};

/* ---- fractions ------------------------------------------------------------------------------------------------------- */

static int64_t common(int64_t a, int64_t b)
{
	while (b != 0) {
		int64_t r = a % b;
		a = b;
		b = r;
	}
	return a < 0 ? -a : a;
}

static struct ratio reduce(int64_t num, int64_t den)
{
	int64_t d = common(num, den);
	return (struct ratio){ num / d, den / d };
}

static struct ratio times(struct ratio a, struct ratio b)
{
	struct ratio x = reduce(a.num, b.den), y = reduce(b.num, a.den);
	return (struct ratio){ x.num * y.num, x.den * y.den };
}

static struct ratio plus(struct ratio a, struct ratio b)
{
	int64_t d = common(a.den, b.den);
	return reduce(a.num * (b.den / d) + b.num * (a.den / d), a.den / d * b.den);
}

/* ---- series ---------------------------------------------------------------------------------------------------------- */

static struct series *make_series(struct network *net)
{
	struct series *s = calloc(1, sizeof *s);
	must(s ? 0 : -ENOMEM);
	must(weft_chan_create(&s->ask, 0, 0));
	must(weft_chan_create(&s->give, sizeof(struct ratio), 0));
	weft_mutex_lock(&net->lock);
	s->next = net->series;
	net->series = s;
	weft_mutex_unlock(&net->lock);
	return s;
}

static void start(struct network *net, weft_fn *fn, struct node parts)
{
	struct node *n = calloc(1, sizeof *n);
	must(n ? 0 : -ENOMEM);
	*n = parts;
	n->net = net;
	weft_mutex_lock(&net->lock);
	n->next = net->nodes;
	net->nodes = n;
	weft_mutex_unlock(&net->lock);
	int result = weft_scope_go(&net->scope, fn, n);
	must(result == -ECANCELED ? 0 : result); /* the others need it no more either */
}

/* The next coefficient: 1; or -ECANCELED, at the end. */
static int get(struct series *s, struct ratio *coefficient)
{
	int result = weft_chan_send(s->ask, NULL);
	return result == 0 ? weft_chan_recv(s->give, coefficient) : result;
}

static int put(struct series *s, struct ratio coefficient)
{
	int result = weft_chan_recv(s->ask, NULL);
	return result == 1 ? weft_chan_send(s->give, &coefficient) : result;
}

/* Hands the one on as the other, without looking at it before somebody asks. */
static int copy(struct series *in, struct series *out)
{
	struct ratio c;
	int result;
	do
		if ((result = weft_chan_recv(out->ask, NULL)) == 1 && (result = get(in, &c)) == 1)
			result = weft_chan_send(out->give, &c);
	while (result == 0);
	return result;
}

/* ---- what there is between series ------------------------------------------------------------------------------------ */

/* The constant, then the integral's other coefficients. */
static int integrate(void *arg)
{
	struct node *n = arg;
	struct ratio c;
	int result = put(n->out[0], n->constant);
	for (int64_t i = 1; result == 0; i++)
		if ((result = weft_chan_recv(n->out[0]->ask, NULL)) == 1 && (result = get(n->in[0], &c)) == 1)
			result = weft_chan_send(n->out[0]->give, &(struct ratio[]){ times(c, (struct ratio){ 1, i }) });
	return result;
}

static int multiply_by_constant(void *arg)
{
	struct node *n = arg;
	struct ratio c;
	int result;
	do
		if ((result = weft_chan_recv(n->out[0]->ask, NULL)) == 1 && (result = get(n->in[0], &c)) == 1) {
			c = times(c, n->constant);
			result = weft_chan_send(n->out[0]->give, &c);
		}
	while (result == 0);
	return result;
}

static int add_constant(void *arg)
{
	struct node *n = arg;
	struct ratio c;
	int result = weft_chan_recv(n->out[0]->ask, NULL);
	if (result == 1 && (result = get(n->in[0], &c)) == 1) {
		c = plus(c, n->constant);
		result = weft_chan_send(n->out[0]->give, &c);
	}
	return result == 0 ? copy(n->in[0], n->out[0]) : result;
}

static int add(void *arg)
{
	struct node *n = arg;
	struct ratio a, b;
	int result;
	do
		if ((result = weft_chan_recv(n->out[0]->ask, NULL)) == 1 && (result = get(n->in[0], &a)) == 1 &&
		    (result = get(n->in[1], &b)) == 1) {
			a = plus(a, b);
			result = weft_chan_send(n->out[0]->give, &a);
		}
	while (result == 0);
	return result;
}

/* What one side has had and the other not yet. */
struct backlog {
	struct ratio *values;
	size_t first, count, size;
};

static void keep(struct backlog *b, struct ratio value)
{
	if (b->count == b->size) {
		b->size = b->size ? 2 * b->size : 8;
		b->values = realloc(b->values, b->size * sizeof *b->values);
		must(b->values ? 0 : -ENOMEM);
	}
	b->values[b->count++] = value;
}

/* One series as two, which are read at different speeds. While it waits for a new coefficient on behalf of the one, it goes on
 * giving the other what it has: a series that is defined by itself needs that. */
static int divide(void *arg)
{
	struct node *n = arg;
	struct backlog backlogs[2] = { 0 };
	bool wanted[2] = { false, false }, on_its_way = false;
	struct ratio next;
	int which;
	do {
		bool hungry = false;
		struct weft_case cases[6] = { { .op = WEFT_OP_NONE } };
		for (int i = 0; i < 2; i++) {
			struct backlog *b = &backlogs[i];
			bool has = b->first < b->count;
			cases[i] = (struct weft_case){ .op = WEFT_OP_RECV, .chan = wanted[i] ? NULL : n->out[i]->ask };
			if (wanted[i] && has)
				cases[2 + i] = (struct weft_case){ .op = WEFT_OP_SEND, .chan = n->out[i]->give,
								   .elem = &b->values[b->first] };
			hungry = hungry || (wanted[i] && !has);
		}
		cases[4] = (struct weft_case){ .op = WEFT_OP_SEND, .chan = hungry && !on_its_way ? n->in[0]->ask : NULL };
		cases[5] = (struct weft_case){ .op = WEFT_OP_RECV, .chan = on_its_way ? n->in[0]->give : NULL, .elem = &next };
		which = weft_select(cases, 6, WEFT_NEVER);
		if (which == 0 || which == 1) {
			wanted[which] = true;
		} else if (which == 2 || which == 3) {
			wanted[which - 2] = false;
			backlogs[which - 2].first++;
		} else if (which == 4) {
			on_its_way = true;
		} else if (which == 5) {
			on_its_way = false;
			keep(&backlogs[0], next);
			keep(&backlogs[1], next);
		}
	} while (which >= 0);
	free(backlogs[0].values);
	free(backlogs[1].values);
	return which;
}

/* (a + x A) (b + x B) = ab + x (aB + bA) + x^2 AB */
static int multiply(void *arg)
{
	struct node *n = arg;
	struct network *net = n->net;
	struct ratio a, b;
	int result = weft_chan_recv(n->out[0]->ask, NULL);
	if (result != 1 || (result = get(n->in[0], &a)) != 1 || (result = get(n->in[1], &b)) != 1)
		return result;
	struct ratio first = times(a, b);
	if ((result = weft_chan_send(n->out[0]->give, &first)) != 0)
		return result;
	struct series *a_rest[2] = { make_series(net), make_series(net) }, *b_rest[2] = { make_series(net), make_series(net) };
	struct series *ab = make_series(net), *ba = make_series(net), *middle = make_series(net), *product = make_series(net);
	struct series *tail = make_series(net);
	start(net, divide, (struct node){ .in = { n->in[0] }, .out = { a_rest[0], a_rest[1] } });
	start(net, divide, (struct node){ .in = { n->in[1] }, .out = { b_rest[0], b_rest[1] } });
	start(net, multiply_by_constant, (struct node){ .in = { b_rest[0] }, .out = { ab }, .constant = a });
	start(net, multiply_by_constant, (struct node){ .in = { a_rest[0] }, .out = { ba }, .constant = b });
	start(net, add, (struct node){ .in = { ab, ba }, .out = { middle } });
	start(net, multiply, (struct node){ .in = { a_rest[1], b_rest[1] }, .out = { product } });
	start(net, add, (struct node){ .in = { middle, product }, .out = { tail } });
	if ((result = weft_chan_recv(n->out[0]->ask, NULL)) == 1 && (result = get(middle, &a)) == 1 &&
	    (result = weft_chan_send(n->out[0]->give, &a)) == 0)
		result = copy(tail, n->out[0]);
	return result;
}

/* ---- networks -------------------------------------------------------------------------------------------------------- */

static struct series *exponential(struct network *net)
{
	struct series *result = make_series(net), *whole = make_series(net), *back = make_series(net);
	start(net, integrate, (struct node){ .in = { back }, .out = { whole }, .constant = { 1, 1 } });
	start(net, divide, (struct node){ .in = { whole }, .out = { result, back } });
	return result;
}

static struct series *tangent(struct network *net)
{
	struct series *result = make_series(net), *whole = make_series(net), *back = make_series(net);
	struct series *left = make_series(net), *right = make_series(net), *square = make_series(net), *slope = make_series(net);
	start(net, integrate, (struct node){ .in = { slope }, .out = { whole }, .constant = { 0, 1 } });
	start(net, divide, (struct node){ .in = { whole }, .out = { result, back } });
	start(net, divide, (struct node){ .in = { back }, .out = { left, right } });
	start(net, multiply, (struct node){ .in = { left, right }, .out = { square } });
	start(net, add_constant, (struct node){ .in = { square }, .out = { slope }, .constant = { 1, 1 } });
	return result;
}

static void take_down(struct network *net)
{
	weft_scope_cancel(&net->scope, 0);
	int result = weft_scope_close(&net->scope);
	must(result == -ECANCELED ? 0 : -EIO);
	for (struct series *s = net->series, *next; s; s = next) {
		next = s->next;
		must(weft_chan_destroy(s->ask));
		must(weft_chan_destroy(s->give));
		free(s);
	}
	for (struct node *n = net->nodes, *next; n; n = next) {
		next = n->next;
		free(n);
	}
}

static void check(struct series *(*make)(struct network *net), const struct ratio *expected)
{
	struct network net = { .series = NULL };
	must(weft_scope_open(&net.scope, NULL));
	struct series *s = make(&net);
	for (int i = 0; i < TERMS; i++) {
		struct ratio c;
		must(get(s, &c));
		must(c.num == expected[i].num && c.den == expected[i].den ? 0 : -EIO);
	}
	take_down(&net);
}

static int body(void *arg)
{
	static const struct ratio exp_terms[TERMS] = { { 1, 1 }, { 1, 1 }, { 1, 2 }, { 1, 6 }, { 1, 24 }, { 1, 120 }, { 1, 720 },
						       { 1, 5040 }, { 1, 40320 }, { 1, 362880 }, { 1, 3628800 }, { 1, 39916800 } };
	static const struct ratio tan_terms[TERMS] = { { 0, 1 }, { 1, 1 }, { 0, 1 }, { 1, 3 }, { 0, 1 }, { 2, 15 }, { 0, 1 },
						       { 17, 315 }, { 0, 1 }, { 62, 2835 }, { 0, 1 }, { 1382, 155925 } };
	long rounds = *(long *)arg;
	weft_time start_time = weft_now();
	for (long i = 0; i < rounds; i++) {
		check(exponential, exp_terms);
		check(tangent, tan_terms);
	}
	bench_out("powser", (double)(weft_now() - start_time) / 1e3 / (double)rounds, "us");
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	return weft_run(NULL, body, &(long){ bench_arg(argv, 1, 200) });
}
