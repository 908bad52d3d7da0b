#include <string.h>

#include "chars.h"
#include "conn.h"

/* ---- entity tags --------------------------------------------------------------------------------------------------- */

/* Takes the next element of a list of entity tags. False at its end, and where it is no such list: nothing behind that counts.
 * [*tag, *p) has the quotes but not the mark of weakness. */
static bool next_tag(const char **p, const char *end, const char **tag, bool *is_weak)
{
	while (*p < end && (http_is_blank(**p) || **p == ','))
		++*p;
	*is_weak = end - *p >= 2 && memcmp(*p, "W/", 2) == 0;
	*tag = *p + (*is_weak ? 2 : 0);
	if (*tag == end || **tag != '"')
		return false;
	const char *close = memchr(*tag + 1, '"', (size_t)(end - *tag - 1));
	if (close != NULL)
		*p = close + 1;
	return close != NULL;
}

/* Whether a list, or "*", names the tag. Ours is strong: a weak one may stand for the same meaning but not for the same bytes. */
static bool names_tag(const char *p, const char *end, const char *ours, bool weak_will_do)
{
	const char *tag;
	bool is_weak;
	if (end - p == 1 && *p == '*')
		return true;
	while (next_tag(&p, end, &tag, &is_weak))
		if ((size_t)(p - tag) == strlen(ours) && memcmp(tag, ours, strlen(ours)) == 0 && (weak_will_do || !is_weak))
			return true;
	return false;
}

/* The same over all fields of that name, which together are one list. */
static bool any_names_tag(const struct http_head *h, const char *base, const char *name, const char *ours, bool weak_will_do)
{
	for (unsigned i = 0; i < h->count; i++) {
		const struct http_field *f = &h->fields[i];
		const char *p = base + f->value.at;
		if (http_span_is(base, f->name, name) && names_tag(p, p + f->value.len, ours, weak_will_do))
			return true;
	}
	return false;
}

/* ---- dates --------------------------------------------------------------------------------------------------------- */

/* The date of a field; one that can't be read counts as none. */
static bool find_date(const struct http_head *h, const char *base, const char *name, int64_t now, int64_t *date)
{
	const struct http_field *f = http_find(h, base, name);
	return f != NULL && http_parse_date(base + f->value.at, f->value.len, now, date);
}

/* ---- preconditions ------------------------------------------------------------------------------------------------- */

static int check(const struct http_head *h, const char *base, const struct http_present *present)
{
	int64_t date;
	if (http_find(h, base, "if-match") != NULL) {
		if (!any_names_tag(h, base, "if-match", present->tag, false))
			return 412;
	} else if (find_date(h, base, "if-unmodified-since", present->now, &date) && present->modified > date) {
		return 412;
	}
	if (http_find(h, base, "if-none-match") != NULL)
		return any_names_tag(h, base, "if-none-match", present->tag, true) ? 304 : 200;
	return find_date(h, base, "if-modified-since", present->now, &date) && present->modified <= date ? 304 : 200;
}

/* Whether the client that has a part has it of what is there now. A date tells that only where nothing can have changed within its
 * second. */
static bool is_same_as_before(const struct http_head *h, const char *base, const struct http_present *present)
{
	const struct http_field *f = http_find(h, base, "if-range");
	int64_t date;
	if (f == NULL)
		return true;
	const char *p = base + f->value.at;
	if (f->value.len > 0 && *p == '"')
		return f->value.len == strlen(present->tag) && memcmp(p, present->tag, f->value.len) == 0;
	return http_parse_date(p, f->value.len, present->now, &date) && date == present->modified && date + 1 < present->now;
}

/* ---- ranges -------------------------------------------------------------------------------------------------------- */

/* Digits at *p; larger than any file is as good as the largest. -1: there are none. */
static int64_t take_number(const char **p, const char *end)
{
	int64_t value = -1;
	for (; *p < end && http_is_digit(**p); ++*p) {
		value = value < 0 ? 0 : value;
		value = value > INT64_MAX / 10 - 1 ? INT64_MAX / 10 : value * 10 + (**p - '0');
	}
	return value;
}

/* Reads "bytes=first-last", "bytes=first-", "bytes=-count". False if it is anything else, which is answered with the whole. */
static bool parse_range(const char *p, const char *end, int64_t *first, int64_t *last)
{
	static const char unit[] = "bytes=";
	const size_t n = sizeof(unit) - 1;
	if ((size_t)(end - p) < n || strncasecmp(p, unit, n) != 0)
		return false;
	p += n;
	*first = take_number(&p, end);
	if (p == end || *p++ != '-')
		return false;
	*last = take_number(&p, end);
	return p == end && (*first >= 0 || *last >= 0) && (*first < 0 || *last < 0 || *first <= *last);
}

static int choose_range(const struct http_field *f, const char *base, int64_t size, int64_t *from, int64_t *n)
{
	int64_t first, last;
	const char *p = base + f->value.at;
	if (!parse_range(p, p + f->value.len, &first, &last))
		return 200;
	if (first < 0) {
		*n = last < size ? last : size;
		*from = size - *n;
	} else if (first < size) {
		*from = first;
		*n = (last < 0 || last >= size ? size : last + 1) - first;
	} else {
		return 416;
	}
	return *n > 0 ? 206 : 416;
}

/* The one field of that name, NULL if there are more. */
static const struct http_field *find_only(const struct http_head *h, const char *base, const char *name)
{
	const struct http_field *f = http_find(h, base, name);
	for (const struct http_field *other = f; f != NULL && ++other < h->fields + h->count;)
		if (http_span_is(base, other->name, name))
			return NULL;
	return f;
}

int http_condition(const struct http_head *head, const char *base, const struct http_present *present, int64_t *from, int64_t *n)
{
	int status = check(head, base, present);
	*from = 0;
	*n = present->size;
	if (status != 200 || head->method != HTTP_GET)
		return status;
	const struct http_field *range = find_only(head, base, "range");
	if (range == NULL || !is_same_as_before(head, base, present))
		return 200;
	return choose_range(range, base, present->size, from, n);
}
