/* TLS on a connection, by OpenSSL (tls.c), or the news that there is none (no_tls.c): the build chooses.
 *
 * OpenSSL keeps things per thread: its queue of errors, its random numbers, errno in the middle of its calls. A coroutine that
 * parks goes on on another thread. So nothing parks inside it: the BIO below makes system calls that never wait, and waiting
 * is done here, where nothing of OpenSSL's is on the stack. (Memory BIOs would do as well, for one more copy of every byte.)
 *
 * Results are those of the calls of weft/net.h, descriptor deadlines included. One coroutine may read while another writes. */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
	HTTP_TICKET_KEYS = 80,       /* bytes of the keys that session tickets are sealed with */
	HTTP_TLS_STACK = 192 * 1024, /* usable bytes; a handshake takes less than 16 KiB with OpenSSL 3.0, a file 16 KiB more */
};

struct http_tls;

/* Reads the certificate chain and the key. False, after a complaint: it can't be done. Before anything else here. */
bool http_tls_start(const char *certificate, const char *key);

/* So that a session can be resumed with another process. False: there are none. */
bool http_tls_get_ticket_keys(unsigned char keys[static HTTP_TICKET_KEYS]);
void http_tls_set_ticket_keys(const unsigned char keys[static HTTP_TICKET_KEYS]);

struct http_tls *http_tls_new(int fd); /* NULL: no memory */
void http_tls_free(struct http_tls *tls);

int http_tls_handshake(struct http_tls *tls); /* 0 or -E; after -ETIMEDOUT it may be called again */
ssize_t http_tls_read(struct http_tls *tls, void *p, size_t n);
ssize_t http_tls_read_now(struct http_tls *tls, void *p, size_t n); /* -EAGAIN */
ssize_t http_tls_write(struct http_tls *tls, const void *p, size_t n);

/* Whether the client has closed its side or is gone; waits until that can be said, or bytes have come. Errors as reading. */
int http_tls_await_end(struct http_tls *tls);

/* Tells the client that no more will come, as far as that can be done without waiting. */
void http_tls_end(struct http_tls *tls);

#endif
