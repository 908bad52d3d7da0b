/* epoll_http PORT [THREADS]: the limit for HTTP/1.1 with connections kept alive. Of a request it finds the end only; what one read
 * brought is answered by one send, "Hello, World!" each. The date is renewed once a second. */
#include <time.h>

#include "epoll.h"

/* No buffer holds more requests than a batch: none is shorter than "GET / HTTP/1.1\\r\\n\\r\\n". */
enum { HEAD_MAX = 8192, BUFFER = HEAD_MAX + 32768, BATCH = BUFFER / 18 + 1, REPLY_MAX = 256 };

struct head {
	size_t size;
	char bytes[HEAD_MAX];
};

static struct head **heads; /* by descriptor: a request that is not whole yet */

static void forget(int fd)
{
	free(heads[fd]);
	heads[fd] = NULL;
}

/* The reply, BATCH times in a row. */
static const char *replies(size_t *size)
{
	static _Thread_local char text[BATCH * REPLY_MAX];
	static _Thread_local size_t length;
	static _Thread_local time_t made;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != made) {
		char date[64];
		struct tm tm;
		made = now.tv_sec;
		strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&made, &tm));
		length = (size_t)snprintf(text, REPLY_MAX, "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: text/plain\r\n"
			"Content-Length: 13\r\n\r\nHello, World!", date);
		for (size_t i = 1; i < BATCH; i++)
			memcpy(text + i * length, text, length);
	}
	*size = length;
	return text;
}

/* How many whole requests there are at the front, at most BATCH, and their length; -1: something that is not GET. */
static int count_requests(const char *bytes, size_t n, size_t *used)
{
	int count = 0;
	*used = 0;
	for (const char *end; count < BATCH && (end = memmem(bytes + *used, n - *used, "\r\n\r\n", 4)) != NULL; count++) {
		if (memcmp(bytes + *used, "GET ", 4) != 0)
			return -1;
		*used = (size_t)(end + 4 - bytes);
	}
	return count;
}

static void keep_head(int fd, const char *bytes, size_t n)
{
	if (n == 0) {
		forget(fd);
		return;
	}
	if (!heads[fd] && !(heads[fd] = malloc(sizeof *heads[fd])))
		die("malloc");
	heads[fd]->size = n;
	memcpy(heads[fd]->bytes, bytes, n);
}

static void receive(int epoll, int fd)
{
	static _Thread_local char buffer[BUFFER];
	size_t kept = heads[fd] ? heads[fd]->size : 0, used, size;
	if (kept)
		memcpy(buffer, heads[fd]->bytes, kept);
	ssize_t n = recv(fd, buffer + kept, sizeof buffer - kept, 0);
	if (n <= 0) {
		if (n == 0 || !is_passing())
			hang_up(fd);
		return;
	}
	size_t total = kept + (size_t)n;
	int count = count_requests(buffer, total, &used);
	if (count < 0 || total - used > HEAD_MAX) {
		hang_up(fd);
		return;
	}
	if (kept || total != used)
		keep_head(fd, buffer + used, total - used);
	const char *text = replies(&size);
	if (count > 0)
		send_or_keep(epoll, fd, text, size * (size_t)count);
}

int main(int argc, char **argv)
{
	heads = calloc(raise_limit(), sizeof *heads);
	return heads ? serve_by_epoll(argc, argv) : 1;
}
