#include "net_util.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

int listen_somewhere(char *addr)
{
	struct sockaddr_in name;
	socklen_t len = sizeof name;
	int fd = weft_listen("127.0.0.1:0", 0);
	CHECK_OK(fd);
	CHECK_EQ(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	snprintf(addr, 64, "127.0.0.1:%d", ntohs(name.sin_port));
	return fd;
}

void tcp_pair(int fds[2])
{
	char addr[64];
	int listener = listen_somewhere(addr);
	CHECK_OK(fds[0] = weft_dial(addr, weft_after(WEFT_SEC(20))));
	CHECK_OK(fds[1] = weft_accept(listener, NULL, NULL));
	CHECK_RESULT(weft_close(listener), 0);
}

void unix_pair(int fds[2], int type)
{
	CHECK_EQ(socketpair(AF_UNIX, type, 0, fds), 0);
	CHECK_RESULT(weft_adopt(fds[0]), 0);
	CHECK_RESULT(weft_adopt(fds[1]), 0);
}

void close_pair(const int fds[2])
{
	CHECK_RESULT(weft_close(fds[0]), 0);
	CHECK_RESULT(weft_close(fds[1]), 0);
}

int count_fds(void)
{
	int n = 0;
	DIR *dir = opendir("/proc/self/fd");
	CHECK(dir != NULL);
	for (struct dirent *entry; (entry = readdir(dir));) {
		char path[512] = "";
		if (readlinkat(dirfd(dir), entry->d_name, path, sizeof path - 1) > 0)
			n += strncmp(path, "/proc/", 6) != 0 && strncmp(path, "/sys/", 5) != 0;
	}
	closedir(dir);
	return n;
}

int count_registered(void)
{
	int n = 0;
	for (int fd = 0; fd < 64; fd++) {
		char name[64], line[256];
		snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
		FILE *info = fopen(name, "r");
		while (info && fgets(line, sizeof line, info))
			n += strncmp(line, "tfd:", 4) == 0;
		if (info)
			fclose(info);
	}
	return n;
}

static int length(const struct wf_waitq *queue)
{
	int n = 0;
	for (const struct wf_link *l = wf_list_first(&queue->list); l && l != &queue->list.head; l = l->next)
		n++;
	return n;
}

static bool look(int fd, bool (*holds)(const struct wf_desc *, const int *), const int *args)
{
	struct wf_desc *d = wf_desc_find(fd);
	if (!d)
		return false;
	wf_lock(&d->lock);
	bool result = holds(d, args);
	wf_unlock(&d->lock);
	return result;
}

static void await(int fd, bool (*holds)(const struct wf_desc *, const int *), const int *args)
{
	while (!look(fd, holds, args))
		weft_yield();
}

static bool has_waiters(const struct wf_desc *d, const int *args)
{
	const struct wf_side *side = &d->sides[args[0]];
	return d->state != WF_DESC_UNKNOWN && length(&side->parked) == args[1] && length(&side->turns) == args[2];
}

void await_waiters(int fd, enum wf_dir dir, int parked, int queued)
{
	await(fd, has_waiters, (int[]){ (int)dir, parked, queued });
}

static bool has_parked(const struct wf_desc *d, const int *args)
{
	return length(&d->sides[args[0]].parked) > 0;
}

bool has_waiter(int fd, enum wf_dir dir)
{
	return look(fd, has_parked, (int[]){ (int)dir });
}

static bool is_ready(const struct wf_desc *d, const int *args)
{
	return d->sides[args[0]].ready;
}

void await_ready(int fd, enum wf_dir dir)
{
	await(fd, is_ready, (int[]){ (int)dir });
}

static bool is_unknown(const struct wf_desc *d, const int *args)
{
	(void)args;
	return d->state == WF_DESC_UNKNOWN;
}

void await_unknown(int fd)
{
	await(fd, is_unknown, NULL);
}

size_t fill(int fd)
{
	static const char zeros[65536];
	size_t total = 0;
	ssize_t n;
	int family;
	socklen_t len = sizeof family;
	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len), 0);
	CHECK_EQ(family, AF_UNIX); /* TCP moves data on later, and then takes more */
	while ((n = weft_send(fd, zeros, sizeof zeros, MSG_DONTWAIT)) > 0)
		total += (size_t)n;
	CHECK_RESULT(n, -EAGAIN);
	return total;
}

