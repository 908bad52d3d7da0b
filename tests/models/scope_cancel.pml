/* Cancelling a scope (runtime/scope.c) against coroutines that enter and leave it, and against the hand-over of what they wait for.
 * A coroutine opens a scope, has another one run in it, opens and closes a scope inside it, waits here and there, closes the first
 * one and opens another in the same memory. The deadline of the first fires at any time from then on, however late. Both coroutines
 * wait for an object whose waker may hand something over before the cancel or after. cancel.pml has the waits that can't be
 * cancelled; here all can, unless they are behind a shield.
 *
 * Shown: once the deadline is through, every wait in the scope has ended or ends, later ones too, and in the scope inside it; no
 * wait outside of it, after it, or behind a shield is ended by it, nor looks cancelled; a value handed over arrives.
 *
 *   OK_NO_MEMBARRIER   light and heavy are both the full fence
 *   OK_SHIELD          the scope inside is a shield
 *   BUG_NO_HEAVY       the canceller fences itself only
 *   BUG_END_FIRST      it ends the waits before it has said so
 *   BUG_ENTER_BLIND    who enters does not look for a cause
 *   BUG_OPEN_UNLOCKED  the scope inside takes its cause over before it is on the list of the outer one
 *   BUG_LEAVE_MARKED   who leaves takes the cause along
 *   BUG_END_UNLOCKED   the canceller ends the waits of those that it marked, after it has let go of the lock
 *   BUG_BY_ADDRESS     the deadline takes whatever scope is at that place */
#define PROCS 4
#define OPENER 0
#define MEMBER 1
#define CANCELLER 2
#define WAKER 3

#define CLAIM(c) (c)        /* wait.claim: sequence << 3 | phase */
#define TICKET(c) (2 + (c)) /* wait.cancel_ticket */
#define CANCEL(c) (4 + (c)) /* co.cancel */
#define CHAIN 6             /* the lock of the opener's control block */
#define OUTER 7             /* the locks of the scopes */
#define INNER 8
#define VARS 9
#include "memory.pml"

#define IDLE 0
#define PARKED 1
#define CANCELLED 2 /* claimed by the canceller */
#define HANDED 3    /* claimed by the waker */

/* Under the locks. */
byte number;         /* which scope the outer memory is; 0: none is open */
byte chain;          /* the same, as the control block has it */
bool cause[2];       /* of the outer and the inner scope */
bool inner_listed;
byte inside[2];      /* the coroutine's innermost scope: 0 none, 1 outer, 2 inner. A scope's list, the other way round */

/* Only looked at by assertions and guards. */
byte queued[2];      /* the ticket in the object's queue; 0: none */
bool felt[2];        /* the first scope is around the coroutine, and no shield between */
bool opened, closed, through, spent, handing;
byte values, taken;

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

/* ---- a waiting call ---- */

inline wait_somewhere(me)
{
	atomic { ticket = ticket + 8; done = false }
	store(me, CLAIM(me), ticket | PARKED);
	atomic { queued[me] = ticket } /* seen once the claim word is: the waker's guard */
	store(me, TICKET(me), ticket);
	fence_light(me);
	if
	:: LOAD(me, CANCEL(me)) -> cas(me, CLAIM(me), ticket | PARKED, ticket | IDLE, done)
	:: else
	fi;
	if
	:: done -> atomic { assert(felt[me] && cause[0]); queued[me] = 0 }
	:: else ->
		atomic {
			(LOAD(me, CLAIM(me)) & 7) > PARKED ->
			queued[me] = 0;
			taken = taken + ((LOAD(me, CLAIM(me)) & 7) == HANDED)
		}
	fi
}

/* won: ended wait `ticket` of c */
inline claim_wait(me, c, how) { cas(me, CLAIM(c), ticket | PARKED, ticket | how, won) }

/* ---- who enters and leaves ---- */

inline enter_outer(me, co)
{
#ifndef BUG_ENTER_BLIND
	store(me, CANCEL(co), cause[0]);
#endif
	atomic { inside[co] = 1; felt[co] = number == 1 }
}

inline open_outer(n)
{
	take_lock(OPENER, CHAIN);
	take_lock(OPENER, OUTER);
	atomic { number = n; chain = n; cause[0] = false }
	enter_outer(OPENER, OPENER);
	release_lock(OPENER, OUTER);
	release_lock(OPENER, CHAIN)
}

inline close_outer()
{
	take_lock(OPENER, CHAIN);
	take_lock(OPENER, OUTER);
#ifndef BUG_LEAVE_MARKED
	store(OPENER, CANCEL(OPENER), 0);
#endif
	atomic { inside[OPENER] = 0; felt[OPENER] = false; number = 0; chain = 0 }
	release_lock(OPENER, OUTER);
	release_lock(OPENER, CHAIN)
}

inline open_inner()
{
#ifdef BUG_OPEN_UNLOCKED
	cause[1] = cause[0];
#endif
	take_lock(OPENER, CHAIN);
	take_lock(OPENER, OUTER);
	take_lock(OPENER, INNER);
#ifdef OK_SHIELD
	cause[1] = false;
#elif !defined(BUG_OPEN_UNLOCKED)
	cause[1] = cause[0];
#endif
	store(OPENER, CANCEL(OPENER), cause[1]);
	atomic {
		inner_listed = true;
		inside[OPENER] = 2;
#ifdef OK_SHIELD
		felt[OPENER] = false
#endif
	}
	release_lock(OPENER, INNER);
	release_lock(OPENER, OUTER);
	release_lock(OPENER, CHAIN)
}

