// The model on the device against the same model in double precision: forward, cached prefixes,
// gradients, C and grad G.
#define _GNU_SOURCE
#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "edit/stats.h"
#include "model/backward.h"
#include "ref.h"
#include "ref_model.h"
#include "ref_must.h"
#include "ref_rig.h"
#include "ref_tiny.h"

// A sum of n terms has an error of at most n 2^-24 of their magnitudes; a layer chains sums over
// dim, head_dim, keys, dim and ffn, three layers and the head about 1000 terms: 6e-5 of the largest
// logit at worst. Gradients chain twice as many.
#define LOGIT_BOUND 6e-5
#define GRADIENT_BOUND 1.2e-4

static const struct tiny shapes[] = {
    {3, 64, 96, 4, 2, 16, 97, 64, 0, false, false, false, DTYPE_F32, 0, 1, false, 0},
    {3, 64, 96, 3, 1, 16, 97, 64, 0, false, true, false, DTYPE_F32, 0, 2, false, 0},
    {3, 64, 96, 8, 1, 8, 97, 64, 5, false, false, false, DTYPE_F32, 0, 3, false, 0},
    {2, 64, 96, 4, 4, 16, 97, 64, 0, true, true, false, DTYPE_F32, 0, 4, false, 0},
    {2, 32, 64, 4, 2, 8, 131, 64, 0, false, false, true, DTYPE_F32, 0, 5, false, 0},
    {2, 64, 96, 4, 2, 16, 97, 64, 0, false, true, false, DTYPE_Q8_0, 0, 6, false, 0},
    {2, 64, 96, 4, 2, 16, 99, 64, 9, true, true, true, DTYPE_F16, 0, 7, false, 0},
    {3, 64, 96, 4, 2, 16, 97, 64, 5, false, true, false, DTYPE_F32, 0, 8, true, 2},
};

struct pair { // a model twice
    struct weights weights;
    struct model model;
    struct ref_model ref;
};

static struct pair *pair_open(struct rig *rig, const struct tiny *tiny)
{
    struct pair *p = rig_memory(1, sizeof *p);
    const char *path = tiny_path("model.gguf");
    tiny_write(tiny, path);
    must(weights_open(&p->weights, path));
    p->weights.config.window_layer = tiny->window_layer;
    must(model_open(&p->model, rig->dev, &p->weights));
    ref_model_open(&p->ref, &p->weights);
    return p;
}

static void pair_close(struct pair *p)
{
    ref_model_close(&p->ref);
    model_close(&p->model);
    weights_close(&p->weights);
    free(p);
}

// Everything of a run over some sequences; the head looks at all rows.
struct run {
    struct batch batch;
    struct acts acts;
    struct head head;
    float *logits; // [rows, vocab]
};

static void run_new(struct run *r, const struct pair *p, const struct sequence *sequences,
                    size_t count, const struct cache *cache, bool kept)
{
    const struct model *m = &p->model;
    uint32_t layers = m->config.layers, *index;
    *r = (struct run){0};
    must(batch_new(&r->batch, m, sequences, count));
    must(acts_new(&r->acts, m, 0, layers, &r->batch, kept));
    index = rig_memory(r->batch.rows, sizeof *index);
    for (uint32_t i = 0; i < r->batch.rows; i++) index[i] = i;
    must(head_new(&r->head, m, index, r->batch.rows));
    free(index);
    struct cmd cmd;
    cmd_start(&cmd, m->dev, false);
    forward_embed(&cmd, m, &r->batch, &r->acts);
    forward_layers(&cmd, m, &r->batch, cache, &r->acts, 0, layers);
    forward_head(&cmd, m, &r->head, r->acts.stream[layers]->address);
    must(cmd_run_once(&cmd));
    cmd_free(&cmd);
    uint64_t bytes = (uint64_t)r->batch.rows * m->config.vocab * sizeof(float);
    r->logits = rig_memory(bytes, 1);
    must(buffer_read(m->dev, r->head.logits, 0, r->logits, bytes));
}

