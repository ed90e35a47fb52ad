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
    C_DEVICE_USERS = C_EDIT | C_EVAL | C_GENERATE | C_LOGITS | C_STATS | C_GRAD,
    C_ALL = 255,
};

struct args {
    const char *model, *base, *out, *requests, *text, *prompt, *subject, *target, *device, *hparams,
        *log;
    bool json, list_devices, validate, profile, verbose, quiet, help, version, ids, jsonl, answers;
    int solver, guard, out_type, cosine, projector, zsre_target; // numbers of their words
    int optimizer; // the same; -1: not given
    uint32_t n, layer, top, tokens, steps, contexts, block, q_max, top_sample;
    uint64_t skip, seed;
    float lambda, lambda1, lambda2, lambda3, rate, clamp, decay, kl, stop, ridge, temperature;
};

struct args args_default(void);
bool args_parse(struct args *args, unsigned command, int argc, char **argv, const char **extra,
                int *extra_count);
void args_help(unsigned command);
