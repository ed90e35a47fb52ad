// The edited model as a file: all as it was but the edited matrices, and where it comes from.
#pragma once
#include "edit/editor.h"
#include "io/journal.h"
#include "io/weights.h"
#include "vk/buffer.h"

struct change {
    uint32_t layer;        // whose down projection it is
    struct buffer *matrix; // its new content, f32
};

struct save {
    struct weights *weights; // the base
    struct device *dev;
    const struct change *changes; // [count]
    uint32_t count;
    int out_type;                  // --out-type's choice: how they are stored
    const struct journal *journal; // its header, and edits if there are any, are the provenance
    uint32_t edits;                // in the matrices; 0: the file is a copy of the base
};

bool save_model(const struct save *save, const char *path);
// The same with an editor's matrices, as they are now, for changes and edits.
bool save_editor(struct save *save, struct editor *editor, const char *path);

// Refuses a path that is missing, the model's own, or cannot be written.
bool save_check(const char *path, const char *model);

// 32 hexadecimal digits over a tensor's bytes (XXH3, 128 bits).
void save_hash(const void *data, size_t bytes, char hash[static 33]);
