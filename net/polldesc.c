/* Descriptors: the table, turns, edges, deadlines, closing.
 *
 * Everything about one descriptor happens under its lock, which is held for a few dozen instructions; system calls and wakes come
 * after. So each protocol is short:
 *
 *   Event against park. No edge is lost:
 *   who has the turn                                  the poller (wf_desc_events)
 *   1 lock; ready? clear it, unlock, go to 3          1 the kernel reports an edge
 *   2 not ready: queue in parked, unlock, park        2 lock; same seq?
 *   3 system call; -EAGAIN? go to 1                   3 somebody with the turn in parked: claim, the edge is theirs;
 *                                                       else set ready
 *   An edge before 1 is found there; one between 1 and the system call is seen by the call, and costs one -EAGAIN later. A short
 *   read on TCP counts as the -EAGAIN, unless an end, an error or urgent data was ever seen: these make reads short as well, and
 *   may have come in an edge that is consumed already.
 *
 *   Deadline against park. Timers are hints; only the side's deadline decides:
 *   waiter                                            set_deadline, or the timer (due)
 *   1 lock; past? leave with -ETIMEDOUT               1 lock; (store the deadline)
 *   2 queue; have a timer armed for it or earlier     2 past: claim everybody on this side
 *   3 unlock, park                                    3 not past, somebody waits: have a timer armed for it or earlier
 *   A timer that fires early arms itself again (3); so a deadline that is moved away, as most are, touches no heap. One that fires
 *   late, even for another file under this number, looks at the same deadline and finds nothing to do.
 *
 *   Close against use. A number is not free while somebody is inside:
 *   user                                              closer
 *   1 lock; open? users + 1, remember seq             1 lock; open? CLOSING; claim everybody on both sides with -EBADF
 *   2 system calls, parks (each checks for open)      2 no users: forget the number, unlock, close it
 *   3 lock; users - 1; CLOSING and the last:
 *     forget the number, unlock, close it
 *   A number that comes back from the kernel while it is known was closed behind weft's back: the new file gets the next seq, and
 *   users and events with the old one leave without touching it.
 *
 *   Starving against close(2). wf_turn_starve and wf_announce_close name their steps.
 *
 * Order of locks: starving, descriptor, timer heap. */
#include "polldesc.h"

#include <errno.h>
#include <stdlib.h>

#include "../arch/arch.h"
#include "../runtime/netpoll.h"
#include "../runtime/os_net.h"
#include "../runtime/sched.h"
#include "turn.h"

/* ---- the table ------------------------------------------------------------------------------------------------------ */

wf_word wf_desc_chunks[WF_CHUNKS]; /* struct wf_desc * */

static wf_u32 known; /* descriptors that are not UNKNOWN */

static size_t chunk_bytes(int chunk)
{
	return (size_t)(chunk == 0 ? WF_FIRST_CHUNK : wf_chunk_first(chunk)) * sizeof(struct wf_desc);
}

static struct wf_desc *find_or_make(int fd)
{
	int chunk = wf_chunk_of(fd);
	if (wf_unlikely(!wf_load_ptr_acquire(&wf_desc_chunks[chunk]))) {
		void *descs = wf_os_reserve(chunk_bytes(chunk));
		if (!descs)
			return NULL;
		if (!wf_cas_release(&wf_desc_chunks[chunk], 0, (uintptr_t)descs)) /* pairs with the acquire in wf_desc_find */
			wf_os_unreserve(descs, chunk_bytes(chunk));
	}
	return wf_desc_find(fd);
}

int wf_netpoll_fd_of(uintptr_t object)
{
	for (int chunk = 0; chunk < WF_CHUNKS; chunk++) {
		uintptr_t descs = wf_load_acquire(&wf_desc_chunks[chunk]); /* pairs with find_or_make */
		if (descs && object >= descs && object - descs < chunk_bytes(chunk))
			return wf_chunk_first(chunk) + (int)((object - descs) / sizeof(struct wf_desc));
	}
	return -1;
}

unsigned wf_desc_count(void)
{
	return wf_u32_load(&known); /* relaxed: a sleeper looks again when the poller is broken or an event comes */
}

bool wf_netpoll_active(void)
{
	return wf_desc_count() != 0;
}

/* ---- who waits ------------------------------------------------------------------------------------------------------ */

