#include "turn.h"

#include <errno.h>
#include <poll.h>

#include "../runtime/os_net.h"
#include "../runtime/sched.h"

enum {
	PAUSE_MS = 5, /* of starving; doubles */
	PAUSE_MAX_MS = 1000,
	BACK_OFF_MS = 1, /* until a full queue of a unix socket is tried again; doubles */
	BACK_OFF_MAX_MS = 32,
};

/* ---- entering and leaving ------------------------------------------------------------------------------------------- */

/* On success the lock is held; on failure the gate is left. */
static int enter_locked(struct wf_turn *turn, struct wf_worker *w, int fd)
{
	struct wf_desc *d = wf_desc_find(fd);
	if (wf_likely(d != NULL)) {
		wf_lock(&d->lock);
		if (wf_likely(d->state == WF_DESC_OPEN)) {
			d->users++;
			turn->w = w;
			turn->desc = d;
			turn->fd = fd;
			turn->seq = d->seq;
			turn->kind = d->kind;
			return 0;
		}
		wf_unlock(&d->lock);
	}
	wf_leave(w);
	return -EBADF;
}

/* Leaves descriptor and gate, with somebody to wake or NULL; the lock is held on entry. */
static inline void leave_locked(struct wf_turn *turn, struct wf_wait *next)
{
	struct wf_desc *d = turn->desc;
	struct wf_remains remains = { .fd = -1 };
	if (wf_likely(d->seq == turn->seq)) {
		bool last = --d->users == 0;
		if (wf_unlikely(d->state == WF_DESC_CLOSING) && last)
			remains = wf_desc_forget_locked(d, turn->fd);
		else if (wf_unlikely(d->state == WF_DESC_RELEASING) && last)
			next = wf_waitq_claim(&d->sides[WF_READ].parked, 0, NULL);
	}
	wf_unlock(&d->lock);
	if (wf_unlikely(next != NULL))
		wf_wake(turn->w, next);
	wf_leave(turn->w);
	if (wf_unlikely(remains.fd >= 0))
		wf_desc_bury(&remains);
}

int wf_desc_enter(struct wf_turn *turn, struct wf_worker *w, int fd)
{
	int r = enter_locked(turn, w, fd);
	if (r == 0)
		wf_unlock(&turn->desc->lock);
	return r;
}

void wf_desc_leave(struct wf_turn *turn)
{
	wf_lock(&turn->desc->lock);
	leave_locked(turn, NULL);
}

/* ---- waiting -------------------------------------------------------------------------------------------------------- */

struct place {
	struct wf_wait *wait;
	unsigned dirs;
	bool one;       /* this is the only queue it waits in, so whoever wakes it has taken it out */
	int64_t sooner; /* for wf_timer_armed */
	struct wf_waiter waiters[2];
};

static inline void queue_up_locked(struct wf_turn *turn, struct place *place, unsigned dirs, enum wf_role role)
{
	struct wf_desc *d = turn->desc;
	place->wait = wf_wait_begin(turn->w, role == WF_QUEUED ? WF_WHY_FD_TURN : turn->why, d);
	place->dirs = dirs;
	wf_store_release(&d->visitor, wf_likely(turn->w != NULL) ? (uintptr_t)turn->w->co : 0); /* pairs with fetch_all */
	place->one = dirs != (WEFT_READ | WEFT_WRITE) && role != WF_PAUSING;
	place->sooner = WF_TIME_NEVER;
	for (unsigned left = dirs; left != 0; left &= left - 1) {
		enum wf_dir dir = left & WEFT_READ ? WF_READ : WF_WRITE;
		struct wf_side *side = &d->sides[dir];
		wf_waitq_push(role < WF_QUEUED ? &side->parked : &side->turns, &place->waiters[dir], place->wait);
		place->waiters[dir].index = (int)role;
		if (wf_desc_arm_locked(turn->w, d, dir) && side->deadline < place->sooner)
			place->sooner = side->deadline;
	}
}

static inline int sleep_there(struct wf_turn *turn, struct place *place, int64_t until)
{
	if (wf_unlikely(place->sooner != WF_TIME_NEVER))
		wf_timer_armed(turn->w, place->sooner);
	int r = wf_park(&turn->w, place->wait, until, WF_CANCELLABLE);
	if (wf_likely(r >= 0 && place->one))
		return r;
	wf_lock(&turn->desc->lock);
	for (int dir = WF_READ; dir <= WF_WRITE; dir++)
		if (place->dirs & 1u << dir)
			wf_waitq_remove(&place->waiters[dir]);
	wf_unlock(&turn->desc->lock);
	return r;
}

