/* Idle and wake (runtime/worker.c, idle.c): workers that look for work, give their processors up and sleep; a plain thread that puts
 * work into the global queue; a monitor that takes a processor away from a worker and hands it to another one.
 *
 * Item 0 is a hog: it does not end before all others have run, but lets what waits in its own ring go first (in life the
 * monitor sees to that). So work that waits in the global queue while a processor is idle ends in a state where nothing moves.
 *
 * Shown: no lost wake; every item is run once; no processor is held by two workers or by none and off the list; when all is
 * quiet, nobody is counted as spinning and every worker is on the list.
 *
 *   OK_HANDOFF            with the monitor
 *   OK_LOADS_SWAPPED      the producer reads first who spins, then how many processors are idle, as aarch64 may
 *   BUG_NO_SECOND_LOOK    the sleeper does not look again
 *   BUG_NO_SLEEPER_FENCE  it looks again without a fence
 *   BUG_NO_PRODUCER_FENCE the producer looks for idle processors and spinners without a fence
 *   BUG_NO_CHAIN          a spinner that found work does not look whether there is more
 *   BUG_NO_CHAIN_FENCE    it looks without a fence: its own decrement may not be out yet
 *   BUG_LATE_UNSPIN       a waker that got no processor gives its place as a spinner back after it has let go of the lock
 *   BUG_LATE_UNCOUNT      a sleeper on the list still writes what whoever hands it a processor writes */
#define PROCESSORS 2
#if defined(OK_HANDOFF) || defined(BUG_LATE_UNCOUNT)
#define WORKERS 3
#define ITEMS 2
#define DEPTH 1
#define MONITOR (WORKERS + 1)
#define FIRST_ITEM 1 /* the hog runs already */
#define PROCS (WORKERS + 2)
#else
#define WORKERS 2
#define ITEMS 3
#define FIRST_ITEM 0
#define PROCS (WORKERS + 1)
#endif
#define FOREIGN WORKERS /* the plain thread */

#define IDLE 0   /* rt.idle_count */
#define SPIN 1   /* rt.spinning */
#define GLOBAL 2 /* rt.global_count */
#define LOCK 3   /* rt.lock */
#define VARS 4
#include "memory.pml"

#define NOBODY 15
#define NONE 15

/* under the lock */
byte idle_procs;              /* sets, as bits */
byte idle_workers;
byte handed[WORKERS] = NONE;
bool spinning[WORKERS];       /* worker.spinning: written by its owner, or while it is on the list by who hands it a processor */

byte proc[WORKERS] = NONE;    /* worker.proc */
byte owner[PROCESSORS] = NOBODY;
bool signal[WORKERS];
bool asleep[WORKERS];
bool taken[WORKERS];          /* the monitor took its processor while it was outside */
bool outside[WORKERS];        /* runs an item */

byte global_items;            /* bits; guarded by the count being taken indivisibly */
byte ring[PROCESSORS];        /* bits */
byte ran;
byte busy; /* plain threads at work */

/* The lowest member of a set. */
inline first_of(set, i)
{
	i = 0;
	do
	:: !(set & (1 << i)) -> i++
	:: else -> break
	od
}

inline put_idle_locked(me, p)
{
	atomic {
		CAN_RMW(me, IDLE);
		owner[p] = NOBODY;
		idle_procs = idle_procs | (1 << p);
		held[IDLE] = 1 + me;
		buffer_append(me, IDLE, mem[IDLE] + 1)
	}
}

/* p: NONE if there is none */
inline take_idle_locked(me, p)
{
	atomic {
		if
		:: idle_procs == 0 -> p = NONE
		:: idle_procs != 0 ->
			CAN_RMW(me, IDLE);
			first_of(idle_procs, p);
			idle_procs = idle_procs & ~(1 << p);
			held[IDLE] = 1 + me;
			buffer_append(me, IDLE, mem[IDLE] - 1)
		fi
	}
}

inline hold(w, p)
{
	atomic {
		assert(owner[p] == NOBODY);
		owner[p] = w;
		proc[w] = p
	}
}

/* Gives p to a sleeper. The lock is held, and released. Where there is none, a worker would be made; here one that is on its
 * way to the list stands in for it. */
inline give_and_unlock(me, p)
{
	do
	:: atomic { idle_workers != 0 ->
			first_of(idle_workers, to);
			idle_workers = idle_workers & ~(1 << to);
			assert(handed[to] == NONE);
			handed[to] = p;
			spinning[to] = true
		}
		release_lock(me, LOCK);
		atomic { signal[to] = true; to = 0 }
		break
	:: atomic { idle_workers == 0 -> release_lock(me, LOCK) }
		idle_workers != 0;
		take_lock(me, LOCK)
	od
}

