#define XXH_INLINE_ALL
#include "edit/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/mem.h"
#include "base/status.h"
#include "edit/controls.h"
#include "edit/guards.h"
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

static bool plan(struct journal_header *h, struct weights *weights, const char *solver,
                 const char *guard, bool strict, uint64_t seed, const struct hparams *hparams)
{
    const char *hash = weights_hash(weights);
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
    *h = (struct journal_header){0};
    const struct tensor *t = weights_part(weights, PART_FFN_DOWN, hparams->layer);
    return hash && journal_set(h, "model", SETTING_TEXT, hash) &&
           journal_set(h, "solver", SETTING_TEXT, solver) &&
           journal_set(h, "guard", SETTING_TEXT, guard) &&
           journal_set(h, "precision", SETTING_TEXT, strict ? "strict" : "fast") &&
           journal_set(h, "seed", SETTING_NUMBER, text) &&
           hparams_each(hparams, set_number, set_word, h) &&
           journal_add_tensor(h, hparams->layer, t->name, dtype_table[t->dtype].name, t->rows,
                              t->cols);
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

bool record_header(struct journal_header *h, struct weights *weights, const struct editor *e,
                   uint64_t seed)
{
    struct device *dev = e->model->dev;
    return plan(h, weights, e->solver->name, e->guard->name, dev->strict, seed, &e->hparams) &&
           set_hex(h, "text", SETTING_TEXT, e->text_id) &&
           (!e->grad_id || set_hex(h, "grad_text", SETTING_TEXT, e->grad_id)) && set_contexts(h, &e->contexts) &&
           journal_set(h, "version", SETTING_MADE, OEDIT_VERSION) &&
           set_device(h, e->model) &&
           set_digest(h, "C", dev, e->moment, e->model->config.ffn) &&
           journal_set_number(h, "condition", SETTING_NUMBER | SETTING_MADE, e->condition) &&
           (!e->directions || set_digest(h, "grad G", dev, e->directions, e->model->config.dim));
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

bool record_edit(struct journal_edit *r, const struct editor *e, const struct edit *edit,
                 float *pair)
{
    const struct config *c = &e->model->config;
    *r = (struct journal_edit){
        .number = edit->number, .request = *edit->request, .layer = e->hparams.layer,
        .noop = edit->noop, .chosen = edit->chosen, .v0 = edit->v0, .length = edit->length,
        .s = edit->s, .realised = edit->realised, .kept = edit->kept, .u_norm = edit->u_norm,
        .w_norm = edit->w_norm, .k_norm = edit->k_norm, .r = edit->r, .q = edit->q};
    if (!looks_copy(r, edit)) return false;
    if (edit->noop) return true;
    r->rows = c->dim;
    r->cols = c->ffn;
    r->u = (const uint8_t *)pair;
    r->w = (const uint8_t *)(pair + c->dim);
    return buffer_read(e->model->dev, e->u, 0, pair, c->dim * sizeof *pair) &&
           buffer_read(e->model->dev, e->w, 0, pair + c->dim, c->ffn * sizeof *pair);
}

void record_edit_free(struct journal_edit *record)
{
    free(record->looks);
    *record = (struct journal_edit){0};
}

// One edit as it was, without its search: the pair is known.
static bool replay(struct editor *e, const struct journal_edit *r)
{
    const struct config *c = &e->model->config;
    struct edit edit = {.request = &r->request, .number = r->number, .noop = r->noop,
                        .u_norm = r->u_norm, .w_norm = r->w_norm, .k_norm = r->k_norm};
    if (e->guard->replay && !e->guard->replay(e, &edit)) return false;
    editor_follow(e, &edit);
    if (r->noop) return true;
    return update_load(e->model->dev, r, e->u, e->w) &&
           update_edit(e->model->dev, &e->mask, r->number, e->u->address, e->w->address,
                       e->model->edited->address, c->dim, c->ffn) &&
           (!e->guard->commit || e->guard->commit(e, &edit));
}

bool record_replay(struct editor *e, const struct journal *journal)
{
    bool ok = true;
    for (size_t i = 0; ok && i < journal->edit_count; i++) {
        const struct journal_edit *r = &journal->edits[i];
        if (r->layer != e->hparams.layer)
            return fail(STATUS_BAD_DATA, "%s: edit %u is of layer %u, this run edits layer %u",
                        journal->where, r->number, r->layer, e->hparams.layer);
        ok = r->reverted || replay(e, r);
    }
    e->edits = e->done_before = (uint32_t)journal->edit_count;
    return ok;
}
