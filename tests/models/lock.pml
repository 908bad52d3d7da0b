/* The lock of the runtime (runtime/lock.h, lock.c): threads that lock and unlock, without the timeout of the sleep.
 *
 * Shown: never two holders; nobody sleeps for ever (a lost wake would end in a state where a thread still sleeps).
 *
 *   OK_NO_MEMBARRIER   light and heavy are both the full fence, and somebody always counts as a sleeper: must hold as well
 *   BUG_NO_HEAVY       the sleeper fences itself only: the unlocker's store of 0 can still be in its buffer, and its look at
 *                      `sleepers` long over
 *   BUG_NO_COMPARE     the kernel does not compare again before it sleeps
 *   BUG_UNCOUNTED      the sleeper is counted among all after its fence. (At its address it may be: the fences of the second look and
 *                      of the system call are full ones)
 *   BUG_ALL_LIGHT      no membarrier, and no full fence before the second look */
#ifdef BUG_ALL_LIGHT
#define OK_NO_MEMBARRIER
#endif
#define PROCS 3
#define ROUNDS 2

#define WORD 0     /* 1 while held */
#define HERE 1     /* sleepers of this address; there is one lock */
#define SLEEPERS 2 /* all, and one more without membarrier */
#define VARS 3
#include "memory.pml"

bool asleep[PROCS];
byte holders;

inline fence_heavy(p)
{
	fence(p);
#if !defined(OK_NO_MEMBARRIER) && !defined(BUG_NO_HEAVY)
	membarrier(p)
#endif
}

inline futex_wait(p)
{
	system_call(p);
	atomic {
		if
#ifndef BUG_NO_COMPARE
		:: mem[WORD] != 1
#endif
		:: else -> asleep[p] = true
		fi
	}
	!asleep[p]
}

inline futex_wake(p)
{
	system_call(p);
	atomic {
		if
		:: asleep[0] -> asleep[0] = false
		:: asleep[1] -> asleep[1] = false
		:: asleep[2] -> asleep[2] = false
		:: !asleep[0] && !asleep[1] && !asleep[2]
		fi
	}
}

inline lock(p)
{
	cas(p, WORD, 0, 1, got);
	do
	:: got -> break
	:: else ->
		if /* the last round of spin_for */
		:: LOAD(p, WORD) == 0 -> cas(p, WORD, 0, 1, got)
		:: else
		fi;
		if
		:: !got ->
			rmw(p, HERE, mem[HERE] + 1);
#ifdef BUG_UNCOUNTED
			fence_heavy(p);
			rmw(p, SLEEPERS, mem[SLEEPERS] + 1);
#else
			rmw(p, SLEEPERS, mem[SLEEPERS] + 1);
			fence_heavy(p);
#endif
			futex_wait(p);
			rmw(p, SLEEPERS, mem[SLEEPERS] - 1);
			rmw(p, HERE, mem[HERE] - 1);
			cas(p, WORD, 0, 1, got)
		:: else
		fi
	od;
	got = false
}

inline unlock(p)
{
	store(p, WORD, 0);
	if
	:: LOAD(p, SLEEPERS) != 0 ->
#ifndef BUG_ALL_LIGHT
		fence(p);
#endif
		if
		:: LOAD(p, HERE) != 0 -> futex_wake(p)
		:: else
		fi
	:: else
	fi
}

proctype thread(byte me)
{
	byte round, other;
	bool got;
	do
	:: round < ROUNDS ->
		lock(me);
		holders++;
		assert(holders == 1);
		holders--;
		unlock(me);
		round++
	:: else -> break
	od
}

init {
	atomic {
#ifdef OK_NO_MEMBARRIER
		mem[SLEEPERS] = 1;
#endif
		run thread(0);
		run thread(1);
		run thread(2);
		run memory()
	}
}
