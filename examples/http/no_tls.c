#include <errno.h>
#include <stdio.h>

#include "tls.h"

bool http_tls_start(const char *certificate, const char *key)
{
	(void)certificate, (void)key;
	fprintf(stderr, "http: --tls: TLS was not built in\n");
	return false;
}

bool http_tls_get_ticket_keys(unsigned char keys[static HTTP_TICKET_KEYS])
{
	(void)keys;
	return false;
}

void http_tls_set_ticket_keys(const unsigned char keys[static HTTP_TICKET_KEYS])
{
	(void)keys;
}

struct http_tls *http_tls_new(int fd)
{
	(void)fd;
	return NULL;
}

void http_tls_free(struct http_tls *tls)
{
	(void)tls;
}

int http_tls_handshake(struct http_tls *tls)
{
	(void)tls;
	return -ENOSYS;
}

ssize_t http_tls_read(struct http_tls *tls, void *p, size_t n)
{
	(void)tls, (void)p, (void)n;
	return -ENOSYS;
}

ssize_t http_tls_read_now(struct http_tls *tls, void *p, size_t n)
{
	return http_tls_read(tls, p, n);
}

ssize_t http_tls_write(struct http_tls *tls, const void *p, size_t n)
{
	(void)p;
	return http_tls_read(tls, NULL, n);
}

int http_tls_await_end(struct http_tls *tls)
{
	(void)tls;
	return -ENOSYS;
}

void http_tls_end(struct http_tls *tls)
{
	(void)tls;
}
