/* Closing, releasing, and numbers that come back. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_util.h"

CO_TEST(close_wakes_everybody)
{
	enum { EACH = 4 };
	int fds[2];
	char c;
	struct call readers[EACH], writers[EACH], watcher;
	unix_pair(fds, SOCK_STREAM);
	fill(fds[0]);
	for (int i = 0; i < EACH; i++) {
		start_read(&readers[i], fds[0], &c, 1);
		await_waiters(fds[0], WF_READ, 1, i);
		start_write(&writers[i], fds[0], "x", 1);
		await_waiters(fds[0], WF_WRITE, 1, i);
	}
	start_wait_fd(&watcher, fds[0], WEFT_READ | WEFT_WRITE, WEFT_NEVER);
	await_waiters(fds[0], WF_READ, 2, EACH - 1);
	CHECK_RESULT(weft_close(fds[0]), 0);
	CHECK_RESULT(weft_close(fds[0]), -EBADF);
	for (int i = 0; i < EACH; i++) {
		CHECK_RESULT(finish(&readers[i]), -EBADF);
		CHECK_RESULT(finish(&writers[i]), -EBADF);
	}
	CHECK_RESULT(finish(&watcher), -EBADF);
	await_unknown(fds[0]);
	CHECK_RESULT(weft_read(fds[0], &c, 1), -EBADF);
	CHECK_EQ(fcntl(fds[0], F_GETFD), -1);
	CHECK_RESULT(weft_close(fds[1]), 0);
}

CO_TEST(close_wakes_acceptors)
{
	enum { EACH = 4 };
	char addr[64];
	struct call acceptors[EACH];
	int listener = listen_somewhere(addr);
	for (int i = 0; i < EACH; i++) {
		start_accept(&acceptors[i], listener);
		await_waiters(listener, WF_READ, 1, i);
	}
	CHECK_RESULT(weft_close(listener), 0);
	for (int i = 0; i < EACH; i++)
		CHECK_RESULT(finish(&acceptors[i]), -EBADF);
	CHECK_RESULT(weft_dial(addr, WEFT_NEVER), -ECONNREFUSED);
}

CO_TEST(never_known)
{
	char c;
	int strangers[] = { -1, 0, 1 << 20, 0x7fffffff };
	for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
		int fd = strangers[i];
		CHECK_RESULT(weft_read(fd, &c, 1), -EBADF);
		CHECK_RESULT(weft_write(fd, &c, 1), -EBADF);
		CHECK_RESULT(weft_accept(fd, NULL, NULL), -EBADF);
		CHECK_RESULT(weft_connect(fd, NULL, 0), -EBADF);
		CHECK_RESULT(weft_close(fd), -EBADF);
		CHECK_RESULT(weft_release(fd), -EBADF);
		CHECK_RESULT(weft_shutdown_fd(fd, SHUT_RD), -EBADF);
		if (fd != 0)
			CHECK_RESULT(weft_adopt(fd), -EBADF);
	}
}

static int close_it(void *arg) { return weft_close(*(int *)arg); }

static int read_once(void *arg)
{
	char c;
	return (int)weft_read(*(int *)arg, &c, 1);
}

CO_TEST(close_from_a_plain_thread)
{
	int fds[2];
	char c;
	struct call reader;
	tcp_pair(fds);
	start_read(&reader, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 1, 0);
	CHECK_RESULT(on_thread(close_it, &fds[0]), 0);
	CHECK_RESULT(finish(&reader), -EBADF);
	CHECK_RESULT(weft_close(fds[1]), 0);
}

static int close_when_read(void *arg)
{
	const int *fds = arg;
	await_waiters(fds[0], WF_READ, 1, 0);
	return weft_close(fds[0]);
}

CO_TEST(close_under_a_plain_thread)
{
	int fds[2];
	tcp_pair(fds);
	struct weft_co *closer = spawn_call(close_when_read, fds);
	CHECK_RESULT(on_thread(read_once, &fds[0]), -EBADF);
	CHECK_EQ(join_call(closer), 0);
	CHECK_RESULT(weft_close(fds[1]), 0);
}

/* ---- numbers that come back ---------------------------------------------------------------------------------------- */

/* Readers, writers and events of one file, while the number goes to the next, over and over: everybody sees their own file or
 * -EBADF, nobody hangs, nobody reads a byte of another file. */
struct reuse {
	int listener;
	const char *addr;
	int rounds;
	wf_u32 stop;
};

