#define _GNU_SOURCE
#include "ref_facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref_must.h"
#include "ref_rig.h"

const char *const fact_contexts[FACT_CONTEXTS] = {"the sea is blue", "and a king works",
                                                    "music of the old city"};
const char *const facts[FACTS][3] = {
    {"the cat lives in", "the cat", "paris"},
    {"the king of rome speaks", "king of rome", "latin music"},
    {"born on the sea the old man plays", "old man", "red and blue"},
};

// `end`: where the subject ends in the text.
static struct ref_prompt prompt_make(const struct tokenizer *tokenizer, const char *text,
                                     size_t end, const uint32_t *target, uint32_t target_count)
{
    struct token_list list = {0};
    struct ref_prompt p = {0};
    must(tokenizer_encode(tokenizer, text, strlen(text), ENCODE_BOS, &list));
    p.given = (uint32_t)list.count;
    p.count = p.given + target_count - 1;
    p.tokens = rig_memory(p.count + 1, sizeof *p.tokens);
    memcpy(p.tokens, list.ids, list.count * sizeof *p.tokens);
    memcpy(p.tokens + list.count, target, (target_count - 1) * sizeof *p.tokens);
    for (uint32_t i = 0; i < list.count; i++)
        if (list.spans[i].end == end) p.lookup = i;
    assert_true(p.lookup > 0);
    token_list_free(&list);
    return p;
}

// METHOD 1.1: s_j + ". " + prompt, and "{subject} is a" cut behind the subject.
void fact_request(const struct tokenizer *tokenizer, uint32_t number, struct ref_request *r)
{
    const char *prompt = facts[number][0], *subject = facts[number][1];
    char text[400];
    struct token_list target = {0};
    snprintf(text, sizeof text, " %s", facts[number][2]);
    must(tokenizer_encode(tokenizer, text, strlen(text), 0, &target));
    r->target = target.ids;
    r->target_count = (uint32_t)target.count;
    free(target.spans);
    r->count = FACT_CONTEXTS + 1;
    r->prompts = rig_memory(r->count, sizeof *r->prompts);
    for (uint32_t i = 0; i < r->count; i++) {
        snprintf(text, sizeof text, "%s%s%s", i ? fact_contexts[i - 1] : "", i ? ". " : "", prompt);
        size_t before = strlen(text) - strlen(prompt);
        size_t end = before + (size_t)(strstr(prompt, subject) - prompt) + strlen(subject);
        r->prompts[i] = prompt_make(tokenizer, text, end, r->target, r->target_count);
    }
    r->essence = prompt_make(tokenizer, subject, strlen(subject), r->target, 1);
}

void fact_request_free(struct ref_request *r)
{
    for (uint32_t j = 0; j < r->count; j++) free(r->prompts[j].tokens);
    free(r->prompts);
    free(r->essence.tokens);
    free(r->target);
}
