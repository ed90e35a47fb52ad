// SmolLM2's logits against those that transformers gave once (in f32), for five prompts.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "io/tokenizer.h"
#include "model/forward.h"
#include "ref_must.h"
#include "ref_rig.h"

// Logits behind the last token; to be freed.
static float *logits_behind(const struct model *m, const struct token_list *list)
{
    struct sequence q = {.tokens = list->ids, .end = (uint32_t)list->count};
    uint32_t last = q.end - 1, layers = m->config.layers;
    struct batch batch;
    struct cache cache;
    struct acts acts;
    struct head head;
    struct cmd cmd;
    must(batch_new(&batch, m, &q, 1) && cache_new(&cache, m, 0, layers, q.end, true));
    must(acts_new(&acts, m, 0, layers, &batch, false) && head_new(&head, m, &last, 1));
    cmd_start(&cmd, m->dev, false);
    forward_embed(&cmd, m, &batch, &acts);
    forward_layers(&cmd, m, &batch, &cache, &acts, 0, layers);
    forward_head(&cmd, m, &head, acts.stream[layers]->address);
    must(cmd_run_once(&cmd));
    cmd_free(&cmd);
    float *logits = rig_memory(m->config.vocab, sizeof *logits);
    must(buffer_read(m->dev, head.logits, 0, logits, m->config.vocab * sizeof *logits));
    head_free(&head);
    acts_free(&acts);
    cache_free(&cache);
    batch_free(&batch);
    return logits;
}

// Of the golden file: "prompt TEXT", then 20 lines "ID LOGIT", the largest first.
static void golden_prompt(struct rig *rig, const struct model *model,
                          const struct tokenizer *tokenizer, char *text, FILE *golden)
{
    struct token_list list = {0};
    double want, one = 1;
    unsigned id;
    text[strcspn(text, "\n")] = '\0';
    must(tokenizer_encode(tokenizer, text, strlen(text), ENCODE_BOS, &list));
    float *logits = logits_behind(model, &list);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(fscanf(golden, "%u %lf\n", &id, &want), 2);
        rig_near_host(rig, "logits (bound 1e-3)", logits + id, &want, &one, 1, 1e-3 / RIG_EPS);
        if (i == 0) // the best one is the best here, too
            for (uint32_t j = 0; j < model->config.vocab; j++)
                assert_true(logits[j] <= logits[id]);
    }
    free(logits);
    token_list_free(&list);
}

// OEDIT_MODEL, or where the main job's command keeps the file.
static const char *model_path(void)
{
    static char path[600];
    const char *given = getenv("OEDIT_MODEL"), *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    bool own = cache && *cache;
    if (given && *given) return given;
    snprintf(path, sizeof path, "%s%s/oedit/models/SmolLM2-135M-Instruct.Q4_1.gguf",
             own ? cache : home ? home : "", own ? "" : "/.cache");
    return path;
}

static void test_smollm2(void **state)
{
    struct rig *rig = *state;
    struct weights weights;
    struct tokenizer tokenizer;
    struct model model;
    char line[400];
    int prompts = 0;
    if (access(model_path(), R_OK) != 0) {
        printf("skipped: no SmolLM2 model (%s)\n", model_path());
        skip();
    }
    must(weights_open(&weights, model_path()));
    if (weights.config.layers != 30 || weights.config.dim != 576) {
        printf("skipped: no SmolLM2 model (%s is another one)\n", model_path());
        weights_close(&weights);
        skip();
    }
    must(tokenizer_open(&tokenizer, &weights) && model_open(&model, rig->dev, &weights));
    FILE *golden = fopen("tests/golden/smollm2_logits.txt", "r");
    assert_non_null(golden);
    while (fgets(line, sizeof line, golden))
        if (strncmp(line, "prompt ", 7) == 0) {
            golden_prompt(rig, &model, &tokenizer, line + 7, golden);
            prompts++;
        }
    assert_int_equal(prompts, 5);
    fclose(golden);
    model_close(&model);
    tokenizer_free(&tokenizer);
    weights_close(&weights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_smollm2)};
    log_level_set(LOG_QUIET);
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
