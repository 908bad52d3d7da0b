/* Select: one wait, queued at every object that a case is about.
 *
 *   1 look at the cases without their locks. Some seem ready? Draw one, lock it, do it; done
 *   2 lock all, in order of address, each once: this is one instant. Some are ready? Draw one, do it, unlock all; done
 *   3 begin the wait, queue a waiter for each case, unlock all, park
 *   4 whoever claims the wait first does the transfer and tells which case it was. Others find it claimed and go on to their next
 *   5 leave the queues that the waker did not take us out of
 *
 * It comes into the queues only after it has looked there, so a select never meets itself.
 *
 * Descriptors (net/watch.c) are asked before 1, and queued at after 3. They only hint: what woke it may be gone when it looks, and
 * then it begins again. */
#include <weft/net.h>
#include <weft/select.h>

#include <stdlib.h>

#include "chan.h"
#include "exits.h"
#include "netpoll.h"

enum {
	FEW = 8,           /* cases that need no memory */
	MANY = 0x1fffffff, /* at most */
};

/* What ends the wait answers: this for a descriptor (or -EBADF, -ETIMEDOUT); 2 * case + CASE_WOKE when the case's channel was
 * closed, and one more when its transfer was made. */
enum { WATCH_WOKE, CASE_WOKE = 2 };

/* What a round says that has no result yet. */
enum { PARK = INT_MIN, AGAIN };

/* A case that is not off. */
struct entry {
	struct wf_lock *lock; /* of its object; NULL: a descriptor */
	int index;            /* of the case */
	int ready;            /* of entries[k]: which entry is the k-th ready one */
};

struct watched {
	struct wf_watch watch;
	int seen; /* by the last look */
};

struct select {
	struct wf_worker *w;
	struct weft_case *cases;
	struct entry *entries;     /* `count` with a lock, in its order; then `watches` descriptors */
	struct wf_waiter *waiters; /* of the first `count` */
	struct watched *watched;   /* of the others */
	int count, watches;
	bool joins;  /* there is one among the cases */
	bool sorted; /* the entries by their locks */
	bool armed;  /* the poller knows all descriptors */
	struct wf_wait *wait;
	struct wf_wait *woken; /* by our transfer */
};

/* ---- the cases ------------------------------------------------------------------------------------------------------ */

/* NULL: a descriptor, or it is off. */
static struct wf_lock *lock_of(const struct weft_case *c)
{
	if (c->op == WEFT_OP_RECV || c->op == WEFT_OP_SEND)
		return c->chan ? &c->chan->lock : NULL;
	if (c->op == WEFT_OP_EXIT)
		return c->exits ? &c->exits->lock : NULL;
	return c->op == WEFT_OP_JOIN && c->co ? &c->co->lock : NULL;
}

/* A hint; under the lock it says no for sure. */
static bool looks_ready(const struct weft_case *c)
{
	if (c->op == WEFT_OP_RECV)
		return wf_chan_can_take(c->chan);
	if (c->op == WEFT_OP_SEND)
		return wf_chan_can_put(c->chan);
	if (c->op == WEFT_OP_EXIT)
		return wf_exits_can_take(c->exits);
	return wf_u8_load(&c->co->state) == WF_STATE_DEAD;
}

/* The case's result, or -EAGAIN: it is not ready after all. */
static int do_locked(struct weft_case *c, struct wf_wait **woken)
{
	if (c->op == WEFT_OP_RECV)
		return wf_chan_take_locked(c->chan, c->elem, woken);
	if (c->op == WEFT_OP_SEND)
		return wf_chan_put_locked(c->chan, c->elem, woken);
	if (c->op == WEFT_OP_EXIT)
		return wf_exits_take_locked(c->exits, c->elem);
	return wf_u8_load(&c->co->flags) & WF_CO_ENDED ? 0 : -EAGAIN; /* relaxed: under the lock */
}

