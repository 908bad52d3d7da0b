/* Rank 5. A supervisor, inside; what supervisor.c and supervisor_run.c share. */
#ifndef WF_SUPERVISOR_H
#define WF_SUPERVISOR_H

#include <weft/chan.h>
#include <weft/exits.h>
#include <weft/scope.h>
#include <weft/supervisor.h>
#include <weft/sync.h>

#include "atomic.h"
#include "check.h"
#include "list.h"

struct wf_child {
	struct wf_link link;  /* in the list of children, or of specs */
	struct wf_link ended; /* in the list of that name */
	struct weft_child spec;
	struct weft_co *co;   /* NULL: it does not run */
	bool told, ready;     /* it says that it is ready; that was heard */
	bool late;            /* it was stopped, and its time is over */
	struct weft_child_state state;
	char name[];
};

/* On the stack of whoever asks. */
struct wf_request {
	const struct weft_child *add; /* NULL: remove */
	const char *name;
	uint64_t asker;
	int result;
	struct weft_sem answered;
};

struct weft_supervisor {
	struct weft_supervisor_opts opts;
	struct wf_list specs;     /* as given to create */
	weft_time *restart_times; /* a ring: the restarts of the last period, at most max_restarts */
	size_t restart_size, restart_first, restart_count;
	wf_word restarts;
	wf_word busy; /* 1: it runs, or ends */

	struct weft_mutex mutex;  /* guards the following, which others look at */
	struct wf_list children;
	bool running; /* and takes requests */
	struct weft_waitgroup askers;
	struct weft_chan *requests, *ready;

	/* The supervisor's own. */
	struct weft_scope outside, inside;
	struct weft_co *sentinel;
	struct weft_exits *exits;
	struct wf_list ended;
	bool cancelled;
};

static inline struct wf_child *wf_child_of(struct wf_link *l)
{
	return wf_container_of(l, struct wf_child, link);
}

static inline struct wf_child *wf_next_child(const struct weft_supervisor *s, const struct wf_child *c)
{
	return c->link.next == &s->children.head ? NULL : wf_child_of(c->link.next);
}

static inline struct wf_child *wf_previous_child(const struct weft_supervisor *s, const struct wf_child *c)
{
	return c->link.prev == &s->children.head ? NULL : wf_child_of(c->link.prev);
}

static inline struct wf_child *wf_first_child(const struct weft_supervisor *s)
{
	struct wf_link *l = wf_list_first(&s->children);
	return l ? wf_child_of(l) : NULL;
}

static inline struct wf_child *wf_last_child(const struct weft_supervisor *s)
{
	return wf_list_empty(&s->children) ? NULL : wf_child_of(s->children.head.prev);
}

/* NULL: there is none of this name. */
struct wf_child *wf_child_find(const struct wf_list *list, const char *name);

/* NULL: no memory. */
struct wf_child *wf_child_copy(const struct weft_child *spec);

void wf_child_free_all(struct wf_list *list);

#endif
