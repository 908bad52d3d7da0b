/* What the tests of scopes share. */
#ifndef TEST_SCOPE_UTIL_H
#define TEST_SCOPE_UTIL_H

#include "core_util.h"
#include "park.h"
#include "scope.h"

/* The control block of the running coroutine. */
struct weft_co *running_co(void);

/* Rests until co waits, with its context saved, and for this reason. From anywhere. */
void await_waiting(const struct weft_co *co, enum wf_reason why);

/* An open scope that takes no more than what its opts say; aborts the case on failure. */
void open_scope(struct weft_scope *scope, unsigned flags, int limit, weft_time deadline);

/* weft_scope_go that succeeds. */
void go_in(struct weft_scope *scope, weft_fn *fn, void *arg);

/* A word for coroutines and threads to count in and wait for. */
struct counter {
	wf_word n;
};

static inline void count_up(struct counter *c) { wf_add_full(&c->n, 1); }
static inline int count_of(const struct counter *c) { return (int)wf_load_acquire(&c->n); }

/* The n-th seed of the case: from random_seed, which is asked once. Never 0. */
uint64_t seed_for(uint64_t n);

/* Sleeps for ever; returns the result of the sleep. */
int sleep_on(void *unused);

#endif
