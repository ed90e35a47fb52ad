#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/layer_trials.h"
#include "cli/located.h"
#include "cli/plan.h"
#include "eval/ask.h"
#include "plot/chart.h"

// Facts that small models know, too.
static const struct { const char *prompt, *subject; } known[] = {
    {"The Eiffel Tower is located in the city of", "Eiffel Tower"},
    {"The Colosseum is located in the city of", "Colosseum"},
    {"The Great Wall is located in the country of", "Great Wall"},
    {"Charles Darwin is known for his theory of", "Charles Darwin"},
    {"The official language of Brazil is", "Brazil"},
    {"The capital of Germany is the city of", "Germany"},
};

enum { PROMPTS = 10, TRIALS = 5 }; // records of --requests: that are traced, that are tried
enum { SAMPLES = 3, NOISE = 3 }; // NOISE: times the deviation of embeddings, as in ROME

struct locating { // for the layer to edit
    struct opened opened;
    struct dataset data;
    struct cause_prompt *prompts; // [traced]
    size_t traced;
    struct cause_options options;
    struct located located;
    uint32_t *order; // layers by the effect of their MLPs [layers]
    struct layer_trials trials;
    uint32_t best;
};

static uint32_t trials_wanted(const struct args *args)
{
    return args->trials != UINT32_MAX ? args->trials : args->requests ? TRIALS : 0;
}

static bool requests_read(struct dataset *data, const struct args *args)
{
    if (args->requests && (args->prompt || args->subject))
        return fail(STATUS_USAGE, "locate: got --requests and a prompt of its own, wanted one");
    uint32_t traced = args->n ? args->n : PROMPTS, tried = trials_wanted(args);
    if (args->requests)
        return dataset_open(data, args->requests,
                            (struct dataset_options){.skip = (size_t)args->skip,
                                                     .limit = tried > traced ? tried : traced});
    if (args->trials != UINT32_MAX && args->trials)
        return fail(STATUS_USAGE, "locate --trials: got %u, wanted --requests FILE, whose records "
                                  "have new answers", args->trials);
    if (!args->prompt != !args->subject)
        return fail(STATUS_USAGE, "locate: wanted --prompt and --subject together");
    if (args->prompt) return dataset_from_strings(data, args->prompt, args->subject, "-");
    data->capacity = sizeof known / sizeof *known;
    data->requests = mem_new(data->capacity, sizeof *data->requests, "prompts");
    bool ok = data->requests != NULL;
    for (size_t i = 0; ok && i < data->capacity && (!args->n || i < args->n); i++) {
        struct dataset one = {0};
        ok = dataset_from_strings(&one, known[i].prompt, known[i].subject, "-");
        if (ok) data->requests[data->count++] = one.requests[0];
        free(one.requests);
    }
    return ok;
}

// What the model itself says behind the prompt.
static bool answer(struct cause_prompt *p, const struct model *model)
{
    struct sequence text = {.tokens = p->tokens, .end = p->count};
    uint32_t last = p->count - 1;
    return ask_rows(model, &(struct ask){.sequences = &text, .count = 1, .index = &last,
                                         .picked = 1, .top = &p->answer, .who = "the prompt"});
}

static bool prompts_read(struct cause_prompt *prompts, const struct opened *o,
                         const struct dataset *data, size_t count)
{
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        ok = cause_prompt_read(&prompts[i], &o->tokenizer, &data->requests[i]) &&
             answer(&prompts[i], &o->model);
        if (!ok) break;
        struct bytes said = tokenizer_piece(&o->tokenizer, prompts[i].answer);
        log_detail("%s ->%.*s", data->requests[i].prompt, (int)said.size, said.data);
    }
    return ok;
}

