/* Who waits for whom: edges from a parked coroutine to the one without which it can't go on, and the cycles they make.
 *
 * An edge is read while its coroutine is kept from going on (wf_look_begin), which keeps the object alive that it waits for. Each
 * member of a cycle is looked at again when the last one has been found: those that are still in the same wait were all in it
 * at the moment between. */
#include "dump.h"
#include "park.h"

struct weft_co *wf_awaited(const struct weft_co *co)
{
	uintptr_t object = wf_load(&co->wait.object);
	switch ((enum wf_reason)wf_u8_load(&co->wait.why)) {
	case WF_WHY_JOIN: return (struct weft_co *)object;
	case WF_WHY_MUTEX: return wf_mutex_owner(object);
	case WF_WHY_RWMUTEX: return wf_rwmutex_writer(object);
	default: return NULL;
	}
}

struct step {
	struct weft_co *co;
	uintptr_t claim; /* the wait that it was found in */
};

/* Where the edge of step->co leads; NULL: it has none. */
static struct weft_co *follow(struct step *step)
{
	struct weft_co *next = NULL;
	if (!wf_look_begin(step->co))
		return NULL;
	step->claim = wf_wait_ticket(&step->co->wait) | WF_PARKED;
	if (wf_u8_load(&step->co->state) == WF_STATE_PARKED)
		next = wf_awaited(step->co);
	wf_look_end();
	return next;
}

static bool still_waits(const struct step *step)
{
	return wf_load_acquire(&step->co->wait.claim) == step->claim;
}

struct search {
	wf_cycle_fn *fn;
	void *arg;
	int found;
};

static void report(struct search *search, const struct step *steps, int n)
{
	struct weft_co *members[WF_CYCLE_MAX];
	for (int i = 0; i < n; i++) {
		members[i] = steps[i].co;
		if (!still_waits(&steps[i]) || wf_load(&steps[i].co->id) < wf_load(&steps[0].co->id))
			return; /* not any more; or the one with the lowest number reports it */
	}
	search->found++;
	search->fn(members, n, search->arg);
}

static void search_from(struct weft_co *co, void *arg)
{
	struct step steps[WF_CYCLE_MAX];
	int n = 0;
	for (struct weft_co *next = co; next && n < WF_CYCLE_MAX; n++) {
		steps[n].co = next;
		next = follow(&steps[n]);
		if (next == co) {
			report(arg, steps, n + 1);
			return;
		}
	}
}

int wf_cycles_find(wf_cycle_fn *fn, void *arg)
{
	struct search search = {fn, arg, 0};
	wf_looks_begin();
	wf_co_each(search_from, &search);
	wf_looks_end();
	return search.found;
}
