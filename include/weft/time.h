/* One clock. A weft_time is a point on CLOCK_MONOTONIC in nanoseconds; deadlines are such points, so a retried call keeps
 * its deadline. The clock stands still while the machine is suspended (clock_gettime(2)). */
#ifndef WEFT_TIME_H
#define WEFT_TIME_H

#include "base.h"

typedef int64_t weft_time;

#define WEFT_NEVER INT64_MAX /* wait for ever */
#define WEFT_NOW INT64_MIN   /* do not wait: -EAGAIN instead of -ETIMEDOUT */

/* Durations in nanoseconds. */
#define WEFT_US(n) ((int64_t)(n) * 1000)
#define WEFT_MS(n) ((int64_t)(n) * 1000000)
#define WEFT_SEC(n) ((int64_t)(n) * 1000000000)

WEFT_BEGIN

/* The time now. From anywhere; never parks. */
WEFT_API weft_time weft_now(void);

/* The point ns nanoseconds from now. A sum that would overflow is WEFT_NEVER; a negative ns is a point in the past.
 * From anywhere; never parks. */
WEFT_API weft_time weft_after(int64_t ns);

WEFT_END

#endif
