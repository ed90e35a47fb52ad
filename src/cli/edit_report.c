#include "cli/edit_run.h"

#include "vk/device.h"

static void number(cJSON *to, const char *name, double value)
{
    cJSON_AddNumberToObject(to, name, value);
}

cJSON *edit_json(const struct edit *edit)
{
    cJSON *o = cJSON_CreateObject(), *loss = cJSON_CreateArray();
    number(o, "edit", edit->number);
    number(o, "id", (double)edit->request->id);
    cJSON_AddStringToObject(o, "prompt", edit->request->prompt);
    cJSON_AddStringToObject(o, "subject", edit->request->subject);
    cJSON_AddStringToObject(o, "target", edit->request->target_new);
    number(o, "steps", edit->steps);
    number(o, "chosen", edit->chosen + 1);
    for (uint32_t i = 0; i < edit->steps; i++)
        cJSON_AddItemToArray(loss, cJSON_CreateNumber((double)edit->trace[i].total));
    cJSON_AddItemToObject(o, "loss", loss);
    const struct trace *taken = &edit->trace[edit->chosen];
    number(o, "nll", (double)taken->nll);
    number(o, "kl", (double)taken->kl);
    number(o, "f1", (double)taken->f1);
    number(o, "f2", (double)taken->f2);
    number(o, "delta", edit->length);
    number(o, "v0", edit->v0);
    number(o, "k", edit->k_norm);
    number(o, "s", edit->s);
    number(o, "realised", edit->realised);
    number(o, "kept", edit->kept);
    number(o, "r", edit->r);
    number(o, "q", edit->q);
    number(o, "u", edit->u_norm);
    number(o, "w", edit->w_norm);
    number(o, "dw", edit->u_norm * edit->w_norm);
    cJSON_AddBoolToObject(o, "noop", edit->noop);
    number(o, "ms", edit->milliseconds);
    return o;
}

cJSON *run_json(const struct editor *e, uint64_t seed)
{
    const struct hparams *h = &e->hparams;
    cJSON *o = cJSON_CreateObject(), *contexts = cJSON_CreateArray();
    cJSON_AddStringToObject(o, "version", OEDIT_VERSION);
    cJSON_AddStringToObject(o, "precision", e->model->dev->strict ? "strict" : "fast");
    cJSON_AddStringToObject(o, "solver", e->solver->name);
    cJSON_AddStringToObject(o, "guard", e->guard->name);
    cJSON_AddStringToObject(o, "hparams", h->model);
    number(o, "seed", (double)seed);
    number(o, "layer", h->layer);
    number(o, "lambda", h->lambda);
    number(o, "lambda1", h->lambda1);
    number(o, "lambda2", h->lambda2);
    number(o, "lambda3", h->lambda3);
    cJSON_AddStringToObject(o, "cosine", (const char *[]){"square", "abs", "signed"}[h->cosine]);
    cJSON_AddStringToObject(o, "projector", (const char *[]){"paper", "exact"}[h->projector]);
    cJSON_AddStringToObject(o, "optimizer", optimizer_names[h->optimizer]);
    number(o, "rate", h->rate);
    number(o, "steps", h->steps);
    number(o, "stop", h->stop);
    number(o, "kl", h->kl);
    number(o, "decay", h->decay);
    number(o, "clamp", h->clamp);
    number(o, "ridge", h->ridge);
    for (uint32_t i = 0; i < e->contexts.count; i++)
        cJSON_AddItemToArray(contexts, cJSON_CreateString(e->contexts.texts[i]));
    cJSON_AddItemToObject(o, "contexts", contexts);
    return o;
}

cJSON *where_json(cJSON *run, const struct editor *e)
{
    cJSON_AddStringToObject(run, "device", e->model->dev->info.name);
    cJSON_AddStringToObject(run, "driver", e->model->dev->info.driver);
    return run;
}
