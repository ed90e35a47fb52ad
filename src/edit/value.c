#include "edit/value.h"

#include <math.h>
#include <stdlib.h>

#include "base/interrupt.h"
#include "base/mem.h"
#include "edit/gauss.h"
#include "model/backward.h"
#include "state.def"

struct value {
    struct editor *editor;
    struct batch prefix, suffix;
    struct cache cache;
    struct acts before, acts; // of the prefix pass, of a step
    struct grads grads;
    struct head head;
    uint32_t rows, losses; // of the whole request; rows of logits with a target
    struct buffer *base;   // stream behind the edited layer, all positions [rows, dim]
    struct buffer *prefix_index, *suffix_index, *lookups, *ones;
    struct buffer *target, *weight, *lse, *loss, *kl_lse, *unedited;
    struct buffer *grad, *m, *v, *state, *dots, *coef;
    struct gauss gauss; // with this optimizer, not grad, m, v
};

static void value_free(struct value *s)
{
    struct device *dev = s->editor->model->dev;
    batch_free(&s->prefix);
    batch_free(&s->suffix);
    cache_free(&s->cache);
    acts_free(&s->before);
    acts_free(&s->acts);
    grads_free(&s->grads);
    head_free(&s->head);
    gauss_free(&s->gauss, dev);
    struct buffer **all[] = {&s->base, &s->prefix_index, &s->suffix_index, &s->lookups, &s->ones,
                             &s->target, &s->weight, &s->lse, &s->loss, &s->kl_lse, &s->unedited,
                             &s->grad, &s->m, &s->v, &s->state, &s->dots, &s->coef};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buffer_free(dev, all[i]);
}

static bool index_from(struct device *dev, const uint32_t *index, uint32_t count,
                       struct buffer **buffer)
{
    return count == 0 || buffer_from(dev, index, count * sizeof *index, "row numbers", buffer);
}

// Positions before and from the lookup on, as batches of the layers above and rows of `base`.
static bool split(struct value *s, const struct edit *edit)
{
    const struct prompts *p = edit->prompts;
    const struct model *model = s->editor->model;
    struct sequence *early = mem_new(p->count, sizeof *early, "sequences");
    struct sequence *late = mem_new(p->count, sizeof *late, "sequences");
    for (uint32_t i = 0; i < p->count; i++) s->rows += p->items[i].count;
    uint32_t *index = mem_new(s->rows, sizeof *index, "row numbers");
    uint32_t *lookups = mem_new(p->count, sizeof *lookups, "row numbers");
    bool ok = early && late && index && lookups;
    uint32_t slot = 0, before = 0, behind = 0, early_count = 0;
    for (uint32_t i = 0; ok && i < p->count; i++) before += p->items[i].lookup;
    uint32_t *prefix = index, *suffix = ok ? index + before : NULL;
    for (uint32_t i = 0; ok && i < p->count; i++) {
        const struct prompt *q = &p->items[i];
        if (q->lookup)
            early[early_count++] =
                (struct sequence){.tokens = q->tokens, .end = q->lookup, .slot = slot};
        late[i] = (struct sequence){
            .tokens = q->tokens, .begin = q->lookup, .end = q->count, .slot = slot};
        lookups[i] = behind;
        for (uint32_t t = 0; t < q->lookup; t++) *prefix++ = slot + t;
        for (uint32_t t = q->lookup; t < q->count; t++) suffix[behind++] = slot + t;
        slot += q->count;
    }
    ok = ok && batch_new(&s->suffix, model, late, p->count) &&
         (!before || batch_new(&s->prefix, model, early, early_count)) &&
         index_from(model->dev, index, before, &s->prefix_index) &&
         index_from(model->dev, index + before, behind, &s->suffix_index) &&
         index_from(model->dev, lookups, p->count, &s->lookups);
    free(early);
    free(late);
    free(index);
    free(lookups);
    return ok;
}

