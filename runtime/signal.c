/* Signals as values, and the signal that asks for a dump. */
#include <weft/signal.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "chan.h"
#include "check.h"
#include "deadlock.h"
#include "dump.h"
#include "monitor.h"
#include "signals.h"

struct subscription {
	struct subscription *next;
	struct weft_chan *chan;
	int number;
	unsigned round; /* in which it was last sent to */
};

static struct wf_lock lock;               /* guards all below but `pending` */
static struct subscription *subscriptions;
static bool sending;                      /* the monitor is sending to a channel, without the lock */
static unsigned round_number;
static bool for_dumps;                    /* the signal for dumps is taken for that */
static wf_word pending;                   /* bit number - 1 */

/* ---- in the handler ------------------------------------------------------------------------------------------------- */

static void note(int number)
{
	uintptr_t now, bit = (uintptr_t)1 << (number - 1);
	do
		now = wf_load(&pending);
	while (!(now & bit) && !wf_cas_full(&pending, now, now | bit)); /* pairs with wf_signals_deliver */
	wf_monitor_poke();
}

/* ---- subscriptions --------------------------------------------------------------------------------------------------- */

static bool is_wanted_locked(int number)
{
	for (struct subscription *s = subscriptions; s; s = s->next)
		if (s->number == number)
			return true;
	return for_dumps && number == wf_rt.config.dump_signal;
}

/* Ends those to this channel (NULL: any) for this signal (0: any). */
static void remove_locked(const struct weft_chan *ch, int number)
{
	struct subscription **at = &subscriptions, *s;
	while ((s = *at)) {
		if ((ch && s->chan != ch) || (number && s->number != number)) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		wf_u32_add_full(&wf_signals_wanted, -1);
		if (!is_wanted_locked(s->number))
			wf_os_signal_give(s->number);
		free(s);
	}
}

static int add_locked(struct weft_chan *ch, int number)
{
	for (struct subscription *s = subscriptions; s; s = s->next)
		if (s->chan == ch && s->number == number)
			return 0;
	struct subscription *s = wf_stress_fails() ? NULL : malloc(sizeof *s);
	if (!s)
		return -ENOMEM;
	if (!is_wanted_locked(number))
		wf_os_signal_give(number); /* it may be ignored */
	int taken = wf_os_signal_take(number, note, false);
	if (taken < 0) {
		free(s);
		return taken;
	}
	*s = (struct subscription){subscriptions, ch, number, round_number};
	subscriptions = s;
	wf_u32_add_full(&wf_signals_wanted, 1);
	return 0;
}

/* Until the monitor is not in the middle of sending. No lock is held. */
static void await_sent(void)
{
	for (;;) {
		wf_lock(&lock);
		bool busy = sending;
		wf_unlock(&lock);
		if (!busy)
			return;
		wf_os_sched_yield();
	}
}

int weft_signal_notify(struct weft_chan *ch, int number)
{
	if (!ch || ch->elem_size != sizeof(int) || number < 1 || number > WF_OS_SIGNALS)
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	int result = -EINVAL;
	wf_lock(&lock);
	if (w || wf_load_acquire(&wf_up))
		result = add_locked(ch, number);
	wf_unlock(&lock);
	wf_leave(w);
	return result;
}

void weft_signal_stop(struct weft_chan *ch)
{
	struct wf_worker *w = wf_enter_here();
	wf_lock(&lock);
	if (ch)
		remove_locked(ch, 0);
	wf_unlock(&lock);
	await_sent();
	wf_leave(w);
}

static int reset(int number, bool ignore)
{
	if (number < 1 || number > WF_OS_SIGNALS)
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	wf_lock(&lock);
	remove_locked(NULL, number);
	if (number == wf_rt.config.dump_signal)
		for_dumps = false;
	wf_os_signal_give(number);
	int result = ignore ? wf_os_signal_take(number, note, false) : 0;
	if (ignore && result > 0)
		wf_os_signal_ignore(number);
	wf_unlock(&lock);
	await_sent();
	wf_leave(w);
	return result < 0 ? result : 0;
}

int weft_signal_reset(int number)
{
	return reset(number, false);
}

int weft_signal_ignore(int number)
{
	return reset(number, true);
}

/* ---- delivery -------------------------------------------------------------------------------------------------------- */

static void dump_and_leave(void *arg)
{
	(void)arg;
	if (wf_load_acquire(&wf_up)) {
		wf_dump(STDERR_FILENO, WF_DUMP_TEXT);
		if (wf_rt.config.dump_ends)
			wf_os_signal_die(wf_rt.config.dump_signal);
	}
	wf_leave_guest();
}

/* On a thread of its own, which is a guest: writing may take long, and the monitor has other things to do. */
static void dump_aside(void)
{
	struct wf_os_thread thread;
	wf_enter_guest();
	if (wf_os_thread_start(&thread, "weft-dump", dump_and_leave, NULL) == 0)
		wf_os_thread_detach(thread);
	else
		dump_and_leave(NULL);
}

/* A channel that this signal was not sent to in this round, NULL: none. It is being sent to from now on. */
static struct weft_chan *next_chan(int number)
{
	struct weft_chan *ch = NULL;
	wf_lock(&lock);
	for (struct subscription *s = subscriptions; s && !ch; s = s->next) {
		if (s->number != number || s->round == round_number)
			continue;
		s->round = round_number;
		ch = s->chan;
	}
	sending = ch != NULL;
	wf_unlock(&lock);
	return ch;
}

static void deliver(int number)
{
	struct weft_chan *ch;
	bool sent = false;
	wf_lock(&lock);
	round_number++;
	bool dump = for_dumps && number == wf_rt.config.dump_signal;
	wf_unlock(&lock);
	while ((ch = next_chan(number))) {
		int dropped = weft_chan_try_send(ch, &number);
		(void)dropped;
		sent = true;
	}
	if (dump && !sent)
		dump_aside();
}

bool wf_signals_pending(void)
{
	return wf_load(&pending) != 0; /* relaxed: confirmed by the exchange */
}

void wf_signals_deliver(void)
{
	uintptr_t bits = wf_exchange_full(&pending, 0); /* pairs with note */
	for (int number = 1; bits; number++, bits >>= 1)
		if (bits & 1)
			deliver(number);
}

/* ---- with the runtime ------------------------------------------------------------------------------------------------ */

void wf_signals_start(void)
{
	wf_lock(&lock);
	wf_store(&pending, 0);
	for_dumps = wf_rt.config.dump_signal != 0 && wf_os_signal_take(wf_rt.config.dump_signal, note, true) > 0;
	wf_unlock(&lock);
}

void wf_signals_stop(void)
{
	wf_lock(&lock);
	remove_locked(NULL, 0);
	for_dumps = false;
	wf_os_signal_give_all();
	wf_unlock(&lock);
	await_sent();
}
