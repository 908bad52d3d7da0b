/* Rank 2. The context switch (arch/<cpu>/ctx.S). */
#ifndef WF_CTX_H
#define WF_CTX_H

#include "../arch/arch.h"
#include "atomic.h"

/* Saves the caller's context, leaving its stack pointer in *save, and goes on with the context whose stack pointer is `to`.
 * Returns, when somebody switches back, the `arg` which they passed.
 *
 * The store to *save is a release, and it is made on the other stack: from then on whoever reads it (acquire) may go on with the
 * context at once, on any thread. A signal handler that comes in between runs on one stack or the other, never below the stack
 * pointer of a context that somebody else goes on with. */
void *wf_ctx_switch(wf_word *save, void *to, void *arg);

/* Saves the caller's context likewise and calls entry(arg) at the top of another stack; `top` is 16-byte aligned. entry never
 * returns. It starts with the alignment of the ABI and ends every backtrace. */
void *wf_ctx_start(wf_word *save, void *top, void *arg, void (*entry)(void *arg));

/* Calls fn(arg), on the caller's stack, and has it look as if it was called from where the context with this stack pointer was
 * left: a backtrace made in fn goes on there. That context is only read. */
void wf_ctx_look(const void *sp, void (*fn)(void *arg), void *arg);

#endif
