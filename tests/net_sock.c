/* Listening, accepting, connecting. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net_util.h"
#include "turn.h"

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof value;
	CHECK_EQ(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

CO_TEST(sockets_are_as_promised)
{
	char addr[64];
	int listener = listen_somewhere(addr), dialled, accepted, made;
	CHECK_OK(dialled = weft_dial(addr, WEFT_NEVER));
	CHECK_OK(accepted = weft_accept(listener, NULL, NULL));
	CHECK_OK(made = weft_socket(AF_INET6, SOCK_STREAM, 0));
	int all[] = { listener, dialled, accepted, made };
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		CHECK_NE(fcntl(all[i], F_GETFL) & O_NONBLOCK, 0);
		CHECK_NE(fcntl(all[i], F_GETFD) & FD_CLOEXEC, 0);
		CHECK_NE(option(all[i], IPPROTO_TCP, TCP_NODELAY), 0);
		CHECK_RESULT(weft_close(all[i]), 0);
	}
}

CO_TEST(adopted_listener)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof name;
	char addr[64];
	struct call acceptor;
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd;
	CHECK_EQ(bind(listener, (struct sockaddr *)&name, len), 0);
	CHECK_EQ(listen(listener, 5), 0);
	CHECK_EQ(getsockname(listener, (struct sockaddr *)&name, &len), 0);
	snprintf(addr, sizeof addr, "127.0.0.1:%d", ntohs(name.sin_port));
	CHECK_RESULT(weft_adopt(listener), 0);
	start_accept(&acceptor, listener);
	await_waiters(listener, WF_READ, 1, 0);
	CHECK_OK(fd = weft_dial(addr, WEFT_NEVER));
	CHECK_OK(finish(&acceptor));
	CHECK_NE(option((int)acceptor.result, IPPROTO_TCP, TCP_NODELAY), 0);
	CHECK_RESULT(weft_close((int)acceptor.result), 0);
	CHECK_RESULT(weft_close(fd), 0);
	CHECK_RESULT(weft_release(listener), listener);
	CHECK_EQ(fcntl(listener, F_GETFL) & O_NONBLOCK, 0);
	close(listener);
}

CO_TEST(accept_tells_the_peer)
{
	char addr[64];
	struct sockaddr_in peer, local;
	socklen_t len = sizeof peer, local_len = sizeof local;
	int listener = listen_somewhere(addr), fd, conn;
	CHECK_OK(fd = weft_dial(addr, WEFT_NEVER));
	CHECK_OK(conn = weft_accept(listener, (struct sockaddr *)&peer, &len));
	CHECK_EQ(getsockname(fd, (struct sockaddr *)&local, &local_len), 0);
	CHECK_EQ(peer.sin_port, local.sin_port);
	CHECK_EQ(len, sizeof peer);
	close_pair((int[]){ fd, conn });
	CHECK_RESULT(weft_close(listener), 0);
}

CO_TEST(accept_on_what_does_not_listen)
{
	int fd = weft_socket(AF_INET, SOCK_STREAM, 0), udp = weft_socket(AF_INET, SOCK_DGRAM, 0);
	CHECK_RESULT(weft_accept(fd, NULL, NULL), -EINVAL);
	CHECK_RESULT(weft_accept(udp, NULL, NULL), -EOPNOTSUPP);
	close_pair((int[]){ fd, udp });
}

/* ":port" takes both families, other hosts their own. */
CO_TEST(listen_everywhere)
{
	char addr[64];
	int listener = weft_listen(":0", 0), fd, conn;
	struct sockaddr_in6 name;
	socklen_t len = sizeof name;
	CHECK_OK(listener);
	CHECK_EQ(getsockname(listener, (struct sockaddr *)&name, &len), 0);
	const char *const forms[] = { "127.0.0.1:%d", ":%d", "localhost:%d", "[::1]:%d", "[::ffff:127.0.0.1]:%d" };
	int port = ntohs(name.sin6_family == AF_INET6 ? name.sin6_port : ((struct sockaddr_in *)(void *)&name)->sin_port);
	for (int i = 0; i < (name.sin6_family == AF_INET6 ? 5 : 3); i++) {
		snprintf(addr, sizeof addr, forms[i], port);
		CHECK_OK(fd = weft_dial(addr, weft_after(WEFT_SEC(20))));
		CHECK_OK(conn = weft_accept(listener, NULL, NULL));
		close_pair((int[]){ fd, conn });
	}
	snprintf(addr, sizeof addr, "127.0.0.1:%d", port);
	CHECK_RESULT(weft_listen(addr, 0), -EADDRINUSE);
	CHECK_RESULT(weft_close(listener), 0);
	CHECK_OK(listener = weft_listen(addr, 0)); /* though connections of it linger */
	CHECK_RESULT(weft_close(listener), 0);
	CHECK_RESULT(weft_listen("nonsense", 0), -EINVAL);
	CHECK_RESULT(weft_listen("8.8.8.8:0", 0), -EADDRNOTAVAIL);
	CHECK_RESULT(weft_dial("nonsense", WEFT_NEVER), -EINVAL);
}

