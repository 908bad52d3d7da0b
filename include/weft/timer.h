/* Timers: when its time has come, a timer runs a function, or puts a value into a channel; once, or again and again.
 *
 * From the return of weft_timer_stop or weft_timer_set on, nothing comes any more of what was set before: no function begins, and
 * no value is left in the channel. Timers that are still set when the runtime ends never fire; they can be set again in the next
 * one. Calls come from anywhere; only weft_timer_stop_wait parks.
 *
 * What was done before weft_timer_set is seen by the function, or after the receive, that it leads to; what the function did, after
 * the weft_timer_stop_wait that waited for it. */
#ifndef WEFT_TIMER_H
#define WEFT_TIMER_H

#include "base.h"
#include "runtime.h"
#include "time.h"

struct weft_chan;
struct weft_timer;

WEFT_BEGIN

/* Makes a timer that runs fn(arg), and does not set it. fn runs in a coroutine of its own, in no scope, and may park; its result is
 * nobody's. It never runs twice at a time: when the timer is set anew and fires while it runs, it runs once more right after. The
 * coroutine is a daemon: the end of the runtime cancels it, and waits for it. A timer never fails to fire for lack of memory, it is
 * late. -ENOMEM, -EINVAL. */
WEFT_API WEFT_NODISCARD int weft_timer_create(struct weft_timer **timer, weft_fn *fn, void *arg);

/* Makes a timer that puts the time at which it fired, a weft_time, into a channel of its own, which keeps one. The channel is
 * there to receive from (weft_chan_recv, weft_select), and goes with the timer. -ENOMEM, -EINVAL. */
WEFT_API WEFT_NODISCARD int weft_timer_create_chan(struct weft_timer **timer, struct weft_chan **chan);

/* Has it fire at `when`, whatever was set before; at once if that has passed, never for WEFT_NEVER. period 0: once. Else also every
 * period nanoseconds after `when`, however late it was in between. Such a tick is missed, and counted, when it would have come
 * before the last one was received, or while fn still runs or is about to, or when the machine was too busy.
 * 1: it was set, and will not fire for that. 0: it had fired, or was not set. -EINVAL: a negative period, or no runtime. */
WEFT_API int weft_timer_set(struct weft_timer *timer, weft_time when, int64_t period);

/* 1: it was set, and will not fire any more. 0: it has fired, or was not set; fn may be running. One that has come due counts as
 * not having fired as long as fn has not begun, or the value is still in the channel. */
WEFT_API int weft_timer_stop(struct weft_timer *timer);

/* The same, and waits until fn has returned if it runs. -EDEADLK: called by fn; -ECANCELED: the caller was cancelled while fn still
 * ran. The timer is stopped all the same. Parks. */
WEFT_API WEFT_NODISCARD int weft_timer_stop_wait(struct weft_timer *timer);

/* How many ticks were missed since it was last set. */
WEFT_API uint64_t weft_timer_missed(struct weft_timer *timer);

/* Stops it and frees it, and its channel. fn may call it, and goes on if it runs. NULL: nothing. Also after the runtime has ended.
 * -EBUSY: somebody waits on the channel; the timer is only stopped. */
WEFT_API int weft_timer_destroy(struct weft_timer *timer);

WEFT_END

#endif
