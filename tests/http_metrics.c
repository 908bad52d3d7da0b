/* What examples/http tells of itself: /metrics and the access log. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "http_peer.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/* ---- metrics ------------------------------------------------------------------------------------------------------- */

static char *scrape(int fd)
{
	TELL(fd, GET("/metrics"));
	struct response r = hear(fd, false);
	CHECK_EQ(r.status, 200);
	CHECK_STR(field(&r, "Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
	char *text = strdup(r.body);
	CHECK(text != NULL);
	return text;
}

/* The value of the line that begins so. */
static double value_of(const char *text, const char *name)
{
	size_t n = strlen(name);
	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, n) == 0 && line[n] == ' ')
			return strtod(line + n, NULL);
	}
	test_fail(__FILE__, __LINE__, "no %s in %s", name, text);
}

/* Every line is a comment in one of two forms or a name with a number, and every name was announced. */
static void check_format(const char *text)
{
	char announced[128] = "", name[128];
	double value;
	int n;
	for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
		CHECK(strchr(line, '\n') != NULL);
		if (sscanf(line, "# HELP %127s", announced) == 1)
			continue;
		if (sscanf(line, "# TYPE %127s %*1[cgh]%n", name, &n) == 1) {
			CHECK_STR(name, announced);
			continue;
		}
		if (sscanf(line, "%127[a-z_]%n", name, &n) != 1 || strncmp(name, announced, strlen(announced)) != 0)
			test_fail(__FILE__, __LINE__, "%s was not announced", line);
		const char *number = strchr(line + n, ' ');
		CHECK(number != NULL && sscanf(number, "%lf", &value) == 1);
	}
}

TEST(metrics)
{
	struct server s;
	server_start(&s, "");
	int fd = dial(&s), other = dial(&s);
	char *before = scrape(fd);
	check_format(before);
	for (int i = 0; i < 10; i++) {
		TELL(fd, GET("/bytes/1000"));
		expect(fd, 200, NULL);
		TELL(fd, GET("/nothing"));
		expect(fd, 404, NULL);
	}
	TELL(fd, GET("/sleep/3"));
	expect(fd, 200, NULL);
	TELL(other, "GET / HTTP/2.0\r\n\r\n");
	expect_statuses(other, "505", "another connection, which has ended");
	/* it is counted when it has ended, which the client sees a little earlier; and then only what was counted on it is left */
	char *after = scrape(fd);
	while (value_of(after, "http_connections") > 1) {
		free(after);
		after = scrape(fd);
	}
	CHECK_EQ(value_of(before, "http_requests_total{class=\"2xx\"}"), 0); /* the page itself is not answered yet */
	CHECK_EQ(value_of(after, "http_requests_total{class=\"4xx\"}"), 10);
	CHECK_EQ(value_of(after, "http_requests_total{class=\"5xx\"}"), 1);
	CHECK_GE(value_of(after, "http_requests_total{class=\"2xx\"}"), 12);
	double requests = 11 + value_of(after, "http_requests_total{class=\"2xx\"}");
	CHECK_EQ(value_of(after, "http_request_duration_seconds_count"), requests);
	CHECK_EQ(value_of(after, "http_request_duration_seconds_bucket{le=\"+Inf\"}"), requests);
	CHECK_LE(value_of(after, "http_request_duration_seconds_bucket{le=\"0.0025\"}"), requests - 1);
	CHECK(value_of(after, "http_request_duration_seconds_sum") >= 0.003);
	CHECK_EQ(value_of(after, "http_connections_total"), 2);
	CHECK_GE(value_of(after, "http_sent_bytes_total") - value_of(before, "http_sent_bytes_total"), 10000);
	CHECK_GE(value_of(after, "http_received_bytes_total"), 23 * 30);
	CHECK_GE(value_of(after, "weft_coroutines"), 3);
	CHECK_GT(value_of(after, "weft_parks_total"), 0);
	check_format(after);
	free(before);
	free(after);
	close(fd);
	server_stop(&s);
}

/* ---- the log ------------------------------------------------------------------------------------------------------- */

static char log_name[64];

static void start_logging(struct server *s)
{
	char options[128];
	snprintf(log_name, sizeof(log_name), "/tmp/weft-log-%d", (int)getpid());
	snprintf(options, sizeof(options), "--log %s", log_name);
	server_start(s, options);
}

/* The whole log, which is removed. */
static char *read_log(void)
{
	struct stat st;
	int fd = open(log_name, O_RDONLY);
	CHECK_GE(fd, 0);
	CHECK_EQ(fstat(fd, &st), 0);
	char *text = malloc((size_t)st.st_size + 1);
	CHECK(text != NULL);
	CHECK_EQ(read(fd, text, (size_t)st.st_size), st.st_size);
	text[st.st_size] = '\0';
	close(fd);
	unlink(log_name);
	return text;
}

/* Without what differs each time: the date and the duration. Where the next line begins. */
static const char *strip_line(const char *line, char stripped[static 4096])
{
	const char *open = strchr(line, '['), *close = strchr(line, ']'), *end = strchr(line, '\n');
	int day, year, hour, minute, second, n;
	CHECK(open != NULL && close != NULL && end != NULL && open < close && close < end);
	CHECK_EQ(sscanf(open, "[%2d/%*3[A-Za-z]/%4d:%2d:%2d:%2d +0000]%n", &day, &year, &hour, &minute, &second, &n), 5);
	CHECK_PTR(open + n, close + 1);
	const char *duration = end;
	while (duration[-1] != ' ')
		duration--;
	CHECK_EQ(strspn(duration, "0123456789."), end - duration);
	snprintf(stripped, 4096, "%.*s%.*s", (int)(open - line), line, (int)(duration - 1 - (close + 2)), close + 2);
	return end + 1;
}

