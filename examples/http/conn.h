/* The server from inside: what its parts know of each other.
 *
 *   main.c       signals, the end
 *   options.c    the command line
 *   listen.c     listeners (listen.h)
 *   heir.c       the same program again, with the same listeners; procs.c many of it
 *   conn.c       a connection: its loop, its buffer, its deadlines
 *   tls.c        TLS below it, by OpenSSL (tls.h); no_tls.c: none
 *   parse.c      request heads, chunks.c chunked bodies: both know nothing of the rest
 *   body.c       request bodies
 *   reply.c      responses, date.c dates
 *   route.c      which handler answers, and the built-in ones
 *   proxy.c      requests for other servers (proxy.h); forward.c what they and the client are told, client.c and pool.c connections
 *   static.c     files, condition.c which part of one is wanted, and whether at all
 *   metrics.c    what is counted, and the page that tells of it
 *   log.c        the access log
 *
 * A connection is one coroutine that reads from top to bottom. Only conn.c touches its socket.
 *
 * Every connection has one buffer. Input comes first, output is gathered behind it:
 *
 *	buf        base              in                 end            out
 *	| (spent)  | head of request | not yet looked at | response(s)  | free |
 *
 * Output is sent when a read would wait, when the buffer is full, or when enough responses have been gathered; only then does
 * input move to the front. So a small request costs one read and one write, and so do sixteen that came together. */
#ifndef HTTP_CONN_H
#define HTTP_CONN_H

#include <weft/weft.h>

#include "parse.h"

enum {
	OUT_LEAST = 4096,  /* bytes of the buffer that input never takes */
	BODY_LEAST = 4096, /* bytes of it that are free for a body behind the largest head */
	SEALED_AT_ONCE = 16384, /* bytes of a file: one record of TLS */
};

enum { HTTP_LISTENS_MAX = 16 };

struct http_listens {
	size_t count;
	const char *addr[HTTP_LISTENS_MAX];
};

/* Options. Times in nanoseconds. */
struct http_config {
	struct http_listens listens;
	struct http_listens tls_listens;
	const char *certificate, *key; /* files, for TLS */
	const char *root; /* of the files; NULL: none */
	const char *log;  /* a file, "-": standard output, NULL: none */
	struct http_limits limits;
	int64_t procs;      /* processes that serve; 0: this one */
	int64_t max_conns;  /* in each */
	int64_t max_body;
	int64_t max_gather; /* pipelined responses in one write */
	int64_t header_ns;  /* for a whole head, from its first byte on; for the first byte of a connection */
	int64_t body_ns;    /* for a body, or for so much of it as min_rate asks for */
	int64_t idle_ns;    /* between requests */
	int64_t write_ns;   /* the same for a response */
	int64_t min_rate;   /* bytes per second, over body_ns and write_ns as a whole */
	int64_t linger_ns;  /* for the client to read the last response */
	int64_t drain_ns;   /* for requests in progress at the end */

	/* the proxy */
	struct http_listens proxies; /* "PREFIX=URL,..." */
	int64_t proxy_connect_ns;
	int64_t proxy_ns;      /* without a byte from a server above, or taken by it */
	int64_t proxy_idle;    /* connections to one that wait for their next request */
	int64_t proxy_idle_ns; /* and how long */
};

/* Counters of one connection, or of many. Only the connection writes its own, so that counting costs nothing; others read them. */
enum { HTTP_LATENCIES = 17 }; /* buckets */
enum {
	HTTP_CLASSES, /* responses 1xx to 5xx; 1xx are none */
	HTTP_LATENCY = HTTP_CLASSES + 5,
	HTTP_LATENCY_NS = HTTP_LATENCY + HTTP_LATENCIES,
	HTTP_RECEIVED, HTTP_SENT, /* bytes, as they came out of TLS and went into it */
	HTTP_COUNTS
};

struct http_counts {
	uint64_t of[HTTP_COUNTS]; /* http_add, http_count */
};

struct http_server {
	const struct http_config *config;
	int root_fd;             /* -1: no files */
	bool succeeded;          /* by other processes; before draining */
	_Atomic bool draining;   /* no further requests */
	_Atomic int64_t live;    /* connections */
	_Atomic uint64_t admitted;
	struct http_conn *conns; /* all that are being served; http_enrol, http_leave */
	struct http_counts ended; /* of those that have left */
};

