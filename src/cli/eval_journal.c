#include <stdio.h>
#include <stdlib.h>

#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
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

// One edit more; one without effect has no pair.
static bool add(struct model *model, const struct journal_edit *e, struct buffer **u,
                struct buffer **w)
{
    if (!model_edit(model, e->layer)) return false;
    if (e->noop) return true;
    return (*u || buffer_new(model->dev, e->rows * sizeof(float), "u", u)) &&
           (*w || buffer_new(model->dev, e->cols * sizeof(float), "w", w)) &&
           update_load(model->dev, e, *u, *w) &&
           update_add(model->dev, (*u)->address, (*w)->address, model->edited->address, e->rows,
                      e->cols);
}

static bool replay(struct opened *o, const struct remaining *r, struct history *h)
{
    struct buffer *u = NULL, *w = NULL;
    const struct marks *state;
    struct progress bar;
    progress_start(&bar, "measuring", "edit", r->count);
    bool ok = history_start(h, &o->model);
    for (uint32_t i = 0; ok && i < r->count; i++) {
        ok = interrupt_check() && add(&o->model, r->edits[i], &u, &w) &&
             history_step(h, &o->model, i + 1, &state);
        progress_step(&bar, 1);
    }
    progress_end(&bar);
    buffer_free(&o->dev, &u);
    buffer_free(&o->dev, &w);
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
              opened_model(o, args->model) && journal_base(&j, &o->weights, &tensor) &&
              measured_open(&m, args, &o->tokenizer, args->text, args->tokens) &&
              checkpoints_parse(args->checkpoints, &checkpoints, &count) &&
              history_new(&h, &m.measures, &o->tokenizer, r.requests, r.count, checkpoints,
                          count) &&
              replay(o, &r, &h) && print(&h, &r, args);
    history_free(&h);
    measured_free(&m);
    free(r.edits);
    free(r.requests);
    journal_free(&j);
    return ok;
}