static void run_free(struct run *r)
{
    head_free(&r->head);
    acts_free(&r->acts);
    batch_free(&r->batch);
    free(r->logits);
}

static void near(struct rig *rig, const char *what, const float *got, const double *want,
                 uint64_t count, double bound)
{
    double *size = ref_zeros(count), largest = 0;
    for (uint64_t i = 0; i < count; i++) largest = fmax(largest, fabs(want[i]));
    for (uint64_t i = 0; i < count; i++) size[i] = largest;
    rig_near_host(rig, what, got, want, size, count, bound / RIG_EPS);
    free(size);
}

// Rows of logits of positions [begin, end) of one text.
static void logits_check(struct rig *rig, const struct pair *p, const char *what,
                         const uint32_t *tokens, uint32_t begin, uint32_t end, const float *got)
{
    uint32_t vocab = p->ref.config.vocab;
    double *want = ref_zeros((uint64_t)(end - begin) * vocab);
    struct ref_pass pass;
    ref_forward(&pass, &p->ref, tokens, end, 0, 0, NULL);
    for (uint32_t i = begin; i < end; i++)
        ref_logits(&pass, i, want + (uint64_t)(i - begin) * vocab);
    near(rig, what, got, want, (uint64_t)(end - begin) * vocab, LOGIT_BOUND);
    ref_pass_free(&pass);
    free(want);
}

// Texts of some length run as matrix products, short ones row by row.
static void forward_case(struct rig *rig, const struct tiny *tiny, const uint32_t ends[3],
                         bool shared)
{
    struct pair *p = pair_open(rig, tiny);
    uint32_t vocab = p->ref.config.vocab, *tokens = rig_random_ids(rig, 3 * 64, vocab);
    struct sequence q[3];
    // Slots in another order than rows, and gaps between them.
    for (uint32_t i = 0; i < 3; i++)
        q[i] = (struct sequence){.tokens = tokens + 64 * i, .end = ends[i], .slot = 140 - 70 * i};
    struct cache cache;
    struct run run;
    must(cache_new(&cache, &p->model, 0, p->ref.config.layers, 210, shared));
    run_new(&run, p, q, 3, &cache, false);
    for (uint32_t i = 0, row = 0; i < 3; row += ends[i++])
        logits_check(rig, p, ends[2] > 23 ? "logits, long texts" : "logits", q[i].tokens, 0,
                     ends[i], run.logits + (uint64_t)row * vocab);
    run_free(&run);
    cache_free(&cache);
    free(tokens);
    pair_close(p);
}

static void test_forward(void **state)
{
    for (size_t s = 0; s < COUNT(shapes); s++) {
        forward_case(*state, &shapes[s], (const uint32_t[]){1, 7, 23}, s % 2);
        forward_case(*state, &shapes[s], (const uint32_t[]){64, 31, 57}, s % 2);
    }
}

// Two texts run up to a point, then on: rows see cached keys.
static void test_cached(void **state)
{
    struct rig *rig = *state;
    for (size_t s = 0; s < COUNT(shapes); s++) {
        struct pair *p = pair_open(rig, &shapes[s]);
        uint32_t vocab = p->ref.config.vocab, *tokens = rig_random_ids(rig, 50, vocab);
        struct sequence first[] = {{.tokens = tokens, .end = 9},
                                   {.tokens = tokens + 25, .end = 1, .slot = 40}};
        struct sequence rest[] = {{.tokens = tokens, .begin = 9, .end = 23},
                                  {.tokens = tokens + 25, .begin = 1, .end = 4, .slot = 40}};
        struct cache cache;
        struct run before, behind;
        must(cache_new(&cache, &p->model, 0, p->ref.config.layers, 60, false));
        run_new(&before, p, first, 2, &cache, false);
        run_new(&behind, p, rest, 2, &cache, false);
        logits_check(rig, p, "logits, cached prefix", tokens, 0, 9, before.logits);
        logits_check(rig, p, "logits, cached prefix", tokens, 9, 23, behind.logits);
        logits_check(rig, p, "logits, cached prefix", tokens + 25, 1, 4,
                     behind.logits + 14ull * vocab);
        run_free(&before);
        run_free(&behind);
        cache_free(&cache);
        free(tokens);
        pair_close(p);
    }
}

