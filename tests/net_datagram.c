/* Datagrams: sockets for them, what is special about them, batches. */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include <weft/datagram.h>

#include "net_util.h"

enum { BATCH = 32 };

/* A batch with a buffer, and an address, for each datagram. */
struct batch {
	struct weft_mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	char bufs[BATCH][16];
	struct sockaddr_in peers[BATCH];
};

static void set_batch(struct batch *b, size_t size)
{
	memset(b, 0, sizeof *b);
	for (int i = 0; i < BATCH; i++) {
		b->bufs[i][0] = (char)i;
		b->iov[i] = (struct iovec){ b->bufs[i], size };
		b->msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &b->iov[i], .msg_iovlen = 1 };
	}
}

static int udp(char *addr)
{
	int fd = weft_datagram("127.0.0.1:0", NULL, 0);
	CHECK_OK(fd);
	CHECK_OK(weft_local_addr(fd, addr, WEFT_ADDR_SIZE));
	return fd;
}

/* Each connected to the other. */
static void udp_pair(int fds[2])
{
	char a[WEFT_ADDR_SIZE], b[WEFT_ADDR_SIZE];
	struct sockaddr_storage addr;
	socklen_t len;
	fds[0] = udp(a);
	CHECK_OK(fds[1] = weft_datagram("127.0.0.1:0", a, 0));
	CHECK_OK(weft_local_addr(fds[1], b, sizeof b));
	CHECK_RESULT(weft_addr_parse(b, &addr, &len), 0);
	CHECK_RESULT(weft_connect(fds[0], (struct sockaddr *)&addr, len), 0);
}

/* ---- making them --------------------------------------------------------------------------------------------------- */

CO_TEST(forms)
{
	char addr[WEFT_ADDR_SIZE], client_addr[WEFT_ADDR_SIZE], buf[16];
	int server = udp(addr), client;
	struct sockaddr_storage from;
	socklen_t len;
	static const char *const locals[] = { NULL, ":0", "127.0.0.1:0" };
	for (int i = 0; i < 3; i++) {
		CHECK_OK(client = weft_datagram(locals[i], addr, 0));
		CHECK_EQ(weft_write(client, "hello", 5), 5);
		len = sizeof from;
		CHECK_EQ(weft_recvfrom(server, buf, sizeof buf, 0, (struct sockaddr *)&from, &len), 5);
		CHECK_OK(weft_addr_text((struct sockaddr *)&from, len, client_addr, sizeof client_addr));
		CHECK_EQ(weft_sendto(server, "you too", 7, 0, (struct sockaddr *)&from, len), 7);
		CHECK_EQ(weft_read(client, buf, sizeof buf), 7);
		CHECK_RESULT(weft_local_addr(client, buf, 0), -ENOSPC);
		CHECK_RESULT(weft_close(client), 0);
	}
	CHECK_RESULT(weft_datagram(addr, NULL, 0), -EADDRINUSE);
	CHECK_RESULT(weft_close(server), 0);
	CHECK_OK(server = weft_datagram(":0", NULL, 0)); /* both families */
	CHECK_OK(weft_local_addr(server, addr, sizeof addr));
	char *port = strrchr(addr, ':');
	CHECK_OK(client = weft_datagram(NULL, port, 0)); /* the loopback */
	CHECK_EQ(weft_write(client, "4", 1), 1);
	len = sizeof from;
	CHECK_EQ(weft_recvfrom(server, buf, sizeof buf, 0, (struct sockaddr *)&from, &len), 1);
	CHECK_OK(weft_addr_text((struct sockaddr *)&from, len, client_addr, sizeof client_addr));
	CHECK_MEM(client_addr, "127.0.0.1:", 10); /* in whatever form it came */
	CHECK_EQ(weft_sendto(server, "5", 1, 0, (struct sockaddr *)&from, len), 1);
	CHECK_EQ(weft_read(client, buf, sizeof buf), 1);
	close_pair((int[]){ server, client });
}

