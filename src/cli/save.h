// The edited model as a file: everything as it was but the edited matrix, and where it comes from.
#pragma once
#include "io/journal.h"
#include "io/weights.h"
#include "vk/buffer.h"

struct save {
    struct weights *weights; // the base
    struct device *dev;
    struct buffer *matrix;         // the tensor's new content, f32
    uint32_t layer;                // whose down projection it is
    enum dtype dtype;              // how it is stored
    const struct journal *journal; // its header, and edits if there are any, are the provenance
    uint32_t edits;                // in the matrix; 0: the file is a copy of the base
};

bool save_model(const struct save *save, const char *path);

// The dtype that --out-type's choice means for that layer's matrix.
enum dtype save_dtype(int choice, const struct weights *weights, uint32_t layer);

// Refuses a path that is missing, the model's own, or cannot be written.
bool save_check(const char *path, const char *model);

// 32 hexadecimal digits over a tensor's bytes (XXH3, 128 bits).
void save_hash(const void *data, size_t bytes, char hash[static 33]);
