/* Timers for users.
 *
 * A timer is freed by the last of those who refer to it: its owner, the heap that it is in (or the firing that took it out), the
 * coroutine that runs its function. Each setting has a number; a firing that comes late finds another one, and does nothing:
 *
 *   stop, set                              firing (the heap is unlocked)
 *   1 lock                                 1 taken out of the heap, with the number of its setting
 *   2 out of the heap, if it is there      2 lock
 *   3 next number; take back the value,    3 still this number? fire, and set for the next tick
 *     or what is owed                      4 unlock; have fn run
 *   4 unlock
 *
 * fn is *owed* from the firing until its coroutine begins it: a stop in between still prevents it, and the coroutine ends at once.
 *
 * Locks, outermost first: the timer's, the channel's; the timer's, a heap's. */
#include <weft/timer.h>

#include <stdlib.h>

#include "chan.h"
#include "sync.h"

enum { PUT_OFF_NS = 10000000 }; /* until the next attempt to make a coroutine */

struct weft_timer {
	struct wf_lock lock;
	int refs;
	struct wf_timer timer;
	uint64_t setting;       /* the number of the present one */
	bool set;
	bool owed;              /* fn is to run */
	bool manned;            /* there is a coroutine to run it, or will be */
	bool running;           /* it is inside fn */
	struct weft_co *co;     /* that one */
	int64_t period;         /* 0: once */
	uint64_t missed;
	struct weft_chan *chan; /* NULL: it runs fn */
	weft_fn *fn;
	void *arg;
	uint64_t setter;        /* the coroutine that set it last */
	struct wf_waitq stoppers; /* wait for fn to return */
	struct wf_timer retry;  /* the next attempt to make a coroutine */
};

/* What is left to do once the timer is unlocked, and may be gone. */
struct rest {
	struct wf_wait *woken; /* somebody at the channel */
	int64_t armed;         /* tell those who sleep; WEFT_NEVER: no need */
	bool starts;           /* fn needs a coroutine; the reference is its own */
	bool frees;
};

#define NO_REST {.armed = WEFT_NEVER}

static void arm_locked(struct wf_worker *w, struct weft_timer *t, struct wf_timer *timer, wf_timer_fn *fire, int64_t when,
		       struct rest *rest)
{
	timer->when = when;
	timer->fire = fire;
	timer->owner = t;
	timer->arg = t->setting;
	if (wf_timer_arm(wf_timers_here(w), timer))
		rest->armed = when;
}

/* Whether the runtime ends, so that nothing is to begin. The caller is a guest: weft_stop waits for what it makes all the same. */
static bool ends(void)
{
	return !wf_load_acquire(&wf_up); /* pairs with turn_guests_out */
}

static void start(struct wf_worker *w, struct weft_timer *t);

static void do_rest(struct wf_worker *w, struct weft_timer *t, const struct rest *rest)
{
	if (rest->woken)
		wf_wake(w, rest->woken);
	if (rest->armed != WEFT_NEVER)
		wf_timer_armed(w, rest->armed);
	if (rest->starts)
		start(w, t);
	if (rest->frees)
		free(t);
}

/* ---- running fn -------------------------------------------------------------------------------------------------------- */

/* It may have been stopped since it fired. */
static bool begin_run(struct weft_timer *t, struct weft_co *co)
{
	wf_lock(&t->lock);
	t->running = t->owed;
	t->owed = false;
	t->co = co;
	bool runs = t->running;
	wf_unlock(&t->lock);
	return runs;
}

/* The runtime ended: what is owed is not done. */
static void end_run(struct wf_worker *w, struct weft_timer *t, bool ended)
{
	struct rest rest = NO_REST;
	struct wf_list woken = {0};
	struct wf_waiter *waiter;
	wf_lock(&t->lock);
	t->owed = t->owed && !ended;
	t->manned = rest.starts = t->owed;
	t->running = false;
	t->co = NULL;
	while (wf_waitq_claim(&t->stoppers, 0, &waiter))
		wf_list_push(&woken, &waiter->link);
	rest.frees = !t->manned && --t->refs == 0;
	wf_unlock(&t->lock);
	wf_wake_all(w, &woken);
	do_rest(w, t, &rest);
}

