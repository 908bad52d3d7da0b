/* What is counted, as Prometheus reads it: the text format 0.0.4. Everything is of this process alone. */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include "conn.h"

/* ---- counting ------------------------------------------------------------------------------------------------------ */

/* Upper ends of the buckets; the last one has none. */
static const int64_t bounds[HTTP_LATENCIES - 1] = {
	WEFT_US(100), WEFT_US(250), WEFT_US(500), WEFT_MS(1), WEFT_US(2500), WEFT_MS(5), WEFT_MS(10), WEFT_MS(25),
	WEFT_MS(50), WEFT_MS(100), WEFT_MS(250), WEFT_MS(500), WEFT_SEC(1), WEFT_MS(2500), WEFT_SEC(5), WEFT_SEC(10),
};

void http_fold(struct http_counts *sum, const struct http_counts *counts)
{
	for (int i = 0; i < HTTP_COUNTS; i++)
		http_add(sum, i, http_count(counts, i));
}

void http_note(struct http_conn *c)
{
	if (c->status == 0)
		return;
	c->now = weft_now();
	int64_t ns = c->now - c->begun;
	int bucket = 0;
	while (bucket < HTTP_LATENCIES - 1 && ns > bounds[bucket])
		bucket++;
	http_add(&c->counts, HTTP_CLASSES + c->status / 100 - 1, 1);
	http_add(&c->counts, HTTP_LATENCY + bucket, 1);
	http_add(&c->counts, HTTP_LATENCY_NS, (uint64_t)ns);
	if (http_is_logging())
		http_log(c, ns);
	c->status = 0;
	c->begun = c->now;
}

/* ---- telling ------------------------------------------------------------------------------------------------------- */

enum { PAGE = 16384 };

struct page {
	size_t n;
	char text[PAGE];
};

__attribute__((format(printf, 2, 3))) static void put(struct page *page, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int n = vsnprintf(page->text + page->n, PAGE - page->n, format, arguments);
	va_end(arguments);
	if (n > 0 && (size_t)n < PAGE - page->n)
		page->n += (size_t)n;
}

