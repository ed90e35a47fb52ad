// Edits as a LoRA adapter: W + b a in some layers, for the model they were made for.
#pragma once
#include "io/weights.h"

// Of the down projection of one layer, W [rows, cols].
struct adapter_part {
    uint32_t layer;
    uint64_t rows, cols;
    const float *a, *b; // [rank, cols], [rows, rank]; applied as they are: alpha is the rank
};

struct adapter {
    const char *architecture; // of the model, as GGUF names it
    const char *base;         // the model's file, and 32 digits of its hash
    const char *hash;
    uint32_t rank;                     // of all parts
    const struct adapter_part *parts;  // [count]
    uint32_t count;
};

// A GGUF file for llama.cpp's --lora.
bool adapter_write_gguf(const struct adapter *adapter, const struct weights *weights,
                        const char *path);

// adapter_config.json and adapter_model.safetensors in a folder, which is made: for PEFT.
bool adapter_write_peft(const struct adapter *adapter, const char *folder);
