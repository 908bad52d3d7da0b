/* Select on descriptors, together with channels and joins. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chan_util.h"
#include "net_util.h"
#include "netpoll.h"

static struct weft_case fd_case(int fd, unsigned dirs)
{
	return (struct weft_case){ .op = WEFT_OP_FD, .result = -1, .fd = fd, .dirs = dirs };
}

static struct weft_case recv_case(struct weft_chan *ch)
{
	return (struct weft_case){ .op = WEFT_OP_RECV, .result = -1, .chan = ch };
}

/* A channel that is quiet, and a descriptor, as a coroutine of its own. */
struct select_call {
	struct weft_case cases[2];
	weft_time deadline;
	int result;
	struct weft_co *co;
};

static int run_select(void *arg)
{
	struct select_call *call = arg;
	call->result = weft_select(call->cases, 2, call->deadline);
	return 0;
}

static void start_select(struct select_call *call, struct weft_chan *ch, int fd, unsigned dirs)
{
	*call = (struct select_call){ { recv_case(ch), fd_case(fd, dirs) }, WEFT_NEVER, 0, NULL };
	call->co = spawn_co(NULL, run_select, call);
}

static int finish_select(struct select_call *call)
{
	join_co(call->co);
	return call->result;
}

/* Somebody waits on the channel; give the descriptors, queued at after it, a chance to have somebody as well. */
static void await_select(struct weft_chan *ch)
{
	await_queue(ch, WF_RECEIVERS, 1);
	for (int i = 0; i < 3; i++)
		rest();
}

static void make_pipe(int fds[2], bool known)
{
	CHECK_EQ(pipe(fds), 0);
	for (int i = 0; known && i < 2; i++)
		CHECK_RESULT(weft_adopt(fds[i]), 0);
}

static void close_pipe(const int fds[2], bool known)
{
	for (int i = 0; i < 2; i++)
		if (known)
			CHECK_RESULT(weft_close(fds[i]), 0);
		else
			CHECK_EQ(close(fds[i]), 0);
}

static void put_byte(int fd) { CHECK_EQ(write(fd, "x", 1), 1); }

static void take_byte(int fd)
{
	char c;
	CHECK_EQ(read(fd, &c, 1), 1);
}

/* ---- one call -------------------------------------------------------------------------------------------------------- */

