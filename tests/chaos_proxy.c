/* The example chaos, from outside, and how echo and http stand what it does to them. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "http_peer.h"

static void start(struct server *s, const char *program, const char *options)
{
	char first[600];
	snprintf(first, sizeof first, "PROGRAM=\"%s\"; eval \"set -- $PROGRAM\"; PROGRAM=$*", program);
	server_start_after(s, first, options);
}

static void start_chaos(struct server *s, const struct server *behind, int seed, const char *options)
{
	char all[400];
	snprintf(all, sizeof all, "--to 127.0.0.1:%d --seed %d %s", behind->port, seed, options);
	start(s, CHAOS, all);
}

/* Sends n bytes, takes what comes back, and checks that it is the same as far as it goes. Their number; fewer: a reset. */
static size_t echo(const struct server *s, size_t n)
{
	char *bytes = malloc(n), *got = malloc(n);
	size_t sent = 0, heard = 0;
	ssize_t r = 1;
	int fd = dial(s);
	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)(i * 7 + i / 251);
	while (heard < n && r > 0) {
		struct pollfd p = { .fd = fd, .events = (short)(POLLIN | (sent < n ? POLLOUT : 0)) };
		CHECK_EQ(poll(&p, 1, 30000), 1);
		if (p.revents & POLLOUT && (r = send(fd, bytes + sent, n - sent, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
			sent += (size_t)r;
		if (p.revents & ~POLLOUT && (r = recv(fd, got + heard, n - heard, 0)) > 0)
			heard += (size_t)r;
		if (r < 0 && errno == EAGAIN)
			r = 1;
	}
	if (heard < n)
		CHECK(r == 0 || errno == ECONNRESET || errno == EPIPE);
	CHECK_MEM(got, bytes, heard);
	close(fd);
	free(bytes);
	free(got);
	return heard;
}

TEST(nothing_is_lost)
{
	struct server behind, s;
	start(&behind, ECHO, "");
	for (int seed = 1; seed <= test_scaled(4); seed++) {
		start_chaos(&s, &behind, seed, "--piece 700 --delay 1");
		for (int i = 0; i < 3; i++)
			CHECK_EQ(echo(&s, 20000), 20000);
		server_stop(&s);
	}
	server_stop(&behind);
}

/* Some of the connections get through, others are reset midway; nobody gets a wrong byte, and who does not go through chaos does
 * not notice. */
TEST(resets)
{
	enum { CONNECTIONS = 30 };
	struct server behind, s;
	int whole = 0;
	start(&behind, ECHO, "");
	start_chaos(&s, &behind, 1, "--piece 2000 --delay 0 --stall 0 --reset 20");
	for (int i = 0; i < CONNECTIONS; i++) {
		whole += echo(&s, 20000) == 20000;
		CHECK_EQ(echo(&behind, 1000), 1000);
	}
	CHECK_GT(whole, 0);
	CHECK_LT(whole, CONNECTIONS);
	server_stop(&s);
	server_stop(&behind);
}

/* What one connection meets, up and down apart: the two are told of in any order. */
static void sort_trace(const char *trace, const char *prefix, char *out, size_t size)
{
	size_t n = 0;
	for (const char *line = trace; *line; line += strcspn(line, "\n") + 1)
		if (strncmp(line, prefix, strlen(prefix)) == 0)
			n += (size_t)snprintf(out + n, size - n, "%.*s\n", (int)strcspn(line, "\n"), line);
	CHECK_GT(n, 0);
}

static void trace(const struct server *behind, int seed, size_t first, char up[4096], char down[4096])
{
	struct server s;
	start_chaos(&s, behind, seed, "--piece 1500 --delay 3 --reset 5 --trace");
	echo(&s, first);
	echo(&s, 20000);
	server_stop(&s);
	sort_trace(s.error, "2 up", up, 4096);
	sort_trace(s.error, "2 down", down, 4096);
}

/* Whatever the first connection was used for, the second one has its own fate. */
TEST(same_seed_same_trouble)
{
	static char up[3][4096], down[3][4096];
	struct server behind;
	start(&behind, ECHO, "");
	trace(&behind, 5, 1000, up[0], down[0]);
	trace(&behind, 5, 5000, up[1], down[1]);
	trace(&behind, 6, 5000, up[2], down[2]);
	CHECK_STR(up[0], up[1]);
	CHECK_STR(down[0], down[1]);
	CHECK_NE(strcmp(up[0] + 4, down[0] + 6), 0);
	CHECK_NE(strcmp(up[1], up[2]), 0);
	server_stop(&behind);
}

TEST(http_in_pieces)
{
	struct server behind, s;
	start(&behind, HTTP, "");
	for (int seed = 1; seed <= test_scaled(4); seed++) {
		start_chaos(&s, &behind, seed, "--piece 40 --delay 1 --stall 0");
		int fd = dial(&s);
		TELL(fd, "GET /bytes/26 HTTP/1.1\r\nHost: a\r\n\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
			 "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
			 "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
		expect(fd, 200, "abcdefghijklmnopqrstuvwxyz");
		expect(fd, 200, "hello");
		expect(fd, 200, "hello world");
		expect_end(fd);
		server_stop(&s);
	}
	server_stop(&behind);
}

/* Requests that are cut anywhere leave a server that answers, and that ends in order. */
TEST(http_with_resets)
{
	struct server behind, s;
	char answer[4096];
	int cut = 0;
	start(&behind, HTTP, "");
	start_chaos(&s, &behind, 3, "--piece 60 --delay 0 --stall 0 --reset 30");
	for (int i = 0; i < 30; i++) {
		int fd = dial(&s);
		ssize_t n = 0, r = 1;
		TELL(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\nConnection: close\r\n\r\n");
		memset(answer, 'x', 500);
		tell(fd, answer, 500);
		while (n < (ssize_t)sizeof answer && (r = recv(fd, answer + n, sizeof answer - (size_t)n, 0)) > 0)
			n += r;
		cut += r < 0;
		close(fd);
		fd = dial(&behind);
		TELL(fd, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
		expect(fd, 200, NULL);
		close(fd);
	}
	CHECK_GT(cut, 0);
	CHECK_LT(cut, 30);
	server_stop(&s);
	server_stop(&behind);
}

/* Nobody behind it: the client is told, by a reset. */
TEST(nobody_there)
{
	struct server behind, s;
	char byte;
	start(&behind, ECHO, "");
	start_chaos(&s, &behind, 1, "");
	server_stop(&behind);
	int fd = dial(&s);
	CHECK_EQ(recv(fd, &byte, 1, 0), -1);
	CHECK_EQ(errno, ECONNRESET);
	close(fd);
	server_stop(&s);
}
