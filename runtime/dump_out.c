/* How dumps are written down. */
#include "dump.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "park.h"
#include "stats.h"

#define U(n) ((unsigned long long)(n))

void wf_flush(struct wf_out *out)
{
	wf_os_put(out->fd, out->text, out->n);
	out->n = 0;
}

void wf_put(struct wf_out *out, const char *format, ...)
{
	enum { LONGEST = 1024 };
	va_list args;
	if (sizeof out->text - out->n < LONGEST)
		wf_flush(out);
	va_start(args, format);
	int n = vsnprintf(out->text + out->n, LONGEST, format, args);
	va_end(args);
	out->n += n < 0 ? 0 : n < LONGEST ? (size_t)n : LONGEST - 1;
}

/* ---- code addresses -------------------------------------------------------------------------------------------------- */

/* Asking the loader takes microseconds, and the same few places come again and again. */
static const char *describe_code(const void *address)
{
	enum { PLACES = 1024 };
	static struct {
		const void *address;
		char text[120];
	} known[PLACES];
	unsigned at = (unsigned)((uintptr_t)address * UINT64_C(0x9e3779b97f4a7c15) >> 54) % PLACES;
	if (known[at].address != address) {
		wf_os_describe_code(address, known[at].text, sizeof known[at].text);
		known[at].address = address;
	}
	return known[at].text;
}

/* ---- text ------------------------------------------------------------------------------------------------------------ */

static void put_duration(struct wf_out *out, int64_t ns)
{
	if (ns < 1000000)
		wf_put(out, "%lld us", (long long)ns / 1000);
	else if (ns < INT64_C(10000000000))
		wf_put(out, "%lld ms", (long long)ns / 1000000);
	else
		wf_put(out, "%lld s", (long long)ns / 1000000000);
}

static void put_wait(struct wf_out *out, const struct wf_subject *s)
{
	wf_put(out, " for %s", wf_reason_name(s->why));
	if (s->fd >= 0)
		wf_put(out, " on descriptor %d", s->fd);
	else if (s->object && s->why != WF_WHY_JOIN)
		wf_put(out, " at %#llx", U(s->object));
	if (s->other)
		wf_put(out, "%s coroutine %llu", s->why == WF_WHY_JOIN ? " of" : " held by", U(s->other));
	wf_put(out, ", since ");
	put_duration(out, s->waited_ns);
	if (s->left_ns != WF_TIME_NEVER) {
		wf_put(out, ", for another ");
		put_duration(out, s->left_ns > 0 ? s->left_ns : 0);
	}
}

static void put_text(struct wf_out *out, const struct wf_subject *s)
{
	wf_put(out, "coroutine %llu \"%s\" %s", U(s->id), s->name, wf_state_name(s->state));
	if (s->waited_ns >= 0)
		put_wait(out, s);
	wf_put(out, ", made by %llu%s%s", U(s->creator), s->daemon ? ", daemon" : "", s->cause ? ", cancelled" : "");
	if (s->stack_size)
		wf_put(out, ", stack %llu of %llu bytes, %llu resident", U(s->stack_used), U(s->stack_size), U(s->stack_resident));
	wf_put(out, "\n");
	for (int i = 0; i < s->frame_count; i++)
		wf_put(out, "    #%d %p %s\n", i, s->frames[i], describe_code(s->frames[i]));
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------ */

/* Bytes that can't stand for themselves, and those that are no ASCII: a name need not be UTF-8. */
static void put_string(struct wf_out *out, const char *text)
{
	wf_put(out, "\"");
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			wf_put(out, "\\u%04x", c);
		else
			wf_put(out, "%c", c);
	}
	wf_put(out, "\"");
}

static void put_json_wait(struct wf_out *out, const struct wf_subject *s)
{
	wf_put(out, ",\"reason\":\"%s\",\"object\":\"%#llx\",\"waited_ns\":%llu", wf_reason_name(s->why), U(s->object),
	       U(s->waited_ns));
	if (s->fd >= 0)
		wf_put(out, ",\"fd\":%d", s->fd);
	if (s->other)
		wf_put(out, ",\"other\":%llu", U(s->other));
	if (s->left_ns != WF_TIME_NEVER)
		wf_put(out, ",\"deadline_in_ns\":%lld", (long long)s->left_ns);
}

