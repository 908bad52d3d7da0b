/* Echo: what a connection sends is a stream of 64-bit words, mix(stream << 32 | number). mix is one to one: no word is sent twice
 * in a run, and a byte that is changed, lost, repeated, moved or somebody else's is seen where it stands. HTTP: a GET, and the
 * reply's status, length and body. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "load.h"

static char request[1024];
static size_t unit;

void wire_init(void)
{
	unit = (size_t)opt.message;
	if (opt.http)
		unit = (size_t)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s:%ld\r\n\r\n", opt.path, opt.host,
			opt.port);
}

size_t wire_unit(void) { return unit; }

/* ---- echo -------------------------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* n bytes of a stream from an offset on. */
static void write_stream(uint32_t stream, uint64_t offset, char *to, size_t n)
{
	uint64_t number = (uint64_t)(stream + 1) << 32 | (uint32_t)(offset / 8);
	size_t skipped = offset % 8;
	for (size_t take; n > 0; to += take, n -= take, skipped = 0) {
		uint64_t word = mix(number++);
		take = 8 - skipped < n ? 8 - skipped : n;
		memcpy(to, (char *)&word + skipped, take);
	}
}

static int check_echo(struct conn *c, const char *bytes, size_t n)
{
	char expected[BUFFER];
	uint64_t before = c->received / unit;
	if (c->received + n > c->sent)
		return -1;
	write_stream(c->stream, c->received, expected, n);
	if (memcmp(bytes, expected, n) != 0)
		return -1;
	c->received += n;
	return (int)(c->received / unit - before);
}

/* ---- http -------------------------------------------------------------------------------------------------------------- */

/* The value of Content-Length between the status line and the end of a head, -1 without one. */
static long content_length(const char *head, const char *end)
{
	static const char name[] = "content-length:";
	for (const char *line = head; (line = memchr(line, '\n', (size_t)(end - line))) != NULL;)
		if (strncasecmp(++line, name, sizeof name - 1) == 0)
			return strtol(line + sizeof name - 1, NULL, 10);
	return -1;
}

/* The length of the reply at the front; 0: it is not whole yet, -1: it is not what was asked for. */
static long measure_reply(const char *bytes, size_t n)
{
	const char *end = memmem(bytes, n, "\r\n\r\n", 4);
	if (!end)
		return n < 16384 ? 0 : -1;
	end += 4;
	long length = content_length(bytes, end);
	size_t head = (size_t)(end - bytes);
	if (strncmp(bytes, "HTTP/1.1 200", 12) != 0 || length < 0 || head + (size_t)length > BUFFER)
		return -1;
	if (n < head + (size_t)length)
		return 0;
	if (*opt.body && ((size_t)length != strlen(opt.body) || memcmp(end, opt.body, (size_t)length) != 0))
		return -1;
	return (long)head + length;
}

static int check_http(struct conn *c, char *bytes, size_t n)
{
	int answers = 0;
	bytes -= c->ncarried; /* there is room (struct worker) */
	n += c->ncarried;
	if (c->ncarried)
		memcpy(bytes, c->carried, c->ncarried);
	for (; n > 0; answers++) {
		long length = measure_reply(bytes, n);
		if (length < 0 || (length > 0 && c->answered + (uint64_t)answers == c->asked))
			return -1;
		if (length == 0)
			break;
		bytes += length;
		n -= (size_t)length;
	}
	if (n > 0 && !c->carried)
		c->carried = malloc(BUFFER);
	if (n > BUFFER || (n > 0 && !c->carried))
		return -1;
	if (n > 0)
		memcpy(c->carried, bytes, n);
	c->ncarried = n;
	return answers;
}

/* ---- both -------------------------------------------------------------------------------------------------------------- */

size_t wire_fill(const struct conn *c, char *to)
{
	uint64_t left = c->wanted - c->sent;
	size_t n = left < BUFFER ? (size_t)left : BUFFER;
	if (!opt.http) {
		write_stream(c->stream, c->sent, to, n);
		return n;
	}
	for (size_t at = 0, take, skipped = c->sent % unit; at < n; at += take, skipped = 0) {
		take = unit - skipped < n - at ? unit - skipped : n - at;
		memcpy(to + at, request + skipped, take);
	}
	return n;
}

int wire_check(struct worker *w, struct conn *c, char *bytes, size_t n)
{
	int answers = opt.http ? check_http(c, bytes, n) : check_echo(c, bytes, n);
	if (answers < 0)
		w->tally.wrong++;
	return answers;
}

bool wire_exchange(int fd, uint32_t stream)
{
	char *buffer = malloc(3 * BUFFER), *in = buffer + 2 * BUFFER;
	struct conn c = { .stream = stream, .wanted = unit, .asked = 1 };
	struct worker w = { .id = 0 };
	int answers = 0;
	for (size_t n = buffer ? wire_fill(&c, buffer) : 0; c.sent < n;) {
		ssize_t sent = send(fd, buffer + c.sent, n - c.sent, MSG_NOSIGNAL);
		if (sent <= 0)
			break;
		c.sent += (uint64_t)sent;
	}
	while (buffer && c.sent == unit && answers == 0) {
		ssize_t got = recv(fd, in, BUFFER, 0);
		answers = got > 0 ? wire_check(&w, &c, in, (size_t)got) : -1;
	}
	free(c.carried);
	free(buffer);
	return answers == 1;
}
