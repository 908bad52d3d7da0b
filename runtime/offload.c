/* Helper threads: work that blocks, away from the workers. A job goes to the helper that fell idle last; without one to a new
 * helper, up to a limit; and then to the end of a queue, which is empty whenever a helper is idle. A helper without work for a
 * while leaves.
 *
 * The pool belongs to the process, not to a run of the runtime: work that was abandoned may outlast one.
 *
 *   waiter                                              helper
 *   1 begin the wait, submit, park                      1 state ABANDONED? to 5
 *   2 woken with a result: to 4                         2 run fn
 *   3 deadline, cancel: CAS WAITED -> ABANDONED;        3 become a guest; read wait and ticket; CAS WAITED -> DONE;
 *     done: the job is the helper's                       not done: to 5
 *   4 the job is DONE: read the result, free it         4 claim the wait, wake; the last touch of the job was in 3
 *                                                       5 drop, free
 *
 * One CAS decides whose the job is. A waiter that met its deadline but loses the CAS has a result and reports that; the
 * helper's claim then fails, for the wait is over. In 3 the helper is a guest before the CAS, and before it the waiter is
 * alive: so the runtime, and the node that is claimed, are there until the helper has left. An abandoned job touches neither. */
#include "offload.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "park.h"

enum job_state { JOB_WAITED, JOB_DONE, JOB_ABANDONED };

struct job {
	struct wf_link link; /* in pool.queue */
	weft_fn *fn;
	void *arg;
	void (*drop)(void *arg); /* NULL: never abandoned, and on the waiter's stack */
	int result;
	int error;               /* 0, or why fn was not called */
	wf_u32 state;            /* enum job_state */
	struct wf_wait *wait;
	uintptr_t ticket;
};

struct helper {
	struct wf_link idle; /* on pool.idle, the last to fall idle first */
	wf_u32 signal;       /* futex: 1 there is a job, or none and it is to leave */
	struct job *job;
	bool dismissed;      /* by wf_helpers_stop, which waits for it */
};

static struct {
	struct wf_lock lock;
	struct wf_list queue, idle;
	wf_u32 count;     /* helpers, including those that are being made */
	wf_u32 max;
	int64_t idle_ns;
	bool up;
	wf_u32 dismissed; /* futex: idle helpers that were told to leave and have not */
} pool;

unsigned wf_helper_count(void)
{
	return wf_u32_load(&pool.count); /* relaxed: for people */
}

/* ---- helpers --------------------------------------------------------------------------------------------------------- */

/* Tells the waiter, or, when nobody waits any more, drops the job. Outside the gate. */
static void finish(struct job *job)
{
	wf_enter_guest();
	struct wf_wait *wait = job->wait;
	uintptr_t ticket = job->ticket;
	bool waited = wf_u32_cas_full(&job->state, JOB_WAITED, JOB_DONE); /* release: the result; pairs with is_abandoned */
	if (waited && wf_claim(wait, ticket, 0))
		wf_wake(NULL, wait);
	wf_leave_guest();
	if (waited)
		return;
	job->drop(job->arg);
	free(job);
}

static void work(struct job *job)
{
	if (wf_u32_load(&job->state) == JOB_WAITED) /* relaxed: the CAS in finish decides; this spares work for nobody */
		job->result = job->fn(job->arg);
	finish(job);
}

/* Nobody has given it work meanwhile. From here on it is not counted: whoever has some makes another one. */
static bool leave(struct helper *h)
{
	wf_lock(&pool.lock);
	bool idle = wf_link_queued(&h->idle);
	if (idle) {
		wf_list_remove(&h->idle);
		wf_u32_add(&pool.count, -1);
	}
	wf_unlock(&pool.lock);
	return idle;
}

/* NULL: it is to leave. */
static struct job *sleep_until_job(struct helper *h, int64_t idle_ns)
{
	int64_t until = wf_os_now() + idle_ns;
	while (!wf_u32_load_acquire(&h->signal)) { /* pairs with the release in hand_locked */
		int64_t left = until - wf_os_now();
		if (left <= 0 && leave(h))
			return NULL;
		wf_os_futex_wait(&h->signal, 0, left > 0 ? left : -1);
	}
	return h->job;
}

