#define XXH_INLINE_ALL
#include "cli/save.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/edit_run.h"
#include "edit/stored.h"
#include "io/folder_out.h"
#include "io/pack.h"

void save_hash(const void *data, size_t bytes, char hash[static 33])
{
    XXH128_hash_t h = XXH3_128bits(data, bytes);
    snprintf(hash, 33, "%016llx%016llx", (unsigned long long)h.high64,
             (unsigned long long)h.low64);
}

// Of the matrix as it will be stored.
static bool matrix_hash(const float *matrix, uint64_t n, enum dtype dtype, char hash[static 33])
{
    uint64_t bytes = n / dtype_table[dtype].block * dtype_table[dtype].bytes;
    uint8_t *packed = mem_new(bytes, 1, "the edited matrix");
    if (packed) pack(dtype, matrix, n, packed);
    if (packed) save_hash(packed, bytes, hash);
    free(packed);
    return packed != NULL;
}

// The header's settings and the requests of the edits that count.
static char *run_text(const struct journal *j)
{
    cJSON *run = run_json(&j->header), *facts = cJSON_AddArrayToObject(run, "requests");
    for (size_t i = 0; i < j->edit_count; i++) {
        if (j->edits[i].reverted) continue;
        const struct request *r = &j->edits[i].request;
        cJSON *fact = cJSON_CreateObject();
        cJSON_AddStringToObject(fact, "prompt", r->prompt);
        cJSON_AddStringToObject(fact, "subject", r->subject);
        cJSON_AddStringToObject(fact, "target", r->target_new);
        json_append(facts, fact);
    }
    char *text = json_text(run, false, "the provenance");
    cJSON_Delete(run);
    return text;
}

// The names of the changed tensors, or the hashes of what will stand in them; spaces between.
static char *joined(const struct replacement *edits, uint32_t count, bool hashes)
{
    size_t room = 1, used = 0;
    for (uint32_t i = 0; i < count; i++) room += strlen(edits[i].tensor->name) + 34;
    char *text = mem_new(room, 1, "the provenance");
    for (uint32_t i = 0; text && i < count; i++) {
        const struct replacement *r = &edits[i];
        char hash[33];
        if (hashes && !matrix_hash(r->data, r->tensor->rows * r->tensor->cols, r->dtype, hash)) {
            free(text);
            return NULL;
        }
        used += (size_t)snprintf(text + used, room - used, "%s%s", i ? " " : "",
                                 hashes ? hash : r->tensor->name);
    }
    return text;
}

// Nothing here is of this run or machine: a journal gives the same file everywhere.
static bool write_as(const struct save *s, const char *path, const struct replacement *edits,
                  const char *run)
{
    char state[48] = "";
    const struct journal *j = s->journal;
    if (j->record_count)
        snprintf(state, sizeof state, "%zu %016llx", j->record_count,
                 (unsigned long long)j->seals[j->record_count - 1].sum);
    char *names = joined(edits, s->count, false), *hashes = joined(edits, s->count, true);
    struct meta notes[] = {
        {.key = "oedit.version", .kind = META_TEXT, .text = journal_setting(&j->header, "version")},
        {.key = "oedit.base_hash", .kind = META_TEXT, .text = journal_setting(&j->header, "model")},
        {.key = "oedit.edits", .kind = META_U32, .u32 = s->edits},
        {.key = "oedit.run", .kind = META_TEXT, .text = run},
        {.key = "oedit.tensor", .kind = META_TEXT, .text = names},
        {.key = "oedit.tensor_hash", .kind = META_TEXT, .text = hashes},
        {.key = "oedit.journal", .kind = META_TEXT, .text = state}};
    bool ok = names && hashes && weights_write(s->weights, path, edits, s->count, notes,
                                               sizeof notes / sizeof *notes);
    free(names);
    free(hashes);
    return ok;
}

