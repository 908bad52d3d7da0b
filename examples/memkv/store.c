#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <weft/weft.h>

enum {
	SHARDS_MAX = 64,
	BUCKETS_FIRST = 256,
	MOVES = 4,        /* buckets that each insertion moves while a table grows */
	OVERHEAD = 16,    /* of malloc, for each item */
	DIGITS_MAX = 20,
};

struct shard {
	struct weft_mutex mutex;
	struct item **buckets, **old; /* while it grows: what is not moved yet is in old */
	size_t mask, old_mask, moved;
	struct item *newest, *oldest;
	_Atomic size_t bytes;         /* of all items, also those that only their finders have */
	uint64_t last_cas;
	struct store_stats stats;
} __attribute__((aligned(64)));

static struct shard shards[SHARDS_MAX];
static size_t shard_count, shard_limit, item_limit;
static uint64_t secret; /* so that nobody can choose keys of one bucket */
static weft_time opened;

/* ---- keys ----------------------------------------------------------------------------------------------------------------- */

uint32_t store_second(void)
{
	return (uint32_t)((weft_now() - opened) / WEFT_SEC(1)) + 2;
}

struct key store_key(const char *text, size_t size)
{
	uint64_t h = secret ^ size * UINT64_C(0x9e3779b97f4a7c15), word;
	for (size_t at = 0; at < size; at += sizeof word) {
		word = 0;
		memcpy(&word, text + at, size - at < sizeof word ? size - at : sizeof word);
		h = (h ^ word) * UINT64_C(0xff51afd7ed558ccd);
		h ^= h >> 32;
	}
	h *= UINT64_C(0xc4ceb9fe1a85ec53);
	return (struct key){ text, size, h ^ h >> 29 };
}

static struct shard *shard_of(uint64_t hash)
{
	return &shards[hash >> 48 & (shard_count - 1)];
}

/* ---- items ---------------------------------------------------------------------------------------------------------------- */

static size_t bytes_of(size_t key_size, size_t size)
{
	return sizeof(struct item) + key_size + size + 2 + OVERHEAD;
}

void store_release(struct item *item)
{
	if (--item->refs > 0)
		return;
	shard_of(item->hash)->bytes -= bytes_of(item->key_size, item->size);
	free(item);
}

static void leave_list(struct shard *s, struct item *item)
{
	*(item->newer ? &item->newer->older : &s->newest) = item->older;
	*(item->older ? &item->older->newer : &s->oldest) = item->newer;
}

static void enter_list(struct shard *s, struct item *item)
{
	item->newer = NULL;
	item->older = s->newest;
	*(s->newest ? &s->newest->newer : &s->oldest) = item;
	s->newest = item;
}

static struct item **bucket_of(const struct shard *s, uint64_t hash)
{
	if (s->old && (hash & s->old_mask) >= s->moved)
		return &s->old[hash & s->old_mask];
	return &s->buckets[hash & s->mask];
}

static void unlink_item(struct shard *s, struct item *item)
{
	struct item **at = bucket_of(s, item->hash);
	while (*at != item)
		at = &(*at)->next;
	*at = item->next;
	leave_list(s, item);
	item->linked = false;
	s->stats.items--;
	store_release(item);
}

/* A table that is full gets a larger one, into which what comes later moves some buckets each time. */
static void grow(struct shard *s)
{
	struct item **larger;
	if (!s->old && s->stats.items > s->mask + s->mask / 2 && (larger = calloc(2 * (s->mask + 1), sizeof(struct item *)))) {
		s->old = s->buckets;
		s->old_mask = s->mask;
		s->moved = 0;
		s->buckets = larger;
		s->mask = 2 * s->mask + 1;
	}
	for (int i = 0; i < MOVES && s->old; i++) {
		struct item *item = s->old[s->moved++], *next;
		for (; item; item = next) {
			next = item->next;
			item->next = s->buckets[item->hash & s->mask];
			s->buckets[item->hash & s->mask] = item;
		}
		if (s->moved > s->old_mask) {
			free(s->old);
			s->old = NULL;
		}
	}
}

static void link_item(struct shard *s, struct item *item)
{
	grow(s);
	struct item **bucket = bucket_of(s, item->hash);
	item->next = *bucket;
	*bucket = item;
	enter_list(s, item);
	item->linked = true;
	item->cas = ++s->last_cas;
	s->stats.items++;
	s->stats.total_items++;
}

/* The living item of a key. */
static struct item *find(struct shard *s, const struct key *key)
{
	struct item *item = *bucket_of(s, key->hash);
	while (item && (item->hash != key->hash || item->key_size != key->size || memcmp(item->bytes, key->text, key->size) != 0))
		item = item->next;
	if (!item || !item->expires || item->expires > store_second())
		return item;
	unlink_item(s, item);
	return NULL;
}

