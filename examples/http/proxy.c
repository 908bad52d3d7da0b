#include "proxy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "chars.h"

struct proxy {
	const char *prefix;
	size_t length;
	struct http_upstreams upstreams;
};

static struct proxy proxies[HTTP_LISTENS_MAX];
static size_t count;

enum { INTERIM_MAX = 32 }; /* responses 1xx before the last one */
static const int64_t continue_ns = WEFT_SEC(1); /* for a server that does not know Expect */

/* ---- options ------------------------------------------------------------------------------------------------------- */

static bool add_proxy(const char *text)
{
	const char *equals = strchr(text, '=');
	if (*text != '/' || equals == NULL)
		return false;
	struct proxy *p = &proxies[count++];
	p->prefix = text;
	p->length = (size_t)(equals - text);
	for (const char *url = equals; url != NULL;) {
		const char *comma = strchr(++url, ',');
		if (!http_pool_add(&p->upstreams, url, comma != NULL ? (size_t)(comma - url) : strlen(url)))
			return false;
		url = comma;
	}
	return true;
}

bool http_proxy_start(const struct http_config *config)
{
	for (size_t i = 0; i < config->proxies.count; i++)
		if (!add_proxy(config->proxies.addr[i])) {
			fprintf(stderr, "http: --proxy: %s is not /PREFIX=http://HOST:PORT[,http://HOST:PORT]...\n",
				config->proxies.addr[i]);
			return false;
		}
	return true;
}

static int sweep(void *arg)
{
	const struct http_config *config = arg;
	int64_t pause = config->proxy_idle_ns < WEFT_SEC(2) ? config->proxy_idle_ns / 2 : WEFT_SEC(1);
	while (weft_sleep(pause) == 0)
		for (size_t i = 0; i < count; i++)
			http_pool_sweep(&proxies[i].upstreams, config->proxy_idle_ns);
	return 0;
}

int http_proxy_run(const struct http_config *config)
{
	struct weft_attr attr = WEFT_ATTR_INIT;
	attr.name = "sweep";
	attr.daemon = true;
	return count > 0 ? weft_spawn(NULL, &attr, sweep, (void *)(uintptr_t)config) : 0;
}

/* ---- an exchange --------------------------------------------------------------------------------------------------- */

/* Two coroutines work on it. The one of the connection, which sends the head, reads the response and passes it on, and one
 * beside it that belongs to the client's input: it passes the body on and then waits for the client to go, which cuts the exchange
 * short. Only that one touches what conn.h says about input, until it has been joined. */
struct exchange {
	struct http_conn *c;
	struct http_client *client;
	const struct http_config *config;
	const char *addr;   /* of the server above */
	size_t n;           /* of client->text: not sent to the client yet */
	bool body_begun;    /* some of the request's body is gone */
	bool answered;      /* the response has begun */
	_Atomic weft_time sent; /* when all of the request was; NEVER: not yet; NOW: and it never will be */
	_Atomic bool gone;  /* the client */
	ssize_t refused;    /* by http_body_next */
};

static int send_chunk(struct exchange *x, const char *piece, size_t n)
{
	char size[24];
	int length = snprintf(size, sizeof(size), "%zx\r\n", n);
	int r = http_client_send(x->client, size, (size_t)length, x->config->proxy_ns);
	if (r == 0)
		r = http_client_send(x->client, piece, n, x->config->proxy_ns);
	return r == 0 ? http_client_send(x->client, "\r\n", 2, x->config->proxy_ns) : r;
}

/* 0, or -E: the server above takes no more, which is for its response to explain. */
static int pass_body(struct exchange *x)
{
	const char *piece;
	bool chunked = x->c->head.chunked;
	while ((x->refused = http_body_next(x->c, &piece)) > 0) {
		size_t n = (size_t)x->refused;
		int r = chunked ? send_chunk(x, piece, n) : http_client_send(x->client, piece, n, x->config->proxy_ns);
		if (r < 0)
			return r;
	}
	if (x->refused < 0)
		return 0;
	return chunked ? http_client_send(x->client, "0\r\n\r\n", 5, x->config->proxy_ns) : 0;
}

static int client_side(void *arg)
{
	struct exchange *x = arg;
	int r = pass_body(x);
	x->sent = r == 0 && x->refused == 0 ? weft_now() : WEFT_NOW;
	if (r < 0 || x->refused == -ECANCELED || (x->refused == 0 && !http_await_end(x->c)))
		return 0;
	x->gone = true;
	weft_shutdown_fd(x->client->fd, SHUT_RDWR);
	return 0;
}

/* ---- the response -------------------------------------------------------------------------------------------------- */

/* Nobody need answer before he has been asked: whether that, or less than a timeout ago, is why nothing came. */
static bool is_early(const struct exchange *x, ssize_t result)
{
	weft_time sent = x->sent;
	return result == -ETIMEDOUT && (sent == WEFT_NEVER || weft_now() < sent + x->config->proxy_ns);
}

static bool pass_text(struct exchange *x)
{
	size_t n = x->n;
	x->n = 0;
	return n == 0 || http_pass(x->c, x->client->text, n);
}

