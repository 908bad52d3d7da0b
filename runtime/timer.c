#include "timer.h"

#include "check.h"

static void publish_next_locked(struct wf_timers *heap)
{
	/* a hint to wf_timers_next */
	wf_store_release(&heap->next_when, (uintptr_t)(heap->root ? heap->root->when : WF_TIME_NEVER));
}

void wf_timers_init(struct wf_timers *heap)
{
	*heap = (struct wf_timers){0};
	publish_next_locked(heap);
}

/* ---- the pairing heap: every node comes before its children; children are a list; prev of the first is the parent ---- */

/* Joins two heaps without siblings; the earlier root wins, the first one among equals. */
static struct wf_timer *meld(struct wf_timer *a, struct wf_timer *b)
{
	if (b->when < a->when) {
		struct wf_timer *t = a;
		a = b;
		b = t;
	}
	b->next = a->child;
	b->prev = a;
	if (a->child)
		a->child->prev = b;
	a->child = b;
	a->next = a->prev = NULL;
	return a;
}

/* Melds a list of siblings into one heap: in pairs from the left, then the pairs from the right. NULL for none. */
static struct wf_timer *meld_siblings(struct wf_timer *t)
{
	struct wf_timer *pairs = NULL, *whole = NULL;
	while (t) {
		struct wf_timer *a = t, *b = t->next;
		t = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b) {
			b->next = b->prev = NULL;
			a = meld(a, b);
		}
		a->next = pairs; /* a stack of pairs */
		pairs = a;
	}
	while (pairs) {
		struct wf_timer *a = pairs;
		pairs = a->next;
		a->next = NULL;
		whole = whole ? meld(whole, a) : a;
	}
	return whole;
}

static void unlink_child(struct wf_timer *t)
{
	if (t->prev->child == t)
		t->prev->child = t->next;
	else
		t->prev->next = t->next;
	if (t->next)
		t->next->prev = t->prev;
	t->next = t->prev = NULL;
}

static void remove_locked(struct wf_timers *heap, struct wf_timer *t)
{
	struct wf_timer *rest = meld_siblings(t->child);
	t->child = NULL;
	if (t == heap->root) {
		heap->root = rest;
	} else {
		unlink_child(t);
		if (rest)
			heap->root = meld(heap->root, rest);
	}
	wf_u32_store(&heap->size, wf_u32_load(&heap->size) - 1);
	wf_store_release(&t->heap, 0); /* pairs with the acquire in wf_timer_disarm: from here on the timer is its owner's */
}

/* ---- the interface ------------------------------------------------------------------------------------------------- */

bool wf_timer_arm(struct wf_timers *heap, struct wf_timer *timer)
{
	timer->child = timer->next = timer->prev = NULL;
	wf_lock(&heap->lock);
	wf_store(&timer->heap, (uintptr_t)heap); /* relaxed: read again under the lock */
	wf_u32_store(&heap->size, wf_u32_load(&heap->size) + 1);
	heap->root = heap->root ? meld(heap->root, timer) : timer;
	bool earliest = heap->root == timer;
	if (earliest)
		publish_next_locked(heap);
	wf_unlock(&heap->lock);
	return earliest;
}

bool wf_timer_disarm(struct wf_timer *timer)
{
	struct wf_timers *heap = wf_load_ptr_acquire(&timer->heap); /* pairs with remove_locked; else decided under the lock */
	if (!heap)
		return false;
	wf_lock(&heap->lock);
	bool armed = wf_load_ptr(&timer->heap) == heap;
	if (armed) {
		bool earliest = heap->root == timer;
		remove_locked(heap, timer);
		if (earliest)
			publish_next_locked(heap);
	}
	wf_unlock(&heap->lock);
	return armed;
}

int wf_timers_run(struct wf_timers *heap, int64_t now)
{
	int fired = 0;
	while (wf_timers_next(heap) <= now) {
		wf_lock(&heap->lock);
		struct wf_timer *t = heap->root;
		if (!t || t->when > now) {
			wf_unlock(&heap->lock);
			break;
		}
		wf_timer_fn *fire = t->fire;
		void *owner = t->owner;
		uintptr_t arg = t->arg;
		remove_locked(heap, t); /* last: the owner may use it again at once */
		publish_next_locked(heap);
		wf_unlock(&heap->lock);
		fire(owner, arg);
		fired++;
	}
	return fired;
}

/* Without recursion: down to the first child, along siblings, and back up through prev. */
int wf_timers_check_locked(const struct wf_timers *heap)
{
	int count = 0;
	const struct wf_timer *t = heap->root;
	wf_check(wf_timers_next(heap) == (t ? t->when : WF_TIME_NEVER));
	while (t) {
		count++;
		wf_check(wf_load_ptr(&t->heap) == heap);
		wf_check(!t->next || (t->next->prev == t && t != heap->root));
		if (t->child) {
			wf_check(t->child->prev == t);
			for (const struct wf_timer *c = t->child; c; c = c->next)
				wf_check(c->when >= t->when);
			t = t->child;
			continue;
		}
		while (t && !t->next) {
			while (t->prev && t->prev->child != t)
				t = t->prev;
			t = t->prev;
		}
		if (t)
			t = t->next;
	}
	wf_check(wf_u32_load(&heap->size) == (unsigned)count);
	return count;
}
