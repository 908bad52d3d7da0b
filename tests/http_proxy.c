/* examples/http as a reverse proxy: between clients and servers that are played here, hostile ones among them. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "harness.h"
#include "http_peer.h"

enum { PATIENCE_SECONDS = 30, SEEN = 1 << 16 };

/* ---- the server above ---------------------------------------------------------------------------------------------- */

struct upstream {
	int fd, port;
};

static struct upstream open_upstream(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t n = sizeof(addr);
	struct upstream u = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_EQ(bind(u.fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CHECK_EQ(listen(u.fd, 64), 0);
	CHECK_EQ(getsockname(u.fd, (struct sockaddr *)&addr, &n), 0);
	u.port = ntohs(addr.sin_port);
	return u;
}

/* The proxy, before one server or two, with more options. */
static void proxy_start(struct server *s, const struct upstream *u, size_t n, const char *options)
{
	char all[512];
	int length = snprintf(all, sizeof(all), "%s --proxy /=", options);
	for (size_t i = 0; i < n; i++)
		length += snprintf(all + length, sizeof(all) - (size_t)length, "%shttp://127.0.0.1:%d", i ? "," : "", u[i].port);
	server_start(s, all);
}

static bool comes(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, ms) == 1;
}

static int answer_call(const struct upstream *u)
{
	struct timeval patience = {PATIENCE_SECONDS, 0};
	CHECK(comes(u->fd, PATIENCE_SECONDS * 1000));
	int fd = accept(u->fd, NULL, NULL);
	CHECK_GE(fd, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

/* Reads until the text has come, and not a byte more. In static memory. */
static const char *read_until(int fd, const char *text)
{
	static char seen[SEEN];
	size_t n = 0, length = strlen(text);
	do {
		CHECK_LT(n, sizeof(seen) - 1);
		ssize_t r = recv(fd, seen + n, 1, 0);
		if (r != 1)
			test_fail(__FILE__, __LINE__, "%zd (%s) after \"%.*s\"", r, strerror(errno), (int)n, seen);
		seen[++n] = '\0';
	} while (n < length || strcmp(seen + n - length, text) != 0);
	return seen;
}

static const char *read_head(int fd) { return read_until(fd, "\r\n\r\n"); }

/* The other side has ended it, in order or not. */
static void expect_gone(int fd)
{
	char byte;
	ssize_t r = recv(fd, &byte, 1, 0);
	CHECK(r == 0 || (r < 0 && errno == ECONNRESET));
	close(fd);
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* ---- what is passed on ---------------------------------------------------------------------------------------------- */

TEST(request_head)
{
	struct server s;
	struct upstream u = open_upstream();
	proxy_start(&s, &u, 1, "");
	int client = dial(&s);
	TELL(client, "GET /a%20b?c=d HTTP/1.1\r\nHost: example.org\r\nAccept: x\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\n"
		"Keep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\nProxy-Connection: close\r\nProxy-Authorization: x\r\n"
		"Via: 1.0 other\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: gopher\r\nX-Yours:  2 \r\n\r\n");
	int above = answer_call(&u);
	CHECK_STR(read_head(above), "GET /a%20b?c=d HTTP/1.1\r\nHost: example.org\r\nAccept: x\r\nX-Yours: 2\r\n"
		"X-Forwarded-For: 1.2.3.4, 127.0.0.1\r\nX-Forwarded-Proto: http\r\nVia: 1.0 other, 1.1 weft\r\n\r\n");
	TELL(above, "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
		"Set-Cookie: a\r\nSet-Cookie: b\r\nDate: x\r\n\r\nok");
	CHECK_STR(read_until(client, "\r\n\r\nok"), "HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nDate: x\r\n"
		"Via: 1.1 weft\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
	expect_end(client);
	close(above);
	server_stop(&s);
}

struct passed {
	const char *asked, *seen; /* NULL: as it was asked, by the end of the request */
	const char *answered, *heard;
};

#define SEEN_HEAD(method) method " / HTTP/1.1\r\nHost: a\r\n" \
	"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nVia: 1.1 weft\r\n"
#define HEARD(fields) "HTTP/1.1 200 OK\r\nDate: x\r\nVia: 1.1 weft\r\n" fields "\r\n"
#define ANSWER(fields) "HTTP/1.1 200 OK\r\nDate: x\r\n" fields "\r\n"

/* Bodies both ways; the connection of the client goes on. */
TEST(bodies)
{
	static const struct passed table[] = {
		{GET, SEEN_HEAD("GET") "\r\n", ANSWER("Content-Length: 2\r\n") "ok", HEARD("Content-Length: 2\r\n") "ok"},
		{GET, SEEN_HEAD("GET") "\r\n", ANSWER("Content-Length: 0\r\n"), HEARD("Content-Length: 0\r\n")},
		{GET, SEEN_HEAD("GET") "\r\n", ANSWER("Transfer-Encoding: chunked\r\n") "1;x=y\r\no\r\n1\r\nk\r\n0\r\nA: b\r\n\r\n",
			HEARD("Transfer-Encoding: chunked\r\n") "1\r\no\r\n1\r\nk\r\n0\r\n\r\n"},
		{"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", SEEN_HEAD("HEAD") "\r\n", ANSWER("Content-Length: 1000\r\n"),
			HEARD("Content-Length: 1000\r\n")},
		{GET, SEEN_HEAD("GET") "\r\n", "HTTP/1.1 304 Same\r\nDate: x\r\nContent-Length: 9\r\n\r\n",
			"HTTP/1.1 304 Same\r\nDate: x\r\nVia: 1.1 weft\r\nContent-Length: 9\r\n\r\n"},
		{GET, SEEN_HEAD("GET") "\r\n", "HTTP/1.1 204 \r\nDate: x\r\nContent-Length: 9\r\n\r\n",
			"HTTP/1.1 204 \r\nDate: x\r\nVia: 1.1 weft\r\n\r\n"},
		{"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", SEEN_HEAD("PUT") "Content-Length: 5\r\n\r\nhello",
			ANSWER("Content-Length: 2\r\n") "ok", HEARD("Content-Length: 2\r\n") "ok"},
		{"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
			SEEN_HEAD("PUT") "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
			ANSWER("Content-Length: 2\r\n") "ok", HEARD("Content-Length: 2\r\n") "ok"},
		{GET, SEEN_HEAD("GET") "\r\n",
			"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100 Go on\r\n\r\n" ANSWER("Content-Length: 0\r\n"),
			"HTTP/1.1 103 Early\r\nLink: x\r\nVia: 1.1 weft\r\n\r\n" HEARD("Content-Length: 0\r\n")},
	};
	struct server s;
	struct upstream u = open_upstream();
	proxy_start(&s, &u, 1, "");
	int client = dial(&s), above = -1;
	for (const struct passed *p = table; p < table + sizeof(table) / sizeof(table[0]); p++) {
		char seen[1024] = "", heard[1024] = "";
		tell(client, p->asked, strlen(p->asked));
		if (above < 0)
			above = answer_call(&u); /* once: it is used again and again */
		CHECK_EQ(recv(above, seen, strlen(p->seen), MSG_WAITALL), (ssize_t)strlen(p->seen));
		CHECK_STR(seen, p->seen);
		tell(above, p->answered, strlen(p->answered));
		CHECK_EQ(recv(client, heard, strlen(p->heard), MSG_WAITALL), (ssize_t)strlen(p->heard));
		CHECK_STR(heard, p->heard);
	}
	close(client);
	close(above);
	server_stop(&s);
}

TEST(who_waits_for_too_long_is_closed)
{
	struct server s;
	struct upstream u = open_upstream();
	proxy_start(&s, &u, 1, "--proxy-idle-timeout 0.1");
	int client = dial(&s);
	TELL(client, GET);
	int above = answer_call(&u);
	read_head(above);
	TELL(above, OK);
	expect(client, 200, "ok");
	expect_gone(above);
	close(client);
	server_stop(&s);
}

/* A piece is passed on when it comes, not when the next one does. */
TEST(streams)
{
	struct server s;
	struct upstream u = open_upstream();
	proxy_start(&s, &u, 1, "");
	int client = dial(&s);
	TELL(client, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
	int above = answer_call(&u);
	read_until(above, "\r\n\r\n1\r\na\r\n");
	TELL(above, ANSWER("Transfer-Encoding: chunked\r\n") "1\r\nb\r\n");
	read_until(client, "1\r\nb\r\n"); /* and before the request has ended */
	TELL(client, "1\r\nc\r\n");
	read_until(above, "1\r\nc\r\n");
	TELL(above, "1\r\nd\r\n");
	read_until(client, "1\r\nd\r\n");
	TELL(client, "0\r\n\r\n");
	read_until(above, "0\r\n\r\n");
	TELL(above, "0\r\n\r\n");
	read_until(client, "0\r\n\r\n");
	TELL(client, GET);
	read_head(above);
	TELL(above, OK);
	expect(client, 200, "ok");
	close(client);
	server_stop(&s);
}

/* More than all buffers hold, both ways at once. */
TEST(echo)
{
	enum { TOTAL = 6 << 20 };
	static char piece[1 << 16];
	struct server above, s;
	char options[128];
	server_start(&above, "");
	snprintf(options, sizeof(options), "--proxy /=http://127.0.0.1:%d", above.port);
	server_start(&s, options);
	int client = dial(&s);
	memset(piece, 'x', sizeof(piece));
	pid_t writer = fork();
	if (writer == 0) {
		char head[128];
		int n = snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", TOTAL);
		bool well = tell(client, head, (size_t)n);
		for (size_t sent = 0; sent < TOTAL && well; sent += sizeof(piece))
			well = tell(client, piece, sizeof(piece));
		_exit(well ? 0 : 1);
	}
	struct response r = hear(client, false);
	CHECK_EQ(r.status, 200);
	CHECK_EQ(r.body_size, TOTAL);
	close(client);
	server_stop(&s);
	server_stop(&above);
}

TEST(pipelined_and_half)
{
	struct server above, s;
	char options[128];
	server_start(&above, "");
	snprintf(options, sizeof(options), "--proxy /=http://127.0.0.1:%d", above.port);
	server_start(&s, options);
	int client = dial(&s);
	TELL(client, "GET /bytes/3 HTTP/1.1\r\nHost: a\r\n\r\n"
		"GET /bytes/4 HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.0\r\n\r\n");
	expect_statuses(client, "200 200 404", "three at once");
	server_stop(&s);
	server_stop(&above);
}

TEST(continue_is_asked_for_above)
{
	struct server s;
	struct upstream u = open_upstream();
	proxy_start(&s, &u, 1, "");
	int client = dial(&s);
	TELL(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
	int above = answer_call(&u);
	CHECK(strstr(read_head(above), "\r\nExpect: 100-continue\r\n") != NULL);
	TELL(above, "HTTP/1.1 100 Continue\r\n\r\n");
	CHECK_STR(read_head(client), "HTTP/1.1 100 Continue\r\n\r\n");
	TELL(client, "hello");
	read_until(above, "hello");
	TELL(above, OK);
	expect(client, 200, "ok");
	TELL(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
	read_head(above);
	TELL(above, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
	expect_statuses(client, "403", "the body is not wanted");
	expect_gone(above);
	server_stop(&s);
}

/* The answer comes before the end of the request: the client hears it, and the connections end. */
TEST(answered_early)
{
	struct server s;
	struct upstream u = open_upstream();
	proxy_start(&s, &u, 1, "--linger 0.2");
	int client = dial(&s);
	TELL(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhello");
	int above = answer_call(&u);
	read_until(above, "hello");
	TELL(above, "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno");
	expect(client, 413, "no");
	expect_gone(above);
	expect_gone(client);
	server_stop(&s);
}

/* ---- hostile servers ------------------------------------------------------------------------------------------------- */

/* What a server says, and what the client hears of it: the status 502 and no byte of that server. */
TEST(answers_that_are_refused)
{
	static const char *const table[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nevil",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nevil",
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nevil",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nevil",
		"HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\nevil",
		"HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\nevil",
		"HTTP/1.1 200 OK\r\nA: b\rSet-Cookie: evil\r\nContent-Length: 4\r\n\r\nevil",
		"HTTP/1.1 200 OK\r\nA: b\nSet-Cookie: evil\r\nContent-Length: 4\r\n\r\nevil",
		"HTTP/1.1 200 OK\r\nA: b\r\n Content-Length: 4\r\n\r\nevil",
		"HTTP/1.1 200 OK\nContent-Length: 4\n\nevil",
		"HTTP/1.1 200 evil\rContent-Length: 4\r\n\r\nevil",
		"HTTP/1.1 99 OK\r\n\r\nevil",
		"HTTP/1.1 600 OK\r\n\r\nevil",
		"HTTP/1.1 2000 OK\r\n\r\nevil",
		"HTTP/2.0 200 OK\r\n\r\nevil",
		"HTTP/1.1  200 OK\r\n\r\nevil",
		"ICY 200 OK\r\n\r\nevil",
		"\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
		"HTTP/1.1 101 Switching\r\nUpgrade: evil\r\n\r\nevil",
		"evil",
		"",
	};
	struct server s;
	struct upstream u = open_upstream();
	proxy_start(&s, &u, 1, "");
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int client = dial(&s);
		TELL(client, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
		int above = answer_call(&u);
		read_head(above);
		tell(above, table[i], strlen(table[i]));
		shutdown(above, SHUT_WR);
		struct response r = hear(client, false);
		if (r.status != 502 || strstr(r.bytes, "evil") || strstr(r.body, "evil"))
			test_fail(__FILE__, __LINE__, "%d to %s", r.status, table[i]);
		expect_end(client);
		close(above);
	}
	server_stop(&s);
}

/* Behind the beginning of an answer nothing can be taken back: the client must see that it broke off. */
TEST(answers_that_break_off)
{
	static const char *const table[] = {
		ANSWER("Content-Length: 5\r\n") "hell",
		ANSWER("Transfer-Encoding: chunked\r\n") "4\r\nhell\r\n",
		ANSWER("Transfer-Encoding: chunked\r\n") "4\r\nhell\r\nx\r\n0\r\n\r\n",
		ANSWER("Transfer-Encoding: chunked\r\n") "4\r\nhell\r\n5\r\nabcdefgh0\r\n\r\n",
		ANSWER("Transfer-Encoding: chunked\r\n") "4\r\nhell\r\n0\r\nA: b\n\r\n",
	};
	struct server s;
	struct upstream u = open_upstream();
	proxy_start(&s, &u, 1, "");
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char heard[1024];
		size_t n = 0;
		ssize_t r;
		int client = dial(&s);
		TELL(client, GET);
		int above = answer_call(&u);
		read_head(above);
		tell(above, table[i], strlen(table[i]));
		shutdown(above, SHUT_WR);
		while ((r = recv(client, heard + n, sizeof(heard) - 1 - n, 0)) > 0)
			n += (size_t)r;
		heard[n] = '\0';
		CHECK(strstr(heard, "hell") != NULL);
		CHECK(strstr(heard, "hello") == NULL);
		CHECK(strstr(heard, "\r\n0\r\n\r\n") == NULL);
		close(client);
		close(above);
	}
	server_stop(&s);
}

/* What comes behind an answer is nobody's: the next request goes elsewhere. */
TEST(one_answer_too_many)
{
	struct server s;
	struct upstream u = open_upstream();
	proxy_start(&s, &u, 1, "");
	int client = dial(&s);
	TELL(client, GET);
	int above = answer_call(&u);
	read_head(above);
	TELL(above, OK "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
	expect(client, 200, "ok");
	expect_gone(above);
	TELL(client, GET);
	above = answer_call(&u);
	read_head(above);
	TELL(above, OK);
	expect(client, 200, "ok");
	TELL(above, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"); /* while it waits for its next request */
	TELL(client, GET);
	int other = answer_call(&u);
	read_head(other);
	TELL(other, OK);
	expect(client, 200, "ok");
	close(client);
	close(above);
	close(other);
	server_stop(&s);
}

/* ---- hostile clients ------------------------------------------------------------------------------------------------- */

/* Nothing of these reaches the server above. */
TEST(requests_that_stay_here)
{
	static const char *const table[][2] = {
		{"400", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET},
		{"400", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello" GET},
		{"400", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" GET},
		{"400", "GET / HTTP/1.1\r\nHost: a\r\nA: b\rHost: c\r\n\r\n"},
		{"400 400 400 400 405 501", "GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\nGET /%2e%2E HTTP/1.1\r\nHost: a\r\n\r\n"
			"GET /a/%2e%2e%2fb HTTP/1.1\r\nHost: a\r\n\r\nGET /. HTTP/1.1\r\nHost: a\r\n\r\n"
			"TRACE / HTTP/1.1\r\nHost: a\r\n\r\nCONNECT a:80 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
	};
	struct server s;
	struct upstream u = open_upstream();
	proxy_start(&s, &u, 1, "");
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int client = dial(&s);
		tell(client, table[i][1], strlen(table[i][1]));
		expect_statuses(client, table[i][0], table[i][1]);
	}
	server_stop(&s);
	CHECK(!comes(u.fd, 0));
}

/* A body that turns out to be no body is cut off above, at no place that could be taken for its end. */
TEST(a_body_that_breaks_off)
{
	struct server s;
	struct upstream u = open_upstream();
	proxy_start(&s, &u, 1, "");
	int client = dial(&s);
	TELL(client, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nx\r\n" GET);
	int above = answer_call(&u);
	read_until(above, "\r\n\r\n1\r\na\r\n");
	expect_gone(above);
	expect_statuses(client, "400", "a broken chunk");
	server_stop(&s);
}

/* ---- what goes wrong by itself --------------------------------------------------------------------------------------- */

TEST(nobody_above)
{
	struct server s;
	struct upstream u = open_upstream();
	close(u.fd);
	proxy_start(&s, &u, 1, "");
	int client = dial(&s);
	TELL(client, GET "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
	expect(client, 502, NULL);
	expect(client, 502, NULL);
	close(client);
	server_stop(&s);
}

TEST(too_slow_above)
{
	struct server s;
	struct upstream u = open_upstream();
	proxy_start(&s, &u, 1, "--proxy-timeout 0.2");
	int client = dial(&s);
	TELL(client, GET);
	int above = answer_call(&u);
	read_head(above);
	expect(client, 504, NULL);
	expect_gone(above);
	close(client);
	server_stop(&s);
}

/* Nobody waits for the answer any more: the server above hears of it. */
TEST(the_client_goes)
{
	static const char *const requests[] = {GET, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"};
	struct server s;
	struct upstream u = open_upstream();
	proxy_start(&s, &u, 1, "");
	for (size_t i = 0; i < 2; i++) {
		int client = dial(&s);
		tell(client, requests[i], strlen(requests[i]));
		int above = answer_call(&u);
		i == 0 ? read_head(above) : read_until(above, "hello");
		close(client);
		expect_gone(above);
	}
	server_stop(&s);
}

/* A connection that has been kept may turn out to be dead when it is used again: what can be asked twice is asked once more. */
TEST(a_stale_connection)
{
	struct server s;
	struct upstream u = open_upstream();
	proxy_start(&s, &u, 1, "");
	int client = dial(&s);
	TELL(client, GET);
	int above = answer_call(&u);
	read_head(above);
	TELL(above, OK);
	expect(client, 200, "ok");
	TELL(client, GET);
	read_head(above);
	close(above);
	above = answer_call(&u);
	read_head(above);
	TELL(above, OK);
	expect(client, 200, "ok");
	TELL(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
	read_head(above);
	close(above);
	expect(client, 502, NULL);
	close(client);
	server_stop(&s);
	CHECK(!comes(u.fd, 0));
}

/* Requests go to each server in turn, and past one that is not there. */
TEST(several_above)
{
	struct server s;
	struct upstream u[3] = {open_upstream(), open_upstream(), open_upstream()};
	int seen[3] = {0, 0, 0};
	close(u[1].fd);
	proxy_start(&s, u, 3, "--proxy-idle 0");
	for (int i = 0; i < 8; i++) {
		int client = dial(&s);
		TELL(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
		struct pollfd p[2] = {{.fd = u[0].fd, .events = POLLIN}, {.fd = u[2].fd, .events = POLLIN}};
		CHECK_EQ(poll(p, 2, PATIENCE_SECONDS * 1000), 1);
		int which = p[0].revents ? 0 : 2, above = answer_call(&u[which]);
		seen[which]++;
		read_until(above, "hello");
		TELL(above, OK);
		expect(client, 200, "ok");
		expect_gone(above); /* none is kept */
		close(client);
	}
	CHECK_GT(seen[0], 1);
	CHECK_GT(seen[2], 1);
	server_stop(&s);
}

TEST(prefixes)
{
	static const char *const bad[] = {
		"x=http://a", "/x", "/x=ftp://a", "/x=http://", "/x=http://a/b", "/x=http://a,", "/x=http://u@a",
	};
	struct server s;
	struct upstream u = open_upstream();
	char options[128];
	snprintf(options, sizeof(options), "--proxy /api=http://127.0.0.1:%d/", u.port);
	server_start(&s, options);
	int client = dial(&s);
	TELL(client, "GET /apix HTTP/1.1\r\nHost: a\r\n\r\n" GET "GET /api?x HTTP/1.1\r\nHost: a\r\n\r\n");
	expect(client, 404, NULL);
	expect(client, 200, "Hello, World!");
	int above = answer_call(&u);
	CHECK_EQ(strncmp(read_head(above), "GET /api?x HTTP/1.1\r\n", 21), 0);
	TELL(above, OK);
	expect(client, 200, "ok");
	close(client);
	close(above);
	server_stop(&s);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(options, sizeof(options), "--proxy '%s'", bad[i]);
		CHECK_EQ(server_run(&s, options), 2);
	}
}
