/* --procs: a process that serves nothing itself and keeps heirs that do.
 *
 * It is one coroutine that waits for events, and one for each heir that tells of its events. An heir holds one end of a socket pair
 * for as long as it lives, so that each side hears when the other is gone. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "listen.h"

enum {
	START_SECONDS = 60,   /* until an heir must be serving */
	END_SECONDS = 10,     /* beyond the time to drain, until it is killed */
	STEADY_SECONDS = 5,   /* one that lived so long is replaced at once */
	PAUSE_MS = 100,       /* before others are; doubles */
	PAUSE_MAX_MS = 10000,
};

struct child {
	struct http_heir heir;
	struct child *next;
	size_t place;
	weft_time born;
};

struct event {
	struct child *child;
	bool ended; /* else: it serves */
};

struct place {
	struct child *now;  /* serves, or will when it has started */
	struct child *heir; /* will serve in its place */
	bool serves;
	int64_t pause_ms;
	weft_time start_at; /* with now NULL */
};

struct supervisor {
	const struct http_config *config;
	const struct http_listeners *listeners;
	struct weft_chan *signals, *events;
	struct child *children;
	struct place *places;
	size_t count, serving;
	size_t roll;       /* the place whose heir starts; count: none */
	bool roll_again;
	bool announced, ending;
	weft_time kill_at; /* once it is ending */
	int status;
};

static int complain(const char *what, int result)
{
	fprintf(stderr, "http: %s: %s\n", what, weft_strerror(result));
	return result;
}

/* ---- children ------------------------------------------------------------------------------------------------------ */

struct watch {
	struct supervisor *s;
	struct child *child;
};

/* Nothing of the child may be touched when its end has been told. */
static int watch(void *arg)
{
	struct watch w = *(struct watch *)arg;
	struct event event = { w.child, false };
	char byte;
	free(arg);
	int r = http_heir_await(&w.child->heir, weft_after(WEFT_SEC(START_SECONDS)));
	if (r == 0)
		r = weft_chan_send(w.s->events, &event);
	else if (r == -ETIMEDOUT)
		weft_process_kill(w.child->heir.process, SIGKILL);
	while (weft_read(w.child->heir.control, &byte, 1) > 0)
		;
	event.ended = true;
	return weft_chan_send(w.s->events, &event);
}

