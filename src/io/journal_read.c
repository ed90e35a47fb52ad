#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "io/journal.h"
#include "io/journal_bytes.h"

#define LLU(x) ((unsigned long long)(x))

// The body of one record. Nothing in it is trusted: each length is compared with what is left
// before it is used.
struct cursor {
    const struct journal *journal;
    const uint8_t *data;
    size_t at, size;
    uint32_t record;
    uint64_t offset; // of the record in the file
};

static bool bad(const struct cursor *c, const char *what)
{
    return fail(STATUS_BAD_DATA, "%s: record %u at byte %llu: %s", c->journal->where, c->record,
                LLU(c->offset), what);
}

static bool take(struct cursor *c, uint64_t size, const uint8_t **data)
{
    if (size > c->size - c->at) return bad(c, "a length goes beyond its end");
    *data = c->data + c->at;
    c->at += (size_t)size;
    return true;
}

static bool take_into(struct cursor *c, void *to, size_t size)
{
    const uint8_t *data = NULL;
    if (!take(c, size, &data)) return false;
    memcpy(to, data, size);
    return true;
}

static bool take_u32(struct cursor *c, uint32_t *value)
{
    return take_into(c, value, sizeof *value);
}

static bool take_u64(struct cursor *c, uint64_t *value)
{
    return take_into(c, value, sizeof *value);
}

// A count of things that take at least `least` bytes each.
static bool take_count(struct cursor *c, size_t least, uint32_t *count)
{
    if (!take_u32(c, count)) return false;
    return *count <= (c->size - c->at) / least || bad(c, "a count goes beyond its end");
}

static bool take_text(struct cursor *c, char **text)
{
    uint32_t size = 0;
    const uint8_t *data = NULL;
    if (!take_u32(c, &size) || !take(c, size, &data)) return false;
    if (memchr(data, '\0', size)) return bad(c, "a text has a zero byte");
    *text = mem_text((const char *)data, size, "a journal");
    return *text != NULL;
}

static bool take_flag(struct cursor *c, bool *flag)
{
    uint32_t value = 0;
    if (!take_u32(c, &value)) return false;
    *flag = value == 1;
    return value <= 1 || bad(c, "a flag is neither 0 nor 1");
}

static bool take_list(struct cursor *c, struct text_list *list)
{
    uint32_t count = 0;
    if (!take_count(c, 4, &count)) return false;
    list->items = mem_new(count, sizeof *list->items, "a journal");
    bool ok = list->items != NULL;
    for (; ok && list->count < count; list->count += ok)
        ok = take_text(c, &list->items[list->count]);
    return ok;
}

static bool take_request(struct cursor *c, struct request *r)
{
    uint64_t id = 0, at = 0;
    bool truth = false;
    if (!take_u64(c, &id) || !take_text(c, &r->prompt) || !take_text(c, &r->subject) ||
        !take_u64(c, &at) || !take_text(c, &r->target_new) || !take_flag(c, &truth) ||
        (truth && !take_text(c, &r->target_true)))
        return false;
    r->id = (int64_t)id;
    r->subject_at = (size_t)at;
    size_t prompt = strlen(r->prompt), subject = strlen(r->subject);
    if (!subject || at > prompt || subject > prompt - at ||
        memcmp(r->prompt + at, r->subject, subject) != 0)
        return bad(c, "the subject does not stand in the prompt");
    return take_list(c, &r->rephrases) && take_list(c, &r->localities) &&
           take_list(c, &r->locality_truths) && take_list(c, &r->generations);
}

static const struct journal_tensor *tensor_of(const struct journal *j, uint32_t layer)
{
    for (size_t i = 0; i < j->header.tensor_count; i++)
        if (j->header.tensors[i].layer == layer) return &j->header.tensors[i];
    return NULL;
}

static bool take_looks(struct cursor *c, struct journal_edit *e)
{
    if (!take_count(c, sizeof *e->looks, &e->look_count) || !take_u32(c, &e->chosen)) return false;
    if (e->look_count == 0 || e->chosen >= e->look_count)
        return bad(c, "the chosen look at the loss is none of its looks");
    e->looks = mem_new(e->look_count, sizeof *e->looks, "a journal");
    return e->looks && take_into(c, e->looks, e->look_count * sizeof *e->looks);
}

static bool take_pairs(struct cursor *c, struct journal_edit *e, bool many)
{
    const struct journal_tensor *t = tensor_of(c->journal, e->layer);
    if (!take_u32(c, &e->rows) || !take_u32(c, &e->cols)) return false;
    if (!t) return bad(c, "its layer is none of the header's");
    if (e->rows != (e->noop ? 0 : t->rows) || e->cols != (e->noop ? 0 : t->cols))
        return bad(c, "its pair does not have the tensor's shape");
    e->rank = !e->noop;
    if (many && (!take_u32(c, &e->rank) || !take_u32(c, &e->note_count))) return false;
    if (e->noop ? e->rank != 0 : e->rank > e->rows && e->rank > e->cols)
        return bad(c, "it has more pairs than the tensor's rows and columns");
    uint64_t below = e->rank ? e->rank : e->rows; // rows of w; below 2^31, as the columns are
    if (e->rank && !take(c, 4ull * e->rank * e->rows, &e->u)) return false;
    return take(c, 4 * below * e->cols, &e->w) &&
           (e->note_count == 0 || take(c, 4ull * e->note_count, &e->notes));
}

