#include <string.h>

#include "conn.h"

/* ---- pieces -------------------------------------------------------------------------------------------------------- */

static void put(struct http_conn *c, const char *p, size_t n)
{
	if (c->size - c->out < n) {
		if (n > OUT_LEAST) {
			http_send(c, p, n);
			return;
		}
		http_flush(c);
	}
	memcpy(c->buf + c->out, p, n);
	c->out += (uint32_t)n;
}

#define PUT(c, literal) put(c, "" literal, sizeof(literal) - 1)

static void put_text(struct http_conn *c, const char *text)
{
	put(c, text, strlen(text));
}

static void put_number(struct http_conn *c, uint64_t value, unsigned base)
{
	char digits[20], *end = digits + sizeof(digits), *p = end;
	do
		*--p = "0123456789abcdef"[value % base];
	while ((value /= base) != 0);
	put(c, p, (size_t)(end - p));
}

static const char *reason_of(int status)
{
	switch (status) {
	case 200: return "200 OK";
	case 204: return "204 No Content";
	case 206: return "206 Partial Content";
	case 301: return "301 Moved Permanently";
	case 304: return "304 Not Modified";
	case 400: return "400 Bad Request";
	case 404: return "404 Not Found";
	case 405: return "405 Method Not Allowed";
	case 408: return "408 Request Timeout";
	case 411: return "411 Length Required";
	case 412: return "412 Precondition Failed";
	case 413: return "413 Content Too Large";
	case 414: return "414 URI Too Long";
	case 416: return "416 Range Not Satisfiable";
	case 417: return "417 Expectation Failed";
	case 431: return "431 Request Header Fields Too Large";
	case 501: return "501 Not Implemented";
	case 502: return "502 Bad Gateway";
	case 503: return "503 Service Unavailable";
	case 504: return "504 Gateway Timeout";
	case 505: return "505 HTTP Version Not Supported";
	default: return "500 Internal Server Error";
	}
}

/* ---- a head -------------------------------------------------------------------------------------------------------- */

/* Whether the connection goes on has to be said here, so it is decided here. */
static void decide_to_keep(struct http_conn *c)
{
	bool is_short = http_body_is_short(c);
	c->keep = c->keep && is_short && !c->server->draining;
	if (!c->keep) /* unless the client is done and has said so, it may be sending */
		c->linger |= c->head.keep_alive || !is_short || c->in < c->end;
}

void http_begin(struct http_conn *c, int status)
{
	c->headed = true;
	c->status = status;
	decide_to_keep(c);
	if (status == 200) {
		PUT(c, "HTTP/1.1 200 OK\r\n");
	} else {
		PUT(c, "HTTP/1.1 ");
		put_text(c, reason_of(status));
		PUT(c, "\r\n");
	}
	put(c, http_date_line(), HTTP_DATE_LINE);
	if (!c->keep)
		PUT(c, "Connection: close\r\n");
	else if (c->head.minor == 0)
		PUT(c, "Connection: keep-alive\r\n");
}

void http_field(struct http_conn *c, const char *name, const char *value)
{
	put_text(c, name);
	PUT(c, ": ");
	put_text(c, value);
	PUT(c, "\r\n");
}

void http_length(struct http_conn *c, const char *type, int64_t length)
{
	PUT(c, "Content-Type: ");
	put_text(c, type);
	PUT(c, "\r\nContent-Length: ");
	put_number(c, (uint64_t)length, 10);
	PUT(c, "\r\n\r\n");
}

void http_chunked(struct http_conn *c, const char *type)
{
	PUT(c, "Content-Type: ");
	put_text(c, type);
	PUT(c, "\r\nTransfer-Encoding: chunked\r\n\r\n");
}

void http_empty(struct http_conn *c)
{
	PUT(c, "\r\n");
}

/* ---- a body -------------------------------------------------------------------------------------------------------- */

bool http_wants_body(const struct http_conn *c)
{
	return c->head.method != HTTP_HEAD && !c->broken;
}

void http_write(struct http_conn *c, const char *data, size_t n)
{
	if (!http_wants_body(c))
		return;
	c->body_sent += n;
	if (n <= c->size - c->out)
		put(c, data, n);
	else
		http_send(c, data, n);
}

void http_write_chunk(struct http_conn *c, const char *data, size_t n)
{
	put_number(c, n, 16);
	PUT(c, "\r\n");
	http_write(c, data, n);
	PUT(c, "\r\n");
}

void http_end_chunks(struct http_conn *c)
{
	PUT(c, "0\r\n\r\n");
}

/* ---- whole responses ----------------------------------------------------------------------------------------------- */

void http_reply(struct http_conn *c, int status, const char *type, const char *body, size_t n)
{
	http_begin(c, status);
	http_length(c, type, (int64_t)n);
	http_write(c, body, n);
}

static void reply_reason(struct http_conn *c, int status, const char *allow)
{
	const char *reason = reason_of(status);
	size_t n = strlen(reason);
	http_begin(c, status);
	if (allow != NULL)
		http_field(c, "Allow", allow);
	http_length(c, "text/plain", (int64_t)n + 1);
	http_write(c, reason, n);
	http_write(c, "\n", 1);
}

void http_error(struct http_conn *c, int status)
{
	reply_reason(c, status, NULL);
}

void http_error_allow(struct http_conn *c, const char *allow)
{
	reply_reason(c, 405, allow);
}

void http_refuse(struct http_conn *c, int status)
{
	c->keep = false;
	if (c->headed)
		return; /* half a response can't be taken back: it ends here, too short to be taken for whole */
	c->linger = true;
	http_error(c, status);
}

void http_fail(struct http_conn *c, ssize_t result)
{
	if (result <= -400)
		http_refuse(c, (int)-result);
	else
		c->broken = true;
}
