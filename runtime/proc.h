/* Rank 4. Processors, workers, and the one struct that holds them all.
 *
 * A processor is the right to run coroutines, with what that needs: run queue, timers, caches. A worker is an OS thread. A worker
 * runs coroutines while it holds a processor; there are exactly maxprocs processors, and as many workers as it takes. */
#ifndef WF_PROC_H
#define WF_PROC_H

#include <weft/runtime.h>
#include <weft/stats.h>

#include "coro.h"
#include "ctx.h"
#include "globq.h"
#include "lock.h"
#include "netpoll.h"
#include "os.h"
#include "runq.h"
#include "stack.h"
#include "timer.h"

struct wf_worker;

/* A dispatch so long (on average) pays for waking another worker, which costs both sides about 30 us together. */
enum { WF_LONG_NS = 50000 };

/* Dispatches this short, and those that keep meeting each other at locks, are about talking to each other: on two processors they
 * would mostly wait for cache lines. */
enum { WF_SHORT_NS = 1000 };

/* So many new coroutines at most are private while a processor is idle and the ring is empty. */
enum { WF_FRESH_MAX = 64 };

/* So many free control blocks at most are kept by a processor. */
enum { WF_CO_CACHE = 256 };

/* ---- processor ----------------------------------------------------------------------------------------------------- */

enum wf_proc_state {
	WF_PROC_UNUSED,  /* made for a larger maxprocs than the present one; holds no coroutine */
	WF_PROC_IDLE,    /* on rt.idle_procs */
	WF_PROC_RUNNING, /* a worker has it */
};

struct wf_proc_stats {
	wf_word spawned, ended;             /* coroutines */
	wf_word daemons_spawned, daemons_ended; /* of these, daemons */
	wf_word dispatches, parks, steals, stolen, polls, budget_yields, timers_fired, looks;
	wf_word latency[WEFT_LATENCY_BUCKETS]; /* from runnable to running: stats.c */
};

struct wf_proc {
	/* The owner's. */
	struct weft_co *next;  /* run-next: what was woken last; thieves never see it */
	struct weft_co *fresh; /* made since the last look around, linked by next, the newest first; thieves never see them */
	unsigned fresh_count;
	wf_u32 news;           /* something became private since the monitor last found nothing; the monitor clears it */
	int next_left;         /* how many more times in a row it may go before the ring */
	int countdown;         /* dispatches until the owner looks around: global queue, poller, timers */
	int countdown_from;
	int64_t looked_at;     /* when it last did; ns */
	int64_t backlog_since; /* the ring has not been empty since; 0: it was */
	unsigned seen_tail;    /* of the ring, at the last look around */
	unsigned polled_tail;  /* of the ring, when the poller last brought something */
	int64_t apart_until;   /* its coroutines have met those of others at locks too often; ns */
	unsigned credits;      /* stacks of the default class promised to this processor */
	unsigned free_co_count;
	struct weft_co *free_cos;
	struct wf_stack *stacks; /* free, warm, of the default class */
	unsigned stack_count;
	unsigned random;
	uint64_t id_next, id_end; /* numbers for new coroutines */

	struct wf_runq runq;

	/* Anybody's. */
	struct wf_timers timers WF_ALIGNED(WF_CACHE_LINE);
	wf_u32 dispatch_ns; /* how long a dispatch takes here, on average */
	wf_u32 apart;       /* short ones are to stay here, for a while */
	wf_u32 aged_to;     /* what is in the ring before this place was there at two looks around */
	struct wf_proc_stats stats;

	/* Under rt.lock. */
	enum wf_proc_state state;
	struct wf_worker *worker; /* while RUNNING */
	struct wf_link idle;
	int index;
	wf_u32 retire; /* its owner is to give it up: maxprocs went down; written under the lock, read by the owner */

	/* The owner's, between ring and global queue: who looks around can be a coroutine, and its stack had better stay small. */
	struct weft_co *batch[WF_RUNQ_SIZE / 2];
};

/* ---- worker -------------------------------------------------------------------------------------------------------- */

enum wf_request {
	WF_REQUEST_NONE,
	WF_REQUEST_YIELD, /* others wait: let them go first */
	WF_REQUEST_ASKED, /* the monitor is just about to look whether it may take the processor; only while it holds rt.lock */
	WF_REQUEST_TAKEN, /* the processor is gone: only the worker itself can change that */
};