/* ---- unix sockets -------------------------------------------------------------------------------------------------- */

static void unix_addr(char *addr, size_t size)
{
	static int count;
	snprintf(addr, size, "unix:/tmp/weft-test-%d-%d", (int)getpid(), count++);
}

static bool exists(const char *addr) { return access(addr + 5, F_OK) == 0; }

CO_TEST(unix_listener)
{
	char addr[64], c;
	int listener, fd, conn;
	unix_addr(addr, sizeof addr);
	CHECK_OK(listener = weft_listen(addr, 0));
	CHECK(exists(addr));
	CHECK_RESULT(weft_listen(addr, 0), -EADDRINUSE);
	CHECK_OK(fd = weft_dial(addr, WEFT_NEVER));
	CHECK_OK(conn = weft_accept(listener, NULL, NULL));
	CHECK_EQ(weft_write(fd, "u", 1), 1);
	CHECK_EQ(weft_read(conn, &c, 1), 1);
	close_pair((int[]){ fd, conn });
	CHECK_RESULT(weft_close(listener), 0);
	CHECK(!exists(addr));
	CHECK_RESULT(weft_dial(addr, WEFT_NEVER), -ENOENT);
}

CO_TEST(unix_stale_file_is_replaced)
{
	char addr[64];
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int stale = socket(AF_UNIX, SOCK_STREAM, 0), listener;
	unix_addr(addr, sizeof addr);
	strcpy(name.sun_path, addr + 5);
	CHECK_EQ(bind(stale, (struct sockaddr *)&name, sizeof name), 0);
	close(stale);
	CHECK(exists(addr));
	CHECK_OK(listener = weft_listen(addr, 0));
	CHECK_RESULT(weft_close(listener), 0);
	CHECK(!exists(addr));
}

CO_TEST(unix_other_files_are_left_alone)
{
	char addr[64];
	unix_addr(addr, sizeof addr);
	int file = open(addr + 5, O_CREAT | O_RDWR, 0600), listener;
	CHECK_OK(file);
	close(file);
	CHECK_RESULT(weft_listen(addr, 0), -EADDRINUSE);
	CHECK(exists(addr));
	unlink(addr + 5);
	CHECK_OK(listener = weft_listen(addr, 0));
	unlink(addr + 5);
	CHECK_OK(file = open(addr + 5, O_CREAT | O_RDWR, 0600)); /* somebody else's now */
	close(file);
	CHECK_RESULT(weft_close(listener), 0);
	CHECK(exists(addr));
	unlink(addr + 5);
}

CO_TEST(unix_released_keeps_its_file)
{
	char addr[64];
	int listener;
	unix_addr(addr, sizeof addr);
	CHECK_OK(listener = weft_listen(addr, 0));
	CHECK_RESULT(weft_release(listener), listener);
	CHECK(exists(addr));
	close(listener);
	unlink(addr + 5);
}

static bool is_refused(const char *addr)
{
	int fd = weft_dial(addr, WEFT_NEVER);
	if (fd < 0)
		CHECK_RESULT(fd, -ECONNREFUSED);
	else
		CHECK_RESULT(weft_close(fd), 0);
	return fd < 0;
}

