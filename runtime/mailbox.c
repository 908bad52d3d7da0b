/* Mailboxes. Messages are numbered as they come. Those that are kept, then those of the senders who wait, are one sequence in the
 * order of their numbers, and a receive goes through it once:
 *
 *   kept      only the receiver takes out; so what it looks at, outside the lock, stays where it is
 *   senders   somebody waits only while it is full; each can leave at any time, by deadline or cancel
 *
 * The receiver looks at copies, for the originals in the senders' memory can go. A sender whose message it then wants may have
 * left: that is decided by the claim, like every end of a wait.
 *
 * Whoever is through, be it that its message was kept or that it was taken from its hands, does not come back to the mailbox. */
#include <weft/mailbox.h>

#include <stdlib.h>
#include <string.h>

#include "sync.h"

enum { CLOSED, SENT, NEWS = 1 };

struct message {
	struct wf_link link; /* in kept or unused */
	uint64_t number;
	char value[];
};

struct sender {
	struct wf_waiter waiter;
	uint64_t number;
	const void *elem;
};

struct weft_mailbox {
	struct wf_lock lock;
	bool closed;
	bool receiving;
	wf_u32 count;            /* kept; written under the lock */
	size_t elem_size, stride;
	size_t touched, capacity; /* of the pool, how many messages have ever been used; how many there are */
	uint64_t next;           /* the next number */
	struct wf_list kept, unused;
	struct wf_waitq senders;
	struct wf_waitq receiver; /* one at most */
	struct wf_link *looked;  /* among the senders: the last one that this receive has looked at; NULL: none */
	char *pool;
};

int weft_mailbox_create(struct weft_mailbox **mailbox, size_t elem_size, size_t capacity)
{
	const size_t align = _Alignof(max_align_t);
	size_t stride, bytes;
	if (!mailbox || capacity == 0 || capacity > WEFT_MAILBOX_CAPACITY_MAX ||
	    __builtin_add_overflow(elem_size, sizeof(struct message) + align - 1, &stride) ||
	    __builtin_mul_overflow(stride &= ~(align - 1), capacity, &bytes) || bytes > PTRDIFF_MAX)
		return -EINVAL;
	struct weft_mailbox *mb = calloc(1, sizeof *mb);
	char *pool = malloc(bytes);
	if (!mb || !pool) {
		free(mb);
		free(pool);
		return -ENOMEM;
	}
	mb->elem_size = elem_size;
	mb->stride = stride;
	mb->capacity = capacity;
	mb->next = 1;
	mb->pool = pool;
	*mailbox = mb;
	return 0;
}

int weft_mailbox_destroy(struct weft_mailbox *mb)
{
	if (!mb)
		return 0;
	struct wf_worker *w = wf_enter_here();
	wf_lock(&mb->lock);
	bool busy = mb->receiving || !wf_waitq_empty(&mb->senders);
	wf_unlock(&mb->lock);
	if (!busy) {
		free(mb->pool);
		free(mb);
	}
	wf_leave(w);
	return busy ? -EBUSY : 0;
}

/* `to` and `from` may be NULL if nothing is wanted, or there is nothing. */
static void copy(const struct weft_mailbox *mb, void *to, const void *from)
{
	if (to && mb->elem_size > 0)
		memcpy(to, from, mb->elem_size);
}

/* ---- sending ----------------------------------------------------------------------------------------------------------- */

/* False: there is no room. */
static bool keep_locked(struct weft_mailbox *mb, uint64_t number, const void *elem)
{
	struct wf_link *l = wf_list_pop(&mb->unused);
	if (!l && mb->touched == mb->capacity)
		return false;
	struct message *m = l ? wf_container_of(l, struct message, link) : (void *)(mb->pool + mb->touched++ * mb->stride);
	m->number = number;
	copy(mb, m->value, elem);
	wf_list_push(&mb->kept, &m->link);
	wf_u32_store(&mb->count, wf_u32_load(&mb->count) + 1);
	return true;
}

/* Entered with the lock held, left without. */
static int send_locked(struct wf_worker **w, struct weft_mailbox *mb, const void *elem, weft_time deadline)
{
	struct sender sender = {.number = mb->next++, .elem = elem};
	struct wf_wait *wait = NULL;
	if (!keep_locked(mb, sender.number, elem)) {
		wait = wf_wait_begin(*w, WF_WHY_MAILBOX_SEND, mb);
		wf_waitq_push(&mb->senders, &sender.waiter, wait);
	}
	struct wf_wait *receiver = wf_waitq_claim(&mb->receiver, NEWS, NULL);
	wf_unlock(&mb->lock);
	if (receiver)
		wf_wake(*w, receiver);
	if (!wait)
		return 0;
	int result = wf_park(w, wait, deadline, WF_CANCELLABLE);
	if (result >= 0)
		return result == SENT ? 0 : -EPIPE;
	wf_lock(&mb->lock);
	struct wf_link *former = sender.waiter.link.prev;
	if (mb->looked == &sender.waiter.link)
		mb->looked = former == &mb->senders.list.head ? NULL : former;
	wf_waitq_remove(&sender.waiter);
	wf_unlock(&mb->lock);
	return result;
}