static void put_json(struct wf_out *out, const struct wf_subject *s, bool first)
{
	wf_put(out, "%s\n{\"id\":%llu,\"name\":", first ? "" : ",", U(s->id));
	put_string(out, s->name);
	wf_put(out, ",\"state\":\"%s\",\"creator\":%llu,\"daemon\":%s,\"cancelled\":%s", wf_state_name(s->state), U(s->creator),
	       s->daemon ? "true" : "false", s->cause ? "true" : "false");
	if (s->waited_ns >= 0)
		put_json_wait(out, s);
	if (s->stack_size)
		wf_put(out, ",\"stack\":{\"size\":%llu,\"used\":%llu,\"resident\":%llu}", U(s->stack_size), U(s->stack_used),
		       U(s->stack_resident));
	wf_put(out, ",\"frames\":[");
	for (int i = 0; i < s->frame_count; i++) {
		wf_put(out, "%s{\"pc\":\"%p\",\"at\":", i ? "," : "", s->frames[i]);
		put_string(out, describe_code(s->frames[i]));
		wf_put(out, "}");
	}
	wf_put(out, "]}");
}

static void put_json_stats(struct wf_out *out)
{
	struct weft_stats all = {.size = sizeof all};
	wf_stats_sum(&all);
	wf_put(out, "{\"maxprocs\":%d,\"idle_procs\":%d,\"workers\":%d,\"threads\":%d,", all.maxprocs, all.idle_procs, all.workers,
	       all.threads);
	wf_put(out, "\"live\":%llu,\"queued\":%llu,\"timers\":%llu,\"spawned\":%llu,\"ended\":%llu,", U(all.live), U(all.queued),
	       U(all.timers), U(all.spawned), U(all.ended));
	wf_put(out, "\"dispatches\":%llu,\"parks\":%llu,\"steals\":%llu,\"polls\":%llu,", U(all.dispatches), U(all.parks),
	       U(all.steals), U(all.polls));
	wf_put(out, "\"wakes\":%llu,\"budget_yields\":%llu,\"timers_fired\":%llu,\"stacks\":%llu,\"handoffs\":%llu}", U(all.wakes),
	       U(all.budget_yields), U(all.timers_fired), U(all.stacks), U(all.handoffs));
}

/* ---- either ---------------------------------------------------------------------------------------------------------- */

void wf_put_head(struct wf_out *out, enum wf_dump_style style)
{
	if (style == WF_DUMP_TEXT)
		return;
	wf_put(out, "{\"version\":\"%s\",\"now_ns\":%lld,\"stats\":", weft_version(), (long long)wf_os_now());
	put_json_stats(out);
	wf_put(out, ",\"coroutines\":[");
}

void wf_put_subject(struct wf_out *out, enum wf_dump_style style, const struct wf_subject *s, bool first)
{
	if (style == WF_DUMP_TEXT)
		put_text(out, s);
	else
		put_json(out, s, first);
}

void wf_put_middle(struct wf_out *out, enum wf_dump_style style)
{
	if (style == WF_DUMP_JSON)
		wf_put(out, "\n],\"cycles\":[");
}

void wf_put_cycle(struct wf_out *out, enum wf_dump_style style, struct weft_co *const *members, int n, bool first)
{
	bool text = style == WF_DUMP_TEXT;
	wf_put(out, text ? "cycle:" : "%s[", first ? "" : ",");
	for (int i = 0; i < n; i++) {
		const struct weft_co *co = members[i];
		if (text)
			wf_put(out, " coroutine %llu waits for the %s of", U(wf_load(&co->id)),
			       wf_reason_name(wf_u8_load(&co->wait.why)));
		else
			wf_put(out, "%s%llu", i ? "," : "", U(wf_load(&co->id)));
	}
	if (text)
		wf_put(out, " coroutine %llu\n", U(wf_load(&members[0]->id)));
	else
		wf_put(out, "]");
}

void wf_put_tail(struct wf_out *out, enum wf_dump_style style)
{
	if (style == WF_DUMP_JSON)
		wf_put(out, "\n]}\n");
}