static bool take_candidates(struct cursor *c, struct journal_edit *e)
{
    uint32_t count = 0;
    bool ok = true, own = false; // its own layer is one of them
    if (c->at == c->size) return true;
    if (!take_count(c, 36, &count)) return false;
    if (count == 0) return bad(c, "its list of layers is empty");
    e->candidates = mem_new(count, sizeof *e->candidates, "a journal");
    e->candidate_count = e->candidates ? count : 0;
    for (uint32_t i = 0; ok && i < e->candidate_count; i++) {
        struct journal_candidate *k = &e->candidates[i];
        double *numbers[] = {&k->score, &k->length, &k->w_norm, &k->k_norm};
        ok = take_u32(c, &k->layer);
        for (size_t n = 0; ok && n < sizeof numbers / sizeof *numbers; n++)
            ok = take_into(c, numbers[n], sizeof *numbers[n]);
        own = own || k->layer == e->layer;
    }
    return ok && e->candidates && (own || bad(c, "its layer is none of those it chose from"));
}

static bool read_edit(struct cursor *c, struct journal *j, bool many)
{
    if (!mem_grow(&j->edits, &j->edit_capacity, j->edit_count + 1, sizeof *j->edits, "a journal"))
        return false;
    struct journal_edit *e = &j->edits[j->edit_count++];
    *e = (struct journal_edit){0};
    double *numbers[] = {&e->v0,   &e->length, &e->s,      &e->realised,
                         &e->kept, &e->u_norm, &e->w_norm, &e->k_norm};
    bool ok = take_u32(c, &e->number) &&
              (e->number == j->edit_count || bad(c, "the edit's number is not the next")) &&
              take_request(c, &e->request) && take_u32(c, &e->layer) && take_flag(c, &e->noop) &&
              take_looks(c, e);
    for (size_t i = 0; ok && i < sizeof numbers / sizeof *numbers; i++)
        ok = take_into(c, numbers[i], sizeof *numbers[i]);
    return ok && take_u32(c, &e->r) && take_u32(c, &e->q) && take_pairs(c, e, many) &&
           take_candidates(c, e);
}

static bool read_revert(struct cursor *c, struct journal *j)
{
    uint32_t count = 0, number = 0, before = 0;
    bool ok = take_count(c, 4, &count) && (count || bad(c, "it reverts nothing"));
    for (uint32_t i = 0; ok && i < count; i++, before = number) {
        ok = take_u32(c, &number) &&
             ((number > before && number <= j->edit_count && !j->edits[number - 1].reverted) ||
              bad(c, "it reverts what is not there"));
        if (ok) j->edits[number - 1].reverted = true;
    }
    return ok;
}

static bool read_tensor(struct cursor *c, struct journal_header *h)
{
    if (!mem_grow(&h->tensors, &h->tensor_capacity, h->tensor_count + 1, sizeof *h->tensors,
                  "a journal"))
        return false;
    struct journal_tensor *t = &h->tensors[h->tensor_count++];
    *t = (struct journal_tensor){0};
    if (!take_u32(c, &t->layer) || !take_text(c, &t->name) || !take_text(c, &t->dtype) ||
        !take_u64(c, &t->rows) || !take_u64(c, &t->cols))
        return false;
    if (!t->rows || !t->cols || t->rows > INT32_MAX || t->cols > INT32_MAX)
        return bad(c, "a tensor's shape is not possible");
    for (size_t i = 0; i + 1 < h->tensor_count; i++)
        if (h->tensors[i].layer == t->layer) return bad(c, "a layer stands there twice");
    return true;
}

static bool read_header(struct cursor *c, struct journal *j)
{
    struct journal_header *h = &j->header;
    uint32_t count = 0;
    bool ok = take_count(c, 12, &count);
    for (uint32_t i = 0; ok && i < count; i++) {
        ok = mem_grow(&h->settings, &h->setting_capacity, h->setting_count + 1,
                      sizeof *h->settings, "a journal");
        if (!ok) break;
        struct setting *s = &h->settings[h->setting_count++];
        *s = (struct setting){0};
        ok = take_u32(c, &s->kind) && take_text(c, &s->name) && take_text(c, &s->value);
    }
    ok = ok && take_count(c, 28, &count);
    for (uint32_t i = 0; ok && i < count; i++) ok = read_tensor(c, h);
    return ok;
}

