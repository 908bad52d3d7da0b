/* What the tests of channels and select share. */
#ifndef TEST_CHAN_UTIL_H
#define TEST_CHAN_UTIL_H

#include "core_util.h"

#include "chan.h"

/* A result that must not be an error. */
static inline int ok(int result)
{
	CHECK_OK(result);
	return result;
}

struct weft_chan *make_chan(size_t elem_size, size_t capacity);
void destroy_chan(struct weft_chan *ch);

/* Waits until so many are in this queue of the channel. */
void await_queue(struct weft_chan *ch, enum wf_chan_side side, int n);

/* A call as a coroutine of its own, or on a plain thread: one send or receive of a long, until a deadline. */
struct chan_call {
	struct weft_chan *ch;
	enum wf_chan_side side;
	long value;
	weft_time deadline;
	int result;
	struct weft_co *co;
	pthread_t thread;
};
struct chan_call *start_send(struct chan_call *call, struct weft_chan *ch, long value);
struct chan_call *start_recv(struct chan_call *call, struct weft_chan *ch);
struct chan_call *start_send_until(struct chan_call *call, struct weft_chan *ch, long value, weft_time deadline);
struct chan_call *start_recv_until(struct chan_call *call, struct weft_chan *ch, weft_time deadline);
struct chan_call *start_thread_send(struct chan_call *call, struct weft_chan *ch, long value);
struct chan_call *start_thread_recv(struct chan_call *call, struct weft_chan *ch);

/* Joins it: its result. */
int finish_call(struct chan_call *call);

/* A plain thread that acts at the same time as its master does something else. */
struct duel {
	void (*act)(void *arg);
	void *arg;
	_Atomic int turn;
	pthread_t thread;
};
void duel_open(struct duel *duel, void (*act)(void *arg));
void duel_close(struct duel *duel);

/* It begins with this argument; wait until it is done. */
void duel_begin(struct duel *duel, void *arg);
void duel_end(struct duel *duel);

/* Does nothing for a short time, by lot: so that the two meet at all points. */
void dawdle(uint64_t *random);

/* Sends that must succeed, and receives that must give this value. */
void send_long(struct weft_chan *ch, long value);
void expect_long(struct weft_chan *ch, long value);

#endif
