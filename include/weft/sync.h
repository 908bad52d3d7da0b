/* Locks and other ways to wait for each other: mutex, reader-writer mutex, condition, semaphore, wait group, once.
 *
 * All are values of a fixed size: put them where they are needed, initialise them with zeros (static ones are; or WEFT_..._INIT),
 * and there is nothing to destroy. They may not be copied or moved once they are in use. An object may be freed as soon as its last
 * use was observed: whoever got the mutex, or was let through by the wait group, may free it although the unlock or the done that
 * did it has not returned yet.
 *
 * From coroutines and from plain threads, mixed at will; threads block. They belong to nobody: whoever likes may unlock.
 *
 * Cancel: the plain locks wait on, cancelled or not, and so does weft_once. All other calls here that can wait fail with
 * -ECANCELED when the caller is cancelled, before it comes to waiting as well; they then have taken nothing. A hand-over that came
 * before the cancel or the deadline is success. Deadlines are points in time (time.h): -ETIMEDOUT, or -EAGAIN for WEFT_NOW.
 *
 * What one did before unlock, signal, post, done, or the end of a once function, is seen by whoever that lets through. */
#ifndef WEFT_SYNC_H
#define WEFT_SYNC_H

#include "base.h"
#include "runtime.h"
#include "time.h"

struct weft_mutex {
	uintptr_t reserved[4];
};

struct weft_rwmutex {
	uintptr_t reserved[8];
};

struct weft_cond {
	uintptr_t reserved[4];
};

struct weft_sem {
	uintptr_t reserved[6];
};

struct weft_waitgroup {
	uintptr_t reserved[6];
};

struct weft_once {
	uintptr_t reserved[6];
};

/* Initialisers, for those who do not trust their zeros. WEFT_SEM_INIT(n): n permits. */
#define WEFT_MUTEX_INIT { { 0 } }
#define WEFT_RWMUTEX_INIT { { 0 } }
#define WEFT_COND_INIT { { 0 } }
#define WEFT_SEM_INIT(n) { { (uintptr_t)(n) << 1 } }
#define WEFT_WAITGROUP_INIT { { 0 } }
#define WEFT_ONCE_INIT { { 0 } }

WEFT_BEGIN

/* ---- mutex -------------------------------------------------------------------------------------------------------- *
 *
 * Whoever comes while it is free gets it, also past those who wait, which is what makes it fast. But one that was woken and finds
 * it taken, 1 ms or more after it began to wait, gets it handed over, and so do those behind it that wait as long.
 * Not recursive. */

/* Parks while somebody else has it. Observes no cancel. */
WEFT_API void weft_mutex_lock(struct weft_mutex *mutex);

/* The same until a deadline. -ETIMEDOUT, -EAGAIN, -ECANCELED. Parks. */
WEFT_API WEFT_NODISCARD int weft_mutex_lock_until(struct weft_mutex *mutex, weft_time deadline);

/* Takes it if it is free. Never parks. */
WEFT_API WEFT_NODISCARD bool weft_mutex_trylock(struct weft_mutex *mutex);

/* Aborts if it is not locked. Never parks. */
WEFT_API void weft_mutex_unlock(struct weft_mutex *mutex);

/* ---- reader-writer mutex ------------------------------------------------------------------------------------------ *
 *
 * Any number of readers, or one writer. A reader that comes while a writer waits, waits for it; when a writer leaves, all readers
 * that wait by then go before the next writer: neither starves. So a reader must not lock it again for reading while it has it.
 * There is no upgrade from reader to writer. */

/* Park; observe no cancel. */
WEFT_API void weft_rwmutex_rdlock(struct weft_rwmutex *rwmutex);
WEFT_API void weft_rwmutex_wrlock(struct weft_rwmutex *rwmutex);

/* The same until a deadline. -ETIMEDOUT, -EAGAIN, -ECANCELED. Park. */
WEFT_API WEFT_NODISCARD int weft_rwmutex_rdlock_until(struct weft_rwmutex *rwmutex, weft_time deadline);
WEFT_API WEFT_NODISCARD int weft_rwmutex_wrlock_until(struct weft_rwmutex *rwmutex, weft_time deadline);

