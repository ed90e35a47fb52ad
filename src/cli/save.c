#include "cli/save.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/edit_run.h"
#include "edit/stored.h"

static void requests_json(cJSON *run, const struct dataset *data)
{
    cJSON *facts = cJSON_AddArrayToObject(run, "requests");
    for (size_t i = 0; data && i < data->count; i++) {
        cJSON *fact = cJSON_CreateObject();
        cJSON_AddStringToObject(fact, "prompt", data->requests[i].prompt);
        cJSON_AddStringToObject(fact, "subject", data->requests[i].subject);
        cJSON_AddStringToObject(fact, "target", data->requests[i].target_new);
        cJSON_AddItemToArray(facts, fact);
    }
}

// A type with few bits rounds the matrix; what that does to the edits is said.
static bool rounding_say(struct model *model, const float *matrix, enum dtype dtype)
{
    struct stored stored;
    if (dtype == DTYPE_F32) return true;
    if (!stored_measure(model, matrix, dtype, &stored)) return false;
    const char *name = dtype_table[dtype].name;
    if (stored.error > 0.5 * stored.edit)
        log_warn("stored as %s the edited matrix is %.3g off, while the edits change it by %.3g and "
                 "%.0f%% of them is left; --out-type f32 or f16 keeps them", name, stored.error,
                 stored.edit, 100 * stored.kept);
    else
        log_say("stored as %s: %.3g off by rounding, the edits change it by %.3g", name,
                stored.error, stored.edit);
    return true;
}

bool save_model(struct opened *o, struct editor *e, const char *path, enum dtype dtype,
                uint64_t seed, const struct dataset *data)
{
    const struct config *c = &o->model.config;
    const char *before = account_phase(&o->dev.account, "save");
    uint64_t n = (uint64_t)c->dim * c->ffn;
    float *matrix = mem_new(n, sizeof *matrix, "the edited matrix");
    cJSON *run = run_json(e, seed);
    requests_json(run, data);
    char *text = cJSON_PrintUnformatted(run);
    const char *hash = weights_hash(&o->weights);
    bool ok = matrix && text && hash &&
              buffer_read(o->model.dev, o->model.edited, 0, matrix, n * sizeof *matrix);
    ok = ok && rounding_say(&o->model, matrix, dtype);
    if (ok) {
        struct replacement edit = {
            .tensor = weights_part(&o->weights, PART_FFN_DOWN, e->hparams.layer),
            .data = matrix, .dtype = dtype};
        struct meta notes[] = {
            {.key = "oedit.version", .kind = META_TEXT, .text = OEDIT_VERSION},
            {.key = "oedit.base_hash", .kind = META_TEXT, .text = hash},
            {.key = "oedit.edits", .kind = META_U32, .u32 = e->edits},
            {.key = "oedit.run", .kind = META_TEXT, .text = text}};
        ok = weights_write(&o->weights, path, &edit, 1, notes, sizeof notes / sizeof *notes);
    }
    cJSON_free(text);
    cJSON_Delete(run);
    free(matrix);
    account_phase(&o->dev.account, before);
    if (ok) log_say("wrote %s", path);
    return ok;
}
