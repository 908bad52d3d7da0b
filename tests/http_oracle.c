/* The vectors of examples/http before llhttp, the parser of Node: where the two differ, a row of a table says why. We may be the
 * stricter one; what we take, llhttp takes with the same end, length and framing, but for the rows of the second table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "http_llhttp.h"
#include "http_vectors.h"

struct difference {
	const char *rfc;   /* of the vectors */
	int status;        /* ours; 0: taken */
	const char *holds; /* of those that hold this; "": of all */
	const char *why;
};

/* Refused here, taken by llhttp, which leaves to its user what is not framing, and mends some of what is. */
static const struct difference stricter[] = {
	{"9110 5.1", 400, "", "an empty name of a field, or one with a blank in it"},
	{"9110 5.5", 400, "\r\n: c", "the same behind another field"},
	{"9110 5.4", 431, "", "llhttp has no limits"},
	{"9110 10.1.1", 417, "", "llhttp does not look at Expect"},
	{"9112 2.2", 400, "", "a bare CR or LF for the end of a line, more than one empty line before a request"},
	{"9112 2.3", 505, "HTTP/0.9", "a version that was never sent like this"},
	{"9112 2.3", 505, "HTTP/2.0", "the preface of another protocol"},
	{"9112 3", 400, "GET  /", "more than one blank between the parts of a line"},
	{"9112 3", 400, "/  HTTP", "the same"},
	{"9112 3", 400, "/\tHTTP", "a tab in place of a blank"},
	{"9112 3", 400, "GET /\r\n", "HTTP/0.9"},
	{"9112 3", 414, "", "llhttp has no limits"},
	{"9112 3.2", 400, "", "llhttp does not look at Host"},
	{"9112 3.2.1", 400, "", "characters that no target has: llhttp takes what follows a slash nearly as it comes"},
	{"9112 3.2.2", 400, "", "who is asked has to be well formed, and of a scheme that we speak"},
	{"9112 3.2.3", 400, "", "CONNECT is for a host and a port"},
	{"9112 3.2.4", 400, "", "the asterisk is for OPTIONS, and stands alone"},
	{"9112 5.1", 400, " : b", "a blank before the colon"},
	{"9112 5.2", 400, "", "folded lines"},
	{"9112 6.1", 501, "", "encodings that nobody here can undo"},
	{"9112 6.1", 400, "Transfer-Encoding:\r\n", "an empty list of encodings"},
	{"9112 6.1", 400, ": , chunked", "an empty element in it"},
	{"9112 6.1", 400, "HTTP/1.0", "an encoding in a version that has none"},
	{"9112 6.3", 413, "9223372036854775808", "lengths are signed here"},
	{"9112 7.1", 400, "00000000000000005", "a size of more than 16 digits"},
	{"9112 7.1", 400, "0\r\n", "anything but CR LF behind the last chunk"},
	{"9112 7.1.1", 400, ";", "empty extensions, names and values; and their limit"},
	{"9112 7.1.2", 400, "", "trailers are held to what fields are"},
	{"9112 7.1.2", 431, "", "llhttp has no limits"},
};

/* Taken here, refused by llhttp. All of it is in the grammar, and what llhttp takes otherwise it takes with the same framing. */
static const struct difference laxer[] = {
	{"9110 9.1", 0, "", "methods that it does not know: 501 from us, and the connection goes on"},
	{"9112 2.3", 0, "HTTP/1.2", "a minor version above ours is answered with ours"},
	{"9112 2.3", 0, "HTTP/1.9", "the same"},
	{"9112 6.1", 0, "CHUNKED\t", "a tab behind a value"},
	{"9112 7.1.1", 0, "\"", "a quoted value, when another extension follows, and some characters in it"},
	{"9112 7.1.1", 0, "5\t;\ta", "blanks around the semicolon"},
};

enum { STRICTER = sizeof(stricter) / sizeof(stricter[0]), LAXER = sizeof(laxer) / sizeof(laxer[0]) };

