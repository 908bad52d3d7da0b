/* Semaphores: first come, first served. The state is the number of permits, and a bit that sends everybody through the lock while
 * somebody may be waiting; only those who take clear it (sync.h tells why). */
#include "sync.h"

#include <errno.h>

#include "check.h"

enum { QUEUED = 1, SHIFT = 1 };

#define PERMITS_MAX (UINT64_C(1) << 62)

struct wf_sem {
	wf_word state;       /* permits << SHIFT | QUEUED */
	struct wf_lock lock; /* guards the queue, and the state while QUEUED is on */
	struct wf_waitq waiters; /* a waiter's data is what it needs */
};

WF_FITS(struct wf_sem, struct weft_sem, 48);

static struct wf_sem *inner(struct weft_sem *sem)
{
	return (struct wf_sem *)(void *)sem;
}

void weft_sem_init(struct weft_sem *sem, unsigned permits)
{
	*sem = (struct weft_sem)WEFT_SEM_INIT(permits);
}

static bool take(struct wf_sem *s, uintptr_t n)
{
	for (;;) {
		uintptr_t state = wf_load(&s->state); /* relaxed: confirmed by the CAS */
		if (state & QUEUED || state >> SHIFT < n)
			return false;
		if (wf_cas_acquire(&s->state, state, state - (n << SHIFT))) /* pairs with the releases in post */
			return true;
	}
}

/* Takes n if nobody waits, and clears the bit then; else sets it. */
static bool take_locked(struct wf_sem *s, uintptr_t n)
{
	bool empty = wf_waitq_empty(&s->waiters);
	for (;;) {
		uintptr_t state = wf_load(&s->state);
		bool can = empty && state >> SHIFT >= n;
		uintptr_t left = can ? state - (n << SHIFT) : state;
		/* acquire: pairs with the releases in post */
		if (wf_cas_full(&s->state, state, can ? left & ~(uintptr_t)QUEUED : left | QUEUED))
			return can;
	}
}

/* Serves the queue from the front, as far as the permits reach. QUEUED is on. */
static void serve_locked(struct wf_sem *s, struct wf_list *served)
{
	uintptr_t permits = wf_load(&s->state) >> SHIFT;
	struct wf_link *l;
	while ((l = wf_list_first(&s->waiters.list))) {
		struct wf_waiter *waiter = wf_container_of(l, struct wf_waiter, link);
		uintptr_t n = (uintptr_t)waiter->data;
		if (n > permits)
			break;
		wf_list_remove(l);
		if (!wf_claim(waiter->wait, waiter->ticket, 0))
			continue;
		permits -= n;
		wf_list_push(served, l);
	}
	wf_store_release(&s->state, permits << SHIFT | QUEUED); /* pairs with the acquires in take */
}

/* One that gave up may have been what the others waited behind. */
static void serve_the_rest(struct wf_worker *w, struct wf_sem *s)
{
	struct wf_list served = {{NULL, NULL}};
	wf_lock(&s->lock);
	if (wf_load(&s->state) & QUEUED)
		serve_locked(s, &served);
	wf_unlock(&s->lock);
	wf_wake_all(w, &served);
}

static WF_NOINLINE int wait_slow(struct wf_sem *s, uintptr_t n, weft_time deadline)
{
	struct wf_worker *w = wf_enter();
	struct wf_waiter waiter;
	wf_charge(&w, WF_COST_CALL);
	int result = wf_cancelled(w);
	if (result == 0) {
		wf_lock(&s->lock);
		if (take_locked(s, n)) {
			wf_unlock(&s->lock);
		} else {
			waiter.data = (void *)n;
			result = wf_wait_locked(&w, &s->lock, &s->waiters, &waiter, WF_WHY_SEM, s, deadline, WF_CANCELLABLE);
			if (wf_unlikely(result < 0))
				serve_the_rest(w, s);
		}
	}
	wf_leave(w);
	return result;
}

int weft_sem_wait_until(struct weft_sem *sem, unsigned n, weft_time deadline)
{
	struct wf_sem *s = inner(sem);
	struct wf_worker *w = wf_worker_self();
	if (wf_likely(wf_pay(w) && wf_cancelled(w) == 0 && take(s, n)))
		return 0;
	return wait_slow(s, n, deadline);
}

int weft_sem_wait(struct weft_sem *sem, unsigned n)
{
	return weft_sem_wait_until(sem, n, WEFT_NEVER);
}

int weft_sem_trywait(struct weft_sem *sem, unsigned n)
{
	struct wf_sem *s = inner(sem);
	struct wf_worker *w = wf_worker_self();
	wf_pay_here(w);
	if (wf_cancelled(w) != 0)
		return -ECANCELED;
	if (wf_likely(take(s, n)))
		return 0;
	if (!(wf_load(&s->state) & QUEUED)) /* relaxed: there were too few, at some moment of this call */
		return -EAGAIN;
	wf_lock(&s->lock);
	bool can = wf_waitq_empty(&s->waiters) && wf_load(&s->state) >> SHIFT >= n && take_locked(s, n);
	wf_unlock(&s->lock);
	return can ? 0 : -EAGAIN;
}

/* False: somebody may be waiting. */
static bool post_alone(struct wf_sem *s, uintptr_t n)
{
	for (;;) {
		uintptr_t state = wf_load(&s->state);
		if (wf_unlikely((state >> SHIFT) + n > PERMITS_MAX))
			wf_fatal("semaphore %p would have more than 2^62 permits", (void *)s);
		if (state & QUEUED)
			return false;
		if (wf_cas_release(&s->state, state, state + (n << SHIFT))) /* pairs with the acquires in take */
			return true;
	}
}

static WF_NOINLINE void post_slow(struct wf_sem *s, uintptr_t n)
{
	struct wf_worker *w = wf_enter_here();
	struct wf_list served = {{NULL, NULL}};
	uintptr_t state;
	wf_lock(&s->lock);
	do
		state = wf_load(&s->state);
	while (!wf_cas_full(&s->state, state, (state + (n << SHIFT)) | QUEUED));
	serve_locked(s, &served);
	wf_unlock(&s->lock);
	wf_wake_all(w, &served);
	wf_leave(w);
}

void weft_sem_post(struct weft_sem *sem, unsigned n)
{
	struct wf_sem *s = inner(sem);
	wf_pay_here(wf_worker_self());
	if (wf_unlikely(!post_alone(s, n)))
		post_slow(s, n);
}
