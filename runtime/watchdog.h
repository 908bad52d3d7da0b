/* Rank 4. The watchdog: names coroutines that hold a worker for too long without coming back to the scheduler, whether they compute
 * or sit in a system call. Off unless config.watchdog_ns is set. All of it is the monitor's. */
#ifndef WF_WATCHDOG_H
#define WF_WATCHDOG_H

#include "proc.h"

void wf_watchdog_start(void);
void wf_watchdog_stop(void);

/* At each of the monitor's looks. True: some worker is away without a processor, so that the monitor has to look again although
 * none runs. */
bool wf_watchdog_look(int64_t now);

/* A worker that is outside was given another processor: it is at the same coroutine still. rt.lock is held. */
void wf_watchdog_swapped(struct wf_worker *w, const struct wf_proc *p);

#endif
