/* Rank 2. What sanitizers and Valgrind must be told about stacks. Nothing in other builds.
 *
 * A fiber is one stack as they see it: each stack slot has one, and so has each worker's own thread stack. TSan fibers stay with
 * the slot (making one costs 70 us, and there can be 8,000), but not for ever: the functions in which a coroutine ends never
 * return, and TSan's own call stack of the fiber keeps an entry for each. */
#ifndef WF_SAN_H
#define WF_SAN_H

#include "base.h"

#if defined(__SANITIZE_ADDRESS__)
#define WF_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define WF_TSAN 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WF_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define WF_TSAN 1
#endif
#endif

#ifdef WF_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WF_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* Whether a coroutine may begin on the stack that it is called from, of one that has ended. TSan gives up a fiber now and then that
 * must not be the running one. */
#ifdef WF_TSAN
enum { WF_SAN_CAN_INHERIT = 0 };
#else
enum { WF_SAN_CAN_INHERIT = 1 };
#endif

struct wf_san_fiber {
	void *fake;         /* ASan: the fake stack of a fiber that was left */
	void *tsan;         /* TSan: its fiber */
	const void *low;    /* ASan: the stack's bounds */
	size_t size;
	unsigned uses;      /* TSan: coroutines that ended on this fiber */
	unsigned valgrind;  /* Valgrind: its number */
};

#if defined(WF_ASAN) || defined(WF_TSAN) || defined(WEFT_VALGRIND)
#define WF_SAN 1

/* A coroutine's stack was made, or is given back to the system. */
void wf_san_stack_made(struct wf_san_fiber *fiber, void *low, void *high);
void wf_san_stack_gone(struct wf_san_fiber *fiber);

/* The stack of the calling thread. */
void wf_san_thread(struct wf_san_fiber *fiber);

/* Just before a switch (from NULL if it will never be gone on with; save: where its stack pointer will be), and just after one, on
 * the other side. TSan counts a function's entry on the fiber that is left and its return on the one that is arrived at, so this
 * can't be a function. */
static inline __attribute__((always_inline)) void wf_san_leave(struct wf_san_fiber *from, struct wf_san_fiber *to,
								 volatile void *save)
{
	(void)save;
	(void)from;
	(void)to;
#ifdef WF_ASAN
	__sanitizer_start_switch_fiber(from ? &from->fake : NULL, to->low, to->size);
#endif
#ifdef WF_TSAN
	if (!to->tsan)
		to->tsan = __tsan_create_fiber(0);
	__tsan_release((void *)save); /* pairs with wf_san_look: TSan does not see the switch store the stack pointer there */
	__tsan_switch_to_fiber(to->tsan, 0);
#endif
}

/* A context that was left is about to be read; save: where its stack pointer is. */
static inline void wf_san_look(volatile void *save)
{
	(void)save;
#ifdef WF_TSAN
	__tsan_acquire((void *)save);
#endif
}

static inline void wf_san_arrive(struct wf_san_fiber *self)
{
	(void)self;
#ifdef WF_ASAN
	__sanitizer_finish_switch_fiber(self->fake, NULL, NULL);
#endif
}

/* A thread of the program's is about to sleep for ns (negative: until it is woken): for how long at a time. TSan keeps a signal
 * back until the thread makes a call that TSan knows, which a system call of the runtime is not: to ask for the time is, so the
 * caller does that each time. (It must not be one that sleeps, were it for no time: TSan lets signals in meanwhile, and with that
 * of clang 14 one in hundreds was lost.) */
int64_t wf_san_nap(int64_t ns);

#else
static inline void wf_san_stack_made(struct wf_san_fiber *fiber, void *low, void *high) { (void)fiber, (void)low, (void)high; }
static inline void wf_san_stack_gone(struct wf_san_fiber *fiber) { (void)fiber; }
static inline void wf_san_thread(struct wf_san_fiber *fiber) { (void)fiber; }
static inline void wf_san_leave(struct wf_san_fiber *from, struct wf_san_fiber *to, volatile void *save)
{
	(void)from, (void)to, (void)save;
}
static inline void wf_san_arrive(struct wf_san_fiber *self) { (void)self; }
static inline void wf_san_look(volatile void *save) { (void)save; }
static inline int64_t wf_san_nap(int64_t ns) { return ns; }
#endif

/* Frames between here and the top were dropped; the stack is about to be used afresh. */
#if defined(WF_ASAN) || defined(WF_TSAN)
void wf_san_stack_fresh(struct wf_san_fiber *fiber);
#else
static inline void wf_san_stack_fresh(struct wf_san_fiber *fiber) { (void)fiber; }
#endif

#endif