int weft_mailbox_send_until(struct weft_mailbox *mb, const void *elem, weft_time deadline)
{
	if (!mb || (!elem && mb->elem_size > 0))
		return -EINVAL;
	struct wf_worker *w = wf_enter();
	wf_charge(&w, WF_COST_CALL);
	int result = wf_cancelled(w);
	if (result == 0) {
		wf_lock(&mb->lock);
		if (!mb->closed) {
			result = send_locked(&w, mb, elem, deadline);
		} else {
			wf_unlock(&mb->lock);
			result = -EPIPE;
		}
	}
	wf_leave(w);
	return result;
}

int weft_mailbox_send(struct weft_mailbox *mb, const void *elem)
{
	return weft_mailbox_send_until(mb, elem, WEFT_NEVER);
}

int weft_mailbox_try_send(struct weft_mailbox *mb, const void *elem)
{
	if (!mb || (!elem && mb->elem_size > 0))
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	struct wf_wait *receiver = NULL;
	wf_lock(&mb->lock);
	int result = mb->closed ? -EPIPE : keep_locked(mb, mb->next, elem) ? 0 : -EAGAIN;
	if (result == 0) {
		mb->next++;
		receiver = wf_waitq_claim(&mb->receiver, NEWS, NULL);
	}
	wf_unlock(&mb->lock);
	if (receiver)
		wf_wake(w, receiver);
	wf_leave(w);
	return result;
}

int weft_mailbox_close(struct weft_mailbox *mb)
{
	if (!mb)
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	struct wf_list woken = {0};
	struct wf_waiter *waiter;
	wf_lock(&mb->lock);
	bool closed = mb->closed;
	mb->closed = true;
	mb->looked = NULL;
	while (wf_waitq_claim(&mb->senders, CLOSED, &waiter))
		wf_list_push(&woken, &waiter->link);
	if (wf_waitq_claim(&mb->receiver, NEWS, &waiter))
		wf_list_push(&woken, &waiter->link);
	wf_unlock(&mb->lock);
	wf_wake_all(w, &woken);
	wf_leave(w);
	return closed ? -EALREADY : 0;
}

/* ---- receiving --------------------------------------------------------------------------------------------------------- */

/* One receive. */
struct search {
	weft_match_fn *match; /* NULL: any message */
	void *arg;
	uint64_t from;        /* messages before this number are not looked at (any more) */
	struct message *last; /* that was looked at, of those kept; NULL: none */
	void *elem;
	weft_time deadline;
	enum wf_park_flags flags; /* WF_PLAIN: it does not wait at all */
};

static struct message *next_kept_locked(const struct weft_mailbox *mb, const struct search *s)
{
	const struct wf_link *end = &mb->kept.head;
	struct wf_link *l = s->last ? s->last->link.next : wf_list_first(&mb->kept);
	if (!s->last && s->from > 0 && l) {
		struct wf_link *before = end->prev; /* of those that are new, there are few */
		while (before != end && wf_container_of(before, struct message, link)->number >= s->from)
			before = before->prev;
		l = before->next;
	}
	return l && l != end ? wf_container_of(l, struct message, link) : NULL;
}

static struct sender *next_sender_locked(const struct weft_mailbox *mb, const struct search *s)
{
	const struct wf_link *end = &mb->senders.list.head;
	struct wf_link *l = mb->looked ? mb->looked->next : wf_list_first(&mb->senders.list);
	while (l && l != end) {
		struct sender *sender = wf_container_of(l, struct sender, waiter.link);
		if (sender->number >= s->from)
			return sender;
		l = l->next;
	}
	return NULL;
}

/* Goes on to the next message, copies it for a look, and returns its number; 0: there is none. */
static uint64_t look_locked(struct weft_mailbox *mb, struct search *s)
{
	struct message *m = next_kept_locked(mb, s);
	if (m) {
		s->last = m;
		copy(mb, s->elem, m->value);
		return m->number;
	}
	struct sender *sender = next_sender_locked(mb, s);
	if (!sender)
		return 0;
	mb->looked = &sender->waiter.link;
	copy(mb, s->elem, sender->elem);
	return sender->number;
}

/* There may be room: the first who waits comes in. */
static struct wf_wait *admit_locked(struct weft_mailbox *mb)
{
	struct wf_waiter *waiter;
	struct wf_wait *woken = wf_waitq_claim(&mb->senders, SENT, &waiter);
	if (woken) {
		struct sender *sender = wf_container_of(waiter, struct sender, waiter);
		keep_locked(mb, sender->number, sender->elem);
	}
	return woken;
}

