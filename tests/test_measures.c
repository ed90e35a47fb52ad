// Measures of a live model against the same model in double precision: top tokens, likelihoods,
// averages over several prompts, free answers, what is kept of the unedited model, ages.
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "eval/history.h"
#include "ref.h"
#include "ref_model.h"
#include "ref_must.h"
#include "ref_rig.h"
#include "ref_tiny.h"

enum { DIM = 16, FFN = 24, LAYER = 1, REQUESTS = 4 };

struct opened {
    struct rig *rig;
    struct weights weights;
    struct tokenizer tokenizer;
    struct model model;
    struct ref_model ref;
    struct dataset data;
    uint64_t random;
};

static void encode(const struct opened *o, const char *text, unsigned flags,
                   struct token_list *list)
{
    must(tokenizer_encode(&o->tokenizer, text, strlen(text), flags, list));
}

// A prompt of four words behind which the model says a word with a blank before it: *says, without.
static void find_prompt(struct opened *o, char *text, char *says)
{
    for (;;) {
        text[0] = '\0';
        for (int i = 0; i < 4; i++) {
            strcat(text, i ? " " : "");
            strcat(text, tiny_words[random_next(&o->random) % TINY_WORDS]);
        }
        struct token_list list = {0};
        encode(o, text, ENCODE_BOS, &list);
        uint32_t top = ref_next(&o->ref, list.ids, (uint32_t)list.count, 0, NULL);
        token_list_free(&list);
        if (top < 3 || top >= TINY_VOCAB || top % 2 == 0) continue;
        strcpy(says, tiny_words[(top - 2) / 2]);
        return;
    }
}

// Four forms of records. What the unedited model says tells which scores they must have.
static void requests_write(struct opened *o)
{
    char p[8][80], says[8][16];
    for (int i = 0; i < 8; i++) find_prompt(o, p[i], says[i]);
    FILE *file = fopen(tiny_path("facts.jsonl"), "w");
    assert_non_null(file);
    // 1: Rel 1, and Gen 1/2 unless both paraphrases say the same.
    char *rest = strchr(p[0], ' ');
    fprintf(file, "{\"requested_rewrite\": {\"prompt\": \"{}%s\", \"subject\": \"%.*s\", "
                  "\"target_new\": {\"str\": \"%s\"}, \"target_true\": {\"str\": \"old man\"}}, "
                  "\"paraphrase_prompts\": [\"%s\", \"%s\"], \"neighborhood_prompts\": "
                  "[\"%s\", \"%s\", \"%s\"]}\n", rest, (int)(rest - p[0]), p[0], says[0], p[0],
            p[1], p[2], p[3], p[4]);
    // 2: a target of two words.
    fprintf(file, "{\"prompt\": \"%s\", \"subject\": \"%.*s\", \"target_new\": \"%s king\", "
                  "\"ground_truth\": \"rome\", \"rephrase_prompt\": \"%s\", \"locality_prompt\": "
                  "\"%s\", \"locality_ground_truth\": \"blue sea\"}\n", p[5],
            (int)strcspn(p[5], " "), p[5], says[5], p[6], p[7]);
    // 3: ZsRE.
    fprintf(file, "{\"src\": \"%s\", \"subject\": \"%.*s\", \"alt\": \"paris\", \"answers\": "
                  "[\"%s\"], \"rephrase\": \"%s\", \"loc\": \"the sun\", \"loc_ans\": \"red\"}\n",
            p[2], (int)strcspn(p[2], " "), p[2], says[2], p[3]);
    // 4: one's own, with nothing but a fact.
    fprintf(file, "{\"prompt\": \"%s\", \"subject\": \"%.*s\", \"target_new\": \"%s\"}\n", p[4],
            (int)strcspn(p[4], " "), p[4], says[4]);
    assert_int_equal(fclose(file), 0);
    must(dataset_open(&o->data, tiny_path("facts.jsonl"), (struct dataset_options){0}));
    assert_int_equal(o->data.count, REQUESTS);
}

static void start(struct opened *o, struct rig *rig)
{
    const struct tiny tiny = {.layers = 3, .dim = DIM, .ffn = FFN, .heads = 4, .kv_heads = 2,
                              .head_dim = 4, .vocab = TINY_VOCAB + 5, .context = 128,
                              .own_head = true, .seed = 23};
    *o = (struct opened){.rig = rig, .random = 99};
    tiny_open(&tiny, rig->dev, &o->weights, &o->tokenizer, &o->model);
    ref_model_open(&o->ref, &o->weights);
    requests_write(o);
}

