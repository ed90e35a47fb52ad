// What the journal's reader and writer have in common: the frame of a record.
#pragma once
#define XXH_INLINE_ALL
#include <stdint.h>
#include <string.h>
#include <xxhash.h>

enum { JOURNAL_VERSION = 1, JOURNAL_START = 16, JOURNAL_HEAD = 32, JOURNAL_SEAL = 8 };
// JOURNAL_EDIT is of one pair or without effect; JOURNAL_MANY of any number, dense, or with notes.
enum journal_kind { JOURNAL_HEADER = 1, JOURNAL_EDIT = 2, JOURNAL_REVERT = 3, JOURNAL_MANY = 4 };
static const char journal_magic[8] = {'o', 'e', 'd', 'i', 't', '-', 'j', 'l'};
static const char journal_mark[4] = {'O', 'R', 'E', 'C'};

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "numbers are taken from the journal as they lie in memory: little endian"
#endif

struct journal_head { // in front of each record
    char mark[4];
    uint32_t kind, number, zero; // number from 0, the header
    uint64_t bytes;              // of the body
    uint64_t seal;               // of the 24 bytes before
};

_Static_assert(sizeof(struct journal_head) == JOURNAL_HEAD, "the frame has no padding");

static inline uint64_t journal_head_seal(const void *head)
{
    return XXH3_64bits(head, JOURNAL_HEAD - JOURNAL_SEAL);
}

// Over head and body; `before`: the seal of the record before, 0 for the first.
static inline uint64_t journal_seal(const void *record, size_t bytes, uint64_t before)
{
    return XXH3_64bits_withSeed(record, bytes, before);
}
