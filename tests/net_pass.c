/* Descriptors as messages, in pairs, and from the process that started this one. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <weft/socket.h>

#include "net_util.h"

/* ---- pairs ---------------------------------------------------------------------------------------------------------- */

CO_TEST(pipe_and_pair)
{
	int fds[2];
	char c;
	CHECK_RESULT(weft_pipe(fds), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_NE(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, 0);
		CHECK_NE(fcntl(fds[i], F_GETFL) & O_NONBLOCK, 0);
	}
	CHECK_EQ(weft_write(fds[1], "p", 1), 1);
	CHECK_EQ(weft_read(fds[0], &c, 1), 1);
	CHECK_RESULT(weft_release(fds[1]), fds[1]); /* as a child wants it */
	CHECK_EQ(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	close(fds[1]);
	CHECK_EQ(weft_read(fds[0], &c, 1), 0);
	CHECK_RESULT(weft_close(fds[0]), 0);
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	for (int i = 0; i < 3; i++) {
		CHECK_RESULT(weft_socketpair(types[i], fds), 0);
		CHECK_NE(fcntl(fds[i % 2], F_GETFD) & FD_CLOEXEC, 0);
		CHECK_EQ(weft_write(fds[0], "s", 1), 1);
		CHECK_EQ(weft_read(fds[1], &c, 1), 1);
		close_pair(fds);
	}
	CHECK_LT(weft_socketpair(77, fds), 0);
}

/* With room for so many descriptors more. (The runtime has one open for a moment now and then.) */
static struct rlimit allow_more(int more)
{
	struct rlimit old, now;
	int lowest = INT_MAX;
	for (int i = 0; i < 10; i++) {
		int fd = dup(0);
		CHECK_OK(fd);
		close(fd);
		lowest = fd < lowest ? fd : lowest;
		weft_sleep(WEFT_US(50));
	}
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
	now = old;
	now.rlim_cur = (rlim_t)(lowest + more);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &now), 0);
	return old;
}

CO_TEST(pairs_without_descriptors)
{
	int fds[2], before = count_fds();
	for (int more = 0; more < 2; more++) {
		struct rlimit old = allow_more(more);
		CHECK_RESULT(weft_pipe(fds), -EMFILE);
		CHECK_RESULT(weft_socketpair(SOCK_STREAM, fds), -EMFILE);
		CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
		CHECK_EQ(count_fds(), before);
	}
}

/* ---- in messages ---------------------------------------------------------------------------------------------------- */

static void check_passed(const int pair[2], int carried, int came)
{
	char c = 0;
	(void)pair;
	CHECK_NE(carried, came);
	CHECK_NE(fcntl(came, F_GETFD) & FD_CLOEXEC, 0);
	CHECK_EQ(write(came, "z", 1), 1);
	CHECK_EQ(read(pair[0], &c, 1), 1);
	CHECK_EQ(c, 'z');
}

CO_TEST(descriptors_arrive)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	int fds[2], ends[2], got[4], count, before = count_fds();
	char buf[16];
	CHECK_EQ(pipe(ends), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_RESULT(weft_socketpair(types[i], fds), 0);
		CHECK_EQ(weft_send_fds(fds[0], "one", 3, &ends[1], 1), 3);
		CHECK_EQ(weft_send_fds(fds[0], "none", 4, NULL, 0), 4);
		CHECK_EQ(weft_send_fds(fds[0], "three", 5, (int[]){ ends[1], ends[1], ends[1] }, 3), 5);
		count = 1;
		CHECK_EQ(weft_recv_fds(fds[1], buf, 3, got, &count), 3);
		CHECK_EQ(count, 1);
		check_passed(ends, ends[1], got[0]);
		close(got[0]);
		count = 4;
		CHECK_EQ(weft_recv_fds(fds[1], buf, 4, got, &count), 4);
		CHECK_EQ(count, 0);
		count = 3;
		CHECK_EQ(weft_recv_fds(fds[1], buf, 5, got, &count), 5);
		CHECK_EQ(count, 3);
		for (int j = 0; j < 3; j++) {
			check_passed(ends, ends[1], got[j]);
			close(got[j]);
		}
		CHECK_RESULT(weft_close(fds[0]), 0);
		count = 4;
		if (types[i] != SOCK_DGRAM)
			CHECK_EQ(weft_recv_fds(fds[1], buf, 5, got, &count), 0);
		CHECK_RESULT(weft_close(fds[1]), 0);
	}
	close(ends[0]);
	close(ends[1]);
	CHECK_EQ(count_fds(), before);
}

