/* Select: one wait, queued at every object that a case is about.
 *
 *   1 look at the cases without their locks. Some seem ready? Draw one, lock it, do it; done
 *   2 lock all, in order of address, each once, and look at each case under its lock. What was not ready then stays so while the
 *     lock is held: when all are held, this is one instant. Some are ready? Draw one, do it, unlock all; done
 *   3 begin the wait; queue a waiter for each case and unlock, one after the other; park
 *   4 whoever claims the wait first does the transfer and tells which case it was. Others find it claimed and go on to their next
 *   5 leave the queues that the waker did not take us out of
 *
 * It comes into the queues only after it has looked there, so a select never meets itself. 4 can come while 3 is still under way:
 * the later waiters are queued all the same, and are stale.
 *
 * Descriptors (net/watch.c) are asked before 1, and queued at after 3. They only hint: what woke it may be gone when it looks, and
 * then it begins again. */
#include <weft/net.h>
#include <weft/select.h>

#include <stdlib.h>

#include "chan.h"
#include "exits.h"
#include "netpoll.h"

#define INLINE static inline __attribute__((always_inline)) /* switch.h tells why there are so few frames here */

enum {
	FEW = 8,           /* cases that need no memory */
	MANY = 0x1fffffff, /* at most */
};

/* What ends the wait answers: this for a descriptor (or -EBADF, -ETIMEDOUT); 2 * entry + ENTRY_WOKE when the entry's channel was
 * closed, and one more when its transfer was made. */
enum { WATCH_WOKE, ENTRY_WOKE = 2 };

/* What a round says that has no result yet. */
enum { PARK = INT_MIN, AGAIN };

/* A case that is not off. */
struct entry {
	struct wf_lock *lock; /* of its object; NULL: a descriptor */
	struct weft_case *c;
	int ready;            /* of entries[k]: which entry is the k-th that looked ready */
};

struct watched {
	struct wf_watch watch;
	int seen; /* by the last look */
};

struct select {
	struct wf_worker *w;
	struct weft_case *cases;
	struct entry *entries;     /* `count` with a lock, then `watches` descriptors */
	struct wf_waiter *waiters; /* of the first `count` */
	struct watched *watched;   /* of the others */
	int count, watches;
	int ready;   /* looked so */
	bool sorted; /* the first `count` entries, by their locks */
	bool armed;  /* the poller knows all descriptors */
	struct wf_wait *wait;
	struct wf_wait *woken; /* by our transfer */
};

/* ---- the cases ------------------------------------------------------------------------------------------------------ */

/* What is wrong with a case, or 0. */
INLINE int fault_of(const struct weft_case *c, const struct wf_worker *w)
{
	if (wf_likely(c->op == WEFT_OP_RECV))
		return 0;
	switch (c->op) {
	case WEFT_OP_SEND:
		return c->chan && !c->elem && c->chan->elem_size > 0 ? -EINVAL : 0;
	case WEFT_OP_FD:
		return c->fd >= 0 && (c->dirs == 0 || c->dirs & ~(WEFT_READ | WEFT_WRITE)) ? -EINVAL : 0;
	case WEFT_OP_JOIN:
		return c->co && w && c->co == w->co ? -EDEADLK : 0;
	default:
		return c->op == WEFT_OP_NONE || c->op == WEFT_OP_EXIT ? 0 : -EINVAL;
	}
}

/* NULL: a descriptor, or it is off. */
INLINE struct wf_lock *lock_of(const struct weft_case *c)
{
	if (wf_likely(c->op == WEFT_OP_RECV) || c->op == WEFT_OP_SEND)
		return c->chan ? &c->chan->lock : NULL;
	if (c->op == WEFT_OP_EXIT)
		return c->exits ? &c->exits->lock : NULL;
	return c->op == WEFT_OP_JOIN && c->co ? &c->co->lock : NULL;
}

/* A hint; under the lock it says no for sure. */
INLINE bool looks_ready(const struct weft_case *c)
{
	if (wf_likely(c->op == WEFT_OP_RECV))
		return wf_chan_can_take(c->chan);
	if (c->op == WEFT_OP_SEND)
		return wf_chan_can_put(c->chan);
	if (c->op == WEFT_OP_EXIT)
		return wf_exits_can_take(c->exits);
	return wf_u8_load(&c->co->state) == WF_STATE_DEAD;
}

/* The case's result, or -EAGAIN: it is not ready after all. */
INLINE int do_locked(struct weft_case *c, struct wf_wait **woken)
{
	if (wf_likely(c->op == WEFT_OP_RECV))
		return wf_chan_take_locked(c->chan, c->elem, woken);
	if (c->op == WEFT_OP_SEND)
		return wf_chan_put_locked(c->chan, c->elem, woken);
	if (c->op == WEFT_OP_EXIT)
		return wf_exits_take_locked(c->exits, c->elem);
	return wf_u8_load(&c->co->flags) & WF_CO_ENDED ? 0 : -EAGAIN; /* relaxed: under the lock */
}

