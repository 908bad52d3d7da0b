/* Park and wake (runtime/wait.h, park.c, timer.c): coroutines that wait in a row, on an object with a lock and a queue, and
 * three who may end a wait: a hand-over, a deadline, a close. What a coroutine does is run by whichever worker finds it in the
 * run queue; leaving it, the same worker runs the commit.
 *
 * Shown, for every wait: one waker wins; made runnable once; never resumed before the context is saved, nor while the winner
 * still writes to the stack of the waiter; a queue entry is not touched after its stack frame is gone; a stale ticket ends
 * nothing; no value is lost or doubled by a hand-over that comes too late; every wait that was claimed goes on, and all end.
 *
 *   OK_LOOKED_AT       one coroutine, and somebody looks at its stack while it is parked (dump.c): whoever does acts as an
 *                      arriving side that comes late
 *   OK_ONE_WAITER      one coroutine with more waits in a row, instead of two
 *   BUG_EARLY          the waker takes EARLY for CLAIMED: makes it runnable at once
 *   BUG_PLAIN_COMMIT   the arriving side stores PARKED instead of comparing
 *   BUG_NO_SEQUENCE    every wait has the same ticket
 *   BUG_NO_RETRY       a claim that meets the commit (PARKING became PARKED under it) gives up
 *   BUG_WAKE_FIRST     the waker wakes before it has handed over the data
 *   BUG_LEAVE_QUEUED   a wait that timed out does not take its entry out of the queue
 *   BUG_LATE_COPY      the timer is marked as fired before its ticket is copied
 *   BUG_LOOK_UNCLAIMED whoever looks does not claim
 *   BUG_LOOK_STORES    whoever looks stores PARKED when it is done instead of comparing */
#if defined(OK_LOOKED_AT) || defined(BUG_LOOK_UNCLAIMED) || defined(BUG_LOOK_STORES)
#define LOOKERS 1
#define WAITERS 1
#define WAITS(c) 2
#else
#define LOOKERS 0
#ifdef OK_ONE_WAITER
#define WAITERS 1
#define WAITS(c) 3
#else
#define WAITERS 2
#define WAITS(c) (2 - (c))
#endif
#endif
#define WORKERS 2
#define ITEMS 2

#define IDLE 0
#define PARKING 1
#define PARKED 2
#define CLAIMED 3
#define EARLY 4
#define WOKEN 5
#define SAVED 6
#define TICKET(word) ((word) & 248)

#define NOTHING 0
#define VALUE 1
#define TIMEDOUT 2
#define CLOSED 3

byte claim[WAITERS];     /* sequence << 3 | phase */
byte result[WAITERS];
bool in_park[WAITERS];   /* left to the scheduler, or about to: resumed next at the point after the park */
byte waits[WAITERS];     /* begun so far */
bool over[WAITERS];      /* its function has returned */

bool saved[WAITERS];     /* all that is needed to resume it is in memory */
byte runnable[WAITERS];  /* times in the run queue */
byte winners[WAITERS];   /* of the present wait */
bool writing[WAITERS];   /* a winner is still at work on its stack */
bool frame[WAITERS];     /* the stack frame with its queue entry exists */
bool data[WAITERS];      /* a value was put where it waits for it */

/* the object */
bool locked, closed;
byte kept;               /* values that found no waiter */
byte given, received;
chan queue = [WAITERS] of { byte, byte };

/* a timer for each, in one heap */
bool heap_locked;
bool armed[WAITERS];
byte timer_ticket[WAITERS];
byte armed_wait[WAITERS]; /* which wait it was armed for: only looked at by assertions */

chan run_queue = [WAITERS] of { byte };

inline lock() { atomic { !locked -> locked = true } }
inline unlock() { locked = false }

inline make_runnable(c)
{
	atomic {
		assert(runnable[c] == 0);
		runnable[c]++;
		run_queue!c
	}
}

/* ---- the waker's side ---- */

