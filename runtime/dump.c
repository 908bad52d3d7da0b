#include "dump.h"

#include <weft/debug.h>

#include "netpoll.h"
#include "park.h"

static struct wf_lock one_at_a_time; /* held for as long as the writing takes: who comes second sleeps */
static struct wf_out out; /* under it, as is what follows */
static enum wf_dump_style out_style;
static bool is_first;

/* ---- frames ---------------------------------------------------------------------------------------------------------- */

struct chain {
	int count;
	void *frames[WF_DUMP_FRAMES + 8]; /* and those of whoever looks */
};

static WF_NOINLINE void capture(void *arg)
{
	struct chain *chain = arg;
	chain->count = wf_os_frames(chain->frames, (int)wf_countof(chain->frames));
}

/* Takes over what is from `first` on; all, if it is not there. */
static void take_frames(struct wf_subject *s, const struct chain *chain, const void *first)
{
	int skip = 0;
	while (skip < chain->count && chain->frames[skip] != first)
		skip++;
	skip = skip < chain->count ? skip : 0;
	for (s->frame_count = 0; skip < chain->count && s->frame_count < WF_DUMP_FRAMES; skip++)
		s->frames[s->frame_count++] = chain->frames[skip];
}

/* ---- one coroutine --------------------------------------------------------------------------------------------------- */

static void describe_stack(struct wf_subject *s, const struct wf_stack *stack, const char *sp)
{
	s->stack_size = (size_t)(stack->top - stack->low);
	s->stack_used = (size_t)(stack->top - sp);
	s->stack_resident = wf_os_resident(stack->low, stack->top);
}

static void describe_wait(struct wf_subject *s, struct wf_wait *wait, int64_t now)
{
	s->why = (enum wf_reason)wf_u8_load(&wait->why);
	s->object = wf_load(&wait->object);
	s->fd = wf_netpoll_fd_of(s->object);
	int64_t since = (int64_t)wf_load(&wait->since);
	s->waited_ns = now > since ? now - since : 0;
}

/* It can't go on meanwhile. */
static void describe_left(struct wf_subject *s, struct weft_co *co, const struct wf_ctx_frame *frame, int64_t now)
{
	struct chain chain;
	const struct weft_co *other = s->state == WF_STATE_PARKED ? wf_awaited(co) : NULL;
	s->other = other ? wf_load(&other->id) : 0;
	if (s->state == WF_STATE_PARKED && wf_load(&co->wait.timer.heap))
		s->left_ns = co->wait.timer.when - now;
	describe_stack(s, co->stack, (const char *)frame);
	wf_ctx_look(frame, capture, &chain);
	take_frames(s, &chain, (void *)wf_ctx_pc(frame));
}

static void describe_self(struct wf_subject *s, struct weft_co *co)
{
	struct chain chain;
	describe_stack(s, co->stack, __builtin_frame_address(0));
	capture(&chain);
	take_frames(s, &chain, NULL);
}

/* True: it is one. */
static bool describe(struct wf_subject *s, struct weft_co *co)
{
	const struct wf_worker *w = wf_worker_self();
	int64_t now = wf_os_now();
	*s = (struct wf_subject){.fd = -1, .waited_ns = -1, .left_ns = WF_TIME_NEVER};
	const struct wf_ctx_frame *left = wf_look_begin(co);
	s->state = (enum wf_state)wf_u8_load(&co->state);
	s->id = wf_load(&co->id);
	s->creator = wf_load(&co->creator);
	s->cause = (int)(intptr_t)wf_load(&co->cancel);
	s->daemon = wf_u8_load(&co->kind) & WF_CO_DAEMON;
	for (size_t i = 0; i < sizeof s->name - 1; i++)
		s->name[i] = (char)wf_u8_load(&co->name[i]);
	if (s->state == WF_STATE_PARKED)
		describe_wait(s, &co->wait, now);
	if (left) {
		describe_left(s, co, left, now);
		wf_look_end();
	} else if (w && w->co == co) {
		describe_self(s, co);
	}
	return s->state != WF_STATE_FREE;
}

static void dump_one(struct weft_co *co, void *arg)
{
	struct wf_subject *s = arg;
	if (!describe(s, co))
		return;
	wf_put_subject(&out, out_style, s, is_first);
	is_first = false;
}

static void dump_cycle(struct weft_co *const *members, int n, void *arg)
{
	(void)arg;
	wf_put_cycle(&out, out_style, members, n, is_first);
	is_first = false;
}

/* ---- all ------------------------------------------------------------------------------------------------------------- */

void wf_dump(int fd, enum wf_dump_style style)
{
	static struct wf_subject subject;
	wf_os_backtrace_prepare();
	wf_lock(&one_at_a_time);
	out.fd = fd;
	out_style = style;
	is_first = true;
	wf_put_head(&out, style);
	wf_looks_begin();
	wf_co_each(dump_one, &subject);
	wf_put_middle(&out, style);
	is_first = true;
	wf_cycles_find(dump_cycle, NULL);
	wf_looks_end();
	wf_put_tail(&out, style);
	wf_flush(&out);
	wf_unlock(&one_at_a_time);
}

/* As a guest, also on a worker: its processor can be taken while it is at it. */
static void dump(int fd, enum wf_dump_style style)
{
	wf_enter_guest();
	if (wf_worker_self() || wf_load_acquire(&wf_up))
		wf_dump(fd, style);
	wf_leave_guest();
}

static int find_cycles(int fd)
{
	wf_lock(&one_at_a_time);
	out.fd = fd;
	out_style = WF_DUMP_TEXT;
	int n = wf_cycles_find(dump_cycle, NULL);
	wf_flush(&out);
	wf_unlock(&one_at_a_time);
	return n;
}

int weft_find_cycles(int fd)
{
	wf_enter_guest();
	int n = wf_worker_self() || wf_load_acquire(&wf_up) ? find_cycles(fd) : 0;
	wf_leave_guest();
	return n;
}

void weft_dump(int fd)
{
	dump(fd, WF_DUMP_TEXT);
}

void weft_dump_json(int fd)
{
	dump(fd, WF_DUMP_JSON);
}