static void put_head(struct page *page, const char *name, const char *type, const char *help)
{
	put(page, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_one(struct page *page, const char *name, const char *type, const char *help, uint64_t value)
{
	put_head(page, name, type, help);
	put(page, "%s %llu\n", name, (unsigned long long)value);
}

static void put_requests(struct page *page, const struct http_counts *counts)
{
	static const char name[] = "http_request_duration_seconds";
	uint64_t below = 0;
	put_head(page, "http_requests_total", "counter", "Responses, by class of status.");
	for (int i = 1; i < 5; i++) {
		uint64_t n = http_count(counts, HTTP_CLASSES + i);
		put(page, "http_requests_total{class=\"%dxx\"} %llu\n", i + 1, (unsigned long long)n);
	}
	put_head(page, name, "histogram", "From a whole request head to the end of the response, as the handler saw it.");
	for (int i = 0; i < HTTP_LATENCIES - 1; i++) {
		below += http_count(counts, HTTP_LATENCY + i);
		put(page, "%s_bucket{le=\"%g\"} %llu\n", name, (double)bounds[i] * 1e-9, (unsigned long long)below);
	}
	below += http_count(counts, HTTP_LATENCY + HTTP_LATENCIES - 1);
	put(page, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)below);
	put(page, "%s_sum %.9f\n", name, (double)http_count(counts, HTTP_LATENCY_NS) * 1e-9);
	put(page, "%s_count %llu\n", name, (unsigned long long)below);
}

static void put_connections(struct page *page, struct http_server *server, const struct http_counts *counts)
{
	put_one(page, "http_connections", "gauge", "Connections that are open.", (uint64_t)server->live);
	put_one(page, "http_connections_total", "counter", "Connections ever accepted.", server->admitted);
	put_one(page, "http_received_bytes_total", "counter", "Bytes of requests.", http_count(counts, HTTP_RECEIVED));
	put_one(page, "http_sent_bytes_total", "counter", "Bytes of responses.", http_count(counts, HTTP_SENT));
	put_one(page, "http_log_dropped_lines_total", "counter", "Lines that the access log had no room for.", http_log_dropped());
}

/* What weft_stats tells as one number. */
static const struct {
	const char *name, *type, *help;
	size_t offset;
	bool is_int;
} runtime[] = {
#define COUNTER(name, field, help) { "weft_" name "_total", "counter", help, offsetof(struct weft_stats, field), false }
#define GAUGE(name, field, help) { "weft_" name, "gauge", help, offsetof(struct weft_stats, field), false }
#define LEVEL(name, field, help) { "weft_" name, "gauge", help, offsetof(struct weft_stats, field), true }
	LEVEL("processors", maxprocs, "Processors."),
	LEVEL("idle_processors", idle_procs, "Processors without a worker."),
	LEVEL("threads", threads, "Threads that the runtime made."),
	LEVEL("workers", workers, "Threads of these that run coroutines."),
	LEVEL("helpers", helpers, "Threads of these for calls that block."),
	GAUGE("coroutines", live, "Coroutines that have not ended."),
	GAUGE("queued", queued, "Coroutines that are ready to run and wait for a processor."),
	GAUGE("timers", timers, "Deadlines and sleeps that are set."),
	COUNTER("coroutines_spawned", spawned, "Coroutines ever made."),
	COUNTER("dispatches", dispatches, "Switches into a coroutine."),
	COUNTER("parks", parks, "Waits that gave the processor up."),
	COUNTER("steals", steals, "Batches taken from another processor."),
	COUNTER("stolen", stolen, "Coroutines in them."),
	COUNTER("polls", polls, "Looks at the netpoller."),
	COUNTER("wakes", wakes, "Workers woken because work waited."),
	COUNTER("budget_yields", budget_yields, "Coroutines made to yield because they never waited."),
	COUNTER("timers_fired", timers_fired, "Deadlines and sleeps that came due."),
	COUNTER("handoffs", handoffs, "Processors taken from a worker that was away too long."),
	COUNTER("stacks", stacks, "Stacks made so far."),
	COUNTER("stalls", stalls, "Coroutines that the watchdog has told of."),
#undef COUNTER
#undef GAUGE
#undef LEVEL
};

static void put_runtime(struct page *page)
{
	static const char name[] = "weft_schedule_latency_seconds";
	struct weft_stats stats = { .size = sizeof(stats) };
	uint64_t below = 0;
	weft_stats(&stats);
	for (size_t i = 0; i < sizeof(runtime) / sizeof(runtime[0]); i++) {
		const char *at = (const char *)&stats + runtime[i].offset;
		uint64_t value = runtime[i].is_int ? (uint64_t)*(const int *)(const void *)at : *(const uint64_t *)(const void *)at;
		put_one(page, runtime[i].name, runtime[i].type, runtime[i].help, value);
	}
	put_head(page, name, "gauge", "From ready to running, of a sample: the bound below which this part of it lies.");
	for (int i = 0; i < WEFT_LATENCY_BUCKETS; i++)
		below += stats.latency[i];
	static const double parts[] = { 0.5, 0.9, 0.99, 0.999 };
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && below > 0; i++)
		put(page, "%s{quantile=\"%g\"} %g\n", name, parts[i], (double)weft_latency_quantile(&stats, parts[i]) * 1e-9);
}

void http_metrics(struct http_conn *c)
{
	struct page page;
	struct http_counts counts = { 0 };
	struct timespec cpu;
	page.n = 0;
	http_sum(c->server, &counts);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	put_requests(&page, &counts);
	put_connections(&page, c->server, &counts);
	put_head(&page, "process_cpu_seconds_total", "counter", "Processor time, of the system on behalf of the process included.");
	put(&page, "process_cpu_seconds_total %lld.%09ld\n", (long long)cpu.tv_sec, cpu.tv_nsec);
	put_runtime(&page);
	http_reply(c, 200, "text/plain; version=0.0.4; charset=utf-8", page.text, page.n);
}
