/* Connecting by address. A name with several addresses is a race of attempts (RFC 8305), run by the caller alone:
 *
 *   1 no attempt is under way, or it is time: begin the next one; the one after it is due a moment later
 *   2 wait for the first of: an attempt has ended, the next one is due, the deadline, a cancel
 *   3 an attempt has failed: close it, the next one is due now
 *   4 an attempt has succeeded, or 2 was left by deadline or cancel: close all others
 *
 * So there is nobody to wait for at the end, and every descriptor is in the table of the race until it is closed or returned. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <weft/select.h>

#include "../runtime/os_net.h"
#include "../runtime/os_sock.h"
#include "../runtime/stress.h"
#include "dns.h"
#include "sock.h"

enum {
	TRIES_MAX = 3,    /* at one address, where the fault is in the port on our side */
	ATTEMPT_MS = 250, /* RFC 8305, section 8 */
};

/* ---- our side ------------------------------------------------------------------------------------------------------- */

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

static int bind_local(int fd, const struct wf_addr *local, int family)
{
	struct wf_addr addr = *local;
	if (addr.no_host)
		wf_addr_set_everywhere(&addr, family == AF_INET6);
	if (addr.any.sa_family != family || family == AF_UNIX)
		return -EAFNOSUPPORT;
	wf_os_bind_late(fd);
	return wf_os_bind(fd, &addr.any, addr.len);
}

/* A socket to dial this address with. local (or NULL) is where from. */
static int open_socket(const struct wf_addr *addr, const struct wf_addr *local)
{
	int fd = weft_socket(addr->any.sa_family, SOCK_STREAM, 0);
	int r = fd >= 0 && local ? bind_local(fd, local, addr->any.sa_family) : 0;
	if (r == 0)
		return fd;
	weft_close(fd);
	return r;
}

/* ---- one address ---------------------------------------------------------------------------------------------------- */

static int connect_until(int fd, const struct wf_addr *addr, weft_time deadline)
{
	struct wf_turn turn;
	int r = wf_turn_take(&turn, fd, WF_WRITE, WF_WHY_CONNECT, 0);
	if (r < 0)
		return r;
	wf_turn_set_deadline(&turn, deadline);
	r = wf_sock_connect(&turn, &addr->any, addr->len);
	wf_turn_set_deadline(&turn, WEFT_NEVER);
	wf_turn_end(&turn, false, 0);
	if (r == -ETIMEDOUT && deadline == WEFT_NOW)
		return -EAGAIN;
	return r;
}