static void await_locked(struct weft_case *c, struct wf_waiter *waiter, struct wf_wait *wait, int answer)
{
	if (c->op == WEFT_OP_JOIN) {
		waiter->index = answer;
		wf_co_flag_locked(c->co, WF_CO_WATCHED);
		wf_waitq_push(&c->co->joiners, waiter, wait);
	} else if (c->op == WEFT_OP_EXIT) {
		wf_exits_await_locked(c->exits, waiter, wait, c->elem, answer);
	} else {
		wf_chan_await_locked(c->chan, c->op == WEFT_OP_SEND ? WF_SENDERS : WF_RECEIVERS, waiter, wait, c->elem, answer);
	}
}

/* ---- locks ---------------------------------------------------------------------------------------------------------- */

static void sort_few(struct entry *entries, int count)
{
	for (int i = 1; i < count; i++) {
		struct entry moved = entries[i];
		int at = i;
		for (; at > 0 && entries[at - 1].lock > moved.lock; at--)
			entries[at] = entries[at - 1];
		entries[at] = moved;
	}
}

static void sift_down(struct entry *entries, int from, int count)
{
	struct entry moved = entries[from];
	for (int child; (child = 2 * from + 1) < count; from = child) {
		if (child + 1 < count && entries[child].lock < entries[child + 1].lock)
			child++;
		if (entries[child].lock <= moved.lock)
			break;
		entries[from] = entries[child];
	}
	entries[from] = moved;
}

static void sort_many(struct entry *entries, int count)
{
	for (int i = count / 2; i-- > 0;)
		sift_down(entries, i, count);
	while (--count > 0) {
		struct entry last = entries[0];
		entries[0] = entries[count];
		entries[count] = last;
		sift_down(entries, 0, count);
	}
}

static void lock_all(struct select *s)
{
	struct wf_lock *former = NULL;
	if (!s->sorted)
		(s->count <= FEW ? sort_few : sort_many)(s->entries, s->count);
	s->sorted = true;
	for (struct entry *e = s->entries, *end = e + s->count; e < end; e++) {
		if (e->lock != former)
			wf_lock(e->lock);
		former = e->lock;
	}
}

static void unlock_all(struct select *s)
{
	struct wf_lock *former = NULL;
	for (struct entry *e = s->entries, *end = e + s->count; e < end; e++) {
		struct wf_lock *lock = e->lock;
		if (lock != former)
			wf_unlock(lock);
		former = lock;
	}
}

/* ---- looking -------------------------------------------------------------------------------------------------------- */

static int draw(struct wf_worker *w, int below)
{
	static wf_word draws; /* of plain threads */
	if (below == 1)
		return 0;
	uint32_t random = w ? wf_proc_random(w->proc)
			    : (uint32_t)(wf_add(&draws, 1) * UINT64_C(0x9e3779b97f4a7c15) >> 32); /* relaxed: any order will do */
	return (int)((uint64_t)random * (unsigned)below >> 32);
}

static int note_ready(struct select *s)
{
	int ready = 0;
	for (int i = 0, count = s->count; i < count; i++)
		if (looks_ready(&s->cases[s->entries[i].index]))
			s->entries[ready++].ready = i;
	for (int i = 0; i < s->watches; i++)
		if (s->watched[i].seen != 0)
			s->entries[ready++].ready = s->count + i;
	return ready;
}

static int do_entry(struct select *s, const struct entry *e, bool locked)
{
	if (!e->lock)
		return s->watched[e - s->entries - s->count].seen;
	if (!locked)
		wf_lock(e->lock);
	int result = do_locked(&s->cases[e->index], &s->woken);
	if (!locked)
		wf_unlock(e->lock);
	return result;
}

/* Draws among what looks ready, and does it: the index of its case. -EAGAIN: nothing was ready; at one instant, if all locks are
 * held. */
static int choose(struct select *s, bool locked)
{
	for (int ready = note_ready(s); ready > 0; ready--) {
		int k = draw(s->w, ready);
		struct entry *e = &s->entries[s->entries[k].ready];
		int result = do_entry(s, e, locked);
		if (wf_likely(result != -EAGAIN)) {
			s->cases[e->index].result = result;
			return e->index;
		}
		s->entries[k].ready = s->entries[ready - 1].ready;
	}
	return -EAGAIN;
}

/* ---- waiting -------------------------------------------------------------------------------------------------------- */