inline wake_worker(me)
{
#ifndef BUG_NO_PRODUCER_FENCE
	fence(me);
#endif
#ifdef OK_LOADS_SWAPPED
	go = LOAD(me, SPIN) == 0;
	go = go && LOAD(me, IDLE) != 0;
#else
	go = LOAD(me, IDLE) != 0;
	go = go && LOAD(me, SPIN) == 0;
#endif
	if
	:: go -> cas(me, SPIN, 0, 1, go)
	:: else
	fi;
	if
	:: go ->
		take_lock(me, LOCK);
		take_idle_locked(me, q);
		if
		:: q != NONE -> give_and_unlock(me, q)
		:: else ->
#ifdef BUG_LATE_UNSPIN
			release_lock(me, LOCK);
			rmw(me, SPIN, mem[SPIN] - 1)
#else
			rmw(me, SPIN, mem[SPIN] - 1);
			release_lock(me, LOCK)
#endif
		fi
	:: else
	fi;
	atomic { go = false; q = 0 }
}

/* One of the global queue to run, a fair share to the ring. */
inline global_take(me)
{
	if
	:: LOAD(me, GLOBAL) == 0
	:: else ->
		atomic {
			CAN_RMW(me, GLOBAL);
			if
			:: global_items != 0 && mem[GLOBAL] > 0 ->
				first_of(global_items, item);
				global_items = global_items & ~(1 << item);
				if
				:: mem[GLOBAL] / PROCESSORS + 1 >= 2 && mem[GLOBAL] >= 2 ->
					first_of(global_items, q);
					global_items = global_items & ~(1 << q);
					ring[proc[me]] = ring[proc[me]] | (1 << q);
					q = 0;
					held[GLOBAL] = 1 + me;
					buffer_append(me, GLOBAL, mem[GLOBAL] - 2)
				:: else ->
					held[GLOBAL] = 1 + me;
					buffer_append(me, GLOBAL, mem[GLOBAL] - 1)
				fi
			:: else
			fi
		}
	fi
}

inline take_from_ring(p)
{
	atomic {
		if
		:: ring[p] != 0 -> first_of(ring[p], item); ring[p] = ring[p] & ~(1 << item)
		:: else
		fi
	}
}

inline look_everywhere(me)
{
	take_from_ring(proc[me]);
	if
	:: item == NONE -> global_take(me)
	:: else
	fi;
	if
	:: item == NONE -> take_from_ring(1 - proc[me])
	:: else
	fi
}

/* item: NONE if there is none */
inline find_work(me)
{
	item = NONE;
	look_everywhere(me);
	if
	:: item == NONE && !spinning[me] && 2 * LOAD(me, SPIN) < PROCESSORS - LOAD(me, IDLE) ->
		rmw(me, SPIN, mem[SPIN] + 1);
		spinning[me] = true;
		look_everywhere(me)
	:: else
	fi;
	if
	:: item != NONE && spinning[me] ->
		spinning[me] = false;
		rmw(me, SPIN, mem[SPIN] - 1);
#ifndef BUG_NO_CHAIN
#ifndef BUG_NO_CHAIN_FENCE
		fence(me);
#endif
		if
		:: LOAD(me, GLOBAL) != 0 -> wake_worker(me)
		:: else
		fi
#endif
	:: else
	fi
}

#define OTHERS (((1 << ITEMS) - 1) & ~1)

/* Runs the item. The hog goes behind what is in its ring, and is itself in the ring meanwhile. */
inline run_item(me)
{
	outside[me] = item == 0; /* only the hog is away long enough to be noticed */
	if
	:: item == 0 ->
		if
		:: atomic { (ran & OTHERS) == OTHERS -> ran = ran | 1 }
		:: atomic { !taken[me] && ring[proc[me]] != 0 -> ring[proc[me]] = ring[proc[me]] | 1 }
		fi
	:: else -> atomic { assert(!(ran & (1 << item))); ran = ran | (1 << item) }
	fi;
	atomic {
		outside[me] = false;
		item = NONE;
		if
		:: taken[me] -> taken[me] = false; proc[me] = NONE
		:: else
		fi
	}
}

