/* Watch cells. Whoever waits has seen the present value. A setting claims them all, and copies the value and its number to where
 * they want them before it wakes them: they do not come back to the cell, which may be gone by then. */
#include <weft/watch.h>

#include <stdlib.h>
#include <string.h>

#include "sync.h"

enum { ENDED, CHANGED };

struct weft_watch {
	struct wf_lock lock;
	bool closed;
	uint64_t number; /* of the value; 0: none yet */
	size_t elem_size;
	struct wf_waitq watchers;
	char value[];
};

struct watcher {
	struct wf_waiter waiter;
	uint64_t *seen;
	void *elem; /* NULL: not wanted */
};

int weft_watch_create(struct weft_watch **watch, size_t elem_size, const void *initial)
{
	if (!watch || elem_size > PTRDIFF_MAX - sizeof(struct weft_watch))
		return -EINVAL;
	struct weft_watch *c = calloc(1, sizeof *c + elem_size);
	if (!c)
		return -ENOMEM;
	c->elem_size = elem_size;
	if (initial) {
		memcpy(c->value, initial, elem_size);
		c->number = 1;
	}
	*watch = c;
	return 0;
}

int weft_watch_destroy(struct weft_watch *c)
{
	if (!c)
		return 0;
	struct wf_worker *w = wf_enter_here();
	wf_lock(&c->lock);
	bool busy = !wf_waitq_empty(&c->watchers);
	wf_unlock(&c->lock);
	if (!busy)
		free(c);
	wf_leave(w);
	return busy ? -EBUSY : 0;
}

static void show_locked(const struct weft_watch *c, uint64_t *seen, void *elem)
{
	if (seen)
		*seen = c->number;
	if (elem)
		memcpy(elem, c->value, c->elem_size);
}

/* Takes all who wait; they get the value if there is news. */
static void claim_all_locked(struct weft_watch *c, int news, struct wf_list *woken)
{
	struct wf_waiter *waiter;
	while (wf_waitq_claim(&c->watchers, news, &waiter)) {
		struct watcher *watcher = wf_container_of(waiter, struct watcher, waiter);
		if (news == CHANGED)
			show_locked(c, watcher->seen, watcher->elem);
		wf_list_push(woken, &waiter->link);
	}
}

int weft_watch_set(struct weft_watch *c, const void *elem)
{
	if (!c || (!elem && c->elem_size > 0))
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	struct wf_list woken = {0};
	wf_lock(&c->lock);
	int result = c->closed ? -EPIPE : 0;
	if (result == 0) {
		if (elem)
			memcpy(c->value, elem, c->elem_size);
		c->number++;
		claim_all_locked(c, CHANGED, &woken);
	}
	wf_unlock(&c->lock);
	wf_wake_all(w, &woken);
	wf_leave(w);
	return result;
}

int weft_watch_get(struct weft_watch *c, uint64_t *seen, void *elem)
{
	if (!c)
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	wf_lock(&c->lock);
	bool some = c->number > 0;
	if (some)
		show_locked(c, seen, elem);
	wf_unlock(&c->lock);
	wf_leave(w);
	return some;
}

/* Entered with the lock held, left without. */
static int wait_locked(struct wf_worker **w, struct weft_watch *c, uint64_t *seen, void *elem, weft_time deadline)
{
	struct watcher watcher = {.seen = seen, .elem = elem};
	if (c->number != *seen) {
		show_locked(c, seen, elem);
		wf_unlock(&c->lock);
		return CHANGED;
	}
	if (c->closed) {
		wf_unlock(&c->lock);
		return ENDED;
	}
	return wf_wait_locked(w, &c->lock, &c->watchers, &watcher.waiter, WF_WHY_WATCH, c, deadline, WF_CANCELLABLE);
}

int weft_watch_wait_until(struct weft_watch *c, uint64_t *seen, void *elem, weft_time deadline)
{
	if (!c || !seen)
		return -EINVAL;
	struct wf_worker *w = wf_enter();
	wf_charge(&w, WF_COST_CALL);
	int result = wf_cancelled(w);
	if (result == 0) {
		wf_lock(&c->lock);
		result = wait_locked(&w, c, seen, elem, deadline);
	}
	wf_leave(w);
	return result;
}

int weft_watch_wait(struct weft_watch *c, uint64_t *seen, void *elem)
{
	return weft_watch_wait_until(c, seen, elem, WEFT_NEVER);
}

int weft_watch_close(struct weft_watch *c)
{
	if (!c)
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	struct wf_list woken = {0};
	wf_lock(&c->lock);
	bool closed = c->closed;
	c->closed = true;
	claim_all_locked(c, ENDED, &woken);
	wf_unlock(&c->lock);
	wf_wake_all(w, &woken);
	wf_leave(w);
	return closed ? -EALREADY : 0;
}
