#define _GNU_SOURCE // strcasestr
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/edit_run.h"

// Which edits --filter names.
struct filter {
    const char *subject, *target, *any; // parts of texts, or NULL
    uint32_t from, to;                  // numbers; 0: any
};

static bool filter_read(struct filter *f, const char *words)
{
    *f = (struct filter){0};
    if (!words) return true;
    char *end;
    unsigned long from = strtoul(words, &end, 10), to = from;
    bool number = isdigit((unsigned char)words[0]);
    if (number && *end == '-' && isdigit((unsigned char)end[1])) to = strtoul(end + 1, &end, 10);
    if (number && *end == '\0') {
        if (from == 0 || to < from || to > UINT32_MAX)
            return fail(STATUS_USAGE, "--filter: got '%s', wanted numbers from 1, as 3 or 3-7",
                        words);
        f->from = (uint32_t)from;
        f->to = (uint32_t)to;
    } else if (strncmp(words, "subject=", 8) == 0)
        f->subject = words + 8;
    else if (strncmp(words, "target=", 7) == 0)
        f->target = words + 7;
    else
        f->any = words;
    return true;
}

static bool has(const char *text, const char *part)
{
    if (!part) return true;
    size_t length = strlen(part);
    do {
        if (strncasecmp(text, part, length) == 0) return true;
    } while (*text++);
    return false;
}

static bool filter_takes(const struct filter *f, const struct journal_edit *e)
{
    if (f->from && (e->number < f->from || e->number > f->to)) return false;
    const struct request *r = &e->request;
    return has(r->subject, f->subject) && has(r->target_new, f->target) &&
           (has(r->subject, f->any) || has(r->target_new, f->any) || has(r->prompt, f->any));
}

// A journal may be a stranger's: nothing in it steers the terminal.
static void print_text(const char *text)
{
    for (; *text; text++) putchar((unsigned char)*text < ' ' || *text == 127 ? ' ' : *text);
}

static void print_line(const struct journal_edit *e)
{
    printf("%4u  ", e->number);
    print_text(e->request.prompt);
    printf(" ->%s", e->request.target_new[0] == ' ' ? "" : " ");
    print_text(e->request.target_new);
    printf("  layer %u, loss %.3g to %.3g in %u steps, realised %.2f, kept %.2f%s%s\n", e->layer,
           (double)e->looks[0].total, (double)e->looks[e->chosen].total, e->look_count,
           e->realised, e->kept, e->noop ? ", without effect" : "",
           e->reverted ? ", reverted" : "");
}

static bool print_json(cJSON *json)
{
    bool ok = json_put(json, true);
    cJSON_Delete(json);
    return ok;
}

static bool log_json(const struct journal *j, const struct filter *filter)
{
    cJSON *root = cJSON_CreateObject(), *edits = cJSON_CreateArray();
    cJSON_AddStringToObject(root, "journal", j->where);
    json_member(root, "run", run_json(&j->header));
    for (size_t i = 0; i < j->edit_count; i++)
        if (filter_takes(filter, &j->edits[i]))
            json_append(edits, edit_json(&j->edits[i]));
    json_member(root, "edits", edits);
    cJSON_AddNumberToObject(root, "count", (double)j->edit_count);
    cJSON_AddNumberToObject(root, "remaining", (double)journal_remaining(j));
    cJSON_AddBoolToObject(root, "torn", j->whole < j->bytes);
    return print_json(root);
}

bool command_log(const struct args *args)
{
    struct filter filter;
    struct journal j;
    if (args->word_count != 1)
        return fail(STATUS_USAGE, "log: wanted one journal (oedit log JOURNAL)");
    if (!filter_read(&filter, args->filter) || !journal_open(&j, args->words[0], false))
        return false;
    bool ok = true;
    if (args->json)
        ok = log_json(&j, &filter);
    size_t taken = 0;
    for (size_t i = 0; !args->json && i < j.edit_count; i++)
        if (filter_takes(&filter, &j.edits[i]) && ++taken) print_line(&j.edits[i]);
    if (!args->json && !taken)
        log_say("none of the %zu edits of %s%s%s", j.edit_count, args->words[0],
                args->filter ? " is one of --filter " : "", args->filter ? args->filter : "");
    journal_free(&j);
    return ok;
}

static void print_field(const char *name, const char *text)
{
    printf("%-14s ", name);
    print_text(text);
    putchar('\n');
}

