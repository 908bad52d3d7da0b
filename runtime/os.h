/* Rank 2. Everything that the runtime asks of the operating system; os_*.c are the only files (with net/netpoll_*) that name
 * one. Sockets are in os_net.h.
 *
 * For all functions: callable on any thread and any stack with 16 KiB left; none parks a coroutine; those marked (sleeps) can
 * block the thread. Results are 0 or a negative errno value; errno itself is not for the caller to read. None is ever inlined
 * into a function that switches (docs/caveats.md). */
#ifndef WF_OS_H
#define WF_OS_H

#include "atomic.h"

/* What an error is called, in English; NULL: there is none of this number. It stays as it is. */
const char *wf_os_error_text(int error);

/* ---- clock --------------------------------------------------------------------------------------------------------- */

/* CLOCK_MONOTONIC in nanoseconds. About 20 ns. */
int64_t wf_os_now(void);

/* The same, but where that is cheaper (Linux, macOS) as it was at the last tick: some milliseconds ago, longer if the system is
 * late with one. About 8 ns. */
int64_t wf_os_now_coarse(void);

/* ---- fences -------------------------------------------------------------------------------------------------------- *
 *
 * An asymmetric pair: "store, light fence, load" on a path that runs millions of times a second against "store, heavy fence,
 * load" on one that does not. At least one side sees the other's store. The heavy side makes every running thread of the process
 * execute a full fence (membarrier(2), PRIVATE_EXPEDITED: about 9 us while others run); where the kernel refuses that, the light
 * side is a full fence as well. */

extern WF_HIDDEN bool wf_os_has_membarrier; /* set once, before the first worker starts */

void wf_os_membarrier_init(void);
void wf_os_membarrier(void);

static inline void wf_fence_light(void)
{
	wf_compiler_barrier();
	if (wf_unlikely(!wf_os_has_membarrier))
		wf_fence_full();
}

static inline void wf_fence_heavy(void)
{
	wf_fence_full();
	if (wf_likely(wf_os_has_membarrier))
		wf_os_membarrier();
}

/* ---- threads ------------------------------------------------------------------------------------------------------- */

struct wf_os_thread {
	uintptr_t handle;
};

/* Starts entry(arg) on a new thread with all signals but the synchronous ones blocked, so that signals meant for the program go to
 * its own threads. name (at most 15 bytes) is what debuggers and top show. -EAGAIN. */
int wf_os_thread_start(struct wf_os_thread *thread, const char *name, void (*entry)(void *), void *arg);
void wf_os_thread_join(struct wf_os_thread thread); /* (sleeps) */
void wf_os_thread_detach(struct wf_os_thread thread);
struct wf_os_thread wf_os_thread_self(void);
int wf_os_thread_id(void); /* of the calling thread, for the next */

/* How many threads this process has; 0: nobody can tell. */
int wf_os_thread_count(void);

/* Whether a thread of this process sleeps in the kernel just now; false where nobody can tell. About 10 us. */
bool wf_os_thread_sleeps(int id);

void wf_os_name_thread(const char *name);           /* the calling one */

/* Sleeps while *word == expected, at most ns nanoseconds (negative: for ever). May wake for no reason. (sleeps) */
void wf_os_futex_wait(wf_u32 *word, unsigned expected, int64_t ns);
void wf_os_futex_wake(wf_u32 *word, int n);

void wf_os_sched_yield(void);         /* (sleeps) */
void wf_os_sleep(int64_t ns);         /* (sleeps) */
void wf_os_precise_timers(void);      /* asks for timer slack of 1 us for the calling thread; ignored where unknown */

/* ---- memory -------------------------------------------------------------------------------------------------------- */

/* Address space, readable and writable, no memory behind it until it is touched, no huge pages. NULL: none left. */
void *wf_os_reserve(size_t size);
void wf_os_unreserve(void *base, size_t size);

/* Gives the pages of count ranges of one size back to the system; they read as zero when touched again. Guards inside stay. Many at
 * a time cost a tenth each of what one does while other threads run. */
