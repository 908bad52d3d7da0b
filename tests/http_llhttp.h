/* What another parser makes of a request. */
#ifndef HTTP_LLHTTP_H
#define HTTP_LLHTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct verdict {
	bool head;    /* taken to its end */
	bool message; /* the body too */
	bool chunked, has_length;
	uint64_t length;    /* that Content-Length promised */
	size_t body;        /* bytes of body */
	size_t taken;       /* bytes of the message, if it is whole */
	const char *reason; /* "more", "end", or why it was refused */
};

struct verdict llhttp_judge(const char *bytes, size_t n);

#endif
