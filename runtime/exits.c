#include "exits.h"

#include <stdlib.h>

struct watch {
	struct wf_watcher of_co;
	struct wf_link link; /* in one list of the exits; in none: dropped */
	struct weft_exits *exits;
	struct weft_co *co;
	wf_word refs; /* the coroutine's, until it has ended, and the exits' */
	struct weft_ended ended;
};

static struct watch *watch_of(struct wf_link *l)
{
	return wf_container_of(l, struct watch, link);
}

/* ---- references ------------------------------------------------------------------------------------------------------ */

static void put_exits(struct weft_exits *e)
{
	if (wf_add_full(&e->refs, -1) == 1)
		free(e);
}

/* No lock is held. */
static void put(struct watch *x)
{
	if (wf_add_full(&x->refs, -1) != 1)
		return;
	put_exits(x->exits);
	free(x);
}

static void put_all(struct wf_list *list)
{
	struct wf_link *l;
	while ((l = wf_list_pop(list)))
		put(watch_of(l));
}

/* ---- notes ----------------------------------------------------------------------------------------------------------- */

int wf_exits_take_locked(struct weft_exits *e, struct weft_ended *ended)
{
	struct wf_link *l = wf_list_pop(&e->notes);
	if (!l)
		return -EAGAIN;
	wf_u32_store(&e->count, wf_u32_load(&e->count) - 1);
	if (ended)
		*ended = watch_of(l)->ended;
	wf_list_push(&e->spare, l);
	return 0;
}

/* Makes a note of it, or gives it to the first who waits, whom to wake; NULL: nobody. */
static struct wf_wait *note_locked(struct weft_exits *e, struct watch *x)
{
	struct wf_waiter *waiter;
	wf_list_remove(&x->link);
	if (!wf_waitq_claim(&e->waiters, 0, &waiter)) {
		wf_list_push(&e->notes, &x->link);
		wf_u32_store(&e->count, wf_u32_load(&e->count) + 1);
		return NULL;
	}
	struct weft_ended *ended = waiter->data;
	if (ended)
		*ended = x->ended;
	waiter->wait->result = waiter->index;
	wf_list_push(&e->spare, &x->link);
	return waiter->wait;
}

static void fire(struct wf_worker *w, struct wf_watcher *watcher, int result)
{
	struct watch *x = wf_container_of(watcher, struct watch, of_co);
	struct weft_exits *e = x->exits;
	struct wf_wait *woken = NULL;
	wf_lock(&e->lock);
	x->ended.result = result;
	if (wf_link_queued(&x->link))
		woken = note_locked(e, x);
	wf_unlock(&e->lock);
	if (woken)
		wf_wake(w, woken);
	put(x);
}

/* ---- watching -------------------------------------------------------------------------------------------------------- */

/* One that was used before, and is in nobody's hands any more; NULL: there is none. */
static struct watch *take_spare(struct weft_exits *e)
{
	struct watch *x = NULL;
	wf_lock(&e->lock);
	struct wf_link *l = wf_list_first(&e->spare);
	if (l && wf_load_acquire(&watch_of(l)->refs) == 1) { /* pairs with the full fetch-and-add in put */
		wf_list_remove(l);
		x = watch_of(l);
	}
	wf_unlock(&e->lock);
	return x;
}

static struct watch *make_watch(struct weft_exits *e)
{
	struct watch *x = take_spare(e);
	if (x || wf_stress_fails())
		return x;
	x = malloc(sizeof *x);
	if (x)
		wf_add_full(&e->refs, 1);
	return x;
}

int weft_exits_watch(struct weft_exits *e, struct weft_co *co, void *tag)
{
	if (!e || !co)
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	struct watch *x = make_watch(e);
	if (x) {
		*x = (struct watch){.of_co = {.fire = fire}, .exits = e, .co = co, .ended = {.id = weft_id(co), .tag = tag}};
		wf_store(&x->refs, 2); /* relaxed: published under the locks */
		wf_lock(&e->lock);
		wf_list_push(&e->watches, &x->link);
		wf_unlock(&e->lock);
		wf_lock(&co->lock);
		bool ended = wf_u8_load(&co->flags) & WF_CO_ENDED; /* relaxed: under the lock */
		int result = ended ? co->result : 0;
		x->of_co.waits = !ended;
		if (!ended) {
			wf_co_flag_locked(co, WF_CO_WATCHED);
			wf_list_push(&co->watchers, &x->of_co.link);
		}
		wf_unlock(&co->lock);
		if (ended)
			fire(w, &x->of_co, result);
	}
	wf_leave(w);
	return x ? 0 : -ENOMEM;
}

