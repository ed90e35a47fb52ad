#include "ref_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref.h"
#include "ref_quant.h"

static double *part(const struct weights *weights, enum part which, uint32_t layer, uint64_t count)
{
    double *x = ref_zeros(count);
    const struct tensor *t = weights_part(weights, which, layer);
    uint8_t *pairs = t && t->split_heads ? malloc(t->bytes) : NULL;
    if (pairs) tensor_pairs(t, pairs);
    if (t) ref_unpack(t->dtype, pairs ? pairs : t->data, t->rows * t->cols, x);
    free(pairs);
    return x;
}

static double *turns_make(const struct weights *weights)
{
    const struct config *c = &weights->config;
    uint32_t pairs = c->head_dim / 2;
    double *turns = ref_zeros(2ull * c->context * pairs);
    double *factors = part(weights, PART_ROPE_FREQS, 0, pairs);
    for (uint64_t p = 0; p < c->context; p++)
        for (uint32_t i = 0; i < pairs; i++) {
            double angle = (double)p / pow((double)c->rope_base, 2.0 * i / c->head_dim);
            if (c->rope_freqs) angle /= factors[i];
            turns[2 * (p * pairs + i)] = cos(angle);
            turns[2 * (p * pairs + i) + 1] = sin(angle);
        }
    free(factors);
    return turns;
}

void ref_model_open(struct ref_model *model, const struct weights *weights)
{
    const struct config *c = &weights->config;
    uint64_t d = c->dim, q = (uint64_t)c->heads * c->head_dim;
    uint64_t kv = (uint64_t)c->kv_heads * c->head_dim, table = c->vocab * d;
    *model = (struct ref_model){.config = *c};
    model->embed = part(weights, PART_EMBED, 0, table);
    model->head = part(weights, c->tied ? PART_EMBED : PART_OUTPUT, 0, table);
    model->output_norm = part(weights, PART_OUTPUT_NORM, 0, d);
    model->turns = turns_make(weights);
    model->layers = calloc(c->layers, sizeof *model->layers);
    if (!model->layers) abort();
    for (uint32_t i = 0; i < c->layers; i++)
        model->layers[i] = (struct ref_layer){
            .attn_norm = part(weights, PART_ATTN_NORM, i, d),
            .ffn_norm = part(weights, PART_FFN_NORM, i, d),
            .q = part(weights, PART_Q, i, q * d), .k = part(weights, PART_K, i, kv * d),
            .v = part(weights, PART_V, i, kv * d),
            .attn_output = part(weights, PART_ATTN_OUTPUT, i, q * d),
            .gate = part(weights, PART_FFN_GATE, i, d * c->ffn),
            .up = part(weights, PART_FFN_UP, i, d * c->ffn),
            .down = part(weights, PART_FFN_DOWN, i, d * c->ffn),
            .q_bias = part(weights, PART_Q_BIAS, i, q),
            .k_bias = part(weights, PART_K_BIAS, i, kv),
            .v_bias = part(weights, PART_V_BIAS, i, kv),
            .o_bias = part(weights, PART_O_BIAS, i, d),
            .gate_bias = part(weights, PART_GATE_BIAS, i, c->ffn),
            .up_bias = part(weights, PART_UP_BIAS, i, c->ffn),
            .down_bias = part(weights, PART_DOWN_BIAS, i, d)};
}

void ref_model_close(struct ref_model *model)
{
    for (uint32_t i = 0; i < model->config.layers; i++) {
        struct ref_layer *l = &model->layers[i];
        double *all[] = {l->attn_norm, l->ffn_norm, l->q, l->k, l->v, l->attn_output, l->gate,
                         l->up, l->down, l->q_bias, l->k_bias, l->v_bias, l->o_bias,
                         l->gate_bias, l->up_bias, l->down_bias};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++) free(all[j]);
    }
    free(model->layers);
    free(model->embed);
    free(model->head);
    free(model->output_norm);
    free(model->turns);
    *model = (struct ref_model){0};
}

// y = x w^T + bias (or what y has)
static void project(const double *x, const double *w, const double *bias, double *y, uint32_t rows,
                    uint32_t outs, uint32_t inner)
{
    for (uint64_t i = 0; bias && i < (uint64_t)rows * outs; i++) y[i] = bias[i % outs];
    ref_gemm((struct ref_gemm){.turn_w = true, .rows = rows, .outs = outs, .inner = inner,
                               .ldx = inner, .ldw = inner, .ldy = outs, .alpha = 1, .beta = 1},
             x, w, y, NULL);
}

// dx += dy w for w [outs, inner]
static void project_back(const double *dy, const double *w, double *dx, uint32_t rows,
                         uint32_t outs, uint32_t inner)
{
    ref_gemm((struct ref_gemm){.rows = rows, .outs = inner, .inner = outs, .ldx = outs,
                               .ldw = inner, .ldy = inner, .alpha = 1, .beta = 1},
             dy, w, dx, NULL);
}

