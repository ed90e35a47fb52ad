#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/opened.h"
#include "model/generate.h"

static bool print(const struct opened *o, const struct args *args, const struct generated *g,
                  double seconds)
{
    char *text = NULL;
    size_t size = 0;
    bool ok = true;
    uint32_t fresh = g->count - g->prompt;
    if (!tokenizer_decode(&o->tokenizer, g->tokens + g->prompt, fresh, true, &text, &size))
        return false;
    if (!args->json) {
        printf("%s%s\n", args->prompt, text);
    } else {
        cJSON *root = cJSON_CreateObject(), *ids = cJSON_AddArrayToObject(root, "ids");
        cJSON_AddStringToObject(root, "prompt", args->prompt);
        cJSON_AddStringToObject(root, "text", text);
        for (uint32_t i = g->prompt; i < g->count; i++)
            json_push(ids, g->tokens[i]);
        cJSON_AddBoolToObject(root, "stopped", g->stopped);
        ok = json_put(root, false);
        cJSON_Delete(root);
    }
    log_detail("%u tokens, %.2f tokens/s", fresh, fresh / seconds);
    free(text);
    return ok;
}

bool command_generate(const struct args *args)
{
    struct opened o = {0};
    struct token_list prompt = {0};
    struct generated text = {0};
    bool ok = args->prompt || fail(STATUS_USAGE, "--prompt: wanted a text (-p TEXT)");
    ok = ok && opened_start(&o, args) &&
         tokenizer_encode(&o.tokenizer, args->prompt, strlen(args->prompt), ENCODE_BOS, &prompt);
    if (ok && prompt.count == 0) ok = fail(STATUS_USAGE, "--prompt: got an empty text");
    if (ok) {
        text.tokens = mem_new(prompt.count, sizeof *text.tokens, "a text");
        text.count = (uint32_t)prompt.count;
        ok = text.tokens != NULL;
        if (ok) memcpy(text.tokens, prompt.ids, prompt.count * sizeof *text.tokens);
    }
    if (ok) {
        struct generate_options options = {.tokens = args->n ? args->n : 32,
                                           .top = args->top_sample,
                                           .temperature = args->temperature,
                                           .seed = args->seed,
                                           .stop = o.tokenizer.vocab.stops,
                                           .stop_count = o.tokenizer.vocab.stop_count};
        struct progress bar;
        progress_start(&bar, "generating", "token", options.tokens);
        double started = log_clock();
        ok = generate(&o.model, &text, 1, &options, &bar);
        progress_end(&bar);
        ok = ok && print(&o, args, &text, log_clock() - started);
    }
    free(text.tokens);
    token_list_free(&prompt);
    return opened_end(&o, args, ok);
}
