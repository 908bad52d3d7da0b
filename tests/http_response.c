/* The parser of examples/http on response heads: what is taken, and what is refused, however the bytes are cut. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../examples/http/parse.h"
#include "harness.h"

static const struct http_limits limits = {48, 256, 8};

struct vector {
	const char *bytes;
	int status; /* -1: refused; 0: not complete */
	int minor;
	bool keep_alive, chunked, has_length;
	uint64_t length;
	const char *reason;
};

#define REFUSED(bytes) {bytes, -1, 0, false, false, false, 0, NULL}
#define CUT_OFF(bytes) {bytes, 0, 0, false, false, false, 0, NULL}
#define HEAD "HTTP/1.1 200 OK\r\n"

static const struct vector vectors[] = {
	{HEAD "\r\n", 200, 1, true, false, false, 0, "OK"},
	{HEAD "Content-Length: 12\r\n\r\n", 200, 1, true, false, true, 12, "OK"},
	{HEAD "Transfer-Encoding: chunked\r\n\r\n", 200, 1, true, true, false, 0, "OK"},
	{HEAD "Connection: Close\r\n\r\n", 200, 1, false, false, false, 0, "OK"},
	{HEAD "Connection: x, close ,y\r\n\r\n", 200, 1, false, false, false, 0, "OK"},
	{HEAD "Host: a b\r\nHost: \r\nExpect: x\r\n\r\n", 200, 1, true, false, false, 0, "OK"},
	{"HTTP/1.0 404 Not here\r\n\r\n", 404, 0, false, false, false, 0, "Not here"},
	{"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", 200, 0, true, false, false, 0, "OK"},
	{"HTTP/1.1 100 \r\n\r\n", 100, 1, true, false, false, 0, ""},
	{"HTTP/1.1 204\r\n\r\n", 204, 1, true, false, false, 0, ""},
	{"HTTP/1.7 599 \xc3\xa4\t!\r\n\r\n", 599, 1, true, false, false, 0, "\xc3\xa4\t!"},
	CUT_OFF(""),
	CUT_OFF("HTTP/1.1 200 OK\r\n"),
	CUT_OFF("HTTP/1.1 200 OK\r\nA: b\r\n\r"),
	REFUSED("\r\nHTTP/1.1 200 OK\r\n\r\n"),
	REFUSED("HTTP/1.1\r\n\r\n"),
	REFUSED("HTTP/1.1  200 OK\r\n\r\n"),
	REFUSED("HTTP/2.0 200 OK\r\n\r\n"),
	REFUSED("HTTP/0.9 200 OK\r\n\r\n"),
	REFUSED("http/1.1 200 OK\r\n\r\n"),
	REFUSED("HTTP/1.10 200 OK\r\n\r\n"),
	REFUSED("HTTP/1.1 20 OK\r\n\r\n"),
	REFUSED("HTTP/1.1 2000 OK\r\n\r\n"),
	REFUSED("HTTP/1.1 000 OK\r\n\r\n"),
	REFUSED("HTTP/1.1 600 OK\r\n\r\n"),
	REFUSED("HTTP/1.1 2x0 OK\r\n\r\n"),
	REFUSED("HTTP/1.1 200\tOK\r\n\r\n"),
	REFUSED("HTTP/1.1 200 O\rK\r\n\r\n"),
	REFUSED("HTTP/1.1 200 O\x01K\r\n\r\n"),
	REFUSED("HTTP/1.1 200 OK\n\n"),
	REFUSED(HEAD "A: b\n\r\n"),
	REFUSED(HEAD "A : b\r\n\r\n"),
	REFUSED(HEAD "A: b\r\n c\r\n\r\n"),
	REFUSED(HEAD ": b\r\n\r\n"),
	REFUSED(HEAD "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
	REFUSED(HEAD "Content-Length: 1, 1\r\n\r\n"),
	REFUSED(HEAD "Content-Length: -1\r\n\r\n"),
	REFUSED(HEAD "Content-Length:\r\n\r\n"),
	REFUSED(HEAD "Content-Length: 99999999999999999999\r\n\r\n"),
	REFUSED(HEAD "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
	REFUSED(HEAD "Transfer-Encoding: gzip\r\n\r\n"),
	REFUSED(HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n"),
	REFUSED(HEAD "Transfer-Encoding: chunked, chunked\r\n\r\n"),
	REFUSED("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
	REFUSED("HTTP/1.1 200 ................................................\r\n\r\n"),
	REFUSED(HEAD "A:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n\r\n"),
};

/* The result is complete: it is what it should be, whatever came before. */
static void check(const struct vector *v, const struct http_head *h, const char *base, int result, const char *how)
{
	int wanted = v->status > 0 ? (int)strlen(v->bytes) : v->status;
	if ((result < 0 ? -1 : result) != wanted)
		test_fail(__FILE__, __LINE__, "%s: %d, not %d: %s", how, result, wanted, v->bytes);
	if (v->status <= 0)
		return;
	CHECK_EQ(h->status, v->status);
	CHECK_EQ(h->minor, v->minor);
	CHECK_EQ(h->keep_alive, v->keep_alive);
	CHECK_EQ(h->chunked, v->chunked);
	CHECK_EQ(h->has_length, v->has_length);
	CHECK_EQ(h->length, v->length);
	CHECK_EQ(h->reason.len, strlen(v->reason));
	CHECK_MEM(base + h->reason.at, v->reason, h->reason.len);
}

/* In memory that ends where the bytes do, so that tools see who reads beyond. */
static int parse(struct http_head *h, const struct vector *v, size_t n, char **copy)
{
	free(*copy);
	*copy = malloc(n > 0 ? n : 1);
	CHECK(*copy != NULL);
	memcpy(*copy, v->bytes, n);
	return http_parse_response(h, *copy, n, &limits);
}

TEST(cut_at_every_byte)
{
	for (const struct vector *v = vectors; v < vectors + sizeof(vectors) / sizeof(vectors[0]); v++) {
		size_t length = strlen(v->bytes);
		for (size_t cut = 0; cut <= length; cut++) {
			struct http_head h = {0};
			char *copy = NULL;
			int r = parse(&h, v, cut, &copy);
			if (r == 0)
				r = parse(&h, v, length, &copy);
			check(v, &h, copy, r, "in two pieces");
			free(copy);
		}
	}
}

TEST(byte_by_byte)
{
	for (const struct vector *v = vectors; v < vectors + sizeof(vectors) / sizeof(vectors[0]); v++) {
		struct http_head h = {0};
		char *copy = NULL;
		int r = 0;
		for (size_t n = 0; n <= strlen(v->bytes) && r == 0; n++)
			r = parse(&h, v, n, &copy);
		check(v, &h, copy, r, "byte by byte");
		free(copy);
	}
}