/* Entered with the lock held, left without. */
static inline int park_locked(struct wf_turn *turn, unsigned dirs, enum wf_role role, int64_t until)
{
	struct place place;
	queue_up_locked(turn, &place, dirs, role);
	wf_unlock(&turn->desc->lock);
	return sleep_there(turn, &place, until);
}

/* Most deadlines are far off, and to know that takes less than the time does. If the system is late with its ticks by more than
 * FAR_NS, one counts as far off for so long; whoever waits is woken in time all the same. */
static WF_NOINLINE bool has_come(int64_t deadline)
{
	enum { FAR_NS = 100000000 };
	return deadline <= wf_os_now_coarse() + FAR_NS && deadline <= wf_os_now();
}

static inline bool is_late(const struct wf_side *side)
{
	return wf_unlikely(side->deadline != WF_TIME_NEVER) && has_come(side->deadline);
}

int wf_turn_check_locked(const struct wf_turn *turn, unsigned dirs)
{
	struct wf_desc *d = turn->desc;
	if (wf_unlikely(d->seq != turn->seq || d->state != WF_DESC_OPEN))
		return -EBADF;
	if (((dirs & WEFT_READ) && is_late(&d->sides[WF_READ])) || ((dirs & WEFT_WRITE) && is_late(&d->sides[WF_WRITE])))
		return -ETIMEDOUT;
	return 0;
}

int wf_turn_register(struct wf_turn *turn)
{
	int r = wf_netpoll_add(turn->fd, turn->seq);
	wf_lock(&turn->desc->lock);
	if (r == 0 && turn->desc->seq == turn->seq)
		turn->desc->registered = true;
	wf_unlock(&turn->desc->lock);
	return r;
}

/* Whoever has the turn: waits until the side may be ready, and takes that. Entered with the lock held, left without. */
static inline int await_locked(struct wf_turn *turn)
{
	struct wf_desc *d = turn->desc;
	struct wf_side *side = &d->sides[turn->dir];
	for (;;) {
		int r = wf_turn_check_locked(turn, 1u << turn->dir);
		if (wf_likely(r == 0) && side->ready) {
			side->ready = false;
			wf_unlock(&d->lock);
			return 0;
		}
		if (r == 0 && turn->nowait)
			r = -EAGAIN;
		if (wf_likely(r == 0 && d->registered))
			return park_locked(turn, 1u << turn->dir, WF_AT_WORK, WF_TIME_NEVER);
		wf_unlock(&d->lock);
		if (r < 0 || (r = wf_turn_register(turn)) < 0)
			return r;
		wf_lock(&d->lock);
	}
}

int wf_turn_wait(struct wf_turn *turn)
{
	wf_lock(&turn->desc->lock);
	return await_locked(turn);
}

/* Queues for the turn. Entered with the lock held; on success left with it and the turn, else it has left the descriptor. */
static int queue_locked(struct wf_turn *turn)
{
	int r = wf_turn_check_locked(turn, 1u << turn->dir);
	if (r == 0 && turn->nowait)
		r = -EAGAIN;
	if (r == 0) {
		r = park_locked(turn, 1u << turn->dir, WF_QUEUED, WF_TIME_NEVER);
		wf_lock(&turn->desc->lock);
	}
	if (r < 0)
		leave_locked(turn, NULL);
	return r;
}

int wf_turn_take(struct wf_turn *turn, int fd, enum wf_dir dir, enum wf_reason why, unsigned flags)
{
	struct wf_worker *w = wf_enter();
	wf_charge(&w, WF_COST_SYSCALL);
	int r = wf_cancelled(w);
	if (wf_unlikely(r < 0)) {
		wf_leave(w);
		return r;
	}
	turn->dir = dir;
	turn->why = why;
	turn->nowait = (flags & WF_TURN_NOWAIT) != 0;
	if ((r = enter_locked(turn, w, fd)) < 0)
		return r;
	struct wf_side *side = &turn->desc->sides[dir];
	if (wf_unlikely(side->busy) && (r = queue_locked(turn)) < 0)
		return r;
	if (wf_likely(turn->seq == turn->desc->seq)) {
		side->busy = true;
		side->ready = side->ready || (flags & WF_TURN_TRY);
		r = side->error;
		side->error = 0;
	}
	if (wf_unlikely(r < 0))
		wf_unlock(&turn->desc->lock);
	else
		r = await_locked(turn);
	if (wf_unlikely(r < 0))
		wf_turn_end(turn, true, 0);
	return r;
}