/* Takes the message that was looked at. False: its sender has left with it. */
static bool take_locked(struct weft_mailbox *mb, const struct search *s, uint64_t number, struct wf_wait **woken)
{
	if (s->last && s->last->number == number) {
		wf_list_remove(&s->last->link);
		wf_list_push_front(&mb->unused, &s->last->link);
		wf_u32_store(&mb->count, wf_u32_load(&mb->count) - 1);
		*woken = admit_locked(mb);
		return true;
	}
	struct sender *sender = mb->looked ? wf_container_of(mb->looked, struct sender, waiter.link) : NULL;
	if (!sender || sender->number != number || !wf_claim(sender->waiter.wait, sender->waiter.ticket, SENT))
		return false;
	wf_list_remove(&sender->waiter.link);
	*woken = sender->waiter.wait;
	return true;
}

/* The lock is let go of to wait. The number of a message to decide about; 0: there is none, *result tells why. */
static uint64_t find_locked(struct wf_worker **w, struct weft_mailbox *mb, struct search *s, int *result)
{
	struct wf_waiter waiter;
	uint64_t number;
	while ((number = look_locked(mb, s)) == 0) {
		*result = mb->closed ? CLOSED : -EAGAIN;
		if (mb->closed || s->flags == WF_PLAIN)
			return 0;
		*result = wf_wait_locked(w, &mb->lock, &mb->receiver, &waiter, WF_WHY_MAILBOX_RECV, mb, s->deadline, s->flags);
		wf_lock(&mb->lock);
		if (*result < 0)
			return 0;
	}
	return number;
}

/* The owner's function runs without the lock, and outside. */
static bool is_wanted_locked(struct wf_worker **w, struct weft_mailbox *mb, const struct search *s)
{
	if (!s->match)
		return true;
	wf_unlock(&mb->lock);
	wf_leave(*w);
	bool wanted = s->match(s->elem, s->arg);
	*w = wf_enter();
	wf_charge(w, WF_COST_CALL);
	wf_lock(&mb->lock);
	return wanted;
}

static int search_locked(struct wf_worker **w, struct weft_mailbox *mb, struct search *s, struct wf_wait **woken)
{
	uint64_t number;
	int result = 0;
	while ((number = find_locked(w, mb, s, &result)) != 0) {
		if (is_wanted_locked(w, mb, s) && take_locked(mb, s, number, woken))
			return 1;
		s->from = number + 1;
	}
	return result;
}

static int receive(struct wf_worker **w, struct weft_mailbox *mb, struct search *s)
{
	struct wf_wait *woken = NULL;
	wf_lock(&mb->lock);
	if (mb->receiving) {
		wf_unlock(&mb->lock);
		return -EBUSY;
	}
	mb->receiving = true;
	int result = search_locked(w, mb, s, &woken);
	mb->receiving = false;
	mb->looked = NULL;
	wf_unlock(&mb->lock);
	if (woken)
		wf_wake(*w, woken);
	return result;
}

static int receive_until(struct weft_mailbox *mb, struct search *s)
{
	struct wf_worker *w = wf_enter();
	wf_charge(&w, WF_COST_CALL);
	int result = wf_cancelled(w);
	if (result == 0)
		result = receive(&w, mb, s);
	wf_leave(w);
	return result;
}

int weft_mailbox_recv_until(struct weft_mailbox *mb, void *elem, weft_time deadline)
{
	struct search s = {.elem = elem, .deadline = deadline, .flags = WF_CANCELLABLE};
	return mb ? receive_until(mb, &s) : -EINVAL;
}

int weft_mailbox_recv(struct weft_mailbox *mb, void *elem)
{
	return weft_mailbox_recv_until(mb, elem, WEFT_NEVER);
}

int weft_mailbox_try_recv(struct weft_mailbox *mb, void *elem)
{
	struct search s = {.elem = elem, .flags = WF_PLAIN};
	if (!mb)
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	int result = receive(&w, mb, &s);
	wf_leave(w);
	return result;
}

int weft_mailbox_recv_if(struct weft_mailbox *mb, weft_match_fn *match, void *arg, uint64_t *mark, void *elem, weft_time deadline)
{
	struct search s = {.match = match, .arg = arg, .elem = elem, .deadline = deadline, .flags = WF_CANCELLABLE};
	if (!mb || !match || (!elem && mb->elem_size > 0))
		return -EINVAL;
	s.from = mark ? *mark : 0;
	int result = receive_until(mb, &s);
	if (mark)
		*mark = s.from;
	return result;
}

uint64_t weft_mailbox_mark(struct weft_mailbox *mb)
{
	if (!mb)
		return 0;
	struct wf_worker *w = wf_enter_here();
	wf_lock(&mb->lock);
	uint64_t next = mb->next;
	wf_unlock(&mb->lock);
	wf_leave(w);
	return next;
}

size_t weft_mailbox_len(const struct weft_mailbox *mb)
{
	return mb ? wf_u32_load(&mb->count) : 0; /* relaxed: a look */
}