/* Take it if that needs no waiting. Never park. */
WEFT_API WEFT_NODISCARD bool weft_rwmutex_tryrdlock(struct weft_rwmutex *rwmutex);
WEFT_API WEFT_NODISCARD bool weft_rwmutex_trywrlock(struct weft_rwmutex *rwmutex);

/* For readers and writers. Aborts if it is not locked. Never parks. */
WEFT_API void weft_rwmutex_unlock(struct weft_rwmutex *rwmutex);

/* ---- condition ---------------------------------------------------------------------------------------------------- */

/* Unlocks the mutex, waits for a signal, and has locked the mutex again when it returns, whatever the result. 0 means a signal or a
 * broadcast: there are no other wake-ups. (Between the signal and the locking others may have had the mutex; so the usual loop
 * around it is still needed unless the program rules that out.) The mutex is locked by the caller. -ECANCELED. Parks. */
WEFT_API WEFT_NODISCARD int weft_cond_wait(struct weft_cond *cond, struct weft_mutex *mutex);

/* The same until a deadline, for the signal; locking the mutex again may take longer. -ETIMEDOUT, -EAGAIN, -ECANCELED. Parks. */
WEFT_API WEFT_NODISCARD int weft_cond_wait_until(struct weft_cond *cond, struct weft_mutex *mutex, weft_time deadline);

/* Lets the one go on that has waited longest (all that wait); nothing if none waits. The mutex need not be locked. Never park. */
WEFT_API void weft_cond_signal(struct weft_cond *cond);
WEFT_API void weft_cond_broadcast(struct weft_cond *cond);

/* ---- semaphore ---------------------------------------------------------------------------------------------------- *
 *
 * A number of permits, none at first. First come, first served: a large request that waits is not overtaken by small ones. */

/* Sets the number of permits, before anybody uses it. */
WEFT_API void weft_sem_init(struct weft_sem *sem, unsigned permits);

/* Takes n permits, all at once. -ECANCELED. Parks. */
WEFT_API WEFT_NODISCARD int weft_sem_wait(struct weft_sem *sem, unsigned n);

/* The same until a deadline. -ETIMEDOUT, -EAGAIN, -ECANCELED. Parks. */
WEFT_API WEFT_NODISCARD int weft_sem_wait_until(struct weft_sem *sem, unsigned n, weft_time deadline);

/* Takes n permits if they are there and nobody waits: 0 or -EAGAIN; -ECANCELED. Never parks. */
WEFT_API WEFT_NODISCARD int weft_sem_trywait(struct weft_sem *sem, unsigned n);

/* Adds n permits. Aborts if there would be more than 2^62. Never parks. */
WEFT_API void weft_sem_post(struct weft_sem *sem, unsigned n);

/* ---- wait group --------------------------------------------------------------------------------------------------- *
 *
 * Counts what is still to be done. Can be used again once it is at 0. An add that may find it at 0 belongs before the wait. */

/* Adds n, which may be negative. At 0 all who wait go on. Aborts below 0 and above INT_MAX. Never parks. */
WEFT_API void weft_waitgroup_add(struct weft_waitgroup *waitgroup, int n);

/* Takes one off. */
WEFT_API void weft_waitgroup_done(struct weft_waitgroup *waitgroup);

/* Waits until it is at 0. -ECANCELED. Parks. */
WEFT_API WEFT_NODISCARD int weft_waitgroup_wait(struct weft_waitgroup *waitgroup);

/* The same until a deadline. -ETIMEDOUT, -EAGAIN, -ECANCELED. Parks. */
WEFT_API WEFT_NODISCARD int weft_waitgroup_wait_until(struct weft_waitgroup *waitgroup, weft_time deadline);

/* ---- once --------------------------------------------------------------------------------------------------------- */

/* The first call runs fn(arg), all others wait until that has returned. fn may park; it must return (no weft_exit). A coroutine
 * whose fn comes here again for the same object aborts. Parks; observes no cancel. */
WEFT_API void weft_once(struct weft_once *once, void (*fn)(void *arg), void *arg);

/* The same with a function that can fail. 0: fn returned >= 0, here or in an earlier call. A negative result of fn is the result of
 * this call; the one that has waited longest, or the next one that comes, then runs its function. -ECANCELED. Parks. */
WEFT_API WEFT_NODISCARD int weft_once_try(struct weft_once *once, weft_fn *fn, void *arg);

WEFT_END

#endif
