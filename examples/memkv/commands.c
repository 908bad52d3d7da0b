/* The text protocol of memcached. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>

#include "client.h"
#include "store.h"

enum { WORDS_MAX = 24, MONTH_SECONDS = 60 * 60 * 24 * 30, NUMBER_SIZE = 24 };

struct word {
	char *text;
	size_t size;
};

struct words {
	int count; /* the command is the first */
	struct word at[WORDS_MAX];
	char *rest; /* what is behind the last of them */
	char *end;
};

/* Clients take it for that of memcached, to know what they may say; some of them want one from 1 on. */
static const char version[] = "1.6.0";

static const char bad_line[] = "CLIENT_ERROR bad command line format";

static bool is_word(const struct word *w, const char *text)
{
	return strlen(text) == w->size && memcmp(w->text, text, w->size) == 0;
}

static struct word next_word(char **at, char *end)
{
	while (*at < end && **at == ' ')
		++*at;
	struct word w = { *at, 0 };
	while (*at < end && **at != ' ')
		++*at;
	w.size = (size_t)(*at - w.text);
	return w;
}

/* "noreply" at the end of a command. */
static void listen_for_noreply(struct client *c, const struct words *w)
{
	c->is_quiet = w->count > 1 && is_word(&w->at[w->count - 1], "noreply");
}

/* ---- numbers ---------------------------------------------------------------------------------------------------------- */

static bool read_unsigned(const struct word *w, uint64_t most, uint64_t *value)
{
	*value = 0;
	for (size_t i = 0; i < w->size; i++) {
		unsigned digit = (unsigned)(w->text[i] - '0');
		if (digit > 9 || *value > (most - digit) / 10)
			return false;
		*value = *value * 10 + digit;
	}
	return w->size > 0;
}

static bool read_signed(const struct word *w, int64_t *value)
{
	bool negative = w->size > 1 && w->text[0] == '-';
	struct word digits = { w->text + negative, w->size - negative };
	uint64_t size;
	if (!read_unsigned(&digits, INT32_MAX, &size))
		return false;
	*value = negative ? -(int64_t)size : (int64_t)size;
	return true;
}

/* Seconds from now, or, from a month on, of the calendar; 0: never; negative: at once. */
static bool read_expiry(const struct word *w, uint32_t *expires)
{
	int64_t seconds, now = store_second();
	if (!read_signed(w, &seconds))
		return false;
	if (seconds > MONTH_SECONDS)
		seconds -= time(NULL);
	else if (seconds == 0)
		now = 0;
	*expires = seconds < 0 || (seconds == 0 && now != 0) ? 1 : (uint32_t)(now + seconds);
	return true;
}

static size_t print_number(char *to, uint64_t value)
{
	char digits[NUMBER_SIZE];
	size_t n = 0;
	do
		digits[n++] = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	for (size_t i = 0; i < n; i++)
		to[i] = digits[n - 1 - i];
	return n;
}

/* ---- get, gets, gat, gats --------------------------------------------------------------------------------------------- */

static void put_item(struct client *c, struct item *item, bool with_cas)
{
	char head[KEY_MAX + 4 * NUMBER_SIZE];
	size_t n = 6;
	memcpy(head, "VALUE ", 6);
	memcpy(head + n, item->bytes, item->key_size);
	n += item->key_size;
	head[n++] = ' ';
	n += print_number(head + n, item->flags);
	head[n++] = ' ';
	n += print_number(head + n, item->size);
	if (with_cas) {
		head[n++] = ' ';
		n += print_number(head + n, item->cas);
	}
	memcpy(head + n, "\r\n", 2);
	client_put(c, head, n + 2);
	client_put(c, item_value(item), (size_t)item->size + 2);
}

/* The keys from `at` to the end, or, of a line that is not complete, those that are. Where it has come to; NULL: an error, and the
 * line is done. */
static char *get_keys(struct client *c, char *at, char *end, bool complete, const uint32_t *expires, bool with_cas)
{
	size_t before = c->used;
	for (;;) {
		char *start = at;
		struct word w = next_word(&at, end);
		if (!complete && at == end && w.size <= KEY_MAX)
			return start;
		if (w.size == 0)
			break;
		if (w.size > KEY_MAX) {
			c->used = before < c->used ? before : c->used; /* the answer as a whole, as far as it has not left */
			client_fail(c, bad_line);
			return NULL;
		}
		struct key key = store_key(w.text, w.size);
		struct item *item = store_get(&key, expires);
		if (item) {
			put_item(c, item, with_cas);
			store_release(item);
		}
	}
	client_put(c, "END\r\n", 5);
	return NULL;
}

static void get(struct client *c, struct words *w, bool with_cas)
{
	if (w->count < 2)
		client_fail(c, "ERROR");
	else
		get_keys(c, w->at[1].text, w->end, true, NULL, with_cas);
}

