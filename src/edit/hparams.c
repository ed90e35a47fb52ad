#include "edit/layers.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"

struct asset {
    const char *name;
    const unsigned char *text;
};

#include "assets.inc" // made by CMake: assets[]

struct field {
    const char *name;
    enum { WHOLE, REAL, RARE } kind; // RARE: a real number, told only where it is over 0
    size_t offset;
};

#define FIELD(kind, name) {#name, kind, offsetof(struct hparams, name)}
static const struct field fields[] = {
    FIELD(WHOLE, layer),         FIELD(REAL, lambda),          FIELD(REAL, rate),
    FIELD(WHOLE, steps),         FIELD(REAL, stop),            FIELD(REAL, kl),
    FIELD(REAL, decay),          FIELD(REAL, clamp),           FIELD(REAL, lambda1),
    FIELD(REAL, lambda2),        FIELD(REAL, lambda3),         FIELD(WHOLE, q_max),
    FIELD(REAL, ridge),          FIELD(WHOLE, contexts),       FIELD(WHOLE, context_short),
    FIELD(WHOLE, context_long),  FIELD(WHOLE, block),          FIELD(WHOLE, stats_tokens),
    FIELD(WHOLE, grad_tokens),   FIELD(REAL, limit),           FIELD(RARE, key_memory),
    FIELD(RARE, null_threshold), FIELD(RARE, l2),              FIELD(RARE, sphere_alpha),
    FIELD(RARE, sphere_eta),
};

const char *const ablation_names[ABLATIONS] = {"none", "grad", "edits", "eq26"};
const char *const grad_source_names[GRAD_SOURCES] = {"text", "locality", "knowledge", "ascii"};
const char *const grad_svd_names[GRAD_SVDS] = {"auto", "full", "probes"};
const char *const optimizer_names[OPTIMIZERS] = {"adam", "gauss-newton"};

static bool optimizer_read(struct hparams *h, const cJSON *value, const char *where)
{
    const char *word = cJSON_IsString(value) ? value->valuestring : "no text";
    for (int i = 0; i < OPTIMIZERS; i++) {
        if (strcmp(word, optimizer_names[i]) != 0) continue;
        h->optimizer = (enum optimizer)i;
        return true;
    }
    return fail(STATUS_BAD_DATA, "%s: 'optimizer' is %s, wanted %s or %s", where, word,
                optimizer_names[0], optimizer_names[1]);
}

// Words as of --layers, or one number.
static bool layers_from(struct hparams *h, const cJSON *value, const struct config *config,
                        const char *where)
{
    char one[16];
    const char *words = value->valuestring;
    if (cJSON_IsNumber(value)) words = one;
    snprintf(one, sizeof one, "%.0f", value->valuedouble);
    if (!words) return fail(STATUS_BAD_DATA, "%s: 'layers' wants text, as \"5-10\"", where);
    if (layers_read(h, words, config)) return true;
    char why[256];
    snprintf(why, sizeof why, "%s", status_message());
    status_clear();
    return fail(STATUS_BAD_DATA, "%s: %s", where, why);
}

// {"name": {"value": 5, "cite": "..."}} or {"name": 5}; -1 keeps what is there.
static bool section_read(struct hparams *h, const cJSON *section, const struct config *config,
                         const char *where)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, section)
    {
        const cJSON *value = cJSON_IsObject(item) ? cJSON_GetObjectItem(item, "value") : item;
        const struct field *field = NULL;
        const bool optimizer = strcmp(item->string, "optimizer") == 0;
        if (optimizer || strcmp(item->string, "layers") == 0) {
            if (!(optimizer ? optimizer_read(h, value, where)
                            : layers_from(h, value, config, where)))
                return false;
            continue;
        }
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
            if (strcmp(fields[i].name, item->string) == 0) field = &fields[i];
        if (!field)
            return fail(STATUS_BAD_DATA, "%s: unknown hyper-parameter '%s'", where, item->string);
        if (!cJSON_IsNumber(value) || (value->valuedouble < 0 && value->valuedouble != -1) ||
            value->valuedouble > 1e9)
            return fail(STATUS_BAD_DATA, "%s: '%s' wants a number from 0 to 1e9", where,
                        item->string);
        if (value->valuedouble < 0) continue;
        void *at = (char *)h + field->offset;
        if (field->kind == WHOLE)
            *(uint32_t *)at = (uint32_t)value->valuedouble;
        else
            *(double *)at = value->valuedouble;
    }
    return true;
}

static bool texts_read(struct hparams *h, const cJSON *list, const char *where)
{
    if (!list) return true;
    uint32_t count = (uint32_t)cJSON_GetArraySize(list), i = 0;
    h->context_texts = mem_new(count, sizeof *h->context_texts, "contexts");
    if (!h->context_texts) return false;
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item))
            return fail(STATUS_BAD_DATA, "%s: 'context_texts' wants a list of strings", where);
        h->context_texts[i] = mem_text(item->valuestring, strlen(item->valuestring), "contexts");
        if (!h->context_texts[i++]) return false;
        h->context_text_count = i;
    }
    return true;
}