/* won: whether this ended wait `ticket` of c */
inline claim_wait(c, ticket, why, won)
{
	do
	:: atomic {
			now = claim[c];
			if
			:: now == (ticket | PARKED) -> to = ticket | CLAIMED
			:: now == (ticket | PARKING) -> to = ticket | EARLY
			:: else -> break
			fi
		}
		atomic {
			if
			:: claim[c] == now ->
				claim[c] = to;
				winners[c]++;
				writing[c] = true;
				assert(winners[c] == 1);
				won = true;
				break
#ifdef BUG_NO_RETRY
			:: else -> break
#else
			:: else
#endif
			fi
		}
	od;
	atomic {
		now = 0;
		to = 0;
		if
		:: won -> result[c] = why
		:: else
		fi
	}
}

inline wake(c)
{
	now = claim[c];
	atomic {
		writing[c] = false; /* its last touch comes before the CAS or the queue */
		if
		:: (now & 7) == EARLY && claim[c] == now ->
#ifdef BUG_EARLY
			make_runnable(c)
#else
			claim[c] = TICKET(now) | WOKEN
#endif
		:: else ->
			assert((claim[c] & 7) == CLAIMED || (claim[c] & 7) == SAVED);
			make_runnable(c)
		fi
	}
	now = 0
}

/* ---- the waiter's side ---- */

/* The context of c can be used from now on. */
inline settle(c)
{
	atomic {
		committed = claim[c] == (ticket | PARKING);
		if
		:: committed -> claim[c] = ticket | PARKED
		:: else
		fi
	}
	atomic {
		if
		:: committed
		:: else ->
			if
			:: claim[c] == (ticket | EARLY) -> claim[c] = ticket | SAVED; committed = true
			:: else
			fi
		fi
	}
	if
	:: committed
	:: else ->
		assert(claim[c] == (ticket | WOKEN));
		make_runnable(c)
	fi;
	ticket = 0;
	committed = false
}

/* Leaves c with its wait begun; the arriving side commits. */
inline switch_and_commit(c)
{
	atomic { ticket = TICKET(claim[c]); saved[c] = true }
#ifdef BUG_PLAIN_COMMIT
	claim[c] = ticket | PARKED;
	ticket = 0
#else
	settle(c)
#endif
}

inline begin_wait(c)
{
	atomic {
		waits[c]++;
		winners[c] = 0;
		frame[c] = true;
#ifdef BUG_NO_SEQUENCE
		claim[c] = PARKING;
#else
		claim[c] = TICKET(claim[c]) + 8 + PARKING;
#endif
		queue!c,TICKET(claim[c])
	}
}

inline maybe_arm(c)
{
	if
	:: c == 0 ->
		atomic { timer_ticket[c] = TICKET(claim[c]); armed_wait[c] = waits[c] }
		atomic { !heap_locked -> armed[c] = true }
	:: true
	fi
}

inline disarm(c)
{
	if
	:: armed[c] ->
		atomic { !heap_locked -> armed[c] = false }
	:: !armed[c]
	fi
}

inline after_wait(c)
{
	disarm(c);
	assert(winners[c] == 1 && !writing[c]);
	if
	:: result[c] == VALUE -> atomic { assert(data[c]); data[c] = false; received++ }
	:: result[c] == TIMEDOUT ->
#ifndef BUG_LEAVE_QUEUED
		lock();
		atomic {
			if
			:: queue??[eval(c),_] -> queue??eval(c),_
			:: else
			fi
		}
		unlock()
#endif
	:: result[c] == CLOSED
	fi;
	atomic {
		assert(!data[c]);
		over[c] = result[c] == CLOSED;
		result[c] = NOTHING;
		in_park[c] = false;
		frame[c] = false
	}
}

/* Runs c from where it is until it parks or ends. */
inline run_coroutine(c)
{
	if
	:: in_park[c] -> after_wait(c)
	:: else
	fi;
	do
	:: over[c] || waits[c] == WAITS(c) -> over[c] = true; break
	:: else ->
		lock();
		if
		:: kept > 0 -> atomic { kept--; received++; unlock() }
		:: kept == 0 && closed -> atomic { over[c] = true; unlock() }
		:: kept == 0 && !closed ->
			atomic { begin_wait(c); in_park[c] = true }
			unlock();
			maybe_arm(c);
			switch_and_commit(c);
			break
		fi
	od
}

