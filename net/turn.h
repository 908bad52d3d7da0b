/* Rank 6. Being at work on a descriptor. A call on one side looks like this (io.c has the real ones):
 *
 *     struct wf_turn turn;
 *     int r = wf_turn_take(&turn, fd, WF_READ, WF_WHY_READ, 0);      enters the gate; may park
 *     if (r < 0)
 *         return r;                                                 nothing to leave
 *     while ((r = try(turn.fd)) == -EAGAIN && (r = wf_turn_wait(&turn)) == 0)
 *         ;
 *     wf_turn_end(&turn, ...);                                      leaves the gate
 *
 * After each call that parks, turn.w is another worker. */
#ifndef WF_TURN_H
#define WF_TURN_H

#include "polldesc.h"

struct wf_turn {
	struct wf_worker *w;
	struct wf_desc *desc;
	int fd;
	unsigned seq;
	unsigned kind;
	enum wf_dir dir;
	enum wf_reason why;
	bool nowait;
};

enum wf_turn_flags {
	WF_TURN_NOWAIT = 1, /* -EAGAIN instead of waiting */
	WF_TURN_TRY = 2,    /* try, whether an edge came or not */
};

/* Enters fd, gets the turn on one side, and waits until a try is worth it. -EBADF, -ETIMEDOUT, -ECANCELED, -EAGAIN, or the error
 * left by the last call: the caller is out again then. Parks. */
int wf_turn_take(struct wf_turn *turn, int fd, enum wf_dir dir, enum wf_reason why, unsigned flags);

/* After a try gave -EAGAIN: waits until another one is worth it. The same errors; the turn is kept. */
int wf_turn_wait(struct wf_turn *turn);

/* Whether the descriptor is still the same file, and the deadlines of these directions have not passed: 0, -EBADF, -ETIMEDOUT. */
int wf_turn_check_locked(const struct wf_turn *turn, unsigned dirs);

/* The same for the direction of the turn, without the lock: to see a deadline or a close where nothing has to be waited for. */
int wf_turn_check(struct wf_turn *turn);

/* Tells the poller about a descriptor that it did not have to know until now. Two may do so at once. Without the lock. As
 * epoll_ctl(2). */
int wf_turn_register(struct wf_turn *turn);

/* Where no edge will come: waits ns nanoseconds. 0, or errors as above. */
int wf_turn_pause(struct wf_turn *turn, int64_t ns);

/* The same for a pause that grows from call to call, 0 at first; -EAGAIN with WF_TURN_NOWAIT. */
int wf_turn_back_off(struct wf_turn *turn, int *pause_ms);

/* When descriptors or memory have run out: waits until weft has closed a descriptor, but not longer than a pause which doubles
 * each time (wf_turn_fed: from 5 ms again). closed: wf_closed_count() before the try that failed. 0: one was closed, -EAGAIN: the
 * pause is over, or errors as above. */
int wf_turn_starve(struct wf_turn *turn, uintptr_t closed);
void wf_turn_fed(struct wf_turn *turn);
uintptr_t wf_closed_count(void);
void wf_announce_close(void); /* outside the gate */

/* Sets the side's deadline for whoever has the turn. */
void wf_turn_set_deadline(struct wf_turn *turn, int64_t deadline);

/* Sets O_NONBLOCK on a socket that came without it, until it is released: for calls that can't be told otherwise. */
int wf_turn_unblock(struct wf_turn *turn);

/* Gives the turn to the next in the queue and leaves. drained: nothing is left, as far as the last try could see; error: what the
 * next call is to return, 0 for nothing. */
void wf_turn_end(struct wf_turn *turn, bool drained, int error);

/* Enters fd without a turn: turn->fd stays the same file until wf_desc_leave. Takes over the worker and the gate. -EBADF: the gate
 * is left already. */
int wf_desc_enter(struct wf_turn *turn, struct wf_worker *w, int fd);
void wf_desc_leave(struct wf_turn *turn);

/* The directions in which fd is ready now, as poll(2) sees it, or an error. Any fd. */
int wf_poll_now(int fd, unsigned dirs);

/* Having entered: waits until one of the directions is ready. Which ones, -EAGAIN (WEFT_NOW), or errors as above. */
int wf_desc_watch(struct wf_turn *turn, unsigned dirs, int64_t deadline);

#endif
