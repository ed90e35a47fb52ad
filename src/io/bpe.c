#include "io/bpe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/utf8.h"

#define NONE UINT32_MAX

// One merge: the pair of ids (left << 32 | right), its place in the list, and what it gives.
struct merge {
    uint64_t pair;
    uint32_t rank, id;
};

// A token under way. Symbols form a list by index; size 0: merged into its left neighbour.
struct symbol {
    uint32_t id, previous, next;
    uint32_t start, end; // bytes of the piece
};

// A merge that may be done, ordered by rank, then from left to right.
struct candidate {
    uint32_t rank, left, id;
};

struct bpe {
    struct vocab vocab; // borrowed arrays
    bool whole_words;
    uint16_t alphabet[256];
    uint32_t byte_ids[256]; // NONE: the vocabulary lacks this byte
    uint32_t *by_text;      // [text_slots] token ids by hash of their text, NONE: free
    struct merge *merges;   // [merge_slots] by hash of the pair, id NONE: free
    size_t text_slots, merge_slots;
    struct symbol *symbols; // scratch of one piece
    struct candidate *heap;
    char *word;
    size_t symbol_capacity, heap_capacity, word_capacity, heap_count;
};

void byte_alphabet(uint16_t alphabet[static 256])
{
    uint16_t next = 256;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
        alphabet[byte] = itself ? (uint16_t)byte : next++;
    }
}

// The UTF-8 of a character of the alphabet; returns its size, 1 or 2.
static size_t letter_put(uint16_t letter, char *text)
{
    if (letter < 0x80) {
        text[0] = (char)letter;
        return 1;
    }
    text[0] = (char)(0xc0 | letter >> 6);
    text[1] = (char)(0x80 | (letter & 0x3f));
    return 2;
}

static size_t slots_for(size_t count)
{
    size_t slots = 64;
    while (slots < count * 2) slots *= 2;
    return slots;
}

// The slot of this text: its token's, or the free one where it would go.
static uint32_t *text_slot(const struct bpe *bpe, const char *text, size_t size)
{
    size_t slot = XXH3_64bits(text, size) & (bpe->text_slots - 1);
    for (; bpe->by_text[slot] != NONE; slot = (slot + 1) & (bpe->text_slots - 1)) {
        struct bytes token = bpe->vocab.tokens[bpe->by_text[slot]];
        if (token.size == size && memcmp(token.data, text, size) == 0) break;
    }
    return &bpe->by_text[slot];
}

static struct merge *merge_slot(const struct bpe *bpe, uint32_t left, uint32_t right)
{
    uint64_t pair = (uint64_t)left << 32 | right, mixed = pair * 0x9e3779b97f4a7c15u;
    size_t slot = (size_t)(mixed >> 32 ^ mixed) & (bpe->merge_slots - 1);
    while (bpe->merges[slot].id != NONE && bpe->merges[slot].pair != pair)
        slot = (slot + 1) & (bpe->merge_slots - 1);
    return &bpe->merges[slot];
}

// Where two tokens have the same text, the later one counts.
static bool texts_index(struct bpe *bpe)
{
    bpe->text_slots = slots_for(bpe->vocab.count);
    bpe->by_text = mem_new(bpe->text_slots, sizeof *bpe->by_text, "the vocabulary");
    if (!bpe->by_text) return false;
    memset(bpe->by_text, 0xff, bpe->text_slots * sizeof *bpe->by_text);
    for (size_t id = 0; id < bpe->vocab.count; id++)
        if (!bpe->vocab.outside || !bpe->vocab.outside[id])
            *text_slot(bpe, bpe->vocab.tokens[id].data, bpe->vocab.tokens[id].size) = (uint32_t)id;
    byte_alphabet(bpe->alphabet);
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[8];
        size_t size = bpe->vocab.characters ? (size_t)snprintf(text, sizeof text, "<0x%02X>", byte)
                                            : letter_put(bpe->alphabet[byte], text);
        bpe->byte_ids[byte] = *text_slot(bpe, text, size);
    }
    return true;
}

// The two sides of a merge: apart, or as "left right".
static bool sides_read(const struct bpe *bpe, size_t rank, struct bytes *a, struct bytes *b)
{
    struct bytes line = *a = bpe->vocab.merges[rank];
    if (bpe->vocab.rights) {
        *b = bpe->vocab.rights[rank];
        return true;
    }
    const char *blank = line.size > 2 ? memchr(line.data + 1, ' ', line.size - 2) : NULL;
    if (!blank)
        return fail(STATUS_BAD_DATA, "%s: merge %zu is \"%.*s\", wanted two texts and a blank",
                    bpe->vocab.where, rank, line.size < 60 ? (int)line.size : 60, line.data);
    a->size = (size_t)(blank - line.data);
    *b = (struct bytes){blank + 1, line.size - a->size - 1};
    return true;
}