/* Takes it off the coroutine's list: false if the coroutine is about to fire it. The lock is held. */
static bool leave_co_locked(struct watch *x)
{
	bool waits = x->of_co.waits;
	if (waits)
		wf_list_remove(&x->of_co.link);
	x->of_co.waits = false;
	return waits;
}

static struct watch *find_locked(const struct weft_co *co, const struct weft_exits *e)
{
	const struct wf_link *end = &co->watchers.head;
	for (struct wf_link *l = wf_list_first(&co->watchers); l && l != end; l = l->next) {
		struct watch *x = wf_container_of(wf_container_of(l, struct wf_watcher, link), struct watch, of_co);
		if (x->of_co.fire == fire && x->exits == e)
			return x;
	}
	return NULL;
}

int weft_exits_unwatch(struct weft_exits *e, struct weft_co *co)
{
	if (!e || !co)
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	wf_lock(&co->lock);
	struct watch *x = find_locked(co, e);
	if (x)
		leave_co_locked(x);
	wf_unlock(&co->lock);
	if (x) {
		wf_lock(&e->lock);
		wf_list_remove(&x->link);
		wf_list_push(&e->spare, &x->link);
		wf_unlock(&e->lock);
		put(x);
	}
	wf_leave(w);
	return x ? 0 : -ENOENT;
}

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

/* Entered with the lock held, left without. */
static int wait_locked(struct wf_worker **w, struct weft_exits *e, struct weft_ended *ended, int64_t deadline)
{
	struct wf_waiter waiter;
	struct wf_wait *wait = wf_wait_begin(*w, WF_WHY_EXIT, e);
	wf_exits_await_locked(e, &waiter, wait, ended, 0);
	wf_unlock(&e->lock);
	int result = wf_park(w, wait, deadline, WF_CANCELLABLE);
	if (result < 0) {
		wf_lock(&e->lock);
		wf_waitq_remove(&waiter);
		wf_unlock(&e->lock);
	}
	return result;
}

int weft_exits_next_until(struct weft_exits *e, struct weft_ended *ended, weft_time deadline)
{
	if (!e)
		return -EINVAL;
	struct wf_worker *w = wf_enter();
	wf_charge(&w, WF_COST_CALL);
	int result = wf_cancelled(w);
	if (result == 0) {
		wf_lock(&e->lock);
		result = wf_exits_take_locked(e, ended);
		if (result == -EAGAIN)
			result = wait_locked(&w, e, ended, deadline);
		else
			wf_unlock(&e->lock);
	}
	wf_leave(w);
	return result;
}

int weft_exits_next(struct weft_exits *e, struct weft_ended *ended)
{
	return weft_exits_next_until(e, ended, WEFT_NEVER);
}

/* ---- making and ending ----------------------------------------------------------------------------------------------- */

int weft_exits_create(struct weft_exits **exits)
{
	if (!exits)
		return -EINVAL;
	struct weft_exits *e = wf_stress_fails() ? NULL : calloc(1, sizeof *e);
	if (!e)
		return -ENOMEM;
	wf_store(&e->refs, 1);
	*exits = e;
	return 0;
}

/* The oldest watch of a coroutine that has not ended is dropped; NULL: there is none. */
static struct watch *drop(struct weft_exits *e)
{
	wf_lock(&e->lock);
	struct wf_link *l = wf_list_pop(&e->watches);
	wf_unlock(&e->lock);
	return l ? watch_of(l) : NULL;
}

int weft_exits_destroy(struct weft_exits *e)
{
	if (!e)
		return 0;
	struct wf_worker *w = wf_enter_here();
	wf_lock(&e->lock);
	bool busy = !wf_waitq_empty(&e->waiters);
	wf_unlock(&e->lock);
	if (!busy) {
		for (struct watch *x; (x = drop(e));) {
			wf_lock(&x->co->lock);
			bool waited = leave_co_locked(x);
			wf_unlock(&x->co->lock);
			if (waited)
				put(x);
			put(x);
		}
		put_all(&e->notes);
		put_all(&e->spare);
		put_exits(e);
	}
	wf_leave(w);
	return busy ? -EBUSY : 0;
}
