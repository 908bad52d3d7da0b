/* How many processors the process may use: its affinity mask, cut down by the CPU quota of its cgroup and of every cgroup above.
 *
 * A quota belongs to a directory: in hierarchy v2 the file cpu.max, in that hierarchy of v1 which has the controller "cpu" the
 * files cpu.cfs_quota_us and cpu.cfs_period_us. Two files lead there:
 *
 *   /proc/self/cgroup       where in each hierarchy the process is
 *       4:cpu,cpuacct:/pod/app
 *       0::/pod/app                                                      v2
 *   /proc/self/mountinfo    which part of a hierarchy can be seen, and where
 *       36 31 0:30 /pod /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 none rw
 *                  root point                               type    source options
 *
 * This process is in /sys/fs/cgroup/app. From there up to the mount point every directory is looked at, for a limit above binds
 * as much as the nearest one. In a hybrid set-up both hierarchies are walked; the one without the controller has no such files.
 * Both paths are relative to the root of the cgroup namespace and begin with one /.. for each level above that. */
#include "os_linux_cpu.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os.h"

enum {
	LIMIT_MIN = 2, /* a quota limits use over time, not width: even a small one allows short bursts on two */
	AFFINITY_BITS = 32768, /* sched_getaffinity fails if the kernel has more; four times what it can be built for */
};

struct reader {
	int fd;
	ssize_t at, size;
	char bytes[1024];
};

/* Mapped, not on the caller's stack: lines are long and stacks can be small. */
struct search {
	const char *fs_root;
	int64_t limit; /* whole processors, the tightest so far */
	char v1[PATH_MAX], v2[PATH_MAX]; /* where the process is; "" if in no such hierarchy */
	char line[4 * PATH_MAX];         /* of one of the two files above */
	char value[64];                  /* of a quota file */
	char dir[2 * PATH_MAX], file[3 * PATH_MAX];
};

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static bool append(char *text, size_t size, const char *more)
{
	size_t used = strlen(text), n = strlen(more);
	if (n >= size - used)
		return false;
	memcpy(text + used, more, n + 1);
	return true;
}

static bool open_file(struct search *s, struct reader *r, const char *dir, const char *name)
{
	s->file[0] = 0;
	if (!append(s->file, sizeof s->file, s->fs_root) || !append(s->file, sizeof s->file, dir) ||
	    !append(s->file, sizeof s->file, "/") || !append(s->file, sizeof s->file, name))
		return false;
	r->at = r->size = 0;
	r->fd = open(s->file, O_RDONLY | O_CLOEXEC);
	return r->fd >= 0;
}

static bool read_more(struct reader *r)
{
	do
		r->size = read(r->fd, r->bytes, sizeof r->bytes);
	while (r->size < 0 && errno == EINTR);
	r->at = 0;
	return r->size > 0;
}

/* The next line, without its end; false after the last. One that does not fit is read as "": nothing that matters is that long. */
static bool read_line(struct reader *r, char *line, size_t size)
{
	size_t n = 0;
	while (r->at < r->size || read_more(r)) {
		char c = r->bytes[r->at++];
		if (c == '\n') {
			line[n < size ? n : 0] = 0;
			return true;
		}
		if (n < size)
			line[n++] = c;
	}
	line[n < size ? n : 0] = 0;
	return n > 0;
}

/* Cuts the text before `stop` off the front of *rest; *rest becomes what comes after, NULL when nothing does. */
static char *cut(char **rest, char stop)
{
	char *word = *rest, *end = word ? strchr(word, stop) : NULL;
	if (end)
		*end = 0;
	*rest = end ? end + 1 : NULL;
	return word;
}

/* Whether a comma-separated list has this word. The list is used up. */
static bool lists(char *list, const char *wanted)
{
	for (char *word; (word = cut(&list, ',')) != NULL;)
		if (strcmp(word, wanted) == 0)
			return true;
	return false;
}

static bool is_octal(const char *text)
{
	return text[0] >= '0' && text[0] <= '3' && text[1] >= '0' && text[1] <= '7' && text[2] >= '0' && text[2] <= '7';
}

/* Spaces, tabs, newlines and backslashes in mountinfo come as \040 and so on. */
static void unescape(char *text)
{
	char *to = text;
	while (*text)
		if (*text == '\\' && is_octal(text + 1)) {
			*to++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
			text += 4;
		} else {
			*to++ = *text++;
		}
	*to = 0;
}

/* A decimal number; 0 for anything else ("max", "-1", NULL). */
static int64_t number(const char *text)
{
	int64_t n = 0;
	for (; text && *text; text++) {
		if (*text < '0' || *text > '9' || n > (INT64_MAX - 9) / 10)
			return 0;
		n = n * 10 + (*text - '0');
	}
	return n;
}

