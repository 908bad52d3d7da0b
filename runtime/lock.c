#include "lock.h"

#include "../arch/arch.h"
#include "check.h"

enum { SPINS = 64, PAUSES = 8 };

/* A safety net: the protocol in lock.h loses no sleeper (tests/models/lock.pml), with membarrier or without. */
enum { RECHECK_NS = 2000000 };

wf_u32 wf_lock_sleepers = 1;

void wf_lock_init(void)
{
	static bool light;
	if (light != wf_os_has_membarrier) /* it was refused before, or is now: a program can give up system calls */
		wf_u32_add_full(&wf_lock_sleepers, light ? 1 : -1);
	light = wf_os_has_membarrier;
}

/* Of them, those on a lock whose address falls here. Two locks may share a place: then one is woken for nothing. */
static wf_u32 *sleepers_of(const struct wf_lock *lock)
{
	enum { BITS = 6 };
	static wf_u32 sleepers[1 << BITS];
	return &sleepers[(uintptr_t)lock * UINT64_C(0x9e3779b97f4a7c15) >> (64 - BITS)];
}

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
	wf_u32 *here = sleepers_of(lock);
	while (!spin_for(lock)) {
		wf_u32_add_full(here, 1);
		wf_u32_add_full(&wf_lock_sleepers, 1);
		wf_fence_heavy(); /* pairs with the light one of wf_unlock, and the full one of wf_unlock_slow */
		wf_os_futex_wait(&lock->word, 1, RECHECK_NS);
		wf_u32_add_full(&wf_lock_sleepers, -1);
		wf_u32_add_full(here, -1);
	}
}

/* The address is all that is used of the lock, which may be gone: a wake at a place where nobody sleeps does nothing. */
WF_COLD void wf_unlock_slow(struct wf_lock *lock)
{
	wf_fence_full(); /* pairs with the one of wf_lock_slow, where it is no more than that */
	if (wf_u32_load(sleepers_of(lock)) != 0) /* relaxed: ordered by the fences */
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