CO_TEST(bad_arguments)
{
	CHECK_RESULT(weft_datagram(NULL, NULL, 0), -EINVAL);
	CHECK_RESULT(weft_datagram("nonsense", NULL, 0), -EINVAL);
	CHECK_RESULT(weft_datagram("nonsense", "127.0.0.1:9", 0), -EINVAL);
	CHECK_RESULT(weft_datagram(NULL, "nonsense", 0), -EINVAL);
	CHECK_RESULT(weft_datagram(":0", NULL, 8), -EINVAL);
	CHECK_RESULT(weft_datagram("[::1]:0", "127.0.0.1:9", 0), -EAFNOSUPPORT);
	CHECK_RESULT(weft_datagram("8.8.8.8:0", NULL, 0), -EADDRNOTAVAIL);
	int fds[2];
	struct batch b;
	set_batch(&b, 1);
	tcp_pair(fds);
	CHECK_RESULT(weft_sendmmsg(fds[0], b.msgs, 1, 0), -EOPNOTSUPP);
	CHECK_EQ(weft_write(fds[1], "x", 1), 1);
	CHECK_RESULT(weft_recvmmsg(fds[0], b.msgs, 1, 0), -EOPNOTSUPP);
	CHECK_RESULT(weft_recvmmsg(fds[0], b.msgs, 0, 0), 0);
	CHECK_RESULT(weft_sendmmsg(fds[0], b.msgs, 0, 0), 0);
	close_pair(fds);
	CHECK_RESULT(weft_recvmmsg(fds[0], b.msgs, 1, 0), -EBADF);
	CHECK_RESULT(weft_sendmmsg(fds[0], b.msgs, 0, 0), -EBADF);
}

CO_TEST(port_is_shared_when_all_ask_for_it)
{
	char addr[WEFT_ADDR_SIZE];
	int a, b;
	CHECK_OK(a = weft_datagram("127.0.0.1:0", NULL, WEFT_REUSE_PORT));
	CHECK_OK(weft_local_addr(a, addr, sizeof addr));
	CHECK_OK(b = weft_datagram(addr, NULL, WEFT_REUSE_PORT));
	CHECK_RESULT(weft_datagram(addr, NULL, 0), -EADDRINUSE);
	close_pair((int[]){ a, b });
}

CO_TEST(broadcast)
{
	char addr[WEFT_ADDR_SIZE], to[WEFT_ADDR_SIZE], buf[16];
	int server, client;
	CHECK_OK(server = weft_datagram("0.0.0.0:0", NULL, 0));
	CHECK_OK(weft_local_addr(server, addr, sizeof addr));
	snprintf(to, sizeof to, "127.255.255.255%s", strrchr(addr, ':'));
	CHECK_RESULT(weft_datagram(NULL, to, 0), -EACCES);
	CHECK_OK(client = weft_datagram(NULL, to, WEFT_BROADCAST));
	CHECK_EQ(weft_write(client, "all", 3), 3);
	CHECK_EQ(weft_read(server, buf, sizeof buf), 3);
	close_pair((int[]){ server, client });
}

static void meet_in_group(const char *group)
{
	char addr[WEFT_ADDR_SIZE], to[WEFT_ADDR_SIZE + 64], buf[16];
	int server = weft_datagram("0.0.0.0:0", NULL, 0), client = weft_datagram("0.0.0.0:0", NULL, 0);
	struct sockaddr_storage dest;
	socklen_t len;
	CHECK_OK(server);
	CHECK_OK(client);
	CHECK_OK(weft_local_addr(server, addr, sizeof addr));
	snprintf(to, sizeof to, "%s%s", group, strrchr(addr, ':'));
	CHECK_RESULT(weft_addr_parse(to, &dest, &len), 0);
	int r = weft_multicast_interface(client, "lo");
	if (r == -ENOPROTOOPT)
		SKIP("an emulator that does not know this option");
	CHECK_RESULT(r, 0);
	CHECK_RESULT(weft_multicast_join(server, group, "lo"), 0);
	CHECK_EQ(weft_sendto(client, "group", 5, 0, (struct sockaddr *)&dest, len), 5);
	CHECK_EQ(weft_read(server, buf, sizeof buf), 5);
	CHECK_RESULT(weft_multicast_leave(server, group, "lo"), 0);
	CHECK_RESULT(weft_multicast_leave(server, group, "lo"), -EADDRNOTAVAIL);
	close_pair((int[]){ server, client });
}