static bool read_body(struct cursor *c, struct journal *j, uint32_t kind)
{
    bool ok;
    if ((kind == JOURNAL_HEADER) != (c->record == 0)) return bad(c, "a header is not in its place");
    if (kind == JOURNAL_HEADER)
        ok = read_header(c, j);
    else if (kind == JOURNAL_EDIT || kind == JOURNAL_MANY)
        ok = read_edit(c, j, kind == JOURNAL_MANY);
    else if (kind == JOURNAL_REVERT)
        ok = read_revert(c, j);
    else
        return bad(c, "its kind is not known; a newer oedit made it");
    return ok && (c->at == c->size || bad(c, "it is longer than what it says"));
}

// A head that is whole, and one.
static bool head_read(const uint8_t *data, size_t size, struct journal_head *head)
{
    if (size < JOURNAL_HEAD) return false;
    memcpy(head, data, sizeof *head);
    return memcmp(head->mark, journal_mark, sizeof head->mark) == 0 && head->zero == 0 &&
           head->seal == journal_head_seal(data);
}

// Is there a later record behind bytes that are none? Then they are damaged, not torn.
static bool later_record(const uint8_t *data, size_t size, uint32_t number)
{
    struct journal_head head;
    for (size_t at = 1; at + JOURNAL_HEAD <= size; at++)
        if (data[at] == (uint8_t)journal_mark[0] && head_read(data + at, size - at, &head) &&
            head.number > number)
            return true;
    return false;
}

// One record at `at`. *torn: it is the last and not whole.
static bool record_read(struct journal *j, const uint8_t *data, size_t at, size_t *next, bool *torn)
{
    const uint8_t *record = data + at;
    size_t left = j->bytes - at;
    uint32_t number = (uint32_t)j->record_count;
    struct journal_head head;
    struct cursor c = {.journal = j, .record = number, .offset = at};
    if (!head_read(record, left, &head)) {
        *torn = !later_record(record, left, number);
        return *torn || bad(&c, "it is damaged (its head's checksum is wrong)");
    }
    if (head.number != number) return bad(&c, "its number is not the next: one is missing");
    *torn = head.bytes > left - JOURNAL_HEAD || left - JOURNAL_HEAD - head.bytes < JOURNAL_SEAL;
    if (*torn) return true;
    size_t sealed = JOURNAL_HEAD + (size_t)head.bytes;
    uint64_t seal, before = number ? j->seals[number - 1].sum : 0;
    memcpy(&seal, record + sealed, sizeof seal);
    *next = at + sealed + JOURNAL_SEAL;
    if (seal != journal_seal(record, sealed, before)) {
        *torn = *next == j->bytes; // the disk may have got its pages in any order
        return *torn || bad(&c, "it is damaged (its checksum is wrong)");
    }
    c.data = record + JOURNAL_HEAD;
    c.size = (size_t)head.bytes;
    if (!read_body(&c, j, head.kind) ||
        !mem_grow(&j->seals, &j->seal_capacity, j->record_count + 1, sizeof *j->seals, "a journal"))
        return false;
    j->seals[j->record_count++] = (struct journal_seal){.sum = seal, .end = *next};
    j->whole = *next;
    return true;
}

static bool start_read(struct journal *j, const uint8_t *data)
{
    const uint8_t *magic = (const uint8_t *)journal_magic;
    size_t size = (size_t)j->bytes, known = sizeof journal_magic;
    uint32_t numbers[2];
    if (memcmp(data, magic, size < known ? size : known) != 0)
        return fail(STATUS_BAD_DATA, "%s is no journal of oedit's", j->where);
    if (size < JOURNAL_START) return true;
    memcpy(numbers, data + known, sizeof numbers);
    if (numbers[0] != JOURNAL_VERSION || numbers[1] != 0)
        return fail(STATUS_BAD_DATA, "%s has journal version %u.%u, wanted %d.0", j->where,
                    numbers[0], numbers[1], JOURNAL_VERSION);
    return true;
}

bool journal_parse(struct journal *j, const uint8_t *data, size_t size, const char *where)
{
    *j = (struct journal){.where = mem_text(where, strlen(where), "a path"), .bytes = size};
    bool ok = j->where && (size == 0 || start_read(j, data)), torn = false;
    for (size_t at = JOURNAL_START; ok && !torn && at < size;)
        ok = record_read(j, data, at, &at, &torn);
    if (!ok) journal_free(j);
    return ok;
}

bool journal_open(struct journal *j, const char *path, bool maybe_empty)
{
    struct file_map map;
    *j = (struct journal){0};
    if (!file_map_open(&map, path)) return false;
    if (!journal_parse(j, map.data, map.size, path)) {
        file_map_close(&map);
        return false;
    }
    j->map = map;
    if (j->record_count == 0 && !maybe_empty) {
        fail(STATUS_BAD_DATA, "%s has no whole record: its run ended before the first edit", path);
        journal_free(j);
        return false;
    }
    if (j->whole < j->bytes && j->record_count)
        log_warn("%s: record %zu at byte %llu is torn and left out (%llu bytes)", path,
                 j->record_count, LLU(j->whole), LLU(j->bytes - j->whole));
    return true;
}
