/* Making sockets: socket, listen, accept, connect, dial. */
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/os_net.h"
#include "../runtime/sched.h"
#include "addr.h"
#include "dns.h"
#include "turn.h"

enum {
	DIALS_MAX = 3,        /* attempts at one address, where the fault is in the port on our side */
	BACKLOG_PAUSE_MS = 1, /* until a unix listener's queue is tried again; doubles */
	BACKLOG_PAUSE_MAX_MS = 32,
};

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

/* ---- listen --------------------------------------------------------------------------------------------------------- */

/* Whether a path is a unix socket that no process has. The probe is of another type than what we look for, so that a living
 * listener refuses it (-EPROTOTYPE) rather than find it among its connections. */
static bool is_stale(const struct wf_addr *addr)
{
	struct stat st;
	if (wf_os_path_stat(wf_addr_path(addr), &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	int probe = wf_os_socket(AF_UNIX, SOCK_DGRAM, 0);
	if (probe < 0)
		return false;
	int r = wf_os_connect(probe, &addr->any, addr->len);
	wf_os_close(probe);
	return r == -ECONNREFUSED;
}

static int bind_to(int fd, const struct wf_addr *addr)
{
	int r = wf_os_bind(fd, &addr->any, addr->len);
	if (r != -EADDRINUSE || !wf_addr_path(addr) || !is_stale(addr))
		return r;
	wf_os_unlink(wf_addr_path(addr));
	return wf_os_bind(fd, &addr->any, addr->len);
}

/* Notes which file a bound path is, so that this one is removed when the socket is closed, and no other. */
static int take_name(const struct wf_addr *addr, struct wf_name **name)
{
	const char *path = wf_addr_path(addr);
	struct stat st;
	if (!path)
		return 0;
	int r = wf_os_path_stat(path, &st);
	if (r < 0)
		return r;
	*name = malloc(sizeof **name + strlen(path) + 1);
	if (!*name)
		return -ENOMEM;
	(*name)->device = st.st_dev;
	(*name)->inode = st.st_ino;
	strcpy((*name)->path, path);
	return 0;
}

/* What accepted sockets get from their listener: TCP_NODELAY. What a restarted server needs: SO_REUSEADDR. */
static int set_tcp_options(int fd, const struct wf_addr *addr)
{
	int r = wf_os_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0)
		r = wf_os_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (r == 0 && addr->any.sa_family == AF_INET6 && addr->no_host)
		r = wf_os_set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	return r;
}

/* Binds, listens and makes it known; on failure nothing is left of it but the open number. */
static int listen_with(int fd, const struct wf_addr *addr, int backlog)
{
	unsigned kind = wf_socket_kind(addr->any.sa_family, SOCK_STREAM, 0) | WF_DESC_NODELAY;
	struct wf_name *name = NULL;
	int r = kind & WF_DESC_TCP ? set_tcp_options(fd, addr) : 0;
	if (r == 0)
		r = bind_to(fd, addr);
	if (r < 0)
		return r;
	r = take_name(addr, &name);
	if (r == 0)
		r = wf_os_listen(fd, backlog > 0 ? backlog : INT_MAX);
	struct wf_worker *w = wf_enter_here();
	if (r == 0)
		r = wf_desc_create(w, fd, kind, true, name);
	wf_leave(w);
	if (r < 0) {
		free(name);
		if (wf_addr_path(addr))
			wf_os_unlink(wf_addr_path(addr));
	}
	return r;
}

static int listen_on(const struct wf_addr *addr, int backlog)
{
	int fd = wf_os_socket(addr->any.sa_family, SOCK_STREAM, 0);
	if (fd < 0)
		return fd;
	int r = listen_with(fd, addr, backlog);
	if (r == 0)
		return fd;
	wf_os_close(fd);
	return r;
}

static int listen_on_name(const char *text, int backlog)
{
	struct addrinfo *found = NULL;
	struct wf_addr addr;
	int first = 0, r = wf_resolve_text(text, WEFT_NEVER, &found);
	if (r < 0)
		return r;
	r = -ENOENT;
	for (const struct addrinfo *info = found; info; info = info->ai_next) {
		r = wf_addr_from(&addr, info) ? listen_on(&addr, backlog) : -EAFNOSUPPORT;
		if (r >= 0)
			break;
		first = first ? first : r;
	}
	wf_os_freeaddrinfo(found);
	return r >= 0 || !first ? r : first;
}

int weft_listen(const char *text, int backlog)
{
	struct wf_addr addr;
	if (wf_addr_parse(&addr, text) < 0)
		return listen_on_name(text, backlog);
	int r;
	if (!addr.no_host)
		return listen_on(&addr, backlog);
	wf_addr_set_everywhere(&addr, true);
	r = listen_on(&addr, backlog);
	if (r != -EAFNOSUPPORT && r != -EADDRNOTAVAIL)
		return r;
	wf_addr_set_everywhere(&addr, false); /* a system without IPv6 */
	return listen_on(&addr, backlog);
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

static int connect_to(struct wf_turn *turn, const struct sockaddr *addr, socklen_t len)
{
	int pause_ms = BACKLOG_PAUSE_MS, r = wf_turn_unblock(turn);
	while (r == 0) {
		r = wf_os_connect(turn->fd, addr, len);
		if (r == -EINPROGRESS || r == -EALREADY || r == -EINTR)
			return await_outcome(turn);
		if (r != -EAGAIN || addr->sa_family != AF_UNIX)
			return r;
		r = wf_turn_pause(turn, WEFT_MS(pause_ms)); /* its queue is full: nothing will tell when it is not */
		pause_ms = pause_ms < BACKLOG_PAUSE_MAX_MS ? 2 * pause_ms : pause_ms;
	}
	return r;
}

int weft_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct wf_turn turn;
	int r = wf_turn_take(&turn, fd, WF_WRITE, WF_WHY_CONNECT, 0);
	if (r < 0)
		return r;
	r = connect_to(&turn, addr, len);
	wf_turn_end(&turn, false, 0);
	return r;
}

/* The port that the system chose for our end can be the one we connect to, if nobody listens there: TCP then connects the socket to
 * itself. */
static bool is_own_peer(int fd)
{
	struct sockaddr_storage local = { .ss_family = 0 }, peer = { .ss_family = 0 };
	socklen_t local_len = sizeof local, peer_len = sizeof peer;
	return wf_os_getsockname(fd, (struct sockaddr *)&local, &local_len) == 0 &&
	       wf_os_getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 && local_len == peer_len &&
	       memcmp(&local, &peer, local_len) == 0;
}

static int dial_with(int fd, const struct wf_addr *addr, weft_time deadline)
{
	struct wf_turn turn;
	int r = wf_turn_take(&turn, fd, WF_WRITE, WF_WHY_CONNECT, 0);
	if (r < 0)
		return r;
	wf_turn_set_deadline(&turn, deadline);
	r = connect_to(&turn, &addr->any, addr->len);
	wf_turn_set_deadline(&turn, WEFT_NEVER);
	wf_turn_end(&turn, false, 0);
	if (r == -ETIMEDOUT && deadline == WEFT_NOW)
		return -EAGAIN;
	return r;
}

static int dial_addr(const struct wf_addr *addr, weft_time deadline)
{
	int r = 0;
	for (int i = 0; i < DIALS_MAX; i++) {
		int fd = weft_socket(addr->any.sa_family, SOCK_STREAM, 0);
		if (fd < 0)
			return fd;
		r = dial_with(fd, addr, deadline);
		bool own = r == 0 && addr->any.sa_family != AF_UNIX && is_own_peer(fd);
		if (r == 0 && !own)
			return fd;
		weft_close(fd);
		if (own)
			r = -ECONNREFUSED;
		else if (r != -EADDRNOTAVAIL) /* the system can run into a port that is just being given up */
			break;
	}
	return r;
}

/* What is about the call, not about one address. */
static bool ends_dial(int r, weft_time deadline)
{
	return r >= 0 || r == -ECANCELED || deadline == WEFT_NOW || wf_is_past(deadline);
}

static int dial_name(const char *text, weft_time deadline)
{
	struct addrinfo *found = NULL;
	struct wf_addr addr;
	int first = 0, r = wf_resolve_text(text, deadline, &found);
	if (r < 0)
		return r;
	r = -ENOENT;
	for (const struct addrinfo *info = found; info; info = info->ai_next) {
		r = wf_addr_from(&addr, info) ? dial_addr(&addr, deadline) : -EAFNOSUPPORT;
		if (ends_dial(r, deadline))
			break;
		first = first ? first : r;
	}
	wf_os_freeaddrinfo(found);
	return ends_dial(r, deadline) || !first ? r : first;
}

int weft_dial(const char *text, weft_time deadline)
{
	struct wf_addr addr;
	bool numeric = wf_addr_parse(&addr, text) == 0;
	if (deadline != WEFT_NOW && wf_is_past(deadline))
		return -ETIMEDOUT;
	return numeric ? dial_addr(&addr, deadline) : dial_name(text, deadline);
}
