#include "watchdog.h"

#include <stdio.h>
#include <unistd.h>

#include "check.h"
#include "probe.h"
#include "sched.h"

/* One that is over its time; the worker may be gone when it is told of. */
struct culprit {
	const struct wf_worker *w;
	int thread_id;
	int64_t held_ns;
};

void wf_watchdog_start(void)
{
	if (wf_rt.config.watchdog_ns <= 0)
		return;
	wf_os_backtrace_prepare();
	wf_os_probe_open(wf_probe_answer);
}

void wf_watchdog_stop(void)
{
	if (wf_rt.config.watchdog_ns > 0)
		wf_os_probe_close();
}

static uint64_t progress(const struct wf_proc *p)
{
	return wf_load(&p->stats.dispatches) + wf_load(&p->stats.looks);
}

void wf_watchdog_swapped(struct wf_worker *w, const struct wf_proc *p)
{
	if (w->watch.proc) {
		w->watch.proc = p;
		w->watch.count = progress(p);
	}
}

/* Whether it has been at the same coroutine since it was last seen: a processor counts what it runs and how often it looks around;
 * a worker whose processor was taken is away until a call that may switch brings it back. */
static bool is_at_the_same_locked(struct wf_worker *w, const struct wf_proc *p)
{
	uint64_t count = p ? progress(p) : 0;
	bool same = w->away || (p && w->watch.proc == p && w->watch.count == count && w->watch.since);
	if (p) {
		w->watch.proc = p;
		w->watch.count = count;
	}
	return same && (p || w->away);
}

static bool look_locked(struct wf_worker *w, const struct wf_proc *p, int64_t now, struct culprit *culprit)
{
	if (!is_at_the_same_locked(w, p)) {
		w->watch.since = now;
		w->watch.told = false;
		return false;
	}
	if (w->watch.told || now - w->watch.since < wf_rt.config.watchdog_ns)
		return false;
	w->watch.told = true; /* once, however long it takes */
	*culprit = (struct culprit){w, (int)wf_u32_load(&w->os_id), now - w->watch.since};
	return true;
}

static const struct wf_proc *proc_of_locked(const struct wf_worker *w)
{
	for (unsigned i = 0; i < wf_procs_made(); i++) {
		const struct wf_proc *p = wf_proc_at(i);
		if (p->state == WF_PROC_RUNNING && p->worker == w)
			return p;
	}
	return NULL;
}

static void put_frames(const struct wf_probe *probe)
{
	char line[256], what[200];
	for (int i = 0; i < probe->frame_count; i++) {
		wf_os_describe_code(probe->frames[i], what, sizeof what);
		int n = snprintf(line, sizeof line, "    #%d %p %s\n", i, probe->frames[i], what);
		wf_os_put(STDERR_FILENO, line, n > 0 && (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
	}
}

static void tell(const struct culprit *culprit)
{
	static struct wf_probe probe;
	long long ms = (long long)culprit->held_ns / 1000000;
	bool sleeps = wf_os_thread_sleeps(culprit->thread_id);
	bool answers = wf_probe_ask(culprit->w, culprit->thread_id, &probe);
	wf_count(&wf_rt.stalls); /* after it: whoever waits for this may end now */
	if (!answers) {
		wf_report("watchdog: a coroutine has held thread %d for %lld ms; it does not answer", culprit->thread_id, ms);
		return;
	}
	wf_report("watchdog: coroutine %llu \"%s\" has held thread %d for %lld ms, %s", (unsigned long long)probe.id, probe.name,
		  culprit->thread_id, ms, sleeps ? "asleep in the kernel" : "computing");
	put_frames(&probe);
}

bool wf_watchdog_look(int64_t now)
{
	enum { AT_ONCE = 16 };
	struct culprit culprits[AT_ONCE];
	int n = 0;
	bool away = false;
	if (wf_rt.config.watchdog_ns <= 0)
		return false;
	wf_lock(&wf_rt.lock);
	for (struct wf_worker *w = wf_rt.all_workers; w && n < AT_ONCE; w = w->all_next) {
		n += look_locked(w, proc_of_locked(w), now, &culprits[n]);
		away = away || w->away;
	}
	wf_unlock(&wf_rt.lock);
	for (int i = 0; i < n; i++)
		tell(&culprits[i]);
	return away;
}