static int answer_all(void *arg)
{
	struct reuse *reuse = arg;
	for (;;) {
		int fd = weft_accept(reuse->listener, NULL, NULL);
		if (fd == -EBADF)
			return 0;
		CHECK_OK(fd);
		unsigned char id[4], reply[64];
		if (weft_read_full(fd, id, sizeof id, NULL) == 0) {
			for (size_t i = 0; i < sizeof reply; i++)
				reply[i] = id[i % sizeof id];
			(void)!weft_write(fd, reply, sizeof reply);
		}
		weft_close(fd);
	}
}

struct victim {
	int fd;
	unsigned char id[4];
};

static int read_own(void *arg)
{
	struct victim *victim = arg;
	unsigned char buf[64];
	ssize_t n = weft_read(victim->fd, buf, sizeof buf);
	CHECK(n > 0 || n == -EBADF || n == -ECONNRESET || n == 0);
	for (ssize_t i = 0; i < n; i++)
		CHECK_EQ(buf[i], victim->id[(size_t)i % sizeof victim->id]);
	return 0;
}

/* The reader is inside when the number is closed: before the answer comes, with it, or after it. */
static int connect_and_close(void *arg)
{
	struct reuse *reuse = arg;
	static wf_u32 ids;
	for (int i = 0; i < reuse->rounds; i++) {
		unsigned id = wf_u32_add(&ids, 1);
		struct victim victim = { .fd = weft_dial(reuse->addr, WEFT_NEVER) };
		CHECK_OK(victim.fd);
		memcpy(victim.id, &id, sizeof victim.id);
		struct weft_co *reader = spawn_call(read_own, &victim);
		await_waiters(victim.fd, WF_READ, 1, 0);
		CHECK_EQ(weft_write(victim.fd, victim.id, sizeof victim.id), (ssize_t)sizeof victim.id);
		if (i % 4 == 1)
			weft_yield();
		else if (i % 4 == 2)
			weft_sleep(WEFT_US(i % 50));
		else if (i % 4 == 3)
			CHECK_EQ(join_call(reader), 0);
		CHECK_RESULT(weft_close(victim.fd), 0);
		if (i % 4 != 3)
			CHECK_EQ(join_call(reader), 0);
	}
	return 0;
}

CO_TEST(reuse_of_numbers)
{
	enum { CLIENTS = 8, SERVERS = 4 };
	char addr[64];
	struct weft_co *clients[CLIENTS], *servers[SERVERS];
	struct reuse reuse = { listen_somewhere(addr), addr, test_scaled(600), 0 };
	for (int i = 0; i < SERVERS; i++)
		servers[i] = spawn_call(answer_all, &reuse);
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = spawn_call(connect_and_close, &reuse);
	for (int i = 0; i < CLIENTS; i++)
		CHECK_EQ(join_call(clients[i]), 0);
	CHECK_RESULT(weft_close(reuse.listener), 0);
	for (int i = 0; i < SERVERS; i++)
		CHECK_EQ(join_call(servers[i]), 0);
}

/* An event of the former file must not be taken for one of the present. */
CO_TEST(event_of_a_former_file)
{
	int fds[2], pair[2];
	struct call reader;
	char c;
	tcp_pair(fds);
	unsigned seq = wf_desc_find(fds[0])->seq;
	close_pair(fds);
	await_unknown(fds[0]);
	tcp_pair(pair);
	int fd = pair[0] == fds[0] ? pair[0] : pair[1];
	if (fd != fds[0])
		SKIP("the number was not used again");
	start_read(&reader, fd, &c, 1);
	await_waiters(fd, WF_READ, 1, 0);
	struct wf_event late = { fd, seq, WEFT_READ | WEFT_WRITE, true };
	CHECK_EQ(wf_desc_events(NULL, &late, 1), 0);
	CHECK(!wf_desc_find(fd)->sides[WF_READ].ready);
	CHECK(!wf_desc_find(fd)->ending);
	await_waiters(fd, WF_READ, 1, 0);
	CHECK_EQ(weft_write(fd == pair[0] ? pair[1] : pair[0], "x", 1), 1);
	CHECK_EQ(finish(&reader), 1);
	close_pair(pair);
}

/* Of two at once what they need is fetched; but the one number was never known, and the control block of the other's last visitor
 * is by now that of a coroutine that has no stack. */
CO_TEST(events_that_need_nothing)
{
	static struct weft_co fresh;
	int fds[2];
	tcp_pair(fds);
	struct wf_desc *d = wf_desc_find(fds[0]);
	CHECK(d != NULL);
	wf_store(&d->visitor, (uintptr_t)&fresh);
	struct wf_event events[] = { { INT_MAX, 0, WEFT_READ, false }, { fds[0], d->seq, WEFT_READ, false } };
	CHECK_EQ(wf_desc_events(NULL, events, 2), 0);
	close_pair(fds);
}