static void turn(const struct ref_pass *pass, const double *x, double *y, uint32_t heads,
                 double sign)
{
    const struct config *c = &pass->model->config;
    uint32_t *numbers = calloc(pass->count, sizeof *numbers);
    if (!numbers) abort();
    for (uint32_t i = 0; i < pass->count; i++) numbers[i] = i;
    ref_rope(x, pass->model->turns, numbers, numbers, y, pass->count, heads, c->head_dim,
             c->rope_interleaved, sign);
    free(numbers);
}

static struct ref_attention attention(const struct ref_pass *pass, const struct ref_act *act)
{
    uint32_t layer = (uint32_t)(act - pass->acts);
    const struct config *c = &pass->model->config;
    return (struct ref_attention){
        .rows = pass->count, .heads = c->heads, .kv_heads = c->kv_heads, .dim = c->head_dim,
        .window = layer >= c->window_layer ? c->sliding_window : 0,
        .scale = 1 / sqrt((double)c->head_dim), .q = act->q, .k = act->k, .v = act->v,
        .first = pass->first, .count = pass->seen};
}

static void layer_forward(struct ref_pass *pass, uint32_t number)
{
    const struct config *c = &pass->model->config;
    const struct ref_layer *l = &pass->model->layers[number];
    const struct ref_act *act = &pass->acts[number];
    uint32_t n = pass->count, q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    double *x = pass->stream[number], *normed = ref_zeros((uint64_t)n * c->dim);
    double *flat = ref_zeros((uint64_t)n * q), *lse = ref_zeros((uint64_t)n * c->heads);
    ref_rmsnorm(x, l->attn_norm, normed, n, c->dim, (double)c->norm_eps);
    project(normed, l->q, l->q_bias, flat, n, q, c->dim);
    turn(pass, flat, act->q, c->heads, 1);
    project(normed, l->k, l->k_bias, flat, n, kv, c->dim);
    turn(pass, flat, act->k, c->kv_heads, 1);
    project(normed, l->v, l->v_bias, act->v, n, kv, c->dim);
    struct ref_attention a = attention(pass, act);
    ref_attention(&a, act->o, lse);
    for (uint64_t i = 0; i < (uint64_t)n * c->dim; i++) act->mid[i] = x[i] + l->o_bias[i % c->dim];
    project(act->o, l->attn_output, NULL, act->mid, n, c->dim, q);
    ref_rmsnorm(act->mid, l->ffn_norm, normed, n, c->dim, (double)c->norm_eps);
    project(normed, l->gate, l->gate_bias, act->gate, n, c->ffn, c->dim);
    project(normed, l->up, l->up_bias, act->up, n, c->ffn, c->dim);
    for (uint64_t i = 0; i < (uint64_t)n * c->ffn; i++)
        act->key[i] = ref_silu(act->gate[i]) * act->up[i];
    for (uint64_t i = 0; i < (uint64_t)n * c->dim; i++)
        pass->stream[number + 1][i] = act->mid[i] + l->down_bias[i % c->dim];
    project(act->key, l->down, NULL, pass->stream[number + 1], n, c->dim, c->ffn);
    free(normed);
    free(flat);
    free(lse);
}

static void pass_new(struct ref_pass *pass, const struct ref_model *model, uint32_t count)
{
    const struct config *c = &model->config;
    uint64_t n = count, q = n * c->heads * c->head_dim, kv = n * c->kv_heads * c->head_dim;
    *pass = (struct ref_pass){.model = model, .count = count};
    pass->stream = calloc(c->layers + 1, sizeof *pass->stream);
    pass->acts = calloc(c->layers, sizeof *pass->acts);
    pass->first = calloc(n, sizeof *pass->first);
    pass->seen = calloc(n, sizeof *pass->seen);
    if (!pass->stream || !pass->acts || !pass->first || !pass->seen) abort();
    for (uint32_t i = 0; i <= c->layers; i++) pass->stream[i] = ref_zeros(n * c->dim);
    for (uint32_t i = 0; i < count; i++) pass->seen[i] = i + 1;
    for (uint32_t i = 0; i < c->layers; i++)
        pass->acts[i] = (struct ref_act){
            .q = ref_zeros(q), .k = ref_zeros(kv), .v = ref_zeros(kv), .o = ref_zeros(q),
            .mid = ref_zeros(n * c->dim), .gate = ref_zeros(n * c->ffn),
            .up = ref_zeros(n * c->ffn), .key = ref_zeros(n * c->ffn)};
}

void ref_forward(struct ref_pass *pass, const struct ref_model *model, const uint32_t *tokens,
                 uint32_t count, uint32_t layer, uint32_t at, const double *add)
{
    uint64_t dim = model->config.dim;
    pass_new(pass, model, count);
    for (uint32_t i = 0; i < count; i++)
        memcpy(pass->stream[0] + i * dim, model->embed + tokens[i] * dim, dim * sizeof(double));
    for (uint32_t l = 0; l < model->config.layers; l++) {
        layer_forward(pass, l);
        for (uint64_t i = 0; add && l == layer && i < dim; i++)
            pass->stream[l + 1][at * dim + i] += add[i];
    }
}

void ref_forward_from(struct ref_pass *pass, uint32_t from)
{
    for (uint32_t l = from; l < pass->model->config.layers; l++) layer_forward(pass, l);
}