static int queue_up_locked(struct select *s)
{
	s->wait = wf_wait_begin(s->w, s->watches ? WF_WHY_SELECT_FD : WF_WHY_SELECT, s->cases);
	for (int i = 0, count = s->count; i < count; i++) {
		int index = s->entries[i].index;
		await_locked(&s->cases[index], &s->waiters[i], s->wait, 2 * index + CASE_WOKE + 1);
	}
	return PARK;
}

/* No case is ready: the caller's own state decides, in the same instant. */
static int wait_locked(struct select *s, int64_t deadline)
{
	int result = wf_cancelled(s->w);
	if (result < 0)
		return result;
	if (deadline == WEFT_NOW)
		return -EAGAIN;
	if (s->watches == 0)
		return queue_up_locked(s);
	if (deadline != WEFT_NEVER && deadline <= wf_os_now())
		return -ETIMEDOUT;
	return s->armed ? queue_up_locked(s) : AGAIN;
}

/* Leaves the queues, but not that of the object which has woken us where it took us out itself: nobody may touch that again. */
static void leave_queues(struct select *s, const struct wf_lock *woken_by, bool all)
{
	for (int i = 0, end; i < s->count; i = end) {
		struct wf_lock *lock = s->entries[i].lock;
		for (end = i + 1; end < s->count && s->entries[end].lock == lock; end++)
			;
		if (lock == woken_by && (all || end == i + 1))
			continue;
		wf_lock(lock);
		for (int k = i; k < end; k++)
			wf_waitq_remove(&s->waiters[k]);
		wf_unlock(lock);
	}
	for (int i = 0; i < s->watches; i++)
		wf_watch_leave(&s->watched[i].watch);
}

/* The wait has ended with this answer: the result, or AGAIN. */
static int take_answer(struct select *s, int answer)
{
	if (answer < CASE_WOKE) {
		leave_queues(s, NULL, false);
		bool again = answer == WATCH_WOKE || (s->watches > 0 && (answer == -EBADF || answer == -ETIMEDOUT));
		return again ? AGAIN : answer;
	}
	int index = (answer - CASE_WOKE) / 2;
	bool transferred = (answer - CASE_WOKE) % 2;
	struct weft_case *c = &s->cases[index];
	leave_queues(s, lock_of(c), !transferred || c->op == WEFT_OP_JOIN);
	if (c->op == WEFT_OP_RECV)
		c->result = transferred;
	else
		c->result = transferred ? 0 : -EPIPE;
	return index;
}

/* ---- descriptors ---------------------------------------------------------------------------------------------------- */

static int begin_watches(struct select *s)
{
	s->watched = malloc((size_t)s->watches * sizeof *s->watched);
	if (!s->watched)
		return -ENOMEM;
	s->armed = true;
	for (int i = 0; i < s->watches; i++) {
		const struct weft_case *c = &s->cases[s->entries[s->count + i].index];
		s->armed = wf_watch_begin(&s->watched[i].watch, &s->w, c->fd, c->dirs) && s->armed;
	}
	return AGAIN;
}

static void end_watches(struct select *s)
{
	for (int i = 0; i < s->watches; i++)
		wf_watch_end(&s->watched[i].watch, &s->w);
	free(s->watched);
}

static void look_at_watches(struct select *s)
{
	for (int i = 0; i < s->watches; i++)
		s->watched[i].seen = wf_watch_look(&s->watched[i].watch);
}

static int arm_watches(struct select *s)
{
	for (int i = 0; i < s->watches; i++) {
		int r = wf_watch_arm(&s->watched[i].watch, &s->w);
		if (r < 0)
			return r;
	}
	s->armed = true;
	return AGAIN;
}

/* One that changed since the look ends the wait at once. */
static void queue_up_watches(struct select *s)
{
	bool same = true;
	for (int i = 0; i < s->watches; i++)
		same = wf_watch_queue(&s->watched[i].watch, s->w, s->wait) && same;
	if (!same && wf_claim(s->wait, wf_wait_ticket(s->wait), WATCH_WOKE))
		wf_wake(s->w, s->wait);
}

/* ---- the call ------------------------------------------------------------------------------------------------------- */