/* All or none: where there is no room for them, none is left open. */
CO_TEST(too_many_descriptors)
{
	int fds[2], carried[WEFT_FDS_MAX], got[WEFT_FDS_MAX], count, before = count_fds();
	char buf[16];
	for (int i = 0; i < WEFT_FDS_MAX; i++)
		carried[i] = 0;
	CHECK_RESULT(weft_socketpair(SOCK_SEQPACKET, fds), 0);
	for (int room = 0; room < 4; room++) {
		CHECK_EQ(weft_send_fds(fds[0], "x", 1, carried, 4), 1);
		CHECK_EQ(weft_send_fds(fds[0], "y", 1, carried, 4), 1);
		count = room;
		CHECK_RESULT(weft_recv_fds(fds[1], buf, sizeof buf, got, &count), -EMSGSIZE);
		CHECK_EQ(count, 0);
		CHECK_EQ(count_fds(), before + 2);
		struct rlimit old = allow_more(room);
		count = 4;
		CHECK_RESULT(weft_recv_fds(fds[1], buf, sizeof buf, got, &count), -EMFILE);
		CHECK_EQ(count, 0);
		CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
		CHECK_EQ(count_fds(), before + 2);
	}
	CHECK_EQ(weft_send_fds(fds[0], "x", 1, carried, WEFT_FDS_MAX), 1);
	count = WEFT_FDS_MAX;
	CHECK_EQ(weft_recv_fds(fds[1], buf, sizeof buf, got, &count), 1);
	CHECK_EQ(count, WEFT_FDS_MAX);
	for (int i = 0; i < count; i++)
		close(got[i]);
	CHECK_EQ(weft_send_fds(fds[0], "x", 1, carried, 2), 1);
	CHECK_EQ(weft_read(fds[1], buf, 1), 1); /* who reads otherwise gets none, and they are gone */
	CHECK_EQ(count_fds(), before + 2);
	close_pair(fds);
}

CO_TEST(bad_arguments)
{
	int fds[2], fd = 0, count = 1;
	char c;
	CHECK_RESULT(weft_socketpair(SOCK_STREAM, fds), 0);
	CHECK_RESULT(weft_send_fds(fds[0], "x", 0, &fd, 1), -EINVAL);
	CHECK_RESULT(weft_send_fds(fds[0], "x", 1, &fd, -1), -EINVAL);
	CHECK_RESULT(weft_send_fds(fds[0], "x", 1, &fd, WEFT_FDS_MAX + 1), -EINVAL);
	fd = 9999;
	CHECK_RESULT(weft_send_fds(fds[0], "x", 1, &fd, 1), -EBADF); /* none that is open */
	CHECK_EQ(weft_recv_fds(fds[1], &c, 0, &fd, &count), 0);
	CHECK_EQ(count, 0);
	close_pair(fds);
	count = 1;
	CHECK_RESULT(weft_recv_fds(fds[1], &c, 1, &fd, &count), -EBADF);
	CHECK_EQ(count, 0);
	CHECK_RESULT(weft_send_fds(fds[1], "x", 1, &fd, 1), -EBADF);
}

struct passing {
	int fd, got, count;
	ssize_t result;
};