static void end(struct opened *o)
{
    dataset_free(&o->data);
    ref_model_close(&o->ref);
    tiny_close(&o->weights, &o->tokenizer, &o->model);
}

// The same change of the down projection on both sides, large enough to turn answers.
static void disturb(struct opened *o)
{
    must(model_edit(&o->model, LAYER));
    float *values = rig_memory(DIM * FFN, sizeof *values);
    struct buffer *edited = o->model.layers[LAYER].edited;
    must(buffer_read(o->rig->dev, edited, 0, values, DIM * FFN * sizeof *values));
    for (uint32_t i = 0; i < DIM * FFN; i++) values[i] += (float)(random_unit(&o->random) - 0.5);
    must(buffer_write(o->rig->dev, edited, 0, values, DIM * FFN * sizeof *values));
    for (uint32_t i = 0; i < DIM * FFN; i++) o->ref.layers[LAYER].down[i] = (double)values[i];
    free(values);
}

// Every answer token of a question by itself, its text run anew each time.
static void question_check(const struct opened *o, const struct question *q, const uint32_t *got)
{
    double sum = 0, one;
    assert_int_equal(q->count, q->given + q->answers - 1);
    for (uint32_t k = 0; k < q->answers; k++) {
        assert_int_equal(ref_next(&o->ref, q->tokens, q->given + k, q->answer[k], &one), got[k]);
        sum += one;
    }
    // Logits of up to 10 with an error of 6e-5 of the largest (test_model.c), two of them.
    if (q->likelihood == 0 || fabs(q->likelihood - sum / q->answers) > 1.2e-3)
        fail_msg("log-likelihood %g, wanted %g", q->likelihood, sum / q->answers);
}

static void test_questions(void **state)
{
    struct opened o;
    struct exam exam;
    start(&o, *state);
    must(exam_new(&exam, &o.tokenizer, o.data.requests, REQUESTS));
    const uint32_t counts[ASK_KINDS] = {4, 4, 5, 3, 4};
    const struct exam_part all = {.kinds = (1u << ASK_KINDS) - 1, .count = REQUESTS, .tops = true,
                                  .likelihoods = true};
    for (int round = 0; round < 2; round++) {
        must(exam_ask_part(&exam, &o.model, all));
        for (int k = 0; k < ASK_KINDS; k++) {
            assert_int_equal(exam.first[k][REQUESTS], counts[k]);
            for (uint32_t i = 0; i < counts[k]; i++)
                question_check(&o, &exam.questions[k][i], exam.questions[k][i].top);
        }
        disturb(&o);
    }
    exam_free(&exam);
    end(&o);
}

// The double model's own Rel or Gen of a request, from texts.
static double ref_score(const struct opened *o, const char *const *prompts, size_t count,
                        const char *target)
{
    double right = 0;
    char spaced[100];
    snprintf(spaced, sizeof spaced, " %s", target);
    for (size_t i = 0; i < count; i++) {
        struct token_list text = {0}, answer = {0};
        encode(o, prompts[i], ENCODE_BOS, &text);
        encode(o, spaced, ENCODE_PLAIN, &answer);
        uint32_t ids[64], n = (uint32_t)text.count, k = 0;
        memcpy(ids, text.ids, n * sizeof *ids);
        while (k < answer.count && ref_next(&o->ref, ids, n, 0, NULL) == answer.ids[k])
            ids[n++] = answer.ids[k++];
        right += k == answer.count;
        token_list_free(&text);
        token_list_free(&answer);
    }
    return right / (double)count;
}

static void same(double got, double want)
{
    if (isnan(want) ? !isnan(got) : !(fabs(got - want) < 1e-12))
        fail_msg("got %g, wanted %g", got, want);
}

// P(new) > P(true) of one prompt, from texts.
static double ref_success(const struct opened *o, const char *prompt, const char *left,
                          const char *right)
{
    double mean[2] = {0};
    for (int side = 0; side < 2; side++) {
        struct token_list text = {0}, answer = {0};
        char spaced[100];
        snprintf(spaced, sizeof spaced, " %s", side ? right : left);
        encode(o, prompt, ENCODE_BOS, &text);
        encode(o, spaced, ENCODE_PLAIN, &answer);
        uint32_t ids[64], n = (uint32_t)text.count;
        memcpy(ids, text.ids, n * sizeof *ids);
        for (uint32_t k = 0; k < answer.count; k++) {
            double one;
            ref_next(&o->ref, ids, n, answer.ids[k], &one);
            mean[side] += one / (double)answer.count;
            ids[n++] = answer.ids[k];
        }
        token_list_free(&text);
        token_list_free(&answer);
    }
    return mean[0] > mean[1];
}

