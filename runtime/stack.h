/* Rank 3. Stacks: slots of address space with a guard below, memory behind them only where they were touched.
 *
 *   low end of the slot                                                                    high end
 *   | guard, 64 KiB, never accessible | usable, grows down as it is touched | colour, 0-15 lines |
 *                                     ^ low                                 ^ top
 *
 * Slots come in classes by size (a power of two), and a class gets them in regions of up to 1 GiB: one kernel mapping each
 * where the kernel has light guards. Tops are shifted by 0 to 15 cache lines, slot by slot: otherwise the first lines of all
 * stacks compete for the same few sets of the first-level cache. For the same reason a slot has an odd number of pages: a power of
 * two would leave a few sets of the TLB for the top pages of all stacks (500 to 1,000 of them cost 3 to 4 times more so).
 *
 * A coroutine gets its stack when it first runs and gives it back when it ends, so that coroutines which never wait all run on the
 * same few warm stacks. So that the first run cannot fail, making a coroutine reserves a slot: for each class
 *     slots made >= slots promised + slots that may lie in processors' caches, or are being trimmed.
 *
 * Free stacks are warm (used, so there is memory behind them) or cold. The warm ones are taken last in, first out, so those at the
 * far end have lain there longest: wf_stack_trim gives their memory back, and makes them cold. */
#ifndef WF_STACK_H
#define WF_STACK_H

#include "atomic.h"
#include "san.h"

enum {
	WF_STACK_GUARD = 64 * 1024,
	WF_STACK_COLOURS = 16,
	WF_STACK_CLASSES = 15,    /* slots of 128 KiB << class, and a page; the largest is 2 GiB */
	WF_STACK_CACHE = 64,      /* free stacks of the default class that a processor keeps */
	WF_STACK_FIRST_SHIFT = 17 /* log2 of the smallest slot, without that page */
};

#define WF_STACK_USABLE_MAX ((size_t)1 << 30)

struct wf_stack {
	char *top;             /* where a coroutine starts: 16-byte aligned */
	char *low;             /* lowest usable byte */
	struct wf_stack *next; /* in a cache, or free: what has been free for longer */
	struct wf_stack *newer; /* free and warm: the one before it */
	wf_word owner;         /* struct weft_co *, 0 while free; for overflow reports and dumps */
	unsigned char class_index;
	struct wf_san_fiber fiber;
};

/* The smallest class with so many usable bytes; -EINVAL: too many. */
int wf_stack_class(size_t usable);

/* Promises n stacks of a class, making slots as needed. -ENOMEM (and one line on standard error, once, that names
 * vm.max_map_count if that is the reason). From any thread. */
int wf_stack_reserve(unsigned class_index, unsigned n);
void wf_stack_unreserve(unsigned class_index, unsigned n);

/* Takes up to n free stacks of a class into a list linked by next; at least one, given that it was promised. */
struct wf_stack *wf_stack_take(unsigned class_index, unsigned n, unsigned *taken);

/* Gives a list of n stacks of one class back. */
void wf_stack_give(struct wf_stack *list, unsigned n);

/* Gives back the memory of some of the stacks that nobody has needed for a round, but for a few. False: that was all, and a new
 * round begins. One thread at a time; up to 0.1 ms. */
bool wf_stack_trim(void);

/* Whether another round may find something. */
bool wf_stack_trimmable(void);

/* One more processor may keep WF_STACK_CACHE free stacks of this class. Before that class is first reserved for it. */
int wf_stack_add_cache(unsigned class_index);

/* The stack whose slot, guard included, holds this address; NULL: none. Async-signal-safe. */
struct wf_stack *wf_stack_find(uintptr_t address);

uint64_t wf_stack_made(void); /* slots, all classes */

/* Unmaps everything. No coroutine is left. */
void wf_stack_free_all(void);

#endif
