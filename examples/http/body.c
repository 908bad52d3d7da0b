#include <errno.h>

#include "conn.h"

enum { DROP_AT_MOST = 1 << 16 }; /* bytes of a body that nobody asked for; above, closing is cheaper */

int http_body_begin(struct http_conn *c)
{
	uint64_t most = (uint64_t)c->server->config->max_body;
	c->body_wanted = false;
	c->body_owed = 0;
	c->continue_due = c->head.expects_continue;
	if (c->head.chunked) {
		c->body = HTTP_BODY_CHUNKED;
		c->body_left = most;
		c->chunks = (struct http_chunks){ .limit = c->server->config->limits.head };
		return 0;
	}
	c->body_left = c->head.length;
	if (c->head.length == 0)
		return 0;
	c->body = HTTP_BODY_LENGTH;
	return c->head.length > most ? 413 : 0;
}

static ssize_t fail(struct http_conn *c, ssize_t how)
{
	c->body = HTTP_BODY_BROKEN;
	return how;
}

/* A client that sends, but hardly, must not stay for long: what counts is not the single byte but the pace. */
static ssize_t wait_for_body(struct http_conn *c)
{
	const struct http_config *config = c->server->config;
	bool fresh = c->body_owed <= 0;
	if (fresh) {
		c->body_ns = config->body_ns;
		c->body_owed = http_least(config, c->body_ns);
	}
	weft_time begun = weft_now();
	http_read_within(c, c->body_ns, !fresh);
	ssize_t n = http_fill(c);
	c->body_owed -= n;
	c->body_ns -= c->now - begun;
	return n;
}

/* Reads more of the body. */
static ssize_t read_on(struct http_conn *c)
{
	if (c->continue_due) {
		static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
		c->continue_due = false;
		if (!http_send(c, go_on, sizeof(go_on) - 1))
			return fail(c, -EPIPE);
	}
	ssize_t n = wait_for_body(c);
	if (n == -ETIMEDOUT)
		return fail(c, -408);
	return n > 0 ? n : fail(c, n == 0 ? -400 : n); /* half-closed, it may still listen */
}

static ssize_t take_length(struct http_conn *c, size_t there)
{
	size_t n = there < c->body_left ? there : (size_t)c->body_left;
	c->in += (uint32_t)n;
	c->body_left -= n;
	if (c->body_left == 0)
		c->body = HTTP_BODY_NONE;
	return (ssize_t)n;
}

/* May find framing alone: 0, and the body goes on unless it is NONE now. */
static ssize_t take_chunks(struct http_conn *c, const char **piece, size_t there)
{
	size_t n;
	int taken = http_parse_chunks(&c->chunks, *piece, there, piece, &n);
	if (taken < 0)
		return fail(c, taken);
	c->in += (uint32_t)taken;
	if (n > c->body_left)
		return fail(c, -413);
	c->body_left -= n;
	if (c->chunks.done)
		c->body = HTTP_BODY_NONE;
	return (ssize_t)n;
}

ssize_t http_body_next(struct http_conn *c, const char **piece)
{
	c->body_wanted = true;
	while (c->body == HTTP_BODY_LENGTH || c->body == HTTP_BODY_CHUNKED) {
		ssize_t n = c->in == c->end ? read_on(c) : 1;
		if (n <= 0)
			return n;
		c->continue_due = false;
		*piece = c->buf + c->in;
		n = c->body == HTTP_BODY_LENGTH ? take_length(c, c->end - c->in) : take_chunks(c, piece, c->end - c->in);
		if (n != 0)
			return n;
	}
	return c->body == HTTP_BODY_NONE ? 0 : -EPIPE;
}

bool http_body_is_short(const struct http_conn *c)
{
	if (c->body == HTTP_BODY_NONE || c->body == HTTP_BODY_BROKEN)
		return c->body == HTTP_BODY_NONE;
	return c->body_wanted || (!c->continue_due && (c->body == HTTP_BODY_CHUNKED || c->body_left <= DROP_AT_MOST));
}

void http_body_drop(struct http_conn *c)
{
	const char *piece;
	size_t dropped = 0;
	ssize_t n = 0;
	if (c->body == HTTP_BODY_NONE)
		return;
	while (dropped <= DROP_AT_MOST && (n = http_body_next(c, &piece)) > 0)
		dropped += (size_t)n;
	if (n != 0) {
		c->keep = false;
		c->linger = true;
	}
}
