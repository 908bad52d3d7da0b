/* What the tests of the locks share. */
#ifndef TEST_SYNC_UTIL_H
#define TEST_SYNC_UTIL_H

#include "core_util.h"
#include "wait.h"

/* Waits until the coroutine is parked for this reason. */
void await_parked(struct weft_co *co, enum wf_reason why);

/* One of a crew: coroutines and plain threads that do the same. */
struct member {
	int index;      /* 0.. over the whole crew */
	bool thread;    /* a plain one */
	long done;      /* rounds, kept when a cancelled member is replaced */
	uint64_t random; /* its own state for next_random */
};

/* Runs fn on so many coroutines and plain threads, and returns when all have ended. Says the seed. */
void run_crew(void (*fn)(struct member *me), int coroutines, int threads);

/* The same, and coroutines are cancelled and replaced by new ones of their index now and then, until all of them have ended
 * uncancelled: fn returns false when it was cancelled. */
void run_crew_cancelling(bool (*fn)(struct member *me), int coroutines, int threads);

/* Yields once in so many times. */
void yield_sometimes(struct member *me, unsigned once_in);

/* A deadline within so many nanoseconds, some of them past. */
weft_time deadline_soon(struct member *me, unsigned ns);

/* What only one may have at a time: in and out are checked against each other. */
struct exclusive {
	atomic_int inside;
	long count; /* plain: TSan and lost updates tell if it is not exclusive */
};

void enter_exclusive(struct exclusive *x);
void leave_exclusive(struct exclusive *x);

/* Memory whose users free it the moment they may. Freed memory is filled, and looked at again later, so that a late store is seen
 * without a sanitizer, too. */
void *take_block(size_t size);
void free_block(void *block);
void check_freed_blocks(void);

#endif
