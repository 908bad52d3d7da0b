#include "client.h"

#include <string.h>
#include <weft/weft.h>

bool client_fill(struct client *c)
{
	if (c->at > 0) {
		memmove(c->in, c->in + c->at, c->end - c->at);
		c->end -= c->at;
		c->at = 0;
	}
	if (c->ended || c->end == sizeof c->in)
		return false;
	ssize_t n = weft_read(c->fd, c->in + c->end, sizeof c->in - c->end);
	if (n > 0)
		c->end += (size_t)n;
	c->ended = n <= 0;
	return n > 0;
}

void client_take(struct client *c, char *to, size_t n)
{
	size_t here = c->end - c->at < n ? c->end - c->at : n;
	memcpy(to, c->in + c->at, here);
	c->at += here;
	if (here < n && !c->ended) {
		client_flush(c);
		c->ended = c->ended || weft_read_full(c->fd, to + here, n - here, NULL) != 0;
	}
}

void client_skip(struct client *c, size_t n)
{
	for (;;) {
		size_t here = c->end - c->at < n ? c->end - c->at : n;
		c->at += here;
		n -= here;
		if (n == 0 || !client_fill(c))
			return;
	}
}

static void write_now(struct client *c, const char *bytes, size_t n)
{
	if (!c->ended && weft_write_all(c->fd, bytes, n, NULL) != 0)
		c->ended = true;
}

void client_flush(struct client *c)
{
	if (c->used > 0)
		write_now(c, c->out, c->used);
	c->used = 0;
}

void client_put(struct client *c, const char *bytes, size_t n)
{
	if (n > sizeof c->out - c->used)
		client_flush(c);
	if (n > sizeof c->out) {
		write_now(c, bytes, n);
		return;
	}
	memcpy(c->out + c->used, bytes, n);
	c->used += n;
}

void client_say(struct client *c, const char *line)
{
	if (!c->is_quiet)
		client_fail(c, line);
}

void client_fail(struct client *c, const char *line)
{
	client_put(c, line, strlen(line));
	client_put(c, "\r\n", 2);
}
