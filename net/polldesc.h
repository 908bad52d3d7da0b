/* Rank 6. What weft knows about a descriptor.
 *
 *   a *side*   reading or writing. One coroutine at a time is at work on it: it *has the turn*; others queue for it (turn.h).
 *   an *edge*  the poller's word that a side may have become ready. It is kept (ready) or goes to whoever has the turn and waits.
 *   a *user*   a coroutine or thread between entering and leaving a descriptor; the last one out of a closed one closes the number.
 *
 * polldesc.c has the protocols. Functions with _locked: the descriptor's lock is held. */
#ifndef WF_POLLDESC_H
#define WF_POLLDESC_H

#include <weft/net.h>

#include "../runtime/list.h"
#include "../runtime/lock.h"
#include "../runtime/os.h"
#include "../runtime/park.h"
#include "../runtime/timer.h"

enum wf_dir { WF_READ, WF_WRITE }; /* bit 1u << dir is WEFT_READ, WEFT_WRITE */

/* What kind of descriptor it is; fixed but for BLOCKS and RESTORE. */
enum wf_desc_kind {
	WF_DESC_SOCKET = 1,
	WF_DESC_TCP = 2,
	WF_DESC_MESSAGES = 4, /* keeps the bounds of messages: nothing is split, and an empty one means something */
	WF_DESC_BLOCKS = 8,   /* O_NONBLOCK is not set */
	WF_DESC_RESTORE = 16, /* and was not when weft_adopt got it, but is now */
	WF_DESC_NODELAY = 32, /* has TCP_NODELAY, and so has what it accepts */
	WF_DESC_ADOPTED = 64,
	WF_DESC_FILE = 128,   /* no poller tells about it: it is always ready, and may take long (file.h) */
};

enum wf_desc_state {
	WF_DESC_UNKNOWN,   /* the number is not weft's */
	WF_DESC_OPEN,
	WF_DESC_CLOSING,   /* closed, with users inside: the last one out closes the number */
	WF_DESC_RELEASING, /* to be released: the last one out wakes the releaser */
};

/* Who parks (wf_waiter.index), and so where: the first two in parked, the others in turns. */
enum wf_role {
	WF_AT_WORK,  /* has the turn: the edge is for it */
	WF_WATCHING, /* looks on */
	WF_QUEUED,   /* wants the turn */
	WF_PAUSING,  /* has the turn, and waits for something that shows no edge */
};

struct wf_side {
	struct wf_waitq parked; /* until an edge */
	struct wf_waitq turns;  /* until it is their turn, first come first served; until a pause is over */
	int64_t deadline;       /* WF_TIME_NEVER: none */
	int error;              /* of a transfer that was stopped midway: for the next call */
	bool ready;             /* there may be something, so a try is worth it; cleared before the try */
	bool busy;              /* somebody has the turn */
	wf_u8 pauses;           /* of starving in a row; whoever has the turn writes it */
};

/* A unix socket's file, and which one it was when it was made. */
struct wf_name {
	uint64_t device, inode;
	char path[];
};

/* Lives in a table by number, is never given back while the runtime runs, and starts as zeroes. All of it is guarded by the lock,
 * but for visitor and the timers' insides. */
struct wf_desc {
	struct wf_lock lock;
	unsigned seq;        /* which of the files that had this number */
	unsigned edges;      /* events seen */
	unsigned users;
	unsigned char state; /* enum wf_desc_state */
	unsigned char kind;  /* enum wf_desc_kind, or-ed */
	bool registered;     /* the poller knows it */
	bool ending;         /* an end, an error or urgent data was seen: short reads don't mean "empty" any more */
	wf_word visitor;     /* the coroutine that parked here last; to be fetched into caches, and for nothing else */
	struct wf_name *name; /* malloc'ed, or NULL: removed when the socket is closed */
	struct wf_side sides[2];
	struct wf_timer timers[2]; /* of the deadlines, armed only when somebody waits; may fire early or for nobody */
} WF_ALIGNED(WF_CACHE_LINE);

/* The kind of a socket with these arguments of socket(2) (sock.c). */
unsigned wf_socket_kind(int domain, int type, int protocol);

/* ---- life ----------------------------------------------------------------------------------------------------------- */

