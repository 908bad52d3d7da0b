/* Deadlines that move on with every read or write. */
#ifndef HTTP_DEADLINE_H
#define HTTP_DEADLINE_H

#include <weft/weft.h>

/* Puts the deadline of a descriptor, *by as it was set last, so far off, or up to a sixteenth farther: most calls need not touch
 * the descriptor. now may lie a little back. */
static inline void http_deadline(weft_time *by, int fd, unsigned dir, weft_time now, int64_t ns)
{
	weft_time soonest = now + ns, latest = soonest + ns / 16;
	if (*by >= soonest && *by <= latest)
		return;
	*by = latest;
	weft_set_deadline(fd, dir, latest);
}

#endif
