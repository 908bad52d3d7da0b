/* Rank 1. The only file that includes <atomic_ops.h>. Three widths: a word (wf_word, holds
 * pointers), 32 bits (wf_u32, for futexes and ring indices), and a byte that is only loaded and stored (wf_u8).
 *
 * The order is in the name: none (relaxed: atomic, ordered with nothing), _acquire, _release, _full (both). A _full
 * read-modify-write is acquire and release, not a fence: on aarch64 a later load may pass its store. Only wf_fence_full orders a
 * store before a later load.
 * Each use says what it pairs with ("pairs with ...") or why it needs no order ("relaxed: ..."). No data is published by a bare
 * fence: TSan does not see fences, and neither does a reader. */
#ifndef WF_ATOMIC_H
#define WF_ATOMIC_H

#if defined(__SANITIZE_THREAD__) && !defined(AO_THREAD_SANITIZER)
#define AO_THREAD_SANITIZER /* the library looks for clang's spelling only */
#endif
#include <atomic_ops.h>

#include "base.h"

typedef volatile AO_t wf_word;
typedef volatile unsigned wf_u32;
typedef volatile unsigned char wf_u8;

_Static_assert(sizeof(AO_t) == sizeof(void *) && sizeof(AO_t) == 8, "a word holds a pointer and a 61-bit sequence number");

static inline uintptr_t wf_load(const wf_word *w) { return AO_load(w); }
static inline uintptr_t wf_load_acquire(const wf_word *w) { return AO_load_acquire(w); }
static inline void wf_store(wf_word *w, uintptr_t v) { AO_store(w, v); }
static inline void wf_store_release(wf_word *w, uintptr_t v) { AO_store_release(w, v); }
static inline bool wf_cas_acquire(wf_word *w, uintptr_t old, uintptr_t v) { return AO_compare_and_swap_acquire(w, old, v); }
static inline bool wf_cas_release(wf_word *w, uintptr_t old, uintptr_t v) { return AO_compare_and_swap_release(w, old, v); }
static inline bool wf_cas_full(wf_word *w, uintptr_t old, uintptr_t v) { return AO_compare_and_swap_full(w, old, v); }
static inline uintptr_t wf_add(wf_word *w, intptr_t d) { return AO_fetch_and_add(w, (AO_t)d); }
static inline uintptr_t wf_add_full(wf_word *w, intptr_t d) { return AO_fetch_and_add_full(w, (AO_t)d); }

/* libatomic_ops has no exchange. */
static inline uintptr_t wf_exchange_full(wf_word *w, uintptr_t v)
{
	uintptr_t old;
	do
		old = wf_load(w);
	while (!wf_cas_full(w, old, v));
	return old;
}

static inline void *wf_load_ptr(const wf_word *w) { return (void *)wf_load(w); }
static inline void *wf_load_ptr_acquire(const wf_word *w) { return (void *)wf_load_acquire(w); }

static inline unsigned wf_u32_load(const wf_u32 *w) { return AO_int_load(w); }
static inline unsigned wf_u32_load_acquire(const wf_u32 *w) { return AO_int_load_acquire(w); }
static inline void wf_u32_store(wf_u32 *w, unsigned v) { AO_int_store(w, v); }
static inline void wf_u32_store_release(wf_u32 *w, unsigned v) { AO_int_store_release(w, v); }
static inline bool wf_u32_cas_acquire(wf_u32 *w, unsigned old, unsigned v) { return AO_int_compare_and_swap_acquire(w, old, v); }
static inline bool wf_u32_cas_release(wf_u32 *w, unsigned old, unsigned v) { return AO_int_compare_and_swap_release(w, old, v); }
static inline bool wf_u32_cas_full(wf_u32 *w, unsigned old, unsigned v) { return AO_int_compare_and_swap_full(w, old, v); }
static inline unsigned wf_u32_add(wf_u32 *w, int d) { return AO_int_fetch_and_add(w, (unsigned)d); }
static inline unsigned wf_u32_add_full(wf_u32 *w, int d) { return AO_int_fetch_and_add_full(w, (unsigned)d); }

static inline unsigned char wf_u8_load(const wf_u8 *b) { return AO_char_load(b); }
static inline unsigned char wf_u8_load_acquire(const wf_u8 *b) { return AO_char_load_acquire(b); }
static inline void wf_u8_store(wf_u8 *b, unsigned char v) { AO_char_store(b, v); }
static inline void wf_u8_store_release(wf_u8 *b, unsigned char v) { AO_char_store_release(b, v); }

static inline void wf_fence_full(void) { AO_nop_full(); }

/* A counter with one writer at a time and any readers: a plain addition that no reader can see torn. */
static inline void wf_count(wf_word *counter) { AO_store(counter, AO_load(counter) + 1); }
static inline void wf_count_release(wf_word *counter) { AO_store_release(counter, AO_load(counter) + 1); }
static inline void wf_count_by(wf_word *counter, uintptr_t n) { AO_store(counter, AO_load(counter) + n); }

#endif
