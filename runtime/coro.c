#include "coro.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "park.h"
#include "sched.h"
#include "switch.h"

enum {
	SLAB = 64,         /* control blocks made at a time */
	CACHE_MAX = 256,   /* free ones that a processor keeps */
	CACHE_MOVE = 64,
	ID_BATCH = 1024,
};

/* ---- states ---------------------------------------------------------------------------------------------------------- */

static const char *const state_names[WF_STATES] = {"free", "new", "runnable", "running", "parking", "parked", "dead"};

const char *wf_state_name(enum wf_state state)
{
	return (unsigned)state < WF_STATES ? state_names[state] : "?";
}

/* allowed[from] has bit `to` set for every move that can happen. */
static const unsigned allowed[WF_STATES] = {
	[WF_STATE_FREE] = 1u << WF_STATE_NEW,
	[WF_STATE_NEW] = 1u << WF_STATE_RUNNING,
	[WF_STATE_RUNNABLE] = 1u << WF_STATE_RUNNING,
	[WF_STATE_RUNNING] = 1u << WF_STATE_RUNNABLE | 1u << WF_STATE_PARKING | 1u << WF_STATE_DEAD,
	[WF_STATE_PARKING] = 1u << WF_STATE_PARKED,
	[WF_STATE_PARKED] = 1u << WF_STATE_RUNNABLE,
	[WF_STATE_DEAD] = 1u << WF_STATE_FREE,
};

void wf_co_move_checked(struct weft_co *co, enum wf_state to)
{
	enum wf_state from = wf_u8_load(&co->state);
	if (!(allowed[from] & 1u << to))
		wf_fatal("coroutine %llu can't go from %s to %s", (unsigned long long)co->id, wf_state_name(from), wf_state_name(to));
}

/* ---- control blocks -------------------------------------------------------------------------------------------------- */

struct slab {
	struct slab *next;
	struct weft_co co[SLAB];
};

static struct wf_lock slab_lock;
static struct slab *slabs;      /* under slab_lock; only ever grows while the runtime runs */
static struct weft_co *free_cos; /* under slab_lock */
static wf_word last_id;

static bool add_slab_locked(void)
{
	struct slab *s = aligned_alloc(WF_CACHE_LINE, sizeof *s);
	if (!s)
		return false;
	memset(s, 0, sizeof *s);
	for (int i = SLAB; i-- > 0;) {
		s->co[i].wait.co = &s->co[i];
		s->co[i].next = free_cos;
		free_cos = &s->co[i];
	}
	s->next = slabs;
	slabs = s;
	return true;
}

static struct weft_co *take_shared(unsigned n, unsigned *taken)
{
	wf_lock(&slab_lock);
	struct weft_co *first = NULL;
	if (free_cos || add_slab_locked()) {
		struct weft_co *last = first = free_cos;
		for (*taken = 1; *taken < n && last->next; ++*taken)
			last = last->next;
		free_cos = last->next;
		last->next = NULL;
	}
	wf_unlock(&slab_lock);
	return first;
}

static void give_shared(struct weft_co *first, struct weft_co *last)
{
	wf_lock(&slab_lock);
	last->next = free_cos;
	free_cos = first;
	wf_unlock(&slab_lock);
}

struct weft_co *wf_co_alloc(struct wf_worker *w)
{
	unsigned n;
	if (!w)
		return take_shared(1, &n);
	struct wf_proc *p = w->proc;
	if (wf_unlikely(!p->free_cos)) {
		if (!(p->free_cos = take_shared(CACHE_MOVE, &n)))
			return NULL;
		p->free_co_count = n;
	}
	struct weft_co *co = p->free_cos;
	p->free_cos = co->next;
	p->free_co_count--;
	return co;
}

static WF_COLD void spill(struct wf_proc *p)
{
	struct weft_co *first = p->free_cos, *last = first;
	for (int i = 1; i < CACHE_MOVE; i++)
		last = last->next;
	p->free_cos = last->next;
	p->free_co_count -= CACHE_MOVE;
	give_shared(first, last);
}

void wf_co_free(struct wf_worker *w, struct weft_co *co)
{
	wf_co_move(co, WF_STATE_FREE);
	if (!w) {
		give_shared(co, co);
		return;
	}
	struct wf_proc *p = w->proc;
	co->next = p->free_cos;
	p->free_cos = co;
	if (wf_unlikely(++p->free_co_count > CACHE_MAX))
		spill(p);
}

