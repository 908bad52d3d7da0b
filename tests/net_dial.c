/* Dialling names with several addresses. The resolver is a fake, and the system calls of a dial are counted, cancelled at, and
 * failed here. An address where nobody ever answers is a listener with a full queue, to which Linux gives no answer at all. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net_util.h"

enum { MOST = 64 };

/* What the name "some" stands for. */
static struct { bool v6; in_port_t port; } addresses[MOST];
static int address_count;

/* The connects of dials, in order: to which port. */
static in_port_t tried[64];
static atomic_int connects;

/* The steps of a dial that is watched: before the one with this number it is cancelled, or the step fails. */
static atomic_int step, cancel_at, fail_at;
static struct weft_co *watched;
static atomic_uint_least64_t watched_id; /* 0: none */

static atomic_int no_addr, own_peers; /* so many of the next calls tell that */

/* ---- the system as it is seen --------------------------------------------------------------------------------------- */

int getaddrinfo(const char *restrict host, const char *restrict service, const struct addrinfo *restrict hints,
		struct addrinfo **restrict found)
{
	(void)service;
	(void)hints;
	if (strcmp(host, "some") != 0)
		return EAI_NONAME;
	for (int i = 0; i < address_count; i++, found = &(*found)->ai_next) {
		struct sockaddr_in6 *addr = calloc(1, sizeof *addr);
		*found = calloc(1, sizeof **found);
		**found = (struct addrinfo){ .ai_family = addresses[i].v6 ? AF_INET6 : AF_INET, .ai_socktype = SOCK_STREAM };
		(*found)->ai_addr = (struct sockaddr *)addr;
		(*found)->ai_addrlen = addresses[i].v6 ? sizeof *addr : sizeof(struct sockaddr_in);
		if (addresses[i].v6)
			*addr = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
		else
			((struct sockaddr_in *)(void *)addr)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		addr->sin6_family = (sa_family_t)(*found)->ai_family;
		addr->sin6_port = addresses[i].port; /* at the same place in both */
	}
	return 0;
}

void freeaddrinfo(struct addrinfo *info)
{
	for (struct addrinfo *next; info; info = next) {
		next = info->ai_next;
		free(info->ai_addr);
		free(info);
	}
}

/* Whether this step fails. Only the coroutine that is watched has steps. */
static bool count_step(bool inside_the_gate)
{
	uint64_t self = weft_self();
	if (self == 0 || self != atomic_load(&watched_id))
		return false;
	int now = atomic_fetch_add(&step, 1) + 1;
	if (now == atomic_load(&cancel_at) && !inside_the_gate)
		CHECK_RESULT(weft_cancel(watched), 0);
	return now == atomic_load(&fail_at);
}

static int fail(int error)
{
	errno = error;
	return -1;
}

/* Under names of their own in C, since the system's headers declare some in ways of their own. */
int socket_seen(int domain, int type, int protocol) __asm__("socket");
int connect_seen(int fd, const struct sockaddr *addr, socklen_t len) __asm__("connect");
int getsockopt_seen(int fd, int level, int name, void *value, socklen_t *len) __asm__("getsockopt");
int getpeername_seen(int fd, struct sockaddr *addr, socklen_t *len) __asm__("getpeername");
int getsockname_seen(int fd, struct sockaddr *addr, socklen_t *len) __asm__("getsockname");
int epoll_ctl_seen(int epoll, int op, int fd, struct epoll_event *event) __asm__("epoll_ctl");

int socket_seen(int domain, int type, int protocol)
{
	return count_step(false) ? fail(EMFILE) : (int)syscall(SYS_socket, domain, type, protocol);
}

int connect_seen(int fd, const struct sockaddr *addr, socklen_t len)
{
	int n = no_addr;
	if (count_step(false))
		return fail(ENETUNREACH);
	if (weft_self() != 0 && addr->sa_family != AF_UNIX) {
		int at = atomic_fetch_add(&connects, 1);
		if (at < (int)(sizeof tried / sizeof tried[0]))
			tried[at] = ((const struct sockaddr_in *)(const void *)addr)->sin_port;
		while (n > 0 && !atomic_compare_exchange_weak(&no_addr, &n, n - 1))
			;
		if (n > 0)
			return fail(EADDRNOTAVAIL);
	}
	return (int)syscall(SYS_connect, fd, addr, len);
}