static int receive_one(void *arg)
{
	struct passing *p = arg;
	char c;
	p->count = 1;
	p->result = weft_recv_fds(p->fd, &c, 1, &p->got, &p->count);
	return 0;
}

CO_TEST(receiving_waits)
{
	int fds[2];
	CHECK_RESULT(weft_socketpair(SOCK_STREAM, fds), 0);
	struct passing p = { .fd = fds[1] };
	struct weft_co *co = spawn_call(receive_one, &p);
	await_waiters(fds[1], WF_READ, 1, 0);
	CHECK_EQ(weft_send_fds(fds[0], "x", 1, &fds[0], 1), 1);
	CHECK_EQ(join_call(co), 0);
	CHECK_EQ(p.count, 1);
	CHECK_RESULT(weft_adopt(p.got), 0);
	CHECK_EQ(weft_write(p.got, "y", 1), 1); /* the socket itself has come */
	CHECK_RESULT(weft_close(p.got), 0);
	co = spawn_call(receive_one, &(struct passing){ .fd = fds[0] });
	await_waiters(fds[0], WF_READ, 1, 0);
	CHECK_RESULT(weft_cancel(co), 0);
	CHECK_EQ(join_call(co), 0);
	close_pair(fds);
}

/* A listener handed from one to another: what waits in its queue is not lost. */
CO_TEST(listener_is_handed_over)
{
	char addr[WEFT_ADDR_SIZE];
	int fds[2], listener, fd, conn, got, count = 1;
	char c;
	CHECK_OK(listener = weft_listen("127.0.0.1:0", 0));
	CHECK_OK(weft_local_addr(listener, addr, sizeof addr));
	CHECK_OK(fd = weft_dial(addr, WEFT_NEVER));
	CHECK_RESULT(weft_socketpair(SOCK_STREAM, fds), 0);
	CHECK_EQ(weft_send_fds(fds[0], "l", 1, &listener, 1), 1);
	CHECK_RESULT(weft_close(listener), 0);
	CHECK_EQ(weft_recv_fds(fds[1], &c, 1, &got, &count), 1);
	CHECK_RESULT(weft_adopt(got), 0);
	CHECK_OK(conn = weft_accept(got, NULL, NULL));
	close_pair((int[]){ fd, conn });
	CHECK_RESULT(weft_close(got), 0);
	close_pair(fds);
}

CO_TEST(peer_is_known)
{
	int fds[2];
	pid_t pid = 0;
	uid_t uid = 77;
	gid_t gid = 77;
	CHECK_RESULT(weft_socketpair(SOCK_STREAM, fds), 0);
	CHECK_RESULT(weft_peer_ids(fds[0], &pid, &uid, &gid), 0);
	CHECK_EQ(pid, getpid());
	CHECK_EQ(uid, getuid());
	CHECK_EQ(gid, getgid());
	CHECK_RESULT(weft_peer_ids(fds[0], NULL, NULL, NULL), 0);
	close_pair(fds);
	CHECK_RESULT(weft_peer_ids(fds[0], NULL, NULL, NULL), -EBADF);
	tcp_pair(fds);
	CHECK_RESULT(weft_peer_ids(fds[0], NULL, NULL, NULL), -ENOTCONN);
	close_pair(fds);
}

/* ---- from the process that started this one ------------------------------------------------------------------------- */

