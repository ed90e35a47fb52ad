// Measures of sequences of edits against double precision: spectra, cosines, activation scores of
// random pairs, and a run's trail from a live editor and from a journal.
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/trail_geometry.h"
#include "edit/record.h"
#include "edit/sequence.h"
#include "edit/trail.h"
#include "eval/geometry.h"
#include "io/dataset.h"
#include "ref.h"
#include "ref_linalg.h"
#include "ref_must.h"
#include "ref_rig.h"
#include "ref_tiny.h"

enum { TOKENS = 700, DIM = 16, FFN = 24, LAYER = 1, EDITS = 4, MATRIX = DIM * FFN };

static void close_to(const char *what, double got, double want, double bound)
{
    if (!(fabs(got - want) <= bound * fabs(want)))
        fail_msg("%s: got %.9g, wanted %.9g within %.1g", what, got, want, bound);
}

static struct buffer *sent(struct rig *rig, const float *x, uint64_t count)
{
    struct buffer *buffer = NULL;
    must(buffer_from(rig->dev, x, count * sizeof *x, "a matrix", &buffer));
    return buffer;
}

// sum_j u_j w_j^T in double, as floats.
static float *sum_of(const float *u, const float *w, uint32_t t, uint32_t d, uint32_t m)
{
    float *sum = rig_memory((uint64_t)d * m, sizeof *sum);
    for (uint64_t i = 0; i < (uint64_t)d * m; i++) {
        double s = 0;
        for (uint32_t j = 0; j < t; j++) s += (double)u[j * d + i / m] * (double)w[j * m + i % m];
        sum[i] = (float)s;
    }
    return sum;
}

static void spectrum_check(const struct spectrum *s, const double *sigma, uint32_t count,
                           uint32_t rank)
{
    double squares = 0;
    assert_int_equal(s->count, count);
    assert_int_equal(s->rank, rank);
    for (uint32_t i = 0; i < count; i++) squares += sigma[i] * sigma[i];
    for (uint32_t i = 0; i < rank; i++) close_to("sigma", (double)s->values[i], sigma[i], 1e-4);
    close_to("norm", s->norm, sigma[0], 1e-5);
    close_to("frobenius", s->frobenius, sqrt(squares), 1e-5);
    close_to("condition of what is not zero", s->nonzero, sigma[0] / sigma[rank - 1], 1e-4);
    if (rank == count) close_to("condition", s->condition, sigma[0] / sigma[count - 1], 1e-4);
    else assert_true(s->condition > 1e5);
}

// More pairs than dimensions, fewer, and two equal ones, which take a rank away.
static void test_spectrum(void **state)
{
    struct rig *rig = *state;
    static const uint32_t shapes[][4] = {
        {5, 40, 70, 5}, {5, 40, 70, 4}, {30, 12, 20, 12}, {1, 9, 7, 1}};
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const uint32_t t = shapes[i][0], d = shapes[i][1], m = shapes[i][2], rank = shapes[i][3];
        const uint32_t full = d < m ? d : m, count = t < full ? t : full;
        float *u = rig_random(rig, (uint64_t)t * d, 1), *w = rig_random(rig, (uint64_t)t * m, 3);
        if (rank < count) memcpy(u + d, u, d * sizeof *u);
        float *sum = sum_of(u, w, t, d, m);
        double *sigma = ref_zeros(full);
        struct buffer *x = sent(rig, u, (uint64_t)t * d), *y = sent(rig, w, (uint64_t)t * m);
        struct buffer *a = sent(rig, sum, (uint64_t)d * m);
        struct spectrum s;
        ref_svd(sum, d, m, sigma, NULL);
        must(spectrum_pairs(rig->dev, x, y, t, d, m, &s));
        spectrum_check(&s, sigma, count, rank);
        spectrum_free(&s);
        spectrum_free(&s);
        must(spectrum_matrix(rig->dev, a, d, m, &s));
        assert_int_equal(s.count, full);
        close_to("norm", s.norm, sigma[0], 1e-5);
        if (full == rank) spectrum_check(&s, sigma, full, full);
        spectrum_free(&s);
        buffer_free(rig->dev, &x);
        buffer_free(rig->dev, &y);
        buffer_free(rig->dev, &a);
        void *mine[] = {u, w, sum, sigma};
        for (size_t k = 0; k < COUNT(mine); k++) free(mine[k]);
    }
    struct spectrum none;
    must(spectrum_pairs(rig->dev, NULL, NULL, 0, 4, 4, &none));
    assert_true(none.norm == 0 && none.rank == 0 && isnan(none.nonzero));
}