// Summed cross-entropy of tokens from..count - 1 of a text, each from the position before.
static double text_loss(const struct ref_pass *pass, const uint32_t *tokens, uint32_t from)
{
    uint32_t vocab = pass->model->config.vocab;
    double *logits = ref_zeros(vocab), sum = 0;
    for (uint32_t i = from; i + 1 < pass->count; i++) {
        ref_logits(pass, i, logits);
        sum += ref_cross_entropy(logits, vocab, tokens[i + 1]);
    }
    free(logits);
    return sum;
}

// Its gradient at the stream of `layer`: [count, dim]; to be freed.
static double *text_gradient(const struct ref_pass *pass, const uint32_t *tokens, uint32_t from,
                             uint32_t layer)
{
    uint32_t vocab = pass->model->config.vocab;
    double *logits = ref_zeros(vocab), *back = ref_zeros(vocab);
    double *stream = ref_zeros((uint64_t)pass->count * pass->model->config.dim);
    for (uint32_t i = from; i + 1 < pass->count; i++) {
        ref_logits(pass, i, logits);
        ref_cross_entropy_back(logits, vocab, tokens[i + 1], 1, back);
        ref_logits_back(pass, i, back, stream);
    }
    ref_backward(pass, layer, stream);
    free(logits);
    free(back);
    return stream;
}

struct stream_slope {
    struct ref_pass *pass;
    const uint32_t *tokens;
    uint32_t from, layer;
};

static double stream_value(void *context)
{
    struct stream_slope *s = context;
    ref_forward_from(s->pass, s->layer);
    return text_loss(s->pass, s->tokens, s->from);
}

// The reference's own gradient against central differences, at some places of rows >= from.
static void gradient_check(struct rig *rig, struct ref_pass *pass, const uint32_t *tokens,
                           uint32_t from, uint32_t layer, const double *gradient)
{
    struct stream_slope s = {pass, tokens, from, layer};
    uint32_t dim = pass->model->config.dim;
    uint32_t *at = rig_random_ids(rig, 12, (pass->count - from) * dim);
    for (int i = 0; i < (pass->count > 40 ? 3 : 12); i++) { // long texts take long
        uint32_t place = from * dim + at[i];
        double slope = ref_slope(stream_value, &s, pass->stream[layer] + place);
        if (!(fabs(slope - gradient[place]) < 1e-7 * (1 + fabs(slope))))
            fail_msg("the reference's gradient is %.12g, by differences %.12g", gradient[place],
                     slope);
    }
    ref_forward_from(pass, layer);
    free(at);
}

// From logits on the device to grads->stream of `layer`; every row but the last has a target.
static void device_gradient(const struct pair *p, struct run *r, const struct cache *cache,
                            const uint32_t *targets, uint32_t layer, float *stream)
{
    const struct model *m = &p->model;
    uint32_t rows = r->batch.rows, vocab = m->config.vocab, layers = m->config.layers;
    struct grads grads;
    struct buffer *target, *weight, *lse, *loss;
    float *ones = rig_memory(rows, sizeof *ones);
    for (uint32_t i = 0; i + 1 < rows; i++) ones[i] = 1; // the last row's loss weighs nothing
    must(grads_new(&grads, m, &r->batch, rows));
    must(buffer_from(m->dev, targets, rows * 4, "targets", &target));
    must(buffer_from(m->dev, ones, rows * 4, "weights", &weight));
    must(buffer_new(m->dev, rows * 4, "lse", &lse) && buffer_new(m->dev, rows * 4, "loss", &loss));
    struct cmd cmd;
    cmd_start(&cmd, m->dev, false);
    op_cross_entropy(&cmd, (struct cross_entropy_args){r->head.logits->address, target->address,
                                                       lse->address, loss->address, rows, vocab});
    op_cross_entropy_back(&cmd, (struct cross_entropy_back_args){
                                    target->address, lse->address, weight->address,
                                    r->head.logits->address, rows, vocab});
    backward_head(&cmd, m, &r->head, &grads, rows);
    backward_layers(&cmd, m, &r->batch, cache, &r->acts, &grads, layer, layers);
    must(cmd_run_once(&cmd));
    cmd_free(&cmd);
    must(buffer_read(m->dev, grads.stream, 0, stream, (uint64_t)rows * m->config.dim * 4));
    grads_free(&grads);
    struct buffer **all[] = {&target, &weight, &lse, &loss};
    for (size_t i = 0; i < COUNT(all); i++) buffer_free(m->dev, all[i]);
    free(ones);
}

