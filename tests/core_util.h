/* What the tests of the core share. */
#ifndef TEST_CORE_UTIL_H
#define TEST_CORE_UTIL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <weft/weft.h>

#include "harness.h"

/* Sleeps and looks again until the condition holds; the time limit of the case is the only one. From anywhere. */
#define EVENTUALLY(condition)                                                                      \
	do                                                                                         \
		rest();                                                                            \
	while (!(condition))

/* 0.1 ms; a coroutine that was cancelled can rest too. */
void rest(void);

/* A random number, and one below n; the state is the caller's and not 0. */
uint64_t next_random(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t n);

/* WEFT_STRESS_SEED, else one from the clock; said on standard error, so that a failure can be tried again. */
uint64_t random_seed(void);

/* A coroutine that is joined: attributes may be NULL. */
struct weft_co *spawn_co(const struct weft_attr *attr, weft_fn *fn, void *arg);
int join_co(struct weft_co *co);

/* Whether somebody waits in weft_join for it. */
bool is_being_joined(struct weft_co *co);

/* The numbers of the environment's or the default configuration, with so many processors. */
struct weft_config config_with(int maxprocs);

/* A plain thread. */
pthread_t start_thread(void *(*fn)(void *), void *arg);
void *join_thread(pthread_t thread);

/* The statistics now. */
struct weft_stats stats_now(void);

/* What fn(arg) wrote to this descriptor (1, 2); at most size - 1 bytes, then a zero. */
void capture(int fd, void (*fn)(void *arg), void *arg, char *text, size_t size);

/* How often a text occurs in another. */
int occurrences(const char *text, const char *what);

#endif
