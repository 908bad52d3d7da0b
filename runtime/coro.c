#include "coro.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "park.h"

enum {
	SLAB = WF_GLOBQ_CHUNK, /* control blocks made at a time */
	CACHE_MOVE = 64,       /* free ones between a processor and the others at a time */
};

/* ---- states ---------------------------------------------------------------------------------------------------------- */

static const char *const state_names[WF_STATES] = {"free", "new", "runnable", "running", "parked", "dead"};

const char *wf_state_name(enum wf_state state)
{
	return (unsigned)state < WF_STATES ? state_names[state] : "?";
}

/* allowed[from] has bit `to` set for every move that can happen. */
static const unsigned allowed[WF_STATES] = {
	[WF_STATE_FREE] = 1u << WF_STATE_NEW,
	[WF_STATE_NEW] = 1u << WF_STATE_RUNNING,
	[WF_STATE_RUNNABLE] = 1u << WF_STATE_RUNNING,
	[WF_STATE_RUNNING] = 1u << WF_STATE_RUNNABLE | 1u << WF_STATE_PARKED | 1u << WF_STATE_DEAD,
	[WF_STATE_PARKED] = 1u << WF_STATE_RUNNABLE | 1u << WF_STATE_RUNNING,
	[WF_STATE_DEAD] = 1u << WF_STATE_FREE,
};

void wf_co_move_checked(struct weft_co *co, enum wf_state to)
{
	enum wf_state from = wf_u8_load(&co->state);
	if (!(allowed[from] & 1u << to))
		wf_fatal("coroutine %llu can't go from %s to %s", (unsigned long long)co->id, wf_state_name(from),
			 wf_state_name(to));
}

/* ---- control blocks -------------------------------------------------------------------------------------------------- */

struct slab {
	struct slab *next;
	struct wf_globq_chunk room; /* for all of them to be in the global queue */
	struct weft_co co[SLAB];
};

static struct wf_lock slab_lock;
static struct slab *slabs;      /* under slab_lock; only ever grows while the runtime runs */
static struct weft_co *free_cos; /* under slab_lock */

static bool add_slab_locked(void)
{
	struct slab *s = wf_stress_fails() ? NULL : aligned_alloc(WF_CACHE_LINE, sizeof *s);
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
	wf_globq_add_room(&wf_rt.global, &s->room);
	return true;
}

struct weft_co *wf_cos_take(unsigned n, unsigned *taken)
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

void wf_cos_give(struct weft_co *first, struct weft_co *last)
{
	wf_lock(&slab_lock);
	last->next = free_cos;
	free_cos = first;
	wf_unlock(&slab_lock);
}

WF_COLD bool wf_proc_fetch_cos(struct wf_proc *p)
{
	p->free_cos = wf_cos_take(CACHE_MOVE, &p->free_co_count);
	return p->free_cos != NULL;
}

WF_COLD void wf_proc_spill_cos(struct wf_proc *p)
{
	struct weft_co *first = p->free_cos, *last = first;
	for (int i = 1; i < CACHE_MOVE; i++)
		last = last->next;
	p->free_cos = last->next;
	p->free_co_count -= CACHE_MOVE;
	wf_cos_give(first, last);
}

bool wf_co_all(bool (*fn)(struct weft_co *co, void *arg), void *arg)
{
	wf_lock(&slab_lock);
	struct slab *s = slabs;
	wf_unlock(&slab_lock);
	for (; s; s = s->next)
		for (int i = 0; i < SLAB; i++)
			if (wf_u8_load(&s->co[i].state) != WF_STATE_FREE && !fn(&s->co[i], arg))
				return false;
	return true;
}

struct visit {
	void (*fn)(struct weft_co *co, void *arg);
	void *arg;
};

static bool go_on(struct weft_co *co, void *arg)
{
	const struct visit *visit = arg;
	visit->fn(co, visit->arg);
	return true;
}

void wf_co_each(void (*fn)(struct weft_co *co, void *arg), void *arg)
{
	wf_co_all(go_on, &(struct visit){fn, arg});
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

/* ---- cancelling ------------------------------------------------------------------------------------------------------ */

void wf_co_end_wait(struct wf_worker *w, struct weft_co *co)
{
	/* Ordered by the caller's heavy fence; a stale one fails to claim. Acquire: the owner has read its last result. */
	uintptr_t ticket = wf_load_acquire(&co->wait.cancel_ticket); /* pairs with the release in wf_park_cancelled */
	if (wf_claim(&co->wait, ticket, -ECANCELED))
		wf_wake(w, &co->wait);
}
