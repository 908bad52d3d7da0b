/* Rank 4. Whether anything can happen any more.
 *
 * Looked at by the monitor once no processor has run for a while, so that it costs a busy program nothing and an idle one a few
 * microseconds each time it becomes idle. There is a deadlock when some coroutine that is no daemon has not ended, and
 *
 *   no timer is set                                   a sleep, a deadline, a scope's or a timer's time
 *   every coroutine is parked, in a wait that only    not for a descriptor, nor for a helper thread
 *     another coroutine or thread of weft's can end
 *   every thread of the process is weft's, or waits   counted by whoever begins the wait, and taken out of the count by whoever
 *     in weft, without a deadline                       ends it, so one that is about to run on is not in it
 *   no signal is subscribed to
 *
 * It is a rule that never fires for nothing. Threads that weft does not know keep it silent; so does a listener, for somebody may
 * still connect: cycles (dump.h) are found then, too. */
#ifndef WF_DEADLOCK_H
#define WF_DEADLOCK_H

#include "coro.h"

/* Plain threads that wait in weft until somebody ends it. */
extern wf_u32 wf_threads_stuck;

/* Signals that are turned into values (signal.c). */
extern wf_u32 wf_signals_wanted;

/* Whether such a wait is ended by a coroutine or a thread only. */
bool wf_is_internal(enum wf_reason why);

/* Reports, and exits if so configured. The monitor; no processor runs. */
void wf_deadlock_check(void);

#endif
