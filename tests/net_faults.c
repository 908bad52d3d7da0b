/* System calls that fail: this program has its own definitions of some, which the library then calls. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net_util.h"

/* The errors of the next calls, 0: none, it succeeds. Ends with the array. */
struct script {
	wf_u32 at;
	unsigned count;
	const int *errors;
};

static struct script accepts, controls;
static wf_u32 accept_calls, connects_interrupted, no_epoll, no_eventfd;

static int next_error(struct script *script)
{
	unsigned at = wf_u32_load(&script->at);
	if (at >= script->count)
		return 0;
	wf_u32_store(&script->at, at + 1);
	return script->errors[at];
}

static void set_script(struct script *script, const int *errors, unsigned count)
{
	script->errors = errors;
	script->count = count;
	wf_u32_store(&script->at, 0);
}

static int fail(int error)
{
	errno = error;
	return -1;
}

/* Under names of their own in C, since the system's headers declare these two in ways of their own. */
int accept_or_fail(int fd, struct sockaddr *peer, socklen_t *len, int flags) __asm__("accept4");
int connect_or_fail(int fd, const struct sockaddr *addr, socklen_t len) __asm__("connect");

int accept_or_fail(int fd, struct sockaddr *peer, socklen_t *len, int flags)
{
	int error = next_error(&accepts);
	wf_u32_add(&accept_calls, 1);
	return error ? fail(error) : (int)syscall(SYS_accept4, fd, peer, len, flags);
}

int connect_or_fail(int fd, const struct sockaddr *addr, socklen_t len)
{
	int r = (int)syscall(SYS_connect, fd, addr, len);
	return wf_u32_load(&connects_interrupted) ? fail(EINTR) : r; /* it goes on by itself */
}

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
	int error = op == EPOLL_CTL_ADD ? next_error(&controls) : 0;
	return error ? fail(error) : (int)syscall(SYS_epoll_ctl, epoll, op, fd, event);
}

int epoll_create1(int flags)
{
	return wf_u32_load(&no_epoll) ? fail(EMFILE) : (int)syscall(SYS_epoll_create1, flags);
}

int eventfd(unsigned value, int flags)
{
	return wf_u32_load(&no_eventfd) ? fail(ENFILE) : (int)syscall(SYS_eventfd2, value, flags);
}

/* ---- accept -------------------------------------------------------------------------------------------------------- */

static void accept_after(const int *errors, unsigned count, int first, int second)
{
	char addr[64];
	int listener = listen_somewhere(addr), fd, conn;
	CHECK_OK(fd = weft_dial(addr, WEFT_NEVER));
	set_script(&accepts, errors, count);
	conn = weft_accept(listener, NULL, NULL);
	if (first < 0) {
		CHECK_RESULT(conn, first);
		conn = weft_accept(listener, NULL, NULL);
	}
	CHECK_EQ(conn < 0 ? conn : 0, second);
	CHECK_EQ(wf_u32_load(&accepts.at), count);
	CHECK_RESULT(weft_close(conn), 0);
	CHECK_RESULT(weft_close(fd), 0);
	CHECK_RESULT(weft_close(listener), 0);
}

CO_TEST(accept_skips_passing_errors)
{
	static const int errors[] = { ECONNABORTED, EPROTO, ENETDOWN, EINTR, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, ECONNABORTED };
	accept_after(errors, sizeof errors / sizeof *errors, 0, 0);
}

CO_TEST(accept_reports_shortages)
{
	static const int errors[] = { ENFILE, ENOBUFS, ENOMEM, EMFILE };
	for (int i = 0; i < 4; i++)
		accept_after(&errors[i], 1, -errors[i], 0);
}

CO_TEST(accept_reports_others)
{
	static const int errors[] = { EPERM };
	accept_after(errors, 1, -EPERM, 0);
}

/* The poller takes no more: what was accepted is closed again, and the error reported. */
static int accept_and_close(void *arg)
{
	int conn = weft_accept(*(int *)arg, NULL, NULL);
	if (conn >= 0)
		CHECK_RESULT(weft_close(conn), 0);
	return conn < 0 ? conn : 0;
}

/* Of many who wait for connections only one tries to have one that comes; it then wakes the next, who finds none and waits. */
CO_TEST(no_herd_of_acceptors)
{
	enum { ACCEPTORS = 50, N = 40 };
	char addr[64];
	struct weft_co *cos[ACCEPTORS];
	int listener = listen_somewhere(addr), ends[2] = { 0, 0 };
	for (int i = 0; i < ACCEPTORS; i++) {
		cos[i] = spawn_call(accept_and_close, &listener);
		await_waiters(listener, WF_READ, 1, i);
	}
	CHECK_EQ(wf_u32_load(&accept_calls), 1); /* by the first of them */
	for (int i = 0; i < N; i++) {
		int fd = weft_dial(addr, WEFT_NEVER);
		CHECK_OK(fd);
		CHECK_RESULT(weft_close(fd), 0);
		await_waiters(listener, WF_READ, 1, ACCEPTORS - 2 - i);
	}
	CHECK_LE(wf_u32_load(&accept_calls), 1 + 2 * N);
	CHECK_RESULT(weft_close(listener), 0);
	for (int i = 0; i < ACCEPTORS; i++) {
		int r = join_call(cos[i]);
		CHECK(r == 0 || r == -EBADF);
		ends[r == 0]++;
		if (i < N)
			CHECK_EQ(r, 0); /* first come, first served */
	}
	CHECK_EQ(ends[1], N);
}

