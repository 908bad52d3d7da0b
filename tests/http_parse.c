/* The parsers of examples/http: a table of what is taken and what is refused. Every vector is also cut at every byte, fed byte by
 * byte, and always placed so that the byte behind it can't be read. */
#include "../examples/http/parse.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"
#include "http_vectors.h"

/* ---- a buffer with a wall behind it -------------------------------------------------------------------------------- */

struct wall {
	char *base;
	size_t size;
};

static struct wall wall_new(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (HTTP_HEAD_MAX / page + 2) * page;
	char *base = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(base != MAP_FAILED);
	CHECK_EQ(mprotect(base + size, page, PROT_NONE), 0);
	return (struct wall){base, size};
}

/* A copy of the bytes that ends at the wall; what is before it is filled with what would do most harm. */
static const char *wall_put(const struct wall *w, const char *bytes, size_t n)
{
	char *at = w->base + w->size - n;
	memset(w->base, '\n', w->size - n);
	memcpy(at, bytes, n);
	return at;
}

/* ---- heads --------------------------------------------------------------------------------------------------------- */

static int parse_at_wall(struct http_head *h, const struct wall *w, const char *bytes, size_t n)
{
	return http_parse_head(h, wall_put(w, bytes, n), n, &vector_limits);
}

static void fail_vector(const char *how, const struct vector *v, size_t cut, int result)
{
	char text[1024];
	vector_show(text, v->bytes, v->len);
	test_fail(__FILE__, __LINE__, "%s (at %zu): %d, not %d (RFC %s): %s", how, cut, result, v->want, v->rfc, text);
}

TEST(head_in_one_piece)
{
	struct wall w = wall_new();
	CHECK_GE(vector_head_count, 150);
	for (const struct vector *v = vector_heads; v < vector_heads + vector_head_count; v++) {
		struct http_head h = {0};
		int r = parse_at_wall(&h, &w, v->bytes, v->len);
		if (r != v->want)
			fail_vector("in one piece", v, v->len, r);
	}
}

/* What was found must not depend on the cut either. */
TEST(head_cut_at_every_byte)
{
	struct wall w = wall_new();
	for (const struct vector *v = vector_heads; v < vector_heads + vector_head_count; v++) {
		struct http_head whole = {0};
		parse_at_wall(&whole, &w, v->bytes, v->len);
		for (size_t cut = 0; cut <= v->len; cut++) {
			struct http_head h = {0};
			int r = parse_at_wall(&h, &w, v->bytes, cut);
			if (r == 0)
				r = parse_at_wall(&h, &w, v->bytes, v->len);
			if (r != v->want)
				fail_vector("in two pieces", v, cut, r);
			if (v->want >= 0)
				CHECK_MEM(&h, &whole, sizeof(h));
		}
	}
}

TEST(head_byte_by_byte)
{
	struct wall w = wall_new();
	for (const struct vector *v = vector_heads; v < vector_heads + vector_head_count; v++) {
		struct http_head h = {0};
		int r = 0;
		size_t n = 0;
		while (r == 0 && n < v->len)
			r = parse_at_wall(&h, &w, v->bytes, ++n);
		if (r != v->want)
			fail_vector("byte by byte", v, n, r);
	}
}

/* ---- what is found in a head --------------------------------------------------------------------------------------- */

#define LINE(line) line "\r\nHost: a\r\n\r\n"
#define FIELDS(fields) "GET / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define POST(fields) "POST / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define OLD(fields) "POST / HTTP/1.0\r\n" fields "\r\n"

struct facts {
	const char *bytes;
	enum http_method method;
	enum http_form form;
	int minor;
	const char *path, *query, *authority;
	long long length; /* -1: none */
	bool chunked, keep_alive, expects_continue;
};