/* ---- the quota of one directory, s->dir ---------------------------------------------------------------------------- */

static void note_quota(struct search *s, int64_t quota, int64_t period)
{
	if (quota == 0 || period == 0)
		return;
	int64_t limit = quota / period + (quota % period != 0);
	if (limit < s->limit)
		s->limit = limit;
}

/* The first line of a file, "" if there is none. */
static char *first_line(struct search *s, const char *name)
{
	struct reader r;
	s->value[0] = 0;
	if (open_file(s, &r, s->dir, name)) {
		(void)read_line(&r, s->value, sizeof s->value);
		close(r.fd);
	}
	return s->value;
}

static void look_v1(struct search *s)
{
	int64_t quota = number(first_line(s, "cpu.cfs_quota_us"));
	if (quota > 0)
		note_quota(s, quota, number(first_line(s, "cpu.cfs_period_us")));
}

static void look_v2(struct search *s)
{
	char *period = first_line(s, "cpu.max"), *quota = cut(&period, ' ');
	note_quota(s, number(quota), number(period));
}

/* ---- finding the directories --------------------------------------------------------------------------------------- */

static bool begins_upward(const char *path)
{
	return strncmp(path, "/..", 3) == 0 && (path[3] == '/' || path[3] == 0);
}

/* The way from `root`, the part of a hierarchy that is mounted, down to `path`; NULL if path is not in that part. A root above
 * the namespace is above the process for sure, but the names on the way are hidden: what can be seen is the mount point alone. */
static const char *way_down(const char *root, const char *path)
{
	size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);
	if (strncmp(path, root, n) == 0 && (path[n] == '/' || path[n] == 0))
		return begins_upward(path + n) ? NULL : path + n;
	while (begins_upward(root))
		root += 3;
	return *root ? NULL : "";
}

/* Looks at the directory of `path`, where `root` is mounted on `point`, and at those above it up to the mount point. */
static void walk_up(struct search *s, const char *root, const char *point, const char *path, void (*look)(struct search *))
{
	const char *way = *path ? way_down(root, path) : NULL;
	s->dir[0] = 0;
	if (!way || !append(s->dir, sizeof s->dir, point) || !append(s->dir, sizeof s->dir, way))
		return;
	char *below_point = s->dir + strlen(point), *last;
	for (look(s); (last = strrchr(below_point, '/')) != NULL; look(s))
		*last = 0;
}

/* One line of mountinfo, in s->line. */
static void take_mount(struct search *s)
{
	char *rest = s->line, *word;
	for (int i = 0; i < 3; i++)
		cut(&rest, ' ');
	char *root = cut(&rest, ' '), *point = cut(&rest, ' ');
	do
		word = cut(&rest, ' ');
	while (word && strcmp(word, "-") != 0);
	char *type = cut(&rest, ' ');
	cut(&rest, ' ');
	if (!rest)
		return;
	unescape(root);
	unescape(point);
	if (strcmp(type, "cgroup2") == 0)
		walk_up(s, root, point, s->v2, look_v2);
	else if (strcmp(type, "cgroup") == 0 && lists(rest, "cpu"))
		walk_up(s, root, point, s->v1, look_v1);
}

/* One line of /proc/self/cgroup, in s->line: id:controllers:path. */
static void take_membership(struct search *s)
{
	char *path = s->line, *id = cut(&path, ':'), *controllers = cut(&path, ':');
	if (!path)
		return;
	char *into = strcmp(id, "0") == 0 && !*controllers ? s->v2 : lists(controllers, "cpu") ? s->v1 : NULL;
	if (into) {
		*into = 0;
		append(into, PATH_MAX, path);
	}
}

static void each_line(struct search *s, const char *dir, const char *name, void (*take)(struct search *))
{
	struct reader r;
	if (!open_file(s, &r, dir, name))
		return;
	while (read_line(&r, s->line, sizeof s->line))
		take(s);
	close(r.fd);
}

int wf_os_cpu_count_under(const char *fs_root, int affinity)
{
	struct search *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		return affinity;
	s->fs_root = fs_root;
	s->limit = INT64_MAX;
	each_line(s, "/proc/self", "cgroup", take_membership);
	each_line(s, "/proc/self", "mountinfo", take_mount);
	int64_t limit = s->limit < LIMIT_MIN ? LIMIT_MIN : s->limit;
	munmap(s, sizeof *s);
	return limit < affinity ? (int)limit : affinity;
}

static int affinity_count(void)
{
	cpu_set_t set[AFFINITY_BITS / CPU_SETSIZE];
	if (sched_getaffinity(0, sizeof set, set) == 0)
		return CPU_COUNT_S(sizeof set, set);
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	return online > 0 ? (int)online : 1;
}

int wf_os_cpu_count(void)
{
	return wf_os_cpu_count_under("", affinity_count());
}
