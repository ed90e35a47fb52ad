// What most commands start with: device, model file, tokenizer and model, opened together.
#pragma once
#include "cli/args.h"
#include "io/tokenizer.h"
#include "model/model.h"

struct opened {
    struct device dev;
    struct weights weights;
    struct tokenizer tokenizer;
    struct model model;
    uint32_t streamed; // layers that model_open is to leave in the file
    bool planned;      // streamed is what a plan says; otherwise a guess is made
};

bool opened_device(struct opened *o, const struct args *args);
bool opened_start(struct opened *o, const struct args *args); // args->model
bool opened_model(struct opened *o, const char *path);        // the device is open already
bool opened_files(struct opened *o, const char *path);        // its first half: nothing is loaded
// Its second half. With --vram, layers that find no room beside what commands take are streamed.
bool opened_load(struct opened *o);
void opened_model_close(struct opened *o);
// Prints the profile and the count of validation errors, which make it fail; closes everything.
bool opened_end(struct opened *o, const struct args *args, bool ok);