static void print_list(const char *name, const struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++) print_field(i ? "" : name, list->items[i]);
}

// WilKE's scores: |delta|^2 |W|_F^2 / |k|^2.
static void print_candidates(const struct journal_edit *e)
{
    if (e->candidate_count == 0) return;
    printf("%-14s %10s %10s %10s %10s\n", "of layer", "score", "|delta|", "|W|_F", "|k|");
    for (uint32_t i = 0; i < e->candidate_count; i++) {
        const struct journal_candidate *c = &e->candidates[i];
        char score[16] = "none";
        if (!isnan(c->score)) snprintf(score, sizeof score, "%.4g", c->score);
        printf("%-14u %10s %10.4g %10.4g %10.4g%s\n", c->layer, score, c->length, c->w_norm,
               c->k_norm, c->layer == e->layer ? "  taken" : "");
    }
}

static void print_edit(const struct journal_edit *e)
{
    const struct request *r = &e->request;
    printf("%-14s %u%s%s\n", "edit", e->number, e->noop ? ", without effect" : "",
           e->reverted ? ", reverted" : "");
    printf("%-14s %lld\n", "id", (long long)r->id);
    print_field("prompt", r->prompt);
    print_field("subject", r->subject);
    print_field("target", r->target_new);
    if (r->target_true) print_field("before", r->target_true);
    print_list("rephrased", &r->rephrases);
    print_list("elsewhere", &r->localities);
    print_list("generation", &r->generations);
    printf("%-14s %u\n", "layer", e->layer);
    print_candidates(e);
    printf("%-14s %.6g (|u| %.6g, |w| %.6g)\n", "|dW|", e->u_norm * e->w_norm, e->u_norm,
           e->w_norm);
    if (!e->noop && e->rank != 1)
        printf(e->rank ? "%-14s %u pairs\n" : "%-14s dense\n", "form", e->rank);
    printf("%-14s %.4f\n%-14s %.4f\n", "realised", e->realised, "kept", e->kept);
    printf("%-14s r = %u, q = %u\n", "directions", e->r, e->q);
    printf("%-14s %10s %10s %10s %10s %10s %10s %10s\n", "look", "loss", "nll", "kl", "decay", "f1",
           "f2", "|delta|");
    for (uint32_t i = 0; i < e->look_count; i++) {
        const struct journal_look *l = &e->looks[i];
        printf("%-14u %10.4g %10.4g %10.4g %10.4g %10.4g %10.4g %10.4g%s\n", i + 1,
               (double)l->total, (double)l->nll, (double)l->kl, (double)l->decay, (double)l->f1,
               (double)l->f2, (double)l->length, i == e->chosen ? "  taken" : "");
    }
}

static void print_header(const struct journal *j)
{
    for (size_t i = 0; i < j->header.setting_count; i++)
        print_field(j->header.settings[i].name, j->header.settings[i].value);
    for (size_t i = 0; i < j->header.tensor_count; i++) {
        const struct journal_tensor *t = &j->header.tensors[i];
        printf("%-14s ", "tensor");
        print_text(t->name);
        printf(" [%llu, %llu] ", (unsigned long long)t->rows, (unsigned long long)t->cols);
        print_text(t->dtype);
        putchar('\n');
    }
    printf("%-14s %zu, of which %zu are in the weights\n", "edits", j->edit_count,
           journal_remaining(j));
}

bool command_show(const struct args *args)
{
    struct journal j;
    if (args->word_count < 1 || args->word_count > 2)
        return fail(STATUS_USAGE, "show: wanted a journal and a number (oedit show JOURNAL N)");
    if (!journal_open(&j, args->words[0], false)) return false;
    char *end = NULL;
    unsigned long number = args->word_count == 2 ? strtoul(args->words[1], &end, 10) : 0;
    bool ok = true;
    if (end && (*end || number < 1 || number > j.edit_count))
        ok = fail(STATUS_USAGE, "show: got '%s', %s has the edits 1 to %zu", args->words[1],
                  j.where, j.edit_count);
    else if (args->json)
        ok = print_json(end ? edit_json(&j.edits[number - 1]) : run_json(&j.header));
    else if (end)
        print_edit(&j.edits[number - 1]);
    else
        print_header(&j);
    journal_free(&j);
    return ok;
}
