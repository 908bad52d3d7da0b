/* Rank 4. What the scheduler asks of the poller; bound by the linker (net/netpoll_*.c), so that a test can link its own.
 *
 * The poller finds descriptors that became ready and wakes their waiters through park.h. All functions may be called from any
 * worker; wf_netpoll_wait with a timeout is called by one at a time. */
#ifndef WF_NETPOLL_H
#define WF_NETPOLL_H

#include "base.h"

struct wf_worker;

int wf_netpoll_start(void); /* 0 or -E: -EMFILE, -ENOMEM */
void wf_netpoll_stop(void); /* no coroutine is left; closes what start made */

/* Looks at the kernel and wakes (wf_wake with w) whoever waits for what is ready. timeout_ns 0: does not block; > 0: blocks that
 * long; < 0: blocks until something happens or wf_netpoll_break. Resolution at least 50 us. Returns how many it woke. w NULL:
 * the caller holds no processor. */
int wf_netpoll_wait(struct wf_worker *w, int64_t timeout_ns);

/* Has a blocked wf_netpoll_wait return soon; remembered if none is blocked yet. Async-signal-safe. */
void wf_netpoll_break(void);

/* Whether any descriptor is registered: without one, nobody needs to look. */
bool wf_netpoll_active(void);

#endif