void wf_co_each(void (*fn)(struct weft_co *co, void *arg), void *arg)
{
	wf_lock(&slab_lock);
	struct slab *s = slabs;
	wf_unlock(&slab_lock);
	for (; s; s = s->next)
		for (int i = 0; i < SLAB; i++)
			if (wf_u8_load(&s->co[i].state) != WF_STATE_FREE)
				fn(&s->co[i], arg);
}

void wf_co_free_all(void)
{
	struct slab *s = slabs, *next;
	for (; s; s = next) {
		next = s->next;
		free(s);
	}
	slabs = NULL;
	free_cos = NULL;
}

/* ---- making one ------------------------------------------------------------------------------------------------------ */

static uint64_t new_id(struct wf_worker *w)
{
	if (!w)
		return wf_add(&last_id, 1) + 1; /* relaxed: only unique */
	struct wf_proc *p = w->proc;
	if (wf_unlikely(p->id_next == p->id_end)) {
		p->id_next = wf_add(&last_id, ID_BATCH) + 1;
		p->id_end = p->id_next + ID_BATCH;
	}
	return p->id_next++;
}

static int reserve_stack(struct wf_worker *w, unsigned class_index)
{
	if (!w || class_index != wf_rt.stack_class)
		return wf_stack_reserve(class_index, 1);
	struct wf_proc *p = w->proc;
	if (wf_unlikely(p->credits == 0) && wf_proc_add_credits(p) != 0)
		return -ENOMEM;
	p->credits--;
	return 0;
}

static void count_spawn(struct wf_worker *w, bool daemon)
{
	if (!w) {
		if (daemon)
			wf_add_full(&wf_rt.foreign_daemons, 1);
		wf_add_full(&wf_rt.foreign_spawned, 1);
		return;
	}
	if (daemon)
		wf_count(&w->proc->stats.daemons_spawned);
	wf_count(&w->proc->stats.spawned);
}

static void copy_name(char *to, const char *name)
{
	size_t n = name ? strlen(name) : 0;
	n = n < WEFT_NAME_SIZE ? n : WEFT_NAME_SIZE - 1;
	memcpy(to, name ? name : "", n);
	to[n] = 0;
}

struct plan {
	weft_fn *fn;
	void *arg;
	const char *name;
	unsigned char flags;
	unsigned char stack_class;
};

static void prepare(struct wf_worker *w, struct weft_co *co, const struct plan *plan)
{
	co->stack = NULL;
	wf_store(&co->sp, 0);
	co->fn = plan->fn;
	co->arg = plan->arg;
	co->flags = plan->flags;
	co->stack_class = plan->stack_class;
	co->id = new_id(w);
	co->creator = w && w->co ? w->co->id : 0;
	co->defers = NULL;
	co->locals = NULL;
	if (plan->name)
		copy_name(co->name, plan->name);
	else
		co->name[0] = 0;
	wf_store(&co->cancel, 0);
	wf_co_move(co, WF_STATE_NEW);
	wf_fence_light(); /* pairs with wf_cancel_all: it sees us, or we see it */
	if (wf_unlikely(wf_load(&wf_rt.cancel_all) != 0))
		wf_store(&co->cancel, (uintptr_t)-ECANCELED);
}

static int make(struct weft_co **out, const struct plan *plan)
{
	if (!wf_load_acquire(&wf_rt.up)) /* pairs with the release in weft_start */
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	struct weft_co *co = wf_co_alloc(w);
	if (!co || reserve_stack(w, plan->stack_class) != 0) {
		if (co) {
			wf_u8_store(&co->state, WF_STATE_DEAD);
			wf_co_free(w, co);
		}
		wf_leave(w);
		return -ENOMEM;
	}
	prepare(w, co, plan);
	if (out)
		*out = co;
	count_spawn(w, plan->flags & WF_CO_DAEMON);
	wf_ready(w, co);
	wf_leave(w);
	return 0;
}

int weft_go(weft_fn *fn, void *arg)
{
	if (!fn)
		return -EINVAL;
	struct plan plan = {.fn = fn, .arg = arg, .flags = WF_CO_DETACHED, .stack_class = (unsigned char)wf_rt.stack_class};
	return make(NULL, &plan);
}