static int run(void *arg)
{
	struct weft_timer *t = arg;
	struct wf_worker *w = wf_enter_here();
	bool runs = begin_run(t, wf_worker_self()->co);
	wf_leave(w);
	return runs ? t->fn(t->arg) : 0;
}

/* By return or by weft_exit. */
static void on_end(struct wf_worker *w, struct weft_co *co, int result)
{
	(void)result;
	end_run(w, co->arg, false);
}

static void enrol(struct weft_co *co, void *arg)
{
	struct weft_timer *t = arg;
	co->on_end = on_end;
	wf_lock(&t->lock);
	wf_store(&co->creator, t->setter); /* relaxed: published with the coroutine; for dumps */
	wf_unlock(&t->lock);
}

static void on_retry(void *owner, uintptr_t setting)
{
	struct weft_timer *t = owner;
	(void)setting;
	wf_enter_guest();
	if (ends())
		end_run(NULL, t, true);
	else
		start(wf_waker_self(), t);
	wf_leave_guest();
}

/* Gives fn a coroutine, now or a little later. */
static void start(struct wf_worker *w, struct weft_timer *t)
{
	struct rest rest = NO_REST;
	if (wf_co_make_daemon(w, "timer", run, t, enrol) == 0)
		return;
	wf_lock(&t->lock);
	arm_locked(w, t, &t->retry, on_retry, wf_os_now() + PUT_OFF_NS, &rest);
	wf_unlock(&t->lock);
	do_rest(w, NULL, &rest);
}

/* ---- firing ------------------------------------------------------------------------------------------------------------ */

static void fire_fn_locked(struct weft_timer *t, struct rest *rest)
{
	if (t->period && (t->owed || t->running)) {
		t->missed++;
		return;
	}
	t->owed = true;
	if (t->manned)
		return;
	t->manned = rest->starts = true;
	t->refs++;
}

static void fire_chan_locked(struct weft_timer *t, weft_time now, struct rest *rest)
{
	wf_lock(&t->chan->lock);
	if (wf_chan_put_locked(t->chan, &now, &rest->woken) == -EAGAIN)
		t->missed++;
	wf_unlock(&t->chan->lock);
}

static void set_locked(struct wf_worker *w, struct weft_timer *t, weft_time when, struct rest *rest);

/* The tick after `now` of those that began with `when`. */
static void set_next_locked(struct wf_worker *w, struct weft_timer *t, weft_time when, weft_time now, struct rest *rest)
{
	uint64_t late = now > when ? (uint64_t)now - (uint64_t)when : 0;
	uint64_t skipped = late / (uint64_t)t->period;
	uint64_t ahead = (skipped + 1) * (uint64_t)t->period; /* no overflow: late is below 2^63 + now, the period below 2^63 */
	uint64_t room = (uint64_t)WEFT_NEVER - (uint64_t)when;
	t->missed += skipped;
	set_locked(w, t, ahead > room ? WEFT_NEVER : (weft_time)((uint64_t)when + ahead), rest);
}

static void on_fire(void *owner, uintptr_t setting)
{
	struct weft_timer *t = owner;
	struct wf_worker *w = wf_waker_self();
	struct rest rest = NO_REST;
	wf_enter_guest();
	wf_lock(&t->lock);
	if (t->setting == setting && t->set) {
		weft_time now = wf_os_now(), when = t->timer.when;
		t->set = false;
		if (!ends()) {
			if (t->chan)
				fire_chan_locked(t, now, &rest);
			else
				fire_fn_locked(t, &rest);
			if (t->period)
				set_next_locked(w, t, when, now, &rest);
		}
	}
	rest.frees = --t->refs == 0;
	wf_unlock(&t->lock);
	do_rest(w, t, &rest);
	wf_leave_guest();
}

/* ---- setting and stopping ------------------------------------------------------------------------------------------------ */

static void set_locked(struct wf_worker *w, struct weft_timer *t, weft_time when, struct rest *rest)
{
	t->set = true;
	if (when == WEFT_NEVER)
		return;
	t->refs++;
	arm_locked(w, t, &t->timer, on_fire, when, rest);
}

