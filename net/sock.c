/* Sockets: making, accepting, connecting. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "../runtime/os_net.h"
#include "../runtime/sched.h"
#include "sock.h"

unsigned wf_socket_kind(int domain, int type, int protocol)
{
	bool stream = (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM;
	bool tcp = stream && (domain == AF_INET || domain == AF_INET6) && (protocol == 0 || protocol == IPPROTO_TCP);
	return WF_DESC_SOCKET | (tcp ? WF_DESC_TCP : 0) | (stream ? 0 : WF_DESC_MESSAGES);
}

/* Has the poller told when somebody waits, not at once: a socket that is not connected yet would show an end. */
int weft_socket(int domain, int type, int protocol)
{
	int fd = wf_os_socket(domain, type, protocol);
	if (fd < 0)
		return fd;
	unsigned kind = wf_socket_kind(domain, type, protocol);
	int r = kind & WF_DESC_TCP ? wf_os_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) : 0;
	struct wf_worker *w = wf_enter_here();
	if (r == 0)
		r = wf_desc_create(w, fd, kind | (kind & WF_DESC_TCP ? WF_DESC_NODELAY : 0), false, NULL);
	wf_leave(w);
	if (r == 0)
		return fd;
	wf_os_close(fd);
	return r;
}

/* ---- accept --------------------------------------------------------------------------------------------------------- */

/* An error of one connection, or of the network under it (accept(2)): the next one may do better. */
static bool is_passing(int error)
{
	static const int passing[] = { ECONNABORTED, EPROTO,      ENETDOWN,     ENETUNREACH, ENOPROTOOPT,
				       EHOSTDOWN,    EHOSTUNREACH, ENONET, ETIMEDOUT };
	for (size_t i = 0; i < wf_countof(passing); i++)
		if (error == -passing[i])
			return true;
	return false;
}

static bool is_shortage(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

/* After a try that failed: 0: try again. */
static int after_failure(struct wf_turn *turn, int error, uintptr_t closed)
{
	if (error == -EAGAIN)
		return wf_turn_wait(turn);
	if (is_passing(error)) {
		wf_charge(&turn->w, WF_COST_SYSCALL);
		return 0;
	}
	if (!is_shortage(error))
		return error;
	if (wf_poll_now(turn->fd, WEFT_READ) == 0) /* nobody is there: then the shortage is no news yet */
		return wf_turn_wait(turn);
	int r = wf_turn_starve(turn, closed);
	return r == -EAGAIN ? error : r;
}

static int accept_one(struct wf_turn *turn, struct sockaddr *peer, socklen_t *len)
{
	int r = wf_turn_unblock(turn);
	while (r == 0) {
		uintptr_t closed = wf_closed_count();
		int conn = wf_os_accept(turn->fd, peer, len);
		if (conn >= 0) {
			wf_turn_fed(turn);
			return conn;
		}
		r = after_failure(turn, conn, closed);
	}
	return r;
}

int weft_accept(int fd, struct sockaddr *peer, socklen_t *len)
{
	struct wf_turn turn;
	int r = wf_turn_take(&turn, fd, WF_READ, WF_WHY_ACCEPT, 0);
	if (r < 0)
		return r;
	int conn = accept_one(&turn, peer, len);
	wf_turn_end(&turn, false, 0);
	if (conn < 0)
		return conn;
	if ((turn.kind & (WF_DESC_TCP | WF_DESC_NODELAY)) == WF_DESC_TCP)
		wf_os_set_option(conn, IPPROTO_TCP, TCP_NODELAY, 1);
	struct wf_worker *w = wf_enter_here();
	r = wf_desc_create(w, conn, turn.kind & (WF_DESC_SOCKET | WF_DESC_TCP | WF_DESC_MESSAGES), true, NULL);
	wf_leave(w);
	if (r == 0)
		return conn;
	wf_os_close(conn);
	return r;
}

/* ---- connect -------------------------------------------------------------------------------------------------------- */

/* The outcome of a connect(2) that goes on by itself. An edge can come for other reasons, so the socket is asked twice. */
static int await_outcome(struct wf_turn *turn)
{
	int r;
	while ((r = wf_turn_wait(turn)) == 0) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof peer;
		int error = wf_os_get_option(turn->fd, SOL_SOCKET, SO_ERROR);
		if (error != 0)
			return error < 0 ? error : -error;
		r = wf_os_getpeername(turn->fd, (struct sockaddr *)&peer, &len);
		if (r != -ENOTCONN)
			return r;
	}
	return r;
}

int wf_sock_connect(struct wf_turn *turn, const struct sockaddr *addr, socklen_t len)
{
	int pause_ms = 0, r = wf_turn_unblock(turn);
	while (r == 0) {
		r = wf_os_connect(turn->fd, addr, len);
		if (r == -EINPROGRESS || r == -EALREADY || r == -EINTR)
			return await_outcome(turn);
		if (r != -EAGAIN || addr->sa_family != AF_UNIX)
			return r;
		r = wf_turn_back_off(turn, &pause_ms); /* its queue is full: nothing will tell when it is not */
	}
	return r;
}

int weft_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct wf_turn turn;
	int r = wf_turn_take(&turn, fd, WF_WRITE, WF_WHY_CONNECT, 0);
	if (r < 0)
		return r;
	r = wf_sock_connect(&turn, addr, len);
	wf_turn_end(&turn, false, 0);
	return r;
}
