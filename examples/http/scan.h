/* Runs of characters of one class, fast: most bytes of a head are looked at here and nowhere else. */
#ifndef HTTP_SCAN_H
#define HTTP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "chars.h"

/* The first byte of [p, end) that is not of the class; end if there is none. */
static inline const char *http_skip(const char *p, const char *end, unsigned class)
{
	for (; end - p >= 4; p += 4)
		for (int i = 0; i < 4; i++)
			if (!http_is(p[i], class))
				return p + i;
	while (p < end && http_is(*p, class))
		p++;
	return p;
}

/* For HTTP_VISIBLE and HTTP_TEXT: marks, by its high bit, the lowest byte of a word that is not of the class; with HTTP_TEXT a tab
 * too, which is of it. Bytes above that one may be marked for nothing (a borrow), or not. */
static inline uint64_t http_stops(uint64_t word, unsigned class)
{
	const uint64_t ones = 0x0101010101010101, high = ones << 7;
	uint64_t del = word ^ ones * 0x7f;
	uint64_t below = (word - ones * (class == HTTP_TEXT ? 0x20 : 0x21)) & ~word;
	uint64_t above = class == HTTP_TEXT ? 0 : word;
	return (below | above | ((del - ones) & ~del)) & high;
}

/* The same as http_skip for these two, eight bytes at a time. */
static inline const char *http_skip_long(const char *p, const char *end, unsigned class)
{
	const bool lowest_is_first = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
	uint64_t word, stops;
	while (end - p >= (ptrdiff_t)sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		if ((stops = http_stops(word, class)) == 0) {
			p += sizeof(word);
			continue;
		}
		if (!lowest_is_first)
			break;
		p += __builtin_ctzll(stops) / 8;
		if (class != HTTP_TEXT || *p != '\t')
			return p;
		p++;
	}
	return http_skip(p, end, class);
}

#endif
