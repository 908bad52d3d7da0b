/* The end of a coroutine (runtime/life.c) against the one who joins it, with or without a deadline, or detaches it, and against one
 * who only looks on (a select). What park_wake.pml shows of waits is taken for granted here: one claim wins.
 *
 * Shown: the control block is freed once; the end does not touch it after that, nor does a join or detach; nobody is left in its
 * queue when it is freed; everybody who waits for the end hears of it.
 *
 *   BUG_WAKE_FIRST    the end wakes before it lets go of the lock
 *   BUG_READ_LATE     the end looks whether it is detached after it has let go of the lock
 *   BUG_SAY_EARLY     the end says so before it takes the lock
 *   BUG_BLIND_DETACH  detaching does not look whether it has ended
 *   BUG_LEAVE_QUEUED  a join that timed out does not leave the queue
 *   BUG_BLIND_LOOK    a join that looks without the lock takes the block though the end has others to tell
 *   BUG_NO_MARK       whoever looks on leaves no mark, so the end looks for nobody but the joiner */
#define JOINER 0
#define WATCHER 1

#define NOTHING 0
#define WAITING 1
#define TIMEDOUT 2
#define CLAIMED 3

bool locked, ended, detached, joining, watched;
byte queue;          /* a set, as bits */
bool frame[2];       /* the stack frame with the queue entry exists */
byte wait[2];
bool woken[2];
bool watching;       /* the watcher has begun: before its owner gave the handle away */
byte freed;

inline lock() { atomic { !locked -> locked = true } }
inline unlock() { locked = false }
inline free() { atomic { assert(freed == 0 && queue == 0); freed++ } }

inline claim_and_list(who)
{
	atomic {
		assert(!(queue & (1 << who)) || frame[who]);
		if
		:: (queue & (1 << who)) && wait[who] == WAITING -> wait[who] = CLAIMED; list = list | (1 << who)
		:: else
		fi;
		queue = queue & ~(1 << who)
	}
}

inline wake_all()
{
	atomic {
		woken[JOINER] = woken[JOINER] || (list & 1);
		woken[WATCHER] = woken[WATCHER] || (list & 2)
	}
}

proctype coroutine()
{
	byte list;
	bool mine, expected, crowded;
#ifdef BUG_SAY_EARLY
	ended = true;
#endif
	atomic { !locked -> assert(!freed); locked = true }
	expected = joining;
	crowded = watched;
	ended = true;
#ifndef BUG_READ_LATE
	mine = detached;
#endif
	if
	:: expected || crowded -> claim_and_list(JOINER)
	:: else
	fi;
	if
	:: crowded -> claim_and_list(WATCHER)
	:: else
	fi;
#ifdef BUG_WAKE_FIRST
	wake_all();
#endif
	atomic { assert(!freed || !crowded && !expected); unlock() } /* the next life waits for its lock so long */
#ifdef BUG_READ_LATE
	mine = detached;
#endif
	if
	:: mine -> free()
	:: else
	fi;
#ifndef BUG_WAKE_FIRST
	wake_all()
#endif
}

/* Queues and waits; heard: of the end. The lock is held, and released. */
inline wait_in_queue(who, heard)
{
	atomic { wait[who] = WAITING; frame[who] = true; queue = queue | (1 << who) }
	unlock();
	if
	:: atomic { woken[who] -> heard = true; woken[who] = false }
	:: atomic { wait[who] == WAITING -> wait[who] = TIMEDOUT }
	fi
}

/* Whether it has ended and concerned nobody, without the lock: one load of all flags. */
inline look(seen)
{
#ifdef BUG_BLIND_LOOK
	seen = ended
#else
	seen = ended && !watched
#endif
}

/* Joins with deadlines until it succeeds or has enough of it. */
proctype owner()
{
	bool heard, can;
	watching;
	do
	:: look(can);
		if
		:: can -> joining = true; free(); break
		:: else
		fi
	:: atomic { !locked -> assert(!freed); locked = true }
		assert(!detached && !joining);
		joining = true;
		if
		:: ended -> heard = true; unlock()
		:: else -> wait_in_queue(JOINER, heard)
		fi;
		if
		:: heard -> free(); break
		:: else ->
			atomic { !locked -> assert(!freed); locked = true }
#ifndef BUG_LEAVE_QUEUED
			queue = queue & ~(1 << JOINER);
#endif
			atomic { joining = false; frame[JOINER] = false; unlock() }
		fi
	:: atomic { !locked -> assert(!freed); locked = true }
		can = !joining && queue == 0;
#ifdef BUG_BLIND_DETACH
		heard = false;
#else
		heard = ended;
#endif
		if
		:: can -> detached = true
		:: else
		fi;
		unlock();
		if
		:: can && heard -> free(); break
		:: can && !heard -> break
		:: else -> heard = false
		fi
	od
}

/* Its last touch can come after the block was freed: memory of this type is never given back, and it finds nothing to do. */
proctype watcher()
{
	bool heard;
	lock();
	atomic {
		watching = true;
		if
		:: ended -> heard = true; unlock()
		:: else
#ifndef BUG_NO_MARK
			watched = true
#endif
		fi
	}
	if
	:: heard
	:: else ->
		wait_in_queue(WATCHER, heard);
		if
		:: heard
		:: else ->
			lock();
			atomic {
				assert(!(freed && (queue & (1 << WATCHER))));
				queue = queue & ~(1 << WATCHER)
			}
			unlock()
		fi
	fi
}

init {
	atomic {
		run coroutine();
		run owner();
		if
		:: run watcher()
		:: watching = true /* nobody looks on */
		fi
	}
	(_nr_pr == 1);
	assert(freed == 1)
}
