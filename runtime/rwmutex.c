/* The reader-writer mutex. Writers sort it out among themselves with a mutex, so that at most one of them waits for readers to
 * leave. The lock itself is a word of state: readers are counted, and WANTED keeps new ones out while a writer waits. Readers
 * that wait, and that one writer in front of them, are in one queue.
 *
 *   the last reader leaves, WANTED                 the lock goes to the writer
 *   the writer leaves                              to all readers that wait; if there are none, to the next writer
 *   the writer gives up waiting                    readers that waited because of it go in
 *
 * A writer that leaves unlocks the writers' mutex first: until WRITER is off nobody can have got in who might free the object. */
#include "sync.h"

#include "check.h"
#include "dump.h"

enum {
	WRITER = 1,
	WANTED = 2, /* a writer waits for the lock to get free */
	QUEUED = 4, /* the queue may not be empty; set and cleared under its lock */
	READER = 8, /* one of them */
};

enum { ROLE_READER, ROLE_WRITER }; /* wf_waiter.index */

struct wf_rwmutex {
	struct wf_mutex writers;
	wf_word state;
	struct wf_lock lock; /* guards the queue */
	struct wf_waitq waiters;
};

WF_FITS(struct wf_rwmutex, struct weft_rwmutex, 64);

static struct wf_rwmutex *inner(struct weft_rwmutex *rwmutex)
{
	return (struct wf_rwmutex *)(void *)rwmutex;
}

static bool writer_first_locked(const struct wf_rwmutex *m)
{
	struct wf_link *l = wf_list_first(&m->waiters.list);
	return l && wf_container_of(l, struct wf_waiter, link)->index == ROLE_WRITER;
}

/* Claims all readers in the queue for `list`; a writer in front stays there. Returns what that adds to the state. */
static uintptr_t claim_readers_locked(struct wf_rwmutex *m, struct wf_list *list)
{
	struct wf_waiter *writer = NULL, *reader;
	uintptr_t add = 0;
	if (writer_first_locked(m))
		writer = wf_container_of(wf_list_pop(&m->waiters.list), struct wf_waiter, link);
	while (wf_waitq_claim(&m->waiters, 0, &reader)) {
		wf_list_push(list, &reader->link);
		add += READER;
	}
	if (writer)
		wf_list_push_front(&m->waiters.list, &writer->link);
	return add;
}

/* Claims the writer in front; NULL: there is none, or it has given up. */
static struct wf_wait *claim_writer_locked(struct wf_rwmutex *m)
{
	if (!writer_first_locked(m))
		return NULL;
	struct wf_waiter *writer = wf_container_of(wf_list_pop(&m->waiters.list), struct wf_waiter, link);
	return wf_claim(writer->wait, writer->ticket, 0) ? writer->wait : NULL;
}

/* ---- readers --------------------------------------------------------------------------------------------------------- */

static bool take_read(struct wf_rwmutex *m)
{
	for (;;) {
		uintptr_t s = wf_load(&m->state); /* relaxed: confirmed by the CAS */
		if (s & (WRITER | WANTED | QUEUED))
			return false;
		if (wf_cas_acquire(&m->state, s, s + READER)) /* pairs with the releases of leaving writers */
			return true;
	}
}

/* Takes it, or marks it as waited for. The lock is held. */
static bool take_read_locked(struct wf_rwmutex *m)
{
	for (;;) {
		uintptr_t s = wf_load(&m->state);
		bool can = !(s & (WRITER | WANTED));
		if (wf_cas_acquire(&m->state, s, can ? (s & ~(uintptr_t)QUEUED) + READER : s | QUEUED)) /* pairs as above */
			return can;
	}
}

static WF_NOINLINE int read_slow(struct wf_rwmutex *m, weft_time deadline, enum wf_park_flags flags)
{
	struct wf_worker *w = wf_enter();
	struct wf_waiter waiter;
	wf_charge(&w, WF_COST_CALL);
	int result = flags & WF_CANCELLABLE ? wf_cancelled(w) : 0;
	if (result == 0) {
		wf_lock(&m->lock);
		waiter.index = ROLE_READER;
		if (take_read_locked(m))
			wf_unlock(&m->lock);
		else
			result = wf_wait_locked(&w, &m->lock, &m->waiters, &waiter, WF_WHY_RWMUTEX, m, deadline, flags);
	}
	wf_leave(w);
	return result;
}

