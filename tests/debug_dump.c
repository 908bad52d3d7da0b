/* Dumps: what they tell of each coroutine, and that nobody is the worse for being looked at. */
#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core_util.h"
#include "frames.h"
#include "san.h"

static char text[1 << 20];

static void dump(void *arg)
{
	(void)arg;
	weft_dump(STDOUT_FILENO);
}

static void dump_json(void *arg)
{
	(void)arg;
	weft_dump_json(STDOUT_FILENO);
}

static void take_dump(void) { capture(STDOUT_FILENO, dump, NULL, text, sizeof text); }

/* What is said of a coroutine of this name: its line, and the lines of its frames. */
static void find_entry(const char *name, char *entry, size_t size)
{
	char quoted[64];
	snprintf(quoted, sizeof quoted, " \"%s\" ", name);
	CHECK_EQ(occurrences(text, quoted), 1);
	const char *start = strstr(text, quoted), *end;
	while (start > text && start[-1] != '\n')
		start--;
	for (end = strchr(start, '\n') + 1; *end == ' '; end = strchr(end, '\n') + 1)
		;
	snprintf(entry, size, "%.*s", (int)(end - start), start);
}

static struct weft_co *spawn_named(const char *name, weft_fn *fn, void *arg)
{
	struct weft_attr attr = WEFT_ATTR_INIT;
	attr.name = name;
	return spawn_co(&attr, fn, arg);
}

/* Until the dump says this of it. */
static void await_entry(const char *name, const char *what, char *entry, size_t size)
{
	do {
		rest();
		take_dump();
		find_entry(name, entry, size);
	} while (!strstr(entry, what));
}

/* ---- where it waits -------------------------------------------------------------------------------------------------- */

static struct weft_chan *channel;
static void *inner_returns_to;

static __attribute__((noinline)) int inner(void)
{
	int value;
	inner_returns_to = __builtin_return_address(0);
	int result = weft_chan_recv(channel, &value);
	return result * 2;
}

static int outer(void *arg)
{
	(void)arg;
	return inner() + 1;
}

CO_TEST(a_parked_one_shows_where)
{
	char entry[8192], where[32];
	CHECK_RESULT(weft_chan_create(&channel, sizeof(int), 0), 0);
	struct weft_co *co = spawn_named("deep", outer, NULL);
	await_entry("deep", "parked for receive", entry, sizeof entry);
	snprintf(where, sizeof where, " %p ", inner_returns_to);
	if (tells_frames()) {
		CHECK_EQ(occurrences(entry, where), 1);
		CHECK_GE(occurrences(entry, "    #"), 3); /* weft, inner, outer */
		CHECK_LE(occurrences(entry, "    #"), 12);
		CHECK(strstr(entry, "debug_dump+0x") != NULL);
	}
	snprintf(where, sizeof where, "receive at %p", (void *)channel);
	CHECK(strstr(entry, where) != NULL);
	CHECK_RESULT(weft_chan_close(channel), 0);
	CHECK_EQ(join_co(co), 1);
	weft_chan_destroy(channel);
}

CO_TEST(the_caller_shows_where)
{
	char entry[8192];
	take_dump();
	find_entry("main", entry, sizeof entry);
	CHECK(strstr(entry, " running") != NULL);
	CHECK(!tells_frames() || occurrences(entry, "    #") >= 3);
}

/* ---- what it waits for ----------------------------------------------------------------------------------------------- */

static int read_it(void *fd)
{
	char byte;
	return (int)weft_read(*(int *)fd, &byte, 1);
}

CO_TEST(descriptors_are_told_by_number)
{
	char entry[8192], what[64];
	int fds[2];
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	CHECK_RESULT(weft_adopt(fds[0]), 0);
	struct weft_co *co = spawn_named("reader", read_it, &fds[0]);
	snprintf(what, sizeof what, "parked for read on descriptor %d,", fds[0]);
	await_entry("reader", what, entry, sizeof entry);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK_EQ(join_co(co), 1);
	CHECK_RESULT(weft_close(fds[0]), 0);
	close(fds[1]);
}

static int join_until_deadline(void *co)
{
	return weft_join_until(co, NULL, weft_after(WEFT_SEC(3600)));
}

static int sleep_long(void *arg)
{
	(void)arg;
	return weft_sleep(WEFT_SEC(3600));
}

