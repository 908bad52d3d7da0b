/* Making supervisors, asking them, looking at them. */
#include "supervisor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stress.h"

enum { DEFAULT_RESTARTS = 1 };

#define DEFAULT_PERIOD WEFT_SEC(5)
#define DEFAULT_STOP WEFT_SEC(5)

/* ---- children as data ------------------------------------------------------------------------------------------------ */

struct wf_child *wf_child_find(const struct wf_list *list, const char *name)
{
	for (struct wf_link *l = wf_list_first(list); l && l != &list->head; l = l->next)
		if (strcmp(wf_child_of(l)->name, name) == 0)
			return wf_child_of(l);
	return NULL;
}

struct wf_child *wf_child_copy(const struct weft_child *spec)
{
	size_t n = strlen(spec->name) + 1;
	struct wf_child *c = wf_stress_fails() ? NULL : calloc(1, sizeof *c + n);
	if (!c)
		return NULL;
	memcpy(c->name, spec->name, n);
	c->spec = *spec;
	c->spec.name = c->name;
	if (c->spec.stop_ns == 0)
		c->spec.stop_ns = DEFAULT_STOP;
	return c;
}

void wf_child_free_all(struct wf_list *list)
{
	struct wf_link *l;
	while ((l = wf_list_pop(list)))
		free(wf_child_of(l));
}

static bool valid_child(const struct weft_child *c)
{
	return c->name && c->fn && c->restart >= WEFT_PERMANENT && c->restart <= WEFT_TEMPORARY && c->stop_ns >= 0;
}

/* ---- asking ----------------------------------------------------------------------------------------------------------- */

/* Once the request was taken it is answered, and lives here until then: cancel does not end that wait. */
static int await_answer(struct wf_request *r)
{
	struct weft_scope shield;
	struct weft_scope_opts opts = {.size = sizeof opts, .flags = WEFT_SCOPE_SHIELD};
	bool shielded = weft_scope_open(&shield, &opts) == 0; /* a plain thread needs none */
	int result = weft_sem_wait(&r->answered, 1);
	if (shielded)
		result = weft_scope_close(&shield);
	wf_check(result == 0);
	return r->result;
}

static int ask(struct weft_supervisor *s, struct wf_request *r)
{
	weft_mutex_lock(&s->mutex);
	bool running = s->running;
	if (running)
		weft_waitgroup_add(&s->askers, 1);
	weft_mutex_unlock(&s->mutex);
	if (!running)
		return -ESRCH;
	r->asker = weft_self();
	int result = weft_chan_send(s->requests, &r);
	if (result == 0)
		result = await_answer(r);
	else if (result == -EPIPE)
		result = -ESRCH;
	weft_waitgroup_done(&s->askers);
	return result;
}

int weft_supervisor_add(struct weft_supervisor *s, const struct weft_child *child)
{
	return s && child && valid_child(child) ? ask(s, &(struct wf_request){.add = child}) : -EINVAL;
}

int weft_supervisor_remove(struct weft_supervisor *s, const char *name)
{
	return s && name ? ask(s, &(struct wf_request){.name = name}) : -EINVAL;
}

int weft_supervisor_ready(struct weft_supervisor *s)
{
	uint64_t self = weft_self();
	struct wf_child *c = NULL;
	if (!s || self == 0)
		return -EINVAL;
	weft_mutex_lock(&s->mutex);
	for (struct wf_child *at = wf_first_child(s); at && !c; at = wf_next_child(s, at))
		if (at->state.id == self && at->spec.tells_ready)
			c = at;
	bool told = c && c->told;
	if (c)
		c->told = true;
	weft_mutex_unlock(&s->mutex);
	if (!c || told)
		return c ? -EALREADY : -EINVAL;
	return weft_chan_send(s->ready, &c);
}

/* ---- looking --------------------------------------------------------------------------------------------------------- */

int weft_supervisor_look(struct weft_supervisor *s, const char *name, struct weft_child_state *state)
{
	if (!s || !name || !state || state->size < sizeof *state)
		return -EINVAL;
	weft_mutex_lock(&s->mutex);
	const struct wf_child *c = wf_child_find(&s->children, name);
	size_t size = state->size;
	if (c)
		*state = c->state;
	state->size = size;
	weft_mutex_unlock(&s->mutex);
	return c ? 0 : -ENOENT;
}

uint64_t weft_supervisor_restarts(const struct weft_supervisor *s)
{
	return s ? wf_load(&s->restarts) : 0; /* relaxed: a count */
}

/* ---- making and ending ----------------------------------------------------------------------------------------------- */

static bool valid_opts(const struct weft_supervisor_opts *o)
{
	return o->size >= sizeof *o && o->strategy >= WEFT_ONE_FOR_ONE && o->strategy <= WEFT_REST_FOR_ONE &&
	       o->max_restarts >= -1 && o->period_ns >= 0;
}

static int add_spec(struct weft_supervisor *s, const struct weft_child *spec)
{
	if (!valid_child(spec) || wf_child_find(&s->specs, spec->name))
		return -EINVAL;
	struct wf_child *c = wf_child_copy(spec);
	if (!c)
		return -ENOMEM;
	wf_list_push(&s->specs, &c->link);
	return 0;
}

static void free_supervisor(struct weft_supervisor *s)
{
	wf_child_free_all(&s->specs);
	wf_child_free_all(&s->children);
	free(s->restart_times);
	free(s);
}

static struct weft_supervisor *make_supervisor(const struct weft_supervisor_opts *opts)
{
	struct weft_supervisor *s = wf_stress_fails() ? NULL : calloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->opts = *opts;
	if (opts->max_restarts <= 0)
		s->opts.max_restarts = opts->max_restarts == 0 ? DEFAULT_RESTARTS : 0;
	if (opts->period_ns == 0)
		s->opts.period_ns = DEFAULT_PERIOD;
	return s;
}

int weft_supervisor_create(struct weft_supervisor **supervisor, const struct weft_supervisor_opts *opts,
			   const struct weft_child *children, int n)
{
	static const struct weft_supervisor_opts plain = {.size = sizeof plain};
	if (!supervisor || n < 0 || (n > 0 && !children) || (opts && !valid_opts(opts)))
		return -EINVAL;
	struct weft_supervisor *s = make_supervisor(opts ? opts : &plain);
	int result = s ? 0 : -ENOMEM;
	for (int i = 0; i < n && result == 0; i++)
		result = add_spec(s, &children[i]);
	if (result < 0 && s)
		free_supervisor(s);
	if (result == 0)
		*supervisor = s;
	return result;
}

int weft_supervisor_destroy(struct weft_supervisor *s)
{
	if (!s)
		return 0;
	if (wf_load_acquire(&s->busy)) /* pairs with the release in weft_supervisor_run */
		return -EBUSY;
	free_supervisor(s);
	return 0;
}