void weft_rwmutex_rdlock(struct weft_rwmutex *rwmutex)
{
	struct wf_rwmutex *m = inner(rwmutex);
	if (wf_unlikely(!wf_pay(wf_worker_self()) || !take_read(m)))
		(void)!read_slow(m, WEFT_NEVER, WF_PLAIN);
}

int weft_rwmutex_rdlock_until(struct weft_rwmutex *rwmutex, weft_time deadline)
{
	return read_slow(inner(rwmutex), deadline, WF_CANCELLABLE);
}

bool weft_rwmutex_tryrdlock(struct weft_rwmutex *rwmutex)
{
	struct wf_rwmutex *m = inner(rwmutex);
	if (wf_likely(take_read(m)))
		return true;
	wf_lock(&m->lock);
	bool can = !(wf_load(&m->state) & (WRITER | WANTED)) && take_read_locked(m);
	wf_unlock(&m->lock);
	return can;
}

static bool last_and_wanted(uintptr_t s)
{
	return s & WANTED && s < 2 * READER;
}

static bool leave_read(struct wf_rwmutex *m)
{
	for (;;) {
		uintptr_t s = wf_load(&m->state);
		if (wf_unlikely(s < READER))
			wf_fatal("unlock of rwmutex %p, which is not locked", (void *)m);
		if (last_and_wanted(s))
			return false;
		if (wf_cas_release(&m->state, s, s - READER)) /* pairs with the acquires of writers */
			return true;
	}
}

/* The last reader leaves to the writer that waits. False: there are others now, since it has given up. */
static bool leave_read_to_writer(struct wf_rwmutex *m, struct wf_wait **writer)
{
	wf_lock(&m->lock);
	uintptr_t s = wf_load_acquire(&m->state); /* pairs with the releases of other readers: the writer comes after them, too */
	bool last = last_and_wanted(s);
	if (last) {
		*writer = claim_writer_locked(m);
		uintptr_t left = s - READER;
		/* Nobody else may change it now; pairs with the acquires of taking it. */
		wf_store_release(&m->state, *writer ? (left & ~(uintptr_t)WANTED) | WRITER : left);
	}
	wf_unlock(&m->lock);
	return last;
}

static void unlock_read(struct wf_rwmutex *m)
{
	struct wf_wait *writer = NULL;
	while (!leave_read(m)) {
		struct wf_worker *w = wf_enter_here();
		bool left = leave_read_to_writer(m, &writer);
		if (writer)
			wf_wake(w, writer);
		wf_leave(w);
		if (left)
			return;
	}
}

/* ---- writers --------------------------------------------------------------------------------------------------------- */

/* By the owner of the writers' mutex. */
static bool take_write_locked(struct wf_rwmutex *m, bool mark)
{
	for (;;) {
		uintptr_t s = wf_load(&m->state);
		bool can = !(s & WRITER) && s < READER;
		if (!can && !mark)
			return false;
		if (wf_cas_acquire(&m->state, s, can ? WRITER : s | WANTED)) /* pairs with the releases of those who leave */
			return can;
	}
}

/* Readers that waited behind a writer that has given up go in, unless another writer is in there still. */
static void give_up_write(struct wf_rwmutex *m, struct wf_waiter *waiter, struct wf_list *readers)
{
	uintptr_t s, add = 0, off = WANTED;
	wf_lock(&m->lock);
	wf_waitq_remove(waiter);
	if (!(wf_load(&m->state) & WRITER)) { /* it can't come on: we have the writers' mutex */
		add = claim_readers_locked(m, readers);
		off |= QUEUED;
	}
	do
		s = wf_load(&m->state);
	while (!wf_cas_full(&m->state, s, (s & ~off) + add));
	wf_unlock(&m->lock);
}

