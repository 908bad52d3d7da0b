/* Supervisors: a list of coroutines, the children, that are started in order, started again when they end in a way they should not,
 * and stopped in reverse order.
 *
 *     struct weft_child children[] = {
 *             { .name = "store", .fn = keep_store, .arg = &store },
 *             { .name = "server", .fn = serve, .arg = &store, .stop_ns = WEFT_SEC(30) },
 *     };
 *     struct weft_supervisor_opts opts = { .size = sizeof opts, .strategy = WEFT_REST_FOR_ONE, .max_restarts = 3 };
 *     struct weft_supervisor *supervisor;
 *     if (weft_supervisor_create(&supervisor, &opts, children, 2) == 0)
 *             result = weft_supervisor_run(supervisor);
 *
 * A child fails when its result is negative. weft_supervisor_run is the body of a coroutine, so supervisors can be children of
 * supervisors. What is cancelled around a supervisor is felt by it, and not by its children: it stops them, one after the other,
 * the last started first. To stop a child is to cancel it (weft_cancel) and to wait until it has ended.
 *
 * Nothing can be killed in C. A child that has not ended when its time is over is named on standard error, and what was to follow
 * does not: the supervisor stops the others and ends with -ETIMEDOUT, when the last child has ended. (A program that is to end in
 * any case calls weft_shutdown.) */
#ifndef WEFT_SUPERVISOR_H
#define WEFT_SUPERVISOR_H

#include "base.h"
#include "runtime.h"
#include "time.h"

/* When a child is to be started again: */
enum weft_strategy {
	WEFT_ONE_FOR_ONE,  /* it alone is */
	WEFT_ONE_FOR_ALL,  /* all others are stopped, and all are started */
	WEFT_REST_FOR_ONE, /* those after it in the list are stopped, and it and those are started */
};

/* Which ends are to be made good: */
enum weft_restart {
	WEFT_PERMANENT, /* all */
	WEFT_TRANSIENT, /* failures */
	WEFT_TEMPORARY, /* none; nor is it started again with others that failed: it is off the list when it has ended */
};

/* Zero in a field means the default. */
struct weft_child {
	const char *name;   /* copied; not two of a supervisor's children have the same */
	weft_fn *fn;
	void *arg;
	int restart;        /* enum weft_restart */
	bool tells_ready;   /* it calls weft_supervisor_ready when others can rely on it; the next one is started then */
	int64_t stop_ns;    /* how long a stop waits for it, default 5 s; INT64_MAX: as long as it takes (right for a supervisor) */
	size_t stack_size;  /* as in struct weft_attr */
	uintptr_t reserved[2]; /* zero */
};

/* Zero in a field means the default. */
struct weft_supervisor_opts {
	size_t size;       /* sizeof(struct weft_supervisor_opts) */
	int strategy;      /* enum weft_strategy */
	int max_restarts;  /* so many within the period, default 1; -1: none. One more, and the supervisor ends */
	int64_t period_ns; /* default 5 s */
	bool stay;         /* goes on without a child that runs, for those that will be added. Else it ends then */
};

struct weft_child_state {
	size_t size;       /* in: sizeof(struct weft_child_state) */
	uint64_t id;       /* of the coroutine; 0: it does not run */
	uint64_t restarts; /* how often it was started again because it had ended */
	int result;        /* of the last time it ended; 0 before */
};

struct weft_supervisor;

WEFT_BEGIN

/* Makes one, opts NULL: the defaults, with n children; they are copied. From anywhere; never parks. -EINVAL a bad option or child,
 * or two of one name; -ENOMEM. */
WEFT_API WEFT_NODISCARD int weft_supervisor_create(struct weft_supervisor **supervisor, const struct weft_supervisor_opts *opts,
						   const struct weft_child *children, int n);

/* NULL: nothing. Never parks. -EBUSY: it runs, and nothing happened. */
WEFT_API int weft_supervisor_destroy(struct weft_supervisor *supervisor);

/* Starts the children and looks after them; none is left when it returns. It can be run again, and begins with the children given
 * to weft_supervisor_create. A coroutine's body. Parks.
 *   0            no child runs any more, and none is to be started again
 *   -ECANCELED   it was cancelled, and has stopped them
 *   -ELOOP       they ended too often
 *   -ETIMEDOUT   one did not end in time
 *   negative     a child could not be started for the first time: what it returned before it was ready (-ECHILD for a success), or
 *                -ENOMEM, which may end a later restart, too
 *   -EBUSY       it runs already; -EINVAL outside a coroutine */
WEFT_API int weft_supervisor_run(void *supervisor);

/* Starts one more child, behind the others: 0 once it is started, and ready if it tells. It is looked after for the rest of this
 * run. From a child of this supervisor too. Parks; its turn comes when no restart is in progress. -EEXIST there is one of this
 * name; -ESRCH the supervisor does not run, or is ending; what the child returned before it was ready; -EINVAL, -ENOMEM,
 * -ECANCELED. */
WEFT_API WEFT_NODISCARD int weft_supervisor_add(struct weft_supervisor *supervisor, const struct weft_child *child);

/* Stops a child and takes it off the list, for the rest of this run. Parks, for as long as the stop takes. -ENOENT no such child;
 * -EDEADLK it is the caller; -ETIMEDOUT it has not ended in time, and goes off the list when it ends; -ESRCH, -ECANCELED. */
WEFT_API WEFT_NODISCARD int weft_supervisor_remove(struct weft_supervisor *supervisor, const char *name);

/* By a child with tells_ready: the next one may start. Parks. -EALREADY it has said so before; -EINVAL the caller is not such a
 * child; -ECANCELED it is being stopped. */
WEFT_API WEFT_NODISCARD int weft_supervisor_ready(struct weft_supervisor *supervisor);

/* How a child is. From anywhere; parks for moments. -ENOENT: it is not on the list. */
WEFT_API WEFT_NODISCARD int weft_supervisor_look(struct weft_supervisor *supervisor, const char *name,
						 struct weft_child_state *state);

/* How often children were started again because one had ended, in all runs. From anywhere; never parks. */
WEFT_API uint64_t weft_supervisor_restarts(const struct weft_supervisor *supervisor);

WEFT_END

#endif
