/* The mutex (runtime/mutex.c): lockers, some with a deadline that may come at any time; barging, waking to try, handing over to
 * the starving; and the last user, who frees the object at once. The state is changed by compare-and-swap only, and everything
 * else under the lock of the queue, so memory is as sequential there as it is here. Parking is park_wake.pml's.
 *
 * Shown: one owner at a time; a hand-over and a deadline that race have one winner, and the mutex is neither lost nor had twice;
 * nobody waits for ever; STARVING is on only while it is locked; an unlock does not touch the object once it may be freed; in the
 * end the state is 0 and the queue empty.
 *
 *   OK_ADOPT           a broadcast puts one into the queue who is claimed already
 *   OK_TWO_ROUNDS      two lockers, more often
 *   BUG_UNCHECKED      one who joins the queue does not look whether the mutex is still locked
 *   BUG_WOKEN_STAYS    one who was woken in vain leaves WOKEN on
 *   BUG_UNCLAIMED      an unlock hands over without a claim, perhaps to one whose deadline has come
 *   BUG_BOTH           an unlock that hands over takes LOCKED off as well
 *   BUG_OPEN_FIRST     an unlock that finds nobody in the queue takes LOCKED off under the queue's lock
 *   BUG_FORGET         one that gives up stays in the queue
 *   BUG_ADOPT_ASLEEP   a broadcast into the queue of a free mutex wakes nobody */
#ifdef BUG_ADOPT_ASLEEP
#define OK_ADOPT
#endif
#if defined(OK_ADOPT) || defined(OK_TWO_ROUNDS)
#define LOCKERS 2
#else
#define LOCKERS 3
#endif
#ifdef OK_TWO_ROUNDS
#define ROUNDS 3
#else
#define ROUNDS 1
#endif
#define WAITERS 3
#define ADOPTED 2 /* the one whom a broadcast moves */

#define LOCKED 1
#define QUEUED 2
#define WOKEN 4
#define STARVING 8

/* how a wait ended */
#define TRY 0
#define RETRY 1
#define HANDED 2
#define TIMEDOUT 3

byte state;
bool queue_locked;
chan queue = [WAITERS] of { byte };

bool waiting[WAITERS]; /* whoever takes it off has claimed the wait */
bool claimed[WAITERS]; /* the entry in the queue was claimed by a broadcast */
bool woken[WAITERS];
byte result[WAITERS];

byte owners;
byte users; /* under the mutex: who is not done with the object */
bool freed;

inline load() { atomic { assert(!freed); s = state } }

/* set: whether the state was s */
inline cas(new)
{
	atomic {
		assert(!freed);
		set = (state == s);
		if
		:: set -> state = new
		:: else
		fi;
		assert(!(state & STARVING) || (state & (LOCKED | WOKEN)) == LOCKED)
	}
}

inline change(off)
{
	do
	:: set -> break
	:: !set ->
		load();
		cas(s & ~(off))
	od;
	atomic { set = false; s = 0 }
}

inline lock_queue() { atomic { !queue_locked -> assert(!freed); queue_locked = true } }
inline unlock_queue() { atomic { assert(!freed); queue_locked = false } }

/* ---- locking ---- */

#define CLEARED (s & ~(WOKEN * (how == RETRY)))

inline take_after()
{
	do
	:: set -> break
	:: !set ->
		load();
		if
		:: s & LOCKED -> break
		:: else -> cas(CLEARED | LOCKED)
		fi
	od;
	atomic { got = set; set = false; s = 0 }
}

inline enter_queue(me)
{
	atomic {
		waiting[me] = true;
		n = (how == RETRY -> len(queue) : 0);
		queue!me;
		do
		:: n > 0 -> queue?x; queue!x; n--
		:: else -> break
		od;
		x = 0
	}
}

/* got: it was not locked any more, and now is the caller's */
inline join_queue(me)
{
	lock_queue();
	if
	:: marks = QUEUED
	:: how == RETRY -> marks = QUEUED | STARVING
	fi;
	do
	:: got || set -> break
	:: !got && !set ->
#ifndef BUG_UNCHECKED
		take_after();
#endif
		if
		:: got
		:: !got ->
			load();
			if
#ifndef BUG_UNCHECKED
			:: !(s & LOCKED)
#endif
#ifdef BUG_WOKEN_STAYS
			:: else -> cas(s | marks)
#else
			:: else -> cas(CLEARED | marks)
#endif
			fi
		fi
	od;
	if
	:: set -> enter_queue(me)
	:: else
	fi;
	atomic { set = false; marks = 0; s = 0 }
	unlock_queue()
}

inline leave_queue(me)
{
#ifndef BUG_FORGET
	lock_queue();
	atomic {
		if
		:: queue??[eval(me)] -> queue??eval(me); got = true
		:: else
		fi
	}
	if
	:: got && len(queue) == 0 -> change(QUEUED | STARVING)
	:: !got || len(queue) > 0
	fi;
	got = false;
	unlock_queue()
#else
	skip
#endif
}