CO_TEST(groups)
{
	if (if_nametoindex("lo") == 0)
		SKIP("no interface lo");
	meet_in_group("224.0.0.77");
	int fd = weft_datagram("[::]:0", NULL, WEFT_V6_ONLY);
	if (fd >= 0) {
		CHECK_RESULT(weft_multicast_join(fd, "ff01::77", "nothing"), -ENODEV);
		CHECK_RESULT(weft_multicast_join(fd, "group", NULL), -EINVAL);
		CHECK_RESULT(weft_multicast_interface(fd, "nothing"), -ENODEV);
		CHECK_RESULT(weft_multicast_interface(fd, "lo"), 0);
		CHECK_RESULT(weft_multicast_join(fd, "ff01::77", "lo"), 0); /* there is no route to it by which to send */
		CHECK_RESULT(weft_multicast_leave(fd, "ff01::77", "lo"), 0);
		CHECK_RESULT(weft_close(fd), 0);
	}
	CHECK_RESULT(weft_multicast_join(fd, "ff01::77", "lo"), -EBADF);
}

/* ---- one by one ---------------------------------------------------------------------------------------------------- */

CO_TEST(empty_ones_are_datagrams)
{
	int fds[2];
	char buf[4];
	struct batch b;
	udp_pair(fds);
	for (int round = 0; round < 2; round++) { /* both ways */
		int out = fds[round], in = fds[!round];
		CHECK_EQ(weft_write(out, "", 0), 0);
		CHECK_EQ(weft_send(out, NULL, 0, 0), 0);
		set_batch(&b, 0);
		CHECK_EQ(weft_sendmmsg(out, b.msgs, 2, 0), 2);
		CHECK_EQ(weft_write(out, "end", 3), 3);
		CHECK_EQ(weft_read(in, buf, sizeof buf), 0);
		CHECK_EQ(weft_recv(in, buf, 0, 0), 0);
		set_batch(&b, 4);
		b.msgs[0].msg_len = b.msgs[1].msg_len = 77;
		CHECK_EQ(weft_recvmmsg(in, b.msgs, 2, 0), 2);
		CHECK_EQ(b.msgs[0].msg_len, 0);
		CHECK_EQ(b.msgs[1].msg_len, 0);
		CHECK_EQ(weft_read(in, buf, 0), 0); /* takes none */
		CHECK_EQ(weft_read(in, buf, sizeof buf), 3);
	}
	close_pair(fds);
}

CO_TEST(cut_ones_are_told)
{
	int fds[2];
	char buf[4];
	struct iovec iov = { buf, sizeof buf };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct batch b;
	udp_pair(fds);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(weft_write(fds[0], "0123456789", i == 3 ? 4 : 10), i == 3 ? 4 : 10);
	CHECK_EQ(weft_recv(fds[1], buf, sizeof buf, MSG_TRUNC), 10);
	CHECK_EQ(weft_recvmsg(fds[1], &msg, 0), 4);
	CHECK_EQ(msg.msg_flags & MSG_TRUNC, MSG_TRUNC);
	set_batch(&b, 4);
	CHECK_EQ(weft_recvmmsg(fds[1], b.msgs, BATCH, 0), 2);
	CHECK_EQ(b.msgs[0].msg_hdr.msg_flags & MSG_TRUNC, MSG_TRUNC);
	CHECK_EQ(b.msgs[1].msg_hdr.msg_flags & MSG_TRUNC, 0);
	CHECK_EQ(b.msgs[1].msg_len, 4);
	close_pair(fds);
}

