/* What examples/http takes and refuses, as data: each vector with the section that says so (RFC number, section). */
#ifndef HTTP_VECTORS_H
#define HTTP_VECTORS_H

#include <stddef.h>

#include "../examples/http/parse.h"

/* Of request heads, with the limits that they are made for. */
struct vector {
	const char *rfc;
	int want; /* as http_parse_head has it */
	size_t len;
	const char *bytes;
};

extern const struct http_limits vector_limits;
extern const struct vector vector_heads[];
extern const size_t vector_head_count;

/* Of chunked bodies. */
struct body_vector {
	const char *rfc;
	int want; /* the bytes of the whole body, 0 not ended, or refused */
	size_t len;
	const char *bytes, *decoded;
};

enum { VECTOR_EXTRA_LIMIT = 64 }; /* http_chunks.limit */

extern const struct body_vector vector_bodies[];
extern const size_t vector_body_count;

/* The bytes in letters, for complaints. */
void vector_show(char text[static 1024], const char *bytes, size_t len);

#endif