void ref_pass_free(struct ref_pass *pass)
{
    uint32_t layers = pass->model->config.layers;
    for (uint32_t i = 0; i <= layers; i++) free(pass->stream[i]);
    for (uint32_t i = 0; i < layers; i++) {
        struct ref_act *a = &pass->acts[i];
        double *all[] = {a->q, a->k, a->v, a->o, a->mid, a->gate, a->up, a->key};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++) free(all[j]);
    }
    free(pass->stream);
    free(pass->acts);
    free(pass->first);
    free(pass->seen);
    *pass = (struct ref_pass){0};
}

void ref_logits(const struct ref_pass *pass, uint32_t position, double *logits)
{
    const struct config *c = &pass->model->config;
    double *normed = ref_zeros(c->dim);
    const double *x = pass->stream[c->layers] + (uint64_t)position * c->dim;
    ref_rmsnorm(x, pass->model->output_norm, normed, 1, c->dim, (double)c->norm_eps);
    memset(logits, 0, c->vocab * sizeof *logits);
    project(normed, pass->model->head, NULL, logits, 1, c->vocab, c->dim);
    free(normed);
}

void ref_logits_back(const struct ref_pass *pass, uint32_t position, const double *dlogits,
                     double *dstream)
{
    const struct config *c = &pass->model->config;
    double *back = ref_zeros(c->dim);
    uint64_t at = (uint64_t)position * c->dim;
    project_back(dlogits, pass->model->head, back, 1, c->vocab, c->dim);
    ref_rmsnorm_back(pass->stream[c->layers] + at, pass->model->output_norm, back, dstream + at, 1,
                     c->dim, (double)c->norm_eps);
    free(back);
}

static void ffn_back(const struct ref_pass *pass, uint32_t number, double *dstream)
{
    const struct config *c = &pass->model->config;
    const struct ref_layer *l = &pass->model->layers[number];
    const struct ref_act *act = &pass->acts[number];
    uint32_t n = pass->count;
    uint64_t many = (uint64_t)n * c->ffn;
    double *dkey = ref_zeros(many), *dup = ref_zeros(many), *back = ref_zeros((uint64_t)n * c->dim);
    project_back(dstream, l->down, dkey, n, c->dim, c->ffn);
    for (uint64_t i = 0; i < many; i++) {
        dup[i] = dkey[i] * ref_silu(act->gate[i]);
        dkey[i] *= act->up[i] * ref_silu_slope(act->gate[i]);
    }
    project_back(dkey, l->gate, back, n, c->ffn, c->dim);
    project_back(dup, l->up, back, n, c->ffn, c->dim);
    ref_rmsnorm_back(act->mid, l->ffn_norm, back, dstream, n, c->dim, (double)c->norm_eps);
    free(dkey);
    free(dup);
    free(back);
}

static void attention_back(const struct ref_pass *pass, uint32_t number, double *dstream)
{
    const struct config *c = &pass->model->config;
    const struct ref_layer *l = &pass->model->layers[number];
    const struct ref_act *act = &pass->acts[number];
    uint32_t n = pass->count, q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    uint64_t many = (uint64_t)n * q;
    double *dy = ref_zeros(many), *dq = ref_zeros(many), *dk = ref_zeros(many);
    double *dv = ref_zeros(many), *flat = ref_zeros(many), *back = ref_zeros((uint64_t)n * c->dim);
    project_back(dstream, l->attn_output, dy, n, c->dim, q);
    struct ref_attention a = attention(pass, act);
    ref_attention_back(&a, dy, dq, dk, dv);
    turn(pass, dq, flat, c->heads, -1);
    project_back(flat, l->q, back, n, q, c->dim);
    turn(pass, dk, flat, c->kv_heads, -1);
    project_back(flat, l->k, back, n, kv, c->dim);
    project_back(dv, l->v, back, n, kv, c->dim);
    ref_rmsnorm_back(pass->stream[number], l->attn_norm, back, dstream, n, c->dim,
                     (double)c->norm_eps);
    double *all[] = {dy, dq, dk, dv, flat, back};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

void ref_backward(const struct ref_pass *pass, uint32_t from, double *dstream)
{
    for (uint32_t l = pass->model->config.layers; l-- > from;) {
        ffn_back(pass, l, dstream);
        attention_back(pass, l, dstream);
    }
}

uint32_t ref_next(const struct ref_model *model, const uint32_t *ids, uint32_t count,
                  uint32_t wanted, double *log_likelihood)
{
    uint32_t vocab = model->config.vocab, top = 0;
    double *logits = ref_zeros(vocab), sum = 0;
    struct ref_pass pass;
    ref_forward(&pass, model, ids, count, 0, 0, NULL);
    ref_logits(&pass, count - 1, logits);
    for (uint32_t i = 1; i < vocab; i++)
        if (logits[i] > logits[top]) top = i;
    for (uint32_t i = 0; i < vocab; i++) sum += exp(logits[i] - logits[top]);
    if (log_likelihood) *log_likelihood = logits[wanted] - logits[top] - log(sum);
    ref_pass_free(&pass);
    free(logits);
    return top;
}
