/* Everything at once, on descriptors that are cancelled, timed out, shut down and closed meanwhile, where descriptors run out.
 * What is read of a stream is what was written, in order; every result is one of those that the headers name; nothing is left
 * open. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <weft/datagram.h>
#include <weft/socket.h>

#include "core_util.h"
#include "net_util.h"

enum { FILE_SIZE = 1 << 20, KINDS = 6, MESSAGE = 64, PLAYERS = 6 };

enum kind { TCP, UNIX, PIPE, MESSAGES, UNIX_DATAGRAMS, UDP };

struct pair {
	enum kind kind;
	int fds[2]; /* [0] writes, [1] reads */
	uint64_t seed;
};

static int file;
static char listener_addr[WEFT_ADDR_SIZE];
static int listener;

static bool is_stream(enum kind kind) { return kind <= PIPE; }

/* What may come of calls that are disturbed as these are. */
static void check_result(ssize_t r)
{
	static const int known[] = { EBADF, ETIMEDOUT, ECANCELED, EPIPE, ECONNRESET, ECONNREFUSED, EMFILE, ENOMEM, ENOTCONN };
	if (r >= 0)
		return;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (r == -known[i])
			return;
	CHECK_RESULT(r, 0);
}

/* ---- writing and reading -------------------------------------------------------------------------------------------- */

static ssize_t write_some(struct pair *p, uint64_t what, size_t at)
{
	static const char zeros[MESSAGE];
	unsigned char buf[3000];
	struct iovec iov[3] = { { buf, 1000 }, { NULL, 0 }, { buf + 1000, 2000 } };
	int fd = p->fds[0];
	if (!is_stream(p->kind)) {
		struct iovec part = { (void *)(uintptr_t)zeros, MESSAGE };
		struct weft_mmsghdr msgs[8];
		memset(msgs, 0, sizeof msgs);
		for (int i = 0; i < 8; i++)
			msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &part, .msg_iovlen = 1 };
		if (what == 0 && p->kind != UDP)
			return weft_send_fds(fd, zeros, MESSAGE, (int[]){ 0, 1 }, 2);
		return what == 1 ? weft_write(fd, zeros, MESSAGE) : weft_sendmmsg(fd, msgs, 8, 0);
	}
	fill_pattern(buf, sizeof buf, at);
	if (what == 0 && at < FILE_SIZE)
		return weft_sendfile(fd, file, (int64_t)at, FILE_SIZE);
	if (what == 1 && p->kind == UNIX)
		return weft_send_fds(fd, buf, sizeof buf, (int[]){ 0 }, 1);
	return what == 2 ? weft_write(fd, buf, sizeof buf) : weft_writev(fd, iov, 3);
}

static int write_all(void *arg)
{
	struct pair *p = arg;
	uint64_t seed = p->seed;
	size_t at = 0;
	ssize_t r;
	while ((r = write_some(p, random_below(&seed, 4), at)) >= 0 || r == -ECONNREFUSED)
		at += r > 0 ? (size_t)r : 0;
	check_result(r);
	return 0;
}

static ssize_t read_some(struct pair *p, uint64_t what, size_t at)
{
	unsigned char buf[4096];
	struct iovec iov[2] = { { buf, 100 }, { buf + 100, 3000 } };
	int fds[2], count = 2, fd = p->fds[1];
	ssize_t r;
	if (!is_stream(p->kind) && what < 2) {
		struct weft_mmsghdr msgs[2];
		memset(msgs, 0, sizeof msgs);
		for (int i = 0; i < 2; i++)
			msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
		r = weft_recvmmsg(fd, msgs, 2, 0);
		for (ssize_t i = 0; i < r; i++)
			if (msgs[i].msg_len != 0 || p->kind != MESSAGES)
				CHECK_EQ(msgs[i].msg_len, MESSAGE);
		return r > 0 && msgs[r - 1].msg_len == 0 ? 0 : r; /* the end, where there is a connection */
	}
	if (what == 2 && p->kind != PIPE) {
		r = weft_recv_fds(fd, buf, sizeof buf, fds, &count);
		for (int i = 0; i < count; i++)
			close(fds[i]);
	} else {
		r = what == 3 ? weft_readv(fd, iov, 2) : weft_read(fd, buf, sizeof buf);
	}
	if (r > 0 && is_stream(p->kind))
		check_pattern(buf, (size_t)r, at);
	else if (r > 0)
		CHECK_EQ(r, MESSAGE);
	return r;
}

static int read_all(void *arg)
{
	struct pair *p = arg;
	uint64_t seed = p->seed + 1;
	size_t at = 0;
	ssize_t r;
	while ((r = read_some(p, random_below(&seed, 4), at)) > 0 || r == -ECONNREFUSED)
		at += r > 0 ? (size_t)r : 0;
	check_result(r);
	return 0;
}

/* ---- pairs ---------------------------------------------------------------------------------------------------------- */

/* The other end may be another coroutine's, which then has ours. */
static int make_tcp(int fds[2])
{
	int r = fds[0] = weft_dial(listener_addr, weft_after(WEFT_SEC(50)));
	if (r < 0)
		return r;
	r = fds[1] = weft_accept(listener, NULL, NULL);
	if (r < 0)
		weft_close(fds[0]);
	return r;
}

