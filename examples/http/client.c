#include "client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weft/errno.h>

#include "deadline.h"

int http_client_dial(struct http_client **client, const char *addr, size_t room, weft_time deadline)
{
	int fd = weft_dial(addr, deadline);
	if (fd < 0)
		return fd;
	struct http_client *c = malloc(sizeof(*c) + room);
	if (c == NULL) {
		weft_close(fd);
		return -ENOMEM;
	}
	memset(c, 0, offsetof(struct http_client, head.fields));
	c->fd = fd;
	c->room = (uint32_t)room;
	c->text = (char *)(c + 1);
	*client = c;
	return 0;
}

void http_client_close(struct http_client *c)
{
	weft_close(c->fd);
	free(c);
}

int http_client_send(struct http_client *c, const char *p, size_t n, int64_t ns)
{
	while (n > 0) {
		http_deadline(&c->write_by, c->fd, WEFT_WRITE, weft_now(), ns);
		ssize_t done = weft_write(c->fd, p, n);
		if (done <= 0)
			return done < 0 ? (int)done : -EPIPE;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

/* More bytes behind what there is. */
static ssize_t read_on(struct http_client *c, int64_t ns)
{
	http_deadline(&c->read_by, c->fd, WEFT_READ, weft_now(), ns);
	ssize_t n = weft_read(c->fd, c->buf + c->end, sizeof(c->buf) - c->end);
	if (n > 0)
		c->end += (uint32_t)n;
	return n;
}

/* What is behind the last head becomes the first of the buffer. */
static void begin_head(struct http_client *c)
{
	memmove(c->buf, c->buf + c->in, c->end - c->in);
	c->end -= c->in;
	c->in = 0;
	memset(&c->head, 0, offsetof(struct http_head, fields));
}

/* RFC 9112, 6.3. */
static void begin_body(struct http_client *c, bool to_head)
{
	int status = c->head.status;
	if (to_head || status < 200 || status == 204 || status == 304)
		c->body = CLIENT_NONE;
	else if (c->head.chunked)
		c->body = CLIENT_CHUNKED;
	else
		c->body = c->head.has_length ? CLIENT_LENGTH : CLIENT_REST;
	c->left = c->body == CLIENT_LENGTH ? c->head.length : 0;
	c->chunks = (struct http_chunks){ .limit = CLIENT_HEAD };
	if (c->body == CLIENT_LENGTH && c->left == 0)
		c->body = CLIENT_NONE;
	if (c->body == CLIENT_REST)
		c->head.keep_alive = false;
}

int http_client_head(struct http_client *c, bool to_head, int64_t ns)
{
	static const struct http_limits limits = { CLIENT_LINE, CLIENT_HEAD, HTTP_FIELDS_MAX };
	int n;
	if (c->in > 0)
		begin_head(c);
	while ((n = http_parse_response(&c->head, c->buf, c->end, &limits)) == 0) {
		ssize_t r = read_on(c, ns);
		if (r <= 0)
			return r == -ETIMEDOUT || r == -ECANCELED ? (int)r : c->end == 0 ? -ENODATA : -EPIPE;
	}
	if (n < 0)
		return -EBADMSG;
	c->in = (uint32_t)n;
	begin_body(c, to_head);
	return c->head.status;
}

/* May find framing alone: 0, and the body goes on unless it is NONE now. */
static ssize_t take_chunks(struct http_client *c, const char **piece)
{
	size_t n;
	int taken = http_parse_chunks(&c->chunks, *piece, c->end - c->in, piece, &n);
	if (taken < 0)
		return -EBADMSG;
	c->in += (uint32_t)taken;
	if (c->chunks.done)
		c->body = CLIENT_NONE;
	return (ssize_t)n;
}

static ssize_t take_bytes(struct http_client *c)
{
	size_t n = c->end - c->in;
	if (c->body == CLIENT_LENGTH) {
		n = n < c->left ? n : (size_t)c->left;
		c->left -= n;
		if (c->left == 0)
			c->body = CLIENT_NONE;
	}
	c->in += (uint32_t)n;
	return (ssize_t)n;
}

/* The head stays where it is. */
static ssize_t refill(struct http_client *c, int64_t ns)
{
	if (ns == 0)
		return -EAGAIN;
	c->in = c->end = c->head.at;
	ssize_t n = read_on(c, ns);
	if (n == 0 && c->body == CLIENT_REST) {
		c->body = CLIENT_NONE;
		return 0;
	}
	return n == 0 || n == -ECONNRESET ? -EPIPE : n;
}

ssize_t http_client_next(struct http_client *c, const char **piece, int64_t ns)
{
	while (c->body != CLIENT_NONE) {
		ssize_t n = c->in == c->end ? refill(c, ns) : 1;
		if (n <= 0)
			return n;
		*piece = c->buf + c->in;
		n = c->body == CLIENT_CHUNKED ? take_chunks(c, piece) : take_bytes(c);
		if (n != 0)
			return n;
	}
	return 0;
}

/* ---- between responses --------------------------------------------------------------------------------------------- */

bool http_client_is_reusable(const struct http_client *c)
{
	return c->body == CLIENT_NONE && c->head.keep_alive && c->head.status >= 200 && c->in == c->end;
}

void http_client_rest(struct http_client *c)
{
	c->used = true;
	c->since = weft_now();
	begin_head(c);
}

bool http_client_is_quiet(const struct http_client *c)
{
	char byte;
	return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}
