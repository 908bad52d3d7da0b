#include "http_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

enum { PATIENCE_SECONDS = 30 };

/* ---- the program --------------------------------------------------------------------------------------------------- */

static const struct server *latest; /* for complaints */

static FILE *launch(struct server *s, const char *first, const char *options)
{
	int out[2], err[2];
	char command[1024];
	snprintf(command, sizeof(command), "%s; exec %s %s", first, HTTP_COMMAND, options);
	CHECK_EQ(pipe(out), 0);
	CHECK_EQ(pipe(err), 0);
	s->pid = fork();
	CHECK_GE(s->pid, 0);
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		for (int i = 0; i < 2; i++)
			close(out[i]), close(err[i]);
		setenv("WEFT_STRESS_SEED", "1", 0); /* else a stress build tells its seed where we look for complaints */
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	close(err[1]);
	s->error_fd = err[0];
	latest = s;
	return fdopen(out[0], "r");
}

void server_start_after(struct server *s, const char *first, const char *options)
{
	char all[1000], line[256] = "";
	snprintf(all, sizeof(all), "--listen 127.0.0.1:0 %s", options);
	FILE *out = launch(s, first, all);
	if (fgets(line, sizeof(line), out) == NULL || sscanf(line, "listening on 127.0.0.1:%d\n", &s->port) != 1) {
		int status = server_wait(s);
		test_fail(__FILE__, __LINE__, "the server ended with %d: %s", status, s->error);
	}
	fclose(out);
}

void server_start(struct server *s, const char *options)
{
	server_start_after(s, ":", options);
}

void server_signal(const struct server *s)
{
	CHECK_EQ(kill(s->pid, SIGTERM), 0);
}

int server_wait(struct server *s)
{
	int status;
	size_t n = 0;
	ssize_t r;
	while (n < sizeof(s->error) - 1 && (r = read(s->error_fd, s->error + n, sizeof(s->error) - 1 - n)) > 0)
		n += (size_t)r;
	s->error[n] = '\0';
	close(s->error_fd);
	CHECK_EQ(waitpid(s->pid, &status, 0), s->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void server_stop(struct server *s)
{
	server_signal(s);
	int status = server_wait(s);
	if (status != 0)
		test_fail(__FILE__, __LINE__, "the server ended with %d: %s", status, s->error);
}

int server_run(struct server *s, const char *options)
{
	FILE *out = launch(s, ":", options);
	int status = server_wait(s);
	fclose(out);
	return status;
}

/* A connection went wrong: what has become of the server? */
_Noreturn static void complain(const char *what)
{
	char error[2048];
	int status;
	usleep(300000); /* it may be about to die */
	bool is_gone = waitpid(latest->pid, &status, WNOHANG) == latest->pid;
	fcntl(latest->error_fd, F_SETFL, O_NONBLOCK);
	ssize_t n = read(latest->error_fd, error, sizeof(error) - 1);
	error[n > 0 ? n : 0] = '\0';
	if (is_gone)
		test_fail(__FILE__, __LINE__, "%s; the server is gone, wait status %#x: %s", what, status, error);
	test_fail(__FILE__, __LINE__, "%s; the server lives: %s", what, error);
}

/* ---- sockets ------------------------------------------------------------------------------------------------------- */

static int try_dial(const struct server *s)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port)};
	struct timeval patience = {PATIENCE_SECONDS, 0};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_GE(fd, 0);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

int dial(const struct server *s)
{
	int fd = try_dial(s);
	CHECK_GE(fd, 0);
	return fd;
}

