/* Rank 4. The control block of a coroutine: its states, its parts, its life.
 *
 *   state      on a queue?      who owns the stack?            who may move it on, and to what
 *   FREE       a free list      it has none                    spawn: NEW
 *   NEW        a run queue      it has none yet                the processor that takes it: RUNNING (binds a stack)
 *   RUNNABLE   a run queue      nobody runs on it, in the end  the processor that takes it: RUNNING
 *   RUNNING    no               the coroutine                  itself: RUNNABLE (yield), PARKED, DEAD
 *   PARKED     objects' queues  nobody runs on it, in the end  whoever claimed the wait: RUNNABLE; itself, if it need not: RUNNING
 *   DEAD       no               given back                     join, or detach, or itself when detached: FREE
 *
 * "In the end": a coroutine is in a queue, and can be woken and queued again, before it has left its stack. Whoever takes it looks
 * at its stack pointer, which says WF_SP_RUNNING until the switch away from it is over (switch.h).
 *
 * Which of several wakers wins is decided by the claim word of the wait node (wait.h), not by the state; the state is what a
 * reader of a dump sees, and what debug builds hold against the table in coro.c. */
#ifndef WF_CORO_H
#define WF_CORO_H

#include <weft/co.h>

#include "lock.h"
#include "san.h"
#include "stack.h"
#include "wait.h"

enum wf_state {
	WF_STATE_FREE,
	WF_STATE_NEW,
	WF_STATE_RUNNABLE,
	WF_STATE_RUNNING,
	WF_STATE_PARKED,
	WF_STATE_DEAD,
	WF_STATES
};

/* Fixed at birth. */
enum wf_co_kind {
	WF_CO_DAEMON = 1,
	WF_CO_ESCAPED = 2, /* a handle was given out: its end takes the lock */
};

/* Why going on with it takes more than a switch. */
enum wf_co_special {
	WF_CO_FRESH = 1, /* it has no stack yet */
	WF_CO_TIMED = 2, /* for the statistics: how long since runnable_at? */
	WF_CO_PINNED = 4, /* runs on one worker only */
};

/* Changed under the lock. 0: its end concerns nobody yet. */
enum wf_co_flags {
	WF_CO_DETACHED = 1, /* nobody joins it */
	WF_CO_ENDED = 2,
	WF_CO_JOINING = 4, /* somebody joins it, or has */
	WF_CO_WATCHED = 8, /* others than that one have been among the joiners and watchers */
};

struct wf_scope;
struct wf_worker;

/* Hears of a coroutine's end (exits.c). */
struct wf_watcher {
	struct wf_link link; /* in co->watchers, then in a list of the ending coroutine's own */
	bool waits;          /* it is in co->watchers; this and the list are under co->lock */
	void (*fire)(struct wf_worker *w, struct wf_watcher *watcher, int result); /* holds no lock */
};

struct wf_defer {
	struct wf_defer *next;
	void (*fn)(void *);
	void *arg;
};

/* Instead of a stack pointer. */
enum {
	WF_SP_NEW = 0,
	WF_SP_RUNNING = 1, /* or not quite left yet */
};

struct weft_co {
	/* What a switch touches. */
	wf_word sp;             /* of the context that was left, or one of the above. The prefetcher may look while it changes */
	struct weft_co *next;   /* in a batch, or a free list */
	struct wf_stack *stack; /* NULL until it runs, and after it ended */
	weft_fn *fn;
	void *arg;
	wf_word cancel;         /* 0, or the cause (a negative errno value) with which waiting calls fail from now on; sticky */
	wf_u8 state;            /* enum wf_state; written by its owner, read by anybody */
	wf_u8 kind;             /* enum wf_co_kind; written once, read by anybody */
	unsigned char special;  /* enum wf_co_special; for whoever may run it next */
	unsigned char stack_class;
	int result;
	unsigned blocking;      /* weft_block_enter without exit */

	/* What its beginning and its end touch besides; those that never wait touch no more. The lock guards flags (a join also
	 * looks without it), joiners, watchers, own_cancel, and the chain of scopes that it opened. */
	struct wf_lock lock WF_ALIGNED(WF_CACHE_LINE);
	wf_u8 flags;            /* enum wf_co_flags; only for escaped ones */
	wf_u8 own_cancel;       /* 1: cancelled by weft_cancel or weft_shutdown; under the lock */
	struct wf_waitq joiners; /* who waits for its end: the joiner, and observers */
	struct wf_list watchers; /* struct wf_watcher: told of its end; only of escaped ones */
	struct wf_defer *defers;
	void **locals;
	void (*on_end)(struct wf_worker *w, struct weft_co *co, int result);

