/* Channels: queues of values of one size between coroutines, and threads.
 *
 * A channel without capacity hands over directly: a send returns once somebody has received the value. One with capacity keeps
 * that many values, and a send waits only while it is full. Values come out in the order in which they went in, and those who
 * wait are served in order of arrival.
 *
 * Values are copied: elem points to elem_size bytes, at any alignment; for channels of size 0 it may be NULL. What was done before
 * a send is seen after the receive of its value (docs/channels.md has all such pairs).
 *
 * Calls that wait park the coroutine; a plain thread blocks. They end early with -ECANCELED when the caller is cancelled, and then
 * nothing was transferred. A transfer that came first is reported as success, and the cancel shows at the next call.
 *
 * What panics in Go is a result here: a send on a closed channel is -EPIPE, a second close -EALREADY. A NULL channel is -EINVAL
 * (in Go it blocks for ever; in weft_select it switches the case off). */
#ifndef WEFT_CHAN_H
#define WEFT_CHAN_H

#include "base.h"
#include "time.h"

#define WEFT_CHAN_CAPACITY_MAX ((size_t)1 << 31)

struct weft_chan;

WEFT_BEGIN

/* Makes a channel for values of elem_size bytes (0: just the event) that keeps up to capacity of them (0: none). From anywhere,
 * with or without a runtime; never parks. -EINVAL: a capacity above WEFT_CHAN_CAPACITY_MAX, or more bytes than there are
 * addresses; -ENOMEM. */
WEFT_API WEFT_NODISCARD int weft_chan_create(struct weft_chan **chan, size_t elem_size, size_t capacity);

/* Frees it, with the values it still keeps. Whoever used it last may do so at once: a call that has transferred its value, or was
 * woken by a close, counts as over even if it has not returned yet (for weft_select: see there). NULL: nothing. Never parks.
 * -EBUSY: somebody waits on it, and nothing happened. */
WEFT_API int weft_chan_destroy(struct weft_chan *chan);

/* Sends a copy of *elem: 0. Parks while there is neither room nor a receiver. -EPIPE: it is closed, or was closed while the call
 * waited; the value was not sent. */
WEFT_API WEFT_NODISCARD int weft_chan_send(struct weft_chan *chan, const void *elem);

/* Receives a value into *elem (NULL drops it): 1. Parks while there is none. 0: the channel is closed, and everything in it was
 * received; *elem is left as it was. */
WEFT_API WEFT_NODISCARD int weft_chan_recv(struct weft_chan *chan, void *elem);

/* The same, never waiting: -EAGAIN. They never park, and cancelling does not touch them. */
WEFT_API WEFT_NODISCARD int weft_chan_try_send(struct weft_chan *chan, const void *elem);
WEFT_API WEFT_NODISCARD int weft_chan_try_recv(struct weft_chan *chan, void *elem);

/* As send and recv, until a deadline: -ETIMEDOUT, or with WEFT_NOW -EAGAIN. What is possible at once is done even if the deadline
 * has passed. */
WEFT_API WEFT_NODISCARD int weft_chan_send_until(struct weft_chan *chan, const void *elem, weft_time deadline);
WEFT_API WEFT_NODISCARD int weft_chan_recv_until(struct weft_chan *chan, void *elem, weft_time deadline);

/* No more values: whoever waits to send gets -EPIPE; receivers get what is kept, and then 0 for ever. Never parks. -EALREADY: it
 * was closed before. */
WEFT_API int weft_chan_close(struct weft_chan *chan);

/* How many values it keeps just now, and how many it can; 0 for NULL. Others may be faster than what is done about it. Never
 * park. */
WEFT_API size_t weft_chan_len(const struct weft_chan *chan);
WEFT_API size_t weft_chan_cap(const struct weft_chan *chan);

WEFT_END

#endif