enum http_body { HTTP_BODY_NONE, HTTP_BODY_LENGTH, HTTP_BODY_CHUNKED, HTTP_BODY_BROKEN };

struct http_conn {
	struct http_server *server;
	struct http_conn *next, *previous;
	struct http_tls *tls; /* tls.h; NULL: none */
	int fd;
	bool secure;        /* the client speaks TLS */
	bool refuse;        /* one too many: 503 */
	bool keep;          /* another request may follow */
	_Atomic bool broken; /* nothing more can be sent */
	bool linger;        /* bytes may be on their way that nobody will read: closing at once would lose the response */
	bool headed;        /* the final response to the present request has begun */
	unsigned gathered;  /* responses since the last write */
	unsigned requests;
	weft_time read_by, write_by; /* as set on the descriptor */
	weft_time now;               /* when input came last, or a response was complete */
	struct http_counts counts;
	char peer[48];               /* http_peer */

	/* the response to the present request */
	weft_time begun;    /* when its head had come */
	int status;         /* 0: none yet, or noted */
	uint64_t body_sent; /* bytes */

	/* the body of the present request */
	enum http_body body;
	bool body_wanted;   /* a handler reads it */
	bool continue_due;  /* the client waits for "100 Continue" */
	uint64_t body_left; /* HTTP_BODY_LENGTH: still to come; HTTP_BODY_CHUNKED: still allowed */
	int64_t body_owed;  /* bytes that have to come before body_ns are over */
	int64_t body_ns;    /* what is left of them: only waiting counts */
	struct http_chunks chunks;

	uint32_t base, in, end, out, size; /* of buf; output is [end, out) */
	struct http_head head;
	char buf[];
};

/* ---- conn.c ------------------------------------------------------------------------------------------------------ */

struct http_conn *http_conn_new(struct http_server *server, int fd); /* NULL: no memory */
int http_serve(void *conn);                                           /* body of the coroutine; frees it */

/* Reads more input behind what there is, sending the output first: > 0, 0 at the end of input, or -E. The deadline is the
 * caller's. */
ssize_t http_fill(struct http_conn *c);

/* Puts the deadline for reading so far off; unless exactly, up to a sixteenth farther: most calls need not touch the descriptor. */
void http_read_within(struct http_conn *c, int64_t ns, bool exactly);

/* The bytes that a client has to move in so much time; at least one. */
int64_t http_least(const struct http_config *config, int64_t ns);

/* Sends what is gathered, and then n bytes of data. False: the connection is broken. */
bool http_send(struct http_conn *c, const void *data, size_t n);
bool http_flush(struct http_conn *c); /* without data; also for handlers, before they wait */

/* Sends what is not in the buffer, while nothing is gathered there: somebody else may be reading a body into it. */
bool http_pass(struct http_conn *c, const char *p, size_t n);

/* Waits for the client to close its side, or to be gone: true. False: it has sent something, or the caller was cancelled. */
bool http_await_end(struct http_conn *c);

/* The same with n bytes of a file, from offset on. */
bool http_send_file(struct http_conn *c, int file, int64_t offset, int64_t n);

/* The address of the client, "-" if it has none. */
const char *http_peer(struct http_conn *c);

/* ---- body.c ------------------------------------------------------------------------------------------------------ */

/* Finds out which body follows the head. Refused: a status, else 0. */
int http_body_begin(struct http_conn *c);

/* The next piece of the body, good until the next call: its length, 0 at the end, or negative: the status to refuse with, negated,
 * or -E when nobody is there to be told. */
ssize_t http_body_next(struct http_conn *c, const char **piece);

/* Whether the connection can go on behind the body: a handler reads it, or it is small and on its way. */
bool http_body_is_short(const struct http_conn *c);

/* Reads what nobody asked for. */
void http_body_drop(struct http_conn *c);

/* ---- date.c ------------------------------------------------------------------------------------------------------ */

#define HTTP_DATE_SIZE sizeof("Sun, 06 Nov 1994 08:49:37 GMT")
#define HTTP_DATE_LINE (sizeof("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n") - 1)

int http_date_start(void);         /* once, in the runtime, before the first response */