void wf_os_discard(char *const *base, size_t count, size_t size);
size_t wf_os_page_size(void);

/* Bytes from the lowest page between low and high that has memory behind it, to high. 0: none, or nobody can tell. */
size_t wf_os_resident(const char *low, const char *high);

/* How guards are made on this machine: probed once, by behaviour. */
enum wf_guard_kind { WF_GUARD_LIGHT /* MADV_GUARD_INSTALL */, WF_GUARD_MPROTECT };
enum wf_guard_kind wf_os_guard_kind(void);

/* How many guards there may be, so that the kernel's limit of mappings is not used up by them: threads and malloc need some too. */
size_t wf_os_guards_max(void);

/* Makes [base + i * stride, + size) inaccessible for i in 0..count. -ENOMEM: vm.max_map_count is reached. */
int wf_os_guard(char *base, size_t size, size_t stride, size_t count);

/* ---- what the process may use -------------------------------------------------------------------------------------- */

/* Processors by affinity mask, and by the cgroup CPU quota of this process and of every ancestor that can be seen (v1 and v2);
 * always >= 1. The rule: min(affinity, max(2, ceil(quota))), as Go 1.25 has it. */
int wf_os_cpu_count(void);

/* ---- faults -------------------------------------------------------------------------------------------------------- */

/* Called on the alternate signal stack with the address that faulted; false: not ours, the fault goes where it would have gone. */
typedef bool wf_os_fault_fn(uintptr_t address, void *context);

int wf_os_fault_install(wf_os_fault_fn *fn);
void wf_os_fault_remove(void);

/* Gives the calling thread an alternate signal stack, and takes it away. */
int wf_os_altstack_enter(void **memory);
void wf_os_altstack_leave(void *memory);

/* Writes the call chain of the interrupted code to fd. */
void wf_os_backtrace(int fd);
void wf_os_backtrace_prepare(void); /* loads what the first backtrace would have to load */

/* The return addresses of the call chain from the caller on, innermost first; how many. 0 where nothing can tell. */
int wf_os_frames(void **frames, int max);

/* What is at a code address: "module+0x12 function+0x3", as far as known. Takes locks of the loader. */
void wf_os_describe_code(const void *address, char *text, size_t size);

/* Writes it all, also to a descriptor that is not ready; a failure is nobody's business. (sleeps) */
void wf_os_put(int fd, const char *text, size_t n);

/* ---- signals ------------------------------------------------------------------------------------------------------- */

enum { WF_OS_SIGNALS = 64 };

/* Has fn called with each of these that comes, on some thread that does not block it, as a signal handler: it may do what such a
 * one may. Keeps what was there before. polite: not if the program has a handler for it, or ignores it. 1 or 0: done or not;
 * -EINVAL: there is no such signal, or it can't be caught, or is made by faults. One thread at a time. */
int wf_os_signal_take(int number, void (*fn)(int number), bool polite);

/* Puts back what was there, unless the program has put something else there meanwhile. */
void wf_os_signal_give(int number);
void wf_os_signal_give_all(void);

void wf_os_signal_ignore(int number); /* after take */
void wf_os_signal_die(int number);    /* does what the signal does by default */

/* A signal by which a thread of the runtime asks another one something: fn is its handler. Before the first of these threads
 * starts, so that they do not block it; and when none is left. Not if the program uses that signal itself. */
void wf_os_probe_open(void (*fn)(int number));
void wf_os_probe_close(void);
bool wf_os_signal_thread(int id); /* false: not open, or no such thread */
extern int wf_os_probe_number;    /* 0: not open */

/* The number of a signal by its name without SIG, or by its digits; -1: none. */
int wf_os_signal_number(const char *name);

/* Has fn called in the child of each fork from now on. Once. */
void wf_os_at_fork(void (*fn)(void));

_Noreturn void wf_os_exit_now(int status); /* _exit(2) */

#endif
