/* Sockets with an address that others know: listeners, and datagram sockets. */
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <weft/datagram.h>

#include "../runtime/os_net.h"
#include "../runtime/sched.h"
#include "dns.h"
#include "sock.h"

/* What is to be bound, in the manner of all its addresses. */
struct plan {
	int type;
	unsigned flags;
	int backlog;                  /* of listeners */
	bool unbound;                 /* the address is the peer's, and the system chooses ours */
	const struct wf_addr *remote; /* NULL: any */
};

/* ---- paths ---------------------------------------------------------------------------------------------------------- */

/* Whether a path is a unix socket that no process has. The probe is one for datagrams, so that a living listener refuses it
 * (-EPROTOTYPE) rather than find it among its connections. */
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
	(*name)->device = (uint64_t)st.st_dev;
	(*name)->inode = st.st_ino;
	strcpy((*name)->path, path);
	return 0;
}

/* ---- one address ---------------------------------------------------------------------------------------------------- */

/* Where accepted sockets get it from: TCP_NODELAY. What a restarted server needs: SO_REUSEADDR; with datagrams that would let
 * others take what is ours. */
static int set_options(int fd, const struct wf_addr *addr, const struct plan *plan)
{
	int r = 0;
	bool v6_only = (plan->flags & WEFT_V6_ONLY) != 0;
	if (addr->any.sa_family == AF_UNIX)
		return 0;
	if (plan->type == SOCK_STREAM && (r = wf_os_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1)) == 0)
		r = wf_os_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (r == 0 && (plan->flags & WEFT_REUSE_PORT))
		r = wf_os_set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r == 0 && (plan->flags & WEFT_BROADCAST))
		r = wf_os_set_option(fd, SOL_SOCKET, SO_BROADCAST, 1);
	if (r == 0 && addr->any.sa_family == AF_INET6 && (addr->no_host || v6_only))
		r = wf_os_set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6_only);
	return r;
}

/* After binding; makes it known. */
static int finish(int fd, const struct wf_addr *addr, const struct plan *plan, struct wf_name *name)
{
	unsigned kind = wf_socket_kind(addr->any.sa_family, plan->type, 0);
	int r = 0;
	if (plan->type == SOCK_STREAM)
		r = wf_os_listen(fd, plan->backlog > 0 ? plan->backlog : INT_MAX);
	else if (plan->remote)
		r = wf_os_connect(fd, &plan->remote->any, plan->remote->len);
	if (r < 0)
		return r;
	struct wf_worker *w = wf_enter_here();
	r = wf_desc_create(w, fd, kind | (kind & WF_DESC_TCP ? WF_DESC_NODELAY : 0), true, name);
	wf_leave(w);
	return r;
}

/* Binds and makes it known; on failure nothing is left of it but the open number. */
static int bind_and_finish(int fd, const struct wf_addr *addr, const struct plan *plan)
{
	struct wf_name *name = NULL;
	int r = set_options(fd, addr, plan);
	if (r < 0 || plan->unbound)
		return r < 0 ? r : finish(fd, addr, plan, NULL);
	r = bind_to(fd, addr);
	if (r < 0)
		return r;
	r = take_name(addr, &name);
	if (r == 0)
		r = finish(fd, addr, plan, name);
	if (r < 0) {
		free(name);
		if (wf_addr_path(addr))
			wf_os_unlink(wf_addr_path(addr));
	}
	return r;
}

static int open_at(const struct wf_addr *addr, const struct plan *plan)
{
	int fd = wf_os_socket(addr->any.sa_family, plan->type, 0);
	if (fd < 0)
		return fd;
	int r = bind_and_finish(fd, addr, plan);
	if (r == 0)
		return fd;
	wf_os_close(fd);
	return r;
}

/* ---- any address ---------------------------------------------------------------------------------------------------- */

/* ":port": all addresses, of both families where there are both; with a remote, of its family. */
static int open_everywhere(struct wf_addr *addr, const struct plan *plan)
{
	if (!plan->remote || plan->remote->any.sa_family == AF_INET6) {
		wf_addr_set_everywhere(addr, true);
		int r = open_at(addr, plan);
		bool without_v6 = r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL;
		if (!without_v6 || plan->remote || (plan->flags & WEFT_V6_ONLY))
			return r;
	}
	wf_addr_set_everywhere(addr, false);
	return open_at(addr, plan);
}

static int open_name(const char *text, const struct plan *plan, int (*try)(const struct wf_addr *, const struct plan *))
{
	struct addrinfo *found = NULL;
	struct wf_addr addr;
	int first = 0, r = wf_resolve_text(text, plan->type, WEFT_NEVER, &found);
	if (r < 0)
		return r;
	r = -ENOENT;
	for (const struct addrinfo *info = found; info; info = info->ai_next) {
		r = wf_addr_from(&addr, info) ? try(&addr, plan) : -EAFNOSUPPORT;
		if (r >= 0)
			break;
		first = first ? first : r;
	}
	wf_os_freeaddrinfo(found);
	return r >= 0 || !first ? r : first;
}

static int open_text(const char *text, const struct plan *plan)
{
	struct wf_addr addr;
	if (wf_addr_parse(&addr, text) < 0)
		return open_name(text, plan, open_at);
	return addr.no_host ? open_everywhere(&addr, plan) : open_at(&addr, plan);
}

/* ---- listeners ------------------------------------------------------------------------------------------------------ */

int weft_listen_with(const char *addr, const struct weft_listen_opts *opts)
{
	struct plan plan = { .type = SOCK_STREAM };
	if (opts && (opts->size < sizeof *opts || (opts->flags & ~(unsigned)(WEFT_REUSE_PORT | WEFT_V6_ONLY))))
		return -EINVAL;
	if (opts) {
		plan.flags = opts->flags;
		plan.backlog = opts->backlog;
	}
	return open_text(addr, &plan);
}

int weft_listen(const char *addr, int backlog)
{
	return open_text(addr, &(struct plan){ .type = SOCK_STREAM, .backlog = backlog });
}

/* ---- datagram sockets ----------------------------------------------------------------------------------------------- */

/* plan->remote is not set yet: it is the address that was found; the local one, if any, is. */
struct meeting {
	struct plan plan;
	struct wf_addr local;
};

static int open_towards(const struct wf_addr *remote, const struct plan *given)
{
	const struct meeting *m = wf_container_of(given, struct meeting, plan);
	struct plan plan = m->plan;
	struct wf_addr local = m->local;
	plan.remote = remote;
	if (plan.unbound)
		return open_at(remote, &plan);
	if (local.no_host && remote->any.sa_family != AF_UNIX)
		return open_everywhere(&local, &plan);
	return local.any.sa_family == remote->any.sa_family ? open_at(&local, &plan) : -EAFNOSUPPORT;
}

int weft_datagram(const char *local, const char *remote, unsigned flags)
{
	struct meeting m = { .plan = { .type = SOCK_DGRAM, .flags = flags, .unbound = !local } };
	struct wf_addr addr;
	if ((!local && !remote) || (flags & ~(unsigned)(WEFT_REUSE_PORT | WEFT_V6_ONLY | WEFT_BROADCAST)))
		return -EINVAL;
	if (!remote)
		return open_text(local, &m.plan);
	if (local && wf_addr_parse(&m.local, local) < 0)
		return -EINVAL;
	return wf_addr_parse(&addr, remote) == 0 ? open_towards(&addr, &m.plan) : open_name(remote, &m.plan, open_towards);
}
