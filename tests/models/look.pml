/* Reading the stack of a coroutine (runtime/switch.c, wf_look_begin) against those who run it. Workers take it from the run queue, go to
 * its stack, leave it and queue it again; somebody looks, several times.
 *
 * Shown: while a look is under way, nobody is on the stack.
 *
 *   OK_NO_MEMBARRIER   light and heavy are both the full fence
 *   BUG_NO_HEAVY       whoever looks fences itself only
 *   BUG_LOOK_FIRST     a worker asks for looks before it says that it is on the stack
 *   BUG_UNLOCKED       the stack pointer is looked at before the lock is taken */
#define PROCS 3
#define LOOKER 2
#define ROUNDS 2 /* of each worker */
#define LOOKS 2

#define SP 0      /* of the coroutine: LEFT or RUNNING */
#define LOOKING 1
#define LOCK 2
#define VARS 3
#include "memory.pml"

#define LEFT 0
#define RUNNING 1

bool queued = true;
byte on_stack;
bool reading;

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

inline let_look_end(me)
{
	if
	:: LOAD(me, LOOKING) -> take_lock(me, LOCK); release_lock(me, LOCK)
	:: else
	fi
}

proctype worker(byte me)
{
	byte n, other;
	do
	:: n < ROUNDS ->
		atomic { queued -> queued = false; n++ }
		LOAD(me, SP) == LEFT;
#ifdef BUG_LOOK_FIRST
		fence_light(me);
		let_look_end(me);
		store(me, SP, RUNNING);
#else
		store(me, SP, RUNNING);
		fence_light(me);
		let_look_end(me);
#endif
		atomic { assert(!reading); on_stack++; assert(on_stack == 1) }
		/* it queues itself, under a lock, before it is left */
		fence(me);
		queued = true;
		on_stack--;
		store(me, SP, LEFT)
	:: else -> break
	od
}

proctype looker(byte me)
{
	byte n, other;
	bool left;
	do
	:: n < LOOKS ->
		n++;
		store(me, LOOKING, 1);
		fence_heavy(me);
#ifdef BUG_UNLOCKED
		left = LOAD(me, SP) == LEFT;
		take_lock(me, LOCK);
#else
		take_lock(me, LOCK);
		left = LOAD(me, SP) == LEFT;
#endif
		if
		:: left ->
			atomic { reading = true; assert(on_stack == 0) }
			reading = false
		:: else
		fi;
		release_lock(me, LOCK);
		store(me, LOOKING, 0)
	:: else -> break
	od
}

init {
	atomic {
		run memory();
		run worker(0);
		run worker(1);
		run looker(LOOKER)
	}
}
