/* Watch cells: one value that changes, and any number of coroutines and threads that want to hear of the latest.
 *
 * Setting never waits, and keeps one value only: whoever is slow misses the values in between, but never the last one. Each
 * setting has a number, from 1 on; what one has seen is such a number, kept by whoever watches (0: nothing yet). The difference
 * of two says how many values were missed.
 *
 * Values are copied: elem points to elem_size bytes, at any alignment; for cells of size 0 it may be NULL. What was done before
 * weft_watch_set is seen by whoever sees its value, or a later one; what was done before weft_watch_close, by whoever hears of it.
 *
 * Calls that wait park the coroutine; a plain thread blocks. They fail with -ECANCELED when the caller is cancelled, before it
 * comes to waiting as well, and then have seen nothing. A NULL cell is -EINVAL. */
#ifndef WEFT_WATCH_H
#define WEFT_WATCH_H

#include "base.h"
#include "time.h"

struct weft_watch;

WEFT_BEGIN

/* Makes a cell. initial: its first value, number 1; NULL: none yet. From anywhere, with or without a runtime. -ENOMEM, -EINVAL. */
WEFT_API WEFT_NODISCARD int weft_watch_create(struct weft_watch **watch, size_t elem_size, const void *initial);

/* Frees it. Whoever used it last may do so at once: a wait that was woken by a value, or by a close, counts as over even if it has
 * not returned yet. NULL: nothing. Never parks. -EBUSY: somebody waits on it, and nothing happened. */
WEFT_API int weft_watch_destroy(struct weft_watch *watch);

/* The value is now a copy of *elem; all who wait go on with it. Never parks. -EPIPE: it is closed. */
WEFT_API WEFT_NODISCARD int weft_watch_set(struct weft_watch *watch, const void *elem);

/* 1: the value is in *elem, its number in *seen (each may be NULL). 0: there is none yet. Also when it is closed. Never parks; no
 * cancellation point. */
WEFT_API WEFT_NODISCARD int weft_watch_get(struct weft_watch *watch, uint64_t *seen, void *elem);

/* Waits until there is a value with another number than *seen: 1, and the latest one is in *elem (NULL: not wanted), its number in
 * *seen. 0: it is closed, and *seen is the number of the last value. Parks. */
WEFT_API WEFT_NODISCARD int weft_watch_wait(struct weft_watch *watch, uint64_t *seen, void *elem);

/* The same until a deadline: -ETIMEDOUT, or with WEFT_NOW -EAGAIN. What is there already is seen even if that has passed. */
WEFT_API WEFT_NODISCARD int weft_watch_wait_until(struct weft_watch *watch, uint64_t *seen, void *elem, weft_time deadline);

/* No more values: whoever has seen the last one goes on with 0. Never parks. -EALREADY: it was closed before. */
WEFT_API int weft_watch_close(struct weft_watch *watch);

WEFT_END

#endif
