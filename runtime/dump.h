/* Rank 4. Dumps: what is known of every coroutine.
 *
 * A parked coroutine's stack is read by unwinding it as a debugger would, from another thread. For that it is kept from going on
 * (switch.h, wf_look_begin; tests/models/look.pml), for a few microseconds each; whoever wakes it does not wait for that.
 * Nothing is allocated, and texts for code addresses are kept, so 100,000 coroutines take well below a second. */
#ifndef WF_DUMP_H
#define WF_DUMP_H

#include "coro.h"

enum { WF_DUMP_FRAMES = 48 };

enum wf_dump_style { WF_DUMP_TEXT, WF_DUMP_JSON };

/* What was found out about one. */
struct wf_subject {
	uint64_t id, creator;
	enum wf_state state;
	enum wf_reason why;      /* while it waits */
	uintptr_t object;        /* likewise; 0: nothing in particular */
	uint64_t other;          /* the coroutine without which it can't go on; 0: none, or unknown */
	int fd;                  /* the descriptor that it waits for; -1: none */
	int64_t waited_ns;       /* -1: unknown */
	int64_t left_ns;         /* until its deadline; WF_TIME_NEVER: none */
	int cause;               /* with which it was cancelled; 0: it was not */
	bool daemon;
	size_t stack_size, stack_used, stack_resident; /* bytes; 0: unknown */
	int frame_count;
	void *frames[WF_DUMP_FRAMES];
	char name[WEFT_NAME_SIZE];
};

/* ---- who waits for whom (cycles.c) ----------------------------------------------------------------------------------- */

/* The owner of what somebody waits for; NULL: nobody, or a thread. mutex.c and rwmutex.c, which come later; bound by the linker. */
struct weft_co *wf_mutex_owner(uintptr_t mutex);
struct weft_co *wf_rwmutex_writer(uintptr_t rwmutex);

/* Without whom it can't go on, if that is known, of one that is parked and kept so; NULL. */
struct weft_co *wf_awaited(const struct weft_co *co);

/* Calls fn with every cycle of coroutines that wait for each other: the first waits for the second, the last for the first. Each is
 * reported once; all its members were parked in these waits at one moment. Returns how many. */
enum { WF_CYCLE_MAX = 64 };
typedef void wf_cycle_fn(struct weft_co *const *members, int n, void *arg);
int wf_cycles_find(wf_cycle_fn *fn, void *arg);

/* ---- writing ----------------------------------------------------------------------------------------------------------- */

/* Gathers text and writes it in large pieces. */
struct wf_out {
	int fd;
	size_t n;
	char text[1 << 15];
};

void wf_put(struct wf_out *out, const char *format, ...) WF_PRINTF(2, 3);
void wf_flush(struct wf_out *out);

void wf_put_head(struct wf_out *out, enum wf_dump_style style);
void wf_put_subject(struct wf_out *out, enum wf_dump_style style, const struct wf_subject *s, bool first);
void wf_put_cycle(struct wf_out *out, enum wf_dump_style style, struct weft_co *const *members, int n, bool first);
void wf_put_middle(struct wf_out *out, enum wf_dump_style style); /* between coroutines and cycles */
void wf_put_tail(struct wf_out *out, enum wf_dump_style style);

/* For threads of the runtime and guests; without a processor, or as if. */
void wf_dump(int fd, enum wf_dump_style style);

#endif
