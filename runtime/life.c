/* The life of a coroutine: making, ending, joining. */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "park.h"

enum {
	ID_BATCH = 128, /* and one in so many is measured (stats.h) */
	DEFAULT_CLASS = UINT8_MAX, /* of stacks: the runtime's, once it is known to be up */
};

static wf_word last_id;

/* ---- making one ------------------------------------------------------------------------------------------------------ */

static uint64_t new_id(struct wf_worker *w, struct weft_co *co)
{
	if (!w)
		return wf_add(&last_id, 1) + 1; /* relaxed: only unique */
	struct wf_proc *p = w->proc;
	if (wf_unlikely(p->id_next == p->id_end)) {
		p->id_next = wf_add(&last_id, ID_BATCH) + 1;
		p->id_end = p->id_next + ID_BATCH;
		wf_co_time(co, wf_os_now());
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

/* In this order: proc.c, "counting". */
static void count_spawn(struct wf_worker *w, bool daemon)
{
	if (!w) {
		wf_add_full(&wf_rt.foreign_spawned, 1);
		if (daemon)
			wf_add_full(&wf_rt.foreign_daemons, 1);
		return;
	}
	wf_count(&w->proc->stats.spawned);
	if (daemon)
		wf_count_release(&w->proc->stats.daemons_spawned);
}

void wf_co_name(struct weft_co *co, const char *name)
{
	size_t n = 0;
	for (; name && n < WEFT_NAME_SIZE - 1 && name[n]; n++)
		wf_u8_store(&co->name[n], (unsigned char)name[n]); /* relaxed: a dump may show half of each name */
	wf_u8_store(&co->name[n], 0);
}

struct plan {
	weft_fn *fn;
	void *arg;
	const char *name;
	unsigned char kind;
	unsigned char stack_class;
	wf_enrol_fn *enrol; /* NULL: nothing to do */
	void *enrol_arg;
};

/* What an end leaves as it must be at the beginning is not set again. */
static inline __attribute__((always_inline)) void prepare(struct wf_worker *w, struct weft_co *co, const struct plan *plan)
{
	wf_assert(!co->stack && !co->defers && !co->locals && !co->pins && !co->scope && !co->home);
	wf_store(&co->sp, WF_SP_NEW);
	co->fn = plan->fn;
	co->arg = plan->arg;
	wf_u8_store(&co->kind, plan->kind); /* relaxed: for dumps; else read by those it was published to */
	wf_u8_store(&co->flags, 0); /* relaxed: published with the coroutine */
	co->stack_class = plan->stack_class;
	co->special = WF_CO_FRESH;
	wf_store(&co->id, new_id(w, co)); /* relaxed, and the next: published with the coroutine; for dumps */
	wf_store(&co->creator, w && w->co ? w->co->id : 0);
	co->blocking = 0;
	wf_co_name(co, plan->name);
	co->on_end = NULL;
	wf_u8_store(&co->own_cancel, 0); /* relaxed, both: wf_cancel_all may be late; the fence below settles that */
	wf_store(&co->cancel, 0);
	if (plan->enrol)
		plan->enrol(co, plan->enrol_arg);
	wf_co_move(co, WF_STATE_NEW);
	wf_fence_light(); /* pairs with wf_cancel_all: it sees us, or we see it */
	if (wf_unlikely(wf_load(&wf_rt.cancel_all) != 0))
		wf_cancel_mark(co);
}

/* Makes it; the caller has it run. */
static inline __attribute__((always_inline)) int make_here(struct wf_worker *w, struct weft_co **out, struct plan *plan)
{
	if (!w && !wf_load_acquire(&wf_up)) /* pairs with the release in weft_start */
		return -EINVAL;
	if (plan->stack_class == DEFAULT_CLASS)
		plan->stack_class = (unsigned char)wf_rt.stack_class;
	struct weft_co *co = wf_co_alloc(w);
	if (!co || reserve_stack(w, plan->stack_class) != 0) {
		if (co) {
			wf_u8_store(&co->state, WF_STATE_DEAD);
			wf_co_free(w, co);
		}
		return -ENOMEM;
	}
	prepare(w, co, plan);
	*out = co;
	count_spawn(w, plan->kind & WF_CO_DAEMON);
	return 0;
}

static inline __attribute__((always_inline)) int make_inside(struct wf_worker *w, struct weft_co **out, struct plan *plan)
{
	struct weft_co *co;
	int result = make_here(w, &co, plan);
	if (result == 0) {
		if (out)
			*out = co;
		wf_ready_new(w, co);
	}
	wf_leave(w);
	return result;
}

static WF_NOINLINE int make_as_guest(struct weft_co **out, struct plan plan)
{
	return make_inside(NULL, out, &plan);
}

/* The plan stays in registers. */
static inline __attribute__((always_inline)) int make(struct weft_co **out, struct plan plan)
{
	struct wf_worker *w = wf_enter_here();
	return wf_likely(w != NULL) ? make_inside(w, out, &plan) : make_as_guest(out, plan);
}

int wf_co_make(weft_fn *fn, void *arg, wf_enrol_fn *enrol, void *enrol_arg)
{
	struct plan plan = {.fn = fn, .arg = arg, .stack_class = DEFAULT_CLASS, .enrol = enrol, .enrol_arg = enrol_arg};
	return make(NULL, plan);
}

WF_NOINLINE int wf_co_make_daemon(struct wf_worker *w, const char *name, weft_fn *fn, void *arg, wf_enrol_fn *enrol)
{
	struct plan plan = {.fn = fn, .arg = arg, .name = name, .kind = WF_CO_DAEMON, .stack_class = DEFAULT_CLASS};
	struct weft_co *co;
	plan.enrol = enrol;
	plan.enrol_arg = arg;
	int result = make_here(w, &co, &plan);
	if (result == 0)
		wf_ready(w, co); /* not as a child of what runs: what comes due together runs in its order */
	return result;
}

int weft_go(weft_fn *fn, void *arg)
{
	return fn ? wf_co_make(fn, arg, NULL, NULL) : -EINVAL;
}

int wf_co_spawn(struct weft_co **co, const struct weft_attr *attr, weft_fn *fn, void *arg, wf_enrol_fn *enrol, void *enrol_arg)
{
	if (!fn || (attr && attr->size < sizeof *attr))
		return -EINVAL;
	struct plan plan = {.fn = fn, .arg = arg, .stack_class = DEFAULT_CLASS, .enrol = enrol, .enrol_arg = enrol_arg};
	plan.kind = co ? WF_CO_ESCAPED : 0;
	if (attr) {
		plan.name = attr->name;
		plan.kind = (unsigned char)(plan.kind | (attr->daemon ? WF_CO_DAEMON : 0));
		int class_index = attr->stack_size ? wf_stack_class(attr->stack_size) : DEFAULT_CLASS;
		if (class_index < 0)
			return class_index;
		plan.stack_class = (unsigned char)class_index;
	}
	return make(co, plan);
}

int weft_spawn(struct weft_co **co, const struct weft_attr *attr, weft_fn *fn, void *arg)
{
	return wf_co_spawn(co, attr, fn, arg, NULL, NULL);
}

/* ---- its end --------------------------------------------------------------------------------------------------------- */

static void run_defers(struct weft_co *co)
{
	struct wf_defer *d;
	while ((d = co->defers)) {
		struct wf_defer copy = *d;
		co->defers = d->next;
		free(d); /* before the call, from which weft_exit does not come back */
		copy.fn(copy.arg);
	}
}

/* Claims one who waits for the end, NULL: none. Whoever joins has index 0; a select hears which of its cases it is. */
static struct wf_waiter *claim_watcher(struct weft_co *co)
{
	struct wf_waiter *waiter;
	if (!wf_waitq_claim(&co->joiners, 0, &waiter))
		return NULL;
	waiter->wait->result = waiter->index;
	return waiter;
}

static void take_watchers_locked(struct weft_co *co, struct wf_list *watchers)
{
	struct wf_link *l;
	while ((l = wf_list_pop(&co->watchers))) {
		wf_container_of(l, struct wf_watcher, link)->waits = false;
		wf_list_push(watchers, l);
	}
}

static void fire_watchers(struct wf_worker *w, struct wf_list *watchers, int result)
{
	struct wf_link *l;
	while ((l = wf_list_pop(watchers))) {
		struct wf_watcher *watcher = wf_container_of(l, struct wf_watcher, link);
		watcher->fire(w, watcher, result);
	}
}

/* Lets go of the lock, and tells everybody. */
static WF_COLD void announce_to_all(struct wf_worker *w, struct weft_co *co, bool detached)
{
	struct wf_list waiters = {0}, watchers = {0};
	struct wf_waiter *waiter;
	int result = co->result;
	while ((waiter = claim_watcher(co)))
		wf_list_push(&waiters, &waiter->link);
	take_watchers_locked(co, &watchers);
	wf_unlock(&co->lock);
	if (detached)
		wf_co_free(w, co);
	wf_wake_all(w, &waiters);
	fire_watchers(w, &watchers, result);
}

/* Tells whoever joins, looks on (select.c), or watches (exits.c). The control block may be gone when it returns: from the unlock on
 * it is the joiner's; where there were no flags, from ENDED on, and what is unlocked then can be the lock of its next life. */
static void announce_end(struct wf_worker *w, struct weft_co *co)
{
	if (!(co->kind & WF_CO_ESCAPED)) {
		wf_co_free(w, co);
		return;
	}
	wf_lock(&co->lock);
	unsigned flags = wf_u8_load(&co->flags); /* relaxed: under the lock */
	wf_co_flag_locked(co, WF_CO_ENDED);
	if (wf_unlikely(flags & WF_CO_WATCHED)) {
		announce_to_all(w, co, flags & WF_CO_DETACHED);
		return;
	}
	struct wf_wait *joiner = flags & WF_CO_JOINING ? wf_waitq_claim(&co->joiners, 0, NULL) : NULL;
	wf_unlock(&co->lock);
	if (flags & WF_CO_DETACHED)
		wf_co_free(w, co);
	if (joiner)
		wf_wake(w, joiner);
}

static void check_scopes_closed(const struct weft_co *co)
{
	if (co->scope != co->home)
		wf_fatal("coroutine %llu \"%s\" returned with an open scope", (unsigned long long)co->id, wf_co_name_of(co));
}

static void run_last_calls(struct weft_co *co)
{
	do {
		run_defers(co);
		wf_locals_run(co);
	} while (co->defers); /* by a destructor */
	check_scopes_closed(co); /* these may open some too */
}

WF_HOT _Noreturn void wf_co_finish(struct weft_co *co, int result)
{
	check_scopes_closed(co);
	if (wf_unlikely(co->defers || co->locals))
		run_last_calls(co);
	struct wf_worker *w = wf_enter();
	struct wf_stack *stack = co->stack;
	if (wf_unlikely(co->special & WF_CO_PINNED))
		wf_unpin(w, co);
	co->result = result;
	if (co->on_end)
		co->on_end(w, co, result);
	if (co->kind & WF_CO_DAEMON)
		wf_count(&w->proc->stats.daemons_ended);
	co->stack = NULL;
	wf_co_move(co, WF_STATE_DEAD);
	announce_end(w, co);
	wf_count_release(&w->proc->stats.ended);
	wf_switch_from_dead(w, stack);
}

_Noreturn void weft_exit(int result)
{
	struct wf_worker *w = wf_worker_self();
	if (!w)
		wf_fatal("weft_exit outside a coroutine");
	struct weft_co *co = w->co; /* the worker is another one after this, if scopes are open */
	wf_scopes_unwind(co);
	wf_co_finish(co, result);
}

int weft_defer(void (*fn)(void *), void *arg)
{
	struct wf_worker *w = wf_worker_self();
	struct wf_defer *d = w && fn && !wf_stress_fails() ? malloc(sizeof *d) : NULL;
	if (!d)
		return w && fn ? -ENOMEM : -EINVAL;
	*d = (struct wf_defer){w->co->defers, fn, arg};
	w->co->defers = d;
	return 0;
}

/* ---- joining --------------------------------------------------------------------------------------------------------- */

/* Takes one that has ended and concerned nobody: without its lock, which the end may hold a moment longer (docs/protocols.md, "End
 * and join"). */
static bool take_ended(struct weft_co *co)
{
	if (wf_u8_load_acquire(&co->flags) != WF_CO_ENDED) /* pairs with the release in wf_co_flag_locked */
		return false;
	wf_u8_store(&co->flags, WF_CO_ENDED | WF_CO_JOINING); /* relaxed: a second join, an error, is told so if it can be */
	return true;
}

/* The lock is held at the start and released. */
static int wait_for_end(struct wf_worker **w, struct weft_co *co, int64_t deadline)
{
	struct wf_waiter waiter;
	struct wf_wait *wait = wf_wait_begin(*w, WF_WHY_JOIN, co);
	waiter.index = 0;
	wf_waitq_push(&co->joiners, &waiter, wait);
	wf_unlock(&co->lock);
	int result = wf_park(w, wait, deadline, WF_CANCELLABLE);
	if (result < 0) {
		wf_lock(&co->lock);
		wf_waitq_remove(&waiter);
		/* pairs with the acquire in take_ended */
		wf_u8_store_release(&co->flags, (unsigned char)(wf_u8_load(&co->flags) & ~WF_CO_JOINING));
		wf_unlock(&co->lock);
	}
	return result;
}

/* Waits until co has ended. */
static int join(struct wf_worker **w, struct weft_co *co, int64_t deadline)
{
	if (take_ended(co))
		return 0;
	wf_lock(&co->lock);
	unsigned flags = wf_u8_load(&co->flags); /* relaxed: under the lock */
	bool ended = flags & WF_CO_ENDED;
	int result = flags & (WF_CO_DETACHED | WF_CO_JOINING) ? -EINVAL : !ended && deadline == WEFT_NOW ? -EAGAIN : 0;
	if (result == 0)
		wf_co_flag_locked(co, WF_CO_JOINING);
	if (result == 0 && !ended)
		return wait_for_end(w, co, deadline);
	wf_unlock(&co->lock);
	return result;
}

int weft_join_until(struct weft_co *co, int *result, weft_time deadline)
{
	if (!co)
		return -EINVAL;
	struct wf_worker *w = wf_enter();
	bool guest = !w;
	if (guest)
		wf_enter_guest(); /* once more: to stay one while it waits */
	wf_charge(&w, WF_COST_CALL);
	int failed = w && w->co == co ? -EDEADLK : wf_cancelled(w);
	if (failed == 0)
		failed = join(&w, co, deadline);
	if (failed == 0) {
		if (result)
			*result = co->result;
		wf_co_free(w, co);
	}
	if (guest)
		wf_leave_guest();
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
	unsigned flags = wf_u8_load(&co->flags); /* relaxed: under the lock */
	bool allowed_now = !(flags & (WF_CO_DETACHED | WF_CO_JOINING)) && wf_waitq_empty(&co->joiners);
	bool ended = flags & WF_CO_ENDED;
	if (allowed_now)
		wf_co_flag_locked(co, WF_CO_DETACHED);
	wf_unlock(&co->lock);
	if (allowed_now && ended)
		wf_co_free(w, co);
	wf_leave(w);
	return allowed_now ? 0 : -EINVAL;
}
