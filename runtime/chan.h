/* Rank 5. A channel, inside; what chan.c and select.c share. Functions with _locked: its lock is held.
 *
 * Who waits is in one of two queues. A waiter's data is the address of its value, its index what it wants to hear when the transfer
 * has been made (and one less when the channel was closed).
 *
 *   receivers wait    while no value is kept, no sender waits, and it is not closed
 *   senders wait      while as many values are kept as can be, no receiver waits, and it is not closed
 *
 * (But for the two sides of one select: these never meet.) So a sender looks for a receiver first and then for room, and whoever
 * takes from a full channel lets the first sender's value in at once.
 *
 * Between claim and wake the other side's stack is this side's to read and write. The channel is let go before the wake, and
 * whoever was woken does not touch it again: only a wait that ended by deadline or cancel comes back to leave the queue. That is
 * why the last to use a channel can destroy it while the other is still on its way out. */
#ifndef WF_CHAN_H
#define WF_CHAN_H

#include <weft/chan.h>

#include <errno.h>
#include <string.h>

#include "park.h"

enum wf_chan_side { WF_SENDERS, WF_RECEIVERS };

/* The atomic fields are written under the lock, and can be looked at without it: then they are hints. */
struct weft_chan {
	struct wf_lock lock;
	wf_u32 count;      /* values kept */
	uint32_t first;    /* place of the oldest */
	uint32_t capacity;
	size_t elem_size;
	wf_u8 closed;
	wf_u8 awaited[2];  /* by side; 0: nobody is in its queue */
	struct wf_waitq queues[2]; /* their lists are initialised */
	char values[];     /* a ring */
};

/* The usual sizes without a call. `to` NULL: nobody wants it. */
static inline void wf_chan_copy(void *to, const void *from, size_t n)
{
	if (wf_unlikely(!to))
		return;
	if (wf_likely(n == 8))
		memcpy(to, from, 8);
	else if (n == 4)
		memcpy(to, from, 4);
	else if (n != 0)
		memcpy(to, from, n);
}

/* The place of the value that is n behind the oldest. */
static inline char *wf_chan_place(struct weft_chan *ch, uint32_t n)
{
	uint32_t at = ch->first + n;
	return ch->values + (at >= ch->capacity ? at - ch->capacity : at) * ch->elem_size;
}

/* Whether a send, a receive, would not have to wait. Exact under the lock, but for waiters that have gone. */
static inline bool wf_chan_can_put(const struct weft_chan *ch)
{
	return wf_u32_load(&ch->count) < ch->capacity || wf_u8_load(&ch->awaited[WF_RECEIVERS]) || wf_u8_load(&ch->closed);
}

static inline bool wf_chan_can_take(const struct weft_chan *ch)
{
	return wf_u32_load(&ch->count) > 0 || wf_u8_load(&ch->awaited[WF_SENDERS]) || wf_u8_load(&ch->closed);
}

/* Queues a wait that was begun. elem: where its value is, or goes. */
static inline void wf_chan_await_locked(struct weft_chan *ch, enum wf_chan_side side, struct wf_waiter *waiter,
					struct wf_wait *wait, void *elem, int answer)
{
	waiter->wait = wait;
	waiter->ticket = wf_wait_ticket(wait);
	waiter->data = elem;
	waiter->index = answer;
	wf_list_insert(&ch->queues[side].list.head, &waiter->link);
	wf_u8_store(&ch->awaited[side], 1);
}

/* Takes waiters off the queue until one can be claimed. */
static inline struct wf_waiter *wf_chan_claim_locked(struct weft_chan *ch, enum wf_chan_side side)
{
	struct wf_link *head = &ch->queues[side].list.head, *l;
	struct wf_waiter *waiter = NULL;
	if (!wf_u8_load(&ch->awaited[side]))
		return NULL;
	while (!waiter && (l = head->next) != head) {
		waiter = wf_container_of(l, struct wf_waiter, link);
		wf_list_remove(l);
		if (wf_unlikely(!wf_claim(waiter->wait, waiter->ticket, waiter->index)))
			waiter = NULL;
	}
	if (head->next == head)
		wf_u8_store(&ch->awaited[side], 0);
	return waiter;
}

/* The other side of a transfer that was made, NULL: there is none. The lock is no longer held, so that the channel may be gone. */
static inline void wf_chan_wake(struct wf_worker *w, struct wf_wait *woken)
{
	wf_assert(wf_locks_held() == 0);
	if (woken)
		wf_wake(w, woken);
}

/* 0 sent, -EPIPE, -EAGAIN: it would have to wait. *woken is for wf_chan_wake. */
static inline __attribute__((always_inline)) int wf_chan_put_locked(struct weft_chan *ch, const void *elem, struct wf_wait **woken)
{
	struct wf_waiter *receiver = wf_chan_claim_locked(ch, WF_RECEIVERS);
	*woken = receiver ? receiver->wait : NULL;
	if (receiver) {
		wf_chan_copy(receiver->data, elem, ch->elem_size);
		return 0;
	}
	uint32_t count = wf_u32_load(&ch->count);
	if (wf_unlikely(wf_u8_load(&ch->closed)))
		return -EPIPE;
	if (count == ch->capacity)
		return -EAGAIN;
	wf_chan_copy(wf_chan_place(ch, count), elem, ch->elem_size);
	wf_u32_store(&ch->count, count + 1);
	return 0;
}

/* 1 a value, 0 closed and drained, -EAGAIN. */
static inline __attribute__((always_inline)) int wf_chan_take_locked(struct weft_chan *ch, void *elem, struct wf_wait **woken)
{
	uint32_t count = wf_u32_load(&ch->count);
	char *oldest = ch->values + ch->first * ch->elem_size;
	if (count > 0)
		wf_chan_copy(elem, oldest, ch->elem_size);
	struct wf_waiter *sender = wf_chan_claim_locked(ch, WF_SENDERS);
	*woken = sender ? sender->wait : NULL;
	if (sender)
		wf_chan_copy(count > 0 ? oldest : elem, sender->data, ch->elem_size);
	else if (count > 0)
		wf_u32_store(&ch->count, count - 1);
	else
		return wf_u8_load(&ch->closed) ? 0 : -EAGAIN;
	if (count > 0 && ++ch->first == ch->capacity)
		ch->first = 0;
	return 1;
}

#endif
