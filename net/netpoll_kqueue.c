/* The poller on the BSDs and macOS: one kqueue, every descriptor in it once, with a filter for each direction, edge-triggered
 * (EV_CLEAR).
 *
 * An event carries the seq of its descriptor; polldesc.c drops those of files that are gone. Filters belong to a number, not to
 * the file behind it: close(2) takes them away, and what comes from elsewhere under a number starts without any.
 *
 * The end of reading wakes the writer as well: some systems tell the writing end of a pipe in that way alone. Where no event tells
 * of urgent data, any may have come with some.
 *
 * Changes are not kept until the next wait, though kevent(2) could take them there: their errors are due at once, and a poll may
 * be blocked already. Both filters of a descriptor go in one call.
 *
 * Break: a user event, and a flag, so that at most one is under way.
 *   wf_netpoll_break                        a poll that may block             a poll that does not
 *   1 flag 0 -> 1, or leave it to whoever   1 gets the event, which is        1 gets the event
 *     set it                                  gone by that                    2 triggers it again: it was meant for
 *   2 trigger                               2 flag = 0                          the other one
 * Between 1 and 2 on the right the event is nobody's, but the flag is still set, and whoever blocks meanwhile is woken by 2. */
#include "../runtime/netpoll.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/event.h>
#include <time.h>
#include <unistd.h>

#include "../runtime/atomic.h"
#include "polldesc.h"

enum { BREAK_IDENT = 0 };

/* After these, short reads mean nothing. */
#ifdef EV_OOBAND
enum { ENDS = EV_EOF | EV_ERROR | EV_OOBAND };
#else
enum { ENDS = 0xffff };
#endif

static const short filters[] = { [WF_READ] = EVFILT_READ, [WF_WRITE] = EVFILT_WRITE };

static int kqueue_fd = -1;
static wf_word breaking;

/* ---- changes --------------------------------------------------------------------------------------------------------- */

/* Makes one change to both filters of a descriptor; errors: of each, 0 or positive. 0, or the error of the call as such. */
static WF_NOINLINE int change_both(int fd, int flags, unsigned seq, int errors[2])
{
	static const struct timespec at_once;
	struct kevent changes[2], receipts[2];
	for (int dir = WF_READ; dir <= WF_WRITE; dir++)
		changes[dir] = (struct kevent){
			.ident = (uintptr_t)fd,
			.filter = filters[dir],
			.flags = (unsigned short)(flags | EV_RECEIPT),
			.udata = (void *)(uintptr_t)seq,
		};
	int n;
	do
		n = kevent(kqueue_fd, changes, 2, receipts, 2, &at_once);
	while (n < 0 && errno == EINTR); /* both were made; making them again does no harm */
	if (n < 0)
		return -errno;
	errors[WF_READ] = errors[WF_WRITE] = 0;
	for (int i = 0; i < n; i++)
		errors[receipts[i].filter == EVFILT_WRITE] = (int)receipts[i].data;
	return 0;
}

/* The file has no such filter; there is nothing wrong otherwise: EPIPE, nobody reads this pipe any more; EINVAL, it can't be
 * written. Who waits in that direction tries after this, and such a try has an answer at once. (Sockets, which may be tried before
 * and not after, refuse none.) */
static bool is_refusal(int error)
{
	return error == EPIPE || error == EINVAL || error == EPERM || error == ENODEV || error == ENXIO || error == EOPNOTSUPP;
}

/* The error that stands for both; 0: at least one filter is there, and nothing is wrong. */
static int sum_up(const int errors[2])
{
	if (is_refusal(errors[WF_READ]) && is_refusal(errors[WF_WRITE]))
		return EPERM;
	for (int dir = WF_READ; dir <= WF_WRITE; dir++)
		if (errors[dir] != 0 && !is_refusal(errors[dir]))
			return errors[dir];
	return 0;
}

int wf_netpoll_add(int fd, unsigned seq)
{
	int errors[2], r = change_both(fd, EV_ADD | EV_CLEAR, seq, errors);
	if (r < 0)
		return r;
	if ((r = sum_up(errors)) != 0)
		wf_netpoll_remove(fd);
	return -r;
}

void wf_netpoll_remove(int fd)
{
	int ignored[2]; /* not there is fine */
	(void)change_both(fd, EV_DELETE, 0, ignored);
}

/* ---- break ----------------------------------------------------------------------------------------------------------- */

static WF_NOINLINE int change_break(int flags, unsigned fflags)
{
	struct kevent change = {
		.ident = BREAK_IDENT,
		.filter = EVFILT_USER,
		.flags = (unsigned short)flags,
		.fflags = fflags,
	};
	int r;
	do
		r = kevent(kqueue_fd, &change, 1, NULL, 0, NULL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

void wf_netpoll_break(void)
{
	if (wf_load(&breaking) || !wf_cas_full(&breaking, 0, 1)) /* whoever set it has triggered or is about to */
		return;
	(void)change_break(0, NOTE_TRIGGER);
}

static void take_break(bool blocks)
{
	if (blocks)
		wf_store_release(&breaking, 0); /* after the event was taken: a break from now on triggers again */
	else
		(void)change_break(0, NOTE_TRIGGER);
}

/* ---- start and stop ------------------------------------------------------------------------------------------------- */

static WF_NOINLINE int open_queue(void)
{
	kqueue_fd = kqueue();
	if (kqueue_fd < 0)
		return -errno;
	return fcntl(kqueue_fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

static void close_queue(void)
{
	if (kqueue_fd >= 0)
		close(kqueue_fd);
	kqueue_fd = -1;
}

int wf_netpoll_start(void)
{
	int r = open_queue();
	wf_store(&breaking, 0);
	if (r == 0)
		r = change_break(EV_ADD | EV_CLEAR, 0);
	if (r < 0)
		close_queue();
	return r;
}

void wf_netpoll_stop(void)
{
	wf_desc_forget_all();
	close_queue();
}

/* ---- waiting -------------------------------------------------------------------------------------------------------- */

static WF_NOINLINE int wait_events(struct kevent *events, int64_t ns)
{
	struct timespec t = { ns / 1000000000, ns % 1000000000 };
	int n = kevent(kqueue_fd, NULL, 0, events, WF_EVENTS_MAX, ns < 0 ? NULL : &t);
	return n < 0 ? -errno : n;
}

static struct wf_event translate(const struct kevent *event)
{
	unsigned dirs = WEFT_WRITE;
	if (event->filter == EVFILT_READ)
		dirs = event->flags & EV_EOF ? WEFT_READ | WEFT_WRITE : WEFT_READ;
	return (struct wf_event){ (int)event->ident, (unsigned)(uintptr_t)event->udata, dirs, (event->flags & ENDS) != 0 };
}

struct look {
	struct wf_event events[WF_EVENTS_MAX];
	struct kevent raw[WF_EVENTS_MAX];
};
_Static_assert(sizeof(struct look) <= WF_EVENTS_SIZE, "room for what one look brings");

int wf_netpoll_wait(struct wf_worker *w, void *room, int64_t timeout_ns)
{
	struct look *look = room;
	struct kevent *raw = look->raw;
	struct wf_event *events = look->events;
	int known = 0, n = wait_events(raw, timeout_ns);
	for (int i = 0; i < n; i++)
		if (wf_likely(raw[i].filter != EVFILT_USER))
			events[known++] = translate(&raw[i]);
		else
			take_break(timeout_ns != 0);
	return wf_desc_events(w, events, known);
}
