/* Options of sockets, listeners with options, addresses as text. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <weft/socket.h>

#include "net_util.h"

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof value;
	CHECK_EQ(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

/* ---- options ------------------------------------------------------------------------------------------------------- */

CO_TEST(nodelay)
{
	char addr[64];
	int listener = listen_somewhere(addr), fd, conn;
	for (int on = 0; on < 2; on++) {
		CHECK_RESULT(weft_set_nodelay(listener, on), 0);
		CHECK_OK(fd = weft_dial(addr, WEFT_NEVER));
		CHECK_OK(conn = weft_accept(listener, NULL, NULL));
		CHECK_EQ(option(conn, IPPROTO_TCP, TCP_NODELAY) != 0, on);
		CHECK_RESULT(weft_set_nodelay(fd, on), 0);
		CHECK_EQ(option(fd, IPPROTO_TCP, TCP_NODELAY) != 0, on);
		close_pair((int[]){ fd, conn });
	}
	CHECK_RESULT(weft_close(listener), 0);
	CHECK_RESULT(weft_set_nodelay(listener, true), -EBADF);
}

/* A listener from elsewhere has it only if weft is told. */
CO_TEST(nodelay_of_an_adopted_listener)
{
	char addr[64];
	int listener = listen_somewhere(addr), fd, conn;
	CHECK_RESULT(weft_release(listener), listener);
	CHECK_EQ(setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &(int){ 0 }, sizeof(int)), 0);
	CHECK_RESULT(weft_adopt(listener), 0);
	for (int told = 0; told < 2; told++) {
		CHECK_OK(fd = weft_dial(addr, WEFT_NEVER));
		CHECK_OK(conn = weft_accept(listener, NULL, NULL));
		CHECK_EQ(option(conn, IPPROTO_TCP, TCP_NODELAY) != 0, !told);
		close_pair((int[]){ fd, conn });
		CHECK_RESULT(weft_set_nodelay(listener, false), 0);
	}
	CHECK_RESULT(weft_close(listener), 0);
}

CO_TEST(keepalive)
{
	int fds[2];
	tcp_pair(fds);
	CHECK_RESULT(weft_set_keepalive(fds[0], 30, 10, 4), 0);
	CHECK_NE(option(fds[0], SOL_SOCKET, SO_KEEPALIVE), 0);
	CHECK_EQ(option(fds[0], IPPROTO_TCP, TCP_KEEPIDLE), 30);
	CHECK_EQ(option(fds[0], IPPROTO_TCP, TCP_KEEPINTVL), 10);
	CHECK_EQ(option(fds[0], IPPROTO_TCP, TCP_KEEPCNT), 4);
	CHECK_RESULT(weft_set_keepalive(fds[0], 20, 0, 0), 0);
	CHECK_EQ(option(fds[0], IPPROTO_TCP, TCP_KEEPIDLE), 20);
	CHECK_EQ(option(fds[0], IPPROTO_TCP, TCP_KEEPINTVL), 10);
	CHECK_RESULT(weft_set_keepalive(fds[0], 0, 0, 0), 0);
	CHECK_EQ(option(fds[0], SOL_SOCKET, SO_KEEPALIVE), 0);
	CHECK_RESULT(weft_set_keepalive(fds[0], 1 << 30, 0, 0), -EINVAL);
	close_pair(fds);
	CHECK_RESULT(weft_set_keepalive(fds[0], 0, 0, 0), -EBADF);
}

CO_TEST(linger)
{
	int fds[2];
	char c;
	for (int round = 0; round < 2; round++) {
		tcp_pair(fds);
		CHECK_RESULT(weft_set_linger(fds[0], 0), 0);
		if (round == 1)
			CHECK_RESULT(weft_set_linger(fds[0], -1), 0);
		CHECK_RESULT(weft_close(fds[0]), 0);
		CHECK_RESULT(weft_read(fds[1], &c, 1), round == 0 ? -ECONNRESET : 0);
		CHECK_RESULT(weft_close(fds[1]), 0);
	}
	CHECK_RESULT(weft_set_linger(fds[1], 0), -EBADF);
}

