/* Conditions: a queue of waiters, oldest first. A signal claims the first that still waits, so one that has given up cannot
 * swallow it. A broadcast does not wake a crowd that would fight for the mutex: it moves all who wait to the queue of the mutex. */
#include "sync.h"

enum { GOING = 1 };

struct wf_cond {
	struct wf_lock lock; /* guards the queue; a waiter's data is its mutex */
	struct wf_waitq waiters;
};

WF_FITS(struct wf_cond, struct weft_cond, 32);

static struct wf_cond *inner(struct weft_cond *cond)
{
	return (struct wf_cond *)(void *)cond;
}

/* One that was signalled and runs next on this processor, which is the caller's until it has parked, gets the mutex handed over
 * if nobody else waits for it: that saves each of the two an atomic operation. GOING in its wait's object says that it is on its
 * way to this mutex; it takes that off when it runs. */
static bool hand_to_next(struct wf_worker *w, struct wf_mutex *m)
{
	struct weft_co *next = w && w->proc->next_left > 0 ? w->proc->next : NULL;
	if (!next || wf_load(&next->wait.object) != ((uintptr_t)m | GOING) || wf_u32_load(&m->state) != WF_MUTEX_LOCKED)
		return false;
	next->wait.result = WF_MUTEX_HANDED;
	return true;
}

int weft_cond_wait_until(struct weft_cond *cond, struct weft_mutex *mutex, weft_time deadline)
{
	struct wf_cond *c = inner(cond);
	struct wf_mutex *m = (struct wf_mutex *)(void *)mutex;
	struct wf_worker *w = wf_enter();
	struct wf_waiter waiter;
	int result = wf_cancelled(w);
	wf_pay_here(w);
	if (result < 0) {
		wf_leave(w);
		return result;
	}
	wf_lock(&c->lock);
	struct wf_wait *wait = wf_wait_begin(w, WF_WHY_COND, c);
	waiter.data = m;
	waiter.index = 0;
	wf_waitq_push(&c->waiters, &waiter, wait);
	wf_unlock(&c->lock);
	if (!hand_to_next(w, m))
		wf_mutex_unlock(w, m);
	result = wf_park(&w, wait, deadline, WF_CANCELLABLE);
	wf_store(&wait->object, 0); /* relaxed: read by whoever is on our processor */
	if (wf_unlikely(result < 0)) {
		wf_lock(&c->lock);
		wf_waitq_remove(&waiter);
		wf_unlock(&c->lock);
	}
	int locked = wf_mutex_lock(&w, m, WF_TIME_NEVER, WF_PLAIN, result < 0 ? WF_MUTEX_TRY : result);
	wf_assert(locked == 0);
	wf_leave(w);
	return result < 0 ? result : 0;
}

int weft_cond_wait(struct weft_cond *cond, struct weft_mutex *mutex)
{
	return weft_cond_wait_until(cond, mutex, WEFT_NEVER);
}

void weft_cond_signal(struct weft_cond *cond)
{
	struct wf_cond *c = inner(cond);
	struct wf_worker *w = wf_enter_here();
	wf_lock(&c->lock);
	struct wf_waiter *waiter;
	struct wf_wait *wait = wf_waitq_claim(&c->waiters, WF_MUTEX_TRY, &waiter);
	if (wait)
		wf_store(&wait->object, (uintptr_t)waiter->data | GOING); /* relaxed: as in hand_to_next */
	wf_unlock(&c->lock);
	if (wait)
		wf_wake(w, wait);
	wf_leave(w);
}

/* Takes those who wait for the same mutex as the first; NULL: the list is empty. */
static struct wf_mutex *take_same(struct wf_list *from, struct wf_list *to)
{
	struct wf_mutex *m = NULL;
	struct wf_link *l;
	while ((l = wf_list_first(from))) {
		struct wf_mutex *its = wf_container_of(l, struct wf_waiter, link)->data;
		if (m && its != m)
			break;
		m = its;
		wf_list_remove(l);
		wf_list_push(to, l);
	}
	return m;
}

void weft_cond_broadcast(struct weft_cond *cond)
{
	struct wf_cond *c = inner(cond);
	struct wf_worker *w = wf_enter_here();
	struct wf_list all = {{NULL, NULL}}, same = {{NULL, NULL}};
	struct wf_waiter *waiter;
	struct wf_mutex *m;
	wf_lock(&c->lock);
	while (wf_waitq_claim(&c->waiters, WF_MUTEX_TRY, &waiter))
		wf_list_push(&all, &waiter->link);
	wf_unlock(&c->lock);
	while ((m = take_same(&all, &same)))
		wf_mutex_adopt(w, m, &same);
	wf_leave(w);
}
