/* The shim keeps to what kqueue(2) promises (tests/shim/kqueue.c), or what runs over it shows nothing. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static const struct timespec at_once;
static char mark_a, mark_b;

static struct kevent change(int fd, int filter, int flags, void *udata)
{
	return (struct kevent){ .ident = (uintptr_t)fd, .filter = (int16_t)filter, .flags = (uint16_t)flags, .udata = udata };
}

static void add(int kq, int fd, int filter, int flags, void *udata)
{
	struct kevent c = change(fd, filter, EV_ADD | flags, udata);
	CHECK_EQ(kevent(kq, &c, 1, NULL, 0, NULL), 0);
}

static int take(int kq, struct kevent *events, int room)
{
	return kevent(kq, NULL, 0, events, room, &at_once);
}

TEST(receipts_and_errors)
{
	int kq = kqueue(), fds[2];
	struct kevent events[4], changes[3];
	CHECK_GE(kq, 0);
	CHECK_EQ(pipe(fds), 0);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	changes[0] = change(fds[0], EVFILT_READ, EV_ADD | EV_RECEIPT, NULL);
	changes[1] = change(999, EVFILT_READ, EV_ADD, NULL);
	changes[2] = change(fds[0], EVFILT_WRITE, EV_DELETE, NULL);
	CHECK_EQ(kevent(kq, changes, 3, events, 4, NULL), 3); /* does not wait, and shows no event yet */
	CHECK_EQ(events[0].flags & EV_ERROR, EV_ERROR);
	CHECK_EQ(events[0].data, 0);
	CHECK_EQ(events[1].data, EBADF);
	CHECK_EQ(events[1].ident, 999);
	CHECK_EQ(events[2].data, ENOENT);
	CHECK_EQ(kevent(kq, &changes[1], 1, NULL, 0, NULL), -1); /* no room: the error of the call */
	CHECK_EQ(errno, EBADF);
	CHECK_EQ(take(kq, events, 4), 1);
	CHECK_EQ(events[0].data, 1);
	CHECK_EQ(kevent(-1, NULL, 0, events, 4, &at_once), -1);
	CHECK_EQ(errno, EBADF);
}

TEST(clear_means_once)
{
	int kq = kqueue(), fds[2];
	struct kevent event;
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	add(kq, fds[0], EVFILT_READ, EV_CLEAR, &mark_a);
	CHECK_EQ(take(kq, &event, 1), 0);
	CHECK_EQ(write(fds[1], "abc", 3), 3);
	CHECK_EQ(take(kq, &event, 1), 1);
	CHECK_EQ(event.data, 3);
	CHECK(event.udata == &mark_a);
	CHECK_EQ(take(kq, &event, 1), 0);
	CHECK_EQ(write(fds[1], "d", 1), 1);
	CHECK_EQ(take(kq, &event, 1), 1);
	CHECK_EQ(event.data, 4);
	add(kq, fds[0], EVFILT_READ, EV_CLEAR, &mark_b); /* again: new udata, and an event for what is there */
	CHECK_EQ(take(kq, &event, 1), 1);
	CHECK(event.udata == &mark_b);
	add(kq, fds[0], EVFILT_READ, 0, &mark_b);
	CHECK_EQ(take(kq, &event, 1), 1);
	CHECK_EQ(take(kq, &event, 1), 1);
}

TEST(directions_are_apart)
{
	int kq = kqueue(), fds[2];
	struct kevent events[4];
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	add(kq, fds[0], EVFILT_READ, EV_CLEAR, NULL);
	add(kq, fds[0], EVFILT_WRITE, EV_CLEAR, NULL);
	CHECK_EQ(take(kq, events, 4), 1);
	CHECK_EQ(events[0].filter, EVFILT_WRITE);
	CHECK_GT(events[0].data, 0);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK_EQ(take(kq, events, 4), 1);
	CHECK_EQ(events[0].filter, EVFILT_READ);
}

TEST(ends)
{
	int kq = kqueue(), fds[2], ends[2];
	struct kevent events[4], c;
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	add(kq, fds[0], EVFILT_READ, EV_CLEAR, NULL);
	CHECK_EQ(shutdown(fds[1], SHUT_WR), 0);
	CHECK_EQ(take(kq, events, 4), 1);
	CHECK_EQ(events[0].flags & EV_EOF, EV_EOF);
	CHECK_EQ(events[0].data, 0);
	CHECK_EQ(pipe(ends), 0);
	add(kq, ends[1], EVFILT_READ, EV_CLEAR, NULL);
	add(kq, ends[1], EVFILT_WRITE, EV_CLEAR, NULL);
	CHECK_EQ(take(kq, events, 4), 1);
	close(ends[0]);
	CHECK_EQ(take(kq, events, 4), 1); /* by the filter for reading alone */
	CHECK_EQ(events[0].filter, EVFILT_READ);
	CHECK_EQ(events[0].flags & EV_EOF, EV_EOF);
	c = change(ends[1], EVFILT_WRITE, EV_ADD, NULL);
	CHECK_EQ(kevent(kq, &c, 1, NULL, 0, NULL), -1);
	CHECK_EQ(errno, EPIPE);
}