// An output that cannot be written must be known before hours of work, not after.
static bool folder_check(const char *path)
{
    size_t length = strlen(path);
    if (length && path[length - 1] == '/')
        return fail(STATUS_USAGE, "--out %s: wanted a folder's name without the last slash", path);
    char *inside = mem_new(length + 2, 1, "a path");
    if (!inside) return false;
    bool ok = folder_out_check(path, "config.json");
    if (ok) { // a file beside it tells whether the folder can be made
        struct file_out probe;
        snprintf(inside, length + 2, "%s~", path);
        ok = file_out_open(&probe, inside);
        if (ok) file_out_close(&probe, false);
    }
    free(inside);
    return ok;
}

bool save_check(const char *path, const char *model)
{
    struct stat out;
    if (!path) return fail(STATUS_USAGE, "--out: wanted a file for the edited model (-o FILE)");
    if (file_same(path, model))
        return fail(STATUS_USAGE, "--out %s: that is the model itself, wanted another file", path);
    if (weights_is_folder(model)) return folder_check(path);
    if (stat(path, &out) == 0 && !S_ISREG(out.st_mode))
        return fail(STATUS_USAGE, "--out %s: wanted the name of a file", path);
    struct file_out probe;
    if (!file_out_open(&probe, path)) return false;
    file_out_close(&probe, false);
    return true;
}

// A type with few bits rounds the matrix; what that does to the edits is said.
static bool rounding_say(const struct save *s, const struct tensor *t, const float *matrix,
                         enum dtype dtype)
{
    struct stored stored;
    if (dtype == DTYPE_F32) return true;
    if (!stored_measure(s->dev, t, matrix, dtype, &stored)) return false;
    const char *name = dtype_table[dtype].name;
    if (stored.error > 0.5 * stored.edit)
        log_warn("stored as %s the edited matrix is %.3g off, while the edits change it by %.3g "
                 "and %.0f%% of them is left; --out-type f32 or f16 keeps them", name, stored.error,
                 stored.edit, 100 * stored.kept);
    else
        log_say("stored as %s: %.3g off by rounding, the edits change it by %.3g", name,
                stored.error, stored.edit);
    return true;
}

// The dtype that --out-type's choice means for a matrix.
static enum dtype dtype_of(int choice, const struct tensor *tensor)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_Q8_0};
    const bool same = choice == sizeof types / sizeof *types;
    return same ? tensor->dtype : types[choice];
}

static bool matrix_read(const struct save *s, const struct change *c, struct replacement *edit)
{
    const struct tensor *t = weights_part(s->weights, PART_FFN_DOWN, c->layer);
    const uint64_t n = t->rows * t->cols;
    float *matrix = mem_new(n, sizeof *matrix, "the edited matrix");
    *edit = (struct replacement){.tensor = t, .data = matrix, .dtype = dtype_of(s->out_type, t)};
    return matrix && buffer_read(s->dev, c->matrix, 0, matrix, n * sizeof *matrix) &&
           rounding_say(s, t, matrix, edit->dtype);
}

static bool changed_write(const struct save *s, const char *path)
{
    struct replacement *edits = mem_new(s->count, sizeof *edits, "the edited matrices");
    char *run = run_text(s->journal);
    bool ok = edits && run;
    for (uint32_t i = 0; edits && i < s->count; i++) edits[i] = (struct replacement){0};
    for (uint32_t i = 0; ok && i < s->count; i++) ok = matrix_read(s, &s->changes[i], &edits[i]);
    ok = ok && write_as(s, path, edits, run);
    for (uint32_t i = 0; edits && i < s->count; i++) free((float *)edits[i].data);
    free(edits);
    cJSON_free(run);
    return ok;
}

bool save_model(const struct save *s, const char *path)
{
    const char *before = account_phase(&s->dev->account, "save");
    bool ok = s->edits ? changed_write(s, path) : weights_write(s->weights, path, NULL, 0, NULL, 0);
    account_phase(&s->dev->account, before);
    if (ok) log_say("wrote %s", path);
    return ok;
}

bool save_editor(struct save *s, struct editor *e, const char *path)
{
    struct change changes[LAYERS_MAX];
    s->count = s->edits = 0;
    for (uint32_t i = 0; i < e->site_count; i++) {
        const struct site *site = &e->sites[i];
        if (site->edits) changes[s->count++] = (struct change){site->layer, site->matrix};
        s->edits += site->edits;
    }
    s->changes = changes;
    return save_model(s, path);
}
