#include "chan.h"

#include <stdlib.h>

#define INLINE static inline __attribute__((always_inline)) /* switch.h tells why there are so few frames here */

int weft_chan_create(struct weft_chan **chan, size_t elem_size, size_t capacity)
{
	size_t bytes;
	if (!chan || capacity > WEFT_CHAN_CAPACITY_MAX || __builtin_mul_overflow(elem_size, capacity, &bytes) ||
	    __builtin_add_overflow(bytes, sizeof(struct weft_chan), &bytes) || bytes > PTRDIFF_MAX)
		return -EINVAL;
	struct weft_chan *ch = malloc(bytes);
	if (!ch)
		return -ENOMEM;
	memset(ch, 0, sizeof *ch);
	ch->elem_size = elem_size;
	ch->capacity = (uint32_t)capacity;
	wf_list_init(&ch->queues[WF_SENDERS].list);
	wf_list_init(&ch->queues[WF_RECEIVERS].list);
	*chan = ch;
	return 0;
}

int weft_chan_destroy(struct weft_chan *ch)
{
	if (!ch)
		return 0;
	struct wf_worker *w = wf_enter_here();
	wf_lock(&ch->lock);
	bool busy = !wf_waitq_empty(&ch->queues[WF_SENDERS]) || !wf_waitq_empty(&ch->queues[WF_RECEIVERS]);
	wf_unlock(&ch->lock);
	if (!busy)
		free(ch);
	wf_leave(w);
	return busy ? -EBUSY : 0;
}

/* ---- sending and receiving ------------------------------------------------------------------------------------------ */

static WF_COLD void leave_queue(struct weft_chan *ch, struct wf_waiter *waiter)
{
	wf_lock(&ch->lock);
	wf_waitq_remove(waiter);
	wf_unlock(&ch->lock);
}

/* Entered with the lock held, left without. 1 transferred, 0 closed, or why the wait ended. */
INLINE int wait_locked(struct wf_worker **w, struct weft_chan *ch, enum wf_chan_side side, void *elem, int64_t deadline)
{
	struct wf_waiter waiter;
	struct wf_wait *wait = wf_wait_begin(*w, side == WF_SENDERS ? WF_WHY_CHAN_SEND : WF_WHY_CHAN_RECV, ch);
	wf_chan_await_locked(ch, side, &waiter, wait, elem, 1);
	wf_unlock(&ch->lock);
	int result = wf_park(w, wait, deadline, WF_CANCELLABLE);
	if (wf_unlikely(result < 0))
		leave_queue(ch, &waiter);
	return result;
}

static bool can_send(const struct weft_chan *ch, const void *elem)
{
	return ch && (elem || ch->elem_size == 0);
}

INLINE int send_until(struct weft_chan *ch, const void *elem, int64_t deadline)
{
	if (wf_unlikely(!can_send(ch, elem)))
		return -EINVAL;
	struct wf_worker *w = wf_enter();
	struct wf_wait *woken;
	wf_charge(&w, WF_COST_CALL);
	int result = wf_cancelled(w);
	if (wf_unlikely(result < 0)) {
		wf_leave(w);
		return result;
	}
	wf_lock(&ch->lock);
	result = wf_chan_put_locked(ch, elem, &woken);
	if (result == -EAGAIN) {
		result = wait_locked(&w, ch, WF_SENDERS, (void *)(uintptr_t)elem, deadline);
		if (wf_likely(result >= 0))
			result = result == 1 ? 0 : -EPIPE;
	} else {
		wf_unlock(&ch->lock);
		wf_chan_wake(w, woken);
	}
	wf_leave(w);
	return result;
}

INLINE int recv_until(struct weft_chan *ch, void *elem, int64_t deadline)
{
	if (wf_unlikely(!ch))
		return -EINVAL;
	struct wf_worker *w = wf_enter();
	struct wf_wait *woken;
	wf_charge(&w, WF_COST_CALL);
	int result = wf_cancelled(w);
	if (wf_unlikely(result < 0)) {
		wf_leave(w);
		return result;
	}
	wf_lock(&ch->lock);
	result = wf_chan_take_locked(ch, elem, &woken);
	if (result == -EAGAIN) {
		result = wait_locked(&w, ch, WF_RECEIVERS, elem, deadline);
	} else {
		wf_unlock(&ch->lock);
		wf_chan_wake(w, woken);
	}
	wf_leave(w);
	return result;
}

int weft_chan_send(struct weft_chan *ch, const void *elem)
{
	return send_until(ch, elem, WF_TIME_NEVER);
}

int weft_chan_send_until(struct weft_chan *ch, const void *elem, weft_time deadline)
{
	return send_until(ch, elem, deadline);
}

int weft_chan_recv(struct weft_chan *ch, void *elem)
{
	return recv_until(ch, elem, WF_TIME_NEVER);
}

int weft_chan_recv_until(struct weft_chan *ch, void *elem, weft_time deadline)
{
	return recv_until(ch, elem, deadline);
}

int weft_chan_try_send(struct weft_chan *ch, const void *elem)
{
	if (!can_send(ch, elem))
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	struct wf_wait *woken;
	wf_lock(&ch->lock);
	int result = wf_chan_put_locked(ch, elem, &woken);
	wf_unlock(&ch->lock);
	wf_chan_wake(w, woken);
	wf_leave(w);
	return result;
}

int weft_chan_try_recv(struct weft_chan *ch, void *elem)
{
	if (!ch)
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	struct wf_wait *woken;
	wf_lock(&ch->lock);
	int result = wf_chan_take_locked(ch, elem, &woken);
	wf_unlock(&ch->lock);
	wf_chan_wake(w, woken);
	wf_leave(w);
	return result;
}

/* ---- closing -------------------------------------------------------------------------------------------------------- */

static void tell_closed_locked(struct weft_chan *ch, enum wf_chan_side side, struct wf_list *woken)
{
	struct wf_waiter *waiter;
	while ((waiter = wf_chan_claim_locked(ch, side))) {
		waiter->wait->result = waiter->index - 1;
		wf_list_push(woken, &waiter->link);
	}
}

int weft_chan_close(struct weft_chan *ch)
{
	if (!ch)
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	struct wf_list woken = { 0 };
	wf_lock(&ch->lock);
	bool closed = wf_u8_load(&ch->closed);
	wf_u8_store(&ch->closed, 1);
	tell_closed_locked(ch, WF_SENDERS, &woken);
	tell_closed_locked(ch, WF_RECEIVERS, &woken);
	wf_unlock(&ch->lock);
	wf_wake_all(w, &woken);
	wf_leave(w);
	return closed ? -EALREADY : 0;
}

size_t weft_chan_len(const struct weft_chan *ch)
{
	return ch ? wf_u32_load(&ch->count) : 0; /* relaxed: a look */
}

size_t weft_chan_cap(const struct weft_chan *ch)
{
	return ch ? ch->capacity : 0;
}
