/* Running supervisors, upon scopes, exits, select and channels. The coroutine that runs one is inside two scopes:
 *
 *     outside     what is cancelled around the supervisor is felt here, by one coroutine, the sentinel, which then ends
 *       inside    a shield: the supervisor's own, and its children
 *
 * All that happens comes to one select: the end of a child or of the sentinel, a request (add, remove), a child that is ready.
 * Requests wait while children are being started or stopped. An end that nobody waited for is put on `ended`; its turn comes when
 * what is going on is done, unless that child was to be stopped by then anyway. */
#include "supervisor.h"

#include <weft/select.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stress.h"

static void put_on(struct weft_supervisor *s, struct wf_child *c)
{
	weft_mutex_lock(&s->mutex);
	wf_list_push(&s->children, &c->link);
	weft_mutex_unlock(&s->mutex);
}

static void take_off(struct weft_supervisor *s, struct wf_child *c)
{
	weft_mutex_lock(&s->mutex);
	wf_list_remove(&c->link);
	weft_mutex_unlock(&s->mutex);
	free(c);
}

/* ---- what happens ---------------------------------------------------------------------------------------------------- */

enum { EXITS, READY, REQUESTS, EVENTS };

/* Nothing but ends; what children have to say as well; requests, too. */
enum attention { TO_ENDS = READY, TO_CHILDREN = REQUESTS, TO_ALL = EVENTS };

static void note_end(struct weft_supervisor *s, struct wf_child *c)
{
	int result = 0;
	wf_check(weft_join(c->co, &result) == 0);
	weft_mutex_lock(&s->mutex);
	c->co = NULL;
	c->state.id = 0;
	c->state.result = result;
	weft_mutex_unlock(&s->mutex);
	wf_list_push(&s->ended, &c->ended);
}

static void forget_end(struct wf_child *c)
{
	if (wf_link_queued(&c->ended))
		wf_list_remove(&c->ended);
}

/* Waits for the next event and takes note of it: 0, or -ETIMEDOUT. *request: one came in, else NULL. */
static int await(struct weft_supervisor *s, enum attention attention, weft_time deadline, struct wf_request **request)
{
	struct weft_ended ended;
	struct wf_child *ready;
	struct weft_case cases[EVENTS] = {
		[EXITS] = {.op = WEFT_OP_EXIT, .exits = s->exits, .elem = &ended},
		[READY] = {.op = WEFT_OP_RECV, .chan = s->ready, .elem = &ready},
		[REQUESTS] = {.op = WEFT_OP_RECV, .chan = s->requests, .elem = request},
	};
	*request = NULL;
	int which = weft_select(cases, (int)attention, deadline);
	if (which == EXITS && ended.tag)
		note_end(s, ended.tag);
	else if (which == EXITS)
		s->cancelled = true;
	else if (which == READY)
		ready->ready = true; /* the child has said it, and looks at it no more */
	return which < 0 ? which : 0;
}

/* ---- starting and stopping ------------------------------------------------------------------------------------------- */

static int spawn(struct weft_supervisor *s, struct wf_child *c)
{
	struct weft_attr attr = {.size = sizeof attr, .name = c->name, .stack_size = c->spec.stack_size};
	weft_mutex_lock(&s->mutex); /* the child finds its own number */
	c->told = c->ready = false;
	int result = weft_scope_spawn(&s->inside, &c->co, &attr, c->spec.fn, c->spec.arg);
	c->state.id = result == 0 ? weft_id(c->co) : 0;
	weft_mutex_unlock(&s->mutex);
	if (result < 0 || (result = weft_exits_watch(s->exits, c->co, c)) == 0)
		return result;
	weft_cancel(c->co);
	note_end(s, c);
	forget_end(c);
	return result;
}

/* 0 when it runs, and is ready if it tells; -ECANCELED: the supervisor was cancelled meanwhile. */
static int start(struct weft_supervisor *s, struct wf_child *c)
{
	struct wf_request *none;
	int result = spawn(s, c);
	if (result < 0 || !c->spec.tells_ready)
		return result;
	while (!c->ready && c->co && !s->cancelled)
		await(s, TO_CHILDREN, WEFT_NEVER, &none);
	if (c->ready)
		return 0;
	if (c->co)
		return -ECANCELED;
	forget_end(c);
	return c->state.result < 0 ? c->state.result : -ECHILD;
}

/* -ETIMEDOUT: it goes on, and was named. */
static int stop(struct weft_supervisor *s, struct wf_child *c)
{
	struct wf_request *none;
	weft_time deadline = weft_after(c->spec.stop_ns);
	if (c->co)
		weft_cancel(c->co);
	while (c->co && !c->late) {
		if (await(s, TO_ENDS, deadline, &none) == 0)
			continue;
		c->late = true;
		wf_report("supervisor: \"%s\" (%llu) has not ended %lld ms after it was stopped", c->name,
			  (unsigned long long)c->state.id, (long long)(c->spec.stop_ns / WEFT_MS(1)));
	}
	forget_end(c);
	return c->co ? -ETIMEDOUT : 0;
}

