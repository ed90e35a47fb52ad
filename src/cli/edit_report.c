#include <stdlib.h>
#include <string.h>

#include "cli/edit_run.h"
#include "base/json.h"

static void number(cJSON *to, const char *name, double value)
{
    cJSON_AddNumberToObject(to, name, value);
}

// A score that is not a number is null: the layer was not to be taken.
static void candidates_json(cJSON *to, const struct journal_edit *e)
{
    if (e->candidate_count == 0) return;
    cJSON *list = cJSON_AddArrayToObject(to, "candidates");
    for (uint32_t i = 0; i < e->candidate_count; i++) {
        const struct journal_candidate *c = &e->candidates[i];
        cJSON *one = cJSON_CreateObject();
        number(one, "layer", c->layer);
        number(one, "score", c->score);
        number(one, "delta", c->length);
        number(one, "frobenius", c->w_norm);
        number(one, "k", c->k_norm);
        json_append(list, one);
    }
}

cJSON *edit_json(const struct journal_edit *e)
{
    cJSON *o = cJSON_CreateObject(), *loss = cJSON_CreateArray();
    number(o, "edit", e->number);
    number(o, "id", (double)e->request.id);
    cJSON_AddStringToObject(o, "prompt", e->request.prompt);
    cJSON_AddStringToObject(o, "subject", e->request.subject);
    cJSON_AddStringToObject(o, "target", e->request.target_new);
    number(o, "layer", e->layer);
    candidates_json(o, e);
    number(o, "steps", e->look_count);
    number(o, "chosen", e->chosen + 1);
    for (uint32_t i = 0; i < e->look_count; i++)
        json_push(loss, (double)e->looks[i].total);
    json_member(o, "loss", loss);
    const struct journal_look *taken = &e->looks[e->chosen];
    number(o, "nll", (double)taken->nll);
    number(o, "kl", (double)taken->kl);
    number(o, "f1", (double)taken->f1);
    number(o, "f2", (double)taken->f2);
    number(o, "delta", e->length);
    number(o, "v0", e->v0);
    number(o, "k", e->k_norm);
    number(o, "s", e->s);
    number(o, "realised", e->realised);
    number(o, "kept", e->kept);
    number(o, "r", e->r);
    number(o, "q", e->q);
    number(o, "u", e->u_norm);
    number(o, "w", e->w_norm);
    number(o, "dw", e->u_norm * e->w_norm);
    if (!e->noop) number(o, "rank", journal_pairs(e)); // at most: a dense edit has all rows
    cJSON_AddBoolToObject(o, "noop", e->noop);
    cJSON_AddBoolToObject(o, "reverted", e->reverted);
    return o;
}

cJSON *run_json(const struct journal_header *h)
{
    cJSON *o = cJSON_CreateObject(), *contexts = cJSON_CreateArray();
    for (size_t i = 0; i < h->setting_count; i++) {
        const struct setting *s = &h->settings[i];
        // A number is written as the journal has it: the same text on every machine.
        char *end = NULL;
        bool plain = (s->kind & SETTING_NUMBER) && (strtod(s->value, &end), end != s->value) &&
                     *end == '\0' && strspn(s->value, "0123456789+-.eE") == strlen(s->value);
        if (strcmp(s->name, "contexts") == 0)
            continue; // how many were wanted: the list itself is told
        if (strncmp(s->name, "context.", 8) == 0)
            json_append(contexts, cJSON_CreateString(s->value));
        else if (plain)
            cJSON_AddRawToObject(o, s->name, s->value);
        else
            cJSON_AddStringToObject(o, s->name, s->value);
    }
    json_member(o, "contexts", contexts);
    cJSON *tensors = cJSON_AddArrayToObject(o, "tensors");
    for (size_t i = 0; i < h->tensor_count; i++)
        json_append(tensors, cJSON_CreateString(h->tensors[i].name));
    return o;
}

cJSON *where_json(cJSON *run, const struct device *dev)
{
    if (cJSON_GetObjectItem(run, "device")) return run;
    cJSON_AddStringToObject(run, "device", dev->info.name);
    cJSON_AddStringToObject(run, "driver", dev->info.driver);
    return run;
}
