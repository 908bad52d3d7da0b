/* Descriptors as cases of a select (runtime/netpoll.h has the order of the calls).
 *
 *   select                                          the poller (wf_desc_events)
 *   1 look: note the count of edges; poll(2)        1 the kernel reports an edge
 *   2 arm: the poller is told, if it was not        2 lock; one edge more; claim whoever is parked
 *   3 queue: lock; as many edges as before?
 *     queue, else look again
 *
 * A change before 1 is seen by poll(2), one between 1 and 3 is counted, one after 3 finds the waiter. A descriptor that the poller
 * first hears of in 2 makes an edge for what is ready already. */
#include <errno.h>

#include "../runtime/netpoll.h"
#include "../runtime/os_net.h"
#include "../runtime/sched.h"
#include "turn.h"

static struct wf_turn turn_of(const struct wf_watch *watch, struct wf_worker *w)
{
	return (struct wf_turn){ .w = w, .desc = watch->desc, .fd = watch->number, .seq = watch->seq };
}

/* If weft knows the number, it is the same file until wf_watch_end. */
static bool enter(struct wf_watch *watch, struct wf_worker **w, int number)
{
	struct wf_turn turn;
	if (wf_desc_enter(&turn, *w, number) < 0) {
		*w = wf_enter();
		return false;
	}
	watch->desc = turn.desc;
	watch->seq = turn.seq;
	watch->number = number;
	return true;
}

static bool is_registered(const struct wf_watch *watch)
{
	struct wf_desc *d = watch->desc;
	if (!d)
		return false;
	wf_lock(&d->lock);
	bool registered = d->registered;
	wf_unlock(&d->lock);
	return registered;
}

bool wf_watch_begin(struct wf_watch *watch, struct wf_worker **w, int fd, unsigned dirs)
{
	watch->desc = NULL;
	watch->fd = watch->number = fd;
	watch->dirs = dirs;
	enter(watch, w, fd);
	return is_registered(watch);
}

int wf_watch_look(struct wf_watch *watch)
{
	struct wf_desc *d = watch->desc;
	int r = 0;
	if (d) {
		struct wf_turn turn = turn_of(watch, NULL);
		wf_lock(&d->lock);
		r = wf_turn_check_locked(&turn, watch->dirs);
		watch->edges = d->edges;
		wf_unlock(&d->lock);
	}
	return r == 0 ? wf_poll_now(watch->number, watch->dirs) : r;
}

/* A stranger is watched through a duplicate, which nobody else can close or use again meanwhile. */
static int adopt_copy(struct wf_watch *watch, struct wf_worker **w)
{
	int copy = wf_os_duplicate(watch->fd);
	if (copy < 0)
		return copy;
	int r = wf_desc_create(*w, copy, WF_DESC_ADOPTED, true, NULL);
	if (r < 0) {
		wf_os_close(copy);
		return r;
	}
	return enter(watch, w, copy) ? 0 : -EBADF;
}

int wf_watch_arm(struct wf_watch *watch, struct wf_worker **w)
{
	if (!watch->desc)
		return adopt_copy(watch, w);
	struct wf_turn turn = turn_of(watch, *w);
	return is_registered(watch) ? 0 : wf_turn_register(&turn);
}

bool wf_watch_queue(struct wf_watch *watch, struct wf_worker *w, struct wf_wait *wait)
{
	struct wf_desc *d = watch->desc;
	int64_t sooner = WF_TIME_NEVER;
	wf_lock(&d->lock);
	bool same = d->seq == watch->seq && d->state == WF_DESC_OPEN && d->edges == watch->edges;
	for (int dir = WF_READ; dir <= WF_WRITE; dir++) {
		struct wf_side *side = &d->sides[dir];
		struct wf_waiter *waiter = &watch->waiters[dir];
		waiter->link = (struct wf_link){ NULL, NULL };
		if (!same || !(watch->dirs & 1u << dir))
			continue;
		waiter->index = WF_WATCHING;
		wf_waitq_push(&side->parked, waiter, wait);
		if (wf_desc_arm_locked(w, d, (enum wf_dir)dir) && side->deadline < sooner)
			sooner = side->deadline;
	}
	wf_unlock(&d->lock);
	if (sooner != WF_TIME_NEVER)
		wf_timer_armed(w, sooner);
	return same;
}

void wf_watch_leave(struct wf_watch *watch)
{
	wf_lock(&watch->desc->lock);
	wf_waitq_remove(&watch->waiters[WF_READ]);
	wf_waitq_remove(&watch->waiters[WF_WRITE]);
	wf_unlock(&watch->desc->lock);
}

void wf_watch_end(struct wf_watch *watch, struct wf_worker **w)
{
	if (!watch->desc)
		return;
	struct wf_turn turn = turn_of(watch, *w);
	wf_desc_leave(&turn);
	if (watch->number != watch->fd)
		wf_desc_close(wf_enter_here(), watch->number);
	*w = wf_enter();
}
