/* examples/http against clients that take their time, and how it ends. What must not happen before its time is checked by what must
 * happen instead; nothing here measures time. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "http_peer.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(fields) "POST /echo HTTP/1.1\r\nHost: a\r\n" fields "\r\n"

/* ---- slow clients -------------------------------------------------------------------------------------------------- */

TEST(slow_head)
{
	struct server s;
	server_start(&s, "--header-timeout 0.2");
	int fd = dial(&s);
	TELL(fd, "GET / HTTP/1.1\r\n");
	expect_statuses(fd, "408", "half a head");
	fd = dial(&s);
	TELL(fd, GET("/"));
	expect(fd, 200, NULL);
	TELL(fd, "G");
	expect_statuses(fd, "408", "half a head behind a request");
	server_stop(&s);
}

/* The deadline is for the whole head: bytes that trickle in don't move it. */
TEST(trickling_head)
{
	struct server s;
	server_start(&s, "--header-timeout 0.5");
	int fd = dial(&s);
	struct pollfd answered = {.fd = fd, .events = POLLIN};
	TELL(fd, "GET / HTTP/1.1\r\nA: ");
	while (poll(&answered, 1, 20) == 0)
		TELL(fd, "x");
	expect(fd, 408, NULL);
	close(fd);
	server_stop(&s);
}

TEST(silent_clients)
{
	struct server s;
	server_start(&s, "--header-timeout 0.2 --idle-timeout 3600");
	expect_end(dial(&s));
	server_stop(&s);
	server_start(&s, "--header-timeout 3600 --idle-timeout 0.2");
	int fd = dial(&s);
	TELL(fd, GET("/"));
	expect(fd, 200, NULL);
	expect_end(fd);
	server_stop(&s);
}

TEST(slow_body)
{
	struct server s;
	server_start(&s, "--body-timeout 0.2");
	int fd = dial(&s);
	TELL(fd, POST("Content-Length: 5\r\n"));
	expect_statuses(fd, "408", "no body");
	fd = dial(&s);
	TELL(fd, POST("Transfer-Encoding: chunked\r\n") "5");
	expect_statuses(fd, "408", "half a chunk size");
	fd = dial(&s);
	TELL(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell");
	expect_statuses(fd, "405", "a body that nobody wants, and that does not come");
	server_stop(&s);
}

/* Bytes that trickle in do not move the deadline of a body either, however it is framed. */
TEST(trickling_body)
{
	static const char *const begun[] = {POST("Content-Length: 100000\r\n"), POST("Transfer-Encoding: chunked\r\n") "10000\r\n"};
	struct server s;
	server_start(&s, "--body-timeout 0.5 --min-rate 10000");
	for (int i = 0; i < 2; i++) {
		int fd = dial(&s);
		struct pollfd ended = {.fd = fd, .events = POLLRDHUP};
		tell(fd, begun[i], strlen(begun[i]));
		while (poll(&ended, 1, 20) == 0)
			TELL(fd, "x");
		close(fd);
	}
	server_stop(&s);
}

/* Bytes of a body that keep coming keep the connection. */
TEST(steady_body)
{
	struct server s;
	server_start(&s, "--body-timeout 1.5 --min-rate 1");
	int fd = dial(&s);
	TELL(fd, POST("Content-Length: 20\r\n"));
	for (int i = 0; i < 20; i++) {
		TELL(fd, "x");
		usleep(100000);
	}
	expect(fd, 200, "xxxxxxxxxxxxxxxxxxxx");
	close(fd);
	server_stop(&s);
}

/* A client that does not read is given up: the server, told to end, does not have to cut it. */
TEST(client_that_does_not_read)
{
	static const char *const requests[] = {GET("/bytes/1000000000"), GET("/bytes/100000000") GET("/")};
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct server s;
		char byte;
		server_start(&s, "--write-timeout 0.3 --drain 40");
		int fd = dial(&s);
		tell(fd, requests[i], strlen(requests[i]));
		CHECK_EQ(recv(fd, &byte, 1, MSG_PEEK), 1);
		server_signal(&s);
		CHECK_EQ(server_wait(&s), 0);
		CHECK_STR(s.error, "");
		close(fd);
	}
}

/* Nor is it enough to take a byte now and then. */
TEST(client_that_hardly_reads)
{
	struct server s;
	static char buffer[4096];
	server_start(&s, "--write-timeout 0.5 --min-rate 1000000 --drain 40");
	int fd = dial(&s);
	TELL(fd, GET("/bytes/1000000000"));
	CHECK_EQ(recv(fd, buffer, 1, MSG_PEEK), 1);
	server_signal(&s);
	struct pollfd gone = {.fd = s.error_fd, .events = POLLIN};
	while (poll(&gone, 1, 20) == 0)
		CHECK_GT(recv(fd, buffer, sizeof(buffer), 0), 0);
	CHECK_EQ(server_wait(&s), 0);
	CHECK_STR(s.error, "");
	close(fd);
}