enum wf_ready_how {
	WF_READY_BATCH = 1, /* one of many: to the ring, in order; else it is run next */
	WF_READY_TIMED = 2, /* one of the next is to be measured (stats.h) */
};

struct wf_worker {
	/* The gate. */
	wf_word inside;  /* 1: in the runtime; written by this thread only, or on its behalf before it starts on a processor */
	wf_word request; /* enum wf_request; written under rt.lock */

	/* Its own, while it holds a processor. */
	struct wf_proc *proc; /* changed by the monitor, under rt.lock, while the worker is outside */
	struct weft_co *co;   /* running; NULL in the scheduler */
	struct weft_co *pinned; /* the only one that it may run; NULL: any */
	unsigned lock_waits;  /* how often its thread had found a lock taken, at the last look around */
	int budget;           /* what the running coroutine may still spend (sched.h, WF_COST_...) */
	int share_below;      /* once the budget is, an idle processor may see next and fresh */
	struct weft_co *collected; /* made runnable by the poller while the worker had no processor, the last first */
	unsigned char how;    /* enum wf_ready_how: what wf_ready does */
	unsigned char time_after; /* READY_TIMED: so many more, and then that one is measured */
	bool spinning;        /* counted in rt.spinning */
	struct weft_co *deferred; /* was to be run next, and is pinned to another worker */
	struct wf_stack *dead; /* of a coroutine that has ended, and is being left: the arriving side gives it back */
	wf_word sp;           /* the scheduler's context, on the thread's own stack */
	wf_word nowhere;      /* that of a coroutine that has ended: not on its stack, which may be another one's at once */
	struct wf_san_fiber fiber;

	/* Sleeping and waking; under rt.lock but for the futex. */
	struct wf_link idle;   /* on rt.idle_workers */
	struct wf_proc *handed; /* given to it by whoever woke it */
	bool pin_waits;        /* for its pinned coroutine to become runnable, without a processor */
	bool pin_ready;        /* it became so before the worker could wait */
	bool in_poll;          /* sleeps in the poller, not on the futex */
	wf_u32 signal;         /* futex: 1 wake up */
	bool dismissed;        /* leaves, joined by nobody */

	bool away;             /* its processor was taken from it, and no call that may switch has come back since */
	bool computing;        /* and it was computing when that was last looked at; counted in rt.computing */

	struct { /* the watchdog's (watchdog.c) */
		const struct wf_proc *proc;
		uint64_t count;
		int64_t since;
		bool told;
	} watch;

	struct wf_worker *all_next; /* rt.all_workers */
	struct wf_os_thread thread; /* handle 0 until whoever starts it is done with it */
	wf_u32 os_id;          /* what the system calls the thread; the monitor reads it */
	void *altstack;
	unsigned char events[WF_EVENTS_SIZE] WF_ALIGNED(WF_CACHE_LINE); /* room for wf_netpoll_wait */
};

/* ---- the runtime --------------------------------------------------------------------------------------------------- */

/* Not part of what a stop clears: started and not stopped; plain threads inside (sched.h). */
extern wf_word wf_up, wf_guests;

struct wf_runtime {
	struct weft_config config;
	unsigned stack_class; /* of config.stack_size */

	/* Read on hot paths. */
	wf_u32 idle_count;  /* processors on idle_procs */
	wf_u32 spinning;    /* workers looking for work */
	wf_u32 looking;     /* stacks are being read: wf_looks_begin */
	wf_u32 proc_count;  /* maxprocs */
	wf_u32 procs_made;  /* entries of procs[] in use, now or formerly */
	wf_word procs[WEFT_MAXPROCS_LIMIT];

	struct wf_lock procs_lock; /* one change of maxprocs at a time; taken before lock */

	struct wf_globq global WF_ALIGNED(WF_CACHE_LINE);

	/* The scheduler's lock: who has which processor, who sleeps. */
	struct wf_lock lock WF_ALIGNED(WF_CACHE_LINE);
	struct wf_list idle_procs;
	struct wf_list idle_workers; /* last to sleep first; those in the poller at the end */
	struct wf_worker *all_workers;
	wf_u32 worker_count;
	wf_u32 polling;      /* a worker blocks in the poller */
	wf_word poll_until;  /* until then, at most; ns */
	wf_word polled_at;   /* when anybody last looked at the poller; ns */
	wf_word wakes, handoffs;
	int computing;       /* threads that compute without a processor */
	wf_word stalls;      /* coroutines that the watchdog told of; the monitor's */

