/* Select: waits for the first of several things.
 *
 *     struct weft_case cases[] = {
 *             { .op = WEFT_OP_RECV, .chan = requests, .elem = &request },
 *             { .op = WEFT_OP_FD, .fd = fd, .dirs = WEFT_READ },
 *             { .op = WEFT_OP_JOIN, .co = helper },
 *     };
 *     int i = weft_select(cases, 3, weft_after(WEFT_SEC(5)));
 *     if (i == 0 && cases[0].result == 1)
 *             serve(&request); */
#ifndef WEFT_SELECT_H
#define WEFT_SELECT_H

#include "base.h"
#include "time.h"

struct weft_chan;
struct weft_co;
struct weft_exits;

/* op      uses         is ready when                               result, once it is chosen
 *
 * NONE                 never
 * SEND    chan, elem   a send would not wait                       0 sent; -EPIPE closed
 * RECV    chan, elem   a receive would not wait                    1 a value; 0 closed and drained
 * FD      fd, dirs     a read, or write, of fd would not wait      the ready directions: WEFT_READ, WEFT_WRITE; or what a read or
 *                                                                  write would return: -EBADF, -ETIMEDOUT (the fd's deadline)
 * JOIN    co           co has ended                                0; co is still to be joined
 * EXIT    exits, elem  there is a note (exits.h)                   0; *elem is the struct weft_ended
 *
 * A case with chan, co or exits NULL or a negative fd is never ready: that is how a case is switched off. A descriptor need not be
 * known to weft; somebody else may be faster than what is done about it. */
enum weft_op { WEFT_OP_NONE, WEFT_OP_SEND, WEFT_OP_RECV, WEFT_OP_FD, WEFT_OP_JOIN, WEFT_OP_EXIT };

struct weft_case {
	int op;                 /* enum weft_op */
	int result;             /* out: of the case that was chosen; the others' stay as they were */
	struct weft_chan *chan;
	void *elem;             /* read by SEND, written by RECV and EXIT (NULL drops the value) */
	int fd;
	unsigned dirs;          /* WEFT_READ | WEFT_WRITE (net.h) */
	struct weft_co *co;
	struct weft_exits *exits;
	uintptr_t reserved[1];  /* zero */
};

WEFT_BEGIN

/* Waits until one of the n cases is ready, does what it says, and returns its index. Of several ready ones each is as likely as any
 * other. Exactly one is done, or none if the call fails. A channel may stand in several cases; a send never meets a receive of the
 * same call. Parks; a plain thread blocks. Without a case that can become ready, and without a deadline, it waits until it is
 * cancelled. The time it takes grows in proportion to n; up to 8 cases without descriptors take no memory.
 *
 * It is one instant over channels, joins, exits and cancellation: -EAGAIN (with WEFT_NOW) says that there was a moment at which no
 * case was ready and the caller was not cancelled. Descriptors are asked once, just before.
 *
 * -ETIMEDOUT the deadline came first, or -EAGAIN with WEFT_NOW; -ECANCELED the caller was cancelled; -EINVAL a case that can't be;
 * -EDEADLK a join of the caller itself; -ENOMEM, -EMFILE.
 *
 * The channels and exits are in use until it returns. But one that stands in a single case counts as done with when that case was
 * chosen, as after a plain send or receive. */
WEFT_API WEFT_NODISCARD int weft_select(struct weft_case *cases, int n, weft_time deadline);

WEFT_END

#endif