	struct wf_scope *scope; /* the innermost one it is in; NULL: none */
	struct wf_scope *home;  /* the one it was put into; the others it has opened itself */
	wf_word id;             /* this and creator, name, state, wait.why: looked at by dumps at any time */
	wf_word creator;
	wf_u8 name[WEFT_NAME_SIZE]; /* the last byte stays 0 */

	struct wf_wait wait;

	struct wf_link scope_link; /* in scope->inside */
	int64_t runnable_at;    /* if TIMED */
	struct wf_worker *pinned; /* if PINNED: to this one */
	unsigned pins;          /* weft_pin without unpin */
} WF_ALIGNED(WF_CACHE_LINE);

/* The only way to change a state; debug builds hold it against the table in coro.c. */
void wf_co_move_checked(struct weft_co *co, enum wf_state to);

static inline void wf_co_move(struct weft_co *co, enum wf_state to)
{
#ifdef WEFT_DEBUG
	wf_co_move_checked(co, to);
#endif
	wf_u8_store(&co->state, (unsigned char)to); /* relaxed: for readers of dumps; the claim word orders what matters */
}

/* Its lock is held. */
static inline void wf_co_flag_locked(struct weft_co *co, enum wf_co_flags flag)
{
	unsigned flags = wf_u8_load(&co->flags) | (unsigned)flag; /* relaxed: under the lock */
	wf_u8_store_release(&co->flags, (unsigned char)flags); /* pairs with the acquire in take_ended */
}

/* It becomes runnable now, and is one of those whose waiting for a processor is measured. Whoever may make it runnable. */
static inline void wf_co_time(struct weft_co *co, int64_t now)
{
	co->special |= WF_CO_TIMED;
	co->runnable_at = now;
}

/* A list that is linked by next, from its other end. */
static inline struct weft_co *wf_co_reversed(struct weft_co *co)
{
	struct weft_co *reversed = NULL, *next;
	for (; co; co = next) {
		next = co->next;
		co->next = reversed;
		reversed = co;
	}
	return reversed;
}

/* ---- memory: type-stable slabs, freed with the runtime --------------------------------------------------------------- */

/* Takes up to n FREE control blocks, linked by next, of those that no processor keeps (wf_co_alloc: proc.h); NULL: no memory. */
struct weft_co *wf_cos_take(unsigned n, unsigned *taken);

/* Gives such a list back. */
void wf_cos_give(struct weft_co *first, struct weft_co *last);

/* Calls fn for every control block that is not FREE, or is just becoming so: fn looks through relaxed loads and claims. */
void wf_co_each(void (*fn)(struct weft_co *co, void *arg), void *arg);

/* Whether fn is true of all of them; looks no further than the first of which it is not. */
bool wf_co_all(bool (*fn)(struct weft_co *co, void *arg), void *arg);

void wf_co_free_all(void);

/* ---- life ------------------------------------------------------------------------------------------------------------ */

/* Ends the running coroutine: the part of coro.c that the entry point and weft_exit share. */
_Noreturn void wf_co_finish(struct weft_co *co, int result);

/* Puts a coroutine where it belongs, before it runs. */
typedef void wf_enrol_fn(struct weft_co *co, void *arg);

/* Makes a detached coroutine; enrol may be NULL. 0 or as weft_go. */
int wf_co_make(weft_fn *fn, void *arg, wf_enrol_fn *enrol, void *enrol_arg);

/* weft_spawn, with the same. */
int wf_co_spawn(struct weft_co **co, const struct weft_attr *attr, weft_fn *fn, void *arg, wf_enrol_fn *enrol, void *enrol_arg);

/* A detached daemon, for code inside the runtime, like a timer that fires; enrol gets arg; w as for wf_wake. */
int wf_co_make_daemon(struct wf_worker *w, const char *name, weft_fn *fn, void *arg, wf_enrol_fn *enrol);

void wf_co_name(struct weft_co *co, const char *name);

/* Its name, for itself; whoever is not in step with it takes a copy. */
static inline const char *wf_co_name_of(const struct weft_co *co)
{
	return (const char *)co->name;
}

/* block.c: a pinned coroutine that runs on w is not pinned any more. */
void wf_unpin(struct wf_worker *w, struct weft_co *co);

/* Ends its present wait with -ECANCELED if that can be cancelled. After `cancel` was set, and a heavy fence. */
void wf_co_end_wait(struct wf_worker *w, struct weft_co *co);

/* scope.c: cancels every coroutine there is; sets the cause in one, without ending its wait; closes the scopes that a coroutine
 * which ends by weft_exit has open. */
void wf_cancel_all(struct wf_worker *w);
void wf_cancel_mark(struct weft_co *co);
void wf_scopes_unwind(struct weft_co *co);

/* Runs and frees the destructors of local values (local.c). */
void wf_locals_run(struct weft_co *co);

const char *wf_state_name(enum wf_state state);

#endif