static int dial_addr(const struct wf_addr *addr, const struct wf_addr *local, weft_time deadline)
{
	int r = 0;
	for (int i = 0; i < TRIES_MAX; i++) {
		int fd = open_socket(addr, local);
		if (fd < 0)
			return fd;
		r = connect_until(fd, addr, deadline);
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

/* ---- several addresses ---------------------------------------------------------------------------------------------- */

struct attempt {
	struct wf_addr addr;
	int tries;
};

/* Attempt i has case i, which waits for its socket; -1: it is not under way. */
struct race {
	struct attempt *attempts;
	struct weft_case *cases;
	int n, begun, under_way;
	const struct wf_addr *local;
	weft_time due; /* of the next attempt */
	int64_t step_ns;
	int first_error;
};

/* An attempt has failed: its successor need not wait. */
static void note_error(struct race *race, int error)
{
	race->first_error = race->first_error ? race->first_error : error;
	race->due = weft_now();
}

/* Until connect(2) is on its way; an error that is known at once ends it. */
static void begin_attempt(struct race *race, int i)
{
	struct attempt *a = &race->attempts[i];
	int fd, r;
	do {
		fd = open_socket(&a->addr, race->local);
		r = fd < 0 ? fd : wf_os_connect(fd, &a->addr.any, a->addr.len);
		if (fd >= 0 && (r == 0 || r == -EINPROGRESS || r == -EINTR)) {
			race->cases[i].fd = fd;
			race->under_way++;
			return;
		}
		if (fd >= 0)
			weft_close(fd);
	} while (r == -EADDRNOTAVAIL && ++a->tries < TRIES_MAX);
	note_error(race, r);
}

static void begin_next(struct race *race)
{
	race->due = weft_after(race->step_ns);
	begin_attempt(race, race->begun++);
}

static void end_attempt(struct race *race, int i)
{
	weft_close(race->cases[i].fd);
	race->cases[i].fd = -1;
	race->under_way--;
}

/* Attempt i may have ended: the connection, or -EAGAIN. */
static int judge(struct race *race, int i)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;
	int fd = race->cases[i].fd, error = wf_os_get_option(fd, SOL_SOCKET, SO_ERROR);
	int r = error != 0 ? -abs(error) : wf_os_getpeername(fd, (struct sockaddr *)&peer, &len);
	if (r == -ENOTCONN)
		return -EAGAIN; /* not yet */
	bool own = r == 0 && is_own_peer(fd);
	if (r == 0 && !own) {
		race->cases[i].fd = -1;
		return fd;
	}
	end_attempt(race, i);
	if (own && ++race->attempts[i].tries < TRIES_MAX) {
		begin_attempt(race, i);
		return -EAGAIN;
	}
	note_error(race, own ? -ECONNREFUSED : r);
	return -EAGAIN;
}

static int run(struct race *race, weft_time deadline)
{
	for (;;) {
		bool more = race->begun < race->n;
		if (more && (race->under_way == 0 || race->due <= weft_now())) {
			begin_next(race);
			continue;
		}
		if (race->under_way == 0)
			return race->first_error;
		int i = weft_select(race->cases, race->n, more && race->due < deadline ? race->due : deadline);
		if (i >= 0 && (i = judge(race, i)) >= 0)
			return i;
		bool early = i == -EAGAIN ? deadline != WEFT_NOW : i == -ETIMEDOUT && !wf_is_past(deadline);
		if (!early)
			return i;
	}
}

/* The families take turns, beginning with that of the first; those of one family stay in order. */
static int set_attempts(struct race *race, const struct addrinfo *found)
{
	struct wf_addr addr;
	const struct addrinfo *next[2] = { found, found };
	int first = AF_UNSPEC, count = 0;
	for (int turn = 0; next[0] || next[1]; turn = !turn) {
		for (; next[turn]; next[turn] = next[turn]->ai_next) {
			if (!wf_addr_from(&addr, next[turn]))
				continue;
			first = first == AF_UNSPEC ? addr.any.sa_family : first;
			if ((addr.any.sa_family == first) == (turn == 0))
				break;
		}
		if (!next[turn])
			continue;
		if (race)
			race->attempts[count] = (struct attempt){ .addr = addr };
		count++;
		next[turn] = next[turn]->ai_next;
	}
	return count;
}

static int dial_race(struct race *race, const struct addrinfo *found, weft_time deadline)
{
	size_t n = (size_t)race->n;
	race->cases = wf_stress_fails() ? NULL : calloc(n, sizeof *race->cases + sizeof *race->attempts);
	if (!race->cases)
		return -ENOMEM;
	race->attempts = (struct attempt *)(void *)(race->cases + n); /* asks for less alignment */
	set_attempts(race, found);
	for (size_t i = 0; i < n; i++)
		race->cases[i] = (struct weft_case){ .op = WEFT_OP_FD, .fd = -1, .dirs = WEFT_WRITE };
	int r = run(race, deadline);
	for (int i = 0; i < race->begun; i++)
		if (race->cases[i].fd >= 0)
			end_attempt(race, i);
	free(race->cases);
	return r;
}

static int dial_name(const char *text, const struct wf_addr *local, weft_time deadline, int64_t step_ns)
{
	struct addrinfo *found = NULL;
	int r = wf_resolve_text(text, SOCK_STREAM, deadline, &found);
	if (r < 0)
		return r;
	struct race race = { .local = local, .step_ns = step_ns, .n = set_attempts(NULL, found) };
	r = race.n > 0 ? dial_race(&race, found, deadline) : -EAFNOSUPPORT;
	wf_os_freeaddrinfo(found);
	return r;
}

/* ---- the calls ------------------------------------------------------------------------------------------------------ */

int weft_dial_with(const char *text, weft_time deadline, const struct weft_dial_opts *opts)
{
	static const struct weft_dial_opts none = { .size = sizeof none };
	struct wf_addr addr, local;
	opts = opts ? opts : &none;
	if (opts->size < sizeof *opts || opts->attempt_ns < 0 || (opts->local && wf_addr_parse(&local, opts->local) < 0))
		return -EINVAL;
	bool numeric = wf_addr_parse(&addr, text) == 0;
	if (deadline != WEFT_NOW && wf_is_past(deadline))
		return -ETIMEDOUT;
	const struct wf_addr *from = opts->local ? &local : NULL;
	if (numeric)
		return dial_addr(&addr, from, deadline);
	return dial_name(text, from, deadline, opts->attempt_ns ? opts->attempt_ns : WEFT_MS(ATTEMPT_MS));
}

int weft_dial(const char *text, weft_time deadline)
{
	return weft_dial_with(text, deadline, NULL);
}