proctype worker()
{
	byte c, ticket;
	bool committed;
end:	do
	:: atomic {
			run_queue?c ->
			assert(saved[c] && runnable[c] == 1);
			runnable[c] = 0;
			saved[c] = false
		}
		run_coroutine(c);
		c = 0
	od
}

proctype producer()
{
	byte c, ticket, now, to, batch;
	bool won;
	do
	:: given < ITEMS ->
		lock();
		do
		:: atomic { !won && nempty(queue) -> queue?c,ticket; assert(frame[c]) }
			claim_wait(c, ticket, VALUE, won)
		:: atomic { won || empty(queue) -> break }
		od;
		if
		:: won ->
#ifdef BUG_WAKE_FIRST
			wake(c);
			data[c] = true;
			unlock()
#else
			data[c] = true;
			unlock();
			wake(c)
#endif
		:: else -> atomic { kept++; unlock() }
		fi;
		atomic { given++; c = 0; ticket = 0; won = false }
	:: else -> break
	od;
	/* close: whoever waits is told; values that are kept can still be taken */
	lock();
	closed = true;
	do
	:: atomic { nempty(queue) -> queue?c,ticket; assert(frame[c]) }
		claim_wait(c, ticket, CLOSED, won);
		atomic {
			if
			:: won -> batch = batch | (1 << c)
			:: else
			fi;
			won = false
		}
	:: atomic { empty(queue) -> break }
	od;
	atomic { unlock(); c = 0; ticket = 0 }
	do
	:: atomic { batch & (1 << c) -> batch = batch & ~(1 << c) }
		wake(c)
	:: atomic { batch && !(batch & (1 << c)) -> c++ }
	:: atomic { !batch -> break }
	od
}

/* Fires what is due, and anything may be due. */
proctype timers()
{
	byte c, ticket, now, to, wait;
	bool won;
end:	do
	:: atomic {
			!heap_locked && (armed[0] || armed[WAITERS - 1]) ->
			if
			:: armed[0] -> c = 0
#if WAITERS > 1
			:: armed[1] -> c = 1
#endif
			fi;
			heap_locked = true;
			wait = armed_wait[c]
		}
#ifdef BUG_LATE_COPY
		armed[c] = false;
		ticket = timer_ticket[c];
#else
		ticket = timer_ticket[c];
		armed[c] = false;
#endif
		heap_locked = false;
		claim_wait(c, ticket, TIMEDOUT, won);
		if
		:: won ->
			assert(wait == waits[c]);
			wake(c)
		:: else
		fi;
		atomic { c = 0; ticket = 0; wait = 0; won = false }
	od
}

/* Keeps a parked one from going on, reads its stack, and lets go of it. */
proctype looker()
{
	byte c, ticket, wait;
	bool committed;
	atomic {
		if
		:: (claim[c] & 7) == PARKED ->
			ticket = TICKET(claim[c]);
			wait = waits[c];
#ifndef BUG_LOOK_UNCLAIMED
			claim[c] = ticket | PARKING
#endif
		:: else -> goto done
		fi
	}
	assert(saved[c] && runnable[c] == 0 && in_park[c] && waits[c] == wait);
#ifdef BUG_LOOK_STORES
	claim[c] = ticket | PARKED
#elif !defined(BUG_LOOK_UNCLAIMED)
	settle(c)
#endif
done:	skip
}

init {
	byte i;
	atomic {
		do
		:: i < WAITERS -> saved[i] = true; make_runnable(i); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < WORKERS -> run worker(); i++
		:: else -> break
		od;
		run timers();
#if LOOKERS
		run looker();
#endif
		run producer()
	}
	/* every wait ends, and every value is somewhere */
	over[0] && over[WAITERS - 1] && given == ITEMS;
	(_nr_pr == 1 + WORKERS + 1);
	assert(received + kept == ITEMS)
}