static double dot(const float *x, const float *y, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

static void test_cosines(void **state)
{
    struct rig *rig = *state;
    enum { T = 7, N = 50 };
    float *x = rig_random(rig, T * N, 1), cosines[T * T];
    double mean, want = 0;
    memset(x + 3 * N, 0, N * sizeof *x);                         // a row of zeros
    for (uint32_t i = 0; i < N; i++) x[5 * N + i] = -2 * x[i];   // the first one's, turned
    struct buffer *buffer = sent(rig, x, T * N);
    must(geometry_cosines(rig->dev, buffer, T, N, cosines, &mean));
    for (uint32_t i = 0; i < T; i++)
        for (uint32_t j = 0; j < T; j++) {
            double size = sqrt(dot(x + i * N, x + i * N, N) * dot(x + j * N, x + j * N, N));
            double cosine = size > 0 ? fabs(dot(x + i * N, x + j * N, N)) / size : 0;
            assert_true(fabs((double)cosines[i * T + j] - cosine) < 1e-6);
            if (i != j) want += cosine / (T * (T - 1));
        }
    close_to("mean |cos|", mean, want, 1e-6);
    close_to("|cos| of a turned row", (double)cosines[5], 1, 1e-6);
    must(geometry_cosines(rig->dev, buffer, 1, N, cosines, &mean));
    assert_true(isnan(mean));
    buffer_free(rig->dev, &buffer);
    free(x);
}

// |dW_j k_j| and |sum over i != j of dW_i k_j|, mask by mask in double; masks may be NULL.
static void scores_of(const float *u, const float *w, const float *k, const double *masks,
                      uint32_t t, uint32_t d, uint32_t m, double *own, double *unrelated)
{
    for (uint32_t j = 0; j < t; j++) {
        own[j] = unrelated[j] = 0;
        for (uint32_t r = 0; r < d; r++) {
            double mine = 0, rest = 0;
            for (uint32_t i = 0; i < t; i++) {
                double sum = 0;
                for (uint32_t c = 0; c < m; c++)
                    sum += (masks ? masks[((uint64_t)i * d + r) * m + c] : 1) *
                           (double)u[i * d + r] * (double)w[i * m + c] * (double)k[j * m + c];
                *(i == j ? &mine : &rest) += sum;
            }
            own[j] += mine * mine;
            unrelated[j] += rest * rest;
        }
        own[j] = sqrt(own[j]);
        unrelated[j] = sqrt(unrelated[j]);
    }
}

static void test_scores(void **state)
{
    struct rig *rig = *state;
    static const uint32_t shapes[][3] = {{6, 20, 33}, {1, 8, 8}, {40, 16, 24}};
    for (size_t s = 0; s < COUNT(shapes); s++) {
        const uint32_t t = shapes[s][0], d = shapes[s][1], m = shapes[s][2];
        float *u = rig_random(rig, (uint64_t)t * d, 1), *w = rig_random(rig, (uint64_t)t * m, 1);
        float *k = rig_random(rig, (uint64_t)t * m, 2), own[40], unrelated[40];
        double want_own[40], want_unrelated[40];
        struct buffer *x = sent(rig, u, (uint64_t)t * d), *y = sent(rig, w, (uint64_t)t * m);
        struct buffer *z = sent(rig, k, (uint64_t)t * m);
        must(geometry_scores(rig->dev, x, y, z, t, d, m, own, unrelated));
        scores_of(u, w, k, NULL, t, d, m, want_own, want_unrelated);
        for (uint32_t j = 0; j < t; j++) {
            close_to("own", (double)own[j], want_own[j], 1e-4);
            close_to("unrelated", (double)unrelated[j], want_unrelated[j], 1e-4);
        }
        buffer_free(rig->dev, &x);
        buffer_free(rig->dev, &y);
        buffer_free(rig->dev, &z);
        free(u);
        free(w);
        free(k);
    }
}

// ---- a run ----

static const char *const facts[EDITS][3] = {
    {"the cat lives in", "the cat", "paris"},
    {"the king of rome speaks", "king of rome", "latin music"},
    {"born on the sea the old man plays", "old man", "red and blue"},
    {"the city is", "the city", "rome"},
};

struct run {
    struct rig *rig;
    struct weights weights;
    struct tokenizer tokenizer;
    struct model model;
    struct editor editor;
    struct trail live;
    struct journal_writer writer;
    struct record_room room;
    float before[MATRIX], after[MATRIX];
};

static bool on_edit(void *user, const struct editor *e, const struct edit *edit)
{
    struct run *r = user;
    struct journal_edit record;
    must(record_edit(&record, e, edit, &r->room) && journal_add_edit(&r->writer, &record));
    record_edit_free(&record);
    return trail_add(&r->live, e, edit);
}

static struct hparams hparams_of(double knob)
{
    struct hparams h = {.layer = LAYER, .lambda = 0.5, .rate = 0.3, .stop = 0.001, .kl = 0.0625,
                        .decay = 0.01, .clamp = 20, .steps = 8, .lambda1 = 2, .lambda2 = 2,
                        .lambda3 = 1, .q_max = UINT32_MAX, .ridge = 1e-4, .block = 40,
                        .stats_tokens = TOKENS, .grad_tokens = TOKENS, .knob = knob};
    h.context_texts = rig_memory(1, sizeof *h.context_texts);
    h.context_texts[h.context_text_count++] = strcpy(rig_memory(40, 1), "the sea is blue");
    return h;
}

static void run_make(struct run *r, struct rig *rig, const char *solver, const char *guard,
                     double knob)
{
    const struct tiny tiny = {.layers = 3, .dim = DIM, .ffn = FFN, .heads = 4, .kv_heads = 2,
                              .head_dim = 4, .vocab = TINY_VOCAB + 5, .context = 128, .seed = 17};
    struct journal_header header;
    *r = (struct run){.rig = rig};
    tiny_open(&tiny, rig->dev, &r->weights, &r->tokenizer, &r->model);
    struct sequence_options options = {.solver = solver, .guard = guard, .seed = 3,
                                       .text = tiny_path("text.txt"), .hparams = hparams_of(knob)};
    must(editor_open(&r->editor, &r->model, &r->weights, &r->tokenizer, &options));
    must(record_header(&header, &r->weights, &r->editor, 3));
    unlink(tiny_path("geometry.journal"));
    must(journal_writer_open(&r->writer, tiny_path("geometry.journal")));
    must(journal_begin(&r->writer, &header));
    journal_header_free(&header);
    must(buffer_read(rig->dev, r->editor.site->matrix, 0, r->before, sizeof r->before));
    for (uint32_t i = 0; i < EDITS; i++) {
        struct dataset data = {0};
        must(dataset_from_strings(&data, facts[i][0], facts[i][1], facts[i][2]));
        must(sequence_run(&r->editor, data.requests, 1, on_edit, r));
        dataset_free(&data);
    }
    must(buffer_read(rig->dev, r->editor.site->matrix, 0, r->after, sizeof r->after));
    journal_writer_close(&r->writer);
}

static void run_end(struct run *r)
{
    trail_free(&r->live);
    free(r->room.data);
    editor_close(&r->editor);
    tiny_close(&r->weights, &r->tokenizer, &r->model);
}

static uint32_t mixed(uint32_t x)
{
    x = (x ^ x >> 16) * 0x85ebca6bu;
    x = (x ^ x >> 13) * 0xc2b2ae35u;
    return x ^ x >> 16;
}

static double *masks_of(const struct trail *t)
{
    double *masks = ref_zeros((uint64_t)t->count * MATRIX);
    for (uint32_t j = 0; j < t->count; j++)
        for (uint32_t i = 0; i < MATRIX; i++)
            masks[j * MATRIX + i] =
                mixed(mixed(i + t->mask.seed) ^ t->numbers[j]) >= t->mask.zeros;
    return masks;
}

// The journal's trail is the live one, keys too; its geometry is that of W's own change.
static void trail_check(struct run *r)
{
    struct journal j;
    struct trail read;
    struct trail_geometry g;
    struct buffer *base = sent(r->rig, r->before, MATRIX);
    const struct trail *t = &r->live;
    must(journal_open(&j, tiny_path("geometry.journal"), false));
    must(trail_read(&read, &j, LAYER));
    must(trail_keys(&read, &r->model, &r->tokenizer, &j, LAYER));
    assert_int_equal(read.count, t->count);
    assert_memory_equal(read.u, t->u, t->count * DIM * sizeof *t->u);
    assert_memory_equal(read.w, t->w, t->count * FFN * sizeof *t->w);
    assert_memory_equal(read.numbers, t->numbers, t->count * sizeof *t->numbers);
    for (uint32_t i = 0; i < t->count * FFN; i++)
        assert_true(fabs((double)read.k[i] - (double)t->k[i]) <=
                    1e-5 * (1 + fabs((double)t->k[i])));
    must(trail_geometry(&g, r->rig->dev, &read, base, r->editor.site->matrix));
    float change[MATRIX];
    double sigma[DIM], own[EDITS], unrelated[EDITS], *masks = masks_of(t), norm;
    for (uint32_t i = 0; i < MATRIX; i++) change[i] = r->after[i] - r->before[i];
    ref_svd(change, DIM, FFN, sigma, NULL);
    close_to("|dW_total|", g.total.norm, sigma[0], 1e-3);
    must(trail_norm(r->rig->dev, t, &norm));
    assert_true(norm == g.total.norm);
    ref_svd(r->after, DIM, FFN, sigma, NULL);
    close_to("condition of W + dW", g.edited.condition, sigma[0] / sigma[DIM - 1], 1e-3);
    ref_svd(r->before, DIM, FFN, sigma, NULL);
    close_to("condition of W", g.base.condition, sigma[0] / sigma[DIM - 1], 1e-3);
    scores_of(t->u, t->w, t->k, masks, t->count, DIM, FFN, own, unrelated);
    for (uint32_t i = 0; i < t->count; i++) {
        close_to("own", (double)g.own[i], own[i], 1e-3);
        close_to("unrelated", (double)g.unrelated[i], unrelated[i], 1e-3);
    }
    cJSON *json = trail_geometry_json(&g, 2);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "cosines_u")), 2);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "scores")), t->count);
    cJSON_Delete(json);
    trail_geometry_free(&g);
    trail_geometry_free(&g);
    trail_free(&read);
    journal_free(&j);
    buffer_free(r->rig->dev, &base);
    free(masks);
}