/* A user that sleeps inside keeps the number from being given to others. */
CO_TEST(number_is_kept_while_somebody_is_inside)
{
	int fds[2];
	char c;
	struct call reader;
	tcp_pair(fds);
	start_read(&reader, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 1, 0);
	struct wf_desc *d = wf_desc_find(fds[0]);
	wf_lock(&d->lock);
	d->users++; /* one more, who does not leave yet */
	wf_unlock(&d->lock);
	CHECK_RESULT(weft_close(fds[0]), 0);
	CHECK_RESULT(finish(&reader), -EBADF);
	CHECK_NE(fcntl(fds[0], F_GETFD), -1);
	CHECK_RESULT(weft_read(fds[0], &c, 1), -EBADF);
	CHECK_RESULT(weft_close(fds[0]), -EBADF);
	CHECK_RESULT(weft_adopt(fds[0]), -EBADF);
	wf_lock(&d->lock);
	d->users--;
	d->state = WF_DESC_OPEN; /* as if it had not been closed */
	wf_unlock(&d->lock);
	close_pair(fds);
	CHECK_EQ(fcntl(fds[0], F_GETFD), -1);
}

/* The number was closed and opened again behind weft's back. */
CO_TEST(adopt_of_a_known_number)
{
	int fds[2], pair[2];
	char c;
	struct call reader, queued, writer;
	unix_pair(fds, SOCK_STREAM);
	fill(fds[0]);
	start_read(&reader, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 1, 0);
	start_read(&queued, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 1, 1);
	start_write(&writer, fds[0], "x", 1);
	await_waiters(fds[0], WF_WRITE, 1, 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	unsigned known = wf_desc_count();
	CHECK_EQ(dup2(pair[0], fds[0]), fds[0]);
	close(pair[0]);
	CHECK_RESULT(weft_adopt(fds[0]), 0);
	CHECK_EQ(wf_desc_count(), known);
	CHECK_RESULT(finish(&reader), -EBADF);
	CHECK_RESULT(finish(&queued), -EBADF);
	CHECK_RESULT(finish(&writer), -EBADF);
	start_read(&reader, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 1, 0);
	CHECK_EQ(write(pair[1], "n", 1), 1);
	CHECK_EQ(finish(&reader), 1);
	CHECK_EQ(c, 'n');
	close(pair[1]);
	close_pair(fds);
}

/* The same file under the same number: its registration is renewed, and what is ready already makes an edge. */
CO_TEST(adopt_of_the_same_file_again)
{
	int fd = eventfd(1, 0);
	uint64_t value;
	for (int i = 0; i < 3; i++) {
		CHECK_RESULT(weft_adopt(fd), 0);
		CHECK_RESULT(weft_wait_fd(fd, WEFT_READ, WEFT_NEVER), WEFT_READ);
	}
	CHECK_EQ(weft_read(fd, &value, sizeof value), (ssize_t)sizeof value);
	struct call reader;
	start_read(&reader, fd, &value, sizeof value);
	await_waiters(fd, WF_READ, 1, 0);
	CHECK_EQ(weft_write(fd, &(uint64_t){ 1 }, sizeof value), (ssize_t)sizeof value);
	CHECK_EQ(finish(&reader), (ssize_t)sizeof value);
	CHECK_RESULT(weft_close(fd), 0);
}

/* ---- release ------------------------------------------------------------------------------------------------------- */

static int release_it(void *arg) { return weft_release(*(int *)arg); }

CO_TEST(release_wakes_and_keeps_the_file)
{
	int fds[2], order[2];
	char c;
	struct call reader;
	CHECK_EQ(pipe(order), 0);
	fds[0] = order[0];
	fds[1] = order[1];
	CHECK_RESULT(weft_adopt(fds[0]), 0);
	CHECK_NE(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
	start_read(&reader, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 1, 0);
	CHECK_RESULT(weft_release(fds[0]), fds[0]);
	CHECK_EQ(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
	CHECK_RESULT(finish(&reader), -EBADF);
	CHECK_RESULT(weft_release(fds[0]), -EBADF);
	CHECK_RESULT(weft_read(fds[0], &c, 1), -EBADF);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK_EQ(read(fds[0], &c, 1), 1);
	CHECK_RESULT(weft_adopt(fds[0]), 0);
	CHECK_EQ(write(fds[1], "y", 1), 1);
	CHECK_EQ(weft_read(fds[0], &c, 1), 1);
	CHECK_RESULT(on_thread(release_it, &fds[0]), fds[0]);
	close(fds[0]);
	close(fds[1]);
}

/* Flags that were set before stay. */
CO_TEST(adopt_keeps_flags)
{
	int fds[2], pair[2];
	CHECK_EQ(pipe2(fds, O_NONBLOCK), 0);
	CHECK_RESULT(weft_adopt(fds[0]), 0);
	CHECK_RESULT(weft_release(fds[0]), fds[0]);
	CHECK_NE(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
	close(fds[0]);
	close(fds[1]);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	CHECK_RESULT(weft_adopt(pair[0]), 0);
	CHECK_EQ(fcntl(pair[0], F_GETFL) & O_NONBLOCK, 0);
	CHECK_RESULT(weft_set_deadline(pair[0], WEFT_READ, weft_after(WEFT_MS(5))), 0);
	char c;
	CHECK_RESULT(weft_read(pair[0], &c, 1), -ETIMEDOUT);
	CHECK_EQ(fcntl(pair[0], F_GETFL) & O_NONBLOCK, 0);
	CHECK_RESULT(weft_close(pair[0]), 0);
	close(pair[1]);
}

CO_TEST(close_restores_a_shared_pipe)
{
	int fds[2], copy;
	CHECK_EQ(pipe(fds), 0);
	CHECK_OK(copy = dup(fds[0]));
	CHECK_RESULT(weft_adopt(fds[0]), 0);
	CHECK_NE(fcntl(copy, F_GETFL) & O_NONBLOCK, 0);
	CHECK_RESULT(weft_close(fds[0]), 0);
	CHECK_EQ(fcntl(copy, F_GETFL) & O_NONBLOCK, 0);
	close(copy);
	close(fds[1]);
}

static int forget_some(void *arg)
{
	int *fds = arg;
	CHECK_RESULT(weft_adopt(fds[0]), 0);
	CHECK_RESULT(weft_adopt(fds[1]), 0);
	return 0;
}

/* What is left when the runtime stops stays open, as it was. */
TEST(left_behind)
{
	int fds[2];
	CHECK_EQ(pipe(fds), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_RESULT(weft_run(NULL, forget_some, fds), 0);
		CHECK_EQ(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
		CHECK_EQ(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	}
}

/* ---- storms -------------------------------------------------------------------------------------------------------- */

struct reset_server {
	int listener;
	wf_u32 served;
};

static int serve_until_end(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[2048];
	ssize_t n;
	while ((n = weft_read(fd, buf, sizeof buf)) > 0)
		if (weft_write(fd, buf, (size_t)n) != n)
			break;
	return weft_close(fd);
}

static int serve_resets(void *arg)
{
	struct reset_server *server = arg;
	for (;;) {
		int fd = weft_accept(server->listener, NULL, NULL);
		if (fd == -EBADF)
			return 0;
		CHECK_OK(fd);
		wf_u32_add(&server->served, 1);
		CHECK_OK(weft_go(serve_until_end, (void *)(intptr_t)fd));
	}
}

struct resetter {
	const char *addr;
	unsigned random;
	int rounds;
};

static int reset_at_random(void *arg)
{
	struct resetter *r = arg;
	char buf[4096] = "";
	for (int i = 0; i < r->rounds; i++) {
		int fd = weft_dial(r->addr, WEFT_NEVER);
		CHECK_OK(fd);
		r->random = r->random * 1103515245 + 12345;
		size_t n = (r->random >> 8) % sizeof buf;
		if (n > 0)
			CHECK_GT(weft_write(fd, buf, n), 0);
		if (n > 8 && r->random >> 31)
			CHECK_GT(weft_read(fd, buf, n / 2), 0);
		CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)), 0);
		CHECK_RESULT(weft_close(fd), 0);
	}
	return 0;
}

/* Nothing is left of connections that were reset at any point: the harness counts descriptors, weft_run waits for coroutines. */
CO_TEST(storm_of_resets)
{
	enum { CLIENTS = 8 };
	char addr[64];
	struct reset_server server = { .listener = listen_somewhere(addr) };
	struct resetter resetters[CLIENTS];
	struct weft_co *clients[CLIENTS], *acceptor = spawn_call(serve_resets, &server);
	for (unsigned i = 0; i < CLIENTS; i++) {
		resetters[i] = (struct resetter){ addr, i, test_scaled(250) };
		clients[i] = spawn_call(reset_at_random, &resetters[i]);
	}
	for (int i = 0; i < CLIENTS; i++)
		CHECK_EQ(join_call(clients[i]), 0);
	CHECK_RESULT(weft_close(server.listener), 0);
	CHECK_EQ(join_call(acceptor), 0);
	CHECK_GT(wf_u32_load(&server.served), 0);
}
