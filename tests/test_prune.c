// PRUNE against double precision: the spectrum of sums of pairs, and the weights of an editor that
// are finished for saving and measuring while the edits go on from the others.
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edit/finish.h"
#include "edit/prune.h"
#include "edit/sequence.h"
#include "io/dataset.h"
#include "ref.h"
#include "ref_facts.h"
#include "ref_linalg.h"
#include "ref_must.h"
#include "ref_rig.h"
#include "ref_tiny.h"

enum { MOST = 64 * 64, TOKENS = 900, DIM = 16, FFN = 24, SIZE = DIM * FFN };

static double prune(double s, double top)
{
    return log(s) / log(1.2) - log(top) / log(1.2) + top;
}

// sum_i u_i w_i^T of the first `count` pairs, in double.
static double *sum_of(const struct pairs *p, uint32_t count)
{
    float *u = rig_memory((uint64_t)count * p->rows, sizeof *u);
    float *w = rig_memory((uint64_t)count * p->cols, sizeof *w);
    double *sum = ref_zeros((uint64_t)p->rows * p->cols);
    must(count == 0 || (buffer_read(p->dev, p->u, 0, u, 4ull * count * p->rows) &&
                        buffer_read(p->dev, p->w, 0, w, 4ull * count * p->cols)));
    for (uint32_t t = 0; t < count; t++)
        for (uint32_t i = 0; i < p->rows; i++)
            for (uint32_t j = 0; j < p->cols; j++)
                sum[i * p->cols + j] +=
                    (double)u[t * p->rows + i] * (double)w[t * p->cols + j];
    free(u);
    free(w);
    return sum;
}

static float *narrow(const double *x, uint64_t n)
{
    float *y = rig_memory(n, sizeof *y);
    for (uint64_t i = 0; i < n; i++) y[i] = (float)x[i];
    return y;
}

// A' = (1 + sum_s (F(s) / s - 1) u_s u_s^T) A over the s > top: the others stay as they are.
// sigma: [min(d, m)], of A; pruned: of A'.
static double *pruned_of(const double *a, uint32_t d, uint32_t m, double top, double *sigma,
                         double *pruned)
{
    const uint32_t k = d < m ? d : m;
    double *u = ref_zeros((uint64_t)k * d), *result = ref_zeros((uint64_t)d * m);
    float *given = narrow(a, (uint64_t)d * m);
    ref_svd(given, d, m, sigma, u);
    memcpy(result, a, (uint64_t)d * m * sizeof *result);
    for (uint32_t s = 0; s < k; s++) {
        pruned[s] = sigma[s] > top ? prune(sigma[s], top) : sigma[s];
        for (uint32_t j = 0; j < m && sigma[s] > top; j++) {
            double along = 0;
            for (uint32_t i = 0; i < d; i++) along += u[s * d + i] * a[i * m + j];
            along *= pruned[s] / sigma[s] - 1;
            for (uint32_t i = 0; i < d; i++) result[i * m + j] += along * u[s * d + i];
        }
    }
    free(given);
    free(u);
    return result;
}

// The largest singular value of the base in double.
static double top_of(const float *w, uint32_t d, uint32_t m)
{
    double sigma[64];
    ref_svd(w, d, m, sigma, NULL);
    return sigma[0];
}

// |got - want| within the error of an SVD in f32: some eps a row and column, times sigma_0.
static void near(struct rig *rig, const char *what, const double *got, const double *want,
                 uint64_t count, double largest, double factor)
{
    float *host = narrow(got, count);
    double *size = ref_zeros(count);
    for (uint64_t i = 0; i < count; i++) size[i] = largest;
    rig_near_host(rig, what, host, want, size, count, factor);
    free(host);
    free(size);
}

