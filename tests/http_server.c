/* examples/http over plain sockets: framing, order, bodies, limits, deadlines, the end. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "http_peer.h"

static const char hello[] = "Hello, World!";

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define LAST "GET /bytes/3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
#define POST(fields) "POST /echo HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define CHUNKED POST("Transfer-Encoding: chunked\r\n")

/* ---- framing ------------------------------------------------------------------------------------------------------- */

/* What is sent, followed by LAST, and the statuses of all responses. A request that is smuggled in shows as one response too many,
 * one that is swallowed as one too few. */
struct exchange {
	const char *statuses;
	size_t size;
	const char *bytes;
	bool ended; /* the client says that it sends no more, but does: if that comes late the connection is reset, and rightly */
};

#define SAID(statuses, bytes) { statuses, sizeof(bytes) - 1, bytes, false }
#define ENDED(statuses, bytes) { statuses, sizeof(bytes) - 1, bytes, true }

static const struct exchange exchanges[] = {
	ENDED("200", ""),
	SAID("200 200", GET("/")),
	SAID("200 200", "\r\n" GET("/")),
	SAID("200 200 200 200", GET("/") GET("/bytes/10") GET("/sleep/1")),
	SAID("404 200", GET("/nothing")),
	SAID("404 200", GET("/bytes/")),
	SAID("404 200", GET("/bytes/x")),
	SAID("404 200", GET("/bytes/9999999999999999999999")),
	SAID("404 200", GET("/bytes/18446744073709551621")),
	SAID("404 200", GET("/echox")),
	SAID("404 200", GET("/spin/1000001")),
	SAID("404 200", GET("/sleep/60001")),
	SAID("200 200", GET("/spin/10")),
	SAID("200 200", GET("http://elsewhere/")),
	SAID("200 200", GET("http://elsewhere?a")),
	SAID("H200 200", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"),
	SAID("H404 200", "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n"),
	SAID("H200 200", "HEAD /bytes/1000000 HTTP/1.1\r\nHost: a\r\n\r\n"),
	SAID("204 200", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
	SAID("204 200", "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n"),
	SAID("405 200", "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"),
	SAID("405 200", GET("/echo")),
	SAID("501 200", "FROB / HTTP/1.1\r\nHost: a\r\n\r\n"),
	SAID("501 200", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),

	/* who ends the connection */
	ENDED("200", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/")),
	ENDED("200", "GET / HTTP/1.0\r\n\r\n"),
	SAID("200 200", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),

	/* bodies */
	SAID("200 200", POST("Content-Length: 5\r\n") "hello"),
	SAID("200 200", POST("Content-Length: 0\r\n")),
	SAID("200 200 200", POST("Content-Length: 5\r\n") "hello" GET("/")),
	SAID("200 200", CHUNKED "5\r\nhello\r\n0\r\n\r\n"),
	SAID("200 200 200", CHUNKED "5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n" GET("/")),
	SAID("411 200", POST("")),
	SAID("405 200", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
	SAID("404 200", "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
	SAID("200 200", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
	SAID("200 200", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),

	/* smuggling: nothing behind the doubtful request may be answered */
	SAID("400", POST("Content-Length: 5\r\nContent-Length: 5\r\n") "hello" GET("/")),
	SAID("400", POST("Content-Length: 5\r\nContent-Length: 6\r\n") "hello" GET("/")),
	SAID("400", POST("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") "0\r\n\r\n" GET("/")),
	SAID("400", POST("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n") "0\r\n\r\n" GET("/")),
	SAID("400", POST("Transfer-Encoding: xchunked\r\n") "0\r\n\r\n" GET("/")),
	SAID("400", POST("Transfer-Encoding : chunked\r\n") "0\r\n\r\n" GET("/")),
	SAID("400", POST("Transfer-Encoding: chunked, identity\r\n") "0\r\n\r\n" GET("/")),
	SAID("501", POST("Transfer-Encoding: gzip, chunked\r\n") "0\r\n\r\n" GET("/")),
	SAID("400", POST("Transfer-Encoding:\x0b" "chunked\r\n") "0\r\n\r\n" GET("/")),
	SAID("400", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET("/")),
	SAID("400", POST("A: b\r\n Content-Length: 5\r\n") "hello" GET("/")),
	SAID("400", POST("A: b\rContent-Length: 5\r\n") "hello" GET("/")),
	SAID("400", POST("A: b\nContent-Length: 5\r\n") "hello" GET("/")),
	SAID("400", POST("Content-Length: +5\r\n") "hello" GET("/")),
	SAID("400", POST("Content-Length: 5, 5\r\n") "hello" GET("/")),
	SAID("413", POST("Content-Length: 99999999999999999999\r\n") GET("/")),
	SAID("400", "GET / HTTP/1.1\r\n\r\n" GET("/")),
	SAID("400", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" GET("/")),
	SAID("400", "GET / HTTP/1.1\nHost: a\n\n" GET("/")),
	SAID("400", "GET /\r\n\r\n" GET("/")),
	SAID("400", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n" GET("/")),
	SAID("505", "GET / HTTP/2.0\r\nHost: a\r\n\r\n" GET("/")),
	SAID("505", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	SAID("417", POST("Expect: wonders\r\nContent-Length: 5\r\n") "hello"),
	SAID("400", CHUNKED "5\nhello\r\n0\r\n\r\n" GET("/")),
	SAID("400", CHUNKED "0x5\r\nhello\r\n0\r\n\r\n" GET("/")),
	SAID("400", CHUNKED "5 \r\nhello\r\n0\r\n\r\n" GET("/")),
	SAID("400", CHUNKED "\r\n0\r\n\r\n" GET("/")),
	SAID("400", CHUNKED "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n" GET("/")),
	SAID("413", CHUNKED "ffffffffffffffff\r\nhello" GET("/")),
	SAID("200 400", GET("/") "GET / HTTP/1.1\r\nHost: a b\r\n\r\n" GET("/")),
	SAID("405", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" GET("/")),
	SAID("405", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"),
};

enum { EXCHANGES = sizeof(exchanges) / sizeof(exchanges[0]) };

static void try_at_once(const struct server *s, const struct exchange *e)
{
	char all[2048];
	CHECK_LE(e->size + sizeof(LAST), sizeof(all));
	memcpy(all, e->bytes, e->size);
	memcpy(all + e->size, LAST, sizeof(LAST) - 1);
	int fd = dial(s);
	tell(fd, all, e->size + sizeof(LAST) - 1);
	expect_statuses(fd, e->statuses, e->bytes);
}

TEST(exchanges_at_once)
{
	struct server s;
	server_start(&s, "");
	for (const struct exchange *e = exchanges; e < exchanges + EXCHANGES; e++)
		try_at_once(&s, e);
	server_stop(&s);
}

TEST(exchanges_byte_by_byte)
{
	struct server s;
	server_start(&s, "");
	for (const struct exchange *e = exchanges; e < exchanges + EXCHANGES; e++) {
		if (e->ended)
			continue;
		int fd = dial(&s);
		for (size_t i = 0; i < e->size; i++)
			tell(fd, e->bytes + i, 1);
		TELL(fd, LAST);
		expect_statuses(fd, e->statuses, e->bytes);
	}
	server_stop(&s);
}

/* A client that closes its side early is served all the same, and a request that is cut off is refused. */
TEST(half_closed)
{
	struct server s;
	server_start(&s, "");
	int fd = dial(&s);
	TELL(fd, GET("/") GET("/sleep/20") GET("/bytes/4"));
	shutdown(fd, SHUT_WR);
	expect_statuses(fd, "200 200 200", "three requests");
	fd = dial(&s);
	TELL(fd, POST("Content-Length: 5\r\n"));
	shutdown(fd, SHUT_WR);
	expect_statuses(fd, "400", "no body");
	server_stop(&s);
}

/* A body that breaks off when the response has begun: it breaks off as well, at no place that could be taken for its end. */
TEST(echo_broken_off)
{
	static const char *const broken[] = {
		POST("Content-Length: 5\r\n") "hell",
		CHUNKED "4\r\nhell\r\n",
		CHUNKED "4\r\nhell\r\nx",
		CHUNKED "4\r\nhell\r\n0\r\n",
	};
	struct server s;
	server_start(&s, "");
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		char heard[1024];
		size_t n = 0;
		ssize_t r;
		int fd = dial(&s);
		tell(fd, broken[i], strlen(broken[i]));
		shutdown(fd, SHUT_WR);
		while ((r = recv(fd, heard + n, sizeof(heard) - 1 - n, 0)) > 0)
			n += (size_t)r;
		CHECK_EQ(r, 0);
		heard[n] = '\0';
		CHECK_MEM(heard, "HTTP/1.1 200", 12);
		CHECK(strstr(heard, "hell") != NULL);
		CHECK(strstr(heard, "\r\n0\r\n") == NULL);
		CHECK(strstr(heard + 1, "HTTP/1.1") == NULL);
		close(fd);
	}
	server_stop(&s);
}

/* ---- one connection after another request -------------------------------------------------------------------------- */

TEST(keep_alive)
{
	struct server s;
	server_start(&s, "");
	int fd = dial(&s);
	for (int i = 0; i < test_scaled(2000); i++) {
		TELL(fd, GET("/"));
		struct response r = hear(fd, false);
		CHECK_EQ(r.status, 200);
		CHECK_STR(r.body, hello);
		CHECK(!r.closes);
		free(r.bytes);
	}
	close(fd);
	server_stop(&s);
}

TEST(connection_field)
{
	struct server s;
	server_start(&s, "");
	int fd = dial(&s);
	TELL(fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	struct response r = hear(fd, false);
	CHECK_STR(field(&r, "Connection"), "keep-alive");
	TELL(fd, "GET / HTTP/1.0\r\n\r\n");
	r = hear(fd, false);
	CHECK_STR(field(&r, "Connection"), "close");
	expect_end(fd);
	fd = dial(&s);
	TELL(fd, GET("/") "GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n");
	r = hear(fd, false);
	CHECK_PTR(field(&r, "Connection"), NULL);
	r = hear(fd, false);
	CHECK_STR(field(&r, "Connection"), "close");
	expect_end(fd);
	server_stop(&s);
}

/* Many requests in one go, of different kinds, with the responses in their order. The writer is a process of its own, since nobody
 * may be able to write and to read at once. */
TEST(pipelining)
{
	struct server s;
	int rounds = test_scaled(500);
	server_start(&s, "--max-pipeline 7");
	int fd = dial(&s);
	pid_t writer = fork();
	if (writer == 0) {
		for (int i = 0; i < rounds; i++) {
			char text[512];
			int n = snprintf(text, sizeof(text),
				GET("/bytes/%d") POST("Content-Length: 7\r\n") "%07d" CHUNKED "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
				"HEAD /bytes/9 HTTP/1.1\r\nHost: a\r\n\r\n" GET("/"), i, i);
			tell(fd, text, (size_t)n);
		}
		_exit(0);
	}
	for (int i = 0; i < rounds; i++) {
		char text[16];
		struct response r = hear(fd, false);
		CHECK_EQ(r.body_size, i);
		free(r.bytes);
		snprintf(text, sizeof(text), "%07d", i);
		expect(fd, 200, text);
		expect(fd, 200, "abcd");
		r = hear(fd, true);
		CHECK_STR(field(&r, "Content-Length"), "9");
		free(r.bytes);
		expect(fd, 200, hello);
	}
	CHECK_EQ(waitpid(writer, NULL, 0), writer);
	close(fd);
	server_stop(&s);
}

/* More than any buffer holds, with responses of all sizes on the way. */
TEST(deep_pipelining)
{
	static const char request[] = GET("/") "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" GET("/x");
	struct server s;
	int rounds = test_scaled(3000);
	server_start(&s, "");
	int fd = dial(&s);
	pid_t writer = fork();
	if (writer == 0) {
		char *all = malloc((size_t)rounds * sizeof(request));
		for (int i = 0; i < rounds; i++)
			memcpy(all + (size_t)i * (sizeof(request) - 1), request, sizeof(request) - 1);
		tell(fd, all, (size_t)rounds * (sizeof(request) - 1));
		_exit(0);
	}
	for (int i = 0; i < rounds; i++) {
		expect(fd, 200, hello);
		free(hear(fd, true).bytes);
		expect(fd, 404, NULL);
	}
	CHECK_EQ(waitpid(writer, NULL, 0), writer);
	close(fd);
	server_stop(&s);
}

/* A response that is ready is not held back by the next one, which takes its time. */
TEST(nothing_waits_for_a_slow_one)
{
	struct server s;
	server_start(&s, "");
	int fd = dial(&s);
	TELL(fd, GET("/") GET("/sleep/60000"));
	expect(fd, 200, hello);
	close(fd);
	CHECK_EQ(kill(s.pid, SIGKILL), 0);
	CHECK_EQ(server_wait(&s), -SIGKILL);
}

TEST(head_is_get_without_body)
{
	static const char *const paths[] = {"/", "/bytes/0", "/bytes/70000", "/sleep/1", "/nothing"};
	struct server s;
	server_start(&s, "");
	int fd = dial(&s);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		char text[128], length[32];
		tell(fd, text, (size_t)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", paths[i]));
		struct response get = hear(fd, false);
		tell(fd, text, (size_t)snprintf(text, sizeof(text), "HEAD %s HTTP/1.1\r\nHost: a\r\n\r\n", paths[i]));
		struct response head = hear(fd, true);
		CHECK_EQ(head.status, get.status);
		snprintf(length, sizeof(length), "%zu", get.body_size);
		CHECK_STR(field(&head, "Content-Length"), length);
		CHECK_STR(field(&get, "Content-Length"), length);
	}
	TELL(fd, LAST);
	expect_statuses(fd, "200", "after HEAD");
	server_stop(&s);
}

TEST(allow)
{
	struct server s;
	server_start(&s, "");
	int fd = dial(&s);
	TELL(fd, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx" GET("/echo"));
	struct response r = hear(fd, false);
	CHECK_EQ(r.status, 405);
	CHECK_STR(field(&r, "Allow"), "GET, HEAD, OPTIONS");
	r = hear(fd, false);
	CHECK_EQ(r.status, 405);
	CHECK_STR(field(&r, "Allow"), "POST, OPTIONS");
	close(fd);
	server_stop(&s);
}

/* ---- bodies -------------------------------------------------------------------------------------------------------- */

static char *pattern(size_t n)
{
	char *p = malloc(n + 1);
	CHECK(p != NULL);
	for (size_t i = 0; i < n; i++)
		p[i] = (char)('a' + i % 26);
	p[n] = '\0';
	return p;
}

/* Sends n bytes, by length or in chunks of odd sizes, from a process of its own; the response must be the same bytes. */
static void echo(const struct server *s, const char *bytes, size_t n, bool in_chunks)
{
	char text[128];
	int fd = dial(s);
	pid_t writer = fork();
	if (writer == 0) {
		if (in_chunks)
			TELL(fd, CHUNKED);
		else
			tell(fd, text, (size_t)snprintf(text, sizeof(text), POST("Content-Length: %zu\r\n"), n));
		for (size_t done = 0, piece = 1; done < n; done += piece, piece = piece * 3 % 50021 + 1) {
			if (piece > n - done)
				piece = n - done;
			if (in_chunks)
				tell(fd, text, (size_t)snprintf(text, sizeof(text), "%zx;a=b\r\n", piece));
			tell(fd, bytes + done, piece);
			if (in_chunks)
				TELL(fd, "\r\n");
		}
		if (in_chunks)
			TELL(fd, "0\r\nA: b\r\n\r\n");
		TELL(fd, LAST);
		_exit(0);
	}
	struct response r = hear(fd, false);
	CHECK_EQ(r.status, 200);
	CHECK_EQ(r.chunked, in_chunks);
	CHECK(!r.closes);
	CHECK_EQ(r.body_size, n);
	CHECK_MEM(r.body, bytes, n);
	free(r.bytes);
	expect_statuses(fd, "200", "after a body");
	CHECK_EQ(waitpid(writer, NULL, 0), writer);
}

TEST(bodies)
{
	static const size_t sizes[] = {0, 1, 2, 4095, 4096, 16383, 20480, 65536, 1000003};
	struct server s;
	/* Extensions of all chunks together are limited by --max-head. */
	server_start(&s, "--max-head 65535");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *bytes = pattern(sizes[i]);
		echo(&s, bytes, sizes[i], false);
		echo(&s, bytes, sizes[i], true);
		free(bytes);
	}
	server_stop(&s);
}

TEST(bytes)
{
	static const size_t sizes[] = {0, 1, 26, 8191, 65520, 65521, 3000000};
	struct server s;
	server_start(&s, "");
	int fd = dial(&s);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char text[128], *bytes = pattern(sizes[i]);
		tell(fd, text, (size_t)snprintf(text, sizeof(text), GET("/bytes/%zu"), sizes[i]));
		struct response r = hear(fd, false);
		CHECK_EQ(r.body_size, sizes[i]);
		CHECK_MEM(r.body, bytes, sizes[i]);
		free(r.bytes);
		free(bytes);
	}
	close(fd);
	server_stop(&s);
}

TEST(expect_continue)
{
	struct server s;
	char byte;
	server_start(&s, "--max-body 10");
	int fd = dial(&s);
	TELL(fd, POST("Expect: 100-continue\r\nContent-Length: 5\r\n"));
	expect(fd, 100, "");
	TELL(fd, "hello");
	expect(fd, 200, "hello");

	/* a client that did not wait is not told to go on */
	TELL(fd, POST("Expect: 100-continue\r\nContent-Length: 5\r\n") "hello");
	expect(fd, 200, "hello");

	TELL(fd, POST("Expect: 100-continue\r\nContent-Length: 5\r\n") "hel");
	CHECK_EQ(recv(fd, &byte, 1, MSG_PEEK), 1);
	TELL(fd, "lo");
	expect(fd, 200, "hello");

	/* in chunks, and then what is too much */
	TELL(fd, POST("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"));
	expect(fd, 100, "");
	TELL(fd, "5\r\nhello\r\n0\r\n\r\n");
	expect(fd, 200, "hello");
	TELL(fd, POST("Expect: 100-continue\r\nContent-Length: 11\r\n"));
	expect_statuses(fd, "413", "a body that is too long is not waited for");

	fd = dial(&s);
	TELL(fd, "POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
	struct pollfd quiet = {.fd = fd, .events = POLLIN};
	CHECK_EQ(poll(&quiet, 1, 50), 0);
	TELL(fd, "hello");
	expect_statuses(fd, "200", "HTTP/1.0 knows no 100");
	server_stop(&s);
}

/* ---- limits -------------------------------------------------------------------------------------------------------- */

TEST(limits)
{
	struct server s;
	server_start(&s, "--max-line 100 --max-head 200 --max-fields 3 --max-body 10");
	static const struct exchange over[] = {
		SAID("414", "GET /" X50 X50 " HTTP/1.1\r\n"),
		SAID("431", "GET / HTTP/1.1\r\nHost: a\r\nA: " X50 X50 X50 X50 "\r\n\r\n"),
		SAID("431", "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\nE: f\r\n\r\n"),
		SAID("413", POST("Content-Length: 11\r\n") "hello world"),
		SAID("413", CHUNKED "b\r\nhello world\r\n0\r\n\r\n"),
		SAID("200 200", POST("Content-Length: 10\r\n") "hello worl"),
		SAID("200 200", CHUNKED "a\r\nhello worl\r\n0\r\n\r\n"),
	};
	for (const struct exchange *e = over; e < over + sizeof(over) / sizeof(over[0]); e++)
		try_at_once(&s, e);
	server_stop(&s);
}

/* The last response arrives although the client keeps talking. */
TEST(refusals_arrive)
{
	struct server s;
	size_t n = 300000;
	char *rest = pattern(n), *last = pattern(n);
	memcpy(last, LAST, sizeof(LAST) - 1);
	server_start(&s, "");
	for (int i = 0; i < test_scaled(50); i++) {
		int fd = dial(&s);
		TELL(fd, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
		CHECK(tell(fd, rest, n));
		expect_statuses(fd, "400", "a talkative client");
		fd = dial(&s);
		TELL(fd, POST("Content-Length: 99999999\r\n"));
		CHECK(tell(fd, rest, n));
		expect_statuses(fd, "413", "a long body");
		fd = dial(&s);
		TELL(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
		CHECK(tell(fd, rest, n));
		expect_statuses(fd, "405", "a long body that nobody wants");
		fd = dial(&s);
		TELL(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
		expect(fd, 405, NULL);
		CHECK(tell(fd, rest, n));
		expect_statuses(fd, "", "a body that comes late");
		fd = dial(&s);
		CHECK(tell(fd, last, n));
		expect_statuses(fd, "200", "more behind the last request");
	}
	server_stop(&s);
	free(rest);
	free(last);
}

TEST(too_many_connections)
{
	struct server s;
	server_start(&s, "--max-conns 2");
	int a = dial(&s), b = dial(&s);
	TELL(a, GET("/"));
	expect(a, 200, hello);
	TELL(b, GET("/"));
	expect(b, 200, hello);
	int c;
	for (int i = 0; i < test_scaled(20); i++) {
		c = dial(&s);
		CHECK(TELL(c, GET("/")));
		expect_statuses(c, "503", "one too many");
	}
	close(b);
	/* the server sees that b is gone when it sees it: ask until a connection is admitted */
	for (int status = 503; status != 200;) {
		c = dial(&s);
		TELL(c, LAST);
		struct response r = hear(c, false);
		status = r.status;
		close(c);
	}
	TELL(a, GET("/"));
	expect(a, 200, hello);
	close(a);
	server_stop(&s);
}

/* Out of descriptors: who is connected is served, and who waits is served when there are some again. */
TEST(no_descriptors_left)
{
	enum { CONNECTIONS = 60 };
	struct server s;
	int fds[CONNECTIONS];
	server_start_after(&s, "ulimit -n 40", "");
	for (int i = 0; i < CONNECTIONS; i++) {
		fds[i] = dial(&s); /* the system accepts those that the server can't */
		TELL(fds[i], GET("/"));
	}
	expect(fds[0], 200, hello);
	TELL(fds[0], GET("/bytes/2"));
	expect(fds[0], 200, "ab");
	for (int i = 1; i < CONNECTIONS; i++) {
		expect(fds[i], 200, hello);
		close(fds[i]);
	}
	TELL(fds[0], LAST);
	expect_statuses(fds[0], "200", "the first connection");
	server_stop(&s);
}
