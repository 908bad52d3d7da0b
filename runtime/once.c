/* Once. Whoever finds it untouched runs its function; others queue. A function that fails passes the turn on to the first of
 * them. */
#include "sync.h"

#include "check.h"

enum { UNTOUCHED, RUNNING, DONE };

enum { NOTHING_TO_DO, YOUR_TURN };

struct wf_once {
	wf_word state;
	wf_word runner;      /* the coroutine that runs its function, 0: a plain thread; written by that one only */
	struct wf_lock lock; /* guards the queue, and every change of the state */
	struct wf_waitq waiters;
};

WF_FITS(struct wf_once, struct weft_once, 48);

static struct wf_once *inner(struct weft_once *once)
{
	return (struct wf_once *)(void *)once;
}

/* DONE, or the turn for one's own function; -ECANCELED. */
static int wait_turn(struct wf_once *o, enum wf_park_flags flags)
{
	struct wf_worker *w = wf_enter();
	uintptr_t self = w ? w->co->id : 0;
	struct wf_waiter waiter;
	wf_charge(&w, WF_COST_CALL);
	int result = flags & WF_CANCELLABLE ? wf_cancelled(w) : 0;
	if (result == 0) {
		wf_lock(&o->lock);
		if (wf_load(&o->state) == RUNNING) {
			if (self && wf_load(&o->runner) == self)
				wf_fatal("once %p: called again by its own function", (void *)o);
			result = wf_wait_locked(&w, &o->lock, &o->waiters, &waiter, WF_WHY_ONCE, o, WF_TIME_NEVER, flags);
		} else {
			result = wf_load(&o->state) == DONE ? NOTHING_TO_DO : YOUR_TURN;
			if (result == YOUR_TURN)
				wf_store(&o->state, RUNNING); /* relaxed: under the lock */
			wf_unlock(&o->lock);
		}
	}
	if (result == YOUR_TURN)
		wf_store(&o->runner, self); /* relaxed: only this coroutine will find it equal */
	wf_leave(w);
	return result;
}

static void finish(struct wf_once *o, bool done)
{
	struct wf_worker *w = wf_enter_here();
	struct wf_list list = {{NULL, NULL}};
	struct wf_waiter *waiter;
	wf_lock(&o->lock);
	wf_store(&o->runner, 0); /* relaxed: as above */
	while (wf_waitq_claim(&o->waiters, done ? NOTHING_TO_DO : YOUR_TURN, &waiter)) {
		wf_list_push(&list, &waiter->link);
		if (!done)
			break;
	}
	if (done)
		wf_store_release(&o->state, DONE); /* pairs with the acquire in is_done */
	else if (wf_list_empty(&list))
		wf_store(&o->state, UNTOUCHED); /* relaxed: under the lock */
	wf_unlock(&o->lock);
	wf_wake_all(w, &list);
	wf_leave(w);
}

static bool is_done(const struct wf_once *o)
{
	return wf_pay(wf_worker_self()) && wf_load_acquire(&o->state) == DONE; /* pairs with the release in finish */
}

static WF_NOINLINE int once_slow(struct wf_once *o, weft_fn *fn, void *arg, enum wf_park_flags flags)
{
	int result = wait_turn(o, flags);
	if (result != YOUR_TURN)
		return result;
	result = fn(arg);
	finish(o, result >= 0);
	return result < 0 ? result : 0;
}

struct call {
	void (*fn)(void *arg);
	void *arg;
};

static int run_call(void *arg)
{
	struct call *call = arg;
	call->fn(call->arg);
	return 0;
}

void weft_once(struct weft_once *once, void (*fn)(void *arg), void *arg)
{
	struct call call = {fn, arg};
	if (wf_unlikely(!is_done(inner(once))))
		(void)!once_slow(inner(once), run_call, &call, WF_PLAIN);
}

int weft_once_try(struct weft_once *once, weft_fn *fn, void *arg)
{
	if (wf_likely(is_done(inner(once))) && wf_cancelled(wf_worker_self()) == 0)
		return 0;
	return once_slow(inner(once), fn, arg, WF_CANCELLABLE);
}
