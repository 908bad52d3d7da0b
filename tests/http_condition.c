/* Dates, preconditions and ranges of examples/http, by tables. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../examples/http/conn.h"
#include "harness.h"

/* ---- dates --------------------------------------------------------------------------------------------------------- */

enum { TODAY = 1700000000 }; /* 14 Nov 2023 */

TEST(dates_are_written_as_strftime_does)
{
	static const int64_t odd[] = {0, -1, -86400, 951782400, 951868800, 4107542400, -62167219200, 253402300799, 784111777};
	char text[64], want[64];
	int64_t again;
	for (int i = 0; i < 20000; i++) {
		int64_t seconds = i < 9 ? odd[i] : (int64_t)i * 86399 * 13 - 2000000000;
		time_t t = (time_t)seconds;
		struct tm tm;
		strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&t, &tm));
		if (seconds < -59000000000) /* strftime does not pad the year with zeroes */
			snprintf(want, sizeof(want), "Sat, 01 Jan 0000 00:00:00 GMT");
		http_date(text, seconds);
		CHECK_STR(text, want);
		CHECK(http_parse_date(text, strlen(text), TODAY, &again));
		CHECK_EQ(again, seconds);
	}
	http_log_date(text, 784111777);
	CHECK_STR(text, "06/Nov/1994:08:49:37 +0000");
}

