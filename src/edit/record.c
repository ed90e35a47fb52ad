#define XXH_INLINE_ALL
#include "edit/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/mem.h"
#include "base/status.h"
#include "edit/controls.h"
#include "edit/guards.h"
#include "edit/memory.h"
#include "edit/update.h"
#include "ops/tune.h"

static bool set_hex(struct journal_header *h, const char *name, uint32_t kind, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)value);
    return journal_set(h, name, kind, text);
}

static bool set_word(void *user, const char *name, const char *word)
{
    return journal_set(user, name, SETTING_TEXT, word);
}

static bool set_number(void *user, const char *name, double value)
{
    return journal_set_number(user, name, SETTING_NUMBER, value);
}

static bool set_tensors(struct journal_header *h, struct weights *weights,
                        const struct hparams *hparams)
{
    const bool several = hparams->layer_count > 0;
    const uint32_t *layers = several ? hparams->layers : &hparams->layer;
    bool ok = true;
    for (uint32_t i = 0; ok && i < (several ? hparams->layer_count : 1); i++) {
        const struct tensor *t = weights_part(weights, PART_FFN_DOWN, layers[i]);
        ok = journal_add_tensor(h, layers[i], t->name, dtype_table[t->dtype].name, t->rows,
                                t->cols);
    }
    return ok;
}

static bool plan(struct journal_header *h, struct weights *weights, const char *solver,
                 const char *guard, bool strict, uint64_t seed, const struct hparams *hparams)
{
    const char *hash = weights_hash(weights);
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
    *h = (struct journal_header){0};
    return hash && journal_set(h, "model", SETTING_TEXT, hash) &&
           journal_set(h, "solver", SETTING_TEXT, solver) &&
           journal_set(h, "guard", SETTING_TEXT, guard) &&
           journal_set(h, "precision", SETTING_TEXT, strict ? "strict" : "fast") &&
           journal_set(h, "seed", SETTING_NUMBER, text) &&
           hparams_each(hparams, set_number, set_word, h) && set_tensors(h, weights, hparams);
}

bool record_plan(struct journal_header *h, struct weights *weights,
                 const struct sequence_options *o)
{
    struct hparams settled = o->hparams; // as the editor will have them; not to be freed
    *h = (struct journal_header){0};
    return control_settle(&settled, o->guard) &&
           plan(h, weights, o->solver, o->guard, o->strict, o->seed, &settled);
}

// The bits of a device matrix [n, n], a piece at a time: C of a large model is large.
static bool set_digest(struct journal_header *h, const char *name, struct device *dev,
                       struct buffer *buffer, uint64_t n)
{
    const uint64_t bytes = n * n * sizeof(float); // a buffer may be larger than asked for
    enum { PIECE = 16 << 20 };
    XXH3_state_t *state = XXH3_createState();
    uint8_t *piece = mem_new(PIECE, 1, "a checksum");
    bool ok = state && piece && XXH3_64bits_reset(state) == XXH_OK;
    for (uint64_t at = 0, size; ok && at < bytes; at += size) {
        size = bytes - at < PIECE ? bytes - at : PIECE;
        ok = buffer_read(dev, buffer, at, piece, size) &&
             XXH3_64bits_update(state, piece, (size_t)size) == XXH_OK;
    }
    ok = ok && set_hex(h, name, SETTING_MADE, XXH3_64bits_digest(state));
    XXH3_freeState(state);
    free(piece);
    return ok;
}

static bool set_contexts(struct journal_header *h, const struct contexts *c)
{
    char name[32];
    for (uint32_t i = 0; i < c->count; i++) {
        snprintf(name, sizeof name, "context.%u", i + 1);
        if (!journal_set(h, name, SETTING_TEXT, c->texts[i])) return false;
    }
    return true;
}

// Strict numbers do not depend on any of these: the journal is the same everywhere.
static bool set_device(struct journal_header *h, const struct model *model)
{
    struct device *dev = model->dev;
    return dev->strict || (journal_set(h, "device", SETTING_MADE, dev->info.name) &&
                           journal_set(h, "driver", SETTING_MADE, dev->info.driver) &&
                           set_hex(h, "tiles", SETTING_MADE, tune_id(dev, model_dtypes(model))));
}