static int start_watch(struct supervisor *s, struct child *child)
{
	struct watch *w = malloc(sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	*w = (struct watch){ s, child };
	int r = weft_go(watch, w);
	if (r < 0)
		free(w);
	return r;
}

/* Waits for its end, which is near. */
static int bury(struct child *child)
{
	int status = 0;
	int r = weft_process_wait(child->heir.process, &status, WEFT_NEVER);
	weft_close(child->heir.control);
	free(child);
	return r < 0 ? 0 : status;
}

/* NULL: it can't be done now. */
static struct child *start_child(struct supervisor *s, size_t place)
{
	struct child *child = calloc(1, sizeof(*child));
	int r = child != NULL ? http_heir_start(&child->heir, s->listeners, true) : -ENOMEM;
	if (r < 0) {
		complain("a process can't be started", r);
		free(child);
		return NULL;
	}
	child->place = place;
	child->born = weft_now();
	r = start_watch(s, child);
	if (r == 0) {
		child->next = s->children;
		s->children = child;
		return child;
	}
	complain("a process can't be watched", r);
	weft_process_kill(child->heir.process, SIGKILL);
	bury(child);
	return NULL;
}

static void forget(struct supervisor *s, const struct child *child)
{
	struct child **at = &s->children;
	while (*at != child)
		at = &(*at)->next;
	*at = child->next;
}

static void signal_all(const struct supervisor *s, int number)
{
	for (const struct child *child = s->children; child != NULL; child = child->next)
		weft_process_kill(child->heir.process, number);
}

/* ---- places -------------------------------------------------------------------------------------------------------- */

static void put_off(struct place *p, int64_t lived_ns)
{
	if (lived_ns >= WEFT_SEC(STEADY_SECONDS))
		p->pause_ms = 0;
	p->start_at = weft_after(WEFT_MS(p->pause_ms));
	p->pause_ms = p->pause_ms == 0 ? PAUSE_MS : p->pause_ms < PAUSE_MAX_MS / 2 ? 2 * p->pause_ms : PAUSE_MAX_MS;
}

static void fill(struct supervisor *s, size_t place)
{
	struct place *p = &s->places[place];
	p->now = start_child(s, place);
	if (p->now == NULL)
		put_off(p, 0);
}

static void fill_due(struct supervisor *s)
{
	for (size_t i = 0; i < s->count && !s->ending; i++)
		if (s->places[i].now == NULL && s->places[i].start_at <= weft_now())
			fill(s, i);
}

/* When something is to be done without an event. */
static weft_time next_due(const struct supervisor *s)
{
	weft_time due = s->ending ? s->kill_at : WEFT_NEVER;
	for (size_t i = 0; i < s->count && !s->ending; i++)
		if (s->places[i].now == NULL && s->places[i].start_at < due)
			due = s->places[i].start_at;
	return due;
}

static void end_all(struct supervisor *s, int status)
{
	signal_all(s, SIGTERM); /* a second time: at once */
	if (s->ending)
		return;
	s->ending = true;
	s->status = status;
	s->roll = s->count;
	s->kill_at = weft_after(s->config->drain_ns + WEFT_SEC(END_SECONDS));
}

/* Starts the heir of the next place, or ends the round. */
static void roll_on(struct supervisor *s)
{
	if (s->roll == s->count && s->roll_again) {
		s->roll_again = false;
		s->roll = 0;
	}
	if (s->roll == s->count)
		return;
	s->places[s->roll].heir = start_child(s, s->roll);
	if (s->places[s->roll].heir == NULL)
		s->roll = s->count;
}

static void reload(struct supervisor *s)
{
	s->roll_again = s->roll < s->count;
	if (s->roll_again || s->ending)
		return;
	s->roll = 0;
	roll_on(s);
}

/* ---- events -------------------------------------------------------------------------------------------------------- */

static void heir_serves(struct supervisor *s, struct place *p)
{
	if (p->now != NULL)
		weft_process_kill(p->now->heir.process, SIGTERM);
	p->now = p->heir;
	p->heir = NULL;
	s->roll++;
	roll_on(s);
}

static void child_serves(struct supervisor *s, struct child *child)
{
	struct place *p = &s->places[child->place];
	if (s->ending)
		return;
	if (child == p->heir)
		heir_serves(s, p);
	s->serving += !p->serves;
	p->serves = true;
	if (s->serving == s->count && !s->announced)
		http_announce(s->listeners);
	s->announced |= s->serving == s->count;
}

static void child_ended(struct supervisor *s, struct child *child)
{
	struct place *p = &s->places[child->place];
	bool now = child == p->now, heir = child == p->heir;
	int64_t lived = weft_now() - child->born;
	int id = weft_process_id(child->heir.process);
	forget(s, child);
	int status = bury(child);
	if (now)
		p->now = NULL;
	if (heir)
		p->heir = NULL;
	if (s->ending || !(now || heir))
		return;
	fprintf(stderr, "http: process %d ended, wait status %#x\n", id, (unsigned)status);
	if (heir) {
		s->roll = s->count;
		fprintf(stderr, "http: reload: a new process does not serve; the others go on\n");
	} else if (!p->serves) {
		end_all(s, 1);
	} else {
		put_off(p, lived);
	}
}

static void take_event(struct supervisor *s, const struct event *event)
{
	if (event->ended)
		child_ended(s, event->child);
	else
		child_serves(s, event->child);
}

static int run(struct supervisor *s)
{
	int number;
	struct event event;
	struct weft_case cases[] = {
		{ .op = WEFT_OP_RECV, .chan = s->signals, .elem = &number },
		{ .op = WEFT_OP_RECV, .chan = s->events, .elem = &event },
	};
	do {
		fill_due(s);
		int r = weft_select(cases, 2, next_due(s));
		if (r == 0 && number == SIGHUP)
			reload(s);
		else if (r == 0)
			end_all(s, 0);
		else if (r == 1)
			take_event(s, &event);
		else if (s->ending)
			signal_all(s, SIGKILL), s->kill_at = WEFT_NEVER;
	} while (!s->ending || s->children != NULL);
	return s->status;
}

int http_supervise(const struct http_listeners *listeners, const struct http_config *config, struct weft_chan *signals)
{
	struct supervisor s = { .config = config, .listeners = listeners, .signals = signals };
	s.count = s.roll = (size_t)config->procs;
	s.places = calloc(s.count, sizeof(*s.places));
	int r = s.places != NULL ? weft_chan_create(&s.events, sizeof(struct event), 16) : -ENOMEM;
	int status = r == 0 ? run(&s) : 1;
	if (r < 0)
		complain("--procs", r);
	else
		weft_chan_destroy(s.events);
	free(s.places);
	return status;
}