static bool pass(struct exchange *x, const char *p, size_t n)
{
	if (n > x->client->room - x->n)
		return pass_text(x) && http_pass(x->c, p, n);
	memcpy(x->client->text + x->n, p, n);
	x->n += n;
	return true;
}

static bool pass_chunk(struct exchange *x, const char *p, size_t n)
{
	char size[24];
	int length = snprintf(size, sizeof(size), "%zx\r\n", n);
	return pass(x, size, (size_t)length) && pass(x, p, n) && pass(x, "\r\n", 2);
}

/* The next piece. Before it is waited for, what there is goes out. */
static ssize_t next_piece(struct exchange *x, const char **piece)
{
	ssize_t n = http_client_next(x->client, piece, 0);
	if (n == -EAGAIN && !pass_text(x))
		return -EPIPE;
	if (n == -EAGAIN)
		n = http_client_next(x->client, piece, x->config->proxy_ns);
	x->c->body_sent += n > 0 ? (uint64_t)n : 0;
	return n;
}

/* A body that breaks off, breaks off at the client too: the connection ends where nobody can take that for the body's end. */
static void pass_response_body(struct exchange *x, bool chunked)
{
	const char *piece;
	ssize_t n;
	bool well = true;
	do {
		n = next_piece(x, &piece);
		if (n > 0)
			well = chunked ? pass_chunk(x, piece, (size_t)n) : pass(x, piece, (size_t)n);
	} while (well && (n > 0 || is_early(x, n)));
	if (n == 0 && chunked)
		well = pass(x, "0\r\n\r\n", 5);
	if (!pass_text(x) || n < 0 || !well)
		x->c->broken = true;
}

static void pass_response(struct exchange *x, bool may_keep)
{
	struct http_conn *c = x->c;
	bool has_rest = x->client->body == CLIENT_CHUNKED || x->client->body == CLIENT_REST;
	bool chunked = has_rest && c->head.minor > 0;
	x->answered = true;
	c->headed = true;
	c->status = x->client->head.status;
	c->keep = c->keep && may_keep && !c->server->draining && (chunked || !has_rest);
	c->linger |= !c->keep;
	x->n = http_forward_response(c, x->client, chunked);
	pass_response_body(x, chunked);
}

/* Reads responses up to the one that counts: its status or -E. */
static int await_response(struct exchange *x)
{
	for (int i = 0; i < INTERIM_MAX; i++) {
		int status;
		do
			status = http_client_head(x->client, x->c->head.method == HTTP_HEAD, x->config->proxy_ns);
		while (is_early(x, status));
		if (status < 0 || status >= 200)
			return status;
		if (status == 101)
			return -EBADMSG; /* nobody asked for that */
		if (status == 100 || x->c->head.minor == 0)
			continue;
		x->n = http_forward_response(x->c, x->client, false);
		if (!pass_text(x))
			return -EPIPE;
	}
	return -EBADMSG;
}

/* The client waits to be told that its body is wanted: that is for the server above to say. 0: the body goes out. */
static int await_continue(struct exchange *x)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	int status = http_client_head(x->client, x->c->head.method == HTTP_HEAD, continue_ns);
	if (status != 100 && status != -ETIMEDOUT)
		return status < 200 && status > 0 ? -EBADMSG : status;
	x->c->continue_due = false;
	return http_pass(x->c, go_on, sizeof(go_on) - 1) ? 0 : -EPIPE;
}

/* With the other coroutine at work. */
static int exchange_both_ways(struct exchange *x)
{
	struct weft_scope scope;
	x->body_begun = x->c->body != HTTP_BODY_NONE;
	x->sent = x->body_begun ? WEFT_NEVER : weft_now();
	int r = weft_scope_open(&scope, NULL);
	if (r < 0)
		return r;
	r = weft_scope_go(&scope, client_side, x);
	if (r == 0)
		r = await_response(x);
	if (r > 0)
		pass_response(x, true);
	weft_scope_cancel(&scope, -ECANCELED);
	int closed = weft_scope_close(&scope);
	return r < 0 ? r : closed;
}

