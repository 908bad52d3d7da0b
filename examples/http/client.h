/* The client's side of HTTP/1.1, in blocking style: a connection to a server, on which one exchange follows another. A request is
 * written by whoever has it; its response is read here, as strictly as the server reads requests.
 *
 * Results are counts, or -E: -EBADMSG it is no HTTP, -ENODATA the end came before the first byte of a response, -EPIPE it came in
 * the middle of one, -ETIMEDOUT nothing came for so long as the caller says. */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include <weft/weft.h>

#include "parse.h"

/* How the body of a response ends; CLIENT_REST: with the connection. */
enum http_client_body { CLIENT_NONE, CLIENT_LENGTH, CLIENT_CHUNKED, CLIENT_REST };

enum {
	CLIENT_LINE = 8192,  /* bytes of a status line */
	CLIENT_HEAD = 16384, /* of a response head */
	CLIENT_BODY = 16384, /* of its body at a time */
};

struct http_client {
	struct http_client *next; /* in a pool */
	int fd;
	bool used;                /* it has answered before: it may have been closed at the other end since */
	weft_time since;          /* when it came into the pool */
	weft_time read_by, write_by;

	enum http_client_body body;
	uint64_t left;            /* CLIENT_LENGTH: still to come */
	struct http_chunks chunks;

	uint32_t in, end;         /* of buf: [in, end) is input not yet looked at; a head before it */
	uint32_t room;            /* of text, for whoever puts messages together */
	char *text;
	struct http_head head;
	char buf[CLIENT_HEAD + CLIENT_BODY];
};

/* room: bytes of text. 0 or -E, as weft_dial has it. */
int http_client_dial(struct http_client **client, const char *addr, size_t room, weft_time deadline);
void http_client_close(struct http_client *client);

/* Sends all of it; ns: without a byte taken. 0 or -E. */
int http_client_send(struct http_client *client, const char *p, size_t n, int64_t ns);

/* Reads the head of the next response, to a HEAD if so said, and finds out about its body. Its status; 1xx is not the last one.
 * After -ETIMEDOUT it may be called again. */
int http_client_head(struct http_client *client, bool to_head, int64_t ns);

/* The next piece of the body, good until the next call: its length, 0 at the end. With ns 0 it does not wait: -EAGAIN. */
ssize_t http_client_next(struct http_client *client, const char **piece, int64_t ns);

/* Whether another request may follow: the response ended where it said, and nothing came behind it. */
bool http_client_is_reusable(const struct http_client *client);

/* Makes it wait for its next exchange. */
void http_client_rest(struct http_client *client);

/* Whether nothing has happened on it since; for one that waits in a pool. */
bool http_client_is_quiet(const struct http_client *client);

#endif