/* Gives the processor up, if there is one, and joins the sleepers. look: there is a reason not to sleep. */
inline enlist(me)
{
#ifndef BUG_LATE_UNCOUNT
	atomic { was_spinning = spinning[me]; spinning[me] = false }
#endif
	take_lock(me, LOCK);
	if
	:: proc[me] != NONE -> put_idle_locked(me, proc[me]); proc[me] = NONE
	:: else
	fi;
	atomic { signal[me] = false; idle_workers = idle_workers | (1 << me) }
	release_lock(me, LOCK);
#ifdef BUG_LATE_UNCOUNT
	atomic { was_spinning = spinning[me]; spinning[me] = false }
#endif
	if
	:: was_spinning -> rmw(me, SPIN, mem[SPIN] - 1); was_spinning = false
	:: else
	fi;
#ifndef BUG_NO_SLEEPER_FENCE
	fence(me);
#endif
#ifndef BUG_NO_SECOND_LOOK
	look = LOAD(me, IDLE) != 0;
	look = look && (LOAD(me, GLOBAL) != 0 || ring[0] != 0 || ring[1] != 0);
#endif
	asleep[me] = !look
}

/* Sleeps unless there is a reason not to, and leaves the list, perhaps with a processor. */
inline sleep_and_delist(me)
{
	if
	:: !look ->
end_asleep:	atomic { signal[me] -> asleep[me] = false }
	:: else
	fi;
	take_lock(me, LOCK);
	atomic {
		p = handed[me];
		handed[me] = NONE;
		idle_workers = idle_workers & ~(1 << me)
	}
	if
	:: p == NONE && look -> take_idle_locked(me, p)
	:: else
	fi;
	release_lock(me, LOCK);
	atomic {
		if
		:: p != NONE -> hold(me, p)
		:: else
		fi;
		p = 0;
		look = false
	}
}

/* Begins asleep; with a monitor, the first one with the hog. */
proctype worker(byte me)
{
	byte item = NONE, p, q, to;
	bool look, go, was_spinning;
#ifdef MONITOR
	if
	:: me == 0 -> atomic { item = 0; asleep[me] = false } run_item(me)
	:: else
	fi;
#endif
	do
	:: proc[me] == NONE ->
		if
		:: !asleep[me] -> enlist(me)
		:: else
		fi;
		sleep_and_delist(me)
	:: proc[me] != NONE ->
		find_work(me);
		if
		:: item != NONE -> run_item(me)
		:: else -> enlist(me); sleep_and_delist(me)
		fi
	od
}

proctype foreign(byte me)
{
	byte q, to, next = FIRST_ITEM;
	bool go;
	do
	:: next < ITEMS ->
		atomic {
			CAN_RMW(me, GLOBAL);
			global_items = global_items | (1 << next);
			held[GLOBAL] = 1 + me;
			buffer_append(me, GLOBAL, mem[GLOBAL] + 1)
		}
		wake_worker(me);
		next++
	:: else -> break
	od;
	busy--
}

#ifdef MONITOR
/* Takes one processor from a worker that is outside, whichever, whenever: gate.pml has how. */
proctype monitor(byte me)
{
	byte p, to, w;
	bool go;
end:	take_lock(me, LOCK);
	do
	:: atomic { outside[w] && proc[w] != NONE -> p = proc[w]; taken[w] = true; busy++; owner[p] = NOBODY; proc[w] = NONE }
		break
	:: atomic { !(outside[w] && proc[w] != NONE) -> w = (w + 1) % WORKERS }
		release_lock(me, LOCK);
end2:		outside[0] || outside[1] || outside[WORKERS - 1];
		take_lock(me, LOCK)
	od;
	release_lock(me, LOCK);
	rmw(me, SPIN, mem[SPIN] + 1);
	take_lock(me, LOCK);
	give_and_unlock(me, p);
	busy--
}
#endif

#define QUIET(w) (sb[w].n == 0 && asleep[w] && (idle_workers & (1 << w)) && !spinning[w])

init {
	atomic {
		idle_workers = (1 << WORKERS) - 1;
		asleep[0] = true;
		asleep[1] = true;
		asleep[WORKERS - 1] = true;
		idle_procs = (1 << PROCESSORS) - 1;
		mem[IDLE] = PROCESSORS;
#ifdef MONITOR
		idle_workers = idle_workers & ~1;
		idle_procs = idle_procs & ~1;
		mem[IDLE] = PROCESSORS - 1;
		proc[0] = 0;
		owner[0] = 0;
		outside[0] = true;
#endif
		run worker(0);
		run worker(1);
#if WORKERS > 2
		run worker(2);
#endif
#ifdef MONITOR
		run monitor(MONITOR);
#endif
		busy = 1;
		run memory();
		run foreign(FOREIGN)
	}
	ran == (1 << ITEMS) - 1;
	(QUIET(0) && QUIET(1) && QUIET(WORKERS - 1) && busy == 0 && sb[FOREIGN].n == 0 && sb[PROCS - 1].n == 0);
	assert(mem[SPIN] == 0 && mem[IDLE] == PROCESSORS && idle_procs == (1 << PROCESSORS) - 1)
}
