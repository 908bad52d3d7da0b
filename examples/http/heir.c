#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/errno.h>

#include "listen.h"
#include "tls.h"

extern char **environ;

/* What the environment of an heir tells: whether it is supervised, whether the keys of session tickets are waiting at the control
 * socket, and descriptors: "01:control,listener,...". */
#define VARIABLE "HTTP_HERITAGE="
enum { VALUE_SIZE = 16 * (HTTP_LISTENS_MAX + 2) };

static char **own_argv;
static bool is_heir, is_supervised;
static int control = -1;

/* ---- the process that leaves something ----------------------------------------------------------------------------- */

/* The environment of this process, but for what it says of a heritage of its own. */
static const char **environment(const char *heritage)
{
	size_t n = 0, count = 0;
	while (environ[n] != NULL)
		n++;
	const char **env = malloc((n + 2) * sizeof(*env));
	if (env == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], VARIABLE, sizeof(VARIABLE) - 1) != 0 && strncmp(environ[i], "LISTEN_PID=", 11) != 0 &&
				strncmp(environ[i], "LISTEN_FD", 9) != 0)
			env[count++] = environ[i];
	env[count++] = heritage;
	env[count] = NULL;
	return env;
}

/* A duplicate that the program about to be started has as well, and its number behind the text. */
static int bequeath(int fd, char *text)
{
	int copy = fcntl(fd, F_DUPFD, 3);
	if (copy >= 0)
		sprintf(text + strlen(text), "%d,", copy);
	return copy < 0 ? -errno : copy;
}

static int start_program(struct http_heir *heir, const char *heritage, bool supervised)
{
	struct weft_process_opts opts = WEFT_PROCESS_INIT;
	opts.flags = supervised ? WEFT_PROCESS_GROUP : 0; /* so that the terminal tells us alone */
	opts.args = (const char *const *)own_argv;
	const char **env = environment(heritage);
	opts.env = env;
	int r = env != NULL ? weft_process_start(&heir->process, &opts) : -ENOMEM;
	free(env);
	return r;
}

static bool tell_ticket_keys(int fd)
{
	unsigned char keys[HTTP_TICKET_KEYS];
	return http_tls_get_ticket_keys(keys) && send(fd, keys, sizeof(keys), MSG_NOSIGNAL) == (ssize_t)sizeof(keys);
}

static int start_with(struct http_heir *heir, int theirs, const struct http_listeners *l, bool supervised)
{
	char text[VALUE_SIZE] = VARIABLE;
	int copies[HTTP_LISTENS_MAX + 1], r;
	size_t count = 0;
	strcat(text, supervised ? "1" : "0");
	strcat(text, tell_ticket_keys(heir->control) ? "1:" : "0:");
	r = copies[count++] = bequeath(theirs, text);
	for (size_t i = 0; i < l->count && r >= 0; i++)
		r = copies[count++] = bequeath(l->list[i].fd, text);
	if (r >= 0)
		r = start_program(heir, text, supervised);
	for (size_t i = 0; i < count; i++)
		if (copies[i] >= 0)
			close(copies[i]);
	return r;
}

int http_heir_start(struct http_heir *heir, const struct http_listeners *l, bool supervised)
{
	int pair[2], r = weft_socketpair(SOCK_STREAM, pair);
	if (r < 0)
		return r;
	heir->control = pair[0];
	if ((r = start_with(heir, pair[1], l, supervised)) < 0)
		weft_close(pair[0]);
	weft_close(pair[1]);
	return r;
}

int http_heir_await(struct http_heir *heir, weft_time deadline)
{
	char byte;
	weft_set_deadline(heir->control, WEFT_READ, deadline);
	ssize_t n = weft_read(heir->control, &byte, 1);
	weft_set_deadline(heir->control, WEFT_READ, WEFT_NEVER);
	return n > 0 ? 0 : n < 0 ? (int)n : -EPIPE;
}

/* ---- the heir ------------------------------------------------------------------------------------------------------ */

static int listed[HTTP_LISTENS_MAX];
static size_t listed_count;

/* So that the sessions of clients can be resumed with the heir. */
static void read_ticket_keys(void)
{
	unsigned char keys[HTTP_TICKET_KEYS];
	if (recv(control, keys, sizeof(keys), MSG_WAITALL) == (ssize_t)sizeof(keys))
		http_tls_set_ticket_keys(keys);
}

static void read_heritage(const char *p)
{
	char *end;
	is_heir = true;
	is_supervised = *p == '1';
	control = (int)strtol(p + 3, &end, 10);
	fcntl(control, F_SETFD, FD_CLOEXEC);
	if (p[1] == '1')
		read_ticket_keys();
	while (*end == ',' && end[1] != '\0' && listed_count < HTTP_LISTENS_MAX)
		listed[listed_count++] = (int)strtol(end + 1, &end, 10);
}

void http_inherit(char **argv)
{
	const char *heritage = getenv("HTTP_HERITAGE");
	own_argv = argv;
	if (heritage != NULL)
		read_heritage(heritage);
}

bool http_is_heir(void)
{
	return is_heir;
}

bool http_is_supervised(void)
{
	return is_supervised;
}

/* What systemd gives is made known to weft on the way; but others shall share it, so it is taken as what an heir gets. */
static int take_from_systemd(void)
{
	int n = weft_listen_fds(NULL, listed, HTTP_LISTENS_MAX);
	for (int i = 0; i < n && i < HTTP_LISTENS_MAX; i++)
		listed[i] = weft_release(listed[i]);
	if (n > 0)
		listed_count = n < HTTP_LISTENS_MAX ? (size_t)n : HTTP_LISTENS_MAX;
	return n < 0 ? n : 0;
}

int http_inherited(int fds[static HTTP_LISTENS_MAX])
{
	int r = is_heir ? 0 : take_from_systemd();
	memcpy(fds, listed, listed_count * sizeof(*fds));
	return r < 0 ? r : (int)listed_count;
}

void http_heir_serves(void)
{
	if (!is_heir)
		return;
	if (send(control, "", 1, MSG_NOSIGNAL) < 0)
		fprintf(stderr, "http: nobody waits for this process\n");
	if (!is_supervised)
		close(control);
}

void http_heir_outlives(void)
{
	char byte;
	if (weft_adopt(control) == 0)
		while (weft_read(control, &byte, 1) > 0)
			;
}