static struct job *next_job(struct helper *h)
{
	wf_lock(&pool.lock);
	struct wf_link *l = wf_list_pop(&pool.queue);
	bool stay = !l && pool.up;
	int64_t idle_ns = pool.idle_ns;
	if (stay) {
		h->job = NULL;
		wf_u32_store(&h->signal, 0);
		wf_list_push_front(&pool.idle, &h->idle);
	} else if (!l) {
		wf_u32_add(&pool.count, -1);
	}
	wf_unlock(&pool.lock);
	if (stay)
		return sleep_until_job(h, idle_ns);
	return l ? wf_container_of(l, struct job, link) : NULL;
}

static void helper_main(void *arg)
{
	struct helper *h = arg;
	struct job *job;
	wf_os_thread_detach(wf_os_thread_self());
	while ((job = next_job(h)))
		work(job);
	bool dismissed = h->dismissed;
	free(h);
	if (dismissed && wf_u32_add_full(&pool.dismissed, -1) == 1) /* pairs with the acquire in wf_helpers_stop */
		wf_os_futex_wake(&pool.dismissed, 1);
}

static int start_helper(void)
{
	struct wf_os_thread thread;
	struct helper *h = wf_stress_fails() ? NULL : calloc(1, sizeof *h);
	int r = h ? wf_os_thread_start(&thread, "weft-helper", helper_main, h) : -ENOMEM;
	if (r < 0)
		free(h);
	return r;
}

/* Followed by a wake. The helper may be gone by then: only its address is used. */
static void hand_locked(struct helper *h, struct job *job)
{
	h->job = job;
	wf_u32_store_release(&h->signal, 1); /* pairs with the acquire in sleep_until_job */
}

/* ---- giving work to them --------------------------------------------------------------------------------------------- */

/* No thread could be made. If there is no helper at all, whatever is queued fails: nobody would ever come to it. */
static void fail_queue(void)
{
	struct wf_list failed = { 0 };
	struct wf_link *l;
	wf_lock(&pool.lock);
	if (wf_u32_add(&pool.count, -1) == 1)
		while ((l = wf_list_pop(&pool.queue)))
			wf_list_push(&failed, l);
	wf_unlock(&pool.lock);
	while ((l = wf_list_pop(&failed))) {
		struct job *job = wf_container_of(l, struct job, link);
		job->error = -EAGAIN;
		finish(job);
	}
}

static void submit(struct job *job)
{
	bool grow = false;
	wf_lock(&pool.lock);
	struct wf_link *l = wf_list_pop(&pool.idle);
	struct helper *h = l ? wf_container_of(l, struct helper, idle) : NULL;
	if (h) {
		hand_locked(h, job);
	} else {
		wf_list_push(&pool.queue, &job->link);
		grow = wf_u32_load(&pool.count) < pool.max;
		if (grow)
			wf_u32_add(&pool.count, 1);
	}
	wf_unlock(&pool.lock);
	if (h)
		wf_os_futex_wake(&h->signal, 1);
	else if (grow && start_helper() < 0)
		fail_queue();
}

/* Whether the job was given up for good; else it is done. */
static bool is_abandoned(struct job *job)
{
	if (wf_u32_cas_full(&job->state, JOB_WAITED, JOB_ABANDONED)) /* pairs with finish */
		return true;
	wf_check(wf_u32_load_acquire(&job->state) == JOB_DONE); /* pairs with the release in finish */
	return false;
}

/* 0: the job is done and the caller's. */
static int submit_and_wait(struct wf_worker **w, struct job *job, int64_t deadline)
{
	struct wf_wait *wait = wf_wait_begin(*w, WF_WHY_OFFLOAD, NULL);
	job->wait = wait;
	job->ticket = wf_wait_ticket(wait);
	submit(job);
	int r = wf_park(w, wait, deadline, job->drop ? WF_CANCELLABLE : WF_PLAIN);
	if (r < 0 && wf_stress(2))
		wf_os_sleep(100000); /* the job can end first */
	return r < 0 && is_abandoned(job) ? r : 0;
}

