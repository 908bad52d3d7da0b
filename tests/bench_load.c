/* The load generator of bench/load, against servers that do something wrong: it must notice, and accuse nobody else. */
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../bench/load/hist.h"
#include "harness.h"

#ifndef LOAD_COMMAND
#error "LOAD_COMMAND is how to run the load generator"
#endif

enum { BUFFER = 65536, WRONG = 3 };

/* ---- a server --------------------------------------------------------------------------------------------------------- */

struct fault {
	const char *what;
	size_t (*change)(char *bytes, size_t n); /* makes the wrong answer of the right one; returns its length */
	long turn;                               /* in which answer of a connection */
};

static struct {
	pthread_mutex_t lock;
	const char *reply;         /* NULL: echo */
	const struct fault *fault; /* NULL: none */
	bool changed;              /* it has happened */
} server = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void behave(const char *reply, const struct fault *fault)
{
	pthread_mutex_lock(&server.lock);
	server.reply = reply;
	server.fault = fault;
	server.changed = false;
	pthread_mutex_unlock(&server.lock);
}

static bool has_changed(void)
{
	pthread_mutex_lock(&server.lock);
	bool result = server.changed;
	pthread_mutex_unlock(&server.lock);
	return result;
}

static size_t answer(char *bytes, size_t n, long turn)
{
	pthread_mutex_lock(&server.lock);
	const struct fault *fault = server.fault && turn == server.fault->turn ? server.fault : NULL;
	if (server.reply) {
		n = strlen(server.reply);
		memcpy(bytes, server.reply, n);
	}
	if (fault)
		server.changed = true;
	pthread_mutex_unlock(&server.lock);
	return fault ? fault->change(bytes, n) : n;
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char *bytes = malloc(BUFFER);
	ssize_t n;
	for (long turn = 1; bytes && (n = recv(fd, bytes, BUFFER / 2, 0)) > 0; turn++) {
		size_t length = answer(bytes, (size_t)n, turn);
		if (length > BUFFER || send(fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length)
			break;
	}
	free(bytes);
	close(fd);
	return NULL;
}

static void *accept_all(void *arg)
{
	pthread_t thread;
	for (int fd; (fd = accept((int)(intptr_t)arg, NULL, NULL)) >= 0;)
		if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) != 0)
			close(fd);
		else
			pthread_detach(thread);
	return NULL;
}

static int start_server(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof in;
	pthread_t thread;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
	CHECK_EQ(listen(fd, 64), 0);
	CHECK_EQ(getsockname(fd, (struct sockaddr *)&in, &size), 0);
	CHECK_EQ(pthread_create(&thread, NULL, accept_all, (void *)(intptr_t)fd), 0);
	CHECK_EQ(pthread_detach(thread), 0);
	return ntohs(in.sin_port);
}

/* ---- running it -------------------------------------------------------------------------------------------------------- */

static char printed[4096];

/* Its exit status; what it printed is in printed. */
static int run_load(const char *options, int port)
{
	char command[1024];
	snprintf(command, sizeof command, "exec " LOAD_COMMAND " -q -w 0 --drain 0.2 %s %d", options, port);
	FILE *f = popen(command, "r");
	CHECK(f != NULL);
	printed[fread(printed, 1, sizeof printed - 1, f)] = '\0';
	int status = pclose(f);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static double value_of(const char *key)
{
	const char *at = strstr(printed, key);
	CHECK(at != NULL);
	return strtod(at + strlen(key), NULL);
}

/* Runs long enough for the fault to happen. */
static int run_until_changed(const char *options, int port)
{
	char all[256];
	int status = 0;
	for (double seconds = 0.05; !has_changed() && seconds < 20; seconds *= 4) {
		snprintf(all, sizeof all, "%s -d %.2f", options, seconds);
		status = run_load(all, port);
	}
	CHECK(has_changed());
	return status;
}

static void notice_all(const char *reply, const struct fault *faults, size_t n, const char *options)
{
	int port = start_server();
	for (size_t i = 0; i < n; i++) {
		behave(reply, &faults[i]);
		int status = run_until_changed(options, port);
		if (status != WRONG)
			test_fail(__FILE__, __LINE__, "%s: not noticed, status %d: %s", faults[i].what, status, printed);
	}
}

/* ---- faults ------------------------------------------------------------------------------------------------------------ */

static size_t flip_a_bit(char *bytes, size_t n)
{
	bytes[n - 1] = (char)(bytes[n - 1] ^ 1);
	return n;
}

static size_t lose_a_byte(char *bytes, size_t n)
{
	memmove(bytes + 10, bytes + 11, n - 11);
	return n - 1;
}

static size_t lose_all(char *bytes, size_t n)
{
	(void)bytes;
	(void)n;
	return 0;
}

static size_t repeat(char *bytes, size_t n)
{
	memcpy(bytes + n, bytes, n);
	return 2 * n;
}

static size_t swap_halves(char *bytes, size_t n)
{
	char half[BUFFER / 2];
	memcpy(half, bytes, n / 2);
	memmove(bytes, bytes + n / 2, n / 2);
	memcpy(bytes + n / 2, half, n / 2);
	return n;
}

/* Bytes that are nobody's. */
static size_t answer_another(char *bytes, size_t n)
{
	memset(bytes, 'x', n);
	return n;
}

static size_t hang_up(char *bytes, size_t n)
{
	(void)bytes;
	(void)n;
	return SIZE_MAX;
}

static size_t refuse(char *bytes, size_t n)
{
	memcpy(strstr(bytes, "200"), "500", 3);
	return n;
}

static size_t say_longer(char *bytes, size_t n)
{
	memcpy(strstr(bytes, ": 13"), ": 14", 4);
	bytes[n] = '!';
	return n + 1;
}

static size_t say_nothing_of_length(char *bytes, size_t n)
{
	memcpy(strstr(bytes, "Content-Length"), "Content-Lengxx", 14);
	return n;
}

static const char hello[] = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!";

/* ---- cases ------------------------------------------------------------------------------------------------------------- */

TEST(honest_servers_are_not_accused)
{
	static const char *const runs[] = {
		"-c 3", "-c 3 -p 8", "-c 2 -m 30000 -p 2", "-c 3 -m 7 -p 3", "-c 5 -t 2 -r 500", "-c 2 --churn", "--idle 5 --touch",
	};
	int port = start_server();
	for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
		char options[128];
		snprintf(options, sizeof options, "%s -d 0.05 --drain 20", runs[i]);
		int status = run_load(options, port);
		if (status != 0)
			test_fail(__FILE__, __LINE__, "%s: status %d: %s", runs[i], status, printed);
	}
	CHECK_EQ(value_of(" wrong="), 0);
	CHECK_EQ(value_of(" unanswered="), 0);
	behave(hello, NULL);
	CHECK_EQ(run_load("--http -c 3 -d 0.05 --drain 20", port), 0);
	CHECK_GT(value_of(" requests="), 0);
}

