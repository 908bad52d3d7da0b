/* Upstream servers, and connections to them that wait for their next request. */
#ifndef HTTP_POOL_H
#define HTTP_POOL_H

#include <pthread.h>

#include "client.h"

/* One that can't be reached, or does not speak HTTP, is left alone for a while that doubles each time, if there is another. */
struct http_upstream {
	char addr[262]; /* "host:port" */
	pthread_mutex_t lock; /* guards all below; nobody parks while holding it */
	struct http_client *idle; /* the latest first */
	unsigned count;
	weft_time down_until;
	int64_t pause;
};

enum { HTTP_UPSTREAMS_MAX = 16 };

struct http_upstreams {
	size_t count;
	_Atomic unsigned turn;
	struct http_upstream list[HTTP_UPSTREAMS_MAX];
};

/* "http://host[:port]". False: it is none, or one too many. */
bool http_pool_add(struct http_upstreams *all, const char *url, size_t n);

/* The next one in turn that is not in the set (bits) and not left alone, or is, if there is no other; NULL: all are in the set. */
struct http_upstream *http_pool_choose(struct http_upstreams *all, unsigned *tried);
void http_pool_failed(struct http_upstream *upstream);
void http_pool_works(struct http_upstream *upstream);

/* A connection that waits, or NULL. */
struct http_client *http_pool_take(struct http_upstream *upstream);

/* Gives one back; it is closed if so many wait already. */
void http_pool_give(struct http_upstream *upstream, struct http_client *client, int64_t most);

/* Closes those that have waited for longer. */
void http_pool_sweep(struct http_upstreams *all, int64_t idle_ns);

#endif