static void test_run(void **state)
{
    static const struct {
        const char *solver, *guard;
        double knob;
    } runs[] = {{"memit", "none", 0}, {"rome", "none", 0}, {"memit", "r-edit", 0},
                {"memit", "oedit-plus", 0}, {"memit", "zero", 0.5}};
    for (size_t i = 0; i < COUNT(runs); i++) {
        struct run r;
        run_make(&r, *state, runs[i].solver, runs[i].guard, runs[i].knob);
        trail_check(&r);
        run_end(&r);
    }
}

// ROME realises an edit whole: |dW_j k_j| = |u_j|; O-Edit+ makes the u's orthogonal.
static void test_known(void **state)
{
    struct run r;
    struct trail_geometry g;
    run_make(&r, *state, "rome", "oedit-plus", 0);
    must(trail_geometry(&g, r.rig->dev, &r.live, NULL, NULL));
    for (uint32_t i = 0; i < r.live.count; i++) {
        const float *u = r.live.u + i * DIM;
        close_to("own of ROME", (double)g.own[i], sqrt(dot(u, u, DIM)), 1e-4);
    }
    assert_true(g.cos_u < 1e-5);
    assert_null(g.base.values);
    trail_geometry_free(&g);
    run_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spectrum), cmocka_unit_test(test_cosines),
        cmocka_unit_test(test_scores),   cmocka_unit_test(test_run),
        cmocka_unit_test(test_known),
    };
    return cmocka_run_group_tests(tests, rig_open_in_folder, rig_close_in_folder);
}
