/* Reading and writing. Two engines, one for each direction, drive a small function that makes one try. */
#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "../runtime/os_net.h"
#include "../runtime/sched.h"
#include "file.h"
#include "io.h"

/* Sums up a vector; -EINVAL as readv(2) has it. */
static int set_vector(struct wf_io *io, const struct iovec *iov, size_t count)
{
	io->iov = iov;
	io->count = count;
	for (size_t i = 0; i < count; i++) {
		if (iov[i].iov_len > SSIZE_MAX - io->n)
			return -EINVAL;
		io->n += iov[i].iov_len;
	}
	return 0;
}

/* A descriptor that blocks and knows no MSG_DONTWAIT, such as a terminal, is tried only when poll(2) says that it is ready, and
 * outside the gate: somebody else can be faster. Returns whether to try. */
static bool try_begin(struct wf_turn *turn)
{
	if (wf_likely(!(turn->kind & WF_DESC_BLOCKS)))
		return true;
	if (wf_os_poll_now(turn->fd, turn->dir == WF_READ ? POLLIN : POLLOUT) == 0)
		return false;
	wf_leave(turn->w);
	return true;
}

static ssize_t try_end(struct wf_turn *turn, ssize_t result)
{
	if (wf_unlikely(turn->kind & WF_DESC_BLOCKS))
		turn->w = wf_enter();
	return result;
}

/* A vector of a file. */
static ssize_t try_file(struct wf_turn *turn, const struct iovec *iov, size_t count)
{
	return wf_file_transfer(&turn->w, turn->fd, turn->dir, iov, (int)count, WF_FILE_POSITION);
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

static ssize_t try_recv(struct wf_turn *turn, struct wf_io *io)
{
	return wf_os_recv(turn->fd, io->buf, io->n, io->flags, io->addr, io->len);
}

static ssize_t try_recvmsg(struct wf_turn *turn, struct wf_io *io)
{
	return wf_os_recvmsg(turn->fd, io->msg, io->flags);
}

static ssize_t try_read(struct wf_turn *turn, struct wf_io *io)
{
	if (wf_likely(turn->kind & WF_DESC_SOCKET))
		return try_recv(turn, io);
	if (turn->kind & WF_DESC_FILE)
		return try_file(turn, &(struct iovec){ io->buf, io->n }, 1);
	return try_begin(turn) ? try_end(turn, wf_os_read(turn->fd, io->buf, io->n)) : -EAGAIN;
}

static ssize_t try_readv(struct wf_turn *turn, struct wf_io *io)
{
	if (turn->kind & WF_DESC_SOCKET) {
		struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)io->iov, .msg_iovlen = WF_IOVLEN(io->count) };
		return wf_os_recvmsg(turn->fd, &msg, 0);
	}
	if (turn->kind & WF_DESC_FILE)
		return try_file(turn, io->iov, io->count);
	return try_begin(turn) ? try_end(turn, wf_os_readv(turn->fd, io->iov, (int)io->count)) : -EAGAIN;
}

/* Nothing asked for, nothing to wait for: 0 or an error. But on a socket with messages even that takes one: 1. */
static int recv_nothing(int fd)
{
	struct wf_turn turn;
	int r = wf_desc_enter(&turn, wf_enter_here(), fd);
	if (r < 0)
		return r;
	r = (turn.kind & WF_DESC_MESSAGES) != 0;
	wf_desc_leave(&turn);
	return r;
}

int wf_io_nothing(int fd)
{
	int r = recv_nothing(fd);
	return r < 0 ? r : 0;
}

ssize_t wf_io_receive(int fd, struct wf_io *io, wf_try_fn *try)
{
	struct wf_turn turn;
	unsigned flags = 0;
	if (wf_unlikely(io->flags & (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE)))
		flags = WF_TURN_TRY | (io->flags & MSG_DONTWAIT ? WF_TURN_NOWAIT : 0);
	ssize_t r = wf_turn_take(&turn, fd, WF_READ, WF_WHY_READ, flags);
	if (wf_unlikely(r < 0))
		return r;
	do
		r = try(&turn, io);
	while (r == -EAGAIN && (r = wf_turn_wait(&turn)) == 0);
	bool drained = r == -EAGAIN || (r > 0 && (size_t)r < io->n && (turn.kind & WF_DESC_TCP));
	wf_turn_end(&turn, drained && (io->flags & ~MSG_DONTWAIT) == 0, io->error);
	return r;
}

