#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/opened.h"
#include "model/pass.h"
#include "ops/top_k.h"

// The k largest logits behind the last token.
static bool top_logits(const struct model *model, const struct token_list *prompt, uint32_t k,
                       uint32_t *ids, float *values)
{
    struct sequence sequence = {.tokens = prompt->ids, .end = (uint32_t)prompt->count};
    struct pass pass = {0};
    struct buffer *id = NULL, *value = NULL;
    struct cmd cmd = {0};
    uint32_t last = sequence.end - 1;
    bool ok = pass_new(&pass, model, &sequence, 1, model->config.layers, false) &&
              pass_head(&pass, model, &last, 1) &&
              buffer_new(model->dev, k * sizeof *ids, "candidates", &id) &&
              buffer_new(model->dev, k * sizeof *values, "candidates", &value);
    if (ok) {
        cmd_start(&cmd, model->dev, false);
        pass_logits(&cmd, model, &pass);
        top_k(&cmd, pass.head.logits->address, id->address, value->address, 1,
              model->config.vocab, k);
        ok = cmd_run_once(&cmd) && buffer_read(model->dev, id, 0, ids, k * sizeof *ids) &&
             buffer_read(model->dev, value, 0, values, k * sizeof *values);
    }
    if (ok && (ids[0] >= model->config.vocab || !isfinite(values[0])))
        ok = pass_blame(model, &sequence, 1, &last, 1, "the logits");
    cmd_free(&cmd);
    buffer_free(model->dev, &id);
    buffer_free(model->dev, &value);
    pass_free(&pass);
    return ok;
}

static bool print(const struct opened *o, const uint32_t *ids, const float *values, uint32_t k,
                  bool json)
{
    cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "top");
    for (uint32_t i = 0; i < k; i++) {
        struct bytes piece = tokenizer_piece(&o->tokenizer, ids[i]);
        char text[256];
        snprintf(text, sizeof text, "%.*s", (int)piece.size, piece.data);
        if (!json) {
            printf("%8.4f  %6u  '%s'\n", (double)values[i], ids[i], text);
            continue;
        }
        cJSON *row = cJSON_CreateObject();
        cJSON_AddNumberToObject(row, "id", ids[i]);
        cJSON_AddStringToObject(row, "token", text);
        cJSON_AddNumberToObject(row, "logit", (double)values[i]);
        json_append(list, row);
    }
    bool ok = !json || json_put(root, false);
    cJSON_Delete(root);
    return ok;
}

bool command_logits(const struct args *args)
{
    struct opened o = {0};
    struct token_list prompt = {0};
    uint32_t *ids = NULL, k = args->top;
    float *values = NULL;
    bool ok = args->prompt || fail(STATUS_USAGE, "--prompt: wanted a text (-p TEXT)");
    ok = ok && opened_start(&o, args) &&
         tokenizer_encode(&o.tokenizer, args->prompt, strlen(args->prompt), ENCODE_BOS, &prompt);
    if (ok && prompt.count == 0) ok = fail(STATUS_USAGE, "--prompt: got an empty text");
    if (ok && k > o.model.config.vocab) k = o.model.config.vocab;
    ids = mem_new(k, sizeof *ids, "candidates");
    values = mem_new(k, sizeof *values, "candidates");
    ok = ok && ids && values && top_logits(&o.model, &prompt, k, ids, values);
    ok = ok && print(&o, ids, values, k, args->json);
    free(ids);
    free(values);
    token_list_free(&prompt);
    return opened_end(&o, args, ok);
}
