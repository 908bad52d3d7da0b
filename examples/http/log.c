/* The access log. Connections append lines to a buffer in memory, one coroutine writes it to the file: a disk that stalls, or a
 * pipe that nobody reads, costs lines and not requests.
 *
 * Two buffers take turns. One word says which of them is being filled and how far, so that one addition reserves a place in it.
 *
 *	who has a line                               the writer
 *	reserve: add its length to the word          switch: exchange the word for the other buffer, empty
 *	copy it                                      wait until as many bytes are in as were reserved
 *	add its length to what is in                 write them; nothing is in
 *
 * A line that does not fit is dropped, and so is every one behind it until the switch: the first of them says where the buffer
 * ends. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "chars.h"
#include "conn.h"

enum {
	BUFFER = 1 << 19,
	SHOWN = 700,             /* bytes of a target or of a field that are shown, as they are written */
	LINE = 4 * SHOWN + 256,  /* method, target, two fields; the rest takes less than 256 */
};

#define GATHER WEFT_MS(100)                           /* from the first line in a buffer until it is written */

static struct {
	_Atomic uint32_t in;  /* bytes that are in */
	_Atomic uint32_t end; /* once a line did not fit: what was reserved before it */
	char bytes[BUFFER];
} buffers[2];

#define SECOND (UINT64_C(1) << 63)
static uint64_t word;            /* SECOND: it is the second that is being filled; below, the bytes reserved in it */
static _Atomic uint64_t dropped; /* lines */
static struct weft_sem begun;    /* a buffer has its first line */
static int file = -1;

/* ---- writing ------------------------------------------------------------------------------------------------------- */

struct job {
	const char *bytes;
	size_t n;
};

static int write_out(void *arg)
{
	struct job *job = arg;
	while (job->n > 0) {
		ssize_t done = write(file, job->bytes, job->n);
		if (done < 0 && errno != EINTR)
			return -errno;
		job->bytes += done > 0 ? done : 0;
		job->n -= done > 0 ? (size_t)done : 0;
	}
	return 0;
}

/* Takes the buffer that is being filled: what is in it, once all of that is. It is to be given back. */
static size_t take(unsigned *which)
{
	static uint64_t turn;
	uint64_t was = __atomic_exchange_n(&word, turn ^ SECOND, __ATOMIC_SEQ_CST);
	turn ^= SECOND;
	*which = (was & SECOND) != 0;
	uint64_t reserved = was & ~SECOND;
	while (reserved > BUFFER && buffers[*which].end == 0)
		weft_yield();
	uint32_t n = reserved > BUFFER ? buffers[*which].end : (uint32_t)reserved;
	while (buffers[*which].in != n)
		weft_yield();
	return n;
}

static void give_back(unsigned which)
{
	buffers[which].in = 0;
	buffers[which].end = 0;
}

static void complain(int result)
{
	static bool was_told;
	if (result < 0 && !was_told)
		fprintf(stderr, "http: log: %s; lines are lost\n", weft_strerror(result));
	was_told |= result < 0;
}

static int write_lines(void *arg)
{
	(void)arg;
	while (weft_sem_wait(&begun, 1) == 0 && weft_sleep(GATHER) == 0) {
		unsigned which;
		size_t n = take(&which);
		struct job job = { buffers[which].bytes, n };
		int result = 0, r = weft_offload(write_out, &job, &result);
		complain(r < 0 ? write_out(&job) : result);
		give_back(which);
	}
	return 0;
}

int http_log_start(const char *path)
{
	struct weft_attr attr = WEFT_ATTR_INIT;
	if (path == NULL)
		return 0;
	file = strcmp(path, "-") == 0 ? STDOUT_FILENO : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	if (file < 0)
		return -errno;
	attr.name = "log";
	attr.daemon = true;
	weft_sem_init(&begun, 0);
	return weft_spawn(NULL, &attr, write_lines, NULL);
}

void http_log_end(void)
{
	unsigned which;
	if (file < 0)
		return;
	size_t n = take(&which);
	complain(write_out(&(struct job){ buffers[which].bytes, n }));
	give_back(which);
}

bool http_is_logging(void)
{
	return file >= 0;
}

uint64_t http_log_dropped(void)
{
	return dropped;
}

static void append(const char *line, uint32_t n)
{
	uint64_t before = __atomic_fetch_add(&word, n, __ATOMIC_SEQ_CST);
	unsigned which = (before & SECOND) != 0;
	uint64_t at = before & ~SECOND;
	if (at + n <= BUFFER) {
		memcpy(buffers[which].bytes + at, line, n);
		buffers[which].in += n;
	} else {
		dropped++;
		if (at <= BUFFER)
			buffers[which].end = (uint32_t)at;
	}
	if (at == 0)
		weft_sem_post(&begun, 1);
}

/* ---- a line -------------------------------------------------------------------------------------------------------- */

static char *put(char *p, const char *text)
{
	size_t n = strlen(text);
	memcpy(p, text, n);
	return p + n;
}

static char *put_number(char *p, uint64_t value, int at_least)
{
	char digits[20];
	int n = 0;
	do
		digits[n++] = (char)('0' + value % 10);
	while ((value /= 10) != 0 || n < at_least);
	while (n > 0)
		*p++ = digits[--n];
	return p;
}

/* What a client has sent may hold anything: nobody may write lines, or quotes, through it. */
static char *put_span(char *p, const char *base, struct http_span s)
{
	static const char hex[] = "0123456789abcdef";
	const char *text = base + s.at, *text_end = text + s.len, *end = p + SHOWN;
	for (; text < text_end && end - p >= 4; text++) {
		if ((http_is(*text, HTTP_VISIBLE) || *text == ' ') && *text != '"' && *text != '\\') {
			*p++ = *text;
		} else {
			unsigned char byte = (unsigned char)*text;
			memcpy(p, (char[4]){ '\\', 'x', hex[byte >> 4], hex[byte & 15] }, 4);
			p += 4;
		}
	}
	return p;
}

static char *put_request(char *p, const struct http_head *h, const char *base)
{
	struct http_span version = { (uint16_t)(h->target.at + h->target.len + 1), 8 };
	if (h->target.len == 0 || h->at < version.at)
		return put(p, "-");
	if (h->at < version.at + version.len)
		version.len = (uint16_t)(h->at - version.at);
	p = put_span(p, base, h->name);
	*p++ = ' ';
	p = put_span(p, base, h->target);
	*p++ = ' ';
	return put_span(p, base, version);
}

static char *put_field(char *p, const struct http_head *h, const char *base, const char *name)
{
	const struct http_field *f = http_find(h, base, name);
	p = put(p, " \"");
	p = f != NULL ? put_span(p, base, f->value) : put(p, "-");
	*p++ = '"';
	return p;
}

void http_log(const struct http_conn *c, int64_t ns)
{
	char line[LINE], *p = line;
	const char *base = c->buf + c->base;
	p = put(p, c->peer);
	p = put(p, " - - [");
	p = put(p, http_date_for_log());
	p = put(p, "] \"");
	p = put_request(p, &c->head, base);
	p = put(p, "\" ");
	p = put_number(p, (uint64_t)c->status, 3);
	*p++ = ' ';
	p = put_number(p, c->body_sent, 1);
	p = put_field(p, &c->head, base, "referer");
	p = put_field(p, &c->head, base, "user-agent");
	*p++ = ' ';
	p = put_number(p, (uint64_t)ns / 1000000000, 1);
	*p++ = '.';
	p = put_number(p, (uint64_t)ns / 1000 % 1000000, 6);
	*p++ = '\n';
	append(line, (uint32_t)(p - line));
}
