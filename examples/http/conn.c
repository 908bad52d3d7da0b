#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/errno.h>

#include "deadline.h"
#include "tls.h"

struct http_conn *http_conn_new(struct http_server *server, int fd)
{
	uint32_t size = (uint32_t)server->config->limits.head + BODY_LEAST + OUT_LEAST;
	struct http_conn *c = malloc(sizeof(*c) + size);
	if (c == NULL)
		return NULL;
	memset(c, 0, sizeof(*c));
	c->server = server;
	c->fd = fd;
	c->size = size;
	return c;
}

/* ---- the transport: a socket, or TLS on it -------------------------------------------------------------------------- */

static ssize_t transport_read(struct http_conn *c, void *p, size_t n)
{
	return c->tls == NULL ? weft_read(c->fd, p, n) : http_tls_read(c->tls, p, n);
}

static ssize_t transport_write(struct http_conn *c, const void *p, size_t n)
{
	return c->tls == NULL ? weft_write(c->fd, p, n) : http_tls_write(c->tls, p, n);
}

/* What has come so far. That is for the kernel to say: weft_recv goes by what the poller has told. */
static ssize_t transport_read_now(struct http_conn *c, void *p, size_t n)
{
	return c->tls == NULL ? recv(c->fd, p, n, MSG_DONTWAIT) : http_tls_read_now(c->tls, p, n);
}

/* ---- sending ------------------------------------------------------------------------------------------------------- */

int64_t http_least(const struct http_config *config, int64_t ns)
{
	double least = (double)config->min_rate * (double)ns * 1e-9;
	return least < 1 ? 1 : least > INT32_MAX ? INT32_MAX : (int64_t)least;
}

/* Counts what was written of so much. A write that was stopped midway may go on, with all its time again, if the client has taken
 * enough in the time that is over. */
static bool was_sent(struct http_conn *c, int64_t n, int64_t of)
{
	const struct http_config *config = c->server->config;
	http_add(&c->counts, HTTP_SENT, n > 0 ? (uint64_t)n : 0);
	if (n <= 0 || (n < of && n < http_least(config, config->write_ns)))
		c->broken = true;
	else
		http_deadline(&c->write_by, c->fd, WEFT_WRITE, weft_now(), config->write_ns);
	return !c->broken;
}

static bool send_all(struct http_conn *c, const char *p, size_t n, weft_time now)
{
	http_deadline(&c->write_by, c->fd, WEFT_WRITE, now, c->server->config->write_ns);
	while (n > 0 && !c->broken) {
		ssize_t done = transport_write(c, p, n);
		if (done == (ssize_t)n) {
			http_add(&c->counts, HTTP_SENT, n);
			return true;
		}
		if (was_sent(c, done, (int64_t)n)) {
			p += done;
			n -= (size_t)done;
		}
	}
	return !c->broken;
}

bool http_pass(struct http_conn *c, const char *p, size_t n)
{
	return send_all(c, p, n, weft_now());
}

static bool flush_at(struct http_conn *c, weft_time now)
{
	size_t n = c->out - c->end;
	c->out = c->end;
	c->gathered = 0;
	return n == 0 ? !c->broken : send_all(c, c->buf + c->end, n, now);
}

bool http_flush(struct http_conn *c)
{
	return flush_at(c, weft_now());
}

bool http_send(struct http_conn *c, const void *data, size_t n)
{
	struct iovec both[2] = { { c->buf + c->end, c->out - c->end }, { (void *)(uintptr_t)data, n } };
	if (c->broken || both[0].iov_len == 0 || n == 0 || c->tls != NULL)
		return http_flush(c) && send_all(c, data, n, weft_now());
	http_deadline(&c->write_by, c->fd, WEFT_WRITE, weft_now(), c->server->config->write_ns);
	ssize_t done = weft_writev(c->fd, both, 2);
	if (!was_sent(c, done, (int64_t)(both[0].iov_len + n)))
		return false;
	size_t gathered = (size_t)done < both[0].iov_len ? (size_t)done : both[0].iov_len, sent = (size_t)done - gathered;
	memmove(c->buf + c->end, c->buf + c->end + gathered, both[0].iov_len - gathered);
	c->out -= (uint32_t)gathered;
	return http_flush(c) && send_all(c, (const char *)data + sent, n - sent, weft_now());
}

/* What sendfile(2) would send has to be sealed first. */
static bool send_file_by_hand(struct http_conn *c, int file, int64_t offset, int64_t n)
{
	char piece[SEALED_AT_ONCE];
	while (n > 0 && !c->broken) {
		ssize_t got = pread(file, piece, n < (int64_t)sizeof(piece) ? (size_t)n : sizeof(piece), offset);
		if (got <= 0)
			c->broken = true; /* it has shrunk: what the head promised is gone */
		else
			send_all(c, piece, (size_t)got, weft_now());
		offset += got;
		n -= got;
	}
	return !c->broken;
}