static const struct facts facts[] = {
	{LINE("GET / HTTP/1.1"), HTTP_GET, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, false},
	{LINE("HEAD /a/b?c HTTP/1.2"), HTTP_HEAD, HTTP_ORIGIN, 1, "/a/b", "c", "a", -1, false, true, false},
	{"GET /x? HTTP/1.0\r\n\r\n", HTTP_GET, HTTP_ORIGIN, 0, "/x", "", "", -1, false, false, false},
	{"\r\nGET /x HTTP/1.0\r\nHost: b\r\n\r\n", HTTP_GET, HTTP_ORIGIN, 0, "/x", "", "b", -1, false, false, false},
	{LINE("GET http://b:80 HTTP/1.1"), HTTP_GET, HTTP_ABSOLUTE, 1, "", "", "b:80", -1, false, true, false},
	{LINE("GET http://b?c? HTTP/1.1"), HTTP_GET, HTTP_ABSOLUTE, 1, "", "c?", "b", -1, false, true, false},
	{LINE("GET https://b/c?d HTTP/1.1"), HTTP_GET, HTTP_ABSOLUTE, 1, "/c", "d", "b", -1, false, true, false},
	{LINE("CONNECT b:1 HTTP/1.1"), HTTP_CONNECT, HTTP_AUTHORITY, 1, "", "", "b:1", -1, false, true, false},
	{LINE("OPTIONS * HTTP/1.1"), HTTP_OPTIONS, HTTP_ASTERISK, 1, "", "", "a", -1, false, true, false},
	{LINE("PUT / HTTP/1.1"), HTTP_PUT, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, false},
	{LINE("DELETE / HTTP/1.1"), HTTP_DELETE, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, false},
	{LINE("TRACE / HTTP/1.1"), HTTP_TRACE, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, false},
	{LINE("PATCH / HTTP/1.1"), HTTP_PATCH, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, false},
	{LINE("get / HTTP/1.1"), HTTP_OTHER, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, false},
	{LINE("GETX / HTTP/1.1"), HTTP_OTHER, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, false},
	{LINE("GE / HTTP/1.1"), HTTP_OTHER, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, false},
	{POST("Content-Length: 0\r\n"), HTTP_POST, HTTP_ORIGIN, 1, "/", "", "a", 0, false, true, false},
	{POST("Content-Length: 99999999999\r\n"), HTTP_POST, HTTP_ORIGIN, 1, "/", "", "a", 99999999999, false, true, false},
	{POST("Content-Length: 007\r\n"), HTTP_POST, HTTP_ORIGIN, 1, "/", "", "a", 7, false, true, false},
	{POST("Transfer-Encoding: Chunked\r\n"), HTTP_POST, HTTP_ORIGIN, 1, "/", "", "a", -1, true, true, false},
	{POST("Expect: 100-continue\r\n"), HTTP_POST, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, true},
	{OLD("Expect: 100-continue\r\n"), HTTP_POST, HTTP_ORIGIN, 0, "/", "", "", -1, false, false, false},
	{OLD("Connection: Keep-Alive\r\n"), HTTP_POST, HTTP_ORIGIN, 0, "/", "", "", -1, false, true, false},
	{OLD("Connection: keep-alive, close\r\n"), HTTP_POST, HTTP_ORIGIN, 0, "/", "", "", -1, false, false, false},
	{FIELDS("Connection: CLOSE\r\n"), HTTP_GET, HTTP_ORIGIN, 1, "/", "", "a", -1, false, false, false},
	{FIELDS("Connection: a,close\t,b\r\n"), HTTP_GET, HTTP_ORIGIN, 1, "/", "", "a", -1, false, false, false},
	{FIELDS("Connection: a\r\nConnection: close\r\n"), HTTP_GET, HTTP_ORIGIN, 1, "/", "", "a", -1, false, false, false},
	{FIELDS("Connection: keep-alive, closed\r\n"), HTTP_GET, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, false},
};

static void check_span(const char *base, struct http_span s, const char *want)
{
	CHECK_EQ(s.len, strlen(want));
	CHECK_MEM(base + s.at, want, s.len);
}