// Whether the double model's greedy text begins with the target as a word.
static double ref_begins(const struct opened *o, const char *prompt, const char *target)
{
    struct token_list text = {0};
    uint32_t ids[64], n;
    char *said;
    size_t size;
    encode(o, prompt, ENCODE_BOS, &text);
    n = (uint32_t)text.count;
    memcpy(ids, text.ids, n * sizeof *ids);
    for (int k = 0; k < 4; k++, n++) ids[n] = ref_next(&o->ref, ids, n, 0, NULL);
    must(tokenizer_decode(&o->tokenizer, ids + text.count, 4, true, &said, &size));
    const char *from = said + (said[0] == ' ');
    bool found = strncmp(from, target, strlen(target)) == 0 &&
                 (from[strlen(target)] == ' ' || from[strlen(target)] == '.' ||
                  from[strlen(target)] == '\0');
    free(said);
    token_list_free(&text);
    return found;
}

static void test_scores(void **state)
{
    struct opened o;
    struct exam exam;
    struct marks marks;
    struct measures m = {.which = (1u << MEASURE_EACH) - 1};
    uint32_t text[40];
    start(&o, *state);
    m.tokenizer = &o.tokenizer;
    for (uint32_t i = 0; i < 40; i++) text[i] = (uint32_t)(random_next(&o.random) % TINY_VOCAB);
    m.text = text;
    m.text_count = 40;
    must(exam_new(&exam, &o.tokenizer, o.data.requests, REQUESTS));
    must(marks_new(&marks, REQUESTS));
    must(measures_unedited(&m, &exam, &o.model));
    for (int round = 0; round < 3; round++) {
        if (round == 2) m.which |= 1u << MEASURE_PPL;
        must(measures_take(&m, &exam, &o.model, 0, REQUESTS, &marks));
        for (size_t i = 0; i < REQUESTS; i++) {
            const struct request *r = &o.data.requests[i];
            const char *const *rephrases = (const char *const *)r->rephrases.items;
            double rel = ref_score(&o, (const char *const *)&r->prompt, 1, r->target_new);
            double gen = r->rephrases.count ? ref_score(&o, rephrases, r->rephrases.count,
                                                        r->target_new) : (double)NAN;
            double success = (double)NAN, gen_success = (double)NAN;
            if (r->target_true) {
                success = ref_success(&o, r->prompt, r->target_new, r->target_true);
                gen_success = 0;
                for (size_t k = 0; k < r->rephrases.count; k++)
                    gen_success += ref_success(&o, rephrases[k], r->target_new, r->target_true) /
                                   (double)r->rephrases.count;
            }
            same(marks.scores[MEASURE_REL][i], rel);
            same(marks.scores[MEASURE_GEN][i], gen);
            same(marks.scores[MEASURE_SUCCESS][i], success);
            same(marks.scores[MEASURE_GEN_SUCCESS][i], gen_success);
            same(marks.scores[MEASURE_FREE][i], ref_begins(&o, r->prompt, r->target_new));
            double begins = r->rephrases.count ? 0 : (double)NAN;
            for (size_t k = 0; k < r->rephrases.count; k++)
                begins += ref_begins(&o, rephrases[k], r->target_new) / (double)r->rephrases.count;
            same(marks.scores[MEASURE_GEN_FREE][i], begins);
            if (round == 0) same(marks.scores[MEASURE_LOC][i], i < 3 ? 1 : (double)NAN);
        }
        // By construction: request 1 and 4 say their targets before anything is changed.
        if (round == 0) same(marks.scores[MEASURE_REL][0] + marks.scores[MEASURE_REL][3], 2);
        if (round == 0) assert_true(marks.scores[MEASURE_GEN][0] >= 0.5);
        if (round < 2) assert_true(isnan(marks.perplexity));
        disturb(&o);
    }
    same(marks_mean(&marks, MEASURE_LOC, 0, REQUESTS),
         (marks.scores[MEASURE_LOC][0] + marks.scores[MEASURE_LOC][1] +
          marks.scores[MEASURE_LOC][2]) / 3);
    assert_true(marks_mean(&marks, MEASURE_LOC, 0, REQUESTS) < 1); // twice disturbed
    assert_true(marks.perplexity > 1 && isfinite(marks.perplexity));
    marks_free(&marks);
    marks_free(&marks);
    exam_free(&exam);
    end(&o);
}