/* Makes the descriptors from 3 on listeners, as systemd would, and says so. */
static void hand(int n, const char *count, const char *names, int pid)
{
	char text[16];
	for (int i = 0; i < n; i++) {
		struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		CHECK_EQ(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
		CHECK_EQ(listen(fd, 5), 0);
		if (fd != 3 + i) {
			CHECK_EQ(dup2(fd, 3 + i), 3 + i);
			close(fd);
		}
	}
	snprintf(text, sizeof text, "%d", pid);
	setenv("LISTEN_PID", text, 1);
	setenv("LISTEN_FDS", count, 1);
	if (names)
		setenv("LISTEN_FDNAMES", names, 1);
}

static void serve_once(int listener)
{
	char addr[WEFT_ADDR_SIZE];
	int fd, conn;
	CHECK_OK(weft_local_addr(listener, addr, sizeof addr));
	CHECK_OK(fd = weft_dial(addr, WEFT_NEVER));
	CHECK_OK(conn = weft_accept(listener, NULL, NULL));
	CHECK_NE(fcntl(listener, F_GETFD) & FD_CLOEXEC, 0);
	close_pair((int[]){ fd, conn });
}

static int take_all(void *arg)
{
	int fds[4] = { -1, -1, -1, -1 };
	CHECK_RESULT(weft_listen_fds(NULL, fds, 2), 3);
	CHECK_EQ(fds[0], 3);
	CHECK_EQ(fds[1], 4);
	CHECK_EQ(fds[2], -1);
	for (int fd = 3; fd < 6; fd++) {
		serve_once(fd);
		CHECK_RESULT(weft_close(fd), 0);
	}
	weft_listen_fds_forget();
	CHECK(!getenv("LISTEN_FDS") && !getenv("LISTEN_PID") && !getenv("LISTEN_FDNAMES"));
	CHECK_RESULT(weft_listen_fds(NULL, fds, 4), 0);
	(void)arg;
	return 0;
}

/* They are there before the runtime opens anything. */
TEST(sockets_of_systemd)
{
	hand(3, "3", NULL, getpid());
	CHECK_RESULT(weft_run(NULL, take_all, NULL), 0);
}

static int take_named(void *arg)
{
	int fds[4] = { -1, -1, -1, -1 };
	(void)arg;
	CHECK_RESULT(weft_listen_fds("admin", fds, 4), 1);
	CHECK_EQ(fds[0], 4);
	CHECK_RESULT(weft_listen_fds("web", fds, 4), 2);
	CHECK_EQ(fds[0], 3);
	CHECK_EQ(fds[1], 6);
	CHECK_RESULT(weft_listen_fds("unknown", fds, 0), 1); /* without a name */
	CHECK_RESULT(weft_listen_fds("we", fds, 4), 0);
	CHECK_RESULT(weft_listen_fds("", fds, 4), 0);
	for (int fd = 3; fd < 7; fd++) {
		serve_once(fd);
		CHECK_RESULT(weft_close(fd), 0);
	}
	return 0;
}

TEST(named_sockets_of_systemd)
{
	hand(4, "4", "web:admin::web", getpid());
	CHECK_RESULT(weft_run(NULL, take_named, NULL), 0);
}

static int take_none(void *arg)
{
	int fd = -1;
	const char *const *bad = arg;
	CHECK_RESULT(weft_listen_fds(NULL, &fd, 1), 0); /* another process's */
	for (int i = 0; bad[i]; i++) {
		hand(0, bad[i], NULL, getpid());
		CHECK_RESULT(weft_listen_fds(NULL, &fd, 1), -EINVAL);
		hand(0, "1", NULL, getpid());
		setenv("LISTEN_PID", bad[i], 1);
		CHECK_RESULT(weft_listen_fds(NULL, &fd, 1), -EINVAL);
	}
	hand(0, "0", NULL, getpid());
	CHECK_RESULT(weft_listen_fds(NULL, &fd, 1), 0);
	unsetenv("LISTEN_FDS");
	CHECK_RESULT(weft_listen_fds(NULL, &fd, 1), 0);
	hand(0, "500", NULL, getpid());
	CHECK_RESULT(weft_listen_fds("x", &fd, 1), 0);
	CHECK_EQ(fd, -1);
	return 0;
}

TEST(sockets_of_somebody_else)
{
	static const char *bad[] = { "", "x", "-1", "1x", " 1", "9999999999", NULL };
	hand(0, "1", NULL, getpid() + 1);
	CHECK_RESULT(weft_run(NULL, take_none, bad), 0);
}
