#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

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