static int make_udp(int fds[2])
{
	char addr[WEFT_ADDR_SIZE];
	int r = fds[1] = weft_datagram("127.0.0.1:0", NULL, 0);
	if (r < 0)
		return r;
	CHECK_OK(weft_local_addr(fds[1], addr, sizeof addr));
	r = fds[0] = weft_datagram(NULL, addr, 0);
	if (r < 0)
		weft_close(fds[1]);
	return r;
}

static int make_pipe(int fds[2])
{
	int ends[2], r = weft_pipe(ends);
	fds[0] = ends[1];
	fds[1] = ends[0];
	return r;
}

static int make_pair(struct pair *p)
{
	static const int types[KINDS] = { [UNIX] = SOCK_STREAM, [MESSAGES] = SOCK_SEQPACKET, [UNIX_DATAGRAMS] = SOCK_DGRAM };
	switch (p->kind) {
	case TCP:
		return make_tcp(p->fds);
	case UDP:
		return make_udp(p->fds);
	case PIPE:
		return make_pipe(p->fds);
	default:
		return weft_socketpair(types[p->kind], p->fds);
	}
}

/* Who has closed a number must not let others use it any more; so that is done only where nobody else makes descriptors. */
static void disturb(struct pair *p, struct weft_co *const cos[2], bool alone, uint64_t *seed)
{
	int side = (int)random_below(seed, 2), fd = p->fds[side];
	switch (random_below(seed, alone ? 6 : 5)) {
	case 0:
		weft_cancel(cos[side]);
		break;
	case 1:
		weft_set_deadline(fd, WEFT_READ | WEFT_WRITE, weft_now());
		break;
	case 2:
		weft_set_deadline(fd, WEFT_READ | WEFT_WRITE, weft_after(WEFT_US(300)));
		break;
	case 3:
		weft_shutdown_fd(fd, side == 0 ? SHUT_WR : SHUT_RD);
		break;
	case 4:
		weft_yield();
		break;
	default:
		weft_close(fd);
		p->fds[side] = -1;
	}
}

/* One pair, until both its ends are closed and both its coroutines have ended. */
static void play(enum kind kind, bool alone, uint64_t *seed)
{
	struct pair p = { .kind = kind, .seed = next_random(seed) };
	struct pair theirs;
	int r = make_pair(&p);
	check_result(r);
	if (r < 0)
		return;
	theirs = p; /* they keep the numbers, and find them closed */
	struct weft_co *cos[2] = { spawn_co(NULL, write_all, &theirs), spawn_co(NULL, read_all, &theirs) };
	for (uint64_t n = random_below(seed, 6); n > 0; n--) {
		if (random_below(seed, 2))
			weft_sleep(WEFT_US(50));
		disturb(&p, cos, alone, seed);
	}
	weft_cancel(cos[0]);
	weft_cancel(cos[1]);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(join_co(cos[i]), 0);
	for (int i = 0; i < 2; i++)
		if (p.fds[i] >= 0)
			CHECK_RESULT(weft_close(p.fds[i]), 0);
}

struct player {
	bool alone;
	uint64_t seed;
};

static int play_on(void *arg)
{
	struct player *player = arg;
	for (int round = 0; round < test_scaled(player->alone ? 100 : 30); round++)
		play((enum kind)random_below(&player->seed, KINDS), player->alone, &player->seed);
	return 0;
}

static void storm(int players)
{
	struct weft_co *cos[PLAYERS];
	struct player list[PLAYERS];
	uint64_t seed = random_seed();
	int before = count_fds();
	for (int i = 0; i < players; i++) {
		list[i] = (struct player){ players == 1, next_random(&seed) };
		cos[i] = spawn_co(NULL, play_on, &list[i]);
	}
	for (int i = 0; i < players; i++)
		CHECK_EQ(join_co(cos[i]), 0);
	for (int conn; weft_wait_fd(listener, WEFT_READ, WEFT_NOW) > 0 && (conn = weft_accept(listener, NULL, NULL)) >= 0;)
		CHECK_RESULT(weft_close(conn), 0);
	CHECK_EQ(count_fds(), before);
}

static void set_up(void)
{
	unsigned char *data = malloc(FILE_SIZE);
	FILE *f = tmpfile();
	CHECK(f != NULL);
	fill_pattern(data, FILE_SIZE, 0);
	CHECK_EQ(fwrite(data, 1, FILE_SIZE, f), FILE_SIZE);
	CHECK_EQ(fflush(f), 0);
	CHECK_OK(file = dup(fileno(f)));
	fclose(f);
	free(data);
	CHECK_OK(listener = weft_listen("127.0.0.1:0", 0));
	CHECK_OK(weft_local_addr(listener, listener_addr, sizeof listener_addr));
}

static void tear_down(void)
{
	CHECK_RESULT(weft_close(listener), 0);
	close(file);
}

CO_TEST(many)
{
	set_up();
	storm(PLAYERS);
	tear_down();
}

CO_TEST(closed_under_their_users)
{
	set_up();
	storm(1);
	tear_down();
}

CO_TEST(with_few_descriptors)
{
	struct rlimit old, few;
	set_up();
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = 24;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
	storm(PLAYERS);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
	tear_down();
}
