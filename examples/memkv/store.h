/* Keys and values in memory, with times to live and a limit: what was not asked for the longest goes first.
 *
 * A shard is a hash table, a list in the order of use, and a mutex; the hash of a key says which. Calls never hold more than one
 * mutex, and none while they wait for anything else. An item that was found stays as it is until its finder releases it. */
#ifndef MEMKV_STORE_H
#define MEMKV_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEY_MAX = 250 };

struct item {
	struct item *next;           /* in its bucket */
	struct item *newer, *older;  /* in the order of use */
	uint64_t hash, cas;
	_Atomic unsigned refs;       /* one is the table's */
	uint32_t flags;
	uint32_t expires;            /* a second of store_second(), 0: never */
	uint32_t size;               /* of the value */
	bool linked;
	uint8_t key_size;
	char bytes[];                /* the key, the value, CR LF */
};

enum store_mode { STORE_SET, STORE_ADD, STORE_REPLACE, STORE_APPEND, STORE_PREPEND, STORE_CAS };

enum store_result { STORED, NOT_STORED, EXISTS, NOT_FOUND, NOT_A_NUMBER, TOO_LARGE, NO_MEMORY };

struct key {
	const char *text;
	size_t size;
	uint64_t hash;
};

struct store_stats {
	uint64_t gets, hits, sets, touches, touch_hits, deletes, delete_hits, counts, count_hits, cas_misses, cas_hits, cas_bad;
	uint64_t evictions, total_items, items, bytes, limit, flushes;
};

/* memory and item_max in bytes. */
bool store_open(size_t memory, size_t item_max);

/* Frees everything; nobody uses it any more. */
void store_close(void);

/* Seconds since the start, and a few. */
uint32_t store_second(void);

struct key store_key(const char *text, size_t size);

static inline char *item_value(struct item *item) { return item->bytes + item->key_size; }

/* An item to be filled and stored, with room made for it. NULL: result says why. */
struct item *store_make(const struct key *key, uint32_t flags, uint32_t expires, size_t size, enum store_result *result);

/* Takes the item over, whatever the result. cas: what STORE_CAS compares with. */
enum store_result store_put(struct item *item, enum store_mode mode, uint64_t cas);

/* The item, or NULL. To be released. With expires it is touched as well. */
struct item *store_get(const struct key *key, const uint32_t *expires);
void store_release(struct item *item);

enum store_result store_delete(const struct key *key);

/* Adds to a number, modulo 2^64, or takes away, down to 0. */
enum store_result store_count(const struct key *key, bool up, uint64_t delta, uint64_t *value);

/* Forgets everything. */
void store_flush(void);

void store_stats(struct store_stats *sum);
void store_stats_reset(void);

#endif
