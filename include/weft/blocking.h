/* Calls that block: those of libc and other libraries that weft does not wrap.
 *
 * A coroutine may simply make them. When it has not come back for a while, its processor goes on without it: after 0.1 ms if
 * its thread sleeps in the kernel and others wait, after 10 ms if it computes. Two ways are faster, for calls that are known to
 * block:
 *
 *   weft_block_enter, weft_block_exit  around the call: the processor is handed over at once. The call is made on the coroutine's
 *                                      own thread and stack; each such call that is under way takes a worker.
 *   weft_offload                       the call is made on a helper thread, with a thread's stack, while the coroutine waits.
 *                                      Helpers are limited in number; work beyond that queues. */
#ifndef WEFT_BLOCKING_H
#define WEFT_BLOCKING_H

#include "base.h"
#include "runtime.h"
#include "time.h"

WEFT_BEGIN

/* ---- on the caller's own thread ------------------------------------------------------------------------------------ */

/* The caller is about to block: others have its processor from now on. It keeps its thread, so thread-local variables stay its
 * own. Pairs nest; calls of weft in between work, and get a processor for it. With WEFT_MAX_WORKERS threads in use, and on a
 * plain thread, nothing happens. Never parks. */
WEFT_API void weft_block_enter(void);

/* It has blocked; the outermost exit waits for a processor, perhaps on another thread: what the call left in errno is read before.
 * Aborts without an enter. Parks. */
WEFT_API void weft_block_exit(void);

/* ---- staying on one thread ----------------------------------------------------------------------------------------- */

/* From now on the calling coroutine runs on the thread that it is on, and on no other, and that thread runs nothing else: for
 * libraries that keep state per thread (GL contexts, locales, error queues) over calls that park. Pairs nest; the end of the
 * coroutine is the last unpin. While a pinned coroutine waits, its processor is the others'; so each of its waits costs two
 * switches of threads (30 us) where others cost a switch of coroutines. On a plain thread nothing happens. Never parks. */
WEFT_API void weft_pin(void);

/* Aborts without a pin. Never parks. */
WEFT_API void weft_unpin(void);

/* ---- on a helper thread -------------------------------------------------------------------------------------------- */

/* Runs fn(arg) on a helper thread and stores its result (result may be NULL). Parks until fn has returned, cancelled or not:
 * arg may be on the caller's stack. fn is a plain thread's code: weft's calls block in it. On a plain thread, fn is just
 * called. -ECANCELED the caller was cancelled before: fn did not run; -EAGAIN there is no helper and none can be made; -EINVAL. */
WEFT_API WEFT_NODISCARD int weft_offload(weft_fn *fn, void *arg, int *result);

/* The same for work that can be left alone: when the deadline comes, or the caller is cancelled, the call returns and the work
 * goes on without it; if it has not begun it never will. So arg belongs to the work, and is not on the caller's stack:
 *
 *   0        fn has returned, and arg is the caller's again
 *   negative drop(arg) is called, exactly once: when fn has returned, or instead of it. On a helper, or, when the work never got to
 *            one, by this call. -ETIMEDOUT, -ECANCELED, -ENOMEM, -EAGAIN as above; -EINVAL: fn or drop is NULL, nothing is called
 *
 * weft_stop does not wait for work that was left alone; it ends, and is dropped, when it ends. On a plain thread, fn is just
 * called. */
WEFT_API WEFT_NODISCARD int weft_offload_owned(weft_fn *fn, void *arg, void (*drop)(void *arg), weft_time deadline, int *result);

WEFT_END

#endif