void wf_turn_end(struct wf_turn *turn, bool drained, int error)
{
	struct wf_desc *d = turn->desc;
	struct wf_side *side = &d->sides[turn->dir];
	struct wf_wait *next = NULL;
	wf_lock(&d->lock);
	if (wf_likely(d->seq == turn->seq)) {
		side->ready = side->ready || !drained || d->ending;
		if (wf_unlikely(error != 0))
			side->error = error;
		if (wf_unlikely(!wf_waitq_empty(&side->turns)))
			next = wf_waitq_claim(&side->turns, 0, NULL);
		side->busy = next != NULL;
	}
	leave_locked(turn, next);
}

void wf_turn_set_deadline(struct wf_turn *turn, int64_t deadline)
{
	wf_lock(&turn->desc->lock);
	if (turn->desc->seq == turn->seq)
		turn->desc->sides[turn->dir].deadline = deadline;
	wf_unlock(&turn->desc->lock);
}

int wf_turn_unblock(struct wf_turn *turn)
{
	if (!(turn->kind & WF_DESC_BLOCKS))
		return 0;
	int r = wf_os_set_nonblocking(turn->fd, true);
	if (r < 0)
		return r;
	turn->kind = (turn->kind & ~(unsigned)WF_DESC_BLOCKS) | WF_DESC_RESTORE;
	wf_lock(&turn->desc->lock);
	if (turn->desc->seq == turn->seq)
		turn->desc->kind = (unsigned char)((turn->desc->kind & ~(unsigned)WF_DESC_BLOCKS) | WF_DESC_RESTORE);
	wf_unlock(&turn->desc->lock);
	return 0;
}

/* ---- where no edge will come --------------------------------------------------------------------------------------- */

int wf_turn_check(struct wf_turn *turn)
{
	wf_lock(&turn->desc->lock);
	int r = wf_turn_check_locked(turn, 1u << turn->dir);
	wf_unlock(&turn->desc->lock);
	return r;
}

int wf_turn_pause(struct wf_turn *turn, int64_t ns)
{
	unsigned dirs = 1u << turn->dir;
	int64_t until = wf_os_now() + ns;
	wf_lock(&turn->desc->lock);
	int r = wf_turn_check_locked(turn, dirs);
	if (r == 0)
		r = park_locked(turn, dirs, WF_PAUSING, until);
	else
		wf_unlock(&turn->desc->lock);
	return r == -ETIMEDOUT ? wf_turn_check(turn) : r;
}

int wf_turn_back_off(struct wf_turn *turn, int *pause_ms)
{
	*pause_ms = *pause_ms == 0 ? BACK_OFF_MS : *pause_ms < BACK_OFF_MAX_MS ? 2 * *pause_ms : *pause_ms;
	return turn->nowait ? -EAGAIN : wf_turn_pause(turn, WEFT_MS(*pause_ms));
}

/* ---- starving ------------------------------------------------------------------------------------------------------- *
 *
 *   accept                                            wf_announce_close
 *   1 n = closed                                      1 close(2)
 *   2 accept(2): -EMFILE                              2 closed + 1
 *   3 lock; waiting + 1                               3 full fence
 *   4 full fence                                      4 waiting? lock, claim them all
 *   5 closed != n? go to 1
 *   6 queue, unlock, park */

static struct {
	struct wf_lock lock;
	struct wf_waitq queue;
	wf_word waiting; /* how many are in it, or about to be; changed under the lock */
	wf_word closed;  /* descriptors that weft has closed */
} starving;

uintptr_t wf_closed_count(void)
{
	return wf_load_acquire(&starving.closed); /* pairs with wf_announce_close: the number is free */
}

