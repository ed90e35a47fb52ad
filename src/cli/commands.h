// The subcommands: each prints data on stdout and returns false after fail().
#pragma once
#include "cli/args.h"

struct command {
    const char *name;
    unsigned bit;
    bool (*run)(const struct args *args);
    const char *summary;
    const char *examples; // three real commands
};

bool command_edit(const struct args *args);
bool command_eval(const struct args *args);
bool command_generate(const struct args *args);
bool command_logits(const struct args *args);
bool command_tokenize(const struct args *args);
bool command_stats(const struct args *args);
bool command_grad(const struct args *args);
bool command_merge(const struct args *args);
bool command_devices(const struct args *args);
bool command_bench(const struct args *args);
bool command_log(const struct args *args);
bool command_show(const struct args *args);
bool command_apply(const struct args *args);
bool command_revert(const struct args *args);
bool command_diff(const struct args *args);
bool command_verify(const struct args *args);
bool command_task(const struct args *args);
bool command_geometry(const struct args *args);
bool command_selftest(const struct args *args);
bool command_demo(const struct args *args);
bool command_experiment(const struct args *args);
bool command_report(const struct args *args);
bool command_locate(const struct args *args);
bool command_plan(const struct args *args);
bool command_try(const struct args *args);