CO_TEST(unix_abstract)
{
	char addr[64];
	int listener, fd, conn;
	snprintf(addr, sizeof addr, "unix:@weft-test-%d", (int)getpid());
	CHECK_OK(listener = weft_listen(addr, 0));
	CHECK_RESULT(weft_listen(addr, 0), -EADDRINUSE);
	CHECK_OK(fd = weft_dial(addr, WEFT_NEVER));
	CHECK_OK(conn = weft_accept(listener, NULL, NULL));
	close_pair((int[]){ fd, conn });
	CHECK_RESULT(weft_close(listener), 0);
	while (!is_refused(addr)) /* the kernel's poller can hold the file for a moment */
		CHECK_RESULT(weft_sleep(WEFT_US(100)), 0);
}

struct dial {
	const char *addr;
	int64_t deadline;
	int result;
};

static int dial_it(void *arg)
{
	struct dial *d = arg;
	d->result = weft_dial(d->addr, d->deadline);
	return 0;
}

/* A unix listener whose queue is full refuses with -EAGAIN and shows no edge: dialling goes on trying. */
CO_TEST(unix_full_backlog)
{
	enum { MORE = 6, MOST = 16 };
	char addr[64];
	int listener, fds[MOST], n = 0, conn;
	struct dial dials[MORE];
	struct weft_co *cos[MORE];
	unix_addr(addr, sizeof addr);
	CHECK_OK(listener = weft_listen(addr, 1));
	while (n < MOST && (fds[n] = weft_dial(addr, WEFT_NOW)) >= 0)
		n++;
	CHECK_LT(n, MOST);
	CHECK_RESULT(fds[n], -EAGAIN);
	CHECK_RESULT(weft_dial(addr, weft_after(WEFT_MS(10))), -ETIMEDOUT);
	for (int i = 0; i < MORE; i++) {
		dials[i] = (struct dial){ addr, WEFT_NEVER, 0 };
		cos[i] = spawn_call(dial_it, &dials[i]);
	}
	weft_sleep(WEFT_MS(5));
	CHECK_RESULT(weft_cancel(cos[0]), 0);
	CHECK_EQ(join_call(cos[0]), 0);
	CHECK_RESULT(dials[0].result, -ECANCELED);
	for (int i = 0; i < n + MORE - 1; i++) {
		CHECK_OK(conn = weft_accept(listener, NULL, NULL));
		CHECK_RESULT(weft_close(conn), 0);
	}
	for (int i = 1; i < MORE; i++) {
		CHECK_EQ(join_call(cos[i]), 0);
		CHECK_OK(dials[i].result);
		CHECK_RESULT(weft_close(dials[i].result), 0);
	}
	while (n > 0)
		CHECK_RESULT(weft_close(fds[--n]), 0);
	CHECK_RESULT(weft_close(listener), 0);
}

/* ---- connecting ---------------------------------------------------------------------------------------------------- */

CO_TEST(refused)
{
	char addr[64];
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = listen_somewhere(addr), fd;
	CHECK_RESULT(weft_close(listener), 0);
	CHECK_RESULT(weft_dial(addr, WEFT_NEVER), -ECONNREFUSED);
	CHECK_OK(fd = weft_socket(AF_INET, SOCK_STREAM, 0));
	name.sin_port = htons((uint16_t)atoi(strchr(addr, ':') + 1));
	CHECK_RESULT(weft_connect(fd, (struct sockaddr *)&name, sizeof name), -ECONNREFUSED);
	CHECK_RESULT(weft_close(fd), 0);
}

