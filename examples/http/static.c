#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <weft/errno.h>

#include "chars.h"
#include "conn.h"

#ifdef __linux__
#include <sys/syscall.h>
#ifdef SYS_openat2
#include <linux/openat2.h>
#endif
#endif

#ifdef __APPLE__
#define st_mtim st_mtimespec
#endif

enum { PATH_SIZE = 1024 };
static const char index_name[] = "index.html";

/* ---- names --------------------------------------------------------------------------------------------------------- */

/* Whether a part of a path, [p, end), may be asked for: it must not be empty, nor hidden. That rules "." and ".." out. */
static bool is_plain_part(const char *p, const char *end)
{
	static const char exception[] = ".well-known";
	size_t n = (size_t)(end - p);
	return n > 0 && (*p != '.' || (n == sizeof(exception) - 1 && memcmp(p, exception, n) == 0));
}

/* Decodes the path of a request into one that is relative to the root, naming the index for a directory. A slash or a zero that was
 * encoded is part of no name that a file system has. */
static bool decode_path(char out[static PATH_SIZE], const char *p, size_t n)
{
	const char *end = p + n;
	size_t length = 0, part = 0;
	for (p += n > 0; p < end; p++) {
		char byte = *p;
		if (byte == '%') {
			byte = (char)(http_hex(p[1]) << 4 | http_hex(p[2]));
			p += 2;
			if (byte == '/' || byte == '\0')
				return false;
		} else if (byte == '/') {
			if (!is_plain_part(out + part, out + length))
				return false;
			part = length + 1;
		}
		if (length >= PATH_SIZE - sizeof(index_name))
			return false;
		out[length++] = byte;
	}
	if (length == part)
		memcpy(out + length, index_name, sizeof(index_name));
	else if (!is_plain_part(out + part, out + length))
		return false;
	else
		out[length] = '\0';
	return true;
}

static const char *type_of(const char *path)
{
	static const char *const types[][2] = {
		{ "html", "text/html; charset=utf-8" }, { "htm", "text/html; charset=utf-8" }, { "css", "text/css; charset=utf-8" },
		{ "js", "text/javascript; charset=utf-8" }, { "mjs", "text/javascript; charset=utf-8" },
		{ "txt", "text/plain; charset=utf-8" }, { "md", "text/markdown; charset=utf-8" },
		{ "json", "application/json" }, { "xml", "application/xml" }, { "pdf", "application/pdf" },
		{ "wasm", "application/wasm" }, { "gz", "application/gzip" }, { "zip", "application/zip" },
		{ "svg", "image/svg+xml" }, { "png", "image/png" }, { "jpg", "image/jpeg" }, { "jpeg", "image/jpeg" },
		{ "gif", "image/gif" }, { "webp", "image/webp" }, { "ico", "image/x-icon" },
		{ "woff2", "font/woff2" }, { "mp4", "video/mp4" },
	};
	const char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
	if (dot != NULL && (slash == NULL || dot > slash))
		for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
			if (strcasecmp(dot + 1, types[i][0]) == 0)
				return types[i][1];
	return "application/octet-stream";
}

/* ---- opening ------------------------------------------------------------------------------------------------------- */

enum { OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY }; /* a FIFO must not hold the thread */

/* Opens part after part, following no symbolic link. */
static int open_step_by_step(int root, char *path)
{
	int at = root;
	for (char *part = path, *slash;; part = slash + 1) {
		slash = strchr(part, '/');
		if (slash != NULL)
			*slash = '\0';
		int next = openat(at, part, OPEN_FLAGS | O_NOFOLLOW | (slash != NULL ? O_DIRECTORY : 0));
		int error = next < 0 ? -errno : 0;
		if (at != root)
			close(at);
		if (slash == NULL || error != 0)
			return error != 0 ? error : next;
		*slash = '/';
		at = next;
	}
}

/* Opens a path below the root; symbolic links are followed as long as they stay there. Where the system can't promise that (Linux
 * before 5.6, and others), none is followed. A descriptor or -E. */
