#include "scope.h"

#include <errno.h>
#include <string.h>

#include "check.h"
#include "park.h"

static struct wf_scope *inner(struct weft_scope *scope)
{
	return (struct wf_scope *)(void *)scope;
}

static void set_cancel(struct weft_co *co, int cause)
{
	wf_store(&co->cancel, (uintptr_t)(intptr_t)cause); /* pairs with the fences of wf_park_cancelled and cancel_below_locked */
}

/* ---- cancelling -------------------------------------------------------------------------------------------------------- */

typedef void visit_fn(struct wf_worker *w, struct wf_scope *s);

static struct weft_co *member(const struct wf_scope *s, struct wf_link *l)
{
	return l && l != &s->inside.head ? wf_container_of(l, struct weft_co, scope_link) : NULL;
}

static struct weft_co *first_member(const struct wf_scope *s)
{
	return member(s, s->inside.head.next);
}

static struct weft_co *next_member(const struct wf_scope *s, const struct weft_co *co)
{
	return member(s, co->scope_link.next);
}

static void mark(struct wf_worker *w, struct wf_scope *s)
{
	(void)w;
	for (struct weft_co *co = first_member(s); co; co = next_member(s, co))
		set_cancel(co, wf_scope_effective(s));
}

/* Inside s and waiting, a coroutine began to wait there: to leave s it would have to run. Whoever waits to start one in s may be
 * behind a shield; that call fails all the same. */
static void end_waits(struct wf_worker *w, struct wf_scope *s)
{
	struct wf_wait *starter;
	for (struct weft_co *co = first_member(s); co; co = next_member(s, co))
		wf_co_end_wait(w, co);
	while ((starter = wf_waitq_claim(&s->starters, -ECANCELED, NULL)))
		wf_wake(w, starter);
}

static struct wf_scope *scope_of(struct wf_link *l)
{
	return l ? wf_container_of(l, struct wf_scope, nested) : NULL;
}

static struct wf_scope *after(struct wf_scope *s)
{
	struct wf_link *l = s->nested.next;
	return l == &s->parent->scopes.head ? NULL : scope_of(l);
}

/* Skips scopes behind a shield of their own. The lock of the one returned is taken. */
static struct wf_scope *lock_unshielded(struct wf_scope *s)
{
	while (s && s->flags & WEFT_SCOPE_SHIELD)
		s = after(s);
	if (s)
		wf_lock(&s->lock);
	return s;
}

/* Calls visit for every scope in the tree from top on, whose lock is held, with the locks of all scopes on the way down held. Walks
 * without recursion: scopes may nest deeper than stacks reach. */
static void walk_locked(struct wf_worker *w, struct wf_scope *top, visit_fn *visit)
{
	struct wf_scope *s = top;
	for (;;) {
		visit(w, s);
		struct wf_scope *next = lock_unshielded(scope_of(wf_list_first(&s->scopes)));
		if (next)
			next->inherited = wf_scope_effective(s);
		while (!next && s != top) {
			struct wf_scope *parent = s->parent;
			next = lock_unshielded(after(s));
			if (next)
				next->inherited = wf_scope_effective(parent);
			wf_unlock(&s->lock);
			if (!next)
				s = parent;
		}
		if (!next)
			return;
		s = next;
	}
}

/*   whoever cancels                              a waiting call (park.c)
 *   1 cancel = cause, for all below              1 cancel_ticket = its ticket
 *   2 heavy fence                                2 light fence
 *   3 claim the waits of all below               3 cancel set? give the wait up
 *
 * Who enters a scope meanwhile takes over its cause under the scope's lock. */
static void cancel_below_locked(struct wf_worker *w, struct wf_scope *s)
{
	walk_locked(w, s, mark);
	wf_fence_heavy();
	walk_locked(w, s, end_waits);
}

static void cancel_locked(struct wf_worker *w, struct wf_scope *s, int cause)
{
	if (s->cause != 0)
		return;
	s->cause = cause;
	cancel_below_locked(w, s);
}

void weft_scope_cancel(struct weft_scope *scope, int cause)
{
	struct wf_scope *s = inner(scope);
	struct wf_worker *w = wf_enter_here();
	wf_lock(&s->lock);
	cancel_locked(w, s, cause < 0 ? cause : -ECANCELED);
	wf_unlock(&s->lock);
	wf_leave(w);
}

/* The outermost scope that co itself has opened, NULL: none. Its lock is held. */
static struct wf_scope *outermost(const struct weft_co *co)
{
	struct wf_scope *s = co->scope, *found = NULL;
	for (; s != co->home; s = s->parent)
		found = s;
	return found;
}