int weft_spawn(struct weft_co **co, const struct weft_attr *attr, weft_fn *fn, void *arg)
{
	if (!fn || (attr && attr->size < sizeof *attr))
		return -EINVAL;
	struct plan plan = {.fn = fn, .arg = arg, .stack_class = (unsigned char)wf_rt.stack_class};
	plan.flags = co ? WF_CO_ESCAPED : WF_CO_DETACHED;
	if (attr) {
		plan.name = attr->name;
		plan.flags = (unsigned char)(plan.flags | (attr->daemon ? WF_CO_DAEMON : 0));
		int class_index = attr->stack_size ? wf_stack_class(attr->stack_size) : (int)wf_rt.stack_class;
		if (class_index < 0)
			return class_index;
		plan.stack_class = (unsigned char)class_index;
	}
	return make(co, &plan);
}

/* ---- its end --------------------------------------------------------------------------------------------------------- */

static void run_defers(struct weft_co *co)
{
	struct wf_defer *d;
	while ((d = co->defers)) {
		co->defers = d->next;
		d->fn(d->arg);
		free(d);
	}
}

/* Tells whoever joins. The control block may be gone when it returns. */
static void announce_end(struct wf_worker *w, struct weft_co *co)
{
	if (!(co->flags & WF_CO_ESCAPED)) {
		wf_co_free(w, co);
		return;
	}
	wf_lock(&co->lock);
	co->flags |= WF_CO_ENDED;
	bool detached = co->flags & WF_CO_DETACHED;
	struct wf_wait *joiner = wf_waitq_claim(&co->joiners, 0, NULL);
	wf_unlock(&co->lock);
	if (detached)
		wf_co_free(w, co);
	else if (joiner)
		wf_wake(w, joiner);
}

_Noreturn void wf_co_finish(struct weft_co *co, int result)
{
	run_defers(co);
	wf_locals_run(co);
	struct wf_worker *w = wf_enter();
	struct wf_stack *stack = co->stack;
	bool daemon = co->flags & WF_CO_DAEMON;
	co->result = result;
	co->stack = NULL;
	wf_co_move(co, WF_STATE_DEAD);
	announce_end(w, co);
	if (daemon)
		wf_count(&w->proc->stats.daemons_ended);
	wf_count(&w->proc->stats.ended);
	wf_switch_from_dead(w, stack);
}

_Noreturn void weft_exit(int result)
{
	struct wf_worker *w = wf_worker_self();
	if (!w)
		wf_fatal("weft_exit outside a coroutine");
	wf_co_finish(w->co, result);
}

int weft_defer(void (*fn)(void *), void *arg)
{
	struct wf_worker *w = wf_worker_self();
	struct wf_defer *d = w && fn ? malloc(sizeof *d) : NULL;
	if (!d)
		return w && fn ? -ENOMEM : -EINVAL;
	*d = (struct wf_defer){w->co->defers, fn, arg};
	w->co->defers = d;
	return 0;
}

/* ---- joining --------------------------------------------------------------------------------------------------------- */

/* Waits until co has ended. The lock is held at the start and released. */
static int wait_for_end(struct wf_worker **w, struct weft_co *co, int64_t deadline)
{
	if (co->flags & WF_CO_DETACHED || !wf_waitq_empty(&co->joiners)) {
		wf_unlock(&co->lock);
		return -EINVAL;
	}
	if (co->flags & WF_CO_ENDED) {
		wf_unlock(&co->lock);
		return 0;
	}
	struct wf_waiter waiter;
	struct wf_wait *wait = wf_wait_begin(*w, WF_WHY_JOIN, co);
	wf_waitq_push(&co->joiners, &waiter, wait);
	wf_unlock(&co->lock);
	int result = wf_park(w, wait, deadline, WF_CANCELLABLE);
	if (result < 0) {
		wf_lock(&co->lock);
		wf_waitq_remove(&waiter);
		wf_unlock(&co->lock);
	}
	return result;
}