inline close_inner()
{
	take_lock(OPENER, CHAIN);
	take_lock(OPENER, OUTER);
	take_lock(OPENER, INNER);
	inner_listed = false;
	enter_outer(OPENER, OPENER);
	release_lock(OPENER, INNER);
	release_lock(OPENER, OUTER);
	release_lock(OPENER, CHAIN)
}

bool started, ended;

proctype opener()
{
	byte ticket;
	bool done;
	open_outer(1);
	opened = true;
	take_lock(OPENER, OUTER);
	enter_outer(OPENER, MEMBER);
	release_lock(OPENER, OUTER);
	started = true;
	open_inner();
	wait_somewhere(OPENER);
	close_inner();
	if
	:: wait_somewhere(OPENER)
	:: true
	fi;
	ended;
	close_outer();
	if
	:: wait_somewhere(OPENER)
	:: open_outer(2);
		wait_somewhere(OPENER);
		close_outer()
	fi;
	closed = true
}

proctype member()
{
	byte ticket;
	bool done;
	/* it comes through a run queue */
	started && !BUFFERED(OPENER, 0, CANCEL(MEMBER)) && !BUFFERED(OPENER, DEPTH - 1, CANCEL(MEMBER));
	wait_somewhere(MEMBER);
	take_lock(MEMBER, OUTER);
	atomic { inside[MEMBER] = 0; felt[MEMBER] = false }
	release_lock(MEMBER, OUTER);
	atomic { mem[OUTER] == 0 -> ended = true }
}

/* ---- the deadline ---- */

inline end_wait(co)
{
	ticket = LOAD(CANCELLER, TICKET(co));
	claim_wait(CANCELLER, co, CANCELLED);
	atomic {
		assert(!won || felt[co]);
		won = false;
		ticket = 0
	}
}

inline mark_all()
{
	if
	:: inside[OPENER] == 1 -> store(CANCELLER, CANCEL(OPENER), 1)
	:: else
	fi;
	if
	:: inside[MEMBER] == 1 -> store(CANCELLER, CANCEL(MEMBER), 1)
	:: else
	fi;
#ifndef OK_SHIELD
	if
	:: inner_listed ->
		take_lock(CANCELLER, INNER);
		cause[1] = true;
		if
		:: inside[OPENER] == 2 -> store(CANCELLER, CANCEL(OPENER), 1)
		:: else
		fi;
		release_lock(CANCELLER, INNER)
	:: else
	fi
#endif
}

inline end_all()
{
	if
	:: inside[OPENER] == 1 -> end_wait(OPENER)
	:: else
	fi;
	if
	:: inside[MEMBER] == 1 -> end_wait(MEMBER)
	:: else
	fi;
#ifndef OK_SHIELD
	if
	:: inner_listed ->
		take_lock(CANCELLER, INNER);
		if
		:: inside[OPENER] == 2 -> end_wait(OPENER)
		:: else
		fi;
		release_lock(CANCELLER, INNER)
	:: else
	fi
#endif
}

proctype canceller()
{
	byte ticket, other;
	bool won;
	opened;
	take_lock(CANCELLER, CHAIN);
#ifdef BUG_BY_ADDRESS
	if
	:: chain != 0 ->
#else
	if
	:: chain == 1 ->
#endif
		take_lock(CANCELLER, OUTER);
		cause[0] = true;
#ifdef BUG_END_FIRST
		end_all();
		mark_all();
		fence_heavy(CANCELLER);
#else
		mark_all();
		fence_heavy(CANCELLER);
#ifdef BUG_END_UNLOCKED
		release_lock(CANCELLER, OUTER);
		release_lock(CANCELLER, CHAIN);
		end_wait(OPENER);
		goto over;
#else
		end_all();
#endif
#endif
		release_lock(CANCELLER, OUTER)
	:: else
	fi;
	release_lock(CANCELLER, CHAIN);
over:	through = true
}

/* ---- the waker: ends all waits that nobody cancels; of others those that it likes, until it has had enough ---- */

#define CAN_TAKE(c) (queued[c] != 0 && !BUFFERED(c, 0, CLAIM(c)) && !BUFFERED(c, DEPTH - 1, CLAIM(c)) && (!felt[c] || !spent))

proctype waker()
{
	byte ticket, c;
	bool won;
end:	do
	:: atomic {
			if
			:: CAN_TAKE(OPENER) -> c = OPENER
			:: CAN_TAKE(MEMBER) -> c = MEMBER
			fi;
			handing = true;
			ticket = queued[c];
			queued[c] = 0
		}
		claim_wait(WAKER, c, HANDED);
		atomic { values = values + won; handing = false; won = false; ticket = 0; c = 0 }
	:: atomic { !spent -> spent = true }
	od
}

init {
	atomic {
		run memory();
		run opener();
		run member();
		run canceller();
		run waker()
	}
	through && closed && !handing;
	assert(values == taken)
}