/* Shields keep weft_shutdown off, but not who cancels this very coroutine. */
static bool shielded_at_home(const struct weft_co *co)
{
	return co->home && co->home->shielded;
}

/* Sets the cause in co, and in what is inside the scopes that it has open, unless it is behind a shield there. Its lock is held. */
static void mark_own_locked(struct weft_co *co)
{
	struct wf_scope *s = outermost(co);
	wf_u8_store(&co->own_cancel, 1); /* relaxed: under the lock, but for wf_cancel_all against a coroutine just being made */
	if (!s) {
		set_cancel(co, -ECANCELED);
	} else if (!(s->flags & WEFT_SCOPE_SHIELD)) {
		wf_lock(&s->lock);
		s->inherited = -ECANCELED;
		walk_locked(NULL, s, mark);
		wf_unlock(&s->lock);
	}
}

static void end_own_wait_locked(struct wf_worker *w, struct weft_co *co)
{
	struct wf_scope *s = outermost(co);
	if (!s) {
		wf_co_end_wait(w, co);
	} else if (!(s->flags & WEFT_SCOPE_SHIELD)) {
		wf_lock(&s->lock);
		walk_locked(w, s, end_waits);
		wf_unlock(&s->lock);
	}
}

int weft_cancel(struct weft_co *co)
{
	if (!co)
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	wf_lock(&co->lock);
	mark_own_locked(co);
	wf_fence_heavy();
	end_own_wait_locked(w, co);
	wf_unlock(&co->lock);
	wf_leave(w);
	return 0;
}

void wf_cancel_mark(struct weft_co *co)
{
	wf_lock(&co->lock);
	if (!shielded_at_home(co))
		mark_own_locked(co);
	wf_unlock(&co->lock);
}

static void mark_one(struct weft_co *co, void *arg)
{
	(void)arg;
	wf_cancel_mark(co);
}

static void end_one(struct weft_co *co, void *w)
{
	wf_lock(&co->lock);
	if (!shielded_at_home(co))
		end_own_wait_locked(w, co);
	wf_unlock(&co->lock);
}

void wf_cancel_all(struct wf_worker *w)
{
	wf_store(&wf_rt.cancel_all, 1); /* pairs with the look of a coroutine that is just being made */
	wf_fence_heavy();
	wf_co_each(mark_one, NULL);
	wf_fence_heavy();
	wf_co_each(end_one, w);
}

int weft_cause(void)
{
	struct wf_worker *w = wf_worker_self();
	return w ? (int)(intptr_t)wf_load(&w->co->cancel) : 0; /* relaxed: sticky */
}

/* ---- opening ------------------------------------------------------------------------------------------------------------- */

/* What a coroutine feels whose innermost scope is s, which is locked (NULL: none). */
static int felt_in(const struct weft_co *co, const struct wf_scope *s)
{
	if (s == co->home && wf_u8_load(&co->own_cancel)) /* relaxed: under the lock */
		return -ECANCELED;
	return s ? wf_scope_effective(s) : 0;
}

static void lock_scope(struct wf_scope *s)
{
	if (s)
		wf_lock(&s->lock);
}

static void unlock_scope(struct wf_scope *s)
{
	if (s)
		wf_unlock(&s->lock);
}

/* Moves co, in no scope or inside `from`, into `to`, or out of all. Both are locked. */
static void move_locked(struct weft_co *co, struct wf_scope *from, struct wf_scope *to)
{
	if (from)
		wf_list_remove(&co->scope_link);
	if (to)
		wf_list_push(&to->inside, &co->scope_link);
	co->scope = to;
	set_cancel(co, felt_in(co, to));
}

/* A deadline that fires late finds the scope by its number in the chain of its opener, whose control block is there for good. */
static void on_deadline(void *owner, uintptr_t number)
{
	struct weft_co *co = owner;
	wf_lock(&co->lock);
	struct wf_scope *s = co->scope;
	while (s && s != co->home && s->number != number)
		s = s->parent;
	if (s && s != co->home) {
		wf_lock(&s->lock);
		cancel_locked(wf_waker_self(), s, -ETIMEDOUT);
		wf_unlock(&s->lock);
	}
	wf_unlock(&co->lock);
}

static void arm_deadline(struct wf_worker *w, struct wf_scope *s, weft_time deadline)
{
	s->timer.when = deadline;
	s->timer.fire = on_deadline;
	s->timer.owner = s->opener;
	s->timer.arg = s->number;
	if (wf_timer_arm(wf_timers_here(w), &s->timer))
		wf_timer_armed(w, deadline);
}

