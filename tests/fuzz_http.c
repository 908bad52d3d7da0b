/* Fuzz target for the parsers of examples/http, to be built with clang -fsanitize=fuzzer,address (WEFT_FUZZ in CMake).
 *
 * The first byte of the input chooses the parser, the second the seed of the cuts. Held against:
 *   - reads past the end (the input is a heap block of its exact size)
 *   - the result and what was found do not depend on how the bytes were cut into calls
 *   - whatever a head's parser takes has spans inside of the head, and framing that is of one mind
 *   - what conditions and ranges ask for is there
 *   - with llhttp (WEFT_HAVE_LLHTTP): a head that is taken here llhttp takes too, with the same end, length and kind of body
 * WEFT_HAVE_LLHTTP needs http_llhttp.c and the sources of llhttp (Debian: node-llhttp). */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../examples/http/conn.h"
#include "http_llhttp.h"

#ifdef WEFT_HAVE_LLHTTP
enum { has_oracle = true };
#else
enum { has_oracle = false };

struct verdict llhttp_judge(const char *bytes, size_t n)
{
	(void)bytes, (void)n;
	return (struct verdict){0};
}
#endif

static const struct http_limits limits = {512, 2048, 16};

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#define REQUIRE(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))

static void fail(const char *condition, int line)
{
	fprintf(stderr, "fuzz_http.c:%d: %s\n", line, condition);
	abort();
}

/* The next cut: 1 to 16 bytes on. */
static size_t step(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return 1 + (*seed >> 28);
}

/* A copy that ends where its block ends. */
static char *copy(const char *bytes, size_t n)
{
	char *block = malloc(n > 0 ? n : 1);
	REQUIRE(block != NULL);
	memcpy(block, bytes, n);
	return block;
}

/* ---- heads --------------------------------------------------------------------------------------------------------- */

static int parse_cut(struct http_head *h, const char *bytes, size_t size, uint32_t seed)
{
	int r = 0;
	for (size_t n = 0; r == 0 && n < size;) {
		n += step(&seed);
		if (n > size)
			n = size;
		char *block = copy(bytes, n);
		r = http_parse_head(h, block, n, &limits);
		free(block);
	}
	return r;
}

static void check_span(struct http_span s, int length)
{
	REQUIRE(s.at + s.len <= length);
}

static void check_found(const struct http_head *h, const char *bytes, int length)
{
	REQUIRE(length <= limits.head && h->count <= limits.fields);
	REQUIRE(memcmp(bytes + length - 2, "\r\n", 2) == 0);
	check_span(h->name, length);
	check_span(h->target, length);
	check_span(h->path, length);
	check_span(h->query, length);
	check_span(h->authority, length);
	for (unsigned i = 0; i < h->count; i++) {
		check_span(h->fields[i].name, length);
		check_span(h->fields[i].value, length);
		REQUIRE(h->fields[i].name.len > 0);
		REQUIRE(memchr(bytes + h->fields[i].value.at, '\0', h->fields[i].value.len) == NULL);
	}
	REQUIRE(!(h->chunked && (h->has_length || h->minor == 0)));
	REQUIRE(h->minor == 0 || h->authority.len > 0);
}

/* Heads that the two see differently for known reasons are left out: llhttp knows a list of methods and of versions, takes no tab
 * behind a Content-Length, and leaves CONNECT and upgrades to its user. */
static bool is_comparable(const struct http_head *h, const char *bytes)
{
	if (h->method == HTTP_OTHER || h->method == HTTP_CONNECT || http_find(h, bytes, "upgrade") != NULL)
		return false;
	const struct http_field *length = http_find(h, bytes, "content-length");
	if (length != NULL && bytes[length->value.at + length->value.len] != '\r')
		return false;
	const char *version = bytes + h->target.at + h->target.len + 1;
	return version[7] == '0' || version[7] == '1';
}

static void compare_head(const struct http_head *h, const char *bytes, int length)
{
	if (!has_oracle || !is_comparable(h, bytes))
		return;
	struct verdict v = llhttp_judge(bytes, (size_t)length);
	if (!v.head)
		fprintf(stderr, "llhttp: %s\n", v.reason);
	REQUIRE(v.head && v.chunked == h->chunked && v.has_length == h->has_length);
	REQUIRE(!h->has_length || v.length == h->length);
	REQUIRE(v.message == (!h->chunked && h->length == 0));
	REQUIRE(!v.message || v.taken == (size_t)length);
}