/* Waits until the lock is free of readers, and of the writer that may be leaving just now. */
static int take_write_slow(struct wf_worker **w, struct wf_rwmutex *m, weft_time deadline, enum wf_park_flags flags)
{
	struct wf_list readers = {{NULL, NULL}};
	struct wf_waiter waiter;
	wf_lock(&m->lock);
	struct wf_wait *wait = NULL;
	if (!take_write_locked(m, true)) {
		wait = wf_wait_begin(*w, WF_WHY_RWMUTEX, m);
		waiter.index = ROLE_WRITER;
		wf_waitq_push_front(&m->waiters, &waiter, wait);
	}
	wf_unlock(&m->lock);
	int result = wait ? wf_park(w, wait, deadline, flags) : 0;
	if (result < 0) {
		give_up_write(m, &waiter, &readers);
		wf_mutex_unlock(*w, &m->writers);
		wf_wake_all(*w, &readers);
	}
	return result;
}

static int write_slow(struct wf_rwmutex *m, weft_time deadline, enum wf_park_flags flags)
{
	struct wf_worker *w = wf_enter();
	wf_charge(&w, WF_COST_CALL);
	int result = flags & WF_CANCELLABLE ? wf_cancelled(w) : 0;
	if (result == 0)
		result = wf_mutex_lock(&w, &m->writers, deadline, flags, WF_MUTEX_TRY);
	if (result == 0 && !wf_cas_acquire(&m->state, 0, WRITER)) /* pairs with the releases of those who leave */
		result = take_write_slow(&w, m, deadline, flags);
	wf_leave(w);
	return result;
}

void weft_rwmutex_wrlock(struct weft_rwmutex *rwmutex)
{
	(void)!write_slow(inner(rwmutex), WEFT_NEVER, WF_PLAIN);
}

int weft_rwmutex_wrlock_until(struct weft_rwmutex *rwmutex, weft_time deadline)
{
	return write_slow(inner(rwmutex), deadline, WF_CANCELLABLE);
}

bool weft_rwmutex_trywrlock(struct weft_rwmutex *rwmutex)
{
	struct wf_rwmutex *m = inner(rwmutex);
	if (!wf_mutex_trylock(&m->writers))
		return false;
	if (wf_cas_acquire(&m->state, 0, WRITER)) /* pairs with the releases of those who leave */
		return true;
	struct wf_worker *w = wf_enter_here();
	wf_lock(&m->lock);
	bool can = take_write_locked(m, false);
	wf_unlock(&m->lock);
	if (!can)
		wf_mutex_unlock(w, &m->writers);
	wf_leave(w);
	return can;
}

/* To the readers, or the writer, that wait. */
static struct wf_wait *leave_write(struct wf_rwmutex *m, struct wf_list *readers)
{
	struct wf_wait *writer = NULL;
	wf_lock(&m->lock);
	uintptr_t wanted = wf_load(&m->state) & WANTED, add = claim_readers_locked(m, readers);
	if (add)
		add |= wanted;
	else if (wanted && (writer = claim_writer_locked(m)))
		add = WRITER;
	else
		add = wanted | QUEUED; /* nobody keeps the object alive: see sync.h */
	wf_store_release(&m->state, add); /* pairs with the acquires of taking it; nobody else may change it while WRITER is on */
	wf_unlock(&m->lock);
	return writer;
}

static void unlock_write(struct wf_rwmutex *m)
{
	struct wf_worker *w = wf_enter_here();
	wf_mutex_unlock(w, &m->writers);
	if (!wf_cas_release(&m->state, WRITER, 0)) { /* pairs with the acquires of taking it */
		struct wf_list readers = {{NULL, NULL}};
		struct wf_wait *writer = leave_write(m, &readers);
		if (writer)
			wf_wake(w, writer);
		wf_wake_all(w, &readers);
	}
	wf_leave(w);
}

void weft_rwmutex_unlock(struct weft_rwmutex *rwmutex)
{
	struct wf_rwmutex *m = inner(rwmutex);
	if (wf_load(&m->state) & WRITER)
		unlock_write(m);
	else
		unlock_read(m);
}

struct weft_co *wf_rwmutex_writer(uintptr_t rwmutex)
{
	return wf_mutex_owner((uintptr_t)&((struct wf_rwmutex *)rwmutex)->writers);
}
