// A request's prompts up to their answers as one batch, for solvers that take gradients of the
// edited matrix itself: only the layers above it run, on the prepared keys and residuals.
#pragma once
#include "edit/editor.h"
#include "model/backward.h"

struct answer {
    const struct model *model;
    uint32_t layer, rows, losses; // tokens of all prompts; answer tokens of all prompts
    fbuf key;                     // input of W [rows, ffn], of `prepared`
    struct batch batch;
    struct cache cache;
    struct acts acts;
    struct grads grads; // after a look, grads.stream: gradient at W's output [rows, dim]
    struct head head;   // its index: the rows that predict answer tokens [losses]
    struct buffer *base, *target, *weight, *lse, *loss;
};

// Of all prompts but the KL one, which these solvers have no use for. Runs and waits.
bool answer_new(struct answer *answer, const struct editor *editor, const struct edit *edit);
void answer_free(struct answer *answer);

// Records a look: the mean loss over answer tokens and its gradient at W's output, W being the
// model's plus `shift` [dim, ffn] (0: nothing).
void answer_record(struct cmd *cmd, const struct answer *answer, fbuf shift);
// After a run: the mean loss, in nats a token. May be infinite or NaN.
bool answer_loss(const struct answer *answer, double *loss);