TEST(log_lines)
{
	static const struct {
		const char *request, *line;
		int status;
	} said[] = {
		{GET("/"), "127.0.0.1 - - \"GET / HTTP/1.1\" 200 13 \"-\" \"-\"", 200},
		{"GET /bytes/5?a=b HTTP/1.0\r\nReferer: http://x/\r\nUser-Agent: y z\r\nConnection: keep-alive\r\n\r\n",
			"127.0.0.1 - - \"GET /bytes/5?a=b HTTP/1.0\" 200 5 \"http://x/\" \"y z\"", 200},
		{"GET /x HTTP/1.1\r\nHost: a\r\nUser-Agent: \"\\\xff\t\" 200 1\r\n\r\n",
			"127.0.0.1 - - \"GET /x HTTP/1.1\" 404 14 \"-\" \"\\x22\\x5c\\xff\\x09\\x22 200 1\"", 404},
		{"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
			"127.0.0.1 - - \"POST /echo HTTP/1.1\" 200 5 \"-\" \"-\"", 200},
		{"GET / HTTP/3.0\r\n\r\n", "127.0.0.1 - - \"GET / HTTP/3.0\" 505 31 \"-\" \"-\"", 505},
	};
	struct server s;
	char stripped[4096];
	start_logging(&s);
	int fd = dial(&s);
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		tell(fd, said[i].request, strlen(said[i].request));
		expect(fd, said[i].status, NULL);
	}
	expect_end(fd);
	static const char *const refused[][2] = { /* up to the byte for which it is */
		{"\x01\r\n", "-"}, {"GET /a\r\n", "-"}, {"GET /\xff HTTP/1.1\r\n", "-"},
		{"GET / HTTP/1\n", "GET / HTTP/1"}, {"GET / HT\x01\r\n", "GET / HT"},
	};
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		fd = dial(&s);
		tell(fd, refused[i][0], strlen(refused[i][0]));
		expect(fd, 400, NULL);
		expect_end(fd);
	}
	server_stop(&s);
	char *text = read_log();
	const char *line = text;
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		line = strip_line(line, stripped);
		CHECK_STR(stripped, said[i].line);
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		char wanted[128];
		line = strip_line(line, stripped);
		snprintf(wanted, sizeof(wanted), "127.0.0.1 - - \"%s\" 400 16 \"-\" \"-\"", refused[i][1]);
		CHECK_STR(stripped, wanted);
	}
	CHECK_EQ(*line, '\0');
	free(text);
}

/* Lines from many connections at once: none is torn, none is missing. All would fit into one buffer, so none may be dropped. */
TEST(log_of_many)
{
	enum { CLIENTS = 8 };
	struct server s;
	char stripped[4096];
	int fds[CLIENTS], rounds = test_scaled(100), seen[CLIENTS] = {0};
	start_logging(&s);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = dial(&s);
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < CLIENTS; i++) {
			char text[256];
			int n = snprintf(text, sizeof(text), "GET /bytes/%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
			for (int k = 0; k < 5; k++)
				tell(fds[i], text, (size_t)n);
		}
		for (int i = 0; i < 5 * CLIENTS; i++)
			expect(fds[i / 5], 200, NULL);
	}
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	server_stop(&s);
	char *text = read_log();
	for (const char *line = text; *line != '\0';) {
		int client = -1, bytes = -1;
		line = strip_line(line, stripped);
		CHECK_EQ(sscanf(stripped, "127.0.0.1 - - \"GET /bytes/%d HTTP/1.1\" 200 %d \"-\" \"-\"", &client, &bytes), 2);
		CHECK_EQ(client, bytes);
		CHECK(client >= 0 && client < CLIENTS);
		seen[client]++;
	}
	for (int i = 0; i < CLIENTS; i++)
		CHECK_EQ(seen[i], 5 * rounds);
	free(text);
}

/* Into a pipe that nobody reads: requests are answered all the same, and what is lost is counted. */
TEST(log_that_stalls)
{
	struct server s;
	char request[1024];
	snprintf(log_name, sizeof(log_name), "/tmp/weft-log-%d", (int)getpid());
	CHECK_EQ(mkfifo(log_name, 0600), 0);
	int reader = open(log_name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	CHECK_GE(reader, 0);
	char options[128];
	snprintf(options, sizeof(options), "--log %s", log_name);
	server_start(&s, options);
	int n = snprintf(request, sizeof(request), "GET /bytes/1?%0600d HTTP/1.1\r\nHost: a\r\n\r\n", 0), fd = dial(&s);
	for (double dropped = 0; dropped == 0;) {
		for (int i = 0; i < 500; i++) {
			tell(fd, request, (size_t)n);
			expect(fd, 200, "a");
		}
		char *text = scrape(fd);
		dropped = value_of(text, "http_log_dropped_lines_total");
		free(text);
	}
	close(fd);
	close(reader); /* now writing fails, and the server can end */
	unlink(log_name);
	server_stop(&s);
	CHECK_MEM(s.error, "http: log: ", 11);
	CHECK(strstr(s.error, "; lines are lost\n") != NULL);
}