/* What is wrong with a case, or 0. */
static int fault_of(const struct weft_case *c, const struct wf_worker *w)
{
	switch (c->op) {
	case WEFT_OP_SEND:
		return c->chan && !c->elem && c->chan->elem_size > 0 ? -EINVAL : 0;
	case WEFT_OP_FD:
		return c->fd >= 0 && (c->dirs == 0 || c->dirs & ~(WEFT_READ | WEFT_WRITE)) ? -EINVAL : 0;
	case WEFT_OP_JOIN:
		return c->co && w && c->co == w->co ? -EDEADLK : 0;
	default:
		return c->op == WEFT_OP_NONE || c->op == WEFT_OP_RECV || c->op == WEFT_OP_EXIT ? 0 : -EINVAL;
	}
}

/* Lists the cases that are not off: descriptors from the back of the room there is, then moved up behind the others. */
static int list_cases(struct select *s, int n)
{
	struct entry *at = s->entries, *back = at + n;
	const struct wf_lock *former = NULL;
	for (int i = 0; i < n; i++) {
		const struct weft_case *c = &s->cases[i];
		int fault = fault_of(c, s->w);
		if (wf_unlikely(fault < 0))
			return fault;
		struct wf_lock *lock = lock_of(c);
		if (wf_likely(lock != NULL)) {
			s->joins = s->joins || c->op == WEFT_OP_JOIN;
			s->sorted = s->sorted && former <= lock;
			former = lock;
			*at++ = (struct entry){ .lock = lock, .index = i };
		} else if (c->op == WEFT_OP_FD && c->fd >= 0) {
			*--back = (struct entry){ .lock = NULL, .index = i };
		}
	}
	s->count = (int)(at - s->entries);
	s->watches = (int)(s->entries + n - back);
	if (s->watches > 0)
		memmove(at, back, (size_t)s->watches * sizeof *at);
	return AGAIN;
}

static int begin(struct select *s, int n)
{
	int result = wf_cancelled(s->w);
	if (result < 0)
		return result;
	if (n > FEW) {
		s->entries = malloc((size_t)n * (sizeof(struct entry) + sizeof(struct wf_waiter)));
		if (!s->entries)
			return -ENOMEM;
		s->waiters = (struct wf_waiter *)(void *)(s->entries + n);
	}
	result = list_cases(s, n);
	return result == AGAIN && s->watches > 0 ? begin_watches(s) : result;
}

/* Looks, and queues up if there is nothing to be had: PARK. */
static int look(struct select *s, int64_t deadline)
{
	if (s->watches > 0)
		look_at_watches(s);
	int result = choose(s, false);
	if (result == -EAGAIN) {
		lock_all(s);
		result = choose(s, true);
		if (result == -EAGAIN)
			result = wait_locked(s, deadline);
		unlock_all(s);
	}
	wf_chan_wake(s->w, s->woken);
	if (result == AGAIN)
		result = arm_watches(s);
	else if (result == PARK && s->watches > 0)
		queue_up_watches(s);
	return result;
}

static inline __attribute__((always_inline)) int await_case(struct select *s, int64_t deadline)
{
	bool stay = wf_unlikely(s->joins) && !s->w;
	if (stay)
		wf_enter_guest(); /* once more: to be one while it waits, as in weft_join */
	int result = take_answer(s, wf_park(&s->w, s->wait, deadline, WF_CANCELLABLE));
	if (stay)
		wf_leave_guest();
	return result;
}

int weft_select(struct weft_case *cases, int n, weft_time deadline)
{
	struct entry entries[FEW];
	struct wf_waiter waiters[FEW];
	struct select s = { .cases = cases, .entries = entries, .waiters = waiters, .sorted = true };
	if (n < 0 || n > MANY || (n > 0 && !cases))
		return -EINVAL;
	s.w = wf_enter();
	wf_charge(&s.w, WF_COST_CALL + n / 4);
	int result = begin(&s, n);
	while (result == AGAIN)
		if ((result = look(&s, deadline)) == PARK)
			result = await_case(&s, deadline);
	if (wf_unlikely(s.watched != NULL))
		end_watches(&s);
	wf_leave(s.w);
	if (wf_unlikely(s.entries != entries))
		free(s.entries);
	return result;
}