CO_TEST(joins_name_the_other_and_the_deadline)
{
	char entry[8192], what[64];
	struct weft_co *sleeper = spawn_named("sleeper", sleep_long, NULL);
	struct weft_co *joiner = spawn_named("joiner", join_until_deadline, sleeper);
	snprintf(what, sizeof what, "parked for join of coroutine %" PRIu64 ",", weft_id(sleeper));
	await_entry("joiner", what, entry, sizeof entry);
	CHECK(strstr(entry, "for another 3599 s") != NULL);
	CHECK_RESULT(weft_cancel(sleeper), 0);
	CHECK_RESULT(join_co(joiner), 0);
}

static long long waited_us(const char *entry)
{
	const char *since = strstr(entry, ", since ");
	long long n;
	char unit[4];
	CHECK(since != NULL && sscanf(since, ", since %lld %3s", &n, unit) == 2);
	return n * (strncmp(unit, "us", 2) == 0 ? 1 : strncmp(unit, "ms", 2) == 0 ? 1000 : 1000000);
}

CO_TEST(the_time_that_it_waits_is_told)
{
	char entry[8192];
	struct weft_co *co = spawn_named("sleeper", sleep_long, NULL);
	await_entry("sleeper", "parked for sleep", entry, sizeof entry);
	CHECK_RESULT(weft_sleep(WEFT_MS(20)), 0);
	await_entry("sleeper", "parked for sleep", entry, sizeof entry);
	CHECK_GE(waited_us(entry), 20000);
	CHECK_LT(waited_us(entry), 60000000);
	CHECK_RESULT(weft_cancel(co), 0);
	join_co(co);
}

static int use_stack(void *arg)
{
	char big[64 * 1024];
	memset(big, 1, sizeof big);
	__asm__ volatile("" ::"r"(big) : "memory"); /* it must really be there */
	int result = sleep_long(arg);
	__asm__ volatile("" ::"r"(big) : "memory");
	return result;
}

static long long number_after(const char *entry, const char *key)
{
	const char *at = strstr(entry, key);
	CHECK(at != NULL);
	return strtoll(at + strlen(key), NULL, 10);
}

CO_TEST(the_use_of_the_stack_is_told)
{
	char entry[8192];
	struct weft_co *co = spawn_named("hungry", use_stack, NULL);
	await_entry("hungry", "parked for sleep", entry, sizeof entry);
	long long used = number_after(entry, "stack "), resident = number_after(entry, "bytes, ");
	CHECK_GE(used, 64 * 1024);
	if (resident != 0) /* 0: this system does not tell */
		CHECK_GE(resident, used);
	CHECK_LE(resident, number_after(entry, "bytes, ") ? number_after(strstr(entry, "stack ") + 6, "of ") : 0);
	CHECK_RESULT(weft_cancel(co), 0);
	join_co(co);
}

/* ---- nobody is the worse for it -------------------------------------------------------------------------------------- */

enum { PAIRS = 8 };

static atomic_int at_work;

static int ping(void *arg)
{
	struct weft_chan **chans = arg;
	for (int i = 0, n = test_scaled(20000); i < n; i++) {
		CHECK_RESULT(weft_chan_send(chans[0], &i), 0);
		int back = -1;
		CHECK_RESULT(weft_chan_recv(chans[1], &back), 1);
		CHECK_EQ(back, i);
	}
	CHECK_RESULT(weft_chan_close(chans[0]), 0);
	atomic_fetch_sub(&at_work, 1);
	return 0;
}

static int pong(void *arg)
{
	struct weft_chan **chans = arg;
	int value;
	while (weft_chan_recv(chans[0], &value) == 1)
		CHECK_RESULT(weft_chan_send(chans[1], &value), 0);
	return 0;
}

static void *look_on(void *arg)
{
	int null = open("/dev/null", O_WRONLY);
	CHECK_GE(null, 0);
	while (atomic_load(&at_work) > 0)
		(arg ? weft_dump_json : weft_dump)(null);
	close(null);
	return NULL;
}

/* A wake-up that is lost hangs here; one that comes twice meets a check of the scheduler. */
CO_TEST(wakes_that_meet_a_look_are_carried_out)
{
	struct weft_chan *chans[PAIRS][2];
	struct weft_co *cos[PAIRS][2];
	atomic_store(&at_work, PAIRS);
	for (int i = 0; i < PAIRS; i++) {
		CHECK_RESULT(weft_chan_create(&chans[i][0], sizeof(int), 0), 0);
		CHECK_RESULT(weft_chan_create(&chans[i][1], sizeof(int), 0), 0);
		cos[i][0] = spawn_co(NULL, ping, chans[i]);
		cos[i][1] = spawn_co(NULL, pong, chans[i]);
	}
	pthread_t lookers[] = {start_thread(look_on, NULL), start_thread(look_on, chans)};
	for (int i = 0; i < PAIRS; i++) {
		join_co(cos[i][0]);
		join_co(cos[i][1]);
		weft_chan_destroy(chans[i][0]);
		weft_chan_destroy(chans[i][1]);
	}
	join_thread(lookers[0]);
	join_thread(lookers[1]);
}

