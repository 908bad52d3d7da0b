#include "stats.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sched.h"

/* ---- counting -------------------------------------------------------------------------------------------------------- */

static void add_proc(struct weft_stats *to, const struct wf_proc *p)
{
	const struct wf_proc_stats *s = &p->stats;
	to->spawned += wf_load(&s->spawned);
	to->ended += wf_load(&s->ended);
	to->dispatches += wf_load(&s->dispatches);
	to->parks += wf_load(&s->parks);
	to->steals += wf_load(&s->steals);
	to->stolen += wf_load(&s->stolen);
	to->polls += wf_load(&s->polls);
	to->budget_yields += wf_load(&s->budget_yields);
	to->timers_fired += wf_load(&s->timers_fired);
	to->queued += wf_runq_length(&p->runq);
	to->timers += wf_u32_load(&p->timers.size);
	for (int i = 0; i < WEFT_LATENCY_BUCKETS; i++)
		to->latency[i] += wf_load(&s->latency[i]);
}

void wf_stats_sum(struct weft_stats *all)
{
	enum { MONITOR = 1 };
	all->maxprocs = (int)wf_u32_load(&wf_rt.proc_count);
	all->idle_procs = (int)wf_u32_load(&wf_rt.idle_count);
	all->workers = (int)wf_u32_load(&wf_rt.worker_count);
	all->helpers = (int)wf_helper_count();
	all->threads = all->workers + all->helpers + MONITOR;
	all->spinning = (int)wf_u32_load(&wf_rt.spinning);
	all->live = wf_live(true);
	all->spawned = wf_load(&wf_rt.foreign_spawned);
	all->wakes = wf_load(&wf_rt.wakes);
	all->stalls = wf_load(&wf_rt.stalls);
	all->handoffs = wf_load(&wf_rt.handoffs);
	all->stacks = wf_stack_made();
	all->queued = wf_globq_count(&wf_rt.global);
	for (unsigned i = 0; i < wf_procs_made(); i++)
		add_proc(all, wf_proc_at(i));
}

void weft_stats(struct weft_stats *stats)
{
	struct weft_stats all = {0};
	struct wf_worker *w = wf_enter_here();
	if (w || wf_load_acquire(&wf_up))
		wf_stats_sum(&all);
	wf_leave(w);
	all.size = stats->size < sizeof all ? stats->size : sizeof all;
	memcpy(stats, &all, all.size);
}

/* ---- the histogram --------------------------------------------------------------------------------------------------- */

int64_t weft_latency_bound(int bucket)
{
	return bucket < 0 ? 0 : bucket < WEFT_LATENCY_BUCKETS - 1 ? (int64_t)1024 << bucket : INT64_MAX;
}

int64_t weft_latency_quantile(const struct weft_stats *stats, double part)
{
	uint64_t all = 0, below = 0;
	if (stats->size < sizeof *stats)
		return 0;
	for (int i = 0; i < WEFT_LATENCY_BUCKETS; i++)
		all += stats->latency[i];
	for (int i = 0; i < WEFT_LATENCY_BUCKETS && all > 0; i++) {
		below += stats->latency[i];
		if ((double)below >= (double)all * part)
			return weft_latency_bound(i);
	}
	return 0;
}

/* ---- the trace ------------------------------------------------------------------------------------------------------- */

static struct weft_stats former;
static int64_t former_at;

void wf_trace_start(void)
{
	former = (struct weft_stats){0};
	former_at = wf_os_now();
}

/* The counters of *all become what was added since the last call. */
static void subtract_former(struct weft_stats *all)
{
	static const size_t counters[] = {
		offsetof(struct weft_stats, spawned), offsetof(struct weft_stats, ended), offsetof(struct weft_stats, dispatches),
		offsetof(struct weft_stats, parks), offsetof(struct weft_stats, steals), offsetof(struct weft_stats, stolen),
		offsetof(struct weft_stats, polls), offsetof(struct weft_stats, wakes), offsetof(struct weft_stats, budget_yields),
		offsetof(struct weft_stats, timers_fired), offsetof(struct weft_stats, handoffs),
	};
	struct weft_stats now = *all;
	for (size_t i = 0; i < wf_countof(counters); i++)
		*(uint64_t *)(void *)((char *)all + counters[i]) -= *(uint64_t *)(void *)((char *)&former + counters[i]);
	for (int i = 0; i < WEFT_LATENCY_BUCKETS; i++)
		all->latency[i] -= former.latency[i];
	former = now;
}

static void put_queues(char *text, size_t size)
{
	size_t n = 0;
	for (unsigned i = 0; i < wf_u32_load(&wf_rt.proc_count) && n + 16 < size; i++)
		n += (size_t)snprintf(text + n, size - n, "%s%u", i ? "," : "", wf_runq_length(&wf_proc_at(i)->runq));
}

#define U(n) ((unsigned long long)(n))

void wf_trace(int64_t now)
{
	char line[1024], queues[256] = "";
	struct weft_stats all = {.size = sizeof all};
	wf_stats_sum(&all);
	subtract_former(&all);
	put_queues(queues, sizeof queues);
	int n = snprintf(line, sizeof line,
			 "weft: sched ms=%lld procs=%d idle=%d workers=%d spinning=%d threads=%d live=%llu timers=%llu global=%u "
			 "queues=%s spawned=%llu ended=%llu dispatches=%llu parks=%llu steals=%llu stolen=%llu polls=%llu "
			 "wakes=%llu budget_yields=%llu timers_fired=%llu handoffs=%llu latency_p50_us=%lld latency_p99_us=%lld\n",
			 (long long)(now - former_at) / 1000000, all.maxprocs, all.idle_procs, all.workers, all.spinning,
			 all.threads, U(all.live), U(all.timers), wf_globq_count(&wf_rt.global), queues, U(all.spawned),
			 U(all.ended), U(all.dispatches), U(all.parks), U(all.steals), U(all.stolen), U(all.polls), U(all.wakes),
			 U(all.budget_yields), U(all.timers_fired), U(all.handoffs),
			 (long long)weft_latency_quantile(&all, 0.5) / 1000, (long long)weft_latency_quantile(&all, 0.99) / 1000);
	former_at = now;
	ssize_t ignored = write(STDERR_FILENO, line, (size_t)(n < (int)sizeof line ? n : (int)sizeof line - 1));
	(void)ignored;
}
