#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/journal_model.h"
#include "cli/opened.h"
#include "cli/save.h"
#include "io/half.h"

// What an edited model says of itself.
struct claim {
    char base[33];
    char tensors[64 * LAYERS_MAX], hashes[34 * LAYERS_MAX]; // of their bytes; spaces between
    size_t records;                      // of the journal when the model was written
    uint64_t seal;                       // of the last of them
};

static bool note(const struct weights *w, const char *key, char *to, size_t room)
{
    struct bytes text;
    if (!weights_note(w, key, &text)) return false;
    if (text.size == 0)
        return fail(STATUS_FAILED, "%s has no %s: it was not written from a journal", w->path, key);
    snprintf(to, room, "%.*s", (int)(text.size < room ? text.size : room - 1), text.data);
    return true;
}

static bool claim_read(struct claim *c, const struct weights *w)
{
    char journal[64] = "";
    unsigned long long seal = 0;
    *c = (struct claim){0};
    if (!note(w, "oedit.journal", journal, sizeof journal) ||
        !note(w, "oedit.base_hash", c->base, sizeof c->base) ||
        !note(w, "oedit.tensor", c->tensors, sizeof c->tensors) ||
        !note(w, "oedit.tensor_hash", c->hashes, sizeof c->hashes))
        return false;
    if (sscanf(journal, "%zu %llx", &c->records, &seal) != 2 || c->records == 0)
        return fail(STATUS_BAD_DATA, "%s: oedit.journal is '%s', wanted a number and a checksum",
                    w->path, journal);
    c->seal = seal;
    return true;
}

// The next word of a list, which it leaves behind; NULL: there is none.
static char *word_take(char **list)
{
    char *word = *list, *end = word + strcspn(word, " ");
    if (*word == '\0') return NULL;
    *list = end + (*end == ' ');
    *end = '\0';
    return word;
}

struct edited { // the tensors that were written
    const struct tensor *tensors[LAYERS_MAX];
    uint32_t count;
};

static bool edited_has(const struct edited *edited, const char *name)
{
    for (uint32_t i = 0; i < edited->count; i++)
        if (strcmp(edited->tensors[i]->name, name) == 0) return true;
    return false;
}

// Are the tensors what was written?
static bool tensors_check(const struct claim *c, const struct weights *w, struct edited *edited)
{
    struct claim words = *c;
    char *names = words.tensors, *hashes = words.hashes, *name, hash[33];
    while ((name = word_take(&names)) && edited->count < LAYERS_MAX) {
        const char *wanted = word_take(&hashes);
        const struct tensor *t = weights_find(w, name);
        if (!t) return fail(STATUS_BAD_DATA, "%s has no tensor %s", w->path, name);
        save_hash(t->data, t->bytes, hash);
        if (!wanted || strcmp(hash, wanted) != 0)
            return fail(STATUS_FAILED,
                        "%s: tensor %s is not what was written: its hash is %s, wanted %s",
                        w->path, name, hash, wanted ? wanted : "(none)");
        edited->tensors[edited->count++] = t;
    }
    return true;
}

// The journal as it was when the model was written, a part of the one that is there.
static bool journal_check(const struct claim *c, const struct weights *w, const struct journal *j,
                          struct journal *then)
{
    const char *model = journal_setting(&j->header, "model");
    if (!model || strcmp(model, c->base) != 0)
        return fail(STATUS_FAILED, "%s edits the model %.32s, %s comes from %s", j->where,
                    model ? model : "(none)", w->path, c->base);
    if (c->records > j->record_count)
        return fail(STATUS_FAILED, "%s was written behind record %zu of its journal, %s ends with "
                                   "record %zu", w->path, c->records - 1, j->where,
                    j->record_count - 1);
    if (j->seals[c->records - 1].sum != c->seal)
        return fail(STATUS_FAILED, "%s was not written from %s: record %zu is another", w->path,
                    j->where, c->records - 1);
    return journal_parse(then, j->map.data, (size_t)j->seals[c->records - 1].end, j->where);
}

static bool same_bits(const struct tensor *t, const float *matrix)
{
    uint64_t n = t->rows * t->cols;
    if (t->dtype == DTYPE_F32) return memcmp(t->data, matrix, n * sizeof *matrix) == 0;
    for (uint64_t i = 0; i < n; i++) {
        uint16_t half = half_from_float(matrix[i]);
        if (memcmp(t->data + 2 * i, &half, sizeof half) != 0) return false;
    }
    return true;
}