// One text of `end` tokens of which the first `begin` are cached: constants to the gradient.
static void backward_case(struct rig *rig, const struct tiny *tiny, uint32_t begin, uint32_t end)
{
    struct pair *p = pair_open(rig, tiny);
    uint32_t dim = p->ref.config.dim, rows = end - begin;
    uint32_t *tokens = rig_random_ids(rig, end + 1, p->ref.config.vocab);
    struct sequence first = {.tokens = tokens, .end = begin, .slot = 2};
    struct sequence rest = {.tokens = tokens, .begin = begin, .end = end, .slot = 2};
    struct cache cache;
    struct ref_pass pass;
    float *got = rig_memory((uint64_t)rows * dim, sizeof *got);
    must(cache_new(&cache, &p->model, 0, p->ref.config.layers, end + 2, false));
    ref_forward(&pass, &p->ref, tokens, end, 0, 0, NULL);
    for (uint32_t layer = 0; layer < p->ref.config.layers; layer++) {
        struct run run;
        if (begin) {
            run_new(&run, p, &first, 1, &cache, false);
            run_free(&run);
        }
        run_new(&run, p, &rest, 1, &cache, true);
        device_gradient(p, &run, &cache, tokens + begin + 1, layer, got);
        double *want = text_gradient(&pass, tokens, begin, layer);
        gradient_check(rig, &pass, tokens, begin, layer, want);
        near(rig, begin ? "gradient, cached prefix" : "gradient", got, want + begin * dim,
             (uint64_t)rows * dim, GRADIENT_BOUND);
        free(want);
        run_free(&run);
    }
    ref_pass_free(&pass);
    cache_free(&cache);
    free(tokens);
    free(got);
    pair_close(p);
}

static void test_backward(void **state)
{
    for (size_t s = 0; s < COUNT(shapes); s++) {
        backward_case(*state, &shapes[s], 0, 19);
        backward_case(*state, &shapes[s], 8, 21);
        backward_case(*state, &shapes[s], 0, 61); // long enough for matrix products
    }
}

struct down_slope {
    struct ref_model *model;
    const uint32_t *tokens;
    uint32_t count, block;
};

// The corpus' summed loss, block by block.
static double corpus_value(void *context)
{
    struct down_slope *s = context;
    double sum = 0;
    for (uint32_t at = 0; at < s->count; at += s->block) {
        struct ref_pass pass;
        uint32_t more = s->count - at < s->block ? s->count - at : s->block;
        ref_forward(&pass, s->model, s->tokens + at, more, 0, 0, NULL);
        sum += text_loss(&pass, s->tokens + at, 0);
        ref_pass_free(&pass);
    }
    return sum;
}