CO_TEST(connect_of_sockets)
{
	char addr[64], c;
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = listen_somewhere(addr);
	name.sin_port = htons((uint16_t)atoi(strchr(addr, ':') + 1));
	for (int adopted = 0; adopted < 2; adopted++) {
		int fd = adopted ? socket(AF_INET, SOCK_STREAM, 0) : weft_socket(AF_INET, SOCK_STREAM, 0);
		CHECK_OK(fd);
		if (adopted)
			CHECK_RESULT(weft_adopt(fd), 0); /* a blocking one, and the poller has seen it unconnected */
		CHECK_RESULT(weft_connect(fd, (struct sockaddr *)&name, sizeof name), 0);
		int conn = weft_accept(listener, NULL, NULL);
		CHECK_OK(conn);
		CHECK_EQ(weft_write(conn, "x", 1), 1);
		CHECK_EQ(weft_read(fd, &c, 1), 1);
		CHECK_EQ(weft_close(fd), 0);
		CHECK_EQ(weft_read(conn, &c, 1), 0);
		CHECK_EQ(weft_close(conn), 0);
	}
	CHECK_RESULT(weft_close(listener), 0);
}

/* Linux drops SYNs when the queue of a listener is full, so connecting to it takes longer than anybody waits here. */
static int full_listener(char *addr, int clogs[8])
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof name;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(bind(listener, (struct sockaddr *)&name, len), 0);
	CHECK_EQ(listen(listener, 0), 0);
	CHECK_EQ(getsockname(listener, (struct sockaddr *)&name, &len), 0);
	snprintf(addr, 64, "127.0.0.1:%d", ntohs(name.sin_port));
	for (int i = 0; i < 8; i++) {
		clogs[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(clogs[i], (struct sockaddr *)&name, len);
	}
	return listener;
}

static void close_full_listener(int listener, const int clogs[8])
{
	close(listener);
	for (int i = 0; i < 8; i++)
		close(clogs[i]);
}

CO_TEST(dial_gives_up)
{
	char addr[64];
	int clogs[8], listener = full_listener(addr, clogs);
	CHECK_RESULT(weft_dial(addr, weft_after(WEFT_MS(30))), -ETIMEDOUT);
	CHECK_RESULT(weft_dial(addr, weft_now() - 1), -ETIMEDOUT);
	CHECK_RESULT(weft_dial(addr, WEFT_NOW), -EAGAIN);
	struct dial d = { addr, WEFT_NEVER, 0 };
	struct weft_co *co = spawn_call(dial_it, &d);
	weft_sleep(WEFT_MS(5));
	CHECK_RESULT(weft_cancel(co), 0);
	CHECK_EQ(join_call(co), 0);
	CHECK_RESULT(d.result, -ECANCELED);
	close_full_listener(listener, clogs);
}

/* The deadline of a dial does not hold for the connection that it made. */
CO_TEST(dial_deadline_ends_with_the_dial)
{
	char addr[64], c;
	int listener = listen_somewhere(addr), fd, conn;
	weft_time deadline;
	for (int ms = 10;; ms *= 2) { /* until it is long enough */
		deadline = weft_after(WEFT_MS(ms));
		fd = weft_dial(addr, deadline);
		if (fd != -ETIMEDOUT)
			break;
	}
	CHECK_OK(fd);
	weft_sleep_until(deadline + WEFT_MS(1));
	CHECK_EQ(weft_write(fd, "x", 1), 1);
	do /* those that were given up may be in the queue */
		CHECK_OK(conn = weft_accept(listener, NULL, NULL));
	while (weft_read(conn, &c, 1) != 1 && weft_close(conn) == 0);
	close_pair((int[]){ fd, conn });
	CHECK_RESULT(weft_close(listener), 0);
}

struct attempt {
	int fd;
	struct sockaddr_in to;
};

static int connect_it(void *arg)
{
	const struct attempt *attempt = arg;
	return weft_connect(attempt->fd, (const struct sockaddr *)&attempt->to, sizeof attempt->to);
}