/* Outside the gate, as all code that is not ours. */
static int call(struct wf_worker **w, weft_fn *fn, void *arg)
{
	wf_leave(*w);
	int result = fn(arg);
	*w = wf_enter();
	return result;
}

int wf_offload(struct wf_worker **w, weft_fn *fn, void *arg, int *result)
{
	if (!*w) {
		*result = call(w, fn, arg);
		return 0;
	}
	struct job job = { .fn = fn, .arg = arg };
	int r = submit_and_wait(w, &job, WF_TIME_NEVER);
	wf_assert(r == 0);
	*result = job.result;
	return r < 0 ? r : job.error;
}

void wf_offload_or_call(struct wf_worker **w, weft_fn *fn, void *arg)
{
	int unused;
	if (wf_offload(w, fn, arg, &unused) < 0)
		call(w, fn, arg);
}

int wf_offload_owned(struct wf_worker **w, weft_fn *fn, void *arg, void (*drop)(void *arg), int64_t deadline, int *result)
{
	if (!*w) {
		*result = call(w, fn, arg);
		return 0;
	}
	struct job *job = wf_stress_fails() ? NULL : malloc(sizeof *job);
	int r = -ENOMEM;
	if (job) {
		*job = (struct job){ .fn = fn, .arg = arg, .drop = drop };
		if ((r = submit_and_wait(w, job, deadline)) < 0)
			return r;
		r = job->error;
		*result = job->result;
		free(job);
	}
	if (r < 0) {
		wf_leave(*w);
		drop(arg);
		*w = wf_enter();
	}
	return r;
}

/* ---- the public calls ------------------------------------------------------------------------------------------------ */

static struct wf_worker *enter(int *cancelled)
{
	struct wf_worker *w = wf_enter();
	wf_charge(&w, WF_COST_SYSCALL);
	*cancelled = wf_cancelled(w);
	return w;
}

int weft_offload(weft_fn *fn, void *arg, int *result)
{
	int r, value;
	if (!fn)
		return -EINVAL;
	struct wf_worker *w = enter(&r);
	if (r == 0)
		r = wf_offload(&w, fn, arg, &value);
	wf_leave(w);
	if (r == 0 && result)
		*result = value;
	return r;
}

int weft_offload_owned(weft_fn *fn, void *arg, void (*drop)(void *arg), weft_time deadline, int *result)
{
	int r, value;
	if (!fn || !drop)
		return -EINVAL;
	struct wf_worker *w = enter(&r);
	bool began = r == 0;
	if (began)
		r = wf_offload_owned(&w, fn, arg, drop, deadline, &value);
	wf_leave(w);
	if (!began)
		drop(arg);
	if (r == 0 && result)
		*result = value;
	return r;
}

/* ---- start and stop of the runtime ----------------------------------------------------------------------------------- */

void wf_helpers_start(void)
{
	wf_lock(&pool.lock);
	wf_u32_store(&pool.max, (unsigned)wf_rt.config.max_helpers);
	pool.idle_ns = wf_rt.config.helper_idle_ns;
	pool.up = true;
	wf_unlock(&pool.lock);
}

/* Those that are idle leave now; those at work, which nobody waits for, when they have done it. */
void wf_helpers_stop(void)
{
	struct wf_link *l;
	wf_lock(&pool.lock);
	pool.up = false;
	while ((l = wf_list_pop(&pool.idle))) {
		struct helper *h = wf_container_of(l, struct helper, idle);
		h->dismissed = true;
		wf_u32_add(&pool.count, -1);
		wf_u32_add_full(&pool.dismissed, 1);
		hand_locked(h, NULL);
		wf_os_futex_wake(&h->signal, 1);
	}
	wf_unlock(&pool.lock);
	for (unsigned left; (left = wf_u32_load_acquire(&pool.dismissed)) != 0;) /* pairs with helper_main */
		wf_os_futex_wait(&pool.dismissed, left, -1);
}
