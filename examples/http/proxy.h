/* The reverse proxy: requests below a prefix go to one of several servers (client.h, pool.h).
 *
 * Nothing of a message is passed on as it came: heads are put together anew from what the parsers made of them, bodies are cut into
 * new chunks or counted. So both sides always agree about where a message ends, whatever the other side tried. */
#ifndef HTTP_PROXY_H
#define HTTP_PROXY_H

#include "conn.h"
#include "pool.h"

enum { PROXY_ROOM = 6144 }; /* bytes of client->text above the largest head: what is added to it, and bodies of small responses */

/* ---- forward.c: messages, put together in client->text ------------------------------------------------------------ */

/* The head of the request that c has read, to a server at addr; its length. */
size_t http_forward_request(struct http_conn *c, struct http_client *client, const char *addr);

/* The head of the response that client has read; its length. chunked: the body follows in chunks. */
size_t http_forward_response(struct http_conn *c, struct http_client *client, bool chunked);

/* ---- proxy.c ----------------------------------------------------------------------------------------------------- */

/* Takes what --proxy said; false, after a complaint: it makes no sense. Before the runtime. */
bool http_proxy_start(const struct http_config *config);

/* Starts what looks after idle connections, in the runtime. 0 or -E. */
int http_proxy_run(const struct http_config *config);

/* Answers the request if it is for a proxy. */
bool http_proxy(struct http_conn *c);

#endif