// The rows of logits: target k of prompt j is predicted at its position given - 1 + k; last the
// KL prompt's lookup, which is its only row.
static bool targets(struct value *s, const struct edit *edit)
{
    const struct prompts *p = edit->prompts;
    struct device *dev = s->editor->model->dev;
    uint32_t many = (p->count - 1) * p->target_count, row = 0, n = 0;
    uint32_t *index = mem_new(many + 1, sizeof *index, "targets");
    uint32_t *target = mem_new(many, sizeof *target, "targets");
    float *weight = mem_new(many + p->count, sizeof *weight, "targets");
    bool ok = index && target && weight;
    for (uint32_t i = 0; ok && i + 1 < p->count; i++) {
        const struct prompt *q = &p->items[i];
        for (uint32_t k = 0; k < p->target_count; k++, n++) {
            index[n] = row + q->given - 1 + k - q->lookup;
            target[n] = p->target[k];
            weight[n] = 1 / (float)many;
        }
        row += q->count - q->lookup;
    }
    s->losses = many;
    if (ok) index[n] = row;
    ok = ok && head_new(&s->head, s->editor->model, index, many + 1) &&
         buffer_from(dev, target, many * sizeof *target, "targets", &s->target) &&
         buffer_from(dev, weight, many * sizeof *weight, "targets", &s->weight);
    for (uint32_t i = 0; ok && i < p->count; i++) weight[i] = 1;
    ok = ok && buffer_from(dev, weight, p->count * sizeof *weight, "ones", &s->ones);
    free(index);
    free(target);
    free(weight);
    return ok;
}

static bool gauss_wanted(const struct value *s)
{
    return s->editor->hparams.optimizer == OPTIMIZER_GAUSS_NEWTON;
}

static bool scratch(struct value *s, const struct edit *edit, const struct penalty penalties[2])
{
    struct model *model = s->editor->model;
    struct device *dev = model->dev;
    const struct config *c = &model->config;
    uint32_t above = s->editor->site->layer + 1, most = 1;
    uint64_t dim = c->dim * sizeof(float);
    for (int i = 0; i < 2; i++)
        if (penalties[i].rows.rows > most) most = penalties[i].rows.rows;
    return cache_new(&s->cache, model, above, c->layers, s->rows, false) &&
           acts_new(&s->acts, model, above, c->layers, &s->suffix, true) &&
           (!s->prefix.rows ||
            acts_new(&s->before, model, above, c->layers, &s->prefix, false)) &&
           grads_new(&s->grads, model, &s->suffix,
                     s->suffix.rows > s->losses ? s->suffix.rows : s->losses + 1) &&
           buffer_new(dev, s->rows * dim, "residuals", &s->base) &&
           buffer_new(dev, (s->losses + 1) * sizeof(float), "losses", &s->lse) &&
           buffer_new(dev, (s->losses + 1) * sizeof(float), "losses", &s->loss) &&
           buffer_new(dev, 2 * sizeof(float), "losses", &s->kl_lse) &&
           buffer_new(dev, c->vocab * sizeof(float), "unedited logits", &s->unedited) &&
           buffer_new(dev, dim, "a gradient", &s->grad) &&
           buffer_new(dev, dim, "Adam's mean", &s->m) &&
           buffer_new(dev, dim, "Adam's squares", &s->v) &&
           buffer_new(dev, STATE_SIZE * sizeof(float), "state of a step", &s->state) &&
           buffer_new(dev, most * sizeof(float), "cosines", &s->dots) &&
           buffer_new(dev, most * sizeof(float), "cosines", &s->coef) &&
           (!gauss_wanted(s) || gauss_new(&s->gauss, model, edit->prompts));
}

// Where faults come through on their way to what is read back: the stream keeps what a layer adds,
// and so does its gradient.
static void watch_stream(struct cmd *cmd, const struct value *s, fbuf stream, uint32_t rows)
{
    op_watch(cmd, (struct watch_args){.x = stream, .fault = s->state->address + 4 * STATE_FAULT,
                                      .n = rows * s->editor->model->config.dim, .step_ = 1,
                                      .place = STATE_FAULTY});
}

static void zero(struct cmd *cmd, const struct buffer *buffer, uint32_t n)
{
    op_fill(cmd, (struct fill_args){.y = buffer->address, .n = n, .value = 0});
}