static bool used[2][64];

static bool holds(const char *bytes, size_t len, const char *what)
{
	size_t n = strlen(what);
	for (size_t i = 0; i + n <= len; i++)
		if (memcmp(bytes + i, what, n) == 0)
			return true;
	return false;
}

/* There must be a row for it. */
static void explain(bool is_stricter, const char *rfc, int status, const char *bytes, size_t len, const char *reason)
{
	const struct difference *table = is_stricter ? stricter : laxer;
	size_t rows = is_stricter ? STRICTER : LAXER;
	bool found = false;
	for (size_t i = 0; i < rows; i++)
		if (strcmp(table[i].rfc, rfc) == 0 && table[i].status == status && holds(bytes, len, table[i].holds))
			used[is_stricter][i] = found = true;
	char text[1024];
	vector_show(text, bytes, len);
	if (!found)
		test_fail(__FILE__, __LINE__, "%s, and no row says why: RFC %s, %d here; llhttp: %s; %s",
			is_stricter ? "stricter" : "laxer", rfc, status, reason, text);
}

static bool is_head_taken(const struct verdict *v)
{
	return v->head && (strcmp(v->reason, "more") == 0 || strcmp(v->reason, "end") == 0);
}

static void judge_head(const struct vector *v)
{
	struct http_head h = {0};
	struct verdict theirs = llhttp_judge(v->bytes, v->len);
	int ours = http_parse_head(&h, v->bytes, v->len, &vector_limits);
	CHECK_EQ(ours, v->want);
	if (ours < 0 && is_head_taken(&theirs))
		explain(true, v->rfc, -ours, v->bytes, v->len, theirs.reason);
	if (ours >= 0 && theirs.head != (ours > 0))
		explain(false, v->rfc, 0, v->bytes, v->len, theirs.reason);
	if (ours <= 0 || !theirs.head)
		return;
	if (theirs.chunked != h.chunked || theirs.has_length != h.has_length || theirs.length != h.length) {
		CHECK(!theirs.message); /* it may refuse the framing, but never see another one */
		explain(false, v->rfc, 0, v->bytes, v->len, theirs.reason);
		return;
	}
	if (!h.chunked && h.length == 0 && h.method != HTTP_CONNECT) {
		CHECK(theirs.message);
		CHECK_EQ(theirs.taken, ours);
	}
}

static void judge_body(const struct body_vector *v)
{
	static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
	char bytes[sizeof(head) + 512];
	size_t n = sizeof(head) - 1 + v->len;
	CHECK_LE(n, sizeof(bytes));
	memcpy(bytes, head, sizeof(head) - 1);
	memcpy(bytes + sizeof(head) - 1, v->bytes, v->len);
	struct verdict theirs = llhttp_judge(bytes, n);
	CHECK(theirs.head);
	if (v->want < 0 && theirs.message)
		explain(true, v->rfc, -v->want, v->bytes, v->len, theirs.reason);
	if (v->want >= 0 && theirs.message != (v->want > 0))
		explain(false, v->rfc, 0, v->bytes, v->len, theirs.reason);
	if (v->want > 0 && theirs.message) {
		CHECK_EQ(theirs.taken, sizeof(head) - 1 + (size_t)v->want);
		CHECK_EQ(theirs.body, strlen(v->decoded));
	}
}

TEST(differences)
{
	for (size_t i = 0; i < vector_head_count; i++)
		judge_head(&vector_heads[i]);
	for (size_t i = 0; i < vector_body_count; i++)
		judge_body(&vector_bodies[i]);
	for (int i = 0; i < STRICTER; i++)
		if (!used[1][i])
			test_fail(__FILE__, __LINE__, "no difference any more: RFC %s, %s", stricter[i].rfc, stricter[i].why);
	for (int i = 0; i < LAXER; i++)
		if (!used[0][i])
			test_fail(__FILE__, __LINE__, "no difference any more: RFC %s, %s", laxer[i].rfc, laxer[i].why);
}
