/* The gate (runtime/sched.h, sched.c, idle.c, monitor.c): workers that enter and leave the runtime by plain stores, and a monitor
 * that takes the processor from one that is outside and hands it to another worker.
 *
 * Shown: whoever is inside with a processor is its only owner, from its entry to its leaving; a processor always belongs to one
 * worker, or is on its way to one, or is on the idle list; a worker that lost its processor goes on once it gets one, and no worker
 * is without a processor and on no list (nobody waits for ever).
 *
 *   OK_NO_MEMBARRIER   light and heavy are both the full fence
 *   BUG_NO_HEAVY       the monitor fences itself only
 *   BUG_NO_REQUEST     the worker does not look at the request
 *   BUG_NONE_FIRST     the monitor that gives another processor instead withdraws its request before it has
 *   BUG_ASKED_IS_TAKEN a worker that finds itself asked takes its processor for gone
 *   BUG_LOOK_FIRST     the worker looks at the request before it says that it is inside
 *   BUG_NOT_INSIDE     a worker that sleeps counts as outside, until it has woken: a processor handed to it can be taken again
 *   BUG_HOLD_UNLOCKED  a worker that gets a processor clears its request without the lock */
#define PROCESSORS 2
#define WORKERS 3
#define MONITOR WORKERS
#define PROCS (WORKERS + 1)
#define CALLS(w) ((w) == 1 -> 1 : 2) /* worker 1 has the processor that the monitor does not look at first */
#define LOOKS 2 /* of the monitor at a processor */
#ifndef DEPTH
#define DEPTH 1 /* with 2 it holds as well, in twice as many states */
#endif

#define INSIDE(w) (w)
#define REQUEST(w) (WORKERS + (w))
#define LOCK (2 * WORKERS)
#define VARS (2 * WORKERS + 1)
#include "memory.pml"

#define NONE 15
#define YIELD 1
#define ASKED 2
#define TAKEN 3

/* under the lock */
byte idle_procs, idle_workers; /* sets, as bits */
byte handed[WORKERS] = NONE;
byte worker_of[PROCESSORS] = NONE; /* processor.worker */
byte proc[WORKERS] = NONE;         /* worker.proc; also written by its worker while it is inside */

bool signal[WORKERS];

/* for the assertions */
byte owner[PROCESSORS] = NONE;

inline fence_light(me)
{
#ifdef OK_NO_MEMBARRIER
	fence(me)
#else
	skip
#endif
}

inline fence_heavy(me)
{
	fence(me);
#if !defined(OK_NO_MEMBARRIER) && !defined(BUG_NO_HEAVY)
	membarrier(me)
#endif
}

#define MY_OWN (proc[me] != NONE && owner[proc[me]] == me)

inline first_of(set, i)
{
	i = 0;
	do
	:: !(set & (1 << i)) -> i++
	:: else -> break
	od
}

/* ---- a worker ---- */

/* Gives up the processor, if there is one, and sleeps until there is one. Inside all the time. */
inline give_up_locked(me)
{
	atomic {
		if
		:: proc[me] != NONE ->
			owner[proc[me]] = NONE;
			worker_of[proc[me]] = NONE;
			idle_procs = idle_procs | (1 << proc[me]);
			proc[me] = NONE
		:: else
		fi
	}
}

inline sleep_for_proc(me)
{
	do
	:: p == NONE ->
		take_lock(me, LOCK);
		give_up_locked(me);
		atomic { signal[me] = false; idle_workers = idle_workers | (1 << me) }
		release_lock(me, LOCK);
		asleep(me)
	:: else -> break
	od;
	hold(me)
}

inline hold(me)
{
	atomic {
		assert(owner[p] == NONE);
		owner[p] = me;
		proc[me] = p;
		p = NONE
	}
#ifdef BUG_HOLD_UNLOCKED
	store(me, REQUEST(me), 0)
#endif
}

/* p: NONE if none is idle */
inline take_idle_locked(me)
{
	atomic {
		if
		:: p == NONE && idle_procs != 0 ->
			first_of(idle_procs, p);
			idle_procs = idle_procs & ~(1 << p);
			worker_of[p] = me;
#ifndef BUG_HOLD_UNLOCKED
			store(me, REQUEST(me), 0)
#endif
		:: else
		fi
	}
}

/* From now on the monitor may ask for it: what it asked before is void. */
inline give_locked(me, q, to)
{
	worker_of[q] = to;
#ifndef BUG_HOLD_UNLOCKED
	store(me, REQUEST(to), 0)
#endif
}

/* Until somebody hands it a processor, or one is idle. */
inline asleep(me)
{
	p = NONE;
#ifdef BUG_NOT_INSIDE
	store(me, INSIDE(me), 0);
#endif
end:	signal[me] || idle_procs != 0;
#ifdef BUG_NOT_INSIDE
	store(me, INSIDE(me), 1);
#endif
	take_lock(me, LOCK);
	atomic { idle_workers = idle_workers & ~(1 << me); p = handed[me]; handed[me] = NONE }
	take_idle_locked(me);
	release_lock(me, LOCK)
}