void wf_claim_all(struct wf_waitq *queue, int result, struct wf_list *woken)
{
	struct wf_waiter *waiter;
	while (wf_unlikely(!wf_waitq_empty(queue)) && wf_waitq_claim(queue, result, &waiter))
		wf_list_push(woken, &waiter->link);
}

static void claim_side(struct wf_side *side, int result, struct wf_list *woken)
{
	wf_claim_all(&side->parked, result, woken);
	wf_claim_all(&side->turns, result, woken);
}

static void evict_locked(struct wf_desc *d, struct wf_list *woken)
{
	claim_side(&d->sides[WF_READ], -EBADF, woken);
	claim_side(&d->sides[WF_WRITE], -EBADF, woken);
}

static void edge_locked(struct wf_side *side, struct wf_list *woken)
{
	struct wf_waiter *waiter;
	bool taken = false;
	while (!wf_waitq_empty(&side->parked) && wf_waitq_claim(&side->parked, 0, &waiter)) {
		taken = taken || waiter->index == WF_AT_WORK;
		wf_list_push(woken, &waiter->link);
	}
	if (!taken)
		side->ready = true;
}

static void handle_event(const struct wf_event *event, struct wf_list *woken)
{
	struct wf_desc *d = wf_desc_find(event->fd);
	if (wf_unlikely(!d))
		return;
	wf_lock(&d->lock);
	if (wf_likely(d->seq == event->seq && d->state == WF_DESC_OPEN)) {
		d->edges++;
		d->ending = d->ending || event->ending;
		if (event->dirs & WEFT_READ)
			edge_locked(&d->sides[WF_READ], woken);
		if (event->dirs & WEFT_WRITE)
			edge_locked(&d->sides[WF_WRITE], woken);
	}
	wf_unlock(&d->lock);
}

/* Of whatever is there, or nothing. */
static void fetch(uintptr_t from, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += WF_CACHE_LINE)
		wf_cpu_prefetch((const void *)(from + at));
}

/* With thousands of connections nothing about the next event is in a cache. What all of them will touch is fetched together, in
 * three steps, as each shows where the next one is: descriptor, coroutine, stack. Hints: it can be about somebody else by now. */
static void fetch_all(const struct wf_event *events, int n)
{
	enum { FRAMES = 512 }; /* of a read that is parked, up to its caller's buffer */
	struct weft_co *co[WF_EVENTS_MAX] = { 0 };
	for (int i = 0; i < n; i++)
		fetch((uintptr_t)wf_desc_find(events[i].fd), offsetof(struct wf_desc, timers));
	for (int i = 0; i < n; i++) {
		const struct wf_desc *d = wf_desc_find(events[i].fd);
		/* Memory that stays; acquire, with the release in turn.c: it was zeroed before. */
		if (!d || !(co[i] = wf_load_ptr_acquire(&d->visitor)))
			continue;
		fetch((uintptr_t)&co[i]->sp, sizeof co[i]->sp);
		fetch((uintptr_t)&co[i]->wait.claim, sizeof co[i]->wait.claim);
	}
	for (int i = 0; i < n; i++)
		if (co[i])
			fetch(wf_load(&co[i]->sp), FRAMES); /* relaxed: a hint; no address while it runs, or has not begun */
}

int wf_desc_events(struct wf_worker *w, const struct wf_event *events, int n)
{
	struct wf_list woken = { 0 };
	int count = 0;
	if (n > 1)
		fetch_all(events, n);
	for (int i = 0; i < n; i++)
		handle_event(&events[i], &woken);
	for (struct wf_link *l = wf_list_first(&woken); l && l != &woken.head; l = l->next)
		count++;
	wf_wake_all(w, &woken);
	return count;
}

/* ---- deadlines ------------------------------------------------------------------------------------------------------ */

static bool somebody_waits(const struct wf_side *side)
{
	return !wf_waitq_empty(&side->parked) || !wf_waitq_empty(&side->turns);
}

static void due(void *owner, uintptr_t dir);

bool wf_desc_arm_timer_locked(struct wf_worker *w, struct wf_desc *d, enum wf_dir dir)
{
	struct wf_timer *timer = &d->timers[dir];
	int64_t deadline = d->sides[dir].deadline;
	/* It becomes armed only under our lock; 0: its firing is done with it (pairs with the release in timer.c). */
	if (wf_load_acquire(&timer->heap) != 0) {
		if (timer->when <= deadline)
			return false;
		wf_timer_disarm(timer);
	}
	timer->when = deadline;
	timer->fire = due;
	timer->owner = d;
	timer->arg = dir;
	return wf_timer_arm(wf_timers_here(w), timer);
}