TEST(wrong_echoes_are_noticed)
{
	static const struct fault faults[] = {
		{ "a bit changed", flip_a_bit, 3 }, { "a byte lost", lose_a_byte, 3 }, { "an answer lost", lose_all, 3 },
		{ "an answer twice", repeat, 3 }, { "halves swapped", swap_halves, 3 }, { "another answer", answer_another, 3 },
		{ "hung up", hang_up, 3 }, { "a bit of the first changed", flip_a_bit, 1 },
	};
	notice_all(NULL, faults, sizeof faults / sizeof faults[0], "-c 3");
}

TEST(wrong_replies_are_noticed)
{
	static const struct fault faults[] = {
		{ "a bit of the body changed", flip_a_bit, 3 }, { "a reply lost", lose_all, 3 }, { "a reply twice", repeat, 3 },
		{ "another status", refuse, 3 }, { "a longer body", say_longer, 3 }, { "no length", say_nothing_of_length, 3 },
		{ "hung up", hang_up, 3 },
	};
	notice_all(hello, faults, sizeof faults / sizeof faults[0], "--http -c 3");
}

/* Two requests are due, and the second of them is answered twice: nothing follows that could be wrong. */
TEST(the_last_answer_twice_is_noticed)
{
	static const struct fault twice = { "the last answer twice", repeat, 2 };
	behave(NULL, &twice);
	int status = run_load("-c 1 -r 10 -d 0.15", start_server());
	CHECK(has_changed());
	CHECK_EQ(status, WRONG);
}

static size_t sleep_half_a_second(char *bytes, size_t n)
{
	(void)bytes;
	usleep(500000);
	return n;
}

/* 100 requests become due while the server sleeps: each must say how long it waited, though only one was under way. */
TEST(open_loop_counts_from_when_a_request_was_due)
{
	static const struct fault stall = { "a stall", sleep_half_a_second, 20 };
	behave(NULL, &stall);
	CHECK_EQ(run_load("-c 1 -r 200 -d 1 --drain 20", start_server()), 0);
	CHECK(has_changed());
	CHECK_EQ(value_of(" requests="), 200);
	CHECK_GT(value_of(" p90_us="), 300000);
	CHECK_GT(value_of(" mean_us="), 100000);
}

TEST(quantiles_are_those_of_a_sorted_list)
{
	static struct hist h, other;
	for (int64_t ns = 1; ns <= 100000; ns++)
		hist_add(ns % 2 ? &h : &other, ns * 1000);
	hist_merge(&h, &other);
	CHECK_EQ(h.count, 100000);
	CHECK_EQ(h.max, 100000000);
	static const double shares[] = { 0.00001, 0.01, 0.5, 0.9, 0.99, 0.999, 1 };
	for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
		double exact = shares[i] * 1e8, found = hist_quantile(&h, shares[i]);
		CHECK(found > exact * 0.995 && found < exact * 1.005);
	}
}

TEST(small_and_huge_times_have_a_place)
{
	static struct hist h;
	CHECK_EQ(hist_quantile(&h, 0.5), 0);
	hist_add(&h, -5);
	CHECK_EQ(hist_quantile(&h, 1), 0);
	for (int64_t ns = 0; ns < 128; ns++) {
		static struct hist one;
		one = (struct hist){ .count = 0 };
		hist_add(&one, ns);
		CHECK_EQ(hist_quantile(&one, 0.5), ns);
	}
	hist_add(&h, INT64_MAX);
	CHECK_EQ(h.max, INT64_MAX);
	CHECK_GT(hist_quantile(&h, 1), 3600e9);
}