// Loc of the changed model against the unedited one, both in double precision.
static void test_locality(void **state)
{
    struct opened o;
    struct exam exam, other;
    uint32_t before[8][4], n = 0;
    start(&o, *state);
    must(exam_new(&exam, &o.tokenizer, o.data.requests, REQUESTS));
    must(exam_new(&other, &o.tokenizer, o.data.requests, REQUESTS));
    must(exam_unedited(&exam, &o.model, (struct exam_part){.kinds = 1u << ASK_LOC,
                                                           .count = REQUESTS}));
    must(exam_ask(&other, &o.model, ASK_LOC));
    assert_null(exam.questions[ASK_REL][0].before);
    for (uint32_t i = 0; i < 5; i++) {
        const struct question *q = &exam.questions[ASK_LOC][i];
        for (uint32_t k = 0; k < q->answers; k++)
            before[i][k] = ref_next(&o.ref, q->tokens, q->given + k, 0, NULL);
    }
    for (int round = 0; round < 4; round++) {
        disturb(&o);
        must(exam_ask(&exam, &o.model, ASK_LOC));
        for (uint32_t i = 0; i < 3; i++) {
            double right = 0, first = exam.first[ASK_LOC][i], last = exam.first[ASK_LOC][i + 1];
            for (uint32_t j = exam.first[ASK_LOC][i]; j < exam.first[ASK_LOC][i + 1]; j++) {
                const struct question *q = &exam.questions[ASK_LOC][j];
                uint32_t k = 0;
                while (k < q->answers &&
                       ref_next(&o.ref, q->tokens, q->given + k, 0, NULL) == before[j][k])
                    k++;
                right += k == q->answers;
                n += k < q->answers;
            }
            same(exam_score(&exam, ASK_LOC, i, NULL), right / (last - first));
            same(exam_score(&exam, ASK_LOC, i, &other), right / (last - first));
        }
    }
    assert_true(n > 0); // some answers did change
    exam_free(&other);
    exam_free(&exam);
    end(&o);
}

// What is not asked for is not touched.
static void test_only_asked(void **state)
{
    struct opened o;
    struct exam exam;
    struct marks marks;
    start(&o, *state);
    must(exam_new(&exam, &o.tokenizer, o.data.requests, REQUESTS));
    for (int k = 0; k < ASK_KINDS; k++)
        for (uint32_t i = 0; i < exam.first[k][REQUESTS]; i++)
            exam.questions[k][i].top[0] = UINT32_MAX;
    struct measures m = {.which = 1u << MEASURE_GEN};
    must(marks_new(&marks, REQUESTS));
    must(measures_unedited(&m, &exam, &o.model));
    must(measures_take(&m, &exam, &o.model, 1, 1, &marks));
    for (int k = 0; k < ASK_KINDS; k++)
        for (uint32_t i = 0; i < exam.first[k][REQUESTS]; i++) {
            const struct question *q = &exam.questions[k][i];
            bool mine = k == ASK_GEN && i >= exam.first[k][1] && i < exam.first[k][2];
            assert_int_equal(q->top[0] == UINT32_MAX, !mine);
            assert_true(q->likelihood == 0 && !q->before && !q->begins);
        }
    for (int each = 0; each < MEASURE_EACH; each++)
        for (uint32_t i = 0; i < REQUESTS; i++)
            assert_int_equal(isnan(marks.scores[each][i]), each != MEASURE_GEN || i != 1);
    marks_free(&marks);
    exam_free(&exam);
    end(&o);
}

// Four disturbances as four edits: every number of the history is what an exam of that state gives.
static void test_history(void **state)
{
    struct opened o;
    struct exam exam;
    struct marks now[REQUESTS + 1];
    struct history h;
    const struct marks *reached;
    uint32_t *checkpoints, count;
    struct measures m = {.which = MEASURES_DEFAULT | 1u << MEASURE_SUCCESS};
    start(&o, *state);
    must(exam_new(&exam, &o.tokenizer, o.data.requests, REQUESTS));
    must(checkpoints_parse("0,2", &checkpoints, &count));
    must(history_new(&h, &m, &o.tokenizer, o.data.requests, REQUESTS, checkpoints, count));
    must(history_start(&h, &o.model));
    must(measures_unedited(&m, &exam, &o.model));
    for (uint32_t t = 0; t <= REQUESTS; t++) {
        if (t) disturb(&o);
        must(marks_new(&now[t], REQUESTS));
        must(measures_take(&m, &exam, &o.model, 0, REQUESTS, &now[t]));
        if (t == 0) continue;
        must(history_step(&h, &o.model, t, &reached));
        assert_int_equal(reached != NULL, t == 2 || t == REQUESTS);
        for (int each = 0; each < MEASURE_EACH; each++)
            same(h.immediate.scores[each][t - 1], now[t].scores[each][t - 1]);
        for (uint32_t i = 0; reached && i < REQUESTS; i++)
            for (int each = 0; each < MEASURE_EACH; each++)
                same(reached->scores[each][i], i < t ? now[t].scores[each][i] : (double)NAN);
    }
    assert_int_equal(h.state_count, 3);
    assert_int_equal(h.states[0].count, REQUESTS); // unedited: all
    assert_int_equal(h.states[1].count, 2);
    cJSON *json = history_json(&h, o.data.requests);
    cJSON *last = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "checkpoints"), 2);
    same(cJSON_GetObjectItem(last, "rel")->valuedouble,
         marks_mean(&now[REQUESTS], MEASURE_REL, 0, REQUESTS));
    assert_null(cJSON_GetObjectItem(last, "free"));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(last, "records")), REQUESTS);
    cJSON *bin = cJSON_GetArrayItem(cJSON_GetObjectItem(last, "by_age"), 2); // ages 2 and 3
    same(cJSON_GetObjectItem(bin, "rel")->valuedouble,
         marks_mean(&now[REQUESTS], MEASURE_REL, 0, 2));
    cJSON_Delete(json);
    for (uint32_t t = 0; t <= REQUESTS; t++) marks_free(&now[t]);
    history_free(&h);
    history_free(&h);
    exam_free(&exam);
    end(&o);
}