CO_TEST(buffers)
{
	int fds[2];
	tcp_pair(fds);
	int before = option(fds[0], SOL_SOCKET, SO_SNDBUF);
	CHECK_RESULT(weft_set_buffers(fds[0], 20000, 0), 0);
	CHECK_EQ(option(fds[0], SOL_SOCKET, SO_SNDBUF), before);
	CHECK_GE(option(fds[0], SOL_SOCKET, SO_RCVBUF), 20000);
	CHECK_LT(option(fds[0], SOL_SOCKET, SO_RCVBUF), 100000);
	CHECK_RESULT(weft_set_buffers(fds[0], 0, 30000), 0);
	CHECK_GE(option(fds[0], SOL_SOCKET, SO_SNDBUF), 30000);
	CHECK_LT(option(fds[0], SOL_SOCKET, SO_SNDBUF), 100000);
	close_pair(fds);
	CHECK_RESULT(weft_set_buffers(fds[0], 1, 1), -EBADF);
	CHECK_RESULT(weft_pipe(fds), 0);
	CHECK_RESULT(weft_set_buffers(fds[0], 1, 1), -ENOTSOCK);
	close_pair(fds);
}

/* ---- listeners ----------------------------------------------------------------------------------------------------- */

/* Each of two listeners gets some of many connections, and together they get all. */
CO_TEST(port_is_shared)
{
	enum { N = 64 };
	struct weft_listen_opts opts = { .size = sizeof opts, .flags = WEFT_REUSE_PORT };
	char addr[WEFT_ADDR_SIZE];
	int listeners[2], fds[N], taken[2] = { 0, 0 };
	CHECK_OK(listeners[0] = weft_listen_with("127.0.0.1:0", &opts));
	CHECK_OK(weft_local_addr(listeners[0], addr, sizeof addr));
	CHECK_RESULT(weft_listen(addr, 0), -EADDRINUSE);
	CHECK_OK(listeners[1] = weft_listen_with(addr, &opts));
	for (int i = 0; i < N; i++)
		CHECK_OK(fds[i] = weft_dial(addr, WEFT_NEVER));
	while (taken[0] + taken[1] < N) {
		struct weft_case cases[2];
		for (int i = 0; i < 2; i++)
			cases[i] = (struct weft_case){ .op = WEFT_OP_FD, .fd = listeners[i], .dirs = WEFT_READ };
		int i = weft_select(cases, 2, WEFT_NEVER), conn;
		CHECK_OK(i);
		CHECK_OK(conn = weft_accept(listeners[i], NULL, NULL));
		CHECK_RESULT(weft_close(conn), 0);
		taken[i]++;
	}
	CHECK_GT(taken[0], 0);
	CHECK_GT(taken[1], 0);
	for (int i = 0; i < N; i++)
		CHECK_RESULT(weft_close(fds[i]), 0);
	close_pair(listeners);
}

CO_TEST(listen_options)
{
	struct weft_listen_opts opts = { .size = sizeof opts, .flags = WEFT_V6_ONLY, .backlog = 3 };
	char addr[WEFT_ADDR_SIZE];
	int fd, conn, listener = weft_listen_with(":0", &opts);
	if (listener >= 0) {
		CHECK_NE(option(listener, IPPROTO_IPV6, IPV6_V6ONLY), 0);
		CHECK_OK(weft_local_addr(listener, addr, sizeof addr));
		CHECK_MEM(addr, "[::]:", 5);
		CHECK_RESULT(weft_dial(strrchr(addr, ':'), WEFT_NEVER), -ECONNREFUSED); /* by IPv4 */
		CHECK_RESULT(weft_close(listener), 0);
	}
	CHECK_OK(listener = weft_listen_with("127.0.0.1:0", NULL));
	CHECK_OK(weft_local_addr(listener, addr, sizeof addr));
	CHECK_OK(fd = weft_dial(addr, WEFT_NEVER));
	CHECK_OK(conn = weft_accept(listener, NULL, NULL));
	close_pair((int[]){ fd, conn });
	CHECK_RESULT(weft_close(listener), 0);
	opts = (struct weft_listen_opts){ .size = 1 };
	CHECK_RESULT(weft_listen_with(":0", &opts), -EINVAL);
	opts = (struct weft_listen_opts){ .size = sizeof opts, .flags = WEFT_BROADCAST };
	CHECK_RESULT(weft_listen_with(":0", &opts), -EINVAL);
}

/* ---- addresses ----------------------------------------------------------------------------------------------------- */

