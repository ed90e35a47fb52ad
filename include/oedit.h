// liboedit: opens a model, writes facts into it, saves it. One thread at a time a handle.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct oedit; // a model on a device

struct oedit_settings { // zero or NULL: as the command's defaults
    const char *device; // index or part of a name; NULL: a GPU if there is one
    const char *solver; // "memit", "rome", "ft", "ft-l", "ultraedit", "alphaedit"
    const char *guard;  // "none", "r-edit", "oedit", "oedit-plus", "wilke", "prune",
                        // "sphere"
    const char *layers; // as of --layers: "8", or "5-10" for each edit to take the best of them
    const char *text;   // file for the statistics; NULL: the model's own samples
    uint32_t tokens;    // of it
    double ridge;       // times mean(diag C), where the text is short
    uint64_t seed;
    bool strict;        // the same bits on every device, at some cost (docs/numerics.md)
};

// NULL on failure: oedit_error() says why, oedit_status() is the command's exit code for it.
// "demo" is a small model in the program (docs/demo.md).
struct oedit *oedit_open(const char *model, const struct oedit_settings *settings);

// From now on `prompt`, which contains `subject`, is answered by `target`. The first call makes
// the statistics, which takes a while the first time and is cached.
bool oedit_edit(struct oedit *oedit, const char *prompt, const char *subject, const char *target);

// Writes the model as it is now, under a name that is not the source's, whole or not at all.
bool oedit_save(struct oedit *oedit, const char *path);
void oedit_close(struct oedit *oedit); // accepts NULL

const char *oedit_error(void); // the last failure of this thread, one sentence
int oedit_status(void);
void oedit_clear(void); // forgets it