bool http_send_file(struct http_conn *c, int file, int64_t offset, int64_t n)
{
	if (!http_flush(c))
		return false;
	if (c->tls != NULL)
		return send_file_by_hand(c, file, offset, n);
	while (n > 0) {
		http_deadline(&c->write_by, c->fd, WEFT_WRITE, weft_now(), c->server->config->write_ns);
		int64_t done = weft_sendfile(c->fd, file, offset, (size_t)n);
		if (!was_sent(c, done, n))
			return false;
		offset += done;
		n -= done;
	}
	return true;
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

/* The same exactly: for waits that go on over several reads. */
static void read_by(struct http_conn *c, int64_t ns)
{
	c->read_by = weft_after(ns);
	weft_set_deadline(c->fd, WEFT_READ, c->read_by);
}

void http_read_within(struct http_conn *c, int64_t ns, bool exactly)
{
	if (exactly)
		read_by(c, ns);
	else
		http_deadline(&c->read_by, c->fd, WEFT_READ, weft_now(), ns);
}

/* Makes room behind the input: the head of the present request moves to the front, and everything that belongs to it. */
static void make_room(struct http_conn *c)
{
	if (c->base > 0)
		memmove(c->buf, c->buf + c->base, c->end - c->base);
	c->in -= c->base;
	c->end -= c->base;
	c->base = 0;
	if (c->in == c->end && c->end > c->head.at)
		c->in = c->end = c->head.at; /* all of the body that came has been used */
	c->out = c->end;
}

/* Whether a wait goes on: the server ends and knocked, but there is work to finish. */
static bool was_knock(struct http_conn *c, ssize_t result)
{
	return result == -ETIMEDOUT && weft_now() < c->read_by && weft_set_deadline(c->fd, WEFT_READ, c->read_by) == 0;
}

static ssize_t read_some(struct http_conn *c, char *p, size_t n, bool between_requests)
{
	ssize_t r;
	do
		r = transport_read(c, p, n);
	while (!between_requests && was_knock(c, r));
	return r;
}

static void was_received(struct http_conn *c, size_t n)
{
	c->end = c->out = c->end + (uint32_t)n;
	c->now = weft_now();
	http_add(&c->counts, HTTP_RECEIVED, n);
}

static ssize_t fill_at(struct http_conn *c, bool between_requests, weft_time now)
{
	if (!flush_at(c, now))
		return -EPIPE;
	make_room(c);
	ssize_t n = read_some(c, c->buf + c->end, c->size - OUT_LEAST - c->end, between_requests);
	if (n > 0)
		was_received(c, (size_t)n);
	return n;
}

ssize_t http_fill(struct http_conn *c)
{
	return fill_at(c, false, weft_now());
}

/* The server ends, and this connection waits for a request. If one has arrived it is still answered. Where other processes go on, a
 * client's first request is waited for a little: it was let in, and must not notice that something ends. */
static bool look_once_more(struct http_conn *c)
{
	const struct http_config *config = c->server->config;
	bool is_new = c->requests == 0 && c->server->succeeded;
	if (!http_flush(c))
		return false;
	make_room(c);
	read_by(c, is_new ? config->linger_ns : config->header_ns);
	ssize_t n = is_new ? read_some(c, c->buf, c->size - OUT_LEAST, false) : transport_read_now(c, c->buf, c->size - OUT_LEAST);
	if (n > 0)
		was_received(c, (size_t)n);
	return n > 0;
}

/* Waits for the first bytes of a request. The end of the server raises its flag, then knocks at every connection by a deadline in
 * the past; here the deadline is set first, then the flag is read: one of the two sees the other. */
static bool wait_for_request(struct http_conn *c)
{
	const struct http_config *config = c->server->config;
	http_deadline(&c->read_by, c->fd, WEFT_READ, c->now, c->requests > 0 ? config->idle_ns : config->header_ns);
	if (c->server->draining)
		return look_once_more(c);
	ssize_t n = fill_at(c, true, c->now);
	if (n == -ETIMEDOUT && c->server->draining)
		return look_once_more(c);
	return n > 0;
}

/* Reads on in a head that has come in part. */
static bool wait_for_head(struct http_conn *c, bool *started)
{
	if (!*started) {
		*started = true;
		c->begun = c->now;
		read_by(c, c->server->config->header_ns);
	}
	ssize_t n = http_fill(c);
	if (n == -ETIMEDOUT)
		http_refuse(c, 408);
	return n > 0;
}

/* Reads until a whole head is there. False: the connection ends. */
static bool next_request(struct http_conn *c)
{
	bool started = false;
	int n;
	memset(&c->head, 0, offsetof(struct http_head, fields));
	c->base = c->in;
	c->body = HTTP_BODY_NONE;
	c->headed = false;
	c->body_sent = 0;
	const struct http_limits *limits = &c->server->config->limits;
	while ((n = http_parse_head(&c->head, c->buf + c->base, c->end - c->base, limits)) == 0)
		if (!(c->end == c->base ? wait_for_request(c) : wait_for_head(c, &started)))
			return false;
	c->in = c->base;
	c->requests++;
	c->begun = c->now;
	if (n < 0) {
		http_refuse(c, -n);
		return false;
	}
	c->in += (uint32_t)n;
	c->keep = c->head.keep_alive;
	return true;
}

/* Waits for something to read, whatever deadline is set. */
static int await_input(struct http_conn *c)
{
	int r;
	do {
		c->read_by = WEFT_NEVER;
		weft_set_deadline(c->fd, WEFT_READ, WEFT_NEVER);
		r = c->tls == NULL ? weft_wait_fd(c->fd, WEFT_READ, WEFT_NEVER) : http_tls_await_end(c->tls);
	} while (r == -ETIMEDOUT); /* the server ends and knocked */
	return r;
}

bool http_await_end(struct http_conn *c)
{
	char byte;
	if (c->in < c->end)
		return false;
	int r = await_input(c);
	if (r < 0 || c->tls != NULL)
		return r < 0 ? r != -ECANCELED : r == 1;
	ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno != EAGAIN);
}

