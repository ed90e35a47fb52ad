// Causal tracing (ROME, Meng et al. 2022, sec. 2.1): the subject's embeddings are corrupted by
// noise, one state is made clean again, and how much of the answer comes back is its effect.
#pragma once
#include "model/forward.h"

// What is restored: the stream behind a layer; outputs of MLPs or of attentions in a window.
enum cause_kind { CAUSE_HIDDEN, CAUSE_MLP, CAUSE_ATTN, CAUSE_KINDS };
extern const char *const cause_names[CAUSE_KINDS];

struct cause_prompt {
    const uint32_t *tokens; // [count]
    uint32_t count, first, last; // the subject's tokens are [first, last]
    uint32_t answer;             // the model's own next token
};

struct cause_options {
    float deviation; // of the noise
    uint32_t window; // layers of which MLPs or attentions are restored together
    uint32_t seed;   // of the noise: another one, another sample
};

// Probabilities of the answer; all of one prompt and one sample of noise.
struct cause {
    uint32_t layers, positions, first; // position i of `p` is token first + i
    double clean, corrupted;
    double *p[CAUSE_KINDS];  // [layers, positions]
    float *key_norms;        // of the clean text's inputs of the down projections [layers, tokens]
    float *stream_norms;     // of its stream behind each layer [layers, tokens]
    uint32_t tokens;
};

// Runs and waits. Numbers that are not finite fail with STATUS_BAD_DATA.
bool cause_trace(struct cause *cause, const struct model *model, const struct cause_prompt *prompt,
                 const struct cause_options *options);
void cause_free(struct cause *cause); // accepts zero

// Nearly normal noise of unit deviation: sums of twelve uniform numbers. Such sums, unlike
// logarithms, are the same on every device.  y, scratch: [n]
void cause_noise(struct cmd *cmd, fbuf y, fbuf scratch, uint32_t n, uint32_t seed);

// The standard deviation of the embeddings of `tokens`, all their numbers taken together.
bool cause_deviation(const struct model *model, const uint32_t *tokens, uint32_t count,
                     double *deviation);

// Layers [*from, *to) of the window round a layer.
void cause_window(uint32_t layer, uint32_t window, uint32_t layers, uint32_t *from, uint32_t *to);