/* An edge that came for another reason, such as being unconnected at first, is no outcome. */
CO_TEST(spurious_edge_while_connecting)
{
	char addr[64];
	int clogs[8], listener = full_listener(addr, clogs);
	struct attempt attempt = { weft_socket(AF_INET, SOCK_STREAM, 0), { .sin_family = AF_INET } };
	attempt.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	attempt.to.sin_port = htons((uint16_t)atoi(strchr(addr, ':') + 1));
	struct weft_co *co = spawn_call(connect_it, &attempt);
	await_waiters(attempt.fd, WF_WRITE, 1, 0);
	struct wf_event spurious = { attempt.fd, wf_desc_find(attempt.fd)->seq, WEFT_WRITE, true };
	CHECK_EQ(wf_desc_events(NULL, &spurious, 1), 1);
	await_waiters(attempt.fd, WF_WRITE, 1, 0); /* it waits again */
	CHECK_RESULT(weft_set_deadline(attempt.fd, WEFT_WRITE, weft_now()), 0);
	CHECK_RESULT(join_call(co), -ETIMEDOUT);
	CHECK_RESULT(weft_close(attempt.fd), 0);
	close_full_listener(listener, clogs);
}

static int dial_own_ports(void *arg)
{
	for (int i = 0; i < 200; i++)
		CHECK_RESULT(weft_dial(arg, WEFT_NEVER), -ECONNREFUSED);
	return 0;
}

/* In a network with so few ports that the system takes, sooner rather than later, the one on our side that we connect to. */
TEST(never_connected_to_itself)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		SKIP("no network namespaces");
	int control = socket(AF_INET, SOCK_DGRAM, 0);
	FILE *range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "w");
	if (!range || ioctl(control, SIOCSIFFLAGS, &lo) != 0)
		SKIP("no say in this network namespace");
	fprintf(range, "40000 40003\n");
	CHECK_EQ(fclose(range), 0);
	close(control);
	CHECK_RESULT(weft_run(NULL, dial_own_ports, "127.0.0.1:40002"), 0);
}

/* ---- accepting ----------------------------------------------------------------------------------------------------- */

struct share {
	int listener;
	wf_u32 count;
};

static int accept_share(void *arg)
{
	struct share *share = arg;
	for (;;) {
		int fd = weft_accept(share->listener, NULL, NULL);
		if (fd == -EBADF)
			return 0;
		CHECK_OK(fd);
		wf_u32_add(&share->count, 1);
		CHECK_RESULT(weft_close(fd), 0);
	}
}

static int dial_many(void *arg)
{
	struct dial *d = arg;
	char c;
	for (int i = 0; i < d->result; i++) {
		int fd = weft_dial(d->addr, WEFT_NEVER);
		CHECK_OK(fd);
		ssize_t n = weft_read(fd, &c, 1); /* closed by the acceptor */
		CHECK(n == 0 || n == -ECONNRESET);
		CHECK_RESULT(weft_close(fd), 0);
	}
	return 0;
}

/* Many acceptors on one listener: every connection is taken, and nobody is left out. */
CO_TEST(many_acceptors)
{
	enum { ACCEPTORS = 8, CLIENTS = 8 };
	int each = test_scaled(200), total = 0;
	char addr[64];
	struct share shares[ACCEPTORS];
	struct weft_co *acceptors[ACCEPTORS], *clients[CLIENTS];
	struct dial dials[CLIENTS];
	int listener = listen_somewhere(addr);
	for (int i = 0; i < ACCEPTORS; i++) {
		shares[i] = (struct share){ listener, 0 };
		acceptors[i] = spawn_call(accept_share, &shares[i]);
	}
	for (int i = 0; i < CLIENTS; i++) {
		dials[i] = (struct dial){ addr, 0, each };
		clients[i] = spawn_call(dial_many, &dials[i]);
	}
	for (int i = 0; i < CLIENTS; i++)
		CHECK_EQ(join_call(clients[i]), 0);
	CHECK_RESULT(weft_close(listener), 0);
	for (int i = 0; i < ACCEPTORS; i++) {
		CHECK_EQ(join_call(acceptors[i]), 0);
		CHECK_GT(wf_u32_load(&shares[i].count), 0);
		total += (int)wf_u32_load(&shares[i].count);
	}
	CHECK_EQ(total, CLIENTS * each);
}

