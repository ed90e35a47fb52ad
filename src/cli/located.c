#include "cli/located.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

// A first token whose key is so many times as long as the others' is a sink's; SmolLM2's layers 1,
// 2, 9 and 11, whose edits disable it, have 6 to 500, the other layers up to 24 at most 3.
static const double sink_ratio = 5;

const char *const class_names[CLASSES] = {"first subject", "mid subject", "last subject",
                                          "next",          "further",     "last"};

enum token_class token_class(uint32_t at, const struct cause_prompt *p)
{
    if (at == p->last) return CLASS_LAST;
    if (at == p->first) return CLASS_FIRST;
    if (at < p->last) return CLASS_MIDDLE;
    if (at == p->count - 1) return CLASS_END;
    return at == p->last + 1 ? CLASS_NEXT : CLASS_FURTHER;
}

bool located_new(struct located *l, uint32_t layers)
{
    *l = (struct located){.layers = layers};
    bool ok = true;
    for (int k = 0; ok && k < CAUSE_KINDS; k++)
        ok = (l->sums[k] = mem_new((size_t)CLASSES * layers, sizeof(double), "effects")) != NULL;
    l->keys = mem_new(layers, sizeof(double), "norms");
    l->streams = mem_new(layers, sizeof(double), "norms");
    return ok && l->keys && l->streams;
}

void located_free(struct located *l)
{
    for (int k = 0; k < CAUSE_KINDS; k++) free(l->sums[k]);
    free(l->keys);
    free(l->streams);
    *l = (struct located){0};
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

// norms: [count], whose others are put in order
static double ratio(float *norms, uint32_t count)
{
    if (count < 2) return 1;
    qsort(norms + 1, count - 1, sizeof *norms, ascending);
    double median = (double)norms[1 + (count - 1) / 2];
    return median > 0 ? (double)norms[0] / median : 1;
}

bool located_add(struct located *l, const struct cause *c, const struct cause_prompt *p)
{
    float *norms = mem_new(c->tokens, sizeof *norms, "norms");
    if (!norms) return false;
    l->runs++;
    l->clean += c->clean;
    l->corrupted += c->corrupted;
    for (uint32_t i = 0; i < c->positions; i++) {
        enum token_class class = token_class(c->first + i, p);
        l->counts[class]++;
        for (uint32_t layer = 0; layer < l->layers; layer++)
            for (int k = 0; k < CAUSE_KINDS; k++)
                l->sums[k][class * l->layers + layer] +=
                    c->p[k][(size_t)layer * c->positions + i] - c->corrupted;
    }
    for (uint32_t layer = 0; layer < l->layers; layer++) {
        memcpy(norms, c->key_norms + (size_t)layer * c->tokens, c->tokens * sizeof *norms);
        l->keys[layer] += ratio(norms, c->tokens);
        memcpy(norms, c->stream_norms + (size_t)layer * c->tokens, c->tokens * sizeof *norms);
        l->streams[layer] += ratio(norms, c->tokens);
    }
    free(norms);
    return true;
}

void located_end(struct located *l)
{
    l->clean /= l->runs;
    l->corrupted /= l->runs;
    for (uint32_t i = 0; i < l->layers; i++) {
        l->keys[i] /= l->runs;
        l->streams[i] /= l->runs;
    }
}

double located_effect(const struct located *l, enum cause_kind kind, enum token_class class,
                      uint32_t layer)
{
    uint32_t n = l->counts[class];
    return n ? l->sums[kind][class * l->layers + layer] / n : (double)NAN;
}

bool located_sink(const struct located *l, uint32_t layer)
{
    return l->keys[layer] > sink_ratio;
}

void located_rank(const struct located *l, uint32_t *order)
{
    for (uint32_t i = 0; i < l->layers; i++) {
        uint32_t at = i;
        double effect = located_effect(l, CAUSE_MLP, CLASS_LAST, i);
        for (; at > 0; at--) {
            uint32_t other = order[at - 1];
            bool sink = located_sink(l, i), worse = located_sink(l, other);
            double its = located_effect(l, CAUSE_MLP, CLASS_LAST, other);
            if (sink == worse ? its >= effect : sink) break;
            order[at] = other;
        }
        order[at] = i;
    }
}

bool cause_prompt_read(struct cause_prompt *p, const struct tokenizer *tokenizer,
                       const struct request *r)
{
    struct token_list list = {0};
    *p = (struct cause_prompt){0};
    if (!tokenizer_encode(tokenizer, r->prompt, strlen(r->prompt), ENCODE_BOS | ENCODE_PLAIN,
                          &list)) {
        token_list_free(&list);
        return false;
    }
    int64_t last = token_list_ending(&list, r->subject_at + strlen(r->subject));
    uint32_t first = 0;
    while (first < list.count && list.spans[first].end <= r->subject_at) first++;
    bool ok = last >= 0 || fail(STATUS_BAD_DATA, "subject '%s' does not end on a token boundary of "
                                                 "prompt '%s'", r->subject, r->prompt);
    if (ok) {
        *p = (struct cause_prompt){.tokens = list.ids, .count = (uint32_t)list.count,
                                   .first = first, .last = (uint32_t)last};
        list.ids = NULL;
    }
    token_list_free(&list);
    return ok;
}
