#include "chan_util.h"

#include <sched.h>

struct weft_chan *make_chan(size_t elem_size, size_t capacity)
{
	struct weft_chan *ch = NULL;
	CHECK_RESULT(weft_chan_create(&ch, elem_size, capacity), 0);
	CHECK(ch != NULL);
	return ch;
}

void destroy_chan(struct weft_chan *ch) { CHECK_RESULT(weft_chan_destroy(ch), 0); }

static int queue_length(struct weft_chan *ch, enum wf_chan_side side)
{
	int n = 0;
	wf_lock(&ch->lock);
	struct wf_link *head = &ch->queues[side].list.head;
	for (struct wf_link *l = head->next; l && l != head; l = l->next)
		n++;
	wf_unlock(&ch->lock);
	return n;
}

void await_queue(struct weft_chan *ch, enum wf_chan_side side, int n)
{
	enum { YIELDS = 100 };
	for (int i = 0; queue_length(ch, side) != n; i++)
		if (i < YIELDS)
			weft_yield();
		else
			rest();
}

/* ---- calls ---------------------------------------------------------------------------------------------------------- */

static int run_call(void *arg)
{
	struct chan_call *call = arg;
	if (call->side == WF_SENDERS)
		call->result = weft_chan_send_until(call->ch, &call->value, call->deadline);
	else
		call->result = weft_chan_recv_until(call->ch, &call->value, call->deadline);
	return 0;
}

static struct chan_call *start(struct chan_call *call)
{
	call->co = spawn_co(NULL, run_call, call);
	return call;
}

static void *run_call_on_thread(void *call)
{
	run_call(call);
	return NULL;
}

static struct chan_call *start_on_thread(struct chan_call *call)
{
	call->co = NULL;
	call->thread = start_thread(run_call_on_thread, call);
	return call;
}

struct chan_call *start_send_until(struct chan_call *call, struct weft_chan *ch, long value, weft_time deadline)
{
	*call = (struct chan_call){ .ch = ch, .side = WF_SENDERS, .value = value, .deadline = deadline };
	return start(call);
}

struct chan_call *start_recv_until(struct chan_call *call, struct weft_chan *ch, weft_time deadline)
{
	*call = (struct chan_call){ .ch = ch, .side = WF_RECEIVERS, .value = -1, .deadline = deadline };
	return start(call);
}

struct chan_call *start_send(struct chan_call *call, struct weft_chan *ch, long value)
{
	return start_send_until(call, ch, value, WEFT_NEVER);
}

struct chan_call *start_recv(struct chan_call *call, struct weft_chan *ch)
{
	return start_recv_until(call, ch, WEFT_NEVER);
}

struct chan_call *start_thread_send(struct chan_call *call, struct weft_chan *ch, long value)
{
	*call = (struct chan_call){ .ch = ch, .side = WF_SENDERS, .value = value, .deadline = WEFT_NEVER };
	return start_on_thread(call);
}

struct chan_call *start_thread_recv(struct chan_call *call, struct weft_chan *ch)
{
	*call = (struct chan_call){ .ch = ch, .side = WF_RECEIVERS, .value = -1, .deadline = WEFT_NEVER };
	return start_on_thread(call);
}

int finish_call(struct chan_call *call)
{
	if (call->co)
		join_co(call->co);
	else
		join_thread(call->thread);
	return call->result;
}

/* ---- duels ---------------------------------------------------------------------------------------------------------- */

enum { MASTERS, PARTNERS, OVER };

static int await_change(_Atomic int *turn, int from)
{
	enum { SPINS = 2000 };
	int now;
	for (int i = 0; (now = atomic_load(turn)) == from; i++)
		if (i >= SPINS)
			sched_yield();
	return now;
}

static void *run_partner(void *arg)
{
	struct duel *duel = arg;
	while (await_change(&duel->turn, MASTERS) == PARTNERS) {
		duel->act(duel->arg);
		atomic_store(&duel->turn, MASTERS);
	}
	return NULL;
}

void duel_open(struct duel *duel, void (*act)(void *arg))
{
	duel->act = act;
	atomic_init(&duel->turn, MASTERS);
	duel->thread = start_thread(run_partner, duel);
}

void duel_begin(struct duel *duel, void *arg)
{
	duel->arg = arg;
	atomic_store(&duel->turn, PARTNERS);
}

void duel_end(struct duel *duel) { await_change(&duel->turn, PARTNERS); }

void duel_close(struct duel *duel)
{
	atomic_store(&duel->turn, OVER);
	join_thread(duel->thread);
}

void dawdle(uint64_t *random)
{
	for (volatile uint64_t n = random_below(random, 8) * random_below(random, 64); n > 0; n--)
		;
}

/* ---- values --------------------------------------------------------------------------------------------------------- */

void send_long(struct weft_chan *ch, long value) { CHECK_RESULT(weft_chan_send(ch, &value), 0); }

void expect_long(struct weft_chan *ch, long value)
{
	long got = -1;
	CHECK_RESULT(weft_chan_recv(ch, &got), 1);
	CHECK_EQ(got, value);
}
