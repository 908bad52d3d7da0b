/* The worker that sleeps in the poller (runtime/idle.c, net/netpoll_epoll.c) against those who arm timers that it did not see, while
 * one that it saw is disarmed: with the break that wakes it, of which at most one is under way.
 *
 * Shown: the worker never sleeps past the earliest timer; no break is lost, and at most one is pending.
 *
 *   BUG_NO_SLEEPER_FENCE  the sleeper takes its timeout without a fence after it has said until when it sleeps
 *   BUG_NO_ARMER_FENCE    whoever arms looks at the sleeper without a fence
 *   BUG_OLD_TIMEOUT       the sleeper sleeps as it has said, without a second look
 *   BUG_NEW_TIMEOUT       the sleeper sleeps as the second look says, longer than it has said perhaps
 *   BUG_FLAG_FIRST        the flag of a break is cleared before the break is read */
#define ARMERS 2
#define SLEEPER ARMERS
#define DISARMER (ARMERS + 1)
#define PROCS (ARMERS + 2)

#define TIMER 0      /* the earliest of all heaps */
#define POLLING 1    /* rt.polling */
#define POLL_UNTIL 2 /* rt.poll_until */
#define BREAKING 3   /* netpoll: a break is under way */
#define VARS 4
#include "memory.pml"

#define NEVER 9

byte eventfd;
byte timeout_at;
bool blocked;
byte done;

proctype sleeper(byte me)
{
	byte said, seen;
	do
	:: store(me, POLLING, 1);
		fence(me); /* of every worker that goes to sleep */
		said = LOAD(me, TIMER);
		seen = said;
		store(me, POLL_UNTIL, said);
#ifndef BUG_NO_SLEEPER_FENCE
		fence(me);
#endif
#ifndef BUG_OLD_TIMEOUT
		seen = LOAD(me, TIMER);
#endif
#ifndef BUG_NEW_TIMEOUT
		if
		:: seen > said -> seen = said
		:: else
		fi;
#endif
		system_call(me);
		atomic { timeout_at = seen; blocked = true }
end:		atomic { eventfd > 0 -> blocked = false }
#ifdef BUG_FLAG_FIRST
		store(me, BREAKING, 0);
		system_call(me);
		eventfd = 0;
#else
		system_call(me);
		eventfd = 0;
		store(me, BREAKING, 0);
#endif
		store(me, POLL_UNTIL, 0);
		store(me, POLLING, 0)
	od
}

/* Each arms one timer, each earlier than the one of the armer before it. */
proctype armer(byte me)
{
	bool go;
	atomic {
		CAN_RMW(me, TIMER);
		if
		:: mem[TIMER] > NEVER - 1 - me -> held[TIMER] = 1 + me; buffer_append(me, TIMER, NEVER - 1 - me)
		:: else -> goto over /* not the earliest: nobody need know */
		fi
	}
#ifndef BUG_NO_ARMER_FENCE
	fence(me);
#endif
	if
	:: LOAD(me, POLLING) != 0 -> go = NEVER - 1 - me < LOAD(me, POLL_UNTIL)
	:: else
	fi;
	if
	:: go -> go = LOAD(me, BREAKING) == 0
	:: else
	fi;
	if
	:: go -> cas(me, BREAKING, 0, 1, go)
	:: else
	fi;
	if
	:: go ->
		system_call(me);
		atomic { eventfd++; assert(eventfd == 1) }
	:: else
	fi;
over:	done++
}

proctype disarmer(byte me)
{
	atomic {
		CAN_RMW(me, TIMER);
		held[TIMER] = 1 + me;
		buffer_append(me, TIMER, NEVER)
	}
	done++
}

init {
	atomic {
		mem[TIMER] = NEVER;
		run memory();
		run sleeper(SLEEPER);
		run armer(0);
		run armer(1);
		run disarmer(DISARMER)
	}
	(done == ARMERS + 1 && blocked && eventfd == 0 && sb[0].n == 0 && sb[1].n == 0 && sb[DISARMER].n == 0);
	assert(timeout_at <= mem[TIMER])
}