// Of the embeddings of all subjects.
static bool deviation_find(const struct model *model, const struct cause_prompt *prompts,
                           size_t count, double *deviation)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) n += prompts[i].last - prompts[i].first + 1;
    uint32_t *tokens = mem_new(n, sizeof *tokens, "subjects");
    if (!tokens) return false;
    n = 0;
    for (size_t i = 0; i < count; i++)
        for (uint32_t p = prompts[i].first; p <= prompts[i].last; p++)
            tokens[n++] = prompts[i].tokens[p];
    bool ok = cause_deviation(model, tokens, (uint32_t)n, deviation);
    free(tokens);
    return ok;
}

static bool trace_all(struct located *l, const struct opened *o, const struct args *args,
                      const struct cause_prompt *prompts, size_t count,
                      struct cause_options *options)
{
    double deviation = 0;
    uint32_t samples = args->samples ? args->samples : SAMPLES;
    struct progress bar;
    bool ok = deviation_find(&o->model, prompts, count, &deviation);
    options->deviation = (float)(NOISE * deviation);
    log_say("%zu prompts, %u samples of noise of %.3g, windows of %u layers", count, samples,
            (double)options->deviation, options->window);
    progress_start(&bar, "tracing", "run", (uint64_t)samples * count);
    for (size_t i = 0; ok && i < count; i++)
        for (uint32_t s = 0; ok && s < samples; s++) {
            struct cause cause = {0};
            options->seed = (uint32_t)args->seed * 1000003u + (uint32_t)i * samples + s;
            ok = interrupt_check() && cause_trace(&cause, &o->model, &prompts[i], options) &&
                 located_add(l, &cause, &prompts[i]);
            cause_free(&cause);
            progress_step(&bar, 1);
        }
    progress_end(&bar);
    l->prompts = (uint32_t)count;
    if (ok) located_end(l);
    return ok;
}

static void table_print(const struct located *l, const uint32_t *order)
{
    printf("answer's probability %.3f, corrupted %.3f (%u prompts, %u runs)\n", l->clean,
           l->corrupted, l->prompts, l->runs);
    printf("layer  mlp, last subject  hidden, last subject  attn, last token  "
           "first key  first state\n");
    for (uint32_t i = 0; i < l->layers; i++) {
        uint32_t n = order[i];
        printf("%5u  %17.4f  %20.4f  %16.4f  %9.1f  %11.1f%s\n", n,
               located_effect(l, CAUSE_MLP, CLASS_LAST, n),
               located_effect(l, CAUSE_HIDDEN, CLASS_LAST, n),
               located_effect(l, CAUSE_ATTN, CLASS_END, n), l->keys[n], l->streams[n],
               located_sink(l, n) ? "  sink" : "");
    }
}

static bool json_print(const struct locating *s, const struct args *args)
{
    const struct located *l = &s->located;
    const struct cause_options *options = &s->options;
    const uint32_t *order = s->order;
    cJSON *root = cJSON_CreateObject(), *list;
    cJSON_AddNumberToObject(root, "prompts", l->prompts);
    cJSON_AddNumberToObject(root, "runs", l->runs);
    cJSON_AddNumberToObject(root, "window", options->window);
    cJSON_AddNumberToObject(root, "noise", (double)options->deviation);
    cJSON_AddNumberToObject(root, "seed", (double)args->seed);
    cJSON_AddNumberToObject(root, "clean", l->clean);
    cJSON_AddNumberToObject(root, "corrupted", l->corrupted);
    list = cJSON_AddArrayToObject(root, "rank");
    for (uint32_t i = 0; i < l->layers; i++)
        json_push(list, order[i]);
    list = cJSON_AddArrayToObject(root, "sinks");
    for (uint32_t i = 0; i < l->layers; i++)
        if (located_sink(l, i)) json_push(list, i);
    json_member(root, "first_key", cJSON_CreateDoubleArray(l->keys, (int)l->layers));
    json_member(root, "first_state",
                          cJSON_CreateDoubleArray(l->streams, (int)l->layers));
    for (uint32_t k = 0; k < CAUSE_KINDS; k++) {
        cJSON *kind = cJSON_AddObjectToObject(root, cause_names[k]);
        for (uint32_t c = 0; c < CLASSES; c++) {
            cJSON *row = cJSON_AddArrayToObject(kind, class_names[c]);
            for (uint32_t i = 0; i < l->layers; i++) {
                double x = located_effect(l, (enum cause_kind)k, (enum token_class)c, i);
                json_push(row, x);
            }
        }
    }
    cJSON_AddNumberToObject(root, "layer", s->best);
    bool ok = (!s->trials.planned || layer_trials_json(&s->trials, &s->data, root)) &&
              json_put(root, true);
    cJSON_Delete(root);
    return ok;
}

