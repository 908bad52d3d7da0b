#include <stdio.h>
#include <string.h>

#include "proxy.h"

static const char via[] = "weft";

/* ---- text ---------------------------------------------------------------------------------------------------------- */

/* Where a head grows. It has room for the largest one and for what is added. */
struct text {
	char *at;
	size_t n, room;
};

static void put(struct text *t, const char *p, size_t n)
{
	if (n > t->room - t->n)
		n = t->room - t->n;
	memcpy(t->at + t->n, p, n);
	t->n += n;
}

#define PUT(t, literal) put(t, "" literal, sizeof(literal) - 1)

static void put_span(struct text *t, const char *base, struct http_span s)
{
	put(t, base + s.at, s.len);
}

static void put_number(struct text *t, uint64_t number)
{
	char digits[24];
	put(t, digits, (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number));
}

/* ---- fields -------------------------------------------------------------------------------------------------------- */

/* Between two ends of one connection alone (RFC 9110, 7.6.1), or put together anew for the next one. */
static bool is_own(const char *base, struct http_span name)
{
	static const char *const names[] = {
		"connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization", "proxy-connection", "te",
		"trailer", "transfer-encoding", "upgrade", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (http_span_is(base, name, names[i]))
			return true;
	return false;
}

static bool same_name(const char *base, struct http_span name, const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (p < end && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return end - p == (ptrdiff_t)name.len && strncasecmp(p, base + name.at, name.len) == 0;
}

/* Whether a Connection field names it. */
static bool is_named(const struct http_head *h, const char *base, struct http_span name)
{
	for (unsigned i = 0; i < h->count; i++) {
		if (!http_span_is(base, h->fields[i].name, "connection"))
			continue;
		const char *p = base + h->fields[i].value.at, *last = p + h->fields[i].value.len;
		for (const char *comma; p != NULL; p = comma != NULL ? comma + 1 : NULL) {
			comma = memchr(p, ',', (size_t)(last - p));
			if (same_name(base, name, p, comma != NULL ? comma : last))
				return true;
		}
	}
	return false;
}

static void put_field(struct text *t, const char *base, const struct http_field *f)
{
	put_span(t, base, f->name);
	PUT(t, ": ");
	put_span(t, base, f->value);
	PUT(t, "\r\n");
}

static void put_fields(struct text *t, const struct http_head *h, const char *base)
{
	bool has_names = http_find(h, base, "connection") != NULL;
	for (unsigned i = 0; i < h->count; i++)
		if (!is_own(base, h->fields[i].name) && !(has_names && is_named(h, base, h->fields[i].name)))
			put_field(t, base, &h->fields[i]);
}

/* The values of all fields of that name, and one more behind them. */
static void put_list(struct text *t, const struct http_head *h, const char *base, const char *name, const char *title,
	const char *more)
{
	put(t, title, strlen(title));
	PUT(t, ": ");
	for (unsigned i = 0; i < h->count; i++)
		if (http_span_is(base, h->fields[i].name, name) && h->fields[i].value.len > 0) {
			put_span(t, base, h->fields[i].value);
			PUT(t, ", ");
		}
	put(t, more, strlen(more));
	PUT(t, "\r\n");
}

static void put_via(struct text *t, const struct http_head *h, const char *base)
{
	char more[32];
	snprintf(more, sizeof(more), "1.%d %s", h->minor, via);
	put_list(t, h, base, "via", "Via", more);
}

/* ---- requests ------------------------------------------------------------------------------------------------------ */

static void put_target(struct text *t, const struct http_head *h, const char *base)
{
	if (h->path.len == 0)
		PUT(t, "/");
	put_span(t, base, h->path);
	if (h->query.at == 0)
		return;
	PUT(t, "?");
	put_span(t, base, h->query);
}

static void put_framing(struct text *t, const struct http_conn *c)
{
	const struct http_head *h = &c->head;
	if (h->chunked) {
		PUT(t, "Transfer-Encoding: chunked\r\n");
	} else if (h->has_length) {
		PUT(t, "Content-Length: ");
		put_number(t, h->length);
		PUT(t, "\r\n");
	}
	if (c->continue_due)
		PUT(t, "Expect: 100-continue\r\n");
}

/* The server above sees the host that the client asked for, as it would without us; a client of HTTP/1.0 may have said none. */
size_t http_forward_request(struct http_conn *c, struct http_client *client, const char *addr)
{
	struct text t = { client->text, 0, client->room };
	const struct http_head *h = &c->head;
	const char *base = c->buf + c->base;
	const char *peer = http_peer(c);
	put_span(&t, base, h->name);
	PUT(&t, " ");
	put_target(&t, h, base);
	PUT(&t, " HTTP/1.1\r\nHost: ");
	if (h->authority.len > 0)
		put_span(&t, base, h->authority);
	else
		put(&t, addr, strlen(addr));
	PUT(&t, "\r\n");
	put_fields(&t, h, base);
	put_list(&t, h, base, "x-forwarded-for", "X-Forwarded-For", *peer != '-' ? peer : "unknown");
	if (c->secure)
		PUT(&t, "X-Forwarded-Proto: https\r\n");
	else
		PUT(&t, "X-Forwarded-Proto: http\r\n");
	put_via(&t, h, base);
	put_framing(&t, c);
	PUT(&t, "\r\n");
	return t.n;
}

/* ---- responses ----------------------------------------------------------------------------------------------------- */

/* What ends the body. That of a response to HEAD, or of a 304, is the one that there would be. */
static void put_end(struct text *t, const struct http_conn *c, const struct http_head *h, bool chunked)
{
	if (h->status < 200)
		return;
	if (chunked) {
		PUT(t, "Transfer-Encoding: chunked\r\n");
	} else if (h->has_length && h->status != 204) {
		PUT(t, "Content-Length: ");
		put_number(t, h->length);
		PUT(t, "\r\n");
	}
	if (!c->keep)
		PUT(t, "Connection: close\r\n");
	else if (c->head.minor == 0)
		PUT(t, "Connection: keep-alive\r\n");
}

size_t http_forward_response(struct http_conn *c, struct http_client *client, bool chunked)
{
	struct text t = { client->text, 0, client->room };
	const struct http_head *h = &client->head;
	PUT(&t, "HTTP/1.1 ");
	put_number(&t, (uint64_t)h->status);
	PUT(&t, " ");
	put_span(&t, client->buf, h->reason);
	PUT(&t, "\r\n");
	put_fields(&t, h, client->buf);
	if (h->status >= 200 && http_find(h, client->buf, "date") == NULL)
		put(&t, http_date_line(), HTTP_DATE_LINE);
	put_via(&t, h, client->buf);
	put_end(&t, c, h, chunked);
	PUT(&t, "\r\n");
	return t.n;
}
