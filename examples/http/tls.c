#include "tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <weft/weft.h>

struct http_tls {
	SSL *ssl;
	int fd;
	int error;            /* of the last system call, negative; 0: the end of input */
	bool ended;           /* close_notify was sent, or the connection is beyond that */
	pthread_mutex_t lock; /* around calls for ssl: one coroutine may read while another writes */
};

static SSL_CTX *context;
static BIO_METHOD *method;

/* ---- below OpenSSL: system calls that do not wait ------------------------------------------------------------------ */

static int note_result(BIO *bio, ssize_t n, int retry)
{
	struct http_tls *tls = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	tls->error = n < 0 ? -errno : 0;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		BIO_set_flags(bio, retry | BIO_FLAGS_SHOULD_RETRY);
	return (int)n;
}

static int bio_read(BIO *bio, char *p, int n)
{
	struct http_tls *tls = BIO_get_data(bio);
	return note_result(bio, recv(tls->fd, p, (size_t)n, MSG_DONTWAIT), BIO_FLAGS_READ);
}

static int bio_write(BIO *bio, const char *p, int n)
{
	struct http_tls *tls = BIO_get_data(bio);
	return note_result(bio, send(tls->fd, p, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL), BIO_FLAGS_WRITE);
}

static long bio_control(BIO *bio, int command, long number, void *p)
{
	(void)bio, (void)number, (void)p;
	return command == BIO_CTRL_FLUSH;
}

static bool make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket of weft");
	return method != NULL && BIO_meth_set_read(method, bio_read) && BIO_meth_set_write(method, bio_write) &&
		BIO_meth_set_ctrl(method, bio_control);
}

/* ---- the context --------------------------------------------------------------------------------------------------- */

static bool complain(const char *what)
{
	char text[256];
	ERR_error_string_n(ERR_peek_error(), text, sizeof(text));
	fprintf(stderr, "http: %s: %s\n", what, text);
	ERR_clear_error();
	return false;
}

/* A client that speaks ALPN and not our protocol is told so, rather than answered in another one. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *length, const unsigned char *in, unsigned n,
	void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *chosen;
	(void)ssl, (void)arg;
	if (SSL_select_next_proto(&chosen, length, ours, sizeof(ours) - 1, in, n) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static void set_up(SSL_CTX *ctx)
{
	static const unsigned char name[] = "weft http";
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ctx, 1); /* a record in one system call, and not its head in one of its own */
	SSL_CTX_set_session_id_context(ctx, name, sizeof(name) - 1);
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
}

bool http_tls_start(const char *certificate, const char *key)
{
	context = SSL_CTX_new(TLS_server_method());
	if (context == NULL || !make_method())
		return complain("TLS");
	set_up(context);
	if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
		return complain(certificate);
	if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(context) != 1)
		return complain(key);
	return true;
}

bool http_tls_get_ticket_keys(unsigned char keys[static HTTP_TICKET_KEYS])
{
	return context != NULL && SSL_CTX_get_tlsext_ticket_keys(context, keys, HTTP_TICKET_KEYS) == 1;
}

void http_tls_set_ticket_keys(const unsigned char keys[static HTTP_TICKET_KEYS])
{
	if (context != NULL)
		SSL_CTX_set_tlsext_ticket_keys(context, (void *)(uintptr_t)keys, HTTP_TICKET_KEYS);
}

/* ---- a connection -------------------------------------------------------------------------------------------------- */

struct http_tls *http_tls_new(int fd)
{
	struct http_tls *tls = malloc(sizeof(*tls));
	SSL *ssl = tls != NULL ? SSL_new(context) : NULL;
	BIO *bio = ssl != NULL ? BIO_new(method) : NULL;
	if (bio == NULL) {
		SSL_free(ssl);
		free(tls);
		ERR_clear_error();
		return NULL;
	}
	*tls = (struct http_tls){ .ssl = ssl, .fd = fd };
	pthread_mutex_init(&tls->lock, NULL);
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_accept_state(ssl);
	return tls;
}

