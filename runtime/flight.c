/* Flights. Those under way are found by key in a trie over the bits of a hash: each is a node, so that nothing needs to grow, and a
 * place in it is found in as many steps as it takes to tell the hashes apart.
 *
 * A flight belongs to its pilot, the one who runs its function; nobody else frees it. Followers wait in its queue, and are claimed
 * under the lock of the group when it is back; they get result and value between claim and wake, and do not come back. If the pilot
 * was cancelled, the first follower is the pilot from then on.
 *
 * The last touch of the group is the unlock after a flight was taken out of it: whoever comes back may free the group. */
#include <weft/flight.h>

#include <stdlib.h>
#include <string.h>

#include "sync.h"

enum { LANDED, YOUR_TURN };

struct flight {
	struct flight *child[2];
	uint64_t hash;
	bool forgotten; /* not in the trie */
	size_t size;
	struct weft_flights *group;
	uint64_t pilot; /* its coroutine; 0: a plain thread */
	struct wf_waitq followers;
	char key[];
};

struct follower {
	struct wf_waiter waiter;
	void *value;
	int result;
};

struct weft_flights {
	struct wf_lock lock;
	struct flight *root;
	size_t count; /* under way, forgotten ones too */
	size_t value_size;
	void (*share)(void *value);
	uint64_t seed;
};

int weft_flights_create(struct weft_flights **flights, size_t value_size, void (*share)(void *value))
{
	struct weft_flights *g = flights ? calloc(1, sizeof *g) : NULL;
	if (!g)
		return flights ? -ENOMEM : -EINVAL;
	g->value_size = value_size;
	g->share = share;
	g->seed = (uint64_t)wf_os_now() ^ (uintptr_t)g;
	*flights = g;
	return 0;
}

int weft_flights_destroy(struct weft_flights *g)
{
	if (!g)
		return 0;
	struct wf_worker *w = wf_enter_here();
	wf_lock(&g->lock);
	bool busy = g->count > 0;
	wf_unlock(&g->lock);
	if (!busy)
		free(g);
	wf_leave(w);
	return busy ? -EBUSY : 0;
}

/* ---- the trie ------------------------------------------------------------------------------------------------------------ */