static bool is_inside(const struct weft_co *co, const struct wf_scope *s)
{
	const struct wf_scope *at = co->scope;
	while (at && at != s)
		at = at->parent;
	return at != NULL;
}

static bool valid_opts(const struct weft_scope_opts *o)
{
	unsigned first = WEFT_SCOPE_FIRST_ERROR | WEFT_SCOPE_FIRST_SUCCESS;
	return o->size >= sizeof *o && o->limit >= 0 && !(o->flags & ~(first | WEFT_SCOPE_SHIELD)) && (o->flags & first) != first;
}

int weft_scope_open(struct weft_scope *scope, const struct weft_scope_opts *opts)
{
	static wf_word last_number;
	static const struct weft_scope_opts plain = {.size = sizeof plain};
	const struct weft_scope_opts *o = opts ? opts : &plain;
	struct wf_worker *w = wf_enter_here();
	struct weft_co *co = wf_worker_self() ? wf_worker_self()->co : NULL;
	struct wf_scope *s = inner(scope);
	if (!co || !s || !valid_opts(o) || is_inside(co, s)) {
		wf_leave(w);
		return -EINVAL;
	}
	struct wf_scope *parent = co->scope;
	bool shield = o->flags & WEFT_SCOPE_SHIELD;
	*s = (struct wf_scope){.parent = parent, .opener = co, .flags = o->flags, .limit = o->limit};
	s->number = wf_add(&last_number, 1) + 1; /* relaxed: only unique */
	wf_lock(&co->lock);
	lock_scope(parent);
	wf_lock(&s->lock);
	s->shielded = shield || (parent && parent->shielded);
	s->inherited = shield ? 0 : (int)(intptr_t)wf_load(&co->cancel);
	if (parent)
		wf_list_push(&parent->scopes, &s->nested);
	move_locked(co, parent, s);
	bool late = o->deadline != 0 && o->deadline <= wf_os_now();
	if (late)
		cancel_locked(w, s, -ETIMEDOUT);
	wf_unlock(&s->lock);
	unlock_scope(parent);
	wf_unlock(&co->lock);
	if (!late && o->deadline != 0 && o->deadline != WEFT_NEVER)
		arm_deadline(w, s, o->deadline);
	wf_leave(w);
	return 0;
}

/* ---- coroutines in it ------------------------------------------------------------------------------------------------------ */

/* Records how a coroutine ended, and cancels the others where the scope's kind asks for it. */
static void record_locked(struct wf_worker *w, struct wf_scope *s, int result)
{
	bool ok = result >= 0;
	if (ok && !s->succeeded) {
		s->succeeded = true;
		s->first_success = result;
		if (s->flags & WEFT_SCOPE_FIRST_SUCCESS)
			cancel_locked(w, s, -ECANCELED);
	} else if (!ok && !s->failed) {
		s->failed = true;
		s->first_error = result;
		if (s->flags & WEFT_SCOPE_FIRST_ERROR)
			cancel_locked(w, s, result);
	}
}

/* A place under the limit goes to who waits for one, in order of arrival, or becomes free. Returns whom to wake; NULL: nobody. */
static struct wf_wait *pass_place_locked(struct wf_scope *s)
{
	struct wf_wait *starter = wf_waitq_claim(&s->starters, 0, NULL);
	if (!starter)
		s->running--;
	return starter;
}

/* The last act of a coroutine in a scope. The scope may be gone when it returns. */
static void end_inside(struct wf_worker *w, struct weft_co *co, int result)
{
	struct wf_scope *s = co->home;
	wf_lock(&co->lock);
	wf_lock(&s->lock);
	wf_list_remove(&co->scope_link);
	co->scope = co->home = NULL;
	record_locked(w, s, result);
	struct wf_wait *starter = pass_place_locked(s);
	struct wf_wait *closer = s->running == 0 ? wf_waitq_claim(&s->closer, 0, NULL) : NULL;
	wf_unlock(&s->lock);
	wf_unlock(&co->lock);
	if (starter)
		wf_wake(w, starter);
	if (closer)
		wf_wake(w, closer);
}

/* Registers a coroutine that is not running yet. Its lock: whoever looks late for what the control block was before must not meet
 * this. */
static void begin_inside(struct weft_co *co, void *arg)
{
	struct wf_scope *s = arg;
	wf_lock(&co->lock);
	wf_lock(&s->lock);
	co->home = s;
	co->on_end = end_inside;
	move_locked(co, NULL, s);
	wf_unlock(&s->lock);
	wf_unlock(&co->lock);
}