static void fuzz_head(const char *bytes, size_t size, uint32_t seed)
{
	struct http_head whole, pieces;
	memset(&whole, 0, sizeof(whole));
	memset(&pieces, 0, sizeof(pieces));
	char *block = copy(bytes, size);
	int r = http_parse_head(&whole, block, size, &limits);
	REQUIRE(r == parse_cut(&pieces, bytes, size, seed));
	REQUIRE(r == 0 || r > 0 || (r <= -400 && r > -600));
	if (r > 0) {
		REQUIRE(memcmp(&whole, &pieces, sizeof(whole)) == 0);
		check_found(&whole, block, r);
		compare_head(&whole, block, r);
	}
	free(block);
}

/* ---- chunked bodies ------------------------------------------------------------------------------------------------ */

struct decoded {
	int result;
	size_t taken, n;
	uint32_t hash;
};

/* Decodes in cuts of at most the given size; 0: chosen by the seed. */
static struct decoded decode(const char *bytes, size_t size, size_t most, uint32_t seed)
{
	struct http_chunks c = {.limit = 64};
	struct decoded d = {0, 0, 0, 2166136261};
	while (d.result >= 0 && d.taken < size && !c.done) {
		size_t n = most ? most : step(&seed);
		n = n < size - d.taken ? n : size - d.taken;
		char *block = copy(bytes + d.taken, n);
		const char *data;
		size_t count;
		d.result = http_parse_chunks(&c, block, n, &data, &count);
		if (d.result >= 0) {
			REQUIRE(d.result > 0 && (size_t)d.result <= n && count <= (size_t)d.result);
			d.taken += (size_t)d.result;
			d.n += count;
			for (size_t i = 0; i < count; i++)
				d.hash = (d.hash ^ (unsigned char)data[i]) * 16777619;
		}
		free(block);
	}
	d.result = d.result < 0 ? d.result : c.done;
	if (d.result < 0)
		d.taken = 0;
	return d;
}

/* A body that llhttp takes too ends at the same byte and is as long. It refuses some that are taken here: for blanks in chunk
 * extensions, and for values of trailers. */
static void compare_chunks(const char *bytes, struct decoded d)
{
	static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
	if (!has_oracle || d.result != 1)
		return;
	char *block = malloc(sizeof(head) - 1 + d.taken);
	REQUIRE(block != NULL);
	memcpy(block, head, sizeof(head) - 1);
	memcpy(block + sizeof(head) - 1, bytes, d.taken);
	struct verdict v = llhttp_judge(block, sizeof(head) - 1 + d.taken);
	REQUIRE(!v.message || (v.body == d.n && v.taken == sizeof(head) - 1 + d.taken));
	free(block);
}

static void fuzz_chunks(const char *bytes, size_t size, uint32_t seed)
{
	struct decoded whole = decode(bytes, size, size ? size : 1, 0), pieces = decode(bytes, size, 0, seed);
	REQUIRE(whole.result == pieces.result && whole.taken == pieces.taken);
	REQUIRE(whole.n == pieces.n && whole.hash == pieces.hash);
	compare_chunks(bytes, whole);
}

/* ---- conditions and ranges ----------------------------------------------------------------------------------------- */

/* The bytes are fields of a request for a thing of that size. */
static void fuzz_condition(const char *bytes, size_t size, uint32_t thing)
{
	static const char line[] = "GET / HTTP/1.1\r\nHost: a\r\n", end[] = "\r\n\r\n";
	const struct http_present present = {"\"v1\"", 784111777, thing, 1700000000};
	struct http_head h;
	int64_t from = -1, n = -1, seconds;
	size_t all = sizeof(line) - 1 + size + sizeof(end) - 1;
	char *block = malloc(all);
	REQUIRE(block != NULL);
	memcpy(block, line, sizeof(line) - 1);
	memcpy(block + sizeof(line) - 1, bytes, size);
	memcpy(block + sizeof(line) - 1 + size, end, sizeof(end) - 1);
	memset(&h, 0, sizeof(h));
	if (http_parse_head(&h, block, all, &limits) > 0) {
		int status = http_condition(&h, block, &present, &from, &n);
		REQUIRE(status == 200 || status == 206 || status == 304 || status == 412 || status == 416);
		REQUIRE(status != 200 || (from == 0 && n == thing));
		REQUIRE(status != 206 || (from >= 0 && n > 0 && from + n <= thing));
	}
	free(block);
	block = copy(bytes, size);
	if (http_parse_date(block, size, present.now, &seconds)) {
		char text[HTTP_DATE_SIZE];
		http_date(text, seconds);
	}
	free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	if (size < 2)
		return 0;
	const char *bytes = (const char *)input + 2;
	if (input[0] & 1)
		fuzz_chunks(bytes, size - 2, input[1]);
	else if (input[0] & 2)
		fuzz_condition(bytes, size - 2, input[1]);
	else
		fuzz_head(bytes, size - 2, input[1]);
	return 0;
}
