/* The runtime: one per process. A *processor* is the right to run coroutines (there are exactly maxprocs of them); a *worker*
 * is an OS thread that holds one. */
#ifndef WEFT_RUNTIME_H
#define WEFT_RUNTIME_H

#include "base.h"
#include "time.h"

#define WEFT_MAXPROCS_LIMIT 256 /* processors at most */

/* Body of a coroutine: its argument, and the result that weft_join hands out. */
typedef int weft_fn(void *arg);

/* Set by weft_config_init to the defaults, then from the environment; change fields before passing it on. */
struct weft_config {
	size_t size;       /* sizeof(struct weft_config) */
	int maxprocs;      /* processors, 1..WEFT_MAXPROCS_LIMIT.  WEFT_MAXPROCS, else GOMAXPROCS, else affinity and cgroup quota */
	size_t stack_size; /* usable bytes of a coroutine's stack; the guard comes on top.  WEFT_STACK, e.g. 192K or 1M */
	int64_t spin_ns;   /* how long a worker without work looks around before it sleeps; 0 with one processor.  WEFT_SPIN_US */
	bool handoff;      /* take the processor from a coroutine that has not come back for 10 ms (default).  WEFT_HANDOFF=0 */
	int max_workers;   /* OS threads at most that hold or have held a processor; beyond, none is taken away (default 512).
			      WEFT_MAX_WORKERS */
	int max_computing; /* of these, threads that compute without a processor; beyond, it takes 100 ms, not 10, to be one more.
			      0: four for each processor, at least 16 (default).  WEFT_MAX_COMPUTING */
	int max_helpers;   /* OS threads at most for calls that block; more of them queue (default 256).  WEFT_MAX_HELPERS */
	int64_t helper_idle_ns; /* how long a helper stays without work (default 10 s).  WEFT_HELPER_IDLE_MS */
	int max_lookups;   /* names looked up at a time; more of them queue (default 32).  WEFT_MAX_LOOKUPS */
	bool watch_stack_overflow; /* a SIGSEGV/SIGBUS handler names the coroutine whose stack ran out (default) */
	int64_t trace_ns;  /* a line of statistics on standard error this often; 0: none (default).  WEFT_TRACE=sched=1000, in ms */
	int64_t watchdog_ns; /* coroutines that hold their thread for so long are named on standard error, with where they are;
			      0: none (default).  WEFT_WATCHDOG, in ms */
	int dump_signal;   /* has a dump written to standard error, unless the program handles it itself; 0: none (default SIGQUIT).
			      WEFT_DUMP_SIGNAL=QUIT, USR1, 0, ... */
	bool dump_ends;    /* and then does what the signal does by default (default: goes on).  WEFT_DUMP_ENDS=1 */
	int on_deadlock;   /* enum weft_deadlock.  WEFT_DEADLOCK=off, report or exit */
};

/* What to do when coroutines wait for each other, and nothing is left that could wake any of them (docs/debugging.md). */
enum weft_deadlock {
	WEFT_DEADLOCK_DEFAULT, /* weft_run: EXIT; weft_start: REPORT */
	WEFT_DEADLOCK_OFF,
	WEFT_DEADLOCK_REPORT,  /* all coroutines are described on standard error */
	WEFT_DEADLOCK_EXIT,    /* and the process ends with WEFT_STATUS_DEADLOCK */
};

WEFT_BEGIN

/* Fills *config with the defaults and then with what the environment says. A value in the environment that can't be used is
 * reported in one line on standard error and the default is kept. From anywhere, before the runtime starts; never parks. */
WEFT_API void weft_config_init(struct weft_config *config);

/* Starts the runtime, runs fn(arg) as its first coroutine and returns fn's result once fn and every other coroutine but
 * daemons have ended; daemons are then cancelled and waited for. Everything is freed; it can be called again. config NULL: the
 * defaults. Blocks the calling thread, which must not be a coroutine.
 * Errors: -EBUSY the runtime is running, -EINVAL a field of config, -ENOMEM, -EAGAIN no thread could be made. Where fn may
 * return negative values itself, let it report through its argument. */
WEFT_API WEFT_NODISCARD int weft_run(const struct weft_config *config, weft_fn *fn, void *arg);

/* Starts the runtime on threads of its own and returns: for programs that have a main loop already. Coroutines are then made
 * by weft_go and weft_spawn from any thread. Errors as weft_run. */
WEFT_API WEFT_NODISCARD int weft_start(const struct weft_config *config);

/* Waits until every coroutine but daemons has ended, cancels the daemons, waits for them, and frees the runtime. Blocks the
 * calling thread, which must not be a coroutine. -ETIMEDOUT: the deadline came first and the runtime goes on as before;
 * -EINVAL not started, or called from a coroutine. */
WEFT_API WEFT_NODISCARD int weft_stop(weft_time deadline);

/* Cancels every coroutine (their waiting calls return -ECANCELED) and returns at once with 0. If any is still alive at the
 * deadline, their ids, names and waits go to standard error and the process exits with WEFT_STATUS_SHUTDOWN. Coroutines made
 * from now on are born cancelled. From anywhere; never parks. -EINVAL: not started. */
WEFT_API WEFT_NODISCARD int weft_shutdown(weft_time deadline);

/* The number of processors. Before the start: what the default would be. From anywhere; never parks. */
WEFT_API int weft_maxprocs(void);

/* Changes the number of processors, up or down; nothing is lost. Processors to be given up are left by their workers at their
 * next entry into the runtime; the call does not wait for that. From any thread or coroutine; never parks.
 * Returns the former number. -EINVAL: out of 1..WEFT_MAXPROCS_LIMIT, or not started; -ENOMEM. */
WEFT_API WEFT_NODISCARD int weft_set_maxprocs(int n);

WEFT_END

#endif