static void test_ages(void **state)
{
    (void)state;
    static const struct {
        uint32_t edits, bins, edges[9]; // the first ages
    } cases[] = {{0, 0, {0}},
                 {1, 1, {0, 1}},
                 {2, 2, {0, 1, 2}},
                 {4, 3, {0, 1, 2, 4}},
                 {5, 3, {0, 1, 2, 5}},
                 {6, 4, {0, 1, 2, 5, 6}},
                 {100, 7, {0, 1, 2, 5, 10, 20, 50, 100}}};
    struct age_bin bins[AGE_BINS_MAX];
    for (size_t c = 0; c < COUNT(cases); c++) {
        struct marks marks = {.edits = cases[c].edits};
        uint32_t count = marks_by_age(&marks, bins);
        assert_int_equal(count, cases[c].bins);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(bins[i].from, cases[c].edges[i]);
            assert_int_equal(bins[i].to, cases[c].edges[i + 1]);
            // Request i was edit i + 1: its age is edits - 1 - i.
            assert_int_equal(marks.edits - 1 - bins[i].first, bins[i].to - 1);
            assert_int_equal(marks.edits - bins[i].end, bins[i].from);
        }
    }
    struct marks most = {.edits = UINT32_MAX};
    assert_in_range(marks_by_age(&most, bins), 20, AGE_BINS_MAX);
}

static void test_lists(void **state)
{
    (void)state;
    unsigned which;
    uint32_t *numbers, count;
    must(measures_parse("loc,rel", &which));
    assert_int_equal(which, 1u << MEASURE_LOC | 1u << MEASURE_REL);
    must(measures_parse("all,ppl", &which));
    assert_int_equal(which, (1u << MEASURES) - 1);
    must_fail(measures_parse("", &which), STATUS_USAGE, "got '', wanted of rel,gen,loc");
    must_fail(measures_parse("rel,gne", &which), STATUS_USAGE, "got 'gne'");
    must_fail(measures_parse("rel,", &which), STATUS_USAGE, "ends in a comma");
    must_fail(measures_parse("rel,,gen", &which), STATUS_USAGE, "got ''");
    must(checkpoints_parse("0,5,1000", &numbers, &count));
    assert_int_equal(count, 3);
    assert_int_equal(numbers[2], 1000);
    free(numbers);
    must(checkpoints_parse(NULL, &numbers, &count));
    assert_int_equal(count, 0);
    for (const char *const *bad = (const char *const[]){"", "5,", ",5", "5;6", "-1", "x", NULL};
         *bad; bad++)
        must_fail(checkpoints_parse(*bad, &numbers, &count), STATUS_USAGE,
                  "wanted numbers of edits");
    must_fail(checkpoints_parse("5,5", &numbers, &count), STATUS_USAGE, "got 5 behind 5");
    must_fail(checkpoints_parse("99999999999999999999", &numbers, &count), STATUS_USAGE, "wanted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions), cmocka_unit_test(test_scores),
        cmocka_unit_test(test_locality),  cmocka_unit_test(test_only_asked),
        cmocka_unit_test(test_history),   cmocka_unit_test(test_ages),
        cmocka_unit_test(test_lists),
    };
    return cmocka_run_group_tests(tests, rig_open_in_folder, rig_close_in_folder);
}
