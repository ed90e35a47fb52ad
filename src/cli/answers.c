#include "cli/answers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/generate.h"

enum { TOKENS = ANSWER_TOKENS, TOGETHER = ANSWERS_TOGETHER };

// Greedy continuations of prompts [first, first + count), their first line.
static bool ask(const struct answers *a, const struct model *model,
                const struct tokenizer *tokenizer, uint32_t first, uint32_t count, char **texts)
{
    struct generated g[TOGETHER] = {0};
    struct generate_options options = {.tokens = TOKENS, .top = 1, .stop = tokenizer->vocab.stops,
                                       .stop_count = tokenizer->vocab.stop_count};
    bool ok = true;
    for (uint32_t i = 0; ok && i < count; i++) {
        g[i].count = a->lengths[first + i];
        g[i].tokens = mem_new(g[i].count, sizeof(uint32_t), "a prompt");
        ok = g[i].tokens != NULL;
        if (ok) memcpy(g[i].tokens, a->prompts[first + i], g[i].count * sizeof(uint32_t));
    }
    ok = ok && generate(model, g, count, &options, NULL);
    for (uint32_t i = 0; ok && i < count; i++) {
        size_t size;
        ok = tokenizer_decode(tokenizer, g[i].tokens + g[i].prompt, g[i].count - g[i].prompt, true,
                              &texts[first + i], &size);
        if (!ok) break;
        char *text = texts[first + i];
        text[strcspn(text, "\n")] = '\0';
        text[utf8_invalid(text, strlen(text))] = '\0'; // the last token may end amid a character
    }
    for (uint32_t i = 0; i < count; i++) free(g[i].tokens);
    return ok;
}

static bool ask_all(const struct answers *a, const struct model *model,
                    const struct tokenizer *tokenizer, char **texts)
{
    bool ok = true;
    for (uint32_t i = 0; ok && i < a->count; i += TOGETHER)
        ok = ask(a, model, tokenizer, i, a->count - i < TOGETHER ? a->count - i : TOGETHER, texts);
    return ok;
}

bool answers_prompts(struct answers *a, const struct tokenizer *tokenizer,
                     const struct dataset *data)
{
    struct token_list list = {0};
    a->prompts = mem_new(data->count, sizeof *a->prompts, "answers");
    a->lengths = mem_new(data->count, sizeof *a->lengths, "answers");
    a->before = mem_new(data->count, sizeof *a->before, "answers");
    a->after = mem_new(data->count, sizeof *a->after, "answers");
    bool ok = a->prompts && a->lengths && a->before && a->after;
    for (size_t i = 0; ok && i < data->count; i++, a->count++) {
        const char *prompt = data->requests[i].prompt;
        ok = tokenizer_encode(tokenizer, prompt, strlen(prompt), ENCODE_BOS, &list);
        a->lengths[i] = (uint32_t)list.count;
        a->prompts[i] = list.ids;
        list.ids = NULL;
        token_list_free(&list);
    }
    return ok;
}

bool answers_before(struct answers *a, const struct model *model,
                    const struct tokenizer *tokenizer, const struct dataset *data)
{
    return answers_prompts(a, tokenizer, data) && ask_all(a, model, tokenizer, a->before);
}

bool answers_after(struct answers *a, const struct model *model, const struct tokenizer *tokenizer)
{
    for (uint32_t i = 0; i < a->count; i++) {
        free(a->after[i]);
        a->after[i] = NULL;
    }
    return ask_all(a, model, tokenizer, a->after);
}

void answers_print(const struct answers *a, const struct dataset *data)
{
    for (uint32_t i = 0; i < a->count; i++)
        printf("\n%s\n  before:%s\n  wanted: %s\n  after: %s\n", data->requests[i].prompt,
               a->before[i], data->requests[i].target_new, a->after[i]);
}

cJSON *answers_json(const struct answers *a, const struct dataset *data)
{
    cJSON *list = cJSON_CreateArray();
    for (uint32_t i = 0; i < a->count; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "prompt", data->requests[i].prompt);
        cJSON_AddStringToObject(row, "target", data->requests[i].target_new);
        cJSON_AddStringToObject(row, "before", a->before[i]);
        cJSON_AddStringToObject(row, "after", a->after[i]);
        json_append(list, row);
    }
    return list;
}

void answers_free(struct answers *a)
{
    for (uint32_t i = 0; i < a->count; i++) {
        free(a->prompts[i]);
        free(a->before[i]);
        free(a->after[i]);
    }
    free(a->prompts);
    free(a->lengths);
    free(a->before);
    free(a->after);
    *a = (struct answers){0};
}
