/* Select (runtime/select.c, chan.h) against select, close, cancel and destroy. Two coroutines select: one receives from channel A, the
 * other sends to it, both receive from channel B, until they are told that B is closed, or are cancelled. Somebody closes B, somebody
 * may cancel one of the two. B is destroyed as soon as that is allowed: by the closer, when each of the two has ended or was woken by
 * the close; by one of the two that was told of the close, when the other has ended. How a claimed wait goes on is park_wake.pml's.
 *
 * Shown: nobody touches B after it was destroyed; nobody touches a waiter after its select has ended; a wait is ended by one; what
 * is reported as sent is reported as received, cancelled or not; the two never both wait at A; all end, so the close is lost on nobody.
 *
 *   BUG_TOUCH_CLOSED   a select that the close has woken goes back to leave the queue of B
 *   BUG_STAY_QUEUED    it leaves no queue
 *   BUG_LOOK_APART     it looks under the locks, lets go of them, and queues later
 *   BUG_LOOK_EARLY     it looks at A before it has the lock of A
 *   BUG_BEGIN_LATE     it begins the wait when its waiters can be found already
 *   BUG_NO_CLAIM       whoever finds a waiter takes it to be still waiting
 *   BUG_NO_ORDER       one of the two locks B first
 *   BUG_WAKE_LOCKED    the closer wakes before it unlocks
 *   BUG_CANCEL_WINS    cancelled, it says so, though a hand-over came first */
#define A 0
#define B 1
#define RECEIVER 0
#define SENDER 1
#define VALUES 2

#define NOTHING 0
#define MOVED 1     /* a value over A */
#define CLOSED 2
#define CANCELED 3

#define CAN_MOVE(me) (queued_a[1 - (me)] && ((me) == RECEIVER || sent < VALUES))

bool locked[2];
bool closed, destroyed; /* B */

bool queued_a[2], queued_b[2]; /* whose waiter is in the queue that is its */
byte ticket_in_queue[2];
bool frame[2];                 /* its waiters exist */
byte ticket[2];                /* the claim word: which wait, ... */
bool unclaimed[2];                  /* ... and that nobody has ended it */
byte answer[2];
bool woken[2];
bool cancelled[2];
byte cancel_ticket[2];
bool ended[2];

byte sent, received;

inline lock(c) { atomic { !locked[c] -> assert(c == A || !destroyed); locked[c] = true } }
inline unlock(c) { atomic { assert(c == A || !destroyed); locked[c] = false } }

/* Each is looked at under its own lock, before the next is taken. */
inline lock_and_look(me)
{
#ifdef BUG_LOOK_EARLY
	ready = CAN_MOVE(me);
#endif
#ifdef BUG_NO_ORDER
	if
	:: me == SENDER -> lock(B); lock(A)
	:: else -> lock(A); lock(B)
	fi;
	ready = CAN_MOVE(me) || closed
#else
	lock(A);
#ifndef BUG_LOOK_EARLY
	ready = CAN_MOVE(me);
#endif
	lock(B);
	ready = ready || closed
#endif
}

/* won: whether this ended the wait of `who` */
inline claim(who, which, with, won)
{
	atomic {
#ifdef BUG_NO_CLAIM
		won = true;
#else
		won = unclaimed[who] && ticket[who] == which;
#endif
		if
		:: won -> unclaimed[who] = false; answer[who] = with
		:: else
		fi
	}
}

inline wake(who) { atomic { assert(!woken[who]); woken[who] = true } }

/* Under both locks; then they are free. */
inline queue_up(me)
{
	atomic {
		ticket[me]++;
		frame[me] = true;
		answer[me] = NOTHING;
		ticket_in_queue[me] = ticket[me];
#ifndef BUG_BEGIN_LATE
		unclaimed[me] = true;
#endif
		queued_a[me] = (me == RECEIVER || sent < VALUES);
		assert(!(queued_a[0] && queued_a[1] && unclaimed[1 - me])) /* they would have met */
	}
	unlock(A);
	queued_b[me] = true;
	unlock(B)
#ifdef BUG_BEGIN_LATE
	;
	unclaimed[me] = true
#endif
}

