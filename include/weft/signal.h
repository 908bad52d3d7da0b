/* Signals as values: what arrives goes into a channel, where a coroutine takes it like any other value.
 *
 *     struct weft_chan *signals;
 *     int number;
 *     weft_chan_create(&signals, sizeof(int), 1);
 *     weft_signal_notify(signals, SIGTERM);
 *     weft_chan_recv(signals, &number);      or a select, with whatever else there is to wait for
 *
 * A signal that nobody asks for keeps the disposition that it has. The handler that is installed for one that somebody asks for
 * does nothing but wake the monitor, which sends; so no coroutine is ever interrupted. Threads of weft's block all signals: some
 * thread of the program's own must not block those that it asks for (under weft_run the one that called it is there for that). */
#ifndef WEFT_SIGNAL_H
#define WEFT_SIGNAL_H

#include "base.h"

struct weft_chan;

WEFT_BEGIN

/* From now on each signal of this number is sent to the channel, an int. Sending never waits: what finds no room and no receiver
 * is dropped, and signals that come in quick succession may be one; so a capacity of 1 tells whether any came. Several channels
 * may ask for one signal, and one channel for several. Ends with weft_signal_stop, weft_signal_reset, or the runtime. From anywhere
 * while the runtime runs; never parks. -EINVAL: no such signal, one that can't be caught or that faults make, a channel of other
 * values, no runtime; -ENOMEM. */
WEFT_API WEFT_NODISCARD int weft_signal_notify(struct weft_chan *ch, int number);

/* The channel gets no more signals; when it returns, none is on its way, so that the channel can be destroyed. What nobody asks for
 * any more has its former disposition again. Never parks. */
WEFT_API void weft_signal_stop(struct weft_chan *ch);

/* Nobody gets this signal any more, nor is it ignored: it has the disposition that it had before. Never parks. -EINVAL. */
WEFT_API int weft_signal_reset(int number);

/* Nobody gets it any more, and the process ignores it, until weft_signal_reset or weft_signal_notify. Never parks. -EINVAL. */
WEFT_API WEFT_NODISCARD int weft_signal_ignore(int number);

WEFT_END

#endif