static void check_at_once(bool known)
{
	int fds[2];
	make_pipe(fds, known);
	struct weft_case cases[] = {
		fd_case(fds[0], WEFT_READ),
		fd_case(fds[1], WEFT_WRITE),
		fd_case(fds[0], WEFT_READ | WEFT_WRITE),
	};
	CHECK_RESULT(weft_select(cases, 1, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_select(cases, 1, weft_after(WEFT_MS(1))), -ETIMEDOUT);
	CHECK_RESULT(weft_select(cases, 2, WEFT_NEVER), 1);
	CHECK_EQ(cases[1].result, WEFT_WRITE);
	put_byte(fds[1]);
	CHECK_RESULT(weft_select(cases, 1, WEFT_NOW), 0);
	CHECK_EQ(cases[0].result, WEFT_READ);
	CHECK_RESULT(weft_select(&cases[2], 1, WEFT_NEVER), 0);
	CHECK_EQ(cases[2].result, WEFT_READ);
	close_pipe(fds, known);
}

CO_TEST(known_at_once) { check_at_once(true); }
CO_TEST(stranger_at_once) { check_at_once(false); }

CO_TEST(regular_file_is_always_ready)
{
	FILE *file = tmpfile();
	struct weft_chan *ch = make_chan(0, 0);
	CHECK(file != NULL);
	struct weft_case cases[] = { recv_case(ch), fd_case(fileno(file), WEFT_READ | WEFT_WRITE) };
	CHECK_RESULT(weft_select(cases, 2, WEFT_NOW), 1);
	CHECK_EQ(cases[1].result, WEFT_READ | WEFT_WRITE);
	CHECK_RESULT(weft_select(cases, 2, WEFT_NEVER), 1);
	fclose(file);
	destroy_chan(ch);
}

CO_TEST(not_open)
{
	int fds[2];
	struct weft_chan *ch = make_chan(0, 0);
	make_pipe(fds, false);
	close_pipe(fds, false);
	struct weft_case cases[] = { recv_case(ch), fd_case(fds[0], WEFT_READ) };
	CHECK_RESULT(weft_select(cases, 2, WEFT_NEVER), 1);
	CHECK_EQ(cases[1].result, -EBADF);
	destroy_chan(ch);
}

/* Takes every number below the limit. */
static int take_numbers(int *fds, int max)
{
	int n = 0;
	while (n < max && (fds[n] = dup(0)) >= 0)
		n++;
	return n;
}

CO_TEST(no_more_descriptors)
{
	enum { LIMIT = 64 };
	int fds[2], others[LIMIT];
	struct rlimit limit, few;
	make_pipe(fds, false);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few = (struct rlimit){ LIMIT, limit.rlim_max };
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	int taken = take_numbers(others, LIMIT);
	struct weft_case c = fd_case(fds[0], WEFT_READ);
	CHECK_RESULT(weft_select(&c, 1, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_select(&c, 1, WEFT_NEVER), -EMFILE); /* a stranger is watched through a duplicate */
	while (taken > 0)
		close(others[--taken]);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	close_pipe(fds, false);
}

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

static void check_waits(bool known)
{
	int fds[2];
	struct weft_chan *ch = make_chan(0, 0);
	struct select_call call;
	make_pipe(fds, known);
	for (int i = 0; i < 20; i++) {
		start_select(&call, ch, fds[0], WEFT_READ);
		await_select(ch);
		if (i % 2) {
			put_byte(fds[1]);
			CHECK_RESULT(finish_select(&call), 1);
			CHECK_EQ(call.cases[1].result, WEFT_READ);
			take_byte(fds[0]);
		} else {
			CHECK_RESULT(weft_chan_send(ch, NULL), 0);
			CHECK_RESULT(finish_select(&call), 0);
		}
		await_queue(ch, WF_RECEIVERS, 0);
		if (known)
			await_waiters(fds[0], WF_READ, 0, 0);
	}
	close_pipe(fds, known);
	destroy_chan(ch);
}

CO_TEST(known_waits) { check_waits(true); }
CO_TEST(stranger_waits) { check_waits(false); }

CO_TEST(both_directions)
{
	int fds[2];
	struct weft_chan *ch = make_chan(0, 0);
	struct select_call call;
	unix_pair(fds, SOCK_STREAM);
	size_t filled = fill(fds[0]);
	for (int i = 0; i < 2; i++) {
		start_select(&call, ch, fds[0], WEFT_READ | WEFT_WRITE);
		await_select(ch);
		await_waiters(fds[0], WF_READ, 1, 0);
		await_waiters(fds[0], WF_WRITE, 1, 0);
		if (i == 0)
			CHECK_RESULT(weft_write(fds[1], "x", 1), 1);
		else
			drain(fds[1], filled);
		CHECK_RESULT(finish_select(&call), 1);
		CHECK_EQ(call.cases[1].result, i == 0 ? WEFT_READ : WEFT_WRITE);
		if (i == 0)
			drain(fds[0], 1);
	}
	close_pair(fds);
	destroy_chan(ch);
}

CO_TEST(end_of_file_is_ready)
{
	int fds[2];
	struct weft_chan *ch = make_chan(0, 0);
	struct select_call call;
	make_pipe(fds, true);
	start_select(&call, ch, fds[0], WEFT_READ);
	await_select(ch);
	CHECK_RESULT(weft_close(fds[1]), 0);
	CHECK_RESULT(finish_select(&call), 1);
	CHECK_EQ(call.cases[1].result, WEFT_READ);
	CHECK_RESULT(weft_close(fds[0]), 0);
	destroy_chan(ch);
}

CO_TEST(closed_meanwhile)
{
	int fds[2];
	struct weft_chan *ch = make_chan(0, 0);
	struct select_call call;
	make_pipe(fds, true);
	start_select(&call, ch, fds[0], WEFT_READ);
	await_select(ch);
	CHECK_RESULT(weft_close(fds[0]), 0);
	CHECK_RESULT(finish_select(&call), 1);
	CHECK_EQ(call.cases[1].result, -EBADF);
	CHECK_RESULT(weft_close(fds[1]), 0);
	destroy_chan(ch);
}

/* The deadline of the descriptor is an answer of its case; that of the call is the call's. */
CO_TEST(two_deadlines)
{
	int fds[2];
	struct weft_chan *ch = make_chan(0, 0);
	make_pipe(fds, true);
	struct weft_case cases[] = { recv_case(ch), fd_case(fds[0], WEFT_READ) };
	CHECK_RESULT(weft_set_deadline(fds[0], WEFT_READ, weft_after(WEFT_MS(3))), 0);
	CHECK_RESULT(weft_select(cases, 2, weft_after(WEFT_SEC(50))), 1);
	CHECK_EQ(cases[1].result, -ETIMEDOUT);
	CHECK_RESULT(weft_set_deadline(fds[0], WEFT_READ, weft_after(WEFT_SEC(50))), 0);
	CHECK_RESULT(weft_select(cases, 2, weft_after(WEFT_MS(3))), -ETIMEDOUT);
	CHECK_RESULT(weft_set_deadline(fds[0], WEFT_READ, WEFT_NEVER), 0);
	close_pipe(fds, true);
	destroy_chan(ch);
}

CO_TEST(cancelled)
{
	int fds[2];
	struct weft_chan *ch = make_chan(0, 0);
	struct select_call call;
	make_pipe(fds, true);
	start_select(&call, ch, fds[0], WEFT_READ);
	await_select(ch);
	CHECK_RESULT(weft_cancel(call.co), 0);
	CHECK_RESULT(finish_select(&call), -ECANCELED);
	await_waiters(fds[0], WF_READ, 0, 0);
	close_pipe(fds, true);
	destroy_chan(ch);
}

/* What woke it is gone when it looks: it waits on. */
CO_TEST(somebody_else_was_faster)
{
	int fds[2];
	struct weft_chan *ch = make_chan(0, 0);
	struct select_call call;
	make_pipe(fds, true);
	start_select(&call, ch, fds[0], WEFT_READ);
	await_select(ch);
	struct wf_event nothing = { fds[0], wf_desc_find(fds[0])->seq, WEFT_READ, false };
	CHECK_EQ(wf_desc_events(NULL, &nothing, 1), 1);
	await_select(ch);
	await_waiters(fds[0], WF_READ, 1, 0);
	put_byte(fds[1]);
	CHECK_RESULT(finish_select(&call), 1);
	close_pipe(fds, true);
	destroy_chan(ch);
}

static unsigned edges_of(int fd)
{
	struct wf_desc *d = wf_desc_find(fd);
	wf_lock(&d->lock);
	unsigned edges = d->edges;
	wf_unlock(&d->lock);
	return edges;
}

/* It became ready after the look, and before it was queued at: it must be looked at again. */
CO_TEST(change_after_the_look)
{
	int fds[2];
	struct wf_watch watch;
	make_pipe(fds, true);
	struct wf_worker *w = wf_enter();
	CHECK(wf_watch_begin(&watch, &w, fds[0], WEFT_READ));
	CHECK_RESULT(wf_watch_look(&watch), 0);
	wf_leave(w);
	put_byte(fds[1]);
	EVENTUALLY(edges_of(fds[0]) != watch.edges);
	w = wf_enter();
	struct wf_wait *wait = wf_wait_begin(w, WF_WHY_SELECT, NULL);
	CHECK(!wf_watch_queue(&watch, w, wait));
	wf_wait_abandon(wait);
	wf_watch_end(&watch, &w);
	wf_leave(w);
	await_waiters(fds[0], WF_READ, 0, 0);
	close_pipe(fds, true);
}

CO_TEST(many_descriptors)
{
	enum { N = 20 };
	int fds[N][2];
	struct weft_case cases[N + 1];
	struct weft_chan *ch = make_chan(0, 0);
	for (int i = 0; i < N; i++) {
		make_pipe(fds[i], i % 2);
		cases[i] = fd_case(fds[i][0], WEFT_READ);
	}
	cases[N] = recv_case(ch);
	CHECK_RESULT(weft_select(cases, N + 1, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_select(cases, N + 1, weft_after(WEFT_MS(2))), -ETIMEDOUT);
	for (int i = 0; i < N; i += 3) {
		put_byte(fds[i][1]);
		CHECK_RESULT(weft_select(cases, N + 1, WEFT_NEVER), i);
		take_byte(fds[i][0]);
	}
	for (int i = 0; i < N; i++)
		close_pipe(fds[i], i % 2);
	destroy_chan(ch);
}

/* ---- plain threads --------------------------------------------------------------------------------------------------- */

static void *select_on_thread(void *arg)
{
	run_select(arg);
	return NULL;
}

CO_TEST(thread_waits)
{
	int fds[2];
	struct weft_chan *ch = make_chan(0, 0);
	for (int known = 0; known < 2; known++) {
		make_pipe(fds, known);
		for (int i = 0; i < 4; i++) {
			struct select_call call = { { recv_case(ch), fd_case(fds[0], WEFT_READ) }, WEFT_NEVER, 0, NULL };
			pthread_t thread = start_thread(select_on_thread, &call);
			await_select(ch);
			if (i % 2)
				put_byte(fds[1]);
			else
				CHECK_RESULT(weft_chan_send(ch, NULL), 0);
			join_thread(thread);
			CHECK_RESULT(call.result, i % 2);
			if (i % 2)
				take_byte(fds[0]);
		}
		close_pipe(fds, known);
	}
	destroy_chan(ch);
}

/* ---- many at once ---------------------------------------------------------------------------------------------------- */

struct feed {
	int fd;
	struct weft_chan *ch;
	long n;
};

static int feed_bytes(void *arg)
{
	const struct feed *feed = arg;
	for (long i = 0; i < feed->n; i++)
		CHECK_RESULT(weft_write(feed->fd, "x", 1), 1);
	return 0;
}

static int feed_values(void *arg)
{
	const struct feed *feed = arg;
	for (long i = 0; i < feed->n; i++)
		CHECK_RESULT(weft_chan_send(feed->ch, NULL), 0);
	return 0;
}

/* Bytes and values come at once, and none is missed. */
CO_TEST(bytes_and_values)
{
	int fds[2];
	long n = test_scaled(20000), bytes = 0, values = 0;
	struct weft_chan *ch = make_chan(0, 0);
	tcp_pair(fds);
	struct feed feed = { fds[1], ch, n };
	struct weft_co *a = spawn_co(NULL, feed_bytes, &feed), *b = spawn_co(NULL, feed_values, &feed);
	struct weft_case cases[] = { recv_case(ch), fd_case(fds[0], WEFT_READ) };
	while (bytes < n || values < n) {
		char buf[64];
		if (ok(weft_select(cases, 2, WEFT_NEVER)) == 0)
			values++;
		else
			bytes += ok((int)weft_read(fds[0], buf, sizeof buf));
	}
	CHECK_EQ(bytes, n);
	CHECK_EQ(values, n);
	join_co(a);
	join_co(b);
	close_pair(fds);
	destroy_chan(ch);
}
