/* kqueue(2) over epoll, for tests.
 *
 * What a queue is made of:
 *
 *   outer    an epoll set; its number is the queue's, so a queue can be waited for as any descriptor can
 *     sides[READ]    an epoll set with every descriptor that has a filter for reading
 *     sides[WRITE]   the same for writing: two sets, since a change of one direction must not show as an edge of the other
 *     wake           an eventfd, readable while the user event is triggered
 *     pidfds         of processes
 *
 * The outer set only says that there is something; everything else happens under one lock, with all signals blocked, for kevent(2)
 * may be called by their handlers.
 *
 * As the systems that have it do it:
 *   - an error of a change goes into the list of events if there is room (EV_ERROR), with EV_RECEIPT a success does too; if any
 *     did, there is no waiting
 *   - filters belong to a number: close(2) and dup2(2), which this file replaces, take them away. A child of fork(2) has none
 *   - EV_ADD of a filter that is there replaces udata, and what is ready makes an event again
 *   - with EV_CLEAR what was reported is reported again only after a change
 *   - a user event that is triggered stays until some call gets it
 *   - data: bytes to read, room to write, a process's status
 * and as the least helpful one of them does it:
 *   - the writing end of a pipe is not told by its own filter that the other end was closed, but by the one for reading (EV_EOF)
 *   - EV_ADD of EVFILT_WRITE is refused with EPIPE where that has happened already, and with EINVAL where a file can't be written
 * What is not there: fflags of EV_EOF is 0, because Linux shows the error of a socket only to whoever takes it. */
#include <sys/event.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/sockios.h>

enum { QUEUES = 64, BATCH = 64 };
enum side { READ_SIDE, WRITE_SIDE, SIDES };

struct filter {
	bool is, pipe;
	void *udata;
};

struct process {
	struct process *next;
	pid_t pid;
	int fd;
	void *udata;
};

struct queue {
	bool is;
	pid_t owner;
	int outer, sides[SIDES], wake;
	bool has_user, triggered;
	struct kevent user;
	struct process *processes;
	struct filter *filters; /* two for each number */
	int numbers;
};

static struct queue queues[QUEUES];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* What goes with fd in a set. */
#define TAG_FD 0
#define TAG_WAKE 1
#define TAG_PROCESS 2

static void lock_all(sigset_t *former)
{
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, former);
	pthread_mutex_lock(&mutex);
}

static void unlock_all(const sigset_t *former)
{
	pthread_mutex_unlock(&mutex);
	pthread_sigmask(SIG_SETMASK, former, NULL);
}

static struct queue *find(int number)
{
	for (int i = 0; i < QUEUES; i++)
		if (queues[i].is && queues[i].outer == number && queues[i].owner == getpid())
			return &queues[i];
	return NULL;
}

static int watch(int set, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };
	if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	return errno == EEXIST && epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) == 0 ? 0 : -errno;
}

static void close_raw(int fd)
{
	if (fd >= 0)
		syscall(SYS_close, fd);
}

/* ---- filters of descriptors ------------------------------------------------------------------------------------------- */

static struct filter *filter_of(struct queue *q, int fd, enum side side)
{
	return fd >= 0 && fd < q->numbers ? &q->filters[2 * fd + (int)side] : NULL;
}

static struct filter *filter_make(struct queue *q, int fd, enum side side)
{
	if (fd >= q->numbers) {
		int numbers = fd < 512 ? 1024 : 2 * fd;
		struct filter *filters = realloc(q->filters, 2 * (size_t)numbers * sizeof *filters);
		if (!filters)
			return NULL;
		memset(filters + 2 * q->numbers, 0, 2 * (size_t)(numbers - q->numbers) * sizeof *filters);
		q->filters = filters;
		q->numbers = numbers;
	}
	return filter_of(q, fd, side);
}

