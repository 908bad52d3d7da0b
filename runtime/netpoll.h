/* Rank 4. What the scheduler asks of the poller; bound by the linker (net/netpoll_*.c), so that a test can link its own.
 *
 * The poller finds descriptors that became ready and wakes their waiters through park.h. All functions may be called from any
 * worker; wf_netpoll_wait with a timeout is called by one at a time. */
#ifndef WF_NETPOLL_H
#define WF_NETPOLL_H

#include "wait.h"

struct wf_worker;

int wf_netpoll_start(void); /* 0 or -E: -EMFILE, -ENOMEM */
void wf_netpoll_stop(void); /* no coroutine is left; closes what start made */

/* Looks at the kernel and wakes (wf_wake with w) whoever waits for what is ready. timeout_ns 0: does not block; > 0: blocks that
 * long; < 0: blocks until something happens or wf_netpoll_break. Resolution at least 50 us. Returns how many it woke. w NULL:
 * the caller holds no processor. What comes is put into `room`, WF_EVENTS_SIZE bytes as aligned as malloc's: whoever looks can be
 * a coroutine, and its stack had better stay small. */
enum { WF_EVENTS_SIZE = 3072 };

int wf_netpoll_wait(struct wf_worker *w, void *room, int64_t timeout_ns);

/* Has a blocked wf_netpoll_wait return soon; remembered if none is blocked yet. Async-signal-safe. */
void wf_netpoll_break(void);

/* Whether any descriptor is registered: without one, nobody needs to look. */
bool wf_netpoll_active(void);

/* The descriptor that a wait with this object is about (wf_wait.object); -1: none. */
int wf_netpoll_fd_of(uintptr_t object);

/* ---- descriptors as cases of a select (net/watch.c) -------------------------------------------------------------------
 *
 *   begin    each, in the gate
 *   look     each; one is ready: go to end. None is, and they are not armed: arm each, and look again
 *   queue    each, under a wait that was begun; false: end that wait, with 0
 *   (park)
 *   leave    each; 0, or an error of look, ended the wait: look again
 *   end      each
 *
 * begin, arm and end leave the gate and enter it again: *w is another worker afterwards, perhaps. */

struct wf_desc;

struct wf_watch {
	int fd;
	int number;           /* under which weft knows it: fd, or a duplicate */
	unsigned dirs;        /* WEFT_READ, WEFT_WRITE */
	unsigned seq, edges;
	struct wf_desc *desc; /* NULL: weft does not know it */
	struct wf_waiter waiters[2];
};

/* Whether it is armed already. */
bool wf_watch_begin(struct wf_watch *watch, struct wf_worker **w, int fd, unsigned dirs);
void wf_watch_end(struct wf_watch *watch, struct wf_worker **w);

/* The ready directions; 0; or what a read or write would meet: -EBADF it is not open, or was closed; -ETIMEDOUT its deadline is
 * past. */
int wf_watch_look(struct wf_watch *watch);

/* Tells the poller, if it does not know. 0, -EMFILE, -ENOMEM, or as epoll_ctl(2). */
int wf_watch_arm(struct wf_watch *watch, struct wf_worker **w);

bool wf_watch_queue(struct wf_watch *watch, struct wf_worker *w, struct wf_wait *wait);
void wf_watch_leave(struct wf_watch *watch);

#endif