/* One edge may stand for many connections. */
CO_TEST(one_edge_many_connections)
{
	enum { COUNT = 20 };
	char addr[64];
	int fds[COUNT], listener = listen_somewhere(addr);
	CHECK_RESULT(weft_set_deadline(listener, WEFT_READ, weft_after(WEFT_MS(1))), 0);
	CHECK_RESULT(weft_accept(listener, NULL, NULL), -ETIMEDOUT);
	CHECK_RESULT(weft_set_deadline(listener, WEFT_READ, WEFT_NEVER), 0);
	for (int i = 0; i < COUNT; i++)
		CHECK_OK(fds[i] = weft_dial(addr, WEFT_NEVER));
	for (int i = 0; i < COUNT; i++) {
		int conn = weft_accept(listener, NULL, NULL);
		CHECK_OK(conn);
		CHECK_RESULT(weft_close(conn), 0);
		CHECK_RESULT(weft_close(fds[i]), 0);
	}
	CHECK_RESULT(weft_close(listener), 0);
}

/* Connections that were reset while they waited are skipped, or accepted and found reset; accepting goes on either way. */
CO_TEST(reset_before_accept)
{
	enum { COUNT = 10 };
	char addr[64], c;
	int listener = listen_somewhere(addr);
	for (int i = 0; i < COUNT; i++) {
		int fd = weft_dial(addr, WEFT_NEVER);
		CHECK_OK(fd);
		CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)), 0);
		CHECK_RESULT(weft_close(fd), 0);
	}
	int last = weft_dial(addr, WEFT_NEVER), conn;
	CHECK_EQ(weft_write(last, "!", 1), 1);
	for (;;) {
		CHECK_OK(conn = weft_accept(listener, NULL, NULL));
		ssize_t n = weft_read(conn, &c, 1);
		CHECK_RESULT(weft_close(conn), 0);
		if (n == 1)
			break;
		CHECK_RESULT(n, -ECONNRESET);
	}
	CHECK_RESULT(weft_close(last), 0);
	CHECK_RESULT(weft_close(listener), 0);
}

/* ---- running out of descriptors ------------------------------------------------------------------------------------ */

enum { LIMIT = 64 };

static int limit_descriptors(int *spares)
{
	struct rlimit limit;
	int n = 0;
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = LIMIT;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while ((spares[n] = dup(2)) >= 0)
		n++;
	CHECK_EQ(errno, EMFILE);
	return n;
}

static int accept_at_last(void *arg)
{
	struct share *share = arg;
	int fd;
	while ((fd = weft_accept(share->listener, NULL, NULL)) == -EMFILE)
		wf_u32_add(&share->count, 1);
	return fd;
}

/* The error comes after a pause, so that a plain loop does not spin: 5 + 10 + 20 + ... ms; established connections go on; and a
 * descriptor that weft closes ends the pause. */
CO_TEST(accept_without_descriptors)
{
	int spares[LIMIT], n, fds[2], fd;
	char addr[64], c;
	struct share share = { .listener = listen_somewhere(addr) };
	tcp_pair(fds);
	CHECK_OK(fd = weft_dial(addr, WEFT_NEVER));
	n = limit_descriptors(spares);
	struct weft_co *acceptor = spawn_call(accept_at_last, &share);
	weft_time start = weft_now();
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(weft_write(fds[0], "x", 1), 1);
		CHECK_EQ(weft_read(fds[1], &c, 1), 1);
		weft_sleep(WEFT_MS(10));
	}
	await_waiters(share.listener, WF_READ, 0, 1);
	int64_t ms = (weft_now() - start) / 1000000 + 1;
	int errors = (int)wf_u32_load(&share.count);
	CHECK_GE(errors, 1);
	for (int i = 0, sum = 0; i < errors; i++)
		CHECK_LE(sum += 5 << i, ms);
	CHECK_RESULT(weft_close(fds[0]), 0); /* the next pause would be long */
	int conn = join_call(acceptor);
	CHECK_OK(conn);
	CHECK_RESULT(weft_close(conn), 0);
	CHECK_RESULT(weft_close(fds[1]), 0);
	CHECK_RESULT(weft_close(fd), 0);
	CHECK_RESULT(weft_close(share.listener), 0);
	while (n > 0)
		close(spares[--n]);
}

/* What weft closes is accepted with at once, not when the pause is over: no further error comes, or hardly ever. And the next
 * shortage begins with a short pause. */
