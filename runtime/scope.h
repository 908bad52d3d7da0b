/* Rank 5. A scope, inside.
 *
 * Scopes and coroutines form a tree. A coroutine is *inside* exactly one scope, its innermost one (or none), and is on that scope's
 * list; a scope is on the list of the scope it was opened in. What a coroutine's waiting calls look at is one word, its own
 * `cancel`; whoever cancels walks the tree below and writes it into every coroutine that is not behind a shield, then, after a
 * heavy fence, ends their waits. So an unused scope costs a waiting call a load and a compare.
 *
 * Locks, outermost first: the control block's lock of a coroutine (guards the chain of scopes that it has open), then scopes
 * from the outside in (each guards its lists, its cause, and the counts of its coroutines). */
#ifndef WF_SCOPE_H
#define WF_SCOPE_H

#include <weft/scope.h>

#include "list.h"
#include "lock.h"
#include "timer.h"
#include "wait.h"

struct wf_scope {
	struct wf_lock lock;
	struct wf_scope *parent; /* the one it was opened in; NULL: none */
	struct weft_co *opener;  /* NULL: closed */
	uint64_t number;         /* tells this use of the memory from others, for a deadline that fires late */
	struct wf_link nested;   /* in parent->scopes */
	struct wf_list scopes;   /* opened in it */
	struct wf_list inside;   /* coroutines of which it is the innermost */
	int cause;               /* its own; 0: not cancelled */
	int inherited;           /* from outside; stays 0 behind a shield */
	unsigned flags;
	bool shielded;           /* it, or one outside it, is a shield */
	int limit;
	int running;             /* coroutines put into it that have not ended */
	bool failed, succeeded;  /* whether first_error and first_success hold something */
	int first_error;
	int first_success;
	struct wf_waitq closer;  /* the opener, in weft_scope_close */
	struct wf_waitq starters; /* whoever waits for the limit */
	struct wf_timer timer;   /* the deadline */
};

_Static_assert(sizeof(struct wf_scope) <= sizeof(struct weft_scope), "the public struct has room for it");
_Static_assert(_Alignof(struct wf_scope) <= _Alignof(struct weft_scope), "and is aligned for it");

static inline int wf_scope_effective(const struct wf_scope *s) { return s->cause ? s->cause : s->inherited; }

#endif