void http_tls_free(struct http_tls *tls)
{
	SSL_free(tls->ssl);
	pthread_mutex_destroy(&tls->lock);
	free(tls);
}

/* What a call came to: a count, 0 at the end, -EAGAIN with *dirs to wait for, or another error, after which the session is of no
 * use. With the lock: the queue of errors is the thread's, so it is looked at before anything else can run here. */
static ssize_t result_of(struct http_tls *tls, int result, size_t n, unsigned *dirs)
{
	if (result > 0)
		return (ssize_t)n;
	int error = SSL_get_error(tls->ssl, result);
	ERR_clear_error();
	switch (error) {
	case SSL_ERROR_WANT_READ:
		*dirs = WEFT_READ;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		*dirs = WEFT_WRITE;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		tls->ended = true;
		return tls->error < 0 && tls->error != -EAGAIN ? tls->error : -ECONNRESET;
	}
}

enum call { HANDSHAKE, READ, PEEK, WRITE };

/* One call of OpenSSL's, which never waits and never parks. */
static ssize_t call(struct http_tls *tls, enum call what, void *p, size_t n, unsigned *dirs)
{
	size_t done = 0;
	int result;
	pthread_mutex_lock(&tls->lock);
	ERR_clear_error();
	tls->error = 0;
	switch (what) {
	case HANDSHAKE:
		result = SSL_do_handshake(tls->ssl);
		break;
	case READ:
		result = SSL_read_ex(tls->ssl, p, n, &done);
		break;
	case PEEK:
		result = SSL_peek_ex(tls->ssl, p, n, &done);
		break;
	default:
		result = SSL_write_ex(tls->ssl, p, n, &done);
	}
	ssize_t r = result_of(tls, result, done, dirs);
	pthread_mutex_unlock(&tls->lock);
	return r;
}

/* The same with waiting. The end of input without close_notify is an error: somebody may have cut off what was to come. */
static ssize_t call_until_done(struct http_tls *tls, enum call what, void *p, size_t n)
{
	for (;;) {
		unsigned dirs = 0;
		ssize_t r = call(tls, what, p, n, &dirs);
		if (r != -EAGAIN)
			return r;
		int ready = weft_wait_fd(tls->fd, dirs, WEFT_NEVER);
		if (ready < 0)
			return ready;
	}
}

int http_tls_handshake(struct http_tls *tls)
{
	ssize_t r = call_until_done(tls, HANDSHAKE, NULL, 0);
	return r < 0 ? (int)r : 0;
}

ssize_t http_tls_read(struct http_tls *tls, void *p, size_t n)
{
	return call_until_done(tls, READ, p, n);
}

ssize_t http_tls_read_now(struct http_tls *tls, void *p, size_t n)
{
	unsigned dirs;
	return call(tls, READ, p, n, &dirs);
}

ssize_t http_tls_write(struct http_tls *tls, const void *p, size_t n)
{
	size_t done = 0;
	while (done < n) {
		ssize_t r = call_until_done(tls, WRITE, (char *)(uintptr_t)p + done, n - done);
		if (r <= 0)
			return done > 0 ? (ssize_t)done : r < 0 ? r : -EPIPE;
		done += (size_t)r;
	}
	return (ssize_t)done;
}

int http_tls_await_end(struct http_tls *tls)
{
	char byte;
	ssize_t r = call_until_done(tls, PEEK, &byte, 1);
	return r < 0 ? (int)r : r == 0;
}

void http_tls_end(struct http_tls *tls)
{
	pthread_mutex_lock(&tls->lock);
	if (!tls->ended && SSL_is_init_finished(tls->ssl))
		SSL_shutdown(tls->ssl);
	tls->ended = true;
	ERR_clear_error();
	pthread_mutex_unlock(&tls->lock);
}
