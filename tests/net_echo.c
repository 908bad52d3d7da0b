/* Many connections at once, every byte checked. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net_util.h"

enum { CONNECTIONS = 2000, ROUNDS = 5, MOST = 3000 };

static int serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[1024];
	ssize_t n;
	while ((n = weft_read(fd, buf, sizeof buf)) > 0)
		CHECK_EQ(weft_write(fd, buf, (size_t)n), n);
	CHECK_RESULT(n, 0);
	return weft_close(fd);
}

static int accept_all(void *arg)
{
	for (;;) {
		int fd = weft_accept(*(int *)arg, NULL, NULL);
		if (fd == -EBADF)
			return 0;
		CHECK_OK(fd);
		CHECK_OK(weft_go(serve, (void *)(intptr_t)fd));
	}
}

struct client {
	const char *addr;
	size_t seed;
};

static int send_rest(void *arg)
{
	struct call *call = arg;
	call->result = weft_write(call->fd, call->buf, call->n);
	return 0;
}

static int talk(void *arg)
{
	const struct client *client = arg;
	unsigned char out[MOST], in[MOST];
	int fd = weft_dial(client->addr, WEFT_NEVER);
	CHECK_OK(fd);
	for (int round = 0; round < ROUNDS; round++) {
		size_t n = (client->seed * 7919 + (size_t)round * 104729) % MOST + 1;
		fill_pattern(out, n, client->seed + (size_t)round);
		struct call rest = { .fd = fd, .buf = out, .n = n };
		struct weft_co *sender = spawn_call(send_rest, &rest);
		CHECK_RESULT(weft_read_full(fd, in, n, NULL), 0);
		CHECK_MEM(in, out, n);
		CHECK_EQ(join_call(sender), 0);
		CHECK_EQ(rest.result, n);
	}
	return weft_close(fd);
}

static void echo_with(const char *listen_addr, int count)
{
	char addr[64];
	struct client *clients = calloc((size_t)count, sizeof *clients);
	struct weft_co **cos = calloc((size_t)count, sizeof *cos);
	int listener = listen_addr ? weft_listen(listen_addr, 0) : listen_somewhere(addr);
	CHECK_OK(listener);
	struct weft_co *acceptor = spawn_call(accept_all, &listener);
	for (int i = 0; i < count; i++) {
		clients[i] = (struct client){ listen_addr ? listen_addr : addr, (size_t)i };
		cos[i] = spawn_call(talk, &clients[i]);
	}
	for (int i = 0; i < count; i++)
		CHECK_EQ(join_call(cos[i]), 0);
	CHECK_RESULT(weft_close(listener), 0);
	CHECK_EQ(join_call(acceptor), 0);
	free(clients);
	free(cos);
}

static int possible(int count)
{
	struct rlimit limit;
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	int most = (int)(limit.rlim_cur < 1 << 20 ? limit.rlim_cur : 1 << 20) / 2 - 20;
	return count < most ? count : most;
}

CO_TEST(echo_tcp) { echo_with(NULL, possible(test_scaled(CONNECTIONS))); }

CO_TEST(echo_unix)
{
	char addr[64];
	snprintf(addr, sizeof addr, "unix:@weft-test-echo-%d", (int)getpid()); /* tests run at the same time */
	echo_with(addr, possible(test_scaled(CONNECTIONS)));
}
