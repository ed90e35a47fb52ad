// Tiny random models as GGUF files, of any shape, with a vocabulary of whole words.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "io/tokenizer.h"
#include "io/weights.h"
#include "model/model.h"

struct tiny {
    uint32_t layers, dim, ffn, heads, kv_heads, head_dim, vocab, context, window;
    bool qwen2;       // biases of q, k, v, and pairs (i, i + head_dim / 2)
    bool own_head;    // not tied
    bool rope_freqs;  // divisors of the rotary frequencies
    enum dtype dtype; // of the matrices: F32, F16 or Q8_0
    double gain;      // matrices are uniform, of variance gain^2 / inputs; 0: 1
    uint64_t seed;
    bool biases;           // of all seven matrices
    uint32_t window_layer; // the first with the window, which GGUF has no key for
};

// A fresh folder under TMPDIR or /tmp; paths in it, of which the last few stay valid.
void tiny_folder_new(void);
void tiny_folder_remove(void);
const char *tiny_path(const char *name);

// Writes the model; fails the test if it cannot. Tokens: 0 is <s>, 1 is ".", then tiny_words with
// and without a blank before them, as far as the vocabulary goes; "t", "h", "e", "th"; the letters
// A to Z behind a blank; then nonsense.
void tiny_write(const struct tiny *tiny, const char *path);
extern const char *const tiny_words[];
enum { TINY_WORDS = 30, TINY_VOCAB = 2 + 2 * TINY_WORDS };

// Writes it to model.gguf in the folder, opens that and loads it.
void tiny_open(const struct tiny *tiny, struct device *dev, struct weights *weights,
               struct tokenizer *tokenizer, struct model *model);
void tiny_close(struct weights *weights, struct tokenizer *tokenizer, struct model *model);

// `count` words in random order with a full stop now and then; to be freed.
char *tiny_text(uint32_t count, uint64_t seed);