CO_TEST(closing_ends_the_pause)
{
	enum { ROUNDS = 5 };
	int spares[LIMIT], held[ROUNDS], fds[ROUNDS], conns[ROUNDS], n, late = 0;
	char addr[64];
	struct share share = { .listener = listen_somewhere(addr) };
	for (int i = 0; i < ROUNDS; i++) {
		CHECK_OK(fds[i] = weft_dial(addr, WEFT_NEVER));
		CHECK_RESULT(weft_adopt(held[i] = eventfd(0, 0)), 0);
	}
	n = limit_descriptors(spares);
	for (int i = 0; i < ROUNDS; i++) {
		wf_u32_store(&share.count, 0);
		struct weft_co *acceptor = spawn_call(accept_at_last, &share);
		while (wf_u8_load(&wf_desc_find(share.listener)->sides[WF_READ].pauses) < 4)
			weft_sleep(WEFT_MS(1));
		await_waiters(share.listener, WF_READ, 0, 1);
		int errors = (int)wf_u32_load(&share.count);
		CHECK_RESULT(weft_close(held[i]), 0);
		CHECK_OK(conns[i] = join_call(acceptor));
		late += (int)wf_u32_load(&share.count) - errors;
		CHECK_EQ(wf_u8_load(&wf_desc_find(share.listener)->sides[WF_READ].pauses), 0);
	}
	CHECK_LT(late, ROUNDS);
	while (n > 0)
		close(spares[--n]);
	for (int i = 0; i < ROUNDS; i++) {
		CHECK_RESULT(weft_close(conns[i]), 0);
		CHECK_RESULT(weft_close(fds[i]), 0);
	}
	CHECK_RESULT(weft_close(share.listener), 0);
}

/* Nobody wants to connect: the shortage is no news, and accept waits as always. */
CO_TEST(no_shortage_without_a_connection)
{
	int spares[LIMIT], n;
	char addr[64];
	struct share share = { .listener = listen_somewhere(addr) };
	n = limit_descriptors(spares);
	CHECK_RESULT(weft_set_deadline(share.listener, WEFT_READ, weft_after(WEFT_MS(50))), 0);
	CHECK_RESULT(accept_at_last(&share), -ETIMEDOUT);
	CHECK_EQ(wf_u32_load(&share.count), 0);
	CHECK_RESULT(weft_listen("127.0.0.1:0", 0), -EMFILE);
	CHECK_RESULT(weft_dial(addr, WEFT_NEVER), -EMFILE);
	CHECK_RESULT(weft_socket(AF_INET, SOCK_STREAM, 0), -EMFILE);
	while (n > 0)
		close(spares[--n]);
	CHECK_RESULT(weft_close(share.listener), 0);
}

/* Everything else ends the pause as well. */
CO_TEST(pause_is_a_wait_like_others)
{
	int spares[LIMIT], n, fd;
	char addr[64];
	struct share share = { .listener = listen_somewhere(addr) };
	struct weft_co *acceptor;
	CHECK_OK(fd = weft_dial(addr, WEFT_NEVER));
	n = limit_descriptors(spares);
	CHECK_OK(dup2(spares[0], spares[0]));

	CHECK_RESULT(weft_set_deadline(share.listener, WEFT_READ, weft_after(WEFT_MS(300))), 0);
	CHECK_RESULT(accept_at_last(&share), -ETIMEDOUT);
	CHECK_RESULT(weft_set_deadline(share.listener, WEFT_READ, WEFT_NEVER), 0);

	acceptor = spawn_call(accept_at_last, &share);
	await_waiters(share.listener, WF_READ, 0, 1);
	CHECK_RESULT(weft_cancel(acceptor), 0);
	CHECK_RESULT(join_call(acceptor), -ECANCELED);

	acceptor = spawn_call(accept_at_last, &share);
	await_waiters(share.listener, WF_READ, 0, 1);
	CHECK_RESULT(weft_close(share.listener), 0);
	CHECK_RESULT(join_call(acceptor), -EBADF);
	while (n > 0)
		close(spares[--n]);
	CHECK_RESULT(weft_close(fd), 0);
}
