/* A TCP proxy that makes trouble on purpose: what passes through it is split, delayed, stalled and reset, by a seed.
 *
 *     chaos [--listen ADDR] [--to ADDR] [--seed N] [--piece BYTES] [--delay MS] [--stall PER_MILLE] [--reset PER_MILLE] [--trace]
 *
 *     --listen, --to       :7002, and :7000 for whom it stands
 *     --piece BYTES        pieces of 1 to so many bytes (1000)
 *     --delay MS           each comes up to so much later than it could (2)
 *     --stall PER_MILLE    how many pieces come half a second late (2)
 *     --reset PER_MILLE    how many end the connection, both ways, without a word (0)
 *     --trace              tells what happens, a line for each piece, on standard error
 *
 * The generator of each direction of each connection starts with the seed and the number of the connection, and what it says
 * depends on how many bytes have passed, not on when they came: the same seed gives the same trouble at the same places.
 *
 * Two coroutines for each connection, in a scope: when one of them fails, the other one is cancelled. On SIGTERM or SIGINT
 * all connections are cut, and the exit status is 0. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "listen.h"

enum { STALL_MS = 500, DIAL_SECONDS = 5, PIECE_MAX = 16384 };

static const char *from = ":7002", *to = ":7000";
static long seed = 1, piece_max = 1000, delay_ms = 2, stall_per_mille = 2, reset_per_mille;
static bool tracing;

struct connection {
	int client, server;
	unsigned long number;
};

struct direction {
	const struct connection *connection;
	const char *name;
	int from, to;
	uint64_t state;
};

/* Weyl steps, mixed. */
static unsigned draw(struct direction *d, long below)
{
	uint64_t x = d->state += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
	x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return (unsigned)((x ^ x >> 32) % (uint64_t)below);
}

struct fate {
	size_t size;
	int64_t pause_ns;
	bool is_reset;
};

/* Always as many numbers, so that one setting does not change what the others do. */
static struct fate draw_fate(struct direction *d)
{
	struct fate f = { .size = 1 + draw(d, piece_max), .pause_ns = WEFT_US(draw(d, delay_ms * 1000 + 1)) };
	if (draw(d, 1000) < (unsigned)stall_per_mille)
		f.pause_ns += WEFT_MS(STALL_MS);
	f.is_reset = draw(d, 1000) < (unsigned)reset_per_mille;
	if (tracing)
		fprintf(stderr, "%lu %s: %zu bytes, %.3f ms%s\n", d->connection->number, d->name, f.size, (double)f.pause_ns / 1e6,
			f.is_reset ? ", reset" : "");
	return f;
}

/* One piece, in as many parts as it comes. 1: all of it passed; 0: the end; negative: no more in either direction. */
static int pass_piece(struct direction *d)
{
	char buf[PIECE_MAX];
	struct fate f = draw_fate(d);
	ssize_t n = 1;
	for (size_t left = f.size; left > 0; left -= (size_t)n) {
		if ((n = weft_read(d->from, buf, left)) <= 0)
			return (int)n;
		if (left == f.size && f.is_reset)
			return -ECONNRESET;
		int r = left == f.size ? weft_sleep(f.pause_ns) : 0;
		if (r == 0)
			r = weft_write_all(d->to, buf, (size_t)n, NULL);
		if (r != 0)
			return r;
	}
	return 1;
}

static int pump(void *arg)
{
	struct direction *d = arg;
	int r;
	while ((r = pass_piece(d)) > 0)
		;
	if (r == 0)
		weft_shutdown_fd(d->to, SHUT_WR);
	return r;
}