TEST(head_facts)
{
	for (const struct facts *f = facts; f < facts + sizeof(facts) / sizeof(facts[0]); f++) {
		struct http_head h = {0};
		CHECK_EQ(http_parse_head(&h, f->bytes, strlen(f->bytes), &vector_limits), strlen(f->bytes));
		CHECK_EQ(h.method, f->method);
		CHECK_EQ(h.form, f->form);
		CHECK_EQ(h.minor, f->minor);
		check_span(f->bytes, h.path, f->path);
		check_span(f->bytes, h.query, f->query);
		check_span(f->bytes, h.authority, f->authority);
		CHECK_EQ(h.has_length, f->length >= 0);
		CHECK_EQ(h.length, f->length >= 0 ? f->length : 0);
		CHECK_EQ(h.chunked, f->chunked);
		CHECK_EQ(h.keep_alive, f->keep_alive);
		CHECK_EQ(h.expects_continue, f->expects_continue);
	}
}

TEST(head_spans)
{
	static const char bytes[] = "FROB /a?b HTTP/1.1\r\nHost: h\r\nEmpty:\r\nTwo: x  y\t\r\ntwo: z\r\n\r\n";
	struct http_head h = {0};
	CHECK_EQ(http_parse_head(&h, bytes, sizeof(bytes) - 1, &vector_limits), sizeof(bytes) - 1);
	check_span(bytes, h.name, "FROB");
	check_span(bytes, h.target, "/a?b");
	CHECK_EQ(h.count, 4);
	check_span(bytes, h.fields[1].name, "Empty");
	check_span(bytes, h.fields[1].value, "");
	check_span(bytes, h.fields[2].value, "x  y");
	CHECK_PTR(http_find(&h, bytes, "two"), &h.fields[2]);
	CHECK_PTR(http_find(&h, bytes, "tw"), NULL);
	CHECK(http_span_is(bytes, h.name, "frob"));
	CHECK(!http_span_is(bytes, h.name, "frobn"));
}

/* Every byte in every kind of place, against the grammars written out once more. */
struct place {
	const char *before, *behind;
	const char *also; /* taken besides letters and digits */
	bool controls;    /* whether it is a value: blank, tab and bytes above 127 too */
};

static const struct place places[] = {
	{"M", "E / HTTP/1.1\r\nHost: a\r\n\r\n", "!#$%&'*+-.^_`|~", false},
	{"GET /a", "b HTTP/1.1\r\nHost: a\r\n\r\n", "-._~!$&'()*+,;=:@/?", false},
	{"GET /?a", "b HTTP/1.1\r\nHost: a\r\n\r\n", "-._~!$&'()*+,;=:@/?", false},
	{"GET http://a", "b HTTP/1.1\r\nHost: a\r\n\r\n", "-._~!$&'()*+,;=/?", false},
	{"GET / HTTP/1.1\r\nHost: a", "a\r\n\r\n", "-._~!$&'()*+,;=", false},
	{"GET / HTTP/1.1\r\nHost: a\r\nA", "b: c\r\n\r\n", "!#$%&'*+-.^_`|~:", false},
	{"GET / HTTP/1.1\r\nHost: a\r\nA: b", "c\r\n\r\n", " \t!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", true},
	{"GET / HTTP/1.1\r\nHost: a\r\nA: bbbbbbbbb", "cccccccc\r\n\r\n", " \t!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", true},
};

static bool belongs(const struct place *p, int c)
{
	bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
	return alnum || (c > 0 && c < 128 && strchr(p->also, c) != NULL) || (p->controls && c >= 128);
}

TEST(every_byte_everywhere)
{
	struct wall w = wall_new();
	for (const struct place *p = places; p < places + sizeof(places) / sizeof(places[0]); p++)
		for (int c = 0; c < 256; c++) {
			char bytes[256];
			int n = snprintf(bytes, sizeof(bytes), "%s?%s", p->before, p->behind);
			bytes[strlen(p->before)] = (char)c;
			struct http_head h = {0};
			int r = parse_at_wall(&h, &w, bytes, (size_t)n), want = belongs(p, c) ? n : -400;
			if (r != want)
				test_fail(__FILE__, __LINE__, "byte %d behind \"%s\": %d, not %d", c, p->before, r, want);
		}
}

