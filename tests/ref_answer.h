// Solvers without a value in double precision, the update as one dense matrix: the loss of an
// answer, its gradient at W's output, fine-tuning, UltraEdit.
#pragma once
#include "ref_edit.h"

struct ref_answer { // of one prompt: a row for each answer token, its keys and gradients
    uint32_t rows, positions;
    double loss, *keys, *grads;   // [rows, ffn], [rows, dim]
    double *all_keys, *all_grads; // of all positions [positions, ffn], [positions, dim]
};

void ref_answer_of(struct ref_answer *a, const struct ref_model *model, uint32_t layer,
                   const struct ref_prompt *prompt, const uint32_t *target, uint32_t target_count);
void ref_answer_free(struct ref_answer *a);

// Adam on the layer's matrix; limit 0: none. dw: [dim, ffn]; losses: [steps + 1]. Returns the
// looks.
uint32_t ref_tune(struct ref_model *model, uint32_t layer, const struct ref_prompt *prompt,
                  const uint32_t *target, uint32_t target_count, double rate, double stop,
                  double limit, uint32_t steps, double *dw, double *losses);

struct ref_running { // all rows so far: [rows, ffn], [rows, dim]
    double *keys, *grads;
    uint32_t rows;
};

// dw [dim, ffn] of one edit, whose rows join the others: (H^T H + I) dW^T = H^T V solved as it
// stands, over [ffn, ffn].
void ref_ultra(struct ref_running *running, const struct ref_answer *a, double rate, double *dw,
               uint32_t dim, uint32_t ffn);
