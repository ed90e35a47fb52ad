// What the command line can say. Zero, NULL or NAN: not said; hyper-parameters then come from the
// model's file in assets/hparams.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum command_bit {
    C_EDIT = 1,
    C_EVAL = 2,
    C_GENERATE = 4,
    C_LOGITS = 8,
    C_TOKENIZE = 16,
    C_STATS = 32,
    C_GRAD = 64,
    C_DEVICES = 128,
    C_BENCH = 256,
    C_SELFTEST = 512,
    C_LOG = 1024,
    C_SHOW = 2048,
    C_APPLY = 4096,
    C_REVERT = 8192,
    C_DIFF = 16384,
    C_VERIFY = 32768,
    C_TASK = 65536,
    C_EXPERIMENT = 131072,
    C_GEOMETRY = 1 << 20,
    C_DEMO = 1 << 21,
    C_LOCATE = 1 << 24,
    C_TRY = 1 << 25,
    C_REPORT = 1 << 26,
    C_PLAN = 1 << 27,
    C_MERGE = 1 << 28,
    C_DEVICE_USERS = C_DEMO | C_EDIT | C_EVAL | C_GENERATE | C_LOGITS | C_STATS | C_GRAD | C_BENCH |
                     C_APPLY | C_REVERT | C_DIFF | C_VERIFY | C_TASK | C_EXPERIMENT | C_GEOMETRY |
                     C_LOCATE | C_TRY | C_PLAN,
    // These take words that are no options.
    C_WORDS = C_BENCH | C_SELFTEST | C_LOG | C_SHOW | C_APPLY | C_REVERT | C_DIFF | C_VERIFY |
              C_TASK | C_EXPERIMENT | C_GEOMETRY | C_REPORT | C_MERGE,
    C_NO_MODEL = C_DEMO | C_DEVICES | C_SELFTEST | C_LOG | C_SHOW | C_VERIFY | C_REPORT |
                 C_MERGE, // not by --model
    C_ALL = 262143 | C_GEOMETRY | C_LOCATE | C_TRY | C_REPORT | C_DEMO | C_PLAN | C_MERGE,
};

struct args {
    const char *model, *base, *out, *requests, *text, *prompt, *subject, *target, *device, *hparams,
        *grad_requests, *match, *log, *trace, *journal, *filter, *lora, *peft, *shapes, *layers,
        *dtype, *rows, *digests, *write_digests, *measures, *checkpoints, *ppl_text, *data, *seeds,
        *only, *set, *chart, *shard;
    const char *const *words; // that are no options [word_count]
    int word_count;
    char *const *line; // the command and all behind it, as given [line_count]
    int line_count;
    bool json, list_devices, validate, profile, verbose, quiet, help, version, ids, jsonl, answers,
        resume, all, compare, list, report, measure;
    // Numbers of their words; solver, optimizer -1: not said.
    int precision; // 0 fast, 1 strict
    int solver, optimizer, guard, out_type, cosine, projector, ablate, grad_source, grad_svd,
        zsre_target, format, choose, stage;
    uint32_t window, samples; // oedit locate; 0: not said
    uint32_t trials;          // UINT32_MAX: not said
    uint32_t ppl_tokens, limit, repeat, least, rank, n, layer, top, tokens, steps, contexts, block,
        q_max, top_sample;
    uint64_t skip, seed;
    double started; // the clock when the program began
    float sphere_alpha, sphere_eta, norm_constraint;
    uint64_t vram;
    float lambda, key_memory, null_threshold, l2, lambda1, lambda2, lambda3, rate, clamp, decay, kl,
        stop, ridge, knob, temperature;
};

// Of an experiment, by `stage`: what the unedited model scores, the runs, tables and charts.
enum stage { STAGE_ALL, STAGE_BEFORE, STAGE_RUNS, STAGE_AFTER };

struct args args_default(void);
bool args_parse(struct args *args, unsigned command, int argc, char **argv, const char **extra,
                int *extra_count);
// One option by its name (base/options.h).
bool args_set(struct args *args, unsigned command, const char *name, const char *value);
void args_help(unsigned command);

// The table of all options, for what is written from it.
struct option;
const struct option *args_options(size_t *count);