// The pair gives the token that has both texts, joined.
static bool merge_read(struct bpe *bpe, size_t rank)
{
    struct bytes a = {0}, b = {0};
    if (!sides_read(bpe, rank, &a, &b)) return false;
    uint32_t left = *text_slot(bpe, a.data, a.size), right = *text_slot(bpe, b.data, b.size);
    if (!mem_grow(&bpe->word, &bpe->word_capacity, a.size + b.size, 1, "a merge")) return false;
    memcpy(bpe->word, a.data, a.size);
    memcpy(bpe->word + a.size, b.data, b.size);
    uint32_t id = *text_slot(bpe, bpe->word, a.size + b.size);
    if (left == NONE || right == NONE || id == NONE)
        return fail(STATUS_BAD_DATA, "%s: merge %zu \"%.*s %.*s\": %s is no token",
                    bpe->vocab.where, rank, a.size < 30 ? (int)a.size : 30, a.data,
                    b.size < 30 ? (int)b.size : 30, b.data,
                    left == NONE    ? "its left side"
                    : right == NONE ? "its right side"
                                    : "its result");
    *merge_slot(bpe, left, right) =
        (struct merge){(uint64_t)left << 32 | right, (uint32_t)rank, id};
    return true;
}

bool bpe_new(struct bpe **result, const struct vocab *vocab, bool whole_words)
{
    *result = NULL;
    struct bpe *bpe = mem_new(1, sizeof *bpe, "the vocabulary");
    if (!bpe) return false;
    bpe->vocab = *vocab;
    bpe->whole_words = whole_words;
    bpe->merge_slots = slots_for(vocab->merge_count);
    bool ok = texts_index(bpe);
    if (ok) bpe->merges = mem_new(bpe->merge_slots, sizeof *bpe->merges, "the merges");
    ok = ok && bpe->merges;
    for (size_t i = 0; ok && i < bpe->merge_slots; i++) bpe->merges[i].id = NONE;
    for (size_t i = 0; ok && i < vocab->merge_count; i++) ok = merge_read(bpe, i);
    if (!ok) bpe_free(bpe);
    *result = ok ? bpe : NULL;
    return ok;
}

void bpe_free(struct bpe *bpe)
{
    if (!bpe) return;
    free(bpe->by_text);
    free(bpe->merges);
    free(bpe->symbols);
    free(bpe->heap);
    free(bpe->word);
    free(bpe);
}

static bool candidate_before(struct candidate a, struct candidate b)
{
    return a.rank < b.rank || (a.rank == b.rank && a.left < b.left);
}

// Puts the pair that starts at symbol `left` on the heap if it can be merged. The heap has room:
// a piece of n symbols puts n - 1 pairs first and at most two for each merge done.
static void heap_push(struct bpe *bpe, uint32_t left)
{
    uint32_t right = left == NONE ? NONE : bpe->symbols[left].next;
    if (right == NONE) return;
    const struct merge *merge = merge_slot(bpe, bpe->symbols[left].id, bpe->symbols[right].id);
    if (merge->id == NONE) return;
    struct candidate added = {merge->rank, left, merge->id};
    size_t at = bpe->heap_count++;
    for (; at && candidate_before(added, bpe->heap[(at - 1) / 2]); at = (at - 1) / 2)
        bpe->heap[at] = bpe->heap[(at - 1) / 2];
    bpe->heap[at] = added;
}

static struct candidate heap_pop(struct bpe *bpe)
{
    struct candidate top = bpe->heap[0], last = bpe->heap[--bpe->heap_count];
    size_t at = 0;
    for (size_t child = 1; child < bpe->heap_count; child = 2 * at + 1) {
        if (child + 1 < bpe->heap_count && candidate_before(bpe->heap[child + 1], bpe->heap[child]))
            child++;
        if (!candidate_before(bpe->heap[child], last)) break;
        bpe->heap[at] = bpe->heap[child];
        at = child;
    }
    bpe->heap[at] = last;
    return top;
}

static void symbol_add(struct bpe *bpe, uint32_t *count, uint32_t id, size_t start, size_t end)
{
    bpe->symbols[*count] = (struct symbol){.id = id,
                                           .previous = *count - 1,
                                           .next = *count + 1,
                                           .start = (uint32_t)start,
                                           .end = (uint32_t)end};
    ++*count;
}

