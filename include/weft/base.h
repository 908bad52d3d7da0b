/* What every public header uses. */
#ifndef WEFT_BASE_H
#define WEFT_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_VERSION_MAJOR 0
#define WEFT_VERSION_MINOR 1
#define WEFT_VERSION_PATCH 0

#ifdef __cplusplus
#define WEFT_BEGIN extern "C" {
#define WEFT_END }
#else
#define WEFT_BEGIN
#define WEFT_END
#endif

#define WEFT_API __attribute__((visibility("default")))
#define WEFT_NORETURN __attribute__((noreturn))

/* Marks results that must be looked at: dropping one is a bug (a coroutine that never started, a short read). */
#define WEFT_NODISCARD __attribute__((warn_unused_result))

/* Exit statuses with which weft itself ends the process, always after a report on standard error. */
#define WEFT_STATUS_STACK_OVERFLOW 121 /* a coroutine hit the guard below its stack */
#define WEFT_STATUS_DEADLOCK 122       /* nothing can ever run again */
#define WEFT_STATUS_SHUTDOWN 123       /* weft_shutdown met its deadline with coroutines still alive */

WEFT_BEGIN

/* The version that the program runs on, "major.minor.patch". From anywhere; never parks. */
WEFT_API const char *weft_version(void);

/* A sentence for a result of weft: takes the negative value as returned, or its positive form. Static text, never NULL.
 * From anywhere; never parks. */
WEFT_API const char *weft_strerror(int result);

WEFT_END

#endif