TEST(largest_head)
{
	static const struct http_limits wide = {HTTP_HEAD_MAX, HTTP_HEAD_MAX, HTTP_FIELDS_MAX};
	struct wall w = wall_new();
	static char bytes[HTTP_HEAD_MAX + 1];
	static const char line[] = "GET / HTTP/1.0\r\nA:", end[] = "\r\n\r\n";
	memset(bytes, 'x', sizeof(bytes));
	memcpy(bytes, line, sizeof(line) - 1);
	memcpy(bytes + HTTP_HEAD_MAX - (sizeof(end) - 1), end, sizeof(end) - 1);
	struct http_head h = {0};
	CHECK_EQ(http_parse_head(&h, wall_put(&w, bytes, HTTP_HEAD_MAX), HTTP_HEAD_MAX, &wide), HTTP_HEAD_MAX);
	memset(bytes + sizeof(line) - 1, 'x', sizeof(bytes) - sizeof(line));
	memset(&h, 0, sizeof(h));
	CHECK_EQ(http_parse_head(&h, bytes, sizeof(bytes), &wide), -431);
	memset(bytes, 'x', sizeof(bytes));
	memset(&h, 0, sizeof(h));
	CHECK_EQ(http_parse_head(&h, bytes, sizeof(bytes), &wide), -414);
}

/* ---- chunked bodies ------------------------------------------------------------------------------------------------ */

struct decoder {
	struct http_chunks chunks;
	char out[128];
	size_t n;
	int taken; /* in all, or refused */
};

/* Passes n bytes on; false once the end was reached or something was refused. */
static bool decode(struct decoder *d, const struct wall *w, const char *bytes, size_t n)
{
	const char *p = wall_put(w, bytes, n), *end = p + n;
	while (p < end && !d->chunks.done) {
		const char *data;
		size_t count;
		int r = http_parse_chunks(&d->chunks, p, (size_t)(end - p), &data, &count);
		if (r < 0) {
			d->taken = r;
			return false;
		}
		CHECK(r > 0);
		CHECK(count == 0 || (data >= p && data + count <= end));
		CHECK_LE(d->n + count, sizeof(d->out));
		memcpy(d->out + d->n, data, count);
		d->n += count;
		d->taken += r;
		p += r;
	}
	return !d->chunks.done;
}

static void check_body(const struct decoder *d, const struct body_vector *b, size_t cut)
{
	int r = d->taken < 0 || d->chunks.done ? d->taken : 0;
	if (r != b->want)
		test_fail(__FILE__, __LINE__, "cut at %zu: %d, not %d: %s", cut, r, b->want, b->bytes);
	CHECK_EQ(d->n, strlen(b->decoded));
	CHECK_MEM(d->out, b->decoded, d->n);
}

TEST(chunks_cut_at_every_byte)
{
	struct wall w = wall_new();
	for (const struct body_vector *b = vector_bodies; b < vector_bodies + vector_body_count; b++)
		for (size_t cut = 0; cut <= b->len; cut++) {
			struct decoder d = {.chunks.limit = VECTOR_EXTRA_LIMIT};
			if (decode(&d, &w, b->bytes, cut))
				decode(&d, &w, b->bytes + cut, b->len - cut);
			check_body(&d, b, cut);
		}
}

TEST(chunks_byte_by_byte)
{
	struct wall w = wall_new();
	for (const struct body_vector *b = vector_bodies; b < vector_bodies + vector_body_count; b++) {
		struct decoder d = {.chunks.limit = VECTOR_EXTRA_LIMIT};
		for (size_t i = 0; i < b->len && decode(&d, &w, b->bytes + i, 1); i++)
			;
		check_body(&d, b, 1);
	}
}

TEST(chunks_take_nothing_behind_the_end)
{
	struct http_chunks c = {.limit = VECTOR_EXTRA_LIMIT};
	const char *data;
	size_t n;
	CHECK_EQ(http_parse_chunks(&c, "0\r\n\r\nX", 6, &data, &n), 5);
	CHECK(c.done);
	CHECK_EQ(http_parse_chunks(&c, "X", 1, &data, &n), 0);
	CHECK_EQ(n, 0);
	struct http_chunks empty = {.limit = VECTOR_EXTRA_LIMIT};
	CHECK_EQ(http_parse_chunks(&empty, "", 0, &data, &n), 0);
	CHECK(!empty.done);
}