static int add_filter(struct queue *q, const struct kevent *change, enum side side)
{
	int fd = (int)change->ident;
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	bool pipe = S_ISFIFO(st.st_mode);
	int mode = fcntl(fd, F_GETFL) & O_ACCMODE;
	struct pollfd now = { .fd = fd, .events = POLLOUT };
	if (side == WRITE_SIDE && pipe && mode != O_RDONLY && poll(&now, 1, 0) > 0 && (now.revents & POLLERR))
		return -EPIPE;
	if (side == WRITE_SIDE && mode == O_RDONLY && !S_ISSOCK(st.st_mode))
		return -EINVAL;
	struct filter *filter = filter_make(q, fd, side);
	if (!filter)
		return -ENOMEM;
	uint32_t events = side == READ_SIDE ? EPOLLIN | EPOLLRDHUP | EPOLLPRI : EPOLLOUT;
	int r = watch(q->sides[side], fd, events | (change->flags & EV_CLEAR ? EPOLLET : 0), (uint32_t)fd);
	if (r == 0)
		*filter = (struct filter){ true, pipe, change->udata };
	return r == -EPERM ? -EINVAL : r;
}

static int delete_filter(struct queue *q, int fd, enum side side)
{
	struct filter *filter = filter_of(q, fd, side);
	struct epoll_event unused = { .events = 0 };
	if (!filter || !filter->is)
		return -ENOENT;
	filter->is = false;
	epoll_ctl(q->sides[side], EPOLL_CTL_DEL, fd, &unused);
	return 0;
}

static intptr_t room_to_write(int fd)
{
	int size = 0, used = 0;
	socklen_t len = sizeof size;
	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &len) == 0 && ioctl(fd, SIOCOUTQ, &used) == 0)
		return size > used ? size - used : 1;
	size = fcntl(fd, F_GETPIPE_SZ);
	return size > 0 && ioctl(fd, FIONREAD, &used) == 0 ? size - used : 1;
}

static intptr_t bytes_to_read(int fd)
{
	int n = 0;
	return ioctl(fd, FIONREAD, &n) == 0 ? n : 1;
}

/* False: the systems that this stands for would not say so. */
static bool show_filter(const struct filter *filter, enum side side, int fd, uint32_t e, struct kevent *event)
{
	bool gone = (e & (EPOLLHUP | EPOLLERR)) != 0;
	*event = (struct kevent){ .ident = (uintptr_t)fd, .udata = filter->udata };
	if (side == READ_SIDE) {
		event->filter = EVFILT_READ;
		event->flags = (uint16_t)((gone || (e & EPOLLRDHUP) ? EV_EOF : 0) | (e & EPOLLPRI ? EV_OOBAND : 0));
		event->data = bytes_to_read(fd);
		return true;
	}
	event->filter = EVFILT_WRITE;
	event->flags = gone ? EV_EOF : 0;
	event->data = room_to_write(fd);
	return !filter->pipe || !gone;
}

static int harvest_side(struct queue *q, enum side side, struct kevent *events, int room)
{
	struct epoll_event found[BATCH];
	int used = 0, n = epoll_wait(q->sides[side], found, room < BATCH ? room : BATCH, 0);
	for (int i = 0; i < n; i++) {
		int fd = (int)(uint32_t)found[i].data.u64;
		const struct filter *filter = filter_of(q, fd, side);
		if (filter && filter->is && show_filter(filter, side, fd, found[i].events, &events[used]))
			used++;
	}
	return used;
}

/* A number is about to name nothing, or another file. */
static void forget_number(int fd)
{
	int saved = errno;
	sigset_t former;
	lock_all(&former);
	for (int i = 0; i < QUEUES; i++) {
		struct queue *q = &queues[i];
		if (!q->is || q->owner != getpid())
			continue;
		delete_filter(q, fd, READ_SIDE);
		delete_filter(q, fd, WRITE_SIDE);
	}
	unlock_all(&former);
	errno = saved;
}

/* ---- processes -------------------------------------------------------------------------------------------------------- */

