/* The ring of a processor that is shared late (runtime/runq.h): its owner pushes and pops, plainly until it shares the ring and by
 * compare-and-swap from then on; thieves take the older half as soon as they see it shared.
 *
 * Shown: each entry is taken once, in the order of the ring by each of them; none is left.
 *
 *   BUG_PLAIN          the owner goes on to pop plainly
 *   BUG_NO_LOOK        a thief does not ask whether the ring is shared
 *   BUG_UNORDERED      that it is shared is seen before the plain pops that came earlier
 *   BUG_NO_CAS         a thief takes what it has copied without a look whether head has moved */
#define PROCS 3
#define OWNER 0
#define SIZE 2    /* of the ring */
#define ENTRIES 4

#define HEAD 0
#define TAIL 1
#define SHARED 2
#define SLOTS 3
#define VARS 5
#include "memory.pml"

#define SLOT(i) (SLOTS + (i) % SIZE)

byte taken[ENTRIES + 1];
byte all;

inline note(entry, last)
{
	atomic {
		taken[entry]++;
		all++;
		assert(taken[entry] == 1 && entry > last);
		last = entry
	}
}

inline push()
{
	head = LOAD(OWNER, HEAD);
	if
	:: pushed - head < SIZE ->
		store(OWNER, SLOT(pushed), pushed + 1);
		store(OWNER, TAIL, pushed + 1);
		pushed++
	:: else
	fi
}

inline pop()
{
	head = LOAD(OWNER, HEAD);
	if
	:: head != pushed ->
		entry = LOAD(OWNER, SLOT(head));
#ifndef BUG_PLAIN
		if
		:: shared -> cas(OWNER, HEAD, head, head + 1, got)
		:: else -> store(OWNER, HEAD, head + 1); got = true
		fi;
#else
		store(OWNER, HEAD, head + 1);
		got = true;
#endif
		if
		:: got -> note(entry, last)
		:: else
		fi
	:: else
	fi
}

proctype owner()
{
	byte pushed, head, entry, last;
	bool shared, got;
	do
	:: pushed < ENTRIES -> push()
	:: pop()
	:: !shared ->
#ifdef BUG_UNORDERED
		mem[SHARED] = 1;
#else
		store(OWNER, SHARED, 1);
#endif
		shared = true
	:: all == ENTRIES -> break
	od
}

/* Half of what is there, rounded up: one of one or two. */
proctype thief(byte me)
{
	byte head, tail, entry, last;
	bool got;
	do
	:: all == ENTRIES -> break
#ifdef BUG_NO_LOOK
	:: true ->
#else
	:: LOAD(me, SHARED) ->
#endif
		head = LOAD(me, HEAD);
		tail = LOAD(me, TAIL);
		if
		:: tail > head && tail - head <= SIZE ->
			entry = LOAD(me, SLOT(head));
#ifdef BUG_NO_CAS
			store(me, HEAD, head + 1);
			got = true;
#else
			cas(me, HEAD, head, head + 1, got);
#endif
			if
			:: got -> note(entry, last)
			:: else
			fi
		:: else
		fi
	od
}

init {
	atomic {
		run owner();
		run thief(1);
		run thief(2);
		run memory()
	}
}
