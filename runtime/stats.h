/* Rank 4. Statistics, and the line of them that the monitor prints now and then.
 *
 * Counters belong to processors: only who has the processor writes them, by plain additions, and a reader sums them up.
 *
 * How long coroutines wait for a processor is measured on a sample, marked (wf_co_time) where something rare happens anyway: when
 * an owner looks around, the coroutine that is just yielding and one of those that it wakes next; the first of each batch of new
 * numbers; one in a few of those that come from outside. Whoever runs a marked one sees that it is special, as it sees that one is
 * new, by the same look. So those that are not marked cost nothing. */
#ifndef WF_STATS_H
#define WF_STATS_H

#include <weft/stats.h>

#include "base.h"

/* In which bucket a waiting time falls. */
static inline unsigned wf_latency_bucket(int64_t ns)
{
	unsigned bits = ns < 1024 ? 0 : 64 - 10 - (unsigned)__builtin_clzll((unsigned long long)ns);
	return bits < WEFT_LATENCY_BUCKETS ? bits : WEFT_LATENCY_BUCKETS - 1;
}

/* All, for parts of the runtime while it runs. */
void wf_stats_sum(struct weft_stats *all);

/* Prints what happened since it was last called. The monitor. */
void wf_trace_start(void);
void wf_trace(int64_t now);

#endif
