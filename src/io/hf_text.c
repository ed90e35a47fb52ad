#include "io/hf_text.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/utf8.h"
#include "io/bpe.h"

void mapped_free(struct mapped *mapped)
{
    free(mapped->text);
    free(mapped->start);
    free(mapped->end);
    *mapped = (struct mapped){0};
}

static bool mapped_room(struct mapped *m, size_t more)
{
    size_t wanted = m->size + more + 1;
    return mem_grow(&m->text, &m->text_room, wanted, 1, "text") &&
           mem_grow(&m->start, &m->start_room, wanted, sizeof *m->start, "text") &&
           mem_grow(&m->end, &m->end_room, wanted, sizeof *m->end, "text");
}

// Bytes that all stand for original[start, end).
static bool mapped_put(struct mapped *m, const char *text, size_t size, uint32_t start,
                       uint32_t end)
{
    if (!mapped_room(m, size)) return false;
    memcpy(m->text + m->size, text, size);
    for (size_t i = 0; i < size; i++) {
        m->start[m->size + i] = start;
        m->end[m->size + i] = end;
    }
    m->size += size;
    return true;
}

// Bytes [at, at + size) of another text, each for what it stood for there.
static bool mapped_copy(struct mapped *m, const struct mapped *from, size_t at, size_t size)
{
    if (!mapped_room(m, size)) return false;
    memcpy(m->text + m->size, from->text + at, size);
    memcpy(m->start + m->size, from->start + at, size * sizeof *m->start);
    memcpy(m->end + m->size, from->end + at, size * sizeof *m->end);
    m->size += size;
    return true;
}

static bool mapped_same(struct mapped *m, const char *text, size_t start, size_t size)
{
    m->size = 0;
    if (!mapped_room(m, size)) return false;
    memcpy(m->text, text + start, size);
    for (size_t i = 0; i < size; i++) {
        m->start[i] = (uint32_t)(start + i);
        m->end[i] = (uint32_t)(start + i + 1);
    }
    m->size = size;
    return true;
}

static bool replace(const struct mapped *from, struct bytes what, struct bytes with,
                    struct mapped *to)
{
    size_t done = 0;
    to->size = 0;
    if (!mapped_room(to, from->size)) return false;
    for (size_t at = 0; at + what.size <= from->size;) {
        if (from->text[at] != *what.data || memcmp(from->text + at, what.data, what.size) != 0) {
            at++;
            continue;
        }
        if (!mapped_copy(to, from, done, at - done) ||
            !mapped_put(to, with.data, with.size, from->start[at], from->end[at + what.size - 1]))
            return false;
        done = at += what.size;
    }
    return mapped_copy(to, from, done, from->size - done);
}

// One run of characters that may compose with each other, composed. An unchanged one stays mapped
// byte by byte.
static bool compose(const struct mapped *from, size_t at, size_t size, struct mapped *to)
{
    utf8proc_uint8_t *text = NULL;
    utf8proc_ssize_t length =
        utf8proc_map((const utf8proc_uint8_t *)from->text + at, (utf8proc_ssize_t)size, &text,
                     UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    bool same = length == (utf8proc_ssize_t)size && memcmp(text, from->text + at, size) == 0;
    bool ok = length >= 0 || fail(STATUS_NO_MEMORY, "out of host memory for a text");
    if (ok && same)
        ok = mapped_copy(to, from, at, size);
    else if (ok)
        ok = mapped_put(to, (const char *)text, (size_t)length, from->start[at],
                        from->end[at + size - 1]);
    free(text);
    return ok;
}

static utf8proc_int32_t point_at(const char *text, size_t size)
{
    utf8proc_int32_t point = -1;
    utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size, &point);
    return point;
}

// Whether a character may compose or change places with those before it: marks, and the vowels and
// final consonants of Hangul.
static bool joins(utf8proc_int32_t point)
{
    utf8proc_category_t c = utf8proc_category(point);
    return c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_MC || c == UTF8PROC_CATEGORY_ME ||
           (point >= 0x1160 && point <= 0x11ff) || (point >= 0xd7b0 && point <= 0xd7ff);
}