static uint64_t hash_of(const struct weft_flights *g, const void *key, size_t size)
{
	const unsigned char *bytes = key;
	uint64_t h = g->seed;
	for (size_t i = 0; i < size; i++) {
		h = (h ^ bytes[i]) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	return h;
}

/* Where the flight with this key is, or would be: a link that is NULL then. */
static struct flight **place_locked(struct weft_flights *g, uint64_t hash, const void *key, size_t size)
{
	struct flight **at = &g->root;
	for (uint64_t bits = hash; *at; bits >>= 1) {
		const struct flight *f = *at;
		if (f->hash == hash && f->size == size && (size == 0 || memcmp(f->key, key, size) == 0))
			break;
		at = &(*at)->child[bits & 1];
	}
	return at;
}

/* Any leaf below it can take its place: whatever is below shares the bits that lead here. */
static void remove_locked(struct flight **at)
{
	struct flight *f = *at, **down = at;
	while ((*down)->child[0] || (*down)->child[1])
		down = &(*down)->child[(*down)->child[0] == NULL];
	struct flight *leaf = *down;
	*down = NULL;
	if (leaf == f)
		return;
	leaf->child[0] = f->child[0];
	leaf->child[1] = f->child[1];
	*at = leaf;
}

static void forget_locked(struct weft_flights *g, struct flight *f)
{
	if (!f->forgotten)
		remove_locked(place_locked(g, f->hash, f->key, f->size));
	f->forgotten = true;
}

/* ---- flying -------------------------------------------------------------------------------------------------------------- */

/* Gives the flight to the first who waits. False: nobody does. */
static bool hand_on_locked(struct flight *f, struct wf_list *woken)
{
	struct wf_waiter *waiter;
	if (!wf_waitq_claim(&f->followers, YOUR_TURN, &waiter))
		return false;
	f->pilot = waiter->wait->co ? waiter->wait->co->id : 0;
	wf_list_push(woken, &waiter->link);
	return true;
}

/* Outside, for share is the user's. */
static void give(struct wf_list *landed, int result, const void *value, size_t value_size, void (*share)(void *value))
{
	for (struct wf_link *l = wf_list_first(landed); l && l != &landed->head; l = l->next) {
		struct follower *follower = wf_container_of(l, struct follower, waiter.link);
		follower->result = result;
		if (result < 0 || value_size == 0)
			continue;
		memcpy(follower->value, value, value_size);
		if (share)
			share(follower->value);
	}
}

/* It is back, or its pilot was cancelled: then whoever waits goes on without it. */
static void land(struct flight *f, bool failed, int result, const void *value)
{
	struct wf_worker *w = wf_enter_here();
	struct weft_flights *g = f->group;
	struct wf_list woken = {0};
	struct wf_waiter *waiter;
	size_t value_size = g->value_size;
	void (*share)(void *) = g->share;
	wf_lock(&g->lock);
	bool goes_on = failed && hand_on_locked(f, &woken);
	if (!goes_on) {
		forget_locked(g, f);
		g->count--;
		while (wf_waitq_claim(&f->followers, LANDED, &waiter))
			wf_list_push(&woken, &waiter->link);
	}
	wf_unlock(&g->lock);
	wf_leave(w);
	if (!goes_on) {
		give(&woken, result, value, value_size, share);
		free(f);
	}
	w = wf_enter_here();
	wf_wake_all(w, &woken);
	wf_leave(w);
}

/* By weft_exit out of the function. */
static void abandon(void *flight)
{
	land(flight, true, -ECANCELED, NULL);
}

/* Has the flight landed if fn never returns. NULL: a plain thread, or no memory. */
static struct wf_defer *guard(struct flight *f, struct wf_defer *d)
{
	struct wf_worker *w = wf_worker_self();
	if (!w) {
		free(d);
		return NULL;
	}
	*d = (struct wf_defer){w->co->defers, abandon, f};
	w->co->defers = d;
	return d;
}

/* fn may have deferred calls of its own, which stay. */
static void unguard(struct wf_defer *d)
{
	if (!d)
		return;
	struct wf_defer **at = &wf_worker_self()->co->defers;
	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	free(d);
}

static int fly(struct flight *f, struct wf_defer *d, weft_flight_fn *fn, void *arg, void *value)
{
	d = guard(f, d);
	int result = fn(arg, value);
	unguard(d);
	land(f, result < 0 && wf_cancelled(wf_worker_self()) != 0, result, value);
	return result;
}

/* Entered with the lock held, left without. YOUR_TURN, or *result is the one to share. */
static int follow_locked(struct wf_worker **w, struct flight *f, void *value, int *result)
{
	struct weft_flights *g = f->group;
	struct follower follower = {.value = value};
	if (*w && f->pilot == (*w)->co->id) {
		wf_unlock(&g->lock);
		return -EDEADLK;
	}
	int waited = wf_wait_locked(w, &g->lock, &f->followers, &follower.waiter, WF_WHY_FLIGHT, f, WEFT_NEVER, WF_CANCELLABLE);
	*result = follower.result;
	return waited;
}

/* Joins the flight with the key of `own`, or makes that the flight. *f is the one that is the caller's turn. */
static int board(struct flight *own, struct flight **f, void *value, int *result)
{
	struct wf_worker *w = wf_enter();
	struct weft_flights *g = own->group;
	wf_charge(&w, WF_COST_CALL);
	int turn = wf_cancelled(w);
	if (turn == 0) {
		wf_lock(&g->lock);
		struct flight **at = place_locked(g, own->hash, own->key, own->size);
		if (*at) {
			*f = *at;
			turn = follow_locked(&w, *f, value, result);
		} else {
			own->pilot = w ? w->co->id : 0;
			*at = *f = own;
			g->count++;
			wf_unlock(&g->lock);
			turn = YOUR_TURN;
		}
	}
	wf_leave(w);
	return turn;
}

static struct flight *new_flight(struct weft_flights *g, const void *key, size_t size)
{
	struct flight *f = size < PTRDIFF_MAX - sizeof *f ? malloc(sizeof *f + size) : NULL;
	if (!f)
		return NULL;
	*f = (struct flight){.hash = hash_of(g, key, size), .size = size, .group = g};
	if (size > 0)
		memcpy(f->key, key, size);
	return f;
}

int weft_flight(struct weft_flights *g, const void *key, size_t size, weft_flight_fn *fn, void *arg, void *value)
{
	if (!g || !fn || (!key && size > 0) || (!value && g->value_size > 0))
		return -EINVAL;
	struct flight *own = new_flight(g, key, size), *f = NULL;
	struct wf_defer *d = malloc(sizeof *d);
	int result = -ENOMEM;
	if (own && d) {
		int turn = board(own, &f, value, &result);
		if (turn == YOUR_TURN) {
			if (f != own)
				free(own);
			return fly(f, d, fn, arg, value);
		}
		if (turn < 0)
			result = turn;
	}
	free(own);
	free(d);
	return result;
}

int weft_flight_forget(struct weft_flights *g, const void *key, size_t size)
{
	if (!g || (!key && size > 0))
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	wf_lock(&g->lock);
	struct flight *f = *place_locked(g, hash_of(g, key, size), key, size);
	if (f)
		forget_locked(g, f);
	wf_unlock(&g->lock);
	wf_leave(w);
	return f != NULL;
}
