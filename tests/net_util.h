/* What the tests of the network layer share. */
#ifndef TEST_NET_UTIL_H
#define TEST_NET_UTIL_H

#include <stdbool.h>
#include <weft/weft.h>

#include "harness.h"
#include "polldesc.h"

/* A listener on a port of its own; its address goes into addr, of at least 64 bytes. */
int listen_somewhere(char *addr);

/* A TCP connection, both ends known to weft. */
void tcp_pair(int fds[2]);

/* A pair of unix sockets of this type, adopted. */
void unix_pair(int fds[2], int type);

void close_pair(const int fds[2]);

/* Waits until this many wait on one side of fd: for an edge, and for their turn. */
void await_waiters(int fd, enum wf_dir dir, int parked, int queued);

/* Whether anybody waits on that side for an edge. */
bool has_waiter(int fd, enum wf_dir dir);

/* Waits until an edge was noted that nobody took. */
void await_ready(int fd, enum wf_dir dir);

/* Waits until the number is no longer weft's. */
void await_unknown(int fd);

/* Descriptors of this process, but for files of /proc and /sys: the runtime opens some for a moment now and then. */
int count_fds(void);

/* How many descriptors are in epoll sets of this process; 0 where the system does not tell. */
int count_registered(void);

/* Writes to a unix socket until no more goes in; returns how much went. */
size_t fill(int fd);

/* Reads n bytes and drops them. */
void drain(int fd, size_t n);

/* The byte at a place of the stream that tests send and check. */
static inline unsigned char pattern(size_t at) { return (unsigned char)(at * 2654435761u >> 13); }
void fill_pattern(unsigned char *buf, size_t n, size_t at);
void check_pattern(const unsigned char *buf, size_t n, size_t at);

/* Coroutines that are joined: spawn_call runs fn(arg), join_call returns its result. */
struct weft_co *spawn_call(weft_fn *fn, void *arg);
int join_call(struct weft_co *co);

/* For spawn_call, arg a descriptor: reads the pattern to its end, returns how much; waits for a writer that waits for room, whose
 * deadline then has come. */
int read_checked(void *arg);
int set_past_when_full(void *arg);

/* A read, accept, write, ... of one descriptor as a coroutine; the result is the call's, a count or an error. */
struct call {
	int fd;
	void *buf;
	size_t n;
	int64_t deadline;
	struct weft_co *co;
	ssize_t result;
};
struct call *start_read(struct call *call, int fd, void *buf, size_t n);
struct call *start_write(struct call *call, int fd, const void *buf, size_t n);
struct call *start_accept(struct call *call, int fd);
struct call *start_wait_fd(struct call *call, int fd, unsigned dirs, int64_t deadline);
ssize_t finish(struct call *call);

/* Runs fn(arg) on a plain thread, while the calling coroutine parks. */
int on_thread(weft_fn *fn, void *arg);

#endif