/* What the network says of one datagram is told once, by the next call of either kind. */
CO_TEST(refusal_is_told_once)
{
	char addr[WEFT_ADDR_SIZE], c;
	struct batch b;
	int nobody = udp(addr), fd;
	CHECK_RESULT(weft_close(nobody), 0);
	CHECK_OK(fd = weft_datagram(NULL, addr, 0));
	CHECK_EQ(weft_write(fd, "?", 1), 1);
	CHECK_RESULT(weft_read(fd, &c, 1), -ECONNREFUSED);
	CHECK_RESULT(weft_recv(fd, &c, 1, MSG_DONTWAIT), -EAGAIN);
	CHECK_EQ(weft_write(fd, "?", 1), 1);
	CHECK_OK(weft_wait_fd(fd, WEFT_READ, WEFT_NEVER));
	CHECK_RESULT(weft_write(fd, "?", 1), -ECONNREFUSED);
	CHECK_EQ(weft_write(fd, "?", 1), 1);
	set_batch(&b, 1);
	CHECK_RESULT(weft_recvmmsg(fd, b.msgs, BATCH, 0), -ECONNREFUSED);
	CHECK_RESULT(weft_recvmmsg(fd, b.msgs, BATCH, MSG_DONTWAIT), -EAGAIN);
	CHECK_RESULT(weft_close(fd), 0);
}

/* One who waits is told, too. */
CO_TEST(refusal_wakes)
{
	char addr[WEFT_ADDR_SIZE], c;
	struct call reader;
	int nobody = udp(addr), fd;
	CHECK_RESULT(weft_close(nobody), 0);
	CHECK_OK(fd = weft_datagram(NULL, addr, 0));
	start_read(&reader, fd, &c, 1);
	await_waiters(fd, WF_READ, 1, 0);
	CHECK_EQ(weft_write(fd, "?", 1), 1);
	CHECK_RESULT(finish(&reader), -ECONNREFUSED);
	CHECK_RESULT(weft_close(fd), 0);
}

/* ---- batches ------------------------------------------------------------------------------------------------------- */

static int receive_batch(void *arg)
{
	struct call *call = arg;
	return weft_recvmmsg(call->fd, call->buf, BATCH, 0);
}

static int send_batch(void *arg)
{
	struct call *call = arg;
	return weft_sendmmsg(call->fd, call->buf, (unsigned)call->n, 0);
}

CO_TEST(batch_waits_for_the_first)
{
	int fds[2], got = 0;
	struct batch out, in;
	udp_pair(fds);
	set_batch(&out, 3);
	set_batch(&in, 16);
	struct call call = { .fd = fds[1], .buf = in.msgs };
	struct weft_co *co = spawn_call(receive_batch, &call);
	await_waiters(fds[1], WF_READ, 1, 0);
	CHECK_EQ(weft_sendmmsg(fds[0], out.msgs, BATCH, 0), BATCH);
	for (int n = join_call(co);; n = weft_recvmmsg(fds[1], in.msgs, BATCH, 0)) {
		CHECK_GT(n, 0);
		for (int i = 0; i < n; i++) {
			CHECK_EQ(in.msgs[i].msg_len, 3);
			CHECK_EQ(in.bufs[i][0], got + i); /* in order, each once */
		}
		if ((got += n) == BATCH)
			break;
	}
	for (int i = 0; i < BATCH; i++)
		CHECK_EQ(out.msgs[i].msg_len, 3);
	CHECK_RESULT(weft_recvmmsg(fds[1], in.msgs, BATCH, MSG_DONTWAIT), -EAGAIN);
	close_pair(fds);
}

CO_TEST(batch_to_many)
{
	enum { SERVERS = 4 };
	int servers[SERVERS], client;
	char addr[WEFT_ADDR_SIZE], buf[16];
	struct batch b;
	set_batch(&b, 2);
	CHECK_OK(client = weft_datagram("127.0.0.1:0", NULL, 0));
	for (int i = 0; i < SERVERS; i++) {
		struct sockaddr_storage to;
		servers[i] = udp(addr);
		CHECK_RESULT(weft_addr_parse(addr, &to, &b.msgs[i].msg_hdr.msg_namelen), 0);
		memcpy(&b.peers[i], &to, sizeof b.peers[i]);
		b.msgs[i].msg_hdr.msg_name = &b.peers[i];
	}
	CHECK_EQ(weft_sendmmsg(client, b.msgs, SERVERS, 0), SERVERS);
	for (int i = 0; i < SERVERS; i++) {
		CHECK_EQ(weft_read(servers[i], buf, sizeof buf), 2);
		CHECK_EQ(buf[0], i);
		CHECK_RESULT(weft_close(servers[i]), 0);
	}
	CHECK_RESULT(weft_close(client), 0);
}

