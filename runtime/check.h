/* Rank 1. Two levels of self-checking, and the way out.
 *
 * wf_check    always compiled in: states that would corrupt memory if they were wrong, at a cost that nobody measures.
 * wf_assert   only in builds with WEFT_DEBUG: walkers and conditions on hot paths.
 * A failed check prints one line on standard error and aborts; it never returns. */
#ifndef WF_CHECK_H
#define WF_CHECK_H

#include "base.h"

/* Prints "weft: ..." on standard error without malloc, on any stack. One line, no newline needed. */
void wf_report(const char *format, ...) WF_PRINTF(1, 2);

/* The same, then abort(3). */
_Noreturn void wf_fatal(const char *format, ...) WF_PRINTF(1, 2);

_Noreturn void wf_check_failed(const char *condition, const char *file, int line);

#define wf_check(condition) (wf_likely(condition) ? (void)0 : wf_check_failed(#condition, __FILE__, __LINE__))

#ifdef WEFT_DEBUG
#define wf_assert(condition) wf_check(condition)
#else
#define wf_assert(condition) ((void)sizeof(!(condition)))
#endif

#endif