// What holds for all, then the solver's own, then the guard's.
static bool document_read(struct hparams *h, const char *text, const char *solver,
                          const char *guard, const struct config *config, const char *where)
{
    const char *const sections[] = {"values", solver, guard};
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithOpts(text, &end, true);
    bool ok = cJSON_IsObject(root) || fail(STATUS_BAD_DATA, "%s: not a JSON object", where);
    const cJSON *name = ok ? cJSON_GetObjectItem(root, "model") : NULL;
    if (cJSON_IsString(name)) snprintf(h->model, sizeof h->model, "%s", name->valuestring);
    for (size_t i = 0; ok && i < sizeof sections / sizeof *sections; i++)
        ok = section_read(h, cJSON_GetObjectItem(root, sections[i]), config, where);
    ok = ok && texts_read(h, cJSON_GetObjectItem(root, "context_texts"), where);
    cJSON_Delete(root);
    return ok;
}

// How many of the shape's numbers a file names, all of which must fit; -1: it is another model's.
static bool match(const struct asset *asset, const struct config *config, int *named)
{
    const struct {
        const char *name;
        double value;
    } shape[] = {{"layers", config->layers}, {"dim", config->dim}, {"ffn", config->ffn},
                 {"vocab", config->vocab}};
    cJSON *root = cJSON_Parse((const char *)asset->text);
    if (!root) // the asset itself is good
        return fail(STATUS_NO_MEMORY, "out of host memory for %s", asset->name);
    const cJSON *wanted = cJSON_GetObjectItem(root, "match"), *item;
    *named = 0;
    cJSON_ArrayForEach(item, wanted)
        for (size_t i = 0; i < sizeof shape / sizeof *shape && *named >= 0; i++)
            if (strcmp(shape[i].name, item->string) == 0)
                *named = item->valuedouble == shape[i].value ? *named + 1 : -1;
    cJSON_Delete(root);
    return true;
}

bool hparams_open(struct hparams *h, const struct config *config, const char *solver,
                  const char *guard, const char *path)
{
    *h = (struct hparams){.q_max = UINT32_MAX, .layer = config->layers / 4,
                          .lambda = config->ffn};
    // What holds for any model, then what is known of one of this shape.
    const struct asset *any = NULL, *best = NULL;
    int most = 0, named = 0;
    for (size_t i = 0; i < sizeof assets / sizeof *assets; i++) {
        if (!match(&assets[i], config, &named)) return false;
        if (named == 0) any = &assets[i];
        if (named > most) {
            most = named;
            best = &assets[i];
        }
    }
    char *text = NULL;
    size_t size = 0;
    bool ok = document_read(h, (const char *)any->text, solver, guard, config, any->name) &&
              (!best ||
               document_read(h, (const char *)best->text, solver, guard, config, best->name)) &&
              (!path || (file_read(path, &text, &size) &&
                         document_read(h, text, solver, guard, config, path)));
    free(text);
    if (config->context && h->block > config->context) h->block = config->context;
    if (ok && h->layer >= config->layers)
        ok = fail(STATUS_BAD_DATA, "hyper-parameters: layer %u, the model has %u", h->layer,
                  config->layers);
    if (!ok) hparams_free(h);
    return ok;
}

bool hparams_each(const struct hparams *h,
                  bool (*number)(void *user, const char *name, double value),
                  bool (*word)(void *user, const char *name, const char *value), void *user)
{
    bool ok = word(user, "hparams", h->model) &&
              word(user, "optimizer", optimizer_names[h->optimizer]) &&
              word(user, "cosine", (const char *[]){"square", "abs", "signed"}[h->cosine]) &&
              word(user, "projector", (const char *[]){"paper", "exact"}[h->projector]);
    char layers[LAYERS_TEXT];
    layers_text(h, layers);
    // Told only where they are used: older journals go on without them.
    ok = ok && (h->layer_count == 0 || word(user, "layers", layers)) &&
         (!h->ablate || word(user, "ablate", ablation_names[h->ablate])) &&
         (!h->grad_source || word(user, "grad_source", grad_source_names[h->grad_source])) &&
         (!h->grad_svd || word(user, "grad_svd", grad_svd_names[h->grad_svd])) &&
         (!(h->knob > 0) || number(user, "knob", h->knob));
    for (size_t i = 0; ok && i < sizeof fields / sizeof *fields; i++) {
        const void *at = (const char *)h + fields[i].offset;
        const bool whole = fields[i].kind == WHOLE;
        const double value = whole ? (double)*(const uint32_t *)at : *(const double *)at;
        ok = (fields[i].kind == RARE && !(value > 0)) || number(user, fields[i].name, value);
    }
    return ok;
}

void hparams_free(struct hparams *h)
{
    for (uint32_t i = 0; i < h->context_text_count; i++) free(h->context_texts[i]);
    free(h->context_texts);
    h->context_texts = NULL;
    h->context_text_count = 0;
}
