/* Characters as the grammars of HTTP class them. */
#ifndef HTTP_CHARS_H
#define HTTP_CHARS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	HTTP_TOKEN = 0x01,   /* tchar */
	HTTP_TEXT = 0x02,    /* what a field value may hold: visible, blank, tab, and bytes above 127 */
	HTTP_VISIBLE = 0x04, /* 0x21 to 0x7e */
	HTTP_PATH = 0x08,    /* pchar and the slash, but not the percent sign */
	HTTP_HOST = 0x10,    /* reg-name, but not the percent sign */
	HTTP_HEX = 0x20
};

extern const uint8_t http_class_of[256];

static inline bool http_is(char c, unsigned class)
{
	return (http_class_of[(unsigned char)c] & class) != 0;
}

static inline bool http_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static inline bool http_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The value of a digit that is HTTP_HEX. */
static inline unsigned http_hex(char c)
{
	return (unsigned)(http_is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
}

#endif