void drain(int fd, size_t n)
{
	char buf[16384];
	while (n > 0) {
		ssize_t got = weft_read(fd, buf, n < sizeof buf ? n : sizeof buf);
		CHECK_GT(got, 0);
		n -= (size_t)got;
	}
}

void fill_pattern(unsigned char *buf, size_t n, size_t at)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = pattern(at + i);
}

void check_pattern(const unsigned char *buf, size_t n, size_t at)
{
	for (size_t i = 0; i < n; i++)
		CHECK_EQ(buf[i], pattern(at + i));
}

int read_checked(void *arg)
{
	int fd = *(int *)arg;
	unsigned char buf[8192];
	size_t at = 0;
	ssize_t n;
	while ((n = weft_read(fd, buf, sizeof buf)) > 0) {
		check_pattern(buf, (size_t)n, at);
		at += (size_t)n;
	}
	CHECK_EQ(n, 0);
	return (int)at;
}

int set_past_when_full(void *arg)
{
	int fd = *(int *)arg;
	await_waiters(fd, WF_WRITE, 1, 0);
	return weft_set_deadline(fd, WEFT_WRITE, weft_now());
}

struct weft_co *spawn_call(weft_fn *fn, void *arg)
{
	struct weft_co *co;
	CHECK_OK(weft_spawn(&co, NULL, fn, arg));
	return co;
}

int join_call(struct weft_co *co)
{
	int result;
	CHECK_RESULT(weft_join(co, &result), 0);
	return result;
}

static int run_read(void *arg)
{
	struct call *call = arg;
	call->result = weft_read(call->fd, call->buf, call->n);
	return 0;
}

static int run_write(void *arg)
{
	struct call *call = arg;
	call->result = weft_write(call->fd, call->buf, call->n);
	return 0;
}

static int run_accept(void *arg)
{
	struct call *call = arg;
	call->result = weft_accept(call->fd, NULL, NULL);
	return 0;
}

static int run_wait_fd(void *arg)
{
	struct call *call = arg;
	call->result = weft_wait_fd(call->fd, (unsigned)call->n, call->deadline);
	return 0;
}

static struct call *start(struct call *call, weft_fn *fn, int fd, void *buf, size_t n)
{
	call->fd = fd;
	call->buf = buf;
	call->n = n;
	call->co = spawn_call(fn, call);
	return call;
}

struct call *start_read(struct call *call, int fd, void *buf, size_t n)
{
	return start(call, run_read, fd, buf, n);
}

struct call *start_write(struct call *call, int fd, const void *buf, size_t n)
{
	return start(call, run_write, fd, (void *)(uintptr_t)buf, n);
}

struct call *start_accept(struct call *call, int fd)
{
	return start(call, run_accept, fd, NULL, 0);
}

struct call *start_wait_fd(struct call *call, int fd, unsigned dirs, int64_t deadline)
{
	call->deadline = deadline;
	return start(call, run_wait_fd, fd, NULL, dirs);
}

ssize_t finish(struct call *call)
{
	join_call(call->co);
	return call->result;
}

struct errand {
	weft_fn *fn;
	void *arg;
	int result;
	int done; /* eventfd */
};

static void *run_errand(void *arg)
{
	struct errand *e = arg;
	e->result = e->fn(e->arg);
	uint64_t one = 1;
	CHECK_EQ(write(e->done, &one, sizeof one), (ssize_t)sizeof one);
	return NULL;
}

int on_thread(weft_fn *fn, void *arg)
{
	struct errand e = { fn, arg, 0, eventfd(0, 0) };
	pthread_t thread;
	uint64_t one;
	CHECK_RESULT(weft_adopt(e.done), 0);
	CHECK_EQ(pthread_create(&thread, NULL, run_errand, &e), 0);
	CHECK_EQ(weft_read(e.done, &one, sizeof one), (ssize_t)sizeof one);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_RESULT(weft_close(e.done), 0);
	return e.result;
}