// Marks that the reference's tables (Unicode 9) do not have: it leaves them where they stand.
static bool newer(utf8proc_int32_t point)
{
    static const utf8proc_int32_t ranges[][2] = {
        {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},
        {0xc3c, 0xc3c},     {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x1715, 0x1715},
        {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},   {0xa82c, 0xa82c},   {0x10d24, 0x10d27},
        {0x10eab, 0x10eac}, {0x10efd, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85},
        {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x11839, 0x1183a},
        {0x1193d, 0x1193e}, {0x11943, 0x11943}, {0x119e0, 0x119e0}, {0x11a34, 0x11a34},
        {0x11a47, 0x11a47}, {0x11a99, 0x11a99}, {0x11d42, 0x11d42}, {0x11d44, 0x11d45},
        {0x11d97, 0x11d97}, {0x11f41, 0x11f42}, {0x16ff0, 0x16ff1}, {0x1e08f, 0x1e08f},
        {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (point >= ranges[i][0] && point <= ranges[i][1]) return true;
    return false;
}

static bool compose_all(const struct mapped *from, struct mapped *to)
{
    const char *text = from->text;
    size_t size = from->size;
    to->size = 0;
    if (!mapped_room(to, size)) return false;
    for (size_t at = 0, end; at < size; at = end) {
        end = at + utf8_size(text + at, size - at);
        bool alone = newer(point_at(text + at, end - at));
        while (!alone && end < size && (unsigned char)text[end] >= 0x80) {
            utf8proc_int32_t point = point_at(text + end, size - end);
            if (!joins(point) || newer(point)) break;
            end += utf8_size(text + end, size - end);
        }
        alone = alone || ((unsigned char)text[at] < 0x80 && end == at + 1);
        if (!(alone ? mapped_copy(to, from, at, end - at) : compose(from, at, end - at, to)))
            return false;
    }
    return true;
}

bool hf_normalize(const struct hf_tokenizer *hf, const char *original, size_t start, size_t size,
                  bool plain, struct mapped *result)
{
    struct mapped next = {0};
    bool ok = mapped_same(result, original, start, size);
    for (size_t i = 0; ok && i < hf->step_count && result->size; i++) {
        const struct step *step = &hf->steps[i];
        next.size = 0;
        if (step->kind == STEP_PREPEND && plain) continue;
        uint32_t first = result->start[0];
        if (step->kind == STEP_REPLACE)
            ok = replace(result, step->from, step->to, &next);
        else if (step->kind == STEP_NFC)
            ok = compose_all(result, &next);
        else
            ok = mapped_put(&next, step->to.data, step->to.size, first, first) &&
                 mapped_copy(&next, result, 0, result->size);
        struct mapped swap = *result;
        *result = next;
        next = swap;
    }
    mapped_free(&next);
    return ok;
}

bool hf_normalized(const struct hf_tokenizer *hf, struct bytes content, struct added *added)
{
    struct mapped mapped = {0};
    bool ok = hf_normalize(hf, content.data, 0, content.size, false, &mapped);
    if (ok) added->own = mem_text(mapped.text, mapped.size, "an added token");
    ok = ok && added->own;
    if (ok) added->content = (struct bytes){added->own, mapped.size};
    mapped_free(&mapped);
    return ok;
}

// A text under way. `map` NULL: it is the original, from byte `base` on.
struct run {
    const struct tokenizer *tokenizer;
    const char *text;
    const struct mapped *map;
    size_t base;
    unsigned flags;
    struct token_list *list;
};

static uint32_t start_of(const struct run *run, size_t at)
{
    return run->map ? run->map->start[at] : (uint32_t)(run->base + at);
}

static uint32_t end_of(const struct run *run, size_t at)
{
    return run->map ? run->map->end[at - 1] : (uint32_t)(run->base + at);
}

struct pieces {
    const struct run *run;
    size_t start; // of the run's text
};

static bool piece_encode(void *context, size_t start, size_t end)
{
    const struct pieces *pieces = context;
    const struct run *run = pieces->run;
    size_t first = run->list->count;
    if (!bpe_append(run->tokenizer->bpe, run->text, pieces->start + start, pieces->start + end,
                    run->list))
        return false;
    for (size_t i = first; i < run->list->count; i++) {
        struct span *span = &run->list->spans[i];
        *span = span->end > span->start
                    ? (struct span){start_of(run, span->start), end_of(run, span->end)}
                    : (struct span){start_of(run, span->start), start_of(run, span->start)};
    }
    return true;
}

static bool pieces_encode(const struct run *run, size_t start, size_t end)
{
    struct pieces pieces = {.run = run, .start = start};
    return pretoken_split(run->tokenizer->pretoken, run->text + start, end - start, piece_encode,
                          &pieces);
}

// Blanks as the vocabulary writes them, and one before the text where there is none.
static bool blanks_encode(const struct run *run, size_t start, size_t end)
{
    const struct hf_tokenizer *hf = run->tokenizer->vocab.hf;
    struct bytes blank = hf->meta ? hf->blank : (struct bytes){" ", 1};
    struct mapped text = {0}, turned = {0};
    struct run inner = *run;
    bool ok = mapped_room(&text, end - start);
    for (size_t i = start; ok && i < end; i++)
        ok = mapped_put(&text, run->text + i, 1, start_of(run, i), end_of(run, i + 1));
    ok = ok && replace(&text, (struct bytes){" ", 1}, blank, &turned);
    bool before = !(run->flags & ENCODE_CONTINUES && start_of(run, start) == 0) &&
                  (hf->meta_always || (hf->meta_first && text.start[0] == 0) || hf->blank_first) &&
                  (turned.size < blank.size || memcmp(turned.text, blank.data, blank.size) != 0);
    if (ok && before) {
        text.size = 0;
        ok = mapped_put(&text, blank.data, blank.size, turned.start[0], turned.start[0]) &&
             mapped_copy(&text, &turned, 0, turned.size);
    }
    inner.map = before ? &text : &turned;
    inner.text = inner.map->text;
    ok = ok && pieces_encode(&inner, 0, inner.map->size);
    mapped_free(&text);
    mapped_free(&turned);
    return ok;
}

static bool blanks_piece(void *context, size_t start, size_t end)
{
    const struct pieces *pieces = context;
    return blanks_encode(pieces->run, pieces->start + start, pieces->start + end);
}

static bool plain_encode(const struct run *run, size_t start, size_t end)
{
    const struct tokenizer *t = run->tokenizer;
    struct pieces pieces = {.run = run, .start = start};
    if (start == end) return true;
    if (!t->vocab.hf->turns) return pieces_encode(run, start, end);
    return t->first
               ? pretoken_split(t->first, run->text + start, end - start, blanks_piece, &pieces)
               : blanks_encode(run, start, end);
}

// What Unicode calls a letter, number, mark or connector; as the reference's \w has it. The table:
// joiners, letters in circles and squares, and what came with Unicode 16.
static bool is_word(utf8proc_int32_t point)
{
    static const utf8proc_int32_t ranges[][2] = {
        {0x897, 0x897},     {0x1c89, 0x1c8a},   {0x200c, 0x200d},   {0x24b6, 0x24e9},
        {0xa7cb, 0xa7cd},   {0xa7da, 0xa7dc},   {0x105c0, 0x105f3}, {0x10d40, 0x10d65},
        {0x10d69, 0x10d6d}, {0x10d6f, 0x10d85}, {0x10ec2, 0x10ec4}, {0x10efc, 0x10efc},
        {0x11380, 0x11389}, {0x1138b, 0x1138b}, {0x1138e, 0x1138e}, {0x11390, 0x113b5},
        {0x113b7, 0x113c0}, {0x113c2, 0x113c2}, {0x113c5, 0x113c5}, {0x113c7, 0x113ca},
        {0x113cc, 0x113d3}, {0x113e1, 0x113e2}, {0x116d0, 0x116e3}, {0x11bc0, 0x11be0},
        {0x11bf0, 0x11bf9}, {0x11f5a, 0x11f5a}, {0x13460, 0x143fa}, {0x16100, 0x16139},
        {0x16d40, 0x16d6c}, {0x16d70, 0x16d79}, {0x18cff, 0x18cff}, {0x1ccf0, 0x1ccf9},
        {0x1e5d0, 0x1e5fa}, {0x1f130, 0x1f149}, {0x1f150, 0x1f169}, {0x1f170, 0x1f189},
        {0x2ebf0, 0x2ee5d}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (point >= ranges[i][0] && point <= ranges[i][1]) return true;
    utf8proc_category_t c = utf8proc_category(point);
    return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_ND) ||
           c == UTF8PROC_CATEGORY_PC || c == UTF8PROC_CATEGORY_NL;
}

static bool is_blank(utf8proc_int32_t p)
{
    return (p >= 9 && p <= 13) || p == ' ' || p == 0x85 || p == 0xa0 || p == 0x1680 ||
           (p >= 0x2000 && p <= 0x200a) || p == 0x2028 || p == 0x2029 || p == 0x202f ||
           p == 0x205f || p == 0x3000;
}

// Where the character that ends at `at` starts.
static size_t before(const char *text, size_t at)
{
    do at--;
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80);
    return at;
}

static bool word_apart(const struct added *a, const char *text, size_t size, size_t at)
{
    size_t end = at + a->content.size, last = at ? before(text, at) : 0;
    return !(at && is_word(point_at(text + last, at - last))) &&
           !(end < size && is_word(point_at(text + end, size - end)));
}

// The longest added token that starts at `at`, of those that the raw or the normalised text has.
static const struct added *added_find(const struct run *run, size_t size, size_t at,
                                      bool normalized)
{
    const struct hf_tokenizer *hf = run->tokenizer->vocab.hf;
    if (!run->tokenizer->special_first[(unsigned char)run->text[at]]) return NULL;
    for (size_t i = 0; i < hf->added_count; i++) {
        const struct added *a = &hf->added[i];
        if (a->normalized == normalized && a->content.size && a->content.size <= size - at &&
            memcmp(a->content.data, run->text + at, a->content.size) == 0)
            return a;
    }
    return NULL;
}

typedef bool part_call(const struct run *run, size_t start, size_t end);

// Cuts the text at its added tokens; what lies between goes to `part`.
static bool added_cut(const struct run *run, size_t size, bool normalized, part_call *part)
{
    const char *text = run->text;
    size_t done = 0;
    for (size_t at = 0; at < size;) {
        const struct added *a = added_find(run, size, at, normalized);
        if (!a) {
            at++;
            continue;
        }
        size_t start = at, end = at + a->content.size;
        at = end;
        if ((a->special && (run->flags & ENCODE_PLAIN)) ||
            (a->single_word && !word_apart(a, text, size, start)))
            continue;
        while (a->lstrip && start > done) {
            size_t last = before(text, start);
            if (!is_blank(point_at(text + last, start - last))) break;
            start = last;
        }
        if (a->lstrip && start < done) start = done;
        while (a->rstrip && end < size && is_blank(point_at(text + end, size - end)))
            end += utf8_size(text + end, size - end);
        if (done < start && !part(run, done, start)) return false;
        // Blanks that the token before took with it are this one's, too, as the reference has it.
        if (start < end &&
            !token_list_append(run->list, a->id, start_of(run, start), end_of(run, end)))
            return false;
        done = end;
    }
    return done >= size || part(run, done, size);
}

static bool normalized_encode(const struct run *run, size_t start, size_t end)
{
    struct mapped mapped = {0};
    struct run inner = *run;
    if (start == end) return true;
    bool ok = true;
    if (run->tokenizer->vocab.hf->step_count) {
        ok = hf_normalize(run->tokenizer->vocab.hf, run->text, start, end - start,
                          run->flags & ENCODE_CONTINUES, &mapped);
        inner.map = &mapped;
        inner.text = mapped.text;
    } else {
        inner.text += start;
        inner.base += start;
    }
    ok = ok && added_cut(&inner, inner.map ? mapped.size : end - start, true, plain_encode);
    mapped_free(&mapped);
    return ok;
}

bool hf_encode(const struct tokenizer *tokenizer, const char *text, size_t size, unsigned flags,
               struct token_list *list)
{
    struct run run = {.tokenizer = tokenizer, .text = text, .flags = flags, .list = list};
    return added_cut(&run, size, false, normalized_encode);
}