bool can_dial(const struct server *s)
{
	int fd = try_dial(s);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int dial_unix(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	CHECK_EQ(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

/* The other side may have refused the rest and be gone: that is for its response to tell. */
bool tell(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t r = send(fd, bytes, n, MSG_NOSIGNAL);
		if (r < 0 && (errno == EPIPE || errno == ECONNRESET))
			return false;
		CHECK_GT(r, 0);
		bytes += r;
		n -= (size_t)r;
	}
	return true;
}

/* At least one byte, or 0 at the end in order. A reset tells of itself just once. */
static size_t receive(int fd, char *p, size_t n, int flags)
{
	ssize_t r = recv(fd, p, n, flags);
	if (r < 0)
		complain(errno == EAGAIN ? "nothing came" : strerror(errno));
	return (size_t)r;
}

void expect_end(int fd)
{
	char byte;
	CHECK_EQ(receive(fd, &byte, 1, 0), 0);
	close(fd);
}

/* ---- responses ----------------------------------------------------------------------------------------------------- */

struct reader {
	int fd;
	char *bytes;
	size_t n, room;
};

static void want(struct reader *r, size_t n)
{
	if (r->n + n >= r->room) {
		r->room = 2 * (r->n + n) + 1024;
		r->bytes = realloc(r->bytes, r->room);
		CHECK(r->bytes != NULL);
	}
}

static void read_exactly(struct reader *r, size_t n)
{
	want(r, n);
	while (n > 0) {
		size_t got = receive(r->fd, r->bytes + r->n, n, 0);
		if (got == 0)
			test_fail(__FILE__, __LINE__, "the end came %zu bytes too early", n);
		r->n += got;
		n -= got;
	}
}

/* A line, byte by byte so that nothing behind the response is taken. Without its end; where it begins. */
static size_t read_line(struct reader *r)
{
	size_t start = r->n;
	do
		read_exactly(r, 1);
	while (r->n - start < 2 || memcmp(r->bytes + r->n - 2, "\r\n", 2) != 0);
	for (size_t i = start; i < r->n - 2; i++)
		CHECK((unsigned char)r->bytes[i] >= ' ');
	return start;
}

const char *field(const struct response *r, const char *name)
{
	static char value[512];
	size_t n = strlen(name);
	for (const char *line = strstr(r->bytes, "\r\n"); line != NULL && line[2] != '\r'; line = strstr(line + 2, "\r\n"))
		if (strncasecmp(line + 2, name, n) == 0 && strncmp(line + 2 + n, ": ", 2) == 0) {
			const char *p = line + 2 + n + 2;
			snprintf(value, sizeof(value), "%.*s", (int)(strstr(p, "\r\n") - p), p);
			return value;
		}
	return NULL;
}

static void read_chunks(struct reader *r)
{
	for (;;) {
		char *end;
		size_t line = read_line(r);
		size_t n = strtoul(r->bytes + line, &end, 16);
		CHECK(end > r->bytes + line && *end == '\r');
		r->n = line;
		read_exactly(r, n + 2);
		CHECK_MEM(r->bytes + r->n - 2, "\r\n", 2);
		r->n -= 2;
		if (n == 0)
			return;
	}
}

/* What nobody frees lasts as long as the case does; leak checkers find it here. */
static void keep(char *bytes)
{
	static char **kept;
	static size_t count;
	kept = realloc(kept, (count + 1) * sizeof(*kept));
	CHECK(kept != NULL);
	kept[count++] = bytes;
}

struct response hear(int fd, bool to_head)
{
	struct reader r = {.fd = fd};
	struct response a = {0};
	char version[16] = "", reason[8] = "";
	while (read_line(&r) != r.n - 2)
		;
	want(&r, 1);
	r.bytes[r.n++] = '\0';
	size_t head = r.n;
	a.bytes = r.bytes;
	CHECK_EQ(sscanf(r.bytes, "%15s %d %7s", version, &a.status, reason), 3);
	CHECK_STR(version, "HTTP/1.1");
	const char *connection = field(&a, "Connection");
	a.closes = connection != NULL && strcmp(connection, "close") == 0;
	bool has_body = a.status >= 200 && a.status != 204 && a.status != 304;
	CHECK(a.status < 200 || field(&a, "Date") != NULL);
	a.chunked = field(&a, "Transfer-Encoding") != NULL;
	const char *length = field(&a, "Content-Length");
	CHECK(!(a.chunked && length != NULL));
	CHECK(a.chunked || (length != NULL) == has_body);
	if (to_head)
		;
	else if (a.chunked)
		read_chunks(&r);
	else if (length != NULL)
		read_exactly(&r, strtoul(length, NULL, 10));
	want(&r, 1);
	r.bytes[r.n] = '\0';
	keep(r.bytes);
	a.bytes = r.bytes;
	a.body = r.bytes + head;
	a.body_size = r.n - head;
	return a;
}

void expect(int fd, int status, const char *body)
{
	struct response r = hear(fd, false);
	if (r.status != status)
		test_fail(__FILE__, __LINE__, "%d and not %d: %s", r.status, status, r.body);
	if (body != NULL)
		CHECK_STR(r.body, body);
	free(r.bytes);
}

void expect_statuses(int fd, const char *statuses, const char *what)
{
	char seen[4096] = "", byte;
	size_t n = 0;
	for (const char *p = statuses; n < sizeof(seen) - 8 && receive(fd, &byte, 1, MSG_PEEK) == 1;) {
		bool to_head = *p == 'H';
		struct response r = hear(fd, to_head);
		n += (size_t)snprintf(seen + n, sizeof(seen) - n, "%s%s%d", n ? " " : "", to_head ? "H" : "", r.status);
		p += strcspn(p, " ");
		p += *p == ' ';
		free(r.bytes);
	}
	if (strcmp(seen, statuses) != 0)
		test_fail(__FILE__, __LINE__, "%s, not %s: %s", seen, statuses, what);
	expect_end(fd);
}