// Once an edit: the stream behind the edited layer, and keys and values before the lookups.
static bool prefix_pass(struct value *s, const struct edit *edit)
{
    struct model *model = s->editor->model;
    const struct config *c = &model->config;
    uint32_t layer = s->editor->site->layer;
    struct cmd cmd;
    cmd_start(&cmd, model->dev, false);
    zero(&cmd, s->editor->delta, c->dim);
    zero(&cmd, s->m, c->dim);
    zero(&cmd, s->v, c->dim);
    zero(&cmd, s->state, STATE_SIZE);
    if (gauss_wanted(s)) zero(&cmd, s->gauss.pulls, 2 * c->dim);
    cmd_part(&cmd, "layer", layer);
    forward_down(&cmd, model, layer,
                 edit->prepared->key->address + 4ull * edit->first * c->ffn,
                 edit->prepared->mid->address + 4ull * edit->first * c->dim, s->base->address,
                 s->rows);
    if (s->prefix.rows) {
        op_gather_rows(&cmd, (struct gather_rows_args){.x = s->base->address,
                                                       .index = s->prefix_index->address,
                                                       .y = s->before.stream[0]->address,
                                                       .rows = s->prefix.rows, .cols = c->dim});
        forward_layers(&cmd, model, &s->prefix, &s->cache, &s->before, layer + 1, c->layers);
        watch_stream(&cmd, s, s->before.stream[0]->address, s->prefix.rows);
    }
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

static void record_forward(struct cmd *cmd, struct value *s, const struct edit *edit)
{
    struct model *model = s->editor->model;
    const struct config *c = &model->config;
    uint32_t above = s->editor->site->layer + 1;
    fbuf stream = s->acts.stream[0]->address;
    op_gather_rows(cmd, (struct gather_rows_args){.x = s->base->address,
                                                  .index = s->suffix_index->address, .y = stream,
                                                  .rows = s->suffix.rows, .cols = c->dim});
    op_add_row(cmd, (struct add_row_args){.x = s->editor->delta->address,
                                          .index = s->lookups->address, .y = stream,
                                          .count = edit->prompts->count, .cols = c->dim});
    forward_layers(cmd, model, &s->suffix, &s->cache, &s->acts, above, c->layers);
    fbuf behind = s->acts.stream[c->layers - above]->address;
    watch_stream(cmd, s, behind, s->suffix.rows);
    forward_head(cmd, model, &s->head, behind);
}

// NLL of the targets and KL(edited || unedited) of the essence prompt; gradients to the logits.
static void record_losses(struct cmd *cmd, struct value *s)
{
    uint32_t vocab = s->editor->model->config.vocab;
    cmd_part(cmd, "loss", CMD_NO_NUMBER);
    fbuf logits = s->head.logits->address, essence = logits + 4ull * s->losses * vocab;
    fbuf kl = s->loss->address + 4ull * s->losses;
    op_keep_first(cmd, (struct keep_first_args){.x = essence, .state = s->state->address,
                                                .y = s->unedited->address, .n = vocab});
    op_cross_entropy(cmd, (struct cross_entropy_args){
                              .logits = logits, .target = s->target->address,
                              .lse = s->lse->address, .loss = s->loss->address,
                              .rows = s->losses, .cols = vocab});
    op_kl(cmd, (struct kl_args){.logits = essence, .base = s->unedited->address,
                                .lse = s->kl_lse->address, .loss = kl, .rows = 1, .cols = vocab});
    op_cross_entropy_back(cmd, (struct cross_entropy_back_args){
                                   .target = s->target->address, .lse = s->lse->address,
                                   .weight = s->weight->address, .logits = logits,
                                   .rows = s->losses, .cols = vocab});
    op_kl_back(cmd, (struct kl_back_args){.base = s->unedited->address,
                                          .lse = s->kl_lse->address, .loss = kl,
                                          .logits = essence, .rows = 1, .cols = vocab,
                                          .weight = (float)s->editor->hparams.kl});
}

// f_i and its gradient's part along the rows (O-Edit Eq. 25, Eq. 27), which is added to `grad`, or
// for Gauss-Newton its own.
static void record_penalty(struct cmd *cmd, struct value *s, const struct penalty *p,
                           uint32_t slot, fbuf grad)
{
    uint32_t dim = s->editor->model->config.dim, rows = p->rows.rows;
    if (rows == 0 || p->weight == 0) return;
    op_dot_rows(cmd, (struct dot_rows_args){.x = p->rows.data, .w = s->editor->delta->address,
                                            .y = s->dots->address, .rows = rows, .cols = dim});
    op_cosine(cmd, (struct cosine_args){.dots = s->dots->address, .norms = p->norms,
                                        .state = s->state->address, .coef = s->coef->address,
                                        .rows = rows, .mode = s->editor->hparams.cosine,
                                        .out_ = slot, .weight = (float)p->weight});
    gemm_nn(cmd, matrix_of(s->coef->address, 1, rows), p->rows,
            matrix_of(grad, 1, dim), 1, gauss_wanted(s) ? 0 : 1);
}

static void record_step(struct cmd *cmd, struct value *s, const struct edit *edit,
                        const struct penalty penalties[2])
{
    struct editor *e = s->editor;
    const struct config *c = &e->model->config;
    uint32_t above = e->site->layer + 1;
    record_forward(cmd, s, edit);
    record_losses(cmd, s);
    backward_head(cmd, e->model, &s->head, &s->grads, s->suffix.rows);
    backward_layers(cmd, e->model, &s->suffix, &s->cache, &s->acts, &s->grads, above, c->layers);
    watch_stream(cmd, s, s->grads.stream->address, s->suffix.rows);
    cmd_part(cmd, "step", CMD_NO_NUMBER);
    if (gauss_wanted(s)) {
        fbuf pulls = s->gauss.pulls->address;
        record_penalty(cmd, s, &penalties[0], STATE_F1, pulls);
        record_penalty(cmd, s, &penalties[1], STATE_F2, pulls + 4ull * c->dim);
        gauss_record(cmd, &s->gauss, e, edit->v0, s->grads.stream->address, s->lookups->address,
                     s->loss->address, s->state->address);
        return;
    }
    op_sum_rows(cmd, (struct sum_rows_args){.x = s->grads.stream->address,
                                            .index = s->lookups->address,
                                            .weight = s->ones->address, .y = s->grad->address,
                                            .count = edit->prompts->count, .cols = c->dim});
    record_penalty(cmd, s, &penalties[0], STATE_F1, s->grad->address);
    record_penalty(cmd, s, &penalties[1], STATE_F2, s->grad->address);
    op_adam(cmd, (struct adam_args){.grad = s->grad->address, .loss = s->loss->address,
                                    .delta = e->delta->address, .m = s->m->address,
                                    .v = s->v->address, .state = s->state->address, .n = c->dim,
                                    .losses = s->losses, .rate = (float)e->hparams.rate,
                                    .decay = (float)(e->hparams.decay / (edit->v0 * edit->v0)),
                                    .kl_factor = (float)e->hparams.kl,
                                    .stop = (float)e->hparams.stop,
                                    .clamp = (float)(e->hparams.clamp * edit->v0),
                                    .steps = e->hparams.steps});
}

static bool look(struct value *s, struct edit *edit, bool *stopped)
{
    float state[STATE_SIZE];
    float length = edit->steps ? (float)edit->length : 0;
    if (!buffer_read(s->editor->model->dev, s->state, 0, state, sizeof state)) return false;
    edit->trace[edit->steps++] =
        (struct trace){.total = state[STATE_TOTAL], .nll = state[STATE_NLL],
                       .kl = state[STATE_KL], .decay = state[STATE_DECAY], .f1 = state[STATE_F1],
                       .f2 = state[STATE_F2], .length = length};
    edit->length = sqrt((double)state[STATE_LENGTH2]);
    edit->chosen = (uint32_t)state[STATE_CHOSEN] - 1;
    // Gauss-Newton turns from such a point, if it has a better one.
    bool usable = isfinite(state[STATE_TOTAL]) || edit->chosen + 1 < edit->steps;
    bool fault = state[STATE_FAULT] != 0;
    edit->faulty = fault || !usable || !isfinite(state[STATE_LENGTH2]);
    edit->diverged = edit->faulty && (edit->steps > 1 || (usable && !fault));
    *stopped = state[STATE_STOPPED] != 0 || edit->faulty;
    return true;
}

bool value_find(struct editor *editor, struct edit *edit, const struct penalty penalties[2])
{
    struct value s = {.editor = editor};
    struct cmd cmd = {0};
    bool stopped = false;
    edit->steps = 0;
    edit->length = 0;
    edit->faulty = false;
    account_phase(&editor->model->dev->account, "prefix");
    bool ok = split(&s, edit) && targets(&s, edit) && scratch(&s, edit, penalties) &&
              prefix_pass(&s, edit);
    account_phase(&editor->model->dev->account, "steps");
    if (ok) {
        cmd_start(&cmd, editor->model->dev, true);
        record_step(&cmd, &s, edit, penalties);
        ok = cmd_end(&cmd);
    }
    while (ok && !stopped)
        ok = interrupt_check() && cmd_replay(&cmd) && look(&s, edit, &stopped);
    cmd_free(&cmd);
    value_free(&s);
    return ok;
}
