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
};

bool opened_device(struct opened *o, const struct args *args);
bool opened_start(struct opened *o, const struct args *args); // args->model
bool opened_model(struct opened *o, const char *path);        // the device is open already
bool opened_files(struct opened *o, const char *path);        // its first half: nothing is loaded
bool opened_load(struct opened *o);                           // its second half
void opened_model_close(struct opened *o);
// Prints the profile and the count of validation errors, which make it fail; closes everything.
bool opened_end(struct opened *o, const struct args *args, bool ok);