ssize_t weft_read(int fd, void *buf, size_t n)
{
	struct wf_io io = { .buf = buf, .n = n };
	return wf_likely(n != 0) ? wf_io_receive(fd, &io, try_read) : wf_io_nothing(fd);
}

ssize_t weft_readv(int fd, const struct iovec *iov, int count)
{
	struct wf_io io = { .n = 0 };
	for (; count > 0 && iov->iov_len == 0; iov++)
		count--;
	if (count < 0 || set_vector(&io, iov, count < IOV_MAX ? (size_t)count : IOV_MAX) < 0)
		return -EINVAL;
	return io.n != 0 ? wf_io_receive(fd, &io, try_readv) : wf_io_nothing(fd);
}

ssize_t weft_recv(int fd, void *buf, size_t n, int flags)
{
	return weft_recvfrom(fd, buf, n, flags, NULL, NULL);
}

ssize_t weft_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *from, socklen_t *len)
{
	struct wf_io io = { .buf = buf, .n = n, .flags = flags, .addr = from, .len = len };
	int r = wf_likely(n != 0) ? 1 : recv_nothing(fd);
	return r > 0 ? wf_io_receive(fd, &io, try_recv) : r;
}

ssize_t weft_recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct wf_io io = { .flags = flags, .msg = msg };
	if (set_vector(&io, msg->msg_iov, (size_t)msg->msg_iovlen) < 0)
		return -EINVAL;
	int r = io.n != 0 || (flags & MSG_ERRQUEUE) ? 1 : recv_nothing(fd);
	return r > 0 ? wf_io_receive(fd, &io, try_recvmsg) : r;
}

int weft_read_full(int fd, void *buf, size_t n, size_t *done)
{
	size_t got = 0;
	ssize_t r = 1;
	while (got < n && (r = weft_read(fd, (char *)buf + got, n - got)) > 0)
		got += (size_t)r;
	if (done)
		*done = got;
	return got == n ? 0 : r < 0 ? (int)r : -ENODATA;
}

/* ---- writing -------------------------------------------------------------------------------------------------------- */

/* What is left to write. Adding 0 to a null pointer is undefined. */
static const void *rest(const struct wf_io *io) { return io->done ? (const char *)io->buf + io->done : io->buf; }

static ssize_t try_send(struct wf_turn *turn, struct wf_io *io)
{
	return wf_os_send(turn->fd, rest(io), io->n - io->done, io->flags, io->addr, io->len ? *io->len : 0);
}

ssize_t wf_io_try_write(struct wf_turn *turn, const void *buf, size_t n)
{
	if (wf_likely(turn->kind & WF_DESC_SOCKET))
		return wf_os_send(turn->fd, buf, n, 0, NULL, 0);
	if (turn->kind & WF_DESC_FILE)
		return try_file(turn, &(struct iovec){ (void *)(uintptr_t)buf, n }, 1);
	return try_begin(turn) ? try_end(turn, wf_os_write(turn->fd, buf, n)) : -EAGAIN;
}

static ssize_t try_write(struct wf_turn *turn, struct wf_io *io)
{
	return wf_io_try_write(turn, rest(io), io->n - io->done);
}

static void advance(struct wf_io *io, size_t n)
{
	n += io->skip;
	while (io->count > 0 && n >= io->iov->iov_len) {
		n -= io->iov->iov_len;
		io->iov++;
		io->count--;
	}
	io->skip = n;
}

/* The rest of an element that was written in part: by itself, so that the caller's vector needs no copy. */
static ssize_t try_element(struct wf_turn *turn, const struct wf_io *io)
{
	char *from = (char *)io->iov->iov_base + io->skip;
	size_t n = io->iov->iov_len - io->skip;
	if (turn->kind & WF_DESC_SOCKET)
		return wf_os_send(turn->fd, from, n, io->flags | (io->count > 1 ? MSG_MORE : 0), NULL, 0);
	return wf_io_try_write(turn, from, n);
}