inline settle()
{
	load();
	assert(s & LOCKED);
	if
	:: s & STARVING -> change(STARVING)
	:: !(s & STARVING) || s & QUEUED /* it has waited long itself */
	fi;
	s = 0
}

/* Ends as the owner. Whoever gives up comes back: it is not done with the object. */
inline lock(me)
{
	do
	:: how == HANDED -> settle(); break
	:: how == TIMEDOUT -> leave_queue(me); how = TRY
	:: how == TRY || how == RETRY ->
		take_after();
		if
		:: got
		:: !got -> join_queue(me)
		fi;
		if
		:: got -> break
		:: !got -> atomic { woken[me] -> woken[me] = false; how = result[me] }
		fi
	od;
	atomic { got = false; how = TRY }
}

/* ---- unlocking ---- */

/* next: who was claimed, if got */
inline claim_first(why)
{
	do
	:: atomic { !got && len(queue) > 0 ->
			queue?next;
			got = waiting[next] || claimed[next];
#ifdef BUG_UNCLAIMED
			got = got || why == HANDED;
#endif
			waiting[next] = false;
			claimed[next] = false;
			if
			:: got -> result[next] = why
			:: else
			fi
		}
	:: atomic { got || len(queue) == 0 -> break }
	od
}

/* got: somebody is to be woken; else it is still locked */
inline unlock_to_first()
{
	lock_queue();
	load();
	hand = ((s & STARVING) != 0);
	claim_first(RETRY + hand);
	off = (len(queue) == 0) * QUEUED;
	if
#ifdef BUG_OPEN_FIRST
	:: !got -> off = off | STARVING | LOCKED
#else
	:: !got -> off = off | STARVING
#endif
	:: got && !hand -> off = off | LOCKED; on = WOKEN
#ifdef BUG_BOTH
	:: got && hand -> off = off | LOCKED
#else
	:: got && hand
#endif
	fi;
	do
	:: set -> break
	:: !set ->
		load();
		cas((s & ~off) | on)
	od;
	atomic { set = false; s = 0; off = 0; on = 0; hand = false }
	unlock_queue()
}

inline unlock()
{
	do
	:: got || set -> break
	:: !got && !set ->
		load();
		if
		:: s & STARVING || (s & (QUEUED | WOKEN)) == QUEUED ->
			unlock_to_first();
#ifdef BUG_OPEN_FIRST
			set = !got
#endif
		:: else ->
			assert(s & LOCKED);
			cas(s & ~LOCKED)
		fi
	od;
	atomic {
		if
		:: got -> woken[next] = true
		:: else
		fi;
		got = false; set = false; s = 0; next = 0
	}
}

/* ---- who does it ---- */

inline use_it()
{
	atomic { owners++; assert(owners == 1) }
	atomic {
		if
		:: round == rounds -> users--; last = (users == 0)
		:: else
		fi;
		owners--
	}
	unlock();
	if
	:: last -> atomic { assert(state == 0 && len(queue) == 0); freed = true }
	:: else
	fi
}

proctype locker(byte me, rounds)
{
	byte how, s, marks, next, off, on, n, x, round;
	bool got, set, hand, last;
	if
	:: me == ADOPTED && LOCKERS == 2 -> atomic { woken[me] -> woken[me] = false; how = result[me] }
	:: else
	fi;
	do
	:: round < rounds ->
		round++;
		lock(me);
		use_it()
	:: else -> break
	od
}

#ifdef OK_ADOPT
proctype broadcast()
{
	byte s, next, on;
	bool got, set;
	lock_queue();
	claimed[ADOPTED] = true;
	queue!ADOPTED;
	do
	:: set -> break
	:: !set ->
		load();
		on = (s & (LOCKED | WOKEN) -> QUEUED : QUEUED | WOKEN);
		cas(s | on)
	od;
	set = false;
#ifndef BUG_ADOPT_ASLEEP
	if
	:: on & WOKEN ->
		claim_first(RETRY);
		if
		:: len(queue) == 0 -> change(QUEUED)
		:: len(queue) > 0
		fi
	:: else
	fi;
#endif
	unlock_queue();
	if
	:: got -> woken[next] = true
	:: else
	fi
}
#endif

proctype deadlines()
{
	byte left = 2;
end:	do
	:: atomic { left > 0 && waiting[1] -> left--; waiting[1] = false; result[1] = TIMEDOUT; woken[1] = true }
#if LOCKERS == 3
	:: atomic { left > 0 && waiting[2] -> left--; waiting[2] = false; result[2] = TIMEDOUT; woken[2] = true }
#endif
	od
}

init {
	atomic {
		users = LOCKERS;
		run locker(0, ROUNDS + 1);
		run locker(1, ROUNDS);
#if LOCKERS == 3
		run locker(2, ROUNDS);
#endif
#ifdef OK_ADOPT
		users++;
		run locker(ADOPTED, 1);
		run broadcast();
#endif
		run deadlines()
	}
	freed;
	assert(state == 0 && len(queue) == 0)
}
