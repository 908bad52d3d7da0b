/* Rank 1. What every file uses: layout and branch helpers, nothing with state. */
#ifndef WF_BASE_H
#define WF_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WF_CACHE_LINE 64

#define wf_likely(x) __builtin_expect(!!(x), 1)
#define wf_unlikely(x) __builtin_expect(!!(x), 0)

#define WF_ALIGNED(n) __attribute__((aligned(n)))
#define WF_NOINLINE __attribute__((noinline))
#define WF_COLD __attribute__((noinline, cold))
/* For functions that never return and yet run often: compilers take them for the ends of programs, and save space there. */
#define WF_HOT __attribute__((hot))
#define WF_HIDDEN __attribute__((visibility("hidden"))) /* of a declaration: the library's own, so found without a table */
#define WF_PRINTF(text, first) __attribute__((format(printf, text, first)))

/* No compiler may look through a call of such a function, inline it, or reuse an earlier result, under -flto neither: its
 * result can differ before and after a switch (docs/caveats.md, "Thread-locals"). */
#if defined(__clang__)
#define WF_OPAQUE __attribute__((noinline, optnone))
#else
#define WF_OPAQUE __attribute__((noipa))
#endif

#define wf_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define wf_countof(array) (sizeof(array) / sizeof((array)[0]))

/* Orders the compiler, not the processor. */
#define wf_compiler_barrier() __asm__ volatile("" ::: "memory")

#endif
