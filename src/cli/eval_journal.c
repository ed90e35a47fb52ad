#include <stdio.h>
#include <stdlib.h>

#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/journal_model.h"
#include "cli/measured.h"
#include "edit/update.h"

// The edits that are left: none was reverted. Checkpoints count these.
struct remaining {
    const struct journal_edit **edits;
    struct request *requests; // the journal's own
    uint32_t count;
};

static bool remaining_find(struct remaining *r, const struct journal *j)
{
    r->edits = mem_new(j->edit_count, sizeof *r->edits, "edits");
    r->requests = mem_new(j->edit_count, sizeof *r->requests, "edits");
    if (!r->edits || !r->requests) return false;
    for (size_t i = 0; i < j->edit_count; i++) {
        if (j->edits[i].reverted) continue;
        r->edits[r->count] = &j->edits[i];
        r->requests[r->count++] = j->edits[i].request;
    }
    return r->count || fail(STATUS_BAD_DATA, "%s has no edits to measure", j->where);
}

// The layers' f32 copies, as the run of these edits had them from its first edit on.
static bool layers_edit(struct opened *o, const struct journal *j)
{
    const struct tensor *tensor;
    bool ok = true;
    for (size_t i = 0; ok && (i < j->header.tensor_count || i == 0); i++)
        ok = journal_base(j, &o->weights, i, &tensor) &&
             model_edit(&o->model, j->header.tensors[i].layer);
    return ok;
}

// The journal's matrices in place of the model's, or back: NULL stands for no other.
static void exchange(struct model *model, const struct journal *j, struct buffer **matrices)
{
    for (size_t i = 0; i < j->header.tensor_count; i++)
        if (matrices[i]) model_exchange(model, j->header.tensors[i].layer, &matrices[i]);
}

// Measures the weights that a run up to edit `last` would have written.
static bool state(struct opened *o, const struct journal *j, const struct journal_edit *last,
                  struct history *h, uint32_t edits)
{
    const struct guard *guard = journal_guard(j);
    struct journal part = *j;
    const struct tensor *tensor;
    if (!guard) return false;
    if (!guard->finish) return history_state(h, &o->model, edits);
    part.edit_count = (size_t)(last - j->edits) + 1;
    const size_t count = j->header.tensor_count;
    struct buffer **matrices = mem_new(count, sizeof(struct buffer *), "finished weights");
    bool ok = matrices != NULL;
    for (size_t i = 0; ok && i < count; i++)
        ok = journal_matrix(&part, &o->weights, &o->dev, i, &tensor, &matrices[i]);
    if (ok) {
        exchange(&o->model, j, matrices);
        ok = history_state(h, &o->model, edits);
        exchange(&o->model, j, matrices);
    }
    for (size_t i = 0; matrices && i < count; i++) buffer_free(&o->dev, &matrices[i]);
    free(matrices);
    return ok;
}

static bool replay(struct opened *o, const struct journal *j, const struct remaining *r,
                   struct history *h)
{
    struct update_room room = {0};
    struct mask mask;
    struct progress bar;
    progress_start(&bar, "measuring", "edit", r->count);
    bool ok = mask_read(j, &mask) && history_start(h, &o->model) && layers_edit(o, j);
    for (uint32_t i = 0; ok && i < r->count; i++) {
        const struct journal_edit *e = r->edits[i];
        ok = interrupt_check() &&
             (e->noop || update_recorded(&o->dev, &mask, e, &room,
                                         o->model.layers[e->layer].edited)) &&
             history_right_after(h, &o->model, i + 1) &&
             (!history_is_checkpoint(h, i + 1) || state(o, j, e, h, i + 1));
        progress_step(&bar, 1);
    }
    progress_end(&bar);
    update_room_free(&o->dev, &room);
    return ok;
}

static bool print(const struct history *h, const struct remaining *r, const struct args *args)
{
    if (!args->json) {
        history_print(h, stdout);
        return true;
    }
    cJSON *root = history_json(h, r->requests);
    cJSON_AddStringToObject(root, "journal", args->journal);
    bool ok = json_put(root, true);
    cJSON_Delete(root);
    return ok;
}

bool eval_journal(struct opened *o, const struct args *args)
{
    struct journal j = {0};
    struct remaining r = {0};
    struct measured m = {0};
    struct history h = {0};
    const struct tensor *tensor;
    uint32_t *checkpoints = NULL, count = 0;
    bool ok = journal_open(&j, args->journal, false) && remaining_find(&r, &j) &&
              opened_model(o, args->model) && journal_base(&j, &o->weights, 0, &tensor) &&
              measured_open(&m, args, &o->tokenizer, args->text, args->tokens) &&
              checkpoints_parse(args->checkpoints, &checkpoints, &count) &&
              history_new(&h, &m.measures, &o->tokenizer, r.requests, r.count, checkpoints,
                          count) &&
              replay(o, &j, &r, &h) && print(&h, &r, args);
    history_free(&h);
    measured_free(&m);
    free(r.edits);
    free(r.requests);
    journal_free(&j);
    return ok;
}