	/* Coroutines. */
	wf_u32 draining;         /* somebody waits in weft_stop: enum wf_draining */
	wf_u32 drained;          /* futex: how often its condition was seen to hold */
	wf_word foreign_spawned; /* by plain threads: not in any processor's counters */
	wf_word foreign_daemons;
	wf_word cancel_all;      /* new coroutines are born cancelled */
	wf_u32 stopping;         /* workers are to leave */
	wf_u32 whole_program;    /* started by weft_run */
};

enum wf_draining { WF_DRAIN_NO, WF_DRAIN_ALL_BUT_DAEMONS, WF_DRAIN_ALL };

extern WF_HIDDEN struct wf_runtime wf_rt;

/* The worker of this thread. Read through wf_worker_self only (sched.h). */
extern __thread struct wf_worker *wf_tls_worker __attribute__((tls_model("initial-exec"), visibility("hidden")));

static inline struct wf_proc *wf_proc_at(unsigned i)
{
	return wf_load_ptr_acquire(&wf_rt.procs[i]); /* pairs with the release that published it */
}

static inline unsigned wf_procs_made(void)
{
	return wf_u32_load_acquire(&wf_rt.procs_made); /* pairs with the release in wf_procs_set */
}

/* The owner. */
static inline unsigned wf_proc_random(struct wf_proc *p)
{
	p->random ^= p->random << 13; /* xorshift (Marsaglia 2003) */
	p->random ^= p->random >> 17;
	p->random ^= p->random << 5;
	return p->random;
}

/* Whether another processor would help with what is in its ring: not with short dispatches, unless they have waited, for moving
 * them costs more than they do. Anybody; a hint, true for one that is stuck (the monitor sees to that). */
static inline bool wf_proc_wants_help(const struct wf_proc *p)
{
	return wf_u32_load(&p->dispatch_ns) >= (wf_u32_load(&p->apart) ? WF_LONG_NS : WF_SHORT_NS) ||
	       (int)(wf_u32_load(&p->aged_to) - wf_u32_load(&p->runq.head)) > 0 || wf_stress(2);
}

/* Whether there is something to steal. Anybody. */
static inline bool wf_proc_offers(const struct wf_proc *p)
{
	return wf_runq_length(&p->runq) > 0 && wf_u32_load(&p->runq.shared) && wf_proc_wants_help(p);
}

/* coro.c: has a processor without free control blocks keep some, false: no memory; one with too many, fewer. The owner. */
bool wf_proc_fetch_cos(struct wf_proc *p);
void wf_proc_spill_cos(struct wf_proc *p);

/* A FREE control block, or NULL. */
static inline struct weft_co *wf_co_alloc(struct wf_worker *w)
{
	unsigned n;
	if (!w)
		return wf_cos_take(1, &n);
	struct wf_proc *p = w->proc;
	if (wf_unlikely(!p->free_cos) && !wf_proc_fetch_cos(p))
		return NULL;
	struct weft_co *co = p->free_cos;
	p->free_cos = co->next;
	p->free_co_count--;
	return co;
}

static inline void wf_co_free(struct wf_worker *w, struct weft_co *co)
{
	wf_co_move(co, WF_STATE_FREE);
	if (!w) {
		wf_cos_give(co, co);
		return;
	}
	struct wf_proc *p = w->proc;
	co->next = p->free_cos;
	p->free_cos = co;
	if (wf_unlikely(++p->free_co_count > WF_CO_CACHE))
		wf_proc_spill_cos(p);
}

/* Gives back what the processor has too much of: promises, and half of a full stack cache. The owner. */
void wf_proc_spill(struct wf_proc *p);

/* Reserves another batch of stacks for the processor. The owner. 0 or -ENOMEM. */
int wf_proc_add_credits(struct wf_proc *p);

/* Makes n the number of processors. Returns the former number or -ENOMEM. */
int wf_procs_set(int n);
void wf_procs_free(void);

/* Coroutines alive: all, or all but daemons. Exact when it is 0 and nobody outside makes new ones. */
uint64_t wf_live(bool with_daemons);

/* offload.c: with the runtime helpers begin, and those that are idle end; how many there are. */
void wf_helpers_start(void);
void wf_helpers_stop(void);
unsigned wf_helper_count(void);

/* If weft_stop waits and its condition holds, wakes it. Cheap when nobody waits. */
void wf_drain_check(void);

#endif
