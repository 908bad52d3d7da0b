/* Exits: hears of the ends of coroutines, any number of them, and with what result; without joining them.
 *
 *     struct weft_exits *exits;
 *     struct weft_ended ended;
 *     if (weft_exits_create(&exits) == 0 && weft_exits_watch(exits, co, NULL) == 0)
 *             if (weft_exits_next(exits, &ended) == 0)
 *                     printf("%llu ended with %d\n", (unsigned long long)ended.id, ended.result);
 *
 * Each watch gives exactly one note, also if the coroutine had ended before. The memory for it is taken when the watch begins, so
 * that no end fails, or waits for whoever watches. A watch costs the same whether ten coroutines are watched or 100,000.
 * weft_select with WEFT_OP_EXIT waits for a note and for other things. What the coroutine did is seen by whoever gets the note. */
#ifndef WEFT_EXITS_H
#define WEFT_EXITS_H

#include "base.h"
#include "time.h"

struct weft_co;
struct weft_exits;

struct weft_ended {
	uint64_t id; /* weft_id of the coroutine */
	void *tag;   /* as given to weft_exits_watch */
	int result;  /* what it returned, or gave to weft_exit */
};

WEFT_BEGIN

/* From anywhere, with or without a runtime; never parks. -ENOMEM, -EINVAL. */
WEFT_API WEFT_NODISCARD int weft_exits_create(struct weft_exits **exits);

/* Ends all watches and drops the notes that nobody took. NULL: nothing. Never parks. -EBUSY: somebody waits for a note, and nothing
 * happened. */
WEFT_API int weft_exits_destroy(struct weft_exits *exits);

/* Watches co, whose handle the caller may join or detach as ever, at once if it likes. Several may watch one coroutine, and one may
 * watch it several times. From anywhere; never parks. -ENOMEM; -EINVAL co or exits is NULL. */
WEFT_API WEFT_NODISCARD int weft_exits_watch(struct weft_exits *exits, struct weft_co *co, void *tag);

/* Gives up the oldest watch of co in exits: there will be no note. co has not been joined or detached. -ENOENT: there is no such
 * watch, or co has ended, and its note is here or was taken. Never parks. */
WEFT_API int weft_exits_unwatch(struct weft_exits *exits, struct weft_co *co);

/* Waits for a note: 0. -ECANCELED. Parks. */
WEFT_API WEFT_NODISCARD int weft_exits_next(struct weft_exits *exits, struct weft_ended *ended);

/* The same until a deadline: -ETIMEDOUT, or with WEFT_NOW -EAGAIN. */
WEFT_API WEFT_NODISCARD int weft_exits_next_until(struct weft_exits *exits, struct weft_ended *ended, weft_time deadline);

WEFT_END

#endif
