/* Rank 6. The two engines behind reading and writing, for those whose tries are their own. */
#ifndef WF_IO_H
#define WF_IO_H

#include "turn.h"

/* What a call is to transfer; each kind of try uses the fields that are its own. */
struct wf_io {
	void *buf;   /* only read when writing */
	size_t n;    /* in all: bytes, or messages of a batch */
	size_t done; /* of these, written */
	int flags;
	struct sockaddr *addr;
	socklen_t *len;
	struct msghdr *msg;
	const struct iovec *iov; /* what is left of a vector: from byte `skip` of its first element on */
	size_t count;
	size_t skip;
	int error;       /* met after something was received: for the next call */
	bool batch;      /* messages, n of them */
	bool to_path;    /* to a unix socket by its address: if that is full, each try makes an edge, and room makes none */
	int pause_ms;    /* before the last try of that kind */
};

/* Makes one try: what it moved, -EAGAIN, or another error. */
typedef ssize_t wf_try_fn(struct wf_turn *turn, struct wf_io *io);

/* Tries until something came: its count, or the error. */
ssize_t wf_io_receive(int fd, struct wf_io *io, wf_try_fn *try);

/* Tries until io->n is written; stopped midway, leaves the error to the next call. */
ssize_t wf_io_transmit(int fd, struct wf_io *io, wf_try_fn *try);

/* Nothing is to be transferred: 0, or -EBADF. */
int wf_io_nothing(int fd);

/* Whether a message is addressed to a unix socket. */
static inline bool wf_io_is_to_path(const struct msghdr *msg)
{
	return msg->msg_name && ((const struct sockaddr *)msg->msg_name)->sa_family == AF_UNIX;
}

/* A try of writing bytes, on any kind of descriptor. */
ssize_t wf_io_try_write(struct wf_turn *turn, const void *buf, size_t n);

#endif