/* A client that reads slowly, but reads, gets all of it. */
TEST(slow_reader)
{
	enum { SIZE = 8000000 };
	struct server s;
	static char buffer[SIZE / 40];
	size_t n = 0;
	ssize_t r;
	server_start(&s, "--write-timeout 1");
	int fd = dial(&s);
	TELL(fd, "GET /bytes/8000000 HTTP/1.0\r\n\r\n");
	while ((r = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
		n += (size_t)r;
		usleep(50000);
	}
	CHECK_EQ(r, 0);
	CHECK_GT(n, SIZE);
	close(fd);
	server_stop(&s);
}

/* Many clients, of which some are slow in every way: these are given up, the others served meanwhile. bench/http_slow measures. */
TEST(slow_ones_among_many)
{
	enum { CLIENTS = 200, SLOW = 6 };
	static const char *const begun[] = {
		"GET / HTTP/1.1\r\nHost: a\r\n", POST("Content-Length: 1000000\r\n"), GET("/bytes/1000000000"),
	};
	static char buffer[4096];
	struct server s;
	int fds[CLIENTS], slow = SLOW;
	server_start(&s, "--header-timeout 0.5 --body-timeout 0.5 --write-timeout 0.5 --drain 40");
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = dial(&s);
	for (int i = 0; i < SLOW; i++)
		tell(fds[i], begun[i % 3], strlen(begun[i % 3]));
	while (slow > SLOW / 3) { /* who does not read does not see the end */
		for (int i = SLOW; i < CLIENTS; i++)
			TELL(fds[i], GET("/bytes/100"));
		for (int i = SLOW; i < CLIENTS; i++)
			expect(fds[i], 200, NULL);
		for (int i = 0; i < SLOW; i++) {
			bool reads = i % 3 == 2;
			if (fds[i] < 0)
				continue;
			ssize_t heard = recv(fds[i], buffer, reads ? 1 : sizeof(buffer), MSG_DONTWAIT);
			if (heard != 0 && (reads || TELL(fds[i], "x")))
				continue;
			close(fds[i]);
			fds[i] = -1;
			slow--;
		}
	}
	server_signal(&s);
	for (int i = SLOW; i < CLIENTS; i++)
		expect_end(fds[i]);
	CHECK_EQ(server_wait(&s), 0); /* without having to cut those that do not read */
	CHECK_STR(s.error, "");
}

/* ---- the end ------------------------------------------------------------------------------------------------------- */

TEST(end_with_nobody_there)
{
	struct server s;
	server_start(&s, "");
	server_stop(&s);
	CHECK_STR(s.error, "");
	CHECK(!can_dial(&s));
}

/* Who waits for an answer gets it; who has none coming sees the end; what comes later is refused. */
TEST(end_with_requests_in_progress)
{
	struct server s;
	server_start(&s, "--header-timeout 30 --idle-timeout 30");
	int idle = dial(&s), unused = dial(&s), sleeping = dial(&s), half = dial(&s), body = dial(&s);
	TELL(idle, GET("/"));
	expect(idle, 200, NULL);
	TELL(half, GET("/"));
	expect(half, 200, NULL);
	TELL(half, "GET / HTTP");
	TELL(body, POST("Expect: 100-continue\r\nContent-Length: 5\r\n"));
	expect(body, 100, "");
	TELL(body, "hell");
	TELL(sleeping, GET("/sleep/1") GET("/sleep/1500"));
	expect(sleeping, 200, "slept\n"); /* now it is on the second */
	server_signal(&s);
	expect_end(idle);
	expect_end(unused);
	struct response r = hear(sleeping, false);
	CHECK_EQ(r.status, 200);
	CHECK(r.closes);
	expect_end(sleeping);
	CHECK(!can_dial(&s));
	TELL(half, "/1.1\r\nHost: a\r\n\r\n");
	r = hear(half, false);
	CHECK_EQ(r.status, 200);
	CHECK(r.closes);
	expect_end(half);
	TELL(body, "o");
	expect(body, 200, "hello");
	expect_end(body);
	CHECK_EQ(server_wait(&s), 0);
	CHECK_STR(s.error, "");
}

/* A request that is in the socket when the end comes has arrived; of so many, some haven't been looked at by then. */
TEST(end_answers_what_has_arrived)
{
	enum { CONNECTIONS = 500 };
	struct server s;
	int fds[CONNECTIONS];
	server_start(&s, "");
	for (int i = 0; i < CONNECTIONS; i++) {
		fds[i] = dial(&s);
		TELL(fds[i], GET("/"));
		expect(fds[i], 200, NULL);
	}
	CHECK_EQ(kill(s.pid, SIGSTOP), 0);
	for (int i = 0; i < CONNECTIONS; i++)
		TELL(fds[i], GET("/bytes/3"));
	server_signal(&s);
	CHECK_EQ(kill(s.pid, SIGCONT), 0);
	for (int i = 0; i < CONNECTIONS; i++) {
		expect(fds[i], 200, "abc");
		expect_end(fds[i]);
	}
	CHECK_EQ(server_wait(&s), 0);
}

TEST(end_at_the_deadline)
{
	struct server s;
	server_start(&s, "--drain 0.2");
	int a = dial(&s), b = dial(&s);
	TELL(a, GET("/") GET("/sleep/60000"));
	expect(a, 200, NULL);
	TELL(b, POST("Expect: 100-continue\r\nContent-Length: 5\r\n"));
	expect(b, 100, NULL);
	server_signal(&s);
	CHECK_EQ(server_wait(&s), 0);
	CHECK_STR(s.error, "http: connections cut: 2\n");
	expect_end(a);
	close(b);
}

TEST(second_signal_does_not_wait)
{
	struct server s;
	server_start(&s, "--drain 3600");
	int a = dial(&s), idle = dial(&s);
	TELL(idle, GET("/"));
	expect(idle, 200, NULL);
	TELL(a, GET("/sleep/1") GET("/sleep/60000"));
	expect(a, 200, NULL);
	server_signal(&s);
	expect_end(idle); /* it has begun */
	server_signal(&s);
	CHECK_EQ(server_wait(&s), 0);
	CHECK_STR(s.error, "http: connections cut: 1\n");
	close(a);
}

TEST(end_under_load)
{
	enum { CONNECTIONS = 200 };
	struct server s;
	int fds[CONNECTIONS];
	server_start(&s, "");
	for (int i = 0; i < CONNECTIONS; i++) {
		fds[i] = dial(&s);
		TELL(fds[i], GET("/"));
		expect(fds[i], 200, NULL);
		if (i % 2)
			TELL(fds[i], GET("/sleep/100"));
	}
	server_signal(&s);
	for (int i = 0; i < CONNECTIONS; i++) {
		if (i % 2)
			expect(fds[i], 200, NULL);
		expect_end(fds[i]);
	}
	CHECK_EQ(server_wait(&s), 0);
	CHECK_STR(s.error, "");
}

/* ---- the command line ---------------------------------------------------------------------------------------------- */

static void expect_complaint(const char *options, const char *about)
{
	struct server s;
	CHECK_EQ(server_run(&s, options), 2);
	CHECK(strstr(s.error, about) != NULL);
	CHECK_PTR(strchr(s.error, '\n'), s.error + strlen(s.error) - 1); /* one line */
}

TEST(command_line)
{
	struct server s;
	expect_complaint("--frob", "--frob");
	expect_complaint("frob", "frob");
	expect_complaint("-x", "-x");
	expect_complaint("--", "--");
	expect_complaint("--listen", "--listen");
	expect_complaint("--listen nonsense", "nonsense");
	expect_complaint("--listen 127.0.0.1:99999", "99999");
	expect_complaint("--max-conns 0", "max-conns");
	expect_complaint("--max-conns 1x", "1x");
	expect_complaint("--max-conns=", "max-conns");
	expect_complaint("--max-conns 1.5", "1.5");
	expect_complaint("--max-head 65536", "65536");
	expect_complaint("--max-line 200 --max-head 100", "max-line");
	expect_complaint("--idle-timeout -1", "-1");
	expect_complaint("--idle-timeout nan", "nan");
	expect_complaint("--root /nowhere/at/all", "/nowhere/at/all");
	CHECK_EQ(server_run(&s, "--help"), 0);
	CHECK_STR(s.error, "");
	server_start(&s, "");
	char options[64];
	struct server t;
	snprintf(options, sizeof(options), "--listen 127.0.0.1:%d", s.port);
	CHECK_EQ(server_run(&t, options), 1);
	CHECK(strstr(t.error, "in use") != NULL);
	server_stop(&s);
}

TEST(unix_socket)
{
	struct server s;
	char path[64], options[128];
	snprintf(path, sizeof(path), "/tmp/weft-http-%d.sock", (int)getpid());
	snprintf(options, sizeof(options), "--listen unix:%s", path);
	server_start(&s, options);
	int fd = dial_unix(path);
	TELL(fd, GET("/"));
	expect(fd, 200, "Hello, World!");
	close(fd);
	server_stop(&s);
	CHECK_NE(access(path, F_OK), 0);
}
