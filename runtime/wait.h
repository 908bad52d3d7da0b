/* Rank 4. The wait node: one under every waiting call, whatever it waits for.
 *
 * A coroutine (or a plain thread) has one node for life. Each wait takes the next ticket; objects queue the ticket, never the wait
 * itself, so a waker that comes late fails to claim and harms nothing. Nodes live in memory that is never given back while
 * the runtime runs (slabs), which is what makes a late look harmless.
 *
 * The claim word is  sequence << 3 | phase.  The first compare-and-swap that takes it away from PARKED decides how the wait
 * ends: hand-over, deadline, cancel or close; all others fail and go on.
 *
 *   phase    who may move it        to
 *   IDLE     the owner              PARKED, with the next sequence number           wf_wait_begin
 *   PARKED   a waker                CLAIMED; it makes the coroutine runnable        wf_claim, wf_wake
 *            the owner              IDLE: it need not, or must not, wait            wf_wait_abandon, wf_park
 *   CLAIMED  the owner, resumed     PARKED, for the next wait
 *
 * A coroutine can be claimed and made runnable before it has left its stack: switch.h keeps it from being run there twice.
 *
 * Between claim and wake the waker owns the waiter: it may write what the waiter waits for (an element, a result) into the
 * waiter's stack, and must let go of the object before it wakes (its last touch of the object precedes the wake). */
#ifndef WF_WAIT_H
#define WF_WAIT_H

#include "atomic.h"
#include "list.h"
#include "timer.h"

struct weft_co;

enum wf_phase { WF_IDLE, WF_PARKED, WF_CLAIMED };

#define WF_PHASE_BITS 3
#define WF_PHASE_MASK ((uintptr_t)7)

/* Why a coroutine waits: for people, never for decisions. */
enum wf_reason {
	WF_WHY_NONE,
	WF_WHY_JOIN,    /* the object is the coroutine */
	WF_WHY_EXIT,    /* of any of those that are watched */
	WF_WHY_TIMER,   /* for a timer's function to return */
	WF_WHY_SLEEP,
	WF_WHY_READ,
	WF_WHY_WRITE,
	WF_WHY_ACCEPT,
	WF_WHY_CONNECT,
	WF_WHY_FD,
	WF_WHY_FD_TURN, /* another coroutine is at work on this side of the descriptor */
	WF_WHY_CHAN_SEND,
	WF_WHY_CHAN_RECV,
	WF_WHY_SELECT,
	WF_WHY_SELECT_FD, /* descriptors are among the cases */
	WF_WHY_MUTEX,
	WF_WHY_RWMUTEX,
	WF_WHY_COND,
	WF_WHY_SEM,
	WF_WHY_WAITGROUP,
	WF_WHY_ONCE,
	WF_WHY_WATCH,
	WF_WHY_FLIGHT,
	WF_WHY_MAILBOX_SEND,
	WF_WHY_MAILBOX_RECV,
	WF_WHY_SCOPE,
	WF_WHY_OFFLOAD,
	WF_WHY_COUNT
};

const char *wf_reason_name(enum wf_reason why);

enum wf_thread_state {
	WF_THREAD_WAITS,
	WF_THREAD_STUCK, /* the same, and it is in wf_threads_stuck, until its waker takes it out */
	WF_THREAD_WOKEN,
};

struct wf_wait {
	wf_word claim;        /* sequence << WF_PHASE_BITS | phase */
	struct weft_co *co;   /* the coroutine; NULL: a plain thread */
	intptr_t result;      /* written by whoever claimed, between claim and wake */
	wf_u32 thread;        /* plain thread: the futex it sleeps on; enum wf_thread_state */
	wf_u8 why;            /* enum wf_reason; relaxed readers */
	wf_word cancel_ticket; /* the wait that a cancel may end; an older one is stale and does no harm */
	wf_word object;       /* what it waits for: its address, for dumps */
	wf_word since;        /* a little before it parked; ns, for dumps */
	struct wf_timer timer; /* the deadline */
};

/* A place in an object's queue: on the waiter's stack, linked and unlinked under the object's lock. */
struct wf_waiter {
	struct wf_link link;
	struct wf_wait *wait;
	uintptr_t ticket; /* the claim word of this wait, in phase IDLE */
	void *data;       /* what the object needs: an element's address, a weight */
	int index;        /* what the object must know of it: which case of a select (select.c), a role */
};

struct wf_waitq {
	struct wf_list list;
};

#endif