// Of each edited layer; its number stands behind the name if there are several.
static bool set_sites(struct journal_header *h, const struct editor *e)
{
    struct device *dev = e->model->dev;
    const struct config *c = &e->model->config;
    bool ok = true;
    for (uint32_t i = 0; ok && i < e->site_count; i++) {
        const struct site *s = &e->sites[i];
        char number[16] = "", moment[32], condition[32], directions[32];
        if (e->site_count > 1) snprintf(number, sizeof number, ".%u", s->layer);
        snprintf(moment, sizeof moment, "C%s", number);
        snprintf(condition, sizeof condition, "condition%s", number);
        snprintf(directions, sizeof directions, "grad G%s", number);
        ok = (!s->moment ||
              (set_digest(h, moment, dev, s->moment, c->ffn) &&
               journal_set_number(h, condition, SETTING_NUMBER | SETTING_MADE, s->condition))) &&
             (!s->directions || set_digest(h, directions, dev, s->directions, c->dim));
    }
    return ok;
}

bool record_header(struct journal_header *h, struct weights *weights, const struct editor *e,
                   uint64_t seed)
{
    struct device *dev = e->model->dev;
    return plan(h, weights, e->solver->name, e->guard->name, dev->strict, seed, &e->hparams) &&
           set_hex(h, "text", SETTING_TEXT, e->text_id) &&
           (!e->grad_id || set_hex(h, "grad_text", SETTING_TEXT, e->grad_id)) &&
           set_contexts(h, &e->contexts) &&
           journal_set(h, "version", SETTING_MADE, OEDIT_VERSION) &&
           set_device(h, e->model) && set_sites(h, e);
}

// What is recorded of the loss.
static bool looks_copy(struct journal_edit *r, const struct edit *edit)
{
    r->look_count = edit->steps;
    r->looks = mem_new(edit->steps, sizeof *r->looks, "a journal record");
    for (uint32_t i = 0; r->looks && i < edit->steps; i++) {
        const struct trace *t = &edit->trace[i];
        r->looks[i] = (struct journal_look){t->total, t->nll, t->kl, t->decay, t->f1, t->f2,
                                            t->length};
    }
    return r->looks != NULL;
}

// And of the layers there were to choose from.
static bool candidates_copy(struct journal_edit *r, const struct edit *edit)
{
    if (edit->candidate_count == 0) return true;
    r->candidate_count = edit->candidate_count;
    r->candidates = mem_new(edit->candidate_count, sizeof *r->candidates, "a journal record");
    for (uint32_t i = 0; r->candidates && i < edit->candidate_count; i++) {
        const struct candidate *c = &edit->candidates[i];
        r->candidates[i] =
            (struct journal_candidate){c->layer, c->score, c->length, c->w_norm, c->k_norm};
    }
    return r->candidates != NULL;
}

// Reads the first `count` floats of a buffer to the end of the room, of which `used` are taken.
static bool room_read(const struct editor *e, struct buffer *buffer, uint64_t count,
                      struct record_room *room, uint64_t *used)
{
    bool ok = buffer_read(e->model->dev, buffer, 0, room->data + *used, count * sizeof(float));
    *used += count;
    return ok;
}

// u, then w, then the notes.
static bool numbers_copy(struct journal_edit *r, const struct editor *e, const struct edit *edit,
                         struct record_room *room)
{
    const struct config *c = &e->model->config;
    bool single = edit->rank == 1 && !e->solver->make;
    r->note_count = edit->note_count;
    if (!edit->noop) {
        r->rank = edit->rank;
        r->rows = c->dim;
        r->cols = c->ffn;
    }
    const uint64_t u = (uint64_t)r->rank * r->rows;
    const uint64_t w = (uint64_t)(r->rank ? r->rank : r->rows) * r->cols;
    if (!mem_grow(&room->data, &room->capacity, (size_t)(u + w + r->note_count) + 1,
                  sizeof *room->data, "a journal record"))
        return false;
    uint64_t used = 0;
    r->u = u ? (const uint8_t *)room->data : NULL;
    r->w = (const uint8_t *)(room->data + u);
    r->notes = (const uint8_t *)(room->data + u + w);
    return (!u || room_read(e, single ? e->u : e->us, u, room, &used)) &&
           (!w || room_read(e, !u ? e->dense : single ? e->w : e->ws, w, room, &used)) &&
           (!r->note_count || room_read(e, e->notes, r->note_count, room, &used));
}