static void do_get(struct client *c, struct words *w) { get(c, w, false); }
static void do_gets(struct client *c, struct words *w) { get(c, w, true); }

static void get_and_touch(struct client *c, struct words *w, bool with_cas)
{
	uint32_t expires;
	if (w->count < 2)
		client_fail(c, "ERROR");
	else if (!read_expiry(&w->at[1], &expires))
		client_fail(c, "CLIENT_ERROR invalid exptime argument");
	else
		get_keys(c, w->at[1].text + w->at[1].size, w->end, true, &expires, with_cas);
}

static void do_gat(struct client *c, struct words *w) { get_and_touch(c, w, false); }
static void do_gats(struct client *c, struct words *w) { get_and_touch(c, w, true); }

/* What is left of the line goes behind its first words again. */
bool client_obey_part(struct client *c)
{
	char *end = c->in + c->end, *keys = c->in + c->at;
	if (c->skips_line) {
		c->at = c->end;
		return true;
	}
	struct word name = next_word(&keys, end);
	uint32_t expires, *touch = NULL;
	bool with_cas = is_word(&name, "gets") || is_word(&name, "gats");
	if (is_word(&name, "gat") || is_word(&name, "gats")) {
		struct word w = next_word(&keys, end);
		if (!read_expiry(&w, &expires))
			return false;
		touch = &expires;
	} else if (!is_word(&name, "get") && !with_cas) {
		return false;
	}
	char *rest = get_keys(c, keys, end, false, touch, with_cas);
	c->skips_line = !rest;
	if (!rest)
		rest = end;
	memmove(keys, rest, (size_t)(end - rest));
	c->end -= (size_t)(rest - keys);
	return true;
}

/* ---- set and its like -------------------------------------------------------------------------------------------------- */

static void tell(struct client *c, enum store_result result)
{
	static const char *const lines[] = {
		[STORED] = "STORED",
		[NOT_STORED] = "NOT_STORED",
		[EXISTS] = "EXISTS",
		[NOT_FOUND] = "NOT_FOUND",
		[NOT_A_NUMBER] = "CLIENT_ERROR cannot increment or decrement non-numeric value",
		[TOO_LARGE] = "SERVER_ERROR object too large for cache",
		[NO_MEMORY] = "SERVER_ERROR out of memory storing object",
	};
	client_say(c, lines[result]);
}

/* No room: what the client sends is skipped, and what it wanted to replace does not stay. */
static void refuse(struct client *c, const struct key *key, enum store_mode mode, enum store_result result, size_t size)
{
	tell(c, result);
	if (mode == STORE_SET)
		store_delete(key);
	client_skip(c, size + 2);
}

static void receive(struct client *c, struct item *item, enum store_mode mode, uint64_t cas)
{
	char *value = item_value(item);
	client_take(c, value, (size_t)item->size + 2);
	if (c->ended || memcmp(value + item->size, "\r\n", 2) != 0) {
		store_release(item);
		client_say(c, "CLIENT_ERROR bad data chunk");
		return;
	}
	enum store_result result = store_put(item, mode, cas);
	tell(c, result == TOO_LARGE || result == NO_MEMORY ? NOT_STORED : result); /* of two values that were to be one */
}

static void store(struct client *c, struct words *w, enum store_mode mode)
{
	uint64_t flags, cas = 0;
	int64_t size;
	uint32_t expires;
	enum store_result result;
	int count = mode == STORE_CAS ? 6 : 5;
	listen_for_noreply(c, w);
	if (w->count < count || w->count > count + 1) {
		client_fail(c, "ERROR");
	} else if (w->at[1].size > KEY_MAX || !read_unsigned(&w->at[2], UINT32_MAX, &flags) || !read_expiry(&w->at[3], &expires) ||
		   !read_signed(&w->at[4], &size) || size < 0 || size > INT32_MAX - 2 ||
		   (mode == STORE_CAS && !read_unsigned(&w->at[5], UINT64_MAX, &cas))) {
		client_say(c, bad_line);
	} else {
		struct key key = store_key(w->at[1].text, w->at[1].size);
		struct item *item = store_make(&key, (uint32_t)flags, expires, (size_t)size, &result);
		if (item)
			receive(c, item, mode, cas);
		else
			refuse(c, &key, mode, result, (size_t)size);
	}
}

static void do_set(struct client *c, struct words *w) { store(c, w, STORE_SET); }
static void do_add(struct client *c, struct words *w) { store(c, w, STORE_ADD); }
static void do_replace(struct client *c, struct words *w) { store(c, w, STORE_REPLACE); }
static void do_append(struct client *c, struct words *w) { store(c, w, STORE_APPEND); }
static void do_prepend(struct client *c, struct words *w) { store(c, w, STORE_PREPEND); }
static void do_cas(struct client *c, struct words *w) { store(c, w, STORE_CAS); }