static int wait_for_place(struct wf_worker **w, struct wf_scope *s)
{
	struct wf_waiter waiter;
	struct wf_wait *wait = wf_wait_begin(*w, WF_WHY_SCOPE, s);
	wf_waitq_push(&s->starters, &waiter, wait);
	wf_unlock(&s->lock);
	int result = wf_park(w, wait, WEFT_NEVER, WF_CANCELLABLE);
	wf_lock(&s->lock);
	wf_waitq_remove(&waiter);
	return result;
}

static int take_place(struct wf_worker **w, struct wf_scope *s)
{
	wf_lock(&s->lock);
	int result = wf_scope_effective(s) ? -ECANCELED : 0;
	if (result == 0 && s->limit && s->running >= s->limit)
		result = wait_for_place(w, s);
	else if (result == 0)
		s->running++;
	wf_unlock(&s->lock);
	return result;
}

static void return_place(struct wf_scope *s)
{
	struct wf_worker *w = wf_enter_here();
	wf_lock(&s->lock);
	struct wf_wait *starter = pass_place_locked(s);
	wf_unlock(&s->lock);
	if (starter)
		wf_wake(w, starter);
	wf_leave(w);
}

/* A place in the scope, if the caller is inside it. */
static int come_in(struct wf_scope *s)
{
	struct wf_worker *w = wf_enter();
	int result = -EINVAL;
	if (w && s && is_inside(w->co, s)) {
		wf_charge(&w, WF_COST_CALL);
		result = take_place(&w, s);
	}
	wf_leave(w);
	return result;
}

int weft_scope_go(struct weft_scope *scope, weft_fn *fn, void *arg)
{
	int result = fn ? come_in(inner(scope)) : -EINVAL;
	if (result == 0 && (result = wf_co_make(fn, arg, begin_inside, inner(scope))) != 0)
		return_place(inner(scope));
	return result;
}

int weft_scope_spawn(struct weft_scope *scope, struct weft_co **co, const struct weft_attr *attr, weft_fn *fn, void *arg)
{
	int result = fn && !(attr && attr->daemon) ? come_in(inner(scope)) : -EINVAL;
	if (result == 0 && (result = wf_co_spawn(co, attr, fn, arg, begin_inside, inner(scope))) != 0)
		return_place(inner(scope));
	return result;
}

/* ---- closing --------------------------------------------------------------------------------------------------------------- */

static int outcome(const struct wf_scope *s)
{
	if (s->flags & WEFT_SCOPE_FIRST_SUCCESS && s->succeeded)
		return s->first_success;
	return s->failed ? s->first_error : 0;
}

/* Waits for the last coroutine in it; cancel does not end this wait, it ends theirs. */
static void wait_empty(struct wf_worker **w, struct wf_scope *s)
{
	wf_lock(&s->lock);
	if (s->running == 0) {
		wf_unlock(&s->lock);
		return;
	}
	struct wf_waiter waiter;
	struct wf_wait *wait = wf_wait_begin(*w, WF_WHY_SCOPE, s);
	wf_waitq_push(&s->closer, &waiter, wait);
	wf_unlock(&s->lock);
	wf_park(w, wait, WEFT_NEVER, WF_PLAIN);
}

int weft_scope_close(struct weft_scope *scope)
{
	struct wf_scope *s = inner(scope);
	struct wf_worker *w = wf_enter();
	if (!w || !scope || w->co->scope != s || s->opener != w->co) {
		wf_leave(w);
		return -EINVAL;
	}
	wait_empty(&w, s);
	wf_timer_disarm(&s->timer);
	struct weft_co *co = s->opener;
	struct wf_scope *parent = s->parent;
	wf_lock(&co->lock);
	lock_scope(parent);
	wf_lock(&s->lock);
	if (parent)
		wf_list_remove(&s->nested);
	move_locked(co, s, parent);
	s->opener = NULL;
	wf_unlock(&s->lock);
	unlock_scope(parent);
	wf_unlock(&co->lock);
	int result = outcome(s);
	wf_leave(w);
	return result;
}

void wf_scopes_unwind(struct weft_co *co)
{
	while (co->scope != co->home) {
		struct weft_scope *scope = (struct weft_scope *)(void *)co->scope;
		weft_scope_cancel(scope, -ECANCELED);
		int ignored = weft_scope_close(scope);
		(void)ignored;
	}
}