CO_TEST(accept_without_room_in_the_poller)
{
	static const int errors[] = { ENOSPC };
	char addr[64], c;
	int listener = listen_somewhere(addr), fd;
	CHECK_OK(fd = weft_dial(addr, WEFT_NEVER));
	set_script(&controls, errors, 1);
	CHECK_RESULT(weft_accept(listener, NULL, NULL), -ENOSPC);
	ssize_t n = weft_read(fd, &c, 1);
	CHECK(n == 0 || n == -ECONNRESET);
	CHECK_RESULT(weft_close(fd), 0);
	CHECK_RESULT(weft_close(listener), 0);
}

CO_TEST(others_without_room_in_the_poller)
{
	static const int errors[] = { ENOSPC };
	char addr[64];
	int fds[2], listener = listen_somewhere(addr), fd;
	unsigned known = wf_desc_count();
	set_script(&controls, errors, 1);
	CHECK_RESULT(weft_listen("127.0.0.1:0", 0), -ENOSPC);
	set_script(&controls, errors, 1);
	CHECK_RESULT(weft_listen("unix:/tmp/weft-test-nospace", 0), -ENOSPC);
	CHECK_EQ(access("/tmp/weft-test-nospace", F_OK), -1);
	CHECK_EQ(pipe(fds), 0);
	int registered = count_registered();
	set_script(&controls, errors, 1);
	CHECK_RESULT(weft_adopt(fds[0]), -ENOSPC);
	set_script(&controls, errors, 1);
	CHECK_RESULT(weft_adopt(fds[1]), -ENOSPC);
	CHECK_EQ(count_registered(), registered);
	CHECK_EQ(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
	set_script(&controls, errors, 1);
	CHECK_RESULT(weft_wait_fd(fds[0], WEFT_READ, WEFT_NEVER), -ENOSPC);
	CHECK_EQ(wf_desc_count(), known);
	for (unsigned n = 1; n <= 2; n++) { /* the first of two, the second */
		static const int first[] = { ENOSPC }, second[] = { 0, ENOSPC };
		int pair[2];
		set_script(&controls, n == 1 ? first : second, n);
		CHECK_RESULT(weft_pipe(pair), -ENOSPC);
		set_script(&controls, n == 1 ? first : second, n);
		CHECK_RESULT(weft_socketpair(SOCK_STREAM, pair), -ENOSPC);
		set_script(&controls, first, 1);
		CHECK_RESULT(weft_datagram("127.0.0.1:0", NULL, 0), -ENOSPC);
		CHECK_EQ(wf_desc_count(), known); /* and none is left open: the harness looks */
	}
	CHECK_OK(fd = weft_dial(addr, WEFT_NEVER));
	set_script(&controls, errors, 1); /* a dialled socket is registered when it first waits */
	if (!wf_desc_find(fd)->registered) {
		char c;
		CHECK_RESULT(weft_read(fd, &c, 1), -ENOSPC);
	}
	set_script(&controls, NULL, 0);
	CHECK_RESULT(weft_close(fd), 0);
	CHECK_RESULT(weft_close(listener), 0);
	close(fds[0]);
	close(fds[1]);
}

/* ---- connect ------------------------------------------------------------------------------------------------------- */

CO_TEST(interrupted_connect_goes_on)
{
	char addr[64], c;
	int listener = listen_somewhere(addr), fd, conn;
	wf_u32_store(&connects_interrupted, 1);
	CHECK_OK(fd = weft_dial(addr, WEFT_NEVER));
	wf_u32_store(&connects_interrupted, 0);
	CHECK_OK(conn = weft_accept(listener, NULL, NULL));
	CHECK_EQ(weft_write(fd, "x", 1), 1);
	CHECK_EQ(weft_read(conn, &c, 1), 1);
	close_pair((int[]){ fd, conn });
	CHECK_RESULT(weft_close(listener), 0);
	wf_u32_store(&connects_interrupted, 1);
	CHECK_RESULT(weft_dial(addr, WEFT_NEVER), -ECONNREFUSED);
}

/* ---- the poller ---------------------------------------------------------------------------------------------------- */

static int return_7(void *arg) { return arg ? 0 : 7; }

TEST(runtime_without_a_poller)
{
	wf_u32_store(&no_epoll, 1);
	CHECK_RESULT(weft_run(NULL, return_7, NULL), -EMFILE);
	wf_u32_store(&no_epoll, 0);
	wf_u32_store(&no_eventfd, 1);
	CHECK_RESULT(weft_run(NULL, return_7, NULL), -ENFILE);
	wf_u32_store(&no_eventfd, 0);
	CHECK_EQ(weft_run(NULL, return_7, NULL), 7);
}
