/* Park and wake, and leaving a stack (runtime/wait.h, switch.h, park.c, timer.c): coroutines that wait in a row, on an object with a
 * lock and a queue, and three who may end a wait: a hand-over, a deadline, a close. What a coroutine does is run by whichever worker
 * finds it in the run queue. Between its wait's beginning and the store of its stack pointer it is being left; it can be in the run
 * queue by then. The worker that leaves it goes to the next one or to its own context.
 *
 * Shown, for every wait: one waker wins; made runnable once; never resumed before its stack was left, nor while the winner
 * still writes to the stack of the waiter; a queue entry is not touched after its stack frame is gone; a stale ticket ends
 * nothing; no value is lost or doubled by a hand-over that comes too late; every wait that was claimed goes on, and all end.
 *
 *   OK_ONE_WAITER      one coroutine with more waits in a row, instead of two
 *   BUG_NOT_LEFT       a worker does not look whether the stack was left
 *   BUG_WAIT_LEAVING   a worker that is leaving one waits until the next one was left
 *   BUG_NO_SEQUENCE    every wait has the same ticket
 *   BUG_WAKE_FIRST     the waker wakes before it has handed over the data
 *   BUG_LEAVE_QUEUED   a wait that timed out does not take its entry out of the queue
 *   BUG_LATE_COPY      the timer is marked as fired before its ticket is copied */
#ifdef OK_ONE_WAITER
#define WAITERS 1
#define WAITS(c) 3
#else
#define WAITERS 2
#define WAITS(c) (2 - (c))
#endif
#define WORKERS 2
#define ITEMS 2

#define IDLE 0
#define PARKED 1
#define CLAIMED 2
#define TICKET(word) ((word) & 248)

#define NOBODY WAITERS

#define NOTHING 0
#define VALUE 1
#define TIMEDOUT 2
#define CLOSED 3

byte claim[WAITERS];     /* sequence << 3 | phase */
byte result[WAITERS];
bool in_park[WAITERS];   /* left to the scheduler, or about to: resumed next at the point after the park */
byte waits[WAITERS];     /* begun so far */
bool over[WAITERS];      /* its function has returned */

bool left[WAITERS];      /* its stack pointer is in memory */
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
	atomic {
		won = claim[c] == (ticket | PARKED);
		if
		:: won ->
			claim[c] = ticket | CLAIMED;
			winners[c]++;
			writing[c] = true;
			assert(winners[c] == 1)
		:: else
		fi
	}
	atomic {
		if
		:: won -> result[c] = why
		:: else
		fi
	}
}

inline wake(c)
{
	atomic {
		writing[c] = false; /* its last touch comes before the queue */
		assert((claim[c] & 7) == CLAIMED);
		make_runnable(c)
	}
}

/* ---- the waiter's side ---- */

/* The next one for a worker that leaves c: c itself, if it was woken already; or NOBODY, its own context. */
inline pick_next(c, n)
{
	atomic {
		if
		:: n = NOBODY
		:: nempty(run_queue) ->
			run_queue?n;
			runnable[n]--;
#ifndef BUG_NOT_LEFT
#ifndef BUG_WAIT_LEAVING
			if
			:: n != c && !left[n] -> make_runnable(n); n = NOBODY
			:: else
			fi
#endif
#endif
		fi
	}
#ifdef BUG_WAIT_LEAVING
	n == NOBODY || n == c || left[n]
#endif
}

inline begin_wait(c)
{
	atomic {
		waits[c]++;
		winners[c] = 0;
		frame[c] = true;
#ifdef BUG_NO_SEQUENCE
		claim[c] = PARKED;
#else
		claim[c] = TICKET(claim[c]) + 8 + PARKED;
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

/* Runs c from where it is until it is to be left, parked or at its end. */
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
			break
		fi
	od
}

proctype worker()
{
	byte c, n;
end:	do
	:: atomic {
			run_queue?c ->
			runnable[c]--;
			if
#ifndef BUG_NOT_LEFT
			:: !left[c] -> make_runnable(c); c = NOBODY
#endif
			:: else ->
				assert(left[c]);
				left[c] = false
			fi
		}
		do
		:: c == NOBODY -> break
		:: else ->
			run_coroutine(c);
			pick_next(c, n);
			atomic {
				if
				:: n != c ->
					left[c] = true;
					if
					:: n != NOBODY -> assert(left[n]); left[n] = false
					:: else
					fi;
					c = n
				:: else
				fi;
				n = 0
			}
		od;
		c = 0
	od
}

proctype producer()
{
	byte c, ticket, batch;
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
	byte c, ticket, wait;
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

init {
	byte i;
	atomic {
		do
		:: i < WAITERS -> left[i] = true; make_runnable(i); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < WORKERS -> run worker(); i++
		:: else -> break
		od;
		run timers();
		run producer()
	}
	/* every wait ends, and every value is somewhere */
	over[0] && over[WAITERS - 1] && given == ITEMS;
	(_nr_pr == 1 + WORKERS + 1);
	assert(received + kept == ITEMS)
}