static bool charts_write(const struct locating *s, const char *name)
{
    const struct located *l = &s->located;
    const uint32_t window = s->options.window;
    static const char *const what[CAUSE_KINDS] = {"the stream behind a layer", "MLP outputs",
                                                  "attention outputs"};
    size_t row = l->layers, room = strlen(name) + 16;
    double *cells = mem_new(CLASSES * row, sizeof *cells, "a chart");
    char *path = mem_new(room, 1, "a path");
    bool ok = cells && path;
    for (uint32_t k = 0; ok && k < CAUSE_KINDS; k++) {
        char title[CHART_TEXT];
        for (size_t i = 0; i < CLASSES * row; i++)
            cells[i] = located_effect(l, (enum cause_kind)k, (enum token_class)(i / row),
                                      (uint32_t)(i % row));
        snprintf(title, sizeof title, "Effect of restoring %s", what[k]);
        if (k != CAUSE_HIDDEN && window > 1)
            snprintf(title, sizeof title, "Effect of restoring %s of %u layers", what[k], window);
        struct chart chart = {
            .kind = CHART_HEAT, .title = title, .cells = cells, .rows = CLASSES, .cols = l->layers,
            .x = {.label = "layer", .whole = true}, .y = {.label = "token"},
            .row_names = class_names, .from_zero = true,
            .colour = {.label = "gain in P(answer)", .low = (double)NAN, .high = (double)NAN}};
        snprintf(path, room, "%s-%s.png", name, cause_names[k]);
        ok = chart_png(&chart, 900, 240, 2, path);
        if (ok) log_say("wrote %s", path);
    }
    if (ok) snprintf(path, room, "%s-trials.png", name);
    ok = ok && (!s->trials.planned || layer_trials_chart(&s->trials, path));
    free(cells);
    free(path);
    return ok;
}

// For --hparams; what it does not say stays as the program has it for the model.
static bool hparams_write(const struct locating *s, const char *path)
{
    char cite[300];
    const struct located *l = &s->located;
    const struct layer_trials *t = &s->trials;
    const uint32_t layer = s->best;
    int size = snprintf(cite, sizeof cite, "oedit locate: MLPs round it give back %.4f of "
                                           "P(answer) at the subject's last token; %u prompts, %u "
                                           "runs",
                        located_effect(l, CAUSE_MLP, CLASS_LAST, layer), l->prompts, l->runs);
    if (t->planned && t->done[layer])
        snprintf(cite + size, sizeof cite - (size_t)size,
                 "; mean of Rel, Gen and Loc %.3f in %u trial edits (%s)",
                 layer_trials_score(t, layer), t->done[layer], t->solver);
    const struct config *c = &s->opened.weights.config;
    cJSON *root = cJSON_CreateObject(), *match = cJSON_AddObjectToObject(root, "match");
    cJSON_AddNumberToObject(match, "layers", c->layers);
    cJSON_AddNumberToObject(match, "dim", c->dim);
    cJSON_AddNumberToObject(match, "ffn", c->ffn);
    cJSON *values = cJSON_AddObjectToObject(root, "values");
    cJSON *one = cJSON_AddObjectToObject(values, "layer");
    cJSON_AddNumberToObject(one, "value", layer);
    cJSON_AddStringToObject(one, "cite", cite);
    char *text = json_text(root, true, path);
    struct file_out out = {0};
    bool ok = text && file_out_open(&out, path);
    bool whole = ok && file_out_write(&out, text, strlen(text)) && file_out_write(&out, "\n", 1);
    if (ok) ok = file_out_close(&out, whole) && whole;
    if (ok) log_say("wrote %s: layer %u", path, layer);
    cJSON_free(text);
    cJSON_Delete(root);
    return ok;
}

