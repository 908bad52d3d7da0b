#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <weft/file.h>

#include "../runtime/offload.h"
#include "../runtime/os_net.h"
#include "../runtime/sched.h"

enum { AT_ONCE_MAX = 256 * 1024 }; /* more than that takes long even from memory */

/* ---- transfers ------------------------------------------------------------------------------------------------------ */

struct transfer {
	int fd;
	enum wf_dir dir;
	const struct iovec *iov;
	int count;
	int64_t offset;
	size_t done; /* of the vector, before the rest is transferred */
	ssize_t result;
};

static ssize_t transfer_part(const struct transfer *t, const struct iovec *iov, int count, size_t at)
{
	int64_t offset = t->offset == WF_FILE_POSITION ? t->offset : t->offset + (int64_t)at;
	return t->dir == WF_READ ? wf_os_readv_at(t->fd, iov, count, offset) : wf_os_writev_at(t->fd, iov, count, offset);
}

/* On a helper. The rest of an element that was transferred in part goes by itself, so that the vector needs no copy. */
static int transfer_rest(void *arg)
{
	struct transfer *t = arg;
	size_t skip = t->done;
	int i = 0;
	while (i < t->count && skip >= t->iov[i].iov_len)
		skip -= t->iov[i++].iov_len;
	t->result = 0;
	if (skip > 0) {
		struct iovec part = { (char *)t->iov[i].iov_base + skip, t->iov[i].iov_len - skip };
		t->result = transfer_part(t, &part, 1, t->done);
		if (t->result < (ssize_t)part.iov_len || ++i == t->count)
			return 0;
	}
	ssize_t more = transfer_part(t, t->iov + i, t->count - i, t->done + (size_t)t->result);
	if (more > 0 || t->result == 0)
		t->result += more;
	return 0;
}

static size_t vector_size(const struct iovec *iov, int count)
{
	size_t n = 0;
	for (int i = 0; i < count; i++)
		n += iov[i].iov_len;
	return n;
}

/* Everything that is in memory. True: there is no more to transfer. */
static bool transfer_at_once(struct transfer *t)
{
	size_t n = vector_size(t->iov, t->count);
	if (n > AT_ONCE_MAX || wf_stress(2))
		return false;
	ssize_t r = wf_os_transfer_now(t->fd, t->dir == WF_WRITE, t->iov, t->count, t->offset);
	if (r < 0)
		return false;
	t->done = (size_t)r;
	/* a short count alone does not say whether the file ends there; nor does 0, on some kernels */
	return t->done == n || (t->dir == WF_READ && wf_os_is_at_end(t->fd, t->offset < 0 ? t->offset : t->offset + r));
}

ssize_t wf_file_transfer(struct wf_worker **w, int fd, enum wf_dir dir, const struct iovec *iov, int count, int64_t offset)
{
	struct transfer t = { .fd = fd, .dir = dir, .iov = iov, .count = count, .offset = offset };
	if (transfer_at_once(&t))
		return (ssize_t)t.done;
	wf_offload_or_call(w, transfer_rest, &t);
	return t.done > 0 ? (ssize_t)t.done + (t.result > 0 ? t.result : 0) : t.result;
}

/* Enters a file, whose deadline in this direction is not past. */
static int enter_file(struct wf_turn *turn, int fd, enum wf_dir dir)
{
	struct wf_worker *w = wf_enter();
	wf_charge(&w, WF_COST_SYSCALL);
	int r = wf_cancelled(w);
	if (r < 0) {
		wf_leave(w);
		return r;
	}
	if ((r = wf_desc_enter(turn, w, fd)) < 0)
		return r;
	wf_lock(&turn->desc->lock);
	r = wf_turn_check_locked(turn, 1u << dir);
	wf_unlock(&turn->desc->lock);
	if (r < 0)
		wf_desc_leave(turn);
	return r;
}

ssize_t weft_pread(int fd, void *buf, size_t n, int64_t offset)
{
	struct wf_turn turn;
	if (offset < 0 || n > SSIZE_MAX)
		return -EINVAL;
	ssize_t r = enter_file(&turn, fd, WF_READ);
	if (r < 0)
		return r;
	struct iovec iov = { buf, n };
	r = turn.kind & WF_DESC_FILE ? wf_file_transfer(&turn.w, fd, WF_READ, &iov, 1, offset) : -ESPIPE;
	wf_desc_leave(&turn);
	return r;
}

ssize_t weft_pwrite(int fd, const void *buf, size_t n, int64_t offset)
{
	struct wf_turn turn;
	size_t done = 0;
	if (offset < 0 || n > SSIZE_MAX)
		return -EINVAL;
	ssize_t r = enter_file(&turn, fd, WF_WRITE);
	if (r < 0)
		return r;
	if (!(turn.kind & WF_DESC_FILE))
		r = -ESPIPE;
	while (r >= 0 && done < n) {
		struct iovec iov = { (char *)(uintptr_t)buf + done, n - done };
		r = wf_file_transfer(&turn.w, fd, WF_WRITE, &iov, 1, offset + (int64_t)done);
		if (r <= 0)
			break;
		done += (size_t)r;
	}
	wf_desc_leave(&turn);
	return done > 0 ? (ssize_t)done : r;
}

/* ---- to the disk ---------------------------------------------------------------------------------------------------- */

struct sync {
	int fd;
	bool data_only;
	int result;
};

static int sync_file(void *arg)
{
	struct sync *s = arg;
	s->result = wf_os_sync(s->fd, s->data_only);
	return 0;
}

static int sync_known(int fd, bool data_only)
{
	struct wf_turn turn;
	struct sync s = { .fd = fd, .data_only = data_only };
	int r = enter_file(&turn, fd, WF_WRITE);
	if (r < 0)
		return r;
	wf_offload_or_call(&turn.w, sync_file, &s);
	wf_desc_leave(&turn);
	return s.result;
}

int weft_fsync(int fd)
{
	return sync_known(fd, false);
}

int weft_fdatasync(int fd)
{
	return sync_known(fd, true);
}

/* ---- opening -------------------------------------------------------------------------------------------------------- */

struct opening {
	int flags;
	mode_t mode;
	int fd;
	char path[];
};

static int open_file(void *arg)
{
	struct opening *o = arg;
	o->fd = wf_os_open(o->path, o->flags, o->mode);
	return 0;
}

/* The coroutine that wanted it is gone. */
static void drop_opening(void *arg)
{
	struct opening *o = arg;
	if (o->fd >= 0) {
		wf_os_close(o->fd);
		wf_announce_close();
	}
	free(o);
}

int weft_open(const char *path, int flags, mode_t mode)
{
	struct opening *o = malloc(sizeof *o + strlen(path) + 1);
	if (!o)
		return -ENOMEM;
	*o = (struct opening){ flags, mode, -EIO };
	strcpy(o->path, path);
	int r = weft_offload_owned(open_file, o, drop_opening, WEFT_NEVER, NULL);
	if (r < 0)
		return r;
	int fd = o->fd;
	free(o);
	r = fd < 0 ? fd : weft_adopt(fd);
	if (r == 0)
		return fd;
	if (fd >= 0)
		wf_os_close(fd);
	return r;
}
