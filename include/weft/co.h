/* Coroutines. "Parks" says that a call may give the processor to another coroutine and go on later on another OS thread;
 * calls that never park return on the thread they were made on. */
#ifndef WEFT_CO_H
#define WEFT_CO_H

#include "base.h"
#include "runtime.h"
#include "time.h"

#define WEFT_NAME_SIZE 32 /* bytes of a name with its final zero; longer names are cut */
#define WEFT_KEYS_MAX 64  /* keys of local values in a process */

/* A coroutine that somebody will join or detach. The handle is valid until then. */
struct weft_co;

/* How to make a coroutine. Zero in a field means the default. */
struct weft_attr {
	size_t size;       /* sizeof(struct weft_attr) */
	const char *name;  /* copied; shown in dumps, stack overflow reports and debuggers */
	size_t stack_size; /* usable bytes, rounded up; at most 1 GiB */
	bool daemon;       /* weft_run and weft_stop do not wait for it to end by itself: they cancel it at the end */
};

/* Initialiser: struct weft_attr attr = WEFT_ATTR_INIT; */
#define WEFT_ATTR_INIT { sizeof(struct weft_attr), NULL, 0, false }

WEFT_BEGIN

/* ---- making and ending -------------------------------------------------------------------------------------------- */

/* Runs fn(arg) as a new coroutine that nobody joins. It is runnable when the call returns; everything written before the call
 * is seen by its first instruction. From any thread while the runtime runs; never parks.
 * -ENOMEM no memory or stacks left, -EINVAL no runtime. */
WEFT_API WEFT_NODISCARD int weft_go(weft_fn *fn, void *arg);

/* The same with a handle to join, and attributes (NULL: the defaults). The handle must be given to weft_join or weft_detach
 * exactly once. Errors as weft_go; -EINVAL also for a bad attribute. co NULL: detached from the start. */
WEFT_API WEFT_NODISCARD int weft_spawn(struct weft_co **co, const struct weft_attr *attr, weft_fn *fn, void *arg);

/* Waits until co has ended, stores its result (result may be NULL) and releases the handle. All that co did is visible
 * afterwards. Parks; a thread that is not a coroutine blocks.
 * -EDEADLK co is the caller, -EINVAL it was detached or somebody else is joining it, -ECANCELED the caller was cancelled. On
 * failure the handle stays valid. */
WEFT_API WEFT_NODISCARD int weft_join(struct weft_co *co, int *result);

/* The same until a deadline: -ETIMEDOUT, or with WEFT_NOW -EAGAIN. */
WEFT_API WEFT_NODISCARD int weft_join_until(struct weft_co *co, int *result, weft_time deadline);

/* Gives the handle up; the coroutine frees itself when it ends. -EINVAL: detached before, or somebody is joining it. Never
 * parks. */
WEFT_API int weft_detach(struct weft_co *co);

/* Asks co to end: its waiting calls, the present one included, return -ECANCELED from now on (plain mutex locks excepted).
 * Nothing is interrupted and nothing is lost: a hand-over that came first is reported as success. From anywhere; never parks.
 * Returns 0, also if co has ended. */
WEFT_API int weft_cancel(struct weft_co *co);

/* Whether the caller has been cancelled: 0 or -ECANCELED. For loops that never wait. Never parks. */
WEFT_API int weft_cancelled(void);

/* Ends the calling coroutine with a result, from any depth. Deferred functions run, last first, then the destructors of local
 * values; frames between here and the coroutine's function are dropped without clean-up. Outside a coroutine: aborts. */
WEFT_API WEFT_NORETURN void weft_exit(int result);

/* Has fn(arg) run when the calling coroutine ends, by return or by weft_exit; the latest first. -ENOMEM; -EINVAL outside a
 * coroutine. Never parks. fn itself may park. */
WEFT_API WEFT_NODISCARD int weft_defer(void (*fn)(void *arg), void *arg);

/* ---- running ------------------------------------------------------------------------------------------------------ */

/* Lets every other runnable coroutine of this processor, due timers and ready descriptors go first. Parks. Outside a
 * coroutine: sched_yield(2). */
WEFT_API void weft_yield(void);

/* Sleeps at least ns nanoseconds; ns <= 0 returns 0 at once. Parks; a plain thread blocks. -ECANCELED. */
WEFT_API int weft_sleep(int64_t ns);

/* The same until a point in time. */
WEFT_API int weft_sleep_until(weft_time when);

/* ---- identity ----------------------------------------------------------------------------------------------------- */

/* The caller's number: never 0, never used twice in a process. 0 outside a coroutine. Never parks. */
WEFT_API uint64_t weft_self(void);

/* The number of co. Never parks. */
WEFT_API uint64_t weft_id(const struct weft_co *co);

/* Names the calling coroutine (copied, cut to WEFT_NAME_SIZE - 1 bytes; NULL: no name). No effect outside one. */
WEFT_API void weft_set_name(const char *name);

/* The caller's name, "" without one. Valid until it is set again. */
WEFT_API const char *weft_name(void);

/* The bounds of the calling coroutine's stack: usable bytes are [*low, *high). For embedded interpreters that check their own
 * stack depth. -EINVAL outside a coroutine. Never parks. */
WEFT_API int weft_stack_bounds(void **low, void **high);

/* Gives the memory of the calling coroutine's stack below its present depth back to the system, but for a page or two: for one that
 * went deep and is now going to wait for long. A few microseconds. (Stacks of coroutines that have ended need no such call: after
 * some seconds unused they lose their memory by themselves.) -EINVAL outside a coroutine. Never parks. */
WEFT_API int weft_stack_trim(void);

/* ---- local values ------------------------------------------------------------------------------------------------- */

/* Makes a key under which every coroutine keeps a value of its own, NULL at first. destructor (may be NULL) gets each
 * coroutine's value that is not NULL when that coroutine ends, in that coroutine; values that destructors set again are given up
 * after 4 rounds, as pthread_key_create(3) has it. Keys live as long as the process. -EAGAIN: WEFT_KEYS_MAX are in use.
 * From anywhere; never parks. */
WEFT_API WEFT_NODISCARD int weft_key_create(int *key, void (*destructor)(void *value));

/* The caller's value; NULL outside a coroutine. Never parks. */
WEFT_API void *weft_get(int key);

/* Sets it. -EINVAL no such key, or outside a coroutine; -ENOMEM. Never parks. */
WEFT_API WEFT_NODISCARD int weft_set(int key, void *value);

WEFT_END

#endif