TEST(dates_in_three_forms)
{
	static const struct {
		const char *text;
		int64_t seconds; /* -1: none */
	} dates[] = {
		{"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
		{"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
		{"Sun Nov  6 08:49:37 1994", 784111777},
		{"Sun Nov 16 08:49:37 1994", 784975777},
		{"Thursday, 01-Jan-70 00:00:00 GMT", 3155760000}, /* 47 years ahead */
		{"Friday, 01-Jan-74 00:00:00 GMT", 126230400},    /* not 51 */
		{"Thu, 29 Feb 2024 00:00:00 GMT", 1709164800},
		{"Sun, 06 Nov 1994 08:49:60 GMT", 784111800},
		{"", -1},
		{"Sun", -1},
		{"Sun, ", -1},
		{"Sun, 06 Nov 1994 08:49:37 GM", -1},
		{"Sun, 06 Nov 1994 08:49:37 GMTX", -1},
		{"Sun, 06 Nov 1994 08:49:37 UTC", -1},
		{"Sun, 06 Nov 1994 08:49:37", -1},
		{"Sun, 6 Nov 1994 08:49:37 GMT", -1},
		{"Sun, 06 nov 1994 08:49:37 GMT", -1},
		{"Sun, 06 Now 1994 08:49:37 GMT", -1},
		{"Sun, 06 N", -1},
		{"Sun, 00 Nov 1994 08:49:37 GMT", -1},
		{"Sun, 31 Nov 1994 08:49:37 GMT", -1},
		{"Sun, 06 Nov 1994 24:00:00 GMT", -1},
		{"Sun, 06 Nov 1994 08:60:00 GMT", -1},
		{"1un, 06 Nov 1994 08:49:37 GMT", -1},
		{"784111777", -1},
		{"1994-11-06T08:49:37Z", -1},
	};
	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
		size_t n = strlen(dates[i].text);
		char *block = malloc(n + 1); /* no byte behind it */
		int64_t seconds = -1;
		memcpy(block, dates[i].text, n);
		block = realloc(block, n > 0 ? n : 1);
		bool is_date = http_parse_date(block, n, TODAY, &seconds);
		if (is_date != (dates[i].seconds != -1) || (is_date && seconds != dates[i].seconds))
			test_fail(__FILE__, __LINE__, "%s: %d, %lld", dates[i].text, is_date, (long long)seconds);
		free(block);
	}
}

/* ---- conditions ---------------------------------------------------------------------------------------------------- */

/* The thing: the tag "v1", 1,000 bytes, changed at 08:49:37. */
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define THEN "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"

static const struct asked {
	const char *fields;
	int status, head_status; /* of a GET, and of a HEAD */
	long long from, n;       /* of a GET */
} asked[] = {
	{"", 200, 200, 0, 1000},

	/* RFC 9110, 13.1.1: If-Match compares strongly */
	{"If-Match: \"v1\"\r\n", 200, 200, 0, 1000},
	{"If-Match: *\r\n", 200, 200, 0, 1000},
	{"If-Match: \"x\", \"v1\"\r\n", 200, 200, 0, 1000},
	{"If-Match: \"x\"\r\nIf-Match: \"v1\"\r\n", 200, 200, 0, 1000},
	{"If-Match: \"a,b\",\t,\"v1\"\r\n", 200, 200, 0, 1000},
	{"If-Match: \"x\"\r\n", 412, 412, 0, 0},
	{"If-Match: W/\"v1\"\r\n", 412, 412, 0, 0},
	{"If-Match: v1\r\n", 412, 412, 0, 0},
	{"If-Match: \"v1\r\n", 412, 412, 0, 0},
	{"If-Match:\r\n", 412, 412, 0, 0},
	{"If-Match: \"v\"\r\n", 412, 412, 0, 0},
	{"If-Match: \"v11\"\r\n", 412, 412, 0, 0},
	{"If-Match: \"V1\"\r\n", 412, 412, 0, 0},
	{"If-Match: x\"v1\"\r\n", 412, 412, 0, 0},

	/* 13.1.4: If-Unmodified-Since, which If-Match overrules */
	{"If-Unmodified-Since: " THEN "\r\n", 200, 200, 0, 1000},
	{"If-Unmodified-Since: " AFTER "\r\n", 200, 200, 0, 1000},
	{"If-Unmodified-Since: " BEFORE "\r\n", 412, 412, 0, 0},
	{"If-Unmodified-Since: yesterday\r\n", 200, 200, 0, 1000},
	{"If-Unmodified-Since: " BEFORE "\r\nIf-Match: \"v1\"\r\n", 200, 200, 0, 1000},
	{"If-Unmodified-Since: " AFTER "\r\nIf-Match: \"x\"\r\n", 412, 412, 0, 0},

	/* 13.1.2: If-None-Match compares weakly */
	{"If-None-Match: \"v1\"\r\n", 304, 304, 0, 0},
	{"If-None-Match: W/\"v1\"\r\n", 304, 304, 0, 0},
	{"If-None-Match: *\r\n", 304, 304, 0, 0},
	{"If-None-Match: \"x\" , W/\"y\",\"v1\"\r\n", 304, 304, 0, 0},
	{"If-None-Match: \"x\"\r\n", 200, 200, 0, 1000},
	{"If-None-Match: v1\r\n", 200, 200, 0, 1000},
	{"If-None-Match: w/\"v1\"\r\n", 200, 200, 0, 1000},
	{"If-None-Match: **\r\n", 200, 200, 0, 1000},

	/* 13.1.3: If-Modified-Since, which If-None-Match overrules */
	{"If-Modified-Since: " THEN "\r\n", 304, 304, 0, 0},
	{"If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n", 304, 304, 0, 0},
	{"If-Modified-Since: Sun Nov  6 08:49:37 1994\r\n", 304, 304, 0, 0},
	{"If-Modified-Since: " AFTER "\r\n", 304, 304, 0, 0},
	{"If-Modified-Since: " BEFORE "\r\n", 200, 200, 0, 1000},
	{"If-Modified-Since: 0\r\n", 200, 200, 0, 1000},
	{"If-Modified-Since: " THEN "\r\nIf-None-Match: \"x\"\r\n", 200, 200, 0, 1000},
	{"If-Modified-Since: " BEFORE "\r\nIf-None-Match: \"v1\"\r\n", 304, 304, 0, 0},

	/* 13.2.2: the order of them */
	{"If-None-Match: \"v1\"\r\nIf-Match: \"x\"\r\n", 412, 412, 0, 0},
	{"If-None-Match: \"v1\"\r\nIf-Match: \"v1\"\r\n", 304, 304, 0, 0},
	{"If-None-Match: \"v1\"\r\nRange: bytes=0-0\r\n", 304, 304, 0, 0},
	{"If-Match: \"x\"\r\nRange: bytes=0-0\r\n", 412, 412, 0, 0},

	/* 14.1.2: ranges of bytes; for GET alone (14.2) */
	{"Range: bytes=0-0\r\n", 206, 200, 0, 1},
	{"Range: bytes=0-499\r\n", 206, 200, 0, 500},
	{"Range: bytes=500-999\r\n", 206, 200, 500, 500},
	{"Range: BYTES=500-\r\n", 206, 200, 500, 500},
	{"Range: bytes=999-\r\n", 206, 200, 999, 1},
	{"Range: bytes=0-\r\n", 206, 200, 0, 1000},
	{"Range: bytes=990-5000\r\n", 206, 200, 990, 10},
	{"Range: bytes=990-99999999999999999999999\r\n", 206, 200, 990, 10},
	{"Range: bytes=-1\r\n", 206, 200, 999, 1},
	{"Range: bytes=-1000\r\n", 206, 200, 0, 1000},
	{"Range: bytes=-5000\r\n", 206, 200, 0, 1000},
	{"Range: bytes=-99999999999999999999\r\n", 206, 200, 0, 1000},
	{"Range: bytes=1000-\r\n", 416, 200, 0, 0},
	{"Range: bytes=1000-1000\r\n", 416, 200, 0, 0},
	{"Range: bytes=99999999999999999999-\r\n", 416, 200, 0, 0},
	{"Range: bytes=-0\r\n", 416, 200, 0, 0},

	/* what is no range, or more than one, is answered with the whole */
	{"Range: bytes=1-0\r\n", 200, 200, 0, 1000},
	{"Range: bytes=-\r\n", 200, 200, 0, 1000},
	{"Range: bytes=\r\n", 200, 200, 0, 1000},
	{"Range: bytes\r\n", 200, 200, 0, 1000},
	{"Range:\r\n", 200, 200, 0, 1000},
	{"Range: bytes=5\r\n", 200, 200, 0, 1000},
	{"Range: bytes=a-b\r\n", 200, 200, 0, 1000},
	{"Range: bytes=0x0-1\r\n", 200, 200, 0, 1000},
	{"Range: bytes=+0-1\r\n", 200, 200, 0, 1000},
	{"Range: bytes=0 - 1\r\n", 200, 200, 0, 1000},
	{"Range: bytes=--1\r\n", 200, 200, 0, 1000},
	{"Range: bytes=0-1x\r\n", 200, 200, 0, 1000},
	{"Range: lines=0-1\r\n", 200, 200, 0, 1000},
	{"Range: 0-1\r\n", 200, 200, 0, 1000},
	{"Range: bytes=0-1,5-6\r\n", 200, 200, 0, 1000},
	{"Range: bytes=0-1\r\nRange: bytes=5-6\r\n", 200, 200, 0, 1000},

	/* 13.1.5: If-Range, strongly too */
	{"Range: bytes=0-0\r\nIf-Range: \"v1\"\r\n", 206, 200, 0, 1},
	{"Range: bytes=0-0\r\nIf-Range: \"v2\"\r\n", 200, 200, 0, 1000},
	{"Range: bytes=0-0\r\nIf-Range: W/\"v1\"\r\n", 200, 200, 0, 1000},
	{"Range: bytes=0-0\r\nIf-Range: \"v1\", \"v1\"\r\n", 200, 200, 0, 1000},
	{"Range: bytes=0-0\r\nIf-Range:\r\n", 200, 200, 0, 1000},
	{"Range: bytes=0-0\r\nIf-Range: " THEN "\r\n", 206, 200, 0, 1},
	{"Range: bytes=0-0\r\nIf-Range: " BEFORE "\r\n", 200, 200, 0, 1000},
	{"Range: bytes=0-0\r\nIf-Range: " AFTER "\r\n", 200, 200, 0, 1000},
	{"Range: bytes=5000-\r\nIf-Range: \"v2\"\r\n", 200, 200, 0, 1000},
	{"If-Range: \"v2\"\r\n", 200, 200, 0, 1000},
};

static const struct http_limits limits = {160, 640, 10};

static int ask(const char *method, const char *fields, const struct http_present *present, int64_t *from, int64_t *n)
{
	char text[640];
	struct http_head h = {0};
	int size = snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: a\r\n%s\r\n", method, fields);
	CHECK_EQ(http_parse_head(&h, text, (size_t)size, &limits), size);
	return http_condition(&h, text, present, from, n);
}

TEST(conditions)
{
	const struct http_present present = {"\"v1\"", 784111777, 1000, TODAY};
	for (const struct asked *a = asked; a < asked + sizeof(asked) / sizeof(asked[0]); a++) {
		int64_t from, n;
		int head = ask("HEAD", a->fields, &present, &from, &n), get = ask("GET", a->fields, &present, &from, &n);
		if (get != a->status || head != a->head_status)
			test_fail(__FILE__, __LINE__, "GET %d, HEAD %d: %s", get, head, a->fields);
		if (get == 200 || get == 206) {
			CHECK_EQ(from, a->from);
			CHECK_EQ(n, a->n);
		}
	}
}

TEST(nothing_to_cut_from)
{
	const struct http_present empty = {"\"v1\"", 784111777, 0, TODAY};
	int64_t from, n;
	CHECK_EQ(ask("GET", "Range: bytes=0-\r\n", &empty, &from, &n), 416);
	CHECK_EQ(ask("GET", "Range: bytes=-1\r\n", &empty, &from, &n), 416);
	CHECK_EQ(ask("GET", "", &empty, &from, &n), 200);
	CHECK_EQ(n, 0);
}

/* Within the second of a change its date does not tell what it was. */
TEST(a_date_that_is_too_fresh)
{
	const struct http_present fresh = {"\"v1\"", 784111777, 1000, 784111778};
	int64_t from, n;
	CHECK_EQ(ask("GET", "Range: bytes=0-0\r\nIf-Range: " THEN "\r\n", &fresh, &from, &n), 200);
	CHECK_EQ(ask("GET", "Range: bytes=0-0\r\nIf-Range: \"v1\"\r\n", &fresh, &from, &n), 206);
}
