// A Llama-like model in double precision: one text at a time, everything kept, and its gradient.
#pragma once
#include "io/weights.h"

struct ref_layer {
    double *attn_norm, *ffn_norm;
    double *q, *k, *v, *attn_output, *gate, *up, *down; // as enum part says
    double *q_bias, *k_bias, *v_bias, *o_bias, *gate_bias, *up_bias, *down_bias; // or zeros
};

struct ref_model {
    struct config config;
    double *embed, *head, *output_norm, *turns; // turns: [context, head_dim / 2, (cos, sin)]
    struct ref_layer *layers;
};

void ref_model_open(struct ref_model *model, const struct weights *weights);
void ref_model_close(struct ref_model *model);

struct ref_act { // of one layer, [tokens, ...]
    double *q, *k, *v, *o; // q, k turned
    double *mid, *gate, *up, *key;
};

// A text with its activations. stream[l] is the input of layer l, stream[layers] the output.
struct ref_pass {
    const struct ref_model *model;
    uint32_t count;
    double **stream;
    struct ref_act *acts;
    uint32_t *first, *seen; // as attention wants them
};

// add (or NULL): [dim], added to the stream behind `layer` at position `at`.
void ref_forward(struct ref_pass *pass, const struct ref_model *model, const uint32_t *tokens,
                 uint32_t count, uint32_t layer, uint32_t at, const double *add);
void ref_pass_free(struct ref_pass *pass);

// Runs layers [from, layers) again, stream[from] being changed from outside.
void ref_forward_from(struct ref_pass *pass, uint32_t from);

void ref_logits(const struct ref_pass *pass, uint32_t position, double *logits);
// The most likely token behind ids[0 .. count); log_likelihood, if not NULL: of `wanted` there.
uint32_t ref_next(const struct ref_model *model, const uint32_t *ids, uint32_t count,
                  uint32_t wanted, double *log_likelihood);
// dstream at layer `layers` += gradient through the head at one position.
void ref_logits_back(const struct ref_pass *pass, uint32_t position, const double *dlogits,
                     double *dstream);
// dstream: from the gradient at stream[layers] to that at stream[from].
void ref_backward(const struct ref_pass *pass, uint32_t from, double *dstream);