/* Stops those behind this one (NULL: all), the last first; temporary ones go off the list. Goes on after one that is late. */
static int stop_behind(struct weft_supervisor *s, const struct wf_child *last_left)
{
	int result = 0;
	struct wf_child *before;
	for (struct wf_child *c = wf_last_child(s); c != last_left; c = before) {
		before = wf_previous_child(s, c);
		if (stop(s, c) < 0)
			result = -ETIMEDOUT;
		else if (c->spec.restart == WEFT_TEMPORARY)
			take_off(s, c);
	}
	return result;
}

/* Starts those that do not run. *failed: the one that could not be started. */
static int start_from(struct weft_supervisor *s, struct wf_child *first, struct wf_child **failed)
{
	int result = 0;
	for (struct wf_child *c = first; c && result == 0; c = wf_next_child(s, c)) {
		*failed = c;
		if (!c->co)
			result = start(s, c);
	}
	return result;
}

/* ---- starting again -------------------------------------------------------------------------------------------------- */

static bool grow_restart_times(struct weft_supervisor *s)
{
	size_t size = s->restart_size ? 2 * s->restart_size : 8;
	weft_time *times = wf_stress_fails() ? NULL : calloc(size, sizeof *times);
	if (!times)
		return false;
	for (size_t i = 0; i < s->restart_count; i++)
		times[i] = s->restart_times[(s->restart_first + i) % s->restart_size];
	free(s->restart_times);
	s->restart_times = times;
	s->restart_size = size;
	s->restart_first = 0;
	return true;
}

/* Counts one more: 0. -ELOOP: it is one too many, -ENOMEM. */
static int admit_restart(struct weft_supervisor *s)
{
	weft_time now = weft_now();
	while (s->restart_count > 0 && now - s->restart_times[s->restart_first] >= s->opts.period_ns) {
		s->restart_first = (s->restart_first + 1) % s->restart_size;
		s->restart_count--;
	}
	if (s->restart_count == (size_t)s->opts.max_restarts)
		return -ELOOP;
	if (s->restart_count == s->restart_size && !grow_restart_times(s))
		return -ENOMEM;
	s->restart_times[(s->restart_first + s->restart_count++) % s->restart_size] = now;
	wf_add_full(&s->restarts, 1);
	return 0;
}

static void count_restart(struct weft_supervisor *s, struct wf_child *c)
{
	weft_mutex_lock(&s->mutex);
	c->state.restarts++;
	weft_mutex_unlock(&s->mutex);
}

/* One whose start fails is as one that ended. 0 when all is well, or the supervisor was cancelled. */
static int restart(struct weft_supervisor *s, struct wf_child *c)
{
	bool alone = s->opts.strategy == WEFT_ONE_FOR_ONE, all = s->opts.strategy == WEFT_ONE_FOR_ALL;
	int result = -1;
	while (result < 0 && !s->cancelled) {
		if ((result = admit_restart(s)) < 0)
			return result;
		count_restart(s, c);
		if (!alone && stop_behind(s, all ? NULL : c) < 0)
			return -ETIMEDOUT;
		if (s->cancelled)
			return 0;
		result = alone ? start(s, c) : start_from(s, all ? wf_first_child(s) : c, &c);
	}
	return 0;
}

static int handle_end(struct weft_supervisor *s, struct wf_child *c)
{
	bool failed = c->state.result < 0;
	if (!c->late && (c->spec.restart == WEFT_PERMANENT || (c->spec.restart == WEFT_TRANSIENT && failed)))
		return restart(s, c);
	if (c->late || c->spec.restart == WEFT_TEMPORARY)
		take_off(s, c);
	return 0;
}

/* ---- requests -------------------------------------------------------------------------------------------------------- */

static int add(struct weft_supervisor *s, const struct weft_child *spec)
{
	if (wf_child_find(&s->children, spec->name))
		return -EEXIST;
	struct wf_child *c = wf_child_copy(spec);
	if (!c)
		return -ENOMEM;
	put_on(s, c);
	int result = start(s, c);
	if (result < 0 && !c->co)
		take_off(s, c);
	return result;
}

/* One that is late is taken off when it ends. */
static int take_away(struct weft_supervisor *s, const struct wf_request *r)
{
	struct wf_child *c = wf_child_find(&s->children, r->name);
	if (!c)
		return -ENOENT;
	if (c->co && c->state.id == r->asker)
		return -EDEADLK;
	int result = stop(s, c);
	if (result == 0)
		take_off(s, c);
	return result;
}

