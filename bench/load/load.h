/* A load generator for echo and HTTP servers. It stands on epoll and threads alone, and not on weft: what measures must not share
 * the faults of what is measured, nor its memory, nor its idea of when something was ready.
 *
 *   main.c    options, the run as a whole, the report
 *   worker.c  a thread: its connections, when requests are due, what comes back
 *   conn.c    sockets: where they come from, how they open and close
 *   wire.c    what is sent, and whether what comes back is right
 *   probe.c   what the server and the machine spent
 *   hist.c    times
 *
 * A run is three stretches of time that are fixed before the threads start: warm-up until `begin`, measured until `end`, then those
 * that are under way get a few seconds. Requests count by when they began (closed loop) or were due (open loop), so one that the
 * server holds up past the end counts in full. */
#ifndef LOAD_H
#define LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "hist.h"

enum { BUFFER = 64 * 1024, PIDS_MAX = 64, DEPTH_MAX = 1024 };

struct options {
	struct sockaddr_in server;
	const char *host, *path, *body, *label;
	long port, conns, threads, depth, message, idle;
	double seconds, warm_up, drain, rate;
	bool http, churn, touch, quiet;
	int pids[PIDS_MAX], npids;
};

extern struct options opt; /* written by main before it starts threads */

struct conn {
	int fd;           /* -1: none */
	uint32_t stream;  /* whose bytes these are: no two connections send the same */
	bool wants_write; /* EPOLLOUT is asked for */
	uint64_t wanted, sent, received; /* bytes of the stream: to be sent, sent, checked */
	uint64_t due, asked, answered;   /* requests: due by the schedule (open loop), begun, answered */
	int64_t *starts;  /* of requests under way, at [number % depth] */
	char *carried;    /* http: a reply that is not whole yet */
	size_t ncarried;
	uint64_t counted;
};

/* Counters of one thread; main adds them up when it has ended. */
struct tally {
	struct hist latency;   /* from the start, or from when it was due, to the whole answer */
	struct hist behind;    /* open loop: from when it was due to when it was sent, for those that found their connection free */
	uint64_t bytes;        /* received in answers that count */
	uint64_t refused;      /* connections that failed or ended */
	uint64_t wrong;        /* bytes that differ, answers that nobody asked for, bad replies */
	uint64_t unanswered;   /* sent, and no answer at the end */
	uint64_t unsent;       /* open loop: due, and still waiting for their connection at the end */
};

struct worker {
	int id, epoll;
	struct conn *conns;
	long nconns;
	int64_t begin, end; /* of what counts */
	int64_t base;       /* open loop: when the first request is due */
	double gap;         /* and how many ns lie between two, of this thread's */
	uint64_t ndue;
	uint32_t next;      /* number of the next connection, for its stream and its address: id, id + threads, ... */
	char *in, *out;     /* in has room for a carried reply before it */
	struct tally tally;
};

static inline int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* worker.c */
void worker_init(struct worker *w, int id);         /* opens its connections too, unless churn makes them */
void worker_schedule(struct worker *w, int64_t begin, int64_t end);
void *worker_run(void *worker);
void worker_end(struct worker *w);                  /* closes the connections that are left */

/* conn.c: sockets, -1 with errno if there is none. The number of a connection chooses its source address. */
void conn_raise_limit(void);
int conn_dial(uint32_t number);  /* waits until it is connected */
int conn_begin(uint32_t number); /* does not wait, and sets the socket so that nothing does */
void conn_reset(int fd);         /* closes without TIME_WAIT */

/* wire.c */
void wire_init(void);
size_t wire_unit(void);                                                      /* bytes of one request */
size_t wire_fill(const struct conn *c, char *to);                            /* what is to be sent next, at most BUFFER bytes */
int wire_check(struct worker *w, struct conn *c, char *bytes, size_t n);     /* how many answers these bytes complete; -1: wrong */
bool wire_exchange(int fd, uint32_t stream);                                 /* one request and its answer, waiting */

/* probe.c */
struct probe {
	double cpu, own_cpu, busy, stolen; /* seconds */
	double rss, kernel;                /* bytes: of the server; of sockets, page tables and kernel stacks of the machine */
	uint64_t switches;                 /* of context, of all the server's threads */
	int64_t when;
};

void probe_take(struct probe *p);

#endif
