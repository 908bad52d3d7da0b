/* Scopes: coroutines that belong together. A scope is opened and closed by one coroutine, and what runs in it cannot outlive it:
 *
 *     struct weft_scope scope;
 *     if (weft_scope_open(&scope, NULL) == 0) {
 *             int a = weft_scope_go(&scope, fetch, &first);
 *             int b = weft_scope_go(&scope, fetch, &second);
 *             int result = weft_scope_close(&scope);          waits for both
 *     }
 *
 * Cancelling a scope, or meeting its deadline, makes every call that waits inside it fail with -ECANCELED: in the coroutines that
 * were put into it, in the one that opened it while it is open, and in the scopes inside it. That is sticky; weft_cause tells why.
 * Nothing is interrupted: a value that was handed over before the cancel is delivered. Plain locks (weft_mutex_lock) wait on.
 * Only weft_scope_go and weft_scope_spawn put a coroutine into a scope; weft_go and weft_spawn never do. */
#ifndef WEFT_SCOPE_H
#define WEFT_SCOPE_H

#include "base.h"
#include "co.h"
#include "runtime.h"
#include "time.h"

enum {
	WEFT_SCOPE_SHIELD = 1,        /* what is cancelled outside is not felt inside: for clean-up that has to wait */
	WEFT_SCOPE_FIRST_ERROR = 2,   /* the first coroutine that returns a negative value cancels the others */
	WEFT_SCOPE_FIRST_SUCCESS = 4, /* the first one that returns a value >= 0 cancels the others */
};

/* Zero in a field means the default. */
struct weft_scope_opts {
	size_t size;        /* sizeof(struct weft_scope_opts) */
	unsigned flags;     /* WEFT_SCOPE_... */
	int limit;          /* coroutines that run in it at a time; 0: any number */
	weft_time deadline; /* cancels the scope with cause -ETIMEDOUT; 0 or WEFT_NEVER: none */
};

/* Lives where its coroutine likes, usually on its stack, and is not moved between open and close. */
struct weft_scope {
	uintptr_t reserved[40];
};

WEFT_BEGIN

/* Opens a scope inside the one that the caller is in. Never parks. -EINVAL outside a coroutine, a bad option, or a scope that is
 * open around the caller. */
WEFT_API WEFT_NODISCARD int weft_scope_open(struct weft_scope *scope, const struct weft_scope_opts *opts);

/* Runs fn(arg) as a new coroutine in the scope. The caller is the coroutine that opened it or one that runs in it. Parks while
 * the limit is reached; places go to those who wait for them in order of arrival. -ECANCELED the scope is cancelled, or the caller
 * while it waited; -EINVAL the scope is not open, or the caller is not inside it; -ENOMEM. */
WEFT_API WEFT_NODISCARD int weft_scope_go(struct weft_scope *scope, weft_fn *fn, void *arg);

/* The same with a handle, to join, watch or cancel this one alone, and attributes, as weft_spawn has it. The handle must be given
 * to weft_join or weft_detach exactly once, before or after the scope is closed, which waits for the coroutine in any case. A
 * shield keeps off it what is cancelled outside, but not a weft_cancel of itself. -EINVAL also for a daemon. */
WEFT_API WEFT_NODISCARD int weft_scope_spawn(struct weft_scope *scope, struct weft_co **co, const struct weft_attr *attr,
					     weft_fn *fn, void *arg);

/* Cancels the scope; cause (negative) is what weft_cause gives inside, 0 means -ECANCELED. The first cause stays. From any thread
 * that knows the scope to be open. Never parks. */
WEFT_API void weft_scope_cancel(struct weft_scope *scope, int cause);

/* Waits until every coroutine in the scope has ended, whatever is cancelled, and closes it. Parks. By the coroutine that opened it,
 * the last opened first. The result:
 *   plain            0, or the first negative result of a coroutine in it
 *   FIRST_ERROR      the same
 *   FIRST_SUCCESS    the first result >= 0; when there is none the first negative one; 0 for an empty scope
 * -EINVAL: not the caller's innermost open scope; nothing happens. */
WEFT_API WEFT_NODISCARD int weft_scope_close(struct weft_scope *scope);

/* Why the caller's waiting calls fail: the cause of the innermost cancelled scope around it, -ETIMEDOUT for a deadline, -ECANCELED
 * for weft_cancel and weft_shutdown, 0 when nothing is cancelled. Never parks. */
WEFT_API int weft_cause(void);

WEFT_END

#endif