#ifdef BUG_ASKED_IS_TAKEN
#define IS_GONE(request) ((request) >= ASKED)
#else
#define IS_GONE(request) ((request) == TAKEN)
#endif

/* mine: whether the processor is (still) there */
inline settle(me)
{
	if
	:: IS_GONE(LOAD(me, REQUEST(me))) -> mine = false; assert(proc[me] == NONE)
	:: else ->
		take_lock(me, LOCK);
		mine = proc[me] != NONE;
		if
		:: mine -> store(me, REQUEST(me), 0)
		:: else
		fi;
		release_lock(me, LOCK)
	fi
}

/* A call: either one that may switch, which always ends up with a processor, or one that never does and then goes without. */
inline enter(me)
{
#ifdef BUG_LOOK_FIRST
	mine = LOAD(me, REQUEST(me)) == 0;
	store(me, INSIDE(me), 1);
	fence_light(me);
#else
	store(me, INSIDE(me), 1);
	fence_light(me);
#ifdef BUG_NO_REQUEST
	mine = true;
#else
	mine = LOAD(me, REQUEST(me)) == 0;
#endif
#endif
	if
	:: mine -> assert(MY_OWN)
	:: else ->
		settle(me);
		if
		:: mine -> assert(MY_OWN)
		:: !mine && here -> store(me, INSIDE(me), 0)
		:: !mine && !here ->
			take_lock(me, LOCK);
			take_idle_locked(me);
			release_lock(me, LOCK);
			if
			:: p != NONE -> hold(me)
			:: else -> sleep_for_proc(me)
			fi;
			mine = true
		fi
	fi
}


/* The last call ends the coroutine: the processor goes to whoever wants it. */
proctype worker(byte me)
{
	byte p = NONE, calls;
	bool mine, here;
	if
	:: me == WORKERS - 1 -> /* begins asleep */
		asleep(me);
		sleep_for_proc(me);
		store(me, INSIDE(me), 0)
	:: else
	fi;
	do
	:: calls < CALLS(me) ->
		atomic {
			calls++;
			if
			:: here = false
			:: calls < CALLS(me) -> here = true
			fi
		}
		enter(me);
		if
		:: mine ->
			if
			:: calls < CALLS(me) ->
				atomic { sb[me].n < DEPTH -> assert(MY_OWN); buffer_append(me, INSIDE(me), 0) } /* some time later */
			:: else ->
				take_lock(me, LOCK);
				atomic { assert(MY_OWN); give_up_locked(me) }
				release_lock(me, LOCK)
			fi
		:: else
		fi;
		atomic { mine = false; here = false }
	:: else -> break
	od
}

proctype monitor(byte me)
{
	byte p, w, looks;
	bool outside, take;
	byte other;
	do
	:: looks < LOOKS ->
		atomic {
			looks++;
			if
			:: p = 0
			:: looks > 1 -> p = 1
			fi
		}
		take_lock(me, LOCK);
		w = worker_of[p];
		if
		:: w != NONE ->
			store(me, REQUEST(w), ASKED);
			fence_heavy(me);
			atomic {
				outside = LOAD(me, INSIDE(w)) == 0;
				if
				:: outside -> take = true; owner[p] = NONE; worker_of[p] = NONE
				:: outside -> take = false /* nothing waits for it */
				:: !outside
				fi
			}
			other = NONE;
			if
			:: take -> atomic { /* while anybody is idle */
				if
				:: idle_procs != 0 ->
					first_of(idle_procs, other);
					idle_procs = idle_procs & ~(1 << other);
					worker_of[other] = w
				:: true
				fi
			}
			:: else
			fi;
			if
			:: other != NONE ->
#ifdef BUG_NONE_FIRST
				store(me, REQUEST(w), 0);
				fence(me);
#endif
				atomic { assert(owner[other] == NONE); owner[other] = w; proc[w] = other }
				store(me, REQUEST(w), 0)
			:: take && other == NONE -> proc[w] = NONE; store(me, REQUEST(w), TAKEN)
			:: else -> store(me, REQUEST(w), (outside -> 0 : YIELD))
			fi
		:: else
		fi;
		release_lock(me, LOCK);
		if
		:: take ->
			take_lock(me, LOCK);
			if
			:: atomic { idle_workers != 0 ->
					first_of(idle_workers, w);
					idle_workers = idle_workers & ~(1 << w);
					assert(handed[w] == NONE);
					handed[w] = p
				}
				give_locked(me, p, w)
			:: atomic { true -> w = NONE; idle_procs = idle_procs | (1 << p) } /* nothing waits for it, or for a new worker */
			fi;
			release_lock(me, LOCK);
			if
			:: w != NONE -> signal[w] = true
			:: else
			fi
		:: else
		fi;
		atomic { take = false; outside = false; w = 0; p = 0; other = 0 }
	:: else -> break
	od
}

init {
	atomic {
		proc[0] = 0;
		proc[1] = 1;
		owner[0] = 0;
		owner[1] = 1;
		worker_of[0] = 0;
		worker_of[1] = 1;
		mem[INSIDE(2)] = 1;
		idle_workers = 4;
		run memory();
		run worker(0);
		run worker(1);
		run worker(2);
		run monitor(MONITOR)
	}
}
