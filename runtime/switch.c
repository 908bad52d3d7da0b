/* Binding stacks to coroutines and leaving them (switch.h). */
#include "switch.h"

#include "check.h"
#include "stats.h"

enum { LEAVE_SPINS = 64 };

static struct wf_stack *take_stack(struct wf_proc *p, unsigned class_index)
{
	unsigned n;
	if (wf_unlikely(class_index != wf_rt.stack_class))
		return wf_stack_take(class_index, 1, &n);
	if (wf_unlikely(!p->stacks))
		p->stacks = wf_stack_take(class_index, WF_STACK_CACHE / 2, &p->stack_count);
	struct wf_stack *stack = p->stacks;
	p->stacks = stack->next;
	p->stack_count--;
	return stack;
}

/* Where every coroutine starts. */
static void coroutine_main(void *arg)
{
	struct weft_co *co = ((struct wf_worker *)arg)->co;
	struct wf_worker *w = wf_arrive(arg, &co->stack->fiber);
	wf_leave(w);
	wf_co_finish(co, co->fn(co->arg));
}

/* Goes to a fresh one at the top of a stack. Returns as wf_ctx_switch does. */
static inline void *start(struct wf_worker *w, wf_word *save, struct wf_san_fiber *from, struct weft_co *co, struct wf_stack *stack)
{
	wf_store(&stack->owner, (uintptr_t)co); /* relaxed: for reports */
	co->stack = stack;
	wf_store(&co->sp, WF_SP_RUNNING); /* relaxed: as in wf_jump_back */
	wf_co_move(co, WF_STATE_RUNNING);
	wf_san_stack_fresh(&stack->fiber);
	wf_san_leave(from, &stack->fiber, save);
	return wf_ctx_start(save, stack->top, w, coroutine_main);
}

static WF_COLD void measure(struct wf_worker *w, struct weft_co *co)
{
	wf_count(&w->proc->stats.latency[wf_latency_bucket(wf_os_now() - co->runnable_at)]);
}

void *wf_jump_special(struct wf_worker *w, wf_word *save, struct wf_san_fiber *from, struct weft_co *to)
{
	unsigned special = to->special;
	if (wf_unlikely(wf_is_pinned_elsewhere(w, to))) {
		w->deferred = to;
		w->co = NULL;
		wf_san_leave(from, &w->fiber, save);
		return wf_ctx_switch(save, wf_load_ptr(&w->sp), w); /* relaxed: our own */
	}
	to->special = (unsigned char)(special & WF_CO_PINNED);
	if (wf_unlikely(special & WF_CO_TIMED))
		measure(w, to);
	if (!(special & WF_CO_FRESH))
		return wf_jump_back(w, save, from, to);
	return start(w, save, from, to, take_stack(w->proc, to->stack_class));
}

bool wf_switch_stays(struct wf_worker *w, struct weft_co *from, struct weft_co **to)
{
	if (*to == from) {
		from->special &= (unsigned char)~WF_CO_TIMED; /* it did not wait for a processor */
		wf_co_move(from, WF_STATE_RUNNING);
		return true;
	}
	wf_ring_push(w, *to);
	*to = NULL;
	return false;
}

static WF_COLD void release_unusual(struct wf_stack *stack)
{
	unsigned char class_index = stack->class_index;
	stack->next = NULL;
	wf_stack_give(stack, 1);
	wf_stack_unreserve(class_index, 1);
}

void wf_release_dead(struct wf_worker *w)
{
	struct wf_stack *stack = w->dead;
	struct wf_proc *p = w->proc;
	w->dead = NULL;
	wf_store(&stack->owner, 0); /* relaxed: for reports */
	if (wf_unlikely(stack->class_index != wf_rt.stack_class)) {
		release_unusual(stack);
		return;
	}
	stack->next = p->stacks;
	p->stacks = stack;
	p->stack_count++;
	if (wf_unlikely(++p->credits > 2 * WF_STACK_CACHE || p->stack_count >= WF_STACK_CACHE))
		wf_proc_spill(p);
}

/* ---- whoever looks on ------------------------------------------------------------------------------------------------ */

static struct wf_lock look_lock;

void wf_looks_begin(void)
{
	wf_u32_add(&wf_rt.looking, 1);
	wf_fence_heavy(); /* pairs with the light one in wf_jump_back */
}

void wf_looks_end(void)
{
	wf_u32_add_full(&wf_rt.looking, -1); /* release: what was read was read before; pairs with wf_jump_back */
}

const struct wf_ctx_frame *wf_look_begin(struct weft_co *co)
{
	wf_lock(&look_lock);
	uintptr_t sp = wf_load_acquire(&co->sp); /* pairs with the release in wf_ctx_switch */
	if (sp > WF_SP_RUNNING) {
		wf_san_look(&co->sp);
		return (const void *)sp;
	}
	wf_unlock(&look_lock);
	return NULL;
}

void wf_look_end(void)
{
	wf_unlock(&look_lock);
}

WF_COLD void wf_let_look_end(void)
{
	wf_lock(&look_lock);
	wf_unlock(&look_lock);
}

/* ---- from an end, and from the scheduler ----------------------------------------------------------------------------- */

/* Whether a coroutine can begin where another one has just ended: both need not be more than the usual. */
static inline bool can_inherit(const struct weft_co *co, const struct wf_stack *stack)
{
	return WF_SAN_CAN_INHERIT && co->special == WF_CO_FRESH && co->stack_class == stack->class_index &&
	       stack->class_index == wf_rt.stack_class && !wf_stress(2);
}

/* Begins on the stack of the one that has ended, from the top: what is below is nobody's any more. Each was promised a stack. */
static inline void inherit(struct wf_worker *w, struct weft_co *co, struct wf_stack *stack)
{
	struct wf_proc *p = w->proc;
	if (wf_unlikely(++p->credits > 2 * WF_STACK_CACHE))
		wf_proc_spill(p);
	w->co = co;
	wf_count(&p->stats.dispatches);
	co->special = 0;
	start(w, &w->nowhere, NULL, co, stack);
}

WF_HOT _Noreturn void wf_switch_from_dead(struct wf_worker *w, struct wf_stack *stack)
{
	w->co = NULL; /* its control block is somebody else's by now */
	struct weft_co *to = wf_pick_next(w);
	if (to && can_inherit(to, stack))
		inherit(w, to, stack);
	if (wf_unlikely(to && !wf_has_left(to))) {
		wf_ring_push(w, to);
		to = NULL;
	}
	w->dead = stack;
	wf_jump(w, &w->nowhere, NULL, to);
	wf_fatal("a coroutine went on after its end");
}

/* Whoever leaves it needs 100 ns, unless it has lost its CPU: then anybody may run it who comes later. */
static WF_COLD bool wait_until_left(struct weft_co *co)
{
	for (int i = 0; i < LEAVE_SPINS; i++) {
		wf_cpu_relax();
		if (wf_has_left(co))
			return true;
	}
	wf_global_push(co);
	wf_os_sched_yield();
	return false;
}

void wf_switch_from_scheduler(struct wf_worker *w, struct weft_co *co)
{
	if (wf_unlikely(!wf_has_left(co)) && !wait_until_left(co))
		return;
	wf_arrive(wf_jump(w, &w->sp, &w->fiber, co), &w->fiber);
}