int getsockopt_seen(int fd, int level, int name, void *value, socklen_t *len)
{
	bool fails = name == SO_ERROR && count_step(false);
	return fails ? fail(ENOBUFS) : (int)syscall(SYS_getsockopt, fd, level, name, value, len);
}

int getpeername_seen(int fd, struct sockaddr *addr, socklen_t *len)
{
	return count_step(false) ? fail(ENOTCONN) : (int)syscall(SYS_getpeername, fd, addr, len);
}

int getsockname_seen(int fd, struct sockaddr *addr, socklen_t *len)
{
	int n = own_peers;
	while (n > 0 && !atomic_compare_exchange_weak(&own_peers, &n, n - 1))
		;
	return (int)syscall(n > 0 ? SYS_getpeername : SYS_getsockname, fd, addr, len);
}

int epoll_ctl_seen(int epoll, int op, int fd, struct epoll_event *event)
{
	bool fails = op == EPOLL_CTL_ADD && count_step(true);
	return fails ? fail(ENOSPC) : (int)syscall(SYS_epoll_ctl, epoll, op, fd, event);
}

/* ---- addresses ------------------------------------------------------------------------------------------------------ */

static in_port_t port_of(int fd)
{
	struct sockaddr_in6 addr;
	socklen_t len = sizeof addr;
	CHECK_EQ(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	return addr.sin6_port;
}

static int listen_on_loopback(bool v6, in_port_t *port)
{
	int fd = weft_listen(v6 ? "[::1]:0" : "127.0.0.1:0", 0);
	if (v6 && fd < 0)
		SKIP("no IPv6");
	CHECK_OK(fd);
	*port = port_of(fd);
	return fd;
}

static in_port_t closed_port(bool v6)
{
	in_port_t port;
	CHECK_RESULT(weft_close(listen_on_loopback(v6, &port)), 0);
	return port;
}

static void add(bool v6, in_port_t port)
{
	addresses[address_count].v6 = v6;
	addresses[address_count++].port = port;
}

/* A listener that answers nobody. */
struct hole {
	int listener, clogs[4];
	in_port_t port;
};

static void dig(struct hole *hole)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	hole->listener = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(bind(hole->listener, (struct sockaddr *)&name, sizeof name), 0);
	CHECK_EQ(listen(hole->listener, 0), 0);
	name.sin_port = hole->port = port_of(hole->listener);
	for (int i = 0; i < 4; i++) {
		hole->clogs[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!syscall(SYS_connect, hole->clogs[i], &name, sizeof name);
	}
}

static void fill_in(struct hole *hole)
{
	close(hole->listener);
	for (int i = 0; i < 4; i++)
		close(hole->clogs[i]);
}

/* ---- the order ------------------------------------------------------------------------------------------------------ */

static int dial_soon(weft_time deadline)
{
	struct weft_dial_opts opts = { .size = sizeof opts, .attempt_ns = WEFT_MS(1) };
	return weft_dial_with("some:1", deadline, &opts);
}

/* No next attempt unless the one before has failed. */
static int dial_patiently(void)
{
	struct weft_dial_opts opts = { .size = sizeof opts, .attempt_ns = WEFT_SEC(1000) };
	return weft_dial_with("some:1", WEFT_NEVER, &opts);
}

CO_TEST(families_take_turns)
{
	static const bool v6[] = { true, true, true, false, false };
	static const int order[] = { 0, 3, 1, 4, 2 };
	for (int i = 0; i < 5; i++)
		add(v6[i], closed_port(v6[i]));
	CHECK_RESULT(dial_patiently(), -ECONNREFUSED);
	CHECK_EQ(atomic_load(&connects), 5);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(tried[i], addresses[order[i]].port);
}

CO_TEST(next_at_once_after_a_failure)
{
	in_port_t port;
	int listener = listen_on_loopback(false, &port), fd, conn, before = count_fds();
	for (int i = 0; i < 3; i++)
		add(false, closed_port(false));
	add(false, port);
	add(false, closed_port(false)); /* not tried any more */
	CHECK_OK(fd = dial_patiently());
	CHECK_EQ(atomic_load(&connects), 4);
	CHECK_EQ(count_fds(), before + 1);
	CHECK_OK(conn = weft_accept(listener, NULL, NULL));
	close_pair((int[]){ fd, conn });
	CHECK_RESULT(weft_close(listener), 0);
}

CO_TEST(next_when_it_is_time)
{
	in_port_t port;
	char c;
	struct hole holes[2];
	int listener = listen_on_loopback(false, &port), fd, conn;
	dig(&holes[0]);
	dig(&holes[1]);
	int before = count_fds();
	add(false, holes[0].port);
	add(false, closed_port(false));
	add(false, holes[1].port);
	add(false, port);
	weft_time deadline = weft_after(WEFT_SEC(20));
	CHECK_OK(fd = dial_soon(deadline));
	CHECK_EQ(atomic_load(&connects), 4);
	CHECK_EQ(count_fds(), before + 1); /* the losers are closed */
	CHECK_OK(conn = weft_accept(listener, NULL, NULL));
	CHECK_EQ(weft_write(conn, "x", 1), 1);
	CHECK_EQ(weft_read(fd, &c, 1), 1);
	close_pair((int[]){ fd, conn });
	CHECK_RESULT(weft_close(listener), 0);
	fill_in(&holes[0]);
	fill_in(&holes[1]);
}

static int dial_it(void *arg)
{
	(void)arg;
	return dial_soon(weft_after(WEFT_SEC(50)));
}

/* Beside an attempt that goes on, too: those that fail do not each cost the time between two attempts. */
CO_TEST(next_at_once_beside_another)
{
	in_port_t port, closed = closed_port(false);
	struct hole hole;
	struct weft_dial_opts opts = { .size = sizeof opts, .attempt_ns = WEFT_MS(100) };
	int listener = listen_on_loopback(false, &port), fd;
	dig(&hole);
	add(false, hole.port);
	for (int i = 0; i < MOST - 2; i++)
		add(false, closed);
	add(false, port);
	CHECK_OK(fd = weft_dial_with("some:1", weft_after(WEFT_SEC(5)), &opts)); /* it would take more than six */
	CHECK_RESULT(weft_close(fd), 0);
	CHECK_RESULT(weft_close(listener), 0);
	fill_in(&hole);
}

/* The first address answers when the second was begun long ago: its attempt went on. (The system asks again after a second.) */
CO_TEST(former_attempts_go_on)
{
	struct hole first, second;
	dig(&first);
	dig(&second);
	add(false, first.port);
	add(false, second.port);
	struct weft_co *co = spawn_call(dial_it, NULL);
	while (atomic_load(&connects) < 2)
		weft_yield();
	for (int i = 0; i < 2; i++) /* who is in the queue: now there is room */
		close(accept(first.listener, NULL, NULL));
	int fd = join_call(co);
	CHECK_OK(fd);
	char peer[WEFT_ADDR_SIZE];
	CHECK_OK(weft_peer_addr(fd, peer, sizeof peer));
	CHECK_EQ(htons((uint16_t)atoi(strrchr(peer, ':') + 1)), first.port);
	CHECK_RESULT(weft_close(fd), 0);
	fill_in(&first);
	fill_in(&second);
}

/* ---- ends without a connection -------------------------------------------------------------------------------------- */

CO_TEST(first_error_is_told)
{
	add(true, closed_port(true));
	add(false, closed_port(false));
	atomic_store(&no_addr, 3);
	CHECK_RESULT(dial_patiently(), -EADDRNOTAVAIL); /* of the first, which was tried three times */
	CHECK_EQ(atomic_load(&connects), 4);
	CHECK_RESULT(weft_dial("other:1", WEFT_NEVER), -ENOENT);
}

CO_TEST(nobody_answers)
{
	struct hole hole;
	dig(&hole);
	int before = count_fds();
	for (int i = 0; i < 3; i++)
		add(false, hole.port);
	for (int ms = 5;; ms *= 2) { /* until all were begun before the deadline */
		atomic_store(&connects, 0);
		CHECK_RESULT(dial_soon(weft_after(WEFT_MS(ms))), -ETIMEDOUT);
		CHECK_EQ(count_fds(), before);
		if (atomic_load(&connects) == 3)
			break;
	}
	CHECK_RESULT(dial_soon(weft_now()), -ETIMEDOUT);
	CHECK_RESULT(dial_soon(WEFT_NOW), -EAGAIN);
	fill_in(&hole);
}

CO_TEST(port_of_our_own)
{
	in_port_t port;
	int listener = listen_on_loopback(false, &port), fd;
	add(false, port);
	add(false, closed_port(false));
	int before = count_fds();
	atomic_store(&no_addr, 2);
	CHECK_OK(fd = dial_patiently()); /* at the third try */
	CHECK_RESULT(weft_close(fd), 0);
	atomic_store(&own_peers, 2);
	CHECK_OK(fd = dial_patiently()); /* connected to themselves, it looks */
	CHECK_EQ(atomic_load(&own_peers), 0);
	CHECK_RESULT(weft_close(fd), 0);
	atomic_store(&own_peers, 100);
	CHECK_RESULT(dial_patiently(), -ECONNREFUSED);
	CHECK_EQ(count_fds(), before);
	CHECK_RESULT(weft_close(listener), 0);
}

/* ---- cancelled, or failing, at every step --------------------------------------------------------------------------- */

static weft_time patience;

static int dial_watched(void *arg)
{
	(void)arg;
	while (atomic_load(&watched_id) == 0)
		weft_yield();
	return dial_soon(weft_after(patience));
}

/* The result of a dial; no descriptor is left. */
static int run_watched(atomic_int *what_at, int n)
{
	int before = count_fds();
	atomic_store(&step, 0);
	atomic_store(what_at, n);
	watched = spawn_call(dial_watched, NULL);
	atomic_store(&watched_id, weft_id(watched));
	int r = join_call(watched);
	atomic_store(&watched_id, 0);
	atomic_store(what_at, 0);
	if (r >= 0)
		CHECK_RESULT(weft_close(r), 0);
	CHECK_EQ(count_fds(), before);
	return r;
}

/* Goes through everything: addresses where nobody answers, some that refuse, one that is there. Until a dial has no such step. */
static void at_every_step(atomic_int *what_at, void (*check)(int result))
{
	in_port_t port;
	struct hole hole;
	int listener = listen_on_loopback(false, &port), n = 0;
	dig(&hole);
	add(false, hole.port);
	add(false, closed_port(false));
	add(false, hole.port);
	add(false, closed_port(false));
	add(false, port);
	do
		check(run_watched(what_at, ++n));
	while (atomic_load(&step) >= n);
	CHECK_GT(n, 10);
	CHECK_RESULT(weft_close(listener), 0);
	fill_in(&hole);
}

static int connected, cancelled, failed;

static void check_cancelled(int r)
{
	connected += r >= 0;
	cancelled += r == -ECANCELED;
	CHECK(r >= 0 || r == -ECANCELED);
}

CO_TEST(cancelled_at_every_step)
{
	patience = WEFT_SEC(50);
	at_every_step(&cancel_at, check_cancelled);
	CHECK_GT(connected, 0); /* what was there already is not thrown away */
	CHECK_GT(cancelled, 5);
}

static void check_failed(int r)
{
	connected += r >= 0;
	failed += r < 0;
}

/* What fails of one address does no harm to others; but where waiting itself fails, the dial does. */
CO_TEST(failing_at_every_step)
{
	patience = WEFT_MS(100); /* if it was the last that failed, those that never answer are left */
	at_every_step(&fail_at, check_failed);
	CHECK_GT(connected, 5);
	CHECK_GT(failed, 0);
}

static int dial_at_random(void *arg)
{
	int r = dial_soon(weft_after(WEFT_MS(2)));
	(void)arg;
	CHECK(r >= 0 || r == -ETIMEDOUT || r == -ECANCELED);
	if (r >= 0)
		CHECK_RESULT(weft_close(r), 0);
	return r < 0;
}

CO_TEST(storm_of_dials)
{
	enum { DIALS = 8 };
	in_port_t port;
	struct hole hole;
	struct weft_co *cos[DIALS];
	int listener = listen_on_loopback(false, &port), before;
	dig(&hole);
	add(false, hole.port);
	add(false, hole.port);
	add(false, port);
	CHECK_RESULT(dial_soon(weft_now() - 1), -ETIMEDOUT);
	before = count_fds();
	for (int round = 0; round < test_scaled(40); round++) {
		for (int i = 0; i < DIALS; i++)
			cos[i] = spawn_call(dial_at_random, NULL);
		weft_sleep(WEFT_US(100) * (round % 30));
		for (int i = 0; i < DIALS; i++)
			CHECK_RESULT(i % 3 ? 0 : weft_cancel(cos[i]), 0);
		for (int i = 0; i < DIALS; i++)
			(void)join_call(cos[i]);
		while (weft_wait_fd(listener, WEFT_READ, WEFT_NOW) >= 0) {
			int conn = weft_accept(listener, NULL, NULL);
			CHECK_OK(conn);
			CHECK_RESULT(weft_close(conn), 0);
		}
		CHECK_EQ(count_fds(), before);
	}
	CHECK_RESULT(weft_close(listener), 0);
	fill_in(&hole);
}

/* ---- options -------------------------------------------------------------------------------------------------------- */

static int dial_from(const char *addr, const char *local)
{
	struct weft_dial_opts opts = { .size = sizeof opts, .local = local, .attempt_ns = WEFT_MS(1) };
	return weft_dial_with(addr, weft_after(WEFT_SEC(20)), &opts);
}

/* The peer that the listener sees. */
static void check_source(int listener, int fd, const char *expected, bool with_port)
{
	char text[WEFT_ADDR_SIZE], ours[WEFT_ADDR_SIZE];
	int conn;
	CHECK_OK(fd);
	CHECK_OK(conn = weft_accept(listener, NULL, NULL));
	CHECK_OK(weft_peer_addr(conn, text, sizeof text));
	CHECK_OK(weft_local_addr(fd, ours, sizeof ours));
	CHECK_STR(text, ours);
	if (!with_port)
		*strrchr(text, ':') = '\0';
	CHECK_STR(text, expected);
	close_pair((int[]){ conn, fd });
}

CO_TEST(source_address)
{
	in_port_t port, free_port = closed_port(false);
	char addr[WEFT_ADDR_SIZE], local[WEFT_ADDR_SIZE], expected[WEFT_ADDR_SIZE];
	int listener = listen_on_loopback(false, &port);
	snprintf(addr, sizeof addr, "127.0.0.1:%d", ntohs(port));
	snprintf(local, sizeof local, ":%d", ntohs(free_port));
	snprintf(expected, sizeof expected, "127.0.0.1:%d", ntohs(free_port));
	check_source(listener, dial_from(addr, "127.0.0.2:0"), "127.0.0.2", false);
	check_source(listener, dial_from(addr, local), expected, true);
	add(true, port);
	add(false, port);
	check_source(listener, dial_from("some:1", "127.0.0.3:0"), "127.0.0.3", false); /* skips the other family */
	CHECK_EQ(tried[2], port);
	CHECK_EQ(atomic_load(&connects), 3);
	CHECK_RESULT(dial_from(addr, "8.8.8.8:0"), -EADDRNOTAVAIL);
	CHECK_RESULT(dial_from(addr, "[::1]:0"), -EAFNOSUPPORT);
	CHECK_RESULT(dial_from("unix:/tmp/nowhere", "127.0.0.1:0"), -EAFNOSUPPORT);
	CHECK_RESULT(dial_from(addr, "some:1"), -EINVAL);
	struct weft_dial_opts bad = { .size = 1 };
	CHECK_RESULT(weft_dial_with(addr, WEFT_NEVER, &bad), -EINVAL);
	bad = (struct weft_dial_opts){ .size = sizeof bad, .attempt_ns = -1 };
	CHECK_RESULT(weft_dial_with(addr, WEFT_NEVER, &bad), -EINVAL);
	CHECK_RESULT(weft_close(listener), 0);
}

CO_TEST(plain_thread)
{
	in_port_t port;
	int listener = listen_on_loopback(false, &port), fd;
	add(false, closed_port(false));
	add(false, port);
	CHECK_OK(fd = on_thread(dial_it, NULL));
	CHECK_RESULT(weft_close(fd), 0);
	CHECK_RESULT(weft_close(listener), 0);
}