/* Whole elements, with the address and control data of a message in the first try. */
static ssize_t try_elements(struct wf_turn *turn, struct wf_io *io)
{
	size_t count = io->count <= IOV_MAX || (turn->kind & WF_DESC_MESSAGES) ? io->count : IOV_MAX;
	if (turn->kind & WF_DESC_SOCKET) {
		struct msghdr msg = { .msg_name = NULL };
		if (io->msg && io->done == 0)
			msg = *io->msg;
		msg.msg_iov = (struct iovec *)(uintptr_t)io->iov;
		msg.msg_iovlen = WF_IOVLEN(count);
		return wf_os_sendmsg(turn->fd, &msg, io->flags);
	}
	if (turn->kind & WF_DESC_FILE)
		return try_file(turn, io->iov, count);
	return try_begin(turn) ? try_end(turn, wf_os_writev(turn->fd, io->iov, (int)count)) : -EAGAIN;
}

/* Empty elements in front would make a try that writes nothing. */
static ssize_t try_vector(struct wf_turn *turn, struct wf_io *io)
{
	if (io->done == 0 && io->n > 0)
		advance(io, 0);
	ssize_t r = io->skip > 0 ? try_element(turn, io) : try_elements(turn, io);
	if (r > 0)
		advance(io, (size_t)r);
	return r;
}

/* After a try that did not write all of it: waits until another one is worth it. */
static int go_on(struct wf_turn *turn, struct wf_io *io, ssize_t result)
{
	if (wf_likely(result == -EAGAIN))
		return io->to_path ? wf_turn_back_off(turn, &io->pause_ms) : wf_turn_wait(turn);
	wf_charge(&turn->w, WF_COST_SYSCALL);
	int r = wf_turn_check(turn); /* somebody who is always ready would never let us see the deadline */
	return r < 0 ? r : wf_cancelled(turn->w);
}

ssize_t wf_io_transmit(int fd, struct wf_io *io, wf_try_fn *try)
{
	struct wf_turn turn;
	int error = 0;
	if (wf_unlikely(io->n > SSIZE_MAX))
		return -EINVAL;
	ssize_t r = wf_turn_take(&turn, fd, WF_WRITE, WF_WHY_WRITE, io->flags & MSG_DONTWAIT ? WF_TURN_NOWAIT : 0);
	if (wf_unlikely(r < 0))
		return r;
	do {
		r = try(&turn, io);
		if (wf_unlikely(r < 0 && r != -EAGAIN)) {
			error = io->done > 0 ? (int)r : 0;
			break;
		}
		io->done += r > 0 ? (size_t)r : 0;
		if (wf_likely(io->done >= io->n && r >= 0) || r == 0 || (r > 0 && (turn.kind & WF_DESC_MESSAGES) && !io->batch))
			break;
	} while ((r = go_on(&turn, io, r)) == 0);
	wf_turn_end(&turn, false, error);
	return io->done > 0 ? (ssize_t)io->done : r;
}

ssize_t weft_write(int fd, const void *buf, size_t n)
{
	struct wf_io io = { .buf = (void *)(uintptr_t)buf, .n = n };
	return wf_io_transmit(fd, &io, try_write);
}

ssize_t weft_writev(int fd, const struct iovec *iov, int count)
{
	struct wf_io io = { .n = 0 };
	if (count < 0 || set_vector(&io, iov, (size_t)count) < 0)
		return -EINVAL;
	return wf_io_transmit(fd, &io, try_vector);
}

ssize_t weft_send(int fd, const void *buf, size_t n, int flags)
{
	return weft_sendto(fd, buf, n, flags, NULL, 0);
}

ssize_t weft_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *to, socklen_t len)
{
	struct sockaddr *addr = (struct sockaddr *)(uintptr_t)to;
	struct wf_io io = { .buf = (void *)(uintptr_t)buf, .n = n, .flags = flags, .addr = addr, .len = &len };
	io.to_path = addr && addr->sa_family == AF_UNIX;
	return wf_io_transmit(fd, &io, try_send);
}

ssize_t weft_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct wf_io io = { .flags = flags, .msg = (struct msghdr *)(uintptr_t)msg, .to_path = wf_io_is_to_path(msg) };
	if (set_vector(&io, msg->msg_iov, (size_t)msg->msg_iovlen) < 0)
		return -EINVAL;
	return wf_io_transmit(fd, &io, try_vector);
}

int weft_write_all(int fd, const void *buf, size_t n, size_t *done)
{
	size_t sent = 0;
	ssize_t r = 0;
	while (sent < n && (r = weft_write(fd, (const char *)buf + sent, n - sent)) > 0)
		sent += (size_t)r;
	if (done)
		*done = sent;
	return sent == n ? 0 : r < 0 ? (int)r : -EIO;
}
