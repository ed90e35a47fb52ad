#include <stdlib.h>

#include "base/mem.h"
#include "base/status.h"
#include "io/journal.h"
#include "io/journal_bytes.h"

// A record in the making; a failure is kept, so that callers put without looking.
struct pack {
    uint8_t *data;
    size_t size, capacity;
    bool failed;
};

static void put(struct pack *p, const void *data, size_t size)
{
    if (p->failed || size == 0) return;
    if (p->size + size > p->capacity) {
        size_t wanted = 2 * p->capacity + size;
        p->failed = !mem_grow(&p->data, &p->capacity, wanted, 1, "a journal record");
        if (p->failed) return;
    }
    memcpy(p->data + p->size, data, size);
    p->size += size;
}

static void put_u32(struct pack *p, uint32_t value)
{
    put(p, &value, sizeof value);
}

static void put_u64(struct pack *p, uint64_t value)
{
    put(p, &value, sizeof value);
}

static void put_f64(struct pack *p, double value)
{
    put(p, &value, sizeof value);
}

static void put_text(struct pack *p, const char *text)
{
    size_t size = strlen(text);
    if (size > UINT32_MAX) {
        p->failed = !fail(STATUS_BAD_DATA, "a text of %zu bytes is too long for a journal", size);
        return;
    }
    put_u32(p, (uint32_t)size);
    put(p, text, size);
}

static void put_list(struct pack *p, const struct text_list *list)
{
    put_u32(p, (uint32_t)list->count);
    for (size_t i = 0; i < list->count; i++) put_text(p, list->items[i]);
}

static void put_request(struct pack *p, const struct request *r)
{
    put_u64(p, (uint64_t)r->id);
    put_text(p, r->prompt);
    put_text(p, r->subject);
    put_u64(p, r->subject_at);
    put_text(p, r->target_new);
    put_u32(p, r->target_true != NULL);
    if (r->target_true) put_text(p, r->target_true);
    put_list(p, &r->rephrases);
    put_list(p, &r->localities);
    put_list(p, &r->locality_truths);
    put_list(p, &r->generations);
}

static enum journal_kind edit_kind(const struct journal_edit *e)
{
    return e->note_count == 0 && (e->noop || e->rank == 1) ? JOURNAL_EDIT : JOURNAL_MANY;
}

// An edit that had no choice ends before.
static void put_candidates(struct pack *p, const struct journal_edit *e)
{
    if (e->candidate_count == 0) return;
    put_u32(p, e->candidate_count);
    for (uint32_t i = 0; i < e->candidate_count; i++) {
        const struct journal_candidate *c = &e->candidates[i];
        put_u32(p, c->layer);
        put_f64(p, c->score);
        put_f64(p, c->length);
        put_f64(p, c->w_norm);
        put_f64(p, c->k_norm);
    }
}

static void put_edit(struct pack *p, const struct journal_edit *e)
{
    put_u32(p, e->number);
    put_request(p, &e->request);
    put_u32(p, e->layer);
    put_u32(p, e->noop);
    put_u32(p, e->look_count);
    put_u32(p, e->chosen);
    put(p, e->looks, e->look_count * sizeof *e->looks);
    const double numbers[] = {e->v0, e->length, e->s, e->realised, e->kept, e->u_norm, e->w_norm,
                              e->k_norm};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) put_f64(p, numbers[i]);
    put_u32(p, e->r);
    put_u32(p, e->q);
    put_u32(p, e->rows);
    put_u32(p, e->cols);
    if (edit_kind(e) == JOURNAL_MANY) {
        put_u32(p, e->rank);
        put_u32(p, e->note_count);
    }
    size_t pairs = e->rank, below = e->rank ? e->rank : e->rows; // rows of w
    put(p, e->u, pairs * e->rows * sizeof(float));
    put(p, e->w, below * e->cols * sizeof(float));
    put(p, e->notes, e->note_count * sizeof(float));
    put_candidates(p, e);
}

static void put_header(struct pack *p, const struct journal_header *h)
{
    put_u32(p, (uint32_t)h->setting_count);
    for (size_t i = 0; i < h->setting_count; i++) {
        put_u32(p, h->settings[i].kind);
        put_text(p, h->settings[i].name);
        put_text(p, h->settings[i].value);
    }
    put_u32(p, (uint32_t)h->tensor_count);
    for (size_t i = 0; i < h->tensor_count; i++) {
        put_u32(p, h->tensors[i].layer);
        put_text(p, h->tensors[i].name);
        put_text(p, h->tensors[i].dtype);
        put_u64(p, h->tensors[i].rows);
        put_u64(p, h->tensors[i].cols);
    }
}

static void head_start(struct pack *p)
{
    const struct journal_head room = {0};
    put(p, &room, sizeof room);
}

// Fills the head of the record that begins at `start`, seals it and writes all that is packed.
static bool record_add(struct journal_writer *w, struct pack *p, size_t start,
                       enum journal_kind kind)
{
    uint64_t seal = 0;
    if (!p->failed) {
        struct journal_head head = {.kind = (uint32_t)kind, .number = w->records,
                                    .bytes = p->size - start - JOURNAL_HEAD};
        memcpy(head.mark, journal_mark, sizeof head.mark);
        head.seal = journal_head_seal(&head);
        memcpy(p->data + start, &head, sizeof head);
        seal = journal_seal(p->data + start, p->size - start, w->seal);
        put_u64(p, seal);
    }
    bool ok = !p->failed && append_add(&w->file, p->data, p->size);
    free(p->data);
    if (!ok) return false;
    w->seal = seal;
    w->records++;
    return true;
}

bool journal_writer_open(struct journal_writer *w, const char *path)
{
    *w = (struct journal_writer){0};
    return append_open(&w->file, path);
}

void journal_writer_close(struct journal_writer *w)
{
    append_close(&w->file);
    *w = (struct journal_writer){0};
}

bool journal_begin(struct journal_writer *w, const struct journal_header *header)
{
    if (w->file.size && !append_cut(&w->file, 0)) return false; // the start of a header
    w->seal = 0;
    w->records = 0;
    struct pack p = {0};
    put(&p, journal_magic, sizeof journal_magic);
    put_u32(&p, JOURNAL_VERSION);
    put_u32(&p, 0);
    head_start(&p);
    put_header(&p, header);
    return record_add(w, &p, JOURNAL_START, JOURNAL_HEADER);
}

bool journal_go_on(struct journal_writer *w, const struct journal *journal)
{
    w->seal = journal->record_count ? journal->seals[journal->record_count - 1].sum : 0;
    w->records = (uint32_t)journal->record_count;
    return journal->whole == w->file.size || append_cut(&w->file, journal->whole);
}

bool journal_add_edit(struct journal_writer *w, const struct journal_edit *edit)
{
    struct pack p = {0};
    head_start(&p);
    put_edit(&p, edit);
    return record_add(w, &p, 0, edit_kind(edit));
}

bool journal_add_revert(struct journal_writer *w, const uint32_t *numbers, uint32_t count)
{
    struct pack p = {0};
    head_start(&p);
    put_u32(&p, count);
    put(&p, numbers, count * sizeof *numbers);
    return record_add(w, &p, 0, JOURNAL_REVERT);
}