// C and grad G of `layer`, in double.
static void statistics(const struct ref_model *model, const struct corpus *c, uint32_t layer,
                       double *moment, double *gradient)
{
    uint64_t dim = model->config.dim, ffn = model->config.ffn;
    for (uint32_t at = 0; at < c->count; at += c->block) {
        struct ref_pass pass;
        uint32_t more = c->count - at < c->block ? c->count - at : c->block;
        ref_forward(&pass, model, c->tokens + at, more, 0, 0, NULL);
        double *back = text_gradient(&pass, c->tokens + at, 0, layer + 1);
        for (uint32_t t = 0; t < more; t++) {
            const double *key = pass.acts[layer].key + t * ffn;
            for (uint64_t i = 0; i < ffn * ffn; i++)
                moment[i] += key[i / ffn] * key[i % ffn] / c->count;
            for (uint64_t i = 0; i < dim * ffn; i++)
                gradient[i] += back[t * dim + i / ffn] * key[i % ffn];
        }
        free(back);
        ref_pass_free(&pass);
    }
}

static void statistics_case(struct rig *rig, const struct tiny *tiny, uint32_t count,
                            uint32_t block)
{
    struct pair *p = pair_open(rig, tiny);
    uint32_t dim = p->ref.config.dim, ffn = p->ref.config.ffn, layer = 0;
    struct corpus c = {.tokens = rig_random_ids(rig, count, p->ref.config.vocab), .count = count,
                       .block = block, .id = count, .source = "a test"};
    uint64_t many = (uint64_t)dim * ffn, square = (uint64_t)ffn * ffn;
    double *moment = ref_zeros(square), *gradient = ref_zeros(many), loss = 0;
    struct down_slope s = {&p->ref, c.tokens, count, block};
    struct buffer *g = NULL, *m[2] = {NULL, NULL};
    float *got = rig_memory(square + many, sizeof *got), *again = rig_memory(square, sizeof *got);
    statistics(&p->ref, &c, layer, moment, gradient);
    for (int i = 0; i < 6; i++) { // d loss / d W by differences
        uint32_t *at = rig_random_ids(rig, 1, (uint32_t)many);
        double slope = ref_slope(corpus_value, &s, p->ref.layers[layer].down + *at);
        assert_true(fabs(slope - gradient[*at]) < 1e-6 * (1 + fabs(slope)));
        free(at);
    }
    must(stats_gradient(&p->model, &c, layer, &g, &loss));
    must(buffer_read(rig->dev, g, 0, got, many * sizeof *got));
    near(rig, "grad G", got, gradient, many, GRADIENT_BOUND);
    uint32_t targets = count - (count + block - 1) / block;
    double mean = corpus_value(&s) / targets;
    assert_true(fabs(loss - mean) < LOGIT_BOUND * mean);
    for (int i = 0; i < 2; i++) // computed, then from the cache
        must(stats_moment(&p->model, &p->weights, &c, layer, &m[i]));
    must(buffer_read(rig->dev, m[0], 0, got, square * sizeof *got));
    must(buffer_read(rig->dev, m[1], 0, again, square * sizeof *got));
    for (uint64_t i = 0; i < square; i++) {
        if (i % ffn <= i / ffn) assert_memory_equal(&got[i], &again[i], sizeof *got);
        if (i % ffn > i / ffn) got[i] = (float)moment[i]; // only the lower triangle is promised
    }
    near(rig, "C", got, moment, square, GRADIENT_BOUND);
    buffer_free(rig->dev, &g);
    buffer_free(rig->dev, &m[0]);
    buffer_free(rig->dev, &m[1]);
    void *mine[] = {c.tokens, moment, gradient, got, again};
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
    pair_close(p);
}

static void test_statistics(void **state)
{
    statistics_case(*state, &shapes[0], 61, 20); // a last block of one token
    statistics_case(*state, &shapes[3], 700, 60); // more than one batch
    statistics_case(*state, &shapes[6], 30, 64);
}

// The program's cache goes into the test's own folder.
static int open_all(void **state)
{
    tiny_folder_new();
    setenv("XDG_CACHE_HOME", tiny_path("cache"), 1);
    log_level_set(LOG_QUIET);
    return rig_open(state);
}

static int close_all(void **state)
{
    tiny_folder_remove();
    return rig_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_cached),
        cmocka_unit_test(test_backward),
        cmocka_unit_test(test_statistics),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
