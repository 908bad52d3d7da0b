#include "park.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "check.h"
#include "deadlock.h"
#include "monitor.h"

static const char *const reason_names[WF_WHY_COUNT] = {
	[WF_WHY_NONE] = "nothing",       [WF_WHY_JOIN] = "join",           [WF_WHY_SLEEP] = "sleep",
	[WF_WHY_READ] = "read",          [WF_WHY_WRITE] = "write",         [WF_WHY_ACCEPT] = "accept",
	[WF_WHY_CONNECT] = "connect",    [WF_WHY_FD] = "descriptor",       [WF_WHY_FD_TURN] = "its turn on a descriptor",
	[WF_WHY_CHAN_SEND] = "send",     [WF_WHY_CHAN_RECV] = "receive",   [WF_WHY_SELECT] = "select",
	[WF_WHY_MUTEX] = "mutex",        [WF_WHY_RWMUTEX] = "rwmutex",     [WF_WHY_COND] = "condition",
	[WF_WHY_SEM] = "semaphore",      [WF_WHY_WAITGROUP] = "waitgroup", [WF_WHY_ONCE] = "once",
	[WF_WHY_WATCH] = "watch",        [WF_WHY_FLIGHT] = "flight",       [WF_WHY_MAILBOX_SEND] = "send to a mailbox",
	[WF_WHY_SCOPE] = "scope",        [WF_WHY_OFFLOAD] = "offload",     [WF_WHY_MAILBOX_RECV] = "receive from a mailbox",
	[WF_WHY_EXIT] = "exit",          [WF_WHY_TIMER] = "timer",         [WF_WHY_SELECT_FD] = "select with descriptors",
};

const char *wf_reason_name(enum wf_reason why)
{
	return (unsigned)why < WF_WHY_COUNT ? reason_names[why] : "?";
}

/* ---- nodes of plain threads ---------------------------------------------------------------------------------------- */

/* A waker may look at a node after its thread has gone on, or has ended: so nodes are kept and used again, never freed. */
struct thread_node {
	struct wf_wait wait;
	struct thread_node *next_free;
};

static _Thread_local struct thread_node *thread_node;
static struct thread_node *free_nodes;
static struct wf_lock free_nodes_lock;
static pthread_key_t node_key;
static pthread_once_t node_key_once = PTHREAD_ONCE_INIT;

static void release_node(void *p)
{
	struct thread_node *node = p;
	wf_lock(&free_nodes_lock);
	node->next_free = free_nodes;
	free_nodes = node;
	wf_unlock(&free_nodes_lock);
}

static void make_node_key(void)
{
	wf_check(pthread_key_create(&node_key, release_node) == 0);
}

static struct thread_node *new_node(void)
{
	wf_lock(&free_nodes_lock);
	struct thread_node *node = free_nodes;
	if (node)
		free_nodes = node->next_free;
	wf_unlock(&free_nodes_lock);
	if (!node && !(node = calloc(1, sizeof *node)))
		wf_fatal("no memory for the wait node of a thread");
	return node;
}

WF_OPAQUE struct wf_wait *wf_thread_wait(void)
{
	if (!thread_node) {
		pthread_once(&node_key_once, make_node_key);
		thread_node = new_node();
		pthread_setspecific(node_key, thread_node);
	}
	return &thread_node->wait;
}

/* ---- the waiter's side --------------------------------------------------------------------------------------------- */

void wf_wait_abandon(struct wf_wait *wait)
{
	/* relaxed: at most a canceller has the ticket, and it finds nothing to do */
	wf_store(&wait->claim, wf_wait_ticket(wait) | WF_IDLE);
	if (wait->co)
		wf_co_move(wait->co, WF_STATE_RUNNING);
}

bool wf_wait_give_up(struct wf_wait *wait)
{
	uintptr_t ticket = wf_wait_ticket(wait);
	if (!wf_cas_full(&wait->claim, ticket | WF_PARKED, ticket | WF_IDLE)) /* pairs with wf_claim */
		return false;
	if (wait->co)
		wf_co_move(wait->co, WF_STATE_RUNNING);
	return true;
}