/* A unix socket takes only so many; the rest of the batch waits for room. */
CO_TEST(batch_waits_for_room)
{
	enum { MANY = 600 };
	int fds[2], left = 0;
	char c, byte = 'b';
	struct weft_mmsghdr msgs[MANY];
	struct iovec iov = { &byte, 1 };
	memset(msgs, 0, sizeof msgs);
	for (int i = 0; i < MANY; i++)
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 };
	CHECK_RESULT(weft_socketpair(SOCK_DGRAM, fds), 0);
	struct call call = { .fd = fds[0], .buf = msgs, .n = MANY };
	struct weft_co *co = spawn_call(send_batch, &call);
	await_waiters(fds[0], WF_WRITE, 1, 0);
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(weft_read(fds[1], &c, 1), 1);
	CHECK_EQ(join_call(co), MANY);
	/* Stopped midway: so many as were sent, the reason at the next call. */
	co = spawn_call(send_batch, &call);
	await_waiters(fds[0], WF_WRITE, 1, 0);
	CHECK_RESULT(weft_set_deadline(fds[0], WEFT_WRITE, weft_now()), 0);
	int sent = join_call(co);
	CHECK_GT(sent, 0);
	CHECK_LT(sent, MANY);
	CHECK_RESULT(weft_sendmmsg(fds[0], msgs, 1, 0), -ETIMEDOUT);
	while (weft_recv(fds[1], &c, 1, MSG_DONTWAIT) == 1)
		left++;
	CHECK_EQ(left, sent);
	CHECK_RESULT(weft_set_deadline(fds[0], WEFT_WRITE, WEFT_NEVER), 0);
	CHECK_LT(weft_sendmmsg(fds[0], msgs, MANY, MSG_DONTWAIT), MANY);
	CHECK_RESULT(weft_sendmmsg(fds[0], msgs, MANY, MSG_DONTWAIT), -EAGAIN);
	close_pair(fds);
}

CO_TEST(batch_is_a_wait_like_others)
{
	int fds[2];
	struct batch in;
	struct weft_co *co;
	udp_pair(fds);
	set_batch(&in, 16);
	struct call call = { .fd = fds[1], .buf = in.msgs };
	CHECK_RESULT(weft_set_deadline(fds[1], WEFT_READ, weft_after(WEFT_MS(2))), 0);
	CHECK_RESULT(weft_recvmmsg(fds[1], in.msgs, BATCH, 0), -ETIMEDOUT);
	CHECK_RESULT(weft_set_deadline(fds[1], WEFT_READ, WEFT_NEVER), 0);
	co = spawn_call(receive_batch, &call);
	await_waiters(fds[1], WF_READ, 1, 0);
	CHECK_RESULT(weft_cancel(co), 0);
	CHECK_RESULT(join_call(co), -ECANCELED);
	co = spawn_call(receive_batch, &call);
	await_waiters(fds[1], WF_READ, 1, 0);
	CHECK_RESULT(weft_close(fds[1]), 0);
	CHECK_RESULT(join_call(co), -EBADF);
	CHECK_RESULT(weft_close(fds[0]), 0);
}

static int batch_on_thread(void *arg)
{
	const int *fds = arg;
	struct batch b;
	set_batch(&b, 1);
	CHECK_EQ(weft_recvmmsg(fds[1], b.msgs, BATCH, 0), 1);
	return weft_sendmmsg(fds[1], b.msgs, 5, 0);
}

