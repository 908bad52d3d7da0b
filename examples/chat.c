/* A chat server: one coroutine per user, lines of text, rooms.
 *
 *     chat [--listen ADDR]       default :7001
 *
 * The first line that a user sends is the name. Then:  /join ROOM   /who   /quit   and all else goes to everybody in the room.
 *
 * What is said is put into the outbox, a channel, of each who is there; a user's coroutine waits for its outbox and for its socket.
 * Who does not read has a full outbox after a while: what comes then is left out, which it is told when it has read the rest. So
 * nobody in a room waits for anybody.
 *
 * On SIGTERM or SIGINT it stops listening, says so to all, hands out what is in the outboxes, and exits with 0; a second one
 * kills it. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

#include "listen.h"

enum { NAME_SIZE = 32, LINE_SIZE = 512, OUTBOX = 128, DRAIN_SECONDS = 5 };

struct message {
	_Atomic int readers; /* who will let go of it */
	size_t size;
	char text[];
};

struct user {
	int fd;
	char name[NAME_SIZE];
	char room[NAME_SIZE];
	struct weft_chan *outbox; /* struct message *; closed: the server is ending */
	_Atomic long missed;      /* messages that found no place there */
	struct user *next, **link;
	char line[LINE_SIZE];
	size_t length;            /* what is beyond LINE_SIZE is dropped */
};

static struct weft_mutex lock; /* guards the list, names and rooms; nobody waits while holding it */
static struct user *users;
static bool draining;

/* ---- messages ---------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static struct message *compose(const char *format, ...)
{
	va_list args;
	struct message *m = malloc(sizeof *m + LINE_SIZE + 3 * NAME_SIZE);
	if (!m)
		return NULL;
	va_start(args, format);
	m->size = (size_t)vsnprintf(m->text, LINE_SIZE + 3 * NAME_SIZE, format, args);
	va_end(args);
	m->readers = 1;
	return m;
}

static void let_go(struct message *m)
{
	if (--m->readers == 0)
		free(m);
}

static void put(struct user *u, struct message *m)
{
	m->readers++;
	int result = weft_chan_try_send(u->outbox, &m);
	if (result == -EAGAIN)
		u->missed++;
	if (result != 0)
		let_go(m);
}

/* To everybody in a room (NULL: in any). */
static void tell_locked(const char *room, struct message *m)
{
	for (struct user *u = users; m && u; u = u->next)
		if (!room || strcmp(u->room, room) == 0)
			put(u, m);
	if (m)
		let_go(m);
}

static void tell(const char *room, struct message *m)
{
	weft_mutex_lock(&lock);
	tell_locked(room, m);
	weft_mutex_unlock(&lock);
}

/* To the user alone, at once. */
__attribute__((format(printf, 2, 3))) static int reply(const struct user *u, const char *format, ...)
{
	char text[LINE_SIZE];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return weft_write_all(u->fd, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, NULL);
}

/* Lines are missed while the outbox is full: when it is empty, it is time to say so. */
static int deliver(struct user *u, struct message *m)
{
	int result = weft_write_all(u->fd, m->text, m->size, NULL);
	let_go(m);
	long missed = weft_chan_len(u->outbox) == 0 ? u->missed : 0;
	u->missed -= missed;
	return result == 0 && missed > 0 ? reply(u, "* you missed %ld lines\n", missed) : result;
}

/* ---- what users say ---------------------------------------------------------------------------------------------- */

static void move(struct user *u, const char *room)
{
	weft_mutex_lock(&lock);
	if (u->room[0])
		tell_locked(u->room, compose("* %s has left %s\n", u->name, u->room));
	snprintf(u->room, sizeof u->room, "%.*s", NAME_SIZE - 1, room);
	if (u->room[0])
		tell_locked(u->room, compose("* %s is in %s\n", u->name, u->room));
	weft_mutex_unlock(&lock);
}

static int say_who(const struct user *u)
{
	char text[LINE_SIZE];
	int n = snprintf(text, sizeof text, "* in %s:", u->room);
	weft_mutex_lock(&lock);
	for (const struct user *other = users; other; other = other->next)
		if (strcmp(other->room, u->room) == 0 && n < LINE_SIZE - NAME_SIZE - 8)
			n += snprintf(text + n, sizeof text - (size_t)n, " %s", other->name);
	weft_mutex_unlock(&lock);
	return reply(u, "%s\n", text);
}

static int obey(struct user *u, const char *line)
{
	if (!u->name[0]) {
		weft_mutex_lock(&lock);
		snprintf(u->name, sizeof u->name, "%.*s", NAME_SIZE - 1, line[0] ? line : "?");
		weft_mutex_unlock(&lock);
		move(u, "lobby");
	} else if (strncmp(line, "/join ", 6) == 0 && line[6]) {
		move(u, line + 6);
	} else if (strcmp(line, "/who") == 0) {
		return say_who(u);
	} else if (strcmp(line, "/quit") == 0) {
		return -EPIPE;
	} else if (line[0] == '/') {
		return reply(u, "* /join ROOM, /who, /quit\n");
	} else if (line[0]) {
		tell(u->room, compose("%s: %s\n", u->name, line));
	}
	return 0;
}

