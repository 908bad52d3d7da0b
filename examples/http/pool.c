#include "pool.h"

#include <stdio.h>
#include <string.h>

static const int64_t pause_ns = WEFT_MS(500), pause_max_ns = WEFT_SEC(30);

bool http_pool_add(struct http_upstreams *all, const char *url, size_t n)
{
	static const char scheme[] = "http://";
	if (all->count == HTTP_UPSTREAMS_MAX || n < sizeof(scheme) || strncmp(url, scheme, sizeof(scheme) - 1) != 0)
		return false;
	url += sizeof(scheme) - 1;
	n -= sizeof(scheme) - 1;
	n -= url[n - 1] == '/';
	struct http_upstream *u = &all->list[all->count];
	if (n == 0 || n + sizeof(":80") > sizeof(u->addr) || memchr(url, '/', n) != NULL || memchr(url, '@', n) != NULL)
		return false;
	const char *colon = memchr(url, ':', n), *bracket = memchr(url, ']', n);
	if (bracket != NULL)
		colon = memchr(bracket, ':', n - (size_t)(bracket - url));
	*u = (struct http_upstream){ .idle = NULL };
	snprintf(u->addr, sizeof(u->addr), "%.*s%s", (int)n, url, colon != NULL ? "" : ":80");
	pthread_mutex_init(&u->lock, NULL);
	all->count++;
	return true;
}

/* ---- which one ----------------------------------------------------------------------------------------------------- */

static bool is_down(struct http_upstream *u, weft_time now)
{
	pthread_mutex_lock(&u->lock);
	bool down = now < u->down_until;
	pthread_mutex_unlock(&u->lock);
	return down;
}

struct http_upstream *http_pool_choose(struct http_upstreams *all, unsigned *tried)
{
	weft_time now = weft_now();
	unsigned turn = all->turn++, other = HTTP_UPSTREAMS_MAX;
	for (size_t i = 0; i < all->count; i++) {
		unsigned at = (turn + (unsigned)i) % (unsigned)all->count;
		if (*tried & 1u << at)
			continue;
		if (!is_down(&all->list[at], now)) {
			*tried |= 1u << at;
			return &all->list[at];
		}
		other = other == HTTP_UPSTREAMS_MAX ? at : other;
	}
	if (other == HTTP_UPSTREAMS_MAX)
		return NULL;
	*tried |= 1u << other;
	return &all->list[other];
}

void http_pool_failed(struct http_upstream *u)
{
	pthread_mutex_lock(&u->lock);
	u->pause = u->pause == 0 ? pause_ns : u->pause < pause_max_ns / 2 ? 2 * u->pause : pause_max_ns;
	u->down_until = weft_after(u->pause);
	pthread_mutex_unlock(&u->lock);
}

void http_pool_works(struct http_upstream *u)
{
	pthread_mutex_lock(&u->lock);
	u->pause = 0;
	u->down_until = 0;
	pthread_mutex_unlock(&u->lock);
}

/* ---- connections --------------------------------------------------------------------------------------------------- */

static struct http_client *take_any(struct http_upstream *u)
{
	pthread_mutex_lock(&u->lock);
	struct http_client *c = u->idle;
	if (c != NULL) {
		u->idle = c->next;
		u->count--;
	}
	pthread_mutex_unlock(&u->lock);
	return c;
}

struct http_client *http_pool_take(struct http_upstream *u)
{
	struct http_client *c;
	while ((c = take_any(u)) != NULL && !http_client_is_quiet(c))
		http_client_close(c);
	return c;
}

void http_pool_give(struct http_upstream *u, struct http_client *c, int64_t most)
{
	http_client_rest(c);
	pthread_mutex_lock(&u->lock);
	bool keep = u->count < most;
	if (keep) {
		c->next = u->idle;
		u->idle = c;
		u->count++;
	}
	pthread_mutex_unlock(&u->lock);
	if (!keep)
		http_client_close(c);
}

/* The latest are first, so the rest of the list is older than the first that is too old. */
static struct http_client *cut_old(struct http_upstream *u, weft_time oldest)
{
	pthread_mutex_lock(&u->lock);
	struct http_client **at = &u->idle, *old;
	while (*at != NULL && (*at)->since >= oldest)
		at = &(*at)->next;
	old = *at;
	*at = NULL;
	for (struct http_client *c = old; c != NULL; c = c->next)
		u->count--;
	pthread_mutex_unlock(&u->lock);
	return old;
}

void http_pool_sweep(struct http_upstreams *all, int64_t idle_ns)
{
	weft_time oldest = weft_now() - idle_ns;
	for (size_t i = 0; i < all->count; i++)
		for (struct http_client *c = cut_old(&all->list[i], oldest), *next; c != NULL; c = next) {
			next = c->next;
			http_client_close(c);
		}
}
