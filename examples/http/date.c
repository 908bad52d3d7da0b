/* Dates as HTTP has them: RFC 9110, 5.6.7. The arithmetic is our own: the C library's takes a lock for the time zone, and looks at
 * the locale. */
#include <string.h>
#include <time.h>

#include "chars.h"
#include "conn.h"

static const char day_names[] = "SunMonTueWedThuFriSat";
static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Days since 1970-01-01 in the Gregorian calendar; months from 1. The year is taken to begin in March, so that the odd day is its
 * last. */
static int64_t days_of(int64_t year, int month, int day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t of_era = year - era * 400, day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719468;
}

static void split_days(int64_t days, int64_t *year, int *month, int *day)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int64_t of_era = days - era * 146097;
	int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t from_march = (5 * day_of_year + 2) / 153;
	*day = (int)(day_of_year - (153 * from_march + 2) / 5 + 1);
	*month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
	*year = year_of_era + era * 400 + (*month <= 2);
}

/* ---- writing ------------------------------------------------------------------------------------------------------- */

static char *put_digits(char *p, int64_t value, int digits)
{
	for (int i = digits - 1; i >= 0; i--, value /= 10)
		p[i] = (char)('0' + value % 10);
	return p + digits;
}

static char *put_name(char *p, const char *names, int index, char behind)
{
	memcpy(p, names + 3 * index, 3);
	p[3] = behind;
	return p + 4;
}

static char *put_clock(char *p, int64_t second)
{
	p = put_digits(p, second / 3600, 2);
	*p++ = ':';
	p = put_digits(p, second / 60 % 60, 2);
	*p++ = ':';
	return put_digits(p, second % 60, 2);
}

/* Days and the second of the day; nobody has a file from before the year 0 or after 9999. */
static int64_t split_seconds(int64_t seconds, int64_t *second)
{
	const int64_t first = -62167219200, last = 253402300799;
	seconds = seconds < first ? first : seconds > last ? last : seconds;
	int64_t days = seconds / 86400 - (seconds % 86400 < 0);
	*second = seconds - days * 86400;
	return days;
}

void http_date(char text[static HTTP_DATE_SIZE], int64_t unix_seconds)
{
	int64_t second, year, days = split_seconds(unix_seconds, &second);
	int month, day;
	split_days(days, &year, &month, &day);
	char *p = put_name(text, day_names, (int)((days % 7 + 11) % 7), ',');
	*p++ = ' ';
	p = put_digits(p, day, 2);
	*p++ = ' ';
	p = put_name(p, month_names, month - 1, ' ');
	p = put_digits(p, year, 4);
	*p++ = ' ';
	p = put_clock(p, second);
	memcpy(p, " GMT", 5);
}

void http_log_date(char text[static HTTP_DATE_SIZE], int64_t unix_seconds)
{
	int64_t second, year, days = split_seconds(unix_seconds, &second);
	int month, day;
	split_days(days, &year, &month, &day);
	char *p = put_digits(text, day, 2);
	*p++ = '/';
	p = put_name(p, month_names, month - 1, '/');
	p = put_digits(p, year, 4);
	*p++ = ':';
	p = put_clock(p, second);
	memcpy(p, " +0000", 7);
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

/* 1 to 12; 0 if it is none. */
static int month_of(const char *p)
{
	int month = 12;
	while (month > 0 && memcmp(p, month_names + 3 * (month - 1), 3) != 0)
		month--;
	return month;
}

/* What the picture asks for, at the front of [*p, end): a letter of "dmyhis" a digit of that number, N three letters of a month,
 * W a letter of a day, b a digit or a blank of the day; everything else itself. */
static bool match(const char *p, const char *end, const char *picture, int numbers[static 128])
{
	for (; *picture != '\0'; picture++, p++) {
		if (p >= end)
			return false;
		if (strchr("dmyhis", *picture) != NULL || (*picture == 'b' && *p != ' ')) {
			int *number = &numbers[*picture == 'b' ? 'd' : *picture];
			if (!http_is_digit(*p))
				return false;
			*number = *number * 10 + (*p - '0');
		} else if (*picture == 'N') {
			numbers['m'] = end - p < 3 ? 0 : month_of(p);
			if (numbers['m'] == 0)
				return false;
			p += 2;
		} else if (*picture == 'W') {
			if ((*p | 0x20) < 'a' || (*p | 0x20) > 'z')
				return false;
		} else if (*picture != 'b' && *p != *picture) {
			return false;
		}
	}
	return p == end;
}

static bool is_day(const int numbers[static 128])
{
	static const char days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int month = numbers['m'];
	return numbers['d'] > 0 && numbers['d'] <= days[month - 1] && numbers['h'] < 24 && numbers['i'] < 60 &&
		numbers['s'] <= 60;
}

bool http_parse_date(const char *p, size_t n, int64_t now, int64_t *unix_seconds)
{
	const char *end = p + n, *comma = memchr(p, ',', n);
	int numbers[128] = { 0 };
	if (comma != NULL && comma - p > 3) {
		/* "Sunday, 06-Nov-94 08:49:37 GMT": of the years so called, the last that isn't far ahead */
		if (!match(comma, end, ", dd-N-yy hh:ii:ss GMT", numbers))
			return false;
		int64_t year, ahead;
		int month, day;
		split_days(now / 86400, &year, &month, &day);
		ahead = numbers['y'] + year - year % 100;
		numbers['y'] = (int)(ahead > year + 50 ? ahead - 100 : ahead);
	} else if (!match(p, end, comma != NULL ? "WWW, dd N yyyy hh:ii:ss GMT" : "WWW N bd hh:ii:ss yyyy", numbers)) {
		return false;
	}
	int second = numbers['h'] * 3600 + numbers['i'] * 60 + numbers['s'];
	*unix_seconds = days_of(numbers['y'], numbers['m'], numbers['d']) * 86400 + second;
	return is_day(numbers);
}

/* ---- the present one ----------------------------------------------------------------------------------------------- */

/* One coroutine writes the present second anew each second; responses copy it without asking for the time. A second stays as it is
 * for as long as there are places, so whoever is copying an old one has that long to finish. */
enum { PLACES = 16 };

struct second {
	char line[HTTP_DATE_LINE + 1], log[HTTP_DATE_SIZE];
};

static const struct second *_Atomic present;

static void write_second(struct second *s, int64_t seconds)
{
	memcpy(s->line, "Date: ", 6);
	http_date(s->line + 6, seconds);
	memcpy(s->line + HTTP_DATE_LINE - 2, "\r\n", 2);
	http_log_date(s->log, seconds);
	present = s;
}

static int tell_date(void *arg)
{
	static struct second seconds[PLACES];
	(void)arg;
	for (unsigned i = 0;; i = (i + 1) % PLACES) {
		struct timespec now;
		clock_gettime(CLOCK_REALTIME, &now);
		write_second(&seconds[i], now.tv_sec);
		if (weft_sleep(WEFT_SEC(1) - now.tv_nsec) < 0)
			return 0;
	}
}

int http_date_start(void)
{
	static struct second first;
	struct weft_attr attr = WEFT_ATTR_INIT;
	attr.name = "date";
	attr.daemon = true;
	write_second(&first, time(NULL));
	return weft_spawn(NULL, &attr, tell_date, NULL);
}

const char *http_date_line(void)
{
	return present->line;
}

const char *http_date_for_log(void)
{
	return present->log;
}
