/* Files to descriptors, in pieces: what is in memory by sendfile(2) at once, what may not be by sendfile(2) on a helper, so that
 * the coroutine alone waits for the disk. Where the system has no sendfile(2) for these two files: read into a buffer, written
 * from it. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "../runtime/offload.h"
#include "../runtime/os_net.h"
#include "../runtime/sched.h"
#include "file.h"
#include "io.h"

enum {
	PIECE = 256 * 1024,
	ROOM = 64 * 1024,
};

struct sending {
	struct wf_io io;
	int in;
	int64_t offset;
	bool copies;          /* sendfile(2) can't */
	unsigned char *room;  /* of a copy; NULL: none yet */
	size_t at, n;         /* read and not written: n bytes from room + at on */
};

/* ---- by the system -------------------------------------------------------------------------------------------------- */

struct piece {
	int out, in;
	int64_t offset;
	size_t n;
	ssize_t sent;
};

static int send_piece(void *arg)
{
	struct piece *p = arg;
	p->sent = wf_os_sendfile(p->out, p->in, p->offset, p->n);
	return 0;
}

/* Whether the byte at an offset is read without a disk; behind the end there is none. */
static bool is_here(int in, int64_t offset)
{
	char byte;
	ssize_t r = wf_os_transfer_now(in, false, &(struct iovec){ &byte, 1 }, 1, offset);
	return r == 1 || (r == 0 && wf_os_is_at_end(in, offset));
}

/* The first and the last byte stand for the others: what is read in between was read ahead, most likely. */
static bool is_in_memory(const struct piece *p)
{
	return p->n == 0 || (!wf_stress(2) && is_here(p->in, p->offset) && is_here(p->in, p->offset + (int64_t)p->n - 1));
}

static ssize_t send_by_system(struct wf_turn *turn, struct piece *p)
{
	if ((turn->kind & WF_DESC_FILE) || !is_in_memory(p)) {
		wf_offload_or_call(&turn->w, send_piece, p);
	} else {
		wf_leave(turn->w);
		send_piece(p);
		turn->w = wf_enter();
	}
	return p->sent;
}

/* ---- by hand -------------------------------------------------------------------------------------------------------- */

/* 1: there is something to write, 0: the file has ended. */
static int fill_room(struct wf_turn *turn, struct sending *s, int64_t offset, size_t n)
{
	if (s->n > 0)
		return 1;
	if (!s->room)
		s->room = wf_stress_fails() ? NULL : malloc(ROOM);
	if (!s->room)
		return -ENOMEM;
	struct iovec iov = { s->room, n < ROOM ? n : ROOM };
	ssize_t r = wf_file_transfer(&turn->w, s->in, WF_READ, &iov, 1, offset);
	s->at = 0;
	s->n = r > 0 ? (size_t)r : 0;
	return r > 0 ? 1 : (int)r;
}

static ssize_t send_by_hand(struct wf_turn *turn, struct sending *s, int64_t offset, size_t n)
{
	int filled = n > 0 ? fill_room(turn, s, offset, n) : 0;
	if (filled <= 0)
		return filled;
	ssize_t r = wf_io_try_write(turn, s->room + s->at, s->n);
	if (r > 0) {
		s->at += (size_t)r;
		s->n -= (size_t)r;
	}
	return r;
}

/* ---- the call ------------------------------------------------------------------------------------------------------- */

static bool is_refusal(ssize_t r)
{
	return r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP;
}

static ssize_t try_sendfile(struct wf_turn *turn, struct wf_io *io)
{
	struct sending *s = wf_container_of(io, struct sending, io);
	int64_t offset = s->offset + (int64_t)io->done;
	size_t left = io->n - io->done;
	ssize_t r = turn->kind & WF_DESC_SOCKET ? wf_turn_unblock(turn) : 0;
	if (r < 0)
		return r;
	s->copies = s->copies || (turn->kind & WF_DESC_BLOCKS); /* a terminal, which sendfile(2) would wait for */
	if (!s->copies) {
		r = send_by_system(turn, &(struct piece){ turn->fd, s->in, offset, left < PIECE ? left : PIECE, 0 });
		s->copies = is_refusal(r);
	}
	return s->copies ? send_by_hand(turn, s, offset, left) : r;
}

/* A number that weft knows stays the same file meanwhile. */
int64_t weft_sendfile(int out, int in, int64_t offset, size_t n)
{
	struct wf_turn file;
	if (offset < 0)
		return -EINVAL;
	size_t most = (size_t)(INT64_MAX - offset);
	struct sending s = { .io = { .n = n < most ? n : most }, .in = in, .offset = offset };
	bool known = wf_desc_enter(&file, wf_enter_here(), in) == 0;
	if (known)
		wf_leave(file.w);
	int64_t sent = wf_io_transmit(out, &s.io, try_sendfile);
	free(s.room);
	if (known) {
		file.w = wf_enter_here();
		wf_desc_leave(&file);
	}
	return sent;
}