inline park(me)
{
	cancel_ticket[me] = ticket[me];
	if
	:: cancelled[me] ->
		claim(me, ticket[me], CANCELED, won);
		if
		:: won -> woken[me] = true
		:: else
		fi
	:: else
	fi;
	atomic { woken[me] -> woken[me] = false; won = false }
}

inline leave_queues(me)
{
#ifndef BUG_STAY_QUEUED
	if
	:: answer[me] != MOVED -> lock(A); queued_a[me] = false; unlock(A)
	:: else
	fi;
	if
#ifndef BUG_TOUCH_CLOSED
	:: answer[me] == CLOSED
#endif
	:: else -> lock(B); queued_b[me] = false; unlock(B)
	fi;
#endif
	frame[me] = false
}

proctype selector(byte me)
{
	byte other = 1 - me, result;
	bool won, ready;
	do
	:: result == CLOSED || result == CANCELED -> break
	:: else ->
		result = NOTHING;
		lock_and_look(me);
		do
		:: !ready || result != NOTHING -> break
		:: ready && result == NOTHING && CAN_MOVE(me) ->
			atomic { assert(frame[other]); queued_a[other] = false }
			claim(other, ticket_in_queue[other], MOVED, won);
			if
			:: won -> result = MOVED
			:: else
			fi
		:: ready && result == NOTHING && closed -> result = CLOSED
		:: ready && result == NOTHING && !closed && !CAN_MOVE(me) -> break
		od;
		if
		:: result == NOTHING && cancelled[me] -> result = CANCELED
		:: else
		fi;
		if
		:: result == NOTHING ->
#ifdef BUG_LOOK_APART
			unlock(B);
			unlock(A);
			lock(A);
			lock(B);
#endif
			queue_up(me)
		:: else ->
			unlock(A);
			unlock(B)
		fi;
		if
		:: won -> won = false; wake(other)
		:: else
		fi;
		if
		:: result == NOTHING ->
			park(me);
			leave_queues(me);
			result = answer[me]
#ifdef BUG_CANCEL_WINS
			;
			if
			:: cancelled[me] -> result = CANCELED
			:: else
			fi
#endif
		:: else
		fi;
		atomic {
			if
			:: result == MOVED && me == SENDER -> sent++
			:: result == MOVED && me == RECEIVER -> received++
			:: else
			fi
		}
	od;
	ended[me] = true;
	atomic {
		if
		:: result == CLOSED && ended[other] -> destroyed = true
		:: true
		fi
	}
}

proctype closer()
{
	byte i, told;
	bool won;
	lock(B);
	closed = true;
	do
	:: i == 2 -> break
	:: i < 2 && !queued_b[i] -> i++
	:: i < 2 && queued_b[i] ->
		atomic { assert(frame[i]); queued_b[i] = false }
		claim(i, ticket_in_queue[i], CLOSED, won);
		atomic {
			if
			:: won -> told = told | (1 << i)
			:: else
			fi;
			won = false;
			i++
		}
	od;
#ifndef BUG_WAKE_LOCKED
	unlock(B);
#endif
	if
	:: told & 1 -> wake(0)
	:: else
	fi;
	if
	:: told & 2 -> wake(1)
	:: else
	fi;
#ifdef BUG_WAKE_LOCKED
	unlock(B);
#endif
	atomic {
		if
		:: (ended[0] || told & 1) && (ended[1] || told & 2) -> destroyed = true
		:: true
		fi
	}
}

proctype canceller()
{
	byte who;
	bool won;
	if
	:: who = RECEIVER
	:: who = SENDER
	fi;
	cancelled[who] = true;
	claim(who, cancel_ticket[who], CANCELED, won);
	if
	:: won -> wake(who)
	:: else
	fi
}

init {
	atomic {
		run selector(RECEIVER);
		run selector(SENDER);
		run closer();
		if
		:: run canceller()
		:: true
		fi
	}
	(_nr_pr == 1);
	assert(sent == received)
}
