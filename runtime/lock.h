/* Rank 2. The lock of the runtime: a few dozen instructions at most are run under it, and no switch and no allocation (but for the
 * pools that grow under theirs). A holder can still lose its CPU, so waiters spin briefly and then sleep on a futex.
 *
 * Zero-initialised is unlocked. 4 bytes. Not recursive, not fair. From any thread, on any stack; the caller of wf_lock and the
 * caller of wf_unlock are the same thread. The object around it may be freed by whoever takes the lock next: the unlocker does not
 * touch it after step 1, for sleepers are counted elsewhere: all together, and in a small table by address.
 *
 *   unlocker                            sleeper
 *   1 word = 0 (release)                1 sleepers of this address + 1, sleepers + 1
 *   2 light fence                       2 heavy fence
 *   3 sleepers? of this address?        3 word still 1? sleep (the kernel compares again)
 *     wake one
 *
 * Either the unlocker sees the sleeper, or the sleeper sees the word change. Light and heavy: os.h. */
#ifndef WF_LOCK_H
#define WF_LOCK_H

#include "atomic.h"
#include "os.h"
#include "stress.h"

struct wf_lock {
	wf_u32 word; /* 1 while held */
};

/* Threads that are about to sleep, or asleep, on any lock; and one more as long as light fences may have to be full ones, which are
 * made where this is not 0. */
extern WF_HIDDEN wf_u32 wf_lock_sleepers;

/* Once it is known what a light fence is (wf_os_membarrier_init). */
void wf_lock_init(void);

void wf_lock_slow(struct wf_lock *lock);
void wf_unlock_slow(struct wf_lock *lock);

/* How often the calling thread has found a lock taken. */
unsigned wf_lock_waits(void);

#ifdef WEFT_DEBUG
/* Counts the locks that this thread holds, so that a switch with one held is caught. */
void wf_lock_note(int change);
int wf_locks_held(void);
#else
static inline void wf_lock_note(int change) { (void)change; }
static inline int wf_locks_held(void) { return 0; }
#endif

static inline bool wf_trylock(struct wf_lock *lock)
{
	if (wf_u32_load(&lock->word) != 0 || !wf_u32_cas_acquire(&lock->word, 0, 1)) /* pairs with the release in wf_unlock */
		return false;
	wf_lock_note(1);
	return true;
}

static inline void wf_lock(struct wf_lock *lock)
{
	wf_stress_pause();
	if (wf_unlikely(!wf_u32_cas_acquire(&lock->word, 0, 1))) /* pairs with the release in wf_unlock */
		wf_lock_slow(lock);
	wf_lock_note(1);
}

static inline void wf_unlock(struct wf_lock *lock)
{
	wf_lock_note(-1);
	wf_u32_store_release(&lock->word, 0); /* pairs with the acquire in wf_lock */
	wf_compiler_barrier();                /* pairs with the heavy fence of wf_lock_slow */
	if (wf_unlikely(wf_u32_load(&wf_lock_sleepers) != 0)) /* relaxed: ordered by the fences */
		wf_unlock_slow(lock);
}

#endif