void wf_announce_close(void)
{
	wf_add_full(&starving.closed, 1); /* release: pairs with wf_closed_count */
	wf_fence_full();                  /* pairs with the one in wf_turn_starve */
	if (wf_likely(wf_load(&starving.waiting) == 0))
		return;
	struct wf_worker *w = wf_enter_here();
	struct wf_list woken = { 0 };
	wf_lock(&starving.lock);
	wf_claim_all(&starving.queue, 0, &woken);
	wf_unlock(&starving.lock);
	wf_wake_all(w, &woken);
	wf_leave(w);
}

/* 1: queued in both places. */
static int queue_up_starving(struct wf_turn *turn, struct place *place, struct wf_waiter *waiter, uintptr_t closed)
{
	if (wf_load(&starving.closed) != closed) /* relaxed: ordered by the fence before */
		return 0;
	wf_lock(&turn->desc->lock);
	int r = wf_turn_check_locked(turn, 1u << turn->dir);
	if (r == 0) {
		queue_up_locked(turn, place, 1u << turn->dir, WF_PAUSING);
		wf_waitq_push(&starving.queue, waiter, place->wait);
		r = 1;
	}
	wf_unlock(&turn->desc->lock);
	return r;
}

int wf_turn_starve(struct wf_turn *turn, uintptr_t closed)
{
	struct place place;
	struct wf_waiter waiter = { .link = { NULL, NULL } };
	wf_u8 *pauses = &turn->desc->sides[turn->dir].pauses;
	int n = wf_u8_load(pauses); /* relaxed: written by whoever has the turn */
	int64_t ms = PAUSE_MS << n;
	if (ms < PAUSE_MAX_MS)
		wf_u8_store(pauses, (unsigned char)(n + 1));
	else
		ms = PAUSE_MAX_MS;
	wf_lock(&starving.lock);
	wf_add_full(&starving.waiting, 1);
	wf_fence_full(); /* pairs with the one in wf_announce_close: it sees that we wait, or we see that it has closed */
	int r = queue_up_starving(turn, &place, &waiter, closed);
	wf_unlock(&starving.lock);
	if (r > 0)
		r = sleep_there(turn, &place, wf_os_now() + ms * 1000000);
	wf_lock(&starving.lock);
	wf_waitq_remove(&waiter);
	wf_add(&starving.waiting, -1);
	wf_unlock(&starving.lock);
	if (r == -ETIMEDOUT && (r = wf_turn_check(turn)) == 0)
		r = -EAGAIN;
	return r;
}

void wf_turn_fed(struct wf_turn *turn)
{
	wf_u8 *pauses = &turn->desc->sides[turn->dir].pauses;
	if (wf_unlikely(wf_u8_load(pauses) != 0)) /* relaxed: written by whoever has the turn */
		wf_u8_store(pauses, 0);
}

/* ---- watching ------------------------------------------------------------------------------------------------------- */

int wf_poll_now(int fd, unsigned dirs)
{
	int r = wf_os_poll_now(fd, (short)((dirs & WEFT_READ ? POLLIN : 0) | (dirs & WEFT_WRITE ? POLLOUT : 0)));
	if (r <= 0)
		return r;
	unsigned ready = (r & POLLIN ? WEFT_READ : 0) | (r & POLLOUT ? WEFT_WRITE : 0) |
			 (r & (POLLERR | POLLHUP) ? WEFT_READ | WEFT_WRITE : 0);
	return (int)(ready & dirs);
}

int wf_desc_watch(struct wf_turn *turn, unsigned dirs, int64_t deadline)
{
	struct wf_desc *d = turn->desc;
	for (;;) {
		wf_lock(&d->lock);
		int r = wf_turn_check_locked(turn, dirs);
		unsigned edges = d->edges;
		bool registered = d->registered;
		wf_unlock(&d->lock);
		if (r == 0)
			r = wf_poll_now(turn->fd, dirs);
		if (r == 0 && deadline == WEFT_NOW)
			r = -EAGAIN;
		if (r == 0 && !registered)
			r = wf_turn_register(turn);
		if (r != 0)
			return r;
		wf_lock(&d->lock);
		if (d->seq != turn->seq || d->state != WF_DESC_OPEN || d->edges != edges) {
			wf_unlock(&d->lock); /* it changed while we looked */
			continue;
		}
		if ((r = park_locked(turn, dirs, WF_WATCHING, deadline)) < 0)
			return r;
	}
}