CO_TEST(plain_thread)
{
	int fds[2];
	char c;
	udp_pair(fds);
	CHECK_EQ(weft_write(fds[0], "1", 1), 1);
	CHECK_EQ(on_thread(batch_on_thread, fds), 5);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(weft_read(fds[0], &c, 1), 1);
	close_pair(fds);
}

/* ---- unix ---------------------------------------------------------------------------------------------------------- */

static void unix_addr(char *addr)
{
	static int count;
	snprintf(addr, WEFT_ADDR_SIZE, "unix:/tmp/weft-datagram-%d-%d", (int)getpid(), count++);
}

CO_TEST(unix_addresses)
{
	char server_addr[WEFT_ADDR_SIZE], client_addr[WEFT_ADDR_SIZE], from_addr[WEFT_ADDR_SIZE], c;
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	int server, client;
	unix_addr(server_addr);
	unix_addr(client_addr);
	CHECK_OK(server = weft_datagram(server_addr, NULL, 0));
	CHECK_RESULT(weft_datagram(server_addr, NULL, 0), -EADDRINUSE);
	CHECK_OK(client = weft_datagram(client_addr, server_addr, 0));
	CHECK_EQ(weft_write(client, "q", 1), 1);
	CHECK_EQ(weft_recvfrom(server, &c, 1, 0, (struct sockaddr *)&from, &len), 1);
	CHECK_OK(weft_addr_text((struct sockaddr *)&from, len, from_addr, sizeof from_addr));
	CHECK_STR(from_addr, client_addr);
	CHECK_EQ(weft_sendto(server, "a", 1, 0, (struct sockaddr *)&from, len), 1);
	CHECK_EQ(weft_read(client, &c, 1), 1);
	CHECK_EQ(c, 'a');
	close_pair((int[]){ server, client });
	CHECK_NE(access(server_addr + 5, F_OK), 0); /* removed, both */
	CHECK_NE(access(client_addr + 5, F_OK), 0);
	CHECK_RESULT(weft_datagram(NULL, server_addr, 0), -ENOENT);
}

CO_TEST(unix_stale_file_is_replaced)
{
	char addr[WEFT_ADDR_SIZE];
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int stale = socket(AF_UNIX, SOCK_DGRAM, 0), fd;
	unix_addr(addr);
	strcpy(name.sun_path, addr + 5);
	CHECK_EQ(bind(stale, (struct sockaddr *)&name, sizeof name), 0);
	CHECK_RESULT(weft_datagram(addr, NULL, 0), -EADDRINUSE); /* it lives */
	close(stale);
	CHECK_OK(fd = weft_datagram(addr, NULL, 0));
	CHECK_RESULT(weft_close(fd), 0);
}

static int send_to_path(void *arg)
{
	struct call *call = arg;
	struct sockaddr_storage to;
	socklen_t len;
	CHECK_RESULT(weft_addr_parse(call->buf, &to, &len), 0);
	struct iovec iov = { "late", 4 };
	struct weft_mmsghdr msg = { { .msg_name = &to, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1 }, 0 };
	switch (call->n) {
	case 0:
		return (int)weft_sendto(call->fd, "late", 4, 0, (struct sockaddr *)&to, len);
	case 1:
		return (int)weft_sendmsg(call->fd, &msg.msg_hdr, 0);
	default:
		return weft_sendmmsg(call->fd, &msg, 1, 0) == 1 ? (int)msg.msg_len : -1;
	}
}

static int64_t fill_path(int fd, const struct sockaddr_storage *to, socklen_t len)
{
	int64_t n = 0;
	ssize_t r;
	while ((r = weft_sendto(fd, "full", 4, MSG_DONTWAIT, (const struct sockaddr *)to, len)) == 4)
		n++;
	CHECK_RESULT(r, -EAGAIN);
	return n;
}

/* The queue of a unix socket is full of what others sent: the system does not tell when there is room. Then there are pauses; Linux
 * would have a sender who waits for an event try all the time, since each try makes one. */