/* What there is to read: whole lines are obeyed, the last piece is kept. */
static int listen_to(struct user *u)
{
	char got[1024];
	ssize_t n = weft_read(u->fd, got, sizeof got);
	int result = n == 0 ? -EPIPE : n < 0 ? (int)n : 0;
	for (ssize_t i = 0; i < n && result == 0; i++) {
		if (got[i] == '\n') {
			u->line[u->length] = '\0';
			u->length = 0;
			result = obey(u, u->line);
		} else if (got[i] != '\r' && u->length < sizeof u->line - 1) {
			u->line[u->length++] = got[i];
		}
	}
	return result;
}

/* ---- users ------------------------------------------------------------------------------------------------------- */

/* The outbox keeps what it has; then it says that it is closed. A user who does not read gets a few seconds. */
static void drain_locked(struct user *u)
{
	weft_chan_close(u->outbox);
	weft_set_deadline(u->fd, WEFT_WRITE, weft_after(WEFT_SEC(DRAIN_SECONDS)));
}

static void come(struct user *u)
{
	weft_mutex_lock(&lock);
	u->next = users;
	u->link = &users;
	if (u->next)
		u->next->link = &u->next;
	users = u;
	if (draining)
		drain_locked(u);
	weft_mutex_unlock(&lock);
}

static void go(struct user *u)
{
	struct message *m;
	move(u, "");
	weft_mutex_lock(&lock);
	*u->link = u->next;
	if (u->next)
		u->next->link = u->link;
	weft_mutex_unlock(&lock);
	while (weft_chan_try_recv(u->outbox, &m) == 1)
		let_go(m);
	weft_chan_destroy(u->outbox);
	weft_close(u->fd);
	free(u);
}

static int serve(void *arg)
{
	struct user *u = arg;
	struct message *m;
	struct weft_case cases[] = {
		{ .op = WEFT_OP_RECV, .chan = u->outbox, .elem = &m },
		{ .op = WEFT_OP_FD, .fd = u->fd, .dirs = WEFT_READ },
	};
	come(u);
	int result = reply(u, "* your name?\n");
	while (result == 0) {
		int which = weft_select(cases, 2, WEFT_NEVER);
		if (which == 0)
			result = cases[0].result == 1 ? deliver(u, m) : -EPIPE;
		else
			result = which == 1 ? listen_to(u) : which;
	}
	go(u);
	return 0;
}

static void admit(int fd)
{
	struct user *u = calloc(1, sizeof *u);
	if (u && weft_chan_create(&u->outbox, sizeof(struct message *), OUTBOX) == 0) {
		u->fd = fd;
		if (weft_go(serve, u) == 0)
			return;
		weft_chan_destroy(u->outbox);
	}
	free(u);
	weft_close(fd);
}

static int accept_all(void *arg)
{
	int listener = *(int *)arg;
	for (;;) {
		int fd = weft_accept(listener, NULL, NULL);
		if (fd >= 0)
			admit(fd);
		else if (fd == -EBADF || fd == -ECANCELED)
			return 0; /* closed: the end */
	}
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

static int fail(const char *what, int error)
{
	fprintf(stderr, "chat: %s: %s\n", what, weft_strerror(error));
	return 1;
}

static void drain(void)
{
	weft_mutex_lock(&lock);
	draining = true;
	tell_locked(NULL, compose("* the server is closing\n"));
	for (struct user *u = users; u; u = u->next)
		drain_locked(u);
	weft_mutex_unlock(&lock);
}

/* SIGTERM and SIGINT as values in a channel. */
static int take_signals(struct weft_chan **ends)
{
	int result = weft_chan_create(ends, sizeof(int), 1);
	if (result == 0)
		result = weft_signal_notify(*ends, SIGTERM);
	return result == 0 ? weft_signal_notify(*ends, SIGINT) : result;
}

int main(int argc, char **argv)
{
	bool given = argc == 3 && strcmp(argv[1], "--listen") == 0;
	const char *addr = given ? argv[2] : ":7001";
	struct weft_chan *ends;
	int listener, result, number;
	if (argc != 1 && !given) {
		fputs("usage: chat [--listen ADDR]\n", stderr);
		return 2;
	}
	if ((result = weft_start(NULL)) < 0)
		return fail("weft_start", result);
	if ((result = take_signals(&ends)) < 0)
		return fail("signals", result);
	if ((listener = weft_listen(addr, 0)) < 0)
		return fail(addr, listener);
	print_listener(addr, listener);
	if ((result = weft_go(accept_all, &listener)) < 0)
		return fail("weft_go", result);
	result = weft_chan_recv(ends, &number);
	weft_signal_stop(ends);
	weft_chan_destroy(ends);
	weft_close(listener);
	drain();
	return weft_stop(WEFT_NEVER) < 0 || result < 0;
}