// One symbol a character; a character that is no token becomes its bytes, or the unknown token.
static void characters_start(struct bpe *bpe, const char *piece, size_t size, uint32_t *count)
{
    const struct vocab *v = &bpe->vocab;
    size_t unknown = size, until = 0; // where the unknown token under way starts; size: none is
    for (size_t at = 0, step; at < size; at += step) {
        step = utf8_size(piece + at, size - at); // the text is valid
        uint32_t id = *text_slot(bpe, piece + at, step);
        bool bytes = id == NONE && v->byte_fallback;
        for (size_t i = 0; i < step && bytes; i++)
            bytes = bpe->byte_ids[(unsigned char)piece[at + i]] != NONE;
        if (bytes) {
            for (size_t i = at; i < at + step; i++)
                symbol_add(bpe, count, bpe->byte_ids[(unsigned char)piece[i]], i, i + 1);
            continue;
        }
        if (id == NONE && v->unknown < 0) continue;
        if (unknown < size && (id != NONE || !v->fuse_unknown)) {
            symbol_add(bpe, count, (uint32_t)v->unknown, unknown, until);
            unknown = size;
        }
        if (id != NONE) {
            symbol_add(bpe, count, id, at, at + step);
            continue;
        }
        if (unknown == size) unknown = at;
        until = at + step;
    }
    if (unknown < size) symbol_add(bpe, count, (uint32_t)v->unknown, unknown, until);
}

// One symbol a byte. A byte that the vocabulary lacks is left out, as the reference does when
// there is no unknown token; its neighbours then stand side by side.
static bool symbols_start(struct bpe *bpe, const char *piece, size_t size, uint32_t *count)
{
    if (!mem_grow(&bpe->symbols, &bpe->symbol_capacity, size, sizeof *bpe->symbols, "a word") ||
        !mem_grow(&bpe->heap, &bpe->heap_capacity, 3 * size, sizeof *bpe->heap, "a word"))
        return false;
    *count = 0;
    if (bpe->vocab.characters) characters_start(bpe, piece, size, count);
    for (size_t i = 0; i < size && !bpe->vocab.characters; i++) {
        uint32_t id = bpe->byte_ids[(unsigned char)piece[i]];
        if (id != NONE) symbol_add(bpe, count, id, i, i + 1);
    }
    if (*count) bpe->symbols[*count - 1].next = NONE;
    return true; // the first one's previous is 0 - 1, which is NONE
}

static void symbols_merge(struct bpe *bpe, uint32_t count)
{
    bpe->heap_count = 0;
    for (uint32_t i = 0; i + 1 < count; i++) heap_push(bpe, i);
    while (bpe->heap_count) {
        struct candidate best = heap_pop(bpe);
        struct symbol *left = &bpe->symbols[best.left];
        if (left->start == left->end || left->next == NONE) continue; // merged away meanwhile
        struct symbol *right = &bpe->symbols[left->next];
        if (merge_slot(bpe, left->id, right->id)->id != best.id) continue; // another pair by now
        left->id = best.id;
        left->end = right->end;
        left->next = right->next;
        right->start = right->end;
        if (left->next != NONE) bpe->symbols[left->next].previous = best.left;
        heap_push(bpe, left->previous);
        heap_push(bpe, best.left);
    }
}

// The token whose text is the whole piece, or NONE.
static bool whole_find(struct bpe *bpe, const char *piece, size_t size, uint32_t *id)
{
    if (!mem_grow(&bpe->word, &bpe->word_capacity, 2 * size, 1, "a word")) return false;
    size_t length = 0;
    if (bpe->vocab.characters) {
        *id = *text_slot(bpe, piece, size);
        return true;
    }
    for (size_t i = 0; i < size; i++)
        length += letter_put(bpe->alphabet[(unsigned char)piece[i]], bpe->word + length);
    *id = *text_slot(bpe, bpe->word, length);
    return true;
}

bool token_list_append(struct token_list *list, uint32_t id, size_t start, size_t end)
{
    size_t wanted = list->count + 1;
    if (!mem_grow(&list->ids, &list->id_capacity, wanted, sizeof *list->ids, "tokens") ||
        !mem_grow(&list->spans, &list->span_capacity, wanted, sizeof *list->spans, "tokens"))
        return false;
    list->ids[list->count] = id;
    list->spans[list->count++] = (struct span){(uint32_t)start, (uint32_t)end};
    return true;
}

bool bpe_append(struct bpe *bpe, const char *text, size_t start, size_t end,
                struct token_list *list)
{
    uint32_t whole = NONE, count;
    if (bpe->whole_words && !whole_find(bpe, text + start, end - start, &whole)) return false;
    if (whole != NONE) return token_list_append(list, whole, start, end);
    if (!symbols_start(bpe, text + start, end - start, &count)) return false;
    symbols_merge(bpe, count);
    for (uint32_t i = 0; i < count; i = bpe->symbols[i].next) {
        const struct symbol *symbol = &bpe->symbols[i];
        if (!token_list_append(list, symbol->id, start + symbol->start, start + symbol->end))
            return false;
    }
    return true;
}