/* Its bytes count from now on; the mutex is held. */
static struct item *make(struct shard *s, const struct key *key, size_t size, enum store_result *result)
{
	size_t bytes = bytes_of(key->size, size);
	*result = bytes - OVERHEAD > item_limit ? TOO_LARGE : NO_MEMORY;
	if (*result == TOO_LARGE)
		return NULL;
	while (s->bytes + bytes > shard_limit && s->oldest) {
		unlink_item(s, s->oldest);
		s->stats.evictions++;
	}
	struct item *item = s->bytes + bytes > shard_limit ? NULL : malloc(bytes - OVERHEAD);
	if (!item)
		return NULL;
	s->bytes += bytes;
	*item = (struct item){ .hash = key->hash, .refs = 1, .size = (uint32_t)size, .key_size = (uint8_t)key->size };
	memcpy(item->bytes, key->text, key->size);
	memcpy(item_value(item) + size, "\r\n", 2);
	*result = STORED;
	return item;
}

struct item *store_make(const struct key *key, uint32_t flags, uint32_t expires, size_t size, enum store_result *result)
{
	struct shard *s = shard_of(key->hash);
	weft_mutex_lock(&s->mutex);
	struct item *item = make(s, key, size, result);
	weft_mutex_unlock(&s->mutex);
	if (item) {
		item->flags = flags;
		item->expires = expires;
	}
	return item;
}

/* ---- storing -------------------------------------------------------------------------------------------------------------- */

/* The old item may have been evicted to make room for the new one. */
static void replace(struct shard *s, struct item *old, struct item *item)
{
	if (old && old->linked)
		unlink_item(s, old);
	link_item(s, item);
}

/* Two values as one, which keeps what belongs to the old item. */
static enum store_result join(struct shard *s, const struct key *key, struct item *old, struct item *added, bool in_front)
{
	enum store_result result;
	old->refs++;
	struct item *item = make(s, key, (size_t)old->size + added->size, &result);
	if (item) {
		struct item *first = in_front ? added : old, *second = in_front ? old : added;
		memcpy(item_value(item), item_value(first), first->size);
		memcpy(item_value(item) + first->size, item_value(second), second->size);
		item->flags = old->flags;
		item->expires = old->expires;
		replace(s, old, item);
	}
	store_release(old);
	return result;
}

static enum store_result compare_cas(struct shard *s, const struct item *old, uint64_t cas)
{
	s->stats.cas_misses += !old;
	s->stats.cas_hits += old && old->cas == cas;
	s->stats.cas_bad += old && old->cas != cas;
	return !old ? NOT_FOUND : old->cas == cas ? STORED : EXISTS;
}

enum store_result store_put(struct item *item, enum store_mode mode, uint64_t cas)
{
	struct key key = { item->bytes, item->key_size, item->hash };
	struct shard *s = shard_of(key.hash);
	enum store_result result = STORED;
	weft_mutex_lock(&s->mutex);
	s->stats.sets++;
	struct item *old = find(s, &key);
	if (mode == STORE_CAS)
		result = compare_cas(s, old, cas);
	else if ((mode == STORE_ADD && old) || (mode >= STORE_REPLACE && !old))
		result = NOT_STORED;
	bool joins = result == STORED && (mode == STORE_APPEND || mode == STORE_PREPEND);
	if (joins)
		result = join(s, &key, old, item, mode == STORE_PREPEND);
	else if (result == STORED)
		replace(s, old, item);
	if (joins || result != STORED)
		store_release(item);
	weft_mutex_unlock(&s->mutex);
	return result;
}

static bool read_number(struct item *item, uint64_t *value)
{
	const char *digits = item_value(item);
	uint32_t n = item->size;
	while (n > 0 && digits[n - 1] == ' ')
		n--; /* what a number that has become shorter leaves */
	*value = 0;
	for (uint32_t i = 0; i < n; i++) {
		unsigned digit = (unsigned)(digits[i] - '0');
		if (digit > 9 || *value > (UINT64_MAX - digit) / 10)
			return false;
		*value = *value * 10 + digit;
	}
	return n > 0 && n <= DIGITS_MAX;
}

/* In its place where it fits and nobody reads it. */
static enum store_result write_number(struct shard *s, const struct key *key, struct item *old, uint64_t value)
{
	char digits[DIGITS_MAX + 1];
	enum store_result result = STORED;
	size_t n = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
	if (old->refs == 1 && n <= old->size) {
		memcpy(item_value(old), digits, n);
		memset(item_value(old) + n, ' ', old->size - n);
		old->cas = ++s->last_cas;
		return STORED;
	}
	old->refs++;
	struct item *item = make(s, key, n, &result);
	if (item) {
		memcpy(item_value(item), digits, n);
		item->flags = old->flags;
		item->expires = old->expires;
		replace(s, old, item);
	}
	store_release(old);
	return result;
}