/* ---- the others -------------------------------------------------------------------------------------------------------- */

static void count(struct client *c, struct words *w, bool up)
{
	char line[NUMBER_SIZE];
	uint64_t delta, value;
	listen_for_noreply(c, w);
	if (w->count < 3 || w->count > 4) {
		client_fail(c, "ERROR");
	} else if (w->at[1].size > KEY_MAX) {
		client_say(c, bad_line);
	} else if (!read_unsigned(&w->at[2], UINT64_MAX, &delta)) {
		client_say(c, "CLIENT_ERROR invalid numeric delta argument");
	} else {
		struct key key = store_key(w->at[1].text, w->at[1].size);
		enum store_result result = store_count(&key, up, delta, &value);
		if (result == STORED)
			line[print_number(line, value)] = '\0';
		if (result == STORED)
			client_say(c, line);
		else
			tell(c, result);
	}
}

static void do_incr(struct client *c, struct words *w) { count(c, w, true); }
static void do_decr(struct client *c, struct words *w) { count(c, w, false); }

static void do_delete(struct client *c, struct words *w)
{
	listen_for_noreply(c, w);
	if (w->count < 2 || w->count > 4) {
		client_fail(c, "ERROR");
	} else if (w->count > 2 && !(w->count == 3 && (c->is_quiet || is_word(&w->at[2], "0"))) &&
		   !(w->count == 4 && c->is_quiet && is_word(&w->at[2], "0"))) {
		client_say(c, "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]");
	} else if (w->at[1].size > KEY_MAX) {
		client_say(c, bad_line);
	} else {
		struct key key = store_key(w->at[1].text, w->at[1].size);
		client_say(c, store_delete(&key) == STORED ? "DELETED" : "NOT_FOUND");
	}
}

static void do_touch(struct client *c, struct words *w)
{
	uint32_t expires;
	listen_for_noreply(c, w);
	if (w->count < 3 || w->count > 4) {
		client_fail(c, "ERROR");
	} else if (w->at[1].size > KEY_MAX) {
		client_say(c, bad_line);
	} else if (!read_expiry(&w->at[2], &expires)) {
		client_say(c, "CLIENT_ERROR invalid exptime argument");
	} else {
		struct key key = store_key(w->at[1].text, w->at[1].size);
		struct item *item = store_get(&key, &expires);
		if (item)
			store_release(item);
		client_say(c, item ? "TOUCHED" : "NOT_FOUND");
	}
}

static _Atomic uintptr_t flushes_asked; /* a later one takes the place of one that is still to come */

struct late_flush {
	uintptr_t number;
	int64_t seconds;
};

static int flush_late(void *arg)
{
	struct late_flush *f = arg;
	if (weft_sleep(WEFT_SEC(f->seconds)) == 0 && f->number == flushes_asked)
		store_flush();
	free(f);
	return 0;
}

static bool flush_after(int64_t seconds)
{
	struct weft_attr attr = { .size = sizeof attr, .name = "flush", .daemon = true };
	struct late_flush *f = malloc(sizeof *f);
	if (f)
		*f = (struct late_flush){ ++flushes_asked, seconds };
	if (f && weft_spawn(NULL, &attr, flush_late, f) == 0)
		return true;
	free(f);
	return false;
}

static void do_flush_all(struct client *c, struct words *w)
{
	int64_t seconds = 0;
	listen_for_noreply(c, w);
	if (w->count > 3) {
		client_fail(c, "ERROR");
		return;
	}
	if (w->count - c->is_quiet > 1 && !read_signed(&w->at[1], &seconds)) {
		client_say(c, "CLIENT_ERROR invalid exptime argument");
		return;
	}
	if (seconds > MONTH_SECONDS)
		seconds -= time(NULL);
	if (seconds <= 0) {
		flushes_asked++;
		store_flush();
	} else if (!flush_after(seconds)) {
		client_say(c, "SERVER_ERROR out of memory");
		return;
	}
	client_say(c, "OK");
}

static void do_version(struct client *c, struct words *w)
{
	char line[64];
	(void)w;
	snprintf(line, sizeof line, "VERSION %s", version);
	client_fail(c, line);
}

static void do_verbosity(struct client *c, struct words *w)
{
	uint64_t level;
	listen_for_noreply(c, w);
	if (w->count < 2 || w->count > 3)
		client_fail(c, "ERROR");
	else if (w->count - c->is_quiet > 1 && !read_unsigned(&w->at[1], UINT32_MAX, &level))
		client_say(c, bad_line);
	else
		client_say(c, "OK"); /* there is nothing to be told */
}