static void on_deadline(void *owner, uintptr_t ticket)
{
	struct wf_wait *wait = owner;
	if (wf_claim(wait, ticket, -ETIMEDOUT))
		wf_wake(wf_waker_self(), wait);
}

void wf_park_arm(struct wf_worker *w, struct wf_wait *wait, int64_t deadline)
{
	wait->timer.when = deadline;
	wait->timer.fire = on_deadline;
	wait->timer.owner = wait;
	wait->timer.arg = wf_wait_ticket(wait);
	if (wf_timer_arm(&w->proc->timers, &wait->timer))
		wf_timer_armed(w, deadline);
}

static int sleep_until_woken(struct wf_wait *wait, int64_t deadline)
{
	unsigned state;
	while ((state = wf_u32_load_acquire(&wait->thread)) != WF_THREAD_WOKEN) { /* pairs with the release in wf_wake_thread */
		int64_t left = wf_time_left(deadline);
		if (left == 0) {
			if (wf_wait_give_up(wait))
				return -ETIMEDOUT;
			left = -1; /* claimed: the waker is on its way */
		}
		wf_os_futex_wait(&wait->thread, state, wf_san_nap(left));
	}
	return (int)wait->result;
}

/* Nothing but weft can end this wait. */
static void count_stuck(struct wf_wait *wait)
{
	wf_u32_add_full(&wf_threads_stuck, 1);
	if (wf_u32_cas_full(&wait->thread, WF_THREAD_WAITS, WF_THREAD_STUCK)) /* pairs with wf_wake_thread */
		wf_monitor_thread_stuck();
	else
		wf_u32_add_full(&wf_threads_stuck, -1); /* woken already */
}

static int block_thread(struct wf_wait *wait, int64_t deadline)
{
	wf_thread_waits();
	if (deadline == WF_TIME_NEVER && wf_is_internal(wf_u8_load(&wait->why)))
		count_stuck(wait);
	wf_leave_guest();
	int result = sleep_until_woken(wait, deadline);
	wf_enter_guest();
	return result;
}

int wf_park_rare(struct wf_worker *w, struct wf_wait *wait, int64_t deadline)
{
	if (deadline == WEFT_NOW && wf_wait_give_up(wait))
		return -EAGAIN;
	return w ? WF_PARK_SWITCH : block_thread(wait, deadline);
}

bool wf_waitq_remove(struct wf_waiter *waiter)
{
	if (!wf_link_queued(&waiter->link))
		return false;
	wf_list_remove(&waiter->link);
	return true;
}

/* ---- the waker's side ---------------------------------------------------------------------------------------------- */

struct wf_wait *wf_waitq_claim(struct wf_waitq *queue, intptr_t result, struct wf_waiter **waiter)
{
	struct wf_link *l;
	while ((l = wf_list_pop(&queue->list))) {
		struct wf_waiter *entry = wf_container_of(l, struct wf_waiter, link);
		if (!wf_claim(entry->wait, entry->ticket, result))
			continue;
		if (waiter)
			*waiter = entry;
		return entry->wait;
	}
	return NULL;
}

void wf_wake_thread(struct wf_wait *wait)
{
	unsigned was;
	do
		was = wf_u32_load(&wait->thread); /* relaxed: confirmed by the CAS */
	while (!wf_u32_cas_full(&wait->thread, was, WF_THREAD_WOKEN)); /* release: pairs with the acquire in sleep_until_woken */
	if (was == WF_THREAD_STUCK)
		wf_u32_add_full(&wf_threads_stuck, -1);
	wf_os_futex_wake(&wait->thread, 1);
}

void wf_wake_all(struct wf_worker *w, struct wf_list *list)
{
	struct wf_link *l;
	unsigned char former = w ? w->how & WF_READY_BATCH : 0;
	if (w && list->head.next != list->head.prev)
		w->how |= WF_READY_BATCH;
	while ((l = wf_list_pop(list)))
		wf_wake(w, wf_container_of(l, struct wf_waiter, link)->wait);
	if (w)
		wf_batch_end(w, former);
}
