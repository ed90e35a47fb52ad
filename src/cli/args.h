// What the command line can say. Zero, NULL or NAN: not said; hyper-parameters then come from the
// model's file in assets/hparams.
#pragma once
#include <stdbool.h>
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
    C_DEVICE_USERS = C_EDIT | C_EVAL | C_GENERATE | C_LOGITS | C_STATS | C_GRAD | C_BENCH |
                     C_APPLY | C_REVERT | C_DIFF | C_VERIFY,
    // These take words that are no options.
    C_WORDS = C_BENCH | C_SELFTEST | C_LOG | C_SHOW | C_APPLY | C_REVERT | C_DIFF | C_VERIFY,
    C_NO_MODEL = C_DEVICES | C_SELFTEST | C_LOG | C_SHOW | C_DIFF | C_VERIFY, // not by --model
    C_ALL = 65535,
};

struct args {
    const char *model, *base, *out, *requests, *text, *prompt, *subject, *target, *device, *hparams,
        *log, *trace, *journal, *filter, *lora, *peft, *shapes, *layers,
        *dtype, *rows, *digests, *write_digests;
    const char *const *words; // that are no options [word_count]
    int word_count;
    bool json, list_devices, validate, profile, verbose, quiet, help, version, ids, jsonl, answers,
        resume, all, compare;
    // Numbers of their words; solver, optimizer -1: not said.
    int precision; // 0 fast, 1 strict
    int solver, optimizer, guard, out_type, cosine, projector, zsre_target, format;
    uint32_t repeat, least, rank, n, layer, top, tokens, steps, contexts, block, q_max, top_sample;
    uint64_t skip, seed;
    double started; // the clock when the program began
    float lambda, lambda1, lambda2, lambda3, rate, clamp, decay, kl, stop, ridge, temperature;
    float key_memory;
};

struct args args_default(void);
bool args_parse(struct args *args, unsigned command, int argc, char **argv, const char **extra,
                int *extra_count);
void args_help(unsigned command);