TEST(close_takes_filters_away)
{
	int kq = kqueue(), fds[2], copy;
	struct kevent events[4], c;
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	add(kq, fds[0], EVFILT_READ, EV_CLEAR, NULL);
	CHECK_GE(copy = dup(fds[0]), 0); /* the file stays open, the number does not */
	close(fds[0]);
	CHECK_EQ(take(kq, events, 4), 0);
	CHECK_EQ(dup2(copy, fds[0]), fds[0]);
	CHECK_EQ(take(kq, events, 4), 0);
	c = change(fds[0], EVFILT_READ, EV_DELETE, NULL);
	CHECK_EQ(kevent(kq, &c, 1, NULL, 0, NULL), -1);
	CHECK_EQ(errno, ENOENT);
	add(kq, fds[0], EVFILT_READ, EV_CLEAR, NULL);
	CHECK_EQ(dup2(copy, fds[0]), fds[0]);
	CHECK_EQ(take(kq, events, 4), 0);
	CHECK_EQ(close(-1), -1);
	CHECK_EQ(errno, EBADF);
	CHECK_EQ(close(kq), 0);
	CHECK_EQ(take(kq, events, 4), -1);
	CHECK_EQ(errno, EBADF);
}

static void *trigger_soon(void *arg)
{
	struct kevent c = { .ident = 7, .filter = EVFILT_USER, .fflags = NOTE_TRIGGER };
	usleep(1000);
	CHECK_EQ(kevent(*(int *)arg, &c, 1, NULL, 0, NULL), 0);
	return NULL;
}

TEST(user_events)
{
	int kq = kqueue();
	struct kevent event, c = { .ident = 7, .filter = EVFILT_USER, .flags = EV_ADD | EV_CLEAR, .udata = &mark_a };
	pthread_t thread;
	CHECK_EQ(kevent(kq, &c, 1, NULL, 0, NULL), 0);
	CHECK_EQ(take(kq, &event, 1), 0);
	c = (struct kevent){ .ident = 7, .filter = EVFILT_USER, .fflags = NOTE_TRIGGER };
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(kevent(kq, &c, 1, NULL, 0, NULL), 0);
		CHECK_EQ(kevent(kq, &c, 1, NULL, 0, NULL), 0);
		CHECK_EQ(take(kq, &event, 1), 1);
		CHECK(event.udata == &mark_a);
		CHECK_EQ(take(kq, &event, 1), 0);
	}
	CHECK_EQ(pthread_create(&thread, NULL, trigger_soon, &kq), 0);
	CHECK_EQ(kevent(kq, NULL, 0, &event, 1, NULL), 1);
	CHECK_EQ(event.ident, 7);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	c.ident = 8;
	CHECK_EQ(kevent(kq, &c, 1, NULL, 0, NULL), -1);
	CHECK_EQ(errno, ENOENT);
}

TEST(ends_of_processes)
{
	int kq = kqueue(), fds[2], status;
	struct kevent event, c = { .filter = EVFILT_PROC, .flags = EV_ADD, .fflags = NOTE_EXIT, .udata = &mark_b };
	CHECK_EQ(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		char byte;
		_exit(read(fds[0], &byte, 1) == 1 ? 7 : 8);
	}
	c.ident = (uintptr_t)pid;
	CHECK_EQ(kevent(kq, &c, 1, NULL, 0, NULL), 0);
	CHECK_EQ(take(kq, &event, 1), 0);
	CHECK_EQ(poll(&(struct pollfd){ .fd = kq, .events = POLLIN }, 1, 0), 0);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK_EQ(poll(&(struct pollfd){ .fd = kq, .events = POLLIN }, 1, -1), 1); /* a queue can be waited for */
	CHECK_EQ(take(kq, &event, 1), 1);
	CHECK_EQ(event.fflags, NOTE_EXIT);
	CHECK_EQ(event.data, 7);
	CHECK(event.udata == &mark_b);
	CHECK_EQ(take(kq, &event, 1), 0); /* once */
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(kevent(kq, &c, 1, NULL, 0, NULL), -1);
	CHECK_EQ(errno, ESRCH);
}

static void do_nothing(int signal) { (void)signal; }

static void *interrupt(void *arg)
{
	for (int i = 0; i < 20; i++) {
		usleep(1000);
		pthread_kill(*(pthread_t *)arg, SIGUSR1);
	}
	return NULL;
}

TEST(waits_end)
{
	int kq = kqueue();
	struct kevent event;
	pthread_t self = pthread_self(), thread;
	CHECK_EQ(kevent(kq, NULL, 0, &event, 1, &(struct timespec){ 0, 1500000 }), 0);
	CHECK_EQ(sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = do_nothing }, NULL), 0);
	CHECK_EQ(pthread_create(&thread, NULL, interrupt, &self), 0);
	CHECK_EQ(kevent(kq, NULL, 0, &event, 1, NULL), -1);
	CHECK_EQ(errno, EINTR);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(a_fork_has_no_queue)
{
	int kq = kqueue(), fds[2], status;
	struct kevent event;
	CHECK_EQ(pipe(fds), 0);
	add(kq, fds[0], EVFILT_READ, EV_CLEAR, NULL);
	pid_t pid = fork();
	if (pid == 0) {
		close(fds[0]); /* takes nothing away from the parent */
		_exit(take(kq, &event, 1) == -1 && errno == EBADF ? 0 : 1);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK_EQ(take(kq, &event, 1), 1);
}
