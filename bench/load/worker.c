#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

enum { EVENTS = 512, IDLE_WAIT_NS = 20000000 };

static bool is_open_loop(void) { return opt.rate > 0; }

static bool counts(const struct worker *w, int64_t start) { return start >= w->begin && start < w->end; }

/* ---- sending ----------------------------------------------------------------------------------------------------------- */

static void watch(struct worker *w, struct conn *c, int op)
{
	struct epoll_event event = { .events = EPOLLIN | (c->wants_write ? EPOLLOUT : 0u), .data.ptr = c };
	epoll_ctl(w->epoll, op, c->fd, &event);
}

static void give_up(struct worker *w, struct conn *c)
{
	w->tally.unanswered += c->asked - c->answered;
	c->asked = c->answered;
	conn_reset(c->fd);
	c->fd = -1;
}

static void flush(struct worker *w, struct conn *c)
{
	bool wants_write = false;
	while (c->sent < c->wanted && !wants_write) {
		ssize_t n = send(c->fd, w->out, wire_fill(c, w->out), MSG_NOSIGNAL);
		if (n >= 0) {
			c->sent += (uint64_t)n;
		} else if (errno == EAGAIN) {
			wants_write = true;
		} else if (errno != EINTR) {
			w->tally.refused++;
			give_up(w, c);
			return;
		}
	}
	if (wants_write != c->wants_write) {
		c->wants_write = wants_write;
		watch(w, c, EPOLL_CTL_MOD);
	}
}

/* When the number-th request of this thread is due; connections take turns. */
static int64_t due_at(const struct worker *w, uint64_t number) { return w->base + (int64_t)((double)number * w->gap); }

static uint64_t free_places(const struct conn *c) { return (uint64_t)opt.depth - (c->asked - c->answered); }

/* Begins as many requests as the connection has places for: all of them until the end in a closed loop, those that are due in an
 * open one. Their latency counts from when they were due, however long they waited here. */
static void ask(struct worker *w, struct conn *c, int64_t now)
{
	uint64_t n = free_places(c), before = c->wanted;
	if (is_open_loop() && n > c->due - c->asked)
		n = c->due - c->asked;
	if (!is_open_loop() && now >= w->end)
		n = 0;
	for (; n > 0; n--, c->asked++, c->wanted += wire_unit())
		c->starts[c->asked % (uint64_t)opt.depth] = !is_open_loop() ? now :
			due_at(w, c->asked * (uint64_t)w->nconns + (uint64_t)(c - w->conns));
	if (c->wanted != before)
		flush(w, c);
}

static void come_due(struct worker *w, int64_t now)
{
	for (int64_t due; (due = due_at(w, w->ndue)) <= now && due < w->end; w->ndue++) {
		struct conn *c = &w->conns[w->ndue % (uint64_t)w->nconns];
		if (counts(w, due) && c->due == c->asked && free_places(c) > 0)
			hist_add(&w->tally.behind, now_ns() - due);
		c->due++;
		if (c->fd >= 0)
			ask(w, c, now);
	}
}

/* ---- receiving --------------------------------------------------------------------------------------------------------- */

/* Churn: the next connection of this place, with its one batch of requests. */
static void begin_next(struct worker *w, struct conn *c, int64_t now)
{
	c->stream = w->next;
	c->fd = now < w->end ? conn_begin(w->next) : -1;
	w->next += (uint32_t)opt.threads;
	c->wanted = c->sent = c->received = c->asked = c->answered = 0;
	c->ncarried = 0;
	c->wants_write = false;
	if (c->fd >= 0) {
		watch(w, c, EPOLL_CTL_ADD);
		ask(w, c, now);
	} else if (now < w->end) {
		w->tally.refused++;
	}
}

static void lose(struct worker *w, struct conn *c)
{
	give_up(w, c);
	if (opt.churn)
		begin_next(w, c, now_ns());
}

static void note(struct worker *w, struct conn *c, int answers, int64_t now)
{
	for (; answers > 0; answers--, c->answered++) {
		int64_t start = c->starts[c->answered % (uint64_t)opt.depth];
		if (!counts(w, start))
			continue;
		hist_add(&w->tally.latency, now - start);
		c->counted++;
	}
}