/* ---- a connection -------------------------------------------------------------------------------------------------- */

/* From the socket itself, what is sealed included. */
static ssize_t drop_some(struct http_conn *c)
{
	ssize_t n;
	do
		n = weft_read(c->fd, c->buf, c->size);
	while (was_knock(c, n));
	return n;
}

/* Tells the client that nothing more will come, and reads until it has seen that: a socket that is closed with unread input resets
 * the connection, and the last response might never arrive. */
static void linger(struct http_conn *c)
{
	enum { AT_MOST = 1 << 20 };
	if (weft_shutdown_fd(c->fd, SHUT_WR) < 0)
		return;
	read_by(c, c->server->config->linger_ns);
	ssize_t n;
	size_t dropped = 0;
	while (dropped < AT_MOST && (n = drop_some(c)) > 0)
		dropped += (size_t)n;
}

static void serve_requests(struct http_conn *c)
{
	while (next_request(c)) {
		int refused = http_body_begin(c);
		if (refused != 0)
			http_refuse(c, refused);
		else
			http_answer(c);
		http_note(c);
		if (c->keep)
			http_body_drop(c);
		if (!c->keep || c->broken)
			break;
		if (++c->gathered >= c->server->config->max_gather && !http_flush(c))
			break;
	}
}

/* The end of the server does not end a handshake: the client was let in. */
static bool shake_hands(struct http_conn *c)
{
	c->tls = http_tls_new(c->fd);
	if (c->tls == NULL)
		return false;
	read_by(c, c->server->config->header_ns);
	weft_set_deadline(c->fd, WEFT_WRITE, c->read_by);
	int r;
	do
		r = http_tls_handshake(c->tls);
	while (was_knock(c, r));
	weft_stack_trim(); /* no call to come goes nearly as deep */
	return r == 0;
}

static void serve_client(struct http_conn *c)
{
	if (c->refuse)
		http_refuse(c, 503);
	else
		serve_requests(c);
	http_note(c);
	if (!http_flush(c))
		return;
	if (c->tls != NULL)
		http_tls_end(c->tls);
	if (c->linger)
		linger(c);
}

const char *http_peer(struct http_conn *c)
{
	struct sockaddr_storage peer;
	socklen_t n = sizeof(peer);
	if (c->peer[0] != '\0')
		return c->peer;
	c->peer[0] = '-';
	if (getpeername(c->fd, (struct sockaddr *)&peer, &n) < 0)
		return c->peer;
	if (peer.ss_family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *)&peer)->sin_addr, c->peer, sizeof(c->peer));
	else if (peer.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&peer)->sin6_addr, c->peer, sizeof(c->peer));
	return c->peer;
}

int http_serve(void *arg)
{
	struct http_conn *c = arg;
	c->now = c->begun = weft_now();
	if (http_is_logging())
		http_peer(c);
	http_enrol(c);
	if (!c->secure || shake_hands(c))
		serve_client(c);
	http_leave(c);
	if (c->tls != NULL)
		http_tls_free(c->tls);
	weft_close(c->fd);
	free(c);
	return 0;
}
