#include "lock.h"

#include "../arch/arch.h"
#include "check.h"

enum { SPINS = 64, PAUSES = 8 };

/* A safety net: the protocol in lock.h loses no sleeper (tests/models/lock.pml), with membarrier or without. */
enum { RECHECK_NS = 2000000 };

wf_u32 wf_lock_sleepers[1 << WF_LOCK_SLEEPERS_BITS];

static bool spin_for(struct wf_lock *lock)
{
	for (int i = 0; i < SPINS; i++) {
		for (int k = 0; k < PAUSES; k++)
			wf_cpu_relax();
		if (wf_u32_load(&lock->word) == 0 && wf_u32_cas_acquire(&lock->word, 0, 1)) /* pairs with wf_unlock */
			return true;
	}
	return false;
}

static _Thread_local unsigned waits;

WF_OPAQUE unsigned wf_lock_waits(void)
{
	return waits;
}

WF_COLD void wf_lock_slow(struct wf_lock *lock)
{
	waits++;
	wf_u32 *sleepers = wf_lock_sleepers_of(lock);
	while (!spin_for(lock)) {
		wf_u32_add_full(sleepers, 1);
		wf_fence_heavy();
		wf_os_futex_wait(&lock->word, 1, RECHECK_NS);
		wf_u32_add_full(sleepers, -1);
	}
}

/* The address is all that is used of the lock, which may be gone: a wake at a place where nobody sleeps does nothing. */
WF_COLD void wf_unlock_slow(struct wf_lock *lock)
{
	wf_os_futex_wake(&lock->word, 1);
}

#ifdef WEFT_DEBUG
static _Thread_local int locks_held;

WF_OPAQUE void wf_lock_note(int change)
{
	locks_held += change;
}

WF_OPAQUE int wf_locks_held(void)
{
	return locks_held;
}
#endif