static int open_below(int root, char *path)
{
#ifdef SYS_openat2
	struct open_how how = { .flags = OPEN_FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
	long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
	if (fd >= 0 || errno != ENOSYS)
		return fd >= 0 ? (int)fd : -errno;
#endif
	return open_step_by_step(root, path);
}

static int status_of(int error)
{
	switch (error) {
	case -ENOENT: case -ENOTDIR: case -EACCES: case -EPERM: case -ELOOP: case -EXDEV: case -ENAMETOOLONG: case -ENXIO:
		return 404;
	case -EMFILE: case -ENFILE: case -ENOMEM: case -EAGAIN:
		return 503;
	default:
		return 500;
	}
}

/* ---- answering ----------------------------------------------------------------------------------------------------- */

/* A directory without its slash: relative links would be wrong. The path is safe to send back: it holds no empty part, so it can't
 * be taken for another host's name, and the parser let no control character through. */
static void redirect(struct http_conn *c)
{
	char location[3 * PATH_SIZE]; /* every byte of the path may be encoded */
	int n = snprintf(location, sizeof(location), "%.*s/", (int)c->head.path.len, c->buf + c->base + c->head.path.at);
	if (n < 0 || (size_t)n >= sizeof(location)) {
		http_error(c, 404);
		return;
	}
	http_begin(c, 301);
	http_field(c, "Location", location);
	http_length(c, "text/plain", 0);
}

/* A small part of a file goes out with its head, in one write. */
static void send_small(struct http_conn *c, int fd, int64_t from, size_t n)
{
	ssize_t got = pread(fd, c->buf + c->out, n, from);
	if (got == (ssize_t)n)
		c->out += (uint32_t)n;
	else
		c->broken = true; /* it has shrunk: what the head promised is gone */
}

static void put_range(struct http_conn *c, int status, int64_t from, int64_t n, int64_t size)
{
	char range[80];
	if (status == 206)
		snprintf(range, sizeof(range), "bytes %lld-%lld/%lld", (long long)from, (long long)(from + n - 1), (long long)size);
	else
		snprintf(range, sizeof(range), "bytes */%lld", (long long)size);
	http_field(c, "Content-Range", range);
}

static void send_file(struct http_conn *c, int fd, const struct stat *st, const char *type)
{
	char modified[HTTP_DATE_SIZE], tag[48];
	int64_t from, n;
	struct http_present present = { tag, st->st_mtim.tv_sec, st->st_size, time(NULL) };
	snprintf(tag, sizeof(tag), "\"%llx-%llx\"", (unsigned long long)st->st_mtim.tv_sec * 1000000000 +
		(unsigned long long)st->st_mtim.tv_nsec, (unsigned long long)st->st_size);
	int status = http_condition(&c->head, c->buf + c->base, &present, &from, &n);
	if (status == 412) {
		http_error(c, 412);
		return;
	}
	http_date(modified, st->st_mtim.tv_sec);
	http_begin(c, status);
	http_field(c, "Last-Modified", modified);
	http_field(c, "ETag", tag);
	http_field(c, "Accept-Ranges", "bytes");
	if (status == 206 || status == 416)
		put_range(c, status, from, n, st->st_size);
	if (status == 304) {
		http_empty(c);
		return;
	}
	http_length(c, type, status == 416 ? 0 : n);
	if (status == 416 || !http_wants_body(c))
		return;
	c->body_sent += (uint64_t)n;
	if (n <= (int64_t)(c->size - c->out))
		send_small(c, fd, from, (size_t)n);
	else
		http_send_file(c, fd, from, n);
}

void http_static(struct http_conn *c)
{
	char path[PATH_SIZE];
	struct stat st;
	if (!decode_path(path, c->buf + c->base + c->head.path.at, c->head.path.len)) {
		http_error(c, 404);
		return;
	}
	int fd = open_below(c->server->root_fd, path);
	if (fd < 0) {
		http_error(c, status_of(fd));
		return;
	}
	if (fstat(fd, &st) < 0)
		http_error(c, 500);
	else if (S_ISDIR(st.st_mode))
		redirect(c);
	else if (S_ISREG(st.st_mode))
		send_file(c, fd, &st, type_of(path));
	else
		http_error(c, 404);
	close(fd);
}