static int add_process(struct queue *q, const struct kevent *change)
{
	struct process *p = malloc(sizeof *p);
	int r = 0;
	if (!p)
		return -ENOMEM;
	*p = (struct process){ q->processes, (pid_t)change->ident, -1, change->udata };
	p->fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (p->fd < 0)
		r = -errno;
	else
		r = watch(q->outer, p->fd, EPOLLIN, (uint64_t)TAG_PROCESS << 32);
	if (r < 0) {
		close_raw(p->fd);
		free(p);
		return r;
	}
	q->processes = p;
	return 0;
}

/* Reports those that have ended, and forgets them. */
static int harvest_processes(struct queue *q, struct kevent *events, int room)
{
	int used = 0;
	for (struct process **at = &q->processes, *p; (p = *at) != NULL;) {
		struct pollfd now = { .fd = p->fd, .events = POLLIN };
		if (used == room || poll(&now, 1, 0) <= 0) {
			at = &p->next;
			continue;
		}
		siginfo_t info = { .si_status = 0 };
		waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT);
		events[used++] = (struct kevent){
			.ident = (uintptr_t)p->pid,
			.filter = EVFILT_PROC,
			.flags = EV_ONESHOT | EV_CLEAR | EV_EOF,
			.fflags = NOTE_EXIT,
			.data = info.si_status,
			.udata = p->udata,
		};
		*at = p->next;
		close_raw(p->fd);
		free(p);
	}
	return used;
}

/* ---- the user event ---------------------------------------------------------------------------------------------------- */

static int change_user(struct queue *q, const struct kevent *change)
{
	uint64_t one = 1;
	if (change->flags & EV_ADD) {
		q->has_user = true;
		q->user = *change;
	}
	if (!q->has_user || change->ident != q->user.ident)
		return -ENOENT;
	if ((change->fflags & NOTE_TRIGGER) && !q->triggered) {
		q->triggered = true;
		return write(q->wake, &one, sizeof one) == sizeof one ? 0 : -errno;
	}
	return 0;
}

static int harvest_user(struct queue *q, struct kevent *events, int room)
{
	uint64_t count;
	if (!q->triggered || room == 0)
		return 0;
	if (q->user.flags & EV_CLEAR)
		q->triggered = read(q->wake, &count, sizeof count) < 0;
	events[0] = (struct kevent){ .ident = q->user.ident, .filter = EVFILT_USER, .udata = q->user.udata };
	return 1;
}

/* ---- kqueue ------------------------------------------------------------------------------------------------------------ */

static void close_parts(struct queue *q)
{
	close_raw(q->sides[READ_SIDE]);
	close_raw(q->sides[WRITE_SIDE]);
	close_raw(q->wake);
	while (q->processes) {
		struct process *p = q->processes;
		q->processes = p->next;
		close_raw(p->fd);
		free(p);
	}
	free(q->filters);
	q->is = false;
}

static int open_parts(struct queue *q)
{
	*q = (struct queue){ .owner = getpid(), .outer = -1, .sides = { -1, -1 }, .wake = -1 };
	q->outer = epoll_create1(EPOLL_CLOEXEC);
	q->sides[READ_SIDE] = q->outer < 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
	q->sides[WRITE_SIDE] = q->sides[READ_SIDE] < 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
	q->wake = q->sides[WRITE_SIDE] < 0 ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (q->wake < 0)
		return -errno;
	int r = watch(q->outer, q->wake, EPOLLIN, (uint64_t)TAG_WAKE << 32);
	for (int side = READ_SIDE; r == 0 && side < SIDES; side++)
		r = watch(q->outer, q->sides[side], EPOLLIN, (uint64_t)TAG_FD << 32);
	return r;
}

int kqueue(void)
{
	sigset_t former;
	int i = 0, r = -EMFILE;
	lock_all(&former);
	while (i < QUEUES && queues[i].is && queues[i].owner == getpid())
		i++;
	if (i < QUEUES) {
		struct queue *q = &queues[i];
		r = open_parts(q);
		q->is = true;
		if (r < 0) {
			close_raw(q->outer);
			close_parts(q);
		} else {
			r = q->outer;
		}
	}
	unlock_all(&former);
	if (r < 0)
		errno = -r;
	return r < 0 ? -1 : r;
}

/* ---- kevent ------------------------------------------------------------------------------------------------------------ */