bool record_edit(struct journal_edit *r, const struct editor *e, const struct edit *edit,
                 struct record_room *room)
{
    *r = (struct journal_edit){
        .number = edit->number, .request = *edit->request, .layer = e->site->layer,
        .noop = edit->noop, .chosen = edit->chosen, .v0 = edit->v0, .length = edit->length,
        .s = edit->s, .realised = edit->realised, .kept = edit->kept, .u_norm = edit->u_norm,
        .w_norm = edit->w_norm, .k_norm = edit->k_norm, .r = edit->r, .q = edit->q};
    return looks_copy(r, edit) && candidates_copy(r, edit) && numbers_copy(r, e, edit, room);
}

void record_edit_free(struct journal_edit *record)
{
    free(record->looks);
    free(record->candidates);
    *record = (struct journal_edit){0};
}

// A dense edit has no directions for a guard to see.
static bool replay_dense(struct editor *e, const struct journal_edit *r)
{
    if (!e->dense)
        return fail(STATUS_BAD_DATA, "edit %u of the journal is dense, solver %s makes pairs",
                    r->number, e->solver->name);
    return update_load_dense(e->model->dev, r, e->dense) &&
           update_dense(e->model->dev, e->dense->address, e->site->matrix->address, r->rows,
                        r->cols);
}

// One edit as it was, without its search: the pairs are known.
static bool replay(struct editor *e, struct site *site, const struct journal_edit *r)
{
    const struct config *c = &e->model->config;
    struct edit edit = {.request = &r->request, .number = r->number, .noop = r->noop,
                        .u_norm = r->u_norm, .w_norm = r->w_norm, .k_norm = r->k_norm};
    // A guard's loss was asked for at every layer.
    for (uint32_t i = 0; e->guard->replay && e->guard->loss && i < e->site_count; i++) {
        e->site = &e->sites[i];
        if (!e->guard->replay(e, &edit)) return false;
    }
    e->site = site;
    if (e->solver->replay && !e->solver->replay(e, r)) return false;
    if (e->guard->replay && !e->guard->loss && !e->guard->replay(e, &edit)) return false;
    editor_follow(e, &edit);
    if (r->noop) return true;
    site->edits++;
    if (r->rank == 0) return replay_dense(e, r);
    bool ok = true;
    for (uint32_t i = 0; ok && i < r->rank; i++)
        ok = update_load(e->model->dev, r, i, e->u, e->w) &&
             update_edit(e->model->dev, &e->mask, r->number, e->u->address, e->w->address,
                         e->site->matrix->address, c->dim, c->ffn) &&
             (!e->guard->commit || e->guard->commit(e, &edit));
    return ok && memory_replay(e, r);
}

static struct site *site_of(struct editor *e, uint32_t layer)
{
    for (uint32_t i = 0; i < e->site_count; i++)
        if (e->sites[i].layer == layer) return &e->sites[i];
    return NULL;
}

bool record_replay(struct editor *e, const struct journal *journal)
{
    bool ok = true;
    for (size_t i = 0; ok && i < journal->edit_count; i++) {
        const struct journal_edit *r = &journal->edits[i];
        struct site *site = site_of(e, r->layer);
        if (!site)
            return fail(STATUS_BAD_DATA, "%s: edit %u is of layer %u, which this run does not edit",
                        journal->where, r->number, r->layer);
        ok = r->reverted || replay(e, site, r);
    }
    e->edits = e->done_before = (uint32_t)journal->edit_count;
    return ok;
}