INLINE void await_locked(const struct weft_case *c, struct wf_waiter *waiter, struct wf_wait *wait, int answer)
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

static void sort(struct select *s)
{
	int at = 1;
	while (at < s->count && s->entries[at - 1].lock <= s->entries[at].lock)
		at++;
	if (at < s->count)
		(s->count <= FEW ? sort_few : sort_many)(s->entries, s->count);
	s->sorted = true;
}

/* Whether a case was ready. */
static bool lock_all(struct select *s)
{
	struct wf_lock *former = NULL;
	bool ready = false;
	if (!s->sorted)
		sort(s);
	for (struct entry *e = s->entries, *end = e + s->count; e < end; e++) {
		if (e->lock != former)
			wf_lock(e->lock);
		former = e->lock;
		ready = looks_ready(e->c) || ready;
	}
	return ready;
}

/* After an entry: its lock, unless it is the next one's too. */
static inline void unlock_after(const struct entry *e, const struct entry *end)
{
	if (e + 1 == end || e[1].lock != e->lock)
		wf_unlock(e->lock);
}

static void unlock_all(struct select *s)
{
	for (struct entry *e = s->entries, *end = e + s->count; e < end; e++)
		unlock_after(e, end);
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

static void note_ready(struct select *s)
{
	s->ready = 0;
	for (int i = 0; i < s->count; i++)
		if (looks_ready(s->entries[i].c))
			s->entries[s->ready++].ready = i;
	for (int i = 0; i < s->watches; i++)
		if (s->watched[i].seen != 0)
			s->entries[s->ready++].ready = s->count + i;
}

INLINE int do_entry(struct select *s, const struct entry *e, bool locked)
{
	if (wf_unlikely(!e->lock))
		return s->watched[e - s->entries - s->count].seen;
	if (!locked)
		wf_lock(e->lock);
	int result = do_locked(e->c, &s->woken);
	if (!locked)
		wf_unlock(e->lock);
	return result;
}

/* Draws among what looked ready, and does it: the index of its case. -EAGAIN: nothing was ready; at one instant, if all locks are
 * held. */
INLINE int choose(struct select *s, bool locked)
{
	for (int ready = s->ready; ready > 0; ready--) {
		int k = draw(s->w, ready);
		struct entry *e = &s->entries[s->entries[k].ready];
		int result = do_entry(s, e, locked);
		if (wf_likely(result != -EAGAIN)) {
			e->c->result = result;
			return (int)(e->c - s->cases);
		}
		s->entries[k].ready = s->entries[ready - 1].ready;
	}
	return -EAGAIN;
}

/* Something has become ready since the look without locks. */
static WF_COLD int choose_locked(struct select *s)
{
	note_ready(s);
	return choose(s, true);
}

/* ---- waiting -------------------------------------------------------------------------------------------------------- */

/* No case is ready: whether the caller's own state, in the same instant, lets it wait: PARK. */
static inline int may_wait(struct select *s, int64_t deadline)
{
	int result = wf_cancelled(s->w);
	if (wf_unlikely(result < 0))
		return result;
	if (wf_unlikely(deadline == WEFT_NOW))
		return -EAGAIN;
	if (wf_likely(s->watches == 0))
		return PARK;
	if (deadline != WEFT_NEVER && deadline <= wf_os_now())
		return -ETIMEDOUT;
	return s->armed ? PARK : AGAIN;
}

/* All locks are held, and then none. */
static inline void queue_up(struct select *s)
{
	struct wf_wait *wait = wf_wait_begin(s->w, s->watches ? WF_WHY_SELECT_FD : WF_WHY_SELECT, s->cases);
	struct wf_waiter *waiter = s->waiters;
	int answer = ENTRY_WOKE + 1;
	for (struct entry *e = s->entries, *end = e + s->count; e < end; e++, waiter++, answer += 2) {
		await_locked(e->c, waiter, wait, answer);
		unlock_after(e, end);
	}
	s->wait = wait;
}

/* Leaves the queues, but for the one that the waker has taken us out of, and, if `all`, the others of that object: nobody may touch
 * that again. woken_by NULL: all queues. */
static void leave_queues(struct select *s, const struct entry *woken_by, bool all)
{
	struct wf_waiter *waiter = s->waiters;
	for (struct entry *e = s->entries, *end = e + s->count; e < end; e++, waiter++) {
		if (e == woken_by || (all && e->lock == woken_by->lock))
			continue;
		wf_lock(e->lock);
		if (wf_likely(wf_link_queued(&waiter->link)))
			wf_list_remove(&waiter->link);
		wf_unlock(e->lock);
	}
	for (int i = 0; i < s->watches; i++)
		wf_watch_leave(&s->watched[i].watch);
}

/* The wait has ended with this answer: the result, or AGAIN. */
static int take_answer(struct select *s, int answer)
{
	if (wf_unlikely(answer < ENTRY_WOKE)) {
		leave_queues(s, NULL, false);
		bool again = answer == WATCH_WOKE || (s->watches > 0 && (answer == -EBADF || answer == -ETIMEDOUT));
		return again ? AGAIN : answer;
	}
	const struct entry *e = &s->entries[(answer - ENTRY_WOKE) / 2];
	bool transferred = (answer - ENTRY_WOKE) % 2;
	struct weft_case *c = e->c;
	leave_queues(s, e, !transferred || c->op == WEFT_OP_JOIN);
	if (c->op == WEFT_OP_RECV)
		c->result = transferred;
	else
		c->result = transferred ? 0 : -EPIPE;
	return (int)(c - s->cases);
}

/* ---- descriptors ---------------------------------------------------------------------------------------------------- */

static int begin_watches(struct select *s)
{
	s->watched = malloc((size_t)s->watches * sizeof *s->watched);
	if (!s->watched)
		return -ENOMEM;
	s->armed = true;
	for (int i = 0; i < s->watches; i++) {
		const struct weft_case *c = s->entries[s->count + i].c;
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
	note_ready(s);
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

/* Lists the cases that are not off, and looks at them: descriptors, which are looked at later, from the back of the room there is,
 * then moved up behind the others. */
INLINE int list_cases(struct select *s, int n)
{
	struct entry *entries = s->entries;
	int count = 0, watches = 0, ready = 0;
	for (struct weft_case *c = s->cases, *end = c ? c + n : c; c != end; c++) { /* where there are none, c can be NULL */
		int fault = fault_of(c, s->w);
		if (wf_unlikely(fault < 0))
			return fault;
		struct wf_lock *lock = lock_of(c);
		if (wf_likely(lock != NULL)) {
			if (looks_ready(c))
				entries[ready++].ready = count;
			entries[count].lock = lock;
			entries[count++].c = c;
		} else if (c->op == WEFT_OP_FD && c->fd >= 0) {
			watches++;
			entries[n - watches].lock = NULL;
			entries[n - watches].c = c;
		}
	}
	s->ready = ready;
	s->count = count;
	s->watches = watches;
	if (wf_unlikely(watches > 0))
		memmove(&entries[count], &entries[n - watches], (size_t)watches * sizeof *entries);
	return AGAIN;
}

INLINE int begin(struct select *s, int n)
{
	int result = wf_cancelled(s->w);
	if (result < 0)
		return result;
	if (wf_unlikely(n > FEW)) {
		s->entries = malloc((size_t)n * (sizeof(struct entry) + sizeof(struct wf_waiter)));
		if (!s->entries)
			return -ENOMEM;
		s->waiters = (struct wf_waiter *)(void *)(s->entries + n);
	}
	result = list_cases(s, n);
	return result == AGAIN && wf_unlikely(s->watches > 0) ? begin_watches(s) : result;
}

/* Nothing was to be had without locks: one instant decides. */
static inline int look_locked(struct select *s, int64_t deadline)
{
	int result = -EAGAIN;
	if (wf_unlikely(lock_all(s)))
		result = choose_locked(s);
	if (wf_likely(result == -EAGAIN))
		result = may_wait(s, deadline);
	if (wf_likely(result == PARK))
		queue_up(s);
	else
		unlock_all(s);
	return result;
}

/* Looks, and queues up if there is nothing to be had: PARK. */
INLINE int look(struct select *s, int64_t deadline)
{
	if (wf_unlikely(s->watches > 0))
		look_at_watches(s);
	int result = choose(s, false);
	if (result == -EAGAIN)
		result = look_locked(s, deadline);
	wf_chan_wake(s->w, s->woken);
	if (wf_unlikely(s->watches > 0)) {
		if (result == AGAIN)
			result = arm_watches(s);
		else if (result == PARK)
			queue_up_watches(s);
	}
	return result;
}

static bool has_join(const struct select *s)
{
	for (int i = 0; i < s->count; i++)
		if (s->entries[i].c->op == WEFT_OP_JOIN)
			return true;
	return false;
}

INLINE int await_case(struct select *s, int64_t deadline)
{
	bool stay = wf_unlikely(!s->w) && has_join(s);
	if (wf_unlikely(stay))
		wf_enter_guest(); /* once more: to be one while it waits, as in weft_join */
	int result = take_answer(s, wf_park(&s->w, s->wait, deadline, WF_CANCELLABLE));
	if (wf_unlikely(stay))
		wf_leave_guest();
	return result;
}

int weft_select(struct weft_case *cases, int n, weft_time deadline)
{
	struct entry entries[FEW];
	struct wf_waiter waiters[FEW];
	struct select s = { .cases = cases, .entries = entries, .waiters = waiters };
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