/* The present second, good for some more: the Date field, HTTP_DATE_LINE bytes with its end, and as http_log_date has it. */
const char *http_date_line(void);
const char *http_date_for_log(void);

void http_date(char text[static HTTP_DATE_SIZE], int64_t unix_seconds);
void http_log_date(char text[static HTTP_DATE_SIZE], int64_t unix_seconds); /* "06/Nov/1994:08:49:37 +0000" */

/* Reads a date in any of the three forms of RFC 9110, 5.6.7. now is for the one that has two digits of the year. */
bool http_parse_date(const char *p, size_t n, int64_t now, int64_t *unix_seconds);

/* ---- condition.c ------------------------------------------------------------------------------------------------- */

/* What is there of a thing that somebody asks for. */
struct http_present {
	const char *tag;  /* strong, with its quotes */
	int64_t modified; /* Unix seconds */
	int64_t size;
	int64_t now;      /* Unix seconds */
};

/* Which answer the conditions of a GET or HEAD ask for (RFC 9110, 13.2.2), and which part of it (14): 200, 206 with the part in
 * *from and *n, 304, 412, or 416. More than one part at once is never sent: that is answered with the whole, as it may be. */
int http_condition(const struct http_head *head, const char *base, const struct http_present *present, int64_t *from, int64_t *n);

/* ---- reply.c ----------------------------------------------------------------------------------------------------- */

/* A response, piece by piece. The head is http_begin, fields, and then one of the three that end it. */
void http_begin(struct http_conn *c, int status);
void http_field(struct http_conn *c, const char *name, const char *value);
void http_length(struct http_conn *c, const char *type, int64_t length);
void http_chunked(struct http_conn *c, const char *type);
void http_empty(struct http_conn *c); /* 204, 304 */
void http_write(struct http_conn *c, const char *data, size_t n); /* of the body */
void http_write_chunk(struct http_conn *c, const char *data, size_t n);
void http_end_chunks(struct http_conn *c);

/* A whole response. */
void http_reply(struct http_conn *c, int status, const char *type, const char *body, size_t n);
void http_error(struct http_conn *c, int status);                /* the connection may go on */
void http_error_allow(struct http_conn *c, const char *allow);   /* 405 */
void http_refuse(struct http_conn *c, int status);               /* the connection can't go on */
void http_fail(struct http_conn *c, ssize_t result); /* after a negative result of http_body_next */

/* Whether a body is to be sent at all. */
bool http_wants_body(const struct http_conn *c);

/* ---- route.c, static.c ------------------------------------------------------------------------------------------- */

void http_route_start(void); /* once, before the first request */
void http_answer(struct http_conn *c);
void http_static(struct http_conn *c);

/* ---- metrics.c --------------------------------------------------------------------------------------------------- */

static inline uint64_t http_count(const struct http_counts *counts, int which)
{
	return __atomic_load_n(&counts->of[which], __ATOMIC_RELAXED);
}

/* By one writer; read by anybody. (_Atomic would lock the bus.) */
static inline void http_add(struct http_counts *counts, int which, uint64_t n)
{
	__atomic_store_n(&counts->of[which], counts->of[which] + n, __ATOMIC_RELAXED);
}

void http_fold(struct http_counts *sum, const struct http_counts *counts);
void http_note(struct http_conn *c);    /* the response is complete, if there is one: counts it, and has it logged */
void http_metrics(struct http_conn *c); /* handler of /metrics */

/* ---- log.c ------------------------------------------------------------------------------------------------------- */

int http_log_start(const char *path);  /* in the runtime; NULL: no log. 0 or -E */
void http_log_end(void);               /* behind it: what is still in memory */
bool http_is_logging(void);
void http_log(const struct http_conn *c, int64_t ns);
uint64_t http_log_dropped(void);       /* lines */

/* ---- options.c --------------------------------------------------------------------------------------------------- */

/* Reads the command line; ends the process for --help, and with status 2 when something is wrong. */
const struct http_config *http_options(int argc, char **argv);

/* ---- main.c ------------------------------------------------------------------------------------------------------ */

void http_admit(int fd, bool secure); /* serves a connection, or closes it */
void http_enrol(struct http_conn *c);
void http_leave(struct http_conn *c);
void http_sum(struct http_server *server, struct http_counts *sum); /* over all connections, those that have left included */

#endif