static int wait_for_close(void *arg)
{
	(void)arg;
	return weft_chan_recv(channel, NULL);
}

static void dump_to_pipe_reader(int fd, long *lines)
{
	static char piece[1 << 16];
	ssize_t n;
	while ((n = read(fd, piece, sizeof piece)) > 0)
		for (ssize_t i = 0; i < n; i++)
			*lines += piece[i] == 'c' && (i == 0 || piece[i - 1] == '\n');
}

static void *read_lines(void *arg)
{
	long *lines = arg;
	dump_to_pipe_reader((int)lines[0], &lines[1]);
	return NULL;
}

CO_TEST(there_may_be_many)
{
	int n = test_scaled(20000), fds[2];
	CHECK_RESULT(weft_chan_create(&channel, sizeof(int), 0), 0);
	for (int i = 0; i < n; i++)
		CHECK_RESULT(weft_go(wait_for_close, NULL), 0);
	CHECK_EQ(pipe(fds), 0);
	CHECK_EQ(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0); /* full most of the time */
	long lines[2] = {fds[0], 0};
	pthread_t reader = start_thread(read_lines, lines);
	weft_dump(fds[1]);
	close(fds[1]);
	join_thread(reader);
	close(fds[0]);
	CHECK_GE(lines[1], n); /* and main; at least: a piece of the pipe may begin with a c */
	CHECK_RESULT(weft_chan_close(channel), 0);
	EVENTUALLY(stats_now().live == 1);
	weft_chan_destroy(channel);
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------ */

static const char *skip_value(const char *at);

static const char *skip_blanks(const char *at)
{
	return at + strspn(at, " \n\t");
}

static const char *skip_string(const char *at)
{
	CHECK_EQ(*at++, '"');
	for (; *at != '"'; at++) {
		CHECK(*at >= 0x20 && *at < 0x7f);
		if (*at == '\\') {
			CHECK_EQ(at[1], 'u');
			CHECK_EQ(strspn(at + 2, "0123456789abcdef") >= 4, 1);
			at += 5;
		}
	}
	return at + 1;
}

static const char *skip_list(const char *at, bool keys)
{
	char end = keys ? '}' : ']';
	at = skip_blanks(at + 1);
	if (*at == end)
		return at + 1;
	for (;;) {
		if (keys) {
			at = skip_string(skip_blanks(at));
			CHECK_EQ(*at++, ':');
		}
		at = skip_blanks(skip_value(skip_blanks(at)));
		if (*at == end)
			return at + 1;
		CHECK_EQ(*at++, ',');
	}
}

static const char *skip_value(const char *at)
{
	if (*at == '{' || *at == '[')
		return skip_list(at, *at == '{');
	if (*at == '"')
		return skip_string(at);
	size_t n = strncmp(at, "true", 4) == 0 ? 4 : strncmp(at, "false", 5) == 0 ? 5 : strspn(at, "-0123456789.");
	CHECK_GT(n, 0);
	return at + n;
}

CO_TEST(json_is_json)
{
	char id[64];
	struct weft_co *co = spawn_named("a \"name\"\n\\ \xff", sleep_long, NULL);
	do {
		rest();
		capture(STDOUT_FILENO, dump_json, NULL, text, sizeof text);
	} while (!strstr(text, "\"reason\":\"sleep\""));
	CHECK_STR(skip_blanks(skip_value(text)), "");
	CHECK(strstr(text, "\"name\":\"a \\u0022name\\u0022\\u000a\\u005c \\u00ff\"") != NULL);
	snprintf(id, sizeof id, "{\"id\":%" PRIu64 ",", weft_id(co));
	CHECK_EQ(occurrences(text, id), 1);
	CHECK_EQ(occurrences(text, "\"creator\":"), 2);
	CHECK(strstr(text, "\"deadline_in_ns\":3599") != NULL);
	CHECK_RESULT(weft_cancel(co), 0);
	join_co(co);
}

TEST(nothing_without_a_runtime)
{
	take_dump();
	CHECK_STR(text, "");
	capture(STDOUT_FILENO, dump_json, NULL, text, sizeof text);
	CHECK_STR(text, "");
}
