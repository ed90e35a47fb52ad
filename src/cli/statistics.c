#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/grad_text.h"
#include "cli/plan.h"
#include "cli/settings.h"
#include "edit/stats.h"
#include "linalg/solve.h"

static bool corpus_open(struct corpus *corpus, struct opened *o, const struct args *args,
                        const struct hparams *h, uint32_t tokens)
{
    if (args->tokens) tokens = args->tokens;
    if (args->text)
        return corpus_from_file(corpus, &o->tokenizer, args->text, tokens, h->block);
    if (!args->tokens) tokens = 2 * o->model.config.ffn;
    return corpus_from_model(corpus, &o->model, &o->weights, &o->tokenizer, tokens, args->seed);
}

// A matrix as raw little-endian f32, row by row.
static bool matrix_write(struct device *dev, struct buffer *buffer, uint64_t n, const char *path)
{
    float *data = mem_new(n, sizeof *data, "a matrix");
    struct file_out out;
    bool ok = data && buffer_read(dev, buffer, 0, data, n * sizeof *data) &&
              file_out_open(&out, path);
    if (ok) {
        ok = file_out_write(&out, data, n * sizeof *data);
        ok = file_out_close(&out, ok) && ok;
    }
    free(data);
    return ok;
}

static bool print(cJSON *root, bool json)
{
    const cJSON *item;
    if (json) return json_put(root, true);
    cJSON_ArrayForEach(item, root)
    {
        if (cJSON_IsString(item)) printf("%s: %s\n", item->string, item->valuestring);
        if (cJSON_IsNumber(item)) printf("%s: %.9g\n", item->string, item->valuedouble);
    }
    return true;
}

static cJSON *about(const struct hparams *h, const struct corpus *corpus)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "layer", h->layer);
    cJSON_AddNumberToObject(root, "tokens", corpus->count);
    cJSON_AddNumberToObject(root, "block", corpus->block);
    if (corpus->starts) cJSON_AddNumberToObject(root, "statements", corpus->start_count);
    cJSON_AddStringToObject(root, "text", corpus->source);
    return root;
}

bool command_stats(const struct args *args)
{
    struct opened o = {0};
    struct hparams h = {0};
    struct corpus corpus = {0};
    struct buffer *c = NULL;
    struct factor factor = {0};
    double condition = NAN;
    bool ok = plan_start(&o, args) && settings_open(&h, args, &o.model.config) &&
              corpus_open(&corpus, &o, args, &h, h.stats_tokens) &&
              stats_moment(&o.model, &o.weights, &corpus, h.layer, &c) &&
              factor_new(&o.dev, c, o.model.config.ffn, h.ridge, &factor) &&
              factor_condition(&factor, &condition);
    uint64_t n = o.model.config.ffn;
    ok = ok && (!args->out || matrix_write(&o.dev, c, n * n, args->out));
    if (ok) {
        cJSON *root = about(&h, &corpus);
        cJSON_AddNumberToObject(root, "size", (double)n);
        cJSON_AddNumberToObject(root, "condition", condition);
        if (args->out) cJSON_AddStringToObject(root, "out", args->out);
        ok = print(root, args->json);
        cJSON_Delete(root);
    }
    factor_free(&factor);
    if (o.dev.handle) buffer_free(&o.dev, &c);
    corpus_free(&corpus);
    hparams_free(&h);
    return opened_end(&o, args, ok);
}

bool command_grad(const struct args *args)
{
    struct opened o = {0};
    struct hparams h = {0};
    struct corpus corpus = {0};
    struct buffer *rows = NULL;
    float *values = NULL;
    bool ok = grad_text_check(args) && plan_start(&o, args) &&
              settings_open(&h, args, &o.model.config) &&
              (h.grad_source ? grad_text_open(&corpus, args, &o.tokenizer, &h,
                                              args->tokens ? args->tokens : h.grad_tokens)
                             : corpus_open(&corpus, &o, args, &h, h.grad_tokens));
    uint32_t dim = o.model.config.dim, count = 0;
    values = ok ? mem_new(dim, sizeof *values, "singular values") : NULL;
    ok = ok && values && stats_count(&o.model, &h, &count) &&
         stats_directions(&o.model, &o.weights, &corpus, h.layer, count, &rows, values) &&
         (!args->out || matrix_write(&o.dev, rows, (uint64_t)dim * dim, args->out));
    if (ok) {
        cJSON *root = about(&h, &corpus), *list = cJSON_CreateArray();
        double total = 0, part = 0;
        uint32_t half = 0;
        for (uint32_t i = 0; i < dim; i++) total += (double)values[i] * (double)values[i];
        while (half < dim && part < 0.5 * total) {
            part += (double)values[half] * (double)values[half];
            half++;
        }
        for (uint32_t i = 0; i < dim; i++)
            json_push(list, (double)values[i]);
        cJSON_AddNumberToObject(root, "largest", (double)values[0]);
        cJSON_AddNumberToObject(root, "smallest", (double)values[dim - 1]);
        cJSON_AddNumberToObject(root, "directions_with_half_the_energy", half);
        json_member(root, "singular_values", list);
        if (args->out) cJSON_AddStringToObject(root, "out", args->out);
        ok = print(root, args->json);
        cJSON_Delete(root);
    }
    free(values);
    if (o.dev.handle) buffer_free(&o.dev, &rows);
    corpus_free(&corpus);
    hparams_free(&h);
    return opened_end(&o, args, ok);
}
