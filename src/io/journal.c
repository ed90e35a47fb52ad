#include "io/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"

static char *copy(const char *text)
{
    return mem_text(text, strlen(text), "a journal");
}

bool journal_set(struct journal_header *h, const char *name, uint32_t kind, const char *value)
{
    if (!mem_grow(&h->settings, &h->setting_capacity, h->setting_count + 1, sizeof *h->settings,
                  "a journal"))
        return false;
    struct setting *s = &h->settings[h->setting_count++];
    *s = (struct setting){.name = copy(name), .value = copy(value), .kind = kind};
    return s->name && s->value;
}

bool journal_set_number(struct journal_header *h, const char *name, uint32_t kind, double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value) snprintf(text, sizeof text, "%.17g", value);
    return journal_set(h, name, kind | SETTING_NUMBER, text);
}

bool journal_add_tensor(struct journal_header *h, uint32_t layer, const char *name,
                        const char *dtype, uint64_t rows, uint64_t cols)
{
    if (!mem_grow(&h->tensors, &h->tensor_capacity, h->tensor_count + 1, sizeof *h->tensors,
                  "a journal"))
        return false;
    struct journal_tensor *t = &h->tensors[h->tensor_count++];
    *t = (struct journal_tensor){.layer = layer, .name = copy(name), .dtype = copy(dtype),
                                 .rows = rows, .cols = cols};
    return t->name && t->dtype;
}

static const struct setting *find(const struct journal_header *h, const char *name)
{
    for (size_t i = 0; i < h->setting_count; i++)
        if (strcmp(h->settings[i].name, name) == 0) return &h->settings[i];
    return NULL;
}

const char *journal_setting(const struct journal_header *h, const char *name)
{
    const struct setting *s = find(h, name);
    return s ? s->value : NULL;
}

// `ours` or `now` may be NULL: not said.
static bool setting_agrees(const struct journal *j, const struct setting *ours,
                           const struct setting *now, bool *warned)
{
    const char *was = ours ? ours->value : "(nothing)", *is = now ? now->value : "(nothing)";
    const struct setting *s = ours ? ours : now;
    if (strcmp(was, is) == 0) return true;
    if (!(s->kind & SETTING_MADE))
        return fail(STATUS_USAGE, "%s is the journal of another run: %s was %.200s, now %.200s",
                    j->where, s->name, was, is);
    if (!*warned)
        log_warn("%s: %s was %s, is now %s; what follows may differ from an undisturbed run's "
                 "bits", j->where, s->name, was, is);
    *warned = true;
    return true;
}

static bool tensor_agrees(const struct journal *j, const struct journal_tensor *a,
                          const struct journal_tensor *b)
{
    if (a->layer == b->layer && strcmp(a->name, b->name) == 0 && strcmp(a->dtype, b->dtype) == 0 &&
        a->rows == b->rows && a->cols == b->cols)
        return true;
    return fail(STATUS_USAGE,
                "%s is the journal of another run: it edits %s %s [%llu, %llu], this run %s %s "
                "[%llu, %llu]", j->where, a->name, a->dtype, (unsigned long long)a->rows,
                (unsigned long long)a->cols, b->name, b->dtype, (unsigned long long)b->rows,
                (unsigned long long)b->cols);
}

bool journal_agrees(const struct journal *j, const struct journal_header *now, bool partly)
{
    const struct journal_header *h = &j->header;
    bool warned = partly; // the whole comparison, which comes later, warns
    for (size_t i = 0; i < h->setting_count; i++) {
        const struct setting *other = find(now, h->settings[i].name);
        if ((other || !partly) && !setting_agrees(j, &h->settings[i], other, &warned))
            return false;
    }
    for (size_t i = 0; i < now->setting_count; i++)
        if (!find(h, now->settings[i].name) &&
            !setting_agrees(j, NULL, &now->settings[i], &warned))
            return false;
    if (!partly && h->tensor_count != now->tensor_count)
        return fail(STATUS_USAGE, "%s is the journal of another run: it edits %zu tensors, this "
                                  "run %zu", j->where, h->tensor_count, now->tensor_count);
    for (size_t i = 0; i < now->tensor_count && i < h->tensor_count; i++)
        if (!tensor_agrees(j, &h->tensors[i], &now->tensors[i])) return false;
    return true;
}

bool journal_edit_counts(const struct journal_edit *edit)
{
    return !edit->noop && !edit->reverted;
}

size_t journal_remaining(const struct journal *j)
{
    size_t count = 0;
    for (size_t i = 0; i < j->edit_count; i++) count += journal_edit_counts(&j->edits[i]);
    return count;
}

size_t journal_layer_remaining(const struct journal *j, uint32_t layer)
{
    size_t count = 0;
    for (size_t i = 0; i < j->edit_count; i++)
        count += j->edits[i].layer == layer && journal_edit_counts(&j->edits[i]);
    return count;
}

void journal_header_free(struct journal_header *h)
{
    for (size_t i = 0; i < h->setting_count; i++) {
        free(h->settings[i].name);
        free(h->settings[i].value);
    }
    for (size_t i = 0; i < h->tensor_count; i++) {
        free(h->tensors[i].name);
        free(h->tensors[i].dtype);
    }
    free(h->settings);
    free(h->tensors);
    *h = (struct journal_header){0};
}

void journal_edit_free(struct journal_edit *edit)
{
    request_free(&edit->request);
    free(edit->looks);
    free(edit->candidates);
    *edit = (struct journal_edit){0};
}

uint32_t journal_pairs(const struct journal_edit *e)
{
    return e->rank ? e->rank : e->rows;
}

void journal_pairs_copy(const struct journal_edit *e, float sign, float *u, float *w)
{
    uint32_t pairs = journal_pairs(e);
    memcpy(w, e->w, (size_t)pairs * e->cols * sizeof *w);
    if (e->rank) memcpy(u, e->u, (size_t)pairs * e->rows * sizeof *u);
    // Row i of a dense edit goes with the unit vector i.
    for (size_t i = 0; i < (size_t)pairs * e->rows; i++)
        u[i] = e->rank ? sign * u[i] : i / e->rows == i % e->rows ? sign : 0;
}

uint32_t journal_layer_pairs(const struct journal *j, uint32_t layer)
{
    uint32_t count = 0;
    for (size_t i = 0; i < j->edit_count; i++)
        if (j->edits[i].layer == layer && journal_edit_counts(&j->edits[i]))
            count += journal_pairs(&j->edits[i]);
    return count;
}

void journal_free(struct journal *j)
{
    journal_header_free(&j->header);
    for (size_t i = 0; i < j->edit_count; i++) journal_edit_free(&j->edits[i]);
    free(j->edits);
    free(j->seals);
    free(j->where);
    file_map_close(&j->map);
    *j = (struct journal){0};
}

bool journal_sniff(const char *path)
{
    char start[8] = {0};
    FILE *file = fopen(path, "rb");
    if (!file) return false;
    size_t got = fread(start, 1, sizeof start, file);
    fclose(file);
    return got == sizeof start && memcmp(start, "oedit-jl", sizeof start) == 0;
}