/* There and back. */
static void check_text(const char *text, const char *expected)
{
	struct sockaddr_storage addr;
	socklen_t len;
	char out[WEFT_ADDR_SIZE];
	CHECK_RESULT(weft_addr_parse(text, &addr, &len), 0);
	CHECK_EQ(weft_addr_text((struct sockaddr *)&addr, len, out, sizeof out), strlen(expected));
	CHECK_STR(out, expected);
	CHECK_EQ(weft_addr_text((struct sockaddr *)&addr, len, out, strlen(expected) + 1), strlen(expected));
	CHECK_RESULT(weft_addr_text((struct sockaddr *)&addr, len, out, strlen(expected)), -ENOSPC);
}

TEST(text_and_back)
{
	static const char *const same[] = { "127.0.0.1:80", "255.255.255.255:65535", "[::1]:8080", "[::]:0", "[2001:db8::77]:1",
					    "unix:/tmp/x", "unix:@abstract", "unix:relative" };
	for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
		check_text(same[i], same[i]);
	check_text(":80", "127.0.0.1:80");
	check_text("localhost:80", "127.0.0.1:80");
	check_text("[::ffff:1.2.3.4]:80", "1.2.3.4:80");
	check_text("[fe80::1%77777]:80", "[fe80::1%77777]:80");
	if (if_nametoindex("lo") != 0)
		check_text("[fe80::1%lo]:80", "[fe80::1%lo]:80");
	char longest[WEFT_ADDR_SIZE] = "unix:";
	memset(longest + 5, 'x', 107);
	check_text(longest, longest);
}

TEST(bad_addresses)
{
	struct sockaddr_storage addr = { .ss_family = AF_UNSPEC };
	struct sockaddr_un path = { .sun_family = AF_UNIX, .sun_path = "" };
	socklen_t len, unix_len = offsetof(struct sockaddr_un, sun_path);
	char out[WEFT_ADDR_SIZE];
	CHECK_RESULT(weft_addr_parse("some.name:80", &addr, &len), -EINVAL);
	CHECK_RESULT(weft_addr_parse("127.0.0.1", &addr, &len), -EINVAL);
	CHECK_RESULT(weft_addr_text((struct sockaddr *)&addr, sizeof addr, out, sizeof out), -EAFNOSUPPORT);
	addr.ss_family = AF_INET6;
	CHECK_RESULT(weft_addr_text((struct sockaddr *)&addr, sizeof(struct sockaddr_in), out, sizeof out), -EAFNOSUPPORT);
	CHECK_EQ(weft_addr_text((struct sockaddr *)&path, unix_len, out, sizeof out), 5);
	CHECK_STR(out, "unix:"); /* without a name */
	memcpy(path.sun_path, "\0a\0b", 4);
	CHECK_RESULT(weft_addr_text((struct sockaddr *)&path, unix_len + 4, out, sizeof out), -EINVAL);
	CHECK_EQ(weft_addr_text((struct sockaddr *)&path, unix_len + 2, out, sizeof out), 7);
	CHECK_STR(out, "unix:@a");
	memset(path.sun_path, 'x', sizeof path.sun_path); /* no zero at the end */
	CHECK_EQ(weft_addr_text((struct sockaddr *)&path, sizeof path, out, sizeof out), 5 + sizeof path.sun_path);
}

CO_TEST(both_ends)
{
	char addr[WEFT_ADDR_SIZE], text[WEFT_ADDR_SIZE], peer[WEFT_ADDR_SIZE];
	int fds[2], listener = weft_listen("127.0.0.1:0", 0);
	CHECK_OK(weft_local_addr(listener, addr, sizeof addr));
	CHECK_RESULT(weft_peer_addr(listener, text, sizeof text), -ENOTCONN);
	CHECK_OK(fds[0] = weft_dial(addr, WEFT_NEVER));
	CHECK_OK(fds[1] = weft_accept(listener, NULL, NULL));
	CHECK_OK(weft_peer_addr(fds[0], text, sizeof text));
	CHECK_STR(text, addr);
	CHECK_OK(weft_local_addr(fds[0], text, sizeof text));
	CHECK_OK(weft_peer_addr(fds[1], peer, sizeof peer));
	CHECK_STR(text, peer);
	close_pair(fds);
	CHECK_RESULT(weft_close(listener), 0);
	CHECK_RESULT(weft_local_addr(listener, text, sizeof text), -EBADF);
	CHECK_RESULT(weft_pipe(fds), 0);
	CHECK_RESULT(weft_peer_addr(fds[0], text, sizeof text), -ENOTSOCK);
	close_pair(fds);
}