CO_TEST(unix_full_queue_of_somebody_else)
{
	char addr[WEFT_ADDR_SIZE], buf[16];
	struct sockaddr_storage to;
	socklen_t len;
	int server, other, client;
	unix_addr(addr);
	CHECK_OK(server = weft_datagram(addr, NULL, 0));
	CHECK_RESULT(weft_addr_parse(addr, &to, &len), 0);
	CHECK_OK(other = weft_socket(AF_UNIX, SOCK_DGRAM, 0));
	CHECK_OK(client = weft_socket(AF_UNIX, SOCK_DGRAM, 0));
	int64_t queued = fill_path(other, &to, len);
	for (size_t kind = 0; kind < 3; kind++) {
		struct call call = { .fd = client, .buf = addr, .n = kind };
		struct weft_co *co = spawn_call(send_to_path, &call);
		await_waiters(client, WF_WRITE, 0, 1); /* pauses */
		for (; queued > 0; queued--)
			CHECK_EQ(weft_read(server, buf, sizeof buf), 4);
		CHECK_EQ(weft_read(server, buf, sizeof buf), 4);
		CHECK_MEM(buf, "late", 4);
		CHECK_EQ(join_call(co), 4);
		queued = fill_path(other, &to, len);
	}
	struct call call = { .fd = client, .buf = addr };
	struct weft_co *co = spawn_call(send_to_path, &call);
	await_waiters(client, WF_WRITE, 0, 1);
	CHECK_RESULT(weft_cancel(co), 0);
	CHECK_RESULT(join_call(co), -ECANCELED);
	CHECK_RESULT(weft_set_deadline(client, WEFT_WRITE, weft_after(WEFT_MS(5))), 0);
	CHECK_RESULT(send_to_path(&call), -ETIMEDOUT);
	CHECK_RESULT(weft_close(server), 0);
	close_pair((int[]){ other, client });
}

/* ---- many ---------------------------------------------------------------------------------------------------------- */

/* Sends batches, and waits for each to come back: UDP throws away what nobody takes. */
static int ask(void *arg)
{
	int fd = weft_datagram(NULL, arg, 0);
	CHECK_OK(fd);
	for (int round = 0; round < test_scaled(100); round++) {
		struct batch out, in;
		set_batch(&out, 8);
		set_batch(&in, 16);
		CHECK_EQ(weft_sendmmsg(fd, out.msgs, 8, 0), 8);
		for (int got = 0; got < 8;) {
			int n = weft_recvmmsg(fd, in.msgs, 8, 0);
			CHECK_GT(n, 0);
			got += n;
		}
	}
	CHECK_RESULT(weft_close(fd), 0);
	return 0;
}

static int answer(void *arg)
{
	struct batch b;
	for (;;) {
		set_batch(&b, 16);
		for (int i = 0; i < BATCH; i++) {
			b.msgs[i].msg_hdr.msg_name = &b.peers[i];
			b.msgs[i].msg_hdr.msg_namelen = sizeof b.peers[i];
		}
		int n = weft_recvmmsg(*(int *)arg, b.msgs, BATCH, 0);
		if (n == -EBADF)
			return 0;
		CHECK_GT(n, 0);
		for (int i = 0; i < n; i++)
			b.iov[i].iov_len = b.msgs[i].msg_len;
		int sent = weft_sendmmsg(*(int *)arg, b.msgs, (unsigned)n, 0);
		if (sent != -EBADF)
			CHECK_EQ(sent, n);
	}
}

CO_TEST(echo_of_many)
{
	enum { CLIENTS = 4, SERVERS = 3 };
	char addr[WEFT_ADDR_SIZE];
	int fd = udp(addr);
	struct weft_co *servers[SERVERS], *clients[CLIENTS];
	for (int i = 0; i < SERVERS; i++)
		servers[i] = spawn_call(answer, &fd);
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = spawn_call(ask, addr);
	for (int i = 0; i < CLIENTS; i++)
		CHECK_EQ(join_call(clients[i]), 0);
	CHECK_RESULT(weft_close(fd), 0);
	for (int i = 0; i < SERVERS; i++)
		CHECK_EQ(join_call(servers[i]), 0);
}