static int change_filter(struct queue *q, const struct kevent *change)
{
	enum side side = change->filter == EVFILT_READ ? READ_SIDE : WRITE_SIDE;
	if (change->flags & EV_DELETE)
		return fcntl((int)change->ident, F_GETFD) < 0 ? -EBADF : delete_filter(q, (int)change->ident, side);
	return add_filter(q, change, side);
}

static int make_change(struct queue *q, const struct kevent *change)
{
	if (change->flags & ~(unsigned)(EV_ADD | EV_DELETE | EV_CLEAR | EV_RECEIPT | EV_ONESHOT))
		return -EINVAL;
	switch (change->filter) {
	case EVFILT_READ:
	case EVFILT_WRITE:
		return change_filter(q, change);
	case EVFILT_PROC:
		return change->flags & EV_ADD ? add_process(q, change) : -EINVAL;
	case EVFILT_USER:
		return change_user(q, change);
	default:
		return -EINVAL;
	}
}

/* How many entries there are for changes; or an error for which there was no room. */
static int make_changes(struct queue *q, const struct kevent *changes, int count, struct kevent *events, int room)
{
	int used = 0;
	for (int i = 0; i < count; i++) {
		int r = make_change(q, &changes[i]);
		if (r == 0 && !(changes[i].flags & EV_RECEIPT))
			continue;
		if (used == room) {
			if (r < 0)
				return r;
			continue;
		}
		events[used] = changes[i];
		events[used].flags = EV_ERROR;
		events[used++].data = -r;
	}
	return used;
}

static int harvest(struct queue *q, struct kevent *events, int room)
{
	int n = harvest_user(q, events, room);
	n += harvest_processes(q, events + n, room - n);
	for (int side = READ_SIDE; side < SIDES && n < room; side++)
		n += harvest_side(q, (enum side)side, events + n, room - n);
	return n;
}

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Until the outer set says something, or the end; -EINTR; 0 at the end. */
static int doze(int outer, int64_t end)
{
	struct pollfd p = { .fd = outer, .events = POLLIN };
	int64_t left = end == INT64_MAX ? 0 : end - now_ns();
	struct timespec t = { left / 1000000000, left % 1000000000 };
	if (left < 0)
		return 0;
	int n = ppoll(&p, 1, end == INT64_MAX ? NULL : &t, NULL);
	return n < 0 ? -errno : n;
}

/* One locked step: the changes, and what is there. */
static int look(int kq, const struct kevent *changes, int change_count, struct kevent *events, int event_count)
{
	sigset_t former;
	lock_all(&former);
	struct queue *q = find(kq);
	int r = q ? make_changes(q, changes, change_count, events, event_count) : -EBADF;
	if (r == 0)
		r = harvest(q, events, event_count);
	unlock_all(&former);
	return r;
}

int kevent(int kq, const struct kevent *changes, int change_count, struct kevent *events, int event_count,
	   const struct timespec *timeout)
{
	int64_t end = timeout ? now_ns() + (int64_t)timeout->tv_sec * 1000000000 + timeout->tv_nsec : INT64_MAX;
	bool at_once = (timeout && timeout->tv_sec == 0 && timeout->tv_nsec == 0) || event_count == 0;
	int r = look(kq, changes, change_count, events, event_count);
	while (r == 0 && !at_once && (r = doze(kq, end)) > 0)
		r = look(kq, NULL, 0, events, event_count);
	if (r < 0)
		errno = -r;
	return r < 0 ? -1 : r;
}

/* ---- what takes filters away ------------------------------------------------------------------------------------------- */

int close(int fd)
{
	sigset_t former;
	forget_number(fd);
	lock_all(&former);
	struct queue *q = find(fd);
	if (q)
		close_parts(q);
	unlock_all(&former);
	return (int)syscall(SYS_close, fd);
}

int dup2(int from, int to)
{
	if (from != to)
		forget_number(to);
	return from == to ? (fcntl(from, F_GETFD) < 0 ? -1 : to) : (int)syscall(SYS_dup3, from, to, 0);
}
