#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/net.h>

static const char unix_prefix[] = "unix:";

static int parse_unix(struct wf_addr *addr, const char *path)
{
	size_t n = strlen(path), room = sizeof addr->path.sun_path;
	bool abstract = path[0] == '@';
	if (n == 0 || (abstract && n == 1) || n + !abstract > room)
		return -EINVAL;
	addr->path.sun_family = AF_UNIX;
	memcpy(addr->path.sun_path, path, n);
	if (abstract)
		addr->path.sun_path[0] = '\0'; /* the length ends such a name, nothing else */
	addr->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + !abstract);
	return 0;
}

/* Decimal digits alone. */
static int parse_number(const char *text, unsigned long max, unsigned long *number)
{
	size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > 10 || text[digits] != '\0')
		return -EINVAL;
	*number = strtoul(text, NULL, 10);
	return *number <= max ? 0 : -EINVAL;
}

/* "v6", "v6%interface", "v6%number" */
static int parse_v6(struct wf_addr *addr, char *host)
{
	unsigned long scope = 0;
	char *percent = strchr(host, '%');
	if (percent) {
		*percent = '\0';
		scope = if_nametoindex(percent + 1);
		if (scope == 0 && parse_number(percent + 1, UINT32_MAX, &scope) < 0)
			return -EINVAL;
	}
	if (inet_pton(AF_INET6, host, &addr->v6.sin6_addr) != 1)
		return -EINVAL;
	addr->v6.sin6_family = AF_INET6;
	addr->v6.sin6_scope_id = (uint32_t)scope;
	addr->len = sizeof addr->v6;
	return 0;
}

static int parse_v4(struct wf_addr *addr, const char *host)
{
	addr->no_host = host[0] == '\0';
	if (addr->no_host || strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (inet_pton(AF_INET, host, &addr->v4.sin_addr) != 1)
		return -EINVAL;
	addr->v4.sin_family = AF_INET;
	addr->len = sizeof addr->v4;
	return 0;
}

int wf_addr_parse(struct wf_addr *addr, const char *text)
{
	char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 2];
	unsigned long port;
	*addr = (struct wf_addr){ .len = 0 };
	if (strncmp(text, unix_prefix, sizeof unix_prefix - 1) == 0)
		return parse_unix(addr, text + sizeof unix_prefix - 1);
	const char *colon = strrchr(text, ':');
	if (!colon || (size_t)(colon - text) >= sizeof host || parse_number(colon + 1, UINT16_MAX, &port) < 0)
		return -EINVAL;
	size_t n = (size_t)(colon - text);
	memcpy(host, text, n);
	host[n] = '\0';
	bool brackets = n >= 2 && host[0] == '[' && host[n - 1] == ']';
	if (brackets)
		host[n - 1] = '\0';
	int r = brackets ? parse_v6(addr, host + 1) : parse_v4(addr, host);
	if (r == 0 && brackets)
		addr->v6.sin6_port = htons((uint16_t)port);
	else if (r == 0)
		addr->v4.sin_port = htons((uint16_t)port);
	return r;
}

void wf_addr_set_everywhere(struct wf_addr *addr, bool v6)
{
	in_port_t port = addr->any.sa_family == AF_INET6 ? addr->v6.sin6_port : addr->v4.sin_port;
	*addr = (struct wf_addr){ .no_host = true };
	if (v6) {
		addr->v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_ANY_INIT };
		addr->len = sizeof addr->v6;
	} else {
		addr->v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = port };
		addr->len = sizeof addr->v4;
	}
}

const char *wf_addr_path(const struct wf_addr *addr)
{
	return addr->any.sa_family == AF_UNIX && addr->path.sun_path[0] != '\0' ? addr->path.sun_path : NULL;
}

int weft_addr_parse(const char *text, struct sockaddr_storage *addr, socklen_t *len)
{
	struct wf_addr parsed;
	int r = wf_addr_parse(&parsed, text);
	if (r < 0)
		return r;
	*addr = (struct sockaddr_storage){ .ss_family = AF_UNSPEC };
	memcpy(addr, &parsed.any, *len = parsed.len);
	return 0;
}

/* ---- as text -------------------------------------------------------------------------------------------------------- */

/* len may end the path without a zero; an abstract name it ends alone. */
static int unix_text(const struct sockaddr_un *addr, socklen_t len, char *text, size_t size)
{
	size_t at = offsetof(struct sockaddr_un, sun_path), n = len > at ? len - at : 0;
	bool abstract = n > 0 && addr->sun_path[0] == '\0';
	if (abstract && (n == 1 || memchr(addr->sun_path + 1, '\0', n - 1)))
		return n == 1 ? snprintf(text, size, "%s", unix_prefix) : -EINVAL;
	return snprintf(text, size, "%s%s%.*s", unix_prefix, abstract ? "@" : "", (int)(n - abstract), addr->sun_path + abstract);
}

static int v4_text(const struct in_addr *addr, in_port_t port, char *text, size_t size)
{
	char host[INET_ADDRSTRLEN];
	inet_ntop(AF_INET, addr, host, sizeof host);
	return snprintf(text, size, "%s:%u", host, (unsigned)ntohs(port));
}

static int v6_text(const struct sockaddr_in6 *addr, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN], scope[IF_NAMESIZE + 1] = "";
	struct in_addr v4;
	if (IN6_IS_ADDR_V4MAPPED(&addr->sin6_addr)) {
		memcpy(&v4, &addr->sin6_addr.s6_addr[12], sizeof v4);
		return v4_text(&v4, addr->sin6_port, text, size);
	}
	if (addr->sin6_scope_id != 0 && !if_indextoname(addr->sin6_scope_id, scope))
		snprintf(scope, sizeof scope, "%u", addr->sin6_scope_id);
	inet_ntop(AF_INET6, &addr->sin6_addr, host, sizeof host);
	return snprintf(text, size, "[%s%s%s]:%u", host, scope[0] ? "%" : "", scope, (unsigned)ntohs(addr->sin6_port));
}

int weft_addr_text(const struct sockaddr *addr, socklen_t len, char *text, size_t size)
{
	struct wf_addr a = { .len = 0 };
	int n = -EAFNOSUPPORT;
	memcpy(&a.any, addr, len < sizeof a.path ? len : sizeof a.path);
	if (a.any.sa_family == AF_INET && len >= sizeof a.v4)
		n = v4_text(&a.v4.sin_addr, a.v4.sin_port, text, size);
	else if (a.any.sa_family == AF_INET6 && len >= sizeof a.v6)
		n = v6_text(&a.v6, text, size);
	else if (a.any.sa_family == AF_UNIX && len >= sizeof a.path.sun_family)
		n = unix_text(&a.path, len < sizeof a.path ? len : sizeof a.path, text, size);
	return n >= 0 && (size_t)n >= size ? -ENOSPC : n;
}