static void receive(struct worker *w, struct conn *c)
{
	ssize_t n = recv(c->fd, w->in, BUFFER, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	int64_t now = now_ns();
	if (n <= 0) {
		w->tally.refused++;
		lose(w, c);
		return;
	}
	int answers = wire_check(w, c, w->in, (size_t)n);
	if (answers < 0) {
		lose(w, c);
		return;
	}
	if (counts(w, now))
		w->tally.bytes += (uint64_t)n;
	note(w, c, answers, now);
	if (opt.churn && c->asked == c->answered) {
		close(c->fd);
		begin_next(w, c, now);
	} else if (!opt.churn && answers > 0) {
		ask(w, c, now);
	}
}

static void handle(struct worker *w, const struct epoll_event *event)
{
	struct conn *c = event->data.ptr;
	if (c->fd >= 0 && event->events & EPOLLOUT)
		flush(w, c);
	if (c->fd >= 0 && event->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		receive(w, c);
}

/* ---- the thread -------------------------------------------------------------------------------------------------------- */

static bool is_under_way(const struct worker *w)
{
	for (long i = 0; i < w->nconns; i++) {
		const struct conn *c = &w->conns[i];
		if (c->fd >= 0 && (c->asked != c->answered || c->due > c->asked))
			return true;
	}
	return false;
}

/* What comes in after the last answer was asked for by nobody. */
static void look_for_more(struct worker *w)
{
	char byte;
	usleep(10000);
	for (long i = 0; i < w->nconns; i++) {
		struct conn *c = &w->conns[i];
		w->tally.unanswered += c->asked - c->answered;
		w->tally.unsent += c->due > c->asked ? c->due - c->asked : 0;
		if (c->fd >= 0 && c->asked == c->answered && (c->ncarried || recv(c->fd, &byte, 1, MSG_DONTWAIT) > 0))
			w->tally.wrong++;
	}
}

static int64_t time_to_wait(const struct worker *w, int64_t now)
{
	int64_t until = now + IDLE_WAIT_NS;
	if (is_open_loop() && due_at(w, w->ndue) < w->end && due_at(w, w->ndue) < until)
		until = due_at(w, w->ndue);
	if (now < w->end && w->end < until)
		until = w->end;
	int64_t left = until - now_ns();
	return left > 0 ? left : 0;
}

void *worker_run(void *worker)
{
	struct worker *w = worker;
	struct epoll_event events[EVENTS];
	int64_t now = now_ns();
	prctl(PR_SET_TIMERSLACK, 1); /* ns; 50,000 is the rule, which is a request's gap */
	for (long i = 0; i < w->nconns && !is_open_loop(); i++) {
		if (opt.churn)
			begin_next(w, &w->conns[i], now);
		else if (w->conns[i].fd >= 0)
			ask(w, &w->conns[i], now);
	}
	for (;;) {
		now = now_ns();
		if (is_open_loop())
			come_due(w, now);
		if (now >= w->end && (now >= w->end + (int64_t)(opt.drain * 1e9) || !is_under_way(w)))
			break;
		int64_t ns = time_to_wait(w, now);
		int n = epoll_pwait2(w->epoll, events, EVENTS, &(struct timespec){ ns / 1000000000, ns % 1000000000 }, NULL);
		for (int i = 0; i < n; i++)
			handle(w, &events[i]);
	}
	look_for_more(w);
	return NULL;
}

static void open_conn(struct worker *w, struct conn *c)
{
	c->starts = calloc((size_t)opt.depth, sizeof *c->starts);
	c->fd = -1;
	if (opt.churn)
		return;
	c->stream = w->next;
	c->fd = conn_dial(w->next);
	w->next += (uint32_t)opt.threads;
	if (c->fd < 0) {
		w->tally.refused++;
		return;
	}
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	watch(w, c, EPOLL_CTL_ADD);
}

void worker_init(struct worker *w, int id)
{
	char *buffers = malloc(3 * BUFFER);
	w->id = id;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->nconns = opt.conns / opt.threads + (id < opt.conns % opt.threads);
	w->conns = calloc((size_t)w->nconns, sizeof *w->conns);
	w->next = (uint32_t)(opt.idle + id);
	if (!buffers || !w->conns || w->epoll < 0) {
		perror("load");
		exit(1);
	}
	w->out = buffers;
	w->in = buffers + 2 * BUFFER;
	for (long i = 0; i < w->nconns; i++)
		open_conn(w, &w->conns[i]);
}

/* Open loop: the threads' schedules interleave. */
void worker_schedule(struct worker *w, int64_t begin, int64_t end)
{
	w->begin = begin;
	w->end = end;
	w->gap = is_open_loop() ? 1e9 * (double)opt.threads / opt.rate : 0;
	w->base = now_ns() + (int64_t)(w->gap * w->id / (double)opt.threads);
}

void worker_end(struct worker *w)
{
	for (long i = 0; i < w->nconns; i++) {
		if (w->conns[i].fd >= 0)
			conn_reset(w->conns[i].fd);
		free(w->conns[i].starts);
		free(w->conns[i].carried);
	}
	free(w->conns);
	free(w->out);
	close(w->epoll);
}