/* Makes fd known. A number that is known still was closed behind weft's back: whoever is inside gets -EBADF. watch: tell the poller
 * now, else when somebody waits. name (or NULL) is taken over on success. -ENOMEM, and as epoll_ctl(2); fd stays open then. */
int wf_desc_create(struct wf_worker *w, int fd, unsigned kind, bool watch, struct wf_name *name);

/* Bodies of weft_close, weft_release and weft_set_deadline; the first two leave the gate. */
int wf_desc_close(struct wf_worker *w, int fd);
int wf_desc_release(struct wf_worker *w, int fd);
int wf_desc_set_deadline(struct wf_worker *w, int fd, unsigned dirs, int64_t deadline);

/* Descriptors known. */
unsigned wf_desc_count(void);

/* No coroutine is left: forgets all descriptors, which stay open, and frees the table. */
void wf_desc_forget_all(void);

/* ---- for turn.c ----------------------------------------------------------------------------------------------------- */

/* The table. Chunk 0 has the numbers 0..63, chunk k > 0 the 64 << (k - 1) numbers from there on: 26 chunks hold every number there
 * can be. They are reserved when first needed and take memory only for numbers that were used. */
enum { WF_FIRST_CHUNK = 64, WF_CHUNKS = 26 };
extern wf_word wf_desc_chunks[WF_CHUNKS];

static inline int wf_chunk_of(int fd)
{
	return fd < WF_FIRST_CHUNK ? 0 : 26 - __builtin_clz((unsigned)fd);
}

static inline int wf_chunk_first(int chunk)
{
	return chunk == 0 ? 0 : WF_FIRST_CHUNK << (chunk - 1);
}

/* NULL: was never known. A descriptor that is found need not be open. */
static inline struct wf_desc *wf_desc_find(int fd)
{
	if (wf_unlikely(fd < 0))
		return NULL;
	int chunk = wf_chunk_of(fd);
	struct wf_desc *descs = wf_load_ptr_acquire(&wf_desc_chunks[chunk]); /* pairs with find_or_make */
	return wf_likely(descs != NULL) ? &descs[fd - wf_chunk_first(chunk)] : NULL;
}

static inline bool wf_is_past(int64_t deadline)
{
	return wf_unlikely(deadline != WF_TIME_NEVER) && deadline <= wf_os_now();
}

/* Sees to it that the side's timer fires at its deadline, which is not NEVER, or before. True: the caller passes the deadline on to
 * wf_timer_armed, without the lock. */
bool wf_desc_arm_timer_locked(struct wf_worker *w, struct wf_desc *d, enum wf_dir dir);

static inline bool wf_desc_arm_locked(struct wf_worker *w, struct wf_desc *d, enum wf_dir dir)
{
	return wf_unlikely(d->sides[dir].deadline != WF_TIME_NEVER) && wf_desc_arm_timer_locked(w, d, dir);
}

/* What is left of a descriptor that was forgotten; fd -1: nothing. */
struct wf_remains {
	int fd;
	unsigned kind;
	struct wf_name *name;
};

/* Forgets a descriptor without users; wf_desc_bury then closes the number, without locks and outside the gate. */
struct wf_remains wf_desc_forget_locked(struct wf_desc *d, int fd);
void wf_desc_bury(const struct wf_remains *remains);

/* Claims everybody in a queue, with this result, for wf_wake_all. */
void wf_claim_all(struct wf_waitq *queue, int result, struct wf_list *woken);

/* ---- the poller's side (netpoll_*.c) -------------------------------------------------------------------------------- */

/* Tells the poller about fd, both directions, edges only; an edge comes for what is ready already. What it was told about the same
 * file under this number before is replaced. As epoll_ctl(2). */
int wf_netpoll_add(int fd, unsigned seq);
void wf_netpoll_remove(int fd);

/* How many events one look at the kernel brings at most: enough to pay for the call, few enough that what they need for their turn
 * is still in a cache when they have it. */
enum { WF_EVENTS_MAX = 32 };

struct wf_event {
	int fd;
	unsigned seq;
	unsigned dirs; /* the sides that may be ready */
	bool ending;   /* it was one of those after which short reads mean nothing */
};

/* What one look has brought, n <= WF_EVENTS_MAX. Wakes (with w) whoever waits for it, in that order; returns how many. */
int wf_desc_events(struct wf_worker *w, const struct wf_event *events, int n);

#endif