enum store_result store_count(const struct key *key, bool up, uint64_t delta, uint64_t *value)
{
	struct shard *s = shard_of(key->hash);
	enum store_result result;
	weft_mutex_lock(&s->mutex);
	struct item *item = find(s, key);
	s->stats.counts++;
	s->stats.count_hits += item != NULL;
	if (!item) {
		result = NOT_FOUND;
	} else if (!read_number(item, value)) {
		result = NOT_A_NUMBER;
	} else {
		*value = up ? *value + delta : *value > delta ? *value - delta : 0;
		result = write_number(s, key, item, *value);
	}
	weft_mutex_unlock(&s->mutex);
	return result;
}

/* ---- finding and forgetting ------------------------------------------------------------------------------------------------ */

struct item *store_get(const struct key *key, const uint32_t *expires)
{
	struct shard *s = shard_of(key->hash);
	weft_mutex_lock(&s->mutex);
	struct item *item = find(s, key);
	s->stats.gets++;
	s->stats.hits += item != NULL;
	if (expires) {
		s->stats.touches++;
		s->stats.touch_hits += item != NULL;
	}
	if (item) {
		item->refs++;
		if (expires)
			item->expires = *expires;
		if (item != s->newest) {
			leave_list(s, item);
			enter_list(s, item);
		}
	}
	weft_mutex_unlock(&s->mutex);
	return item;
}

enum store_result store_delete(const struct key *key)
{
	struct shard *s = shard_of(key->hash);
	weft_mutex_lock(&s->mutex);
	struct item *item = find(s, key);
	s->stats.deletes++;
	s->stats.delete_hits += item != NULL;
	if (item)
		unlink_item(s, item);
	weft_mutex_unlock(&s->mutex);
	return item ? STORED : NOT_FOUND;
}

/* Takes all items away in one step, and releases them without the mutex: finders may have some of them. */
static void flush_shard(struct shard *s)
{
	struct item **fresh = calloc(BUCKETS_FIRST, sizeof(struct item *));
	weft_mutex_lock(&s->mutex);
	struct item *item = s->newest, *older, **old = s->old, **buckets = s->buckets;
	if (fresh) {
		s->buckets = fresh;
		s->mask = BUCKETS_FIRST - 1;
		s->old = NULL;
		s->newest = s->oldest = NULL;
		s->stats.items = 0;
	}
	s->stats.flushes++;
	while (!fresh && s->oldest)
		unlink_item(s, s->oldest);
	weft_mutex_unlock(&s->mutex);
	if (!fresh)
		return;
	for (; item; item = older) {
		older = item->older;
		store_release(item);
	}
	free(old);
	free(buckets);
}

void store_flush(void)
{
	for (size_t i = 0; i < shard_count; i++)
		flush_shard(&shards[i]);
}

/* ---- all of it ------------------------------------------------------------------------------------------------------------- */

static void add_stats(struct store_stats *sum, const struct store_stats *s)
{
	const uint64_t *from = (const uint64_t *)s;
	uint64_t *to = (uint64_t *)sum;
	for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
		to[i] += from[i];
}

void store_stats(struct store_stats *sum)
{
	memset(sum, 0, sizeof *sum);
	for (size_t i = 0; i < shard_count; i++) {
		struct shard *s = &shards[i];
		weft_mutex_lock(&s->mutex);
		add_stats(sum, &s->stats);
		weft_mutex_unlock(&s->mutex);
		sum->bytes += s->bytes;
	}
	sum->limit = shard_limit * shard_count;
	sum->flushes /= shard_count;
}

void store_stats_reset(void)
{
	for (size_t i = 0; i < shard_count; i++) {
		struct shard *s = &shards[i];
		weft_mutex_lock(&s->mutex);
		s->stats = (struct store_stats){ .items = s->stats.items };
		weft_mutex_unlock(&s->mutex);
	}
}

/* As many shards as there can be with room for several of the largest items in each. */
bool store_open(size_t memory, size_t item_max)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	opened = weft_now();
	secret = ((uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec ^ (uintptr_t)&now) * UINT64_C(0x9e3779b97f4a7c15);
	item_limit = item_max;
	for (shard_count = SHARDS_MAX; shard_count > 1 && memory / shard_count < 4 * item_max; shard_count /= 2)
		;
	shard_limit = memory / shard_count;
	for (size_t i = 0; i < shard_count; i++) {
		shards[i].mask = BUCKETS_FIRST - 1;
		shards[i].buckets = calloc(BUCKETS_FIRST, sizeof(struct item *));
		if (!shards[i].buckets)
			return false;
	}
	return true;
}

void store_close(void)
{
	store_flush();
	for (size_t i = 0; i < shard_count; i++)
		free(shards[i].buckets);
}