static void sinks_warn(const struct located *l)
{
    for (uint32_t i = 0; i < l->layers; i++)
        if (located_sink(l, i))
            log_warn("layer %u: the key at the first token is %.0f times as long as others: an "
                     "attention sink's, which edits disturb", i, l->keys[i]);
}

static bool report(struct locating *s, const struct args *args)
{
    const struct located *l = &s->located;
    const bool tried = s->trials.planned > 0;
    s->best = layer_trials_best(&s->trials, l, s->order);
    if (args->json && !json_print(s, args)) return false;
    if (!args->json && tried) {
        layer_trials_print(&s->trials, s->order);
        printf("layer %u: of those within %.2f of the best mean, the one whose MLPs give back "
               "most\n", s->best, TRIALS_NEAR);
    }
    return (!args->chart || charts_write(s, args->chart)) &&
           (!args->out || hparams_write(s, args->out));
}

// What was traced is shown before the trials begin, which may take long.
static bool trace(struct locating *s, const struct args *args)
{
    struct located *l = &s->located;
    uint32_t layers = s->opened.model.config.layers, fifth = (layers + 2) / 5;
    // 10 of GPT-2 XL's 48 layers in the paper
    s->options.window = args->window ? args->window : fifth ? fifth : 1;
    if (s->options.window > layers)
        return fail(STATUS_USAGE, "--window: got %u, the model has %u layers", s->options.window,
                    layers);
    s->order = mem_new(layers, sizeof *s->order, "layers");
    if (!s->order || !prompts_read(s->prompts, &s->opened, &s->data, s->traced) ||
        !located_new(l, layers) ||
        !trace_all(l, &s->opened, args, s->prompts, s->traced, &s->options))
        return false;
    located_rank(l, s->order);
    if (!args->json) table_print(l, s->order);
    fflush(stdout);
    if (l->clean - l->corrupted < 0.05)
        log_warn("the noise takes only %.3f from the answers' probability of %.3f: take prompts "
                 "that the model knows", l->clean - l->corrupted, l->clean);
    sinks_warn(l);
    return true;
}

// After Ctrl-C what is there is reported, and the command still ends as one that was stopped.
static bool try_and_report(struct locating *s, const struct args *args)
{
    uint32_t records = trials_wanted(args);
    if (records > s->data.count) records = (uint32_t)s->data.count;
    bool ok = !records || layer_trials_run(&s->trials, &s->opened, args, &s->data, records,
                                           &s->located, s->order);
    if (!ok && status_code() != STATUS_INTERRUPTED) return false;
    return report(s, args) && ok;
}

static void search_free(struct locating *s)
{
    for (size_t i = 0; s->prompts && i < s->traced; i++)
        free((void *)(uintptr_t)s->prompts[i].tokens);
    free(s->prompts);
    free(s->order);
    layer_trials_free(&s->trials);
    located_free(&s->located);
    dataset_free(&s->data);
}

bool command_locate(const struct args *args)
{
    struct locating s = {0};
    if (!args->model) return fail(STATUS_USAGE, "--model: wanted a model file (-m MODEL)");
    interrupt_watch();
    bool ok = requests_read(&s.data, args) && plan_start(&s.opened, args);
    size_t most = args->n ? args->n : PROMPTS;
    s.traced = s.data.count < most ? s.data.count : most;
    if (ok) s.prompts = mem_new(s.traced, sizeof *s.prompts, "prompts");
    ok = ok && s.prompts &&
         (!trials_wanted(args) || layer_trials_check(args, &s.opened.model.config)) &&
         trace(&s, args) && try_and_report(&s, args);
    search_free(&s);
    return opened_end(&s.opened, args, ok);
}
