#include <math.h>

#include "base/json.h"
#include "eval/history.h"

static bool asked(const struct history *h, unsigned measure)
{
    return h->measures.which >> measure & 1;
}

// The paper's average has all three.
static bool averaged(const struct history *h)
{
    return asked(h, MEASURE_REL) && asked(h, MEASURE_GEN) && asked(h, MEASURE_LOC);
}

static void add_means(cJSON *to, const struct history *h, const struct marks *m, uint32_t first,
                      uint32_t end)
{
    for (unsigned each = 0; each < MEASURE_EACH; each++)
        if (asked(h, each))
            json_number(to, measure_names[each], marks_mean(m, (enum measure)each, first, end));
    if (averaged(h)) json_number(to, "avg", marks_average(m, first, end));
}

static void add_records(cJSON *to, const struct history *h, const struct marks *m,
                        const struct request *requests)
{
    cJSON *list = cJSON_AddArrayToObject(to, "records");
    for (uint32_t i = m->first; i < m->first + m->count; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddNumberToObject(row, "id", (double)requests[i].id);
        for (unsigned each = 0; each < MEASURE_EACH; each++)
            if (asked(h, each)) json_number(row, measure_names[each], m->scores[each][i]);
        json_append(list, row);
    }
}

cJSON *marks_json(const struct history *h, const struct marks *m, const struct request *requests)
{
    struct age_bin bins[AGE_BINS_MAX];
    uint32_t count = marks_by_age(m, bins);
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "edits", m->edits);
    cJSON_AddNumberToObject(root, "n", m->count);
    add_means(root, h, m, m->first, m->first + m->count);
    if (asked(h, MEASURE_PPL)) json_number(root, measure_names[MEASURE_PPL], m->perplexity);
    cJSON *ages = count ? cJSON_AddArrayToObject(root, "by_age") : NULL;
    for (uint32_t i = 0; i < count; i++) {
        cJSON *bin = cJSON_CreateObject();
        cJSON_AddNumberToObject(bin, "from", bins[i].from);
        cJSON_AddNumberToObject(bin, "to", bins[i].to - 1);
        cJSON_AddNumberToObject(bin, "n", bins[i].end - bins[i].first);
        add_means(bin, h, m, bins[i].first, bins[i].end);
        json_append(ages, bin);
    }
    if (requests) add_records(root, h, m, requests);
    return root;
}

cJSON *history_json(const struct history *h, const struct request *requests)
{
    cJSON *root = cJSON_CreateObject();
    cJSON *immediate = cJSON_AddObjectToObject(root, "immediate");
    cJSON_AddNumberToObject(immediate, "n", h->immediate.count);
    add_means(immediate, h, &h->immediate, 0, h->immediate.count);
    if (requests) add_records(immediate, h, &h->immediate, requests);
    cJSON *list = cJSON_AddArrayToObject(root, "checkpoints");
    for (uint32_t i = 0; i < h->state_count; i++)
        json_append(list, marks_json(h, &h->states[i], requests));
    return root;
}

static void print_number(FILE *to, double value)
{
    if (isnan(value))
        fprintf(to, "%10s", "-");
    else
        fprintf(to, value < 10 ? "%10.3f" : "%10.2f", value);
}

static void print_row(const struct history *h, const struct marks *m, uint32_t first, uint32_t end,
                      bool perplexity, FILE *to)
{
    for (unsigned each = 0; each < MEASURE_EACH; each++) {
        if (asked(h, each)) print_number(to, marks_mean(m, (enum measure)each, first, end));
        if (each == MEASURE_LOC && averaged(h)) print_number(to, marks_average(m, first, end));
    }
    if (perplexity && asked(h, MEASURE_PPL)) print_number(to, m->perplexity);
    fputc('\n', to);
}

static void print_head(const struct history *h, const char *first, bool perplexity, FILE *to)
{
    fprintf(to, "%-14s", first);
    for (unsigned each = 0; each < MEASURE_EACH; each++) {
        if (asked(h, each)) fprintf(to, "%10s", measure_titles[each]);
        if (each == MEASURE_LOC && averaged(h)) fprintf(to, "%10s", "Avg");
    }
    if (perplexity && asked(h, MEASURE_PPL)) fprintf(to, "%10s", measure_titles[MEASURE_PPL]);
    fputc('\n', to);
}

void history_print(const struct history *h, FILE *to)
{
    struct age_bin bins[AGE_BINS_MAX];
    print_head(h, "edits", true, to);
    if (h->immediate.count) {
        fprintf(to, "%-14s", "right after");
        print_row(h, &h->immediate, 0, h->immediate.count, true, to);
    }
    for (uint32_t i = 0; i < h->state_count; i++) {
        fprintf(to, "%-14u", h->states[i].edits);
        print_row(h, &h->states[i], 0, h->states[i].count, true, to);
    }
    const struct marks *last = h->state_count ? &h->states[h->state_count - 1] : NULL;
    uint32_t count = last ? marks_by_age(last, bins) : 0;
    if (count < 2) return;
    fprintf(to, "\nafter %u edits, by how many came behind\n", last->edits);
    print_head(h, "age", false, to);
    for (uint32_t i = 0; i < count; i++) {
        char ages[32];
        if (bins[i].to - bins[i].from == 1)
            snprintf(ages, sizeof ages, "%u", bins[i].from);
        else
            snprintf(ages, sizeof ages, "%u-%u", bins[i].from, bins[i].to - 1);
        fprintf(to, "%-14s", ages);
        print_row(h, last, bins[i].first, bins[i].end, false, to);
    }
}