/* 0, or -E before the response has begun. */
static int exchange(struct exchange *x)
{
	struct http_conn *c = x->c;
	c->continue_due = c->continue_due && c->body != HTTP_BODY_NONE;
	x->sent = WEFT_NOW;
	size_t n = http_forward_request(c, x->client, x->addr);
	int r = http_client_send(x->client, x->client->text, n, x->config->proxy_ns);
	if (r < 0)
		return r;
	if (c->continue_due) {
		r = await_continue(x);
		if (r > 0)
			pass_response(x, false);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	r = exchange_both_ways(x);
	if (c->body != HTTP_BODY_NONE) {
		c->keep = false;
		c->linger = true;
	}
	return r;
}

/* ---- from one server to the next ----------------------------------------------------------------------------------- */

static bool is_idempotent(const struct http_head *h)
{
	return h->method == HTTP_GET || h->method == HTTP_HEAD || h->method == HTTP_PUT || h->method == HTTP_DELETE ||
		h->method == HTTP_OPTIONS;
}

/* Whether the request may be sent once more: nothing of it is gone, and nobody minds if it was seen. */
static bool may_retry(const struct exchange *x, int r)
{
	bool lost = r == -ENODATA || r == -EPIPE || r == -ECONNRESET || r == -ENOTCONN;
	return lost && !x->gone && !x->answered && !x->body_begun && x->client->end == 0 && is_idempotent(&x->c->head);
}

/* What is no fault of the server above. */
static bool is_ours(int r)
{
	return r == -ECANCELED || r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM;
}

/* A connection to that server: one that waits, unless it must be new. */
static int connect_to(struct exchange *x, struct http_upstream *u, bool fresh)
{
	size_t room = (x->config->limits.head > CLIENT_HEAD ? x->config->limits.head : CLIENT_HEAD) + PROXY_ROOM;
	x->addr = u->addr;
	x->client = fresh ? NULL : http_pool_take(u);
	if (x->client != NULL)
		return 0;
	int r = http_client_dial(&x->client, u->addr, room, weft_after(x->config->proxy_connect_ns));
	if (r < 0 && !is_ours(r))
		http_pool_failed(u);
	return r;
}

static void part_from(struct exchange *x, struct http_upstream *u, int r)
{
	if (r == 0)
		http_pool_works(u);
	else if (r == -EBADMSG || (!is_ours(r) && r != -ETIMEDOUT && !x->client->used && !x->gone && !x->body_begun))
		http_pool_failed(u);
	if (r == 0 && x->sent != WEFT_NOW && !x->gone && http_client_is_reusable(x->client))
		http_pool_give(u, x->client, x->config->proxy_idle);
	else
		http_client_close(x->client);
}

/* 0, or -E before the response has begun. A server that can't be reached has not seen the request: the next one gets it. */
static int try_servers(struct exchange *x, struct http_upstreams *all)
{
	unsigned tried = 0;
	struct http_upstream *u = http_pool_choose(all, &tried);
	for (bool fresh = false;;) {
		int r = connect_to(x, u, fresh);
		bool again = r < 0 && !is_ours(r);
		if (r == 0) {
			bool was_used = x->client->used;
			r = exchange(x);
			again = r < 0 && may_retry(x, r);
			part_from(x, u, r);
			fresh = again && was_used;
		}
		if (!again)
			return r;
		struct http_upstream *next = fresh ? u : http_pool_choose(all, &tried);
		if (next == NULL)
			return r;
		u = next;
	}
}

static void answer(struct http_conn *c, struct proxy *p)
{
	struct exchange x = { .c = c, .config = c->server->config };
	if (!http_flush(c))
		return;
	int r = try_servers(&x, &p->upstreams);
	if (x.gone || r == -ECANCELED || c->broken) {
		c->broken |= x.refused >= 0;
		if (x.refused < 0 && !c->headed)
			http_fail(c, x.refused);
	} else if (r < 0) {
		int status = r == -ETIMEDOUT ? 504 : is_ours(r) ? 503 : 502;
		if (c->body == HTTP_BODY_NONE && !c->headed)
			http_error(c, status);
		else
			http_refuse(c, status);
	}
}

/* ---- which requests ------------------------------------------------------------------------------------------------ */

/* Whether a part of the path, which may be encoded, is "." or "..": a server above might go by it, past the prefix. */
static bool has_dots(const char *p, const char *end)
{
	unsigned dots = 0, others = 0;
	for (; p < end; p++) {
		bool encoded = *p == '%' && end - p >= 3;
		char byte = encoded ? (char)(http_hex(p[1]) << 4 | http_hex(p[2])) : *p;
		p += encoded ? 2 : 0;
		if (byte == '/' || byte == '\\') {
			if (others == 0 && (dots == 1 || dots == 2))
				return true;
			dots = others = 0;
		} else if (byte == '.') {
			dots++;
		} else {
			others++;
		}
	}
	return others == 0 && (dots == 1 || dots == 2);
}

static struct proxy *find(const char *path, size_t n)
{
	for (struct proxy *p = proxies; p < proxies + count; p++) {
		if (n < p->length || memcmp(path, p->prefix, p->length) != 0)
			continue;
		if (n == p->length || p->prefix[p->length - 1] == '/' || path[p->length] == '/')
			return p;
	}
	return NULL;
}

bool http_proxy(struct http_conn *c)
{
	const struct http_head *h = &c->head;
	if (count == 0 || h->form == HTTP_ASTERISK || h->form == HTTP_AUTHORITY)
		return false;
	const char *path = h->path.len > 0 ? c->buf + c->base + h->path.at : "/";
	size_t n = h->path.len > 0 ? h->path.len : 1;
	struct proxy *p = find(path, n);
	if (p == NULL)
		return false;
	if (h->method == HTTP_TRACE)
		http_error(c, 405);
	else if (has_dots(path, path + n))
		http_error(c, 400);
	else
		answer(c, p);
	return true;
}