int weft_join_until(struct weft_co *co, int *result, weft_time deadline)
{
	if (!co)
		return -EINVAL;
	struct wf_worker *w = wf_enter();
	int failed = w && w->co == co ? -EDEADLK : wf_cancelled(w);
	if (failed == 0) {
		wf_lock(&co->lock);
		failed = wait_for_end(&w, co, deadline);
	}
	if (failed == 0) {
		if (result)
			*result = co->result;
		wf_co_free(w, co);
	}
	wf_leave(w);
	return failed;
}

int weft_join(struct weft_co *co, int *result)
{
	return weft_join_until(co, result, WEFT_NEVER);
}

int weft_detach(struct weft_co *co)
{
	if (!co)
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	wf_lock(&co->lock);
	bool allowed_now = !(co->flags & WF_CO_DETACHED) && wf_waitq_empty(&co->joiners);
	bool ended = co->flags & WF_CO_ENDED;
	if (allowed_now)
		co->flags |= WF_CO_DETACHED;
	wf_unlock(&co->lock);
	if (allowed_now && ended)
		wf_co_free(w, co);
	wf_leave(w);
	return allowed_now ? 0 : -EINVAL;
}

/* ---- cancelling ------------------------------------------------------------------------------------------------------ *
 *
 *   canceller                              waiter (park.c)
 *   1 cancel = cause                       1 cancel_ticket = this wait's ticket
 *   2 heavy fence                          2 light fence
 *   3 claim the wait of cancel_ticket      3 cancel set? give the wait up
 *
 * A stale ticket fails to claim; the wait that comes after it begins with step 1 and sees the cause in step 3. */

static void end_wait(struct wf_worker *w, struct weft_co *co)
{
	uintptr_t ticket = wf_load(&co->wait.cancel_ticket); /* ordered by the heavy fence */
	if (wf_claim(&co->wait, ticket, -ECANCELED))
		wf_wake(w, &co->wait);
}

void wf_co_cancel(struct wf_worker *w, struct weft_co *co, int cause)
{
	wf_store(&co->cancel, (uintptr_t)(intptr_t)cause);
	wf_fence_heavy();
	end_wait(w, co);
}

static void mark_cancelled(struct weft_co *co, void *arg)
{
	(void)arg;
	wf_store(&co->cancel, (uintptr_t)-ECANCELED);
}

static void end_wait_of(struct weft_co *co, void *arg)
{
	end_wait(arg, co);
}

void wf_cancel_all(struct wf_worker *w)
{
	wf_store(&wf_rt.cancel_all, 1); /* pairs with prepare */
	wf_fence_heavy();
	wf_co_each(mark_cancelled, NULL);
	wf_fence_heavy();
	wf_co_each(end_wait_of, w);
}

int weft_cancel(struct weft_co *co)
{
	if (!co)
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	wf_co_cancel(w, co, -ECANCELED);
	wf_leave(w);
	return 0;
}

int weft_cancelled(void)
{
	return wf_cancelled(wf_worker_self());
}

/* ---- sleeping ---------------------------------------------------------------------------------------------------------- */

int weft_sleep_until(weft_time when)
{
	struct wf_worker *w = wf_enter();
	int result = wf_cancelled(w);
	if (result == 0 && when > wf_os_now()) {
		struct wf_wait *wait = wf_wait_begin(w, WF_WHY_SLEEP, NULL);
		result = wf_park(&w, wait, when, WF_CANCELLABLE);
		result = result == -ETIMEDOUT ? 0 : result;
	}
	wf_leave(w);
	return result;
}

int weft_sleep(int64_t ns)
{
	return ns <= 0 ? weft_cancelled() : weft_sleep_until(weft_after(ns));
}

/* ---- identity ---------------------------------------------------------------------------------------------------------- */

uint64_t weft_self(void)
{
	struct wf_worker *w = wf_worker_self();
	return w ? w->co->id : 0;
}

uint64_t weft_id(const struct weft_co *co)
{
	return co->id;
}

void weft_set_name(const char *name)
{
	struct wf_worker *w = wf_worker_self();
	if (w)
		copy_name(w->co->name, name);
}

const char *weft_name(void)
{
	struct wf_worker *w = wf_worker_self();
	return w ? w->co->name : "";
}

int weft_stack_bounds(void **low, void **high)
{
	struct wf_worker *w = wf_worker_self();
	if (!w)
		return -EINVAL;
	*low = w->co->stack->low;
	*high = w->co->stack->top;
	return 0;
}