static bool take_back_locked(struct weft_chan *chan, struct rest *rest)
{
	wf_lock(&chan->lock);
	bool taken = wf_u32_load(&chan->count) > 0 && wf_chan_take_locked(chan, NULL, &rest->woken) == 1;
	wf_unlock(&chan->lock);
	return taken;
}

/* Nothing comes any more of what was set. Whether something would have come. */
static bool void_locked(struct weft_timer *t, struct rest *rest)
{
	bool would = t->set || t->owed;
	if (wf_timer_disarm(&t->timer))
		t->refs--;
	t->setting++;
	t->set = t->owed = false;
	if (t->chan && take_back_locked(t->chan, rest))
		would = true;
	return would;
}

int weft_timer_set(struct weft_timer *t, weft_time when, int64_t period)
{
	struct wf_worker *w = wf_enter_here();
	int result = -EINVAL;
	if (t && period >= 0 && wf_load_acquire(&wf_up)) { /* pairs with the release in weft_start */
		struct rest rest = NO_REST;
		wf_lock(&t->lock);
		result = void_locked(t, &rest);
		t->period = period;
		t->missed = 0;
		t->setter = weft_self();
		set_locked(w, t, when, &rest);
		wf_unlock(&t->lock);
		do_rest(w, NULL, &rest);
	}
	wf_leave(w);
	return result;
}

int weft_timer_stop(struct weft_timer *t)
{
	if (!t)
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	struct rest rest = NO_REST;
	wf_lock(&t->lock);
	int result = void_locked(t, &rest);
	wf_unlock(&t->lock);
	do_rest(w, NULL, &rest);
	wf_leave(w);
	return result;
}

int weft_timer_stop_wait(struct weft_timer *t)
{
	int stopped = weft_timer_stop(t), failed = 0;
	if (stopped < 0)
		return stopped;
	struct wf_worker *w = wf_enter();
	struct wf_waiter waiter;
	wf_charge(&w, WF_COST_CALL);
	wf_lock(&t->lock);
	if (t->running && !(w && t->co == w->co)) {
		failed = wf_wait_locked(&w, &t->lock, &t->stoppers, &waiter, WF_WHY_TIMER, t, WEFT_NEVER, WF_CANCELLABLE);
	} else {
		failed = t->running ? -EDEADLK : 0;
		wf_unlock(&t->lock);
	}
	wf_leave(w);
	return failed < 0 ? failed : stopped;
}

uint64_t weft_timer_missed(struct weft_timer *t)
{
	if (!t)
		return 0;
	struct wf_worker *w = wf_enter_here();
	wf_lock(&t->lock);
	uint64_t missed = t->missed;
	wf_unlock(&t->lock);
	wf_leave(w);
	return missed;
}

/* ---- making and freeing ---------------------------------------------------------------------------------------------------- */

int weft_timer_create(struct weft_timer **timer, weft_fn *fn, void *arg)
{
	struct weft_timer *t = timer && fn ? calloc(1, sizeof *t) : NULL;
	if (!t)
		return timer && fn ? -ENOMEM : -EINVAL;
	t->refs = 1;
	t->fn = fn;
	t->arg = arg;
	*timer = t;
	return 0;
}

static int no_function(void *arg)
{
	(void)arg;
	return 0;
}

int weft_timer_create_chan(struct weft_timer **timer, struct weft_chan **chan)
{
	int result = chan ? weft_timer_create(timer, no_function, NULL) : -EINVAL;
	if (result != 0)
		return result;
	result = weft_chan_create(&(*timer)->chan, sizeof(weft_time), 1);
	*chan = (*timer)->chan;
	if (result != 0)
		free(*timer);
	return result;
}

int weft_timer_destroy(struct weft_timer *t)
{
	if (!t)
		return 0;
	weft_timer_stop(t);
	int result = weft_chan_destroy(t->chan);
	if (result != 0)
		return result;
	struct wf_worker *w = wf_enter_here();
	wf_lock(&t->lock);
	struct rest rest = {.armed = WEFT_NEVER, .frees = --t->refs == 0};
	wf_unlock(&t->lock);
	do_rest(w, t, &rest);
	wf_leave(w);
	return 0;
}
