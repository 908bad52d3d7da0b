/* HTTP/1.1 heads and chunked bodies, strictly as RFC 9112, RFC 9110 and RFC 3986 have them.
 *
 * Push parsers: no I/O, no memory of their own, nothing of weft. Both look at every byte once, however the bytes come, and what
 * they say depends on the bytes alone, never on how they were cut. One int tells all:
 *
 *   > 0   so many bytes were taken
 *   0     well so far, more bytes are needed
 *   < 0   the status code to refuse with, negated; the connection can't go on, because nobody knows where the next request starts
 *
 * Where the RFCs let a server be lenient, and two servers in a row might then disagree about where a request ends, these refuse:
 * bare CR or LF, folded lines, blanks before a colon, more than one Content-Length, Content-Length beside Transfer-Encoding. */
#ifndef HTTP_PARSE_H
#define HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_FIELDS_MAX 100   /* fields of a head at most */
#define HTTP_HEAD_MAX 65535   /* bytes of a head at most: spans are 16 bits wide */

enum http_method {
	HTTP_OTHER, /* a token that is none of these; the span has it */
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_CONNECT,
	HTTP_OPTIONS,
	HTTP_TRACE,
	HTTP_PATCH
};

enum http_form { HTTP_ORIGIN, HTTP_ABSOLUTE, HTTP_AUTHORITY, HTTP_ASTERISK };

/* A piece of the head: [at, at + len) from its first byte. */
struct http_span {
	uint16_t at, len;
};

struct http_field {
	struct http_span name, value; /* the value without the blanks around it */
};

struct http_limits {
	uint16_t line;   /* bytes of the request line with its end; more: 414 */
	uint16_t head;   /* bytes of the head with its end, at least line; more: 431 */
	uint16_t fields; /* at most HTTP_FIELDS_MAX; more: 431 */
};

/* Zeroed before the first call for a head. The results are complete once http_parse_head has returned > 0. */
struct http_head {
	/* the request line */
	enum http_method method;
	enum http_form form;
	int minor;                   /* HTTP/1.minor: 0, or 1 for everything above */
	struct http_span name;       /* of the method */
	struct http_span target;     /* as it came */
	struct http_span path;       /* with its leading slash, still encoded; may be empty in the absolute form */
	struct http_span query;      /* without its question mark */
	struct http_span authority;  /* who is asked: as the target says, else Host; empty on 1.0 without Host */

	/* the status line, of a response */
	int status;                  /* 100 to 599; 0: a request */
	struct http_span reason;

	/* how the message goes on */
	uint64_t length;             /* of the body, if has_length */
	bool has_length;
	bool chunked;
	bool keep_alive;             /* the client can take another answer on this connection */
	bool expects_continue;

	/* where the parser is */
	bool has_host, has_encoding, strange_encoding, expects_other, says_close, says_keep;
	uint8_t state;
	uint16_t at;                 /* bytes taken; where it is refused, up to the one for which it is */
	uint16_t mark;               /* where the present piece began */

	uint16_t count;
	struct http_field fields[HTTP_FIELDS_MAX];
};

/* Takes a request head from the len bytes at buf, which are all that have come of it: each call passes the former bytes again,
 * perhaps moved, and new ones behind. The result is the length of the head. Refuses with 400, 413, 414, 417, 431, 501 or 505. */
int http_parse_head(struct http_head *head, const char *buf, size_t len, const struct http_limits *limits);

/* The same for the head of a response; a refusal is any negative number. The body that follows depends on the request as well. */
int http_parse_response(struct http_head *head, const char *buf, size_t len, const struct http_limits *limits);

/* Whether the span of the head at base is this text, letter case aside. text is in lower case. */
bool http_span_is(const char *base, struct http_span span, const char *text);

/* The first field of that name (in lower case), or NULL. */
const struct http_field *http_find(const struct http_head *head, const char *base, const char *name);

/* Zeroed, but for the limit, before the first call for a body. */
struct http_chunks {
	uint32_t limit; /* bytes of chunk extensions, and of trailers, in the whole body; more: 400, 431 */
	bool done;      /* the end was taken */

	uint8_t state;
	uint8_t digits;
	uint32_t extra; /* bytes of extensions and trailers so far */
	uint64_t left;  /* of the present chunk */
};

/* Takes bytes of a chunked body from the len at buf: framing up to the next piece of the body, and that piece, of which *data and
 * *n tell; *n may be 0. Bytes that were taken are not passed again. Trailers are checked and dropped. 0 only if len is 0 or the
 * end was taken before. Refuses with 400, 413 (a chunk of 2^63 bytes or more) or 431. */
int http_parse_chunks(struct http_chunks *chunks, const char *buf, size_t len, const char **data, size_t *n);

#endif
