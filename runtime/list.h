/* Rank 1. An intrusive doubly linked list with a sentinel, and a singly linked FIFO. Neither locks. */
#ifndef WF_LIST_H
#define WF_LIST_H

#include "base.h"

struct wf_link {
	struct wf_link *next, *prev; /* both NULL while on no list */
};

struct wf_list {
	struct wf_link head; /* zero-initialised counts as empty */
};

static inline bool wf_link_queued(const struct wf_link *l) { return l->next != NULL; }

static inline bool wf_list_empty(const struct wf_list *list) { return !list->head.next || list->head.next == &list->head; }

static inline void wf_list_insert(struct wf_link *before, struct wf_link *l)
{
	l->next = before;
	l->prev = before->prev;
	before->prev->next = l;
	before->prev = l;
}

static inline void wf_list_init(struct wf_list *list) { list->head.next = list->head.prev = &list->head; }

static inline void wf_list_push(struct wf_list *list, struct wf_link *l)
{
	if (!list->head.next)
		wf_list_init(list);
	wf_list_insert(&list->head, l);
}

static inline void wf_list_push_front(struct wf_list *list, struct wf_link *l)
{
	if (!list->head.next)
		wf_list_init(list);
	wf_list_insert(list->head.next, l);
}

static inline void wf_list_remove(struct wf_link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->next = l->prev = NULL;
}

static inline struct wf_link *wf_list_first(const struct wf_list *list) { return wf_list_empty(list) ? NULL : list->head.next; }

static inline struct wf_link *wf_list_pop(struct wf_list *list)
{
	struct wf_link *l = wf_list_first(list);
	if (l)
		wf_list_remove(l);
	return l;
}

#endif