static void do_quit(struct client *c, struct words *w)
{
	(void)w;
	client_flush(c);
	c->ended = true;
}

/* ---- stats ------------------------------------------------------------------------------------------------------------- */

static void put_stat(struct client *c, const char *name, uint64_t value)
{
	char line[96];
	snprintf(line, sizeof line, "STAT %s %llu", name, (unsigned long long)value);
	client_fail(c, line);
}

static void put_usage(struct client *c, const char *name, const struct timeval *used)
{
	char line[96];
	snprintf(line, sizeof line, "STAT %s %ld.%06ld", name, (long)used->tv_sec, (long)used->tv_usec);
	client_fail(c, line);
}

static void put_process(struct client *c)
{
	char line[96];
	struct rusage used;
	getrusage(RUSAGE_SELF, &used);
	put_stat(c, "pid", (uint64_t)getpid());
	put_stat(c, "uptime", store_second() - 2);
	put_stat(c, "time", (uint64_t)time(NULL));
	snprintf(line, sizeof line, "STAT version %s", version);
	client_fail(c, line);
	put_stat(c, "pointer_size", 8 * sizeof(void *));
	put_usage(c, "rusage_user", &used.ru_utime);
	put_usage(c, "rusage_system", &used.ru_stime);
	put_stat(c, "curr_connections", (uint64_t)server.connections);
	put_stat(c, "total_connections", (uint64_t)server.total_connections);
	put_stat(c, "threads", (uint64_t)weft_maxprocs());
}

static void put_store(struct client *c)
{
	struct store_stats s;
	store_stats(&s);
	const struct {
		const char *name;
		uint64_t value;
	} stats[] = {
		{ "cmd_get", s.gets }, { "cmd_set", s.sets }, { "cmd_flush", s.flushes }, { "cmd_touch", s.touches },
		{ "get_hits", s.hits }, { "get_misses", s.gets - s.hits }, { "delete_hits", s.delete_hits },
		{ "delete_misses", s.deletes - s.delete_hits }, { "incr_decr_hits", s.count_hits },
		{ "incr_decr_misses", s.counts - s.count_hits }, { "cas_misses", s.cas_misses }, { "cas_hits", s.cas_hits },
		{ "cas_badval", s.cas_bad }, { "touch_hits", s.touch_hits }, { "touch_misses", s.touches - s.touch_hits },
		{ "limit_maxbytes", s.limit }, { "bytes", s.bytes }, { "curr_items", s.items }, { "total_items", s.total_items },
		{ "evictions", s.evictions },
	};
	for (size_t i = 0; i < sizeof stats / sizeof *stats; i++)
		put_stat(c, stats[i].name, stats[i].value);
}

/* There are no slabs here, and so no statistics of them. */
static void do_stats(struct client *c, struct words *w)
{
	if (w->count == 1) {
		put_process(c);
		put_store(c);
	} else if (is_word(&w->at[1], "reset")) {
		store_stats_reset();
		client_fail(c, "RESET");
		return;
	} else if (!is_word(&w->at[1], "settings") && !is_word(&w->at[1], "items") && !is_word(&w->at[1], "slabs") &&
		   !is_word(&w->at[1], "sizes")) {
		client_fail(c, "ERROR");
		return;
	}
	client_fail(c, "END");
}

/* ---- lines ------------------------------------------------------------------------------------------------------------- */

void client_obey(struct client *c, char *line, size_t n)
{
	static const struct {
		const char *name;
		void (*fn)(struct client *, struct words *);
	} commands[] = {
		{ "get", do_get }, { "set", do_set }, { "gets", do_gets }, { "add", do_add }, { "replace", do_replace },
		{ "append", do_append }, { "prepend", do_prepend }, { "cas", do_cas }, { "incr", do_incr }, { "decr", do_decr },
		{ "delete", do_delete }, { "touch", do_touch }, { "gat", do_gat }, { "gats", do_gats }, { "stats", do_stats },
		{ "flush_all", do_flush_all }, { "version", do_version }, { "verbosity", do_verbosity }, { "quit", do_quit },
	};
	struct words w = { .rest = line, .end = line + n };
	c->is_quiet = false;
	if (c->skips_line) {
		c->skips_line = false;
		return;
	}
	while (w.count < WORDS_MAX) {
		struct word word = next_word(&w.rest, w.end);
		if (word.size == 0)
			break;
		w.at[w.count++] = word;
		if (w.count > 2 && w.at[0].size <= 4 && w.at[0].text[0] == 'g')
			break; /* the rest are keys, any number */
	}
	for (size_t i = 0; w.count > 0 && i < sizeof commands / sizeof *commands; i++)
		if (is_word(&w.at[0], commands[i].name)) {
			commands[i].fn(c, &w);
			return;
		}
	client_fail(c, "ERROR");
}
