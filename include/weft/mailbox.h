/* Mailboxes: messages of one size from many to one owner, who can take them out of order.
 *
 * A mailbox keeps up to its capacity of messages. A send waits while it is full, or says so. The owner takes the oldest message, or
 * the oldest one that a function of its own accepts; those that were refused stay where they are, in their order. One receive is
 * made at a time.
 *
 * The messages of those who wait to send are looked at, too: so an owner who waits for an answer gets it, however full the mailbox
 * is of other things.
 *
 * Messages are copied: elem points to elem_size bytes, at any alignment; for mailboxes of size 0 it may be NULL. What was done
 * before a send is seen after the receive of its message.
 *
 * Calls that wait park the coroutine; a plain thread blocks. They fail with -ECANCELED when the caller is cancelled, before it
 * comes to waiting as well; then nothing was sent or taken. A NULL mailbox is -EINVAL. */
#ifndef WEFT_MAILBOX_H
#define WEFT_MAILBOX_H

#include "base.h"
#include "time.h"

#define WEFT_MAILBOX_CAPACITY_MAX ((size_t)1 << 31)

struct weft_mailbox;

/* Whether it is the message that the owner waits for. May park; may use the mailbox, but not receive from it. Must return. */
typedef bool weft_match_fn(const void *elem, void *arg);

WEFT_BEGIN

/* Makes a mailbox that keeps capacity messages, at least 1. From anywhere, with or without a runtime. -EINVAL: no or too much
 * capacity; -ENOMEM. */
WEFT_API WEFT_NODISCARD int weft_mailbox_create(struct weft_mailbox **mailbox, size_t elem_size, size_t capacity);

/* Frees it, with the messages it still keeps. Its owner may do so as soon as the last message was received: a send whose message
 * was received counts as over even if it has not returned yet. NULL: nothing. Never parks. -EBUSY: somebody waits on it, or
 * receives. */
WEFT_API int weft_mailbox_destroy(struct weft_mailbox *mailbox);

/* Sends a copy of *elem: 0. Parks while there is no room. -EPIPE: it is closed, or was closed while the call waited. */
WEFT_API WEFT_NODISCARD int weft_mailbox_send(struct weft_mailbox *mailbox, const void *elem);

/* The same, never waiting: -EAGAIN. No cancellation point. */
WEFT_API WEFT_NODISCARD int weft_mailbox_try_send(struct weft_mailbox *mailbox, const void *elem);

/* The same until a deadline: -ETIMEDOUT, or with WEFT_NOW -EAGAIN. */
WEFT_API WEFT_NODISCARD int weft_mailbox_send_until(struct weft_mailbox *mailbox, const void *elem, weft_time deadline);

/* Takes the oldest message into *elem (NULL drops it): 1. Parks while there is none. 0: it is closed, and all were received.
 * -EBUSY: somebody else is receiving. */
WEFT_API WEFT_NODISCARD int weft_mailbox_recv(struct weft_mailbox *mailbox, void *elem);

/* The same, never waiting: -EAGAIN. No cancellation point. */
WEFT_API WEFT_NODISCARD int weft_mailbox_try_recv(struct weft_mailbox *mailbox, void *elem);

/* The same until a deadline: -ETIMEDOUT, or with WEFT_NOW -EAGAIN. */
WEFT_API WEFT_NODISCARD int weft_mailbox_recv_until(struct weft_mailbox *mailbox, void *elem, weft_time deadline);

/* Takes the oldest message for which match(elem, arg) is true; 0: it is closed, and there is none. Otherwise as recv_until. *elem
 * is where the messages are looked at: if the call does not return 1 it holds anything. Each message is looked at once.
 *
 * mark, unless NULL, says where to begin, and afterwards where to go on: messages before *mark are passed over, and it is moved
 * behind those that were refused. 0 is before all messages. So a loop that keeps its mark looks at nothing twice. */
WEFT_API WEFT_NODISCARD int weft_mailbox_recv_if(struct weft_mailbox *mailbox, weft_match_fn *match, void *arg, uint64_t *mark,
						 void *elem, weft_time deadline);

/* The mark behind all messages that have been sent: taken before a request is sent, it spares looking at all the rest for the
 * answer. Never parks. */
WEFT_API uint64_t weft_mailbox_mark(struct weft_mailbox *mailbox);

/* No more messages: whoever waits to send gets -EPIPE; the owner gets what is kept, and then 0. Never parks. -EALREADY: it was
 * closed before. */
WEFT_API int weft_mailbox_close(struct weft_mailbox *mailbox);

/* How many messages it keeps just now; 0 for NULL. Never parks. */
WEFT_API size_t weft_mailbox_len(const struct weft_mailbox *mailbox);

WEFT_END

#endif
