/* Statistics: what the runtime has done so far, and how long coroutines wait for a processor. */
#ifndef WEFT_STATS_H
#define WEFT_STATS_H

#include "base.h"

#define WEFT_LATENCY_BUCKETS 24

/* Counters since the runtime started, summed over processors without stopping any: each is exact, but they were not read at
 * one instant. The struct only ever grows at its end. */
struct weft_stats {
	size_t size;              /* in: sizeof(struct weft_stats) */
	int maxprocs;             /* processors */
	int idle_procs;           /* of these, without a worker just now */
	int workers;              /* OS threads that weft made for processors and that are alive */
	int spinning;             /* workers that are looking for work */
	uint64_t spawned;         /* coroutines ever made */
	uint64_t ended;           /* of these, ended */
	uint64_t dispatches;      /* switches into a coroutine */
	uint64_t parks;           /* waits that gave the processor up */
	uint64_t steals;          /* batches taken from another processor */
	uint64_t stolen;          /* coroutines in them */
	uint64_t polls;           /* looks at the netpoller */
	uint64_t wakes;           /* workers woken because work waited */
	uint64_t budget_yields;   /* coroutines made to yield because they never waited */
	uint64_t timers_fired;    /* deadlines and sleeps that came due */
	uint64_t stacks;          /* stack slots made so far */
	uint64_t handoffs;        /* processors taken from a worker that was away too long, or given up to block */
	uint64_t live;            /* coroutines that have not ended */
	uint64_t queued;          /* of these, runnable in a queue that others see */
	uint64_t timers;          /* deadlines and sleeps that are set */
	int threads;              /* OS threads that weft made and that are alive: workers, helpers, the monitor */
	int helpers;              /* those for calls that block (blocking.h), busy or not */

	/* From being made runnable to running, of a sample: about one coroutine in 50 us on each processor, and one in 16 of those
	 * that plain threads wake. latency[i] were below weft_latency_bound(i) and not below weft_latency_bound(i - 1). */
	uint64_t latency[WEFT_LATENCY_BUCKETS];
	uint64_t stalls;          /* coroutines that the watchdog has told of */
};

WEFT_BEGIN

/* Fills *stats as far as stats->size reaches. From anywhere; never parks; stops nothing. */
WEFT_API void weft_stats(struct weft_stats *stats);

/* The upper end of a bucket of the histogram in nanoseconds: 1,024 << bucket, and INT64_MAX for the last. */
WEFT_API int64_t weft_latency_bound(int bucket);

/* The bound below which this part (0.5: half, 0.99) of the samples lie; 0 without samples. */
WEFT_API int64_t weft_latency_quantile(const struct weft_stats *stats, double part);

WEFT_END

#endif
