#include "eval/history.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

bool checkpoints_parse(const char *list, uint32_t **numbers, uint32_t *count)
{
    *numbers = NULL;
    *count = 0;
    if (!list) return true;
    uint32_t *found = mem_new(strlen(list) + 1, sizeof *found, "checkpoints");
    bool ok = found != NULL;
    for (const char *word = list; ok;) {
        char *end = NULL;
        unsigned long number = isdigit((unsigned char)*word) ? strtoul(word, &end, 10) : 0;
        if (!end || (*end && *end != ',') || number > 1000000000)
            ok = fail(STATUS_USAGE, "--checkpoints: got '%s', wanted numbers of edits as in 50,100",
                      list);
        else if (*count && number <= found[*count - 1])
            ok = fail(STATUS_USAGE, "--checkpoints: got %lu behind %u, wanted ascending numbers",
                      number, found[*count - 1]);
        if (ok) found[(*count)++] = (uint32_t)number;
        if (!ok || !*end) break;
        word = end + 1;
    }
    if (ok) *numbers = found;
    else free(found);
    return ok;
}

bool history_new(struct history *h, const struct measures *measures,
                 const struct tokenizer *tokenizer, const struct request *requests, uint32_t count,
                 uint32_t *checkpoints, uint32_t checkpoint_count)
{
    *h = (struct history){.measures = *measures, .checkpoints = checkpoints,
                          .checkpoint_count = checkpoint_count};
    bool ok = true;
    h->measures.tokenizer = tokenizer;
    for (uint32_t i = 0; ok && i < checkpoint_count; i++)
        if (checkpoints[i] > count)
            ok = fail(STATUS_USAGE, "--checkpoints: got %u, there are %u edits", checkpoints[i],
                      count);
    ok = ok && (h->states = mem_new(checkpoint_count + 1, sizeof *h->states, "scores")) != NULL &&
         exam_new(&h->exam, tokenizer, requests, count) && marks_new(&h->immediate, count);
    if (!ok) history_free(h);
    return ok;
}

void history_free(struct history *h)
{
    for (uint32_t i = 0; i < h->state_count; i++) marks_free(&h->states[i]);
    free(h->states);
    free(h->checkpoints);
    marks_free(&h->immediate);
    exam_free(&h->exam);
    *h = (struct history){0};
}

// Of the unedited model all requests are asked.
bool history_state(struct history *h, const struct model *model, uint32_t edits)
{
    struct marks *state = &h->states[h->state_count];
    uint32_t count = edits ? edits : h->exam.requests;
    if (!marks_new(state, h->exam.requests)) return false;
    h->state_count++;
    state->edits = edits;
    state->count = count;
    return measures_take(&h->measures, &h->exam, model, 0, count, state);
}

bool history_is_checkpoint(const struct history *h, uint32_t edits)
{
    for (uint32_t i = 0; i < h->checkpoint_count; i++)
        if (h->checkpoints[i] == edits) return true;
    return edits > 0 && edits == h->exam.requests;
}

bool history_start(struct history *h, const struct model *model)
{
    return measures_unedited(&h->measures, &h->exam, model) &&
           (!history_is_checkpoint(h, 0) || history_state(h, model, 0));
}

bool history_right_after(struct history *h, const struct model *model, uint32_t edits)
{
    struct measures quick = h->measures;
    quick.which &= ~(1u << MEASURE_PPL);
    h->immediate.count = edits;
    return measures_take(&quick, &h->exam, model, edits - 1, 1, &h->immediate);
}

bool history_step(struct history *h, const struct model *model, uint32_t edits,
                  const struct marks **state)
{
    *state = NULL;
    if (!history_right_after(h, model, edits)) return false;
    if (!history_is_checkpoint(h, edits)) return true;
    if (!history_state(h, model, edits)) return false;
    *state = &h->states[h->state_count - 1];
    return true;
}

uint32_t marks_by_age(const struct marks *marks, struct age_bin bins[AGE_BINS_MAX])
{
    static const uint32_t turns[] = {1, 2, 5};
    uint32_t count = 0, from = 0;
    uint64_t decade = 1;
    for (uint32_t i = 0; from < marks->edits && count < AGE_BINS_MAX; i++) {
        uint64_t to = decade * turns[i % 3];
        if (i % 3 == 2) decade *= 10;
        if (to > marks->edits) to = marks->edits;
        bins[count++] = (struct age_bin){.from = from, .to = (uint32_t)to,
                                         .first = marks->edits - (uint32_t)to,
                                         .end = marks->edits - from};
        from = (uint32_t)to;
    }
    return count;
}
