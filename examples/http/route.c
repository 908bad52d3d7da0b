#include <string.h>
#include <time.h>

#include "chars.h"
#include "conn.h"
#include "proxy.h"

/* A path, or with a final slash the beginning of one: the rest is a number. */
struct route {
	const char *path;
	unsigned methods; /* bits, 1 << enum http_method */
	const char *allow;
	void (*answer)(struct http_conn *c, int64_t number);
	int64_t most; /* the largest number */
};

enum { READS = 1 << HTTP_GET | 1 << HTTP_HEAD };
#define READS_ALLOW "GET, HEAD, OPTIONS"

/* ---- built-in handlers --------------------------------------------------------------------------------------------- */

static void hello(struct http_conn *c, int64_t number)
{
	static const char text[] = "Hello, World!";
	(void)number;
	http_reply(c, 200, "text/plain", text, sizeof(text) - 1);
}

/* Sends the body back as it comes: by length if it has one, else in chunks. */
static void echo(struct http_conn *c, int64_t number)
{
	static const char type[] = "application/octet-stream";
	const char *piece;
	(void)number;
	if (!c->head.chunked && !c->head.has_length) {
		http_error(c, 411);
		return;
	}
	ssize_t n = http_body_next(c, &piece);
	if (n < 0) {
		http_fail(c, n);
		return;
	}
	http_begin(c, 200);
	if (c->head.chunked)
		http_chunked(c, type);
	else
		http_length(c, type, (int64_t)c->head.length);
	for (; n > 0 && !c->broken; n = http_body_next(c, &piece))
		if (c->head.chunked)
			http_write_chunk(c, piece, (size_t)n);
		else
			http_write(c, piece, (size_t)n);
	if (n < 0)
		http_fail(c, n);
	else if (c->head.chunked)
		http_end_chunks(c);
}

static char alphabet[26 * 2520]; /* the bytes of /bytes/N: a to z, over and over */

static void bytes(struct http_conn *c, int64_t number)
{
	http_begin(c, 200);
	http_length(c, "text/plain", number);
	for (int64_t left = number; left > 0 && http_wants_body(c);) {
		size_t n = left < (int64_t)sizeof(alphabet) ? (size_t)left : sizeof(alphabet);
		http_write(c, alphabet, n);
		left -= (int64_t)n;
	}
}

static void sleep_ms(struct http_conn *c, int64_t number)
{
	static const char text[] = "slept\n";
	if (!http_flush(c))
		return;
	if (weft_sleep(WEFT_MS(number)) < 0)
		c->broken = true;
	else
		http_reply(c, 200, "text/plain", text, sizeof(text) - 1);
}

static int64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Computes without ever calling weft, as a handler does that was not written for it. */
static void spin_us(struct http_conn *c, int64_t number)
{
	static const char text[] = "spun\n";
	if (!http_flush(c))
		return;
	for (int64_t end = now_us() + number; now_us() < end;)
		;
	http_reply(c, 200, "text/plain", text, sizeof(text) - 1);
}

/* ---- choosing ------------------------------------------------------------------------------------------------------ */

static void file(struct http_conn *c, int64_t number)
{
	(void)number;
	http_static(c);
}

static void metrics(struct http_conn *c, int64_t number)
{
	(void)number;
	http_metrics(c);
}

static const struct route hello_route = { "/", READS, READS_ALLOW, hello, 0 };
static const struct route file_route = { "/", READS, READS_ALLOW, file, 0 };
static const struct route routes[] = {
	{ "/echo", 1 << HTTP_POST, "POST, OPTIONS", echo, 0 },
	{ "/bytes/", READS, READS_ALLOW, bytes, INT64_C(1) << 40 },
	{ "/sleep/", READS, READS_ALLOW, sleep_ms, 60000 },
	{ "/spin/", READS, READS_ALLOW, spin_us, 1000000 },
	{ "/metrics", READS, READS_ALLOW, metrics, 0 },
};

void http_route_start(void)
{
	for (size_t i = 0; i < sizeof(alphabet); i++)
		alphabet[i] = (char)('a' + i % 26);
}

/* The number that [p, p + n) is; -1 if it is none, or too large. */
static int64_t parse_number(const char *p, size_t n, int64_t most)
{
	int64_t value = 0;
	for (size_t i = 0; i < n; i++) {
		if (!http_is_digit(p[i]) || value > most)
			return -1;
		value = value * 10 + (p[i] - '0');
	}
	return n > 0 && value <= most ? value : -1;
}

static const struct route *find_route(struct http_conn *c, int64_t *number)
{
	const char *path = c->buf + c->base + c->head.path.at;
	size_t n = c->head.path.len;
	bool files = c->server->root_fd >= 0;
	if (!files && (n == 0 || (n == 1 && *path == '/')))
		return &hello_route;
	for (const struct route *r = routes; r < routes + sizeof(routes) / sizeof(routes[0]); r++) {
		size_t length = strlen(r->path);
		if (n < length || memcmp(path, r->path, length) != 0)
			continue;
		if (r->path[length - 1] != '/') {
			if (n == length)
				return r;
		} else if ((*number = parse_number(path + length, n - length, r->most)) >= 0) {
			return r;
		}
	}
	return files ? &file_route : NULL;
}

static void tell_options(struct http_conn *c, const char *allow)
{
	http_begin(c, 204);
	http_field(c, "Allow", allow);
	http_empty(c);
}

void http_answer(struct http_conn *c)
{
	int64_t number = 0;
	if (http_proxy(c))
		return;
	if (c->head.method == HTTP_OTHER || c->head.method == HTTP_CONNECT) {
		http_error(c, 501);
		return;
	}
	if (c->head.form == HTTP_ASTERISK) {
		tell_options(c, "GET, HEAD, POST, OPTIONS");
		return;
	}
	const struct route *r = find_route(c, &number);
	if (r == NULL)
		http_error(c, 404);
	else if (r->methods & 1u << c->head.method)
		r->answer(c, number);
	else if (c->head.method == HTTP_OPTIONS)
		tell_options(c, r->allow);
	else
		http_error_allow(c, r->allow);
}
