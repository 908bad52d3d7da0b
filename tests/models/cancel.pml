/* Cancelling a coroutine (runtime/scope.c) against its waits (runtime/park.c): the canceller says so and then ends the present wait;
 * the waiter says what its present wait is and then looks whether it is cancelled. Some waits can't be cancelled, and all can
 * be ended by somebody else, before the cancel or after.
 *
 * Shown: once the canceller is done, every wait that can be cancelled ends, the present one and later ones; one that can't be is
 * never ended by it.
 *
 *   OK_NO_MEMBARRIER   light and heavy are both the full fence
 *   OK_STORES_SWAPPED  the waiter's ticket gets out before its claim word, as aarch64 may have it
 *   BUG_NO_HEAVY       the canceller fences itself only
 *   BUG_LOOK_FIRST     the waiter looks whether it is cancelled before it says what its wait is
 *   BUG_ANY_WAIT       the canceller ends whatever wait there is */
#define PROCS 3
#define WAITER 0
#define CANCELLER 1
#define WAKER 2
#define WAITS 3

#define CLAIM 0  /* wait.claim: sequence << 3 | phase */
#define TICKET 1 /* wait.cancel_ticket */
#define CANCEL 2 /* co.cancel */
#define VARS 3
#include "memory.pml"

#define IDLE 0
#define PARKED 1
#define ENDED 2 /* CLAIMED: park_wake.pml */

byte queued;      /* the ticket in an object's queue; 0: none. Under the object's lock */
bool cancellable; /* the present wait */
byte by_canceller; /* the ticket of the wait that it ended */

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

inline claim(me, ticket, won) { cas(me, CLAIM, ticket | PARKED, ticket | ENDED, won) }

/* done: it was cancelled, and nobody was faster in ending the wait */
inline look(me)
{
	if
	:: LOAD(me, CANCEL) != 0 -> cas(me, CLAIM, ticket | PARKED, ticket | IDLE, done)
	:: else
	fi
}

inline say_claim(me) { store(me, CLAIM, ticket | PARKED) }
inline say_ticket(me) { store(me, TICKET, ticket) }

proctype waiter(byte me)
{
	byte n, ticket;
	bool done;
	do
	:: n < WAITS ->
		atomic {
			n++;
			ticket = n << 3;
			if
			:: cancellable = true
			:: cancellable = false
			fi
		}
		if
		:: cancellable ->
#if defined(OK_STORES_SWAPPED)
			say_ticket(me);
			say_claim(me);
#else
			say_claim(me);
#ifdef BUG_LOOK_FIRST
			look(me);
#endif
			say_ticket(me);
#endif
			fence_light(me);
#ifndef BUG_LOOK_FIRST
			look(me)
#endif
		:: else -> say_claim(me)
		fi;
		/* the object's lock was held and released meanwhile */
		atomic { !BUFFERED(me, 0, CLAIM) && !BUFFERED(me, DEPTH - 1, CLAIM) -> queued = ticket }
		if
		:: !done -> LOAD(me, CLAIM) == (ticket | ENDED)
		:: else
		fi;
		atomic {
			assert(by_canceller != ticket || cancellable);
			queued = 0;
			done = false
		}
	:: else -> break
	od
}

proctype canceller(byte me)
{
	byte ticket, other;
	bool won;
	store(me, CANCEL, 1);
	fence_heavy(me);
#ifdef BUG_ANY_WAIT
	ticket = LOAD(me, CLAIM) & 248;
#else
	ticket = LOAD(me, TICKET);
#endif
	claim(me, ticket, won);
	atomic {
		if
		:: won -> by_canceller = ticket
		:: else
		fi
	}
}

/* Ends every wait that can't be cancelled, and perhaps one that can. */
proctype waker(byte me)
{
	byte ticket;
	bool won, also;
end:	do
	:: atomic { queued != 0 && (!cancellable || !also) -> also = also || cancellable; ticket = queued; queued = 0 }
		claim(me, ticket, won)
	:: atomic { queued != 0 && !also -> also = true }
	od
}

init {
	atomic {
		run memory();
		run waiter(WAITER);
		run canceller(CANCELLER);
		run waker(WAKER)
	}
}
