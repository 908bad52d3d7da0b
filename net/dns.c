/* Names, looked up by getaddrinfo(3) on helpers: it knows the system's configuration. A lookup can take as long as its name
 * servers like, and can't be interrupted; so it owns all that it uses and is left alone at a deadline. A limit on how many
 * there are at a time keeps helpers for others; it counts those that were left alone too, as long as they run.
 *
 *   who looks up                                          a lookup that ends, or is dropped before it began
 *   1 lock; places left, nobody queued? take one          1 lock; claim the first in the queue: the place is its own
 *   2 else queue, unlock, park                            2 none: one place more
 *   3 woken: it has a place                               3 unlock, wake
 *   4 deadline or cancel: lock, leave the queue */
#include "dns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <weft/net.h>

#include "../runtime/offload.h"
#include "../runtime/os_net.h"
#include "../runtime/park.h"
#include "../runtime/sched.h"

/* ---- places --------------------------------------------------------------------------------------------------------- */

/* Of the process, not of a run of the runtime, as the helpers are. */
static struct {
	struct wf_lock lock;
	struct wf_waitq queue;
	unsigned taken;
} places;

static int take_place(struct wf_worker **w, int64_t deadline)
{
	struct wf_waiter waiter;
	wf_lock(&places.lock);
	if (places.taken < (unsigned)wf_rt.config.max_lookups && wf_waitq_empty(&places.queue)) {
		places.taken++;
		wf_unlock(&places.lock);
		return 0;
	}
	struct wf_wait *wait = wf_wait_begin(*w, WF_WHY_OFFLOAD, &places);
	wf_waitq_push(&places.queue, &waiter, wait);
	wf_unlock(&places.lock);
	int r = wf_park(w, wait, deadline, WF_CANCELLABLE);
	if (r < 0) {
		wf_lock(&places.lock);
		wf_waitq_remove(&waiter);
		wf_unlock(&places.lock);
	}
	return r;
}

/* On any thread. */
static void give_place(void)
{
	struct wf_worker *w = wf_enter_here();
	wf_lock(&places.lock);
	struct wf_wait *next = wf_waitq_claim(&places.queue, 0, NULL);
	places.taken -= !next;
	wf_unlock(&places.lock);
	if (next)
		wf_wake(w, next);
	wf_leave(w);
}

/* ---- lookups -------------------------------------------------------------------------------------------------------- */

struct lookup {
	bool has_place;
	int type; /* of socket */
	int result;
	struct addrinfo *found;
	const char *service;
	char *host; /* both in text; NULL: not given */
	char text[];
};

static int look_up(void *arg)
{
	struct lookup *l = arg;
	struct addrinfo *found;
	l->result = wf_os_getaddrinfo(l->host, l->service, l->type, &found);
	l->found = l->result == 0 ? found : NULL;
	if (l->has_place)
		give_place();
	l->has_place = false;
	return 0;
}

static void free_lookup(void *arg)
{
	struct lookup *l = arg;
	if (l->has_place)
		give_place();
	if (l->found)
		wf_os_freeaddrinfo(l->found);
	free(l);
}

static struct lookup *new_lookup(const char *host, const char *service, int type)
{
	size_t host_size = host ? strlen(host) + 1 : 0, service_size = service ? strlen(service) + 1 : 0;
	struct lookup *l = calloc(1, sizeof *l + host_size + service_size);
	if (!l)
		return NULL;
	l->type = type;
	if (host)
		l->host = memcpy(l->text, host, host_size);
	if (service)
		l->service = memcpy(l->text + host_size, service, service_size);
	return l;
}

/* Takes the lookup over. */
static int run_lookup(struct wf_worker **w, struct lookup *l, int64_t deadline, struct addrinfo **found)
{
	int unused, r = *w ? take_place(w, deadline) : 0;
	l->has_place = *w && r == 0;
	if (r == 0)
		r = wf_offload_owned(w, look_up, l, free_lookup, deadline, &unused);
	else
		free_lookup(l);
	if (r < 0)
		return r;
	if ((r = l->result) == 0) {
		*found = l->found;
		l->found = NULL;
	}
	free_lookup(l);
	return r;
}

int wf_resolve(const char *host, const char *service, int type, int64_t deadline, struct addrinfo **found)
{
	struct wf_worker *w = wf_enter();
	wf_charge(&w, WF_COST_SYSCALL);
	int r = wf_cancelled(w);
	struct lookup *l = r == 0 ? new_lookup(host, service, type) : NULL;
	if (l)
		r = run_lookup(&w, l, deadline, found);
	else if (r == 0)
		r = -ENOMEM;
	wf_leave(w);
	return r;
}

int weft_resolve(const char *host, const char *service, struct addrinfo **found)
{
	*found = NULL;
	return host || service ? wf_resolve(host, service, SOCK_STREAM, WEFT_NEVER, found) : -EINVAL;
}

/* ---- as addresses --------------------------------------------------------------------------------------------------- */

enum { NAME_SIZE = 256 }; /* of a host's name, by RFC 1035 */

/* getaddrinfo(3) would take numbers of any shape, "1.2.3" for 1.2.0.3. */
static bool is_name(const char *host)
{
	return host[strcspn(host, ":/[]")] == '\0' && host[strspn(host, ".0123456789")] != '\0';
}

/* And numbers of any size, 99999 for 34463. */
static bool is_service(const char *service)
{
	size_t n = strspn(service, "0123456789");
	return service[n] != '\0' || (n > 0 && n <= 5 && atoi(service) <= UINT16_MAX);
}

int wf_resolve_text(const char *text, int type, int64_t deadline, struct addrinfo **found)
{
	char host[NAME_SIZE];
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;
	if (n == 0 || n >= sizeof host)
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = '\0';
	if (!is_name(host) || !is_service(colon + 1))
		return -EINVAL;
	return wf_resolve(host, colon + 1, type, deadline, found);
}

bool wf_addr_from(struct wf_addr *addr, const struct addrinfo *info)
{
	*addr = (struct wf_addr){ .len = 0 };
	if ((info->ai_family != AF_INET && info->ai_family != AF_INET6) || info->ai_addrlen > sizeof addr->path)
		return false;
	memcpy(&addr->any, info->ai_addr, info->ai_addrlen);
	addr->len = info->ai_addrlen;
	return true;
}