// t random pairs of lengths that fall from `first` by `fall`, beside a random base.
static void spectrum(struct rig *rig, uint32_t t, uint32_t d, uint32_t m, double first, double fall,
                     bool some)
{
    float *w = rig_random(rig, (uint64_t)d * m, 2);
    const struct tensor base = {.name = "W", .dtype = DTYPE_F32, .rows = d, .cols = m,
                                .data = (const uint8_t *)w, .bytes = 4ull * d * m};
    const double top = top_of(w, d, m), factor = 8.0 * (d + m);
    struct pairs p;
    must(pairs_new(rig->dev, d, m, 1, &p)); // and grows
    for (uint32_t i = 0; i < t; i++) {
        struct buffer *x = NULL, *y = NULL;
        float *u = rig_random(rig, d, first * pow(fall, i) / d), *v = rig_random(rig, m, 1);
        must(buffer_from(rig->dev, u, 4ull * d, "u", &x) &&
             buffer_from(rig->dev, v, 4ull * m, "w", &y) &&
             pairs_add(&p, x->address, y->address, 1));
        buffer_free(rig->dev, &x);
        buffer_free(rig->dev, &y);
        free(u);
        free(v);
    }
    double *before = sum_of(&p, t), sigma[64], wanted[64], got[64];
    double *want = pruned_of(before, d, m, top, sigma, wanted);
    uint32_t over = 0;
    while (over < (d < m ? d : m) && sigma[over] > top) over++;
    assert_true(some ? over > 0 && sigma[d < m ? d - 1 : m - 1] < top : over == 0);
    must(prune_pairs(rig->dev, &base, &p));
    assert_int_equal(p.count, t + over); // one more pair for each value that is changed
    double *again = sum_of(&p, t), *after = sum_of(&p, p.count);
    assert_memory_equal(before, again, (uint64_t)d * m * sizeof *before);
    const double one = (double)p.top;
    if (t) near(rig, "max sigma(W)", &one, &top, 1, top, factor);
    near(rig, "pruned dW", after, want, (uint64_t)d * m, sigma[0], factor);
    float *given = narrow(after, (uint64_t)d * m);
    ref_svd(given, d, m, got, NULL);
    near(rig, "spectrum", got, wanted, d < m ? d : m, sigma[0], factor);
    printf("%u pairs [%u, %u]: %u of %u values over %.3g; the largest %.4g -> %.4g\n", t, d, m,
           over, d < m ? d : m, top, sigma[0], got[0]);
    pairs_free(&p);
    void *mine[] = {w, before, want, again, after, given};
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
}

static void test_spectrum(void **state)
{
    spectrum(*state, 6, 16, 24, 400, 0.6, true);
    spectrum(*state, 6, 24, 16, 400, 0.6, true);
    spectrum(*state, 1, 16, 24, 4000, 1, true);
    spectrum(*state, 16, 16, 24, 2000, 0.7, true);
    spectrum(*state, 60, 16, 24, 100, 0.9, true); // more pairs than dimensions: one dense matrix
    spectrum(*state, 37, 32, 40, 3000, 0.8, true);
}

static void test_nothing_over(void **state)
{
    spectrum(*state, 6, 16, 24, 4, 0.6, false);
    spectrum(*state, 40, 16, 24, 2, 0.6, false);
    spectrum(*state, 0, 16, 24, 1, 1, false);
}

static void test_values(void **state)
{
    (void)state;
    assert_true(prune_value(7.5, 7.5) == 7.5);
    assert_true(fabs(prune_value(7.5 * 1.2, 7.5) - 8.5) < 1e-12);
    assert_true(fabs(prune_value(7.5 * pow(1.2, 20), 7.5) - 27.5) < 1e-12);
}

struct session { // a tiny model and what edits it
    struct weights weights;
    struct tokenizer tokenizer;
    struct model model;
    struct editor editor;
    struct dataset data[FACTS];
};

static void session_open(struct session *s, struct rig *rig, const char *guard, bool several)
{
    const struct tiny tiny = {.layers = 4, .dim = DIM, .ffn = FFN, .heads = 4, .kv_heads = 2,
                              .head_dim = 4, .vocab = TINY_VOCAB + 5, .context = 128, .seed = 11};
    struct hparams h = {.layer = 1, .lambda = 1, .rate = 0.5, .stop = 0.05, .kl = 0.0625,
                        .decay = 0.01, .clamp = 8, .steps = 12, .lambda3 = 1,
                        .q_max = UINT32_MAX, .ridge = 1e-3, .block = 40, .stats_tokens = TOKENS,
                        .grad_tokens = TOKENS, .layers = {1, 2}, .layer_count = several ? 2 : 0};
    *s = (struct session){0};
    tiny_open(&tiny, rig->dev, &s->weights, &s->tokenizer, &s->model);
    struct sequence_options options = {.solver = "memit", .guard = guard, .hparams = h,
                                       .text = tiny_path("text.txt"), .seed = 1};
    must(editor_open(&s->editor, &s->model, &s->weights, &s->tokenizer, &options));
    for (uint32_t i = 0; i < FACTS; i++)
        must(dataset_from_strings(&s->data[i], facts[i][0], facts[i][1], facts[i][2]));
}

