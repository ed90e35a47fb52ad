// A small made-up model as a file, for tests that read, write or damage one.
#pragma once
#include "io/gguf.h"

enum { LAYERS = 2, DIM = 8, FFN = 32, HEADS = 2, KV = 1, SIZE = 4, VOCAB = 9 };
enum { TENSORS = 2 + 9 * LAYERS, METAS = 18 };

// Metadata and tensors as they will be written; a test changes what it wants otherwise.
struct made {
    struct meta metas[METAS];
    size_t meta_count;
    struct tensor tensors[TENSORS];
    size_t tensor_count;
    char names[TENSORS][40];
    uint8_t data[1 << 16];
    size_t used;
};

uint32_t dice(void); // the next number of a fixed sequence that made_new starts anew

struct made *made_new(void); // to be freed with free()
void made_tensor(struct made *made, const char *name, enum dtype dtype, uint64_t rows,
                 uint64_t cols);
void made_u32(struct made *made, const char *key, uint32_t value);
void made_text(struct made *made, const char *key, const char *value);

// What stands there under this name; aborts if nothing does.
struct meta *made_meta(struct made *made, const char *key);
struct tensor *made_find(struct made *made, const char *name);