static void answer(struct weft_supervisor *s, struct wf_request *r)
{
	r->result = r->add ? add(s, r->add) : take_away(s, r);
	weft_sem_post(&r->answered, 1);
}

/* ---- running --------------------------------------------------------------------------------------------------------- */

static bool any_runs(const struct weft_supervisor *s)
{
	for (const struct wf_child *c = wf_first_child(s); c; c = wf_next_child(s, c))
		if (c->co)
			return true;
	return false;
}

static int look_after(struct weft_supervisor *s)
{
	struct wf_request *request;
	struct wf_child *failed = NULL;
	int result = start_from(s, wf_first_child(s), &failed);
	while (result == 0) {
		struct wf_link *l = s->cancelled ? NULL : wf_list_pop(&s->ended);
		if (s->cancelled)
			return -ECANCELED;
		if (l) {
			result = handle_end(s, wf_container_of(l, struct wf_child, ended));
			continue;
		}
		if (!s->opts.stay && !any_runs(s))
			return 0;
		await(s, TO_ALL, WEFT_NEVER, &request);
		if (request)
			answer(s, request);
	}
	return result;
}

/* From here on requests fail; every child is stopped, and those that are late are waited for. */
static int wind_up(struct weft_supervisor *s)
{
	struct wf_request *none;
	weft_mutex_lock(&s->mutex);
	s->running = false;
	weft_mutex_unlock(&s->mutex);
	weft_chan_close(s->requests);
	int result = stop_behind(s, NULL);
	while (any_runs(s))
		await(s, TO_ENDS, WEFT_NEVER, &none);
	wf_check(weft_waitgroup_wait(&s->askers) == 0);
	return result;
}

/* A list that begins with those given to create. */
static int set_up(struct weft_supervisor *s)
{
	wf_child_free_all(&s->children);
	memset(&s->ended, 0, sizeof s->ended);
	s->restart_first = s->restart_count = 0;
	s->cancelled = false;
	for (struct wf_link *l = wf_list_first(&s->specs); l && l != &s->specs.head; l = l->next) {
		struct wf_child *c = wf_child_copy(&wf_child_of(l)->spec);
		if (!c)
			return -ENOMEM;
		wf_list_push(&s->children, &c->link);
	}
	int result = weft_exits_create(&s->exits);
	if (result == 0)
		result = weft_chan_create(&s->requests, sizeof(struct wf_request *), 0);
	if (result == 0)
		result = weft_chan_create(&s->ready, sizeof(struct wf_child *), 0);
	return result == 0 ? weft_exits_watch(s->exits, s->sentinel, NULL) : result;
}

static void tear_down(struct weft_supervisor *s)
{
	weft_exits_destroy(s->exits);
	weft_chan_destroy(s->requests);
	weft_chan_destroy(s->ready);
	s->exits = NULL;
	s->requests = s->ready = NULL;
}

static int run_inside(struct weft_supervisor *s)
{
	struct weft_scope_opts opts = {.size = sizeof opts, .flags = WEFT_SCOPE_SHIELD};
	wf_check(weft_scope_open(&s->inside, &opts) == 0);
	weft_mutex_lock(&s->mutex);
	int result = set_up(s);
	s->running = result == 0;
	weft_mutex_unlock(&s->mutex);
	if (result == 0) {
		result = look_after(s);
		int stopped = wind_up(s);
		result = stopped < 0 ? stopped : result;
	}
	tear_down(s);
	int failure = weft_scope_close(&s->inside); /* of a child: was dealt with */
	(void)failure;
	return result;
}

static int stand_outside(void *arg)
{
	(void)arg;
	return weft_select(NULL, 0, WEFT_NEVER);
}

static int run_alone(struct weft_supervisor *s)
{
	struct weft_attr attr = {.size = sizeof attr, .name = "sentinel"};
	int result = weft_scope_open(&s->outside, NULL);
	if (result < 0)
		return result;
	result = weft_scope_spawn(&s->outside, &s->sentinel, &attr, stand_outside, NULL);
	if (result == 0) {
		result = run_inside(s);
		weft_detach(s->sentinel);
	}
	weft_scope_cancel(&s->outside, 0);
	int cancelled = weft_scope_close(&s->outside);
	(void)cancelled;
	return result;
}

int weft_supervisor_run(void *supervisor)
{
	struct weft_supervisor *s = supervisor;
	if (!s)
		return -EINVAL;
	if (!wf_cas_full(&s->busy, 0, 1))
		return -EBUSY;
	int result = run_alone(s);
	wf_store_release(&s->busy, 0); /* pairs with the next run, and with destroy */
	return result;
}