static void session_close(struct session *s)
{
    editor_close(&s->editor);
    for (uint32_t i = 0; i < FACTS; i++) dataset_free(&s->data[i]);
    tiny_close(&s->weights, &s->tokenizer, &s->model);
}

static void edit(struct session *s, uint32_t fact)
{
    must(sequence_run(&s->editor, s->data[fact].requests, 1, NULL, NULL));
}

static void read_w(const struct session *s, const struct site *site, float to[static SIZE])
{
    must(buffer_read(s->model.dev, site->matrix, 0, to, SIZE * sizeof *to));
}

// W while it is finished: what the edits made of it, and PRUNE's change of their sum.
static void finished_check(struct rig *rig, const struct session *s, const struct site *site,
                           const float *raw)
{
    float now[SIZE];
    double sigma[DIM], wanted[DIM], got[SIZE], *sum = sum_of(&site->pairs, site->pairs.count);
    const struct tensor *base = weights_part(&s->weights, PART_FFN_DOWN, site->layer);
    const double top = top_of((const float *)base->data, DIM, FFN);
    double *want = pruned_of(sum, DIM, FFN, top, sigma, wanted);
    read_w(s, site, now);
    assert_int_equal(site->pairs.count, site->edits);
    for (uint32_t i = 0; i < SIZE; i++) {
        got[i] = (double)now[i];
        want[i] += (double)raw[i] - sum[i];
    }
    near(rig, "finished W", got, want, SIZE, sigma[0], 8.0 * (DIM + FFN));
    assert_true(site->edits == 0 || sigma[0] > top); // the test would see nothing
    if (site->edits) assert_memory_not_equal(now, raw, sizeof now);
    free(sum);
    free(want);
}

// Measuring in between changes nothing: the edits go on from unpruned weights, bit for bit those of
// no guard at all.
static void sequence(struct rig *rig, bool several)
{
    struct session pruned, plain;
    float raw[2][SIZE], back[SIZE];
    uint32_t edits = 0;
    session_open(&pruned, rig, "prune", several);
    session_open(&plain, rig, several ? "wilke" : "none", several);
    for (uint32_t i = 0; i < FACTS; i++) {
        edit(&pruned, i);
        edit(&plain, i);
        const struct editor *e = &pruned.editor;
        for (uint32_t k = 0; k < e->site_count; k++) {
            read_w(&pruned, &e->sites[k], raw[k]);
            read_w(&plain, &plain.editor.sites[k], back);
            assert_memory_equal(raw[k], back, sizeof back);
        }
        must(editor_finish(&pruned.editor) && editor_finish(&pruned.editor)); // once is enough
        for (uint32_t k = 0; k < e->site_count; k++)
            finished_check(rig, &pruned, &e->sites[k], raw[k]);
        must(editor_go_on(&pruned.editor) && editor_go_on(&pruned.editor));
        for (uint32_t k = 0; k < e->site_count; k++) {
            read_w(&pruned, &e->sites[k], back);
            assert_memory_equal(raw[k], back, sizeof back);
        }
    }
    for (uint32_t k = 0; k < pruned.editor.site_count; k++) edits += pruned.editor.sites[k].edits;
    assert_int_equal(edits, FACTS);
    must(editor_finish(&plain.editor)); // which has nothing to finish
    read_w(&plain, &plain.editor.sites[0], back);
    assert_memory_equal(raw[0], back, sizeof back);
    session_close(&pruned);
    session_close(&plain);
}

static void test_sequence(void **state)
{
    sequence(*state, false);
}

static void test_several_layers(void **state)
{
    sequence(*state, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),   cmocka_unit_test(test_spectrum),
        cmocka_unit_test(test_nothing_over), cmocka_unit_test(test_sequence),
        cmocka_unit_test(test_several_layers),
    };
    return cmocka_run_group_tests(tests, rig_open_in_folder, rig_close_in_folder);
}