// All other tensors are the base's, byte for byte.
static bool others_check(const struct weights *w, const struct weights *base,
                         const struct edited *edited)
{
    for (size_t i = 0; i < base->count; i++) {
        const struct tensor *a = &base->tensors[i], *b = weights_find(w, a->name);
        if (edited_has(edited, a->name)) continue;
        if (!b || a->dtype != b->dtype || a->bytes != b->bytes ||
            memcmp(a->data, b->data, a->bytes) != 0)
            return fail(STATUS_FAILED, "%s: tensor %s is not the base's", w->path, a->name);
    }
    return w->count == base->count ||
           fail(STATUS_FAILED, "%s has %zu tensors, its base %zu", w->path, w->count, base->count);
}

// Is the tensor what the journal makes of the base's?
static bool sum_check(struct opened *o, const struct journal *then, const struct weights *w,
                      const struct tensor *base, struct buffer *sum)
{
    const struct tensor *edited = weights_find(w, base->name);
    const uint64_t n = base->rows * base->cols;
    if (!edited || base->rows != edited->rows || base->cols != edited->cols ||
        (edited->dtype != DTYPE_F32 && edited->dtype != DTYPE_F16))
        return fail(STATUS_FAILED, "%s: tensor %s has another shape or type than an edit's",
                    w->path, base->name);
    float *matrix = mem_new(n, sizeof *matrix, "a matrix");
    bool ok = matrix && buffer_read(&o->dev, sum, 0, matrix, n * sizeof *matrix);
    if (ok && !same_bits(edited, matrix))
        ok = fail(STATUS_FAILED, "%s: tensor %s is not base and edits summed on %s (the journal's "
                                 "device is %.200s)", w->path, edited->name, o->dev.info.name,
                  journal_setting(&then->header, "device"));
    free(matrix);
    return ok;
}

// All that the journal changes, and it alone, was written.
static bool base_check(const struct args *args, const struct journal *then,
                       const struct weights *w, const struct edited *edited)
{
    struct opened o = {0};
    bool ok = opened_device(&o, args) && weights_open(&o.weights, args->base);
    uint32_t changed = 0;
    for (size_t i = 0; ok && (i < then->header.tensor_count || i == 0); i++) {
        const struct tensor *tensor;
        struct buffer *sum = NULL;
        ok = journal_matrix(then, &o.weights, &o.dev, i, &tensor, &sum);
        if (ok && sum && !edited_has(edited, tensor->name))
            ok = fail(STATUS_FAILED, "%s: the journal edits tensor %s, which was not written",
                      w->path, tensor->name);
        if (ok && sum) ok = sum_check(&o, then, w, tensor, sum);
        changed += sum != NULL;
        buffer_free(&o.dev, &sum);
    }
    if (ok && changed != edited->count)
        ok = fail(STATUS_FAILED, "%s: %u tensors were written, the journal edits %u", w->path,
                  edited->count, changed);
    ok = ok && others_check(w, &o.weights, edited);
    return opened_end(&o, args, ok);
}

static void report(const struct args *args, const struct journal *j, const struct journal *then,
                   const struct claim *c)
{
    size_t edits = journal_remaining(then), later = j->record_count - then->record_count;
    if (args->json) {
        printf("{\"edits\": %zu, \"records\": %zu, \"later\": %zu, \"base_hash\": \"%s\", "
               "\"rebuilt\": %s}\n", edits, then->record_count, later, c->base,
               args->base ? "true" : "false");
        return;
    }
    printf("%s: %zu edits of %s, as %s has them%s\n", args->words[0], edits, c->base, j->where,
           later ? " (which went on since)" : "");
    bool several = strchr(c->tensors, ' ') != NULL;
    printf("tensor%s %s %s as %s written\n", several ? "s" : "", c->tensors,
           several ? "are" : "is", several ? "they were" : "it was");
    if (args->base) printf("base and edits give the same bits; all other tensors are the base's\n");
}

static bool verify(const struct args *args, const struct weights *w, const struct journal *j)
{
    struct claim claim;
    struct edited edited = {0};
    struct journal then = {0};
    bool ok = claim_read(&claim, w) && tensors_check(&claim, w, &edited) &&
              journal_check(&claim, w, j, &then) &&
              (!args->base || base_check(args, &then, w, &edited));
    if (ok) report(args, j, &then, &claim);
    journal_free(&then);
    return ok;
}

bool command_verify(const struct args *args)
{
    struct weights w = {0};
    struct journal j = {0};
    if (args->word_count < 1 || args->word_count > 2)
        return fail(STATUS_USAGE, "verify: wanted a model, and its journal unless it stands beside "
                                  "it (oedit verify MODEL [JOURNAL])");
    const char *model = args->words[0];
    size_t size = strlen(model) + sizeof ".journal";
    char *beside = mem_new(size, 1, "a path");
    if (!beside) return false;
    snprintf(beside, size, "%s.journal", model);
    bool ok = weights_open(&w, model) &&
              journal_open(&j, args->word_count == 2 ? args->words[1] : beside, false) &&
              verify(args, &w, &j);
    journal_free(&j);
    weights_close(&w);
    free(beside);
    return ok;
}