static int pump_both_ways(const struct connection *c)
{
	uint64_t start = (uint64_t)seed * 0x10001 + c->number * 2;
	struct direction up = { c, "up", c->client, c->server, start << 20 };
	struct direction down = { c, "down", c->server, c->client, (start + 1) << 20 };
	struct weft_scope scope;
	struct weft_scope_opts opts = { .size = sizeof opts, .flags = WEFT_SCOPE_FIRST_ERROR };
	int r = weft_scope_open(&scope, &opts);
	if (r != 0)
		return r;
	r = weft_scope_go(&scope, pump, &up);
	if (r == 0)
		r = weft_scope_go(&scope, pump, &down);
	if (r != 0)
		weft_scope_cancel(&scope, r);
	int failed = weft_scope_close(&scope);
	return r != 0 ? r : failed;
}

/* A connection that ended badly ends so for the other side as well: by a reset, with what is on the way thrown away. */
static void end(int fd, bool badly)
{
	if (badly)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
	weft_close(fd);
}

static int serve(void *arg)
{
	struct connection *c = arg;
	c->server = weft_dial(to, weft_after(WEFT_SEC(DIAL_SECONDS)));
	int r = c->server < 0 ? c->server : pump_both_ways(c);
	end(c->client, r != 0);
	if (c->server >= 0)
		end(c->server, r != 0);
	free(c);
	return 0;
}

static int accept_all(void *arg)
{
	int listener = (int)(intptr_t)arg, fd;
	unsigned long number = 0;
	while ((fd = weft_accept(listener, NULL, NULL)) != -EBADF && fd != -ECANCELED) {
		struct connection *c = fd < 0 ? NULL : malloc(sizeof *c);
		if (c)
			*c = (struct connection){ .client = fd, .number = ++number };
		if (c && weft_go(serve, c) == 0)
			continue;
		free(c);
		if (fd >= 0)
			weft_close(fd);
	}
	return 0;
}

static int run(void *arg)
{
	struct weft_chan *signals;
	int number, listener = -1, r = weft_chan_create(&signals, sizeof number, 1);
	(void)arg;
	if (r == 0)
		r = weft_signal_notify(signals, SIGTERM);
	if (r == 0)
		r = weft_signal_notify(signals, SIGINT);
	if (r == 0)
		r = listener = listen_and_say(from);
	if (r >= 0)
		r = weft_go(accept_all, (void *)(intptr_t)listener);
	if (r == 0 && weft_chan_recv(signals, &number) == 1)
		r = weft_shutdown(weft_after(WEFT_SEC(5)));
	if (listener >= 0)
		weft_close(listener);
	weft_signal_stop(signals);
	weft_chan_destroy(signals);
	return r;
}

static bool read_options(int argc, char **argv)
{
	static const struct {
		const char *name;
		long *value, least, most;
	} numbers[] = { { "--seed", &seed, 0, INT32_MAX }, { "--piece", &piece_max, 1, PIECE_MAX },
			{ "--delay", &delay_ms, 0, 60000 }, { "--stall", &stall_per_mille, 0, 1000 },
			{ "--reset", &reset_per_mille, 0, 1000 } };
	for (int i = 1; i < argc; i++) {
		size_t n = 0, count = sizeof numbers / sizeof *numbers;
		if (strcmp(argv[i], "--trace") == 0) {
			tracing = true;
			continue;
		}
		if (i + 1 == argc)
			return false;
		const char *name = argv[i], *value = argv[++i];
		if (strcmp(name, "--listen") == 0) {
			from = value;
		} else if (strcmp(name, "--to") == 0) {
			to = value;
		} else {
			while (n < count && strcmp(name, numbers[n].name) != 0)
				n++;
			if (n == count)
				return false;
			*numbers[n].value = strtol(value, NULL, 10);
			if (*numbers[n].value < numbers[n].least || *numbers[n].value > numbers[n].most)
				return false;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	if (!read_options(argc, argv)) {
		fputs("usage: chaos [--listen ADDR] [--to ADDR] [--seed N] [--piece BYTES] [--delay MS] [--stall PER_MILLE]\n"
		      "             [--reset PER_MILLE] [--trace]\n", stderr);
		return 2;
	}
	int r = weft_run(NULL, run, NULL);
	if (r < 0)
		fprintf(stderr, "chaos: %s\n", weft_strerror(r));
	return r != 0;
}