static void due(void *owner, uintptr_t dir)
{
	struct wf_desc *d = owner;
	struct wf_side *side = &d->sides[dir];
	struct wf_worker *w = wf_waker_self();
	struct wf_list woken = { 0 };
	bool sooner = false;
	wf_lock(&d->lock);
	if (d->state == WF_DESC_OPEN && somebody_waits(side)) {
		if (wf_is_past(side->deadline))
			claim_side(side, -ETIMEDOUT, &woken);
		else
			sooner = wf_desc_arm_locked(w, d, (enum wf_dir)dir);
	}
	int64_t when = side->deadline;
	wf_unlock(&d->lock);
	wf_wake_all(w, &woken);
	if (sooner)
		wf_timer_armed(w, when);
}

int wf_desc_set_deadline(struct wf_worker *w, int fd, unsigned dirs, int64_t deadline)
{
	struct wf_desc *d = wf_desc_find(fd);
	if (!d)
		return -EBADF;
	struct wf_list woken = { 0 };
	bool past = wf_is_past(deadline), sooner = false;
	wf_lock(&d->lock);
	bool open = d->state == WF_DESC_OPEN;
	for (int dir = WF_READ; open && dir <= WF_WRITE; dir++) {
		struct wf_side *side = &d->sides[dir];
		if (!(dirs & 1u << dir))
			continue;
		side->deadline = deadline;
		if (past)
			claim_side(side, -ETIMEDOUT, &woken);
		else if (somebody_waits(side))
			sooner = wf_desc_arm_locked(w, d, (enum wf_dir)dir) || sooner;
	}
	wf_unlock(&d->lock);
	wf_wake_all(w, &woken);
	if (sooner)
		wf_timer_armed(w, deadline);
	return open ? 0 : -EBADF;
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

struct wf_remains wf_desc_forget_locked(struct wf_desc *d, int fd)
{
	struct wf_remains remains = { fd, d->kind, d->name };
	d->state = WF_DESC_UNKNOWN;
	d->seq++;
	d->users = 0;
	d->name = NULL;
	wf_timer_disarm(&d->timers[WF_READ]);
	wf_timer_disarm(&d->timers[WF_WRITE]);
	wf_u32_add(&known, -1);
	return remains;
}

static void remove_name(struct wf_name *name)
{
	struct stat st;
	if (wf_os_path_stat(name->path, &st) == 0 && (uint64_t)st.st_dev == name->device && st.st_ino == name->inode)
		wf_os_unlink(name->path);
	free(name);
}

static void give_back(const struct wf_remains *remains)
{
	wf_netpoll_remove(remains->fd);
	if (remains->kind & WF_DESC_RESTORE)
		wf_os_set_nonblocking(remains->fd, false);
}

void wf_desc_bury(const struct wf_remains *remains)
{
	if (remains->name)
		remove_name(remains->name); /* before the close: until then nobody replaces it */
	if (remains->kind & WF_DESC_ADOPTED)
		give_back(remains); /* others may share the file: neither its events nor the flag end with this number */
	wf_os_close(remains->fd);
	wf_announce_close();
}

static unsigned reset_locked(struct wf_desc *d, unsigned kind, bool watch, struct wf_name *name)
{
	for (int dir = WF_READ; dir <= WF_WRITE; dir++) {
		struct wf_side *side = &d->sides[dir];
		side->deadline = WF_TIME_NEVER;
		side->error = 0;
		side->ready = true;
		side->busy = false;
		wf_u8_store(&side->pauses, 0);
	}
	d->state = WF_DESC_OPEN;
	d->kind = (unsigned char)kind;
	d->registered = watch;
	d->ending = false;
	d->users = 0;
	d->name = name;
	return ++d->seq;
}

int wf_desc_create(struct wf_worker *w, int fd, unsigned kind, bool watch, struct wf_name *name)
{
	struct wf_list woken = { 0 };
	struct wf_name *stale = NULL;
	struct wf_desc *d = find_or_make(fd);
	if (!d)
		return -ENOMEM;
	wf_lock(&d->lock);
	if (wf_unlikely(d->state != WF_DESC_UNKNOWN)) {
		if ((kind & WF_DESC_ADOPTED) && d->state != WF_DESC_OPEN) {
			wf_unlock(&d->lock); /* nobody closed it yet, weft is about to */
			return -EBADF;
		}
		evict_locked(d, &woken);
		stale = wf_desc_forget_locked(d, fd).name;
	}
	unsigned seq = reset_locked(d, kind, watch, name);
	wf_u32_add(&known, 1);
	wf_unlock(&d->lock);
	wf_wake_all(w, &woken);
	free(stale);
	int r = watch ? wf_netpoll_add(fd, seq) : 0;
	if (wf_likely(r == 0))
		return 0;
	wf_lock(&d->lock);
	if (d->seq == seq) {
		evict_locked(d, &woken);
		wf_desc_forget_locked(d, fd);
	}
	wf_unlock(&d->lock);
	wf_wake_all(w, &woken);
	return r;
}

int wf_desc_close(struct wf_worker *w, int fd)
{
	struct wf_desc *d = wf_desc_find(fd);
	struct wf_list woken = { 0 };
	struct wf_remains remains = { .fd = -1 };
	bool open = false;
	if (d) {
		wf_lock(&d->lock);
		open = d->state == WF_DESC_OPEN;
		if (open) {
			d->state = WF_DESC_CLOSING;
			evict_locked(d, &woken);
			if (d->users == 0)
				remains = wf_desc_forget_locked(d, fd);
		}
		wf_unlock(&d->lock);
	}
	wf_wake_all(w, &woken);
	wf_leave(w);
	if (remains.fd >= 0)
		wf_desc_bury(&remains);
	return open ? 0 : -EBADF;
}

/* Waits until the last user of a RELEASING descriptor has woken us. False: the number was taken over meanwhile. Entered with the
 * lock, left with it. */
static bool await_users_locked(struct wf_worker **w, struct wf_desc *d, struct wf_list *woken)
{
	struct wf_waiter waiter;
	unsigned seq = d->seq;
	struct wf_wait *wait = d->users > 0 ? wf_wait_begin(*w, WF_WHY_FD, d) : NULL;
	if (wait)
		wf_waitq_push(&d->sides[WF_READ].parked, &waiter, wait);
	wf_unlock(&d->lock);
	wf_wake_all(*w, woken);
	if (wait)
		(void)wf_park(w, wait, WF_TIME_NEVER, WF_PLAIN);
	wf_lock(&d->lock);
	return d->seq == seq;
}

int wf_desc_release(struct wf_worker *w, int fd)
{
	struct wf_desc *d = wf_desc_find(fd);
	struct wf_list woken = { 0 };
	bool mine = false;
	if (d) {
		wf_lock(&d->lock);
		if (d->state == WF_DESC_OPEN) {
			d->state = WF_DESC_RELEASING;
			evict_locked(d, &woken);
			mine = await_users_locked(&w, d, &woken);
		}
		struct wf_remains remains = { fd, d->kind, NULL };
		wf_unlock(&d->lock);
		if (mine) {
			give_back(&remains);
			wf_lock(&d->lock);
			remains = wf_desc_forget_locked(d, fd);
			wf_unlock(&d->lock);
			free(remains.name);
		}
	}
	wf_leave(w);
	return mine ? fd : -EBADF;
}

/* ---- the end of the runtime ----------------------------------------------------------------------------------------- */

void wf_desc_forget_all(void)
{
	for (int chunk = 0; chunk < WF_CHUNKS; chunk++) {
		struct wf_desc *descs = wf_load_ptr(&wf_desc_chunks[chunk]); /* relaxed: nobody else is left */
		size_t n = chunk_bytes(chunk) / sizeof *descs;
		if (!descs)
			continue;
		for (size_t i = 0; wf_desc_count() > 0 && i < n; i++) {
			if (descs[i].state == WF_DESC_UNKNOWN)
				continue;
			struct wf_remains remains = wf_desc_forget_locked(&descs[i], wf_chunk_first(chunk) + (int)i);
			give_back(&remains);
			free(remains.name);
		}
		wf_store(&wf_desc_chunks[chunk], 0);
		wf_os_unreserve(descs, chunk_bytes(chunk));
	}
}
